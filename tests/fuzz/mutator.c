/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/mutator.h"

#include <stdbool.h>
#include <string.h>

struct input {
    uint8_t *data; /* (JB_FUZZ_LARGEST,) */
    size_t size;
    struct jb_rng rng;
    const struct jb_fuzz_seed *seeds;
    uint32_t n_seeds;
};

static const uint64_t nasty_numbers[] = {0,
                                         1,
                                         2,
                                         3,
                                         7,
                                         31,
                                         33,
                                         127,
                                         128,
                                         255,
                                         256,
                                         65535,
                                         65536,
                                         0x7fffffff,
                                         0x80000000u,
                                         0xffffffffu,
                                         1ull << 32,
                                         1ull << 40,
                                         1ull << 61,
                                         (1ull << 63) - 1,
                                         1ull << 63,
                                         UINT64_MAX,
                                         UINT64_MAX - 1,
                                         UINT64_MAX - 31};

#define WORD(text)                                                                                 \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }
static const struct {
    const char *text;
    size_t size;
} nasty_words[] = {
    WORD(""),
    WORD("0"),
    WORD("-1"),
    WORD("-0"),
    WORD("1e999"),
    WORD("-1e-999"),
    WORD("nan"),
    WORD("NaN"),
    WORD("inf"),
    WORD("-inf"),
    WORD("0x10"),
    WORD("1e"),
    WORD("."),
    WORD("1.5.2"),
    WORD("2147483648"),
    WORD("4294967296"),
    WORD("9223372036854775808"),
    WORD("18446744073709551616"),
    WORD("99999999999999999999999999999999"),
    WORD("1k"),
    WORD("1M"),
    WORD("\""),
    WORD("\"\""),
    WORD("\"unclosed"),
    WORD(","),
    WORD(",,,,,,,,"),
    WORD(";"),
    WORD("\n"),
    WORD("\r"),
    WORD("\r\n"),
    WORD("\n\n"),
    WORD("\0"),
    WORD("\xef\xbb\xbf"),
    WORD("\xff\xfe"),
    WORD("\xc3"),
    WORD("\xe2\x96\x81"),
    WORD("\xf0\x9f\x98\x80"),
    WORD("%s%n%d"),
    WORD("\t"),
    WORD("  "),
    WORD("#"),
    WORD("{"),
    WORD("}"),
    WORD("["),
    WORD("]"),
    WORD(": "),
    WORD("- "),
    WORD("&a"),
    WORD("*a"),
    WORD("!!binary"),
    WORD("|\n"),
    WORD("---\n"),
    WORD("true"),
    WORD("null"),
    WORD("--"),
    WORD("--help"),
    WORD("="),
    WORD("../../x"),
    WORD("<unk>"),
    WORD("<0x41>"),
    WORD("GGUF"),
    WORD("measured"),
    WORD("joulebench-1"),
    WORD("2026-02-30T25:61:61Z"),
};
enum {
    N_NUMBERS = sizeof nasty_numbers / sizeof nasty_numbers[0],
    N_WORDS = sizeof nasty_words / sizeof nasty_words[0],
    MAX_FIELDS = 4096
};

static uint32_t below(struct input *input, size_t n)
{
    return n == 0 ? 0 : jb_rng_below(&input->rng, (uint32_t)n);
}

/* Puts n bytes in place of `cut` bytes at `at`; does nothing if it would grow too large. */
static void replace(struct input *input, size_t at, size_t cut, const void *bytes, size_t n)
{
    if (input->size - cut + n > JB_FUZZ_LARGEST) {
        return;
    }
    memmove(input->data + at + n, input->data + at + cut, input->size - at - cut);
    if (n > 0) {
        memcpy(input->data + at, bytes, n);
    }
    input->size = input->size - cut + n;
}

static void flip_bits(struct input *input)
{
    for (uint32_t n = 1 + below(input, 4); n > 0 && input->size > 0; n--) {
        input->data[below(input, input->size)] ^= (uint8_t)(1u << below(input, 8));
    }
}

static void set_bytes(struct input *input)
{
    for (uint32_t n = 1 + below(input, 8); n > 0 && input->size > 0; n--) {
        input->data[below(input, input->size)] = (uint8_t)below(input, 256);
    }
}

static void truncate_it(struct input *input)
{
    input->size = below(input, input->size + 1);
}

static void cut_out(struct input *input)
{
    const size_t at = below(input, input->size + 1);
    replace(input, at, below(input, input->size - at + 1), NULL, 0);
}

/* Often once, sometimes a thousand times: long lists and deep nesting. */
static void repeat_part(struct input *input)
{
    uint8_t part[256];
    const size_t at = below(input, input->size + 1), left = input->size - at;
    const size_t n = below(input, (left < sizeof part ? left : sizeof part) + 1);
    memcpy(part, input->data + at, n);
    for (uint32_t times = below(input, 8) == 0 ? 1000 : 1; times > 0 && n > 0; times--) {
        replace(input, at, 0, part, n);
    }
}

static void splice(struct input *input)
{
    const struct jb_fuzz_seed *other = &input->seeds[below(input, input->n_seeds)];
    const size_t from = below(input, other->size + 1);
    const size_t n = other->size - from;
    input->size = below(input, input->size + 1);
    if (input->size + n <= JB_FUZZ_LARGEST) {
        memcpy(input->data + input->size, other->data + from, n);
        input->size += n;
    }
}

