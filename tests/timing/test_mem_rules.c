/* SPDX-License-Identifier: MIT */
/* Each timing rule by itself: every other timing is as short as can be, so that the one under test
 * decides; not ready at c - 1, ready at c, and not binding where it must not. The checker is held
 * to the same cases. Then every standard: random legal logs, on which model and checker must agree
 * to the cycle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "platforms/base/rng.h"
#include "tests/timing/checker.h"
#include "tests/timing/standards.h"

/* Two pseudo-channels, two ranks, two groups, two banks. */
enum { SAME = 0, GROUP = 1, RANK = 2, PSEUDO = 4, CHANNEL = 8 };

static void raise(uint32_t *t, uint32_t least)
{
    *t = *t < least ? least : *t;
}

/* All timings as short as the checks allow around one that is long. */
static struct jb_mem_spec lab(enum jb_mem_t long_one, uint32_t cycles, bool has_split_bus)
{
    struct jb_mem_spec spec = {.clock_hz = 1e9,
                               .n_pseudo = 2,
                               .n_ranks = 2,
                               .n_groups = 2,
                               .n_banks = 2,
                               .n_rows = 64,
                               .n_columns = 8,
                               .burst_bytes = 32,
                               .has_split_bus = has_split_bus};
    uint32_t *t = spec.t;
    static const enum jb_mem_t ones[] = {
        JB_MEM_T_BL,       JB_MEM_T_CL,      JB_MEM_T_CWL,     JB_MEM_T_RCD_RD,
        JB_MEM_T_RCD_WR,   JB_MEM_T_RP,      JB_MEM_T_RP_ALL,  JB_MEM_T_RAS,
        JB_MEM_T_RC,       JB_MEM_T_CCD_S,   JB_MEM_T_CCD_L,   JB_MEM_T_CCD_S_WR,
        JB_MEM_T_CCD_L_WR, JB_MEM_T_BUS_ACT, JB_MEM_T_BUS_COL, JB_MEM_T_BUS_ROW};
    for (size_t i = 0; i < sizeof ones / sizeof ones[0]; i++) {
        t[ones[i]] = 1;
    }
    t[long_one] = cycles;
    raise(&t[JB_MEM_T_RAS], t[JB_MEM_T_RCD_RD]);
    raise(&t[JB_MEM_T_RC], t[JB_MEM_T_RAS] + t[JB_MEM_T_RP] - 1);
    raise(&t[JB_MEM_T_RP_ALL], t[JB_MEM_T_RP]);
    raise(&t[JB_MEM_T_CCD_S], t[JB_MEM_T_BL]);
    raise(&t[JB_MEM_T_CCD_L], t[JB_MEM_T_CCD_S]);
    raise(&t[JB_MEM_T_CCD_S_WR], t[JB_MEM_T_BL]);
    raise(&t[JB_MEM_T_CCD_L_WR], t[JB_MEM_T_CCD_S_WR]);
    raise(&t[JB_MEM_T_RRD_L], t[JB_MEM_T_RRD_S]);
    raise(&t[JB_MEM_T_WTR_L], t[JB_MEM_T_WTR_S]);
    raise(&t[JB_MEM_T_RFC], t[JB_MEM_T_RFC_PB]);
    t[JB_MEM_T_REFI] = 10000;
    return spec;
}

struct rule_case {
    const char *rule;
    enum jb_mem_t t;
    uint32_t cycles;      /* value of the timing                          */
    uint32_t first, then; /* commands                                     */
    uint32_t gap;         /* least distance, counted by hand              */
    uint32_t distance;    /* how far apart the banks are                  */
    uint32_t free_at;     /* a distance at which the rule does not bind; SAME = there is none */
};

