/* SPDX-License-Identifier: MIT */
/* Seeded weights in the stored form. Only table look-ups, +, * and sqrt are used, so that the
 * bytes are the same on every machine (no libm function that may differ in its last bit). */
#include "backends/format/format.h"

#include <math.h>
#include <string.h>

#include "platforms/base/rng.h"

/* Quantiles of the standard normal at i / 256; the outermost are where the tail is cut. Between
 * them the distribution is taken as piecewise linear. */
static const float quantiles[257] = {
    -3.5999999f, -2.6600676f, -2.4175589f, -2.2662268f, -2.1538746f, -2.0635278f, -1.9874278f,
    -1.9213507f, -1.8627318f, -1.8098923f, -1.7616704f, -1.7172282f, -1.6759397f, -1.6373254f,
    -1.6010087f, -1.5666885f, -1.5341206f, -1.5031029f, -1.4734676f, -1.4450725f, -1.4177971f,
    -1.3915375f, -1.3662038f, -1.3417178f, -1.3180109f, -1.2950224f, -1.2726986f, -1.2509917f,
    -1.2298588f, -1.2092612f, -1.1891644f, -1.1695366f, -1.1503494f, -1.1315765f, -1.1131942f,
    -1.0951806f, -1.0775156f, -1.0601804f, -1.0431583f, -1.0264331f, -1.0099902f, -0.9938159f,
    -0.9778975f, -0.9622232f, -0.9467818f, -0.9315628f, -0.9165567f, -0.9017541f, -0.8871465f,
    -0.8727259f, -0.8584844f, -0.8444151f, -0.8305109f, -0.8167654f, -0.8031726f, -0.7897265f,
    -0.7764218f, -0.763253f,  -0.7502154f, -0.737304f,  -0.7245144f, -0.7118422f, -0.6992833f,
    -0.6868337f, -0.6744897f, -0.6622477f, -0.650104f,  -0.6380556f, -0.626099f,  -0.6142313f,
    -0.6024495f, -0.5907506f, -0.5791321f, -0.5675913f, -0.5561256f, -0.5447325f, -0.5334097f,
    -0.5221549f, -0.5109658f, -0.4998403f, -0.4887764f, -0.477772f,  -0.4668251f, -0.4559339f,
    -0.4450965f, -0.4343112f, -0.4235761f, -0.4128896f, -0.4022501f, -0.3916559f, -0.3811055f,
    -0.3705973f, -0.3601299f, -0.3497018f, -0.3393116f, -0.3289579f, -0.3186394f, -0.3083546f,
    -0.2981024f, -0.2878814f, -0.2776904f, -0.2675282f, -0.2573935f, -0.2472852f, -0.2372021f,
    -0.2271431f, -0.217107f,  -0.2070927f, -0.1970991f, -0.1871252f, -0.1771698f, -0.167232f,
    -0.1573107f, -0.1474048f, -0.1375134f, -0.1276354f, -0.1177699f, -0.1079158f, -0.0980721f,
    -0.088238f,  -0.0784124f, -0.0685944f, -0.0587829f, -0.0489772f, -0.0391761f, -0.0293788f,
    -0.0195843f, -0.0097917f, 0.0f,        0.0097917f,  0.0195843f,  0.0293788f,  0.0391761f,
    0.0489772f,  0.0587829f,  0.0685944f,  0.0784124f,  0.088238f,   0.0980721f,  0.1079158f,
    0.1177699f,  0.1276354f,  0.1375134f,  0.1474048f,  0.1573107f,  0.167232f,   0.1771698f,
    0.1871252f,  0.1970991f,  0.2070927f,  0.217107f,   0.2271431f,  0.2372021f,  0.2472852f,
    0.2573935f,  0.2675282f,  0.2776904f,  0.2878814f,  0.2981024f,  0.3083546f,  0.3186394f,
    0.3289579f,  0.3393116f,  0.3497018f,  0.3601299f,  0.3705973f,  0.3811055f,  0.3916559f,
    0.4022501f,  0.4128896f,  0.4235761f,  0.4343112f,  0.4450965f,  0.4559339f,  0.4668251f,
    0.477772f,   0.4887764f,  0.4998403f,  0.5109658f,  0.5221549f,  0.5334097f,  0.5447325f,
    0.5561256f,  0.5675913f,  0.5791321f,  0.5907506f,  0.6024495f,  0.6142313f,  0.626099f,
    0.6380556f,  0.650104f,   0.6622477f,  0.6744897f,  0.6868337f,  0.6992833f,  0.7118422f,
    0.7245144f,  0.737304f,   0.7502154f,  0.763253f,   0.7764218f,  0.7897265f,  0.8031726f,
    0.8167654f,  0.8305109f,  0.8444151f,  0.8584844f,  0.8727259f,  0.8871465f,  0.9017541f,
    0.9165567f,  0.9315628f,  0.9467818f,  0.9622232f,  0.9778975f,  0.9938159f,  1.0099902f,
    1.0264331f,  1.0431583f,  1.0601804f,  1.0775156f,  1.0951806f,  1.1131942f,  1.1315765f,
    1.1503494f,  1.1695366f,  1.1891644f,  1.2092612f,  1.2298588f,  1.2509917f,  1.2726986f,
    1.2950224f,  1.3180109f,  1.3417178f,  1.3662038f,  1.3915375f,  1.4177971f,  1.4450725f,
    1.4734676f,  1.5031029f,  1.5341206f,  1.5666885f,  1.6010087f,  1.6373254f,  1.6759397f,
    1.7172282f,  1.7616704f,  1.8098923f,  1.8627318f,  1.9213507f,  1.9874278f,  2.0635278f,
    2.1538746f,  2.2662268f,  2.4175589f,  2.6600676f,  3.5999999f,
};

