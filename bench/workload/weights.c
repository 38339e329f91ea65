/* SPDX-License-Identifier: MIT */
/* Bytes of tensors: where they lie in the mapped file, or generated for a shape. They exist only
 * between map and unmap, so that a backend that repacks tensor by tensor needs little more than
 * one copy of the model. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/workload/model.h"
#include "bench/workload/parallel.h"

#define ALIGNMENT 32u

/* Rows of one tensor, shared out over threads. A row's bytes depend on nothing but its number. */
struct draw {
    const struct jb_tensor *tensor;
    uint8_t *dst;
    uint32_t index;
    uint64_t seed;
    float sigma;
};

static void draw_rows(void *ctx, uint32_t first, uint32_t end)
{
    const struct draw *draw = ctx;
    for (uint32_t row = first; row < end; row++) {
        jb_format_fill_random(draw->tensor->dtype, draw->dst + row * draw->tensor->row_bytes,
                              draw->tensor->cols, draw->sigma, draw->seed, draw->index, row);
    }
}

void jb_weights_fill(const struct jb_tensor *tensor, uint32_t index, float sigma, uint64_t seed,
                     void *dst)
{
    struct draw draw = {.tensor = tensor, .dst = dst, .index = index, .seed = seed, .sigma = sigma};
    jb_parallel_rows(tensor->rows, tensor->cols, draw_rows, &draw);
}

void jb_weights_draw(const struct jb_spec *spec, const struct jb_tensor *tensor, uint32_t index,
                     uint64_t seed, void *dst)
{
    if (jb_role_is_norm_weight(spec->role)) {
        for (uint32_t i = 0; i < tensor->cols; i++) {
            ((float *)dst)[i] = 1.0f;
        }
        return;
    }
    const float sigma =
        jb_role_is_vector(spec->role) ? 0.02f : (float)(1.0 / sqrt((double)tensor->cols));
    jb_weights_fill(tensor, index, sigma, seed, dst);
}

/* A file's tensor in the plan's type, where the two differ (vectors that were not F32). */
static void convert(const struct jb_gguf_tensor *entry, const struct jb_tensor *tensor, void *dst)
{
    enum jb_dtype stored;
    if (!jb_format_by_gguf_type(entry->type, &stored) || stored == tensor->dtype) {
        memcpy(dst, entry->data, (size_t)tensor->n_bytes);
    } else {
        jb_format_decode(stored, entry->data, dst, tensor->cols);
    }
}

static enum jb_status map_tensor(void *ctx, uint32_t index, const void **ret_data)
{
    struct jb_model *model = ctx;
    struct jb_residence *home = &model->residences[index];
    const struct jb_tensor *tensor = &model->tensors[index];
    const struct jb_gguf_tensor *entry = model->entries != NULL ? model->entries[index] : NULL;
    if (home->n_users == 0) {
        const bool is_in_place = entry != NULL && (uintptr_t)entry->data % ALIGNMENT == 0 &&
                                 entry->type == jb_format(tensor->dtype)->gguf_type;
        if (is_in_place) {
            home->data = entry->data;
            jb_map_will_need(&model->map, (size_t)entry->offset, (size_t)entry->n_bytes);
        } else {
            home->pages = jb_pages_alloc((size_t)tensor->n_bytes);
            if (home->pages == NULL) {
                return jb_fail(JB_E_NOMEM, "%s: no memory for the %llu bytes of '%s'",
                               model->info.name, (unsigned long long)tensor->n_bytes, tensor->name);
            }
            home->n_pages_bytes = (size_t)tensor->n_bytes;
            home->data = home->pages;
            if (entry != NULL) {
                convert(entry, tensor, home->pages);
            } else {
                jb_weights_draw(&model->specs[index], tensor, index, model->seed, home->pages);
            }
        }
    }
    home->n_users++;
    *ret_data = home->data;
    return JB_OK;
}

static void unmap_tensor(void *ctx, uint32_t index)
{
    struct jb_model *model = ctx;
    struct jb_residence *home = &model->residences[index];
    if (home->n_users == 0 || --home->n_users > 0) {
        return;
    }
    if (home->pages != NULL) {
        jb_pages_free(home->pages, home->n_pages_bytes);
        home->pages = NULL;
    }
    if (model->entries != NULL && model->map.data != NULL) {
        const struct jb_gguf_tensor *entry = model->entries[index];
        jb_map_drop(&model->map, (size_t)entry->offset, (size_t)entry->n_bytes);
    }
    home->data = NULL;
}

void jb_weights_init(struct jb_model *model)
{
    model->weights = (struct jb_weights){.ctx = model, .map = map_tensor, .unmap = unmap_tensor};
}

void jb_weights_free(struct jb_model *model)
{
    for (uint32_t i = 0; model->residences != NULL && i < model->n_tensors; i++) {
        if (model->residences[i].pages != NULL) {
            jb_pages_free(model->residences[i].pages, model->residences[i].n_pages_bytes);
        }
    }
    free(model->residences);
    model->residences = NULL;
}
