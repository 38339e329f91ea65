/* SPDX-License-Identifier: MIT */
/* os.h: append files that keep whole lines, maps, clocks, pinning, folders. */
#define _GNU_SOURCE
#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "platforms/os/os.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/jb-os-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static const char *path_of(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void expect_text(const char *name, const char *expected)
{
    char text[65536] = "";
    FILE *f = fopen(path_of(name), "r");
    assert_non_null(f);
    const size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    (void)fclose(f);
    assert_string_equal(text, expected);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

static int remove_folder(void **state)
{
    (void)state;
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- append ---- */

static void test_append_makes_and_extends(void **state)
{
    (void)state;
    struct jb_append file;
    uint64_t cut = 99;
    assert_int_equal(jb_append_open(path_of("a.csv"), &file, &cut), JB_OK);
    assert_int_equal(cut, 0);
    assert_int_equal(jb_append_write(&file, "one\n", 4), JB_OK);
    assert_int_equal(jb_append_sync(&file), JB_OK);
    jb_append_close(&file);
    jb_append_close(&file);
    assert_int_equal(jb_append_open(path_of("a.csv"), &file, NULL), JB_OK);
    assert_int_equal(jb_append_write(&file, "two\n", 4), JB_OK);
    jb_append_close(&file);
    expect_text("a.csv", "one\ntwo\n");
}

static void test_a_torn_last_line_is_cut(void **state)
{
    (void)state;
    char longer[9001];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    const struct {
        const char *head, *torn;
    } cases[] = {
        {"", ""},     {"one\n", ""},          {"one\n", "tw"}, {"", "never ended"},
        {"", longer}, {"one\ntwo\n", longer}, {"\n\n", "x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct jb_append file;
        uint64_t cut = 99;
        char text[16384];
        (void)snprintf(text, sizeof text, "%s%s", cases[i].head, cases[i].torn);
        put("torn.csv", text);
        assert_int_equal(jb_append_open(path_of("torn.csv"), &file, &cut), JB_OK);
        assert_int_equal(cut, strlen(cases[i].torn));
        assert_int_equal(jb_append_write(&file, "new\n", 4), JB_OK);
        jb_append_close(&file);
        (void)snprintf(text, sizeof text, "%snew\n", cases[i].head);
        expect_text("torn.csv", text);
    }
}

static void test_a_line_break_at_every_place_of_a_block(void **state)
{
    (void)state;
    for (size_t at = 4090; at < 4102; at++) {
        char text[8300];
        struct jb_append file;
        uint64_t cut = 0;
        memset(text, 'y', sizeof text);
        text[sizeof text - 1] = '\0';
        text[at] = '\n';
        put("block.csv", text);
        assert_int_equal(jb_append_open(path_of("block.csv"), &file, &cut), JB_OK);
        assert_int_equal(cut, sizeof text - 1 - (at + 1));
        jb_append_close(&file);
    }
}

static void test_a_full_disk_names_the_path(void **state)
{
    (void)state;
    struct jb_append file;
    uint64_t cut = 99;
    assert_int_equal(jb_append_open("/dev/full", &file, &cut), JB_OK);
    assert_int_equal(cut, 0);
    assert_int_equal(jb_append_write(&file, "row\n", 4), JB_E_IO);
    assert_non_null(strstr(jb_reason(), "/dev/full"));
    assert_non_null(strstr(jb_reason(), "disk is full"));
    jb_append_close(&file);
}

static void test_a_half_written_line_is_taken_back(void **state)
{
    (void)state;
    struct jb_append file;
    struct rlimit limit, small;
    assert_int_equal(jb_append_open(path_of("half.csv"), &file, NULL), JB_OK);
    assert_int_equal(jb_append_write(&file, "0123456\n", 8), JB_OK);
    /* The limit stands in for a disk with 4 bytes left: the kernel writes what fits. */
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 12;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const enum jb_status status = jb_append_write(&file, "abcdefg\n", 8);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(status, JB_E_IO);
    assert_non_null(strstr(jb_reason(), "half.csv"));
    expect_text("half.csv", "0123456\n");
    assert_int_equal(jb_append_write(&file, "again\n", 6), JB_OK);
    jb_append_close(&file);
    expect_text("half.csv", "0123456\nagain\n");
}

static void test_unwritable_paths_are_errors_with_the_path(void **state)
{
    (void)state;
    struct jb_append file = {.fd = 77};
    assert_int_equal(jb_append_open(folder, &file, NULL), JB_E_INVAL);
    assert_non_null(strstr(jb_reason(), folder));
    assert_int_equal(jb_append_open(path_of("no/such/folder.csv"), &file, NULL), JB_E_IO);
    assert_non_null(strstr(jb_reason(), "no/such/folder.csv"));
    assert_non_null(strstr(jb_reason(), "directory does not exist"));
    assert_int_equal(file.fd, 77);
}

static void test_a_read_only_folder(void **state)
{
    (void)state;
    struct jb_append file;
    char inside[128];
    (void)snprintf(inside, sizeof inside, "%s/locked/a.csv", folder);
    assert_int_equal(mkdir(path_of("locked"), 0555), 0);
    const uid_t was = geteuid();
    /* The superuser writes everywhere: give it up for the call. */
    if (was == 0) {
        assert_int_equal(chmod(folder, 0755), 0);
        assert_int_equal(seteuid(65534), 0);
    }
    const enum jb_status status = jb_append_open(inside, &file, NULL);
    assert_int_equal(seteuid(was), 0);
    assert_int_equal(status, JB_E_PERM);
    assert_non_null(strstr(jb_reason(), "locked/a.csv"));
}

/* ---- maps ---- */

static void test_a_map_shows_the_file(void **state)
{
    (void)state;
    struct jb_map map;
    char text[20000];
    memset(text, 'z', sizeof text);
    text[sizeof text - 1] = '\0';
    put("map.bin", text);
    assert_int_equal(jb_map_open(path_of("map.bin"), &map), JB_OK);
    assert_int_equal(map.size, sizeof text - 1);
    assert_memory_equal(map.data, text, map.size);
    jb_map_will_need(&map, 100, 5000);
    jb_map_will_need(&map, 0, SIZE_MAX);
    jb_map_will_need(&map, map.size, 1);
    jb_map_drop(&map, 1, 3);
    jb_map_drop(&map, 0, map.size);
    jb_map_drop(&map, 5000, SIZE_MAX);
    assert_memory_equal(map.data, text, map.size);
    jb_map_close(&map);
    jb_map_close(&map);
    jb_map_close(NULL);
    jb_map_drop(&map, 0, 1);
}

static void test_what_cannot_be_mapped(void **state)
{
    (void)state;
    struct jb_map map = {.size = 77};
    put("empty", "");
    assert_int_equal(jb_map_open(path_of("empty"), &map), JB_E_INVAL);
    assert_int_equal(jb_map_open(folder, &map), JB_E_INVAL);
    assert_int_equal(jb_map_open("/dev/zero", &map), JB_E_INVAL);
    assert_int_equal(jb_map_open(path_of("absent"), &map), JB_E_NODEV);
    assert_non_null(strstr(jb_reason(), "absent"));
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
    assert_int_equal(jb_map_open(path_of("pipe"), &map), JB_E_INVAL);
    assert_int_equal(map.size, 77);
}

/* ---- clock, threads, memory ---- */

static void test_clocks(void **state)
{
    (void)state;
    const double start_s = jb_clock_s(), cpu_s = jb_process_cpu_s();
    jb_sleep_until(start_s + 0.02);
    assert_true(jb_clock_s() >= start_s + 0.02);
    jb_sleep_until(start_s - 1);
    jb_sleep_until((double)NAN);
    assert_true(jb_process_cpu_s() >= cpu_s);
    assert_true(jb_thread_cpu_s() >= 0);
    char now[32];
    jb_utc_now(now);
    assert_int_equal(strlen(now), 20);
    assert_true(now[4] == '-' && now[10] == 'T' && now[19] == 'Z');
}

static void *pin_and_count(void *ctx)
{
    uint32_t *n = ctx;
    uint32_t first = 0;
    (void)jb_allowed_pus(&first, 1);
    jb_name_self("a name longer than fifteen bytes");
    n[1] = jb_pin_self(first) == JB_OK;
    n[0] = jb_allowed_pus(NULL, 0);
    return NULL;
}

static void test_pinning_a_thread_leaves_the_process_its_units(void **state)
{
    (void)state;
    const uint32_t n = jb_allowed_pus(NULL, 0);
    uint32_t *pus = calloc(n, sizeof *pus);
    uint32_t seen[2] = {0, 0};
    pthread_t thread;
    assert_true(n >= 1);
    assert_non_null(pus);
    assert_int_equal(jb_allowed_pus(pus, n), n);
    for (uint32_t i = 1; i < n; i++) {
        assert_true(pus[i] > pus[i - 1]);
    }
    assert_int_equal(pthread_create(&thread, NULL, pin_and_count, seen), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(seen[1], 1);
    assert_int_equal(seen[0], n);
    assert_int_equal(jb_pin_self(8191), JB_E_INVAL);
    assert_int_equal(jb_pin_self(UINT32_MAX), JB_E_INVAL);
    free(pus);
}

/* A thread of its own, so that the test program stays where it is. */
static void *pin_and_go_back(void *arg)
{
    bool *is_good = arg;
    struct jb_affinity before, pinned, after;
    uint32_t first = 0;
    (void)jb_allowed_pus(&first, 1);
    memset(&after, 0xa5, sizeof after);
    if (jb_affinity_read(&before) != JB_OK || jb_pin_self(first) != JB_OK ||
        jb_affinity_read(&pinned) != JB_OK) {
        return NULL;
    }
    uint32_t n_before = 0, n_pinned = 0;
    for (uint32_t i = 0; i < 8192; i++) {
        n_before += (uint32_t)(before.units[i / 64] >> i % 64 & 1);
        n_pinned += (uint32_t)(pinned.units[i / 64] >> i % 64 & 1);
    }
    *is_good = n_before == jb_allowed_pus(NULL, 0) && n_pinned == 1 &&
               (pinned.units[first / 64] >> first % 64 & 1) != 0 &&
               jb_affinity_restore(&before) == JB_OK && jb_affinity_read(&after) == JB_OK &&
               before.group == after.group &&
               memcmp(before.units, after.units, sizeof before.units) == 0;
    return NULL;
}

static void test_a_pinned_thread_can_go_back(void **state)
{
    (void)state;
    bool is_good = false;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, pin_and_go_back, &is_good), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(is_good);
    const struct jb_affinity nowhere = {.group = 0};
    assert_int_equal(jb_affinity_restore(&nowhere), JB_E_INVAL);
}

static void test_pages_are_zero_and_aligned(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 4096, 100000, (size_t)2 << 20, ((size_t)5 << 20) + 123};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *pages = jb_pages_alloc(sizes[i]);
        assert_non_null(pages);
        const uintptr_t align = sizes[i] >= (size_t)2 << 20 ? (uintptr_t)2 << 20 : 4096;
        assert_int_equal((uintptr_t)pages % align, 0);
        assert_int_equal(pages[0] | pages[sizes[i] / 2] | pages[sizes[i] - 1], 0);
        memset(pages, 0xff, sizes[i]);
        jb_pages_free(pages, sizes[i]);
    }
    assert_null(jb_pages_alloc(0));
    assert_null(jb_pages_alloc(SIZE_MAX));
    assert_null(jb_pages_alloc((size_t)1 << 62));
    jb_pages_free(NULL, 10);
}

static void test_memory_figures(void **state)
{
    (void)state;
    const uint64_t total = jb_memory_total_bytes(), peak = jb_peak_resident_bytes();
    assert_true(total > ((uint64_t)64 << 20));
    assert_true(jb_memory_available_bytes() > 0 && jb_memory_available_bytes() <= total);
    assert_true(peak > 0 && peak < total);
}

/* ---- folders, names, shared objects ---- */

static bool count_entries(void *ctx, const char *name)
{
    int *n = ctx;
    assert_true(strcmp(name, "x") == 0 || strcmp(name, "y") == 0);
    *n += 1;
    return *n < 10;
}

static bool stop_at_once(void *ctx, const char *name)
{
    (void)name;
    *(int *)ctx += 1;
    return false;
}

static void test_folders_are_listed(void **state)
{
    (void)state;
    char path[128];
    int n = 0;
    (void)snprintf(path, sizeof path, "%s", path_of("list"));
    assert_int_equal(mkdir(path, 0755), 0);
    put("list/x", "");
    put("list/y", "");
    assert_int_equal(jb_dir_each(path, count_entries, &n), JB_OK);
    assert_int_equal(n, 2);
    n = 0;
    assert_int_equal(jb_dir_each(path, stop_at_once, &n), JB_OK);
    assert_int_equal(n, 1);
    assert_int_equal(jb_dir_each(path_of("nothing"), count_entries, &n), JB_E_NODEV);
}

static void test_the_cache_folder_is_made(void **state)
{
    (void)state;
    char base[128], cache[256] = "kept", expected[256];
    struct stat info;
    (void)snprintf(base, sizeof base, "%s", path_of("deep/er"));
    assert_int_equal(setenv("XDG_CACHE_HOME", base, 1), 0);
    (void)snprintf(expected, sizeof expected, "%s/joulebench", base);
    assert_int_equal(jb_cache_dir(cache, 5), JB_E_INVAL);
    assert_string_equal(cache, "kept");
    assert_int_equal(jb_cache_dir(cache, sizeof cache), JB_OK);
    assert_string_equal(cache, expected);
    assert_int_equal(stat(cache, &info), 0);
    assert_true(S_ISDIR(info.st_mode));
    assert_int_equal(jb_cache_dir(cache, sizeof cache), JB_OK);
    put("a_file", "");
    assert_int_equal(setenv("XDG_CACHE_HOME", path_of("a_file"), 1), 0);
    assert_int_equal(jb_cache_dir(cache, sizeof cache), JB_E_IO);
    assert_int_equal(setenv("XDG_CACHE_HOME", "relative", 1), 0);
    assert_int_equal(setenv("HOME", folder, 1), 0);
    assert_int_equal(jb_cache_dir(cache, sizeof cache), JB_OK);
    assert_non_null(strstr(cache, "/.cache/joulebench"));
    assert_int_equal(unsetenv("HOME"), 0);
    assert_int_equal(jb_cache_dir(cache, sizeof cache), JB_E_NODEV);
}

static void test_a_folder_is_made_with_those_above_it(void **state)
{
    (void)state;
    char path[256];
    struct stat info;
    (void)snprintf(path, sizeof path, "%s", path_of("one//two/three"));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(jb_make_folder(path), JB_OK);
        assert_int_equal(stat(path, &info), 0);
        assert_true(S_ISDIR(info.st_mode));
    }
    assert_int_equal(jb_make_folder("."), JB_OK);
    assert_int_equal(jb_make_folder(""), JB_E_INVAL);
    put("in_the_way", "");
    assert_int_equal(jb_make_folder(path_of("in_the_way/below")), JB_E_IO);
    assert_non_null(strstr(jb_reason(), "in_the_way"));
}

