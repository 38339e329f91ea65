/* SPDX-License-Identifier: MIT */
/* joulebench roofline: what a device can do at most. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/registry.h"
#include "bench/ceilings.h"
#include "bench/cli.h"
#include "bench/opening.h"
#include "platforms/host/host.h"

#define MAX_COUNTS 32

static const char help[] =
    "usage: joulebench roofline [--backend B] [options]\n"
    "\n"
    "Measures a device's own ceilings with work that has no model: bytes read and copied a "
    "second,\n"
    "multiply-accumulates a second by number format. Prints a table, or CSV. `run` and `op` "
    "measure\n"
    "the two they need by themselves; with --ceilings FILE they take them from here.\n"
    "\n"
    "options\n"
    "  --backend B         one of `list backends`                        [cpu]\n"
    "  --device NAME|FILE  a device of `list devices`\n"
    "  --set K=V           a setting of the backend; may be repeated\n"
    "  --plugin FILE       load a backend from a shared object; may be repeated\n"
    "  --threads LIST      host threads: 1,2,4                           [1 and all cores]\n"
    "  --bytes N           read and copied in a call, more than caches hold\n"
    "                                                   [1GiB, or a quarter of what is free]\n"
    "  --window S          how long each ceiling is measured             [500ms]\n"
    "  --csv               CSV on stdout instead of the table\n"
    "  -o, --output FILE   the CSV into a file, beside the table on stdout\n"
    "  -h, --help          this text\n"
    "\n"
    "rate is the median over the calls of a window, low and high are its 5 % and 95 % quantiles;\n"
    "high is taken as the ceiling. A copy counts what is read and what is written.\n";

struct asked {
    const struct jb_backend *backend;
    const char *name, *device, *output;
    struct jb_settings settings;
    uint32_t threads[MAX_COUNTS];
    uint32_t n_threads;
    uint64_t bytes;
    double window_s;
    bool as_csv;
    struct jb_ceiling ceilings[JB_MAX_CEILINGS];
    uint32_t n;
    struct jb_progress progress;
};

/* ---- measuring ---- */

static enum jb_status measure(struct asked *asked, const struct jb_ceiling_args *args,
                              const struct jb_exercise *what, const char *device, uint32_t threads)
{
    struct jb_ceiling *ceiling = &asked->ceilings[asked->n];
    if (asked->n == JB_MAX_CEILINGS) {
        return jb_fail(JB_E_INVAL, "more than %d ceilings: name fewer --threads", JB_MAX_CEILINGS);
    }
    jb_progress_show(&asked->progress, "%s: %u threads, %s %s", asked->backend->name, threads,
                     jb_ceiling_kind_name(what->kind), what->number != NULL ? what->number : "");
    const enum jb_status status = jb_ceiling_measure(args, what, ceiling);
    if (status == JB_OK) {
        (void)snprintf(ceiling->device, sizeof ceiling->device, "%s", device);
        ceiling->threads = threads;
        asked->n++;
    }
    return status == JB_E_NOTSUP ? JB_OK : status; /* a device need not have every number */
}

static enum jb_status measure_open(struct asked *asked, struct jb_device *device, const char *name,
                                   uint32_t threads)
{
    static const char *const numbers[] = {"f32", "f16", "bf16", "int8", "fp8"};
    const struct jb_ceiling_args args = {
        .backend = asked->backend, .device = device, .window_s = asked->window_s};
    const struct jb_exercise read = {.kind = JB_EXERCISE_READ, .bytes = asked->bytes};
    const struct jb_exercise copy = {.kind = JB_EXERCISE_COPY, .bytes = asked->bytes / 2};
    enum jb_status status = measure(asked, &args, &read, name, threads);
    if (status == JB_OK) {
        status = measure(asked, &args, &copy, name, threads);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && status == JB_OK; i++) {
        const struct jb_exercise macs = {.kind = JB_EXERCISE_MACS, .number = numbers[i]};
        status = measure(asked, &args, &macs, name, threads);
    }
    return status;
}

