/* SPDX-License-Identifier: MIT */
/* Products of the cpu backend and what they read, at every level this machine can run, against
 * refops: odd sizes, tails, poisoned outputs. Records and quads are read back, so that integer
 * products are compared with the values they stand for and not with those they came from. */
#include "tests/unit/cpu_levels.h"

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
            assert_true(fabs((double)s16[2 * (size_t)b] - halves[0]) <= 1e-4);
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

/* ---- quads ---- */

/* x of row `lane` as its record says. */
static void read_quads(const int8_t *record, uint32_t cols, uint32_t width, uint32_t lane,
                       uint32_t n_terms, float *ret_x)
{
    for (uint32_t i = 0; i < cols; i++) {
        const int8_t *block = record + i / 32 * jb_cpu_quad_stride(width, n_terms);
        float d;
        memcpy(&d, block + (size_t)JB_CPU_QUAD_D(width) + (size_t)lane * 4, 4);
        int32_t whole = 0;
        whole += block[lane * 32 + i % 32];
        if (n_terms == 2) {
            whole = 256 * whole + block[JB_CPU_QUAD_REST(width) + lane * 32 + i % 32];
        }
        ret_x[i] = d * (float)whole;
    }
}

static void check_quad_sums(const int8_t *block, uint32_t width, uint32_t lane, const float *x)
{
    double halves[2] = {0, 0};
    float d, s;
    int32_t offsets[4];
    memcpy(&d, block + (size_t)JB_CPU_QUAD_D(width) + (size_t)lane * 4, 4);
    memcpy(&s, block + JB_CPU_QUAD_S(width) + (size_t)lane * 4, 4);
    for (uint32_t i = 0; i < 4; i++) {
        memcpy(&offsets[i],
               block + (size_t)JB_CPU_QUAD_MINUS8(width) + ((size_t)i * width + lane) * 4, 4);
    }
    for (uint32_t i = 0; i < 32; i++) {
        halves[i / 16] += (double)x[i];
    }
    const double sum = halves[0] + halves[1], allowed = 1e-5;
    assert_true(fabs((double)s - sum) <= allowed);
    assert_true(fabs((double)d * offsets[0] + 8 * sum) <= 8 * allowed);
    assert_true(fabs((double)d * offsets[1] + 128 * sum) <= 128 * allowed);
    assert_true(fabs((double)d * offsets[2] + 32 * halves[0]) <= 32 * allowed);
    assert_true(fabs((double)d * offsets[3] + 32 * halves[1]) <= 32 * allowed);
}

static void check_quads(const struct jb_cpu_kernels *k, uint32_t cols, uint32_t width,
                        uint32_t n_terms)
{
    struct jb_rng rng;
    jb_rng_seed(&rng, cols, n_terms);
    const size_t bytes = jb_cpu_quad_bytes(cols, width, n_terms);
    const uint32_t n_blocks = 2 * jb_cpu_panel_steps(cols);
    const size_t n = (size_t)n_blocks * 32;
    float *x = values(&rng, n, 1.0f), *is = poisoned(n);
    memset(x, 0, 32 * sizeof(*x));
    x[n / 2] = 40.0f; /* one large value leaves the others of its block few steps */
    int8_t *record = malloc(bytes + 1);
    assert_non_null(record);
    memset(record, 0x55, bytes + 1);
    for (uint32_t lane = 0; lane < width; lane++) {
        k->quantise_quads(x, cols, 1, n_blocks, width, lane, n_terms, record);
        k->quantise_quads(x, cols, 0, 1, width, lane, n_terms, record);
    }
    for (uint32_t lane = 0; lane < width; lane++) {
        read_quads(record, n_blocks * 32, width, lane, n_terms, is);
        for (uint32_t b = 0; b < n_blocks; b++) {
            double largest = 0.0;
            for (uint32_t i = b * 32; i < b * 32 + 32; i++) {
                largest = i < cols ? fmax(largest, fabs((double)x[i])) : 0.0;
            }
            /* Half a step; the rest's steps end at 127 of 128. */
            const double allowed = largest / 127.0 * (n_terms == 2 ? 1.01 / 256.0 : 0.5001);
            for (uint32_t i = b * 32; i < b * 32 + 32; i++) {
                assert_true(fabs((double)is[i] - (i < cols ? (double)x[i] : 0.0)) <= allowed);
            }
            check_quad_sums(record + b * jb_cpu_quad_stride(width, n_terms), width, lane,
                            is + (size_t)b * 32);
        }
    }
    assert_int_equal(record[bytes], 0x55);
    free(x), free(is), free(record);
}

