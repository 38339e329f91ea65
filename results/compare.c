/* SPDX-License-Identifier: MIT */
#include "results/compare.h"

#include <stdlib.h>
#include <string.h>

/* What was run; where and when it ran (host, commit, seed) may differ always. */
static const char *const columns[] = {
    "backend",       "platform",      "device",        "n_devices",     "threads",
    "model",         "weight_format", "kv_format",     "method",        "execution",
    "feed",          "batch",         "prompt_tokens", "output_tokens", "kv_depth",
    "prefill_chunk", "workload",      "image_tokens",  "phase"};
enum { N_COLUMNS = sizeof columns / sizeof columns[0] };

const char *jb_compare_column(uint32_t index)
{
    return index < N_COLUMNS ? columns[index] : NULL;
}

static bool is_same_cell(const struct jb_record *a, const struct jb_record *b, const char *name)
{
    const struct jb_column *column = jb_column_find(name);
    const char *x = (const char *)a + column->offset, *y = (const char *)b + column->offset;
    return column->type == JB_COLUMN_TEXT ? strcmp(x, y) == 0 : memcmp(x, y, column->size) == 0;
}

static bool is_partner(const struct jb_group *a, const struct jb_group *b, const bool *may_differ)
{
    for (int i = 0; i < N_COLUMNS; i++) {
        if (!may_differ[i] && !is_same_cell(&a->key, &b->key, columns[i])) {
            return false;
        }
    }
    return true;
}

static struct jb_ratio ratio_of(const struct jb_interval *a, const struct jb_interval *b)
{
    /* NaN stays NaN */
    return (struct jb_ratio){
        .value = b->median / a->median, .low = b->low / a->high, .high = b->high / a->low};
}

static enum jb_status refuse_two(const struct jb_group *group, const struct jb_group *one,
                                 const struct jb_group *other)
{
    char names[200] = "";
    for (int i = 0; i < N_COLUMNS; i++) {
        if (!is_same_cell(&one->key, &other->key, columns[i])) {
            const size_t used = strlen(names);
            (void)snprintf(names + used, sizeof names - used, "%s%s", used > 0 ? ", " : "",
                           columns[i]);
        }
    }
    return jb_fail(JB_E_INVAL, "%s %s of '%.40s' has two partners, which differ in: %s",
                   group->key.backend, group->key.phase, group->key.model,
                   names[0] != '\0' ? names : "host, commit or seed");
}

static enum jb_status mark_across(const char *const *across, uint32_t n, bool *may_differ)
{
    for (uint32_t k = 0; k < n; k++) {
        int i = 0;
        while (i < N_COLUMNS && strcmp(columns[i], across[k]) != 0) {
            i++;
        }
        if (i == N_COLUMNS) {
            return jb_fail(JB_E_INVAL, "column '%.40s' is none that partners must agree in",
                           across[k]);
        }
        may_differ[i] = true;
    }
    return JB_OK;
}

/* The partner of a among b; NULL = none. */
static enum jb_status find_partner(const struct jb_group *a, const struct jb_group *b, uint64_t n_b,
                                   const bool *may_differ, const struct jb_group **ret_partner)
{
    *ret_partner = NULL;
    for (uint64_t k = 0; k < n_b; k++) {
        if (!is_partner(a, &b[k], may_differ)) {
            continue;
        }
        if (*ret_partner != NULL) {
            return refuse_two(a, *ret_partner, &b[k]);
        }
        *ret_partner = &b[k];
    }
    return JB_OK;
}

enum jb_status jb_compare(const struct jb_group *a, uint64_t n_a, const struct jb_group *b,
                          uint64_t n_b, const char *const *across, uint32_t n_across,
                          struct jb_comparison *ret_comparison)
{
    bool may_differ[N_COLUMNS] = {false};
    struct jb_comparison comparison = {.pairs = calloc(n_a + 1, sizeof *comparison.pairs)};
    if (comparison.pairs == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory to compare %llu groups", (unsigned long long)n_a);
    }
    enum jb_status status = mark_across(across, n_across, may_differ);
    for (uint64_t i = 0; status == JB_OK && i < n_a; i++) {
        const struct jb_group *partner = NULL, *back = NULL;
        status = find_partner(&a[i], b, n_b, may_differ, &partner);
        if (status == JB_OK && partner != NULL) {
            status = find_partner(partner, a, n_a, may_differ, &back);
        }
        if (status == JB_OK && partner != NULL) {
            comparison.pairs[comparison.n_pairs++] = (struct jb_pair){
                .a = &a[i],
                .b = partner,
                .tokens_per_s = ratio_of(&a[i].tokens_per_s, &partner->tokens_per_s),
                .tokens_per_j = ratio_of(&a[i].tokens_per_j, &partner->tokens_per_j),
                .power_w = ratio_of(&a[i].power_w, &partner->power_w),
                .is_one_class = strcmp(a[i].key.time_class, partner->key.time_class) == 0 &&
                                strcmp(a[i].key.energy_class, partner->key.energy_class) == 0};
        }
    }
    if (status != JB_OK) {
        free(comparison.pairs);
        return status;
    }
    comparison.n_alone_a = n_a - comparison.n_pairs;
    comparison.n_alone_b = n_b - comparison.n_pairs;
    *ret_comparison = comparison;
    return JB_OK;
}
