/* SPDX-License-Identifier: MIT */
/* Which tensors a model has, under which GGUF names and in which shapes. */
#include <stdio.h>
#include <string.h>

#include "bench/workload/model.h"

static const char *const names[JB_N_ROLES] = {
    [JB_ROLE_EMBED] = "token_embd.weight",
    [JB_ROLE_POS] = "position_embd.weight",
    [JB_ROLE_OUT_NORM] = "output_norm.weight",
    [JB_ROLE_OUT_NORM_BIAS] = "output_norm.bias",
    [JB_ROLE_HEAD] = "output.weight",
    [JB_ROLE_ATTN_NORM] = "attn_norm.weight",
    [JB_ROLE_ATTN_NORM_BIAS] = "attn_norm.bias",
    [JB_ROLE_Q] = "attn_q.weight",
    [JB_ROLE_Q_BIAS] = "attn_q.bias",
    [JB_ROLE_Q_NORM] = "attn_q_norm.weight",
    [JB_ROLE_K] = "attn_k.weight",
    [JB_ROLE_K_BIAS] = "attn_k.bias",
    [JB_ROLE_K_NORM] = "attn_k_norm.weight",
    [JB_ROLE_V] = "attn_v.weight",
    [JB_ROLE_V_BIAS] = "attn_v.bias",
    [JB_ROLE_O] = "attn_output.weight",
    [JB_ROLE_O_BIAS] = "attn_output.bias",
    [JB_ROLE_FFN_NORM] = "ffn_norm.weight",
    [JB_ROLE_FFN_NORM_BIAS] = "ffn_norm.bias",
    [JB_ROLE_GATE] = "ffn_gate.weight",
    [JB_ROLE_UP] = "ffn_up.weight",
    [JB_ROLE_UP_BIAS] = "ffn_up.bias",
    [JB_ROLE_DOWN] = "ffn_down.weight",
    [JB_ROLE_DOWN_BIAS] = "ffn_down.bias",
};

bool jb_role_is_norm_weight(enum jb_role role)
{
    switch (role) {
    case JB_ROLE_OUT_NORM:
    case JB_ROLE_ATTN_NORM:
    case JB_ROLE_FFN_NORM:
    case JB_ROLE_Q_NORM:
    case JB_ROLE_K_NORM:
        return true;
    default:
        return false;
    }
}

bool jb_role_is_vector(enum jb_role role)
{
    switch (role) {
    case JB_ROLE_OUT_NORM_BIAS:
    case JB_ROLE_ATTN_NORM_BIAS:
    case JB_ROLE_FFN_NORM_BIAS:
    case JB_ROLE_Q_BIAS:
    case JB_ROLE_K_BIAS:
    case JB_ROLE_V_BIAS:
    case JB_ROLE_O_BIAS:
    case JB_ROLE_UP_BIAS:
    case JB_ROLE_DOWN_BIAS:
        return true;
    default:
        return jb_role_is_norm_weight(role);
    }
}

static bool is_there(const struct jb_hparams *hp, enum jb_role role)
{
    switch (role) {
    case JB_ROLE_POS:
        return hp->has_pos_embed;
    case JB_ROLE_HEAD:
        return !hp->has_tied_head;
    case JB_ROLE_OUT_NORM_BIAS:
    case JB_ROLE_ATTN_NORM_BIAS:
    case JB_ROLE_FFN_NORM_BIAS:
        return hp->has_layernorm;
    case JB_ROLE_Q_BIAS:
    case JB_ROLE_K_BIAS:
    case JB_ROLE_V_BIAS:
        return hp->has_qkv_bias;
    case JB_ROLE_O_BIAS:
        return hp->has_out_bias;
    case JB_ROLE_UP_BIAS:
    case JB_ROLE_DOWN_BIAS:
        return hp->has_ffn_bias;
    case JB_ROLE_Q_NORM:
    case JB_ROLE_K_NORM:
        return hp->has_qk_norm;
    case JB_ROLE_GATE:
        return hp->ffn == JB_FFN_SWIGLU;
    default:
        return true;
    }
}