static void quads(const struct jb_cpu_kernels *k)
{
    static const uint32_t sizes[] = {32, 64, 96, 256, 288, 1504};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && k->quantise_quads != NULL; i++) {
        for (uint32_t n_terms = 1; n_terms <= 2; n_terms++) {
            check_quads(k, sizes[i], 1, n_terms);
            check_quads(k, sizes[i], JB_CPU_QUAD, n_terms);
        }
    }
}

static void quads_edges(const struct jb_cpu_kernels *k)
{
    float x[64], is[64];
    for (int i = 0; i < 64; i++) {
        x[i] = i < 32 ? 1e-40f : (i == 40 ? (float)NAN : 1.0f);
    }
    for (uint32_t n_terms = 1; n_terms <= 2 && k->quantise_quads != NULL; n_terms++) {
        int8_t *record = malloc(jb_cpu_quad_bytes(64, 1, n_terms));
        assert_non_null(record);
        for (int kind = 0; kind < 2; kind++) {
            k->quantise_quads(x, 64, 0, 2, 1, 0, n_terms, record);
            read_quads(record, 64, 1, 0, n_terms, is);
            for (int i = 0; i < 32; i++) {
                assert_true(fabsf(is[i]) <= 0.0f);
                assert_true(isnan(is[i + 32]) != 0);
            }
            x[40] = INFINITY;
        }
        free(record);
    }
}

static void panels(const struct jb_cpu_kernels *k)
{
    static const uint32_t sizes[][2] = {{16, 256}, {3, 512}, {1, 32}, {7, 96}, {16, 768}};
    struct jb_rng rng;
    jb_rng_seed(&rng, 8, 0);
    for (int dtype = 0; dtype < JB_N_DTYPES; dtype++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            const uint32_t rows = sizes[i][0], cols = sizes[i][1];
            const size_t row_bytes = jb_format_row_bytes((enum jb_dtype)dtype, cols);
            if (!jb_cpu_is_packed(k->input[dtype]) || row_bytes == 0) {
                continue;
            }
            const size_t panel_bytes = jb_cpu_panel_bytes((enum jb_dtype)dtype, cols);
            assert_true(panel_bytes % JB_CPU_LINE == 0);
            uint8_t *stored = malloc(row_bytes * rows), *panel = malloc(panel_bytes + 1);
            float *want = poisoned(cols), *got = poisoned(cols);
            assert_non_null(stored);
            assert_non_null(panel);
            memset(panel, 0x55, panel_bytes + 1);
            for (uint32_t r = 0; r < rows; r++) {
                jb_format_fill_random((enum jb_dtype)dtype, stored + r * row_bytes, cols, 1.0f, 7,
                                      0, r);
            }
            jb_cpu_pack((enum jb_dtype)dtype, stored, row_bytes, rows, cols, panel);
            for (uint32_t r = 0; r < rows; r++) {
                jb_format_decode((enum jb_dtype)dtype, stored + r * row_bytes, want, cols);
                jb_cpu_unpack_row((enum jb_dtype)dtype, panel, r, cols, got);
                check("a row out of its panel", k, got, want, cols, 0);
            }
            assert_int_equal(panel[panel_bytes], 0x55);
            free(stored), free(panel), free(want), free(got);
        }
    }
}

/* ---- products ---- */

struct product {
    enum jb_dtype dtype;
    uint32_t rows, cols, n, n_terms;
};

/* What a product reads, besides x. */
struct packed_product {
    uint8_t *weights;
    int8_t *records;
    size_t row_bytes, record_bytes;
};

