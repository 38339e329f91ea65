/* SPDX-License-Identifier: MIT */
/* Every kernel of the cpu backend at every level this machine can run, against refops: odd sizes,
 * tails, poisoned outputs. Records are read back, so that integer products are compared with the
 * values they stand for and not with those they came from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cpu/kernels.h"
#include "backends/refops/refops.h"
#include "platforms/base/rng.h"

#define POISON 12345.0f
#define GUARD 8u /* poisoned values after each output */

static const uint32_t odd_sizes[] = {1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 100, 172, 255, 576, 1025};
#define N_ODD (sizeof(odd_sizes) / sizeof(odd_sizes[0]))

static float *values(struct jb_rng *rng, size_t n, float scale)
{
    float *x = malloc((n + GUARD) * sizeof(*x));
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        x[i] = scale * (float)(2.0 * jb_rng_unit(rng) - 1.0);
    }
    return x;
}

static float *poisoned(size_t n)
{
    float *x = malloc((n + GUARD) * sizeof(*x));
    assert_non_null(x);
    for (size_t i = 0; i < n + GUARD; i++) {
        x[i] = POISON;
    }
    return x;
}

/* All n are within limit x the root mean square of what they should be, or x `size` where that is
 * larger; the guard is untouched. */
static void check_size(const char *what, const struct jb_cpu_kernels *k, const float *got,
                       const float *want, size_t n, double limit, double size)
{
    double square = 0.0, worst = 0.0;
    size_t worst_at = 0;
    for (size_t i = 0; i < n; i++) {
        square += (double)want[i] * (double)want[i];
        const double difference = fabs((double)got[i] - (double)want[i]);
        if (!(difference <= worst)) {
            worst = difference;
            worst_at = i;
        }
    }
    const double allowed = limit * fmax(sqrt(square / (double)n), size) + 1e-30;
    if (!(worst <= allowed)) {
        fail_msg("%s at level %s: value %zu of %zu is %g, not %g (off by %g, allowed %g)", what,
                 jb_simd_name(k->level), worst_at, n, (double)got[worst_at], (double)want[worst_at],
                 worst, allowed);
    }
    for (size_t i = n; i < n + GUARD; i++) {
        if (got[i] != POISON) {
            fail_msg("%s at level %s: wrote value %zu of %zu", what, jb_simd_name(k->level), i, n);
        }
    }
}

static void check(const char *what, const struct jb_cpu_kernels *k, const float *got,
                  const float *want, size_t n, double limit)
{
    check_size(what, k, got, want, n, limit, 0.0);
}

static void for_each_level(void (*test)(const struct jb_cpu_kernels *k))
{
    uint32_t n = 0;
    for (enum jb_simd level = JB_SIMD_SCALAR; level <= JB_SIMD_AMX; level++) {
        const struct jb_cpu_kernels *k = jb_cpu_kernels_for(level);
        if (k->level == level && jb_simd_usable(level)) {
            test(k);
            n++;
        }
    }
    assert_true(n >= 1);
}

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

/* ---- records ---- */

/* x as its record says. */
static void read_record(const int8_t *record, uint32_t cols, float *ret_x)
{
    const float *d = jb_cpu_record_d(record, jb_cpu_padded(cols));
    for (uint32_t i = 0; i < cols; i++) {
        ret_x[i] = d[i / 32] * (float)record[i];
    }
}

