/* SPDX-License-Identifier: MIT */
/* Hardware monitoring chips from fake trees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/stubs/fake_tree.h"
#include "tests/stubs/meter_rig.h"

static const struct jb_meter_args no_args = {.arg = NULL};

static void test_what_each_chip_stands_for(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct meter_rig rig;
    fake_tree_open(&tree, "hwmon/server");
    assert_int_equal(rig_open(&rig, "hwmon", &no_args), JB_OK);
    assert_int_equal(rig.n_domains, 4);
    const struct jb_domain *acpi = &rig.domains[rig_domain(&rig, "power_meter/power1")];
    const struct jb_domain *socket = &rig.domains[rig_domain(&rig, "amd_energy/Esocket0")];
    const struct jb_domain *card = &rig.domains[rig_domain(&rig, "amdgpu/PPT")];
    const struct jb_domain *other = &rig.domains[rig_domain(&rig, "mystery/power2")];
    assert_int_equal(acpi->scope, JB_SCOPE_SYSTEM);
    assert_true(acpi->is_in_total && acpi->average_s == 1);
    assert_int_equal(socket->quantity, JB_QUANTITY_ENERGY);
    assert_true(socket->is_in_total);
    assert_int_equal(card->scope, JB_SCOPE_BOARD);
    assert_false(card->is_in_total);
    assert_true(jb_is_missing(card->average_s));
    assert_false(other->is_in_total);
    assert_true(rig_value(&rig, "power_meter/power1") == 212);
    assert_true(rig_value(&rig, "amdgpu/PPT") == 31);
    assert_true(rig_value(&rig, "amd_energy/Esocket0") == 0);
    fake_tree_set(&tree, "sys/class/hwmon/hwmon1/energy65_input", "3500000\n");
    assert_true(fabs(rig_value(&rig, "amd_energy/Esocket0") - 2.5) < 1e-12);
    rig_close(&rig);
    fake_tree_close(&tree);
}

static void test_a_name_picks_the_total(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct meter_rig rig;
    fake_tree_open(&tree, "hwmon/server");
    assert_int_equal(rig_open(&rig, "hwmon", &(struct jb_meter_args){.arg = "amdgpu/PPT"}), JB_OK);
    assert_true(rig.domains[rig_domain(&rig, "amdgpu/PPT")].is_in_total);
    assert_false(rig.domains[rig_domain(&rig, "power_meter/power1")].is_in_total);
    rig_close(&rig);
    assert_int_equal(rig_open(&rig, "hwmon", &(struct jb_meter_args){.arg = "amdgpu/x"}),
                     JB_E_NODEV);
    assert_non_null(strstr(jb_reason(), "no domain 'amdgpu/x'"));
    fake_tree_close(&tree);
}

static void test_broken_channels_are_left_out(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct meter_rig rig;
    struct jb_reading reading;
    fake_tree_open(&tree, "hwmon/broken");
    assert_int_equal(rig_open(&rig, "hwmon", &no_args), JB_OK);
    assert_int_equal(rig.n_domains, 1);
    assert_string_equal(rig.domains[0].name, "mystery/power2");
    assert_true(jb_is_missing(rig.domains[0].average_s));
    fake_tree_set(&tree, "sys/class/hwmon/hwmon0/power2_average", "-4\n");
    assert_int_equal(rig.meter->read(rig.state, &reading), JB_E_DEVICE);
    rig_close(&rig);
    fake_tree_close(&tree);
}

static void test_absent_and_denied(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct meter_rig rig;
    struct jb_meter_probe probe;
    fake_tree_open(&tree, NULL);
    assert_int_equal(rig_open(&rig, "hwmon", &no_args), JB_E_NODEV);
    assert_non_null(strstr(jb_reason(), "/sys/class/hwmon"));
    fake_tree_set(&tree, "sys/class/hwmon/hwmon0/name", "power_meter\n");
    fake_tree_set(&tree, "sys/class/hwmon/hwmon0/power1_average", "5\n");
    fake_tree_set_mode(&tree, "sys/class/hwmon/hwmon0/power1_average", 0);
    fake_tree_drop_root(1);
    const enum jb_status status = jb_meter_find("hwmon")->probe(&no_args, &probe);
    fake_tree_drop_root(0);
    assert_int_equal(status, JB_E_PERM);
    assert_non_null(strstr(probe.unlock, "chmod a+r /sys/class/hwmon"));
    fake_tree_close(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_each_chip_stands_for),
        cmocka_unit_test(test_a_name_picks_the_total),
        cmocka_unit_test(test_broken_channels_are_left_out),
        cmocka_unit_test(test_absent_and_denied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
