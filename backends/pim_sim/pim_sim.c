/* SPDX-License-Identifier: MIT */
/* Processing in memory, simulated at command level: real devices' flows, real logits, an energy
 * ledger. Device files: platforms/devices/pim; flows: FLOW.md. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/pim_sim/pim.h"

static const char *const resources[] = {"pim", "host", "link", NULL};
static const char *const lines[PIM_N_LINES + 1] = {
    [PIM_LINE_ACTIVATE] = "activate",
    [PIM_LINE_BANK] = "bank",
    [PIM_LINE_MAC] = "mac",
    [PIM_LINE_BROADCAST] = "broadcast",
    [PIM_LINE_IO] = "io",
    [PIM_LINE_CONTROL] = "control",
    [PIM_LINE_REFRESH] = "refresh",
    [PIM_LINE_BACKGROUND] = "background",
    [PIM_LINE_HOST] = "host",
    [PIM_LINE_LINK] = "link",
};

static const char default_device[] = "generic-pim";

struct jb_device {
    struct pim_machine machine;
    struct jb_device_file *file;
    const struct jb_dram_sink *commands;
    struct pim_sim *sim;
    struct pim_model *model;
    struct pim_numbers *numbers;
    struct jb_ref_exec *exec;
    struct jb_sim_timeline *timeline;
    uint32_t op_begin, op_end; /* of the last step */
    /* what detail() and exercise() hand out */
    struct jb_part parts[PIM_N_PARTS];
    double line_j[PIM_N_LINES];
    char choices[96];
};

/* ---- opening ---- */

static enum jb_status open_machine(const struct jb_open_args *args, struct pim_machine *machine,
                                   struct jb_device_file **ret_file)
{
    struct jb_device_file *file = NULL;
    enum jb_status status =
        jb_sim_open_file("pim_sim", "pim", default_device, pim_schema, pim_options, args, &file);
    if (status == JB_OK) {
        status = pim_machine_read(file, args, machine);
    }
    if (status != JB_OK) {
        jb_device_close(file);
        return status;
    }
    *ret_file = file;
    return JB_OK;
}

static enum jb_status pim_probe(const struct jb_open_args *args, struct jb_probe *ret_probe)
{
    struct pim_machine machine;
    struct jb_device_file *file = NULL;
    const enum jb_status status = open_machine(args, &machine, &file);
    if (status != JB_OK) {
        return status;
    }
    *ret_probe = (struct jb_probe){.platform = JB_PIM,
                                   .n_devices = machine.n_parts,
                                   .memory_bytes = pim_machine_bytes(&machine)};
    (void)snprintf(ret_probe->device, sizeof ret_probe->device, "%s", jb_device_name(file));
    jb_device_close(file);
    return JB_OK;
}

static enum jb_status pim_open(struct jb_device *dev, const struct jb_open_args *args)
{
    enum jb_status status = open_machine(args, &dev->machine, &dev->file);
    if (status != JB_OK) {
        return status;
    }
    dev->commands = args->commands;
    status = pim_sim_create(&dev->machine, args->commands, &dev->sim);
    if (status != JB_OK) {
        jb_device_close(dev->file);
        dev->file = NULL;
    }
    return status;
}

/* ---- loading ---- */

static bool is_used_by_matmul(const struct jb_plan *plan, int32_t tensor)
{
    for (uint32_t p = 0; p < plan->n_programs; p++) {
        for (uint32_t i = 0; i < plan->programs[p].n_ops; i++) {
            const struct jb_op *op = &plan->programs[p].ops[i];
            if (op->kind == JB_OP_MATMUL && op->weight == tensor) {
                return true;
            }
        }
    }
    return false;
}

/* Bytes as the device stores them. Only weights of matmuls lie behind units; the host keeps the
 * rest. */
