/* SPDX-License-Identifier: MIT */
#include "bench/op.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/measure/measure.h"
#include "bench/workload/workload.h"
#include "platforms/host/host.h"
#include "platforms/os/os.h"

/* Tokens of a sequence in a step that fills the cache. */
#define FILL_CHUNK 512u
/* Before timing: at least so many calls, and until so many seconds are spent. */
#define WARM_CALLS 3u
#define WARM_S 0.1
#define MARKS_KEPT 65536u

struct op_run {
    const struct jb_op_wish *wish;
    struct jb_op_answer *answer;
    struct jb_setting settings[JB_MAX_SETTINGS];
    struct jb_open_args open;
    struct jb_device *device;
    struct jb_plan *plan;             /* NULL for streams */
    uint32_t n_seqs, n_tokens, depth; /* n_tokens a sequence */
    struct jb_seq *seqs;              /* (n_seqs,) */
    int32_t *ids;                     /* (max(n_tokens, FILL_CHUNK),) every sequence's */
    uint32_t *pus;
    struct jb_step step;
    struct jb_marks marks;
    struct jb_op_detail exercised; /* streams of real devices */
    struct jb_peaks peaks;         /* real devices: what bounds the op */
};

static bool is_modelled(const struct op_run *run)
{
    return (run->wish->backend->caps & JB_CAP_MODELLED) != 0;
}

/* ---- the plan and its step ---- */

static enum jb_status build_plan(struct op_run *run)
{
    const struct jb_op_wish *wish = run->wish;
    const uint32_t *shape = wish->shape;
    struct jb_single_args args = {.kind = JB_OP_MATMUL,
                                  .dtype = wish->format,
                                  .seed = wish->seed,
                                  .has_weights = wish->execution == JB_EXECUTE_FUNCTIONAL};
    run->n_tokens = 1;
    switch (wish->op) {
    case JB_OP_IS_GEMV:
        args.rows = shape[0];
        args.cols = shape[1];
        run->n_seqs = shape[2];
        break;
    case JB_OP_IS_GEMM:
        args.rows = shape[1];
        args.cols = shape[2];
        run->n_seqs = 1;
        run->n_tokens = shape[0];
        break;
    default:
        args.kind = JB_OP_ATTENTION;
        args.kv_dtype = wish->format;
        args.n_heads = shape[1];
        args.n_kv_heads = shape[2];
        args.head_dim = shape[3];
        run->n_seqs = shape[0];
        run->depth = shape[4];
        break;
    }
    args.max_context = run->depth + run->n_tokens;
    return jb_single_build(&args, &run->plan);
}

static uint32_t fill_chunk(const struct op_run *run)
{
    return run->depth < FILL_CHUNK ? run->depth : FILL_CHUNK;
}

static enum jb_status make_step(struct op_run *run)
{
    const uint32_t n_ids = run->n_tokens > fill_chunk(run) ? run->n_tokens : fill_chunk(run);
    run->seqs = calloc(run->n_seqs, sizeof *run->seqs);
    run->ids = calloc(n_ids, sizeof *run->ids);
    if (run->seqs == NULL || run->ids == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the ids of the op");
    }
    for (uint32_t i = 0; i < n_ids; i++) {
        run->ids[i] = (int32_t)(i % run->plan->vocab);
    }
    for (uint32_t s = 0; s < run->n_seqs; s++) {
        run->seqs[s] = (struct jb_seq){.slot = s,
                                       .pos = run->depth,
                                       .n_tokens = run->n_tokens,
                                       .want = JB_WANT_NONE,
                                       .tokens = run->ids};
    }
    run->step = (struct jb_step){
        .op_end = run->plan->programs[0].n_ops, .seqs = run->seqs, .n_seqs = run->n_seqs};
    return JB_OK;
}

static enum jb_status check_memory(const struct op_run *run)
{
    const uint64_t needed = jb_plan_weight_bytes(run->plan) +
                            jb_plan_kv_bytes(run->plan, run->n_seqs, run->plan->max_context);
    const uint64_t available = jb_memory_available_bytes();
    if (run->plan->weights != NULL && available > 0 && needed > available) {
        return jb_fail(JB_E_NOMEM, "the op needs %.1f GiB, %.1f GiB are free: take a smaller shape",
                       (double)needed / JB_GIB, (double)available / JB_GIB);
    }
    return JB_OK;
}

