/* SPDX-License-Identifier: MIT */
/* joulebench eval: mean negative log likelihood of token ids or of a text, as one CSV row. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/registry.h"
#include "bench/checks.h"
#include "bench/cli.h"
#include "bench/eval.h"
#include "bench/workload/workload.h"
#include "platforms/host/host.h"

/* Larger inputs are a mistake (a device file, a model given as text). */
#define MAX_INPUT_BYTES (UINT32_C(1) << 30)

static const char help[] =
    "usage: joulebench eval --model FILE --ids FILE|--text FILE [options]\n"
    "\n"
    "Prints how well a model predicts a list of tokens, as CSV:\n"
    "  model,format,tokens,predicted,nll\n"
    "nll is the mean of -ln p(token | tokens before it) in nats over the predicted tokens;\n"
    "exp(nll) is the perplexity. It is empty when nothing is predicted.\n"
    "\n"
    "  --model FILE       GGUF file, or a named shape (list models) with seeded weights\n"
    "  --ids FILE         token ids, separated by white space or commas, taken as given: n ids\n"
    "                     give n - 1 predictions; at most the model's context\n"
    "  --text FILE        UTF-8 text: tokenized, BOS in front if the model file asks for it, then\n"
    "                     cut into context-long windows; the first token of each is not predicted\n"
    "  --logits FILE      also write the logits after the last token, as CSV: id,logit\n"
    "  --backend NAME     what computes it (list backends); default cpu, else refops\n"
    "  --device NAME      of the backend; default: the backend's own choice\n"
    "  --format F         weight format of a named shape (list formats); a file must have it\n"
    "  --kv-format F      storage of keys and values: f32, f16 (default) or q8_0\n"
    "  --threads N        default: the cores this process may use\n"
    "  --seed N           of a named shape's weights; default 42\n"
    "\n"
    "example: is q4_0 worse than q8_0 on this text?\n"
    "  joulebench eval --model model-q8_0.gguf --text story.txt\n"
    "  joulebench synth --from model-q8_0.gguf --format q4_0 -o model-q4_0.gguf\n"
    "  joulebench eval --model model-q4_0.gguf --text story.txt\n";

struct options {
    const char *model, *ids, *text, *logits, *backend, *device, *format, *kv_format;
    uint32_t n_threads; /* 0 = the cores that may be used */
    uint64_t seed;
};

enum {
    OPT_MODEL = 256,
    OPT_IDS,
    OPT_TEXT,
    OPT_LOGITS,
    OPT_BACKEND,
    OPT_DEVICE,
    OPT_FORMAT,
    OPT_KV_FORMAT,
    OPT_THREADS,
    OPT_SEED,
    OPT_HELP
};

static const struct option long_options[] = {
    {"model", required_argument, NULL, OPT_MODEL},
    {"ids", required_argument, NULL, OPT_IDS},
    {"text", required_argument, NULL, OPT_TEXT},
    {"logits", required_argument, NULL, OPT_LOGITS},
    {"backend", required_argument, NULL, OPT_BACKEND},
    {"device", required_argument, NULL, OPT_DEVICE},
    {"format", required_argument, NULL, OPT_FORMAT},
    {"kv-format", required_argument, NULL, OPT_KV_FORMAT},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"seed", required_argument, NULL, OPT_SEED},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

