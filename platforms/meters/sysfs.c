/* SPDX-License-Identifier: MIT */
#if defined(__linux__)
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platforms/host/host.h"
#include "platforms/meters/sysfs.h"

static enum jb_status fail_errno(const char *path)
{
    const int error = errno;
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENODEV:
        return jb_fail(JB_E_NODEV, "%s: %s", path, strerror(error));
    case EACCES:
    case EPERM:
        return jb_fail(JB_E_PERM, "%s: %s", path, strerror(error));
    default:
        return jb_fail(JB_E_IO, "%s: %s", path, strerror(error));
    }
}

bool jb_sysfs_path(char ret_path[JB_SYSFS_PATH_MAX], const char *fmt, ...)
{
    const int n = snprintf(ret_path, JB_SYSFS_PATH_MAX, "%s", jb_host_root());
    if (n < 0 || n >= JB_SYSFS_PATH_MAX) {
        return false;
    }
    va_list args;
    va_start(args, fmt);
    const int m = vsnprintf(ret_path + n, (size_t)(JB_SYSFS_PATH_MAX - n), fmt, args);
    va_end(args);
    return m >= 0 && m < JB_SYSFS_PATH_MAX - n;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

uint32_t jb_sysfs_list(const char *path, const char *prefix, char (*ret_names)[JB_SYSFS_NAME_MAX],
                       uint32_t capacity)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return 0;
    }
    uint32_t n = 0;
    const struct dirent *entry;
    while (n < capacity && (entry = readdir(dir)) != NULL) {
        const size_t length = strlen(entry->d_name);
        if (entry->d_name[0] != '.' && length < JB_SYSFS_NAME_MAX &&
            strncmp(entry->d_name, prefix, strlen(prefix)) == 0) {
            memcpy(ret_names[n++], entry->d_name, length + 1);
        }
    }
    (void)closedir(dir);
    qsort(ret_names, n, JB_SYSFS_NAME_MAX, compare_names);
    return n;
}

enum jb_status jb_sysfs_text(const char *path, char *ret_text, size_t size)
{
    int fd = -1;
    const enum jb_status status = jb_sysfs_open(path, &fd);
    if (status != JB_OK) {
        return status;
    }
    char text[256];
    const ssize_t n = read(fd, text, sizeof text - 1);
    if (n < 0) {
        const enum jb_status code = fail_errno(path);
        jb_sysfs_close(fd);
        return code;
    }
    jb_sysfs_close(fd);
    text[n] = '\0';
    const char *first = text + strspn(text, " \t");
    size_t length = strcspn(first, "\n");
    while (length > 0 && strchr(" \t\r", first[length - 1]) != NULL) {
        length--;
    }
    if (length >= size) {
        return jb_fail(JB_E_FORMAT, "%s: longer than %zu bytes", path, size - 1);
    }
    memcpy(ret_text, first, length);
    ret_text[length] = '\0';
    return JB_OK;
}

bool jb_sysfs_parse_u64(const char *text, uint64_t *ret_value)
{
    uint64_t value = 0;
    const char *c = text;
    for (; *c >= '0' && *c <= '9'; c++) {
        const uint64_t digit = (uint64_t)(*c - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    if (c == text || c[strspn(c, " \t\r\n")] != '\0') {
        return false;
    }
    *ret_value = value;
    return true;
}

enum jb_status jb_sysfs_u64(const char *path, uint64_t *ret_value)
{
    char text[64];
    const enum jb_status status = jb_sysfs_text(path, text, sizeof text);
    if (status != JB_OK) {
        return status;
    }
    if (!jb_sysfs_parse_u64(text, ret_value)) {
        return jb_fail(JB_E_FORMAT, "%s: '%s' is no number", path, text);
    }
    return JB_OK;
}

enum jb_status jb_sysfs_open(const char *path, int *ret_fd)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno(path);
    }
    *ret_fd = fd;
    return JB_OK;
}

bool jb_sysfs_pread_u64(int fd, uint64_t *ret_value)
{
    char text[32];
    const ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n <= 0) {
        return false;
    }
    text[n] = '\0';
    return jb_sysfs_parse_u64(text, ret_value);
}

void jb_sysfs_close(int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
}
#else
/* ISO C wants a declaration in every file. */
extern int jb_sysfs_is_for_linux;
#endif
