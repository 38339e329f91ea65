/* SPDX-License-Identifier: MIT */
#ifndef JB_BASE_UNITS_H
#define JB_BASE_UNITS_H

#include <math.h>
#include <stdbool.h>

/* Quantities are SI doubles with the unit in the name: _s _j _w _hz _bytes. Cycle counts are
 * uint64_t ..._cycles. Unknown is NaN, never 0; 0 means known to be zero. */

#define JB_KIB 1024.0
#define JB_MIB (1024.0 * 1024.0)
#define JB_GIB (1024.0 * 1024.0 * 1024.0)

static inline double jb_missing(void)
{
    return (double)NAN;
}

static inline bool jb_is_missing(double value)
{
    return isnan(value) != 0;
}

/* How a number came to be. Ordered from strongest to weakest: the class of a total is the
 * largest value among its parts. Classes are never ranked against one another unasked. */
enum jb_class {
    JB_CLASS_MEASURED,  /* clocks and meters                                                  */
    JB_CLASS_SIMULATED, /* event, command or cycle level, or a closed form tested equal to it */
    JB_CLASS_MODELLED,  /* other closed form, constant, or sourced watts x time               */
    JB_CLASS_NAMEPLATE, /* TDP x time                                                         */
    JB_CLASS_LITERATURE,
    JB_CLASS_NONE /* there is no number                                                  */
};

static inline const char *jb_class_name(enum jb_class c)
{
    switch (c) {
    case JB_CLASS_MEASURED:
        return "measured";
    case JB_CLASS_SIMULATED:
        return "simulated";
    case JB_CLASS_MODELLED:
        return "modelled";
    case JB_CLASS_NAMEPLATE:
        return "nameplate";
    case JB_CLASS_LITERATURE:
        return "literature";
    case JB_CLASS_NONE:
        break;
    }
    return "";
}

static inline enum jb_class jb_class_weakest(enum jb_class a, enum jb_class b)
{
    return a > b ? a : b;
}

#endif
