/* SPDX-License-Identifier: MIT */
#ifndef JB_RESULTS_SHEET_H
#define JB_RESULTS_SHEET_H

/* A CSV file as text cells, for tables that are not ours: published points, other tools' results.
 * Read as strictly as our own, but a last line needs no line break. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platforms/base/status.h"

struct jb_sheet {
    char **titles;
    uint32_t n_columns;
    uint64_t n_rows;
    uint64_t *lines; /* of each row, for messages         */
    size_t *cells;   /* row by row: offsets into bytes    */
    char *bytes;
};

#ifdef __cplusplus
extern "C" {
#endif

/* @param name for messages
 * @param ret_sheet jb_sheet_free() gives it back
 * @return FORMAT with file, line and column; NOMEM. */
enum jb_status jb_sheet_parse(const char *text, size_t size, const char *name,
                              struct jb_sheet *ret_sheet) JB_MUST_CHECK;
/* The same from a file. @return also NODEV, PERM, IO. */
enum jb_status jb_sheet_read(const char *path, struct jb_sheet *ret_sheet) JB_MUST_CHECK;
/* The same from JSON: a list of objects; an object that holds such a list, whose other members then
 * belong to every row; or objects in a row (JSON lines); or an
 * object of nothing but objects, which are the rows. Titles are keys, or paths "outer.inner";
 * lists inside a row are cells of JSON. `lines` counts entries from 1.
 * @return also NOTSUP if this build reads no JSON. */
enum jb_status jb_sheet_parse_json(const char *text, size_t size, const char *name,
                                   struct jb_sheet *ret_sheet) JB_MUST_CHECK;
/* Whether a text looks like JSON: its first sign is a bracket or brace. */
bool jb_sheet_is_json(const char *text, size_t size);
void jb_sheet_free(struct jb_sheet *sheet); /* NULL is fine */

/* NUL-terminated, the sheet's own. */
const char *jb_sheet_cell(const struct jb_sheet *sheet, uint64_t row, uint32_t column);
/* n_columns if there is no such column. */
uint32_t jb_sheet_find(const struct jb_sheet *sheet, const char *title);

#ifdef __cplusplus
}
#endif
#endif
