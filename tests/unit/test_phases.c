/* SPDX-License-Identifier: MIT */
/* The steps that phases are made of, seen by a backend that writes them down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/phases.h"
#include "bench/workload/workload.h"

#define MAX_SEEN 64
#define VOCAB 50u
#define DIM 2u

struct jb_device {
    struct {
        uint32_t pos, n_tokens, n_seqs;
        enum jb_want want;
        int32_t first_token, second_sequence_token;
        uint32_t op_begin;
        float first_act, second_sequence_act; /* of image positions */
    } seen[MAX_SEEN];
    uint32_t n_seen;
    int32_t next_id;
    enum jb_status fails;
};

static enum jb_status note_step(struct jb_device *dev, const struct jb_step *step)
{
    assert_true(dev->n_seen < MAX_SEEN);
    const struct jb_seq *seqs = step->seqs;
    dev->seen[dev->n_seen].pos = seqs[0].pos;
    dev->seen[dev->n_seen].n_tokens = seqs[0].n_tokens;
    dev->seen[dev->n_seen].n_seqs = step->n_seqs;
    dev->seen[dev->n_seen].want = seqs[0].want;
    dev->seen[dev->n_seen].op_begin = step->op_begin;
    if (step->op_begin > 0) {
        assert_null(seqs[0].tokens);
        dev->seen[dev->n_seen].first_act = step->acts[0];
        dev->seen[dev->n_seen].second_sequence_act = step->acts[seqs[0].n_tokens * DIM];
    } else {
        dev->seen[dev->n_seen].first_token = seqs[0].tokens[0];
        dev->seen[dev->n_seen].second_sequence_token = step->n_seqs > 1 ? seqs[1].tokens[0] : -1;
    }
    dev->n_seen++;
    for (uint32_t s = 0; s < step->n_seqs && seqs[0].want != JB_WANT_NONE; s++) {
        step->ret_ids[s] = dev->next_id + (int32_t)(10 * s);
    }
    dev->next_id++;
    return dev->fails == JB_OK ? JB_OK : jb_fail(dev->fails, "told to");
}

static const struct jb_backend backend = {.name = "notes", .step = note_step};
static const uint32_t cuts[] = {0, 1, 3};
static const struct jb_program program = {.name = "full", .n_ops = 3, .cuts = cuts, .n_cuts = 3};
static const struct jb_plan plan = {
    .dim = DIM, .vocab = VOCAB, .max_context = 64, .programs = &program, .n_programs = 1};
static volatile sig_atomic_t stop;
static struct jb_device device;

static struct jb_phases *make(const struct jb_phases_args *args)
{
    struct jb_phases_args whole = *args;
    struct jb_phases *phases = NULL;
    memset(&device, 0, sizeof device);
    stop = 0;
    whole.backend = &backend;
    whole.device = &device;
    whole.plan = &plan;
    whole.stop = &stop;
    assert_int_equal(jb_phases_create(&whole, &phases), JB_OK);
    return phases;
}

static void test_prefill_is_cut_into_chunks(void **state)
{
    (void)state;
    struct jb_phases *phases =
        make(&(struct jb_phases_args){.batch = 2, .prompt = 10, .gen = 3, .depth = 10, .chunk = 4});
    assert_int_equal(jb_phases_prefill(phases), JB_OK);
    assert_int_equal(device.n_seen, 3);
    const uint32_t at[] = {0, 4, 8};
    const uint32_t n[] = {4, 4, 2};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(device.seen[i].pos, at[i]);
        assert_int_equal(device.seen[i].n_tokens, n[i]);
        assert_int_equal(device.seen[i].n_seqs, 2);
        assert_int_equal(device.seen[i].want, i == 2 ? JB_WANT_LAST : JB_WANT_NONE);
    }
    assert_int_equal(phases->first_marks.n, 1);
    assert_int_equal(phases->step_marks.n, 0);
    jb_phases_free(phases);
}

