/* SPDX-License-Identifier: MIT */
/* The CSV of rows: what is written reads back, what is torn or foreign is told. */
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "platforms/base/rng.h"
#include "results/results.h"
#include "results/text.h"
#include "tests/support/skip.h"
#include "tests/unit/results_sample.h"

static char path[256];

static int make_path(void **state)
{
    (void)state;
    const char *folder = getenv("TMPDIR");
    (void)snprintf(path, sizeof path, "%s/jb-results-%ld.csv", folder != NULL ? folder : "/tmp",
                   (long)getpid());
    (void)remove(path);
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    (void)remove(path);
    return 0;
}

static char *slurp(size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    *ret_size = fread(text, 1, (1 << 20) - 1, file);
    (void)fclose(file);
    return text;
}

static void spew(const char *text, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void write_rows(const struct jb_record *rows, uint64_t n)
{
    struct jb_csv_writer *writer = NULL;
    assert_int_equal(jb_csv_create(path, &writer, NULL), JB_OK);
    for (uint64_t i = 0; i < n; i++) {
        assert_int_equal(jb_csv_write(writer, &rows[i]), JB_OK);
    }
    assert_int_equal(jb_csv_close(writer), JB_OK);
}

/* NULL where the two rows agree in every cell, else the column's name. NaN equals NaN. */
static const char *differing_column(const struct jb_record *a, const struct jb_record *b)
{
    for (uint32_t i = 0; i < jb_column_count(); i++) {
        const struct jb_column *c = jb_column_at(i);
        const char *x = (const char *)a + c->offset, *y = (const char *)b + c->offset;
        bool is_same;
        if (c->type == JB_COLUMN_TEXT) {
            is_same = strcmp(x, y) == 0;
        } else if (c->type == JB_COLUMN_INT) {
            is_same = memcmp(x, y, sizeof(int64_t)) == 0;
        } else {
            double u, v;
            memcpy(&u, x, sizeof u);
            memcpy(&v, y, sizeof v);
            is_same = (isnan(u) && isnan(v)) || (u == v && signbit(u) == signbit(v));
        }
        if (!is_same) {
            return c->name;
        }
    }
    return NULL;
}

/* Text that CSV, UTF-8 and column limits make hard; never empty, no line breaks. */
static void nasty_text(struct jb_rng *rng, char *to, size_t size)
{
    static const char *const pieces[] = {"\"", ",", " ", "\t", "\"\"", "a", "'",        ";",
                                         "|",  "0", "é", "中", "😀",    "=", "\x01\x7f", "\\n"};
    const size_t length = 1 + jb_rng_below(rng, (uint32_t)size - 1);
    size_t used = 0;
    for (;;) {
        const char *piece = pieces[jb_rng_below(rng, sizeof pieces / sizeof pieces[0])];
        if (used + strlen(piece) > length) {
            break;
        }
        memcpy(to + used, piece, strlen(piece));
        used += strlen(piece);
    }
    to[used] = '\0';
    if (used == 0) {
        memcpy(to, "x", 2);
    }
}

static double any_double(struct jb_rng *rng)
{
    for (;;) {
        const uint64_t bits = jb_rng_u64(rng);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value)) {
            return value;
        }
    }
}

static void random_record(struct jb_rng *rng, struct jb_record *record)
{
    jb_record_init(record);
    for (uint32_t i = 1; i < jb_column_count(); i++) {
        const struct jb_column *c = jb_column_at(i);
        char *member = (char *)record + c->offset;
        if (c->may_be_empty && jb_rng_below(rng, 3) == 0) {
            continue;
        }
        if (c->type == JB_COLUMN_TEXT) {
            nasty_text(rng, member, c->size);
        } else if (c->type == JB_COLUMN_INT) {
            int64_t value = (int64_t)jb_rng_u64(rng) >> jb_rng_below(rng, 63);
            value = value == JB_INT_MISSING ? 0 : value;
            memcpy(member, &value, sizeof value);
        } else {
            const double value = any_double(rng);
            memcpy(member, &value, sizeof value);
        }
    }
}

