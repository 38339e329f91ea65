/* SPDX-License-Identifier: MIT */
/* A machine's arithmetic: operands as broadcast, weights as stored, sums in the accumulators'
 * format in the order in which units take words, partial sums and lanes added by the host in
 * float32. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/pim_sim/pim.h"

enum { MAX_LANES = 256, BLOCK = 32 };

float pim_round(enum pim_number number, float value)
{
    switch (number) {
    case PIM_F16:
        return jb_f16_to_f32(jb_f32_to_f16(value));
    case PIM_BF16:
        return jb_bf16_to_f32(jb_f32_to_bf16(value));
    default:
        return value;
    }
}

/* ---- mapping ---- */

struct pim_order pim_order_of(const struct pim_machine *machine, uint32_t n_inputs, uint32_t split)
{
    const uint32_t n_words = (n_inputs + machine->n_lanes - 1) / machine->n_lanes;
    return (struct pim_order){
        .n_inputs = n_inputs,
        .n_words = n_words,
        .n_lanes = machine->n_lanes,
        .split = split,
        .group_words = (n_words + split - 1) / split,
        .run_words = machine->flow == PIM_GLOBAL_BUFFER ? machine->spec.n_columns : machine->n_grf};
}

uint32_t pim_order_word(const struct pim_machine *machine, const struct pim_order *order,
                        uint32_t group, uint32_t at)
{
    uint32_t word = at;
    if (machine->flow == PIM_REGISTER_FILE) { /* even tiles, then odd ones */
        const uint32_t n_tiles = (order->group_words + order->run_words - 1) / order->run_words;
        const uint32_t n_even = (n_tiles + 1) / 2, tile = at / order->run_words;
        const uint32_t number = tile < n_even ? 2 * tile : 2 * (tile - n_even) + 1;
        word = number * order->run_words + at % order->run_words;
    }
    if (word >= order->group_words) {
        return UINT32_MAX;
    }
    word += group * order->group_words;
    if (machine->fault.drops_tail && word + 1 == order->n_words) {
        return UINT32_MAX;
    }
    return word < order->n_words ? word : UINT32_MAX;
}

uint32_t pim_place(uint32_t n_units, uint32_t unit, uint32_t slot)
{
    return slot * n_units + unit;
}

/* ---- one dot product ---- */

/* Sum of the products of a word, as a tree of float32 adders. */
static float tree_sum(const float *w, const float *x, uint32_t n, uint32_t n_lanes)
{
    float sums[MAX_LANES];
    sums[0] = 0.0F;
    for (uint32_t i = 0; i < n_lanes; i++) {
        sums[i] = i < n ? w[i] * x[i] : 0.0F;
    }
    for (uint32_t width = n_lanes; width > 1; width = (width + 1) / 2) {
        for (uint32_t i = 0; i < width / 2; i++) {
            sums[i] = sums[(size_t)i * 2] + sums[(size_t)i * 2 + 1];
        }
        if (width % 2 == 1) {
            sums[width / 2] = sums[width - 1];
        }
    }
    return sums[0];
}

static uint32_t word_values(const struct pim_order *order, uint32_t word)
{
    const uint32_t left = order->n_inputs - word * order->n_lanes;
    return left < order->n_lanes ? left : order->n_lanes;
}

/* A unit with an adder tree: one sum, read out and put back every run. */
static float buffer_group(const struct pim_machine *machine, const struct pim_order *order,
                          uint32_t group, const float *w, const float *x)
{
    float sum = 0.0F;
    for (uint32_t at = 0; at < order->group_words; at++) {
        const uint32_t word = pim_order_word(machine, order, group, at);
        if (word == UINT32_MAX) {
            continue; /* zeros */
        }
        const size_t first = (size_t)word * order->n_lanes;
        sum = pim_round(
            machine->accumulator,
            sum + tree_sum(w + first, x + first, word_values(order, word), order->n_lanes));
        if ((at + 1) % order->run_words == 0) {
            sum = pim_round(machine->readout, sum);
        }
    }
    return pim_round(machine->readout, sum);
}

