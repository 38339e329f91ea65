/* SPDX-License-Identifier: MIT */
/* A figure to a file: data CSV, settings (figure_settings.c), gnuplot, and each mark of the SVG
 * wrapped in a group of class "mark" with its words, so that marks can be counted and read. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/child.h"
#include "bench/figure.h"
#include "jb_config.h"
#include "results/text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PATH_MAX_BYTES 4096

static void put_cell(FILE *out, double value, const char *end)
{
    char text[JB_NUMBER_MAX];
    jb_real_print(value, text);
    (void)fprintf(out, "%s%s", text, end);
}

static enum jb_status write_data(const struct jb_figure *figure, const char *path)
{
    FILE *out = fopen(path, "wb");
    if (out == NULL) {
        return jb_fail(errno == EACCES ? JB_E_PERM : JB_E_IO, "cannot write '%s': %s", path,
                       strerror(errno));
    }
    (void)fputs(
        "label,words,series,x,x_low,x_high,y,y_low,y_high,shape,size,under,inner,inner_size,"
        "colour\n",
        out);
    for (uint64_t i = 0; i < figure->n_marks; i++) {
        const struct jb_mark *mark = &figure->marks[i];
        jb_csv_put(out, mark->label);
        (void)fputc(',', out);
        jb_csv_put(out, mark->tooltip);
        (void)fprintf(out, ",%u,", mark->series);
        put_cell(out, mark->x, ",");
        put_cell(out, mark->x_low, ",");
        put_cell(out, mark->x_high, ",");
        put_cell(out, mark->y, ",");
        put_cell(out, mark->y_low, ",");
        put_cell(out, mark->y_high, ",");
        (void)fprintf(out, "%d,%.6g,%d,", mark->shape, mark->size, mark->under);
        if (mark->inner != 0) {
            (void)fprintf(out, "%d,%.6g", mark->inner, mark->inner_size);
        } else {
            (void)fputc(',', out);
        }
        (void)fprintf(out, ",%u\n", (unsigned)mark->colour);
    }
    const bool has_failed = ferror(out) != 0;
    if (fclose(out) != 0 || has_failed) {
        return jb_fail(JB_E_IO, "cannot write '%s': %s", path, strerror(errno));
    }
    return JB_OK;
}

/* ---- the marks of an SVG ---- */

static void put_xml(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            (void)fputs("&amp;", out);
            break;
        case '<':
            (void)fputs("&lt;", out);
            break;
        case '>':
            (void)fputs("&gt;", out);
            break;
        default:
            (void)fputc((unsigned char)*text < 0x20 ? '?' : *text, out);
        }
    }
}

static void put_attribute(FILE *out, const char *name, const char *value)
{
    if (value != NULL) {
        (void)fprintf(out, " data-%s=\"%s\"", name, value);
    }
}

/* Copies the drawing line by line; the k-th point of the mark layers is the k-th data row. */
static uint64_t copy_marking(const struct jb_figure *figure, FILE *in, FILE *out)
{
    char *line = malloc((size_t)1 << 20);
    uint64_t n_found = 0;
    unsigned layer = 0;
    while (line != NULL && fgets(line, 1 << 20, in) != NULL) {
        const char *id = strstr(line, "id=\"gnuplot_plot_");
        if (id != NULL) {
            layer = (unsigned)strtoul(id + strlen("id=\"gnuplot_plot_"), NULL, 10);
            (void)fprintf(out, "\t<g id=\"layer-%u\">\n", layer);
            continue;
        }
        if (strcmp(line, "<title>Gnuplot</title>\n") == 0) {
            (void)fprintf(out, "<title>joulebench %s</title>\n", figure->kind);
            continue;
        }
        const bool is_mark_layer =
            layer > figure->n_under && layer <= figure->n_under + figure->n_series;
        char *use = strstr(line, "<use xlink:href='#gp");
        if (use == NULL || !is_mark_layer || n_found >= figure->n_marks) {
            (void)fputs(line, out);
            n_found += use != NULL && is_mark_layer ? 1 : 0;
            continue;
        }
        use[strcspn(use, "\n")] = '\0';
        const struct jb_mark *mark = &figure->marks[n_found];
        (void)fputs("<g class=\"mark\"", out);
        put_attribute(out, "platform", mark->platform);
        put_attribute(out, "method", mark->method);
        put_attribute(out, "evidence", mark->evidence);
        (void)fputs("><title>", out);
        put_xml(out, figure->marks[n_found++].tooltip);
        (void)fprintf(out, "</title>%s</g>\n", use);
    }
    free(line);
    return n_found;
}

