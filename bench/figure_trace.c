/* SPDX-License-Identifier: MIT */
/* Power over time from the trace of a run: one line a meter domain, phases as shades. Domains in
 * watts are drawn as they are; cumulative joules become the mean watts between two ticks. */
#include <csv.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/figure.h"
#include "results/text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MAX_SERIES 8
#define MAX_POINTS 1200 /* drawn points of one line; more are averaged */
#define MAX_TRACE_BYTES ((size_t)1 << 28)
#define CELL 96
#define MIN_TICK_S 0.02 /* shorter stretches of joules, as between two windows, are all noise */

enum column {
    TIME,
    METER,
    DOMAIN_,
    UNIT,
    VALUE,
    N_REQUIRED,
    PHASE = N_REQUIRED,
    BATCH,
    EVIDENCE,
    REPETITION,
    N_COLUMNS
};
static const char *const column_names[N_COLUMNS] = {
    "time_s", "meter", "domain", "unit", "value", "phase", "batch", "evidence", "repetition"};

static const struct {
    const char *name;
    uint32_t colour;
} phase_colours[] = {
    {"idle", 0xEDEDED}, {"prefill", 0xDCE6F5}, {"decode", 0xFCE8D5}, {"total", 0xE2F0D9}};
static const uint32_t line_colours[MAX_SERIES] = {0x1F4E79, 0xC55A11, 0x548235, 0x7030A0,
                                                  0x806000, 0x404040, 0xC00000, 0x008080};

struct point {
    double time_s, value;
};

struct series {
    char name[2 * CELL], unit[CELL], evidence[CELL];
    struct point *points;
    uint64_t n, capacity;
    double last_s; /* of the newest point */
};

/* A window of the run: neighbouring rows of one phase, batch and repetition. */
struct span {
    double from_s, to_s;
    uint32_t phase; /* index into phase_colours */
    char place[2 * CELL];
};

struct reader {
    const char *path;
    uint64_t line;
    enum jb_status status;
    int at[N_COLUMNS]; /* where a column stands; -1 = nowhere */
    uint32_t n_fields, n_cells;
    bool has_header;
    char cells[N_COLUMNS][CELL];
    struct series series[MAX_SERIES];
    uint32_t n_series, n_dropped;
    struct span *spans;
    uint64_t n_spans, span_capacity;
    double first_s, last_s;
};

static void refuse(struct reader *r, const char *what, const char *cell)
{
    r->status = jb_fail(JB_E_FORMAT, "%s:%llu: %s '%.40s'", r->path, (unsigned long long)r->line,
                        what, cell);
}

static void on_cell(void *cell, size_t size, void *user)
{
    struct reader *r = user;
    const uint32_t at = r->n_cells++;
    char text[CELL];
    if (r->status != JB_OK) {
        return;
    }
    const size_t used = size < sizeof text - 1 ? size : sizeof text - 1;
    if (used > 0) {
        memcpy(text, cell, used);
    }
    text[used] = '\0';
    if (size >= sizeof text || memchr(text, '\0', used) != NULL ||
        jb_utf8_valid(text, used) != used) {
        refuse(r, "a cell is too long or no text:", text);
        return;
    }
    for (int c = 0; c < N_COLUMNS; c++) {
        if (!r->has_header && strcmp(column_names[c], text) == 0) {
            r->at[c] = (int)at;
        } else if (r->has_header && r->at[c] == (int)at) {
            memcpy(r->cells[c], text, used + 1);
        }
    }
}

static void end_header(struct reader *r)
{
    for (int c = 0; c < N_REQUIRED; c++) {
        if (r->at[c] < 0) {
            r->status = jb_fail(JB_E_FORMAT,
                                "%s:%llu: column '%s' is missing: power-time draws a trace, made "
                                "by joulebench run --trace",
                                r->path, (unsigned long long)r->line, column_names[c]);
            return;
        }
    }
    r->n_fields = r->n_cells;
    r->has_header = true;
}

static bool grow(void **items, uint64_t *capacity, uint64_t n, size_t size)
{
    if (*items != NULL && n < *capacity) {
        return true;
    }
    const uint64_t wanted = *capacity == 0 ? 256 : 2 * *capacity;
    void *grown = realloc(*items, wanted * size);
    if (grown != NULL) {
        *items = grown;
        *capacity = wanted;
    }
    return grown != NULL;
}

static void no_memory(struct reader *r)
{
    r->status = jb_fail(JB_E_NOMEM, "no memory for the trace '%s'", r->path);
}

