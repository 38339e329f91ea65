/* SPDX-License-Identifier: MIT */
/* What a gnuplot script is told: everything but the marks, as assignments that it loads. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/figure.h"

/* ---- text that grows ---- */

struct text {
    char *bytes;
    size_t used, capacity;
    bool has_failed;
};

static void put(struct text *text, const char *fmt, ...) JB_PRINTF(2, 3);
static void put(struct text *text, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (!text->has_failed && n >= 0 && text->used + (size_t)n + 1 > text->capacity) {
        const size_t capacity = 2 * (text->used + (size_t)n + 1);
        char *grown = realloc(text->bytes, capacity);
        if (grown == NULL) {
            text->has_failed = true;
        } else {
            text->bytes = grown;
            text->capacity = capacity;
        }
    }
    if (!text->has_failed && n >= 0) {
        (void)vsnprintf(text->bytes + text->used, text->capacity - text->used, fmt, again);
        text->used += (size_t)n;
    }
    va_end(again);
}

/* A gnuplot string: single quotes, doubled inside. */
static void put_string(struct text *text, const char *name, const char *value)
{
    put(text, "%s='", name);
    for (; *value != '\0'; value++) {
        put(text, *value == '\'' ? "''" : "%c", *value);
    }
    put(text, "'\n");
}

/* One more word of a list that gnuplot's word() takes apart. */
static void put_word(struct text *text, const char *word)
{
    put(text, " \"");
    for (; *word != '\0'; word++) {
        put(text, "%s%c", *word == '\'' ? "'" : "", *word == '"' ? '`' : *word);
    }
    put(text, "\"");
}

static void put_number(struct text *text, const char *name, double value)
{
    put(text, "%s=%.9g\n", name, value);
}

/* ---- what the script is told ---- */

/* Where each entry stands: its sign, and its words, as fractions of the canvas. */
static void put_legend_places(struct text *text, const struct jb_figure *figure)
{
    for (int what = 0; what < 3; what++) {
        double y = figure->top - 6.0;
        put(text, "'\nLEGEND_%s='", what == 0 ? "Y" : what == 1 ? "X" : "TEXT_X");
        for (uint32_t i = 0; i < figure->n_legend; i++) {
            const struct jb_legend *entry = &figure->legend[i];
            const bool is_placed = entry->x > 0.0;
            y -= i > 0 && entry->is_heading ? 8.0 : 0.0;
            const double sign_x = is_placed ? entry->x : figure->right + 24.0;
            const double words_x = is_placed ? entry->x + (entry->is_heading ? -5.0 : 9.0)
                                             : figure->right + (entry->is_heading ? 18.0 : 38.0);
            put(text, " %.6f",
                what == 0   ? (is_placed ? entry->y : y) / figure->height
                : what == 1 ? sign_x / figure->width
                            : words_x / figure->width);
            y -= 16.0;
        }
    }
}

static void put_legend(struct text *text, const struct jb_figure *figure)
{
    put(text, "LEGEND_TEXT='");
    for (uint32_t i = 0; i < figure->n_legend; i++) {
        put_word(text, figure->legend[i].text);
    }
    put(text, "'\nLEGEND_IS_HEADING='");
    for (uint32_t i = 0; i < figure->n_legend; i++) {
        put(text, " %d", figure->legend[i].is_heading ? 1 : 0);
    }
    put_legend_places(text, figure);
    put(text, "'\nLEGEND_SHAPE='");
    for (uint32_t i = 0; i < figure->n_legend; i++) {
        put(text, " %d", figure->legend[i].shape);
    }
    put(text, "'\nLEGEND_SIZE='");
    for (uint32_t i = 0; i < figure->n_legend; i++) {
        put(text, " %.3f", figure->legend[i].size);
    }
    put(text, "'\nLEGEND_INNER='");
    for (uint32_t i = 0; i < figure->n_legend; i++) {
        put(text, " %d", figure->legend[i].inner);
    }
    put(text, "'\nLEGEND_INNER_SIZE='");
    for (uint32_t i = 0; i < figure->n_legend; i++) {
        put(text, " %.3f", figure->legend[i].inner_size);
    }
    put(text, "'\nLEGEND_COLOUR='");
    for (uint32_t i = 0; i < figure->n_legend; i++) {
        put(text, " #%06x", (unsigned)figure->legend[i].colour);
    }
    put(text, "'\n");
}

/* Labels of the rows, from the top; those of marks that share a row are the same. */
static void put_rows(struct text *text, const struct jb_figure *figure)
{
    for (int is_place = 0; is_place < 2; is_place++) {
        double last = -1.0;
        put(text, is_place ? "ROW_Y='" : "ROW_TEXT='");
        for (uint64_t i = 0; i < figure->n_marks; i++) {
            const struct jb_mark *mark = &figure->marks[i];
            if (mark->label[0] == '\0' || !(mark->row > last)) {
                continue;
            }
            last = mark->row;
            if (is_place) {
                put(text, " %.9g", mark->row);
            } else {
                put_word(text, mark->label);
            }
        }
        put(text, "'\n");
    }
}

