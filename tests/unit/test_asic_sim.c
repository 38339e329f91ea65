/* SPDX-License-Identifier: MIT */
/* asic_sim against the same arithmetic written out plainly, against jb_op_cost(), and against
 * physics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "backends/asic_sim/schedule.h"
#include "backends/refops/exec.h"
#include "tests/support/maker.h"

extern const struct jb_backend jb_backend_asic_sim;

enum { CONTEXT = 24, MAX_TOKENS = 12, VOCAB = 131 };
static const int32_t ids[MAX_TOKENS] = {3, 77, 5, 19, 130, 0, 42, 42, 7, 99, 12, 64};

/* ---- a device by its settings ---- */

struct opened {
    struct jb_device *dev;
    enum jb_status status;
};

static struct opened open_with(const char *const *pairs, const char *device)
{
    struct jb_setting settings[8];
    uint32_t n = 0;
    for (; pairs != NULL && pairs[2 * n] != NULL; n++) {
        settings[n] = (struct jb_setting){pairs[2 * n], pairs[2 * n + 1]};
    }
    const struct jb_open_args args = {
        .device = device, .settings = settings, .n_settings = n, .n_threads = 1};
    struct opened opened = {.dev = calloc(1, jb_backend_asic_sim.device_size)};
    assert_non_null(opened.dev);
    opened.status = jb_backend_asic_sim.open(opened.dev, &args);
    return opened;
}

static struct jb_device *device_with(const char *const *pairs, const char *device,
                                     const struct jb_load_args *load)
{
    struct opened opened = open_with(pairs, device);
    if (opened.status != JB_OK || jb_backend_asic_sim.load(opened.dev, load) != JB_OK) {
        fail_msg("%s", jb_reason());
    }
    return opened.dev;
}

static void close_device(struct jb_device *dev)
{
    jb_backend_asic_sim.close(dev);
    free(dev);
}

static struct jb_load_args sizes(const struct maker *m, enum jb_execution execution)
{
    return (struct jb_load_args){.plan = &m->plan,
                                 .max_seqs = 2,
                                 .max_tokens = MAX_TOKENS,
                                 .max_outputs = MAX_TOKENS,
                                 .context = CONTEXT,
                                 .execution = execution};
}

/* ---- the same arithmetic, sum by sum ---- */

struct plain {
    struct jb_array array;
    struct jb_numerics numerics;
    bool drops_last_fold; /* planted error */
};

static float rounded(enum jb_sum sum, float x)
{
    return sum == JB_SUM_F16    ? jb_f16_to_f32(jb_f32_to_f16(x))
           : sum == JB_SUM_BF16 ? jb_bf16_to_f32(jb_f32_to_bf16(x))
                                : x;
}

/* a and b (k,) as they are stored. */
static float plain_dot(const struct plain *p, enum jb_operand operand, const float *a,
                       const float *b, uint32_t k)
{
    static float x[4096], y[4096];
    const float scale =
        jb_operand_row(p->numerics.operand, a, k, x) * jb_operand_row(operand, b, k, y);
    const uint32_t depth = p->array.dataflow == JB_WEIGHT_STATIONARY ? p->array.rows : k;
    float total = 0.0F;
    int64_t whole = 0;
    for (uint32_t first = 0; first < k; first += depth) {
        const uint32_t end = first + depth < k ? first + depth : k;
        if (p->drops_last_fold && first > 0 && end == k && k % depth != 0) {
            break;
        }
        float fold = 0.0F;
        for (uint32_t i = first; i < end; i++) {
            const float product = x[i] * y[i];
            fold = rounded(p->numerics.sum, fold + product);
            whole += (int64_t)x[i] * (int64_t)y[i];
        }
        total = first == 0 ? fold : rounded(p->numerics.sum, total + fold);
    }
    total = p->numerics.sum == JB_SUM_INT32 ? (float)whole : total;
    const bool is_scaled =
        p->numerics.operand == JB_OPERAND_INT8 || p->numerics.operand == JB_OPERAND_FP8;
    return is_scaled ? total * scale : total;
}

