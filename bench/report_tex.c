/* SPDX-License-Identifier: MIT */
/* The paper's source: booktabs tables and figures, in a document that compiles as it is. */
#include <stdlib.h>
#include <string.h>

#include "bench/report.h"
#include "platforms/base/units.h"
#include "results/text.h"

#define MAX_COLUMNS 12

/* Which columns of a known table a paper shows. */
static const struct {
    const char *stem, *label, *caption;
    bool is_wide; /* over both columns */
    struct {
        const char *title, *head;
    } columns[MAX_COLUMNS];
} tables[] = {
    {"platforms",
     "ranges",
     "Ranges of each platform (least, median and largest value). drawn: the points of the "
     "survey's batch-1 figure; sheet: its whole data sheet",
     true,
     {{"set", "Set"},
      {"platform", "Platform"},
      {"points", "Points"},
      {"tokens_per_s_min", "tokens/s"},
      {"tokens_per_s_median", "median"},
      {"tokens_per_s_max", "most"},
      {"power_w_min", "W"},
      {"power_w_max", "most"},
      {"tokens_per_j_min", "tokens/J"},
      {"tokens_per_j_median", "median"},
      {"tokens_per_j_max", "most"}}},
    {"ranks",
     "ranks",
     "Platforms in the order of their best and median values",
     true,
     {{"set", "Set"},
      {"by", "By"},
      {"rank", "Rank"},
      {"platform", "Platform"},
      {"value", "Value"},
      {"work", "Work"}}},
    {"edge-target",
     "edge",
     "Factor missing to the edge target of 10 tokens/J",
     false,
     {{"platform", "Platform"},
      {"set", "Points"},
      {"best_tokens_per_j", "Best"},
      {"times_short_best", "short"},
      {"median_tokens_per_j", "Median"},
      {"times_short_median", "short"}}},
};

/* Letters beyond Latin-1 have no glyph in the fonts of a plain TeX: '?'. */
static void put_tex(struct jb_grow *tex, const char *text)
{
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (strchr("&%$#_{}", c) != NULL) {
            jb_grow_print(tex, "\\%c", c);
        } else if (c == '~' || c == '^' || c == '\\') {
            jb_grow_text(tex, c == '~'   ? "\\textasciitilde{}"
                              : c == '^' ? "\\textasciicircum{}"
                                         : "\\textbackslash{}");
        } else if (c == '<' || c == '>') {
            jb_grow_print(tex, "$%c$", c);
        } else if (c < 0x80) {
            jb_grow_bytes(tex, text, 1);
        } else if ((c == 0xC2 || c == 0xC3) && (unsigned char)text[1] >= 0xA0) {
            jb_grow_bytes(tex, text, 2);
        } else if (c >= 0xC0) {
            jb_grow_text(tex, "?");
        }
    }
}

/* At most `width` signs; what is cut ends in "...". */
static void put_short(struct jb_grow *tex, const char *text, size_t width)
{
    char cut[128];
    size_t size = strlen(text);
    if (size <= width) {
        put_tex(tex, text);
        return;
    }
    size = width < sizeof cut ? width : sizeof cut - 1;
    memcpy(cut, text, size);
    cut[jb_utf8_valid(cut, size)] = '\0';
    put_tex(tex, cut);
    jb_grow_text(tex, "\\ldots{}");
}

static void begin_table(struct jb_grow *tex, bool is_wide, const char *alignment)
{
    jb_grow_print(tex,
                  "\\begin{table%s}\n\\centering%s\\setlength{\\tabcolsep}{3pt}\n"
                  "\\begin{tabular}{@{}%s@{}}\n\\toprule\n",
                  is_wide ? "*" : "", is_wide ? "\\scriptsize" : "\\footnotesize", alignment);
}

static void end_table(struct jb_grow *tex, bool is_wide, const char *caption, const char *label)
{
    jb_grow_text(tex, "\\bottomrule\n\\end{tabular}\n\\caption{");
    put_tex(tex, caption);
    jb_grow_print(tex, ".}\n\\label{tab:%s}\n\\end{table%s}\n\n", label, is_wide ? "*" : "");
}

static bool is_number(const struct jb_sheet *sheet, uint32_t column)
{
    for (uint64_t r = 0; r < sheet->n_rows; r++) {
        const char *text = jb_sheet_cell(sheet, r, column);
        double value;
        if (text[0] != '\0' && !jb_real_parse(text, strlen(text), &value)) {
            return false;
        }
    }
    return true;
}

static void put_known_table(struct jb_grow *tex, const struct jb_sheet *sheet, size_t t)
{
    uint32_t at[MAX_COLUMNS] = {0}, n = 0;
    char alignment[MAX_COLUMNS + 1] = "";
    for (; n < MAX_COLUMNS && tables[t].columns[n].title != NULL; n++) {
        at[n] = jb_sheet_find(sheet, tables[t].columns[n].title);
        if (at[n] == sheet->n_columns) {
            return;
        }
        alignment[n] = is_number(sheet, at[n]) ? 'r' : 'l';
    }
    begin_table(tex, tables[t].is_wide, alignment);
    for (uint32_t c = 0; c < n; c++) {
        jb_grow_text(tex, c > 0 ? " & " : "");
        put_tex(tex, tables[t].columns[c].head);
    }
    jb_grow_text(tex, " \\\\\n\\midrule\n");
    for (uint64_t r = 0; r < sheet->n_rows; r++) {
        /* A rule where the first column changes. */
        const bool is_new = r > 0 && strcmp(jb_sheet_cell(sheet, r, at[0]),
                                            jb_sheet_cell(sheet, r - 1, at[0])) != 0;
        jb_grow_text(tex, is_new ? "\\addlinespace\n" : "");
        for (uint32_t c = 0; c < n; c++) {
            jb_grow_text(tex, c > 0 ? " & " : "");
            put_short(tex, jb_sheet_cell(sheet, r, at[c]), 36);
        }
        jb_grow_text(tex, " \\\\\n");
    }
    end_table(tex, tables[t].is_wide, tables[t].caption, tables[t].label);
}

