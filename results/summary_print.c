/* SPDX-License-Identifier: MIT */
/* The summary for people: what all groups share stands once above the table, what differs in it,
 * and what needs words below. */
#include <math.h>
#include <string.h>

#include "platforms/base/units.h"
#include "results/results.h"
#include "results/text.h"

#define CELL 160 /* bytes of a cell, the NUL included */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Text of a file on a terminal: no control characters, at most limit code points. */
static void put_plain(char cell[CELL], const char *text, size_t limit)
{
    const bool is_cut = jb_utf8_width(text) > limit;
    size_t used = 0, width = 0;
    for (; *text != '\0' && used + 8 < CELL; text++) {
        const unsigned char c = (unsigned char)*text;
        const bool is_start = (c & 0xC0) != 0x80;
        if (is_start && width == (is_cut ? limit - 1 : limit)) {
            break;
        }
        width += is_start ? 1 : 0;
        const bool is_c1 = c == 0xC2 && (unsigned char)text[1] < 0xA0;
        cell[used++] = c < 0x20 || c == 0x7F || is_c1 ? '?' : (char)c;
        text += is_c1 ? 1 : 0;
    }
    (void)snprintf(cell + used, CELL - used, "%s", is_cut ? "…" : "");
}

static void put_int(char cell[CELL], int64_t value)
{
    if (value == JB_INT_MISSING) {
        (void)snprintf(cell, CELL, "-");
    } else {
        (void)snprintf(cell, CELL, "%lld", (long long)value);
    }
}

/* Decimals that leave four significant digits. */
static int decimals_of(double value)
{
    const int magnitude = value == 0.0 ? 0 : (int)floor(log10(fabs(value)));
    const int decimals = 3 - magnitude;
    return decimals < 0 ? 0 : decimals > 9 ? 9 : decimals;
}

static const char *mark_of(const char *evidence)
{
    static const struct {
        const char *name, *mark;
    } marks[] = {
        {"simulated", "[s]"}, {"modelled", "[m]"}, {"nameplate", "[n]"}, {"literature", "[l]"}};
    for (size_t i = 0; i < COUNT(marks); i++) {
        if (strcmp(marks[i].name, evidence) == 0) {
            return marks[i].mark;
        }
    }
    return "";
}

static void put_real(char cell[CELL], double value, const char *evidence)
{
    if (jb_is_missing(value)) {
        (void)snprintf(cell, CELL, "-");
    } else {
        (void)snprintf(cell, CELL, "%.*f%s", decimals_of(value), value, mark_of(evidence));
    }
}

#define TEXT_CELL(name, limit)                                                                     \
    static void name##_cell(const struct jb_group *group, char cell[CELL])                         \
    {                                                                                              \
        put_plain(cell, group->key.name, limit);                                                   \
    }
#define INT_CELL(name)                                                                             \
    static void name##_cell(const struct jb_group *group, char cell[CELL])                         \
    {                                                                                              \
        put_int(cell, group->key.name);                                                            \
    }
TEXT_CELL(backend, 16)
TEXT_CELL(device, 40)
TEXT_CELL(host, 20)
TEXT_CELL(commit, 13)
TEXT_CELL(model, 28)
TEXT_CELL(weight_format, 10)
TEXT_CELL(kv_format, 8)
TEXT_CELL(method, 32)
TEXT_CELL(execution, 12)
TEXT_CELL(feed, 8)
TEXT_CELL(phase, 8)
TEXT_CELL(simd, 12)
TEXT_CELL(workload, 16)
INT_CELL(n_devices)
INT_CELL(threads)
INT_CELL(seed)
INT_CELL(batch)
INT_CELL(prompt_tokens)
INT_CELL(output_tokens)
INT_CELL(prefill_chunk)

/* Empty where it is what the phase starts with anyway. */
static void depth_cell(const struct jb_group *group, char cell[CELL])
{
    const bool is_decode = strcmp(group->key.phase, "decode") == 0;
    cell[0] = '\0';
    if (group->key.kv_depth != (is_decode ? group->key.prompt_tokens : 0)) {
        put_int(cell, group->key.kv_depth);
    }
}

static void repetitions_cell(const struct jb_group *group, char cell[CELL])
{
    put_int(cell, (int64_t)group->tokens_per_s.n);
}

static void speed_cell(const struct jb_group *group, char cell[CELL])
{
    put_real(cell, group->tokens_per_s.median, group->key.time_class);
}

static void interval_cell(const struct jb_group *group, char cell[CELL])
{
    const struct jb_interval *of = &group->tokens_per_s;
    if (jb_is_missing(of->low)) {
        (void)snprintf(cell, CELL, "-");
    } else {
        const int decimals = decimals_of(of->median);
        (void)snprintf(cell, CELL, "%.*f–%.*f", decimals, of->low, decimals, of->high);
    }
}

static void power_cell(const struct jb_group *group, char cell[CELL])
{
    put_real(cell, group->power_w.median, group->key.energy_class);
}

static void efficiency_cell(const struct jb_group *group, char cell[CELL])
{
    put_real(cell, group->tokens_per_j.median, group->key.energy_class);
}

