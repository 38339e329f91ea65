/* SPDX-License-Identifier: MIT */
/* Entry points of the device code. One module for all architectures; host code finds kernels by
 * name. Names of the few-row products: matmul_FORM_TYPE_ROWTILES_PARTS_GROUPS. */
#include "backends/cuda/attention.cuh"
#include "backends/cuda/device.cuh"
#include "backends/cuda/flash.cuh"
#include "backends/cuda/matmul.cuh"
#if __CUDA_ARCH__ >= 900
#include "backends/cuda/mega.cuh"
#else
#include "backends/cuda/mega.h"
#endif
#include "backends/cuda/misc.cuh"

#define KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads)

#define FEW_ROWS(form, type, is_bf16, rows, parts, groups)                                         \
    KERNEL(MATMUL_WARPS *WARP)                                                                     \
    matmul_##form##_##type##_##rows##_##parts##_##groups(const __grid_constant__ jb_cuda_matmul p) \
    {                                                                                              \
        few_rows_matmul<JB_CUDA_##form, is_bf16, rows, parts, groups>(p);                          \
    }
/* Batches of 1-8 columns with one weight or a gate/up pair, and up to 16, 32 columns. */
#define ALL_SIZES(form, type, is_bf16)                                                             \
    FEW_ROWS(form, type, is_bf16, 1, 1, 1)                                                         \
    FEW_ROWS(form, type, is_bf16, 2, 1, 1)                                                         \
    FEW_ROWS(form, type, is_bf16, 1, 2, 1)                                                         \
    FEW_ROWS(form, type, is_bf16, 2, 1, 2)                                                         \
    FEW_ROWS(form, type, is_bf16, 1, 2, 2)                                                         \
    FEW_ROWS(form, type, is_bf16, 2, 1, 4)                                                         \
    FEW_ROWS(form, type, is_bf16, 1, 2, 4)

ALL_SIZES(F16, half, false)
ALL_SIZES(BF16, bf16, true)
ALL_SIZES(T4, half, false)
ALL_SIZES(T4M, half, false)
ALL_SIZES(T8, half, false)
ALL_SIZES(T8S, half, false)

KERNEL(256) plain_matmul(const __grid_constant__ jb_cuda_plain_matmul p) { plain_matmul_body(p); }
KERNEL(1024) run_norm(const __grid_constant__ jb_cuda_norm p) { norm_body(p); }
KERNEL(256) run_elementwise(const __grid_constant__ jb_cuda_elementwise p) { elementwise_body(p); }
KERNEL(256) run_embed(const __grid_constant__ jb_cuda_embed p) { embed_body(p); }
KERNEL(256) run_rope(const __grid_constant__ jb_cuda_rope p) { rope_body(p); }
KERNEL(32) run_kv_store(const __grid_constant__ jb_cuda_kv_store p) { kv_store_body(p); }
KERNEL(128) attention_1(const __grid_constant__ jb_cuda_attention p) { attention_body<1>(p); }
KERNEL(128) attention_4(const __grid_constant__ jb_cuda_attention p) { attention_body<4>(p); }
KERNEL(128) attention_8(const __grid_constant__ jb_cuda_attention p) { attention_body<8>(p); }
KERNEL(128) flash_64(const __grid_constant__ jb_cuda_flash p)
{
    flash_body<64>(p, dynamic_shared_memory());
}
KERNEL(128) flash_128(const __grid_constant__ jb_cuda_flash p)
{
    flash_body<128>(p, dynamic_shared_memory());
}
KERNEL(256) run_select(const __grid_constant__ jb_cuda_select p) { select_body(p); }
KERNEL(1024) run_argmax(const __grid_constant__ jb_cuda_argmax p) { argmax_body(p); }
KERNEL(256) run_tile(const __grid_constant__ jb_cuda_tile p) { tile_body(p); }
KERNEL(256) run_untile(const __grid_constant__ jb_cuda_untile p) { untile_body(p); }

/* A decode step in one launch: mega_WARPS_GROUPS. Only with bulk copies, from 9.0 on. */
#if __CUDA_ARCH__ >= 900
#define MEGA(warps, groups)                                                                        \
    extern "C" __global__ void __launch_bounds__((warps + JB_MEGA_OTHER_WARPS) * WARP, 1)                            \
        mega_##warps##_##groups(const __grid_constant__ jb_mega p)                                 \
    {                                                                                              \
        mega_body<warps, groups>(p, dynamic_shared_memory());                                      \
    }
#else
#define MEGA(warps, groups)                                                                        \
    extern "C" __global__ void mega_##warps##_##groups(const __grid_constant__ jb_mega p) {}
#endif
MEGA(8, 1)
MEGA(16, 1)
MEGA(8, 2)
