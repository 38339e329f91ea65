/* SPDX-License-Identifier: MIT */
/* Set-up, idle baseline and the window runner. */
#include "bench/measure/measure.h"

#include <stdlib.h>

#include "bench/measure/internal.h"
#include "platforms/os/os.h"

#define DEFAULT_CAPACITY 36000u
/* Without the sampler nobody sees a counter wrap twice inside a longer window (rule R13: 164 s at
 * 400 W for 65.5 kJ; 60 s leaves room for any machine). */
#define MAX_UNSAMPLED_S 60.0
#define MIN_IDLE_S 1.0
#define MAX_IDLE_S 10.0

static double machine_now_s(void *ctx)
{
    (void)ctx;
    return jb_clock_s();
}

static void machine_sleep_until(void *ctx, double deadline_s)
{
    (void)ctx;
    jb_sleep_until(deadline_s);
}

static double now_s(const struct jb_measure *measure)
{
    return measure->clock.now_s(measure->clock.ctx);
}

enum jb_status jb_measure_open(const struct jb_measure_args *args, struct jb_measure **ret_measure)
{
    static const struct jb_clock machine = {.now_s = machine_now_s,
                                            .sleep_until = machine_sleep_until};
    struct jb_measure *measure = calloc(1, sizeof *measure);
    if (measure == NULL || pthread_mutex_init(&measure->lock, NULL) != 0) {
        free(measure);
        return jb_fail(JB_E_NOMEM, "no memory to set up measuring");
    }
    measure->clock = args->clock != NULL ? *args->clock : machine;
    measure->is_stopped = args->is_stopped;
    measure->stop_ctx = args->stop_ctx;
    measure->interval_s = args->interval_s;
    measure->capacity = args->capacity > 0 ? args->capacity : DEFAULT_CAPACITY;
    measure->has_sampler = args->has_sampler;
    atomic_init(&measure->wants_stop, false);
    enum jb_status status = measure_open_meters(measure, args);
    if (status == JB_OK) {
        measure_find_estimators(measure, args->scopes);
        status = measure_start_sampler(measure);
    }
    if (status != JB_OK) {
        jb_measure_close(measure);
        return status;
    }
    *ret_measure = measure;
    return JB_OK;
}

void jb_measure_close(struct jb_measure *measure)
{
    if (measure == NULL) {
        return;
    }
    measure_stop_sampler(measure);
    measure_close_meters(measure);
    pthread_mutex_destroy(&measure->lock);
    free(measure);
}

bool jb_measure_absent(const struct jb_measure *measure, uint32_t index,
                       const struct jb_absent **ret_absent)
{
    if (index >= measure->n_absent) {
        return false;
    }
    *ret_absent = &measure->absent[index];
    return true;
}

bool jb_measure_source(const struct jb_measure *measure, uint32_t index, const char **ret_source)
{
    if (index >= measure->n_estimators) {
        return false;
    }
    *ret_source = measure->estimators[index].source;
    return true;
}

static double pick_idle_s(const struct jb_measure *measure)
{
    double idle_s = MIN_IDLE_S;
    for (uint32_t i = 0; i < measure->n_estimators; i++) {
        /* a little more than ten periods, so that the edges' reading time does not decide */
        const double wanted_s = 1.05 * JB_MIN_PERIODS * measure->estimators[i].period_s;
        idle_s = wanted_s > idle_s ? wanted_s : idle_s;
    }
    return idle_s < MAX_IDLE_S ? idle_s : MAX_IDLE_S;
}

enum jb_status jb_measure_idle(struct jb_measure *measure)
{
    bool is_stopped = false;
    if (measure->n_estimators == 0) {
        return JB_OK;
    }
    measure_begin(measure);
    const double begin_s = now_s(measure);
    const double end_s = begin_s + pick_idle_s(measure);
    while (now_s(measure) < end_s && !is_stopped) {
        const double next_s = now_s(measure) + JB_SAMPLE_INTERVAL_S;
        measure->clock.sleep_until(measure->clock.ctx, next_s < end_s ? next_s : end_s);
        is_stopped = measure->is_stopped != NULL && measure->is_stopped(measure->stop_ctx);
    }
    const double stop_s = now_s(measure);
    measure_end(measure);
    if (is_stopped) {
        return jb_fail(JB_E_INTERRUPTED, "interrupted");
    }
    for (uint32_t i = 0; i < measure->n_estimators; i++) {
        const char *reason = "";
        struct estimator *e = &measure->estimators[i];
        const double energy_j = measure_estimate(measure, e, begin_s, stop_s, &reason);
        e->idle_w = energy_j / (stop_s - begin_s);
    }
    return JB_OK;
}

static void evaluate(struct jb_measure *measure, struct jb_window *window)
{
    measure_energy(measure, window);
    measure_counts(measure, window);
    measure_states(measure, window);
    if (!measure->has_sampler && window->window_s > MAX_UNSAMPLED_S) {
        const struct jb_energy none = {.energy_j = jb_missing(),
                                       .evidence = JB_CLASS_NONE,
                                       .idle_w = jb_missing(),
                                       .reason = "no-sampler"};
        window->energy = none;
        window->alt = none;
    }
    for (uint32_t t = 0; t < measure->n_tracks; t++) {
        window->n_samples += measure->tracks[t].n;
        window->n_lost += measure->tracks[t].n_lost;
    }
}

enum jb_status jb_measure_window(struct jb_measure *measure, const struct jb_window_args *args,
                                 struct jb_window *ret_window)
{
    struct jb_window window = {0};
    const double before_s = now_s(measure);
    measure_begin(measure);
    window.begin_s = now_s(measure);
    window.end_s = window.begin_s;
    enum jb_status status = JB_OK;
    do {
        status = args->phase(args->ctx);
        window.n_phases++;
        window.end_s = now_s(measure);
    } while (status == JB_OK && window.end_s - window.begin_s < args->window_s &&
             (args->max_phases == 0 || window.n_phases < args->max_phases));
    measure_end(measure);
    if (status != JB_OK) {
        return status;
    }
    window.begin_read_s = window.begin_s - before_s;
    window.end_read_s = now_s(measure) - window.end_s;
    window.window_s = window.end_s - window.begin_s;
    evaluate(measure, &window);
    *ret_window = window;
    return JB_OK;
}

void jb_measure_trace(struct jb_measure *measure,
                      void (*fn)(void *ctx, const char *meter, const struct jb_domain *domain,
                                 double time_s, double value),
                      void *ctx)
{
    for (uint32_t t = 0; t < measure->n_tracks; t++) {
        const struct track *track = &measure->tracks[t];
        for (uint64_t i = 0; i < track->n; i++) {
            for (uint32_t d = 0; d < track->n_domains; d++) {
                const double value = track->values[i * track->n_domains + d];
                const enum jb_quantity quantity = track->domains[d].quantity;
                /* counters may be left out between the edges; a power that is missing is told */
                if (quantity != JB_QUANTITY_COUNT &&
                    !(quantity == JB_QUANTITY_ENERGY && jb_is_missing(value))) {
                    fn(ctx, track->meter->name, &track->domains[d], track->times_s[i], value);
                }
            }
        }
    }
}
