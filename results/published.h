/* SPDX-License-Identifier: MIT */
#ifndef JB_RESULTS_PUBLISHED_H
#define JB_RESULTS_PUBLISHED_H

/* Points that others published (results/published/survey.csv): its schema, read strictly, and who
 * among them counts. The words are those of the survey whose figures are redrawn from them:
 * Li et al., arXiv 2410.04466. */

#include <stdbool.h>
#include <stdint.h>

#include "platforms/base/status.h"
#include "results/sheet.h"

enum jb_pub_platform {
    JB_PUB_CPU,
    JB_PUB_GPU,
    JB_PUB_FPGA,
    JB_PUB_ASIC,
    JB_PUB_PIM,
    JB_N_PUB_PLATFORMS
};
enum jb_pub_method {
    JB_PUB_QUANTIZATION,
    JB_PUB_SPARSITY,
    JB_PUB_FAST_DECODING,
    JB_PUB_OPERATOR,
    JB_PUB_HETEROGENEOUS,
    JB_PUB_HOMOGENEOUS,
    JB_N_PUB_METHODS
};
enum jb_power_kind {
    JB_POWER_NONE, /* no power given                        */
    JB_POWER_MEASURED,
    JB_POWER_TDP, /* nameplate, a configured limit or mode */
    JB_POWER_ESTIMATED,
    JB_POWER_SIMULATED,
    JB_POWER_UNKNOWN /* a number whose kind is not stated     */
};
enum jb_source_kind {
    JB_SOURCE_SURVEY_TABLE,
    JB_SOURCE_ORIGINAL_PAPER,
    JB_SOURCE_VENDOR,
    JB_SOURCE_OTHER
};

/* Texts belong to the sheet; "" = not known. Numbers: NaN, JB_INT_MISSING = not known. */
struct jb_published_row {
    uint64_t line;
    const char *work, *device, *process_nm, *model, *precision, *method, *source_url, *note;
    enum jb_pub_platform platform;
    uint32_t methods; /* a set: bit 1 << enum jb_pub_method; method is the same as text */
    int64_t year, batch;
    double prompt_tokens, output_tokens; /* may be means */
    double power_w, tokens_per_s, tokens_per_j;
    enum jb_power_kind power_kind;
    enum jb_source_kind source_kind;
};

struct jb_published {
    struct jb_published_row *rows;
    uint64_t n_rows;
    struct jb_sheet sheet;
};

#ifdef __cplusplus
extern "C" {
#endif

/* All columns of the schema must be there, by name; further ones are free.
 * @param ret_published jb_published_free() gives it back
 * @return NODEV, PERM, IO, NOMEM; FORMAT with file, line and column. */
enum jb_status jb_published_read(const char *path,
                                 struct jb_published *ret_published) JB_MUST_CHECK;
enum jb_status jb_published_parse(const char *text, size_t size, const char *name,
                                  struct jb_published *ret_published) JB_MUST_CHECK;
void jb_published_free(struct jb_published *published); /* NULL is fine */
/* True if a sheet has the columns of this schema. */
bool jb_published_is_schema(const struct jb_sheet *sheet);

/* Not superseded or dropped by its own source; only those are ranked. */
bool jb_published_is_ranked(const struct jb_published_row *row);
/* Drawn in the survey's batch-1 figure. */
bool jb_published_is_drawn(const struct jb_published_row *row);
/* In the survey's sheet of May 2025, drawn or not. */
bool jb_published_is_sheet(const struct jb_published_row *row);

/* Names in the file; methods and platforms by enum value. */
const char *jb_pub_platform_name(enum jb_pub_platform platform);
const char *jb_pub_method_name(enum jb_pub_method method);
const char *jb_power_kind_name(enum jb_power_kind kind);
/* @return the enum value, or the number of values for an unknown name. */
enum jb_pub_platform jb_pub_platform_find(const char *name);
enum jb_power_kind jb_power_kind_find(const char *name); /* UNKNOWN for an unknown name */

/* |tokens_per_s / power_w / tokens_per_j - 1|; NaN if one of them is missing. */
double jb_ratio_error(double tokens_per_s, double power_w, double tokens_per_j);

#ifdef __cplusplus
}
#endif
#endif
