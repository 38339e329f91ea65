/* SPDX-License-Identifier: MIT */
/* Device files: units, strictness (tests/data/devices/bad), search, replacing, shipped files. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "platforms/devices/device_file.h"
#include "platforms/os/os.h"

static const struct jb_device_key schema[] = {
    JB_DEVICE_COMMON_KEYS,
    {"row_cycles", JB_DIM_CYCLES, 1, 1000, false, NULL, "Cycles of a row."},
    {"policy", JB_DIM_TEXT, 0, 0, false, NULL, "Any word."},
    {"latency_s", JB_DIM_TIME, 0, 1, false, NULL, "Some time."},
    {"access_j", JB_DIM_ENERGY, 0, 1, false, NULL, "Energy of an access."},
    {"clock_hz", JB_DIM_FREQUENCY, 0, 1e12, false, NULL, "A clock."},
    {"supply_v", JB_DIM_VOLTAGE, 0, 100, false, NULL, "A voltage."},
    {"idd0_a", JB_DIM_CURRENT, 0, 100, false, NULL, "A current."},
    {"link_j_per_bit", JB_DIM_ENERGY_PER_BIT, 0, 1, false, NULL, "Energy of a bit."},
    {"die_m2", JB_DIM_AREA, 0, 1, false, NULL, "An area."},
    {.key = NULL},
};

static struct jb_device_file *parse(const char *values)
{
    char text[4096];
    struct jb_device_file *file = NULL;
    const int n = snprintf(text, sizeof text,
                           "device: a-1.b_2\nkind: pim\nsummary: One line\nvalues:\n%s", values);
    assert_true(n > 0 && (size_t)n < sizeof text);
    if (jb_device_parse(text, (size_t)n, "memory", schema, &file) != JB_OK) {
        fail_msg("%s", jb_reason());
    }
    return file;
}

static void test_values_come_out_in_si(void **state)
{
    (void)state;
    static const struct {
        const char *key, *number, *unit;
        double si;
    } cases[] = {
        {"idle_w", "65", "W", 65},
        {"idle_w", "1500", "mW", 1.5},
        {"active_w", "1.25", "kW", 1250},
        {"memory_bytes_per_s", "460.8", "GB/s", 460.8e9},
        {"memory_bytes_per_s", "3.35", "TB/s", 3.35e12},
        {"memory_bytes_per_s", "2", "GiB/s", 2147483648.0},
        {"memory_bytes", "80", "GiB", 85899345920.0},
        {"memory_bytes", "5e2", "kB", 5e5},
        {"f16_op_per_s", "989.4", "TFLOP/s", 989.4e12},
        {"int8_op_per_s", "1.5", "Pop/s", 1.5e15},
        {"latency_s", "1.2", "ns", 1.2e-9},
        {"latency_s", "50", "ps", 50e-12},
        {"access_j", "1.2", "pJ", 1.2e-12},
        {"access_j", "7", "fJ", 7e-15},
        {"clock_hz", "2.4", "GHz", 2.4e9},
        {"supply_v", "1100", "mV", 1.1},
        {"idd0_a", "55", "mA", 55e-3},
        {"link_j_per_bit", "3.9", "pJ/bit", 3.9e-12},
        {"die_m2", "814", "mm2", 814e-6},
        {"row_cycles", "14", "cycles", 14},
        {"physical_cores", "+4.0", NULL, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char values[256];
        (void)snprintf(values, sizeof values, "  %s: {value: %s, %s%s source: \"s\"}\n",
                       cases[i].key, cases[i].number, cases[i].unit != NULL ? "unit: " : "",
                       cases[i].unit != NULL ? cases[i].unit : "");
        char *end = strstr(values, " source");
        if (cases[i].unit != NULL) {
            memmove(end + 1, end, strlen(end) + 1);
            *end = ',';
        }
        struct jb_device_file *file = parse(values);
        if (jb_device_number(file, cases[i].key) != cases[i].si) {
            fail_msg("%s %s is %.17g", cases[i].number, cases[i].unit,
                     jb_device_number(file, cases[i].key));
        }
        jb_device_close(file);
    }
}

static void test_everything_is_handed_out(void **state)
{
    (void)state;
    struct jb_device_file *file =
        parse("  idle_w:\n    value: 3\n    unit: W\n    source: 'here'\n    estimate: true\n"
              "  policy: {value: fr_fcfs, source: \"there\"}\n");
    assert_string_equal(jb_device_name(file), "a-1.b_2");
    assert_string_equal(jb_device_kind(file), "pim");
    assert_string_equal(jb_device_summary(file), "One line");
    assert_int_equal(jb_device_count(file), 2);
    const struct jb_device_value *idle = jb_device_at(file, 0), *policy = jb_device_at(file, 1);
    assert_null(jb_device_at(file, 2));
    assert_ptr_equal(jb_device_get(file, "idle_w"), idle);
    assert_null(jb_device_get(file, "active_w"));
    assert_true(isnan(jb_device_number(file, "active_w")));
    assert_true(isnan(jb_device_number(file, "policy")));
    assert_string_equal(idle->source, "here");
    assert_string_equal(idle->unit, "W");
    assert_int_equal(idle->line, 5);
    assert_true(idle->is_estimate && idle->text == NULL);
    assert_string_equal(policy->text, "fr_fcfs");
    assert_string_equal(policy->unit, "");
    assert_false(policy->is_estimate);
    jb_device_close(file);
    jb_device_close(NULL);
}

/* ---- mistakes ---- */

