/* SPDX-License-Identifier: MIT */
#ifndef JB_BENCH_FIGURE_LOOKS_H
#define JB_BENCH_FIGURE_LOOKS_H

/* How platforms, methods and evidence classes look in all figures. Shapes are gnuplot's point
 * types, colours 0xRRGGBB. */

#include <stddef.h>
#include <stdint.h>

#define JB_LOOK_GREY 0x595959u
#define JB_MARK_SIZE 0.85

/* The order of enum jb_pub_platform. */
struct jb_platform_look {
    const char *name, *title;
    uint32_t colour;
};
enum { JB_N_PLATFORM_LOOKS = 5 };
extern const struct jb_platform_look jb_platform_looks[JB_N_PLATFORM_LOOKS];

/* Filled and hollow form of a shape. A star has no inside. */
struct jb_shape {
    const char *name, *title;
    int filled, hollow;
};
/* Method classes as in the column method_class; the last one stands for several or unknown. */
enum { JB_N_METHOD_LOOKS = 8 };
extern const struct jb_shape jb_method_looks[JB_N_METHOD_LOOKS];

/* The order of enum jb_class: strongest first. */
struct jb_class_look {
    const char *name, *title;
    int inner;
    double inner_size;
};
enum { JB_N_CLASS_LOOKS = 5 };
extern const struct jb_class_look jb_class_looks[JB_N_CLASS_LOOKS];

#ifdef __cplusplus
extern "C" {
#endif

/* Index of a name; the last one if it is unknown. */
size_t jb_method_look(const char *method_class);
size_t jb_class_look_of(const char *evidence_class);
uint32_t jb_platform_colour(const char *platform);
/* The n-th of several things that share a colour: the colour itself, then darker and lighter ones
 * by turns; they repeat after JB_N_SHADES. */
#define JB_N_SHADES 6
uint32_t jb_shade(uint32_t colour, size_t n);
/* Mixed with white: share 1 = the colour itself, 0 = white. */
uint32_t jb_tint(uint32_t colour, double share);

#ifdef __cplusplus
}
#endif
#endif
