/* SPDX-License-Identifier: MIT */
#ifndef JB_DEVICE_INTERNAL_H
#define JB_DEVICE_INTERNAL_H

/* What the files of platforms/devices share. */

#include <stdbool.h>
#include <stddef.h>

#include "platforms/devices/device_file.h"

struct jb_device_file {
    char *name, *kind, *summary;
    const struct jb_device_key *schema; /* ends with a NULL key; outlives the file              */
    uint32_t n_schema;
    bool has_other_keys;            /* keys outside the schema are read past */
    struct jb_device_value *values; /* (n_values,) room for n_schema: pointers to them stay     */
    uint32_t n_values;
};

extern const char *const jb_device_kinds[]; /* NULL-terminated */

#ifdef __cplusplus
extern "C" {
#endif

/* Who wants to see entries as they are written, those outside the schema too. */
struct jb_device_listener {
    void (*fn)(void *ctx, const struct jb_device_text *text); /* NULL = nobody */
    void *ctx;
};

/* jb_device_parse(), or with schema NULL and reads_past the reader of common keys only. */
enum jb_status jb_device_read(const char *text, size_t size, const char *file_name,
                              const struct jb_device_key *schema, bool reads_past,
                              struct jb_device_listener listener,
                              struct jb_device_file **ret_file) JB_MUST_CHECK;

/* NULL if the schema has no such key. */
const struct jb_device_key *jb_device_schema_key(const struct jb_device_file *file,
                                                 const char *key);

/* "W" for POWER; "" where numbers have no unit. What SI values are told in. */
const char *jb_unit_si(enum jb_dimension dimension);
/* "W mW kW": for messages. */
void jb_unit_names(enum jb_dimension dimension, char *ret_names, size_t size);

/* Why a number was refused, in words fit to follow "key: ". */
struct jb_number_error {
    char text[256];
};
/* Checks and converts a number as written: decimal, finite, unit of the key's dimension, inside
 * the key's range. @return false with *ret_error. */
bool jb_unit_convert(const struct jb_device_key *key, const char *number, const char *unit,
                     double *ret_si, struct jb_number_error *ret_error);
/* The same for the words of a TEXT key. */
bool jb_text_check(const struct jb_device_key *key, const char *text,
                   struct jb_number_error *ret_error);
/* True for decimal numbers as device files may write them: no blanks, hex, infinity or NaN. */
bool jb_is_decimal(const char *text);
/* Length of the longest such number that `text` starts with. */
size_t jb_decimal_length(const char *text);

/* idle_w and active_w must be in order. @return the key that breaks a rule between values (then
 * *ret_error says which), or NULL. */
const char *jb_device_conflict(const struct jb_device_file *file,
                               struct jb_number_error *ret_error);

/* The schema's key that looks most like `key`; NULL if none is near. */
const char *jb_device_near_key(const struct jb_device_file *file, const char *key);

#ifdef __cplusplus
}
#endif
#endif
