/* SPDX-License-Identifier: MIT */
/* joulebench summary: medians and intervals of result files, for people or as CSV. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cli.h"
#include "bench/tables.h"
#include "results/results.h"

static void print_help(void)
{
    (void)fputs(
        "usage: joulebench summary [--csv] [-o OUTPUT] FILE...\n\n"
        "Groups the rows of all FILEs by what was run and prints one line a group: the median "
        "over\n"
        "the repetitions with its 95 % interval (order statistics), power, tokens/J and "
        "verdict.\n\n"
        "  --csv              all measures with their intervals, as CSV for programs\n"
        "  -o, --output FILE  write to FILE instead of standard output\n"
        "  -h, --help         this text\n\n"
        "Marks: [s] simulated, [m] modelled, [n] nameplate, [l] literature; measured has none.\n",
        stdout);
}

/* Raw rows took hours; a summary is made again at will. */
static bool holds_rows(const char *path)
{
    char start[8] = "";
    FILE *file = fopen(path, "r+b"); /* + so that a pipe without a reader does not block */
    if (file == NULL) {
        return false;
    }
    const bool is_file = fseek(file, 0, SEEK_END) == 0 && ftell(file) > 0 &&
                         fseek(file, 0, SEEK_SET) == 0 && fread(start, 1, 7, file) == 7;
    (void)fclose(file);
    return is_file && strcmp(start, "schema,") == 0;
}

static int print_groups(const struct jb_group *groups, uint64_t n, bool as_csv, const char *path)
{
    if (path != NULL && holds_rows(path)) {
        return jb_cli_usage("summary", "'%s' holds raw rows: give -o another file", path);
    }
    FILE *out = path == NULL ? stdout : fopen(path, "wb");
    if (out == NULL) {
        jb_cli_error("cannot write '%s': %s", path, strerror(errno));
        return JB_EXIT_USAGE;
    }
    const enum jb_status status =
        as_csv ? jb_summary_csv(out, groups, n) : jb_summary_print(out, groups, n);
    const bool is_closed = out == stdout || fclose(out) == 0;
    if (status != JB_OK || !is_closed) {
        jb_cli_error("cannot write '%s': %s", path == NULL ? "standard output" : path,
                     strerror(errno));
        return JB_EXIT_FAILED;
    }
    return JB_EXIT_OK;
}

int jb_cmd_summary(int argc, char **argv)
{
    static const struct option options[] = {{"csv", no_argument, NULL, 'c'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    bool as_csv = false;
    const char *output = NULL;
    optind = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "o:h", options, NULL)) != -1;) {
        switch (c) {
        case 'c':
            as_csv = true;
            break;
        case 'o':
            output = optarg;
            break;
        case 'h':
            print_help();
            return JB_EXIT_OK;
        default:
            return jb_cli_usage("summary", "unknown or incomplete option '%s'", argv[optind - 1]);
        }
    }
    struct jb_group *groups = NULL;
    uint64_t n = 0;
    int code = jb_groups_of_files("summary", argc - optind, argv + optind, &groups, &n);
    if (code == JB_EXIT_OK) {
        code = print_groups(groups, n, as_csv, output);
    }
    free(groups);
    return code;
}
