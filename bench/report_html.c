/* SPDX-License-Identifier: MIT */
/* The page: one file that needs nothing beside it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report.h"
#include "results/text.h"

static void put_html(struct jb_grow *page, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            jb_grow_text(page, "&amp;");
            break;
        case '<':
            jb_grow_text(page, "&lt;");
            break;
        case '>':
            jb_grow_text(page, "&gt;");
            break;
        case '"':
            jb_grow_text(page, "&quot;");
            break;
        default:
            jb_grow_bytes(page, text, 1);
        }
    }
}

/* ---- figures ---- */

/* Names inside a drawing get the figure's number in front: several drawings share one page. */
static void put_svg(struct jb_grow *page, const char *svg, uint32_t number)
{
    static const char *const names[] = {"id='", "id=\"", "href='#", "href=\"#", "url(#"};
    const char *at = strstr(svg, "<svg");
    for (at = at != NULL ? at : svg; *at != '\0';) {
        size_t size = 0;
        for (size_t i = 0; size == 0 && i < sizeof names / sizeof names[0]; i++) {
            size = strncmp(at, names[i], strlen(names[i])) == 0 ? strlen(names[i]) : 0;
        }
        if (size > 0) {
            jb_grow_bytes(page, at, size);
            jb_grow_print(page, "f%u-", number);
            at += size;
        } else {
            jb_grow_bytes(page, at++, 1);
        }
    }
}

static void put_figure(struct jb_grow *page, const struct jb_report *report, const char *stem)
{
    for (uint32_t i = 0; i < report->n_figures; i++) {
        const struct jb_report_figure *figure = &report->figures[i];
        if (strcmp(figure->stem, stem) != 0 || figure->svg == NULL) {
            continue;
        }
        const struct jb_report_words *words = jb_report_words_of(stem);
        jb_grow_text(page, "<figure>\n");
        put_svg(page, figure->svg, i + 1);
        jb_grow_text(page, "<figcaption>");
        put_html(page, words != NULL ? words->caption : stem);
        if (figure->has_pdf) {
            jb_grow_text(page, " For a paper: ");
            put_html(page, stem);
            jb_grow_text(page, ".pdf.");
        }
        jb_grow_text(page, "</figcaption></figure>\n");
    }
}

/* ---- tables ---- */

static bool is_class(const char *text)
{
    static const char *const classes[] = {"measured", "simulated", "modelled", "nameplate",
                                          "literature"};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (strcmp(classes[i], text) == 0) {
            return true;
        }
    }
    return false;
}

/* Numbers are shown to five digits; the whole one is what is sorted by, and in the tooltip. */
static void put_number_cell(struct jb_grow *page, const char *text)
{
    double value = 0;
    char shown[64];
    (void)snprintf(shown, sizeof shown, "%s", text);
    if (strlen(text) > 7 && jb_real_parse(text, strlen(text), &value)) {
        (void)snprintf(shown, sizeof shown,
                       fabs(value) >= 1e5 && fabs(value) < 1e15 ? "%.0f" : "%.5g", value);
    }
    jb_grow_text(page, "<td class=n");
    if (strcmp(shown, text) != 0) {
        jb_grow_print(page, " data-v=\"%s\" title=\"%s\"", text, text);
    }
    jb_grow_print(page, ">%s</td>", shown);
}

static void put_text_cell(struct jb_grow *page, const char *text)
{
    const bool is_link = strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0;
    const size_t width = jb_utf8_width(text);
    jb_grow_text(page, width > 48 && !is_link ? "<td class=w>" : "<td>");
    if (is_link && strpbrk(text, " \"'<>") == NULL) {
        const char *name = strstr(text, "//") + 2;
        jb_grow_print(page, "<a href=\"");
        put_html(page, text);
        jb_grow_text(page, "\" title=\"");
        put_html(page, text);
        jb_grow_print(page, "\">%.34s%s</a>", name, strlen(name) > 34 ? "..." : "");
    } else if (is_class(text)) {
        jb_grow_print(page, "<span class=\"c c-%s\">%s</span>", text, text);
    } else {
        put_html(page, text);
    }
    jb_grow_text(page, "</td>");
}

static bool is_number_column(const struct jb_sheet *sheet, uint32_t column)
{
    bool has_one = false;
    for (uint64_t r = 0; r < sheet->n_rows; r++) {
        const char *text = jb_sheet_cell(sheet, r, column);
        double value;
        if (text[0] != '\0' && !jb_real_parse(text, strlen(text), &value)) {
            return false;
        }
        has_one = has_one || text[0] != '\0';
    }
    return has_one;
}

static bool is_empty_column(const struct jb_sheet *sheet, uint32_t column)
{
    for (uint64_t r = 0; r < sheet->n_rows; r++) {
        if (jb_sheet_cell(sheet, r, column)[0] != '\0') {
            return false;
        }
    }
    return true;
}

