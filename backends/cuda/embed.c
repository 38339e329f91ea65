/* SPDX-License-Identifier: MIT */
/* The device code as bytes of the program. */
#include "jb_cuda_fatbin.h" /* JB_CUDA_FATBIN: path, written by the build */

__asm__(".section .rodata\n"
        ".balign 64\n"
        ".globl jb_cuda_fatbin\n"
        "jb_cuda_fatbin:\n"
        ".incbin \"" JB_CUDA_FATBIN "\"\n"
        ".byte 0\n"
        ".text\n");
