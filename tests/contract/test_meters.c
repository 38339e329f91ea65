/* SPDX-License-Identifier: MIT */
/* What every meter must do, whatever its source: one list of faults, one rig a meter.
 *
 *   test_meters           the suite
 *   test_meters --bench   what a read costs on this machine, by meter, in microseconds */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platforms/meters/nvml.h"
#include "platforms/meters/replay.h"
#include "platforms/os/os.h"
#include "tests/contract/alloc.h"
#include "tests/stubs/fake_nvml.h"
#include "tests/stubs/fake_perf.h"
#include "tests/stubs/fake_tree.h"
#include "tests/stubs/meter_rig.h"

/* A meter whose one energy counter the test drives, in its raw unit. */
struct fixture {
    const char *meter, *domain;
    double joules_per_count;
    uint64_t range; /* 0 = does not wrap */
    void (*set_up)(void);
    void (*set)(uint64_t raw);
    void (*vanish)(void); /* the next read finds nothing */
    void (*tear_down)(void);
};

static struct fake_tree tree;
static struct fake_nvml *nvml;

static void set_file(const char *path, uint64_t raw)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%llu\n", (unsigned long long)raw);
    fake_tree_set(&tree, path, text);
}

static void close_tree(void)
{
    fake_tree_close(&tree);
}

#define ZONE "sys/class/powercap/intel-rapl:0/energy_uj"

static void powercap_up(void)
{
    fake_tree_open(&tree, "powercap/mmio_only");
    fake_tree_set(&tree, "sys/class/powercap/intel-rapl:0/name", "package-0\n");
    fake_tree_set(&tree, "sys/class/powercap/intel-rapl:0/max_energy_range_uj", "262143328850\n");
    set_file(ZONE, 0);
}

static void powercap_set(uint64_t raw)
{
    set_file(ZONE, raw);
}

static void powercap_vanish(void)
{
    fake_tree_set(&tree, ZONE, "");
}

#define HWMON_ENERGY "sys/class/hwmon/hwmon0/energy1_input"

static void hwmon_up(void)
{
    fake_tree_open(&tree, NULL);
    fake_tree_set(&tree, "sys/class/hwmon/hwmon0/name", "amd_energy\n");
    fake_tree_set(&tree, "sys/class/hwmon/hwmon0/energy1_label", "Esocket0\n");
    set_file(HWMON_ENERGY, 0);
}

static void hwmon_set(uint64_t raw)
{
    set_file(HWMON_ENERGY, raw);
}

static void hwmon_vanish(void)
{
    fake_tree_set(&tree, HWMON_ENERGY, "");
}

static void perf_up(void)
{
    fake_tree_open(&tree, "perf/psys_only");
    fake_perf_install();
}

static void perf_down(void)
{
    fake_perf_remove();
    close_tree();
}

static void perf_vanish(void)
{
    /* A counter is read once for each set; there was none. */
}

static void nvml_up(void)
{
    const char *const names[] = {getenv("JB_FAKE_NVML"), NULL};
    assert_non_null(names[0]);
    void *library = jb_dl_open(names);
    assert_non_null(library);
    void *const symbol = jb_dl_symbol(library, "fake_nvml_state");
    struct fake_nvml *(*get)(void) = NULL;
    memcpy(&get, &symbol, sizeof symbol);
    nvml = get();
    nvml->cards[0].all_code = 0;
    nvml->cards[0].energy_mj = 0;
    jb_nvml_set_library(names[0]);
}

static void nvml_set(uint64_t raw)
{
    nvml->cards[0].energy_mj = raw;
}

static void nvml_vanish(void)
{
    nvml->cards[0].all_code = 15;
}

static void nvml_down(void)
{
    nvml->cards[0].all_code = 0;
    jb_nvml_set_library(NULL);
}

static const struct fixture fixtures[] = {
    {"powercap", "package-0", 1e-6, 262143328851, powercap_up, powercap_set, powercap_vanish,
     close_tree},
    {"hwmon", "amd_energy/Esocket0", 1e-6, 0, hwmon_up, hwmon_set, hwmon_vanish, close_tree},
    {"perf", "psys-0", 0x1p-32, 0, perf_up, fake_perf_set_all, perf_vanish, perf_down},
    {"nvml", "gpu-0/energy", 1e-3, 0, nvml_up, nvml_set, nvml_vanish, nvml_down},
};

#define N_FIXTURES (sizeof fixtures / sizeof fixtures[0])

