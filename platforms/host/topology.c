/* SPDX-License-Identifier: MIT */
/* Counting and picking processing units, and the two sources that need no library. */
#include "platforms/host/topology.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platforms/host/host.h"
#include "platforms/os/os.h"

#define MAX_PUS 8192u

void jb_topology_free(struct jb_topology *topology)
{
    if (topology != NULL) {
        free(topology->pus);
        *topology = (struct jb_topology){.pus = NULL};
    }
}

/* ---- counting ---- */

static int by_number(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Distinct values of one uint32_t member over all units. */
static uint32_t n_distinct(const struct jb_topology *topology, size_t member, uint32_t *scratch)
{
    for (uint32_t i = 0; i < topology->n_pus; i++) {
        memcpy(&scratch[i], (const char *)&topology->pus[i] + member, sizeof scratch[i]);
    }
    qsort(scratch, topology->n_pus, sizeof *scratch, by_number);
    uint32_t n = topology->n_pus > 0 ? 1 : 0;
    for (uint32_t i = 1; i < topology->n_pus; i++) {
        n += scratch[i] != scratch[i - 1] ? 1 : 0;
    }
    return n;
}

void jb_topology_count(struct jb_topology *topology)
{
    uint32_t *scratch = calloc(topology->n_pus + 1, sizeof *scratch);
    if (scratch == NULL) {
        return;
    }
    topology->n_cores = n_distinct(topology, offsetof(struct jb_topo_pu, core), scratch);
    topology->n_numa = n_distinct(topology, offsetof(struct jb_topo_pu, numa), scratch);
    topology->n_packages = n_distinct(topology, offsetof(struct jb_topo_pu, package), scratch);
    topology->n_l3 =
        topology->l3_bytes > 0 ? n_distinct(topology, offsetof(struct jb_topo_pu, l3), scratch) : 0;
    free(scratch);
}

uint32_t jb_topology_allowed_cores(const struct jb_topology *topology)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < topology->n_pus; i++) {
        bool is_new = topology->pus[i].is_allowed;
        for (uint32_t j = 0; is_new && j < i; j++) {
            is_new = !topology->pus[j].is_allowed || topology->pus[j].core != topology->pus[i].core;
        }
        n += is_new ? 1 : 0;
    }
    return n;
}

/* ---- picking ---- */

/* A unit with its place among the allowed units of its core. */
struct candidate {
    struct jb_topo_pu pu;
    uint32_t twin;
};

static int compare(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

static int by_core(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    const int order = compare(x->pu.core, y->pu.core);
    return order != 0 ? order : compare(x->pu.os, y->pu.os);
}

static int by_preference(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    const int orders[] = {
        compare(x->twin, y->twin),
        compare(y->pu.speed, x->pu.speed),
        compare(x->pu.package, y->pu.package),
        compare(x->pu.numa, y->pu.numa),
        compare(x->pu.l3, y->pu.l3),
        compare(x->pu.core, y->pu.core),
        compare(x->pu.os, y->pu.os),
    };
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        if (orders[i] != 0) {
            return orders[i];
        }
    }
    return 0;
}

enum jb_status jb_topology_pick(const struct jb_topology *topology, uint32_t n_threads,
                                uint32_t *ret_pus)
{
    struct candidate *list = calloc(topology->n_pus + 1, sizeof *list);
    if (list == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory to choose processing units");
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < topology->n_pus; i++) {
        if (topology->pus[i].is_allowed) {
            list[n++].pu = topology->pus[i];
        }
    }
    if (n == 0) {
        free(list);
        return jb_fail(JB_E_INVAL,
                       "no processing unit that this process may use is in the topology");
    }
    qsort(list, n, sizeof *list, by_core);
    for (uint32_t i = 1; i < n; i++) {
        list[i].twin = list[i].pu.core == list[i - 1].pu.core ? list[i - 1].twin + 1 : 0;
    }
    qsort(list, n, sizeof *list, by_preference);
    for (uint32_t i = 0; i < n_threads; i++) {
        ret_pus[i] = list[i % n].pu.os;
    }
    free(list);
    return JB_OK;
}

/* ---- small files ---- */

bool jb_host_line(const char *root, const char *path, char *ret_line, size_t size)
{
    char full[1024];
    const int n = snprintf(full, sizeof full, "%s%s", root, path);
    FILE *file = n > 0 && (size_t)n < sizeof full ? fopen(full, "rb") : NULL;
    if (file == NULL) {
        return false;
    }
    const bool is_read = fgets(ret_line, (int)size, file) != NULL;
    (void)fclose(file);
    if (is_read) {
        ret_line[strcspn(ret_line, "\r\n")] = '\0';
    }
    return is_read;
}

