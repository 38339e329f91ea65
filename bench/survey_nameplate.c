/* SPDX-License-Identifier: MIT */
/* How far rated watts are from measured ones. tokens/J worked out from a rating is the measured one
 * times the share of the rating that was drawn. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/audit.h"
#include "bench/figure_looks.h"
#include "bench/survey.h"
#include "results/text.h"

#define PANEL_PT 400.0
#define MAX_SHARE 1.2

struct share {
    const struct jb_point *point;
    const struct jb_audit_device *device;
    double n, share; /* devices; measured watts over n x rated ones */
};

/* @return false if the watts were not measured or the rating is not known. */
static bool share_of(const struct jb_audit *devices, const struct jb_point *point,
                     struct share *ret_share)
{
    const bool is_measured = point->is_own ? point->evidence == JB_CLASS_MEASURED
                                           : point->power_kind == JB_POWER_MEASURED;
    const struct jb_audit_row row = {.device = point->device,
                                     .platform = jb_pub_platform_name(point->platform),
                                     .n_devices = jb_missing()};
    if (!is_measured || !(point->power_w > 0.0) || point->batch == JB_INT_MISSING) {
        return false;
    }
    ret_share->point = point;
    ret_share->device = jb_audit_device_of(devices, &row, &ret_share->n);
    if (ret_share->device == NULL || !(ret_share->device->limit_w > 0.0)) {
        return false;
    }
    ret_share->share = point->power_w / (ret_share->n * ret_share->device->limit_w);
    return ret_share->share < MAX_SHARE;
}

/* By device, batch, then share. */
static int compare(const void *a, const void *b)
{
    const struct share *x = a, *y = b;
    const int name = strcmp(x->device->name, y->device->name);
    return name != 0                            ? name
           : x->point->batch != y->point->batch ? (x->point->batch < y->point->batch ? -1 : 1)
           : x->share < y->share                ? -1
           : x->share > y->share                ? 1
           : x->point < y->point                ? -1
                                                : 1;
}

static bool is_same_row(const struct share *a, const struct share *b)
{
    return a->device == b->device && a->point->batch == b->point->batch;
}

static void print_share(FILE *out, const struct share *share)
{
    const struct jb_point *point = share->point;
    jb_csv_put(out, point->work);
    (void)fputc(',', out);
    jb_csv_put(out, point->device);
    (void)fputc(',', out);
    jb_csv_put(out, point->model);
    (void)fprintf(out, ",%lld,%s,%g,%.6g,%.6g,%.4g,%.4g,%.4g,%s\n", (long long)point->batch,
                  share->device->name, share->n, point->power_w, share->n * share->device->limit_w,
                  share->share, point->tokens_per_s / point->power_w,
                  point->tokens_per_s / (share->n * share->device->limit_w),
                  point->is_own ? "own" : "published");
}

/* One row of the figure: shares [from, to), which are sorted. */
static void add_row(struct jb_figure *figure, const struct share *shares, uint64_t from,
                    uint64_t to, double y)
{
    static const double offsets[] = {0.0, 0.18, -0.18, 0.09, -0.09, 0.27, -0.27};
    const struct share *first = &shares[from];
    const uint64_t n = to - from;
    for (uint64_t i = from; i < to; i++) {
        const struct jb_point *point = shares[i].point;
        struct jb_mark *mark = &figure->marks[figure->n_marks++];
        *mark =
            (struct jb_mark){.series = 1,
                             .x = shares[i].share,
                             .y = y + offsets[(i - from) % (sizeof offsets / sizeof offsets[0])],
                             .row = y,
                             .platform = jb_pub_platform_name(point->platform),
                             .method = point->method,
                             .evidence = jb_class_name(point->evidence),
                             .shape = 7,
                             .under = 7,
                             .size = point->is_own ? 1.1 : 0.55,
                             .colour = jb_platform_looks[point->platform].colour};
        mark->x_low = mark->x_high = mark->x;
        mark->y_low = mark->y_high = mark->y;
        (void)snprintf(mark->label, sizeof mark->label, "%s (%g W), batch %lld (%llu)",
                       first->device->name, first->device->limit_w, (long long)point->batch,
                       (unsigned long long)n);
        jb_point_words(point, mark->tooltip, sizeof mark->tooltip);
    }
    if (n >= 3 && figure->n_lines < JB_FIGURE_LINES - 1) {
        const double median = 0.5 * (shares[from + (n - 1) / 2].share + shares[from + n / 2].share);
        figure->lines[figure->n_lines++] = (struct jb_figure_line){.x0 = median,
                                                                   .y0 = y - 0.42,
                                                                   .x1 = median,
                                                                   .y1 = y + 0.42,
                                                                   .label_x = median,
                                                                   .label_y = y};
    }
}

