/* SPDX-License-Identifier: MIT */
/* What backend.h promises, for every backend of the build and for a plug-in: life cycle, refusals,
 * and that a step's answer depends on nothing but what the contract says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/registry.h"
#include "tests/contract/alloc.h"
#include "tests/support/maker.h"
#include "tests/support/skip.h"

enum { CONTEXT = 48, MAX_SEQS = 3, MAX_TOKENS = 32, VOCAB_MAX = 256 };

/* Rounding may differ between one row and many, and between a model in one piece and in two: far
 * below any wrong index, far above double rounding of float32 sums. */
static const double LIMIT = 1e-9;

struct answer {
    int32_t ids[MAX_TOKENS];
    float logits[MAX_TOKENS * VOCAB_MAX];
};

typedef void contract_fn(const struct jb_backend *backend);

/* A backend whose device is not on this machine has no life cycle here; what it says is tested. */
static bool is_absent(const struct jb_backend *backend)
{
    const struct jb_open_args args = {.n_threads = 2};
    struct jb_probe probe;
    return backend->probe(&args, &probe) == JB_E_NODEV;
}

static void for_each(contract_fn *check, unsigned caps_excluded, bool needs_device)
{
    for (uint32_t i = 0; i < jb_registry_count(); i++) {
        const struct jb_backend *backend = jb_registry_at(i);
        if ((backend->caps & caps_excluded) != 0) {
            continue;
        }
        if (needs_device && is_absent(backend)) {
            print_message("# %s: skipped: %s\n", backend->name, jb_reason());
            continue;
        }
        print_message("# %s\n", backend->name);
        check(backend);
    }
}

static struct maker *model(void)
{
    return maker_model(maker_shape("llama"), JB_F32, JB_F32, CONTEXT, 7);
}

static struct jb_load_args sizes(const struct maker *m)
{
    return (struct jb_load_args){.plan = &m->plan,
                                 .max_seqs = MAX_SEQS,
                                 .max_tokens = MAX_TOKENS,
                                 .max_outputs = MAX_TOKENS,
                                 .context = CONTEXT,
                                 .execution = JB_EXECUTE_FUNCTIONAL};
}

static void poison(struct answer *answer)
{
    memset(answer, 0xAA, sizeof *answer);
}

static void run(const struct jb_backend *backend, struct jb_device *dev, const struct maker *m,
                const struct jb_seq *seqs, uint32_t n_seqs, struct answer *answer)
{
    poison(answer);
    const struct jb_step step = {.op_end = m->program.n_ops,
                                 .seqs = seqs,
                                 .n_seqs = n_seqs,
                                 .ret_ids = answer->ids,
                                 .ret_logits = answer->logits};
    if (device_step(backend, dev, &step) != JB_OK) {
        fail_msg("%s: %s", backend->name, jb_reason());
    }
}

