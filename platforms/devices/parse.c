/* SPDX-License-Identifier: MIT */
/* A device file from YAML events. Only plain maps and scalars are taken: the subset that every
 * reader of a device file understands at sight. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "platforms/devices/device_internal.h"

#define MAX_BYTES ((size_t)256 << 10)
#define MAX_TEXT 1000u

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the event looked at; valid once has_event */
    bool has_event;
    const char *file_name, *text;
    size_t size;
    struct jb_device_file *file;
    uint32_t values_line;
    struct jb_device_listener listener;
};

/* One entry below `values`, as written. NULL = not given. */
struct entry {
    char *value, *unit, *source, *estimate;
    bool is_plain; /* value is written without quotes */
};

static uint32_t line_of(const struct reader *reader)
{
    return (uint32_t)reader->event.start_mark.line + 1;
}

static enum jb_status fail_at(const struct reader *reader, uint32_t line, const char *fmt, ...)
    JB_PRINTF(3, 4);
static enum jb_status fail_at(const struct reader *reader, uint32_t line, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return jb_fail(JB_E_FORMAT, "%s:%u: %s", reader->file_name, line, text);
}

static enum jb_status no_memory(const struct reader *reader)
{
    return jb_fail(JB_E_NOMEM, "%s: no memory to read it", reader->file_name);
}

/* ---- events ---- */

static enum jb_status refuse_extras(const struct reader *reader)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (reader->event.type == YAML_SCALAR_EVENT) {
        anchor = reader->event.data.scalar.anchor;
        tag = reader->event.data.scalar.tag;
    } else if (reader->event.type == YAML_MAPPING_START_EVENT) {
        anchor = reader->event.data.mapping_start.anchor;
        tag = reader->event.data.mapping_start.tag;
    } else if (reader->event.type == YAML_SEQUENCE_START_EVENT) {
        return fail_at(reader, line_of(reader), "a list is not allowed here");
    } else if (reader->event.type == YAML_ALIAS_EVENT) {
        return fail_at(reader, line_of(reader), "alias '*%.40s': write the value out",
                       (const char *)reader->event.data.alias.anchor);
    }
    if (anchor != NULL) {
        return fail_at(reader, line_of(reader), "anchor '&%.40s' is not allowed",
                       (const char *)anchor);
    }
    if (tag != NULL) {
        return fail_at(reader, line_of(reader), "tag '%.40s' is not allowed", (const char *)tag);
    }
    return JB_OK;
}

/* Line of what libyaml complains about. Bytes that are no text are told by their offset alone. */
static uint32_t problem_line(const struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    if (parser->error != YAML_READER_ERROR) {
        return (uint32_t)parser->problem_mark.line + 1;
    }
    uint32_t line = 1;
    for (size_t i = 0; i < parser->problem_offset && i < reader->size; i++) {
        line += reader->text[i] == '\n' ? 1 : 0;
    }
    return line;
}

static enum jb_status advance(struct reader *reader)
{
    if (reader->has_event) {
        yaml_event_delete(&reader->event);
        reader->has_event = false;
    }
    if (yaml_parser_parse(&reader->parser, &reader->event) == 0) {
        const yaml_parser_t *parser = &reader->parser;
        if (parser->error == YAML_MEMORY_ERROR) {
            return no_memory(reader);
        }
        const char *problem = parser->problem != NULL ? parser->problem : "cannot be parsed";
        return fail_at(reader, problem_line(reader), "not YAML: %s", problem);
    }
    reader->has_event = true;
    return refuse_extras(reader);
}

/* The looked-at scalar as a new string. @param what names it in messages. */
static enum jb_status take_text(struct reader *reader, const char *what, char **ret_text)
{
    if (reader->event.type != YAML_SCALAR_EVENT) {
        return fail_at(reader, line_of(reader), "%.80s: one value must be here, not a map", what);
    }
    const char *text = (const char *)reader->event.data.scalar.value;
    const size_t length = reader->event.data.scalar.length;
    if (length > MAX_TEXT || memchr(text, '\0', length) != NULL) {
        return fail_at(reader, line_of(reader), "%.80s: longer than %u bytes, or with a NUL", what,
                       MAX_TEXT);
    }
    char *copy = malloc(length + 1);
    if (copy == NULL) {
        return no_memory(reader);
    }
    memcpy(copy, text, length + 1);
    *ret_text = copy;
    return JB_OK;
}

static enum jb_status expect_map(struct reader *reader, const char *what)
{
    if (reader->event.type == YAML_MAPPING_START_EVENT) {
        return JB_OK;
    }
    return fail_at(reader, line_of(reader), "%.80s: a map must be here", what);
}