struct bad_run {
    char folder[512];
    int n, n_failed;
};

static bool check_bad_file(void *ctx, const char *name)
{
    struct bad_run *run = ctx;
    char path[1024], expected[256] = "", whole[400];
    struct jb_map map;
    struct jb_device_file *file = NULL;
    (void)snprintf(path, sizeof path, "%s/%s", run->folder, name);
    assert_int_equal(jb_map_open(path, &map), JB_OK);
    assert_int_equal(sscanf(map.data, "# expect: %255[^\n]", expected), 1);
    const enum jb_status status = jb_device_parse(map.data, map.size, name, schema, &file);
    (void)snprintf(whole, sizeof whole, "%s:%s", name, expected);
    if (status != JB_E_FORMAT || strncmp(jb_reason(), whole, strlen(whole)) != 0) {
        print_message("# expected '%s'\n#      got '%s'\n", whole, jb_reason());
        run->n_failed++;
    }
    assert_null(file);
    jb_map_close(&map);
    run->n++;
    return true;
}

static void test_each_mistake_is_named_with_file_and_line(void **state)
{
    (void)state;
    struct bad_run run = {.n = 0};
    (void)snprintf(run.folder, sizeof run.folder, "%s/tests/data/devices/bad", getenv("JB_SOURCE"));
    assert_int_equal(jb_dir_each(run.folder, check_bad_file, &run), JB_OK);
    assert_true(run.n >= 60);
    assert_int_equal(run.n_failed, 0);
}

static void test_a_required_key_must_be_there(void **state)
{
    (void)state;
    static const struct jb_device_key strict[] = {
        {"idle_w", JB_DIM_POWER, 0, 10, true, NULL, "Power at rest."}, {.key = NULL}};
    static const char text[] = "device: a\nkind: cpu\nsummary: x\nvalues: {}\n";
    struct jb_device_file *file = NULL;
    assert_int_equal(jb_device_parse(text, sizeof text - 1, "f", strict, &file), JB_E_FORMAT);
    assert_string_equal(jb_reason(), "f:4: idle_w: missing; Power at rest.");
    assert_null(file);
}

static void test_size_is_capped_and_nothing_is_refused(void **state)
{
    (void)state;
    struct jb_device_file *file = NULL;
    const size_t size = (size_t)1 << 20;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, '#', size);
    assert_int_equal(jb_device_parse(text, size, "big", NULL, &file), JB_E_FORMAT);
    assert_non_null(strstr(jb_reason(), "big:1: 1048576 bytes"));
    assert_int_equal(jb_device_parse("", 0, "nothing", NULL, &file), JB_E_FORMAT);
    assert_non_null(strstr(jb_reason(), "nothing:1: "));
    free(text);
    assert_null(file);
}

/* A good file cut after every byte, and with every byte changed, parses or is refused; under the
 * sanitizers this also shows that nothing is leaked or read beyond the end. */
