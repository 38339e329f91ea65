/* SPDX-License-Identifier: MIT */
/* Figures of grouped rows. Colour = platform, shape = method class, a hollow mark = not measured,
 * what is inside it = which class instead. */
#include "bench/figure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/figure_looks.h"
#include "platforms/base/units.h"
#include "results/text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BATCHED_SIZE 1.3

static const struct jb_shape phases[] = {
    {"prefill", "prefill", 9, 8}, {"decode", "decode", 7, 6}, {"total", "total", 5, 4}};

static size_t phase_index(const char *phase)
{
    size_t i = 0;
    while (i < COUNT(phases) && strcmp(phases[i].name, phase) != 0) {
        i++;
    }
    return i;
}

/* The weaker of two evidence classes; an unknown name counts as literature. */
static size_t weakest_class(const struct jb_record *key, bool with_energy)
{
    const size_t time = jb_class_look_of(key->time_class);
    const size_t energy = with_energy ? jb_class_look_of(key->energy_class) : 0;
    return time > energy ? time : energy;
}

/* ---- which groups, and how they look ---- */

struct choice {
    const struct jb_figure_wish *wish;
    const struct jb_group **groups; /* the chosen ones */
    uint64_t n;
    bool is_phases, needs_power;
};

static bool is_wanted(const struct choice *choice, const struct jb_record *key)
{
    return choice->is_phases
               ? strcmp(key->phase, "prefill") == 0 || strcmp(key->phase, "decode") == 0
               : strcmp(key->phase, choice->wish->phase) == 0;
}

static void choose(struct choice *choice, const struct jb_group *groups, uint64_t n,
                   struct jb_figure *figure)
{
    for (uint64_t i = 0; i < n; i++) {
        const struct jb_group *group = &groups[i];
        if (!is_wanted(choice, &group->key)) {
            continue;
        }
        const double speed = group->tokens_per_s.median;
        const double watts = group->power_w.median, efficiency = group->tokens_per_j.median;
        const bool has_power = watts > 0.0 && efficiency > 0.0;
        if (strcmp(group->verdict, "INVALID") == 0 && !choice->wish->with_invalid) {
            figure->n_invalid++;
        } else if (!(speed > 0.0) || (choice->needs_power && !has_power)) {
            figure->n_without_value++;
        } else {
            choice->groups[choice->n++] = group;
        }
    }
}

static enum jb_status nothing_to_draw(const struct choice *choice, const struct jb_figure *figure)
{
    const struct jb_figure_wish *wish = choice->wish;
    if (figure->n_without_value > 0 && choice->needs_power) {
        return jb_fail(JB_E_NODEV,
                       "%s needs power, and no row of phase %s has any: run with --meter auto "
                       "('joulebench doctor' lists what this machine can measure and how to unlock "
                       "it), or with --meter model for watts from a device file (drawn hollow)",
                       wish->kind, wish->phase);
    }
    if (figure->n_invalid > 0) {
        return jb_fail(JB_E_NODEV,
                       "%s: all rows it would show are INVALID ('joulebench summary' says why); "
                       "--with-invalid draws them",
                       wish->kind);
    }
    return jb_fail(JB_E_NODEV, "%s: no row of phase %s has tokens/s", wish->kind,
                   choice->is_phases ? "prefill or decode" : wish->phase);
}

static void dress(struct jb_mark *mark, const struct jb_record *key, const struct jb_shape *shape,
                  size_t evidence)
{
    mark->series = 1;
    mark->colour = jb_platform_colour(key->platform);
    mark->under = shape->filled;
    mark->shape = evidence == 0 ? shape->filled : shape->hollow;
    mark->inner = jb_class_looks[evidence].inner;
    mark->inner_size = jb_class_looks[evidence].inner_size;
    mark->size = key->batch > 1 ? BATCHED_SIZE : JB_MARK_SIZE;
    mark->method = jb_method_looks[jb_method_look(key->method_class)].name;
    mark->evidence = jb_class_looks[evidence].name;
    for (size_t p = 0; p < JB_N_PLATFORM_LOOKS; p++) {
        if (strcmp(jb_platform_looks[p].name, key->platform) == 0) {
            mark->platform = jb_platform_looks[p].name;
        }
    }
}

static void bound(const struct jb_interval *of, double *ret_low, double *ret_high)
{
    *ret_low = of->low > 0.0 ? of->low : of->median;
    *ret_high = of->low > 0.0 ? of->high : of->median;
}

