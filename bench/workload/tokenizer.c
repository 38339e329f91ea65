/* SPDX-License-Identifier: MIT */
/* The tokenizer's door: special tokens are cut out of the text, the rest goes to one of the two
 * kinds of merging. */
#include <stdlib.h>
#include <string.h>

#include "bench/workload/tokenizer.h"

/* Positions in the merge lists are 32-bit, and marked spaces take three bytes. */
#define MAX_TEXT_BYTES (UINT32_C(1) << 30)

/* Tokens found in a text by their spelling, longest first at each place. Looked up by length, so
 * that a vocabulary of thousands of them costs one look-up a length and place. */
struct specials {
    struct jb_piece_map map;
    uint32_t *lengths[256]; /* by first byte: (n_lengths,) descending */
    uint32_t n_lengths[256];
};

struct jb_tokenizer {
    const struct jb_vocab *vocab;
    struct jb_spm *spm;
    struct jb_bpe *bpe;
    struct jb_merger merger;
    struct specials user, all; /* "user" tokens are found always, control tokens when asked for */
};

static int compare_descending(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x < y) - (x > y);
}

static void specials_free(struct specials *specials)
{
    jb_piece_map_free(&specials->map);
    for (int i = 0; i < 256; i++) {
        free(specials->lengths[i]);
    }
}

static enum jb_status specials_build(const struct jb_vocab *vocab, unsigned type_set,
                                     struct specials *ret_specials)
{
    enum jb_status status = jb_piece_map_build(vocab, type_set, &ret_specials->map);
    for (uint32_t id = 0; id < vocab->n_tokens && status == JB_OK; id++) {
        const unsigned type = vocab->types == NULL ? JB_TOKEN_NORMAL : vocab->types[id];
        if (vocab->piece_sizes[id] == 0 || type > 31 || (type_set >> type & 1u) == 0) {
            continue;
        }
        const unsigned char first = (unsigned char)vocab->pieces[id][0];
        const uint32_t n = ret_specials->n_lengths[first];
        /* Grows at powers of two. */
        if ((n & (n - 1)) == 0) {
            const size_t capacity = n == 0 ? 1 : (size_t)n * 2;
            uint32_t *lengths = realloc(ret_specials->lengths[first], capacity * sizeof *lengths);
            if (lengths == NULL) {
                status = jb_fail(JB_E_NOMEM, "no memory for a tokenizer's special tokens");
                break;
            }
            ret_specials->lengths[first] = lengths;
        }
        ret_specials->lengths[first][n] = vocab->piece_sizes[id];
        ret_specials->n_lengths[first] = n + 1;
    }
    for (int i = 0; i < 256 && status == JB_OK; i++) {
        uint32_t *lengths = ret_specials->lengths[i];
        const uint32_t n = ret_specials->n_lengths[i];
        if (n == 0) {
            continue;
        }
        qsort(lengths, n, sizeof *lengths, compare_descending);
        uint32_t kept = 1;
        for (uint32_t k = 1; k < n; k++) {
            if (lengths[k] != lengths[kept - 1]) {
                lengths[kept++] = lengths[k];
            }
        }
        ret_specials->n_lengths[i] = kept;
    }
    return status;
}

/* The special token that the text starts with; -1 if there is none. */
static int32_t specials_find(const struct specials *specials, const char *text, size_t size)
{
    const unsigned char first = (unsigned char)text[0];
    for (uint32_t i = 0; i < specials->n_lengths[first]; i++) {
        const uint32_t length = specials->lengths[first][i];
        const int32_t id = length <= size ? jb_piece_map_find(&specials->map, text, length) : -1;
        if (id >= 0) {
            return id;
        }
    }
    return -1;
}

static enum jb_status check_vocab(const struct jb_vocab *vocab)
{
    if (vocab->kind != JB_VOCAB_SPM && vocab->kind != JB_VOCAB_BPE) {
        return jb_fail(JB_E_NOTSUP, "the model has no vocabulary, so text means nothing to it; "
                                    "give ids, or a GGUF file with a vocabulary");
    }
    if (vocab->n_tokens == 0 || vocab->n_tokens > INT32_MAX) {
        return jb_fail(JB_E_FORMAT, "a vocabulary of %u tokens", vocab->n_tokens);
    }
    const struct {
        const char *name;
        int32_t id;
    } named[] = {{"bos", vocab->bos_id}, {"eos", vocab->eos_id}, {"unknown", vocab->unk_id}};
    for (int i = 0; i < 3; i++) {
        if (named[i].id < -1 || named[i].id >= (int64_t)vocab->n_tokens) {
            return jb_fail(JB_E_FORMAT, "the %s token is %d, outside the vocabulary of %u tokens",
                           named[i].name, named[i].id, vocab->n_tokens);
        }
    }
    return JB_OK;
}

enum jb_status jb_tokenizer_create(const struct jb_vocab *vocab,
                                   struct jb_tokenizer **ret_tokenizer)
{
    enum jb_status status = check_vocab(vocab);
    if (status != JB_OK) {
        return status;
    }
    struct jb_tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    if (tokenizer == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for a tokenizer");
    }
    tokenizer->vocab = vocab;
    status = vocab->kind == JB_VOCAB_SPM ? jb_spm_create(vocab, &tokenizer->spm)
                                         : jb_bpe_create(vocab, &tokenizer->bpe);
    if (status == JB_OK) {
        status = specials_build(vocab, 1u << JB_TOKEN_USER, &tokenizer->user);
    }
    if (status == JB_OK) {
        status = specials_build(
            vocab, 1u << JB_TOKEN_USER | 1u << JB_TOKEN_CONTROL | 1u << JB_TOKEN_UNKNOWN,
            &tokenizer->all);
    }
    if (status != JB_OK) {
        jb_tokenizer_free(tokenizer);
        return status;
    }
    *ret_tokenizer = tokenizer;
    return JB_OK;
}

