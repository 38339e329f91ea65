/* SPDX-License-Identifier: MIT */
/* joulebench verify: whether result files can be what `run` wrote. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cli.h"
#include "bench/verify.h"
#include "platforms/base/units.h"

static const char help[] =
    "usage: joulebench verify FILE.csv...\n"
    "\n"
    "Checks rows that `run` wrote: words of the schema, arithmetic between columns, rows that are\n"
    "there twice, and digests against the ids kept in FILE.csv.ids. Prints what is wrong as CSV\n"
    "(file,line,column,finding) on stdout and a count on stderr. `audit` looks at any table, and "
    "at\n"
    "whether its numbers are plausible.\n"
    "\n"
    "options\n"
    "  --quiet     no count\n"
    "  -h, --help  this text\n"
    "\n"
    "exit codes: 0 nothing found; 2 not readable as rows of ours; 4 something found\n";

struct findings {
    const char *path; /* of the file that is looked at */
    bool has_header;
    uint64_t n;
};

static void print_finding(void *ctx, uint64_t line, const char *column, const char *what)
{
    struct findings *findings = ctx;
    if (!findings->has_header) {
        (void)puts("file,line,column,finding");
        findings->has_header = true;
    }
    jb_cli_csv_cell(stdout, findings->path);
    (void)printf(",%" PRIu64 ",%s,", line, column);
    jb_cli_csv_cell(stdout, what);
    (void)putchar('\n');
    findings->n++;
}

static bool has_digest(const struct jb_table *table)
{
    uint64_t row = 0;
    while (row < table->n_rows && table->rows[row].tokens_digest[0] == '\0') {
        row++;
    }
    return row < table->n_rows;
}

/* Digests need the file of ids; where there is none, that is told, not held against the rows. */
static enum jb_status verify_ids(const char *path, const struct jb_table *table, bool is_quiet,
                                 struct findings *findings)
{
    struct jb_ids_table ids = {.groups = NULL};
    const size_t size = strlen(path) + sizeof ".ids";
    char *ids_path = malloc(size);
    if (ids_path == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for a file name");
    }
    (void)snprintf(ids_path, size, "%s.ids", path);
    findings->path = ids_path;
    enum jb_status status = jb_verify_ids(ids_path, &ids, print_finding, findings);
    findings->path = path;
    if (status == JB_OK) {
        jb_verify_digests(table, &ids, print_finding, findings);
        jb_ids_table_free(&ids);
    } else if (status == JB_E_NODEV) {
        status = JB_OK;
        if (!is_quiet) {
            (void)fprintf(stderr, "joulebench: note: %s is not there: digests are not checked\n",
                          ids_path);
        }
    }
    free(ids_path);
    return status;
}

static enum jb_status verify_file(const char *path, bool is_quiet, struct findings *findings,
                                  uint64_t *n_rows)
{
    struct jb_table table;
    bool is_torn = false;
    enum jb_status status = jb_table_read(path, &table, &is_torn);
    if (status != JB_OK) {
        return status;
    }
    findings->path = path;
    *n_rows += table.n_rows;
    jb_verify_rows(&table, print_finding, findings);
    if (is_torn) {
        print_finding(findings, table.n_rows + 2, "", "a torn last line");
    }
    if (has_digest(&table)) {
        status = verify_ids(path, &table, is_quiet, findings);
    }
    jb_table_free(&table);
    return status;
}

int jb_cmd_verify(int argc, char **argv)
{
    static const struct option options[] = {
        {"quiet", no_argument, NULL, 'q'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    struct findings findings = {.path = NULL};
    bool is_quiet = false;
    uint64_t n_rows = 0;
    optind = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (c == 'h') {
            (void)fputs(help, stdout);
            return JB_EXIT_OK;
        }
        if (c != 'q') {
            return jb_cli_usage("verify", "unknown option '%s'", argv[optind - 1]);
        }
        is_quiet = true;
    }
    if (optind == argc) {
        return jb_cli_usage("verify", "which file? give at least one");
    }
    for (int i = optind; i < argc; i++) {
        const enum jb_status status = verify_file(argv[i], is_quiet, &findings, &n_rows);
        if (status != JB_OK) {
            return jb_cli_fail(status);
        }
    }
    if (!is_quiet) {
        (void)fprintf(stderr, "joulebench: %" PRIu64 " rows, %" PRIu64 " findings\n", n_rows,
                      findings.n);
    }
    return findings.n > 0 ? JB_EXIT_INVALID : JB_EXIT_OK;
}
