/* SPDX-License-Identifier: MIT */
#ifndef JB_ASIC_CHIP_H
#define JB_ASIC_CHIP_H

/* A chip as its device file describes it (kind `asic`): systolic arrays, a vector unit, on-chip
 * buffers, a memory beside it or weights in its own SRAM, and links to its likes. The file's keys
 * and what they mean are the table in chip.c; every one can be given by --set. */

#include "backends/asic_sim/systolic.h"
#include "backends/backend.h"
#include "backends/simcore/simcore.h"

/* Joules by mechanism. */
enum jb_asic_line {
    JB_ASIC_MAC,
    JB_ASIC_SRAM,
    JB_ASIC_VECTOR,
    JB_ASIC_DRAM,       /* activates, bursts and what their bits cost on the way               */
    JB_ASIC_DRAM_STATE, /* standby and refresh                                                 */
    JB_ASIC_LINK,
    JB_ASIC_STATIC,
    JB_ASIC_N_LINES
};

/* Memory beside the chips: what a byte costs on a long stream of one chip. */
struct jb_asic_memory {
    bool is_sram;     /* weights live on the chips                                        */
    bool is_ideal;    /* traffic takes no time; its energy stays                          */
    double peak;      /* bytes/s of one chip                                              */
    double rate;      /* bytes/s of one chip on a long stream, refresh in                 */
    double latency_s; /* of the first burst after a pause                                 */
    double bytes;     /* of one chip                                                      */
    double byte_j;    /* moved, without the time it takes                                 */
    double idle_w;    /* of one chip                                                      */
    enum jb_class time_class;
};

struct jb_asic_chip {
    char name[64];
    double clock_hz;
    uint32_t n_arrays; /* of one chip */
    struct jb_array array;
    struct jb_numerics numerics;
    double weight_buffer, act_buffer; /* bytes */
    double vector_lanes;              /* operations a cycle */
    uint64_t vector_startup;          /* cycles */
    double op_latency_s;
    uint32_t n_chips;       /* 0 = as many as the model needs                                  */
    uint32_t chips_a_stage; /* that share each layer                                           */
    double link_rate, link_latency_s;
    struct jb_asic_memory memory;
    double mac_j, vector_j, sram_bit_j, link_bit_j, static_w; /* static_w: of one chip */
    double mac_mm2, sram_bit_mm2;
    bool is_estimate; /* a value that time rests on is marked so in the file */
};

extern const struct jb_option jb_asic_options[];

#ifdef __cplusplus
extern "C" {
#endif

/* Reads args->device (default systolic-128) with the settings put in, and its memory.
 * @return what jb_sim_open_file() and jb_sim_memory_open() say; INVAL for values that contradict
 * one another. */
enum jb_status jb_asic_chip_read(const struct jb_open_args *args,
                                 struct jb_asic_chip *ret_chip) JB_MUST_CHECK;

/* Chips that hold so many bytes, in whole stages: n_chips of the file, or for chips that hold
 * weights in SRAM as many as it takes.
 * @return NOMEM with needed and available bytes. */
enum jb_status jb_asic_chips_for(const struct jb_asic_chip *chip, double bytes,
                                 uint32_t *ret_n_chips) JB_MUST_CHECK;

/* Square millimetres of one chip's multipliers and SRAM; NaN where the file does not say. */
double jb_asic_area_mm2(const struct jb_asic_chip *chip);

#ifdef __cplusplus
}
#endif
#endif