static void test_forced_decode_feeds_seeded_ids_and_rolls_back(void **state)
{
    (void)state;
    int32_t ids[2][9];
    jb_prompt_seeded(7, 0, VOCAB, ids[0], 9);
    jb_prompt_seeded(7, 1, VOCAB, ids[1], 9);
    struct jb_phases *phases = make(&(struct jb_phases_args){
        .batch = 2, .prompt = 4, .gen = 3, .depth = 6, .chunk = 512, .seed = 7});
    assert_int_equal(jb_phases_fill(phases), JB_OK);
    assert_int_equal(device.seen[0].n_tokens, 6);
    for (uint32_t round = 0; round < 2; round++) {
        assert_int_equal(jb_phases_decode(phases), JB_OK);
        for (uint32_t i = 0; i < 3; i++) {
            const uint32_t k = 1 + 3 * round + i;
            assert_int_equal(device.seen[k].pos, 6 + i);
            assert_int_equal(device.seen[k].n_tokens, 1);
            assert_int_equal(device.seen[k].first_token, ids[0][6 + i]);
            assert_int_equal(device.seen[k].second_sequence_token, ids[1][6 + i]);
        }
    }
    assert_int_equal(device.n_seen, 7);
    assert_int_equal(phases->n_emitted, 12);
    assert_int_equal(phases->step_marks.n, 6);
    /* sequence by sequence: ids of the last phase were 4 5 6 and 14 15 16 */
    const int32_t outputs[] = {4, 5, 6, 14, 15, 16};
    assert_memory_equal(phases->outputs, outputs, sizeof outputs);
    jb_phases_free(phases);
}

static void test_image_positions_get_embeddings_and_no_ids(void **state)
{
    (void)state;
    struct jb_phases *phases = make(&(struct jb_phases_args){
        .batch = 2, .prompt = 9, .gen = 2, .depth = 9, .chunk = 4, .n_image = 6});
    assert_int_equal(jb_phases_prefill(phases), JB_OK);
    const uint32_t at[] = {0, 4, 6};
    const uint32_t n[] = {4, 2, 3};
    assert_int_equal(device.n_seen, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(device.seen[i].pos, at[i]);
        assert_int_equal(device.seen[i].n_tokens, n[i]);
        assert_int_equal(device.seen[i].op_begin, i < 2 ? 1 : 0);
        assert_int_equal(device.seen[i].want, i == 2 ? JB_WANT_LAST : JB_WANT_NONE);
        /* both sequences see the same image */
        assert_true(device.seen[i].first_act == device.seen[i].second_sequence_act);
    }
    assert_true(device.seen[0].first_act != device.seen[1].first_act);
    assert_int_equal(device.seen[2].first_token, phases->inputs[6]);
    jb_phases_free(phases);
}

static void test_a_shared_prompt_is_read_once(void **state)
{
    (void)state;
    struct jb_phases *phases = make(&(struct jb_phases_args){
        .batch = 3, .prompt = 4, .gen = 2, .depth = 4, .chunk = 8, .shares_prompt = true});
    assert_memory_equal(phases->inputs, phases->inputs + phases->n_inputs, 4 * sizeof(int32_t));
    assert_int_equal(jb_phases_fill(phases), JB_OK);
    assert_int_equal(jb_phases_prefill(phases), JB_OK);
    assert_int_equal(jb_phases_total(phases), JB_OK);
    const uint32_t n_seqs[] = {3, 1, 1, 3, 3};
    assert_int_equal(device.n_seen, 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(device.seen[i].n_seqs, n_seqs[i]);
    }
    jb_phases_free(phases);
}

