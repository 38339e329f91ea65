/* SPDX-License-Identifier: MIT */
/* Opening a model: a GGUF file or a named shape becomes one table of tensors. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/workload/model.h"

static enum jb_status no_memory(const char *source)
{
    return jb_fail(JB_E_NOMEM, "%s: no memory for its tables", source);
}

/* A copy of at most 120 bytes in which control characters are spaces: names go into CSV rows. */
static char *copy_name(const char *text, uint64_t size)
{
    const size_t n = size < 120 ? (size_t)size : 120;
    char *name = malloc(n + 1);
    for (size_t i = 0; name != NULL && i < n; i++) {
        name[i] = text[i];
        if (iscntrl((unsigned char)text[i]) != 0) {
            name[i] = ' ';
        }
    }
    if (name != NULL) {
        name[n] = '\0';
    }
    return name;
}

/* general.name, else the path's last part without ".gguf". */
static enum jb_status set_name(struct jb_model *model, const char *path)
{
    struct jb_gguf_string name = {"", 0};
    const enum jb_status status = jb_gguf_string(&model->gguf, "general.name", &name);
    if (status != JB_OK) {
        return status;
    }
    if (name.size == 0) {
        const char *slash = strrchr(path, '/');
        const char *base = slash != NULL ? slash + 1 : path;
        const char *suffix = strstr(base, ".gguf");
        name = (struct jb_gguf_string){
            base, suffix != NULL && suffix != base ? (uint64_t)(suffix - base) : strlen(base)};
    }
    model->name = copy_name(name.data, name.size);
    model->path = malloc(strlen(path) + 1);
    if (model->name == NULL || model->path == NULL) {
        return no_memory(path);
    }
    memcpy(model->path, path, strlen(path) + 1);
    return JB_OK;
}

static void set_tensor(struct jb_tensor *tensor, const struct jb_spec *spec, enum jb_dtype dtype)
{
    const size_t row_bytes = jb_format_row_bytes(dtype, spec->cols);
    *tensor = (struct jb_tensor){.name = spec->name,
                                 .dtype = dtype,
                                 .rows = spec->rows,
                                 .cols = spec->cols,
                                 .row_bytes = row_bytes,
                                 .n_bytes = (uint64_t)row_bytes * spec->rows};
}

static enum jb_status make_tables(struct jb_model *model, const char *source)
{
    model->n_tensors = jb_layout_count(&model->hp);
    model->specs = calloc(model->n_tensors, sizeof *model->specs);
    model->tensors = calloc(model->n_tensors, sizeof *model->tensors);
    model->residences = calloc(model->n_tensors, sizeof *model->residences);
    if (model->specs == NULL || model->tensors == NULL || model->residences == NULL) {
        return no_memory(source);
    }
    jb_layout(&model->hp, model->specs);
    return JB_OK;
}

/* ---- files ---- */

static enum jb_status bad_tensor(const struct jb_model *model, const char *name, const char *what)
{
    return jb_fail(JB_E_FORMAT, "%s: tensor '%s': %s", model->gguf.name, name, what);
}

static enum jb_status bind_tensor(struct jb_model *model, uint32_t index)
{
    const struct jb_spec *spec = &model->specs[index];
    const struct jb_gguf_tensor *entry = jb_gguf_find_tensor(&model->gguf, spec->name);
    if (entry == NULL) {
        return bad_tensor(model, spec->name, "is missing");
    }
    enum jb_dtype dtype;
    if (!jb_format_by_gguf_type(entry->type, &dtype)) {
        return jb_fail(JB_E_NOTSUP,
                       "%s: tensor '%s': GGUF type %u is not supported; f32, f16, bf16, q8_0, "
                       "q4_0, q4_1, q4_k and q6_k are",
                       model->gguf.name, spec->name, entry->type);
    }
    const bool is_vector = jb_role_is_vector(spec->role);
    if (entry->dims[0] != spec->cols || entry->dims[1] != spec->rows || entry->dims[2] != 1 ||
        entry->dims[3] != 1) {
        return jb_fail(JB_E_FORMAT,
                       "%s: tensor '%s': is %llu x %llu x %llu x %llu where the model needs %u x "
                       "%u",
                       model->gguf.name, spec->name, (unsigned long long)entry->dims[0],
                       (unsigned long long)entry->dims[1], (unsigned long long)entry->dims[2],
                       (unsigned long long)entry->dims[3], spec->cols, spec->rows);
    }
    model->entries[index] = entry;
    set_tensor(&model->tensors[index], spec, is_vector ? JB_F32 : dtype);
    return JB_OK;
}

