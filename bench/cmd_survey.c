/* SPDX-License-Identifier: MIT */
/* joulebench survey: the figures and tables of a published comparison, with our own rows. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cli.h"
#include "bench/survey.h"
#include "bench/tables.h"
#include "jb_config.h"
#include "platforms/os/os.h"

#define PATH_BYTES 4096
#define MAX_OWN 256u

static void print_help(void)
{
    (void)fputs(
        "usage: joulebench survey [--own FILE]... [options] -o FOLDER\n\n"
        "Redraws the comparison of LLM inference hardware of arXiv 2410.04466 from published\n"
        "points, with rows of joulebench runs beside them. Ranks are printed; FOLDER gets\n\n"
        "  batch1             the survey's figure: tokens/s against watts, its 186 points\n"
        "  batch1-own         the same with our rows\n"
        "  batch8             batch 8: what was published, and our rows\n"
        "  platforms-batchN   platforms against each other\n"
        "  methods-batchN     the same method across platforms\n"
        "  within-batchN      methods within one platform\n"
        "  nameplate          measured watts against the rated ones of the device\n"
        "  edge               distance to the survey's edge target of 10 tokens/J\n\n"
        "as .svg, .pdf and .png, each with its points as .csv; and platforms.csv (ranges and\n"
        "medians), ranks.csv, edge-target.csv.\n\n"
        "options:\n"
        "  -o, --output FOLDER   created if it is not there\n"
        "      --own FILE        rows of joulebench run; may be given again. Without it, all "
        "files\n"
        "                        of results/reference\n"
        "      --no-own          published points alone\n"
        "      --any-model       our rows of every model; without it of 5.5 to 9 thousand million\n"
        "                        parameters, the size that the survey compares\n"
        "      --published FILE  another table of published points\n"
        "      --format LIST     which of svg,pdf,png to draw; all by default\n"
        "  -h, --help            this text\n\n"
        "Colour is the platform, shape the method. Ours are filled where measured, hollow where\n"
        "simulated, with a dot where modelled, a cross where nameplate; published ones are pale\n"
        "or small. No point marked as superseded by its source is drawn or ranked.\n",
        stdout);
}

struct wish {
    const char *folder, *published, *formats;
    char **own; /* malloc'ed names */
    uint32_t n_own;
    bool takes_reference, takes_any_size;
    const char *reference; /* the folder they are taken from */
};

/* ---- where data lies ---- */

static enum jb_status find_data(const char *name, char path[PATH_BYTES])
{
    static const char *const folders[] = {JB_SOURCE_ROOT "/results/published",
                                          JB_DATA_DIR "/published"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        (void)snprintf(path, PATH_BYTES, "%s/%s", folders[i], name);
        FILE *file = fopen(path, "rb");
        if (file != NULL) {
            (void)fclose(file);
            return JB_OK;
        }
    }
    return jb_fail(JB_E_NODEV, "no %s in '%s' or '%s'", name, folders[0], folders[1]);
}

static void free_own(struct wish *wish)
{
    for (uint32_t i = 0; i < wish->n_own; i++) {
        free(wish->own[i]);
    }
    free(wish->own);
}

static bool add_own(struct wish *wish, const char *folder, const char *name)
{
    if (wish->own == NULL) {
        wish->own = calloc(MAX_OWN, sizeof *wish->own);
    }
    const size_t size = strlen(folder) + strlen(name) + 1;
    char *path = wish->own != NULL && wish->n_own < MAX_OWN ? malloc(size) : NULL;
    if (path == NULL) {
        return false;
    }
    (void)snprintf(path, size, "%s%s", folder, name);
    wish->own[wish->n_own++] = path;
    return true;
}

