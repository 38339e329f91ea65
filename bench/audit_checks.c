/* SPDX-License-Identifier: MIT */
/* What cannot be, and what should be looked at. Every tolerance errs towards silence: an audit
 * that cries wolf is not read. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/audit.h"

/* tokens/J against tokens/s over watts: published numbers are rounded; where they are means, the
 * mean of a ratio is not the ratio of the means, and a few percent apart. */
#define RATIO_TOLERANCE 0.02
#define MEAN_TOLERANCE 0.10
#define EXACT_TOLERANCE 1e-3 /* tables that hold tokens, seconds and joules  */
#define PEAK_TOLERANCE 1.02  /* DESIGN.md section 8                          */
#define LIMIT_TOLERANCE 1.05 /* the same                                     */
#define IDLE_TOLERANCE 0.95
#define LEAST_LIMIT_SHARE 0.05 /* no busy device draws less of its limit       */
#define NAMEPLATE_TOLERANCE 1e-3
#define ABOUT 0.9 /* "~7B" may be 6.7 */
#define ALONE_FACTOR 10.0
#define CONFLICT_FACTOR 1.5

static const struct {
    const char *name, *help;
    bool is_error;
} kinds[JB_N_FINDING_KINDS] = {
    [JB_FINDING_RATIO] = {"ratio", "tokens/J is not tokens/s over watts", true},
    [JB_FINDING_ARITHMETIC] = {"arithmetic", "tokens, seconds and joules do not divide out", true},
    [JB_FINDING_WEIGHT_STREAM] = {"weight-stream", "the weights cannot be read that fast", true},
    [JB_FINDING_COMPUTE] = {"compute", "more operations a second than the device has", true},
    [JB_FINDING_CAPACITY] = {"capacity", "the weights do not fit the devices counted", true},
    [JB_FINDING_ABOVE_LIMIT] = {"above-limit", "more watts than the device may draw", true},
    [JB_FINDING_BELOW_IDLE] = {"below-idle", "fewer watts than at rest", true},
    [JB_FINDING_FAR_BELOW_LIMIT] = {"far-below-limit", "under 5 % of the rated watts", false},
    [JB_FINDING_NAMEPLATE] = {"nameplate", "the watts are the rated ones, not measured", false},
    [JB_FINDING_DUPLICATE] = {"duplicate", "the same row again", false},
    [JB_FINDING_CONFLICT] = {"conflict", "the same run with other watts", true},
    [JB_FINDING_SUPERSEDED] = {"superseded", "its own source gives another value now", false},
    [JB_FINDING_ALONE] = {"alone", "over 10 times the next best of its platform", false},
};

const char *jb_finding_name(enum jb_finding_kind kind)
{
    return kinds[kind].name;
}

const char *jb_finding_help(enum jb_finding_kind kind)
{
    return kinds[kind].help;
}

bool jb_finding_is_error(enum jb_finding_kind kind)
{
    return kinds[kind].is_error;
}

static void find(struct jb_audit *audit, enum jb_finding_kind kind, uint64_t row, const char *fmt,
                 ...) JB_PRINTF(4, 5);
static void find(struct jb_audit *audit, enum jb_finding_kind kind, uint64_t row, const char *fmt,
                 ...)
{
    if (audit->n_findings == audit->capacity) {
        const uint64_t capacity = 2 * audit->capacity + 64;
        struct jb_finding *grown = realloc(audit->findings, capacity * sizeof *grown);
        if (grown == NULL) {
            audit->has_failed = true;
            return;
        }
        audit->findings = grown;
        audit->capacity = capacity;
    }
    struct jb_finding *finding = &audit->findings[audit->n_findings++];
    finding->kind = kind;
    finding->row = row;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(finding->text, sizeof finding->text, fmt, args);
    va_end(args);
}

/* false where one of them is missing */
static bool differs(double value, double expected, double tolerance)
{
    return fabs(value / expected - 1.0) > tolerance;
}

