/* SPDX-License-Identifier: MIT */
/* joulebench op: one operation on one backend, from the inside. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "backends/registry.h"
#include "bench/checks.h"
#include "bench/cli.h"
#include "bench/op.h"
#include "bench/op_row.h"
#include "platforms/host/host.h"

static const char help[] =
    "usage: joulebench op --backend B --op OP --shape SHAPE [options]\n"
    "\n"
    "Runs one operation and prints a CSV header and one row: cycles, time, bytes, MACs, joules by\n"
    "ledger line, and what the device waited for (stall_NAME, in cycles beside busy_cycles).\n"
    "\n"
    "operations and their --shape\n"
    "  gemv       OUTxIN[xVECTORS]: y = W x for each vector, W is (OUT, IN)\n"
    "  gemm       MxNxK: C (M, N) = A (M, K) x B (K, N); B is the weight, M the tokens\n"
    "  attention  SEQSxQ_HEADSxKV_HEADSxHEAD_DIMxDEPTH: one new token a sequence; DEPTH positions\n"
    "             are in the cache already\n"
    "  stream     --bytes N --pattern sequential|random|strided [--stride N] instead of --shape\n"
    "\n"
    "options\n"
    "  --backend B         one of `list backends`                        [cpu]\n"
    "  --device NAME|FILE  a device of `list devices`\n"
    "  --format F          of the weight; attention: of keys and values (f32, f16, q8_0)  [f16]\n"
    "  --set K=V           a setting of `list backends`, or for simulated devices any value of\n"
    "                      their device file (`list devices --csv`); may be repeated\n"
    "  --plugin FILE       load a backend from a shared object; may be repeated\n"
    "  --threads N         host threads                                  [cores usable here]\n"
    "  --seed N            of the weight                                 [42]\n"
    "  --execute MODE      simulated devices: timing, or functional: compute it too  [timing]\n"
    "  --window S          real devices: how long it is repeated         [500ms]\n"
    "  --meter LIST        real devices: energy sources, as for `run`    [auto]\n"
    "  --ceilings FILE     real devices: hold the time against a table of `joulebench roofline`\n"
    "                                                                    [measured here]\n"
    "  --no-ceiling        hold it against the device file of --device alone\n"
    "  --trace-ops FILE.json    simulated devices: charges over time, for chrome://tracing\n"
    "  --trace-commands FILE    simulated devices: every memory command, as CSV\n"
    "  --output FILE       append the row here (made if missing)         [stdout]\n"
    "\n"
    "On simulated devices time_s = cycles / clock_hz, from the first command to the last result\n"
    "read out: broadcast, mode change and refresh are in, loading of the weight and host work are\n"
    "not. On real devices cycles are empty and time_s is the median of the harness's clock around\n"
    "step and sync: launch, synchronisation and the look-up of the inputs in tables of 64 rows "
    "are\n"
    "in, after a warm-up; nothing is subtracted.\n"
    "\n"
    "examples\n"
    "  joulebench op --backend cpu --op gemv --shape 4096x4096 --format q4_0\n"
    "  joulebench op --backend cpu --op attention --shape 1x32x8x128x4096\n"
    "  joulebench op --backend cpu --op stream --bytes 1GiB --pattern sequential\n";

enum {
    OPT_BACKEND = 256,
    OPT_DEVICE,
    OPT_OP,
    OPT_SHAPE,
    OPT_FORMAT,
    OPT_SET,
    OPT_PLUGIN,
    OPT_THREADS,
    OPT_SEED,
    OPT_EXECUTE,
    OPT_WINDOW,
    OPT_METER,
    OPT_TRACE_OPS,
    OPT_TRACE_COMMANDS,
    OPT_CEILINGS,
    OPT_NO_CEILING,
    OPT_OUTPUT,
    OPT_BYTES,
    OPT_PATTERN,
    OPT_STRIDE
};

static const struct option long_options[] = {
    {"backend", required_argument, NULL, OPT_BACKEND},
    {"device", required_argument, NULL, OPT_DEVICE},
    {"op", required_argument, NULL, OPT_OP},
    {"shape", required_argument, NULL, OPT_SHAPE},
    {"format", required_argument, NULL, OPT_FORMAT},
    {"set", required_argument, NULL, OPT_SET},
    {"plugin", required_argument, NULL, OPT_PLUGIN},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"seed", required_argument, NULL, OPT_SEED},
    {"execute", required_argument, NULL, OPT_EXECUTE},
    {"window", required_argument, NULL, OPT_WINDOW},
    {"meter", required_argument, NULL, OPT_METER},
    {"trace-ops", required_argument, NULL, OPT_TRACE_OPS},
    {"trace-commands", required_argument, NULL, OPT_TRACE_COMMANDS},
    {"ceilings", required_argument, NULL, OPT_CEILINGS},
    {"no-ceiling", no_argument, NULL, OPT_NO_CEILING},
    {"output", required_argument, NULL, OPT_OUTPUT},
    {"bytes", required_argument, NULL, OPT_BYTES},
    {"pattern", required_argument, NULL, OPT_PATTERN},
    {"stride", required_argument, NULL, OPT_STRIDE},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct asked {
    struct jb_op_wish wish;
    struct jb_settings settings;
    struct jb_insight_args insight;
    const char *backend, *op, *shape, *format, *execute, *pattern, *output, *ceilings;
};

static const char *const ops[] = {"gemv", "gemm", "attention", "stream"};
static const char *const patterns[] = {"sequential", "random", "strided"};

/* Index of a word in a list of n; on failure says so. */
static bool take_word(const char *option, const char *text, const char *const *words, int n,
                      int *ret)
{
    char list[96] = "";
    for (int i = 0; i < n; i++) {
        if (strcmp(words[i], text) == 0) {
            *ret = i;
            return true;
        }
        const size_t used = strlen(list);
        (void)snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", words[i]);
    }
    (void)jb_cli_usage("op", "%s: '%.64s' is none of: %s", option, text, list);
    return false;
}

