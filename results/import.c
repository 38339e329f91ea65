/* SPDX-License-Identifier: MIT */
/* Reading other tools' files: which format it is, cells by name, rows of ours with all columns of
 * the source beside. */
#include "results/import.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "platforms/base/units.h"
#include "results/csv_lines.h"
#include "results/grow.h"
#include "results/import_internal.h"
#include "results/text.h"

/* Columns of ours that say where a row is from; those of the source follow. */
static const char *const own_extra[] = {"import_format", "import_source", "power_kind"};
enum { N_OWN_EXTRA = sizeof own_extra / sizeof own_extra[0] };

/* ---- cells ---- */

const char *jb_import_text(const struct jb_import_source *source, uint64_t at, const char *title)
{
    const uint32_t column = jb_sheet_find(source->sheet, title);
    return column < source->sheet->n_columns ? jb_sheet_cell(source->sheet, at, column) : "";
}

static void refuse(struct jb_import_source *source, uint64_t at, const char *title,
                   const char *what)
{
    const char *text = jb_import_text(source, at, title);
    const struct jb_csv_place place = {source->name, source->sheet->lines[at],
                                       jb_sheet_find(source->sheet, title), title};
    if (source->status == JB_OK) {
        source->status = jb_csv_refuse(&place, what, text, strlen(text));
    }
}

double jb_import_number(struct jb_import_source *source, uint64_t at, const char *title)
{
    const char *text = jb_import_text(source, at, title);
    double value = jb_missing();
    if (text[0] == '\0' || strcmp(text, "N/A") == 0) {
        return value;
    }
    if (!jb_real_parse(text, strlen(text), &value) || value < 0) {
        refuse(source, at, title, "is not a decimal number, 0 or above");
        return jb_missing();
    }
    return value;
}

int64_t jb_import_count(struct jb_import_source *source, uint64_t at, const char *title)
{
    const double value = jb_import_number(source, at, title);
    if (jb_is_missing(value)) {
        return JB_INT_MISSING;
    }
    if (value > 1e15 || value != floor(value)) {
        refuse(source, at, title, "is not a whole number");
        return JB_INT_MISSING;
    }
    return (int64_t)value;
}

/* ---- platforms ---- */

static bool is_same_word(const char *a, const char *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (tolower((unsigned char)a[i]) != b[i]) {
            return false;
        }
    }
    return true;
}

/* word stands in text and nothing runs into its start. */
static bool has_word(const char *text, const char *word)
{
    const size_t size = strlen(word);
    for (const char *at = text; strlen(at) >= size; at++) {
        if ((at == text || !isalnum((unsigned char)at[-1])) && is_same_word(at, word, size)) {
            return true;
        }
    }
    return false;
}

/* The first word that a device's name has decides. */
static const struct {
    const char *word, *platform;
} words[] = {
    {"gaudi", "asic"},     {"habana", "asic"},  {"tpu", "asic"},      {"sn40", "asic"},
    {"sambanova", "asic"}, {"groq", "asic"},    {"cerebras", "asic"}, {"inferentia", "asic"},
    {"trainium", "asic"},  {"lpu", "asic"},     {"alveo", "fpga"},    {"versal", "fpga"},
    {"nvidia", "gpu"},     {"gpu", "gpu"},      {"geforce", "gpu"},   {"rtx", "gpu"},
    {"tesla", "gpu"},      {"instinct", "gpu"}, {"radeon", "gpu"},    {"max 1", "gpu"},
    {"a100", "gpu"},       {"h100", "gpu"},     {"h200", "gpu"},      {"b200", "gpu"},
    {"gh200", "gpu"},      {"gb200", "gpu"},    {"b300", "gpu"},      {"mi2", "gpu"},
    {"mi3", "gpu"},        {"l40", "gpu"},      {"v100", "gpu"},      {"a40", "gpu"},
    {"a10", "gpu"},        {"apple m", "gpu"},  {"cpu", "cpu"},       {"xeon", "cpu"},
    {"epyc", "cpu"},       {"ryzen", "cpu"},    {"core", "cpu"},      {"graviton", "cpu"},
    {"cortex", "cpu"},     {"neoverse", "cpu"}, {"ampere", "cpu"},
};

