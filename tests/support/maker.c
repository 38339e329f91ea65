/* SPDX-License-Identifier: MIT */
#include "tests/support/maker.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(bool is_fine, const char *what)
{
    if (!is_fine) {
        printf("Bail out! %s: %s\n", what, jb_reason());
        exit(1);
    }
}

float maker_normal(struct jb_rng *rng)
{
    double sum = -2.0;
    for (int i = 0; i < 4; i++) {
        sum += jb_rng_unit(rng);
    }
    return (float)(1.7320508075688772 * sum); /* four uniforms have variance 1/3 */
}

void maker_normals(struct jb_rng *rng, float sigma, float *dst, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        dst[i] = sigma * maker_normal(rng);
    }
}

static enum jb_status map(void *ctx, uint32_t tensor, const void **ret_data)
{
    struct maker *m = ctx;
    if (tensor == m->fail_map) {
        return jb_fail(JB_E_IO, "tensor %u cannot be mapped", tensor);
    }
    m->n_mapped[tensor]++;
    *ret_data = m->data[tensor];
    return JB_OK;
}

static void unmap(void *ctx, uint32_t tensor)
{
    struct maker *m = ctx;
    check(m->n_mapped[tensor] > 0, "unmap of a tensor that is not mapped");
    m->n_mapped[tensor]--;
}

struct maker *maker_create(const char *model, uint64_t seed)
{
    struct maker *m = calloc(1, sizeof *m);
    check(m != NULL, "calloc");
    jb_rng_seed(&m->rng, seed, 0);
    m->fail_map = UINT32_MAX;
    m->weights = (struct jb_weights){.ctx = m, .map = map, .unmap = unmap};
    m->program = (struct jb_program){.name = "full", .ops = m->ops, .cuts = m->cuts, .n_cuts = 1};
    m->plan = (struct jb_plan){.model = model,
                               .n_heads = 1,
                               .n_kv_heads = 1,
                               .head_dim = 1,
                               .ffn_dim = 1,
                               .max_context = 64,
                               .attention_scale = 1.0F,
                               .rope = {.inv_freq = m->inv_freq, .mscale = 1.0F},
                               .tensors = m->tensors,
                               .weights = &m->weights,
                               .slots = m->slots,
                               .programs = &m->program,
                               .n_programs = 1,
                               .n_ranks = 1};
    return m;
}

void maker_free(struct maker *m)
{
    for (uint32_t i = 0; m != NULL && i < m->plan.n_tensors; i++) {
        free(m->data[i]);
    }
    free(m);
}

int32_t maker_tensor(struct maker *m, enum jb_dtype dtype, uint32_t rows, uint32_t cols, float mean,
                     float sigma)
{
    const uint32_t i = m->plan.n_tensors++;
    const size_t row_bytes = jb_format_row_bytes(dtype, cols);
    check(row_bytes > 0 && i < sizeof m->tensors / sizeof m->tensors[0], "tensor");
    m->tensors[i] = (struct jb_tensor){.name = "weight",
                                       .dtype = dtype,
                                       .rows = rows,
                                       .cols = cols,
                                       .row_bytes = row_bytes,
                                       .n_bytes = (uint64_t)rows * row_bytes};
    m->data[i] = aligned_alloc(64, (rows * row_bytes + 63) / 64 * 64);
    float *row = malloc(cols * sizeof *row);
    check(m->data[i] != NULL && row != NULL, "malloc");
    for (uint32_t r = 0; r < rows; r++) {
        maker_normals(&m->rng, sigma, row, cols);
        for (uint32_t c = 0; c < cols; c++) {
            row[c] += mean;
        }
        jb_format_encode(dtype, row, (uint8_t *)m->data[i] + r * row_bytes, cols);
    }
    free(row);
    return (int32_t)i;
}

uint16_t maker_slot(struct maker *m, const char *name, uint32_t width, enum jb_rows rows)
{
    const uint32_t i = m->plan.n_slots++;
    check(i < sizeof m->slots / sizeof m->slots[0], "slot");
    m->slots[i] = (struct jb_slot){.name = name, .width = width, .rows = rows};
    return (uint16_t)i;
}

struct jb_op maker_blank(enum jb_op_kind kind, uint16_t dst, uint16_t src0)
{
    return (struct jb_op){.kind = kind,
                          .layer = -1,
                          .dst = dst,
                          .src0 = src0,
                          .src1 = JB_NO_SLOT,
                          .src2 = JB_NO_SLOT,
                          .weight = JB_NO_TENSOR,
                          .bias = JB_NO_TENSOR};
}

