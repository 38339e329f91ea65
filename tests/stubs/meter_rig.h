/* SPDX-License-Identifier: MIT */
#ifndef JB_TEST_METER_RIG_H
#define JB_TEST_METER_RIG_H

/* An opened meter and short ways to ask it; fails the running test on misuse. */

#include "platforms/meters/meter.h"

struct meter_rig {
    const struct jb_meter *meter;
    struct jb_meter_state *state;
    const struct jb_domain *domains;
    uint32_t n_domains;
};

/* Holds something only if JB_OK is returned. */
enum jb_status rig_open(struct meter_rig *rig, const char *meter, const struct jb_meter_args *args);
void rig_close(struct meter_rig *rig);
/* Index of a domain by name; fails the test if it is not there. */
uint32_t rig_domain(const struct meter_rig *rig, const char *name);
/* Reads all, hands out one domain's value. */
double rig_value(struct meter_rig *rig, const char *name);

#endif
