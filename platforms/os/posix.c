/* SPDX-License-Identifier: MIT */
/* The part of os.h that Linux and macOS share. */
#include "platforms/os/os.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "platforms/base/units.h"

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0) {
        return jb_missing();
    }
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double jb_clock_s(void)
{
    return seconds_of(CLOCK_MONOTONIC_RAW);
}

void jb_sleep_until(double deadline_s)
{
    /* No nanosleep takes the raw clock, so what is left is asked again after each nap. */
    for (;;) {
        const double left_s = deadline_s - jb_clock_s();
        if (!(left_s > 0)) {
            return;
        }
        const double nap_s = left_s < 3600 ? left_s : 3600;
        const time_t whole_s = (time_t)nap_s;
        const struct timespec nap = {.tv_sec = whole_s,
                                     .tv_nsec = (long)((nap_s - (double)whole_s) * 1e9) + 1};
        if (nanosleep(&nap, NULL) != 0 && errno == EINTR) {
            return;
        }
    }
}

double jb_process_cpu_s(void)
{
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

double jb_thread_cpu_s(void)
{
    return seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

void jb_utc_now(char ret_text[32])
{
    const time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc) == NULL || strftime(ret_text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        ret_text[0] = '\0';
    }
}

/* ---- mapped files ---- */

static enum jb_status map_status(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return JB_E_NODEV;
    case EACCES:
    case EPERM:
        return JB_E_PERM;
    case ENOMEM:
        return JB_E_NOMEM;
    default:
        return JB_E_IO;
    }
}

static enum jb_status map_fd(const char *path, int fd, struct jb_map *ret_map)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return jb_fail(JB_E_IO, "'%s': %s", path, strerror(errno));
    }
    if (!S_ISREG(info.st_mode)) {
        return jb_fail(JB_E_INVAL, "'%s': is %s, not a regular file", path,
                       S_ISDIR(info.st_mode) ? "a directory" : "a special file");
    }
    if (info.st_size == 0) {
        return jb_fail(JB_E_INVAL, "'%s': the file is empty", path);
    }
    void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        return jb_fail(map_status(errno), "'%s': cannot be mapped: %s", path, strerror(errno));
    }
    *ret_map = (struct jb_map){.data = data, .size = (size_t)info.st_size};
    return JB_OK;
}

enum jb_status jb_map_open(const char *path, struct jb_map *ret_map)
{
    /* NONBLOCK: a pipe without a writer must be refused, not waited for. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return jb_fail(map_status(errno), "'%s': %s", path, strerror(errno));
    }
    const enum jb_status status = map_fd(path, fd, ret_map);
    (void)close(fd);
    return status;
}

void jb_map_close(struct jb_map *map)
{
    if (map == NULL || map->data == NULL) {
        return;
    }
    (void)munmap((void *)(uintptr_t)map->data, map->size);
    *map = (struct jb_map){.data = NULL};
}

/* Page-aligned part of [offset, offset + size): grown to whole pages, or shrunk to them so that
 * no neighbour's page is touched. @return false if nothing is left. */
static bool whole_pages(const struct jb_map *map, size_t offset, size_t size, bool grow,
                        char **ret_begin, size_t *ret_size)
{
    if (map == NULL || map->data == NULL || offset >= map->size) {
        return false;
    }
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t end = size < map->size - offset ? offset + size : map->size;
    const size_t up = (offset + page - 1) / page * page;
    const size_t first = grow ? offset / page * page : up;
    /* The file's last page belongs to nobody else. */
    const size_t last = grow || end == map->size ? end : end / page * page;
    if (first >= last) {
        return false;
    }
    *ret_begin = (char *)(uintptr_t)map->data + first;
    *ret_size = last - first;
    return true;
}

void jb_map_will_need(const struct jb_map *map, size_t offset, size_t size)
{
    char *begin = NULL;
    size_t length = 0;
    if (whole_pages(map, offset, size, true, &begin, &length)) {
        (void)madvise(begin, length, MADV_WILLNEED);
    }
}

void jb_map_drop(const struct jb_map *map, size_t offset, size_t size)
{
    char *begin = NULL;
    size_t length = 0;
    if (whole_pages(map, offset, size, false, &begin, &length)) {
        (void)madvise(begin, length, MADV_DONTNEED);
    }
}

/* ---- append ---- */

static enum jb_status append_fail(const char *path, int error, const char *what)
{
    switch (error) {
    case EACCES:
    case EPERM:
        return jb_fail(JB_E_PERM, "'%s': %s: no permission to write here", path, what);
    case EROFS:
        return jb_fail(JB_E_PERM, "'%s': %s: the file system is read-only", path, what);
    case ENOSPC:
        return jb_fail(JB_E_IO, "'%s': %s: the disk is full; earlier rows are kept", path, what);
    case EDQUOT:
        return jb_fail(JB_E_IO, "'%s': %s: the disk quota is used up; earlier rows are kept", path,
                       what);
    case EISDIR:
        return jb_fail(JB_E_INVAL, "'%s': %s: is a directory; name a file", path, what);
    case ENOENT:
    case ENOTDIR:
        return jb_fail(JB_E_IO, "'%s': %s: its directory does not exist", path, what);
    default:
        return jb_fail(JB_E_IO, "'%s': %s: %s", path, what, strerror(error));
    }
}

/* Offset after the last line break in the first `size` bytes; 0 if there is none. */
static enum jb_status line_end(int fd, off_t size, off_t *ret_end)
{
    char block[4096];
    off_t end = size;
    while (end > 0) {
        const size_t want = end < (off_t)sizeof block ? (size_t)end : sizeof block;
        const ssize_t got = pread(fd, block, want, end - (off_t)want);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got != (ssize_t)want) {
            return JB_E_IO;
        }
        for (size_t i = want; i > 0; i--) {
            if (block[i - 1] == '\n') {
                *ret_end = end - (off_t)want + (off_t)i;
                return JB_OK;
            }
        }
        end -= (off_t)want;
    }
    *ret_end = 0;
    return JB_OK;
}

