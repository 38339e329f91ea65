/* SPDX-License-Identifier: MIT */
#ifndef JB_RESULTS_IMPORT_INTERNAL_H
#define JB_RESULTS_IMPORT_INTERNAL_H

/* Shared by import.c (reading, writing rows) and import_formats.c (what each tool's columns
 * mean). */

#include "results/import.h"
#include "results/sheet.h"

/* Where a format reads. */
struct jb_import_source {
    const struct jb_sheet *sheet;
    const char *name; /* of the file */
    const struct jb_import_args *args;
    const char *format; /* that was found */
    bool is_json;
    enum jb_status status; /* the first cell that was wrong */
    struct jb_table table; /* rows that were taken */
    uint64_t capacity;
    uint64_t n_left_out;
    const char *why;
    const char *power_kind; /* of the row that is being taken */
};

struct jb_import_format {
    const char *name, *summary;
    const char *needs[8]; /* columns that must be there, NULL-terminated */
    /* Row `at` of the sheet into any number of rows of ours. */
    void (*take)(struct jb_import_source *source, uint64_t at);
};
extern const struct jb_import_format jb_import_formats[];
extern const uint32_t jb_n_import_formats;

/* Cell as text; "" if the column is not there. */
const char *jb_import_text(const struct jb_import_source *source, uint64_t at, const char *title);
/* Cell as a number not below 0; NaN if empty or "N/A". Anything else is remembered in status. */
double jb_import_number(struct jb_import_source *source, uint64_t at, const char *title);
/* The same as a count; JB_INT_MISSING if empty. */
int64_t jb_import_count(struct jb_import_source *source, uint64_t at, const char *title);
/* What all imported rows have in common. */
void jb_import_begin(struct jb_import_source *source, struct jb_record *record);
/* Platform by --platform or the name of the device; remembered in status if neither tells. */
void jb_import_platform(struct jb_import_source *source, uint64_t at, struct jb_record *record);
/* Watts of a row whose tokens/s is known, measured by the source's own meter. */
void jb_import_power(struct jb_import_source *source, struct jb_record *record, double power_w,
                     const char *meter, const char *scope);
/* Adds the finished record. */
void jb_import_keep(struct jb_import_source *source, uint64_t at, const struct jb_record *record);
/* The row is left out; why is a literal. */
void jb_import_leave(struct jb_import_source *source, const char *why);

#define JB_IMPORT_PUT(member, text) ((void)snprintf(member, sizeof(member), "%s", text))

#endif
