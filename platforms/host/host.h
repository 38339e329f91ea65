/* SPDX-License-Identifier: MIT */
#ifndef JB_HOST_H
#define JB_HOST_H

/* What this machine is. Topology through hwloc; where it is not built in, what the OS tells.
 * The roots of /sys and /proc can be moved, so that captured trees are read as if they were
 * this machine. */

#include <stdbool.h>
#include <stdint.h>

#include "platforms/base/status.h"

enum jb_simd {
    JB_SIMD_SCALAR = 0,
    JB_SIMD_NEON = 1,    /* AArch64 baseline                                        */
    JB_SIMD_DOTPROD = 2, /* + sdot                                                  */
    JB_SIMD_AVX2 = 16,   /* + FMA, F16C                                             */
    JB_SIMD_AVX512 = 17, /* F BW DQ VL                                              */
    JB_SIMD_VNNI = 18,   /* + AVX512_VNNI                                           */
    JB_SIMD_BF16 = 19,   /* + AVX512_BF16                                           */
    JB_SIMD_AMX = 20     /* + AMX_TILE, AMX_INT8, AMX_BF16, and the OS lets us use it */
};

struct jb_host {
    char cpu_model[128]; /* "AMD EPYC 9354P"; "unknown" */
    char os[128];        /* "Linux 6.18.0 x86_64"       */
    char host_name[64];
    uint32_t n_packages, n_numa, n_cores, n_pus; /* visible to us                        */
    uint32_t physical_cores; /* cores of the whole package by CPUID or device file; 0 = unknown;
                                in a virtual machine often more than n_cores               */
    uint64_t l1d_bytes, l2_bytes, l3_bytes; /* of one cache; 0 = unknown                  */
    uint32_t n_l3;
    uint64_t memory_bytes, memory_available_bytes;
    double base_hz, max_hz; /* NaN = unknown                                              */
    char governor[32];      /* "performance"; "" = not offered by this machine            */
    bool is_virtual;        /* a hypervisor is visible                                    */
    char hypervisor[32];
    char huge_pages[32]; /* transparent huge pages: "always" "madvise" "never" ""      */
    int aslr;            /* /proc/sys/kernel/randomize_va_space; -1 = unknown          */
    int perf_paranoid;   /* kernel.perf_event_paranoid; -100 = unknown                 */
    enum jb_simd simd;   /* best level usable here                                     */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Moves /sys and /proc for this and all meters (tests, captured machines). NULL restores "". */
void jb_host_set_root(const char *root);
const char *jb_host_root(void); /* "" normally; a prefix for "/sys/..." and "/proc/..." */

enum jb_status jb_host_read(struct jb_host *ret_host) JB_MUST_CHECK;

/* Picks n_threads processing units to pin to: one a core first (no SMT twins), nearest first,
 * filling one NUMA node and package before the next; among those this process may use.
 * @param ret_pus (n_threads,) OS numbers; repeats only if n_threads exceeds the allowed units. */
enum jb_status jb_host_pick_pus(uint32_t n_threads, uint32_t *ret_pus) JB_MUST_CHECK;

/* Cores that this process may use, the default for --threads; at least 1. */
uint32_t jb_host_default_threads(void);

/* Best SIMD level here, lowered by the environment variable JB_SIMD (a name as below) if set.
 * @return INVAL: JB_SIMD names no level; NOTSUP: that level does not run here. The reason lists
 *         the usable names. A backend asks this in probe() and open(), so that a misspelt level
 *         stops the run instead of slowing it. */
enum jb_status jb_host_simd_choose(enum jb_simd *ret_level) JB_MUST_CHECK;
/* The same without a way to fail: scalar (and a reason) where JB_SIMD cannot be followed. */
enum jb_simd jb_host_simd(void);
const char *jb_simd_name(enum jb_simd level); /* "avx2" */
bool jb_simd_by_name(const char *name, enum jb_simd *ret_level);
/* True if code built for `level` runs here. */
bool jb_simd_usable(enum jb_simd level);

/* One line a finding for `doctor`: what would make results steadier or unlock a sensor. */
struct jb_advice {
    char text[256];
};
uint32_t jb_host_advice(const struct jb_host *host, struct jb_advice *ret_advice,
                        uint32_t capacity);

#ifdef __cplusplus
}
#endif
#endif
