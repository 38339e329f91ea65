/* SPDX-License-Identifier: MIT */
/* Ranges, ranks and the data behind the figures. */
#include <math.h>
#include <stdlib.h>

#include "bench/figure_looks.h"
#include "bench/survey.h"
#include "results/text.h"

enum { LEAST, MEDIAN, MOST };

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

/* Sorts values. n > 0. */
static void spread(double *values, uint64_t n, double ret_range[3])
{
    qsort(values, n, sizeof *values, compare);
    ret_range[LEAST] = values[0];
    ret_range[MEDIAN] = 0.5 * (values[(n - 1) / 2] + values[n / 2]);
    ret_range[MOST] = values[n - 1];
}

static void range_of(const struct jb_points *points, const struct jb_point_choice *choice,
                     enum jb_pub_platform platform, struct jb_platform_range *range)
{
    *range = (struct jb_platform_range){.n = 0};
    double *values = calloc(3 * points->n + 1, sizeof *values);
    if (values == NULL) {
        return;
    }
    double *const speed = values, *const power = speed + points->n,
                  *const efficiency = power + points->n;
    for (uint64_t i = 0; i < points->n; i++) {
        const struct jb_point *point = &points->at[i];
        if (point->platform != platform || !jb_point_is_chosen(point, choice)) {
            continue;
        }
        speed[range->n] = point->tokens_per_s;
        power[range->n] = point->power_w;
        efficiency[range->n++] = point->tokens_per_j;
        if (range->fastest == NULL || point->tokens_per_s > range->fastest->tokens_per_s) {
            range->fastest = point;
        }
        if (range->most_efficient == NULL ||
            point->tokens_per_j > range->most_efficient->tokens_per_j) {
            range->most_efficient = point;
        }
    }
    if (range->n > 0) {
        spread(speed, range->n, range->speed);
        spread(power, range->n, range->power);
        spread(efficiency, range->n, range->efficiency);
    }
    free(values);
}

void jb_survey_ranges(const struct jb_points *points, const struct jb_point_choice *choice,
                      struct jb_platform_range ret_ranges[JB_N_PUB_PLATFORMS])
{
    for (int p = 0; p < JB_N_PUB_PLATFORMS; p++) {
        range_of(points, choice, (enum jb_pub_platform)p, &ret_ranges[p]);
    }
}

double jb_survey_value(const struct jb_platform_range *range, enum jb_order_by by)
{
    return by == JB_BY_TOKENS_PER_J   ? range->efficiency[MOST]
           : by == JB_BY_TOKENS_PER_S ? range->speed[MOST]
                                      : range->efficiency[MEDIAN];
}

int jb_survey_rank(const struct jb_platform_range ranges[JB_N_PUB_PLATFORMS], enum jb_order_by by,
                   enum jb_pub_platform ret_order[JB_N_PUB_PLATFORMS])
{
    int n = 0;
    for (int p = 0; p < JB_N_PUB_PLATFORMS; p++) {
        if (ranges[p].n == 0) {
            continue;
        }
        int at = n++;
        while (at > 0 &&
               jb_survey_value(&ranges[ret_order[at - 1]], by) < jb_survey_value(&ranges[p], by)) {
            ret_order[at] = ret_order[at - 1];
            at--;
        }
        ret_order[at] = (enum jb_pub_platform)p;
    }
    return n;
}

/* ---- CSV ---- */

static void put_text(FILE *out, const char *text)
{
    jb_csv_put(out, text);
    (void)fputc(',', out);
}

static void put_number(FILE *out, double value)
{
    char text[JB_NUMBER_MAX];
    jb_real_print(value, text);
    (void)fprintf(out, "%s,", text);
}

/* Computed numbers carry the digits that their inputs have. */
static void put_rounded(FILE *out, double value)
{
    (void)fprintf(out, "%.4g,", value);
}

static void put_point(FILE *out, const struct jb_point *point)
{
    put_text(out, point->work);
    put_text(out, jb_pub_platform_name(point->platform));
    put_text(out, point->method);
    put_text(out, point->device);
    put_text(out, point->model);
    put_text(out, point->precision);
    if (point->batch != JB_INT_MISSING) {
        (void)fprintf(out, "%lld", (long long)point->batch);
    }
    (void)fputc(',', out);
    put_number(out, point->power_w);
    put_text(out, point->is_own ? "" : jb_power_kind_name(point->power_kind));
    put_number(out, point->tokens_per_s);
    put_number(out, point->tokens_per_j);
    put_text(out, jb_class_name(point->evidence));
    put_text(out, point->is_imported ? "imported" : point->is_own ? "own" : "published");
    put_text(out, point->source);
    const struct jb_interval *intervals[] = {&point->power, &point->speed, &point->efficiency};
    for (size_t i = 0; i < 3; i++) {
        const bool is_known = point->is_own && intervals[i]->low > 0.0;
        put_number(out, is_known ? intervals[i]->low : jb_missing());
        char text[JB_NUMBER_MAX];
        jb_real_print(is_known ? intervals[i]->high : jb_missing(), text);
        (void)fprintf(out, "%s%s", text, i < 2 ? "," : "\n");
    }
}

void jb_survey_print_points(FILE *out, const struct jb_points *points,
                            const struct jb_point_choice *choice)
{
    (void)fputs("work,platform,method,device,model,precision,batch,power_w,power_kind,"
                "tokens_per_s,tokens_per_j,evidence,origin,source,power_w_low,power_w_high,"
                "tokens_per_s_low,tokens_per_s_high,tokens_per_j_low,tokens_per_j_high\n",
                out);
    for (uint64_t i = 0; i < points->n; i++) {
        if (jb_point_is_chosen(&points->at[i], choice)) {
            put_point(out, &points->at[i]);
        }
    }
}

