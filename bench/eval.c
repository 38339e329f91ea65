/* SPDX-License-Identifier: MIT */
#include "bench/eval.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

double jb_nll(const float *logits, uint32_t n, int32_t id)
{
    double largest = -(double)INFINITY;
    for (uint32_t i = 0; i < n; i++) {
        if (!isfinite(logits[i])) {
            return (double)NAN;
        }
        largest = fmax(largest, (double)logits[i]);
    }
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += exp((double)logits[i] - largest);
    }
    /* The largest logit alone contributes 1 to the sum. */
    /* cppcheck-suppress invalidFunctionArg */
    return largest + log(sum) - (double)logits[id];
}

/* Up to JB_EVAL_CHUNK ids of one window, from ids[at]. Adds to *sum what they predict. */
static enum jb_status run_chunk(const struct jb_eval_args *args, struct jb_device *dev, uint64_t at,
                                uint32_t n, float *logits, double *sum, uint64_t *n_predicted)
{
    const struct jb_plan *plan = args->plan;
    const uint32_t pos = (uint32_t)(at % args->window);
    const struct jb_seq seq = {
        .slot = 0, .pos = pos, .n_tokens = n, .want = JB_WANT_ALL, .tokens = args->ids + at};
    const struct jb_step step = {.program = 0,
                                 .op_begin = 0,
                                 .op_end = plan->programs[0].n_ops,
                                 .seqs = &seq,
                                 .n_seqs = 1,
                                 .ret_logits = logits};
    enum jb_status status = args->backend->step(dev, &step);
    if (status == JB_OK && args->backend->sync != NULL) {
        status = args->backend->sync(dev);
    }
    for (uint32_t i = 0; i < n && status == JB_OK; i++) {
        const uint64_t next = at + i + 1;
        if (next == args->n_ids || next % args->window == 0) {
            continue;
        }
        const double nll = jb_nll(logits + (size_t)i * plan->vocab, plan->vocab, args->ids[next]);
        if (isnan(nll)) {
            status = jb_fail(JB_E_NUMERIC,
                             "%s: the logits after id number %" PRIu64 " are not all finite",
                             args->backend->name, next - 1);
        }
        *sum += nll;
        ++*n_predicted;
    }
    return status;
}

static enum jb_status run_all(const struct jb_eval_args *args, struct jb_device *dev, float *logits,
                              struct jb_eval_result *ret_result)
{
    double sum = 0;
    uint64_t n_predicted = 0;
    uint32_t n = 0;
    for (uint64_t at = 0; at < args->n_ids; at += n) {
        const uint64_t in_window = args->window - at % args->window;
        const uint64_t left = args->n_ids - at < in_window ? args->n_ids - at : in_window;
        n = left < JB_EVAL_CHUNK ? (uint32_t)left : JB_EVAL_CHUNK;
        const enum jb_status status = run_chunk(args, dev, at, n, logits, &sum, &n_predicted);
        if (status != JB_OK) {
            return status;
        }
        if (args->progress != NULL) {
            args->progress(args->progress_ctx, at + n, args->n_ids);
        }
    }
    if (args->ret_logits != NULL) {
        memcpy(args->ret_logits, logits + (size_t)(n - 1) * args->plan->vocab,
               args->plan->vocab * sizeof *logits);
    }
    *ret_result =
        (struct jb_eval_result){.n_predicted = n_predicted,
                                .nll = n_predicted == 0 ? (double)NAN : sum / (double)n_predicted};
    return JB_OK;
}

