/* SPDX-License-Identifier: MIT */
/* GGUF reader. A cursor walks the headers; it never goes past the end, and every product and sum
 * of numbers from the file is checked before it is used. */
#include "bench/workload/gguf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/format/format.h"

/* More than any model has; bounds the work that a bad file can ask for. */
#define MAX_KEYS 65536u
#define MAX_TENSORS 65536u
#define MAX_KEY_BYTES 65535u
#define MAX_TENSOR_NAME 255u
#define MAX_ALIGNMENT (1u << 20)
#define MIN_KEY_ENTRY 13u    /* length, type, one byte      */
#define MIN_TENSOR_ENTRY 24u /* length, dims, type, offset  */

static const uint32_t type_bytes[JB_GGUF_N_TYPES] = {
    [JB_GGUF_U8] = 1,  [JB_GGUF_I8] = 1,  [JB_GGUF_U16] = 2, [JB_GGUF_I16] = 2,
    [JB_GGUF_U32] = 4, [JB_GGUF_I32] = 4, [JB_GGUF_F32] = 4, [JB_GGUF_BOOL] = 1,
    [JB_GGUF_U64] = 8, [JB_GGUF_I64] = 8, [JB_GGUF_F64] = 8,
};

uint32_t jb_gguf_type_bytes(enum jb_gguf_type type)
{
    return type_bytes[type];
}

struct cursor {
    const struct jb_gguf *gguf;
    uint64_t at;
};

static enum jb_status bad(const struct cursor *c, const char *what)
{
    return jb_fail(JB_E_FORMAT, "%s: byte %llu: %s", c->gguf->name, (unsigned long long)c->at,
                   what);
}

static uint64_t left(const struct cursor *c)
{
    return c->gguf->size - c->at;
}

static enum jb_status take(struct cursor *c, void *ret, uint64_t size)
{
    if (size > left(c)) {
        return bad(c, "the file ends inside its header");
    }
    memcpy(ret, c->gguf->data + c->at, (size_t)size);
    c->at += size;
    return JB_OK;
}

static enum jb_status take_string(struct cursor *c, uint64_t max, struct jb_gguf_string *ret)
{
    const uint64_t start = c->at;
    uint64_t size = 0;
    enum jb_status status = take(c, &size, sizeof size);
    if (status != JB_OK) {
        return status;
    }
    if (size > left(c)) {
        c->at = start;
        return bad(c, "a string is longer than the rest of the file");
    }
    if (size > max) {
        c->at = start;
        return bad(c, "a name is too long");
    }
    *ret = (struct jb_gguf_string){(const char *)c->gguf->data + c->at, size};
    c->at += size;
    return JB_OK;
}

/* Names go into messages and C strings: printable ASCII only. */
static enum jb_status take_name(struct cursor *c, uint64_t max, struct jb_gguf_string *ret)
{
    const uint64_t start = c->at;
    enum jb_status status = take_string(c, max, ret);
    if (status != JB_OK) {
        return status;
    }
    bool is_good = ret->size > 0;
    for (uint64_t i = 0; i < ret->size; i++) {
        is_good = is_good && ret->data[i] > 0x20 && ret->data[i] < 0x7f;
    }
    if (!is_good) {
        c->at = start;
        return bad(c, "a name is empty or not printable ASCII");
    }
    return JB_OK;
}

static enum jb_status bad_key(const struct cursor *c, const struct jb_gguf_key *key,
                              const char *what)
{
    const int shown = key->name.size < 80 ? (int)key->name.size : 80;
    return jb_fail(JB_E_FORMAT, "%s: byte %llu: key '%.*s': %s", c->gguf->name,
                   (unsigned long long)c->at, shown, key->name.data, what);
}

/* Moves over the elements of a value and notes where they lie. */
static enum jb_status take_elements(struct cursor *c, struct jb_gguf_key *key)
{
    const uint64_t start = c->at;
    key->data = c->gguf->data + start;
    if (key->type != JB_GGUF_STRING) {
        const uint32_t bytes = type_bytes[key->type];
        if (key->count > left(c) / bytes) {
            return bad_key(c, key, "has more elements than the file has bytes");
        }
        c->at += key->count * bytes;
    } else {
        if (key->count > left(c) / sizeof(uint64_t)) {
            return bad_key(c, key, "has more strings than the file has bytes");
        }
        for (uint64_t i = 0; i < key->count; i++) {
            struct jb_gguf_string string;
            if (take_string(c, UINT64_MAX, &string) != JB_OK) {
                return bad_key(c, key, "a string is longer than the rest of the file");
            }
        }
    }
    key->n_bytes = c->at - start;
    return JB_OK;
}

