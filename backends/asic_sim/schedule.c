/* SPDX-License-Identifier: MIT */
#include "backends/asic_sim/schedule.h"

#include <math.h>
#include <string.h>

/* A fetch is cut so that a product has about so many, to start early and to overlap. */
enum { BLOCKS_A_PRODUCT = 64 };

static uint64_t parts(uint64_t n, uint64_t part)
{
    return (n + part - 1) / part;
}

static double operand_bytes(const struct jb_asic_chip *chip)
{
    return jb_operand_bits[chip->numerics.operand] / 8.0;
}

/* ---- fixed choices ---- */

struct jb_asic_spread jb_asic_spread(const struct jb_asic_chip *chip, uint32_t n_arrays,
                                     const struct jb_product *product)
{
    struct jb_asic_spread best = {.n_m = 0};
    double least = INFINITY;
    for (uint32_t n_m = 1; n_m <= n_arrays && n_m <= product->m; n_m *= 2) {
        struct jb_asic_spread spread = {.n_m = n_m, .part = *product};
        spread.part.m = parts(product->m, n_m);
        const uint64_t n_folds = jb_array_n_folds(&chip->array, &spread.part);
        spread.n_tiles = parts(n_folds, n_arrays / n_m);
        const struct jb_fold fold = jb_array_fold(&chip->array, &spread.part);
        const double cycles = (double)(spread.n_tiles - 1) * (double)fold.period +
                              (double)(fold.load + fold.stream + fold.skew);
        if (cycles < least) {
            least = cycles;
            best = spread;
        }
    }
    return best;
}

struct jb_asic_tiling jb_asic_tiling(const struct jb_asic_chip *chip,
                                     const struct jb_product *product, double weight_bytes)
{
    const double in = (double)(product->m * product->k) * operand_bytes(chip);
    const double out = (double)(product->m * product->n) * sizeof(float);
    struct jb_asic_tiling best = {.n_passes = 1};
    if (chip->memory.is_ideal || in + out <= chip->act_buffer) {
        return best;
    }
    /* All of A and the sums of one strip stay; results leave. */
    const double strip = (double)(product->m * chip->array.cols) * sizeof(float);
    best.spilled_bytes = in + strip <= chip->act_buffer
                             ? out
                             : out + in * (double)parts(product->n, chip->array.cols);
    for (uint64_t n = 2; n <= product->m; n *= 2) {
        /* Or M in n parts: weights come n times, and only what does not fit at once spills. */
        const bool fits = (in + out) / (double)n <= chip->act_buffer;
        const double spilled = in + out;
        const double passes = (double)(n - 1) * weight_bytes;
        if (fits &&
            passes + spilled < (double)(best.n_passes - 1) * weight_bytes + best.spilled_bytes) {
            best = (struct jb_asic_tiling){.n_passes = n, .spilled_bytes = spilled};
        }
    }
    return best;
}

static bool is_activation(enum jb_op_kind kind)
{
    return kind == JB_OP_SILU_MUL || kind == JB_OP_GELU || kind == JB_OP_RELU;
}

void jb_asic_ops(const struct jb_asic_chip *chip, const struct jb_plan *plan,
                 const struct jb_program *program, uint32_t n_stages, struct jb_asic_op *ret_ops)
{
    const bool is_spread = chip->chips_a_stage > 1;
    uint32_t stage = 0;
    for (uint32_t i = 0; i < program->n_ops; i++) {
        const struct jb_op *op = &program->ops[i];
        enum jb_op_kind maker = JB_OP_EMBED; /* of what the op reads */
        for (uint32_t j = 0; j < i; j++) {
            maker = program->ops[j].dst == op->src0 ? program->ops[j].kind : maker;
        }
        const bool reads_share = maker == JB_OP_ATTENTION || is_activation(maker);
        const uint32_t its_stage =
            op->layer >= 0 && plan->n_layers > 0
                ? (uint32_t)((uint64_t)(uint32_t)op->layer * n_stages / plan->n_layers)
                : stage;
        ret_ops[i] = (struct jb_asic_op){
            .is_split_by_input = is_spread && op->kind == JB_OP_MATMUL && reads_share,
            .is_shared = is_spread && (op->kind == JB_OP_MATMUL || op->kind == JB_OP_ATTENTION ||
                                       op->kind == JB_OP_ROPE || is_activation(op->kind)),
            .is_gathered = is_spread && op->kind == JB_OP_MATMUL &&
                           plan->slots[op->dst].rows == JB_ROWS_OUTPUTS,
            .hops = its_stage > stage};
        stage = its_stage > stage ? its_stage : stage;
    }
}