/* A tensor that nothing asks for would change the model if it were used: refused. */
static enum jb_status refuse_unused(const struct jb_model *model)
{
    uint32_t n_known = model->n_tensors;
    n_known += jb_gguf_find_tensor(&model->gguf, "rope_freqs.weight") != NULL ? 1 : 0;
    if (model->gguf.n_tensors == n_known) {
        return JB_OK;
    }
    for (uint32_t i = 0; i < model->gguf.n_tensors; i++) {
        const struct jb_gguf_tensor *entry = &model->gguf.tensors[i];
        bool is_used = jb_gguf_string_is(entry->name, "rope_freqs.weight");
        for (uint32_t j = 0; !is_used && j < model->n_tensors; j++) {
            is_used = model->entries[j] == entry;
        }
        if (!is_used) {
            return jb_fail(JB_E_NOTSUP,
                           "%s: tensor '%.*s': a %s model of this kind is not "
                           "supported",
                           model->gguf.name, (int)entry->name.size, entry->name.data,
                           model->hp.architecture);
        }
    }
    return JB_OK;
}

static enum jb_status bind_tensors(struct jb_model *model)
{
    /* Before memory is taken for what the header only says. */
    if (jb_layout_count(&model->hp) > model->gguf.n_tensors) {
        return jb_fail(JB_E_FORMAT,
                       "%s: key '%s.block_count': %u layers need %u tensors, the file "
                       "has %u",
                       model->gguf.name, model->hp.architecture, model->hp.n_layers,
                       jb_layout_count(&model->hp), model->gguf.n_tensors);
    }
    enum jb_status status = make_tables(model, model->gguf.name);
    if (status != JB_OK) {
        return status;
    }
    model->entries = calloc(model->n_tensors, sizeof(const struct jb_gguf_tensor *));
    if (model->entries == NULL) {
        return no_memory(model->gguf.name);
    }
    for (uint32_t i = 0; status == JB_OK && i < model->n_tensors; i++) {
        status = bind_tensor(model, i);
    }
    return status == JB_OK ? refuse_unused(model) : status;
}

/* Llama 3 files carry the divisors of the frequencies as a tensor. */
static enum jb_status read_rope_factors(struct jb_model *model, float *factors, bool *ret_is_there)
{
    static const char name[] = "rope_freqs.weight";
    const struct jb_gguf_tensor *entry = jb_gguf_find_tensor(&model->gguf, name);
    if (entry == NULL) {
        *ret_is_there = false;
        return JB_OK;
    }
    const uint32_t n = model->hp.rope.n_dims / 2;
    if (entry->type != jb_format(JB_F32)->gguf_type ||
        entry->n_bytes != (uint64_t)n * sizeof *factors) {
        return bad_tensor(model, name, "is not one f32 a rotated pair");
    }
    memcpy(factors, entry->data, n * sizeof *factors);
    for (uint32_t i = 0; i < n; i++) {
        if (!(factors[i] > 0.0f && isfinite(factors[i]))) {
            return bad_tensor(model, name, "a factor is not above 0");
        }
    }
    *ret_is_there = true;
    return JB_OK;
}

