/* SPDX-License-Identifier: MIT */
/* One backend against refops, op by op and model by model.
 *
 *   conformance --backend NAME [--bench] [--only TEXT]   cases whose name holds TEXT
 *
 * Environment: JB_SIMD chooses the level of backends that have levels, JB_THREADS the number of
 * threads, JB_SETTINGS="key=value key=value" what a backend knows of it. Results are poisoned with
 * NaN before each step and must be written exactly. With --bench the same cases are timed instead
 * and printed as CSV. Speaks TAP.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/registry.h"
#include "platforms/os/os.h"
#include "tests/conformance/cases.h"

enum { GUARD = 64 }; /* values behind the results that must stay as they were */

struct run {
    const struct jb_backend *backend, *reference;
    bool is_bench;
    const char *only; /* NULL = all */
    uint32_t n_cases, n_failed;
    struct jb_rng rng;
};

/* A step's results, with room behind them. */
struct results {
    float *values; /* (n, width) and GUARD more */
    int32_t *ids;  /* (n,) and GUARD more       */
    uint64_t n_values;
    uint32_t n;
};

/* What goes into a step. */
struct inputs {
    int32_t ids[CASES_MAX_ROWS];
    float *acts; /* (CASES_MAX_ROWS, dim) */
};

static void *need(void *memory)
{
    if (memory == NULL) {
        printf("Bail out! out of memory\n");
        exit(1);
    }
    return memory;
}

static struct results results_create(uint32_t n, uint32_t width)
{
    const uint64_t n_values = (uint64_t)n * width;
    struct results r = {.values = need(malloc((n_values + GUARD) * sizeof(float))),
                        .ids = need(malloc((n + GUARD) * sizeof(int32_t))),
                        .n_values = n_values,
                        .n = n};
    memset(r.values, 0xFF, (n_values + GUARD) * sizeof(float)); /* NaN */
    memset(r.ids, 0xAA, (n + GUARD) * sizeof(int32_t));
    return r;
}

static void results_free(struct results *r)
{
    free(r->values);
    free(r->ids);
}

static bool is_guard_intact(const struct results *r, bool has_ids)
{
    uint8_t values[GUARD * sizeof(float)], ids[GUARD * sizeof(int32_t)];
    memset(values, 0xFF, sizeof values);
    memset(ids, 0xAA, sizeof ids);
    const uint8_t *behind_values = (const uint8_t *)(r->values + r->n_values);
    const uint8_t *behind_ids = (const uint8_t *)(r->ids + (has_ids ? r->n : 0));
    return memcmp(behind_values, values, sizeof values) == 0 &&
           memcmp(behind_ids, ids, sizeof ids) == 0;
}

static void draw(struct run *run, const struct test_case *c, uint32_t n, struct inputs *in)
{
    const uint64_t n_values = (uint64_t)n * c->m->plan.dim;
    for (uint32_t i = 0; i < n; i++) {
        in->ids[i] = (int32_t)jb_rng_below(&run->rng, c->m->plan.vocab);
    }
    if (c->sigma > 0.0F) {
        maker_normals(&run->rng, c->sigma, in->acts, n_values);
        return;
    }
    for (uint64_t i = 0; i < n_values; i++) {
        in->acts[i] = (float)jb_rng_below(&run->rng, 5) - 2.0F;
    }
}

static struct jb_step step_of(const struct test_case *c, const struct jb_seq *seq,
                              const struct inputs *in, const struct results *r)
{
    const bool has_logits = c->op_end == c->m->program.n_ops;
    const bool has_results = r != NULL;
    return (struct jb_step){.op_begin = c->op_begin,
                            .op_end = c->op_end,
                            .seqs = seq,
                            .n_seqs = 1,
                            .acts = c->op_begin > 0 ? in->acts : NULL,
                            .ret_acts = has_results && !has_logits ? r->values : NULL,
                            .ret_ids = has_results && has_logits ? r->ids : NULL,
                            .ret_logits = has_results && has_logits ? r->values : NULL};
}

/* The first of the largest. */
static bool are_ids_right(const struct results *r, uint32_t vocab)
{
    for (uint32_t t = 0; t < r->n; t++) {
        const float *logits = r->values + (size_t)t * vocab;
        uint32_t best = 0;
        for (uint32_t i = 1; i < vocab; i++) {
            best = logits[i] > logits[best] ? i : best;
        }
        if (r->ids[t] != (int32_t)best) {
            return false;
        }
    }
    return true;
}

