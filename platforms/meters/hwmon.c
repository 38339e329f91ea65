/* SPDX-License-Identifier: MIT */
/* Power and energy that drivers put under /sys/class/hwmon (Documentation/hwmon/sysfs-interface):
 * powerN_input and powerN_average in microwatts, energyN_input in microjoules, with an optional
 * label. What a chip's number stands for is known for a few drivers only; the others are read
 * but join the total only when asked for by name, hwmon:CHIP/LABEL. */
#include "platforms/meters/internal.h"

#if defined(__linux__)
#include <stdio.h>
#include <string.h>

#include "platforms/meters/sysfs.h"
#include "platforms/os/os.h"

#define CLASS_DIR "/sys/class/hwmon"
#define UNLOCK "sudo chmod a+r /sys/class/hwmon/hwmon*/{power,energy}*"
#define MAX_CHIPS 64
#define MAX_FILES 512

struct jb_meter_state {
    uint32_t n_domains;
    struct jb_domain domains[JB_METER_MAX_DOMAINS];
    struct jb_energy energies[JB_METER_MAX_DOMAINS];
    int fds[JB_METER_MAX_DOMAINS];
    bool is_denied; /* a file was there and might not be read */
};

struct known {
    const char *chip, *label; /* start of the name and label; "" = any */
    enum jb_scope scope;
    bool is_in_total;
};

/* What the drivers' documentation (Documentation/hwmon/) says. amdgpu is a card's whole draw, in
 * the total only by name, since which card works is not known here. */
static const struct known known_chips[] = {
    {"power_meter", "", JB_SCOPE_SYSTEM, true}, /* ACPI power meter                        */
    {"amd_energy", "Esocket", JB_SCOPE_PACKAGE, true},
    {"amd_energy", "Ecore", JB_SCOPE_CORE, false},
    {"fam15h_power", "", JB_SCOPE_PACKAGE, true},
    {"ina3221", "VDD_IN", JB_SCOPE_MODULE, true}, /* Jetson: the module's input rail         */
    {"xgene", "CPU power", JB_SCOPE_PACKAGE, true},
    {"amdgpu", "", JB_SCOPE_BOARD, false},
};

struct channel {
    const char *chip;
    char label[JB_SYSFS_NAME_MAX];
    char dir[JB_SYSFS_NAME_MAX];  /* "hwmon3"  */
    char file[JB_SYSFS_NAME_MAX]; /* "power1_input" */
};

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static const struct known *find_known(const struct channel *channel)
{
    for (size_t i = 0; i < sizeof known_chips / sizeof known_chips[0]; i++) {
        if (starts_with(channel->chip, known_chips[i].chip) &&
            starts_with(channel->label, known_chips[i].label)) {
            return &known_chips[i];
        }
    }
    return NULL;
}

/* powerN_average_interval is in milliseconds; none averages over minutes. */
static double average_s(const struct channel *channel)
{
    char path[JB_SYSFS_PATH_MAX];
    uint64_t interval_ms = 0;
    if (!jb_sysfs_path(path, CLASS_DIR "/%s/%s_interval", channel->dir, channel->file) ||
        jb_sysfs_u64(path, &interval_ms) != JB_OK || interval_ms == 0 || interval_ms > 60000) {
        return jb_missing();
    }
    return (double)interval_ms * 1e-3;
}

static void describe(struct jb_domain *domain, const struct channel *channel, const char *wanted)
{
    const bool is_energy = starts_with(channel->file, "energy");
    const struct known *known = find_known(channel);
    *domain = jb_domain_make(is_energy ? JB_QUANTITY_ENERGY : JB_QUANTITY_POWER,
                             known == NULL ? JB_SCOPE_SYSTEM : known->scope, is_energy ? "J" : "W");
    jb_domain_name(domain, "%.20s/%.26s", channel->chip, channel->label);
    if (strstr(channel->file, "_average") != NULL) {
        domain->average_s = average_s(channel);
        domain->update_period_s = domain->average_s;
    }
    domain->is_in_total =
        wanted != NULL ? strcmp(domain->name, wanted) == 0 : known != NULL && known->is_in_total;
}

