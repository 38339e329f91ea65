/* SPDX-License-Identifier: MIT */
/* The flows of FLOW.md, command by command. */
#include "backends/pim_sim/flow.h"

/* ---- issuing ---- */

/* Cycles from `from` on that lie before both ends. */
static uint64_t overlap(uint64_t from, uint64_t to, uint64_t end)
{
    const uint64_t least = to < end ? to : end;
    return least > from ? least - from : 0;
}

static void add_wait(struct pim_run *run, uint64_t before, enum pim_part part)
{
    const uint64_t now = run->clock.now;
    const uint64_t changing = overlap(before, now, run->mode_end);
    const uint64_t refreshing = overlap(before + changing, now, run->refresh_end);
    uint64_t rest = now - before - changing - refreshing;
    run->parts[PIM_PART_MODE] += changing;
    run->parts[PIM_PART_REFRESH] += refreshing;
    if (part == PIM_PART_MAC) {
        const uint64_t cadence = run->machine->spec.t[PIM_T_MAC];
        const uint64_t mac = rest < cadence ? rest : cadence;
        run->parts[PIM_PART_MAC] += mac;
        rest -= mac;
        part = PIM_PART_ROW;
    }
    run->parts[part] += rest;
}

void pim_issue(struct pim_run *run, uint32_t command, uint32_t bank, uint32_t row,
               enum pim_part part)
{
    const struct jb_mem_target target = {.bank = bank, .row = row};
    if (run->status != JB_OK) {
        return;
    }
    const uint64_t before = run->clock.now;
    const uint64_t earliest = jb_mem_earliest(run->mem, command, target);
    run->clock.now = earliest > before ? earliest : before;
    if (!jb_mem_can(run->mem, command, target)) {
        run->status =
            jb_fail(JB_E_INVAL, "pim_sim: command %u finds the banks not as it needs", command);
        return;
    }
    jb_mem_issue(run->mem, command, target, run->clock.now);
    add_wait(run, before, part);
}

void pim_issue_many(struct pim_run *run, uint32_t command, uint32_t bank, uint32_t row,
                    enum pim_part part, uint64_t n)
{
    const uint64_t at_least = 8; /* enough for the cadence to settle */
    for (uint64_t i = 0; i < n && (i < at_least || n < 2 * at_least); i++) {
        pim_issue(run, command, bank, row, part);
    }
    if (n < 2 * at_least || run->status != JB_OK) {
        return;
    }
    uint64_t waits[2] = {0, 0};
    const struct jb_mem_stream_step step = {.command = command, .target = {.bank = bank}};
    const struct jb_mem_stream stream = {
        .steps = &step, .n_steps = 1, .n_periods = n - at_least, .row = row, .waits = waits};
    const uint64_t due = run->clock.refresh_due;
    run->clock.refresh_due = UINT64_MAX;
    run->status = jb_mem_stream_run(run->mem, &stream, 0, &run->clock);
    run->clock.refresh_due = due;
    run->parts[part] += waits[0];
}

void pim_period_begin(struct pim_run *run)
{
    run->n_steps = 0;
}

void pim_period_add(struct pim_run *run, uint32_t command, uint32_t row, enum pim_part part,
                    uint32_t n)
{
    for (uint32_t i = 0; i < n && run->status == JB_OK; i++) {
        if (run->n_steps == run->max_steps) {
            run->status =
                jb_fail(JB_E_INVAL, "pim_sim: a tile of more than %u commands", run->max_steps);
            return;
        }
        run->steps[run->n_steps] =
            (struct jb_mem_stream_step){.command = command, .target = {.row = row}};
        run->step_parts[run->n_steps++] = (uint8_t)part;
    }
}

