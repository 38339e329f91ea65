/* SPDX-License-Identifier: MIT */
#ifndef JB_BENCH_SURVEY_H
#define JB_BENCH_SURVEY_H

/* joulebench survey: published points and our own rows on the same axes. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bench/figure.h"
#include "platforms/base/units.h"
#include "results/published.h"
#include "results/results.h"

/* One published point, or one configuration of ours (medians of phase decode; of an imported one
 * also of phase total, where its source has no other). Texts belong to struct jb_points; "" = not
 * known. */
struct jb_point {
    const char *work, *device, *model, *precision, *method, *source;
    enum jb_pub_platform platform;
    uint32_t methods;                            /* as in results/published.h; 0 = none */
    int64_t batch;                               /* JB_INT_MISSING = not known          */
    double power_w, tokens_per_s, tokens_per_j;  /* NaN = not known */
    struct jb_interval power, speed, efficiency; /* own points */
    enum jb_class evidence;                      /* the weaker of time and energy */
    enum jb_power_kind power_kind;               /* published points              */
    bool is_own, is_drawn, is_sheet;             /* drawn: in the survey's batch-1 figure */
    bool is_imported; /* own points: by `joulebench import`, so of others' making */
};

/* The survey compares models of about 7 thousand million parameters; rows of other sizes are no
 * neighbours of its points. */
#define JB_SURVEY_PARAMS_MIN 5.5e9
#define JB_SURVEY_PARAMS_MAX 9e9

struct jb_points {
    struct jb_point *at;
    uint64_t n, n_own;
    uint64_t n_other_size; /* own configurations left out for the size of their model */
    struct jb_published published;
    struct jb_group *groups;
};

/* Which points a figure or table is about. */
struct jb_point_choice {
    int64_t batch;
    bool with_published, with_own;
    bool with_imported; /* those given beside ours */
    bool only_drawn;    /* of the published ones */
    bool only_sheet;    /* the survey's sheet, whatever batch it does not state */
};

enum jb_order_by { JB_BY_TOKENS_PER_J, JB_BY_TOKENS_PER_S, JB_BY_MEDIAN_TOKENS_PER_J };

/* Of one platform within a choice. */
struct jb_platform_range {
    uint64_t n;
    double speed[3], power[3], efficiency[3];        /* least, median, most */
    const struct jb_point *most_efficient, *fastest; /* NULL if n is 0      */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Published points from path, checked: tokens/J of every sheet row must be tokens/s over watts to
 * 0.1 %. Superseded ones are left out. Own ones from groups that have power and are not INVALID.
 * @param groups malloc'ed, taken over even on failure
 * @param takes_any_size own ones of every model, not of the survey's size alone */
enum jb_status jb_points_load(const char *path, struct jb_group *groups, uint64_t n_groups,
                              bool takes_any_size, struct jb_points *ret_points) JB_MUST_CHECK;
void jb_points_free(struct jb_points *points);
/* Power, batch and origin fit. */
bool jb_point_is_chosen(const struct jb_point *point, const struct jb_point_choice *choice);

void jb_survey_ranges(const struct jb_points *points, const struct jb_point_choice *choice,
                      struct jb_platform_range ret_ranges[JB_N_PUB_PLATFORMS]);
/* Platforms that have points, best first. @return how many. */
int jb_survey_rank(const struct jb_platform_range ranges[JB_N_PUB_PLATFORMS], enum jb_order_by by,
                   enum jb_pub_platform ret_order[JB_N_PUB_PLATFORMS]);
double jb_survey_value(const struct jb_platform_range *range, enum jb_order_by by);

/* Tables, as CSV with a header. */
void jb_survey_print_points(FILE *out, const struct jb_points *points,
                            const struct jb_point_choice *choice);
void jb_survey_print_ranks(FILE *out, const struct jb_points *points);
void jb_survey_print_platforms(FILE *out, const struct jb_points *points);
void jb_survey_print_edge(FILE *out, const struct jb_points *points);

/* Figures. @return NODEV if there is no point; NOMEM. */
enum jb_status jb_survey_scatter(const struct jb_points *points,
                                 const struct jb_point_choice *choice,
                                 struct jb_figure *ret_figure) JB_MUST_CHECK;
/* The survey's three comparisons, and its edge target. */
enum jb_strips { JB_STRIPS_PLATFORMS, JB_STRIPS_METHODS, JB_STRIPS_WITHIN, JB_STRIPS_EDGE };
enum jb_status jb_survey_strips(const struct jb_points *points,
                                const struct jb_point_choice *choice, enum jb_strips kind,
                                struct jb_figure *ret_figure) JB_MUST_CHECK;

/* Measured watts against the rated ones of the device: what tokens/J from nameplate watts hides.
 * A row of the figure is a device and batch; table gets a CSV line for each point.
 * @param devices_path table of words that name a device (bench/audit.h)
 * @return NODEV if no measured point has a device that is known. */
enum jb_status jb_survey_nameplate(const struct jb_points *points, const char *devices_path,
                                   FILE *table, struct jb_figure *ret_figure) JB_MUST_CHECK;

/* Shared: "gpu, AWQ, 4090 ..., 194 tokens/s, 450 W, 0.431 tokens/J (literature)". */
void jb_point_words(const struct jb_point *point, char *ret_text, size_t size);
/* The set as one look: the method if it is one, else "several" or "none". */
size_t jb_point_method_look(const struct jb_point *point);

/* The cells of a points table as what they stand for: methods of a published point
 * ("quantization;sparsity") or of ours ("quant:w4+spec:ngram"), and the evidence class. */
uint32_t jb_survey_methods(const char *text, bool is_own);
enum jb_class jb_survey_class(const char *text);

/* The edge target of the survey: tokens/J for real-time control on a battery (its section on
 * trends); and the watts up to which a device counts as an edge device here. */
#define JB_EDGE_TOKENS_PER_J 10.0
#define JB_EDGE_POWER_W 30.0

#ifdef __cplusplus
}
#endif
#endif
