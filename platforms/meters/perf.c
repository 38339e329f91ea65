/* SPDX-License-Identifier: MIT */
/* RAPL through the kernel's `power` PMU: one event a domain, one counter a package. The kernel
 * unrolls the 32-bit register into 64 bits, in units of events/NAME.scale joules
 * (arch/x86/events/rapl.c). */
#include "platforms/meters/perf.h"
#include "platforms/meters/internal.h"

#if defined(__linux__)
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platforms/meters/sysfs.h"
#include "platforms/os/os.h"

#define PMU_DIR "/sys/bus/event_source/devices/power"
#define UNLOCK "sudo sysctl kernel.perf_event_paranoid=0"

struct jb_meter_state {
    uint32_t n_domains;
    struct jb_domain domains[JB_METER_MAX_DOMAINS];
    struct jb_energy energies[JB_METER_MAX_DOMAINS];
    int fds[JB_METER_MAX_DOMAINS];
};

struct event {
    const char *file;
    const char *domain;
    enum jb_scope scope;
    bool is_in_total; /* cores and gpu lie in the package, psys holds it */
};

static const struct event events[] = {
    {"energy-pkg", "package", JB_SCOPE_PACKAGE, true},
    {"energy-ram", "dram", JB_SCOPE_DRAM, true},
    {"energy-cores", "core", JB_SCOPE_CORE, false},
    {"energy-gpu", "uncore", JB_SCOPE_PACKAGE, false},
    {"energy-psys", "psys", JB_SCOPE_SYSTEM, false},
};