static enum jb_status plain_matmul(void *ctx, const struct jb_ref_matmul *m, uint32_t tensor)
{
    (void)tensor;
    static float row[4096];
    const size_t row_bytes = jb_format_row_bytes(m->dtype, m->cols);
    for (uint32_t r = 0; r < m->rows; r++) {
        jb_format_decode(m->dtype, (const uint8_t *)m->weight + r * row_bytes, row, m->cols);
        for (uint32_t t = 0; t < m->n; t++) {
            const struct plain *p = ctx;
            const float sum =
                plain_dot(p, p->numerics.operand, m->src + (size_t)t * m->cols, row, m->cols);
            m->dst[(size_t)t * m->rows + r] = m->bias != NULL ? sum + m->bias[r] : sum;
        }
    }
    return JB_OK;
}

static void decode(const struct jb_ref_attention *a, const void *rows, uint32_t p, uint32_t head,
                   float *dst)
{
    const size_t row = jb_format_row_bytes(a->kv_dtype, (uint64_t)a->n_kv_heads * a->head_dim);
    jb_format_decode(a->kv_dtype,
                     (const uint8_t *)rows + p * row +
                         head * jb_format_row_bytes(a->kv_dtype, a->head_dim),
                     dst, a->head_dim);
}

/* One query head of one token; positions behind it take part with probability 0, as on the array.
 */
static void plain_head(const struct plain *p, const struct jb_ref_attention *a, uint32_t t,
                       uint32_t h, double *scratch)
{
    static float k[256], k_or_v[256], scale[CONTEXT];
    static float share[CONTEXT], column[CONTEXT], v[CONTEXT][256];
    const uint32_t n = a->pos + a->n, seen = a->pos + t + 1;
    const uint32_t group = h / (a->n_heads / a->n_kv_heads);
    const size_t at = ((size_t)t * a->n_heads + h) * a->head_dim;
    double most = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        decode(a, a->k, i, group, k);
        decode(a, a->v, i, group, k_or_v);
        scale[i] = jb_operand_row(p->numerics.operand, k_or_v, a->head_dim, v[i]);
        scratch[i] =
            (double)plain_dot(p, p->numerics.operand, a->q + at, k, a->head_dim) * (double)a->scale;
        most = i < seen && scratch[i] > most ? scratch[i] : most;
    }
    for (uint32_t i = 0; i < seen; i++) {
        scratch[i] = exp(scratch[i] - most);
        sum += scratch[i];
    }
    for (uint32_t i = 0; i < n; i++) {
        share[i] = i < seen ? (float)(scratch[i] / sum) * scale[i] : 0.0F;
    }
    for (uint32_t d = 0; d < a->head_dim; d++) {
        for (uint32_t i = 0; i < n; i++) {
            column[i] = v[i][d];
        }
        a->dst[at + d] = plain_dot(p, JB_OPERAND_F32, share, column, n);
    }
}

static enum jb_status plain_attention(void *ctx, const struct jb_ref_attention *a, double *scratch)
{
    for (uint32_t t = 0; t < a->n; t++) {
        for (uint32_t h = 0; h < a->n_heads; h++) {
            plain_head(ctx, a, t, h, scratch);
        }
    }
    return JB_OK;
}

/* Logits of a prefill and a decode step, one after the other. */
struct logits {
    float x[(MAX_TOKENS - 1 + 1) * VOCAB];
};

static const struct jb_seq seqs[2] = {
    {.n_tokens = MAX_TOKENS - 1, .want = JB_WANT_ALL, .tokens = ids},
    {.pos = MAX_TOKENS - 1, .n_tokens = 1, .want = JB_WANT_LAST, .tokens = ids + MAX_TOKENS - 1}};

static struct jb_step step_of(const struct maker *m, uint32_t i, float *logits)
{
    return (struct jb_step){
        .op_end = m->program.n_ops, .seqs = &seqs[i], .n_seqs = 1, .ret_logits = logits};
}

