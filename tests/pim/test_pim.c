/* SPDX-License-Identifier: MIT */
/* pim_sim: logits to the last bit, faults that must show, costs and ledgers. Cycles by hand are
 * counted elsewhere. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/pim_sim/pim.h"
#include "backends/registry.h"
#include "tests/pim/plain.h"
#include "tests/support/maker.h"

enum { CONTEXT = 24, N_PROMPT = 7, N_STEPS = 4, VOCAB = 256 };

static const int32_t ids[N_PROMPT + N_STEPS] = {3, 57, 12, 60, 5, 5, 64, 9, 40, 31, 2};

static const struct jb_backend *pim(void)
{
    const struct jb_backend *backend = jb_registry_find("pim_sim");
    assert_non_null(backend);
    return backend;
}

static struct jb_load_args load_of(const struct jb_plan *plan, enum jb_execution execution)
{
    return (struct jb_load_args){.plan = plan,
                                 .max_seqs = 2,
                                 .max_tokens = N_PROMPT,
                                 .max_outputs = N_PROMPT,
                                 .context = CONTEXT,
                                 .execution = execution};
}

/* ---- a device with settings ---- */

struct opened {
    struct jb_device *dev;
    enum jb_status status;
};

static struct opened start(const char *device, const struct jb_setting *settings,
                           uint32_t n_settings, const struct jb_load_args *load)
{
    const struct jb_open_args args = {
        .device = device, .settings = settings, .n_settings = n_settings, .n_threads = 1};
    struct opened opened = {.dev = calloc(1, pim()->device_size)};
    assert_non_null(opened.dev);
    opened.status = pim()->open(opened.dev, &args);
    if (opened.status == JB_OK && load != NULL) {
        opened.status = pim()->load(opened.dev, load);
        if (opened.status != JB_OK) {
            pim()->close(opened.dev);
        }
    }
    return opened;
}

static void end(struct opened *opened)
{
    pim()->close(opened->dev);
    free(opened->dev);
}

/* Prompt, then a token at a time. */
static struct jb_step step_at(uint32_t number, struct jb_seq *seq, const struct jb_plan *plan,
                              float *ret_logits, int32_t *ret_ids)
{
    *seq = (struct jb_seq){.slot = 1,
                           .pos = number == 0 ? 0 : N_PROMPT + number - 1,
                           .n_tokens = number == 0 ? N_PROMPT : 1,
                           .want = JB_WANT_LAST,
                           .tokens = number == 0 ? ids : ids + N_PROMPT + number - 1};
    return (struct jb_step){.op_end = plan->programs[0].n_ops,
                            .seqs = seq,
                            .n_seqs = 1,
                            .ret_ids = ret_ids,
                            .ret_logits = ret_logits};
}

struct walk {
    float logits[N_STEPS][VOCAB];
    int32_t ids[N_STEPS];
    double time_s[N_STEPS], energy_j[N_STEPS];
};

static struct walk walk_device(struct opened *opened, const struct jb_plan *plan, bool has_logits)
{
    struct walk walk = {.ids = {0}};
    if (opened->status != JB_OK) {
        fail_msg("%s", jb_reason());
    }
    for (uint32_t i = 0; i < N_STEPS; i++) {
        struct jb_seq seq;
        struct jb_account account;
        const struct jb_step step =
            step_at(i, &seq, plan, has_logits ? walk.logits[i] : NULL, &walk.ids[i]);
        if (pim()->step(opened->dev, &step) != JB_OK) {
            fail_msg("%s", jb_reason());
        }
        assert_int_equal(pim()->account(opened->dev, &account), JB_OK);
        walk.time_s[i] = account.time_s;
        walk.energy_j[i] = account.energy_j;
    }
    return walk;
}

static struct walk walk_exec(struct jb_ref_exec *exec, const struct jb_plan *plan)
{
    struct walk walk = {.ids = {0}};
    for (uint32_t i = 0; i < N_STEPS; i++) {
        struct jb_seq seq;
        const struct jb_step step = step_at(i, &seq, plan, walk.logits[i], &walk.ids[i]);
        assert_int_equal(jb_ref_exec_step(exec, &step), JB_OK);
    }
    return walk;
}