void jb_import_platform(struct jb_import_source *source, uint64_t at, struct jb_record *record)
{
    if (source->args->platform != NULL) {
        JB_IMPORT_PUT(record->platform, source->args->platform);
        return;
    }
    for (size_t i = 0; record->platform[0] == '\0' && i < sizeof words / sizeof words[0]; i++) {
        if (has_word(record->device, words[i].word)) {
            JB_IMPORT_PUT(record->platform, words[i].platform);
        }
    }
    if (record->platform[0] == '\0' && source->status == JB_OK) {
        source->status =
            jb_fail(JB_E_FORMAT,
                    "%s:%llu: whether '%.60s' is a cpu, gpu, fpga, asic or pim is not "
                    "known: give --platform",
                    source->name, (unsigned long long)source->sheet->lines[at], record->device);
    }
}

/* ---- rows ---- */

void jb_import_begin(struct jb_import_source *source, struct jb_record *record)
{
    jb_record_init(record);
    source->power_kind = "";
    JB_IMPORT_PUT(record->method, "none");
    JB_IMPORT_PUT(record->method_class, "none");
    JB_IMPORT_PUT(record->execution, "functional");
    JB_IMPORT_PUT(record->time_class, "literature");
    JB_IMPORT_PUT(record->verdict, "INDICATIVE");
    record->n_devices = 1;
    record->repetition = 0;
    jb_record_reason(record, "imported");
    jb_record_reason(record, "no-uncertainty");
}

void jb_import_power(struct jb_import_source *source, struct jb_record *record, double power_w,
                     const char *meter, const char *scope)
{
    if (!(power_w > 0) || !(record->tokens_per_s > 0)) {
        return;
    }
    source->power_kind = "measured";
    record->power_w = power_w;
    record->energy_j = power_w * record->time_s;
    record->tokens_per_j = record->tokens_per_s / power_w;
    JB_IMPORT_PUT(record->energy_class, "literature");
    JB_IMPORT_PUT(record->energy_verdict, "INDICATIVE");
    JB_IMPORT_PUT(record->energy_source, meter);
    JB_IMPORT_PUT(record->energy_scope, scope);
}

void jb_import_leave(struct jb_import_source *source, const char *why)
{
    source->n_left_out++;
    source->why = why;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Everything that the source says of this row, so that rows of one configuration share it. FNV-1a
 * (Fowler, Noll, Vo; 64-bit parameters). */
static void make_run_id(const struct jb_import_source *source, uint64_t at,
                        struct jb_record *record)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const char *c = last_part(source->name); *c != '\0'; c++) {
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    }
    for (uint32_t i = 0; i < source->sheet->n_columns; i++) {
        const char *c = jb_sheet_cell(source->sheet, at, i);
        do {
            hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
        } while (*c++ != '\0');
    }
    hash = (hash ^ source->sheet->lines[at]) * UINT64_C(0x100000001b3);
    (void)snprintf(record->run_id, sizeof record->run_id, "import-%016llx",
                   (unsigned long long)hash);
}

static bool make_room(struct jb_import_source *source)
{
    struct jb_table *table = &source->table;
    if (table->n_rows < source->capacity) {
        return true;
    }
    const uint64_t capacity = source->capacity == 0 ? 32 : 2 * source->capacity;
    struct jb_record *rows = realloc(table->rows, capacity * sizeof *rows);
    if (rows != NULL) {
        table->rows = rows;
    }
    char **extra = realloc(table->extra, capacity * table->n_extra * sizeof *extra);
    if (extra != NULL) {
        table->extra = extra;
    }
    if (rows != NULL && extra != NULL) {
        source->capacity = capacity;
    }
    return rows != NULL && extra != NULL;
}

