/* SPDX-License-Identifier: MIT */
/* An outside plug-in, as somebody without our tree would write it against our public headers: it
 * answers each wanted row with the row's own id plus a constant. Built as a shared object, loaded
 * with jb_registry_load_plugin(). jb_fail() and the helpers of plan.h come from the program. */
#include <stdlib.h>
#include <string.h>

#include "backends/backend.h"

struct jb_device {
    int32_t shift;
    struct jb_load_args load;
};

static const struct jb_option options[] = {
    {.key = "shift", .unit = "", .fallback = "1", .help = "what is added to each id"},
    {.key = NULL},
};

static enum jb_status echo_probe(const struct jb_open_args *args, struct jb_probe *ret_probe)
{
    if (args->device != NULL) {
        return jb_fail(JB_E_NODEV, "echo: there is no device '%s'", args->device);
    }
    *ret_probe = (struct jb_probe){.platform = JB_CPU, .device = "echo", .n_devices = 1};
    return JB_OK;
}

static enum jb_status echo_open(struct jb_device *dev, const struct jb_open_args *args)
{
    const char *text = options[0].fallback;
    for (uint32_t i = 0; i < args->n_settings; i++) {
        text = strcmp(args->settings[i].key, "shift") == 0 ? args->settings[i].value : text;
    }
    char *end = NULL;
    const long shift = strtol(text, &end, 10);
    if (end == text || *end != '\0' || shift < 0 || shift > 1000) {
        return jb_fail(JB_E_INVAL, "echo: shift='%s' is no number from 0 to 1000", text);
    }
    dev->shift = (int32_t)shift;
    return JB_OK;
}

static enum jb_status echo_load(struct jb_device *dev, const struct jb_load_args *args)
{
    dev->load = *args;
    return JB_OK;
}

static enum jb_status echo_step(struct jb_device *dev, const struct jb_step *step)
{
    const enum jb_status status = jb_step_check(dev->load.plan, step, dev->load.max_seqs,
                                                dev->load.max_tokens, dev->load.context);
    int32_t *id = step->ret_ids;
    if (status != JB_OK || id == NULL) {
        return status;
    }
    for (uint32_t s = 0; s < step->n_seqs; s++) {
        const struct jb_seq *seq = &step->seqs[s];
        const uint32_t first = seq->want == JB_WANT_ALL    ? 0
                               : seq->want == JB_WANT_LAST ? seq->n_tokens - 1
                                                           : seq->n_tokens;
        for (uint32_t t = first; t < seq->n_tokens; t++) {
            const int32_t token = seq->tokens != NULL ? seq->tokens[t] : 0;
            *id++ = (token + dev->shift) % (int32_t)dev->load.plan->vocab;
        }
    }
    return JB_OK;
}

static enum jb_status echo_reset(struct jb_device *dev)
{
    (void)dev;
    return JB_OK;
}

static void echo_close(struct jb_device *dev)
{
    (void)dev;
}

static const struct jb_backend echo = {
    .name = "echo",
    .summary = "an example of an outside plug-in: answers ids with ids",
    .caps = JB_CAP_NO_RESULT,
    .device_size = sizeof(struct jb_device),
    .options = options,
    .probe = echo_probe,
    .open = echo_open,
    .load = echo_load,
    .step = echo_step,
    .reset = echo_reset,
    .close = echo_close,
};

extern const struct jb_plugin jb_plugin;
const struct jb_plugin jb_plugin = {.abi = JB_BACKEND_ABI, .backend = &echo};