static enum jb_status load(struct op_run *run)
{
    enum jb_status status = make_step(run);
    if (status == JB_OK) {
        status = check_memory(run);
    }
    if (status != JB_OK) {
        return status;
    }
    const uint64_t tokens = (uint64_t)run->n_seqs * run->n_tokens;
    const uint32_t most = tokens > fill_chunk(run) ? (uint32_t)tokens : fill_chunk(run);
    const struct jb_load_args args = {.plan = run->plan,
                                      .max_seqs = run->n_seqs,
                                      .max_tokens = most,
                                      .max_outputs = run->n_seqs,
                                      .context = run->plan->max_context,
                                      .execution = run->wish->execution};
    return run->wish->backend->load(run->device, &args);
}

static enum jb_status run_step(struct op_run *run, const struct jb_step *step)
{
    const struct jb_backend *backend = run->wish->backend;
    enum jb_status status = backend->step(run->device, step);
    if (status == JB_OK && backend->sync != NULL) {
        status = backend->sync(run->device);
    }
    return status;
}

/* Positions [0, depth) of every sequence; what is in them does not matter. */
static enum jb_status fill_cache(struct op_run *run)
{
    const uint32_t chunk = fill_chunk(run);
    enum jb_status status = JB_OK;
    for (uint32_t s = 0; s < run->n_seqs; s++) {
        for (uint32_t pos = 0; pos < run->depth && status == JB_OK; pos += chunk) {
            const struct jb_seq seq = {.slot = s,
                                       .pos = pos,
                                       .n_tokens =
                                           run->depth - pos < chunk ? run->depth - pos : chunk,
                                       .want = JB_WANT_NONE,
                                       .tokens = run->ids};
            struct jb_step step = run->step;
            step.seqs = &seq;
            step.n_seqs = 1;
            status = run_step(run, &step);
        }
    }
    return status;
}

/* ---- modelled devices ---- */

/* Copies what lies in the device's memory. */
static enum jb_status keep_detail(struct op_run *run, const struct jb_op_detail *detail)
{
    struct jb_op_answer *answer = run->answer;
    const char *const *lines = run->wish->backend->ledger_lines;
    uint32_t n_lines = 0;
    while (lines != NULL && lines[n_lines] != NULL) {
        n_lines++;
    }
    if (detail->n_parts > JB_OP_MAX_PARTS || n_lines > JB_OP_MAX_PARTS) {
        return jb_fail(JB_E_DEVICE, "%s: %u parts and %u ledger lines, %d of each are known",
                       run->wish->backend->name, detail->n_parts, n_lines, JB_OP_MAX_PARTS);
    }
    answer->detail = *detail;
    for (uint32_t i = 0; i < n_lines; i++) {
        answer->line_j[i] = detail->line_j != NULL ? detail->line_j[i] : jb_missing();
    }
    for (uint32_t i = 0; i < detail->n_parts; i++) {
        answer->parts[i] = detail->parts[i];
    }
    answer->detail.line_j = answer->line_j;
    answer->detail.parts = answer->parts;
    if (detail->choices != NULL) {
        (void)snprintf(answer->choices, sizeof answer->choices, "%s", detail->choices);
    }
    answer->detail.choices = answer->choices;
    answer->time_s = detail->cycles > 0 ? (double)detail->cycles / detail->clock_hz : 0;
    answer->energy_j = detail->energy_j;
    return JB_OK;
}