static int open_by_syscall(uint32_t type, uint64_t config, int cpu)
{
    struct perf_event_attr attr = {.type = type, .size = sizeof attr, .config = config};
    return (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

static int (*open_counter)(uint32_t type, uint64_t config, int cpu) = open_by_syscall;

void jb_perf_set_open(int (*replacement)(uint32_t type, uint64_t config, int cpu))
{
    open_counter = replacement == NULL ? open_by_syscall : replacement;
}

/* "event=0x02" or "event=0x02,umask=0x01", as format/event (bits 0-7) and format/umask (8-15). */
static bool parse_config(const char *text, uint64_t *ret_config)
{
    uint64_t config = 0;
    while (*text != '\0') {
        const bool is_umask = strncmp(text, "umask=", 6) == 0;
        if (!is_umask && strncmp(text, "event=", 6) != 0) {
            return false;
        }
        char *end = NULL;
        const unsigned long long field = strtoull(text + 6, &end, 0);
        if (end == text + 6 || field > 0xff || (*end != '\0' && *end != ',')) {
            return false;
        }
        config |= (uint64_t)field << (is_umask ? 8 : 0);
        text = *end == ',' ? end + 1 : end;
    }
    *ret_config = config;
    return config != 0;
}

/* "0,24" or "0-1": one CPU a package (or die). */
static uint32_t parse_cpus(const char *text, int ret_cpus[JB_PERF_MAX_PACKAGES])
{
    uint32_t n = 0;
    while (*text != '\0') {
        char *end = NULL;
        const long first = strtol(text, &end, 10);
        long last = first;
        if (end == text) {
            return 0;
        }
        if (*end == '-') {
            text = end + 1;
            last = strtol(text, &end, 10);
        }
        if (first < 0 || last < first || last > 1000000 || (*end != '\0' && *end != ',')) {
            return 0;
        }
        for (long cpu = first; cpu <= last && n < JB_PERF_MAX_PACKAGES; cpu++) {
            ret_cpus[n++] = (int)cpu;
        }
        text = *end == ',' ? end + 1 : end;
    }
    return n;
}

static enum jb_status fail_open(const char *event, int cpu, int error)
{
    if (error == EACCES || error == EPERM) {
        return jb_fail(JB_E_PERM,
                       "perf: %s on CPU %d: %s; set kernel.perf_event_paranoid to 0 or less, or "
                       "give the program CAP_PERFMON",
                       event, cpu, strerror(error));
    }
    const enum jb_status code =
        error == ENOENT || error == ENODEV || error == EINVAL || error == EOPNOTSUPP ? JB_E_NODEV
                                                                                     : JB_E_IO;
    return jb_fail(code, "perf: %s on CPU %d: %s", event, cpu, strerror(error));
}

/* What the kernel's files say about one event. */
struct event_info {
    uint64_t config;
    double scale;
};

static enum jb_status read_info(const char *event, struct event_info *ret_info)
{
    char path[JB_SYSFS_PATH_MAX];
    char text[128];
    struct event_info info = {0};
    (void)jb_sysfs_path(path, PMU_DIR "/events/%s", event);
    enum jb_status status = jb_sysfs_text(path, text, sizeof text);
    if (status != JB_OK) {
        return status;
    }
    if (!parse_config(text, &info.config)) {
        return jb_fail(JB_E_FORMAT, "%s: '%s' is no event of the power PMU", path, text);
    }
    (void)jb_sysfs_path(path, PMU_DIR "/events/%s.unit", event);
    status = jb_sysfs_text(path, text, sizeof text);
    if (status != JB_OK) {
        return status;
    }
    if (strcmp(text, "Joules") != 0) {
        return jb_fail(JB_E_NOTSUP, "%s: '%s' is not Joules", path, text);
    }
    (void)jb_sysfs_path(path, PMU_DIR "/events/%s.scale", event);
    status = jb_sysfs_text(path, text, sizeof text);
    if (status != JB_OK) {
        return status;
    }
    char *end = NULL;
    info.scale = strtod(text, &end);
    if (*end != '\0' || !(info.scale > 0 && info.scale < 1)) {
        return jb_fail(JB_E_FORMAT, "%s: '%s' is no scale in joules", path, text);
    }
    *ret_info = info;
    return JB_OK;
}

static enum jb_status add_event(struct jb_meter_state *state, const struct event *event,
                                uint32_t type, const int *cpus, uint32_t n_cpus)
{
    struct event_info info = {0};
    const enum jb_status status = read_info(event->file, &info);
    if (status != JB_OK) {
        return status == JB_E_NODEV ? JB_OK : status;
    }
    /* psys is one for the whole platform: every package would show the same. */
    const uint32_t n = event->scope == JB_SCOPE_SYSTEM ? 1 : n_cpus;
    for (uint32_t c = 0; c < n && state->n_domains < JB_METER_MAX_DOMAINS; c++) {
        const int fd = open_counter(type, info.config, cpus[c]);
        if (fd < 0) {
            return fail_open(event->file, cpus[c], errno);
        }
        const uint32_t i = state->n_domains++;
        state->fds[i] = fd;
        state->domains[i] = jb_domain_make(JB_QUANTITY_ENERGY, event->scope, "J");
        jb_domain_name(&state->domains[i], "%s-%u", event->domain, c);
        state->domains[i].is_in_total = event->is_in_total;
        state->domains[i].update_period_s = 1e-3;
        state->domains[i].average_s = 0;
        state->energies[i] =
            (struct jb_energy){.joules_per_count = info.scale, .last_s = jb_clock_s()};
    }
    return JB_OK;
}

static void perf_close(struct jb_meter_state *state)
{
    for (uint32_t i = 0; i < state->n_domains; i++) {
        (void)close(state->fds[i]);
    }
    state->n_domains = 0;
}

static enum jb_status read_pmu(uint32_t *ret_type, int ret_cpus[JB_PERF_MAX_PACKAGES],
                               uint32_t *ret_n_cpus)
{
    char path[JB_SYSFS_PATH_MAX];
    char text[256];
    uint64_t type = 0;
    (void)jb_sysfs_path(path, PMU_DIR "/type");
    enum jb_status status = jb_sysfs_u64(path, &type);
    if (status == JB_E_NODEV) {
        return jb_fail(JB_E_NODEV,
                       "perf: %s is missing: the kernel offers no `power` PMU here; on "
                       "bare metal load the rapl module",
                       path);
    }
    if (status != JB_OK) {
        return status;
    }
    (void)jb_sysfs_path(path, PMU_DIR "/cpumask");
    status = jb_sysfs_text(path, text, sizeof text);
    if (status != JB_OK) {
        return status;
    }
    *ret_n_cpus = parse_cpus(text, ret_cpus);
    if (*ret_n_cpus == 0 || type > UINT32_MAX) {
        return jb_fail(JB_E_FORMAT, "%s: '%s' is no list of CPUs", path, text);
    }
    *ret_type = (uint32_t)type;
    return JB_OK;
}

uint32_t jb_perf_package_cpus(int ret_cpus[JB_PERF_MAX_PACKAGES])
{
    uint32_t type = 0;
    uint32_t n = 0;
    return read_pmu(&type, ret_cpus, &n) == JB_OK ? n : 0;
}

/* A counter starts at its first read; without one here, energy up to it would be lost. */
static bool read_counter(struct jb_meter_state *state, uint32_t i, double now_s, double *ret_joules)
{
    uint64_t raw = 0;
    if (read(state->fds[i], &raw, sizeof raw) != (ssize_t)sizeof raw) {
        return false;
    }
    *ret_joules = jb_energy_feed(&state->energies[i], raw, now_s);
    return true;
}

static enum jb_status perf_open(struct jb_meter_state *state, const struct jb_meter_args *args)
{
    (void)args;
    uint32_t type = 0;
    int cpus[JB_PERF_MAX_PACKAGES] = {0};
    uint32_t n_cpus = 0;
    enum jb_status status = read_pmu(&type, cpus, &n_cpus);
    for (size_t i = 0; i < sizeof events / sizeof events[0] && status == JB_OK; i++) {
        status = add_event(state, &events[i], type, cpus, n_cpus);
    }
    if (status == JB_OK && state->n_domains == 0) {
        status = jb_fail(JB_E_NODEV, "perf: the `power` PMU has no energy event");
    }
    for (uint32_t i = 0; i < state->n_domains && status == JB_OK; i++) {
        double joules = 0;
        if (!read_counter(state, i, jb_clock_s(), &joules)) {
            status = jb_fail(JB_E_IO, "perf: %s cannot be read", state->domains[i].name);
        }
    }
    if (status != JB_OK) {
        perf_close(state);
        return status;
    }
    jb_domains_choose_total(state->domains, state->n_domains);
    return JB_OK;
}

static enum jb_status perf_probe(const struct jb_meter_args *args, struct jb_meter_probe *ret_probe)
{
    return jb_probe_by_opening(&jb_meter_perf, args, "RAPL through the perf power PMU", UNLOCK,
                               ret_probe);
}

static uint32_t perf_domains(const struct jb_meter_state *state,
                             const struct jb_domain **ret_domains)
{
    *ret_domains = state->domains;
    return state->n_domains;
}

static enum jb_status perf_read(struct jb_meter_state *state, struct jb_reading *ret_reading)
{
    const double now_s = jb_clock_s();
    double values[JB_METER_MAX_DOMAINS];
    uint32_t n_read = 0;
    for (uint32_t i = 0; i < state->n_domains; i++) {
        values[i] = jb_missing();
        n_read += read_counter(state, i, now_s, &values[i]) ? 1 : 0;
    }
    if (n_read == 0) {
        return jb_fail(JB_E_DEVICE, "perf: no counter can be read any more");
    }
    ret_reading->time_s = now_s;
    memcpy(ret_reading->values, values, state->n_domains * sizeof values[0]);
    return JB_OK;
}

const struct jb_meter jb_meter_perf = {
    .name = "perf",
    .summary = "RAPL energy counters of the CPU through the perf power PMU",
    .is_automatic = true,
    .state_size = sizeof(struct jb_meter_state),
    .probe = perf_probe,
    .open = perf_open,
    .domains = perf_domains,
    .read = perf_read,
    .close = perf_close,
};
#else
uint32_t jb_perf_package_cpus(int ret_cpus[JB_PERF_MAX_PACKAGES])
{
    (void)ret_cpus;
    return 0;
}

void jb_perf_set_open(int (*replacement)(uint32_t type, uint64_t config, int cpu))
{
    (void)replacement;
}

JB_METER_ABSENT(jb_meter_perf, "perf", "RAPL energy counters of the CPU through the perf power PMU",
                "only on Linux");
#endif
