/* SPDX-License-Identifier: MIT */
/* Published points: the shipped file, its counts, and what a reader must refuse. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platforms/base/units.h"
#include "results/published.h"
#include "results/results.h"

#define HEADER                                                                                     \
    "work,year,platform,device,process_nm,model,precision,method,batch,prompt_tokens,"             \
    "output_tokens,power_w,power_kind,tokens_per_s,tokens_per_j,source_url,source_kind,note\n"

static struct jb_published shipped;

static int read_shipped(void **state)
{
    (void)state;
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/results/published/survey.csv", getenv("JB_SOURCE"));
    return jb_published_read(path, &shipped) == JB_OK ? 0 : -1;
}

static int free_shipped(void **state)
{
    (void)state;
    jb_published_free(&shipped);
    return 0;
}

static void drawn_points_are_counted(void **state)
{
    (void)state;
    static const uint64_t by_platform[] = {42, 96, 18, 22, 8};
    static const uint64_t by_method[JB_N_PUB_PLATFORMS][JB_N_PUB_METHODS] = {{19, 4, 0, 2, 17, 0},
                                                                             {22, 10, 26, 37, 1, 0},
                                                                             {15, 5, 0, 0, 2, 0},
                                                                             {10, 0, 0, 11, 0, 1},
                                                                             {1, 0, 0, 0, 7, 0}};
    uint64_t platforms[JB_N_PUB_PLATFORMS] = {0},
             methods[JB_N_PUB_PLATFORMS][JB_N_PUB_METHODS] = {{0}};
    uint64_t n_superseded = 0;
    assert_int_equal(shipped.n_rows, 580);
    for (uint64_t i = 0; i < shipped.n_rows; i++) {
        const struct jb_published_row *row = &shipped.rows[i];
        n_superseded += jb_published_is_ranked(row) ? 0 : 1;
        if (!jb_published_is_drawn(row)) {
            continue;
        }
        platforms[row->platform]++;
        for (int m = 0; m < JB_N_PUB_METHODS; m++) {
            methods[row->platform][m] += row->methods >> m & 1u;
        }
    }
    assert_int_equal(n_superseded, 8);
    for (int p = 0; p < JB_N_PUB_PLATFORMS; p++) {
        assert_int_equal(platforms[p], by_platform[p]);
        for (int m = 0; m < JB_N_PUB_METHODS; m++) {
            assert_int_equal(methods[p][m], by_method[p][m]);
        }
    }
}

static void sheet_rows_divide_out(void **state)
{
    (void)state;
    uint64_t n = 0;
    for (uint64_t i = 0; i < shipped.n_rows; i++) {
        const struct jb_published_row *row = &shipped.rows[i];
        if (row->source_kind == JB_SOURCE_SURVEY_TABLE) {
            assert_true(jb_ratio_error(row->tokens_per_s, row->power_w, row->tokens_per_j) < 1e-3);
            n++;
        }
    }
    assert_int_equal(n, 198);
}

static void best_is_as_the_survey_says(void **state)
{
    (void)state;
    static const double per_j[] = {2.381, 0.8585, 6.304, 13.99, 46.66};
    static const double per_s[] = {50, 343.4, 450, 2700, 1998};
    double best_j[JB_N_PUB_PLATFORMS] = {0}, best_s[JB_N_PUB_PLATFORMS] = {0};
    for (uint64_t i = 0; i < shipped.n_rows; i++) {
        const struct jb_published_row *row = &shipped.rows[i];
        if (jb_published_is_drawn(row)) {
            best_j[row->platform] = fmax(best_j[row->platform], row->tokens_per_j);
            best_s[row->platform] = fmax(best_s[row->platform], row->tokens_per_s);
        }
    }
    for (int p = 0; p < JB_N_PUB_PLATFORMS; p++) {
        assert_true(fabs(best_j[p] / per_j[p] - 1.0) < 1e-3);
        assert_true(fabs(best_s[p] / per_s[p] - 1.0) < 1e-3);
    }
}

static enum jb_status parse(const char *row, struct jb_published *ret)
{
    char text[2048];
    (void)snprintf(text, sizeof text, "%s%s", HEADER, row);
    return jb_published_parse(text, strlen(text), "t.csv", ret);
}

static void a_row_is_read_whole(void **state)
{
    (void)state;
    struct jb_published published;
    assert_int_equal(parse("W,2024,fpga,D,\"14;12\",M,,quantization;sparsity,,12.5,,7.5,tdp,15,2,U,"
                           "vendor,\"a, b\"",
                           &published),
                     JB_OK);
    assert_int_equal(published.n_rows, 1);
    const struct jb_published_row *row = &published.rows[0];
    assert_int_equal(row->line, 2);
    assert_int_equal(row->platform, JB_PUB_FPGA);
    assert_int_equal(row->methods, 1u << JB_PUB_QUANTIZATION | 1u << JB_PUB_SPARSITY);
    assert_int_equal(row->batch, JB_INT_MISSING);
    assert_true(jb_is_missing(row->output_tokens));
    assert_true(row->prompt_tokens == 12.5 && row->power_w == 7.5 && row->tokens_per_s == 15.0);
    assert_int_equal(row->power_kind, JB_POWER_TDP);
    assert_string_equal(row->note, "a, b");
    assert_false(jb_published_is_drawn(row));
    jb_published_free(&published);
}

static void bad_rows_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *row, *says;
    } cases[] = {
        {"W,,tpu,,,,,operator,1,,,5,tdp,1,0.2,U,vendor,\n", "column 3 (platform): 'tpu'"},
        {"W,,cpu,,,,,magic,1,,,5,tdp,1,0.2,U,vendor,\n", "column 8 (method): 'magic'"},
        {"W,,cpu,,,,,operator;operator,1,,,5,tdp,1,0.2,U,vendor,\n", "twice"},
        {"W,,cpu,,,,,operator,0,,,5,tdp,1,0.2,U,vendor,\n", "column 9 (batch)"},
        {"W,,cpu,,,,,operator,1,,,-5,tdp,1,0.2,U,vendor,\n", "column 12 (power_w)"},
        {"W,,cpu,,,,,operator,1,,,5,,1,0.2,U,vendor,\n", "column 13 (power_kind)"},
        {"W,,cpu,,,,,operator,1,,,,tdp,1,0.2,U,vendor,\n", "column 13 (power_kind)"},
        {"W,,cpu,,,,,operator,1,,,5,tdp,,0.2,U,vendor,\n", "column 14 (tokens_per_s)"},
        {"W,,cpu,,,,,operator,1,,,5,tdp,nan,0.2,U,vendor,\n", "column 14 (tokens_per_s)"},
        {"W,,cpu,,,,,operator,1,,,5,tdp,1,0.2,,vendor,\n", "column 16 (source_url)"},
        {"W,,cpu,,,,,operator,1,,,5,tdp,1,0.2,U,blog,\n", "column 17 (source_kind)"},
        {"W,,cpu\n", "3 cells"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct jb_published published;
        assert_int_equal(parse(cases[i].row, &published), JB_E_FORMAT);
        assert_non_null(strstr(jb_reason(), "t.csv:2"));
        assert_non_null(strstr(jb_reason(), cases[i].says));
    }
    struct jb_published published;
    assert_int_equal(jb_published_parse("work,year\n", 10, "t.csv", &published), JB_E_FORMAT);
    assert_non_null(strstr(jb_reason(), "'platform' is missing"));
    assert_int_equal(jb_published_parse("", 0, "t.csv", &published), JB_E_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drawn_points_are_counted),   cmocka_unit_test(sheet_rows_divide_out),
        cmocka_unit_test(best_is_as_the_survey_says), cmocka_unit_test(a_row_is_read_whole),
        cmocka_unit_test(bad_rows_are_refused),
    };
    return cmocka_run_group_tests_name("published", tests, read_shipped, free_shipped);
}
