/* SPDX-License-Identifier: MIT */
/* Byte-level BPE (GPT-2, llama 3, qwen, smollm): a regular expression cuts the text into words,
 * each byte of a word is a symbol, and the neighbours that stand highest in the merge list merge
 * first.
 * Source: A. Radford et al., "Language Models are Unsupervised Multitask Learners", 2019. The
 * expressions are those of the models' published tokenizer.json files. */
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <xxhash.h>

#include "bench/workload/tokenizer.h"

#define GPT2_WORDS                                                                                 \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define CL100K_WORDS(digits)                                                                       \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits                           \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* How "tokenizer.ggml.pre" cuts a text. */
struct pre_tokenizer {
    const char *name;
    const char *words;
    bool splits_digits;     /* first every digit (\p{N}) becomes a word of its own   */
    bool takes_whole_words; /* a word that is a token is that token, without merging */
};
static const struct pre_tokenizer pre_tokenizers[] = {
    {.name = "default", .words = GPT2_WORDS},
    {.name = "gpt-2", .words = GPT2_WORDS},
    {.name = "smollm", .words = GPT2_WORDS, .splits_digits = true},
    {.name = "llama-bpe", .words = CL100K_WORDS("\\p{N}{1,3}"), .takes_whole_words = true},
    {.name = "qwen2", .words = CL100K_WORDS("\\p{N}")},
};

struct merge {
    int32_t left, right; /* left < 0 = empty place */
    int32_t id;
    uint32_t rank;
};

struct jb_bpe {
    const struct jb_vocab *vocab;
    const struct pre_tokenizer *pre;
    struct jb_piece_map map; /* pieces as they are stored: in GPT-2's alphabet */
    struct merge *merges;    /* open addressing */
    size_t merge_mask;
    int32_t byte_ids[256]; /* -1 = no token */
    pcre2_code *words, *digits;
    pcre2_match_data *match;
    pcre2_match_context *context;
    char *mapped; /* one word in GPT-2's alphabet */
    size_t mapped_capacity;
};

/* GPT-2's alphabet: printable Latin-1 stands for itself, the other 68 bytes, in order, for the
 * characters from U+0100 on. */
static uint32_t byte_to_char(unsigned byte)
{
    if ((byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad)) {
        return byte;
    }
    return 0x100 + (byte <= 0x20 ? byte : byte <= 0xa0 ? byte - 0x7f + 0x21 : 0x43);
}

/* The byte a character stands for; -1 if it is outside the alphabet. */
static int char_to_byte(uint32_t c)
{
    if (c < 0x100) {
        return byte_to_char(c) == c ? (int)c : -1;
    }
    const uint32_t n = c - 0x100;
    return n <= 0x20 ? (int)n : n <= 0x42 ? (int)(n - 0x21 + 0x7f) : n == 0x43 ? 0xad : -1;
}

/* Every character of the alphabet takes one or two bytes of UTF-8. */
static size_t put_char(uint32_t c, char *ret_text)
{
    if (c < 0x80) {
        ret_text[0] = (char)c;
        return 1;
    }
    ret_text[0] = (char)(0xc0 | c >> 6);
    ret_text[1] = (char)(0x80 | (c & 0x3f));
    return 2;
}

static uint64_t merge_hash(int32_t left, int32_t right)
{
    const int32_t pair[2] = {left, right};
    return XXH3_64bits(pair, sizeof pair);
}

static const struct merge *find_merge(const struct jb_bpe *bpe, int32_t left, int32_t right)
{
    size_t place = merge_hash(left, right) & bpe->merge_mask;
    for (; bpe->merges[place].left >= 0; place = (place + 1) & bpe->merge_mask) {
        if (bpe->merges[place].left == left && bpe->merges[place].right == right) {
            return &bpe->merges[place];
        }
    }
    return NULL;
}

