/* SPDX-License-Identifier: MIT */
#include "bench/scenario.h"

#include <stddef.h>
#include <string.h>

static const struct jb_scenario scenarios[] = {
    {.name = "survey",
     .summary = "prompt and decode at batch 1 and 8, as the survey compares platforms",
     .model = "llama2-7b",
     .batches = "1,8",
     .prompt = 128,
     .gen = 128,
     .headline = "decode"},
    /* 576 = (336 / 14)^2 patches of CLIP ViT-L/14 at 336 pixels, as in LLaVA-1.5 (arXiv
       2310.03744). */
    {.name = "multimodal",
     .summary = "image tokens before the text: their share of the language model, as embeddings; "
                "the vision encoder itself is not run",
     .model = "llama2-7b",
     .batches = "1",
     .prompt = 64,
     .gen = 128,
     .n_image = 576,
     .headline = "prefill and total"},
    {.name = "best-of-n",
     .summary =
         "one prompt, N answers (--batch N): the prompt is read once, the answers are decoded "
         "together; copying keys and values is not counted",
     .model = "llama2-7b",
     .batches = "8",
     .prompt = 128,
     .gen = 128,
     .shares_prompt = true,
     .headline = "total"},
    {.name = "reasoning",
     .summary =
         "thousands of tokens from one prompt: a row each eighth of them, tokens/s over depth",
     .model = "llama3.2-1b",
     .batches = "1",
     .prompt = 128,
     .gen = 2048,
     .n_parts = 8,
     .headline = "decode by kv_depth"},
    {.name = "edge",
     .summary = "batch 1 under a power cap: rows above it are INVALID in energy",
     .model = "llama3.2-1b",
     .format = "q4_0",
     .batches = "1",
     .prompt = 128,
     .gen = 128,
     .power_cap_w = 30,
     .headline = "decode tokens/J"},
};
enum { N_SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

const struct jb_scenario *jb_scenario_at(uint32_t index)
{
    return index < N_SCENARIOS ? &scenarios[index] : NULL;
}

const struct jb_scenario *jb_scenario_find(const char *name)
{
    for (int i = 0; i < N_SCENARIOS; i++) {
        if (strcmp(scenarios[i].name, name) == 0) {
            return &scenarios[i];
        }
    }
    return NULL;
}

const char *jb_scenario_names(void)
{
    return "survey, multimodal, best-of-n, reasoning, edge";
}
