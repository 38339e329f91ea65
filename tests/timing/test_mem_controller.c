/* SPDX-License-Identifier: MIT */
/* The queue against closed formulas and counts made by hand, on every standard. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backends/simcore/mem_controller.h"
#include "platforms/base/rng.h"
#include "tests/timing/checker.h"
#include "tests/timing/standards.h"

struct run {
    struct jb_mem_controller *controller;
    struct jb_mem *mem;
    uint64_t now, last_done, n_done;
};

static void done(void *ctx, uint64_t id, uint64_t cycle)
{
    struct run *run = ctx;
    (void)id;
    run->n_done++;
    run->last_done = cycle > run->last_done ? cycle : run->last_done;
}

/* Opens into a run that stays where it is, since the controller points at it. */
static void begin(struct run *run, const struct jb_mem_spec *spec,
                  struct jb_mem_controller_options options)
{
    *run = (struct run){.now = 0};
    if (jb_mem_controller_create(spec, &options, done, run, &run->controller) != JB_OK) {
        fail_msg("%s", jb_reason());
    }
    run->mem = jb_mem_controller_mem(run->controller);
}

static void end(struct run *run)
{
    jb_mem_controller_free(run->controller);
}

/* Ticks until a request fits, then pushes it. */
static void push(struct run *run, uint64_t burst, bool is_write)
{
    while (!jb_mem_controller_push(run->controller, burst, is_write, burst, run->now)) {
        const uint64_t next = jb_mem_controller_next(run->controller);
        run->now = next > run->now ? next : run->now;
        (void)jb_mem_controller_tick(run->controller, run->now);
        run->now++;
    }
}

static void drain(struct run *run)
{
    while (jb_mem_controller_n_waiting(run->controller) > 0) {
        const uint64_t next = jb_mem_controller_next(run->controller);
        run->now = next > run->now ? next : run->now;
        (void)jb_mem_controller_tick(run->controller, run->now);
        run->now++;
    }
}

/* Burst number of a bank, row and column under the mapping row-rank-bank-column-group-pseudo. */
static uint64_t burst_of(const struct jb_mem_spec *spec, uint32_t group, uint32_t bank,
                         uint32_t row, uint32_t column)
{
    const uint64_t line = ((uint64_t)row * spec->n_ranks * spec->n_banks + bank) * spec->n_columns;
    return ((line + column) * spec->n_groups + group) * spec->n_pseudo;
}

/* A read that finds its row open, no row open, another row open. */
static void test_unloaded_latency(void **state)
{
    (void)state;
    for (int i = 0; i < N_STANDARDS; i++) {
        const struct jb_mem_spec spec = read_standard(standards[i]);
        const uint32_t *t = spec.t;
        const uint64_t hit = t[JB_MEM_T_CL] + t[JB_MEM_T_BL];
        const uint64_t expected[] = {t[JB_MEM_T_RCD_RD] + hit, hit,
                                     t[JB_MEM_T_RP] + t[JB_MEM_T_RCD_RD] + hit};
        const uint32_t rows[] = {5, 5, 6};
        struct run run;
        begin(&run, &spec, (struct jb_mem_controller_options){.n_queue = 8});
        for (int k = 0; k < 3; k++) {
            run.now = 10000 * (uint64_t)(k + 1);
            const uint64_t since = run.now;
            push(&run, burst_of(&spec, 1, 0, rows[k], 2), false);
            drain(&run);
            assert_int_equal(run.last_done - since, expected[k]);
        }
        end(&run);
    }
}

/* Share of the peak that a long stream over one data bus gets. */
static double stream_share(struct jb_mem_spec spec, enum jb_mem_refresh refresh, bool is_write)
{
    enum { N_BURSTS = 30000 };
    struct run run;
    spec.n_pseudo = 1;
    begin(&run, &spec,
          (struct jb_mem_controller_options){
              .mapping = "rank-row-bank-column-group-pseudo", .n_queue = 64, .refresh = refresh});
    for (uint64_t burst = 0; burst < N_BURSTS; burst++) {
        push(&run, burst, is_write);
    }
    drain(&run);
    assert_int_equal(run.n_done, N_BURSTS);
    const double share = (double)N_BURSTS * spec.t[JB_MEM_T_BL] / (double)run.last_done;
    end(&run);
    return share;
}

