/* SPDX-License-Identifier: MIT */
/* Hyperparameters of a GGUF file, by architecture. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/workload/model.h"

/* Bounds that no model reaches, far below where 32-bit products would wrap. */
#define MAX_DIM (1u << 20)
#define MAX_LAYERS 1024u
#define MAX_CONTEXT (1u << 26)

struct architecture {
    const char *name;
    enum jb_rope_kind rope;
};

/* mistral and smollm files say "llama". Files of it are written with the pairs order. */
static const struct architecture architectures[] = {
    {"llama", JB_ROPE_PAIRS},
    {"qwen2", JB_ROPE_HALVES},
    {"qwen3", JB_ROPE_HALVES},
};

/* "ARCH.suffix" in a buffer that lives until the next call of the caller. */
struct key_name {
    char text[96];
};

static const char *key_of(const struct jb_hparams *hp, const char *suffix, struct key_name *name)
{
    (void)snprintf(name->text, sizeof name->text, "%s.%s", hp->architecture, suffix);
    return name->text;
}

static enum jb_status find_architecture(const struct jb_gguf *gguf, struct jb_hparams *hp)
{
    struct jb_gguf_string name = {"", 0};
    const enum jb_status status = jb_gguf_string(gguf, "general.architecture", &name);
    if (status != JB_OK) {
        return status;
    }
    for (size_t i = 0; i < sizeof architectures / sizeof architectures[0]; i++) {
        if (jb_gguf_string_is(name, architectures[i].name)) {
            hp->architecture = architectures[i].name;
            hp->rope.kind = architectures[i].rope;
            return JB_OK;
        }
    }
    if (name.size == 0) {
        return jb_fail(JB_E_FORMAT, "%s: key 'general.architecture': is missing", gguf->name);
    }
    return jb_fail(JB_E_NOTSUP,
                   "%s: key 'general.architecture': '%.*s' is not supported; llama, qwen2 and "
                   "qwen3 are",
                   gguf->name, name.size < 40 ? (int)name.size : 40, name.data);
}

/* A count in [1, max]; without a fallback (0) it must be there. */
static enum jb_status read_count(const struct jb_gguf *gguf, const struct jb_hparams *hp,
                                 const char *suffix, uint32_t fallback, uint32_t max,
                                 uint32_t *ret_count)
{
    struct key_name name = {""};
    uint32_t count = fallback;
    const enum jb_status status = jb_gguf_u32(gguf, key_of(hp, suffix, &name), &count);
    if (status != JB_OK) {
        return status;
    }
    if (count == 0 || count > max) {
        return jb_fail(JB_E_FORMAT, "%s: key '%s': is missing, 0 or above %u", gguf->name,
                       name.text, max);
    }
    *ret_count = count;
    return JB_OK;
}

/* A number above 0. */
static enum jb_status read_positive(const struct jb_gguf *gguf, const struct jb_hparams *hp,
                                    const char *suffix, float *value)
{
    struct key_name name = {""};
    const enum jb_status status = jb_gguf_f32(gguf, key_of(hp, suffix, &name), value);
    if (status == JB_OK && !(*value > 0.0f)) {
        return jb_fail(JB_E_FORMAT, "%s: key '%s': is missing or not above 0", gguf->name,
                       name.text);
    }
    return status;
}

