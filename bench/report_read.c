/* SPDX-License-Identifier: MIT */
/* What a folder of results holds, and where each row of it lies. */
#include <stdlib.h>
#include <string.h>

#include "bench/report.h"
#include "platforms/os/os.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct jb_report_words known[] = {
    {"batch1", "The survey's points, batch 1",
     "Decode throughput against power, batch 1, redrawn from the data sheet of arXiv 2410.04466. A "
     "diagonal is an equal number of tokens per joule."},
    {"batch1-own", "Published points and own rows, batch 1",
     "The same with own rows: larger marks; filled measured, hollow simulated, with a dot "
     "modelled, with a cross nameplate; pale marks are literature."},
    {"batch8", "Batch 8", "Decode at batch 8: published points and own rows."},
    {"platforms-batch1", "Platforms against each other, batch 1",
     "Each platform's points; short upright lines are medians of published points."},
    {"platforms-batch8", "Platforms against each other, batch 8",
     "Each platform's points; short upright lines are medians of published points."},
    {"methods-batch1", "The same method across platforms, batch 1",
     "Rows are methods, colours platforms."},
    {"methods-batch8", "The same method across platforms, batch 8",
     "Rows are methods, colours platforms."},
    {"within-batch1", "Methods within one platform, batch 1", "Rows are methods of a platform."},
    {"within-batch8", "Methods within one platform, batch 8", "Rows are methods of a platform."},
    {"nameplate", "Measured against rated power",
     "How far tokens/J from the rated watts of a device lie from those of measured watts."},
    {"edge", "Distance to the edge target", "The survey's target for edge devices: 10 tokens/J."},
    {"platforms", "Ranges of each platform", "Least, median and largest value of each platform."},
    {"ranks", "Ranks of the platforms", "Platforms in the order of their best and median values."},
    {"edge-target", "Gap to the edge target", "Factors that are missing to 10 tokens/J."},
    {"rows-power-throughput", "Own rows: throughput against power",
     "Medians of phase decode with 95 % intervals."},
    {"rows-efficiency", "Own rows: tokens per joule", "Medians of phase decode, 95 % intervals."},
    {"rows-phases", "Own rows: prefill and decode", "Medians with 95 % intervals."},
};

const struct jb_report_words *jb_report_words_of(const char *stem)
{
    for (size_t i = 0; i < COUNT(known); i++) {
        if (strcmp(known[i].stem, stem) == 0) {
            return &known[i];
        }
    }
    return NULL;
}

void jb_report_stem(const char *name, char *ret_stem, size_t size)
{
    const char *dot = strrchr(name, '.');
    const size_t length = dot != NULL ? (size_t)(dot - name) : strlen(name);
    (void)snprintf(ret_stem, size, "%.*s", (int)length, name);
}

/* ---- files ---- */

static bool has_columns(const struct jb_sheet *sheet, const char *const *titles, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (jb_sheet_find(sheet, titles[i]) == sheet->n_columns) {
            return false;
        }
    }
    return true;
}

static enum jb_report_kind kind_of(const struct jb_sheet *sheet)
{
    static const char *const rows[] = {"schema", "run_id", "backend", "phase", "time_class"};
    static const char *const points[] = {"work", "platform", "tokens_per_s", "evidence", "origin"};
    static const char *const trace[] = {"time_s", "meter", "domain", "value"};
    return has_columns(sheet, rows, COUNT(rows))       ? JB_REPORT_ROWS
           : has_columns(sheet, points, COUNT(points)) ? JB_REPORT_POINTS
           : has_columns(sheet, trace, COUNT(trace))   ? JB_REPORT_TRACE
                                                       : JB_REPORT_TABLE;
}

static bool take_name(void *ctx, const char *name)
{
    struct jb_report *report = ctx;
    const char *ending = strrchr(name, '.');
    if (ending == NULL || strcmp(ending, ".csv") != 0 || name[0] == '.') {
        return true;
    }
    if (report->n_files == JB_REPORT_FILES) {
        return false;
    }
    report->files[report->n_files].name = strdup(name);
    return report->files[report->n_files++].name != NULL;
}

/* Place in the order in which a reader wants them; unknown ones come last. */
static size_t place_of(const char *name)
{
    char stem[64];
    size_t i = 0;
    jb_report_stem(name, stem, sizeof stem);
    while (i < COUNT(known) && strcmp(known[i].stem, stem) != 0) {
        i++;
    }
    return i;
}

static int compare_files(const void *a, const void *b)
{
    const struct jb_report_file *x = a, *y = b;
    const size_t i = place_of(x->name), k = place_of(y->name);
    return i != k ? (i < k ? -1 : 1) : strcmp(x->name, y->name);
}

static bool is_same_sheet(const struct jb_sheet *a, const struct jb_sheet *b)
{
    if (a->n_columns != b->n_columns || a->n_rows != b->n_rows) {
        return false;
    }
    for (uint32_t c = 0; c < a->n_columns; c++) {
        if (strcmp(a->titles[c], b->titles[c]) != 0) {
            return false;
        }
    }
    for (uint64_t i = 0; i < a->n_rows * a->n_columns; i++) {
        if (strcmp(a->bytes + a->cells[i], b->bytes + b->cells[i]) != 0) {
            return false;
        }
    }
    return true;
}

enum jb_status jb_report_path(const char *folder, const char *name, const char *ending,
                              char ret_path[JB_REPORT_PATH])
{
    const int n = snprintf(ret_path, JB_REPORT_PATH, "%s/%s%s", folder, name, ending);
    return n > 0 && n < JB_REPORT_PATH ? JB_OK
                                       : jb_fail(JB_E_INVAL, "the folder's name is too long");
}

