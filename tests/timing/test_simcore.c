/* SPDX-License-Identifier: MIT */
/* The door for simulators: settings over device files, traffic of a whole memory, accounts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backends/simcore/simcore.h"

static const struct jb_option options[] = {{"refresh", "", "on", "Refresh."}, {.key = NULL}};

static struct jb_device_file *open_with(const char *name, const char *key, const char *value,
                                        enum jb_status *ret_status)
{
    const struct jb_setting setting = {key, value};
    const struct jb_open_args args = {
        .device = name, .settings = &setting, .n_settings = key != NULL ? 1 : 0};
    struct jb_device_file *file = NULL;
    *ret_status =
        jb_sim_open_file("sim", "dram", "hbm2", jb_mem_device_schema, options, &args, &file);
    return file;
}

static void settings_go_into_the_file(void **state)
{
    (void)state;
    enum jb_status status;
    struct jb_device_file *file = open_with(NULL, "t_cl", "20", &status);
    assert_int_equal(status, JB_OK);
    assert_string_equal(jb_device_name(file), "hbm2");
    assert_true(jb_device_number(file, "t_cl") == 20);
    jb_device_close(file);
    file = open_with("gddr6", "refresh", "off", &status); /* an option, not a value of the file */
    assert_int_equal(status, JB_OK);
    jb_device_close(file);
    assert_null(open_with(NULL, "t_clx", "20", &status));
    assert_int_equal(status, JB_E_INVAL);
    assert_non_null(strstr(jb_reason(), "t_clx"));
    assert_null(open_with("groq-lpu", NULL, NULL, &status));
    assert_int_equal(status, JB_E_NODEV);
}

static struct jb_sim_memory *memory_of(const struct jb_device_file *file, bool has_refresh,
                                       const struct jb_dram_sink *sink)
{
    const struct jb_sim_memory_args args = {
        .file = file, .has_refresh = has_refresh, .toggles = {0.5, 0.5, 0.5}, .commands = sink};
    struct jb_sim_memory *memory = NULL;
    assert_int_equal(jb_sim_memory_open(&args, &memory), JB_OK);
    return memory;
}

static struct jb_sim_moved move(struct jb_sim_memory *memory, enum jb_pattern pattern,
                                uint64_t bytes, bool is_write)
{
    const struct jb_sim_move what = {
        .pattern = pattern, .bytes = bytes, .stride_bytes = 4096, .is_write = is_write, .seed = 3};
    struct jb_sim_moved moved;
    assert_int_equal(jb_sim_memory_move(memory, &what, &moved), JB_OK);
    return moved;
}

static double sum(const struct jb_sim_moved *moved)
{
    double total = 0;
    for (int i = 0; i < JB_MEM_N_LINES; i++) {
        total += moved->line_j[i];
    }
    return total;
}

struct seen {
    uint32_t n_begins;
    uint64_t n_reads, last_cycle;
};

static void on_begin(void *ctx, const char *what)
{
    (void)what;
    ((struct seen *)ctx)->n_begins++;
}

static void on_put(void *ctx, const struct jb_dram_command *command)
{
    struct seen *seen = ctx;
    assert_true(command->cycle >= seen->last_cycle);
    seen->last_cycle = command->cycle;
    seen->n_reads += strcmp(command->name, "RD") == 0;
}