static void put_title(struct jb_grow *page, const char *title, bool is_number)
{
    jb_grow_print(page, "<th%s>", is_number ? " class=n" : "");
    put_html(page, title);
    jb_grow_text(page, "</th>");
}

/* Every column that has a value, and first where the row lies. */
static void put_sheet(struct jb_grow *page, const struct jb_report_file *file)
{
    const struct jb_sheet *sheet = &file->sheet;
    jb_grow_text(page, "<div class=scroll><table><thead><tr>");
    put_title(page, "line", true);
    for (uint32_t c = 0; c < sheet->n_columns; c++) {
        if (!is_empty_column(sheet, c)) {
            put_title(page, sheet->titles[c], is_number_column(sheet, c));
        }
    }
    jb_grow_text(page, "</tr></thead>\n<tbody>\n");
    for (uint64_t r = 0; r < sheet->n_rows; r++) {
        jb_grow_print(page, "<tr><td class=n>%llu</td>", (unsigned long long)sheet->lines[r]);
        for (uint32_t c = 0; c < sheet->n_columns; c++) {
            if (is_empty_column(sheet, c)) {
                continue;
            }
            const char *text = jb_sheet_cell(sheet, r, c);
            if (is_number_column(sheet, c)) {
                put_number_cell(page, text);
            } else {
                put_text_cell(page, text);
            }
        }
        jb_grow_text(page, "</tr>\n");
    }
    jb_grow_text(page, "</tbody></table></div>\n");
}

/* ---- own rows ---- */

static void put_real(struct jb_grow *page, double value)
{
    char text[JB_NUMBER_MAX];
    jb_real_print(value, text);
    put_number_cell(page, text);
}

static void put_int(struct jb_grow *page, int64_t value)
{
    char text[JB_NUMBER_MAX] = "";
    if (value != JB_INT_MISSING) {
        (void)snprintf(text, sizeof text, "%lld", (long long)value);
    }
    put_number_cell(page, text);
}

static void put_bounds(struct jb_grow *page, const struct jb_interval *interval)
{
    put_real(page, interval->low);
    put_real(page, interval->high);
}

static void put_group(struct jb_grow *page, const struct jb_report *report,
                      const struct jb_group *group)
{
    const struct jb_record *key = &group->key;
    struct jb_grow places = {.bytes = NULL};
    const char *const texts[] = {key->backend, key->platform,      key->device,
                                 key->model,   key->weight_format, key->method};
    jb_grow_text(page, "<tr>");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        put_text_cell(page, texts[i]);
    }
    put_int(page, key->batch);
    put_text_cell(page, key->phase);
    put_real(page, group->tokens_per_s.median);
    put_real(page, group->power_w.median);
    put_real(page, group->tokens_per_j.median);
    put_text_cell(page, key->time_class);
    put_text_cell(page, key->energy_class);
    put_text_cell(page, group->verdict);
    put_int(page, (int64_t)group->tokens_per_s.n);
    put_bounds(page, &group->tokens_per_s);
    put_bounds(page, &group->tokens_per_j);
    put_int(page, key->prompt_tokens);
    put_int(page, key->output_tokens);
    put_text_cell(page, key->energy_source);
    put_text_cell(page, key->reasons);
    jb_report_places(report, group, &places);
    put_text_cell(page, places.bytes != NULL ? places.bytes : "");
    jb_grow_text(page, "</tr>\n");
    page->has_failed = page->has_failed || places.has_failed;
    free(places.bytes);
}

static void put_groups(struct jb_grow *page, const struct jb_report *report)
{
    static const struct {
        const char *title;
        bool is_number;
    } titles[] = {{"backend", false},      {"platform", false},
                  {"device", false},       {"model", false},
                  {"format", false},       {"method", false},
                  {"batch", true},         {"phase", false},
                  {"tokens/s", true},      {"W", true},
                  {"tokens/J", true},      {"time is", false},
                  {"energy is", false},    {"verdict", false},
                  {"repetitions", true},   {"tokens/s low", true},
                  {"tokens/s high", true}, {"tokens/J low", true},
                  {"tokens/J high", true}, {"prompt", true},
                  {"gen", true},           {"energy from", false},
                  {"reasons", false},      {"rows", false}};
    static const char *const figures[] = {"rows-power-throughput", "rows-efficiency",
                                          "rows-phases"};
    if (report->n_groups == 0) {
        return;
    }
    jb_grow_text(
        page,
        "<section id=rows><h2>Rows of runs and imports</h2>\n"
        "<p>A line is all repetitions of one phase of one configuration: medians, and their 95 % "
        "intervals where there are three repetitions or more. <em>rows</em> says in which file and "
        "on "
        "which lines they stand.</p>\n");
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        put_figure(page, report, figures[i]);
    }
    jb_grow_text(page, "<div class=scroll><table><thead><tr>");
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++) {
        put_title(page, titles[i].title, titles[i].is_number);
    }
    jb_grow_text(page, "</tr></thead>\n<tbody>\n");
    for (uint64_t i = 0; i < report->n_groups; i++) {
        put_group(page, report, &report->groups[i]);
    }
    jb_grow_text(page, "</tbody></table></div></section>\n");
}

