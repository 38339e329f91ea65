/* SPDX-License-Identifier: MIT */
/* What code may run here: CPUID and XCR0 on x86, HWCAP or sysctl on AArch64. */
#define _GNU_SOURCE
#include "platforms/host/host.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platforms/host/topology.h"

#if defined(__x86_64__) || defined(__i386__)
#define IS_X86 1
#include <cpuid.h>
#else
#define IS_X86 0
#endif

#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__linux__) && defined(__aarch64__)
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

static const struct {
    enum jb_simd level;
    const char *name;
} levels[] = {
    {JB_SIMD_SCALAR, "scalar"}, {JB_SIMD_NEON, "neon"},     {JB_SIMD_DOTPROD, "dotprod"},
    {JB_SIMD_AVX2, "avx2"},     {JB_SIMD_AVX512, "avx512"}, {JB_SIMD_VNNI, "vnni"},
    {JB_SIMD_BF16, "bf16"},     {JB_SIMD_AMX, "amx"},
};
#define N_LEVELS (sizeof levels / sizeof levels[0])

const char *jb_simd_name(enum jb_simd level)
{
    for (size_t i = 0; i < N_LEVELS; i++) {
        if (levels[i].level == level) {
            return levels[i].name;
        }
    }
    return "unknown";
}

bool jb_simd_by_name(const char *name, enum jb_simd *ret_level)
{
    for (size_t i = 0; i < N_LEVELS; i++) {
        if (strcmp(levels[i].name, name) == 0) {
            *ret_level = levels[i].level;
            return true;
        }
    }
    return false;
}

/* ---- x86 ---- */

#if IS_X86

/* One CPUID answer; all zero where the leaf is not there. */
struct leaf {
    unsigned a, b, c, d;
};

static struct leaf cpuid(unsigned number, unsigned sub)
{
    struct leaf leaf = {.a = 0};
    if (__get_cpuid_count(number, sub, &leaf.a, &leaf.b, &leaf.c, &leaf.d) == 0) {
        leaf = (struct leaf){.a = 0};
    }
    return leaf;
}

/* Register state that the operating system saves: without it the instructions fault. */
static uint64_t saved_state(void)
{
    if ((cpuid(1, 0).c >> 27 & 1) == 0) {
        return 0;
    }
    uint32_t low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Since Linux 5.16 a process must ask before it may touch the tile registers; a "no" is final. */
static bool may_use_tiles(void)
{
#if defined(__linux__) && defined(__x86_64__)
    enum { ARCH_REQ_XCOMP_PERM_ = 0x1023, XFEATURE_XTILEDATA_ = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM_, XFEATURE_XTILEDATA_) == 0;
#else
    return false;
#endif
}

static bool has_all(unsigned word, unsigned bits)
{
    return (word & bits) == bits;
}

/* Bits: Intel SDM volume 2, CPUID; XCR0: volume 1, section 13.3. */
static enum jb_simd detect(void)
{
    const uint64_t xcr0 = saved_state();
    const struct leaf one = cpuid(1, 0), seven = cpuid(7, 0), seven_1 = cpuid(7, 1);
    const unsigned fma_f16c_avx = 1u << 12 | 1u << 29 | 1u << 28;
    const unsigned f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    const unsigned amx_bf16_tile_int8 = 1u << 22 | 1u << 24 | 1u << 25;
    if ((xcr0 & 0x6) != 0x6 || !has_all(one.c, fma_f16c_avx) || !has_all(seven.b, 1u << 5)) {
        return JB_SIMD_SCALAR;
    }
    /* macOS turns the 512-bit state on at first use, so XCR0 hides it there and AVX2 is used. */
    if ((xcr0 & 0xe6) != 0xe6 || !has_all(seven.b, f_dq_bw_vl)) {
        return JB_SIMD_AVX2;
    }
    if (!has_all(seven.c, 1u << 11)) {
        return JB_SIMD_AVX512;
    }
    if (!has_all(seven_1.a, 1u << 5)) {
        return JB_SIMD_VNNI;
    }
    if ((xcr0 & 0x60000) != 0x60000 || !has_all(seven.d, amx_bf16_tile_int8) || !may_use_tiles()) {
        return JB_SIMD_BF16;
    }
    return JB_SIMD_AMX;
}

static bool has_hypervisor(void)
{
    return (cpuid(1, 0).c >> 31 & 1) != 0;
}

uint32_t jb_cpuid_package_cores(void)
{
    /* Hypervisors make these leaves up to fit the virtual machine, and cores of two kinds share
     * no threads-a-core number: unknown in both cases. */
    if (has_hypervisor() || (cpuid(7, 0).d >> 15 & 1) != 0) {
        return 0;
    }
    const struct leaf threads = cpuid(0xb, 0), cores = cpuid(0xb, 1);
    const unsigned smt_level = 1, core_level = 2;
    if ((threads.c >> 8 & 0xff) == smt_level && (cores.c >> 8 & 0xff) == core_level &&
        (threads.b & 0xffff) > 0) {
        return (cores.b & 0xffff) / (threads.b & 0xffff);
    }
    /* AMD without leaf 0xB: threads of the package, and threads of a core. */
    const unsigned n_threads = (cpuid(0x80000008, 0).c & 0xff) + 1;
    const unsigned n_a_core = (cpuid(0x8000001e, 0).b >> 8 & 0xff) + 1;
    return cpuid(0, 0).b == signature_AMD_ebx ? n_threads / n_a_core : 0;
}

void jb_cpuid_hypervisor(char *ret_name, size_t size)
{
    static const struct {
        const char *signature, *name;
    } known[] = {
        {"KVMKVMKVM", "KVM"},           {"Microsoft Hv", "Hyper-V"},   {"VMwareVMware", "VMware"},
        {"XenVMMXenVMM", "Xen"},        {"TCGTCGTCGTCG", "QEMU TCG"},  {"bhyve bhyve ", "bhyve"},
        {"VBoxVBoxVBox", "VirtualBox"}, {" lrpepyh  vr", "Parallels"}, {"ACRNACRNACRN", "ACRN"},
    };
    ret_name[0] = '\0';
    if (!has_hypervisor()) {
        return;
    }
    /* __get_cpuid_count() refuses this range, which only hypervisors answer. */
    struct leaf leaf;
    char signature[13] = "";
    __cpuid(0x40000000, leaf.a, leaf.b, leaf.c, leaf.d);
    memcpy(signature, &leaf.b, 4);
    memcpy(signature + 4, &leaf.c, 4);
    memcpy(signature + 8, &leaf.d, 4);
    const char *name = "unknown";
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(signature, known[i].signature) == 0) {
            name = known[i].name;
        }
    }
    (void)snprintf(ret_name, size, "%s", name);
}

