/* SPDX-License-Identifier: MIT */
/* Captured machines: what host.h reads from them, which units it picks, what it advises. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jb_config.h"
#include "platforms/host/host.h"
#include "platforms/host/topology.h"
#include "platforms/os/os.h"
#include "tests/stubs/fake_tree.h"

static struct jb_host read_host(void)
{
    struct jb_host host;
    assert_int_equal(jb_host_read(&host), JB_OK);
    return host;
}

static void expect_picks(uint32_t n, const uint32_t *expected)
{
    uint32_t pus[16];
    assert_true(n <= 16);
    assert_int_equal(jb_host_pick_pus(n, pus), JB_OK);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(pus[i], expected[i]);
    }
}

static void expect_advice(const struct jb_host *host, const char *words, bool is_there)
{
    struct jb_advice advice[16];
    const uint32_t n = jb_host_advice(host, advice, 16);
    bool found = false;
    for (uint32_t i = 0; i < n; i++) {
        found |= strstr(advice[i].text, words) != NULL;
    }
    if (found != is_there) {
        fail_msg("advice '%s' is %s", words, found ? "given" : "missing");
    }
}

static void test_smt_server(void **state)
{
    (void)state;
    struct fake_tree tree;
    fake_tree_open(&tree, "hosts/smt_server");
    fake_tree_set(&tree, "proc/cpuinfo",
                  "processor\t: 0\nmodel name\t: Example  CPU @ 2.4GHz \nflags\t\t: fpu avx2\n");
    fake_tree_set(&tree, "proc/meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 50 kB\n");
    const struct jb_host host = read_host();
    assert_string_equal(host.cpu_model, "Example CPU @ 2.4GHz");
    assert_string_equal(host.os, "Linux 6.1.0-18-amd64 x86_64");
    assert_string_equal(host.host_name, "twosocket");
    assert_int_equal(host.n_packages, 2);
    assert_int_equal(host.n_numa, 2);
    assert_int_equal(host.n_cores, 4);
    assert_int_equal(host.n_pus, 8);
    assert_int_equal(host.physical_cores, 0);
    assert_int_equal(host.l1d_bytes, 32 * 1024);
    assert_int_equal(host.l2_bytes, 1024 * 1024);
    assert_int_equal(host.l3_bytes, 32768 * 1024);
    assert_int_equal(host.n_l3, 2);
    assert_int_equal(host.memory_bytes, 1000 * 1024);
    assert_int_equal(host.memory_available_bytes, 50 * 1024);
    assert_true(host.max_hz == 3.8e9 && host.base_hz == 2.4e9);
    assert_string_equal(host.governor, "powersave");
    assert_string_equal(host.huge_pages, "never");
    assert_false(host.is_virtual);
    assert_int_equal(host.aslr, 2);
    assert_int_equal(host.perf_paranoid, 4);
    expect_advice(&host, "governor is 'powersave'", true);
    expect_advice(&host, "huge pages are off", true);
    expect_advice(&host, "GiB of memory are free", true);
    expect_advice(&host, "perf_event_paranoid is 4", true);
    expect_advice(&host, "2 NUMA nodes", true);
    expect_advice(&host, "load average is 3.20", true);
    expect_advice(&host, "virtual machine", false);
    fake_tree_close(&tree);
}

static void test_picks_fill_cores_before_twins_and_packages_in_order(void **state)
{
    (void)state;
    struct fake_tree tree;
    fake_tree_open(&tree, "hosts/smt_server");
    expect_picks(1, (const uint32_t[]){0});
    expect_picks(3, (const uint32_t[]){0, 1, 2});
    expect_picks(10, (const uint32_t[]){0, 1, 2, 3, 4, 5, 6, 7, 0, 1});
    assert_int_equal(jb_host_default_threads(), 4);
    fake_tree_close(&tree);
}

static void test_mixed_governors_are_told(void **state)
{
    (void)state;
    struct fake_tree tree;
    fake_tree_open(&tree, "hosts/smt_server");
    fake_tree_set(&tree, "sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "performance\n");
    const struct jb_host host = read_host();
    assert_string_equal(host.governor, "mixed");
    fake_tree_close(&tree);
}

static void test_arm_board(void **state)
{
    (void)state;
    struct fake_tree tree;
    fake_tree_open(&tree, "hosts/arm_board");
    fake_tree_set(&tree, "proc/cpuinfo",
                  "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n");
    const struct jb_host host = read_host();
    assert_string_equal(host.cpu_model, "Arm Cortex-A72 (Example Board 2)");
    assert_string_equal(host.os, "Linux 5.4.0");
    assert_int_equal(host.n_packages, 1);
    assert_int_equal(host.n_numa, 1);
    assert_int_equal(host.n_cores, 6);
    assert_int_equal(host.n_l3, 0);
    assert_int_equal(host.l3_bytes, 0);
    assert_string_equal(host.governor, "");
    assert_string_equal(host.huge_pages, "");
    assert_int_equal(host.aslr, -1);
    assert_int_equal(host.perf_paranoid, -1);
    assert_true(isnan(host.max_hz) && isnan(host.base_hz));
    assert_false(host.is_virtual);
    struct jb_advice advice[4];
    assert_int_equal(jb_host_advice(&host, advice, 4), 0);
    /* The two big cores come first. */
    expect_picks(6, (const uint32_t[]){4, 5, 0, 1, 2, 3});
    fake_tree_close(&tree);
}

