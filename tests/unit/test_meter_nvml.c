/* SPDX-License-Identifier: MIT */
/* NVIDIA cards through a stand-in for the driver's library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platforms/meters/nvml.h"
#include "platforms/os/os.h"
#include "tests/stubs/fake_nvml.h"
#include "tests/stubs/meter_rig.h"

static struct fake_nvml *fake;
static struct fake_nvml fresh;

static int load(void **state)
{
    (void)state;
    const char *const names[] = {getenv("JB_FAKE_NVML"), NULL};
    void *library = names[0] == NULL ? NULL : jb_dl_open(names);
    if (library == NULL) {
        return -1;
    }
    void *const symbol = jb_dl_symbol(library, "fake_nvml_state");
    struct fake_nvml *(*get)(void) = NULL;
    memcpy(&get, &symbol, sizeof symbol);
    fake = get();
    fresh = *fake;
    jb_nvml_set_library(names[0]);
    return unsetenv("CUDA_VISIBLE_DEVICES");
}

static int renew(void **state)
{
    (void)state;
    *fake = fresh;
    return 0;
}

static enum jb_status open_cards(struct meter_rig *rig, const char *arg, const char *device)
{
    return rig_open(rig, "nvml", &(struct jb_meter_args){.arg = arg, .device = device});
}

static void test_domains_of_a_card(void **state)
{
    (void)state;
    struct meter_rig rig;
    assert_int_equal(open_cards(&rig, NULL, NULL), JB_OK);
    assert_int_equal(rig.n_domains, 7);
    const struct jb_domain *energy = &rig.domains[rig_domain(&rig, "gpu-0/energy")];
    const struct jb_domain *power = &rig.domains[rig_domain(&rig, "gpu-0/power")];
    const struct jb_domain *instant = &rig.domains[rig_domain(&rig, "gpu-0/power-instant")];
    assert_true(energy->is_in_total && instant->is_in_total && !power->is_in_total);
    assert_int_equal(energy->scope, JB_SCOPE_BOARD);
    assert_true(power->average_s == 1);
    assert_true(instant->average_s == 0);
    assert_true(rig_value(&rig, "gpu-0/energy") == 0);
    assert_true(rig_value(&rig, "gpu-0/power") == 300);
    assert_true(rig_value(&rig, "gpu-0/power-instant") == 310);
    assert_true(rig_value(&rig, "gpu-0/power-limit") == 700);
    assert_true(rig_value(&rig, "gpu-0/temperature") == 55);
    assert_true(rig_value(&rig, "gpu-0/sm-clock") == 1980e6);
    assert_true(rig_value(&rig, "gpu-0/throttle") == 0); /* idle is no throttling */
    assert_false(rig.domains[rig_domain(&rig, "gpu-0/power-limit")].is_in_total);
    fake->cards[0].energy_mj += 1500;
    fake->cards[0].reasons = 0x44;
    assert_true(fabs(rig_value(&rig, "gpu-0/energy") - 1.5) < 1e-12);
    assert_true(rig_value(&rig, "gpu-0/throttle") == 0x44);
    rig_close(&rig);
    assert_int_equal(fake->n_inits, fake->n_shutdowns);
}

static void test_averaging_window_by_architecture(void **state)
{
    (void)state;
    struct meter_rig rig;
    /* GA100 gives instant power; without the instant field that power joins the total. */
    assert_int_equal(open_cards(&rig, "1", NULL), JB_OK);
    assert_int_equal(rig.n_domains, 6);
    const struct jb_domain *power = &rig.domains[rig_domain(&rig, "gpu-1/power")];
    assert_true(power->average_s == 0);
    assert_true(power->is_in_total);
    rig_close(&rig);
    /* Before Volta there is no energy counter. */
    assert_int_equal(open_cards(&rig, "2", NULL), JB_OK);
    assert_int_equal(rig.n_domains, 5);
    assert_true(rig.domains[rig_domain(&rig, "gpu-2/power")].average_s == 0);
    rig_close(&rig);
}