static enum jb_status take_key(struct cursor *c, struct jb_gguf_key *key)
{
    uint32_t type = 0;
    enum jb_status status = take_name(c, MAX_KEY_BYTES, &key->name);
    if (status == JB_OK) {
        status = take(c, &type, sizeof type);
    }
    if (status != JB_OK) {
        return status;
    }
    key->count = 1;
    key->is_array = type == JB_GGUF_ARRAY;
    if (key->is_array) {
        status = take(c, &type, sizeof type);
        if (status == JB_OK) {
            status = take(c, &key->count, sizeof key->count);
        }
        if (status != JB_OK) {
            return status;
        }
    }
    if (type >= JB_GGUF_N_TYPES || type == JB_GGUF_ARRAY) {
        return bad_key(c, key, "its type is unknown, or an array of arrays");
    }
    key->type = (enum jb_gguf_type)type;
    return take_elements(c, key);
}

static enum jb_status bad_tensor(const struct cursor *c, const struct jb_gguf_tensor *tensor,
                                 const char *what)
{
    return jb_fail(JB_E_FORMAT, "%s: byte %llu: tensor '%.*s': %s", c->gguf->name,
                   (unsigned long long)c->at, (int)tensor->name.size, tensor->name.data, what);
}

static enum jb_status take_dims(struct cursor *c, struct jb_gguf_tensor *tensor)
{
    enum jb_status status = take(c, &tensor->n_dims, sizeof tensor->n_dims);
    if (status != JB_OK) {
        return status;
    }
    if (tensor->n_dims > JB_GGUF_MAX_DIMS) {
        return bad_tensor(c, tensor, "has more than 4 dimensions");
    }
    uint64_t values = 1;
    for (uint32_t i = 0; i < JB_GGUF_MAX_DIMS; i++) {
        tensor->dims[i] = 1;
        if (i < tensor->n_dims) {
            status = take(c, &tensor->dims[i], sizeof tensor->dims[i]);
            if (status != JB_OK) {
                return status;
            }
        }
        if (tensor->dims[i] == 0 || tensor->dims[i] > (uint64_t)INT64_MAX / values) {
            return bad_tensor(c, tensor, "a dimension is 0 or the product too large");
        }
        values *= tensor->dims[i];
    }
    return JB_OK;
}

static enum jb_status take_tensor(struct cursor *c, struct jb_gguf_tensor *tensor)
{
    enum jb_status status = take_name(c, MAX_TENSOR_NAME, &tensor->name);
    if (status == JB_OK) {
        status = take_dims(c, tensor);
    }
    if (status == JB_OK) {
        status = take(c, &tensor->type, sizeof tensor->type);
    }
    if (status == JB_OK) {
        status = take(c, &tensor->offset, sizeof tensor->offset);
    }
    return status;
}

/* Turns offsets into the data section into places in the file, once its start is known. */
static enum jb_status place_tensor(const struct cursor *start, struct jb_gguf_tensor *tensor)
{
    const struct jb_gguf *gguf = start->gguf;
    if (tensor->offset % gguf->alignment != 0) {
        return bad_tensor(start, tensor, "its offset is not a multiple of the alignment");
    }
    if (tensor->offset > left(start)) {
        return bad_tensor(start, tensor, "its data begin after the end of the file");
    }
    tensor->offset += start->at;
    enum jb_dtype dtype;
    if (!jb_format_by_gguf_type(tensor->type, &dtype)) {
        return JB_OK;
    }
    const struct jb_format *format = jb_format(dtype);
    if (tensor->dims[0] % format->block_values != 0) {
        return bad_tensor(start, tensor, "its rows do not divide into blocks of its type");
    }
    const uint64_t rows = tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
    const uint64_t blocks = tensor->dims[0] / format->block_values * rows;
    if (blocks > (gguf->size - tensor->offset) / format->block_bytes) {
        return bad_tensor(start, tensor, "its data go past the end of the file");
    }
    tensor->n_bytes = blocks * format->block_bytes;
    tensor->data = gguf->data + tensor->offset;
    return JB_OK;
}

