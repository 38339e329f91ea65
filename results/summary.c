/* SPDX-License-Identifier: MIT */
/* Rows to groups: what was run is equal, what was measured varies. */
#include <stdlib.h>
#include <string.h>

#include "platforms/base/units.h"
#include "results/results.h"
#include "results/text.h"

/* Everything that says what was run, in the order of the summary's CSV. */
static const char *const identity_names[] = {
    "backend",       "platform",     "device",        "n_devices",     "threads",   "model",
    "weight_format", "kv_format",    "method",        "method_class",  "execution", "feed",
    "seed",          "batch",        "prompt_tokens", "output_tokens", "kv_depth",  "prefill_chunk",
    "phase",         "time_class",   "host",          "simd",          "commit",    "run_id",
    "workload",      "image_tokens",
};
/* Identity only where energy is known: a repetition whose meter failed belongs to its siblings. */
static const char *const energy_names[] = {"energy_class", "energy_source", "energy_scope"};

static const struct {
    const char *name;
    size_t offset;
} measures[] = {
    {"tokens_per_s", offsetof(struct jb_group, tokens_per_s)},
    {"tokens_per_j", offsetof(struct jb_group, tokens_per_j)},
    {"power_w", offsetof(struct jb_group, power_w)},
    {"time_s", offsetof(struct jb_group, time_s)},
    {"energy_j", offsetof(struct jb_group, energy_j)},
    {"tpot_p50_s", offsetof(struct jb_group, tpot_p50_s)},
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *member(const struct jb_record *row, const struct jb_column *column)
{
    return (const char *)row + column->offset;
}

/* Bytes of a cell that count: text up to its end, numbers whole. */
static size_t cell_size(const struct jb_record *row, const struct jb_column *column)
{
    return column->type == JB_COLUMN_TEXT ? strlen(member(row, column)) + 1 : column->size;
}

static bool is_same(const struct jb_record *a, const struct jb_record *b, const char *const *names,
                    size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct jb_column *column = jb_column_find(names[i]);
        const size_t size = cell_size(a, column);
        if (size != cell_size(b, column) ||
            memcmp(member(a, column), member(b, column), size) != 0) {
            return false;
        }
    }
    return true;
}

static bool is_one_group(const struct jb_record *key, const struct jb_record *row)
{
    return is_same(key, row, identity_names, COUNT(identity_names)) &&
           (key->energy_class[0] == '\0' || row->energy_class[0] == '\0' ||
            is_same(key, row, energy_names, COUNT(energy_names)));
}

/* FNV-1a over the identity cells (Fowler, Noll, Vo; 64-bit parameters). */
static uint64_t hash_of(const struct jb_record *row)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < COUNT(identity_names); i++) {
        const struct jb_column *column = jb_column_find(identity_names[i]);
        const unsigned char *bytes = (const unsigned char *)member(row, column);
        for (size_t k = 0; k < cell_size(row, column); k++) {
            hash = (hash ^ bytes[k]) * UINT64_C(0x100000001b3);
        }
    }
    return hash;
}

static int verdict_rank(const char *verdict)
{
    static const char *const ranked[] = {"", "VALID", "INDICATIVE", "INVALID"};
    int rank = 0;
    while (rank < 3 && strcmp(verdict, ranked[rank]) != 0) {
        rank++;
    }
    return rank;
}

static void keep_weakest(char *kept, size_t size, const char *verdict)
{
    if (verdict_rank(verdict) > verdict_rank(kept)) {
        (void)snprintf(kept, size, "%s", verdict);
    }
}

static void add_reasons(struct jb_record *key, const char *reasons)
{
    while (*reasons != '\0') {
        char word[sizeof key->reasons];
        const size_t length = strcspn(reasons, ";");
        memcpy(word, reasons, length);
        word[length] = '\0';
        jb_record_reason(key, word);
        reasons += length + (reasons[length] == ';' ? 1 : 0);
    }
}