static bool keep_extra(struct jb_import_source *source, uint64_t at, const char *format)
{
    struct jb_table *table = &source->table;
    char **extra = &table->extra[table->n_rows * table->n_extra];
    struct jb_grow place = {.bytes = NULL};
    jb_grow_print(&place, "%s%c%llu", last_part(source->name), source->is_json ? '#' : ':',
                  (unsigned long long)source->sheet->lines[at]);
    bool is_done = !place.has_failed;
    for (uint32_t i = 0; i < table->n_extra; i++) {
        const char *text = i == 0   ? format
                           : i == 1 ? (is_done ? place.bytes : "")
                           : i == 2 ? source->power_kind
                                    : jb_sheet_cell(source->sheet, at, i - N_OWN_EXTRA);
        extra[i] = strdup(text);
        is_done = is_done && extra[i] != NULL;
    }
    free(place.bytes);
    return is_done;
}

void jb_import_keep(struct jb_import_source *source, uint64_t at, const struct jb_record *record)
{
    if (source->status != JB_OK) {
        return;
    }
    if (source->table.n_rows * source->table.n_extra > JB_CSV_MAX_CELLS) {
        source->status = jb_fail(JB_E_FORMAT, "%s:%llu: more than %llu cells", source->name,
                                 (unsigned long long)source->sheet->lines[at],
                                 (unsigned long long)JB_CSV_MAX_CELLS);
        return;
    }
    bool is_done = make_room(source);
    if (is_done) {
        struct jb_record *row = &source->table.rows[source->table.n_rows];
        *row = *record;
        make_run_id(source, at, row);
        is_done = keep_extra(source, at, source->format);
        source->table.n_rows++;
    }
    if (!is_done) {
        source->status = jb_fail(JB_E_NOMEM, "%s:%llu: no memory for this row", source->name,
                                 (unsigned long long)source->sheet->lines[at]);
    }
}

/* Names of the extra columns: ours, then the source's; one that is a column of ours gets a prefix.
 */
static enum jb_status name_extra(struct jb_import_source *source)
{
    struct jb_table *table = &source->table;
    const uint32_t n = N_OWN_EXTRA + source->sheet->n_columns;
    table->extra_names = calloc((size_t)n + 1, sizeof *table->extra_names);
    for (uint32_t i = 0; table->extra_names != NULL && i < n; i++) {
        struct jb_grow name = {.bytes = NULL};
        const char *title = i < N_OWN_EXTRA ? own_extra[i] : source->sheet->titles[i - N_OWN_EXTRA];
        bool is_taken = i >= N_OWN_EXTRA && jb_column_find(title) != NULL;
        for (uint32_t k = 0; i >= N_OWN_EXTRA && k < N_OWN_EXTRA; k++) {
            is_taken = is_taken || strcmp(title, own_extra[k]) == 0;
        }
        jb_grow_print(&name, "%s%s", is_taken ? "source." : "", title);
        if (name.has_failed) {
            break;
        }
        table->extra_names[table->n_extra++] = name.bytes;
    }
    return table->n_extra == n
               ? JB_OK
               : jb_fail(JB_E_NOMEM, "%s:1: no memory for the columns", source->name);
}

/* ---- formats ---- */

const char *jb_import_format_at(uint32_t index, const char **ret_summary)
{
    /* A format with several spellings of its columns is listed once. */
    uint32_t n = 0;
    for (uint32_t i = 0; i < jb_n_import_formats; i++) {
        if (i > 0 && strcmp(jb_import_formats[i].name, jb_import_formats[i - 1].name) == 0) {
            continue;
        }
        if (n++ == index) {
            *ret_summary = jb_import_formats[i].summary;
            return jb_import_formats[i].name;
        }
    }
    return NULL;
}

/* The first needed column that is not there; NULL = all are. */
static const char *missing_column(const struct jb_import_format *format,
                                  const struct jb_sheet *sheet)
{
    for (const char *const *need = format->needs; *need != NULL; need++) {
        if (jb_sheet_find(sheet, *need) == sheet->n_columns) {
            return *need;
        }
    }
    return NULL;
}