static double nmse(const float *a, const float *b, uint32_t n)
{
    double error = 0.0, size = 0.0;
    for (uint32_t i = 0; i < n; i++) {
        error += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return error / size; /* NaN where anything is NaN: no comparison with a limit holds */
}

static void assert_same(const struct jb_backend *backend, const char *what, const float *a,
                        const float *b, uint32_t n)
{
    const double error = nmse(a, b, n);
    if (!(error <= LIMIT)) {
        fail_msg("%s: %s differs by NMSE %g", backend->name, what, error);
    }
}

static const int32_t ids_a[12] = {3, 77, 5, 19, 130, 0, 42, 42, 7, 99, 12, 64};
static const int32_t ids_b[12] = {11, 4, 88, 2, 2, 101, 6, 54, 33, 129, 1, 90};

/* ---- life cycle ---- */

static void check_probe(const struct jb_backend *backend)
{
    struct jb_probe probe, untouched;
    memset(&probe, 0xAA, sizeof probe);
    untouched = probe;
    const struct jb_open_args args = {.device = "no-such-device", .n_threads = 1};
    if (backend->probe(&args, &probe) != JB_OK) {
        assert_memory_equal(&probe, &untouched, sizeof probe);
        assert_true(jb_reason()[0] != '\0');
    }
    const struct jb_open_args usual = {.n_threads = 1};
    if (backend->probe(&usual, &probe) == JB_OK) {
        assert_string_not_equal(jb_platform_name(probe.platform), "unknown");
        assert_non_null(memchr(probe.device, '\0', sizeof probe.device));
        assert_true(probe.device[0] != '\0');
        assert_true(probe.n_devices >= 1);
    }
}

static void check_life_cycle(const struct jb_backend *backend)
{
    struct jb_device *dev = NULL;
    assert_int_equal(device_open(backend, &dev), JB_OK);
    device_end(backend, dev); /* never loaded */

    struct maker *m = model();
    const struct jb_load_args load = sizes(m);
    struct answer first, second;
    dev = device_start(backend, &load);
    assert_int_equal(backend->reset(dev), JB_OK);
    assert_int_equal(backend->reset(dev), JB_OK);
    const struct jb_seq seq = {.n_tokens = 12, .want = JB_WANT_ALL, .tokens = ids_a};
    run(backend, dev, m, &seq, 1, &first);
    assert_int_equal(backend->reset(dev), JB_OK);
    run(backend, dev, m, &seq, 1, &second);
    assert_memory_equal(&first, &second, sizeof first);
    device_end(backend, dev);
    assert_int_equal(maker_n_mapped(m), 0);
    maker_free(m);
}

static void check_failed_map(const struct jb_backend *backend)
{
    for (uint32_t tensor = 0; tensor < 3; tensor++) {
        struct maker *m = model();
        m->fail_map = tensor;
        const struct jb_load_args load = sizes(m);
        struct jb_device *dev = NULL;
        assert_int_equal(device_open(backend, &dev), JB_OK);
        assert_int_equal(backend->load(dev, &load), JB_E_IO);
        assert_non_null(strstr(jb_reason(), "cannot be mapped"));
        device_end(backend, dev);
        assert_int_equal(maker_n_mapped(m), 0);
        maker_free(m);
    }
}

/* Each request for memory in open() and load() is refused once: NOMEM, nothing kept. */
static void check_no_memory(const struct jb_backend *backend)
{
    struct maker *m = model();
    const struct jb_load_args load = sizes(m);
    for (uint32_t n = 1;; n++) {
        assert_true(n < 2000);
        struct jb_device *dev = calloc(1, backend->device_size);
        assert_non_null(dev);
        const struct jb_open_args args = {.n_threads = 2};
        alloc_watch(n);
        const enum jb_status opened = backend->open(dev, &args);
        const enum jb_status loaded = opened == JB_OK ? backend->load(dev, &load) : JB_OK;
        const uint32_t n_requests = alloc_stop();
        if (opened == JB_OK) {
            backend->close(dev);
        }
        free(dev);
        assert_int_equal(maker_n_mapped(m), 0);
        if (n_requests < n) {
            assert_int_equal(opened, JB_OK);
            assert_int_equal(loaded, JB_OK);
            break;
        }
        const enum jb_status status = opened != JB_OK ? opened : loaded;
        if (status != JB_OK && status != JB_E_NOMEM) {
            fail_msg("%s: request %u: %s (%s)", backend->name, n, jb_status_name(status),
                     jb_reason());
        }
    }
    maker_free(m);
}

static void expect_refusal(const struct jb_backend *backend, const struct jb_load_args *load,
                           const char *word)
{
    struct jb_device *dev = NULL;
    assert_int_equal(device_open(backend, &dev), JB_OK);
    assert_int_equal(backend->load(dev, load), JB_E_NOTSUP);
    if (strstr(jb_reason(), word) == NULL) {
        fail_msg("%s: reason '%s' does not name '%s'", backend->name, jb_reason(), word);
    }
    device_end(backend, dev);
}

static void check_refusals(const struct jb_backend *backend)
{
    struct maker *m = model();
    struct jb_load_args load = sizes(m);
    const uint32_t last = m->program.n_ops - 1;
    const struct jb_op op = m->ops[last];
    m->ops[last].kind = JB_OP_EXPERT_MATMUL;
    expect_refusal(backend, &load, "expert_matmul");
    m->ops[last].kind = JB_OP_ROUTE;
    expect_refusal(backend, &load, "route");
    m->ops[last] = op;
    if ((backend->caps & JB_CAP_MODELLED) == 0) {
        load.execution = JB_EXECUTE_TIMING;
        expect_refusal(backend, &load, "timing");
    }
    maker_free(m);
}

static void check_no_allocation_in_step(const struct jb_backend *backend)
{
    struct maker *m = model();
    const struct jb_load_args load = sizes(m);
    struct jb_device *dev = device_start(backend, &load);
    struct answer answer;
    const struct jb_seq prefill = {.n_tokens = 12, .want = JB_WANT_LAST, .tokens = ids_a};
    const struct jb_seq decode = {.pos = 12, .n_tokens = 1, .want = JB_WANT_LAST, .tokens = ids_b};
    alloc_watch(0);
    run(backend, dev, m, &prefill, 1, &answer);
    run(backend, dev, m, &decode, 1, &answer);
    assert_int_equal(backend->reset(dev), JB_OK);
    const uint32_t n = alloc_stop();
    assert_int_equal(n, 0);
    device_end(backend, dev);
    maker_free(m);
}

/* ---- what an answer depends on ---- */

static void check_wants(const struct jb_backend *backend)
{
    struct maker *m = model();
    const struct jb_load_args load = sizes(m);
    const uint32_t vocab = m->plan.vocab;
    struct jb_device *dev = device_start(backend, &load);
    struct answer all, last, none, untouched;
    struct jb_seq seq = {.n_tokens = 9, .want = JB_WANT_ALL, .tokens = ids_a};
    run(backend, dev, m, &seq, 1, &all);
    seq.want = JB_WANT_LAST;
    run(backend, dev, m, &seq, 1, &last);
    assert_int_equal(last.ids[0], all.ids[8]);
    assert_same(backend, "the last of all", last.logits, all.logits + (size_t)8 * vocab, vocab);
    poison(&untouched);
    assert_int_equal(last.ids[1], untouched.ids[1]);
    assert_memory_equal(last.logits + vocab, untouched.logits, vocab * sizeof(float));
    assert_memory_equal(all.logits + (size_t)9 * vocab, untouched.logits, vocab * sizeof(float));
    seq.want = JB_WANT_NONE;
    run(backend, dev, m, &seq, 1, &none);
    assert_memory_equal(&none, &untouched, sizeof none);
    for (uint32_t t = 0; t < 9; t++) { /* ids are the argmax of the logits */
        const float *logits = all.logits + (size_t)t * vocab;
        for (uint32_t i = 0; i < vocab; i++) {
            assert_true(logits[i] <= logits[all.ids[t]]);
        }
    }
    device_end(backend, dev);
    maker_free(m);
}

static void check_rollback(const struct jb_backend *backend)
{
    struct maker *m = model();
    const struct jb_load_args load = sizes(m);
    struct jb_device *dev = device_start(backend, &load);
    struct answer expected, answer;
    int32_t ids[12];
    memcpy(ids, ids_a, 5 * sizeof ids[0]);
    memcpy(ids + 5, ids_b, 7 * sizeof ids[0]);
    const struct jb_seq whole = {.n_tokens = 12, .want = JB_WANT_LAST, .tokens = ids};
    run(backend, dev, m, &whole, 1, &expected);
    assert_int_equal(backend->reset(dev), JB_OK);
    const struct jb_seq first = {.n_tokens = 12, .want = JB_WANT_LAST, .tokens = ids_a};
    const struct jb_seq other = {.pos = 5, .n_tokens = 7, .want = JB_WANT_LAST, .tokens = ids_b};
    run(backend, dev, m, &first, 1, &answer);
    run(backend, dev, m, &other, 1, &answer);
    assert_same(backend, "after a rollback", answer.logits, expected.logits, m->plan.vocab);
    device_end(backend, dev);
    maker_free(m);
}

/* Token by token, in chunks, and at once. */
static void check_chunks(const struct jb_backend *backend)
{
    struct maker *m = model();
    const struct jb_load_args load = sizes(m);
    struct jb_device *dev = device_start(backend, &load);
    struct answer expected, answer;
    const struct jb_seq whole = {.n_tokens = 12, .want = JB_WANT_LAST, .tokens = ids_a};
    run(backend, dev, m, &whole, 1, &expected);
    for (uint32_t chunk = 1; chunk <= 5; chunk += 2) {
        assert_int_equal(backend->reset(dev), JB_OK);
        for (uint32_t pos = 0; pos < 12; pos += chunk) {
            const uint32_t n = pos + chunk < 12 ? chunk : 12 - pos;
            const struct jb_seq part = {
                .pos = pos, .n_tokens = n, .want = JB_WANT_LAST, .tokens = ids_a + pos};
            run(backend, dev, m, &part, 1, &answer);
        }
        assert_same(backend, "in chunks", answer.logits, expected.logits, m->plan.vocab);
    }
    device_end(backend, dev);
    maker_free(m);
}

static void check_ragged_batch(const struct jb_backend *backend)
{
    struct maker *m = model();
    const struct jb_load_args load = sizes(m);
    const uint32_t vocab = m->plan.vocab;
    struct jb_device *dev = device_start(backend, &load);
    /* Slot 2 has a past; slots in no order; three lengths, three wants. */
    const struct jb_seq past = {.slot = 2, .n_tokens = 6, .want = JB_WANT_NONE, .tokens = ids_b};
    const struct jb_seq batch[3] = {
        {.slot = 2, .pos = 6, .n_tokens = 1, .want = JB_WANT_LAST, .tokens = ids_b + 6},
        {.slot = 0, .n_tokens = 12, .want = JB_WANT_ALL, .tokens = ids_a},
        {.slot = 1, .n_tokens = 5, .want = JB_WANT_LAST, .tokens = ids_b}};
    struct answer together, alone;
    run(backend, dev, m, &past, 1, &together);
    run(backend, dev, m, batch, 3, &together);
    uint32_t output = 0;
    for (uint32_t s = 0; s < 3; s++) {
        assert_int_equal(backend->reset(dev), JB_OK);
        if (batch[s].pos > 0) {
            run(backend, dev, m, &past, 1, &alone);
        }
        run(backend, dev, m, &batch[s], 1, &alone);
        const uint32_t n = batch[s].want == JB_WANT_ALL ? batch[s].n_tokens : 1;
        assert_same(backend, "a sequence of a batch", together.logits + (size_t)output * vocab,
                    alone.logits, n * vocab);
        assert_memory_equal(together.ids + output, alone.ids, n * sizeof alone.ids[0]);
        output += n;
    }
    device_end(backend, dev);
    maker_free(m);
}

/* The program split at every cut over two devices of one backend. */
static void check_op_ranges(const struct jb_backend *backend)
{
    struct maker *m = model();
    const struct jb_load_args load = sizes(m);
    struct jb_device *front = device_start(backend, &load);
    struct jb_device *back = device_start(backend, &load);
    struct answer whole, split;
    static float acts[MAX_TOKENS * 256];
    const struct jb_seq seqs[2] = {
        {.slot = 1, .n_tokens = 7, .want = JB_WANT_LAST, .tokens = ids_a},
        {.slot = 0, .n_tokens = 3, .want = JB_WANT_ALL, .tokens = ids_b}};
    struct jb_seq no_ids[2] = {seqs[0], seqs[1]};
    no_ids[0].tokens = NULL;
    no_ids[1].tokens = NULL;
    run(backend, front, m, seqs, 2, &whole);
    for (uint32_t c = 1; c + 1 < m->program.n_cuts; c++) {
        const struct jb_step first = {
            .op_end = m->cuts[c], .seqs = seqs, .n_seqs = 2, .ret_acts = acts};
        const struct jb_step second = {.op_begin = m->cuts[c],
                                       .op_end = m->program.n_ops,
                                       .seqs = no_ids,
                                       .n_seqs = 2,
                                       .acts = acts,
                                       .ret_ids = split.ids,
                                       .ret_logits = split.logits};
        poison(&split);
        memset(acts, 0xFF, sizeof acts);
        assert_int_equal(device_step(backend, front, &first), JB_OK);
        assert_int_equal(device_step(backend, back, &second), JB_OK);
        assert_same(backend, "two halves", split.logits, whole.logits, 4 * m->plan.vocab);
        assert_memory_equal(split.ids, whole.ids, 4 * sizeof split.ids[0]);
    }
    device_end(backend, front);
    device_end(backend, back);
    assert_int_equal(maker_n_mapped(m), 0);
    maker_free(m);
}

static void check_two_devices(const struct jb_backend *backend)
{
    struct maker *m = model();
    const struct jb_load_args load = sizes(m);
    struct jb_device *a = device_start(backend, &load);
    struct jb_device *b = device_start(backend, &load);
    struct answer first, second, third;
    const struct jb_seq seq_a = {.n_tokens = 8, .want = JB_WANT_LAST, .tokens = ids_a};
    const struct jb_seq seq_b = {.n_tokens = 5, .want = JB_WANT_LAST, .tokens = ids_b};
    const struct jb_seq next = {.pos = 8, .n_tokens = 4, .want = JB_WANT_LAST, .tokens = ids_a + 8};
    run(backend, a, m, &seq_a, 1, &first);
    run(backend, a, m, &next, 1, &first);
    assert_int_equal(backend->reset(a), JB_OK);
    run(backend, a, m, &seq_a, 1, &second);
    run(backend, b, m, &seq_b, 1, &third);
    run(backend, a, m, &next, 1, &second);
    assert_memory_equal(&first, &second, sizeof first);
    device_end(backend, b);
    run(backend, a, m, &next, 1,
        &second); /* closing b leaves a alone; position 8 again: rollback */
    assert_memory_equal(&first, &second, sizeof first);
    device_end(backend, a);
    maker_free(m);
}

/* A token that sees only itself gets its own V back, whatever K and q are: with V = x, what went
 * in. Tells a cache that is written and read at the same wrong place. */
static void check_lone_token_gets_its_v(const struct jb_backend *backend)
{
    enum { DIM = 8 };
    struct maker *m = maker_create("one attention", 5);
    m->plan.dim = m->plan.vocab = m->plan.head_dim = DIM;
    m->plan.n_layers = 1;
    m->plan.max_context = CONTEXT;
    const uint16_t x = m->plan.cut_slot = maker_slot(m, "x", DIM, JB_ROWS_TOKENS);
    const uint16_t v = maker_slot(m, "v", DIM, JB_ROWS_TOKENS);
    const uint16_t o = maker_slot(m, "o", DIM, JB_ROWS_TOKENS);
    const uint16_t last = maker_slot(m, "last", DIM, JB_ROWS_OUTPUTS);
    struct jb_op embed = maker_blank(JB_OP_EMBED, x, JB_NO_SLOT);
    embed.weight = maker_tensor(m, JB_F32, DIM, DIM, 0.0F, 1.0F);
    maker_op(m, embed);
    maker_cut(m);
    const int32_t identity = maker_tensor(m, JB_F32, DIM, DIM, 0.0F, 1.0F);
    for (uint32_t i = 0; i < DIM * DIM; i++) {
        ((float *)m->data[identity])[i] = i % (DIM + 1) == 0 ? 1.0F : 0.0F;
    }
    maker_matmul(m, v, x, identity, JB_NO_TENSOR);
    struct jb_op attention = maker_blank(JB_OP_ATTENTION, o, x);
    attention.src1 = x;
    attention.src2 = v;
    attention.layer = 0;
    maker_op(m, attention);
    maker_op(m, maker_blank(JB_OP_SELECT, last, o));
    maker_op(m, maker_blank(JB_OP_ARGMAX, JB_NO_SLOT, last));
    maker_finish(m);
    const struct jb_load_args load = sizes(m);
    struct jb_device *dev = device_start(backend, &load);
    const float acts[2 * DIM] = {1, -2, 3, -4, 5, -6, 7, -8, 9, 1, 8, 2, 7, 3, 6, 4};
    float logits[2 * DIM] = {0};
    const struct jb_seq seqs[2] = {{.slot = 2, .n_tokens = 1, .want = JB_WANT_LAST},
                                   {.slot = 0, .n_tokens = 1, .want = JB_WANT_LAST}};
    const struct jb_step step = {.op_begin = 1,
                                 .op_end = m->program.n_ops,
                                 .seqs = seqs,
                                 .n_seqs = 2,
                                 .acts = acts,
                                 .ret_logits = logits};
    assert_int_equal(device_step(backend, dev, &step), JB_OK);
    assert_same(backend, "the V of a lone token", logits, acts, 2 * DIM);
    device_end(backend, dev);
    maker_free(m);
}

/* refops is the strict one: what a caller must not do is an error with a reason, and writes
 * nothing. */
static void test_refops_refuses_bad_steps(void **state)
{
    (void)state;
    const struct jb_backend *backend = jb_registry_find("refops");
    if (backend == NULL) {
        SKIP_BECAUSE("refops is not in this build");
        return;
    }
    struct maker *m = model();
    const struct jb_load_args load = sizes(m);
    const int32_t beyond[1] = {(int32_t)m->plan.vocab};
    const struct jb_seq bad[] = {
        {.n_tokens = 1, .want = JB_WANT_LAST, .tokens = beyond},
        {.pos = 1, .n_tokens = 1, .want = JB_WANT_LAST, .tokens = ids_a}, /* slot holds nothing */
        {.slot = MAX_SEQS, .n_tokens = 1, .want = JB_WANT_LAST, .tokens = ids_a},
        {.n_tokens = 1, .want = JB_WANT_LAST, .tokens = NULL},
    };
    struct answer answer, untouched;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct jb_device *dev = device_start(backend, &load);
        poison(&answer);
        poison(&untouched);
        const struct jb_step step = {.op_end = m->program.n_ops,
                                     .seqs = &bad[i],
                                     .n_seqs = 1,
                                     .ret_ids = answer.ids,
                                     .ret_logits = answer.logits};
        assert_int_equal(backend->step(dev, &step), JB_E_INVAL);
        assert_true(jb_reason()[0] != '\0');
        assert_memory_equal(&answer, &untouched, sizeof answer);
        device_end(backend, dev);
    }
    maker_free(m);
}