/* ---- numbers ---- */

static void logits_are_those_of_plain_loops(void **state)
{
    (void)state;
    static const char *const shapes[] = {"llama", "opt"};
    for (const struct plain *p = plain_devices; p->device != NULL; p++) {
        for (uint32_t s = 0; s < 2; s++) {
            struct maker *m = maker_model(maker_shape(shapes[s]), p->dtype, JB_F16, CONTEXT, 5);
            const struct jb_load_args load = load_of(&m->plan, JB_EXECUTE_FUNCTIONAL);
            const struct jb_setting setting = {"mapping", p->mapping};
            struct opened opened = start(p->device, &setting, 1, &load);
            const struct jb_ref_hooks hooks = plain_hooks(p);
            struct jb_ref_exec *exec = NULL;
            assert_int_equal(jb_ref_exec_create("plain", &load, &hooks, &exec), JB_OK);
            const struct walk a = walk_device(&opened, &m->plan, true);
            const struct walk b = walk_exec(exec, &m->plan);
            print_message("# %s mapping %s %s\n", p->device, p->mapping, shapes[s]);
            assert_memory_equal(a.logits, b.logits, sizeof a.logits);
            assert_memory_equal(a.ids, b.ids, sizeof a.ids);
            jb_ref_exec_free(exec);
            end(&opened);
            assert_int_equal(maker_n_mapped(m), 0);
            maker_free(m);
        }
    }
}

/* Logits of a machine that may be faulty. */
static struct walk walk_machine(const struct pim_machine *machine, const struct jb_plan *plan)
{
    const struct jb_load_args load = load_of(plan, JB_EXECUTE_FUNCTIONAL);
    struct pim_sim *sim = NULL;
    struct pim_numbers *numbers = NULL;
    struct jb_ref_exec *exec = NULL;
    assert_int_equal(pim_sim_create(machine, NULL, &sim), JB_OK);
    assert_int_equal(pim_numbers_create(machine, sim, &load, &numbers), JB_OK);
    const struct jb_ref_hooks hooks = pim_numbers_hooks(numbers);
    assert_int_equal(jb_ref_exec_create("faulty", &load, &hooks, &exec), JB_OK);
    const struct walk walk = walk_exec(exec, plan);
    jb_ref_exec_free(exec);
    pim_numbers_free(numbers);
    pim_sim_free(sim);
    return walk;
}

static struct pim_machine read_machine(const char *device, const char *key, const char *value)
{
    const struct jb_setting setting = {key, value};
    const struct jb_open_args args = {
        .device = device, .settings = &setting, .n_settings = key != NULL ? 1 : 0};
    struct jb_device_file *file = NULL;
    struct pim_machine machine = {0};
    if (jb_sim_open_file("pim_sim", "pim", device, pim_schema, pim_options, &args, &file) !=
            JB_OK ||
        pim_machine_read(file, &args, &machine) != JB_OK) {
        fail_msg("%s", jb_reason());
    }
    jb_device_close(file);
    return machine;
}

static void a_wrong_mapping_shows(void **state)
{
    (void)state;
    static const struct {
        const char *device;
        enum jb_dtype dtype;
    } cases[] = {{"hbm-pim", JB_F16}, {"aim", JB_BF16}, {"generic-pim", JB_F32}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        /* 200 inputs: the last word is a partial one */
        struct maker_shape shape = *maker_shape("llama");
        shape.ffn_dim = 200;
        struct maker *m = maker_model(&shape, cases[i].dtype, JB_F16, CONTEXT, 5);
        struct pim_machine machine = read_machine(cases[i].device, "mapping", "n");
        const struct walk right = walk_machine(&machine, &m->plan);
        machine.fault.unit_b = 1;
        const struct walk swapped = walk_machine(&machine, &m->plan);
        assert_memory_not_equal(right.logits, swapped.logits, sizeof right.logits);
        machine.fault.unit_b = 0;
        machine.fault.drops_tail = true;
        const struct walk dropped = walk_machine(&machine, &m->plan);
        assert_memory_not_equal(right.logits, dropped.logits, sizeof right.logits);
        const struct pim_machine narrow = read_machine(cases[i].device, "accumulator", "bf16");
        const struct walk narrowed = walk_machine(&narrow, &m->plan);
        assert_memory_not_equal(right.logits, narrowed.logits, sizeof right.logits);
        maker_free(m);
    }
}