static void run_plain(const struct maker *m, const struct plain *plain, struct logits *ret)
{
    struct plain own = *plain;
    const struct jb_ref_hooks hooks = {
        .ctx = &own, .matmul = plain_matmul, .attention = plain_attention};
    const struct jb_load_args load = sizes(m, JB_EXECUTE_FUNCTIONAL);
    struct jb_ref_exec *exec = NULL;
    assert_int_equal(jb_ref_exec_create("plain", &load, &hooks, &exec), JB_OK);
    for (uint32_t i = 0; i < 2; i++) {
        const struct jb_step step = step_of(m, i, ret->x + (size_t)i * (MAX_TOKENS - 1) * VOCAB);
        assert_int_equal(jb_ref_exec_step(exec, &step), JB_OK);
    }
    jb_ref_exec_free(exec);
}

static void run_device(const struct maker *m, const char *const *pairs, struct logits *ret)
{
    const struct jb_load_args load = sizes(m, JB_EXECUTE_FUNCTIONAL);
    struct jb_device *dev = device_with(pairs, NULL, &load);
    for (uint32_t i = 0; i < 2; i++) {
        const struct jb_step step = step_of(m, i, ret->x + (size_t)i * (MAX_TOKENS - 1) * VOCAB);
        assert_int_equal(jb_backend_asic_sim.step(dev, &step), JB_OK);
    }
    close_device(dev);
}

static bool is_same(const struct logits *a, const struct logits *b)
{
    for (size_t i = 0; i < sizeof a->x / sizeof a->x[0]; i++) {
        if (a->x[i] != b->x[i]) {
            return false;
        }
    }
    return true;
}

static void test_numbers_are_those_declared(void **state)
{
    (void)state;
    static const struct {
        const char *operand, *sum, *dataflow;
        struct plain plain;
    } cases[] = {
        {"f32",
         "f32",
         "ws",
         {{48, 32, 1, JB_WEIGHT_STATIONARY, true}, {JB_OPERAND_F32, JB_SUM_F32}, false}},
        {"bf16",
         "f32",
         "ws",
         {{48, 32, 1, JB_WEIGHT_STATIONARY, true}, {JB_OPERAND_BF16, JB_SUM_F32}, false}},
        {"f16",
         "f16",
         "ws",
         {{48, 32, 1, JB_WEIGHT_STATIONARY, true}, {JB_OPERAND_F16, JB_SUM_F16}, false}},
        {"bf16",
         "bf16",
         "os",
         {{48, 32, 1, JB_OUTPUT_STATIONARY, true}, {JB_OPERAND_BF16, JB_SUM_BF16}, false}},
        {"fp8",
         "f32",
         "os",
         {{48, 32, 1, JB_OUTPUT_STATIONARY, true}, {JB_OPERAND_FP8, JB_SUM_F32}, false}},
        {"int8",
         "int32",
         "ws",
         {{48, 32, 1, JB_WEIGHT_STATIONARY, true}, {JB_OPERAND_INT8, JB_SUM_INT32}, false}},
    };
    static struct logits expected, got, first;
    struct maker *m = maker_model(maker_shape("llama"), JB_Q4_0, JB_F16, CONTEXT, 7);
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const pairs[] = {"operand",    cases[i].operand,
                                     "sum",        cases[i].sum,
                                     "dataflow",   cases[i].dataflow,
                                     "array_rows", "48",
                                     "array_cols", "32",
                                     NULL};
        run_plain(m, &cases[i].plain, &expected);
        run_device(m, pairs, &got);
        assert_true(is_same(&expected, &got));
        if (i == 0) {
            first = got;
        } else { /* each format shows */
            assert_false(is_same(&first, &got));
        }
    }
    maker_free(m);
}

