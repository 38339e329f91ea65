/* SPDX-License-Identifier: MIT */
/* Frame of the scatter figures: tokens/s against watts on log axes, with diagonals of equal
 * tokens/J, as in the survey that this follows (arXiv 2410.04466, all-scatter.svg). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/figure.h"

static void add_diagonals(struct jb_figure *figure, int from, int to)
{
    const double decade_x = (figure->right - figure->left) / log10(figure->x_max / figure->x_min);
    const double decade_y = (figure->top - figure->bottom) / log10(figure->y_max / figure->y_min);
    figure->line_angle = atan2(decade_y, decade_x) * 180.0 / acos(-1.0);
    for (int k = from; k <= to && figure->n_lines < JB_FIGURE_LINES; k++) {
        const double slope = pow(10.0, k);
        const double x0 = fmax(figure->x_min, figure->y_min / slope);
        const double x1 = fmin(figure->x_max, figure->y_max / slope);
        /* A stub in a corner would have no room for its label. */
        const double scale = figure->text_size > 0.0 ? figure->text_size / 12.0 : 1.0;
        if (!(x1 > x0) || log10(x1 / x0) * hypot(decade_x, decade_y) < 110.0 * scale) {
            continue;
        }
        struct jb_figure_line *line = &figure->lines[figure->n_lines++];
        *line = (struct jb_figure_line){.x0 = x0, .y0 = slope * x0, .x1 = x1, .y1 = slope * x1};
        /* The label ends just before the line does, clear above it; it stands at the lower end of
         * a line that comes up from the x axis, where fewer points lie. */
        line->label_x = slope > 1.0
                            ? x1 * pow(10.0, -22.0 * scale / decade_x)
                            : x0 * pow(10.0, (scale < 1.0 ? 75.0 : 100.0) * scale / decade_x);
        line->label_y = line->label_x * slope * pow(10.0, 9.5 * scale / decade_y);
        (void)snprintf(line->label, sizeof line->label, "%.10g tokens/J", slope);
    }
}

void jb_figure_scatter(struct jb_figure *figure, int from_decade, int to_decade)
{
    figure->width = 700.0;
    figure->height = 480.0;
    figure->left = 72.0;
    figure->right = 550.0;
    figure->bottom = 54.0;
    figure->top = 448.0;
    figure->is_x_log = true;
    figure->x_min = 1.0;
    figure->x_max = 1000.0;
    figure->y_min = 1.0;
    figure->y_max = 10000.0;
    for (uint64_t i = 0; i < figure->n_marks; i++) {
        const struct jb_mark *mark = &figure->marks[i];
        figure->x_min = fmin(figure->x_min, mark->x_low);
        figure->x_max = fmax(figure->x_max, mark->x_high);
        figure->y_min = fmin(figure->y_min, mark->y_low);
        figure->y_max = fmax(figure->y_max, mark->y_high);
    }
    jb_figure_decades(&figure->x_min, &figure->x_max);
    jb_figure_decades(&figure->y_min, &figure->y_max);
    add_diagonals(figure, from_decade, to_decade);
}

/* The legend in columns, one a heading, each as wide as its longest words. */
static double place_legend(struct jb_figure *figure, double top)
{
    enum { LINE = 12 };
    double width[JB_FIGURE_LEGEND] = {0}, total = 0.0, lowest = top;
    uint32_t n_columns = 0;
    for (uint32_t i = 0; i < figure->n_legend; i++) {
        n_columns += figure->legend[i].is_heading || i == 0 ? 1 : 0;
        double *column = &width[n_columns - 1];
        *column = fmax(*column, 22.0 + 4.9 * (double)strlen(figure->legend[i].text));
    }
    for (uint32_t c = 0; c < n_columns; c++) {
        total += width[c];
    }
    const double gap = n_columns > 1 ? fmax(0.0, (figure->width - total) / (n_columns - 1)) : 0.0;
    double x = 8.0, y = top;
    uint32_t column = 0;
    for (uint32_t i = 0; i < figure->n_legend; i++) {
        struct jb_legend *entry = &figure->legend[i];
        if (entry->is_heading && i > 0) {
            x += width[column++] + gap;
            y = top;
        }
        entry->x = x;
        entry->y = y;
        entry->size *= 0.8;
        entry->inner_size *= 0.8;
        lowest = fmin(lowest, y);
        y -= LINE;
    }
    return lowest;
}

void jb_figure_scatter_column(struct jb_figure *figure, int from_decade, int to_decade)
{
    figure->n_lines = 0;
    figure->subtitle[0] = '\0'; /* a paper says it in the caption */
    jb_figure_scatter(figure, from_decade, to_decade);
    for (uint64_t i = 0; i < figure->n_marks; i++) {
        figure->marks[i].size *= 0.7;
        figure->marks[i].inner_size *= 0.7;
    }
    /* 3.3 in and 8 pt in the units of an SVG, 96 to the inch. */
    figure->n_lines = 0;
    figure->text_size = 8.0 * 96.0 / 72.0;
    figure->width = 3.3 * 96.0;
    figure->left = 57.0;
    figure->right = figure->width - 14.0;
    const double lowest = place_legend(figure, 0.0);
    figure->bottom = 54.0 - lowest;
    figure->top = figure->bottom + 205.0;
    figure->height = figure->top + 8.0;
    for (uint32_t i = 0; i < figure->n_legend; i++) {
        figure->legend[i].y += 6.0 - lowest;
    }
    add_diagonals(figure, from_decade, to_decade);
}
