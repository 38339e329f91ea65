/* SPDX-License-Identifier: MIT */
#include "bench/ids.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "platforms/os/os.h"

struct jb_ids_file {
    struct jb_append file;
    char (*digests)[JB_DIGEST_MAX]; /* written through this object */
    uint32_t n_digests;
};

void jb_ids_digest(const int32_t *ids, uint64_t n, char ret_digest[JB_DIGEST_MAX])
{
    XXH64_state_t *state = XXH64_createState();
    ret_digest[0] = '\0';
    if (state == NULL || XXH64_reset(state, 0) != XXH_OK) {
        return;
    }
    for (uint64_t i = 0; i < n; i++) {
        const uint32_t id = (uint32_t)ids[i];
        const unsigned char bytes[4] = {(unsigned char)id, (unsigned char)(id >> 8),
                                        (unsigned char)(id >> 16), (unsigned char)(id >> 24)};
        (void)XXH64_update(state, bytes, sizeof bytes);
    }
    (void)snprintf(ret_digest, JB_DIGEST_MAX, "%016" PRIx64, XXH64_digest(state));
    (void)XXH64_freeState(state);
}

enum jb_status jb_ids_create(const char *csv_path, struct jb_ids_file **ret_file)
{
    struct jb_ids_file *file = calloc(1, sizeof *file);
    const size_t size = strlen(csv_path) + sizeof ".ids";
    char *path = malloc(size);
    if (file == NULL || path == NULL) {
        free(file);
        free(path);
        return jb_fail(JB_E_NOMEM, "no memory for the ids file");
    }
    (void)snprintf(path, size, "%s.ids", csv_path);
    const enum jb_status status = jb_append_open(path, &file->file, NULL);
    free(path);
    if (status != JB_OK) {
        free(file);
        return status;
    }
    *ret_file = file;
    return JB_OK;
}

static bool is_written(const struct jb_ids_file *file, const char *digest)
{
    for (uint32_t i = 0; i < file->n_digests; i++) {
        if (strcmp(file->digests[i], digest) == 0) {
            return true;
        }
    }
    return false;
}

static size_t print_line(char *line, size_t size, const char *digest, uint32_t seq,
                         const int32_t *ids, uint32_t n)
{
    size_t used = (size_t)snprintf(line, size, "%s %" PRIu32, digest, seq);
    for (uint32_t i = 0; i < n; i++) {
        used += (size_t)snprintf(line + used, size - used, " %" PRId32, ids[i]);
    }
    used += (size_t)snprintf(line + used, size - used, "\n");
    return used;
}

enum jb_status jb_ids_write(struct jb_ids_file *file, const char *digest, const int32_t *ids,
                            uint32_t n_seqs, uint32_t n)
{
    if (is_written(file, digest)) {
        return JB_OK;
    }
    void *grown = realloc(file->digests, (file->n_digests + 1) * sizeof *file->digests);
    const size_t size = 64 + (size_t)n * sizeof " -2147483648";
    char *line = malloc(size);
    file->digests = grown != NULL ? grown : file->digests;
    if (grown == NULL || line == NULL) {
        free(line);
        return jb_fail(JB_E_NOMEM, "no memory to write ids");
    }
    enum jb_status status = JB_OK;
    for (uint32_t s = 0; s < n_seqs && status == JB_OK; s++) {
        const size_t used = print_line(line, size, digest, s, ids + (size_t)s * n, n);
        status = jb_append_write(&file->file, line, used);
    }
    free(line);
    (void)snprintf(file->digests[file->n_digests++], JB_DIGEST_MAX, "%s", digest);
    return status;
}

void jb_ids_close(struct jb_ids_file *file)
{
    if (file != NULL) {
        jb_append_close(&file->file);
        free(file->digests);
        free(file);
    }
}

void jb_ids_compare(const int32_t *ids, const int32_t *reference, const bool *is_near,
                    uint32_t n_seqs, uint32_t n, bool is_chained, double *ret_agree,
                    double *ret_near_tie)
{
    uint64_t n_agree = 0;
    uint64_t n_near = 0;
    for (uint32_t s = 0; s < n_seqs; s++) {
        bool has_parted = false;
        bool was_near = false;
        for (uint32_t i = 0; i < n; i++) {
            const size_t at = (size_t)s * n + i;
            if (has_parted && is_chained) {
                n_near += was_near ? 1 : 0;
            } else if (ids[at] == reference[at]) {
                n_agree++;
            } else {
                n_near += is_near[at] ? 1 : 0;
                was_near = is_near[at];
                has_parted = true;
            }
        }
    }
    *ret_agree = (double)n_agree / ((double)n_seqs * n);
    *ret_near_tie = (double)n_near / ((double)n_seqs * n);
}
