/* SPDX-License-Identifier: MIT */
#include "bench/phases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/workload/workload.h"
#include "platforms/base/rng.h"
#include "platforms/os/os.h"

/* Step durations kept for percentiles: exact for windows of that many steps. */
#define MARKS_KEPT 65536u

const char *jb_phase_name(enum jb_phase phase)
{
    static const char *const names[] = {"prefill", "decode", "total"};
    return names[phase];
}

static void fill_inputs(struct jb_phases *phases)
{
    const struct jb_phases_args *args = &phases->args;
    for (uint32_t s = 0; s < args->batch; s++) {
        int32_t *row = phases->inputs + (size_t)s * phases->n_inputs;
        if (args->prompt_ids != NULL) {
            memcpy(row, args->prompt_ids, args->prompt * sizeof *row);
        } else {
            jb_prompt_seeded(args->seed, s, args->plan->vocab, row, phases->n_inputs);
        }
        if (args->shares_prompt && s > 0) {
            memcpy(row, phases->inputs, args->prompt * sizeof *row);
        }
    }
}

/* Embeddings as a projector would give them: small numbers of both signs; their values do not
 * matter to time and energy. The same image for every sequence. Rows lie as the steps take them:
 * chunk by chunk, in each sequence by sequence. */
static bool make_images(struct jb_phases *phases)
{
    const struct jb_phases_args *args = &phases->args;
    const size_t dim = args->plan->dim;
    if (args->n_image == 0) {
        return true;
    }
    phases->images = calloc((size_t)args->batch * args->n_image * dim, sizeof *phases->images);
    float *image = calloc(args->n_image * dim, sizeof *image);
    struct jb_rng rng;
    jb_rng_seed(&rng, args->seed, 0);
    for (size_t i = 0; image != NULL && i < args->n_image * dim; i++) {
        image[i] = (float)(0.1 * (jb_rng_unit(&rng) - 0.5));
    }
    float *to = phases->images;
    for (uint32_t pos = 0; to != NULL && image != NULL && pos < args->n_image;) {
        const uint32_t left = args->n_image - pos;
        const uint32_t n = left < args->chunk ? left : args->chunk;
        for (uint32_t s = 0; s < args->batch; s++, to += n * dim) {
            memcpy(to, image + pos * dim, n * dim * sizeof *to);
        }
        pos += n;
    }
    const bool is_made = phases->images != NULL && image != NULL;
    free(image);
    return is_made;
}

enum jb_status jb_phases_create(const struct jb_phases_args *args, struct jb_phases **ret_phases)
{
    struct jb_phases *phases = calloc(1, sizeof *phases);
    if (phases == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the phases");
    }
    const uint32_t batch = args->batch;
    const uint32_t start = args->prompt > args->depth ? args->prompt : args->depth;
    phases->args = *args;
    phases->n_inputs = start + args->gen;
    phases->inputs = calloc((size_t)batch * phases->n_inputs, sizeof *phases->inputs);
    phases->next = calloc(batch, sizeof *phases->next);
    phases->filled = calloc(batch, sizeof *phases->filled);
    phases->outputs = calloc((size_t)batch * args->gen, sizeof *phases->outputs);
    phases->seqs = calloc(batch, sizeof *phases->seqs);
    enum jb_status status = JB_OK;
    if (phases->inputs == NULL || phases->next == NULL || phases->filled == NULL ||
        phases->outputs == NULL || phases->seqs == NULL || !make_images(phases)) {
        status = jb_fail(JB_E_NOMEM, "no memory for the ids of batch %u", batch);
    }
    if (status == JB_OK) {
        status = jb_marks_create(MARKS_KEPT, &phases->step_marks);
    }
    if (status == JB_OK) {
        status = jb_marks_create(MARKS_KEPT, &phases->first_marks);
    }
    if (status != JB_OK) {
        jb_phases_free(phases);
        return status;
    }
    fill_inputs(phases);
    jb_phases_clear(phases);
    *ret_phases = phases;
    return JB_OK;
}

