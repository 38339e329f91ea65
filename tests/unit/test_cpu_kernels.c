/* SPDX-License-Identifier: MIT */
/* Every kernel of the cpu backend at every level this machine can run, against refops: odd sizes,
 * tails, poisoned outputs. Products are in test_cpu_products.c. */
#include "tests/unit/cpu_levels.h"

static const uint32_t odd_sizes[] = {1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 100, 172, 255, 576, 1025};
#define N_ODD (sizeof(odd_sizes) / sizeof(odd_sizes[0]))

/* ---- vectors ---- */

static void vectors(const struct jb_cpu_kernels *k)
{
    struct jb_rng rng;
    jb_rng_seed(&rng, 1, 0);
    for (size_t i = 0; i < N_ODD; i++) {
        const uint32_t n = odd_sizes[i];
        float *a = values(&rng, n, 9.0f), *b = values(&rng, n, 3.0f), *c = values(&rng, n, 1.0f);
        float *want = poisoned(n), *got = poisoned(n);
        k->rmsnorm(got, a, b, n, 1e-5f);
        jb_ref_rmsnorm(a, b, 1, n, 1e-5f, want);
        check("rmsnorm", k, got, want, n, 1e-5);
        k->layernorm(got, a, b, c, n, 1e-5f);
        jb_ref_layernorm(a, b, c, 1, n, 1e-5f, want);
        check("layernorm", k, got, want, n, 1e-5);
        k->layernorm(got, a, b, NULL, n, 1e-5f);
        jb_ref_layernorm(a, b, NULL, 1, n, 1e-5f, want);
        check("layernorm without bias", k, got, want, n, 1e-5);
        k->silu_mul(got, a, b, n);
        jb_ref_silu_mul(a, b, n, want);
        check("silu_mul", k, got, want, n, 1e-6);
        k->gelu(got, a, n);
        jb_ref_gelu(a, n, want);
        check("gelu", k, got, want, n, 2e-6);
        k->relu(got, a, n);
        jb_ref_relu(a, n, want);
        check("relu", k, got, want, n, 0);
        k->add(got, a, b, n);
        jb_ref_add(a, b, n, want);
        check("add", k, got, want, n, 0);
        memcpy(got, a, n * sizeof(*got));
        k->add(got, got, b, n);
        check("add in place", k, got, want, n, 0);
        free(a), free(b), free(c), free(want), free(got);
    }
}

static void extremes(const struct jb_cpu_kernels *k)
{
    float x[40], one[40], y[40];
    for (uint32_t i = 0; i < 40; i++) {
        one[i] = 1.0f;
        x[i] = i % 2 == 0 ? 1e4f : -1e4f;
    }
    x[3] = -INFINITY;
    x[33] = x[20] = NAN;
    k->silu_mul(y, x, one, 40);
    for (uint32_t i = 0; i < 40; i++) {
        if (i == 33 || i == 20) {
            assert_true(isnan(y[i]));
        } else if (i != 3) {
            const float want = i % 2 == 0 ? 1e4f : 0.0f;
            assert_float_equal(y[i], want, 1e-20);
        }
    }
    k->relu(y, x, 40);
    assert_true(isnan(y[33]) && isnan(y[20]));
    k->gelu(y, x, 40);
    assert_true(isnan(y[33]) && isnan(y[20]));
    assert_float_equal(y[0], 1e4f, 0);
    assert_float_equal(y[1], 0.0f, 1e-20);
}

static void argmax(const struct jb_cpu_kernels *k)
{
    struct jb_rng rng;
    jb_rng_seed(&rng, 2, 0);
    for (size_t i = 0; i < N_ODD; i++) {
        const uint32_t n = odd_sizes[i];
        float *x = values(&rng, n, 1.0f);
        for (uint32_t rep = 0; rep < 20; rep++) {
            const uint32_t at = jb_rng_below(&rng, n), twin = jb_rng_below(&rng, n);
            const float keep[2] = {x[at], x[twin]};
            x[at] = x[twin] = rep % 2 == 0 ? 2.0f : NAN;
            assert_int_equal(k->argmax(x, n), jb_ref_argmax(x, n));
            x[at] = keep[0];
            x[twin] = keep[1];
        }
        for (uint32_t j = 0; j < n; j++) {
            x[j] = NAN;
        }
        assert_int_equal(k->argmax(x, n), 0);
        for (uint32_t j = 0; j < n; j++) {
            x[j] = -3.0f;
        }
        assert_int_equal(k->argmax(x, n), 0);
        free(x);
    }
}

