/* SPDX-License-Identifier: MIT */
/* Writing model files: a shape's seeded weights with a generated vocabulary, or another file's
 * weights in other types with its metadata kept. Both are an open model, a type for each tensor,
 * and a head; tensors are mapped, converted and written one by one. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/workload/gguf_write.h"
#include "bench/workload/model.h"
#include "bench/workload/parallel.h"

/* Output bytes converted at a time. */
#define CHUNK_BYTES ((size_t)8 << 20)

static const char rope_factors[] = "rope_freqs.weight";

/* general.file_type: llama_ftype of llama.h for the same mixes. */
static const uint32_t file_types[JB_N_DTYPES] = {
    [JB_F32] = 0,  [JB_F16] = 1,  [JB_BF16] = 32, [JB_Q8_0] = 7,
    [JB_Q4_0] = 2, [JB_Q4_1] = 3, [JB_Q4_K] = 15, [JB_Q6_K] = 18,
};

struct synth {
    const struct jb_synth_args *args;
    struct jb_model *model;
    enum jb_dtype recipe;
    struct jb_gguf_writer writer;
    struct jb_tensor *targets; /* (n_tensors,) as they are written */
    float *factors;            /* (n_factors,) rope_freqs.weight   */
    uint32_t n_factors;
    uint64_t done, total; /* tensor bytes */
};

/* ---- vocabulary of a shape ---- */

/* <unk> <s> </s>, a token a byte, then pieces over a space mark and the letters: all of one
 * letter, all of two ... Longer ones score lower, as trained vocabularies roughly do. Piece p of
 * length L is (first of 27) then L - 1 of 26 letters. */
static size_t make_piece(uint32_t id, char ret_piece[16])
{
    static const char *const special[] = {"<unk>", "<s>", "</s>"};
    if (id < 3) {
        return (size_t)snprintf(ret_piece, 16, "%s", special[id]);
    }
    if (id < 259) {
        return (size_t)snprintf(ret_piece, 16, "<0x%02X>", id - 3);
    }
    uint32_t number = id - 259;
    uint32_t tails = 1;
    int length = 1;
    while (number >= 27 * tails) {
        number -= 27 * tails;
        tails *= 26;
        length++;
    }
    const uint32_t first = number / tails;
    uint32_t tail = number % tails;
    char letters[8] = {0};
    for (int i = length - 2; i >= 0; i--) {
        letters[i] = (char)('a' + tail % 26);
        tail /= 26;
    }
    if (first == 0) {
        return (size_t)snprintf(ret_piece, 16, "\xe2\x96\x81%s", letters); /* U+2581 */
    }
    return (size_t)snprintf(ret_piece, 16, "%c%s", (char)('a' + first - 1), letters);
}

enum { N_VOCAB_KEYS = 10 };

static void write_vocab(struct jb_gguf_writer *w, uint32_t n)
{
    jb_gguf_key_string(w, "tokenizer.ggml.model", "llama");
    jb_gguf_key_string(w, "tokenizer.ggml.pre", "default");
    jb_gguf_key_array(w, "tokenizer.ggml.tokens", JB_GGUF_STRING, n);
    for (uint32_t i = 0; i < n; i++) {
        char piece[16];
        const size_t size = make_piece(i, piece);
        jb_gguf_put_string(w, piece, size);
    }
    jb_gguf_key_array(w, "tokenizer.ggml.scores", JB_GGUF_F32, n);
    for (uint32_t i = 0; i < n; i++) {
        const float score = i < 259 ? 0.0f : -(float)(i - 259);
        jb_gguf_put(w, &score, sizeof score);
    }
    jb_gguf_key_array(w, "tokenizer.ggml.token_type", JB_GGUF_I32, n);
    for (uint32_t i = 0; i < n; i++) {
        jb_gguf_put_u32(w, i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1);
    }
    jb_gguf_key_u32(w, "tokenizer.ggml.bos_token_id", 1);
    jb_gguf_key_u32(w, "tokenizer.ggml.eos_token_id", 2);
    jb_gguf_key_u32(w, "tokenizer.ggml.unknown_token_id", 0);
    jb_gguf_key_bool(w, "tokenizer.ggml.add_bos_token", true);
    jb_gguf_key_bool(w, "tokenizer.ggml.add_eos_token", false);
}

