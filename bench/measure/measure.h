/* SPDX-License-Identifier: MIT */
#ifndef JB_MEASURE_H
#define JB_MEASURE_H

/* Measuring: meters read at window edges and sampled in between, windows of repeated phases, idle
 * baseline, step marks. The door of this folder. Knows seconds, joules and counts; never a plan,
 * a backend or a record.
 *
 * All calls on one jb_measure come from one thread; the sampler is a thread of its own inside. */

#include <stdbool.h>
#include <stdint.h>

#include "platforms/base/rng.h"
#include "platforms/base/status.h"
#include "platforms/base/units.h"
#include "platforms/meters/meter.h"

/* An energy number needs a window of this many sensor periods (rules R7, R11: an edge costs up to
 * two periods, so ten of them bound its error by 20 %; short windows are no numbers at all). */
#define JB_MIN_PERIODS 10.0
/* Consecutive power samples further apart than this many periods are a gap (rule R8). */
#define JB_MAX_GAP_PERIODS 3.0
/* A sensor that does not state its update period is taken to be this slow. */
#define JB_UNKNOWN_PERIOD_S 1.0
/* Sampling interval unless the sensors ask for less (rule R8: never slower than 0.1 s). */
#define JB_SAMPLE_INTERVAL_S 0.1

/* ---- step marks ---- */

/* Durations of steps, for percentiles. Exact up to the capacity; beyond it a uniform random
 * subset of all durations is kept (reservoir sampling, Vitter 1985, algorithm R), drawn from a
 * fixed seed, so that a window of any length costs the same memory and no step is favoured. */
struct jb_marks {
    double *kept_s; /* (capacity,) */
    uint32_t capacity;
    uint64_t n; /* durations added since clear() */
    struct jb_rng rng;
};

/* ---- clocks ---- */

/* Where time comes from. Tests put a clock of their own here. */
struct jb_clock {
    double (*now_s)(void *ctx);
    void (*sleep_until)(void *ctx, double deadline_s);
    void *ctx;
};

/* ---- the measuring set-up ---- */

struct jb_measure; /* open meters, sample buffers, the sampler thread */

/* Set of enum jb_scope values whose energy belongs to the thing measured. */
#define JB_SCOPE_BIT(scope) (1u << (unsigned)(scope))
#define JB_SCOPES_ALL (~0u)

struct jb_measure_args {
    /* Fallback list, "auto,model": names in order, each with its own ":ARG". The first one that
     * gives a total for a window is that window's source. "auto" stands for every automatic meter
     * that works here. NULL or "" = no meters. */
    const char *meters;
    const char *device; /* handed to the meters; NULL                                    */
    uint32_t n_threads; /* handed to the meters                                          */
    unsigned scopes;    /* JB_SCOPE_BIT set: energy of other scopes is not ours          */
    bool has_sampler;   /* false: meters are read at window edges only                   */
    double interval_s;  /* sampling interval; 0 = JB_SAMPLE_INTERVAL_S or half the fastest power
                           sensor's period, whichever is less, at least 20 ms            */
    uint32_t capacity;  /* samples kept a window and meter; 0 = 36000, an hour at 10 Hz  */
    bool (*is_stopped)(void *ctx); /* asked while idling; NULL = never */
    void *stop_ctx;
    const struct jb_clock *clock;              /* NULL = the machine's                     */
    const struct jb_meter *const *meter_table; /* NULL-terminated; NULL = the build's table */
};

/* One number for the energy of a window. */
struct jb_energy {
    double energy_j;        /* NaN = unknown, see reason                                   */
    char source[64];        /* "powercap:package-0+dram-0"; "" with NaN                    */
    char scope[32];         /* "package+dram"                                              */
    enum jb_class evidence; /* JB_CLASS_NONE with NaN                                     */
    double idle_w;          /* the same domains at rest; NaN = no baseline                 */
    const char *reason;     /* "" or why there is none: no-meter window-too-short stuck
                               counter-reset read-failed negative-power sample-gap
                               not-bracketed samples-lost no-sampler     */
};

struct jb_window_args {
    /* One phase; all its work is drained when it returns. May be called any number of times. */
    enum jb_status (*phase)(void *ctx);
    void *ctx;
    double window_s;     /* phases are repeated until this much time has passed; >= 0     */
    uint32_t max_phases; /* and never more often than this; 0 = no limit                  */
};

