/* SPDX-License-Identifier: MIT */
/* Rules are compiled into one list of pushes a command: "this later command, on my node of that
 * level, not before now + latency". Asking is then a maximum over the levels, whatever the number
 * of rules. Rules over a window (tFAW) keep the last few issue times of each node. */
#include "backends/simcore/mem_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

uint32_t jb_mem_n_banks(const struct jb_mem_spec *spec)
{
    return spec->n_pseudo * spec->n_ranks * spec->n_groups * spec->n_banks;
}

uint64_t jb_mem_bytes(const struct jb_mem_spec *spec)
{
    return (uint64_t)jb_mem_n_banks(spec) * spec->n_rows * spec->n_columns * spec->burst_bytes;
}

uint64_t jb_mem_rule_cycles(const struct jb_mem_spec *spec, const struct jb_mem_rule *rule)
{
    int64_t sum = 0;
    for (int i = 0; i < 4; i++) {
        const int term = (int)rule->terms[i]; /* NOLINT(bugprone-signed-char-misuse,cert-str34-c):
                                                 signed on purpose */
        sum += term < 0 ? -(int64_t)spec->t[-term] : term > 0 ? (int64_t)spec->t[term] : 0;
    }
    return sum > 0 ? (uint64_t)sum : 0;
}

/* ---- building ---- */

/* Calls fn for the standard rules, those of the command bus and the device's own. */
static void each_rule(const struct jb_mem_spec *spec,
                      void (*fn)(void *ctx, const struct jb_mem_rule *rule, uint64_t cycles),
                      void *ctx)
{
    uint32_t n[3] = {0, 0, spec->n_extra_rules};
    const struct jb_mem_rule *const tables[3] = {jb_mem_standard_rules(&n[0]),
                                                 jb_mem_bus_rules(spec->has_split_bus, &n[1]),
                                                 spec->extra_rules};
    for (int i = 0; i < 3; i++) {
        for (uint32_t k = 0; k < n[i]; k++) {
            const uint64_t cycles = jb_mem_rule_cycles(spec, &tables[i][k]);
            if (cycles > 0) {
                fn(ctx, &tables[i][k], cycles);
            }
        }
    }
}

struct build {
    struct jb_mem *mem;
    uint32_t command; /* the one whose pushes are being written */
    uint32_t n_pushes, n_windows;
    bool is_counting;
};

static void add_pushes(void *ctx, const struct jb_mem_rule *rule, uint64_t cycles)
{
    struct build *build = ctx;
    if (rule->window > 1 || (rule->preceding & JB_MEM_BIT(build->command)) == 0) {
        return;
    }
    for (uint32_t c = 0; c < build->mem->n_commands; c++) {
        if ((rule->following & JB_MEM_BIT(c)) == 0) {
            continue;
        }
        if (!build->is_counting) {
            build->mem->pushes[build->n_pushes] =
                (struct jb_mem_push){.level = rule->level,
                                     .following = c,
                                     .latency = cycles,
                                     .is_sibling = rule->is_sibling};
        }
        build->n_pushes++;
    }
}

static void add_window(void *ctx, const struct jb_mem_rule *rule, uint64_t cycles)
{
    struct build *build = ctx;
    if (rule->window <= 1) {
        return;
    }
    if (!build->is_counting) {
        build->mem->windows[build->n_windows] = (struct jb_mem_window){.preceding = rule->preceding,
                                                                       .following = rule->following,
                                                                       .latency = cycles,
                                                                       .level = rule->level,
                                                                       .size = rule->window};
    }
    build->n_windows++;
}

static void build_rules(const struct jb_mem_spec *spec, struct build *build)
{
    build->n_pushes = 0;
    build->n_windows = 0;
    for (build->command = 0; build->command < build->mem->n_commands; build->command++) {
        build->mem->first_push[build->command] = build->n_pushes;
        each_rule(spec, add_pushes, build);
    }
    build->mem->first_push[build->mem->n_commands] = build->n_pushes;
    each_rule(spec, add_window, build);
}

static void build_tree(const struct jb_mem_spec *spec, struct jb_mem *mem)
{
    const uint32_t counts[JB_MEM_N_LEVELS] = {1, spec->n_pseudo, spec->n_ranks, spec->n_groups,
                                              spec->n_banks};
    const uint32_t n_banks = jb_mem_n_banks(spec);
    uint32_t n = 1, first = 0;
    for (uint32_t level = 0; level < JB_MEM_N_LEVELS; level++) {
        n *= counts[level];
        mem->n_nodes[level] = n;
        mem->banks_per_node[level] = n_banks / n;
        mem->first_node[level] = first;
        first += n;
    }
}