static enum jb_status make_rope(struct jb_model *model, const char *source)
{
    const struct jb_rope_params *rope = &model->hp.rope;
    if (rope->kind == JB_ROPE_NONE) {
        return JB_OK;
    }
    const uint32_t n = rope->n_dims / 2;
    float *factors = calloc(n, sizeof *factors);
    model->inv_freq = calloc(n, sizeof *model->inv_freq);
    bool has_factors = rope->scaling == JB_SCALING_LLAMA3;
    enum jb_status status = JB_OK;
    if (factors == NULL || model->inv_freq == NULL) {
        free(factors);
        return no_memory(source);
    }
    if (model->gguf.data != NULL) {
        status = read_rope_factors(model, factors, &has_factors);
    } else if (has_factors) {
        jb_rope_llama3_factors(rope, factors);
    }
    if (status == JB_OK) {
        jb_rope_build(rope, has_factors ? factors : NULL, model->inv_freq, &model->mscale);
        bool is_finite = isfinite(model->mscale) != 0;
        for (uint32_t i = 0; i < n; i++) {
            is_finite = is_finite && isfinite(model->inv_freq[i]);
        }
        if (!is_finite) {
            status = jb_fail(JB_E_FORMAT, "%s: key '%s.rope.freq_base': the angles are not finite",
                             source, model->hp.architecture);
        }
    }
    free(factors);
    return status;
}

/* The type most values of the matrices have. */
static enum jb_dtype main_type(const struct jb_model *model)
{
    uint64_t values[JB_N_DTYPES] = {0};
    enum jb_dtype most = JB_F32;
    for (uint32_t i = 0; i < model->n_tensors; i++) {
        const struct jb_tensor *tensor = &model->tensors[i];
        if (!jb_role_is_vector(model->specs[i].role)) {
            values[tensor->dtype] += (uint64_t)tensor->rows * tensor->cols;
        }
    }
    for (int i = 0; i < JB_N_DTYPES; i++) {
        most = values[i] > values[most] ? (enum jb_dtype)i : most;
    }
    return most;
}

static void fill_info(struct jb_model *model, const char *format)
{
    struct jb_model_info *info = &model->info;
    static const struct jb_vocab no_vocab = {.bos_id = -1, .eos_id = -1, .unk_id = -1};
    info->name = model->name;
    info->path = model->path;
    info->architecture = model->hp.architecture;
    info->format = format;
    info->max_context = model->hp.max_context;
    info->vocab = model->vocab != NULL ? jb_vocab_store_get(model->vocab) : &no_vocab;
    for (uint32_t i = 0; i < model->n_tensors; i++) {
        info->n_params += (uint64_t)model->tensors[i].rows * model->tensors[i].cols;
        info->weight_bytes += model->tensors[i].n_bytes;
    }
}

static enum jb_status check_format(const struct jb_model *model, const char *asked)
{
    enum jb_dtype recipe;
    const enum jb_dtype own = main_type(model);
    if (asked == NULL) {
        return JB_OK;
    }
    const enum jb_status status = jb_recipe_find(asked, &recipe);
    if (status == JB_OK && recipe != own) {
        return jb_fail(JB_E_INVAL,
                       "%s: holds %s weights, not %s; convert it with 'joulebench synth --from'",
                       model->gguf.name, jb_format(own)->name, asked);
    }
    return status;
}

static enum jb_status load_file(struct jb_model *model, const char *path, const char *format)
{
    enum jb_status status = jb_hparams_of_gguf(&model->gguf, &model->hp);
    if (status == JB_OK) {
        status = bind_tensors(model);
    }
    if (status == JB_OK) {
        status = make_rope(model, path);
    }
    if (status == JB_OK) {
        status = jb_vocab_of_gguf(&model->gguf, &model->vocab);
    }
    if (status == JB_OK) {
        const struct jb_vocab *vocab = jb_vocab_store_get(model->vocab);
        if (vocab->kind != JB_VOCAB_NONE && vocab->n_tokens != model->hp.vocab) {
            status = jb_fail(JB_E_FORMAT,
                             "%s: key 'tokenizer.ggml.tokens': %u pieces for %u rows "
                             "of 'token_embd.weight'",
                             path, vocab->n_tokens, model->hp.vocab);
        }
    }
    if (status == JB_OK) {
        status = set_name(model, path);
    }
    if (status == JB_OK) {
        status = check_format(model, format);
    }
    if (status == JB_OK) {
        fill_info(model, jb_format(main_type(model))->name);
    }
    return status;
}

