/* SPDX-License-Identifier: MIT */
#ifndef JB_SIMCORE_MEM_DEVICE_H
#define JB_SIMCORE_MEM_DEVICE_H

/* Memory in device files: the keys, and a channel made from them. A file of kind `dram` holds these
 * keys and the common ones; a simulated device that brings its own memory adds them to its schema.
 */

#include "backends/simcore/mem_timing.h"
#include "platforms/devices/device_file.h"

/* Timings are in command clocks or in time, which is rounded up to clocks. */
#define JB_MEM_KEY_T(name, required, text)                                                         \
    {                                                                                              \
        .key = (name), .dimension = JB_DIM_CLOCKED, .min = 0, .max = 1e6,                          \
        .is_required = (required), .help = (text)                                                  \
    }
#define JB_MEM_KEY_N(name, most, text)                                                             \
    {                                                                                              \
        .key = (name), .dimension = JB_DIM_NONE, .min = 1, .max = (most), .is_required = true,     \
        .help = (text)                                                                             \
    }
#define JB_MEM_KEY_I(name, text)                                                                   \
    {                                                                                              \
        .key = (name), .dimension = JB_DIM_CURRENT, .min = 1e-6, .max = 100, .help = (text)        \
    }
#define JB_MEM_KEY_TOGGLE(name, text)                                                              \
    {                                                                                              \
        .key = (name), .dimension = JB_DIM_ENERGY_PER_BIT, .min = 0, .max = 1e-9, .help = (text)   \
    }

#define JB_MEM_GEOMETRY_KEYS                                                                       \
    {.key = "command_clock",                                                                       \
     .dimension = JB_DIM_FREQUENCY,                                                                \
     .min = 1e6,                                                                                   \
     .max = 1e11,                                                                                  \
     .is_required = true,                                                                          \
     .help = "Clock that all timings in cycles count."},                                           \
        {.key = "command_bus",                                                                     \
         .dimension = JB_DIM_TEXT,                                                                 \
         .is_required = true,                                                                      \
         .choices = "shared split",                                                                \
         .help = "One command bus, or one for rows and one for columns (HBM)."},                   \
        JB_MEM_KEY_N("channels", 4096, "Channels of the device, each with its own command bus."),  \
        JB_MEM_KEY_N("pseudo_channels", 64, "Data buses of a channel."),                           \
        JB_MEM_KEY_N("ranks", 64, "Ranks (stack ids) on a data bus."),                             \
        JB_MEM_KEY_N("bank_groups", 64, "Bank groups of a rank."),                                 \
        JB_MEM_KEY_N("banks", 64, "Banks of a bank group."),                                       \
        JB_MEM_KEY_N("rows", 16777216, "Rows of a bank."),                                         \
        JB_MEM_KEY_N("columns", 65536, "Bursts of a row, as the data bus sees it."),               \
    {                                                                                              \
        .key = "burst_bytes", .dimension = JB_DIM_BYTES, .min = 1, .max = 4096,                    \
        .is_required = true, .help = "Bytes that one read or write moves on a data bus."           \
    }