static uint32_t n_all_nodes(const struct jb_mem *mem)
{
    return mem->first_node[JB_MEM_BANK] + mem->n_nodes[JB_MEM_BANK];
}

/* Takes what the tree and the counted rules need. */
static bool allocate(struct jb_mem *mem, const struct build *build)
{
    const size_t n_banks = mem->n_nodes[JB_MEM_BANK], n_ranks = mem->n_nodes[JB_MEM_RANK];
    mem->pushes = calloc(build->n_pushes + 1, sizeof *mem->pushes);
    mem->windows = calloc(build->n_windows + 1, sizeof *mem->windows);
    mem->ready = calloc((size_t)n_all_nodes(mem) * mem->n_commands, sizeof *mem->ready);
    mem->ready_of = calloc(n_banks * JB_MEM_N_LEVELS, sizeof *mem->ready_of);
    mem->open_row = calloc(n_banks, sizeof *mem->open_row);
    mem->n_open = calloc(n_ranks, sizeof *mem->n_open);
    mem->rank_changed = calloc(n_ranks, sizeof *mem->rank_changed);
    return mem->pushes != NULL && mem->windows != NULL && mem->ready != NULL &&
           mem->ready_of != NULL && mem->open_row != NULL && mem->n_open != NULL &&
           mem->rank_changed != NULL;
}

static bool allocate_windows(struct jb_mem *mem, uint32_t n)
{
    for (; mem->n_windows < n; mem->n_windows++) {
        struct jb_mem_window *window = &mem->windows[mem->n_windows];
        window->times =
            calloc((size_t)mem->n_nodes[window->level] * (window->size + 1), sizeof(uint64_t));
        if (window->times == NULL) {
            return false;
        }
    }
    return true;
}

void jb_mem_free(struct jb_mem *mem)
{
    if (mem == NULL) {
        return;
    }
    for (uint32_t i = 0; i < mem->n_windows; i++) {
        free(mem->windows[i].times);
    }
    free(mem->windows);
    free(mem->pushes);
    free(mem->ready);
    free(mem->ready_of);
    free(mem->open_row);
    free(mem->n_open);
    free(mem->rank_changed);
    free(mem->stream_states);
    free(mem->stream_rows);
    free(mem);
}

enum jb_status jb_mem_create(const struct jb_mem_spec *spec, struct jb_mem **ret_mem)
{
    const enum jb_status status = jb_mem_spec_check(spec);
    if (status != JB_OK) {
        return status;
    }
    struct jb_mem *mem = calloc(1, sizeof *mem);
    if (mem == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the timing of a memory channel");
    }
    mem->n_commands = JB_MEM_N_STANDARD + spec->n_extra_commands;
    memcpy(mem->commands, jb_mem_standard_commands, sizeof jb_mem_standard_commands);
    for (uint32_t i = 0; i < spec->n_extra_commands; i++) {
        mem->commands[JB_MEM_N_STANDARD + i] = spec->extra_commands[i];
    }
    build_tree(spec, mem);
    struct build build = {.mem = mem, .is_counting = true};
    build_rules(spec, &build);
    bool is_built = allocate(mem, &build);
    if (is_built) {
        build.is_counting = false;
        build_rules(spec, &build);
        is_built = allocate_windows(mem, build.n_windows);
    }
    if (!is_built) {
        jb_mem_free(mem);
        return jb_fail(JB_E_NOMEM, "no memory for the timing of a channel of %u banks",
                       jb_mem_n_banks(spec));
    }
    for (uint32_t bank = 0; bank < mem->n_nodes[JB_MEM_BANK]; bank++) {
        for (uint32_t level = 0; level < JB_MEM_N_LEVELS; level++) {
            mem->ready_of[bank * JB_MEM_N_LEVELS + level] =
                (mem->first_node[level] + bank / mem->banks_per_node[level]) * mem->n_commands;
        }
    }
    jb_mem_reset(mem);
    *ret_mem = mem;
    return JB_OK;
}

