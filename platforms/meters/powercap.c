/* SPDX-License-Identifier: MIT */
/* RAPL through the kernel's powercap class (Documentation/power/powercap/powercap.rst): one
 * folder a zone, flat under /sys/class/powercap, "intel-rapl:0" (a package, on AMD too) with
 * "intel-rapl:0:0" (a part of it), each with name, energy_uj and max_energy_range_uj. */
#include "platforms/meters/internal.h"

#if defined(__linux__)
#include <stdio.h>
#include <string.h>

#include "platforms/meters/sysfs.h"
#include "platforms/os/os.h"

#define CLASS_DIR "/sys/class/powercap"
#define UNLOCK "sudo chmod a+r /sys/class/powercap/*/energy_uj"

struct jb_meter_state {
    uint32_t n_domains;
    struct jb_domain domains[JB_METER_MAX_DOMAINS];
    struct jb_energy energies[JB_METER_MAX_DOMAINS];
    int fds[JB_METER_MAX_DOMAINS];
};

struct kind {
    const char *name;
    enum jb_scope scope;
    bool is_in_total; /* core and uncore lie in the package, psys holds it */
};

/* Names from drivers/powercap/intel_rapl_common.c: package-N or package-N-die-M, and these. */
static const struct kind kinds[] = {
    {"package", JB_SCOPE_PACKAGE, true}, {"dram", JB_SCOPE_DRAM, true},
    {"core", JB_SCOPE_CORE, false},      {"uncore", JB_SCOPE_PACKAGE, false},
    {"psys", JB_SCOPE_SYSTEM, false},
};