/* x to bfloat16, in two parts, and back. */
static void read_halves(const struct jb_cpu_kernels *k, uint32_t cols, uint16_t *halves, float *x)
{
    const uint32_t middle = cols / 64 * 32;
    k->to_bf16(x, middle, cols, halves);
    k->to_bf16(x, 0, middle, halves);
    for (uint32_t i = 0; i < cols; i++) {
        assert_int_equal(halves[i], jb_f32_to_bf16(x[i]));
        x[i] = jb_bf16_to_f32(halves[i]);
    }
}

/* Quantises as the level does, and makes x what that stands for. */
static struct packed_product prepare(const struct jb_cpu_kernels *k, const struct product *p,
                                     uint8_t *stored, float *x)
{
    const size_t row_bytes = jb_format_row_bytes(p->dtype, p->cols);
    struct packed_product in = {.row_bytes = row_bytes,
                                .record_bytes = jb_cpu_record_bytes(p->cols)};
    if (!jb_cpu_is_packed(k->input[p->dtype])) {
        in.records = calloc(p->n, in.record_bytes);
        in.weights = malloc(row_bytes * p->rows);
        assert_true(in.weights != NULL && in.records != NULL);
        memcpy(in.weights, stored, row_bytes * p->rows);
        for (uint32_t i = 0; i < p->n && k->input[p->dtype] == JB_CPU_INPUT_RECORDS; i++) {
            int8_t *record = in.records + i * in.record_bytes;
            k->quantise(x + (size_t)i * p->cols, p->cols, 0, jb_cpu_padded(p->cols) / 32, record);
            read_record(record, p->cols, x + (size_t)i * p->cols);
        }
        return in;
    }
    const uint32_t width = jb_cpu_quad_width(p->n);
    in.row_bytes = jb_cpu_panel_bytes(p->dtype, p->cols);
    in.record_bytes = k->input[p->dtype] == JB_CPU_INPUT_QUADS
                          ? jb_cpu_quad_bytes(p->cols, width, p->n_terms)
                          : jb_cpu_halves_bytes(p->cols);
    const size_t n_panels = (p->rows + JB_CPU_PANEL - 1) / JB_CPU_PANEL;
    const size_t n_quads =
        k->input[p->dtype] == JB_CPU_INPUT_QUADS ? (p->n + width - 1) / width : p->n;
    in.weights = aligned_alloc(64, n_panels * in.row_bytes);
    in.records = malloc(n_quads * in.record_bytes);
    assert_non_null(in.weights);
    assert_non_null(in.records);
    memset(in.weights, 0x55, n_panels * in.row_bytes);
    memset(in.records, 0x55, n_quads * in.record_bytes);
    for (uint32_t r = 0; r < p->rows; r += JB_CPU_PANEL) {
        const uint32_t left = p->rows - r;
        jb_cpu_pack(p->dtype, stored + r * row_bytes, row_bytes,
                    left < JB_CPU_PANEL ? left : JB_CPU_PANEL, p->cols,
                    in.weights + r / JB_CPU_PANEL * in.row_bytes);
    }
    for (uint32_t i = 0; i < p->n && k->input[p->dtype] == JB_CPU_INPUT_HALVES && p->n_terms == 1;
         i++) {
        read_halves(k, p->cols, (uint16_t *)(void *)(in.records + i * in.record_bytes),
                    x + (size_t)i * p->cols);
    }
    for (uint32_t i = 0; i < p->n && k->input[p->dtype] == JB_CPU_INPUT_QUADS; i++) {
        float *row = x + (size_t)i * p->cols;
        int8_t *record = in.records + i / width * in.record_bytes;
        k->quantise_quads(row, p->cols, 0, 2 * jb_cpu_panel_steps(p->cols), width, i % width,
                          p->n_terms, record);
        read_quads(record, p->cols, width, i % width, p->n_terms, row);
    }
    return in;
}