/* With write latency and burst of one cycle each, write data end two cycles after the command. */
static const struct rule_case cases[] = {
    {"tRCDRD", JB_MEM_T_RCD_RD, 50, JB_MEM_ACT, JB_MEM_RD, 50, SAME, GROUP},
    {"tRCDRD", JB_MEM_T_RCD_RD, 50, JB_MEM_ACT, JB_MEM_RDA, 50, SAME, GROUP},
    {"tRCDWR", JB_MEM_T_RCD_WR, 50, JB_MEM_ACT, JB_MEM_WR, 50, SAME, GROUP},
    {"tRCDWR", JB_MEM_T_RCD_WR, 50, JB_MEM_ACT, JB_MEM_WRA, 50, SAME, GROUP},
    {"tRAS", JB_MEM_T_RAS, 50, JB_MEM_ACT, JB_MEM_PRE, 50, SAME, 1},
    {"tRAS", JB_MEM_T_RAS, 50, JB_MEM_ACT, JB_MEM_PREA, 50, RANK - 1, PSEUDO},
    {"tRC", JB_MEM_T_RC, 50, JB_MEM_ACT, JB_MEM_ACT, 50, SAME, 1},
    {"tRC", JB_MEM_T_RC, 50, JB_MEM_ACT, JB_MEM_REFB, 50, SAME, 1},
    {"tRC", JB_MEM_T_RC, 50, JB_MEM_ACT, JB_MEM_REFA, 50, GROUP, RANK * 2},
    {"tRP", JB_MEM_T_RP, 50, JB_MEM_PRE, JB_MEM_ACT, 50, SAME, 1},
    {"tRP", JB_MEM_T_RP, 50, JB_MEM_PRE, JB_MEM_REFB, 50, SAME, 1},
    {"tRP", JB_MEM_T_RP, 50, JB_MEM_PRE, JB_MEM_REFA, 50, GROUP, PSEUDO},
    {"tRPab", JB_MEM_T_RP_ALL, 50, JB_MEM_PREA, JB_MEM_ACT, 50, GROUP, PSEUDO},
    {"tRPab", JB_MEM_T_RP_ALL, 50, JB_MEM_PREA, JB_MEM_REFA, 50, GROUP, PSEUDO},
    {"tRPab", JB_MEM_T_RP_ALL, 50, JB_MEM_PREA, JB_MEM_REFB, 50, GROUP, PSEUDO},
    {"tPPD", JB_MEM_T_PPD, 50, JB_MEM_PRE, JB_MEM_PRE, 50, 2, PSEUDO},
    {"tPPD", JB_MEM_T_PPD, 50, JB_MEM_PRE, JB_MEM_PREA, 50, 2, PSEUDO},
    {"tRRDS", JB_MEM_T_RRD_S, 50, JB_MEM_ACT, JB_MEM_ACT, 50, 2, PSEUDO},
    {"tRRDS", JB_MEM_T_RRD_S, 50, JB_MEM_ACT, JB_MEM_REFB, 50, 2, PSEUDO},
    {"tRRDL", JB_MEM_T_RRD_L, 50, JB_MEM_ACT, JB_MEM_ACT, 50, 1, 2},
    {"tCCDS", JB_MEM_T_CCD_S, 50, JB_MEM_RD, JB_MEM_RD, 50, 2, PSEUDO},
    {"tCCDS", JB_MEM_T_CCD_S, 50, JB_MEM_RDA, JB_MEM_RDA, 50, 2, PSEUDO},
    {"tCCDL", JB_MEM_T_CCD_L, 50, JB_MEM_RD, JB_MEM_RD, 50, 1, 2},
    {"tCCDS_WR", JB_MEM_T_CCD_S_WR, 50, JB_MEM_WR, JB_MEM_WR, 50, 2, PSEUDO},
    {"tCCDL_WR", JB_MEM_T_CCD_L_WR, 50, JB_MEM_WR, JB_MEM_WRA, 50, 1, 2},
    {"tCCDR", JB_MEM_T_CCD_R, 50, JB_MEM_RD, JB_MEM_RD, 50, 4, 2},
    {"tCCDR", JB_MEM_T_CCD_R, 50, JB_MEM_WR, JB_MEM_WR, 50, 4, CHANNEL},
    {"tRTW", JB_MEM_T_RTW, 50, JB_MEM_RD, JB_MEM_WR, 50, 4, CHANNEL},
    {"tRTW", JB_MEM_T_RTW, 50, JB_MEM_RDA, JB_MEM_WRA, 50, 1, CHANNEL},
    {"tWTRS", JB_MEM_T_WTR_S, 50, JB_MEM_WR, JB_MEM_RD, 52, 2, PSEUDO},
    {"tWTRL", JB_MEM_T_WTR_L, 50, JB_MEM_WR, JB_MEM_RD, 52, 1, 2},
    {"tWTR other rank", JB_MEM_T_CCD_R, 50, JB_MEM_WR, JB_MEM_RD, 50, 4, CHANNEL},
    {"tRTP", JB_MEM_T_RTP, 50, JB_MEM_RD, JB_MEM_PRE, 50, SAME, 1},
    {"tRTP", JB_MEM_T_RTP, 50, JB_MEM_RD, JB_MEM_PREA, 50, 2, PSEUDO},
    {"tRTP+tRP", JB_MEM_T_RTP, 50, JB_MEM_RDA, JB_MEM_ACT, 51, SAME, 1},
    {"tRTP+tRP", JB_MEM_T_RTP, 50, JB_MEM_RDA, JB_MEM_REFB, 51, SAME, 1},
    {"tRTP+tRP", JB_MEM_T_RTP, 50, JB_MEM_RDA, JB_MEM_REFA, 51, 2, PSEUDO},
    {"tWR", JB_MEM_T_WR, 50, JB_MEM_WR, JB_MEM_PRE, 52, SAME, 1},
    {"tWR", JB_MEM_T_WR, 50, JB_MEM_WR, JB_MEM_PREA, 52, 2, PSEUDO},
    {"tWR+tRP", JB_MEM_T_WR, 50, JB_MEM_WRA, JB_MEM_ACT, 53, SAME, 1},
    {"tWR+tRP", JB_MEM_T_WR, 50, JB_MEM_WRA, JB_MEM_REFB, 53, SAME, 1},
    {"tWR+tRP", JB_MEM_T_WR, 50, JB_MEM_WRA, JB_MEM_REFA, 53, 2, PSEUDO},
    {"tRFC", JB_MEM_T_RFC, 50, JB_MEM_REFA, JB_MEM_ACT, 50, 2, PSEUDO},
    {"tRFC", JB_MEM_T_RFC, 50, JB_MEM_REFA, JB_MEM_REFA, 50, SAME, PSEUDO},
    {"tRFC", JB_MEM_T_RFC, 50, JB_MEM_REFA, JB_MEM_REFB, 50, 1, PSEUDO},
    {"tRFCpb", JB_MEM_T_RFC_PB, 50, JB_MEM_REFB, JB_MEM_ACT, 50, SAME, 1},
    {"tRFCpb", JB_MEM_T_RFC_PB, 50, JB_MEM_REFB, JB_MEM_REFB, 50, SAME, 1},
    {"tRFCpb", JB_MEM_T_RFC_PB, 50, JB_MEM_REFB, JB_MEM_REFA, 50, 1, PSEUDO},
    {"tpbR2pbR", JB_MEM_T_PB_PB, 50, JB_MEM_REFB, JB_MEM_REFB, 50, 2, PSEUDO},
    {"tRREFD", JB_MEM_T_PB_ACT, 50, JB_MEM_REFB, JB_MEM_ACT, 50, 2, PSEUDO},
    {"command bus", JB_MEM_T_BUS_ACT, 50, JB_MEM_ACT, JB_MEM_ACT, 50, CHANNEL, SAME},
    {"command bus", JB_MEM_T_BUS_COL, 50, JB_MEM_RD, JB_MEM_WR, 50, CHANNEL, SAME},
    {"command bus", JB_MEM_T_BUS_ROW, 50, JB_MEM_PRE, JB_MEM_ACT, 50, CHANNEL, SAME},
};
#define N_CASES (sizeof cases / sizeof cases[0])

