/* SPDX-License-Identifier: MIT */
/* Rows are built whole in memory and appended by one write, so that a reader never sees half a
 * row but the last one. A row is one line: line breaks inside text become spaces. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "platforms/os/os.h"
#include "results/results.h"
#include "results/text.h"

struct jb_csv_writer {
    struct jb_append file;
    bool is_stdout, has_failed;
    char *row;
    size_t capacity;
};

static enum jb_status put_cell(const struct jb_column *column, const struct jb_record *record,
                               char *to, size_t capacity, size_t *ret_size)
{
    const char *member = (const char *)record + column->offset;
    char number[JB_NUMBER_MAX] = "";
    size_t size = 0;
    if (column->type == JB_COLUMN_TEXT) {
        if (memchr(member, '\0', column->size) == NULL) {
            return jb_fail(JB_E_INVAL, "column '%s' holds text without an end", column->name);
        }
        size = jb_csv_cell(to, capacity, member);
    } else if (column->type == JB_COLUMN_INT) {
        int64_t value;
        memcpy(&value, member, sizeof value);
        if (value != JB_INT_MISSING) {
            (void)snprintf(number, sizeof number, "%lld", (long long)value);
        }
    } else {
        double value;
        memcpy(&value, member, sizeof value);
        if (isinf(value)) {
            return jb_fail(JB_E_NUMERIC, "column '%s' is infinite", column->name);
        }
        jb_real_print(value, number);
    }
    if (column->type != JB_COLUMN_TEXT) {
        size = strlen(number);
        memcpy(to, number, size);
    }
    if (size == 0 && !column->may_be_empty) {
        return jb_fail(JB_E_INVAL, "column '%s' is empty and must not be", column->name);
    }
    *ret_size = size;
    return JB_OK;
}

static size_t print_header(char *to, size_t capacity)
{
    size_t used = 0;
    for (uint32_t i = 0; i < jb_column_count(); i++) {
        const int n =
            snprintf(to + used, capacity - used, "%s%s", i > 0 ? "," : "", jb_column_at(i)->name);
        used += (size_t)n;
    }
    to[used++] = '\n';
    return used;
}

static enum jb_status put(struct jb_csv_writer *writer, const char *data, size_t size)
{
    enum jb_status status = JB_OK;
    if (!writer->is_stdout) {
        status = jb_append_write(&writer->file, data, size);
    } else if (fwrite(data, 1, size, stdout) != size || fflush(stdout) != 0) {
        status = jb_fail(JB_E_IO, "cannot write to standard output: %s", strerror(errno));
    }
    /* What follows a row cut short would be glued to it. */
    writer->has_failed = status != JB_OK;
    return status;
}

/* First difference between a file's header line and ours, told by column. */
static enum jb_status compare_header(const char *path, const char *line, size_t size,
                                     const char *header)
{
    for (uint32_t i = 0;; i++) {
        const size_t theirs = size == 0 ? 0 : strcspn(line, ",\r\n");
        const size_t ours = strcspn(header, ",\n");
        if (theirs != ours || memcmp(line, header, ours) != 0) {
            return jb_fail(JB_E_INVAL,
                           "'%s' is a table of another schema: column %u is '%.*s', %s has '%.*s' "
                           "there; give another output file",
                           path, i + 1, (int)(theirs < 40 ? theirs : 40), line, JB_SCHEMA,
                           (int)ours, header);
        }
        line += theirs;
        header += ours;
        if (*header == '\n' && (*line == '\n' || *line == '\r')) {
            return JB_OK;
        }
        line += *line == ',' ? 1 : 0;
        header += *header == ',' ? 1 : 0;
    }
}

/* The start of an existing file against our header and schema. A file that ends within our header
 * is one that was torn there. */
