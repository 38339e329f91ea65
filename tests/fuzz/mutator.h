/* SPDX-License-Identifier: MIT */
#ifndef JB_FUZZ_MUTATOR_H
#define JB_FUZZ_MUTATOR_H

/* Spoils good inputs, in ways that readers of counts, offsets and words get wrong. */

#include <stddef.h>
#include <stdint.h>

#include "platforms/base/rng.h"
#include "tests/fuzz/target.h"

#define JB_FUZZ_LARGEST (1u << 18)

struct jb_fuzz_seed {
    const uint8_t *data;
    size_t size;
};

/* Makes input number `number` of a run: the same (seed, number) gives the same bytes anywhere.
 * @param seeds (n_seeds,), n_seeds >= 1. @param ret_data (JB_FUZZ_LARGEST,). @return its size. */
size_t jb_fuzz_mutate(const struct jb_fuzz_target *target, const struct jb_fuzz_seed *seeds,
                      uint32_t n_seeds, uint64_t seed, uint64_t number, uint8_t *ret_data);

/* Places of the counts, lengths, types and offsets in a GGUF file: what a reader must not believe.
 */
struct jb_fuzz_field {
    uint32_t at;
    uint32_t width; /* 4 or 8 bytes */
};
/* @return how many, at most capacity; stops where the file makes no sense. */
uint32_t jb_fuzz_gguf_fields(const uint8_t *data, size_t size, struct jb_fuzz_field *ret_fields,
                             uint32_t capacity);

#endif