static void put_panels(struct text *text, const struct jb_figure *figure)
{
    put(text, "TIC_X='");
    for (uint32_t i = 0; i < figure->n_tics; i++) {
        put(text, " %.9g", figure->tics[i].at);
    }
    put(text, "'\nTIC_TEXT='");
    for (uint32_t i = 0; i < figure->n_tics; i++) {
        put_word(text, figure->tics[i].label);
    }
    put(text, "'\nPANEL_X='");
    for (uint32_t i = 0; i < figure->n_panels; i++) {
        put(text, " %.9g", figure->panels[i].centre);
    }
    put(text, "'\nPANEL_TEXT='");
    for (uint32_t i = 0; i < figure->n_panels; i++) {
        put_word(text, figure->panels[i].title);
    }
    put(text, "'\n");
}

static void put_series(struct text *text, const struct jb_figure *figure)
{
    uint32_t series = 0;
    put(text, "SERIES='");
    for (uint64_t i = 0; i < figure->n_marks; i++) {
        const struct jb_mark *mark = &figure->marks[i];
        if (mark->series != series) {
            series = mark->series;
            put(text, " #%06x %d", (unsigned)mark->colour, mark->shape == mark->under ? 1 : 2);
        }
    }
    put(text, "'\n");
}

static void put_lines(struct text *text, const struct jb_figure *figure)
{
    put(text, "LINES='");
    for (uint32_t i = 0; i < figure->n_lines; i++) {
        const struct jb_figure_line *line = &figure->lines[i];
        put(text, " %.9g %.9g %.9g %.9g %.9g %.9g", line->x0, line->y0, line->x1, line->y1,
            line->label_x, line->label_y);
    }
    put(text, "'\nLINE_TEXT='");
    for (uint32_t i = 0; i < figure->n_lines; i++) {
        put_word(text, figure->lines[i].label);
    }
    put(text, "'\nSHADES='");
    for (uint32_t i = 0; i < figure->n_shades; i++) {
        put(text, " %.9g %.9g #%06x", figure->shades[i].from, figure->shades[i].to,
            (unsigned)figure->shades[i].colour);
    }
    put(text, "'\n");
}

/* Everything but the marks, as assignments that the script loads. */
static void put_settings(struct text *text, const struct jb_figure *figure,
                         const struct jb_figure_paths *paths)
{
    put_string(text, "PLOTS", paths->plots);
    put_string(text, "TERMINAL", paths->terminal);
    put_string(text, "OUTPUT", paths->output);
    put_string(text, "DATA", paths->data);
    put_string(text, "SUBTITLE", figure->subtitle);
    put_number(text, "WIDTH", figure->width);
    put_number(text, "HEIGHT", figure->height);
    put_number(text, "WIDTH_IN", figure->width / 72.0);
    put_number(text, "HEIGHT_IN", figure->height / 72.0);
    put_number(text, "WIDTH_PX", 2.0 * figure->width);
    put_number(text, "HEIGHT_PX", 2.0 * figure->height);
    put_number(text, "LEFT", figure->left / figure->width);
    put_number(text, "RIGHT", figure->right / figure->width);
    put_number(text, "BOTTOM", figure->bottom / figure->height);
    put_number(text, "TOP", figure->top / figure->height);
    put_number(text, "X_TITLE_X", 0.5 * (figure->left + figure->right) / figure->width);
    const double scale = figure->text_size > 0.0 ? figure->text_size / 12.0 : 1.0;
    put(text, "TEXT_SIZE='%.4g'\nNOTE_SIZE='%.4g'\nSMALL_SIZE='%.4g'\nGUIDE_SIZE='%.4g'\n",
        12.0 * scale, 11.0 * scale, 10.0 * scale, 9.5 * scale);
    put_number(text, "X_TITLE_Y", (figure->bottom - (scale < 1.0 ? 34.0 : 43.0)) / figure->height);
    put_number(text, "Y_TITLE_X", (figure->left - (scale < 1.0 ? 48.0 : 52.0)) / figure->width);
    put_number(text, "Y_TITLE_Y", 0.5 * (figure->bottom + figure->top) / figure->height);
    put_number(text, "SUBTITLE_Y", (figure->top + 14.0) / figure->height);
    put_number(text, "X_MIN", figure->x_min);
    put_number(text, "X_MAX", figure->x_max);
    put_number(text, "Y_MIN", figure->y_min);
    put_number(text, "Y_MAX", figure->y_max);
    put_number(text, "LINE_ANGLE", figure->line_angle);
    put(text, "X_IS_LOG=%d\nN_SERIES=%u\n", figure->is_x_log ? 1 : 0, figure->n_series);
    put_legend(text, figure);
    put_rows(text, figure);
    put_panels(text, figure);
    put_series(text, figure);
    put_lines(text, figure);
}

static enum jb_status write_text(const struct text *text, const char *path)
{
    if (text->has_failed) {
        return jb_fail(JB_E_NOMEM, "no memory for '%s'", path);
    }
    FILE *out = fopen(path, "wb");
    const bool is_written = out != NULL && fwrite(text->bytes, 1, text->used, out) == text->used;
    if (out == NULL || fclose(out) != 0 || !is_written) {
        return jb_fail(errno == EACCES ? JB_E_PERM : JB_E_IO, "cannot write '%s': %s", path,
                       strerror(errno));
    }
    return JB_OK;
}

enum jb_status jb_figure_settings(const struct jb_figure *figure,
                                  const struct jb_figure_paths *paths, const char *path)
{
    struct text settings = {.bytes = NULL};
    put_settings(&settings, figure, paths);
    const enum jb_status status = write_text(&settings, path);
    free(settings.bytes);
    return status;
}
