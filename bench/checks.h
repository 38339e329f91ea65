/* SPDX-License-Identifier: MIT */
#ifndef JB_CHECKS_H
#define JB_CHECKS_H

/* What the commands that run a model check before any work. None of these changes anything. */

#include <stdbool.h>
#include <stdint.h>

#include "backends/backend.h"

/* More threads on a processing unit than this is a slip: workers wait for each other by spinning,
 * so each further one slows all the others. */
#define JB_MAX_THREADS_A_PU 4u

#ifdef __cplusplus
extern "C" {
#endif

/* The value of --threads. @return false after saying what is wrong. */
bool jb_check_threads(const char *command, const char *text, uint32_t *ret_n);

/* --device: a device file, or a name that one of the backends takes. Those that compute nothing
 * take any name and are not asked.
 * @param device NULL is fine. @param n_backends with one that is absent here nothing is known.
 * @return INVAL with near names; FORMAT for a device file that cannot be read. */
enum jb_status jb_check_device(const char *device, const struct jb_backend *const *backends,
                               uint32_t n_backends) JB_MUST_CHECK;

/* The folder of a file that is going to be written.
 * @param option for the message. @param path NULL, "-" and bare names are fine.
 * @return INVAL with option, path and folder. */
enum jb_status jb_check_folder(const char *option, const char *path) JB_MUST_CHECK;

/* Whether this machine's memory has room for drawn weights, keys and values. Without this the
 * system would end the run, or another program, in the middle.
 * @param is_drawn false: weights are pages of a file, which can be read again.
 * @param way_out what to change, for the message.
 * @return NOMEM with what is needed and what is there. */
enum jb_status jb_check_memory(const struct jb_plan *plan, bool is_drawn, uint32_t n_slots,
                               uint32_t context, const char *way_out) JB_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