/* Row generators draw codes by table: entry b of a table is the code of the b-th 256th of the
 * normal, so that a random byte gives a random code. */
struct codes {
    int8_t of_byte[256];
    float rms; /* of code - centre */
};

static void make_codes(struct codes *codes, float centre, float sigma, int low, int high)
{
    double sum = 0;
    for (int i = 0; i < 256; i++) {
        const float middle = 0.5f * (quantiles[i] + quantiles[i + 1]);
        const float real = centre + sigma * middle + 256.5f;
        int code = (int)real - 256;
        code = code < low ? low : code > high ? high : code;
        codes->of_byte[i] = (int8_t)code;
        const double from_centre = (double)((float)code - centre);
        sum += from_centre * from_centre;
    }
    codes->rms = (float)sqrt(sum / 256);
}

/* Block scales differ from block to block as those of trained weights do: +-25 %, either sign. */
#define N_SCALES 64
struct scales {
    uint16_t d[N_SCALES];
};

static void make_scales(struct scales *scales, float scale, bool has_sign)
{
    for (int i = 0; i < N_SCALES; i++) {
        /* mean square of 1 + 0.25 u over u in (-1, 1) is 1 + 1/48; 0.98974 undoes it */
        const int step = i / 2; /* both signs of a magnitude */
        const float u = ((float)step + 0.5f) / (0.25f * N_SCALES) - 1.0f;
        const float magnitude = scale * 0.98974f * (1.0f + 0.25f * u);
        scales->d[i] = jb_f32_to_f16(has_sign && i % 2 != 0 ? -magnitude : magnitude);
    }
}

static void fill_bytes(struct jb_rng *rng, const struct codes *codes, int8_t *dst, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t bits = jb_rng_u64(rng);
        for (size_t j = i; j < i + 8; j++, bits >>= 8) {
            dst[j] = codes->of_byte[bits & 255];
        }
    }
}