static enum jb_status find_format(const struct jb_import_source *source,
                                  const struct jb_import_format **ret_format)
{
    const char *wanted = source->args->format, *lacks = NULL;
    bool is_known = wanted == NULL;
    for (uint32_t i = 0; i < jb_n_import_formats; i++) {
        const struct jb_import_format *format = &jb_import_formats[i];
        if (wanted != NULL && strcmp(wanted, format->name) != 0) {
            continue;
        }
        is_known = true;
        const char *missing = missing_column(format, source->sheet);
        if (missing == NULL) {
            *ret_format = format;
            return JB_OK;
        }
        lacks = lacks == NULL ? missing : lacks; /* that of the first spelling */
    }
    if (!is_known) {
        return jb_fail(JB_E_INVAL, "no import format '%.40s'; 'joulebench import --help' has them",
                       wanted);
    }
    return wanted != NULL
               ? jb_fail(JB_E_FORMAT, "%s:1: column '%s' is missing: not a file of %s",
                         source->name, lacks, wanted)
               : jb_fail(JB_E_FORMAT, "%s:1: the columns are of no tool that is known here",
                         source->name);
}

static enum jb_status check_platform(const char *platform)
{
    static const char *const platforms[] = {"cpu", "gpu", "fpga", "asic", "pim"};
    for (size_t i = 0; i < sizeof platforms / sizeof platforms[0]; i++) {
        if (platform == NULL || strcmp(platform, platforms[i]) == 0) {
            return JB_OK;
        }
    }
    return jb_fail(JB_E_INVAL, "platform '%.40s' is none of cpu, gpu, fpga, asic, pim", platform);
}

static enum jb_status take_all(struct jb_import_source *source, const struct jb_sheet *sheet,
                               struct jb_import_report *report)
{
    const struct jb_import_format *format = NULL;
    source->sheet = sheet;
    source->status = find_format(source, &format);
    if (source->status == JB_OK) {
        source->status = name_extra(source);
    }
    if (source->status == JB_OK && format != NULL) {
        source->format = format->name;
        for (uint64_t i = 0; source->status == JB_OK && i < sheet->n_rows; i++) {
            format->take(source, i);
        }
        *report = (struct jb_import_report){.format = format->name,
                                            .n_taken = sheet->n_rows - source->n_left_out,
                                            .n_left_out = source->n_left_out,
                                            .why = source->why};
    }
    return source->status;
}

enum jb_status jb_import_parse(const char *text, size_t size, const char *name,
                               const struct jb_import_args *args, struct jb_table *ret_table,
                               struct jb_import_report *ret_report)
{
    struct jb_sheet sheet = {0};
    struct jb_import_report report = {.format = NULL};
    struct jb_import_source source = {.name = name,
                                      .args = args,
                                      .is_json = jb_sheet_is_json(text, size),
                                      .why = "",
                                      .power_kind = ""};
    enum jb_status status = check_platform(args->platform);
    if (status == JB_OK) {
        status = source.is_json ? jb_sheet_parse_json(text, size, name, &sheet)
                                : jb_sheet_parse(text, size, name, &sheet);
    }
    if (status == JB_OK) {
        status = take_all(&source, &sheet, &report);
    }
    if (status == JB_OK) {
        *ret_table = source.table;
        *ret_report = report;
    } else {
        jb_table_free(&source.table);
    }
    jb_sheet_free(&sheet);
    return status;
}

enum jb_status jb_import_read(const char *path, const struct jb_import_args *args,
                              struct jb_table *ret_table, struct jb_import_report *ret_report)
{
    char *text = NULL;
    size_t size = 0;
    enum jb_status status = jb_csv_slurp(path, &text, &size);
    if (status == JB_OK) {
        status = jb_import_parse(text, size, path, args, ret_table, ret_report);
        free(text);
    }
    return status;
}