static void verdict_cell(const struct jb_group *group, char cell[CELL])
{
    char energy[CELL];
    put_plain(cell, group->verdict, 12);
    put_plain(energy, group->energy_verdict, 12);
    if (energy[0] != '\0' && strcmp(cell, energy) != 0) {
        const size_t used = strlen(cell);
        (void)snprintf(cell + used, CELL - used, ", energy %.40s", energy);
    }
}

static const struct shown {
    const char *title;
    void (*cell)(const struct jb_group *group, char cell[CELL]);
    bool is_number;
    /* Not NULL: a column only where groups differ, else said once as this format says (""
     * = not worth saying). */
    const char *common;
} shown[] = {
    {"host", host_cell, false, "host %s"},
    {"backend", backend_cell, false, NULL},
    {"device", device_cell, false, "%s"},
    {"devices", n_devices_cell, true, ""},
    {"simd", simd_cell, false, ""},
    {"threads", threads_cell, true, "threads %s"},
    {"model", model_cell, false, NULL},
    {"format", weight_format_cell, false, NULL},
    {"kv", kv_format_cell, false, "kv %s"},
    {"method", method_cell, false, "method %s"},
    {"execution", execution_cell, false, "%s"},
    {"feed", feed_cell, false, "%s feed"},
    {"workload", workload_cell, false, "workload %s"},
    {"seed", seed_cell, true, "seed %s"},
    {"batch", batch_cell, true, NULL},
    {"prompt", prompt_tokens_cell, true, "prompt %s"},
    {"gen", output_tokens_cell, true, "gen %s"},
    {"chunk", prefill_chunk_cell, true, ""},
    {"depth", depth_cell, true, "depth %s"},
    {"phase", phase_cell, false, NULL},
    {"reps", repetitions_cell, true, "repetitions %s"},
    {"tokens/s", speed_cell, true, NULL},
    {"95 % interval", interval_cell, true, NULL},
    {"W", power_cell, true, NULL},
    {"tokens/J", efficiency_cell, true, NULL},
    {"verdict", verdict_cell, false, NULL},
    {"commit", commit_cell, false, "commit %s"},
};

struct layout {
    size_t width[COUNT(shown)];
    bool is_column[COUNT(shown)];
    bool has_marks; /* some number carries a mark: the plain ones leave its room */
};

/* A number without a mark is padded so that the decimals of a column stay together. */
static void pad_mark(const struct layout *layout, const struct shown *column, char cell[CELL])
{
    const bool may_have =
        column->cell == speed_cell || column->cell == power_cell || column->cell == efficiency_cell;
    const size_t used = strlen(cell);
    if (layout->has_marks && may_have && strchr(cell, '[') == NULL && used + 4 <= CELL) {
        memcpy(cell + used, "   ", 4);
    }
}

static struct layout lay_out(const struct jb_group *groups, uint64_t n)
{
    struct layout layout = {.has_marks = false};
    for (uint64_t g = 0; g < n; g++) {
        layout.has_marks = layout.has_marks || mark_of(groups[g].key.time_class)[0] != '\0' ||
                           mark_of(groups[g].key.energy_class)[0] != '\0';
    }
    for (size_t c = 0; c < COUNT(shown); c++) {
        char first[CELL], cell[CELL];
        shown[c].cell(&groups[0], first);
        layout.is_column[c] = shown[c].common == NULL;
        layout.width[c] = strlen(shown[c].title);
        for (uint64_t g = 0; g < n; g++) {
            shown[c].cell(&groups[g], cell);
            layout.is_column[c] = layout.is_column[c] || strcmp(first, cell) != 0;
            pad_mark(&layout, &shown[c], cell);
            const size_t width = jb_utf8_width(cell);
            layout.width[c] = width > layout.width[c] ? width : layout.width[c];
        }
    }
    return layout;
}

/* What all groups share, broken where a line would pass 100 columns. */
static void print_common(FILE *out, const struct layout *layout, const struct jb_group *first)
{
    size_t column = 0;
    for (size_t c = 0; c < COUNT(shown); c++) {
        char cell[CELL], phrase[2 * CELL];
        shown[c].cell(first, cell);
        const bool is_said = cell[0] != '\0' && strcmp(cell, "-") != 0;
        if (layout->is_column[c] || !is_said || shown[c].common[0] == '\0') {
            continue;
        }
        const char *at = strstr(shown[c].common, "%s");
        (void)snprintf(phrase, sizeof phrase, "%.*s%s%s", (int)(at - shown[c].common),
                       shown[c].common, cell, at + 2);
        const size_t width = jb_utf8_width(phrase);
        const bool wraps = column > 0 && column + 3 + width > 100;
        (void)fprintf(out, "%s%s", column == 0 ? "" : wraps ? "\n" : " · ", phrase);
        column = wraps || column == 0 ? width : column + 3 + width;
    }
    (void)fputs(column > 0 ? "\n\n" : "", out);
}