static const struct jb_meter_args no_args = {.arg = NULL};

static uint64_t counts(const struct fixture *f, double joules)
{
    return (uint64_t)(joules / f->joules_per_count);
}

static void open_at(const struct fixture *f, struct meter_rig *rig, uint64_t raw)
{
    f->set_up();
    if (strcmp(f->meter, "perf") != 0) { /* its counter exists from open on, and starts at 0 */
        f->set(raw);
    }
    assert_int_equal(rig_open(rig, f->meter, &no_args), JB_OK);
}

static double value_at(const struct fixture *f, struct meter_rig *rig, uint64_t raw)
{
    f->set(raw);
    return rig_value(rig, f->domain);
}

static void shut(const struct fixture *f, struct meter_rig *rig)
{
    rig_close(rig);
    f->tear_down();
}

static void test_stuck_counter_is_exactly_zero(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FIXTURES; i++) {
        const struct fixture *f = &fixtures[i];
        struct meter_rig rig;
        const uint64_t start = strcmp(f->meter, "perf") == 0 ? 0 : counts(f, 123.5);
        open_at(f, &rig, start);
        for (int k = 0; k < 3; k++) {
            assert_true(value_at(f, &rig, start) == 0);
        }
        shut(f, &rig);
    }
}

static void test_lagging_counter_loses_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FIXTURES; i++) {
        const struct fixture *f = &fixtures[i];
        struct meter_rig rig;
        open_at(f, &rig, 0);
        double last = 0;
        for (int k = 1; k <= 40; k++) { /* ticks once every four reads */
            const double value = value_at(f, &rig, counts(f, 25.0 * (k / 4)));
            assert_true(value >= last);
            last = value;
        }
        assert_true(fabs(last - 250) < 1e-2);
        shut(f, &rig);
    }
}

static void test_wrap_is_unrolled(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FIXTURES; i++) {
        const struct fixture *f = &fixtures[i];
        struct meter_rig rig;
        if (f->range == 0) {
            continue;
        }
        open_at(f, &rig, f->range - counts(f, 3));
        assert_true(fabs(value_at(f, &rig, counts(f, 4)) - 7) < 1e-3);
        assert_true(fabs(value_at(f, &rig, counts(f, 5)) - 8) < 1e-3);
        shut(f, &rig);
    }
}

static void test_reset_and_jump_void_the_counter(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FIXTURES; i++) {
        for (int is_jump = 0; is_jump < 2; is_jump++) {
            const struct fixture *f = &fixtures[i];
            struct meter_rig rig;
            struct jb_reading reading = {0};
            open_at(f, &rig, 0);
            assert_true(fabs(value_at(f, &rig, counts(f, 100)) - 100) < 1e-2);
            /* 100 kJ within microseconds, or back to near nothing. */
            f->set(is_jump ? counts(f, 100100) : counts(f, 1));
            assert_int_equal(rig.meter->read(rig.state, &reading), JB_OK);
            assert_true(jb_is_missing(reading.values[rig_domain(&rig, f->domain)]));
            assert_true(jb_is_missing(value_at(f, &rig, counts(f, 101))));
            shut(f, &rig);
        }
    }
}

static void test_vanished_source_is_missing_never_zero(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FIXTURES; i++) {
        const struct fixture *f = &fixtures[i];
        struct meter_rig rig;
        struct jb_reading reading = {.time_s = -1};
        open_at(f, &rig, 0);
        (void)value_at(f, &rig, counts(f, 10));
        f->vanish();
        assert_int_equal(rig.meter->read(rig.state, &reading), JB_E_DEVICE);
        assert_true(reading.time_s == -1);
        assert_true(strlen(jb_reason()) > 0);
        shut(f, &rig);
    }
}

static void test_open_and_close_leak_no_descriptor(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FIXTURES; i++) {
        const struct fixture *f = &fixtures[i];
        struct meter_rig rig;
        open_at(f, &rig, 0); /* libraries may keep something after their first use */
        rig_close(&rig);
        const int before = fake_tree_count_fds();
        for (int k = 0; k < 5; k++) {
            if (strcmp(f->meter, "perf") == 0) {
                fake_perf_remove();
                fake_perf_install();
            }
            assert_int_equal(rig_open(&rig, f->meter, &no_args), JB_OK);
            rig_close(&rig);
        }
        assert_int_equal(fake_tree_count_fds(), before);
        f->tear_down();
    }
}

