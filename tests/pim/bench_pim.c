/* SPDX-License-Identifier: MIT */
/* Host time of a llama2-7b decode step at batch 1, by device: `meson test --benchmark pim`. Each
 * step is one position deeper than the one before, so that no attention was costed before. */
#include <stdio.h>
#include <stdlib.h>

#include "backends/registry.h"
#include "bench/workload/workload.h"
#include "platforms/os/os.h"

enum { FIRST = 1024, N_STEPS = 50 };

static int run(const struct jb_backend *backend, const char *name, const struct jb_plan *plan)
{
    const struct jb_open_args args = {.device = name, .n_threads = 1};
    const struct jb_load_args load = {.plan = plan,
                                      .max_seqs = 1,
                                      .max_tokens = FIRST,
                                      .max_outputs = 1,
                                      .context = FIRST + N_STEPS,
                                      .execution = JB_EXECUTE_TIMING};
    static int32_t ids[FIRST];
    struct jb_device *dev = calloc(1, backend->device_size);
    int32_t id;
    if (dev == NULL || backend->open(dev, &args) != JB_OK) {
        free(dev);
        return 1;
    }
    const double start_s = jb_clock_s();
    enum jb_status status = backend->load(dev, &load);
    const double loaded_s = jb_clock_s();
    double longest_s = 0, sum_s = 0, time_s = 0;
    for (uint32_t i = 0; i <= N_STEPS && status == JB_OK; i++) {
        const struct jb_seq seq = {.pos = i == 0 ? 0 : FIRST + i - 1,
                                   .n_tokens = i == 0 ? FIRST : 1,
                                   .want = JB_WANT_LAST,
                                   .tokens = ids};
        const struct jb_step step = {
            .op_end = plan->programs[0].n_ops, .seqs = &seq, .n_seqs = 1, .ret_ids = &id};
        struct jb_account account;
        const double before_s = jb_clock_s();
        status = backend->step(dev, &step);
        const double took_s = jb_clock_s() - before_s;
        if (status == JB_OK && i > 0) {
            status = backend->account(dev, &account);
            sum_s += took_s;
            longest_s = took_s > longest_s ? took_s : longest_s;
            time_s = account.time_s;
        }
    }
    if (status == JB_OK) {
        printf("%s: load %.1f ms; a decode step of %.3f ms takes %.3f ms of host time, at most "
               "%.3f ms\n",
               name, (loaded_s - start_s) * 1e3, time_s * 1e3, sum_s / N_STEPS * 1e3,
               longest_s * 1e3);
    } else {
        printf("%s: %s\n", name, jb_reason());
    }
    backend->close(dev);
    free(dev);
    return status != JB_OK;
}

int main(void)
{
    static const char *const names[] = {"cent", "aim", "hbm-pim-8"};
    const struct jb_model_args model_args = {.source = "llama2-7b", .format = "f16", .seed = 1};
    const struct jb_plan_args plan_args = {.kv_dtype = JB_F16, .n_ranks = 1};
    const struct jb_backend *backend = jb_registry_find("pim_sim");
    struct jb_model *model = NULL;
    struct jb_plan *plan = NULL;
    int n_failed = 0;
    if (backend == NULL || jb_model_open(&model_args, &model) != JB_OK ||
        jb_plan_build(model, &plan_args, &plan) != JB_OK) {
        printf("%s\n", jb_reason());
        return 1;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        n_failed += run(backend, names[i], plan);
    }
    jb_plan_free(plan);
    jb_model_close(model);
    return n_failed;
}