/* NaN if any result is NaN. */
static double error_of(const struct test_case *c, const struct results *a, const struct results *b)
{
    double error = 0.0, size = 0.0;
    for (uint64_t i = 0; i < b->n_values; i++) {
        const double difference = (double)a->values[i] - (double)b->values[i];
        error += difference * difference;
        size += (double)b->values[i] * (double)b->values[i];
    }
    return error / fmax(fmax(size, c->expected * (double)b->n_values), 1e-30);
}

static void device_must(enum jb_status status, const struct test_case *c)
{
    if (status != JB_OK) {
        printf("Bail out! %s: %s\n", c->name, jb_reason());
        exit(1);
    }
}

/* Fills both devices' slot 0 up to depth. Partial ranges return activations nobody reads. */
static void deepen(struct run *run, const struct test_case *c, struct jb_device *dev,
                   struct jb_device *ref, uint32_t held, uint32_t depth, struct inputs *in)
{
    while (held < depth) {
        const uint32_t n = depth - held < CASES_MAX_ROWS ? depth - held : CASES_MAX_ROWS;
        draw(run, c, n, in);
        struct results unread = results_create(n, c->m->plan.dim);
        const struct jb_seq seq = {
            .pos = held, .n_tokens = n, .want = JB_WANT_NONE, .tokens = in->ids};
        const bool has_logits = c->op_end == c->m->program.n_ops;
        const struct jb_step step = step_of(c, &seq, in, has_logits ? NULL : &unread);
        device_must(device_step(run->backend, dev, &step), c);
        if (ref != NULL) {
            device_must(device_step(run->reference, ref, &step), c);
        }
        results_free(&unread);
        held += n;
    }
}

/* What the backend's option "activations" is set to: its fallback, or what JB_SETTINGS gives. */
static bool rounds_activations(const struct jb_backend *backend, bool has_many_rows)
{
    const char *value = "", *settings = getenv("JB_SETTINGS");
    for (const struct jb_option *o = backend->options; o != NULL && o->key != NULL; o++) {
        value = strcmp(o->key, "activations") == 0 ? o->fallback : value;
    }
    const char *given = settings != NULL ? strstr(settings, "activations=") : NULL;
    value = given != NULL && value[0] != '\0' ? given + strlen("activations=") : value;
    return strncmp(value, "native", 6) == 0 || (strncmp(value, "auto", 4) == 0 && has_many_rows);
}

static double limit_of(const struct run *run, const struct test_case *c, uint32_t n_rows)
{
    return c->native > c->limit && rounds_activations(run->backend, n_rows >= c->native_rows)
               ? c->native
               : c->limit;
}

/* One step on both. @return an empty string if they agree, else what is wrong */
static const char *compare(struct run *run, const struct test_case *c, struct jb_device *dev,
                           struct jb_device *ref, uint32_t depth, uint32_t n, struct inputs *in,
                           double *ret_error)
{
    const bool has_logits = c->op_end == c->m->program.n_ops;
    const uint32_t width = has_logits ? c->m->plan.vocab : c->m->plan.dim;
    draw(run, c, n, in);
    struct results got = results_create(n, width), expected = results_create(n, width);
    const struct jb_seq seq = {.pos = depth, .n_tokens = n, .want = JB_WANT_ALL, .tokens = in->ids};
    const struct jb_step step = step_of(c, &seq, in, &got);
    const struct jb_step ref_step = step_of(c, &seq, in, &expected);
    device_must(device_step(run->backend, dev, &step), c);
    device_must(device_step(run->reference, ref, &ref_step), c);
    *ret_error = error_of(c, &got, &expected);
    const char *fault = "";
    if (!is_guard_intact(&got, has_logits)) {
        fault = "wrote beyond its results";
    } else if (!(*ret_error <= limit_of(run, c, n))) {
        fault = "error above the limit";
    } else if (has_logits && !are_ids_right(&got, width)) {
        fault = "an id is not the first of the largest logits";
    }
    results_free(&got);
    results_free(&expected);
    return fault;
}

static struct jb_load_args sizes(const struct test_case *c)
{
    return (struct jb_load_args){.plan = &c->m->plan,
                                 .max_seqs = 1,
                                 .max_tokens = CASES_MAX_ROWS,
                                 .max_outputs = CASES_MAX_ROWS,
                                 .context = c->m->plan.max_context,
                                 .execution = JB_EXECUTE_FUNCTIONAL};
}