static void take_phase(struct reader *r, double time_s)
{
    uint32_t phase = 0;
    while (phase < COUNT(phase_colours) &&
           strcmp(phase_colours[phase].name, r->cells[PHASE]) != 0) {
        phase++;
    }
    if (phase == COUNT(phase_colours)) {
        return;
    }
    struct span here = {.from_s = time_s, .to_s = time_s, .phase = phase};
    (void)snprintf(here.place, sizeof here.place, "%s %s", r->cells[BATCH], r->cells[REPETITION]);
    struct span *last = r->n_spans > 0 ? &r->spans[r->n_spans - 1] : NULL;
    if (last != NULL && last->phase == phase && strcmp(last->place, here.place) == 0) {
        last->from_s = fmin(last->from_s, time_s);
        last->to_s = fmax(last->to_s, time_s);
    } else if (grow((void **)&r->spans, &r->span_capacity, r->n_spans, sizeof *r->spans)) {
        r->spans[r->n_spans++] = here;
    } else {
        no_memory(r);
    }
}

static void take_sample(struct reader *r, double time_s, double value)
{
    char name[2 * CELL];
    const size_t n_meter = strlen(r->cells[METER]);
    const bool has_meter = strncmp(r->cells[DOMAIN_], r->cells[METER], n_meter) == 0 &&
                           r->cells[DOMAIN_][n_meter] == ':';
    (void)snprintf(name, sizeof name, "%s%s%s", has_meter ? "" : r->cells[METER],
                   has_meter ? "" : ":", r->cells[DOMAIN_]);
    uint32_t i = 0;
    while (i < r->n_series && strcmp(r->series[i].name, name) != 0) {
        i++;
    }
    if (i == MAX_SERIES) {
        r->n_dropped++;
        return;
    }
    struct series *series = &r->series[i];
    if (i == r->n_series) {
        memcpy(series->name, name, sizeof name);
        memcpy(series->unit, r->cells[UNIT], CELL);
        memcpy(series->evidence, r->cells[EVIDENCE], CELL);
        r->n_series++;
    }
    if (!grow((void **)&series->points, &series->capacity, series->n, sizeof *series->points)) {
        no_memory(r);
        return;
    }
    if (series->n > 0 && time_s < series->last_s) {
        refuse(r, "time runs backwards for", name);
        return;
    }
    series->points[series->n++] = (struct point){time_s, value};
    series->last_s = time_s;
}

static void end_row(struct reader *r)
{
    double time_s = 0.0, value = 0.0;
    if (r->n_cells != r->n_fields) {
        refuse(r, "another number of cells than the header has, from", r->cells[TIME]);
        return;
    }
    if (!jb_real_parse(r->cells[TIME], strlen(r->cells[TIME]), &time_s)) {
        refuse(r, "time_s is no number:", r->cells[TIME]);
        return;
    }
    r->first_s = r->first_s < time_s ? r->first_s : time_s;
    r->last_s = r->last_s > time_s ? r->last_s : time_s;
    take_phase(r, time_s);
    if (r->status != JB_OK || r->cells[VALUE][0] == '\0') {
        return; /* a reading that failed */
    }
    if (!jb_real_parse(r->cells[VALUE], strlen(r->cells[VALUE]), &value)) {
        refuse(r, "value is no number:", r->cells[VALUE]);
    } else if (strcmp(r->cells[UNIT], "W") == 0 || strcmp(r->cells[UNIT], "J") == 0) {
        take_sample(r, time_s, value);
    }
}

static void on_row(int terminator, void *user)
{
    struct reader *r = user;
    (void)terminator;
    if (r->status == JB_OK) {
        if (r->has_header) {
            end_row(r);
        } else {
            end_header(r);
        }
    }
    r->n_cells = 0;
}

