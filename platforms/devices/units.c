/* SPDX-License-Identifier: MIT */
/* Units of device files and their conversion to SI. */
#include "platforms/devices/device_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SI = number * multiplier / divisor: a division by 1e12 rounds once, a product with 1e-12 twice,
 * so "1.2 pJ" is the same double as 1.2e-12. The first unit of a dimension is its SI one. */
static const struct {
    const char *name;
    enum jb_dimension dimension;
    double multiplier, divisor;
} units[] = {
    {"s", JB_DIM_TIME, 1, 1},
    {"ms", JB_DIM_TIME, 1, 1e3},
    {"us", JB_DIM_TIME, 1, 1e6},
    {"ns", JB_DIM_TIME, 1, 1e9},
    {"ps", JB_DIM_TIME, 1, 1e12},
    {"Hz", JB_DIM_FREQUENCY, 1, 1},
    {"kHz", JB_DIM_FREQUENCY, 1e3, 1},
    {"MHz", JB_DIM_FREQUENCY, 1e6, 1},
    {"GHz", JB_DIM_FREQUENCY, 1e9, 1},
    {"W", JB_DIM_POWER, 1, 1},
    {"mW", JB_DIM_POWER, 1, 1e3},
    {"kW", JB_DIM_POWER, 1e3, 1},
    {"J", JB_DIM_ENERGY, 1, 1},
    {"mJ", JB_DIM_ENERGY, 1, 1e3},
    {"uJ", JB_DIM_ENERGY, 1, 1e6},
    {"nJ", JB_DIM_ENERGY, 1, 1e9},
    {"pJ", JB_DIM_ENERGY, 1, 1e12},
    {"fJ", JB_DIM_ENERGY, 1, 1e15},
    {"B", JB_DIM_BYTES, 1, 1},
    {"kB", JB_DIM_BYTES, 1e3, 1},
    {"MB", JB_DIM_BYTES, 1e6, 1},
    {"GB", JB_DIM_BYTES, 1e9, 1},
    {"TB", JB_DIM_BYTES, 1e12, 1},
    {"KiB", JB_DIM_BYTES, 0x1p10, 1},
    {"MiB", JB_DIM_BYTES, 0x1p20, 1},
    {"GiB", JB_DIM_BYTES, 0x1p30, 1},
    {"TiB", JB_DIM_BYTES, 0x1p40, 1},
    {"B/s", JB_DIM_BYTE_RATE, 1, 1},
    {"kB/s", JB_DIM_BYTE_RATE, 1e3, 1},
    {"MB/s", JB_DIM_BYTE_RATE, 1e6, 1},
    {"GB/s", JB_DIM_BYTE_RATE, 1e9, 1},
    {"TB/s", JB_DIM_BYTE_RATE, 1e12, 1},
    {"KiB/s", JB_DIM_BYTE_RATE, 0x1p10, 1},
    {"MiB/s", JB_DIM_BYTE_RATE, 0x1p20, 1},
    {"GiB/s", JB_DIM_BYTE_RATE, 0x1p30, 1},
    {"TiB/s", JB_DIM_BYTE_RATE, 0x1p40, 1},
    {"op/s", JB_DIM_OP_RATE, 1, 1},
    {"kop/s", JB_DIM_OP_RATE, 1e3, 1},
    {"Mop/s", JB_DIM_OP_RATE, 1e6, 1},
    {"Gop/s", JB_DIM_OP_RATE, 1e9, 1},
    {"Top/s", JB_DIM_OP_RATE, 1e12, 1},
    {"Pop/s", JB_DIM_OP_RATE, 1e15, 1},
    {"FLOP/s", JB_DIM_OP_RATE, 1, 1},
    {"MFLOP/s", JB_DIM_OP_RATE, 1e6, 1},
    {"GFLOP/s", JB_DIM_OP_RATE, 1e9, 1},
    {"TFLOP/s", JB_DIM_OP_RATE, 1e12, 1},
    {"PFLOP/s", JB_DIM_OP_RATE, 1e15, 1},
    {"A", JB_DIM_CURRENT, 1, 1},
    {"mA", JB_DIM_CURRENT, 1, 1e3},
    {"uA", JB_DIM_CURRENT, 1, 1e6},
    {"V", JB_DIM_VOLTAGE, 1, 1},
    {"mV", JB_DIM_VOLTAGE, 1, 1e3},
    {"J/bit", JB_DIM_ENERGY_PER_BIT, 1, 1},
    {"nJ/bit", JB_DIM_ENERGY_PER_BIT, 1, 1e9},
    {"pJ/bit", JB_DIM_ENERGY_PER_BIT, 1, 1e12},
    {"fJ/bit", JB_DIM_ENERGY_PER_BIT, 1, 1e15},
    {"m2", JB_DIM_AREA, 1, 1},
    {"mm2", JB_DIM_AREA, 1, 1e6},
    {"um2", JB_DIM_AREA, 1, 1e12},
    {"cycles", JB_DIM_CYCLES, 1, 1},
};
#define N_UNITS (sizeof units / sizeof units[0])

/* Whether a unit of one dimension may stand where another is asked. */
static bool is_of(enum jb_dimension unit, enum jb_dimension asked)
{
    return unit == asked ||
           (asked == JB_DIM_CLOCKED && (unit == JB_DIM_CYCLES || unit == JB_DIM_TIME));
}