/* @return -1 to go on, else the exit code. */
static int parse_options(int argc, char **argv, struct options *ret)
{
    const char **const texts[] = {&ret->model,   &ret->ids,    &ret->text,   &ret->logits,
                                  &ret->backend, &ret->device, &ret->format, &ret->kv_format};
    optind = 0;
    for (int c; (c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1;) {
        if (c >= OPT_MODEL && c <= OPT_KV_FORMAT) {
            *texts[c - OPT_MODEL] = optarg;
        } else if (c == OPT_THREADS) {
            if (!jb_check_threads("eval", optarg, &ret->n_threads)) {
                return JB_EXIT_USAGE;
            }
        } else if (c == OPT_SEED) {
            if (!jb_cli_u64("eval", "--seed", optarg, 0, UINT64_MAX, &ret->seed)) {
                return JB_EXIT_USAGE;
            }
        } else if (c == OPT_HELP || c == 'h') {
            (void)fputs(help, stdout);
            return JB_EXIT_OK;
        } else {
            return jb_cli_usage("eval", "%s '%s'",
                                c == ':' ? "a value is missing after" : "unknown option",
                                argv[optind - 1]);
        }
    }
    if (optind < argc) {
        return jb_cli_usage("eval", "'%s' belongs to no option", argv[optind]);
    }
    if (ret->model == NULL) {
        return jb_cli_usage("eval", "--model FILE is needed");
    }
    if ((ret->ids == NULL) == (ret->text == NULL)) {
        return jb_cli_usage("eval", "give either --ids FILE or --text FILE");
    }
    const char *const inputs[] = {ret->model, ret->ids, ret->text};
    for (int i = 0; i < 3 && ret->logits != NULL; i++) {
        if (inputs[i] != NULL && strcmp(inputs[i], ret->logits) == 0) {
            return jb_cli_usage("eval", "--logits would replace its input '%s': give another file",
                                ret->logits);
        }
    }
    return -1;
}

/* Reads all of a file; pipes too, so that <(command) works. */
static enum jb_status read_file(const char *path, char **ret_text, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return jb_fail(errno == EACCES ? JB_E_PERM : JB_E_NODEV, "%s: %s", path, strerror(errno));
    }
    char *text = NULL;
    size_t size = 0, capacity = 0;
    enum jb_status status = JB_OK;
    while (status == JB_OK && !feof(file)) {
        if (size == capacity) {
            capacity = capacity == 0 ? 65536 : capacity * 2;
            char *grown = capacity > 2 * (size_t)MAX_INPUT_BYTES ? NULL : realloc(text, capacity);
            if (grown == NULL) {
                status = jb_fail(JB_E_INVAL, "%s: more than %zu bytes; cut it", path, size);
                break;
            }
            text = grown;
        }
        size += fread(text + size, 1, capacity - size, file);
        if (ferror(file)) {
            status =
                jb_fail(errno == EISDIR ? JB_E_INVAL : JB_E_IO, "%s: %s", path, strerror(errno));
        }
    }
    (void)fclose(file);
    if (status != JB_OK) {
        free(text);
        return status;
    }
    *ret_text = text;
    *ret_size = size;
    return JB_OK;
}

static enum jb_status tokenize(const struct jb_model_info *info, const char *path, const char *text,
                               size_t size, int32_t **ret_ids, uint64_t *ret_n)
{
    struct jb_tokenizer *tokenizer = NULL;
    int32_t *ids = NULL;
    uint32_t n = 0;
    enum jb_status status = jb_tokenizer_create(info->vocab, &tokenizer);
    if (status == JB_OK) {
        status = jb_tokenizer_encode(tokenizer, text, size, true, false, &ids, &n);
    }
    jb_tokenizer_free(tokenizer);
    if (status != JB_OK) {
        return jb_fail(status, "%s: %s", info->path, jb_reason());
    }
    if (n == 0) {
        free(ids);
        return jb_fail(JB_E_INVAL, "%s: the text is empty", path);
    }
    *ret_ids = ids;
    *ret_n = n;
    return JB_OK;
}

static enum jb_status write_logits(const char *path, const float *logits, uint32_t n)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return jb_fail(errno == EACCES ? JB_E_PERM : JB_E_IO, "%s: %s", path, strerror(errno));
    }
    bool is_written = fputs("id,logit\n", file) >= 0;
    for (uint32_t i = 0; i < n && is_written; i++) {
        is_written = fprintf(file, "%u,%.9g\n", i, (double)logits[i]) > 0;
    }
    /* A full disk may show only here. */
    if (fclose(file) != 0 || !is_written) {
        return jb_fail(JB_E_IO, "%s: cannot write all of it: %s", path, strerror(errno));
    }
    return JB_OK;
}

