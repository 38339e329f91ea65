/* SPDX-License-Identifier: MIT */
#include "results/sheet.h"

#include <stdlib.h>
#include <string.h>

#include "results/csv_lines.h"

struct reader {
    struct jb_sheet sheet;
    uint64_t row_capacity;
    size_t used, capacity; /* of bytes */
};

static enum jb_status no_memory(const struct jb_csv_place *place)
{
    return jb_fail(JB_E_NOMEM, "%s:%llu: no memory for this table", place->name,
                   (unsigned long long)place->line);
}

static enum jb_status on_header(void *user, const struct jb_csv_place *place, char *const *titles,
                                uint32_t n)
{
    struct jb_sheet *sheet = &((struct reader *)user)->sheet;
    sheet->titles = calloc((size_t)n + 1, sizeof *sheet->titles);
    if (sheet->titles == NULL) {
        return no_memory(place);
    }
    for (; sheet->n_columns < n; sheet->n_columns++) {
        const size_t size = strlen(titles[sheet->n_columns]) + 1;
        char *title = malloc(size);
        if (title == NULL) {
            return no_memory(place);
        }
        memcpy(title, titles[sheet->n_columns], size);
        sheet->titles[sheet->n_columns] = title;
    }
    return JB_OK;
}

static enum jb_status begin_row(struct reader *reader, const struct jb_csv_place *place)
{
    struct jb_sheet *sheet = &reader->sheet;
    if ((sheet->n_rows + 1) * sheet->n_columns > JB_CSV_MAX_CELLS) {
        return jb_fail(JB_E_FORMAT, "%s:%llu: more than %llu cells", place->name,
                       (unsigned long long)place->line, (unsigned long long)JB_CSV_MAX_CELLS);
    }
    if (sheet->n_rows == reader->row_capacity) {
        const uint64_t capacity = reader->row_capacity == 0 ? 64 : 2 * reader->row_capacity;
        uint64_t *lines = realloc(sheet->lines, capacity * sizeof *lines);
        if (lines != NULL) {
            sheet->lines = lines;
        }
        size_t *cells = realloc(sheet->cells, capacity * sheet->n_columns * sizeof *cells);
        if (cells != NULL) {
            sheet->cells = cells;
        }
        if (lines == NULL || cells == NULL) {
            return no_memory(place);
        }
        reader->row_capacity = capacity;
    }
    sheet->lines[sheet->n_rows++] = place->line;
    return JB_OK;
}

static enum jb_status on_cell(void *user, const struct jb_csv_place *place, const char *text,
                              size_t size)
{
    struct reader *reader = user;
    struct jb_sheet *sheet = &reader->sheet;
    const enum jb_status status = place->column == 0 ? begin_row(reader, place) : JB_OK;
    if (status != JB_OK) {
        return status;
    }
    if (size + 1 > reader->capacity - reader->used) {
        const size_t capacity = 2 * (reader->used + size + 1);
        char *bytes = realloc(sheet->bytes, capacity);
        if (bytes == NULL) {
            return no_memory(place);
        }
        sheet->bytes = bytes;
        reader->capacity = capacity;
    }
    sheet->cells[(sheet->n_rows - 1) * sheet->n_columns + place->column] = reader->used;
    memcpy(sheet->bytes + reader->used, text, size);
    sheet->bytes[reader->used + size] = '\0';
    reader->used += size + 1;
    return JB_OK;
}

enum jb_status jb_sheet_parse(const char *text, size_t size, const char *name,
                              struct jb_sheet *ret_sheet)
{
    static const struct jb_csv_visitor visitor = {
        .on_header = on_header, .on_cell = on_cell, .takes_open_end = true};
    struct reader reader = {.row_capacity = 0};
    enum jb_status status = jb_csv_visit(text, size, name, &visitor, &reader, NULL);
    if (status == JB_OK && reader.sheet.n_columns == 0) {
        status = jb_fail(JB_E_FORMAT, "%s:1: an empty file has no columns", name);
    }
    if (status == JB_OK) {
        *ret_sheet = reader.sheet;
    } else {
        jb_sheet_free(&reader.sheet);
    }
    return status;
}

enum jb_status jb_sheet_read(const char *path, struct jb_sheet *ret_sheet)
{
    char *text = NULL;
    size_t size = 0;
    enum jb_status status = jb_csv_slurp(path, &text, &size);
    if (status == JB_OK) {
        status = jb_sheet_parse(text, size, path, ret_sheet);
        free(text);
    }
    return status;
}

void jb_sheet_free(struct jb_sheet *sheet)
{
    if (sheet == NULL) {
        return;
    }
    for (uint32_t i = 0; i < sheet->n_columns; i++) {
        free(sheet->titles[i]);
    }
    free(sheet->titles);
    free(sheet->lines);
    free(sheet->cells);
    free(sheet->bytes);
    *sheet = (struct jb_sheet){0};
}

const char *jb_sheet_cell(const struct jb_sheet *sheet, uint64_t row, uint32_t column)
{
    return sheet->bytes + sheet->cells[row * sheet->n_columns + column];
}

uint32_t jb_sheet_find(const struct jb_sheet *sheet, const char *title)
{
    uint32_t column = 0;
    while (column < sheet->n_columns && strcmp(sheet->titles[column], title) != 0) {
        column++;
    }
    return column;
}
