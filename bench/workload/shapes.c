/* SPDX-License-Identifier: MIT */
/* Named shapes: the dimensions of published models, for runs that need no file. */
#include <stdio.h>
#include <string.h>

#include "bench/workload/model.h"

#define LLAMA_2 "Touvron et al. 2023, Llama 2; config.json of Llama-2-7b"
#define LLAMA_3                                                                                    \
    "Llama team 2024, The Llama 3 Herd of Models, table 3; config.json of Meta-Llama-3-8B"
#define OPT "Zhang et al. 2022, OPT, table 1; config.json of the release"
#define GPT_2 "Radford et al. 2019, table 2; config.json of the release"

/* Columns: name, architecture, source, dim, layers, heads, KV heads, head, FFN, vocabulary,
 * context, eps, RoPE base (0 = learned positions), tied head. */
static const struct jb_shape shapes[] = {
    {"llama2-7b", "llama", LLAMA_2, 4096, 32, 32, 32, 128, 11008, 32000, 4096, 1e-5f, 1e4f, false},
    {"llama3-8b", "llama", LLAMA_3, 4096, 32, 32, 8, 128, 14336, 128256, 8192, 1e-5f, 5e5f, false},
    {"llama3.2-1b", "llama", "config.json of Llama-3.2-1B, 2024", 2048, 16, 32, 8, 64, 8192, 128256,
     131072, 1e-5f, 5e5f, true},
    {"tinyllama-1.1b", "llama", "Zhang et al. 2024, TinyLlama, table 1; config.json of v1.0", 2048,
     22, 32, 4, 64, 5632, 32000, 2048, 1e-5f, 1e4f, false},
    {"smollm2-135m", "llama", "config.json of SmolLM2-135M, 2024", 576, 30, 9, 3, 64, 1536, 49152,
     8192, 1e-5f, 1e5f, true},
    {"opt-1.3b", "opt", OPT, 2048, 24, 32, 32, 64, 8192, 50272, 2048, 1e-5f, 0.0f, true},
    {"opt-6.7b", "opt", OPT, 4096, 32, 32, 32, 128, 16384, 50272, 2048, 1e-5f, 0.0f, true},
    {"opt-66b", "opt", OPT, 9216, 64, 72, 72, 128, 36864, 50272, 2048, 1e-5f, 0.0f, true},
    {"gpt2", "gpt2", GPT_2, 768, 12, 12, 12, 64, 3072, 50257, 1024, 1e-5f, 0.0f, true},
    {"gpt2-medium", "gpt2", GPT_2, 1024, 24, 16, 16, 64, 4096, 50257, 1024, 1e-5f, 0.0f, true},
    {"gpt2-xl", "gpt2", GPT_2, 1600, 48, 25, 25, 64, 6400, 50257, 1024, 1e-5f, 0.0f, true},
    {"tiny", "llama", "own; for tests", 256, 4, 4, 2, 64, 768, 1024, 2048, 1e-5f, 1e4f, false},
};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

uint32_t jb_shape_count(void)
{
    return N_SHAPES;
}

const struct jb_shape *jb_shape_at(uint32_t index)
{
    return &shapes[index];
}

const struct jb_shape *jb_shape_find(const char *name)
{
    for (int i = 0; i < N_SHAPES; i++) {
        if (strcmp(name, shapes[i].name) == 0) {
            return &shapes[i];
        }
    }
    return NULL;
}

void jb_hparams_of_shape(const struct jb_shape *shape, struct jb_hparams *ret_hp)
{
    const bool is_llama = strcmp(shape->architecture, "llama") == 0;
    const bool is_opt = strcmp(shape->architecture, "opt") == 0;
    struct jb_hparams hp = {
        .architecture = shape->architecture,
        .dim = shape->dim,
        .n_layers = shape->n_layers,
        .n_heads = shape->n_heads,
        .n_kv_heads = shape->n_kv_heads,
        .head_dim = shape->head_dim,
        .ffn_dim = shape->ffn_dim,
        .vocab = shape->vocab,
        .max_context = shape->context,
        .pos_offset = is_opt ? 2 : 0,
        .norm_eps = shape->norm_eps,
        .ffn = is_llama ? JB_FFN_SWIGLU
               : is_opt ? JB_FFN_RELU
                        : JB_FFN_GELU,
        .has_layernorm = !is_llama,
        .has_pos_embed = !is_llama,
        .has_qkv_bias = !is_llama,
        .has_out_bias = !is_llama,
        .has_ffn_bias = !is_llama,
        .has_tied_head = shape->has_tied_head,
    };
    if (is_llama) {
        hp.rope = (struct jb_rope_params){
            .kind = JB_ROPE_PAIRS, .n_dims = shape->head_dim, .base = shape->rope_base};
    }
    if (strcmp(shape->name, "llama3.2-1b") == 0) { /* rope_scaling of its config.json */
        hp.rope.scaling = JB_SCALING_LLAMA3;
        hp.rope.factor = 32.0f;
        hp.rope.low_freq_factor = 1.0f;
        hp.rope.high_freq_factor = 4.0f;
        hp.rope.original_context = 8192;
    }
    *ret_hp = hp;
}

/* Edit distance of two short names; names beyond 31 bytes count as far away. */
static uint32_t distance(const char *a, const char *b)
{
    uint32_t row[32];
    const size_t n = strlen(b);
    if (n >= 32 || strlen(a) >= 32) {
        return UINT32_MAX;
    }
    for (uint32_t j = 0; j <= n; j++) {
        row[j] = j;
    }
    for (uint32_t i = 1; a[i - 1] != '\0'; i++) {
        uint32_t diagonal = row[0];
        row[0] = i;
        for (uint32_t j = 1; j <= n; j++) {
            const uint32_t change = diagonal + (a[i - 1] != b[j - 1] ? 1 : 0);
            const uint32_t add = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < add ? change : add;
        }
    }
    return row[n];
}

void jb_shape_near(const char *name, char *ret_list, size_t size)
{
    size_t used = 0;
    ret_list[0] = '\0';
    for (int i = 0; i < N_SHAPES; i++) {
        const char *shape = shapes[i].name;
        const size_t typed = strlen(name);
        const bool is_near =
            distance(name, shape) <= 2 || (typed >= 3 && strncmp(name, shape, typed) == 0);
        if (is_near && used + strlen(shape) + 3 < size) {
            used +=
                (size_t)snprintf(ret_list + used, size - used, "%s%s", used > 0 ? ", " : "", shape);
        }
    }
}
