/* SPDX-License-Identifier: MIT */
#include "platforms/base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

/* Written before threads exist and only read afterwards. */
static enum jb_log_level shown = JB_LOG_INFO;
static void (*sink_fn)(void *user, enum jb_log_level level, const char *line);
static void *sink_user;

void jb_log_set_level(enum jb_log_level level)
{
    shown = level;
}

void jb_log_set_sink(void (*sink)(void *user, enum jb_log_level level, const char *line),
                     void *user)
{
    sink_fn = sink;
    sink_user = user;
}

void jb_log(enum jb_log_level level, const char *fmt, ...)
{
    static const char *const prefix[] = {"error: ", "warning: ", "", "debug: "};
    if (level > shown) {
        return;
    }
    char line[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (sink_fn != NULL) {
        sink_fn(sink_user, level, line);
        return;
    }
    (void)fprintf(stderr, "joulebench: %s%s\n", prefix[level], line);
}