static enum jb_status stored_bytes(const struct jb_device *dev, const struct jb_plan *plan,
                                   double *ret_bytes)
{
    const struct pim_machine *machine = &dev->machine;
    double bytes = 0;
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        const struct jb_tensor *tensor = &plan->tensors[i];
        if (!is_used_by_matmul(plan, (int32_t)i)) {
            continue;
        }
        if (!machine->is_dtype_ok[tensor->dtype]) {
            return jb_fail(JB_E_NOTSUP,
                           "pim_sim: device '%s' holds weights as %s and takes %s; '%s' is %s: "
                           "choose another --format, nothing is widened silently",
                           jb_device_name(dev->file), pim_number_name(machine->storage),
                           jb_device_get(dev->file, "accepts")->text, tensor->name,
                           jb_format(tensor->dtype)->name);
        }
        bytes += machine->flow == PIM_DPU
                     ? (double)tensor->n_bytes
                     : (double)tensor->rows * tensor->cols * pim_number_bytes(machine->storage);
    }
    *ret_bytes = bytes;
    return JB_OK;
}

static enum jb_status check_size(const struct jb_device *dev, const struct jb_load_args *args)
{
    const struct pim_machine *machine = &dev->machine;
    const struct jb_plan *plan = args->plan;
    double weights = 0;
    const enum jb_status status = stored_bytes(dev, plan, &weights);
    if (status != JB_OK) {
        return status;
    }
    const double kv_values =
        2.0 * plan->n_layers * plan->n_kv_heads * plan->head_dim * args->max_seqs * args->context;
    const double kv =
        kv_values * (machine->flow == PIM_DPU ? 2.0 : pim_number_bytes(machine->storage));
    const double there = (double)pim_machine_bytes(machine);
    if (weights + kv > there) {
        return jb_fail(JB_E_NOMEM,
                       "pim_sim: '%s' does not fit device '%s': %.2f GiB of weights as %s and "
                       "%.2f GiB of KV cache (%u x %u positions) need %.2f GiB, %.2f GiB lie "
                       "behind its units",
                       plan->model, jb_device_name(dev->file), weights / JB_GIB,
                       pim_number_name(machine->storage), kv / JB_GIB, args->max_seqs,
                       args->context, (weights + kv) / JB_GIB, there / JB_GIB);
    }
    return JB_OK;
}

/* Simulates the products of the plan once, so that steps only look them up. */
static enum jb_status warm_up(struct jb_device *dev, const struct jb_load_args *args)
{
    const struct pim_machine *machine = &dev->machine;
    const uint32_t n_pools = machine->n_pools / machine->n_stages;
    enum jb_status status = JB_OK;
    if (dev->commands != NULL) {
        return JB_OK; /* everything is ticked on show, in step() */
    }
    for (uint32_t i = 0; i < args->plan->n_tensors && status == JB_OK; i++) {
        const struct jb_tensor *w = &args->plan->tensors[i];
        struct pim_cost cost;
        if (is_used_by_matmul(args->plan, (int32_t)i)) {
            status = pim_sim_gemv(dev->sim, (w->rows + n_pools - 1) / n_pools, w->cols, 1,
                                  machine->n_channels, &cost);
        }
    }
    return status;
}

static enum jb_status pim_load(struct jb_device *dev, const struct jb_load_args *args)
{
    enum jb_status status = check_size(dev, args);
    if (status == JB_OK && dev->machine.attends && dev->machine.flow == PIM_DPU) {
        status = jb_fail(JB_E_NOTSUP, "pim_sim: a dpu flow leaves attention to the host; "
                                      "--set attention=host");
    }
    uint32_t n_ops = 1;
    for (uint32_t i = 0; i < args->plan->n_programs; i++) {
        const uint32_t n = args->plan->programs[i].n_ops;
        n_ops = n > n_ops ? n : n_ops;
    }
    if (status == JB_OK) {
        status = jb_sim_timeline_create(PIM_N_LINES, n_ops * PIM_MAX_PARTS_AN_OP, &dev->timeline);
    }
    if (status == JB_OK) {
        status = pim_model_create(&dev->machine, dev->sim, args, &dev->model);
    }
    if (status == JB_OK && args->execution == JB_EXECUTE_FUNCTIONAL) {
        status = pim_numbers_create(&dev->machine, dev->sim, args, &dev->numbers);
    }
    if (status == JB_OK) {
        struct jb_ref_hooks hooks = {.ctx = NULL};
        if (dev->numbers != NULL) {
            hooks = pim_numbers_hooks(dev->numbers);
        }
        status = jb_ref_exec_create("pim_sim", args, &hooks, &dev->exec);
    }
    return status == JB_OK ? warm_up(dev, args) : status;
}

