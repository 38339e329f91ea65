/* SPDX-License-Identifier: MIT */
/* A reader of GGUF's skeleton, apart from the program's own: it only finds where numbers stand. */
#include <stdbool.h>
#include <string.h>

#include "tests/fuzz/mutator.h"

struct walk {
    const uint8_t *data;
    size_t size, at;
    struct jb_fuzz_field *fields;
    uint32_t n, capacity;
    bool is_lost;
};

static uint64_t take(struct walk *walk, uint32_t width)
{
    uint64_t value = 0;
    if (walk->is_lost || walk->size - walk->at < width) {
        walk->is_lost = true;
        return 0;
    }
    memcpy(&value, walk->data + walk->at, width);
    if (walk->n < walk->capacity) {
        walk->fields[walk->n++] = (struct jb_fuzz_field){(uint32_t)walk->at, width};
    }
    walk->at += width;
    return value;
}

static void skip(struct walk *walk, uint64_t n)
{
    if (walk->is_lost || walk->size - walk->at < n) {
        walk->is_lost = true;
        return;
    }
    walk->at += (size_t)n;
}

/* Strings in arrays are thousands and alike: the first few are enough. */
static void take_value(struct walk *walk, uint64_t type, bool is_noted)
{
    static const uint8_t widths[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    const uint32_t n = walk->n;
    if (type == 8) {
        skip(walk, take(walk, 8));
    } else if (type < sizeof widths && widths[type] >= 4) {
        (void)take(walk, widths[type]);
    } else if (type < sizeof widths && widths[type] > 0) {
        skip(walk, widths[type]);
    } else {
        walk->is_lost = true;
    }
    walk->n = is_noted ? walk->n : n;
}

uint32_t jb_fuzz_gguf_fields(const uint8_t *data, size_t size, struct jb_fuzz_field *ret_fields,
                             uint32_t capacity)
{
    struct walk walk = {.data = data, .size = size, .fields = ret_fields, .capacity = capacity};
    skip(&walk, 4);
    (void)take(&walk, 4);
    const uint64_t n_tensors = take(&walk, 8), n_keys = take(&walk, 8);
    for (uint64_t i = 0; i < n_keys && !walk.is_lost; i++) {
        skip(&walk, take(&walk, 8));
        uint64_t type = take(&walk, 4);
        uint64_t count = 1;
        if (type == 9) {
            type = take(&walk, 4);
            count = take(&walk, 8);
        }
        for (uint64_t k = 0; k < count && !walk.is_lost; k++) {
            take_value(&walk, type, k < 4);
        }
    }
    for (uint64_t i = 0; i < n_tensors && !walk.is_lost; i++) {
        skip(&walk, take(&walk, 8));
        const uint64_t n_dims = take(&walk, 4);
        for (uint64_t k = 0; k < n_dims && !walk.is_lost; k++) {
            (void)take(&walk, 8);
        }
        (void)take(&walk, 4);
        (void)take(&walk, 8);
    }
    return walk.n;
}
