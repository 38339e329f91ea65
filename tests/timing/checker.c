/* SPDX-License-Identifier: MIT */
#include "tests/timing/checker.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct pair {
    const uint32_t *t;
    uint32_t a, b;                  /* commands, a before b */
    bool bank, group, rank, pseudo; /* whether both lie in the same one                 */
    bool touches;                   /* whether some bank is reached by both             */
    uint64_t gap;
    const char *broken;
};

static bool is_read(uint32_t c)
{
    return c == JB_MEM_RD || c == JB_MEM_RDA;
}

static bool is_write(uint32_t c)
{
    return c == JB_MEM_WR || c == JB_MEM_WRA;
}

static bool is_column(uint32_t c)
{
    return is_read(c) || is_write(c);
}

static bool is_precharge(uint32_t c)
{
    return c == JB_MEM_PRE || c == JB_MEM_PREA;
}

static bool is_wide(uint32_t c)
{
    return c == JB_MEM_PREA || c == JB_MEM_REFA;
}

/* Needs the bank to be at rest: what follows tRP. */
static bool needs_rest(uint32_t c)
{
    return c == JB_MEM_ACT || c == JB_MEM_REFA || c == JB_MEM_REFB;
}

static void ask(struct pair *pair, bool applies, const char *rule, uint64_t cycles)
{
    if (applies && pair->gap < cycles && pair->broken == NULL) {
        pair->broken = rule;
    }
}

static void after_activate(struct pair *p)
{
    ask(p, p->bank && is_read(p->b), "tRCDRD", p->t[JB_MEM_T_RCD_RD]);
    ask(p, p->bank && is_write(p->b), "tRCDWR", p->t[JB_MEM_T_RCD_WR]);
    ask(p, p->touches && is_precharge(p->b), "tRAS", p->t[JB_MEM_T_RAS]);
    ask(p, p->touches && needs_rest(p->b), "tRC", p->t[JB_MEM_T_RC]);
    const bool is_row = p->b == JB_MEM_ACT || p->b == JB_MEM_REFB;
    ask(p, p->rank && is_row, "tRRDS", p->t[JB_MEM_T_RRD_S]);
    ask(p, p->group && is_row, "tRRDL", p->t[JB_MEM_T_RRD_L]);
}

static void after_precharge(struct pair *p)
{
    const uint32_t rp = p->t[p->a == JB_MEM_PREA ? JB_MEM_T_RP_ALL : JB_MEM_T_RP];
    ask(p, p->touches && needs_rest(p->b), p->a == JB_MEM_PREA ? "tRPab" : "tRP", rp);
    ask(p, p->rank && is_precharge(p->b), "tPPD", p->t[JB_MEM_T_PPD]);
}

static void after_read(struct pair *p)
{
    const uint32_t *t = p->t;
    ask(p, p->rank && is_read(p->b), "tCCDS", t[JB_MEM_T_CCD_S]);
    ask(p, p->group && is_read(p->b), "tCCDL", t[JB_MEM_T_CCD_L]);
    ask(p, p->pseudo && !p->rank && is_read(p->b), "tCCDR", t[JB_MEM_T_CCD_R]);
    ask(p, p->pseudo && is_write(p->b), "tRTW", t[JB_MEM_T_RTW]);
    ask(p, p->a == JB_MEM_RD && p->touches && is_precharge(p->b), "tRTP", t[JB_MEM_T_RTP]);
    ask(p, p->a == JB_MEM_RDA && p->touches && needs_rest(p->b), "tRTP+tRP",
        (uint64_t)t[JB_MEM_T_RTP] + t[JB_MEM_T_RP]);
}

static void after_write(struct pair *p)
{
    const uint32_t *t = p->t;
    const uint64_t data_end = (uint64_t)t[JB_MEM_T_CWL] + t[JB_MEM_T_BL];
    ask(p, p->rank && is_write(p->b), "tCCDS_WR", t[JB_MEM_T_CCD_S_WR]);
    ask(p, p->group && is_write(p->b), "tCCDL_WR", t[JB_MEM_T_CCD_L_WR]);
    ask(p, p->pseudo && !p->rank && is_write(p->b), "tCCDR", t[JB_MEM_T_CCD_R]);
    ask(p, p->rank && is_read(p->b), "tWTRS", data_end + t[JB_MEM_T_WTR_S]);
    ask(p, p->group && is_read(p->b), "tWTRL", data_end + t[JB_MEM_T_WTR_L]);
    /* data of the two ranks keep the same distance on the bus as two writes would */
    const uint64_t write_data = (uint64_t)t[JB_MEM_T_CWL] + t[JB_MEM_T_CCD_R];
    ask(p, p->pseudo && !p->rank && is_read(p->b) && write_data > t[JB_MEM_T_CL], "tWTR other rank",
        write_data - t[JB_MEM_T_CL]);
    ask(p, p->a == JB_MEM_WR && p->touches && is_precharge(p->b), "tWR", data_end + t[JB_MEM_T_WR]);
    ask(p, p->a == JB_MEM_WRA && p->touches && needs_rest(p->b), "tWR+tRP",
        data_end + t[JB_MEM_T_WR] + t[JB_MEM_T_RP]);
}

static void after_refresh(struct pair *p)
{
    ask(p, p->a == JB_MEM_REFA && p->rank, "tRFC", p->t[JB_MEM_T_RFC]);
    if (p->a == JB_MEM_REFB) {
        ask(p, p->touches, "tRFCpb", p->t[JB_MEM_T_RFC_PB]);
        ask(p, p->rank && p->b == JB_MEM_REFB, "tpbR2pbR", p->t[JB_MEM_T_PB_PB]);
        ask(p, p->rank && p->b == JB_MEM_ACT, "tRREFD", p->t[JB_MEM_T_PB_ACT]);
    }
}