static bool is_blank(const char *text)
{
    return text == NULL || text[strspn(text, " \t\r\n")] == '\0';
}

/* ---- one entry: {value: , unit: , source: , estimate: } ---- */

static void free_entry(struct entry *entry)
{
    free(entry->value);
    free(entry->unit);
    free(entry->source);
    free(entry->estimate);
}

static enum jb_status read_field(struct reader *reader, const char *key, struct entry *entry)
{
    char *name = NULL;
    enum jb_status status = take_text(reader, key, &name);
    if (name == NULL) {
        return status;
    }
    const uint32_t line = line_of(reader);
    char **fields[] = {&entry->value, &entry->unit, &entry->source, &entry->estimate};
    static const char *const names[] = {"value", "unit", "source", "estimate"};
    size_t i = 0;
    while (i < 4 && strcmp(names[i], name) != 0) {
        i++;
    }
    if (i == 4) {
        status =
            fail_at(reader, line, "%.80s: field '%.40s' is not one of: value unit source estimate",
                    key, name);
    } else if (*fields[i] != NULL) {
        status = fail_at(reader, line, "%.80s: field '%s' is given twice", key, names[i]);
    } else if ((status = advance(reader)) == JB_OK) {
        char what[128];
        (void)snprintf(what, sizeof what, "%.80s: %s", key, names[i]);
        status = take_text(reader, what, fields[i]);
        if (status == JB_OK && i == 0) {
            entry->is_plain = reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        }
    }
    free(name);
    return status;
}

static enum jb_status read_entry(struct reader *reader, const char *key, struct entry *entry)
{
    enum jb_status status = advance(reader);
    if (status == JB_OK && reader->event.type != YAML_MAPPING_START_EVENT) {
        return fail_at(reader, line_of(reader),
                       "%.80s: must be a map such as {value: 1, unit: W, source: \"...\"}", key);
    }
    while (status == JB_OK) {
        status = advance(reader);
        if (status == JB_OK && reader->event.type == YAML_MAPPING_END_EVENT) {
            return JB_OK;
        }
        if (status == JB_OK) {
            status = read_field(reader, key, entry);
        }
    }
    return status;
}

static enum jb_status convert(const struct reader *reader, const struct jb_device_key *key,
                              const struct entry *entry, uint32_t line, double *ret_si)
{
    struct jb_number_error error;
    if (key->dimension == JB_DIM_TEXT) {
        if (entry->unit != NULL) {
            return fail_at(reader, line, "%s: a word takes no unit", key->key);
        }
        if (!jb_text_check(key, entry->value, &error)) {
            return fail_at(reader, line, "%s: %s", key->key, error.text);
        }
        *ret_si = jb_missing();
        return JB_OK;
    }
    if (!entry->is_plain) {
        return fail_at(reader, line, "%s: write the number without quotes", key->key);
    }
    if (!jb_unit_convert(key, entry->value, entry->unit != NULL ? entry->unit : "", ret_si,
                         &error)) {
        return fail_at(reader, line, "%s: %s", key->key, error.text);
    }
    return JB_OK;
}

/* Checks an entry and moves its texts into the file's next value. */
static enum jb_status keep_entry(struct reader *reader, const struct jb_device_key *key,
                                 struct entry *entry, uint32_t line)
{
    double si = 0;
    if (is_blank(entry->value)) {
        return fail_at(reader, line, "%s: has no value", key->key);
    }
    if (is_blank(entry->source)) {
        return fail_at(reader, line, "%s: has no source; say where the value is from", key->key);
    }
    if (entry->estimate != NULL && strcmp(entry->estimate, "true") != 0 &&
        strcmp(entry->estimate, "false") != 0) {
        return fail_at(reader, line, "%s: estimate: '%.40s' is not true or false", key->key,
                       entry->estimate);
    }
    const enum jb_status status = convert(reader, key, entry, line, &si);
    if (status != JB_OK) {
        return status;
    }
    char *unit = entry->unit != NULL ? entry->unit : calloc(1, 1);
    if (unit == NULL) {
        return no_memory(reader);
    }
    struct jb_device_file *file = reader->file;
    file->values[file->n_values++] = (struct jb_device_value){
        .key = key->key,
        .si = si,
        .text = key->dimension == JB_DIM_TEXT ? entry->value : NULL,
        .unit = unit,
        .source = entry->source,
        .is_estimate = entry->estimate != NULL && strcmp(entry->estimate, "true") == 0,
        .line = line,
    };
    if (key->dimension == JB_DIM_TEXT) {
        entry->value = NULL;
    }
    entry->unit = NULL;
    entry->source = NULL;
    return JB_OK;
}

