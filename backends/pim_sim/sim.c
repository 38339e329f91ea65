/* SPDX-License-Identifier: MIT */
/* What a product costs on one channel: simulated once, then looked up. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/pim_sim/flow.h"

enum { MAX_VECTORS = 8, N_KEPT = 512, N_WAYS = 8 };

const char *const pim_part_names[PIM_N_PARTS] = {"mac",     "broadcast", "row_switch",
                                                 "refresh", "mode",      "readout"};

/* What a cost was simulated for. */
struct key {
    uint32_t outputs, inputs, n, n_channels; /* n = 0: attention */
    uint32_t n_heads, n_kv_heads;
};
struct kept {
    struct key key;
    struct pim_cost cost;
    bool is_taken;
};

struct pim_sim {
    const struct pim_machine *machine;
    struct pim_run run;
    struct jb_sim_shown shown;
    struct kept *kept; /* (N_KEPT,) */
    uint32_t n_replaced;
};

enum jb_status pim_sim_create(const struct pim_machine *machine, const struct jb_dram_sink *sink,
                              struct pim_sim **ret_sim)
{
    struct pim_sim *sim = calloc(1, sizeof *sim);
    if (sim == NULL) {
        return jb_fail(JB_E_NOMEM, "pim_sim: no memory");
    }
    struct pim_run *run = &sim->run;
    sim->machine = machine;
    run->machine = machine;
    run->max_steps = machine->spec.n_columns + 3 * machine->n_grf * machine->n_grf + 64;
    run->steps = calloc(run->max_steps, sizeof *run->steps);
    run->step_parts = calloc(run->max_steps, sizeof *run->step_parts);
    run->waits = calloc((size_t)run->max_steps * 2, sizeof *run->waits);
    sim->kept = calloc(N_KEPT, sizeof *sim->kept);
    enum jb_status status =
        run->steps == NULL || run->step_parts == NULL || run->waits == NULL || sim->kept == NULL
            ? jb_fail(JB_E_NOMEM, "pim_sim: no memory for tiles of %u commands", run->max_steps)
            : JB_OK;
    if (status == JB_OK && machine->flow != PIM_DPU) {
        status = jb_mem_create(&machine->spec, &run->mem);
    }
    if (status != JB_OK) {
        pim_sim_free(sim);
        return status;
    }
    sim->shown = (struct jb_sim_shown){.spec = &machine->spec, .sink = sink};
    if (sink != NULL && run->mem != NULL) {
        jb_mem_set_sink(run->mem, jb_sim_show, &sim->shown);
    }
    *ret_sim = sim;
    return JB_OK;
}

void pim_sim_free(struct pim_sim *sim)
{
    if (sim != NULL) {
        jb_mem_free(sim->run.mem);
        free(sim->run.steps);
        free(sim->run.step_parts);
        free(sim->run.waits);
        free(sim->kept);
        free(sim);
    }
}

/* ---- keeping ---- */

static struct kept *find(struct pim_sim *sim, const struct key *key)
{
    const uint8_t *bytes = (const uint8_t *)key;
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < sizeof *key; i++) {
        hash = (hash ^ bytes[i]) * 16777619u;
    }
    struct kept *set = &sim->kept[(size_t)(hash % (N_KEPT / N_WAYS)) * N_WAYS];
    for (uint32_t i = 0; i < N_WAYS; i++) {
        if (!set[i].is_taken || memcmp(&set[i].key, key, sizeof *key) == 0) {
            return &set[i];
        }
    }
    struct kept *victim = &set[sim->n_replaced++ % N_WAYS];
    victim->is_taken = false;
    return victim;
}

static void keep(struct kept *kept, const struct key *key, const struct pim_cost *cost)
{
    kept->key = *key;
    kept->cost = *cost;
    kept->is_taken = true;
}

/* ---- one run from a closed channel ---- */

static void begin(struct pim_sim *sim, const char *what)
{
    struct pim_run *run = &sim->run;
    const struct pim_machine *machine = sim->machine;
    jb_mem_reset(run->mem);
    run->clock = (struct jb_mem_clock){
        .refresh_due = machine->has_refresh ? machine->spec.t[JB_MEM_T_REFI] : UINT64_MAX};
    memset(run->parts, 0, sizeof run->parts);
    run->mode_end = 0;
    run->refresh_end = 0;
    run->is_register_mode = false;
    run->status = JB_OK;
    if (sim->shown.sink != NULL) {
        sim->shown.sink->begin(sim->shown.sink->ctx, what);
    }
}

static uint64_t count(const struct pim_run *run, uint32_t command)
{
    return jb_mem_count(run->mem, command);
}

