/* SPDX-License-Identifier: MIT */
/* Built once for each AVX-512 level; the build names JB_KERNELS and JB_LEVEL. */
#include "backends/cpu/kernels.h"

#include "backends/cpu/simd_avx512.h"

#ifdef __AVX512VNNI__
#define JB_CPU_PACKED
#endif

#include "backends/cpu/impl_ops.h"

#include "backends/cpu/impl_matmul.h"

#ifdef JB_CPU_PACKED
#include "backends/cpu/impl_packed.h"

#ifdef __AMX_BF16__
#include "backends/cpu/impl_amx.h"
#endif

#include "backends/cpu/impl_panels.h"
#else
#include "backends/cpu/impl_quant.h"
#endif

#include "backends/cpu/impl_attention.h"

extern const struct jb_cpu_kernels JB_KERNELS;
#include "backends/cpu/impl_table.h"