static void rope(const struct jb_cpu_kernels *k)
{
    static const uint32_t dims[] = {2, 4, 8, 16, 34, 64, 80, 128};
    struct jb_rng rng;
    jb_rng_seed(&rng, 3, 0);
    for (size_t i = 0; i < sizeof(dims) / sizeof(dims[0]); i++) {
        const uint32_t n = dims[i], pos = 77;
        float *inv_freq = values(&rng, n / 2, 1.0f), *x = values(&rng, n, 2.0f);
        float cosines[64], sines[64];
        for (uint32_t p = 0; p < n / 2; p++) {
            cosines[p] = (float)(cos((double)pos * (double)inv_freq[p]) * 1.5);
            sines[p] = (float)(sin((double)pos * (double)inv_freq[p]) * 1.5);
        }
        for (int kind = JB_ROPE_PAIRS; kind <= JB_ROPE_HALVES; kind++) {
            const struct jb_rope rope_of = {
                .kind = (enum jb_rope_kind)kind, .n_dims = n, .inv_freq = inv_freq, .mscale = 1.5f};
            float *got = poisoned(n), *want = poisoned(n);
            memcpy(got, x, n * sizeof(*x));
            memcpy(want, x, n * sizeof(*x));
            jb_ref_rope(&rope_of, want, 1, n, n, &pos);
            (kind == JB_ROPE_PAIRS ? k->rope_pairs : k->rope_halves)(got, cosines, sines, n / 2);
            check(kind == JB_ROPE_PAIRS ? "rope_pairs" : "rope_halves", k, got, want, n, 1e-6);
            free(got), free(want);
        }
        free(inv_freq), free(x);
    }
}

static void to_f16(const struct jb_cpu_kernels *k)
{
    struct jb_rng rng;
    jb_rng_seed(&rng, 4, 0);
    for (size_t i = 0; i < N_ODD; i++) {
        const uint32_t n = odd_sizes[i];
        float *x = values(&rng, n, i % 2 == 0 ? 100.0f : 1e-5f);
        uint16_t *got = malloc((n + 1) * sizeof(*got));
        assert_non_null(got);
        got[n] = 0x1234;
        k->to_f16(got, x, n);
        for (uint32_t j = 0; j < n; j++) {
            assert_int_equal(got[j], jb_f32_to_f16(x[j]));
        }
        assert_int_equal(got[n], 0x1234);
        free(x), free(got);
    }
}

/* ---- attention ---- */

struct attention_case {
    enum jb_dtype kv_dtype;
    uint32_t n_heads, n_kv_heads, head_dim, pos, n;
};

