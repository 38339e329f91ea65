/* SPDX-License-Identifier: MIT */
/* Strict reading through libcsv, a line at a time so that every complaint has its line. Nothing
 * in a file is trusted: sizes are capped, and whatever this project could not have written into a
 * column is refused. */
#include <csv.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "results/results.h"
#include "results/text.h"

#define MAX_FILE_BYTES ((size_t)1 << 28)
#define MAX_CELL_BYTES ((size_t)1 << 16)
#define MAX_COLUMNS 1024u
#define MAX_ROWS ((uint64_t)1 << 20)
#define MAX_EXTRA_CELLS ((uint64_t)1 << 23)

struct reader {
    const char *name;
    struct jb_table table;
    uint64_t line, row_capacity;
    uint32_t n_fields, n_cells; /* columns of the header; cells of this row so far */
    char *titles[MAX_COLUMNS];
    const struct jb_column *ours[MAX_COLUMNS]; /* NULL = an extra column: */
    uint32_t extra_at[MAX_COLUMNS];            /* its place among those   */
    bool has_header;
    enum jb_status status;
};

/* User text fit for a message: at most 40 bytes, nothing that moves a cursor. */
struct excerpt {
    char text[48];
};

static struct excerpt excerpt_of(const char *text, size_t size)
{
    struct excerpt result = {""};
    const size_t n = size < 40 ? size : 40;
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)text[i];
        result.text[i] = c < 0x20 || c >= 0x7F ? '?' : (char)c;
    }
    memcpy(result.text + n, size > n ? "..." : "", size > n ? 4 : 1);
    return result;
}

static void refuse(struct reader *reader, const char *what, const char *text, size_t size)
{
    const uint32_t at = reader->n_cells;
    const char *title = reader->has_header && at < reader->n_fields ? reader->titles[at] : "";
    reader->status = jb_fail(JB_E_FORMAT, "%s:%llu: column %u%s%s%s: '%s' %s", reader->name,
                             (unsigned long long)reader->line, at + 1, *title != '\0' ? " (" : "",
                             title, *title != '\0' ? ")" : "", excerpt_of(text, size).text, what);
}

static void no_memory(struct reader *reader)
{
    reader->status = jb_fail(JB_E_NOMEM, "%s:%llu: no memory for this table", reader->name,
                             (unsigned long long)reader->line);
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

static void take_title(struct reader *reader, const char *text, size_t size)
{
    if (reader->n_cells >= MAX_COLUMNS) {
        refuse(reader, "is one column too many", text, size);
        return;
    }
    if (size == 0) {
        refuse(reader, "names no column", text, size);
        return;
    }
    char *title = copy_text(text, size);
    if (title == NULL) {
        no_memory(reader);
        return;
    }
    for (uint32_t i = 0; i < reader->n_cells; i++) {
        if (strcmp(reader->titles[i], title) == 0) {
            refuse(reader, "is there twice", text, size);
            free(title);
            return;
        }
    }
    reader->ours[reader->n_cells] = jb_column_find(title);
    reader->titles[reader->n_cells++] = title;
    reader->n_fields = reader->n_cells;
}

static void end_header(struct reader *reader)
{
    for (uint32_t i = 0; i < jb_column_count(); i++) {
        const struct jb_column *column = jb_column_at(i);
        uint32_t at = 0;
        while (at < reader->n_fields && reader->ours[at] != column) {
            at++;
        }
        if (at == reader->n_fields && !column->may_be_empty) {
            reader->status =
                jb_fail(JB_E_FORMAT, "%s:%llu: column '%s' is missing: not a joulebench table",
                        reader->name, (unsigned long long)reader->line, column->name);
            return;
        }
    }
    struct jb_table *table = &reader->table;
    table->extra_names = calloc((size_t)reader->n_fields + 1, sizeof *table->extra_names);
    if (table->extra_names == NULL) {
        no_memory(reader);
        return;
    }
    for (uint32_t i = 0; i < reader->n_fields; i++) {
        if (reader->ours[i] == NULL) {
            char *name = copy_text(reader->titles[i], strlen(reader->titles[i]));
            if (name == NULL) {
                no_memory(reader);
                return;
            }
            reader->extra_at[i] = table->n_extra;
            table->extra_names[table->n_extra++] = name;
        }
    }
    reader->has_header = true;
}

static bool begin_row(struct reader *reader)
{
    struct jb_table *table = &reader->table;
    if (table->n_rows >= MAX_ROWS || (table->n_rows + 1) * table->n_extra > MAX_EXTRA_CELLS) {
        reader->status = jb_fail(JB_E_FORMAT, "%s:%llu: more than %llu rows or %llu foreign cells",
                                 reader->name, (unsigned long long)reader->line,
                                 (unsigned long long)MAX_ROWS, (unsigned long long)MAX_EXTRA_CELLS);
        return false;
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
            no_memory(reader);
            return false;
        }
        reader->row_capacity = capacity;
    }
    jb_record_init(&table->rows[table->n_rows]);
    for (uint32_t i = 0; i < table->n_extra; i++) {
        table->extra[table->n_rows * table->n_extra + i] = NULL;
    }
    table->n_rows++;
    return true;
}

