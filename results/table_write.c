/* SPDX-License-Identifier: MIT */
/* A whole table as a new file: for rows that were imported or joined. `run` appends its own. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "results/grow.h"
#include "results/results.h"
#include "results/text.h"

static enum jb_status put_ours(struct jb_grow *text, const struct jb_record *row, uint64_t at,
                               const struct jb_column *column)
{
    const char *member = (const char *)row + column->offset;
    const size_t before = text->used;
    if (column->type == JB_COLUMN_TEXT) {
        jb_grow_cell(text, member);
    } else if (column->type == JB_COLUMN_INT) {
        int64_t value;
        memcpy(&value, member, sizeof value);
        if (value != JB_INT_MISSING) {
            jb_grow_print(text, "%lld", (long long)value);
        }
    } else {
        double value;
        char number[JB_NUMBER_MAX];
        memcpy(&value, member, sizeof value);
        if (isinf(value)) {
            return jb_fail(JB_E_NUMERIC, "row %llu: column '%s' is infinite",
                           (unsigned long long)at + 1, column->name);
        }
        jb_real_print(value, number);
        jb_grow_text(text, number);
    }
    if (text->used == before && !column->may_be_empty_imported && !text->has_failed) {
        return jb_fail(JB_E_INVAL, "row %llu: column '%s' is empty and must not be",
                       (unsigned long long)at + 1, column->name);
    }
    return JB_OK;
}

static enum jb_status put_row(struct jb_grow *text, const struct jb_table *table, uint64_t at)
{
    enum jb_status status = JB_OK;
    for (uint32_t c = 0; status == JB_OK && c < jb_column_count(); c++) {
        jb_grow_text(text, c > 0 ? "," : "");
        status = put_ours(text, &table->rows[at], at, jb_column_at(c));
    }
    for (uint32_t c = 0; c < table->n_extra; c++) {
        const char *cell = table->extra[at * table->n_extra + c];
        jb_grow_text(text, ",");
        jb_grow_cell(text, cell != NULL ? cell : "");
    }
    jb_grow_text(text, "\n");
    return status;
}

static enum jb_status print_table(const struct jb_table *table, struct jb_grow *text)
{
    enum jb_status status = JB_OK;
    for (uint32_t c = 0; c < jb_column_count(); c++) {
        jb_grow_print(text, "%s%s", c > 0 ? "," : "", jb_column_at(c)->name);
    }
    for (uint32_t c = 0; c < table->n_extra; c++) {
        jb_grow_text(text, ",");
        jb_grow_cell(text, table->extra_names[c]);
    }
    jb_grow_text(text, "\n");
    for (uint64_t r = 0; status == JB_OK && r < table->n_rows; r++) {
        status = put_row(text, table, r);
    }
    if (status == JB_OK && text->has_failed) {
        status = jb_fail(JB_E_NOMEM, "no memory for a table of %llu rows",
                         (unsigned long long)table->n_rows);
    }
    return status;
}

enum jb_status jb_table_write(const struct jb_table *table, const char *path)
{
    struct jb_grow text = {.bytes = NULL};
    const bool is_stdout = strcmp(path, "-") == 0;
    enum jb_status status = print_table(table, &text);
    FILE *out = is_stdout ? stdout : NULL;
    if (status == JB_OK && !is_stdout) {
        out = fopen(path, "wbx"); /* C11: fails if the file is there */
        if (out == NULL) {
            status = errno == EEXIST
                         ? jb_fail(JB_E_INVAL, "'%s' is there already; give another name", path)
                         : jb_fail(errno == EACCES ? JB_E_PERM : JB_E_IO, "cannot write '%s': %s",
                                   path, strerror(errno));
        }
    }
    if (status == JB_OK) {
        bool is_written = fwrite(text.bytes, 1, text.used, out) == text.used && fflush(out) == 0;
        is_written = (is_stdout || fclose(out) == 0) && is_written;
        if (!is_written) {
            status = jb_fail(JB_E_IO, "cannot write '%s': %s", path, strerror(errno));
            (void)(is_stdout ? 0 : remove(path));
        }
    }
    free(text.bytes);
    return status;
}
