/* SPDX-License-Identifier: MIT */
#ifndef JB_SIMCORE_H
#define JB_SIMCORE_H

/* The one door for simulated backends: pim_sim, fpga_sim, asic_sim. Four parts, used alone or
 * together:
 *
 *   device    jb_sim_open_file(): the device's YAML with the user's --set values put in.
 *   memory    jb_sim_memory_*(): DRAM traffic in cycles, seconds and joules. Sequential streams of
 *             any length cost microseconds; patterns and command traces are ticked.
 *             A device that issues commands of its own (processing in memory) takes the parts
 *             below instead: mem_device.h, mem_timing.h, mem_stream.h, energy.h.
 *   account   jb_sim_timeline_*(): what each op took on each resource, and its joules by line.
 *   numbers   backends/refops/exec.h: a plan run by refops, with the device's own arithmetic for
 *             matmul and attention put in by hooks that use the mapping timing uses.
 *
 * A simulator's life: open() = jb_sim_open_file + jb_sim_memory_open; load() = size checks with
 * numbers in the refusal, jb_sim_timeline_create, jb_ref_exec_create when functional; step() =
 * jb_ref_exec_step (functional only), jb_sim_timeline_begin, then for each op of the step's range
 * cost it from jb_op_cost() and shapes and add charges; account() = jb_sim_timeline_end. Time and
 * joules come from shapes alone, so they are the same in both executions.
 *
 * Nothing here prints, exits or keeps state at file scope. Objects are used by one thread. */

#include "backends/backend.h"
#include "backends/simcore/energy.h"
#include "backends/simcore/mem_controller.h"
#include "backends/simcore/mem_device.h"
#include "backends/simcore/mem_stream.h"

/* ---- device ---- */

#ifdef __cplusplus
extern "C" {
#endif

/* Opens args->device, or `fallback` where it is NULL, as a file of `kind`, and puts in every
 * setting that `options` (ends with a NULL key; may be NULL) does not name. Afterwards the file is
 * as if the user had written it so. Settings in `options` are the backend's to read:
 * jb_sim_setting().
 * @return NODEV: no such file, or one of another kind; INVAL: a setting that is neither option nor
 * key of the file, or whose value is out of range: the reason names it; FORMAT: the file. */
enum jb_status jb_sim_open_file(const char *backend, const char *kind, const char *fallback,
                                const struct jb_device_key *schema, const struct jb_option *options,
                                const struct jb_open_args *args,
                                struct jb_device_file **ret_file) JB_MUST_CHECK;
/* The value given for an option, else its fallback in the table. NULL: no such option. */
const char *jb_sim_setting(const struct jb_open_args *args, const struct jb_option *options,
                           const char *key);

#ifdef __cplusplus
}
#endif

/* ---- commands on show ---- */

/* The way from a channel's log to the harness: hand jb_sim_show and one of these to
 * jb_mem_set_sink(). */
struct jb_sim_shown {
    const struct jb_mem_spec *spec;
    const struct jb_dram_sink *sink;
    uint32_t channel;
};

#ifdef __cplusplus
extern "C" {
#endif
/* @param ctx struct jb_sim_shown */
void jb_sim_show(void *ctx, const struct jb_mem_event *event);
#ifdef __cplusplus
}
#endif

/* ---- memory ---- */

struct jb_sim_memory;

struct jb_sim_memory_args {
    const struct jb_device_file *file; /* has the keys of mem_device.h                      */
    uint32_t n_channels; /* how many channels share the traffic; 0 = all of the file        */
    bool has_refresh;    /* all-bank, when due                                              */
    bool is_ideal;       /* peak bandwidth, no latency, no refresh; energy stays            */
    struct jb_mem_toggles toggles;       /* random data: {0.5, 0.5, 0.5}                   */
    const struct jb_dram_sink *commands; /* NULL = nobody asks; channel 0 is shown         */
};

/* Traffic of one kind. Channels share it evenly and work alike: one is simulated. */
struct jb_sim_move {
    bool is_write;
    enum jb_pattern pattern; /* RANDOM and STRIDED: READ only, each access one burst         */
    uint64_t bytes;          /* of all channels together; rounded up to bursts a channel     */
    uint64_t stride_bytes;   /* STRIDED: >= 1                                                */
    uint64_t seed;           /* RANDOM                                                       */
};