static void test_free_feed_goes_on_from_the_returned_id(void **state)
{
    (void)state;
    const int32_t prompt[] = {5, 6, 7};
    struct jb_phases *phases = make(&(struct jb_phases_args){.batch = 2,
                                                             .prompt = 3,
                                                             .gen = 3,
                                                             .depth = 3,
                                                             .chunk = 512,
                                                             .is_free = true,
                                                             .prompt_ids = prompt});
    device.next_id = 20;
    assert_int_equal(jb_phases_total(phases), JB_OK);
    assert_int_equal(device.n_seen, 4);
    assert_int_equal(device.seen[0].first_token, 5);
    assert_int_equal(device.seen[1].first_token, 20); /* what the prefill returned */
    assert_int_equal(device.seen[2].first_token, 21);
    assert_int_equal(device.seen[3].second_sequence_token, 32);
    assert_int_equal(phases->inputs[3], 20);
    /* decode after a fill begins with the fill's id, every time */
    device.next_id = 30;
    device.n_seen = 0;
    assert_int_equal(jb_phases_fill(phases), JB_OK);
    assert_int_equal(jb_phases_decode(phases), JB_OK);
    assert_int_equal(jb_phases_decode(phases), JB_OK);
    assert_int_equal(device.seen[1].first_token, 30);
    assert_int_equal(device.seen[4].first_token, 30);
    jb_phases_free(phases);
}

static void test_ids_outside_the_vocabulary(void **state)
{
    (void)state;
    struct jb_phases_args args = {.batch = 1, .prompt = 2, .gen = 3, .depth = 2, .chunk = 512};
    struct jb_phases *phases = make(&args);
    device.next_id = (int32_t)VOCAB - 2; /* the prefill's 48, then 49, 50, 51 */
    assert_int_equal(jb_phases_total(phases), JB_OK);
    assert_int_equal(phases->n_emitted, 1);
    jb_phases_free(phases);
    args.is_free = true;
    phases = make(&args);
    device.next_id = (int32_t)VOCAB - 2;
    assert_int_equal(jb_phases_total(phases), JB_E_NUMERIC);
    jb_phases_free(phases);
}

static void test_stop_and_failure_end_a_phase(void **state)
{
    (void)state;
    struct jb_phases *phases =
        make(&(struct jb_phases_args){.batch = 1, .prompt = 2, .gen = 3, .depth = 2, .chunk = 1});
    device.fails = JB_E_DEVICE;
    assert_int_equal(jb_phases_decode(phases), JB_E_DEVICE);
    assert_int_equal(device.n_seen, 1);
    stop = 1;
    assert_int_equal(jb_phases_total(phases), JB_E_INTERRUPTED);
    assert_int_equal(device.n_seen, 1);
    jb_phases_free(phases);
}

struct list {
    uint32_t n_steps, n_tokens, last_pos;
};

static void count(void *ctx, const struct jb_step *step)
{
    struct list *list = ctx;
    list->n_steps++;
    list->n_tokens += jb_step_tokens(step);
    list->last_pos = step->seqs[0].pos;
}

static void test_each_step_lists_what_a_phase_runs(void **state)
{
    (void)state;
    struct jb_phases *phases =
        make(&(struct jb_phases_args){.batch = 3, .prompt = 7, .gen = 4, .depth = 9, .chunk = 5});
    static const struct list wanted[] = {{2, 21, 5}, {4, 12, 12}, {6, 33, 10}};
    for (enum jb_phase phase = JB_PREFILL; phase < JB_N_PHASES; phase++) {
        struct list list = {0};
        jb_phases_each_step(phases, phase, count, &list);
        assert_memory_equal(&list, &wanted[phase], sizeof list);
    }
    assert_int_equal(device.n_seen, 0);
    jb_phases_free(phases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefill_is_cut_into_chunks),
        cmocka_unit_test(test_forced_decode_feeds_seeded_ids_and_rolls_back),
        cmocka_unit_test(test_image_positions_get_embeddings_and_no_ids),
        cmocka_unit_test(test_a_shared_prompt_is_read_once),
        cmocka_unit_test(test_free_feed_goes_on_from_the_returned_id),
        cmocka_unit_test(test_ids_outside_the_vocabulary),
        cmocka_unit_test(test_stop_and_failure_end_a_phase),
        cmocka_unit_test(test_each_step_lists_what_a_phase_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
