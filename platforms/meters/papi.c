/* SPDX-License-Identifier: MIT */
/* Event counts of this process through PAPI, and RAPL where PAPI offers the perf power events.
 *
 * Hardware events are inherited by threads that the process makes later, so the meter must be
 * open before the workers start. PAPI refuses inheritance where the machine has no hardware
 * counter (its permission check opens one), and its software events would then stand for the
 * opening thread alone. There the same software events are taken for the whole process from the
 * kernel's accounting, getrusage(). */
#include "jb_config.h"
#include "platforms/meters/internal.h"
#include "platforms/meters/papi_api.h"

#if JB_HAVE_PAPI
#include <papi.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "platforms/meters/perf.h"
#include "platforms/os/os.h"

#define MAX_SETS 2
#define MAX_EVENTS 16
/* Unit of the perf power events: 2^-32 J (arch/x86/events/rapl.c). */
#define RAPL_JOULES 0x1p-32

struct event_set {
    int set; /* PAPI's number */
    bool is_made;
    uint32_t n_events;
    uint32_t domain_of[MAX_EVENTS];
};

struct jb_meter_state {
    const struct jb_papi_api *api;
    bool is_started;
    bool is_software; /* the last N_SOFTWARE domains come from getrusage() */
    uint32_t first_software;
    double start_values[4];
    struct event_set sets[MAX_SETS];
    uint32_t n_domains;
    struct jb_domain domains[JB_METER_MAX_DOMAINS];
    struct jb_energy energies[JB_METER_MAX_DOMAINS];
    bool is_energy[JB_METER_MAX_DOMAINS];
    char why_software[128];
};

/* A domain and the events that may stand for it, best first. LLC misses: presets count L3 loads
 * and stores, the generic event what the kernel maps to last-level misses. */
struct choice {
    const char *domain;
    const char *events[3];
};

static const struct choice hardware[] = {
    {"instructions", {"PAPI_TOT_INS", "perf::INSTRUCTIONS", NULL}},
    {"cycles", {"PAPI_TOT_CYC", "perf::CYCLES", NULL}},
    {"llc_misses", {"PAPI_L3_TCM", "perf::CACHE-MISSES", NULL}},
};

static const char *const software[] = {"task_clock_ns", "page_faults", "context_switches",
                                       "involuntary_switches"};
#define N_SOFTWARE 4

struct rapl_event {
    const char *name, *domain;
    enum jb_scope scope;
    bool is_in_total;
};

static const struct rapl_event rapl[] = {
    {"rapl::RAPL_ENERGY_PKG", "package", JB_SCOPE_PACKAGE, true},
    {"rapl::RAPL_ENERGY_DRAM", "dram", JB_SCOPE_DRAM, true},
    {"rapl::RAPL_ENERGY_CORES", "core", JB_SCOPE_CORE, false},
    {"rapl::RAPL_ENERGY_GPU", "uncore", JB_SCOPE_PACKAGE, false},
    {"rapl::RAPL_ENERGY_PSYS", "psys", JB_SCOPE_SYSTEM, false},
};

static int papi_init(void)
{
    const int code = PAPI_library_init(PAPI_VER_CURRENT);
    return code == PAPI_VER_CURRENT ? PAPI_OK : code < 0 ? code : PAPI_EINVAL;
}

static int papi_create(const char *component, int *ret_set)
{
    const int index = PAPI_get_component_index(component);
    if (index < 0) {
        return index;
    }
    const PAPI_component_info_t *info = PAPI_get_component_info(index);
    if (info == NULL || info->disabled != 0) {
        return PAPI_ECMP_DISABLED;
    }
    int set = PAPI_NULL;
    int code = PAPI_create_eventset(&set);
    if (code == PAPI_OK) {
        code = PAPI_assign_eventset_component(set, index);
    }
    if (code != PAPI_OK) {
        (void)PAPI_destroy_eventset(&set);
        return code;
    }
    *ret_set = set;
    return PAPI_OK;
}

static int papi_add(int set, const char *event)
{
    return PAPI_add_named_event(set, event);
}

static int papi_inherit(int set)
{
    PAPI_option_t option;
    memset(&option, 0, sizeof option);
    option.inherit.eventset = set;
    option.inherit.inherit = PAPI_INHERIT_ALL;
    return PAPI_set_opt(PAPI_INHERIT, &option);
}

static void papi_destroy(int set)
{
    long long values[MAX_EVENTS];
    (void)PAPI_stop(set, values);
    (void)PAPI_cleanup_eventset(set);
    (void)PAPI_destroy_eventset(&set);
}

static const char *papi_error_text(int code)
{
    const char *text = PAPI_strerror(code);
    return text == NULL ? "unknown error" : text;
}

