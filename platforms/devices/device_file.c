/* SPDX-License-Identifier: MIT */
/* Device files: finding, reading out, replacing values. */
#include "platforms/devices/device_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jb_config.h"
#include "platforms/base/word.h"
#include "platforms/devices/device_internal.h"
#include "platforms/os/os.h"

#if defined(_WIN32)
#define PATH_SEPARATORS ";"
#else
#define PATH_SEPARATORS ":"
#endif

#define MAX_PATH_BYTES 1024u
#define MAX_FOLDERS 16u

const char *const jb_device_kinds[] = {"cpu", "gpu", "fpga", "asic", "pim", "dram", NULL};

void jb_device_close(struct jb_device_file *file)
{
    if (file == NULL) {
        return;
    }
    for (uint32_t i = 0; i < file->n_values; i++) {
        free((void *)(uintptr_t)file->values[i].text);
        free((void *)(uintptr_t)file->values[i].unit);
        free((void *)(uintptr_t)file->values[i].source);
    }
    free(file->values);
    free(file->name);
    free(file->kind);
    free(file->summary);
    free(file);
}

/* ---- reading out ---- */

const char *jb_device_name(const struct jb_device_file *file)
{
    return file->name;
}

const char *jb_device_kind(const struct jb_device_file *file)
{
    return file->kind;
}

const char *jb_device_summary(const struct jb_device_file *file)
{
    return file->summary;
}

uint32_t jb_device_count(const struct jb_device_file *file)
{
    return file->n_values;
}

const struct jb_device_value *jb_device_at(const struct jb_device_file *file, uint32_t index)
{
    return index < file->n_values ? &file->values[index] : NULL;
}

static struct jb_device_value *find(const struct jb_device_file *file, const char *key)
{
    for (uint32_t i = 0; i < file->n_values; i++) {
        if (strcmp(file->values[i].key, key) == 0) {
            return &file->values[i];
        }
    }
    return NULL;
}

const struct jb_device_value *jb_device_get(const struct jb_device_file *file, const char *key)
{
    return find(file, key);
}

double jb_device_number(const struct jb_device_file *file, const char *key)
{
    const struct jb_device_value *value = find(file, key);
    return value != NULL ? value->si : jb_missing();
}

bool jb_device_cycles(const struct jb_device_file *file, const char *key, double clock_hz,
                      uint32_t *ret_cycles)
{
    const struct jb_device_value *value = find(file, key);
    if (value == NULL) {
        return false;
    }
    /* A thousandth of a cycle is the rounding of decimal clock periods, not time. */
    const double cycles =
        strcmp(value->unit, "cycles") == 0 ? value->si : ceil(value->si * clock_hz - 1e-3);
    *ret_cycles = cycles < (double)UINT32_MAX ? (uint32_t)cycles : UINT32_MAX;
    return true;
}

const struct jb_device_key *jb_device_schema_key(const struct jb_device_file *file, const char *key)
{
    for (uint32_t i = 0; i < file->n_schema; i++) {
        if (strcmp(file->schema[i].key, key) == 0) {
            return &file->schema[i];
        }
    }
    return NULL;
}

const char *jb_device_near_key(const struct jb_device_file *file, const char *key)
{
    const char *nearest = NULL;
    uint32_t distance = JB_WORD_NEAR + 1;
    for (uint32_t i = 0; i < file->n_schema; i++) {
        const uint32_t d = jb_word_distance(key, file->schema[i].key);
        if (d < distance) {
            distance = d;
            nearest = file->schema[i].key;
        }
    }
    return nearest;
}

const char *jb_device_conflict(const struct jb_device_file *file, struct jb_number_error *ret_error)
{
    const double idle_w = jb_device_number(file, "idle_w");
    const double active_w = jb_device_number(file, "active_w");
    if (idle_w > active_w) { /* false where one is missing */
        (void)snprintf(ret_error->text, sizeof ret_error->text,
                       "%g W at rest are more than the %g W of active_w", idle_w, active_w);
        return "idle_w";
    }
    return NULL;
}

/* ---- replacing ---- */

