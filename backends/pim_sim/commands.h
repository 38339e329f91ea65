/* SPDX-License-Identifier: MIT */
#ifndef JB_PIM_COMMANDS_H
#define JB_PIM_COMMANDS_H

/* Commands beside the standard ones; FLOW.md tells what they do. */

#include "backends/simcore/mem_timing.h"

enum {
    /* flow global_buffer */
    PIM_ACTA = JB_MEM_N_STANDARD,
    PIM_MACA,
    PIM_WRGB,
    PIM_WRMAC,
    PIM_RDMAC,
    PIM_MODE,
    PIM_N_GLOBAL_BUFFER,
    /* flow register_file: even, odd */
    PIM_PACT_E = JB_MEM_N_STANDARD,
    PIM_PACT_O,
    PIM_PPRE_E,
    PIM_PPRE_O,
    PIM_MAC_E,
    PIM_MAC_O,
    PIM_REGW_E,
    PIM_REGW_O,
    PIM_GRFST,
    PIM_N_REGISTER_FILE
};

#endif