static bool needs_open(uint32_t command)
{
    return command == JB_MEM_PRE || (command >= JB_MEM_RD && command <= JB_MEM_WRA);
}

static void go(struct jb_mem *mem, uint32_t command, uint32_t bank, uint64_t *now)
{
    const struct jb_mem_target target = {.bank = bank, .row = 3};
    const uint64_t earliest = jb_mem_earliest(mem, command, target);
    *now = *now > earliest ? *now : earliest;
    jb_mem_issue(mem, command, target, *now);
}

/* Opens what the two commands need open, long before the first of them at cycle 1000. */
static void prepare(struct jb_mem *mem, const struct rule_case *one, uint32_t bank)
{
    uint64_t now = 0;
    if (needs_open(one->first)) {
        go(mem, JB_MEM_ACT, 0, &now);
    }
    if (needs_open(one->then) && jb_mem_open_row(mem, bank) == JB_MEM_CLOSED &&
        !(one->first == JB_MEM_ACT && bank == 0)) {
        go(mem, JB_MEM_ACT, bank, &now);
    }
    assert_true(now < 900);
    now = 1000;
    go(mem, one->first, 0, &now);
    assert_int_equal(now, 1000);
}

static void check_case(const struct rule_case *one, bool has_split_bus)
{
    const struct jb_mem_spec spec = lab(one->t, one->cycles, has_split_bus);
    const struct jb_mem_target target = {.bank = one->distance, .row = 3};
    struct jb_mem *mem = NULL;
    struct checker checker;
    assert_int_equal(jb_mem_create(&spec, &mem), JB_OK);
    checker_start(&checker, &spec, 16);
    jb_mem_set_sink(mem, checker_feed, &checker);
    prepare(mem, one, one->distance);
    if (jb_mem_earliest(mem, one->then, target) != 1000 + one->gap) {
        fail_msg("%s: %s after %s is ready after %d cycles, not %u", one->rule,
                 jb_mem_standard_commands[one->then].name,
                 jb_mem_standard_commands[one->first].name,
                 (int)(jb_mem_earliest(mem, one->then, target) - 1000), one->gap);
    }
    if (checker.rule != NULL) {
        fail_msg("%s: the checker finds %s broken in what leads there", one->rule, checker.rule);
    }
    if (jb_mem_can(mem, one->then, target)) {
        struct jb_mem_event early = {
            .cycle = 1000 + one->gap - 1, .command = one->then, .target = target};
        const char *broken = checker_judge(&checker, &early);
        assert_non_null(broken);
        assert_string_equal(broken, one->rule);
        early.cycle++;
        assert_null(checker_judge(&checker, &early));
    }
    if (one->free_at != SAME) {
        const struct jb_mem_target other = {.bank = one->free_at, .row = 3};
        assert_true(jb_mem_earliest(mem, one->then, other) < 1000 + one->gap);
    }
    checker_end(&checker);
    jb_mem_free(mem);
}

