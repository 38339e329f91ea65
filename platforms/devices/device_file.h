/* SPDX-License-Identifier: MIT */
#ifndef JB_DEVICE_FILE_H
#define JB_DEVICE_FILE_H

/* Device files: the constants of the machines we model, each with its unit and its source.
 *
 * A file is YAML (read with libyaml), strict: an unknown, missing, repeated, unphysical or
 * unsourced value is an error that names file, line and key. Form:
 *
 *   device: generic-host
 *   kind: cpu                      # cpu gpu fpga asic pim dram
 *   summary: One line for `list devices`.
 *   values:
 *     idle_w: {value: 65, unit: W, source: "measured: SPECpower ..., 2023"}
 *     memory_bytes_per_s: {value: 460.8, unit: GB/s, source: "datasheet ...", estimate: true}
 *     name_of_choice: {value: fr_fcfs, source: "..."}
 *
 * The unit must be of the dimension the schema asks for; the value is handed out in SI. Which
 * keys exist, in what range, and whether they are required is the reader's schema (a const table
 * in the code that uses them): devices of one kind share the common keys below. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platforms/base/status.h"
#include "platforms/base/units.h"

enum jb_dimension {
    JB_DIM_NONE,           /* plain number or count                 */
    JB_DIM_TIME,           /* s ms us ns ps                         */
    JB_DIM_FREQUENCY,      /* Hz kHz MHz GHz                        */
    JB_DIM_POWER,          /* W mW kW                               */
    JB_DIM_ENERGY,         /* J mJ uJ nJ pJ fJ                      */
    JB_DIM_BYTES,          /* B kB MB GB KiB MiB GiB                */
    JB_DIM_BYTE_RATE,      /* B/s kB/s MB/s GB/s TB/s and Ki.. forms */
    JB_DIM_OP_RATE,        /* op/s Gop/s Top/s; FLOP/s alike        */
    JB_DIM_CURRENT,        /* A mA uA                               */
    JB_DIM_VOLTAGE,        /* V mV                                  */
    JB_DIM_ENERGY_PER_BIT, /* pJ/bit, J/bit                    */
    JB_DIM_AREA,           /* mm2 um2                               */
    JB_DIM_CYCLES,         /* cycles: integer                       */
    JB_DIM_CLOCKED,        /* cycles, or a time: see jb_device_cycles() */
    JB_DIM_TEXT            /* a word; no unit                       */
};

/* The order is that of a table's columns.
 * NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct jb_device_key {
    const char *key;
    enum jb_dimension dimension;
    double min, max; /* SI, inclusive; checked for numbers                       */
    bool is_required;
    const char *choices; /* TEXT: allowed words separated by spaces; NULL = any     */
    const char *help;    /* one sentence */
};

struct jb_device_value {
    const char *key;
    double si;          /* NaN for TEXT                             */
    const char *text;   /* the word; NULL for numbers               */
    const char *unit;   /* as written; "" if none                   */
    const char *source; /* never empty                              */
    bool is_estimate;
    uint32_t line;
};

/* An entry as the file writes it. */
struct jb_device_text {
    const char *key, *value, *unit, *source; /* "" where the file gives none */
    bool is_estimate;
    uint32_t line;
};

struct jb_device_file;

/* Lines of a schema: a plain number from least to most, a word of `words` (NULL = any), a value of
 * `kind` from 0 to most (SI). */
#define JB_KEY_NUMBER(name, least, most, required, text)                                           \
    {                                                                                              \
        .key = (name), .dimension = JB_DIM_NONE, .min = (least), .max = (most),                    \
        .is_required = (required), .help = (text)                                                  \
    }
#define JB_KEY_WORD(name, words, required, text)                                                   \
    {                                                                                              \
        .key = (name), .dimension = JB_DIM_TEXT, .choices = (words), .is_required = (required),    \
        .help = (text)                                                                             \
    }
#define JB_KEY_VALUE(name, kind, most, required, text)                                             \
    {                                                                                              \
        .key = (name), .dimension = (kind), .min = 0, .max = (most), .is_required = (required),    \
        .help = (text)                                                                             \
    }