#define EACH(name, excluded)                                                                       \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        for_each(check_##name, excluded, check_##name != check_probe);                             \
    }
EACH(probe, 0)
EACH(life_cycle, 0)
EACH(no_memory, 0)
EACH(no_allocation_in_step, 0)
EACH(failed_map, JB_CAP_NO_RESULT)
EACH(refusals, JB_CAP_NO_RESULT)
EACH(wants, JB_CAP_NO_RESULT)
EACH(rollback, JB_CAP_NO_RESULT)
EACH(chunks, JB_CAP_NO_RESULT)
EACH(ragged_batch, JB_CAP_NO_RESULT)
EACH(op_ranges, JB_CAP_NO_RESULT)
EACH(two_devices, 0)
EACH(lone_token_gets_its_v, JB_CAP_NO_RESULT)

int main(void)
{
    const char *plugin = getenv("JB_PLUGIN");
    if (plugin != NULL && jb_registry_load_plugin(plugin) != JB_OK) {
        printf("Bail out! %s\n", jb_reason());
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_life_cycle),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_allocation_in_step),
        cmocka_unit_test(test_failed_map),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_wants),
        cmocka_unit_test(test_rollback),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_ragged_batch),
        cmocka_unit_test(test_op_ranges),
        cmocka_unit_test(test_two_devices),
        cmocka_unit_test(test_lone_token_gets_its_v),
        cmocka_unit_test(test_refops_refuses_bad_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
