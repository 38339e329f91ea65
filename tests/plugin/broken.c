/* SPDX-License-Identifier: MIT */
/* Plug-ins that must be refused, one for each value of BROKEN. */
#include "backends/backend.h"

#define WRONG_ABI 1
#define NO_STEP 2
#define TAKEN_NAME 3
#define NO_SYMBOL 4
#define NO_BACKEND 5

struct jb_device {
    char nothing;
};

static enum jb_status probe(const struct jb_open_args *args, struct jb_probe *ret_probe)
{
    (void)args;
    *ret_probe = (struct jb_probe){.platform = JB_CPU, .device = "broken", .n_devices = 1};
    return JB_OK;
}

static enum jb_status open_device(struct jb_device *dev, const struct jb_open_args *args)
{
    (void)dev;
    (void)args;
    return JB_OK;
}

static enum jb_status load(struct jb_device *dev, const struct jb_load_args *args)
{
    (void)dev;
    (void)args;
    return JB_OK;
}

static enum jb_status step(struct jb_device *dev, const struct jb_step *one)
{
    (void)dev;
    (void)one;
    return JB_OK;
}

static enum jb_status reset(struct jb_device *dev)
{
    (void)dev;
    return JB_OK;
}

static void close_device(struct jb_device *dev)
{
    (void)dev;
}

static const struct jb_backend broken = {
    .name = BROKEN == TAKEN_NAME ? "null" : "broken",
    .summary = "refused",
    .caps = JB_CAP_NO_RESULT,
    .device_size = sizeof(struct jb_device),
    .probe = probe,
    .open = open_device,
    .load = load,
    .step = BROKEN == NO_STEP ? NULL : step,
    .reset = reset,
    .close = close_device,
};

/* Under another name there is no symbol jb_plugin. */
#if BROKEN == NO_SYMBOL
#define PLUGIN jb_plugin_of_another_name
#else
#define PLUGIN jb_plugin
#endif
extern const struct jb_plugin PLUGIN;
const struct jb_plugin PLUGIN = {
    .abi = BROKEN == WRONG_ABI ? JB_BACKEND_ABI + 1 : JB_BACKEND_ABI,
    .backend = BROKEN == NO_BACKEND ? NULL : &broken,
};
