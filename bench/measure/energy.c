/* SPDX-License-Identifier: MIT */
/* From readings to numbers: energy by estimator, event counts, sensor states. Each number that
 * cannot be had gets a reason; none is ever guessed. */
#include <stdio.h>
#include <string.h>

#include "bench/measure/internal.h"

/* Joules of cumulative domains: difference of the edges. A counter that did not move over ten of
 * its periods is stuck, not at 0 J (rule R14); a decrease cannot be, since meters unroll wraps. */
static const char *counted_energy(const struct estimator *e, double *ret_energy_j)
{
    const struct track *track = e->track;
    double total_j = 0;
    if (track->is_gone) {
        return "read-failed";
    }
    for (uint32_t d = 0; d < track->n_domains; d++) {
        if ((e->domains >> d & 1) == 0) {
            continue;
        }
        const double delta_j = track->end.values[d] - track->begin.values[d];
        if (jb_is_missing(delta_j)) {
            return "read-failed";
        }
        if (delta_j < 0) {
            return "counter-reset";
        }
        if (!(delta_j > 0)) {
            return "stuck";
        }
        total_j += delta_j;
    }
    *ret_energy_j = total_j;
    return "";
}

/* Joules of polled power, each domain for itself (rule R8). The samples lie with a stride of
 * n_domains, so one column is gathered into the scratch row behind the values. */
static const char *polled_energy(const struct jb_measure *measure, const struct estimator *e,
                                 double begin_s, double end_s, double *ret_energy_j)
{
    const struct track *track = e->track;
    double *column = track->values + (size_t)measure->capacity * track->n_domains;
    const double slowest_s = e->period_s > measure->interval_s ? e->period_s : measure->interval_s;
    double total_j = 0;
    if (track->n_lost > 0) {
        return "samples-lost";
    }
    for (uint32_t d = 0; d < track->n_domains; d++) {
        if ((e->domains >> d & 1) == 0) {
            continue;
        }
        double domain_j = 0;
        for (uint64_t i = 0; i < track->n; i++) {
            column[i] = track->values[i * track->n_domains + d];
        }
        const char *reason = jb_integrate_power(track->times_s, column, track->n, begin_s, end_s,
                                                JB_MAX_GAP_PERIODS * slowest_s, &domain_j);
        if (reason[0] != '\0') {
            return !measure->has_sampler && track->n <= 2 ? "no-sampler" : reason;
        }
        if (!(domain_j > 0)) {
            return domain_j < 0 ? "negative-power" : "stuck";
        }
        total_j += domain_j;
    }
    *ret_energy_j = total_j;
    return "";
}

double measure_estimate(const struct jb_measure *measure, const struct estimator *estimator,
                        double begin_s, double end_s, const char **ret_reason)
{
    double energy_j = jb_missing();
    if (end_s - begin_s < JB_MIN_PERIODS * estimator->period_s) {
        *ret_reason = "window-too-short";
    } else if (estimator->quantity == JB_QUANTITY_ENERGY) {
        *ret_reason = counted_energy(estimator, &energy_j);
    } else {
        *ret_reason = polled_energy(measure, estimator, begin_s, end_s, &energy_j);
    }
    return energy_j;
}

static void fill_energy(const struct estimator *estimator, double energy_j,
                        struct jb_energy *energy)
{
    *energy = (struct jb_energy){.energy_j = energy_j,
                                 .evidence = estimator->evidence,
                                 .idle_w = estimator->idle_w,
                                 .reason = ""};
    snprintf(energy->source, sizeof energy->source, "%s", estimator->source);
    snprintf(energy->scope, sizeof energy->scope, "%s", estimator->scope);
}

void measure_energy(struct jb_measure *measure, struct jb_window *window)
{
    const struct estimator *chosen = NULL;
    const struct jb_energy none = {.energy_j = jb_missing(),
                                   .evidence = JB_CLASS_NONE,
                                   .idle_w = jb_missing(),
                                   .reason = "no-meter"};
    window->energy = none;
    window->alt = none;
    for (uint32_t i = 0; i < measure->n_estimators; i++) {
        const struct estimator *e = &measure->estimators[i];
        const char *reason = "";
        if (chosen != NULL &&
            (strcmp(e->scope, chosen->scope) != 0 || e->evidence != chosen->evidence)) {
            continue;
        }
        const double energy_j =
            measure_estimate(measure, e, window->begin_s, window->end_s, &reason);
        if (reason[0] != '\0') {
            struct jb_energy *missed = chosen == NULL ? &window->energy : &window->alt;
            /* The first in the list is the one that was hoped for: its reason stays. */
            if (strcmp(missed->reason, none.reason) == 0) {
                missed->reason = reason;
            }
        } else if (chosen == NULL) {
            chosen = e;
            fill_energy(e, energy_j, &window->energy);
        } else {
            fill_energy(e, energy_j, &window->alt);
            return;
        }
    }
}

/* Increase of the first count domain of that name; several meters may count the same. */
static double counted(const struct jb_measure *measure, const char *name)
{
    for (uint32_t t = 0; t < measure->n_tracks; t++) {
        const struct track *track = &measure->tracks[t];
        for (uint32_t d = 0; d < track->n_domains && !track->is_gone; d++) {
            if (track->domains[d].quantity == JB_QUANTITY_COUNT &&
                strcmp(track->domains[d].name, name) == 0) {
                const double delta = track->end.values[d] - track->begin.values[d];
                /* A process that ran at all retired instructions: an event that did not move is
                 * one that the machine does not count. */
                if (delta > 0) {
                    return delta;
                }
            }
        }
    }
    return jb_missing();
}

void measure_counts(const struct jb_measure *measure, struct jb_window *window)
{
    window->instructions = counted(measure, "instructions");
    window->cycles = counted(measure, "cycles");
    window->llc_misses = counted(measure, "llc_misses");
}

struct state_sums {
    double highest_c, sum_hz;
    uint64_t n_hz;
};

static void add_state(const struct track *track, uint32_t d, struct state_sums *sums,
                      struct jb_window *window)
{
    const struct jb_domain *domain = &track->domains[d];
    const bool is_throttle = strstr(domain->name, "throttle") != NULL;
    bool is_throttled = false;
    for (uint64_t i = 0; i < track->n; i++) {
        const double value = track->values[i * track->n_domains + d];
        if (jb_is_missing(value)) {
            continue;
        }
        if (is_throttle) {
            is_throttled = is_throttled || value > 0;
        } else if (strcmp(domain->unit, "C") == 0) {
            sums->highest_c = sums->highest_c >= value ? sums->highest_c : value;
        } else if (strcmp(domain->unit, "Hz") == 0) {
            sums->sum_hz += value;
            sums->n_hz++;
        }
    }
    if (is_throttled) {
        const size_t used = strlen(window->throttle);
        snprintf(window->throttle + used, sizeof window->throttle - used, "%s%s",
                 used > 0 ? "+" : "", domain->name);
    }
}

void measure_states(const struct jb_measure *measure, struct jb_window *window)
{
    struct state_sums sums = {.highest_c = jb_missing()};
    window->throttle[0] = '\0';
    for (uint32_t t = 0; t < measure->n_tracks; t++) {
        const struct track *track = &measure->tracks[t];
        for (uint32_t d = 0; d < track->n_domains; d++) {
            if (track->domains[d].quantity == JB_QUANTITY_STATE) {
                add_state(track, d, &sums, window);
            }
        }
    }
    window->temperature_c = sums.highest_c;
    window->clock_hz = sums.n_hz > 0 ? sums.sum_hz / (double)sums.n_hz : jb_missing();
}