/* The sets of points that tables are made of. Published and own ones are never mixed. */
static const struct {
    const char *name;
    struct jb_point_choice choice;
} sets[] = {
    {"drawn", {.batch = 1, .with_published = true, .only_drawn = true}},
    {"sheet", {.with_published = true, .only_sheet = true}},
    {"published-batch8", {.batch = 8, .with_published = true}},
    {"own-batch1", {.batch = 1, .with_own = true}},
    {"own-batch8", {.batch = 8, .with_own = true}},
    {"imported-batch1", {.batch = 1, .with_imported = true}},
    {"imported-batch8", {.batch = 8, .with_imported = true}},
};
enum { N_SETS = sizeof sets / sizeof sets[0] };

void jb_survey_print_ranks(FILE *out, const struct jb_points *points)
{
    static const char *const names[] = {"best tokens_per_j", "best tokens_per_s",
                                        "median tokens_per_j"};
    (void)fputs("set,by,rank,platform,value,work,device\n", out);
    for (int s = 0; s < N_SETS; s++) {
        struct jb_platform_range ranges[JB_N_PUB_PLATFORMS];
        jb_survey_ranges(points, &sets[s].choice, ranges);
        for (int by = 0; by <= JB_BY_MEDIAN_TOKENS_PER_J; by++) {
            enum jb_pub_platform order[JB_N_PUB_PLATFORMS];
            const int n = jb_survey_rank(ranges, (enum jb_order_by)by, order);
            for (int i = 0; i < n; i++) {
                const struct jb_platform_range *range = &ranges[order[i]];
                const struct jb_point *best = by == JB_BY_TOKENS_PER_J   ? range->most_efficient
                                              : by == JB_BY_TOKENS_PER_S ? range->fastest
                                                                         : NULL;
                (void)fprintf(out, "%s,%s,%d,%s,", sets[s].name, names[by], i + 1,
                              jb_pub_platform_name(order[i]));
                put_rounded(out, jb_survey_value(range, (enum jb_order_by)by));
                put_text(out, best == NULL ? "" : best->work);
                jb_csv_put(out, best == NULL ? "" : best->device);
                (void)fputc('\n', out);
            }
        }
    }
}

static void put_range(FILE *out, const double range[3])
{
    put_rounded(out, range[LEAST]);
    put_rounded(out, range[MEDIAN]);
    put_rounded(out, range[MOST]);
}

void jb_survey_print_platforms(FILE *out, const struct jb_points *points)
{
    (void)fputs("set,platform,points,tokens_per_s_min,tokens_per_s_median,tokens_per_s_max,"
                "power_w_min,power_w_median,power_w_max,tokens_per_j_min,tokens_per_j_median,"
                "tokens_per_j_max,fastest,most_efficient\n",
                out);
    for (int s = 0; s < N_SETS; s++) {
        struct jb_platform_range ranges[JB_N_PUB_PLATFORMS];
        jb_survey_ranges(points, &sets[s].choice, ranges);
        for (int p = 0; p < JB_N_PUB_PLATFORMS; p++) {
            if (ranges[p].n == 0) {
                continue;
            }
            (void)fprintf(out, "%s,%s,%llu,", sets[s].name,
                          jb_pub_platform_name((enum jb_pub_platform)p),
                          (unsigned long long)ranges[p].n);
            put_range(out, ranges[p].speed);
            put_range(out, ranges[p].power);
            put_range(out, ranges[p].efficiency);
            put_text(out, ranges[p].fastest->work);
            jb_csv_put(out, ranges[p].most_efficient->work);
            (void)fputc('\n', out);
        }
    }
}

void jb_survey_print_edge(FILE *out, const struct jb_points *points)
{
    (void)fputs("platform,set,points,target_tokens_per_j,best_tokens_per_j,times_short_best,"
                "median_tokens_per_j,times_short_median,points_at_target,most_efficient\n",
                out);
    const struct jb_point_choice choice = sets[0].choice;
    for (int p = 0; p < JB_N_PUB_PLATFORMS; p++) {
        for (int is_edge = 0; is_edge < 2; is_edge++) {
            double *values = calloc(points->n + 1, sizeof *values);
            const struct jb_point *best = NULL;
            uint64_t n = 0, n_there = 0;
            for (uint64_t i = 0; values != NULL && i < points->n; i++) {
                const struct jb_point *point = &points->at[i];
                if ((int)point->platform != p || !jb_point_is_chosen(point, &choice) ||
                    (is_edge && point->power_w > JB_EDGE_POWER_W)) {
                    continue;
                }
                values[n++] = point->tokens_per_j;
                n_there += point->tokens_per_j >= JB_EDGE_TOKENS_PER_J ? 1 : 0;
                best = best == NULL || point->tokens_per_j > best->tokens_per_j ? point : best;
            }
            if (n > 0) {
                double range[3];
                spread(values, n, range);
                (void)fprintf(out, "%s,%s,%llu,%g,", jb_pub_platform_name((enum jb_pub_platform)p),
                              is_edge ? "up to 30 W" : "all", (unsigned long long)n,
                              JB_EDGE_TOKENS_PER_J);
                put_rounded(out, range[MOST]);
                put_rounded(out, JB_EDGE_TOKENS_PER_J / range[MOST]);
                put_rounded(out, range[MEDIAN]);
                put_rounded(out, JB_EDGE_TOKENS_PER_J / range[MEDIAN]);
                (void)fprintf(out, "%llu,", (unsigned long long)n_there);
                jb_csv_put(out, best->work);
                (void)fputc('\n', out);
            }
            free(values);
        }
    }
}
