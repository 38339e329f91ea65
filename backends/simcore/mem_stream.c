/* SPDX-License-Identifier: MIT */
#include "backends/simcore/mem_stream.h"

#include <stdlib.h>
#include <string.h>

#include "backends/simcore/mem_internal.h"

/* ---- the state of a channel, seen from now ---- */

static uint32_t n_all_nodes(const struct jb_mem *mem)
{
    return mem->first_node[JB_MEM_BANK] + mem->n_nodes[JB_MEM_BANK];
}

static size_t state_size(const struct jb_mem *mem)
{
    size_t n = (size_t)n_all_nodes(mem) * mem->n_commands + mem->n_nodes[JB_MEM_BANK];
    for (uint32_t i = 0; i < mem->n_windows; i++) {
        n += (size_t)mem->n_nodes[mem->windows[i].level] * mem->windows[i].size;
    }
    return n;
}

/* Everything that decides what may be issued from now on, and nothing else. */
static void take_state(const struct jb_mem *mem, uint64_t now, uint32_t row, uint64_t *state)
{
    const size_t n_ready = (size_t)n_all_nodes(mem) * mem->n_commands;
    for (size_t i = 0; i < n_ready; i++) {
        *state++ = mem->ready[i] > now ? mem->ready[i] - now : 0;
    }
    for (uint32_t bank = 0; bank < mem->n_nodes[JB_MEM_BANK]; bank++) {
        const uint32_t open = mem->open_row[bank];
        *state++ = open == JB_MEM_CLOSED ? UINT64_MAX : (uint64_t)(uint32_t)(open - row);
    }
    for (uint32_t i = 0; i < mem->n_windows; i++) {
        const struct jb_mem_window *window = &mem->windows[i];
        for (uint32_t node = 0; node < mem->n_nodes[window->level]; node++) {
            const uint64_t *times = &window->times[(size_t)node * (window->size + 1)];
            const uint64_t count = times[window->size];
            for (uint32_t k = 0; k < window->size; k++) {
                const uint64_t time = times[(count + k) % window->size];
                const bool counts = count + k >= window->size && time + window->latency > now;
                *state++ = counts ? time + window->latency - now : 0;
            }
        }
    }
}

struct tally {
    uint64_t counts[JB_MEM_MAX_COMMANDS];
    struct jb_mem_residency residency;
};

static void take_tally(const struct jb_mem *mem, uint64_t now, struct tally *tally)
{
    memcpy(tally->counts, mem->counts, sizeof tally->counts);
    tally->residency = jb_mem_residency(mem, now);
}

/* As if the periods between two tallies had come `times` more, `cycles` and `rows` in all. */
static void move_on(struct jb_mem *mem, uint64_t times, uint64_t cycles, uint32_t rows,
                    const struct tally *before, const struct tally *after)
{
    const size_t n_ready = (size_t)n_all_nodes(mem) * mem->n_commands;
    for (size_t i = 0; i < n_ready; i++) {
        mem->ready[i] += cycles;
    }
    for (uint32_t bank = 0; bank < mem->n_nodes[JB_MEM_BANK]; bank++) {
        mem->open_row[bank] += mem->open_row[bank] != JB_MEM_CLOSED ? rows : 0;
    }
    for (uint32_t i = 0; i < mem->n_windows; i++) {
        const struct jb_mem_window *window = &mem->windows[i];
        for (uint32_t node = 0; node < mem->n_nodes[window->level]; node++) {
            uint64_t *entries = &window->times[(size_t)node * (window->size + 1)];
            for (uint32_t k = 0; k < window->size; k++) {
                entries[k] += cycles;
            }
        }
    }
    for (uint32_t rank = 0; rank < mem->n_nodes[JB_MEM_RANK]; rank++) {
        mem->rank_changed[rank] += cycles;
    }
    for (uint32_t c = 0; c < mem->n_commands; c++) {
        mem->counts[c] += times * (after->counts[c] - before->counts[c]);
    }
    struct jb_mem_residency *sum = &mem->residency;
    const struct jb_mem_residency *a = &before->residency, *b = &after->residency;
    sum->idle_cycles += times * (b->idle_cycles - a->idle_cycles);
    sum->active_cycles += times * (b->active_cycles - a->active_cycles);
    sum->open_cycles += times * (b->open_cycles - a->open_cycles);
    mem->last_issue += cycles;
}

/* ---- running ---- */

struct run {
    struct jb_mem *mem;
    struct jb_mem_clock *clock;
    uint64_t *state, *earlier; /* (n_state,) at the last two period ends */
    size_t n_state;
    uint32_t *rows;               /* (banks,) what a refresh has to open again */
    uint64_t *waits, *last_waits; /* (n_steps,) of all periods, of the last one; or NULL */
    uint64_t refresh_end;         /* a refresh goes on until then                        */
};

static void go(struct run *run, uint32_t command, struct jb_mem_target target)
{
    const uint64_t earliest = jb_mem_earliest(run->mem, command, target);
    run->clock->now = earliest > run->clock->now ? earliest : run->clock->now;
    jb_mem_issue(run->mem, command, target, run->clock->now);
    run->clock->n_issued++;
}

