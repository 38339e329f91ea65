/* SPDX-License-Identifier: MIT */
#ifndef JB_SESSION_H
#define JB_SESSION_H

/* The conductor: what `joulebench run` was asked for, and doing it. Opens model, meters and
 * backends, runs warm-up and repetitions, writes rows as they happen. Prints notes, progress and
 * the summary on stderr; rows go to the output. */

#include <stdbool.h>
#include <stdint.h>

#include "backends/backend.h"
#include "bench/insight.h"

#define JB_MAX_BACKENDS 32
#define JB_MAX_BATCHES 32
#define JB_DEPTH_OF_PROMPT UINT32_MAX

enum jb_execute { JB_EXECUTE_AUTO, JB_EXECUTE_ALL_FUNCTIONAL, JB_EXECUTE_ALL_TIMING };

struct jb_session_args {
    const char *backends[JB_MAX_BACKENDS];
    uint32_t n_backends;
    uint32_t batches[JB_MAX_BATCHES];
    uint32_t n_batches;
    const struct jb_setting *settings; /* (n_settings,) */
    uint32_t n_settings;
    const char *device;     /* NULL = each backend's default                           */
    const char *model;      /* shape or file                                           */
    const char *format;     /* recipe; NULL = the file's own, f16 for shapes           */
    enum jb_dtype kv_dtype; /* F32, F16 or Q8_0                                        */
    enum jb_execute execute;
    uint32_t prompt, gen; /* tokens a sequence, >= 1                                 */
    uint32_t depth;       /* KV positions at the start of decode; JB_DEPTH_OF_PROMPT */
    uint32_t chunk;       /* most prompt tokens of a sequence in a step, >= 1        */
    uint32_t reps;        /* 0 = 5, but 1 on modelled devices, which repeat exactly  */
    uint32_t threads;     /* 0 = the cores that may be used                          */
    double window_s;
    uint64_t seed;
    const char *meters; /* --meter list                                            */
    bool has_sampler;
    const char *output;             /* CSV path; "-" = stdout                                  */
    const char *prompt_text;        /* NULL = forced feed of seeded ids                        */
    bool wants_text;                /* --show-text                                             */
    const char *ceilings;           /* table of `joulebench roofline`; NULL = measure them        */
    bool has_ceiling;               /* false: bounds come from the device file alone              */
    struct jb_insight_args insight; /* --trace-ops, --trace-commands, --breakdown          */
    const char *trace;              /* NULL = none                                             */
    bool is_quiet;                  /* errors only                                             */
    /* Beyond prompt and decode (bench/scenario.h). */
    const char *workload; /* --workload; NULL = none                                    */
    uint32_t n_image;     /* positions of embeddings before the prompt's text            */
    uint32_t n_parts;     /* stretches of decode, each a row; 0 or 1 = all in one        */
    bool shares_prompt;   /* one prefill for all sequences                              */
    double power_cap_w;   /* 0 = none                                                   */
};

/* Weights above which a modelled device is run without computing tensors unless told otherwise
 * (DESIGN.md section 4). */
#define JB_FUNCTIONAL_PARAMS_MAX 200000000u

#ifdef __cplusplus
extern "C" {
#endif

/* Runs it all; every error is printed. @return an enum jb_exit. */
int jb_session_run(const struct jb_session_args *args);

#ifdef __cplusplus
}
#endif
#endif
