/* SPDX-License-Identifier: MIT */
#include "bench/child.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32

#include <process.h>

enum jb_status jb_child_run(const char *const *argv, const char *log_path)
{
    (void)log_path;
    if (getenv("SOURCE_DATE_EPOCH") == NULL) {
        (void)_putenv("SOURCE_DATE_EPOCH=0");
    }
    const intptr_t code = _spawnvp(_P_WAIT, argv[0], argv);
    if (code == -1) {
        return jb_fail(JB_E_NODEV, "'%s' cannot be started: %s", argv[0], strerror(errno));
    }
    return code == 0 ? JB_OK : jb_fail(JB_E_DEVICE, "'%s' failed with code %d", argv[0], (int)code);
}

#else

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* The environment with one more entry; malloc'ed, the entries are not. */
static char **environment(void)
{
    static char epoch[] = "SOURCE_DATE_EPOCH=0";
    size_t n = 0;
    while (environ[n] != NULL) {
        n++;
    }
    char **copy = malloc((n + 2) * sizeof *copy);
    if (copy != NULL) {
        memcpy(copy, environ, n * sizeof *copy);
        copy[n] = getenv("SOURCE_DATE_EPOCH") == NULL ? epoch : NULL;
        copy[n + 1] = NULL;
    }
    return copy;
}

static enum jb_status wait_for(pid_t child, const char *name)
{
    int state = 0;
    while (waitpid(child, &state, 0) < 0) {
        if (errno != EINTR) {
            return jb_fail(JB_E_IO, "'%s' cannot be waited for: %s", name, strerror(errno));
        }
    }
    if (WIFEXITED(state) && WEXITSTATUS(state) == 0) {
        return JB_OK;
    }
    /* Some systems start the child first and learn then that there is no program. */
    if (WIFEXITED(state) && WEXITSTATUS(state) == 127) {
        return jb_fail(JB_E_NODEV, "'%s' is not installed or not in PATH", name);
    }
    return WIFSIGNALED(state)
               ? jb_fail(JB_E_DEVICE, "'%s' was ended by signal %d", name, WTERMSIG(state))
               : jb_fail(JB_E_DEVICE, "'%s' failed with code %d", name, WEXITSTATUS(state));
}

enum jb_status jb_child_run(const char *const *argv, const char *log_path)
{
    posix_spawn_file_actions_t actions;
    char **variables = environment();
    if (variables == NULL || posix_spawn_file_actions_init(&actions) != 0) {
        free(variables);
        return jb_fail(JB_E_NOMEM, "no memory to start '%s'", argv[0]);
    }
    pid_t child = 0;
    int error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (error == 0) {
        error = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    }
    if (error == 0) {
        error = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log_path,
                                                 O_WRONLY | O_CREAT | O_TRUNC, 0666);
    }
    if (error == 0) {
        error = posix_spawnp(&child, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv,
                             variables);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    free(variables);
    if (error == ENOENT) {
        return jb_fail(JB_E_NODEV, "'%s' is not installed or not in PATH", argv[0]);
    }
    if (error != 0) {
        return jb_fail(JB_E_IO, "'%s' cannot be started: %s", argv[0], strerror(error));
    }
    return wait_for(child, argv[0]);
}

#endif
