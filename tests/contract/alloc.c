/* SPDX-License-Identifier: MIT */
#include "tests/contract/alloc.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/types.h>

static atomic_bool g_is_watching;
static atomic_uint g_n, g_fail_at;

void alloc_watch(uint32_t fail_at)
{
    atomic_store(&g_n, 0);
    atomic_store(&g_fail_at, fail_at);
    atomic_store(&g_is_watching, true);
}

uint32_t alloc_stop(void)
{
    atomic_store(&g_is_watching, false);
    return atomic_load(&g_n);
}

static bool is_granted(void)
{
    if (!atomic_load(&g_is_watching)) {
        return true;
    }
    const unsigned n = atomic_fetch_add(&g_n, 1) + 1;
    const unsigned fail_at = atomic_load(&g_fail_at);
    return fail_at == 0 || n < fail_at;
}

/* The linker's --wrap=NAME turns calls of NAME into __wrap_NAME and gives NAME as __real_NAME. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);

void *__wrap_malloc(size_t size)
{
    return is_granted() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
    return is_granted() ? __real_calloc(n, size) : NULL;
}

void *__wrap_realloc(void *memory, size_t size)
{
    return is_granted() ? __real_realloc(memory, size) : NULL;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return is_granted() ? __real_aligned_alloc(alignment, size) : NULL;
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t size)
{
    return is_granted() ? __real_posix_memalign(memory, alignment, size) : ENOMEM;
}

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (!is_granted()) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mmap(at, size, protection, flags, fd, offset);
}
