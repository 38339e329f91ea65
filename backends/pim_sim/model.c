/* SPDX-License-Identifier: MIT */
/* A step as charges: what each op takes on units, host and links. Sequences and tokens pass one
 * after another - a unit's weights serve one vector at a time - except that the stages of a
 * pipeline each hold another one: durations are divided by how many are in flight, the steady
 * state of a full pipeline. Energy is not divided. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/pim_sim/pim.h"

enum { MAX_DEPTHS = 8 }; /* a longer prefill's attention is taken at eight depths */

struct pim_model {
    const struct pim_machine *machine;
    struct pim_sim *sim;
    struct jb_load_args load;
    struct pim_op *ops; /* (longest program,) */
    /* of the step being costed */
    const struct jb_step *step;
    struct jb_sim_timeline *timeline;
    double n_in_flight, active_s; /* active_s: channel-seconds with rows open */
    uint64_t since_refresh;       /* cycles of work since the last refresh    */
    uint16_t broadcast_slot;      /* what all pools already hold              */
};

/* ---- energy ---- */

/* Events that did not happen cost nothing, even of unknown energy. */
static double joules(uint64_t n, double each_j)
{
    return n > 0 ? (double)n * each_j : 0;
}

void pim_energy_of(const struct pim_machine *machine, const struct pim_cost *cost,
                   uint64_t n_channels, double *ret_line_j)
{
    const struct pim_energy *e = &machine->energy;
    const double bits = 8.0 * machine->spec.burst_bytes;
    const uint64_t n_units = machine->n_units;
    memset(ret_line_j, 0, PIM_N_LINES * sizeof *ret_line_j);
    ret_line_j[PIM_LINE_ACTIVATE] = joules(n_channels * cost->n_activates, e->activate_j);
    ret_line_j[PIM_LINE_BANK] =
        joules(n_channels * (cost->n_macs * n_units + cost->n_stores), e->bank_column_j);
    ret_line_j[PIM_LINE_MAC] = joules(n_channels * cost->n_macs * n_units, e->mac_column_j);
    ret_line_j[PIM_LINE_BROADCAST] = joules(n_channels * cost->n_broadcasts, e->io_bit_j * bits);
    ret_line_j[PIM_LINE_IO] = joules(n_channels * cost->n_reads, e->io_bit_j * bits);
    ret_line_j[PIM_LINE_CONTROL] = joules(n_channels * cost->n_commands, e->command_j);
}

/* ---- charging ---- */

static enum jb_status charge(struct pim_model *model, uint32_t op, uint16_t resource,
                             double duration_s, const double *line_j, const struct jb_cost *work)
{
    const bool is_dpu = model->machine->flow == PIM_DPU;
    const double now_s = jb_sim_timeline_now(model->timeline);
    const struct jb_sim_part part = {
        .op = op,
        .resource = resource,
        .start_s = now_s,
        .end_s = now_s + duration_s / model->n_in_flight,
        .line_j = line_j,
        .macs = work != NULL ? work->macs : 0,
        .read_bytes = work != NULL ? work->weight_bytes + work->kv_read_bytes : 0,
        .write_bytes = work != NULL ? work->kv_write_bytes : 0,
        .time_class = is_dpu ? JB_CLASS_MODELLED : JB_CLASS_SIMULATED,
        .energy_class = is_dpu ? JB_CLASS_MODELLED : JB_CLASS_SIMULATED};
    return jb_sim_timeline_add(model->timeline, &part);
}

/* Values that the host works on, and that cross the feed `passes` times on the way. */
static enum jb_status charge_host(struct pim_model *model, uint32_t op, enum pim_host kind,
                                  double n_values, double n_times)
{
    const struct pim_machine *machine = model->machine;
    const struct pim_host_rate *rate = &machine->host[kind];
    const double feed_bytes = n_values * rate->passes * 2;
    const double unit_s = n_times * rate->fixed_s + n_values / rate->values_per_s;
    double line_j[PIM_N_LINES] = {0};
    if (n_values <= 0) {
        return JB_OK;
    }
    line_j[PIM_LINE_HOST] = unit_s * machine->energy.host_w;
    line_j[PIM_LINE_LINK] = feed_bytes > 0 ? feed_bytes * 8 * machine->energy.feed_bit_j : 0;
    return charge(model, op, PIM_RESOURCE_HOST, unit_s + feed_bytes / machine->feed_bytes_per_s,
                  line_j, NULL);
}

