/* SPDX-License-Identifier: MIT */
/* Angles of rotary positions: RoFormer (Su et al. 2021), linear interpolation (Chen et al. 2023),
 * Llama 3's wavelength-dependent divisors (Llama 3.1 release), YaRN (Peng et al. 2023). */
#include <math.h>

#include "bench/workload/model.h"

static const double two_pi = 6.283185307179586;

static double base_freq(const struct jb_rope_params *rope, uint32_t pair)
{
    return pow((double)rope->base, -2.0 * (double)pair / (double)rope->n_dims);
}

/* Long wavelengths are slowed by the whole factor, short ones not at all, between them a mix. */
void jb_rope_llama3_factors(const struct jb_rope_params *rope, float *ret_factors)
{
    const double trained = (double)rope->original_context;
    const double low = (double)rope->low_freq_factor;
    const double high = (double)rope->high_freq_factor;
    for (uint32_t i = 0; i < rope->n_dims / 2; i++) {
        const double wavelength = two_pi / base_freq(rope, i);
        double divisor = 1.0;
        if (wavelength > trained / low) {
            divisor = (double)rope->factor;
        } else if (wavelength > trained / high) {
            const double mix = (trained / wavelength - low) / (high - low);
            divisor = 1.0 / ((1.0 - mix) / (double)rope->factor + mix);
        }
        ret_factors[i] = (float)divisor;
    }
}

/* The pair that turns `turns` times within the trained context (YaRN, eq. 17 solved for it). */
static double pair_of_turns(const struct jb_rope_params *rope, double turns)
{
    return (double)rope->n_dims * log((double)rope->original_context / (turns * two_pi)) /
           (2.0 * log((double)rope->base));
}

/* Share of the interpolated angle for a pair: 1 where a pair turns slowly, 0 where fast. */
static double yarn_share(const struct jb_rope_params *rope, uint32_t pair)
{
    const double last = (double)rope->n_dims - 1.0;
    const double start = fmax(0.0, floor(pair_of_turns(rope, (double)rope->beta_fast)));
    const double end = fmin(last, ceil(pair_of_turns(rope, (double)rope->beta_slow)));
    const double ramp = ((double)pair - start) / fmax(0.001, end - start);
    return fmin(1.0, fmax(0.0, ramp));
}

void jb_rope_build(const struct jb_rope_params *rope, const float *factors, float *ret_inv_freq,
                   float *ret_mscale)
{
    double mscale = 1.0;
    if (rope->scaling == JB_SCALING_YARN) {
        mscale = (double)rope->attention_factor * (1.0 + 0.1 * log((double)rope->factor));
    }
    for (uint32_t i = 0; i < rope->n_dims / 2; i++) {
        double freq = base_freq(rope, i) / (factors != NULL ? (double)factors[i] : 1.0);
        if (rope->scaling == JB_SCALING_LINEAR) {
            freq /= (double)rope->factor;
        } else if (rope->scaling == JB_SCALING_YARN) {
            const double share = yarn_share(rope, i);
            freq = freq / (double)rope->factor * share + freq * (1.0 - share);
        }
        ret_inv_freq[i] = (float)freq;
    }
    *ret_mscale = (float)mscale;
}
