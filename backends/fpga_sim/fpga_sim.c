/* SPDX-License-Identifier: MIT */
/* The backend: a plan on a board of board.h, timed by schedule.h, computed in its numbers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/fpga_sim/schedule.h"
#include "backends/refops/exec.h"
#include "backends/simcore/sim_tiles.h"

struct jb_device {
    struct jb_fpga_board board;
    const struct jb_plan *plan;
    struct jb_fpga_played *played; /* (most ops,) of the last step  */
    struct jb_fpga_schedule schedule;
    struct jb_sim_tiles *tiles; /* NULL in timing-only execution */
    struct jb_ref_exec *exec;
    struct jb_sim_timeline *timeline;
    uint32_t op_begin, op_end; /* of the last step */
    struct jb_part parts[JB_FPGA_N_PARTS];
    double line_j[JB_FPGA_N_LINES];
    char choices[200];
};

static const char *const resources[] = {"memory", "engine", "vector", "board", NULL};
static const char *const lines[] = {"mac", "sram", "vector", "dram", "dram_state", "static", NULL};
static const char *const part_names[JB_FPGA_N_PARTS] = {"work", "memory", "tail", "vector",
                                                        "control"};

static enum jb_status fpga_probe(const struct jb_open_args *args, struct jb_probe *ret_probe)
{
    struct jb_fpga_board board;
    const enum jb_status status = jb_fpga_board_read(args, &board);
    if (status != JB_OK) {
        return status;
    }
    *ret_probe = (struct jb_probe){
        .platform = JB_FPGA, .n_devices = 1, .memory_bytes = (uint64_t)board.memory.bytes};
    if (jb_is_missing(board.stored_bits)) {
        (void)snprintf(ret_probe->device, sizeof ret_probe->device, "%s", board.name);
    } else { /* not the format of the row */
        (void)snprintf(ret_probe->device, sizeof ret_probe->device, "%s with %g-bit weights",
                       board.name, board.stored_bits);
    }
    return JB_OK;
}

static enum jb_status fpga_open(struct jb_device *dev, const struct jb_open_args *args)
{
    return jb_fpga_board_read(args, &dev->board);
}

/* ---- load ---- */

/* Sums as the engine makes them: whole numbers in int32; floats by a tree over the lanes of a beat,
 * beat by beat. */
static void strip(const void *ctx, const struct jb_strip *strip)
{
    const struct jb_fpga_board *board = ctx;
    const struct jb_strip *s = strip;
    const uint32_t lanes = board->engine.lanes;
    float tree[4096] = {0}; /* lanes of the schema at most */
    if (board->sum == JB_SUM_INT32) {
        jb_strip_integers(s);
        return;
    }
    for (uint64_t i = 0; i < s->m; i++) {
        for (uint32_t c = 0; c < s->cols; c++) {
            const float *a = s->a + i * s->a_stride, *w = s->panel + c;
            float total = 0.0F;
            for (uint64_t first = 0; first < s->k; first += lanes) {
                for (uint32_t l = 0; l < lanes; l++) {
                    const uint64_t k = first + l;
                    tree[l] = k < s->k ? a[k] * w[k * s->panel_width] : 0.0F;
                }
                for (uint32_t n = lanes / 2; n > 0; n /= 2) {
                    for (uint32_t l = 0; l < n; l++) {
                        tree[l] = tree[(size_t)2 * l] + tree[(size_t)2 * l + 1];
                    }
                }
                total = first == 0 ? tree[0] : total + tree[0];
            }
            s->dst[i * s->dst_stride + c] = total;
        }
    }
}

