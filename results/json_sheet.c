/* SPDX-License-Identifier: MIT */
/* JSON tables become CSV text and go through the one strict reader: a title is a key, or a path
 * "outer.inner"; a list is a cell of JSON. */
#include "results/sheet.h"

#include <stdlib.h>
#include <string.h>

#include "jb_config.h"
#include "results/csv_lines.h"
#include "results/grow.h"
#include "results/text.h"

bool jb_sheet_is_json(const char *text, size_t size)
{
    size_t at = 0;
    while (at < size &&
           (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t')) {
        at++;
    }
    return at < size && (text[at] == '[' || text[at] == '{');
}

#if JB_HAVE_JANSSON
#include <jansson.h>

#define MAX_DEPTH 8

struct tabling {
    const char *name;
    json_t *titles; /* its keys are the titles, in order of first appearance  */
    json_t *row;    /* title -> text of the row that is being flattened       */
};

static enum jb_status no_memory(const char *name)
{
    return jb_fail(JB_E_NOMEM, "%s: no memory for entry 1 and those after it", name);
}

/* A scalar as text, a list as compact JSON. malloc'ed; NULL = no memory. */
static char *text_of(const json_t *value)
{
    char number[JB_NUMBER_MAX];
    switch (json_typeof(value)) {
    case JSON_STRING:
        return strdup(json_string_value(value));
    case JSON_INTEGER:
        (void)snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        return strdup(number);
    case JSON_REAL:
        jb_real_print(json_real_value(value), number);
        return strdup(number);
    case JSON_TRUE:
        return strdup("true");
    case JSON_FALSE:
        return strdup("false");
    case JSON_NULL:
        return strdup("");
    default:
        return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    }
}

static bool flatten(struct tabling *t, const char *prefix, json_t *object, int depth)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        struct jb_grow title = {.bytes = NULL};
        jb_grow_print(&title, "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", key);
        bool is_done = !title.has_failed;
        if (is_done && json_is_object(value) && depth < MAX_DEPTH) {
            is_done = flatten(t, title.bytes, value, depth + 1);
        } else if (is_done) {
            char *text = text_of(value);
            is_done =
                text != NULL && json_object_set_new(t->row, title.bytes,
                                                    json_stringn_nocheck(text, strlen(text))) == 0;
            is_done = is_done && (json_object_get(t->titles, title.bytes) != NULL ||
                                  json_object_set_new(t->titles, title.bytes, json_true()) == 0);
            free(text);
        }
        free(title.bytes);
        if (!is_done) {
            return false;
        }
    }
    return true;
}

/* Rows of the document: a list of objects; an object with such a list, whose other members belong
 * to every row; else the object itself. */
static json_t *find_rows(json_t *root, const char **ret_key)
{
    const char *key;
    json_t *value;
    *ret_key = NULL;
    if (json_is_array(root)) {
        return root;
    }
    json_object_foreach(root, key, value)
    {
        if (json_is_array(value) && json_is_object(json_array_get(value, 0))) {
            *ret_key = key;
            return value;
        }
    }
    return NULL;
}

static bool flatten_row(struct tabling *t, json_t *common, const char *rows_key, json_t *row)
{
    t->row = json_object();
    bool is_done = t->row != NULL;
    if (is_done && common != NULL) {
        json_t *rest = json_copy(common);
        is_done = rest != NULL;
        if (is_done && rows_key != NULL) {
            (void)json_object_del(rest, rows_key);
        }
        is_done = is_done && flatten(t, "", rest, 0);
        json_decref(rest);
    }
    return is_done && (row == NULL || flatten(t, "", row, 0));
}

/* An object of nothing but objects, as tables keyed by the number of their row are written. */
static bool is_keyed_table(const json_t *root)
{
    const char *key;
    json_t *value;
    bool is_one = json_is_object(root) && json_object_size(root) > 0;
    json_object_foreach((json_t *)root, key, value)
    {
        is_one = is_one && json_is_object(value);
    }
    return is_one;
}

/* Flattened rows of one document are added to list. */
static enum jb_status add_row(struct tabling *t, json_t *common, const char *rows_key, json_t *row,
                              json_t *list)
{
    if (row != NULL && !json_is_object(row)) {
        return jb_fail(JB_E_FORMAT, "%s: entry %llu is no object", t->name,
                       (unsigned long long)json_array_size(list) + 1);
    }
    if (!flatten_row(t, common, rows_key, row)) {
        json_decref(t->row);
        return no_memory(t->name);
    }
    return json_array_append_new(list, t->row) == 0 ? JB_OK : no_memory(t->name);
}

