/* SPDX-License-Identifier: MIT */
/* The survey's comparisons: a row a group of points, a panel a quantity, medians marked. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/figure_looks.h"
#include "bench/survey.h"
#include "results/text.h"

#define PANEL_GAP 0.17 /* of a panel */
#define LITERATURE_TINT 0.55
#define ROW_GAP 0.55 /* between groups of rows */
#define ANY (-1)
#define NO_METHOD JB_N_PUB_METHODS

/* One row of the figure: ANY platform or method, or one; NO_METHOD is one too. */
struct row {
    int platform, method;
    double most_w; /* NaN = any */
    double y;
    char label[64];
};
enum { MAX_ROWS = JB_N_PUB_PLATFORMS * (JB_N_PUB_METHODS + 1) };

struct panel {
    double (*value)(const struct jb_point *);
    const char *title;
    double low, high; /* decades */
};

struct strips {
    const struct jb_points *points;
    const struct jb_point_choice *choice;
    enum jb_strips kind;
    struct row rows[MAX_ROWS];
    int n_rows;
    struct panel panels[JB_FIGURE_PANELS];
    int n_panels;
    struct jb_figure figure;
};

static double speed_of(const struct jb_point *point)
{
    return point->tokens_per_s;
}

static double efficiency_of(const struct jb_point *point)
{
    return point->tokens_per_j;
}

static bool is_in(const struct strips *strips, const struct row *row, const struct jb_point *point)
{
    return jb_point_is_chosen(point, strips->choice) &&
           (row->platform == ANY || row->platform == (int)point->platform) &&
           (row->method == ANY ||
            (row->method == NO_METHOD ? point->methods == 0
                                      : (point->methods >> row->method & 1u) != 0)) &&
           !(point->power_w > row->most_w);
}

static uint64_t count(const struct strips *strips, const struct row *row, bool is_own)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < strips->points->n; i++) {
        const struct jb_point *point = &strips->points->at[i];
        n += point->is_own == is_own && is_in(strips, row, point) ? 1 : 0;
    }
    return n;
}

/* The word of method m in figures; the looks start with "none". */
static const char *method_title(int m)
{
    return m == NO_METHOD ? "no method" : jb_method_looks[m + 1].title;
}

/* Adds a row if it has points. is_first: it opens a group. */
static void add_row(struct strips *strips, int platform, int method, double most_w,
                    const char *what, bool *is_first)
{
    struct row *row = &strips->rows[strips->n_rows];
    *row = (struct row){.platform = platform, .method = method, .most_w = most_w};
    const uint64_t n = count(strips, row, false), n_own = count(strips, row, true);
    if (n + n_own == 0) {
        return;
    }
    const double above = strips->n_rows == 0 ? -1.0 : strips->rows[strips->n_rows - 1].y;
    row->y = above + 1.0 + (*is_first && strips->n_rows > 0 ? ROW_GAP : 0.0);
    (void)snprintf(row->label, sizeof row->label, n_own == 0 ? "%s (%llu)" : "%s (%llu + %llu)",
                   what, (unsigned long long)n, (unsigned long long)n_own);
    *is_first = false;
    strips->n_rows++;
}

static void add_rows(struct strips *strips)
{
    const int n_outer = strips->kind == JB_STRIPS_METHODS ? JB_N_PUB_METHODS : JB_N_PUB_PLATFORMS;
    for (int outer = 0; outer < n_outer; outer++) {
        bool is_first = true;
        char text[64];
        const char *platform = jb_platform_looks[outer % JB_N_PUB_PLATFORMS].title;
        switch (strips->kind) {
        case JB_STRIPS_PLATFORMS:
            is_first = false;
            add_row(strips, outer, ANY, jb_missing(), platform, &is_first);
            break;
        case JB_STRIPS_METHODS:
            for (int p = 0; p < JB_N_PUB_PLATFORMS; p++) {
                (void)snprintf(text, sizeof text, "%s: %s", method_title(outer),
                               jb_platform_looks[p].title);
                add_row(strips, p, outer, jb_missing(), text, &is_first);
            }
            break;
        case JB_STRIPS_WITHIN:
            for (int m = 0; m <= NO_METHOD; m++) {
                (void)snprintf(text, sizeof text, "%s: %s", platform, method_title(m));
                add_row(strips, outer, m, jb_missing(), text, &is_first);
            }
            break;
        case JB_STRIPS_EDGE:
            (void)snprintf(text, sizeof text, "%s, any power", platform);
            add_row(strips, outer, ANY, jb_missing(), text, &is_first);
            (void)snprintf(text, sizeof text, "%s, up to %.0f W", platform, JB_EDGE_POWER_W);
            add_row(strips, outer, ANY, JB_EDGE_POWER_W, text, &is_first);
            break;
        }
    }
}

