/* SPDX-License-Identifier: MIT */
#include "bench/verify.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/ids.h"
#include "platforms/base/units.h"
#include "platforms/os/os.h"

/* Numbers are written so that they read back exactly; what is left is the order of operations. */
#define TOLERANCE 1e-9

struct place {
    uint64_t line;
    jb_verify_found *found;
    void *ctx;
};

static void complain(const struct place *at, const char *column, const char *fmt, ...)
    JB_PRINTF(3, 4);
static void complain(const struct place *at, const char *column, const char *fmt, ...)
{
    char text[200];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    at->found(at->ctx, at->line, column, text);
}

/* ---- words ---- */

static bool is_among(const char *words, const char *text)
{
    const size_t n = strlen(text);
    for (const char *word = words; *word != '\0';) {
        const size_t length = strcspn(word, " ");
        if (length == n && memcmp(word, text, n) == 0) {
            return true;
        }
        word += length + strspn(word + length, " ");
    }
    return false;
}

static void check_words(const struct place *at, const struct jb_record *r)
{
    static const char classes[] = "measured simulated modelled nameplate literature";
    static const char verdicts[] = "VALID INDICATIVE INVALID";
    const struct {
        const char *column, *text, *words;
        bool may_be_empty;
    } cells[] = {{"schema", r->schema, JB_SCHEMA, false},
                 {"platform", r->platform, "cpu gpu fpga asic pim", false},
                 {"phase", r->phase, "prefill decode total", false},
                 {"execution", r->execution, "functional timing", true},
                 {"feed", r->feed, "forced free", true},
                 {"time_class", r->time_class, classes, false},
                 {"energy_class", r->energy_class, classes, true},
                 {"verdict", r->verdict, verdicts, false},
                 {"energy_verdict", r->energy_verdict, verdicts, true}};
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
        const bool is_good = cells[i].text[0] == '\0' ? cells[i].may_be_empty
                                                      : is_among(cells[i].words, cells[i].text);
        if (!is_good) {
            complain(at, cells[i].column, "'%.40s' is none of: %s", cells[i].text, cells[i].words);
        }
    }
}

/* ---- arithmetic ---- */

static double known(int64_t value)
{
    return value == JB_INT_MISSING ? jb_missing() : (double)value;
}

/* A value must be what its parts make, where all are known. */
static void check_equal(const struct place *at, const char *column, double value, double expected,
                        const char *rule)
{
    if (!jb_is_missing(value) && !jb_is_missing(expected) &&
        !(fabs(value - expected) <= TOLERANCE * fmax(fabs(value), fabs(expected)))) {
        complain(at, column, "%.17g is not %s = %.17g", value, rule, expected);
    }
}

static void check_arithmetic(const struct place *at, const struct jb_record *r)
{
    const double tokens = known(r->tokens);
    check_equal(at, "time_s", r->time_s, r->window_s / known(r->n_phases), "window_s / n_phases");
    check_equal(at, "tokens_per_s", r->tokens_per_s, tokens / r->time_s, "tokens / time_s");
    check_equal(at, "power_w", r->power_w, r->energy_j / r->time_s, "energy_j / time_s");
    check_equal(at, "tokens_per_j", r->tokens_per_j, tokens / r->energy_j, "tokens / energy_j");
    check_equal(at, "bound_share", r->bound_share, r->tokens_per_s / r->bound_tokens_per_s,
                "tokens_per_s / bound_tokens_per_s");
    check_equal(at, "net_energy_j", r->net_energy_j, r->energy_j - r->idle_w * r->time_s,
                "energy_j - idle_w x time_s");
}

