/* SPDX-License-Identifier: MIT */
#ifndef JB_BENCH_FIGURE_H
#define JB_BENCH_FIGURE_H

/* A figure worked out to the last coordinate: the gnuplot scripts under plots/ only draw. */

#include <stdbool.h>
#include <stdint.h>

#include "platforms/base/status.h"
#include "results/results.h"

#define JB_FIGURE_LEGEND 60
#define JB_FIGURE_LINES 96
#define JB_FIGURE_TICS 48
#define JB_FIGURE_PANELS 3
#define JB_FIGURE_SHADES 160
#define JB_FIGURE_MARKS 4000
#define JB_MARK_LABEL 160
#define JB_MARK_TOOLTIP 400

/* One row of the figure's data file and one mark of the drawing. Shapes are gnuplot's point types;
 * 0 = none. Colours are 0xRRGGBB. */
struct jb_mark {
    char label[JB_MARK_LABEL];     /* at the axis; "" = none                                 */
    char tooltip[JB_MARK_TOOLTIP]; /* shown by SVG viewers                                   */
    uint32_t series;               /* power-time: which line, from 1; else 1                 */
    double x, x_low, x_high, y, y_low, y_high;
    double row; /* where the label stands on the y axis */
    /* For who reads the SVG: data-platform and the like; NULL = left out. */
    const char *platform, *method, *evidence;
    int shape, under, inner; /* under: white, behind; inner: tells the evidence class        */
    double size, inner_size;
    uint32_t colour;
};

struct jb_legend {
    double x, y; /* points from the lower left; 0, 0 = in one list right of the plot area */
    char text[96];
    bool is_heading;
    int shape, inner;
    double size, inner_size;
    uint32_t colour;
};

struct jb_figure_line { /* a guide with a label at its end */
    double x0, y0, x1, y1, label_x, label_y;
    char label[48];
};

struct jb_figure_tic { /* strips: the x axis is cut into panels */
    double at;
    char label[16];
};

struct jb_figure_panel {
    double centre; /* on the x axis */
    char title[48];
};

struct jb_figure_shade { /* a stretch of the x axis */
    double from, to;
    uint32_t colour;
};

struct jb_figure {
    const char *kind; /* NULL-terminated; plots/KIND.gp draws it */
    struct jb_mark *marks;
    uint64_t n_marks;
    uint32_t n_series;
    uint32_t n_under; /* layers that the script draws under the marks */
    char subtitle[256];
    bool is_x_log;
    double x_min, x_max, y_min, y_max;
    double text_size;                /* points of the largest text; 0 = 12      */
    double width, height;            /* points                                  */
    double left, right, bottom, top; /* edges of the plot area, points from the lower left */
    double line_angle;               /* degrees, of the labels at the guides    */
    struct jb_legend legend[JB_FIGURE_LEGEND];
    uint32_t n_legend;
    struct jb_figure_line lines[JB_FIGURE_LINES];
    uint32_t n_lines;
    struct jb_figure_shade shades[JB_FIGURE_SHADES];
    uint32_t n_shades;
    struct jb_figure_tic tics[JB_FIGURE_TICS];
    uint32_t n_tics;
    struct jb_figure_panel panels[JB_FIGURE_PANELS];
    uint32_t n_panels;
    uint64_t n_without_value; /* groups left out: the quantity is unknown   */
    uint64_t n_invalid;       /* groups left out: their verdict is INVALID  */
};

struct jb_figure_wish {
    const char *kind;
    const char *phase; /* power-throughput and efficiency */
    bool with_invalid;
};

/* Kinds made from groups: power-throughput, efficiency, phases.
 * @param ret_figure jb_figure_free() gives it back
 * @return INVAL for an unknown kind or phase; NODEV if no group has what the figure shows (the
 *         reason says what to do); NOMEM. */
enum jb_status jb_figure_of_groups(const struct jb_figure_wish *wish, const struct jb_group *groups,
                                   uint64_t n, struct jb_figure *ret_figure) JB_MUST_CHECK;
/* Kind power-time, from the trace of `joulebench run --trace` (bench/trace.h): columns time_s,
 * meter, domain, unit and value in any order; phase, batch and repetition where they are there.
 * @return FORMAT with file and line; NODEV no file, or no watts in it; PERM, IO, NOMEM. */
enum jb_status jb_figure_of_trace(const char *path, struct jb_figure *ret_figure) JB_MUST_CHECK;
/* Kind breakdown, from tables of `joulebench run --breakdown` (bench/insight.h).
 * @return FORMAT with file and line; NODEV no file, or nothing to draw; PERM, IO, NOMEM. */
enum jb_status jb_figure_of_parts(char *const *paths, int n_paths,
                                  struct jb_figure *ret_figure) JB_MUST_CHECK;
/* Kind roofline, from tables of `joulebench op`, `run --breakdown` and `roofline` together.
 * @return the same. */
enum jb_status jb_figure_of_roof(char *const *paths, int n_paths,
                                 struct jb_figure *ret_figure) JB_MUST_CHECK;
void jb_figure_free(struct jb_figure *figure); /* NULL is fine */

/* Draws to path; the ending (.svg .pdf .png) says the format. Written beside and renamed, so that
 * an older figure stays until the new one is whole. Same figure, same bytes.
 * @param keeps_data leaves the data file as PATH.data.csv
 * @return INVAL for the ending; NODEV if gnuplot or its script is missing; IO; DEVICE if gnuplot
 *         fails. */
enum jb_status jb_figure_draw(const struct jb_figure *figure, const char *path,
                              bool keeps_data) JB_MUST_CHECK;

/* Shared by the files above. */
struct jb_figure_paths {
    const char *plots, *terminal, *output, *data; /* folder of scripts; svg, png or pdf; files */
};
enum jb_status jb_figure_settings(const struct jb_figure *figure,
                                  const struct jb_figure_paths *paths,
                                  const char *path) JB_MUST_CHECK;
struct jb_legend *jb_figure_legend(struct jb_figure *figure, const char *text);
void jb_figure_words(struct jb_figure *figure, const struct jb_group *const *groups,
                     bool has_labels, bool skips_phase);
/* [from, to] widened to whole decades. */
void jb_figure_decades(double *from, double *to);
/* Frame, axes and diagonals (10^from to 10^to tokens/J) around the marks that are there: at least
 * 1 to 1000 W and 1 to 10000 tokens/s. */
void jb_figure_scatter(struct jb_figure *figure, int from_decade, int to_decade);
/* The same for one column of a two-column paper: 3.3 in wide, text of 8 pt, the legend below. Marks
 * must be complete; what jb_figure_scatter() did is undone. */
void jb_figure_scatter_column(struct jb_figure *figure, int from_decade, int to_decade);
/* The next round number, two digits at most, not below value (> 0). */
double jb_figure_round_up(double value);

#endif