enum jb_status jb_eval(const struct jb_eval_args *args, struct jb_eval_result *ret_result)
{
    const uint32_t longest = args->n_ids < args->window ? (uint32_t)args->n_ids : args->window;
    const struct jb_load_args load = {.plan = args->plan,
                                      .max_seqs = 1,
                                      .max_tokens = JB_EVAL_CHUNK,
                                      .max_outputs = JB_EVAL_CHUNK,
                                      .context = longest,
                                      .execution = JB_EXECUTE_FUNCTIONAL};
    float *logits = calloc((size_t)JB_EVAL_CHUNK * args->plan->vocab, sizeof *logits);
    struct jb_device *dev = calloc(1, args->backend->device_size);
    if (logits == NULL || dev == NULL) {
        free(logits);
        free(dev);
        return jb_fail(JB_E_NOMEM, "no memory for the logits of %u tokens of a vocabulary of %u",
                       JB_EVAL_CHUNK, args->plan->vocab);
    }
    enum jb_status status = args->backend->open(dev, args->open);
    if (status == JB_OK) {
        status = args->backend->load(dev, &load);
        if (status == JB_OK) {
            status = run_all(args, dev, logits, ret_result);
        }
        args->backend->close(dev);
    }
    free(dev);
    free(logits);
    return status;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The word at `at`, made printable, for a message. */
static const char *show_word(const char *text, size_t size, size_t at, char ret_word[24])
{
    size_t n = 0;
    while (at + n < size && n < 20 && !is_space(text[at + n]) && text[at + n] != ',') {
        const char c = text[at + n];
        ret_word[n++] = c > ' ' && c <= '~' ? c : '?';
    }
    if (n == 0 && at < size && text[at] == ',') {
        ret_word[n++] = ',';
    }
    ret_word[n] = '\0';
    return ret_word;
}

/* Appends; grows at powers of two. */
static bool push_id(int32_t **ids, uint64_t *n, int32_t id)
{
    if ((*n & (*n - 1)) == 0) {
        int32_t *grown = realloc(*ids, (*n == 0 ? 1 : *n * 2) * sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        *ids = grown;
    }
    (*ids)[(*n)++] = id;
    return true;
}

static enum jb_status parse_all(const char *text, size_t size, const char *name, uint32_t vocab,
                                int32_t **ids, uint64_t *n)
{
    uint64_t line = 1;
    bool may_have_comma = false;
    for (size_t at = 0; at < size;) {
        char word[24];
        if (is_space(text[at]) || (text[at] == ',' && may_have_comma)) {
            may_have_comma = may_have_comma && text[at] != ',';
            line += text[at] == '\n';
            at++;
            continue;
        }
        const size_t begin = at;
        uint64_t value = 0;
        for (; at < size && text[at] >= '0' && text[at] <= '9'; at++) {
            value = value > INT32_MAX ? value : value * 10 + (uint64_t)(text[at] - '0');
        }
        if (at == begin || (at < size && !is_space(text[at]) && text[at] != ',')) {
            return jb_fail(JB_E_FORMAT,
                           "%s:%" PRIu64 ": '%s' where a token id should be (whole numbers, "
                           "separated by white space or a comma)",
                           name, line, show_word(text, size, begin, word));
        }
        if (value >= vocab) {
            return jb_fail(JB_E_FORMAT, "%s:%" PRIu64 ": id %s is outside the vocabulary (0 to %u)",
                           name, line, show_word(text, size, begin, word), vocab - 1);
        }
        if (!push_id(ids, n, (int32_t)value)) {
            return jb_fail(JB_E_NOMEM, "%s:%" PRIu64 ": no memory for more ids", name, line);
        }
        may_have_comma = true;
    }
    return *n > 0 ? JB_OK
                  : jb_fail(JB_E_FORMAT, "%s:%" PRIu64 ": no token id in the file", name, line);
}

enum jb_status jb_ids_parse(const char *text, size_t size, const char *name, uint32_t vocab,
                            int32_t **ret_ids, uint64_t *ret_n)
{
    int32_t *ids = NULL;
    uint64_t n = 0;
    const enum jb_status status = parse_all(text, size, name, vocab, &ids, &n);
    if (status != JB_OK) {
        free(ids);
        return status;
    }
    *ret_ids = ids;
    *ret_n = n;
    return JB_OK;
}