/* ---- values ---- */

static enum jb_status unknown_key(const struct reader *reader, const char *name)
{
    const char *nearest = jb_device_near_key(reader->file, name);
    return fail_at(reader, line_of(reader), "%.80s: no such key%s%s%s", name,
                   nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "'?" : "");
}

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

/* Before keep_entry(), which takes the texts away. */
static void tell(const struct reader *reader, const char *key, const struct entry *entry,
                 uint32_t line)
{
    if (reader->listener.fn != NULL) {
        const struct jb_device_text text = {.key = key,
                                            .value = or_empty(entry->value),
                                            .unit = or_empty(entry->unit),
                                            .source = or_empty(entry->source),
                                            .is_estimate =
                                                strcmp(or_empty(entry->estimate), "true") == 0,
                                            .line = line};
        reader->listener.fn(reader->listener.ctx, &text);
    }
}

static enum jb_status read_value(struct reader *reader)
{
    char *name = NULL;
    enum jb_status status = take_text(reader, "values", &name);
    if (name == NULL) {
        return status;
    }
    const uint32_t line = line_of(reader);
    const struct jb_device_key *key = jb_device_schema_key(reader->file, name);
    const struct jb_device_value *earlier = jb_device_get(reader->file, name);
    struct entry entry = {.value = NULL};
    if (key == NULL && !reader->file->has_other_keys) {
        status = unknown_key(reader, name);
    } else if (earlier != NULL) {
        status = fail_at(reader, line, "%s: given twice, first in line %u", name, earlier->line);
    } else {
        status = read_entry(reader, name, &entry);
    }
    if (status == JB_OK) {
        tell(reader, name, &entry, line);
    }
    if (status == JB_OK && key != NULL) {
        status = keep_entry(reader, key, &entry, line);
    }
    free_entry(&entry);
    free(name);
    return status;
}

static enum jb_status read_values(struct reader *reader)
{
    reader->values_line = line_of(reader);
    enum jb_status status = advance(reader);
    if (status == JB_OK) {
        status = expect_map(reader, "values");
    }
    while (status == JB_OK) {
        status = advance(reader);
        if (status == JB_OK && reader->event.type == YAML_MAPPING_END_EVENT) {
            return JB_OK;
        }
        if (status == JB_OK) {
            status = read_value(reader);
        }
    }
    return status;
}

/* ---- top level ---- */

static enum jb_status check_head(const struct reader *reader, const char *key, const char *text)
{
    const uint32_t line = line_of(reader);
    if (is_blank(text)) {
        return fail_at(reader, line, "%s: is empty", key);
    }
    if (strcmp(key, "device") == 0 &&
        text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-")] != '\0') {
        return fail_at(reader, line, "device: '%.60s' may have a-z, 0-9, '.', '_' and '-' only",
                       text);
    }
    if (strcmp(key, "kind") == 0) {
        const char *const *kind = jb_device_kinds;
        while (*kind != NULL && strcmp(*kind, text) != 0) {
            kind++;
        }
        if (*kind == NULL) {
            return fail_at(reader, line, "kind: '%.60s' is not one of: cpu gpu fpga asic pim dram",
                           text);
        }
    }
    if (strcmp(key, "summary") == 0 && (strlen(text) > 160 || strchr(text, '\n') != NULL)) {
        return fail_at(reader, line, "summary: one line of at most 160 bytes");
    }
    return JB_OK;
}

static enum jb_status read_head(struct reader *reader, const char *key, char **text)
{
    if (*text != NULL) {
        return fail_at(reader, line_of(reader), "%s: given twice", key);
    }
    enum jb_status status = advance(reader);
    if (status == JB_OK) {
        status = take_text(reader, key, text);
    }
    return *text != NULL ? check_head(reader, key, *text) : status;
}

static enum jb_status read_top_key(struct reader *reader)
{
    char *key = NULL;
    struct jb_device_file *file = reader->file;
    enum jb_status status = take_text(reader, "top level", &key);
    if (key == NULL) {
        return status;
    }
    if (strcmp(key, "device") == 0) {
        status = read_head(reader, "device", &file->name);
    } else if (strcmp(key, "kind") == 0) {
        status = read_head(reader, "kind", &file->kind);
    } else if (strcmp(key, "summary") == 0) {
        status = read_head(reader, "summary", &file->summary);
    } else if (strcmp(key, "values") == 0) {
        status = reader->values_line != 0 ? fail_at(reader, line_of(reader), "values: given twice")
                                          : read_values(reader);
    } else {
        status = fail_at(reader, line_of(reader),
                         "%.80s: no such key; the top level has: device kind summary values", key);
    }
    free(key);
    return status;
}

