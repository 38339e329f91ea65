/* SPDX-License-Identifier: MIT */
/* Ids for forced feed. */
#include "bench/workload/workload.h"
#include "platforms/base/rng.h"

/* Keeps these streams apart from those that draw weights from the same seed. */
#define PROMPT_STREAM (UINT64_C(0x70726f6d) << 32)

void jb_prompt_seeded(uint64_t seed, uint32_t sequence, uint32_t vocab, int32_t *ret_ids,
                      uint32_t n)
{
    struct jb_rng rng;
    jb_rng_seed(&rng, seed, PROMPT_STREAM | sequence);
    for (uint32_t i = 0; i < n; i++) {
        ret_ids[i] = (int32_t)jb_rng_below(&rng, vocab);
    }
}