void jb_tokenizer_free(struct jb_tokenizer *tokenizer)
{
    if (tokenizer != NULL) {
        jb_spm_free(tokenizer->spm);
        jb_bpe_free(tokenizer->bpe);
        jb_merger_free(&tokenizer->merger);
        specials_free(&tokenizer->user);
        specials_free(&tokenizer->all);
        free(tokenizer);
    }
}

/* Text between special tokens. SentencePiece puts its space in front of a whole text: control
 * tokens end one text and start the next, user tokens stand inside it. */
static enum jb_status encode_plain(struct jb_tokenizer *tokenizer, const char *text, size_t size,
                                   bool starts_text, struct jb_id_list *list)
{
    if (tokenizer->spm == NULL) {
        return jb_bpe_encode(tokenizer->bpe, &tokenizer->merger, text, size, list);
    }
    const bool adds_space = starts_text && tokenizer->vocab->adds_space_prefix;
    return jb_spm_encode(tokenizer->spm, &tokenizer->merger, text, size, adds_space, list);
}

static enum jb_status encode_all(struct jb_tokenizer *tokenizer, const struct specials *specials,
                                 const char *text, size_t size, struct jb_id_list *list)
{
    const struct jb_vocab *vocab = tokenizer->vocab;
    enum jb_status status = JB_OK;
    bool starts_text = true;
    size_t plain = 0;
    for (size_t at = 0; at < size && status == JB_OK;) {
        const int32_t id = specials_find(specials, text + at, size - at);
        if (id < 0) {
            at++;
            continue;
        }
        const bool is_user = vocab->types[id] == JB_TOKEN_USER;
        if (at > plain || (is_user && starts_text)) {
            status = encode_plain(tokenizer, text + plain, at - plain, starts_text, list);
        }
        if (status == JB_OK) {
            status = jb_id_list_add(list, id);
        }
        starts_text = !is_user;
        at += vocab->piece_sizes[id];
        plain = at;
    }
    if (status == JB_OK && size > plain) {
        status = encode_plain(tokenizer, text + plain, size - plain, starts_text, list);
    }
    return status;
}

enum jb_status jb_tokenizer_encode(struct jb_tokenizer *tokenizer, const char *text, size_t size,
                                   bool add_bos, bool parse_special, int32_t **ret_ids,
                                   uint32_t *ret_n)
{
    if (size > MAX_TEXT_BYTES) {
        return jb_fail(JB_E_INVAL,
                       "a text of %zu bytes is too long to tokenize (at most %u); "
                       "cut it",
                       size, MAX_TEXT_BYTES);
    }
    const struct jb_vocab *vocab = tokenizer->vocab;
    const struct specials *specials = parse_special ? &tokenizer->all : &tokenizer->user;
    struct jb_id_list list = {0};
    enum jb_status status = JB_OK;
    if (add_bos && vocab->adds_bos && vocab->bos_id >= 0) {
        status = jb_id_list_add(&list, vocab->bos_id);
    }
    if (status == JB_OK) {
        status = encode_all(tokenizer, specials, text, size, &list);
    }
    /* No ids at all is still an array that the caller may free. */
    if (status == JB_OK && list.ids == NULL) {
        list.ids = malloc(sizeof *list.ids);
        status = list.ids == NULL ? jb_fail(JB_E_NOMEM, "no memory for token ids") : JB_OK;
    }
    if (status != JB_OK) {
        free(list.ids);
        return status;
    }
    *ret_ids = list.ids;
    *ret_n = list.n;
    return JB_OK;
}

enum jb_status jb_tokenizer_decode(struct jb_tokenizer *tokenizer, const int32_t *ids, uint32_t n,
                                   char **ret_text, size_t *ret_size)
{
    const struct jb_vocab *vocab = tokenizer->vocab;
    size_t capacity = 1;
    for (uint32_t i = 0; i < n; i++) {
        if (ids[i] < 0 || (uint32_t)ids[i] >= vocab->n_tokens) {
            return jb_fail(JB_E_INVAL, "id %d (number %u) is outside the vocabulary of %u tokens",
                           ids[i], i, vocab->n_tokens);
        }
        const size_t piece = vocab->piece_sizes[ids[i]];
        capacity += piece < 5 ? 5 : piece;
    }
    char *text = malloc(capacity);
    if (text == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the text of %u tokens", n);
    }
    size_t size = 0;
    /* The space that encoding put in front of the text. */
    bool drops_space = tokenizer->spm != NULL && vocab->adds_space_prefix;
    for (uint32_t i = 0; i < n; i++) {
        if (vocab->types != NULL && vocab->types[ids[i]] == JB_TOKEN_CONTROL) {
            continue;
        }
        const size_t piece = tokenizer->spm != NULL ? jb_spm_text(vocab, ids[i], text + size)
                                                    : jb_bpe_text(vocab, ids[i], text + size);
        if (drops_space && piece > 0) {
            if (text[size] == ' ') {
                memmove(text + size, text + size + 1, piece - 1);
                size--;
            }
            drops_space = false;
        }
        size += piece;
    }
    text[size] = '\0';
    *ret_text = text;
    *ret_size = size;
    return JB_OK;
}
