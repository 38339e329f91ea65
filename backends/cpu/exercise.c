/* SPDX-License-Identifier: MIT */
#include "backends/cpu/exercise.h"

#include <string.h>

#include "platforms/os/os.h"

#define LINE_BYTES 64u
/* Shares of memory are multiples of this: whole turns of the read loop. */
#define TURN_BYTES 512u

extern const struct jb_cpu_loops jb_cpu_loops_scalar;
#ifdef JB_CPU_X86
extern const struct jb_cpu_loops jb_cpu_loops_avx2, jb_cpu_loops_avx512, jb_cpu_loops_vnni,
    jb_cpu_loops_bf16;
#endif
#ifdef JB_CPU_ARM
extern const struct jb_cpu_loops jb_cpu_loops_neon, jb_cpu_loops_dotprod;
#endif

/* Ascending: each level of this architecture includes those before it. */
static const struct jb_cpu_loops *const tables[] = {
    &jb_cpu_loops_scalar,
#ifdef JB_CPU_X86
    &jb_cpu_loops_avx2,   &jb_cpu_loops_avx512,  &jb_cpu_loops_vnni, &jb_cpu_loops_bf16,
#endif
#ifdef JB_CPU_ARM
    &jb_cpu_loops_neon,   &jb_cpu_loops_dotprod,
#endif
};

const struct jb_cpu_loops *jb_cpu_loops_for(enum jb_simd level)
{
    size_t best = 0;
    for (size_t i = 1; i < sizeof(tables) / sizeof(tables[0]); i++) {
        if (tables[i]->level <= level) {
            best = i;
        }
    }
    return tables[best];
}

struct job {
    const struct jb_cpu_loops *loops;
    const struct jb_exercise *what;
    struct jb_cpu_arena *arena;
    enum jb_cpu_number number;
    uint64_t n_rounds; /* a worker */
    size_t share;      /* bytes of the arena a worker has */
    uint32_t n_workers;
};

/* A result that is stored cannot be left out by the compiler. */
static void keep(uint64_t value)
{
    volatile uint64_t place = value;
    (void)place;
}

static void touch(void *ctx, uint32_t worker)
{
    const struct job *job = ctx;
    const size_t begin = worker * job->share;
    memset(job->arena->from + begin, (int)(worker + 1), job->share);
    if (job->arena->to != NULL) {
        memset(job->arena->to + begin, 0, job->share);
    }
}

/* One line at places that a generator gives: no place waits for another's data. The constants are
 * those of Knuth's MMIX generator. */
static uint64_t read_random(const uint8_t *from, size_t size, uint64_t seed)
{
    const uint64_t n_lines = size / LINE_BYTES;
    uint64_t state = seed;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n_lines; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        const uint64_t line = ((state >> 32) * (n_lines & UINT32_MAX)) >> 32;
        sum += from[line * LINE_BYTES];
    }
    return sum;
}

/* The same number of lines, `stride` apart, round and round through the share. */
static uint64_t read_strided(const uint8_t *from, size_t size, uint64_t stride)
{
    const uint64_t n_lines = size / LINE_BYTES;
    uint64_t at = 0;
    uint64_t start = 0;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n_lines; i++) {
        sum += from[at];
        at += stride;
        if (at >= size) {
            start = (start + LINE_BYTES) % (stride < size ? stride : size);
            at = start;
        }
    }
    return sum;
}

static void work_macs(void *ctx, uint32_t worker)
{
    const struct job *job = ctx;
    (void)worker;
    keep(job->loops->macs[job->number](job->n_rounds));
}

static void work_memory(void *ctx, uint32_t worker)
{
    const struct job *job = ctx;
    const struct jb_exercise *what = job->what;
    const size_t begin = worker * job->share;
    const uint8_t *from = job->arena->from + begin;
    if (what->kind == JB_EXERCISE_COPY) {
        job->loops->copy(job->arena->to + begin, from, job->share);
    } else if (what->pattern == JB_RANDOM) {
        keep(read_random(from, job->share, worker + 1));
    } else if (what->pattern == JB_STRIDED) {
        keep(read_strided(from, job->share, what->stride_bytes));
    } else {
        keep(job->loops->read(from, job->share));
    }
}

