/* SPDX-License-Identifier: MIT */
#ifndef JB_MODEL_H
#define JB_MODEL_H

/* Inside of bench/workload: what a model is made of, shared by files and named shapes.
 *
 *   shapes.c, hparams.c -> struct jb_hparams -> layout.c (which tensors there are) -> model.c
 *   rope.c  angles of positions      recipe.c  which type each tensor gets
 *   vocab.c vocabulary of a file     weights.c bytes of a tensor, mapped or generated */

#include "bench/workload/gguf.h"
#include "bench/workload/workload.h"
#include "platforms/os/os.h"

enum jb_ffn_kind { JB_FFN_SWIGLU, JB_FFN_GELU, JB_FFN_RELU };

enum jb_rope_scaling { JB_SCALING_NONE, JB_SCALING_LINEAR, JB_SCALING_LLAMA3, JB_SCALING_YARN };

struct jb_rope_params {
    enum jb_rope_kind kind;
    enum jb_rope_scaling scaling;
    uint32_t n_dims;
    float base;
    float factor;                            /* LINEAR, LLAMA3, YARN: how much longer            */
    uint32_t original_context;               /* LLAMA3, YARN: positions it was trained on        */
    float low_freq_factor, high_freq_factor; /* LLAMA3                                        */
    float attention_factor, beta_fast, beta_slow; /* YARN                                     */
};

struct jb_hparams {
    const char *architecture; /* one of the table in hparams.c: static */
    uint32_t dim, n_layers, n_heads, n_kv_heads, head_dim, ffn_dim, vocab, max_context;
    uint32_t pos_offset;
    float norm_eps;
    enum jb_ffn_kind ffn;
    bool has_layernorm; /* with biases; else RMSNORM */
    bool has_pos_embed, has_qkv_bias, has_out_bias, has_ffn_bias, has_qk_norm, has_tied_head;
    struct jb_rope_params rope;
};

/* What a tensor is for. Those from JB_ROLE_ATTN_NORM on are there once a layer. */
enum jb_role {
    JB_ROLE_EMBED,
    JB_ROLE_POS,
    JB_ROLE_OUT_NORM,
    JB_ROLE_OUT_NORM_BIAS,
    JB_ROLE_HEAD,
    JB_ROLE_ATTN_NORM,
    JB_ROLE_ATTN_NORM_BIAS,
    JB_ROLE_Q,
    JB_ROLE_Q_BIAS,
    JB_ROLE_Q_NORM,
    JB_ROLE_K,
    JB_ROLE_K_BIAS,
    JB_ROLE_K_NORM,
    JB_ROLE_V,
    JB_ROLE_V_BIAS,
    JB_ROLE_O,
    JB_ROLE_O_BIAS,
    JB_ROLE_FFN_NORM,
    JB_ROLE_FFN_NORM_BIAS,
    JB_ROLE_GATE,
    JB_ROLE_UP,
    JB_ROLE_UP_BIAS,
    JB_ROLE_DOWN,
    JB_ROLE_DOWN_BIAS,
    JB_N_ROLES
};

/* ---- layout.c ---- */

struct jb_spec {
    enum jb_role role;
    int16_t layer; /* -1 outside the layers */
    char name[40]; /* GGUF name */
    uint32_t rows, cols;
};
bool jb_role_is_vector(enum jb_role role);
bool jb_role_is_norm_weight(enum jb_role role);
uint32_t jb_layout_count(const struct jb_hparams *hp);
/* @param ret_specs (jb_layout_count(),) in GGUF's usual order. */
void jb_layout(const struct jb_hparams *hp, struct jb_spec *ret_specs);
/* GGUF name of a tensor; layer is not looked at outside the layers. */
void jb_role_name(enum jb_role role, uint32_t layer, char ret_name[40]);
uint64_t jb_layout_params(const struct jb_hparams *hp);

/* ---- shapes.c, hparams.c ---- */

