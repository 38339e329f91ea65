/* SPDX-License-Identifier: MIT */
#ifndef JB_OPENING_H
#define JB_OPENING_H

/* What commands share that open backends: --set, and what --device means. */

#include <stdbool.h>
#include <stdint.h>

#include "backends/backend.h"

#define JB_MAX_SETTINGS 64

/* --set KEY=VALUE, as often as it was given. */
struct jb_settings {
    struct jb_setting items[JB_MAX_SETTINGS]; /* point into copies */
    uint32_t n;
    char *copies[JB_MAX_SETTINGS];
};

#ifdef __cplusplus
extern "C" {
#endif

/* Takes one KEY=VALUE. @return false after saying what is wrong, for the named command. */
bool jb_settings_add(struct jb_settings *settings, const char *command, const char *text);
void jb_settings_free(struct jb_settings *settings); /* zeroed is fine */

/* Whether each setting is somebody's: in the option table of one of the backends, or maybe a value
 * of a device file where a backend takes those (its probe() then decides).
 * @return INVAL naming the setting and those that look like it. */
enum jb_status jb_settings_check(const struct jb_setting *settings, uint32_t n,
                                 const struct jb_backend *const *backends,
                                 uint32_t n_backends) JB_MUST_CHECK;
/* Those that are for `backend`, which is one of the backends.
 * @param ret_own (n,) @return how many. */
uint32_t jb_settings_choose(const struct jb_setting *settings, uint32_t n,
                            const struct jb_backend *const *backends, uint32_t n_backends,
                            const struct jb_backend *backend, struct jb_setting *ret_own);

/* Whether --device names a device file that only describes the backend's real device, for meters
 * and peaks; the backend is then opened without it. Any other --device is the backend's to
 * understand. */
bool jb_is_description(const struct jb_backend *backend, const struct jb_open_args *open);

/* Scopes (JB_SCOPE_BIT) of energy that is the measured thing's own: an accelerator's card, or the
 * processor's package; what holds both counts for either. */
unsigned jb_scopes_of(enum jb_platform platform);

#ifdef __cplusplus
}
#endif
#endif