static char *copy_of(const char *text, size_t n)
{
    char *copy = malloc(n + 1);
    if (copy != NULL) {
        memcpy(copy, text, n);
        copy[n] = '\0';
    }
    return copy;
}

/* The new value with texts of its own; all NULL if memory ran out. */
static bool make_value(const struct jb_device_key *key, const char *text, const char *unit,
                       double si, struct jb_device_value *ret_value)
{
    static const char source[] = "set by the user";
    char *word = key->dimension == JB_DIM_TEXT ? copy_of(text, strlen(text)) : NULL;
    char *own_unit = copy_of(unit, strlen(unit));
    char *own_source = copy_of(source, sizeof source - 1);
    if (own_unit == NULL || own_source == NULL || (key->dimension == JB_DIM_TEXT && word == NULL)) {
        free(word);
        free(own_unit);
        free(own_source);
        return false;
    }
    *ret_value = (struct jb_device_value){
        .key = key->key, .si = si, .text = word, .unit = own_unit, .source = own_source};
    return true;
}

static void free_texts(struct jb_device_value *value)
{
    free((void *)(uintptr_t)value->text);
    free((void *)(uintptr_t)value->unit);
    free((void *)(uintptr_t)value->source);
}

/* Puts a value in its place, or takes it back if it contradicts another one. */
static enum jb_status place(struct jb_device_file *file, struct jb_device_value *value)
{
    struct jb_number_error error;
    struct jb_device_value *slot = find(file, value->key);
    const bool is_new = slot == NULL;
    slot = is_new ? &file->values[file->n_values++] : slot;
    struct jb_device_value earlier = *slot;
    *slot = *value;
    const char *conflict = jb_device_conflict(file, &error);
    if (conflict != NULL) {
        *slot = earlier;
        file->n_values -= is_new ? 1 : 0;
        free_texts(value);
        return jb_fail(JB_E_INVAL, "device '%s': %s: %s", file->name, conflict, error.text);
    }
    if (!is_new) {
        free_texts(&earlier);
    }
    return JB_OK;
}

enum jb_status jb_device_set(struct jb_device_file *file, const char *key, const char *value)
{
    const struct jb_device_key *rule = jb_device_schema_key(file, key);
    if (rule == NULL) {
        const char *near = jb_device_near_key(file, key);
        return jb_fail(JB_E_INVAL, "device '%s': no key '%.80s'%s%s%s", file->name, key,
                       near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                       near != NULL ? "'?" : "; `joulebench list devices --csv` shows all");
    }
    const struct jb_device_value *earlier = find(file, key);
    struct jb_number_error error;
    struct jb_device_value next;
    double si = jb_missing();
    char number[64] = "", unit[32] = "";
    bool is_good = false;
    if (rule->dimension == JB_DIM_TEXT) {
        is_good = jb_text_check(rule, value, &error);
    } else {
        const size_t n = jb_decimal_length(value);
        const char *rest = value + n + strspn(value + n, " ");
        (void)snprintf(number, sizeof number, "%.*s", n > 0 && n < 60 ? (int)n : 60, value);
        (void)snprintf(unit, sizeof unit, "%.31s",
                       rest[0] == '\0' && earlier != NULL ? earlier->unit : rest);
        is_good = jb_unit_convert(rule, n > 0 ? number : value, unit, &si, &error);
    }
    if (!is_good) {
        return jb_fail(JB_E_INVAL, "device '%s': %s: %s", file->name, key, error.text);
    }
    if (!make_value(rule, value, unit, si, &next)) {
        return jb_fail(JB_E_NOMEM, "device '%s': no memory for %s", file->name, key);
    }
    return place(file, &next);
}

/* ---- finding ---- */

struct folders {
    char paths[MAX_FOLDERS][MAX_PATH_BYTES];
    uint32_t n;
};

static void add_folder(struct folders *folders, const char *path, size_t n)
{
    if (n > 0 && n < MAX_PATH_BYTES && folders->n < MAX_FOLDERS) {
        memcpy(folders->paths[folders->n], path, n);
        folders->paths[folders->n][n] = '\0';
        folders->n++;
    }
}

