/* SPDX-License-Identifier: MIT */
/* The figures that the rows and points of a folder give, wide for the page and as a column for a
 * paper. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/figure.h"
#include "bench/report.h"
#include "bench/survey.h"
#include "results/text.h"

/* NULL if there is no such file, or no memory for it. */
static char *read_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct jb_grow text = {.bytes = NULL};
    char part[4096];
    for (size_t n; file != NULL && (n = fread(part, 1, sizeof part, file)) > 0;) {
        jb_grow_bytes(&text, part, n);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (text.has_failed) {
        free(text.bytes);
        return NULL;
    }
    return text.bytes;
}

static enum jb_status copy_file(const char *from, const char *to, bool *ret_is_there)
{
    FILE *in = fopen(from, "rb");
    *ret_is_there = in != NULL;
    if (in == NULL) {
        return JB_OK;
    }
    FILE *out = fopen(to, "wb");
    bool is_written = out != NULL;
    char part[4096];
    for (size_t n; is_written && (n = fread(part, 1, sizeof part, in)) > 0;) {
        is_written = fwrite(part, 1, n, out) == n;
    }
    is_written = is_written && ferror(in) == 0;
    (void)fclose(in);
    if (out != NULL) {
        is_written = fclose(out) == 0 && is_written;
    }
    return is_written ? JB_OK
                      : jb_fail(errno == EACCES ? JB_E_PERM : JB_E_IO, "cannot write '%s': %s", to,
                                strerror(errno));
}

static struct jb_report_figure *add_figure(struct jb_report *report, const char *stem)
{
    if (report->n_figures == JB_REPORT_FIGURES) {
        return NULL;
    }
    const struct jb_report_words *words = jb_report_words_of(stem);
    struct jb_report_figure *figure = &report->figures[report->n_figures++];
    (void)snprintf(figure->stem, sizeof figure->stem, "%s", stem);
    figure->title = words != NULL ? words->title : "";
    return figure;
}

/* A figure as the page shows it (wide) and as a column of a paper holds it. */
static enum jb_status draw_scatter(struct jb_report *report, const char *stem,
                                   struct jb_figure *drawing, int from, int to)
{
    char path[JB_REPORT_PATH];
    struct jb_report_figure *figure = add_figure(report, stem);
    enum jb_status status = figure != NULL ? jb_report_path(report->output, stem, ".svg", path)
                                           : jb_fail(JB_E_INVAL, "too many figures");
    if (status == JB_OK) {
        status = jb_figure_draw(drawing, path, false);
    }
    if (status == JB_OK) {
        figure->svg = read_text(path);
        jb_figure_scatter_column(drawing, from, to);
        figure->is_column = figure->has_pdf = true;
        status = jb_report_path(report->output, stem, ".pdf", path);
    }
    return status == JB_OK ? jb_figure_draw(drawing, path, false) : status;
}

static double real_cell(const struct jb_sheet *sheet, uint64_t row, const char *title)
{
    const uint32_t column = jb_sheet_find(sheet, title);
    double value = jb_missing();
    if (column < sheet->n_columns) {
        const char *text = jb_sheet_cell(sheet, row, column);
        (void)jb_real_parse(text, strlen(text), &value);
    }
    return value;
}

static const char *text_cell(const struct jb_sheet *sheet, uint64_t row, const char *title)
{
    const uint32_t column = jb_sheet_find(sheet, title);
    return column < sheet->n_columns ? jb_sheet_cell(sheet, row, column) : "";
}

static struct jb_interval interval_cells(const struct jb_sheet *sheet, uint64_t row,
                                         const char *title)
{
    char low[64], high[64];
    (void)snprintf(low, sizeof low, "%s_low", title);
    (void)snprintf(high, sizeof high, "%s_high", title);
    return (struct jb_interval){.median = real_cell(sheet, row, title),
                                .low = real_cell(sheet, row, low),
                                .high = real_cell(sheet, row, high)};
}

static bool point_of_row(const struct jb_sheet *sheet, uint64_t row, struct jb_point *ret_point)
{
    const enum jb_pub_platform platform = jb_pub_platform_find(text_cell(sheet, row, "platform"));
    const char *origin = text_cell(sheet, row, "origin"), *batch = text_cell(sheet, row, "batch");
    int64_t n = JB_INT_MISSING;
    (void)jb_int_parse(batch, strlen(batch), &n);
    *ret_point = (struct jb_point){.work = text_cell(sheet, row, "work"),
                                   .device = text_cell(sheet, row, "device"),
                                   .model = text_cell(sheet, row, "model"),
                                   .precision = text_cell(sheet, row, "precision"),
                                   .method = text_cell(sheet, row, "method"),
                                   .source = text_cell(sheet, row, "source"),
                                   .platform = platform,
                                   .batch = n,
                                   .power_w = real_cell(sheet, row, "power_w"),
                                   .tokens_per_s = real_cell(sheet, row, "tokens_per_s"),
                                   .tokens_per_j = real_cell(sheet, row, "tokens_per_j"),
                                   .power = interval_cells(sheet, row, "power_w"),
                                   .speed = interval_cells(sheet, row, "tokens_per_s"),
                                   .is_own = strcmp(origin, "published") != 0,
                                   .is_imported = strcmp(origin, "imported") == 0};
    ret_point->methods = jb_survey_methods(ret_point->method, ret_point->is_own);
    ret_point->evidence = jb_survey_class(text_cell(sheet, row, "evidence"));
    ret_point->power_kind = jb_power_kind_find(text_cell(sheet, row, "power_kind"));
    return platform < JB_N_PUB_PLATFORMS && ret_point->power_w > 0.0 &&
           ret_point->tokens_per_s > 0.0 && ret_point->tokens_per_j > 0.0;
}