static void read_lines(struct reader *r, FILE *file)
{
    struct csv_parser parser;
    char *line = malloc((size_t)1 << 16);
    size_t total = 0;
    if (line == NULL || csv_init(&parser, CSV_STRICT) != 0) {
        free(line);
        no_memory(r);
        return;
    }
    while (r->status == JB_OK && fgets(line, 1 << 16, file) != NULL) {
        const size_t size = strlen(line);
        total += size;
        if (size == 0 || line[size - 1] != '\n') {
            /* The torn end of a run that was killed; in the middle it is damage. */
            if (!feof(file)) {
                r->line++;
                refuse(r, "an endless line or a NUL byte after", line);
            }
            break;
        }
        r->line++;
        if (total > MAX_TRACE_BYTES) {
            refuse(r, "the trace is larger than 256 MiB at", line);
        } else if (csv_parse(&parser, line, size, on_cell, on_row, r) != size &&
                   r->status == JB_OK) {
            refuse(r, "malformed CSV:", r->cells[TIME]);
        }
    }
    if (r->status == JB_OK && ferror(file)) {
        r->status = jb_fail(JB_E_IO, "cannot read '%s': %s", r->path, strerror(errno));
    }
    csv_free(&parser);
    free(line);
}

/* Cumulative joules to mean watts, in place: a point where the counter ticked. There are fewer
 * ticks than samples before any of them, so no sample is overwritten before it is read. */
static void differentiate(struct series *series)
{
    uint64_t n = 0;
    struct point last = series->points[0];
    for (uint64_t i = 1; i < series->n; i++) {
        const struct point next = series->points[i];
        if (next.value < last.value) {
            last = next; /* a reset: nothing is known across it */
        } else if (next.value > last.value && next.time_s - last.time_s >= MIN_TICK_S) {
            series->points[n++] =
                (struct point){0.5 * (last.time_s + next.time_s),
                               (next.value - last.value) / (next.time_s - last.time_s)};
            last = next;
        }
    }
    series->n = n;
}

/* Means over equal counts of points, so that a long trace stays a figure. */
static void thin(struct series *series)
{
    const uint64_t stride = (series->n + MAX_POINTS - 1) / MAX_POINTS;
    uint64_t n = 0;
    for (uint64_t i = 0; stride > 1 && i < series->n; i += stride) {
        const uint64_t end = i + stride < series->n ? i + stride : series->n;
        struct point mean = {0.0, 0.0};
        for (uint64_t k = i; k < end; k++) {
            mean.time_s += series->points[k].time_s / (double)(end - i);
            mean.value += series->points[k].value / (double)(end - i);
        }
        series->points[n++] = mean;
    }
    series->n = stride > 1 ? n : series->n;
}

/* Spans of one phase that follow one another closer than gap_s become one shade. */
static uint32_t shade(const struct reader *r, double gap_s, struct jb_figure *figure)
{
    figure->n_shades = 0;
    for (uint64_t i = 0; i < r->n_spans; i++) {
        const struct span *span = &r->spans[i];
        const double from = span->from_s - r->first_s, to = span->to_s - r->first_s;
        const uint32_t colour = phase_colours[span->phase].colour;
        struct jb_figure_shade *last =
            figure->n_shades > 0 ? &figure->shades[figure->n_shades - 1] : NULL;
        if (last != NULL && last->colour == colour && from - last->to <= gap_s) {
            last->to = to;
        } else if (figure->n_shades == JB_FIGURE_SHADES) {
            return UINT32_MAX;
        } else {
            figure->shades[figure->n_shades++] = (struct jb_figure_shade){from, to, colour};
        }
    }
    return figure->n_shades;
}

static void add_shades(const struct reader *r, struct jb_figure *figure)
{
    /* Narrower gaps than a line's width cannot be seen; on long traces wider ones give way. */
    const double duration_s = r->last_s - r->first_s;
    double gap_s = 0.003 * duration_s;
    while (shade(r, gap_s, figure) == UINT32_MAX && gap_s < duration_s) {
        gap_s *= 2.0;
    }
    bool has_heading = false;
    for (uint32_t p = 0; p < COUNT(phase_colours); p++) {
        bool is_there = false;
        for (uint64_t i = 0; i < r->n_spans; i++) {
            is_there = is_there || r->spans[i].phase == p;
        }
        if (is_there && !has_heading) {
            jb_figure_legend(figure, "Phase")->is_heading = true;
            has_heading = true;
        }
        if (is_there) {
            struct jb_legend *entry = jb_figure_legend(figure, phase_colours[p].name);
            entry->shape = 5;
            entry->size = 1.4;
            entry->colour = phase_colours[p].colour;
        }
    }
}

