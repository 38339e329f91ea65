/* SPDX-License-Identifier: MIT */
/* What would make results steadier or unlock a sensor: one line a finding. */
#include "platforms/host/host.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platforms/host/topology.h"

struct list {
    struct jb_advice *advice;
    uint32_t n, capacity;
};

static void say(struct list *list, const char *fmt, ...) JB_PRINTF(2, 3);
static void say(struct list *list, const char *fmt, ...)
{
    if (list->n < list->capacity) {
        va_list args;
        va_start(args, fmt);
        (void)vsnprintf(list->advice[list->n].text, sizeof list->advice[0].text, fmt, args);
        va_end(args);
        list->n++;
    }
}

static void on_clocks(const struct jb_host *host, struct list *list)
{
    if (host->governor[0] != '\0' && strcmp(host->governor, "performance") != 0) {
        say(list,
            "governor is '%s', so clocks wander: 'sudo cpupower frequency-set -g performance' "
            "steadies them",
            host->governor);
    }
}

static void on_memory(const struct jb_host *host, struct list *list)
{
    if (strcmp(host->huge_pages, "never") == 0) {
        say(list, "transparent huge pages are off, which costs bandwidth: 'echo madvise | sudo tee "
                  "/sys/kernel/mm/transparent_hugepage/enabled'");
    }
    if (host->memory_bytes > 0 && host->memory_available_bytes > 0 &&
        host->memory_available_bytes < host->memory_bytes / 10) {
        say(list,
            "only %.1f of %.1f GiB of memory are free: a model that does not fit is paged in "
            "and out",
            (double)host->memory_available_bytes / 0x1p30, (double)host->memory_bytes / 0x1p30);
    }
    if (host->n_numa > 1) {
        say(list,
            "%u NUMA nodes: more threads than one node has cores read far memory; compare "
            "with '--threads %u'",
            host->n_numa, host->n_cores / host->n_numa > 0 ? host->n_cores / host->n_numa : 1);
    }
}

static void on_sensors(const struct jb_host *host, struct list *list)
{
    if (host->is_virtual) {
        say(list,
            "this is a virtual machine (%s): power sensors are usually hidden and neighbours "
            "share caches and memory; take final numbers on a bare machine",
            host->hypervisor);
    }
    if (host->perf_paranoid > 2) {
        say(list,
            "perf_event_paranoid is %d: 'sudo sysctl kernel.perf_event_paranoid=0' unlocks "
            "counters and energy through perf",
            host->perf_paranoid);
    } else if (host->perf_paranoid > 0 && !host->is_virtual) {
        say(list,
            "perf_event_paranoid is %d: 'sudo sysctl kernel.perf_event_paranoid=0' unlocks "
            "energy through perf",
            host->perf_paranoid);
    }
}

/* Share of a processor that the control group grants, in units; negative = no limit. */
static double quota(void)
{
    char line[64];
    char *end = NULL;
    if (!jb_host_line(jb_host_root(), "/sys/fs/cgroup/cpu.max", line, sizeof line)) {
        return -1;
    }
    const unsigned long long us = strtoull(line, &end, 10);
    if (end == line) {
        return -1; /* "max" */
    }
    const unsigned long long period_us = strtoull(end, NULL, 10);
    return period_us > 0 ? (double)us / (double)period_us : -1;
}

static void on_company(const struct jb_host *host, struct list *list)
{
    char line[64];
    const uint32_t n_ours = jb_host_default_threads();
    if (n_ours < host->n_cores) {
        say(list, "this process may use %u of %u cores (affinity or cpuset)", n_ours,
            host->n_cores);
    }
    const double granted = quota();
    if (granted > 0 && granted < n_ours) {
        say(list,
            "the control group grants %.2f processors: more threads are stopped part of the "
            "time",
            granted);
    }
    /* Half a processor of other work is above what an idle system does. */
    if (jb_host_line(jb_host_root(), "/proc/loadavg", line, sizeof line) &&
        strtod(line, NULL) > 0.5) {
        say(list, "load average is %.2f: other work runs or ran here; wait for it to end",
            strtod(line, NULL));
    }
}

uint32_t jb_host_advice(const struct jb_host *host, struct jb_advice *ret_advice, uint32_t capacity)
{
    struct list list = {.advice = ret_advice, .capacity = capacity};
    on_clocks(host, &list);
    on_memory(host, &list);
    on_sensors(host, &list);
    on_company(host, &list);
    return list.n;
}
