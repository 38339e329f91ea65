/* SPDX-License-Identifier: MIT */
#include "platforms/base/status.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char reason[JB_REASON_MAX];

const char *jb_status_name(enum jb_status status)
{
    static const char *const names[] = {"ok",     "inval",   "format",  "nomem",
                                        "nodev",  "perm",    "notsup",  "io",
                                        "device", "timeout", "numeric", "interrupted"};
    const int index = -(int)status;
    if (index < 0 || index >= (int)(sizeof names / sizeof names[0])) {
        return "unknown";
    }
    return names[index];
}

enum jb_status jb_fail(enum jb_status code, const char *fmt, ...)
{
    /* Formatted aside first: an argument may be the old reason itself. */
    char text[JB_REASON_MAX];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0) {
        (void)snprintf(text, sizeof text, "%s", fmt);
    } else if ((size_t)n >= sizeof text) {
        memcpy(text + sizeof text - 4, "...", 4);
    }
    for (char *c = text; *c != '\0'; c++) {
        if (*c == '\n' || *c == '\r') {
            *c = ' ';
        }
    }
    memcpy(reason, text, sizeof reason);
    return code;
}

const char *jb_reason(void)
{
    return reason;
}