static bool is_same(double a, double b)
{
    return a == b || (jb_is_missing(a) && jb_is_missing(b));
}

/* ---- one row ---- */

static void check_arithmetic(struct jb_audit *audit, uint64_t at)
{
    const struct jb_audit_row *row = &audit->rows[at];
    const bool is_exact = !jb_is_missing(row->energy_j) && !jb_is_missing(row->time_s);
    const double tolerance = is_exact                            ? EXACT_TOLERANCE
                             : strstr(row->note, "mean") != NULL ? MEAN_TOLERANCE
                                                                 : RATIO_TOLERANCE;
    const double ratio = row->tokens_per_s / row->power_w;
    if (differs(row->tokens_per_j, ratio, tolerance)) {
        find(audit, JB_FINDING_RATIO, at, "%.4g tokens/s at %.4g W are %.4g tokens/J, not %.4g",
             row->tokens_per_s, row->power_w, ratio, row->tokens_per_j);
    }
    if (differs(row->tokens_per_s, row->tokens / row->time_s, EXACT_TOLERANCE)) {
        find(audit, JB_FINDING_ARITHMETIC, at, "%.4g tokens in %.4g s are not %.4g tokens/s",
             row->tokens, row->time_s, row->tokens_per_s);
    }
    if (differs(row->power_w, row->energy_j / row->time_s, EXACT_TOLERANCE)) {
        find(audit, JB_FINDING_ARITHMETIC, at, "%.4g J in %.4g s are not %.4g W", row->energy_j,
             row->time_s, row->power_w);
    }
}

static bool has_method(const struct jb_audit_row *row, const char *word)
{
    return strstr(row->method, word) != NULL;
}

/* Fewest bytes a weight may have by what the row says: an unknown format of a quantized model may
 * be ternary, one of another is taken for 8 bits. */
static double least_weight_bytes(const struct jb_audit_row *row)
{
    if (row->weight_bytes > 0) {
        return row->weight_bytes;
    }
    double bits = jb_audit_weight_bits(row->precision);
    if (jb_is_missing(bits)) {
        bits = has_method(row, "quant") ? 1.58 : 8.0;
    }
    return row->n_params * (row->is_about ? ABOUT : 1.0) * bits / 8.0;
}

/* What one step reads and computes; methods that skip weights or accept several tokens a step
 * are let pass. */
static void check_bounds(struct jb_audit *audit, uint64_t at, const struct jb_audit_device *device,
                         double n)
{
    const struct jb_audit_row *row = &audit->rows[at];
    const double params = row->n_params * (row->is_about ? ABOUT : 1.0);
    const double op_per_s = 2.0 * params * row->tokens_per_s;
    if (has_method(row, "spars") || has_method(row, "fast-decoding") || has_method(row, "spec")) {
        return;
    }
    if (op_per_s > PEAK_TOLERANCE * n * device->op_per_s) {
        find(audit, JB_FINDING_COMPUTE, at, "needs %.3g Top/s, %s has %.3g", op_per_s / 1e12,
             device->name, n * device->op_per_s / 1e12);
    }
    const bool is_decode =
        row->output_tokens != 0 && (row->phase[0] == '\0' || strcmp(row->phase, "decode") == 0);
    const double bytes = least_weight_bytes(row);
    const double bytes_per_s = bytes * row->tokens_per_s / row->batch;
    if (is_decode && bytes_per_s > PEAK_TOLERANCE * n * device->memory_bytes_per_s) {
        find(audit, JB_FINDING_WEIGHT_STREAM, at,
             "reads %.3g GB of weights %.4g times a second: %.3g TB/s, %s has %.3g", bytes / 1e9,
             row->tokens_per_s / row->batch, bytes_per_s / 1e12, device->name,
             n * device->memory_bytes_per_s / 1e12);
    }
    if (!has_method(row, "hetero") && bytes > n * device->memory_bytes) {
        find(audit, JB_FINDING_CAPACITY, at,
             "%.3g GB of weights on %g x %s, which holds %.3g GB: more of them than are counted?",
             bytes / 1e9, n, device->name, n * device->memory_bytes / 1e9);
    }
}

