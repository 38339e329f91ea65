/* SPDX-License-Identifier: MIT */
/* joulebench synth: writes a GGUF file, from a named shape or from another file. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cli.h"
#include "bench/workload/workload.h"
#include "platforms/base/units.h"

static const char help[] =
    "usage: joulebench synth --model NAME --format F -o FILE [--seed N] [--force]\n"
    "       joulebench synth --from FILE --format F -o FILE [--force]\n"
    "\n"
    "Writes a GGUF model file that other GGUF tools load too: a named shape (list models) with\n"
    "seeded weights and a made-up vocabulary, or another GGUF file converted to a format, its\n"
    "vocabulary and metadata kept. The file appears only when it is whole.\n"
    "\n"
    "  --model NAME       a shape: list models\n"
    "  --from FILE        a GGUF file\n"
    "  --format F         recipe of the weights: list formats\n"
    "  -o, --output FILE  the file to write; an existing one only with --force\n"
    "  --seed N           of the weights of a shape; default 42\n"
    "  --force            replace an existing file\n"
    "\n"
    "examples:\n"
    "  joulebench synth --model tinyllama-1.1b --format q4_0 -o tinyllama.gguf\n"
    "  joulebench synth --from model-f16.gguf --format q8_0 -o model-q8_0.gguf\n";

enum { OPT_MODEL = 256, OPT_FROM, OPT_FORMAT, OPT_SEED, OPT_FORCE };

static const struct option long_options[] = {
    {"model", required_argument, NULL, OPT_MODEL},
    {"from", required_argument, NULL, OPT_FROM},
    {"format", required_argument, NULL, OPT_FORMAT},
    {"output", required_argument, NULL, 'o'},
    {"seed", required_argument, NULL, OPT_SEED},
    {"force", no_argument, NULL, OPT_FORCE},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* @return -1 to go on, else the exit code. */
static int parse_options(int argc, char **argv, struct jb_synth_args *ret, bool *ret_force)
{
    optind = 0;
    for (int c; (c = getopt_long(argc, argv, ":ho:", long_options, NULL)) != -1;) {
        switch (c) {
        case OPT_MODEL:
            ret->model = optarg;
            break;
        case OPT_FROM:
            ret->from = optarg;
            break;
        case OPT_FORMAT:
            ret->format = optarg;
            break;
        case 'o':
            ret->output = optarg;
            break;
        case OPT_SEED:
            if (!jb_cli_u64("synth", "--seed", optarg, 0, UINT64_MAX, &ret->seed)) {
                return JB_EXIT_USAGE;
            }
            break;
        case OPT_FORCE:
            *ret_force = true;
            break;
        case 'h':
            (void)fputs(help, stdout);
            return JB_EXIT_OK;
        default:
            return jb_cli_usage("synth", "%s '%s'",
                                c == ':' ? "a value is missing after" : "unknown option",
                                argv[optind - 1]);
        }
    }
    if (optind < argc) {
        return jb_cli_usage("synth", "'%s' belongs to no option", argv[optind]);
    }
    if ((ret->model == NULL) == (ret->from == NULL)) {
        return jb_cli_usage("synth", "give either --model NAME or --from FILE");
    }
    if (ret->format == NULL || ret->output == NULL) {
        return jb_cli_usage("synth", "%s is needed",
                            ret->format == NULL ? "--format F" : "-o FILE");
    }
    return -1;
}

static void show_progress(void *ctx, uint64_t done, uint64_t total)
{
    jb_progress_show(ctx, "synth: %.0f of %.0f MiB", (double)done / JB_MIB, (double)total / JB_MIB);
}

/* Rows that do not divide into a format's blocks are kept in another one; a file of mostly such
 * rows goes by that one's name. */
static int say_format(const struct jb_synth_args *args)
{
    const struct jb_model_args model_args = {.source = args->output};
    struct jb_model *model = NULL;
    const enum jb_status status = jb_model_open(&model_args, &model);
    if (status == JB_OK && strcmp(jb_model_info(model)->format, args->format) != 0) {
        (void)fprintf(stderr,
                      "joulebench: %s is %s: its rows do not divide into the blocks of %s\n",
                      args->output, jb_model_info(model)->format, args->format);
    }
    jb_model_close(model);
    return JB_EXIT_OK; /* shapes alone (gpt2, opt) cannot be opened, only written */
}

int jb_cmd_synth(int argc, char **argv)
{
    struct jb_progress progress;
    struct jb_synth_args args = {.seed = 42, .progress = show_progress, .progress_ctx = &progress};
    bool has_force = false;
    const int parsed = parse_options(argc, argv, &args, &has_force);
    if (parsed >= 0) {
        return parsed;
    }
    FILE *existing = has_force ? NULL : fopen(args.output, "rb");
    if (existing != NULL) {
        (void)fclose(existing);
        return jb_cli_usage("synth", "%s exists; --force replaces it", args.output);
    }
    jb_progress_start(&progress);
    const enum jb_status status = jb_synth(&args);
    jb_progress_end(&progress);
    return status == JB_OK ? say_format(&args) : jb_cli_fail(status);
}
