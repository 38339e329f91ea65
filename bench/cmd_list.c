/* SPDX-License-Identifier: MIT */
/* joulebench list: what this build knows, for people and, with --csv, for programs. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "backends/registry.h"
#include "bench/cli.h"
#include "bench/scenario.h"
#include "bench/workload/workload.h"
#include "platforms/devices/device_file.h"
#include "platforms/meters/meter.h"
#include "results/results.h"

static void row(bool as_csv, const char *const *cells, const int *widths, int n)
{
    for (int i = 0; i < n; i++) {
        if (as_csv) {
            (void)fputs(i == 0 ? "" : ",", stdout);
            jb_cli_csv_cell(stdout, cells[i]);
        } else if (i == n - 1) {
            (void)fputs(cells[i], stdout);
        } else {
            (void)printf("%-*s ", widths[i], cells[i]);
        }
    }
    (void)putchar('\n');
}

/* What --set takes, with the values used when it is not given: "a=1 b=2". */
static void list_settings(const struct jb_backend *backend, char *ret_text, size_t size)
{
    const struct jb_option *option = backend->options;
    ret_text[0] = '\0';
    for (; option != NULL && option->key != NULL; option++) {
        const size_t n = strlen(ret_text);
        (void)snprintf(ret_text + n, size - n, "%s%s=%s", n > 0 ? " " : "", option->key,
                       option->fallback != NULL ? option->fallback : "");
    }
}

static int list_backends(bool as_csv)
{
    static const int widths[] = {10, 9, 12, 44, 20, 0};
    const char *const head[] = {"name", "kind", "status", "device", "settings", "summary"};
    row(as_csv, head, widths, 6);
    for (uint32_t i = 0; i < jb_registry_count(); i++) {
        const struct jb_backend *backend = jb_registry_at(i);
        const struct jb_open_args args = {.n_threads = 1};
        struct jb_probe probe;
        const enum jb_status status = backend->probe(&args, &probe);
        char settings[256];
        list_settings(backend, settings, sizeof settings);
        const char *const cells[] = {backend->name,
                                     (backend->caps & JB_CAP_MODELLED) != 0 ? "modelled" : "real",
                                     status == JB_OK ? "available" : jb_status_name(status),
                                     status == JB_OK ? probe.device : jb_reason(),
                                     settings,
                                     backend->summary};
        row(as_csv, cells, widths, 6);
    }
    return JB_EXIT_OK;
}

static bool print_device(void *ctx, const char *kind, const char *name, const char *path)
{
    (void)ctx;
    static const int widths[] = {6, 24, 0};
    struct jb_device_file *file = NULL;
    const enum jb_status status = jb_device_open_common(path, &file);
    const char *const cells[] = {kind, name,
                                 status == JB_OK ? jb_device_summary(file) : jb_reason()};
    row(false, cells, widths, 3);
    jb_device_close(file);
    return true;
}

struct device_lines {
    const char *kind, *name;
    int code;
};

static void print_value(void *ctx, const struct jb_device_text *text)
{
    const struct device_lines *lines = ctx;
    const char *const cells[] = {lines->name,
                                 lines->kind,
                                 text->key,
                                 text->value,
                                 text->unit,
                                 text->source,
                                 text->is_estimate ? "1" : "0"};
    row(true, cells, NULL, 7);
}

static bool print_values(void *ctx, const char *kind, const char *name, const char *path)
{
    struct device_lines *lines = ctx;
    lines->kind = kind;
    lines->name = name;
    const enum jb_status status = jb_device_each(path, print_value, lines);
    lines->code = status == JB_OK ? lines->code : jb_cli_fail(status);
    return true;
}

/* People get a line a device, programs a line a value: what --set may name, its unit and default.
 */
static int list_devices(bool as_csv)
{
    static const int widths[] = {6, 24, 0};
    const char *const head[] = {"kind", "name", "summary"};
    const char *const csv_head[] = {"device", "kind", "key", "value", "unit", "source", "estimate"};
    struct device_lines lines = {.code = JB_EXIT_OK};
    if (as_csv) {
        row(true, csv_head, NULL, 7);
    } else {
        row(false, head, widths, 3);
    }
    const enum jb_status status = jb_device_list(as_csv ? print_values : print_device, &lines);
    return status == JB_OK ? lines.code : jb_cli_fail(status);
}

static int list_models(bool as_csv)
{
    static const int widths[] = {15, 6, 6, 6, 6, 8, 8, 6, 8, 8, 0};
    const char *const head[] = {"name",     "arch", "dim",   "layers",  "heads", "kv_heads",
                                "head_dim", "ffn",  "vocab", "context", "source"};
    row(as_csv, head, widths, 11);
    for (uint32_t i = 0; i < jb_shape_count(); i++) {
        const struct jb_shape *shape = jb_shape_at(i);
        const uint32_t numbers[] = {shape->dim,        shape->n_layers, shape->n_heads,
                                    shape->n_kv_heads, shape->head_dim, shape->ffn_dim,
                                    shape->vocab,      shape->context};
        char text[8][16];
        const char *cells[11] = {shape->name, shape->architecture};
        for (int k = 0; k < 8; k++) {
            (void)snprintf(text[k], sizeof text[k], "%u", numbers[k]);
            cells[k + 2] = text[k];
        }
        cells[10] = shape->source;
        row(as_csv, cells, widths, 11);
    }
    return JB_EXIT_OK;
}

