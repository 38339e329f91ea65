/* SPDX-License-Identifier: MIT */
/* fpga_sim against the same arithmetic written out plainly, against jb_op_cost(), and against
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

#include "backends/fpga_sim/schedule.h"
#include "backends/refops/exec.h"
#include "tests/support/maker.h"

extern const struct jb_backend jb_backend_fpga_sim;

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
    struct opened opened = {.dev = calloc(1, jb_backend_fpga_sim.device_size)};
    assert_non_null(opened.dev);
    opened.status = jb_backend_fpga_sim.open(opened.dev, &args);
    return opened;
}

static struct jb_device *device_with(const char *const *pairs, const char *device,
                                     const struct jb_load_args *load)
{
    struct opened opened = open_with(pairs, device);
    if (opened.status != JB_OK || jb_backend_fpga_sim.load(opened.dev, load) != JB_OK) {
        fail_msg("%s", jb_reason());
    }
    return opened.dev;
}

static void close_device(struct jb_device *dev)
{
    jb_backend_fpga_sim.close(dev);
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
    uint32_t lanes;
    enum jb_operand a, w, kv;
    bool drops_last_beat; /* planted error */
};

/* a and b (k,) as they are stored: whole numbers exactly, floats by a tree of pairs over the lanes
 * of a beat, beat by beat. */
static float plain_dot(const struct plain *p, enum jb_operand operand, const float *a,
                       const float *b, uint32_t k)
{
    static float x[4096], y[4096], pair[4096];
    const float scale_a = jb_operand_row(p->a, a, k, x), scale_b = jb_operand_row(operand, b, k, y);
    float total = 0.0F;
    int64_t whole = 0;
    for (uint32_t first = 0; first < k; first += p->lanes) {
        if (p->drops_last_beat && first > 0 && first + p->lanes > k) {
            break;
        }
        for (uint32_t l = 0; l < p->lanes; l++) {
            pair[l] = first + l < k ? x[first + l] * y[first + l] : 0.0F;
            whole += (int64_t)pair[l];
        }
        for (uint32_t step = 1; step < p->lanes; step *= 2) {
            for (uint32_t l = 0; l + step < p->lanes; l += 2 * step) {
                pair[l] += pair[l + step];
            }
        }
        total = first == 0 ? pair[0] : total + pair[0];
    }
    return (p->a == JB_OPERAND_INT8 ? (float)whole : total) * (scale_a * scale_b);
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
            const float sum = plain_dot(p, p->w, m->src + (size_t)t * m->cols, row, m->cols);
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
        scale[i] = jb_operand_row(p->kv, k_or_v, a->head_dim, v[i]);
        scratch[i] = (double)plain_dot(p, p->kv, a->q + at, k, a->head_dim) * (double)a->scale;
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
        assert_int_equal(jb_backend_fpga_sim.step(dev, &step), JB_OK);
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
        const char *a, *w, *kv;
        struct plain plain;
    } cases[] = {
        {"f32", "f32", "f32", {32, JB_OPERAND_F32, JB_OPERAND_F32, JB_OPERAND_F32, false}},
        {"f16", "f16", "f16", {32, JB_OPERAND_F16, JB_OPERAND_F16, JB_OPERAND_F16, false}},
        {"bf16", "bf16", "f16", {32, JB_OPERAND_BF16, JB_OPERAND_BF16, JB_OPERAND_F16, false}},
        {"int8", "int8", "int8", {32, JB_OPERAND_INT8, JB_OPERAND_INT8, JB_OPERAND_INT8, false}},
        {"int8", "int4", "int8", {32, JB_OPERAND_INT8, JB_OPERAND_INT4, JB_OPERAND_INT8, false}},
        {"int8",
         "ternary",
         "int8",
         {32, JB_OPERAND_INT8, JB_OPERAND_TERNARY, JB_OPERAND_INT8, false}},
    };
    static struct logits expected, got, first;
    struct maker *m = maker_model(maker_shape("llama"), JB_Q4_0, JB_F16, CONTEXT, 7);
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const pairs[] = {
            "operand", cases[i].a, "weight_operand", cases[i].w, "kv_operand", cases[i].kv,
            "lanes",   "32",       "cores",          "2",        NULL};
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