static void show_progress(void *ctx, uint64_t done, uint64_t total)
{
    jb_progress_show(ctx, "eval: %" PRIu64 " of %" PRIu64 " tokens", done, total);
}

/* What the options turned into. */
struct job {
    const struct options *options;
    const struct jb_open_args *open;
    const struct jb_backend *backend;
    struct jb_probe probe;
    const struct jb_model_info *info;
    const struct jb_plan *plan;
};

/* Backend and device. @return false after saying why; *ret_exit is then the exit code. */
static bool choose_backend(struct job *job, int *ret_exit)
{
    const struct options *options = job->options;
    const struct jb_backend *backend = NULL;
    if (options->backend != NULL) {
        backend = jb_registry_find(options->backend);
    } else {
        backend = jb_registry_find("cpu");
        backend = backend != NULL ? backend : jb_registry_find("refops");
    }
    *ret_exit = JB_EXIT_UNAVAILABLE;
    if (backend == NULL) {
        jb_cli_error("%s", jb_reason());
        return false;
    }
    if ((backend->caps & JB_CAP_NO_RESULT) != 0) {
        *ret_exit = jb_cli_usage("eval", "backend '%s' computes no logits", backend->name);
        return false;
    }
    const enum jb_status status = jb_check_device(options->device, &backend, 1);
    if (status != JB_OK) {
        *ret_exit = jb_cli_fail(status);
        return false;
    }
    if (backend->probe(job->open, &job->probe) != JB_OK) {
        jb_cli_error("%s", jb_reason());
        return false;
    }
    job->backend = backend;
    return true;
}

static enum jb_status check_memory(const struct job *job, uint64_t n_ids)
{
    if (job->probe.platform != JB_CPU || (job->backend->caps & JB_CAP_MODELLED) != 0) {
        return JB_OK;
    }
    const uint32_t most = job->plan->max_context;
    return jb_check_memory(job->plan, job->info->path == NULL, 1,
                           n_ids < most ? (uint32_t)n_ids : most,
                           "take a smaller --format or --kv-format");
}

static enum jb_status read_ids(const struct job *job, int32_t **ret_ids, uint64_t *ret_n)
{
    const struct options *options = job->options;
    const char *path = options->ids != NULL ? options->ids : options->text;
    char *text = NULL;
    size_t size = 0;
    enum jb_status status = read_file(path, &text, &size);
    if (status == JB_OK) {
        status = options->ids != NULL
                     ? jb_ids_parse(text, size, path, job->plan->vocab, ret_ids, ret_n)
                     : tokenize(job->info, path, text, size, ret_ids, ret_n);
    }
    free(text);
    if (status == JB_OK && options->ids != NULL && *ret_n > job->plan->max_context) {
        status = jb_fail(JB_E_INVAL,
                         "%s: %" PRIu64 " ids, but the model's context is %u; give at most that "
                         "many",
                         path, *ret_n, job->plan->max_context);
    }
    return status;
}

static int print_row(const struct jb_model_info *info, uint64_t n_ids,
                     const struct jb_eval_result *result)
{
    (void)fputs("model,format,tokens,predicted,nll\n", stdout);
    jb_cli_csv_cell(stdout, info->name);
    (void)putchar(',');
    jb_cli_csv_cell(stdout, info->format);
    (void)printf(",%" PRIu64 ",%" PRIu64 ",", n_ids, result->n_predicted);
    if (!isnan(result->nll)) {
        (void)printf("%.9g", result->nll);
    }
    (void)putchar('\n');
    return JB_EXIT_OK;
}