static enum jb_status charge_link(struct pim_model *model, uint32_t op, double bytes,
                                  double n_times)
{
    const struct pim_machine *machine = model->machine;
    double line_j[PIM_N_LINES] = {0};
    line_j[PIM_LINE_LINK] = bytes * 8 * machine->energy.link_bit_j;
    return charge(model, op, PIM_RESOURCE_LINK,
                  n_times * machine->link_s + bytes / machine->link_bytes_per_s, line_j, NULL);
}

/* Refresh that fell due in work short of one interval is caught up between ops. */
static uint64_t refresh_debt(struct pim_model *model, const struct pim_cost *cost)
{
    const uint32_t *t = model->machine->spec.t;
    if (!model->machine->has_refresh || model->machine->is_ideal ||
        model->machine->flow == PIM_DPU) {
        return 0;
    }
    const uint64_t covered = cost->n_refreshes * t[JB_MEM_T_REFI];
    const uint64_t open = cost->cycles > covered ? cost->cycles - covered : 0;
    model->since_refresh += open;
    const uint64_t n = model->since_refresh / t[JB_MEM_T_REFI];
    model->since_refresh -= n * t[JB_MEM_T_REFI];
    return n * t[JB_MEM_T_RFC];
}

/* @param n_channels that work alike, all pools */
static enum jb_status charge_pim(struct pim_model *model, uint32_t op, const struct pim_cost *cost,
                                 uint32_t n_channels, const struct jb_cost *work)
{
    const double hz = model->machine->spec.clock_hz;
    const uint64_t debt = refresh_debt(model, cost);
    double line_j[PIM_N_LINES];
    pim_energy_of(model->machine, cost, n_channels, line_j);
    model->active_s += (double)cost->active_cycles / hz * n_channels;
    model->ops[op].cost = *cost;
    model->ops[op].n_channels = n_channels;
    model->ops[op].n_in_flight = model->n_in_flight;
    return charge(model, op, PIM_RESOURCE_PIM, (double)(cost->cycles + debt) / hz, line_j, work);
}

/* ---- ops ---- */

static double rows_of(const struct pim_model *model, uint16_t slot)
{
    return model->load.plan->slots[slot].rows == JB_ROWS_TOKENS ? jb_step_tokens(model->step)
                                                                : jb_step_outputs(model->step);
}

static bool is_on_host(const struct pim_model *model)
{
    for (uint32_t i = 0; i < model->step->n_seqs; i++) {
        if (model->step->seqs[i].n_tokens > 1) {
            return model->machine->prefills_on_host;
        }
    }
    return false;
}

/* The host reads the memory over its pins, and computes. */
static enum jb_status charge_host_work(struct pim_model *model, uint32_t op,
                                       const struct jb_cost *work, double bytes)
{
    const struct pim_machine *machine = model->machine;
    const double memory_s = bytes / machine->pin_bytes_per_s;
    const double compute_s = 2 * (double)work->macs / machine->host_op_per_s;
    const double duration_s = memory_s > compute_s ? memory_s : compute_s;
    const double columns = bytes / machine->spec.burst_bytes;
    double line_j[PIM_N_LINES] = {0};
    line_j[PIM_LINE_IO] = bytes * 8 * machine->energy.io_bit_j;
    line_j[PIM_LINE_BANK] = columns * machine->energy.bank_column_j;
    line_j[PIM_LINE_ACTIVATE] = columns / machine->spec.n_columns * machine->energy.activate_j;
    line_j[PIM_LINE_HOST] = duration_s * machine->energy.host_w;
    const uint64_t cycles = (uint64_t)ceil(duration_s * machine->spec.clock_hz);
    model->ops[op] = (struct pim_op){.cost = {.cycles = cycles, .split = 1},
                                     .host_bytes = (uint64_t)bytes,
                                     .host_macs = work->macs};
    model->ops[op].cost.parts[PIM_PART_READOUT] = cycles;
    return charge(model, op, PIM_RESOURCE_HOST, duration_s, line_j, work);
}

