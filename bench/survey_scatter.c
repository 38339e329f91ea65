/* SPDX-License-Identifier: MIT */
/* The survey's scatter figure. Without points of ours it is drawn in the authors' shapes; with
 * them, published points go pale and ours tell their evidence class as in all other figures. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/figure_looks.h"
#include "bench/survey.h"

#define LITERATURE_TINT 0.45
#define OWN_SIZE 1.25

/* Shapes and words of arXiv 2410.04466, all-scatter.svg, in the order of jb_method_looks; works
 * that combine two methods are drawn twice there, once here. */
static const struct {
    const char *title;
    int shape;
} survey_methods[JB_N_METHOD_LOOKS] = {
    {"None", 7},
    {"Quantization", 5},
    {"Sparsity", 9},
    {"Fast Decoding", 2},
    {"Operator Optimization", 6},
    {"Heterogeneous Cooperation", 13},
    {"Homogeneous Cooperation", 1},
    {"Two or more of these", 3},
};

struct drawing {
    struct jb_figure figure;
    const struct jb_point **points; /* of the marks */
    bool has_own, has_published;
};

static void bound(const struct jb_interval *of, double value, double *ret_low, double *ret_high)
{
    const bool is_known = of->low > 0.0;
    *ret_low = is_known ? of->low : value;
    *ret_high = is_known ? of->high : value;
}

static void dress(struct jb_mark *mark, const struct jb_point *point, const struct drawing *drawing)
{
    const size_t method = jb_point_method_look(point);
    const struct jb_class_look *look = &jb_class_looks[point->evidence];
    mark->series = 1;
    mark->size = 0.6;
    mark->colour = jb_platform_looks[point->platform].colour;
    if (!drawing->has_own) {
        mark->shape = survey_methods[method].shape;
        mark->under = mark->shape == 6 ? 7 : mark->shape; /* a circle is white inside */
        return;
    }
    mark->shape = mark->under = jb_method_looks[method].filled;
    if (!point->is_own) {
        mark->colour = jb_tint(mark->colour, LITERATURE_TINT);
        return;
    }
    mark->size = OWN_SIZE;
    mark->shape =
        point->evidence == JB_CLASS_MEASURED ? mark->shape : jb_method_looks[method].hollow;
    mark->inner = look->inner;
    mark->inner_size = look->inner_size;
}

static void fill_mark(struct jb_mark *mark, const struct jb_point *point,
                      const struct drawing *drawing)
{
    mark->x = point->power_w;
    mark->y = point->tokens_per_s;
    mark->platform = jb_pub_platform_name(point->platform);
    mark->method = point->method;
    mark->evidence = jb_class_name(point->evidence);
    bound(&point->power, mark->x, &mark->x_low, &mark->x_high);
    bound(&point->speed, mark->y, &mark->y_low, &mark->y_high);
    jb_point_words(point, mark->tooltip, sizeof mark->tooltip);
    dress(mark, point, drawing);
}

static void add_heading(struct jb_figure *figure, const char *text)
{
    struct jb_legend *entry = jb_figure_legend(figure, text);
    entry->is_heading = true;
    entry->size = 0.0;
}

static void add_platforms(struct drawing *drawing)
{
    add_heading(&drawing->figure, "Platform");
    for (size_t p = 0; p < JB_N_PUB_PLATFORMS; p++) {
        uint64_t n = 0;
        for (uint64_t i = 0; i < drawing->figure.n_marks; i++) {
            n += (size_t)drawing->points[i]->platform == p ? 1 : 0;
        }
        if (n > 0) {
            char text[32];
            (void)snprintf(text, sizeof text, "%s (%llu)", jb_platform_looks[p].title,
                           (unsigned long long)n);
            struct jb_legend *entry = jb_figure_legend(&drawing->figure, text);
            entry->shape = 5;
            entry->colour = jb_platform_looks[p].colour;
        }
    }
}