/* Keys every device may have; a schema is these + its own. Peaks are those of the whole device. */
#define JB_DEVICE_COMMON_KEYS                                                                        \
    {"idle_w", JB_DIM_POWER, 0, 1e6, false, 0, "Power at rest, ready to work."},                     \
        {"active_w",                                                                                 \
         JB_DIM_POWER,                                                                               \
         0,                                                                                          \
         1e6,                                                                                        \
         false,                                                                                      \
         0,                                                                                          \
         "Power when fully busy; measured or vendor data."},                                         \
        {"limit_w", JB_DIM_POWER, 0, 1e6, false, 0, "Power limit or TDP."},                          \
        {"power_class",                                                                              \
         JB_DIM_TEXT,                                                                                \
         0,                                                                                          \
         0,                                                                                          \
         false,                                                                                      \
         "measured nameplate",                                                                       \
         "Whether idle_w and active_w are sourced measurements or nameplate values."},               \
        {"physical_cores", JB_DIM_NONE, 1, 1e6, false, 0, "Cores that the watts are for."},          \
        {"memory_bytes_per_s", JB_DIM_BYTE_RATE, 1, 1e17, false, 0, "Peak memory bandwidth."},       \
        {"memory_bytes", JB_DIM_BYTES, 1, 1e17, false, 0, "Memory of the device."},                  \
        {"last_level_cache_bytes", JB_DIM_BYTES, 0, 1e15, false, 0, "Largest cache before memory."}, \
        {"f32_op_per_s",                                                                             \
         JB_DIM_OP_RATE,                                                                             \
         1,                                                                                          \
         1e21,                                                                                       \
         false,                                                                                      \
         0,                                                                                          \
         "Peak float32 rate, multiply + add = 2."},                                                  \
        {"f16_op_per_s", JB_DIM_OP_RATE, 1, 1e21, false, 0, "Peak float16/bfloat16 rate, dense."},   \
        {"int8_op_per_s", JB_DIM_OP_RATE, 1, 1e21, false, 0, "Peak int8 rate, dense."},              \
    {                                                                                                \
        "process_nm", JB_DIM_NONE, 1, 1000, false, 0, "Process node in nanometres."                  \
    }

#ifdef __cplusplus
extern "C" {
#endif

/* Opens a device by name (searched as <dir>/<kind>/<name>.yaml under $JB_DEVICE_PATH, the build's
 * source tree, then the installed data folder) or by path (has a '/' or ends in .yaml).
 * @param schema ends with a NULL key; NULL = the common keys only.
 * @return NODEV: no such device (the reason lists near names); FORMAT: file, line, key and rule. */
enum jb_status jb_device_open(const char *name, const struct jb_device_key *schema,
                              struct jb_device_file **ret_file) JB_MUST_CHECK;
/* The same for readers that want what all devices share: name, kind, summary and common keys. Keys
 * of other schemas are read past: their form is checked, not their names and ranges. */
enum jb_status jb_device_open_common(const char *name,
                                     struct jb_device_file **ret_file) JB_MUST_CHECK;
/* Hands out every entry of a file as it is written, keys of all schemas, in the file's order: for
 * listings. The file is checked as by jb_device_open_common(); entries before an error have been
 * handed out by then. */
enum jb_status jb_device_each(const char *name,
                              void (*fn)(void *ctx, const struct jb_device_text *text),
                              void *ctx) JB_MUST_CHECK;
/* jb_device_open() from memory; file_name is for messages. For tests and fuzzing. */
enum jb_status jb_device_parse(const char *text, size_t size, const char *file_name,
                               const struct jb_device_key *schema,
                               struct jb_device_file **ret_file) JB_MUST_CHECK;
void jb_device_close(struct jb_device_file *file); /* NULL is fine */

const char *jb_device_name(const struct jb_device_file *file);
const char *jb_device_kind(const struct jb_device_file *file);
const char *jb_device_summary(const struct jb_device_file *file);
/* NULL if the file does not give the key. */
const struct jb_device_value *jb_device_get(const struct jb_device_file *file, const char *key);
/* The SI number, or NaN if the file does not give the key. */
double jb_device_number(const struct jb_device_file *file, const char *key);
/* A CLOCKED value in cycles of a clock, times rounded up as the memory standards do.
 * @return false if the file does not give the key. */
bool jb_device_cycles(const struct jb_device_file *file, const char *key, double clock_hz,
                      uint32_t *ret_cycles);
/* Replaces a value (--set KEY=VALUE): "65 W", "1.2ns" or a bare number in the unit the file used.
 * @return INVAL for an unknown key (the reason names a near one) or a value out of range. */
enum jb_status jb_device_set(struct jb_device_file *file, const char *key,
                             const char *value) JB_MUST_CHECK;
uint32_t jb_device_count(const struct jb_device_file *file);
const struct jb_device_value *jb_device_at(const struct jb_device_file *file, uint32_t index);

/* Names of all shipped devices: calls fn(ctx, kind, name, path) for each, sorted; stops when fn
 * returns false. */
enum jb_status jb_device_list(bool (*fn)(void *ctx, const char *kind, const char *name,
                                         const char *path),
                              void *ctx);

#ifdef __cplusplus
}
#endif
#endif