/* Turns "left right" into ids. */
static enum jb_status read_merge(struct jb_bpe *bpe, uint32_t rank, struct merge *ret_merge)
{
    const char *text = bpe->vocab->merges[rank];
    const size_t size = bpe->vocab->merge_sizes[rank];
    /* A piece has at least one character, so a first space belongs to it. */
    const char *space = size < 3 ? NULL : memchr(text + 1, ' ', size - 2);
    if (space == NULL) {
        return jb_fail(JB_E_FORMAT, "merge %u of the vocabulary is not \"LEFT RIGHT\"", rank);
    }
    const size_t left = (size_t)(space - text), right = size - left - 1;
    if (size - 1 > bpe->mapped_capacity) {
        char *mapped = realloc(bpe->mapped, size);
        if (mapped == NULL) {
            return jb_fail(JB_E_NOMEM, "no memory for merge %u", rank);
        }
        bpe->mapped = mapped;
        bpe->mapped_capacity = size;
    }
    memcpy(bpe->mapped, text, left);
    memcpy(bpe->mapped + left, space + 1, right);
    const struct merge merge = {.left = jb_piece_map_find(&bpe->map, text, left),
                                .right = jb_piece_map_find(&bpe->map, space + 1, right),
                                .id = jb_piece_map_find(&bpe->map, bpe->mapped, size - 1),
                                .rank = rank};
    if (merge.left < 0 || merge.right < 0 || merge.id < 0) {
        return jb_fail(JB_E_FORMAT, "merge %u names a piece that the vocabulary lacks: '%.*s'",
                       rank, size > 64 ? 64 : (int)size, text);
    }
    *ret_merge = merge;
    return JB_OK;
}

static enum jb_status build_merges(struct jb_bpe *bpe)
{
    size_t n_places = 16;
    while (n_places < (size_t)bpe->vocab->n_merges * 2) {
        n_places *= 2;
    }
    bpe->merges = malloc(n_places * sizeof *bpe->merges);
    if (bpe->merges == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for %u merges", bpe->vocab->n_merges);
    }
    bpe->merge_mask = n_places - 1;
    memset(bpe->merges, 0xff, n_places * sizeof *bpe->merges);
    for (uint32_t rank = 0; rank < bpe->vocab->n_merges; rank++) {
        struct merge merge = {0};
        const enum jb_status status = read_merge(bpe, rank, &merge);
        if (status != JB_OK) {
            return status;
        }
        if (find_merge(bpe, merge.left, merge.right) != NULL) {
            continue;
        }
        size_t place = merge_hash(merge.left, merge.right) & bpe->merge_mask;
        while (bpe->merges[place].left >= 0) {
            place = (place + 1) & bpe->merge_mask;
        }
        bpe->merges[place] = merge;
    }
    return JB_OK;
}

static enum jb_status compile(const char *pattern, pcre2_code **ret_code)
{
    int error = 0;
    PCRE2_SIZE offset = 0;
    /* UCP: \s is Unicode's white space, as in the libraries that the models were made with. */
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                     PCRE2_UTF | PCRE2_UCP, &error, &offset, NULL);
    if (code == NULL) {
        PCRE2_UCHAR message[128];
        (void)pcre2_get_error_message(error, message, sizeof message);
        return jb_fail(error == PCRE2_ERROR_NOMEMORY ? JB_E_NOMEM : JB_E_NOTSUP,
                       "PCRE2 refuses a pre-tokenizer at its character %zu: %s", offset,
                       (const char *)message);
    }
    /* Without the just-in-time compiler matching still works, only slower. */
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    *ret_code = code;
    return JB_OK;
}

static enum jb_status prepare(struct jb_bpe *bpe)
{
    enum jb_status status = jb_piece_map_build(bpe->vocab,
                                               1u << JB_TOKEN_NORMAL | 1u << JB_TOKEN_USER |
                                                   1u << JB_TOKEN_UNUSED | 1u << JB_TOKEN_BYTE,
                                               &bpe->map);
    if (status == JB_OK) {
        status = build_merges(bpe);
    }
    if (status == JB_OK) {
        status = compile(bpe->pre->words, &bpe->words);
    }
    if (status == JB_OK && bpe->pre->splits_digits) {
        status = compile("\\p{N}", &bpe->digits);
    }
    if (status != JB_OK) {
        return status;
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        char piece[2];
        const size_t size = put_char(byte_to_char(byte), piece);
        bpe->byte_ids[byte] = jb_piece_map_find(&bpe->map, piece, size);
    }
    bpe->match = pcre2_match_data_create(1, NULL);
    bpe->context = pcre2_match_context_create(NULL);
    if (bpe->match == NULL || bpe->context == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for a pre-tokenizer");
    }
    /* The expressions backtrack at most once a character; the default limit would cut a text that
     * has ten million of white space in a row. */
    (void)pcre2_set_match_limit(bpe->context, UINT32_MAX);
    return JB_OK;
}

