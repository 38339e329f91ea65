/* SPDX-License-Identifier: MIT */
#ifndef JB_INSIGHT_FILES_H
#define JB_INSIGHT_FILES_H

/* The files behind insight.h. */

#include <stdio.h>

#include "bench/insight.h"

/* Opens a file for writing from its start. An older one must begin as `start` does.
 * @param option for messages: "--trace-ops"
 * @return INVAL for a file of another kind; PERM, IO with the path. */
enum jb_status jb_insight_file(const char *option, const char *path, const char *start,
                               FILE **ret_file) JB_MUST_CHECK;

/* ---- insight_ops.c: Chrome trace ---- */

struct jb_ops_file {
    FILE *out; /* NULL = not wanted */
    uint32_t process, n_resources;
    const struct jb_backend *backend; /* of the process */
    uint32_t batch;
    double at_s; /* end of the last step */
    bool has_events;
};
enum jb_status jb_ops_open(const char *path, struct jb_ops_file *ret_file) JB_MUST_CHECK;
void jb_ops_begin(struct jb_ops_file *file, const struct jb_insight_place *place);
void jb_ops_step(struct jb_ops_file *file, const struct jb_insight_place *place,
                 const struct jb_step *step, const struct jb_account *account);
/* @return false if the file could not be written. */
bool jb_ops_close(struct jb_ops_file *file);

/* ---- insight_breakdown.c ---- */

struct jb_breakdown; /* sums of a phase */
enum jb_status jb_breakdown_open(const char *path, struct jb_breakdown **ret) JB_MUST_CHECK;
void jb_breakdown_begin(struct jb_breakdown *breakdown);
void jb_breakdown_add(struct jb_breakdown *breakdown, const struct jb_insight_place *place,
                      const struct jb_step *step, const struct jb_account *account);
/* After jb_breakdown_add() of the same step. */
enum jb_status jb_breakdown_details(struct jb_breakdown *breakdown,
                                    const struct jb_insight_place *place,
                                    const struct jb_step *step) JB_MUST_CHECK;
/* @return false if the file could not be written. */
bool jb_breakdown_end(struct jb_breakdown *breakdown, const struct jb_insight_place *place);
bool jb_breakdown_close(struct jb_breakdown *breakdown); /* NULL is fine */

#endif
