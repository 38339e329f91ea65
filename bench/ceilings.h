/* SPDX-License-Identifier: MIT */
#ifndef JB_CEILINGS_H
#define JB_CEILINGS_H

/* What a device can do at most, measured: bytes a second and multiply-accumulates a second of work
 * without a model (exercise() of backend.h). Rows of `joulebench roofline`, and the bound that
 * rows of `run` and `op` are held against. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "backends/backend.h"
#include "bench/gate.h"

#define JB_ROOFLINE_SCHEMA "joulebench-roofline-1"
#define JB_MAX_CEILINGS 256

/* One measured ceiling. Rates: bytes/s, or multiply-accumulates/s. */
struct jb_ceiling {
    char backend[32], device[128];
    uint32_t threads;
    enum jb_exercise_kind kind;
    char number[8];                   /* MACS: "int8"; else "" */
    uint64_t bytes;                   /* a call; 0 for MACS    */
    double rate, rate_low, rate_high; /* median; 5 % and 95 % of the calls */
    uint64_t n_calls;
    enum jb_class evidence;
};

/* A device that is open, and how it is exercised. */
struct jb_ceiling_args {
    const struct jb_backend *backend; /* has exercise() */
    struct jb_device *device;
    double window_s; /* a ceiling; modelled devices are asked once */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Rate of one exercise; real devices are timed call by call after a warm-up. The amount of MACS is
 * found here. @return what exercise() says: NOTSUP for what the device lacks. */
enum jb_status jb_ceiling_measure(const struct jb_ceiling_args *args,
                                  const struct jb_exercise *what,
                                  struct jb_ceiling *ret_ceiling) JB_MUST_CHECK;

const char *jb_ceiling_kind_name(enum jb_exercise_kind kind); /* "read" */

/* The table as CSV. */
void jb_ceilings_print_csv(FILE *out, const struct jb_ceiling *ceilings, uint32_t n);
/* @param ret_ceilings (JB_MAX_CEILINGS,)
 * @return NODEV, PERM, IO; FORMAT with file and line. */
enum jb_status jb_ceilings_read(const char *path, struct jb_ceiling *ret_ceilings,
                                uint32_t *ret_n) JB_MUST_CHECK;

/* Which ceilings bound a computation. */
struct jb_ceiling_wish {
    enum jb_platform platform;
    enum jb_dtype dtype;   /* of most weights: says which number's rate bounds it             */
    double resident_bytes; /* weights and keys and values                                     */
    double cache_bytes;    /* last level, of all sockets; NaN = unknown                       */
};
/* Measures them here and now: reading where what is resident cannot live in the cache, and the
 * first number of the wish's format that the device has. What it lacks stays NaN.
 * @return the status of an exercise that failed; NOTSUP is no failure. */
enum jb_status jb_ceilings_here(const struct jb_ceiling_args *args,
                                const struct jb_ceiling_wish *wish,
                                struct jb_peaks *ret_peaks) JB_MUST_CHECK;
/* The same from a table: rows of this backend, device and number of threads.
 * @return INVAL if it has none. */
enum jb_status jb_ceilings_pick(const struct jb_ceiling *ceilings, uint32_t n, const char *backend,
                                const char *device, uint32_t threads,
                                const struct jb_ceiling_wish *wish,
                                struct jb_peaks *ret_peaks) JB_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