/* Runs what was collected. */
void pim_period_run(struct pim_run *run, uint32_t row, uint32_t row_step, uint64_t n)
{
    const struct pim_machine *machine = run->machine;
    const uint64_t cadence = machine->spec.t[PIM_T_MAC];
    if (run->status != JB_OK || n == 0) {
        return;
    }
    for (uint32_t i = 0; i < 2 * run->n_steps; i++) {
        run->waits[i] = 0;
    }
    const bool was_due = run->clock.now >= run->clock.refresh_due;
    const uint64_t start = run->clock.now, refreshed = run->clock.refresh_cycles;
    const struct jb_mem_stream stream = {.steps = run->steps,
                                         .n_steps = run->n_steps,
                                         .n_periods = n,
                                         .row = row,
                                         .row_step = row_step,
                                         .waits = run->waits};
    run->clock.rfc = machine->spec.t[JB_MEM_T_RFC];
    run->status = jb_mem_stream_run(run->mem, &stream, machine->spec.t[JB_MEM_T_REFI], &run->clock);
    /* a mode change right before ends within the first wait */
    uint64_t refreshing = run->clock.refresh_cycles - refreshed;
    uint64_t *first = was_due ? &refreshing : &run->waits[0];
    uint64_t changing = run->mode_end > start ? run->mode_end - start : 0;
    changing = changing < *first ? changing : *first;
    run->parts[PIM_PART_MODE] += changing;
    *first -= changing;
    for (uint32_t i = 0; i < run->n_steps; i++) {
        uint64_t rest = run->waits[i];
        if (run->step_parts[i] == PIM_PART_MAC) {
            const uint64_t mac = rest < cadence * n ? rest : cadence * n;
            run->parts[PIM_PART_MAC] += mac;
            run->parts[PIM_PART_ROW] += rest - mac;
        } else {
            run->parts[run->step_parts[i]] += rest;
        }
    }
    run->parts[PIM_PART_REFRESH] += refreshing;
}

/* ---- global buffer ---- */

static void change_mode(struct pim_run *run)
{
    pim_issue(run, PIM_MODE, 0, 0, PIM_PART_MODE);
    run->mode_end = run->clock.now + run->machine->spec.t[PIM_T_MODE];
    run->is_register_mode = !run->is_register_mode;
}

/* Outputs of one group of accumulators over one segment of inputs. */
static void buffer_group(struct pim_run *run, uint32_t row, uint32_t row_step, uint32_t n_words,
                         uint32_t n_outputs)
{
    pim_issue_many(run, PIM_WRMAC, 0, 0, PIM_PART_BROADCAST, n_outputs);
    change_mode(run);
    pim_period_begin(run);
    pim_period_add(run, PIM_ACTA, 0, PIM_PART_ROW, 1);
    pim_period_add(run, PIM_MACA, 0, PIM_PART_MAC, n_words);
    pim_period_add(run, JB_MEM_PREA, 0, PIM_PART_ROW, 1);
    pim_period_run(run, row, row_step, n_outputs);
    change_mode(run);
    pim_issue_many(run, PIM_RDMAC, 0, 0, PIM_PART_READOUT, n_outputs);
}

void pim_buffer_gemv(struct pim_run *run, const struct pim_share *share)
{
    const struct pim_machine *machine = run->machine;
    const uint32_t n_columns = machine->spec.n_columns;
    const uint32_t n_segments = (share->n_words + n_columns - 1) / n_columns;
    const uint32_t n_groups =
        (share->n_outputs + machine->n_accumulators - 1) / machine->n_accumulators;
    const uint32_t n_group = (share->n_outputs + n_groups - 1) / n_groups;
    for (uint32_t s = 0; s < n_segments && run->status == JB_OK; s++) {
        const uint32_t left = share->n_words - s * n_columns;
        const uint32_t n_words = left < n_columns ? left : n_columns;
        if (!run->is_register_mode) {
            change_mode(run);
        }
        pim_issue_many(run, PIM_WRGB, 0, 0, PIM_PART_BROADCAST, n_words);
        for (uint32_t done = 0; done < share->n_outputs; done += n_group) {
            const uint32_t rest = share->n_outputs - done;
            buffer_group(run, done * n_segments + s, n_segments, n_words,
                         rest < n_group ? rest : n_group);
        }
    }
}

/* The row stays open while a channel takes its heads one after another. */
static void buffer_heads(struct pim_run *run, uint32_t row, uint32_t n_words, uint32_t n_heads)
{
    for (uint32_t h = 0; h < n_heads && run->status == JB_OK; h++) {
        pim_issue(run, PIM_WRMAC, 0, 0, PIM_PART_BROADCAST);
        change_mode(run);
        if (h == 0) {
            pim_issue(run, PIM_ACTA, 0, row, PIM_PART_ROW);
        }
        pim_issue_many(run, PIM_MACA, 0, row, PIM_PART_MAC, n_words);
        if (h + 1 == n_heads) {
            pim_issue(run, JB_MEM_PREA, 0, 0, PIM_PART_ROW);
        }
        change_mode(run);
        pim_issue(run, PIM_RDMAC, 0, 0, PIM_PART_READOUT);
    }
}

static void refresh_if_due(struct pim_run *run)
{
    if (run->clock.now >= run->clock.refresh_due) {
        pim_issue(run, JB_MEM_REFA, 0, 0, PIM_PART_REFRESH);
        run->refresh_end = run->clock.now + run->machine->spec.t[JB_MEM_T_RFC];
        run->clock.refresh_due += run->machine->spec.t[JB_MEM_T_REFI];
        run->clock.n_refreshes++;
    }
}