static enum jb_status cost_matmul(struct pim_model *model, uint32_t index, const struct jb_op *op)
{
    const struct pim_machine *machine = model->machine;
    const struct jb_plan *plan = model->load.plan;
    const struct jb_tensor *w = &plan->tensors[op->weight];
    const double n = rows_of(model, op->src0);
    const uint32_t n_pools = machine->n_pools / machine->n_stages;
    struct jb_cost work;
    struct pim_cost cost = {.split = 1};
    if (n <= 0) {
        return JB_OK;
    }
    jb_op_cost(plan, op, model->step, &work);
    if (is_on_host(model)) {
        return charge_host_work(model, index, &work, (double)work.weight_bytes);
    }
    enum jb_status status = JB_OK;
    if (n_pools > 1 && op->src0 != model->broadcast_slot) {
        status = charge_link(model, index, n * w->cols * 2, n);
    }
    model->broadcast_slot = op->src0;
    if (status == JB_OK) {
        status = pim_sim_gemv(model->sim, (w->rows + n_pools - 1) / n_pools, w->cols, (uint64_t)n,
                              machine->n_channels, &cost);
    }
    if (status == JB_OK) {
        status = charge_pim(model, index, &cost, machine->n_channels * n_pools, &work);
    }
    if (status == JB_OK && n_pools > 1) {
        status = charge_link(model, index, n * w->rows * 2 * (n_pools - 1) / n_pools, n);
    }
    const double sums =
        machine->flow == PIM_REGISTER_FILE ? machine->n_lanes * cost.split : cost.split - 1;
    if (status == JB_OK && sums > 0) {
        double line_j[PIM_N_LINES] = {0};
        const double reduce_s = n * w->rows * sums / machine->reduce_values_per_s;
        line_j[PIM_LINE_HOST] = reduce_s * machine->energy.host_w;
        status = charge(model, index, PIM_RESOURCE_HOST, reduce_s, line_j, NULL);
    }
    return status;
}

/* All tokens of one sequence, each at its depth. */
static enum jb_status attend_sequence(struct pim_model *model, const struct jb_seq *seq,
                                      struct pim_cost *sum)
{
    const struct jb_plan *plan = model->load.plan;
    const uint32_t n_groups = seq->n_tokens < MAX_DEPTHS ? seq->n_tokens : MAX_DEPTHS;
    for (uint32_t g = 0; g < n_groups; g++) {
        const uint32_t first = (uint32_t)((uint64_t)seq->n_tokens * g / n_groups);
        const uint32_t end = (uint32_t)((uint64_t)seq->n_tokens * (g + 1) / n_groups);
        const struct pim_attention attention = {.n_heads = plan->n_heads,
                                                .n_kv_heads = plan->n_kv_heads,
                                                .head_dim = plan->head_dim,
                                                .depth = seq->pos + (first + end) / 2 + 1};
        struct pim_cost cost;
        const enum jb_status status = pim_sim_attend(model->sim, &attention, &cost);
        if (status != JB_OK) {
            return status;
        }
        pim_cost_add(sum, &cost, end - first);
    }
    return JB_OK;
}

static enum jb_status cost_attention(struct pim_model *model, uint32_t index,
                                     const struct jb_op *op)
{
    const struct pim_machine *machine = model->machine;
    const struct jb_plan *plan = model->load.plan;
    struct jb_cost work;
    struct pim_cost sum = {0};
    double n_scores = 0;
    enum jb_status status = JB_OK;
    jb_op_cost(plan, op, model->step, &work);
    for (uint32_t i = 0; i < model->step->n_seqs && status == JB_OK; i++) {
        const struct jb_seq *seq = &model->step->seqs[i];
        n_scores +=
            ((double)seq->n_tokens * seq->pos + (double)seq->n_tokens * (seq->n_tokens + 1.0) / 2) *
            plan->n_heads;
        if (machine->attends && !is_on_host(model)) {
            status = attend_sequence(model, seq, &sum);
        }
    }
    /* keys and values of the new tokens go in over the feed */
    double line_j[PIM_N_LINES] = {0};
    const double append = (double)work.kv_write_bytes;
    line_j[PIM_LINE_LINK] = append * 8 * machine->energy.feed_bit_j;
    line_j[PIM_LINE_BANK] = append / machine->spec.burst_bytes * machine->energy.bank_column_j;
    if (status == JB_OK) {
        status = charge(model, index, PIM_RESOURCE_HOST, append / machine->feed_bytes_per_s, line_j,
                        NULL);
    }
    if (status == JB_OK && sum.cycles > 0) {
        status = charge_pim(model, index, &sum, machine->n_channels, &work);
    } else if (status == JB_OK) {
        status = charge_host_work(model, index, &work, (double)work.kv_read_bytes);
    }
    return status == JB_OK
               ? charge_host(model, index, PIM_HOST_SOFTMAX, n_scores, jb_step_tokens(model->step))
               : status;
}

static enum jb_status cost_values(struct pim_model *model, uint32_t index, const struct jb_op *op)
{
    static const enum pim_host kinds[JB_N_OP_KINDS] = {
        [JB_OP_EMBED] = PIM_HOST_ADD,     [JB_OP_POSEMBED] = PIM_HOST_ADD,
        [JB_OP_RMSNORM] = PIM_HOST_NORM,  [JB_OP_LAYERNORM] = PIM_HOST_NORM,
        [JB_OP_ROPE] = PIM_HOST_ROPE,     [JB_OP_SILU_MUL] = PIM_HOST_ACT,
        [JB_OP_GELU] = PIM_HOST_ACT,      [JB_OP_RELU] = PIM_HOST_ACT,
        [JB_OP_ADD] = PIM_HOST_ADD,       [JB_OP_SELECT] = PIM_HOST_ADD,
        [JB_OP_ALLREDUCE] = PIM_HOST_ADD, [JB_OP_ALLGATHER] = PIM_HOST_ADD,
    };
    const double n = rows_of(model, op->dst);
    const double width = model->load.plan->slots[op->dst].width;
    return charge_host(model, index, kinds[op->kind], n * width, n);
}

