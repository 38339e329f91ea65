/* SPDX-License-Identifier: MIT */
/* One backend of a session: open, load, idle baseline, then every batch: warm-up, repetitions. */
#include <stdlib.h>
#include <string.h>

#include "backends/registry.h"
#include "bench/checks.h"
#include "bench/session_internal.h"
#include "platforms/devices/device_file.h"
#include "platforms/os/os.h"

#define DEFAULT_REPS 5u
/* How long each ceiling is measured at the start, at most. */
#define CEILING_S 0.25

bool cell_is_modelled(const struct cell *cell)
{
    return (cell->backend->caps & JB_CAP_MODELLED) != 0;
}

static enum jb_execution choose_execution(const struct cell *cell)
{
    const struct session *session = cell->session;
    if (!cell_is_modelled(cell) || session->args->execute == JB_EXECUTE_ALL_FUNCTIONAL) {
        return JB_EXECUTE_FUNCTIONAL;
    }
    if (session->args->execute == JB_EXECUTE_ALL_TIMING) {
        return JB_EXECUTE_TIMING;
    }
    for (int i = 0; i < 2; i++) {
        if (session->uses[i].model != NULL) {
            return jb_model_info(session->uses[i].model)->n_params > JB_FUNCTIONAL_PARAMS_MAX
                       ? JB_EXECUTE_TIMING
                       : JB_EXECUTE_FUNCTIONAL;
        }
    }
    return JB_EXECUTE_FUNCTIONAL;
}

/* ---- one batch ---- */

static enum jb_status see_step(void *ctx, const struct jb_step *step,
                               const struct jb_account *account)
{
    return jb_insight_step(ctx, step, account);
}

/* One window. Modelled devices are looked into while it runs. */
static enum jb_status measure_phase(struct cell *cell, enum jb_phase phase, uint32_t repetition,
                                    const struct jb_window_args *args, struct jb_window *ret_window)
{
    struct jb_insight *insight = cell->session->insight;
    const struct jb_record *common = &cell->row.common;
    const struct jb_step_observer observer = {.seen = see_step, .ctx = insight};
    const bool is_seen = insight != NULL && cell_is_modelled(cell);
    jb_phases_clear(cell->phases);
    if (is_seen) {
        jb_insight_begin(insight, &(struct jb_insight_place){.backend = cell->backend,
                                                             .device = cell->device,
                                                             .plan = cell->use->plan,
                                                             .device_name = common->device,
                                                             .run_id = common->run_id,
                                                             .model = common->model,
                                                             .weight_format = common->weight_format,
                                                             .phase = jb_phase_name(phase),
                                                             .batch = cell->phases->args.batch,
                                                             .repetition = repetition});
        cell->phases->observer = &observer;
    }
    const enum jb_status status = jb_measure_window(cell->measure, args, ret_window);
    cell->phases->observer = NULL;
    return status == JB_OK && is_seen ? jb_insight_end(insight) : status;
}

/* One repetition: a window a wanted phase. @param is_kept false = warm-up. */
static enum jb_status repeat(struct cell *cell, unsigned wanted, uint32_t repetition, bool is_kept)
{
    static enum jb_status (*const runs[])(void *ctx) = {jb_phases_prefill, jb_phases_decode,
                                                        jb_phases_total};
    struct session *session = cell->session;
    char utc[32];
    jb_utc_now(utc);
    for (enum jb_phase phase = JB_PREFILL; phase < JB_N_PHASES; phase++) {
        if ((wanted & 1u << phase) == 0) {
            continue;
        }
        jb_progress_show(&session->progress, "%s: batch %u, %s %u, %s", cell->backend->name,
                         cell->phases->args.batch, is_kept ? "repetition" : "warm-up", repetition,
                         jb_phase_name(phase));
        const bool wants_fill =
            phase == JB_DECODE || (phase == JB_TOTAL && session->args->shares_prompt);
        enum jb_status status = wants_fill ? jb_phases_fill(cell->phases) : JB_OK;
        if (status != JB_OK) {
            return status;
        }
        const struct jb_window_args window_args = {.phase = runs[phase],
                                                   .ctx = cell->phases,
                                                   .window_s = session->args->window_s,
                                                   .max_phases = cell_is_modelled(cell) ? 1 : 0};
        struct jb_window window;
        status = measure_phase(cell, phase, repetition, &window_args, &window);
        if (status != JB_OK) {
            return status;
        }
        struct jb_record record;
        if (is_kept) {
            jb_row_fill(&cell->row, phase, repetition, utc, &window, &record);
            status = cell_keep_row(cell, phase, &record);
        }
        if (status != JB_OK) {
            return status;
        }
    }
    return JB_OK;
}

