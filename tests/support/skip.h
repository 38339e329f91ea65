/* SPDX-License-Identifier: MIT */
#ifndef JB_TEST_SKIP_H
#define JB_TEST_SKIP_H

/* cmocka's skip() with the reason, which its TAP cannot carry: tests/tally.py takes it from the
 * comment line. Include behind cmocka.h. */

#include <stdio.h>

#define SKIP_BECAUSE(...)                                                                          \
    do {                                                                                           \
        (void)printf("# skip: " __VA_ARGS__);                                                      \
        (void)printf("\n");                                                                        \
        (void)fflush(stdout);                                                                      \
        skip();                                                                                    \
    } while (0)

#endif