void jb_cpuid_model(char *ret_name, size_t size)
{
    char text[49] = "";
    for (unsigned i = 0; i < 3; i++) {
        const struct leaf leaf = cpuid(0x80000002u + i, 0);
        memcpy(text + i * sizeof leaf, &leaf, sizeof leaf);
    }
    (void)snprintf(ret_name, size, "%s", text);
}

#else

#if defined(__aarch64__) || defined(_M_ARM64)

static bool has_dotprod(void)
{
#if defined(__linux__)
    const unsigned long asimddp = 1ul << 20; /* HWCAP_ASIMDDP of the kernel's ABI */
    return (getauxval(AT_HWCAP) & asimddp) != 0;
#elif defined(__APPLE__)
    int is_there = 0;
    size_t size = sizeof is_there;
    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &is_there, &size, NULL, 0) == 0 &&
           is_there != 0;
#else
    return false;
#endif
}

static enum jb_simd detect(void)
{
    return has_dotprod() ? JB_SIMD_DOTPROD : JB_SIMD_NEON;
}

#else

static enum jb_simd detect(void)
{
    return JB_SIMD_SCALAR;
}

#endif

uint32_t jb_cpuid_package_cores(void)
{
    return 0;
}

void jb_cpuid_hypervisor(char *ret_name, size_t size)
{
    (void)size;
    ret_name[0] = '\0';
}

void jb_cpuid_model(char *ret_name, size_t size)
{
    (void)size;
    ret_name[0] = '\0';
#if defined(__APPLE__)
    if (sysctlbyname("machdep.cpu.brand_string", ret_name, &size, NULL, 0) != 0) {
        ret_name[0] = '\0';
    }
#endif
}

#endif

/* ---- what is usable, what is asked for ---- */

static pthread_once_t best_once = PTHREAD_ONCE_INIT;
static enum jb_simd best_level;

static void find_best(void)
{
    best_level = detect();
}

static enum jb_simd best(void)
{
    (void)pthread_once(&best_once, find_best);
    return best_level;
}

bool jb_simd_usable(enum jb_simd level)
{
    /* Levels of one architecture are a ladder; those of the other never run. */
    const enum jb_simd limit = best();
    const bool same_family = (level >= JB_SIMD_AVX2) == (limit >= JB_SIMD_AVX2);
    return level == JB_SIMD_SCALAR || (same_family && level <= limit);
}

/* "scalar avx2 ..." : the names that may be asked for here. */
static void usable_names(char *ret_names, size_t size)
{
    ret_names[0] = '\0';
    for (size_t i = 0; i < N_LEVELS; i++) {
        if (jb_simd_usable(levels[i].level)) {
            const size_t n = strlen(ret_names);
            (void)snprintf(ret_names + n, size - n, "%s%s", n > 0 ? " " : "", levels[i].name);
        }
    }
}

enum jb_status jb_host_simd_choose(enum jb_simd *ret_level)
{
    const char *asked = getenv("JB_SIMD");
    enum jb_simd level = best();
    char names[128];
    if (asked == NULL || asked[0] == '\0') {
        *ret_level = level;
        return JB_OK;
    }
    usable_names(names, sizeof names);
    if (!jb_simd_by_name(asked, &level)) {
        return jb_fail(JB_E_INVAL, "JB_SIMD='%s' is no SIMD level; usable here: %s", asked, names);
    }
    if (!jb_simd_usable(level)) {
        return jb_fail(JB_E_NOTSUP, "JB_SIMD='%s' does not run here; usable here: %s", asked,
                       names);
    }
    *ret_level = level;
    return JB_OK;
}

enum jb_simd jb_host_simd(void)
{
    enum jb_simd level = JB_SIMD_SCALAR;
    return jb_host_simd_choose(&level) == JB_OK ? level : JB_SIMD_SCALAR;
}