static enum jb_status mark_svg(const struct jb_figure *figure, const char *from, const char *to)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    uint64_t n_found = 0;
    bool is_written = in != NULL && out != NULL;
    if (is_written) {
        n_found = copy_marking(figure, in, out);
        is_written = ferror(in) == 0 && ferror(out) == 0;
    }
    if (in != NULL) {
        (void)fclose(in);
    }
    if (out != NULL) {
        is_written = fclose(out) == 0 && is_written;
    }
    if (!is_written) {
        return jb_fail(JB_E_IO, "cannot write '%s': %s", to, strerror(errno));
    }
    if (n_found != figure->n_marks) {
        return jb_fail(JB_E_DEVICE, "gnuplot drew %llu of %llu marks", (unsigned long long)n_found,
                       (unsigned long long)figure->n_marks);
    }
    return JB_OK;
}

/* ---- files and programs ---- */

static bool is_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file != NULL) {
        (void)fclose(file);
    }
    return file != NULL;
}

/* $JB_PLOTS, the source tree, the installed data: the first that has the script. */
static enum jb_status find_scripts(const char *kind, char folder[PATH_MAX_BYTES])
{
    const char *const folders[] = {getenv("JB_PLOTS"), JB_SOURCE_ROOT "/plots",
                                   JB_DATA_DIR "/plots"};
    for (size_t i = 0; i < COUNT(folders); i++) {
        char script[PATH_MAX_BYTES];
        if (folders[i] == NULL || folders[i][0] == '\0') {
            continue;
        }
        const int n = snprintf(script, sizeof script, "%s/%s.gp", folders[i], kind);
        if (n > 0 && (size_t)n < sizeof script && is_file(script)) {
            (void)snprintf(folder, PATH_MAX_BYTES, "%s", folders[i]);
            return JB_OK;
        }
    }
    return jb_fail(JB_E_NODEV, "no script %s.gp in $JB_PLOTS, '%s' or '%s'", kind,
                   JB_SOURCE_ROOT "/plots", JB_DATA_DIR "/plots");
}