static void shape_of(const struct jb_hparams *hp, enum jb_role role, uint32_t *ret_rows,
                     uint32_t *ret_cols)
{
    const uint32_t q_dim = hp->n_heads * hp->head_dim;
    const uint32_t kv_dim = hp->n_kv_heads * hp->head_dim;
    uint32_t rows = 1;
    uint32_t cols = hp->dim; /* norms and biases of the residual stream */
    switch (role) {
    case JB_ROLE_EMBED:
    case JB_ROLE_HEAD:
        rows = hp->vocab;
        break;
    case JB_ROLE_POS:
        rows = hp->max_context + hp->pos_offset;
        break;
    case JB_ROLE_Q:
        rows = q_dim;
        break;
    case JB_ROLE_K:
    case JB_ROLE_V:
        rows = kv_dim;
        break;
    case JB_ROLE_O:
        rows = hp->dim;
        cols = q_dim;
        break;
    case JB_ROLE_GATE:
    case JB_ROLE_UP:
        rows = hp->ffn_dim;
        break;
    case JB_ROLE_DOWN:
        rows = hp->dim;
        cols = hp->ffn_dim;
        break;
    case JB_ROLE_Q_BIAS:
        cols = q_dim;
        break;
    case JB_ROLE_K_BIAS:
    case JB_ROLE_V_BIAS:
        cols = kv_dim;
        break;
    case JB_ROLE_UP_BIAS:
        cols = hp->ffn_dim;
        break;
    case JB_ROLE_Q_NORM:
    case JB_ROLE_K_NORM:
        cols = hp->head_dim;
        break;
    default:
        break;
    }
    *ret_rows = rows;
    *ret_cols = cols;
}

void jb_role_name(enum jb_role role, uint32_t layer, char ret_name[40])
{
    char block[16] = "";
    if (role >= JB_ROLE_ATTN_NORM) {
        (void)snprintf(block, sizeof block, "blk.%u.", layer);
    }
    (void)snprintf(ret_name, 40, "%s%s", block, names[role]);
}

uint32_t jb_layout_count(const struct jb_hparams *hp)
{
    uint32_t n = 0;
    for (int role = 0; role < JB_N_ROLES; role++) {
        if (is_there(hp, (enum jb_role)role)) {
            n += role < JB_ROLE_ATTN_NORM ? 1 : hp->n_layers;
        }
    }
    return n;
}

static struct jb_spec *add(const struct jb_hparams *hp, enum jb_role role, int layer,
                           struct jb_spec *at)
{
    if (!is_there(hp, role)) {
        return at;
    }
    at->role = role;
    at->layer = (int16_t)layer;
    shape_of(hp, role, &at->rows, &at->cols);
    jb_role_name(role, layer < 0 ? 0 : (uint32_t)layer, at->name);
    return at + 1;
}

void jb_layout(const struct jb_hparams *hp, struct jb_spec *ret_specs)
{
    struct jb_spec *at = ret_specs;
    at = add(hp, JB_ROLE_EMBED, -1, at);
    at = add(hp, JB_ROLE_POS, -1, at);
    for (uint32_t layer = 0; layer < hp->n_layers; layer++) {
        for (int role = JB_ROLE_ATTN_NORM; role < JB_N_ROLES; role++) {
            at = add(hp, (enum jb_role)role, (int)layer, at);
        }
    }
    at = add(hp, JB_ROLE_OUT_NORM, -1, at);
    at = add(hp, JB_ROLE_OUT_NORM_BIAS, -1, at);
    (void)add(hp, JB_ROLE_HEAD, -1, at);
}

uint64_t jb_layout_params(const struct jb_hparams *hp)
{
    uint64_t sum = 0;
    for (int role = 0; role < JB_N_ROLES; role++) {
        if (is_there(hp, (enum jb_role)role)) {
            uint32_t rows;
            uint32_t cols;
            shape_of(hp, (enum jb_role)role, &rows, &cols);
            sum += (uint64_t)rows * cols * (role < JB_ROLE_ATTN_NORM ? 1 : hp->n_layers);
        }
    }
    return sum;
}
