/* SPDX-License-Identifier: MIT */
#ifndef JB_PHASES_H
#define JB_PHASES_H

/* The three phases of a repetition on one open device: prefill, decode, total. Builds steps, feeds
 * ids, keeps what came back. Allocates before the windows, never inside them.
 *
 *   prefill  the prompt of every sequence from position 0, in chunks; the last chunk asks for an id
 *   decode   starts with `depth` positions filled, makes `gen` tokens a sequence; starting again
 *            at the same position is the rollback
 *   total    a prefill and then `gen` tokens: the id that the prefill returned is not counted
 *
 * Forced feed: position p of sequence s always gets inputs[s][p]. Free feed: positions below the
 * prompt get the prompt, later ones the id that the step before returned. */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "backends/backend.h"
#include "bench/measure/measure.h"

enum jb_phase { JB_PREFILL, JB_DECODE, JB_TOTAL, JB_N_PHASES };
const char *jb_phase_name(enum jb_phase phase); /* "prefill" */

struct jb_phases_args {
    const struct jb_backend *backend;
    struct jb_device *device; /* open and loaded */
    const struct jb_plan *plan;
    enum jb_execution execution;
    uint32_t batch, prompt, gen, depth, chunk;
    bool is_free;
    const int32_t *prompt_ids; /* (prompt,) fed to every sequence; NULL = ids from the seed */
    uint32_t n_image;   /* the first positions get embeddings (from the seed), not ids; at most
                           prompt and depth                                              */
    bool shares_prompt; /* all sequences have the prompt of the first; prefill and total
                           read it once, total starts with the others filled             */
    uint64_t seed;
    const volatile sig_atomic_t *stop; /* not 0 = give up at the next step */
};

/* What account() said about the phases since the last clear(); modelled devices only. */
struct jb_modelled {
    double time_s, energy_j;
    double bound_s; /* least time that detail() gives the ops; 0 = it gives none */
    enum jb_class time_class, energy_class;
};

/* Sees every step of a modelled device with its account, which lasts until seen() returns. */
struct jb_step_observer {
    enum jb_status (*seen)(void *ctx, const struct jb_step *step, const struct jb_account *account);
    void *ctx;
};

struct jb_phases {
    struct jb_phases_args args;
    const struct jb_step_observer *observer; /* NULL = none; set while a phase counts */
    int32_t *inputs;                         /* (batch, n_inputs) */
    uint32_t n_inputs;                       /* positions that are fed: max(prompt, depth) + gen */
    int32_t *next;                           /* (batch,) ids of the last step that asked for them */
    int32_t *filled;     /* (batch,) ids after the depth fill: free feed starts decode with them */
    int32_t *outputs;    /* (batch, gen) decode ids of the last phase, sequence by sequence */
    struct jb_seq *seqs; /* (batch,) */
    float *images;       /* (n_image, dim) of each sequence, in the order of the steps; NULL */
    float *logits;       /* (batch, vocab) during the reference pass; NULL otherwise */
    uint64_t n_emitted;  /* decode ids in [0, vocab) that came back since clear() */
    struct jb_marks step_marks, first_marks; /* decode steps; whole prefills with their id */
    struct jb_modelled modelled;
};

#ifdef __cplusplus
extern "C" {
#endif

/* @return NOMEM. The device and the plan must outlive it. */
enum jb_status jb_phases_create(const struct jb_phases_args *args,
                                struct jb_phases **ret_phases) JB_MUST_CHECK;
void jb_phases_free(struct jb_phases *phases); /* NULL is fine */

/* Before a window: forgets marks, counts and modelled sums. */
void jb_phases_clear(struct jb_phases *phases);
/* Before a decode window, and where the prompt is shared before a total window: fills every slot to
 * `depth` positions. Nothing of it is kept. */
enum jb_status jb_phases_fill(struct jb_phases *phases) JB_MUST_CHECK;

/* One phase; ctx is the struct jb_phases. For jb_measure_window().
 * @return what the backend returned; INTERRUPTED; NUMERIC for an id outside the vocabulary in
 *         free feed. */
enum jb_status jb_phases_prefill(void *ctx) JB_MUST_CHECK;
enum jb_status jb_phases_decode(void *ctx) JB_MUST_CHECK;
enum jb_status jb_phases_total(void *ctx) JB_MUST_CHECK;

/* Least logit distance between the best two, in standard deviations of that position's logits,
 * below which a different id is a near tie. Wide enough for 8-bit activations (their error is a
 * few per cent of the spread), far below a real disagreement. */
#define JB_NEAR_TIE_SIGMA 0.1

/* Untimed pass of the phase with logits, for comparing other runs with this one.
 * @param phase JB_DECODE or JB_TOTAL.
 * @param ret_ids (batch, gen). @param ret_is_near (batch, gen) the best two are a near tie. */
enum jb_status jb_phases_reference(struct jb_phases *phases, enum jb_phase phase, int32_t *ret_ids,
                                   bool *ret_is_near) JB_MUST_CHECK;

/* Work of one phase, step by step: fn(ctx, step) for each step it is made of, nothing executed. */
void jb_phases_each_step(const struct jb_phases *phases, enum jb_phase phase,
                         void (*fn)(void *ctx, const struct jb_step *step), void *ctx);

#ifdef __cplusplus
}
#endif
#endif
