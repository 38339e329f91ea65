/* SPDX-License-Identifier: MIT */
#ifndef JB_TEST_PLAIN_H
#define JB_TEST_PLAIN_H

/* The numerics that devices of pim_sim declare, written as plain loops over inputs, for
 * jb_ref_exec. Nothing here knows of channels, banks or slots. */

#include "backends/refops/exec.h"

enum plain_number { PLAIN_F32, PLAIN_F16, PLAIN_BF16 };

struct plain {
    const char *device, *mapping;
    enum { PLAIN_TREE, PLAIN_LANES, PLAIN_BLOCKS } style;
    enum plain_number stored, operand, sum, out;
    uint32_t n_lanes;
    uint32_t n_run;   /* TREE: words between two read-outs; LANES: words of a tile */
    uint32_t n_split; /* parts of the inputs that are summed apart                 */
    enum jb_dtype dtype;
    bool attends;
};

#ifdef __cplusplus
extern "C" {
#endif

extern const struct plain plain_devices[]; /* ends with a NULL device */
struct jb_ref_hooks plain_hooks(const struct plain *plain);

#ifdef __cplusplus
}
#endif
#endif