/* ---- playing ---- */

void jb_asic_schedule_begin(struct jb_asic_schedule *schedule, const struct jb_asic_chip *chip,
                            const struct jb_plan *plan)
{
    schedule->chip = chip;
    schedule->plan = plan;
    schedule->now = 0;
    schedule->memory_free = 0;
    schedule->used = 0;
    schedule->first = 0;
    schedule->n = 0;
}

static void use(struct jb_asic_played *played, enum jb_asic_resource resource, double from,
                double to)
{
    double *at = played->at[resource];
    at[0] = at[1] > 0 && at[0] < from ? at[0] : from;
    at[1] = to > at[1] ? to : at[1];
}

/* Fetches bytes (of one chip) into the buffer, not before `earliest`. The caller sets the block's
 * release once it knows it. @return when they are there */
static double fetch(struct jb_asic_schedule *s, double bytes, double earliest,
                    struct jb_asic_played *played)
{
    const struct jb_asic_memory *memory = &s->chip->memory;
    played->read_bytes += bytes * s->chip->chips_a_stage;
    double start = earliest;
    while (s->n > 0 && (s->used + bytes > s->chip->weight_buffer || s->n == JB_ASIC_MAX_BLOCKS)) {
        const struct jb_asic_block *oldest = &s->blocks[s->first];
        start = fmax(start, oldest->release);
        s->used -= oldest->bytes;
        s->first = (s->first + 1) % JB_ASIC_MAX_BLOCKS;
        s->n--;
    }
    s->blocks[(s->first + s->n) % JB_ASIC_MAX_BLOCKS] = (struct jb_asic_block){.bytes = bytes};
    s->n++;
    s->used += bytes;
    if (memory->is_ideal) {
        return start;
    }
    const bool is_pause = s->memory_free < start || s->memory_free == 0;
    start = fmax(start, s->memory_free);
    const double latency = is_pause ? memory->latency_s * s->chip->clock_hz : 0;
    s->memory_free = start + latency + bytes / memory->rate * s->chip->clock_hz;
    use(played, JB_ASIC_AT_MEMORY, start, s->memory_free);
    return s->memory_free;
}

static void release(struct jb_asic_schedule *s, double cycle)
{
    s->blocks[(s->first + s->n - 1) % JB_ASIC_MAX_BLOCKS].release = cycle;
}

/* Bytes (of one chip) that leave for the memory; nobody waits for them but later fetches. */
static void store(struct jb_asic_schedule *s, double bytes, struct jb_asic_played *played)
{
    const struct jb_asic_memory *memory = &s->chip->memory;
    played->write_bytes += bytes * s->chip->chips_a_stage;
    if (!memory->is_ideal && bytes > 0) {
        const double start = fmax(s->memory_free, s->now);
        s->memory_free = start + bytes / memory->rate * s->chip->clock_hz;
        use(played, JB_ASIC_AT_MEMORY, start, s->memory_free);
    }
}

/* A product on `n_arrays` arrays from cycle `start` on, its weights fetched in blocks.
 * @param ret_free when another product that does not depend on this one may enter; NULL = unasked
 * @return the cycle of the last sum */