static void test_streams(void **state)
{
    (void)state;
    for (int i = 0; i < N_STANDARDS; i++) {
        const struct jb_mem_spec spec = read_standard(standards[i]);
        const uint32_t *t = spec.t;
        /* From the last read before a refresh to the first one after it. */
        const double lost =
            (double)t[JB_MEM_T_RTP] + t[JB_MEM_T_RP_ALL] + t[JB_MEM_T_RFC] + t[JB_MEM_T_RCD_RD];
        const double refreshed = 1 - lost / t[JB_MEM_T_REFI];
        const double plain = stream_share(spec, JB_MEM_REFRESH_OFF, false);
        const double held = stream_share(spec, JB_MEM_REFRESH_ALL_BANK, false);
        print_message("# %s: reads %.4f of the peak, with refresh %.4f (formula %.4f)\n",
                      standards[i], plain, held, refreshed);
        assert_true(plain > 0.99 && plain <= 1);
        assert_true(fabs(held / refreshed - 1) < 0.01);
        /* Writes are bound by the slower of their two spacings. */
        const double write_peak =
            fmin(1, (double)spec.n_groups * t[JB_MEM_T_BL] / t[JB_MEM_T_CCD_L_WR]);
        const double written = stream_share(spec, JB_MEM_REFRESH_OFF, true);
        assert_true(fabs(written / write_peak - 1) < 0.01);
    }
}

/* Columns below the bank groups: one stream is bound by tCCD_L. */
static void test_mapping_decides(void **state)
{
    (void)state;
    enum { N_BURSTS = 20000 };
    struct jb_mem_spec spec = read_standard("ddr4-3200");
    struct run run;
    begin(&run, &spec,
          (struct jb_mem_controller_options){.mapping = "row-rank-bank-group-column-pseudo",
                                             .n_queue = 16});
    for (uint64_t burst = 0; burst < N_BURSTS; burst++) {
        push(&run, burst, false);
    }
    drain(&run);
    /* At the end of a row, what the queue holds of the next group may fill the gaps. */
    const double cycles = (double)N_BURSTS * spec.t[JB_MEM_T_CCD_L];
    assert_true((double)run.last_done < cycles * 1.01);
    assert_true((double)run.last_done > cycles * (1 - 16.0 / spec.n_columns));
    end(&run);
}

/* One bank, a new row each time: activates follow one another by tRC or by the way through a read,
 * whichever is longer. */
static void test_random_rows_of_one_bank(void **state)
{
    (void)state;
    enum { N = 200 };
    for (int i = 0; i < N_STANDARDS; i++) {
        const struct jb_mem_spec spec = read_standard(standards[i]);
        const uint32_t *t = spec.t;
        const uint64_t row_time = (uint64_t)t[JB_MEM_T_RCD_RD] + t[JB_MEM_T_RTP] + t[JB_MEM_T_RP];
        const uint64_t row_least = (uint64_t)t[JB_MEM_T_RAS] + t[JB_MEM_T_RP];
        uint64_t period = t[JB_MEM_T_RC] > row_time ? t[JB_MEM_T_RC] : row_time;
        period = row_least > period ? row_least : period;
        struct run run;
        begin(&run, &spec, (struct jb_mem_controller_options){.n_queue = 16});
        for (uint32_t k = 0; k < N; k++) {
            push(&run, burst_of(&spec, 0, 1, k, k % spec.n_columns), false);
        }
        drain(&run);
        assert_int_equal(run.last_done,
                         (N - 1) * period + t[JB_MEM_T_RCD_RD] + t[JB_MEM_T_CL] + t[JB_MEM_T_BL]);
        assert_int_equal(jb_mem_count(run.mem, JB_MEM_ACT), N);
        assert_int_equal(jb_mem_count(run.mem, JB_MEM_PRE), N - 1);
        end(&run);
    }
}

