/* SPDX-License-Identifier: MIT */
#ifndef JB_RESULTS_IMPORT_H
#define JB_RESULTS_IMPORT_H

/* Result files of other tools as rows of ours. Columns are found by name; every column of the
 * source is kept beside ours, and `import_format`, `import_source` (file:line, of JSON file#entry)
 * and `power_kind` (measured, or empty) say where a row is from. Whatever the source measured, its
 * class here is `literature`: published by others, not seen by our clocks and meters. What the
 * source does not say stays empty, with a word in `reasons`. */

#include <stdint.h>

#include "results/results.h"

struct jb_import_args {
    const char *format;   /* NULL = the one whose columns are there                */
    const char *platform; /* cpu gpu fpga asic pim; NULL = by the name of the device */
};

struct jb_import_report {
    const char *format;
    uint64_t n_taken, n_left_out; /* rows of the source */
    const char *why;              /* the last was left out; "" = none was */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Formats by index, the description too; NULL past the last. */
const char *jb_import_format_at(uint32_t index, const char **ret_summary);

/* @param name of the file, for messages and import_source (its last part)
 * @param ret_table jb_table_free() gives it back
 * @return NODEV, PERM, IO, NOMEM; INVAL for an unknown format or platform; FORMAT with file, line
 *         and column, also if no format fits; NOTSUP for JSON in a build that reads none. */
enum jb_status jb_import_parse(const char *text, size_t size, const char *name,
                               const struct jb_import_args *args, struct jb_table *ret_table,
                               struct jb_import_report *ret_report) JB_MUST_CHECK;
enum jb_status jb_import_read(const char *path, const struct jb_import_args *args,
                              struct jb_table *ret_table,
                              struct jb_import_report *ret_report) JB_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
