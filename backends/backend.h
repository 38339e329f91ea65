/* SPDX-License-Identifier: MIT */
#ifndef JB_BACKEND_H
#define JB_BACKEND_H

/* The contract between the harness and a thing that runs the workload.
 *
 * One folder = one backend = one --backend value. A backend works and answers questions; the
 * harness owns clocks, meters, statistics and printing. A real device is timed by the harness
 * around step() + sync(); a modelled device answers with account().
 *
 * Life cycle: probe (any time) ; open -> load -> (step | sync | account | reset)* -> close.
 * After a failed open() the backend holds nothing and close() is not called; after any other
 * failure close() is the only legal call. All calls for one device come from one thread.
 * Workers a backend starts are idle when step() (with ASYNC: sync()) returns.
 * step() allocates nothing, logs nothing, does no file I/O. Tables are const; no mutable
 * file-scope state: two devices of one backend can be open at once. */

#include "backends/plan.h"
#include "platforms/base/status.h"
#include "platforms/base/units.h"

/* First thing that is compared when an outside plug-in is loaded. */
#define JB_BACKEND_ABI 2u

enum jb_platform { JB_CPU, JB_GPU, JB_FPGA, JB_ASIC, JB_PIM };
const char *jb_platform_name(enum jb_platform platform); /* "cpu" */

enum jb_cap {
    JB_CAP_MODELLED = 1u << 0, /* time and energy come from account(), not from clocks and meters */
    JB_CAP_ASYNC = 1u << 1,    /* step() may return early; results stand only after sync()        */
    JB_CAP_NO_RESULT = 1u << 2, /* ids and logits are not computed (the null backend)             */
    JB_CAP_DEVICE_KEYS = 1u << 3 /* settings may also name a value of the device file; probe()
                                    answers INVAL for a name that is in neither table            */
};

/* A setting that --set KEY=VALUE may give. The harness refuses keys not in the table. */
struct jb_option {
    const char *key;
    const char *unit;     /* "" if it has none */
    const char *fallback; /* value used when it is not given */
    const char *help;     /* one sentence */
};
struct jb_setting {
    const char *key, *value;
};

/* One command of a simulated memory. UINT32_MAX = does not apply to this command. */
struct jb_dram_command {
    uint64_t cycle; /* of the memory's command clock, from the timeline's begin */
    const char *name;
    uint32_t channel, pseudo, rank, group, bank; /* each counted in the part above it */
    uint32_t row, column;                        /* column: a burst of the row        */
};

/* Who wants to see the commands (--trace-commands). The harness writes the file. */
struct jb_dram_sink {
    /* A new timeline: cycle 0, all banks closed; "matmul 4096x4096 f16". Commands that follow
     * belong to it, each channel's in order of time. */
    void (*begin)(void *ctx, const char *what);
    void (*put)(void *ctx, const struct jb_dram_command *command);
    void *ctx;
};

struct jb_open_args {
    const char *device; /* --device: a name of `list devices`, or a file; NULL = the default   */
    const struct jb_setting *settings; /* (n_settings,) each key is in the option table, once   */
    uint32_t n_settings;
    const uint32_t *pus; /* (n_threads,) operating-system numbers of the processing units to use,
                            one a worker, in order; NULL = leave the threads unpinned           */
    uint32_t n_threads;  /* host threads, >= 1                                                  */
    uint64_t seed;
    /* MODELLED with a memory: every command goes here as it is issued, in step() and exercise();
     * closed forms are ticked then. NULL = nobody asks, the usual case. Outlives close(). */
    const struct jb_dram_sink *commands;
};

struct jb_probe {
    enum jb_platform platform; /* follows the real device type                     */
    char device[128];          /* what it is: "AMD EPYC 9xx4 (avx512)"              */
    uint32_t n_devices;        /* 1 unless several work together                   */
    uint64_t memory_bytes;     /* 0 = does not apply                               */
};

enum jb_execution {
    JB_EXECUTE_FUNCTIONAL, /* every op is computed: ids and logits exist                       */
    JB_EXECUTE_TIMING      /* modelled backends only: plan->weights is NULL, no tensor is read */
};

/* Sizes promised for the life of a load: no step exceeds them. */
struct jb_load_args {
    const struct jb_plan *plan; /* outlives close(); may be pointed at */
    uint32_t max_seqs;          /* KV slots                            */
    uint32_t max_tokens;        /* tokens (T) a step                   */
    uint32_t max_outputs;       /* outputs (O) a step                  */
    uint32_t context;           /* positions a slot, <= plan->max_context */
    enum jb_execution execution;
};

/* One resource's part in one op of the last step of a modelled device. Times are seconds from the
 * step's start; charges may overlap in time on different resources. */
struct jb_charge {
    uint32_t op;       /* index in the program */
    uint16_t resource; /* index in the backend's resources */
    double start_s, end_s;
    const double *energy_j; /* (n_ledger_lines,) joules by line; NaN = not modelled, which makes
                               the total NaN; NULL = this charge has no energy of its own       */
    uint64_t macs, read_bytes, write_bytes;
    enum jb_class time_class, energy_class;
};

