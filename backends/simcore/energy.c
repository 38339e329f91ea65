/* SPDX-License-Identifier: MIT */
#include "backends/simcore/energy.h"

#include <string.h>

double jb_energy_sum(const struct jb_energy_event *events, const uint64_t *counts,
                     uint32_t n_events, double *ret_line_j, uint32_t n_lines)
{
    double total_j = 0;
    for (uint32_t line = 0; line < n_lines; line++) {
        ret_line_j[line] = 0;
        for (uint32_t i = 0; i < n_events; i++) {
            if (events[i].line == line && counts[i] > 0) {
                ret_line_j[line] += (double)counts[i] * events[i].each_j;
            }
        }
        total_j += ret_line_j[line];
    }
    return total_j;
}

const char *const jb_mem_line_names[JB_MEM_N_LINES + 1] = {"activate", "column",     "pins",
                                                           "refresh",  "background", NULL};

static const struct {
    const char *name;
    uint32_t line;
} kinds[JB_MEM_N_E] = {
    [JB_MEM_E_ACTIVATE] = {"activate", JB_MEM_LINE_ACTIVATE},
    [JB_MEM_E_READ] = {"read", JB_MEM_LINE_COLUMN},
    [JB_MEM_E_WRITE] = {"write", JB_MEM_LINE_COLUMN},
    [JB_MEM_E_READ_PINS] = {"read pins", JB_MEM_LINE_PINS},
    [JB_MEM_E_WRITE_PINS] = {"write pins", JB_MEM_LINE_PINS},
    [JB_MEM_E_REFRESH] = {"refresh", JB_MEM_LINE_REFRESH},
    [JB_MEM_E_REFRESH_BANK] = {"refresh of a bank", JB_MEM_LINE_REFRESH},
    [JB_MEM_E_IDLE] = {"cycle of a rank", JB_MEM_LINE_BACKGROUND},
    [JB_MEM_E_ACTIVE] = {"cycle of a rank with a row open", JB_MEM_LINE_BACKGROUND},
    [JB_MEM_E_OPEN] = {"cycle of a further open bank", JB_MEM_LINE_BACKGROUND},
};

/* What a burst costs more than with static data, inside the memory and at the pins, as shares of
 * its static energy: the coefficients are relative to the static energy they were measured with. */
static void toggle_shares(const struct jb_device_file *file, const struct jb_mem_toggles *toggles,
                          double *ret_inside, double *ret_pins)
{
    const double floor = jb_device_number(file, "toggle_floor");
    *ret_inside = 0;
    *ret_pins = 0;
    if (!jb_is_missing(floor)) {
        *ret_inside = (jb_device_number(file, "toggle_tsv") * toggles->tsv +
                       jb_device_number(file, "toggle_group") * toggles->group) /
                      floor;
        *ret_pins = jb_device_number(file, "toggle_dq") * toggles->dq / floor;
    }
}