static enum jb_status add_points(const struct reader *r, struct jb_figure *figure)
{
    uint64_t n = 0;
    for (uint32_t s = 0; s < r->n_series; s++) {
        n += r->series[s].n;
    }
    if (n == 0) {
        return jb_fail(JB_E_NODEV,
                       "'%s' has no watts: run with --meter auto ('joulebench doctor' lists what "
                       "this machine can measure), or with --meter model",
                       r->path);
    }
    figure->marks = calloc(n, sizeof *figure->marks);
    if (figure->marks == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for a figure of %llu points", (unsigned long long)n);
    }
    jb_figure_legend(figure, "Meter")->is_heading = true;
    for (uint32_t s = 0; s < r->n_series; s++) {
        const struct series *series = &r->series[s];
        if (series->n == 0) {
            continue;
        }
        /* A trace of another maker may not say; then nothing is claimed by a hollow mark. */
        const bool is_measured =
            series->evidence[0] == '\0' || strcmp(series->evidence, "measured") == 0;
        char title[3 * CELL + 4];
        (void)snprintf(title, sizeof title, is_measured ? "%s" : "%s (%s)", series->name,
                       series->evidence);
        struct jb_legend *entry = jb_figure_legend(figure, title);
        entry->shape = is_measured ? 7 : 6;
        entry->size = 0.8;
        entry->colour = line_colours[s];
        figure->n_series++;
        figure->n_under++;
        for (uint64_t i = 0; i < series->n; i++) {
            const struct point *point = &series->points[i];
            struct jb_mark *mark = &figure->marks[figure->n_marks++];
            const double x = point->time_s - r->first_s, y = point->value;
            *mark = (struct jb_mark){.series = figure->n_series,
                                     .x = x,
                                     .x_low = x,
                                     .x_high = x,
                                     .y = y,
                                     .y_low = y,
                                     .y_high = y,
                                     .shape = is_measured ? 7 : 6,
                                     .under = 7,
                                     .size = is_measured ? 0.25 : 0.35,
                                     .colour = line_colours[s]};
            (void)snprintf(mark->tooltip, sizeof mark->tooltip, "%s: %.4g W at %.4g s", title, y,
                           x);
            figure->y_max = y > figure->y_max ? y : figure->y_max;
        }
    }
    return JB_OK;
}

static enum jb_status build(struct reader *r, struct jb_figure *figure)
{
    for (uint32_t s = 0; s < r->n_series; s++) {
        if (strcmp(r->series[s].unit, "J") == 0) {
            differentiate(&r->series[s]);
        }
        thin(&r->series[s]);
    }
    const enum jb_status status = add_points(r, figure);
    if (status != JB_OK) {
        return status;
    }
    add_shades(r, figure);
    size_t letters = 0;
    for (uint32_t i = 0; i < figure->n_legend; i++) {
        const size_t n = strlen(figure->legend[i].text);
        letters = n > letters ? n : letters;
    }
    const double duration_s = r->last_s - r->first_s;
    figure->x_min = 0.0;
    figure->x_max = duration_s > 0.0 ? duration_s : 1.0;
    figure->y_min = 0.0;
    figure->y_max = figure->y_max > 0.0 ? jb_figure_round_up(1.05 * figure->y_max) : 1.0;
    figure->left = 66.0;
    figure->right = 540.0;
    figure->bottom = 54.0;
    figure->top = 304.0;
    figure->width = figure->right + 60.0 + 6.0 * (double)letters;
    figure->height = 324.0;
    return JB_OK;
}

enum jb_status jb_figure_of_trace(const char *path, struct jb_figure *ret_figure)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        const enum jb_status code = errno == ENOENT   ? JB_E_NODEV
                                    : errno == EACCES ? JB_E_PERM
                                                      : JB_E_IO;
        return jb_fail(code, "cannot open '%s': %s", path, strerror(errno));
    }
    struct jb_figure figure = {.kind = "power-time"};
    struct reader *r = calloc(1, sizeof *r);
    if (r == NULL) {
        (void)fclose(file);
        return jb_fail(JB_E_NOMEM, "no memory for the trace '%s'", path);
    }
    *r = (struct reader){.path = path, .first_s = (double)INFINITY, .last_s = -(double)INFINITY};
    for (int c = 0; c < N_COLUMNS; c++) {
        r->at[c] = -1;
    }
    read_lines(r, file);
    (void)fclose(file);
    enum jb_status status = r->status == JB_OK ? build(r, &figure) : r->status;
    for (uint32_t s = 0; s < MAX_SERIES; s++) {
        free(r->series[s].points);
    }
    free(r->spans);
    free(r);
    if (status != JB_OK) {
        jb_figure_free(&figure);
        return status;
    }
    *ret_figure = figure;
    return JB_OK;
}
