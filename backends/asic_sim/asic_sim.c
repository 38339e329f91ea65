/* SPDX-License-Identifier: MIT */
/* The backend: a plan on a chip of chip.h, timed by schedule.h, computed by tiles.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/asic_sim/schedule.h"
#include "backends/refops/exec.h"
#include "backends/simcore/sim_tiles.h"

struct jb_device {
    struct jb_asic_chip chip;
    uint32_t n_chips;
    const struct jb_plan *plan;
    struct jb_asic_op **ops;           /* (n_programs,) -> (n_ops,)                       */
    struct jb_asic_played *played;     /* (most ops,) of the last step                    */
    struct jb_asic_schedule *schedule; /* */
    struct jb_sim_tiles *tiles;        /* NULL in timing-only execution                   */
    struct jb_ref_exec *exec;
    struct jb_sim_timeline *timeline;
    uint32_t op_begin, op_end; /* of the last step */
    struct jb_part parts[JB_ASIC_N_PARTS];
    double line_j[JB_ASIC_N_LINES];
    char choices[160];
};

static const char *const resources[] = {"memory", "array", "vector", "link", "chip", NULL};
static const char *const lines[] = {"mac",        "sram", "vector", "dram",
                                    "dram_state", "link", "static", NULL};
static const char *const part_names[JB_ASIC_N_PARTS] = {"stream", "weights", "skew",   "memory",
                                                        "vector", "link",    "control"};

static enum jb_status asic_probe(const struct jb_open_args *args, struct jb_probe *ret_probe)
{
    struct jb_asic_chip chip;
    const enum jb_status status = jb_asic_chip_read(args, &chip);
    if (status != JB_OK) {
        return status;
    }
    const uint32_t n_chips = chip.n_chips > 0 ? chip.n_chips : chip.chips_a_stage;
    *ret_probe = (struct jb_probe){.platform = JB_ASIC,
                                   .n_devices = n_chips,
                                   .memory_bytes = (uint64_t)(n_chips * chip.memory.bytes)};
    (void)snprintf(ret_probe->device, sizeof ret_probe->device, "%s", chip.name);
    return JB_OK;
}

static enum jb_status asic_open(struct jb_device *dev, const struct jb_open_args *args)
{
    return jb_asic_chip_read(args, &dev->chip);
}

/* ---- load ---- */

static enum jb_status take_ops(struct jb_device *dev, bool *is_split)
{
    const struct jb_plan *plan = dev->plan;
    uint32_t most = 0;
    dev->ops = calloc((size_t)plan->n_programs + 1, sizeof(struct jb_asic_op *));
    for (uint32_t p = 0; dev->ops != NULL && p < plan->n_programs; p++) {
        const struct jb_program *program = &plan->programs[p];
        most = program->n_ops > most ? program->n_ops : most;
        dev->ops[p] = calloc((size_t)program->n_ops + 1, sizeof *dev->ops[p]);
        if (dev->ops[p] == NULL) {
            return jb_fail(JB_E_NOMEM, "asic_sim: no memory for %u ops", program->n_ops);
        }
        jb_asic_ops(&dev->chip, plan, program, dev->n_chips / dev->chip.chips_a_stage, dev->ops[p]);
        for (uint32_t i = 0; i < program->n_ops; i++) {
            if (dev->ops[p][i].is_split_by_input) {
                is_split[program->ops[i].weight] = true;
            }
        }
    }
    dev->played = calloc(most > 0 ? most : 1, sizeof *dev->played);
    dev->schedule = calloc(1, sizeof *dev->schedule);
    if (dev->ops == NULL || dev->played == NULL || dev->schedule == NULL) {
        return jb_fail(JB_E_NOMEM, "asic_sim: no memory for the schedule of %u ops", most);
    }
    return jb_sim_timeline_create(JB_ASIC_N_LINES, most * JB_ASIC_N_RESOURCES, &dev->timeline);
}

static void strip(const void *ctx, const struct jb_strip *strip)
{
    const struct jb_asic_chip *chip = ctx;
    jb_array_strip(&chip->array, chip->numerics.sum, strip);
}