static void check_ranges(const struct place *at, const struct jb_record *r)
{
    const struct {
        const char *column;
        double value, min, max;
    } ranges[] = {{"time_s", r->time_s, 0, HUGE_VAL},
                  {"window_s", r->window_s, 0, HUGE_VAL},
                  {"energy_j", r->energy_j, 0, HUGE_VAL},
                  {"tokens", known(r->tokens), 0, HUGE_VAL},
                  {"batch", known(r->batch), 1, HUGE_VAL},
                  {"n_phases", known(r->n_phases), 1, HUGE_VAL},
                  {"repetition", known(r->repetition), 0, HUGE_VAL},
                  {"ids_agree", r->ids_agree, 0, 1},
                  {"ids_near_tie", r->ids_near_tie, 0, 1},
                  {"ids_agree", r->ids_agree + r->ids_near_tie, 0, 1 + TOLERANCE}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (ranges[i].value < ranges[i].min || ranges[i].value > ranges[i].max) {
            complain(at, ranges[i].column, "%.17g is outside %g to %g", ranges[i].value,
                     ranges[i].min, ranges[i].max);
        }
    }
}

/* Energy has its class and verdict; without it a reason stands in the row. */
static void check_energy(const struct place *at, const struct jb_record *r)
{
    const bool has_energy = !jb_is_missing(r->energy_j);
    if (has_energy != (r->energy_class[0] != '\0')) {
        complain(at, "energy_class", has_energy ? "energy_j has no class" : "a class of no energy");
    }
    if (has_energy != (r->energy_verdict[0] != '\0')) {
        complain(at, "energy_verdict",
                 has_energy ? "energy_j is not judged" : "a verdict on no energy");
    }
    if (!has_energy && r->reasons[0] == '\0') {
        complain(at, "reasons", "nothing says why there is no energy");
    }
}

static void check_twice(const struct place *at, const struct jb_table *table, uint64_t row)
{
    const struct jb_record *r = &table->rows[row];
    for (uint64_t i = 0; i < row && r->run_id[0] != '\0'; i++) {
        const struct jb_record *other = &table->rows[i];
        if (strcmp(r->run_id, other->run_id) == 0 && strcmp(r->time_utc, other->time_utc) == 0 &&
            strcmp(r->phase, other->phase) == 0 && r->repetition == other->repetition &&
            r->kv_depth == other->kv_depth && r->time_s == other->time_s) {
            complain(at, "", "the row of line %" PRIu64 " again", i + 2);
            return;
        }
    }
}

void jb_verify_rows(const struct jb_table *table, jb_verify_found *found, void *ctx)
{
    for (uint64_t row = 0; row < table->n_rows; row++) {
        const struct place at = {.line = row + 2, .found = found, .ctx = ctx};
        check_words(&at, &table->rows[row]);
        check_arithmetic(&at, &table->rows[row]);
        check_ranges(&at, &table->rows[row]);
        check_energy(&at, &table->rows[row]);
        check_twice(&at, table, row);
    }
}

/* ---- ids ---- */

/* The group of lines that is being read. */
struct gathering {
    struct jb_ids_group group;
    uint64_t line; /* its first */
    int32_t *ids;
    uint64_t capacity;
};