static enum jb_status measure_threads(struct asked *asked, uint32_t threads, bool *ret_is_open)
{
    const struct jb_backend *backend = asked->backend;
    struct jb_setting own[JB_MAX_SETTINGS];
    struct jb_probe probe;
    uint32_t *pus = calloc(threads, sizeof *pus);
    struct jb_device *device = calloc(1, backend->device_size);
    struct jb_open_args open = {
        .device = asked->device, .settings = own, .pus = pus, .n_threads = threads, .seed = 42};
    enum jb_status status = pus != NULL && device != NULL
                                ? jb_host_pick_pus(threads, pus)
                                : jb_fail(JB_E_NOMEM, "no memory for %u threads", threads);
    open.n_settings =
        jb_settings_choose(asked->settings.items, asked->settings.n, &backend, 1, backend, own);
    if (status == JB_OK && jb_is_description(backend, &open)) {
        open.device = NULL;
    }
    if (status == JB_OK) {
        status = backend->probe(&open, &probe);
    }
    if (status == JB_OK) {
        status = backend->open(device, &open);
    }
    if (status == JB_OK) {
        *ret_is_open = true;
        status = measure_open(asked, device, probe.device, threads);
        backend->close(device);
    }
    free(device);
    free(pus);
    return status;
}

/* ---- printing ---- */

static const char *what_of(const struct jb_ceiling *c)
{
    return c->kind == JB_EXERCISE_MACS ? c->number : jb_ceiling_kind_name(c->kind);
}

static void print_table(const struct asked *asked)
{
    (void)printf("%s: %s\n%7s  %-5s %12s %12s %12s  %s\n", asked->backend->name,
                 asked->n > 0 ? asked->ceilings[0].device : "", "threads", "what", "median", "low",
                 "high", "unit");
    for (uint32_t i = 0; i < asked->n; i++) {
        const struct jb_ceiling *c = &asked->ceilings[i];
        const bool is_macs = c->kind == JB_EXERCISE_MACS;
        (void)printf("%7u  %-5s %12.4g %12.4g %12.4g  %s\n", c->threads, what_of(c), c->rate / 1e9,
                     c->rate_low / 1e9, c->rate_high / 1e9, is_macs ? "GMAC/s" : "GB/s");
    }
}

static int print(const struct asked *asked)
{
    if (asked->as_csv) {
        jb_ceilings_print_csv(stdout, asked->ceilings, asked->n);
    } else {
        print_table(asked);
    }
    if (asked->output == NULL) {
        return JB_EXIT_OK;
    }
    FILE *out = fopen(asked->output, "wb");
    if (out != NULL) {
        jb_ceilings_print_csv(out, asked->ceilings, asked->n);
    }
    const bool is_whole = out != NULL && ferror(out) == 0;
    if (out == NULL || fclose(out) != 0 || !is_whole) {
        jb_cli_error("%s: cannot write: %s", asked->output, strerror(errno));
        return JB_EXIT_FAILED;
    }
    return JB_EXIT_OK;
}

static int run(struct asked *asked)
{
    bool is_open = false;
    enum jb_status status =
        jb_settings_check(asked->settings.items, asked->settings.n, &asked->backend, 1);
    if (status == JB_OK && asked->backend->exercise == NULL) {
        jb_cli_error("backend `%s` offers nothing to measure: it has no work without a model",
                     asked->backend->name);
        return JB_EXIT_UNAVAILABLE;
    }
    jb_progress_start(&asked->progress);
    for (uint32_t i = 0; i < asked->n_threads && status == JB_OK; i++) {
        status = measure_threads(asked, asked->threads[i], &is_open);
    }
    jb_progress_end(&asked->progress);
    if (status == JB_OK) {
        return print(asked);
    }
    if (!is_open && (status == JB_E_NODEV || status == JB_E_PERM || status == JB_E_NOTSUP)) {
        jb_cli_error("backend `%s` is unavailable: %s", asked->name, jb_reason());
        return JB_EXIT_UNAVAILABLE;
    }
    return jb_cli_fail(status);
}

/* ---- options ---- */