static void quantise(const struct jb_cpu_kernels *k)
{
    static const uint32_t sizes[] = {32, 64, 96, 256, 288, 576, 1504};
    struct jb_rng rng;
    jb_rng_seed(&rng, 5, 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const uint32_t n = sizes[i], padded = jb_cpu_padded(n);
        float *x = values(&rng, n, 5.0f);
        memset(x, 0, 32 * sizeof(*x)); /* a block of zeros */
        int8_t *record = malloc(jb_cpu_record_bytes(n) + 1),
               *plain = calloc(jb_cpu_record_bytes(n), 1);
        assert_true(record != NULL && plain != NULL);
        memset(record, 0x55, jb_cpu_record_bytes(n) + 1);
        k->quantise(x, n, 1, padded / 32, record);
        k->quantise(x, n, 0, 1, record);
        const float *d = jb_cpu_record_d(record, padded), *s = jb_cpu_record_s(record, padded);
        const float *s16 = jb_cpu_record_s16(record, padded);
        for (uint32_t b = 0; b < padded / 32; b++) {
            double halves[2] = {0, 0};
            for (uint32_t j = b * 32; j < b * 32 + 32; j++) {
                halves[j % 32 / 16] += (double)d[b] * record[j];
                const double is = (double)d[b] * record[j], was = j < n ? (double)x[j] : 0.0;
                assert_true(fabs(is - was) <= 0.5001 * (double)d[b] && record[j] >= -127);
            }
            assert_true(fabs((double)s16[2 * b] - halves[0]) <= 1e-4);
            assert_true(fabs((double)s16[2 * b + 1] - halves[1]) <= 1e-4);
            assert_true(fabs((double)s[b] - halves[0] - halves[1]) <= 1e-4);
        }
        assert_int_equal(record[jb_cpu_record_bytes(n)], 0x55);
        /* The same bytes at each level, so that results of levels differ by rounding only. */
        jb_cpu_kernels_for(JB_SIMD_SCALAR)->quantise(x, n, 0, padded / 32, plain);
        assert_memory_equal(record, plain, jb_cpu_record_bytes(n));
        free(x), free(record), free(plain);
    }
}

/* Residuals of the two-term form can be subnormal: 127 / x must not become infinite. */
static void quantise_edges(const struct jb_cpu_kernels *k)
{
    float x[64];
    for (int i = 0; i < 64; i++) {
        x[i] = i < 32 ? 1e-40f : (i == 40 ? (float)NAN : 1.0f);
    }
    const uint32_t padded = jb_cpu_padded(64);
    int8_t *record = calloc(jb_cpu_record_bytes(64), 1);
    assert_non_null(record);
    k->quantise(x, 64, 0, padded / 32, record);
    for (int i = 0; i < 32; i++) {
        assert_int_equal(record[i], 0);
    }
    assert_true(fabsf(jb_cpu_record_s(record, padded)[0]) <= 0.0f);
    assert_true(isfinite(jb_cpu_record_d(record, padded)[0]));
    assert_true(isnan(jb_cpu_record_d(record, padded)[1]));
    free(record);
}

/* ---- products ---- */

struct product {
    enum jb_dtype dtype;
    uint32_t rows, cols, n;
};

static void run_product(const struct jb_cpu_kernels *k, const struct product *p, uint64_t seed)
{
    struct jb_rng rng;
    jb_rng_seed(&rng, seed, 6);
    const size_t row_bytes = jb_format_row_bytes(p->dtype, p->cols);
    const size_t values_in = (size_t)p->n * p->cols, values_out = (size_t)p->n * p->rows;
    float *x = values(&rng, values_in, 2.0f), *w = values(&rng, (size_t)p->rows * p->cols, 0.1f);
    float *want = poisoned(values_out), *got = poisoned(values_out), *scratch = poisoned(p->cols);
    uint8_t *stored = malloc(row_bytes * p->rows);
    int8_t *records = calloc(p->n, jb_cpu_record_bytes(p->cols));
    assert_true(stored != NULL && records != NULL);
    for (uint32_t r = 0; r < p->rows; r++) {
        /* A shift makes offsets and minima count. */
        for (uint32_t c = 0; c < p->cols; c++) {
            w[(size_t)r * p->cols + c] += 0.03f;
        }
        jb_format_encode(p->dtype, w + (size_t)r * p->cols, stored + r * row_bytes, p->cols);
    }
    for (uint32_t i = 0; i < p->n && k->takes_records[p->dtype]; i++) {
        int8_t *record = records + i * jb_cpu_record_bytes(p->cols);
        k->quantise(x + (size_t)i * p->cols, p->cols, 0, jb_cpu_padded(p->cols) / 32, record);
        read_record(record, p->cols, x + (size_t)i * p->cols);
    }
    const struct jb_cpu_matmul job = {
        .weights = stored,
        .row_bytes = row_bytes,
        .cols = p->cols,
        .n = p->n,
        .x = x,
        .x_stride = p->cols,
        .records = records,
        .record_bytes = jb_cpu_record_bytes(p->cols),
        .dst = got,
        .dst_stride = p->rows,
    };
    const uint32_t middle = p->rows / 3;
    k->matmul[p->dtype](&job, middle, p->rows);
    for (uint32_t i = 0; i < p->n; i++) {
        for (uint32_t r = 0; r < middle; r++) {
            assert_true(got[(size_t)i * p->rows + r] == POISON);
        }
    }
    k->matmul[p->dtype](&job, 0, middle);
    const struct jb_ref_matmul ref = {.dtype = p->dtype,
                                      .weight = stored,
                                      .rows = p->rows,
                                      .cols = p->cols,
                                      .src = x,
                                      .n = p->n,
                                      .dst = want};
    jb_ref_matmul(&ref, 0, p->rows, scratch);
    char what[96];
    snprintf(what, sizeof(what), "%s product of %u x %u by %u", jb_format(p->dtype)->name, p->rows,
             p->cols, p->n);
    /* Weights of 0.065 and values of 1.15 root mean square; one sum may come out near zero. */
    check_size(what, k, got, want, values_out, 3e-5, 0.075 * sqrt(p->cols));
    free(x), free(w), free(want), free(got), free(scratch), free(stored), free(records);
}

