/* SPDX-License-Identifier: MIT */
/* The meter list: opening in order, why one is absent, and which domains add up to an energy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/measure/internal.h"

struct opening {
    struct jb_measure *measure;
    const struct jb_measure_args *args;
};

static const struct jb_meter *meter_by_index(const struct jb_measure_args *args, uint32_t index)
{
    if (args->meter_table != NULL) {
        return args->meter_table[index];
    }
    return index < jb_meter_count() ? jb_meter_at(index) : NULL;
}

static const struct jb_meter *meter_by_name(const struct jb_measure_args *args, const char *name)
{
    for (uint32_t i = 0; meter_by_index(args, i) != NULL; i++) {
        if (strcmp(meter_by_index(args, i)->name, name) == 0) {
            return meter_by_index(args, i);
        }
    }
    return NULL;
}

static enum jb_status note_absent(struct jb_measure *measure, const char *name, const char *reason,
                                  const char *unlock)
{
    struct jb_absent *grown =
        realloc(measure->absent, (measure->n_absent + 1) * sizeof *measure->absent);
    if (grown == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the list of absent meters");
    }
    measure->absent = grown;
    struct jb_absent *absent = &measure->absent[measure->n_absent++];
    snprintf(absent->name, sizeof absent->name, "%s", name);
    snprintf(absent->reason, sizeof absent->reason, "%s", reason);
    snprintf(absent->unlock, sizeof absent->unlock, "%s", unlock);
    return JB_OK;
}

/* Room for the samples of one stretch, and one column of them behind (energy.c gathers there). */
static enum jb_status take_buffers(struct track *track, uint32_t capacity)
{
    track->times_s = calloc(capacity, sizeof *track->times_s);
    track->values = calloc((size_t)capacity * (track->n_domains + 1), sizeof *track->values);
    if (track->times_s == NULL || track->values == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for %u samples of meter `%s`", capacity,
                       track->meter->name);
    }
    return JB_OK;
}

static void close_track(struct track *track, bool is_open)
{
    if (is_open) {
        track->meter->close(track->state);
    }
    free(track->state);
    free(track->arg);
    free(track->times_s);
    free(track->values);
    *track = (struct track){0};
}

static void look_at_domains(struct track *track)
{
    track->n_domains = track->meter->domains(track->state, &track->domains);
    for (uint32_t d = 0; d < track->n_domains; d++) {
        track->is_sampled = track->is_sampled || track->domains[d].quantity != JB_QUANTITY_COUNT;
    }
}

static bool is_open_already(const struct jb_measure *measure, const struct jb_meter *meter,
                            const char *arg)
{
    for (uint32_t t = 0; t < measure->n_tracks; t++) {
        const struct track *track = &measure->tracks[t];
        if (track->meter == meter &&
            strcmp(track->arg != NULL ? track->arg : "", arg != NULL ? arg : "") == 0) {
            return true;
        }
    }
    return false;
}

/* Opens one meter into the next track; a meter that is not there is noted and passed over. */
static enum jb_status open_one(struct opening *opening, const struct jb_meter *meter,
                               const char *arg)
{
    struct jb_measure *measure = opening->measure;
    struct jb_meter_probe probe = {0};
    struct track *track = &measure->tracks[measure->n_tracks];
    if (is_open_already(measure, meter, arg)) {
        return JB_OK;
    }
    if (measure->n_tracks == MAX_TRACKS) {
        return note_absent(measure, meter->name, "more meters than joulebench reads at once", "");
    }
    *track = (struct track){.meter = meter};
    if (arg != NULL && (track->arg = strdup(arg)) == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for meter `%s`", meter->name);
    }
    const struct jb_meter_args meter_args = {
        .arg = track->arg, .device = opening->args->device, .n_threads = opening->args->n_threads};
    track->state = calloc(1, meter->state_size > 0 ? meter->state_size : 1);
    if (track->state == NULL) {
        close_track(track, false);
        return jb_fail(JB_E_NOMEM, "no memory for meter `%s`", meter->name);
    }
    enum jb_status status = meter->probe(&meter_args, &probe);
    if (status == JB_OK) {
        status = meter->open(track->state, &meter_args);
    }
    if (status != JB_OK) {
        close_track(track, false);
        /* A file the user named that cannot be read right is his error, not an absence. */
        return status == JB_E_INVAL || status == JB_E_FORMAT
                   ? status
                   : note_absent(measure, meter->name, jb_reason(), probe.unlock);
    }
    look_at_domains(track);
    status = take_buffers(track, measure->capacity);
    if (status != JB_OK) {
        close_track(track, true);
        return status;
    }
    measure->n_tracks++;
    return JB_OK;
}