enum jb_status jb_bpe_create(const struct jb_vocab *vocab, struct jb_bpe **ret_bpe)
{
    const char *name = vocab->pre == NULL ? "default" : vocab->pre;
    const struct pre_tokenizer *pre = NULL;
    for (size_t i = 0; i < sizeof pre_tokenizers / sizeof pre_tokenizers[0]; i++) {
        pre = strcmp(name, pre_tokenizers[i].name) == 0 ? &pre_tokenizers[i] : pre;
    }
    if (pre == NULL) {
        return jb_fail(JB_E_NOTSUP,
                       "no pre-tokenizer '%.64s' (have: default gpt-2 smollm llama-bpe qwen2); "
                       "give ids instead of text",
                       name);
    }
    struct jb_bpe *bpe = calloc(1, sizeof *bpe);
    if (bpe == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for a tokenizer");
    }
    bpe->vocab = vocab;
    bpe->pre = pre;
    const enum jb_status status = prepare(bpe);
    if (status != JB_OK) {
        jb_bpe_free(bpe);
        return status;
    }
    *ret_bpe = bpe;
    return JB_OK;
}

void jb_bpe_free(struct jb_bpe *bpe)
{
    if (bpe != NULL) {
        jb_piece_map_free(&bpe->map);
        free(bpe->merges);
        free(bpe->mapped);
        pcre2_code_free(bpe->words);
        pcre2_code_free(bpe->digits);
        pcre2_match_data_free(bpe->match);
        pcre2_match_context_free(bpe->context);
        free(bpe);
    }
}

static bool merge_rule(const void *ctx, const struct jb_symbol *left, const struct jb_symbol *right,
                       double *ret_key, int32_t *ret_id)
{
    if (left->id < 0 || right->id < 0) {
        return false;
    }
    const struct merge *merge = find_merge(ctx, left->id, right->id);
    if (merge == NULL) {
        return false;
    }
    *ret_key = merge->rank;
    *ret_id = merge->id;
    return true;
}

/* The token that is this whole word; -1 if there is none or no memory to look. */
static int32_t find_word(struct jb_bpe *bpe, const char *word, size_t size)
{
    if (size > bpe->map.longest) {
        return -1;
    }
    if (size * 2 > bpe->mapped_capacity) {
        char *mapped = realloc(bpe->mapped, size * 2);
        if (mapped == NULL) {
            return -1;
        }
        bpe->mapped = mapped;
        bpe->mapped_capacity = size * 2;
    }
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        n += put_char(byte_to_char((unsigned char)word[i]), bpe->mapped + n);
    }
    return jb_piece_map_find(&bpe->map, bpe->mapped, n);
}

static enum jb_status encode_word(struct jb_bpe *bpe, struct jb_merger *merger, const char *word,
                                  size_t size, struct jb_id_list *list)
{
    if (bpe->pre->takes_whole_words) {
        const int32_t id = find_word(bpe, word, size);
        if (id >= 0) {
            return jb_id_list_add(list, id);
        }
    }
    enum jb_status status = JB_OK;
    merger->n_symbols = 0;
    for (size_t i = 0; i < size && status == JB_OK; i++) {
        status = jb_merger_add(merger, (uint32_t)i, 1, bpe->byte_ids[(unsigned char)word[i]]);
    }
    if (status == JB_OK) {
        status = jb_merger_run(merger, merge_rule, bpe);
    }
    for (uint32_t i = 0; i != JB_NO_SYMBOL && status == JB_OK; i = merger->symbols[i].next) {
        int32_t id = merger->symbols[i].id;
        if (id < 0) {
            id = bpe->vocab->unk_id;
        }
        status = id >= 0 ? jb_id_list_add(list, id)
                         : jb_fail(JB_E_FORMAT,
                                   "byte 0x%02X of the text has no token, and the vocabulary has "
                                   "no unknown token to stand for it",
                                   (unsigned char)word[merger->symbols[i].start]);
    }
    return status;
}