static enum jb_status check_complete(const struct reader *reader)
{
    const struct jb_device_file *file = reader->file;
    const uint32_t last = line_of(reader);
    const char *missing = file->name == NULL         ? "device"
                          : file->kind == NULL       ? "kind"
                          : file->summary == NULL    ? "summary"
                          : reader->values_line == 0 ? "values"
                                                     : NULL;
    if (missing != NULL) {
        return fail_at(reader, last, "%s: missing", missing);
    }
    for (uint32_t i = 0; i < file->n_schema; i++) {
        if (file->schema[i].is_required && jb_device_get(file, file->schema[i].key) == NULL) {
            return fail_at(reader, reader->values_line, "%s: missing; %s", file->schema[i].key,
                           file->schema[i].help);
        }
    }
    struct jb_number_error error;
    const char *key = jb_device_conflict(file, &error);
    return key != NULL ? fail_at(reader, jb_device_get(file, key)->line, "%s: %s", key, error.text)
                       : JB_OK;
}

/* Advances and checks the type of what comes. */
static enum jb_status expect(struct reader *reader, yaml_event_type_t type, const char *otherwise)
{
    const enum jb_status status = advance(reader);
    if (status == JB_OK && reader->event.type != type) {
        return fail_at(reader, line_of(reader), "%s", otherwise);
    }
    return status;
}

static enum jb_status read_document(struct reader *reader)
{
    static const char no_map[] = "the file must be a map with: device kind summary values";
    enum jb_status status = expect(reader, YAML_STREAM_START_EVENT, no_map);
    if (status == JB_OK) {
        status = expect(reader, YAML_DOCUMENT_START_EVENT, no_map);
    }
    if (status == JB_OK) {
        status = expect(reader, YAML_MAPPING_START_EVENT, no_map);
    }
    while (status == JB_OK) {
        status = advance(reader);
        if (status == JB_OK && reader->event.type == YAML_MAPPING_END_EVENT) {
            break;
        }
        if (status == JB_OK) {
            status = read_top_key(reader);
        }
    }
    if (status == JB_OK) {
        status = check_complete(reader);
    }
    if (status == JB_OK) {
        status = expect(reader, YAML_DOCUMENT_END_EVENT, "text after the map");
    }
    if (status == JB_OK) {
        status = expect(reader, YAML_STREAM_END_EVENT, "a second document is not allowed");
    }
    return status;
}

static struct jb_device_file *new_file(const struct jb_device_key *schema)
{
    static const struct jb_device_key common[] = {JB_DEVICE_COMMON_KEYS, {.key = NULL}};
    struct jb_device_file *file = calloc(1, sizeof *file);
    if (file == NULL) {
        return NULL;
    }
    file->schema = schema != NULL ? schema : common;
    while (file->schema[file->n_schema].key != NULL) {
        file->n_schema++;
    }
    file->values = calloc(file->n_schema + 1, sizeof *file->values);
    if (file->values == NULL) {
        free(file);
        return NULL;
    }
    return file;
}

enum jb_status jb_device_parse(const char *text, size_t size, const char *file_name,
                               const struct jb_device_key *schema, struct jb_device_file **ret_file)
{
    const struct jb_device_listener nobody = {.fn = NULL};
    return jb_device_read(text, size, file_name, schema, false, nobody, ret_file);
}

enum jb_status jb_device_read(const char *text, size_t size, const char *file_name,
                              const struct jb_device_key *schema, bool reads_past,
                              struct jb_device_listener listener, struct jb_device_file **ret_file)
{
    struct reader reader = {
        .file_name = file_name, .text = text, .size = size, .listener = listener};
    if (size > MAX_BYTES) {
        return jb_fail(JB_E_FORMAT, "%s:1: %zu bytes; a device file has at most %zu", file_name,
                       size, MAX_BYTES);
    }
    reader.file = new_file(schema);
    if (reader.file == NULL || yaml_parser_initialize(&reader.parser) == 0) {
        jb_device_close(reader.file);
        return no_memory(&reader);
    }
    reader.file->has_other_keys = reads_past;
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, size);
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    const enum jb_status status = read_document(&reader);
    if (reader.has_event) {
        yaml_event_delete(&reader.event);
    }
    yaml_parser_delete(&reader.parser);
    if (status != JB_OK) {
        jb_device_close(reader.file);
        return status;
    }
    *ret_file = reader.file;
    return JB_OK;
}
