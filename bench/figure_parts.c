/* SPDX-License-Identifier: MIT */
/* Kind breakdown: where time and joules of simulated phases went, from tables of `joulebench run
 * --breakdown` (bench/insight.h). A row a phase, a panel a quantity, parts as shares of a bar. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/figure.h"
#include "bench/figure_looks.h"
#include "platforms/base/units.h"
#include "results/sheet.h"
#include "results/text.h"

#define MAX_NAMES 16 /* parts of a panel; what is beyond is "other" */
#define PANEL_PITCH 1.12

enum panel { PANEL_TIME, PANEL_CYCLES, PANEL_ENERGY, N_PANELS };
static const char *const panel_titles[N_PANELS] = {"busy time by op (%)", "cycles by cause (%)",
                                                   "energy by ledger line (%)"};
static const char *const panel_headings[N_PANELS] = {"Time", "Cycles", "Energy"};

enum title {
    T_BACKEND,
    T_DEVICE,
    T_MODEL,
    T_FORMAT,
    T_BATCH,
    T_PHASE,
    T_REPETITION,
    T_OP,
    T_WHAT,
    T_NAME,
    T_VALUE,
    N_TITLES
};
static const char *const titles[N_TITLES] = {"backend", "device", "model",      "weight_format",
                                             "batch",   "phase",  "repetition", "op",
                                             "what",    "name",   "value"};

/* One bar of each panel. */
struct bar {
    char key[320], label[JB_MARK_LABEL - 64];
    double values[N_PANELS][MAX_NAMES + 1];
    double time_s, energy_j;
};
struct parts {
    struct bar *bars;
    uint32_t n_bars, capacity;
    char names[N_PANELS][MAX_NAMES + 1][40];
    uint32_t n_names[N_PANELS];
};

/* ---- reading ---- */

static uint32_t name_index(struct parts *parts, enum panel panel, const char *name)
{
    uint32_t i = 0;
    while (i < parts->n_names[panel] && strcmp(parts->names[panel][i], name) != 0) {
        i++;
    }
    if (i == parts->n_names[panel] && i <= MAX_NAMES) {
        (void)snprintf(parts->names[panel][i], sizeof parts->names[panel][i], "%s",
                       i < MAX_NAMES ? name : "other");
        parts->n_names[panel]++;
    }
    return i < MAX_NAMES ? i : MAX_NAMES;
}