static int list_formats(bool as_csv)
{
    static const int widths[] = {8, 0};
    const char *const head[] = {"name", "summary"};
    row(as_csv, head, widths, 2);
    for (uint32_t i = 0; i < jb_recipe_count(); i++) {
        const char *const cells[] = {jb_recipe_at(i)->name, jb_recipe_at(i)->summary};
        row(as_csv, cells, widths, 2);
    }
    return JB_EXIT_OK;
}

static int list_methods(bool as_csv)
{
    static const int widths[] = {8, 8, 0};
    const char *const head[] = {"name", "class", "summary"};
    const char *const none[] = {"none", "none", "The model as it is stored, greedy decoding"};
    row(as_csv, head, widths, 3);
    row(as_csv, none, widths, 3);
    return JB_EXIT_OK;
}

static int list_meters(bool as_csv)
{
    static const int widths[] = {9, 10, 0};
    const char *const head[] = {"name", "automatic", "summary"};
    row(as_csv, head, widths, 3);
    for (uint32_t i = 0; i < jb_meter_count(); i++) {
        const struct jb_meter *meter = jb_meter_at(i);
        const char *const cells[] = {meter->name, meter->is_automatic ? "yes" : "no",
                                     meter->summary};
        row(as_csv, cells, widths, 3);
    }
    return JB_EXIT_OK;
}

static int list_workloads(bool as_csv)
{
    static const int widths[] = {11, 12, 7, 6, 6, 6, 0};
    const char *const head[] = {"name", "model", "batch", "prompt", "image", "gen", "summary"};
    row(as_csv, head, widths, 7);
    for (uint32_t i = 0; jb_scenario_at(i) != NULL; i++) {
        const struct jb_scenario *scenario = jb_scenario_at(i);
        char prompt[16], image[16] = "", gen[16];
        (void)snprintf(prompt, sizeof prompt, "%u", scenario->prompt);
        (void)snprintf(gen, sizeof gen, "%u", scenario->gen);
        if (scenario->n_image > 0) {
            (void)snprintf(image, sizeof image, "%u", scenario->n_image);
        }
        const char *const cells[] = {scenario->name,   scenario->model, scenario->batches,
                                     prompt,           image,           gen,
                                     scenario->summary};
        row(as_csv, cells, widths, 7);
    }
    return JB_EXIT_OK;
}

static int list_columns(bool as_csv)
{
    jb_columns_print(stdout, as_csv);
    return JB_EXIT_OK;
}

static const struct {
    const char *name;
    int (*print)(bool as_csv);
    const char *help;
} kinds[] = {
    {"backends", list_backends, "what can run the workload, and why something cannot"},
    {"devices", list_devices, "device files; with --csv each of their values, its unit and source"},
    {"models", list_models, "named shapes, run with weights drawn from a seed"},
    {"formats", list_formats, "weight formats for --format"},
    {"methods", list_methods, "optimization methods for --method"},
    {"meters", list_meters, "power, energy and counter sources for --meter"},
    {"workloads", list_workloads, "what --workload stands for"},
    {"columns", list_columns, "the columns of result files and what they mean"},
};
#define KIND_NAMES "backends, devices, models, formats, methods, meters, workloads, columns"
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

static void print_help(void)
{
    (void)fputs("usage: joulebench list KIND [--csv] [--plugin FILE]\n\nkinds:\n", stdout);
    for (int i = 0; i < N_KINDS; i++) {
        (void)printf("  %-9s %s\n", kinds[i].name, kinds[i].help);
    }
    (void)fputs("\noptions:\n"
                "  --csv          comma-separated, with a header, for programs\n"
                "  --plugin FILE  load a backend from a shared object first\n",
                stdout);
}

int jb_cmd_list(int argc, char **argv)
{
    static const struct option options[] = {{"csv", no_argument, NULL, 'c'},
                                            {"plugin", required_argument, NULL, 'p'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    bool as_csv = false;
    optind = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (c == 'c') {
            as_csv = true;
        } else if (c == 'p') {
            const enum jb_status status = jb_registry_load_plugin(optarg);
            if (status != JB_OK) {
                return jb_cli_fail(status);
            }
        } else if (c == 'h') {
            print_help();
            return JB_EXIT_OK;
        } else {
            return jb_cli_usage("list", "unknown or incomplete option '%s'", argv[optind - 1]);
        }
    }
    if (optind + 1 != argc) {
        return jb_cli_usage("list", "%s: " KIND_NAMES,
                            optind == argc ? "name a kind" : "one kind at a time");
    }
    for (int i = 0; i < N_KINDS; i++) {
        if (strcmp(argv[optind], kinds[i].name) == 0) {
            return kinds[i].print(as_csv);
        }
    }
    return jb_cli_usage("list", "unknown kind '%.64s'; kinds: " KIND_NAMES, argv[optind]);
}
