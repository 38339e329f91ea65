/* SPDX-License-Identifier: MIT */
/* The model meter against its formula, with replayed CPU times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platforms/meters/model.h"
#include "tests/stubs/meter_rig.h"

static double wall_s, cpu_s;

static double fake_wall(void)
{
    return wall_s;
}

static double fake_cpu(void)
{
    return cpu_s;
}

static const struct jb_model_source two_of_many = {
    .wall_s = fake_wall, .cpu_s = fake_cpu, .visible_cores = 2, .physical_cores = 0};

static const char *const cpu_text =
    "device: test-cpu\n"
    "kind: cpu\n"
    "summary: A CPU of 32 cores.\n"
    "values:\n"
    "  idle_w: {value: 64, unit: W, source: \"measured: test\"}\n"
    "  active_w: {value: 320, unit: W, source: \"measured: test\"}\n"
    "  physical_cores: {value: 32, source: \"test\"}\n"
    "  power_class: {value: measured, source: \"test\"}\n";

static void write_device(char *ret_path, const char *text)
{
    (void)snprintf(ret_path, 64, "/tmp/jb-device-%d.yaml", (int)(wall_s));
    FILE *f = fopen(ret_path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static enum jb_status open_model(struct meter_rig *rig, const char *text)
{
    char path[64];
    wall_s = 1000;
    cpu_s = 17;
    write_device(path, text);
    jb_model_set_source(&two_of_many);
    const enum jb_status status = rig_open(rig, "model", &(struct jb_meter_args){.arg = path});
    (void)remove(path);
    return status;
}

static void assert_joules(struct meter_rig *rig, double expected)
{
    assert_true(fabs(rig_value(rig, rig->domains[0].name) - expected) < 1e-9);
}

static void test_formula(void **state)
{
    (void)state;
    struct meter_rig rig;
    assert_int_equal(open_model(&rig, cpu_text), JB_OK);
    assert_int_equal(rig.domains[0].scope, JB_SCOPE_MODEL);
    assert_int_equal(rig.domains[0].evidence, JB_CLASS_MODELLED);
    assert_true(rig.domains[0].is_in_total);
    assert_joules(&rig, 0);
    wall_s += 10; /* at rest: 64 W x 2/32 */
    assert_joules(&rig, 40);
    wall_s += 10; /* one core busy: + 256 W x 10 s / 32 */
    cpu_s += 10;
    assert_joules(&rig, 40 + 40 + 80);
    wall_s += 10; /* both busy: 320 W x 2/32 */
    cpu_s += 20;
    assert_joules(&rig, 160 + 200);
    wall_s += 10; /* four hardware threads on two cores: no more than both busy */
    cpu_s += 40;
    assert_joules(&rig, 360 + 200);
    assert_joules(&rig, 560); /* no time passed: exactly as before */
    rig_close(&rig);
}

static void test_unknown_cpu_time_is_missing_not_idle(void **state)
{
    (void)state;
    struct meter_rig rig;
    assert_int_equal(open_model(&rig, cpu_text), JB_OK);
    wall_s += 10;
    cpu_s = jb_missing();
    assert_true(jb_is_missing(rig_value(&rig, "test-cpu")));
    cpu_s = 27; /* known again: the whole gap is accounted for */
    wall_s += 10;
    assert_joules(&rig, 80 + 80);
    rig_close(&rig);
}

static void test_nameplate_unless_said_otherwise(void **state)
{
    (void)state;
    struct meter_rig rig;
    assert_int_equal(open_model(&rig, "device: plate\nkind: cpu\nsummary: TDP only.\nvalues:\n"
                                      "  idle_w: {value: 0, unit: W, source: \"x: y\"}\n"
                                      "  active_w: {value: 100, unit: W, source: \"x: y\"}\n"),
                     JB_OK);
    assert_int_equal(rig.domains[0].evidence, JB_CLASS_NAMEPLATE);
    wall_s += 1; /* without physical_cores the watts are for what we see */
    cpu_s += 2;
    assert_joules(&rig, 100);
    rig_close(&rig);
}

static void test_refuses_a_device_without_watts(void **state)
{
    (void)state;
    struct meter_rig rig;
    assert_int_equal(open_model(&rig, "device: bare\nkind: cpu\nsummary: No watts.\nvalues:\n"
                                      "  idle_w: {value: 5, unit: W, source: \"x: y\"}\n"),
                     JB_E_NOTSUP);
    assert_non_null(strstr(jb_reason(), "bare does not give idle_w and active_w"));
    assert_int_equal(open_model(&rig, "device: card\nkind: gpu\nsummary: No CPU.\nvalues:\n"
                                      "  idle_w: {value: 5, unit: W, source: \"x: y\"}\n"
                                      "  active_w: {value: 9, unit: W, source: \"x: y\"}\n"),
                     JB_E_INVAL);
    assert_non_null(strstr(jb_reason(), "card is a gpu, not a cpu"));
    assert_int_equal(rig_open(&rig, "model", &(struct jb_meter_args){.arg = "no-such-device"}),
                     JB_E_NODEV);
}

static void test_device_of_another_kind_falls_back(void **state)
{
    (void)state;
    struct jb_meter_probe probe;
    const struct jb_meter *meter = jb_meter_find("model");
    static const char *const devices[] = {NULL, "cuda:0", "h100-sxm", "no-such-device",
                                          "/no/such/file.yaml"};
    jb_model_set_source(&two_of_many);
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        const struct jb_meter_args args = {.device = devices[i]};
        assert_int_equal(meter->probe(&args, &probe), JB_OK);
        assert_int_equal(strncmp(probe.what, "generic-host: ", 14), 0);
    }
    char path[64];
    write_device(path, cpu_text);
    assert_int_equal(meter->probe(&(struct jb_meter_args){.device = path}, &probe), JB_OK);
    assert_string_equal(probe.what, "test-cpu: 64 W idle, 320 W busy, 2 of 32 cores, modelled");
    (void)remove(path);
}

static void test_this_machine(void **state)
{
    (void)state;
    struct meter_rig rig;
    struct jb_reading reading;
    jb_model_set_source(NULL);
    assert_int_equal(rig_open(&rig, "model", &(struct jb_meter_args){0}), JB_OK);
    double last = -1;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig.meter->read(rig.state, &reading), JB_OK);
        assert_true(reading.values[0] >= 0 && reading.values[0] >= last);
        last = reading.values[0];
    }
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formula),
        cmocka_unit_test(test_unknown_cpu_time_is_missing_not_idle),
        cmocka_unit_test(test_nameplate_unless_said_otherwise),
        cmocka_unit_test(test_refuses_a_device_without_watts),
        cmocka_unit_test(test_device_of_another_kind_falls_back),
        cmocka_unit_test(test_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
