/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tests/stubs/fake_tree.h"

#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "platforms/host/host.h"

static void full_path(const struct fake_tree *tree, const char *path, char ret_path[512])
{
    const int n = snprintf(ret_path, 512, "%s/%s", tree->root, path);
    assert_true(n > 0 && n < 512);
}

static void make_folders(char *path)
{
    for (char *c = path + 1; *c != '\0'; c++) {
        if (*c == '/') {
            *c = '\0';
            (void)mkdir(path, 0755);
            *c = '/';
        }
    }
}

void fake_tree_set(const struct fake_tree *tree, const char *path, const char *text)
{
    char full[512];
    full_path(tree, path, full);
    make_folders(full);
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

void fake_tree_open(struct fake_tree *tree, const char *name)
{
    (void)snprintf(tree->root, sizeof tree->root, "/tmp/jb-tree-XXXXXX");
    assert_non_null(mkdtemp(tree->root));
    assert_int_equal(chmod(tree->root, 0755), 0);
    jb_host_set_root(tree->root);
    if (name == NULL) {
        return;
    }
    char path[512];
    const char *source = getenv("JB_SOURCE");
    assert_non_null(source);
    (void)snprintf(path, sizeof path, "%s/tests/data/%s.tree", source, name);
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        fail_msg("%s cannot be opened", path);
    }
    char line[512];
    while (fgets(line, sizeof line, f) != NULL) {
        char *equals = strstr(line, " = ");
        if (line[0] != '#' && equals != NULL) {
            *equals = '\0';
            fake_tree_set(tree, line, equals + 3);
        }
    }
    (void)fclose(f);
}

void fake_tree_set_mode(const struct fake_tree *tree, const char *path, unsigned mode)
{
    char full[512];
    full_path(tree, path, full);
    assert_int_equal(chmod(full, mode), 0);
}

void fake_tree_remove(const struct fake_tree *tree, const char *path)
{
    char full[512];
    full_path(tree, path, full);
    assert_int_equal(remove(full), 0);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void fake_tree_close(struct fake_tree *tree)
{
    assert_int_equal(nftw(tree->root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    jb_host_set_root(NULL);
}

void fake_tree_drop_root(int is_dropped)
{
    if (getuid() == 0) {
        assert_int_equal(seteuid(is_dropped ? 65534 : 0), 0);
    }
}

int fake_tree_count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    int n = 0;
    while (readdir(dir) != NULL) {
        n++;
    }
    (void)closedir(dir);
    return n;
}
