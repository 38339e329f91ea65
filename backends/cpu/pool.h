/* SPDX-License-Identifier: MIT */
#ifndef JB_CPU_POOL_H
#define JB_CPU_POOL_H

/* Persistent worker threads. The calling thread is worker 0; workers 1 .. n-1 are threads of the
 * pool, each pinned for life to its processing unit.
 *
 * Waiting is spin, then park: a worker that waits for work or at a barrier polls for some tens of
 * microseconds, then sleeps on a condition variable. So back-to-back steps pay no wake-up, cores
 * shared with others are given back soon, and a pool that is not used costs nothing. */

#include <stdint.h>

#include "platforms/base/status.h"

struct jb_pool;

/* @param pus (n_threads,) processing units, or NULL = leave threads where the system puts them.
 *        pus[0] is the caller's. The calling thread is not moved: threads that the harness starts
 *        later would inherit its place, and with the others pinned it finds the free unit.
 * @return NOMEM; DEVICE if a thread cannot be started; the status of a failed pinning. */
enum jb_status jb_pool_create(uint32_t n_threads, const uint32_t *pus,
                              struct jb_pool **ret_pool) JB_MUST_CHECK;
/* Ends the threads. NULL is fine. */
void jb_pool_free(struct jb_pool *pool);
uint32_t jb_pool_size(const struct jb_pool *pool);

/* Runs task(ctx, worker) once on every worker and returns when all have returned. Only from the
 * thread that created the pool. Takes no memory. */
void jb_pool_run(struct jb_pool *pool, void (*task)(void *ctx, uint32_t worker), void *ctx);

/* Inside a task: waits until every worker is here. What any worker wrote before is seen by all
 * after. Every worker must call it the same number of times. */
void jb_pool_barrier(struct jb_pool *pool);

#endif
