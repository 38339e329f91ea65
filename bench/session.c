/* SPDX-License-Identifier: MIT */
/* Set-up of a session, the order of its backends, and its end. */
#include "bench/session.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "backends/registry.h"
#include "bench/session_internal.h"
#include "platforms/base/units.h"
#include "platforms/os/os.h"

volatile sig_atomic_t session_stop;

static void on_interrupt(int signal_number)
{
    session_stop = 1;
    (void)signal(signal_number, SIG_DFL); /* a second one ends the program at once */
}

void session_note(const struct session *session, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    if (session->args->is_quiet) {
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)fprintf(stderr, "joulebench: %s\n", text);
}

enum jb_status session_model(struct session *session, enum jb_execution execution,
                             struct model_use **ret_use)
{
    const struct jb_session_args *args = session->args;
    struct model_use *use = &session->uses[execution];
    const struct jb_model_args model_args = {.source = args->model,
                                             .format = args->format,
                                             .seed = args->seed,
                                             .has_weights = execution == JB_EXECUTE_FUNCTIONAL};
    const struct jb_plan_args plan_args = {.kv_dtype = args->kv_dtype, .n_ranks = 1};
    enum jb_status status = JB_OK;
    if (use->model == NULL) {
        status = jb_model_open(&model_args, &use->model);
    }
    if (status == JB_OK && use->plan == NULL) {
        status = jb_plan_build(use->model, &plan_args, &use->plan);
    }
    if (status == JB_OK) {
        *ret_use = use;
    }
    return status;
}

/* ---- checks before any work; each says what is wrong ---- */

/* refops first: the others are compared with it. */
static enum jb_status find_backends(struct session *session)
{
    const struct jb_session_args *args = session->args;
    for (uint32_t i = 0; i < args->n_backends; i++) {
        const struct jb_backend *backend = jb_registry_find(args->backends[i]);
        if (backend == NULL) {
            return JB_E_INVAL;
        }
        for (uint32_t b = 0; b < session->n_backends; b++) {
            if (session->backends[b] == backend) {
                return jb_fail(JB_E_INVAL, "--backend: `%s` is named twice", backend->name);
            }
        }
        if (args->execute == JB_EXECUTE_ALL_TIMING && (backend->caps & JB_CAP_MODELLED) == 0) {
            return jb_fail(JB_E_INVAL,
                           "--execute timing: `%s` is a real device, it must compute to be timed",
                           backend->name);
        }
        uint32_t at = session->n_backends++;
        if (strcmp(backend->name, "refops") == 0) {
            for (; at > 0; at--) {
                session->backends[at] = session->backends[at - 1];
            }
        }
        session->backends[at] = backend;
    }
    return jb_settings_check(args->settings, args->n_settings, session->backends,
                             session->n_backends);
}

/* Opens the meter list once without running anything: a wrong name ends the run before it starts,
 * and why nothing can be measured is said once. */
static enum jb_status check_meters(struct session *session)
{
    const struct jb_session_args *args = session->args;
    const struct jb_measure_args measure_args = {.meters = args->meters,
                                                 .device = args->device,
                                                 .n_threads = session->n_threads,
                                                 .scopes = JB_SCOPES_ALL,
                                                 .capacity = 1};
    struct jb_measure *measure = NULL;
    const enum jb_status status = jb_measure_open(&measure_args, &measure);
    if (status != JB_OK) {
        return status;
    }
    const char *source = NULL;
    const struct jb_absent *absent = NULL;
    const bool wants_energy = args->meters[0] != '\0' && strcmp(args->meters, "null") != 0;
    if (wants_energy && !jb_measure_source(measure, 0, &source)) {
        session_note(session,
                     "no meter of `--meter %s` gives energy here; those cells stay empty "
                     "(`joulebench doctor` says why, `--meter auto,model` estimates)",
                     args->meters);
    }
    for (uint32_t i = 0; jb_measure_absent(measure, i, &absent); i++) {
        if (strstr(args->meters, absent->name) != NULL) { /* asked for by name */
            session_note(session, "meter %s: %s%s%s", absent->name, absent->reason,
                         absent->unlock[0] != '\0' ? "; unlock: " : "", absent->unlock);
        }
    }
    jb_measure_close(measure);
    return JB_OK;
}