static void set_tooltip(struct jb_mark *mark, const struct jb_group *group)
{
    const struct jb_record *key = &group->key;
    char energy[96] = "", batch[32] = "";
    if (key->batch != JB_INT_MISSING) {
        (void)snprintf(batch, sizeof batch, ", batch %lld", (long long)key->batch);
    }
    if (group->power_w.median > 0.0) {
        (void)snprintf(energy, sizeof energy, ", %.4g W, %.4g tokens/J (%s)", group->power_w.median,
                       group->tokens_per_j.median, key->energy_class);
    }
    (void)snprintf(mark->tooltip, sizeof mark->tooltip,
                   "%s, %.40s, %.40s %s, method %.40s%s, %s: %.4g tokens/s (%s)%s", key->backend,
                   key->device, key->model, key->weight_format, key->method, batch, key->phase,
                   group->tokens_per_s.median, key->time_class, energy);
}

/* ---- what is on the figure ---- */

/* True if some chosen group gives this number by fn(). */
static bool has_number(const struct choice *choice, size_t (*of)(const struct choice *, uint64_t),
                       size_t number)
{
    for (uint64_t i = 0; i < choice->n; i++) {
        if (of(choice, i) == number) {
            return true;
        }
    }
    return false;
}

static size_t platform_of(const struct choice *choice, uint64_t i)
{
    size_t p = 0;
    while (p < JB_N_PLATFORM_LOOKS &&
           strcmp(jb_platform_looks[p].name, choice->groups[i]->key.platform) != 0) {
        p++;
    }
    return p;
}

static size_t method_of(const struct choice *choice, uint64_t i)
{
    return jb_method_look(choice->groups[i]->key.method_class);
}

static size_t phase_of(const struct choice *choice, uint64_t i)
{
    return phase_index(choice->groups[i]->key.phase);
}

static size_t evidence_of(const struct choice *choice, uint64_t i)
{
    return weakest_class(&choice->groups[i]->key, choice->needs_power);
}

static size_t is_batched(const struct choice *choice, uint64_t i)
{
    return choice->groups[i]->key.batch > 1 ? 1 : 0;
}

static void add_heading(struct jb_figure *figure, const char *text)
{
    struct jb_legend *entry = jb_figure_legend(figure, text);
    entry->is_heading = true;
    entry->size = 0.0;
}

static void add_platforms(struct jb_figure *figure, const struct choice *choice)
{
    add_heading(figure, "Platform");
    for (size_t p = 0; p <= JB_N_PLATFORM_LOOKS; p++) {
        if (has_number(choice, platform_of, p)) {
            const bool is_known = p < JB_N_PLATFORM_LOOKS;
            struct jb_legend *entry =
                jb_figure_legend(figure, is_known ? jb_platform_looks[p].title : "other");
            entry->shape = 7;
            entry->colour = is_known ? jb_platform_looks[p].colour : JB_LOOK_GREY;
        }
    }
}

static bool is_same_backend(const struct jb_group *a, const struct jb_group *b)
{
    return strcmp(a->key.platform, b->key.platform) == 0 &&
           strcmp(a->key.backend, b->key.backend) == 0;
}

/* Where nothing else on a figure tells them apart, backends of one platform have shades of its
 * colour, in the order of the rows. */
static uint32_t backend_colour(const struct choice *choice, uint64_t i)
{
    const struct jb_group *group = choice->groups[i];
    size_t n_before = 0;
    for (uint64_t k = 0; k < i && !is_same_backend(choice->groups[k], group); k++) {
        uint64_t first = 0;
        while (!is_same_backend(choice->groups[first], choice->groups[k])) {
            first++;
        }
        n_before += first == k && platform_of(choice, k) == platform_of(choice, i) ? 1 : 0;
    }
    return jb_shade(jb_platform_colour(group->key.platform), n_before);
}

static void add_backends(struct jb_figure *figure, const struct choice *choice)
{
    add_heading(figure, "Platform: backend");
    for (size_t p = 0; p <= JB_N_PLATFORM_LOOKS; p++) {
        for (uint64_t i = 0; i < choice->n; i++) {
            uint64_t first = 0;
            while (!is_same_backend(choice->groups[first], choice->groups[i])) {
                first++;
            }
            if (first < i || platform_of(choice, i) != p) {
                continue;
            }
            char text[64];
            (void)snprintf(text, sizeof text, "%s: %.20s",
                           p < JB_N_PLATFORM_LOOKS ? jb_platform_looks[p].title : "other",
                           choice->groups[i]->key.backend);
            struct jb_legend *entry = jb_figure_legend(figure, text);
            entry->shape = 7;
            entry->colour = backend_colour(choice, i);
        }
    }
}

