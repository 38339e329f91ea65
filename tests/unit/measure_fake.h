/* SPDX-License-Identifier: MIT */
#ifndef MEASURE_FAKE_H
#define MEASURE_FAKE_H

/* A world for tests of bench/measure: a clock that moves only when told, and meters whose power
 * is a function of that clock. Reading costs no time; sleeping jumps, sampling on the way. */

#include <math.h>
#include <string.h>

#include "bench/measure/measure.h"

struct fake_meter {
    struct jb_domain domains[4];
    uint32_t n_domains;
    double watts[4]; /* of POWER and ENERGY domains; slope_w_per_s is added over time */
    double slope_w_per_s;
    double level[4]; /* of STATE domains; of COUNT domains events a second            */
    double missing_from_s, missing_to_s; /* values are NaN in this stretch                 */
    double tick_s;    /* ENERGY moves in steps of this length; 0 = smoothly            */
    double dies_at_s; /* read() fails from here on; 0 = never                          */
    enum jb_status probe_status;
    bool has_slow_counter; /* sample() leaves ENERGY out */
    uint32_t n_open, n_close, n_read, n_sample;
};

static double fake_now_s;
static struct jb_measure *fake_sampled; /* sampled while the clock moves; NULL = no sampling */
static double fake_sample_step_s = 0.1;
static struct fake_meter fake_a, fake_b;

static inline double fake_clock(void *ctx)
{
    (void)ctx;
    return fake_now_s;
}

/* Moves the clock, sampling at every multiple of the step in between. */
static inline void fake_advance_to(double deadline_s)
{
    while (fake_sampled != NULL) {
        const double next_s =
            (floor(fake_now_s / fake_sample_step_s + 1e-9) + 1) * fake_sample_step_s;
        if (next_s > deadline_s) {
            break;
        }
        fake_now_s = next_s;
        jb_measure_sample(fake_sampled);
    }
    fake_now_s = deadline_s > fake_now_s ? deadline_s : fake_now_s;
}

static inline void fake_sleep_until(void *ctx, double deadline_s)
{
    (void)ctx;
    fake_advance_to(deadline_s);
}

static const struct jb_clock fake_time = {.now_s = fake_clock, .sleep_until = fake_sleep_until};

static inline double fake_value(const struct fake_meter *fake, uint32_t d)
{
    double t = fake_now_s;
    if (t >= fake->missing_from_s && t < fake->missing_to_s) {
        return NAN;
    }
    switch (fake->domains[d].quantity) {
    case JB_QUANTITY_POWER:
        return fake->watts[d] + fake->slope_w_per_s * t;
    case JB_QUANTITY_ENERGY:
        t = fake->tick_s > 0 ? floor(t / fake->tick_s + 1e-9) * fake->tick_s : t;
        return fake->watts[d] * t + 0.5 * fake->slope_w_per_s * t * t;
    case JB_QUANTITY_COUNT:
        return fake->level[d] * t;
    default:
        return fake->level[d];
    }
}

static inline enum jb_status fake_read(struct fake_meter *fake, struct jb_reading *ret_reading)
{
    if (fake->dies_at_s > 0 && fake_now_s >= fake->dies_at_s) {
        return jb_fail(JB_E_DEVICE, "fake meter is gone");
    }
    ret_reading->time_s = fake_now_s;
    for (uint32_t d = 0; d < fake->n_domains; d++) {
        ret_reading->values[d] = fake_value(fake, d);
    }
    return JB_OK;
}

static inline enum jb_status fake_take_sample(struct fake_meter *fake,
                                              struct jb_reading *ret_reading)
{
    const enum jb_status status = fake_read(fake, ret_reading);
    for (uint32_t d = 0; fake->has_slow_counter && status == JB_OK && d < fake->n_domains; d++) {
        if (fake->domains[d].quantity == JB_QUANTITY_ENERGY) {
            ret_reading->values[d] = NAN;
        }
    }
    return status;
}

static inline enum jb_status fake_probe(const struct fake_meter *fake,
                                        struct jb_meter_probe *ret_probe)
{
    if (fake->probe_status != JB_OK) {
        strcpy(ret_probe->unlock, "chmod a+r /sys/fake");
        return jb_fail(fake->probe_status, "fake meter is not there");
    }
    return JB_OK;
}

