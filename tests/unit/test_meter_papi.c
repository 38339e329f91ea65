/* SPDX-License-Identifier: MIT */
/* Event counts: through a stand-in for PAPI, and through PAPI itself for what works everywhere. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "platforms/meters/papi_api.h"
#include "tests/stubs/fake_tree.h"
#include "tests/stubs/meter_rig.h"
#include "tests/support/skip.h"

#define NO_EVENT (-7)

static const struct jb_meter_args no_args = {.arg = NULL};

static struct {
    const char *absent; /* an event whose name has this in it is refused */
    int inherit_code;
    int read_code;
    int n_sets, n_inherited;
    int n_events[4];
    long long values[4][16];
    int n_inits, n_shutdowns, n_destroyed;
} fake;

static int fake_init(void)
{
    fake.n_inits++;
    return 0;
}

static void fake_shutdown(void)
{
    fake.n_shutdowns++;
}

static int fake_create(const char *component, int *ret_set)
{
    (void)component;
    *ret_set = fake.n_sets++;
    return 0;
}

static int fake_add(int set, const char *event)
{
    if (fake.absent != NULL && strstr(event, fake.absent) != NULL) {
        return NO_EVENT;
    }
    fake.n_events[set]++;
    return 0;
}

static int fake_inherit(int set)
{
    (void)set;
    fake.n_inherited++;
    return fake.inherit_code;
}

static int fake_start(int set)
{
    (void)set;
    return 0;
}

static int fake_read(int set, long long *ret_values)
{
    memcpy(ret_values, fake.values[set], (size_t)fake.n_events[set] * sizeof *ret_values);
    return fake.read_code;
}

static void fake_destroy(int set)
{
    (void)set;
    fake.n_destroyed++;
}

static const char *fake_error_text(int code)
{
    return code == NO_EVENT ? "Event does not exist" : "Some error";
}

static const struct jb_papi_api fake_api = {
    .init = fake_init,
    .shutdown = fake_shutdown,
    .create = fake_create,
    .add = fake_add,
    .inherit = fake_inherit,
    .start = fake_start,
    .read = fake_read,
    .destroy = fake_destroy,
    .error_text = fake_error_text,
};

static int use_fake(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    jb_papi_set_api(&fake_api);
    return 0;
}

static int use_papi(void **state)
{
    (void)state;
    jb_papi_set_api(NULL);
    return 0;
}

static bool is_built_in(void)
{
    struct jb_meter_probe probe;
    return jb_meter_find("papi")->probe(&no_args, &probe) != JB_E_NOTSUP;
}

static void test_hardware_counters_of_the_process(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct meter_rig rig;
    if (!is_built_in()) {
        SKIP_BECAUSE("PAPI is not in this build");
    }
    (void)use_fake(NULL);
    fake_tree_open(&tree, NULL);
    assert_int_equal(rig_open(&rig, "papi", &no_args), JB_OK);
    assert_int_equal(rig.n_domains, 3);
    assert_int_equal(fake.n_inherited, 1);
    const struct jb_domain *domain = &rig.domains[rig_domain(&rig, "llc_misses")];
    assert_int_equal(domain->quantity, JB_QUANTITY_COUNT);
    assert_int_equal(domain->scope, JB_SCOPE_PROCESS);
    assert_false(domain->is_in_total);
    fake.values[0][0] = 1000;
    fake.values[0][2] = 7;
    assert_true(rig_value(&rig, "instructions") == 1000);
    assert_true(rig_value(&rig, "cycles") == 0);
    assert_true(rig_value(&rig, "llc_misses") == 7);
    struct jb_reading reading;
    fake.read_code = -1;
    assert_int_equal(rig.meter->read(rig.state, &reading), JB_E_DEVICE);
    rig_close(&rig);
    assert_int_equal(fake.n_inits, fake.n_shutdowns);
    assert_int_equal(fake.n_destroyed, fake.n_sets);
    fake_tree_close(&tree);
}

static void test_preset_absent_native_event_stands_in(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct meter_rig rig;
    if (!is_built_in()) {
        SKIP_BECAUSE("PAPI is not in this build");
    }
    (void)use_fake(NULL);
    fake_tree_open(&tree, NULL);
    fake.absent = "PAPI_";
    assert_int_equal(rig_open(&rig, "papi", &no_args), JB_OK);
    assert_int_equal(rig.n_domains, 3);
    rig_close(&rig);
    fake_tree_close(&tree);
}