/* What the charges say of the op, for devices that show no more. */
static enum jb_status keep_charges(struct op_run *run, const struct jb_account *account,
                                   uint32_t op)
{
    const char *const *lines = run->wish->backend->ledger_lines;
    struct jb_op_detail detail = {.clock_hz = jb_missing(), .bound_s = jb_missing()};
    double line_j[JB_OP_MAX_PARTS] = {0};
    double begin_s = jb_missing();
    double end_s = jb_missing();
    bool has_energy = false;
    for (uint64_t c = 0; c < account->n_charges; c++) {
        const struct jb_charge *charge = &account->charges[c];
        if (charge->op != op) {
            continue;
        }
        begin_s = fmin(begin_s, charge->start_s);
        end_s = fmax(end_s, charge->end_s);
        detail.macs += charge->macs;
        detail.bytes += charge->read_bytes + charge->write_bytes;
        for (uint32_t i = 0; charge->energy_j != NULL && i < JB_OP_MAX_PARTS && lines[i]; i++) {
            line_j[i] += charge->energy_j[i];
            detail.energy_j += charge->energy_j[i];
            has_energy = true;
        }
    }
    if (!has_energy) {
        detail.energy_j = jb_missing();
    }
    detail.line_j = has_energy ? line_j : NULL;
    const enum jb_status status = keep_detail(run, &detail);
    run->answer->time_s = end_s - begin_s;
    return status;
}

/* From here on the device is looked into: what filled the cache is not of interest. */
static void watch(struct op_run *run)
{
    if (run->wish->insight != NULL) {
        jb_insight_begin(run->wish->insight,
                         &(struct jb_insight_place){.backend = run->wish->backend,
                                                    .device = run->device,
                                                    .plan = run->plan,
                                                    .device_name = run->answer->probe.device,
                                                    .run_id = "",
                                                    .model = "",
                                                    .weight_format = "",
                                                    .phase = "op",
                                                    .batch = run->n_seqs});
    }
}

static enum jb_status ask_device(struct op_run *run)
{
    const struct jb_backend *backend = run->wish->backend;
    const uint32_t op = run->plan->programs[0].n_ops - 1;
    struct jb_account account;
    enum jb_status status = fill_cache(run);
    if (status == JB_OK) {
        watch(run);
        status = run_step(run, &run->step);
    }
    if (status == JB_OK) {
        status = backend->account(run->device, &account);
    }
    if (status != JB_OK) {
        return status;
    }
    if (run->wish->insight != NULL) {
        status = jb_insight_step(run->wish->insight, &run->step, &account);
        if (status != JB_OK) {
            return status;
        }
    }
    run->answer->time_class = account.time_class;
    run->answer->energy_class = account.energy_class;
    run->answer->n_calls = 1;
    if (backend->detail == NULL) {
        return keep_charges(run, &account, op);
    }
    struct jb_op_detail detail = {.clock_hz = jb_missing()};
    status = backend->detail(run->device, op, &detail);
    return status == JB_OK ? keep_detail(run, &detail) : status;
}

static enum jb_status ask_stream(struct op_run *run)
{
    struct jb_op_detail detail = {.clock_hz = jb_missing()};
    watch(run);
    const enum jb_status status =
        run->wish->backend->exercise(run->device, &run->wish->stream, &detail);
    run->answer->time_class = JB_CLASS_SIMULATED;
    run->answer->energy_class = jb_is_missing(detail.energy_j) ? JB_CLASS_NONE : JB_CLASS_MODELLED;
    run->answer->n_calls = 1;
    return status == JB_OK ? keep_detail(run, &detail) : status;
}

/* ---- real devices ---- */

static enum jb_status call_once(void *ctx)
{
    struct op_run *run = ctx;
    const struct jb_backend *backend = run->wish->backend;
    enum jb_status status = JB_OK;
    const double begin_s = jb_clock_s();
    if (run->plan != NULL) {
        status = run_step(run, &run->step);
    } else {
        status = backend->exercise(run->device, &run->wish->stream, &run->exercised);
        if (status == JB_OK && backend->sync != NULL) {
            status = backend->sync(run->device);
        }
    }
    jb_marks_add(&run->marks, jb_clock_s() - begin_s);
    return status;
}

static enum jb_status warm_up(struct op_run *run)
{
    enum jb_status status = run->plan != NULL ? fill_cache(run) : JB_OK;
    const double begin_s = jb_clock_s();
    for (uint32_t i = 0; status == JB_OK; i++) {
        if (i >= WARM_CALLS && jb_clock_s() - begin_s >= WARM_S) {
            break;
        }
        status = call_once(run);
    }
    jb_marks_clear(&run->marks);
    return status;
}