/* What a wrong mapping would do to logits: a lost partial beat, other beats. */
static void test_beats_show(void **state)
{
    (void)state;
    static struct logits right, wrong;
    struct maker *m = maker_model(maker_shape("llama"), JB_F16, JB_F16, CONTEXT, 7);
    struct plain plain = {32, JB_OPERAND_F16, JB_OPERAND_F16, JB_OPERAND_F16, false};
    const char *const pairs[] = {"operand", "f16", "weight_operand", "f16", "kv_operand", "f16",
                                 "lanes",   "32",  "cores",          "2",   NULL};
    run_device(m, pairs, &right);
    run_plain(m, &plain, &wrong);
    assert_true(is_same(&right, &wrong));
    plain.drops_last_beat = true;
    plain.lanes = 16; /* 12 positions are no whole beat */
    run_plain(m, &plain, &wrong);
    assert_false(is_same(&right, &wrong));
    plain.drops_last_beat = false;
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
        assert_int_equal(jb_backend_fpga_sim.step(dev, &step), JB_OK);
    }
    assert_int_equal(jb_backend_fpga_sim.account(dev, ret), JB_OK);
    *ret_dev = dev;
}

static const char *const devices[] = {"u250", "u200", "v80", "vck5000", "zcu104"};
enum { N_DEVICES = sizeof devices / sizeof devices[0] };