static enum jb_status read_file(struct jb_report *report, uint32_t at, struct jb_table *table)
{
    char path[JB_REPORT_PATH];
    struct jb_report_file *file = &report->files[at];
    enum jb_status status = jb_report_path(report->folder, file->name, "", path);
    if (status == JB_OK) {
        status = jb_sheet_read(path, &file->sheet);
    }
    if (status != JB_OK) {
        return status;
    }
    file->kind = kind_of(&file->sheet);
    file->same_as = at;
    for (uint32_t i = 0; file->kind != JB_REPORT_ROWS && file->same_as == at && i < at; i++) {
        file->same_as = is_same_sheet(&report->files[i].sheet, &file->sheet) ? i : at;
    }
    if (file->kind == JB_REPORT_ROWS) {
        struct jb_table more = {0};
        bool is_torn = false;
        status = jb_table_read(path, &more, &is_torn);
        if (status == JB_OK) {
            status = jb_table_append(table, &more);
            jb_table_free(&more);
        }
    }
    return status;
}

static enum jb_status read_all(struct jb_report *report)
{
    struct jb_table table = {0};
    enum jb_status status = jb_dir_each(report->folder, take_name, report);
    if (status == JB_OK && report->n_files == 0) {
        status = jb_fail(JB_E_NODEV,
                         "'%s' has no .csv file: give a folder that run, import or "
                         "survey wrote to",
                         report->folder);
    }
    if (status == JB_OK) {
        qsort(report->files, report->n_files, sizeof *report->files, compare_files);
    }
    for (uint32_t i = 0; status == JB_OK && i < report->n_files; i++) {
        status = read_file(report, i, &table);
    }
    if (status == JB_OK && table.n_rows > 0) {
        status = jb_summarize(&table, &report->groups, &report->n_groups);
    }
    jb_table_free(&table);
    return status;
}

enum jb_status jb_report_read(const char *folder, struct jb_report *ret_report)
{
    struct jb_report report = {.folder = folder};
    enum jb_status status = jb_report_path(folder, "report", "", report.output);
    report.files = calloc(JB_REPORT_FILES, sizeof *report.files);
    report.figures = calloc(JB_REPORT_FIGURES, sizeof *report.figures);
    if (status == JB_OK && (report.files == NULL || report.figures == NULL)) {
        status = jb_fail(JB_E_NOMEM, "no memory for the files of '%s'", folder);
    }
    if (status == JB_OK) {
        status = read_all(&report);
    }
    if (status == JB_OK) {
        *ret_report = report;
    } else {
        jb_report_free(&report);
    }
    return status;
}

void jb_report_free(struct jb_report *report)
{
    if (report == NULL) {
        return;
    }
    for (uint32_t i = 0; report->files != NULL && i < report->n_files; i++) {
        jb_sheet_free(&report->files[i].sheet);
        free(report->files[i].name);
    }
    for (uint32_t i = 0; report->figures != NULL && i < report->n_figures; i++) {
        free(report->figures[i].svg);
    }
    free(report->files);
    free(report->figures);
    free(report->groups);
    *report = (struct jb_report){.folder = NULL};
}

/* ---- provenance ---- */

static void put_run(struct jb_grow *places, const char *name, uint64_t from, uint64_t to,
                    bool is_first)
{
    if (is_first) {
        jb_grow_print(places, "%s%s:", places->used > 0 ? " " : "", name);
    } else {
        jb_grow_text(places, ",");
    }
    jb_grow_print(places, "%llu", (unsigned long long)from);
    if (to > from) {
        jb_grow_print(places, "-%llu", (unsigned long long)to);
    }
}

/* Rows of one run differ in phase and, where decode is run in parts, in depth and length. */
static bool is_of_group(const struct jb_sheet *sheet, const uint32_t columns[4], uint64_t row,
                        const struct jb_record *key)
{
    char depth[32] = "", output[32] = "";
    if (key->kv_depth != JB_INT_MISSING) {
        (void)snprintf(depth, sizeof depth, "%lld", (long long)key->kv_depth);
    }
    if (key->output_tokens != JB_INT_MISSING) {
        (void)snprintf(output, sizeof output, "%lld", (long long)key->output_tokens);
    }
    const char *const wanted[] = {key->run_id, key->phase, depth, output};
    for (size_t i = 0; i < COUNT(wanted); i++) {
        if (columns[i] == sheet->n_columns ||
            strcmp(jb_sheet_cell(sheet, row, columns[i]), wanted[i]) != 0) {
            return false;
        }
    }
    return true;
}

void jb_report_places(const struct jb_report *report, const struct jb_group *group,
                      struct jb_grow *places)
{
    for (uint32_t i = 0; i < report->n_files; i++) {
        const struct jb_sheet *sheet = &report->files[i].sheet;
        if (report->files[i].kind != JB_REPORT_ROWS) {
            continue;
        }
        const uint32_t columns[] = {jb_sheet_find(sheet, "run_id"), jb_sheet_find(sheet, "phase"),
                                    jb_sheet_find(sheet, "kv_depth"),
                                    jb_sheet_find(sheet, "output_tokens")};
        uint64_t from = 0, to = 0;
        bool is_first = true;
        for (uint64_t r = 0; r <= sheet->n_rows; r++) {
            const bool is_in = r < sheet->n_rows && is_of_group(sheet, columns, r, &group->key);
            if (is_in && to + 1 == sheet->lines[r] && from > 0) {
                to++;
            } else if (is_in || r == sheet->n_rows) {
                if (from > 0) {
                    put_run(places, report->files[i].name, from, to, is_first);
                    is_first = false;
                }
                from = to = is_in ? sheet->lines[r] : 0;
            }
        }
    }
}