static void fill_nibbles(struct jb_rng *rng, const struct codes *codes, uint8_t *dst, size_t n)
{
    for (size_t i = 0; i < n; i += 4) {
        uint64_t bits = jb_rng_u64(rng);
        for (size_t j = i; j < i + 4; j++, bits >>= 16) {
            dst[j] =
                (uint8_t)(codes->of_byte[bits & 255] | (codes->of_byte[(bits >> 8) & 255] << 4));
        }
    }
}

static float draw_normal(uint32_t bits)
{
    const float *q = &quantiles[bits >> 24];
    return q[0] + (q[1] - q[0]) * ((float)(bits & 0xffffffu) * 0x1p-24f);
}

static void fill_floats(struct jb_rng *rng, enum jb_dtype dtype, uint8_t *dst, uint64_t n,
                        float sigma)
{
    uint64_t bits = 0;
    for (uint64_t i = 0; i < n; i++) {
        bits = i % 2 == 0 ? jb_rng_u64(rng) : bits >> 32;
        const float value = sigma * draw_normal((uint32_t)bits);
        if (dtype == JB_F32) {
            memcpy(dst + 4 * i, &value, sizeof value);
        } else {
            const uint16_t half = dtype == JB_F16 ? jb_f32_to_f16(value) : jb_f32_to_bf16(value);
            memcpy(dst + 2 * i, &half, sizeof half);
        }
    }
}

/* The largest of 32 normal values lies near 2.07 sigma, and the encoders map it to the largest
 * code: the codes' sigma is the largest code / 2.07. */
static void fill_q8_0(struct jb_rng *rng, uint8_t *dst, uint64_t n, float sigma)
{
    struct codes codes;
    struct scales scales;
    make_codes(&codes, 0.0f, 127.0f / 2.07f, -127, 127);
    make_scales(&scales, sigma / codes.rms, false);
    for (uint64_t i = 0; i < n; i += 32, dst += sizeof(struct jb_q8_0)) {
        struct jb_q8_0 block = {.d = scales.d[jb_rng_u64(rng) >> 58]};
        fill_bytes(rng, &codes, block.q, sizeof block.q);
        memcpy(dst, &block, sizeof block);
    }
}

static void fill_q4_0(struct jb_rng *rng, uint8_t *dst, uint64_t n, float sigma)
{
    struct codes codes;
    struct scales scales;
    make_codes(&codes, 8.0f, 8.0f / 2.07f, 0, 15);
    make_scales(&scales, sigma / codes.rms, true);
    for (uint64_t i = 0; i < n; i += 32, dst += sizeof(struct jb_q4_0)) {
        struct jb_q4_0 block = {.d = scales.d[jb_rng_u64(rng) >> 58]};
        fill_nibbles(rng, &codes, block.q, sizeof block.q);
        memcpy(dst, &block, sizeof block);
    }
}

static void fill_q4_1(struct jb_rng *rng, uint8_t *dst, uint64_t n, float sigma)
{
    struct codes codes;
    struct scales scales;
    struct scales mins;
    make_codes(&codes, 7.5f, 7.5f / 2.07f, 0, 15);
    make_scales(&scales, sigma / codes.rms, false);
    make_scales(&mins, -7.5f * sigma / codes.rms, false);
    for (uint64_t i = 0; i < n; i += 32, dst += sizeof(struct jb_q4_1)) {
        const uint64_t pick = jb_rng_u64(rng) >> 58;
        struct jb_q4_1 block = {.d = scales.d[pick], .m = mins.d[pick]};
        fill_nibbles(rng, &codes, block.q, sizeof block.q);
        memcpy(dst, &block, sizeof block);
    }
}