static void test_seeded_rows_survive_the_round_trip(void **state)
{
    (void)state;
    enum { n_rows = 300 };
    struct jb_rng rng;
    jb_rng_seed(&rng, 20261122, 0);
    struct jb_record *rows = calloc(n_rows, sizeof *rows);
    assert_non_null(rows);
    for (int i = 0; i < n_rows; i++) {
        random_record(&rng, &rows[i]);
    }
    (void)remove(path);
    write_rows(rows, n_rows);
    struct jb_table table = {0};
    bool is_torn = true;
    assert_int_equal(jb_table_read(path, &table, &is_torn), JB_OK);
    assert_false(is_torn);
    assert_int_equal(table.n_rows, n_rows);
    for (int i = 0; i < n_rows; i++) {
        const char *column = differing_column(&rows[i], &table.rows[i]);
        if (column != NULL) {
            fail_msg("row %d differs in column %s", i, column);
        }
    }
    jb_table_free(&table);
    free(rows);
}

static void test_numbers_ignore_the_locale(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "sv_SE.UTF-8"};
    for (size_t i = 0; i < 4 && setlocale(LC_NUMERIC, names[i]) == NULL; i++) {
    }
    const bool has_comma = strcmp(localeconv()->decimal_point, ".") != 0;
    char text[JB_NUMBER_MAX];
    double back = 0.0;
    jb_real_print(0.1, text);
    const bool reads = jb_real_parse("12.5e-1", 7, &back);
    (void)setlocale(LC_NUMERIC, "C");
    assert_string_equal(text, "0.1");
    assert_true(reads && back == 1.25);
    if (!has_comma) {
        print_message("# no locale with a decimal comma here: only the C locale was tried\n");
    }
}

static void test_numbers_are_strict(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      "nan", "inf", "-inf", "0x10", "1e999", "1,5",
                                      " 1",    "1 ",  "1e",  "e5",   ".",    "+",     "-",
                                      "1.2.3", "NaN", "1e+", "١",    "1_000"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        double real = 7.0;
        int64_t integer = 7;
        assert_false(jb_real_parse(bad[i], strlen(bad[i]), &real));
        assert_false(jb_int_parse(bad[i], strlen(bad[i]), &integer));
        assert_true(real == 7.0 && integer == 7);
    }
    int64_t value = 0;
    assert_true(jb_int_parse("9223372036854775807", 19, &value) && value == INT64_MAX);
    assert_false(jb_int_parse("9223372036854775808", 19, &value));
    assert_false(jb_int_parse("-9223372036854775808", 20, &value));
    assert_false(jb_int_parse("1.0", 3, &value));
}

static void test_torn_at_every_byte_leaves_complete_rows(void **state)
{
    (void)state;
    struct jb_record rows[3];
    for (int i = 0; i < 3; i++) {
        sample_record(&rows[i]);
        rows[i].repetition = i;
        (void)snprintf(rows[i].device, sizeof rows[i].device, "a \"device\", number %d", i);
    }
    (void)remove(path);
    write_rows(rows, 3);
    size_t size = 0;
    char *text = slurp(&size);
    for (size_t cut = 1; cut <= size; cut++) {
        uint64_t n_lines = 0;
        for (size_t i = 0; i < cut; i++) {
            n_lines += text[i] == '\n' ? 1 : 0;
        }
        struct jb_table table = {0};
        bool is_torn = false;
        if (jb_table_parse(text, cut, "torn.csv", &table, &is_torn) != JB_OK) {
            fail_msg("cut at %zu: %s", cut, jb_reason());
        }
        assert_int_equal(table.n_rows, n_lines == 0 ? 0 : n_lines - 1);
        assert_int_equal(is_torn, text[cut - 1] != '\n');
        jb_table_free(&table);
    }
    free(text);
}

