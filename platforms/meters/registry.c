/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "platforms/meters/internal.h"

static const struct jb_meter *const meters[] = {
    &jb_meter_nvml,  &jb_meter_powercap, &jb_meter_perf,   &jb_meter_papi,
    &jb_meter_hwmon, &jb_meter_model,    &jb_meter_replay, &jb_meter_null,
};

#define N_METERS ((uint32_t)(sizeof meters / sizeof meters[0]))

uint32_t jb_meter_count(void)
{
    return N_METERS;
}

const struct jb_meter *jb_meter_at(uint32_t index)
{
    return index < N_METERS ? meters[index] : NULL;
}

const struct jb_meter *jb_meter_find(const char *name)
{
    char names[JB_REASON_MAX] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < N_METERS; i++) {
        if (strcmp(meters[i]->name, name) == 0) {
            return meters[i];
        }
        const int n = snprintf(names + used, sizeof names - used, " %s", meters[i]->name);
        if (n > 0 && (size_t)n < sizeof names - used) {
            used += (size_t)n;
        }
    }
    (void)jb_fail(JB_E_INVAL, "meter '%s' is not known; this build has:%s", name, names);
    return NULL;
}

const char *jb_scope_name(enum jb_scope scope)
{
    static const char *const names[] = {
        [JB_SCOPE_CORE] = "core",   [JB_SCOPE_PACKAGE] = "package", [JB_SCOPE_DRAM] = "dram",
        [JB_SCOPE_BOARD] = "board", [JB_SCOPE_MODULE] = "module",   [JB_SCOPE_SYSTEM] = "system",
        [JB_SCOPE_WALL] = "wall",   [JB_SCOPE_PROCESS] = "process", [JB_SCOPE_MODEL] = "model",
    };
    const int index = (int)scope;
    if (index < 0 || index >= (int)(sizeof names / sizeof names[0])) {
        return "unknown";
    }
    return names[index];
}