struct jb_account {
    const struct jb_charge *charges; /* (n_charges,) valid until the next call on the device */
    uint64_t n_charges;
    double time_s;   /* last end_s                                                */
    double energy_j; /* sum over charges and lines, background to time_s included */
    enum jb_class time_class, energy_class; /* weakest of the parts               */
};

/* Cycles of one cause. */
struct jb_part {
    const char *name; /* "mac", "broadcast", "row_switch", "refresh", "mode", "readout" */
    uint64_t cycles;
};

/* What one op did on a modelled device, in cycles of the device's own clock (DRAM command clock of
 * a memory, fabric or array clock of the others): from the first command to the last result read
 * out; broadcast, mode change and refresh in, loading of weights into the memory and host work out.
 */
struct jb_op_detail {
    double clock_hz;      /* NaN on a real device                                              */
    uint64_t cycles;      /* 0 on a real device                                                */
    uint64_t bytes, macs; /* what really moved and ran, padding in                             */
    double bound_s;  /* least time by the device's peak bandwidth and MAC rate; NaN = unknown */
    double energy_j; /* NaN = not modelled                                                */
    const double *line_j; /* (n_ledger_lines,) parts of energy_j; NULL = not modelled          */
    /* (n_parts,) exclusive, sum = cycles; the first is useful work, the others what it waited
     * for. Valid until the next call on the device. */
    const struct jb_part *parts;
    uint32_t n_parts;
    /* What the device chose, as words: "mapping=n tiles=4"; NULL = nothing. As long as parts. */
    const char *choices;
};

/* Work without a model, for ceilings and for looking inside a memory. */
enum jb_exercise_kind { JB_EXERCISE_READ, JB_EXERCISE_COPY, JB_EXERCISE_MACS };
enum jb_pattern { JB_SEQUENTIAL, JB_RANDOM, JB_STRIDED };
struct jb_exercise {
    enum jb_exercise_kind kind;
    enum jb_pattern pattern; /* READ                                                           */
    uint64_t bytes;          /* READ, COPY: bytes read                                         */
    uint64_t stride_bytes;   /* STRIDED: from one access to the next                           */
    uint64_t macs;           /* MACS: about so many                                            */
    const char *number;      /* MACS: "f32" "f16" "bf16" "int8" "fp8"                          */
};

struct jb_device; /* each backend defines its own in its own .c */

struct jb_backend {
    const char *name;    /* = folder name = --backend value, [a-z0-9_]+ */
    const char *summary; /* one line for `list backends`                */
    unsigned caps;       /* JB_CAP_*                                    */
    size_t device_size;  /* sizeof(struct jb_device); the harness gives that many zeroed bytes,
                            aligned as by malloc */
    const struct jb_option *options; /* ends with a NULL key; NULL = none                  */
    const char *const *resources;    /* MODELLED: names, NULL-terminated                   */
    const char *const *ledger_lines; /* MODELLED: energy lines, NULL-terminated            */

    /* What the device is. Cheap, allocates nothing on it.
     * NODEV or PERM or NOTSUP with a reason when it cannot be used: the harness then skips it. */
    enum jb_status (*probe)(const struct jb_open_args *args, struct jb_probe *ret_probe);
    enum jb_status (*open)(struct jb_device *dev, const struct jb_open_args *args);
    /* Takes memory, converts weights. Once an open. Refuses a plan with an op, dtype or size it
     * lacks: NOTSUP with a reason that names it; NOMEM with needed and available bytes. The same
     * dispatch table answers "can" and "do". */
    enum jb_status (*load)(struct jb_device *dev, const struct jb_load_args *args);
    enum jb_status (*step)(struct jb_device *dev, const struct jb_step *step);
    enum jb_status (*sync)(struct jb_device *dev); /* ASYNC only, else NULL */
    /* MODELLED only, else NULL: the last step's time and energy. */
    enum jb_status (*account)(struct jb_device *dev, struct jb_account *ret_account);
    /* MODELLED, may be NULL: op `op` of the last step from the inside. */
    enum jb_status (*detail)(struct jb_device *dev, uint32_t op, struct jb_op_detail *ret_detail);
    /* May be NULL. Legal from open() to close(), loaded or not. A real device is timed by the
     * harness around exercise() + sync() and says in ret_detail only what it moved and ran.
     * NOTSUP with a reason for a pattern or number it lacks. */
    enum jb_status (*exercise)(struct jb_device *dev, const struct jb_exercise *what,
                               struct jb_op_detail *ret_detail);
    /* Forgets all KV slots; the weights stay. */
    enum jb_status (*reset)(struct jb_device *dev);
    void (*close)(struct jb_device *dev);
};

/* What a plug-in shared object exports under the symbol "jb_plugin". */
struct jb_plugin {
    uint32_t abi; /* JB_BACKEND_ABI of the header it was built with; read before anything else */
    const struct jb_backend *backend;
};

#endif
