/* SPDX-License-Identifier: MIT */
/* The device code, compiled for the emulator; kernels keep their names. */
#include "tests/cuda/emulator.h"

#include "backends/cuda/kernels.cu"

float emu_product(bool is_bf16, uint16_t a, uint16_t b)
{
    if (is_bf16) {
        return __bfloat162float({a}) * __bfloat162float({b});
    }
    return __half2float({a}) * __half2float({b});
}

/* A bulk copy that has arrived. */
void emu_copied(void *to, const void *from, uint32_t n_bytes, uint64_t *barrier)
{
    memcpy(to, from, n_bytes);
    emu_mbarrier *b = (emu_mbarrier *)barrier;
    b->n_bytes -= (int32_t)n_bytes;
    emu_mbarrier_look(b);
}