static double play_product(struct jb_asic_schedule *s, uint32_t n_arrays,
                           const struct jb_product *product, double bytes, double start,
                           double *ret_free, struct jb_asic_played *played)
{
    const struct jb_asic_spread spread = jb_asic_spread(s->chip, n_arrays, product);
    const struct jb_fold fold = jb_array_fold(&s->chip->array, &spread.part);
    const double load = (double)fold.load, stream = (double)fold.stream, skew = (double)fold.skew;
    const double period = (double)fold.period, n_tiles = (double)spread.n_tiles;
    const double tile_bytes = bytes / n_tiles;
    const double most = fmax(1, floor(s->chip->weight_buffer / 2 / fmax(tile_bytes, 1e-9)));
    const uint64_t block =
        (uint64_t)fmin(most, (double)parts(spread.n_tiles, BLOCKS_A_PRODUCT)); /* in folds */
    double edge = start; /* when the stream of the fold before began; at first, and without preload,
                            when the next fold's weights may enter */
    double last = start, free_from = start, waited = 0;
    for (uint64_t done = 0; done < spread.n_tiles; done += block) {
        const uint64_t left = spread.n_tiles - done;
        const double folds = (double)(left < block ? left : block);
        const double there = ceil(fetch(s, folds * tile_bytes, 0, played) - 1e-6);
        const bool follows = done > 0 && s->chip->array.has_preload;
        const double soonest = follows ? edge + period : edge + load;
        const double first_stream = fmax(soonest, there + load);
        waited += first_stream - soonest;
        const double last_stream = first_stream + (folds - 1) * period;
        release(s, last_stream);
        last = last_stream + stream + skew;
        free_from = s->chip->array.has_preload ? last_stream + stream : last;
        edge = s->chip->array.has_preload ? last_stream : last;
    }
    played->part[JB_ASIC_PART_MEMORY] += waited;
    played->part[JB_ASIC_PART_STREAM] += n_tiles * stream;
    played->part[JB_ASIC_PART_SKEW] += s->chip->array.has_preload ? skew : n_tiles * skew;
    played->n_tiles += (uint32_t)spread.n_tiles;
    played->n_m = spread.n_m;
    played->padded_macs += spread.n_tiles * spread.part.m * s->chip->array.rows *
                           s->chip->array.cols * n_arrays * s->chip->chips_a_stage;
    /* each fold reads its operands and adds to its sums once */
    played->sram_bytes += n_tiles * n_arrays * s->chip->chips_a_stage *
                          ((double)(spread.part.m * s->chip->array.rows) * operand_bytes(s->chip) +
                           (double)(spread.part.m * s->chip->array.cols) * 2 * sizeof(float));
    use(played, JB_ASIC_AT_ARRAY, start, last);
    if (ret_free != NULL) {
        *ret_free = free_from;
    }
    return last;
}

static void play_link(struct jb_asic_schedule *s, double rows, double width, double share,
                      double n_messages, struct jb_asic_played *played)
{
    const double bytes = rows * width * operand_bytes(s->chip);
    const double cycles =
        (share * bytes / s->chip->link_rate + n_messages * s->chip->link_latency_s) *
        s->chip->clock_hz;
    use(played, JB_ASIC_AT_LINK, s->now, s->now + cycles);
    played->part[JB_ASIC_PART_LINK] += cycles;
    played->link_bytes += share * bytes * s->chip->chips_a_stage;
    s->now += cycles;
}