/* What a wrong mapping would do to logits: a lost partial tile, other folds, a narrower sum. */
static void test_tiles_show(void **state)
{
    (void)state;
    static struct logits right, wrong;
    struct maker *m = maker_model(maker_shape("llama"), JB_F16, JB_F16, CONTEXT, 7);
    struct plain plain = {
        {48, 32, 1, JB_WEIGHT_STATIONARY, true}, {JB_OPERAND_F16, JB_SUM_F32}, false};
    const char *const pairs[] = {"operand", "f16", "array_rows", "48", "array_cols", "32", NULL};
    run_device(m, pairs, &right);
    run_plain(m, &plain, &wrong);
    assert_true(is_same(&right, &wrong));
    plain.drops_last_fold = true;
    run_plain(m, &plain, &wrong);
    assert_false(is_same(&right, &wrong));
    plain.drops_last_fold = false;
    plain.array.rows = 64;
    run_plain(m, &plain, &wrong);
    assert_false(is_same(&right, &wrong));
    plain.array.rows = 48;
    plain.numerics.sum = JB_SUM_F16;
    run_plain(m, &plain, &wrong);
    assert_false(is_same(&right, &wrong));
    maker_free(m);
}

/* ---- work and time ---- */

static void account_of(const struct maker *m, const char *const *pairs, const char *device,
                       enum jb_execution execution, uint32_t which, struct jb_account *ret,
                       struct jb_device **ret_dev)
{
    const struct jb_load_args load = sizes(m, execution);
    struct jb_device *dev = device_with(pairs, device, &load);
    for (uint32_t i = 0; i <= which; i++) {
        const struct jb_step step = step_of(m, i, NULL);
        assert_int_equal(jb_backend_asic_sim.step(dev, &step), JB_OK);
    }
    assert_int_equal(jb_backend_asic_sim.account(dev, ret), JB_OK);
    *ret_dev = dev;
}

static const char *const devices[] = {"systolic-128", "tpu-v4", "tpu-v5e",        "gaudi2",
                                      "groq-lpu",     "wse",    "hyperaccel-lpu", "edge-lpu"};
enum { N_DEVICES = sizeof devices / sizeof devices[0] };

/* MACs and bytes of each op are those of the model; chips that share a layer read each weight once
 * between them. */
static void test_work_is_that_of_the_model(void **state)
{
    (void)state;
    struct maker *m = maker_model(maker_shape("llama"), JB_F16, JB_F16, CONTEXT, 7);
    for (uint32_t d = 0; d < N_DEVICES; d++) {
        for (uint32_t which = 0; which < 2; which++) {
            struct jb_account account;
            struct jb_device *dev = NULL;
            account_of(m, NULL, devices[d], JB_EXECUTE_FUNCTIONAL, which, &account, &dev);
            const struct jb_step step = step_of(m, which, NULL);
            for (uint32_t op = 0; op < m->program.n_ops; op++) {
                struct jb_cost cost;
                uint64_t macs = 0, read = 0, written = 0;
                jb_op_cost(&m->plan, &m->ops[op], &step, &cost);
                for (uint64_t c = 0; c < account.n_charges; c++) {
                    if (account.charges[c].op == op) {
                        macs += account.charges[c].macs;
                        read += account.charges[c].read_bytes;
                        written += account.charges[c].write_bytes;
                    }
                }
                assert_int_equal(macs, cost.macs);
                assert_int_equal(read, cost.weight_bytes + cost.kv_read_bytes);
                assert_int_equal(written, cost.kv_write_bytes);
            }
            close_device(dev);
        }
    }
    maker_free(m);
}

static void test_timing_is_functional(void **state)
{
    (void)state;
    struct maker *m = maker_model(maker_shape("llama"), JB_Q8_0, JB_F16, CONTEXT, 7);
    for (uint32_t which = 0; which < 2; which++) {
        struct jb_account a, b;
        struct jb_device *x = NULL, *y = NULL;
        account_of(m, NULL, "hyperaccel-lpu", JB_EXECUTE_FUNCTIONAL, which, &a, &x);
        account_of(m, NULL, "hyperaccel-lpu", JB_EXECUTE_TIMING, which, &b, &y);
        assert_true(a.time_s == b.time_s && a.energy_j == b.energy_j);
        close_device(x);
        close_device(y);
    }
    maker_free(m);
}