/* All banks in turn, a new row each time: bound by the activates, four in tFAW. */
static void test_random_rows_of_all_banks(void **state)
{
    (void)state;
    enum { N = 8000 };
    for (int i = 0; i < N_STANDARDS; i++) {
        struct jb_mem_spec spec = read_standard(standards[i]);
        spec.n_pseudo = 1;
        const uint32_t *t = spec.t;
        const uint32_t n_banks = spec.n_groups * spec.n_banks;
        double period = fmax(t[JB_MEM_T_FAW] / 4.0, t[JB_MEM_T_RRD_S]);
        period = fmax(period, fmax(t[JB_MEM_T_RC], t[JB_MEM_T_RAS] + t[JB_MEM_T_RP]) / n_banks);
        period = fmax(period, t[JB_MEM_T_BL]);
        struct run run;
        begin(&run, &spec,
              (struct jb_mem_controller_options){.n_queue = 64, .page = JB_MEM_PAGE_CLOSED});
        for (uint32_t k = 0; k < N; k++) {
            push(&run,
                 burst_of(&spec, k % spec.n_groups, k / spec.n_groups % spec.n_banks, k / n_banks,
                          0),
                 false);
        }
        drain(&run);
        /* On a shared bus each fourth activate may find a column command in its cycle. */
        const double most = period * 1.01 + (spec.has_split_bus ? 0 : 0.25);
        const double each = (double)run.last_done / N;
        if (each < period * 0.99 || each > most) {
            fail_msg("%s: %g cycles an access, not %g", standards[i], (double)run.last_done / N,
                     period);
        }
        end(&run);
    }
}

/* Refreshes of an idle channel, counted by hand. */
static void test_refresh_counts(void **state)
{
    (void)state;
    for (int i = 0; i < N_STANDARDS; i++) {
        const struct jb_mem_spec spec = read_standard(standards[i]);
        const uint32_t refi = spec.t[JB_MEM_T_REFI], n_banks = spec.n_groups * spec.n_banks;
        for (int per_bank = 0; per_bank < (spec.t[JB_MEM_T_RFC_PB] > 0 ? 2 : 1); per_bank++) {
            struct run run;
            const uint32_t period = per_bank == 1 ? refi / n_banks : refi;
            const uint64_t slack = 10; /* for those that share a command bus */
            const uint64_t span = 100 * (uint64_t)period + period / 2 + slack;
            begin(&run, &spec,
                  (struct jb_mem_controller_options){.refresh = per_bank == 1
                                                                    ? JB_MEM_REFRESH_PER_BANK
                                                                    : JB_MEM_REFRESH_ALL_BANK});
            while (run.now < span) {
                (void)jb_mem_controller_tick(run.controller, run.now);
                const uint64_t next = jb_mem_controller_next(run.controller);
                run.now = next > run.now ? next : run.now + 1;
            }
            /* rank r of a data bus first at period x (1 + r / ranks), then every period */
            uint64_t expected = 0;
            for (uint32_t rank = 0; rank < spec.n_ranks; rank++) {
                expected +=
                    1 + (span - slack - period - (uint64_t)period * rank / spec.n_ranks) / period;
            }
            expected *= spec.n_pseudo;
            assert_int_equal(jb_mem_count(run.mem, per_bank == 1 ? JB_MEM_REFB : JB_MEM_REFA),
                             expected);
            end(&run);
        }
    }
}

