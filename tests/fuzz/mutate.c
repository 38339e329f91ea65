/* SPDX-License-Identifier: MIT */
/* Runs spoilt inputs against every target, in process and under whatever sanitizers it was built
 * with.
 *
 *   mutate CORPUS COUNT [--seed N] [--jobs N] [--target NAME [--only NUMBER]]
 *
 * COUNT inputs in all, shared out over the targets by weight. Inputs are made from (seed, number)
 * alone. Workers are processes: a crash or a hang costs one input, is reported with the command
 * that repeats it, and the worker goes on behind it. TAP: one point a target. */
#define _GNU_SOURCE
#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fuzz/mutator.h"
#include "tests/fuzz/target.h"

enum { MAX_SEEDS = 256, MAX_JOBS = 16, MAX_REPORTS = 5, FAULT_EXIT = 3 };

/* Generous: a sanitizer on a busy machine. */
#ifndef JB_FUZZ_HANG_S
#define JB_FUZZ_HANG_S 20
#endif

/* The build lists them: T(gguf),T(ids),... */
#define T(name) &jb_fuzz_##name
static const struct jb_fuzz_target *const targets[] = {JB_FUZZ_TARGETS};
enum { N_TARGETS = sizeof targets / sizeof targets[0] };

/* What a worker did; shared with its parent. */
struct progress {
    uint64_t next; /* input under way or to come; a fault is at `next` */
    uint64_t n_taken, n_refused;
    char complaint[1024];
};

static struct {
    const char *corpus;
    uint64_t count, seed, jobs, only;
    const char *target;
    bool has_only;
    struct progress *progress; /* (MAX_JOBS,) shared memory */
    FILE *out;
    char program[PATH_MAX];
} run;

static uint32_t read_seeds(const char *name, struct jb_fuzz_seed *ret_seeds)
{
    char folder[PATH_MAX], path[PATH_MAX + NAME_MAX + 2];
    (void)snprintf(folder, sizeof folder, "%s/%s", run.corpus, name);
    struct dirent **entries = NULL;
    const int n = scandir(folder, &entries, NULL, alphasort);
    uint32_t n_seeds = 0;
    for (int i = 0; i < n; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        size_t size = 0;
        uint8_t *data =
            entries[i]->d_name[0] == '.' || n_seeds == MAX_SEEDS ? NULL : jb_fuzz_read(path, &size);
        if (data != NULL) {
            ret_seeds[n_seeds++] = (struct jb_fuzz_seed){data, size};
        }
        free(entries[i]);
    }
    free(entries);
    return n_seeds;
}

/* In a child: inputs progress->next, + jobs, ... below count. */
static void work(const struct jb_fuzz_target *target, const struct jb_fuzz_seed *seeds,
                 uint32_t n_seeds, uint64_t count, struct progress *progress)
{
    static uint8_t data[JB_FUZZ_LARGEST];
    char sandbox[64];
    if (!jb_fuzz_enter_sandbox(sandbox)) {
        _exit(1);
    }
    for (; progress->next < count; progress->next += run.jobs) {
        const size_t size = jb_fuzz_mutate(target, seeds, n_seeds, run.seed, progress->next, data);
        /* A copy of the exact size lets the sanitizer see a read behind its end. */
        uint8_t *exact = malloc(size == 0 ? 1 : size);
        if (exact == NULL) {
            _exit(1);
        }
        memcpy(exact, data, size);
        enum jb_status status = JB_OK;
        (void)alarm(JB_FUZZ_HANG_S);
        const bool is_good = jb_fuzz_run(target, exact, size, &status, progress->complaint,
                                         sizeof progress->complaint);
        (void)alarm(0);
        free(exact);
        if (!is_good) {
            jb_fuzz_leave_sandbox(sandbox);
            _exit(FAULT_EXIT);
        }
        progress->n_taken += status == JB_OK;
        progress->n_refused += status != JB_OK;
    }
    jb_fuzz_leave_sandbox(sandbox);
    /* exit(), so that the leak checker has its say. */
    exit(0);
}

static void describe(int wait_status, const struct progress *progress, char ret_text[1100])
{
    if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGALRM) {
        (void)snprintf(ret_text, 1100, "hangs (more than %d s)", JB_FUZZ_HANG_S);
    } else if (WIFSIGNALED(wait_status)) {
        (void)snprintf(ret_text, 1100, "crashes (signal %d)", WTERMSIG(wait_status));
    } else if (WEXITSTATUS(wait_status) == FAULT_EXIT) {
        (void)snprintf(ret_text, 1100, "%s", progress->complaint);
    } else {
        (void)snprintf(ret_text, 1100, "exits with %d (a sanitizer's report is on stderr)",
                       WEXITSTATUS(wait_status));
    }
}

static void report(const struct jb_fuzz_target *target, uint64_t number, const char *what)
{
    (void)fprintf(run.out,
                  "# %s input %llu: %s\n#   again: %s %s 1 --seed %llu --target %s --only %llu\n",
                  target->name, (unsigned long long)number, what, run.program, run.corpus,
                  (unsigned long long)run.seed, target->name, (unsigned long long)number);
}

static pid_t start(const struct jb_fuzz_target *target, const struct jb_fuzz_seed *seeds,
                   uint32_t n_seeds, uint64_t count, struct progress *progress)
{
    (void)fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        work(target, seeds, n_seeds, count, progress);
    }
    return child;
}

