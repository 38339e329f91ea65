/* SPDX-License-Identifier: MIT */
/* Our own table: columns by name, strict types. Whatever this project could not have written into
 * a column is refused. */
#include <stdlib.h>
#include <string.h>

#include "results/csv_lines.h"
#include "results/results.h"
#include "results/text.h"

struct reader {
    struct jb_table table;
    uint64_t row_capacity;
    uint32_t n_fields;
    const struct jb_column *ours[JB_CSV_MAX_COLUMNS]; /* NULL = an extra column: */
    uint32_t extra_at[JB_CSV_MAX_COLUMNS];            /* its place among those   */
    uint32_t gap; /* first column of the row that is empty as only imported ones may be; else
                     n_fields */
};

static enum jb_status no_memory(const struct jb_csv_place *place)
{
    return jb_fail(JB_E_NOMEM, "%s:%llu: no memory for this table", place->name,
                   (unsigned long long)place->line);
}

static char *copy_text(const char *text, size_t size)
{
    char *copy = malloc(size + 1);
    if (copy != NULL) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    return copy;
}

static enum jb_status on_header(void *user, const struct jb_csv_place *place, char *const *titles,
                                uint32_t n)
{
    struct reader *reader = user;
    reader->n_fields = n;
    for (uint32_t i = 0; i < n; i++) {
        reader->ours[i] = jb_column_find(titles[i]);
    }
    for (uint32_t i = 0; i < jb_column_count(); i++) {
        const struct jb_column *column = jb_column_at(i);
        uint32_t at = 0;
        while (at < n && reader->ours[at] != column) {
            at++;
        }
        if (at == n && !column->may_be_empty) {
            return jb_fail(JB_E_FORMAT, "%s:%llu: column '%s' is missing: not a joulebench table",
                           place->name, (unsigned long long)place->line, column->name);
        }
    }
    struct jb_table *table = &reader->table;
    table->extra_names = calloc((size_t)n + 1, sizeof *table->extra_names);
    if (table->extra_names == NULL) {
        return no_memory(place);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (reader->ours[i] == NULL) {
            char *name = copy_text(titles[i], strlen(titles[i]));
            if (name == NULL) {
                return no_memory(place);
            }
            reader->extra_at[i] = table->n_extra;
            table->extra_names[table->n_extra++] = name;
        }
    }
    return JB_OK;
}

static enum jb_status begin_row(struct reader *reader, const struct jb_csv_place *place)
{
    struct jb_table *table = &reader->table;
    if ((table->n_rows + 1) * table->n_extra > JB_CSV_MAX_CELLS) {
        return jb_fail(JB_E_FORMAT, "%s:%llu: more than %llu foreign cells", place->name,
                       (unsigned long long)place->line, (unsigned long long)JB_CSV_MAX_CELLS);
    }
    if (table->n_rows == reader->row_capacity) {
        const uint64_t capacity = reader->row_capacity == 0 ? 64 : 2 * reader->row_capacity;
        struct jb_record *rows = realloc(table->rows, capacity * sizeof *rows);
        if (rows != NULL) {
            table->rows = rows;
        }
        char **extra = realloc(table->extra, (capacity * table->n_extra + 1) * sizeof *extra);
        if (extra != NULL) {
            table->extra = extra;
        }
        if (rows == NULL || extra == NULL) {
            return no_memory(place);
        }
        reader->row_capacity = capacity;
    }
    jb_record_init(&table->rows[table->n_rows]);
    for (uint32_t i = 0; i < table->n_extra; i++) {
        table->extra[table->n_rows * table->n_extra + i] = NULL;
    }
    table->n_rows++;
    return JB_OK;
}

static enum jb_status take_extra(struct reader *reader, const struct jb_csv_place *place,
                                 const char *text, size_t size)
{
    struct jb_table *table = &reader->table;
    char *copy = copy_text(text, size);
    if (copy == NULL) {
        return no_memory(place);
    }
    table->extra[(table->n_rows - 1) * table->n_extra + reader->extra_at[place->column]] = copy;
    return JB_OK;
}