static enum jb_status asic_load(struct jb_device *dev, const struct jb_load_args *args)
{
    const struct jb_plan *plan = args->plan;
    const bool is_functional = args->execution == JB_EXECUTE_FUNCTIONAL;
    const double bytes = (double)jb_plan_weight_bytes(plan) +
                         (double)jb_plan_kv_bytes(plan, args->max_seqs, args->context);
    enum jb_status status = jb_asic_chips_for(&dev->chip, bytes, &dev->n_chips);
    if (status != JB_OK) {
        return status;
    }
    bool *is_split = calloc(plan->n_tensors > 0 ? plan->n_tensors : 1, sizeof *is_split);
    if (is_split == NULL) {
        return jb_fail(JB_E_NOMEM, "asic_sim: no memory");
    }
    dev->plan = plan;
    status = take_ops(dev, is_split);
    if (status == JB_OK && is_functional) {
        const enum jb_operand operand = dev->chip.numerics.operand;
        const struct jb_sim_tiles_args tiles = {.who = "asic_sim",
                                                .load = args,
                                                .a = operand,
                                                .b = operand,
                                                .kv = operand,
                                                .width = dev->chip.array.cols,
                                                .strip = strip,
                                                .ctx = &dev->chip,
                                                .n_chips = dev->chip.chips_a_stage,
                                                .is_split_by_input = is_split};
        status = jb_sim_tiles_create(&tiles, &dev->tiles);
    }
    free(is_split);
    if (status != JB_OK) {
        return status;
    }
    const struct jb_ref_hooks hooks = {
        .ctx = dev->tiles, .matmul = jb_sim_tiles_matmul, .attention = jb_sim_tiles_attention};
    return jb_ref_exec_create("asic_sim", args, is_functional ? &hooks : NULL, &dev->exec);
}

/* ---- step ---- */

static double positive(double value)
{
    return value > 0 ? value : 0;
}

/* Joules of an op by resource: what moves and switches there; standby and leakage at the chip. */
static void ledger(const struct jb_device *dev, const struct jb_asic_played *p,
                   enum jb_asic_resource resource, double *ret_line_j)
{
    const struct jb_asic_chip *chip = &dev->chip;
    const double moved = p->read_bytes + p->write_bytes;
    memset(ret_line_j, 0, JB_ASIC_N_LINES * sizeof *ret_line_j);
    switch (resource) {
    case JB_ASIC_AT_MEMORY: /* through the buffer: in and out again */
        if (chip->memory.is_sram) {
            ret_line_j[JB_ASIC_SRAM] = moved * chip->memory.byte_j;
        } else {
            ret_line_j[JB_ASIC_DRAM] = moved * chip->memory.byte_j;
            ret_line_j[JB_ASIC_SRAM] = 2 * moved * 8 * chip->sram_bit_j;
        }
        break;
    case JB_ASIC_AT_ARRAY:
        ret_line_j[JB_ASIC_MAC] = (double)p->macs * chip->mac_j;
        ret_line_j[JB_ASIC_SRAM] = p->sram_bytes * 8 * chip->sram_bit_j;
        break;
    case JB_ASIC_AT_VECTOR:
        ret_line_j[JB_ASIC_VECTOR] = p->vector_ops * chip->vector_j;
        break;
    case JB_ASIC_AT_LINK:
        ret_line_j[JB_ASIC_LINK] = p->link_bytes * 8 * chip->link_bit_j;
        break;
    default: {
        const double seconds = (p->end - p->start) / chip->clock_hz * dev->n_chips;
        ret_line_j[JB_ASIC_STATIC] = seconds * chip->static_w;
        ret_line_j[JB_ASIC_DRAM_STATE] = seconds * positive(chip->memory.idle_w);
        break;
    }
    }
}

static bool is_used(const struct jb_asic_played *played, enum jb_asic_resource resource)
{
    switch (resource) {
    case JB_ASIC_AT_MEMORY:
        return played->read_bytes + played->write_bytes > 0;
    case JB_ASIC_AT_CHIP:
        return true;
    default:
        return played->at[resource][1] > 0;
    }
}

static enum jb_status charge(struct jb_device *dev, uint32_t op)
{
    const struct jb_asic_played *played = &dev->played[op];
    const double second = 1 / dev->chip.clock_hz;
    enum jb_status status = JB_OK;
    for (uint32_t r = 0; r < JB_ASIC_N_RESOURCES && status == JB_OK; r++) {
        const enum jb_asic_resource resource = (enum jb_asic_resource)r;
        if (!is_used(played, resource)) {
            continue;
        }
        double line_j[JB_ASIC_N_LINES];
        ledger(dev, played, resource, line_j);
        const bool is_chip = resource == JB_ASIC_AT_CHIP;
        const bool is_memory = resource == JB_ASIC_AT_MEMORY;
        const double *at = played->at[resource];
        const struct jb_sim_part part = {
            .op = op,
            .resource = (uint16_t)r,
            .start_s = (is_chip ? played->start : at[0]) * second,
            .end_s = (is_chip ? played->end : at[1]) * second,
            .line_j = line_j,
            .macs = resource == JB_ASIC_AT_ARRAY ? played->macs : 0,
            .read_bytes = is_memory ? (uint64_t)llround(played->read_bytes) : 0,
            .write_bytes = is_memory ? (uint64_t)llround(played->write_bytes) : 0,
            .time_class = is_memory ? dev->chip.memory.time_class : JB_CLASS_SIMULATED,
            .energy_class = JB_CLASS_MODELLED};
        status = jb_sim_timeline_add(dev->timeline, &part);
    }
    return status;
}