/* Keys lie position by position over the banks of a pool, all heads of a position in rows of
 * their own: each MAC run is one head. @param n_repeat query heads that share a key */
static void buffer_scores(struct pim_run *run, const struct pim_attention *a, uint32_t n_repeat)
{
    const struct pim_machine *machine = run->machine;
    const uint32_t row_values = machine->spec.n_columns * machine->n_lanes;
    const uint32_t n_rows = (a->n_kv_heads * a->head_dim + row_values - 1) / row_values;
    const uint32_t n_banks = machine->n_units * machine->n_channels;
    const uint32_t n_rounds = (a->depth + n_banks - 1) / n_banks;
    const uint32_t head_words = (a->head_dim + machine->n_lanes - 1) / machine->n_lanes;
    const uint32_t row_heads = row_values / a->head_dim > 0 ? row_values / a->head_dim : 1;
    const uint32_t n_heads = a->n_kv_heads < row_heads ? a->n_kv_heads : row_heads;
    change_mode(run);
    for (uint32_t i = 0; i < n_rows * n_rounds * n_repeat && run->status == JB_OK; i++) {
        refresh_if_due(run);
        pim_issue_many(run, PIM_WRGB, 0, 0, PIM_PART_BROADCAST, machine->spec.n_columns);
        buffer_heads(run, i / n_repeat, head_words, n_heads);
    }
}

/* Values lie dimension by dimension over the banks of the channel that has the head. */
static void buffer_sums(struct pim_run *run, const struct pim_attention *a, uint32_t n_repeat)
{
    const struct pim_machine *machine = run->machine;
    const uint32_t n_columns = machine->spec.n_columns;
    const uint32_t n_words = (a->depth + machine->n_lanes - 1) / machine->n_lanes;
    const uint32_t n_segments = (n_words + n_columns - 1) / n_columns;
    const uint32_t n_heads = (a->n_kv_heads + machine->n_channels - 1) / machine->n_channels;
    const uint32_t n_dims = (a->head_dim + machine->n_units - 1) / machine->n_units;
    for (uint32_t h = 0; h < n_heads * n_repeat && run->status == JB_OK; h++) {
        for (uint32_t s = 0; s < n_segments && run->status == JB_OK; s++) {
            const uint32_t left = n_words - s * n_columns;
            const uint32_t n = left < n_columns ? left : n_columns;
            refresh_if_due(run);
            pim_issue_many(run, PIM_WRGB, 0, 0, PIM_PART_BROADCAST, n);
            for (uint32_t d = 0; d < n_dims; d++) {
                buffer_heads(run, (h / n_repeat * n_dims + d) * n_segments + s, n, 1);
            }
        }
    }
}

void pim_buffer_attend(struct pim_run *run, const struct pim_attention *attention)
{
    const uint32_t n_repeat = attention->n_heads / attention->n_kv_heads;
    buffer_scores(run, attention, n_repeat);
    buffer_sums(run, attention, n_repeat);
}

/* ---- register file ---- */

/* Rows that stand for registers and mode changes lie above all data. */
static uint32_t register_row(const struct pim_run *run)
{
    return run->machine->spec.n_rows - 1;
}

/* Banks in turn from group to group, so that neighbours share none. */
static uint32_t bank_in_turn(const struct pim_run *run, uint32_t i)
{
    const struct jb_mem_spec *spec = &run->machine->spec;
    return i % spec->n_groups * spec->n_banks + i / spec->n_groups;
}

static void park(struct pim_run *run)
{
    const uint32_t n_banks = 2 * run->machine->n_units, row = register_row(run) - 1;
    for (uint32_t i = 0; i < n_banks; i++) {
        pim_issue(run, JB_MEM_ACT, bank_in_turn(run, i), row, PIM_PART_MODE);
    }
    for (uint32_t i = 0; i < n_banks; i++) {
        pim_issue(run, JB_MEM_RD, bank_in_turn(run, i), row, PIM_PART_MODE);
    }
    pim_issue(run, JB_MEM_PREA, 0, 0, PIM_PART_MODE);
}

static void mode_writes(struct pim_run *run, const uint32_t *banks, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        pim_issue(run, JB_MEM_ACT, banks[i], register_row(run), PIM_PART_MODE);
    }
    for (uint32_t i = 0; i < n; i++) {
        pim_issue(run, JB_MEM_WR, banks[i], register_row(run), PIM_PART_MODE);
    }
    pim_issue(run, JB_MEM_PREA, 0, 0, PIM_PART_MODE);
}

