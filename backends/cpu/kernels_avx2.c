/* SPDX-License-Identifier: MIT */
#include "backends/cpu/kernels.h"

#include "backends/cpu/simd_avx2.h"

#include "backends/cpu/impl_ops.h"

#include "backends/cpu/impl_matmul.h"

#include "backends/cpu/impl_quant.h"

#include "backends/cpu/impl_attention.h"

extern const struct jb_cpu_kernels JB_KERNELS;
#include "backends/cpu/impl_table.h"