static bool take_threads(struct asked *asked, const char *text)
{
    const char *parts[MAX_COUNTS];
    char *copy = strdup(text);
    if (copy == NULL) {
        jb_cli_error("no memory for the options");
        return false;
    }
    const uint32_t n = jb_cli_split(copy, parts, MAX_COUNTS);
    bool is_good = n != UINT32_MAX;
    if (!is_good) {
        (void)jb_cli_usage("roofline", "--threads: an empty element, or more than %d", MAX_COUNTS);
    }
    for (uint32_t i = 0; i < n && is_good; i++) {
        uint64_t count = 0;
        is_good = jb_cli_u64("roofline", "--threads", parts[i], 1, 4096, &count);
        asked->threads[i] = (uint32_t)count;
    }
    asked->n_threads = n;
    free(copy);
    return is_good;
}

static bool take_window(struct asked *asked, const char *text)
{
    if (!jb_cli_seconds("roofline", "--window", text, &asked->window_s)) {
        return false;
    }
    if (asked->window_s > 3600) {
        (void)jb_cli_usage("roofline", "--window: %s is more than an hour a ceiling", text);
        return false;
    }
    return true;
}

/* @return false after saying why. */
static bool take(struct asked *asked, int option, const char *text)
{
    switch (option) {
    case 'b':
        asked->name = text;
        return true;
    case 'd':
        asked->device = text;
        return true;
    case 's':
        return jb_settings_add(&asked->settings, "roofline", text);
    case 'p': {
        const enum jb_status status = jb_registry_load_plugin(text);
        return status == JB_OK || jb_cli_fail(status) == JB_EXIT_OK;
    }
    case 't':
        return take_threads(asked, text);
    case 'n':
        return jb_cli_bytes("roofline", "--bytes", text, &asked->bytes);
    case 'w':
        return take_window(asked, text);
    case 'c':
        asked->as_csv = true;
        return true;
    default:
        asked->output = text;
        return true;
    }
}

/* @return -1 to go on, else the exit code. */
static int parse_options(int argc, char **argv, struct asked *asked)
{
    static const struct option options[] = {{"backend", required_argument, NULL, 'b'},
                                            {"device", required_argument, NULL, 'd'},
                                            {"set", required_argument, NULL, 's'},
                                            {"plugin", required_argument, NULL, 'p'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"bytes", required_argument, NULL, 'n'},
                                            {"window", required_argument, NULL, 'w'},
                                            {"csv", no_argument, NULL, 'c'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    optind = 0;
    for (int c; (c = getopt_long(argc, argv, ":o:h", options, NULL)) != -1;) {
        if (c == 'h') {
            (void)fputs(help, stdout);
            return JB_EXIT_OK;
        }
        if (c == ':' || c == '?') {
            return jb_cli_usage("roofline", "%s '%s'",
                                c == ':' ? "a value is missing after" : "unknown option",
                                argv[optind - 1]);
        }
        if (!take(asked, c, optarg)) {
            return JB_EXIT_USAGE;
        }
    }
    if (optind < argc) {
        return jb_cli_usage("roofline", "'%s' belongs to no option", argv[optind]);
    }
    return -1;
}

static void complete(struct asked *asked)
{
    const uint32_t cores = jb_host_default_threads();
    struct jb_host host;
    if (asked->n_threads == 0) {
        asked->threads[asked->n_threads++] = 1;
        if (cores > 1 && (asked->backend->caps & JB_CAP_MODELLED) == 0) {
            asked->threads[asked->n_threads++] = cores;
        }
    }
    if (asked->bytes == 0) {
        asked->bytes = UINT64_C(1) << 30;
        if (jb_host_read(&host) == JB_OK && host.memory_available_bytes / 4 < asked->bytes) {
            asked->bytes = host.memory_available_bytes / 4;
        }
    }
}

int jb_cmd_roofline(int argc, char **argv)
{
    struct asked *asked = calloc(1, sizeof *asked);
    if (asked == NULL) {
        return jb_cli_fail(jb_fail(JB_E_NOMEM, "no memory for the table"));
    }
    asked->name = "cpu";
    asked->window_s = 0.5;
    int code = parse_options(argc, argv, asked);
    if (code < 0) {
        asked->backend = jb_registry_find(asked->name);
        if (asked->backend == NULL) {
            code = jb_cli_fail(JB_E_INVAL);
        } else {
            complete(asked);
            code = run(asked);
        }
    }
    jb_settings_free(&asked->settings);
    free(asked);
    return code;
}