/* Every rank in turn: close, refresh; then what was open opens again. */
static void refresh(struct run *run, uint64_t refresh_cycles)
{
    struct jb_mem *mem = run->mem;
    const uint32_t n_banks = mem->n_nodes[JB_MEM_BANK];
    const uint64_t start = run->clock->now;
    memcpy(run->rows, mem->open_row, n_banks * sizeof *run->rows);
    for (uint32_t bank = 0; bank < n_banks; bank += mem->banks_per_node[JB_MEM_RANK]) {
        const struct jb_mem_target any = {.bank = bank};
        if (jb_mem_n_open(mem, bank) > 0) {
            go(run, JB_MEM_PREA, any);
        }
        go(run, JB_MEM_REFA, any);
    }
    run->refresh_end = run->clock->now + run->clock->rfc;
    for (uint32_t bank = 0; bank < n_banks; bank++) {
        if (run->rows[bank] != JB_MEM_CLOSED) {
            go(run, JB_MEM_ACT, (struct jb_mem_target){.bank = bank, .row = run->rows[bank]});
        }
    }
    run->clock->refresh_cycles += run->clock->now - start;
    run->clock->refresh_due += refresh_cycles;
    run->clock->n_refreshes++;
}

/* The wait of a step, less what a refresh before it still took. */
static void add_wait(struct run *run, uint32_t step, uint64_t before)
{
    if (run->waits == NULL) {
        return;
    }
    const uint64_t now = run->clock->now;
    const uint64_t end = run->refresh_end < now ? run->refresh_end : now;
    const uint64_t refreshing = end > before ? end - before : 0;
    run->clock->refresh_cycles += refreshing;
    run->last_waits[step] = now - before - refreshing;
    run->waits[step] += run->last_waits[step];
}

static enum jb_status issue_period(struct run *run, const struct jb_mem_stream *stream,
                                   uint32_t row)
{
    for (uint32_t i = 0; i < stream->n_steps; i++) {
        const struct jb_mem_stream_step *step = &stream->steps[i];
        struct jb_mem_target target = step->target;
        target.row += row;
        if (step->command >= run->mem->n_commands ||
            target.bank >= run->mem->n_nodes[JB_MEM_BANK] ||
            !jb_mem_can(run->mem, step->command, target)) {
            return jb_fail(JB_E_INVAL, "memory stream: step %u (command %u) cannot go to bank %u",
                           i, step->command, target.bank);
        }
        const uint64_t before = run->clock->now;
        go(run, step->command, target);
        add_wait(run, i, before);
    }
    return JB_OK;
}

/* How many more periods of this length start before the next refresh is due: a period starts as
 * long as the last command before it comes earlier. */
static uint64_t n_alike(const struct jb_mem_clock *clock, uint64_t period, uint64_t n_left)
{
    if (clock->refresh_due == UINT64_MAX || period == 0) {
        return n_left;
    }
    if (clock->now >= clock->refresh_due) {
        return 0;
    }
    const uint64_t n = (clock->refresh_due - clock->now + period - 1) / period;
    return n < n_left ? n : n_left;
}

static enum jb_status run_periods(struct run *run, const struct jb_mem_stream *stream,
                                  uint64_t refresh_cycles)
{
    struct jb_mem_clock *clock = run->clock;
    const bool is_skipping = run->mem->sink == NULL;
    uint32_t row = stream->row;
    bool has_earlier = false;
    for (uint64_t done = 0; done < stream->n_periods;) {
        if (clock->now >= clock->refresh_due) {
            refresh(run, refresh_cycles);
            has_earlier = false;
        }
        struct tally before, after;
        const uint64_t start = clock->now;
        take_tally(run->mem, start, &before);
        const enum jb_status status = issue_period(run, stream, row);
        if (status != JB_OK) {
            return status;
        }
        done++;
        row += stream->row_step;
        if (!is_skipping) {
            continue;
        }
        take_state(run->mem, clock->now, row, run->state);
        const uint64_t period = clock->now - start;
        if (has_earlier &&
            memcmp(run->state, run->earlier, run->n_state * sizeof *run->state) == 0) {
            const uint64_t n = n_alike(clock, period, stream->n_periods - done);
            take_tally(run->mem, clock->now, &after);
            move_on(run->mem, n, n * period, (uint32_t)n * stream->row_step, &before, &after);
            for (uint32_t i = 0; run->waits != NULL && i < stream->n_steps; i++) {
                run->waits[i] += n * run->last_waits[i];
            }
            clock->now += n * period;
            done += n;
            row += (uint32_t)n * stream->row_step;
        }
        uint64_t *swap = run->state;
        run->state = run->earlier;
        run->earlier = swap;
        has_earlier = true;
    }
    return JB_OK;
}

enum jb_status jb_mem_stream_run(struct jb_mem *mem, const struct jb_mem_stream *stream,
                                 uint64_t refresh_cycles, struct jb_mem_clock *clock)
{
    struct run run = {.mem = mem, .clock = clock, .n_state = state_size(mem)};
    if (mem->stream_states == NULL) { /* kept, so that only the first stream allocates */
        mem->stream_states = calloc(run.n_state * 2, sizeof *mem->stream_states);
        mem->stream_rows = calloc(mem->n_nodes[JB_MEM_BANK], sizeof *mem->stream_rows);
    }
    if (mem->stream_states == NULL || mem->stream_rows == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for a memory stream");
    }
    run.state = mem->stream_states;
    run.earlier = mem->stream_states + run.n_state;
    run.rows = mem->stream_rows;
    run.waits = stream->waits;
    run.last_waits = stream->waits != NULL ? stream->waits + stream->n_steps : NULL;
    return run_periods(&run, stream, refresh_cycles);
}
