/* SPDX-License-Identifier: MIT */
/* Powercap zones from fake trees: scopes, totals, ranges, and what goes wrong with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/stubs/fake_tree.h"
#include "tests/stubs/meter_rig.h"

#define CLASS "sys/class/powercap/"
#define MAX_UJ 262143328850.0

static const struct jb_meter_args no_args = {.arg = NULL};

static void test_scopes_and_totals(void **state)
{
    (void)state;
    static const struct {
        const char *tree, *domain;
        enum jb_scope scope;
        bool is_in_total;
    } cases[] = {
        {"powercap/two_packages", "package-0", JB_SCOPE_PACKAGE, true},
        {"powercap/two_packages", "dram-0", JB_SCOPE_DRAM, true},
        {"powercap/two_packages", "core-0", JB_SCOPE_CORE, false},
        {"powercap/two_packages", "package-1", JB_SCOPE_PACKAGE, true},
        {"powercap/two_packages", "dram-1", JB_SCOPE_DRAM, true},
        {"powercap/client", "package-0", JB_SCOPE_PACKAGE, true},
        {"powercap/client", "core-0", JB_SCOPE_CORE, false},
        {"powercap/client", "uncore-0", JB_SCOPE_PACKAGE, false},
        {"powercap/client", "psys-1", JB_SCOPE_SYSTEM, false},
        {"powercap/mmio_only", "package-0", JB_SCOPE_PACKAGE, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fake_tree tree;
        struct meter_rig rig;
        fake_tree_open(&tree, cases[i].tree);
        assert_int_equal(rig_open(&rig, "powercap", &no_args), JB_OK);
        const struct jb_domain *domain = &rig.domains[rig_domain(&rig, cases[i].domain)];
        assert_int_equal(domain->scope, cases[i].scope);
        assert_int_equal(domain->is_in_total, cases[i].is_in_total);
        assert_int_equal(domain->quantity, JB_QUANTITY_ENERGY);
        assert_string_equal(domain->unit, "J");
        assert_int_equal(domain->evidence, JB_CLASS_MEASURED);
        rig_close(&rig);
        fake_tree_close(&tree);
    }
}

static void test_copies_and_other_classes_are_left_out(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct meter_rig rig;
    fake_tree_open(&tree, "powercap/two_packages");
    assert_int_equal(rig_open(&rig, "powercap", &no_args), JB_OK);
    assert_int_equal(rig.n_domains, 5);
    fake_tree_set(&tree, CLASS "intel-rapl-mmio:0/energy_uj", "5000077\n");
    assert_true(rig_value(&rig, "package-0") == 0);
    rig_close(&rig);
    fake_tree_close(&tree);
    fake_tree_open(&tree, "powercap/client");
    assert_int_equal(rig_open(&rig, "powercap", &no_args), JB_OK);
    assert_int_equal(rig.n_domains, 4);
    rig_close(&rig);
    fake_tree_close(&tree);
}

static void test_each_zone_wraps_at_its_own_range(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct meter_rig rig;
    fake_tree_open(&tree, "powercap/two_packages");
    assert_int_equal(rig_open(&rig, "powercap", &no_args), JB_OK);
    /* package-1 stood 328,850 uJ below its top; dram-0 712,999,613 uJ below a lower one. */
    fake_tree_set(&tree, CLASS "intel-rapl:1/energy_uj", "99\n");
    fake_tree_set(&tree, CLASS "intel-rapl:0:0/energy_uj", "386\n");
    assert_true(fabs(rig_value(&rig, "package-1") - (MAX_UJ + 1 - 262143000000.0 + 99) * 1e-6) <
                1e-9);
    assert_true(fabs(rig_value(&rig, "dram-0") - 713.0) < 1e-9);
    assert_true(rig_value(&rig, "package-0") == 0);
    /* The total goes on after the wrap. */
    fake_tree_set(&tree, CLASS "intel-rapl:0:0/energy_uj", "1000386\n");
    assert_true(fabs(rig_value(&rig, "dram-0") - 714.0) < 1e-9);
    rig_close(&rig);
    fake_tree_close(&tree);
}

static void test_wraps_add_up_to_the_truth(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct meter_rig rig;
    char text[32];
    uint64_t truth = 1000000;
    fake_tree_open(&tree, "powercap/two_packages");
    fake_tree_set(&tree, CLASS "intel-rapl:0/max_energy_range_uj", "2999999\n");
    assert_int_equal(rig_open(&rig, "powercap", &no_args), JB_OK);
    for (int i = 0; i < 100; i++) {
        truth += 1400000;
        (void)snprintf(text, sizeof text, "%llu\n", (unsigned long long)(truth % 3000000));
        fake_tree_set(&tree, CLASS "intel-rapl:0/energy_uj", text);
        assert_true(fabs(rig_value(&rig, "package-0") - (double)(truth - 1000000) * 1e-6) < 1e-9);
    }
    rig_close(&rig);
    fake_tree_close(&tree);
}