static void test_shared_objects(void **state)
{
    (void)state;
    static const char *const none[] = {"libjb-there-is-none.so.1", "other.dll", NULL};
    static const char *const second[] = {"libjb-there-is-none.so.1", "libm.so.6", NULL};
    assert_null(jb_dl_open(none));
    assert_non_null(strstr(jb_reason(), "libjb-there-is-none.so.1"));
    void *library = jb_dl_open(second);
    assert_non_null(library);
    assert_non_null(jb_dl_symbol(library, "cos"));
    assert_null(jb_dl_symbol(library, "jb_no_such_function"));
    jb_dl_close(library);
    jb_dl_close(NULL);
}

static void test_host_name_and_terminal(void **state)
{
    (void)state;
    char name[64], tiny[2] = {'x', 'x'};
    jb_host_name(name, sizeof name);
    assert_true(strlen(name) < sizeof name);
    jb_host_name(tiny, sizeof tiny);
    assert_non_null(memchr(tiny, '\0', sizeof tiny));
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_false(jb_is_terminal(file));
    (void)fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_makes_and_extends),
        cmocka_unit_test(test_a_torn_last_line_is_cut),
        cmocka_unit_test(test_a_line_break_at_every_place_of_a_block),
        cmocka_unit_test(test_a_full_disk_names_the_path),
        cmocka_unit_test(test_a_half_written_line_is_taken_back),
        cmocka_unit_test(test_unwritable_paths_are_errors_with_the_path),
        cmocka_unit_test(test_a_read_only_folder),
        cmocka_unit_test(test_a_map_shows_the_file),
        cmocka_unit_test(test_what_cannot_be_mapped),
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_pinning_a_thread_leaves_the_process_its_units),
        cmocka_unit_test(test_a_pinned_thread_can_go_back),
        cmocka_unit_test(test_pages_are_zero_and_aligned),
        cmocka_unit_test(test_memory_figures),
        cmocka_unit_test(test_folders_are_listed),
        cmocka_unit_test(test_the_cache_folder_is_made),
        cmocka_unit_test(test_a_folder_is_made_with_those_above_it),
        cmocka_unit_test(test_shared_objects),
        cmocka_unit_test(test_host_name_and_terminal),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
