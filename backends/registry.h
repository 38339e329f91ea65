/* SPDX-License-Identifier: MIT */
#ifndef JB_REGISTRY_H
#define JB_REGISTRY_H

/* The backends of this build (a table that the build writes) and those loaded from outside. */

#include "backends/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

uint32_t jb_registry_count(void);
/* @param index [0, jb_registry_count()): built-in ones first, then plug-ins in loading order. */
const struct jb_backend *jb_registry_at(uint32_t index);
/* NULL, with a reason that lists the known names, if there is none. */
const struct jb_backend *jb_registry_find(const char *name);

/* Loads a shared object and adds its backend. Main thread, before any look-up; never unloaded.
 * @return NODEV: no such file or no jb_plugin symbol; NOTSUP: other ABI, or a platform without
 *         shared objects; INVAL: incomplete table or a name that is taken. */
enum jb_status jb_registry_load_plugin(const char *path) JB_MUST_CHECK;

/* Checks that a table has what its caps require. @return INVAL naming the missing member. */
enum jb_status jb_backend_check(const struct jb_backend *backend) JB_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