static void test_each_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASES; i++) {
        check_case(&cases[i], false);
    }
}

static void test_each_rule_with_two_buses(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASES; i++) {
        check_case(&cases[i], true);
    }
}

static void test_two_buses_share_a_cycle(void **state)
{
    (void)state;
    for (int split = 0; split < 2; split++) {
        const struct jb_mem_spec spec = lab(JB_MEM_T_BUS_COL, 9, split == 1);
        struct jb_mem *mem = NULL;
        uint64_t now = 0;
        assert_int_equal(jb_mem_create(&spec, &mem), JB_OK);
        go(mem, JB_MEM_ACT, 0, &now);
        now = 100;
        go(mem, JB_MEM_RD, 0, &now);
        const struct jb_mem_target other = {.bank = 2};
        assert_int_equal(jb_mem_earliest(mem, JB_MEM_ACT, other), split == 1 ? 1 : 109);
        jb_mem_free(mem);
    }
}

/* The fifth activate waits for the first; another rank does not. */
static void test_four_activates(void **state)
{
    (void)state;
    struct jb_mem_spec spec = lab(JB_MEM_T_FAW, 50, false);
    spec.n_banks = 4;
    struct jb_mem *mem = NULL;
    struct checker checker;
    assert_int_equal(jb_mem_create(&spec, &mem), JB_OK);
    checker_start(&checker, &spec, 16);
    jb_mem_set_sink(mem, checker_feed, &checker);
    uint64_t now = 1000;
    for (uint32_t bank = 0; bank < 4; bank++) {
        assert_true(jb_mem_earliest(mem, JB_MEM_ACT, (struct jb_mem_target){.bank = bank}) <= now);
        go(mem, JB_MEM_ACT, bank, &now);
        now += 3;
    }
    const struct jb_mem_target fifth = {.bank = 4, .row = 1}, rank = {.bank = 8, .row = 1};
    assert_int_equal(jb_mem_earliest(mem, JB_MEM_ACT, fifth), 1050);
    assert_true(jb_mem_earliest(mem, JB_MEM_ACT, rank) < 1050);
    struct jb_mem_event early = {.cycle = 1049, .command = JB_MEM_ACT, .target = fifth};
    assert_string_equal(checker_judge(&checker, &early), "tFAW");
    early.cycle = 1050;
    assert_null(checker_judge(&checker, &early));
    now = 1050;
    go(mem, JB_MEM_ACT, 4, &now);
    const struct jb_mem_target sixth = {.bank = 5, .row = 1};
    assert_int_equal(jb_mem_earliest(mem, JB_MEM_ACT, sixth), 1053);
    checker_end(&checker);
    jb_mem_free(mem);
}