static void keep_window(struct op_run *run, const struct jb_window *window)
{
    struct jb_op_answer *answer = run->answer;
    answer->time_s = jb_marks_quantile(&run->marks, 0.5);
    answer->time_p05_s = jb_marks_quantile(&run->marks, 0.05);
    answer->time_p95_s = jb_marks_quantile(&run->marks, 0.95);
    answer->n_calls = window->n_phases;
    answer->time_class = JB_CLASS_MEASURED;
    answer->energy_j = window->energy.energy_j / window->n_phases;
    answer->energy_class = window->energy.evidence;
    (void)snprintf(answer->energy_source, sizeof answer->energy_source, "%s",
                   window->energy.source);
}

/* Bytes that the op leaves in memory from call to call. */
static double resident_bytes(const struct op_run *run)
{
    if (run->plan == NULL) {
        return (double)run->wish->stream.bytes;
    }
    return (double)jb_plan_weight_bytes(run->plan) +
           (double)jb_plan_kv_bytes(run->plan, run->n_seqs, run->plan->max_context);
}

/* Before the device's memory is filled. */
static enum jb_status find_peaks(struct op_run *run)
{
    const struct jb_op_wish *wish = run->wish;
    const struct jb_probe *probe = &run->answer->probe;
    const struct jb_ceiling_args how = {
        .backend = wish->backend, .device = run->device, .window_s = wish->window_s / 2};
    struct jb_host host;
    enum jb_status status = jb_host_read(&host);
    if (status != JB_OK) {
        return status;
    }
    jb_peaks_read(wish->device, probe->platform == JB_CPU ? &host : NULL, &run->peaks);
    const struct jb_ceiling_wish ceilings = {.platform = probe->platform,
                                             .dtype = wish->op == JB_OP_IS_ATTENTION
                                                          ? JB_F32 /* as all backends do it */
                                                          : wish->format,
                                             .resident_bytes = resident_bytes(run),
                                             .cache_bytes = run->peaks.cache_bytes};
    if (wish->ceilings != NULL) {
        return jb_ceilings_pick(wish->ceilings, wish->n_ceilings, wish->backend->name,
                                probe->device, wish->threads, &ceilings, &run->peaks);
    }
    if (wish->has_ceiling && wish->backend->exercise != NULL) {
        return jb_ceilings_here(&how, &ceilings, &run->peaks);
    }
    return JB_OK;
}

/* Least time of one call, NaN where nothing bounds it. */
static double bound_s(const struct op_run *run, const struct jb_op_detail *detail)
{
    const double reads_s = resident_bytes(run) > JB_CACHE_FACTOR * run->peaks.cache_bytes
                               ? (double)detail->bytes / run->peaks.memory_bytes_per_s
                               : jb_missing();
    const double macs_s =
        detail->macs > 0 ? 2 * (double)detail->macs / run->peaks.op_per_s : jb_missing();
    return fmax(reads_s, macs_s);
}

/* Work and least time of one call. */
static void count_work(struct op_run *run)
{
    struct jb_op_detail *detail = &run->answer->detail;
    *detail = (struct jb_op_detail){.clock_hz = jb_missing(), .energy_j = jb_missing()};
    if (run->plan == NULL) {
        detail->bytes = run->exercised.bytes;
        detail->macs = run->exercised.macs;
    } else {
        struct jb_cost cost;
        const struct jb_program *program = &run->plan->programs[0];
        jb_op_cost(run->plan, &program->ops[program->n_ops - 1], &run->step, &cost);
        detail->macs = cost.macs;
        detail->bytes = cost.weight_bytes + cost.kv_read_bytes + cost.kv_write_bytes +
                        cost.act_read_bytes + cost.act_write_bytes;
    }
    detail->bound_s = bound_s(run, detail);
}