#define FAKE_METER(letter, automatic)                                                              \
    static enum jb_status probe_##letter(const struct jb_meter_args *args,                         \
                                         struct jb_meter_probe *ret_probe)                         \
    {                                                                                              \
        (void)args;                                                                                \
        return fake_probe(&fake_##letter, ret_probe);                                              \
    }                                                                                              \
    static enum jb_status open_##letter(struct jb_meter_state *state,                              \
                                        const struct jb_meter_args *args)                          \
    {                                                                                              \
        (void)state;                                                                               \
        (void)args;                                                                                \
        fake_##letter.n_open++;                                                                    \
        return JB_OK;                                                                              \
    }                                                                                              \
    static uint32_t domains_##letter(const struct jb_meter_state *state,                           \
                                     const struct jb_domain **ret_domains)                         \
    {                                                                                              \
        (void)state;                                                                               \
        *ret_domains = fake_##letter.domains;                                                      \
        return fake_##letter.n_domains;                                                            \
    }                                                                                              \
    static enum jb_status read_##letter(struct jb_meter_state *state,                              \
                                        struct jb_reading *ret_reading)                            \
    {                                                                                              \
        (void)state;                                                                               \
        fake_##letter.n_read++;                                                                    \
        return fake_read(&fake_##letter, ret_reading);                                             \
    }                                                                                              \
    static enum jb_status sample_##letter(struct jb_meter_state *state,                            \
                                          struct jb_reading *ret_reading)                          \
    {                                                                                              \
        (void)state;                                                                               \
        fake_##letter.n_sample++;                                                                  \
        return fake_take_sample(&fake_##letter, ret_reading);                                      \
    }                                                                                              \
    static void close_##letter(struct jb_meter_state *state)                                       \
    {                                                                                              \
        (void)state;                                                                               \
        fake_##letter.n_close++;                                                                   \
    }                                                                                              \
    static const struct jb_meter meter_##letter = {.name = #letter,                                \
                                                   .is_automatic = automatic,                      \
                                                   .state_size = 1,                                \
                                                   .probe = probe_##letter,                        \
                                                   .open = open_##letter,                          \
                                                   .domains = domains_##letter,                    \
                                                   .read = read_##letter,                          \
                                                   .sample = sample_##letter,                      \
                                                   .close = close_##letter};

FAKE_METER(a, true)
FAKE_METER(b, false)

static const struct jb_meter *const fake_table[] = {&meter_a, &meter_b, NULL};

static inline struct jb_domain fake_domain(const char *name, enum jb_quantity quantity,
                                           enum jb_scope scope, double period_s)
{
    struct jb_domain domain = {.quantity = quantity,
                               .scope = scope,
                               .unit = quantity == JB_QUANTITY_POWER    ? "W"
                                       : quantity == JB_QUANTITY_ENERGY ? "J"
                                                                        : "1",
                               .is_in_total = true,
                               .update_period_s = period_s,
                               .accuracy = NAN,
                               .evidence = JB_CLASS_MEASURED};
    strcpy(domain.name, name);
    return domain;
}

/* One energy domain of 100 W in a, one power domain of 50 W in b. */
static inline void fake_reset(void)
{
    fake_now_s = 1000;
    fake_sampled = NULL;
    fake_sample_step_s = 0.1;
    memset(&fake_a, 0, sizeof fake_a);
    memset(&fake_b, 0, sizeof fake_b);
    fake_a.domains[0] = fake_domain("package-0", JB_QUANTITY_ENERGY, JB_SCOPE_PACKAGE, 0.001);
    fake_a.n_domains = 1;
    fake_a.watts[0] = 100;
    fake_b.domains[0] = fake_domain("power", JB_QUANTITY_POWER, JB_SCOPE_PACKAGE, 0.1);
    fake_b.n_domains = 1;
    fake_b.watts[0] = 50;
}

static inline struct jb_measure_args fake_args(const char *meters)
{
    return (struct jb_measure_args){.meters = meters,
                                    .n_threads = 1,
                                    .scopes = JB_SCOPES_ALL,
                                    .clock = &fake_time,
                                    .interval_s = 0.1,
                                    .meter_table = fake_table};
}

#endif