/* refops is the numerical truth: its ids are what others are compared with. */
static enum jb_status keep_reference(struct cell *cell)
{
    struct jb_reference *references = cell->session->references[cell->batch_index];
    const size_t n = (size_t)cell->phases->args.batch * cell->phases->args.gen;
    for (enum jb_phase phase = JB_DECODE; phase < JB_N_PHASES; phase++) {
        struct jb_reference *reference = &references[phase];
        int32_t *ids = calloc(n, sizeof *ids);
        bool *is_near = calloc(n, sizeof *is_near);
        enum jb_status status = ids == NULL || is_near == NULL
                                    ? jb_fail(JB_E_NOMEM, "no memory for the reference ids")
                                    : jb_phases_reference(cell->phases, phase, ids, is_near);
        if (status != JB_OK) {
            free(ids);
            free(is_near);
            return status;
        }
        *reference = (struct jb_reference){.ids = ids, .is_near = is_near};
    }
    return JB_OK;
}

static enum jb_status show_text(struct cell *cell)
{
    const struct session *session = cell->session;
    const struct jb_session_args *args = session->args;
    const struct jb_vocab *vocab = jb_model_info(cell->use->model)->vocab;
    const struct jb_phases *phases = cell->phases;
    struct jb_tokenizer *tokenizer = NULL;
    char *text = NULL;
    size_t size = 0;
    /* the prompt, the id that the prefill returned, and all decode ids but the last */
    const uint32_t limit = session->prompt + args->gen;
    uint32_t n = session->prompt;
    while (n < limit && phases->inputs[n] != vocab->eos_id) {
        n++;
    }
    enum jb_status status = jb_tokenizer_create(vocab, &tokenizer);
    if (status == JB_OK) {
        status = jb_tokenizer_decode(tokenizer, phases->inputs, n, &text, &size);
    }
    if (status == JB_OK) {
        FILE *out = strcmp(args->output, "-") == 0 ? stderr : stdout;
        (void)fprintf(out, "%s: %s\n", cell->backend->name, text);
        (void)fflush(out);
    }
    free(text);
    jb_tokenizer_free(tokenizer);
    return status;
}

/* What of a batch is run with one set of phases. */
struct part {
    uint32_t depth, gen;
    unsigned phases; /* a set: bit 1 << enum jb_phase */
};

/* Repetitions of one part. */
static enum jb_status repeat_part(struct cell *cell, const struct part *part)
{
    struct session *session = cell->session;
    const struct jb_session_args *args = session->args;
    const uint32_t reps = args->reps > 0 ? args->reps : cell_is_modelled(cell) ? 1 : DEFAULT_REPS;
    const bool is_reference = strcmp(cell->backend->name, "refops") == 0;
    enum jb_status status = JB_OK;
    if (is_reference && session->n_backends > 1 && args->n_parts < 2) {
        status = keep_reference(cell);
    }
    memcpy(cell->row.references, session->references[cell->batch_index],
           sizeof cell->row.references);
    if (status == JB_OK && !cell_is_modelled(cell)) {
        status = repeat(cell, part->phases, 0, false); /* a modelled device has nothing to warm */
    }
    for (uint32_t i = 0; i < reps && status == JB_OK; i++) {
        status = repeat(cell, part->phases, i, true);
    }
    jb_progress_end(&session->progress);
    if (status == JB_OK && args->wants_text && session->prompt_ids != NULL &&
        cell->execution == JB_EXECUTE_FUNCTIONAL && (cell->backend->caps & JB_CAP_NO_RESULT) == 0) {
        status = show_text(cell);
    }
    return status;
}

