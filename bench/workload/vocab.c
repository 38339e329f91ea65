/* SPDX-License-Identifier: MIT */
/* The vocabulary of a GGUF file. Pieces and merges stay in the file; only tables are made. */
#include <stdlib.h>
#include <string.h>

#include "bench/workload/model.h"

#define MAX_TOKENS (1u << 24)

struct jb_vocab_store {
    struct jb_vocab vocab;
    const char **pieces;
    uint32_t *piece_sizes;
    float *scores;
    uint8_t *types;
    const char **merges;
    uint32_t *merge_sizes;
    char pre[64];
};

static enum jb_status wrong(const struct jb_gguf *gguf, const char *key, const char *what)
{
    return jb_fail(JB_E_FORMAT, "%s: key '%s': %s", gguf->name, key, what);
}

/* Pointers and sizes of a string array. Absent: *ret_n = 0. */
static enum jb_status read_strings(const struct jb_gguf *gguf, const char *name,
                                   const char ***ret_strings, uint32_t **ret_sizes, uint32_t *ret_n)
{
    const struct jb_gguf_key *key = jb_gguf_find(gguf, name);
    if (key == NULL) {
        return JB_OK;
    }
    if (!key->is_array || key->type != JB_GGUF_STRING || key->count > MAX_TOKENS) {
        return wrong(gguf, name, "is not an array of strings");
    }
    *ret_strings = calloc((size_t)key->count + 1, sizeof **ret_strings);
    *ret_sizes = calloc((size_t)key->count + 1, sizeof **ret_sizes);
    if (*ret_strings == NULL || *ret_sizes == NULL) {
        return jb_fail(JB_E_NOMEM, "%s: no memory for its vocabulary", gguf->name);
    }
    const uint8_t *at = key->data;
    for (uint64_t i = 0; i < key->count; i++) {
        const struct jb_gguf_string string = jb_gguf_next_string(&at);
        if (string.size > 65535) {
            return wrong(gguf, name, "a piece is longer than 65535 bytes");
        }
        (*ret_strings)[i] = string.data;
        (*ret_sizes)[i] = (uint32_t)string.size;
    }
    *ret_n = (uint32_t)key->count;
    return JB_OK;
}

/* Without scores an SPM vocabulary cannot merge; without types all tokens are normal. */
static enum jb_status read_scores(const struct jb_gguf *gguf, struct jb_vocab_store *store)
{
    static const char name[] = "tokenizer.ggml.scores";
    const struct jb_gguf_key *key = jb_gguf_find(gguf, name);
    const uint32_t n = store->vocab.n_tokens;
    if (store->vocab.kind != JB_VOCAB_SPM) {
        return JB_OK;
    }
    if (key == NULL || !key->is_array || key->type != JB_GGUF_F32 || key->count != n) {
        return wrong(gguf, name, "is not an array of one f32 a token");
    }
    store->scores = malloc(((size_t)n + 1) * sizeof *store->scores);
    if (store->scores == NULL) {
        return jb_fail(JB_E_NOMEM, "%s: no memory for its vocabulary", gguf->name);
    }
    memcpy(store->scores, key->data, n * sizeof *store->scores);
    for (uint32_t i = 0; i < n; i++) {
        if (!(store->scores[i] >= -3.4e38f && store->scores[i] <= 3.4e38f)) {
            return wrong(gguf, name, "a score is not a finite number");
        }
    }
    return JB_OK;
}

static enum jb_status read_types(const struct jb_gguf *gguf, struct jb_vocab_store *store)
{
    static const char name[] = "tokenizer.ggml.token_type";
    const struct jb_gguf_key *key = jb_gguf_find(gguf, name);
    const uint32_t n = store->vocab.n_tokens;
    store->types = malloc((size_t)n + 1);
    if (store->types == NULL) {
        return jb_fail(JB_E_NOMEM, "%s: no memory for its vocabulary", gguf->name);
    }
    memset(store->types, 1, (size_t)n + 1);
    if (key == NULL) {
        return JB_OK;
    }
    if (!key->is_array || (key->type != JB_GGUF_I32 && key->type != JB_GGUF_U32) ||
        key->count != n) {
        return wrong(gguf, name, "is not an array of one i32 a token");
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t type;
        memcpy(&type, key->data + 4 * (size_t)i, sizeof type);
        if (type > 6) {
            return wrong(gguf, name, "a type is above 6");
        }
        store->types[i] = (uint8_t)type;
    }
    return JB_OK;
}

static enum jb_status read_id(const struct jb_gguf *gguf, const struct jb_vocab *vocab,
                              const char *name, int32_t fallback, int32_t *ret_id)
{
    int32_t id = fallback < (int32_t)vocab->n_tokens ? fallback : -1;
    const enum jb_status status = jb_gguf_i32(gguf, name, &id);
    if (status == JB_OK && (id < -1 || id >= (int32_t)vocab->n_tokens)) {
        return wrong(gguf, name, "is not an id of the vocabulary");
    }
    *ret_id = id;
    return status;
}

