/* SPDX-License-Identifier: MIT */
/* The table of one level; the build names its symbol JB_KERNELS and its level JB_LEVEL. */

#ifdef JB_CPU_PACKED
#define QUANT_KERNEL(NAME) packed_##NAME
#define HALF_KERNEL(NAME) packed_##NAME
#define F16_INPUT JB_CPU_INPUT_PANELS
#ifdef __AVX512BF16__
#define BF16_INPUT JB_CPU_INPUT_HALVES
#else
#define BF16_INPUT JB_CPU_INPUT_PANELS
#endif
#define QUANT_INPUT JB_CPU_INPUT_QUADS
#else
#define QUANT_KERNEL(NAME) matmul_##NAME
#define HALF_KERNEL(NAME) matmul_##NAME
#define F16_INPUT JB_CPU_INPUT_X
#define BF16_INPUT JB_CPU_INPUT_X
#define QUANT_INPUT JB_CPU_INPUT_RECORDS
#endif

const struct jb_cpu_kernels JB_KERNELS = {
    .level = JB_LEVEL,
    .matmul = {[JB_F32] = matmul_f32,
               [JB_F16] = HALF_KERNEL(f16),
               [JB_BF16] = HALF_KERNEL(bf16),
               [JB_Q8_0] = QUANT_KERNEL(q8_0),
               [JB_Q4_0] = QUANT_KERNEL(q4_0),
               [JB_Q4_1] = QUANT_KERNEL(q4_1),
               [JB_Q4_K] = QUANT_KERNEL(q4_k),
               [JB_Q6_K] = QUANT_KERNEL(q6_k)},
    .input = {[JB_F16] = F16_INPUT,
              [JB_BF16] = BF16_INPUT,
              [JB_Q8_0] = QUANT_INPUT,
              [JB_Q4_0] = QUANT_INPUT,
              [JB_Q4_1] = QUANT_INPUT,
              [JB_Q4_K] = QUANT_INPUT,
              [JB_Q6_K] = QUANT_INPUT},
#ifdef JB_CPU_PACKED
    .quantise_quads = quantise_quads,
#ifdef __AVX512BF16__
    .to_bf16 = to_bf16,
#endif
#endif
    .quantise = quantise,
    .rmsnorm = rmsnorm,
    .layernorm = layernorm,
    .rope_pairs = rope_pairs,
    .rope_halves = rope_halves,
    .attention = attention,
    .silu_mul = silu_mul,
    .gelu = gelu,
    .relu = relu,
    .add = add,
    .to_f16 = to_f16,
    .argmax = argmax,
};