void jb_cpu_arena_free(struct jb_cpu_arena *arena)
{
    if (arena->from != NULL) {
        jb_pages_free(arena->from, arena->from_size);
    }
    if (arena->to != NULL) {
        jb_pages_free(arena->to, arena->to_size);
    }
    *arena = (struct jb_cpu_arena){.from = NULL};
}

/* Memory for the shares of all workers, touched by those that will read it. */
static enum jb_status take_arena(struct jb_pool *pool, struct job *job)
{
    struct jb_cpu_arena *arena = job->arena;
    const size_t size = job->share * job->n_workers;
    const bool needs_copy = job->what->kind == JB_EXERCISE_COPY;
    if (arena->from_size == size && (arena->to != NULL) == needs_copy) {
        return JB_OK;
    }
    jb_cpu_arena_free(arena);
    const uint64_t needed = (uint64_t)size * (needs_copy ? 2 : 1);
    const uint64_t available = jb_memory_available_bytes();
    if (available == 0 || needed <= available) {
        arena->from = jb_pages_alloc(size);
        arena->to = needs_copy && arena->from != NULL ? jb_pages_alloc(size) : NULL;
    }
    arena->from_size = arena->from != NULL ? size : 0;
    arena->to_size = arena->to != NULL ? size : 0;
    if (arena->from == NULL || (needs_copy && arena->to == NULL)) {
        jb_cpu_arena_free(arena);
        return jb_fail(JB_E_NOMEM, "cpu: no %.1f MiB to read through, %.1f MiB are available",
                       (double)needed / JB_MIB, (double)available / JB_MIB);
    }
    jb_pool_run(pool, touch, job);
    return JB_OK;
}

static enum jb_status choose_number(struct job *job)
{
    static const char *const names[JB_CPU_N_NUMBERS] = {"f32", "bf16", "int8"};
    const char *asked = job->what->number != NULL ? job->what->number : "";
    int i = 0;
    while (i < JB_CPU_N_NUMBERS && strcmp(names[i], asked) != 0) {
        i++;
    }
    if (i == JB_CPU_N_NUMBERS || job->loops->macs[i] == NULL) {
        return jb_fail(JB_E_NOTSUP, "cpu: no %s products at level %s", asked,
                       jb_simd_name(job->loops->level));
    }
    job->number = (enum jb_cpu_number)i;
    const uint64_t n = job->what->macs / job->loops->macs_a_round[i] / job->n_workers;
    job->n_rounds = n > 0 ? n : 1;
    return JB_OK;
}

enum jb_status jb_cpu_exercise(struct jb_pool *pool, enum jb_simd level, struct jb_cpu_arena *arena,
                               const struct jb_exercise *what, struct jb_op_detail *ret_detail)
{
    struct job job = {.loops = jb_cpu_loops_for(level),
                      .what = what,
                      .arena = arena,
                      .n_workers = jb_pool_size(pool)};
    struct jb_op_detail detail = {
        .clock_hz = jb_missing(), .bound_s = jb_missing(), .energy_j = jb_missing()};
    enum jb_status status = JB_OK;
    if (what->kind == JB_EXERCISE_MACS) {
        status = choose_number(&job);
        detail.macs = job.n_rounds * job.n_workers * (uint64_t)job.loops->macs_a_round[job.number];
    } else {
        const uint64_t share = what->bytes / job.n_workers / TURN_BYTES * TURN_BYTES;
        if (what->kind == JB_EXERCISE_READ && what->pattern == JB_STRIDED &&
            what->stride_bytes == 0) {
            return jb_fail(JB_E_INVAL, "cpu: a stride of 0");
        }
        job.share = (size_t)(share > 0 ? share : TURN_BYTES);
        status = take_arena(pool, &job);
        detail.bytes = (uint64_t)job.share * job.n_workers * (job.arena->to != NULL ? 2 : 1);
    }
    if (status != JB_OK) {
        return status;
    }
    jb_pool_run(pool, what->kind == JB_EXERCISE_MACS ? work_macs : work_memory, &job);
    *ret_detail = detail;
    return JB_OK;
}
