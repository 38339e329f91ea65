/* SPDX-License-Identifier: MIT */
/* Kind roofline: multiply-accumulates a second against multiply-accumulates a byte, with ceilings.
 * From tables of `joulebench op`, of `run --breakdown` (a mark a kind of op) and of `roofline`. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/figure.h"
#include "bench/figure_looks.h"
#include "results/sheet.h"
#include "results/text.h"

#define MAX_DEVICES 16
#define MAX_CEILINGS 64

struct point {
    char name[64], device[128];
    double macs, bytes, time_s;
    bool is_measured;
};
struct ceiling {
    char device[128], name[16];
    double rate; /* bytes/s or MAC/s */
    double threads;
};
struct roof {
    struct point *points;
    uint32_t n_points, capacity;
    struct ceiling ceilings[MAX_CEILINGS];
    uint32_t n_ceilings;
    char devices[MAX_DEVICES][128];
    uint32_t n_devices;
    const char *path; /* being read */
    const struct jb_sheet *sheet;
    uint64_t row;
};

/* ---- reading ---- */

static const char *cell(const struct roof *roof, const char *title)
{
    const uint32_t column = jb_sheet_find(roof->sheet, title);
    return column < roof->sheet->n_columns ? jb_sheet_cell(roof->sheet, roof->row, column) : "";
}

/* @return NaN for an empty cell; *status is set for one that is no number. */
static double number(const struct roof *roof, const char *title, enum jb_status *status)
{
    const char *text = cell(roof, title);
    double value = (double)NAN;
    if (text[0] != '\0' && !jb_real_parse(text, strlen(text), &value)) {
        *status = jb_fail(JB_E_FORMAT, "%s:%llu: column %s: '%.40s' is no number", roof->path,
                          (unsigned long long)roof->sheet->lines[roof->row], title, text);
    }
    return value;
}

