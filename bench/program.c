/* SPDX-License-Identifier: MIT */
/* The command table: everything of the program but main(), so that tests can call it. */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cli.h"
#include "jb_commit.h"
#include "jb_config.h"

static const struct jb_command commands[] = {
    {"run", "Run the workload on one or more backends; one CSV row a repetition and phase",
     jb_cmd_run},
    {"summary", "Medians and 95 % intervals of result files", jb_cmd_summary},
    {"compare", "Ratios of two result files, with intervals, group by group", jb_cmd_compare},
    {"merge", "Join result files into a new one; rows that are there twice are refused",
     jb_cmd_merge},
    {"plot", "Draw a figure (PDF, SVG, PNG) from result files", jb_cmd_plot},
    {"op", "Run one operation on a backend, real or simulated, and look inside", jb_cmd_op},
    {"roofline", "Measure what a device can do at most: bytes and products a second",
     jb_cmd_roofline},
    {"list", "List backends, devices, models, formats, methods, workloads and the like",
     jb_cmd_list},
    {"doctor", "Say what this machine offers, what is missing and how to unlock it", jb_cmd_doctor},
    {"survey", "Redraw a published comparison of hardware, with our own rows on it", jb_cmd_survey},
    {"verify", "Check files of our rows: words, arithmetic, and ids against digests",
     jb_cmd_verify},
    {"audit", "Check tables of results: arithmetic, physics, duplicates, conflicts", jb_cmd_audit},
    {"import", "Turn result files of other tools into rows of ours", jb_cmd_import},
    {"report", "Write a folder of results as one page, and tables and figures for a paper",
     jb_cmd_report},
    {"eval", "Mean negative log likelihood of a text or of token ids", jb_cmd_eval},
    {"synth", "Write a GGUF file: a named shape with seeded weights, or another file converted",
     jb_cmd_synth},
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static void print_help(FILE *out)
{
    (void)fputs("joulebench: tokens/s, watts and tokens/J of LLM inference, on real and simulated "
                "hardware\n\nusage: joulebench COMMAND [options]\n\ncommands:\n",
                out);
    for (int i = 0; i < N_COMMANDS; i++) {
        (void)fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    }
    (void)fputs(
        "\n'joulebench COMMAND --help' explains a command. 'joulebench --version' names the build."
        "\n\nfirst steps:\n"
        "  joulebench doctor\n"
        "  joulebench run --backend cpu --model tiny --format q4_0 --output tiny.csv\n"
        "  joulebench summary tiny.csv\n"
        "  joulebench plot phases tiny.csv -o tiny.svg\n"
        "\nexit codes: 0 all ran; 1 something failed; 2 usage or bad input; 3 an asked backend is\n"
        "unavailable (others ran, rows are kept); 4 all ran, but a row is INVALID\n",
        out);
}

static int run_command(int argc, char **argv)
{
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(argv[0], commands[i].name) == 0) {
            return commands[i].run(argc, argv);
        }
    }
    char names[256] = "";
    for (int i = 0; i < N_COMMANDS; i++) {
        const size_t used = strlen(names);
        (void)snprintf(names + used, sizeof names - used, "%s%s", i == 0 ? "" : " ",
                       commands[i].name);
    }
    return jb_cli_usage(NULL, "unknown command '%.64s'; commands: %s", argv[0], names);
}

int jb_main(int argc, char **argv)
{
    /* Numbers in CSV and options are C-locale on every machine. */
    (void)setlocale(LC_NUMERIC, "C");
    if (argc < 2) {
        print_help(stderr);
        return JB_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return JB_EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        (void)printf("joulebench %s (commit %s)\n", JB_VERSION, JB_COMMIT);
        return JB_EXIT_OK;
    }
    const int code = run_command(argc - 1, argv + 1);
    /* Data that never reached its reader is a failure, not a success: "... > /dev/full". */
    if (fflush(stdout) != 0 && code == JB_EXIT_OK) {
        jb_cli_error("standard output: cannot write (disk full or closed pipe?)");
        return JB_EXIT_FAILED;
    }
    return code;
}
