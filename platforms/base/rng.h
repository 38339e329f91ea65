/* SPDX-License-Identifier: MIT */
#ifndef JB_BASE_RNG_H
#define JB_BASE_RNG_H

#include <stdint.h>

/* The only source of randomness. splitmix64 (Steele, Lea, Flood, OOPSLA 2014) spreads a seed;
 * xoshiro256** (Blackman, Vigna, ACM TOMS 2021) makes the stream. Same seed, same numbers, on
 * every machine. */

struct jb_rng {
    uint64_t s[4];
};

static inline uint64_t jb_splitmix64(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Independent streams: same seed, different stream number. */
static inline void jb_rng_seed(struct jb_rng *rng, uint64_t seed, uint64_t stream)
{
    uint64_t state = seed;
    uint64_t mixed = jb_splitmix64(&state) ^ (stream * UINT64_C(0xd1342543de82ef95) + 1);
    for (int i = 0; i < 4; i++) {
        rng->s[i] = jb_splitmix64(&mixed);
    }
}

static inline uint64_t jb_rng_u64(struct jb_rng *rng)
{
    uint64_t *s = rng->s;
    const uint64_t x = s[1] * 5;
    const uint64_t result = ((x << 7) | (x >> 57)) * 9;
    const uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 45) | (s[3] >> 19);
    return result;
}

/* Uniform in [0, n), n >= 1; the bias of this multiply is below 2^-32 for n < 2^32. */
static inline uint32_t jb_rng_below(struct jb_rng *rng, uint32_t n)
{
    return (uint32_t)(((jb_rng_u64(rng) >> 32) * (uint64_t)n) >> 32);
}

/* Uniform in [0, 1) with 53 bits. */
static inline double jb_rng_unit(struct jb_rng *rng)
{
    return (double)(jb_rng_u64(rng) >> 11) * 0x1.0p-53;
}

#endif