static void take_extra(struct reader *reader, const char *text, size_t size)
{
    struct jb_table *table = &reader->table;
    char *copy = copy_text(text, size);
    if (copy == NULL) {
        no_memory(reader);
        return;
    }
    table->extra[(table->n_rows - 1) * table->n_extra + reader->extra_at[reader->n_cells]] = copy;
}

static void take_cell(struct reader *reader, const char *text, size_t size)
{
    const struct jb_column *column = reader->ours[reader->n_cells];
    char *member = (char *)&reader->table.rows[reader->table.n_rows - 1] + column->offset;
    int64_t integer;
    double real;
    if (size == 0) {
        if (!column->may_be_empty) {
            refuse(reader, "is no value; this column may not be empty", text, size);
        }
    } else if (column->type == JB_COLUMN_INT) {
        if (!jb_int_parse(text, size, &integer)) {
            refuse(reader, "is not a whole number", text, size);
            return;
        }
        memcpy(member, &integer, sizeof integer);
    } else if (column->type == JB_COLUMN_REAL) {
        if (!jb_real_parse(text, size, &real)) {
            refuse(reader, "is not a finite decimal number", text, size);
            return;
        }
        memcpy(member, &real, sizeof real);
    } else if (size >= column->size) {
        refuse(reader, "is longer than the column allows", text, size);
    } else if (column->offset == offsetof(struct jb_record, schema) &&
               (size != sizeof JB_SCHEMA - 1 || memcmp(text, JB_SCHEMA, size) != 0)) {
        refuse(reader, "is another schema than " JB_SCHEMA ", the one read here", text, size);
    } else {
        memcpy(member, text, size);
        member[size] = '\0';
    }
}

static void on_cell(void *cell, size_t size, void *user)
{
    struct reader *reader = user;
    const char *text = cell;
    if (reader->status != JB_OK) {
        return;
    }
    if (size > MAX_CELL_BYTES) {
        refuse(reader, "is longer than any cell may be", text, size);
    } else if (size > 0 && memchr(text, '\0', size) != NULL) {
        refuse(reader, "holds a NUL byte", text, size);
    } else if (jb_utf8_valid(text, size) != size) {
        refuse(reader, "is not UTF-8", text, size);
    } else if (!reader->has_header) {
        take_title(reader, text, size);
    } else if (reader->n_cells >= reader->n_fields) {
        refuse(reader, "is a cell more than the header has columns", text, size);
    } else if (reader->n_cells > 0 || begin_row(reader)) {
        if (reader->ours[reader->n_cells] == NULL) {
            take_extra(reader, text, size);
        } else {
            take_cell(reader, text, size);
        }
        reader->n_cells++;
    }
}

static void on_row(int terminator, void *user)
{
    struct reader *reader = user;
    (void)terminator;
    if (reader->status != JB_OK) {
        return;
    }
    if (!reader->has_header) {
        end_header(reader);
    } else if (reader->n_cells != reader->n_fields) {
        reader->status =
            jb_fail(JB_E_FORMAT, "%s:%llu: %u cells where the header has %u columns", reader->name,
                    (unsigned long long)reader->line, reader->n_cells, reader->n_fields);
    }
    reader->n_cells = 0;
}