/* ---- stepping ---- */

static enum jb_status pim_step(struct jb_device *dev, const struct jb_step *step)
{
    enum jb_status status = jb_ref_exec_step(dev->exec, step);
    if (status == JB_OK) {
        dev->op_begin = step->op_begin;
        dev->op_end = step->op_end;
        status = pim_model_step(dev->model, step, dev->timeline);
    }
    return status;
}

static enum jb_status pim_account(struct jb_device *dev, struct jb_account *ret_account)
{
    *ret_account = jb_sim_timeline_end(dev->timeline);
    return JB_OK;
}

static void fill_parts(struct jb_device *dev, const struct pim_cost *cost,
                       struct jb_op_detail *detail)
{
    for (int i = 0; i < PIM_N_PARTS; i++) {
        dev->parts[i] = (struct jb_part){.name = pim_part_names[i], .cycles = cost->parts[i]};
    }
    detail->clock_hz = dev->machine.spec.clock_hz;
    detail->cycles = cost->cycles;
    detail->parts = dev->parts;
    detail->n_parts = PIM_N_PARTS;
    detail->line_j = dev->line_j;
}

/* Bytes a second that all units of the channels in use can take from their banks. */
static double inner_peak(const struct pim_machine *machine, uint32_t n_channels)
{
    return (double)n_channels * machine->n_units * machine->spec.burst_bytes *
           machine->spec.clock_hz / machine->spec.t[PIM_T_MAC];
}

static enum jb_status pim_detail(struct jb_device *dev, uint32_t op,
                                 struct jb_op_detail *ret_detail)
{
    const struct pim_machine *machine = &dev->machine;
    if (op < dev->op_begin || op >= dev->op_end) {
        return jb_fail(JB_E_INVAL, "pim_sim: op %u was not in the last step", op);
    }
    const struct pim_op *done = pim_model_op(dev->model, op);
    struct jb_op_detail detail = {.bound_s = (double)NAN};
    fill_parts(dev, &done->cost, &detail);
    detail.energy_j = jb_sim_timeline_op_j(dev->timeline, op, dev->line_j);
    const uint64_t columns = done->cost.n_macs * machine->n_units * done->n_channels;
    detail.macs = columns * machine->n_lanes + done->host_macs;
    detail.bytes = done->host_bytes + columns * machine->spec.burst_bytes +
                   (done->cost.n_broadcasts + done->cost.n_reads) * done->n_channels *
                       machine->spec.burst_bytes;
    if (machine->flow != PIM_DPU && done->n_channels > 0) {
        detail.bound_s = (double)(columns * machine->spec.burst_bytes) /
                         inner_peak(machine, done->n_channels) / done->n_in_flight;
    }
    (void)snprintf(dev->choices, sizeof dev->choices, "mapping=%s split=%u channels=%u",
                   done->cost.split > 1 ? "k" : "n", done->cost.split, done->n_channels);
    detail.choices = done->n_channels > 0 ? dev->choices : "host";
    *ret_detail = detail;
    return JB_OK;
}