static void test_mutations_never_crash(void **state)
{
    (void)state;
    static const char good[] = "device: a\nkind: cpu\nsummary: x\nvalues:\n"
                               "  idle_w: {value: 10, unit: W, source: \"s\", estimate: true}\n"
                               "  power_class:\n    value: measured\n    source: 's'\n";
    static const char changes[] = "\0\n :{}[]\"'&*!|>-?#%@\xff";
    struct jb_device_file *file = NULL;
    for (size_t n = 0; n < sizeof good; n++) {
        const enum jb_status status = jb_device_parse(good, n, "cut", NULL, &file);
        assert_true(status == JB_OK || status == JB_E_FORMAT);
        if (status == JB_OK) {
            jb_device_close(file);
        } else {
            assert_int_equal(strncmp(jb_reason(), "cut:", 4), 0);
        }
    }
    for (size_t at = 0; at < sizeof good - 1; at++) {
        for (size_t c = 0; c < sizeof changes - 1; c++) {
            char text[sizeof good];
            memcpy(text, good, sizeof good);
            text[at] = changes[c];
            const enum jb_status status =
                jb_device_parse(text, sizeof good - 1, "changed", NULL, &file);
            assert_true(status == JB_OK || status == JB_E_FORMAT);
            if (status == JB_OK) {
                jb_device_close(file);
            }
        }
    }
}

/* ---- replacing ---- */

static void test_set_replaces_in_the_file_s_unit_or_its_own(void **state)
{
    (void)state;
    struct jb_device_file *file = parse("  idle_w: {value: 3, unit: W, source: \"s\"}\n"
                                        "  active_w: {value: 9, unit: W, source: \"s\"}\n"
                                        "  latency_s: {value: 5, unit: ns, source: \"s\"}\n"
                                        "  power_class: {value: measured, source: \"s\"}\n");
    assert_int_equal(jb_device_set(file, "idle_w", "4.5"), JB_OK);
    assert_true(jb_device_number(file, "idle_w") == 4.5);
    assert_int_equal(jb_device_set(file, "idle_w", "65 mW"), JB_OK);
    assert_true(jb_device_number(file, "idle_w") == 0.065);
    assert_int_equal(jb_device_set(file, "idle_w", "70"), JB_OK);
    assert_true(jb_device_number(file, "idle_w") == 0.070);
    assert_int_equal(jb_device_set(file, "latency_s", "1.2ns"), JB_OK);
    assert_true(jb_device_number(file, "latency_s") == 1.2e-9);
    assert_int_equal(jb_device_set(file, "power_class", "nameplate"), JB_OK);
    assert_string_equal(jb_device_get(file, "power_class")->text, "nameplate");
    assert_int_equal(jb_device_set(file, "physical_cores", "8"), JB_OK);
    assert_true(jb_device_number(file, "physical_cores") == 8);
    assert_string_equal(jb_device_get(file, "physical_cores")->source, "set by the user");
    assert_int_equal(jb_device_count(file), 5);
    static const struct {
        const char *key, *value, *words;
    } bad[] = {
        {"wheels", "4", "no key 'wheels'"},
        {"idel_w", "4", "did you mean 'idle_w'?"},
        {"idle_w", "", "not a number"},
        {"idle_w", "lots", "'lots' is not a number"},
        {"idle_w", "4 J", "another dimension"},
        {"idle_w", "-4 W", "outside the range"},
        {"idle_w", "20 W", "at rest are more than"},
        {"memory_bytes", "4", "needs a unit"},
        {"physical_cores", "4 W", "takes no unit"},
        {"power_class", "guessed", "is not one of"},
        {"idle_w", "1111111111111111111111111111111111111111111111111111111111111111111111111111",
         "outside the range"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(jb_device_set(file, bad[i].key, bad[i].value), JB_E_INVAL);
        if (strstr(jb_reason(), bad[i].words) == NULL) {
            fail_msg("'%s' lacks '%s'", jb_reason(), bad[i].words);
        }
    }
    assert_true(jb_device_number(file, "idle_w") == 0.070);
    assert_int_equal(jb_device_count(file), 5);
    jb_device_close(file);
}

/* ---- as written ---- */

static void collect_text(void *ctx, const struct jb_device_text *text)
{
    char *all = ctx;
    const size_t n = strlen(all);
    (void)snprintf(all + n, 4096 - n, "%u %s=%s[%s]%s\n", text->line, text->key, text->value,
                   text->unit, text->is_estimate ? " estimate" : "");
}

static void test_entries_are_told_as_written(void **state)
{
    (void)state;
    char all[4096] = "";
    assert_int_equal(jb_device_each("hbm2", collect_text, all), JB_OK);
    assert_non_null(strstr(all, " memory_bytes_per_s=256[GB/s]\n"));
    assert_non_null(strstr(all, " t_cl=14[cycles]\n")); /* no common key */
    assert_non_null(strstr(all, " command_bus=split[]\n"));
    all[0] = '\0';
    assert_int_equal(jb_device_each("h100-sxm", collect_text, all), JB_OK);
    assert_non_null(strstr(all, " idle_w=70[W] estimate\n"));
    assert_int_equal(jb_device_each("h900", collect_text, all), JB_E_NODEV);
}

/* ---- cycles or time ---- */

static void test_clocked(void **state)
{
    (void)state;
    static const struct jb_device_key clocked[] = {
        {.key = "t_rc", .dimension = JB_DIM_CLOCKED, .max = 5000}, {.key = NULL}};
    static const struct {
        const char *set;
        uint32_t cycles; /* at 1.6 GHz; 0 = refused */
    } cases[] = {{"74 cycles", 74}, {"46.25 ns", 74},   {"46.26ns", 75}, {"0.35 us", 560},
                 {"7.5 cycles", 0}, {"6000 cycles", 0}, {"2 s", 0},      {"3 mW", 0}};
    static const char text[] = "device: a\nkind: dram\nsummary: x\nvalues:\n"
                               "  t_rc: {value: 72, unit: cycles, source: s}\n";
    struct jb_device_file *file = NULL;
    uint32_t cycles = 0;
    assert_int_equal(jb_device_parse(text, sizeof text - 1, "a.yaml", clocked, &file), JB_OK);
    assert_false(jb_device_cycles(file, "t_rp", 1.6e9, &cycles));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const enum jb_status status = jb_device_set(file, "t_rc", cases[i].set);
        assert_int_equal(status, cases[i].cycles > 0 ? JB_OK : JB_E_INVAL);
        assert_true(jb_device_cycles(file, "t_rc", 1.6e9, &cycles));
        if (cases[i].cycles > 0 && cycles != cases[i].cycles) {
            fail_msg("%s is %u cycles, not %u", cases[i].set, cycles, cases[i].cycles);
        }
    }
    jb_device_close(file);
}