static void add_shapes(struct jb_figure *figure, const struct choice *choice)
{
    if (choice->is_phases) {
        add_heading(figure, "Phase");
        for (size_t i = 0; i < COUNT(phases); i++) {
            if (has_number(choice, phase_of, i)) {
                jb_figure_legend(figure, phases[i].title)->shape = phases[i].filled;
            }
        }
        return;
    }
    bool has_any = false;
    for (size_t i = 1; i < JB_N_METHOD_LOOKS; i++) {
        has_any = has_any || has_number(choice, method_of, i);
    }
    for (size_t i = 0; has_any && i < JB_N_METHOD_LOOKS; i++) {
        if (i == 0) {
            add_heading(figure, "Method");
        }
        if (has_number(choice, method_of, i)) {
            jb_figure_legend(figure, jb_method_looks[i].title)->shape = jb_method_looks[i].filled;
        }
    }
}

static void add_classes(struct jb_figure *figure, const struct choice *choice)
{
    add_heading(figure, "Evidence");
    for (size_t i = 0; i < JB_N_CLASS_LOOKS; i++) {
        if (has_number(choice, evidence_of, i)) {
            struct jb_legend *entry = jb_figure_legend(figure, jb_class_looks[i].title);
            entry->shape = i == 0 ? 7 : 6;
            entry->inner = jb_class_looks[i].inner;
            entry->inner_size = jb_class_looks[i].inner_size;
        }
    }
}

static void add_batches(struct jb_figure *figure, const struct choice *choice)
{
    if (!has_number(choice, is_batched, 0) || !has_number(choice, is_batched, 1)) {
        return;
    }
    add_heading(figure, "Batch");
    jb_figure_legend(figure, "1")->shape = 7;
    int64_t low = INT64_MAX, high = 0;
    for (uint64_t i = 0; i < choice->n; i++) {
        const int64_t batch = choice->groups[i]->key.batch;
        low = batch > 1 && batch < low ? batch : low;
        high = batch > high ? batch : high;
    }
    char text[64];
    if (low == high) {
        (void)snprintf(text, sizeof text, "%lld", (long long)high);
    } else {
        (void)snprintf(text, sizeof text, "%lld to %lld", (long long)low, (long long)high);
    }
    struct jb_legend *entry = jb_figure_legend(figure, text);
    entry->shape = 7;
    entry->size = BATCHED_SIZE;
}

/* ---- power against throughput ---- */

static void fill_scatter(struct jb_figure *figure, const struct choice *choice)
{
    for (uint64_t i = 0; i < choice->n; i++) {
        const struct jb_group *group = choice->groups[i];
        struct jb_mark *mark = &figure->marks[i];
        dress(mark, &group->key, &jb_method_looks[method_of(choice, i)], evidence_of(choice, i));
        mark->colour = backend_colour(choice, i);
        mark->x = group->power_w.median;
        mark->y = group->tokens_per_s.median;
        bound(&group->power_w, &mark->x_low, &mark->x_high);
        bound(&group->tokens_per_s, &mark->y_low, &mark->y_high);
    }
    jb_figure_scatter(figure, -6, 6);
}

/* ---- dots in labelled rows ---- */

/* Rows from the top; groups of one label share a row (the phases of a configuration). */
static uint64_t place_rows(struct jb_figure *figure, bool shares)
{
    uint64_t n_rows = 0;
    for (uint64_t i = 0; i < figure->n_marks; i++) {
        struct jb_mark *mark = &figure->marks[i];
        uint64_t k = 0;
        while (k < i && (!shares || strcmp(figure->marks[k].label, mark->label) != 0)) {
            k++;
        }
        mark->y = k < i ? figure->marks[k].y : (double)n_rows++;
        mark->y_low = mark->y_high = mark->row = mark->y;
    }
    return n_rows;
}