/* Plain traffic over the pins, or MACs without a gap. */
static enum jb_status pim_exercise(struct jb_device *dev, const struct jb_exercise *what,
                                   struct jb_op_detail *ret_detail)
{
    const struct pim_machine *machine = &dev->machine;
    struct pim_cost cost = {0};
    struct jb_op_detail detail = {.energy_j = (double)NAN};
    if (what->kind == JB_EXERCISE_COPY || machine->flow == PIM_DPU) {
        return jb_fail(JB_E_NOTSUP, "pim_sim: device '%s' has no such stream",
                       jb_device_name(dev->file));
    }
    if (what->kind == JB_EXERCISE_MACS) {
        const uint64_t a_cycle =
            (uint64_t)machine->n_channels * machine->n_pools * machine->n_units * machine->n_lanes;
        if (strcmp(what->number, pim_number_name(machine->compute)) != 0) {
            return jb_fail(JB_E_NOTSUP, "pim_sim: device '%s' computes %s, not %s",
                           jb_device_name(dev->file), pim_number_name(machine->compute),
                           what->number);
        }
        const uint64_t n = (what->macs + a_cycle - 1) / a_cycle;
        cost.cycles = n * machine->spec.t[PIM_T_MAC];
        cost.parts[PIM_PART_MAC] = cost.cycles;
        fill_parts(dev, &cost, &detail);
        detail.macs = n * a_cycle;
        detail.bytes = detail.macs / machine->n_lanes * machine->spec.burst_bytes;
        detail.bound_s = (double)cost.cycles / detail.clock_hz;
        detail.line_j = NULL;
        *ret_detail = detail;
        return JB_OK;
    }
    const struct jb_sim_memory_args args = {.file = dev->file,
                                            .has_refresh = machine->has_refresh,
                                            .is_ideal = machine->is_ideal,
                                            .commands = dev->commands};
    const struct jb_sim_move move = {.pattern = what->pattern,
                                     .bytes = what->bytes,
                                     .stride_bytes = what->stride_bytes,
                                     .seed = 1};
    struct jb_sim_memory *memory = NULL;
    struct jb_sim_moved moved;
    enum jb_status status = jb_sim_memory_open(&args, &memory);
    if (status == JB_OK) {
        status = jb_sim_memory_move(memory, &move, &moved);
    }
    if (status == JB_OK) {
        cost.cycles = moved.cycles;
        fill_parts(dev, &cost, &detail);
        dev->parts[0] = (struct jb_part){"transfer", moved.cycles - moved.row_cycles};
        dev->parts[1] = (struct jb_part){"row_switch", moved.row_cycles - moved.refresh_cycles};
        dev->parts[2] = (struct jb_part){"refresh", moved.refresh_cycles};
        detail.n_parts = 3;
        detail.bytes = moved.bytes;
        detail.bound_s = (double)moved.bytes / jb_sim_memory_peak(memory);
        detail.line_j = NULL;
        *ret_detail = detail;
    }
    jb_sim_memory_close(memory);
    return status;
}

static enum jb_status pim_reset(struct jb_device *dev)
{
    jb_ref_exec_reset(dev->exec);
    return JB_OK;
}

static void pim_close(struct jb_device *dev)
{
    jb_ref_exec_free(dev->exec);
    pim_numbers_free(dev->numbers);
    pim_model_free(dev->model);
    jb_sim_timeline_free(dev->timeline);
    pim_sim_free(dev->sim);
    jb_device_close(dev->file);
}

extern const struct jb_backend jb_backend_pim_sim;
const struct jb_backend jb_backend_pim_sim = {
    .name = "pim_sim",
    .summary = "processing in memory at DRAM command level: hbm-pim, aim, cent, upmem, your own",
    .caps = JB_CAP_MODELLED | JB_CAP_DEVICE_KEYS,
    .device_size = sizeof(struct jb_device),
    .options = pim_options,
    .resources = resources,
    .ledger_lines = lines,
    .probe = pim_probe,
    .open = pim_open,
    .load = pim_load,
    .step = pim_step,
    .account = pim_account,
    .detail = pim_detail,
    .exercise = pim_exercise,
    .reset = pim_reset,
    .close = pim_close,
};