/* A unit with a sum a lane; multiplier and adder round separately. */
static float file_group(const struct pim_machine *machine, const struct pim_order *order,
                        uint32_t group, const float *w, const float *x)
{
    float lanes[MAX_LANES] = {0};
    const uint32_t n_tiles = (order->group_words + order->run_words - 1) / order->run_words;
    for (uint32_t at = 0; at < n_tiles * order->run_words; at++) {
        const uint32_t word = pim_order_word(machine, order, group, at);
        if (word == UINT32_MAX) {
            continue; /* zeros */
        }
        const size_t first = (size_t)word * order->n_lanes;
        const uint32_t n = word_values(order, word);
        for (uint32_t i = 0; i < n; i++) {
            const float product = pim_round(machine->accumulator, w[first + i] * x[first + i]);
            lanes[i] = pim_round(machine->accumulator, lanes[i] + product);
        }
    }
    float sum = 0.0F;
    for (uint32_t i = 0; i < order->n_lanes; i++) {
        sum += pim_round(machine->readout, lanes[i]);
    }
    return sum;
}

float pim_dot(const struct pim_machine *machine, const struct pim_order *order, const float *w,
              const float *x)
{
    float sum = 0.0F;
    for (uint32_t group = 0; group < order->split; group++) {
        const float part = machine->flow == PIM_REGISTER_FILE
                               ? file_group(machine, order, group, w, x)
                               : buffer_group(machine, order, group, w, x);
        sum = group == 0 ? part : sum + part;
    }
    return sum;
}

/* ---- integers: blocks of 32 with a scale ---- */

static int32_t block_code(enum jb_dtype dtype, const uint8_t *block, uint32_t i)
{
    if (dtype == JB_Q8_0) {
        return ((const struct jb_q8_0 *)(const void *)block)->q[i];
    }
    const struct jb_q4_0 *q = (const struct jb_q4_0 *)(const void *)block;
    return (i < 16 ? q->q[i] & 15 : q->q[i - 16] >> 4) - 8;
}

/* Integer sums a block, scaled and added up in float32. @param w (n / 32,) blocks of dtype */
static float block_dot(enum jb_dtype dtype, const uint8_t *w, const struct jb_q8_0 *x, uint32_t n)
{
    const size_t size = jb_format(dtype)->block_bytes;
    float sum = 0.0F;
    for (uint32_t b = 0; b < n / BLOCK; b++) {
        uint16_t scale;
        int32_t dot = 0;
        memcpy(&scale, w + b * size, sizeof scale);
        for (uint32_t i = 0; i < BLOCK; i++) {
            dot += block_code(dtype, w + b * size, i) * x[b].q[i];
        }
        sum += (float)dot * (jb_f16_to_f32(scale) * jb_f16_to_f32(x[b].d));
    }
    return sum;
}

/* ---- hooks ---- */

struct pim_numbers {
    const struct pim_machine *machine;
    struct pim_sim *sim;
    float *w, *x, *k, *v;   /* (widest,), (widest,), (context, head_dim) twice */
    struct jb_q8_0 *blocks; /* (widest / 32,)                                  */
};

static void to_operands(enum pim_number number, float *values, uint64_t n)
{
    for (uint64_t i = 0; i < n && number != PIM_F32; i++) {
        values[i] = pim_round(number, values[i]);
    }
}

static enum jb_status int_matmul(struct pim_numbers *p, const struct jb_ref_matmul *m)
{
    const size_t row_bytes = jb_format_row_bytes(m->dtype, m->cols);
    for (uint32_t t = 0; t < m->n; t++) {
        jb_format_encode(JB_Q8_0, m->src + (size_t)t * m->cols, p->blocks, m->cols);
        for (uint32_t r = 0; r < m->rows; r++) {
            const float bias = m->bias != NULL ? m->bias[r] : 0.0F;
            m->dst[(size_t)t * m->rows + r] =
                block_dot(m->dtype, (const uint8_t *)m->weight + r * row_bytes, p->blocks,
                          m->cols) +
                bias;
        }
    }
    return JB_OK;
}

