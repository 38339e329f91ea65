/* SPDX-License-Identifier: MIT */
/* Digest and comparison of generated ids, and the file they are kept in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/ids.h"

static void test_digest_is_the_published_hash(void **state)
{
    (void)state;
    char digest[JB_DIGEST_MAX];
    /* xxHash64 of no bytes with seed 0, from the algorithm's specification */
    jb_ids_digest(NULL, 0, digest);
    assert_string_equal(digest, "ef46db3751d8e999");
    /* of the bytes "abcd": one id, little endian */
    const int32_t abcd = 0x64636261;
    jb_ids_digest(&abcd, 1, digest);
    assert_string_equal(digest, "de0327b0d25d92cc");
}

static void test_shares(void **state)
{
    (void)state;
    const int32_t reference[] = {1, 2, 3, 4, 5, 6, 7, 8};
    const int32_t ids[] = {1, 2, 9, 4, 5, 0, 7, 0};
    const bool is_near[] = {true, false, true, false, true, false, true, false};
    double agree = 0;
    double near_tie = 0;
    jb_ids_compare(ids, reference, is_near, 2, 4, false, &agree, &near_tie);
    assert_true(agree > 0.6249 && agree < 0.6251);       /* 5 of 8 */
    assert_true(near_tie > 0.1249 && near_tie < 0.1251); /* position 2 */
    /* free feed: what follows a difference counts as the difference did */
    jb_ids_compare(ids, reference, is_near, 2, 4, true, &agree, &near_tie);
    assert_true(agree > 0.3749 && agree < 0.3751);       /* 1 2 and 5 */
    assert_true(near_tie > 0.2499 && near_tie < 0.2501); /* 9 4 of the first sequence */
    jb_ids_compare(reference, reference, is_near, 1, 8, true, &agree, &near_tie);
    assert_true(agree > 0.9999 && near_tie < 0.0001);
}

static void test_a_digest_is_written_once(void **state)
{
    (void)state;
    char csv[] = "jb-ids-XXXXXX";
    char path[64];
    char text[256] = "";
    const int32_t ids[] = {10, 11, -1, 13};
    struct jb_ids_file *file = NULL;
    const int fd = mkstemp(csv);
    assert_true(fd >= 0);
    FILE *made = fdopen(fd, "r");
    assert_non_null(made);
    (void)fclose(made);
    assert_int_equal(jb_ids_create(csv, &file), JB_OK);
    assert_int_equal(jb_ids_write(file, "00000000000000aa", ids, 2, 2), JB_OK);
    assert_int_equal(jb_ids_write(file, "00000000000000aa", ids, 2, 2), JB_OK);
    assert_int_equal(jb_ids_write(file, "00000000000000bb", ids, 1, 1), JB_OK);
    jb_ids_close(file);
    (void)snprintf(path, sizeof path, "%s.ids", csv);
    FILE *back = fopen(path, "r");
    assert_non_null(back);
    const size_t n = fread(text, 1, sizeof text - 1, back);
    text[n] = '\0';
    (void)fclose(back);
    (void)remove(path);
    (void)remove(csv);
    assert_string_equal(text, "00000000000000aa 0 10 11\n"
                              "00000000000000aa 1 -1 13\n"
                              "00000000000000bb 0 10\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest_is_the_published_hash),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_a_digest_is_written_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