static void fill(const struct jb_device_file *file, const struct jb_mem_spec *spec,
                 const struct jb_mem_toggles *toggles, double *each_j)
{
    const double volts = jb_device_number(file, "vdd") * jb_device_number(file, "chips");
    const double measured_hz = jb_device_number(file, "current_clock");
    const double burst_hz = jb_is_missing(measured_hz) ? spec->clock_hz : measured_hz;
    const double idd0 = jb_device_number(file, "idd0"), idd2n = jb_device_number(file, "idd2n");
    const double idd3n = jb_device_number(file, "idd3n");
    const double idd3n_all = jb_device_number(file, "idd3n_all");
    const double ras_s = spec->t[JB_MEM_T_RAS] / spec->clock_hz;
    const double rp_s = spec->t[JB_MEM_T_RP] / spec->clock_hz;
    const double burst_s = spec->t[JB_MEM_T_BL] / burst_hz;
    const uint32_t n_banks = spec->n_groups * spec->n_banks;
    const struct jb_device_value *of = jb_device_get(file, "currents_of");
    const double n_sharing = of != NULL && strcmp(of->text, "bus") == 0 ? spec->n_ranks : 1;
    double inside = 0, pins = 0;
    toggle_shares(file, toggles, &inside, &pins);

    /* IDD0 is an activate each tRC: tRAS with the row open, tRP at the current of a closed bank. */
    const double activate_a = (idd0 * (rp_s + ras_s) - idd2n * rp_s) / ras_s;
    const double read_j = volts * (jb_device_number(file, "idd4r") - idd3n) * burst_s;
    const double write_j = volts * (jb_device_number(file, "idd4w") - idd3n) * burst_s;
    each_j[JB_MEM_E_ACTIVATE] = volts * (activate_a - idd3n) * ras_s;
    each_j[JB_MEM_E_READ] = read_j * (1 + inside);
    each_j[JB_MEM_E_WRITE] = write_j * (1 + inside);
    each_j[JB_MEM_E_READ_PINS] = read_j * pins;
    each_j[JB_MEM_E_WRITE_PINS] = write_j * pins;
    /* Above the closed-bank current, which the background holds meanwhile: refreshes without a gap
     * draw IDD5B. */
    each_j[JB_MEM_E_REFRESH] = volts * (jb_device_number(file, "idd5b") - idd2n) *
                               (spec->t[JB_MEM_T_RFC] / spec->clock_hz);
    each_j[JB_MEM_E_REFRESH_BANK] = each_j[JB_MEM_E_REFRESH] / n_banks;
    each_j[JB_MEM_E_IDLE] = volts * idd2n / n_sharing / spec->clock_hz;
    each_j[JB_MEM_E_ACTIVE] = volts * (idd3n - idd2n) / spec->clock_hz;
    each_j[JB_MEM_E_OPEN] =
        n_banks > 1 ? volts * (idd3n_all - idd3n) / (n_banks - 1) / spec->clock_hz : 0;
}

enum jb_status jb_mem_energy_read(const struct jb_device_file *file, const struct jb_mem_spec *spec,
                                  const struct jb_mem_toggles *toggles,
                                  struct jb_energy_event *ret_events)
{
    const double rates[] = {toggles->dq, toggles->tsv, toggles->group};
    double each_j[JB_MEM_N_E];
    for (int i = 0; i < 3; i++) {
        if (!(rates[i] >= 0 && rates[i] <= 1)) {
            return jb_fail(JB_E_INVAL, "a share of toggling bits of %g is outside 0 to 1",
                           rates[i]);
        }
    }
    fill(file, spec, toggles, each_j);
    for (int i = 0; i < JB_MEM_N_E; i++) {
        if (each_j[i] < 0) {
            return jb_fail(JB_E_INVAL, "device '%s': its currents give a %s of %g J",
                           jb_device_name(file), kinds[i].name, each_j[i]);
        }
    }
    for (int i = 0; i < JB_MEM_N_E; i++) {
        ret_events[i] = (struct jb_energy_event){
            .name = kinds[i].name, .line = kinds[i].line, .each_j = each_j[i]};
    }
    return JB_OK;
}

void jb_mem_energy_count(const struct jb_mem *mem, uint64_t cycle, uint64_t *ret_counts)
{
    const struct jb_mem_residency residency = jb_mem_residency(mem, cycle);
    const uint64_t reads = jb_mem_count(mem, JB_MEM_RD) + jb_mem_count(mem, JB_MEM_RDA);
    const uint64_t writes = jb_mem_count(mem, JB_MEM_WR) + jb_mem_count(mem, JB_MEM_WRA);
    ret_counts[JB_MEM_E_ACTIVATE] = jb_mem_count(mem, JB_MEM_ACT);
    ret_counts[JB_MEM_E_READ] = reads;
    ret_counts[JB_MEM_E_WRITE] = writes;
    ret_counts[JB_MEM_E_READ_PINS] = reads;
    ret_counts[JB_MEM_E_WRITE_PINS] = writes;
    ret_counts[JB_MEM_E_REFRESH] = jb_mem_count(mem, JB_MEM_REFA);
    ret_counts[JB_MEM_E_REFRESH_BANK] = jb_mem_count(mem, JB_MEM_REFB);
    ret_counts[JB_MEM_E_IDLE] = residency.idle_cycles + residency.active_cycles;
    ret_counts[JB_MEM_E_ACTIVE] = residency.active_cycles;
    ret_counts[JB_MEM_E_OPEN] = residency.open_cycles - residency.active_cycles;
}