/* ---- costs ---- */

static void timings_change_time_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        const char *device, *key, *value;
        enum jb_dtype dtype;
    } cases[] = {{"hbm-pim", "t_rcd_rd", "30 cycles", JB_F16},
                 {"aim", "t_rcd_mac", "90 cycles", JB_BF16},
                 {"cent", "t_mac", "12 cycles", JB_BF16}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct maker *m = maker_model(maker_shape("llama"), cases[i].dtype, JB_F16, CONTEXT, 5);
        const struct jb_load_args load = load_of(&m->plan, JB_EXECUTE_FUNCTIONAL);
        const struct jb_load_args timing = load_of(&m->plan, JB_EXECUTE_TIMING);
        const struct jb_setting settings[2] = {{"mapping", "n"}, {cases[i].key, cases[i].value}};
        struct opened plain = start(cases[i].device, settings, 1, &load);
        struct opened slower = start(cases[i].device, settings, 2, &load);
        struct opened timed = start(cases[i].device, settings, 1, &timing);
        const struct walk a = walk_device(&plain, &m->plan, true);
        const struct walk b = walk_device(&slower, &m->plan, true);
        const struct walk c = walk_device(&timed, &m->plan, false);
        assert_memory_equal(a.logits, b.logits, sizeof a.logits);
        for (uint32_t k = 0; k < N_STEPS; k++) {
            /* HBM-PIM leaves the prompt to its host */
            assert_true(k == 0 || b.time_s[k] > a.time_s[k]);
            assert_true(c.time_s[k] == a.time_s[k] && c.energy_j[k] == a.energy_j[k]);
        }
        end(&plain);
        end(&slower);
        end(&timed);
        maker_free(m);
    }
}

/* MACs and bytes of each op, the parts of its cycles, and the joules of all. */
static void check_account(struct opened *opened, const struct jb_plan *plan,
                          const struct jb_step *step)
{
    struct jb_account account;
    double sum_j = 0, line_sum_j = 0;
    assert_int_equal(pim()->account(opened->dev, &account), JB_OK);
    for (uint32_t op = 0; op < plan->programs[0].n_ops; op++) {
        struct jb_cost cost;
        struct jb_op_detail detail;
        uint64_t macs = 0, bytes = 0, cycles = 0;
        jb_op_cost(plan, &plan->programs[0].ops[op], step, &cost);
        for (uint64_t i = 0; i < account.n_charges; i++) {
            const struct jb_charge *charge = &account.charges[i];
            macs += charge->op == op ? charge->macs : 0;
            bytes += charge->op == op ? charge->read_bytes + charge->write_bytes : 0;
        }
        assert_int_equal(macs, cost.macs);
        if (cost.macs > 0) {
            assert_int_equal(bytes, cost.weight_bytes + cost.kv_read_bytes + cost.kv_write_bytes);
        }
        assert_int_equal(pim()->detail(opened->dev, op, &detail), JB_OK);
        for (uint32_t i = 0; i < detail.n_parts; i++) {
            cycles += detail.parts[i].cycles;
        }
        assert_int_equal(cycles, detail.cycles);
        assert_true(detail.cycles == 0 || detail.macs >= cost.macs);
        assert_true(detail.cycles == 0 || isnan(detail.bound_s) ||
                    detail.bound_s <= (double)detail.cycles / detail.clock_hz * (1 + 1e-12));
        for (uint32_t i = 0; i < PIM_N_LINES; i++) {
            line_sum_j += detail.line_j[i];
        }
        sum_j += detail.energy_j;
    }
    assert_true(fabs(sum_j / account.energy_j - 1) < 1e-12);
    assert_true(fabs(line_sum_j / account.energy_j - 1) < 1e-12);
}