static void play_matmul(struct jb_asic_schedule *s, const struct jb_op *op,
                        const struct jb_asic_op *known, const struct jb_step *step,
                        const struct jb_cost *cost, struct jb_asic_played *played)
{
    const struct jb_tensor *weight = &s->plan->tensors[op->weight];
    const uint32_t chips = s->chip->chips_a_stage;
    const uint64_t rows = s->plan->slots[op->src0].rows == JB_ROWS_TOKENS ? jb_step_tokens(step)
                                                                          : jb_step_outputs(step);
    if (rows == 0) {
        return;
    }
    const struct jb_product product = {
        .m = rows,
        .n = known->is_split_by_input ? weight->rows : parts(weight->rows, chips),
        .k = known->is_split_by_input ? parts(weight->cols, chips) : weight->cols};
    const double bytes = (double)cost->weight_bytes / chips;
    const struct jb_asic_tiling tiling = jb_asic_tiling(s->chip, &product, bytes);
    struct jb_product pass = product;
    pass.m = parts(product.m, tiling.n_passes);
    const double begin = s->now;
    for (uint64_t i = 0; i < tiling.n_passes; i++) {
        s->now = play_product(s, s->chip->n_arrays, &pass, bytes, s->now, NULL, played);
    }
    if (tiling.spilled_bytes > 0) { /* half out, half in again, both before the next op */
        (void)fetch(s, 0, s->now, played);
        release(s, s->now);
        store(s, tiling.spilled_bytes, played);
        const double end = fmax(s->now, s->memory_free);
        played->part[JB_ASIC_PART_MEMORY] += end - s->now;
        s->now = end;
    }
    played->part[JB_ASIC_PART_LOAD] += s->now - begin - played->part[JB_ASIC_PART_STREAM] -
                                       played->part[JB_ASIC_PART_SKEW] -
                                       played->part[JB_ASIC_PART_MEMORY];
    const double width = (double)weight->rows, n = chips;
    if (known->is_split_by_input) { /* ring: reduce-scatter, all-gather */
        play_link(s, (double)rows, width, 2 * (n - 1) / n, 2 * (n - 1), played);
    } else if (known->is_gathered) {
        play_link(s, (double)rows, width, (n - 1) / n, n - 1, played);
    }
}

static void play_vector(struct jb_asic_schedule *s, double ops, double bytes, double earliest,
                        struct jb_asic_played *played)
{
    if (bytes > 0) {
        const double there = fetch(s, bytes, earliest, played);
        release(s, there);
        played->part[JB_ASIC_PART_MEMORY] += fmax(0, there - s->now);
        s->now = fmax(s->now, there);
    }
    const double cycles =
        ops > 0 ? (double)s->chip->vector_startup + ceil(ops / s->chip->vector_lanes) : 0;
    use(played, JB_ASIC_AT_VECTOR, s->now, s->now + cycles);
    played->part[JB_ASIC_PART_VECTOR] += cycles;
    played->vector_ops += ops * s->chip->chips_a_stage;
    s->now += cycles;
}

/* One sequence of an attention: heads in rounds over the arrays; scores of round i + 1 are made
 * while the vector unit takes the exponentials of round i. */
static void play_sequence(struct jb_asic_schedule *s, const struct jb_seq *seq, double softmax_ops,
                          double kv_bytes, struct jb_asic_played *played)
{
    const struct jb_plan *plan = s->plan;
    const uint64_t heads = parts(plan->n_kv_heads, s->chip->chips_a_stage);
    const uint32_t sharing = plan->n_heads / plan->n_kv_heads;
    const uint64_t positions = (uint64_t)seq->pos + seq->n_tokens;
    const struct jb_product scores = {(uint64_t)seq->n_tokens * sharing, positions, plan->head_dim};
    const struct jb_product values = {(uint64_t)seq->n_tokens * sharing, plan->head_dim, positions};
    const uint64_t at_once = heads < s->chip->n_arrays ? heads : s->chip->n_arrays;
    const uint64_t rounds = parts(heads, at_once);
    const uint32_t arrays = s->chip->n_arrays / (uint32_t)at_once;
    const double half = kv_bytes / 2 / (double)rounds;
    const double vector = (double)s->chip->vector_startup +
                          ceil(softmax_ops / s->chip->vector_lanes / (double)rounds);
    double array = s->now, end = s->now, vector_free = s->now, made = 0;
    for (uint64_t i = 0; i <= rounds; i++) {
        const double before = made;
        if (i < rounds) {
            const double there = play_product(s, arrays, &scores, half, array, &array, played);
            vector_free = fmax(vector_free, there) + vector;
            made = vector_free;
            use(played, JB_ASIC_AT_VECTOR, vector_free - vector, vector_free);
        }
        if (i > 0) {
            const double start = fmax(array, before);
            played->part[JB_ASIC_PART_VECTOR] += start - array;
            end = play_product(s, arrays, &values, half, start, &array, played);
        }
    }
    s->now = end;
    played->vector_ops += softmax_ops * s->chip->chips_a_stage;
}