/* @return false when reading has to stop; the reason is recorded. */
static bool feed_line(struct reader *reader, struct csv_parser *parser, const char *line,
                      size_t size)
{
    reader->line++;
    if (csv_parse(parser, line, size, on_cell, on_row, reader) != size && reader->status == JB_OK) {
        reader->status = jb_fail(JB_E_FORMAT, "%s:%llu: column %u: %s", reader->name,
                                 (unsigned long long)reader->line, reader->n_cells + 1,
                                 csv_error(parser) == CSV_EPARSE
                                     ? "a quote stands inside a cell, or text after one"
                                     : csv_strerror(csv_error(parser)));
    }
    return reader->status == JB_OK;
}

static enum jb_status parse(struct reader *reader, const char *text, size_t size, bool *ret_torn)
{
    struct csv_parser parser;
    if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI) != 0) {
        return jb_fail(JB_E_NOMEM, "%s: no memory for the CSV reader", reader->name);
    }
    size_t at = size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    uint64_t row_line = 1;
    bool goes_on = true;
    *ret_torn = false;
    while (goes_on && at < size) {
        const char *end = memchr(text + at, '\n', size - at);
        if (end == NULL) {
            *ret_torn = true;
            break;
        }
        const size_t length = (size_t)(end - (text + at)) + 1;
        row_line = reader->n_cells == 0 ? reader->line + 1 : row_line;
        goes_on = feed_line(reader, &parser, text + at, length);
        at += length;
    }
    if (goes_on && csv_fini(&parser, on_cell, on_row, reader) != 0) {
        reader->status =
            jb_fail(JB_E_FORMAT, "%s:%llu: a quote is opened in this row and never closed",
                    reader->name, (unsigned long long)row_line);
    }
    csv_free(&parser);
    return reader->status;
}

enum jb_status jb_table_parse(const char *text, size_t size, const char *name,
                              struct jb_table *ret_table, bool *ret_torn)
{
    if (size > MAX_FILE_BYTES) {
        return jb_fail(JB_E_FORMAT, "%s:1: larger than the %zu MiB a table may have", name,
                       MAX_FILE_BYTES >> 20);
    }
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return jb_fail(JB_E_NOMEM, "%s: no memory for the CSV reader", name);
    }
    reader->name = name;
    bool is_torn = false;
    const enum jb_status status = parse(reader, text, size, &is_torn);
    for (uint32_t i = 0; i < reader->n_fields; i++) {
        free(reader->titles[i]);
    }
    if (status == JB_OK) {
        *ret_table = reader->table;
        if (ret_torn != NULL) {
            *ret_torn = is_torn;
        }
    } else {
        jb_table_free(&reader->table);
    }
    free(reader);
    return status;
}

/* Whole stream in memory, at most one byte over the limit; pipes are welcome. */
static enum jb_status read_stream(FILE *file, const char *path, char **ret_text, size_t *ret_size)
{
    char *text = NULL;
    size_t used = 0, capacity = 0;
    for (;;) {
        if (used == capacity) {
            capacity = capacity == 0 ? (size_t)1 << 16 : 2 * capacity;
            char *grown = realloc(text, capacity);
            if (grown == NULL) {
                free(text);
                return jb_fail(JB_E_NOMEM, "no memory to read '%s'", path);
            }
            text = grown;
        }
        const size_t n = fread(text + used, 1, capacity - used, file);
        used += n;
        if (n == 0 || used > MAX_FILE_BYTES) {
            break;
        }
    }
    if (ferror(file)) {
        free(text);
        return jb_fail(JB_E_IO, "cannot read '%s': %s", path, strerror(errno));
    }
    *ret_text = text;
    *ret_size = used;
    return JB_OK;
}

enum jb_status jb_table_read(const char *path, struct jb_table *ret_table, bool *ret_torn)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        const enum jb_status code = errno == ENOENT   ? JB_E_NODEV
                                    : errno == EACCES ? JB_E_PERM
                                                      : JB_E_IO;
        return jb_fail(code, "cannot open '%s': %s", path, strerror(errno));
    }
    char *text = NULL;
    size_t size = 0;
    enum jb_status status = read_stream(file, path, &text, &size);
    (void)fclose(file);
    if (status == JB_OK) {
        status = jb_table_parse(text, size, path, ret_table, ret_torn);
        free(text);
    }
    return status;
}
