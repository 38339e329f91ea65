/* SPDX-License-Identifier: MIT */
/* The rows of one backend: what stands on all of them, and where each one goes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "bench/session_internal.h"
#include "jb_commit.h"

static void hash_text(XXH64_state_t *state, const char *text)
{
    (void)XXH64_update(state, text != NULL ? text : "", text != NULL ? strlen(text) : 0);
    (void)XXH64_update(state, "", 1);
}

/* Hash of everything that was asked for, in a fixed order; not of what was found here. */
static void make_run_id(const struct cell *cell, uint32_t batch, char *ret_id, size_t size)
{
    const struct session *session = cell->session;
    const struct jb_session_args *args = session->args;
    char numbers[256];
    XXH64_state_t *state = XXH64_createState();
    if (state == NULL || XXH64_reset(state, 0) != XXH_OK) {
        (void)snprintf(ret_id, size, "unknown");
        return;
    }
    (void)snprintf(numbers, sizeof numbers, "%u/%u/%u/%u/%u/%u/%.17g/%" PRIu64 "/%d/%d", batch,
                   session->prompt, args->gen, session->depth, args->chunk, session->n_threads,
                   args->window_s, args->seed, (int)args->kv_dtype, (int)cell->execution);
    hash_text(state, JB_SCHEMA);
    hash_text(state, cell->backend->name);
    hash_text(state, args->device);
    hash_text(state, args->model);
    hash_text(state, args->format);
    hash_text(state, args->meters);
    hash_text(state, args->prompt_text);
    hash_text(state, numbers);
    if (args->workload != NULL || args->power_cap_w > 0) {
        (void)snprintf(numbers, sizeof numbers, "%u/%u/%d/%.17g", args->n_image, args->n_parts,
                       (int)args->shares_prompt, args->power_cap_w);
        hash_text(state, args->workload);
        hash_text(state, numbers);
    }
    for (uint32_t i = 0; i < cell->open.n_settings; i++) {
        hash_text(state, cell->settings[i].key);
        hash_text(state, cell->settings[i].value);
    }
    (void)snprintf(ret_id, size, "%016" PRIx64, XXH64_digest(state));
    (void)XXH64_freeState(state);
}

#define PUT(member, text) ((void)snprintf(member, sizeof(member), "%s", text))

/* A device of the kind "... (avx512)" names the SIMD level of its kernels. */
static void put_simd(struct jb_record *record)
{
    const char *open = strrchr(record->device, '(');
    char name[16] = "";
    enum jb_simd level;
    if (open != NULL && strlen(open) > 2 && strlen(open) < sizeof name) {
        (void)snprintf(name, sizeof name, "%.*s", (int)strlen(open) - 2, open + 1);
    }
    if (jb_simd_by_name(name, &level)) {
        PUT(record->simd, jb_simd_name(level));
    }
}

void cell_fill_common(struct cell *cell, uint32_t batch, struct jb_record *record)
{
    const struct session *session = cell->session;
    const struct jb_session_args *args = session->args;
    const struct jb_model_info *info = jb_model_info(cell->use->model);
    const bool is_functional = cell->execution == JB_EXECUTE_FUNCTIONAL;
    jb_record_init(record);
    make_run_id(cell, batch, record->run_id, sizeof record->run_id);
    PUT(record->host, session->host.host_name);
    PUT(record->commit, JB_COMMIT);
    PUT(record->backend, cell->backend->name);
    PUT(record->platform, jb_platform_name(cell->probe.platform));
    PUT(record->device, cell->probe.device);
    record->n_devices = cell->probe.n_devices;
    record->threads = session->n_threads;
    record->seed = (int64_t)args->seed;
    PUT(record->model, info->name);
    PUT(record->weight_format, info->format);
    if (info->wanted_format != NULL) {
        jb_record_reason(record, "format-fallback");
    }
    PUT(record->kv_format, jb_format(args->kv_dtype)->name);
    PUT(record->method, "none");
    PUT(record->method_class, "none");
    PUT(record->execution, is_functional ? "functional" : "timing");
    PUT(record->feed, session->prompt_ids != NULL ? "free" : "forced");
    record->batch = batch;
    record->prompt_tokens = session->prompt;
    record->output_tokens = args->gen;
    record->prefill_chunk = args->chunk;
    record->weight_bytes = (int64_t)jb_plan_weight_bytes(cell->use->plan);
    record->kv_bytes = (int64_t)jb_plan_kv_bytes(
        cell->use->plan, session->max_batch,
        (session->prompt > session->depth ? session->prompt : session->depth) + args->gen);
    put_simd(record);
    PUT(record->workload, args->workload != NULL ? args->workload : "");
    if (args->n_image > 0) {
        record->image_tokens = args->n_image;
    }
    if (args->power_cap_w > 0) {
        record->power_cap_w = args->power_cap_w;
    }
}

enum jb_status cell_keep_row(struct cell *cell, enum jb_phase phase, const struct jb_record *record)
{
    struct session *session = cell->session;
    const struct jb_phases *phases = cell->phases;
    enum jb_status status = jb_csv_write(session->csv, record);
    if (status == JB_OK && session->ids != NULL && record->tokens_digest[0] != '\0') {
        status = jb_ids_write(session->ids, record->tokens_digest, phases->outputs,
                              phases->args.batch, phases->args.gen);
    }
    if (status == JB_OK && session->trace != NULL && !cell_is_modelled(cell)) {
        const struct jb_trace_place place = {.run_id = record->run_id,
                                             .backend = record->backend,
                                             .phase = jb_phase_name(phase),
                                             .batch = phases->args.batch,
                                             .repetition = (uint32_t)record->repetition};
        status = jb_trace_add(session->trace, &place, cell->measure);
    }
    session->n_invalid +=
        strcmp(record->verdict, "INVALID") == 0 || strcmp(record->energy_verdict, "INVALID") == 0;
    struct jb_record *grown =
        realloc(session->rows.rows, (session->rows.n_rows + 1) * sizeof *grown);
    if (grown == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the summary");
    }
    session->rows.rows = grown;
    grown[session->rows.n_rows++] = *record;
    return status;
}
