/* SPDX-License-Identifier: MIT */
/* joulebench import: result files of other tools as rows of ours. */
#include <getopt.h>
#include <string.h>

#include "bench/cli.h"
#include "results/import.h"

static void print_help(void)
{
    (void)fputs("usage: joulebench import [FORMAT] FILE... [-o OUT.csv]\n\n"
                "Turns result files of other tools into rows of ours, for summary, audit, survey\n"
                "and report. Without FORMAT it is found by the names of the columns:\n\n",
                stdout);
    const char *summary = "", *name;
    for (uint32_t i = 0; (name = jb_import_format_at(i, &summary)) != NULL; i++) {
        (void)printf("  %-20s %s\n", name, summary);
    }
    (void)fputs(
        "\noptions:\n"
        "  -o, --output FILE   a new file; stdout without it\n"
        "      --platform P    cpu, gpu, fpga, asic or pim where the device's name does not tell\n"
        "  -h, --help          this text\n\n"
        "Whatever the tool measured, time_class and energy_class are `literature`: our clocks and\n"
        "meters saw none of it. Empty is what the source does not say, with the reason beside it.\n"
        "All columns of the source follow ours; import_source is file:line (of JSON file#entry),\n"
        "power_kind says how the source came to its watts. Phase `total` is whole requests,\n"
        "prompts included: tokens/s then counts generated tokens only.\n",
        stdout);
}

static bool is_format(const char *word)
{
    const char *summary, *name;
    for (uint32_t i = 0; (name = jb_import_format_at(i, &summary)) != NULL; i++) {
        if (strcmp(name, word) == 0) {
            return true;
        }
    }
    return false;
}

static enum jb_status take_file(const char *path, const struct jb_import_args *args,
                                struct jb_table *table)
{
    struct jb_table more = {0};
    struct jb_import_report report;
    enum jb_status status = jb_import_read(path, args, &more, &report);
    if (status != JB_OK) {
        return status;
    }
    (void)fprintf(stderr, "joulebench: '%s': %s, %llu rows from %llu entries", path, report.format,
                  (unsigned long long)more.n_rows, (unsigned long long)report.n_taken);
    if (report.n_left_out > 0) {
        (void)fprintf(stderr, "; %llu left out (%s)", (unsigned long long)report.n_left_out,
                      report.why);
    }
    (void)fputc('\n', stderr);
    status = jb_table_append(table, &more);
    jb_table_free(&more);
    return status;
}

static int import(int n_files, char **files, const struct jb_import_args *args, const char *output)
{
    struct jb_table table = {0};
    enum jb_status status = JB_OK;
    for (int i = 0; status == JB_OK && i < n_files; i++) {
        status = take_file(files[i], args, &table);
    }
    if (status == JB_OK && table.n_rows == 0) {
        status = jb_fail(JB_E_FORMAT, "%s: no row could be taken", files[0]);
    }
    if (status == JB_OK) {
        status = jb_table_write(&table, output);
    }
    jb_table_free(&table);
    return status == JB_OK ? JB_EXIT_OK : jb_cli_fail(status);
}

int jb_cmd_import(int argc, char **argv)
{
    static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                            {"platform", required_argument, NULL, 'p'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct jb_import_args args = {.format = NULL};
    const char *output = "-";
    optind = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "o:h", options, NULL)) != -1;) {
        switch (c) {
        case 'o':
            output = optarg;
            break;
        case 'p':
            args.platform = optarg;
            break;
        case 'h':
            print_help();
            return JB_EXIT_OK;
        default:
            return jb_cli_usage("import", "unknown or incomplete option '%s'", argv[optind - 1]);
        }
    }
    if (optind < argc && is_format(argv[optind])) {
        args.format = argv[optind++];
    }
    if (optind == argc) {
        return jb_cli_usage("import", "give at least one file of results");
    }
    if (output[0] == '\0') {
        return jb_cli_usage("import", "--output: an empty file name");
    }
    return import(argc - optind, argv + optind, &args, output);
}