/* @return number of faults. */
static uint64_t run_jobs(const struct jb_fuzz_target *target, const struct jb_fuzz_seed *seeds,
                         uint32_t n_seeds, uint64_t first, uint64_t count)
{
    pid_t children[MAX_JOBS] = {0};
    uint64_t n_faults = 0, n_running = 0;
    for (uint64_t job = 0; job < run.jobs; job++) {
        run.progress[job] = (struct progress){.next = first + job};
        children[job] = start(target, seeds, n_seeds, count, &run.progress[job]);
        n_running++;
    }
    while (n_running > 0) {
        int wait_status = 0;
        const pid_t child = wait(&wait_status);
        uint64_t job = 0;
        while (job < run.jobs && children[job] != child) {
            job++;
        }
        if (child < 0 || job == run.jobs) {
            return n_faults + 1;
        }
        n_running--;
        struct progress *progress = &run.progress[job];
        if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) {
            continue;
        }
        char what[1100];
        describe(wait_status, progress, what);
        n_faults++;
        if (n_faults <= MAX_REPORTS) {
            report(target, progress->next, what);
        }
        progress->next += run.jobs;
        if (progress->next < count && n_faults < 50) {
            children[job] = start(target, seeds, n_seeds, count, progress);
            n_running++;
        }
    }
    return n_faults;
}

/* @return true if all went well. */
static bool run_target(int point, const struct jb_fuzz_target *target, uint64_t count)
{
    static struct jb_fuzz_seed seeds[MAX_SEEDS];
    const uint32_t n_seeds = read_seeds(target->name, seeds);
    if (n_seeds == 0) {
        (void)fprintf(run.out, "not ok %d - %s: no corpus in %s\n", point, target->name,
                      run.corpus);
        return false;
    }
    const uint64_t first = run.has_only ? run.only : 0;
    const uint64_t n_faults =
        run_jobs(target, seeds, n_seeds, first, run.has_only ? run.only + 1 : count);
    uint64_t n_taken = 0, n_refused = 0;
    for (uint64_t job = 0; job < run.jobs; job++) {
        n_taken += run.progress[job].n_taken;
        n_refused += run.progress[job].n_refused;
    }
    const uint64_t n_inputs = n_taken + n_refused + n_faults;
    for (uint32_t i = 0; i < n_seeds; i++) {
        free((void *)seeds[i].data);
    }
    (void)fprintf(
        run.out, "%sok %d - %s: %llu inputs, %llu refused with a reason, %llu taken, %llu faults\n",
        n_faults > 0 ? "not " : "", point, target->name, (unsigned long long)n_inputs,
        (unsigned long long)n_refused, (unsigned long long)n_taken, (unsigned long long)n_faults);
    (void)fflush(run.out);
    return n_faults == 0;
}

static bool parse(int argc, char **argv)
{
    static char corpus[PATH_MAX];
    run.seed = 1;
    run.jobs = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
    if (argc < 3 || realpath(argv[1], corpus) == NULL ||
        realpath("/proc/self/exe", run.program) == NULL) {
        return false;
    }
    run.corpus = corpus;
    run.count = strtoull(argv[2], NULL, 10);
    for (int i = 3; i + 1 < argc; i += 2) {
        const uint64_t value = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--seed") == 0) {
            run.seed = value;
        } else if (strcmp(argv[i], "--jobs") == 0) {
            run.jobs = value;
        } else if (strcmp(argv[i], "--target") == 0) {
            run.target = argv[i + 1];
        } else if (strcmp(argv[i], "--only") == 0) {
            run.only = value;
            run.has_only = true;
        } else {
            return false;
        }
    }
    run.jobs = run.has_only ? 1 : run.jobs < 1 ? 1 : run.jobs > MAX_JOBS ? MAX_JOBS : run.jobs;
    return argc % 2 == 1;
}

int main(int argc, char **argv)
{
    if (!parse(argc, argv)) {
        (void)fprintf(stderr, "usage: mutate CORPUS COUNT [--seed N] [--jobs N] [--target NAME "
                              "[--only NUMBER]]\n");
        return 2;
    }
    run.out = stdout;
    run.progress = mmap(NULL, MAX_JOBS * sizeof *run.progress, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run.progress == MAP_FAILED) {
        return 2;
    }
    unsigned weights = 0;
    int n_points = 0;
    for (int i = 0; i < N_TARGETS; i++) {
        const bool is_wanted = run.target == NULL || strcmp(run.target, targets[i]->name) == 0;
        weights += is_wanted ? targets[i]->weight : 0;
        n_points += is_wanted;
    }
    if (n_points == 0) {
        (void)fprintf(stderr, "mutate: no target '%s'\n", run.target);
        return 2;
    }
    (void)fprintf(run.out, "1..%d\n", n_points);
    bool is_good = true;
    int point = 0;
    for (int i = 0; i < N_TARGETS; i++) {
        if (run.target == NULL || strcmp(run.target, targets[i]->name) == 0) {
            const uint64_t count = (run.count * targets[i]->weight + weights - 1) / weights;
            is_good &= run_target(++point, targets[i], count);
        }
    }
    return is_good ? 0 : 1;
}