static void count_buffer(const struct pim_run *run, struct pim_cost *cost)
{
    const uint32_t n_banks = run->machine->n_units;
    cost->n_macs = count(run, PIM_MACA);
    cost->n_activates = count(run, PIM_ACTA) * n_banks;
    cost->n_broadcasts = count(run, PIM_WRGB) + count(run, PIM_WRMAC);
    cost->n_reads = count(run, PIM_RDMAC);
    cost->n_commands = cost->n_macs + cost->n_broadcasts + cost->n_reads + count(run, PIM_ACTA) +
                       count(run, JB_MEM_PREA) + count(run, PIM_MODE);
}

static void count_file(const struct pim_run *run, struct pim_cost *cost)
{
    const uint32_t n_units = run->machine->n_units;
    const uint64_t pairs = count(run, PIM_PACT_E) + count(run, PIM_PACT_O);
    cost->n_macs = count(run, PIM_MAC_E) + count(run, PIM_MAC_O);
    cost->n_activates = pairs * n_units + count(run, JB_MEM_ACT);
    cost->n_broadcasts = count(run, PIM_REGW_E) + count(run, PIM_REGW_O) + count(run, JB_MEM_WR);
    cost->n_reads = count(run, JB_MEM_RD);
    cost->n_stores = count(run, PIM_GRFST) * n_units;
    cost->n_commands = cost->n_macs + cost->n_broadcasts + cost->n_reads + 2 * pairs +
                       count(run, PIM_GRFST) + 2 * count(run, JB_MEM_ACT);
}

static void finish(struct pim_sim *sim, uint64_t tail, struct pim_cost *cost)
{
    struct pim_run *run = &sim->run;
    const struct pim_machine *machine = sim->machine;
    const uint64_t last = machine->flow == PIM_REGISTER_FILE ? run->last_result : run->clock.now;
    *cost = (struct pim_cost){.cycles = last + tail, .n_refreshes = run->clock.n_refreshes};
    run->parts[PIM_PART_READOUT] += tail - (run->clock.now - last);
    if (machine->flow == PIM_GLOBAL_BUFFER) {
        count_buffer(run, cost);
    } else {
        count_file(run, cost);
    }
    memcpy(cost->parts, run->parts, sizeof cost->parts);
    cost->active_cycles = jb_mem_residency(run->mem, run->clock.now).active_cycles;
    if (machine->is_ideal) {
        memset(cost->parts, 0, sizeof cost->parts);
        cost->cycles = cost->n_macs * machine->spec.t[PIM_T_MAC];
        cost->parts[PIM_PART_MAC] = cost->cycles;
        cost->n_refreshes = 0;
        cost->active_cycles = cost->cycles;
    }
}

static uint64_t ceil_cycles(double seconds, double clock_hz)
{
    const double cycles = ceil(seconds * clock_hz);
    return cycles > 0 && cycles < 9e18 ? (uint64_t)cycles : 0;
}

/* ---- dpu ---- */

static void dpu_gemv(const struct pim_machine *machine, uint32_t outputs, uint32_t inputs,
                     uint64_t n, struct pim_cost *cost)
{
    const double hz = machine->spec.clock_hz;
    const double n_units = (double)machine->n_channels * machine->n_units * machine->n_pools;
    const double rows = ceil(outputs / n_units);
    const double row_bytes = inputs * pim_number_bytes(PIM_INT8);
    const double instructions = rows * (inputs * machine->dpu.mac_instructions +
                                        inputs / 32.0 * machine->dpu.block_instructions);
    const double stall = machine->dpu.reentry / machine->dpu.tasklets;
    const double pipeline = ceil(instructions * (stall > 1 ? stall : 1));
    const double dma =
        ceil(rows * ceil(row_bytes / machine->dpu.dma_bytes) * machine->dpu.dma_setup +
             rows * row_bytes * machine->dpu.dma_per_byte);
    *cost = (struct pim_cost){.n_channels = machine->n_channels * machine->n_pools, .split = 1};
    cost->parts[PIM_PART_MAC] = (uint64_t)pipeline;
    if (!machine->is_ideal) {
        cost->parts[PIM_PART_ROW] = dma > pipeline ? (uint64_t)(dma - pipeline) : 0;
        cost->parts[PIM_PART_BROADCAST] =
            ceil_cycles(row_bytes * n_units / machine->dpu.broadcast_bytes_per_s, hz);
        cost->parts[PIM_PART_MODE] = ceil_cycles(machine->dpu.launch_s, hz);
        cost->parts[PIM_PART_READOUT] =
            ceil_cycles(rows * 4 * n_units / machine->dpu.readout_bytes_per_s, hz);
    }
    for (int i = 0; i < PIM_N_PARTS; i++) {
        cost->parts[i] *= n;
        cost->cycles += cost->parts[i];
    }
    /* a unit's share in columns of a burst, for energy */
    cost->n_macs = n * (uint64_t)ceil(rows * row_bytes / machine->spec.burst_bytes);
    cost->n_activates =
        n * (uint64_t)ceil(rows * row_bytes / machine->spec.burst_bytes / machine->spec.n_columns) *
        machine->n_units;
    cost->n_broadcasts =
        n * (uint64_t)ceil(row_bytes / machine->spec.burst_bytes) * machine->n_units;
    cost->n_reads = n * (uint64_t)ceil(rows * 4 / machine->spec.burst_bytes) * machine->n_units;
    cost->n_commands = cost->n_macs + cost->n_broadcasts + cost->n_reads;
    cost->active_cycles = cost->cycles;
}