static enum jb_status encode_prompt(struct session *session, const struct jb_model_info *info)
{
    const char *text = session->args->prompt_text;
    struct jb_tokenizer *tokenizer = NULL;
    if (info->vocab == NULL || info->vocab->kind == JB_VOCAB_NONE) {
        return jb_fail(JB_E_INVAL,
                       "--prompt-text: model `%s` has no vocabulary; a GGUF file has one",
                       info->name);
    }
    enum jb_status status = jb_tokenizer_create(info->vocab, &tokenizer);
    if (status == JB_OK) {
        status = jb_tokenizer_encode(tokenizer, text, strlen(text), true, false,
                                     &session->prompt_ids, &session->prompt);
    }
    jb_tokenizer_free(tokenizer);
    if (status == JB_OK && session->prompt == 0) {
        status = jb_fail(JB_E_INVAL, "--prompt-text: the text has no tokens");
    }
    return status;
}

/* Sizes that depend on the model. */
static enum jb_status settle_sizes(struct session *session)
{
    const struct jb_session_args *args = session->args;
    bool needs_weights = args->execute == JB_EXECUTE_ALL_FUNCTIONAL;
    struct model_use *use = NULL;
    for (uint32_t b = 0; b < session->n_backends; b++) {
        needs_weights = needs_weights || (session->backends[b]->caps & JB_CAP_MODELLED) == 0;
    }
    enum jb_status status =
        session_model(session, needs_weights ? JB_EXECUTE_FUNCTIONAL : JB_EXECUTE_TIMING, &use);
    session->prompt = args->prompt;
    if (status == JB_OK && args->prompt_text != NULL) {
        status = encode_prompt(session, jb_model_info(use->model));
    }
    if (status != JB_OK) {
        return status;
    }
    session->depth = args->depth == JB_DEPTH_OF_PROMPT ? session->prompt : args->depth;
    const uint64_t start = session->prompt > session->depth ? session->prompt : session->depth;
    if (start + args->gen > use->plan->max_context) {
        return jb_fail(JB_E_INVAL,
                       "%llu positions and %u generated tokens exceed the context of `%s`, %u: "
                       "lower --prompt, --depth or --gen",
                       (unsigned long long)start, args->gen, use->plan->model,
                       use->plan->max_context);
    }
    for (uint32_t b = 0; b < args->n_batches; b++) {
        session->max_batch =
            args->batches[b] > session->max_batch ? args->batches[b] : session->max_batch;
    }
    return JB_OK;
}

static enum jb_status settle_threads(struct session *session)
{
    const enum jb_status status = jb_host_read(&session->host);
    session->n_threads =
        session->args->threads > 0 ? session->args->threads : jb_host_default_threads();
    session->pus = calloc(session->n_threads, sizeof *session->pus);
    if (status != JB_OK || session->pus == NULL) {
        return status != JB_OK ? status : jb_fail(JB_E_NOMEM, "no memory for the threads");
    }
    return jb_host_pick_pus(session->n_threads, session->pus);
}

static enum jb_status open_outputs(struct session *session)
{
    const struct jb_session_args *args = session->args;
    uint64_t cut_bytes = 0;
    enum jb_status status = jb_csv_create(args->output, &session->csv, &cut_bytes);
    if (status == JB_OK && cut_bytes > 0) {
        session_note(session, "%s: cut a torn last line of %llu bytes", args->output,
                     (unsigned long long)cut_bytes);
    }
    if (status == JB_OK && strcmp(args->output, "-") != 0 &&
        strcmp(args->output, "/dev/null") != 0) {
        status = jb_ids_create(args->output, &session->ids);
    }
    if (status == JB_OK && args->trace != NULL) {
        status = jb_trace_create(args->trace, &session->trace);
    }
    return status;
}

static enum jb_status prepare(struct session *session)
{
    enum jb_status status = find_backends(session);
    if (status == JB_OK) {
        status = settle_threads(session);
    }
    if (status == JB_OK) {
        status = settle_sizes(session);
    }
    if (status == JB_OK) {
        status = check_meters(session); /* last: it may say something and go on */
    }
    if (status == JB_OK) {
        status = open_outputs(session);
    }
    return status;
}