static struct jb_model *new_model(const struct jb_model_args *args)
{
    struct jb_model *model = calloc(1, sizeof *model);
    if (model == NULL) {
        (void)no_memory(args->source);
        return NULL;
    }
    model->seed = args->seed;
    model->has_weights = args->has_weights;
    model->mscale = 1.0f;
    jb_weights_init(model);
    return model;
}

static enum jb_status finish(struct jb_model *model, enum jb_status status,
                             struct jb_model **ret_model)
{
    if (status != JB_OK) {
        jb_model_close(model);
        return status;
    }
    *ret_model = model;
    return JB_OK;
}

enum jb_status jb_model_open_memory(const void *data, size_t size, const char *path,
                                    const struct jb_model_args *args, struct jb_model **ret_model)
{
    struct jb_model *model = new_model(args);
    if (model == NULL) {
        return JB_E_NOMEM;
    }
    enum jb_status status = jb_gguf_parse(data, size, path, &model->gguf);
    if (status == JB_OK) {
        status = load_file(model, path, args->format);
    }
    return finish(model, status, ret_model);
}

static enum jb_status open_file(const struct jb_model_args *args, struct jb_model **ret_model)
{
    struct jb_map map = {0};
    enum jb_status status = jb_map_open(args->source, &map);
    if (status == JB_E_NODEV) {
        char near[160];
        jb_shape_near(args->source, near, sizeof near);
        return jb_fail(JB_E_NODEV, "model '%s': neither a file nor a named shape (%s%s)",
                       args->source, near[0] != '\0' ? "near: " : "see 'joulebench list models'",
                       near);
    }
    if (status != JB_OK) {
        return status;
    }
    struct jb_model *model = NULL;
    status = jb_model_open_memory(map.data, map.size, args->source, args, &model);
    if (status != JB_OK) {
        jb_map_close(&map);
        return status;
    }
    model->map = map;
    model->gguf.name = model->path; /* the caller's string may go */
    *ret_model = model;
    return JB_OK;
}

/* ---- shapes ---- */

static enum jb_status open_shape(const struct jb_shape *shape, const struct jb_model_args *args,
                                 struct jb_model **ret_model)
{
    enum jb_dtype recipe = JB_F16;
    enum jb_status status = args->format != NULL ? jb_recipe_find(args->format, &recipe) : JB_OK;
    if (status != JB_OK) {
        return status;
    }
    struct jb_model *model = new_model(args);
    if (model == NULL) {
        return JB_E_NOMEM;
    }
    jb_hparams_of_shape(shape, &model->hp);
    model->name = copy_name(shape->name, strlen(shape->name));
    status = model->name != NULL ? make_tables(model, shape->name) : no_memory(shape->name);
    if (status == JB_OK) {
        status = make_rope(model, shape->name);
    }
    if (status == JB_OK) {
        for (uint32_t i = 0; i < model->n_tensors; i++) {
            set_tensor(&model->tensors[i], &model->specs[i],
                       jb_recipe_dtype(recipe, &model->hp, &model->specs[i]));
        }
        fill_info(model, jb_format(main_type(model))->name);
        model->info.wanted_format = main_type(model) != recipe ? jb_format(recipe)->name : NULL;
    }
    return finish(model, status, ret_model);
}

enum jb_status jb_model_open(const struct jb_model_args *args, struct jb_model **ret_model)
{
    const struct jb_shape *shape = jb_shape_find(args->source);
    return shape != NULL ? open_shape(shape, args, ret_model) : open_file(args, ret_model);
}

void jb_model_close(struct jb_model *model)
{
    if (model == NULL) {
        return;
    }
    jb_weights_free(model);
    jb_vocab_store_free(model->vocab);
    jb_gguf_free(&model->gguf);
    jb_map_close(&model->map);
    free(model->entries);
    free(model->specs);
    free(model->tensors);
    free(model->inv_freq);
    free(model->name);
    free(model->path);
    free(model);
}

const struct jb_model_info *jb_model_info(const struct jb_model *model)
{
    return &model->info;
}