static void lay_out(struct jb_figure *figure, double n_rows)
{
    size_t letters = 0;
    for (uint64_t i = 0; i < figure->n_marks; i++) {
        const size_t n = jb_utf8_width(figure->marks[i].label);
        letters = n > letters ? n : letters;
    }
    figure->x_min = -0.02;
    figure->x_max = MAX_SHARE;
    figure->y_min = -0.7;
    figure->y_max = n_rows - 0.3;
    figure->left = 24.0 + 5.9 * (double)letters;
    figure->right = figure->left + PANEL_PT;
    figure->bottom = 54.0;
    figure->top = figure->bottom + fmax(20.0 * (figure->y_max - figure->y_min), 100.0);
    figure->width = figure->right + 130.0;
    figure->height = figure->top + 48.0;
    for (int i = 0; i <= 6; i++) {
        struct jb_figure_tic *tic = &figure->tics[figure->n_tics++];
        tic->at = 0.2 * i;
        (void)snprintf(tic->label, sizeof tic->label, "%d", 20 * i);
    }
    figure->panels[figure->n_panels++] = (struct jb_figure_panel){
        .centre = 0.5 * MAX_SHARE, .title = "Measured watts as % of the rated"};
    struct jb_figure_line *line = &figure->lines[figure->n_lines++];
    *line = (struct jb_figure_line){.x0 = 1.0,
                                    .y0 = figure->y_max,
                                    .x1 = 1.0,
                                    .y1 = figure->y_min,
                                    .label_x = 1.0,
                                    .label_y = figure->y_min - 0.25};
    (void)snprintf(line->label, sizeof line->label, " ");
    struct jb_legend *heading = jb_figure_legend(figure, "Platform");
    heading->is_heading = true;
    for (int p = 0; p < JB_N_PUB_PLATFORMS; p++) {
        for (uint64_t i = 0; i < figure->n_marks; i++) {
            if (figure->marks[i].colour == jb_platform_looks[p].colour) {
                struct jb_legend *entry = jb_figure_legend(figure, jb_platform_looks[p].title);
                entry->shape = 7;
                entry->colour = jb_platform_looks[p].colour;
                break;
            }
        }
    }
}

static void fill(struct jb_figure *figure, const struct share *shares, uint64_t n, FILE *table)
{
    uint64_t n_rows = 0;
    for (uint64_t from = 0, to; from < n; from = to) {
        to = from;
        while (to < n && is_same_row(&shares[from], &shares[to])) {
            print_share(table, &shares[to++]);
        }
        add_row(figure, shares, from, to, (double)n_rows++);
    }
    lay_out(figure, (double)n_rows);
    (void)snprintf(figure->subtitle, sizeof figure->subtitle,
                   "tokens/J from rated watts is this share of the measured one; upright lines are "
                   "medians");
}

enum jb_status jb_survey_nameplate(const struct jb_points *points, const char *devices_path,
                                   FILE *table, struct jb_figure *ret_figure)
{
    struct jb_audit devices = {.rows = NULL};
    struct jb_figure figure = {.kind = "strips", .n_series = 1, .n_under = 2};
    uint64_t n = 0;
    enum jb_status status = jb_audit_read_devices(devices_path, &devices);
    if (status != JB_OK) {
        return status;
    }
    (void)fputs("work,device,model,batch,device_file,n_devices,power_w,rated_w,share,"
                "tokens_per_j_measured,tokens_per_j_rated,origin\n",
                table);
    struct share *shares = calloc(points->n + 1, sizeof *shares);
    figure.marks = calloc(points->n + 1, sizeof *figure.marks);
    if (shares == NULL || figure.marks == NULL) {
        (void)jb_fail(JB_E_NOMEM, "no memory for a figure of %llu points",
                      (unsigned long long)points->n);
        status = JB_E_NOMEM;
    }
    for (uint64_t i = 0; status == JB_OK && i < points->n; i++) {
        n += share_of(&devices, &points->at[i], &shares[n]) ? 1 : 0;
    }
    if (status == JB_OK && n == 0) {
        status = jb_fail(JB_E_NODEV, "no measured point has a device whose rated watts are known");
    }
    if (status == JB_OK) {
        qsort(shares, n, sizeof *shares, compare);
        fill(&figure, shares, n, table);
        *ret_figure = figure;
    } else {
        jb_figure_free(&figure);
    }
    free(shares);
    jb_audit_free(&devices);
    return status;
}