static void test_a_torn_file_is_taken_up_again(void **state)
{
    (void)state;
    struct jb_record row;
    sample_record(&row);
    (void)remove(path);
    write_rows(&row, 1);
    size_t size = 0;
    char *text = slurp(&size);
    const size_t header = (size_t)(strchr(text, '\n') - text) + 1;
    const size_t cuts[] = {0, 3, header - 1, header, header + 5, size - 1, size};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        spew(text, cuts[i]);
        struct jb_csv_writer *writer = NULL;
        uint64_t cut = 99;
        assert_int_equal(jb_csv_create(path, &writer, &cut), JB_OK);
        assert_int_equal(jb_csv_write(writer, &row), JB_OK);
        assert_int_equal(jb_csv_close(writer), JB_OK);
        const size_t kept = cuts[i] == size ? size : cuts[i] >= header ? header : 0;
        assert_int_equal(cut, cuts[i] - kept);
        struct jb_table table = {0};
        assert_int_equal(jb_table_read(path, &table, NULL), JB_OK);
        assert_int_equal(table.n_rows, kept == size ? 2 : 1);
        jb_table_free(&table);
    }
    free(text);
}

static void test_another_schema_is_refused_untouched(void **state)
{
    (void)state;
    static const char *const foreign[] = {
        "name,value\na,1\n",
        "schema,run_id,host\nx,y,z\n",
        "not a table",
        "\"schema\",run_id\n",
    };
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        spew(foreign[i], strlen(foreign[i]));
        struct jb_csv_writer *writer = NULL;
        assert_int_equal(jb_csv_create(path, &writer, NULL), JB_E_INVAL);
        assert_null(writer);
        assert_non_null(strstr(jb_reason(), path));
        assert_non_null(strstr(jb_reason(), "column"));
        size_t size = 0;
        char *text = slurp(&size);
        assert_string_equal(text, foreign[i]);
        free(text);
    }
}

static void test_another_schema_version_is_refused(void **state)
{
    (void)state;
    struct jb_record row;
    sample_record(&row);
    (void)remove(path);
    write_rows(&row, 1);
    size_t size = 0;
    char *text = slurp(&size);
    char *cell = strstr(text, "\n" JB_SCHEMA);
    assert_non_null(cell);
    cell[sizeof JB_SCHEMA - 1] = '9';
    spew(text, size);
    struct jb_csv_writer *writer = NULL;
    assert_int_equal(jb_csv_create(path, &writer, NULL), JB_E_INVAL);
    assert_non_null(strstr(jb_reason(), "joulebench-9"));
    struct jb_table table = {0};
    assert_int_equal(jb_table_parse(text, size, "v.csv", &table, NULL), JB_E_FORMAT);
    assert_non_null(strstr(jb_reason(), "v.csv:2: column 1 (schema)"));
    free(text);
}

static void test_a_full_disk_names_the_path(void **state)
{
    (void)state;
    if (access("/dev/full", W_OK) != 0) {
        SKIP_BECAUSE("this system has no /dev/full");
    }
    struct jb_csv_writer *writer = NULL;
    const enum jb_status status = jb_csv_create("/dev/full", &writer, NULL);
    assert_int_equal(status, JB_E_IO);
    assert_non_null(strstr(jb_reason(), "/dev/full"));
}

static void test_unwritable_paths_are_told(void **state)
{
    (void)state;
    struct jb_csv_writer *writer = NULL;
    assert_int_not_equal(jb_csv_create("/no/such/folder/x.csv", &writer, NULL), JB_OK);
    assert_non_null(strstr(jb_reason(), "/no/such/folder/x.csv"));
    assert_int_not_equal(jb_csv_create("/tmp", &writer, NULL), JB_OK);
    assert_null(writer);
}

static void test_rows_that_could_not_be_read_are_not_written(void **state)
{
    (void)state;
    (void)remove(path);
    struct jb_csv_writer *writer = NULL;
    assert_int_equal(jb_csv_create(path, &writer, NULL), JB_OK);
    struct jb_record row;
    sample_record(&row);
    row.backend[0] = '\0';
    assert_int_equal(jb_csv_write(writer, &row), JB_E_INVAL);
    assert_non_null(strstr(jb_reason(), "backend"));
    sample_record(&row);
    row.power_w = (double)INFINITY;
    assert_int_equal(jb_csv_write(writer, &row), JB_E_NUMERIC);
    sample_record(&row);
    memcpy(row.host, "a\nb\r\xffz", 7);
    assert_int_equal(jb_csv_write(writer, &row), JB_OK);
    assert_int_equal(jb_csv_close(writer), JB_OK);
    struct jb_table table = {0};
    assert_int_equal(jb_table_read(path, &table, NULL), JB_OK);
    assert_int_equal(table.n_rows, 1);
    assert_string_equal(table.rows[0].host, "a b ?z");
    jb_table_free(&table);
}