/* ---- products ---- */

/* The fullest channel's share where `split` groups share the inputs. */
static struct pim_share share_of(const struct pim_machine *machine, uint32_t outputs,
                                 uint32_t inputs, uint32_t n_channels, uint32_t split)
{
    const uint32_t n_words = (inputs + machine->n_lanes - 1) / machine->n_lanes;
    const uint32_t n_units = n_channels / split * machine->n_units;
    struct pim_share share = {.n_words = (n_words + split - 1) / split,
                              .n_outputs = (outputs + n_units - 1) / n_units};
    if (machine->flow == PIM_REGISTER_FILE) {
        share.n_outputs = (share.n_outputs + machine->n_grf - 1) / machine->n_grf;
    }
    return share;
}

static enum jb_status run_gemv(struct pim_sim *sim, const struct key *key, uint32_t split,
                               struct pim_cost *cost)
{
    const struct pim_machine *machine = sim->machine;
    const uint32_t *t = machine->spec.t;
    const struct pim_share share =
        share_of(machine, key->outputs, key->inputs, key->n_channels, split);
    char what[96];
    (void)snprintf(what, sizeof what, "gemv %ux%ux%u, inputs split %u ways", key->outputs,
                   key->inputs, key->n, split);
    begin(sim, what);
    for (uint32_t i = 0; i < key->n && sim->run.status == JB_OK; i++) {
        if (machine->flow == PIM_GLOBAL_BUFFER) {
            pim_buffer_gemv(&sim->run, &share);
        } else {
            pim_file_gemv(&sim->run, &share);
        }
    }
    const uint64_t tail = machine->flow == PIM_GLOBAL_BUFFER
                              ? (uint64_t)t[PIM_T_REG_READ] + t[JB_MEM_T_BL]
                              : (uint64_t)t[JB_MEM_T_CL] + t[JB_MEM_T_BL];
    finish(sim, tail, cost);
    cost->n_channels = key->n_channels;
    cost->split = split;
    return sim->run.status;
}

/* At most MAX_VECTORS vectors, mapping searched. */
static enum jb_status run_or_find(struct pim_sim *sim, const struct key *key, struct pim_cost *ret)
{
    const struct pim_machine *machine = sim->machine;
    struct kept *kept = find(sim, key);
    if (kept->is_taken && sim->shown.sink == NULL) {
        *ret = kept->cost;
        return JB_OK;
    }
    const uint32_t most = key->n_channels;
    const uint32_t forced = machine->force_split > most ? most : machine->force_split;
    struct pim_cost best = {.cycles = UINT64_MAX};
    const struct jb_dram_sink *sink = sim->shown.sink;
    jb_mem_set_sink(sim->run.mem, NULL, NULL);
    sim->shown.sink = NULL;
    enum jb_status status = JB_OK;
    for (uint32_t split = forced > 0 ? forced : 1; split <= most && status == JB_OK;
         split = split < most && split * 2 > most ? most : split * 2) {
        struct pim_cost cost;
        if (forced == 0 && most % split != 0) {
            continue;
        }
        status = run_gemv(sim, key, split, &cost);
        best = status == JB_OK && cost.cycles < best.cycles ? cost : best;
        if (forced > 0) {
            break;
        }
    }
    sim->shown.sink = sink;
    if (status == JB_OK && sink != NULL) { /* once more, for those who look */
        jb_mem_set_sink(sim->run.mem, jb_sim_show, &sim->shown);
        status = run_gemv(sim, key, best.split, &best);
    }
    if (status == JB_OK) {
        keep(kept, key, &best);
        *ret = best;
    }
    return status;
}

