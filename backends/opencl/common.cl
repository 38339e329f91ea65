/* SPDX-License-Identifier: MIT */
/* Stands before every other kernel file. OpenCL 1.2 C, no extension needed.
 *
 * The host defines
 *   GROUP  work-items of the kernels that reduce: 1 on CPUs, where an item is a loop of long
 *          vectors and a barrier is dear; 128 on GPUs
 *   WIDE   1 on CPUs: long vectors are registers; 0 where they are many registers of one item
 *
 * An activation slot is (rows, stride) float, stride = width rounded up to 32. What lies between
 * width and stride is 0 from load on and nobody writes it, so products need no tail. */

#define GROUP_OF(n) __attribute__((reqd_work_group_size(n, 1, 1)))

float sum16(float16 v)
{
    const float8 a = v.lo + v.hi;
    const float4 b = a.lo + a.hi;
    const float2 c = b.lo + b.hi;
    return c.x + c.y;
}

#if WIDE
/* Binary16 to float by moving bits: exact, subnormals included (a CPU has them in float32 too), and
 * without the branches of a library's vload_half. */
#define DEFINE_HALVES(NAME, LOADED, UINTS, FLOATS)                                                 \
    float##FLOATS NAME(const __global half *p)                                                     \
    {                                                                                              \
        const uint##UINTS bits = convert_uint##UINTS(LOADED);                                      \
        const float##FLOATS value =                                                                \
            as_float##FLOATS((bits & 0x7fffu) << 13) * 0x1p112f;                                   \
        return as_float##FLOATS(as_uint##UINTS(value) | ((bits & 0x8000u) << 16));                 \
    }
DEFINE_HALVES(half1, *(const __global ushort *)p, , )
DEFINE_HALVES(halves2, vload2(0, (const __global ushort *)p), 2, 2)
DEFINE_HALVES(halves16, vload16(0, (const __global ushort *)p), 16, 16)
#else
float half1(const __global half *p)
{
    return vload_half(0, p);
}
float2 halves2(const __global half *p)
{
    return vload_half2(0, p);
}
float16 halves16(const __global half *p)
{
    return vload_half16(0, p);
}
#endif

/* Sum of one value an item over the group; the same in every item. Fixed tree. */
float group_sum(float value, __local float *scratch)
{
#if GROUP == 1
    return value;
#else
    const uint lid = get_local_id(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    scratch[lid] = value;
    for (uint n = GROUP / 2; n > 0; n /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lid < n) {
            scratch[lid] += scratch[lid + n];
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return scratch[0];
#endif
}
