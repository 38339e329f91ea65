/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platforms/meters/internal.h"

double jb_energy_feed(struct jb_energy *energy, uint64_t raw, double now_s)
{
    struct jb_counter *counter = &energy->counter;
    const uint64_t before = counter->total;
    /* One second of grace: sensors post what they gathered in lumps. */
    const double credible = JB_CREDIBLE_W * (now_s - energy->last_s + 1) / energy->joules_per_count;
    counter->max_step = 0;
    if (counter->range == 0 || credible < (double)counter->range * 0.5) {
        counter->max_step = credible < 0x1.0p63 ? (uint64_t)credible : UINT64_C(1) << 63;
    }
    const bool had_last = counter->has_last;
    if (!jb_counter_feed(counter, raw)) {
        return jb_missing();
    }
    if (had_last && (double)(counter->total - before) > credible) {
        counter->is_broken = true;
        return jb_missing();
    }
    energy->last_s = now_s;
    return (double)counter->total * energy->joules_per_count;
}

struct jb_domain jb_domain_make(enum jb_quantity quantity, enum jb_scope scope, const char *unit)
{
    return (struct jb_domain){
        .quantity = quantity,
        .scope = scope,
        .unit = unit,
        .update_period_s = jb_missing(),
        .average_s = jb_missing(),
        .accuracy = jb_missing(),
        .evidence = JB_CLASS_MEASURED,
    };
}

void jb_domain_name(struct jb_domain *domain, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(domain->name, sizeof domain->name, fmt, args);
    va_end(args);
}

void jb_domains_choose_total(struct jb_domain *domains, uint32_t n_domains)
{
    for (uint32_t i = 0; i < n_domains; i++) {
        if (domains[i].is_in_total) {
            return;
        }
    }
    for (uint32_t i = 0; i < n_domains; i++) {
        domains[i].is_in_total = domains[i].scope == JB_SCOPE_SYSTEM;
    }
}

enum jb_status jb_probe_by_opening(const struct jb_meter *meter, const struct jb_meter_args *args,
                                   const char *title, const char *unlock,
                                   struct jb_meter_probe *ret_probe)
{
    *ret_probe = (struct jb_meter_probe){.what = ""};
    struct jb_meter_state *state = calloc(1, meter->state_size);
    if (state == NULL) {
        return jb_fail(JB_E_NOMEM, "%s: no memory", meter->name);
    }
    const enum jb_status status = meter->open(state, args);
    if (status == JB_E_PERM) {
        (void)snprintf(ret_probe->unlock, sizeof ret_probe->unlock, "%s", unlock);
    }
    if (status == JB_OK) {
        const struct jb_domain *domains = NULL;
        const uint32_t n = meter->domains(state, &domains);
        int used = snprintf(ret_probe->what, sizeof ret_probe->what, "%s:", title);
        for (uint32_t i = 0; i < n && used >= 0 && used < (int)sizeof ret_probe->what; i++) {
            used += snprintf(ret_probe->what + used, sizeof ret_probe->what - (size_t)used, "%s %s",
                             i == 0 ? "" : ",", domains[i].name);
        }
        meter->close(state);
    }
    free(state);
    return status;
}