static enum jb_status run_part(struct cell *cell, const struct part *part)
{
    const struct session *session = cell->session;
    const struct jb_session_args *args = session->args;
    const uint32_t batch = args->batches[cell->batch_index];
    const struct jb_phases_args phases_args = {.backend = cell->backend,
                                               .device = cell->device,
                                               .plan = cell->use->plan,
                                               .execution = cell->execution,
                                               .batch = batch,
                                               .prompt = session->prompt,
                                               .gen = part->gen,
                                               .depth = part->depth,
                                               .chunk = args->chunk,
                                               .is_free = session->prompt_ids != NULL,
                                               .prompt_ids = session->prompt_ids,
                                               .n_image = args->n_image,
                                               .shares_prompt = args->shares_prompt,
                                               .seed = args->seed,
                                               .stop = &session_stop};
    enum jb_status status = cell->backend->reset(cell->device);
    if (status == JB_OK) {
        status = jb_phases_create(&phases_args, &cell->phases);
    }
    if (status != JB_OK) {
        return status;
    }
    cell->row.phases = cell->phases;
    memset(cell->row.first_digests, 0, sizeof cell->row.first_digests);
    cell_fill_common(cell, batch, &cell->row.common);
    cell->row.common.output_tokens = part->gen;
    cell->row.resident_bytes =
        (double)cell->row.common.weight_bytes +
        (double)jb_plan_kv_bytes(cell->use->plan, batch, cell->phases->n_inputs);
    status = repeat_part(cell, part);
    jb_phases_free(cell->phases);
    cell->phases = NULL;
    return status;
}

static enum jb_status run_batch(struct cell *cell)
{
    const struct session *session = cell->session;
    const struct jb_session_args *args = session->args;
    const unsigned prefill = 1u << JB_PREFILL, decode = 1u << JB_DECODE, total = 1u << JB_TOTAL;
    const uint32_t n_parts = args->n_parts > 1 ? args->n_parts : 1;
    if (n_parts == 1) {
        return run_part(cell, &(struct part){.depth = session->depth,
                                             .gen = args->gen,
                                             .phases = prefill | decode | total});
    }
    enum jb_status status = JB_OK;
    uint32_t done = 0;
    for (uint32_t i = 0; i < n_parts && status == JB_OK; i++) {
        const uint32_t end = (uint32_t)((uint64_t)args->gen * (i + 1) / n_parts);
        const struct part part = {.depth = session->prompt + done,
                                  .gen = end - done,
                                  .phases = i == 0 ? prefill | decode : decode};
        status = run_part(cell, &part);
        done = end;
    }
    return status != JB_OK
               ? status
               : run_part(cell, &(struct part){
                                    .depth = session->prompt, .gen = args->gen, .phases = total});
}

/* ---- one backend ---- */

static enum jb_status open_measure(struct cell *cell)
{
    const struct jb_session_args *args = cell->session->args;
    const struct jb_measure_args measure_args = {
        /* meters would see the host that simulates, not the device */
        .meters = cell_is_modelled(cell) ? "" : args->meters,
        .device = args->device,
        .n_threads = cell->session->n_threads,
        .scopes = jb_scopes_of(cell->probe.platform),
        .has_sampler = args->has_sampler};
    return jb_measure_open(&measure_args, &cell->measure);
}

