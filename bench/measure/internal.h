/* SPDX-License-Identifier: MIT */
#ifndef JB_MEASURE_INTERNAL_H
#define JB_MEASURE_INTERNAL_H

/* What the files of this folder share. A track is one open meter with the samples of the current
 * stretch (a window or an idle baseline); an estimator is one quantity of one track that adds up
 * to an energy. */

#include <pthread.h>
#include <stdatomic.h>

#include "bench/measure/measure.h"

#define MAX_TRACKS 16
#define MAX_ESTIMATORS (2 * MAX_TRACKS)

struct track {
    const struct jb_meter *meter;
    struct jb_meter_state *state;
    const struct jb_domain *domains;
    uint32_t n_domains;
    char *arg;       /* text after ':', owned; the meter may point at it          */
    bool is_sampled; /* has a domain that changes the result between the edges    */
    /* Guarded by jb_measure.lock. */
    double *times_s; /* (capacity,)            */
    double *values;  /* (capacity, n_domains)  */
    uint64_t n, n_lost;
    bool is_gone;                 /* read() failed in this stretch */
    struct jb_reading begin, end; /* edges */
};

struct estimator {
    const struct track *track;
    enum jb_quantity quantity; /* ENERGY or POWER              */
    uint64_t domains;          /* set of domain numbers in the total */
    char source[64], scope[32];
    enum jb_class evidence;
    double period_s; /* slowest of its domains, averaging included */
    double idle_w;
};

struct jb_measure {
    struct track tracks[MAX_TRACKS];
    uint32_t n_tracks;
    struct estimator estimators[MAX_ESTIMATORS];
    uint32_t n_estimators;
    struct jb_absent *absent;
    uint32_t n_absent;
    struct jb_clock clock;
    bool (*is_stopped)(void *ctx);
    void *stop_ctx;
    double interval_s;
    uint32_t capacity;
    bool has_sampler; /* the caller asked for one */

    pthread_mutex_t lock; /* meters, track buffers, is_recording, the cpu numbers */
    bool is_recording;
    pthread_t thread;
    bool has_thread;
    atomic_bool wants_stop;
    double thread_start_s, thread_seen_s, thread_cpu_s;
    uint64_t n_readings;
};

/* meters.c */
enum jb_status measure_open_meters(struct jb_measure *measure, const struct jb_measure_args *args);
void measure_close_meters(struct jb_measure *measure);
void measure_find_estimators(struct jb_measure *measure, unsigned scopes);

/* sampler.c */
enum jb_status measure_start_sampler(struct jb_measure *measure);
void measure_stop_sampler(struct jb_measure *measure);
/* Reads all meters as the first edge of a stretch, forgets earlier samples, starts recording. */
void measure_begin(struct jb_measure *measure);
/* Reads all meters as the last edge and stops recording. */
void measure_end(struct jb_measure *measure);

/* energy.c: after measure_end(). */
void measure_energy(struct jb_measure *measure, struct jb_window *window);
double measure_estimate(const struct jb_measure *measure, const struct estimator *estimator,
                        double begin_s, double end_s, const char **ret_reason);
void measure_counts(const struct jb_measure *measure, struct jb_window *window);
void measure_states(const struct jb_measure *measure, struct jb_window *window);

#endif
