/* SPDX-License-Identifier: MIT */
/* Frame of the scatter figures: tokens/s against watts on log axes, with diagonals of equal
 * tokens/J, as in the survey that this follows (arXiv 2410.04466, all-scatter.svg). */
#include <math.h>
#include <stdio.h>

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
        if (!(x1 > x0) || log10(x1 / x0) * hypot(decade_x, decade_y) < 110.0) {
            continue;
        }
        struct jb_figure_line *line = &figure->lines[figure->n_lines++];
        *line = (struct jb_figure_line){.x0 = x0, .y0 = slope * x0, .x1 = x1, .y1 = slope * x1};
        /* The label ends just before the line does, clear above it; it stands at the lower end of
         * a line that comes up from the x axis, where fewer points lie. */
        line->label_x =
            slope > 1.0 ? x1 * pow(10.0, -22.0 / decade_x) : x0 * pow(10.0, 100.0 / decade_x);
        line->label_y = line->label_x * slope * pow(10.0, 9.5 / decade_y);
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
