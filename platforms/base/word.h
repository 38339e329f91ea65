/* SPDX-License-Identifier: MIT */
#ifndef JB_BASE_WORD_H
#define JB_BASE_WORD_H

#include <stdint.h>

/* Words further apart than this are no help in "did you mean". */
#define JB_WORD_NEAR 3u

#ifdef __cplusplus
extern "C" {
#endif

/* Number of single-letter changes between two words; of long ones their first 64 letters count. */
uint32_t jb_word_distance(const char *a, const char *b);

#ifdef __cplusplus
}
#endif
#endif
