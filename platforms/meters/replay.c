/* SPDX-License-Identifier: MIT */
#include "platforms/meters/replay.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platforms/meters/internal.h"
#include "platforms/meters/trace.h"
#include "platforms/os/os.h"

struct jb_meter_state {
    struct jb_trace trace;
    bool is_manual;
    bool is_repeated;
    double start_s; /* clock at open */
};

static _Atomic double manual_s;

void jb_replay_set_time(double time_s)
{
    atomic_store(&manual_s, time_s);
}

enum jb_status jb_replay_check(const char *text, size_t size, const char *file_name)
{
    struct jb_trace *trace = calloc(1, sizeof *trace);
    if (trace == NULL) {
        return jb_fail(JB_E_NOMEM, "%s: no memory for a trace", file_name);
    }
    const enum jb_status status = jb_trace_parse(text, size, file_name, trace);
    if (status == JB_OK) {
        jb_trace_free(trace);
    }
    free(trace);
    return status;
}

/* Cuts one known option off the end of path. */
static bool cut_option(char *path, const char *option)
{
    const size_t n = strlen(path);
    const size_t k = strlen(option);
    if (n <= k || strcmp(path + n - k, option) != 0) {
        return false;
    }
    path[n - k] = '\0';
    return true;
}

/* Splits FILE[,repeat][,clock=manual]; a comma elsewhere belongs to the file name. */
static enum jb_status split_arg(const char *arg, char *ret_path, size_t size, bool *ret_repeat,
                                bool *ret_manual)
{
    if (arg == NULL || arg[0] == '\0') {
        return jb_fail(JB_E_INVAL, "replay: name a trace, as in --meter replay:trace.csv");
    }
    if (strlen(arg) >= size) {
        return jb_fail(JB_E_INVAL, "replay: file name of more than %zu bytes", size - 1);
    }
    memcpy(ret_path, arg, strlen(arg) + 1);
    for (;;) {
        if (cut_option(ret_path, ",repeat")) {
            *ret_repeat = true;
        } else if (cut_option(ret_path, ",clock=manual")) {
            *ret_manual = true;
        } else {
            return JB_OK;
        }
    }
}

static enum jb_status replay_open(struct jb_meter_state *state, const struct jb_meter_args *args)
{
    char path[4096];
    enum jb_status status =
        split_arg(args->arg, path, sizeof path, &state->is_repeated, &state->is_manual);
    if (status != JB_OK) {
        return status;
    }
    status = jb_trace_read(path, &state->trace);
    if (status == JB_E_NODEV || status == JB_E_PERM || status == JB_E_IO) {
        /* A sensor may be absent; a file that was asked for is there or is an error. */
        return jb_fail(JB_E_INVAL, "replay: %s", jb_reason());
    }
    if (status != JB_OK) {
        return status;
    }
    if (state->is_repeated && !(state->trace.last_s > state->trace.first_s)) {
        jb_trace_free(&state->trace);
        return jb_fail(JB_E_INVAL, "%s: a trace of no duration cannot repeat", path);
    }
    state->start_s = jb_clock_s();
    return JB_OK;
}

static enum jb_status replay_probe(const struct jb_meter_args *args,
                                   struct jb_meter_probe *ret_probe)
{
    struct jb_meter_state *state = calloc(1, sizeof *state);
    if (state == NULL) {
        return jb_fail(JB_E_NOMEM, "replay: no memory for a trace");
    }
    const enum jb_status status = replay_open(state, args);
    if (status == JB_OK) {
        *ret_probe = (struct jb_meter_probe){0};
        (void)snprintf(ret_probe->what, sizeof ret_probe->what,
                       "recorded trace, %u domains, %.6g s%s: %.100s", state->trace.n_domains,
                       state->trace.last_s - state->trace.first_s,
                       state->is_repeated ? ", repeated" : "", args->arg);
        jb_trace_free(&state->trace);
    }
    free(state);
    return status;
}

static uint32_t replay_domains(const struct jb_meter_state *state,
                               const struct jb_domain **ret_domains)
{
    *ret_domains = state->trace.domains;
    return state->trace.n_domains;
}

static enum jb_status replay_read(struct jb_meter_state *state, struct jb_reading *ret_reading)
{
    const struct jb_trace *trace = &state->trace;
    const double now_s = state->is_manual ? atomic_load(&manual_s) : jb_clock_s();
    double at_s = state->is_manual ? now_s : trace->first_s + (now_s - state->start_s);
    double rounds = 0;
    if (at_s > trace->last_s) {
        if (!state->is_repeated) {
            return jb_fail(JB_E_DEVICE, "replay: the trace ends at %.6g s, asked for %.6g s",
                           trace->last_s, at_s);
        }
        const double round_s = trace->last_s - trace->first_s;
        rounds = floor((at_s - trace->first_s) / round_s);
        at_s -= rounds * round_s;
    }
    for (uint32_t i = 0; i < trace->n_domains; i++) {
        double value = jb_trace_value(trace, i, at_s);
        if (rounds > 0 && jb_trace_is_cumulative(&trace->domains[i])) {
            value += rounds * jb_trace_increase(trace, i);
        }
        ret_reading->values[i] = value;
    }
    ret_reading->time_s = now_s;
    return JB_OK;
}

static void replay_close(struct jb_meter_state *state)
{
    jb_trace_free(&state->trace);
}

const struct jb_meter jb_meter_replay = {
    .name = "replay",
    .summary = "A recorded trace instead of a sensor: replay:FILE.csv[,repeat]",
    .is_automatic = false,
    .state_size = sizeof(struct jb_meter_state),
    .probe = replay_probe,
    .open = replay_open,
    .domains = replay_domains,
    .read = replay_read,
    .close = replay_close,
};