static void test_unknown_arm_part_is_shown_as_numbers(void **state)
{
    (void)state;
    struct fake_tree tree;
    fake_tree_open(&tree, "hosts/arm_board");
    fake_tree_set(&tree, "proc/cpuinfo", "CPU implementer\t: 0x99\nCPU part\t: 0x123\n");
    const struct jb_host host = read_host();
    assert_string_equal(host.cpu_model, "Arm 0x99/0x123 (Example Board 2)");
    fake_tree_close(&tree);
}

static void test_virtual_machine(void **state)
{
    (void)state;
    struct fake_tree tree;
    fake_tree_open(&tree, "hosts/virtual_machine");
    const struct jb_host host = read_host();
    assert_true(host.is_virtual);
    assert_string_equal(host.hypervisor, "QEMU");
    assert_int_equal(host.n_cores, 3);
    assert_int_equal(host.l1d_bytes, 48 * 1024);
    assert_int_equal(host.l3_bytes, 105 * 1024 * 1024);
    assert_int_equal(host.n_l3, 1);
    assert_string_equal(host.huge_pages, "madvise");
    expect_advice(&host, "virtual machine (QEMU)", true);
    expect_advice(&host, "grants 1.50 processors", true);
    expect_advice(&host, "perf_event_paranoid", false);
    expect_picks(4, (const uint32_t[]){0, 1, 3, 0});
    fake_tree_close(&tree);
}