static void test_without_hardware_software_events(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct meter_rig rig;
    struct jb_meter_probe probe;
    if (!is_built_in()) {
        SKIP_BECAUSE("PAPI is not in this build");
    }
    fake_tree_open(&tree, NULL);
    for (int i = 0; i < 2; i++) {
        (void)use_fake(NULL);
        fake.absent = i == 0 ? "" : NULL;
        fake.inherit_code = i == 0 ? 0 : NO_EVENT;
        assert_int_equal(rig_open(&rig, "papi", &no_args), JB_OK);
        assert_int_equal(rig.n_domains, 4);
        (void)rig_domain(&rig, "task_clock_ns");
        assert_true(rig_value(&rig, "page_faults") >= 0);
        rig_close(&rig);
        assert_int_equal(jb_meter_find("papi")->probe(&no_args, &probe), JB_OK);
        assert_non_null(strstr(probe.what, "no hardware counters ("));
        assert_non_null(strstr(probe.what, "Event does not exist"));
        assert_non_null(strstr(probe.what, "context_switches"));
        assert_int_equal(fake.n_inits, fake.n_shutdowns);
    }
    fake_tree_close(&tree);
}

static void test_rapl_where_papi_offers_it(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct meter_rig rig;
    if (!is_built_in()) {
        SKIP_BECAUSE("PAPI is not in this build");
    }
    (void)use_fake(NULL);
    fake.absent = "PSYS";
    fake_tree_open(&tree, "perf/two_packages");
    assert_int_equal(rig_open(&rig, "papi", &no_args), JB_OK);
    assert_int_equal(rig.n_domains, 3 + 8);
    const struct jb_domain *domain = &rig.domains[rig_domain(&rig, "package-1")];
    assert_int_equal(domain->quantity, JB_QUANTITY_ENERGY);
    assert_true(domain->is_in_total);
    assert_false(rig.domains[rig_domain(&rig, "core-0")].is_in_total);
    assert_true(rig_value(&rig, "package-1") == 0);
    fake.values[1][1] = INT64_C(5) << 31;
    assert_true(rig_value(&rig, "package-1") == 2.5);
    rig_close(&rig);
    fake_tree_close(&tree);
}

static void test_papi_itself_is_silent_and_counts(void **state)
{
    (void)state;
    struct meter_rig rig;
    char path[] = "/tmp/jb-stderr-XXXXXX";
    if (!is_built_in()) {
        SKIP_BECAUSE("PAPI is not in this build");
    }
    const int file = mkstemp(path);
    const int saved = dup(2);
    assert_true(file >= 0 && saved >= 0 && dup2(file, 2) == 2);
    const enum jb_status status = rig_open(&rig, "papi", &no_args);
    double sum = 0;
    for (int i = 0; i < 20000000; i++) {
        sum += (double)(i & 3);
    }
    struct jb_reading reading;
    const enum jb_status read_status =
        status == JB_OK ? rig.meter->read(rig.state, &reading) : status;
    const off_t printed = lseek(file, 0, SEEK_CUR);
    assert_true(dup2(saved, 2) == 2);
    (void)close(saved);
    (void)close(file);
    (void)remove(path);
    assert_int_equal(status, JB_OK);
    assert_int_equal(read_status, JB_OK);
    assert_int_equal(printed, 0);
    assert_true(sum > 0);
    /* Work was done since open: the first count, instructions or CPU time, rose. */
    assert_true(reading.values[0] > 0);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hardware_counters_of_the_process, use_fake, use_papi),
        cmocka_unit_test_setup_teardown(test_preset_absent_native_event_stands_in, use_fake,
                                        use_papi),
        cmocka_unit_test_setup_teardown(test_without_hardware_software_events, use_fake, use_papi),
        cmocka_unit_test_setup_teardown(test_rapl_where_papi_offers_it, use_fake, use_papi),
        cmocka_unit_test_setup_teardown(test_papi_itself_is_silent_and_counts, use_papi, use_papi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
