/* SPDX-License-Identifier: MIT */
/* Traffic of a memory whose channels share it evenly: one channel is simulated, with the queue of
 * mem_controller.h in front. Sequential traffic is looked up in a curve - cycle, activates and
 * refreshes after each burst of a stream long enough to repeat itself - that is drawn once. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/simcore/simcore.h"
#include "platforms/base/rng.h"

enum { CURVE_INTERVALS = 12, CURVE_LEAST = 4096 };
static const uint64_t TICKED_MAX_BYTES = UINT64_C(1) << 30;

/* After burst i of a sequential stream. */
struct point {
    uint64_t cycle, n_activates, n_refreshes;
};
struct curve {
    struct point *points; /* (n,) */
    uint32_t n, from, to; /* from, to: two points right after a refresh, whole intervals apart */
    double active_share, open_share; /* of cycles: some row open; open banks a cycle */
};

struct jb_sim_memory {
    struct jb_mem_spec spec;
    struct jb_energy_event events[JB_MEM_N_E];
    struct jb_sim_memory_args args;
    struct jb_sim_shown shown;
    struct curve curves[2]; /* reads, writes */
    bool has_energy;
};

/* ---- ticking ---- */

struct ticking {
    struct jb_mem_controller *controller;
    uint64_t now, last_data;
    struct point *points; /* (n,) by order of the request; NULL = nobody asks */
};

static void on_done(void *ctx, uint64_t id, uint64_t cycle)
{
    struct ticking *t = ctx;
    t->last_data = cycle > t->last_data ? cycle : t->last_data;
    if (t->points != NULL) {
        const struct jb_mem *mem = jb_mem_controller_mem(t->controller);
        t->points[id] =
            (struct point){cycle, jb_mem_count(mem, JB_MEM_ACT), jb_mem_count(mem, JB_MEM_REFA)};
    }
}

static uint64_t burst_at(const struct jb_sim_memory *memory, const struct jb_sim_move *move,
                         uint64_t i, struct jb_rng *rng)
{
    switch (move->pattern) {
    case JB_RANDOM:
        return jb_rng_u64(rng) % (jb_mem_bytes(&memory->spec) / memory->spec.burst_bytes);
    case JB_STRIDED:
        return i * move->stride_bytes / memory->spec.burst_bytes;
    default:
        return i;
    }
}

/* Runs `n` bursts, as many in the queue as it holds. */
static enum jb_status tick_all(struct jb_sim_memory *memory, const struct jb_sim_move *move,
                               uint64_t n, struct ticking *t)
{
    const struct jb_mem_controller_options options = {
        .refresh = memory->args.has_refresh ? JB_MEM_REFRESH_ALL_BANK : JB_MEM_REFRESH_OFF};
    const enum jb_status status =
        jb_mem_controller_create(&memory->spec, &options, on_done, t, &t->controller);
    if (status != JB_OK) {
        return status;
    }
    if (memory->args.commands != NULL && t->points == NULL) {
        jb_mem_set_sink(jb_mem_controller_mem(t->controller), jb_sim_show, &memory->shown);
    }
    struct jb_rng rng;
    jb_rng_seed(&rng, move->seed, 0);
    uint64_t pushed = 0;
    uint64_t next = burst_at(memory, move, 0, &rng);
    while (pushed < n || jb_mem_controller_n_waiting(t->controller) > 0) {
        while (pushed < n &&
               jb_mem_controller_push(t->controller, next, move->is_write, pushed, t->now)) {
            pushed++;
            next = burst_at(memory, move, pushed, &rng);
        }
        (void)jb_mem_controller_tick(t->controller, t->now);
        t->now++;
        const uint64_t later = jb_mem_controller_next(t->controller);
        t->now = later > t->now && later != UINT64_MAX ? later : t->now;
    }
    return JB_OK;
}

/* ---- the curve of sequential traffic ---- */

static int by_cycle(const void *a, const void *b)
{
    const struct point *x = a, *y = b;
    return x->cycle < y->cycle ? -1 : x->cycle > y->cycle;
}

/* Where the rate of long streams is taken: whole refresh intervals, or else the second half. */
static void choose_window(struct curve *curve, uint32_t n_ranks)
{
    curve->from = curve->n / 2 - 1;
    curve->to = curve->n - 1;
    uint32_t seen = 0;
    for (uint32_t i = 1; i < curve->n; i++) {
        if (curve->points[i].n_refreshes / n_ranks != curve->points[i - 1].n_refreshes / n_ranks) {
            seen++;
            curve->from = seen == 2 ? i : curve->from;
            curve->to = i;
        }
    }
    if (curve->to <= curve->from) {
        curve->to = curve->n - 1;
    }
}