void jb_phases_free(struct jb_phases *phases)
{
    if (phases == NULL) {
        return;
    }
    jb_marks_free(&phases->step_marks);
    jb_marks_free(&phases->first_marks);
    free(phases->inputs);
    free(phases->images);
    free(phases->next);
    free(phases->filled);
    free(phases->outputs);
    free(phases->seqs);
    free(phases);
}

void jb_phases_clear(struct jb_phases *phases)
{
    jb_marks_clear(&phases->step_marks);
    jb_marks_clear(&phases->first_marks);
    phases->n_emitted = 0;
    phases->modelled = (struct jb_modelled){0};
}

static bool is_modelled(const struct jb_phases *phases)
{
    return (phases->args.backend->caps & JB_CAP_MODELLED) != 0;
}

/* Aims every sequence's part of a step at position pos. Tokens are set by the caller. */
static struct jb_step aim(struct jb_phases *phases, uint32_t pos, uint32_t n_tokens,
                          enum jb_want want)
{
    for (uint32_t s = 0; s < phases->args.batch; s++) {
        phases->seqs[s] =
            (struct jb_seq){.slot = s,
                            .pos = pos,
                            .n_tokens = n_tokens,
                            .want = want,
                            .tokens = phases->inputs + (size_t)s * phases->n_inputs + pos};
    }
    return (struct jb_step){.program = 0,
                            .op_begin = 0,
                            .op_end = phases->args.plan->programs[0].n_ops,
                            .seqs = phases->seqs,
                            .n_seqs = phases->args.batch,
                            .ret_ids = want == JB_WANT_NONE ? NULL : phases->next,
                            .ret_logits = want == JB_WANT_NONE ? NULL : phases->logits};
}

/* Least time of a step by its ops' own bounds; what has none counts as nothing. */
static double bound_of(const struct jb_phases *phases, const struct jb_step *step)
{
    const struct jb_backend *backend = phases->args.backend;
    double sum_s = 0;
    for (uint32_t op = step->op_begin; backend->detail != NULL && op < step->op_end; op++) {
        struct jb_op_detail detail = {.bound_s = jb_missing()};
        if (backend->detail(phases->args.device, op, &detail) == JB_OK && detail.bound_s > 0) {
            sum_s += detail.bound_s;
        }
    }
    return sum_s;
}

/* Runs one step to its end. @return the modelled seconds of it through ret_modelled_s. */
static enum jb_status run_step(struct jb_phases *phases, const struct jb_step *step,
                               double *ret_modelled_s)
{
    const struct jb_backend *backend = phases->args.backend;
    struct jb_device *device = phases->args.device;
    if (*phases->args.stop != 0) {
        return jb_fail(JB_E_INTERRUPTED, "interrupted");
    }
    enum jb_status status = backend->step(device, step);
    if (status == JB_OK && backend->sync != NULL) {
        status = backend->sync(device);
    }
    if (status != JB_OK || !is_modelled(phases)) {
        return status;
    }
    struct jb_account account;
    status = backend->account(device, &account);
    if (status == JB_OK) {
        struct jb_modelled *sum = &phases->modelled;
        sum->time_s += account.time_s;
        sum->energy_j += account.energy_j;
        sum->time_class = jb_class_weakest(sum->time_class, account.time_class);
        sum->energy_class = jb_class_weakest(sum->energy_class, account.energy_class);
        *ret_modelled_s = account.time_s;
        if (phases->observer != NULL) {
            status = phases->observer->seen(phases->observer->ctx, step, &account);
        }
        sum->bound_s += bound_of(phases, step); /* last: the charges are void afterwards */
    }
    return status;
}

/* The step at position pos of a prompt of n, of the first n_seqs sequences. Image positions take no
 * ids: they enter after the embedding, where the residual stream is a cut of the program. */
