/* SPDX-License-Identifier: MIT */
/* Tokenizers over any vocabulary that the model reader may hand out, and any text.
 *
 * Input: a line "KIND PRE BOS EOS UNK FLAGS", then lines "TYPE SCORE PIECE" (and "M LEFT RIGHT" for
 * merges) until an empty one; the rest is the text. Lines that are none of these are skipped. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/workload/workload.h"
#include "tests/fuzz/target.h"

enum { MAX_LINES = 2048 };

struct book {
    struct jb_vocab vocab;
    const char *pieces[MAX_LINES], *merges[MAX_LINES];
    uint32_t sizes[MAX_LINES], merge_sizes[MAX_LINES];
    float scores[MAX_LINES];
    uint8_t types[MAX_LINES];
    char pre[16];
};

static void read_head(struct book *book, const char *line)
{
    int kind = 0, bos = -1, eos = -1, unk = -1;
    unsigned flags = 0;
    (void)sscanf(line, "%d %15s %d %d %d %u", &kind, book->pre, &bos, &eos, &unk, &flags);
    book->vocab.kind = kind == 1 ? JB_VOCAB_SPM : kind == 2 ? JB_VOCAB_BPE : JB_VOCAB_NONE;
    book->vocab.bos_id = bos;
    book->vocab.eos_id = eos;
    book->vocab.unk_id = unk;
    book->vocab.adds_bos = (flags & 1u) != 0;
    book->vocab.adds_space_prefix = (flags & 2u) != 0;
    book->vocab.pre = strcmp(book->pre, "-") == 0 ? NULL : book->pre;
}

static void read_line(struct book *book, const char *line, size_t size)
{
    int type = 0, used = 0;
    float score = 0;
    if (line[0] == 'M' && size >= 2 && book->vocab.n_merges < MAX_LINES) {
        const uint32_t n = book->vocab.n_merges++;
        book->merges[n] = line + 2;
        book->merge_sizes[n] = (uint32_t)size - 2;
    } else if (book->vocab.n_tokens < MAX_LINES &&
               sscanf(line, "%d %f%n", &type, &score, &used) == 2 && (size_t)used < size) {
        const uint32_t n = book->vocab.n_tokens++;
        book->types[n] = (uint8_t)type;
        book->scores[n] = score;
        book->pieces[n] = line + used + 1;
        book->sizes[n] = (uint32_t)(size - (size_t)used - 1);
    }
}

static enum jb_status use(const struct jb_vocab *vocab, const char *text, size_t size)
{
    struct jb_tokenizer *tokenizer = NULL;
    enum jb_status status = jb_tokenizer_create(vocab, &tokenizer);
    for (int parses_special = 0; parses_special < 2 && status == JB_OK; parses_special++) {
        int32_t *ids = NULL;
        uint32_t n = 0;
        char *back = NULL;
        size_t back_size = 0;
        status = jb_tokenizer_encode(tokenizer, text, size, true, parses_special == 1, &ids, &n);
        if (status == JB_OK) {
            status = jb_tokenizer_decode(tokenizer, ids, n, &back, &back_size);
            free(ids);
            free(back);
        }
    }
    jb_tokenizer_free(tokenizer);
    return status;
}

static enum jb_status run(const uint8_t *data, size_t size)
{
    struct book *book = calloc(1, sizeof *book);
    char *copy = malloc(size + 1);
    if (book == NULL || copy == NULL) {
        abort();
    }
    memcpy(copy, data, size);
    copy[size] = '\0';
    book->vocab.pieces = book->pieces;
    book->vocab.piece_sizes = book->sizes;
    book->vocab.scores = book->scores;
    book->vocab.types = book->types;
    book->vocab.merges = book->merges;
    book->vocab.merge_sizes = book->merge_sizes;
    size_t at = 0;
    for (uint32_t line = 0; at < size; line++) {
        char *end = memchr(copy + at, '\n', size - at);
        const size_t length = end == NULL ? size - at : (size_t)(end - copy) - at;
        copy[at + length] = '\0';
        if (line == 0) {
            read_head(book, copy + at);
        } else {
            read_line(book, copy + at, length);
        }
        at += length + 1;
        if (length == 0) {
            break;
        }
    }
    const char *text = at < size ? copy + at : "";
    const enum jb_status status = use(&book->vocab, text, at < size ? size - at : 0);
    free(copy);
    free(book);
    return status;
}

const struct jb_fuzz_target jb_fuzz_tokenizer = {
    .name = "tokenizer", .form = JB_FUZZ_TEXT, .weight = 12, .run = run};
