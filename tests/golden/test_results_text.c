/* SPDX-License-Identifier: MIT */
/* What people and programs read of results: summary, its CSV, the data dictionary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "results/results.h"
#include "tests/golden/golden.h"

static char *printed(enum jb_status (*print)(FILE *, const struct jb_group *, uint64_t),
                     const char *const *files, size_t n_files)
{
    struct jb_table table = {0};
    for (size_t i = 0; i < n_files; i++) {
        struct jb_table more = {0};
        assert_int_equal(jb_table_read(source_path(files[i]), &more, NULL), JB_OK);
        assert_int_equal(jb_table_append(&table, &more), JB_OK);
        jb_table_free(&more);
    }
    struct jb_group *groups = NULL;
    uint64_t n = 0;
    assert_int_equal(jb_summarize(&table, &groups, &n), JB_OK);
    char *text = NULL;
    FILE *out = tmpfile();
    assert_non_null(out);
    assert_int_equal(print(out, groups, n), JB_OK);
    const long size = ftell(out);
    rewind(out);
    text = calloc(1, (size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, out), (size_t)size);
    (void)fclose(out);
    free(groups);
    jb_table_free(&table);
    return text;
}

static const char *const formats[] = {"tests/data/results/formats.csv",
                                      "tests/data/results/no_power.csv"};
static const char *const platforms[] = {"tests/data/results/platforms.csv"};

static void test_summary_of_one_file(void **state)
{
    (void)state;
    char *text = printed(jb_summary_print, formats, 1);
    assert_golden(text, "tests/golden/summary_formats.txt");
    free(text);
}

static void test_summary_without_power(void **state)
{
    (void)state;
    char *text = printed(jb_summary_print, formats + 1, 1);
    assert_golden(text, "tests/golden/summary_no_power.txt");
    free(text);
}

static void test_summary_of_all_evidence_classes(void **state)
{
    (void)state;
    char *text = printed(jb_summary_print, platforms, 1);
    assert_golden(text, "tests/golden/summary_platforms.txt");
    free(text);
}

static void test_files_merge_by_identity(void **state)
{
    (void)state;
    const char *const twice[] = {formats[0], formats[0]};
    char *one = printed(jb_summary_csv, twice, 1), *two = printed(jb_summary_csv, twice, 2);
    size_t lines_one = 0, lines_two = 0;
    for (size_t i = 0; one[i] != '\0'; i++) {
        lines_one += one[i] == '\n' ? 1 : 0;
    }
    for (size_t i = 0; two[i] != '\0'; i++) {
        lines_two += two[i] == '\n' ? 1 : 0;
    }
    assert_int_equal(lines_one, lines_two);
    assert_string_not_equal(one, two); /* ten repetitions instead of five */
    free(one);
    free(two);
}

static void test_summary_as_csv(void **state)
{
    (void)state;
    char *text = printed(jb_summary_csv, formats, 2);
    assert_golden(text, "tests/golden/summary_formats.csv");
    free(text);
}

/* The README's dictionary stands between two marker lines; everything else there is by hand. */
static void test_the_dictionary_in_the_readme_is_current(void **state)
{
    (void)state;
    static const char begin[] = "<!-- columns begin -->\n", end[] = "<!-- columns end -->";
    FILE *out = tmpfile();
    assert_non_null(out);
    jb_columns_print(out, false);
    const size_t size = (size_t)ftell(out);
    rewind(out);
    char *columns = calloc(1, size + 1);
    assert_non_null(columns);
    assert_int_equal(fread(columns, 1, size, out), size);
    (void)fclose(out);
    char *readme = whole_file(source_path("results/README.md"));
    assert_non_null(readme);
    char *from = strstr(readme, begin), *to = strstr(readme, end);
    assert_non_null(from);
    assert_non_null(to);
    from += sizeof begin - 1;
    char *whole = calloc(1, strlen(readme) + size + 1);
    assert_non_null(whole);
    (void)sprintf(whole, "%.*s%s%s", (int)(from - readme), readme, columns, to);
    assert_golden(whole, "results/README.md");
    free(whole);
    free(readme);
    free(columns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_summary_of_one_file),
        cmocka_unit_test(test_summary_without_power),
        cmocka_unit_test(test_summary_of_all_evidence_classes),
        cmocka_unit_test(test_files_merge_by_identity),
        cmocka_unit_test(test_summary_as_csv),
        cmocka_unit_test(test_the_dictionary_in_the_readme_is_current),
    };
    return cmocka_run_group_tests_name("results text", tests, NULL, NULL);
}
