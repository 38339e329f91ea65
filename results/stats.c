/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "platforms/base/units.h"
#include "results/results.h"

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of_sorted(const double *sorted, uint64_t n)
{
    return n % 2 == 1 ? sorted[n / 2] : 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]);
}

/* Rank k (1-based) such that [x(k), x(n+1-k)] covers the median with at least 95 %: the largest k
 * with P(B <= k-1) <= 2.5 %, B binomial(n, 1/2). Logarithms, since 2^-n underflows. 0 = none. */
static uint64_t rank_of_interval(uint64_t n)
{
    double log_term = -(double)n * log(2.0), sum = 0.0;
    uint64_t k = 0;
    while (k < n / 2) {
        sum += exp(log_term);
        if (sum > 0.025) {
            break;
        }
        log_term += log((double)(n - k) / (double)(k + 1));
        k++;
    }
    return k;
}

/* Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993): |x - median| / (1.4826 MAD)
 * above 3.5, with 1.2533 x the mean deviation in its place where more than half are equal. */
static uint64_t count_outliers(const double *sorted, uint64_t n, double median, double *scratch)
{
    double mean = 0.0;
    for (uint64_t i = 0; i < n; i++) {
        scratch[i] = fabs(sorted[i] - median);
        mean += scratch[i] / (double)n;
    }
    qsort(scratch, n, sizeof *scratch, compare_doubles);
    const double mad = median_of_sorted(scratch, n);
    const double scale = mad > 0.0 ? 1.4826 * mad : 1.2533 * mean;
    uint64_t n_outliers = 0;
    for (uint64_t i = 0; i < n; i++) {
        n_outliers += scratch[i] > 3.5 * scale ? 1 : 0;
    }
    return n_outliers;
}

struct jb_interval jb_interval_of(const double *values, uint64_t n)
{
    struct jb_interval result = {.median = jb_missing(), .low = jb_missing(), .high = jb_missing()};
    double *sorted = n > 0 ? malloc(2 * n * sizeof *sorted) : NULL;
    if (sorted == NULL) {
        return result;
    }
    uint64_t n_there = 0;
    for (uint64_t i = 0; i < n; i++) {
        if (!jb_is_missing(values[i])) {
            sorted[n_there++] = values[i];
        }
    }
    result.n = n_there;
    if (n_there > 0) {
        qsort(sorted, n_there, sizeof *sorted, compare_doubles);
        result.median = median_of_sorted(sorted, n_there);
    }
    if (n_there >= 3) {
        const uint64_t k = n_there < 6 ? 1 : rank_of_interval(n_there);
        result.low = sorted[k - 1];
        result.high = sorted[n_there - k];
        result.n_outliers = count_outliers(sorted, n_there, result.median, sorted + n);
    }
    free(sorted);
    return result;
}
