/* SPDX-License-Identifier: MIT */
#ifndef JB_TOKENIZER_H
#define JB_TOKENIZER_H

/* Inside of the tokenizer, shared by its two kinds. Users include workload.h.
 *
 * Both kinds merge neighbouring symbols, best pair first, with a heap and a linked list: n symbols
 * cost O(n log n) look-ups whatever the text. They differ in what the first symbols are and in the
 * rule that says whether a pair merges and how good that is. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/workload/workload.h"

/* Token types of GGUF ("tokenizer.ggml.token_type"). */
enum jb_token_type {
    JB_TOKEN_NORMAL = 1,
    JB_TOKEN_UNKNOWN = 2,
    JB_TOKEN_CONTROL = 3,
    JB_TOKEN_USER = 4,
    JB_TOKEN_UNUSED = 5,
    JB_TOKEN_BYTE = 6
};

/* ---- pieces by their bytes ---- */

/* Open addressing over ids; empty places are -1. Holds no bytes of its own. */
struct jb_piece_map {
    const struct jb_vocab *vocab;
    int32_t *places; /* (mask + 1,) */
    size_t mask;
    uint32_t longest; /* bytes of the longest piece inside */
};
/* Takes the pieces whose type is in the set (bit t = type t); of equal pieces the first wins. */
enum jb_status jb_piece_map_build(const struct jb_vocab *vocab, unsigned type_set,
                                  struct jb_piece_map *ret_map) JB_MUST_CHECK;
void jb_piece_map_free(struct jb_piece_map *map);
/* -1 if there is none. */
int32_t jb_piece_map_find(const struct jb_piece_map *map, const char *bytes, size_t size);

/* ---- ids on their way out ---- */

struct jb_id_list {
    int32_t *ids;
    uint32_t n, capacity;
};
enum jb_status jb_id_list_add(struct jb_id_list *list, int32_t id) JB_MUST_CHECK;

/* ---- merging ---- */

#define JB_NO_SYMBOL UINT32_MAX

/* A run of bytes of the text; size 0 = swallowed by its left neighbour. */
struct jb_symbol {
    uint32_t start, size;
    uint32_t prev, next; /* JB_NO_SYMBOL at the ends */
    int32_t id;          /* token, or -1 if it is none yet */
};

struct jb_pair {
    double key; /* the smallest merges first, the leftmost among equals */
    uint32_t left, right, size;
    int32_t id; /* token of the two together */
};

/* Buffers that grow and are kept between texts. */
struct jb_merger {
    struct jb_symbol *symbols;
    uint32_t n_symbols, symbol_capacity;
    struct jb_pair *heap;
    size_t n_pairs, pair_capacity;
};
enum jb_status jb_merger_add(struct jb_merger *merger, uint32_t start, uint32_t size,
                             int32_t id) JB_MUST_CHECK;
void jb_merger_free(struct jb_merger *merger);

/* Says whether two neighbours merge: writes key and id and returns true. */
typedef bool jb_merge_rule(const void *ctx, const struct jb_symbol *left,
                           const struct jb_symbol *right, double *ret_key, int32_t *ret_id);
/* Merges the symbols added since n_symbols was set to 0. Afterwards walk them from 0 by `next`. */
enum jb_status jb_merger_run(struct jb_merger *merger, jb_merge_rule *rule,
                             const void *ctx) JB_MUST_CHECK;

/* ---- the two kinds ---- */

struct jb_spm;
enum jb_status jb_spm_create(const struct jb_vocab *vocab, struct jb_spm **ret_spm) JB_MUST_CHECK;
void jb_spm_free(struct jb_spm *spm);
/* Appends the ids of text, which holds no special tokens, with a space in front if adds_space. */
enum jb_status jb_spm_encode(struct jb_spm *spm, struct jb_merger *merger, const char *text,
                             size_t size, bool adds_space, struct jb_id_list *list) JB_MUST_CHECK;
/* Writes the text of a piece and returns its bytes; never more than the piece has, or 5. */
size_t jb_spm_text(const struct jb_vocab *vocab, int32_t id, char *ret_text);

struct jb_bpe;
enum jb_status jb_bpe_create(const struct jb_vocab *vocab, struct jb_bpe **ret_bpe) JB_MUST_CHECK;
void jb_bpe_free(struct jb_bpe *bpe);
enum jb_status jb_bpe_encode(struct jb_bpe *bpe, struct jb_merger *merger, const char *text,
                             size_t size, struct jb_id_list *list) JB_MUST_CHECK;
size_t jb_bpe_text(const struct jb_vocab *vocab, int32_t id, char *ret_text);

/* ---- UTF-8 ---- */

/* Bytes of the well-formed character (RFC 3629) at the start of text, 1..4; 0 if there is none. */
static inline uint32_t jb_utf8_size(const unsigned char *text, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const unsigned lead = text[0];
    if (lead < 0x80) {
        return 1;
    }
    const uint32_t n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || size < n) {
        return 0;
    }
    for (uint32_t i = 1; i < n; i++) {
        if ((text[i] & 0xc0u) != 0x80) {
            return 0;
        }
    }
    /* The second byte's range shuts out overlong forms, surrogates and what lies above U+10FFFF. */
    const unsigned second = text[1];
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
        (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f)) {
        return 0;
    }
    return n;
}

#endif
