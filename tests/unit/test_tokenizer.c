/* SPDX-License-Identifier: MIT */
/* Both tokenizers on vocabularies that the test makes: a small SentencePiece-style one, and
 * byte-level BPE with merges worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/workload/workload.h"
#include "platforms/base/rng.h"

#define MAX_PIECES 1024

/* A vocabulary under construction. */
struct book {
    struct jb_vocab vocab;
    const char *pieces[MAX_PIECES];
    uint32_t sizes[MAX_PIECES];
    float scores[MAX_PIECES];
    uint8_t types[MAX_PIECES];
    const char *merges[MAX_PIECES];
    uint32_t merge_sizes[MAX_PIECES];
    char bytes[16384];
    size_t used;
};

static int32_t add_piece(struct book *book, const char *piece, size_t size, float score,
                         uint8_t type)
{
    const uint32_t id = book->vocab.n_tokens++;
    assert_true(id < MAX_PIECES && book->used + size <= sizeof book->bytes);
    memcpy(book->bytes + book->used, piece, size);
    book->pieces[id] = book->bytes + book->used;
    book->used += size;
    book->sizes[id] = (uint32_t)size;
    book->scores[id] = score;
    book->types[id] = type;
    return (int32_t)id;
}

static int32_t add_text(struct book *book, const char *piece, float score, uint8_t type)
{
    return add_piece(book, piece, strlen(piece), score, type);
}

static void add_merge(struct book *book, const char *merge)
{
    const uint32_t n = book->vocab.n_merges++;
    book->merges[n] = merge;
    book->merge_sizes[n] = (uint32_t)strlen(merge);
}

static struct book *book_new(int kind)
{
    struct book *book = calloc(1, sizeof *book);
    assert_non_null(book);
    book->vocab.kind = kind == 0 ? JB_VOCAB_SPM : JB_VOCAB_BPE;
    book->vocab.pieces = book->pieces;
    book->vocab.piece_sizes = book->sizes;
    book->vocab.scores = book->scores;
    book->vocab.types = book->types;
    book->vocab.merges = book->merges;
    book->vocab.merge_sizes = book->merge_sizes;
    book->vocab.bos_id = book->vocab.eos_id = book->vocab.unk_id = -1;
    return book;
}

static void expect_ids(struct jb_tokenizer *tokenizer, const char *text, size_t size, bool special,
                       const int32_t *expected, uint32_t n_expected)
{
    int32_t *ids = NULL;
    uint32_t n = 0;
    assert_int_equal(jb_tokenizer_encode(tokenizer, text, size, true, special, &ids, &n), JB_OK);
    if (n != n_expected || memcmp(ids, expected, n * sizeof *ids) != 0) {
        for (uint32_t i = 0; i < n; i++) {
            (void)fprintf(stderr, "%d ", ids[i]);
        }
        fail_msg("'%s': %u ids, %u expected", text, n, n_expected);
    }
    free(ids);
}
#define EXPECT(tokenizer, text, special, ...)                                                      \
    do {                                                                                           \
        const int32_t expected_[] = {__VA_ARGS__};                                                 \
        expect_ids(tokenizer, text, sizeof text - 1, special, expected_,                           \
                   sizeof expected_ / sizeof expected_[0]);                                        \
    } while (0)

static void expect_round_trip(struct jb_tokenizer *tokenizer, const char *text, size_t size)
{
    int32_t *ids = NULL;
    uint32_t n = 0;
    char *back = NULL;
    size_t back_size = 0;
    assert_int_equal(jb_tokenizer_encode(tokenizer, text, size, true, false, &ids, &n), JB_OK);
    assert_int_equal(jb_tokenizer_decode(tokenizer, ids, n, &back, &back_size), JB_OK);
    assert_int_equal(back_size, size);
    assert_memory_equal(back, text, size);
    assert_int_equal(back[size], 0);
    free(ids);
    free(back);
}

static void add_bytes(struct book *book)
{
    for (int byte = 0; byte < 256; byte++) {
        char piece[16];
        (void)snprintf(piece, sizeof piece, "<0x%02X>", byte);
        (void)add_text(book, piece, 0, 6);
    }
}

#define MARK "\xe2\x96\x81"
#define MARK_A "\xe2\x96\x81\x61"