static bool take_number(struct asked *asked, int option, const char *text)
{
    struct jb_op_wish *wish = &asked->wish;
    switch (option) {
    case OPT_THREADS:
        return jb_check_threads("op", text, &wish->threads);
    case OPT_SEED:
        return jb_cli_u64("op", "--seed", text, 0, INT64_MAX, &wish->seed);
    case OPT_BYTES:
        return jb_cli_bytes("op", "--bytes", text, &wish->stream.bytes);
    case OPT_STRIDE:
        return jb_cli_bytes("op", "--stride", text, &wish->stream.stride_bytes);
    case OPT_WINDOW:
        if (jb_cli_seconds("op", "--window", text, &wish->window_s) && wish->window_s <= 86400) {
            return true;
        }
        (void)(wish->window_s > 86400 &&
               jb_cli_usage("op", "--window: %s is more than a day", text));
        return false;
    default:
        return false;
    }
}

/* @return false after saying why. */
static bool take(struct asked *asked, int option, const char *text)
{
    const struct {
        int option;
        const char **member;
    } texts[] = {
        {OPT_BACKEND, &asked->backend},
        {OPT_DEVICE, &asked->wish.device},
        {OPT_OP, &asked->op},
        {OPT_SHAPE, &asked->shape},
        {OPT_FORMAT, &asked->format},
        {OPT_EXECUTE, &asked->execute},
        {OPT_METER, &asked->wish.meters},
        {OPT_OUTPUT, &asked->output},
        {OPT_PATTERN, &asked->pattern},
        {OPT_CEILINGS, &asked->ceilings},
        {OPT_TRACE_OPS, &asked->insight.ops},
        {OPT_TRACE_COMMANDS, &asked->insight.commands},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].option == option) {
            *texts[i].member = text;
            return true;
        }
    }
    if (option == OPT_NO_CEILING) {
        asked->wish.has_ceiling = false;
        return true;
    }
    if (option == OPT_SET) {
        return jb_settings_add(&asked->settings, "op", text);
    }
    if (option == OPT_PLUGIN) {
        const enum jb_status status = jb_registry_load_plugin(text);
        return status == JB_OK || jb_cli_fail(status) == JB_EXIT_OK;
    }
    return take_number(asked, option, text);
}