static void lay_out_rows(struct jb_figure *figure, uint64_t n_rows)
{
    double low = figure->marks[0].x_low, high = figure->marks[0].x_high;
    size_t width = 0;
    for (uint64_t i = 0; i < figure->n_marks; i++) {
        const struct jb_mark *mark = &figure->marks[i];
        low = fmin(low, mark->x_low);
        high = fmax(high, mark->x_high);
        const size_t letters = jb_utf8_width(mark->label);
        width = letters > width ? letters : width;
    }
    figure->is_x_log = high > 20.0 * low;
    figure->x_min = figure->is_x_log ? low : 0.0;
    figure->x_max = figure->is_x_log ? high : jb_figure_round_up(1.02 * high);
    if (figure->is_x_log) {
        jb_figure_decades(&figure->x_min, &figure->x_max);
    }
    figure->y_min = -0.7;
    figure->y_max = (double)n_rows - 0.3;
    figure->left = 30.0 + 5.9 * (double)width;
    figure->right = figure->left + 360.0;
    figure->bottom = 54.0;
    /* Few rows leave the legend its height. */
    const double legend = 17.0 * (double)figure->n_legend + 10.0;
    figure->top = figure->bottom + fmax(22.0 * (double)n_rows + 16.0, legend);
    figure->width = figure->right + 150.0;
    figure->height = figure->top + 34.0;
}

static void fill_rows(struct jb_figure *figure, const struct choice *choice)
{
    for (uint64_t i = 0; i < choice->n; i++) {
        const struct jb_group *group = choice->groups[i];
        struct jb_mark *mark = &figure->marks[i];
        const struct jb_shape *shape = choice->is_phases ? &phases[phase_of(choice, i)]
                                                         : &jb_method_looks[method_of(choice, i)];
        const struct jb_interval *of =
            choice->is_phases ? &group->tokens_per_s : &group->tokens_per_j;
        dress(mark, &group->key, shape, evidence_of(choice, i));
        mark->size = 0.95;
        mark->x = of->median;
        bound(of, &mark->x_low, &mark->x_high);
    }
    lay_out_rows(figure, place_rows(figure, choice->is_phases));
}

static enum jb_status build(struct jb_figure *figure, struct choice *choice,
                            const struct jb_group *groups, uint64_t n)
{
    choose(choice, groups, n, figure);
    if (choice->n == 0) {
        return nothing_to_draw(choice, figure);
    }
    if (choice->n > JB_FIGURE_MARKS) {
        return jb_fail(JB_E_INVAL, "%s: %llu marks are more than the %d a figure shows",
                       figure->kind, (unsigned long long)choice->n, JB_FIGURE_MARKS);
    }
    figure->marks = calloc(choice->n, sizeof *figure->marks);
    if (figure->marks == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for a figure of %llu marks",
                       (unsigned long long)choice->n);
    }
    figure->n_marks = choice->n;
    figure->n_series = 1;
    figure->n_under = 2;
    const bool is_scatter = strcmp(figure->kind, "power-throughput") == 0;
    jb_figure_words(figure, choice->groups, !is_scatter, choice->is_phases);
    if (is_scatter) {
        add_backends(figure, choice);
    } else {
        add_platforms(figure, choice);
    }
    add_shapes(figure, choice);
    add_classes(figure, choice);
    if (is_scatter) {
        add_batches(figure, choice);
        fill_scatter(figure, choice);
    } else {
        fill_rows(figure, choice);
    }
    for (uint64_t i = 0; i < choice->n; i++) {
        set_tooltip(&figure->marks[i], choice->groups[i]);
    }
    return JB_OK;
}

enum jb_status jb_figure_of_groups(const struct jb_figure_wish *wish, const struct jb_group *groups,
                                   uint64_t n, struct jb_figure *ret_figure)
{
    struct jb_figure figure = {.kind = wish->kind};
    struct choice choice = {.wish = wish,
                            .is_phases = strcmp(wish->kind, "phases") == 0,
                            .needs_power = strcmp(wish->kind, "phases") != 0};
    if (phase_index(wish->phase) == COUNT(phases)) {
        return jb_fail(JB_E_INVAL, "phase '%.32s' is none of prefill, decode, total", wish->phase);
    }
    choice.groups = calloc(n + 1, sizeof(void *));
    if (choice.groups == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for a figure of %llu groups", (unsigned long long)n);
    }
    const enum jb_status status = build(&figure, &choice, groups, n);
    free(choice.groups);
    if (status != JB_OK) {
        jb_figure_free(&figure);
        return status;
    }
    *ret_figure = figure;
    return JB_OK;
}