static enum jb_status draw_points(struct jb_report *report, const struct jb_report_file *file,
                                  const char *stem)
{
    struct jb_points points = {.at = calloc(file->sheet.n_rows + 1, sizeof *points.at)};
    struct jb_figure drawing = {0};
    if (points.at == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the points of '%s'", file->name);
    }
    for (uint64_t i = 0; i < file->sheet.n_rows; i++) {
        points.n += point_of_row(&file->sheet, i, &points.at[points.n]) ? 1 : 0;
    }
    const struct jb_point_choice choice = {.batch = points.n > 0 ? points.at[0].batch : 1,
                                           .with_published = true,
                                           .with_own = true,
                                           .with_imported = true};
    enum jb_status status = JB_OK;
    if (points.n > 0) {
        status = jb_survey_scatter(&points, &choice, &drawing);
        if (status == JB_OK) {
            status = draw_scatter(report, stem, &drawing, -2, 2);
        }
    }
    jb_figure_free(&drawing);
    free(points.at);
    return status;
}

/* Figures that lie beside their table are taken over. */
static enum jb_status take_figure(struct jb_report *report, const char *stem)
{
    char from[JB_REPORT_PATH], to[JB_REPORT_PATH];
    enum jb_status status = jb_report_path(report->folder, stem, ".svg", from);
    char *svg = status == JB_OK ? read_text(from) : NULL;
    struct jb_report_figure *figure = svg != NULL ? add_figure(report, stem) : NULL;
    if (figure == NULL) {
        free(svg);
        return status;
    }
    figure->svg = svg;
    status = jb_report_path(report->folder, stem, ".pdf", from);
    if (status == JB_OK) {
        status = jb_report_path(report->output, stem, ".pdf", to);
    }
    return status == JB_OK ? copy_file(from, to, &figure->has_pdf) : status;
}

static enum jb_status draw_rows(struct jb_report *report, const char *kind)
{
    char stem[64], path[JB_REPORT_PATH];
    const struct jb_figure_wish wish = {.kind = kind, .phase = "decode"};
    struct jb_figure drawing = {0};
    if (jb_figure_of_groups(&wish, report->groups, report->n_groups, &drawing) != JB_OK) {
        return JB_OK; /* no row has what it shows */
    }
    (void)snprintf(stem, sizeof stem, "rows-%s", kind);
    enum jb_status status = JB_OK;
    if (strcmp(kind, "power-throughput") == 0) {
        status = draw_scatter(report, stem, &drawing, -3, 3);
    } else {
        struct jb_report_figure *figure = add_figure(report, stem);
        status = figure != NULL ? jb_report_path(report->output, stem, ".svg", path)
                                : jb_fail(JB_E_INVAL, "too many figures");
        if (status == JB_OK) {
            status = jb_figure_draw(&drawing, path, false);
        }
        if (status == JB_OK) {
            figure->svg = read_text(path);
            figure->has_pdf = true;
            status = jb_report_path(report->output, stem, ".pdf", path);
        }
        if (status == JB_OK) {
            status = jb_figure_draw(&drawing, path, false);
        }
    }
    jb_figure_free(&drawing);
    return status;
}

enum jb_status jb_report_draw(struct jb_report *report)
{
    static const char *const kinds[] = {"power-throughput", "efficiency", "phases"};
    enum jb_status status = JB_OK;
    for (size_t i = 0;
         report->n_groups > 0 && status == JB_OK && i < sizeof kinds / sizeof kinds[0]; i++) {
        status = draw_rows(report, kinds[i]);
    }
    for (uint32_t i = 0; status == JB_OK && i < report->n_files; i++) {
        const struct jb_report_file *file = &report->files[i];
        char stem[64];
        jb_report_stem(file->name, stem, sizeof stem);
        const bool is_scatter = file->kind == JB_REPORT_POINTS && strncmp(stem, "batch", 5) == 0;
        status = is_scatter                     ? draw_points(report, file, stem)
                 : file->kind == JB_REPORT_ROWS ? JB_OK
                                                : take_figure(report, stem);
    }
    return status;
}
