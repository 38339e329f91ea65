/* SPDX-License-Identifier: MIT */
#include "bench/workload/gguf_write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static enum jb_status io_fail(const char *path, const char *what, int error)
{
    return jb_fail(error == EACCES || error == EPERM || error == EROFS ? JB_E_PERM : JB_E_IO,
                   "'%s': %s: %s", path, what, strerror(error));
}

enum jb_status jb_gguf_create(struct jb_gguf_writer *ret_writer, const char *output,
                              uint32_t n_tensors, uint32_t n_keys)
{
    struct jb_gguf_writer writer = {.output = output};
    const size_t size = strlen(output) + sizeof ".partial";
    writer.partial = malloc(size);
    if (writer.partial == NULL) {
        return jb_fail(JB_E_NOMEM, "'%s': no memory for its name", output);
    }
    (void)snprintf(writer.partial, size, "%s.partial", output);
    writer.file = fopen(writer.partial, "wb");
    if (writer.file == NULL) {
        const enum jb_status status = io_fail(output, "cannot be created", errno);
        free(writer.partial);
        return status;
    }
    jb_gguf_put(&writer, "GGUF", 4);
    jb_gguf_put_u32(&writer, 3);
    jb_gguf_put_u64(&writer, n_tensors);
    jb_gguf_put_u64(&writer, n_keys);
    *ret_writer = writer;
    return JB_OK;
}

void jb_gguf_discard(struct jb_gguf_writer *writer)
{
    if (writer->file != NULL) {
        (void)fclose(writer->file);
    }
    if (writer->partial != NULL) {
        (void)remove(writer->partial);
    }
    free(writer->partial);
    memset(writer, 0, sizeof *writer);
}

enum jb_status jb_gguf_finish(struct jb_gguf_writer *writer)
{
    if (fclose(writer->file) != 0 && writer->status == JB_OK) {
        writer->status = io_fail(writer->output, "cannot be written", errno);
    }
    writer->file = NULL;
    if (writer->status == JB_OK && rename(writer->partial, writer->output) != 0) {
        /* Windows renames onto no existing file. */
        if (remove(writer->output) != 0 || rename(writer->partial, writer->output) != 0) {
            writer->status = io_fail(writer->output, "cannot be put in place", errno);
        }
    }
    const enum jb_status status = writer->status;
    if (status == JB_OK) {
        free(writer->partial);
        writer->partial = NULL;
    }
    jb_gguf_discard(writer);
    return status;
}

void jb_gguf_put(struct jb_gguf_writer *writer, const void *data, uint64_t size)
{
    if (writer->status != JB_OK || size == 0) {
        return;
    }
    errno = 0;
    if (fwrite(data, 1, (size_t)size, writer->file) != size) {
        writer->status = io_fail(writer->output, "cannot be written", errno != 0 ? errno : ENOSPC);
    }
    writer->at += size;
}

void jb_gguf_put_u32(struct jb_gguf_writer *writer, uint32_t value)
{
    jb_gguf_put(writer, &value, sizeof value);
}

void jb_gguf_put_u64(struct jb_gguf_writer *writer, uint64_t value)
{
    jb_gguf_put(writer, &value, sizeof value);
}

void jb_gguf_put_string(struct jb_gguf_writer *writer, const char *data, uint64_t size)
{
    jb_gguf_put_u64(writer, size);
    jb_gguf_put(writer, data, size);
}

static void put_name(struct jb_gguf_writer *writer, const char *name, enum jb_gguf_type type)
{
    jb_gguf_put_string(writer, name, strlen(name));
    jb_gguf_put_u32(writer, (uint32_t)type);
}

void jb_gguf_put_key(struct jb_gguf_writer *writer, const struct jb_gguf_key *key)
{
    jb_gguf_put_string(writer, key->name.data, key->name.size);
    if (key->is_array) {
        jb_gguf_put_u32(writer, JB_GGUF_ARRAY);
    }
    jb_gguf_put_u32(writer, (uint32_t)key->type);
    if (key->is_array) {
        jb_gguf_put_u64(writer, key->count);
    }
    jb_gguf_put(writer, key->data, key->n_bytes);
}

void jb_gguf_key_u32(struct jb_gguf_writer *writer, const char *name, uint32_t value)
{
    put_name(writer, name, JB_GGUF_U32);
    jb_gguf_put_u32(writer, value);
}

void jb_gguf_key_f32(struct jb_gguf_writer *writer, const char *name, float value)
{
    put_name(writer, name, JB_GGUF_F32);
    jb_gguf_put(writer, &value, sizeof value);
}

void jb_gguf_key_bool(struct jb_gguf_writer *writer, const char *name, bool value)
{
    const uint8_t byte = value ? 1 : 0;
    put_name(writer, name, JB_GGUF_BOOL);
    jb_gguf_put(writer, &byte, 1);
}

void jb_gguf_key_string(struct jb_gguf_writer *writer, const char *name, const char *value)
{
    put_name(writer, name, JB_GGUF_STRING);
    jb_gguf_put_string(writer, value, strlen(value));
}

void jb_gguf_key_array(struct jb_gguf_writer *writer, const char *name, enum jb_gguf_type type,
                       uint64_t count)
{
    put_name(writer, name, JB_GGUF_ARRAY);
    jb_gguf_put_u32(writer, (uint32_t)type);
    jb_gguf_put_u64(writer, count);
}

void jb_gguf_entry(struct jb_gguf_writer *writer, const char *name, uint32_t rows, uint32_t cols,
                   uint32_t gguf_type, uint64_t n_bytes)
{
    const uint64_t alignment = JB_GGUF_DEFAULT_ALIGNMENT;
    jb_gguf_put_string(writer, name, strlen(name));
    jb_gguf_put_u32(writer, rows > 1 ? 2 : 1);
    jb_gguf_put_u64(writer, cols);
    if (rows > 1) {
        jb_gguf_put_u64(writer, rows);
    }
    jb_gguf_put_u32(writer, gguf_type);
    jb_gguf_put_u64(writer, writer->offset);
    writer->offset += (n_bytes + alignment - 1) / alignment * alignment;
}

void jb_gguf_pad(struct jb_gguf_writer *writer)
{
    static const uint8_t zeros[JB_GGUF_DEFAULT_ALIGNMENT];
    const uint64_t over = writer->at % sizeof zeros;
    jb_gguf_put(writer, zeros, over > 0 ? sizeof zeros - over : 0);
}