static void accounts_are_whole(void **state)
{
    (void)state;
    static const struct {
        const char *device;
        enum jb_dtype dtype;
    } cases[] = {{"hbm-pim", JB_F16}, {"aim", JB_BF16}, {"cent", JB_BF16}, {"generic-pim", JB_F32}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct maker *m = maker_model(maker_shape("llama"), cases[i].dtype, JB_F16, CONTEXT, 5);
        const struct jb_load_args load = load_of(&m->plan, JB_EXECUTE_TIMING);
        struct opened opened = start(cases[i].device, NULL, 0, &load);
        assert_int_equal(opened.status, JB_OK);
        for (uint32_t k = 0; k < N_STEPS; k++) {
            struct jb_seq seq;
            int32_t id;
            const struct jb_step step = step_at(k, &seq, &m->plan, NULL, &id);
            assert_int_equal(pim()->step(opened.dev, &step), JB_OK);
            check_account(&opened, &m->plan, &step);
        }
        end(&opened);
        maker_free(m);
    }
}

static struct pim_cost gemv(struct pim_sim *sim, const struct pim_machine *machine, uint32_t n,
                            uint32_t k)
{
    struct pim_cost cost;
    assert_int_equal(pim_sim_gemv(sim, n, k, 1, machine->n_channels, &cost), JB_OK);
    return cost;
}

/* More work never takes less, and no bank gives more than a column every t_mac. */
static void more_rows_never_take_fewer_cycles(void **state)
{
    (void)state;
    static const char *const devices[] = {"hbm-pim", "aim", "generic-pim", "upmem"};
    for (size_t d = 0; d < sizeof devices / sizeof devices[0]; d++) {
        const struct pim_machine machine = read_machine(devices[d], NULL, NULL);
        struct pim_sim *sim = NULL;
        assert_int_equal(pim_sim_create(&machine, NULL, &sim), JB_OK);
        for (uint32_t k = 256; k <= 16384; k *= 4) {
            uint64_t cycles = 0;
            double energy_j = 0;
            for (uint32_t n = 256; n <= 16384; n += n / 2) {
                const struct pim_cost cost = gemv(sim, &machine, n, k);
                uint64_t parts = 0;
                for (int i = 0; i < PIM_N_PARTS; i++) {
                    parts += cost.parts[i];
                }
                double line_j[PIM_N_LINES], sum_j = 0;
                pim_energy_of(&machine, &cost, machine.n_channels, line_j);
                for (int i = 0; i < PIM_N_LINES; i++) {
                    sum_j += line_j[i];
                }
                assert_true(sum_j >= energy_j);
                energy_j = sum_j;
                assert_true(cost.cycles >= cycles);
                assert_int_equal(parts, cost.cycles);
                assert_true(machine.flow == PIM_DPU ||
                            cost.parts[PIM_PART_MAC] == cost.n_macs * machine.spec.t[PIM_T_MAC]);
                assert_true(machine.flow == PIM_DPU || (double)cost.n_macs * machine.n_units *
                                                               machine.n_lanes *
                                                               machine.n_channels >=
                                                           (double)n * k);
                cycles = cost.cycles;
            }
        }
        pim_sim_free(sim);
    }
}

static void refresh_mode_and_mapping_can_be_set(void **state)
{
    (void)state;
    static const char *const devices[] = {"hbm-pim", "aim"};
    for (size_t d = 0; d < 2; d++) {
        uint64_t cycles[4];
        static const char *const settings[4][2] = {
            {"mapping", "auto"}, {"refresh", "off"}, {"memory", "ideal"}, {"mapping", "k"}};
        for (int i = 0; i < 4; i++) {
            const struct pim_machine machine =
                read_machine(devices[d], settings[i][0], settings[i][1]);
            struct pim_sim *sim = NULL;
            assert_int_equal(pim_sim_create(&machine, NULL, &sim), JB_OK);
            const struct pim_cost cost = gemv(sim, &machine, 4096, 4096);
            cycles[i] = cost.cycles;
            assert_true(i != 1 || (cost.n_refreshes == 0 && cost.parts[PIM_PART_REFRESH] == 0));
            assert_true(i != 2 || cost.cycles == cost.n_macs * machine.spec.t[PIM_T_MAC]);
            assert_true(i != 3 || cost.split == machine.n_channels);
            pim_sim_free(sim);
        }
        assert_true(cycles[1] < cycles[0] && cycles[2] < cycles[1] && cycles[3] >= cycles[0]);
    }
}

