/* SPDX-License-Identifier: MIT */
#include "platforms/base/word.h"

#include <string.h>

uint32_t jb_word_distance(const char *a, const char *b)
{
    /* Levenshtein with one row; words longer than the row are told apart by their starts. */
    uint32_t row[65];
    const size_t n = strlen(b) < 64 ? strlen(b) : 64;
    for (size_t j = 0; j <= n; j++) {
        row[j] = (uint32_t)j;
    }
    for (size_t i = 1; i <= 64 && a[i - 1] != '\0'; i++) {
        uint32_t diagonal = row[0];
        row[0] = (uint32_t)i;
        for (size_t j = 1; j <= n; j++) {
            const uint32_t above = row[j];
            uint32_t best = diagonal + (a[i - 1] != b[j - 1] ? 1 : 0);
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[n];
}