#define JB_MEM_TIMING_KEYS                                                                         \
    JB_MEM_KEY_T("t_bl", true, "Data bus time of a burst."),                                       \
        JB_MEM_KEY_T("t_cl", true, "Read to first data."),                                         \
        JB_MEM_KEY_T("t_cwl", true, "Write to first data."),                                       \
        JB_MEM_KEY_T("t_rcd_rd", true, "Activate to read."),                                       \
        JB_MEM_KEY_T("t_rcd_wr", true, "Activate to write."),                                      \
        JB_MEM_KEY_T("t_rp", true, "Precharge to activate."),                                      \
        JB_MEM_KEY_T("t_rp_all", true, "All-bank precharge to activate."),                         \
        JB_MEM_KEY_T("t_ras", true, "Activate to precharge."),                                     \
        JB_MEM_KEY_T("t_rc", true, "Activate to activate of one bank."),                           \
        JB_MEM_KEY_T("t_ccd_s", true, "Read to read, other bank group."),                          \
        JB_MEM_KEY_T("t_ccd_l", true, "Read to read, same bank group."),                           \
        JB_MEM_KEY_T("t_ccd_s_wr", true, "Write to write, other bank group."),                     \
        JB_MEM_KEY_T("t_ccd_l_wr", true, "Write to write, same bank group."),                      \
        JB_MEM_KEY_T("t_ccd_r", false, "Column to column of one kind, other rank."),               \
        JB_MEM_KEY_T("t_rrd_s", true, "Activate to activate, other bank group."),                  \
        JB_MEM_KEY_T("t_rrd_l", true, "Activate to activate, same bank group."),                   \
        JB_MEM_KEY_T("t_faw", true, "Window of at most four activates; 0 = none."),                \
        JB_MEM_KEY_T("t_wr", true, "End of write data to precharge."),                             \
        JB_MEM_KEY_T("t_wtr_s", true, "End of write data to read, other bank group."),             \
        JB_MEM_KEY_T("t_wtr_l", true, "End of write data to read, same bank group."),              \
        JB_MEM_KEY_T("t_rtp", true, "Read to precharge."),                                         \
        JB_MEM_KEY_T("t_rtw", true, "Read to write on one data bus."),                             \
        JB_MEM_KEY_T("t_ppd", false, "Precharge to precharge."),                                   \
        JB_MEM_KEY_T("t_rfc", true, "All-bank refresh to the next command."),                      \
        JB_MEM_KEY_T("t_rfc_pb", false, "Per-bank refresh to the bank's next command."),           \
        JB_MEM_KEY_T("t_pb_pb", false, "Per-bank refresh to that of another bank."),               \
        JB_MEM_KEY_T("t_pb_act", false, "Per-bank refresh to activate of another bank."),          \
        JB_MEM_KEY_T("t_refi", true, "Mean time between all-bank refreshes."),                     \
        JB_MEM_KEY_T("t_bus_act", true, "Command bus time of an activate."),                       \
        JB_MEM_KEY_T("t_bus_col", true, "Command bus time of a read or write."),                   \
        JB_MEM_KEY_T("t_bus_row", true, "Command bus time of a precharge or refresh.")

/* Currents are of one chip; `chips` work in lockstep as one rank of one data bus. */
#define JB_MEM_CURRENT_KEYS                                                                        \
    JB_MEM_KEY_N("chips", 64, "Chips in lockstep that the currents count one of."),                \
        {.key = "currents_of",                                                                     \
         .dimension = JB_DIM_TEXT,                                                                 \
         .is_required = true,                                                                      \
         .choices = "rank bus",                                                                    \
         .help = "Standby currents are of one rank, or of all ranks of a data bus together."},     \
        {.key = "vdd",                                                                             \
         .dimension = JB_DIM_VOLTAGE,                                                              \
         .min = 0.1,                                                                               \
         .max = 5,                                                                                 \
         .help = "Supply that the currents flow from."},                                           \
        {.key = "current_clock",                                                                   \
         .dimension = JB_DIM_FREQUENCY,                                                            \
         .min = 1e6,                                                                               \
         .max = 1e11,                                                                              \
         .help = "Command clock the currents were taken at; without it, command_clock."},          \
        JB_MEM_KEY_I("idd0", "Activate and precharge of one bank at tRC."),                        \
        JB_MEM_KEY_I("idd2n", "No row open."), JB_MEM_KEY_I("idd3n", "One row open."),             \
        JB_MEM_KEY_I("idd3n_all", "A row open in every bank."),                                    \
        JB_MEM_KEY_I("idd4r", "Reads without a gap, data static."),                                \
        JB_MEM_KEY_I("idd4w", "Writes without a gap, data static."),                               \
        JB_MEM_KEY_I("idd5b", "All-bank refresh without a gap."),                                  \
        JB_MEM_KEY_TOGGLE("toggle_floor",                                                          \
                          "Read energy with static data that the toggles were measured with."),    \
        JB_MEM_KEY_TOGGLE("toggle_dq", "More for each bit that changes on the data pins."),        \
        JB_MEM_KEY_TOGGLE("toggle_tsv", "More for each bit that changes on the stack's vias."),    \
        JB_MEM_KEY_TOGGLE("toggle_group", "More for each bit that changes on a bank group's bus.")

#ifdef __cplusplus
extern "C" {
#endif

/* Schema of kind `dram`. */
extern const struct jb_device_key jb_mem_device_schema[];

/* One channel from a file whose schema has the geometry and timing keys; no extra commands.
 * @return INVAL: contradicting values; the reason names device and value. */
enum jb_status jb_mem_spec_read(const struct jb_device_file *file,
                                struct jb_mem_spec *ret_spec) JB_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
