/* SPDX-License-Identifier: MIT */
/* Reads what this machine is, through the movable root. */
#include "platforms/host/host.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platforms/base/units.h"
#include "platforms/host/topology.h"
#include "platforms/os/os.h"

#if defined(_WIN32)
#include <windows.h>
#elif !defined(__linux__)
#include <sys/utsname.h>
#endif

#if defined(__x86_64__)
#define MACHINE "x86_64"
#elif defined(__aarch64__)
#define MACHINE "aarch64"
#elif defined(__i386__)
#define MACHINE "i386"
#elif defined(__riscv)
#define MACHINE "riscv"
#elif defined(__powerpc64__)
#define MACHINE "ppc64"
#else
#define MACHINE "unknown machine"
#endif

static char root_path[512];

void jb_host_set_root(const char *root)
{
    (void)snprintf(root_path, sizeof root_path, "%s", root != NULL ? root : "");
}

const char *jb_host_root(void)
{
    return root_path;
}

static bool is_captured(void)
{
    return root_path[0] != '\0';
}

static bool line_of(const char *path, char *ret_line, size_t size)
{
    return jb_host_line(root_path, path, ret_line, size);
}

/* Copies text without leading, trailing and doubled blanks. */
static void copy_tidy(char *ret_text, size_t size, const char *text)
{
    size_t n = 0;
    for (const char *c = text; *c != '\0' && n + 1 < size; c++) {
        if (isspace((unsigned char)*c) == 0) {
            ret_text[n++] = *c;
        } else if (n > 0 && ret_text[n - 1] != ' ') {
            ret_text[n++] = ' ';
        }
    }
    while (n > 0 && ret_text[n - 1] == ' ') {
        n--;
    }
    ret_text[n] = '\0';
}

/* ---- /proc/cpuinfo ---- */

/* Value of the first "key : value" line; false if there is none. */
static bool cpuinfo(const char *key, char *ret_value, size_t size)
{
    char path[600], line[4096];
    (void)snprintf(path, sizeof path, "%s/proc/cpuinfo", root_path);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    const size_t key_length = strlen(key);
    bool found = false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (colon == NULL || strncmp(line, key, key_length) != 0) {
            continue;
        }
        const size_t blanks = strspn(line + key_length, " \t");
        if (line + key_length + blanks == colon) {
            copy_tidy(ret_value, size, colon + 1);
            found = true;
        }
    }
    (void)fclose(file);
    return found;
}

/* Arm's MIDR: implementer and part numbers as /proc/cpuinfo shows them (Linux' cputype.h). */
static const char *arm_part(unsigned long implementer, unsigned long part)
{
    static const struct {
        unsigned long implementer, part;
        const char *name;
    } parts[] = {
        {0x41, 0xd03, "Arm Cortex-A53"},  {0x41, 0xd05, "Arm Cortex-A55"},
        {0x41, 0xd08, "Arm Cortex-A72"},  {0x41, 0xd0b, "Arm Cortex-A76"},
        {0x41, 0xd0c, "Arm Neoverse-N1"}, {0x41, 0xd40, "Arm Neoverse-V1"},
        {0x41, 0xd41, "Arm Cortex-A78"},  {0x41, 0xd49, "Arm Neoverse-N2"},
        {0x41, 0xd4f, "Arm Neoverse-V2"}, {0xc0, 0xac3, "Ampere-1"},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].implementer == implementer && parts[i].part == part) {
            return parts[i].name;
        }
    }
    return NULL;
}

static void read_model(struct jb_host *host)
{
    char implementer[16], part[16], board[72] = "", line[128];
    if (cpuinfo("model name", host->cpu_model, sizeof host->cpu_model) && host->cpu_model[0]) {
        return;
    }
    if (line_of("/proc/device-tree/model", line, sizeof line)) {
        copy_tidy(board, sizeof board, line);
    }
    if (cpuinfo("CPU implementer", implementer, sizeof implementer) &&
        cpuinfo("CPU part", part, sizeof part)) {
        const char *name = arm_part(strtoul(implementer, NULL, 0), strtoul(part, NULL, 0));
        char number[48];
        (void)snprintf(number, sizeof number, "Arm %s/%s", implementer, part);
        (void)snprintf(host->cpu_model, sizeof host->cpu_model, "%s%s%s%s",
                       name != NULL ? name : number, board[0] ? " (" : "", board,
                       board[0] ? ")" : "");
        return;
    }
    if (!is_captured()) {
        char raw[128];
        jb_cpuid_model(raw, sizeof raw);
        copy_tidy(host->cpu_model, sizeof host->cpu_model, raw);
    }
    if (host->cpu_model[0] == '\0') {
        (void)snprintf(host->cpu_model, sizeof host->cpu_model, "%s", board[0] ? board : "unknown");
    }
}

