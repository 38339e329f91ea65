/* SPDX-License-Identifier: MIT */
#ifndef JB_BENCH_VERIFY_H
#define JB_BENCH_VERIFY_H

/* Whether rows of ours can be what `run` wrote: words, arithmetic, and ids that prove digests. */

#include <stdbool.h>
#include <stdint.h>

#include "platforms/base/status.h"
#include "results/results.h"

/* Called for each thing that is wrong. @param line of the file; 0 = none.
 * @param column "" = the row as a whole. */
typedef void jb_verify_found(void *ctx, uint64_t line, const char *column, const char *what);

/* Ids of FILE.csv.ids: digest and sizes of each group of lines. */
struct jb_ids_group {
    char digest[20];
    uint64_t n_sequences, n_ids;
};
struct jb_ids_table {
    struct jb_ids_group *groups;
    uint64_t n_groups;
};

#ifdef __cplusplus
extern "C" {
#endif

/* Checks each row by itself, and that none is there twice. */
void jb_verify_rows(const struct jb_table *table, jb_verify_found *found, void *ctx);
/* Reads ids and checks that each group has the digest it is filed under.
 * @param ret_table jb_ids_table_free() gives it back
 * @return NODEV no such file; PERM, IO, NOMEM. Malformed lines are found, not failed. */
enum jb_status jb_verify_ids(const char *path, struct jb_ids_table *ret_table,
                             jb_verify_found *found, void *ctx) JB_MUST_CHECK;
/* Checks that each row's digest has its ids. */
void jb_verify_digests(const struct jb_table *table, const struct jb_ids_table *ids,
                       jb_verify_found *found, void *ctx);
void jb_ids_table_free(struct jb_ids_table *table); /* zeroed is fine */

#ifdef __cplusplus
}
#endif
#endif