static void toggle_pim_mode(struct pim_run *run)
{
    pim_issue(run, PIM_PACT_E, 0, register_row(run), PIM_PART_MODE);
    pim_issue(run, PIM_REGW_E, 0, register_row(run), PIM_PART_MODE);
    pim_issue(run, PIM_PPRE_E, 0, 0, PIM_PART_MODE);
}

/* One input tile: operands into GRF_A, then its rows. Rows are counted from the tile's first. */
static void add_tile(struct pim_run *run, bool is_odd)
{
    const struct pim_machine *machine = run->machine;
    const uint32_t n_columns = machine->spec.n_columns;
    const uint32_t n_macs = machine->n_grf * machine->n_grf;
    const uint32_t activate = is_odd ? PIM_PACT_O : PIM_PACT_E;
    const uint32_t precharge = is_odd ? PIM_PPRE_O : PIM_PPRE_E;
    pim_period_begin(run);
    pim_period_add(run, PIM_PACT_O, 0, PIM_PART_ROW, 1);
    pim_period_add(run, PIM_REGW_O, 0, PIM_PART_BROADCAST, machine->n_grf);
    if (is_odd) {
        pim_period_add(run, PIM_PPRE_O, 0, PIM_PART_ROW, 1);
    }
    for (uint32_t done = 0; done < n_macs; done += n_columns) {
        const uint32_t n = n_macs - done < n_columns ? n_macs - done : n_columns;
        pim_period_add(run, activate, 0, PIM_PART_ROW, 1);
        pim_period_add(run, is_odd ? PIM_MAC_O : PIM_MAC_E, 0, PIM_PART_MAC, n);
        pim_period_add(run, precharge, 0, PIM_PART_ROW, 1);
        if (!is_odd && done == 0) {
            pim_period_add(run, PIM_PPRE_O, 0, PIM_PART_ROW, 1);
        }
    }
}

static void output_tile(struct pim_run *run, uint32_t n_tiles)
{
    toggle_pim_mode(run);
    add_tile(run, false);
    pim_period_run(run, 0, 0, (n_tiles + 1) / 2);
    add_tile(run, true);
    pim_period_run(run, 0, 0, n_tiles / 2);
    pim_issue(run, PIM_PACT_O, 0, 0, PIM_PART_READOUT);
    for (uint32_t i = 0; i < run->machine->n_grf; i++) {
        pim_issue(run, PIM_GRFST, 0, 0, PIM_PART_READOUT);
    }
    pim_issue(run, PIM_PPRE_O, 0, 0, PIM_PART_READOUT);
    toggle_pim_mode(run);
}

static void read_results(struct pim_run *run, uint32_t n_output_tiles)
{
    const struct pim_machine *machine = run->machine;
    const uint32_t n_columns = machine->spec.n_columns;
    const uint32_t n_all = n_output_tiles * machine->n_grf;
    for (uint32_t done = 0; done < n_all && run->status == JB_OK; done += n_columns) {
        const uint32_t n = n_all - done < n_columns ? n_all - done : n_columns;
        const uint32_t row = done / n_columns;
        for (uint32_t u = 0; u < machine->n_units; u++) {
            pim_issue(run, JB_MEM_ACT, 2 * u + 1, row, PIM_PART_READOUT);
        }
        for (uint32_t i = 0; i < n * machine->n_units; i++) {
            pim_issue(run, JB_MEM_RD, 2 * (i % machine->n_units) + 1, row, PIM_PART_READOUT);
        }
        run->last_result = run->clock.now;
        pim_issue(run, JB_MEM_PREA, 0, 0, PIM_PART_READOUT);
    }
}

void pim_file_gemv(struct pim_run *run, const struct pim_share *share)
{
    const struct pim_machine *machine = run->machine;
    const uint32_t n_banks = machine->spec.n_banks;
    const uint32_t enter[4] = {0, 1, 2 * n_banks, 2 * n_banks + 1};
    const uint32_t n_tiles = (share->n_words + machine->n_grf - 1) / machine->n_grf;
    park(run);
    mode_writes(run, enter, 4);
    pim_issue(run, PIM_PACT_O, 0, register_row(run), PIM_PART_MODE);
    pim_issue(run, PIM_REGW_O, 0, register_row(run), PIM_PART_MODE);
    pim_issue(run, PIM_PPRE_O, 0, 0, PIM_PART_MODE);
    for (uint32_t j = 0; j < share->n_outputs && run->status == JB_OK; j++) {
        output_tile(run, n_tiles);
    }
    mode_writes(run, enter, 2);
    park(run);
    read_results(run, share->n_outputs);
}