/* A channel that cannot be read is left out; a denied one is remembered. */
static void add_channel(struct jb_meter_state *state, const struct channel *channel,
                        const char *wanted)
{
    char path[JB_SYSFS_PATH_MAX];
    int fd = -1;
    uint64_t raw = 0;
    if (state->n_domains == JB_METER_MAX_DOMAINS ||
        !jb_sysfs_path(path, CLASS_DIR "/%s/%s", channel->dir, channel->file)) {
        return;
    }
    const struct known *known = find_known(channel);
    if (known != NULL && known->scope == JB_SCOPE_CORE) {
        return; /* hundreds of them would crowd out their socket */
    }
    const enum jb_status status = jb_sysfs_open(path, &fd);
    state->is_denied = state->is_denied || status == JB_E_PERM;
    if (status != JB_OK) {
        return;
    }
    if (!jb_sysfs_pread_u64(fd, &raw)) {
        jb_sysfs_close(fd);
        return;
    }
    const uint32_t i = state->n_domains++;
    describe(&state->domains[i], channel, wanted);
    state->fds[i] = fd;
    state->energies[i] = (struct jb_energy){.joules_per_count = 1e-6, .last_s = jb_clock_s()};
    if (state->domains[i].quantity == JB_QUANTITY_ENERGY) {
        (void)jb_energy_feed(&state->energies[i], raw, state->energies[i].last_s);
    }
}

/* "power1_input" -> its label, or "power1" without one. */
static void read_label(struct channel *channel)
{
    char path[JB_SYSFS_PATH_MAX];
    const int stem = (int)strcspn(channel->file, "_");
    if (!jb_sysfs_path(path, CLASS_DIR "/%s/%.*s_label", channel->dir, stem, channel->file) ||
        jb_sysfs_text(path, channel->label, sizeof channel->label) != JB_OK ||
        channel->label[0] == '\0') {
        (void)snprintf(channel->label, sizeof channel->label, "%.*s", stem, channel->file);
    }
}

/* Adds the channels of a chip whose files end so; power averages only where no instant value is. */
static void add_files(struct jb_meter_state *state, const char *dir, const char *chip,
                      const char *prefix, const char *suffix, const char *wanted)
{
    char path[JB_SYSFS_PATH_MAX];
    char files[MAX_FILES][JB_SYSFS_NAME_MAX];
    char dummy[JB_SYSFS_NAME_MAX];
    if (!jb_sysfs_path(path, CLASS_DIR "/%s", dir)) {
        return;
    }
    const uint32_t n = jb_sysfs_list(path, prefix, files, MAX_FILES);
    for (uint32_t i = 0; i < n; i++) {
        struct channel channel = {.chip = chip};
        const char *underscore = strchr(files[i], '_');
        if (underscore == NULL || strcmp(underscore, suffix) != 0) {
            continue;
        }
        memcpy(channel.dir, dir, sizeof channel.dir);
        memcpy(channel.file, files[i], sizeof channel.file);
        const int stem = (int)(underscore - files[i]);
        if (strcmp(suffix, "_average") == 0 &&
            jb_sysfs_path(path, CLASS_DIR "/%s/%.*s_input", dir, stem, files[i]) &&
            jb_sysfs_text(path, dummy, sizeof dummy) == JB_OK) {
            continue;
        }
        read_label(&channel);
        add_channel(state, &channel, wanted);
    }
}

static void hwmon_close(struct jb_meter_state *state)
{
    for (uint32_t i = 0; i < state->n_domains; i++) {
        jb_sysfs_close(state->fds[i]);
    }
    state->n_domains = 0;
}