void pim_cost_add(struct pim_cost *sum, const struct pim_cost *cost, uint64_t times)
{
    sum->cycles += times * cost->cycles;
    for (int i = 0; i < PIM_N_PARTS; i++) {
        sum->parts[i] += times * cost->parts[i];
    }
    sum->n_macs += times * cost->n_macs;
    sum->n_activates += times * cost->n_activates;
    sum->n_broadcasts += times * cost->n_broadcasts;
    sum->n_reads += times * cost->n_reads;
    sum->n_stores += times * cost->n_stores;
    sum->n_commands += times * cost->n_commands;
    sum->n_refreshes += times * cost->n_refreshes;
    sum->active_cycles += times * cost->active_cycles;
    sum->n_channels = cost->n_channels;
    sum->split = cost->split;
}

enum jb_status pim_sim_gemv(struct pim_sim *sim, uint32_t outputs, uint32_t inputs, uint64_t n,
                            uint32_t n_channels, struct pim_cost *ret_cost)
{
    const struct pim_machine *machine = sim->machine;
    struct pim_cost sum = {0}, cost;
    if (machine->flow == PIM_DPU) {
        dpu_gemv(machine, outputs, inputs, n, ret_cost);
        return JB_OK;
    }
    struct key key;
    memset(&key, 0, sizeof key);
    key.outputs = outputs;
    key.inputs = inputs;
    key.n_channels = n_channels;
    key.n = MAX_VECTORS;
    enum jb_status status = JB_OK;
    if (n >= MAX_VECTORS) {
        status = run_or_find(sim, &key, &cost);
        if (status == JB_OK) {
            pim_cost_add(&sum, &cost, n / MAX_VECTORS);
        }
    }
    key.n = (uint32_t)(n % MAX_VECTORS);
    if (status == JB_OK && key.n > 0) {
        status = run_or_find(sim, &key, &cost);
        if (status == JB_OK) {
            pim_cost_add(&sum, &cost, 1);
        }
    }
    if (status == JB_OK) {
        *ret_cost = sum;
    }
    return status;
}

/* ---- attention ---- */

/* Register file: keys (depth, head_dim) and values (head_dim, depth) of a head as products on the
 * head's channels. */
static enum jb_status file_attend(struct pim_sim *sim, const struct pim_attention *a,
                                  struct pim_cost *ret)
{
    const struct pim_machine *machine = sim->machine;
    const uint32_t n = machine->n_channels;
    const uint32_t n_channels = n > a->n_kv_heads ? n / a->n_kv_heads : 1;
    const uint64_t n_serial = n > a->n_kv_heads ? 1 : (a->n_kv_heads + (uint64_t)n - 1) / n;
    struct pim_cost sum = {0}, cost;
    const uint64_t n_vectors = a->n_heads / a->n_kv_heads;
    enum jb_status status = pim_sim_gemv(sim, a->depth, a->head_dim, n_vectors, n_channels, &cost);
    if (status == JB_OK) {
        pim_cost_add(&sum, &cost, n_serial);
        status = pim_sim_gemv(sim, a->head_dim, a->depth, n_vectors, n_channels, &cost);
    }
    if (status == JB_OK) {
        pim_cost_add(&sum, &cost, n_serial);
        sum.n_channels = n;
        *ret = sum;
    }
    return status;
}

enum jb_status pim_sim_attend(struct pim_sim *sim, const struct pim_attention *attention,
                              struct pim_cost *ret_cost)
{
    const struct pim_machine *machine = sim->machine;
    struct key key;
    if (machine->flow == PIM_DPU) {
        return jb_fail(JB_E_NOTSUP, "pim_sim: a dpu flow leaves attention to the host");
    }
    memset(&key, 0, sizeof key);
    key.outputs = attention->depth;
    key.inputs = attention->head_dim;
    key.n_heads = attention->n_heads;
    key.n_kv_heads = attention->n_kv_heads;
    if (machine->flow == PIM_REGISTER_FILE) {
        return file_attend(sim, attention, ret_cost);
    }
    struct kept *kept = find(sim, &key);
    if (kept->is_taken && sim->shown.sink == NULL) {
        *ret_cost = kept->cost;
        return JB_OK;
    }
    struct pim_cost cost;
    begin(sim, "attention");
    pim_buffer_attend(&sim->run, attention);
    finish(sim, (uint64_t)machine->spec.t[PIM_T_REG_READ] + machine->spec.t[JB_MEM_T_BL], &cost);
    cost.n_channels = machine->n_channels;
    cost.split = 1;
    if (sim->run.status == JB_OK) {
        keep(kept, &key, &cost);
        *ret_cost = cost;
    }
    return sim->run.status;
}