struct jb_sim_moved {
    uint64_t cycles; /* of the command clock, from the first command to the last data        */
    double time_s;
    uint64_t bytes; /* really moved, all channels                                           */
    uint64_t n_refreshes, row_cycles; /* of one channel: refreshes; cycles beyond the data bus' */
    uint64_t refresh_cycles;          /* part of `cycles` that refreshes cost                */
    double line_j[JB_MEM_N_LINES]; /* all channels, background of these cycles in; NaN = unknown */
};

#ifdef __cplusplus
extern "C" {
#endif

/* @return what jb_mem_spec_read() and jb_mem_energy_read() say; INVAL: more channels than the
 * file has; NOMEM. A file without currents is fine: its energy is NaN. */
enum jb_status jb_sim_memory_open(const struct jb_sim_memory_args *args,
                                  struct jb_sim_memory **ret_memory) JB_MUST_CHECK;
void jb_sim_memory_close(struct jb_sim_memory *memory); /* NULL is fine */

double jb_sim_memory_clock_hz(const struct jb_sim_memory *memory);
double jb_sim_memory_peak(const struct jb_sim_memory *memory);    /* bytes/s of the channels used */
uint64_t jb_sim_memory_bytes(const struct jb_sim_memory *memory); /* what they hold               */

/* What the traffic takes from all banks closed. Sequential traffic takes no allocation and no time
 * to speak of: jb_sim_memory_open() has simulated a stream of twelve refresh intervals, and longer
 * ones go on at the rate of its whole intervals (within 0.5 % of every command issued, a test).
 * With a sink every command is issued. 0 bytes take nothing.
 * @return INVAL: a stride of 0, or more than 1 GiB of RANDOM or STRIDED; NOMEM. */
enum jb_status jb_sim_memory_move(struct jb_sim_memory *memory, const struct jb_sim_move *move,
                                  struct jb_sim_moved *ret_moved) JB_MUST_CHECK;

/* Watts of the channels used while nothing moves: standby with rows closed, and refresh. NaN if
 * the file has no currents. */
double jb_sim_memory_idle_w(const struct jb_sim_memory *memory);

#ifdef __cplusplus
}
#endif

/* ---- account ---- */

/* Charges of one step and their ledger lines, in memory taken at load. */
struct jb_sim_timeline;

/* One part of an op on one resource. */
struct jb_sim_part {
    uint32_t op;
    uint16_t resource;
    double start_s, end_s; /* from the step's start */
    const double *line_j;  /* (n_lines,) copied; NULL = none                                 */
    uint64_t macs, read_bytes, write_bytes;
    enum jb_class time_class, energy_class;
};

#ifdef __cplusplus
extern "C" {
#endif

/* @param max_parts most charges of a step: parts an op x ops of the longest program. */
enum jb_status jb_sim_timeline_create(uint32_t n_lines, uint32_t max_parts,
                                      struct jb_sim_timeline **ret_timeline) JB_MUST_CHECK;
void jb_sim_timeline_free(struct jb_sim_timeline *timeline); /* NULL is fine */
/* Forgets all charges; the clock is at 0. */
void jb_sim_timeline_begin(struct jb_sim_timeline *timeline);
/* Last end so far: where what depends on everything before starts. */
double jb_sim_timeline_now(const struct jb_sim_timeline *timeline);
/* @return INVAL: ends before it starts, or more parts than promised. */
enum jb_status jb_sim_timeline_add(struct jb_sim_timeline *timeline,
                                   const struct jb_sim_part *part) JB_MUST_CHECK;
/* Adds to one line of charge number `index` (in the order they were added): what is only known at
 * the end, such as background power times the whole time. */
void jb_sim_timeline_add_j(struct jb_sim_timeline *timeline, uint32_t index, uint32_t line,
                           double energy_j);
/* The step's account; valid until the next begin. Classes are the weakest of the parts. */
struct jb_account jb_sim_timeline_end(const struct jb_sim_timeline *timeline);
/* Joules by line of the charges of one op. @param ret_line_j (n_lines,) @return their sum */
double jb_sim_timeline_op_j(const struct jb_sim_timeline *timeline, uint32_t op,
                            double *ret_line_j);

#ifdef __cplusplus
}
#endif
#endif
