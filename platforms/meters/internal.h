/* SPDX-License-Identifier: MIT */
#ifndef JB_METERS_INTERNAL_H
#define JB_METERS_INTERNAL_H

/* What the meters of this folder share; not for other folders. */

#include <stdint.h>

#include "platforms/base/counter.h"
#include "platforms/meters/meter.h"

extern const struct jb_meter jb_meter_hwmon;
extern const struct jb_meter jb_meter_model;
extern const struct jb_meter jb_meter_null;
extern const struct jb_meter jb_meter_nvml;
extern const struct jb_meter jb_meter_papi;
extern const struct jb_meter jb_meter_perf;
extern const struct jb_meter jb_meter_powercap;
extern const struct jb_meter jb_meter_replay;

/* No package, board or module draws this much; a counter that rises faster was reset or jumped. */
#define JB_CREDIBLE_W 5000.0

/* An energy counter: raw readings in, joules since the first one out. */
struct jb_energy {
    struct jb_counter counter; /* .range set by the owner before the first feed */
    double joules_per_count;
    double last_s; /* time of the last good reading */
};

/* Feeds a raw reading taken at now_s.
 * @return joules since the first reading; NaN, now and for ever after, once the counter fell
 *         without a wrap or rose faster than JB_CREDIBLE_W (counted from a second before). */
double jb_energy_feed(struct jb_energy *energy, uint64_t raw, double now_s);

/* A domain whose sensor states nothing about itself; unit J, W, 1 by quantity. */
struct jb_domain jb_domain_make(enum jb_quantity quantity, enum jb_scope scope,
                                const char *unit) JB_MUST_CHECK;
/* Sets name from a format, cut to what fits. */
void jb_domain_name(struct jb_domain *domain, const char *fmt, ...) JB_PRINTF(2, 3);

/* Where no domain joins the total, those that hold the whole machine (psys) do: they are inside
 * nothing else that is read. */
void jb_domains_choose_total(struct jb_domain *domains, uint32_t n_domains);

/* Probes by opening: what = title and the domains' names. On PERM ret_probe->unlock is set.
 * @param unlock "" if no command helps. */
enum jb_status jb_probe_by_opening(const struct jb_meter *meter, const struct jb_meter_args *args,
                                   const char *title, const char *unlock,
                                   struct jb_meter_probe *ret_probe);

/* Defines `const struct jb_meter ident` for a build that cannot have this source: every call
 * fails with NOTSUP and the reason. */
#define JB_METER_ABSENT(ident, meter_name, meter_summary, why)                                     \
    static enum jb_status absent_probe(const struct jb_meter_args *args,                           \
                                       struct jb_meter_probe *ret_probe)                           \
    {                                                                                              \
        (void)args;                                                                                \
        *ret_probe = (struct jb_meter_probe){.what = ""};                                          \
        return jb_fail(JB_E_NOTSUP, "%s: %s", meter_name, why);                                    \
    }                                                                                              \
    static enum jb_status absent_open(struct jb_meter_state *state,                                \
                                      const struct jb_meter_args *args)                            \
    {                                                                                              \
        (void)state;                                                                               \
        (void)args;                                                                                \
        return jb_fail(JB_E_NOTSUP, "%s: %s", meter_name, why);                                    \
    }                                                                                              \
    static uint32_t absent_domains(const struct jb_meter_state *state,                             \
                                   const struct jb_domain **ret_domains)                           \
    {                                                                                              \
        (void)state;                                                                               \
        *ret_domains = NULL;                                                                       \
        return 0;                                                                                  \
    }                                                                                              \
    static enum jb_status absent_read(struct jb_meter_state *state,                                \
                                      struct jb_reading *ret_reading)                              \
    {                                                                                              \
        (void)state;                                                                               \
        (void)ret_reading;                                                                         \
        return jb_fail(JB_E_NOTSUP, "%s: %s", meter_name, why);                                    \
    }                                                                                              \
    static void absent_close(struct jb_meter_state *state)                                         \
    {                                                                                              \
        (void)state;                                                                               \
    }                                                                                              \
    const struct jb_meter ident = {                                                                \
        .name = (meter_name),                                                                      \
        .summary = (meter_summary),                                                                \
        .is_automatic = true,                                                                      \
        .state_size = 1,                                                                           \
        .probe = absent_probe,                                                                     \
        .open = absent_open,                                                                       \
        .domains = absent_domains,                                                                 \
        .read = absent_read,                                                                       \
        .close = absent_close,                                                                     \
    }

#endif
