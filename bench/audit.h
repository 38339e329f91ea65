/* SPDX-License-Identifier: MIT */
#ifndef JB_BENCH_AUDIT_H
#define JB_BENCH_AUDIT_H

/* joulebench audit: what is wrong with a table of results, ours or anybody's. Columns are found by
 * name; a check that lacks its columns is not made. */

#include <stdbool.h>
#include <stdint.h>

#include "platforms/base/units.h"
#include "results/sheet.h"

#define JB_FINDING_TEXT 320

/* What a row says, in SI; NaN, "" = not said. Texts belong to the sheet. */
struct jb_audit_row {
    uint64_t line;
    const char *work, *device, *model, *precision, *method, *platform, *power_kind, *phase, *note;
    double batch, prompt_tokens, output_tokens, n_devices;
    double power_w, tokens_per_s, tokens_per_j;
    double time_s, tokens, energy_j, idle_w, repetition;
    double weight_bytes,
        n_params;  /* said, or worked out from the names; the active ones of a mixture */
    bool is_about; /* n_params is a class ("~7B"), not a count                          */
    bool is_superseded;
};

/* Peaks of one device, from its device file; NaN = not known. */
struct jb_audit_device {
    char platform[8], word[32], name[64];
    double limit_w, idle_w, memory_bytes_per_s, memory_bytes, op_per_s;
};

enum jb_finding_kind {
    JB_FINDING_RATIO,
    JB_FINDING_ARITHMETIC,
    JB_FINDING_WEIGHT_STREAM,
    JB_FINDING_COMPUTE,
    JB_FINDING_CAPACITY,
    JB_FINDING_ABOVE_LIMIT,
    JB_FINDING_BELOW_IDLE,
    JB_FINDING_FAR_BELOW_LIMIT,
    JB_FINDING_NAMEPLATE,
    JB_FINDING_DUPLICATE,
    JB_FINDING_CONFLICT,
    JB_FINDING_SUPERSEDED,
    JB_FINDING_ALONE,
    JB_N_FINDING_KINDS
};

struct jb_finding {
    enum jb_finding_kind kind;
    uint64_t row; /* index */
    char text[JB_FINDING_TEXT];
};

struct jb_audit {
    struct jb_sheet sheet;
    struct jb_audit_row *rows;
    uint64_t n_rows;
    struct jb_audit_device *devices;
    uint32_t n_devices;
    struct jb_finding *findings;
    uint64_t n_findings, capacity;
    bool has_failed; /* no memory for a finding */
};

#ifdef __cplusplus
extern "C" {
#endif

/* @param devices_path table of words that name a device, and their device files
 * @return FORMAT for malformed tables, or one without tokens/s; NODEV, PERM, IO, NOMEM. */
enum jb_status jb_audit_read(const char *path, const char *devices_path,
                             struct jb_audit *ret_audit) JB_MUST_CHECK;
/* The devices alone. */
enum jb_status jb_audit_read_devices(const char *path, struct jb_audit *ret_audit) JB_MUST_CHECK;
enum jb_status jb_audit_check(struct jb_audit *audit) JB_MUST_CHECK;
void jb_audit_free(struct jb_audit *audit); /* NULL is fine */

const char *jb_finding_name(enum jb_finding_kind kind);
const char *jb_finding_help(enum jb_finding_kind kind);
bool jb_finding_is_error(enum jb_finding_kind kind); /* it cannot be so; else: look at it */

/* Shared: the device of a row and how many of it; NULL if it is none that is known, or several
 * kinds together. */
const struct jb_audit_device *jb_audit_device_of(const struct jb_audit *audit,
                                                 const struct jb_audit_row *row, double *ret_n);
/* Bits of a weight by the name of its format; NaN if the name says nothing. */
double jb_audit_weight_bits(const char *precision);
/* Parameters read for one token by the name of the model ("Llama-2-7B", "30B-A3B", "8x7B" as one
 * expert); NaN if the name says nothing. */
double jb_audit_params(const char *model, bool *ret_is_about);

#ifdef __cplusplus
}
#endif
#endif
