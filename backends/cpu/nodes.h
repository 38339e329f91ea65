/* SPDX-License-Identifier: MIT */
#ifndef JB_CPU_NODES_H
#define JB_CPU_NODES_H

/* What the workers walk: a program's ops, gathered into nodes that need one barrier each. */

#include "backends/cpu/kernels.h"
#include "backends/plan.h"

enum jb_cpu_node_kind {
    JB_CPU_NODE_ROWS,   /* EMBED, POSEMBED, LAYERNORM, SELECT, ARGMAX: split over rows          */
    JB_CPU_NODE_GROUPS, /* RMSNORM and ROPE: split over runs of `group` values                 */
    JB_CPU_NODE_MATMUL, /* products of one source, and an ADD of the last one's result         */
    JB_CPU_NODE_ATTENTION, /* GROUPS ops on its q and k, then ATTENTION */
    JB_CPU_NODE_VALUES     /* SILU_MUL, GELU, RELU, ADD: split over values                        */
};

enum {
    JB_CPU_MAKE_RECORDS = 1u << 0, /* int8: records or quads                   */
    JB_CPU_MAKE_HALVES = 1u << 1   /* bfloat16 rows; not in steps of two terms */
};

struct jb_cpu_node {
    enum jb_cpu_node_kind kind;
    uint32_t first, n; /* ops */
    bool has_add;      /* MATMUL: the last op is the ADD                                     */
    unsigned needs;    /* MATMUL: JB_CPU_MAKE_* of its source that the weights' kernels read */
    unsigned makes;    /* also makes these of its result: the next node is a MATMUL of it    */
    bool finds;        /* MATMUL: the node before made what it needs                         */
};

/* Gathers; a node never reaches over a cut.
 * @param ret_nodes room for program->n_ops nodes
 * @return how many there are */
uint32_t jb_cpu_gather(const struct jb_plan *plan, const struct jb_program *program,
                       const struct jb_cpu_kernels *kernels, struct jb_cpu_node *ret_nodes);

#endif
