/* SPDX-License-Identifier: MIT */
#include "results/csv_lines.h"

#include <csv.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/text.h"

#define MAX_FILE_BYTES ((size_t)1 << 28)
#define MAX_CELL_BYTES ((size_t)1 << 16)

struct reader {
    const struct jb_csv_visitor *visitor;
    void *user;
    struct jb_csv_place place;
    uint32_t n_fields; /* columns of the header */
    uint64_t n_rows;
    char *titles[JB_CSV_MAX_COLUMNS];
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

enum jb_status jb_csv_refuse(const struct jb_csv_place *place, const char *what, const char *text,
                             size_t size)
{
    const bool has_title = place->title[0] != '\0';
    return jb_fail(JB_E_FORMAT, "%s:%llu: column %u%s%s%s: '%s' %s", place->name,
                   (unsigned long long)place->line, place->column + 1, has_title ? " (" : "",
                   place->title, has_title ? ")" : "", excerpt_of(text, size).text, what);
}

static void refuse(struct reader *reader, const char *what, const char *text, size_t size)
{
    const uint32_t at = reader->place.column;
    reader->place.title = reader->has_header && at < reader->n_fields ? reader->titles[at] : "";
    reader->status = jb_csv_refuse(&reader->place, what, text, size);
}

static void take_title(struct reader *reader, const char *text, size_t size)
{
    const uint32_t at = reader->place.column;
    if (at >= JB_CSV_MAX_COLUMNS) {
        refuse(reader, "is one column too many", text, size);
        return;
    }
    if (size == 0) {
        refuse(reader, "names no column", text, size);
        return;
    }
    char *title = malloc(size + 1);
    if (title == NULL) {
        reader->status = jb_fail(JB_E_NOMEM, "%s:%llu: no memory for this table",
                                 reader->place.name, (unsigned long long)reader->place.line);
        return;
    }
    memcpy(title, text, size);
    title[size] = '\0';
    for (uint32_t i = 0; i < at; i++) {
        if (strcmp(reader->titles[i], title) == 0) {
            refuse(reader, "is there twice", text, size);
            free(title);
            return;
        }
    }
    reader->titles[at] = title;
    reader->n_fields = ++reader->place.column;
}

static bool begin_row(struct reader *reader)
{
    if (reader->n_rows >= JB_CSV_MAX_ROWS) {
        reader->status =
            jb_fail(JB_E_FORMAT, "%s:%llu: more than %llu rows", reader->place.name,
                    (unsigned long long)reader->place.line, (unsigned long long)JB_CSV_MAX_ROWS);
        return false;
    }
    reader->n_rows++;
    return true;
}

static void on_cell(void *cell, size_t size, void *user)
{
    struct reader *reader = user;
    const char *text = size > 0 ? cell : "";
    if (reader->status != JB_OK) {
        return;
    }
    if (size > MAX_CELL_BYTES) {
        refuse(reader, "is longer than any cell may be", text, size);
    } else if (memchr(text, '\0', size) != NULL) {
        refuse(reader, "holds a NUL byte", text, size);
    } else if (jb_utf8_valid(text, size) != size) {
        refuse(reader, "is not UTF-8", text, size);
    } else if (!reader->has_header) {
        take_title(reader, text, size);
    } else if (reader->place.column >= reader->n_fields) {
        refuse(reader, "is a cell more than the header has columns", text, size);
    } else if (reader->place.column > 0 || begin_row(reader)) {
        reader->place.title = reader->titles[reader->place.column];
        reader->status = reader->visitor->on_cell(reader->user, &reader->place, text, size);
        reader->place.column++;
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
        reader->has_header = true;
        reader->place.title = "";
        reader->status = reader->visitor->on_header(reader->user, &reader->place, reader->titles,
                                                    reader->n_fields);
    } else if (reader->place.column != reader->n_fields) {
        reader->status = jb_fail(JB_E_FORMAT, "%s:%llu: %u cells where the header has %u columns",
                                 reader->place.name, (unsigned long long)reader->place.line,
                                 reader->place.column, reader->n_fields);
    }
    reader->place.column = 0;
}

/* @return false when reading has to stop; the reason is recorded. */
static bool feed_line(struct reader *reader, struct csv_parser *parser, const char *line,
                      size_t size)
{
    reader->place.line++;
    if (csv_parse(parser, line, size, on_cell, on_row, reader) != size && reader->status == JB_OK) {
        reader->status = jb_fail(JB_E_FORMAT, "%s:%llu: column %u: %s", reader->place.name,
                                 (unsigned long long)reader->place.line, reader->place.column + 1,
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
        return jb_fail(JB_E_NOMEM, "%s: no memory for the CSV reader", reader->place.name);
    }
    size_t at = size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    uint64_t row_line = 1;
    bool goes_on = true;
    *ret_torn = false;
    while (goes_on && at < size) {
        const char *end = memchr(text + at, '\n', size - at);
        if (end == NULL && !reader->visitor->takes_open_end) {
            *ret_torn = true;
            break;
        }
        const size_t length = end == NULL ? size - at : (size_t)(end - (text + at)) + 1;
        row_line = reader->place.column == 0 ? reader->place.line + 1 : row_line;
        goes_on = feed_line(reader, &parser, text + at, length);
        at += length;
    }
    if (goes_on && csv_fini(&parser, on_cell, on_row, reader) != 0) {
        reader->status =
            jb_fail(JB_E_FORMAT, "%s:%llu: a quote is opened in this row and never closed",
                    reader->place.name, (unsigned long long)row_line);
    }
    csv_free(&parser);
    return reader->status;
}

enum jb_status jb_csv_visit(const char *text, size_t size, const char *name,
                            const struct jb_csv_visitor *visitor, void *user, bool *ret_torn)
{
    if (size > MAX_FILE_BYTES) {
        return jb_fail(JB_E_FORMAT, "%s:1: larger than the %zu MiB a table may have", name,
                       MAX_FILE_BYTES >> 20);
    }
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return jb_fail(JB_E_NOMEM, "%s: no memory for the CSV reader", name);
    }
    reader->visitor = visitor;
    reader->user = user;
    reader->place = (struct jb_csv_place){.name = name, .title = ""};
    bool is_torn = false;
    const enum jb_status status = parse(reader, text, size, &is_torn);
    for (uint32_t i = 0; i < reader->n_fields; i++) {
        free(reader->titles[i]);
    }
    free(reader);
    if (status == JB_OK && ret_torn != NULL) {
        *ret_torn = is_torn;
    }
    return status;
}

/* At most one byte over the limit; pipes are welcome. */
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

enum jb_status jb_csv_slurp(const char *path, char **ret_text, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        const enum jb_status code = errno == ENOENT   ? JB_E_NODEV
                                    : errno == EACCES ? JB_E_PERM
                                                      : JB_E_IO;
        return jb_fail(code, "cannot open '%s': %s", path, strerror(errno));
    }
    const enum jb_status status = read_stream(file, path, ret_text, ret_size);
    (void)fclose(file);
    return status;
}