static enum jb_status cut_torn_line(int fd, const char *path, uint64_t *ret_cut)
{
    struct stat info;
    off_t end = 0;
    if (fstat(fd, &info) != 0) {
        return append_fail(path, errno, "cannot be examined");
    }
    if (!S_ISREG(info.st_mode)) {
        *ret_cut = 0;
        return JB_OK;
    }
    if (line_end(fd, info.st_size, &end) != JB_OK) {
        return append_fail(path, errno, "cannot be read");
    }
    if (end < info.st_size && ftruncate(fd, end) != 0) {
        return append_fail(path, errno, "its torn last line cannot be cut");
    }
    *ret_cut = (uint64_t)(info.st_size - end);
    return JB_OK;
}

enum jb_status jb_append_open(const char *path, struct jb_append *ret_file, uint64_t *ret_cut)
{
    uint64_t cut = 0;
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0 && errno == ENXIO) {
        return jb_fail(JB_E_IO, "'%s': cannot be opened for writing: nobody reads it", path);
    }
    if (fd < 0) {
        return append_fail(path, errno, "cannot be opened for writing");
    }
    enum jb_status status = cut_torn_line(fd, path, &cut);
    char *copy = status == JB_OK ? strdup(path) : NULL;
    if (status == JB_OK && copy == NULL) {
        status = jb_fail(JB_E_NOMEM, "'%s': no memory for its name", path);
    }
    if (status != JB_OK) {
        (void)close(fd);
        return status;
    }
    *ret_file = (struct jb_append){.fd = fd, .path = copy};
    if (ret_cut != NULL) {
        *ret_cut = cut;
    }
    return JB_OK;
}

/* Takes back the part of a line that still found room, if it is still the end of the file. */
static void take_back(int fd, size_t n_written)
{
    struct stat info;
    const off_t end = lseek(fd, 0, SEEK_CUR);
    if (n_written > 0 && end >= (off_t)n_written && fstat(fd, &info) == 0 &&
        S_ISREG(info.st_mode) && info.st_size == end) {
        if (ftruncate(fd, end - (off_t)n_written) != 0) {
            return; /* the next open cuts it */
        }
    }
}

enum jb_status jb_append_write(struct jb_append *file, const void *data, size_t size)
{
    size_t n_written = 0;
    while (n_written < size) {
        const ssize_t n = write(file->fd, (const char *)data + n_written, size - n_written);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            const int error = n < 0 ? errno : ENOSPC;
            take_back(file->fd, n_written);
            return append_fail(file->path, error, "cannot be written");
        }
        n_written += (size_t)n;
    }
    return JB_OK;
}