static enum jb_status read_dims(const struct jb_gguf *gguf, struct jb_hparams *hp)
{
    const struct {
        const char *suffix;
        uint32_t max;
        uint32_t *value;
    } counts[] = {
        {"embedding_length", MAX_DIM, &hp->dim},
        {"block_count", MAX_LAYERS, &hp->n_layers},
        {"feed_forward_length", MAX_DIM, &hp->ffn_dim},
        {"attention.head_count", 4096, &hp->n_heads},
        {"context_length", MAX_CONTEXT, &hp->max_context},
    };
    enum jb_status status = JB_OK;
    for (size_t i = 0; status == JB_OK && i < sizeof counts / sizeof counts[0]; i++) {
        status = read_count(gguf, hp, counts[i].suffix, 0, counts[i].max, counts[i].value);
    }
    if (status == JB_OK) {
        status =
            read_count(gguf, hp, "attention.head_count_kv", hp->n_heads, 4096, &hp->n_kv_heads);
    }
    if (status == JB_OK) {
        status = read_count(gguf, hp, "attention.key_length", hp->dim / hp->n_heads, 65536,
                            &hp->head_dim);
    }
    uint32_t value_dim = hp->head_dim;
    if (status == JB_OK) {
        status = read_count(gguf, hp, "attention.value_length", hp->head_dim, 65536, &value_dim);
    }
    if (status == JB_OK) {
        status = read_positive(gguf, hp, "attention.layer_norm_rms_epsilon", &hp->norm_eps);
    }
    if (status != JB_OK) {
        return status;
    }
    if (hp->n_heads % hp->n_kv_heads != 0) {
        return jb_fail(JB_E_FORMAT, "%s: key '%s.attention.head_count_kv': %u does not divide %u",
                       gguf->name, hp->architecture, hp->n_kv_heads, hp->n_heads);
    }
    if (value_dim != hp->head_dim) {
        return jb_fail(JB_E_NOTSUP, "%s: key '%s.attention.value_length': differs from key_length",
                       gguf->name, hp->architecture);
    }
    if ((uint64_t)hp->n_heads * hp->head_dim > MAX_DIM) {
        return jb_fail(JB_E_FORMAT,
                       "%s: key '%s.attention.key_length': %u heads of %u are too "
                       "wide",
                       gguf->name, hp->architecture, hp->n_heads, hp->head_dim);
    }
    return JB_OK;
}

/* What the numbers of a dense llama do not describe is refused, not computed wrongly. */
static enum jb_status refuse_others(const struct jb_gguf *gguf, struct jb_hparams *hp)
{
    struct key_name name = {""};
    uint32_t n_experts = 0;
    uint32_t window = 0;
    enum jb_status status = jb_gguf_u32(gguf, key_of(hp, "expert_count", &name), &n_experts);
    if (status == JB_OK && n_experts > 0) {
        return jb_fail(JB_E_NOTSUP, "%s: key '%s': mixtures of experts are not supported",
                       gguf->name, name.text);
    }
    if (status == JB_OK) {
        status = jb_gguf_u32(gguf, key_of(hp, "attention.sliding_window", &name), &window);
    }
    /* Up to the window's length sliding and full attention are the same. */
    if (status == JB_OK && window > 0 && window < hp->max_context) {
        hp->max_context = window;
    }
    return status;
}

static enum jb_status read_yarn(const struct jb_gguf *gguf, struct jb_hparams *hp)
{
    hp->rope.attention_factor = 1.0f;
    hp->rope.beta_fast = 32.0f; /* the paper's, for llama */
    hp->rope.beta_slow = 1.0f;
    enum jb_status status = read_count(gguf, hp, "rope.scaling.original_context_length",
                                       hp->max_context, MAX_CONTEXT, &hp->rope.original_context);
    if (status == JB_OK) {
        status = read_positive(gguf, hp, "rope.scaling.attn_factor", &hp->rope.attention_factor);
    }
    if (status == JB_OK) {
        status = read_positive(gguf, hp, "rope.scaling.yarn_beta_fast", &hp->rope.beta_fast);
    }
    if (status == JB_OK) {
        status = read_positive(gguf, hp, "rope.scaling.yarn_beta_slow", &hp->rope.beta_slow);
    }
    return status;
}