static void join(struct jb_group *group, const struct jb_record *row)
{
    if (group->key.energy_class[0] == '\0') {
        for (size_t i = 0; i < COUNT(energy_names); i++) {
            const struct jb_column *column = jb_column_find(energy_names[i]);
            memcpy((char *)&group->key + column->offset, member(row, column), column->size);
        }
    }
    keep_weakest(group->verdict, sizeof group->verdict, row->verdict);
    keep_weakest(group->energy_verdict, sizeof group->energy_verdict, row->energy_verdict);
    add_reasons(&group->key, row->reasons);
}

struct grouping {
    struct jb_group *groups;
    uint64_t n_groups, capacity;
    uint64_t *group_of; /* [row]                                          */
    uint64_t *first;    /* [slot] newest group + 1 of that hash; 0 = none */
    uint64_t *next;     /* [group] the one before it in the slot, + 1     */
    uint64_t n_slots;   /* a power of two                                 */
};

static bool new_group(struct grouping *g, const struct jb_record *row)
{
    if (g->n_groups == g->capacity) {
        const uint64_t capacity = g->capacity == 0 ? 16 : 2 * g->capacity;
        struct jb_group *grown = realloc(g->groups, capacity * sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        g->groups = grown;
        g->capacity = capacity;
    }
    g->groups[g->n_groups] = (struct jb_group){.key = *row};
    g->groups[g->n_groups].key.reasons[0] = '\0';
    g->n_groups++;
    return true;
}

static bool assign(struct grouping *g, const struct jb_table *table)
{
    for (uint64_t r = 0; r < table->n_rows; r++) {
        const struct jb_record *row = &table->rows[r];
        const uint64_t slot = hash_of(row) & (g->n_slots - 1);
        /* The oldest match wins, so that the outcome does not depend on the chain's order. */
        uint64_t match = 0;
        for (uint64_t at = g->first[slot]; at != 0 && g->groups != NULL; at = g->next[at - 1]) {
            match = is_one_group(&g->groups[at - 1].key, row) ? at : match;
        }
        if (match == 0) {
            if (!new_group(g, row)) {
                return false;
            }
            match = g->n_groups;
            g->next[match - 1] = g->first[slot];
            g->first[slot] = match;
        }
        join(&g->groups[match - 1], row);
        g->group_of[r] = match - 1;
    }
    return true;
}

/* Rows listed group by group: those of group i are order[start[i]] .. order[start[i + 1] - 1]. */
static void sort_rows(const struct grouping *g, uint64_t n_rows, uint64_t *start, uint64_t *order)
{
    for (uint64_t r = 0; r < n_rows; r++) {
        start[g->group_of[r] + 1]++;
    }
    for (uint64_t i = 0; i < g->n_groups; i++) {
        start[i + 1] += start[i];
    }
    for (uint64_t r = n_rows; r-- > 0;) {
        order[--start[g->group_of[r] + 1]] = r;
    }
    /* Filling from the back left start[i + 1] at the group's first row: shift back by one. */
    for (uint64_t i = 0; i < g->n_groups; i++) {
        start[i] = start[i + 1];
    }
    start[g->n_groups] = n_rows;
}

static void measure(struct jb_group *group, const struct jb_table *table, const uint64_t *order,
                    uint64_t n, double *values)
{
    for (size_t m = 0; m < COUNT(measures); m++) {
        const struct jb_column *column = jb_column_find(measures[m].name);
        for (uint64_t i = 0; i < n; i++) {
            memcpy(&values[i], member(&table->rows[order[i]], column), sizeof *values);
        }
        const struct jb_interval interval = jb_interval_of(values, n);
        memcpy((char *)group + measures[m].offset, &interval, sizeof interval);
    }
}

enum jb_status jb_summarize(const struct jb_table *table, struct jb_group **ret_groups,
                            uint64_t *ret_n)
{
    const uint64_t n = table->n_rows;
    struct grouping g = {.n_slots = 64};
    while (g.n_slots < 2 * n) {
        g.n_slots *= 2;
    }
    g.group_of = calloc(n + 1, sizeof *g.group_of);
    g.first = calloc(g.n_slots, sizeof *g.first);
    g.next = calloc(n + 1, sizeof *g.next);
    uint64_t *start = calloc(n + 2, sizeof *start);
    uint64_t *order = calloc(n + 1, sizeof *order);
    double *values = calloc(n + 1, sizeof *values);
    bool is_done = g.group_of != NULL && g.first != NULL && g.next != NULL && start != NULL &&
                   order != NULL && values != NULL && assign(&g, table);
    if (is_done && g.groups == NULL) {
        g.groups = calloc(1, sizeof *g.groups);
        is_done = g.groups != NULL;
    }
    if (is_done) {
        sort_rows(&g, n, start, order);
        for (uint64_t i = 0; i < g.n_groups; i++) {
            measure(&g.groups[i], table, order + start[i], start[i + 1] - start[i], values);
            jb_group_judge(&g.groups[i]);
        }
        *ret_groups = g.groups;
        *ret_n = g.n_groups;
    } else {
        free(g.groups);
    }
    free(g.group_of);
    free(g.first);
    free(g.next);
    free(start);
    free(order);
    free(values);
    return is_done ? JB_OK
                   : jb_fail(JB_E_NOMEM, "no memory to summarize %llu rows", (unsigned long long)n);
}

static void put_identity(FILE *out, const struct jb_record *key, const char *name)
{
    const struct jb_column *column = jb_column_find(name);
    if (column->type == JB_COLUMN_TEXT) {
        jb_csv_put(out, member(key, column));
    } else {
        int64_t value;
        memcpy(&value, member(key, column), sizeof value);
        if (value != JB_INT_MISSING) {
            (void)fprintf(out, "%lld", (long long)value);
        }
    }
    (void)fputc(',', out);
}

static void put_interval(FILE *out, const struct jb_interval *interval)
{
    const double numbers[] = {interval->median, interval->low, interval->high};
    for (size_t i = 0; i < COUNT(numbers); i++) {
        char text[JB_NUMBER_MAX];
        jb_real_print(numbers[i], text);
        (void)fprintf(out, "%s,", text);
    }
    (void)fprintf(out, "%llu,%llu,", (unsigned long long)interval->n,
                  (unsigned long long)interval->n_outliers);
}

enum jb_status jb_summary_csv(FILE *out, const struct jb_group *groups, uint64_t n)
{
    for (size_t i = 0; i < COUNT(identity_names); i++) {
        (void)fprintf(out, "%s,", identity_names[i]);
    }
    for (size_t i = 0; i < COUNT(energy_names); i++) {
        (void)fprintf(out, "%s,", energy_names[i]);
    }
    for (size_t m = 0; m < COUNT(measures); m++) {
        const char *name = measures[m].name;
        (void)fprintf(out, "%s,%s_low,%s_high,%s_n,%s_outliers,", name, name, name, name, name);
    }
    (void)fputs("u_rel,verdict,energy_verdict,reasons\n", out);
    for (uint64_t g = 0; g < n; g++) {
        for (size_t i = 0; i < COUNT(identity_names); i++) {
            put_identity(out, &groups[g].key, identity_names[i]);
        }
        for (size_t i = 0; i < COUNT(energy_names); i++) {
            put_identity(out, &groups[g].key, energy_names[i]);
        }
        for (size_t m = 0; m < COUNT(measures); m++) {
            struct jb_interval interval;
            memcpy(&interval, (const char *)&groups[g] + measures[m].offset, sizeof interval);
            put_interval(out, &interval);
        }
        char u_rel[JB_NUMBER_MAX];
        jb_real_print(groups[g].u_rel, u_rel);
        (void)fprintf(out, "%s,%s,%s,", u_rel, groups[g].verdict, groups[g].energy_verdict);
        jb_csv_put(out, groups[g].key.reasons);
        (void)fputc('\n', out);
    }
    return ferror(out) || fflush(out) != 0 ? jb_fail(JB_E_IO, "cannot write the summary") : JB_OK;
}
