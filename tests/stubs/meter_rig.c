/* SPDX-License-Identifier: MIT */
#include "tests/stubs/meter_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum jb_status rig_open(struct meter_rig *rig, const char *meter, const struct jb_meter_args *args)
{
    rig->meter = jb_meter_find(meter);
    assert_non_null(rig->meter);
    rig->state = calloc(1, rig->meter->state_size);
    assert_non_null(rig->state);
    const enum jb_status status = rig->meter->open(rig->state, args);
    if (status != JB_OK) {
        free(rig->state);
        rig->state = NULL;
        return status;
    }
    rig->n_domains = rig->meter->domains(rig->state, &rig->domains);
    assert_true(rig->n_domains <= JB_METER_MAX_DOMAINS);
    return JB_OK;
}

void rig_close(struct meter_rig *rig)
{
    rig->meter->close(rig->state);
    free(rig->state);
}

uint32_t rig_domain(const struct meter_rig *rig, const char *name)
{
    for (uint32_t i = 0; i < rig->n_domains; i++) {
        if (strcmp(rig->domains[i].name, name) == 0) {
            return i;
        }
    }
    fail_msg("meter %s has no domain %s", rig->meter->name, name);
    return 0;
}

double rig_value(struct meter_rig *rig, const char *name)
{
    struct jb_reading reading;
    assert_int_equal(rig->meter->read(rig->state, &reading), JB_OK);
    assert_false(jb_is_missing(reading.time_s));
    return reading.values[rig_domain(rig, name)];
}
