/* SPDX-License-Identifier: MIT */
#ifndef JB_TEST_CPU_LEVELS_H
#define JB_TEST_CPU_LEVELS_H

/* What tests of the cpu backend's kernels share: poisoned outputs, comparison with a limit, and a
 * run at every level of this machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cpu/kernels.h"
#include "backends/refops/refops.h"
#include "platforms/base/rng.h"

#define POISON 12345.0f
#define GUARD 8u /* poisoned values after each output */

static inline float *values(struct jb_rng *rng, size_t n, float scale)
{
    float *x = malloc((n + GUARD) * sizeof(*x));
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        x[i] = scale * (float)(2.0 * jb_rng_unit(rng) - 1.0);
    }
    return x;
}

static inline float *poisoned(size_t n)
{
    float *x = malloc((n + GUARD) * sizeof(*x));
    assert_non_null(x);
    for (size_t i = 0; i < n + GUARD; i++) {
        x[i] = POISON;
    }
    return x;
}

/* All n are within limit x the root mean square of what they should be, or x `size` where that is
 * larger; the guard is untouched. */
static inline void check_size(const char *what, const struct jb_cpu_kernels *k, const float *got,
                              const float *want, size_t n, double limit, double size)
{
    double square = 0.0, worst = 0.0;
    size_t worst_at = 0;
    for (size_t i = 0; i < n; i++) {
        square += (double)want[i] * (double)want[i];
        const double difference = fabs((double)got[i] - (double)want[i]);
        if (!(difference <= worst)) {
            worst = difference;
            worst_at = i;
        }
    }
    const double allowed = limit * fmax(sqrt(square / (double)n), size) + 1e-30;
    if (!(worst <= allowed)) {
        fail_msg("%s at level %s: value %zu of %zu is %g, not %g (off by %g, allowed %g)", what,
                 jb_simd_name(k->level), worst_at, n, (double)got[worst_at], (double)want[worst_at],
                 worst, allowed);
    }
    for (size_t i = n; i < n + GUARD; i++) {
        if (got[i] != POISON) {
            fail_msg("%s at level %s: wrote value %zu of %zu", what, jb_simd_name(k->level), i, n);
        }
    }
}

static inline void check(const char *what, const struct jb_cpu_kernels *k, const float *got,
                         const float *want, size_t n, double limit)
{
    check_size(what, k, got, want, n, limit, 0.0);
}

static inline void for_each_level(void (*test)(const struct jb_cpu_kernels *k))
{
    uint32_t n = 0;
    for (enum jb_simd level = JB_SIMD_SCALAR; level <= JB_SIMD_AMX; level++) {
        const struct jb_cpu_kernels *k = jb_cpu_kernels_for(level);
        if (k->level == level && jb_simd_usable(level)) {
            test(k);
            n++;
        }
    }
    assert_true(n >= 1);
}

#define AT_EACH_LEVEL(NAME)                                                                        \
    static void test_##NAME(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        for_each_level(NAME);                                                                      \
    }

#endif
