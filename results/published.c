/* SPDX-License-Identifier: MIT */
#include "results/published.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "platforms/base/units.h"
#include "results/csv_lines.h"
#include "results/results.h"
#include "results/text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const platforms[] = {"cpu", "gpu", "fpga", "asic", "pim"};
static const char *const methods[] = {"quantization", "sparsity",      "fast-decoding",
                                      "operator",     "heterogeneous", "homogeneous"};
static const char *const power_kinds[] = {"",          "measured",  "tdp",
                                          "estimated", "simulated", "unknown"};
static const char *const source_kinds[] = {"survey-table", "original-paper", "vendor", "other"};

enum cell_type { TEXT, INT, REAL, METHODS, WORD };
static const struct column {
    const char *title;
    enum cell_type type;
    bool may_be_empty;
    size_t offset;
    const char *const *words; /* WORD: the allowed ones, stored as their place */
    int n_words;
} columns[] = {
#define MEMBER(name) offsetof(struct jb_published_row, name)
    {"work", TEXT, false, MEMBER(work), NULL, 0},
    {"year", INT, true, MEMBER(year), NULL, 0},
    {"platform", WORD, false, MEMBER(platform), platforms, COUNT(platforms)},
    {"device", TEXT, true, MEMBER(device), NULL, 0},
    {"process_nm", TEXT, true, MEMBER(process_nm), NULL, 0},
    {"model", TEXT, true, MEMBER(model), NULL, 0},
    {"precision", TEXT, true, MEMBER(precision), NULL, 0},
    {"method", METHODS, false, MEMBER(method), NULL, 0},
    {"batch", INT, true, MEMBER(batch), NULL, 0},
    {"prompt_tokens", REAL, true, MEMBER(prompt_tokens), NULL, 0},
    {"output_tokens", REAL, true, MEMBER(output_tokens), NULL, 0},
    {"power_w", REAL, true, MEMBER(power_w), NULL, 0},
    {"power_kind", WORD, true, MEMBER(power_kind), power_kinds, COUNT(power_kinds)},
    {"tokens_per_s", REAL, false, MEMBER(tokens_per_s), NULL, 0},
    {"tokens_per_j", REAL, true, MEMBER(tokens_per_j), NULL, 0},
    {"source_url", TEXT, false, MEMBER(source_url), NULL, 0},
    {"source_kind", WORD, false, MEMBER(source_kind), source_kinds, COUNT(source_kinds)},
    {"note", TEXT, true, MEMBER(note), NULL, 0},
#undef MEMBER
};

static int word_index(const char *text, size_t size, const char *const *words, int n)
{
    int i = 0;
    while (i < n && (strlen(words[i]) != size || memcmp(words[i], text, size) != 0)) {
        i++;
    }
    return i;
}

/* "a;b" as a set. @return false for an unknown or repeated method. */
static bool parse_methods(const char *text, uint32_t *ret_set)
{
    uint32_t set = 0;
    for (;;) {
        const size_t size = strcspn(text, ";");
        const int method = word_index(text, size, methods, COUNT(methods));
        if (method == (int)COUNT(methods) || (set & (1u << method)) != 0) {
            return false;
        }
        set |= 1u << method;
        if (text[size] == '\0') {
            *ret_set = set;
            return true;
        }
        text += size + 1;
    }
}

/* What is wrong with a cell; NULL = taken. Counts and rates are positive. */
static const char *take_cell(const struct column *column, const char *text,
                             struct jb_published_row *row)
{
    char *member = (char *)row + column->offset;
    const size_t size = strlen(text);
    int64_t integer = JB_INT_MISSING;
    double real = jb_missing();
    if (size == 0 && !column->may_be_empty) {
        return "is no value; this column may not be empty";
    }
    switch (column->type) {
    case METHODS:
        if (!parse_methods(text, &row->methods)) {
            return "names an unknown method, or one twice";
        }
        memcpy(member, &text, sizeof text);
        break;
    case TEXT:
        memcpy(member, &text, sizeof text);
        break;
    case INT:
        if (size > 0 && (!jb_int_parse(text, size, &integer) || integer < 1)) {
            return "is not a whole number above 0";
        }
        memcpy(member, &integer, sizeof integer);
        break;
    case REAL:
        if (size > 0 && (!jb_real_parse(text, size, &real) || !(real > 0.0))) {
            return "is not a decimal number above 0";
        }
        memcpy(member, &real, sizeof real);
        break;
    case WORD: {
        const int word = word_index(text, size, column->words, column->n_words);
        if (word == column->n_words) {
            return "is none of the words of this column";
        }
        memcpy(member, &word, sizeof word);
        break;
    }
    }
    return NULL;
}

