/* SPDX-License-Identifier: MIT */
/* The registry: look-ups, table checks and plug-ins. JB_PLUGIN_DIR is where the test's plug-ins
 * lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/registry.h"

static void test_every_backend_is_complete_and_found(void **state)
{
    (void)state;
    assert_true(jb_registry_count() > 0);
    for (uint32_t i = 0; i < jb_registry_count(); i++) {
        const struct jb_backend *backend = jb_registry_at(i);
        assert_int_equal(jb_backend_check(backend), JB_OK);
        assert_ptr_equal(jb_registry_find(backend->name), backend);
    }
}

static void test_unknown_name_lists_the_known(void **state)
{
    (void)state;
    assert_null(jb_registry_find("nosuch"));
    assert_non_null(strstr(jb_reason(), "nosuch"));
    for (uint32_t i = 0; i < jb_registry_count(); i++) {
        assert_non_null(strstr(jb_reason(), jb_registry_at(i)->name));
    }
}

static void refuse(const struct jb_backend *backend, const char *member)
{
    assert_int_equal(jb_backend_check(backend), JB_E_INVAL);
    if (strstr(jb_reason(), member) == NULL) {
        fail_msg("reason '%s' does not name '%s'", jb_reason(), member);
    }
}

static void test_incomplete_tables_are_refused(void **state)
{
    (void)state;
    const struct jb_backend whole = *jb_registry_at(0);
    struct jb_backend b = whole;
    assert_int_equal(jb_backend_check(&b), JB_OK);
#define WITHOUT(member)                                                                            \
    b = whole;                                                                                     \
    b.member = 0;                                                                                  \
    refuse(&b, #member)
    WITHOUT(name);
    WITHOUT(summary);
    WITHOUT(device_size);
    WITHOUT(probe);
    WITHOUT(open);
    WITHOUT(load);
    WITHOUT(step);
    WITHOUT(reset);
    WITHOUT(close);
#undef WITHOUT
    b = whole;
    b.name = "Upper Case";
    refuse(&b, "name");
    b = whole;
    b.caps |= JB_CAP_ASYNC;
    b.sync = NULL;
    refuse(&b, "sync");
    b = whole;
    b.caps |= JB_CAP_MODELLED;
    b.account = NULL;
    refuse(&b, "account");
    b = whole;
    b.options = (const struct jb_option[]){{"key", "", "1", NULL}, {.key = NULL}};
    refuse(&b, "help");
    b.options =
        (const struct jb_option[]){{"key", "", "1", "x"}, {"key", "", "2", "y"}, {.key = NULL}};
    refuse(&b, "key");
}

static void test_platforms_have_names(void **state)
{
    (void)state;
    assert_string_equal(jb_platform_name(JB_CPU), "cpu");
    assert_string_equal(jb_platform_name(JB_GPU), "gpu");
    assert_string_equal(jb_platform_name(JB_FPGA), "fpga");
    assert_string_equal(jb_platform_name(JB_ASIC), "asic");
    assert_string_equal(jb_platform_name(JB_PIM), "pim");
}

/* @param word must be in the reason */
static void load_plugin(const char *name, enum jb_status expected, const char *word)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", getenv("JB_PLUGIN_DIR"), name);
    const uint32_t before = jb_registry_count();
    const enum jb_status status = jb_registry_load_plugin(path);
    if (status != expected || (expected != JB_OK && strstr(jb_reason(), word) == NULL)) {
        fail_msg("%s: %s (%s)", name, jb_status_name(status), jb_reason());
    }
    assert_int_equal(jb_registry_count(), before + (expected == JB_OK ? 1 : 0));
}

static void test_broken_plugins_are_refused(void **state)
{
    (void)state;
    load_plugin("jb_broken_wrong_abi.so", JB_E_NOTSUP, "ABI");
    load_plugin("jb_broken_no_step.so", JB_E_INVAL, "step");
    load_plugin("jb_broken_no_backend.so", JB_E_INVAL, "name");
    load_plugin("jb_broken_no_symbol.so", JB_E_NODEV, "jb_plugin");
    load_plugin("nosuch.so", JB_E_NODEV, "nosuch.so");
    if (jb_registry_find("null") != NULL) {
        load_plugin("jb_broken_taken_name.so", JB_E_INVAL, "taken");
    }
}

static void test_plugin_is_added_once(void **state)
{
    (void)state;
    load_plugin("jb_echo.so", JB_OK, "");
    const struct jb_backend *echo = jb_registry_find("echo");
    assert_non_null(echo);
    assert_ptr_equal(jb_registry_at(jb_registry_count() - 1), echo);
    load_plugin("jb_echo.so", JB_E_INVAL, "taken");
    /* Its reasons reach us: it uses our jb_fail(). */
    struct jb_probe probe;
    const struct jb_open_args args = {.device = "elsewhere", .n_threads = 1};
    assert_int_equal(echo->probe(&args, &probe), JB_E_NODEV);
    assert_non_null(strstr(jb_reason(), "elsewhere"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_backend_is_complete_and_found),
        cmocka_unit_test(test_unknown_name_lists_the_known),
        cmocka_unit_test(test_incomplete_tables_are_refused),
        cmocka_unit_test(test_platforms_have_names),
        cmocka_unit_test(test_broken_plugins_are_refused),
        cmocka_unit_test(test_plugin_is_added_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
