/* SPDX-License-Identifier: MIT */
#include "bench/row.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/ids.h"
#include "platforms/os/os.h"

/* Two estimators of the same thing that differ by more are both in doubt (rule R30). */
#define MAX_DISAGREEMENT 0.05
/* Below this share of ids that are equal or near ties, something else was computed. */
#define MIN_AGREEMENT 0.9

static bool is_modelled(const struct jb_row_context *context)
{
    return (context->backend->caps & JB_CAP_MODELLED) != 0;
}

static void put_text(char *cell, size_t size, const char *text)
{
    (void)snprintf(cell, size, "%s", text);
}
#define PUT(member, text) put_text(member, sizeof(member), text)

static int64_t tokens_of(const struct jb_phases_args *args, enum jb_phase phase)
{
    const uint32_t n_read = args->shares_prompt ? 1 : args->batch;
    return phase == JB_PREFILL ? (int64_t)n_read * args->prompt : (int64_t)args->batch * args->gen;
}

static void fill_measured(const struct jb_window *window, struct jb_record *record)
{
    const double n = window->n_phases;
    record->window_s = window->window_s;
    record->n_phases = window->n_phases;
    record->time_s = window->window_s / n;
    PUT(record->time_class, jb_class_name(JB_CLASS_MEASURED));
    record->energy_j = window->energy.energy_j / n;
    PUT(record->energy_class, jb_class_name(window->energy.evidence));
    PUT(record->energy_source, window->energy.source);
    PUT(record->energy_scope, window->energy.scope);
    record->energy_alt_j = window->alt.energy_j / n;
    PUT(record->energy_alt_source, window->alt.source);
    record->idle_w = window->energy.idle_w;
    record->instructions = window->instructions / n;
    record->cycles = window->cycles / n;
    record->llc_misses = window->llc_misses / n;
    record->temperature_c = window->temperature_c;
    record->clock_hz = window->clock_hz;
    PUT(record->throttle, window->throttle);
    jb_record_reason(record, window->energy.reason);
    if (window->throttle[0] != '\0') {
        jb_record_reason(record, "throttled");
    }
}

/* Modelled devices: one phase a window; meters saw the host that simulates, not the device. */
static void fill_modelled(const struct jb_row_context *context, const struct jb_window *window,
                          struct jb_record *record)
{
    const struct jb_modelled *modelled = &context->phases->modelled;
    const double n = window->n_phases;
    record->window_s = modelled->time_s;
    record->n_phases = window->n_phases;
    record->time_s = modelled->time_s / n;
    PUT(record->time_class, jb_class_name(modelled->time_class));
    record->host_time_s = window->window_s / n;
    record->energy_j = modelled->energy_j / n;
    if (jb_is_missing(record->energy_j)) {
        jb_record_reason(record, "not-modelled");
        return;
    }
    PUT(record->energy_class, jb_class_name(modelled->energy_class));
    PUT(record->energy_source, "account");
    PUT(record->energy_scope, jb_scope_name(JB_SCOPE_MODEL));
}

static void fill_derived(struct jb_record *record)
{
    record->tokens_per_s = (double)record->tokens / record->time_s;
    record->power_w = record->energy_j / record->time_s;
    record->tokens_per_j = (double)record->tokens / record->energy_j;
    record->net_energy_j = record->energy_j - record->idle_w * record->time_s;
}

static void fill_marks(struct jb_phases *phases, enum jb_phase phase, struct jb_record *record)
{
    if (phase != JB_DECODE) {
        record->ttft_s = jb_marks_quantile(&phases->first_marks, 0.5);
    }
    if (phase != JB_PREFILL) {
        record->tpot_p50_s = jb_marks_quantile(&phases->step_marks, 0.5);
        record->tpot_p95_s = jb_marks_quantile(&phases->step_marks, 0.95);
    }
}

static void call(struct jb_record *record, const char *verdict, const char *reason)
{
    PUT(record->verdict, verdict);
    jb_record_reason(record, reason);
}