bool jb_host_number(const char *root, const char *path, long long *ret_number)
{
    char line[64];
    char *end = NULL;
    if (!jb_host_line(root, path, line, sizeof line)) {
        return false;
    }
    errno = 0;
    const long long number = strtoll(line, &end, 10);
    if (end == line || errno != 0) {
        return false;
    }
    *ret_number = number;
    return true;
}

uint32_t jb_host_list(const char *text, uint32_t *ret_numbers, uint32_t capacity)
{
    uint32_t n = 0;
    while (*text != '\0') {
        char *end = NULL;
        if (*text < '0' || *text > '9') {
            return 0;
        }
        const unsigned long first = strtoul(text, &end, 10);
        unsigned long last = first;
        if (*end == '-') {
            text = end + 1;
            last = strtoul(text, &end, 10);
            if (end == text) {
                return 0;
            }
        }
        if (last < first || last >= MAX_PUS || (*end != ',' && *end != '\0')) {
            return 0;
        }
        for (unsigned long i = first; i <= last && n < capacity; i++) {
            ret_numbers[n++] = (uint32_t)i;
        }
        text = *end == ',' ? end + 1 : end;
    }
    return n;
}

/* ---- <root>/sys ---- */

/* First number of the list in a file of unit `pu`; `fallback` where there is none. */
static uint32_t first_of(const char *root, uint32_t pu, const char *name, uint32_t fallback)
{
    char path[128], line[4096];
    uint32_t first = 0;
    (void)snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/%s", pu, name);
    if (!jb_host_line(root, path, line, sizeof line) || jb_host_list(line, &first, 1) == 0) {
        return fallback;
    }
    return first;
}

static void read_unit(const char *root, uint32_t pu, struct jb_topo_pu *ret_pu)
{
    char path[128];
    long long number = 0;
    *ret_pu = (struct jb_topo_pu){.os = pu, .is_allowed = true};
    (void)snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/topology/physical_package_id",
                   pu);
    if (jb_host_number(root, path, &number) && number >= 0) {
        ret_pu->package = (uint32_t)number;
    }
    /* core_cpus_list is the newer name (Linux 5.3) of the same list. */
    ret_pu->core = first_of(root, pu, "topology/core_cpus_list",
                            first_of(root, pu, "topology/thread_siblings_list", pu));
    (void)snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/cpu_capacity", pu);
    if (jb_host_number(root, path, &number) && number > 0) {
        ret_pu->speed = (uint32_t)number;
    }
}

static void read_nodes(const char *root, struct jb_topology *topology, uint32_t *scratch)
{
    char path[128], line[4096];
    uint32_t nodes[1024];
    if (!jb_host_line(root, "/sys/devices/system/node/online", line, sizeof line)) {
        return;
    }
    const uint32_t n_nodes = jb_host_list(line, nodes, 1024);
    for (uint32_t node = 0; node < n_nodes; node++) {
        (void)snprintf(path, sizeof path, "/sys/devices/system/node/node%u/cpulist", nodes[node]);
        if (!jb_host_line(root, path, line, sizeof line)) {
            continue;
        }
        const uint32_t n = jb_host_list(line, scratch, MAX_PUS);
        for (uint32_t i = 0; i < n; i++) {
            for (uint32_t j = 0; j < topology->n_pus; j++) {
                if (topology->pus[j].os == scratch[i]) {
                    topology->pus[j].numa = nodes[node];
                }
            }
        }
    }
}

/* "32768K" in bytes; 0 if malformed. */
static uint64_t cache_bytes(const char *text)
{
    char *end = NULL;
    const unsigned long long number = strtoull(text, &end, 10);
    const unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : 0;
    return number < (UINT64_C(1) << 40) ? (uint64_t)number << shift : 0;
}