static void test_states(void **state)
{
    (void)state;
    const struct jb_mem_spec spec = lab(JB_MEM_T_CL, 3, false);
    const struct jb_mem_target row3 = {.bank = 1, .row = 3}, row4 = {.bank = 1, .row = 4};
    struct jb_mem *mem = NULL;
    uint64_t now = 0;
    assert_int_equal(jb_mem_create(&spec, &mem), JB_OK);
    assert_int_equal(jb_mem_next(mem, JB_MEM_RD, row3), JB_MEM_ACT);
    assert_false(jb_mem_can(mem, JB_MEM_RD, row3));
    assert_false(jb_mem_can(mem, JB_MEM_PRE, row3));
    assert_true(jb_mem_can(mem, JB_MEM_REFA, row3));
    go(mem, JB_MEM_ACT, 1, &now);
    assert_int_equal(jb_mem_next(mem, JB_MEM_RD, row3), JB_MEM_RD);
    assert_int_equal(jb_mem_next(mem, JB_MEM_RD, row4), JB_MEM_PRE);
    assert_false(jb_mem_can(mem, JB_MEM_ACT, row4));
    assert_false(jb_mem_can(mem, JB_MEM_REFA, (struct jb_mem_target){.bank = 0}));
    assert_true(jb_mem_can(mem, JB_MEM_REFB, (struct jb_mem_target){.bank = 0}));
    assert_int_equal(jb_mem_n_open(mem, 2), 1);
    now = 10;
    go(mem, JB_MEM_ACT, 2, &now);
    now = 30;
    go(mem, JB_MEM_PREA, 0, &now);
    assert_int_equal(jb_mem_n_open(mem, 2), 0);
    /* rank 0: one row open in 0 to 10, two in 10 to 30; then, and in the other ranks, none */
    const struct jb_mem_residency residency = jb_mem_residency(mem, 100);
    assert_int_equal(residency.active_cycles, 30);
    assert_int_equal(residency.open_cycles, 10 + 2 * 20);
    assert_int_equal(residency.idle_cycles, 70 + 3 * 100);
    jb_mem_reset(mem);
    assert_int_equal(jb_mem_count(mem, JB_MEM_ACT), 0);
    assert_int_equal(jb_mem_earliest(mem, JB_MEM_ACT, row3), 0);
    jb_mem_free(mem);
}

