/* SPDX-License-Identifier: MIT */
/* The part of os.h that is Linux's own: affinity, huge pages, memory figures. */
#define _GNU_SOURCE
#include "platforms/os/os.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* The process's units are those of its first look, before any thread pinned itself. */
#define MAX_PUS 8192u
static pthread_once_t allowed_once = PTHREAD_ONCE_INIT;
static uint32_t allowed_pus[MAX_PUS];
static uint32_t n_allowed;

static void look_at_allowed(void)
{
    cpu_set_t *set = CPU_ALLOC(MAX_PUS);
    const size_t bytes = CPU_ALLOC_SIZE(MAX_PUS);
    if (set != NULL && sched_getaffinity(getpid(), bytes, set) == 0) {
        for (uint32_t pu = 0; pu < MAX_PUS; pu++) {
            if (CPU_ISSET_S(pu, bytes, set)) {
                allowed_pus[n_allowed++] = pu;
            }
        }
    }
    if (set != NULL) {
        CPU_FREE(set);
    }
    const long online = n_allowed == 0 ? sysconf(_SC_NPROCESSORS_ONLN) : 0;
    for (long pu = 0; pu < online && n_allowed < MAX_PUS; pu++) {
        allowed_pus[n_allowed++] = (uint32_t)pu;
    }
    if (n_allowed == 0) {
        allowed_pus[n_allowed++] = 0;
    }
}

uint32_t jb_allowed_pus(uint32_t *ret_pus, uint32_t capacity)
{
    (void)pthread_once(&allowed_once, look_at_allowed);
    for (uint32_t i = 0; ret_pus != NULL && i < capacity && i < n_allowed; i++) {
        ret_pus[i] = allowed_pus[i];
    }
    return n_allowed;
}

enum jb_status jb_pin_self(uint32_t pu)
{
    (void)pthread_once(&allowed_once, look_at_allowed);
    if (pu >= MAX_PUS) {
        return jb_fail(JB_E_INVAL, "processing unit %u: there are at most %u", pu, MAX_PUS);
    }
    cpu_set_t *set = CPU_ALLOC(MAX_PUS);
    if (set == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for an affinity mask");
    }
    const size_t bytes = CPU_ALLOC_SIZE(MAX_PUS);
    CPU_ZERO_S(bytes, set);
    CPU_SET_S(pu, bytes, set);
    const int error = sched_setaffinity(0, bytes, set) != 0 ? errno : 0;
    CPU_FREE(set);
    switch (error) {
    case 0:
        return JB_OK;
    case EINVAL:
        return jb_fail(JB_E_INVAL, "processing unit %u is not there, is offline or is not allowed",
                       pu);
    case EPERM:
        return jb_fail(JB_E_PERM, "processing unit %u: no permission to pin a thread", pu);
    default:
        return jb_fail(JB_E_NOTSUP, "processing unit %u: cannot pin a thread: %s", pu,
                       strerror(error));
    }
}

enum jb_status jb_affinity_read(struct jb_affinity *ret_affinity)
{
    struct jb_affinity affinity = {.group = 0};
    _Static_assert(sizeof affinity.units == MAX_PUS / 8, "room for all units");
    cpu_set_t *set = CPU_ALLOC(MAX_PUS);
    if (set == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for an affinity mask");
    }
    const size_t bytes = CPU_ALLOC_SIZE(MAX_PUS);
    const int error = sched_getaffinity(0, bytes, set) != 0 ? errno : 0;
    memcpy(affinity.units, set, sizeof affinity.units);
    CPU_FREE(set);
    if (error != 0) {
        return jb_fail(JB_E_NOTSUP, "cannot tell where this thread may run: %s", strerror(error));
    }
    *ret_affinity = affinity;
    return JB_OK;
}

