/* SPDX-License-Identifier: MIT */
#include "backends/simcore/sim_rate.h"

#include <stdio.h>

static enum jb_status measure(struct jb_sim_memory *memory, double n_devices,
                              struct jb_sim_rate *ret)
{
    const struct jb_sim_move first = {.bytes = 1}, stream = {.bytes = UINT64_C(64) << 20};
    struct jb_sim_moved one, many;
    enum jb_status status = jb_sim_memory_move(memory, &first, &one);
    if (status == JB_OK) {
        status = jb_sim_memory_move(memory, &stream, &many);
    }
    if (status != JB_OK) {
        return status;
    }
    const double moved = (double)many.bytes;
    const double idle_w = jb_sim_memory_idle_w(memory);
    double stream_j = 0;
    for (uint32_t line = 0; line < JB_MEM_N_LINES; line++) {
        stream_j += many.line_j[line];
    }
    *ret = (struct jb_sim_rate){.peak = jb_sim_memory_peak(memory) * n_devices,
                                .rate = moved / many.time_s * n_devices,
                                .latency_s = one.time_s,
                                .bytes = (double)jb_sim_memory_bytes(memory) * n_devices,
                                .byte_j = (stream_j - idle_w * many.time_s) / moved,
                                .idle_w = idle_w * n_devices};
    return JB_OK;
}

enum jb_status jb_sim_rate_read(const struct jb_sim_rate_args *args, struct jb_sim_rate *ret_rate)
{
    struct jb_device_file *dram = NULL;
    struct jb_sim_memory *memory = NULL;
    enum jb_status status = jb_device_open(args->standard, jb_mem_device_schema, &dram);
    if (status == JB_OK && !jb_is_missing(args->clock_hz)) {
        char text[40];
        (void)snprintf(text, sizeof text, "%.9g Hz", args->clock_hz);
        status = jb_device_set(dram, "command_clock", text);
    }
    if (status == JB_OK) {
        const struct jb_sim_memory_args memory_args = {.file = dram,
                                                       .has_refresh = args->has_refresh,
                                                       .toggles = {0.5, 0.5, 0.5},
                                                       .commands = args->commands};
        status = jb_sim_memory_open(&memory_args, &memory);
    }
    if (status == JB_OK) {
        status = measure(memory, args->n_devices, ret_rate);
    }
    jb_sim_memory_close(memory);
    jb_device_close(dram);
    return status;
}