static int compare(const char *a, uint64_t a_size, const char *b, uint64_t b_size)
{
    const int order = memcmp(a, b, (size_t)(a_size < b_size ? a_size : b_size));
    return order != 0 ? order : a_size < b_size ? -1 : a_size > b_size;
}

/* A name and its index in the file's order. */
struct named {
    struct jb_gguf_string name;
    uint32_t index;
};

static int compare_named(const void *a, const void *b)
{
    const struct named *x = a;
    const struct named *y = b;
    return compare(x->name.data, x->name.size, y->name.data, y->name.size);
}

/* Sorts names, refuses two that are equal, and gives the order as indices.
 * @param named (n,) sorted in place. */
static enum jb_status sort_names(const struct jb_gguf *gguf, struct named *named, uint32_t n,
                                 uint32_t *ret_order)
{
    qsort(named, n, sizeof *named, compare_named);
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0 && compare_named(&named[i - 1], &named[i]) == 0) {
            const int shown = named[i].name.size < 80 ? (int)named[i].name.size : 80;
            return jb_fail(JB_E_FORMAT, "%s: '%.*s' is there twice", gguf->name, shown,
                           named[i].name.data);
        }
        ret_order[i] = named[i].index;
    }
    return JB_OK;
}

static enum jb_status index_names(struct jb_gguf *gguf)
{
    const uint32_t most = gguf->n_keys > gguf->n_tensors ? gguf->n_keys : gguf->n_tensors;
    struct named *named = calloc((size_t)most + 1, sizeof *named);
    gguf->keys_by_name = calloc((size_t)gguf->n_keys + 1, sizeof *gguf->keys_by_name);
    gguf->tensors_by_name = calloc((size_t)gguf->n_tensors + 1, sizeof *gguf->tensors_by_name);
    if (named == NULL || gguf->keys_by_name == NULL || gguf->tensors_by_name == NULL) {
        free(named);
        return jb_fail(JB_E_NOMEM, "%s: no memory for its index", gguf->name);
    }
    for (uint32_t i = 0; i < gguf->n_keys; i++) {
        named[i] = (struct named){gguf->keys[i].name, i};
    }
    enum jb_status status = sort_names(gguf, named, gguf->n_keys, gguf->keys_by_name);
    for (uint32_t i = 0; status == JB_OK && i < gguf->n_tensors; i++) {
        named[i] = (struct named){gguf->tensors[i].name, i};
    }
    if (status == JB_OK) {
        status = sort_names(gguf, named, gguf->n_tensors, gguf->tensors_by_name);
    }
    free(named);
    return status;
}

static enum jb_status take_counts(struct cursor *c, struct jb_gguf *gguf)
{
    char magic[4] = {0};
    uint64_t n_tensors = 0;
    uint64_t n_keys = 0;
    if (take(c, magic, sizeof magic) != JB_OK || memcmp(magic, "GGUF", 4) != 0) {
        return jb_fail(JB_E_FORMAT, "%s: byte 0: not a GGUF file", gguf->name);
    }
    enum jb_status status = take(c, &gguf->version, sizeof gguf->version);
    if (status != JB_OK) {
        return status;
    }
    if (gguf->version != 0 && (gguf->version & 0xffffu) == 0) {
        return jb_fail(JB_E_NOTSUP, "%s: byte 4: a big-endian GGUF file", gguf->name);
    }
    if (gguf->version != 2 && gguf->version != 3) {
        return jb_fail(JB_E_NOTSUP, "%s: byte 4: GGUF version %u; 2 and 3 are read", gguf->name,
                       gguf->version);
    }
    status = take(c, &n_tensors, sizeof n_tensors);
    if (status == JB_OK) {
        status = take(c, &n_keys, sizeof n_keys);
    }
    if (status != JB_OK) {
        return status;
    }
    if (n_tensors > MAX_TENSORS || n_tensors > left(c) / MIN_TENSOR_ENTRY) {
        return bad(c, "says more tensors than can be there");
    }
    if (n_keys > MAX_KEYS || n_keys > left(c) / MIN_KEY_ENTRY) {
        return bad(c, "says more keys than can be there");
    }
    gguf->n_tensors = (uint32_t)n_tensors;
    gguf->n_keys = (uint32_t)n_keys;
    return JB_OK;
}

