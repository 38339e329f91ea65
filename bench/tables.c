/* SPDX-License-Identifier: MIT */
#include "bench/tables.h"

#include "bench/cli.h"

static int read_all(int n_files, char **files, struct jb_table *table)
{
    for (int i = 0; i < n_files; i++) {
        struct jb_table more = {0};
        bool is_torn = false;
        enum jb_status status = jb_table_read(files[i], &more, &is_torn);
        if (status == JB_OK) {
            status = jb_table_append(table, &more);
            jb_table_free(&more);
        }
        if (status != JB_OK) {
            return jb_cli_fail(status);
        }
        if (is_torn) {
            (void)fprintf(stderr, "joulebench: note: '%s' ends in a torn line, left out\n",
                          files[i]);
        }
    }
    return JB_EXIT_OK;
}

int jb_groups_of_files(const char *command, int n_files, char **files, struct jb_group **ret_groups,
                       uint64_t *ret_n)
{
    if (n_files == 0) {
        return jb_cli_usage(command, "give at least one result file (joulebench run --output)");
    }
    struct jb_table table = {0};
    int code = read_all(n_files, files, &table);
    if (code == JB_EXIT_OK && table.n_rows == 0) {
        jb_cli_error("'%s'%s: no complete row", files[0], n_files > 1 ? " and the others" : "");
        code = JB_EXIT_USAGE;
    }
    if (code == JB_EXIT_OK) {
        const enum jb_status status = jb_summarize(&table, ret_groups, ret_n);
        code = status == JB_OK ? JB_EXIT_OK : jb_cli_fail(status);
    }
    jb_table_free(&table);
    return code;
}
