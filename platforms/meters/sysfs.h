/* SPDX-License-Identifier: MIT */
#ifndef JB_METERS_SYSFS_H
#define JB_METERS_SYSFS_H

/* Small text files below jb_host_root(): found once, kept open, read by one system call. Linux. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platforms/base/status.h"

#define JB_SYSFS_NAME_MAX 64
#define JB_SYSFS_PATH_MAX 512

/* Builds root + path from a format ("/sys/class/..."); false if it does not fit. */
bool jb_sysfs_path(char ret_path[JB_SYSFS_PATH_MAX], const char *fmt, ...) JB_PRINTF(2, 3);

/* Names in a directory that start with prefix, sorted; longer names are left out.
 * @return how many there are, at most capacity; 0 if the directory cannot be read. */
uint32_t jb_sysfs_list(const char *path, const char *prefix, char (*ret_names)[JB_SYSFS_NAME_MAX],
                       uint32_t capacity);

/* First line of a file, without white space at its ends.
 * @return NODEV, PERM or IO with the path. */
enum jb_status jb_sysfs_text(const char *path, char *ret_text, size_t size) JB_MUST_CHECK;
/* A file that holds one decimal number. @return also FORMAT. */
enum jb_status jb_sysfs_u64(const char *path, uint64_t *ret_value) JB_MUST_CHECK;

/* Opens for jb_sysfs_pread_u64(). @return NODEV, PERM or IO with the path. */
enum jb_status jb_sysfs_open(const char *path, int *ret_fd) JB_MUST_CHECK;
/* Reads the number anew; false if the file is gone, empty or holds no number. No reason is set. */
bool jb_sysfs_pread_u64(int fd, uint64_t *ret_value);
void jb_sysfs_close(int fd); /* below 0 is fine */

/* Decimal digits, nothing before them, white space alone after them. */
bool jb_sysfs_parse_u64(const char *text, uint64_t *ret_value);

#endif
