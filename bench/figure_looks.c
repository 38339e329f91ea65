/* SPDX-License-Identifier: MIT */
#include "bench/figure_looks.h"

#include <math.h>
#include <string.h>

/* The palette of the survey whose figure this follows: arXiv 2410.04466, all-scatter.svg. */
const struct jb_platform_look jb_platform_looks[JB_N_PLATFORM_LOOKS] = {{"cpu", "CPU", 0x70AD47},
                                                                        {"gpu", "GPU", 0x4472C4},
                                                                        {"fpga", "FPGA", 0xFFC000},
                                                                        {"asic", "ASIC", 0xC00000},
                                                                        {"pim", "PIM", 0x7030A0}};

const struct jb_shape jb_method_looks[JB_N_METHOD_LOOKS] = {
    {"none", "none", 7, 6},           {"quant", "quantization", 5, 4},
    {"sparsity", "sparsity", 13, 12}, {"spec", "speculation", 9, 8},
    {"operator", "operator", 11, 10}, {"hetero", "heterogeneous", 15, 14},
    {"homog", "homogeneous", 2, 2},   {"", "several", 3, 3},
};

const struct jb_class_look jb_class_looks[JB_N_CLASS_LOOKS] = {
    {"measured", "measured", 0, 0.0},
    {"simulated", "simulated", 0, 0.0},
    {"modelled", "modelled", 7, 0.3},
    {"nameplate", "nameplate", 2, 0.45},
    {"literature", "literature", 1, 0.5}};

size_t jb_method_look(const char *method_class)
{
    size_t i = 0;
    while (i < JB_N_METHOD_LOOKS - 1 && strcmp(jb_method_looks[i].name, method_class) != 0) {
        i++;
    }
    return i;
}

size_t jb_class_look_of(const char *evidence_class)
{
    size_t i = 0;
    while (i < JB_N_CLASS_LOOKS - 1 && strcmp(jb_class_looks[i].name, evidence_class) != 0) {
        i++;
    }
    return i;
}

uint32_t jb_platform_colour(const char *platform)
{
    for (size_t i = 0; i < JB_N_PLATFORM_LOOKS; i++) {
        if (strcmp(jb_platform_looks[i].name, platform) == 0) {
            return jb_platform_looks[i].colour;
        }
    }
    return JB_LOOK_GREY;
}

static uint32_t mix(uint32_t colour, double with, double share)
{
    uint32_t mixed = 0;
    for (int shift = 0; shift <= 16; shift += 8) {
        const double part = (double)(colour >> shift & 0xFFu);
        mixed |= (uint32_t)lround(with + share * (part - with)) << shift;
    }
    return mixed;
}

uint32_t jb_shade(uint32_t colour, size_t n)
{
    static const double shares[JB_N_SHADES / 2] = {1.0, 0.65, 0.4};
    n %= JB_N_SHADES;
    return n % 2 == 1 ? mix(colour, 0.0, 0.8 * shares[n / 2] - 0.15)
                      : mix(colour, 255.0, shares[n / 2]);
}

uint32_t jb_tint(uint32_t colour, double share)
{
    return mix(colour, 255.0, share);
}