/* unk bos eos, bytes from 3, then pieces from 259. */
static struct book *spm_book(void)
{
    struct book *book = book_new(0);
    (void)add_text(book, "<unk>", 0, 2);
    (void)add_text(book, "<s>", 0, 3);
    (void)add_text(book, "</s>", 0, 3);
    add_bytes(book);
    const char *const pieces[] = {MARK,  "a", "b", "c", "ab", "bc",      MARK_A,
                                  "abc", "<", "s", ">", "<s", "\xc3\xa9"};
    const float scores[] = {-90, -91, -92, -93, -2, -1, -3, -4, -94, -95, -96, -5, -97};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        (void)add_text(book, pieces[i], scores[i], 1);
    }
    book->vocab.unk_id = 0;
    book->vocab.bos_id = 1;
    book->vocab.eos_id = 2;
    book->vocab.adds_bos = book->vocab.adds_space_prefix = true;
    return book;
}

static void test_spm_merges_best_score_first(void **state)
{
    (void)state;
    struct book *book = spm_book();
    struct jb_tokenizer *tokenizer = NULL;
    assert_int_equal(jb_tokenizer_create(&book->vocab, &tokenizer), JB_OK);
    EXPECT(tokenizer, "", false, 1);
    /* _ a b c: "bc" (-1) goes before "ab" (-2), then "_a" (-3); "abc" can no longer be made. */
    EXPECT(tokenizer, "abc", false, 1, 265, 264);
    /* _ a b: "ab" (-2) wins over "_a" (-3). */
    EXPECT(tokenizer, "ab", false, 1, 259, 263);
    EXPECT(tokenizer, "a  a", false, 1, 265, 259, 265);
    /* U+00E9 is a piece; U+00EA falls back to its bytes, 0xC3 = 3 + 195. */
    EXPECT(tokenizer, "\xc3\xa9\xc3\xaa", false, 1, 259, 271, 198, 173);
    EXPECT(tokenizer, "\n", false, 1, 259, 13);
    jb_tokenizer_free(tokenizer);
    book->vocab.adds_space_prefix = false;
    assert_int_equal(jb_tokenizer_create(&book->vocab, &tokenizer), JB_OK);
    EXPECT(tokenizer, "abc", false, 1, 266);
    jb_tokenizer_free(tokenizer);
    free(book);
}

static void test_spm_special_tokens_only_on_demand(void **state)
{
    (void)state;
    struct book *book = spm_book();
    struct jb_tokenizer *tokenizer = NULL;
    assert_int_equal(jb_tokenizer_create(&book->vocab, &tokenizer), JB_OK);
    EXPECT(tokenizer, "<s>", false, 1, 259, 270, 269);
    EXPECT(tokenizer, "<s>", true, 1, 1);
    EXPECT(tokenizer, "b</s>c", true, 1, 259, 261, 2, 259, 262);
    EXPECT(tokenizer, "</s", true, 1, 259, 267, 50, 268);
    jb_tokenizer_free(tokenizer);
    free(book);
}

static void test_user_tokens_are_always_found_longest_first(void **state)
{
    (void)state;
    struct book *book = spm_book();
    const int32_t dots = add_text(book, "..", 0, 4), more = add_text(book, "...", 0, 4);
    struct jb_tokenizer *tokenizer = NULL;
    assert_int_equal(jb_tokenizer_create(&book->vocab, &tokenizer), JB_OK);
    EXPECT(tokenizer, "..", false, 1, 259, dots);
    EXPECT(tokenizer, ".....", false, 1, 259, more, dots);
    EXPECT(tokenizer, "a..a", false, 1, 265, dots, 260);
    expect_round_trip(tokenizer, "...ab", 5);
    jb_tokenizer_free(tokenizer);
    free(book);
}

static void test_missing_bytes_become_unknown_or_are_refused(void **state)
{
    (void)state;
    struct book *book = book_new(0);
    (void)add_text(book, "<unk>", 0, 2);
    (void)add_text(book, "a", 0, 1);
    book->vocab.unk_id = 0;
    struct jb_tokenizer *tokenizer = NULL;
    assert_int_equal(jb_tokenizer_create(&book->vocab, &tokenizer), JB_OK);
    EXPECT(tokenizer,
           "a\xe4\xb8\x96"
           "a",
           false, 1, 0, 1);
    const int32_t ids[] = {1, 0};
    char *text = NULL;
    size_t size = 0;
    assert_int_equal(jb_tokenizer_decode(tokenizer, ids, 2, &text, &size), JB_OK);
    assert_string_equal(text, "a \xe2\x81\x87 ");
    free(text);
    book->vocab.unk_id = -1;
    int32_t *out = NULL;
    uint32_t n = 0;
    assert_int_equal(jb_tokenizer_encode(tokenizer, "z", 1, true, false, &out, &n), JB_E_FORMAT);
    assert_non_null(strstr(jb_reason(), "0x7A"));
    assert_null(out);
    jb_tokenizer_free(tokenizer);
    free(book);
}

