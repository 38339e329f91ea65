/* SPDX-License-Identifier: MIT */
#ifndef JB_BASE_LOG_H
#define JB_BASE_LOG_H

#include "platforms/base/status.h"

/* Messages for people, on stderr unless a sink is set. platforms/, backends/ and results/ use
 * JB_LOG_DEBUG only: they return a status, and bench/ says once what happened. */

enum jb_log_level { JB_LOG_ERROR, JB_LOG_WARN, JB_LOG_INFO, JB_LOG_DEBUG };

#ifdef __cplusplus
extern "C" {
#endif

/* Highest level shown; JB_LOG_INFO at start. Set before threads are made. */
void jb_log_set_level(enum jb_log_level level);

/* Where lines go: sink(user, level, line without line break). NULL restores stderr. */
void jb_log_set_sink(void (*sink)(void *user, enum jb_log_level level, const char *line),
                     void *user);

/* Thread-safe; a line longer than 1 KiB is cut. */
void jb_log(enum jb_log_level level, const char *fmt, ...) JB_PRINTF(2, 3);

#ifdef __cplusplus
}
#endif
#endif