static enum jb_status time_device(struct op_run *run, struct jb_measure *measure)
{
    struct jb_window window;
    const struct jb_window_args args = {
        .phase = call_once, .ctx = run, .window_s = run->wish->window_s};
    enum jb_status status = jb_marks_create(MARKS_KEPT, &run->marks);
    if (status == JB_OK) {
        status = warm_up(run);
    }
    if (status == JB_OK) {
        status = jb_measure_window(measure, &args, &window);
    }
    if (status == JB_OK) {
        count_work(run);
        keep_window(run, &window);
    }
    jb_marks_free(&run->marks);
    return status;
}

/* ---- all ---- */

static enum jb_status run_open(struct op_run *run, struct jb_measure *measure, bool *ret_is_ready)
{
    enum jb_status status = JB_OK;
    if (run->wish->op == JB_OP_IS_STREAM) {
        if (run->wish->backend->exercise == NULL) {
            return jb_fail(JB_E_NOTSUP, "it has no streams of its own to run");
        }
        *ret_is_ready = true;
        status = is_modelled(run) ? JB_OK : find_peaks(run);
        if (status != JB_OK) {
            return status;
        }
        return is_modelled(run) ? ask_stream(run) : time_device(run, measure);
    }
    status = build_plan(run);
    if (status == JB_OK && !is_modelled(run)) {
        status = find_peaks(run);
    }
    if (status == JB_OK) {
        status = load(run);
    }
    *ret_is_ready = status == JB_OK;
    if (status != JB_OK) {
        return status;
    }
    return is_modelled(run) ? ask_device(run) : time_device(run, measure);
}

static enum jb_status run_device(struct op_run *run, struct jb_measure *measure, bool *ret_is_ready)
{
    const struct jb_backend *backend = run->wish->backend;
    run->device = calloc(1, backend->device_size > 0 ? backend->device_size : 1);
    if (run->device == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for backend `%s`", backend->name);
    }
    enum jb_status status = backend->open(run->device, &run->open);
    if (status == JB_OK) {
        status = run_open(run, measure, ret_is_ready);
        backend->close(run->device);
    }
    free(run->device);
    return status;
}

static enum jb_status prepare(struct op_run *run)
{
    const struct jb_op_wish *wish = run->wish;
    run->pus = calloc(wish->threads, sizeof *run->pus);
    if (run->pus == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the threads");
    }
    enum jb_status status = jb_host_pick_pus(wish->threads, run->pus);
    run->open = (struct jb_open_args){.device = wish->device,
                                      .settings = run->settings,
                                      .pus = run->pus,
                                      .n_threads = wish->threads,
                                      .seed = wish->seed,
                                      .commands = jb_insight_sink(wish->insight)};
    if (status == JB_OK) {
        status = jb_settings_check(wish->settings, wish->n_settings, &wish->backend, 1);
    }
    run->open.n_settings = jb_settings_choose(wish->settings, wish->n_settings, &wish->backend, 1,
                                              wish->backend, run->settings);
    if (status == JB_OK && jb_is_description(wish->backend, &run->open)) {
        run->open.device = NULL;
    }
    return status == JB_OK ? wish->backend->probe(&run->open, &run->answer->probe) : status;
}

enum jb_status jb_op_run(const struct jb_op_wish *wish, struct jb_op_answer *ret_answer,
                         bool *ret_is_ready)
{
    struct op_run run = {.wish = wish, .answer = ret_answer};
    struct jb_measure *measure = NULL;
    *ret_answer = (struct jb_op_answer){.time_p05_s = jb_missing(),
                                        .time_p95_s = jb_missing(),
                                        .energy_j = jb_missing(),
                                        .energy_class = JB_CLASS_NONE};
    *ret_is_ready = false;
    enum jb_status status = prepare(&run);
    if (status == JB_OK && !is_modelled(&run)) {
        const struct jb_measure_args args = {.meters = wish->meters,
                                             .device = wish->device,
                                             .n_threads = wish->threads,
                                             .scopes = jb_scopes_of(ret_answer->probe.platform),
                                             .has_sampler = true};
        status = jb_measure_open(&args, &measure);
    }
    if (status == JB_OK) {
        status = run_device(&run, measure, ret_is_ready);
    }
    jb_measure_close(measure);
    jb_single_free(run.plan);
    free(run.seqs);
    free(run.ids);
    free(run.pus);
    return status;
}