/* Long streams are added up: as many cycles as when every command is issued. */
static void long_streams_cost_what_ticking_costs(void **state)
{
    (void)state;
    static const char *const names[] = {"hbm2", "hbm3", "gddr6", "ddr4-3200"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        enum jb_status status;
        struct jb_device_file *file = open_with(names[i], NULL, NULL, &status);
        struct seen seen = {0};
        const struct jb_dram_sink sink = {.begin = on_begin, .put = on_put, .ctx = &seen};
        struct jb_sim_memory *quick = memory_of(file, true, NULL);
        struct jb_sim_memory *ticked = memory_of(file, true, &sink);
        const uint64_t bytes = (uint64_t)jb_device_number(file, "channels") * 7000001;
        const struct jb_sim_moved a = move(quick, JB_SEQUENTIAL, bytes, false);
        const struct jb_sim_moved b = move(ticked, JB_SEQUENTIAL, bytes, false);
        assert_int_equal(a.bytes, b.bytes);
        assert_true(a.bytes >= bytes);
        assert_true(fabs((double)a.cycles / (double)b.cycles - 1) < 5e-3);
        assert_true(isnan(sum(&a)) == isnan(sum(&b)));
        assert_true(isnan(sum(&a)) || fabs(sum(&a) / sum(&b) - 1) < 1e-2);
        assert_int_equal(seen.n_begins, 1);
        assert_int_equal(seen.n_reads * (uint64_t)jb_device_number(file, "burst_bytes") *
                             (uint64_t)jb_device_number(file, "channels"),
                         b.bytes);
        jb_sim_memory_close(quick);
        jb_sim_memory_close(ticked);
        jb_device_close(file);
    }
}

static void more_bytes_never_take_less(void **state)
{
    (void)state;
    enum jb_status status;
    struct jb_device_file *file = open_with("hbm2", NULL, NULL, &status);
    struct jb_sim_memory *memory = memory_of(file, true, NULL);
    uint64_t cycles = 0;
    double energy_j = 0;
    assert_int_equal(move(memory, JB_SEQUENTIAL, 0, false).cycles, 0);
    for (uint64_t bytes = 1; bytes < UINT64_C(1) << 34; bytes = bytes * 3 + 1) {
        const struct jb_sim_moved m = move(memory, JB_SEQUENTIAL, bytes, false);
        assert_true(m.cycles >= cycles && sum(&m) >= energy_j);
        assert_true((double)m.bytes / m.time_s <= jb_sim_memory_peak(memory));
        cycles = m.cycles;
        energy_j = sum(&m);
    }
    const struct jb_sim_moved all = move(memory, JB_SEQUENTIAL, UINT64_C(1) << 30, false);
    assert_true((double)all.bytes / all.time_s > 0.9 * jb_sim_memory_peak(memory));
    const struct jb_sim_moved random = move(memory, JB_RANDOM, 1 << 22, false);
    assert_true((double)random.bytes / random.time_s < 0.6 * jb_sim_memory_peak(memory));
    jb_sim_memory_close(memory);
    jb_device_close(file);
}

static void an_account_adds_up(void **state)
{
    (void)state;
    struct jb_sim_timeline *timeline = NULL;
    assert_int_equal(jb_sim_timeline_create(2, 2, &timeline), JB_OK);
    const double line_j[] = {1, 2};
    jb_sim_timeline_begin(timeline);
    struct jb_sim_part part = {.op = 3,
                               .start_s = 0,
                               .end_s = 2,
                               .line_j = line_j,
                               .time_class = JB_CLASS_SIMULATED,
                               .energy_class = JB_CLASS_MODELLED};
    assert_int_equal(jb_sim_timeline_add(timeline, &part), JB_OK);
    part.end_s = -1;
    assert_int_equal(jb_sim_timeline_add(timeline, &part), JB_E_INVAL);
    part.end_s = 1;
    part.op = 4;
    assert_int_equal(jb_sim_timeline_add(timeline, &part), JB_OK);
    assert_int_equal(jb_sim_timeline_add(timeline, &part), JB_E_INVAL);
    jb_sim_timeline_add_j(timeline, 0, 1, 10);
    const struct jb_account account = jb_sim_timeline_end(timeline);
    assert_int_equal(account.n_charges, 2);
    assert_true(account.time_s == 2 && account.energy_j == 16);
    assert_int_equal(account.time_class, JB_CLASS_SIMULATED);
    assert_int_equal(account.energy_class, JB_CLASS_MODELLED);
    double op_j[2];
    assert_true(jb_sim_timeline_op_j(timeline, 3, op_j) == 13 && op_j[1] == 12);
    jb_sim_timeline_free(timeline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_go_into_the_file),
        cmocka_unit_test(long_streams_cost_what_ticking_costs),
        cmocka_unit_test(more_bytes_never_take_less),
        cmocka_unit_test(an_account_adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