static enum jb_status check_plan(const struct jb_device *dev, const struct jb_load_args *args)
{
    const struct jb_fpga_board *board = &dev->board;
    const bool is_stored = !jb_is_missing(board->stored_bits);
    if (args->execution == JB_EXECUTE_FUNCTIONAL && (board->density < 1 || is_stored)) {
        return jb_fail(JB_E_NOTSUP,
                       "fpga_sim: '%s' stores weights in %g bits at density %g: which ones are "
                       "left out is not known; --execute timing",
                       board->name, board->stored_bits, board->density);
    }
    double weights = (double)jb_plan_weight_bytes(args->plan);
    for (uint32_t i = 0; is_stored && i < args->plan->n_tensors; i++) {
        const struct jb_tensor *tensor = &args->plan->tensors[i];
        const double bytes = (double)tensor->rows * tensor->cols * board->stored_bits / 8;
        weights += tensor->rows > 1 ? bytes - (double)tensor->n_bytes : 0;
    }
    const double bytes =
        weights + (double)jb_plan_kv_bytes(args->plan, args->max_seqs, args->context);
    if (bytes > board->memory.bytes) {
        return jb_fail(JB_E_NOMEM,
                       "fpga_sim: model and KV cache need %.2f GiB, '%s' has %.2f GiB; a smaller "
                       "format, or --set stored_bits=B",
                       bytes / JB_GIB, board->name, board->memory.bytes / JB_GIB);
    }
    return JB_OK;
}

static enum jb_status take_memory(struct jb_device *dev, const struct jb_load_args *args)
{
    const struct jb_plan *plan = args->plan;
    uint32_t most = 1;
    for (uint32_t p = 0; p < plan->n_programs; p++) {
        most = plan->programs[p].n_ops > most ? plan->programs[p].n_ops : most;
    }
    dev->played = calloc(most, sizeof *dev->played);
    if (dev->played == NULL) {
        return jb_fail(JB_E_NOMEM, "fpga_sim: no memory for the schedule of %u ops", most);
    }
    enum jb_status status =
        jb_sim_timeline_create(JB_FPGA_N_LINES, most * JB_FPGA_N_RESOURCES, &dev->timeline);
    if (status == JB_OK && args->execution == JB_EXECUTE_FUNCTIONAL) {
        const struct jb_sim_tiles_args tiles = {.who = "fpga_sim",
                                                .load = args,
                                                .a = dev->board.a,
                                                .b = dev->board.w,
                                                .kv = dev->board.kv,
                                                .width = dev->board.engine.rows,
                                                .strip = strip,
                                                .ctx = &dev->board,
                                                .n_chips = 1};
        status = jb_sim_tiles_create(&tiles, &dev->tiles);
    }
    return status;
}

static enum jb_status fpga_load(struct jb_device *dev, const struct jb_load_args *args)
{
    enum jb_status status = check_plan(dev, args);
    if (status == JB_OK) {
        dev->plan = args->plan;
        status = take_memory(dev, args);
    }
    if (status != JB_OK) {
        return status;
    }
    const struct jb_ref_hooks hooks = {
        .ctx = dev->tiles, .matmul = jb_sim_tiles_matmul, .attention = jb_sim_tiles_attention};
    const bool is_functional = args->execution == JB_EXECUTE_FUNCTIONAL;
    return jb_ref_exec_create("fpga_sim", args, is_functional ? &hooks : NULL, &dev->exec);
}

/* ---- step ---- */

static double positive(double value)
{
    return value > 0 ? value : 0;
}

/* Joules of an op by resource: what moves and switches there; standby and leakage at the board. */
static void ledger(const struct jb_device *dev, const struct jb_fpga_played *p,
                   enum jb_fpga_resource resource, double *ret_line_j)
{
    const struct jb_fpga_board *board = &dev->board;
    memset(ret_line_j, 0, JB_FPGA_N_LINES * sizeof *ret_line_j);
    switch (resource) {
    case JB_FPGA_AT_MEMORY:
        ret_line_j[JB_FPGA_DRAM] = (p->read_bytes + p->write_bytes) * board->memory.byte_j;
        break;
    case JB_FPGA_AT_ENGINE:
        ret_line_j[JB_FPGA_MAC] = (double)p->macs * board->density * board->mac_j;
        ret_line_j[JB_FPGA_SRAM] = p->sram_bits * board->sram_bit_j;
        break;
    case JB_FPGA_AT_VECTOR:
        ret_line_j[JB_FPGA_VECTOR] = p->vector_values * board->vector_j;
        break;
    default: {
        const double seconds = (p->end - p->start) / board->clock_hz;
        ret_line_j[JB_FPGA_STATIC] = seconds * board->static_w;
        ret_line_j[JB_FPGA_DRAM_STATE] = seconds * positive(board->memory.idle_w);
        break;
    }
    }
}

