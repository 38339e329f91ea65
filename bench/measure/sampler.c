/* SPDX-License-Identifier: MIT */
/* Reading the meters: at edges by the caller, in between by a thread at a fixed rate.
 *
 * One lock covers meters and buffers, so that a meter is used by one thread at a time. Counters
 * are read at the same rate although only their edges are used: whoever unrolls a wrap must see
 * the counter at least once a wrap (rule R13); those that do not wrap may be left out (sample()).
 * Samples of a stretch fill a buffer of fixed size; what does not fit is counted, never dropped in
 * silence (rule R12). */
#include "bench/measure/internal.h"

#include "platforms/os/os.h"

/* lock held */
static void keep_sample(const struct jb_measure *measure, struct track *track,
                        const struct jb_reading *reading)
{
    if (track->n == measure->capacity) {
        track->n_lost++;
        return;
    }
    track->times_s[track->n] = reading->time_s;
    for (uint32_t d = 0; d < track->n_domains; d++) {
        track->values[track->n * track->n_domains + d] = reading->values[d];
    }
    track->n++;
}

void jb_measure_sample(struct jb_measure *measure)
{
    struct jb_reading reading;
    pthread_mutex_lock(&measure->lock);
    for (uint32_t t = 0; t < measure->n_tracks; t++) {
        struct track *track = &measure->tracks[t];
        if (!track->is_sampled || track->is_gone) {
            continue;
        }
        const struct jb_meter *meter = track->meter;
        if ((meter->sample != NULL ? meter->sample : meter->read)(track->state, &reading) !=
            JB_OK) {
            track->is_gone = true;
        } else if (measure->is_recording) {
            keep_sample(measure, track, &reading);
        }
    }
    measure->n_readings++;
    pthread_mutex_unlock(&measure->lock);
}

static void *sampler_main(void *arg)
{
    struct jb_measure *measure = arg;
    jb_name_self("jb-sampler");
    double due_s = measure->clock.now_s(measure->clock.ctx);
    while (!atomic_load(&measure->wants_stop)) {
        jb_measure_sample(measure);
        const double cpu_s = jb_thread_cpu_s();
        const double now_s = measure->clock.now_s(measure->clock.ctx);
        pthread_mutex_lock(&measure->lock);
        measure->thread_cpu_s = cpu_s;
        measure->thread_seen_s = now_s;
        pthread_mutex_unlock(&measure->lock);
        /* Late: skip the missed ticks rather than hurry after them. */
        while (due_s <= now_s) {
            due_s += measure->interval_s;
        }
        measure->clock.sleep_until(measure->clock.ctx, due_s);
    }
    return NULL;
}

/* Half the period of the fastest power sensor (rule R8), within [20 ms, the default]. */
static double pick_interval_s(const struct jb_measure *measure)
{
    double interval_s = JB_SAMPLE_INTERVAL_S;
    for (uint32_t i = 0; i < measure->n_estimators; i++) {
        const struct estimator *e = &measure->estimators[i];
        if (e->quantity == JB_QUANTITY_POWER && e->period_s / 2 < interval_s) {
            interval_s = e->period_s / 2;
        }
    }
    return interval_s > 0.02 ? interval_s : 0.02;
}

enum jb_status measure_start_sampler(struct jb_measure *measure)
{
    bool has_work = false;
    for (uint32_t t = 0; t < measure->n_tracks; t++) {
        has_work = has_work || measure->tracks[t].is_sampled;
    }
    if (measure->interval_s <= 0) {
        measure->interval_s = pick_interval_s(measure);
    }
    if (!measure->has_sampler || !has_work) {
        return JB_OK;
    }
    measure->thread_start_s = measure->clock.now_s(measure->clock.ctx);
    measure->thread_seen_s = measure->thread_start_s;
    if (pthread_create(&measure->thread, NULL, sampler_main, measure) != 0) {
        return jb_fail(JB_E_DEVICE, "the sampler thread could not be started; --no-sampler runs "
                                    "without it");
    }
    measure->has_thread = true;
    return JB_OK;
}

void measure_stop_sampler(struct jb_measure *measure)
{
    if (measure->has_thread) {
        atomic_store(&measure->wants_stop, true);
        pthread_join(measure->thread, NULL);
        measure->has_thread = false;
    }
}

/* lock held. @param is_begin which edge of each track to fill. */
static void read_edge(struct jb_measure *measure, bool is_begin)
{
    for (uint32_t t = 0; t < measure->n_tracks; t++) {
        struct track *track = &measure->tracks[t];
        struct jb_reading *edge = is_begin ? &track->begin : &track->end;
        if (track->meter->read(track->state, edge) != JB_OK) {
            track->is_gone = true;
        } else if (track->is_sampled) {
            keep_sample(measure, track, edge);
        }
    }
}

void measure_begin(struct jb_measure *measure)
{
    pthread_mutex_lock(&measure->lock);
    for (uint32_t t = 0; t < measure->n_tracks; t++) {
        struct track *track = &measure->tracks[t];
        track->n = 0;
        track->n_lost = 0;
        track->is_gone = false;
    }
    read_edge(measure, true);
    measure->is_recording = true;
    pthread_mutex_unlock(&measure->lock);
}

void measure_end(struct jb_measure *measure)
{
    pthread_mutex_lock(&measure->lock);
    read_edge(measure, false);
    measure->is_recording = false;
    pthread_mutex_unlock(&measure->lock);
}

void jb_measure_sampler(struct jb_measure *measure, struct jb_sampler_stats *ret_stats)
{
    *ret_stats = (struct jb_sampler_stats){.interval_s = jb_missing(), .cpu_share = jb_missing()};
    if (!measure->has_thread) {
        return;
    }
    pthread_mutex_lock(&measure->lock);
    const double lived_s = measure->thread_seen_s - measure->thread_start_s;
    ret_stats->interval_s = measure->interval_s;
    ret_stats->n_readings = measure->n_readings;
    if (lived_s > 0) {
        ret_stats->cpu_share = measure->thread_cpu_s / lived_s;
    }
    pthread_mutex_unlock(&measure->lock);
}