static void judge_ids(struct jb_row_context *context, enum jb_phase phase, struct jb_record *record)
{
    const struct jb_phases *phases = context->phases;
    const struct jb_phases_args *args = &phases->args;
    const struct jb_reference *reference = &context->references[phase];
    if (phase == JB_PREFILL) {
        return;
    }
    if (args->execution == JB_EXECUTE_TIMING) {
        jb_record_reason(record, "timing-only");
        return;
    }
    if (phases->n_emitted != (uint64_t)record->tokens * (uint64_t)record->n_phases) {
        call(record, "INVALID", "tokens-miscounted");
    }
    if ((context->backend->caps & JB_CAP_NO_RESULT) != 0) {
        jb_record_reason(record, "no-result");
        return;
    }
    char *first = context->first_digests[phase];
    jb_ids_digest(phases->outputs, (uint64_t)args->batch * args->gen, record->tokens_digest);
    if (first[0] == '\0') {
        (void)snprintf(first, sizeof context->first_digests[phase], "%s", record->tokens_digest);
    } else if (strcmp(first, record->tokens_digest) != 0) {
        jb_record_reason(record, "ids-unstable");
    }
    if (reference->ids == NULL) {
        return;
    }
    jb_ids_compare(phases->outputs, reference->ids, reference->is_near, args->batch, args->gen,
                   args->is_free, &record->ids_agree, &record->ids_near_tie);
    const double share = record->ids_agree + record->ids_near_tie;
    if (share < MIN_AGREEMENT) {
        call(record, "INVALID", "ids-differ");
    } else if (share < 1 - 1e-12) {
        jb_record_reason(record, "ids-differ");
    }
}

static void judge_time(struct jb_row_context *context, enum jb_phase phase,
                       struct jb_record *record)
{
    const char *reason = "";
    const char *unused = "";
    if ((context->backend->caps & JB_CAP_NO_RESULT) != 0) {
        return; /* did no work: no peak applies */
    }
    const struct jb_modelled *modelled = &context->phases->modelled;
    double peak_s =
        jb_gate_least_s(context->phases, phase, &context->peaks, context->resident_bytes, &reason);
    if (modelled->bound_s > 0) { /* a simulator knows its own peaks better than the common keys */
        peak_s = modelled->bound_s / (double)record->n_phases;
        reason = "";
    }
    const double ceiling_s = jb_gate_least_s(context->phases, phase, &context->ceilings,
                                             context->resident_bytes, &unused);
    const bool has_ceiling = !jb_is_missing(ceiling_s);
    const double least_s = has_ceiling ? ceiling_s : peak_s;
    jb_record_reason(record, has_ceiling ? "" : reason);
    record->bound_tokens_per_s = (double)record->tokens / least_s;
    record->bound_share = record->tokens_per_s / record->bound_tokens_per_s;
    if (peak_s > JB_PEAK_TOLERANCE * record->time_s) {
        call(record, "INVALID", "beats-peak");
    }
    if (has_ceiling && record->bound_share > JB_CEILING_TOLERANCE) {
        jb_record_reason(record, "ceiling-moved");
    }
}

static void judge_energy(const struct jb_row_context *context, struct jb_record *record)
{
    if (jb_is_missing(record->energy_j)) {
        jb_record_reason(record, record->power_cap_w > 0 ? "power-cap-unchecked" : "");
        return;
    }
    PUT(record->energy_verdict, "INDICATIVE");
    if (record->power_w > record->power_cap_w) {
        PUT(record->energy_verdict, "INVALID");
        jb_record_reason(record, "above-power-cap");
    }
    if (record->power_w > JB_LIMIT_TOLERANCE * context->peaks.limit_w) {
        PUT(record->energy_verdict, "INVALID");
        jb_record_reason(record, "above-power-limit");
    }
    /* rule R31; 5 % for the drift of an idle machine */
    if (record->power_w < 0.95 * record->idle_w) {
        jb_record_reason(record, "below-idle");
    }
    if (fabs(record->energy_alt_j / record->energy_j - 1) > MAX_DISAGREEMENT) {
        jb_record_reason(record, "meters-disagree");
    }
}

void jb_row_fill(struct jb_row_context *context, enum jb_phase phase, uint32_t repetition,
                 const char *utc, const struct jb_window *window, struct jb_record *ret_record)
{
    struct jb_phases *phases = context->phases;
    struct jb_record *record = ret_record;
    *record = context->common;
    PUT(record->time_utc, utc);
    PUT(record->phase, jb_phase_name(phase));
    record->repetition = repetition;
    record->kv_depth = phase == JB_DECODE ? phases->args.depth : 0;
    record->tokens = tokens_of(&phases->args, phase);
    record->batch = phase == JB_PREFILL && phases->args.shares_prompt ? 1 : record->batch;
    if (is_modelled(context)) {
        fill_modelled(context, window, record);
    } else {
        fill_measured(window, record);
    }
    fill_derived(record);
    fill_marks(phases, phase, record);
    const uint64_t peak_bytes = jb_peak_resident_bytes();
    record->peak_resident_bytes = peak_bytes > 0 ? (int64_t)peak_bytes : JB_INT_MISSING;
    /* u_rel is a property of all repetitions: `summary` gives it, a raw row cannot. */
    call(record, "INDICATIVE", "no-uncertainty");
    judge_ids(context, phase, record);
    judge_time(context, phase, record);
    judge_energy(context, record);
}