/* GPT-2's alphabet, written independently of the code: the list of OpenAI's bytes_to_unicode. */
static void alphabet(char ret_chars[256][4])
{
    uint32_t next = 256;
    for (uint32_t byte = 0; byte < 256; byte++) {
        const bool is_plain =
            (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae);
        const uint32_t c = is_plain ? byte : next++;
        if (c < 0x80) {
            (void)snprintf(ret_chars[byte], 4, "%c", (int)c);
        } else {
            (void)snprintf(ret_chars[byte], 4, "%c%c", (int)(0xc0 | c >> 6),
                           (int)(0x80 | (c & 63)));
        }
    }
}

/* Byte b has id b; merges and what they make follow from 256 on. C4 A0 is U+0120, the space in
 * GPT-2's alphabet. */
static struct book *bpe_book(const char *pre)
{
    struct book *book = book_new(1);
    char chars[256][4];
    alphabet(chars);
    for (int byte = 0; byte < 256; byte++) {
        (void)add_text(book, chars[byte], 0, 1);
    }
    const char *const merges[] = {"b c",
                                  "a b",
                                  "\xc4\xa0 a",
                                  "ab c",
                                  "a bc",
                                  "1 2",
                                  "\xc4\xa0 \xc4\xa0",
                                  "' s",
                                  "\xc3\x83 \xc2\xa9",
                                  "12 3",
                                  "1 23"};
    const char *const made[] = {"bc",
                                "ab",
                                "\xc4\xa0\x61",
                                "abc",
                                "abc",
                                "12",
                                "\xc4\xa0\xc4\xa0",
                                "'s",
                                "\xc3\x83\xc2\xa9",
                                "123",
                                "123"};
    for (size_t i = 0; i < sizeof merges / sizeof merges[0]; i++) {
        if (i == 0 || strcmp(made[i], made[i - 1]) != 0) {
            (void)add_text(book, made[i], 0, 1);
        }
    }
    (void)add_text(book, "23", 0, 1);
    for (size_t i = 0; i < sizeof merges / sizeof merges[0]; i++) {
        add_merge(book, merges[i]);
    }
    (void)add_text(book, "<|end|>", 0, 3);
    book->vocab.pre = pre;
    return book;
}
enum { BC = 256, AB, SPA, ABC, N12, SPSP, S, EACUTE, N123, N23, END };

static void test_bpe_merges_best_rank_first(void **state)
{
    (void)state;
    struct book *book = bpe_book("gpt-2");
    struct jb_tokenizer *tokenizer = NULL;
    assert_int_equal(jb_tokenizer_create(&book->vocab, &tokenizer), JB_OK);
    /* "bc" (rank 0) first, then "a bc" (rank 4). */
    EXPECT(tokenizer, "abc", false, ABC);
    EXPECT(tokenizer, "abab", false, AB, AB);
    /* " a" (2) comes after "ab" (1): the space stays alone. */
    EXPECT(tokenizer, " ab", false, ' ', AB);
    EXPECT(tokenizer, "c a", false, 'c', SPA);
    /* Three spaces and a word: two of them and then " a". */
    EXPECT(tokenizer, "   a", false, SPSP, SPA);
    EXPECT(tokenizer, "a's", false, 'a', S);
    EXPECT(tokenizer, "\xc3\xa9", false, EACUTE);
    EXPECT(tokenizer, "x1234", false, 'x', N123, '4');
    EXPECT(tokenizer, "<|end|>", false, '<', '|', 'e', 'n', 'd', '|', '>');
    EXPECT(tokenizer, "a<|end|>a", true, 'a', END, 'a');
    jb_tokenizer_free(tokenizer);
    free(book);
}

