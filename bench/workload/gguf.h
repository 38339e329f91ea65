/* SPDX-License-Identifier: MIT */
#ifndef JB_GGUF_H
#define JB_GGUF_H

/* GGUF versions 2 and 3, little endian, read in place from memory (usually a mapped file).
 * Layout: magic, version, counts; keys; tensor entries; padding to the alignment; tensor data.
 * Source: docs/gguf.md of the ggml project. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platforms/base/status.h"

#define JB_GGUF_MAX_DIMS 4
#define JB_GGUF_DEFAULT_ALIGNMENT 32u

enum jb_gguf_type {
    JB_GGUF_U8,
    JB_GGUF_I8,
    JB_GGUF_U16,
    JB_GGUF_I16,
    JB_GGUF_U32,
    JB_GGUF_I32,
    JB_GGUF_F32,
    JB_GGUF_BOOL,
    JB_GGUF_STRING,
    JB_GGUF_ARRAY,
    JB_GGUF_U64,
    JB_GGUF_I64,
    JB_GGUF_F64,
    JB_GGUF_N_TYPES
};

/* Bytes inside the file; not NUL-terminated. */
struct jb_gguf_string {
    const char *data;
    uint64_t size;
};

struct jb_gguf_key {
    struct jb_gguf_string name; /* printable ASCII                                            */
    enum jb_gguf_type type;     /* never ARRAY: for an array, that of its elements            */
    bool is_array;
    uint64_t count;      /* elements; 1 for a single value                                    */
    const uint8_t *data; /* first element, unaligned                                          */
    uint64_t n_bytes;    /* of all elements                                                   */
};

struct jb_gguf_tensor {
    struct jb_gguf_string name; /* printable ASCII, at most 255 bytes                         */
    uint32_t n_dims;
    uint64_t dims[JB_GGUF_MAX_DIMS]; /* fastest first; ones beyond n_dims. Product fits 63 bits */
    uint32_t type;                   /* GGUF number                                           */
    const uint8_t *data; /* NULL if the type is none of ours: its size is not known           */
    uint64_t n_bytes;
    uint64_t offset; /* in the file                                                           */
};

struct jb_gguf {
    const char *name; /* of the file, for messages; the caller's */
    const uint8_t *data;
    uint64_t size;
    uint32_t version, alignment;
    struct jb_gguf_key *keys;       /* (n_keys,) file order    */
    struct jb_gguf_tensor *tensors; /* (n_tensors,) file order */
    uint32_t n_keys, n_tensors;
    uint32_t *keys_by_name, *tensors_by_name;
};

/* Reads all headers. Every count, length and offset is checked against size before use.
 * @param data (size,) outlives ret_gguf.
 * @return FORMAT naming file and place; NOTSUP for big endian and version 1; NOMEM. */
enum jb_status jb_gguf_parse(const void *data, size_t size, const char *name,
                             struct jb_gguf *ret_gguf) JB_MUST_CHECK;
void jb_gguf_free(struct jb_gguf *gguf); /* zeroed and freed ones are fine */

/* NULL if there is none of that name. */
const struct jb_gguf_key *jb_gguf_find(const struct jb_gguf *gguf, const char *key);
const struct jb_gguf_tensor *jb_gguf_find_tensor(const struct jb_gguf *gguf, const char *name);

/* Single values. An absent key leaves *value as it is, so set the default first; one of another
 * type, or a number outside the range, is FORMAT. Any integer type is taken for u32 and i32, any
 * number for f32. */
enum jb_status jb_gguf_u32(const struct jb_gguf *gguf, const char *key,
                           uint32_t *value) JB_MUST_CHECK;
enum jb_status jb_gguf_i32(const struct jb_gguf *gguf, const char *key,
                           int32_t *value) JB_MUST_CHECK;
enum jb_status jb_gguf_f32(const struct jb_gguf *gguf, const char *key, float *value) JB_MUST_CHECK;
enum jb_status jb_gguf_bool(const struct jb_gguf *gguf, const char *key, bool *value) JB_MUST_CHECK;
enum jb_status jb_gguf_string(const struct jb_gguf *gguf, const char *key,
                              struct jb_gguf_string *value) JB_MUST_CHECK;

/* The string at *at of a string array; moves *at to the next. Start at key->data. */
struct jb_gguf_string jb_gguf_next_string(const uint8_t **at);

bool jb_gguf_string_is(struct jb_gguf_string string, const char *text);

/* Bytes of one value of a fixed-size type; 0 for strings and arrays. */
uint32_t jb_gguf_type_bytes(enum jb_gguf_type type);

#endif