/* The bar of a row of the table, made on first sight; NULL without memory. */
static struct bar *find_bar(struct parts *parts, const char *const *cells)
{
    char key[sizeof parts->bars->key];
    (void)snprintf(key, sizeof key, "%s/%s/%s/%s/%s/%s", cells[T_BACKEND], cells[T_DEVICE],
                   cells[T_MODEL], cells[T_FORMAT], cells[T_BATCH], cells[T_PHASE]);
    for (uint32_t i = 0; i < parts->n_bars; i++) {
        if (strcmp(parts->bars[i].key, key) == 0) {
            return &parts->bars[i];
        }
    }
    if (parts->n_bars == parts->capacity) {
        const uint32_t capacity = 2 * parts->capacity + 16;
        struct bar *grown = realloc(parts->bars, capacity * sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        parts->bars = grown;
        parts->capacity = capacity;
    }
    struct bar *bar = &parts->bars[parts->n_bars++];
    *bar = (struct bar){.time_s = jb_missing(), .energy_j = jb_missing()};
    memcpy(bar->key, key, sizeof key);
    (void)snprintf(bar->label, sizeof bar->label, "%.24s · %.20s %.8s · batch %.6s · %.8s",
                   cells[T_DEVICE], cells[T_MODEL], cells[T_FORMAT], cells[T_BATCH],
                   cells[T_PHASE]);
    return bar;
}

static void add_value(struct parts *parts, struct bar *bar, const char *const *cells, double value)
{
    const char *what = cells[T_WHAT];
    const char *name = cells[T_NAME];
    if (strcmp(what, "time") == 0 && strcmp(name, "busy") == 0) {
        bar->values[PANEL_TIME][name_index(parts, PANEL_TIME, cells[T_OP])] += value;
    } else if (strcmp(what, "cycles") == 0) {
        bar->values[PANEL_CYCLES][name_index(parts, PANEL_CYCLES, name)] += value;
    } else if (strcmp(what, "energy") == 0) {
        bar->values[PANEL_ENERGY][name_index(parts, PANEL_ENERGY, name)] += value;
    } else if (strcmp(what, "total") == 0 && strcmp(name, "time") == 0) {
        bar->time_s = value;
    } else if (strcmp(what, "total") == 0) {
        bar->energy_j = value;
    }
}

static enum jb_status add_row(struct parts *parts, const struct jb_sheet *sheet, uint64_t row,
                              const uint32_t *columns, const char *path)
{
    const char *cells[N_TITLES];
    double value = 0;
    for (int i = 0; i < N_TITLES; i++) {
        cells[i] = jb_sheet_cell(sheet, row, columns[i]);
    }
    if (!jb_real_parse(cells[T_VALUE], strlen(cells[T_VALUE]), &value) || !(value >= 0)) {
        return jb_fail(JB_E_FORMAT, "%s:%llu: column value: '%.40s' is no share of anything", path,
                       (unsigned long long)sheet->lines[row], cells[T_VALUE]);
    }
    /* repetitions of a simulation are equal; total is prefill and decode again */
    if (strcmp(cells[T_REPETITION], "0") != 0 || strcmp(cells[T_PHASE], "total") == 0) {
        return JB_OK;
    }
    struct bar *bar = find_bar(parts, cells);
    if (bar == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the figure");
    }
    add_value(parts, bar, cells, value);
    return JB_OK;
}

static enum jb_status add_file(struct parts *parts, const char *path)
{
    struct jb_sheet sheet;
    uint32_t columns[N_TITLES];
    enum jb_status status = jb_sheet_read(path, &sheet);
    if (status != JB_OK) {
        return status;
    }
    for (int i = 0; i < N_TITLES && status == JB_OK; i++) {
        columns[i] = jb_sheet_find(&sheet, titles[i]);
        if (columns[i] == sheet.n_columns) {
            status = jb_fail(JB_E_FORMAT,
                             "%s:1: no column %s: this is no table of `joulebench run --breakdown`",
                             path, titles[i]);
        }
    }
    for (uint64_t row = 0; row < sheet.n_rows && status == JB_OK; row++) {
        status = add_row(parts, &sheet, row, columns, path);
    }
    jb_sheet_free(&sheet);
    return status;
}

/* ---- drawing ---- */

static uint32_t colour_of(uint32_t i)
{
    /* They stay apart from their neighbours in print; no platform is meant. */
    static const uint32_t colours[MAX_NAMES] = {
        0x4E79A7, 0xF28E2B, 0x76B7B2, 0xE15759, 0xEDC948, 0x59A14F, 0xB07AA1, 0x9C755F,
        0xFF9DA7, 0x499894, 0xD37295, 0x86BCB6, 0xA0CBE8, 0xD4A6C8, 0xB6992D, 0x79706E};
    return i < MAX_NAMES ? colours[i] : 0xBAB0ACu;
}

static double sum_of(const struct bar *bar, enum panel panel)
{
    double sum = 0;
    for (uint32_t i = 0; i <= MAX_NAMES; i++) {
        sum += bar->values[panel][i];
    }
    return sum;
}

/* "14.4 ms", "0.64 J". */
static void put_amount(char *text, size_t size, double value, const char *unit)
{
    static const struct {
        double least;
        const char *prefix;
    } prefixes[] = {{1, ""}, {1e-3, "m"}, {1e-6, "u"}, {1e-9, "n"}};
    size_t i = 0;
    while (i < 3 && value < prefixes[i].least) {
        i++;
    }
    const size_t used = strlen(text);
    if (!jb_is_missing(value)) {
        (void)snprintf(text + used, size - used, " · %.3g %s%s", value / prefixes[i].least,
                       prefixes[i].prefix, unit);
    }
}

/* Segments of one bar. */
static void add_segments(struct jb_figure *figure, const struct parts *parts, const struct bar *bar,
                         uint32_t row, enum panel panel, double left)
{
    const double sum = sum_of(bar, panel);
    double at = 0;
    for (uint32_t i = 0; i < parts->n_names[panel] && sum > 0; i++) {
        const double share = bar->values[panel][i] / sum;
        if (!(share > 0) || figure->n_marks == JB_FIGURE_MARKS) {
            continue;
        }
        struct jb_mark *mark = &figure->marks[figure->n_marks++];
        *mark = (struct jb_mark){.series = 1,
                                 .x = left + at + share / 2,
                                 .x_low = left + at,
                                 .x_high = left + at + share,
                                 .y = row,
                                 .y_low = row - 0.36,
                                 .y_high = row + 0.36,
                                 .row = row,
                                 .shape = 7,
                                 .size = 0.02,
                                 .colour = colour_of(i)};
        (void)snprintf(mark->label, sizeof mark->label, "%s", bar->label);
        put_amount(mark->label, sizeof mark->label, bar->time_s, "s");
        put_amount(mark->label, sizeof mark->label, bar->energy_j, "J");
        (void)snprintf(mark->tooltip, sizeof mark->tooltip, "%s: %s, %s: %.1f %%", bar->label,
                       panel_headings[panel], parts->names[panel][i], 100 * share);
        at += share;
    }
}

static void add_tic(struct jb_figure *figure, double at, const char *label)
{
    struct jb_figure_tic *tic = &figure->tics[figure->n_tics++];
    tic->at = at;
    (void)snprintf(tic->label, sizeof tic->label, "%s", label);
}

static void add_panel(struct jb_figure *figure, const struct parts *parts, enum panel panel,
                      double left)
{
    struct jb_figure_panel *place = &figure->panels[figure->n_panels++];
    place->centre = left + 0.5;
    (void)snprintf(place->title, sizeof place->title, "%s", panel_titles[panel]);
    add_tic(figure, left, "0");
    add_tic(figure, left + 0.5, "50");
    add_tic(figure, left + 1, "100");
    jb_figure_legend(figure, panel_headings[panel])->is_heading = true;
    for (uint32_t i = 0; i < parts->n_names[panel]; i++) {
        struct jb_legend *entry = jb_figure_legend(figure, parts->names[panel][i]);
        entry->shape = 5;
        entry->size = 1.1;
        entry->colour = colour_of(i);
    }
}

static void set_frame(struct jb_figure *figure, uint32_t n_bars, uint32_t n_panels)
{
    size_t letters = 0;
    for (uint64_t i = 0; i < figure->n_marks; i++) {
        const size_t n = jb_utf8_width(figure->marks[i].label);
        letters = n > letters ? n : letters;
    }
    const double legend = 16.0 * figure->n_legend + 24.0;
    const double rows = 34.0 * n_bars + 10.0;
    figure->left = 24.0 + 5.9 * (double)letters;
    figure->right = figure->left + 210.0 * n_panels;
    figure->width = figure->right + 150.0;
    figure->bottom = 54.0 + fmax(0.0, legend - rows);
    figure->top = figure->bottom + rows;
    figure->height = figure->top + 32.0;
    figure->x_min = -0.02;
    figure->x_max = PANEL_PITCH * (n_panels - 1) + 1.02;
    figure->y_min = 0.4;
    figure->y_max = n_bars + 0.6;
}

static enum jb_status draw_parts(const struct parts *parts, struct jb_figure *ret_figure)
{
    struct jb_figure figure = {.kind = "breakdown", .n_series = 1, .n_under = 1};
    double lefts[N_PANELS] = {0};
    bool is_there[N_PANELS] = {false};
    uint32_t n_panels = 0;
    figure.marks = calloc(JB_FIGURE_MARKS, sizeof *figure.marks);
    if (figure.marks == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the figure");
    }
    for (int p = 0; p < N_PANELS; p++) {
        for (uint32_t b = 0; b < parts->n_bars && !is_there[p]; b++) {
            is_there[p] = sum_of(&parts->bars[b], (enum panel)p) > 0;
        }
        if (is_there[p]) {
            lefts[p] = PANEL_PITCH * n_panels++;
            add_panel(&figure, parts, (enum panel)p, lefts[p]);
        }
    }
    for (uint32_t b = 0; b < parts->n_bars; b++) {
        for (int p = 0; p < N_PANELS; p++) {
            if (is_there[p]) {
                add_segments(&figure, parts, &parts->bars[b], b + 1, (enum panel)p, lefts[p]);
            }
        }
    }
    if (figure.n_marks == 0) {
        jb_figure_free(&figure);
        return jb_fail(JB_E_NODEV, "no phase with a time or joules in it: `joulebench run "
                                   "--breakdown FILE.csv` on a simulated backend writes them");
    }
    set_frame(&figure, parts->n_bars, n_panels);
    *ret_figure = figure;
    return JB_OK;
}

enum jb_status jb_figure_of_parts(char *const *paths, int n_paths, struct jb_figure *ret_figure)
{
    struct parts parts = {.bars = NULL};
    enum jb_status status = JB_OK;
    for (int i = 0; i < n_paths && status == JB_OK; i++) {
        status = add_file(&parts, paths[i]);
    }
    if (status == JB_OK) {
        status = draw_parts(&parts, ret_figure);
    }
    free(parts.bars);
    return status;
}
