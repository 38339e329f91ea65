/* SPDX-License-Identifier: MIT */
#ifndef JB_METER_H
#define JB_METER_H

/* The contract of a power, energy or counter source; the same form as backends.
 *
 * probe (any time) ; open -> read* -> close. After a failed open() nothing is held. All calls on
 * one meter come from one thread at a time; two different meters may be read by two threads.
 * read() allocates nothing. A meter with a source that takes a millisecond or more to answer leaves
 * that source out in sample(), so that sampling does not load the machine that is measured. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platforms/base/status.h"
#include "platforms/base/units.h"

#define JB_METER_MAX_DOMAINS 64

enum jb_scope {
    JB_SCOPE_CORE,
    JB_SCOPE_PACKAGE,
    JB_SCOPE_DRAM,
    JB_SCOPE_BOARD,  /* one accelerator card           */
    JB_SCOPE_MODULE, /* CPU + accelerator of one module */
    JB_SCOPE_SYSTEM, /* psys: the platform behind its supply */
    JB_SCOPE_WALL,
    JB_SCOPE_PROCESS, /* counters of this process       */
    JB_SCOPE_MODEL    /* what the device file describes */
};
const char *jb_scope_name(enum jb_scope scope); /* "package" */

enum jb_quantity {
    JB_QUANTITY_ENERGY, /* cumulative joules since open, wraps already unrolled */
    JB_QUANTITY_POWER,  /* watts                                               */
    JB_QUANTITY_COUNT,  /* cumulative events since open                        */
    JB_QUANTITY_STATE   /* a level: degrees Celsius, hertz, flags              */
};

/* One thing a meter reads. */
struct jb_domain {
    char name[48]; /* "package-0", "gpu-0/energy", "instructions" */
    enum jb_quantity quantity;
    enum jb_scope scope;
    const char *unit;       /* "J" "W" "1" "C" "Hz"                                       */
    bool is_in_total;       /* joins the meter's total: never a domain inside another one
                               (psys holds package holds core), never a device we don't use */
    double update_period_s; /* how often the sensor changes; NaN = unknown                 */
    double average_s;       /* window the sensor averages over; 0 = instant; NaN = unknown */
    double accuracy;        /* relative, stated by a source; NaN = unstated                */
    enum jb_class evidence; /* MEASURED, MODELLED or NAMEPLATE                             */
};

struct jb_reading {
    double time_s;                       /* jb_clock_s() at the reading                        */
    double values[JB_METER_MAX_DOMAINS]; /* by domain; NaN = could not be read this time       */
};

struct jb_meter_probe {
    char what[160];   /* "Intel RAPL through powercap: package-0, dram-0"          */
    char unlock[160]; /* when probe fails for permission: the one command that an administrator
                         would run; "" otherwise                                   */
};

struct jb_meter_args {
    const char *arg;    /* text after ':' in --meter NAME:ARG (replay:trace.csv, nvml:0); NULL */
    const char *device; /* --device, for the model meter and to pick a card; NULL             */
    uint32_t n_threads; /* threads the backend uses                                           */
};

struct jb_meter_state; /* each meter defines its own in its own .c */

struct jb_meter {
    const char *name;    /* = file name = --meter value */
    const char *summary; /* one line for `list meters`  */
    bool is_automatic;   /* --meter auto may pick it (never the model, replay or null)  */
    size_t state_size;   /* the caller gives that many zeroed bytes                     */
    /* What it would read here. Fails with NODEV (no such sensor), PERM (and `unlock`), NOTSUP.
     * A counter that is there and never ticks is not found here but while measuring: `stuck`. */
    enum jb_status (*probe)(const struct jb_meter_args *args, struct jb_meter_probe *ret_probe);
    enum jb_status (*open)(struct jb_meter_state *state, const struct jb_meter_args *args);
    uint32_t (*domains)(const struct jb_meter_state *state, const struct jb_domain **ret_domains);
    /* @return JB_OK also when single domains are NaN; DEVICE when the source is gone. */
    enum jb_status (*read)(struct jb_meter_state *state, struct jb_reading *ret_reading);
    /* The same between the edges of a window, without cumulative energy that is slow to read and
     * cannot wrap there: those values are NaN. NULL = read() serves. */
    enum jb_status (*sample)(struct jb_meter_state *state, struct jb_reading *ret_reading);
    void (*close)(struct jb_meter_state *state);
};

#ifdef __cplusplus
extern "C" {
#endif

/* The meters of this build, in the order in which `auto` tries them. */
uint32_t jb_meter_count(void);
const struct jb_meter *jb_meter_at(uint32_t index);
const struct jb_meter *jb_meter_find(const char *name); /* NULL with a reason listing the names */

#ifdef __cplusplus
}
#endif
#endif