static enum jb_status draw_curve(struct jb_sim_memory *memory, bool is_write, struct curve *curve)
{
    const struct jb_mem_spec *spec = &memory->spec;
    const uint64_t n = (uint64_t)CURVE_INTERVALS * spec->t[JB_MEM_T_REFI] * spec->n_pseudo /
                       (spec->t[JB_MEM_T_BL] > 0 ? spec->t[JB_MEM_T_BL] : 1);
    curve->n = (uint32_t)(n < CURVE_LEAST ? CURVE_LEAST : n > 1000000 ? 1000000 : n) & ~1u;
    curve->points = calloc(curve->n, sizeof *curve->points);
    if (curve->points == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for a stream of %u bursts", curve->n);
    }
    struct ticking t = {.points = curve->points};
    const struct jb_sim_move move = {.is_write = is_write, .pattern = JB_SEQUENTIAL};
    const enum jb_status status = tick_all(memory, &move, curve->n, &t);
    if (status == JB_OK) {
        const struct jb_mem_residency r =
            jb_mem_residency(jb_mem_controller_mem(t.controller), t.last_data);
        curve->active_share = (double)r.active_cycles / (double)t.last_data;
        curve->open_share = (double)r.open_cycles / (double)t.last_data;
        /* bursts may overtake one another: the i-th to arrive, not the i-th asked for */
        qsort(curve->points, curve->n, sizeof *curve->points, by_cycle);
        choose_window(curve, spec->n_pseudo * spec->n_ranks);
    }
    jb_mem_controller_free(t.controller);
    return status;
}

/* Bursts beyond the curve come at its rate. */
static struct point look_up(const struct curve *curve, uint64_t n)
{
    if (n <= curve->n) {
        return curve->points[n - 1];
    }
    const struct point a = curve->points[curve->from], b = curve->points[curve->to];
    const struct point last = curve->points[curve->n - 1];
    const double more = (double)(n - curve->n) / (double)(curve->to - curve->from);
    return (struct point){
        last.cycle + (uint64_t)ceil(more * (double)(b.cycle - a.cycle)),
        last.n_activates + (uint64_t)(more * (double)(b.n_activates - a.n_activates)),
        last.n_refreshes + (uint64_t)(more * (double)(b.n_refreshes - a.n_refreshes))};
}

/* ---- opening ---- */

static bool has_currents(const struct jb_device_file *file)
{
    return !jb_is_missing(jb_device_number(file, "vdd")) &&
           !jb_is_missing(jb_device_number(file, "idd0"));
}

enum jb_status jb_sim_memory_open(const struct jb_sim_memory_args *args,
                                  struct jb_sim_memory **ret_memory)
{
    const double n_file = jb_device_number(args->file, "channels");
    struct jb_sim_memory *memory = calloc(1, sizeof *memory);
    if (memory == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for a memory model");
    }
    memory->args = *args;
    memory->shown = (struct jb_sim_shown){.spec = &memory->spec, .sink = args->commands};
    memory->args.has_refresh = args->has_refresh && !args->is_ideal;
    enum jb_status status = jb_mem_spec_read(args->file, &memory->spec);
    memory->args.has_refresh = memory->args.has_refresh && memory->spec.t[JB_MEM_T_REFI] > 0;
    if (status == JB_OK && args->n_channels > n_file) {
        status = jb_fail(JB_E_INVAL, "device '%s' has %g channels, not %u",
                         jb_device_name(args->file), n_file, args->n_channels);
    }
    memory->args.n_channels = args->n_channels > 0 ? args->n_channels : (uint32_t)n_file;
    memory->has_energy = has_currents(args->file);
    if (status == JB_OK && memory->has_energy) {
        status = jb_mem_energy_read(args->file, &memory->spec, &args->toggles, memory->events);
    }
    for (uint32_t i = 0; i < 2 && status == JB_OK; i++) {
        status = draw_curve(memory, i == 1, &memory->curves[i]);
    }
    if (status != JB_OK) {
        jb_sim_memory_close(memory);
        return status;
    }
    *ret_memory = memory;
    return JB_OK;
}

void jb_sim_memory_close(struct jb_sim_memory *memory)
{
    if (memory != NULL) {
        free(memory->curves[0].points);
        free(memory->curves[1].points);
        free(memory);
    }
}

double jb_sim_memory_clock_hz(const struct jb_sim_memory *memory)
{
    return memory->spec.clock_hz;
}

double jb_sim_memory_peak(const struct jb_sim_memory *memory)
{
    const struct jb_mem_spec *spec = &memory->spec;
    return (double)memory->args.n_channels * spec->n_pseudo * spec->burst_bytes * spec->clock_hz /
           spec->t[JB_MEM_T_BL];
}

uint64_t jb_sim_memory_bytes(const struct jb_sim_memory *memory)
{
    return memory->args.n_channels * jb_mem_bytes(&memory->spec);
}

double jb_sim_memory_idle_w(const struct jb_sim_memory *memory)
{
    const struct jb_mem_spec *spec = &memory->spec;
    if (!memory->has_energy) {
        return (double)NAN;
    }
    const double per_cycle_j =
        memory->events[JB_MEM_E_IDLE].each_j +
        (memory->args.has_refresh ? memory->events[JB_MEM_E_REFRESH].each_j / spec->t[JB_MEM_T_REFI]
                                  : 0);
    return per_cycle_j * spec->clock_hz * spec->n_pseudo * spec->n_ranks * memory->args.n_channels;
}

