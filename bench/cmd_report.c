/* SPDX-License-Identifier: MIT */
/* joulebench report: a folder of results as a page and as a paper's tables and figures. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cli.h"
#include "bench/report.h"
#include "platforms/os/os.h"

static void print_help(void)
{
    (void)fputs(
        "usage: joulebench report FOLDER\n\n"
        "Reads every .csv of FOLDER, as `run --output`, `import -o` and `survey -o` leave them,\n"
        "and writes FOLDER/report:\n\n"
        "  index.html    one page that needs nothing beside it: figures, tables that a click on\n"
        "                a title sorts, and of each number where it is from (file, line, source,\n"
        "                evidence class)\n"
        "  report.tex    tables (booktabs) and figures of a two-column paper; compiles as it is\n"
        "  *.svg *.pdf   the figures; those of one column are 3.3 in wide with text of 8 pt\n\n"
        "Rows become medians with 95 % intervals, points are drawn again, other tables are shown\n"
        "as they are; a figure that lies beside its table (NAME.svg, NAME.pdf) is taken over.\n"
        "The same files give the same bytes.\n\n"
        "options:\n"
        "  -h, --help    this text\n",
        stdout);
}

static enum jb_status write_text(const struct jb_report *report, const char *name,
                                 const struct jb_grow *text)
{
    char path[JB_REPORT_PATH];
    enum jb_status status = jb_report_path(report->output, name, "", path);
    if (status == JB_OK && text->has_failed) {
        status = jb_fail(JB_E_NOMEM, "no memory for '%s'", path);
    }
    if (status != JB_OK) {
        return status;
    }
    FILE *out = fopen(path, "wb");
    const bool is_written = out != NULL && fwrite(text->bytes, 1, text->used, out) == text->used;
    if (out == NULL || fclose(out) != 0 || !is_written) {
        return jb_fail(errno == EACCES ? JB_E_PERM : JB_E_IO, "cannot write '%s': %s", path,
                       strerror(errno));
    }
    return JB_OK;
}

static enum jb_status write_all(struct jb_report *report)
{
    struct jb_grow page = {.bytes = NULL}, tex = {.bytes = NULL};
    enum jb_status status = jb_make_folder(report->output);
    if (status == JB_OK) {
        status = jb_report_draw(report);
    }
    if (status == JB_OK) {
        jb_report_html(report, &page);
        status = write_text(report, "index.html", &page);
    }
    if (status == JB_OK) {
        jb_report_tex(report, &tex);
        status = write_text(report, "report.tex", &tex);
    }
    free(page.bytes);
    free(tex.bytes);
    return status;
}

int jb_cmd_report(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    optind = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (c == 'h') {
            print_help();
            return JB_EXIT_OK;
        }
        return jb_cli_usage("report", "unknown option '%s'", argv[optind - 1]);
    }
    if (optind + 1 != argc || argv[optind][0] == '\0') {
        return jb_cli_usage("report", "name one folder with results");
    }
    struct jb_report report = {.folder = NULL};
    enum jb_status status = jb_report_read(argv[optind], &report);
    if (status == JB_OK) {
        status = write_all(&report);
    }
    if (status == JB_OK) {
        (void)fprintf(stderr, "joulebench: %u files, %llu configurations, %u figures: '%s'\n",
                      report.n_files, (unsigned long long)report.n_groups, report.n_figures,
                      report.output);
    }
    jb_report_free(&report);
    return status == JB_OK ? JB_EXIT_OK : jb_cli_fail(status);
}