const char *jb_unit_si(enum jb_dimension dimension)
{
    for (size_t i = 0; i < N_UNITS; i++) {
        if (units[i].dimension == dimension) {
            return units[i].name;
        }
    }
    return "";
}

void jb_unit_names(enum jb_dimension dimension, char *ret_names, size_t size)
{
    size_t n = 0;
    ret_names[0] = '\0';
    for (size_t i = 0; i < N_UNITS && n < size; i++) {
        if (is_of(units[i].dimension, dimension)) {
            const int wrote =
                snprintf(ret_names + n, size - n, "%s%s", n > 0 ? " " : "", units[i].name);
            n += wrote > 0 ? (size_t)wrote : 0;
        }
    }
}

static size_t digits(const char *text)
{
    return strspn(text, "0123456789");
}

size_t jb_decimal_length(const char *text)
{
    size_t n = text[0] == '-' || text[0] == '+' ? 1 : 0;
    const size_t whole = digits(text + n);
    n += whole;
    size_t fraction = 0;
    if (text[n] == '.') {
        fraction = digits(text + n + 1);
        n += fraction > 0 ? fraction + 1 : 0;
    }
    if (whole == 0 || (text[n] == '.' && fraction == 0)) {
        return 0;
    }
    if (text[n] == 'e' || text[n] == 'E') {
        const size_t sign = text[n + 1] == '-' || text[n + 1] == '+' ? 1 : 0;
        const size_t exponent = digits(text + n + 1 + sign);
        n += exponent > 0 ? 1 + sign + exponent : 0;
    }
    return n;
}

bool jb_is_decimal(const char *text)
{
    const size_t n = jb_decimal_length(text);
    return n > 0 && text[n] == '\0';
}

/* Index of the unit, or N_UNITS. */
static size_t find_unit(const char *name)
{
    size_t i = 0;
    while (i < N_UNITS && strcmp(units[i].name, name) != 0) {
        i++;
    }
    return i;
}

static bool check_unit(const struct jb_device_key *key, const char *unit, size_t found,
                       struct jb_number_error *ret_error)
{
    char names[160];
    jb_unit_names(key->dimension, names, sizeof names);
    if (key->dimension == JB_DIM_NONE) {
        if (unit[0] != '\0') {
            (void)snprintf(ret_error->text, sizeof ret_error->text,
                           "takes no unit, but has '%.40s'", unit);
        }
        return unit[0] == '\0';
    }
    if (unit[0] == '\0') {
        (void)snprintf(ret_error->text, sizeof ret_error->text, "needs a unit: %s", names);
        return false;
    }
    if (found == N_UNITS) {
        (void)snprintf(ret_error->text, sizeof ret_error->text,
                       "unit '%.40s' is not known; usable: %s", unit, names);
        return false;
    }
    if (!is_of(units[found].dimension, key->dimension)) {
        (void)snprintf(ret_error->text, sizeof ret_error->text,
                       "unit '%.40s' is of another dimension; usable: %s", unit, names);
        return false;
    }
    return true;
}

bool jb_unit_convert(const struct jb_device_key *key, const char *number, const char *unit,
                     double *ret_si, struct jb_number_error *ret_error)
{
    const size_t found = find_unit(unit);
    if (!jb_is_decimal(number)) {
        (void)snprintf(ret_error->text, sizeof ret_error->text, "'%.60s' is not a number", number);
        return false;
    }
    if (!check_unit(key, unit, found, ret_error)) {
        return false;
    }
    double si = strtod(number, NULL);
    if (found < N_UNITS) {
        si = si * units[found].multiplier / units[found].divisor;
    }
    const enum jb_dimension dimension = found < N_UNITS ? units[found].dimension : key->dimension;
    /* The range of a CLOCKED key is in cycles; as a time it has 1 s to be in. */
    const bool is_time = key->dimension == JB_DIM_CLOCKED && dimension == JB_DIM_TIME;
    const double max = is_time ? 1 : key->max;
    if (!isfinite(si) || si < key->min || si > max) {
        const char *name = jb_unit_si(dimension);
        (void)snprintf(ret_error->text, sizeof ret_error->text,
                       "%.40s%s%.40s is outside the range %g to %g%s%s", number,
                       unit[0] != '\0' ? " " : "", unit, key->min, max, name[0] != '\0' ? " " : "",
                       name);
        return false;
    }
    if (dimension == JB_DIM_CYCLES && si != floor(si)) {
        (void)snprintf(ret_error->text, sizeof ret_error->text,
                       "%.40s is not a whole number of cycles", number);
        return false;
    }
    *ret_si = si;
    return true;
}

bool jb_text_check(const struct jb_device_key *key, const char *text,
                   struct jb_number_error *ret_error)
{
    const size_t length = strlen(text);
    if (length == 0 || text[strspn(text, " \t\r\n")] == '\0') {
        (void)snprintf(ret_error->text, sizeof ret_error->text, "its value is empty");
        return false;
    }
    if (key->choices == NULL) {
        if (jb_is_decimal(text)) {
            (void)snprintf(ret_error->text, sizeof ret_error->text,
                           "'%.60s' is a number where a word must be", text);
            return false;
        }
        return true;
    }
    for (const char *word = key->choices; *word != '\0';) {
        const size_t n = strcspn(word, " ");
        if (n == length && memcmp(word, text, n) == 0) {
            return true;
        }
        word += n + strspn(word + n, " ");
    }
    (void)snprintf(ret_error->text, sizeof ret_error->text, "'%.60s' is not one of: %.150s", text,
                   key->choices);
    return false;
}
