/* SPDX-License-Identifier: MIT */
#ifndef JB_HOST_TOPOLOGY_H
#define JB_HOST_TOPOLOGY_H

/* Processing units and caches of this machine, or of a captured one: what host.c asks and tests
 * may build by hand. Inside platforms/host only. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platforms/base/status.h"

struct jb_topo_pu {
    uint32_t os;      /* operating-system number                                        */
    uint32_t package; /* numbers of any kind; equal = the same one                      */
    uint32_t numa;
    uint32_t l3;     /* caches of the last level; all 0 where there is none            */
    uint32_t core;   /* unique over the machine, not only in its package               */
    uint32_t speed;  /* larger = faster kind of core; equal where cores are alike      */
    bool is_allowed; /* this process may use it                                        */
};

struct jb_topology {
    struct jb_topo_pu *pus; /* (n_pus,) */
    uint32_t n_pus, n_cores, n_numa, n_packages, n_l3;
    uint64_t l1d_bytes, l2_bytes,
        l3_bytes; /* of one cache, as the first unit has it; 0 = unknown */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Reads this machine: through hwloc where it is built in and the root is not moved, else from
 * <root>/sys, else (no such tree) from os.h alone: each allowed unit counts as a core.
 * The caller frees. */
enum jb_status jb_topology_read(struct jb_topology *ret_topology) JB_MUST_CHECK;
/* Its three sources: @return NODEV where the source does not exist here. A captured tree allows
 * all units that it shows. */
enum jb_status jb_topology_hwloc(struct jb_topology *ret_topology) JB_MUST_CHECK;
enum jb_status jb_topology_sysfs(const char *root, struct jb_topology *ret_topology) JB_MUST_CHECK;
enum jb_status jb_topology_plain(struct jb_topology *ret_topology) JB_MUST_CHECK;
void jb_topology_free(struct jb_topology *topology);

/* Order of pinning: fast cores before slow ones, then package, NUMA node, cache and core; all
 * first units of cores before any second. Only allowed units.
 * @param ret_pus (n_threads,); repeats from the start when units run out.
 * @return INVAL if no unit is allowed. */
enum jb_status jb_topology_pick(const struct jb_topology *topology, uint32_t n_threads,
                                uint32_t *ret_pus) JB_MUST_CHECK;
/* Cores with at least one allowed unit. */
uint32_t jb_topology_allowed_cores(const struct jb_topology *topology);
/* Sets the four counts from pus. */
void jb_topology_count(struct jb_topology *topology);

/* First line of <root><path>, without its line break. @return false if it cannot be read. */
bool jb_host_line(const char *root, const char *path, char *ret_line, size_t size);
/* A whole number at the start of that file. */
bool jb_host_number(const char *root, const char *path, long long *ret_number);

/* Parses "0-3,8,10-11" into numbers, ascending as written. @return how many, at most capacity;
 * 0 for an empty or malformed list. */
uint32_t jb_host_list(const char *text, uint32_t *ret_numbers, uint32_t capacity);

/* Cores of one package as CPUID tells: x86 and no hypervisor only; 0 = unknown. */
uint32_t jb_cpuid_package_cores(void);
/* Name of the hypervisor by CPUID; "" where there is none; "unknown" where it has no known name. */
void jb_cpuid_hypervisor(char *ret_name, size_t size);
/* Processor name by CPUID, "" elsewhere. */
void jb_cpuid_model(char *ret_name, size_t size);

#ifdef __cplusplus
}
#endif
#endif
