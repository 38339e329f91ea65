/* SPDX-License-Identifier: MIT */
#ifndef JB_METERS_NVML_H
#define JB_METERS_NVML_H

/* Opens this file instead of the driver's library from here on; NULL restores. For tests. */
void jb_nvml_set_library(const char *path);

#endif
