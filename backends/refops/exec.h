/* SPDX-License-Identifier: MIT */
#ifndef JB_REFOPS_EXEC_H
#define JB_REFOPS_EXEC_H

/* A plan run op by op through the kernels of refops.h, on one thread. The refops backend is this;
 * simulators are this with their own arithmetic for matmul and attention.
 *
 * In timing-only execution no tensor exists: a step is checked, and what the KV slots hold is kept,
 * as in functional execution. */

#include "backends/backend.h"
#include "backends/refops/refops.h"

/* What replaces a kernel. NULL = the one of refops.h. Called from step(): no allocation, no I/O. */
struct jb_ref_hooks {
    void *ctx;
    /* All of m->dst. @param tensor number of the weight in the plan. */
    enum jb_status (*matmul)(void *ctx, const struct jb_ref_matmul *m, uint32_t tensor);
    /* One sequence in one layer, K and V already stored.
     * @param scratch as jb_ref_attention() has it, for `context` positions */
    enum jb_status (*attention)(void *ctx, const struct jb_ref_attention *a, double *scratch);
};

struct jb_ref_exec;

#ifdef __cplusplus
extern "C" {
#endif

/* Takes buffers, maps all weights. @param who backend's name, for messages; outlives the object.
 * @param hooks copied; NULL = none.
 * @return NOTSUP: an op, KV format or number of ranks that is not for it; NOMEM. */
enum jb_status jb_ref_exec_create(const char *who, const struct jb_load_args *args,
                                  const struct jb_ref_hooks *hooks,
                                  struct jb_ref_exec **ret_exec) JB_MUST_CHECK;
void jb_ref_exec_free(struct jb_ref_exec *exec); /* NULL is fine */
/* What jb_backend.step must do. */
enum jb_status jb_ref_exec_step(struct jb_ref_exec *exec, const struct jb_step *step) JB_MUST_CHECK;
void jb_ref_exec_reset(struct jb_ref_exec *exec); /* forgets all KV slots */

#ifdef __cplusplus
}
#endif
#endif
