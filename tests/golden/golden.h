/* SPDX-License-Identifier: MIT */
#ifndef JB_TESTS_GOLDEN_H
#define JB_TESTS_GOLDEN_H

/* Text against a file kept in tests/golden. With JB_BLESS=1 the file is rewritten instead: look at
 * the diff before committing it. Include after cmocka.h. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* $JB_SOURCE/relative; valid until the next call. */
static inline const char *source_path(const char *relative)
{
    static char path[1024];
    const char *root = getenv("JB_SOURCE");
    (void)snprintf(path, sizeof path, "%s/%s", root != NULL ? root : ".", relative);
    return path;
}

/* Whole file, NUL-terminated, malloc'ed; NULL if it cannot be read. */
static inline char *whole_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    const size_t capacity = (size_t)1 << 20;
    char *text = calloc(1, capacity);
    if (text != NULL) {
        (void)!fread(text, 1, capacity - 1, file);
    }
    (void)fclose(file);
    return text;
}

static inline void assert_golden(const char *text, const char *relative)
{
    const char *bless = getenv("JB_BLESS");
    if (bless != NULL && bless[0] == '1') {
        FILE *file = fopen(source_path(relative), "wb");
        assert_non_null(file);
        (void)fputs(text, file);
        (void)fclose(file);
        return;
    }
    char *kept = whole_file(source_path(relative));
    if (kept == NULL || strcmp(kept, text) != 0) {
        fail_msg("%s differs (JB_BLESS=1 rewrites it); now it is:\n%s", relative, text);
    }
    free(kept);
}

#endif