static const struct jb_papi_api papi_api = {
    .init = papi_init,
    .shutdown = PAPI_shutdown,
    .create = papi_create,
    .add = papi_add,
    .inherit = papi_inherit,
    .start = PAPI_start,
    .read = PAPI_read,
    .destroy = papi_destroy,
    .error_text = papi_error_text,
};

static const struct jb_papi_api *api_in_use = &papi_api;

void jb_papi_set_api(const struct jb_papi_api *api)
{
    api_in_use = api == NULL ? &papi_api : api;
}

static void drop_set(struct jb_meter_state *state, struct event_set *events)
{
    if (events->is_made) {
        state->api->destroy(events->set);
    }
    *events = (struct event_set){0};
}

static uint32_t add_domain(struct jb_meter_state *state, struct jb_domain domain)
{
    domain.update_period_s = 0;
    domain.average_s = 0;
    state->domains[state->n_domains] = domain;
    return state->n_domains++;
}

/* Instructions, cycles and misses of the process; on failure nothing is kept, and *ret_why says
 * what was refused. */
static bool add_hardware(struct jb_meter_state *state)
{
    struct event_set *events = &state->sets[0];
    const struct jb_papi_api *api = state->api;
    const char *what = "perf_event";
    int code = api->create("perf_event", &events->set);
    events->is_made = code >= 0;
    for (size_t i = 0; events->is_made && i < sizeof hardware / sizeof hardware[0]; i++) {
        int added = -1;
        for (size_t k = 0; added < 0 && hardware[i].events[k] != NULL; k++) {
            added = api->add(events->set, hardware[i].events[k]);
        }
        if (added < 0) {
            code = added;
            what = hardware[i].events[0];
            continue;
        }
        struct jb_domain domain = jb_domain_make(JB_QUANTITY_COUNT, JB_SCOPE_PROCESS, "1");
        jb_domain_name(&domain, "%s", hardware[i].domain);
        events->domain_of[events->n_events++] = add_domain(state, domain);
    }
    if (events->n_events > 0) {
        what = "counting in threads";
        code = api->inherit(events->set);
        if (code >= 0) {
            what = "starting";
            code = api->start(events->set);
        }
        if (code >= 0) {
            return true;
        }
    }
    (void)snprintf(state->why_software, sizeof state->why_software, "%s: %.80s", what,
                   api->error_text(code));
    drop_set(state, events);
    state->n_domains = 0;
    return false;
}

static void add_rapl(struct jb_meter_state *state)
{
    struct event_set *events = &state->sets[1];
    const struct jb_papi_api *api = state->api;
    int cpus[JB_PERF_MAX_PACKAGES];
    const uint32_t first = state->n_domains;
    const uint32_t n_packages = jb_perf_package_cpus(cpus);
    if (n_packages == 0 || api->create("perf_event_uncore", &events->set) < 0) {
        return;
    }
    events->is_made = true;
    for (size_t i = 0; i < sizeof rapl / sizeof rapl[0]; i++) {
        const uint32_t n = rapl[i].scope == JB_SCOPE_SYSTEM ? 1 : n_packages;
        for (uint32_t p = 0; p < n && events->n_events < MAX_EVENTS; p++) {
            char name[64];
            (void)snprintf(name, sizeof name, "%s:cpu=%d", rapl[i].name, cpus[p]);
            if (api->add(events->set, name) < 0) {
                continue;
            }
            struct jb_domain domain = jb_domain_make(JB_QUANTITY_ENERGY, rapl[i].scope, "J");
            jb_domain_name(&domain, "%s-%u", rapl[i].domain, p);
            domain.is_in_total = rapl[i].is_in_total;
            const uint32_t d = add_domain(state, domain);
            state->domains[d].update_period_s = 1e-3;
            state->is_energy[d] = true;
            state->energies[d] =
                (struct jb_energy){.joules_per_count = RAPL_JOULES, .last_s = jb_clock_s()};
            events->domain_of[events->n_events++] = d;
        }
    }
    if (events->n_events == 0 || api->start(events->set) < 0) {
        drop_set(state, events);
        state->n_domains = first;
        return;
    }
    jb_domains_choose_total(state->domains + first, state->n_domains - first);
}

static bool read_software(double ret_values[N_SOFTWARE])
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) {
        return false;
    }
    ret_values[0] = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
                    (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
    ret_values[1] = (double)(usage.ru_minflt + usage.ru_majflt);
    ret_values[2] = (double)(usage.ru_nvcsw + usage.ru_nivcsw);
    ret_values[3] = (double)usage.ru_nivcsw;
    return true;
}

static void add_software(struct jb_meter_state *state)
{
    if (!read_software(state->start_values)) {
        return;
    }
    state->is_software = true;
    state->first_software = state->n_domains;
    for (size_t i = 0; i < N_SOFTWARE; i++) {
        struct jb_domain domain = jb_domain_make(JB_QUANTITY_COUNT, JB_SCOPE_PROCESS, "1");
        jb_domain_name(&domain, "%s", software[i]);
        (void)add_domain(state, domain);
    }
}

