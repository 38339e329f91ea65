/* SPDX-License-Identifier: MIT */
#ifndef JB_SIMCORE_ENERGY_H
#define JB_SIMCORE_ENERGY_H

/* The energy ledger: what happened is counted in integers, each kind of event costs so many joules,
 * and the two meet once, when lines are asked for. Background is an event too: one a cycle and
 * state.
 *
 * Memory energy follows the equations of HBM-Power (github.com/CMU-SAFARI/HBM-Power), which are
 * those of the sheets' IDD loops: an activate is the current above one open bank for tRAS, a burst
 * the current above one open bank for as long as the data bus is busy, times what its data toggle.
 */

#include "backends/simcore/mem_device.h"

/* One kind of event. */
struct jb_energy_event {
    const char *name;
    uint32_t line; /* ledger line it is charged to            */
    double each_j; /* joules of one; NaN = not modelled       */
};

/* Joules by line: lines are zeroed, then every event adds count x each_j. A line with a counted
 * event of unknown energy is NaN; events that did not happen add nothing.
 * @param counts (n_events,)
 * @param ret_line_j (n_lines,)
 * @return the sum over the lines. */
#ifdef __cplusplus
extern "C" {
#endif
double jb_energy_sum(const struct jb_energy_event *events, const uint64_t *counts,
                     uint32_t n_events, double *ret_line_j, uint32_t n_lines);
#ifdef __cplusplus
}
#endif

/* Share of bits that change from one transfer to the next: 0 = static data, 0.5 = random. */
struct jb_mem_toggles {
    double dq, tsv, group;
};

/* Events of a memory channel, in the order of jb_mem_energy_count(). */
enum jb_mem_energy_event {
    JB_MEM_E_ACTIVATE,
    JB_MEM_E_READ,      /* a burst up to the pins                                        */
    JB_MEM_E_WRITE,     /* a burst from the pins on                                      */
    JB_MEM_E_READ_PINS, /* what its toggling costs at the pins                           */
    JB_MEM_E_WRITE_PINS,
    JB_MEM_E_REFRESH, /* of all banks of a rank                                        */
    JB_MEM_E_REFRESH_BANK,
    JB_MEM_E_IDLE,   /* a cycle of a rank, whatever is open                           */
    JB_MEM_E_ACTIVE, /* more for a cycle with at least one row open                   */
    JB_MEM_E_OPEN,   /* more for a cycle of each further open bank                    */
    JB_MEM_N_E
};

enum jb_mem_energy_line {
    JB_MEM_LINE_ACTIVATE,
    JB_MEM_LINE_COLUMN,
    JB_MEM_LINE_PINS,
    JB_MEM_LINE_REFRESH,
    JB_MEM_LINE_BACKGROUND,
    JB_MEM_N_LINES
};

#ifdef __cplusplus
extern "C" {
#endif

extern const char *const jb_mem_line_names[JB_MEM_N_LINES + 1]; /* NULL-terminated */

/* Joules of each event from the currents of a device file; NaN where a current is missing.
 * Without toggle values in the file, the column currents are taken as they are.
 * @param ret_events (JB_MEM_N_E,)
 * @return INVAL: toggles outside 0 to 1, or currents that give a negative energy. */
enum jb_status jb_mem_energy_read(const struct jb_device_file *file, const struct jb_mem_spec *spec,
                                  const struct jb_mem_toggles *toggles,
                                  struct jb_energy_event *ret_events) JB_MUST_CHECK;
/* Events of a channel from cycle 0 to `cycle`. @param ret_counts (JB_MEM_N_E,) */
void jb_mem_energy_count(const struct jb_mem *mem, uint64_t cycle, uint64_t *ret_counts);

#ifdef __cplusplus
}
#endif
#endif
