/* SPDX-License-Identifier: MIT */
/* Step marks and the integral of a sampled power: plain arithmetic, no clock, no meter. */
#include <stdlib.h>

#include "bench/measure/measure.h"

enum jb_status jb_marks_create(uint32_t capacity, struct jb_marks *ret_marks)
{
    double *kept = malloc(capacity * sizeof *kept);
    if (kept == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for %u step marks", capacity);
    }
    *ret_marks = (struct jb_marks){.kept_s = kept, .capacity = capacity};
    jb_marks_clear(ret_marks);
    return JB_OK;
}

void jb_marks_free(struct jb_marks *marks)
{
    free(marks->kept_s);
    *marks = (struct jb_marks){0};
}

void jb_marks_clear(struct jb_marks *marks)
{
    marks->n = 0;
    jb_rng_seed(&marks->rng, 1, 0);
}

void jb_marks_add(struct jb_marks *marks, double step_s)
{
    const uint64_t n = marks->n++;
    if (n < marks->capacity) {
        marks->kept_s[n] = step_s;
        return;
    }
    const uint64_t at = (uint64_t)(jb_rng_unit(&marks->rng) * (double)(n + 1));
    if (at < marks->capacity) {
        marks->kept_s[at] = step_s;
    }
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

double jb_marks_quantile(struct jb_marks *marks, double q)
{
    const uint64_t n = marks->n < marks->capacity ? marks->n : marks->capacity;
    if (n == 0) {
        return jb_missing();
    }
    qsort(marks->kept_s, n, sizeof *marks->kept_s, compare_doubles);
    const double place = q * (double)(n - 1);
    const uint64_t low = (uint64_t)place;
    const uint64_t high = low + 1 < n ? low + 1 : low;
    const double share = place - (double)low;
    return marks->kept_s[low] * (1 - share) + marks->kept_s[high] * share;
}

/* Energy of the straight line from (ta, wa) to (tb, wb) inside [begin, end]. */
static double segment_j(double ta, double wa, double tb, double wb, double begin_s, double end_s)
{
    const double from = ta > begin_s ? ta : begin_s;
    const double to = tb < end_s ? tb : end_s;
    if (!(to > from)) {
        return 0;
    }
    const double slope = (wb - wa) / (tb - ta);
    const double w_from = wa + slope * (from - ta);
    const double w_to = wa + slope * (to - ta);
    return 0.5 * (w_from + w_to) * (to - from);
}

const char *jb_integrate_power(const double *times_s, const double *watts, uint64_t n,
                               double begin_s, double end_s, double max_gap_s, double *ret_energy_j)
{
    double energy_j = 0;
    uint64_t last = UINT64_MAX;
    bool covers_begin = false;
    for (uint64_t i = 0; i < n; i++) {
        if (jb_is_missing(watts[i])) {
            continue;
        }
        if (last == UINT64_MAX || times_s[i] <= begin_s) {
            covers_begin = times_s[i] <= begin_s;
        } else if (times_s[last] < end_s) {
            if (times_s[i] - times_s[last] > max_gap_s) {
                return "sample-gap";
            }
            energy_j += segment_j(times_s[last], watts[last], times_s[i], watts[i], begin_s, end_s);
        }
        last = i;
    }
    if (!covers_begin || last == UINT64_MAX || times_s[last] < end_s) {
        return "not-bracketed";
    }
    *ret_energy_j = energy_j;
    return "";
}