static void run_attention(const struct jb_cpu_kernels *k, const struct attention_case *c)
{
    struct jb_rng rng;
    jb_rng_seed(&rng, c->head_dim, c->pos);
    const uint32_t n_positions = c->pos + c->n, n_sharing = c->n_heads / c->n_kv_heads;
    const uint32_t width = c->n_heads * c->head_dim, kv_dim = c->n_kv_heads * c->head_dim;
    const size_t row_bytes = jb_format_row_bytes(c->kv_dtype, c->head_dim);
    float *q = values(&rng, (size_t)c->n * width, 3.0f);
    float *kv = values(&rng, 2 * (size_t)n_positions * kv_dim, 2.0f);
    float *want = poisoned((size_t)c->n * width), *got = poisoned((size_t)c->n * width);
    double *ref_scratch = malloc(jb_ref_attention_scratch(n_positions, c->head_dim) * 8);
    float *scratch = poisoned(jb_cpu_attention_scratch(n_sharing, c->head_dim));
    uint8_t *rows = malloc(2 * n_positions * row_bytes * c->n_kv_heads);
    const uint32_t n_held = (n_positions + JB_CPU_PANEL - 1) / JB_CPU_PANEL * JB_CPU_PANEL;
    uint8_t *heads = malloc((size_t)2 * n_held * row_bytes);
    if (ref_scratch == NULL || rows == NULL || heads == NULL) {
        fail_msg("no memory for the case");
        return;
    }
    jb_ref_kv_store(c->kv_dtype, kv, 2 * n_positions, kv_dim, rows);
    const size_t part = n_positions * row_bytes;
    const struct jb_ref_attention ref = {.n_heads = c->n_heads,
                                         .n_kv_heads = c->n_kv_heads,
                                         .head_dim = c->head_dim,
                                         .scale = 0.3f,
                                         .kv_dtype = c->kv_dtype,
                                         .k = rows,
                                         .v = rows + part * c->n_kv_heads,
                                         .q = q,
                                         .pos = c->pos,
                                         .n = c->n,
                                         .dst = want};
    jb_ref_attention(&ref, ref_scratch);
    for (uint32_t head = 0; head < c->n_kv_heads; head++) {
        memset(heads, 0xff, (size_t)2 * n_held * row_bytes); /* NaN where nothing is held */
        for (uint32_t p = 0; p < n_positions; p++) {
            const uint8_t *key = rows + (p * (size_t)c->n_kv_heads + head) * row_bytes;
            memcpy(heads + (n_held + p) * row_bytes, key + part * c->n_kv_heads, row_bytes);
            if (c->kv_dtype == JB_Q8_0) {
                memcpy(heads + p * row_bytes, key, row_bytes);
                continue;
            }
            const size_t size = row_bytes / c->head_dim;
            for (uint32_t d = 0; d < c->head_dim; d++) {
                memcpy(heads + jb_cpu_key_at(c->head_dim, p, d) * size, key + d * size, size);
            }
        }
        const uint32_t block =
            n_sharing < JB_CPU_ATTENTION_ROWS ? JB_CPU_ATTENTION_ROWS / n_sharing : 1;
        for (uint32_t t = 0; t < c->n; t += block) {
            const size_t at = (size_t)t * width + (size_t)head * n_sharing * c->head_dim;
            const struct jb_cpu_attention job = {.q = q + at,
                                                 .q_stride = width,
                                                 .dst = got + at,
                                                 .dst_stride = width,
                                                 .k = heads,
                                                 .v = heads + n_held * row_bytes,
                                                 .row_bytes = row_bytes,
                                                 .kv_dtype = c->kv_dtype,
                                                 .n_heads = n_sharing,
                                                 .head_dim = c->head_dim,
                                                 .n_tokens = c->n - t < block ? c->n - t : block,
                                                 .pos = c->pos + t,
                                                 .scale = 0.3f,
                                                 .scratch = scratch};
            k->attention(&job);
        }
    }
    check("attention", k, got, want, (size_t)c->n * width, 2e-5);
    free(q), free(kv), free(want), free(got), free(ref_scratch), free(scratch);
    free(rows), free(heads);
}

static void attention(const struct jb_cpu_kernels *k)
{
    static const struct attention_case cases[] = {
        {JB_F32, 1, 1, 8, 0, 1},    {JB_F16, 8, 4, 8, 3, 5},      {JB_F16, 4, 2, 64, 63, 1},
        {JB_F16, 4, 2, 64, 64, 1},  {JB_F32, 9, 3, 64, 30, 70},   {JB_F16, 6, 2, 80, 130, 3},
        {JB_Q8_0, 4, 2, 64, 65, 9}, {JB_Q8_0, 2, 1, 32, 0, 1},    {JB_F16, 40, 1, 16, 10, 2},
        {JB_F32, 2, 2, 5, 7, 2},    {JB_F16, 32, 8, 128, 20, 40}, {JB_F16, 3, 1, 17, 100, 33},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        run_attention(k, &cases[i]);
    }
}

AT_EACH_LEVEL(vectors)
AT_EACH_LEVEL(extremes)
AT_EACH_LEVEL(argmax)
AT_EACH_LEVEL(rope)
AT_EACH_LEVEL(to_f16)
AT_EACH_LEVEL(attention)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors), cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_argmax),  cmocka_unit_test(test_rope),
        cmocka_unit_test(test_to_f16),  cmocka_unit_test(test_attention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