static bool is_used(const struct jb_fpga_played *played, enum jb_fpga_resource resource)
{
    switch (resource) {
    case JB_FPGA_AT_MEMORY:
        return played->read_bytes + played->write_bytes > 0;
    case JB_FPGA_AT_BOARD:
        return true;
    default:
        return played->at[resource][1] > 0;
    }
}

/* A rate below the memory's own rests on a constant of the device file. */
static enum jb_class memory_class(const struct jb_fpga_board *board)
{
    const bool is_own = board->weight_rate >= board->memory.rate && board->density >= 1 &&
                        jb_is_missing(board->stored_bits);
    return is_own ? JB_CLASS_SIMULATED : JB_CLASS_MODELLED;
}

static enum jb_status charge(struct jb_device *dev, uint32_t op)
{
    const struct jb_fpga_played *played = &dev->played[op];
    const double second = 1 / dev->board.clock_hz;
    enum jb_status status = JB_OK;
    for (uint32_t r = 0; r < JB_FPGA_N_RESOURCES && status == JB_OK; r++) {
        const enum jb_fpga_resource resource = (enum jb_fpga_resource)r;
        if (!is_used(played, resource)) {
            continue;
        }
        double line_j[JB_FPGA_N_LINES];
        ledger(dev, played, resource, line_j);
        const bool is_board = resource == JB_FPGA_AT_BOARD;
        const bool is_memory = resource == JB_FPGA_AT_MEMORY;
        const double *at = played->at[resource];
        const struct jb_sim_part part = {
            .op = op,
            .resource = (uint16_t)r,
            .start_s = (is_board ? played->start : at[0]) * second,
            .end_s = (is_board ? played->end : at[1]) * second,
            .line_j = line_j,
            .macs = resource == JB_FPGA_AT_ENGINE ? played->macs : 0,
            .read_bytes = is_memory ? (uint64_t)llround(played->read_bytes) : 0,
            .write_bytes = is_memory ? (uint64_t)llround(played->write_bytes) : 0,
            .time_class = is_memory ? memory_class(&dev->board) : JB_CLASS_SIMULATED,
            .energy_class = JB_CLASS_MODELLED};
        status = jb_sim_timeline_add(dev->timeline, &part);
    }
    return status;
}

static enum jb_status fpga_step(struct jb_device *dev, const struct jb_step *step)
{
    enum jb_status status = jb_ref_exec_step(dev->exec, step);
    if (status != JB_OK) {
        return status;
    }
    const struct jb_program *program = &dev->plan->programs[step->program];
    dev->op_begin = step->op_begin;
    dev->op_end = step->op_end;
    jb_sim_timeline_begin(dev->timeline);
    jb_fpga_schedule_begin(&dev->schedule, &dev->board, dev->plan);
    for (uint32_t i = step->op_begin; i < step->op_end && status == JB_OK; i++) {
        jb_fpga_schedule_op(&dev->schedule, &program->ops[i], step, &dev->played[i]);
        status = charge(dev, i);
    }
    return status;
}

static enum jb_status fpga_account(struct jb_device *dev, struct jb_account *ret_account)
{
    *ret_account = jb_sim_timeline_end(dev->timeline);
    return JB_OK;
}

