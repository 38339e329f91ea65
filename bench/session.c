/* SPDX-License-Identifier: MIT */
/* A session: the order of its backends, and its end. */
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

/* Said once, though a session may open the model twice. */
static void note_format(struct session *session, const struct jb_model_info *info)
{
    if (info->wanted_format != NULL && !session->has_noted_format) {
        session_note(session,
                     "`%s`: most rows do not divide into blocks of %s; its weights are %s, and "
                     "weight_format says so",
                     info->name, info->wanted_format, info->format);
        session->has_noted_format = true;
    }
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
        if (status == JB_OK) {
            note_format(session, jb_model_info(use->model));
        }
    }
    if (status == JB_OK && use->plan == NULL) {
        status = jb_plan_build(use->model, &plan_args, &use->plan);
    }
    if (status == JB_OK) {
        *ret_use = use;
    }
    return status;
}

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
    free(session->ceilings);
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
    enum jb_status status = session_prepare(session);
    if (status == JB_OK) {
        status = run_backends(session);
    }
    (void)signal(SIGINT, before);
    int code = status == JB_OK ? JB_EXIT_OK : jb_cli_fail(status);
    const enum jb_status csv_status = jb_csv_close(session->csv);
    enum jb_status trace_status = jb_trace_close(session->trace);
    const enum jb_status insight_status = jb_insight_close(session->insight);
    trace_status = trace_status != JB_OK ? trace_status : insight_status;
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