static void fit_panel(const struct strips *strips, struct panel *panel)
{
    double low = INFINITY, high = 0.0;
    for (uint64_t i = 0; i < strips->points->n; i++) {
        const struct jb_point *point = &strips->points->at[i];
        if (jb_point_is_chosen(point, strips->choice)) {
            low = fmin(low, panel->value(point));
            high = fmax(high, panel->value(point));
        }
    }
    if (strips->kind == JB_STRIPS_EDGE) {
        high = fmax(high, 1.01 * JB_EDGE_TOKENS_PER_J);
    }
    jb_figure_decades(&low, &high);
    panel->low = log10(low);
    panel->high = log10(high);
}

static double place(const struct strips *strips, int panel, double value)
{
    const struct panel *on = &strips->panels[panel];
    return panel * (1.0 + PANEL_GAP) + (log10(value) - on->low) / (on->high - on->low);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

static void add_median(struct strips *strips, const struct row *row, int panel, double *values,
                       uint64_t n)
{
    struct jb_figure *figure = &strips->figure;
    if (n < 3 || figure->n_lines == JB_FIGURE_LINES) {
        return;
    }
    qsort(values, n, sizeof *values, compare);
    const double median = 0.5 * (values[(n - 1) / 2] + values[n / 2]);
    const double x = place(strips, panel, median);
    figure->lines[figure->n_lines++] = (struct jb_figure_line){.x0 = x,
                                                               .y0 = row->y - 0.42,
                                                               .x1 = x,
                                                               .y1 = row->y + 0.42,
                                                               .label_x = x,
                                                               .label_y = row->y};
}

static void fill_mark(const struct strips *strips, const struct row *row, int panel, uint64_t k,
                      const struct jb_point *point, struct jb_mark *mark)
{
    /* Spread over the row's height, the same way each time. */
    static const double offsets[] = {0.0, 0.18, -0.18, 0.09, -0.09, 0.27, -0.27};
    const struct jb_shape *look = &jb_method_looks[jb_point_method_look(point)];
    const bool is_filled = !point->is_own || point->evidence == JB_CLASS_MEASURED;
    *mark = (struct jb_mark){.series = 1,
                             .x = place(strips, panel, strips->panels[panel].value(point)),
                             .y = row->y + offsets[k % (sizeof offsets / sizeof offsets[0])],
                             .row = row->y,
                             .platform = jb_pub_platform_name(point->platform),
                             .method = point->method,
                             .evidence = jb_class_name(point->evidence),
                             .shape = is_filled ? look->filled : look->hollow,
                             .under = look->filled,
                             .size = point->is_own ? 1.1 : 0.55,
                             .colour = jb_platform_looks[point->platform].colour};
    mark->x_low = mark->x_high = mark->x;
    mark->y_low = mark->y_high = mark->y;
    if (!point->is_own && strips->points->n_own > 0) {
        mark->colour = jb_tint(mark->colour, LITERATURE_TINT);
    }
    if (point->is_own) {
        mark->inner = jb_class_looks[point->evidence].inner;
        mark->inner_size = jb_class_looks[point->evidence].inner_size;
    }
    (void)snprintf(mark->label, sizeof mark->label, "%s", row->label);
    jb_point_words(point, mark->tooltip, sizeof mark->tooltip);
}

static enum jb_status fill_marks(struct strips *strips)
{
    struct jb_figure *figure = &strips->figure;
    uint64_t n = 0;
    for (int r = 0; r < strips->n_rows; r++) {
        n += (count(strips, &strips->rows[r], false) + count(strips, &strips->rows[r], true)) *
             (uint64_t)strips->n_panels;
    }
    figure->marks = calloc(n + 1, sizeof *figure->marks);
    double *values = calloc(strips->points->n + 1, sizeof *values);
    if (figure->marks == NULL || values == NULL) {
        free(values);
        return jb_fail(JB_E_NOMEM, "no memory for a figure of %llu marks", (unsigned long long)n);
    }
    for (int r = 0; r < strips->n_rows; r++) {
        for (int panel = 0; panel < strips->n_panels; panel++) {
            /* Ours come after all published ones, and lie on them. */
            uint64_t k = 0, n_published = 0;
            for (uint64_t i = 0; i < strips->points->n; i++) {
                const struct jb_point *point = &strips->points->at[i];
                if (is_in(strips, &strips->rows[r], point)) {
                    fill_mark(strips, &strips->rows[r], panel, k, point,
                              &figure->marks[figure->n_marks++]);
                    values[n_published] = strips->panels[panel].value(point);
                    n_published += point->is_own ? 0 : 1;
                    k++;
                }
            }
            add_median(strips, &strips->rows[r], panel, values, n_published);
        }
    }
    free(values);
    return JB_OK;
}

static void add_panels(struct strips *strips)
{
    struct jb_figure *figure = &strips->figure;
    for (int p = 0; p < strips->n_panels; p++) {
        struct jb_figure_panel *panel = &figure->panels[figure->n_panels++];
        panel->centre = p * (1.0 + PANEL_GAP) + 0.5;
        (void)snprintf(panel->title, sizeof panel->title, "%s", strips->panels[p].title);
        for (int k = (int)lround(strips->panels[p].low); k <= (int)lround(strips->panels[p].high);
             k++) {
            if (figure->n_tics < JB_FIGURE_TICS) {
                struct jb_figure_tic *tic = &figure->tics[figure->n_tics++];
                tic->at = place(strips, p, pow(10.0, k));
                (void)snprintf(tic->label, sizeof tic->label, "%g", pow(10.0, k));
            }
        }
    }
}

static void add_legend(struct strips *strips)
{
    struct jb_figure *figure = &strips->figure;
    uint32_t seen = 0;
    bool has_other = false, has_class[JB_N_CLASS_LOOKS] = {false};
    for (uint64_t i = 0; i < strips->points->n; i++) {
        const struct jb_point *point = &strips->points->at[i];
        if (jb_point_is_chosen(point, strips->choice)) {
            seen |= 1u << jb_point_method_look(point);
            has_class[point->evidence] = has_class[point->evidence] || point->is_own;
            has_other = has_other || !point->is_own;
        }
    }
    struct jb_legend *heading = jb_figure_legend(figure, "Method");
    heading->is_heading = true;
    for (size_t m = 0; m < JB_N_METHOD_LOOKS; m++) {
        if ((seen >> m & 1u) != 0) {
            jb_figure_legend(figure, jb_method_looks[m].title)->shape = jb_method_looks[m].filled;
        }
    }
    heading = jb_figure_legend(figure, "Evidence");
    heading->is_heading = true;
    if (has_other) {
        struct jb_legend *entry = jb_figure_legend(figure, "literature (small)");
        entry->shape = 7;
        entry->colour =
            strips->points->n_own > 0 ? jb_tint(JB_LOOK_GREY, LITERATURE_TINT) : JB_LOOK_GREY;
        entry->size = 0.55;
    }
    for (size_t c = 0; c < JB_N_CLASS_LOOKS; c++) {
        if (!has_class[c]) {
            continue;
        }
        char text[48];
        (void)snprintf(text, sizeof text, "ours, %s", jb_class_looks[c].title);
        struct jb_legend *entry = jb_figure_legend(figure, text);
        entry->shape = c == JB_CLASS_MEASURED ? 7 : 6;
        entry->size = 1.1;
        entry->inner = jb_class_looks[c].inner;
        entry->inner_size = jb_class_looks[c].inner_size;
    }
}

static void lay_out(struct strips *strips)
{
    struct jb_figure *figure = &strips->figure;
    size_t letters = 0;
    for (int r = 0; r < strips->n_rows; r++) {
        const size_t n = jb_utf8_width(strips->rows[r].label);
        letters = n > letters ? n : letters;
    }
    figure->y_min = -0.7;
    figure->y_max = strips->rows[strips->n_rows - 1].y + 0.7;
    figure->x_min = -0.02;
    figure->x_max = strips->n_panels * (1.0 + PANEL_GAP) - PANEL_GAP + 0.02;
    figure->left = 24.0 + 5.9 * (double)letters;
    figure->right = figure->left + (strips->n_panels == 1 ? 380.0 : 540.0);
    figure->bottom = 54.0;
    const double legend = 17.0 * (double)figure->n_legend + 14.0;
    figure->top = figure->bottom + fmax(20.0 * (figure->y_max - figure->y_min), legend);
    figure->width = figure->right + 150.0;
    figure->height = figure->top + 34.0;
}

static void add_target(struct strips *strips)
{
    struct jb_figure *figure = &strips->figure;
    const double x = place(strips, 0, JB_EDGE_TOKENS_PER_J);
    struct jb_figure_line *line = &figure->lines[figure->n_lines++];
    *line = (struct jb_figure_line){.x0 = x,
                                    .y0 = figure->y_max,
                                    .x1 = x,
                                    .y1 = figure->y_min,
                                    .label_x = x,
                                    .label_y = figure->y_min - 0.25};
    (void)snprintf(line->label, sizeof line->label, "edge target: %g tokens/J",
                   JB_EDGE_TOKENS_PER_J);
}

static void say(struct strips *strips)
{
    static const char *const titles[] = {
        [JB_STRIPS_PLATFORMS] = "Platforms against each other",
        [JB_STRIPS_METHODS] = "The same method across platforms",
        [JB_STRIPS_WITHIN] = "Methods within one platform",
        [JB_STRIPS_EDGE] = "Distance to the edge target",
    };
    (void)snprintf(strips->figure.subtitle, sizeof strips->figure.subtitle,
                   "%s: decode, batch %lld; upright lines are medians of published points",
                   titles[strips->kind], (long long)strips->choice->batch);
    if (strips->kind == JB_STRIPS_EDGE) {
        strips->figure.subtitle[0] = '\0';
    }
}

enum jb_status jb_survey_strips(const struct jb_points *points,
                                const struct jb_point_choice *choice, enum jb_strips kind,
                                struct jb_figure *ret_figure)
{
    struct strips *strips = calloc(1, sizeof *strips);
    if (strips == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for a figure");
    }
    *strips = (struct strips){.points = points,
                              .choice = choice,
                              .kind = kind,
                              .figure = {.kind = "strips", .n_series = 1, .n_under = 2}};
    if (kind != JB_STRIPS_EDGE) {
        strips->panels[strips->n_panels++] =
            (struct panel){.value = speed_of, .title = "Throughput (tokens/s)"};
    }
    strips->panels[strips->n_panels++] =
        (struct panel){.value = efficiency_of, .title = "Energy efficiency (tokens/J)"};
    add_rows(strips);
    enum jb_status status = JB_OK;
    if (strips->n_rows == 0) {
        status = jb_fail(JB_E_NODEV, "no point of batch %lld has power", (long long)choice->batch);
    }
    for (int p = 0; status == JB_OK && p < strips->n_panels; p++) {
        fit_panel(strips, &strips->panels[p]);
    }
    if (status == JB_OK) {
        status = fill_marks(strips);
    }
    if (status == JB_OK) {
        add_panels(strips);
        add_legend(strips);
        lay_out(strips);
        say(strips);
        if (kind == JB_STRIPS_EDGE) {
            add_target(strips);
        }
        *ret_figure = strips->figure;
    } else {
        jb_figure_free(&strips->figure);
    }
    free(strips);
    return status;
}
