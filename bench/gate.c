/* SPDX-License-Identifier: MIT */
#include "bench/gate.h"

#include <math.h>
#include <stddef.h>

#include "platforms/devices/device_file.h"

void jb_peaks_read(const char *device, const struct jb_host *host, struct jb_peaks *ret_peaks)
{
    struct jb_device_file *file = NULL;
    *ret_peaks = (struct jb_peaks){.memory_bytes_per_s = jb_missing(),
                                   .op_per_s = jb_missing(),
                                   .limit_w = jb_missing(),
                                   .cache_bytes = jb_missing()};
    if (host != NULL && host->l3_bytes > 0) {
        ret_peaks->cache_bytes = (double)host->l3_bytes * (host->n_l3 > 0 ? host->n_l3 : 1);
    }
    if (device == NULL || jb_device_open_common(device, &file) != JB_OK) {
        return;
    }
    static const char *const rates[] = {"f32_op_per_s", "f16_op_per_s", "int8_op_per_s"};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        /* fmax() passes over NaN */
        ret_peaks->op_per_s = fmax(ret_peaks->op_per_s, jb_device_number(file, rates[i]));
    }
    ret_peaks->memory_bytes_per_s = jb_device_number(file, "memory_bytes_per_s");
    ret_peaks->limit_w = jb_device_number(file, "limit_w");
    ret_peaks->cache_bytes =
        fmax(ret_peaks->cache_bytes, jb_device_number(file, "last_level_cache_bytes"));
    jb_device_close(file);
}

struct work {
    const struct jb_plan *plan;
    double bytes, ops;
};

static void add_step(void *ctx, const struct jb_step *step)
{
    struct work *work = ctx;
    struct jb_cost cost;
    jb_step_cost(work->plan, step, &cost);
    work->bytes +=
        (double)cost.weight_bytes + (double)cost.kv_read_bytes + (double)cost.kv_write_bytes;
    work->ops += 2 * (double)cost.macs;
}

double jb_gate_least_s(const struct jb_phases *phases, enum jb_phase phase,
                       const struct jb_peaks *peaks, double resident_bytes, const char **ret_reason)
{
    struct work work = {.plan = phases->args.plan};
    const bool is_cached = !(resident_bytes > JB_CACHE_FACTOR * peaks->cache_bytes);
    double memory_s = jb_missing();
    jb_phases_each_step(phases, phase, add_step, &work);
    if (!is_cached) {
        memory_s = work.bytes / peaks->memory_bytes_per_s;
    }
    const double least_s = fmax(memory_s, work.ops / peaks->op_per_s);
    *ret_reason = "";
    if (jb_is_missing(least_s)) {
        *ret_reason = jb_is_missing(peaks->memory_bytes_per_s) ? "no-peak" : "fits-cache";
    }
    return least_s;
}
