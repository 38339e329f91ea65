/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tests/stubs/fake_perf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "platforms/meters/perf.h"

struct fake_perf_counter fake_perf_counters[FAKE_PERF_MAX];
int fake_perf_n;
int fake_perf_errno;

void fake_perf_set(int i, uint64_t count)
{
    const int fd = fake_perf_counters[i].fd;
    assert_int_equal(pwrite(fd, &count, sizeof count, 0), sizeof count);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
}

void fake_perf_set_all(uint64_t count)
{
    for (int i = 0; i < fake_perf_n; i++) {
        fake_perf_set(i, count);
    }
}

static int open_fake(uint32_t type, uint64_t config, int cpu)
{
    if (fake_perf_errno != 0) {
        errno = fake_perf_errno;
        return -1;
    }
    assert_true(fake_perf_n < FAKE_PERF_MAX);
    const int i = fake_perf_n++;
    const int fd = memfd_create("fake-perf", MFD_CLOEXEC);
    assert_true(fd >= 0);
    fake_perf_counters[i] =
        (struct fake_perf_counter){.type = type, .config = config, .cpu = cpu, .fd = fd};
    fake_perf_set(i, 0);
    return dup(fd);
}

void fake_perf_install(void)
{
    fake_perf_n = 0;
    fake_perf_errno = 0;
    jb_perf_set_open(open_fake);
}

void fake_perf_remove(void)
{
    for (int i = 0; i < fake_perf_n; i++) {
        (void)close(fake_perf_counters[i].fd);
    }
    fake_perf_n = 0;
    jb_perf_set_open(NULL);
}
