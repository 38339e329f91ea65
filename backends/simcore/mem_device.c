/* SPDX-License-Identifier: MIT */
#include "backends/simcore/mem_device.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const struct jb_device_key jb_mem_device_schema[] = {
    JB_DEVICE_COMMON_KEYS, JB_MEM_GEOMETRY_KEYS, JB_MEM_TIMING_KEYS,
    JB_MEM_CURRENT_KEYS,   {.key = NULL},
};

static const struct {
    const char *key;
    enum jb_mem_t t;
} timings[] = {
    {"t_bl", JB_MEM_T_BL},
    {"t_cl", JB_MEM_T_CL},
    {"t_cwl", JB_MEM_T_CWL},
    {"t_rcd_rd", JB_MEM_T_RCD_RD},
    {"t_rcd_wr", JB_MEM_T_RCD_WR},
    {"t_rp", JB_MEM_T_RP},
    {"t_rp_all", JB_MEM_T_RP_ALL},
    {"t_ras", JB_MEM_T_RAS},
    {"t_rc", JB_MEM_T_RC},
    {"t_ccd_s", JB_MEM_T_CCD_S},
    {"t_ccd_l", JB_MEM_T_CCD_L},
    {"t_ccd_s_wr", JB_MEM_T_CCD_S_WR},
    {"t_ccd_l_wr", JB_MEM_T_CCD_L_WR},
    {"t_ccd_r", JB_MEM_T_CCD_R},
    {"t_rrd_s", JB_MEM_T_RRD_S},
    {"t_rrd_l", JB_MEM_T_RRD_L},
    {"t_faw", JB_MEM_T_FAW},
    {"t_wr", JB_MEM_T_WR},
    {"t_wtr_s", JB_MEM_T_WTR_S},
    {"t_wtr_l", JB_MEM_T_WTR_L},
    {"t_rtp", JB_MEM_T_RTP},
    {"t_rtw", JB_MEM_T_RTW},
    {"t_ppd", JB_MEM_T_PPD},
    {"t_rfc", JB_MEM_T_RFC},
    {"t_rfc_pb", JB_MEM_T_RFC_PB},
    {"t_pb_pb", JB_MEM_T_PB_PB},
    {"t_pb_act", JB_MEM_T_PB_ACT},
    {"t_refi", JB_MEM_T_REFI},
    {"t_bus_act", JB_MEM_T_BUS_ACT},
    {"t_bus_col", JB_MEM_T_BUS_COL},
    {"t_bus_row", JB_MEM_T_BUS_ROW},
};

enum jb_status jb_mem_spec_read(const struct jb_device_file *file, struct jb_mem_spec *ret_spec)
{
    struct jb_mem_spec spec = {.clock_hz = jb_device_number(file, "command_clock")};
    const struct {
        const char *key;
        uint32_t *n;
    } counts[] = {
        {"pseudo_channels", &spec.n_pseudo},
        {"ranks", &spec.n_ranks},
        {"bank_groups", &spec.n_groups},
        {"banks", &spec.n_banks},
        {"rows", &spec.n_rows},
        {"columns", &spec.n_columns},
        {"burst_bytes", &spec.burst_bytes},
    };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        const double n = jb_device_number(file, counts[i].key);
        if (!(n >= 1 && n < 4e9) || n != floor(n)) {
            return jb_fail(JB_E_INVAL, "device '%s': %s: %g is no count", jb_device_name(file),
                           counts[i].key, n);
        }
        *counts[i].n = (uint32_t)n;
    }
    for (size_t i = 0; i < sizeof timings / sizeof timings[0]; i++) {
        (void)jb_device_cycles(file, timings[i].key, spec.clock_hz, &spec.t[timings[i].t]);
    }
    const struct jb_device_value *bus = jb_device_get(file, "command_bus");
    spec.has_split_bus = bus != NULL && strcmp(bus->text, "split") == 0;
    const enum jb_status status = jb_mem_spec_check(&spec);
    if (status != JB_OK) {
        char why[JB_REASON_MAX];
        (void)snprintf(why, sizeof why, "%s", jb_reason());
        return jb_fail(status, "device '%s': %s", jb_device_name(file), why);
    }
    *ret_spec = spec;
    return JB_OK;
}
