/* SPDX-License-Identifier: MIT */
#ifndef JB_SESSION_INTERNAL_H
#define JB_SESSION_INTERNAL_H

/* Shared by session.c (order, end), session_check.c (set-up), session_cell.c (one backend) and
 * session_row.c (its rows). */

#include <signal.h>

#include "bench/ceilings.h"
#include "bench/cli.h"
#include "bench/ids.h"
#include "bench/opening.h"
#include "bench/row.h"
#include "bench/session.h"
#include "bench/trace.h"
#include "bench/workload/workload.h"
#include "platforms/host/host.h"
#include "results/results.h"

/* A model opened for one kind of execution, and its plan. */
struct model_use {
    struct jb_model *model; /* NULL = not opened yet */
    struct jb_plan *plan;
};

struct session {
    const struct jb_session_args *args;
    const struct jb_backend *backends[JB_MAX_BACKENDS];
    uint32_t n_backends;
    struct model_use uses[2]; /* by enum jb_execution */
    struct jb_host host;
    uint32_t prompt, depth, n_threads, max_batch;
    int32_t *prompt_ids; /* (prompt,) of --prompt-text; NULL */
    uint32_t *pus;       /* (n_threads,) */
    struct jb_csv_writer *csv;
    struct jb_ids_file *ids;
    struct jb_trace_file *trace;
    struct jb_insight *insight;  /* NULL = not wanted */
    struct jb_ceiling *ceilings; /* (n_ceilings,) of --ceilings; NULL */
    uint32_t n_ceilings;
    struct jb_table rows; /* all of this run, for the summary */
    struct jb_reference references[JB_MAX_BATCHES][JB_N_PHASES];
    struct jb_progress progress;
    uint32_t n_unavailable, n_failed, n_invalid;
    bool is_interrupted;
    bool has_noted_format;
    double sampler_share; /* largest CPU share of the sampler thread; NaN = none ran */
};

/* Not 0 once the user asked to stop. */
extern volatile sig_atomic_t session_stop;

/* A line on stderr unless --quiet. */
void session_note(const struct session *session, const char *fmt, ...) JB_PRINTF(2, 3);

/* The model and plan for a kind of execution, opened on first use. */
enum jb_status session_model(struct session *session, enum jb_execution execution,
                             struct model_use **ret_use) JB_MUST_CHECK;

/* Finds the backends, settles sizes and threads, opens the outputs. Nothing is changed before all
 * is checked. */
enum jb_status session_prepare(struct session *session) JB_MUST_CHECK;

/* Runs all batches on one backend. Says what went wrong and counts it in the session.
 * @return JB_OK also when the backend is unavailable or failed: others may go on; INVAL or FORMAT
 *         for a setting or file that is wrong; IO when rows can no longer be written;
 *         INTERRUPTED. */
enum jb_status session_run_backend(struct session *session,
                                   const struct jb_backend *backend) JB_MUST_CHECK;

/* ---- one backend ---- */

/* One backend while it is open. */
struct cell {
    struct session *session;
    const struct jb_backend *backend;
    struct jb_probe probe;
    struct jb_open_args open;
    struct jb_setting settings[JB_MAX_SETTINGS]; /* those that this backend knows */
    enum jb_execution execution;
    struct model_use *use;
    struct jb_device *device;
    struct jb_measure *measure;
    uint32_t batch_index;
    struct jb_phases *phases;
    struct jb_row_context row;
};

bool cell_is_modelled(const struct cell *cell);

/* Identity cells of a batch's rows. */
void cell_fill_common(struct cell *cell, uint32_t batch, struct jb_record *record);
/* Writes a row, its ids and its samples, and keeps it for the summary. */
enum jb_status cell_keep_row(struct cell *cell, enum jb_phase phase,
                             const struct jb_record *record) JB_MUST_CHECK;

#endif