/* Calls for each match of code in text and for each stretch between two of them. */
typedef enum jb_status part_fn(struct jb_bpe *bpe, struct jb_merger *merger, const char *text,
                               size_t size, struct jb_id_list *list);

static enum jb_status for_parts(struct jb_bpe *bpe, const pcre2_code *code,
                                struct jb_merger *merger, const char *text, size_t size,
                                part_fn *between, part_fn *inside, struct jb_id_list *list)
{
    enum jb_status status = JB_OK;
    size_t done = 0;
    while (done < size && status == JB_OK) {
        /* The text is known to be well-formed; checking it again at each match would be quadratic.
         */
        const int rc = pcre2_match(code, (PCRE2_SPTR)text, size, done, PCRE2_NO_UTF_CHECK,
                                   bpe->match, bpe->context);
        if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
            return jb_fail(JB_E_NOMEM, "PCRE2 gives up on the text at byte %zu (error %d)", done,
                           rc);
        }
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(bpe->match);
        const size_t begin = rc < 0 ? size : at[0], end = rc < 0 ? size : at[1];
        if (begin > done) {
            status = between(bpe, merger, text + done, begin - done, list);
        }
        if (status == JB_OK && end > begin) {
            status = inside(bpe, merger, text + begin, end - begin, list);
        }
        done = end;
    }
    return status;
}

static enum jb_status encode_words(struct jb_bpe *bpe, struct jb_merger *merger, const char *text,
                                   size_t size, struct jb_id_list *list)
{
    return for_parts(bpe, bpe->words, merger, text, size, encode_word, encode_word, list);
}

static enum jb_status encode_valid(struct jb_bpe *bpe, struct jb_merger *merger, const char *text,
                                   size_t size, struct jb_id_list *list)
{
    if (bpe->digits == NULL) {
        return encode_words(bpe, merger, text, size, list);
    }
    return for_parts(bpe, bpe->digits, merger, text, size, encode_words, encode_word, list);
}

enum jb_status jb_bpe_encode(struct jb_bpe *bpe, struct jb_merger *merger, const char *text,
                             size_t size, struct jb_id_list *list)
{
    enum jb_status status = JB_OK;
    for (size_t at = 0; at < size && status == JB_OK;) {
        const unsigned char *bytes = (const unsigned char *)text;
        size_t end = at;
        for (uint32_t n; (n = jb_utf8_size(bytes + end, size - end)) > 0;) {
            end += n;
        }
        if (end > at) {
            status = encode_valid(bpe, merger, text + at, end - at, list);
            at = end;
        }
        while (end < size && jb_utf8_size(bytes + end, size - end) == 0) {
            end++;
        }
        if (end > at && status == JB_OK) {
            status = encode_word(bpe, merger, text + at, end - at, list);
            at = end;
        }
    }
    return status;
}

size_t jb_bpe_text(const struct jb_vocab *vocab, int32_t id, char *ret_text)
{
    const unsigned char *piece = (const unsigned char *)vocab->pieces[id];
    const size_t size = vocab->piece_sizes[id];
    const bool is_literal = vocab->types != NULL && vocab->types[id] == JB_TOKEN_USER;
    size_t at = 0;
    for (size_t i = 0; i < size;) {
        uint32_t n = jb_utf8_size(piece + i, size - i);
        const uint32_t c = n == 1   ? piece[i]
                           : n == 2 ? (piece[i] & 0x1fu) << 6 | (piece[i + 1] & 0x3fu)
                                    : UINT32_MAX;
        const int byte = is_literal ? -1 : char_to_byte(c);
        n = n == 0 ? 1 : n;
        if (byte >= 0) {
            ret_text[at++] = (char)byte;
        } else {
            memcpy(ret_text + at, piece + i, n);
            at += n;
        }
        i += n;
    }
    return at;
}
