/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/audit.h"
#include "bench/figure_looks.h"
#include "bench/survey.h"

/* The sheet behind the survey divides plainly; its copy is rounded to four digits. */
#define SHEET_TOLERANCE 1e-3

static const enum jb_pub_method methods_of_looks[JB_N_METHOD_LOOKS] = {
    JB_N_PUB_METHODS, JB_PUB_QUANTIZATION,  JB_PUB_SPARSITY,    JB_PUB_FAST_DECODING,
    JB_PUB_OPERATOR,  JB_PUB_HETEROGENEOUS, JB_PUB_HOMOGENEOUS, JB_N_PUB_METHODS};

static struct jb_point point_of_published(const struct jb_published_row *row)
{
    return (struct jb_point){.work = row->work,
                             .device = row->device,
                             .model = row->model,
                             .precision = row->precision,
                             .method = row->method,
                             .source = row->source_url,
                             .platform = row->platform,
                             .methods = row->methods,
                             .batch = row->batch,
                             .power_w = row->power_w,
                             .tokens_per_s = row->tokens_per_s,
                             .tokens_per_j = row->tokens_per_j,
                             .evidence = JB_CLASS_LITERATURE,
                             .power_kind = row->power_kind,
                             .is_drawn = jb_published_is_drawn(row),
                             .is_sheet = jb_published_is_sheet(row)};
}

/* "quant+spec" as a set. */
static uint32_t methods_of_classes(const char *classes)
{
    uint32_t set = 0;
    while (*classes != '\0') {
        char word[32] = "";
        const size_t size = strcspn(classes, "+");
        memcpy(word, classes, size < sizeof word ? size : sizeof word - 1);
        const enum jb_pub_method method = methods_of_looks[jb_method_look(word)];
        set |= method < JB_N_PUB_METHODS ? 1u << method : 0;
        classes += size + (classes[size] == '+' ? 1 : 0);
    }
    return set;
}

uint32_t jb_survey_methods(const char *text, bool is_own)
{
    uint32_t set = 0;
    while (*text != '\0') {
        const size_t size = strcspn(text, is_own ? "+" : ";"),
                     name = strcspn(text, is_own ? ":+" : ";");
        char word[32] = "";
        memcpy(word, text, name < sizeof word ? name : sizeof word - 1);
        for (int m = 0; !is_own && m < JB_N_PUB_METHODS; m++) {
            set |= strcmp(jb_pub_method_name((enum jb_pub_method)m), word) == 0 ? 1u << m : 0;
        }
        set |= is_own ? methods_of_classes(word) : 0;
        text += size + (text[size] == '\0' ? 0 : 1);
    }
    return set;
}

enum jb_class jb_survey_class(const char *text)
{
    return (enum jb_class)jb_class_look_of(text);
}

/* @return false if the group is not a point of ours. */
static bool point_of_group(const struct jb_group *group, struct jb_point *ret_point)
{
    const struct jb_record *key = &group->key;
    const enum jb_pub_platform platform = jb_pub_platform_find(key->platform);
    const bool is_imported = strcmp(key->time_class, "literature") == 0;
    const bool is_phase =
        strcmp(key->phase, "decode") == 0 || (is_imported && strcmp(key->phase, "total") == 0);
    const bool is_plain = key->workload[0] == '\0' || strcmp(key->workload, "survey") == 0 ||
                          strcmp(key->workload, "edge") == 0;
    if (!is_plain || !is_phase || strcmp(group->verdict, "INVALID") == 0 ||
        platform == JB_N_PUB_PLATFORMS || !(group->power_w.median > 0.0) ||
        !(group->tokens_per_s.median > 0.0)) {
        return false;
    }
    const size_t time = jb_class_look_of(key->time_class);
    const size_t energy = jb_class_look_of(key->energy_class);
    *ret_point = (struct jb_point){.work = key->backend,
                                   .device = key->device,
                                   .model = key->model,
                                   .precision = key->weight_format,
                                   .method = key->method,
                                   .source = key->run_id,
                                   .platform = platform,
                                   .methods = methods_of_classes(key->method_class),
                                   .batch = key->batch,
                                   .power_w = group->power_w.median,
                                   .tokens_per_s = group->tokens_per_s.median,
                                   .tokens_per_j = group->tokens_per_j.median,
                                   .power = group->power_w,
                                   .speed = group->tokens_per_s,
                                   .efficiency = group->tokens_per_j,
                                   .evidence = (enum jb_class)(time > energy ? time : energy),
                                   .is_own = true,
                                   .is_imported = is_imported};
    return true;
}

