/* SPDX-License-Identifier: MIT */
/* Addresses: a burst number is taken apart in mixed radix, lowest part first. */
#include <stdio.h>
#include <string.h>

#include "backends/simcore/mem_controller.h"

enum { ROW, RANK, BANK, GROUP, COLUMN, PSEUDO, N_FIELDS };

static const char *const names[N_FIELDS] = {"row", "rank", "bank", "group", "column", "pseudo"};

static int field_of(const char *word, size_t n)
{
    for (int i = 0; i < N_FIELDS; i++) {
        if (strlen(names[i]) == n && memcmp(names[i], word, n) == 0) {
            return i;
        }
    }
    return -1;
}

enum jb_status jb_mem_mapping_read(const char *text, const struct jb_mem_spec *spec,
                                   struct jb_mem_mapping *ret_mapping)
{
    const uint32_t sizes[N_FIELDS] = {spec->n_rows,   spec->n_ranks,   spec->n_banks,
                                      spec->n_groups, spec->n_columns, spec->n_pseudo};
    struct jb_mem_mapping mapping;
    const char *at = text;
    unsigned seen = 0;
    for (int i = N_FIELDS - 1; i >= 0; i--) {
        const size_t n = strcspn(at, "-");
        const int field = field_of(at, n);
        if (field < 0 || (seen >> field & 1) != 0) {
            return jb_fail(JB_E_INVAL,
                           "mapping '%.80s': '%.*s' is not one of row rank bank group column "
                           "pseudo, or is given twice",
                           text, n < 40 ? (int)n : 40, at);
        }
        seen |= 1u << field;
        mapping.field[i] = (uint8_t)field;
        mapping.size[i] = sizes[field];
        at += n;
        if (*at == '-' && i > 0) {
            at++;
        } else if (i > 0 || *at != '\0') {
            return jb_fail(JB_E_INVAL, "mapping '%.80s' must name six parts, joined by '-'", text);
        }
    }
    *ret_mapping = mapping;
    return JB_OK;
}

struct jb_mem_target jb_mem_mapping_find(const struct jb_mem_mapping *mapping,
                                         const struct jb_mem_spec *spec, uint64_t burst)
{
    uint32_t part[N_FIELDS];
    for (int i = 0; i < N_FIELDS; i++) {
        const uint32_t size = mapping->size[i];
        if ((size & (size - 1)) == 0) {
            part[mapping->field[i]] = (uint32_t)burst & (size - 1);
            burst >>= __builtin_ctz(size);
        } else {
            part[mapping->field[i]] = (uint32_t)(burst % size);
            burst /= size;
        }
    }
    const uint32_t rank = part[PSEUDO] * spec->n_ranks + part[RANK];
    return (struct jb_mem_target){.bank = (rank * spec->n_groups + part[GROUP]) * spec->n_banks +
                                          part[BANK],
                                  .row = part[ROW],
                                  .column = part[COLUMN]};
}
