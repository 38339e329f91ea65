/* SPDX-License-Identifier: MIT */
/* Words of a figure: what all its rows share goes into the subtitle, what differs into labels. */
#include "bench/figure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define WORD 96

/* said_by: another facet that may say it already: where equal ones of that have equal ones of
 * this, this is left out of the labels. */
struct facet {
    const char *column, *format, *said_by;
};
static const struct facet facets[] = {
    {"backend", "%s", NULL},
    {"device", "%s", "backend"},
    {"host", "%s", "device"},
    {"threads", "%s threads", "device"},
    {"model", "%s", NULL},
    {"weight_format", "%s", NULL},
    {"kv_format", "kv %s", "device"},
    {"method", "%s", NULL},
    {"execution", "%s", "device"},
    {"feed", "%s feed", "device"},
    {"prompt_tokens", "prompt %s", NULL},
    {"output_tokens", "gen %s", NULL},
    {"batch", "batch %s", NULL},
    {"phase", "%s", NULL},
};

static void put_word(char *to, size_t size, const char *word)
{
    const size_t used = strlen(to);
    (void)snprintf(to + used, size - used, "%s%s", used > 0 ? " · " : "", word);
}

static void facet_text(const struct facet *facet, const struct jb_record *key, char text[WORD])
{
    const struct jb_column *column = jb_column_find(facet->column);
    const char *member = (const char *)key + column->offset;
    char value[64] = "";
    if (column->type == JB_COLUMN_TEXT) {
        (void)snprintf(value, sizeof value, "%.40s", member);
    } else {
        int64_t number;
        memcpy(&number, member, sizeof number);
        if (number == JB_INT_MISSING) {
            text[0] = '\0'; /* an imported row whose source did not say */
            return;
        }
        (void)snprintf(value, sizeof value, "%lld", (long long)number);
    }
    const char *at = strstr(facet->format, "%s");
    (void)snprintf(text, WORD, "%.*s%s%s", (int)(at - facet->format), facet->format, value, at + 2);
}

static bool is_shared(const struct facet *facet, const struct jb_group *const *groups, uint64_t n)
{
    char first[WORD], other[WORD];
    facet_text(facet, &groups[0]->key, first);
    for (uint64_t i = 1; i < n; i++) {
        facet_text(facet, &groups[i]->key, other);
        if (strcmp(first, other) != 0) {
            return false;
        }
    }
    return true;
}

static const char *text_member(const struct jb_group *group, const char *column)
{
    return (const char *)&group->key + jb_column_find(column)->offset;
}

static bool is_said(const struct facet *facet, const struct jb_group *const *groups, uint64_t n)
{
    for (uint64_t i = 0; facet->said_by != NULL && i < n; i++) {
        char first[WORD], other[WORD];
        facet_text(facet, &groups[i]->key, first);
        for (uint64_t k = i + 1; k < n; k++) {
            facet_text(facet, &groups[k]->key, other);
            if (strcmp(text_member(groups[i], facet->said_by),
                       text_member(groups[k], facet->said_by)) == 0 &&
                strcmp(first, other) != 0) {
                return false;
            }
        }
    }
    return facet->said_by != NULL;
}

/* What goes without saying. */
static bool is_usual(const char *text)
{
    static const char *const usual[] = {"", "none", "kv f16", "functional", "forced feed"};
    for (size_t i = 0; i < COUNT(usual); i++) {
        if (strcmp(usual[i], text) == 0) {
            return true;
        }
    }
    return false;
}

void jb_figure_words(struct jb_figure *figure, const struct jb_group *const *groups,
                     bool has_labels, bool skips_phase)
{
    const uint64_t n = figure->n_marks;
    for (size_t f = 0; f < COUNT(facets); f++) {
        char text[WORD];
        const bool is_phase = strcmp(facets[f].column, "phase") == 0;
        const bool is_host = strcmp(facets[f].column, "host") == 0;
        if (is_phase && skips_phase) {
            continue;
        }
        if (is_shared(&facets[f], groups, n)) {
            facet_text(&facets[f], &groups[0]->key, text);
            if (!is_usual(text) && !is_host) {
                put_word(figure->subtitle, sizeof figure->subtitle, text);
            }
            continue;
        }
        if (!has_labels || is_said(&facets[f], groups, n)) {
            continue;
        }
        for (uint64_t i = 0; i < n; i++) {
            facet_text(&facets[f], &groups[i]->key, text);
            if (!is_usual(text)) {
                put_word(figure->marks[i].label, sizeof figure->marks[i].label, text);
            }
        }
    }
    for (uint64_t i = 0; has_labels && i < n; i++) {
        if (figure->marks[i].label[0] == '\0') {
            put_word(figure->marks[i].label, sizeof figure->marks[i].label, groups[i]->key.backend);
        }
    }
}

struct jb_legend *jb_figure_legend(struct jb_figure *figure, const char *text)
{
    static struct jb_legend spare; /* a legend that is full takes no more */
    struct jb_legend *entry =
        figure->n_legend < JB_FIGURE_LEGEND ? &figure->legend[figure->n_legend++] : &spare;
    *entry = (struct jb_legend){.size = 0.85, .colour = 0x595959};
    (void)snprintf(entry->text, sizeof entry->text, "%s", text);
    return entry;
}

void jb_figure_decades(double *from, double *to)
{
    /* A hair of slack: 1000 must not open another decade. */
    *from = pow(10.0, floor(log10(*from) + 1e-9));
    *to = pow(10.0, ceil(log10(*to) - 1e-9));
    if (*to <= *from) {
        *to = *from * 10.0;
    }
}

double jb_figure_round_up(double value)
{
    static const double steps[] = {1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0};
    const double decade = pow(10.0, floor(log10(value)));
    for (size_t i = 0; i < COUNT(steps); i++) {
        if (value <= steps[i] * decade) {
            return steps[i] * decade;
        }
    }
    return 10.0 * decade;
}

void jb_figure_free(struct jb_figure *figure)
{
    if (figure != NULL) {
        free(figure->marks);
        *figure = (struct jb_figure){0};
    }
}