static enum jb_status open_automatic(struct opening *opening)
{
    enum jb_status status = JB_OK;
    for (uint32_t i = 0; status == JB_OK && meter_by_index(opening->args, i) != NULL; i++) {
        const struct jb_meter *meter = meter_by_index(opening->args, i);
        if (meter->is_automatic) {
            status = open_one(opening, meter, NULL);
        }
    }
    return status;
}

static enum jb_status open_named(struct opening *opening, char *item)
{
    char *colon = strchr(item, ':');
    const char *arg = NULL;
    if (colon != NULL) {
        *colon = '\0';
        arg = colon + 1;
    }
    if (item[0] == '\0') {
        return jb_fail(JB_E_INVAL, "`--meter %s`: an empty name in the list",
                       opening->args->meters);
    }
    if (strcmp(item, "auto") == 0) {
        return arg == NULL ? open_automatic(opening)
                           : jb_fail(JB_E_INVAL, "`--meter auto` takes no `:%s`", arg);
    }
    const struct jb_meter *meter = meter_by_name(opening->args, item);
    if (meter == NULL) {
        return jb_fail(JB_E_INVAL,
                       "there is no meter `%s`: `joulebench list meters` shows them; `auto` takes "
                       "all that work here",
                       item);
    }
    return open_one(opening, meter, arg);
}

static bool starts_item(const struct jb_measure_args *args, const char *text)
{
    char name[32] = "";
    const size_t n = strcspn(text, ":,");
    if (n > 0 && n < sizeof name) {
        memcpy(name, text, n);
    }
    return strcmp(name, "auto") == 0 || meter_by_name(args, name) != NULL;
}

/* The comma that ends an item, NULL for the last one. Arguments may have commas of their own
 * (replay:FILE,repeat): behind a ':' only a comma before another meter's name ends the item. */
static char *item_end(const struct jb_measure_args *args, char *item)
{
    char *comma = strchr(item, ',');
    const char *colon = strchr(item, ':');
    if (comma == NULL || colon == NULL || colon > comma) {
        return comma;
    }
    while (comma != NULL && !starts_item(args, comma + 1)) {
        comma = strchr(comma + 1, ',');
    }
    return comma;
}

enum jb_status measure_open_meters(struct jb_measure *measure, const struct jb_measure_args *args)
{
    struct opening opening = {.measure = measure, .args = args};
    enum jb_status status = JB_OK;
    if (args->meters == NULL || args->meters[0] == '\0') {
        return JB_OK;
    }
    char *list = strdup(args->meters);
    if (list == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the meter list");
    }
    char *item = list;
    while (status == JB_OK && item != NULL) {
        char *comma = item_end(args, item);
        if (comma != NULL) {
            *comma = '\0';
        }
        status = open_named(&opening, item);
        item = comma != NULL ? comma + 1 : NULL;
    }
    free(list);
    return status;
}

void measure_close_meters(struct jb_measure *measure)
{
    for (uint32_t t = 0; t < measure->n_tracks; t++) {
        close_track(&measure->tracks[t], true);
    }
    free(measure->absent);
}

/* What holds what: a bit a scope that lies inside the given one (rule R5). */
static unsigned inner_scopes(enum jb_scope scope)
{
    const unsigned package = JB_SCOPE_BIT(JB_SCOPE_CORE);
    const unsigned module = package | JB_SCOPE_BIT(JB_SCOPE_PACKAGE) | JB_SCOPE_BIT(JB_SCOPE_DRAM) |
                            JB_SCOPE_BIT(JB_SCOPE_BOARD);
    switch (scope) {
    case JB_SCOPE_PACKAGE:
        return package;
    case JB_SCOPE_MODULE:
        return module;
    case JB_SCOPE_SYSTEM:
        return module | JB_SCOPE_BIT(JB_SCOPE_MODULE);
    case JB_SCOPE_WALL:
        return module | JB_SCOPE_BIT(JB_SCOPE_MODULE) | JB_SCOPE_BIT(JB_SCOPE_SYSTEM);
    default:
        return 0;
    }
}