/* @return -1 to go on, else the exit code. */
static int parse_options(int argc, char **argv, struct asked *asked)
{
    optind = 0;
    for (int c; (c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1;) {
        if (c == 'h') {
            (void)fputs(help, stdout);
            return JB_EXIT_OK;
        }
        if (c == ':' || c == '?') {
            return jb_cli_usage("op", "%s '%s'",
                                c == ':' ? "a value is missing after" : "unknown option",
                                argv[optind - 1]);
        }
        if (!take(asked, c, optarg)) {
            return JB_EXIT_USAGE;
        }
    }
    if (optind < argc) {
        return jb_cli_usage("op", "'%s' belongs to no option", argv[optind]);
    }
    return -1;
}

/* Numbers joined by 'x'. @return how many, or 0 if it is no such thing. */
static uint32_t split_shape(const char *text, uint32_t *ret_numbers, uint32_t capacity)
{
    for (uint32_t n = 0; n < capacity; n++) {
        char *end = NULL;
        errno = 0;
        const bool starts_well = text[0] >= '0' && text[0] <= '9';
        const unsigned long long value = starts_well ? strtoull(text, &end, 10) : 0;
        if (!starts_well || errno != 0 || value > INT32_MAX) {
            return 0;
        }
        ret_numbers[n] = (uint32_t)value;
        if (*end == '\0') {
            return n + 1;
        }
        if (*end != 'x') {
            return 0;
        }
        text = end + 1;
    }
    return 0;
}

static int take_shape(struct asked *asked)
{
    static const struct {
        uint32_t least, most;
        const char *form;
    } rules[] = {[JB_OP_IS_GEMV] = {2, 3, "OUTxIN[xVECTORS], 4096x4096"},
                 [JB_OP_IS_GEMM] = {3, 3, "MxNxK, 512x4096x4096"},
                 [JB_OP_IS_ATTENTION] = {5, 5,
                                         "SEQSxQ_HEADSxKV_HEADSxHEAD_DIMxDEPTH, "
                                         "1x32x8x128x1024"}};
    struct jb_op_wish *wish = &asked->wish;
    if (asked->shape == NULL) {
        return jb_cli_usage("op", "--shape is needed: %s", rules[wish->op].form);
    }
    const uint32_t n = split_shape(asked->shape, wish->shape, 5);
    bool is_good = n >= rules[wish->op].least && n <= rules[wish->op].most;
    for (uint32_t i = 0; i < n; i++) {
        /* a cache may be empty */
        is_good = is_good && (wish->shape[i] > 0 || (wish->op == JB_OP_IS_ATTENTION && i == 4));
    }
    if (!is_good) {
        return jb_cli_usage("op", "--shape: '%.64s' is not of the form %s", asked->shape,
                            rules[wish->op].form);
    }
    if (wish->op == JB_OP_IS_GEMV && n == 2) {
        wish->shape[2] = 1;
    }
    return -1;
}

static int take_stream(struct asked *asked)
{
    struct jb_exercise *stream = &asked->wish.stream;
    int pattern = JB_SEQUENTIAL;
    if (asked->shape != NULL) {
        return jb_cli_usage("op", "--shape: a stream takes --bytes and --pattern");
    }
    if (stream->bytes == 0) {
        return jb_cli_usage("op", "--bytes is needed: how much the stream reads, 64MiB");
    }
    if (asked->pattern != NULL && !take_word("--pattern", asked->pattern, patterns, 3, &pattern)) {
        return JB_EXIT_USAGE;
    }
    stream->kind = JB_EXERCISE_READ;
    stream->pattern = (enum jb_pattern)pattern;
    if ((stream->pattern == JB_STRIDED) != (stream->stride_bytes > 0)) {
        return jb_cli_usage("op", "--stride and --pattern strided belong together");
    }
    return -1;
}

/* Fills what was not given, checks what belongs together. @return -1 to go on. */
static int complete(struct asked *asked)
{
    static const char *const modes[] = {"functional", "timing"};
    struct jb_op_wish *wish = &asked->wish;
    int op = 0;
    int mode = JB_EXECUTE_TIMING;
    if (asked->op == NULL) {
        return jb_cli_usage("op", "--op is needed: gemv, gemm, attention or stream");
    }
    if (!take_word("--op", asked->op, ops, 4, &op) ||
        (asked->execute != NULL && !take_word("--execute", asked->execute, modes, 2, &mode))) {
        return JB_EXIT_USAGE;
    }
    wish->op = (enum jb_op_choice)op;
    if (wish->op != JB_OP_IS_STREAM &&
        (wish->stream.bytes > 0 || asked->pattern != NULL || wish->stream.stride_bytes > 0)) {
        return jb_cli_usage("op", "--bytes, --pattern and --stride belong to --op stream");
    }
    const int code = wish->op == JB_OP_IS_STREAM ? take_stream(asked) : take_shape(asked);
    if (code >= 0) {
        return code;
    }
    if (!jb_format_by_name(asked->format, &wish->format)) {
        return jb_cli_usage("op", "--format: '%.64s' is none of `joulebench list formats`",
                            asked->format);
    }
    wish->backend = jb_registry_find(asked->backend);
    if (wish->backend == NULL) {
        return jb_cli_fail(JB_E_INVAL);
    }
    const bool is_modelled = (wish->backend->caps & JB_CAP_MODELLED) != 0;
    if (asked->execute != NULL && mode == JB_EXECUTE_TIMING && !is_modelled) {
        return jb_cli_usage("op", "--execute timing: `%s` is a real device, it must compute",
                            wish->backend->name);
    }
    if ((asked->insight.ops != NULL || asked->insight.commands != NULL) && !is_modelled) {
        return jb_cli_usage("op", "--trace-%s: `%s` is a real device, timed from outside",
                            asked->insight.ops != NULL ? "ops" : "commands", wish->backend->name);
    }
    wish->execution = is_modelled ? (enum jb_execution)mode : JB_EXECUTE_FUNCTIONAL;
    wish->settings = asked->settings.items;
    wish->n_settings = asked->settings.n;
    wish->threads = wish->threads > 0 ? wish->threads : jb_host_default_threads();
    return -1;
}

/* What the end of the run means for the exit code. */
static int refuse(const char *backend, enum jb_status status, bool is_ready)
{
    if (!is_ready && (status == JB_E_INVAL || status == JB_E_FORMAT)) {
        return jb_cli_fail(status);
    }
    const bool is_absent =
        !is_ready && (status == JB_E_NODEV || status == JB_E_PERM || status == JB_E_NOTSUP);
    jb_cli_error("backend `%s` %s: %s", backend, is_absent ? "is unavailable" : "failed",
                 jb_reason());
    return is_absent ? JB_EXIT_UNAVAILABLE : JB_EXIT_FAILED;
}

static int run(struct asked *asked)
{
    struct jb_op_answer answer;
    bool is_ready = false;
    struct jb_ceiling *ceilings = NULL;
    enum jb_status status = JB_OK;
    if (asked->ceilings != NULL) {
        ceilings = calloc(JB_MAX_CEILINGS, sizeof *ceilings);
        status = ceilings == NULL
                     ? jb_fail(JB_E_NOMEM, "no memory for the ceilings")
                     : jb_ceilings_read(asked->ceilings, ceilings, &asked->wish.n_ceilings);
        if (status != JB_OK) {
            free(ceilings);
            return jb_cli_fail(status);
        }
    }
    asked->wish.ceilings = ceilings;
    if (asked->insight.ops != NULL || asked->insight.commands != NULL) {
        status = jb_insight_open(&asked->insight, &asked->wish.insight);
        if (status != JB_OK) {
            free(ceilings);
            return jb_cli_fail(status);
        }
    }
    status = jb_op_run(&asked->wish, &answer, &is_ready);
    free(ceilings);
    const int code = status == JB_OK ? JB_EXIT_OK : refuse(asked->backend, status, is_ready);
    status = jb_insight_close(asked->wish.insight);
    if (code != JB_EXIT_OK || status != JB_OK) {
        return code != JB_EXIT_OK ? code : jb_cli_fail(status);
    }
    status = jb_op_row_write(&asked->wish, &answer, asked->output);
    return status == JB_OK ? JB_EXIT_OK : jb_cli_fail(status);
}

int jb_cmd_op(int argc, char **argv)
{
    struct asked asked = {
        .wish = {.window_s = 0.5, .meters = "auto", .seed = 42, .has_ceiling = true},
        .backend = "cpu",
        .format = "f16",
        .output = "-"};
    int code = parse_options(argc, argv, &asked);
    if (code < 0) {
        code = complete(&asked);
    }
    if (code < 0) {
        code = run(&asked);
    }
    jb_settings_free(&asked.settings);
    return code;
}