static void check(struct run *run, const struct test_case *c, struct inputs *in)
{
    const struct jb_load_args load = sizes(c);
    struct jb_device *dev = device_start(run->backend, &load);
    struct jb_device *ref = device_start(run->reference, &load);
    double worst = 0.0;
    char fault[160] = "";
    uint32_t held = 0;
    for (uint32_t d = 0; d < c->n_depths && fault[0] == '\0'; d++) {
        deepen(run, c, dev, ref, held, c->depths[d], in);
        for (const uint32_t *n = c->rows; *n > 0 && fault[0] == '\0'; n++) {
            double error = 0.0;
            const char *what = compare(run, c, dev, ref, c->depths[d], *n, in, &error);
            if (what[0] != '\0') {
                (void)snprintf(fault, sizeof fault, "%s at depth %u, %u rows: NMSE %.2g > %.2g",
                               what, c->depths[d], *n, error, limit_of(run, c, *n));
            }
            worst = error > worst ? error : worst;
        }
        held = c->depths[d];
    }
    device_end(run->backend, dev);
    device_end(run->reference, ref);
    run->n_failed += fault[0] != '\0';
    printf("%sok %u - %s # NMSE %.2g %s\n", fault[0] != '\0' ? "not " : "", run->n_cases, c->name,
           worst, fault);
}

/* At least 3 steps and 5 ms of them. */
static void bench(struct run *run, const struct test_case *c, struct inputs *in)
{
    const struct jb_load_args load = sizes(c);
    struct jb_device *dev = device_start(run->backend, &load);
    const uint32_t depth = c->depths[c->n_depths - 1];
    deepen(run, c, dev, NULL, 0, depth, in);
    const bool has_logits = c->op_end == c->m->program.n_ops;
    for (const uint32_t *n = c->rows; *n > 0; n++) {
        draw(run, c, *n, in);
        struct results got = results_create(*n, has_logits ? c->m->plan.vocab : c->m->plan.dim);
        const struct jb_seq seq = {
            .pos = depth, .n_tokens = *n, .want = JB_WANT_ALL, .tokens = in->ids};
        const struct jb_step step = step_of(c, &seq, in, &got);
        device_must(device_step(run->backend, dev, &step), c);
        const double start_s = jb_clock_s();
        uint32_t n_steps = 0;
        while (n_steps < 3 || jb_clock_s() - start_s < 5e-3) {
            device_must(device_step(run->backend, dev, &step), c);
            n_steps++;
        }
        printf("%s,%s,%u,%u,%.0f\n", run->backend->name, c->name, depth, *n,
               (jb_clock_s() - start_s) / n_steps * 1e9);
        results_free(&got);
    }
    device_end(run->backend, dev);
}

static void visit(void *ctx, const struct test_case *c)
{
    struct run *run = ctx;
    if (run->only != NULL && strstr(c->name, run->only) == NULL) {
        return;
    }
    run->n_cases++;
    struct inputs in = {.acts = need(malloc(sizeof(float) * CASES_MAX_ROWS * c->m->plan.dim))};
    (run->is_bench ? bench : check)(run, c, &in);
    free(in.acts);
}

/* A backend or level that is not here is skipped, with its reason. The device stays open beside
 * those of the cases, so that what a backend shares between devices is made once.
 * @return NULL if it cannot be opened */
static struct jb_device *keep_open(const struct jb_backend *backend)
{
    struct jb_device *dev = NULL;
    if (device_open(backend, &dev) != JB_OK) {
        printf("1..0 # SKIP %s: %s\n", backend->name, jb_reason());
        return NULL;
    }
    return dev;
}

int main(int argc, char **argv)
{
    const char *name = NULL;
    struct run run = {.is_bench = false};
    for (int i = 1; i < argc; i++) {
        name = strcmp(argv[i], "--backend") == 0 && i + 1 < argc ? argv[++i] : name;
        run.only = strcmp(argv[i], "--only") == 0 && i + 1 < argc ? argv[++i] : run.only;
        run.is_bench = run.is_bench || strcmp(argv[i], "--bench") == 0;
    }
    run.backend = name != NULL ? jb_registry_find(name) : NULL;
    run.reference = jb_registry_find("refops");
    if (run.backend == NULL || run.reference == NULL) {
        printf("Bail out! usage: conformance --backend NAME [--bench]; %s\n", jb_reason());
        return 2;
    }
    if ((run.backend->caps & JB_CAP_NO_RESULT) != 0) {
        printf("1..0 # SKIP %s computes nothing\n", name);
        return 0;
    }
    struct jb_device *kept = keep_open(run.backend);
    if (kept == NULL) {
        return 0;
    }
    jb_rng_seed(&run.rng, 1, 1);
    if (run.is_bench) {
        printf("backend,case,depth,rows,step_ns\n");
    }
    cases_visit(visit, &run);
    device_end(run.backend, kept);
    if (!run.is_bench) {
        printf("1..%u\n", run.n_cases);
    }
    return run.n_failed > 0 ? 1 : 0;
}