static enum jb_status asic_step(struct jb_device *dev, const struct jb_step *step)
{
    enum jb_status status = jb_ref_exec_step(dev->exec, step);
    if (status != JB_OK) {
        return status;
    }
    const struct jb_program *program = &dev->plan->programs[step->program];
    dev->op_begin = step->op_begin;
    dev->op_end = step->op_end;
    jb_sim_timeline_begin(dev->timeline);
    jb_asic_schedule_begin(dev->schedule, &dev->chip, dev->plan);
    for (uint32_t i = step->op_begin; i < step->op_end && status == JB_OK; i++) {
        jb_asic_schedule_op(dev->schedule, &program->ops[i], &dev->ops[step->program][i], step,
                            &dev->played[i]);
        if (i + 1 == step->op_end) { /* what was stored is stored when the step is over */
            struct jb_asic_played *last = &dev->played[i];
            const double wait = positive(dev->schedule->memory_free - last->end);
            last->part[JB_ASIC_PART_MEMORY] += wait;
            last->end += wait;
        }
        status = charge(dev, i);
    }
    return status;
}

static enum jb_status asic_account(struct jb_device *dev, struct jb_account *ret_account)
{
    *ret_account = jb_sim_timeline_end(dev->timeline);
    return JB_OK;
}

/* Least time of an op: its bytes at the memory's peak, its MACs on every multiplier. */
static double bound(const struct jb_device *dev, const struct jb_asic_played *played)
{
    const struct jb_asic_chip *chip = &dev->chip;
    const double n_macs = (double)chip->n_arrays * chip->array.rows * chip->array.cols *
                          chip->chips_a_stage * chip->clock_hz;
    const double memory =
        (played->read_bytes + played->write_bytes) / chip->memory.peak / chip->chips_a_stage;
    return fmax((double)played->macs / n_macs, chip->memory.is_ideal ? 0 : memory);
}

static enum jb_status asic_detail(struct jb_device *dev, uint32_t op,
                                  struct jb_op_detail *ret_detail)
{
    if (op < dev->op_begin || op >= dev->op_end) {
        return jb_fail(JB_E_INVAL, "asic_sim: op %u was not in the last step", op);
    }
    const struct jb_asic_played *played = &dev->played[op];
    const uint64_t cycles = (uint64_t)llround(played->end - played->start);
    double sum = 0;
    uint64_t given = 0;
    for (uint32_t i = 0; i < JB_ASIC_N_PARTS; i++) { /* whole cycles that add up */
        sum += played->part[i];
        const uint64_t upto = i + 1 == JB_ASIC_N_PARTS ? cycles : (uint64_t)llround(sum);
        dev->parts[i] = (struct jb_part){part_names[i], upto > given ? upto - given : 0};
        given = upto > given ? upto : given;
    }
    (void)snprintf(dev->choices, sizeof dev->choices,
                   "array=%ux%u tiles=%u m_parts=%u chips=%u operand=%s sum=%s area_mm2=%.4g",
                   dev->chip.array.rows, dev->chip.array.cols, played->n_tiles, played->n_m,
                   dev->n_chips, jb_operand_names[dev->chip.numerics.operand],
                   jb_sum_names[dev->chip.numerics.sum], jb_asic_area_mm2(&dev->chip));
    *ret_detail =
        (struct jb_op_detail){.clock_hz = dev->chip.clock_hz,
                              .cycles = cycles,
                              .bytes = (uint64_t)llround(played->read_bytes + played->write_bytes),
                              .macs = played->padded_macs,
                              .bound_s = bound(dev, played),
                              .energy_j = jb_sim_timeline_op_j(dev->timeline, op, dev->line_j),
                              .line_j = dev->line_j,
                              .parts = dev->parts,
                              .n_parts = JB_ASIC_N_PARTS,
                              .choices = dev->choices};
    return JB_OK;
}

static enum jb_status asic_reset(struct jb_device *dev)
{
    jb_ref_exec_reset(dev->exec);
    return JB_OK;
}

static void asic_close(struct jb_device *dev)
{
    for (uint32_t p = 0; dev->ops != NULL && p < dev->plan->n_programs; p++) {
        free(dev->ops[p]);
    }
    free((void *)dev->ops);
    free(dev->played);
    free(dev->schedule);
    jb_sim_tiles_free(dev->tiles);
    jb_ref_exec_free(dev->exec);
    jb_sim_timeline_free(dev->timeline);
}

extern const struct jb_backend jb_backend_asic_sim;
const struct jb_backend jb_backend_asic_sim = {
    .name = "asic_sim",
    .summary = "systolic arrays with scratchpads, HBM or SRAM, and links: cycle level",
    .caps = JB_CAP_MODELLED | JB_CAP_DEVICE_KEYS,
    .device_size = sizeof(struct jb_device),
    .options = jb_asic_options,
    .resources = resources,
    .ledger_lines = lines,
    .probe = asic_probe,
    .open = asic_open,
    .load = asic_load,
    .step = asic_step,
    .account = asic_account,
    .detail = asic_detail,
    .reset = asic_reset,
    .close = asic_close,
};
