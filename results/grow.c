/* SPDX-License-Identifier: MIT */
#include "results/grow.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool make_room(struct jb_grow *grow, size_t size)
{
    if (!grow->has_failed && size >= grow->capacity - grow->used) {
        const size_t capacity = 2 * (grow->used + size + 32);
        char *grown = realloc(grow->bytes, capacity);
        if (grown != NULL) {
            grow->bytes = grown;
            grow->capacity = capacity;
        } else {
            grow->has_failed = true;
        }
    }
    return !grow->has_failed;
}

void jb_grow_bytes(struct jb_grow *grow, const char *bytes, size_t size)
{
    if (make_room(grow, size)) {
        memcpy(grow->bytes + grow->used, bytes, size);
        grow->used += size;
        grow->bytes[grow->used] = '\0';
    }
}

void jb_grow_text(struct jb_grow *grow, const char *text)
{
    jb_grow_bytes(grow, text, strlen(text));
}

void jb_grow_print(struct jb_grow *grow, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n >= 0 && make_room(grow, (size_t)n)) {
        (void)vsnprintf(grow->bytes + grow->used, (size_t)n + 1, fmt, again);
        grow->used += (size_t)n;
    }
    va_end(again);
}

void jb_grow_cell(struct jb_grow *grow, const char *text)
{
    const size_t size = strlen(text);
    const bool has_edge = size > 0 && (strchr(" \t", text[0]) || strchr(" \t", text[size - 1]));
    const bool wants_quotes = has_edge || strpbrk(text, ",\"") != NULL;
    jb_grow_text(grow, wants_quotes ? "\"" : "");
    for (; *text != '\0'; text++) {
        const char c = *text == '\n' || *text == '\r' ? ' ' : *text;
        jb_grow_bytes(grow, &c, 1);
        jb_grow_text(grow, c == '"' ? "\"" : "");
    }
    jb_grow_text(grow, wants_quotes ? "\"" : "");
}
