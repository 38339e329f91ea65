/* SPDX-License-Identifier: MIT */
/* Stands in where the build found no CUDA compiler: the backend is listed, with the reason. */
#include "backends/backend.h"

struct jb_device {
    char nothing;
};

static enum jb_status absent_probe(const struct jb_open_args *args, struct jb_probe *ret_probe)
{
    (void)args;
    (void)ret_probe;
    return jb_fail(JB_E_NODEV, "this build has no CUDA code: nvcc was not found when it was "
                               "configured");
}

static enum jb_status absent_open(struct jb_device *dev, const struct jb_open_args *args)
{
    struct jb_probe probe;
    (void)dev;
    return absent_probe(args, &probe);
}

static enum jb_status absent_load(struct jb_device *dev, const struct jb_load_args *args)
{
    (void)dev;
    (void)args;
    return JB_E_NODEV;
}

static enum jb_status absent_step(struct jb_device *dev, const struct jb_step *step)
{
    (void)dev;
    (void)step;
    return JB_E_NODEV;
}

static enum jb_status absent_reset(struct jb_device *dev)
{
    (void)dev;
    return JB_E_NODEV;
}

static void absent_close(struct jb_device *dev)
{
    (void)dev;
}

extern const struct jb_backend jb_backend_cuda;
const struct jb_backend jb_backend_cuda = {
    .name = "cuda",
    .summary = "NVIDIA GPU (this build has no CUDA code)",
    .device_size = sizeof(struct jb_device),
    .probe = absent_probe,
    .open = absent_open,
    .load = absent_load,
    .step = absent_step,
    .reset = absent_reset,
    .close = absent_close,
};