/* ---- moving ---- */

static void add_energy(const struct jb_sim_memory *memory, const struct jb_sim_move *move,
                       const uint64_t *counts, struct jb_sim_moved *moved)
{
    if (!memory->has_energy) {
        for (uint32_t i = 0; i < JB_MEM_N_LINES; i++) {
            moved->line_j[i] = (double)NAN;
        }
        return;
    }
    (void)move;
    (void)jb_energy_sum(memory->events, counts, JB_MEM_N_E, moved->line_j, JB_MEM_N_LINES);
    for (uint32_t i = 0; i < JB_MEM_N_LINES; i++) {
        moved->line_j[i] *= memory->args.n_channels;
    }
}

static void fill_counts(const struct jb_sim_memory *memory, const struct jb_sim_move *move,
                        uint64_t n, const struct point *end, const struct curve *curve,
                        uint64_t *counts)
{
    const struct jb_mem_spec *spec = &memory->spec;
    const double n_rank_cycles = (double)end->cycle * spec->n_pseudo * spec->n_ranks;
    const double active = curve->active_share * (double)end->cycle;
    memset(counts, 0, JB_MEM_N_E * sizeof *counts);
    counts[JB_MEM_E_ACTIVATE] = end->n_activates;
    counts[move->is_write ? JB_MEM_E_WRITE : JB_MEM_E_READ] = n;
    counts[move->is_write ? JB_MEM_E_WRITE_PINS : JB_MEM_E_READ_PINS] = n;
    counts[JB_MEM_E_REFRESH] = end->n_refreshes;
    counts[JB_MEM_E_IDLE] = (uint64_t)n_rank_cycles;
    counts[JB_MEM_E_ACTIVE] = (uint64_t)active;
    const double further = curve->open_share * (double)end->cycle - active;
    counts[JB_MEM_E_OPEN] = further > 0 ? (uint64_t)further : 0;
}

static enum jb_status move_ticked(struct jb_sim_memory *memory, const struct jb_sim_move *move,
                                  uint64_t n, struct jb_sim_moved *moved)
{
    if (n * memory->spec.burst_bytes * memory->args.n_channels > TICKED_MAX_BYTES) {
        return jb_fail(JB_E_INVAL, "random and strided traffic, and command traces, go up to "
                                   "1 GiB; ask for less");
    }
    struct ticking t = {0};
    if (memory->args.commands != NULL) {
        memory->args.commands->begin(memory->args.commands->ctx, move->is_write ? "write" : "read");
    }
    const enum jb_status status = tick_all(memory, move, n, &t);
    if (status == JB_OK) {
        uint64_t counts[JB_MEM_N_E];
        const struct jb_mem *mem = jb_mem_controller_mem(t.controller);
        jb_mem_energy_count(mem, t.last_data, counts);
        add_energy(memory, move, counts, moved);
        moved->cycles = t.last_data;
        moved->n_refreshes = counts[JB_MEM_E_REFRESH];
    }
    jb_mem_controller_free(t.controller);
    return status;
}

enum jb_status jb_sim_memory_move(struct jb_sim_memory *memory, const struct jb_sim_move *move,
                                  struct jb_sim_moved *ret_moved)
{
    const struct jb_mem_spec *spec = &memory->spec;
    const uint64_t unit = (uint64_t)spec->burst_bytes * memory->args.n_channels;
    const uint64_t n = move->bytes / unit + (move->bytes % unit != 0);
    struct jb_sim_moved moved = {.bytes = n * unit};
    const bool is_ticked = move->pattern != JB_SEQUENTIAL || memory->args.commands != NULL;
    const struct curve *curve = &memory->curves[move->is_write];
    if (move->pattern == JB_STRIDED && move->stride_bytes == 0) {
        return jb_fail(JB_E_INVAL, "strided traffic needs a stride of at least 1 byte");
    }
    if (n > 0 && is_ticked) {
        const enum jb_status status = move_ticked(memory, move, n, &moved);
        if (status != JB_OK) {
            return status;
        }
    } else if (n > 0) {
        const struct point end = look_up(curve, n);
        uint64_t counts[JB_MEM_N_E];
        fill_counts(memory, move, n, &end, curve, counts);
        add_energy(memory, move, counts, &moved);
        moved.cycles = end.cycle;
        moved.n_refreshes = end.n_refreshes / ((uint64_t)spec->n_pseudo * spec->n_ranks);
    }
    const uint64_t bus = (n * spec->t[JB_MEM_T_BL] + spec->n_pseudo - 1) / spec->n_pseudo;
    if (memory->args.is_ideal) {
        moved.cycles = bus;
        moved.n_refreshes = 0;
    }
    moved.refresh_cycles = moved.n_refreshes * spec->t[JB_MEM_T_RFC];
    moved.refresh_cycles =
        moved.refresh_cycles > moved.cycles - bus ? moved.cycles - bus : moved.refresh_cycles;
    moved.row_cycles = moved.cycles - bus;
    moved.time_s = (double)moved.cycles / spec->clock_hz;
    *ret_moved = moved;
    return JB_OK;
}
