/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <ctype.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/target.h"

/* A place is a number (line, byte, index) or a quoted name (key, tensor, option). */
static bool has_place(const char *text)
{
    for (; *text != '\0'; text++) {
        if (isdigit((unsigned char)*text) || *text == '\'' || *text == '"') {
            return true;
        }
    }
    return false;
}

static const char *find_fault(const struct jb_fuzz_target *target, const char *reason)
{
    if (reason[0] == '\0') {
        return "the refusal has no reason";
    }
    if (strpbrk(reason, "\r\n") != NULL) {
        return "the reason is more than one line";
    }
    if (target->input == NULL) {
        return NULL;
    }
    const char *at = strstr(reason, target->input);
    if (at == NULL) {
        return "the reason does not name the file";
    }
    return has_place(at + strlen(target->input)) ? NULL : "the reason does not name the place";
}

bool jb_fuzz_run(const struct jb_fuzz_target *target, const uint8_t *data, size_t size,
                 enum jb_status *ret_status, char *ret_complaint, size_t complaint_size)
{
    /* A reason left over from the input before must not speak for this one. */
    (void)jb_fail(JB_OK, "%s", "");
    *ret_status = target->run(data, size);
    if (*ret_status == JB_OK) {
        return true;
    }
    const char *fault = find_fault(target, jb_reason());
    if (fault != NULL) {
        (void)snprintf(ret_complaint, complaint_size, "%s (%s): '%s'", fault,
                       jb_status_name(*ret_status), jb_reason());
    }
    return fault == NULL;
}

bool jb_fuzz_enter_sandbox(char ret_path[64])
{
    (void)snprintf(ret_path, 64, "/tmp/jb-fuzz-XXXXXX");
    return mkdtemp(ret_path) != NULL && chdir(ret_path) == 0;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *ftw)
{
    (void)info;
    (void)kind;
    (void)ftw;
    (void)remove(path);
    return 0;
}

void jb_fuzz_leave_sandbox(const char *path)
{
    if (chdir("/") == 0) {
        (void)nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
}

uint8_t *jb_fuzz_read(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    enum { LARGEST = 1 << 20 };
    uint8_t *data = malloc(LARGEST);
    const size_t size = data == NULL ? 0 : fread(data, 1, LARGEST, file);
    (void)fclose(file);
    *ret_size = size;
    return data;
}