/* The domains of one quantity that may be added: in the total by their meter, of a scope that is
 * ours, and not inside another one that is there. */
static uint64_t pick_domains(const struct track *track, enum jb_quantity quantity, unsigned scopes)
{
    unsigned inside = 0;
    uint64_t picked = 0;
    for (uint32_t d = 0; d < track->n_domains; d++) {
        const struct jb_domain *domain = &track->domains[d];
        if (domain->quantity == quantity && domain->is_in_total &&
            (JB_SCOPE_BIT(domain->scope) & scopes) != 0) {
            picked |= UINT64_C(1) << d;
            inside |= inner_scopes(domain->scope);
        }
    }
    for (uint32_t d = 0; d < track->n_domains; d++) {
        if ((inside & JB_SCOPE_BIT(track->domains[d].scope)) != 0) {
            picked &= ~(UINT64_C(1) << d);
        }
    }
    return picked;
}

static void append(char *text, size_t size, char separator, const char *more)
{
    const size_t used = strlen(text);
    const size_t wanted = used + strlen(more) + 1;
    if (wanted < size) {
        snprintf(text + used, size - used, "%c%s", separator, more);
    } else if (used + 1 < size && text[used - 1] != '~') {
        snprintf(text + used, size - used, "~"); /* more there is than fits */
    }
}

static bool has_scope_before(const struct estimator *e, uint32_t domain)
{
    for (uint32_t d = 0; d < domain; d++) {
        if ((e->domains >> d & 1) != 0 &&
            e->track->domains[d].scope == e->track->domains[domain].scope) {
            return true;
        }
    }
    return false;
}

/* A sensor that averages over longer than it updates is as slow as its average (rule R9). */
static double domain_period_s(const struct jb_domain *domain)
{
    const double update_s =
        jb_is_missing(domain->update_period_s) ? JB_UNKNOWN_PERIOD_S : domain->update_period_s;
    return domain->average_s > update_s ? domain->average_s : update_s;
}

static void describe(struct estimator *e)
{
    bool is_first = true;
    snprintf(e->source, sizeof e->source, "%s", e->track->meter->name);
    for (uint32_t d = 0; d < e->track->n_domains; d++) {
        const struct jb_domain *domain = &e->track->domains[d];
        if ((e->domains >> d & 1) == 0) {
            continue;
        }
        append(e->source, sizeof e->source, is_first ? ':' : '+', domain->name);
        if (is_first) {
            snprintf(e->scope, sizeof e->scope, "%s", jb_scope_name(domain->scope));
        } else if (!has_scope_before(e, d)) {
            append(e->scope, sizeof e->scope, '+', jb_scope_name(domain->scope));
        }
        const double period_s = domain_period_s(domain);
        e->period_s = period_s > e->period_s ? period_s : e->period_s;
        e->evidence = is_first ? domain->evidence : jb_class_weakest(e->evidence, domain->evidence);
        is_first = false;
    }
}

void measure_find_estimators(struct jb_measure *measure, unsigned scopes)
{
    static const enum jb_quantity quantities[] = {JB_QUANTITY_ENERGY, JB_QUANTITY_POWER};
    for (uint32_t t = 0; t < measure->n_tracks; t++) {
        const struct track *track = &measure->tracks[t];
        for (uint32_t q = 0; q < 2; q++) {
            const uint64_t domains = pick_domains(track, quantities[q], scopes);
            if (domains != 0) {
                struct estimator *e = &measure->estimators[measure->n_estimators++];
                *e = (struct estimator){.track = track,
                                        .quantity = quantities[q],
                                        .domains = domains,
                                        .idle_w = jb_missing()};
                describe(e);
            }
        }
    }
}