static const struct kind *find_kind(const char *zone_name)
{
    const size_t length = strcspn(zone_name, "-");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strlen(kinds[i].name) == length && strncmp(kinds[i].name, zone_name, length) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

static enum jb_status zone_name(const char *zone, char ret_name[JB_SYSFS_NAME_MAX])
{
    char path[JB_SYSFS_PATH_MAX];
    if (!jb_sysfs_path(path, CLASS_DIR "/%s/name", zone)) {
        return jb_fail(JB_E_INVAL, "powercap: path of %s is too long", zone);
    }
    return jb_sysfs_text(path, ret_name, JB_SYSFS_NAME_MAX);
}

/* "package-0", and for a part of it "dram-0": the number is the package's. */
static void name_domain(const char *zone, const char *name, struct jb_domain *domain)
{
    char parent[JB_SYSFS_NAME_MAX];
    char parent_name[JB_SYSFS_NAME_MAX];
    (void)snprintf(parent, sizeof parent, "%s", zone);
    char *last = strrchr(parent, ':');
    if (strncmp(name, "package-", 8) == 0) {
        jb_domain_name(domain, "%.47s", name);
        return;
    }
    const char *number = last + 1;
    *last = '\0';
    if (strchr(parent, ':') != NULL && zone_name(parent, parent_name) == JB_OK &&
        strncmp(parent_name, "package-", 8) == 0) {
        number = parent_name + 8;
    }
    jb_domain_name(domain, "%.20s-%.20s", name, number);
}

/* The memory-mapped interface shows the zones of the MSR interface once more. */
static bool is_duplicate(const struct jb_meter_state *state, const char *name)
{
    for (uint32_t i = 0; i < state->n_domains; i++) {
        if (strcmp(state->domains[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static enum jb_status add_zone(struct jb_meter_state *state, const char *zone)
{
    char name[JB_SYSFS_NAME_MAX];
    char path[JB_SYSFS_PATH_MAX];
    enum jb_status status = zone_name(zone, name);
    const struct kind *kind = status == JB_OK ? find_kind(name) : NULL;
    if (kind == NULL || state->n_domains == JB_METER_MAX_DOMAINS) {
        return JB_OK; /* no zone of RAPL */
    }
    struct jb_domain domain = jb_domain_make(JB_QUANTITY_ENERGY, kind->scope, "J");
    name_domain(zone, name, &domain);
    if (is_duplicate(state, domain.name)) {
        return JB_OK;
    }
    domain.is_in_total = kind->is_in_total;
    /* The registers are updated about every millisecond (Intel SDM vol. 3B, RAPL interfaces). */
    domain.update_period_s = 1e-3;
    domain.average_s = 0;
    uint64_t range_uj = 0;
    (void)jb_sysfs_path(path, CLASS_DIR "/%s/max_energy_range_uj", zone);
    status = jb_sysfs_u64(path, &range_uj);
    if (status == JB_E_NODEV) {
        return jb_fail(JB_E_NOTSUP, "%s is missing, wraps of %s cannot be unrolled", path, name);
    }
    if (status == JB_OK && (range_uj == 0 || range_uj == UINT64_MAX)) {
        return jb_fail(JB_E_FORMAT, "%s: %llu is no range", path, (unsigned long long)range_uj);
    }
    int fd = -1;
    if (status == JB_OK) {
        (void)jb_sysfs_path(path, CLASS_DIR "/%s/energy_uj", zone);
        status = jb_sysfs_open(path, &fd);
    }
    uint64_t raw = 0;
    if (status == JB_OK && !jb_sysfs_pread_u64(fd, &raw)) {
        jb_sysfs_close(fd);
        return jb_fail(JB_E_FORMAT, "%s: holds no number", path);
    }
    if (status != JB_OK) {
        return status;
    }
    const uint32_t i = state->n_domains++;
    state->fds[i] = fd;
    state->domains[i] = domain;
    state->energies[i] = (struct jb_energy){
        .counter = {.range = range_uj + 1}, .joules_per_count = 1e-6, .last_s = jb_clock_s()};
    (void)jb_energy_feed(&state->energies[i], raw, state->energies[i].last_s);
    return JB_OK;
}

static void powercap_close(struct jb_meter_state *state)
{
    for (uint32_t i = 0; i < state->n_domains; i++) {
        jb_sysfs_close(state->fds[i]);
    }
    state->n_domains = 0;
}

/* A part that cannot be read is left out; a package or DRAM that cannot would make the total
 * look small, so it fails the meter. */
static enum jb_status add_zones(struct jb_meter_state *state, char (*zones)[JB_SYSFS_NAME_MAX],
                                uint32_t n, bool is_mmio)
{
    for (uint32_t i = 0; i < n; i++) {
        if (strchr(zones[i], ':') == NULL || (strstr(zones[i], "-mmio:") != NULL) != is_mmio) {
            continue;
        }
        char name[JB_SYSFS_NAME_MAX] = "";
        const enum jb_status status = add_zone(state, zones[i]);
        if (status == JB_OK) {
            continue;
        }
        char reason[JB_REASON_MAX];
        (void)snprintf(reason, sizeof reason, "%s", jb_reason());
        (void)zone_name(zones[i], name);
        const struct kind *kind = find_kind(name);
        if (kind != NULL && kind->is_in_total) {
            return jb_fail(status, "powercap: %.480s", reason);
        }
    }
    return JB_OK;
}

static enum jb_status powercap_open(struct jb_meter_state *state, const struct jb_meter_args *args)
{
    (void)args;
    char zones[4 * JB_METER_MAX_DOMAINS][JB_SYSFS_NAME_MAX];
    char path[JB_SYSFS_PATH_MAX];
    if (!jb_sysfs_path(path, CLASS_DIR)) {
        return jb_fail(JB_E_INVAL, "powercap: path of %s is too long", CLASS_DIR);
    }
    const uint32_t n = jb_sysfs_list(path, "", zones, 4 * JB_METER_MAX_DOMAINS);
    enum jb_status status = add_zones(state, zones, n, false);
    if (status == JB_OK) {
        status = add_zones(state, zones, n, true);
    }
    if (status == JB_OK && state->n_domains == 0) {
        status =
            jb_fail(JB_E_NODEV,
                    "powercap: %s has no RAPL zone; on bare metal load intel_rapl_msr, virtual "
                    "machines seldom have one",
                    path);
    }
    if (status != JB_OK) {
        powercap_close(state);
        return status;
    }
    jb_domains_choose_total(state->domains, state->n_domains);
    return JB_OK;
}

static enum jb_status powercap_probe(const struct jb_meter_args *args,
                                     struct jb_meter_probe *ret_probe)
{
    return jb_probe_by_opening(&jb_meter_powercap, args, "RAPL through powercap", UNLOCK,
                               ret_probe);
}

static uint32_t powercap_domains(const struct jb_meter_state *state,
                                 const struct jb_domain **ret_domains)
{
    *ret_domains = state->domains;
    return state->n_domains;
}

static enum jb_status powercap_read(struct jb_meter_state *state, struct jb_reading *ret_reading)
{
    const double now_s = jb_clock_s();
    uint32_t n_read = 0;
    double values[JB_METER_MAX_DOMAINS];
    for (uint32_t i = 0; i < state->n_domains; i++) {
        uint64_t raw = 0;
        values[i] = jb_missing();
        if (jb_sysfs_pread_u64(state->fds[i], &raw)) {
            values[i] = jb_energy_feed(&state->energies[i], raw, now_s);
            n_read++;
        }
    }
    if (n_read == 0) {
        return jb_fail(JB_E_DEVICE, "powercap: no zone can be read any more");
    }
    ret_reading->time_s = now_s;
    memcpy(ret_reading->values, values, state->n_domains * sizeof values[0]);
    return JB_OK;
}

const struct jb_meter jb_meter_powercap = {
    .name = "powercap",
    .summary = "RAPL energy counters of the CPU (Intel, AMD) through /sys/class/powercap",
    .is_automatic = true,
    .state_size = sizeof(struct jb_meter_state),
    .probe = powercap_probe,
    .open = powercap_open,
    .domains = powercap_domains,
    .read = powercap_read,
    .close = powercap_close,
};
#else
JB_METER_ABSENT(jb_meter_powercap, "powercap",
                "RAPL energy counters of the CPU (Intel, AMD) through /sys/class/powercap",
                "only on Linux");
#endif
