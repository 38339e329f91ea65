/* SPDX-License-Identifier: MIT */
#include "backends/simcore/mem_controller.h"

#include <stdlib.h>
#include <string.h>

#define MAX_QUEUE 64u

/* Commands of one kind to one bank wait for the same cycle: a scan asks once. */
enum { KIND_ROW, KIND_READ, KIND_WRITE, N_KINDS };

struct request {
    struct jb_mem_target target;
    bool is_write;
    uint64_t id, since;
};

/* Refresh of one rank: the next one is due, and from then on its banks take nothing else. */
struct refresh {
    uint64_t due;
    uint32_t bank; /* the bank whose turn it is, within the rank */
};

struct jb_mem_controller {
    struct jb_mem_spec spec;
    struct jb_mem_controller_options options;
    struct jb_mem_mapping mapping;
    struct jb_mem *mem;
    jb_mem_done *done;
    void *ctx;
    struct request queue[MAX_QUEUE]; /* (n,) oldest first */
    uint32_t n;
    uint32_t banks_per_rank, n_ranks;
    uint32_t *n_hits; /* (banks,) queued requests for the open row */
    uint64_t *seen;   /* (banks, N_KINDS) the scan that last looked at such a command of the bank */
    uint64_t scan;
    struct refresh *refresh; /* (n_ranks,) */
    uint64_t period;         /* between refreshes of a rank, whatever kind */
    uint64_t wake;           /* nothing can happen before */
};

