/* SPDX-License-Identifier: MIT */
/* A modelled device for tests: 1 ms and 2 J a token, half of the energy in each ledger line, and
 * ids that follow from what is fed. --set ids=none returns ids that are none. */
#include <stdint.h>
#include <string.h>

#include "backends/backend.h"

struct jb_device {
    uint32_t vocab;
    uint32_t n_tokens; /* of the last step */
    bool is_broken;
    double lines_j[2];
    struct jb_charge charge;
};

static enum jb_status probe(const struct jb_open_args *args, struct jb_probe *ret_probe)
{
    (void)args;
    *ret_probe = (struct jb_probe){.platform = JB_PIM, .device = "test ledger", .n_devices = 1};
    return JB_OK;
}

static enum jb_status open_it(struct jb_device *dev, const struct jb_open_args *args)
{
    for (uint32_t i = 0; i < args->n_settings; i++) {
        dev->is_broken = strcmp(args->settings[i].value, "none") == 0;
    }
    return JB_OK;
}

static enum jb_status load(struct jb_device *dev, const struct jb_load_args *args)
{
    dev->vocab = args->plan->vocab;
    return JB_OK;
}

static enum jb_status step(struct jb_device *dev, const struct jb_step *step)
{
    uint32_t at = 0;
    dev->n_tokens = jb_step_tokens(step);
    for (uint32_t s = 0; s < step->n_seqs; s++) {
        const struct jb_seq *seq = &step->seqs[s];
        if (step->ret_ids != NULL && seq->want == JB_WANT_LAST) {
            const uint32_t id = (uint32_t)seq->tokens[seq->n_tokens - 1] * 7 + seq->pos;
            step->ret_ids[at++] = dev->is_broken ? -1 : (int32_t)(id % dev->vocab);
        }
    }
    return JB_OK;
}

static enum jb_status account(struct jb_device *dev, struct jb_account *ret_account)
{
    dev->lines_j[0] = dev->n_tokens;
    dev->lines_j[1] = dev->n_tokens;
    dev->charge = (struct jb_charge){.end_s = 1e-3 * dev->n_tokens,
                                     .energy_j = dev->lines_j,
                                     .time_class = JB_CLASS_SIMULATED,
                                     .energy_class = JB_CLASS_MODELLED};
    *ret_account = (struct jb_account){.charges = &dev->charge,
                                       .n_charges = 1,
                                       .time_s = dev->charge.end_s,
                                       .energy_j = 2.0 * dev->n_tokens,
                                       .time_class = JB_CLASS_SIMULATED,
                                       .energy_class = JB_CLASS_MODELLED};
    return JB_OK;
}

static enum jb_status reset(struct jb_device *dev)
{
    (void)dev;
    return JB_OK;
}

static void close_it(struct jb_device *dev)
{
    (void)dev;
}

static const struct jb_option options[] = {
    {"ids", "", "good", "none: every returned id is outside the vocabulary."},
    {0},
};
static const char *const resources[] = {"unit", NULL};
static const char *const ledger_lines[] = {"logic", "memory", NULL};

static const struct jb_backend backend = {.name = "ledger",
                                          .summary = "1 ms and 2 J a token, for tests",
                                          .caps = JB_CAP_MODELLED,
                                          .device_size = sizeof(struct jb_device),
                                          .options = options,
                                          .resources = resources,
                                          .ledger_lines = ledger_lines,
                                          .probe = probe,
                                          .open = open_it,
                                          .load = load,
                                          .step = step,
                                          .account = account,
                                          .reset = reset,
                                          .close = close_it};

extern __attribute__((visibility("default"))) const struct jb_plugin jb_plugin;
const struct jb_plugin jb_plugin = {.abi = JB_BACKEND_ABI, .backend = &backend};