static enum jb_status load(struct cell *cell)
{
    const struct session *session = cell->session;
    const uint32_t context =
        (session->prompt > session->depth ? session->prompt : session->depth) + session->args->gen;
    const uint32_t filled = session->prompt > session->depth ? session->prompt : session->depth;
    const uint32_t longest = session->args->n_parts > 1 ? context : filled; /* later parts fill */
    const uint32_t chunk = session->args->chunk < longest ? session->args->chunk : longest;
    if (cell->probe.platform == JB_CPU && !cell_is_modelled(cell) &&
        (cell->backend->caps & JB_CAP_NO_RESULT) == 0) {
        const bool is_drawn = jb_model_info(cell->use->model)->path == NULL;
        const enum jb_status status =
            jb_check_memory(cell->use->plan, is_drawn, session->max_batch, context,
                            "lower --batch, --prompt or --gen, or take a smaller --format");
        if (status != JB_OK) {
            return status;
        }
    }
    if ((uint64_t)session->max_batch * chunk > INT32_MAX) {
        return jb_fail(JB_E_INVAL,
                       "%u sequences of %u tokens are too many for a step: lower --chunk",
                       session->max_batch, chunk);
    }
    const struct jb_load_args load_args = {.plan = cell->use->plan,
                                           .max_seqs = session->max_batch,
                                           .max_tokens = session->max_batch * chunk,
                                           .max_outputs = session->max_batch,
                                           .context = context,
                                           .execution = cell->execution};
    return cell->backend->load(cell->device, &load_args);
}

static void note_sampler(struct cell *cell)
{
    struct jb_sampler_stats stats;
    jb_measure_sampler(cell->measure, &stats);
    if (!jb_is_missing(stats.cpu_share) && !(stats.cpu_share <= cell->session->sampler_share)) {
        cell->session->sampler_share = stats.cpu_share;
    }
}

static enum jb_status run_loaded(struct cell *cell)
{
    struct session *session = cell->session;
    const struct jb_session_args *args = session->args;
    jb_progress_show(&session->progress, "%s: idle baseline", cell->backend->name);
    enum jb_status status = jb_measure_idle(cell->measure);
    if (status == JB_OK && session->trace != NULL) {
        const struct jb_trace_place place = {
            .run_id = "", .backend = cell->backend->name, .phase = "idle"};
        status = jb_trace_add(session->trace, &place, cell->measure);
    }
    jb_peaks_read(args->device, cell->probe.platform == JB_CPU ? &session->host : NULL,
                  &cell->row.peaks);
    for (uint32_t b = 0; b < args->n_batches && status == JB_OK; b++) {
        cell->batch_index = b;
        status = run_batch(cell);
    }
    note_sampler(cell);
    return status;
}

/* Most of a model's weights are in the type that its format is named after. */
static enum jb_dtype main_dtype(const struct cell *cell)
{
    enum jb_dtype dtype = JB_F32;
    (void)jb_format_by_name(jb_model_info(cell->use->model)->format, &dtype);
    return dtype;
}

static void note_ceilings(const struct cell *cell)
{
    const struct jb_peaks *ceilings = &cell->row.ceilings;
    if (!jb_is_missing(ceilings->memory_bytes_per_s)) {
        session_note(cell->session, "%s: ceiling of reading: %.3g GB/s", cell->backend->name,
                     ceilings->memory_bytes_per_s / 1e9);
    }
    if (!jb_is_missing(ceilings->op_per_s)) {
        session_note(cell->session, "%s: ceiling of arithmetic: %.3g Gop/s", cell->backend->name,
                     ceilings->op_per_s / 1e9);
    }
}

/* What the device can do at most, before its memory is filled: measured now, or of --ceilings. */
static enum jb_status find_ceilings(struct cell *cell)
{
    struct session *session = cell->session;
    const struct jb_session_args *args = session->args;
    struct jb_peaks *ceilings = &cell->row.ceilings;
    const bool is_host = cell->probe.platform == JB_CPU;
    const struct jb_ceiling_args how = {.backend = cell->backend,
                                        .device = cell->device,
                                        .window_s = args->window_s < CEILING_S ? args->window_s
                                                                               : CEILING_S};
    struct jb_ceiling_wish wish = {.platform = cell->probe.platform, .dtype = main_dtype(cell)};
    struct jb_peaks peaks;
    jb_peaks_read(args->device, is_host ? &session->host : NULL, &peaks);
    *ceilings = (struct jb_peaks){.memory_bytes_per_s = jb_missing(),
                                  .op_per_s = jb_missing(),
                                  .limit_w = jb_missing(),
                                  .cache_bytes = peaks.cache_bytes};
    if (cell_is_modelled(cell) || cell->backend->exercise == NULL || !args->has_ceiling) {
        return JB_OK;
    }
    wish.cache_bytes = peaks.cache_bytes;
    wish.resident_bytes = (double)jb_plan_weight_bytes(cell->use->plan);
    if (session->ceilings != NULL) {
        if (jb_ceilings_pick(session->ceilings, session->n_ceilings, cell->backend->name,
                             cell->probe.device, session->n_threads, &wish, ceilings) != JB_OK) {
            session_note(session, "%s", jb_reason()); /* the table may be another backend's */
        }
        return JB_OK;
    }
    jb_progress_show(&session->progress, "%s: measuring the ceilings", cell->backend->name);
    const enum jb_status status = jb_ceilings_here(&how, &wish, ceilings);
    jb_progress_end(&session->progress);
    if (status == JB_OK) {
        note_ceilings(cell);
    }
    return status;
}