void jb_mem_reset(struct jb_mem *mem)
{
    const size_t n_banks = mem->n_nodes[JB_MEM_BANK], n_ranks = mem->n_nodes[JB_MEM_RANK];
    memset(mem->ready, 0, (size_t)n_all_nodes(mem) * mem->n_commands * sizeof *mem->ready);
    memset(mem->n_open, 0, n_ranks * sizeof *mem->n_open);
    memset(mem->rank_changed, 0, n_ranks * sizeof *mem->rank_changed);
    memset(mem->counts, 0, sizeof mem->counts);
    for (size_t bank = 0; bank < n_banks; bank++) {
        mem->open_row[bank] = JB_MEM_CLOSED;
    }
    for (uint32_t i = 0; i < mem->n_windows; i++) {
        const struct jb_mem_window *window = &mem->windows[i];
        memset(window->times, 0,
               (size_t)mem->n_nodes[window->level] * (window->size + 1) * sizeof(uint64_t));
    }
    mem->residency = (struct jb_mem_residency){.idle_cycles = 0};
    mem->last_issue = 0;
}

void jb_mem_set_sink(struct jb_mem *mem, jb_mem_sink *sink, void *ctx)
{
    mem->sink = sink;
    mem->sink_ctx = ctx;
}

/* ---- asking ---- */

uint64_t jb_mem_earliest(const struct jb_mem *mem, uint32_t command, struct jb_mem_target target)
{
    const uint32_t *ready_of = &mem->ready_of[(size_t)target.bank * JB_MEM_N_LEVELS];
    uint64_t earliest = 0;
    for (uint32_t level = 0; level <= mem->commands[command].scope; level++) {
        const uint64_t ready = mem->ready[ready_of[level] + command];
        earliest = ready > earliest ? ready : earliest;
    }
    return earliest;
}

static bool bank_is_fit(const struct jb_mem *mem, unsigned effects, uint32_t bank, uint32_t row)
{
    const uint32_t open = mem->open_row[bank];
    if ((effects & JB_MEM_NEEDS_CLOSED) != 0) {
        return open == JB_MEM_CLOSED;
    }
    if ((effects & JB_MEM_NEEDS_ROW) != 0) {
        return open == row;
    }
    return (effects & JB_MEM_NEEDS_OPEN) == 0 || open != JB_MEM_CLOSED;
}

/* First bank of the command's scope around a bank. */
static uint32_t first_bank(const struct jb_mem *mem, uint32_t command, uint32_t bank)
{
    return bank - bank % mem->banks_per_node[mem->commands[command].scope];
}

static bool reaches(const struct jb_mem_command *command, uint32_t i)
{
    return command->banks == 0 || (i < 64 && (command->banks >> i & 1) != 0);
}

bool jb_mem_can(const struct jb_mem *mem, uint32_t command, struct jb_mem_target target)
{
    const struct jb_mem_command *what = &mem->commands[command];
    if (what->scope == JB_MEM_BANK) {
        return bank_is_fit(mem, what->effects, target.bank, target.row);
    }
    const uint32_t first = first_bank(mem, command, target.bank);
    for (uint32_t i = 0; i < mem->banks_per_node[what->scope]; i++) {
        if (reaches(what, i) && !bank_is_fit(mem, what->effects, first + i, target.row)) {
            return false;
        }
    }
    return true;
}

uint32_t jb_mem_next(const struct jb_mem *mem, uint32_t command, struct jb_mem_target target)
{
    const unsigned effects = mem->commands[command].effects;
    if (bank_is_fit(mem, effects, target.bank, target.row)) {
        return command;
    }
    return mem->open_row[target.bank] == JB_MEM_CLOSED ? JB_MEM_ACT : JB_MEM_PRE;
}

/* ---- doing ---- */

/* Adds the time since the last change of a rank to the state it was in. */
static void settle(const struct jb_mem *mem, uint32_t rank, uint64_t cycle,
                   struct jb_mem_residency *residency)
{
    const uint64_t cycles = cycle - mem->rank_changed[rank];
    if (mem->n_open[rank] == 0) {
        residency->idle_cycles += cycles;
    } else {
        residency->active_cycles += cycles;
        residency->open_cycles += cycles * mem->n_open[rank];
    }
}

static void set_row(struct jb_mem *mem, uint32_t bank, uint32_t row, uint64_t cycle)
{
    const bool was_open = mem->open_row[bank] != JB_MEM_CLOSED, is_open = row != JB_MEM_CLOSED;
    mem->open_row[bank] = row;
    if (was_open != is_open) {
        const uint32_t rank = bank / mem->banks_per_node[JB_MEM_RANK];
        settle(mem, rank, cycle, &mem->residency);
        mem->rank_changed[rank] = cycle;
        mem->n_open[rank] += is_open ? 1u : UINT32_MAX;
    }
}