static enum jb_status check_sheet(const struct jb_published *published, const char *path)
{
    for (uint64_t i = 0; i < published->n_rows; i++) {
        const struct jb_published_row *row = &published->rows[i];
        if (row->source_kind == JB_SOURCE_SURVEY_TABLE &&
            !(jb_ratio_error(row->tokens_per_s, row->power_w, row->tokens_per_j) <
              SHEET_TOLERANCE)) {
            return jb_fail(JB_E_FORMAT,
                           "%s:%llu: %s: tokens_per_j is not tokens_per_s / power_w ('joulebench "
                           "audit' lists all findings)",
                           path, (unsigned long long)row->line, row->work);
        }
    }
    return JB_OK;
}

/* By the name of the model; one that tells no size is another. */
static bool is_survey_size(const struct jb_group *group)
{
    bool is_about;
    const double n_params = jb_audit_params(group->key.model, &is_about);
    return n_params >= JB_SURVEY_PARAMS_MIN && n_params <= JB_SURVEY_PARAMS_MAX;
}

enum jb_status jb_points_load(const char *path, struct jb_group *groups, uint64_t n_groups,
                              bool takes_any_size, struct jb_points *ret_points)
{
    struct jb_points points = {.groups = groups};
    enum jb_status status = jb_published_read(path, &points.published);
    if (status == JB_OK) {
        status = check_sheet(&points.published, path);
    }
    if (status == JB_OK) {
        points.at = calloc(points.published.n_rows + n_groups + 1, sizeof *points.at);
        if (points.at == NULL) {
            (void)jb_fail(JB_E_NOMEM, "no memory for the points of '%s'", path);
            status = JB_E_NOMEM;
        }
    }
    if (status != JB_OK) {
        jb_points_free(&points);
        return status;
    }
    for (uint64_t i = 0; i < points.published.n_rows; i++) {
        if (jb_published_is_ranked(&points.published.rows[i])) {
            points.at[points.n++] = point_of_published(&points.published.rows[i]);
        }
    }
    for (uint64_t i = 0; i < n_groups; i++) {
        const bool is_point = point_of_group(&groups[i], &points.at[points.n]);
        const bool is_taken = is_point && (takes_any_size || is_survey_size(&groups[i]));
        points.n_other_size += is_point && !is_taken ? 1 : 0;
        points.n += is_taken ? 1 : 0;
        points.n_own += is_taken ? 1 : 0;
    }
    *ret_points = points;
    return JB_OK;
}

void jb_points_free(struct jb_points *points)
{
    if (points != NULL) {
        free(points->at);
        free(points->groups);
        jb_published_free(&points->published);
        *points = (struct jb_points){.at = NULL};
    }
}

bool jb_point_is_chosen(const struct jb_point *point, const struct jb_point_choice *choice)
{
    if (!(point->power_w > 0.0) || !(point->tokens_per_j > 0.0)) {
        return false;
    }
    if (point->is_own) {
        return (point->is_imported ? choice->with_imported : choice->with_own) &&
               point->batch == choice->batch;
    }
    if (!choice->with_published || (choice->only_drawn && !point->is_drawn)) {
        return false;
    }
    return choice->only_sheet ? point->is_sheet : point->batch == choice->batch;
}

void jb_point_words(const struct jb_point *point, char *ret_text, size_t size)
{
    char batch[32] = "";
    if (point->batch != JB_INT_MISSING) {
        (void)snprintf(batch, sizeof batch, ", batch %lld", (long long)point->batch);
    }
    (void)snprintf(ret_text, size,
                   "%s: %.60s, %.48s%s%.60s%s%.32s, %s%s: %.4g tokens/s, %.4g W, %.4g tokens/J "
                   "(%s%s%s)",
                   jb_platform_looks[point->platform].title, point->work, point->device,
                   point->device[0] != '\0' ? ", " : "", point->model,
                   point->precision[0] != '\0' ? " " : "", point->precision, point->method, batch,
                   point->tokens_per_s, point->power_w, point->tokens_per_j,
                   jb_class_name(point->evidence), point->is_own ? "" : ", power: ",
                   point->is_own ? "" : jb_power_kind_name(point->power_kind));
}

size_t jb_point_method_look(const struct jb_point *point)
{
    for (size_t i = 0; i < JB_N_METHOD_LOOKS - 1; i++) {
        const enum jb_pub_method method = methods_of_looks[i];
        if (point->methods == (method == JB_N_PUB_METHODS ? 0 : 1u << method)) {
            return i;
        }
    }
    return JB_N_METHOD_LOOKS - 1;
}
