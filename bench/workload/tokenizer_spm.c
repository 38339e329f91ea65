/* SPDX-License-Identifier: MIT */
/* SentencePiece-style BPE (llama, mistral): a space is written U+2581, one is put in front, the
 * neighbours whose piece has the highest score merge first, and what is no piece in the end falls
 * back to the tokens of its bytes.
 * Source: T. Kudo, J. Richardson, "SentencePiece", EMNLP 2018, and the format's own description. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/workload/tokenizer.h"

#define SPACE_MARK "\xe2\x96\x81"
#define UNKNOWN_MARK " \xe2\x81\x87 "

struct jb_spm {
    const struct jb_vocab *vocab;
    struct jb_piece_map map;
    int32_t byte_ids[256]; /* -1 = no token */
    char *buffer;          /* the text with its spaces marked */
    size_t buffer_capacity;
};

/* Value of a byte token's piece, "<0x0A>"; -1 if it is not written so. */
static int byte_value(const char *piece, size_t size)
{
    if (size != 6 || memcmp(piece, "<0x", 3) != 0 || piece[5] != '>') {
        return -1;
    }
    int value = 0;
    for (int i = 3; i < 5; i++) {
        const char c = piece[i];
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                                 : -1;
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

enum jb_status jb_spm_create(const struct jb_vocab *vocab, struct jb_spm **ret_spm)
{
    if (vocab->scores == NULL || vocab->types == NULL) {
        return jb_fail(JB_E_FORMAT, "the vocabulary lacks %s, which SentencePiece merging needs",
                       vocab->scores == NULL ? "scores" : "token types");
    }
    struct jb_spm *spm = calloc(1, sizeof *spm);
    if (spm == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for a tokenizer");
    }
    /* Control, unknown and byte tokens are never made by merging: "<s>" in a text is text. */
    const enum jb_status status = jb_piece_map_build(
        vocab, 1u << JB_TOKEN_NORMAL | 1u << JB_TOKEN_USER | 1u << JB_TOKEN_UNUSED, &spm->map);
    if (status != JB_OK) {
        free(spm);
        return status;
    }
    spm->vocab = vocab;
    memset(spm->byte_ids, 0xff, sizeof spm->byte_ids);
    for (uint32_t id = 0; id < vocab->n_tokens; id++) {
        const int value = vocab->types[id] == JB_TOKEN_BYTE
                              ? byte_value(vocab->pieces[id], vocab->piece_sizes[id])
                              : -1;
        if (value >= 0) {
            spm->byte_ids[value] = (int32_t)id;
        }
    }
    *ret_spm = spm;
    return JB_OK;
}

void jb_spm_free(struct jb_spm *spm)
{
    if (spm != NULL) {
        jb_piece_map_free(&spm->map);
        free(spm->buffer);
        free(spm);
    }
}

static bool merge_rule(const void *ctx, const struct jb_symbol *left, const struct jb_symbol *right,
                       double *ret_key, int32_t *ret_id)
{
    const struct jb_spm *spm = ctx;
    const int32_t id =
        jb_piece_map_find(&spm->map, spm->buffer + left->start, (size_t)left->size + right->size);
    if (id < 0) {
        return false;
    }
    const float score = spm->vocab->scores[id];
    *ret_key = isnan(score) ? (double)INFINITY : -(double)score;
    *ret_id = id;
    return true;
}

/* Fills the buffer; false if there is no memory. */
static bool mark_spaces(struct jb_spm *spm, const char *text, size_t size, bool adds_space,
                        size_t *ret_size)
{
    const size_t needed = (size + 1) * (sizeof SPACE_MARK - 1);
    if (needed > spm->buffer_capacity) {
        char *buffer = realloc(spm->buffer, needed);
        if (buffer == NULL) {
            return false;
        }
        spm->buffer = buffer;
        spm->buffer_capacity = needed;
    }
    size_t at = 0;
    if (adds_space) {
        memcpy(spm->buffer, SPACE_MARK, sizeof SPACE_MARK - 1);
        at = sizeof SPACE_MARK - 1;
    }
    for (size_t i = 0; i < size; i++) {
        if (text[i] == ' ') {
            memcpy(spm->buffer + at, SPACE_MARK, sizeof SPACE_MARK - 1);
            at += sizeof SPACE_MARK - 1;
        } else {
            spm->buffer[at++] = text[i];
        }
    }
    *ret_size = at;
    return true;
}

static enum jb_status add_bytes(const struct jb_spm *spm, const struct jb_symbol *symbol,
                                struct jb_id_list *list)
{
    enum jb_status status = JB_OK;
    for (uint32_t i = 0; i < symbol->size && status == JB_OK; i++) {
        const unsigned char byte = (unsigned char)spm->buffer[symbol->start + i];
        const int32_t id = spm->byte_ids[byte];
        if (id >= 0) {
            status = jb_id_list_add(list, id);
        } else if (spm->vocab->unk_id < 0) {
            status = jb_fail(JB_E_FORMAT,
                             "byte 0x%02X of the text has no token, and the vocabulary has no "
                             "unknown token to stand for it",
                             byte);
        } else if (i == 0) {
            status = jb_id_list_add(list, spm->vocab->unk_id);
        }
    }
    return status;
}

enum jb_status jb_spm_encode(struct jb_spm *spm, struct jb_merger *merger, const char *text,
                             size_t size, bool adds_space, struct jb_id_list *list)
{
    size_t n = 0;
    if (!mark_spaces(spm, text, size, adds_space, &n)) {
        return jb_fail(JB_E_NOMEM, "no memory to tokenize %zu bytes", size);
    }
    merger->n_symbols = 0;
    enum jb_status status = JB_OK;
    for (size_t at = 0; at < n && status == JB_OK;) {
        uint32_t length = jb_utf8_size((const unsigned char *)spm->buffer + at, n - at);
        length = length == 0 ? 1 : length;
        const int32_t id = jb_piece_map_find(&spm->map, spm->buffer + at, length);
        status = jb_merger_add(merger, (uint32_t)at, length, id);
        at += length;
    }
    if (status == JB_OK) {
        status = jb_merger_run(merger, merge_rule, spm);
    }
    for (uint32_t i = merger->n_symbols == 0 ? JB_NO_SYMBOL : 0;
         i != JB_NO_SYMBOL && status == JB_OK; i = merger->symbols[i].next) {
        const struct jb_symbol *symbol = &merger->symbols[i];
        status = symbol->id >= 0 ? jb_id_list_add(list, symbol->id) : add_bytes(spm, symbol, list);
    }
    return status;
}

size_t jb_spm_text(const struct jb_vocab *vocab, int32_t id, char *ret_text)
{
    const char *piece = vocab->pieces[id];
    const size_t size = vocab->piece_sizes[id];
    const size_t mark = sizeof SPACE_MARK - 1;
    if (vocab->types[id] == JB_TOKEN_UNKNOWN) {
        memcpy(ret_text, UNKNOWN_MARK, sizeof UNKNOWN_MARK - 1);
        return sizeof UNKNOWN_MARK - 1;
    }
    const int value = vocab->types[id] == JB_TOKEN_BYTE ? byte_value(piece, size) : -1;
    if (value >= 0) {
        ret_text[0] = (char)value;
        return 1;
    }
    size_t at = 0;
    for (size_t i = 0; i < size;) {
        if (size - i >= mark && memcmp(piece + i, SPACE_MARK, mark) == 0) {
            ret_text[at++] = ' ';
            i += mark;
        } else {
            ret_text[at++] = piece[i++];
        }
    }
    return at;
}