static void papi_close(struct jb_meter_state *state)
{
    for (size_t i = 0; i < MAX_SETS; i++) {
        drop_set(state, &state->sets[i]);
    }
    if (state->is_started) {
        state->api->shutdown();
    }
    state->is_started = false;
    state->n_domains = 0;
}

/* Reads one set into values; its domains become NaN where that fails. */
static bool read_set(struct jb_meter_state *state, const struct event_set *events, double now_s,
                     double *values)
{
    long long raw[MAX_EVENTS] = {0};
    const bool is_read = events->is_made && state->api->read(events->set, raw) >= 0;
    for (uint32_t e = 0; e < events->n_events; e++) {
        const uint32_t d = events->domain_of[e];
        values[d] = jb_missing();
        if (is_read && raw[e] >= 0) {
            values[d] = state->is_energy[d]
                            ? jb_energy_feed(&state->energies[d], (uint64_t)raw[e], now_s)
                            : (double)raw[e];
        }
    }
    return is_read;
}

static enum jb_status papi_read(struct jb_meter_state *state, struct jb_reading *ret_reading)
{
    double values[JB_METER_MAX_DOMAINS];
    double counts[N_SOFTWARE];
    bool is_read = false;
    const double now_s = jb_clock_s();
    for (size_t i = 0; i < MAX_SETS; i++) {
        is_read = read_set(state, &state->sets[i], now_s, values) || is_read;
    }
    const bool has_counts = state->is_software && read_software(counts);
    for (size_t i = 0; state->is_software && i < N_SOFTWARE; i++) {
        values[state->first_software + i] =
            has_counts ? counts[i] - state->start_values[i] : jb_missing();
    }
    if (!is_read && !has_counts) {
        return jb_fail(JB_E_DEVICE, "papi: no counter can be read any more");
    }
    ret_reading->time_s = now_s;
    memcpy(ret_reading->values, values, state->n_domains * sizeof values[0]);
    return JB_OK;
}

static enum jb_status papi_open(struct jb_meter_state *state, const struct jb_meter_args *args)
{
    (void)args;
    state->api = api_in_use;
    const int code = state->api->init();
    state->is_started = code >= 0;
    if (code < 0) {
        (void)snprintf(state->why_software, sizeof state->why_software, "PAPI: %.80s",
                       state->api->error_text(code));
    }
    const bool has_hardware = state->is_started && add_hardware(state);
    if (state->is_started) {
        add_rapl(state);
    }
    if (!has_hardware) {
        add_software(state);
    }
    struct jb_reading first;
    if (state->n_domains == 0 || papi_read(state, &first) != JB_OK) {
        const enum jb_status status =
            jb_fail(JB_E_NODEV, "papi: nothing can be counted: %s", state->why_software);
        papi_close(state);
        return status;
    }
    return JB_OK;
}

static enum jb_status papi_probe(const struct jb_meter_args *args, struct jb_meter_probe *ret_probe)
{
    struct jb_meter_state state = {0};
    *ret_probe = (struct jb_meter_probe){.what = ""};
    const enum jb_status status = papi_open(&state, args);
    if (status != JB_OK) {
        return status;
    }
    int used = 0;
    if (state.is_software) {
        used = snprintf(ret_probe->what, sizeof ret_probe->what,
                        "software events, no hardware counters (%.60s):", state.why_software);
    } else {
        used = snprintf(ret_probe->what, sizeof ret_probe->what, "hardware counters:");
    }
    for (uint32_t i = 0; i < state.n_domains && used > 0 && used < (int)sizeof ret_probe->what;
         i++) {
        used += snprintf(ret_probe->what + used, sizeof ret_probe->what - (size_t)used, "%s %s",
                         i == 0 ? "" : ",", state.domains[i].name);
    }
    papi_close(&state);
    return JB_OK;
}

static uint32_t papi_domains(const struct jb_meter_state *state,
                             const struct jb_domain **ret_domains)
{
    *ret_domains = state->domains;
    return state->n_domains;
}

const struct jb_meter jb_meter_papi = {
    .name = "papi",
    .summary = "Instructions, cycles, cache misses of this process, and RAPL where PAPI has it",
    .is_automatic = true,
    .state_size = sizeof(struct jb_meter_state),
    .probe = papi_probe,
    .open = papi_open,
    .domains = papi_domains,
    .read = papi_read,
    .close = papi_close,
};
#else
void jb_papi_set_api(const struct jb_papi_api *api)
{
    (void)api;
}

JB_METER_ABSENT(jb_meter_papi, "papi",
                "Instructions, cycles, cache misses of this process, and RAPL where PAPI has it",
                "this build has no PAPI; install libpapi-dev and build again");
#endif