/* ---- what all devices share ---- */

static void test_common_keys_only(void **state)
{
    (void)state;
    char path[512];
    (void)snprintf(path, sizeof path, "/tmp/jb-common-%ld.yaml", (long)getpid());
    static const char *const bodies[] = {
        "  t_rc: {value: 72, unit: cycles, source: s}\n  idle_w: {value: 3, unit: W, source: s}\n",
        "  t_rc: 72\n", "  t_rc: {value: 1, source: s, note: x}\n",
        "  idle_w: {value: 3, unit: V, source: s}\n"};
    for (int i = 0; i < 4; i++) {
        FILE *out = fopen(path, "w");
        assert_non_null(out);
        (void)fprintf(out, "device: a\nkind: pim\nsummary: Mine\nvalues:\n%s", bodies[i]);
        assert_int_equal(fclose(out), 0);
        struct jb_device_file *file = NULL;
        assert_int_equal(jb_device_open(path, NULL, &file), JB_E_FORMAT);
        assert_int_equal(jb_device_open_common(path, &file), i == 0 ? JB_OK : JB_E_FORMAT);
        if (i == 0) {
            assert_string_equal(jb_device_summary(file), "Mine");
            assert_int_equal(jb_device_count(file), 1);
            assert_true(jb_device_number(file, "idle_w") == 3);
        }
        jb_device_close(file);
    }
    (void)remove(path);
}

/* ---- finding ---- */

static void count_value(void *ctx, const struct jb_device_text *text)
{
    (void)text;
    *(uint32_t *)ctx += 1;
}

static bool open_shipped(void *ctx, const char *kind, const char *name, const char *path)
{
    struct jb_device_file *by_name = NULL, *by_path = NULL;
    if (jb_device_open_common(name, &by_name) != JB_OK ||
        jb_device_open_common(path, &by_path) != JB_OK) {
        fail_msg("%s", jb_reason());
    }
    assert_string_equal(jb_device_kind(by_name), kind);
    assert_string_equal(jb_device_name(by_path), name);
    uint32_t n_values = 0; /* of all schemas: a simulated device may have no common one */
    assert_int_equal(jb_device_each(name, count_value, &n_values), JB_OK);
    assert_true(n_values > 0);
    const bool has_watts = !isnan(jb_device_number(by_name, "active_w"));
    assert_int_equal(has_watts, jb_device_get(by_name, "power_class") != NULL);
    jb_device_close(by_name);
    jb_device_close(by_path);
    *(int *)ctx += 1;
    return true;
}

