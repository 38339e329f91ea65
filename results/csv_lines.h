/* SPDX-License-Identifier: MIT */
#ifndef JB_RESULTS_CSV_LINES_H
#define JB_RESULTS_CSV_LINES_H

/* Strict CSV for every reader of this folder: through libcsv, a line at a time so that each
 * complaint has its line. Nothing in a file is trusted: sizes are capped, bytes must be UTF-8,
 * titles are unique, every row is as wide as the header. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platforms/base/status.h"

#define JB_CSV_MAX_COLUMNS 1024u
#define JB_CSV_MAX_ROWS ((uint64_t)1 << 20)
#define JB_CSV_MAX_CELLS ((uint64_t)1 << 23)

/* Where the reader is, for complaints. */
struct jb_csv_place {
    const char *name;  /* of the file         */
    uint64_t line;     /* from 1              */
    uint32_t column;   /* from 0              */
    const char *title; /* "" in the header    */
};

/* What is done with a table. A status other than JB_OK stops the reading and is its result. */
struct jb_csv_visitor {
    enum jb_status (*on_header)(void *user, const struct jb_csv_place *place, char *const *titles,
                                uint32_t n);
    /* text is not NUL-terminated. Column 0 opens a row. */
    enum jb_status (*on_cell)(void *user, const struct jb_csv_place *place, const char *text,
                              size_t size);
    bool takes_open_end; /* a last line without a line break is a row; else it is torn */
};

#ifdef __cplusplus
extern "C" {
#endif

/* @param name for messages
 * @param ret_torn whether a torn last line was left out; NULL = don't tell
 * @return FORMAT with file, line and column; NOMEM; what the visitor returned. */
enum jb_status jb_csv_visit(const char *text, size_t size, const char *name,
                            const struct jb_csv_visitor *visitor, void *user,
                            bool *ret_torn) JB_MUST_CHECK;
/* FORMAT: "NAME:LINE: column N (TITLE): 'TEXT' WHAT", with no more of the text than is good. */
enum jb_status jb_csv_refuse(const struct jb_csv_place *place, const char *what, const char *text,
                             size_t size);
/* A whole file, or a pipe, in memory.
 * @param ret_text malloc'ed, given, not NUL-terminated
 * @return NODEV no such file, PERM, IO, NOMEM. */
enum jb_status jb_csv_slurp(const char *path, char **ret_text, size_t *ret_size) JB_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