static void put_value(struct jb_grow *tex, double value)
{
    if (!jb_is_missing(value)) {
        jb_grow_print(tex, value >= 1e5 ? "%.0f" : "%.4g", value);
    }
}

/* Part `number` of the table of rows, from 1. */
static void end_rows(struct jb_grow *tex, uint32_t number)
{
    char label[32];
    (void)snprintf(label, sizeof label, "rows-%u", number);
    end_table(tex, true,
              number > 1 ? "Rows of runs and imports, continued"
                         : "Rows of runs and imports: medians of decode and of whole requests. "
                           "Evidence is that of time / energy where they differ",
              label);
}

static void put_groups(struct jb_grow *tex, const struct jb_report *report)
{
    enum { ROWS_A_TABLE = 48 };
    uint32_t n = 0;
    for (uint64_t i = 0; i < report->n_groups; i++) {
        const struct jb_group *group = &report->groups[i];
        const struct jb_record *key = &group->key;
        if (strcmp(key->phase, "prefill") == 0 || strcmp(group->verdict, "INVALID") == 0) {
            continue;
        }
        if (n % ROWS_A_TABLE == 0) {
            if (n > 0) {
                end_rows(tex, n / ROWS_A_TABLE);
            }
            begin_table(tex, true, "lllllrlrrrl");
            jb_grow_text(tex, "Backend & Device & Model & Format & Method & Batch & Phase & "
                              "tokens/s & W & tokens/J & Evidence \\\\\n\\midrule\n");
        }
        n++;
        const char *const texts[] = {key->backend, key->device, key->model, key->weight_format,
                                     key->method};
        for (size_t c = 0; c < sizeof texts / sizeof texts[0]; c++) {
            put_short(tex, texts[c], 18);
            jb_grow_text(tex, " & ");
        }
        if (key->batch != JB_INT_MISSING) {
            jb_grow_print(tex, "%lld", (long long)key->batch);
        }
        jb_grow_print(tex, " & %s & ", key->phase);
        put_value(tex, group->tokens_per_s.median);
        jb_grow_text(tex, " & ");
        put_value(tex, group->power_w.median);
        jb_grow_text(tex, " & ");
        put_value(tex, group->tokens_per_j.median);
        jb_grow_text(tex, " & ");
        put_tex(tex, key->time_class);
        if (key->energy_class[0] != '\0' && strcmp(key->energy_class, key->time_class) != 0) {
            jb_grow_text(tex, " / ");
            put_tex(tex, key->energy_class);
        }
        jb_grow_text(tex, " \\\\\n");
    }
    if (n > 0) {
        end_rows(tex, (n + ROWS_A_TABLE - 1) / ROWS_A_TABLE);
    }
}

static void put_figure(struct jb_grow *tex, const struct jb_report_figure *figure)
{
    const struct jb_report_words *words = jb_report_words_of(figure->stem);
    const char *star = figure->is_column ? "" : "*";
    jb_grow_print(tex, "\\begin{figure%s}\n\\centering\n\\includegraphics[%s]{%s.pdf}\n\\caption{",
                  star,
                  figure->is_column ? "width=\\columnwidth"
                                    : "width=\\textwidth,height=0.42\\textheight,keepaspectratio",
                  figure->stem);
    put_tex(tex, words != NULL ? words->title : figure->stem);
    jb_grow_text(tex, words != NULL ? ". " : "");
    put_tex(tex, words != NULL ? words->caption : "");
    jb_grow_print(tex, "}\n\\label{fig:%s}\n\\end{figure%s}\n\n", figure->stem, star);
}

void jb_report_tex(const struct jb_report *report, struct jb_grow *tex)
{
    jb_grow_text(
        tex,
        "% joulebench report: compiles as it is (pdflatex report.tex); take tables and figures\n"
        "% from here. Figures of one column are 3.3 in wide with text of 8 pt.\n"
        "\\documentclass[10pt,twocolumn]{article}\n"
        "\\usepackage[utf8]{inputenc}\n"
        "\\IfFileExists{lmodern.sty}{\\usepackage[T1]{fontenc}\\usepackage{lmodern}}{}\n"
        "\\usepackage[letterpaper,margin=0.75in,columnsep=0.4in]{geometry}\n"
        "\\usepackage{booktabs,graphicx}\n"
        "\\pdfinfoomitdate=1 \\pdftrailerid{} \\pdfsuppressptexinfo=-1\n"
        "\\title{joulebench report}\\author{}\\date{}\n"
        "\\begin{document}\n\\maketitle\n\n"
        "\\noindent Evidence classes: measured, clocks and meters; simulated, event or cycle "
        "level; modelled, closed form or sourced watts times time; nameplate, rated watts times "
        "time; literature, published by others.\n\n");
    for (uint32_t i = 0; i < report->n_figures; i++) {
        if (report->figures[i].has_pdf) {
            put_figure(tex, &report->figures[i]);
        }
    }
    put_groups(tex, report);
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        for (uint32_t i = 0; i < report->n_files; i++) {
            char stem[64];
            jb_report_stem(report->files[i].name, stem, sizeof stem);
            if (strcmp(stem, tables[t].stem) == 0) {
                put_known_table(tex, &report->files[i].sheet, t);
            }
        }
    }
    jb_grow_text(tex, "\\clearpage\n\\end{document}\n");
}
