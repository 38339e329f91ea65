/* SPDX-License-Identifier: MIT */
#ifndef JB_BENCH_REPORT_H
#define JB_BENCH_REPORT_H

/* joulebench report: what a folder of results holds, as one page for a browser and as tables and
 * figures for a paper. */

#include <stdbool.h>
#include <stdint.h>

#include "results/grow.h"
#include "results/results.h"
#include "results/sheet.h"

#define JB_REPORT_PATH 4096
#define JB_REPORT_FILES 512
#define JB_REPORT_FIGURES 128

enum jb_report_kind {
    JB_REPORT_ROWS,   /* rows of joulebench, run or imported                    */
    JB_REPORT_POINTS, /* points behind a figure of joulebench survey            */
    JB_REPORT_TABLE,  /* any other table                                        */
    JB_REPORT_TRACE   /* samples of joulebench run --trace: counted, not shown  */
};

struct jb_report_file {
    char *name; /* without the folder */
    enum jb_report_kind kind;
    struct jb_sheet sheet;
    uint32_t same_as; /* an earlier file with equal cells; its own index if none */
};

struct jb_report_figure {
    char stem[64];     /* file name without ending, the same in DIR/report */
    const char *title; /* of the caption                                   */
    char *svg;         /* NUL-terminated; NULL = none                      */
    bool has_pdf;      /* DIR/report/STEM.pdf is there                     */
    bool is_column;    /* it fits one column of a two-column paper         */
};

struct jb_report {
    const char *folder;
    char output[JB_REPORT_PATH]; /* DIR/report */
    struct jb_report_file *files;
    uint32_t n_files;
    struct jb_report_figure *figures;
    uint32_t n_figures;
    struct jb_group *groups; /* of all rows */
    uint64_t n_groups;
};

/* How a known table or figure is told, by the stem of its file. */
struct jb_report_words {
    const char *stem, *title, *caption;
};

#ifdef __cplusplus
extern "C" {
#endif

/* Reads every .csv of the folder; tables of survey come first, the others by name. A table
 * that cannot be read is refused with file and line. @return NODEV if there is none. */
enum jb_status jb_report_read(const char *folder, struct jb_report *ret_report) JB_MUST_CHECK;
/* Draws what the rows and points give into DIR/report, which must be there. */
enum jb_status jb_report_draw(struct jb_report *report) JB_MUST_CHECK;
void jb_report_free(struct jb_report *report); /* NULL is fine */

/* Where the rows of a group lie: "a.csv:2-6 b.csv:3". */
void jb_report_places(const struct jb_report *report, const struct jb_group *group,
                      struct jb_grow *places);
/* NULL if the stem is none that is known. */
const struct jb_report_words *jb_report_words_of(const char *stem);
/* FOLDER/NAME and an ending. @return INVAL if that is too long. */
enum jb_status jb_report_path(const char *folder, const char *name, const char *ending,
                              char ret_path[JB_REPORT_PATH]) JB_MUST_CHECK;
/* Name without its ending, cut to size. */
void jb_report_stem(const char *name, char *ret_stem, size_t size);

/* The page, and the paper's source. */
void jb_report_html(const struct jb_report *report, struct jb_grow *page);
void jb_report_tex(const struct jb_report *report, struct jb_grow *tex);

/* Style and script of the page. */
extern const char jb_report_style[], jb_report_script[];

#ifdef __cplusplus
}
#endif
#endif