/* Everything after the model and its plan are there. */
static int evaluate(const struct job *job)
{
    const struct options *options = job->options;
    const struct jb_plan *plan = job->plan;
    int32_t *ids = NULL;
    uint64_t n_ids = 0;
    float *logits = NULL;
    struct jb_eval_result result = {0};
    enum jb_status status = read_ids(job, &ids, &n_ids);
    if (status == JB_OK) {
        status = check_memory(job, n_ids);
    }
    if (status == JB_OK && options->logits != NULL) {
        logits = malloc(plan->vocab * sizeof *logits);
        status = logits == NULL ? jb_fail(JB_E_NOMEM, "no memory for logits") : JB_OK;
    }
    if (status == JB_OK) {
        struct jb_progress progress;
        jb_progress_start(&progress);
        const struct jb_eval_args args = {.plan = plan,
                                          .backend = job->backend,
                                          .open = job->open,
                                          .ids = ids,
                                          .n_ids = n_ids,
                                          .window = plan->max_context,
                                          .ret_logits = logits,
                                          .progress = show_progress,
                                          .progress_ctx = &progress};
        status = jb_eval(&args, &result);
        jb_progress_end(&progress);
    }
    if (status == JB_OK && logits != NULL) {
        status = write_logits(options->logits, logits, plan->vocab);
    }
    free(logits);
    free(ids);
    return status == JB_OK ? print_row(job->info, n_ids, &result) : jb_cli_fail(status);
}

static int with_model(const struct options *options, const struct jb_open_args *open)
{
    struct job job = {.options = options, .open = open};
    enum jb_dtype kv_dtype = JB_F16;
    if (options->kv_format != NULL && !jb_format_by_name(options->kv_format, &kv_dtype)) {
        return jb_cli_usage("eval", "--kv-format: no format '%s' (f32, f16 or q8_0)",
                            options->kv_format);
    }
    int exit_code = JB_EXIT_FAILED;
    if (!choose_backend(&job, &exit_code)) {
        return exit_code;
    }
    const struct jb_model_args model_args = {.source = options->model,
                                             .format = options->format,
                                             .seed = options->seed,
                                             .has_weights = true};
    const struct jb_plan_args plan_args = {.kv_dtype = kv_dtype, .n_ranks = 1};
    struct jb_model *model = NULL;
    struct jb_plan *plan = NULL;
    enum jb_status status = jb_check_folder("--logits", options->logits);
    if (status == JB_OK) {
        status = jb_model_open(&model_args, &model);
    }
    if (status == JB_OK && options->text != NULL &&
        jb_model_info(model)->vocab->kind == JB_VOCAB_NONE) {
        exit_code = jb_cli_usage("eval",
                                 "%s has no vocabulary, so --text means nothing to it; "
                                 "give --ids",
                                 options->model);
        jb_model_close(model);
        return exit_code;
    }
    if (status == JB_OK) {
        job.info = jb_model_info(model);
        status = jb_plan_build(model, &plan_args, &plan);
    }
    job.plan = plan;
    exit_code = status == JB_OK ? evaluate(&job) : jb_cli_fail(status);
    jb_plan_free(plan);
    jb_model_close(model);
    return exit_code;
}

int jb_cmd_eval(int argc, char **argv)
{
    struct options options = {.seed = 42};
    const int parsed = parse_options(argc, argv, &options);
    if (parsed >= 0) {
        return parsed;
    }
    const uint32_t n_threads =
        options.n_threads != 0 ? options.n_threads : jb_host_default_threads();
    uint32_t *pus = malloc(n_threads * sizeof *pus);
    if (pus == NULL) {
        return jb_cli_fail(jb_fail(JB_E_NOMEM, "no memory for %u threads", n_threads));
    }
    /* Unpinned threads are slower, not wrong. */
    const bool is_pinned = jb_host_pick_pus(n_threads, pus) == JB_OK;
    const struct jb_open_args open = {.device = options.device,
                                      .pus = is_pinned ? pus : NULL,
                                      .n_threads = n_threads,
                                      .seed = options.seed};
    const int exit_code = with_model(&options, &open);
    free(pus);
    return exit_code;
}
