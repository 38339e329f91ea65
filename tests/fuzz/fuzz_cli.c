/* SPDX-License-Identifier: MIT */
/* Command lines: the whole program but exit(). Input: one argument a line.
 *
 * No argument holds a '/', so that files are sought and made in a folder of our own; commands
 * that would work long get last words that keep them from it, so that all is parsed. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/cli.h"
#include "tests/fuzz/target.h"

enum { MAX_ARGS = 64 };
static const char sandbox[] = "cli";

/* Sanitizers report to the real stderr, while the program's own is caught. */
extern void __sanitizer_set_report_fd(void *fd) __attribute__((weak));

static int error_fd = -1, real_stderr = -1;

/* Once a process. */
static void set_up(void)
{
    const int null_in = open("/dev/null", O_RDONLY), null_out = open("/dev/null", O_WRONLY);
    error_fd = memfd_create("stderr", 0);
    real_stderr = dup(STDERR_FILENO);
    if (null_in < 0 || null_out < 0 || error_fd < 0 || real_stderr < 0 ||
        dup2(null_in, STDIN_FILENO) < 0 || dup2(null_out, STDOUT_FILENO) < 0) {
        abort();
    }
    (void)close(null_in);
    (void)close(null_out);
    if (__sanitizer_set_report_fd != NULL) {
        __sanitizer_set_report_fd((void *)(intptr_t)real_stderr);
    }
    /* Files end here, with EFBIG: `synth` must not fill the disk. */
    (void)signal(SIGXFSZ, SIG_IGN);
    const struct rlimit file_size = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
    (void)setrlimit(RLIMIT_FSIZE, &file_size);
    if (mkdir(sandbox, 0700) != 0 && errno != EEXIST) {
        abort();
    }
}

static void empty_folder(void)
{
    DIR *folder = opendir(".");
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] != '.' || (entry->d_name[1] != '\0' && entry->d_name[1] != '.')) {
            (void)remove(entry->d_name);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
}

/* Last words of commands that would work long: what is given last counts. */
static int add_ending(char **argv, int argc)
{
    static const struct {
        const char *command;
        char words[6][16];
    } endings[] = {{"run", {"--model", "missing.gguf"}},
                   {"eval", {"--model", "missing.gguf"}},
                   {"op", {"--backend", "null", "--shape", "4x32", "--window", "0"}},
                   {"roofline", {"--backend", "null"}}};
    static char kept[6][16];
    for (size_t i = 0; argc > 1 && i < sizeof endings / sizeof endings[0]; i++) {
        for (int w = 0; strcmp(argv[1], endings[i].command) == 0 && w < 6; w++) {
            memcpy(kept[w], endings[i].words[w], sizeof kept[w]);
            if (kept[w][0] != '\0') {
                argv[argc++] = kept[w];
            }
        }
    }
    argv[argc] = NULL;
    return argc;
}

/* Cuts the text into argv; NUL and '/' become '_'. */
static int split(char *text, size_t size, char **ret_argv)
{
    static char program[] = "joulebench";
    int argc = 0;
    ret_argv[argc++] = program;
    for (size_t at = 0; at < size && argc < MAX_ARGS - 8;) {
        size_t end = at;
        for (; end < size && text[end] != '\n'; end++) {
            text[end] = text[end] == '\0' || text[end] == '/' ? '_' : text[end];
        }
        text[end] = '\0';
        ret_argv[argc++] = text + at;
        at = end + 1;
    }
    return add_ending(ret_argv, argc);
}

/* Just one line that starts as errors do; what follows becomes the reason. */
static enum jb_status judge(int exit_code, const char *said)
{
    static const char head[] = "joulebench: error: ";
    if (exit_code == JB_EXIT_OK || exit_code == JB_EXIT_INVALID) {
        return JB_OK;
    }
    int n_errors = 0;
    const char *text = "";
    for (const char *line = said, *end;; line = end + 1) {
        end = strchr(line, '\n');
        if (strncmp(line, head, sizeof head - 1) == 0) {
            n_errors++;
            text = line + sizeof head - 1;
        }
        if (end == NULL) {
            break;
        }
    }
    if (exit_code < 0 || exit_code > 4 || n_errors != 1) {
        (void)dprintf(real_stderr, "exit %d, and on stderr:\n%s\n", exit_code, said);
        return jb_fail(JB_E_INVAL, "%s", "");
    }
    return jb_fail(JB_E_INVAL, "%.*s", (int)strcspn(text, "\n"), text);
}

static enum jb_status run(const uint8_t *data, size_t size)
{
    if (error_fd < 0) {
        set_up();
    }
    char *argv[MAX_ARGS], said[16384];
    char *text = malloc(size + 1);
    if (text == NULL || chdir(sandbox) != 0 || ftruncate(error_fd, 0) != 0 ||
        lseek(error_fd, 0, SEEK_SET) != 0) {
        abort();
    }
    memcpy(text, data, size);
    const int argc = split(text, size, argv);
    (void)fflush(stderr);
    (void)dup2(error_fd, STDERR_FILENO);
    const int exit_code = argc < 2 ? 0 : jb_main(argc, argv);
    (void)fflush(stderr);
    (void)fflush(stdout);
    (void)dup2(real_stderr, STDERR_FILENO);
    const ssize_t n = pread(error_fd, said, sizeof said - 1, 0);
    said[n < 0 ? 0 : n] = '\0';
    empty_folder();
    free(text);
    if (chdir("..") != 0) {
        abort();
    }
    return judge(exit_code, said);
}

const struct jb_fuzz_target jb_fuzz_cli = {
    .name = "cli", .form = JB_FUZZ_TEXT, .weight = 5, .run = run};