static void check_power(struct jb_audit *audit, uint64_t at, const struct jb_audit_device *device,
                        double n)
{
    const struct jb_audit_row *row = &audit->rows[at];
    const double limit_w = n * device->limit_w, idle_w = n * device->idle_w;
    if (row->power_w > LIMIT_TOLERANCE * limit_w) {
        find(audit, JB_FINDING_ABOVE_LIMIT, at, "%.4g W, and %g x %s may draw %.4g", row->power_w,
             n, device->name, limit_w);
    } else if (row->power_w < IDLE_TOLERANCE * idle_w) {
        find(audit, JB_FINDING_BELOW_IDLE, at, "%.4g W, and %g x %s draws %.4g at rest",
             row->power_w, n, device->name, idle_w);
    } else if (row->power_w < LEAST_LIMIT_SHARE * limit_w) {
        find(audit, JB_FINDING_FAR_BELOW_LIMIT, at, "%.4g W are %.2g %% of what %s may draw",
             row->power_w, 100.0 * row->power_w / limit_w, device->name);
    }
    const bool is_said =
        strcmp(row->power_kind, "tdp") == 0 || strcmp(row->power_kind, "nameplate") == 0;
    if (!is_said && fabs(row->power_w / limit_w - 1.0) <= NAMEPLATE_TOLERANCE) {
        find(audit, JB_FINDING_NAMEPLATE, at,
             "%.4g W is exactly the limit of %g x %s; said to be %s", row->power_w, n, device->name,
             row->power_kind[0] != '\0' ? row->power_kind : "nothing");
    }
}

static void check_row(struct jb_audit *audit, uint64_t at)
{
    const struct jb_audit_row *row = &audit->rows[at];
    double n = 1.0;
    check_arithmetic(audit, at);
    const struct jb_audit_device *device = jb_audit_device_of(audit, row, &n);
    if (device != NULL) {
        check_bounds(audit, at, device, n);
        check_power(audit, at, device, n);
    }
    if (row->power_w < IDLE_TOLERANCE * row->idle_w) {
        find(audit, JB_FINDING_BELOW_IDLE, at, "%.4g W, and %.4g W at rest", row->power_w,
             row->idle_w);
    }
}

/* ---- rows against each other ---- */

static bool is_same_run(const struct jb_audit_row *a, const struct jb_audit_row *b)
{
    return strcmp(a->work, b->work) == 0 && strcmp(a->device, b->device) == 0 &&
           strcmp(a->model, b->model) == 0 && strcmp(a->precision, b->precision) == 0 &&
           strcmp(a->method, b->method) == 0 && strcmp(a->platform, b->platform) == 0 &&
           strcmp(a->phase, b->phase) == 0 && is_same(a->batch, b->batch) &&
           is_same(a->prompt_tokens, b->prompt_tokens) &&
           is_same(a->output_tokens, b->output_tokens) && is_same(a->n_devices, b->n_devices) &&
           is_same(a->repetition, b->repetition);
}

/* A speed counts as the same run's only if it is the very same number: threads and modes, which
 * tables leave out, change it. */
