/* SPDX-License-Identifier: MIT */
#ifndef JB_TEST_ALLOC_H
#define JB_TEST_ALLOC_H

#include <stdbool.h>
#include <stdint.h>

/* Sees every request for memory made by the code linked into the test (the linker wraps malloc
 * and its relatives), by any thread. */

/* From here on counts; request number `fail_at` (from 1) and all later ones fail, 0 = none. */
void alloc_watch(uint32_t fail_at);
/* Stops. @return requests since alloc_watch() */
uint32_t alloc_stop(void);

#endif