static struct folders *search_folders(void)
{
    struct folders *folders = calloc(1, sizeof *folders);
    if (folders == NULL) {
        return NULL;
    }
    const char *asked = getenv("JB_DEVICE_PATH");
    while (asked != NULL && *asked != '\0') {
        const size_t n = strcspn(asked, PATH_SEPARATORS);
        add_folder(folders, asked, n);
        asked += n + (asked[n] != '\0' ? 1 : 0);
    }
    static const char source[] = JB_SOURCE_DEVICES, data[] = JB_DATA_DIR "/devices";
    add_folder(folders, source, sizeof source - 1);
    add_folder(folders, data, sizeof data - 1);
    return folders;
}

struct found {
    const char *kind;
    char *name, *path;
};

struct collection {
    struct found *found;
    size_t n, capacity;
    const char *folder, *kind;
    bool is_out_of_memory;
};

static void free_collection(struct collection *collection)
{
    for (size_t i = 0; i < collection->n; i++) {
        free(collection->found[i].name);
        free(collection->found[i].path);
    }
    free(collection->found);
}

static bool collect(void *ctx, const char *entry)
{
    struct collection *all = ctx;
    const size_t length = strlen(entry);
    char path[MAX_PATH_BYTES + 300];
    if (length <= 5 || length > 200 || strcmp(entry + length - 5, ".yaml") != 0 ||
        entry[0] == '.') {
        return true;
    }
    for (size_t i = 0; i < all->n; i++) {
        if (strcmp(all->found[i].kind, all->kind) == 0 &&
            strlen(all->found[i].name) == length - 5 &&
            strncmp(all->found[i].name, entry, length - 5) == 0) {
            return true; /* an earlier folder has it */
        }
    }
    if (all->n == all->capacity) {
        const size_t capacity = all->capacity * 2 + 32;
        struct found *more = realloc(all->found, capacity * sizeof *more);
        if (more == NULL) {
            all->is_out_of_memory = true;
            return false;
        }
        all->found = more;
        all->capacity = capacity;
    }
    const int n = snprintf(path, sizeof path, "%s/%s/%s", all->folder, all->kind, entry);
    struct found one = {
        .kind = all->kind, .name = copy_of(entry, length - 5), .path = copy_of(path, (size_t)n)};
    all->found[all->n++] = one;
    all->is_out_of_memory |= one.name == NULL || one.path == NULL;
    return !all->is_out_of_memory;
}

static size_t kind_order(const char *kind)
{
    size_t i = 0;
    while (jb_device_kinds[i] != NULL && strcmp(jb_device_kinds[i], kind) != 0) {
        i++;
    }
    return i;
}

static int by_kind_and_name(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    const size_t i = kind_order(x->kind), j = kind_order(y->kind);
    return i != j ? (i > j) - (i < j) : strcmp(x->name, y->name);
}

/* Every device of every folder, earlier folders first where names are equal. */
static enum jb_status collect_all(struct collection *ret_all)
{
    struct folders *folders = search_folders();
    struct collection all = {.found = NULL, .is_out_of_memory = folders == NULL};
    for (uint32_t i = 0; folders != NULL && i < folders->n; i++) {
        for (const char *const *kind = jb_device_kinds; *kind != NULL; kind++) {
            char path[MAX_PATH_BYTES + 8];
            (void)snprintf(path, sizeof path, "%s/%s", folders->paths[i], *kind);
            all.folder = folders->paths[i];
            all.kind = *kind;
            /* A folder that is not there has no devices. */
            (void)!jb_dir_each(path, collect, &all);
        }
    }
    free(folders);
    if (all.is_out_of_memory) {
        free_collection(&all);
        return jb_fail(JB_E_NOMEM, "no memory for the list of devices");
    }
    if (all.n > 1) {
        qsort(all.found, all.n, sizeof *all.found, by_kind_and_name);
    }
    *ret_all = all;
    return JB_OK;
}

