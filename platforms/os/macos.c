/* SPDX-License-Identifier: MIT */
/* The part of os.h that is macOS's own. */
#include "platforms/os/os.h"

#include <mach/mach.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysctl.h>
#include <unistd.h>

enum jb_status jb_pin_self(uint32_t pu)
{
    return jb_fail(JB_E_NOTSUP, "processing unit %u: macOS offers no pinning; threads float", pu);
}

enum jb_status jb_affinity_read(struct jb_affinity *ret_affinity)
{
    (void)ret_affinity;
    return jb_fail(JB_E_NOTSUP, "macOS offers no pinning; threads float");
}

enum jb_status jb_affinity_restore(const struct jb_affinity *affinity)
{
    (void)affinity;
    return jb_fail(JB_E_NOTSUP, "macOS offers no pinning; threads float");
}

void jb_name_self(const char *name)
{
    char cut[16];
    (void)snprintf(cut, sizeof cut, "%.15s", name);
    (void)pthread_setname_np(cut);
}

uint32_t jb_allowed_pus(uint32_t *ret_pus, uint32_t capacity)
{
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    const uint32_t n = online > 0 ? (uint32_t)online : 1;
    for (uint32_t i = 0; ret_pus != NULL && i < capacity && i < n; i++) {
        ret_pus[i] = i;
    }
    return n;
}

static size_t whole_pages(size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

void *jb_pages_alloc(size_t size)
{
    if (size == 0 || size > SIZE_MAX / 2) {
        return NULL;
    }
    void *pages =
        mmap(NULL, whole_pages(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

void jb_pages_free(void *pages, size_t size)
{
    if (pages != NULL) {
        (void)munmap(pages, whole_pages(size));
    }
}

uint64_t jb_memory_total_bytes(void)
{
    uint64_t bytes = 0;
    size_t size = sizeof bytes;
    return sysctlbyname("hw.memsize", &bytes, &size, NULL, 0) == 0 ? bytes : 0;
}

uint64_t jb_memory_available_bytes(void)
{
    vm_statistics64_data_t pages;
    mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
    if (host_statistics64(mach_host_self(), HOST_VM_INFO64, (host_info64_t)&pages, &count) !=
        KERN_SUCCESS) {
        return 0;
    }
    const uint64_t n = (uint64_t)pages.free_count + pages.inactive_count + pages.purgeable_count;
    return n * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t jb_peak_resident_bytes(void)
{
    struct rusage usage; /* ru_maxrss is in bytes here, in KiB on Linux */
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss : 0;
}