const struct jb_shape *jb_shape_find(const char *name); /* NULL = none */
void jb_hparams_of_shape(const struct jb_shape *shape, struct jb_hparams *ret_hp);
/* Shape names that look like name, for messages; at most size bytes. */
void jb_shape_near(const char *name, char *ret_list, size_t size);
/* @return FORMAT, NOTSUP (architecture, experts, a scaling we lack). */
enum jb_status jb_hparams_of_gguf(const struct jb_gguf *gguf,
                                  struct jb_hparams *ret_hp) JB_MUST_CHECK;

/* ---- recipe.c ---- */

/* @return INVAL naming the recipes there are. */
enum jb_status jb_recipe_find(const char *name, enum jb_dtype *ret_recipe) JB_MUST_CHECK;
/* Type of a tensor. A recipe is named after its main type. */
enum jb_dtype jb_recipe_dtype(enum jb_dtype recipe, const struct jb_hparams *hp,
                              const struct jb_spec *spec);

/* ---- rope.c ---- */

/* @param factors (n_dims / 2,) divisors of the frequencies, as in rope_freqs.weight; NULL = 1.
 * @param ret_inv_freq (n_dims / 2,) */
void jb_rope_build(const struct jb_rope_params *rope, const float *factors, float *ret_inv_freq,
                   float *ret_mscale);
/* Llama 3's divisors. @param ret_factors (n_dims / 2,) */
void jb_rope_llama3_factors(const struct jb_rope_params *rope, float *ret_factors);

/* ---- vocab.c ---- */

struct jb_vocab_store; /* owns a vocabulary's arrays; its pieces lie in the file */
enum jb_status jb_vocab_of_gguf(const struct jb_gguf *gguf,
                                struct jb_vocab_store **ret_store) JB_MUST_CHECK;
const struct jb_vocab *jb_vocab_store_get(const struct jb_vocab_store *store);
void jb_vocab_store_free(struct jb_vocab_store *store);

/* ---- model.c ---- */

/* Bytes of a tensor while it is mapped. */
struct jb_residence {
    uint32_t n_users;
    const void *data;
    void *pages; /* generated or converted copy; NULL when data lies in the file */
    size_t n_pages_bytes;
};

struct jb_model {
    struct jb_model_info info;
    struct jb_hparams hp;
    struct jb_map map;   /* of the file; all 0 for shapes and for files in memory */
    struct jb_gguf gguf; /* all 0 for shapes                                      */
    const struct jb_gguf_tensor **entries; /* (n_tensors,) NULL for shapes        */
    struct jb_spec *specs;                 /* (n_tensors,) */
    struct jb_tensor *tensors;             /* (n_tensors,) */
    struct jb_residence *residences;       /* (n_tensors,) */
    uint32_t n_tensors;
    float *inv_freq;
    float mscale;
    struct jb_vocab_store *vocab;
    struct jb_weights weights;
    uint64_t seed;
    bool has_weights;
    char *name;
    char *path;
};

/* As jb_model_open() on a file that is already in memory; data outlives the model. */
enum jb_status jb_model_open_memory(const void *data, size_t size, const char *path,
                                    const struct jb_model_args *args,
                                    struct jb_model **ret_model) JB_MUST_CHECK;

/* ---- weights.c ---- */

void jb_weights_init(struct jb_model *model);
void jb_weights_free(struct jb_model *model);
/* Draws a tensor from N(0, sigma) in its own type, on all processing units. A row's bytes depend on
 * nothing but seed, index and its number. */
void jb_weights_fill(const struct jb_tensor *tensor, uint32_t index, float sigma, uint64_t seed,
                     void *dst);
/* Draws one tensor of a shape: norms 1, biases small, matrices N(0, 1 / cols) so that a row of
 * unit size stays one. Uses all processing units. @param dst tensor->n_bytes bytes. */
void jb_weights_draw(const struct jb_spec *spec, const struct jb_tensor *tensor, uint32_t index,
                     uint64_t seed, void *dst);

#endif