static void apply_effects(struct jb_mem *mem, uint32_t command, struct jb_mem_target target,
                          uint64_t cycle)
{
    const struct jb_mem_command *what = &mem->commands[command];
    if ((what->effects & (JB_MEM_OPENS | JB_MEM_CLOSES)) == 0) {
        return;
    }
    const uint32_t row = (what->effects & JB_MEM_OPENS) != 0 ? target.row : JB_MEM_CLOSED;
    const uint32_t first = first_bank(mem, command, target.bank);
    for (uint32_t i = 0; i < mem->banks_per_node[what->scope]; i++) {
        if (reaches(what, i)) {
            set_row(mem, first + i, row, cycle);
        }
    }
}

static void raise(struct jb_mem *mem, uint32_t at, uint64_t cycle)
{
    if (mem->ready[at] < cycle) {
        mem->ready[at] = cycle;
    }
}

static void push_siblings(struct jb_mem *mem, const struct jb_mem_push *push, uint32_t bank,
                          uint64_t cycle)
{
    const uint32_t node = bank / mem->banks_per_node[push->level];
    const uint32_t n = push->level > 0
                           ? mem->banks_per_node[push->level - 1] / mem->banks_per_node[push->level]
                           : 1;
    const uint32_t first = node - node % n;
    for (uint32_t other = first; other < first + n; other++) {
        if (other != node) {
            raise(mem, (mem->first_node[push->level] + other) * mem->n_commands + push->following,
                  cycle);
        }
    }
}

static void push_windows(struct jb_mem *mem, uint32_t command, uint32_t bank, uint64_t cycle)
{
    for (uint32_t i = 0; i < mem->n_windows; i++) {
        const struct jb_mem_window *window = &mem->windows[i];
        if ((window->preceding & JB_MEM_BIT(command)) == 0) {
            continue;
        }
        const uint32_t node = bank / mem->banks_per_node[window->level];
        uint64_t *times = &window->times[(size_t)node * (window->size + 1)];
        uint64_t *count = &times[window->size];
        times[*count % window->size] = cycle;
        (*count)++;
        if (*count < window->size) {
            continue;
        }
        const uint64_t oldest = times[*count % window->size];
        const uint32_t base = mem->ready_of[bank * JB_MEM_N_LEVELS + window->level];
        for (uint32_t c = 0; c < mem->n_commands; c++) {
            if ((window->following & JB_MEM_BIT(c)) != 0) {
                raise(mem, base + c, oldest + window->latency);
            }
        }
    }
}

void jb_mem_issue(struct jb_mem *mem, uint32_t command, struct jb_mem_target target, uint64_t cycle)
{
    assert(command < mem->n_commands && target.bank < mem->n_nodes[JB_MEM_BANK]);
    assert(cycle >= jb_mem_earliest(mem, command, target) && cycle >= mem->last_issue);
    assert(jb_mem_can(mem, command, target));
    const uint32_t *ready_of = &mem->ready_of[(size_t)target.bank * JB_MEM_N_LEVELS];
    const struct jb_mem_push *push = &mem->pushes[mem->first_push[command]];
    const struct jb_mem_push *end = &mem->pushes[mem->first_push[command + 1]];
    for (; push < end; push++) {
        if (push->is_sibling) {
            push_siblings(mem, push, target.bank, cycle + push->latency);
        } else {
            raise(mem, ready_of[push->level] + push->following, cycle + push->latency);
        }
    }
    push_windows(mem, command, target.bank, cycle);
    apply_effects(mem, command, target, cycle);
    mem->counts[command]++;
    mem->last_issue = cycle;
    if (mem->sink != NULL) {
        const struct jb_mem_event event = {.cycle = cycle, .command = command, .target = target};
        mem->sink(mem->sink_ctx, &event);
    }
}

/* ---- reading out ---- */

uint32_t jb_mem_open_row(const struct jb_mem *mem, uint32_t bank)
{
    return mem->open_row[bank];
}

uint32_t jb_mem_n_open(const struct jb_mem *mem, uint32_t bank)
{
    return mem->n_open[bank / mem->banks_per_node[JB_MEM_RANK]];
}

uint64_t jb_mem_count(const struct jb_mem *mem, uint32_t command)
{
    return command < mem->n_commands ? mem->counts[command] : 0;
}

struct jb_mem_residency jb_mem_residency(const struct jb_mem *mem, uint64_t cycle)
{
    struct jb_mem_residency residency = mem->residency;
    for (uint32_t rank = 0; rank < mem->n_nodes[JB_MEM_RANK]; rank++) {
        settle(mem, rank, cycle, &residency);
    }
    return residency;
}
