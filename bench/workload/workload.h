/* SPDX-License-Identifier: MIT */
#ifndef JB_WORKLOAD_H
#define JB_WORKLOAD_H

/* The workload: a model (file or named shape), its plan, its tokens. The door of this folder. */

#include <stdbool.h>
#include <stdint.h>

#include "backends/plan.h"
#include "platforms/base/status.h"

struct jb_model;

struct jb_model_args {
    const char *source; /* a GGUF file's path or a shape's name                               */
    const char *format; /* recipe: f32 f16 bf16 q8_0 q4_0 q4_1 q4_k q6_k; NULL = the file's own,
                           f16 for shapes. A file whose format differs is INVAL.              */
    uint64_t seed;      /* of a shape's weights                                               */
    bool has_weights;   /* false: timing-only, no tensor is made or read                      */
};

struct jb_vocab {
    enum { JB_VOCAB_NONE, JB_VOCAB_SPM, JB_VOCAB_BPE } kind;
    uint32_t n_tokens;
    const char *const *pieces; /* (n_tokens,) bytes, may hold NUL: use piece_sizes              */
    const uint32_t *piece_sizes;
    const float *scores;  /* (n_tokens,) SPM; NULL otherwise                               */
    const uint8_t *types; /* (n_tokens,) GGUF token types: 1 normal 2 unknown 3 control 4 user 5
                             unused 6 byte */
    const char *const *merges; /* (n_merges,) "left right", BPE, best first; NULL otherwise     */
    const uint32_t *merge_sizes;
    uint32_t n_merges;
    const char *pre; /* BPE pre-tokenizer's name: "smollm" "llama-bpe" "qwen2" "gpt-2" ... */
    int32_t bos_id, eos_id, unk_id; /* -1 = none */
    bool adds_bos, adds_eos, adds_space_prefix;
};

struct jb_model_info {
    const char *name; /* shape's name, or the file's general.name, else its base name           */
    const char *path; /* NULL for shapes                                                        */
    const char *architecture; /* "llama" "qwen2" "qwen3" "gpt2" "opt"                             */
    const char *format; /* recipe name that the tensors amount to: "q4_0"                         */
    const char *wanted_format; /* the recipe asked for, where `format` stands in because rows do not
                                  divide into its blocks; else NULL                               */
    uint64_t n_params, weight_bytes;
    uint32_t max_context;
    const struct jb_vocab *vocab; /* kind NONE for shapes                                         */
};

#ifdef __cplusplus
extern "C" {
#endif

/* @return NODEV: neither a file nor a shape (lists near names); FORMAT: file, place and rule;
 *         INVAL: format does not match; NOTSUP: an architecture or tensor type we lack. */
enum jb_status jb_model_open(const struct jb_model_args *args,
                             struct jb_model **ret_model) JB_MUST_CHECK;
void jb_model_close(struct jb_model *model); /* after every plan of it; NULL is fine */
const struct jb_model_info *jb_model_info(const struct jb_model *model);

struct jb_plan_args {
    enum jb_dtype kv_dtype;
    uint32_t rank, n_ranks; /* 0, 1; more is NOTSUP for now */
};
/* Builds the plan with program "full". It points into the model. */
enum jb_status jb_plan_build(struct jb_model *model, const struct jb_plan_args *args,
                             struct jb_plan **ret_plan) JB_MUST_CHECK;
void jb_plan_free(struct jb_plan *plan);

/* Named shapes and recipes, for `list models` and `list formats`. */
struct jb_shape {
    const char *name, *architecture, *source; /* source: where the numbers were published */
    uint32_t dim, n_layers, n_heads, n_kv_heads, head_dim, ffn_dim, vocab, context;
    float norm_eps, rope_base;
    bool has_tied_head;
};
uint32_t jb_shape_count(void);
const struct jb_shape *jb_shape_at(uint32_t index);
struct jb_recipe {
    const char *name, *summary;
};
uint32_t jb_recipe_count(void);
const struct jb_recipe *jb_recipe_at(uint32_t index);

/* ---- one op as a plan ---- */

/* A plan whose program ends with one matrix product or one attention; before it only the embeddings
 * that give it its inputs. One layer, no head: no ids come back. */
struct jb_single_args {
    enum jb_op_kind kind;   /* MATMUL or ATTENTION                                             */
    enum jb_dtype dtype;    /* MATMUL: of the weight                                           */
    uint32_t rows, cols;    /* MATMUL: outputs, inputs                                         */
    enum jb_dtype kv_dtype; /* ATTENTION: F32, F16 or Q8_0                                    */
    uint32_t n_heads, n_kv_heads, head_dim; /* ATTENTION                                      */
    uint32_t max_context;
    uint64_t seed;
    bool has_weights; /* false: timing-only */
};
/* The op is the program's last; ids are in [0, vocab).
 * @return INVAL for a kind, type or shape that no plan can have; NOMEM. */
enum jb_status jb_single_build(const struct jb_single_args *args,
                               struct jb_plan **ret_plan) JB_MUST_CHECK;
void jb_single_free(struct jb_plan *plan); /* NULL is fine */

/* Writes a GGUF that other tools load: a shape with seeded weights and a generated SPM vocabulary,
 * or another file converted (its vocabulary and metadata kept). Written beside and renamed, so a
 * broken write leaves nothing. progress(ctx, done, total bytes) may be NULL. */
struct jb_synth_args {
    const char *model;  /* shape, or NULL with from */
    const char *from;   /* GGUF file, or NULL */
    const char *format; /* recipe */
    const char *output;
    uint64_t seed;
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *progress_ctx;
};
enum jb_status jb_synth(const struct jb_synth_args *args) JB_MUST_CHECK;

/* ---- tokens ---- */

struct jb_tokenizer;
enum jb_status jb_tokenizer_create(const struct jb_vocab *vocab,
                                   struct jb_tokenizer **ret_tokenizer) JB_MUST_CHECK;
void jb_tokenizer_free(struct jb_tokenizer *tokenizer);
/* Encodes UTF-8 text (invalid bytes are taken as they are). BOS as the vocabulary says unless
 * add_bos is false. Special tokens in the text are recognised only with parse_special.
 * @param ret_ids malloc'ed, given to the caller; (*ret_n,). */
enum jb_status jb_tokenizer_encode(struct jb_tokenizer *tokenizer, const char *text, size_t size,
                                   bool add_bos, bool parse_special, int32_t **ret_ids,
                                   uint32_t *ret_n) JB_MUST_CHECK;
/* Text of ids, control tokens left out, SPM's first space removed. malloc'ed, NUL-terminated. */
enum jb_status jb_tokenizer_decode(struct jb_tokenizer *tokenizer, const int32_t *ids, uint32_t n,
                                   char **ret_text, size_t *ret_size) JB_MUST_CHECK;

/* Ids for forced feed: (n,) uniform in [0, vocab) from (seed, sequence). Sequence i of any batch
 * is the same whatever the batch size. */
void jb_prompt_seeded(uint64_t seed, uint32_t sequence, uint32_t vocab, int32_t *ret_ids,
                      uint32_t n);

#ifdef __cplusplus
}
#endif
#endif
