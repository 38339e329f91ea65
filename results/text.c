/* SPDX-License-Identifier: MIT */
#include "results/text.h"

#include <csv.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* printf and strtod use the locale's decimal point: swapped for '.' on the way out and back in. */
static void swap_point(char *text, size_t capacity, const char *from, const char *to)
{
    char *at = strstr(text, from);
    const size_t n_from = strlen(from), n_to = strlen(to), n = strlen(text);
    if (at == NULL || strcmp(from, to) == 0 || n - n_from + n_to >= capacity) {
        return;
    }
    memmove(at + n_to, at + n_from, strlen(at + n_from) + 1);
    for (size_t i = 0; i < n_to; i++) {
        at[i] = to[i];
    }
}

void jb_real_print(double value, char ret_text[JB_NUMBER_MAX])
{
    ret_text[0] = '\0';
    if (isnan(value)) {
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(ret_text, JB_NUMBER_MAX, "%.*g", digits, value);
        if (strtod(ret_text, NULL) == value) {
            break;
        }
    }
    swap_point(ret_text, JB_NUMBER_MAX, localeconv()->decimal_point, ".");
}

static size_t skip_digits(const char *text, size_t size, size_t at)
{
    while (at < size && text[at] >= '0' && text[at] <= '9') {
        at++;
    }
    return at;
}

static bool is_decimal(const char *text, size_t size)
{
    size_t at = size > 0 && (text[0] == '+' || text[0] == '-') ? 1 : 0;
    const size_t start = at;
    at = skip_digits(text, size, at);
    size_t n_digits = at - start;
    if (at < size && text[at] == '.') {
        const size_t point = at + 1;
        at = skip_digits(text, size, point);
        n_digits += at - point;
    }
    if (n_digits == 0) {
        return false;
    }
    if (at < size && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        at += at < size && (text[at] == '+' || text[at] == '-') ? 1 : 0;
        const size_t exponent = at;
        at = skip_digits(text, size, at);
        if (at == exponent) {
            return false;
        }
    }
    return at == size;
}

bool jb_real_parse(const char *text, size_t size, double *ret_value)
{
    char copy[512];
    if (size + 8 > sizeof copy || !is_decimal(text, size)) {
        return false;
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    swap_point(copy, sizeof copy, ".", localeconv()->decimal_point);
    char *end = NULL;
    const double value = strtod(copy, &end);
    if (*end != '\0' || !isfinite(value)) {
        return false;
    }
    *ret_value = value;
    return true;
}

bool jb_int_parse(const char *text, size_t size, int64_t *ret_value)
{
    char copy[JB_NUMBER_MAX];
    const size_t sign = size > 0 && (text[0] == '+' || text[0] == '-') ? 1 : 0;
    if (size >= sizeof copy || size == sign || skip_digits(text, size, sign) != size) {
        return false;
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    errno = 0;
    const long long value = strtoll(copy, NULL, 10);
    if (errno != 0 || value == INT64_MIN) {
        return false;
    }
    *ret_value = value;
    return true;
}

/* Length of the sequence a first byte opens, and the allowed range of the byte after it
 * (RFC 3629, section 4); 0 = no sequence starts so. */
static size_t sequence_of(unsigned char first, unsigned char *ret_low, unsigned char *ret_high)
{
    *ret_low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    *ret_high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (first < 0x80) {
        return 1;
    }
    if (first >= 0xC2 && first <= 0xDF) {
        return 2;
    }
    if (first >= 0xE0 && first <= 0xEF) {
        return 3;
    }
    return first >= 0xF0 && first <= 0xF4 ? 4 : 0;
}

size_t jb_utf8_valid(const char *text, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t at = 0;
    while (at < size) {
        unsigned char low, high;
        const size_t length = sequence_of(bytes[at], &low, &high);
        if (length == 0 || length > size - at) {
            return at;
        }
        for (size_t i = 1; i < length; i++) {
            if (bytes[at + i] < low || bytes[at + i] > high) {
                return at;
            }
            low = 0x80;
            high = 0xBF;
        }
        at += length;
    }
    return at;
}

size_t jb_utf8_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xC0) != 0x80 ? 1 : 0;
    }
    return width;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

size_t jb_csv_cell(char *to, size_t capacity, const char *text)
{
    char clean[JB_CELL_MAX];
    const size_t size = strnlen(text, sizeof clean);
    memcpy(clean, text, size);
    for (size_t bad = jb_utf8_valid(clean, size); bad < size;
         bad += jb_utf8_valid(clean + bad, size - bad)) {
        clean[bad] = '?';
    }
    bool wants_quotes = size > 0 && (is_blank(clean[0]) || is_blank(clean[size - 1]));
    for (size_t i = 0; i < size; i++) {
        clean[i] = clean[i] == '\n' || clean[i] == '\r' ? ' ' : clean[i];
        wants_quotes = wants_quotes || clean[i] == ',' || clean[i] == '"';
    }
    if (wants_quotes) {
        return csv_write2(to, capacity, clean, size, CSV_QUOTE);
    }
    if (size <= capacity) {
        memcpy(to, clean, size);
    }
    return size;
}

void jb_csv_put(FILE *out, const char *text)
{
    char cell[2 * JB_CELL_MAX + 2];
    const size_t size = jb_csv_cell(cell, sizeof cell, text);
    (void)fwrite(cell, 1, size, out);
}