static void add_methods(struct drawing *drawing)
{
    add_heading(&drawing->figure, "Method");
    for (size_t m = 1; m <= JB_N_METHOD_LOOKS; m++) {
        const size_t method = m % JB_N_METHOD_LOOKS; /* "none" comes last */
        for (uint64_t i = 0; i < drawing->figure.n_marks; i++) {
            if (jb_point_method_look(drawing->points[i]) == method) {
                struct jb_legend *entry =
                    jb_figure_legend(&drawing->figure, survey_methods[method].title);
                entry->shape = drawing->has_own ? jb_method_looks[method].filled
                                                : survey_methods[method].shape;
                break;
            }
        }
    }
}

static void add_classes(struct drawing *drawing)
{
    add_heading(&drawing->figure, "Evidence");
    for (size_t c = 0; drawing->has_own && c < JB_N_CLASS_LOOKS; c++) {
        for (uint64_t i = 0; i < drawing->figure.n_marks; i++) {
            const struct jb_point *point = drawing->points[i];
            if (point->is_own && (size_t)point->evidence == c) {
                char text[48];
                (void)snprintf(text, sizeof text, "%s, %s",
                               point->is_imported ? "imported" : "ours", jb_class_looks[c].title);
                struct jb_legend *entry = jb_figure_legend(&drawing->figure, text);
                entry->shape = c == JB_CLASS_MEASURED ? 7 : 6;
                entry->size = OWN_SIZE;
                entry->inner = jb_class_looks[c].inner;
                entry->inner_size = jb_class_looks[c].inner_size;
                break;
            }
        }
    }
    if (drawing->has_published) {
        struct jb_legend *entry = jb_figure_legend(
            &drawing->figure, drawing->has_own ? "literature (pale)" : "all marks: literature");
        entry->shape = drawing->has_own ? 7 : 0;
        entry->size = 0.6;
        entry->colour = jb_tint(JB_LOOK_GREY, LITERATURE_TINT);
    }
}

enum jb_status jb_survey_scatter(const struct jb_points *points,
                                 const struct jb_point_choice *choice, struct jb_figure *ret_figure)
{
    struct drawing drawing = {.figure = {.kind = "power-throughput", .n_series = 1, .n_under = 2}};
    struct jb_figure *figure = &drawing.figure;
    figure->marks = calloc(points->n + 1, sizeof *figure->marks);
    drawing.points = calloc(points->n + 1, sizeof(void *));
    if (figure->marks == NULL || drawing.points == NULL) {
        free(figure->marks);
        free(drawing.points);
        return jb_fail(JB_E_NOMEM, "no memory for a figure of %llu points",
                       (unsigned long long)points->n);
    }
    /* Ours lie on top. */
    for (int own = 0; own < 2; own++) {
        for (uint64_t i = 0; i < points->n; i++) {
            const struct jb_point *point = &points->at[i];
            if (point->is_own == (own == 1) && jb_point_is_chosen(point, choice)) {
                drawing.points[figure->n_marks++] = point;
                drawing.has_own = drawing.has_own || own == 1;
                drawing.has_published = drawing.has_published || own == 0;
            }
        }
    }
    if (figure->n_marks == 0) {
        free(figure->marks);
        free(drawing.points);
        return jb_fail(JB_E_NODEV, "no point of batch %lld has power", (long long)choice->batch);
    }
    for (uint64_t i = 0; i < figure->n_marks; i++) {
        fill_mark(&figure->marks[i], drawing.points[i], &drawing);
    }
    (void)snprintf(figure->subtitle, sizeof figure->subtitle, "Decode, batch %lld: %llu %spoints%s",
                   (long long)choice->batch, (unsigned long long)figure->n_marks,
                   drawing.has_own ? "" : "published ",
                   choice->only_drawn ? " of arXiv 2410.04466" : "");
    if (drawing.has_own) {
        (void)snprintf(figure->subtitle, sizeof figure->subtitle,
                       "Decode, batch %lld: published points and ours", (long long)choice->batch);
    }
    add_platforms(&drawing);
    add_methods(&drawing);
    add_classes(&drawing);
    jb_figure_scatter(figure, -2, 2);
    /* The authors' words are longer than ours. */
    figure->width += 40.0;
    free(drawing.points);
    *ret_figure = *figure;
    return JB_OK;
}
