/* SPDX-License-Identifier: MIT */
#include "platforms/meters/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platforms/devices/device_file.h"
#include "platforms/host/host.h"
#include "platforms/meters/internal.h"
#include "platforms/os/os.h"

#define DEFAULT_DEVICE "generic-host"

struct jb_meter_state {
    struct jb_model_source source;
    struct jb_domain domain;
    char device[64];
    double idle_w, active_w; /* of the whole package */
    double visible, physical;
    double last_wall_s, last_cpu_s;
    double joules;
};

static const struct jb_model_source *test_source;

void jb_model_set_source(const struct jb_model_source *source)
{
    test_source = source;
}

struct kind_search {
    const char *name;
    bool is_cpu;
};

static bool match_cpu(void *ctx, const char *kind, const char *name, const char *path)
{
    struct kind_search *search = ctx;
    (void)path;
    search->is_cpu = strcmp(search->name, name) == 0 && strcmp(kind, "cpu") == 0;
    return !search->is_cpu;
}

/* A file of another kind has keys of its own and would be refused; its kind line is enough. */
static bool is_cpu_path(const char *path)
{
    char line[256];
    char word[16];
    bool is_cpu = false;
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        return false;
    }
    while (!is_cpu && fgets(line, sizeof line, f) != NULL) {
        is_cpu = sscanf(line, "kind: %15s", word) == 1 && strcmp(word, "cpu") == 0;
    }
    (void)fclose(f);
    return is_cpu;
}

static bool is_cpu_device(const char *name)
{
    const size_t n = strlen(name);
    if (strchr(name, '/') != NULL || (n > 5 && strcmp(name + n - 5, ".yaml") == 0)) {
        return is_cpu_path(name);
    }
    struct kind_search search = {.name = name};
    return jb_device_list(match_cpu, &search) == JB_OK && search.is_cpu;
}

static const char *choose_device(const struct jb_meter_args *args)
{
    if (args->arg != NULL && args->arg[0] != '\0') {
        return args->arg;
    }
    return args->device != NULL && is_cpu_device(args->device) ? args->device : DEFAULT_DEVICE;
}

static enum jb_status read_watts(struct jb_meter_state *state, const struct jb_device_file *file)
{
    if (strcmp(jb_device_kind(file), "cpu") != 0) {
        return jb_fail(JB_E_INVAL, "model: device %s is a %s, not a cpu", jb_device_name(file),
                       jb_device_kind(file));
    }
    state->idle_w = jb_device_number(file, "idle_w");
    state->active_w = jb_device_number(file, "active_w");
    if (jb_is_missing(state->idle_w) || jb_is_missing(state->active_w)) {
        return jb_fail(JB_E_NOTSUP, "model: device %s does not give idle_w and active_w",
                       jb_device_name(file));
    }
    const double physical = jb_device_number(file, "physical_cores");
    if (!jb_is_missing(physical)) {
        state->physical = physical;
    }
    state->domain = jb_domain_make(JB_QUANTITY_ENERGY, JB_SCOPE_MODEL, "J");
    jb_domain_name(&state->domain, "%.47s", jb_device_name(file));
    state->domain.is_in_total = true;
    state->domain.update_period_s = 0;
    state->domain.average_s = 0;
    const struct jb_device_value *class = jb_device_get(file, "power_class");
    const bool is_measured = class != NULL && strcmp(class->text, "measured") == 0;
    state->domain.evidence = is_measured ? JB_CLASS_MODELLED : JB_CLASS_NAMEPLATE;
    return JB_OK;
}

static enum jb_status machine_source(struct jb_model_source *ret_source)
{
    struct jb_host host;
    const enum jb_status status = jb_host_read(&host);
    if (status == JB_OK) {
        *ret_source = (struct jb_model_source){.wall_s = jb_clock_s,
                                               .cpu_s = jb_process_cpu_s,
                                               .visible_cores = host.n_cores,
                                               .physical_cores = host.physical_cores};
    }
    return status;
}

static enum jb_status model_open(struct jb_meter_state *state, const struct jb_meter_args *args)
{
    enum jb_status status = JB_OK;
    if (test_source != NULL) {
        state->source = *test_source;
    } else {
        status = machine_source(&state->source);
    }
    if (status != JB_OK) {
        return status;
    }
    state->visible = state->source.visible_cores > 0 ? state->source.visible_cores : 1;
    state->physical = state->source.physical_cores;
    struct jb_device_file *file = NULL;
    status = jb_device_open(choose_device(args), NULL, &file);
    if (status != JB_OK) {
        return status;
    }
    status = read_watts(state, file);
    (void)snprintf(state->device, sizeof state->device, "%s", jb_device_name(file));
    jb_device_close(file);
    if (state->physical < state->visible) {
        state->physical = state->visible;
    }
    state->last_wall_s = state->source.wall_s();
    state->last_cpu_s = state->source.cpu_s();
    state->joules = 0;
    return status;
}

static enum jb_status model_probe(const struct jb_meter_args *args,
                                  struct jb_meter_probe *ret_probe)
{
    struct jb_meter_state state = {0};
    *ret_probe = (struct jb_meter_probe){.what = ""};
    const enum jb_status status = model_open(&state, args);
    if (status == JB_OK) {
        (void)snprintf(ret_probe->what, sizeof ret_probe->what,
                       "%s: %.4g W idle, %.4g W busy, %.0f of %.0f cores, %s", state.device,
                       state.idle_w, state.active_w, state.visible, state.physical,
                       jb_class_name(state.domain.evidence));
    }
    return status;
}

static uint32_t model_domains(const struct jb_meter_state *state,
                              const struct jb_domain **ret_domains)
{
    *ret_domains = &state->domain;
    return 1;
}

static enum jb_status model_read(struct jb_meter_state *state, struct jb_reading *ret_reading)
{
    const double wall_s = state->source.wall_s();
    const double cpu_s = state->source.cpu_s();
    const double dt_s = wall_s - state->last_wall_s;
    const double cores_s = cpu_s - state->last_cpu_s;
    ret_reading->time_s = wall_s;
    if (!(dt_s >= 0) || !(cores_s >= 0)) {
        ret_reading->values[0] = jb_missing(); /* no CPU time, or a clock ran backwards */
        return JB_OK;
    }
    const double busy_s = fmin(cores_s, dt_s * state->visible);
    state->joules +=
        (state->idle_w * dt_s * state->visible + (state->active_w - state->idle_w) * busy_s) /
        state->physical;
    state->last_wall_s = wall_s;
    state->last_cpu_s = cpu_s;
    ret_reading->values[0] = state->joules;
    return JB_OK;
}

static void model_close(struct jb_meter_state *state)
{
    state->joules = 0;
}

const struct jb_meter jb_meter_model = {
    .name = "model",
    .summary = "Watts of a device file times the busy share; modelled or nameplate, never measured",
    .is_automatic = false,
    .state_size = sizeof(struct jb_meter_state),
    .probe = model_probe,
    .open = model_open,
    .domains = model_domains,
    .read = model_read,
    .close = model_close,
};
