/* SPDX-License-Identifier: MIT */
#ifndef JB_TEST_CASES_H
#define JB_TEST_CASES_H

#include "tests/support/maker.h"

/* One plan, run with several numbers of rows at several depths. */
struct test_case {
    char name[96]; /* "matmul q4_0 17x160"; no commas: it is a CSV cell under --bench        */
    struct maker *m;
    uint32_t op_begin, op_end; /* begin > 0: activations go in; end < n_ops: they come out   */
    const uint32_t *rows;      /* numbers of tokens a step, 0-terminated                      */
    const uint32_t *depths;    /* (n_depths,) positions held before the step, ascending       */
    uint32_t n_depths;
    float sigma;   /* of the activations that go in; 0 = few whole numbers, for ties        */
    double limit;  /* of the normalised mean squared error                                  */
    double native; /* the limit where activations are rounded to the weights' type; 0 = as limit */
    uint32_t native_rows; /* from how many rows on they may be, where the backend chooses */
    double expected;      /* mean square that results have on average; the error is divided by at
                             least this, as few results may cancel by chance. 0 = unknown          */
};

/* Calls visit(ctx, case) for each, one after the other; the plan lives as long as the call. */
void cases_visit(void (*visit)(void *ctx, const struct test_case *c), void *ctx);

enum { CASES_MAX_ROWS = 17, CASES_MAX_DEPTH = 300 };

#endif