static void assert_open_fails(enum jb_status code, const char *text)
{
    struct meter_rig rig;
    struct jb_meter_probe probe;
    const int before = fake_tree_count_fds();
    assert_int_equal(rig_open(&rig, "powercap", &no_args), code);
    if (strstr(jb_reason(), text) == NULL) {
        fail_msg("'%s' does not say '%s'", jb_reason(), text);
    }
    assert_int_equal(jb_meter_find("powercap")->probe(&no_args, &probe), code);
    assert_int_equal(fake_tree_count_fds(), before);
}

static void test_broken_trees_name_the_file(void **state)
{
    (void)state;
    struct fake_tree tree;
    fake_tree_open(&tree, NULL);
    assert_open_fails(JB_E_NODEV, "/sys/class/powercap has no RAPL zone");
    fake_tree_close(&tree);
    fake_tree_open(&tree, "powercap/no_range");
    assert_open_fails(JB_E_NOTSUP, "intel-rapl:0/max_energy_range_uj is missing");
    fake_tree_set(&tree, CLASS "intel-rapl:0/max_energy_range_uj", "0\n");
    assert_open_fails(JB_E_FORMAT, "0 is no range");
    fake_tree_set(&tree, CLASS "intel-rapl:0/max_energy_range_uj", "-5\n");
    assert_open_fails(JB_E_FORMAT, "'-5' is no number");
    fake_tree_close(&tree);
    fake_tree_open(&tree, "powercap/not_a_number");
    assert_open_fails(JB_E_FORMAT, "intel-rapl:0/energy_uj: holds no number");
    fake_tree_remove(&tree, CLASS "intel-rapl:0/energy_uj");
    assert_open_fails(JB_E_NODEV, "intel-rapl:0/energy_uj: No such file");
    fake_tree_close(&tree);
}

static void test_a_broken_part_is_left_out(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct meter_rig rig;
    fake_tree_open(&tree, "powercap/client");
    fake_tree_remove(&tree, CLASS "intel-rapl:0:0/max_energy_range_uj");
    assert_int_equal(rig_open(&rig, "powercap", &no_args), JB_OK);
    assert_int_equal(rig.n_domains, 3);
    rig_close(&rig);
    /* Without its DRAM the total would look small: that fails. */
    fake_tree_set(&tree, CLASS "intel-rapl:0:2/name", "dram\n");
    assert_open_fails(JB_E_NOTSUP, "intel-rapl:0:2/max_energy_range_uj is missing");
    fake_tree_close(&tree);
}

static void test_psys_alone_is_the_total(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct meter_rig rig;
    fake_tree_open(&tree, NULL);
    fake_tree_set(&tree, CLASS "intel-rapl:1/name", "psys\n");
    fake_tree_set(&tree, CLASS "intel-rapl:1/energy_uj", "7\n");
    fake_tree_set(&tree, CLASS "intel-rapl:1/max_energy_range_uj", "65532610987\n");
    assert_int_equal(rig_open(&rig, "powercap", &no_args), JB_OK);
    assert_true(rig.domains[rig_domain(&rig, "psys-1")].is_in_total);
    rig_close(&rig);
    fake_tree_close(&tree);
}

static void test_no_permission_says_how_to_unlock(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct jb_meter_probe probe;
    fake_tree_open(&tree, "powercap/two_packages");
    fake_tree_set_mode(&tree, CLASS "intel-rapl:0/energy_uj", 0);
    fake_tree_drop_root(1);
    const enum jb_status status = jb_meter_find("powercap")->probe(&no_args, &probe);
    fake_tree_drop_root(0);
    assert_int_equal(status, JB_E_PERM);
    assert_non_null(strstr(jb_reason(), "intel-rapl:0/energy_uj: Permission denied"));
    assert_string_equal(probe.unlock, "sudo chmod a+r /sys/class/powercap/*/energy_uj");
    fake_tree_close(&tree);
}

static void test_probe_lists_the_domains(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct jb_meter_probe probe;
    fake_tree_open(&tree, "powercap/client");
    assert_int_equal(jb_meter_find("powercap")->probe(&no_args, &probe), JB_OK);
    assert_string_equal(probe.what, "RAPL through powercap: package-0, core-0, uncore-0, psys-1");
    assert_string_equal(probe.unlock, "");
    fake_tree_close(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scopes_and_totals),
        cmocka_unit_test(test_copies_and_other_classes_are_left_out),
        cmocka_unit_test(test_each_zone_wraps_at_its_own_range),
        cmocka_unit_test(test_wraps_add_up_to_the_truth),
        cmocka_unit_test(test_broken_trees_name_the_file),
        cmocka_unit_test(test_a_broken_part_is_left_out),
        cmocka_unit_test(test_psys_alone_is_the_total),
        cmocka_unit_test(test_no_permission_says_how_to_unlock),
        cmocka_unit_test(test_probe_lists_the_domains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
