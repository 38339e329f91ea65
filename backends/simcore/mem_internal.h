/* SPDX-License-Identifier: MIT */
#ifndef JB_SIMCORE_MEM_INTERNAL_H
#define JB_SIMCORE_MEM_INTERNAL_H

/* What mem_timing.c and mem_stream.c share: the state of a channel. */

#include "backends/simcore/mem_timing.h"

/* After a command: ready[node of level][following] >= now + latency. */
struct jb_mem_push {
    uint32_t level, following;
    uint64_t latency;
    bool is_sibling;
};

/* After a command: the same, counted from the issue `size` commands back. */
struct jb_mem_window {
    uint64_t preceding, following;
    uint64_t latency;
    uint32_t level, size;
    uint64_t *times; /* (nodes of level, size + 1): a ring of times, then how many there were */
};

struct jb_mem {
    struct jb_mem_command commands[JB_MEM_MAX_COMMANDS];
    uint32_t n_commands;
    uint32_t n_nodes[JB_MEM_N_LEVELS], banks_per_node[JB_MEM_N_LEVELS];
    uint32_t first_node[JB_MEM_N_LEVELS]; /* of the level, counted through all levels           */
    struct jb_mem_push *pushes;           /* those of command c: from first_push[c] on          */
    uint32_t first_push[JB_MEM_MAX_COMMANDS + 1];
    struct jb_mem_window *windows;
    uint32_t n_windows;
    uint64_t *ready;        /* (nodes of all levels, n_commands)                                 */
    uint32_t *ready_of;     /* (banks, levels): where the rows of a bank's nodes start in ready  */
    uint32_t *open_row;     /* (banks,)                                                          */
    uint32_t *n_open;       /* (ranks of the channel,)                                           */
    uint64_t *rank_changed; /* (ranks of the channel,) time of the last change of n_open         */
    struct jb_mem_residency residency; /* up to rank_changed                                     */
    uint64_t counts[JB_MEM_MAX_COMMANDS];
    uint64_t last_issue;
    jb_mem_sink *sink;
    void *sink_ctx;
    uint64_t *stream_states; /* (2, state) buffers of mem_stream.c; NULL until first used */
    uint32_t *stream_rows;   /* (banks,) the same                                         */
};

#endif
