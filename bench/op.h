/* SPDX-License-Identifier: MIT */
#ifndef JB_BENCH_OP_H
#define JB_BENCH_OP_H

/* One operation on one backend: what `joulebench op` runs and says. */

#include <stdbool.h>
#include <stdint.h>

#include "backends/backend.h"
#include "bench/ceilings.h"
#include "bench/insight.h"
#include "bench/opening.h"

enum jb_op_choice { JB_OP_IS_GEMV, JB_OP_IS_GEMM, JB_OP_IS_ATTENTION, JB_OP_IS_STREAM };

struct jb_op_wish {
    const struct jb_backend *backend;
    const char *device; /* --device; NULL */
    const struct jb_setting *settings;
    uint32_t n_settings;
    enum jb_op_choice op;
    /* GEMV: outputs, inputs, vectors. GEMM: m, n, k. ATTENTION: sequences, query heads, KV heads,
     * head size, depth. */
    uint32_t shape[5];
    enum jb_dtype format; /* of the weight; ATTENTION: of keys and values */
    struct jb_exercise stream;
    enum jb_execution execution; /* of modelled devices */
    uint32_t threads;            /* >= 1 */
    double window_s;
    const char *meters;
    uint64_t seed;
    struct jb_insight *insight; /* modelled devices; NULL = not wanted */
    /* What a real device's time is held against: a table of `joulebench roofline`; NULL = measured
     * here if has_ceiling, else the peaks of the device file. */
    const struct jb_ceiling *ceilings; /* (n_ceilings,) */
    uint32_t n_ceilings;
    bool has_ceiling;
};

#define JB_OP_MAX_PARTS 32

struct jb_op_answer {
    struct jb_probe probe;
    struct jb_op_detail detail;            /* its pointers lead into what follows */
    struct jb_part parts[JB_OP_MAX_PARTS]; /* names are the backend's             */
    double line_j[JB_OP_MAX_PARTS];        /* by the backend's ledger lines       */
    char choices[256];
    double time_s;                 /* of one op; real devices: the median */
    double time_p05_s, time_p95_s; /* real devices; NaN                   */
    uint64_t n_calls;              /* timed; 1 on modelled devices        */
    double energy_j;
    enum jb_class time_class, energy_class;
    char energy_source[64];
};

#ifdef __cplusplus
extern "C" {
#endif

/* Opens, loads, runs, closes.
 * Modelled devices answer with detail(), or where they have none with the charges of the op. Real
 * ones are timed: step() + sync() of a plan that is the op and the look-up of its inputs in tables
 * of 64 rows; warm-up, then calls for window_s.
 * @param ret_is_ready whether load() had succeeded (stream: open()): what fails before is
 *        unavailable, what fails after has failed. */
enum jb_status jb_op_run(const struct jb_op_wish *wish, struct jb_op_answer *ret_answer,
                         bool *ret_is_ready) JB_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