static void play_attention(struct jb_asic_schedule *s, const struct jb_step *step,
                           const struct jb_cost *cost, struct jb_asic_played *played)
{
    const double begin = s->now;
    const double softmax = (double)(cost->flops - 2 * cost->macs);
    double all = 0;
    for (uint32_t i = 0; i < step->n_seqs; i++) {
        all += (double)(step->seqs[i].pos + step->seqs[i].n_tokens);
    }
    const double scores = (double)(cost->macs > 0 ? cost->macs : 1);
    for (uint32_t i = 0; i < step->n_seqs; i++) {
        const struct jb_seq *seq = &step->seqs[i];
        const double n = seq->n_tokens, pos = seq->pos;
        const double share =
            2 * (n * pos + n * (n + 1) / 2) * s->plan->n_heads * s->plan->head_dim / scores;
        play_sequence(s, seq, softmax * share / s->chip->chips_a_stage,
                      (double)cost->kv_read_bytes * (n + pos) / all / s->chip->chips_a_stage,
                      played);
    }
    store(s, (double)cost->kv_write_bytes / s->chip->chips_a_stage, played);
    /* Waves of one product run under the stream of the next. */
    const double rest = s->now - begin - played->part[JB_ASIC_PART_STREAM] -
                        played->part[JB_ASIC_PART_MEMORY] - played->part[JB_ASIC_PART_VECTOR];
    played->part[JB_ASIC_PART_SKEW] = fmin(played->part[JB_ASIC_PART_SKEW], rest);
    played->part[JB_ASIC_PART_LOAD] += rest - played->part[JB_ASIC_PART_SKEW];
}

void jb_asic_schedule_op(struct jb_asic_schedule *schedule, const struct jb_op *op,
                         const struct jb_asic_op *known, const struct jb_step *step,
                         struct jb_asic_played *ret_played)
{
    struct jb_asic_schedule *s = schedule;
    struct jb_cost cost;
    struct jb_asic_played played = {.start = s->now};
    jb_op_cost(s->plan, op, step, &cost);
    played.macs = cost.macs;
    const double latency = s->chip->op_latency_s * s->chip->clock_hz;
    if (known->hops) {
        play_link(s, jb_step_tokens(step), s->plan->dim, 1, 1, &played);
    }
    if (latency > 0) {
        played.part[JB_ASIC_PART_CONTROL] = latency;
        s->now += latency;
    }
    const double share = known->is_shared ? 1.0 / s->chip->chips_a_stage : 1.0;
    const double weights = (double)cost.weight_bytes / s->chip->chips_a_stage;
    if (op->kind == JB_OP_MATMUL) {
        play_matmul(s, op, known, step, &cost, &played);
    } else if (op->kind == JB_OP_ATTENTION) {
        play_attention(s, step, &cost, &played);
    } else { /* which rows of a table are wanted is known only when the step begins */
        const bool looks_up = op->kind == JB_OP_EMBED || op->kind == JB_OP_POSEMBED;
        play_vector(s, (double)cost.flops * share, weights, looks_up ? s->now : 0, &played);
    }
    played.end = s->now;
    *ret_played = played;
}
