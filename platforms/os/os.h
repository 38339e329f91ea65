/* SPDX-License-Identifier: MIT */
#ifndef JB_OS_H
#define JB_OS_H

/* What we ask of an operating system: one interface, one file an OS (linux.c, macos.c,
 * windows.c), chosen by the build. Threads are POSIX threads everywhere (winpthreads on Windows).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "platforms/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Monotonic seconds from an arbitrary start, not slewed where the OS offers that. */
double jb_clock_s(void);
/* Sleeps until jb_clock_s() >= deadline_s; may return early only when interrupted by a signal. */
void jb_sleep_until(double deadline_s);
/* CPU seconds used so far by the whole process, and by the calling thread. NaN = unknown. */
double jb_process_cpu_s(void);
double jb_thread_cpu_s(void);
/* UTC now as "2026-11-22T17:13:04Z". */
void jb_utc_now(char ret_text[32]);

/* Pins the calling thread to one processing unit (OS number).
 * @return NOTSUP where the OS cannot, PERM, INVAL for a unit that is not there or not allowed. */
enum jb_status jb_pin_self(uint32_t pu);
/* Where a thread may run: for who pins a thread that is not his own, and gives it back as it was.
 */
struct jb_affinity {
    uint64_t units[128]; /* one bit a processing unit, by OS number within the group */
    uint32_t group;      /* Windows' processor group; 0 elsewhere                    */
};
/* Of the calling thread. @return NOTSUP where the OS cannot pin. */
enum jb_status jb_affinity_read(struct jb_affinity *ret_affinity) JB_MUST_CHECK;
/* Lets the calling thread run there again, after any number of jb_pin_self().
 * @return INVAL if none of the units may be used any more, PERM, NOTSUP. */
enum jb_status jb_affinity_restore(const struct jb_affinity *affinity);
/* Names the calling thread for debuggers; at most 15 bytes are used. No effect where unsupported.
 */
void jb_name_self(const char *name);
/* OS numbers of the processing units this process may use, ascending; NULL just counts.
 * @return how many there are (may exceed capacity), at least 1. */
uint32_t jb_allowed_pus(uint32_t *ret_pus, uint32_t capacity);

/* A file mapped read-only. */
struct jb_map {
    const void *data;
    size_t size;
    void *handle;
};
/* @return NODEV no such file; PERM; IO; INVAL for a directory or an empty file. Reason has the
 * path. */
enum jb_status jb_map_open(const char *path, struct jb_map *ret_map) JB_MUST_CHECK;
void jb_map_close(struct jb_map *map); /* NULL and closed maps are fine */
/* Says that a range will be read soon, or that its pages may be dropped (they come back from the
 * file when touched). Hints; never fail. */
void jb_map_will_need(const struct jb_map *map, size_t offset, size_t size);
void jb_map_drop(const struct jb_map *map, size_t offset, size_t size);

/* Page-aligned zeroed memory, huge pages asked for where the OS has them. NULL when there is none.
 */
void *jb_pages_alloc(size_t size);
void jb_pages_free(void *pages, size_t size);

/* Bytes of physical memory: all of it, and what can be had now without swapping. 0 = unknown. */
uint64_t jb_memory_total_bytes(void);
uint64_t jb_memory_available_bytes(void);
/* Largest resident set of this process so far (Linux VmHWM). 0 = unknown. */
uint64_t jb_peak_resident_bytes(void);

/* Appends are one write each and survive kill -9; sync() also survives power loss. */
struct jb_append {
    int fd;
    char *path;
};
/* Opens for append, creates if missing. If the file does not end in a line break, the torn last
 * line is cut off first (*ret_cut bytes; NULL = don't tell). */
enum jb_status jb_append_open(const char *path, struct jb_append *ret_file,
                              uint64_t *ret_cut) JB_MUST_CHECK;
enum jb_status jb_append_write(struct jb_append *file, const void *data, size_t size) JB_MUST_CHECK;
enum jb_status jb_append_sync(struct jb_append *file) JB_MUST_CHECK;
void jb_append_close(struct jb_append *file);

/* Calls fn(ctx, name) for every entry of a folder but "." and "..", in no order; stops when fn
 * returns false. @return NODEV no such folder; PERM; IO. */
enum jb_status jb_dir_each(const char *path, bool (*fn)(void *ctx, const char *name),
                           void *ctx) JB_MUST_CHECK;

/* Makes a folder and those above it that are missing. Fine if it is there.
 * @return INVAL for an unusable name, PERM, IO. */
enum jb_status jb_make_folder(const char *path) JB_MUST_CHECK;

bool jb_is_terminal(FILE *stream);
/* Host name, "" if unknown; NUL-terminated. */
void jb_host_name(char *ret_name, size_t size);
/* Directory for caches: $XDG_CACHE_HOME/joulebench or the OS's equal, made if missing. */
enum jb_status jb_cache_dir(char *ret_path, size_t size) JB_MUST_CHECK;

/* Shared objects opened at run time (NVML, plug-ins). NULL with a reason if it is not there. */
void *jb_dl_open(const char *const *names); /* first of the NULL-terminated names that loads */
void *jb_dl_symbol(void *library, const char *name); /* NULL if absent */
void jb_dl_close(void *library);

#ifdef __cplusplus
}
#endif
#endif