static enum jb_status take_cell(struct reader *reader, const struct jb_csv_place *place,
                                const char *text, size_t size)
{
    const struct jb_column *column = reader->ours[place->column];
    char *member = (char *)&reader->table.rows[reader->table.n_rows - 1] + column->offset;
    int64_t integer;
    double real;
    if (size == 0) {
        if (!column->may_be_empty && column->may_be_empty_imported &&
            reader->gap == reader->n_fields) {
            reader->gap = place->column;
        }
        return column->may_be_empty_imported
                   ? JB_OK
                   : jb_csv_refuse(place, "is no value; this column may not be empty", text, size);
    }
    if (column->type == JB_COLUMN_INT) {
        if (!jb_int_parse(text, size, &integer)) {
            return jb_csv_refuse(place, "is not a whole number", text, size);
        }
        memcpy(member, &integer, sizeof integer);
    } else if (column->type == JB_COLUMN_REAL) {
        if (!jb_real_parse(text, size, &real)) {
            return jb_csv_refuse(place, "is not a finite decimal number", text, size);
        }
        memcpy(member, &real, sizeof real);
    } else if (size >= column->size) {
        return jb_csv_refuse(place, "is longer than the column allows", text, size);
    } else if (column->offset == offsetof(struct jb_record, schema) &&
               (size != sizeof JB_SCHEMA - 1 || memcmp(text, JB_SCHEMA, size) != 0)) {
        return jb_csv_refuse(place, "is another schema than " JB_SCHEMA ", the one read here", text,
                             size);
    } else {
        memcpy(member, text, size);
        member[size] = '\0';
    }
    return JB_OK;
}

/* At the end of a row: what may be empty depends on where the row is from. */
static enum jb_status check_gap(const struct reader *reader, const struct jb_csv_place *place)
{
    const struct jb_record *row = &reader->table.rows[reader->table.n_rows - 1];
    if (reader->gap == reader->n_fields || strcmp(row->time_class, "literature") == 0) {
        return JB_OK;
    }
    const struct jb_csv_place gap = {place->name, place->line, reader->gap,
                                     reader->ours[reader->gap]->name};
    return jb_csv_refuse(&gap, "is no value; this column may not be empty but in imported rows", "",
                         0);
}

static enum jb_status on_cell(void *user, const struct jb_csv_place *place, const char *text,
                              size_t size)
{
    struct reader *reader = user;
    enum jb_status status = JB_OK;
    if (place->column == 0) {
        reader->gap = reader->n_fields;
        status = begin_row(reader, place);
    }
    if (status == JB_OK) {
        status = reader->ours[place->column] == NULL ? take_extra(reader, place, text, size)
                                                     : take_cell(reader, place, text, size);
    }
    if (status == JB_OK && place->column + 1 == reader->n_fields) {
        status = check_gap(reader, place);
    }
    return status;
}

enum jb_status jb_table_parse(const char *text, size_t size, const char *name,
                              struct jb_table *ret_table, bool *ret_torn)
{
    static const struct jb_csv_visitor visitor = {.on_header = on_header, .on_cell = on_cell};
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return jb_fail(JB_E_NOMEM, "%s: no memory for the CSV reader", name);
    }
    const enum jb_status status = jb_csv_visit(text, size, name, &visitor, reader, ret_torn);
    if (status == JB_OK) {
        *ret_table = reader->table;
    } else {
        jb_table_free(&reader->table);
    }
    free(reader);
    return status;
}

enum jb_status jb_table_read(const char *path, struct jb_table *ret_table, bool *ret_torn)
{
    char *text = NULL;
    size_t size = 0;
    enum jb_status status = jb_csv_slurp(path, &text, &size);
    if (status == JB_OK) {
        status = jb_table_parse(text, size, path, ret_table, ret_torn);
        free(text);
    }
    return status;
}