/* ---- heads ---- */

/* Keys whose value depends on how the file is written. */
enum { N_OWN_KEYS = 3 };
static const char *const own_keys[N_OWN_KEYS] = {"general.file_type", "general.alignment",
                                                 "general.quantization_version"};

static void write_own_keys(struct synth *s)
{
    jb_gguf_key_u32(&s->writer, own_keys[0], file_types[s->recipe]);
    jb_gguf_key_u32(&s->writer, own_keys[1], JB_GGUF_DEFAULT_ALIGNMENT);
    jb_gguf_key_u32(&s->writer, own_keys[2], 2);
}

enum { N_SHAPE_KEYS = 14 };

static void write_shape_keys(struct synth *s)
{
    const struct jb_hparams *hp = &s->model->hp;
    struct jb_gguf_writer *w = &s->writer;
    jb_gguf_key_string(w, "general.architecture", hp->architecture);
    jb_gguf_key_string(w, "general.name", s->model->info.name);
    jb_gguf_key_u32(w, "llama.vocab_size", hp->vocab);
    jb_gguf_key_u32(w, "llama.context_length", hp->max_context);
    jb_gguf_key_u32(w, "llama.embedding_length", hp->dim);
    jb_gguf_key_u32(w, "llama.block_count", hp->n_layers);
    jb_gguf_key_u32(w, "llama.feed_forward_length", hp->ffn_dim);
    jb_gguf_key_u32(w, "llama.attention.head_count", hp->n_heads);
    jb_gguf_key_u32(w, "llama.attention.head_count_kv", hp->n_kv_heads);
    jb_gguf_key_u32(w, "llama.attention.key_length", hp->head_dim);
    jb_gguf_key_u32(w, "llama.attention.value_length", hp->head_dim);
    jb_gguf_key_f32(w, "llama.attention.layer_norm_rms_epsilon", hp->norm_eps);
    jb_gguf_key_u32(w, "llama.rope.dimension_count", hp->rope.n_dims);
    jb_gguf_key_f32(w, "llama.rope.freq_base", hp->rope.base);
}

static bool is_own_key(struct jb_gguf_string name)
{
    for (int i = 0; i < N_OWN_KEYS; i++) {
        if (jb_gguf_string_is(name, own_keys[i])) {
            return true;
        }
    }
    return false;
}

static uint32_t count_kept_keys(const struct jb_gguf *gguf)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < gguf->n_keys; i++) {
        n += is_own_key(gguf->keys[i].name) ? 0 : 1;
    }
    return n;
}

static void write_keys(struct synth *s)
{
    const struct jb_gguf *gguf = &s->model->gguf;
    if (gguf->data == NULL) {
        write_shape_keys(s);
        write_own_keys(s);
        write_vocab(&s->writer, s->model->hp.vocab);
        return;
    }
    for (uint32_t i = 0; i < gguf->n_keys; i++) {
        if (!is_own_key(gguf->keys[i].name)) {
            jb_gguf_put_key(&s->writer, &gguf->keys[i]);
        }
    }
    write_own_keys(s);
}

static void write_entries(struct synth *s)
{
    for (uint32_t i = 0; i < s->model->n_tensors; i++) {
        const struct jb_tensor *t = &s->targets[i];
        jb_gguf_entry(&s->writer, t->name, t->rows, t->cols, jb_format(t->dtype)->gguf_type,
                      t->n_bytes);
    }
    if (s->n_factors > 0) {
        jb_gguf_entry(&s->writer, rope_factors, 1, s->n_factors, jb_format(JB_F32)->gguf_type,
                      (uint64_t)s->n_factors * sizeof *s->factors);
    }
    jb_gguf_pad(&s->writer);
}

/* ---- tensors ---- */