/* group NULL prints the titles. No blanks at a line's end. */
static void print_line(FILE *out, const struct layout *layout, const struct jb_group *group)
{
    size_t owed = 0;
    for (size_t c = 0; c < COUNT(shown); c++) {
        if (!layout->is_column[c]) {
            continue;
        }
        char cell[CELL];
        if (group != NULL) {
            shown[c].cell(group, cell);
        } else {
            (void)snprintf(cell, CELL, "%s", shown[c].title);
        }
        pad_mark(layout, &shown[c], cell);
        const size_t blank = layout->width[c] - jb_utf8_width(cell);
        owed += shown[c].is_number ? blank : 0;
        (void)fprintf(out, "%*s%s", (int)owed, "", cell);
        owed = 2 + (shown[c].is_number ? 0 : blank);
    }
    (void)fputc('\n', out);
}

static bool has_class(const struct jb_group *groups, uint64_t n, const char *name)
{
    for (uint64_t g = 0; g < n; g++) {
        if (strcmp(groups[g].key.time_class, name) == 0 ||
            strcmp(groups[g].key.energy_class, name) == 0) {
            return true;
        }
    }
    return false;
}

static void print_legend(FILE *out, const struct jb_group *groups, uint64_t n)
{
    static const struct {
        const char *name, *meaning;
    } classes[] = {{"simulated", "simulated"},
                   {"modelled", "modelled, from a closed form or sourced watts"},
                   {"nameplate", "nameplate, TDP x time"},
                   {"literature", "published by others"}};
    const char *gap = "";
    for (size_t i = 0; i < COUNT(classes); i++) {
        if (has_class(groups, n, classes[i].name)) {
            (void)fprintf(out, "%s%s %s", gap, mark_of(classes[i].name), classes[i].meaning);
            gap = "; ";
        }
    }
    (void)fputs(*gap != '\0' ? "; unmarked: measured\n" : "", out);
}

/* Each word behind a verdict or an empty cell once, with the number of lines it stands on. */
static void print_reasons(FILE *out, const struct jb_group *groups, uint64_t n)
{
    struct jb_record all;
    jb_record_init(&all);
    for (uint64_t g = 0; g < n; g++) {
        for (const char *at = groups[g].key.reasons; *at != '\0';) {
            char word[sizeof all.reasons];
            const size_t length = strcspn(at, ";");
            (void)snprintf(word, sizeof word, "%.*s", (int)length, at);
            jb_record_reason(&all, word);
            at += length + (at[length] == ';' ? 1 : 0);
        }
    }
    const char *gap = "reasons: ";
    for (const char *at = all.reasons; *at != '\0';) {
        const size_t length = strcspn(at, ";");
        uint64_t count = 0;
        char word[CELL], plain[CELL];
        (void)snprintf(word, sizeof word, "%.*s", (int)length, at);
        for (uint64_t g = 0; g < n; g++) {
            struct jb_record row = groups[g].key;
            const size_t before = strlen(row.reasons);
            jb_record_reason(&row, word);
            count += strlen(row.reasons) == before ? 1 : 0;
        }
        put_plain(plain, word, 100);
        (void)fprintf(out, "%s%s (%llu of %llu)", gap, plain, (unsigned long long)count,
                      (unsigned long long)n);
        gap = ", ";
        at += length + (at[length] == ';' ? 1 : 0);
    }
    (void)fputs(all.reasons[0] != '\0' ? "\n" : "", out);
}

static void print_notes(FILE *out, const struct jb_group *groups, uint64_t n)
{
    bool has_gap = false, has_power_gap = false, has_few = false;
    uint64_t n_outliers = 0;
    for (uint64_t g = 0; g < n; g++) {
        const struct jb_interval *speed = &groups[g].tokens_per_s;
        has_power_gap = has_power_gap || jb_is_missing(groups[g].power_w.median);
        has_gap = has_gap || has_power_gap || jb_is_missing(speed->median);
        has_few = has_few || (speed->n > 0 && speed->n < 3);
        n_outliers += speed->n_outliers;
    }
    print_legend(out, groups, n);
    if (has_gap || has_few) {
        (void)fputs("-: not known", out);
        (void)fputs(
            has_power_gap ? "; no power without a meter (joulebench doctor lists them)" : "", out);
        (void)fputs(has_few ? "; an interval takes 3 repetitions" : "", out);
        (void)fputc('\n', out);
    }
    if (n_outliers > 0) {
        (void)fprintf(out, "outliers in tokens/s (kept): %llu\n", (unsigned long long)n_outliers);
    }
    print_reasons(out, groups, n);
}

enum jb_status jb_summary_print(FILE *out, const struct jb_group *groups, uint64_t n)
{
    if (n == 0) {
        (void)fputs("no rows\n", out);
    } else {
        const struct layout layout = lay_out(groups, n);
        print_common(out, &layout, &groups[0]);
        print_line(out, &layout, NULL);
        for (uint64_t g = 0; g < n; g++) {
            print_line(out, &layout, &groups[g]);
        }
        (void)fputc('\n', out);
        print_notes(out, groups, n);
    }
    return ferror(out) || fflush(out) != 0 ? jb_fail(JB_E_IO, "cannot write the summary") : JB_OK;
}