static void test_shipped_files_parse(void **state)
{
    (void)state;
    int n = 0;
    (void)unsetenv("JB_DEVICE_PATH");
    assert_int_equal(jb_device_list(open_shipped, &n), JB_OK);
    assert_true(n >= 5);
    struct jb_device_file *file = NULL;
    assert_int_equal(jb_device_open("generic-host", NULL, &file), JB_OK);
    assert_true(jb_device_number(file, "idle_w") > 0 && jb_device_number(file, "active_w") > 0);
    assert_true(jb_device_number(file, "physical_cores") >= 1);
    assert_string_equal(jb_device_get(file, "power_class")->text, "measured");
    jb_device_close(file);
}

static void test_near_names_are_told(void **state)
{
    (void)state;
    struct jb_device_file *file = NULL;
    assert_int_equal(jb_device_open("generic-hots", NULL, &file), JB_E_NODEV);
    assert_non_null(strstr(jb_reason(), "near names: generic-host"));
    assert_int_equal(jb_device_open("h200", NULL, &file), JB_E_NODEV);
    assert_non_null(strstr(jb_reason(), "h200-sxm"));
    assert_int_equal(jb_device_open("", NULL, &file), JB_E_NODEV);
    assert_int_equal(jb_device_open("./absent.yaml", NULL, &file), JB_E_NODEV);
    assert_non_null(strstr(jb_reason(), "./absent.yaml"));
    assert_null(file);
}

static void write_device(const char *folder, const char *file_name, const char *name, int watts)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/gpu/%s", folder, file_name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fprintf(f,
                  "device: %s\nkind: gpu\nsummary: Mine\nvalues:\n"
                  "  idle_w: {value: %d, unit: W, source: \"me\"}\n",
                  name, watts);
    (void)fclose(f);
}

static bool remember_mine(void *ctx, const char *kind, const char *name, const char *path)
{
    if (strcmp(name, "h100-sxm") == 0) {
        assert_string_equal(kind, "gpu");
        assert_int_equal(strncmp(path, "/tmp/jb-dev-", 12), 0);
        *(int *)ctx += 1;
    }
    return true;
}

static void test_own_folders_win(void **state)
{
    (void)state;
    char folder[] = "/tmp/jb-dev-XXXXXX", path[256], text[256];
    struct jb_device_file *file = NULL;
    int n = 0;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/gpu", folder);
    assert_int_equal(mkdir(path, 0755), 0);
    write_device(folder, "h100-sxm.yaml", "h100-sxm", 1);
    write_device(folder, "mine.yaml", "mine", 2);
    write_device(folder, "liar.yaml", "mine", 3);
    (void)snprintf(text, sizeof text, "/no/such/folder::%s:", folder);
    assert_int_equal(setenv("JB_DEVICE_PATH", text, 1), 0);
    assert_int_equal(jb_device_open("h100-sxm", NULL, &file), JB_OK);
    assert_true(jb_device_number(file, "idle_w") == 1);
    jb_device_close(file);
    assert_int_equal(jb_device_open("mine", NULL, &file), JB_OK);
    jb_device_close(file);
    file = NULL;
    assert_int_equal(jb_device_open("liar", NULL, &file), JB_E_FORMAT);
    assert_non_null(strstr(jb_reason(), "must be the file gpu/mine.yaml"));
    assert_null(file);
    assert_int_equal(jb_device_list(remember_mine, &n), JB_OK);
    assert_int_equal(n, 1);
    (void)unsetenv("JB_DEVICE_PATH");
    static const char *const names[] = {"gpu/h100-sxm.yaml", "gpu/mine.yaml", "gpu/liar.yaml"};
    for (int i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    (void)snprintf(path, sizeof path, "%s/gpu", folder);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_come_out_in_si),
        cmocka_unit_test(test_everything_is_handed_out),
        cmocka_unit_test(test_each_mistake_is_named_with_file_and_line),
        cmocka_unit_test(test_a_required_key_must_be_there),
        cmocka_unit_test(test_size_is_capped_and_nothing_is_refused),
        cmocka_unit_test(test_mutations_never_crash),
        cmocka_unit_test(test_set_replaces_in_the_file_s_unit_or_its_own),
        cmocka_unit_test(test_entries_are_told_as_written),
        cmocka_unit_test(test_clocked),
        cmocka_unit_test(test_common_keys_only),
        cmocka_unit_test(test_shipped_files_parse),
        cmocka_unit_test(test_near_names_are_told),
        cmocka_unit_test(test_own_folders_win),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