/* Opens the device, runs, closes. @param ret_is_loaded whether load() had succeeded. */
static enum jb_status run_device(struct cell *cell, bool *ret_is_loaded)
{
    cell->device = calloc(1, cell->backend->device_size > 0 ? cell->backend->device_size : 1);
    if (cell->device == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for backend `%s`", cell->backend->name);
    }
    enum jb_status status = cell->backend->open(cell->device, &cell->open);
    if (status == JB_OK) {
        status = find_ceilings(cell);
        if (status == JB_OK) {
            jb_progress_show(&cell->session->progress, "%s: loading the model",
                             cell->backend->name);
            status = load(cell);
        }
        *ret_is_loaded = status == JB_OK;
        if (status == JB_OK) {
            status = run_loaded(cell);
        }
        cell->backend->close(cell->device);
    }
    free(cell->device);
    return status;
}

static bool means_unavailable(enum jb_status status)
{
    return status == JB_E_NODEV || status == JB_E_PERM || status == JB_E_NOTSUP;
}

/* What the end of one backend means for the session. */
static enum jb_status settle(const struct cell *cell, enum jb_status status, bool is_loaded)
{
    struct session *session = cell->session;
    jb_progress_end(&session->progress);
    if (status == JB_OK || status == JB_E_INTERRUPTED || status == JB_E_IO) {
        return status;
    }
    if (!is_loaded && (status == JB_E_INVAL || status == JB_E_FORMAT)) {
        return status; /* what the user gave it is wrong: a setting, a file */
    }
    if (!is_loaded && means_unavailable(status)) {
        session->n_unavailable++;
        jb_cli_error("backend `%s` is unavailable: %s", cell->backend->name, jb_reason());
    } else {
        session->n_failed++;
        jb_cli_error("backend `%s` failed: %s", cell->backend->name, jb_reason());
    }
    return JB_OK;
}

enum jb_status session_run_backend(struct session *session, const struct jb_backend *backend)
{
    struct cell cell = {.session = session,
                        .backend = backend,
                        .open = {.device = session->args->device,
                                 .pus = session->pus,
                                 .n_threads = session->n_threads,
                                 .commands = jb_insight_sink(session->insight),
                                 .seed = session->args->seed}};
    bool is_loaded = false;
    cell.row.backend = backend;
    const struct jb_session_args *args = session->args;
    cell.open.settings = cell.settings;
    cell.open.n_settings = jb_settings_choose(args->settings, args->n_settings, session->backends,
                                              session->n_backends, backend, cell.settings);
    if (jb_is_description(backend, &cell.open)) {
        cell.open.device = NULL;
    }
    cell.execution = choose_execution(&cell);
    enum jb_status status = backend->probe(&cell.open, &cell.probe);
    if (status == JB_OK) {
        status = session_model(session, cell.execution, &cell.use);
    }
    if (status == JB_OK) {
        status = open_measure(&cell); /* before threads start: counters are inherited */
    }
    if (status == JB_OK) {
        if (cell_is_modelled(&cell)) {
            session_note(session, "%s: execution %s", backend->name,
                         cell.execution == JB_EXECUTE_TIMING ? "timing" : "functional");
        }
        status = run_device(&cell, &is_loaded);
    }
    jb_measure_close(cell.measure);
    return settle(&cell, status, is_loaded);
}
