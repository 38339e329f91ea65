/* SPDX-License-Identifier: MIT */
#include "backends/cpu/nodes.h"

struct gatherer {
    const struct jb_plan *plan;
    const struct jb_op *ops;
    uint32_t limit; /* the next cut: no node goes on past it */
};

static enum jb_cpu_node_kind kind_of(enum jb_op_kind kind)
{
    switch (kind) {
    case JB_OP_RMSNORM:
    case JB_OP_ROPE:
        return JB_CPU_NODE_GROUPS;
    case JB_OP_MATMUL:
        return JB_CPU_NODE_MATMUL;
    case JB_OP_ATTENTION:
        return JB_CPU_NODE_ATTENTION;
    case JB_OP_SILU_MUL:
    case JB_OP_GELU:
    case JB_OP_RELU:
    case JB_OP_ADD:
        return JB_CPU_NODE_VALUES;
    default:
        return JB_CPU_NODE_ROWS;
    }
}

/* Products of one source are independent unless one overwrites the source or another's result. */
static bool joins_matmuls(const struct gatherer *g, const struct jb_cpu_node *node, uint32_t next)
{
    const struct jb_op *op = &g->ops[next];
    if (op->kind != JB_OP_MATMUL || op->src0 != g->ops[node->first].src0 || op->dst == op->src0) {
        return false;
    }
    for (uint32_t i = node->first; i < next; i++) {
        if (g->ops[i].dst == op->dst || g->ops[i].dst == op->src0) {
            return false;
        }
    }
    return true;
}

/* An ADD of the last product can be done by whoever made each value, if no one still reads what
 * it overwrites and no other product is in it. */
static bool joins_add(const struct gatherer *g, const struct jb_cpu_node *node, uint32_t next)
{
    const struct jb_op *op = &g->ops[next], *last = &g->ops[next - 1];
    if (op->kind != JB_OP_ADD || op->dst == last->src0 ||
        (op->src0 == last->dst) == (op->src1 == last->dst)) {
        return false;
    }
    for (uint32_t i = node->first; i + 1 < next; i++) {
        const uint16_t made = g->ops[i].dst;
        if (made == op->src0 || made == op->src1 || made == op->dst) {
            return false;
        }
    }
    return true;
}

/* Workers get equal shares of the runs of a slot, so ops that follow one another on the same slot
 * with the same run length stay within a worker. */
static bool joins_groups(const struct gatherer *g, const struct jb_cpu_node *node, uint32_t next)
{
    const struct jb_op *op = &g->ops[next];
    if (kind_of(op->kind) != JB_CPU_NODE_GROUPS) {
        return false;
    }
    for (uint32_t i = node->first; i < next; i++) {
        const struct jb_op *before = &g->ops[i];
        const bool touches =
            before->dst == op->src0 || before->dst == op->dst || before->src0 == op->dst;
        if (touches &&
            (before->group != op->group || before->dst != before->src0 || op->dst != op->src0)) {
            return false;
        }
    }
    return true;
}

/* ATTENTION stores k by heads: the worker that stores a head must be the one that rotated it. */
static bool joins_attention(const struct gatherer *g, const struct jb_cpu_node *node, uint32_t next)
{
    const struct jb_op *op = &g->ops[next];
    if (op->kind != JB_OP_ATTENTION) {
        return false;
    }
    for (uint32_t i = node->first; i < next; i++) {
        const struct jb_op *before = &g->ops[i];
        const bool feeds_store = before->dst == op->src1 || before->dst == op->src2;
        if (before->dst == op->dst || (feeds_store && before->group != g->plan->head_dim)) {
            return false;
        }
    }
    return true;
}

static struct jb_cpu_node gather_one(const struct gatherer *g, uint32_t first)
{
    struct jb_cpu_node node = {.kind = kind_of(g->ops[first].kind), .first = first};
    uint32_t next = first + 1;
    if (node.kind == JB_CPU_NODE_MATMUL) {
        while (next < g->limit && joins_matmuls(g, &node, next)) {
            next++;
        }
        if (next < g->limit && joins_add(g, &node, next)) {
            node.has_add = true;
            next++;
        }
    } else if (node.kind == JB_CPU_NODE_GROUPS) {
        while (next < g->limit && joins_groups(g, &node, next)) {
            next++;
        }
        if (next < g->limit && joins_attention(g, &node, next)) {
            node.kind = JB_CPU_NODE_ATTENTION;
            next++;
        }
    }
    node.n = next - first;
    return node;
}

/* Whether workers that make the result of a node make whole blocks of 32 of it. */
static bool can_make_records(const struct jb_plan *plan, const struct jb_op *ops,
                             const struct jb_cpu_node *node)
{
    const struct jb_op *last = &ops[node->first + node->n - 1];
    switch (node->kind) {
    case JB_CPU_NODE_GROUPS:
        return node->n == 1 && last->group == plan->slots[last->dst].width;
    case JB_CPU_NODE_ROWS:
        return last->kind == JB_OP_LAYERNORM;
    case JB_CPU_NODE_ATTENTION:
        return plan->head_dim % 32 == 0;
    case JB_CPU_NODE_VALUES:
        return true;
    default:
        return false;
    }
}

static uint32_t next_cut(const struct jb_program *program, uint32_t op)
{
    for (uint32_t i = 0; i < program->n_cuts; i++) {
        if (program->cuts[i] > op) {
            return program->cuts[i];
        }
    }
    return program->n_ops;
}

static unsigned needs_of(enum jb_cpu_input input)
{
    switch (input) {
    case JB_CPU_INPUT_RECORDS:
    case JB_CPU_INPUT_QUADS:
        return JB_CPU_MAKE_RECORDS;
    case JB_CPU_INPUT_HALVES:
        return JB_CPU_MAKE_HALVES;
    default:
        return 0;
    }
}

uint32_t jb_cpu_gather(const struct jb_plan *plan, const struct jb_program *program,
                       const struct jb_cpu_kernels *kernels, struct jb_cpu_node *ret_nodes)
{
    struct gatherer g = {.plan = plan, .ops = program->ops};
    uint32_t n = 0;
    for (uint32_t op = 0; op < program->n_ops; op += ret_nodes[n++].n) {
        g.limit = next_cut(program, op);
        struct jb_cpu_node node = gather_one(&g, op);
        for (uint32_t i = op; node.kind == JB_CPU_NODE_MATMUL && i < op + node.n; i++) {
            const int32_t weight = program->ops[i].weight;
            node.needs |=
                weight != JB_NO_TENSOR ? needs_of(kernels->input[plan->tensors[weight].dtype]) : 0;
        }
        struct jb_cpu_node *before = n > 0 ? &ret_nodes[n - 1] : NULL;
        const bool is_after_cut = before != NULL && next_cut(program, before->first) == op;
        if (node.needs != 0 && before != NULL && !is_after_cut &&
            program->ops[op - 1].dst == program->ops[op].src0 &&
            can_make_records(plan, program->ops, before)) {
            before->makes = node.needs;
            node.finds = true;
        }
        ret_nodes[n] = node;
    }
    return n;
}