static enum jb_status read_settings(const struct jb_gguf *gguf, struct jb_vocab_store *store)
{
    struct jb_vocab *vocab = &store->vocab;
    const bool is_spm = vocab->kind == JB_VOCAB_SPM;
    struct jb_gguf_string pre = {"", 0};
    enum jb_status status = jb_gguf_string(gguf, "tokenizer.ggml.pre", &pre);
    if (status == JB_OK && pre.size >= sizeof store->pre) {
        return wrong(gguf, "tokenizer.ggml.pre", "is too long");
    }
    memcpy(store->pre, pre.data, (size_t)pre.size);
    vocab->pre = store->pre;
    /* Llama 3's files often say nothing about BOS and need it. */
    vocab->adds_bos = is_spm || jb_gguf_string_is(pre, "llama-bpe");
    vocab->adds_space_prefix = is_spm;
    const struct {
        const char *name;
        int32_t fallback;
        int32_t *id;
    } ids[] = {
        {"tokenizer.ggml.bos_token_id", is_spm ? 1 : -1, &vocab->bos_id},
        {"tokenizer.ggml.eos_token_id", is_spm ? 2 : -1, &vocab->eos_id},
        {"tokenizer.ggml.unknown_token_id", is_spm ? 0 : -1, &vocab->unk_id},
    };
    for (int i = 0; status == JB_OK && i < 3; i++) {
        status = read_id(gguf, vocab, ids[i].name, ids[i].fallback, ids[i].id);
    }
    if (status == JB_OK) {
        status = jb_gguf_bool(gguf, "tokenizer.ggml.add_bos_token", &vocab->adds_bos);
    }
    if (status == JB_OK) {
        status = jb_gguf_bool(gguf, "tokenizer.ggml.add_eos_token", &vocab->adds_eos);
    }
    if (status == JB_OK) {
        status = jb_gguf_bool(gguf, "tokenizer.ggml.add_space_prefix", &vocab->adds_space_prefix);
    }
    return status;
}

static enum jb_status read_all(const struct jb_gguf *gguf, struct jb_vocab_store *store)
{
    struct jb_vocab *vocab = &store->vocab;
    struct jb_gguf_string model = {"", 0};
    enum jb_status status = jb_gguf_string(gguf, "tokenizer.ggml.model", &model);
    if (status != JB_OK) {
        return status;
    }
    vocab->kind = jb_gguf_string_is(model, "llama")  ? JB_VOCAB_SPM
                  : jb_gguf_string_is(model, "gpt2") ? JB_VOCAB_BPE
                                                     : JB_VOCAB_NONE;
    vocab->bos_id = vocab->eos_id = vocab->unk_id = -1;
    if (vocab->kind == JB_VOCAB_NONE) {
        return JB_OK; /* no text then, but ids still run */
    }
    status = read_strings(gguf, "tokenizer.ggml.tokens", &store->pieces, &store->piece_sizes,
                          &vocab->n_tokens);
    if (status == JB_OK && vocab->n_tokens == 0) {
        return wrong(gguf, "tokenizer.ggml.tokens", "is missing or empty");
    }
    if (status == JB_OK) {
        status = read_scores(gguf, store);
    }
    if (status == JB_OK) {
        status = read_types(gguf, store);
    }
    if (status == JB_OK && vocab->kind == JB_VOCAB_BPE) {
        status = read_strings(gguf, "tokenizer.ggml.merges", &store->merges, &store->merge_sizes,
                              &vocab->n_merges);
    }
    if (status == JB_OK) {
        status = read_settings(gguf, store);
    }
    vocab->pieces = store->pieces;
    vocab->piece_sizes = store->piece_sizes;
    vocab->scores = store->scores;
    vocab->types = store->types;
    vocab->merges = store->merges;
    vocab->merge_sizes = store->merge_sizes;
    return status;
}

enum jb_status jb_vocab_of_gguf(const struct jb_gguf *gguf, struct jb_vocab_store **ret_store)
{
    struct jb_vocab_store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        return jb_fail(JB_E_NOMEM, "%s: no memory for its vocabulary", gguf->name);
    }
    const enum jb_status status = read_all(gguf, store);
    if (status != JB_OK) {
        jb_vocab_store_free(store);
        return status;
    }
    *ret_store = store;
    return JB_OK;
}

const struct jb_vocab *jb_vocab_store_get(const struct jb_vocab_store *store)
{
    return &store->vocab;
}

void jb_vocab_store_free(struct jb_vocab_store *store)
{
    if (store == NULL) {
        return;
    }
    free(store->pieces);
    free(store->piece_sizes);
    free(store->scores);
    free(store->types);
    free(store->merges);
    free(store->merge_sizes);
    free(store);
}