static void test_hypervisor_is_found_by_each_sign(void **state)
{
    (void)state;
    static const struct {
        const char *vendor, *product, *flags, *name;
    } cases[] = {
        {"Dell Inc.", "PowerEdge", "flags\t: fpu vme\n", ""},
        {"Dell Inc.", "PowerEdge", "flags\t: fpu hypervisor lahf_lm\n", "unknown"},
        {"Dell Inc.", "PowerEdge", "flags\t: fpu hypervisorish\n", ""},
        {"VMware, Inc.", "VMware7,1", "", "VMware"},
        {"Microsoft Corporation", "Virtual Machine", "", "Hyper-V"},
        {"Microsoft Corporation", "Surface Pro", "", ""},
        {"Amazon EC2", "c7g.4xlarge", "", "Nitro"},
        {"Amazon EC2", "c7g.metal", "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fake_tree tree;
        fake_tree_open(&tree, "hosts/arm_board");
        fake_tree_set(&tree, "sys/class/dmi/id/sys_vendor", cases[i].vendor);
        fake_tree_set(&tree, "sys/class/dmi/id/product_name", cases[i].product);
        fake_tree_set(&tree, "proc/cpuinfo", cases[i].flags);
        const struct jb_host host = read_host();
        assert_string_equal(host.hypervisor, cases[i].name);
        assert_int_equal(host.is_virtual, cases[i].name[0] != '\0');
        fake_tree_close(&tree);
    }
}

static void test_a_tree_without_units_is_refused(void **state)
{
    (void)state;
    struct fake_tree tree;
    struct jb_host host = {.n_cores = 77};
    fake_tree_open(&tree, NULL);
    assert_int_equal(jb_host_read(&host), JB_E_NODEV);
    static const char *const bad[] = {"", "x\n", "3-1\n", "0-99999\n", "0,,1\n", "0-\n", "-1\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fake_tree_set(&tree, "sys/devices/system/cpu/online", bad[i]);
        assert_int_not_equal(jb_host_read(&host), JB_OK);
        assert_true(strlen(jb_reason()) > 0);
    }
    assert_int_equal(host.n_cores, 77);
    fake_tree_close(&tree);
}

static void test_lists(void **state)
{
    (void)state;
    uint32_t n[8];
    assert_int_equal(jb_host_list("0-3,8,10-11", n, 8), 7);
    assert_int_equal(n[4], 8);
    assert_int_equal(n[6], 11);
    assert_int_equal(jb_host_list("0-31", n, 8), 8);
    assert_int_equal(jb_host_list("5", n, 8), 1);
    assert_int_equal(jb_host_list("", n, 8), 0);
    assert_int_equal(jb_host_list("1 2", n, 8), 0);
}

static void test_only_allowed_units_are_picked(void **state)
{
    (void)state;
    struct jb_topo_pu pus[] = {
        {.os = 0, .core = 0, .is_allowed = false},
        {.os = 1, .core = 1, .is_allowed = true},
        {.os = 2, .core = 0, .is_allowed = true},
        {.os = 3, .core = 1, .is_allowed = true},
        {.os = 4, .core = 2, .package = 1, .numa = 1, .is_allowed = true},
    };
    struct jb_topology topology = {.pus = pus, .n_pus = 5};
    uint32_t picked[4] = {0};
    assert_int_equal(jb_topology_pick(&topology, 4, picked), JB_OK);
    const uint32_t expected[] = {2, 1, 4, 3};
    assert_memory_equal(picked, expected, sizeof expected);
    assert_int_equal(jb_topology_allowed_cores(&topology), 3);
    for (int i = 0; i < 5; i++) {
        pus[i].is_allowed = false;
    }
    assert_int_equal(jb_topology_pick(&topology, 4, picked), JB_E_INVAL);
}

#if JB_HAVE_HWLOC
static void test_hwloc_sees_the_same_kind_of_machine(void **state)
{
    (void)state;
    struct jb_topology topology;
    uint32_t picked[16];
    assert_int_equal(setenv("HWLOC_SYNTHETIC",
                            "node:2 pack:1 l3:2(size=4194304) l2:1(size=65536) "
                            "core:2 pu:2",
                            1),
                     0);
    assert_int_equal(jb_topology_hwloc(&topology), JB_OK);
    (void)unsetenv("HWLOC_SYNTHETIC");
    assert_int_equal(topology.n_pus, 16);
    assert_int_equal(topology.n_cores, 8);
    assert_int_equal(topology.n_packages, 2);
    assert_int_equal(topology.n_numa, 2);
    assert_int_equal(topology.n_l3, 4);
    assert_int_equal(topology.l3_bytes, 4194304);
    assert_int_equal(topology.l2_bytes, 65536);
    assert_int_equal(jb_topology_pick(&topology, 16, picked), JB_OK);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(picked[i], 2 * i);
        assert_int_equal(picked[8 + i], 2 * i + 1);
    }
    jb_topology_free(&topology);
}
#endif

static void test_this_machine(void **state)
{
    (void)state;
    const struct jb_host host = read_host();
    uint32_t pus[64], allowed[8192];
    assert_true(host.n_cores >= 1 && host.n_pus >= host.n_cores && host.n_packages >= 1);
    assert_true(host.memory_bytes >= host.memory_available_bytes && host.memory_bytes > 0);
    assert_true(strlen(host.cpu_model) > 0 && strncmp(host.os, "Linux ", 6) == 0);
    const uint32_t n_allowed = jb_allowed_pus(allowed, 8192);
    assert_true(jb_host_default_threads() >= 1 && jb_host_default_threads() <= n_allowed);
    assert_int_equal(jb_host_pick_pus(64, pus), JB_OK);
    for (uint32_t i = 0; i < 64; i++) {
        bool is_allowed = false;
        for (uint32_t j = 0; j < n_allowed; j++) {
            is_allowed |= allowed[j] == pus[i];
        }
        assert_true(is_allowed);
    }
    struct jb_topology plain;
    assert_int_equal(jb_topology_plain(&plain), JB_OK);
    assert_int_equal(plain.n_cores, n_allowed);
    jb_topology_free(&plain);
}

/* ---- SIMD levels ---- */

