/* SPDX-License-Identifier: MIT */
/* The worker pool: every worker once a run, barriers that hold, sizes, pinning, parking. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "backends/cpu/pool.h"
#include "platforms/os/os.h"

#define MOST 5u
#define ROUNDS 50u

struct shared {
    struct jb_pool *pool;
    uint32_t n;
    uint32_t runs[MOST];   /* each worker its own       */
    uint32_t rounds[MOST]; /* plain memory on purpose: only the barriers order it */
    uint32_t wrong[MOST];
};

static void count(void *ctx, uint32_t worker)
{
    struct shared *shared = ctx;
    shared->runs[worker]++;
}

/* After each barrier all must be seen to have come as far as oneself. */
static void march(void *ctx, uint32_t worker)
{
    struct shared *shared = ctx;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        shared->rounds[worker] = round;
        jb_pool_barrier(shared->pool);
        for (uint32_t i = 0; i < shared->n; i++) {
            shared->wrong[worker] += shared->rounds[i] != round;
        }
        jb_pool_barrier(shared->pool);
    }
}

static void test_each_worker_runs_once(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= MOST; n++) {
        struct shared shared = {.n = n};
        assert_int_equal(jb_pool_create(n, NULL, &shared.pool), JB_OK);
        assert_int_equal(jb_pool_size(shared.pool), n);
        for (uint32_t run = 1; run <= 20; run++) {
            jb_pool_run(shared.pool, count, &shared);
            for (uint32_t i = 0; i < n; i++) {
                assert_int_equal(shared.runs[i], run);
            }
        }
        jb_pool_free(shared.pool);
    }
}

static void test_barrier_orders_memory(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= MOST; n++) {
        struct shared shared = {.n = n};
        assert_int_equal(jb_pool_create(n, NULL, &shared.pool), JB_OK);
        jb_pool_run(shared.pool, march, &shared);
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(shared.rounds[i], ROUNDS);
            assert_int_equal(shared.wrong[i], 0);
        }
        jb_pool_free(shared.pool);
    }
}

/* Workers that have parked between runs wake up again. */
static void test_parked_workers_come_back(void **state)
{
    (void)state;
    struct shared shared = {.n = 3};
    assert_int_equal(jb_pool_create(3, NULL, &shared.pool), JB_OK);
    for (uint32_t run = 1; run <= 5; run++) {
        jb_sleep_until(jb_clock_s() + 2e-3);
        jb_pool_run(shared.pool, march, &shared);
        assert_int_equal(shared.wrong[0] + shared.wrong[1] + shared.wrong[2], 0);
    }
    jb_pool_free(shared.pool);
}

/* An idle pool uses no processor: of 200 ms the two workers may have polled for a moment only. */
static void test_idle_pool_sleeps(void **state)
{
    (void)state;
    struct shared shared = {.n = 3};
    assert_int_equal(jb_pool_create(3, NULL, &shared.pool), JB_OK);
    jb_pool_run(shared.pool, march, &shared);
    const double before_s = jb_process_cpu_s();
    jb_sleep_until(jb_clock_s() + 0.2);
    assert_true(jb_process_cpu_s() - before_s < 0.1);
    jb_pool_free(shared.pool);
}

static void test_pinned_pool(void **state)
{
    (void)state;
    uint32_t pus[2] = {0, 0};
    const uint32_t n_allowed = jb_allowed_pus(pus, 2);
    if (n_allowed < 2) {
        pus[1] = pus[0];
    }
    struct shared shared = {.n = 2};
    assert_int_equal(jb_pool_create(2, pus, &shared.pool), JB_OK);
    jb_pool_run(shared.pool, march, &shared);
    assert_int_equal(shared.wrong[0] + shared.wrong[1], 0);
    jb_pool_free(shared.pool);
    assert_int_equal(jb_allowed_pus(NULL, 0), n_allowed);
}

static void test_a_unit_that_is_not_there(void **state)
{
    (void)state;
    const uint32_t pus[2] = {0, 8000};
    struct jb_pool *pool = NULL;
    assert_int_equal(jb_pool_create(2, pus, &pool), JB_E_INVAL);
    assert_null(pool);
    assert_non_null(strstr(jb_reason(), "8000"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_worker_runs_once),
        cmocka_unit_test(test_barrier_orders_memory),
        cmocka_unit_test(test_parked_workers_come_back),
        cmocka_unit_test(test_idle_pool_sleeps),
        cmocka_unit_test(test_pinned_pool),
        cmocka_unit_test(test_a_unit_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
