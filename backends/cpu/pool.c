/* SPDX-License-Identifier: MIT */
#include "backends/cpu/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "platforms/os/os.h"

/* How long a waiter polls before it parks. Longer than the gap between two decode steps, shorter
 * than anything a meter can see. */
#define SPIN_S 50e-6
/* Polls between two looks at the clock. */
#define POLLS 64

#define CACHE_LINE 64

/* A number that only grows, and threads that wait for it to move on. */
struct signal {
    _Alignas(CACHE_LINE) atomic_uint value;
    _Alignas(CACHE_LINE) atomic_uint n_parked;
    pthread_mutex_t mutex;
    pthread_cond_t moved;
};

struct worker {
    struct jb_pool *pool;
    pthread_t thread;
    uint32_t index;
    uint32_t pu;
};

struct jb_pool {
    struct signal start;   /* one more for every run; the workers wait for it */
    struct signal barrier; /* one more each time all have arrived             */
    _Alignas(CACHE_LINE) atomic_uint n_arrived;
    _Alignas(CACHE_LINE) void (*task)(void *ctx, uint32_t worker);
    void *ctx;
    bool stops, is_pinned;
    uint32_t n, n_started;
    enum jb_status pin_status; /* first failure, written under pin_mutex before the first barrier */
    char pin_reason[JB_REASON_MAX];
    pthread_mutex_t pin_mutex;
    struct worker *workers;
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool signal_init(struct signal *signal)
{
    atomic_init(&signal->value, 0);
    atomic_init(&signal->n_parked, 0);
    if (pthread_mutex_init(&signal->mutex, NULL) != 0) {
        return false;
    }
    if (pthread_cond_init(&signal->moved, NULL) != 0) {
        pthread_mutex_destroy(&signal->mutex);
        return false;
    }
    return true;
}

static void signal_destroy(struct signal *signal)
{
    pthread_cond_destroy(&signal->moved);
    pthread_mutex_destroy(&signal->mutex);
}

/* Sleeps until the value is no longer `seen`. The count goes up before the value is looked at
 * again, and signal_move() looks at the count after it changed the value; both are sequentially
 * consistent, so one of the two sees the other. */
static void signal_park(struct signal *signal, unsigned seen)
{
    pthread_mutex_lock(&signal->mutex);
    atomic_fetch_add(&signal->n_parked, 1);
    while (atomic_load(&signal->value) == seen) {
        pthread_cond_wait(&signal->moved, &signal->mutex);
    }
    atomic_fetch_sub(&signal->n_parked, 1);
    pthread_mutex_unlock(&signal->mutex);
}

static void signal_wait(struct signal *signal, unsigned seen)
{
    double deadline_s = 0;
    for (;;) {
        for (int i = 0; i < POLLS; i++) {
            if (atomic_load_explicit(&signal->value, memory_order_acquire) != seen) {
                return;
            }
            relax();
        }
        const double now_s = jb_clock_s();
        if (deadline_s == 0) {
            deadline_s = now_s + SPIN_S;
        } else if (now_s > deadline_s) {
            signal_park(signal, seen);
            return;
        }
    }
}

static void signal_move(struct signal *signal)
{
    atomic_fetch_add(&signal->value, 1);
    if (atomic_load(&signal->n_parked) != 0) {
        pthread_mutex_lock(&signal->mutex);
        pthread_cond_broadcast(&signal->moved);
        pthread_mutex_unlock(&signal->mutex);
    }
}

void jb_pool_barrier(struct jb_pool *pool)
{
    if (pool->n == 1) {
        return;
    }
    const unsigned seen = atomic_load_explicit(&pool->barrier.value, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&pool->n_arrived, 1, memory_order_acq_rel) + 1 == pool->n) {
        atomic_store_explicit(&pool->n_arrived, 0, memory_order_relaxed);
        signal_move(&pool->barrier);
    } else {
        signal_wait(&pool->barrier, seen);
    }
}