static void on_bus(struct pair *p, bool has_split_bus)
{
    const enum jb_mem_t kind = p->a == JB_MEM_ACT ? JB_MEM_T_BUS_ACT
                               : is_column(p->a)  ? JB_MEM_T_BUS_COL
                                                  : JB_MEM_T_BUS_ROW;
    const bool is_same_bus = !has_split_bus || is_column(p->a) == is_column(p->b);
    ask(p, is_same_bus, "command bus", p->t[kind]);
}

static const char *judge_pair(const struct jb_mem_spec *spec, const struct jb_mem_event *a,
                              const struct jb_mem_event *b)
{
    const uint32_t group = spec->n_banks, rank = group * spec->n_groups;
    const uint32_t pseudo = rank * spec->n_ranks;
    const uint32_t i = a->target.bank, j = b->target.bank;
    struct pair p = {.t = spec->t, .a = a->command, .b = b->command, .gap = b->cycle - a->cycle};
    p.bank = i == j;
    p.group = i / group == j / group;
    p.rank = i / rank == j / rank;
    p.pseudo = i / pseudo == j / pseudo;
    p.touches = is_wide(p.a) || is_wide(p.b) ? p.rank : p.bank;
    on_bus(&p, spec->has_split_bus);
    if (p.a == JB_MEM_ACT) {
        after_activate(&p);
    } else if (is_precharge(p.a)) {
        after_precharge(&p);
    } else if (is_read(p.a)) {
        after_read(&p);
    } else if (is_write(p.a)) {
        after_write(&p);
    } else {
        after_refresh(&p);
    }
    return p.broken;
}

static const char *judge_state(const struct checker *checker, const struct jb_mem_event *event)
{
    const struct jb_mem_spec *spec = checker->spec;
    const uint32_t bank = event->target.bank, rank = spec->n_banks * spec->n_groups;
    const uint32_t open = checker->open_row[bank];
    if (is_column(event->command) && open != event->target.row) {
        return "column command to a row that is not open";
    }
    if (event->command == JB_MEM_PRE && open == JB_MEM_CLOSED) {
        return "precharge of a closed bank";
    }
    if ((event->command == JB_MEM_ACT || event->command == JB_MEM_REFB) && open != JB_MEM_CLOSED) {
        return "activate or refresh of an open bank";
    }
    for (uint32_t i = 0; event->command == JB_MEM_REFA && i < rank; i++) {
        if (checker->open_row[bank / rank * rank + i] != JB_MEM_CLOSED) {
            return "refresh with a bank open";
        }
    }
    return NULL;
}

const char *checker_judge(const struct checker *checker, const struct jb_mem_event *event)
{
    const struct jb_mem_spec *spec = checker->spec;
    const uint32_t rank = spec->n_banks * spec->n_groups;
    uint32_t n_activates = 0;
    const char *broken = judge_state(checker, event);
    for (uint32_t i = checker->n; i-- > 0 && broken == NULL;) {
        const struct jb_mem_event *old = &checker->log[i];
        if (old->cycle > event->cycle) {
            return "time runs backwards";
        }
        if (event->cycle - old->cycle > checker->horizon) {
            break;
        }
        broken = judge_pair(spec, old, event);
        if (broken == NULL && event->command == JB_MEM_ACT && old->command == JB_MEM_ACT &&
            old->target.bank / rank == event->target.bank / rank && ++n_activates == 4 &&
            event->cycle - old->cycle < spec->t[JB_MEM_T_FAW]) {
            broken = "tFAW";
        }
    }
    return broken;
}

void checker_start(struct checker *checker, const struct jb_mem_spec *spec, uint32_t capacity)
{
    *checker = (struct checker){.spec = spec, .capacity = capacity};
    checker->log = calloc(capacity, sizeof *checker->log);
    checker->open_row = calloc(jb_mem_n_banks(spec), sizeof *checker->open_row);
    if (checker->log == NULL || checker->open_row == NULL) {
        (void)fputs("Bail out! no memory for the checker\n", stdout);
        exit(1);
    }
    for (uint32_t i = 0; i < jb_mem_n_banks(spec); i++) {
        checker->open_row[i] = JB_MEM_CLOSED;
    }
    for (uint32_t i = 1; i < JB_MEM_T_N_STANDARD; i++) {
        checker->horizon += i == JB_MEM_T_REFI ? 0 : spec->t[i];
    }
}

void checker_end(struct checker *checker)
{
    free(checker->log);
    free(checker->open_row);
}

void checker_feed(void *ctx, const struct jb_mem_event *event)
{
    struct checker *checker = ctx;
    const char *broken = checker_judge(checker, event);
    if (broken != NULL && checker->rule == NULL) {
        checker->rule = broken;
        checker->at = checker->n;
    }
    if (checker->n < checker->capacity) {
        checker->log[checker->n++] = *event;
    }
    const uint32_t bank = event->target.bank;
    const uint32_t rank = checker->spec->n_banks * checker->spec->n_groups;
    if (event->command == JB_MEM_ACT) {
        checker->open_row[bank] = event->target.row;
    } else if (event->command == JB_MEM_PRE || event->command == JB_MEM_RDA ||
               event->command == JB_MEM_WRA) {
        checker->open_row[bank] = JB_MEM_CLOSED;
    } else if (event->command == JB_MEM_PREA) {
        for (uint32_t i = 0; i < rank; i++) {
            checker->open_row[bank / rank * rank + i] = JB_MEM_CLOSED;
        }
    }
}