/* ---- system name ---- */

static void read_os(struct jb_host *host)
{
    char release[64], machine[32];
    if (line_of("/proc/sys/kernel/osrelease", release, sizeof release)) {
        if (!line_of("/proc/sys/kernel/arch", machine, sizeof machine)) {
            (void)snprintf(machine, sizeof machine, "%s", is_captured() ? "" : MACHINE);
        }
        (void)snprintf(host->os, sizeof host->os, "Linux %s%s%s", release, machine[0] ? " " : "",
                       machine);
        return;
    }
#if defined(_WIN32)
    (void)snprintf(host->os, sizeof host->os, "Windows %s", MACHINE);
#elif !defined(__linux__)
    struct utsname name;
    if (uname(&name) == 0) {
        (void)snprintf(host->os, sizeof host->os, "%.40s %.40s %.40s", name.sysname, name.release,
                       name.machine);
        return;
    }
#endif
    if (host->os[0] == '\0') {
        (void)snprintf(host->os, sizeof host->os, "unknown");
    }
}

/* ---- hypervisor ---- */

/* What firmware says of virtual machines; a vendor that also sells bare machines (".metal") is
 * told by its product. */
static void read_firmware(char *ret_name, size_t size)
{
    static const struct {
        const char *file, *text, *name;
    } known[] = {
        {"product_name", "KVM", "KVM"},
        {"sys_vendor", "QEMU", "QEMU"},
        {"sys_vendor", "VMware", "VMware"},
        {"sys_vendor", "innotek", "VirtualBox"},
        {"sys_vendor", "Xen", "Xen"},
        {"sys_vendor", "Parallels", "Parallels"},
        {"sys_vendor", "Apple Virtualization", "Apple"},
        {"product_name", "Virtual Machine", "Hyper-V"},
        {"product_name", "Google Compute Engine", "KVM"},
        {"sys_vendor", "Amazon EC2", "Nitro"},
    };
    char product[128] = "";
    ret_name[0] = '\0';
    (void)line_of("/sys/class/dmi/id/product_name", product, sizeof product);
    if (strstr(product, ".metal") != NULL) {
        return;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char path[64], line[128];
        (void)snprintf(path, sizeof path, "/sys/class/dmi/id/%s", known[i].file);
        if (line_of(path, line, sizeof line) &&
            strncmp(line, known[i].text, strlen(known[i].text)) == 0) {
            (void)snprintf(ret_name, size, "%s", known[i].name);
            return;
        }
    }
}

static void read_hypervisor(struct jb_host *host)
{
    char flags[4096] = "", line[64];
    char *name = host->hypervisor;
    const size_t size = sizeof host->hypervisor;
    if (!is_captured()) {
        jb_cpuid_hypervisor(name, size);
    }
    if (name[0] == '\0' && line_of("/sys/hypervisor/type", line, sizeof line)) {
        (void)snprintf(name, size, "%.31s", line);
    }
    if (name[0] == '\0') {
        read_firmware(name, size);
    }
    if (name[0] == '\0' && line_of("/proc/device-tree/hypervisor/compatible", line, sizeof line)) {
        (void)snprintf(name, size, "%.31s", line);
    }
    /* The kernel's word list has blanks around each word but the last. */
    if (name[0] == '\0' && cpuinfo("flags", flags, sizeof flags)) {
        const char *flag = strstr(flags, " hypervisor");
        if (flag != NULL && (flag[11] == ' ' || flag[11] == '\0')) {
            (void)snprintf(name, size, "unknown");
        }
    }
    host->is_virtual = name[0] != '\0';
}

/* ---- clocks and settings ---- */

static double hz_of(const char *path, double factor)
{
    long long number = 0;
    return jb_host_number(root_path, path, &number) && number > 0 ? (double)number * factor
                                                                  : jb_missing();
}

static void read_clocks(struct jb_host *host)
{
    host->max_hz = hz_of("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", 1e3);
    host->base_hz = hz_of("/sys/devices/system/cpu/cpu0/cpufreq/base_frequency", 1e3);
    if (jb_is_missing(host->base_hz)) {
        host->base_hz = hz_of("/sys/devices/system/cpu/cpu0/acpi_cppc/nominal_freq", 1e6);
    }
}