static enum jb_status check_found(const struct jb_meter_state *state, const char *wanted)
{
    if (state->n_domains == 0 && state->is_denied) {
        return jb_fail(JB_E_PERM,
                       "hwmon: power and energy files under " CLASS_DIR " may not be read");
    }
    if (state->n_domains == 0) {
        return jb_fail(JB_E_NODEV, "hwmon: no chip under " CLASS_DIR " reports power or energy");
    }
    for (uint32_t i = 0; i < state->n_domains && wanted != NULL; i++) {
        if (state->domains[i].is_in_total) {
            return JB_OK;
        }
    }
    return wanted == NULL ? JB_OK
                          : jb_fail(JB_E_NODEV, "hwmon: no domain '%s'; the first there is '%s'",
                                    wanted, state->domains[0].name);
}

static enum jb_status hwmon_open(struct jb_meter_state *state, const struct jb_meter_args *args)
{
    char dirs[MAX_CHIPS][JB_SYSFS_NAME_MAX];
    char chip[JB_SYSFS_NAME_MAX];
    char path[JB_SYSFS_PATH_MAX];
    const char *wanted = args->arg != NULL && args->arg[0] != '\0' ? args->arg : NULL;
    if (!jb_sysfs_path(path, CLASS_DIR)) {
        return jb_fail(JB_E_INVAL, "hwmon: path of " CLASS_DIR " is too long");
    }
    const uint32_t n = jb_sysfs_list(path, "hwmon", dirs, MAX_CHIPS);
    for (uint32_t i = 0; i < n; i++) {
        if (jb_sysfs_path(path, CLASS_DIR "/%s/name", dirs[i]) &&
            jb_sysfs_text(path, chip, sizeof chip) == JB_OK) {
            add_files(state, dirs[i], chip, "energy", "_input", wanted);
            add_files(state, dirs[i], chip, "power", "_input", wanted);
            add_files(state, dirs[i], chip, "power", "_average", wanted);
        }
    }
    const enum jb_status status = check_found(state, wanted);
    if (status != JB_OK) {
        hwmon_close(state);
    }
    return status;
}

static enum jb_status hwmon_probe(const struct jb_meter_args *args,
                                  struct jb_meter_probe *ret_probe)
{
    return jb_probe_by_opening(&jb_meter_hwmon, args, "hwmon", UNLOCK, ret_probe);
}

static uint32_t hwmon_domains(const struct jb_meter_state *state,
                              const struct jb_domain **ret_domains)
{
    *ret_domains = state->domains;
    return state->n_domains;
}

static enum jb_status hwmon_read(struct jb_meter_state *state, struct jb_reading *ret_reading)
{
    const double now_s = jb_clock_s();
    double values[JB_METER_MAX_DOMAINS];
    uint32_t n_read = 0;
    for (uint32_t i = 0; i < state->n_domains; i++) {
        uint64_t raw = 0;
        values[i] = jb_missing();
        if (!jb_sysfs_pread_u64(state->fds[i], &raw)) {
            continue;
        }
        n_read++;
        values[i] = state->domains[i].quantity == JB_QUANTITY_ENERGY
                        ? jb_energy_feed(&state->energies[i], raw, now_s)
                        : (double)raw * 1e-6;
    }
    if (n_read == 0) {
        return jb_fail(JB_E_DEVICE, "hwmon: no channel can be read any more");
    }
    ret_reading->time_s = now_s;
    memcpy(ret_reading->values, values, state->n_domains * sizeof values[0]);
    return JB_OK;
}

const struct jb_meter jb_meter_hwmon = {
    .name = "hwmon",
    .summary = "Power and energy under /sys/class/hwmon; hwmon:CHIP/LABEL picks the total",
    .is_automatic = true,
    .state_size = sizeof(struct jb_meter_state),
    .probe = hwmon_probe,
    .open = hwmon_open,
    .domains = hwmon_domains,
    .read = hwmon_read,
    .close = hwmon_close,
};
#else
JB_METER_ABSENT(jb_meter_hwmon, "hwmon",
                "Power and energy under /sys/class/hwmon; hwmon:CHIP/LABEL picks the total",
                "only on Linux");
#endif
