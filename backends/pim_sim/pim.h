/* SPDX-License-Identifier: MIT */
#ifndef JB_PIM_H
#define JB_PIM_H

/* What the files of pim_sim share. A machine is `n_pools` pools of `n_channels` channels; the
 * channels of a pool share a feed (host bus or device buffer), pools are joined by links. */

#include "backends/refops/exec.h"
#include "backends/simcore/simcore.h"

enum pim_flow { PIM_GLOBAL_BUFFER, PIM_REGISTER_FILE, PIM_DPU };

/* Number formats of operands and sums. INT8: blocks of 32 with a scale, as Q8_0. */
enum pim_number { PIM_F32, PIM_F16, PIM_BF16, PIM_INT8 };

/* Timings beyond the standard ones, for rules. */
enum pim_t {
    PIM_T_MAC = JB_MEM_T_N_STANDARD,
    PIM_T_MODE,
    PIM_T_RCD_MAC,
    PIM_T_REG_READ,
    PIM_T_REG_WRITE,
    PIM_T_REG_RTW,
    PIM_T_ONE
};

/* Parts of an op's cycles, in the order of jb_op_detail; FLOW.md says what belongs to which. */
enum pim_part {
    PIM_PART_MAC,
    PIM_PART_BROADCAST,
    PIM_PART_ROW,
    PIM_PART_REFRESH,
    PIM_PART_MODE,
    PIM_PART_READOUT,
    PIM_N_PARTS
};
extern const char *const pim_part_names[PIM_N_PARTS];

enum pim_line {
    PIM_LINE_ACTIVATE,
    PIM_LINE_BANK, /* columns read and written inside the banks */
    PIM_LINE_MAC,
    PIM_LINE_BROADCAST, /* operands over the channel's pins           */
    PIM_LINE_IO,        /* results over the channel's pins            */
    PIM_LINE_CONTROL,   /* controller and command bus                 */
    PIM_LINE_REFRESH,
    PIM_LINE_BACKGROUND,
    PIM_LINE_HOST,
    PIM_LINE_LINK,
    PIM_N_LINES
};

/* Work left to the host, by kind: seconds = fixed + values x 2 B x passes / feed + values / rate.
 */
enum pim_host {
    PIM_HOST_NORM,
    PIM_HOST_ROPE,
    PIM_HOST_SOFTMAX,
    PIM_HOST_ACT,
    PIM_HOST_ADD,
    PIM_N_HOST
};
struct pim_host_rate {
    double passes, fixed_s, values_per_s;
};

struct pim_energy {
    double activate_j, bank_column_j, mac_column_j; /* of one bank */
    double io_bit_j, command_j, refresh_j;          /* refresh: of one channel */
    double active_w, precharged_w, device_w;        /* a channel, a channel, all the rest      */
    double host_w;                                  /* while the host computes                 */
    double feed_bit_j, link_bit_j;
};

struct pim_machine {
    enum pim_flow flow;
    enum pim_number storage, compute, accumulator, readout;
    struct jb_mem_spec spec; /* of one channel, with the device's commands */
    uint32_t n_channels, n_pools, n_parts, n_stages;
    uint32_t n_units, n_lanes, n_accumulators, n_grf;
    bool has_refresh, is_ideal, attends, prefills_on_host;
    uint32_t force_split; /* 0 = search; else groups of channels that split the inputs */
    bool is_dtype_ok[JB_N_DTYPES];
    double feed_bytes_per_s, link_bytes_per_s, link_s, sample_s, reduce_values_per_s;
    double host_op_per_s, pin_bytes_per_s;
    struct pim_host_rate host[PIM_N_HOST];
    struct pim_energy energy;
    /* What a wrong mapping would do; only tests set it. */
    struct {
        uint32_t unit_a, unit_b; /* their rows lie in one another's banks; equal = none */
        bool drops_tail;         /* the last, partial word of inputs is forgotten       */
    } fault;
    struct {
        double mac_instructions, block_instructions, reentry, tasklets;
        double dma_bytes, dma_setup, dma_per_byte, launch_s, broadcast_bytes_per_s,
            readout_bytes_per_s;
    } dpu;
};

/* One product on the fullest channel, and how many channels work alike. */
struct pim_cost {
    uint64_t cycles, parts[PIM_N_PARTS];
    uint64_t n_macs;       /* MAC commands                                       */
    uint64_t n_activates;  /* of single banks                                    */
    uint64_t n_broadcasts; /* columns over the pins into registers               */
    uint64_t n_reads;      /* columns over the pins out                          */
    uint64_t n_stores;     /* columns of single banks written from registers     */
    uint64_t n_commands, n_refreshes, active_cycles;
    uint32_t n_channels, split;
};

/* Simulates flows; keeps the channel and its buffers. */
struct pim_sim;

