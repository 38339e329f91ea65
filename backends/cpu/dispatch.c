/* SPDX-License-Identifier: MIT */
#include "backends/cpu/kernels.h"

extern const struct jb_cpu_kernels jb_cpu_kernels_scalar;
#ifdef JB_CPU_X86
extern const struct jb_cpu_kernels jb_cpu_kernels_avx2, jb_cpu_kernels_avx512, jb_cpu_kernels_vnni,
    jb_cpu_kernels_bf16, jb_cpu_kernels_amx;
#endif
#ifdef JB_CPU_ARM
extern const struct jb_cpu_kernels jb_cpu_kernels_neon, jb_cpu_kernels_dotprod;
#endif

/* Ascending: each level of this architecture includes those before it. */
static const struct jb_cpu_kernels *const tables[] = {
    &jb_cpu_kernels_scalar,
#ifdef JB_CPU_X86
    &jb_cpu_kernels_avx2,   &jb_cpu_kernels_avx512,  &jb_cpu_kernels_vnni,
    &jb_cpu_kernels_bf16,   &jb_cpu_kernels_amx,
#endif
#ifdef JB_CPU_ARM
    &jb_cpu_kernels_neon,   &jb_cpu_kernels_dotprod,
#endif
};

const struct jb_cpu_kernels *jb_cpu_kernels_for(enum jb_simd level)
{
    size_t best = 0;
    for (size_t i = 1; i < sizeof(tables) / sizeof(tables[0]); i++) {
        if (tables[i]->level <= level) {
            best = i;
        }
    }
    return tables[best];
}
