/* SPDX-License-Identifier: MIT */
/* joulebench plot: figures from result files. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cli.h"
#include "bench/figure.h"
#include "bench/tables.h"

enum source { OF_ROWS, OF_TRACE, OF_PARTS, OF_ROOF };
static const struct {
    const char *name, *help;
    enum source source;
} kinds[] = {
    {"power-throughput", "tokens/s against watts, log axes, with tokens/J diagonals", OF_ROWS},
    {"efficiency", "tokens/J of each configuration, with intervals", OF_ROWS},
    {"phases", "tokens/s of prefill and decode, with intervals", OF_ROWS},
    {"power-time", "watts over time with the phases shaded (FILE: a trace of run --trace)",
     OF_TRACE},
    {"breakdown", "where time, cycles and joules went (FILE: of run --breakdown)", OF_PARTS},
    {"roofline", "MAC/s against MAC/byte under ceilings (FILE: of op, run --breakdown, roofline)",
     OF_ROOF},
};
#define KIND_NAMES "power-throughput, efficiency, phases, power-time, breakdown, roofline"
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

static void print_help(void)
{
    (void)fputs("usage: joulebench plot KIND FILE... -o FIGURE\n\nkinds:\n", stdout);
    for (int i = 0; i < N_KINDS; i++) {
        (void)printf("  %-17s %s\n", kinds[i].name, kinds[i].help);
    }
    (void)fputs(
        "\noptions:\n"
        "  -o, --output FIGURE  ends in .svg, .pdf or .png\n"
        "      --phase PHASE    power-throughput, efficiency: decode (default), prefill or total\n"
        "      --with-invalid   draw rows whose verdict is INVALID too\n"
        "      --keep-data      leave the drawn numbers beside the figure, as FIGURE.data.csv\n"
        "  -h, --help           this text\n\n"
        "A filled mark is measured; a hollow one is simulated, modelled (dot inside) or nameplate\n"
        "(cross inside). Needs gnuplot; PDF is made with rsvg-convert where it is there.\n",
        stdout);
}

static int kind_of(const char *name)
{
    int kind = 0;
    while (kind < N_KINDS && strcmp(kinds[kind].name, name) != 0) {
        kind++;
    }
    return kind;
}

static void tell_left_out(const struct jb_figure *figure)
{
    if (figure->n_without_value > 0) {
        (void)fprintf(stderr,
                      "joulebench: note: %llu configurations are not drawn: what the figure shows "
                      "of them is not known\n",
                      (unsigned long long)figure->n_without_value);
    }
    if (figure->n_invalid > 0) {
        (void)fprintf(stderr,
                      "joulebench: note: %llu configurations are not drawn: INVALID "
                      "(--with-invalid draws them)\n",
                      (unsigned long long)figure->n_invalid);
    }
}

static int figure_of_files(const struct jb_figure_wish *wish, int kind, int n_files, char **files,
                           struct jb_figure *ret_figure)
{
    enum jb_status status;
    if (kinds[kind].source == OF_PARTS || kinds[kind].source == OF_ROOF) {
        if (n_files == 0) {
            return jb_cli_usage("plot", "%s takes at least one file", wish->kind);
        }
        status = kinds[kind].source == OF_PARTS ? jb_figure_of_parts(files, n_files, ret_figure)
                                                : jb_figure_of_roof(files, n_files, ret_figure);
        return status == JB_OK ? JB_EXIT_OK : jb_cli_fail(status);
    }
    if (kinds[kind].source == OF_TRACE) {
        if (n_files != 1) {
            return jb_cli_usage("plot", "%s takes one trace (joulebench run --trace)", wish->kind);
        }
        status = jb_figure_of_trace(files[0], ret_figure);
        return status == JB_OK ? JB_EXIT_OK : jb_cli_fail(status);
    }
    struct jb_group *groups = NULL;
    uint64_t n = 0;
    const int code = jb_groups_of_files("plot", n_files, files, &groups, &n);
    if (code != JB_EXIT_OK) {
        return code;
    }
    status = jb_figure_of_groups(wish, groups, n, ret_figure);
    free(groups);
    return status == JB_OK ? JB_EXIT_OK : jb_cli_fail(status);
}

static int draw(const struct jb_figure_wish *wish, int kind, int n_files, char **files,
                const char *output, bool keeps_data)
{
    struct jb_figure figure = {0};
    int code = figure_of_files(wish, kind, n_files, files, &figure);
    if (code == JB_EXIT_OK) {
        tell_left_out(&figure);
        const enum jb_status status = jb_figure_draw(&figure, output, keeps_data);
        code = status == JB_OK ? JB_EXIT_OK : jb_cli_fail(status);
    }
    jb_figure_free(&figure);
    return code;
}

int jb_cmd_plot(int argc, char **argv)
{
    static const struct option options[] = {
        {"output", required_argument, NULL, 'o'}, {"phase", required_argument, NULL, 'p'},
        {"with-invalid", no_argument, NULL, 'i'}, {"keep-data", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    struct jb_figure_wish wish = {.phase = "decode"};
    const char *output = NULL;
    bool keeps_data = false;
    optind = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "o:h", options, NULL)) != -1;) {
        switch (c) {
        case 'o':
            output = optarg;
            break;
        case 'p':
            wish.phase = optarg;
            break;
        case 'i':
            wish.with_invalid = true;
            break;
        case 'k':
            keeps_data = true;
            break;
        case 'h':
            print_help();
            return JB_EXIT_OK;
        default:
            return jb_cli_usage("plot", "unknown or incomplete option '%s'", argv[optind - 1]);
        }
    }
    if (optind == argc) {
        return jb_cli_usage("plot", "name a kind: " KIND_NAMES);
    }
    wish.kind = argv[optind];
    const int kind = kind_of(wish.kind);
    if (kind == N_KINDS) {
        return jb_cli_usage("plot", "unknown kind '%.64s'; kinds: " KIND_NAMES, wish.kind);
    }
    if (output == NULL) {
        return jb_cli_usage("plot", "where to? give -o FIGURE");
    }
    return draw(&wish, kind, argc - optind - 1, argv + optind + 1, output, keeps_data);
}
