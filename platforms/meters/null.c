/* SPDX-License-Identifier: MIT */
/* No meter: opens, reads the clock, has no domains. For runs that want tokens/s alone, and for
 * the cost of measuring itself. */
#include <stdio.h>

#include "platforms/meters/internal.h"
#include "platforms/os/os.h"

struct jb_meter_state {
    bool is_open;
};

static enum jb_status null_probe(const struct jb_meter_args *args, struct jb_meter_probe *ret_probe)
{
    (void)args;
    *ret_probe = (struct jb_meter_probe){.what = "no meter: time alone, no energy"};
    return JB_OK;
}

static enum jb_status null_open(struct jb_meter_state *state, const struct jb_meter_args *args)
{
    (void)args;
    state->is_open = true;
    return JB_OK;
}

static uint32_t null_domains(const struct jb_meter_state *state,
                             const struct jb_domain **ret_domains)
{
    (void)state;
    *ret_domains = NULL;
    return 0;
}

static enum jb_status null_read(struct jb_meter_state *state, struct jb_reading *ret_reading)
{
    (void)state;
    ret_reading->time_s = jb_clock_s();
    return JB_OK;
}

static void null_close(struct jb_meter_state *state)
{
    state->is_open = false;
}

const struct jb_meter jb_meter_null = {
    .name = "null",
    .summary = "No meter: time alone, energy stays empty",
    .is_automatic = false,
    .state_size = sizeof(struct jb_meter_state),
    .probe = null_probe,
    .open = null_open,
    .domains = null_domains,
    .read = null_read,
    .close = null_close,
};
