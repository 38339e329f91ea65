/* SPDX-License-Identifier: MIT */
/* What a session checks before any work; each check says what is wrong. */
#include <stdlib.h>
#include <string.h>

#include "backends/registry.h"
#include "bench/checks.h"
#include "bench/session_internal.h"
#include "platforms/os/os.h"

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
            /* most reasons start with the meter's name */
            const size_t n = strlen(absent->name);
            const bool is_named =
                strncmp(absent->reason, absent->name, n) == 0 && absent->reason[n] == ':';
            session_note(session, "meter %s%s%s%s%s", is_named ? "" : absent->name,
                         is_named ? "" : ": ", absent->reason,
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
    session->prompt = args->n_image + args->prompt;
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
    const struct jb_insight_args *insight = &args->insight;
    if (status == JB_OK &&
        (insight->ops != NULL || insight->commands != NULL || insight->breakdown != NULL)) {
        status = jb_insight_open(insight, &session->insight);
    }
    return status;
}

/* Only a modelled device can be looked into. */
static enum jb_status check_insight(const struct session *session)
{
    const struct jb_insight_args *insight = &session->args->insight;
    const char *option = insight->ops != NULL         ? "--trace-ops"
                         : insight->commands != NULL  ? "--trace-commands"
                         : insight->breakdown != NULL ? "--breakdown"
                                                      : NULL;
    bool has_modelled = false;
    for (uint32_t b = 0; b < session->n_backends; b++) {
        has_modelled = has_modelled || (session->backends[b]->caps & JB_CAP_MODELLED) != 0;
    }
    return option == NULL || has_modelled
               ? JB_OK
               : jb_fail(JB_E_INVAL,
                         "%s: no asked backend is simulated; real devices are timed "
                         "from outside",
                         option);
}

/* What the user can have mistyped, before a model is opened. */
static enum jb_status check_words(struct session *session)
{
    const struct jb_session_args *args = session->args;
    enum jb_status status = find_backends(session);
    if (status == JB_OK) {
        status = jb_check_device(args->device, session->backends, session->n_backends);
    }
    if (status == JB_OK) {
        status = jb_check_folder("--output", args->output);
    }
    if (status == JB_OK) {
        status = jb_check_folder("--trace", args->trace);
    }
    if (status == JB_OK) {
        status = jb_check_folder("--trace-ops", args->insight.ops);
    }
    if (status == JB_OK) {
        status = jb_check_folder("--trace-commands", args->insight.commands);
    }
    if (status == JB_OK) {
        status = jb_check_folder("--breakdown", args->insight.breakdown);
    }
    if (status == JB_OK) {
        status = check_insight(session);
    }
    return status;
}

static enum jb_status read_ceilings(struct session *session)
{
    if (session->args->ceilings == NULL) {
        return JB_OK;
    }
    session->ceilings = calloc(JB_MAX_CEILINGS, sizeof *session->ceilings);
    if (session->ceilings == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the ceilings");
    }
    return jb_ceilings_read(session->args->ceilings, session->ceilings, &session->n_ceilings);
}

enum jb_status session_prepare(struct session *session)
{
    enum jb_status status = check_words(session);
    if (status == JB_OK) {
        status = read_ceilings(session);
    }
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