/* A device's own: all banks of a rank opened at once, then worked on every fifth cycle. */
static void test_commands_of_a_device(void **state)
{
    (void)state;
    enum { ACT_ALL = JB_MEM_N_STANDARD, MAC_EVEN, T_MAC = JB_MEM_T_N_STANDARD };
    static const struct jb_mem_command commands[] = {
        {"ACT_ALL", JB_MEM_RANK, JB_MEM_NEEDS_CLOSED | JB_MEM_OPENS, 0},
        {"MAC_EVEN", JB_MEM_RANK, JB_MEM_NEEDS_ROW, 0x5},
    };
    static const struct jb_mem_rule rules[] = {
        {"tRCDMAC",
         JB_MEM_RANK,
         JB_MEM_BIT(ACT_ALL),
         JB_MEM_BIT(MAC_EVEN),
         {JB_MEM_T_RCD_RD},
         0,
         0},
        {"tMAC", JB_MEM_RANK, JB_MEM_BIT(MAC_EVEN), JB_MEM_BIT(MAC_EVEN), {T_MAC}, 0, 0},
    };
    struct jb_mem_spec spec = lab(JB_MEM_T_RCD_RD, 20, false);
    spec.t[T_MAC] = 5;
    spec.extra_commands = commands;
    spec.n_extra_commands = 2;
    spec.extra_rules = rules;
    spec.n_extra_rules = 2;
    struct jb_mem *mem = NULL;
    assert_int_equal(jb_mem_create(&spec, &mem), JB_OK);
    const struct jb_mem_target target = {.bank = 1, .row = 7};
    assert_true(jb_mem_can(mem, ACT_ALL, target));
    assert_false(jb_mem_can(mem, MAC_EVEN, target));
    jb_mem_issue(mem, ACT_ALL, target, 100);
    assert_int_equal(jb_mem_n_open(mem, 0), 4);
    assert_int_equal(jb_mem_open_row(mem, 3), 7);
    assert_int_equal(jb_mem_open_row(mem, 4), JB_MEM_CLOSED);
    assert_int_equal(jb_mem_earliest(mem, MAC_EVEN, target), 120);
    jb_mem_issue(mem, MAC_EVEN, target, 120);
    assert_int_equal(jb_mem_earliest(mem, MAC_EVEN, target), 125);
    jb_mem_free(mem);

    static const struct jb_mem_rule below = {
        "low", JB_MEM_BANK, JB_MEM_BIT(MAC_EVEN), JB_MEM_BIT(JB_MEM_ACT), {T_MAC}, 0, 0};
    spec.extra_rules = &below;
    spec.n_extra_rules = 1;
    assert_int_equal(jb_mem_create(&spec, &mem), JB_E_INVAL);
    assert_non_null(strstr(jb_reason(), "low"));
}

/* ---- all standards ---- */

/* A step towards a random wish, as early as allowed or a little later. The checker must object to
 * one cycle earlier, unless the last command stands at that cycle or later already. */
