/* SPDX-License-Identifier: MIT */
/* Built once for each AArch64 level; the build names JB_KERNELS and JB_LEVEL. */
#include "backends/cpu/kernels.h"

#include "backends/cpu/simd_neon.h"

#include "backends/cpu/impl_ops.h"

#include "backends/cpu/impl_matmul.h"

#include "backends/cpu/impl_quant.h"

#include "backends/cpu/impl_attention.h"

extern const struct jb_cpu_kernels JB_KERNELS;
#include "backends/cpu/impl_table.h"