/* What a window gave. All sums are over the whole window; NaN = nothing reads it here. */
struct jb_window {
    double begin_s, end_s; /* of the clock; first and last edge                           */
    double window_s;
    uint32_t n_phases;
    struct jb_energy energy; /* the first estimator in list order that gives a total      */
    struct jb_energy alt;    /* the next one of the same scope and class                  */
    double instructions, cycles, llc_misses;
    double temperature_c; /* highest seen          */
    double clock_hz;      /* mean of what was seen */
    char throttle[64];    /* names of throttle domains that were not 0, joined by '+'     */
    uint64_t n_samples;   /* of all sampled meters, edges included                        */
    uint64_t n_lost;      /* samples that found the buffer full                           */
    double begin_read_s, end_read_s; /* how long reading all meters took at each edge     */
};

struct jb_sampler_stats {
    double interval_s; /* NaN = no sampler runs                                         */
    double cpu_share;  /* CPU seconds of the sampler thread / seconds it lived; NaN     */
    uint64_t n_readings;
};

#ifdef __cplusplus
extern "C" {
#endif

/* @param capacity durations kept, >= 1. @return NOMEM. */
enum jb_status jb_marks_create(uint32_t capacity, struct jb_marks *ret_marks) JB_MUST_CHECK;
void jb_marks_free(struct jb_marks *marks); /* a zeroed one is fine */
void jb_marks_clear(struct jb_marks *marks);
/* Allocates nothing. */
void jb_marks_add(struct jb_marks *marks, double step_s);
/* Quantile q in [0, 1] with linear interpolation between order statistics; NaN if there is no
 * mark. Sorts what is kept. */
double jb_marks_quantile(struct jb_marks *marks, double q);

/* Joules of a sampled power over [begin_s, end_s]: trapezoids, linear interpolation at the edges.
 * @param times_s, watts (n,) ascending times; samples with NaN watts are left out.
 * @param max_gap_s largest credible distance between two samples used.
 * @param ret_energy_j written only on success.
 * @return "" or the reason: "not-bracketed" unless a sample lies at or before the begin and at or
 *         after the end; "sample-gap". */
const char *jb_integrate_power(const double *times_s, const double *watts, uint64_t n,
                               double begin_s, double end_s, double max_gap_s,
                               double *ret_energy_j);

/* Opens the meters of the list and starts the sampler. Meters that are not there are no error:
 * jb_measure_absent() tells why. Open before the backend starts its threads: counters that
 * threads inherit must be there first.
 * @return INVAL for a name that no meter has or an empty element; NOMEM; DEVICE when the sampler
 *         thread cannot be made. */
enum jb_status jb_measure_open(const struct jb_measure_args *args,
                               struct jb_measure **ret_measure) JB_MUST_CHECK;
void jb_measure_close(struct jb_measure *measure); /* NULL is fine */

/* Meters of the list that are absent: (name, reason, unlock); false past the last. */
struct jb_absent {
    char name[32];
    char reason[JB_REASON_MAX];
    char unlock[160];
};
bool jb_measure_absent(const struct jb_measure *measure, uint32_t index,
                       const struct jb_absent **ret_absent);

/* Energy estimators that are open, in list order: "powercap:package-0+dram-0"; false past the
 * last. An estimator is one quantity (energy or power) of one meter. */
bool jb_measure_source(const struct jb_measure *measure, uint32_t index, const char **ret_source);

/* Measures power at rest, for idle_w of later windows: max(1 s, JB_MIN_PERIODS of the slowest
 * estimator), at most 10 s. Returns at once if there is no estimator. Estimators that give no
 * total in that time keep NaN. @return INTERRUPTED if is_stopped said so. */
enum jb_status jb_measure_idle(struct jb_measure *measure) JB_MUST_CHECK;

/* Runs one window: edge (meters, then clock), phases until window_s have passed and at least one
 * is done, edge (clock, then meters).
 * A meter that fails in between costs its numbers (read-failed), not the window.
 * @return what the phase returned if it failed. */
enum jb_status jb_measure_window(struct jb_measure *measure, const struct jb_window_args *args,
                                 struct jb_window *ret_window) JB_MUST_CHECK;

/* Takes one reading of every sampled meter now, as the sampler thread does at its rate. For
 * callers that run without the thread. */
void jb_measure_sample(struct jb_measure *measure);

void jb_measure_sampler(struct jb_measure *measure, struct jb_sampler_stats *ret_stats);

/* Hands out the samples of the last window or idle stretch, meter by meter, in time order,
 * all domains but counts: fn(ctx, meter, domain, time_s, value). */
void jb_measure_trace(struct jb_measure *measure,
                      void (*fn)(void *ctx, const char *meter, const struct jb_domain *domain,
                                 double time_s, double value),
                      void *ctx);

#ifdef __cplusplus
}
#endif
#endif