static enum jb_status check_existing(const char *path, const char *header, size_t header_size,
                                     bool *ret_has_header)
{
    struct stat info;
    *ret_has_header = false;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0) {
        return JB_OK;
    }
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return jb_fail(errno == EACCES ? JB_E_PERM : JB_E_IO, "cannot read '%s': %s", path,
                       strerror(errno));
    }
    const size_t capacity = header_size + sizeof JB_SCHEMA + 2;
    char *start = calloc(1, capacity + 1);
    if (start == NULL) {
        (void)fclose(file);
        return jb_fail(JB_E_NOMEM, "no memory to check '%s'", path);
    }
    const size_t size = fread(start, 1, capacity, file);
    (void)fclose(file);
    enum jb_status status = JB_OK;
    if (size < header_size && memcmp(start, header, size) == 0) {
        *ret_has_header = false;
    } else {
        status = compare_header(path, start, size, header);
        *ret_has_header = status == JB_OK;
        const char *row = strchr(start, '\n');
        row = row == NULL ? "" : row + 1;
        const size_t length = strcspn(row, ",\r\n");
        if (status == JB_OK && row[length] == ',' &&
            (length != sizeof JB_SCHEMA - 1 || memcmp(row, JB_SCHEMA, length) != 0)) {
            status = jb_fail(JB_E_INVAL,
                             "'%s' holds rows of schema '%.*s', not '%s'; give another output file",
                             path, (int)length, row, JB_SCHEMA);
        }
    }
    free(start);
    return status;
}

static void release(struct jb_csv_writer *writer)
{
    if (!writer->is_stdout) {
        jb_append_close(&writer->file);
    }
    free(writer->row);
    free(writer);
}

enum jb_status jb_csv_create(const char *path, struct jb_csv_writer **ret_writer,
                             uint64_t *ret_cut_bytes)
{
    size_t capacity = 2, header_capacity = 2;
    for (uint32_t i = 0; i < jb_column_count(); i++) {
        capacity += 2 * jb_column_at(i)->size + JB_NUMBER_MAX + 3;
        header_capacity += strlen(jb_column_at(i)->name) + 1;
    }
    capacity += header_capacity;
    struct jb_csv_writer *writer = calloc(1, sizeof *writer);
    char *row = malloc(capacity);
    if (writer == NULL || row == NULL) {
        free(writer);
        free(row);
        return jb_fail(JB_E_NOMEM, "no memory for the rows of '%s'", path);
    }
    *writer = (struct jb_csv_writer){
        .is_stdout = strcmp(path, "-") == 0, .row = row, .capacity = capacity};
    const size_t header_size = print_header(row, capacity);
    uint64_t cut = 0;
    bool has_header = false;
    enum jb_status status = JB_OK;
    if (!writer->is_stdout) {
        status = check_existing(path, row, header_size, &has_header);
        if (status == JB_OK) {
            status = jb_append_open(path, &writer->file, &cut);
        }
        if (status != JB_OK) {
            free(row);
            free(writer);
            return status;
        }
    }
    if (!has_header) {
        status = put(writer, row, header_size);
    }
    if (status != JB_OK) {
        release(writer);
        return status;
    }
    if (ret_cut_bytes != NULL) {
        *ret_cut_bytes = cut;
    }
    *ret_writer = writer;
    return JB_OK;
}

enum jb_status jb_csv_write(struct jb_csv_writer *writer, const struct jb_record *record)
{
    if (writer->has_failed) {
        return jb_fail(JB_E_IO, "'%s' failed before; nothing more is written to it",
                       writer->is_stdout ? "standard output" : writer->file.path);
    }
    size_t used = 0;
    for (uint32_t i = 0; i < jb_column_count(); i++) {
        const struct jb_column *column = jb_column_at(i);
        size_t size = 0;
        if (i > 0) {
            writer->row[used++] = ',';
        }
        const enum jb_status status =
            put_cell(column, record, writer->row + used, writer->capacity - used, &size);
        if (status != JB_OK) {
            return status;
        }
        used += size;
    }
    writer->row[used++] = '\n';
    return put(writer, writer->row, used);
}

enum jb_status jb_csv_close(struct jb_csv_writer *writer)
{
    if (writer == NULL) {
        return JB_OK;
    }
    enum jb_status status = JB_OK;
    if (!writer->is_stdout && !writer->has_failed) {
        status = jb_append_sync(&writer->file);
    }
    release(writer);
    return status;
}
