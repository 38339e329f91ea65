/* SPDX-License-Identifier: MIT */
#ifndef JB_METERS_INTERNAL_H
#define JB_METERS_INTERNAL_H

/* What the meters of this folder share; not for other folders. */

#include "platforms/meters/meter.h"

extern const struct jb_meter jb_meter_null;
extern const struct jb_meter jb_meter_replay;

#endif
