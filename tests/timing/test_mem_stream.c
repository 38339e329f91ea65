/* SPDX-License-Identifier: MIT */
/* Streams that are added up against the same streams issued command by command, on mem_timing
 * alone: cycles, counts, state times and whatever a later command would have to wait for are equal.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backends/simcore/mem_stream.h"
#include "platforms/base/rng.h"
#include "tests/timing/checker.h"
#include "tests/timing/standards.h"

enum { MAX_STEPS = 200 };

struct program {
    struct jb_mem_stream_step steps[MAX_STEPS];
    struct jb_mem_stream stream;
};

static void add(struct program *program, uint32_t command, uint32_t bank, uint32_t row)
{
    assert_true(program->stream.n_steps < MAX_STEPS);
    program->steps[program->stream.n_steps++] =
        (struct jb_mem_stream_step){.command = command, .target = {.bank = bank, .row = row}};
}

/* Some banks, each opened once a period, read or written, and closed: one by one, all together, by
 * the last column command, or at the start of the next period. */
static void make_program(struct program *program, const struct jb_mem_spec *spec,
                         struct jb_rng *rng)
{
    const uint32_t n_all = jb_mem_n_banks(spec), n_banks = 1 + jb_rng_below(rng, 6);
    const uint32_t first = jb_rng_below(rng, n_all), stride = 1 + jb_rng_below(rng, 5);
    const uint32_t ending = jb_rng_below(rng, 3), n_columns = 1 + jb_rng_below(rng, 12);
    const bool interleaves = jb_rng_below(rng, 2) == 0;
    uint32_t banks[6] = {0}, n = 0;
    *program = (struct program){.stream.n_periods = 1 + jb_rng_below(rng, 40)};
    program->stream.row = jb_rng_below(rng, 100);
    program->stream.row_step = jb_rng_below(rng, 3);
    for (uint32_t i = 0; i < n_banks; i++) {
        const uint32_t bank = (first + i * stride) % n_all;
        bool is_new = true;
        for (uint32_t k = 0; k < n; k++) {
            is_new = is_new && banks[k] != bank;
        }
        if (is_new) {
            banks[n++] = bank;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        add(program, JB_MEM_ACT, banks[i], i);
    }
    for (uint32_t k = 0; k < n * n_columns; k++) {
        const uint32_t i = interleaves ? k % n : k / n_columns;
        const bool is_last =
            interleaves ? k >= n * (n_columns - 1) : k % n_columns == n_columns - 1;
        const bool closes = ending == 0 && is_last;
        const uint32_t command = jb_rng_below(rng, 4) == 0 ? (closes ? JB_MEM_WRA : JB_MEM_WR)
                                                           : (closes ? JB_MEM_RDA : JB_MEM_RD);
        add(program, command, banks[i], i);
    }
    for (uint32_t i = 0; i < n && ending == 1; i++) {
        add(program, JB_MEM_PRE, banks[i], 0);
    }
    for (uint32_t i = 0; i < n && ending == 2; i++) {
        add(program, JB_MEM_PREA, banks[i], 0);
    }
    program->stream.steps = program->steps;
}

static void issue(struct jb_mem *mem, uint32_t command, struct jb_mem_target target, uint64_t *now)
{
    const uint64_t earliest = jb_mem_earliest(mem, command, target);
    *now = earliest > *now ? earliest : *now;
    jb_mem_issue(mem, command, target, *now);
}

/* The stream as its header describes it, one command after the other. */
static void walk(struct jb_mem *mem, const struct jb_mem_spec *spec,
                 const struct jb_mem_stream *stream, uint64_t refi, struct jb_mem_clock *clock)
{
    const uint32_t n_banks = jb_mem_n_banks(spec), rank = spec->n_groups * spec->n_banks;
    for (uint64_t period = 0; period < stream->n_periods; period++) {
        if (clock->now >= clock->refresh_due) {
            uint32_t rows[256];
            for (uint32_t bank = 0; bank < n_banks; bank++) {
                rows[bank] = jb_mem_open_row(mem, bank);
            }
            for (uint32_t bank = 0; bank < n_banks; bank += rank) {
                const struct jb_mem_target any = {.bank = bank};
                if (jb_mem_n_open(mem, bank) > 0) {
                    issue(mem, JB_MEM_PREA, any, &clock->now);
                }
                issue(mem, JB_MEM_REFA, any, &clock->now);
            }
            for (uint32_t bank = 0; bank < n_banks; bank++) {
                if (rows[bank] != JB_MEM_CLOSED) {
                    issue(mem, JB_MEM_ACT, (struct jb_mem_target){.bank = bank, .row = rows[bank]},
                          &clock->now);
                }
            }
            clock->refresh_due += refi;
            clock->n_refreshes++;
        }
        for (uint32_t i = 0; i < stream->n_steps; i++) {
            struct jb_mem_target target = stream->steps[i].target;
            target.row += stream->row + (uint32_t)period * stream->row_step;
            issue(mem, stream->steps[i].command, target, &clock->now);
        }
    }
}

static void assert_same(const struct jb_mem *a, const struct jb_mem *b,
                        const struct jb_mem_spec *spec, uint64_t now)
{
    for (uint32_t c = 0; c < JB_MEM_N_STANDARD; c++) {
        assert_int_equal(jb_mem_count(a, c), jb_mem_count(b, c));
        for (uint32_t bank = 0; bank < jb_mem_n_banks(spec); bank++) {
            const struct jb_mem_target target = {.bank = bank};
            const uint64_t at_a = jb_mem_earliest(a, c, target);
            const uint64_t at_b = jb_mem_earliest(b, c, target);
            assert_int_equal(at_a > now ? at_a : now, at_b > now ? at_b : now);
        }
    }
    for (uint32_t bank = 0; bank < jb_mem_n_banks(spec); bank++) {
        assert_int_equal(jb_mem_open_row(a, bank), jb_mem_open_row(b, bank));
    }
    const struct jb_mem_residency x = jb_mem_residency(a, now), y = jb_mem_residency(b, now);
    assert_int_equal(x.idle_cycles, y.idle_cycles);
    assert_int_equal(x.active_cycles, y.active_cycles);
    assert_int_equal(x.open_cycles, y.open_cycles);
}

/* 1,000 pairs of streams, one after the other on the same channel. */
static void test_equal_to_timing(void **state)
{
    (void)state;
    uint64_t n_commands = 0, n_issued = 0;
    for (uint32_t seed = 0; seed < 1000; seed++) {
        struct jb_rng rng;
        jb_rng_seed(&rng, 11, seed);
        struct jb_mem_spec spec = read_standard(standards[seed % N_STANDARDS]);
        /* Refresh often enough to fall into short streams. */
        const uint64_t refi = spec.t[JB_MEM_T_RFC] + 200 + jb_rng_below(&rng, 3000);
        /* Windows long enough to reach from one stream into the next. */
        spec.t[JB_MEM_T_FAW] =
            jb_rng_below(&rng, 2) == 0 ? 100 + jb_rng_below(&rng, 900) : spec.t[JB_MEM_T_FAW];
        struct jb_mem *added = NULL, *walked = NULL;
        assert_int_equal(jb_mem_create(&spec, &added), JB_OK);
        assert_int_equal(jb_mem_create(&spec, &walked), JB_OK);
        const bool refreshes = jb_rng_below(&rng, 4) > 0;
        struct jb_mem_clock clock = {.refresh_due = refreshes ? refi : UINT64_MAX};
        struct jb_mem_clock reference = clock;
        for (int part = 0; part < 2; part++) {
            struct program program;
            make_program(&program, &spec, &rng);
            if (jb_mem_stream_run(added, &program.stream, refi, &clock) != JB_OK) {
                fail_msg("seed %u: %s", seed, jb_reason());
            }
            walk(walked, &spec, &program.stream, refi, &reference);
            if (clock.now != reference.now || clock.refresh_due != reference.refresh_due ||
                clock.n_refreshes != reference.n_refreshes) {
                fail_msg("seed %u, part %d: ends at %llu after %llu refreshes, not %llu and %llu",
                         seed, part, (unsigned long long)clock.now,
                         (unsigned long long)clock.n_refreshes, (unsigned long long)reference.now,
                         (unsigned long long)reference.n_refreshes);
            }
            assert_same(added, walked, &spec, clock.now);
            n_commands += program.stream.n_periods * program.stream.n_steps;
        }
        n_issued += clock.n_issued;
        jb_mem_free(added);
        jb_mem_free(walked);
    }
    print_message("# %llu of %llu commands issued\n", (unsigned long long)n_issued,
                  (unsigned long long)n_commands);
    assert_true(n_issued < n_commands * 3 / 4); /* the shortcut was taken */
}

/* A sink sees every command, and the checker finds nothing wrong with them. */
static void test_whole_logs(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 60; seed++) {
        struct jb_rng rng;
        struct program program;
        struct checker checker;
        struct jb_mem *mem = NULL;
        jb_rng_seed(&rng, 12, seed);
        const struct jb_mem_spec spec = read_standard(standards[seed % N_STANDARDS]);
        make_program(&program, &spec, &rng);
        assert_int_equal(jb_mem_create(&spec, &mem), JB_OK);
        checker_start(&checker, &spec, 20000);
        jb_mem_set_sink(mem, checker_feed, &checker);
        struct jb_mem_clock clock = {.refresh_due = 2000};
        assert_int_equal(jb_mem_stream_run(mem, &program.stream, 4000, &clock), JB_OK);
        if (checker.rule != NULL) {
            fail_msg("seed %u: %s at event %u", seed, checker.rule, checker.at);
        }
        assert_int_equal(checker.n, clock.n_issued);
        checker_end(&checker);
        jb_mem_free(mem);
    }
}

