/* SPDX-License-Identifier: MIT */
#ifndef JB_TEST_FAKE_TREE_H
#define JB_TEST_FAKE_TREE_H

/* Fake /sys and /proc trees. They are kept as one text file each (tests/data/NAME.tree), a line a
 * file, "path = first line", because names such as "intel-rapl:0" cannot be checked out on every
 * system; "# ..." is a comment. A test unpacks one, points jb_host_set_root() at it, changes files
 * and removes it. Every function fails the running test when it cannot do its work. */

struct fake_tree {
    char root[64];
};

/* Unpacks tests/data/NAME.tree and makes it the root of /sys and /proc. NAME NULL: empty tree. */
void fake_tree_open(struct fake_tree *tree, const char *name);
/* Writes a file in place (an open descriptor sees it); makes its folders. */
void fake_tree_set(const struct fake_tree *tree, const char *path, const char *text);
void fake_tree_set_mode(const struct fake_tree *tree, const char *path, unsigned mode);
void fake_tree_remove(const struct fake_tree *tree, const char *path);
/* Removes the tree and restores the root. */
void fake_tree_close(struct fake_tree *tree);

/* Gives up root for file access (1) or takes it back (0); without root nothing is to be done. */
void fake_tree_drop_root(int is_dropped);
/* Open descriptors of this process. */
int fake_tree_count_fds(void);

#endif
