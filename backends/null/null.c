/* SPDX-License-Identifier: MIT */
/* Does nothing. What a run on it takes is the harness's own cost. */
#include "backends/backend.h"

struct jb_device {
    char nothing; /* C has no empty struct */
};

static enum jb_status null_probe(const struct jb_open_args *args, struct jb_probe *ret_probe)
{
    (void)args;
    *ret_probe = (struct jb_probe){.platform = JB_CPU, .device = "none", .n_devices = 1};
    return JB_OK;
}

static enum jb_status null_open(struct jb_device *dev, const struct jb_open_args *args)
{
    (void)dev;
    (void)args;
    return JB_OK;
}

static enum jb_status null_load(struct jb_device *dev, const struct jb_load_args *args)
{
    (void)dev;
    (void)args;
    return JB_OK;
}

static enum jb_status null_step(struct jb_device *dev, const struct jb_step *step)
{
    (void)dev;
    if (step->ret_ids != NULL) {
        const uint32_t n = jb_step_outputs(step);
        for (uint32_t i = 0; i < n; i++) {
            step->ret_ids[i] = 0;
        }
    }
    return JB_OK;
}

static enum jb_status null_reset(struct jb_device *dev)
{
    (void)dev;
    return JB_OK;
}

static void null_close(struct jb_device *dev)
{
    (void)dev;
}

extern const struct jb_backend jb_backend_null;
const struct jb_backend jb_backend_null = {
    .name = "null",
    .summary = "does nothing: shows what the harness itself costs",
    .caps = JB_CAP_NO_RESULT,
    .device_size = sizeof(struct jb_device),
    .probe = null_probe,
    .open = null_open,
    .load = null_load,
    .step = null_step,
    .reset = null_reset,
    .close = null_close,
};
