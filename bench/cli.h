/* SPDX-License-Identifier: MIT */
#ifndef JB_CLI_H
#define JB_CLI_H

/* What all commands share: exit codes, errors, number parsing, progress. bench/ only; the one
 * place that prints. stdout carries data, stderr the rest. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "platforms/base/status.h"

enum jb_exit {
    JB_EXIT_OK = 0,
    JB_EXIT_FAILED = 1,      /* something that should work did not                          */
    JB_EXIT_USAGE = 2,       /* usage or bad input                                          */
    JB_EXIT_UNAVAILABLE = 3, /* an asked backend is unavailable; others ran, rows are kept  */
    JB_EXIT_INVALID = 4      /* all ran, but a row is INVALID                               */
};

/* A command: `joulebench NAME ...`. argv[0] is the command's name. Parses with getopt_long
 * (optind is reset for it), answers --help on stdout with exit 0. */
struct jb_command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
};
int jb_cmd_run(int argc, char **argv);
int jb_cmd_list(int argc, char **argv);
int jb_cmd_doctor(int argc, char **argv);
int jb_cmd_summary(int argc, char **argv);
int jb_cmd_plot(int argc, char **argv);
int jb_cmd_eval(int argc, char **argv);
int jb_cmd_compare(int argc, char **argv);
int jb_cmd_merge(int argc, char **argv);
int jb_cmd_import(int argc, char **argv);
int jb_cmd_audit(int argc, char **argv);
int jb_cmd_report(int argc, char **argv);
int jb_cmd_survey(int argc, char **argv);
int jb_cmd_synth(int argc, char **argv);
int jb_cmd_op(int argc, char **argv);
int jb_cmd_roofline(int argc, char **argv);
int jb_cmd_verify(int argc, char **argv);

/* The whole program but for exit(): for main() and in-process fuzzing. */
int jb_main(int argc, char **argv);

/* Prints "joulebench: error: ..." as one line on stderr. */
void jb_cli_error(const char *fmt, ...) JB_PRINTF(1, 2);
/* The same, then "(see 'joulebench COMMAND --help')"; returns JB_EXIT_USAGE. */
int jb_cli_usage(const char *command, const char *fmt, ...) JB_PRINTF(2, 3);
/* Prints jb_reason() as an error; returns the exit code that fits the status: INVAL, FORMAT,
 * NODEV and PERM of an input are 2, the rest 1. */
int jb_cli_fail(enum jb_status status);

/* Whole-string numbers in [min, max]. On failure says so on stderr, naming the option. Counts take
 * the suffixes k and M (1000s); bytes
 * B, kB, MB, GB, KiB, MiB, GiB and are above 0; seconds take "2", "0.5s", "500ms", "2m". */
bool jb_cli_u64(const char *command, const char *option, const char *text, uint64_t min,
                uint64_t max, uint64_t *ret);
bool jb_cli_bytes(const char *command, const char *option, const char *text, uint64_t *ret);
bool jb_cli_seconds(const char *command, const char *option, const char *text, double *ret_s);

/* Splits "a,b,c" in place; empty parts are usage errors of the caller. @return count, or
 * UINT32_MAX if there are more than capacity or an empty one. */
uint32_t jb_cli_split(char *list, const char **ret_parts, uint32_t capacity);

/* A CSV cell, quoted only if it must be. */
void jb_cli_csv_cell(FILE *out, const char *text);

/* One line of progress on stderr, only on a terminal and only after two seconds. */
struct jb_progress {
    double start_s, shown_s;
    bool is_shown;
};
void jb_progress_start(struct jb_progress *progress);
void jb_progress_show(struct jb_progress *progress, const char *fmt, ...) JB_PRINTF(2, 3);
void jb_progress_end(struct jb_progress *progress); /* wipes the line */

#endif