/* The point of a name and device; a new one where is_new or there is none. NULL without memory. */
static struct point *find_point(struct roof *roof, const char *name, const char *device,
                                bool is_new)
{
    for (uint32_t i = 0; i < roof->n_points && !is_new; i++) {
        if (strcmp(roof->points[i].name, name) == 0 &&
            strcmp(roof->points[i].device, device) == 0) {
            return &roof->points[i];
        }
    }
    if (roof->n_points == roof->capacity) {
        const uint32_t capacity = 2 * roof->capacity + 64;
        struct point *grown = realloc(roof->points, capacity * sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        roof->points = grown;
        roof->capacity = capacity;
    }
    struct point *point = &roof->points[roof->n_points++];
    *point = (struct point){.time_s = 0};
    (void)snprintf(point->name, sizeof point->name, "%s", name);
    (void)snprintf(point->device, sizeof point->device, "%s", device);
    return point;
}

static enum jb_status add_op(struct roof *roof)
{
    char name[64];
    enum jb_status status = JB_OK;
    (void)snprintf(name, sizeof name, "%.12s %.30s %.12s", cell(roof, "op"), cell(roof, "shape"),
                   cell(roof, "format"));
    struct point *point = find_point(roof, name, cell(roof, "device"), true);
    if (point == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the figure");
    }
    point->macs = number(roof, "macs", &status);
    point->bytes = number(roof, "bytes", &status);
    point->time_s = number(roof, "time_s", &status);
    point->is_measured = strcmp(cell(roof, "time_class"), "measured") == 0;
    return status;
}

static enum jb_status add_part(struct roof *roof)
{
    char name[64];
    enum jb_status status = JB_OK;
    const char *what = cell(roof, "what");
    const char *part = cell(roof, "name");
    const double value = number(roof, "value", &status);
    if (status != JB_OK || cell(roof, "op")[0] == '\0' ||
        strcmp(cell(roof, "phase"), "total") == 0 || strcmp(cell(roof, "repetition"), "0") != 0) {
        return status;
    }
    (void)snprintf(name, sizeof name, "%.12s, %.8s, batch %.6s", cell(roof, "op"),
                   cell(roof, "phase"), cell(roof, "batch"));
    struct point *point = find_point(roof, name, cell(roof, "device"), false);
    if (point == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the figure");
    }
    point->time_s += strcmp(what, "time") == 0 && strcmp(part, "busy") == 0 ? value : 0;
    point->macs += strcmp(what, "work") == 0 && strcmp(part, "macs") == 0 ? value : 0;
    point->bytes += strcmp(what, "work") == 0 && strcmp(part, "bytes") == 0 ? value : 0;
    return JB_OK;
}

/* Of each device and kind, the row of the most threads. */
static enum jb_status add_ceiling(struct roof *roof)
{
    enum jb_status status = JB_OK;
    const char *device = cell(roof, "device");
    const char *kind = cell(roof, "kind");
    const char *name = strcmp(kind, "macs") == 0 ? cell(roof, "number") : kind;
    const double rate = number(roof, "rate_high", &status);
    const double threads = number(roof, "threads", &status);
    if (status != JB_OK || strcmp(kind, "copy") == 0 || !(rate > 0)) {
        return status;
    }
    uint32_t i = 0;
    while (i < roof->n_ceilings && (strcmp(roof->ceilings[i].device, device) != 0 ||
                                    strcmp(roof->ceilings[i].name, name) != 0)) {
        i++;
    }
    if (i == MAX_CEILINGS) {
        return jb_fail(JB_E_INVAL, "%s: more than %d ceilings are no figure", roof->path,
                       MAX_CEILINGS);
    }
    struct ceiling *ceiling = &roof->ceilings[i];
    if (i == roof->n_ceilings || threads >= ceiling->threads) {
        (void)snprintf(ceiling->device, sizeof ceiling->device, "%s", device);
        (void)snprintf(ceiling->name, sizeof ceiling->name, "%s", name);
        ceiling->rate = rate;
        ceiling->threads = threads;
        roof->n_ceilings += i == roof->n_ceilings ? 1 : 0;
    }
    return JB_OK;
}

static bool has(const struct jb_sheet *sheet, const char *title)
{
    return jb_sheet_find(sheet, title) < sheet->n_columns;
}

/* By the columns that a table has; NULL = none of ours. */
static enum jb_status (*reader_of(const struct jb_sheet *sheet))(struct roof *)
{
    if (has(sheet, "rate_high") && has(sheet, "kind")) {
        return add_ceiling;
    }
    if (has(sheet, "what") && has(sheet, "value") && has(sheet, "repetition")) {
        return add_part;
    }
    return has(sheet, "shape") && has(sheet, "macs") && has(sheet, "time_s") ? add_op : NULL;
}

static enum jb_status add_file(struct roof *roof, const char *path)
{
    struct jb_sheet sheet;
    enum jb_status status = jb_sheet_read(path, &sheet);
    if (status != JB_OK) {
        return status;
    }
    enum jb_status (*const add)(struct roof *) = reader_of(&sheet);
    if (add == NULL) {
        jb_sheet_free(&sheet);
        return jb_fail(JB_E_FORMAT,
                       "%s:1: no table of `joulebench op`, `run --breakdown` or `roofline`", path);
    }
    roof->path = path;
    roof->sheet = &sheet;
    for (roof->row = 0; status == JB_OK && roof->row < sheet.n_rows; roof->row++) {
        status = add(roof);
    }
    roof->sheet = NULL;
    jb_sheet_free(&sheet);
    return status;
}

/* ---- drawing ---- */

static uint32_t device_index(struct roof *roof, const char *device)
{
    uint32_t i = 0;
    while (i < roof->n_devices && strcmp(roof->devices[i], device) != 0) {
        i++;
    }
    if (i == roof->n_devices && i < MAX_DEVICES) {
        (void)snprintf(roof->devices[i], sizeof roof->devices[i], "%s", device);
        roof->n_devices++;
    }
    return i < MAX_DEVICES ? i : MAX_DEVICES - 1;
}

static uint32_t colour_of(uint32_t device)
{
    static const uint32_t colours[] = {0x4E79A7, 0xE15759, 0x59A14F, 0xF28E2B,
                                       0xB07AA1, 0x76B7B2, 0x9C755F, 0xEDC948};
    return colours[device % (sizeof colours / sizeof colours[0])];
}

/* Shapes by operation: hollow ones follow their filled form by -1 in gnuplot's order. */
static const struct {
    const char *start, *title;
    int filled, hollow;
} ops[] = {{"gemv", "gemv", 7, 6},
           {"gemm", "gemm", 5, 4},
           {"attention", "attention", 9, 8},
           {"matmul", "matmul", 13, 12},
           {"", "other", 11, 10}};
enum { N_OPS = sizeof ops / sizeof ops[0] };

static int op_of(const char *name)
{
    int i = 0;
    while (i < N_OPS - 1 && strncmp(name, ops[i].start, strlen(ops[i].start)) != 0) {
        i++;
    }
    return i;
}

static void add_marks(struct roof *roof, struct jb_figure *figure, bool *ret_ops)
{
    for (uint32_t i = 0; i < roof->n_points; i++) {
        const struct point *point = &roof->points[i];
        if (point->macs == 0) {
            continue; /* norms and the like have no place on these axes */
        }
        const double x = point->macs / point->bytes;
        const double y = point->macs / point->time_s / 1e9;
        if (!(x > 0) || !(y > 0) || isinf(x) || isinf(y) || figure->n_marks == JB_FIGURE_MARKS) {
            figure->n_without_value++;
            continue;
        }
        const int op = op_of(point->name);
        struct jb_mark *mark = &figure->marks[figure->n_marks++];
        *mark = (struct jb_mark){.series = 1,
                                 .x = x,
                                 .x_low = x,
                                 .x_high = x,
                                 .y = y,
                                 .y_low = y,
                                 .y_high = y,
                                 .shape = point->is_measured ? ops[op].filled : ops[op].hollow,
                                 .under = ops[op].filled,
                                 .size = JB_MARK_SIZE,
                                 .evidence = point->is_measured ? "measured" : "simulated",
                                 .colour = colour_of(device_index(roof, point->device))};
        (void)snprintf(mark->tooltip, sizeof mark->tooltip, "%s: %s: %.4g GMAC/s at %.4g MAC/B",
                       point->device, point->name, y, x);
        ret_ops[op] = true;
    }
}

static void add_legend(const struct roof *roof, const bool *has_ops, struct jb_figure *figure)
{
    jb_figure_legend(figure, "Device")->is_heading = true;
    for (uint32_t i = 0; i < roof->n_devices; i++) {
        struct jb_legend *entry = jb_figure_legend(figure, roof->devices[i]);
        entry->shape = 5;
        entry->colour = colour_of(i);
    }
    jb_figure_legend(figure, "Operation")->is_heading = true;
    for (int i = 0; i < N_OPS; i++) {
        if (has_ops[i]) {
            jb_figure_legend(figure, ops[i].title)->shape = ops[i].filled;
        }
    }
}

/* Axes around the marks and the place where slopes meet ceilings. */
static void set_axes(const struct roof *roof, struct jb_figure *figure)
{
    double slope = 0;
    double top = 0;
    figure->x_min = figure->x_max = figure->marks[0].x;
    figure->y_min = figure->y_max = figure->marks[0].y;
    for (uint64_t i = 1; i < figure->n_marks; i++) {
        figure->x_min = fmin(figure->x_min, figure->marks[i].x);
        figure->x_max = fmax(figure->x_max, figure->marks[i].x);
        figure->y_min = fmin(figure->y_min, figure->marks[i].y);
        figure->y_max = fmax(figure->y_max, figure->marks[i].y);
    }
    for (uint32_t i = 0; i < roof->n_ceilings; i++) {
        const bool is_read = strcmp(roof->ceilings[i].name, "read") == 0;
        slope = is_read ? fmax(slope, roof->ceilings[i].rate / 1e9) : slope;
        top = is_read ? top : fmax(top, roof->ceilings[i].rate / 1e9);
    }
    figure->y_max = fmax(figure->y_max, 1.5 * top);
    figure->x_max = slope > 0 ? fmax(figure->x_max, 4 * top / slope) : figure->x_max;
    jb_figure_decades(&figure->x_min, &figure->x_max);
    jb_figure_decades(&figure->y_min, &figure->y_max);
    figure->is_x_log = true;
    figure->width = 760.0;
    figure->height = 480.0;
    figure->left = 84.0;
    figure->right = 540.0;
    figure->bottom = 54.0;
    figure->top = 448.0;
}

static void add_line(struct jb_figure *figure, double x0, double y0, double x1, double y1,
                     const char *label)
{
    if (!(x1 > x0) || figure->n_lines == JB_FIGURE_LINES) {
        return;
    }
    const bool is_flat = y0 == y1;
    const double decade_x = (figure->right - figure->left) / log10(figure->x_max / figure->x_min);
    const double decade_y = (figure->top - figure->bottom) / log10(figure->y_max / figure->y_min);
    struct jb_figure_line *line = &figure->lines[figure->n_lines++];
    *line = (struct jb_figure_line){.x0 = x0, .y0 = y0, .x1 = x1, .y1 = y1};
    if (!is_flat) {
        figure->line_angle = atan2(decade_y, decade_x) * 180.0 / acos(-1.0);
    }
    /* clear above the line, at its right end */
    line->label_x = x1 * pow(10.0, (is_flat ? -6.0 : -22.0) / decade_x);
    line->label_y = (is_flat ? y1 : y0 * line->label_x / x0) * pow(10.0, 9.0 / decade_y);
    (void)snprintf(line->label, sizeof line->label, "%s", label);
}

/* Of each device: the slope up to the highest ceiling, each ceiling from the slope on. */
static void add_ceilings(const struct roof *roof, struct jb_figure *figure)
{
    for (uint32_t i = 0; i < roof->n_ceilings; i++) {
        const struct ceiling *c = &roof->ceilings[i];
        double slope = 0;
        double top = 0;
        char label[48];
        for (uint32_t k = 0; k < roof->n_ceilings; k++) {
            const struct ceiling *other = &roof->ceilings[k];
            const bool is_read = strcmp(other->name, "read") == 0;
            if (strcmp(other->device, c->device) == 0) {
                slope = is_read ? other->rate / 1e9 : slope;
                top = is_read ? top : fmax(top, other->rate / 1e9);
            }
        }
        if (strcmp(c->name, "read") == 0) {
            const double x0 = fmax(figure->x_min, figure->y_min / slope);
            const double x1 = fmin(figure->x_max, (top > 0 ? top : figure->y_max) / slope);
            (void)snprintf(label, sizeof label, "%.3g GB/s", slope);
            add_line(figure, x0, slope * x0, x1, slope * x1, label);
        } else {
            const double y = c->rate / 1e9;
            const double x0 = slope > 0 ? fmax(figure->x_min, y / slope) : figure->x_min;
            (void)snprintf(label, sizeof label, "%s %.3g GMAC/s", c->name, y);
            add_line(figure, x0, y, figure->x_max, y, label);
        }
    }
}

static enum jb_status draw_roof(struct roof *roof, struct jb_figure *ret_figure)
{
    struct jb_figure figure = {.kind = "roofline", .n_series = 1, .n_under = 1};
    bool has_ops[N_OPS] = {false};
    figure.marks = calloc(roof->n_points > 0 ? roof->n_points : 1, sizeof *figure.marks);
    if (figure.marks == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the figure");
    }
    add_marks(roof, &figure, has_ops);
    if (figure.n_marks == 0) {
        jb_figure_free(&figure);
        return jb_fail(JB_E_NODEV, "no operation with MACs, bytes and a time: `joulebench op "
                                   "--output FILE.csv` or `run --breakdown FILE.csv` writes them");
    }
    add_legend(roof, has_ops, &figure);
    set_axes(roof, &figure);
    add_ceilings(roof, &figure);
    *ret_figure = figure;
    return JB_OK;
}

enum jb_status jb_figure_of_roof(char *const *paths, int n_paths, struct jb_figure *ret_figure)
{
    struct roof *roof = calloc(1, sizeof *roof);
    if (roof == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the figure");
    }
    enum jb_status status = JB_OK;
    for (int i = 0; i < n_paths && status == JB_OK; i++) {
        status = add_file(roof, paths[i]);
    }
    if (status == JB_OK) {
        status = draw_roof(roof, ret_figure);
    }
    free(roof->points);
    free(roof);
    return status;
}