/* First line a program left on stderr; "" if none. */
static void first_line(const char *path, char *ret_line, int size)
{
    ret_line[0] = '\0';
    FILE *file = fopen(path, "rb");
    while (file != NULL && fgets(ret_line, size, file) != NULL) {
        ret_line[strcspn(ret_line, "\r\n")] = '\0';
        if (ret_line[strspn(ret_line, " \t^")] != '\0') {
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

enum { WORK_DATA, WORK_SETTINGS, WORK_LOG, WORK_RAW, WORK_SVG, WORK_DONE, N_WORK };

/* Names of everything that is written on the way, all beside the figure. */
struct work {
    char path[N_WORK][PATH_MAX_BYTES];
};

static enum jb_status name_files(const char *figure_path, struct work *work)
{
    static const char *const endings[N_WORK] = {".data.csv", ".tmp.gp",  ".tmp.log",
                                                ".tmp.raw",  ".tmp.svg", ".tmp"};
    for (int i = 0; i < N_WORK; i++) {
        const int n = snprintf(work->path[i], PATH_MAX_BYTES, "%s%s", figure_path, endings[i]);
        if (n < 0 || n >= PATH_MAX_BYTES) {
            return jb_fail(JB_E_INVAL, "the name of the figure is too long: '%.60s...'",
                           figure_path);
        }
    }
    return JB_OK;
}

static enum jb_status run_gnuplot(const struct jb_figure *figure, const struct work *work,
                                  const char *terminal, const char *output)
{
    char folder[PATH_MAX_BYTES] = "";
    enum jb_status status = find_scripts(figure->kind, folder);
    if (status != JB_OK) {
        return status;
    }
    const struct jb_figure_paths paths = {
        .plots = folder, .terminal = terminal, .output = output, .data = work->path[WORK_DATA]};
    status = jb_figure_settings(figure, &paths, work->path[WORK_SETTINGS]);
    if (status != JB_OK) {
        return status;
    }
    char script[PATH_MAX_BYTES + 64];
    (void)snprintf(script, sizeof script, "%s/%s.gp", folder, figure->kind);
    const char *const argv[] = {"gnuplot", work->path[WORK_SETTINGS], script, NULL};
    status = jb_child_run(argv, work->path[WORK_LOG]);
    if (status == JB_E_NODEV) {
        return jb_fail(JB_E_NODEV, "figures need gnuplot, and it is not in PATH (Debian: "
                                   "apt install gnuplot-nox)");
    }
    if (status == JB_E_DEVICE) {
        char said[200];
        first_line(work->path[WORK_LOG], said, sizeof said);
        return jb_fail(JB_E_DEVICE, "gnuplot could not draw '%s': %s", script, said);
    }
    return status;
}

static enum jb_status draw_svg(const struct jb_figure *figure, const struct work *work,
                               const char *to)
{
    const enum jb_status status = run_gnuplot(figure, work, "svg", work->path[WORK_RAW]);
    return status == JB_OK ? mark_svg(figure, work->path[WORK_RAW], to) : status;
}

/* From the SVG where there is a converter, so that both look alike; else by gnuplot itself. */
static enum jb_status draw_pdf(const struct jb_figure *figure, const struct work *work)
{
    enum jb_status status = draw_svg(figure, work, work->path[WORK_SVG]);
    if (status != JB_OK) {
        return status;
    }
    const char *const argv[] = {"rsvg-convert",       "-f", "pdf", "-o", work->path[WORK_DONE],
                                work->path[WORK_SVG], NULL};
    status = jb_child_run(argv, work->path[WORK_LOG]);
    return status == JB_E_NODEV ? run_gnuplot(figure, work, "pdf", work->path[WORK_DONE]) : status;
}

enum jb_status jb_figure_draw(const struct jb_figure *figure, const char *path, bool keeps_data)
{
    const char *ending = strrchr(path, '.');
    const bool is_svg = ending != NULL && strcmp(ending, ".svg") == 0;
    const bool is_pdf = ending != NULL && strcmp(ending, ".pdf") == 0;
    const bool is_png = ending != NULL && strcmp(ending, ".png") == 0;
    if (!is_svg && !is_pdf && !is_png) {
        return jb_fail(JB_E_INVAL, "'%s': a figure ends in .svg, .pdf or .png", path);
    }
    struct work *work = malloc(sizeof *work);
    if (work == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory to draw '%s'", path);
    }
    enum jb_status status = name_files(path, work);
    if (status != JB_OK) {
        free(work);
        return status;
    }
    status = write_data(figure, work->path[WORK_DATA]);
    if (status == JB_OK) {
        status = is_svg   ? draw_svg(figure, work, work->path[WORK_DONE])
                 : is_pdf ? draw_pdf(figure, work)
                          : run_gnuplot(figure, work, "png", work->path[WORK_DONE]);
    }
    if (status == JB_OK && rename(work->path[WORK_DONE], path) != 0) {
        status = jb_fail(JB_E_IO, "cannot rename '%s' to '%s': %s", work->path[WORK_DONE], path,
                         strerror(errno));
    }
    for (int i = keeps_data && status == JB_OK ? 1 : 0; i < N_WORK; i++) {
        (void)remove(work->path[i]);
    }
    free(work);
    return status;
}