#ifdef __cplusplus
extern "C" {
#endif

extern const struct jb_device_key pim_schema[];
extern const struct jb_option pim_options[];
/* Reads file and options. @return INVAL naming device and value. */
enum jb_status pim_machine_read(const struct jb_device_file *file, const struct jb_open_args *args,
                                struct pim_machine *ret_machine) JB_MUST_CHECK;
/* Bytes behind the units, all pools. */
uint64_t pim_machine_bytes(const struct pim_machine *machine);
/* Bytes that one value takes as stored: 2 for 16-bit formats, 34/32 for INT8. */
double pim_number_bytes(enum pim_number number);
const char *pim_number_name(enum pim_number number);

/* Commands and rules of a flow, put into a spec that has the standard timings. */
void pim_commands_add(enum pim_flow flow, struct jb_mem_spec *spec);

/* @param sink NULL = none. The machine outlives the object. */
enum jb_status pim_sim_create(const struct pim_machine *machine, const struct jb_dram_sink *sink,
                              struct pim_sim **ret_sim) JB_MUST_CHECK;
void pim_sim_free(struct pim_sim *sim);
/* A product of (outputs, inputs) with `n` vectors on n_channels channels. Kept: the same again
 * costs a look-up. */
enum jb_status pim_sim_gemv(struct pim_sim *sim, uint32_t outputs, uint32_t inputs, uint64_t n,
                            uint32_t n_channels, struct pim_cost *ret_cost) JB_MUST_CHECK;

/* sum += times x cost */
void pim_cost_add(struct pim_cost *sum, const struct pim_cost *cost, uint64_t times);

/* Attention of one query token over `depth` positions of one sequence, without softmax. */
struct pim_attention {
    uint32_t n_heads, n_kv_heads, head_dim, depth;
};
enum jb_status pim_sim_attend(struct pim_sim *sim, const struct pim_attention *attention,
                              struct pim_cost *ret_cost) JB_MUST_CHECK;

/* ---- numbers ---- */

/* Where the words (runs of n_lanes inputs) of a row of W go, in the order a unit takes them. */
struct pim_order {
    uint32_t n_inputs, n_words, n_lanes;
    uint32_t split;       /* groups of channels, each with a share of the words     */
    uint32_t group_words; /* words a group, the last may have fewer                 */
    uint32_t run_words;   /* global buffer: words between two read-outs; else grf   */
};
struct pim_order pim_order_of(const struct pim_machine *machine, uint32_t n_inputs, uint32_t split);
/* Word number `at` of a group in the unit's order, or UINT32_MAX where there is padding. */
uint32_t pim_order_word(const struct pim_machine *machine, const struct pim_order *order,
                        uint32_t group, uint32_t at);
/* The row of W that lies in a slot of a unit (counted through the group's channels); outputs are
 * dealt round. Slots beyond the last row hold padding. */
uint32_t pim_place(uint32_t n_units, uint32_t unit, uint32_t slot);

/* A dot product in the device's arithmetic, as units compute it. w and x hold n_inputs values. */
float pim_dot(const struct pim_machine *machine, const struct pim_order *order, const float *w,
              const float *x);
float pim_round(enum pim_number number, float value);

struct pim_numbers;
/* Hooks for refops that compute on the machine. */
enum jb_status pim_numbers_create(const struct pim_machine *machine, struct pim_sim *sim,
                                  const struct jb_load_args *args,
                                  struct pim_numbers **ret_numbers) JB_MUST_CHECK;
void pim_numbers_free(struct pim_numbers *numbers);
struct jb_ref_hooks pim_numbers_hooks(struct pim_numbers *numbers);

/* ---- steps ---- */

/* What one op of the last step took on the memory. */
struct pim_op {
    struct pim_cost cost; /* of the fullest channel, all rows of the step; cycles 0: host only */
    uint32_t n_channels;  /* that worked alike, all pools                                      */
    uint64_t host_bytes, host_macs; /* an op that is the host's: cost has its time as read-out */
    double n_in_flight; /* vectors that the stages of the pipeline worked on at a time       */
};
struct pim_model;
enum jb_status pim_model_create(const struct pim_machine *machine, struct pim_sim *sim,
                                const struct jb_load_args *args,
                                struct pim_model **ret_model) JB_MUST_CHECK;
void pim_model_free(struct pim_model *model);
/* Costs all ops of a step. @param timeline of PIM_N_LINES lines */
enum jb_status pim_model_step(struct pim_model *model, const struct jb_step *step,
                              struct jb_sim_timeline *timeline) JB_MUST_CHECK;
const struct pim_op *pim_model_op(const struct pim_model *model, uint32_t op);
enum { PIM_MAX_PARTS_AN_OP = 6 };
enum { PIM_RESOURCE_PIM, PIM_RESOURCE_HOST, PIM_RESOURCE_LINK };
/* Joules of a cost on n_channels channels, by line; background and refresh come with time. */
void pim_energy_of(const struct pim_machine *machine, const struct pim_cost *cost,
                   uint64_t n_channels, double *ret_line_j);

#ifdef __cplusplus
}
#endif
#endif
