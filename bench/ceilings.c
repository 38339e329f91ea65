/* SPDX-License-Identifier: MIT */
#include "bench/ceilings.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/measure/measure.h"
#include "jb_commit.h"
#include "platforms/os/os.h"
#include "results/sheet.h"
#include "results/text.h"

/* Products are called in portions of about this long: long against the clock and the barrier,
 * short against a window. */
#define CALL_S 0.01
#define FIRST_MACS 1000000u
#define WARM_CALLS 2u
#define MARKS_KEPT 4096u
/* A stream reads at least so much, where there is room: more than caches hold. */
#define READ_BYTES (UINT64_C(256) << 20)
/* Of devices that do not tell their cache. */
#define UNKNOWN_CACHE_BYTES (256.0 * JB_MIB)

static const char *const kinds[] = {"read", "copy", "macs"};

const char *jb_ceiling_kind_name(enum jb_exercise_kind kind)
{
    return kinds[kind];
}

/* ---- measuring ---- */

static enum jb_status call_once(const struct jb_ceiling_args *args, const struct jb_exercise *what,
                                struct jb_op_detail *detail, double *ret_s)
{
    const double begin_s = jb_clock_s();
    enum jb_status status = args->backend->exercise(args->device, what, detail);
    if (status == JB_OK && args->backend->sync != NULL) {
        status = args->backend->sync(args->device);
    }
    *ret_s = jb_clock_s() - begin_s;
    return status;
}

static double work_of(const struct jb_exercise *what, const struct jb_op_detail *detail)
{
    return (double)(what->kind == JB_EXERCISE_MACS ? detail->macs : detail->bytes);
}

/* Finds how many products take about CALL_S. */
static enum jb_status find_amount(const struct jb_ceiling_args *args, struct jb_exercise *what)
{
    struct jb_op_detail detail = {.clock_hz = jb_missing()};
    enum jb_status status = JB_OK;
    double call_s = 0;
    for (what->macs = FIRST_MACS; status == JB_OK && what->macs < UINT64_MAX / 8; what->macs *= 4) {
        status = call_once(args, what, &detail, &call_s);
        if (call_s > CALL_S / 4) {
            what->macs = (uint64_t)((double)detail.macs * CALL_S / call_s) + 1;
            break;
        }
    }
    return status;
}

static enum jb_status time_calls(const struct jb_ceiling_args *args, const struct jb_exercise *what,
                                 struct jb_marks *marks, struct jb_ceiling *ceiling)
{
    struct jb_op_detail detail = {.clock_hz = jb_missing()};
    enum jb_status status = JB_OK;
    double call_s = 0;
    double begin_s = jb_clock_s();
    for (uint32_t i = 0; status == JB_OK; i++) {
        if (i == WARM_CALLS) {
            begin_s = jb_clock_s();
        }
        status = call_once(args, what, &detail, &call_s);
        if (status == JB_OK && i >= WARM_CALLS) {
            jb_marks_add(marks, call_s);
            ceiling->n_calls++;
            if (jb_clock_s() - begin_s >= args->window_s) {
                break;
            }
        }
    }
    if (status == JB_OK) {
        const double work = work_of(what, &detail);
        ceiling->bytes = detail.bytes;
        ceiling->rate = work / jb_marks_quantile(marks, 0.5);
        ceiling->rate_low = work / jb_marks_quantile(marks, 0.95);
        ceiling->rate_high = work / jb_marks_quantile(marks, 0.05);
        ceiling->evidence = JB_CLASS_MEASURED;
    }
    return status;
}

/* A simulator repeats exactly: asked once, and no host clock is read. */
static enum jb_status ask_once(const struct jb_ceiling_args *args, const struct jb_exercise *what,
                               struct jb_ceiling *ceiling)
{
    struct jb_op_detail detail = {.clock_hz = jb_missing()};
    const enum jb_status status = args->backend->exercise(args->device, what, &detail);
    if (status == JB_OK) {
        ceiling->bytes = detail.bytes;
        ceiling->rate = work_of(what, &detail) * detail.clock_hz / (double)detail.cycles;
        ceiling->rate_low = ceiling->rate;
        ceiling->rate_high = ceiling->rate;
        ceiling->n_calls = 1;
        ceiling->evidence = JB_CLASS_SIMULATED;
    }
    return status;
}

enum jb_status jb_ceiling_measure(const struct jb_ceiling_args *args,
                                  const struct jb_exercise *what, struct jb_ceiling *ret_ceiling)
{
    struct jb_exercise amount = *what;
    struct jb_ceiling ceiling = {.kind = what->kind};
    struct jb_marks marks = {.kept_s = NULL};
    const bool is_modelled = (args->backend->caps & JB_CAP_MODELLED) != 0;
    (void)snprintf(ceiling.backend, sizeof ceiling.backend, "%s", args->backend->name);
    if (what->kind == JB_EXERCISE_MACS) {
        (void)snprintf(ceiling.number, sizeof ceiling.number, "%s", what->number);
    }
    enum jb_status status = JB_OK;
    if (what->kind == JB_EXERCISE_MACS) {
        amount.macs = FIRST_MACS;
        status = is_modelled ? JB_OK : find_amount(args, &amount);
    }
    if (status == JB_OK && !is_modelled) {
        status = jb_marks_create(MARKS_KEPT, &marks);
    }
    if (status == JB_OK) {
        status = is_modelled ? ask_once(args, &amount, &ceiling)
                             : time_calls(args, &amount, &marks, &ceiling);
    }
    jb_marks_free(&marks);
    if (status == JB_OK) {
        *ret_ceiling = ceiling;
    }
    return status;
}