enum jb_status session_check_memory(const struct session *session, const struct model_use *use,
                                    uint32_t context)
{
    const uint64_t kv = jb_plan_kv_bytes(use->plan, session->max_batch, context);
    /* a file's pages can be read again, drawn weights must stay */
    const uint64_t weights =
        jb_model_info(use->model)->path == NULL ? jb_plan_weight_bytes(use->plan) : 0;
    const uint64_t available = jb_memory_available_bytes();
    if (available > 0 && (weights > available || kv > available - weights)) {
        return jb_fail(JB_E_NOMEM,
                       "`%s` needs %.1f GiB for weights and %.1f GiB for keys and values, %.1f GiB "
                       "are free: lower --batch, --prompt or --gen, or take a smaller --format",
                       use->plan->model, (double)weights / JB_GIB, (double)kv / JB_GIB,
                       (double)available / JB_GIB);
    }
    return JB_OK;
}

/* ---- the end ---- */

static void print_summary(const struct session *session)
{
    const struct jb_session_args *args = session->args;
    struct jb_group *groups = NULL;
    uint64_t n = 0;
    if (args->is_quiet || session->rows.n_rows == 0) {
        return;
    }
    if (jb_summarize(&session->rows, &groups, &n) == JB_OK) {
        (void)fputc('\n', stderr);
        (void)jb_summary_print(stderr, groups, n);
        (void)fputc('\n', stderr);
    }
    free(groups);
    if (!jb_is_missing(session->sampler_share)) {
        session_note(session, "the sampler thread used %.3f %% of one core",
                     100 * session->sampler_share);
    }
    if (strcmp(args->output, "-") != 0) {
        session_note(session, "%llu rows in %s, ids in %s.ids",
                     (unsigned long long)session->rows.n_rows, args->output, args->output);
    }
}

static void close_session(struct session *session)
{
    for (uint32_t b = 0; b < JB_MAX_BATCHES; b++) {
        for (uint32_t p = 0; p < JB_N_PHASES; p++) {
            free(session->references[b][p].ids);
            free(session->references[b][p].is_near);
        }
    }
    for (int i = 0; i < 2; i++) {
        jb_plan_free(session->uses[i].plan);
        jb_model_close(session->uses[i].model);
    }
    jb_ids_close(session->ids);
    free(session->rows.rows);
    free(session->prompt_ids);
    free(session->pus);
}

static enum jb_status run_backends(struct session *session)
{
    enum jb_status status = JB_OK;
    jb_progress_start(&session->progress);
    for (uint32_t b = 0; b < session->n_backends && status == JB_OK; b++) {
        status = session_run_backend(session, session->backends[b]);
    }
    jb_progress_end(&session->progress);
    if (status == JB_E_INTERRUPTED) {
        jb_cli_error("interrupted; %llu rows are kept in %s",
                     (unsigned long long)session->rows.n_rows, session->args->output);
        session->n_failed++;
        status = JB_OK;
    }
    return status;
}

int jb_session_run(const struct jb_session_args *args)
{
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL) {
        return jb_cli_fail(jb_fail(JB_E_NOMEM, "no memory for the session"));
    }
    session->args = args;
    session->sampler_share = jb_missing();
    session_stop = 0;
    void (*const before)(int) = signal(SIGINT, on_interrupt);
    enum jb_status status = prepare(session);
    if (status == JB_OK) {
        status = run_backends(session);
    }
    (void)signal(SIGINT, before);
    int code = status == JB_OK ? JB_EXIT_OK : jb_cli_fail(status);
    const enum jb_status csv_status = jb_csv_close(session->csv);
    const enum jb_status trace_status = jb_trace_close(session->trace);
    if (code == JB_EXIT_OK && (csv_status != JB_OK || trace_status != JB_OK)) {
        code = jb_cli_fail(csv_status != JB_OK ? csv_status : trace_status);
    }
    print_summary(session);
    if (code == JB_EXIT_OK) {
        code = session->n_failed > 0        ? JB_EXIT_FAILED
               : session->n_unavailable > 0 ? JB_EXIT_UNAVAILABLE
               : session->n_invalid > 0     ? JB_EXIT_INVALID
                                            : JB_EXIT_OK;
    }
    close_session(session);
    free(session);
    return code;
}
