/* SPDX-License-Identifier: MIT */
#include "bench/op_row.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platforms/os/os.h"
#include "results/text.h"

/* Header and row side by side, so that they cannot drift apart. */
struct line {
    char text[8192];
    size_t n;
    bool is_cut;
};
struct sheet {
    struct line head, row;
};

static void add(struct line *line, const char *text)
{
    char cell[2 * JB_CELL_MAX + 2];
    const size_t n = jb_csv_cell(cell, sizeof cell, text);
    const size_t comma = line->n > 0 ? 1 : 0;
    if (line->n + comma + n + 2 > sizeof line->text) {
        line->is_cut = true;
        return;
    }
    line->text[line->n] = ',';
    memcpy(line->text + line->n + comma, cell, n);
    line->n += comma + n;
}

static void put(struct sheet *sheet, const char *name, const char *value)
{
    add(&sheet->head, name);
    add(&sheet->row, value);
}

static void put_real(struct sheet *sheet, const char *name, double value)
{
    char text[JB_NUMBER_MAX];
    jb_real_print(value, text);
    put(sheet, name, text);
}

static void put_count(struct sheet *sheet, const char *name, uint64_t value, bool is_known)
{
    char text[24] = "";
    if (is_known) {
        (void)snprintf(text, sizeof text, "%" PRIu64, value);
    }
    put(sheet, name, text);
}

static void put_shape(struct sheet *sheet, const struct jb_op_wish *wish)
{
    static const char *const patterns[] = {"sequential", "random", "strided"};
    static const uint32_t n_numbers[] = {3, 3, 5};
    char text[96] = "";
    size_t n = 0;
    if (wish->op == JB_OP_IS_STREAM) {
        const struct jb_exercise *stream = &wish->stream;
        n = (size_t)snprintf(text, sizeof text, "%" PRIu64 " %s", stream->bytes,
                             patterns[stream->pattern]);
        if (stream->pattern == JB_STRIDED) {
            (void)snprintf(text + n, sizeof text - n, " %" PRIu64, stream->stride_bytes);
        }
    }
    for (uint32_t i = 0; wish->op != JB_OP_IS_STREAM && i < n_numbers[wish->op]; i++) {
        /* one vector goes without saying */
        if (wish->op != JB_OP_IS_GEMV || i < 2 || wish->shape[i] > 1) {
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%" PRIu32, i > 0 ? "x" : "",
                                  wish->shape[i]);
        }
    }
    put(sheet, "shape", text);
}

static void put_settings(struct sheet *sheet, const struct jb_op_wish *wish)
{
    char text[JB_CELL_MAX] = "";
    size_t n = 0;
    for (uint32_t i = 0; i < wish->n_settings && n < sizeof text; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s=%s", i > 0 ? " " : "",
                              wish->settings[i].key, wish->settings[i].value);
    }
    put(sheet, "settings", text);
}

static void put_parts(struct sheet *sheet, const struct jb_op_detail *detail)
{
    for (uint32_t i = 1; i < detail->n_parts; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "stall_%s", detail->parts[i].name);
        put_count(sheet, name, detail->parts[i].cycles, true);
    }
    put_count(sheet, "busy_cycles", detail->n_parts > 0 ? detail->parts[0].cycles : 0,
              detail->n_parts > 0);
}

static void put_lines(struct sheet *sheet, const struct jb_op_wish *wish,
                      const struct jb_op_detail *detail)
{
    const char *const *lines = wish->backend->ledger_lines;
    for (uint32_t i = 0; lines != NULL && lines[i] != NULL; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s_j", lines[i]);
        put_real(sheet, name, detail->line_j[i]);
    }
}

static void fill(struct sheet *sheet, const struct jb_op_wish *wish,
                 const struct jb_op_answer *answer)
{
    static const char *const ops[] = {"gemv", "gemm", "attention", "stream"};
    const struct jb_op_detail *detail = &answer->detail;
    const bool is_modelled = (wish->backend->caps & JB_CAP_MODELLED) != 0;
    put(sheet, "op", ops[wish->op]);
    put(sheet, "backend", wish->backend->name);
    put(sheet, "device", answer->probe.device);
    put_shape(sheet, wish);
    put(sheet, "format", wish->op == JB_OP_IS_STREAM ? "" : jb_format(wish->format)->name);
    put_count(sheet, "cycles", detail->cycles, detail->cycles > 0);
    put_real(sheet, "clock_hz", detail->clock_hz);
    put_real(sheet, "time_s", answer->time_s);
    put_count(sheet, "bytes", detail->bytes, true);
    put_count(sheet, "macs", detail->macs, true);
    put_real(sheet, "energy_j", answer->energy_j);
    if (is_modelled) {
        put_lines(sheet, wish, detail);
    }
    put_real(sheet, "bound_share", detail->bound_s / answer->time_s);
    put_parts(sheet, detail);
    put(sheet, "time_class", jb_class_name(answer->time_class));
    put(sheet, "energy_class", jb_class_name(answer->energy_class));
    put(sheet, "energy_source", answer->energy_source);
    put_real(sheet, "bound_s", detail->bound_s);
    put_real(sheet, "time_p05_s", answer->time_p05_s);
    put_real(sheet, "time_p95_s", answer->time_p95_s);
    put_count(sheet, "n_calls", answer->n_calls, true);
    put_count(sheet, "threads", wish->threads, !is_modelled);
    put(sheet, "choices", answer->choices);
    put_settings(sheet, wish);
    sheet->head.text[sheet->head.n++] = '\n';
    sheet->row.text[sheet->row.n++] = '\n';
}

/* Whether a file starts with the header. @param ret_is_new there is no file, or an empty one. */
static enum jb_status check_header(const char *path, const struct line *head, bool *ret_is_new)
{
    char start[sizeof head->text];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        *ret_is_new = true; /* or unreadable: opening it for writing will say why */
        return JB_OK;
    }
    const size_t n = fread(start, 1, head->n, file);
    (void)fclose(file);
    if (n > 0 && (n < head->n || memcmp(start, head->text, n) != 0)) {
        return jb_fail(JB_E_INVAL,
                       "%s exists with other columns: give --output another file for this backend",
                       path);
    }
    *ret_is_new = n == 0;
    return JB_OK;
}

static enum jb_status append(const struct sheet *sheet, const char *path)
{
    struct jb_append file;
    bool is_new = false;
    enum jb_status status = check_header(path, &sheet->head, &is_new);
    if (status == JB_OK) {
        status = jb_append_open(path, &file, NULL);
    }
    if (status != JB_OK) {
        return status;
    }
    if (is_new) {
        status = jb_append_write(&file, sheet->head.text, sheet->head.n);
    }
    if (status == JB_OK) {
        status = jb_append_write(&file, sheet->row.text, sheet->row.n);
    }
    jb_append_close(&file);
    return status;
}

enum jb_status jb_op_row_write(const struct jb_op_wish *wish, const struct jb_op_answer *answer,
                               const char *path)
{
    struct sheet *sheet = calloc(1, sizeof *sheet);
    if (sheet == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the row");
    }
    fill(sheet, wish, answer);
    enum jb_status status = JB_OK;
    if (sheet->head.is_cut || sheet->row.is_cut) {
        status = jb_fail(JB_E_INVAL, "a row of more than %zu bytes", sizeof sheet->row.text);
    } else if (strcmp(path, "-") == 0) {
        (void)fwrite(sheet->head.text, 1, sheet->head.n, stdout);
        (void)fwrite(sheet->row.text, 1, sheet->row.n, stdout);
    } else {
        status = append(sheet, path);
    }
    free(sheet);
    return status;
}