/* Rows of one tensor between types; each thread has a row of floats. */
struct conversion {
    const struct jb_tensor *from, *to;
    const uint8_t *src;
    uint8_t *dst;
    float *rows; /* (n_rows, cols) decoded */
};

static void convert_rows(void *ctx, uint32_t first, uint32_t end)
{
    const struct conversion *c = ctx;
    for (uint32_t row = first; row < end; row++) {
        float *values = c->rows + (size_t)row * c->from->cols;
        jb_format_decode(c->from->dtype, c->src + row * c->from->row_bytes, values, c->from->cols);
        for (uint32_t i = 0; i < c->from->cols; i++) {
            if (!isfinite(values[i])) {
                values[0] = (float)NAN; /* told by the caller; nothing may be encoded from it */
                break;
            }
        }
        if (!isnan(values[0])) {
            jb_format_encode(c->to->dtype, values, c->dst + row * c->to->row_bytes, c->to->cols);
        }
    }
}

static void report(struct synth *s, uint64_t bytes)
{
    s->done += bytes;
    if (s->args->progress != NULL) {
        s->args->progress(s->args->progress_ctx, s->done, s->total);
    }
}

static enum jb_status write_converted(struct synth *s, const struct jb_tensor *from,
                                      const struct jb_tensor *to, const uint8_t *src)
{
    const size_t fit = CHUNK_BYTES / (from->cols * sizeof(float));
    const uint32_t most = fit == 0 ? 1 : fit < from->rows ? (uint32_t)fit : from->rows;
    struct conversion c = {.from = from, .to = to};
    c.dst = malloc(most * to->row_bytes);
    c.rows = malloc((size_t)most * from->cols * sizeof *c.rows);
    enum jb_status status = JB_OK;
    if (c.dst == NULL || c.rows == NULL) {
        status =
            jb_fail(JB_E_NOMEM, "%s: no memory to convert '%s'", s->model->info.name, to->name);
    }
    for (uint32_t row = 0; status == JB_OK && row < from->rows; row += most) {
        const uint32_t n = from->rows - row < most ? from->rows - row : most;
        c.src = src + (size_t)row * from->row_bytes;
        jb_parallel_rows(n, from->cols, convert_rows, &c);
        for (uint32_t i = 0; status == JB_OK && i < n; i++) {
            if (isnan(c.rows[(size_t)i * from->cols])) {
                status = jb_fail(JB_E_NUMERIC, "%s: tensor '%s': row %u holds NaN or infinity",
                                 s->model->info.name, to->name, row + i);
            }
        }
        if (status == JB_OK) {
            jb_gguf_put(&s->writer, c.dst, (uint64_t)n * to->row_bytes);
            status = s->writer.status;
            report(s, (uint64_t)n * to->row_bytes);
        }
    }
    free(c.dst);
    free(c.rows);
    return status;
}

static enum jb_status write_tensor(struct synth *s, uint32_t index)
{
    const struct jb_tensor *from = &s->model->tensors[index];
    const struct jb_tensor *to = &s->targets[index];
    const struct jb_weights *weights = &s->model->weights;
    const void *data = NULL;
    enum jb_status status = weights->map(weights->ctx, index, &data);
    if (status != JB_OK) {
        return status;
    }
    if (from->dtype == to->dtype) {
        jb_gguf_put(&s->writer, data, to->n_bytes);
        status = s->writer.status;
        report(s, to->n_bytes);
    } else {
        status = write_converted(s, from, to, data);
    }
    jb_gguf_pad(&s->writer);
    weights->unmap(weights->ctx, index);
    return status;
}

/* ---- the whole ---- */

static enum jb_status find_factors(struct synth *s)
{
    const struct jb_rope_params *rope = &s->model->hp.rope;
    const bool is_file = s->model->gguf.data != NULL;
    const struct jb_gguf_tensor *entry =
        is_file ? jb_gguf_find_tensor(&s->model->gguf, rope_factors) : NULL;
    if (is_file ? entry == NULL : rope->scaling != JB_SCALING_LLAMA3) {
        return JB_OK;
    }
    s->n_factors = rope->n_dims / 2;
    s->factors = malloc(s->n_factors * sizeof *s->factors);
    if (s->factors == NULL) {
        return jb_fail(JB_E_NOMEM, "%s: no memory for its tables", s->model->info.name);
    }
    if (is_file) {
        memcpy(s->factors, entry->data, s->n_factors * sizeof *s->factors);
    } else {
        jb_rope_llama3_factors(rope, s->factors);
    }
    return JB_OK;
}