static const enum jb_simd all_levels[] = {JB_SIMD_SCALAR, JB_SIMD_NEON,   JB_SIMD_DOTPROD,
                                          JB_SIMD_AVX2,   JB_SIMD_AVX512, JB_SIMD_VNNI,
                                          JB_SIMD_BF16,   JB_SIMD_AMX};

static void test_names_and_levels_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof all_levels / sizeof all_levels[0]; i++) {
        enum jb_simd level = JB_SIMD_SCALAR;
        assert_true(jb_simd_by_name(jb_simd_name(all_levels[i]), &level));
        assert_int_equal(level, all_levels[i]);
    }
    enum jb_simd level = JB_SIMD_AVX2;
    assert_false(jb_simd_by_name("AVX2", &level));
    assert_false(jb_simd_by_name("", &level));
    assert_int_equal(level, JB_SIMD_AVX2);
    assert_string_equal(jb_simd_name((enum jb_simd)7), "unknown");
}

static void test_jb_simd_lowers_and_never_guesses(void **state)
{
    (void)state;
    (void)unsetenv("JB_SIMD");
    const enum jb_simd best = jb_host_simd();
    const struct jb_host host = read_host();
    assert_int_equal(best, host.simd);
    assert_true(jb_simd_usable(JB_SIMD_SCALAR) && jb_simd_usable(best));
    for (size_t i = 0; i < sizeof all_levels / sizeof all_levels[0]; i++) {
        enum jb_simd chosen = (enum jb_simd)99;
        assert_int_equal(setenv("JB_SIMD", jb_simd_name(all_levels[i]), 1), 0);
        const enum jb_status status = jb_host_simd_choose(&chosen);
        if (jb_simd_usable(all_levels[i])) {
            assert_int_equal(status, JB_OK);
            assert_int_equal(chosen, all_levels[i]);
        } else {
            assert_int_equal(status, JB_E_NOTSUP);
            assert_int_equal(chosen, 99);
            assert_non_null(strstr(jb_reason(), "usable here: scalar"));
            assert_int_equal(jb_host_simd(), JB_SIMD_SCALAR);
        }
    }
    enum jb_simd chosen = (enum jb_simd)99;
    assert_int_equal(setenv("JB_SIMD", "avx3", 1), 0);
    assert_int_equal(jb_host_simd_choose(&chosen), JB_E_INVAL);
    assert_non_null(strstr(jb_reason(), "avx3"));
    assert_int_equal(setenv("JB_SIMD", "", 1), 0);
    assert_int_equal(jb_host_simd_choose(&chosen), JB_OK);
    assert_int_equal(chosen, best);
    (void)unsetenv("JB_SIMD");
}

#if defined(__x86_64__) && defined(__GNUC__)
static void test_levels_agree_with_the_compiler(void **state)
{
    (void)state;
    __builtin_cpu_init();
    assert_int_equal(jb_simd_usable(JB_SIMD_AVX2),
                     __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0);
    assert_int_equal(jb_simd_usable(JB_SIMD_AVX512), __builtin_cpu_supports("avx512f") != 0 &&
                                                         __builtin_cpu_supports("avx512bw") != 0);
    assert_int_equal(jb_simd_usable(JB_SIMD_VNNI), __builtin_cpu_supports("avx512vnni") != 0);
    assert_false(jb_simd_usable(JB_SIMD_NEON));
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smt_server),
        cmocka_unit_test(test_picks_fill_cores_before_twins_and_packages_in_order),
        cmocka_unit_test(test_mixed_governors_are_told),
        cmocka_unit_test(test_arm_board),
        cmocka_unit_test(test_unknown_arm_part_is_shown_as_numbers),
        cmocka_unit_test(test_virtual_machine),
        cmocka_unit_test(test_hypervisor_is_found_by_each_sign),
        cmocka_unit_test(test_a_tree_without_units_is_refused),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_only_allowed_units_are_picked),
#if JB_HAVE_HWLOC
        cmocka_unit_test(test_hwloc_sees_the_same_kind_of_machine),
#endif
        cmocka_unit_test(test_this_machine),
        cmocka_unit_test(test_names_and_levels_agree),
        cmocka_unit_test(test_jb_simd_lowers_and_never_guesses),
#if defined(__x86_64__) && defined(__GNUC__)
        cmocka_unit_test(test_levels_agree_with_the_compiler),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
