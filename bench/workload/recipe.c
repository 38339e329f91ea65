/* SPDX-License-Identifier: MIT */
/* Recipes: which type each tensor of a model gets. The mixes are those that GGUF quantisers call
 * Q4_0, Q4_1 and Q4_K_M, so that sizes agree with files people have. */
#include <string.h>

#include "bench/workload/model.h"

static const struct jb_recipe recipes[] = {
    {"f32", "32-bit floats"},
    {"f16", "16-bit floats; vectors f32"},
    {"bf16", "bfloat16; vectors f32"},
    {"q8_0", "8-bit codes, one scale for 32 weights"},
    {"q4_0", "4-bit codes, one scale for 32 weights; head q6_k"},
    {"q4_1", "4-bit codes, scale and minimum for 32 weights; head q6_k"},
    {"q4_k", "4-bit codes in blocks of 256; head, some values and some down projections q6_k"},
    {"q6_k", "6-bit codes in blocks of 256"},
};

uint32_t jb_recipe_count(void)
{
    return sizeof recipes / sizeof recipes[0];
}

const struct jb_recipe *jb_recipe_at(uint32_t index)
{
    return &recipes[index];
}

enum jb_status jb_recipe_find(const char *name, enum jb_dtype *ret_recipe)
{
    if (!jb_format_by_name(name, ret_recipe)) {
        return jb_fail(JB_E_INVAL,
                       "no weight format '%s': f32, f16, bf16, q8_0, q4_0, q4_1, q4_k and q6_k "
                       "are known",
                       name);
    }
    return JB_OK;
}

/* Layers where Q4_K_M spends more bits: the first and last eighth, and every third between. */
static bool is_more_bits_layer(uint32_t layer, uint32_t n_layers)
{
    const uint32_t eighth = n_layers / 8;
    return layer < eighth || layer >= 7 * n_layers / 8 || (layer - eighth) % 3 == 2;
}

static enum jb_dtype wanted(enum jb_dtype recipe, const struct jb_hparams *hp,
                            const struct jb_spec *spec)
{
    const bool is_head =
        spec->role == JB_ROLE_HEAD || (spec->role == JB_ROLE_EMBED && hp->has_tied_head);
    if (jb_role_is_vector(spec->role)) {
        return JB_F32;
    }
    if (spec->role == JB_ROLE_POS) {
        return recipe == JB_F32 || recipe == JB_BF16 ? recipe : JB_F16;
    }
    switch (recipe) {
    case JB_Q4_0:
    case JB_Q4_1:
        return is_head ? JB_Q6_K : recipe;
    case JB_Q4_K:
        if (is_head || ((spec->role == JB_ROLE_V || spec->role == JB_ROLE_DOWN) &&
                        is_more_bits_layer((uint32_t)spec->layer, hp->n_layers))) {
            return JB_Q6_K;
        }
        return recipe;
    default:
        return recipe;
    }
}

/* Rows that do not divide into 256 take the nearest type with blocks of 32, others F16. */
enum jb_dtype jb_recipe_dtype(enum jb_dtype recipe, const struct jb_hparams *hp,
                              const struct jb_spec *spec)
{
    enum jb_dtype dtype = wanted(recipe, hp, spec);
    if (spec->cols % jb_format(dtype)->block_values != 0) {
        dtype = dtype == JB_Q4_K ? JB_Q4_0 : dtype == JB_Q6_K ? JB_Q8_0 : dtype;
    }
    return spec->cols % jb_format(dtype)->block_values == 0 ? dtype : JB_F16;
}