/* Mixed traffic under every policy: nothing lost, no rule broken. */
static void test_checker_replays(void **state)
{
    (void)state;
    enum { N = 1500 };
    for (int i = 0; i < N_STANDARDS; i++) {
        const struct jb_mem_spec spec = read_standard(standards[i]);
        for (int mode = 0; mode < 6; mode++) {
            struct jb_rng rng;
            struct checker checker;
            struct run run;
            const enum jb_mem_refresh refresh = (enum jb_mem_refresh)(mode % 3);
            if (refresh == JB_MEM_REFRESH_PER_BANK && spec.t[JB_MEM_T_RFC_PB] == 0) {
                continue;
            }
            begin(&run, &spec,
                  (struct jb_mem_controller_options){.page = mode < 3 ? JB_MEM_PAGE_OPEN
                                                                      : JB_MEM_PAGE_CLOSED,
                                                     .refresh = refresh,
                                                     .age_limit_cycles = 300});
            checker_start(&checker, &spec, 8 * N);
            jb_mem_set_sink(run.mem, checker_feed, &checker);
            jb_rng_seed(&rng, 7, (uint64_t)i * 6 + (uint64_t)mode);
            uint64_t burst = 0;
            for (int k = 0; k < N; k++) {
                burst = jb_rng_below(&rng, 4) > 0 ? burst + 1 : jb_rng_below(&rng, 1u << 22);
                push(&run, burst, jb_rng_below(&rng, 3) == 0);
            }
            drain(&run);
            if (checker.rule != NULL) {
                fail_msg("%s, mode %d: %s at event %u", standards[i], mode, checker.rule,
                         checker.at);
            }
            assert_int_equal(run.n_done, N);
            assert_true(checker.n < checker.capacity);
            checker_end(&checker);
            end(&run);
        }
    }
}

static void test_mappings(void **state)
{
    (void)state;
    struct jb_mem_spec spec = read_standard("hbm3");
    struct jb_mem_mapping mapping;
    static const char *const bad[] = {"",
                                      "row",
                                      "row-rank-bank-column-group",
                                      "row-rank-bank-column-group-pseudo-row",
                                      "row-rank-bank-column-group-group",
                                      "row-rank-bank-column-group-",
                                      "row-rank-bank-col-group-pseudo"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(jb_mem_mapping_read(bad[i], &spec, &mapping), JB_E_INVAL);
    }
    /* Every burst of a small channel has a place of its own, also with odd sizes. */
    static uint8_t seen[4096 * 16];
    spec.n_rows = 6;
    spec.n_columns = 5;
    spec.n_banks = 3;
    const uint32_t n_banks = jb_mem_n_banks(&spec), n = n_banks * 6 * 5;
    assert_int_equal(jb_mem_mapping_read("column-group-row-pseudo-rank-bank", &spec, &mapping),
                     JB_OK);
    memset(seen, 0, sizeof seen);
    for (uint32_t burst = 0; burst < n; burst++) {
        const struct jb_mem_target at = jb_mem_mapping_find(&mapping, &spec, burst);
        assert_true(at.bank < n_banks && at.row < 6 && at.column < 5);
        uint8_t *mark = &seen[(at.bank * 6 + at.row) * 5 + at.column];
        assert_int_equal(*mark, 0);
        *mark = 1;
    }
    struct jb_mem_controller *controller = NULL;
    struct jb_mem_controller_options options = {.n_queue = 65};
    assert_int_equal(jb_mem_controller_create(&spec, &options, NULL, NULL, &controller),
                     JB_E_INVAL);
    spec = read_standard("ddr4-3200");
    options = (struct jb_mem_controller_options){.refresh = JB_MEM_REFRESH_PER_BANK};
    assert_int_equal(jb_mem_controller_create(&spec, &options, NULL, NULL, &controller),
                     JB_E_INVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unloaded_latency),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_mapping_decides),
        cmocka_unit_test(test_random_rows_of_one_bank),
        cmocka_unit_test(test_random_rows_of_all_banks),
        cmocka_unit_test(test_refresh_counts),
        cmocka_unit_test(test_checker_replays),
        cmocka_unit_test(test_mappings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
