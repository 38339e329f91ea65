/* SPDX-License-Identifier: MIT */
/* The perf `power` PMU from fake trees and counters in memory. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/stubs/fake_perf.h"
#include "tests/stubs/fake_tree.h"
#include "tests/stubs/meter_rig.h"

#define PMU "sys/bus/event_source/devices/power/"
#define COUNTS_PER_JOULE 4294967296.0

static const struct jb_meter_args no_args = {.arg = NULL};

static void test_one_counter_a_package_and_domain(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct meter_rig rig;
    fake_tree_open(&tree, "perf/two_packages");
    fake_perf_install();
    assert_int_equal(rig_open(&rig, "perf", &no_args), JB_OK);
    assert_int_equal(rig.n_domains, 6);
    assert_int_equal(fake_perf_n, 6);
    const uint32_t i = rig_domain(&rig, "package-1");
    assert_int_equal(fake_perf_counters[i].type, 14);
    assert_int_equal(fake_perf_counters[i].config, 2);
    assert_int_equal(fake_perf_counters[i].cpu, 24);
    assert_true(rig.domains[i].is_in_total);
    assert_true(rig.domains[rig_domain(&rig, "dram-0")].is_in_total);
    assert_false(rig.domains[rig_domain(&rig, "core-1")].is_in_total);
    assert_int_equal(rig.domains[rig_domain(&rig, "core-1")].scope, JB_SCOPE_CORE);
    fake_perf_set_all(0);
    fake_perf_set((int)i, (uint64_t)(3.5 * COUNTS_PER_JOULE));
    struct jb_reading reading;
    assert_int_equal(rig.meter->read(rig.state, &reading), JB_OK);
    assert_true(reading.values[i] == 3.5);
    assert_true(reading.values[rig_domain(&rig, "package-0")] == 0);
    rig_close(&rig);
    fake_perf_remove();
    fake_tree_close(&tree);
}

static void test_psys_that_never_ticks_stays_at_exactly_zero(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct meter_rig rig;
    fake_tree_open(&tree, "perf/psys_only");
    fake_perf_install();
    assert_int_equal(rig_open(&rig, "perf", &no_args), JB_OK);
    assert_int_equal(rig.n_domains, 1);
    assert_int_equal(rig.domains[0].scope, JB_SCOPE_SYSTEM);
    assert_true(rig.domains[0].is_in_total);
    for (int i = 0; i < 3; i++) {
        fake_perf_set_all(0);
        assert_true(rig_value(&rig, "psys-0") == 0);
    }
    rig_close(&rig);
    fake_perf_remove();
    fake_tree_close(&tree);
}

static void test_no_permission_advises(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct jb_meter_probe probe;
    fake_tree_open(&tree, "perf/two_packages");
    fake_perf_install();
    fake_perf_errno = EACCES;
    assert_int_equal(jb_meter_find("perf")->probe(&no_args, &probe), JB_E_PERM);
    assert_non_null(strstr(jb_reason(), "perf_event_paranoid"));
    assert_string_equal(probe.unlock, "sudo sysctl kernel.perf_event_paranoid=0");
    fake_perf_remove();
    fake_tree_close(&tree);
}

static void test_refusals_name_the_file(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text;
        enum jb_status code;
        const char *reason;
    } cases[] = {
        {"events/energy-pkg.unit", "mWh\n", JB_E_NOTSUP, "energy-pkg.unit: 'mWh' is not Joules"},
        {"events/energy-pkg.scale", "1e-x\n", JB_E_FORMAT, "energy-pkg.scale: '1e-x'"},
        {"events/energy-pkg.scale", "0\n", JB_E_FORMAT, "energy-pkg.scale: '0'"},
        {"events/energy-pkg", "event=0x02,edge\n", JB_E_FORMAT, "energy-pkg: 'event=0x02,edge'"},
        {"events/energy-pkg", "\n", JB_E_FORMAT, "energy-pkg: ''"},
        {"cpumask", "\n", JB_E_FORMAT, "cpumask: '' is no list"},
        {"cpumask", "0,x\n", JB_E_FORMAT, "cpumask: '0,x' is no list"},
        {"type", "fourteen\n", JB_E_FORMAT, "type: 'fourteen' is no number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fake_tree tree;
        struct meter_rig rig;
        char path[128];
        fake_tree_open(&tree, "perf/two_packages");
        fake_perf_install();
        (void)snprintf(path, sizeof path, PMU "%s", cases[i].file);
        fake_tree_set(&tree, path, cases[i].text);
        const int before = fake_tree_count_fds();
        assert_int_equal(rig_open(&rig, "perf", &no_args), cases[i].code);
        if (strstr(jb_reason(), cases[i].reason) == NULL) {
            fail_msg("'%s' does not say '%s'", jb_reason(), cases[i].reason);
        }
        assert_int_equal(fake_tree_count_fds(), before + fake_perf_n);
        fake_perf_remove();
        fake_tree_close(&tree);
    }
}

static void test_absent_pmu_and_failing_open(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct meter_rig rig;
    fake_tree_open(&tree, NULL);
    assert_int_equal(rig_open(&rig, "perf", &no_args), JB_E_NODEV);
    assert_non_null(strstr(jb_reason(), "devices/power/type is missing"));
    fake_tree_close(&tree);
    fake_tree_open(&tree, "perf/two_packages");
    fake_perf_install();
    fake_perf_errno = ENOENT;
    assert_int_equal(rig_open(&rig, "perf", &no_args), JB_E_NODEV);
    assert_non_null(strstr(jb_reason(), "energy-pkg on CPU 0"));
    fake_perf_remove();
    fake_tree_close(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_counter_a_package_and_domain),
        cmocka_unit_test(test_psys_that_never_ticks_stays_at_exactly_zero),
        cmocka_unit_test(test_no_permission_advises),
        cmocka_unit_test(test_refusals_name_the_file),
        cmocka_unit_test(test_absent_pmu_and_failing_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