static void run_product(const struct jb_cpu_kernels *k, const struct product *p, uint64_t seed)
{
    struct jb_rng rng;
    jb_rng_seed(&rng, seed, 6);
    const size_t row_bytes = jb_format_row_bytes(p->dtype, p->cols);
    const size_t values_in = (size_t)p->n * p->cols, values_out = (size_t)p->n * p->rows;
    float *x = values(&rng, values_in, 2.0f), *w = values(&rng, (size_t)p->rows * p->cols, 0.1f);
    float *want = poisoned(values_out), *got = poisoned(values_out), *scratch = poisoned(p->cols);
    uint8_t *stored = malloc(row_bytes * p->rows);
    assert_non_null(stored);
    for (uint32_t r = 0; r < p->rows; r++) {
        /* A shift makes offsets and minima count. */
        for (uint32_t c = 0; c < p->cols; c++) {
            w[(size_t)r * p->cols + c] += 0.03f;
        }
        jb_format_encode(p->dtype, w + (size_t)r * p->cols, stored + r * row_bytes, p->cols);
    }
    const struct packed_product in = prepare(k, p, stored, x);
    const struct jb_cpu_matmul job = {
        .weights = in.weights,
        .row_bytes = in.row_bytes,
        .cols = p->cols,
        .n = p->n,
        .x = x,
        .x_stride = p->cols,
        .records = in.records,
        .record_bytes = in.record_bytes,
        .n_terms = p->n_terms,
        .dst = got,
        .dst_stride = p->rows,
    };
    const bool is_packed = jb_cpu_is_packed(k->input[p->dtype]);
    const uint32_t middle =
        p->rows / 3 / (is_packed ? JB_CPU_PANEL : 1) * (is_packed ? JB_CPU_PANEL : 1);
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
    snprintf(what, sizeof(what), "%s product of %u x %u by %u, %u terms", jb_format(p->dtype)->name,
             p->rows, p->cols, p->n, p->n_terms);
    /* Weights of 0.065 and values of 1.15 root mean square; one sum may come out near zero. */
    check_size(what, k, got, want, values_out, 3e-5, 0.075 * sqrt(p->cols));
    free(x), free(w), free(want), free(got), free(scratch), free(stored);
    free(in.weights), free(in.records);
}

static void products(const struct jb_cpu_kernels *k)
{
    static const uint32_t cols[] = {1, 8, 31, 32, 64, 96, 172, 256, 288, 512, 576, 768, 1504};
    static const uint32_t counts[][2] = {{1, 1},  {5, 1},  {16, 2},  {7, 3},   {9, 4},  {23, 8},
                                         {3, 17}, {49, 1}, {50, 12}, {45, 33}, {145, 6}};
    uint64_t seed = 0;
    for (int dtype = 0; dtype < JB_N_DTYPES; dtype++) {
        assert_non_null(k->matmul[dtype]);
        for (size_t c = 0; c < sizeof(cols) / sizeof(cols[0]); c++) {
            for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
                struct product p = {.dtype = (enum jb_dtype)dtype,
                                    .rows = counts[i][0],
                                    .cols = cols[c],
                                    .n = counts[i][1]};
                const uint32_t most = jb_cpu_is_packed(k->input[dtype]) ? 2 : 1;
                for (p.n_terms = 1; p.n_terms <= most; p.n_terms++) {
                    if (jb_format_row_bytes(p.dtype, p.cols) != 0) {
                        run_product(k, &p, seed++);
                    }
                }
            }
        }
    }
}

/* Blocks of rows: more weights than one block holds. */
static void large_product(const struct jb_cpu_kernels *k)
{
    const struct product f32 = {.dtype = JB_F32, .rows = 83, .cols = 1100, .n = 6, .n_terms = 1};
    run_product(k, &f32, 99);
    const struct product q8 = {.dtype = JB_Q8_0, .rows = 411, .cols = 1024, .n = 2, .n_terms = 1};
    run_product(k, &q8, 98);
}

AT_EACH_LEVEL(quantise)
AT_EACH_LEVEL(quantise_edges)
AT_EACH_LEVEL(quads)
AT_EACH_LEVEL(quads_edges)
AT_EACH_LEVEL(panels)
AT_EACH_LEVEL(products)
AT_EACH_LEVEL(large_product)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantise),      cmocka_unit_test(test_quantise_edges),
        cmocka_unit_test(test_quads),         cmocka_unit_test(test_quads_edges),
        cmocka_unit_test(test_panels),        cmocka_unit_test(test_products),
        cmocka_unit_test(test_large_product),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
