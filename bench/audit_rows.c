/* SPDX-License-Identifier: MIT */
/* Any table as rows to audit: columns by the names that tools give them. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/audit.h"
#include "platforms/devices/device_file.h"
#include "results/text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    size_t offset;
    bool is_text;
    const char *names; /* separated by '|'; the first that is there counts. No case */
} members[] = {
#define AT(name) offsetof(struct jb_audit_row, name)
    {AT(work), true, "work|backend|framework|engine|tool|submitter"},
    {AT(device), true, "device|gpu_info|hardware|accelerator|gpu|gpu_model"},
    {AT(model), true, "model|model_type|model_name|llm"},
    {AT(precision), true, "precision|weight_format|dtype|model_type"},
    {AT(method), true, "method"},
    {AT(platform), true, "platform"},
    {AT(power_kind), true, "power_kind|energy_class"},
    {AT(phase), true, "phase"},
    {AT(note), true, "note"},
    {AT(batch), false, "batch|batch_size|batch size|max_num_seqs"},
    {AT(prompt_tokens), false, "prompt_tokens|n_prompt|input_tokens|input length"},
    {AT(output_tokens), false, "output_tokens|n_gen|output length"},
    {AT(n_devices), false, "n_devices|num_gpus|num of hardware"},
    {AT(power_w), false, "power_w|avg_power_w|avg_power_watts|power|power (w)|average power"},
    {AT(tokens_per_s), false,
     "tokens_per_s|avg_ts|tokens/s|throughput|throughput "
     "(tokens/s)|output_throughput_tokens_per_sec"},
    {AT(tokens_per_j), false, "tokens_per_j|tokens/j"},
    {AT(time_s), false, "time_s"},
    {AT(tokens), false, "tokens"},
    {AT(energy_j), false, "energy_j"},
    {AT(idle_w), false, "idle_w"},
    {AT(repetition), false, "repetition"},
    {AT(weight_bytes), false, "weight_bytes|model_size"},
    {AT(n_params), false, "model_n_params|n_params"},
#undef AT
};

static bool is_same_word(const char *a, const char *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (tolower((unsigned char)a[i]) != tolower((unsigned char)b[i])) {
            return false;
        }
    }
    return true;
}

/* n_columns if no name of the list is a title. */
static uint32_t find_column(const struct jb_sheet *sheet, const char *names)
{
    for (;;) {
        const size_t size = strcspn(names, "|");
        for (uint32_t i = 0; i < sheet->n_columns; i++) {
            if (strlen(sheet->titles[i]) == size && is_same_word(sheet->titles[i], names, size)) {
                return i;
            }
        }
        if (names[size] == '\0') {
            return sheet->n_columns;
        }
        names += size + 1;
    }
}

/* ---- what names say ---- */

double jb_audit_weight_bits(const char *precision)
{
    static const struct {
        const char *word;
        double bits;
    } words[] = {{"1.58", 1.58}, {"ternary", 1.58},   {"2-bit", 2},     {"w2", 2},    {"iq2", 2},
                 {"q2_", 2.6},   {"w3", 3},           {"3-bit", 3},     {"q3_", 3.4}, {"4-bit", 4},
                 {"int4", 4},    {"w4", 4},           {"fp4", 4},       {"q4_", 4.5}, {"q5_", 5.5},
                 {"q6_", 6.56},  {"8-bit", 8},        {"int8", 8},      {"fp8", 8},   {"w8", 8},
                 {"q8_", 8.5},   {"bf16", 16},        {"bfloat16", 16}, {"f16", 16},  {"fp16", 16},
                 {"16-bit", 16}, {"unquantized", 16}, {"f32", 32},      {"fp32", 32}};
    for (size_t i = 0; i < COUNT(words); i++) {
        const size_t size = strlen(words[i].word);
        for (const char *at = precision; strlen(at) >= size; at++) {
            if (is_same_word(at, words[i].word, size)) {
                return words[i].bits;
            }
        }
    }
    return jb_missing();
}

double jb_audit_params(const char *model, bool *ret_is_about)
{
    double least = jb_missing();
    *ret_is_about = strchr(model, '~') != NULL;
    for (const char *at = model; *at != '\0'; at++) {
        const bool is_start = isdigit((unsigned char)*at) &&
                              (at == model || !(isdigit((unsigned char)at[-1]) || at[-1] == '.'));
        if (!is_start) {
            continue;
        }
        char *end = NULL;
        const double number = strtod(at, &end);
        const double scale = *end == 'B' || *end == 'b'   ? 1e9
                             : *end == 'M' || *end == 'm' ? 1e6
                                                          : 0;
        if (scale > 0 && !isalnum((unsigned char)end[1])) {
            /* "235B-A22B", "17B-128E" and "8x7B": the smallest number is what one token reads. */
            least = fmin(least, number * scale);
        }
    }
    return least;
}

/* "4x NVIDIA H100": 4. */
static double leading_count(const char *device)
{
    char *end = NULL;
    const double n = strtod(device, &end);
    return end != device && (*end == 'x' || *end == 'X') && n >= 1 ? n : 1.0;
}

/* The word on its own: not inside another ("GH200" is no H200). */
static bool has_word(const char *text, const char *word)
{
    const size_t size = strlen(word);
    for (const char *at = text; strlen(at) >= size; at++) {
        if (is_same_word(at, word, size) && (at == text || !isalnum((unsigned char)at[-1])) &&
            !isalnum((unsigned char)at[size])) {
            return true;
        }
    }
    return false;
}

