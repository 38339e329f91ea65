/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "results/results.h"

static uint32_t find_extra(const struct jb_table *table, const char *name)
{
    uint32_t at = 0;
    while (at < table->n_extra && strcmp(table->extra_names[at], name) != 0) {
        at++;
    }
    return at;
}

/* Copies the cells of one table into the columns that its names have in the wider one. Cells
 * without a value are "". */
static bool copy_extra(struct jb_table *wide, uint64_t first_row, const struct jb_table *from)
{
    for (uint64_t r = 0; r < from->n_rows; r++) {
        for (uint32_t c = 0; c < wide->n_extra; c++) {
            const uint32_t at = find_extra(from, wide->extra_names[c]);
            const char *cell = at < from->n_extra ? from->extra[r * from->n_extra + at] : "";
            char *copy = strdup(cell);
            if (copy == NULL) {
                return false;
            }
            wide->extra[(first_row + r) * wide->n_extra + c] = copy;
        }
    }
    return true;
}

static bool copy_names(struct jb_table *wide, const struct jb_table *from)
{
    for (uint32_t c = 0; c < from->n_extra; c++) {
        if (find_extra(wide, from->extra_names[c]) == wide->n_extra) {
            char *name = strdup(from->extra_names[c]);
            if (name == NULL) {
                return false;
            }
            wide->extra_names[wide->n_extra++] = name;
        }
    }
    return true;
}

enum jb_status jb_table_append(struct jb_table *table, const struct jb_table *more)
{
    const uint64_t n_rows = table->n_rows + more->n_rows;
    struct jb_table wide = {.n_rows = n_rows};
    wide.rows = calloc(wide.n_rows + 1, sizeof *wide.rows);
    wide.extra_names = calloc((size_t)table->n_extra + more->n_extra + 1, sizeof *wide.extra_names);
    bool is_done = wide.rows != NULL && wide.extra_names != NULL && copy_names(&wide, table) &&
                   copy_names(&wide, more);
    if (is_done) {
        wide.extra = calloc(wide.n_rows * wide.n_extra + 1, sizeof *wide.extra);
        is_done = wide.extra != NULL && copy_extra(&wide, 0, table) &&
                  copy_extra(&wide, table->n_rows, more);
    }
    if (!is_done) {
        jb_table_free(&wide);
        return jb_fail(JB_E_NOMEM, "no memory to join tables of %llu rows",
                       (unsigned long long)n_rows);
    }
    if (table->n_rows > 0) {
        memcpy(wide.rows, table->rows, table->n_rows * sizeof *wide.rows);
    }
    if (more->n_rows > 0) {
        memcpy(wide.rows + table->n_rows, more->rows, more->n_rows * sizeof *wide.rows);
    }
    jb_table_free(table);
    *table = wide;
    return JB_OK;
}

void jb_table_free(struct jb_table *table)
{
    if (table == NULL) {
        return;
    }
    for (uint64_t i = 0; table->extra != NULL && i < table->n_rows * table->n_extra; i++) {
        free(table->extra[i]);
    }
    for (uint32_t i = 0; table->extra_names != NULL && i < table->n_extra; i++) {
        free(table->extra_names[i]);
    }
    free(table->extra);
    free(table->extra_names);
    free(table->rows);
    *table = (struct jb_table){0};
}