/* ---- the page ---- */

static const char *title_of(const char *stem)
{
    const struct jb_report_words *words = jb_report_words_of(stem);
    return words != NULL ? words->title : stem;
}

static void put_file(struct jb_grow *page, const struct jb_report *report, uint32_t at)
{
    const struct jb_report_file *file = &report->files[at];
    char stem[64];
    jb_report_stem(file->name, stem, sizeof stem);
    jb_grow_print(page, "<section id=\"t%u\"><h2>", at + 1);
    put_html(page, title_of(stem));
    jb_grow_text(page, "</h2>\n<p class=note>");
    put_html(page, file->name);
    jb_grow_print(page, ", %llu rows.", (unsigned long long)file->sheet.n_rows);
    jb_grow_text(page, "</p>\n");
    put_figure(page, report, stem);
    if (file->same_as != at) {
        jb_grow_print(page, "<p>The table is that of <a href=\"#t%u\">", file->same_as + 1);
        put_html(page, report->files[file->same_as].name);
        jb_grow_text(page, "</a>.</p>\n");
    } else {
        put_sheet(page, file);
    }
    jb_grow_text(page, "</section>\n");
}

static bool has_section(const struct jb_report_file *file)
{
    return file->kind == JB_REPORT_POINTS || file->kind == JB_REPORT_TABLE;
}

static void put_sources(struct jb_grow *page, const struct jb_report *report)
{
    static const char *const kinds[] = {"rows of runs or imports", "points of a survey figure",
                                        "table", "samples of meters, not shown"};
    jb_grow_text(page, "<section id=files><h2>Files</h2>\n<div class=scroll><table><thead><tr>");
    put_title(page, "file", false);
    put_title(page, "holds", false);
    put_title(page, "rows", true);
    jb_grow_text(page, "</tr></thead>\n<tbody>\n");
    for (uint32_t i = 0; i < report->n_files; i++) {
        jb_grow_text(page, "<tr>");
        put_text_cell(page, report->files[i].name);
        put_text_cell(page, kinds[report->files[i].kind]);
        put_int(page, (int64_t)report->files[i].sheet.n_rows);
        jb_grow_text(page, "</tr>\n");
    }
    jb_grow_text(page, "</tbody></table></div></section>\n");
}

void jb_report_html(const struct jb_report *report, struct jb_grow *page)
{
    jb_grow_text(page,
                 "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
                 "<meta name=viewport content=\"width=device-width, initial-scale=1\">\n"
                 "<link rel=icon href=\"data:,\">\n<title>joulebench report</title>\n<style>\n");
    jb_grow_text(page, jb_report_style);
    jb_grow_text(
        page, "</style>\n</head>\n<body>\n<h1>joulebench report</h1>\n"
              "<p class=note>Every number says what stands behind it: "
              "<span class=\"c c-measured\">measured</span> clocks and meters, "
              "<span class=\"c c-simulated\">simulated</span> event or cycle level, "
              "<span class=\"c c-modelled\">modelled</span> closed form or sourced watts x time, "
              "<span class=\"c c-nameplate\">nameplate</span> rated watts x time, "
              "<span class=\"c c-literature\">literature</span> published by others. "
              "Empty is not known. A click on a title sorts.</p>\n<nav>");
    if (report->n_groups > 0) {
        jb_grow_text(page, "<a href=\"#rows\">Rows</a>");
    }
    for (uint32_t i = 0; i < report->n_files; i++) {
        char stem[64];
        jb_report_stem(report->files[i].name, stem, sizeof stem);
        if (has_section(&report->files[i])) {
            jb_grow_print(page, "<a href=\"#t%u\">", i + 1);
            put_html(page, title_of(stem));
            jb_grow_text(page, "</a>\n");
        }
    }
    jb_grow_text(page, "<a href=\"#files\">Files</a></nav>\n");
    put_groups(page, report);
    for (uint32_t i = 0; i < report->n_files; i++) {
        if (has_section(&report->files[i])) {
            put_file(page, report, i);
        }
    }
    put_sources(page, report);
    jb_grow_text(page, "<script>\n");
    jb_grow_text(page, jb_report_script);
    jb_grow_text(page, "</script>\n</body>\n</html>\n");
}
