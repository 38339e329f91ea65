/* SPDX-License-Identifier: MIT */
/* joulebench compare: what changed from one table to another. */
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cli.h"
#include "bench/tables.h"
#include "platforms/base/units.h"
#include "results/compare.h"
#include "results/text.h"

#define MAX_ACROSS 16u

static void print_help(void)
{
    (void)fputs(
        "usage: joulebench compare [options] A.csv B.csv\n\n"
        "Sets groups of rows that ran the same thing against each other and prints B / A of\n"
        "tokens/s, tokens/J and watts. The interval comes from both 95 % intervals and holds the\n"
        "ratio with at least 90 %; 'higher' and 'lower' are said only where it leaves out 1.\n\n"
        "  --across LIST   columns that may differ, to compare methods, formats or backends:\n"
        "                  --across weight_format, --across backend,device,platform\n"
        "  --mix-classes   also say higher and lower where the evidence classes differ\n"
        "  --csv           for programs\n"
        "  -h, --help      this text\n\ncolumns that partners agree in:\n ",
        stdout);
    for (uint32_t i = 0; jb_compare_column(i) != NULL; i++) {
        (void)printf(" %s%s", jb_compare_column(i), i == 8 ? "\n " : "");
    }
    (void)fputs("\n", stdout);
}

struct wish {
    bool as_csv, mixes_classes;
    const char *across[MAX_ACROSS];
    uint32_t n_across;
};

static const char *word_of(const struct wish *wish, const struct jb_pair *pair,
                           const struct jb_ratio *ratio)
{
    if (jb_is_missing(ratio->value)) {
        return "";
    }
    if (!pair->is_one_class && !wish->mixes_classes) {
        return "other class";
    }
    return jb_is_missing(ratio->low) ? "no interval"
           : ratio->low > 1.0        ? "higher"
           : ratio->high < 1.0       ? "lower"
                                     : "no difference";
}

static const struct {
    const char *name;
    size_t offset;
} shown[] = {{"tokens_per_s", offsetof(struct jb_pair, tokens_per_s)},
             {"tokens_per_j", offsetof(struct jb_pair, tokens_per_j)},
             {"power_w", offsetof(struct jb_pair, power_w)}};

static const struct jb_ratio *ratio_at(const struct jb_pair *pair, size_t i)
{
    return (const struct jb_ratio *)(const void *)((const char *)pair + shown[i].offset);
}

static const struct jb_interval *interval_at(const struct jb_group *group, size_t i)
{
    return i == 0 ? &group->tokens_per_s : i == 1 ? &group->tokens_per_j : &group->power_w;
}

static void put_real(double value)
{
    char text[JB_NUMBER_MAX];
    jb_real_print(value, text);
    (void)printf("%s,", text);
}

static void print_csv(const struct wish *wish, const struct jb_comparison *comparison)
{
    (void)fputs("quantity,backend_a,backend_b,device_a,device_b,model,weight_format_a,"
                "weight_format_b,method_a,method_b,batch,phase,kv_depth,a,b,ratio,ratio_low,"
                "ratio_high,evidence_a,evidence_b,difference\n",
                stdout);
    for (uint64_t p = 0; p < comparison->n_pairs; p++) {
        const struct jb_pair *pair = &comparison->pairs[p];
        const struct jb_record *a = &pair->a->key, *b = &pair->b->key;
        for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
            const struct jb_ratio *ratio = ratio_at(pair, i);
            if (jb_is_missing(ratio->value)) {
                continue;
            }
            const char *const texts[] = {
                shown[i].name, a->backend,       b->backend,       a->device, b->device,
                a->model,      a->weight_format, b->weight_format, a->method, b->method};
            for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
                jb_cli_csv_cell(stdout, texts[t]);
                (void)putchar(',');
            }
            put_real(a->batch != JB_INT_MISSING ? (double)a->batch : jb_missing());
            (void)printf("%s,", a->phase);
            put_real(a->kv_depth != JB_INT_MISSING ? (double)a->kv_depth : jb_missing());
            put_real(interval_at(pair->a, i)->median);
            put_real(interval_at(pair->b, i)->median);
            put_real(ratio->value);
            put_real(ratio->low);
            put_real(ratio->high);
            (void)printf("%s,%s,%s\n", i == 0 ? a->time_class : a->energy_class,
                         i == 0 ? b->time_class : b->energy_class, word_of(wish, pair, ratio));
        }
    }
}