enum jb_status jb_device_list(bool (*fn)(void *ctx, const char *kind, const char *name,
                                         const char *path),
                              void *ctx)
{
    struct collection all = {.n = 0};
    const enum jb_status status = collect_all(&all);
    if (status != JB_OK) {
        return status;
    }
    for (size_t i = 0; i < all.n; i++) {
        if (!fn(ctx, all.found[i].kind, all.found[i].name, all.found[i].path)) {
            break;
        }
    }
    free_collection(&all);
    return JB_OK;
}

/* ---- opening ---- */

/* How a file is read. */
struct reading {
    const struct jb_device_key *schema;
    bool reads_past;
    struct jb_device_listener listener;
};

static enum jb_status open_path(const char *path, const struct reading *how,
                                struct jb_device_file **ret_file)
{
    struct jb_map map;
    enum jb_status status = jb_map_open(path, &map);
    if (status == JB_OK) {
        status = jb_device_read(map.data, map.size, path, how->schema, how->reads_past,
                                how->listener, ret_file);
        jb_map_close(&map);
    }
    return status;
}

static bool is_path(const char *name)
{
    const size_t n = strlen(name);
    return strpbrk(name, "/\\") != NULL || (n > 5 && strcmp(name + n - 5, ".yaml") == 0);
}

static enum jb_status no_such_device(const char *name, const struct collection *all)
{
    char near[256] = "";
    size_t n = 0;
    for (size_t i = 0; i < all->n && n < sizeof near; i++) {
        const char *other = all->found[i].name;
        if (jb_word_distance(name, other) <= 3 || strstr(other, name) != NULL ||
            strstr(name, other) != NULL) {
            const int wrote = snprintf(near + n, sizeof near - n, "%s%s", n > 0 ? " " : "", other);
            n += wrote > 0 ? (size_t)wrote : 0;
        }
    }
    return jb_fail(JB_E_NODEV, "no device '%.80s'%s%s; 'joulebench list devices' shows all", name,
                   n > 0 ? "; near names: " : "", near);
}

/* What is found under a name must call itself so. */
static enum jb_status check_place(const struct found *found, struct jb_device_file *file)
{
    if (strcmp(found->name, file->name) == 0 && strcmp(found->kind, file->kind) == 0) {
        return JB_OK;
    }
    return jb_fail(JB_E_FORMAT, "%s:1: device '%s' of kind '%s' must be the file %s/%s.yaml",
                   found->path, file->name, file->kind, file->kind, file->name);
}

static enum jb_status open_name(const char *name, const struct reading *how,
                                struct jb_device_file **ret_file)
{
    if (is_path(name)) {
        return open_path(name, how, ret_file);
    }
    struct collection all = {.n = 0};
    enum jb_status status = collect_all(&all);
    if (status != JB_OK) {
        return status;
    }
    size_t i = 0;
    while (i < all.n && strcmp(all.found[i].name, name) != 0) {
        i++;
    }
    struct jb_device_file *file = NULL;
    if (i < all.n) {
        status = open_path(all.found[i].path, how, &file);
    } else {
        status = no_such_device(name, &all);
    }
    if (file != NULL) {
        status = check_place(&all.found[i], file);
    }
    if (status == JB_OK) {
        *ret_file = file;
    } else {
        jb_device_close(file);
    }
    free_collection(&all);
    return status;
}

enum jb_status jb_device_open(const char *name, const struct jb_device_key *schema,
                              struct jb_device_file **ret_file)
{
    return open_name(name, &(struct reading){.schema = schema}, ret_file);
}

enum jb_status jb_device_open_common(const char *name, struct jb_device_file **ret_file)
{
    return open_name(name, &(struct reading){.reads_past = true}, ret_file);
}

enum jb_status jb_device_each(const char *name,
                              void (*fn)(void *ctx, const struct jb_device_text *text), void *ctx)
{
    struct jb_device_file *file = NULL;
    const struct reading how = {.reads_past = true, .listener = {.fn = fn, .ctx = ctx}};
    const enum jb_status status = open_name(name, &how, &file);
    jb_device_close(file);
    return status;
}