static struct jb_step aim_prompt(struct jb_phases *phases, uint32_t pos, uint32_t n,
                                 uint32_t n_seqs, uint32_t *ret_n_tokens)
{
    const struct jb_phases_args *args = &phases->args;
    const bool is_image = pos < args->n_image;
    const uint32_t end = is_image && args->n_image < n ? args->n_image : n;
    const uint32_t n_tokens = end - pos < args->chunk ? end - pos : args->chunk;
    struct jb_step step =
        aim(phases, pos, n_tokens, pos + n_tokens == n ? JB_WANT_LAST : JB_WANT_NONE);
    step.n_seqs = n_seqs;
    if (is_image) {
        step.op_begin = args->plan->programs[0].cuts[1];
        step.acts = phases->images + (size_t)args->batch * pos * args->plan->dim;
        for (uint32_t s = 0; s < n_seqs; s++) {
            phases->seqs[s].tokens = NULL;
        }
    }
    *ret_n_tokens = n_tokens;
    return step;
}

/* Positions [0, n) of the first n_seqs sequences, in chunks; ids after the last of them. */
static enum jb_status fill_to(struct jb_phases *phases, uint32_t n, uint32_t n_seqs,
                              double *ret_modelled_s)
{
    enum jb_status status = JB_OK;
    double total_s = 0;
    for (uint32_t pos = 0, n_tokens = 0; pos < n && status == JB_OK; pos += n_tokens) {
        const struct jb_step step = aim_prompt(phases, pos, n, n_seqs, &n_tokens);
        double modelled_s = 0;
        status = run_step(phases, &step, &modelled_s);
        total_s += modelled_s;
    }
    *ret_modelled_s = total_s;
    return status;
}

/* Sequences that a prefill reads. */
static uint32_t n_read(const struct jb_phases *phases)
{
    return phases->args.shares_prompt ? 1 : phases->args.batch;
}

enum jb_status jb_phases_fill(struct jb_phases *phases)
{
    double modelled_s = 0;
    const enum jb_status status =
        fill_to(phases, phases->args.depth, phases->args.batch, &modelled_s);
    memcpy(phases->filled, phases->next, phases->args.batch * sizeof *phases->filled);
    return status;
}

enum jb_status jb_phases_prefill(void *ctx)
{
    struct jb_phases *phases = ctx;
    double modelled_s = 0;
    const double begin_s = jb_clock_s();
    const enum jb_status status = fill_to(phases, phases->args.prompt, n_read(phases), &modelled_s);
    const double end_s = jb_clock_s();
    jb_marks_add(&phases->first_marks, is_modelled(phases) ? modelled_s : end_s - begin_s);
    return status;
}

/* Keeps the ids of decode step i and counts those that are ids at all; in free feed they become
 * the next inputs. */
static enum jb_status take_ids(struct jb_phases *phases, uint32_t i, uint32_t pos)
{
    const uint32_t vocab = phases->args.plan->vocab;
    for (uint32_t s = 0; s < phases->args.batch; s++) {
        const int32_t id = phases->next[s];
        phases->outputs[(size_t)s * phases->args.gen + i] = id;
        phases->n_emitted += (uint32_t)id < vocab ? 1 : 0;
        if (phases->args.is_free && i + 1 < phases->args.gen) {
            if ((uint32_t)id >= vocab) {
                return jb_fail(JB_E_NUMERIC, "backend `%s` returned id %d, vocabulary has %u",
                               phases->args.backend->name, id, vocab);
            }
            phases->inputs[(size_t)s * phases->n_inputs + pos + 1] = id;
        }
        phases->next[s] = -1;
    }
    return JB_OK;
}

/* gen tokens from position start on. In free feed the first input is first[s]. */
static enum jb_status generate(struct jb_phases *phases, uint32_t start, const int32_t *first)
{
    enum jb_status status = JB_OK;
    const uint32_t vocab = phases->args.plan->vocab;
    for (uint32_t s = 0; phases->args.is_free && s < phases->args.batch; s++) {
        if ((uint32_t)first[s] >= vocab) {
            return jb_fail(JB_E_NUMERIC, "backend `%s` returned id %d, vocabulary has %u",
                           phases->args.backend->name, first[s], vocab);
        }
        phases->inputs[(size_t)s * phases->n_inputs + start] = first[s];
    }
    memset(phases->next, -1, phases->args.batch * sizeof *phases->next);
    double last_s = jb_clock_s();
    for (uint32_t i = 0; i < phases->args.gen && status == JB_OK; i++) {
        const struct jb_step step = aim(phases, start + i, 1, JB_WANT_LAST);
        double mark_s = 0;
        status = run_step(phases, &step, &mark_s);
        if (status == JB_OK) {
            status = take_ids(phases, i, start + i);
        }
        const double now_s = jb_clock_s();
        jb_marks_add(&phases->step_marks, is_modelled(phases) ? mark_s : now_s - last_s);
        last_s = now_s;
    }
    return status;
}