static void test_bpe_pre_tokenizers_differ(void **state)
{
    (void)state;
    const struct {
        const char *pre;
        int32_t ids[8];
        uint32_t n;
    } cases[] = {
        /* " 1234": one word; digit by digit; up to three digits; digit by digit. */
        {"gpt-2", {' ', N123, '4'}, 3},           {"default", {' ', N123, '4'}, 3},
        {"smollm", {' ', '1', '2', '3', '4'}, 5}, {"llama-bpe", {' ', N123, '4'}, 3},
        {"qwen2", {' ', '1', '2', '3', '4'}, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct book *book = bpe_book(cases[i].pre);
        struct jb_tokenizer *tokenizer = NULL;
        assert_int_equal(jb_tokenizer_create(&book->vocab, &tokenizer), JB_OK);
        expect_ids(tokenizer, " 1234", 5, false, cases[i].ids, cases[i].n);
        jb_tokenizer_free(tokenizer);
        free(book);
    }
    /* A whole word that is a token needs no merges with llama-bpe: "23" has no merge. */
    struct book *book = bpe_book("llama-bpe");
    struct jb_tokenizer *tokenizer = NULL;
    assert_int_equal(jb_tokenizer_create(&book->vocab, &tokenizer), JB_OK);
    EXPECT(tokenizer, "23", false, N23);
    /* Contractions ignore case there, and a word takes any one character in front. */
    EXPECT(tokenizer, "(a'S", false, '(', 'a', '\'', 'S');
    jb_tokenizer_free(tokenizer);
    free(book);
}

static void test_bad_vocabularies_are_refused(void **state)
{
    (void)state;
    struct jb_tokenizer *tokenizer = NULL;
    struct book *book = bpe_book("tekken");
    assert_int_equal(jb_tokenizer_create(&book->vocab, &tokenizer), JB_E_NOTSUP);
    assert_non_null(strstr(jb_reason(), "tekken"));
    book->vocab.pre = "gpt-2";
    add_merge(book, "q u");
    assert_int_equal(jb_tokenizer_create(&book->vocab, &tokenizer), JB_E_FORMAT);
    assert_non_null(strstr(jb_reason(), "q u"));
    book->merges[11] = "qu";
    book->merge_sizes[11] = 2;
    assert_int_equal(jb_tokenizer_create(&book->vocab, &tokenizer), JB_E_FORMAT);
    book->vocab.n_merges--;
    book->vocab.bos_id = 4000;
    assert_int_equal(jb_tokenizer_create(&book->vocab, &tokenizer), JB_E_FORMAT);
    assert_non_null(strstr(jb_reason(), "4000"));
    book->vocab.kind = JB_VOCAB_NONE;
    assert_int_equal(jb_tokenizer_create(&book->vocab, &tokenizer), JB_E_NOTSUP);
    assert_null(tokenizer);
    free(book);
    jb_tokenizer_free(NULL);
}

static void test_decode_refuses_foreign_ids(void **state)
{
    (void)state;
    struct book *book = spm_book();
    struct jb_tokenizer *tokenizer = NULL;
    assert_int_equal(jb_tokenizer_create(&book->vocab, &tokenizer), JB_OK);
    const int32_t bad[2][2] = {{1, 272}, {-1, 1}};
    char *text = NULL;
    size_t size = 0;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(jb_tokenizer_decode(tokenizer, bad[i], 2, &text, &size), JB_E_INVAL);
    }
    assert_null(text);
    jb_tokenizer_free(tokenizer);
    free(book);
}

/* Random characters, or plain bytes; no U+2581, which SPM cannot tell from a space. */
static size_t random_text(struct jb_rng *rng, bool is_utf8, char *ret_text, size_t capacity)
{
    size_t n = 0;
    const size_t wanted = jb_rng_below(rng, (uint32_t)capacity - 4);
    while (n < wanted) {
        static const char common[] = "abc123 <s>'\n\r\t.";
        const uint32_t roll = jb_rng_below(rng, 8);
        if (roll < 5) {
            ret_text[n++] = common[jb_rng_below(rng, sizeof common - 1)];
        } else if (!is_utf8) {
            const char byte = (char)jb_rng_below(rng, 256);
            ret_text[n++] = byte == '\xe2' ? 'e' : byte;
        } else if (roll == 5) {
            const uint32_t c = 0x80 + jb_rng_below(rng, 0x780);
            ret_text[n++] = (char)(0xc0 | c >> 6);
            ret_text[n++] = (char)(0x80 | (c & 63));
        } else if (roll == 6) {
            const uint32_t c = 0x3000 + jb_rng_below(rng, 0xa000);
            ret_text[n++] = (char)(0xe0 | c >> 12);
            ret_text[n++] = (char)(0x80 | (c >> 6 & 63));
            ret_text[n++] = (char)(0x80 | (c & 63));
        } else {
            ret_text[n++] = '\xf0';
            ret_text[n++] = '\x9f';
            ret_text[n++] = '\x98';
            ret_text[n++] = (char)(0x80 + jb_rng_below(rng, 64));
        }
    }
    return n;
}