/* Least time of an op: its bytes at the memory's peak, its MACs on every multiplier. */
/* Least time of an op. Weights that fit its banks may have come while the op before ran. */
static double bound(const struct jb_device *dev, const struct jb_fpga_played *played)
{
    const struct jb_fpga_board *board = &dev->board;
    const struct jb_engine *engine = &board->engine;
    const double n_macs = (double)board->n_cores * engine->rows * engine->lanes *
                          board->tokens_at_once * board->clock_hz;
    const double bank_bytes =
        (double)board->n_cores * engine->depth * engine->rows * engine->lanes * 2;
    const double ahead_bytes =
        fmin(bank_bytes, played->ahead / board->clock_hz * board->memory.peak);
    const double memory =
        fmax(0, played->read_bytes + played->write_bytes - ahead_bytes) / board->memory.peak;
    return fmax((double)played->macs * board->density / n_macs, board->is_ideal ? 0 : memory);
}

static enum jb_status fpga_detail(struct jb_device *dev, uint32_t op,
                                  struct jb_op_detail *ret_detail)
{
    if (op < dev->op_begin || op >= dev->op_end) {
        return jb_fail(JB_E_INVAL, "fpga_sim: op %u was not in the last step", op);
    }
    const struct jb_fpga_played *played = &dev->played[op];
    const uint64_t cycles = (uint64_t)llround(played->end - played->start);
    double sum = 0;
    uint64_t given = 0;
    for (uint32_t i = 0; i < JB_FPGA_N_PARTS; i++) { /* whole cycles that add up */
        sum += played->part[i];
        const uint64_t upto = i + 1 == JB_FPGA_N_PARTS ? cycles : (uint64_t)llround(sum);
        dev->parts[i] = (struct jb_part){part_names[i], upto > given ? upto - given : 0};
        given = upto > given ? upto : given;
    }
    const struct jb_fpga_parts *takes = &dev->board.takes;
    (void)snprintf(dev->choices, sizeof dev->choices,
                   "cores=%u lanes=%u rows=%u dsp=%.0f lut=%.0f ff=%.0f bram36=%.0f uram=%.0f "
                   "operand=%s weight_operand=%s",
                   dev->board.n_cores, dev->board.engine.lanes, dev->board.engine.rows, takes->dsp,
                   takes->lut, takes->ff, takes->bram36, takes->uram,
                   jb_operand_names[dev->board.a], jb_operand_names[dev->board.w]);
    *ret_detail =
        (struct jb_op_detail){.clock_hz = dev->board.clock_hz,
                              .cycles = cycles,
                              .bytes = (uint64_t)llround(played->read_bytes + played->write_bytes),
                              .macs = played->padded_macs,
                              .bound_s = bound(dev, played),
                              .energy_j = jb_sim_timeline_op_j(dev->timeline, op, dev->line_j),
                              .line_j = dev->line_j,
                              .parts = dev->parts,
                              .n_parts = JB_FPGA_N_PARTS,
                              .choices = dev->choices};
    return JB_OK;
}

static enum jb_status fpga_reset(struct jb_device *dev)
{
    jb_ref_exec_reset(dev->exec);
    return JB_OK;
}

static void fpga_close(struct jb_device *dev)
{
    free(dev->played);
    jb_sim_tiles_free(dev->tiles);
    jb_ref_exec_free(dev->exec);
    jb_sim_timeline_free(dev->timeline);
}

extern const struct jb_backend jb_backend_fpga_sim;
const struct jb_backend jb_backend_fpga_sim = {
    .name = "fpga_sim",
    .summary = "a DSP engine fed from HBM or DDR, with vector units: cycle level, checked by RTL",
    .caps = JB_CAP_MODELLED | JB_CAP_DEVICE_KEYS,
    .device_size = sizeof(struct jb_device),
    .options = jb_fpga_options,
    .resources = resources,
    .ledger_lines = lines,
    .probe = fpga_probe,
    .open = fpga_open,
    .load = fpga_load,
    .step = fpga_step,
    .account = fpga_account,
    .detail = fpga_detail,
    .reset = fpga_reset,
    .close = fpga_close,
};