static void put_number(struct input *input, size_t at, size_t width)
{
    uint64_t value = 0;
    memcpy(&value, input->data + at, width);
    const uint32_t way = below(input, 4);
    const uint64_t step = 1 + below(input, 64);
    value = way == 0   ? value + step
            : way == 1 ? value - step
            : way == 2 ? input->size - at + below(input, 3) - 1
                       : nasty_numbers[below(input, N_NUMBERS)];
    memcpy(input->data + at, &value, width);
}

static void put_number_anywhere(struct input *input)
{
    const size_t width = (size_t)1 << below(input, 4);
    if (input->size >= width) {
        put_number(input, below(input, input->size - width + 1), width);
    }
}

static void put_number_in_field(struct input *input)
{
    struct jb_fuzz_field fields[MAX_FIELDS];
    const uint32_t n = jb_fuzz_gguf_fields(input->data, input->size, fields, MAX_FIELDS);
    if (n == 0) {
        put_number_anywhere(input);
        return;
    }
    const struct jb_fuzz_field *field = &fields[below(input, n)];
    put_number(input, field->at, field->width);
}

static bool is_between(uint8_t c)
{
    return c != '\0' && strchr(" \t\r\n,:;{}[]=\"'", c) != NULL;
}

/* A word of the text becomes a nasty one, or a nasty one is put in. */
static void put_word(struct input *input)
{
    const uint32_t word = below(input, N_WORDS);
    size_t at = below(input, input->size + 1), end = at;
    if (below(input, 4) != 0) {
        while (at > 0 && !is_between(input->data[at - 1])) {
            at--;
        }
        while (end < input->size && !is_between(input->data[end])) {
            end++;
        }
    }
    replace(input, at, end - at, nasty_words[word].text, nasty_words[word].size);
}

/* Start of a random line; *ret_end is the start of the next. */
static size_t pick_line(struct input *input, size_t *ret_end)
{
    size_t at = below(input, input->size + 1), end = at;
    while (at > 0 && input->data[at - 1] != '\n') {
        at--;
    }
    while (end < input->size && input->data[end] != '\n') {
        end++;
    }
    *ret_end = end < input->size ? end + 1 : end;
    return at;
}

static void change_line(struct input *input)
{
    size_t end = 0;
    const size_t at = pick_line(input, &end);
    static uint8_t line[JB_FUZZ_LARGEST];
    const size_t n = end - at;
    memcpy(line, input->data + at, n);
    const uint32_t way = below(input, 3);
    if (way != 0) { /* delete or move */
        replace(input, at, n, NULL, 0);
    }
    if (way != 1) { /* repeat or move */
        size_t unused = 0;
        replace(input, pick_line(input, &unused), 0, line, n);
    }
}

static void swap_words(struct input *input)
{
    size_t end = 0;
    const size_t at = pick_line(input, &end);
    const uint8_t *comma = memchr(input->data + at, ',', end - at);
    if (comma != NULL) {
        static uint8_t word[JB_FUZZ_LARGEST];
        const size_t n = (size_t)(comma - input->data) - at + 1;
        memcpy(word, input->data + at, n);
        replace(input, at, n, NULL, 0);
        replace(input, at + below(input, input->size - at + 1), 0, word, n);
    }
}

typedef void mutation(struct input *input);
static mutation *const for_bytes[] = {flip_bits,   set_bytes, truncate_it,        cut_out,
                                      repeat_part, splice,    put_number_anywhere};
static mutation *const for_gguf[] = {put_number_in_field,
                                     put_number_in_field,
                                     put_number_in_field,
                                     put_number_in_field,
                                     put_number_in_field,
                                     flip_bits,
                                     set_bytes,
                                     truncate_it,
                                     cut_out,
                                     repeat_part,
                                     splice,
                                     put_word};
static mutation *const for_text[] = {put_word,    put_word,    put_word,  put_word,  change_line,
                                     change_line, swap_words,  flip_bits, set_bytes, truncate_it,
                                     cut_out,     repeat_part, splice};

size_t jb_fuzz_mutate(const struct jb_fuzz_target *target, const struct jb_fuzz_seed *seeds,
                      uint32_t n_seeds, uint64_t seed, uint64_t number, uint8_t *ret_data)
{
    struct input input = {.seeds = seeds, .n_seeds = n_seeds};
    input.data = ret_data;
    jb_rng_seed(&input.rng, seed, number);
    const struct jb_fuzz_seed *start = &seeds[below(&input, n_seeds)];
    input.size = start->size < JB_FUZZ_LARGEST ? start->size : JB_FUZZ_LARGEST;
    memcpy(input.data, start->data, input.size);
    mutation *const *table = target->form == JB_FUZZ_GGUF   ? for_gguf
                             : target->form == JB_FUZZ_TEXT ? for_text
                                                            : for_bytes;
    const size_t n_table = target->form == JB_FUZZ_GGUF   ? sizeof for_gguf / sizeof *table
                           : target->form == JB_FUZZ_TEXT ? sizeof for_text / sizeof *table
                                                          : sizeof for_bytes / sizeof *table;
    for (uint32_t n = 1 + below(&input, 3); n > 0; n--) {
        table[below(&input, n_table)](&input);
    }
    return input.size;
}