static void test_decode_gives_the_text_back(void **state)
{
    (void)state;
    static const char *const pres[] = {"gpt-2", "smollm", "llama-bpe", "qwen2", NULL};
    for (int which = 0; which < 5; which++) {
        struct book *book = pres[which] == NULL ? spm_book() : bpe_book(pres[which]);
        struct jb_tokenizer *tokenizer = NULL;
        assert_int_equal(jb_tokenizer_create(&book->vocab, &tokenizer), JB_OK);
        struct jb_rng rng;
        jb_rng_seed(&rng, 7, (uint64_t)which);
        char text[512];
        for (int i = 0; i < 2000; i++) {
            const size_t size = random_text(&rng, i % 2 == 0, text, sizeof text);
            expect_round_trip(tokenizer, text, size);
        }
        jb_tokenizer_free(tokenizer);
        free(book);
    }
}

/* One megabyte of the texts that would show quadratic work; the suite's timeout is the judge. */
static void test_a_megabyte_is_no_burden(void **state)
{
    (void)state;
    const size_t size = 1u << 20;
    static const char *const units[] = {"a", " ",    "\n",       "1",    "abc ",
                                        "'", "\xff", "\xc3\xa9", "  \n "};
    static const char *const pres[] = {"smollm", "llama-bpe", NULL};
    char *text = malloc(size);
    assert_non_null(text);
    for (int which = 0; which < 3; which++) {
        struct book *book = pres[which] == NULL ? spm_book() : bpe_book(pres[which]);
        struct jb_tokenizer *tokenizer = NULL;
        assert_int_equal(jb_tokenizer_create(&book->vocab, &tokenizer), JB_OK);
        for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
            const size_t n = strlen(units[u]);
            for (size_t i = 0; i < size; i++) {
                text[i] = units[u][i % n];
            }
            expect_round_trip(tokenizer, text, size);
        }
        jb_tokenizer_free(tokenizer);
        free(book);
    }
    free(text);
}

static void test_seeded_prompts_are_steady_and_independent(void **state)
{
    (void)state;
    int32_t a[512], b[512], c[512];
    jb_prompt_seeded(42, 3, 1000, a, 512);
    jb_prompt_seeded(42, 3, 1000, b, 128);
    jb_prompt_seeded(42, 4, 1000, c, 512);
    assert_memory_equal(a, b, 128 * sizeof *a);
    assert_memory_not_equal(a, c, sizeof a);
    int64_t sum = 0;
    for (int i = 0; i < 512; i++) {
        assert_in_range(a[i], 0, 999);
        sum += a[i];
    }
    /* Mean 499.5, standard deviation of the mean 12.8: six of them. */
    assert_in_range(sum / 512, 422, 577);
    jb_prompt_seeded(42, 3, 1, a, 4);
    assert_int_equal(a[0] | a[1] | a[2] | a[3], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spm_merges_best_score_first),
        cmocka_unit_test(test_spm_special_tokens_only_on_demand),
        cmocka_unit_test(test_user_tokens_are_always_found_longest_first),
        cmocka_unit_test(test_missing_bytes_become_unknown_or_are_refused),
        cmocka_unit_test(test_bpe_merges_best_rank_first),
        cmocka_unit_test(test_bpe_pre_tokenizers_differ),
        cmocka_unit_test(test_bad_vocabularies_are_refused),
        cmocka_unit_test(test_decode_refuses_foreign_ids),
        cmocka_unit_test(test_decode_gives_the_text_back),
        cmocka_unit_test(test_a_megabyte_is_no_burden),
        cmocka_unit_test(test_seeded_prompts_are_steady_and_independent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