/* The sample row as text, with one cell replaced: header and row in ret_text. */
static void with_cell(const char *column, const char *cell, size_t cell_size, char *ret_text,
                      size_t *ret_size)
{
    struct jb_record row;
    sample_record(&row);
    (void)remove(path);
    write_rows(&row, 1);
    size_t size = 0;
    char *text = slurp(&size);
    const char *at = strchr(text, '\n') + 1;
    for (uint32_t i = 0; strcmp(jb_column_at(i)->name, column) != 0; i++) {
        at = strchr(at, ',') + 1;
    }
    const size_t before = (size_t)(at - text), old = strcspn(at, ",\n");
    memcpy(ret_text, text, before);
    memcpy(ret_text + before, cell, cell_size);
    memcpy(ret_text + before + cell_size, at + old, size - before - old);
    *ret_size = size - old + cell_size;
    free(text);
}

static void test_malformed_cells_are_named_by_place(void **state)
{
    (void)state;
    static const struct {
        const char *column, *cell;
        size_t size;
        const char *says;
    } cases[] = {
        {"power_w", "nan", 3, "not a finite decimal number"},
        {"power_w", "inf", 3, "not a finite decimal number"},
        {"power_w", "12 W", 4, "not a finite decimal number"},
        {"tokens", "1.5", 3, "not a whole number"},
        {"tokens", "", 0, "may not be empty"},
        {"backend", "", 0, "may not be empty"},
        {"host", "a\0b", 3, "NUL"},
        {"host", "\xc3\x28", 2, "UTF-8"},
        {"host", "\xed\xa0\x80", 3, "UTF-8"},
        {"platform", "far too long", 12, "longer"},
        {"host", "a\"b", 3, "quote"},
        {"host", "\"a\"b", 4, "quote"},
        {"host", "\"a", 2, "quote"},
        {"clock_hz", "1,2", 3, "more than the header"},
        {"host", "a\nb", 3, "cells where the header has"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static char text[8192];
        size_t size = 0;
        with_cell(cases[i].column, cases[i].cell, cases[i].size, text, &size);
        struct jb_table table = {.n_rows = 77};
        if (jb_table_parse(text, size, "bad.csv", &table, NULL) != JB_E_FORMAT) {
            fail_msg("case %zu was accepted", i);
        }
        assert_int_equal(table.n_rows, 77);
        assert_non_null(strstr(jb_reason(), "bad.csv:2:"));
        if (strstr(jb_reason(), cases[i].says) == NULL) {
            fail_msg("case %zu says: %s", i, jb_reason());
        }
    }
}

static void test_huge_cells_are_refused(void **state)
{
    (void)state;
    const size_t big = 70000;
    char *cell = malloc(big), *text = malloc(big + 8192);
    assert_non_null(cell);
    assert_non_null(text);
    memset(cell, 'x', big);
    size_t size = 0;
    with_cell("host", cell, big, text, &size);
    struct jb_table table = {0};
    assert_int_equal(jb_table_parse(text, size, "big.csv", &table, NULL), JB_E_FORMAT);
    assert_non_null(strstr(jb_reason(), "longer than any cell"));
    free(cell);
    free(text);
}

static void test_header_faults(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"schema,schema\n", "h.csv:1: column 2: 'schema' is there twice"},
        {"schema,,host\n", "h.csv:1: column 2: '' names no column"},
        {"schema,host\n", "column 'run_id' is missing"},
        {"\n\n\nschema\n", "h.csv:4:"},
    };
    struct jb_table table = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(
            jb_table_parse(cases[i].text, strlen(cases[i].text), "h.csv", &table, NULL),
            JB_E_FORMAT);
        assert_non_null(strstr(jb_reason(), cases[i].says));
    }
    char *wide = malloc(4096);
    assert_non_null(wide);
    for (size_t i = 0; i < 4095; i += 3) {
        (void)snprintf(wide + i, 4, "%c%c,", (int)('a' + i / 3 % 26), (int)('0' + i / 78 % 75));
    }
    wide[4094] = '\n';
    assert_int_equal(jb_table_parse(wide, 4095, "h.csv", &table, NULL), JB_E_FORMAT);
    free(wide);
}

