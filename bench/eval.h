/* SPDX-License-Identifier: MIT */
#ifndef JB_EVAL_H
#define JB_EVAL_H

/* How well a model predicts a list of tokens: what `joulebench eval` does between its options and
 * its row. */

#include <stdint.h>

#include "backends/backend.h"
#include "backends/plan.h"
#include "platforms/base/status.h"

/* Tokens a step. Logits of all of them are held: this many times the vocabulary in float32. */
#define JB_EVAL_CHUNK 64u

struct jb_eval_args {
    const struct jb_plan *plan; /* with weights */
    const struct jb_backend *backend;
    const struct jb_open_args *open;
    const int32_t *ids; /* (n_ids,) in [0, vocab), n_ids >= 1                                     */
    uint64_t n_ids;
    uint32_t window; /* ids are cut every `window`; a window's first id is not predicted          */
    float *ret_logits; /* (vocab,) after the last id, or NULL                                     */
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* or NULL                        */
    void *progress_ctx;
};

struct jb_eval_result {
    uint64_t n_predicted;
    double
        nll; /* mean of -ln p(id | ids before it in its window), nats; NaN if none is predicted */
};

/* Opens and closes the backend.
 * @return what the backend returns; NUMERIC if a logit is not finite; NOMEM. */
enum jb_status jb_eval(const struct jb_eval_args *args,
                       struct jb_eval_result *ret_result) JB_MUST_CHECK;

/* -ln softmax(logits)[id] in double, by log-sum-exp. NaN if a logit is not finite.
 * @param logits (n,), id in [0, n). */
double jb_nll(const float *logits, uint32_t n, int32_t id);

/* Reads decimal ids, separated by white space or single commas.
 * @param name of the file, for messages.
 * @param ret_ids malloc'ed, given to the caller; (*ret_n,), at least 1.
 * @return FORMAT naming file and line: no number, an id that is not in [0, vocab), or none at all.
 */
enum jb_status jb_ids_parse(const char *text, size_t size, const char *name, uint32_t vocab,
                            int32_t **ret_ids, uint64_t *ret_n) JB_MUST_CHECK;

#endif