enum jb_status jb_append_sync(struct jb_append *file)
{
    if (fsync(file->fd) == 0 || errno == EINVAL || errno == ENOTSUP) {
        return JB_OK; /* pipes and terminals have nothing to sync */
    }
    return append_fail(file->path, errno, "cannot be synced");
}

void jb_append_close(struct jb_append *file)
{
    if (file == NULL || file->path == NULL) {
        return;
    }
    (void)close(file->fd);
    free(file->path);
    *file = (struct jb_append){.fd = -1};
}

/* ---- the rest ---- */

enum jb_status jb_dir_each(const char *path, bool (*fn)(void *ctx, const char *name), void *ctx)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return jb_fail(map_status(errno), "'%s': %s", path, strerror(errno));
    }
    const struct dirent *entry = NULL;
    bool goes_on = true;
    while (goes_on && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            goes_on = fn(ctx, entry->d_name);
        }
    }
    (void)closedir(folder);
    return JB_OK;
}

bool jb_is_terminal(FILE *stream)
{
    return isatty(fileno(stream)) == 1;
}

void jb_host_name(char *ret_name, size_t size)
{
    if (size == 0) {
        return;
    }
    if (gethostname(ret_name, size) != 0) {
        ret_name[0] = '\0';
    }
    ret_name[size - 1] = '\0';
}

/* Makes every missing folder of a path that is not empty. */
static enum jb_status make_folders(char *path, mode_t mode, const char *advice)
{
    for (char *c = path + 1;; c++) {
        if (*c != '/' && *c != '\0') {
            continue;
        }
        const char kept = *c;
        *c = '\0';
        const int failed = mkdir(path, mode) != 0 ? errno : 0;
        struct stat info;
        if (failed != 0 && (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))) {
            return jb_fail(failed == EACCES || failed == EROFS ? JB_E_PERM : JB_E_IO,
                           "'%s': cannot be made: %s%s", path, strerror(failed), advice);
        }
        *c = kept;
        if (kept == '\0') {
            return JB_OK;
        }
    }
}

enum jb_status jb_make_folder(const char *path)
{
    char copy[4096];
    const size_t size = strlen(path);
    if (size == 0 || size >= sizeof copy) {
        return jb_fail(JB_E_INVAL, "'%.60s' is no name for a folder", path);
    }
    memcpy(copy, path, size + 1);
    return make_folders(copy, 0777, "");
}

enum jb_status jb_cache_dir(char *ret_path, size_t size)
{
#if defined(__APPLE__)
    static const char home_part[] = "/Library/Caches";
#else
    static const char home_part[] = "/.cache";
#endif
    char path[4096];
    const char *base = getenv("XDG_CACHE_HOME");
    const char *middle = "";
    /* The XDG specification says that a relative path is to be ignored. */
    if (base == NULL || base[0] != '/') {
        base = getenv("HOME");
        middle = home_part;
    }
    if (base == NULL || base[0] != '/') {
        return jb_fail(JB_E_NODEV, "no folder for caches: set XDG_CACHE_HOME or HOME");
    }
    const int n = snprintf(path, sizeof path, "%s%s/joulebench", base, middle);
    if (n < 0 || (size_t)n >= sizeof path || (size_t)n >= size) {
        return jb_fail(JB_E_INVAL, "the cache folder's path is too long: '%.64s...'", base);
    }
    const enum jb_status status =
        make_folders(path, 0700, "; set XDG_CACHE_HOME to a folder of yours");
    if (status == JB_OK) {
        memcpy(ret_path, path, (size_t)n + 1);
    }
    return status;
}

void *jb_dl_open(const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (library != NULL) {
            return library;
        }
        /* Names go from the likeliest to other systems': the first reason is the telling one. */
        const char *why = dlerror();
        if (i == 0) {
            (void)jb_fail(JB_E_NODEV, "%s", why != NULL ? why : names[i]);
        }
    }
    return NULL;
}

void *jb_dl_symbol(void *library, const char *name)
{
    return dlsym(library, name);
}

void jb_dl_close(void *library)
{
    if (library != NULL) {
        (void)dlclose(library);
    }
}