static enum jb_status cost_sample(struct pim_model *model, uint32_t index, const struct jb_op *op)
{
    const struct pim_machine *machine = model->machine;
    const double sample_s = rows_of(model, op->src0) * machine->sample_s;
    double line_j[PIM_N_LINES] = {0};
    line_j[PIM_LINE_HOST] = sample_s > 0 ? sample_s * machine->energy.host_w : 0;
    return charge(model, index, PIM_RESOURCE_HOST, sample_s, line_j, NULL);
}

static enum jb_status cost_op(struct pim_model *model, uint32_t index, const struct jb_op *op)
{
    switch (op->kind) {
    case JB_OP_MATMUL:
        return cost_matmul(model, index, op);
    case JB_OP_ATTENTION:
        return cost_attention(model, index, op);
    case JB_OP_ARGMAX:
        return cost_sample(model, index, op);
    default:
        return cost_values(model, index, op);
    }
}

/* What is on all the time, to the first charge. */
static void add_background(struct pim_model *model)
{
    const struct pim_machine *machine = model->machine;
    const struct pim_energy *e = &machine->energy;
    const double time_s = jb_sim_timeline_now(model->timeline);
    const double n_channels = (double)machine->n_channels * machine->n_pools;
    const double background = (n_channels * e->precharged_w + e->device_w) * time_s +
                              (e->active_w - e->precharged_w) * model->active_s;
    const double refi_s = machine->spec.t[JB_MEM_T_REFI] / machine->spec.clock_hz;
    const double refresh = machine->has_refresh ? n_channels * time_s / refi_s * e->refresh_j : 0;
    jb_sim_timeline_add_j(model->timeline, 0, PIM_LINE_BACKGROUND, background);
    jb_sim_timeline_add_j(model->timeline, 0, PIM_LINE_REFRESH, refresh);
}

enum jb_status pim_model_step(struct pim_model *model, const struct jb_step *step,
                              struct jb_sim_timeline *timeline)
{
    const struct jb_program *program = &model->load.plan->programs[step->program];
    const uint32_t n_tokens = jb_step_tokens(step);
    const uint32_t n_stages = model->machine->n_stages;
    enum jb_status status = JB_OK;
    model->step = step;
    model->timeline = timeline;
    model->n_in_flight = n_tokens < n_stages ? n_tokens : n_stages;
    model->active_s = 0;
    model->since_refresh = 0;
    model->broadcast_slot = JB_NO_SLOT;
    jb_sim_timeline_begin(timeline);
    for (uint32_t i = step->op_begin; i < step->op_end && status == JB_OK; i++) {
        model->ops[i] = (struct pim_op){.n_channels = 0};
        status = cost_op(model, i, &program->ops[i]);
        model->broadcast_slot =
            program->ops[i].dst == model->broadcast_slot ? JB_NO_SLOT : model->broadcast_slot;
    }
    if (status == JB_OK) {
        add_background(model);
    }
    return status;
}

const struct pim_op *pim_model_op(const struct pim_model *model, uint32_t op)
{
    return &model->ops[op];
}

enum jb_status pim_model_create(const struct pim_machine *machine, struct pim_sim *sim,
                                const struct jb_load_args *args, struct pim_model **ret_model)
{
    uint32_t n_ops = 1;
    for (uint32_t i = 0; i < args->plan->n_programs; i++) {
        const uint32_t n = args->plan->programs[i].n_ops;
        n_ops = n > n_ops ? n : n_ops;
    }
    struct pim_model *model = calloc(1, sizeof *model);
    if (model != NULL) {
        model->ops = calloc(n_ops, sizeof *model->ops);
    }
    if (model == NULL || model->ops == NULL) {
        pim_model_free(model);
        return jb_fail(JB_E_NOMEM, "pim_sim: no memory for %u ops", n_ops);
    }
    model->machine = machine;
    model->sim = sim;
    model->load = *args;
    *ret_model = model;
    return JB_OK;
}

void pim_model_free(struct pim_model *model)
{
    if (model != NULL) {
        free(model->ops);
        free(model);
    }
}