static uint32_t random_step(struct jb_mem *mem, const struct jb_mem_spec *spec,
                            const struct checker *checker, struct jb_rng *rng, uint64_t *now)
{
    static const uint32_t wishes[] = {JB_MEM_RD,  JB_MEM_RD,   JB_MEM_RDA,  JB_MEM_WR,
                                      JB_MEM_WRA, JB_MEM_PREA, JB_MEM_REFA, JB_MEM_REFB};
    struct jb_mem_target target = {.bank = jb_rng_below(rng, jb_mem_n_banks(spec)),
                                   .row = jb_rng_below(rng, 2)};
    uint32_t command = wishes[jb_rng_below(rng, jb_rng_below(rng, 8) == 0 ? 8 : 5)];
    if (command < JB_MEM_REFA && command != JB_MEM_PREA) {
        command = jb_mem_next(mem, command, target);
    } else if (!jb_mem_can(mem, command, target)) {
        command = JB_MEM_PREA;
    }
    if (command == JB_MEM_REFB && spec->t[JB_MEM_T_RFC_PB] == 0) {
        return 0;
    }
    const uint64_t earliest = jb_mem_earliest(mem, command, target);
    const uint64_t slack = jb_rng_below(rng, 4) == 0 ? jb_rng_below(rng, 20) : 0;
    uint32_t n_tight = 0;
    if (earliest > *now) {
        const struct jb_mem_event early = {
            .cycle = earliest - 1, .command = command, .target = target};
        assert_non_null(checker_judge(checker, &early));
        n_tight = 1;
    }
    *now = (earliest > *now ? earliest : *now) + slack;
    jb_mem_issue(mem, command, target, *now);
    return n_tight;
}

static void test_checker_agrees(void **state)
{
    (void)state;
    enum { N_STEPS = 6000 };
    for (int i = 0; i < N_STANDARDS; i++) {
        const struct jb_mem_spec spec = read_standard(standards[i]);
        struct jb_mem *mem = NULL;
        struct jb_rng rng;
        struct checker checker;
        uint64_t now = 0;
        uint32_t n_tight = 0;
        assert_int_equal(jb_mem_create(&spec, &mem), JB_OK);
        checker_start(&checker, &spec, N_STEPS);
        jb_mem_set_sink(mem, checker_feed, &checker);
        jb_rng_seed(&rng, 4, (uint64_t)i);
        for (int step = 0; step < N_STEPS; step++) {
            n_tight += random_step(mem, &spec, &checker, &rng, &now);
            if (checker.rule != NULL) {
                fail_msg("%s: %s broken by event %u", standards[i], checker.rule, checker.at);
            }
        }
        assert_true(n_tight > N_STEPS / 4);
        checker_end(&checker);
        jb_mem_free(mem);
    }
}

static void test_contradictions(void **state)
{
    (void)state;
    static const struct {
        enum jb_mem_t t;
        uint32_t cycles;
        const char *word;
    } bad[] = {
        {JB_MEM_T_RC, 10, "tRC"},           {JB_MEM_T_RAS, 10, "tRAS"},
        {JB_MEM_T_CCD_S, 1, "tCCD_S"},      {JB_MEM_T_CCD_L, 1, "tCCD_L"},
        {JB_MEM_T_REFI, 100, "tREFI"},      {JB_MEM_T_WTR_L, 0, "tWTR_L"},
        {JB_MEM_T_RFC, 2000000, "2000000"}, {JB_MEM_T_BL, 0, "burst"},
        {JB_MEM_T_RP_ALL, 1, "tRPab"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct jb_mem_spec spec = read_standard("hbm2");
        spec.t[bad[i].t] = bad[i].cycles;
        assert_int_equal(jb_mem_spec_check(&spec), JB_E_INVAL);
        assert_non_null(strstr(jb_reason(), bad[i].word));
    }
    struct jb_mem_spec spec = read_standard("hbm2");
    spec.n_banks = 0;
    assert_int_equal(jb_mem_spec_check(&spec), JB_E_INVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_rule),
        cmocka_unit_test(test_each_rule_with_two_buses),
        cmocka_unit_test(test_two_buses_share_a_cycle),
        cmocka_unit_test(test_four_activates),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_commands_of_a_device),
        cmocka_unit_test(test_checker_agrees),
        cmocka_unit_test(test_contradictions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