static void test_cards_are_picked(void **state)
{
    (void)state;
    static const struct {
        const char *arg, *device, *visible, *domain;
        uint32_t n_domains;
    } cases[] = {
        {"0,1", NULL, NULL, "gpu-1/energy", 13},    {"0+2", NULL, NULL, "gpu-2/power", 12},
        {"GPU-bbb", NULL, NULL, "gpu-1/energy", 6}, {"0000:03:00.0", NULL, NULL, "gpu-2/power", 5},
        {NULL, "cuda:1", NULL, "gpu-1/energy", 6},  {NULL, "gpu-2", NULL, "gpu-2/power", 5},
        {NULL, "1", NULL, "gpu-1/energy", 6},       {NULL, "h100-sxm", NULL, "gpu-0/energy", 7},
        {NULL, NULL, "2,0", "gpu-2/power", 5},      {NULL, NULL, "GPU-bbb", "gpu-1/energy", 6},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct meter_rig rig;
        if (cases[i].visible != NULL) {
            assert_int_equal(setenv("CUDA_VISIBLE_DEVICES", cases[i].visible, 1), 0);
        }
        assert_int_equal(open_cards(&rig, cases[i].arg, cases[i].device), JB_OK);
        assert_int_equal(rig.n_domains, cases[i].n_domains);
        (void)rig_domain(&rig, cases[i].domain);
        rig_close(&rig);
        assert_int_equal(unsetenv("CUDA_VISIBLE_DEVICES"), 0);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *arg;
        enum jb_status code;
        const char *reason;
    } cases[] = {
        {"7", JB_E_NODEV, "card 7 of 3"},        {"x", JB_E_INVAL, "'x' is no card"},
        {"0,", JB_E_INVAL, "'' is no card"},     {"0,0", JB_E_INVAL, "card 0 is named twice"},
        {"GPU-zzz", JB_E_NODEV, "card GPU-zzz"},
    };
    struct meter_rig rig;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(open_cards(&rig, cases[i].arg, NULL), cases[i].code);
        assert_non_null(strstr(jb_reason(), cases[i].reason));
    }
    fake->cards[0].mig = 1;
    assert_int_equal(open_cards(&rig, "0", NULL), JB_E_NOTSUP);
    assert_non_null(strstr(jb_reason(), "MIG"));
    assert_int_equal(fake->n_inits, fake->n_shutdowns);
    fake->init_code = 9;
    assert_int_equal(open_cards(&rig, "0", NULL), JB_E_NODEV);
    fake->init_code = 4;
    struct jb_meter_probe probe;
    assert_int_equal(jb_meter_find("nvml")->probe(&(struct jb_meter_args){0}, &probe), JB_E_PERM);
    assert_non_null(strstr(probe.unlock, "/dev/nvidia"));
}

static void test_faults_while_reading(void **state)
{
    (void)state;
    struct meter_rig rig;
    struct jb_reading reading;
    assert_int_equal(open_cards(&rig, "0", NULL), JB_OK);
    fake->cards[0].energy_code = 999;
    assert_true(jb_is_missing(rig_value(&rig, "gpu-0/energy")));
    assert_true(rig_value(&rig, "gpu-0/power") == 300);
    fake->cards[0].energy_code = 0;
    fake->cards[0].energy_mj += 250;
    assert_true(rig_value(&rig, "gpu-0/energy") == 0.25);
    fake->cards[0].energy_mj = 10; /* the driver was loaded anew */
    assert_true(jb_is_missing(rig_value(&rig, "gpu-0/energy")));
    fake->cards[0].energy_mj = 9000;
    assert_true(jb_is_missing(rig_value(&rig, "gpu-0/energy")));
    fake->cards[0].all_code = 15;
    assert_int_equal(rig.meter->read(rig.state, &reading), JB_E_DEVICE);
    rig_close(&rig);
}

static void test_samples_leave_the_slow_counter_alone(void **state)
{
    (void)state;
    struct meter_rig rig;
    struct jb_reading reading;
    assert_int_equal(open_cards(&rig, "0", NULL), JB_OK);
    const int n_before = fake->n_energy_reads;
    assert_non_null(rig.meter->sample);
    assert_int_equal(rig.meter->sample(rig.state, &reading), JB_OK);
    assert_int_equal(fake->n_energy_reads, n_before);
    assert_true(jb_is_missing(reading.values[rig_domain(&rig, "gpu-0/energy")]));
    assert_true(reading.values[rig_domain(&rig, "gpu-0/power")] == 300);
    fake->cards[0].energy_mj += 500;
    assert_int_equal(rig.meter->read(rig.state, &reading), JB_OK);
    assert_int_equal(fake->n_energy_reads, n_before + 1);
    assert_true(reading.values[rig_domain(&rig, "gpu-0/energy")] == 0.5);
    fake->cards[0].all_code = 15;
    assert_int_equal(rig.meter->sample(rig.state, &reading), JB_E_DEVICE);
    rig_close(&rig);
}

static void test_absent_library(void **state)
{
    (void)state;
    struct meter_rig rig;
    jb_nvml_set_library("/no/such/library.so");
    assert_int_equal(open_cards(&rig, NULL, NULL), JB_E_NODEV);
    assert_non_null(strstr(jb_reason(), "nvml: no NVIDIA driver library here"));
    jb_nvml_set_library(getenv("JB_FAKE_NVML"));
}

static void test_probe_names_the_card(void **state)
{
    (void)state;
    struct jb_meter_probe probe;
    assert_int_equal(jb_meter_find("nvml")->probe(&(struct jb_meter_args){0}, &probe), JB_OK);
    assert_string_equal(probe.what, "gpu-0 NVIDIA H100 80GB HBM3, energy counter");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_domains_of_a_card, renew),
        cmocka_unit_test_setup(test_averaging_window_by_architecture, renew),
        cmocka_unit_test_setup(test_cards_are_picked, renew),
        cmocka_unit_test_setup(test_refusals, renew),
        cmocka_unit_test_setup(test_faults_while_reading, renew),
        cmocka_unit_test_setup(test_samples_leave_the_slow_counter_alone, renew),
        cmocka_unit_test_setup(test_absent_library, renew),
        cmocka_unit_test_setup(test_probe_names_the_card, renew),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