static bool take_reference(void *ctx, const char *name)
{
    struct wish *wish = ctx;
    const char *ending = strrchr(name, '.');
    return ending == NULL || strcmp(ending, ".csv") != 0 || add_own(wish, wish->reference, name);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The committed runs, in the order of their names; none is fine. */
static void find_reference(struct wish *wish)
{
    static const char *const folders[] = {JB_SOURCE_ROOT "/results/reference/",
                                          JB_DATA_DIR "/reference/"};
    enum jb_status status = JB_E_NODEV;
    for (size_t i = 0; status == JB_E_NODEV && i < sizeof folders / sizeof folders[0]; i++) {
        wish->reference = folders[i];
        status = jb_dir_each(folders[i], take_reference, wish);
    }
    if (status == JB_OK && wish->n_own > 0) {
        qsort(wish->own, wish->n_own, sizeof *wish->own, compare_names);
    }
}

static int load(struct wish *wish, struct jb_points *ret_points)
{
    char path[PATH_BYTES];
    struct jb_group *groups = NULL;
    uint64_t n_groups = 0;
    enum jb_status status = JB_OK;
    if (wish->published != NULL) {
        (void)snprintf(path, sizeof path, "%s", wish->published);
    } else {
        status = find_data("survey.csv", path);
    }
    if (status != JB_OK) {
        return jb_cli_fail(status);
    }
    if (wish->takes_reference) {
        find_reference(wish);
    }
    if (wish->n_own > 0) {
        const int code =
            jb_groups_of_files("survey", (int)wish->n_own, wish->own, &groups, &n_groups);
        if (code != JB_EXIT_OK) {
            return code;
        }
    }
    status = jb_points_load(path, groups, n_groups, wish->takes_any_size, ret_points);
    return status == JB_OK ? JB_EXIT_OK : jb_cli_fail(status);
}

/* ---- what is written ---- */

static const struct {
    const char *name;
    struct jb_point_choice choice;
    int strips; /* enum jb_strips; -1 = scatter */
    bool needs_own;
} figures[] = {
    {"batch1", {.batch = 1, .with_published = true, .only_drawn = true}, -1, false},
    {"batch1-own",
     {.batch = 1,
      .with_published = true,
      .with_own = true,
      .with_imported = true,
      .only_drawn = true},
     -1,
     true},
    {"batch8",
     {.batch = 8, .with_published = true, .with_own = true, .with_imported = true},
     -1,
     false},
    {"platforms-batch1",
     {.batch = 1,
      .with_published = true,
      .with_own = true,
      .with_imported = true,
      .only_drawn = true},
     JB_STRIPS_PLATFORMS,
     false},
    {"platforms-batch8",
     {.batch = 8, .with_published = true, .with_own = true, .with_imported = true},
     JB_STRIPS_PLATFORMS,
     false},
    {"methods-batch1",
     {.batch = 1,
      .with_published = true,
      .with_own = true,
      .with_imported = true,
      .only_drawn = true},
     JB_STRIPS_METHODS,
     false},
    {"methods-batch8",
     {.batch = 8, .with_published = true, .with_own = true, .with_imported = true},
     JB_STRIPS_METHODS,
     false},
    {"within-batch1",
     {.batch = 1,
      .with_published = true,
      .with_own = true,
      .with_imported = true,
      .only_drawn = true},
     JB_STRIPS_WITHIN,
     false},
    {"within-batch8",
     {.batch = 8, .with_published = true, .with_own = true, .with_imported = true},
     JB_STRIPS_WITHIN,
     false},
    {"edge",
     {.batch = 1,
      .with_published = true,
      .with_own = true,
      .with_imported = true,
      .only_drawn = true},
     JB_STRIPS_EDGE,
     false},
};
enum { N_FIGURES = sizeof figures / sizeof figures[0] };

static enum jb_status name_file(const struct wish *wish, const char *name, const char *ending,
                                char path[PATH_BYTES])
{
    const int n = snprintf(path, PATH_BYTES, "%s/%s.%s", wish->folder, name, ending);
    return n > 0 && n < PATH_BYTES ? JB_OK : jb_fail(JB_E_INVAL, "the folder's name is too long");
}

static FILE *open_table(const struct wish *wish, const char *name, char path[PATH_BYTES])
{
    if (name_file(wish, name, "csv", path) != JB_OK) {
        return NULL;
    }
    FILE *out = fopen(path, "wb");
    if (out == NULL) {
        (void)jb_fail(errno == EACCES ? JB_E_PERM : JB_E_IO, "cannot write '%s': %s", path,
                      strerror(errno));
    }
    return out;
}

static enum jb_status close_table(FILE *out, const char *path)
{
    const bool has_failed = ferror(out) != 0;
    return fclose(out) == 0 && !has_failed ? JB_OK : jb_fail(JB_E_IO, "cannot write '%s'", path);
}

static enum jb_status draw_all(const struct wish *wish, const char *name,
                               const struct jb_figure *figure)
{
    static const char *const endings[] = {"svg", "pdf", "png"};
    enum jb_status status = JB_OK;
    for (size_t i = 0; status == JB_OK && i < sizeof endings / sizeof endings[0]; i++) {
        char path[PATH_BYTES];
        if (strstr(wish->formats, endings[i]) == NULL) {
            continue;
        }
        status = name_file(wish, name, endings[i], path);
        if (status == JB_OK) {
            status = jb_figure_draw(figure, path, false);
        }
    }
    return status;
}

static enum jb_status write_figure(const struct wish *wish, const struct jb_points *points, int f)
{
    char path[PATH_BYTES];
    struct jb_figure figure = {0};
    enum jb_status status = figures[f].strips < 0
                                ? jb_survey_scatter(points, &figures[f].choice, &figure)
                                : jb_survey_strips(points, &figures[f].choice,
                                                   (enum jb_strips)figures[f].strips, &figure);
    if (status == JB_OK) {
        FILE *out = open_table(wish, figures[f].name, path);
        status = JB_E_IO;
        if (out != NULL) {
            jb_survey_print_points(out, points, &figures[f].choice);
            status = close_table(out, path);
        }
    }
    if (status == JB_OK) {
        status = draw_all(wish, figures[f].name, &figure);
    }
    jb_figure_free(&figure);
    return status;
}

static enum jb_status write_nameplate(const struct wish *wish, const struct jb_points *points)
{
    char path[PATH_BYTES], devices[PATH_BYTES];
    struct jb_figure figure = {0};
    enum jb_status status = find_data("devices.csv", devices);
    FILE *out = status == JB_OK ? open_table(wish, "nameplate", path) : NULL;
    if (out == NULL) {
        return status != JB_OK ? status : JB_E_IO;
    }
    status = jb_survey_nameplate(points, devices, out, &figure);
    const enum jb_status closed = close_table(out, path);
    /* Points of one's own (--published) may have no measured watts: no figure, an empty table. */
    const bool is_drawn = status == JB_OK;
    status = status == JB_E_NODEV ? closed : status != JB_OK ? status : closed;
    if (status == JB_OK && is_drawn) {
        status = draw_all(wish, "nameplate", &figure);
    }
    jb_figure_free(&figure);
    return status;
}

static enum jb_status write_tables(const struct wish *wish, const struct jb_points *points)
{
    static const struct {
        const char *name;
        void (*print)(FILE *out, const struct jb_points *points);
    } tables[] = {{"ranks", jb_survey_print_ranks},
                  {"platforms", jb_survey_print_platforms},
                  {"edge-target", jb_survey_print_edge}};
    enum jb_status status = JB_OK;
    for (size_t i = 0; status == JB_OK && i < sizeof tables / sizeof tables[0]; i++) {
        char path[PATH_BYTES];
        FILE *out = open_table(wish, tables[i].name, path);
        if (out == NULL) {
            return JB_E_IO;
        }
        tables[i].print(out, points);
        status = close_table(out, path);
    }
    return status;
}

static int survey(struct wish *wish)
{
    struct jb_points points = {.at = NULL};
    const int code = load(wish, &points);
    if (code != JB_EXIT_OK) {
        return code;
    }
    enum jb_status status = jb_make_folder(wish->folder);
    if (status == JB_OK) {
        status = write_tables(wish, &points);
    }
    if (status == JB_OK) {
        status = write_nameplate(wish, &points);
    }
    for (int f = 0; status == JB_OK && f < N_FIGURES; f++) {
        if (!figures[f].needs_own || points.n_own > 0) {
            status = write_figure(wish, &points, f);
        }
    }
    if (status == JB_OK) {
        jb_survey_print_ranks(stdout, &points);
    }
    if (points.n_other_size > 0) {
        (void)fprintf(stderr,
                      "joulebench: note: %llu configurations of models of other sizes than the "
                      "survey's 7B are left out (--any-model)\n",
                      (unsigned long long)points.n_other_size);
    } else if (points.n_own == 0) {
        (void)fputs("joulebench: note: no row of ours has power, so published points stand alone\n",
                    stderr);
    }
    jb_points_free(&points);
    return status == JB_OK ? JB_EXIT_OK : jb_cli_fail(status);
}

/* @return false for a word that is no format. */
static bool is_formats(const char *list)
{
    while (*list != '\0') {
        const size_t size = strcspn(list, ",");
        if (size != 3 || (memcmp(list, "svg", 3) != 0 && memcmp(list, "pdf", 3) != 0 &&
                          memcmp(list, "png", 3) != 0)) {
            return false;
        }
        list += size + (list[size] == ',' ? 1 : 0);
    }
    return true;
}

int jb_cmd_survey(int argc, char **argv)
{
    static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                            {"own", required_argument, NULL, 'w'},
                                            {"no-own", no_argument, NULL, 'n'},
                                            {"any-model", no_argument, NULL, 'y'},
                                            {"published", required_argument, NULL, 'p'},
                                            {"format", required_argument, NULL, 'f'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct wish wish = {.formats = "svg,pdf,png", .takes_reference = true};
    bool is_ours = true;
    optind = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "o:h", options, NULL)) != -1;) {
        switch (c) {
        case 'o':
            wish.folder = optarg;
            break;
        case 'w':
            wish.takes_reference = false;
            is_ours = is_ours && add_own(&wish, "", optarg);
            break;
        case 'n':
            wish.takes_reference = false;
            break;
        case 'y':
            wish.takes_any_size = true;
            break;
        case 'p':
            wish.published = optarg;
            break;
        case 'f':
            wish.formats = optarg;
            break;
        case 'h':
            print_help();
            free_own(&wish);
            return JB_EXIT_OK;
        default:
            free_own(&wish);
            return jb_cli_usage("survey", "unknown or incomplete option '%s'", argv[optind - 1]);
        }
    }
    int code = JB_EXIT_OK;
    if (wish.folder == NULL || wish.folder[0] == '\0') {
        code = jb_cli_usage("survey", "where to? give -o FOLDER");
    } else if (!is_ours) {
        code = jb_cli_usage("survey", "more than %u files of --own", MAX_OWN);
    } else if (!is_formats(wish.formats)) {
        code = jb_cli_usage("survey", "--format '%.32s': svg, pdf and png are there", wish.formats);
    } else if (optind < argc) {
        code = jb_cli_usage("survey", "what is '%.64s'? our rows are given by --own FILE",
                            argv[optind]);
    }
    if (code == JB_EXIT_OK) {
        code = survey(&wish);
    }
    free_own(&wish);
    return code;
}
