/* SPDX-License-Identifier: MIT */
#include "backends/fpga_sim/schedule.h"

#include <math.h>

static uint64_t parts(uint64_t n, uint64_t part)
{
    return (n + part - 1) / part;
}

void jb_fpga_schedule_begin(struct jb_fpga_schedule *schedule, const struct jb_fpga_board *board,
                            const struct jb_plan *plan)
{
    *schedule = (struct jb_fpga_schedule){.board = board, .plan = plan};
}

static void use(struct jb_fpga_played *played, enum jb_fpga_resource resource, double from,
                double to)
{
    double *at = played->at[resource];
    at[0] = at[1] > 0 && at[0] < from ? at[0] : from;
    at[1] = to > at[1] ? to : at[1];
}

/* A product on one core: its weights are (n, k) of `bits` each and arrive at `rate` bytes/s. All
 * cores do the like. K beyond a bank is taken in parts, whose sums stay. */
static void play_product(struct jb_fpga_schedule *s, uint64_t m, uint64_t n, uint64_t k,
                         double bits, double rate, struct jb_fpga_played *played)
{
    const struct jb_fpga_board *board = s->board;
    const struct jb_engine *engine = &board->engine;
    const uint64_t most = (uint64_t)engine->lanes * engine->depth;
    const uint64_t rows = parts(m, board->tokens_at_once);
    const double beat_bytes = (double)engine->rows * engine->lanes * bits / 8;
    const double beat_cycles =
        board->is_ideal ? 1 : fmax(1, beat_bytes / (rate / board->n_cores) * board->clock_hz);
    const double start = s->now;
    for (uint64_t first = 0; first < k; first += most) {
        const uint64_t part = k - first < most ? k - first : most;
        const double lead = floor(fmax(0, s->now - s->engine_free));
        const struct jb_engine_cycles cycles =
            jb_engine_count(engine, rows, n, part, beat_cycles, (uint64_t)lead);
        played->part[JB_FPGA_PART_WORK] += (double)cycles.busy;
        played->part[JB_FPGA_PART_MEMORY] += (double)cycles.waits;
        played->part[JB_FPGA_PART_TAIL] += (double)cycles.tail;
        played->padded_macs += cycles.busy / engine->interval * engine->rows * engine->lanes *
                               board->tokens_at_once * board->n_cores;
        const uint64_t n_beats = cycles.busy / engine->interval;
        played->sram_bits += (double)n_beats * board->n_cores * engine->lanes *
                             (8.0 * board->tokens_at_once + engine->rows * engine->weight_bits);
        s->engine_free = s->now + (double)(cycles.total - cycles.tail);
        s->now += (double)cycles.total;
    }
    use(played, JB_FPGA_AT_ENGINE, start, s->now);
    use(played, JB_FPGA_AT_MEMORY, start, s->now);
}

static void play_matmul(struct jb_fpga_schedule *s, const struct jb_op *op,
                        const struct jb_step *step, const struct jb_cost *cost,
                        struct jb_fpga_played *played)
{
    const struct jb_tensor *weight = &s->plan->tensors[op->weight];
    const struct jb_fpga_board *board = s->board;
    const uint64_t rows = s->plan->slots[op->src0].rows == JB_ROWS_TOKENS ? jb_step_tokens(step)
                                                                          : jb_step_outputs(step);
    if (rows == 0) {
        return;
    }
    const double n_weights = (double)weight->rows * weight->cols;
    const bool is_stored = !jb_is_missing(board->stored_bits);
    const double bytes = is_stored
                             ? n_weights * board->stored_bits / 8 +
                                   ((double)cost->weight_bytes - (double)weight->n_bytes) /* bias */
                             : (double)cost->weight_bytes;
    const uint64_t k = (uint64_t)fmax(1, ceil((double)weight->cols * board->density));
    const double bits = 8 * bytes / ((double)weight->rows * (double)k);
    played->read_bytes += bytes;
    played->sram_bits += 8 * bytes;
    /* Activations that do not fit the chip at once come in parts, each with all weights again. */
    const uint64_t beats = parts(k, board->engine.lanes);
    const uint64_t room = board->engine.x_depth / beats > 0 ? board->engine.x_depth / beats : 1;
    const uint64_t at_once = room * board->tokens_at_once;
    for (uint64_t first = 0; first < rows; first += at_once) {
        const uint64_t m = rows - first < at_once ? rows - first : at_once;
        play_product(s, m, parts(weight->rows, board->n_cores), k, bits, board->weight_rate,
                     played);
        played->read_bytes += first > 0 ? bytes : 0;
        played->sram_bits += first > 0 ? 8 * bytes : 0;
    }
}

