/* SPDX-License-Identifier: MIT */
#ifndef JB_CPU_EXERCISE_H
#define JB_CPU_EXERCISE_H

/* Work without a model: what this machine's cores and memory can do at most. Loops by SIMD level
 * (exercise_level.c), shared out over the pool (exercise.c). */

#include "backends/backend.h"
#include "backends/cpu/pool.h"
#include "platforms/host/host.h"

enum jb_cpu_number { JB_CPU_F32, JB_CPU_BF16, JB_CPU_INT8, JB_CPU_N_NUMBERS };

/* Loops of one SIMD level. Results are returned so that no loop is left out. */
struct jb_cpu_loops {
    enum jb_simd level;
    /* Multiply-accumulates a round, in registers alone; 0 = the level has no such product. */
    uint32_t macs_a_round[JB_CPU_N_NUMBERS];
    uint64_t (*macs[JB_CPU_N_NUMBERS])(uint64_t n_rounds);
    uint64_t (*read)(const uint8_t *from, size_t size);          /* size: a multiple of 512 */
    void (*copy)(uint8_t *to, const uint8_t *from, size_t size); /* the same; past the caches */
};
/* The best loops at or below `level` in this build. Never NULL. */
const struct jb_cpu_loops *jb_cpu_loops_for(enum jb_simd level);

/* Memory that reads and copies go through; kept from call to call. */
struct jb_cpu_arena {
    uint8_t *from, *to;
    size_t from_size, to_size;
};

/* One exercise on all workers of the pool, each in a stretch of memory that it touched first.
 * @return NOTSUP for a number that the level lacks; NOMEM; INVAL. */
enum jb_status jb_cpu_exercise(struct jb_pool *pool, enum jb_simd level, struct jb_cpu_arena *arena,
                               const struct jb_exercise *what,
                               struct jb_op_detail *ret_detail) JB_MUST_CHECK;
void jb_cpu_arena_free(struct jb_cpu_arena *arena); /* zeroed is fine */

#endif