/* One slot of one unit: the row that lies there, against all vectors. */
static void compute_slot(struct pim_numbers *p, const struct jb_ref_matmul *m,
                         const struct pim_order *order, uint32_t stored, uint32_t read)
{
    const struct pim_machine *machine = p->machine;
    const size_t row_bytes = jb_format_row_bytes(m->dtype, m->cols);
    const float bias = m->bias != NULL ? m->bias[read] : 0.0F;
    jb_format_decode(m->dtype, (const uint8_t *)m->weight + stored * row_bytes, p->w, m->cols);
    to_operands(machine->storage, p->w, m->cols);
    to_operands(machine->compute, p->w, m->cols);
    for (uint32_t t = 0; t < m->n; t++) {
        memcpy(p->x, m->src + (size_t)t * m->cols, m->cols * sizeof *p->x);
        to_operands(machine->compute, p->x, m->cols);
        m->dst[(size_t)t * m->rows + read] = pim_dot(machine, order, p->w, p->x) + bias;
    }
}

/* Unit by unit, slot by slot, as the rows of W lie in the banks. */
static enum jb_status matmul(void *ctx, const struct jb_ref_matmul *m, uint32_t tensor)
{
    struct pim_numbers *p = ctx;
    const struct pim_machine *machine = p->machine;
    (void)tensor;
    if (machine->flow == PIM_DPU) {
        return int_matmul(p, m);
    }
    struct pim_cost cost;
    const uint32_t n_pools = machine->n_pools / machine->n_stages;
    const uint32_t outputs = (m->rows + n_pools - 1) / n_pools;
    const enum jb_status status =
        pim_sim_gemv(p->sim, outputs, m->cols, 1, machine->n_channels, &cost);
    if (status != JB_OK) {
        return status;
    }
    const struct pim_order order = pim_order_of(machine, m->cols, cost.split);
    const uint32_t n_units = machine->n_channels / cost.split * machine->n_units * n_pools;
    for (uint32_t unit = 0; unit < n_units; unit++) {
        const uint32_t from = unit == machine->fault.unit_a   ? machine->fault.unit_b
                              : unit == machine->fault.unit_b ? machine->fault.unit_a
                                                              : unit;
        for (uint32_t slot = 0; pim_place(n_units, unit, slot) < m->rows; slot++) {
            const uint32_t stored = pim_place(n_units, from, slot);
            if (stored < m->rows) {
                compute_slot(p, m, &order, stored, pim_place(n_units, unit, slot));
            }
        }
    }
    return JB_OK;
}

/* One query row of one head. @param n positions it sees */
static void attend_row(const struct pim_numbers *p, const struct jb_ref_attention *a,
                       const float *q, uint32_t n, double *scores, float *weights, float *dst)
{
    const struct pim_machine *machine = p->machine;
    const struct pim_order over_dims = pim_order_of(machine, a->head_dim, 1);
    const struct pim_order over_positions = pim_order_of(machine, n, 1);
    double largest = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        scores[i] = (double)a->scale *
                    (double)pim_dot(machine, &over_dims, p->k + (size_t)i * a->head_dim, q);
        largest = scores[i] > largest ? scores[i] : largest;
    }
    for (uint32_t i = 0; i < n; i++) {
        scores[i] = exp(scores[i] - largest);
        sum += scores[i];
    }
    for (uint32_t i = 0; i < n; i++) {
        weights[i] = pim_round(machine->compute, (float)(scores[i] / sum));
    }
    for (uint32_t d = 0; d < a->head_dim; d++) {
        dst[d] = pim_dot(machine, &over_positions, p->v + (size_t)d * n, weights);
    }
}

