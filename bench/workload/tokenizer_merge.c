/* SPDX-License-Identifier: MIT */
/* What both tokenizers share: pieces found by their bytes, and best-pair-first merging.
 *
 * The heap may hold pairs whose symbols have since merged with others. Such a pair is known by its
 * size: a swallowed symbol has size 0, a grown one no longer adds up. */
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "bench/workload/tokenizer.h"

enum jb_status jb_piece_map_build(const struct jb_vocab *vocab, unsigned type_set,
                                  struct jb_piece_map *ret_map)
{
    size_t n_places = 16;
    while (n_places < (size_t)vocab->n_tokens * 2) {
        n_places *= 2;
    }
    int32_t *places = malloc(n_places * sizeof *places);
    if (places == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for a vocabulary of %u tokens", vocab->n_tokens);
    }
    memset(places, 0xff, n_places * sizeof *places);
    struct jb_piece_map map = {.vocab = vocab, .places = places, .mask = n_places - 1};
    for (uint32_t id = 0; id < vocab->n_tokens; id++) {
        const uint32_t size = vocab->piece_sizes[id];
        const unsigned type = vocab->types == NULL ? JB_TOKEN_NORMAL : vocab->types[id];
        if (size == 0 || type > 31 || (type_set >> type & 1u) == 0 ||
            jb_piece_map_find(&map, vocab->pieces[id], size) >= 0) {
            continue;
        }
        size_t place = XXH3_64bits(vocab->pieces[id], size) & map.mask;
        while (places[place] >= 0) {
            place = (place + 1) & map.mask;
        }
        places[place] = (int32_t)id;
        map.longest = size > map.longest ? size : map.longest;
    }
    *ret_map = map;
    return JB_OK;
}

void jb_piece_map_free(struct jb_piece_map *map)
{
    free(map->places);
    *map = (struct jb_piece_map){0};
}

int32_t jb_piece_map_find(const struct jb_piece_map *map, const char *bytes, size_t size)
{
    if (map->longest != 0 && size > map->longest) {
        return -1;
    }
    size_t place = XXH3_64bits(bytes, size) & map->mask;
    for (; map->places[place] >= 0; place = (place + 1) & map->mask) {
        const int32_t id = map->places[place];
        if (map->vocab->piece_sizes[id] == size &&
            memcmp(map->vocab->pieces[id], bytes, size) == 0) {
            return id;
        }
    }
    return -1;
}

enum jb_status jb_id_list_add(struct jb_id_list *list, int32_t id)
{
    if (list->n == list->capacity) {
        if (list->capacity > UINT32_MAX / 4) {
            return jb_fail(JB_E_INVAL, "the text has more than %u tokens; cut it", list->n);
        }
        const uint32_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        int32_t *ids = realloc(list->ids, capacity * sizeof *ids);
        if (ids == NULL) {
            return jb_fail(JB_E_NOMEM, "no memory for %u token ids", capacity);
        }
        list->ids = ids;
        list->capacity = capacity;
    }
    list->ids[list->n++] = id;
    return JB_OK;
}

enum jb_status jb_merger_add(struct jb_merger *merger, uint32_t start, uint32_t size, int32_t id)
{
    if (merger->n_symbols == merger->symbol_capacity) {
        const uint32_t capacity =
            merger->symbol_capacity == 0 ? 256 : merger->symbol_capacity / 2 * 3;
        struct jb_symbol *symbols = realloc(merger->symbols, capacity * sizeof *symbols);
        if (symbols == NULL) {
            return jb_fail(JB_E_NOMEM, "no memory to tokenize %u symbols", capacity);
        }
        merger->symbols = symbols;
        merger->symbol_capacity = capacity;
    }
    const uint32_t n = merger->n_symbols++;
    if (n > 0) {
        merger->symbols[n - 1].next = n;
    }
    merger->symbols[n] = (struct jb_symbol){.start = start,
                                            .size = size,
                                            .prev = n == 0 ? JB_NO_SYMBOL : n - 1,
                                            .next = JB_NO_SYMBOL,
                                            .id = id};
    return JB_OK;
}

void jb_merger_free(struct jb_merger *merger)
{
    free(merger->symbols);
    free(merger->heap);
    *merger = (struct jb_merger){0};
}

static bool is_before(const struct jb_pair *a, const struct jb_pair *b)
{
    return a->key < b->key || (!(b->key < a->key) && a->left < b->left);
}

static enum jb_status heap_push(struct jb_merger *merger, const struct jb_pair *pair)
{
    if (merger->n_pairs == merger->pair_capacity) {
        const size_t capacity = merger->pair_capacity == 0 ? 256 : merger->pair_capacity * 2;
        struct jb_pair *heap = realloc(merger->heap, capacity * sizeof *heap);
        if (heap == NULL) {
            return jb_fail(JB_E_NOMEM, "no memory to tokenize %zu pairs", capacity);
        }
        merger->heap = heap;
        merger->pair_capacity = capacity;
    }
    size_t at = merger->n_pairs++;
    while (at > 0) {
        const size_t parent = (at - 1) / 2;
        if (!is_before(pair, &merger->heap[parent])) {
            break;
        }
        merger->heap[at] = merger->heap[parent];
        at = parent;
    }
    merger->heap[at] = *pair;
    return JB_OK;
}

static struct jb_pair heap_pop(struct jb_merger *merger)
{
    const struct jb_pair top = merger->heap[0];
    const struct jb_pair last = merger->heap[--merger->n_pairs];
    const size_t n = merger->n_pairs;
    size_t at = 0;
    for (size_t child = 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && is_before(&merger->heap[child + 1], &merger->heap[child])) {
            child++;
        }
        if (!is_before(&merger->heap[child], &last)) {
            break;
        }
        merger->heap[at] = merger->heap[child];
        at = child;
    }
    merger->heap[at] = last;
    return top;
}

static enum jb_status offer(struct jb_merger *merger, jb_merge_rule *rule, const void *ctx,
                            uint32_t left, uint32_t right)
{
    if (left == JB_NO_SYMBOL || right == JB_NO_SYMBOL) {
        return JB_OK;
    }
    const struct jb_symbol *a = &merger->symbols[left], *b = &merger->symbols[right];
    struct jb_pair pair = {.left = left, .right = right, .size = a->size + b->size};
    if (!rule(ctx, a, b, &pair.key, &pair.id)) {
        return JB_OK;
    }
    return heap_push(merger, &pair);
}

enum jb_status jb_merger_run(struct jb_merger *merger, jb_merge_rule *rule, const void *ctx)
{
    enum jb_status status = JB_OK;
    struct jb_symbol *symbols = merger->symbols;
    merger->n_pairs = 0;
    for (uint32_t i = 1; i < merger->n_symbols && status == JB_OK; i++) {
        status = offer(merger, rule, ctx, i - 1, i);
    }
    while (merger->n_pairs > 0 && status == JB_OK) {
        const struct jb_pair pair = heap_pop(merger);
        struct jb_symbol *left = &symbols[pair.left], *right = &symbols[pair.right];
        if (left->size == 0 || right->size == 0 || left->size + right->size != pair.size) {
            continue;
        }
        left->size = pair.size;
        left->id = pair.id;
        left->next = right->next;
        right->size = 0;
        if (left->next != JB_NO_SYMBOL) {
            symbols[left->next].prev = pair.left;
        }
        status = offer(merger, rule, ctx, left->prev, pair.left);
        if (status == JB_OK) {
            status = offer(merger, rule, ctx, pair.left, left->next);
        }
    }
    return status;
}