static enum jb_status take_all(struct jb_gguf *gguf)
{
    struct cursor c = {.gguf = gguf};
    enum jb_status status = take_counts(&c, gguf);
    if (status != JB_OK) {
        return status;
    }
    gguf->keys = calloc((size_t)gguf->n_keys + 1, sizeof *gguf->keys);
    gguf->tensors = calloc((size_t)gguf->n_tensors + 1, sizeof *gguf->tensors);
    if (gguf->keys == NULL || gguf->tensors == NULL) {
        return jb_fail(JB_E_NOMEM, "%s: no memory for its header", gguf->name);
    }
    for (uint32_t i = 0; status == JB_OK && i < gguf->n_keys; i++) {
        status = take_key(&c, &gguf->keys[i]);
    }
    for (uint32_t i = 0; status == JB_OK && i < gguf->n_tensors; i++) {
        status = take_tensor(&c, &gguf->tensors[i]);
    }
    if (status == JB_OK) {
        status = index_names(gguf);
    }
    if (status == JB_OK) {
        status = jb_gguf_u32(gguf, "general.alignment", &gguf->alignment);
    }
    if (status != JB_OK) {
        return status;
    }
    const uint32_t alignment = gguf->alignment;
    if (alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > MAX_ALIGNMENT) {
        return jb_fail(JB_E_FORMAT, "%s: key 'general.alignment': %u is no power of two up to %u",
                       gguf->name, alignment, MAX_ALIGNMENT);
    }
    const uint64_t padding = (alignment - c.at % alignment) % alignment;
    if (padding > left(&c)) {
        if (gguf->n_tensors > 0) {
            return bad(&c, "the file ends before its tensor data");
        }
        return JB_OK;
    }
    c.at += padding;
    for (uint32_t i = 0; status == JB_OK && i < gguf->n_tensors; i++) {
        status = place_tensor(&c, &gguf->tensors[i]);
    }
    return status;
}

enum jb_status jb_gguf_parse(const void *data, size_t size, const char *name,
                             struct jb_gguf *ret_gguf)
{
    struct jb_gguf gguf = {
        .name = name, .data = data, .size = size, .alignment = JB_GGUF_DEFAULT_ALIGNMENT};
    const enum jb_status status = take_all(&gguf);
    if (status != JB_OK) {
        jb_gguf_free(&gguf);
        return status;
    }
    *ret_gguf = gguf;
    return JB_OK;
}

void jb_gguf_free(struct jb_gguf *gguf)
{
    if (gguf == NULL) {
        return;
    }
    free(gguf->keys);
    free(gguf->tensors);
    free(gguf->keys_by_name);
    free(gguf->tensors_by_name);
    memset(gguf, 0, sizeof *gguf);
}

/* Binary search by name. @param items (n,) of `stride` bytes, the name first in each.
 * @param order (n,) indices of the items in the order of their names. @return NULL if none is. */
static const void *find_named(const char *name, const void *items, size_t stride,
                              const uint32_t *order, uint32_t n)
{
    uint32_t low = 0;
    uint32_t high = n;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const void *item = (const char *)items + stride * order[middle];
        const struct jb_gguf_string *at = item;
        const int way = compare(name, strlen(name), at->data, at->size);
        if (way == 0) {
            return item;
        }
        if (way < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

_Static_assert(offsetof(struct jb_gguf_key, name) == 0, "find_named() looks there");
_Static_assert(offsetof(struct jb_gguf_tensor, name) == 0, "find_named() looks there");

const struct jb_gguf_key *jb_gguf_find(const struct jb_gguf *gguf, const char *key)
{
    return find_named(key, gguf->keys, sizeof *gguf->keys, gguf->keys_by_name, gguf->n_keys);
}

const struct jb_gguf_tensor *jb_gguf_find_tensor(const struct jb_gguf *gguf, const char *name)
{
    return find_named(name, gguf->tensors, sizeof *gguf->tensors, gguf->tensors_by_name,
                      gguf->n_tensors);
}
