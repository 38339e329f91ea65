/* SPDX-License-Identifier: MIT */
#ifndef JB_EMULATOR_LAUNCH_H
#define JB_EMULATOR_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>

/* Kernels take one structure by value. Any of them lies in memory where the call puts a larger
 * one, so one type serves for all. */
enum { EMU_PARAM_BYTES = 1024 };
struct emu_params {
    uint8_t bytes[EMU_PARAM_BYTES] __attribute__((aligned(8)));
};
typedef void (*emu_kernel)(struct emu_params);

struct emu_request {
    emu_kernel kernel;
    uint8_t params[EMU_PARAM_BYTES];
    uint32_t grid[3], n_threads, shared_bytes;
    bool is_cooperative;
};

#ifdef __cplusplus
extern "C"
#endif
    void
    emu_launch(const struct emu_request *request);

#endif
