/* SPDX-License-Identifier: MIT */
#ifndef JB_IDS_H
#define JB_IDS_H

/* Generated ids: their digest, the file they are kept in, and how two runs compare.
 *
 * FILE.ids lies beside FILE.csv. One line a sequence:
 *   <digest> <sequence> <id> <id> ...
 * digest is the row's tokens_digest, so a row finds its ids and the ids prove the digest: it is
 * the xxHash64 (seed 0) of all ids of that digest as int32 little endian, sequence by sequence. */

#include <stdbool.h>
#include <stdint.h>

#include "platforms/base/status.h"

#define JB_DIGEST_MAX 17 /* 16 hexadecimal digits and NUL */

struct jb_ids_file;

#ifdef __cplusplus
extern "C" {
#endif

/* "" when there is no memory. */
void jb_ids_digest(const int32_t *ids, uint64_t n, char ret_digest[JB_DIGEST_MAX]);

/* Opens CSV's companion for appending: "run.csv" -> "run.csv.ids". @return PERM or IO with path. */
enum jb_status jb_ids_create(const char *csv_path, struct jb_ids_file **ret_file) JB_MUST_CHECK;
/* Writes ids (n_seqs, n) unless this file object has written the digest before. */
enum jb_status jb_ids_write(struct jb_ids_file *file, const char *digest, const int32_t *ids,
                            uint32_t n_seqs, uint32_t n) JB_MUST_CHECK;
void jb_ids_close(struct jb_ids_file *file); /* NULL is fine */

/* Shares of n ids that equal the reference's, and that differ where the reference has a near tie.
 * @param is_chained free feed: after a sequence's first difference its inputs differ too, so the
 *        rest of the sequence counts as the first difference did. @param n ids a sequence. */
void jb_ids_compare(const int32_t *ids, const int32_t *reference, const bool *is_near,
                    uint32_t n_seqs, uint32_t n, bool is_chained, double *ret_agree,
                    double *ret_near_tie);

#ifdef __cplusplus
}
#endif
#endif