/* K position by position, V dimension by dimension, as the cache lies in the banks. */
static void load_head(struct pim_numbers *p, const struct jb_ref_attention *a, uint32_t group,
                      uint32_t n)
{
    const struct pim_machine *machine = p->machine;
    const size_t row_bytes =
        jb_format_row_bytes(a->kv_dtype, (uint64_t)a->n_kv_heads * a->head_dim);
    const size_t head_bytes = jb_format_row_bytes(a->kv_dtype, a->head_dim);
    for (uint32_t i = 0; i < n; i++) {
        float *k = p->k + (size_t)i * a->head_dim;
        jb_format_decode(a->kv_dtype, (const uint8_t *)a->k + i * row_bytes + group * head_bytes, k,
                         a->head_dim);
        to_operands(machine->storage, k, a->head_dim);
        jb_format_decode(a->kv_dtype, (const uint8_t *)a->v + i * row_bytes + group * head_bytes,
                         p->x, a->head_dim);
        for (uint32_t d = 0; d < a->head_dim; d++) {
            p->v[(size_t)d * n + i] = pim_round(machine->storage, p->x[d]);
        }
    }
}

static enum jb_status attention(void *ctx, const struct jb_ref_attention *a, double *scratch)
{
    struct pim_numbers *p = ctx;
    const uint32_t n_sharing = a->n_heads / a->n_kv_heads;
    for (uint32_t t = 0; t < a->n; t++) {
        const uint32_t n = a->pos + t + 1;
        for (uint32_t g = 0; g < a->n_kv_heads; g++) {
            load_head(p, a, g, n);
            for (uint32_t h = g * n_sharing; h < (g + 1) * n_sharing; h++) {
                const size_t at = ((size_t)t * a->n_heads + h) * a->head_dim;
                memcpy(p->x, a->q + at, a->head_dim * sizeof *p->x);
                to_operands(p->machine->compute, p->x, a->head_dim);
                attend_row(p, a, p->x, n, scratch, p->w, a->dst + at);
            }
        }
    }
    return JB_OK;
}

enum jb_status pim_numbers_create(const struct pim_machine *machine, struct pim_sim *sim,
                                  const struct jb_load_args *args, struct pim_numbers **ret_numbers)
{
    const struct jb_plan *plan = args->plan;
    uint32_t widest = args->context > plan->head_dim ? args->context : plan->head_dim;
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        widest = plan->tensors[i].cols > widest ? plan->tensors[i].cols : widest;
    }
    struct pim_numbers *p = calloc(1, sizeof *p);
    if (p != NULL) {
        const size_t n_kv = (size_t)args->context * plan->head_dim;
        p->machine = machine;
        p->sim = sim;
        p->w = calloc(widest, sizeof *p->w);
        p->x = calloc(widest, sizeof *p->x);
        p->k = calloc(n_kv, sizeof *p->k);
        p->v = calloc(n_kv, sizeof *p->v);
        p->blocks = calloc(widest / BLOCK + 1, sizeof *p->blocks);
    }
    if (p == NULL || p->w == NULL || p->x == NULL || p->k == NULL || p->v == NULL ||
        p->blocks == NULL) {
        pim_numbers_free(p);
        return jb_fail(JB_E_NOMEM, "pim_sim: no memory for rows of %u values", widest);
    }
    *ret_numbers = p;
    return JB_OK;
}

void pim_numbers_free(struct pim_numbers *numbers)
{
    if (numbers != NULL) {
        free(numbers->w);
        free(numbers->x);
        free(numbers->k);
        free(numbers->v);
        free(numbers->blocks);
        free(numbers);
    }
}

struct jb_ref_hooks pim_numbers_hooks(struct pim_numbers *numbers)
{
    return (struct jb_ref_hooks){.ctx = numbers,
                                 .matmul = matmul,
                                 .attention = numbers->machine->attends ? attention : NULL};
}
