/* SPDX-License-Identifier: MIT */
/* Threads for making and converting weights; they live only as long as one call. */
#include "bench/workload/parallel.h"

#include <pthread.h>

#include "platforms/os/os.h"

struct share {
    void (*work)(void *ctx, uint32_t first, uint32_t end);
    void *ctx;
    uint32_t first, end;
};

static void *run_share(void *arg)
{
    const struct share *share = arg;
    share->work(share->ctx, share->first, share->end);
    return NULL;
}

void jb_parallel_rows(uint32_t n_rows, uint64_t values_a_row,
                      void (*work)(void *ctx, uint32_t first, uint32_t end), void *ctx)
{
    enum { MAX_THREADS = 64, MIN_VALUES = 1 << 18 }; /* below, a thread costs more than it does */
    const uint64_t worthwhile = values_a_row * n_rows / MIN_VALUES;
    uint32_t n = jb_allowed_pus(NULL, 0);
    n = n < MAX_THREADS ? n : MAX_THREADS;
    n = worthwhile < n ? (uint32_t)worthwhile : n;
    n = n > 0 ? n : 1;
    struct share shares[MAX_THREADS];
    pthread_t threads[MAX_THREADS];
    uint32_t n_started = 0;
    for (uint32_t i = 0; i < n; i++) {
        shares[i] = (struct share){.work = work,
                                   .ctx = ctx,
                                   .first = (uint32_t)((uint64_t)n_rows * i / n),
                                   .end = (uint32_t)((uint64_t)n_rows * (i + 1) / n)};
    }
    while (n_started + 1 < n &&
           pthread_create(&threads[n_started], NULL, run_share, &shares[n_started]) == 0) {
        n_started++;
    }
    for (uint32_t i = n_started; i < n; i++) { /* the last share, and any that got no thread */
        (void)run_share(&shares[i]);
    }
    for (uint32_t i = 0; i < n_started; i++) {
        (void)pthread_join(threads[i], NULL);
    }
}
