/* SPDX-License-Identifier: MIT */
#ifndef JB_RESULTS_H
#define JB_RESULTS_H

/* A table and its meaning: the record, its CSV, its summary. Knows nothing of how numbers were
 * got. The door of this folder. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "platforms/base/status.h"

#define JB_SCHEMA "joulebench-1"
#define JB_N_CORE_COLUMNS 49
#define JB_INT_MISSING INT64_MIN

/* One row: a member a column. Text members are NUL-terminated arrays, "" = empty. */
struct jb_record {
#define TEXT(n) char, [n]
#define INT int64_t,
#define REAL double,
#define JB_MEMBER_(type, array, name) type name array;
#define JB_MEMBER(...) JB_MEMBER_(__VA_ARGS__)
#define JB_COLUMN(name, type, unit, may_be_empty, meaning) JB_MEMBER(type, name)
#include "results/columns.def"
#undef JB_COLUMN
#undef JB_MEMBER
#undef JB_MEMBER_
#undef TEXT
#undef INT
#undef REAL
};

enum jb_column_type { JB_COLUMN_TEXT, JB_COLUMN_INT, JB_COLUMN_REAL };
struct jb_column {
    const char *name, *unit, *meaning;
    enum jb_column_type type;
    bool may_be_empty;
    bool may_be_empty_imported; /* also in rows that `joulebench import` made */
    size_t offset, size;        /* of the member in struct jb_record */
};

#ifdef __cplusplus
extern "C" {
#endif

uint32_t jb_column_count(void);
const struct jb_column *jb_column_at(uint32_t index);
const struct jb_column *jb_column_find(const char *name); /* NULL if there is none */

/* All cells empty, schema filled in. */
void jb_record_init(struct jb_record *record);
/* Adds a word to reasons, once; words are joined by ';'. Cuts nothing silently: the last word
 * becomes "more" when there is no room. */
void jb_record_reason(struct jb_record *record, const char *word);

/* ---- writing ---- */
struct jb_csv_writer;
/* Opens path for appending. Missing or empty: header written. Existing: its header must be this
 * schema's (INVAL otherwise, naming path and first differing column); a torn last line is cut
 * (*ret_cut_bytes, NULL = don't tell). Unwritable: PERM or IO with the path. "-" = stdout. */
enum jb_status jb_csv_create(const char *path, struct jb_csv_writer **ret_writer,
                             uint64_t *ret_cut_bytes) JB_MUST_CHECK;
/* One row, one write, flushed to the file. A full disk is IO with the path; rows before stay. */
enum jb_status jb_csv_write(struct jb_csv_writer *writer,
                            const struct jb_record *record) JB_MUST_CHECK;
enum jb_status jb_csv_close(struct jb_csv_writer *writer) JB_MUST_CHECK; /* NULL is fine */

/* ---- reading ---- */
struct jb_table {
    struct jb_record *rows;
    uint64_t n_rows;
    /* Columns that are not ours, kept by name: cell (row r, column c) = extra[r * n_extra + c]. */
    char **extra_names;
    uint32_t n_extra;
    char **extra;
};
/* Reads by column name; order is free; ours that are missing stay empty if they may be.
 * @return NODEV, PERM, IO; FORMAT with file, line and column for anything malformed. A torn last
 *         line (no line break) is left out and told in *ret_torn (NULL = don't tell). */
enum jb_status jb_table_read(const char *path, struct jb_table *ret_table,
                             bool *ret_torn) JB_MUST_CHECK;
/* From memory; name is for messages. For tests and fuzzing. */
enum jb_status jb_table_parse(const char *text, size_t size, const char *name,
                              struct jb_table *ret_table, bool *ret_torn) JB_MUST_CHECK;
enum jb_status jb_table_append(struct jb_table *table, const struct jb_table *more) JB_MUST_CHECK;
/* Writes a whole table: our columns, then the extra ones. The file must not be there yet ("-" =
 * stdout), and is whole or not there at all afterwards.
 * @return INVAL if it exists, or a cell is empty that may not be; PERM, IO, NOMEM. */
enum jb_status jb_table_write(const struct jb_table *table, const char *path) JB_MUST_CHECK;
void jb_table_free(struct jb_table *table);

/* ---- statistics ---- */
struct jb_interval {
    double median, low, high; /* 95 % interval of the median; NaN where n is too small (n < 3) */
    uint64_t n;               /* values that were there                                        */
    uint64_t n_outliers;      /* modified z-score (MAD) above 3.5: flagged, never deleted      */
};
/* Median with its interval: order statistics (binomial) for n >= 6, for 3..5 the range. values is
 * not changed; NaN entries are skipped. */
struct jb_interval jb_interval_of(const double *values, uint64_t n);

/* ---- summary ---- */
struct jb_group {
    struct jb_record key; /* a row of the group: the identity columns are common to all its rows */
    struct jb_interval tokens_per_s, tokens_per_j, power_w, time_s, energy_j, tpot_p50_s;
    char verdict[12], energy_verdict[12]; /* the weakest among the rows; then jb_group_judge() */
    double u_rel; /* as the column says; NaN = under 3 repetitions, or an accuracy is unknown */
};
/* Groups rows by everything but repetition and measured values, in order of first appearance.
 * @param ret_groups malloc'ed, given. */
enum jb_status jb_summarize(const struct jb_table *table, struct jb_group **ret_groups,
                            uint64_t *ret_n) JB_MUST_CHECK;
/* Called by jb_summarize(). Sets u_rel: half the interval over the median. Where rows say
 * no-uncertainty and the repetitions tell it, puts in its place what still speaks against the
 * group: few-repetitions (under 5), uncertain (u_rel of tokens/s above 5 %), no-accuracy (of the
 * energy); where nothing speaks against time and tokens, the verdict is VALID. */
void jb_group_judge(struct jb_group *group);
/* Aligned text table for people (UTF-8 terminal) or CSV for machines. */
enum jb_status jb_summary_print(FILE *out, const struct jb_group *groups, uint64_t n);
enum jb_status jb_summary_csv(FILE *out, const struct jb_group *groups, uint64_t n);

/* Data dictionary from columns.def: markdown or CSV. */
void jb_columns_print(FILE *out, bool as_csv);

#ifdef __cplusplus
}
#endif
#endif