static enum jb_status read_scaling(const struct jb_gguf *gguf, struct jb_hparams *hp)
{
    struct key_name name = {""};
    struct jb_gguf_string type = {"", 0};
    enum jb_status status = jb_gguf_string(gguf, key_of(hp, "rope.scaling.type", &name), &type);
    if (status != JB_OK) {
        return status;
    }
    hp->rope.factor = 1.0f;
    if (type.size == 0) {
        /* Files from before the type key give a linear factor alone. */
        status = read_positive(gguf, hp, "rope.scale_linear", &hp->rope.factor);
        hp->rope.scaling = hp->rope.factor != 1.0f ? JB_SCALING_LINEAR : JB_SCALING_NONE;
        return status;
    }
    if (jb_gguf_string_is(type, "none")) {
        return JB_OK;
    }
    status = read_positive(gguf, hp, "rope.scaling.factor", &hp->rope.factor);
    if (status != JB_OK) {
        return status;
    }
    if (jb_gguf_string_is(type, "linear")) {
        hp->rope.scaling = JB_SCALING_LINEAR;
        return JB_OK;
    }
    if (jb_gguf_string_is(type, "yarn")) {
        hp->rope.scaling = JB_SCALING_YARN;
        return read_yarn(gguf, hp);
    }
    return jb_fail(JB_E_NOTSUP, "%s: key '%s': '%.*s' is not supported; none, linear and yarn are",
                   gguf->name, name.text, type.size < 40 ? (int)type.size : 40, type.data);
}

static enum jb_status read_rope(const struct jb_gguf *gguf, struct jb_hparams *hp)
{
    hp->rope.base = 10000.0f;
    enum jb_status status = read_positive(gguf, hp, "rope.freq_base", &hp->rope.base);
    if (status == JB_OK) {
        status = read_count(gguf, hp, "rope.dimension_count", hp->head_dim, hp->head_dim,
                            &hp->rope.n_dims);
    }
    if (status == JB_OK && hp->rope.n_dims % 2 != 0) {
        return jb_fail(JB_E_FORMAT, "%s: key '%s.rope.dimension_count': %u is odd", gguf->name,
                       hp->architecture, hp->rope.n_dims);
    }
    return status == JB_OK ? read_scaling(gguf, hp) : status;
}

/* What shows only in which tensors there are. */
static enum jb_status read_tensors(const struct jb_gguf *gguf, struct jb_hparams *hp)
{
    const struct jb_gguf_tensor *embed = jb_gguf_find_tensor(gguf, "token_embd.weight");
    if (embed == NULL) {
        return jb_fail(JB_E_FORMAT, "%s: tensor 'token_embd.weight': is missing", gguf->name);
    }
    if (embed->dims[1] > (1u << 24)) {
        return jb_fail(JB_E_FORMAT, "%s: tensor 'token_embd.weight': has too many rows",
                       gguf->name);
    }
    hp->vocab = (uint32_t)embed->dims[1];
    hp->has_tied_head = jb_gguf_find_tensor(gguf, "output.weight") == NULL;
    hp->has_qkv_bias = jb_gguf_find_tensor(gguf, "blk.0.attn_q.bias") != NULL;
    hp->has_out_bias = jb_gguf_find_tensor(gguf, "blk.0.attn_output.bias") != NULL;
    hp->has_ffn_bias = jb_gguf_find_tensor(gguf, "blk.0.ffn_up.bias") != NULL;
    hp->has_qk_norm = jb_gguf_find_tensor(gguf, "blk.0.attn_q_norm.weight") != NULL;
    return JB_OK;
}

enum jb_status jb_hparams_of_gguf(const struct jb_gguf *gguf, struct jb_hparams *ret_hp)
{
    struct jb_hparams hp = {.ffn = JB_FFN_SWIGLU};
    enum jb_status status = find_architecture(gguf, &hp);
    if (status == JB_OK) {
        status = read_dims(gguf, &hp);
    }
    if (status == JB_OK) {
        status = refuse_others(gguf, &hp);
    }
    if (status == JB_OK) {
        status = read_rope(gguf, &hp);
    }
    if (status == JB_OK) {
        status = read_tensors(gguf, &hp);
    }
    if (status == JB_OK) {
        *ret_hp = hp;
    }
    return status;
}