/* ---- as a file ---- */

static const char *const titles[] = {
    "schema", "time_utc", "host", "commit",   "backend",   "device",  "threads", "kind",
    "number", "bytes",    "rate", "rate_low", "rate_high", "n_calls", "unit",    "class"};
enum { N_TITLES = sizeof titles / sizeof titles[0] };

static void put_real(FILE *out, double value)
{
    char text[JB_NUMBER_MAX];
    jb_real_print(value, text);
    (void)fprintf(out, ",%s", text);
}

void jb_ceilings_print_csv(FILE *out, const struct jb_ceiling *ceilings, uint32_t n)
{
    char utc[32];
    char host[64];
    jb_utc_now(utc);
    jb_host_name(host, sizeof host);
    for (int i = 0; i < N_TITLES; i++) {
        (void)fprintf(out, "%s%s", i > 0 ? "," : "", titles[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct jb_ceiling *c = &ceilings[i];
        (void)fprintf(out, "\n%s,%s,", JB_ROOFLINE_SCHEMA, utc);
        jb_csv_put(out, host);
        (void)fprintf(out, ",%s,%s,", JB_COMMIT, c->backend);
        jb_csv_put(out, c->device);
        (void)fprintf(out, ",%u,%s,%s,%" PRIu64, c->threads, kinds[c->kind], c->number, c->bytes);
        put_real(out, c->rate);
        put_real(out, c->rate_low);
        put_real(out, c->rate_high);
        (void)fprintf(out, ",%" PRIu64 ",%s,%s", c->n_calls,
                      c->kind == JB_EXERCISE_MACS ? "MAC/s" : "B/s", jb_class_name(c->evidence));
    }
    (void)fputc('\n', out);
}

/* A row of a table that is being read. */
struct place {
    const struct jb_sheet *sheet;
    const char *path;
    uint64_t row;
    uint32_t columns[N_TITLES];
};

static const char *cell(const struct place *at, const char *title)
{
    int i = 0;
    while (strcmp(titles[i], title) != 0) {
        i++;
    }
    return jb_sheet_cell(at->sheet, at->row, at->columns[i]);
}

static enum jb_status refuse(const struct place *at, const char *title)
{
    return jb_fail(JB_E_FORMAT, "%s:%" PRIu64 ": column %s: '%.40s' is not what belongs there",
                   at->path, at->sheet->lines[at->row], title, cell(at, title));
}

static enum jb_status read_row(const struct place *at, struct jb_ceiling *ret_ceiling)
{
    struct jb_ceiling c = {.evidence = JB_CLASS_MEASURED};
    const struct {
        const char *title;
        double *value;
    } rates[] = {{"rate", &c.rate}, {"rate_low", &c.rate_low}, {"rate_high", &c.rate_high}};
    if (strcmp(cell(at, "schema"), JB_ROOFLINE_SCHEMA) != 0) {
        return refuse(at, "schema");
    }
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        const char *text = cell(at, rates[i].title);
        if (!jb_real_parse(text, strlen(text), rates[i].value) || !(*rates[i].value > 0)) {
            return refuse(at, rates[i].title);
        }
    }
    int64_t threads = 0;
    const char *text = cell(at, "threads");
    if (!jb_int_parse(text, strlen(text), &threads) || threads < 1 || threads > UINT32_MAX) {
        return refuse(at, "threads");
    }
    c.threads = (uint32_t)threads;
    int kind = 0;
    while (kind < 3 && strcmp(kinds[kind], cell(at, "kind")) != 0) {
        kind++;
    }
    if (kind == 3) {
        return refuse(at, "kind");
    }
    c.kind = (enum jb_exercise_kind)kind;
    (void)snprintf(c.backend, sizeof c.backend, "%s", cell(at, "backend"));
    (void)snprintf(c.device, sizeof c.device, "%s", cell(at, "device"));
    (void)snprintf(c.number, sizeof c.number, "%s", cell(at, "number"));
    *ret_ceiling = c;
    return JB_OK;
}

enum jb_status jb_ceilings_read(const char *path, struct jb_ceiling *ret_ceilings, uint32_t *ret_n)
{
    struct jb_sheet sheet;
    enum jb_status status = jb_sheet_read(path, &sheet);
    if (status != JB_OK) {
        return status;
    }
    struct place at = {.sheet = &sheet, .path = path};
    for (int i = 0; i < N_TITLES && status == JB_OK; i++) {
        at.columns[i] = jb_sheet_find(&sheet, titles[i]);
        if (at.columns[i] == sheet.n_columns) {
            status = jb_fail(JB_E_FORMAT,
                             "%s:1: no column %s: this is no table of `joulebench roofline`", path,
                             titles[i]);
        }
    }
    if (status == JB_OK && sheet.n_rows > JB_MAX_CEILINGS) {
        status = jb_fail(JB_E_FORMAT, "%s: more than %d rows", path, JB_MAX_CEILINGS);
    }
    for (at.row = 0; status == JB_OK && at.row < sheet.n_rows; at.row++) {
        status = read_row(&at, &ret_ceilings[at.row]);
    }
    if (status == JB_OK) {
        *ret_n = (uint32_t)sheet.n_rows;
    }
    jb_sheet_free(&sheet);
    return status;
}

/* ---- what bounds a computation ---- */

/* Numbers that a format's products can be in, the best first; NULL-terminated. */
static const char *const *numbers_of(const struct jb_ceiling_wish *wish)
{
    static const char *const f32[] = {"f32", NULL};
    static const char *const f16[] = {"f16", "f32", NULL};
    static const char *const bf16[] = {"bf16", "f32", NULL};
    static const char *const int8[] = {"int8", "f32", NULL};
    static const char *const halves[] = {"f16", "bf16", "f32", NULL};
    switch (wish->dtype) {
    case JB_F32:
        return f32;
    case JB_F16:
        return f16;
    case JB_BF16:
        return bf16;
    default:
        /* processors multiply quantised values as they are, cards widen them */
        return wish->platform == JB_CPU ? int8 : halves;
    }
}

static double cache_of(const struct jb_ceiling_wish *wish)
{
    return jb_is_missing(wish->cache_bytes) ? UNKNOWN_CACHE_BYTES : wish->cache_bytes;
}

static struct jb_peaks no_peaks(const struct jb_ceiling_wish *wish)
{
    return (struct jb_peaks){.memory_bytes_per_s = jb_missing(),
                             .op_per_s = jb_missing(),
                             .limit_w = jb_missing(),
                             .cache_bytes = cache_of(wish)};
}

enum jb_status jb_ceilings_here(const struct jb_ceiling_args *args,
                                const struct jb_ceiling_wish *wish, struct jb_peaks *ret_peaks)
{
    struct jb_peaks peaks = no_peaks(wish);
    struct jb_ceiling ceiling;
    enum jb_status status = JB_E_NOTSUP;
    if (wish->resident_bytes > JB_CACHE_FACTOR * cache_of(wish)) {
        const double least = fmax(READ_BYTES, JB_CACHE_FACTOR * cache_of(wish));
        const struct jb_exercise what = {.kind = JB_EXERCISE_READ,
                                         .pattern = JB_SEQUENTIAL,
                                         .bytes = (uint64_t)fmin(least, wish->resident_bytes)};
        status = jb_ceiling_measure(args, &what, &ceiling);
        if (status != JB_OK && status != JB_E_NOTSUP) {
            return status;
        }
        peaks.memory_bytes_per_s = status == JB_OK ? ceiling.rate_high : jb_missing();
    }
    status = JB_E_NOTSUP;
    for (const char *const *number = numbers_of(wish); status == JB_E_NOTSUP && *number != NULL;
         number++) {
        const struct jb_exercise what = {.kind = JB_EXERCISE_MACS, .number = *number};
        status = jb_ceiling_measure(args, &what, &ceiling);
    }
    if (status != JB_OK && status != JB_E_NOTSUP) {
        return status;
    }
    peaks.op_per_s = status == JB_OK ? 2 * ceiling.rate_high : jb_missing();
    *ret_peaks = peaks;
    return JB_OK;
}

enum jb_status jb_ceilings_pick(const struct jb_ceiling *ceilings, uint32_t n, const char *backend,
                                const char *device, uint32_t threads,
                                const struct jb_ceiling_wish *wish, struct jb_peaks *ret_peaks)
{
    struct jb_peaks peaks = no_peaks(wish);
    const char *const *numbers = numbers_of(wish);
    const char *const *best = NULL; /* the number whose rate is taken */
    for (uint32_t i = 0; i < n; i++) {
        const struct jb_ceiling *c = &ceilings[i];
        if (strcmp(c->backend, backend) != 0 || strcmp(c->device, device) != 0 ||
            c->threads != threads) {
            continue;
        }
        if (c->kind == JB_EXERCISE_READ) {
            peaks.memory_bytes_per_s = fmax(peaks.memory_bytes_per_s, c->rate_high);
        }
        for (const char *const *number = numbers; c->kind == JB_EXERCISE_MACS && *number != NULL;
             number++) {
            if (strcmp(*number, c->number) == 0 && (best == NULL || number <= best)) {
                best = number;
                peaks.op_per_s = 2 * c->rate_high;
            }
        }
    }
    if (jb_is_missing(peaks.memory_bytes_per_s) && jb_is_missing(peaks.op_per_s)) {
        return jb_fail(JB_E_INVAL,
                       "--ceilings: no row of backend `%s`, device '%s' and %u threads; "
                       "`joulebench roofline` measures them",
                       backend, device, threads);
    }
    *ret_peaks = peaks;
    return JB_OK;
}