const struct jb_audit_device *jb_audit_device_of(const struct jb_audit *audit,
                                                 const struct jb_audit_row *row, double *ret_n)
{
    if (strpbrk(row->device, "+,") != NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < audit->n_devices; i++) {
        const struct jb_audit_device *device = &audit->devices[i];
        if ((row->platform[0] == '\0' || strcmp(row->platform, device->platform) == 0) &&
            (has_word(row->device, device->word) || strcmp(row->device, device->name) == 0)) {
            *ret_n = row->n_devices >= 1 ? row->n_devices : leading_count(row->device);
            return device;
        }
    }
    return NULL;
}

/* ---- reading ---- */

static void read_peaks(struct jb_audit_device *device)
{
    struct jb_device_file *file = NULL;
    device->limit_w = device->idle_w = device->memory_bytes_per_s = jb_missing();
    device->memory_bytes = device->op_per_s = jb_missing();
    if (jb_device_open_common(device->name, &file) != JB_OK) {
        return;
    }
    device->limit_w = jb_device_number(file, "limit_w");
    device->idle_w = jb_device_number(file, "idle_w");
    device->memory_bytes_per_s = jb_device_number(file, "memory_bytes_per_s");
    device->memory_bytes = jb_device_number(file, "memory_bytes");
    static const char *const rates[] = {"f32_op_per_s", "f16_op_per_s", "int8_op_per_s"};
    for (size_t i = 0; i < COUNT(rates); i++) {
        /* fmax() passes over NaN */
        device->op_per_s = fmax(device->op_per_s, jb_device_number(file, rates[i]));
    }
    jb_device_close(file);
}

static enum jb_status read_devices(const char *path, struct jb_audit *audit)
{
    struct jb_sheet sheet = {0};
    enum jb_status status = jb_sheet_read(path, &sheet);
    if (status != JB_OK) {
        return status;
    }
    const uint32_t platform = jb_sheet_find(&sheet, "platform");
    const uint32_t word = jb_sheet_find(&sheet, "word"), name = jb_sheet_find(&sheet, "device");
    audit->devices = calloc(sheet.n_rows + 1, sizeof *audit->devices);
    if (platform == sheet.n_columns || word == sheet.n_columns || name == sheet.n_columns) {
        status = jb_fail(JB_E_FORMAT, "%s:1: needs columns platform, word and device", path);
    } else if (audit->devices == NULL) {
        (void)jb_fail(JB_E_NOMEM, "no memory for the devices of '%s'", path);
        status = JB_E_NOMEM;
    }
    for (uint64_t i = 0; status == JB_OK && i < sheet.n_rows; i++) {
        struct jb_audit_device *device = &audit->devices[audit->n_devices++];
        (void)snprintf(device->platform, sizeof device->platform, "%s",
                       jb_sheet_cell(&sheet, i, platform));
        (void)snprintf(device->word, sizeof device->word, "%s", jb_sheet_cell(&sheet, i, word));
        (void)snprintf(device->name, sizeof device->name, "%s", jb_sheet_cell(&sheet, i, name));
        read_peaks(device);
    }
    jb_sheet_free(&sheet);
    return status;
}

enum jb_status jb_audit_read_devices(const char *path, struct jb_audit *ret_audit)
{
    struct jb_audit audit = {.rows = NULL};
    const enum jb_status status = read_devices(path, &audit);
    if (status == JB_OK) {
        *ret_audit = audit;
    } else {
        jb_audit_free(&audit);
    }
    return status;
}

static void fill_row(const struct jb_audit *audit, const uint32_t *places, uint64_t at,
                     struct jb_audit_row *row)
{
    row->line = audit->sheet.lines[at];
    for (size_t i = 0; i < COUNT(members); i++) {
        char *member = (char *)row + members[i].offset;
        const char *text =
            places[i] < audit->sheet.n_columns ? jb_sheet_cell(&audit->sheet, at, places[i]) : "";
        double number = jb_missing();
        if (members[i].is_text) {
            memcpy(member, &text, sizeof text);
        } else {
            (void)jb_real_parse(text, strlen(text), &number);
            memcpy(member, &number, sizeof number);
        }
    }
    row->is_superseded = strstr(row->note, "superseded or dropped") != NULL;
    if (jb_is_missing(row->n_params)) {
        row->n_params = jb_audit_params(row->model, &row->is_about);
    }
}

enum jb_status jb_audit_read(const char *path, const char *devices_path, struct jb_audit *ret_audit)
{
    struct jb_audit audit = {.rows = NULL};
    uint32_t places[COUNT(members)];
    enum jb_status status = read_devices(devices_path, &audit);
    if (status == JB_OK) {
        status = jb_sheet_read(path, &audit.sheet);
    }
    for (size_t i = 0; status == JB_OK && i < COUNT(members); i++) {
        places[i] = find_column(&audit.sheet, members[i].names);
        if (members[i].offset == offsetof(struct jb_audit_row, tokens_per_s) &&
            places[i] == audit.sheet.n_columns) {
            status = jb_fail(JB_E_FORMAT, "%s:1: no column has tokens/s (one of: %s)", path,
                             members[i].names);
        }
    }
    if (status == JB_OK) {
        audit.rows = calloc(audit.sheet.n_rows + 1, sizeof *audit.rows);
        if (audit.rows == NULL) {
            status = jb_fail(JB_E_NOMEM, "no memory for the rows of '%s'", path);
        }
    }
    if (status != JB_OK) {
        jb_audit_free(&audit);
        return status;
    }
    for (; audit.n_rows < audit.sheet.n_rows; audit.n_rows++) {
        fill_row(&audit, places, audit.n_rows, &audit.rows[audit.n_rows]);
    }
    *ret_audit = audit;
    return JB_OK;
}

void jb_audit_free(struct jb_audit *audit)
{
    if (audit != NULL) {
        jb_sheet_free(&audit->sheet);
        free(audit->rows);
        free(audit->devices);
        free(audit->findings);
        *audit = (struct jb_audit){.rows = NULL};
    }
}