/* One word if all units agree, else "mixed". */
static void read_governor(struct jb_host *host, const struct jb_topology *topology)
{
    for (uint32_t i = 0; i < topology->n_pus; i++) {
        char path[96], line[32];
        (void)snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/cpufreq/scaling_governor",
                       topology->pus[i].os);
        if (!line_of(path, line, sizeof line)) {
            continue;
        }
        if (host->governor[0] == '\0') {
            (void)snprintf(host->governor, sizeof host->governor, "%s", line);
        } else if (strcmp(host->governor, line) != 0) {
            (void)snprintf(host->governor, sizeof host->governor, "mixed");
            return;
        }
    }
}

static void read_settings(struct jb_host *host)
{
    char line[128];
    long long number = 0;
    host->aslr = -1;
    host->perf_paranoid = -100;
    if (jb_host_number(root_path, "/proc/sys/kernel/randomize_va_space", &number)) {
        host->aslr = (int)number;
    }
    if (jb_host_number(root_path, "/proc/sys/kernel/perf_event_paranoid", &number)) {
        host->perf_paranoid = (int)number;
    }
    /* "always [madvise] never": the chosen word is in brackets. */
    if (line_of("/sys/kernel/mm/transparent_hugepage/enabled", line, sizeof line)) {
        const char *open = strchr(line, '[');
        const size_t n = open != NULL ? strcspn(open + 1, "]") : 0;
        if (n > 0 && n < sizeof host->huge_pages) {
            memcpy(host->huge_pages, open + 1, n);
        }
    }
}

static uint64_t meminfo_bytes(const char *key)
{
    char path[600], line[256];
    unsigned long long kib = 0;
    (void)snprintf(path, sizeof path, "%s/proc/meminfo", root_path);
    FILE *file = fopen(path, "rb");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) {
            kib = strtoull(line + strlen(key), NULL, 10);
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return (uint64_t)kib * 1024;
}

static void read_memory(struct jb_host *host)
{
    host->memory_bytes = is_captured() ? meminfo_bytes("MemTotal:") : jb_memory_total_bytes();
    host->memory_available_bytes =
        is_captured() ? meminfo_bytes("MemAvailable:") : jb_memory_available_bytes();
}

/* ---- all of it ---- */

enum jb_status jb_host_read(struct jb_host *ret_host)
{
    struct jb_topology topology;
    const enum jb_status status = jb_topology_read(&topology);
    if (status != JB_OK) {
        return status;
    }
    struct jb_host host = {
        .n_packages = topology.n_packages,
        .n_numa = topology.n_numa,
        .n_cores = topology.n_cores,
        .n_pus = topology.n_pus,
        .physical_cores = is_captured() ? 0 : jb_cpuid_package_cores(),
        .l1d_bytes = topology.l1d_bytes,
        .l2_bytes = topology.l2_bytes,
        .l3_bytes = topology.l3_bytes,
        .n_l3 = topology.n_l3,
        .simd = JB_SIMD_SCALAR,
    };
    static const enum jb_simd ladder[] = {JB_SIMD_NEON,   JB_SIMD_DOTPROD, JB_SIMD_AVX2,
                                          JB_SIMD_AVX512, JB_SIMD_VNNI,    JB_SIMD_BF16,
                                          JB_SIMD_AMX};
    for (size_t i = 0; i < sizeof ladder / sizeof ladder[0]; i++) {
        host.simd = jb_simd_usable(ladder[i]) ? ladder[i] : host.simd;
    }
    if (!is_captured() ||
        !line_of("/proc/sys/kernel/hostname", host.host_name, sizeof host.host_name)) {
        jb_host_name(host.host_name, sizeof host.host_name);
    }
    read_model(&host);
    read_os(&host);
    read_hypervisor(&host);
    read_clocks(&host);
    read_governor(&host, &topology);
    read_settings(&host);
    read_memory(&host);
    jb_topology_free(&topology);
    *ret_host = host;
    return JB_OK;
}

enum jb_status jb_host_pick_pus(uint32_t n_threads, uint32_t *ret_pus)
{
    struct jb_topology topology;
    enum jb_status status = jb_topology_read(&topology);
    if (status == JB_OK) {
        status = jb_topology_pick(&topology, n_threads, ret_pus);
        jb_topology_free(&topology);
    }
    return status;
}

uint32_t jb_host_default_threads(void)
{
    struct jb_topology topology;
    if (jb_topology_read(&topology) != JB_OK) {
        return jb_allowed_pus(NULL, 0);
    }
    const uint32_t n = jb_topology_allowed_cores(&topology);
    jb_topology_free(&topology);
    return n > 0 ? n : 1;
}
