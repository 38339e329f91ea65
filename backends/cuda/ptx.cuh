/* SPDX-License-Identifier: MIT */
/* Instructions that CUDA C++ has no word for. Tests put plain C++ in their place. */
#ifndef JB_CUDA_PTX_CUH
#define JB_CUDA_PTX_CUH

#include "backends/cuda/device.cuh"

template <bool IS_BF16>
__device__ inline void mma(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                           uint32_t b0, uint32_t b1)
{
    if (IS_BF16) {
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, "
                     "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                     : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
    } else {
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, "
                     "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                     : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
    }
}

/* A kernel launched before its predecessor ended waits here for the predecessor's results;
 * without that launch attribute, and before sm_90, it is nothing. */
__device__ inline void wait_for_previous_kernel()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
__device__ inline void let_next_kernel_start()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

__device__ inline uint4 load_stream(const void *p)
{
    uint4 v; /* weights are read once: they need not displace activations in L1 */
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p));
    return v;
}

/* 16 bytes from device to shared memory, in the background; groups end in order. */
__device__ inline void copy_16(void *to, const void *from)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                     (uint32_t)__cvta_generic_to_shared(to)),
                 "l"(__cvta_generic_to_global(from))
                 : "memory");
}
__device__ inline void copies_end_group()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}
/* Until at most N groups are under way. */
template <int N> __device__ inline void copies_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

/* Four 8 x 8 matrices of halves, transposed; lane l gives row l % 8 of matrix l / 8. */
__device__ inline void load_transposed(uint32_t (&v)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(row))
                 : "memory");
}

__device__ inline uint8_t *dynamic_shared_memory()
{
    extern __shared__ __align__(128) uint8_t memory_of_launch[];
    return memory_of_launch;
}

/* Values that other blocks of the same launch wrote or will read: past L1, which is not coherent. */
__device__ inline float4 load_shared_by_all(const float *p)
{
    return __ldcg((const float4 *)p);
}
/* To the second-level cache, ahead of need. */
__device__ inline void prefetch_for_all(const void *p)
{
    asm volatile("prefetch.global.L2 [%0];" ::"l"(__cvta_generic_to_global(p)));
}
__device__ inline void store_for_all(float *p, float v)
{
    __stcg(p, v);
}

#if __CUDA_ARCH__ >= 900

__device__ inline uint32_t shared_address(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

__device__ inline uint64_t nanoseconds()
{
    uint64_t t;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(t));
    return t;
}

/* Stops the launch rather than hang: what was waited for and where goes to the host first. */
__device__ inline void give_up(uint32_t *fault, uint32_t what, uint32_t phase)
{
    fault[1] = phase;
    fault[2] = blockIdx.x;
    fault[3] = threadIdx.x;
    __threadfence_system();
    fault[0] = what;
    __threadfence_system();
    __trap();
}

struct patience {
    uint32_t tries = 0;
    uint64_t since = 0;
    __device__ bool is_over()
    {
        if ((++tries & 1023) != 0) {
            return false;
        }
        const uint64_t now = nanoseconds();
        since = since == 0 ? now : since;
        return now - since > 4000000000ULL;
    }
};

__device__ inline void barrier_init(uint64_t *barrier, uint32_t n_arrivals)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
                 "r"(n_arrivals)
                 : "memory");
}
__device__ inline void barriers_are_ready()
{
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
__device__ inline void barrier_arrive(uint64_t *barrier)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
                 : "memory");
}
/* Arrives, and has the phase wait for n_bytes of copies too. */
__device__ inline void barrier_expect(uint64_t *barrier, uint32_t n_bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(
                     shared_address(barrier)),
                 "r"(n_bytes)
                 : "memory");
}
__device__ inline bool barrier_test(uint64_t *barrier, uint32_t parity)
{
    uint32_t is_over;
    asm volatile("{\n.reg .pred p;\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
                 "selp.u32 %0, 1, 0, p;\n}"
                 : "=r"(is_over)
                 : "r"(shared_address(barrier)), "r"(parity)
                 : "memory");
    return is_over != 0;
}
__device__ inline void barrier_wait(uint64_t *barrier, uint32_t parity, uint32_t *fault,
                                    uint32_t what, uint32_t phase)
{
    patience left;
    while (!barrier_test(barrier, parity)) {
        if (left.is_over()) {
            give_up(fault, what, phase);
        }
    }
}

/* Bulk copy from device to shared memory; 16-byte addresses and sizes. What streams once leaves
 * the second-level cache first. */
__device__ inline void copy_in(void *to, const void *from, uint32_t n_bytes, uint64_t *barrier)
{
    uint64_t policy;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
                 "[%0], [%1], %2, [%3], %4;" ::"r"(shared_address(to)),
                 "l"(__cvta_generic_to_global(from)), "r"(n_bytes), "r"(shared_address(barrier)),
                 "l"(policy)
                 : "memory");
}

__device__ inline void named_barrier_sync(uint32_t barrier, uint32_t n_threads)
{
    asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(n_threads) : "memory");
}

/* Waits until a count that only grows reaches `count`. */
__device__ inline void wait_for_count(const uint32_t *counter, uint32_t count, uint32_t *fault,
                                      uint32_t what, uint32_t phase)
{
    patience left;
    for (;;) {
        uint32_t now;
        asm volatile("ld.acquire.gpu.global.u32 %0, [%1];"
                     : "=r"(now)
                     : "l"(__cvta_generic_to_global(counter))
                     : "memory");
        if (now >= count) {
            return;
        }
        if (left.is_over()) {
            give_up(fault, what, phase);
        }
    }
}

#endif
#endif
