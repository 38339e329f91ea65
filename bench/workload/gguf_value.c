/* SPDX-License-Identifier: MIT */
/* Typed access to the keys of a GGUF file. */
#include "bench/workload/gguf.h"

#include <math.h>
#include <string.h>

/* Any integer as a 64-bit one. @return false for other types and for u64 beyond int64. */
static bool integer_of(const struct jb_gguf_key *key, int64_t *ret)
{
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
    } v;
    if (key->is_array || key->type == JB_GGUF_STRING) {
        return false;
    }
    memcpy(&v, key->data, jb_gguf_type_bytes(key->type));
    switch (key->type) {
    case JB_GGUF_U8:
        *ret = v.u8;
        return true;
    case JB_GGUF_I8:
        *ret = (int64_t)v.i8;
        return true;
    case JB_GGUF_U16:
        *ret = v.u16;
        return true;
    case JB_GGUF_I16:
        *ret = v.i16;
        return true;
    case JB_GGUF_U32:
        *ret = v.u32;
        return true;
    case JB_GGUF_I32:
        *ret = v.i32;
        return true;
    case JB_GGUF_I64:
        *ret = v.i64;
        return true;
    case JB_GGUF_U64:
        *ret = (int64_t)v.u64;
        return v.u64 <= (uint64_t)INT64_MAX;
    default:
        return false;
    }
}

static enum jb_status wrong(const struct jb_gguf *gguf, const char *key, const char *wanted)
{
    return jb_fail(JB_E_FORMAT, "%s: key '%s': is not %s", gguf->name, key, wanted);
}

enum jb_status jb_gguf_u32(const struct jb_gguf *gguf, const char *key, uint32_t *value)
{
    const struct jb_gguf_key *found = jb_gguf_find(gguf, key);
    int64_t number = 0;
    if (found == NULL) {
        return JB_OK;
    }
    if (!integer_of(found, &number) || number < 0 || number > (int64_t)UINT32_MAX) {
        return wrong(gguf, key, "an unsigned 32-bit number");
    }
    *value = (uint32_t)number;
    return JB_OK;
}

enum jb_status jb_gguf_i32(const struct jb_gguf *gguf, const char *key, int32_t *value)
{
    const struct jb_gguf_key *found = jb_gguf_find(gguf, key);
    int64_t number = 0;
    if (found == NULL) {
        return JB_OK;
    }
    if (!integer_of(found, &number) || number < INT32_MIN || number > INT32_MAX) {
        return wrong(gguf, key, "a 32-bit number");
    }
    *value = (int32_t)number;
    return JB_OK;
}

enum jb_status jb_gguf_f32(const struct jb_gguf *gguf, const char *key, float *value)
{
    const struct jb_gguf_key *found = jb_gguf_find(gguf, key);
    if (found == NULL) {
        return JB_OK;
    }
    int64_t integer = 0;
    double number = (double)NAN;
    if (!found->is_array && found->type == JB_GGUF_F32) {
        float f;
        memcpy(&f, found->data, sizeof f);
        number = (double)f;
    } else if (!found->is_array && found->type == JB_GGUF_F64) {
        memcpy(&number, found->data, sizeof number);
    } else if (integer_of(found, &integer)) {
        number = (double)integer;
    }
    if (!(fabs(number) <= 3.4e38)) {
        return wrong(gguf, key, "a finite number");
    }
    *value = (float)number;
    return JB_OK;
}

enum jb_status jb_gguf_bool(const struct jb_gguf *gguf, const char *key, bool *value)
{
    const struct jb_gguf_key *found = jb_gguf_find(gguf, key);
    if (found == NULL) {
        return JB_OK;
    }
    if (found->is_array || found->type != JB_GGUF_BOOL || found->data[0] > 1) {
        return wrong(gguf, key, "a truth value");
    }
    *value = found->data[0] != 0;
    return JB_OK;
}

enum jb_status jb_gguf_string(const struct jb_gguf *gguf, const char *key,
                              struct jb_gguf_string *value)
{
    const struct jb_gguf_key *found = jb_gguf_find(gguf, key);
    if (found == NULL) {
        return JB_OK;
    }
    if (found->is_array || found->type != JB_GGUF_STRING) {
        return wrong(gguf, key, "a string");
    }
    const uint8_t *at = found->data;
    *value = jb_gguf_next_string(&at);
    return JB_OK;
}

struct jb_gguf_string jb_gguf_next_string(const uint8_t **at)
{
    uint64_t size;
    memcpy(&size, *at, sizeof size);
    const struct jb_gguf_string string = {(const char *)*at + sizeof size, size};
    *at += sizeof size + size;
    return string;
}

bool jb_gguf_string_is(struct jb_gguf_string string, const char *text)
{
    return string.size == strlen(text) && memcmp(string.data, text, (size_t)string.size) == 0;
}