static enum jb_status choose_targets(struct synth *s)
{
    const struct jb_model *model = s->model;
    s->targets = calloc(model->n_tensors, sizeof *s->targets);
    if (s->targets == NULL) {
        return jb_fail(JB_E_NOMEM, "%s: no memory for its tables", model->info.name);
    }
    for (uint32_t i = 0; i < model->n_tensors; i++) {
        struct jb_tensor *t = &s->targets[i];
        *t = model->tensors[i];
        t->dtype = jb_recipe_dtype(s->recipe, &model->hp, &model->specs[i]);
        t->row_bytes = jb_format_row_bytes(t->dtype, t->cols);
        t->n_bytes = (uint64_t)t->row_bytes * t->rows;
        s->total += t->n_bytes;
    }
    return find_factors(s);
}

static enum jb_status write_all(struct synth *s)
{
    const struct jb_gguf *gguf = &s->model->gguf;
    const uint32_t n_keys =
        N_OWN_KEYS + (gguf->data != NULL ? count_kept_keys(gguf) : N_SHAPE_KEYS + N_VOCAB_KEYS);
    enum jb_status status = jb_gguf_create(
        &s->writer, s->args->output, s->model->n_tensors + (s->n_factors > 0 ? 1 : 0), n_keys);
    if (status != JB_OK) {
        return status;
    }
    write_keys(s);
    write_entries(s);
    for (uint32_t i = 0; status == JB_OK && i < s->model->n_tensors; i++) {
        status = write_tensor(s, i);
    }
    if (status != JB_OK) {
        jb_gguf_discard(&s->writer);
        return status;
    }
    jb_gguf_put(&s->writer, s->factors, (uint64_t)s->n_factors * sizeof(float));
    jb_gguf_pad(&s->writer);
    return jb_gguf_finish(&s->writer);
}

static enum jb_status open_source(struct synth *s)
{
    const struct jb_synth_args *args = s->args;
    if ((args->model == NULL) == (args->from == NULL)) {
        return jb_fail(JB_E_INVAL, "a model file is made of a named shape or from a file: one of "
                                   "the two");
    }
    enum jb_status status = jb_recipe_find(args->format, &s->recipe);
    if (status != JB_OK) {
        return status;
    }
    if (args->model != NULL) {
        const struct jb_shape *shape = jb_shape_find(args->model);
        if (shape != NULL && strcmp(shape->architecture, "llama") != 0) {
            return jb_fail(JB_E_NOTSUP,
                           "%s: %s shapes have no file form here; they run with --model %s",
                           shape->name, shape->architecture, shape->name);
        }
        if (shape == NULL) {
            return jb_fail(JB_E_NODEV, "'%s' is no named shape; see 'joulebench list models'",
                           args->model);
        }
    }
    if (args->from != NULL && jb_shape_find(args->from) != NULL) {
        return jb_fail(JB_E_INVAL,
                       "'%s' is a named shape, not a file; for a file of that name "
                       "write './%s'",
                       args->from, args->from);
    }
    const struct jb_model_args open_args = {.source =
                                                args->model != NULL ? args->model : args->from,
                                            .format = args->model != NULL ? args->format : NULL,
                                            .seed = args->seed,
                                            .has_weights = true};
    return jb_model_open(&open_args, &s->model);
}

enum jb_status jb_synth(const struct jb_synth_args *args)
{
    struct synth s = {.args = args};
    enum jb_status status = open_source(&s);
    if (status == JB_OK && s.model != NULL) {
        status = choose_targets(&s);
        status = status == JB_OK ? write_all(&s) : status;
    }
    free(s.targets);
    free(s.factors);
    jb_model_close(s.model);
    return status;
}