/* Joules add up, op by op and in all; details say the same as charges; nothing beats its peak. */
static void check_books(const struct maker *m, const char *device, uint32_t which)
{
    struct jb_account account;
    struct jb_device *dev = NULL;
    account_of(m, NULL, device, JB_EXECUTE_FUNCTIONAL, which, &account, &dev);
    double sum_j = 0, ops_j = 0, last_s = 0;
    for (uint64_t c = 0; c < account.n_charges; c++) {
        const struct jb_charge *charge = &account.charges[c];
        for (uint32_t line = 0; line < JB_ASIC_N_LINES; line++) {
            assert_true(charge->energy_j[line] >= 0);
            sum_j += charge->energy_j[line];
        }
        assert_true(charge->end_s >= charge->start_s);
        last_s = charge->end_s > last_s ? charge->end_s : last_s;
    }
    for (uint32_t op = 0; op < m->program.n_ops; op++) {
        struct jb_op_detail detail;
        assert_int_equal(jb_backend_asic_sim.detail(dev, op, &detail), JB_OK);
        uint64_t cycles = 0;
        double line_j = 0;
        for (uint32_t i = 0; i < detail.n_parts; i++) {
            cycles += detail.parts[i].cycles;
        }
        for (uint32_t i = 0; i < JB_ASIC_N_LINES; i++) {
            line_j += detail.line_j[i];
        }
        assert_int_equal(cycles, detail.cycles);
        assert_true(fabs(line_j - detail.energy_j) <= 1e-12 * detail.energy_j);
        assert_true(m->ops[op].kind != JB_OP_MATMUL || (double)detail.macs / detail.clock_hz >= 0);
        ops_j += detail.energy_j;
    }
    assert_true(account.energy_j > 0 && fabs(sum_j - account.energy_j) <= 1e-12 * sum_j);
    assert_true(fabs(ops_j - sum_j) <= 1e-12 * sum_j);
    assert_true(last_s == account.time_s);
    close_device(dev);
}

static void test_books(void **state)
{
    (void)state;
    struct maker *m = maker_model(maker_shape("llama"), JB_Q4_K, JB_F16, CONTEXT, 7);
    for (uint32_t d = 0; d < N_DEVICES; d++) {
        check_books(m, devices[d], 0);
        check_books(m, devices[d], 1);
    }
    maker_free(m);
}

static double time_of(const struct maker *m, const char *const *pairs, uint32_t which)
{
    struct jb_account account;
    struct jb_device *dev = NULL;
    account_of(m, pairs, "systolic-128", JB_EXECUTE_TIMING, which, &account, &dev);
    close_device(dev);
    return account.time_s;
}