_Static_assert(sizeof(enum jb_pub_platform) == sizeof(int) &&
                   sizeof(enum jb_power_kind) == sizeof(int),
               "words are stored as int");

static enum jb_status take_row(struct jb_published *published, const uint32_t *places,
                               const char *name, uint64_t at)
{
    struct jb_published_row *row = &published->rows[at];
    row->line = published->sheet.lines[at];
    for (size_t i = 0; i < COUNT(columns); i++) {
        const char *text = jb_sheet_cell(&published->sheet, at, places[i]);
        const char *wrong = take_cell(&columns[i], text, row);
        if (wrong == NULL && columns[i].offset == offsetof(struct jb_published_row, power_kind) &&
            (row->power_kind == JB_POWER_NONE) != jb_is_missing(row->power_w)) {
            wrong = "goes with power_w: both are there, or neither";
        }
        if (wrong != NULL) {
            const struct jb_csv_place place = {name, row->line, places[i], columns[i].title};
            return jb_csv_refuse(&place, wrong, text, strlen(text));
        }
    }
    return JB_OK;
}

bool jb_published_is_schema(const struct jb_sheet *sheet)
{
    size_t i = 0;
    while (i < COUNT(columns) && jb_sheet_find(sheet, columns[i].title) < sheet->n_columns) {
        i++;
    }
    return i == COUNT(columns);
}

enum jb_status jb_published_parse(const char *text, size_t size, const char *name,
                                  struct jb_published *ret_published)
{
    struct jb_published published = {.rows = NULL};
    uint32_t places[COUNT(columns)];
    enum jb_status status = jb_sheet_parse(text, size, name, &published.sheet);
    if (status != JB_OK) {
        return status;
    }
    for (size_t i = 0; status == JB_OK && i < COUNT(columns); i++) {
        places[i] = jb_sheet_find(&published.sheet, columns[i].title);
        if (places[i] == published.sheet.n_columns) {
            status = jb_fail(JB_E_FORMAT,
                             "%s:1: column '%s' is missing: not a table of published "
                             "points",
                             name, columns[i].title);
        }
    }
    published.n_rows = published.sheet.n_rows;
    published.rows = calloc(published.n_rows + 1, sizeof *published.rows);
    if (status == JB_OK && published.rows == NULL) {
        status = jb_fail(JB_E_NOMEM, "%s: no memory for %llu points", name,
                         (unsigned long long)published.n_rows);
    }
    for (uint64_t i = 0; status == JB_OK && i < published.n_rows; i++) {
        status = take_row(&published, places, name, i);
    }
    if (status == JB_OK) {
        *ret_published = published;
    } else {
        jb_published_free(&published);
    }
    return status;
}

enum jb_status jb_published_read(const char *path, struct jb_published *ret_published)
{
    char *text = NULL;
    size_t size = 0;
    enum jb_status status = jb_csv_slurp(path, &text, &size);
    if (status == JB_OK) {
        status = jb_published_parse(text, size, path, ret_published);
        free(text);
    }
    return status;
}

void jb_published_free(struct jb_published *published)
{
    if (published != NULL) {
        free(published->rows);
        jb_sheet_free(&published->sheet);
        *published = (struct jb_published){.rows = NULL};
    }
}

bool jb_published_is_ranked(const struct jb_published_row *row)
{
    return strstr(row->note, "superseded or dropped") == NULL;
}

bool jb_published_is_drawn(const struct jb_published_row *row)
{
    return row->source_kind == JB_SOURCE_SURVEY_TABLE && row->batch == 1 &&
           jb_published_is_ranked(row);
}

bool jb_published_is_sheet(const struct jb_published_row *row)
{
    return row->source_kind == JB_SOURCE_SURVEY_TABLE && jb_published_is_ranked(row) &&
           strstr(row->note, "data sheet 2025-05") != NULL;
}

const char *jb_pub_platform_name(enum jb_pub_platform platform)
{
    return platforms[platform];
}

const char *jb_pub_method_name(enum jb_pub_method method)
{
    return methods[method];
}

const char *jb_power_kind_name(enum jb_power_kind kind)
{
    return power_kinds[kind];
}

enum jb_pub_platform jb_pub_platform_find(const char *name)
{
    return (enum jb_pub_platform)word_index(name, strlen(name), platforms, JB_N_PUB_PLATFORMS);
}

enum jb_power_kind jb_power_kind_find(const char *name)
{
    const int kind = word_index(name, strlen(name), power_kinds, COUNT(power_kinds));
    return kind < (int)COUNT(power_kinds) ? (enum jb_power_kind)kind : JB_POWER_UNKNOWN;
}

double jb_ratio_error(double tokens_per_s, double power_w, double tokens_per_j)
{
    return fabs(tokens_per_s / power_w / tokens_per_j - 1.0);
}
