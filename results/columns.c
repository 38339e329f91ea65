/* SPDX-License-Identifier: MIT */
/* columns.def as a table, and the data dictionary printed from it. */
#include <stddef.h>
#include <string.h>

#include "results/results.h"
#include "results/text.h"

#define TEXT(n) JB_COLUMN_TEXT
#define INT JB_COLUMN_INT
#define REAL JB_COLUMN_REAL
#define JB_COLUMN(name_, type_, unit_, may_be_empty_, meaning_)                                    \
    {.name = #name_,                                                                               \
     .unit = (unit_),                                                                              \
     .meaning = (meaning_),                                                                        \
     .type = (type_),                                                                              \
     .may_be_empty = (may_be_empty_) == 1,                                                         \
     .may_be_empty_imported = (may_be_empty_) != 0,                                                \
     .offset = offsetof(struct jb_record, name_),                                                  \
     .size = sizeof(((struct jb_record *)0)->name_)},
static const struct jb_column columns[] = {
#include "results/columns.def"
};
#undef JB_COLUMN
#undef TEXT
#undef INT
#undef REAL

#define N_COLUMNS ((uint32_t)(sizeof columns / sizeof columns[0]))
_Static_assert(N_COLUMNS >= JB_N_CORE_COLUMNS, "core columns are missing from columns.def");

uint32_t jb_column_count(void)
{
    return N_COLUMNS;
}

const struct jb_column *jb_column_at(uint32_t index)
{
    return index < N_COLUMNS ? &columns[index] : NULL;
}

const struct jb_column *jb_column_find(const char *name)
{
    for (uint32_t i = 0; i < N_COLUMNS; i++) {
        if (strcmp(columns[i].name, name) == 0) {
            return &columns[i];
        }
    }
    return NULL;
}

void jb_columns_print(FILE *out, bool as_csv)
{
    static const char *const type_names[] = {"text", "int", "real"};
    (void)fputs(as_csv
                    ? "column,type,unit,may_be_empty,core,meaning\n"
                    : "| column | type | unit | may be empty | meaning |\n|---|---|---|---|---|\n",
                out);
    for (uint32_t i = 0; i < N_COLUMNS; i++) {
        const struct jb_column *c = &columns[i];
        const char *empty = c->may_be_empty ? "yes" : c->may_be_empty_imported ? "imported" : "no";
        if (as_csv) {
            (void)fprintf(out, "%s,%s,%s,%s,%s,", c->name, type_names[c->type], c->unit, empty,
                          i < JB_N_CORE_COLUMNS ? "yes" : "no");
            jb_csv_put(out, c->meaning);
            (void)fputc('\n', out);
        } else {
            (void)fprintf(out, "| `%s` | %s | %s | %s | %s |\n", c->name, type_names[c->type],
                          c->unit, empty, c->meaning);
        }
    }
}
