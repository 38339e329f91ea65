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

/* The head's words in order; what is missing keeps its start value. */
static void read_head(struct book *book, char *line)
{
    long numbers[5] = {0, -1, -1, -1, 0}; /* kind, bos, eos, unk, flags */
    int n = 0;
    for (char *word = strtok(line, " "); word != NULL && n < 6; word = strtok(NULL, " "), n++) {
        if (n == 1) {
            (void)snprintf(book->pre, sizeof book->pre, "%s", word);
        } else {
            numbers[n < 1 ? n : n - 1] = strtol(word, NULL, 10);
        }
    }
    book->vocab.kind = numbers[0] == 1   ? JB_VOCAB_SPM
                       : numbers[0] == 2 ? JB_VOCAB_BPE
                                         : JB_VOCAB_NONE;
    book->vocab.bos_id = (int32_t)numbers[1];
    book->vocab.eos_id = (int32_t)numbers[2];
    book->vocab.unk_id = (int32_t)numbers[3];
    book->vocab.adds_bos = (numbers[4] & 1) != 0;
    book->vocab.adds_space_prefix = (numbers[4] & 2) != 0;
    book->vocab.pre = strcmp(book->pre, "-") == 0 ? NULL : book->pre;
}

static void read_line(struct book *book, const char *line, size_t size)
{
    if (line[0] == 'M' && size >= 2 && book->vocab.n_merges < MAX_LINES) {
        const uint32_t n = book->vocab.n_merges++;
        book->merges[n] = line + 2;
        book->merge_sizes[n] = (uint32_t)size - 2;
        return;
    }
    char *after_type = NULL, *after_score = NULL;
    const long type = strtol(line, &after_type, 10);
    const float score = strtof(after_type, &after_score);
    const size_t used = (size_t)(after_score - line);
    if (after_type != line && after_score != after_type && used < size &&
        book->vocab.n_tokens < MAX_LINES) {
        const uint32_t n = book->vocab.n_tokens++;
        book->types[n] = (uint8_t)type;
        book->scores[n] = score;
        book->pieces[n] = line + used + 1;
        book->sizes[n] = (uint32_t)(size - used - 1);
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
