/* SPDX-License-Identifier: MIT */
/* Writing model files: shapes with seeded weights, and other files converted. */
#include "bench/workload/workload.h"

enum jb_status jb_synth(const struct jb_synth_args *args)
{
    return jb_fail(JB_E_NOTSUP, "%s: model files cannot be written yet", args->output);
}