/* Group scale s in [24, 55] and equal min with dmin = 7.5 d: w = d s (q - 7.5). */
static void fill_q4_k(struct jb_rng *rng, uint8_t *dst, uint64_t n, float sigma)
{
    struct codes codes;
    struct scales scales;
    struct scales mins;
    const float rms_group = 40.56f; /* root of the mean square of 24 .. 55 */
    make_codes(&codes, 7.5f, 7.5f / 2.07f, 0, 15);
    make_scales(&scales, sigma / (codes.rms * rms_group), false);
    make_scales(&mins, 7.5f * sigma / (codes.rms * rms_group), false);
    for (uint64_t i = 0; i < n; i += 256, dst += sizeof(struct jb_q4_k)) {
        uint64_t bits = jb_rng_u64(rng);
        struct jb_q4_k block = {.d = scales.d[bits >> 58], .dmin = mins.d[bits >> 58]};
        for (int group = 0; group < 4; group++, bits >>= 10) {
            const uint32_t low = 24u + (bits & 31u);         /* group */
            const uint32_t high = 24u + ((bits >> 5) & 31u); /* group + 4 */
            block.scales[group] = (uint8_t)(low | ((high >> 4) << 6));
            block.scales[group + 4] = block.scales[group];
            block.scales[group + 8] = (uint8_t)((high & 15u) | ((high & 15u) << 4));
        }
        fill_nibbles(rng, &codes, block.q, sizeof block.q);
        memcpy(dst, &block, sizeof block);
    }
}

/* Group scale in [64, 127], either sign. A code is drawn whole and cut into its two parts. */
static void fill_q6_k(struct jb_rng *rng, uint8_t *dst, uint64_t n, float sigma)
{
    struct codes codes;
    struct scales scales;
    const float rms_group = 97.27f; /* root of the mean square of 64 .. 127 */
    make_codes(&codes, 32.0f, 32.0f / 1.77f, 0, 63);
    make_scales(&scales, sigma / (codes.rms * rms_group), true);
    for (uint64_t i = 0; i < n; i += 256, dst += sizeof(struct jb_q6_k)) {
        struct jb_q6_k block;
        block.d = scales.d[jb_rng_u64(rng) >> 58];
        int8_t q[256];
        fill_bytes(rng, &codes, q, sizeof q);
        for (int half = 0; half < 2; half++) {
            const int8_t *v = q + (ptrdiff_t)128 * half;
            for (int l = 0; l < 32; l++) {
                block.ql[64 * half + l] = (uint8_t)((v[l] & 15) | ((v[l + 64] & 15) << 4));
                block.ql[64 * half + 32 + l] =
                    (uint8_t)((v[l + 32] & 15) | ((v[l + 96] & 15) << 4));
                block.qh[32 * half + l] =
                    (uint8_t)((v[l] >> 4) | ((v[l + 32] >> 4) << 2) | ((v[l + 64] >> 4) << 4) |
                              ((v[l + 96] >> 4) << 6));
            }
        }
        for (int group = 0; group < 16; group += 8) {
            uint64_t bits = jb_rng_u64(rng);
            for (int j = group; j < group + 8; j++, bits >>= 8) {
                const int scale = 64 + (int)(bits & 63u);
                block.scales[j] = (int8_t)((bits & 64u) != 0 ? -scale : scale);
            }
        }
        memcpy(dst, &block, sizeof block);
    }
}

void jb_format_fill_random(enum jb_dtype dtype, void *dst, uint64_t n, float sigma, uint64_t seed,
                           uint64_t tensor, uint64_t row)
{
    struct jb_rng rng;
    uint64_t mixed = seed;
    mixed = jb_splitmix64(&mixed) ^ tensor;
    jb_rng_seed(&rng, mixed, row);
    switch (dtype) {
    case JB_F32:
    case JB_F16:
    case JB_BF16:
        fill_floats(&rng, dtype, dst, n, sigma);
        break;
    case JB_Q8_0:
        fill_q8_0(&rng, dst, n, sigma);
        break;
    case JB_Q4_0:
        fill_q4_0(&rng, dst, n, sigma);
        break;
    case JB_Q4_1:
        fill_q4_1(&rng, dst, n, sigma);
        break;
    case JB_Q4_K:
        fill_q4_k(&rng, dst, n, sigma);
        break;
    case JB_Q6_K:
        fill_q6_k(&rng, dst, n, sigma);
        break;
    case JB_N_DTYPES:
        break;
    }
}
