/* SPDX-License-Identifier: MIT */
/* joulebench doctor: what this machine offers, what is missing and how to unlock it. One list of
 * (section, name, status, detail) lines, for people in columns, for programs as CSV. */
#include <getopt.h>
#include <stdarg.h>
#include <string.h>

#include "backends/registry.h"
#include "bench/cli.h"
#include "platforms/devices/device_file.h"
#include "platforms/host/host.h"
#include "platforms/meters/meter.h"

struct report {
    bool as_csv;
    const char *section; /* of the last line */
};

static void line(struct report *report, const char *section, const char *name, const char *status,
                 const char *fmt, ...) JB_PRINTF(5, 6);
static void line(struct report *report, const char *section, const char *name, const char *status,
                 const char *fmt, ...)
{
    char detail[JB_REASON_MAX + 256];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    if (report->as_csv) {
        const char *const cells[] = {section, name, status, detail};
        for (int i = 0; i < 4; i++) {
            (void)fputs(i == 0 ? "" : ",", stdout);
            jb_cli_csv_cell(stdout, cells[i]);
        }
        (void)putchar('\n');
        return;
    }
    if (report->section == NULL || strcmp(report->section, section) != 0) {
        (void)printf("%s%s\n", report->section != NULL ? "\n" : "", section);
        report->section = section;
    }
    (void)printf("  %-20s %-11s %s\n", name, status, detail);
}

/* ---- machine ---- */

/* "32 KiB": whole units where they are whole. */
static void bytes_text(uint64_t bytes, char *ret_text, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double number = (double)bytes;
    size_t i = 0;
    while (number >= 1024 && i < 4) {
        number /= 1024;
        i++;
    }
    (void)snprintf(ret_text, size, "%.4g %s", number, units[i]);
}

static void cache_line(struct report *report, const char *name, uint64_t bytes, uint32_t n)
{
    char size[32], count[32] = "";
    bytes_text(bytes, size, sizeof size);
    if (n > 0) {
        (void)snprintf(count, sizeof count, ", %u of them", n);
    }
    line(report, "machine", name, bytes > 0 ? "ok" : "unknown", "%s%s", bytes > 0 ? size : "",
         bytes > 0 ? count : "not told by this machine");
}

static void say_clock(struct report *report, const char *name, double hz)
{
    if (jb_is_missing(hz)) {
        line(report, "machine", name, "unknown", "not told by this machine");
    } else {
        line(report, "machine", name, "ok", "%.3g GHz", hz * 1e-9);
    }
}

static void say_machine(struct report *report, const struct jb_host *host)
{
    char total[32], free_now[32];
    line(report, "machine", "cpu", "ok", "%s", host->cpu_model);
    line(report, "machine", "system", "ok", "%s", host->os);
    line(report, "machine", "cores", "ok", "%u cores, %u processing units, %u package%s; %u usable",
         host->n_cores, host->n_pus, host->n_packages, host->n_packages == 1 ? "" : "s",
         jb_host_default_threads());
    if (host->physical_cores > 0) {
        line(report, "machine", "physical cores", "ok", "%u a package", host->physical_cores);
    } else {
        line(report, "machine", "physical cores", "unknown",
             "%s; a device file may tell (physical_cores)",
             host->is_virtual ? "a virtual machine hides them" : "CPUID does not tell");
    }
    cache_line(report, "L1 data cache", host->l1d_bytes, 0);
    cache_line(report, "L2 cache", host->l2_bytes, 0);
    cache_line(report, "L3 cache", host->l3_bytes, host->n_l3);
    line(report, "machine", "NUMA nodes", "ok", "%u", host->n_numa);
    bytes_text(host->memory_bytes, total, sizeof total);
    bytes_text(host->memory_available_bytes, free_now, sizeof free_now);
    line(report, "machine", "memory", host->memory_bytes > 0 ? "ok" : "unknown", "%s, %s free",
         total, free_now);
    say_clock(report, "base clock", host->base_hz);
    say_clock(report, "highest clock", host->max_hz);
    line(report, "machine", "virtual machine", host->is_virtual ? "yes" : "no", "%s",
         host->is_virtual ? host->hypervisor : "no hypervisor is visible");
}

/* ---- SIMD levels ---- */

static void say_simd(struct report *report)
{
    static const struct {
        enum jb_simd level;
        const char *what;
    } levels[] = {
        {JB_SIMD_SCALAR, "plain C"},
        {JB_SIMD_NEON, "AArch64 baseline"},
        {JB_SIMD_DOTPROD, "NEON and sdot"},
        {JB_SIMD_AVX2, "AVX2, FMA, F16C"},
        {JB_SIMD_AVX512, "AVX-512 F BW DQ VL"},
        {JB_SIMD_VNNI, "and AVX512_VNNI"},
        {JB_SIMD_BF16, "and AVX512_BF16"},
        {JB_SIMD_AMX, "and AMX tiles with int8 and bf16"},
    };
    enum jb_simd chosen = JB_SIMD_SCALAR;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        line(report, "simd", jb_simd_name(levels[i].level),
             jb_simd_usable(levels[i].level) ? "usable" : "absent", "%s", levels[i].what);
    }
    const enum jb_status status = jb_host_simd_choose(&chosen);
    if (status == JB_OK) {
        line(report, "simd", "chosen", "ok", "%s; JB_SIMD=NAME lowers it", jb_simd_name(chosen));
    } else {
        line(report, "simd", "chosen", jb_status_name(status), "%s", jb_reason());
    }
}