static void pin(struct worker *worker)
{
    struct jb_pool *pool = worker->pool;
    const enum jb_status status = jb_pin_self(worker->pu);
    if (status != JB_OK && status != JB_E_NOTSUP) { /* some systems let threads float */
        pthread_mutex_lock(&pool->pin_mutex);
        if (pool->pin_status == JB_OK) {
            pool->pin_status = status;
            snprintf(pool->pin_reason, sizeof(pool->pin_reason), "%s", jb_reason());
        }
        pthread_mutex_unlock(&pool->pin_mutex);
    }
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct jb_pool *pool = worker->pool;
    char name[16];
    snprintf(name, sizeof(name), "jb-cpu-%u", worker->index);
    jb_name_self(name);
    if (pool->is_pinned) {
        pin(worker);
    }
    for (unsigned seen = 0;; seen++) {
        signal_wait(&pool->start, seen);
        if (pool->stops) {
            return NULL;
        }
        pool->task(pool->ctx, worker->index);
        jb_pool_barrier(pool);
    }
}

void jb_pool_run(struct jb_pool *pool, void (*task)(void *ctx, uint32_t worker), void *ctx)
{
    pool->task = task;
    pool->ctx = ctx;
    if (pool->n > 1) {
        signal_move(&pool->start);
    }
    task(ctx, 0);
    jb_pool_barrier(pool);
}

static void nothing(void *ctx, uint32_t worker)
{
    (void)ctx;
    (void)worker;
}

static enum jb_status start_workers(struct jb_pool *pool)
{
    for (; pool->n_started + 1 < pool->n; pool->n_started++) {
        struct worker *worker = &pool->workers[pool->n_started + 1];
        const int error = pthread_create(&worker->thread, NULL, work, worker);
        if (error != 0) {
            return jb_fail(JB_E_DEVICE,
                           "thread %u of %u cannot be started (error %d): ask for fewer",
                           pool->n_started + 2, pool->n, error);
        }
    }
    /* Each worker pins itself before its first task, so after this all have tried. */
    jb_pool_run(pool, nothing, NULL);
    if (pool->pin_status != JB_OK) {
        return jb_fail(pool->pin_status, "%s", pool->pin_reason);
    }
    return JB_OK;
}

enum jb_status jb_pool_create(uint32_t n_threads, const uint32_t *pus, struct jb_pool **ret_pool)
{
    /* The struct is aligned to cache lines, so calloc() will not do. */
    struct jb_pool *pool = jb_pages_alloc(sizeof(*pool));
    struct worker *workers = calloc(n_threads, sizeof(*workers));
    if (pool == NULL || workers == NULL) {
        goto no_memory;
    }
    pool->n = n_threads;
    pool->is_pinned = pus != NULL;
    pool->workers = workers;
    for (uint32_t i = 0; i < n_threads; i++) {
        workers[i] = (struct worker){.pool = pool, .index = i, .pu = pus != NULL ? pus[i] : 0};
    }
    if (pthread_mutex_init(&pool->pin_mutex, NULL) != 0) {
        goto no_memory;
    }
    if (!signal_init(&pool->start)) {
        goto no_start;
    }
    if (!signal_init(&pool->barrier)) {
        goto no_barrier;
    }
    const enum jb_status status = start_workers(pool);
    if (status != JB_OK) {
        jb_pool_free(pool);
        return status;
    }
    *ret_pool = pool;
    return JB_OK;

no_barrier:
    signal_destroy(&pool->start);
no_start:
    pthread_mutex_destroy(&pool->pin_mutex);
no_memory:
    free(workers);
    if (pool != NULL) {
        jb_pages_free(pool, sizeof(*pool));
    }
    return jb_fail(JB_E_NOMEM, "no memory for a pool of %u threads", n_threads);
}

void jb_pool_free(struct jb_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    pool->stops = true;
    signal_move(&pool->start);
    for (uint32_t i = 0; i < pool->n_started; i++) {
        pthread_join(pool->workers[i + 1].thread, NULL);
    }
    signal_destroy(&pool->barrier);
    signal_destroy(&pool->start);
    pthread_mutex_destroy(&pool->pin_mutex);
    free(pool->workers);
    jb_pages_free(pool, sizeof(*pool));
}

uint32_t jb_pool_size(const struct jb_pool *pool)
{
    return pool->n;
}