static void read_caches(const char *root, struct jb_topology *topology)
{
    for (uint32_t index = 0; index < 8; index++) {
        char name[64], path[160], type[32], size[32];
        long long level = 0;
        const uint32_t first = topology->pus[0].os;
        const int n = snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/cache/index%u/",
                               first, index);
        (void)snprintf(path + n, sizeof path - (size_t)n, "level");
        if (!jb_host_number(root, path, &level)) {
            break;
        }
        (void)snprintf(path + n, sizeof path - (size_t)n, "type");
        if (!jb_host_line(root, path, type, sizeof type) || strcmp(type, "Instruction") == 0) {
            continue;
        }
        (void)snprintf(path + n, sizeof path - (size_t)n, "size");
        const uint64_t bytes = jb_host_line(root, path, size, sizeof size) ? cache_bytes(size) : 0;
        if (level == 1) {
            topology->l1d_bytes = bytes;
        } else if (level == 2) {
            topology->l2_bytes = bytes;
        } else if (level == 3) {
            topology->l3_bytes = bytes;
            (void)snprintf(name, sizeof name, "cache/index%u/shared_cpu_list", index);
            for (uint32_t i = 0; i < topology->n_pus; i++) {
                topology->pus[i].l3 = first_of(root, topology->pus[i].os, name, 0);
            }
        }
    }
}

enum jb_status jb_topology_sysfs(const char *root, struct jb_topology *ret_topology)
{
    char line[4096];
    if (!jb_host_line(root, "/sys/devices/system/cpu/online", line, sizeof line)) {
        return jb_fail(JB_E_NODEV, "'%s/sys/devices/system/cpu/online': cannot be read", root);
    }
    uint32_t *numbers = calloc(MAX_PUS, sizeof *numbers);
    struct jb_topology topology = {.pus = calloc(MAX_PUS, sizeof *topology.pus)};
    if (numbers == NULL || topology.pus == NULL) {
        free(numbers);
        jb_topology_free(&topology);
        return jb_fail(JB_E_NOMEM, "no memory for the topology");
    }
    topology.n_pus = jb_host_list(line, numbers, MAX_PUS);
    for (uint32_t i = 0; i < topology.n_pus; i++) {
        read_unit(root, numbers[i], &topology.pus[i]);
    }
    if (topology.n_pus > 0) {
        read_nodes(root, &topology, numbers);
        read_caches(root, &topology);
        jb_topology_count(&topology);
    }
    free(numbers);
    if (topology.n_pus == 0) {
        jb_topology_free(&topology);
        return jb_fail(JB_E_FORMAT, "'%s/sys/devices/system/cpu/online': '%s' is no list of units",
                       root, line);
    }
    *ret_topology = topology;
    return JB_OK;
}

enum jb_status jb_topology_plain(struct jb_topology *ret_topology)
{
    const uint32_t n = jb_allowed_pus(NULL, 0);
    uint32_t *numbers = calloc(n, sizeof *numbers);
    struct jb_topology topology = {.pus = calloc(n, sizeof *topology.pus), .n_pus = n};
    if (numbers == NULL || topology.pus == NULL) {
        free(numbers);
        jb_topology_free(&topology);
        return jb_fail(JB_E_NOMEM, "no memory for the topology");
    }
    const uint32_t n_told = jb_allowed_pus(numbers, n);
    for (uint32_t i = 0; i < n && i < n_told; i++) {
        topology.pus[i] = (struct jb_topo_pu){.os = numbers[i], .core = i, .is_allowed = true};
    }
    free(numbers);
    jb_topology_count(&topology);
    *ret_topology = topology;
    return JB_OK;
}

/* Leaves only what the operating system lets this process use. */
static void mark_allowed(struct jb_topology *topology)
{
    const uint32_t n = jb_allowed_pus(NULL, 0);
    uint32_t *numbers = calloc(n, sizeof *numbers);
    if (numbers == NULL) {
        return;
    }
    const uint32_t n_told = jb_allowed_pus(numbers, n);
    for (uint32_t i = 0; i < topology->n_pus; i++) {
        topology->pus[i].is_allowed = false;
        for (uint32_t j = 0; j < n && j < n_told; j++) {
            topology->pus[i].is_allowed |= numbers[j] == topology->pus[i].os;
        }
    }
    free(numbers);
}

enum jb_status jb_topology_read(struct jb_topology *ret_topology)
{
    const char *root = jb_host_root();
    struct jb_topology topology = {.pus = NULL};
    if (root[0] != '\0') {
        return jb_topology_sysfs(root, ret_topology);
    }
    if (jb_topology_hwloc(&topology) != JB_OK && jb_topology_sysfs("", &topology) != JB_OK) {
        return jb_topology_plain(ret_topology);
    }
    mark_allowed(&topology);
    /* A topology that shows none of our units (an XML file of elsewhere) is of no use for work. */
    if (jb_topology_allowed_cores(&topology) == 0) {
        jb_topology_free(&topology);
        return jb_topology_plain(ret_topology);
    }
    *ret_topology = topology;
    return JB_OK;
}