static void start_refresh(struct jb_mem_controller *c)
{
    const uint32_t refi = c->spec.t[JB_MEM_T_REFI];
    const bool is_per_bank = c->options.refresh == JB_MEM_REFRESH_PER_BANK;
    c->period = is_per_bank ? refi / c->banks_per_rank : refi;
    for (uint32_t rank = 0; rank < c->n_ranks; rank++) {
        /* Ranks of a data bus take turns, so that one works while another rests; pseudo-channels,
         * over which streams are spread, rest together. */
        /* Allocated and checked when opened; the analyser loses sight of that.
         * NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
        c->refresh[rank].due =
            c->options.refresh == JB_MEM_REFRESH_OFF
                ? UINT64_MAX
                : c->period + c->period * (rank % c->spec.n_ranks) / c->spec.n_ranks;
    }
}

static enum jb_status check_options(const struct jb_mem_spec *spec,
                                    const struct jb_mem_controller_options *options)
{
    if (options->n_queue > MAX_QUEUE) {
        return jb_fail(JB_E_INVAL, "a queue of %u requests is beyond %u", options->n_queue,
                       MAX_QUEUE);
    }
    if (options->refresh != JB_MEM_REFRESH_OFF && spec->t[JB_MEM_T_REFI] == 0) {
        return jb_fail(JB_E_INVAL, "refresh needs tREFI");
    }
    if (options->refresh == JB_MEM_REFRESH_PER_BANK && spec->t[JB_MEM_T_RFC_PB] == 0) {
        return jb_fail(JB_E_INVAL, "per-bank refresh: this memory has none; use all-bank");
    }
    return JB_OK;
}

void jb_mem_controller_free(struct jb_mem_controller *c)
{
    if (c != NULL) {
        jb_mem_free(c->mem);
        free(c->n_hits);
        free(c->seen);
        free(c->refresh);
        free(c);
    }
}

enum jb_status jb_mem_controller_create(const struct jb_mem_spec *spec,
                                        const struct jb_mem_controller_options *options,
                                        jb_mem_done *done, void *ctx,
                                        struct jb_mem_controller **ret_controller)
{
    enum jb_status status = check_options(spec, options);
    struct jb_mem_controller *c = status == JB_OK ? calloc(1, sizeof *c) : NULL;
    if (c == NULL) {
        return status != JB_OK ? status : jb_fail(JB_E_NOMEM, "no memory for a memory controller");
    }
    c->spec = *spec;
    c->options = *options;
    c->options.n_queue = options->n_queue > 0 ? options->n_queue : 32;
    c->options.age_limit_cycles = options->age_limit_cycles > 0 ? options->age_limit_cycles : 2000;
    c->done = done;
    c->ctx = ctx;
    c->banks_per_rank = spec->n_groups * spec->n_banks;
    status = jb_mem_create(spec, &c->mem);
    if (status == JB_OK) {
        c->n_ranks = jb_mem_n_banks(spec) / c->banks_per_rank;
        status = jb_mem_mapping_read(options->mapping != NULL ? options->mapping
                                                              : "row-rank-bank-column-group-pseudo",
                                     spec, &c->mapping);
    }
    if (status == JB_OK) {
        c->n_hits = calloc(jb_mem_n_banks(spec), sizeof *c->n_hits);
        c->seen = calloc((size_t)jb_mem_n_banks(spec) * N_KINDS, sizeof *c->seen);
        c->refresh = calloc(c->n_ranks, sizeof *c->refresh);
        status = c->n_hits != NULL && c->seen != NULL && c->refresh != NULL
                     ? JB_OK
                     : jb_fail(JB_E_NOMEM, "no memory for a memory controller");
    }
    if (status != JB_OK) {
        jb_mem_controller_free(c);
        return status;
    }
    start_refresh(c);
    *ret_controller = c;
    return JB_OK;
}

struct jb_mem *jb_mem_controller_mem(struct jb_mem_controller *c)
{
    return c->mem;
}

uint32_t jb_mem_controller_n_waiting(const struct jb_mem_controller *c)
{
    return c->n;
}

uint64_t jb_mem_controller_next(const struct jb_mem_controller *c)
{
    return c->wake;
}

bool jb_mem_controller_push(struct jb_mem_controller *c, uint64_t burst, bool is_write, uint64_t id,
                            uint64_t cycle)
{
    if (c->n == c->options.n_queue) {
        return false;
    }
    const struct jb_mem_target target = jb_mem_mapping_find(&c->mapping, &c->spec, burst);
    c->queue[c->n++] =
        (struct request){.target = target, .is_write = is_write, .id = id, .since = cycle};
    c->n_hits[target.bank] += jb_mem_open_row(c->mem, target.bank) == target.row ? 1 : 0;
    const uint32_t wish = is_write ? JB_MEM_WR : JB_MEM_RD;
    const uint64_t earliest = jb_mem_earliest(c->mem, jb_mem_next(c->mem, wish, target), target);
    c->wake = earliest < c->wake ? earliest : c->wake;
    return true;
}

/* Rows of a rank or bank changed: counts anew which queued requests find theirs open. */
static void count_hits(struct jb_mem_controller *c, uint32_t first, uint32_t n_banks)
{
    memset(&c->n_hits[first], 0, n_banks * sizeof *c->n_hits);
    for (uint32_t i = 0; i < c->n; i++) {
        const struct jb_mem_target *target = &c->queue[i].target;
        if (target->bank - first < n_banks &&
            jb_mem_open_row(c->mem, target->bank) == target->row) {
            c->n_hits[target->bank]++;
        }
    }
}

/* ---- refresh ---- */

/* True if the command went out; otherwise the time it can is taken into `wake`. */
static bool try_issue(struct jb_mem_controller *c, uint32_t command, struct jb_mem_target target,
                      uint64_t cycle)
{
    const uint64_t earliest = jb_mem_earliest(c->mem, command, target);
    if (earliest > cycle) {
        c->wake = earliest < c->wake ? earliest : c->wake;
        return false;
    }
    jb_mem_issue(c->mem, command, target, cycle);
    return true;
}

static bool refresh_rank(struct jb_mem_controller *c, uint32_t rank, uint64_t cycle)
{
    struct refresh *refresh = &c->refresh[rank];
    if (cycle < refresh->due) {
        c->wake = refresh->due < c->wake ? refresh->due : c->wake;
        return false;
    }
    const bool is_per_bank = c->options.refresh == JB_MEM_REFRESH_PER_BANK;
    const uint32_t first = rank * c->banks_per_rank;
    const struct jb_mem_target target = {.bank = first + (is_per_bank ? refresh->bank : 0)};
    const uint32_t command = is_per_bank ? JB_MEM_REFB : JB_MEM_REFA;
    if (!jb_mem_can(c->mem, command, target)) {
        const bool is_closed = try_issue(c, is_per_bank ? JB_MEM_PRE : JB_MEM_PREA, target, cycle);
        if (is_closed) {
            count_hits(c, is_per_bank ? target.bank : first, is_per_bank ? 1 : c->banks_per_rank);
        }
        return is_closed;
    }
    if (!try_issue(c, command, target, cycle)) {
        return false;
    }
    refresh->due += c->period;
    refresh->bank = (refresh->bank + 1) % c->banks_per_rank;
    return true;
}

static bool is_held(const struct jb_mem_controller *c, uint32_t bank, uint64_t cycle)
{
    const uint32_t rank = bank / c->banks_per_rank;
    const struct refresh *refresh = &c->refresh[rank];
    return cycle >= refresh->due && (c->options.refresh != JB_MEM_REFRESH_PER_BANK ||
                                     bank == rank * c->banks_per_rank + refresh->bank);
}

/* ---- requests ---- */

static void finish(struct jb_mem_controller *c, uint32_t i, uint64_t cycle)
{
    const struct request request = c->queue[i];
    const uint32_t *t = c->spec.t;
    const uint32_t latency = t[request.is_write ? JB_MEM_T_CWL : JB_MEM_T_CL] + t[JB_MEM_T_BL];
    c->n--;
    memmove(&c->queue[i], &c->queue[i + 1], (c->n - i) * sizeof c->queue[0]);
    if (c->done != NULL) {
        c->done(c->ctx, request.id, cycle + latency);
    }
}

static uint32_t column_command(const struct jb_mem_controller *c, const struct request *request)
{
    const bool closes =
        c->options.page == JB_MEM_PAGE_CLOSED && c->n_hits[request->target.bank] <= 1;
    if (request->is_write) {
        return closes ? JB_MEM_WRA : JB_MEM_WR;
    }
    return closes ? JB_MEM_RDA : JB_MEM_RD;
}

/* What the request may ask for now; false if it has to let others go first. */
static bool wanted(const struct jb_mem_controller *c, uint32_t i, bool is_old,
                   uint32_t *ret_command)
{
    const struct request *request = &c->queue[i];
    const uint32_t bank = request->target.bank, open = jb_mem_open_row(c->mem, bank);
    const bool is_overtaking = is_old && i > 0 && bank == c->queue[0].target.bank;
    if (is_overtaking) {
        return false;
    }
    if (open == request->target.row) {
        *ret_command = column_command(c, request);
        return true;
    }
    *ret_command = open == JB_MEM_CLOSED ? JB_MEM_ACT : JB_MEM_PRE;
    return open == JB_MEM_CLOSED || c->n_hits[bank] == 0 || (is_old && i == 0);
}

/* The first ready request: a column command before a row command, then the oldest. */
static bool serve(struct jb_mem_controller *c, uint64_t cycle)
{
    const bool is_old = c->n > 0 && cycle - c->queue[0].since > c->options.age_limit_cycles;
    uint32_t row_request = UINT32_MAX, row_command = 0;
    c->scan++;
    for (uint32_t i = 0; i < c->n; i++) {
        const struct jb_mem_target target = c->queue[i].target;
        uint32_t command = 0;
        if (is_held(c, target.bank, cycle) || !wanted(c, i, is_old, &command)) {
            continue;
        }
        const bool is_row = command == JB_MEM_ACT || command == JB_MEM_PRE;
        const int kind = is_row ? KIND_ROW : c->queue[i].is_write ? KIND_WRITE : KIND_READ;
        uint64_t *seen = &c->seen[target.bank * N_KINDS + (uint32_t)kind];
        if (*seen == c->scan) {
            continue;
        }
        *seen = c->scan;
        const uint64_t earliest = jb_mem_earliest(c->mem, command, target);
        if (earliest > cycle) {
            c->wake = earliest < c->wake ? earliest : c->wake;
        } else if (!is_row) {
            jb_mem_issue(c->mem, command, target, cycle);
            c->n_hits[target.bank]--;
            finish(c, i, cycle);
            return true;
        } else if (row_request == UINT32_MAX) {
            row_request = i;
            row_command = command;
        }
    }
    if (row_request == UINT32_MAX) {
        return false;
    }
    const struct jb_mem_target target = c->queue[row_request].target;
    jb_mem_issue(c->mem, row_command, target, cycle);
    count_hits(c, target.bank, 1);
    return true;
}

uint32_t jb_mem_controller_tick(struct jb_mem_controller *c, uint64_t cycle)
{
    uint32_t n_issued = 0;
    if (cycle < c->wake) {
        return 0;
    }
    for (bool goes_on = true; goes_on;) {
        c->wake = UINT64_MAX;
        goes_on = false;
        for (uint32_t rank = 0; rank < c->n_ranks && !goes_on; rank++) {
            goes_on = refresh_rank(c, rank, cycle);
        }
        goes_on = goes_on || serve(c, cycle);
        n_issued += goes_on ? 1 : 0;
    }
    return n_issued;
}
