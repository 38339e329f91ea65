/* SPDX-License-Identifier: MIT */
#ifndef JB_TEST_STANDARDS_H
#define JB_TEST_STANDARDS_H

/* The shipped memory standards, one channel each. After cmocka.h and math.h. */

#include <math.h>
#include <stdlib.h>

#include "backends/simcore/mem_device.h"

static const char *const standards[] = {"hbm2",      "hbm2e",     "hbm3",       "gddr6",
                                        "ddr4-3200", "ddr5-4800", "lpddr5-6400"};
enum { N_STANDARDS = sizeof standards / sizeof standards[0] };

static inline struct jb_mem_spec read_standard(const char *name)
{
    struct jb_device_file *file = NULL;
    struct jb_mem_spec spec;
    if (jb_device_open(name, jb_mem_device_schema, &file) != JB_OK ||
        jb_mem_spec_read(file, &spec) != JB_OK) {
        fail_msg("%s", jb_reason());
        exit(1); /* never reached, which an analyser cannot know */
    }
    /* A channel moves its share of the device's peak, and holds its share of the bytes. */
    const double channels = jb_device_number(file, "channels");
    const double peak = spec.clock_hz / spec.t[JB_MEM_T_BL] * spec.burst_bytes * spec.n_pseudo;
    assert_true(fabs(peak * channels / jb_device_number(file, "memory_bytes_per_s") - 1) < 0.005);
    assert_true((double)jb_mem_bytes(&spec) * channels == jb_device_number(file, "memory_bytes"));
    jb_device_close(file);
    return spec;
}

#endif