static void test_foreign_columns_are_kept_in_any_order(void **state)
{
    (void)state;
    struct jb_record row;
    sample_record(&row);
    (void)remove(path);
    write_rows(&row, 1);
    size_t size = 0;
    char *text = slurp(&size);
    char *wide = malloc(size + 200);
    assert_non_null(wide);
    const size_t header = (size_t)(strchr(text, '\n') - text);
    const int n = snprintf(wide, size + 200,
                           "\xEF\xBB\xBF"
                           "mine,%.*s,also\r\n\"1,2\",%.*s,\r\n",
                           (int)header, text, (int)(size - header - 2), text + header + 1);
    struct jb_table table = {0}, plain = {0};
    if (jb_table_parse(wide, (size_t)n, "w.csv", &table, NULL) != JB_OK) {
        fail_msg("%s", jb_reason());
    }
    assert_int_equal(table.n_extra, 2);
    assert_string_equal(table.extra_names[0], "mine");
    assert_string_equal(table.extra[0], "1,2");
    assert_string_equal(table.extra[1], "");
    assert_null(differing_column(&row, &table.rows[0]));
    assert_int_equal(jb_table_parse(text, size, "p.csv", &plain, NULL), JB_OK);
    assert_int_equal(jb_table_append(&plain, &table), JB_OK);
    assert_int_equal(plain.n_rows, 2);
    assert_int_equal(plain.n_extra, 2);
    assert_string_equal(plain.extra[0], "");
    assert_string_equal(plain.extra[2], "1,2");
    jb_table_free(&plain);
    jb_table_free(&table);
    free(wide);
    free(text);
}

static void test_reasons_are_words_once(void **state)
{
    (void)state;
    struct jb_record row;
    jb_record_init(&row);
    jb_record_reason(&row, "no-meter");
    jb_record_reason(&row, "no-uncertainty");
    jb_record_reason(&row, "no-meter");
    jb_record_reason(&row, "meter");
    assert_string_equal(row.reasons, "no-meter;no-uncertainty;meter");
    for (int i = 0; i < 200; i++) {
        char word[16];
        (void)snprintf(word, sizeof word, "word-%d", i);
        jb_record_reason(&row, word);
    }
    const size_t length = strlen(row.reasons);
    assert_true(length < sizeof row.reasons);
    assert_string_equal(row.reasons + length - 5, ";more");
    assert_null(strstr(row.reasons, "word-199"));
}

static void test_the_columns_are_the_agreed_ones(void **state)
{
    (void)state;
    assert_string_equal(jb_column_at(0)->name, "schema");
    assert_string_equal(jb_column_at(JB_N_CORE_COLUMNS - 1)->name, "reasons");
    assert_null(jb_column_at(jb_column_count()));
    assert_null(jb_column_find("no such column"));
    for (uint32_t i = 0; i < jb_column_count(); i++) {
        assert_ptr_equal(jb_column_find(jb_column_at(i)->name), jb_column_at(i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeded_rows_survive_the_round_trip),
        cmocka_unit_test(test_numbers_ignore_the_locale),
        cmocka_unit_test(test_numbers_are_strict),
        cmocka_unit_test(test_torn_at_every_byte_leaves_complete_rows),
        cmocka_unit_test(test_a_torn_file_is_taken_up_again),
        cmocka_unit_test(test_another_schema_is_refused_untouched),
        cmocka_unit_test(test_another_schema_version_is_refused),
        cmocka_unit_test(test_a_full_disk_names_the_path),
        cmocka_unit_test(test_unwritable_paths_are_told),
        cmocka_unit_test(test_rows_that_could_not_be_read_are_not_written),
        cmocka_unit_test(test_malformed_cells_are_named_by_place),
        cmocka_unit_test(test_huge_cells_are_refused),
        cmocka_unit_test(test_header_faults),
        cmocka_unit_test(test_foreign_columns_are_kept_in_any_order),
        cmocka_unit_test(test_reasons_are_words_once),
        cmocka_unit_test(test_the_columns_are_the_agreed_ones),
    };
    return cmocka_run_group_tests_name("results csv", tests, make_path, remove_path);
}
