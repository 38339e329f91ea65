/* SPDX-License-Identifier: MIT */
#include "bench/cli.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "platforms/os/os.h"

void jb_cli_error(const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    /* What a user typed may hold line breaks; an error is one line. */
    for (char *c = text; *c != '\0'; c++) {
        *c = *c == '\n' || *c == '\r' ? ' ' : *c;
    }
    (void)fprintf(stderr, "joulebench: error: %s\n", text);
}

int jb_cli_usage(const char *command, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (command == NULL) {
        jb_cli_error("%s (see 'joulebench --help')", text);
    } else {
        jb_cli_error("%s (see 'joulebench %s --help')", text, command);
    }
    return JB_EXIT_USAGE;
}

int jb_cli_fail(enum jb_status status)
{
    const char *reason = jb_reason();
    jb_cli_error("%s", reason[0] != '\0' ? reason : jb_status_name(status));
    switch (status) {
    case JB_E_INVAL:
    case JB_E_FORMAT:
    case JB_E_NODEV:
    case JB_E_PERM:
        return JB_EXIT_USAGE;
    default:
        return JB_EXIT_FAILED;
    }
}

bool jb_cli_u64(const char *command, const char *option, const char *text, uint64_t min,
                uint64_t max, uint64_t *ret)
{
    char *end = NULL;
    errno = 0;
    /* strtoull takes a sign and wraps it; a count has none. */
    const bool starts_well = text[0] >= '0' && text[0] <= '9';
    unsigned long long value = starts_well ? strtoull(text, &end, 10) : 0;
    bool is_number = starts_well && errno == 0;
    if (is_number && (*end == 'k' || *end == 'M') && end[1] == '\0') {
        const unsigned long long scale = *end == 'k' ? 1000 : 1000000;
        is_number = value <= UINT64_MAX / scale;
        value *= scale;
    } else if (is_number && *end != '\0') {
        is_number = false;
    }
    if (!is_number || value < min || value > max) {
        (void)jb_cli_usage(command, "%s: '%s' is not a whole number from %llu to %llu", option,
                           text, (unsigned long long)min, (unsigned long long)max);
        return false;
    }
    *ret = value;
    return true;
}

bool jb_cli_bytes(const char *command, const char *option, const char *text, uint64_t *ret)
{
    static const struct {
        const char *suffix;
        uint64_t scale;
    } units[] = {{"", 1},           {"B", 1},           {"kB", 1000},
                 {"MB", 1000000},   {"GB", 1000000000}, {"KiB", 1u << 10},
                 {"MiB", 1u << 20}, {"GiB", 1u << 30}};
    char *end = NULL;
    errno = 0;
    const bool starts_well = text[0] >= '0' && text[0] <= '9';
    const unsigned long long value = starts_well ? strtoull(text, &end, 10) : 0;
    for (size_t i = 0; starts_well && errno == 0 && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].suffix) == 0 && value > 0 && value <= INT64_MAX / units[i].scale) {
            *ret = value * units[i].scale;
            return true;
        }
    }
    (void)jb_cli_usage(command, "%s: '%s' is not a size such as 4096, 64MiB or 1GB", option, text);
    return false;
}

bool jb_cli_seconds(const char *command, const char *option, const char *text, double *ret_s)
{
    static const struct {
        const char *suffix;
        double scale;
    } units[] = {{"", 1}, {"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"m", 60}, {"h", 3600}};
    char *end = NULL;
    const bool starts_well = (text[0] >= '0' && text[0] <= '9') || text[0] == '.';
    const double value = starts_well ? strtod(text, &end) : 0;
    for (size_t i = 0; starts_well && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].suffix) == 0 && isfinite(value * units[i].scale)) {
            *ret_s = value * units[i].scale;
            return true;
        }
    }
    (void)jb_cli_usage(command, "%s: '%s' is not a time such as 2, 0.5s, 500ms or 2m", option,
                       text);
    return false;
}

uint32_t jb_cli_split(char *list, const char **ret_parts, uint32_t capacity)
{
    uint32_t n = 0;
    for (char *part = list;;) {
        char *comma = strchr(part, ',');
        if (comma != NULL) {
            *comma = '\0';
        }
        if (part[0] == '\0' || n == capacity) {
            return UINT32_MAX;
        }
        ret_parts[n++] = part;
        if (comma == NULL) {
            return n;
        }
        part = comma + 1;
    }
}

void jb_cli_csv_cell(FILE *out, const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        (void)fputs(text, out);
        return;
    }
    (void)fputc('"', out);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"') {
            (void)fputc('"', out);
        }
        (void)fputc(*c, out);
    }
    (void)fputc('"', out);
}

/* Shorter waits need no explanation; redrawing more often than this only flickers. */
static const double quiet_s = 2.0;
static const double redraw_s = 0.1;

void jb_progress_start(struct jb_progress *progress)
{
    *progress = (struct jb_progress){.start_s = jb_clock_s()};
}

void jb_progress_show(struct jb_progress *progress, const char *fmt, ...)
{
    const double now_s = jb_clock_s();
    if (!jb_is_terminal(stderr) || now_s - progress->start_s < quiet_s ||
        now_s - progress->shown_s < redraw_s) {
        return;
    }
    char text[160];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)fprintf(stderr, "\r\033[K%s", text);
    (void)fflush(stderr);
    progress->shown_s = now_s;
    progress->is_shown = true;
}

void jb_progress_end(struct jb_progress *progress)
{
    if (progress->is_shown) {
        (void)fputs("\r\033[K", stderr);
        (void)fflush(stderr);
        progress->is_shown = false;
    }
}