static bool push_id(struct gathering *gathering, int32_t id)
{
    if (gathering->group.n_ids == gathering->capacity) {
        const uint64_t capacity = 2 * gathering->capacity + 1024;
        int32_t *grown = realloc(gathering->ids, capacity * sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        gathering->ids = grown;
        gathering->capacity = capacity;
    }
    gathering->ids[gathering->group.n_ids++] = id;
    return true;
}

/* Closes a group: its ids must have its digest. */
static bool close_group(struct gathering *gathering, struct jb_ids_table *table,
                        const struct place *at)
{
    char digest[JB_DIGEST_MAX];
    if (gathering->group.n_sequences == 0) {
        return true;
    }
    jb_ids_digest(gathering->ids, gathering->group.n_ids, digest);
    if (strcmp(digest, gathering->group.digest) != 0) {
        const struct place start = {gathering->line, at->found, at->ctx};
        complain(&start, "ids", "ids filed under %s have the digest %s", gathering->group.digest,
                 digest);
    }
    struct jb_ids_group *grown =
        realloc(table->groups, (table->n_groups + 1) * sizeof *table->groups);
    if (grown == NULL) {
        return false;
    }
    table->groups = grown;
    grown[table->n_groups++] = gathering->group;
    gathering->group = (struct jb_ids_group){.n_ids = 0};
    return true;
}

/* "<digest> <sequence> <id> <id> ...", NUL-terminated. @return false without memory. */
static bool take_line(char *text, struct gathering *gathering, struct jb_ids_table *table,
                      const struct place *at)
{
    char *end = text + strcspn(text, " ");
    const bool has_digest = *end == ' ' && end - text == JB_DIGEST_MAX - 1;
    char *rest = has_digest ? end + 1 : text;
    const unsigned long long sequence = has_digest ? strtoull(rest, &end, 10) : 0;
    if (!has_digest || end == rest) {
        complain(at, "ids", "no line of the form <digest> <sequence> <id> ...");
        return true;
    }
    text[JB_DIGEST_MAX - 1] = '\0';
    if (sequence == 0 || strcmp(text, gathering->group.digest) != 0) {
        if (!close_group(gathering, table, at)) {
            return false;
        }
        (void)snprintf(gathering->group.digest, sizeof gathering->group.digest, "%s", text);
        gathering->line = at->line;
    }
    gathering->group.n_sequences++;
    for (rest = end; *rest == ' '; rest = end) {
        const long id = strtol(rest, &end, 10);
        if (end == rest || (*end != ' ' && *end != '\0')) {
            complain(at, "ids", "'%.20s' is no id", rest + 1);
            return true;
        }
        if (!push_id(gathering, (int32_t)id)) {
            return false;
        }
    }
    return true;
}

static enum jb_status take_lines(char *text, struct gathering *gathering,
                                 struct jb_ids_table *table, struct place *at)
{
    for (at->line = 1; *text != '\0'; at->line++) {
        char *end = text + strcspn(text, "\n");
        const bool is_torn =
            *end == '\0'; /* a killed run leaves one; its row is not there either */
        *end = '\0';
        if (!is_torn && !take_line(text, gathering, table, at)) {
            return jb_fail(JB_E_NOMEM, "no memory for the ids");
        }
        text = end + (is_torn ? 0 : 1);
    }
    return close_group(gathering, table, at) ? JB_OK : jb_fail(JB_E_NOMEM, "no memory for the ids");
}

enum jb_status jb_verify_ids(const char *path, struct jb_ids_table *ret_table,
                             jb_verify_found *found, void *ctx)
{
    struct jb_map map;
    struct gathering gathering = {.ids = NULL};
    struct jb_ids_table table = {.groups = NULL};
    struct place at = {.found = found, .ctx = ctx};
    enum jb_status status = jb_map_open(path, &map);
    if (status != JB_OK) {
        return status;
    }
    char *text = malloc(map.size + 1);
    if (text != NULL) {
        memcpy(text, map.data, map.size);
        text[map.size] = '\0';
    }
    jb_map_close(&map);
    status = text != NULL ? take_lines(text, &gathering, &table, &at)
                          : jb_fail(JB_E_NOMEM, "%s: no memory for the ids", path);
    free(text);
    free(gathering.ids);
    if (status != JB_OK) {
        jb_ids_table_free(&table);
        return status;
    }
    *ret_table = table;
    return JB_OK;
}

void jb_verify_digests(const struct jb_table *table, const struct jb_ids_table *ids,
                       jb_verify_found *found, void *ctx)
{
    for (uint64_t row = 0; row < table->n_rows; row++) {
        const struct jb_record *r = &table->rows[row];
        const struct place at = {.line = row + 2, .found = found, .ctx = ctx};
        uint64_t i = 0;
        while (i < ids->n_groups && strcmp(ids->groups[i].digest, r->tokens_digest) != 0) {
            i++;
        }
        if (r->tokens_digest[0] == '\0') {
            continue;
        }
        if (i == ids->n_groups) {
            complain(&at, "tokens_digest", "no ids of this digest are kept");
        } else if (ids->groups[i].n_sequences != (uint64_t)r->batch) {
            complain(&at, "tokens_digest", "ids of %" PRIu64 " sequences, batch is %" PRId64,
                     ids->groups[i].n_sequences, r->batch);
        }
    }
}

void jb_ids_table_free(struct jb_ids_table *table)
{
    free(table->groups);
    *table = (struct jb_ids_table){.groups = NULL};
}