/* One row after the other of one HBM2 bank: rows x max(tRC, tRCD + 31 tCCD_L + tRTP + tRP). */
static void test_a_long_stream(void **state)
{
    (void)state;
    const struct jb_mem_spec spec = read_standard("hbm2");
    struct program program = {.stream.n_periods = 1000000, .stream.row_step = 1};
    struct jb_mem *mem = NULL;
    add(&program, JB_MEM_ACT, 0, 0);
    for (int k = 0; k < 32; k++) {
        add(&program, JB_MEM_RD, 0, 0);
    }
    add(&program, JB_MEM_PRE, 0, 0);
    program.stream.steps = program.steps;
    assert_int_equal(jb_mem_create(&spec, &mem), JB_OK);
    struct jb_mem_clock clock = {.refresh_due = UINT64_MAX};
    assert_int_equal(jb_mem_stream_run(mem, &program.stream, 0, &clock), JB_OK);
    const uint64_t row = 14 + 31 * 4 + 5 + 14; /* tRCD, columns, tRTP, tRP */
    assert_int_equal(clock.now, 1000000 * row - 14);
    assert_int_equal(jb_mem_count(mem, JB_MEM_RD), 32000000);
    assert_true(clock.n_issued < 200);
    jb_mem_free(mem);
}

static void test_bad_steps(void **state)
{
    (void)state;
    const struct jb_mem_spec spec = read_standard("hbm2");
    const struct jb_mem_stream_step closed = {.command = JB_MEM_RD};
    const struct jb_mem_stream_step unknown = {.command = 40};
    const struct jb_mem_stream_step far = {.command = JB_MEM_ACT, .target.bank = 5000};
    const struct jb_mem_stream_step *const steps[] = {&closed, &unknown, &far};
    for (int i = 0; i < 3; i++) {
        struct jb_mem *mem = NULL;
        struct jb_mem_clock clock = {.refresh_due = UINT64_MAX};
        const struct jb_mem_stream stream = {.steps = steps[i], .n_steps = 1, .n_periods = 2};
        assert_int_equal(jb_mem_create(&spec, &mem), JB_OK);
        assert_int_equal(jb_mem_stream_run(mem, &stream, 0, &clock), JB_E_INVAL);
        jb_mem_free(mem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_to_timing),
        cmocka_unit_test(test_whole_logs),
        cmocka_unit_test(test_a_long_stream),
        cmocka_unit_test(test_bad_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
