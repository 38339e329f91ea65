/* SPDX-License-Identifier: MIT */
/* joulebench merge: result files into one. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cli.h"
#include "results/results.h"

static void print_help(void)
{
    (void)fputs(
        "usage: joulebench merge [options] FILE... -o OUT.csv\n\n"
        "Joins result files, of run or import, into a new one. Columns that are not ours\n"
        "are kept. A row that is there twice is refused: a file was given twice, or copied.\n\n"
        "  -o, --output FILE       a new file\n"
        "      --drop-duplicates   take the first of equal rows instead\n"
        "  -h, --help              this text\n",
        stdout);
}

/* Where a row of the joined table is from. */
struct origin {
    const char *file;
    uint64_t row; /* within it, from 1 */
};

struct merging {
    struct jb_table table;
    struct origin *origins;
    bool drops;
    uint64_t n_dropped;
};

static bool is_same_row(const struct jb_table *a, uint64_t x, const struct jb_table *b, uint64_t y)
{
    for (uint32_t c = 0; c < jb_column_count(); c++) {
        const struct jb_column *column = jb_column_at(c);
        const char *left = (const char *)&a->rows[x] + column->offset;
        const char *right = (const char *)&b->rows[y] + column->offset;
        if (column->type == JB_COLUMN_TEXT ? strcmp(left, right) != 0
                                           : memcmp(left, right, column->size) != 0) {
            return false;
        }
    }
    return true;
}

/* The row of the first n of a table that equals row y of more; n if there is none. */
static uint64_t find_equal(const struct jb_table *table, uint64_t n, const struct jb_table *more,
                           uint64_t y)
{
    uint64_t x = 0;
    while (x < n && !is_same_row(table, x, more, y)) {
        x++;
    }
    return x;
}

/* Takes row y out of a table. */
static void drop_row(struct jb_table *table, uint64_t y)
{
    for (uint32_t c = 0; c < table->n_extra; c++) {
        free(table->extra[y * table->n_extra + c]);
    }
    table->n_rows--;
    memmove(&table->rows[y], &table->rows[y + 1], (table->n_rows - y) * sizeof *table->rows);
    if (table->n_extra > 0) {
        memmove(&table->extra[y * table->n_extra], &table->extra[(y + 1) * table->n_extra],
                (table->n_rows - y) * table->n_extra * sizeof *table->extra);
    }
}

static enum jb_status check_rows(struct merging *merging, const char *path, struct jb_table *more,
                                 uint64_t *places)
{
    const struct jb_table *table = &merging->table;
    uint64_t number = 0;
    for (uint64_t y = 0; y < more->n_rows;) {
        const uint64_t x = find_equal(table, table->n_rows, more, y);
        const uint64_t own = find_equal(more, y, more, y);
        number++;
        if (x == table->n_rows && own == y) {
            places[y++] = number;
        } else if (merging->drops) {
            drop_row(more, y);
            merging->n_dropped++;
        } else {
            const struct origin origin = own < y || merging->origins == NULL
                                             ? (struct origin){.file = path, .row = places[own]}
                                             : merging->origins[x];
            return jb_fail(
                JB_E_INVAL, "%s: row %llu is row %llu of '%s' (--drop-duplicates takes it once)",
                path, (unsigned long long)number, (unsigned long long)origin.row, origin.file);
        }
    }
    return JB_OK;
}

static enum jb_status add_rows(struct merging *merging, const char *path, struct jb_table *more,
                               uint64_t *places)
{
    enum jb_status status = check_rows(merging, path, more, places);
    const uint64_t before = merging->table.n_rows;
    if (status == JB_OK) {
        struct origin *grown =
            realloc(merging->origins, (before + more->n_rows + 1) * sizeof *grown);
        if (grown == NULL) {
            return jb_fail(JB_E_NOMEM, "%s: no memory for its rows", path);
        }
        merging->origins = grown;
        for (uint64_t i = 0; i < more->n_rows; i++) {
            grown[before + i] = (struct origin){.file = path, .row = places[i]};
        }
        status = jb_table_append(&merging->table, more);
    }
    return status;
}

static enum jb_status add_file(struct merging *merging, const char *path)
{
    struct jb_table more = {0};
    bool is_torn = false;
    enum jb_status status = jb_table_read(path, &more, &is_torn);
    if (status != JB_OK) {
        return status;
    }
    uint64_t *places = calloc(more.n_rows + 1, sizeof *places);
    status = places == NULL ? jb_fail(JB_E_NOMEM, "%s: no memory for its rows", path)
                            : add_rows(merging, path, &more, places);
    if (status == JB_OK && is_torn) {
        (void)fprintf(stderr, "joulebench: note: '%s' ends in a torn line, left out\n", path);
    }
    free(places);
    jb_table_free(&more);
    return status;
}

static int merge(bool drops, int n_files, char **files, const char *output)
{
    struct merging merging = {.drops = drops};
    enum jb_status status = JB_OK;
    for (int i = 0; status == JB_OK && i < n_files; i++) {
        status = add_file(&merging, files[i]);
    }
    if (status == JB_OK) {
        status = jb_table_write(&merging.table, output);
    }
    if (status == JB_OK) {
        (void)fprintf(stderr, "joulebench: %llu rows of %d files in '%s'",
                      (unsigned long long)merging.table.n_rows, n_files, output);
        if (merging.n_dropped > 0) {
            (void)fprintf(stderr, ", %llu equal ones left out",
                          (unsigned long long)merging.n_dropped);
        }
        (void)fputc('\n', stderr);
    }
    jb_table_free(&merging.table);
    free(merging.origins);
    return status == JB_OK ? JB_EXIT_OK : jb_cli_fail(status);
}

int jb_cmd_merge(int argc, char **argv)
{
    static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                            {"drop-duplicates", no_argument, NULL, 'd'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *output = NULL;
    bool drops = false;
    optind = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "o:h", options, NULL)) != -1;) {
        switch (c) {
        case 'o':
            output = optarg;
            break;
        case 'd':
            drops = true;
            break;
        case 'h':
            print_help();
            return JB_EXIT_OK;
        default:
            return jb_cli_usage("merge", "unknown or incomplete option '%s'", argv[optind - 1]);
        }
    }
    if (optind == argc) {
        return jb_cli_usage("merge", "give the files to join");
    }
    if (output == NULL || output[0] == '\0') {
        return jb_cli_usage("merge", "where to? give -o OUT.csv");
    }
    return merge(drops, argc - optind, argv + optind, output);
}