enum jb_status jb_phases_decode(void *ctx)
{
    struct jb_phases *phases = ctx;
    return generate(phases, phases->args.depth, phases->filled);
}

enum jb_status jb_phases_total(void *ctx)
{
    const enum jb_status status = jb_phases_prefill(ctx);
    struct jb_phases *phases = ctx;
    for (uint32_t i = n_read(phases); i < phases->args.batch; i++) {
        phases->next[i] = phases->next[0]; /* the same prompt gives the same id */
    }
    return status == JB_OK ? generate(phases, phases->args.prompt, phases->next) : status;
}

/* Whether the best two of the row are closer than the limit. */
static bool is_near_tie(const float *logits, uint32_t n)
{
    double sum = 0;
    double squares = 0;
    float best = -INFINITY;
    float second = -INFINITY;
    for (uint32_t i = 0; i < n; i++) {
        sum += (double)logits[i];
        squares += (double)logits[i] * (double)logits[i];
        if (logits[i] > best) {
            second = best;
            best = logits[i];
        } else if (logits[i] > second) {
            second = logits[i];
        }
    }
    const double mean = sum / n;
    const double sigma = sqrt(fmax(squares / n - mean * mean, 0));
    return (double)best - (double)second < JB_NEAR_TIE_SIGMA * sigma;
}

enum jb_status jb_phases_reference(struct jb_phases *phases, enum jb_phase phase, int32_t *ret_ids,
                                   bool *ret_is_near)
{
    const uint32_t batch = phases->args.batch;
    const uint32_t gen = phases->args.gen;
    const uint32_t vocab = phases->args.plan->vocab;
    const uint32_t start = phase == JB_DECODE ? phases->args.depth : phases->args.prompt;
    double unused_s = 0;
    float *logits = malloc((size_t)batch * vocab * sizeof *logits);
    if (logits == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the reference's logits");
    }
    enum jb_status status = fill_to(phases, start, batch, &unused_s);
    phases->logits = logits;
    for (uint32_t i = 0; i < gen && status == JB_OK; i++) {
        for (uint32_t s = 0; phases->args.is_free && s < batch; s++) {
            phases->inputs[(size_t)s * phases->n_inputs + start + i] = phases->next[s];
        }
        const struct jb_step step = aim(phases, start + i, 1, JB_WANT_LAST);
        status = run_step(phases, &step, &unused_s);
        for (uint32_t s = 0; s < batch && status == JB_OK; s++) {
            ret_ids[(size_t)s * gen + i] = phases->next[s];
            ret_is_near[(size_t)s * gen + i] = is_near_tie(logits + (size_t)s * vocab, vocab);
        }
    }
    phases->logits = NULL;
    free(logits);
    return status;
}

void jb_phases_each_step(const struct jb_phases *phases, enum jb_phase phase,
                         void (*fn)(void *ctx, const struct jb_step *step), void *ctx)
{
    struct jb_phases copy = *phases; /* aim() writes seqs only, which hold nothing between steps */
    const uint32_t prompt = phase == JB_DECODE ? 0 : phases->args.prompt;
    const uint32_t start = phase == JB_DECODE ? phases->args.depth : phases->args.prompt;
    for (uint32_t pos = 0, n_tokens = 0; pos < prompt; pos += n_tokens) {
        const struct jb_step step = aim_prompt(&copy, pos, prompt, n_read(phases), &n_tokens);
        fn(ctx, &step);
    }
    for (uint32_t i = 0; phase != JB_PREFILL && i < phases->args.gen; i++) {
        const struct jb_step step = aim(&copy, start + i, 1, JB_WANT_LAST);
        fn(ctx, &step);
    }
}