/* ---- settings ---- */

static void say_settings(struct report *report, const struct jb_host *host)
{
    const bool has_governor = host->governor[0] != '\0';
    const bool is_fast = strcmp(host->governor, "performance") == 0;
    line(report, "settings", "governor",
         !has_governor ? "absent"
         : is_fast     ? "ok"
                       : "change",
         "%s", has_governor ? host->governor : "this machine offers no clock control");
    const bool has_pages = host->huge_pages[0] != '\0';
    line(report, "settings", "huge pages",
         !has_pages                               ? "absent"
         : strcmp(host->huge_pages, "never") == 0 ? "change"
                                                  : "ok",
         "%s", has_pages ? host->huge_pages : "this system offers no transparent huge pages");
    if (host->aslr >= 0) {
        line(report, "settings", "address randomising", "ok", "randomize_va_space = %d",
             host->aslr);
    } else {
        line(report, "settings", "address randomising", "unknown", "not told by this system");
    }
    if (host->perf_paranoid != -100) {
        line(report, "settings", "perf_event_paranoid",
             host->perf_paranoid <= 0   ? "ok"
             : host->perf_paranoid <= 2 ? "limited"
                                        : "change",
             "%d; at most 2 for counters of this process, 0 for energy", host->perf_paranoid);
    } else {
        line(report, "settings", "perf_event_paranoid", "absent",
             "this system offers no perf events");
    }
}

/* ---- what was built in ---- */

static void say_meters(struct report *report)
{
    for (uint32_t i = 0; i < jb_meter_count(); i++) {
        const struct jb_meter *meter = jb_meter_at(i);
        const struct jb_meter_args args = {.n_threads = 1};
        struct jb_meter_probe probe = {.what = ""};
        const enum jb_status status = meter->probe(&args, &probe);
        if (status == JB_OK) {
            line(report, "meters", meter->name, "available", "%s", probe.what);
        } else {
            line(report, "meters", meter->name, jb_status_name(status), "%s%s%s", jb_reason(),
                 probe.unlock[0] != '\0' ? "; to unlock: " : "", probe.unlock);
        }
    }
}

static void say_backends(struct report *report)
{
    for (uint32_t i = 0; i < jb_registry_count(); i++) {
        const struct jb_backend *backend = jb_registry_at(i);
        const struct jb_open_args args = {.n_threads = 1};
        struct jb_probe probe;
        const enum jb_status status = backend->probe(&args, &probe);
        if (status == JB_OK) {
            line(report, "backends", backend->name, "available", "%s",
                 probe.device[0] != '\0' ? probe.device : backend->summary);
        } else {
            line(report, "backends", backend->name, jb_status_name(status), "%s", jb_reason());
        }
    }
}

static bool say_device(void *ctx, const char *kind, const char *name, const char *path)
{
    char full_name[96];
    (void)snprintf(full_name, sizeof full_name, "%s/%s", kind, name);
    line(ctx, "devices", full_name, "found", "%s", path);
    return true;
}

static void say_devices(struct report *report)
{
    const enum jb_status status = jb_device_list(say_device, report);
    if (status != JB_OK) {
        line(report, "devices", "list", jb_status_name(status), "%s", jb_reason());
    }
}

static void say_advice(struct report *report, const struct jb_host *host)
{
    struct jb_advice advice[16];
    const uint32_t n = jb_host_advice(host, advice, 16);
    for (uint32_t i = 0; i < n; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%u", i + 1);
        line(report, "advice", name, "advice", "%s", advice[i].text);
    }
    if (n == 0) {
        line(report, "advice", "-", "ok", "nothing to change");
    }
}

static void print_help(void)
{
    (void)fputs(
        "usage: joulebench doctor [--csv]\n\n"
        "Says what this machine offers: topology, SIMD levels, settings that move results,\n"
        "each power source with what it is or why it is absent (and the command that would\n"
        "unlock it), backends, device files, advice.\n\noptions:\n"
        "  --csv  section,name,status,detail for programs\n",
        stdout);
}

int jb_cmd_doctor(int argc, char **argv)
{
    static const struct option options[] = {
        {"csv", no_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    struct report report = {.as_csv = false};
    optind = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (c == 'h') {
            print_help();
            return JB_EXIT_OK;
        }
        if (c != 'c') {
            return jb_cli_usage("doctor", "unknown option '%s'", argv[optind - 1]);
        }
        report.as_csv = true;
    }
    if (optind != argc) {
        return jb_cli_usage("doctor", "unexpected argument '%.64s'", argv[optind]);
    }
    struct jb_host host;
    const enum jb_status status = jb_host_read(&host);
    if (status != JB_OK) {
        return jb_cli_fail(status);
    }
    if (report.as_csv) {
        (void)puts("section,name,status,detail");
    }
    say_machine(&report, &host);
    say_simd(&report);
    say_settings(&report, &host);
    say_meters(&report);
    say_backends(&report);
    say_devices(&report);
    say_advice(&report, &host);
    return JB_EXIT_OK;
}
