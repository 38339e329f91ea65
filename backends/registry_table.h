/* SPDX-License-Identifier: MIT */
#ifndef JB_REGISTRY_TABLE_H
#define JB_REGISTRY_TABLE_H

/* Between the registry and the table that the build writes; nobody else's business. */

#include "backends/backend.h"

/* In the order of -Dbackends; ends with NULL. */
extern const struct jb_backend *const jb_registry_table[];

#endif