static void test_less_is_never_faster(void **state)
{
    (void)state;
    static const char *const worse[][3] = {{"clock", "500 MHz", NULL},
                                           {"memory_rate", "800 MHz", NULL},
                                           {"vector_lanes", "512", NULL},
                                           {"preload", "off", NULL},
                                           {"weight_buffer", "64 KiB", NULL},
                                           {"act_buffer", "4 KiB", NULL},
                                           {"op_latency", "1 us", NULL},
                                           {"memory_stacks", "1", NULL},
                                           {"refresh", "on", NULL}};
    struct maker *m = maker_model(maker_shape("llama"), JB_F32, JB_F32, CONTEXT, 7);
    for (uint32_t which = 0; which < 2; which++) {
        const double usual = time_of(m, NULL, which);
        for (uint32_t i = 0; i < sizeof worse / sizeof worse[0]; i++) {
            assert_true(time_of(m, worse[i], which) >= usual);
        }
        assert_true(time_of(m, worse[0], which) > usual);
        const char *const ideal[] = {"memory", "ideal", NULL};
        const char *const still[] = {"refresh", "off", NULL};
        assert_true(time_of(m, ideal, which) < usual);
        assert_true(time_of(m, still, which) <= usual);
        /* The step moves its weights no faster than the pins let it. */
        assert_true((double)jb_plan_weight_bytes(&m->plan) / 2 / usual < 409.6e9);
    }
    maker_free(m);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const bad[][3] = {
        {"no_such_key", "1", NULL}, {"sum", "int32", NULL},           {"operand", "int8", NULL},
        {"memory", "magic", NULL},  {"array_load_rows", "129", NULL}, {"refresh", "no", NULL}};
    for (uint32_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct opened opened = open_with(bad[i], NULL);
        assert_int_equal(opened.status, JB_E_INVAL);
        assert_non_null(strstr(jb_reason(), bad[i][0]));
        free(opened.dev);
    }
    struct opened opened = open_with(NULL, "a100-sxm");
    assert_int_equal(opened.status, JB_E_NODEV);
    free(opened.dev);
    /* A model that is too large, with both numbers. */
    struct maker *m = maker_model(maker_shape("llama"), JB_F32, JB_F32, CONTEXT, 7);
    m->tensors[0].n_bytes = UINT64_C(17) << 30;
    const struct jb_load_args load = sizes(m, JB_EXECUTE_TIMING);
    opened = open_with(NULL, NULL);
    assert_int_equal(jb_backend_asic_sim.load(opened.dev, &load), JB_E_NOMEM);
    assert_non_null(strstr(jb_reason(), "17.0"));
    assert_non_null(strstr(jb_reason(), "16.00 GiB"));
    close_device(opened.dev);
    maker_free(m);
}

/* ---- how products are spread and cut ---- */

static void test_spread(void **state)
{
    (void)state;
    struct jb_asic_chip chip = {.array = {128, 128, 1, JB_WEIGHT_STATIONARY, true}};
    const struct jb_product tall = {.m = 4096, .n = 128, .k = 128};
    const struct jb_asic_spread one = jb_asic_spread(&chip, 1, &tall);
    assert_int_equal(one.n_m, 1);
    assert_int_equal(one.n_tiles, 1);
    const struct jb_asic_spread eight = jb_asic_spread(&chip, 8, &tall); /* one fold: cut M */
    assert_int_equal(eight.n_m, 8);
    assert_int_equal(eight.part.m, 512);
    const struct jb_product wide = {.m = 1, .n = 4096, .k = 4096};
    const struct jb_asic_spread folds = jb_asic_spread(&chip, 8, &wide);
    assert_int_equal(folds.n_m, 1);
    assert_int_equal(folds.n_tiles, 32 * 32 / 8);
}

/* Traffic follows the buffer: none beside the weights while all fits, never less with less room. */
static void test_tiling(void **state)
{
    (void)state;
    struct jb_asic_chip chip = {.array = {128, 128, 1, JB_WEIGHT_STATIONARY, true},
                                .numerics = {JB_OPERAND_BF16, JB_SUM_F32}};
    const struct jb_product product = {.m = 2048, .n = 4096, .k = 4096};
    const double weights = 2.0 * 4096 * 4096, in = 2.0 * 2048 * 4096, out = 4.0 * 2048 * 4096;
    double before = 0;
    for (uint32_t i = 0; i < 12; i++) {
        const double room = 128 * JB_MIB / (double)(1u << i);
        chip.act_buffer = room;
        const struct jb_asic_tiling tiling = jb_asic_tiling(&chip, &product, weights);
        const double traffic = (double)tiling.n_passes * weights + tiling.spilled_bytes;
        assert_true(traffic >= before && traffic >= weights);
        assert_true(in + out > room || traffic == weights);
        before = traffic;
    }
    assert_true(before > weights + in + out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_those_declared),
        cmocka_unit_test(test_tiles_show),
        cmocka_unit_test(test_work_is_that_of_the_model),
        cmocka_unit_test(test_timing_is_functional),
        cmocka_unit_test(test_books),
        cmocka_unit_test(test_less_is_never_faster),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_tiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