/* MACs and bytes of each op are those of the model. */
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
        account_of(m, NULL, "zcu104", JB_EXECUTE_FUNCTIONAL, which, &a, &x);
        account_of(m, NULL, "zcu104", JB_EXECUTE_TIMING, which, &b, &y);
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
        for (uint32_t line = 0; line < JB_FPGA_N_LINES; line++) {
            assert_true(charge->energy_j[line] >= 0);
            sum_j += charge->energy_j[line];
        }
        assert_true(charge->end_s >= charge->start_s);
        last_s = charge->end_s > last_s ? charge->end_s : last_s;
    }
    for (uint32_t op = 0; op < m->program.n_ops; op++) {
        struct jb_op_detail detail;
        assert_int_equal(jb_backend_fpga_sim.detail(dev, op, &detail), JB_OK);
        uint64_t cycles = 0;
        double line_j = 0;
        for (uint32_t i = 0; i < detail.n_parts; i++) {
            cycles += detail.parts[i].cycles;
        }
        for (uint32_t i = 0; i < JB_FPGA_N_LINES; i++) {
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
    account_of(m, pairs, "u250", JB_EXECUTE_TIMING, which, &account, &dev);
    close_device(dev);
    return account.time_s;
}

static void test_less_is_never_faster(void **state)
{
    (void)state;
    static const char *const worse[][3] = {
        {"clock", "150 MHz", NULL},     {"memory_rate", "600 MHz", NULL},
        {"vector_lanes", "8", NULL},    {"weight_efficiency", "0.5", NULL},
        {"kv_efficiency", "0.2", NULL}, {"op_latency", "2 us", NULL},
        {"interval", "2", NULL},        {"port_bytes", "64 B", NULL},
        {"tokens_at_once", "2", NULL}};
    struct maker *m = maker_model(maker_shape("llama"), JB_F32, JB_F32, CONTEXT, 7);
    for (uint32_t which = 0; which < 2; which++) {
        const double usual = time_of(m, NULL, which);
        for (uint32_t i = 0; i < sizeof worse / sizeof worse[0]; i++) {
            if (time_of(m, worse[i], which) < usual) {
                fail_msg("%s=%s is faster", worse[i][0], worse[i][1]);
            }
        }
        assert_true(time_of(m, worse[0], which) > usual);
        const char *const ideal[] = {"memory", "ideal", NULL};
        const char *const still[] = {"refresh", "off", NULL};
        assert_true(time_of(m, ideal, which) < usual);
        assert_true(time_of(m, still, which) <= usual);
        /* The step moves its weights no faster than the pins let it. */
        assert_true((double)jb_plan_weight_bytes(&m->plan) / 2 / usual < 76.8e9);
    }
    maker_free(m);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const bad[][3] = {{"no_such_key", "1", NULL},  {"operand", "int8", NULL},
                                         {"lanes", "12", NULL},       {"memory", "magic", NULL},
                                         {"weight_width", "6", NULL}, {"refresh", "no", NULL}};
    for (uint32_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct opened opened = open_with(bad[i], NULL);
        assert_int_equal(opened.status, JB_E_INVAL);
        assert_non_null(strstr(jb_reason(), bad[i][0]));
        free(opened.dev);
    }
    struct opened opened = open_with(NULL, "a100-sxm");
    assert_int_equal(opened.status, JB_E_NODEV);
    free(opened.dev);
    /* A design that is too large: which part, what it needs, what there is, by how much. */
    static const struct {
        const char *pairs[3], *word;
    } large[] = {{{"cores", "64", NULL}, "69632 DSP slices"},
                 {{"act_depth", "1048576", NULL}, "RAMB36"},
                 {{"shell_lut", "1700000", NULL}, "LUT"}};
    for (uint32_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        opened = open_with(large[i].pairs, NULL);
        assert_int_equal(opened.status, JB_E_NOTSUP);
        assert_non_null(strstr(jb_reason(), large[i].word));
        assert_non_null(strstr(jb_reason(), "too many"));
        free(opened.dev);
    }
    /* What is left out of sparse weights is not known, so nothing can be computed. */
    struct maker *m = maker_model(maker_shape("llama"), JB_F32, JB_F32, CONTEXT, 7);
    struct jb_load_args load = sizes(m, JB_EXECUTE_FUNCTIONAL);
    opened = open_with(NULL, "vhk158");
    assert_int_equal(jb_backend_fpga_sim.load(opened.dev, &load), JB_E_NOTSUP);
    close_device(opened.dev);
    m->tensors[0].n_bytes = UINT64_C(65) << 30;
    load.execution = JB_EXECUTE_TIMING;
    opened = open_with(NULL, NULL);
    assert_int_equal(jb_backend_fpga_sim.load(opened.dev, &load), JB_E_NOMEM);
    assert_non_null(strstr(jb_reason(), "65.0"));
    close_device(opened.dev);
    maker_free(m);
}

/* The engine alone: forms that hold for any machine of its kind. */
static void test_engine(void **state)
{
    (void)state;
    const struct jb_engine engine = {16, 32, 8, 512, 4096, 1};
    const struct jb_engine_cycles one = jb_engine_count(&engine, 1, 32, 16, 1, 0);
    assert_int_equal(one.total,
                     10); /* start, beat in, seen full and issued, 3 + log2(16), counted */
    const struct jb_engine_cycles fast = jb_engine_count(&engine, 1, 4096, 4096, 1, 0);
    assert_int_equal(fast.busy, 128 * 256);
    assert_int_equal(fast.total, fast.busy + fast.waits + fast.tail);
    const struct jb_engine_cycles slow = jb_engine_count(&engine, 1, 4096, 4096, 2.5, 0);
    assert_true((double)slow.total >= 2.5 * 128 * 256 && slow.busy == fast.busy);
    const struct jb_engine_cycles early = jb_engine_count(&engine, 1, 4096, 4096, 2.5, 640);
    assert_int_equal(early.total, slow.total - 640);
    const struct jb_engine_cycles many = jb_engine_count(&engine, 8, 4096, 4096, 2.5, 0);
    assert_true(many.busy == 8 * fast.busy && many.waits < slow.waits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_those_declared),
        cmocka_unit_test(test_beats_show),
        cmocka_unit_test(test_work_is_that_of_the_model),
        cmocka_unit_test(test_timing_is_functional),
        cmocka_unit_test(test_books),
        cmocka_unit_test(test_less_is_never_faster),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