static void products(const struct jb_cpu_kernels *k)
{
    static const uint32_t cols[] = {1, 8, 31, 32, 64, 96, 172, 256, 288, 512, 576, 768, 1504};
    static const uint32_t counts[][2] = {{1, 1}, {5, 1}, {16, 2}, {7, 3}, {9, 4}, {23, 8}, {3, 17}};
    uint64_t seed = 0;
    for (int dtype = 0; dtype < JB_N_DTYPES; dtype++) {
        assert_non_null(k->matmul[dtype]);
        for (size_t c = 0; c < sizeof(cols) / sizeof(cols[0]); c++) {
            for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
                const struct product p = {.dtype = (enum jb_dtype)dtype,
                                          .rows = counts[i][0],
                                          .cols = cols[c],
                                          .n = counts[i][1]};
                if (jb_format_row_bytes(p.dtype, p.cols) != 0) {
                    run_product(k, &p, seed++);
                }
            }
        }
    }
}

/* Blocks of rows: more weights than one block holds. */
static void large_product(const struct jb_cpu_kernels *k)
{
    const struct product f32 = {.dtype = JB_F32, .rows = 83, .cols = 1100, .n = 6};
    run_product(k, &f32, 99);
    const struct product q8 = {.dtype = JB_Q8_0, .rows = 411, .cols = 1024, .n = 2};
    run_product(k, &q8, 98);
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
    uint8_t *heads = malloc(2 * n_positions * row_bytes);
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
        for (uint32_t p = 0; p < 2 * n_positions; p++) {
            memcpy(heads + p * row_bytes, rows + (p * (size_t)c->n_kv_heads + head) * row_bytes,
                   row_bytes);
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
                                                 .v = heads + part,
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

#define AT_EACH_LEVEL(NAME)                                                                        \
    static void test_##NAME(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        for_each_level(NAME);                                                                      \
    }
AT_EACH_LEVEL(vectors)
AT_EACH_LEVEL(extremes)
AT_EACH_LEVEL(argmax)
AT_EACH_LEVEL(rope)
AT_EACH_LEVEL(to_f16)
AT_EACH_LEVEL(quantise)
AT_EACH_LEVEL(quantise_edges)
AT_EACH_LEVEL(products)
AT_EACH_LEVEL(large_product)
AT_EACH_LEVEL(attention)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_argmax),         cmocka_unit_test(test_rope),
        cmocka_unit_test(test_to_f16),         cmocka_unit_test(test_quantise),
        cmocka_unit_test(test_quantise_edges), cmocka_unit_test(test_products),
        cmocka_unit_test(test_large_product),  cmocka_unit_test(test_attention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
