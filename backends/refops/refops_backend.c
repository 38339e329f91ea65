/* SPDX-License-Identifier: MIT */
/* The plain-C backend: refops' executor as it is. */
#include "backends/backend.h"
#include "backends/refops/exec.h"

struct jb_device {
    struct jb_ref_exec *exec;
};

static enum jb_status refops_probe(const struct jb_open_args *args, struct jb_probe *ret_probe)
{
    if (args->device != NULL) {
        return jb_fail(JB_E_NODEV, "refops: there is no device '%s'; it runs on this CPU only",
                       args->device);
    }
    *ret_probe =
        (struct jb_probe){.platform = JB_CPU, .device = "plain C, one thread", .n_devices = 1};
    return JB_OK;
}

static enum jb_status refops_open(struct jb_device *dev, const struct jb_open_args *args)
{
    (void)dev;
    struct jb_probe probe;
    return refops_probe(args, &probe);
}

static enum jb_status refops_load(struct jb_device *dev, const struct jb_load_args *args)
{
    if (args->execution != JB_EXECUTE_FUNCTIONAL) {
        return jb_fail(JB_E_NOTSUP,
                       "refops: computes every op, so timing-only execution is not for it");
    }
    return jb_ref_exec_create("refops", args, NULL, &dev->exec);
}

static enum jb_status refops_step(struct jb_device *dev, const struct jb_step *step)
{
    return jb_ref_exec_step(dev->exec, step);
}

static enum jb_status refops_reset(struct jb_device *dev)
{
    jb_ref_exec_reset(dev->exec);
    return JB_OK;
}

static void refops_close(struct jb_device *dev)
{
    jb_ref_exec_free(dev->exec);
}

extern const struct jb_backend jb_backend_refops;
const struct jb_backend jb_backend_refops = {
    .name = "refops",
    .summary = "plain C on one thread: the numbers others are tested against",
    .device_size = sizeof(struct jb_device),
    .probe = refops_probe,
    .open = refops_open,
    .load = refops_load,
    .step = refops_step,
    .reset = refops_reset,
    .close = refops_close,
};
