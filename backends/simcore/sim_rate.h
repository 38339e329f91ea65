/* SPDX-License-Identifier: MIT */
#ifndef JB_SIMCORE_RATE_H
#define JB_SIMCORE_RATE_H

/* A memory as a machine that streams sees it: several alike devices of a standard, and what a byte
 * of a long sequential stream costs, from the command-level model of one of them. */

#include <stdbool.h>

#include "backends/simcore/simcore.h"

struct jb_sim_rate_args {
    const char *standard; /* device file of kind dram               */
    double n_devices;     /* >= 1                                   */
    double clock_hz;      /* NaN = the file's                       */
    bool has_refresh;
    const struct jb_dram_sink *commands; /* NULL = nobody asks */
};

/* Of all devices together. */
struct jb_sim_rate {
    double peak;      /* bytes/s                                         */
    double rate;      /* bytes/s of a long stream, refresh in            */
    double latency_s; /* of the first burst after a pause                */
    double bytes;     /* held                                            */
    double byte_j;    /* moved, without the time it takes; NaN = unknown */
    double idle_w;    /* standby and refresh; NaN = unknown              */
};

#ifdef __cplusplus
extern "C" {
#endif

/* @return what jb_device_open(), jb_device_set() and jb_sim_memory_open() say. */
enum jb_status jb_sim_rate_read(const struct jb_sim_rate_args *args,
                                struct jb_sim_rate *ret_rate) JB_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