/* Long runs of equal tiles are added up; on show every command is issued. */
static void nothing(void *ctx, const char *what)
{
    (void)ctx;
    (void)what;
}

static void count_command(void *ctx, const struct jb_dram_command *command)
{
    uint64_t *last = ctx;
    assert_true(command->cycle >= *last || command->cycle == 0);
    *last = command->cycle;
}

static void adding_up_is_issuing(void **state)
{
    (void)state;
    static const char *const devices[] = {"hbm-pim", "aim", "generic-pim"};
    static const uint32_t shapes[][2] = {{256, 256}, {4096, 4096}, {11008, 4096}, {1000, 11008}};
    for (size_t d = 0; d < sizeof devices / sizeof devices[0]; d++) {
        const struct pim_machine machine = read_machine(devices[d], NULL, NULL);
        uint64_t last = 0;
        const struct jb_dram_sink sink = {.begin = nothing, .put = count_command, .ctx = &last};
        struct pim_sim *quick = NULL, *whole = NULL;
        assert_int_equal(pim_sim_create(&machine, NULL, &quick), JB_OK);
        assert_int_equal(pim_sim_create(&machine, &sink, &whole), JB_OK);
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            last = 0;
            const struct pim_cost a = gemv(quick, &machine, shapes[i][0], shapes[i][1]);
            const struct pim_cost b = gemv(whole, &machine, shapes[i][0], shapes[i][1]);
            assert_memory_equal(&a, &b, sizeof a);
            assert_true(last > 0 && last <= b.cycles);
        }
        pim_sim_free(quick);
        pim_sim_free(whole);
    }
}

/* ---- refusals ---- */

static void refusals_name_what_is_wrong(void **state)
{
    (void)state;
    const struct jb_setting unknown = {"t_rcx", "3"}, range = {"t_rp", "-4"},
                            word = {"mapping", "both"};
    struct opened opened = start("aim", &unknown, 1, NULL);
    assert_int_equal(opened.status, JB_E_INVAL);
    assert_non_null(strstr(jb_reason(), "t_rcx"));
    free(opened.dev);
    opened = start("aim", &range, 1, NULL);
    assert_int_equal(opened.status, JB_E_INVAL);
    assert_non_null(strstr(jb_reason(), "t_rp"));
    free(opened.dev);
    opened = start("aim", &word, 1, NULL);
    assert_int_equal(opened.status, JB_E_INVAL);
    assert_non_null(strstr(jb_reason(), "auto n k"));
    free(opened.dev);
    opened = start("no-such-pim", NULL, 0, NULL);
    assert_int_equal(opened.status, JB_E_NODEV);
    free(opened.dev);

    /* nothing is widened: 4-bit weights have no place behind bf16 units */
    struct maker *m = maker_model(maker_shape("llama"), JB_Q4_0, JB_F16, CONTEXT, 5);
    const struct jb_load_args load = load_of(&m->plan, JB_EXECUTE_TIMING);
    opened = start("aim", NULL, 0, &load);
    assert_int_equal(opened.status, JB_E_NOTSUP);
    assert_non_null(strstr(jb_reason(), "q4_0"));
    free(opened.dev);
    maker_free(m);

    /* too small: the numbers are told */
    m = maker_model(maker_shape("llama"), JB_F16, JB_F16, CONTEXT, 5);
    const struct jb_load_args whole = load_of(&m->plan, JB_EXECUTE_TIMING);
    const struct jb_setting few = {"rows", "2"};
    const struct jb_setting small[] = {few, {"channels", "1"}};
    opened = start("hbm-pim", small, 2, &whole);
    assert_int_equal(opened.status, JB_E_NOMEM);
    assert_non_null(strstr(jb_reason(), "GiB of weights"));
    free(opened.dev);
    maker_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_those_of_plain_loops),
        cmocka_unit_test(a_wrong_mapping_shows),
        cmocka_unit_test(timings_change_time_and_nothing_else),
        cmocka_unit_test(accounts_are_whole),
        cmocka_unit_test(more_rows_never_take_fewer_cycles),
        cmocka_unit_test(refresh_mode_and_mapping_can_be_set),
        cmocka_unit_test(adding_up_is_issuing),
        cmocka_unit_test(refusals_name_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
