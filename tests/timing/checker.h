/* SPDX-License-Identifier: MIT */
#ifndef JB_TEST_CHECKER_H
#define JB_TEST_CHECKER_H

#include "backends/simcore/mem_timing.h"

/* Replays a command log and judges it by the definitions of the standards' timings, pair by pair.
 * It shares no table and no state with mem_timing.c. */

struct checker {
    const struct jb_mem_spec *spec;
    struct jb_mem_event *log;
    uint32_t n, capacity;
    uint32_t *open_row; /* (banks,) */
    uint64_t horizon;   /* no timing is longer than this */
    const char *rule;   /* the first broken rule; NULL = none */
    uint32_t at;        /* event that broke it */
};

void checker_start(struct checker *checker, const struct jb_mem_spec *spec, uint32_t capacity);
void checker_end(struct checker *checker);
/* A jb_mem_sink. */
void checker_feed(void *ctx, const struct jb_mem_event *event);
/* The rule that an event would break, or NULL; it is not taken into the log. */
const char *checker_judge(const struct checker *checker, const struct jb_mem_event *event);

#endif