/* "cpu q4_0 llama2-7b, batch 1", and what B has else. */
static void name_pair(const struct jb_pair *pair, char *ret_text, size_t size)
{
    const struct jb_record *a = &pair->a->key, *b = &pair->b->key;
    const char *const left[] = {a->backend, a->model, a->weight_format, a->method, a->device};
    const char *const right[] = {b->backend, b->model, b->weight_format, b->method, b->device};
    size_t used = 0;
    ret_text[0] = '\0';
    for (size_t i = 0; i < sizeof left / sizeof left[0] && used < size; i++) {
        const bool is_same = strcmp(left[i], right[i]) == 0;
        /* A device goes without saying, and so does no method. */
        if (is_same && (i == 4 || strcmp(left[i], "none") == 0)) {
            continue;
        }
        used +=
            (size_t)snprintf(ret_text + used, size - used, "%s%.24s%s%.24s", used > 0 ? " " : "",
                             left[i], is_same ? "" : "->", is_same ? "" : right[i]);
    }
    if (a->batch != JB_INT_MISSING && used < size) {
        (void)snprintf(ret_text + used, size - used, ", batch %lld", (long long)a->batch);
    }
}

static void print_text(const struct wish *wish, const struct jb_comparison *comparison)
{
    int width = 0;
    for (uint64_t p = 0; p < comparison->n_pairs; p++) {
        char name[160];
        name_pair(&comparison->pairs[p], name, sizeof name);
        const int size = (int)jb_utf8_width(name);
        width = size > width ? size : width;
    }
    (void)printf("%-*s  %-8s %-9s %10s %10s %8s  %-15s %s\n", width, "", "phase", "", "A", "B",
                 "B/A", "interval", "B is");
    for (uint64_t p = 0; p < comparison->n_pairs; p++) {
        static const char *const units[] = {"tokens/s", "tokens/J", "W"};
        const struct jb_pair *pair = &comparison->pairs[p];
        char name[160];
        name_pair(pair, name, sizeof name);
        for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
            const struct jb_ratio *ratio = ratio_at(pair, i);
            char interval[48] = "-";
            if (jb_is_missing(ratio->value)) {
                continue;
            }
            if (!jb_is_missing(ratio->low)) {
                (void)snprintf(interval, sizeof interval, "%.3f to %.3f", ratio->low, ratio->high);
            }
            (void)printf("%-*s  %-8s %-9s %10.4g %10.4g %8.3f  %-15s %s\n", width,
                         i == 0 ? name : "", i == 0 ? pair->a->key.phase : "", units[i],
                         interval_at(pair->a, i)->median, interval_at(pair->b, i)->median,
                         ratio->value, interval, word_of(wish, pair, ratio));
        }
    }
}

static int compare(const struct wish *wish, char **files)
{
    struct jb_group *groups[2] = {NULL, NULL};
    uint64_t n[2] = {0, 0};
    struct jb_comparison comparison = {.pairs = NULL};
    int code = jb_groups_of_files("compare", 1, files, &groups[0], &n[0]);
    if (code == JB_EXIT_OK) {
        code = jb_groups_of_files("compare", 1, files + 1, &groups[1], &n[1]);
    }
    if (code == JB_EXIT_OK) {
        enum jb_status status =
            jb_compare(groups[0], n[0], groups[1], n[1], wish->across, wish->n_across, &comparison);
        if (status == JB_OK && comparison.n_pairs == 0) {
            status = jb_fail(JB_E_INVAL,
                             "'%s' and '%s' have no group in common; --across names "
                             "columns that may differ",
                             files[0], files[1]);
        }
        code = status == JB_OK ? JB_EXIT_OK : jb_cli_fail(status);
    }
    if (code == JB_EXIT_OK) {
        (wish->as_csv ? print_csv : print_text)(wish, &comparison);
        if (comparison.n_alone_a + comparison.n_alone_b > 0) {
            (void)fprintf(stderr, "joulebench: %llu groups of A and %llu of B have no partner\n",
                          (unsigned long long)comparison.n_alone_a,
                          (unsigned long long)comparison.n_alone_b);
        }
    }
    free(comparison.pairs);
    free(groups[0]);
    free(groups[1]);
    return code;
}

int jb_cmd_compare(int argc, char **argv)
{
    static const struct option options[] = {{"across", required_argument, NULL, 'a'},
                                            {"mix-classes", no_argument, NULL, 'm'},
                                            {"csv", no_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct wish wish = {.n_across = 0};
    optind = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (c) {
        case 'a':
            wish.n_across = jb_cli_split(optarg, wish.across, MAX_ACROSS);
            if (wish.n_across == UINT32_MAX) {
                return jb_cli_usage("compare", "--across: an empty name, or more than %u",
                                    MAX_ACROSS);
            }
            break;
        case 'm':
            wish.mixes_classes = true;
            break;
        case 'c':
            wish.as_csv = true;
            break;
        case 'h':
            print_help();
            return JB_EXIT_OK;
        default:
            return jb_cli_usage("compare", "unknown or incomplete option '%s'", argv[optind - 1]);
        }
    }
    if (argc - optind != 2) {
        return jb_cli_usage("compare", "give two result files, A.csv and B.csv");
    }
    return compare(&wish, argv + optind);
}
