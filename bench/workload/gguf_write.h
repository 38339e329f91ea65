/* SPDX-License-Identifier: MIT */
#ifndef JB_GGUF_WRITE_H
#define JB_GGUF_WRITE_H

/* GGUF version 3, written from front to back into OUTPUT.partial and renamed when whole. The first
 * error sticks: later calls do nothing, and jb_gguf_finish() tells. */

#include <stdio.h>

#include "bench/workload/gguf.h"

struct jb_gguf_writer {
    FILE *file;
    const char *output; /* the caller's; outlives the writer */
    char *partial;
    uint64_t at;           /* bytes written   */
    uint64_t offset;       /* next tensor's, in the data section */
    enum jb_status status; /* first error     */
};

/* @return IO or PERM naming the path, NOMEM. */
enum jb_status jb_gguf_create(struct jb_gguf_writer *ret_writer, const char *output,
                              uint32_t n_tensors, uint32_t n_keys) JB_MUST_CHECK;
/* Renames, or removes what was written and returns the first error. Closes in any case. */
enum jb_status jb_gguf_finish(struct jb_gguf_writer *writer) JB_MUST_CHECK;
/* Gives up: removes what was written. */
void jb_gguf_discard(struct jb_gguf_writer *writer);

void jb_gguf_put(struct jb_gguf_writer *writer, const void *data, uint64_t size);
void jb_gguf_put_u32(struct jb_gguf_writer *writer, uint32_t value);
void jb_gguf_put_u64(struct jb_gguf_writer *writer, uint64_t value);
void jb_gguf_put_string(struct jb_gguf_writer *writer, const char *data, uint64_t size);

void jb_gguf_put_key(struct jb_gguf_writer *writer, const struct jb_gguf_key *key);
void jb_gguf_key_u32(struct jb_gguf_writer *writer, const char *name, uint32_t value);
void jb_gguf_key_f32(struct jb_gguf_writer *writer, const char *name, float value);
void jb_gguf_key_bool(struct jb_gguf_writer *writer, const char *name, bool value);
void jb_gguf_key_string(struct jb_gguf_writer *writer, const char *name, const char *value);
/* Start of an array; its elements follow by jb_gguf_put*(). */
void jb_gguf_key_array(struct jb_gguf_writer *writer, const char *name, enum jb_gguf_type type,
                       uint64_t count);

/* A tensor entry; rows = 1 is written as a vector. Data must follow in the same order. */
void jb_gguf_entry(struct jb_gguf_writer *writer, const char *name, uint32_t rows, uint32_t cols,
                   uint32_t gguf_type, uint64_t n_bytes);
/* Zeros up to the alignment: before the data section and after each tensor. */
void jb_gguf_pad(struct jb_gguf_writer *writer);

#endif
