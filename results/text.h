/* SPDX-License-Identifier: MIT */
#ifndef JB_RESULTS_TEXT_H
#define JB_RESULTS_TEXT_H

/* Cells as text: numbers that survive the round trip in every locale, and UTF-8. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define JB_NUMBER_MAX 32 /* longest printed number, the NUL included */

#ifdef __cplusplus
extern "C" {
#endif

/* Shortest decimal that reads back as the same double, always with a '.'; NaN gives "". */
void jb_real_print(double value, char ret_text[JB_NUMBER_MAX]);
/* Whole text as decimal number: [+-]digits[.digits][e[+-]digits]. No spaces, no hexadecimal, no
 * "nan" or "inf", nothing that overflows. false leaves *ret_value untouched. */
bool jb_real_parse(const char *text, size_t size, double *ret_value);
/* The same for [+-]digits in (INT64_MIN, INT64_MAX]; INT64_MIN means missing and is refused. */
bool jb_int_parse(const char *text, size_t size, int64_t *ret_value);

/* Text as a CSV cell, quoted only where CSV asks for it. A row is one line, so line breaks become
 * spaces; a byte that is not UTF-8 becomes '?', since a reader would refuse it. Text beyond
 * JB_CELL_MAX bytes is cut.
 * @param to room for 2 x length + 2 bytes is always enough; no NUL is added
 * @return bytes of the cell. */
#define JB_CELL_MAX 1024
size_t jb_csv_cell(char *to, size_t capacity, const char *text);
void jb_csv_put(FILE *out, const char *text);

/* Bytes from the start that are well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates). */
size_t jb_utf8_valid(const char *text, size_t size);
/* Code points in well-formed text: its width on a terminal as far as this project's text goes. */
size_t jb_utf8_width(const char *text);

#ifdef __cplusplus
}
#endif
#endif