enum jb_status jb_affinity_restore(const struct jb_affinity *affinity)
{
    cpu_set_t *set = CPU_ALLOC(MAX_PUS);
    if (set == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for an affinity mask");
    }
    memcpy(set, affinity->units, sizeof affinity->units);
    const int error = sched_setaffinity(0, CPU_ALLOC_SIZE(MAX_PUS), set) != 0 ? errno : 0;
    CPU_FREE(set);
    return error == 0 ? JB_OK
                      : jb_fail(error == EPERM ? JB_E_PERM : JB_E_INVAL,
                                "cannot let this thread run where it did: %s", strerror(error));
}

void jb_name_self(const char *name)
{
    char cut[16];
    (void)snprintf(cut, sizeof cut, "%.15s", name);
    (void)pthread_setname_np(pthread_self(), cut);
}

/* ---- memory ---- */

#define HUGE_BYTES ((size_t)2 << 20)

static size_t round_up(size_t size, size_t unit)
{
    return (size + unit - 1) / unit * unit;
}

void *jb_pages_alloc(size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t align = size >= HUGE_BYTES && page < HUGE_BYTES ? HUGE_BYTES : page;
    if (size == 0 || size > SIZE_MAX / 2) {
        return NULL;
    }
    /* mmap aligns to pages only: take more and give the ends back. */
    const size_t length = round_up(size, page);
    const size_t taken = length + align - page;
    char *begin = mmap(NULL, taken, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (begin == MAP_FAILED) {
        return NULL;
    }
    const size_t head = round_up((uintptr_t)begin, align) - (uintptr_t)begin;
    const size_t tail = taken - head - length;
    if (head > 0) {
        (void)munmap(begin, head);
    }
    if (tail > 0) {
        (void)munmap(begin + head + length, tail);
    }
    if (align == HUGE_BYTES) {
        (void)madvise(begin + head, length, MADV_HUGEPAGE);
    }
    return begin + head;
}

void jb_pages_free(void *pages, size_t size)
{
    if (pages != NULL) {
        (void)munmap(pages, round_up(size, (size_t)sysconf(_SC_PAGESIZE)));
    }
}

/* The number after `key` in a file of "key number" lines; false if it is not there. */
static bool number_after(const char *path, const char *key, uint64_t *ret_number)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    char line[256];
    const size_t key_length = strlen(key);
    bool found = false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        char *end = NULL;
        if (strncmp(line, key, key_length) == 0) {
            errno = 0;
            const unsigned long long number = strtoull(line + key_length, &end, 10);
            found = end != line + key_length && errno == 0;
            if (found) {
                *ret_number = number;
            }
        }
    }
    (void)fclose(file);
    return found;
}

/* Bytes that the control group (version 2) still grants; UINT64_MAX = no limit. The file cache is
 * counted as free, since the kernel drops it first. */
static uint64_t cgroup_left(void)
{
    uint64_t limit = 0, used = 0, cached = 0;
    if (!number_after("/sys/fs/cgroup/memory.max", "", &limit) ||
        !number_after("/sys/fs/cgroup/memory.current", "", &used)) {
        return UINT64_MAX;
    }
    if (!number_after("/sys/fs/cgroup/memory.stat", "file ", &cached) || cached > used) {
        cached = 0;
    }
    used -= cached;
    return used < limit ? limit - used : 0;
}

uint64_t jb_memory_total_bytes(void)
{
    uint64_t kib = 0;
    return number_after("/proc/meminfo", "MemTotal:", &kib) ? kib * 1024 : 0;
}

uint64_t jb_memory_available_bytes(void)
{
    uint64_t kib = 0;
    if (!number_after("/proc/meminfo", "MemAvailable:", &kib)) {
        return 0;
    }
    const uint64_t left = cgroup_left();
    return kib * 1024 < left ? kib * 1024 : left;
}

uint64_t jb_peak_resident_bytes(void)
{
    uint64_t kib = 0;
    if (number_after("/proc/self/status", "VmHWM:", &kib)) {
        return kib * 1024;
    }
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}
