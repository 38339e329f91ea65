/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "platforms/base/units.h"
#include "results/results.h"

void jb_record_init(struct jb_record *record)
{
    memset(record, 0, sizeof *record);
    for (uint32_t i = 0; i < jb_column_count(); i++) {
        const struct jb_column *column = jb_column_at(i);
        char *member = (char *)record + column->offset;
        const int64_t no_int = JB_INT_MISSING;
        const double no_real = jb_missing();
        if (column->type == JB_COLUMN_INT) {
            memcpy(member, &no_int, sizeof no_int);
        } else if (column->type == JB_COLUMN_REAL) {
            memcpy(member, &no_real, sizeof no_real);
        }
    }
    memcpy(record->schema, JB_SCHEMA, sizeof JB_SCHEMA);
}

static bool has_word(const char *list, const char *word)
{
    const size_t n = strlen(word);
    while (*list != '\0') {
        const size_t length = strcspn(list, ";");
        if (length == n && memcmp(list, word, n) == 0) {
            return true;
        }
        list += length + (list[length] == ';' ? 1 : 0);
    }
    return false;
}

void jb_record_reason(struct jb_record *record, const char *word)
{
    static const char more[] = ";more";
    char *list = record->reasons;
    const size_t used = strlen(list), n = strlen(word), capacity = sizeof record->reasons;
    if (n == 0 || has_word(list, word) || has_word(list, more + 1)) {
        return;
    }
    /* Room for ";more" is kept until the end, so whole words stay whole. */
    if (used + 1 + n + sizeof more <= capacity) {
        if (used > 0) {
            list[used] = ';';
        }
        memcpy(list + used + (used > 0 ? 1 : 0), word, n + 1);
    } else if (used > 0) {
        memcpy(list + used, more, sizeof more);
    } else {
        memcpy(list, more + 1, sizeof more - 1);
    }
}
