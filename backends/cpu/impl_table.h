/* SPDX-License-Identifier: MIT */
/* The table of one level; the build names its symbol JB_KERNELS and its level JB_LEVEL. */

const struct jb_cpu_kernels JB_KERNELS = {
    .level = JB_LEVEL,
    .matmul = {[JB_F32] = matmul_f32,
               [JB_F16] = matmul_f16,
               [JB_BF16] = matmul_bf16,
               [JB_Q8_0] = matmul_q8_0,
               [JB_Q4_0] = matmul_q4_0,
               [JB_Q4_1] = matmul_q4_1,
               [JB_Q4_K] = matmul_q4_k,
               [JB_Q6_K] = matmul_q6_k},
    .takes_records =
        {[JB_Q8_0] = true, [JB_Q4_0] = true, [JB_Q4_1] = true, [JB_Q4_K] = true, [JB_Q6_K] = true},
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
