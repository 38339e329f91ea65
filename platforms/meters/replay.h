/* SPDX-License-Identifier: MIT */
#ifndef JB_METERS_REPLAY_H
#define JB_METERS_REPLAY_H

/* The replay meter: `--meter replay:FILE[,repeat][,clock=manual]` answers readings from a trace
 * instead of a sensor. All tests of measuring stand on it.
 *
 * A trace is CSV with a header line and one line a sample of one domain:
 *
 *   time_s,domain,quantity,unit,scope,value
 *   0.000,package-0,energy,J,package,1034.5
 *   0.000,gpu-0/power,power,W,board,71
 *   0.001,package-0,energy,J,package,1034.6
 *
 *   time_s    seconds from any start; must not fall within a domain
 *   domain    name, 1 to 47 bytes; at most JB_METER_MAX_DOMAINS different ones
 *   quantity  energy power count state
 *   unit      energy: J kJ mJ uJ Wh; power: W kW mW uW; count: 1; state: C Hz kHz MHz GHz 1
 *   scope     a name of jb_scope_name()
 *   value     a finite number, or empty = the sensor could not be read from here on (NaN)
 *
 * Quantity, unit and scope of a domain may not change. More columns may follow, in any order;
 * they are taken from the first line of each domain and may be empty:
 *
 *   in_total         0 or 1. Empty: energy domains join the total unless their scope is core or
 *                    process; power domains only if the trace has no such energy domain
 *   update_period_s  empty = unknown      average_s  empty = unknown; 0 = instant
 *   accuracy         relative; empty = unstated
 *   evidence         measured (if empty), modelled or nameplate
 *   meter run_id backend batch repetition phase   where `run --trace` took the sample; not read
 *
 * Meaning: a domain holds each value until its next line (a sensor that ticks). Before its first
 * line it is NaN. Energy and count are handed out as the increase since the domain's first line;
 * a line where they fall is a reset, and the domain is NaN from there on. Between open() and
 * read(), trace time runs from the trace's first line with jb_clock_s(). Past the last line read()
 * fails with DEVICE, or the trace starts over (`repeat`: energy and count go on from where they
 * were; the time from first to last line is one round). */

#include <stddef.h>

#include "platforms/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sets the time of all meters opened with `clock=manual`: their trace time and the time_s of
 * their readings. 0 at start. Any thread may call it. */
void jb_replay_set_time(double time_s);

/* Checks a trace in memory; for tests and fuzzing.
 * @return FORMAT with file name and line; NOMEM. */
enum jb_status jb_replay_check(const char *text, size_t size, const char *file_name) JB_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
