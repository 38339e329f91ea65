/* SPDX-License-Identifier: MIT */
#ifndef JB_METERS_TRACE_H
#define JB_METERS_TRACE_H

/* A recorded trace in memory; the format is in replay.h. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platforms/meters/meter.h"

struct jb_trace_point {
    double time_s;
    double value; /* in the domain's unit; NaN = could not be read */
};

/* The samples of one domain, oldest first. */
struct jb_trace_track {
    struct jb_trace_point *points;
    size_t n_points;
    size_t capacity;
    size_t n_good; /* points before the first fall of a cumulative domain */
    double first;  /* first value that is a number; NaN = there is none    */
    double last;   /* the last such value before a fall                    */
    double scale;  /* written unit -> SI                                   */
    const char *written_unit;
};

struct jb_trace {
    struct jb_domain domains[JB_METER_MAX_DOMAINS];
    struct jb_trace_track tracks[JB_METER_MAX_DOMAINS];
    uint32_t n_domains;
    double first_s, last_s;
};

/* @param ret_trace zeroed by the caller; holds memory only on success.
 * @return FORMAT with file name and line; NOMEM. */
enum jb_status jb_trace_parse(const char *text, size_t size, const char *file_name,
                              struct jb_trace *ret_trace) JB_MUST_CHECK;
/* @return NODEV, PERM or IO with the path; else as jb_trace_parse(). */
enum jb_status jb_trace_read(const char *path, struct jb_trace *ret_trace) JB_MUST_CHECK;
void jb_trace_free(struct jb_trace *trace);

/* What a domain shows at time_s: the last point at or before it; cumulative domains as the
 * increase since their first value. NaN before the first point and after a fall. */
double jb_trace_value(const struct jb_trace *trace, uint32_t domain, double time_s);
/* Increase of a cumulative domain over the whole trace; NaN if it fell or has no value. */
double jb_trace_increase(const struct jb_trace *trace, uint32_t domain);
bool jb_trace_is_cumulative(const struct jb_domain *domain);

#endif
