/* SPDX-License-Identifier: MIT */
#ifndef JB_BENCH_SCENARIO_H
#define JB_BENCH_SCENARIO_H

/* What --workload NAME stands for: sizes that options override, and what is run beyond prompt and
 * decode. The trends are those of arXiv 2410.04466: multimodality, inference-time compute, edge. */

#include <stdbool.h>
#include <stdint.h>

struct jb_scenario {
    const char *name, *summary;
    const char *model, *format; /* format NULL = that of every run  */
    const char *batches;        /* as --batch takes them            */
    uint32_t prompt, gen;
    uint32_t n_image;     /* positions before the text that get embeddings instead of ids        */
    uint32_t n_parts;     /* decode in this many stretches, each from where the last one ended   */
    bool shares_prompt;   /* one prefill for all sequences                                       */
    double power_cap_w;   /* 0 = none                                                            */
    const char *headline; /* what to look at */
};

#ifdef __cplusplus
extern "C" {
#endif

const struct jb_scenario *jb_scenario_at(uint32_t index); /* NULL past the last */
const struct jb_scenario *jb_scenario_find(const char *name);
/* "survey, multimodal, ..." */
const char *jb_scenario_names(void);

#ifdef __cplusplus
}
#endif
#endif