static void test_read_allocates_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FIXTURES; i++) {
        const struct fixture *f = &fixtures[i];
        struct meter_rig rig;
        struct jb_reading reading;
        open_at(f, &rig, 0);
        f->set(0);
        alloc_watch(0);
        for (int k = 0; k < 100; k++) {
            (void)rig.meter->read(rig.state, &reading);
        }
        assert_int_equal(alloc_stop(), 0);
        shut(f, &rig);
    }
}

/* On this machine as it is: each meter answers or says why not. */
static void test_every_meter_answers_or_says_why(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < jb_meter_count(); i++) {
        const struct jb_meter *meter = jb_meter_at(i);
        struct jb_meter_probe probe;
        struct meter_rig rig;
        assert_ptr_equal(jb_meter_find(meter->name), meter);
        assert_true(strlen(meter->summary) > 0);
        (void)jb_fail(JB_E_INVAL, "%s", "");
        const enum jb_status status = meter->probe(&no_args, &probe);
        if (status != JB_OK) {
            assert_true(strlen(jb_reason()) > 0);
            assert_true((status == JB_E_PERM) == (strlen(probe.unlock) > 0));
            assert_int_not_equal(rig_open(&rig, meter->name, &no_args), JB_OK);
            continue;
        }
        assert_true(strlen(probe.what) > 0);
        assert_int_equal(rig_open(&rig, meter->name, &no_args), JB_OK);
        for (uint32_t d = 0; d < rig.n_domains; d++) {
            assert_true(strlen(rig.domains[d].name) > 0);
            assert_true(strlen(rig.domains[d].unit) > 0);
            for (uint32_t k = 0; k < d; k++) {
                assert_string_not_equal(rig.domains[d].name, rig.domains[k].name);
            }
        }
        rig_close(&rig);
    }
    assert_null(jb_meter_find("sundial"));
    assert_non_null(strstr(jb_reason(), "sundial"));
    assert_non_null(strstr(jb_reason(), "powercap"));
    assert_null(jb_meter_at(jb_meter_count()));
}

static void test_only_sensors_are_automatic(void **state)
{
    (void)state;
    static const char *const never[] = {"model", "replay", "null"};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        assert_false(jb_meter_find(never[i])->is_automatic);
    }
    assert_string_equal(jb_meter_at(0)->name, "nvml");
    assert_string_equal(jb_scope_name(JB_SCOPE_DRAM), "dram");
    assert_string_equal(jb_scope_name((enum jb_scope)99), "unknown");
}

static int bench(void)
{
    enum { N = 200 };
    for (uint32_t i = 0; i < jb_meter_count(); i++) {
        const struct jb_meter *meter = jb_meter_at(i);
        struct jb_meter_state *meter_state = calloc(1, meter->state_size);
        if (meter_state == NULL || meter->open(meter_state, &no_args) != JB_OK) {
            printf("%-10s %s\n", meter->name, jb_reason());
            free(meter_state);
            continue;
        }
        const struct jb_domain *domains = NULL;
        const uint32_t n = meter->domains(meter_state, &domains);
        struct jb_reading reading = {0};
        double worst_s = 0;
        const double begin_s = jb_clock_s();
        for (int k = 0; k < N; k++) {
            const double t_s = jb_clock_s();
            (void)meter->read(meter_state, &reading);
            worst_s = fmax(worst_s, jb_clock_s() - t_s);
        }
        printf("%-10s mean %8.2f us, worst %8.2f us, %u domains\n", meter->name,
               (jb_clock_s() - begin_s) / N * 1e6, worst_s * 1e6, n);
        for (uint32_t d = 0; d < n; d++) {
            printf("           %-32s %.6g %s\n", domains[d].name, reading.values[d],
                   domains[d].unit);
        }
        meter->close(meter_state);
        free(meter_state);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stuck_counter_is_exactly_zero),
        cmocka_unit_test(test_lagging_counter_loses_nothing),
        cmocka_unit_test(test_wrap_is_unrolled),
        cmocka_unit_test(test_reset_and_jump_void_the_counter),
        cmocka_unit_test(test_vanished_source_is_missing_never_zero),
        cmocka_unit_test(test_open_and_close_leak_no_descriptor),
        cmocka_unit_test(test_read_allocates_nothing),
        cmocka_unit_test(test_every_meter_answers_or_says_why),
        cmocka_unit_test(test_only_sensors_are_automatic),
    };
    if (argc > 1 && strcmp(argv[1], "--bench") == 0) {
        return bench();
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