static enum jb_status add_document(struct tabling *t, json_t *root, json_t *list)
{
    const char *rows_key = NULL, *key;
    json_t *rows = find_rows(root, &rows_key), *value;
    json_t *common = json_is_object(root) ? root : NULL;
    enum jb_status status = JB_OK;
    if (is_keyed_table(root)) {
        json_object_foreach(root, key, value)
        {
            status = status == JB_OK ? add_row(t, NULL, NULL, value, list) : status;
        }
        return status;
    }
    const size_t n = rows != NULL ? json_array_size(rows) : 1;
    for (size_t i = 0; status == JB_OK && i < n; i++) {
        status = add_row(t, common, rows_key, rows != NULL ? json_array_get(rows, i) : NULL, list);
    }
    return status;
}

static enum jb_status print_csv(struct tabling *t, const json_t *list, struct jb_grow *csv)
{
    const char *title;
    const json_t *unused, *row;
    size_t i;
    bool is_first = true;
    if ((uint64_t)json_object_size(t->titles) * json_array_size(list) > JB_CSV_MAX_CELLS) {
        return jb_fail(JB_E_FORMAT, "%s: more than %llu cells", t->name,
                       (unsigned long long)JB_CSV_MAX_CELLS);
    }
    json_object_foreach(t->titles, title, unused)
    {
        jb_grow_text(csv, is_first ? "" : ",");
        jb_grow_cell(csv, title);
        is_first = false;
    }
    jb_grow_text(csv, "\n");
    json_array_foreach(list, i, row)
    {
        is_first = true;
        json_object_foreach(t->titles, title, unused)
        {
            const json_t *cell = json_object_get(row, title);
            jb_grow_text(csv, is_first ? "" : ",");
            jb_grow_cell(csv, cell != NULL ? json_string_value(cell) : "");
            is_first = false;
        }
        jb_grow_text(csv, "\n");
    }
    return csv->has_failed ? no_memory(t->name) : JB_OK;
}

/* One document, or several in a row as in JSON lines. */
static enum jb_status read_documents(struct tabling *t, const char *text, size_t size, json_t *list)
{
    size_t at = 0;
    enum jb_status status = JB_OK;
    while (status == JB_OK && jb_sheet_is_json(text + at, size - at)) {
        json_error_t error;
        json_t *root = json_loadb(text + at, size - at,
                                  JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &error);
        if (root == NULL) {
            return jb_fail(JB_E_FORMAT, "%s: byte %llu: %s", t->name,
                           (unsigned long long)at + (unsigned long long)error.position, error.text);
        }
        status = add_document(t, root, list);
        json_decref(root);
        at += (size_t)error.position;
    }
    return status;
}

enum jb_status jb_sheet_parse_json(const char *text, size_t size, const char *name,
                                   struct jb_sheet *ret_sheet)
{
    struct tabling t = {.name = name, .titles = json_object()};
    struct jb_grow csv = {.bytes = NULL};
    json_t *list = json_array();
    enum jb_status status = t.titles == NULL || list == NULL ? no_memory(name) : JB_OK;
    if (status == JB_OK) {
        status = read_documents(&t, text, size, list);
    }
    /* A row of one empty cell would be an empty line, which is no row. */
    if (status == JB_OK && json_object_size(t.titles) < 2) {
        status = jb_fail(JB_E_FORMAT, "%s: entry 1: there is no table in it", name);
    }
    if (status == JB_OK) {
        status = print_csv(&t, list, &csv);
    }
    if (status == JB_OK) {
        status = jb_sheet_parse(csv.bytes, csv.used, name, ret_sheet);
    }
    for (uint64_t i = 0; status == JB_OK && i < ret_sheet->n_rows; i++) {
        ret_sheet->lines[i] = i + 1;
    }
    free(csv.bytes);
    json_decref(list);
    json_decref(t.titles);
    return status;
}
#else
enum jb_status jb_sheet_parse_json(const char *text, size_t size, const char *name,
                                   struct jb_sheet *ret_sheet)
{
    (void)text;
    (void)size;
    (void)ret_sheet;
    return jb_fail(JB_E_NOTSUP,
                   "'%s' is JSON, which this build cannot read: it was built without "
                   "the library jansson",
                   name);
}
#endif