/* Passes of a vector op over its values. */
static double passes(enum jb_op_kind kind)
{
    switch (kind) {
    case JB_OP_RMSNORM:
    case JB_OP_LAYERNORM:
        return 2; /* statistics, then values */
    case JB_OP_ATTENTION:
        return 3; /* softmax: largest, exponentials and sum, quotients */
    case JB_OP_SELECT:
    case JB_OP_EMBED:
        return 0;
    default:
        return 1;
    }
}

/* `values` are those of one core. */
static void play_values(struct jb_fpga_schedule *s, enum jb_op_kind kind, double values,
                        struct jb_fpga_played *played)
{
    const struct jb_fpga_board *board = s->board;
    const double work = board->is_spatial ? 0 : passes(kind) * ceil(values / board->vector_lanes);
    const double cycles = passes(kind) > 0 ? (double)board->vector_startup + work : 0;
    use(played, JB_FPGA_AT_VECTOR, s->now, s->now + cycles);
    played->part[JB_FPGA_PART_VECTOR] += cycles;
    played->vector_values += passes(kind) * values * board->n_cores;
    s->now += cycles;
}

static void play_attention(struct jb_fpga_schedule *s, const struct jb_step *step,
                           const struct jb_cost *cost, struct jb_fpga_played *played)
{
    const struct jb_plan *plan = s->plan;
    const struct jb_fpga_board *board = s->board;
    const uint64_t heads = parts(plan->n_kv_heads, board->n_cores);
    const uint64_t sharing = plan->n_heads / plan->n_kv_heads;
    const double bits =
        8.0 * (double)jb_format_row_bytes(plan->kv_dtype, plan->head_dim) / plan->head_dim;
    for (uint32_t i = 0; i < step->n_seqs; i++) {
        const struct jb_seq *seq = &step->seqs[i];
        const uint64_t positions = (uint64_t)seq->pos + seq->n_tokens;
        const uint64_t m = seq->n_tokens * sharing;
        for (uint64_t head = 0; head < heads; head++) {
            play_product(s, m, positions, plan->head_dim, bits, board->kv_rate, played);
            play_values(s, JB_OP_ATTENTION, (double)(m * positions), played);
            play_product(s, m, plan->head_dim, positions, bits, board->kv_rate, played);
        }
    }
    played->read_bytes += (double)cost->kv_read_bytes;
    played->write_bytes += (double)cost->kv_write_bytes;
    played->sram_bits += 8 * (double)cost->kv_read_bytes;
    if (!board->is_ideal) { /* new keys and values leave before the next op's weights come */
        s->engine_free = s->now + (double)cost->kv_write_bytes / board->kv_rate * board->clock_hz;
        use(played, JB_FPGA_AT_MEMORY, s->now, s->engine_free);
    }
}

/* Rows of tables and the weights of norms, by the memory's rate; nobody overlaps with them. */
static void play_fetch(struct jb_fpga_schedule *s, double bytes, struct jb_fpga_played *played)
{
    const struct jb_fpga_board *board = s->board;
    played->read_bytes += bytes;
    if (bytes > 0 && !board->is_ideal) {
        const double cycles =
            (board->memory.latency_s + bytes / board->weight_rate) * board->clock_hz;
        use(played, JB_FPGA_AT_MEMORY, s->now, s->now + cycles);
        played->part[JB_FPGA_PART_MEMORY] += cycles;
        s->now += cycles;
    }
}

void jb_fpga_schedule_op(struct jb_fpga_schedule *schedule, const struct jb_op *op,
                         const struct jb_step *step, struct jb_fpga_played *ret_played)
{
    struct jb_fpga_schedule *s = schedule;
    struct jb_cost cost;
    struct jb_fpga_played played = {.start = s->now, .ahead = fmax(0, s->now - s->engine_free)};
    jb_op_cost(s->plan, op, step, &cost);
    played.macs = cost.macs;
    const double latency = s->board->op_latency_s * s->board->clock_hz;
    played.part[JB_FPGA_PART_CONTROL] = latency;
    s->now += latency;
    if (op->kind == JB_OP_MATMUL) {
        play_matmul(s, op, step, &cost, &played);
    } else if (op->kind == JB_OP_ATTENTION) {
        play_attention(s, step, &cost, &played);
    } else {
        const double values =
            (double)(cost.act_write_bytes > 0 ? cost.act_write_bytes : cost.act_read_bytes) /
            sizeof(float);
        play_fetch(s, (double)cost.weight_bytes, &played);
        play_values(s, op->kind, ceil(values / s->board->n_cores), &played);
    }
    played.end = s->now;
    *ret_played = played;
}