static void check_pair(struct jb_audit *audit, uint64_t at, uint64_t earlier)
{
    const struct jb_audit_row *row = &audit->rows[at], *other = &audit->rows[earlier];
    if (row->work[0] == '\0' || !is_same_run(row, other) ||
        !is_same(row->tokens_per_s, other->tokens_per_s)) {
        return;
    }
    if (is_same(row->power_w, other->power_w)) {
        find(audit, JB_FINDING_DUPLICATE, at, "as line %llu", (unsigned long long)other->line);
    } else if (fmax(row->power_w, other->power_w) >
               CONFLICT_FACTOR * fmin(row->power_w, other->power_w)) {
        find(audit, JB_FINDING_CONFLICT, at, "%.4g tokens/s at %.4g W; line %llu says %.4g W",
             row->tokens_per_s, row->power_w, (unsigned long long)other->line, other->power_w);
        find(audit, JB_FINDING_CONFLICT, earlier, "%.4g tokens/s at %.4g W; line %llu says %.4g W",
             other->tokens_per_s, other->power_w, (unsigned long long)row->line, row->power_w);
    }
}

static void check_superseded(struct jb_audit *audit, uint64_t at)
{
    const struct jb_audit_row *row = &audit->rows[at];
    char now[160] = "it is not there any more";
    for (uint64_t i = 0; i < audit->n_rows; i++) {
        const struct jb_audit_row *other = &audit->rows[i];
        if (!other->is_superseded && strcmp(other->work, row->work) == 0 &&
            strcmp(other->platform, row->platform) == 0) {
            (void)snprintf(now, sizeof now, "line %llu has %.4g tokens/s at %.4g W",
                           (unsigned long long)other->line, other->tokens_per_s, other->power_w);
            break;
        }
    }
    find(audit, JB_FINDING_SUPERSEDED, at, "%.4g tokens/s at %.4g W; %s", row->tokens_per_s,
         row->power_w, now);
}

/* Best of a platform by one quantity, if the next work is far behind. */
static void check_alone(struct jb_audit *audit, uint64_t at, size_t offset, const char *unit)
{
    const struct jb_audit_row *row = &audit->rows[at];
    double value, next = 0.0;
    uint64_t n = 0;
    memcpy(&value, (const char *)row + offset, sizeof value);
    for (uint64_t i = 0; i < audit->n_rows; i++) {
        const struct jb_audit_row *other = &audit->rows[i];
        double theirs;
        memcpy(&theirs, (const char *)other + offset, sizeof theirs);
        const bool is_comparable = strcmp(row->platform, other->platform) == 0 &&
                                   strcmp(row->phase, other->phase) == 0 &&
                                   (!(other->batch > 1) || is_same(row->batch, other->batch));
        if (i != at && is_comparable && strcmp(other->work, row->work) != 0 && theirs > 0) {
            next = fmax(next, theirs);
            n++;
        }
    }
    if (n >= 3 && value > ALONE_FACTOR * next) {
        find(audit, JB_FINDING_ALONE, at, "%.4g %s, next of %s: %.4g", value, unit, row->platform,
             next);
    }
}

static int compare(const void *a, const void *b)
{
    const struct jb_finding *x = a, *y = b;
    return x->row != y->row     ? (x->row < y->row ? -1 : 1)
           : x->kind != y->kind ? (x->kind < y->kind ? -1 : 1)
                                : strcmp(x->text, y->text);
}

enum jb_status jb_audit_check(struct jb_audit *audit)
{
    for (uint64_t i = 0; i < audit->n_rows; i++) {
        check_row(audit, i);
        for (uint64_t k = 0; k < i; k++) {
            check_pair(audit, i, k);
        }
        if (audit->rows[i].is_superseded) {
            check_superseded(audit, i);
        } else if (audit->rows[i].platform[0] != '\0' && !(audit->rows[i].batch > 1)) {
            check_alone(audit, i, offsetof(struct jb_audit_row, tokens_per_s), "tokens/s");
            check_alone(audit, i, offsetof(struct jb_audit_row, tokens_per_j), "tokens/J");
        }
    }
    if (audit->has_failed) {
        return jb_fail(JB_E_NOMEM, "no memory for the findings");
    }
    if (audit->n_findings > 0) {
        qsort(audit->findings, audit->n_findings, sizeof *audit->findings, compare);
    }
    return JB_OK;
}