void maker_op(struct maker *m, struct jb_op op)
{
    check(m->program.n_ops < sizeof m->ops / sizeof m->ops[0], "op");
    m->ops[m->program.n_ops++] = op;
}

void maker_matmul(struct maker *m, uint16_t dst, uint16_t src, int32_t weight, int32_t bias)
{
    struct jb_op op = maker_blank(JB_OP_MATMUL, dst, src);
    op.weight = weight;
    op.bias = bias;
    maker_op(m, op);
}

void maker_rmsnorm(struct maker *m, uint16_t dst, uint16_t src, int32_t weight, uint32_t group)
{
    struct jb_op op = maker_blank(JB_OP_RMSNORM, dst, src);
    op.weight = weight;
    op.group = group;
    op.eps = 1e-5F;
    maker_op(m, op);
}

void maker_binary(struct maker *m, enum jb_op_kind kind, uint16_t dst, uint16_t a, uint16_t b)
{
    struct jb_op op = maker_blank(kind, dst, a);
    op.src1 = b;
    maker_op(m, op);
}

void maker_cut(struct maker *m)
{
    check(m->program.n_cuts + 1 < sizeof m->cuts / sizeof m->cuts[0], "cut");
    m->cuts[m->program.n_cuts++] = m->program.n_ops;
}

void maker_rope(struct maker *m, enum jb_rope_kind kind, uint32_t n_dims, float base)
{
    m->plan.rope.kind = kind;
    m->plan.rope.n_dims = n_dims;
    for (uint32_t i = 0; i < n_dims / 2; i++) {
        m->inv_freq[i] = (float)pow((double)base, -2.0 * i / n_dims);
    }
}

void maker_finish(struct maker *m)
{
    maker_cut(m);
    check(jb_plan_check(&m->plan) == JB_OK, m->plan.model);
}

uint32_t maker_n_mapped(const struct maker *m)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->plan.n_tensors; i++) {
        n += m->n_mapped[i];
    }
    return n;
}

static bool has_option(const struct jb_backend *backend, const char *key)
{
    for (const struct jb_option *o = backend->options; o != NULL && o->key != NULL; o++) {
        if (strcmp(o->key, key) == 0) {
            return true;
        }
    }
    return (backend->caps & JB_CAP_DEVICE_KEYS) != 0;
}

/* "key=value key=value"; a backend gets those that it knows. @return how many */
static uint32_t read_settings(const struct jb_backend *backend, char *text,
                              struct jb_setting *ret_settings, uint32_t capacity)
{
    uint32_t n = 0;
    for (char *word = strtok(text, " "); word != NULL && n < capacity; word = strtok(NULL, " ")) {
        char *equals = strchr(word, '=');
        check(equals != NULL, "JB_SETTINGS");
        *equals = '\0';
        if (has_option(backend, word)) {
            ret_settings[n++] = (struct jb_setting){word, equals + 1};
        }
    }
    return n;
}

enum jb_status device_open(const struct jb_backend *backend, struct jb_device **ret_dev)
{
    const char *threads = getenv("JB_THREADS");
    const char *wanted = getenv("JB_SETTINGS");
    char text[256] = "";
    struct jb_setting settings[8];
    (void)snprintf(text, sizeof text, "%s", wanted != NULL ? wanted : "");
    const struct jb_open_args args = {
        .settings = settings,
        .n_settings = read_settings(backend, text, settings, 8),
        .n_threads = threads != NULL ? (uint32_t)strtoul(threads, NULL, 10) : 2};
    struct jb_device *dev = calloc(1, backend->device_size);
    check(dev != NULL, "calloc");
    const enum jb_status status = backend->open(dev, &args);
    if (status != JB_OK) {
        free(dev);
        return status;
    }
    *ret_dev = dev;
    return JB_OK;
}

struct jb_device *device_start(const struct jb_backend *backend, const struct jb_load_args *load)
{
    struct jb_device *dev = NULL;
    check(device_open(backend, &dev) == JB_OK, "open");
    check(backend->load(dev, load) == JB_OK, "load");
    return dev;
}

enum jb_status device_step(const struct jb_backend *backend, struct jb_device *dev,
                           const struct jb_step *step)
{
    const enum jb_status status = backend->step(dev, step);
    return status == JB_OK && backend->sync != NULL ? backend->sync(dev) : status;
}

void device_end(const struct jb_backend *backend, struct jb_device *dev)
{
    backend->close(dev);
    free(dev);
}
