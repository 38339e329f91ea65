/* SPDX-License-Identifier: MIT */
#include "bench/insight.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/insight_files.h"
#include "results/text.h"

#define COMMANDS_HEADER "cycle,channel,command,group,bank,row,column,pseudo,rank,timeline,what\n"

struct jb_insight {
    struct jb_insight_args args;
    struct jb_insight_place place;
    struct jb_ops_file ops;
    struct jb_breakdown *breakdown;
    FILE *commands;
    struct jb_dram_sink sink;
    uint64_t timeline;
    bool is_watching; /* between begin and end */
    char what[128];
};

enum jb_status jb_insight_file(const char *option, const char *path, const char *start,
                               FILE **ret_file)
{
    char found[32] = "";
    size_t n = 0;
    FILE *file = fopen(path, "r+b"); /* + so that a pipe without a reader does not block */
    if (file != NULL) {
        n = fseek(file, 0, SEEK_END) == 0 && ftell(file) > 0 && fseek(file, 0, SEEK_SET) == 0
                ? fread(found, 1, sizeof found - 1, file)
                : 0;
        (void)fclose(file);
    }
    if (n > 0 && strncmp(found, start, n) != 0) {
        return jb_fail(JB_E_INVAL, "%s exists and is of another kind: give %s another file", path,
                       option);
    }
    file = fopen(path, "wb");
    if (file == NULL) {
        return jb_fail(errno == EACCES ? JB_E_PERM : JB_E_IO, "%s: cannot write: %s", path,
                       strerror(errno));
    }
    *ret_file = file;
    return JB_OK;
}

/* ---- commands ---- */

static void begin_timeline(void *ctx, const char *what)
{
    struct jb_insight *insight = ctx;
    insight->timeline += insight->is_watching ? 1 : 0;
    (void)snprintf(insight->what, sizeof insight->what, "%s", what);
}

static void put_part(FILE *out, uint32_t value)
{
    if (value == UINT32_MAX) {
        (void)fputc(',', out);
    } else {
        (void)fprintf(out, ",%" PRIu32, value);
    }
}

static void put_command(void *ctx, const struct jb_dram_command *command)
{
    struct jb_insight *insight = ctx;
    FILE *out = insight->commands;
    if (!insight->is_watching) {
        return;
    }
    (void)fprintf(out, "%" PRIu64, command->cycle);
    put_part(out, command->channel);
    (void)fprintf(out, ",%s", command->name);
    put_part(out, command->group);
    put_part(out, command->bank);
    put_part(out, command->row);
    put_part(out, command->column);
    put_part(out, command->pseudo);
    put_part(out, command->rank);
    (void)fprintf(out, ",%" PRIu64 ",", insight->timeline);
    jb_csv_put(out, insight->what);
    (void)fputc('\n', out);
}

const struct jb_dram_sink *jb_insight_sink(const struct jb_insight *insight)
{
    return insight != NULL && insight->commands != NULL ? &insight->sink : NULL;
}

/* ---- all three ---- */

enum jb_status jb_insight_open(const struct jb_insight_args *args, struct jb_insight **ret_insight)
{
    struct jb_insight *insight = calloc(1, sizeof *insight);
    enum jb_status status = JB_OK;
    if (insight == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory to look inside");
    }
    insight->args = *args;
    insight->sink =
        (struct jb_dram_sink){.begin = begin_timeline, .put = put_command, .ctx = insight};
    if (args->commands != NULL) {
        status = jb_insight_file("--trace-commands", args->commands, COMMANDS_HEADER,
                                 &insight->commands);
        if (status == JB_OK) {
            (void)fputs(COMMANDS_HEADER, insight->commands);
        }
    }
    if (status == JB_OK && args->ops != NULL) {
        status = jb_ops_open(args->ops, &insight->ops);
    }
    if (status == JB_OK && args->breakdown != NULL) {
        status = jb_breakdown_open(args->breakdown, &insight->breakdown);
    }
    if (status != JB_OK) {
        (void)jb_insight_close(insight);
        return status;
    }
    *ret_insight = insight;
    return JB_OK;
}

enum jb_status jb_insight_close(struct jb_insight *insight)
{
    if (insight == NULL) {
        return JB_OK;
    }
    const char *failed = NULL;
    if (insight->commands != NULL) {
        const bool is_whole = ferror(insight->commands) == 0;
        failed = fclose(insight->commands) != 0 || !is_whole ? insight->args.commands : failed;
    }
    failed = jb_ops_close(&insight->ops) ? failed : insight->args.ops;
    failed = jb_breakdown_close(insight->breakdown) ? failed : insight->args.breakdown;
    const enum jb_status status =
        failed == NULL ? JB_OK
                       : jb_fail(JB_E_IO, "%s: cannot be written whole: disk full?", failed);
    free(insight);
    return status;
}

void jb_insight_begin(struct jb_insight *insight, const struct jb_insight_place *place)
{
    insight->place = *place;
    insight->is_watching = true;
    if (insight->ops.out != NULL) {
        jb_ops_begin(&insight->ops, place);
    }
    if (insight->breakdown != NULL) {
        jb_breakdown_begin(insight->breakdown);
    }
}

enum jb_status jb_insight_step(struct jb_insight *insight, const struct jb_step *step,
                               const struct jb_account *account)
{
    if (insight->ops.out != NULL) {
        jb_ops_step(&insight->ops, &insight->place, step, account);
    }
    if (insight->breakdown == NULL) {
        return JB_OK;
    }
    jb_breakdown_add(insight->breakdown, &insight->place, step, account);
    return jb_breakdown_details(insight->breakdown, &insight->place, step);
}

enum jb_status jb_insight_end(struct jb_insight *insight)
{
    insight->is_watching = false;
    if (insight->breakdown != NULL && !jb_breakdown_end(insight->breakdown, &insight->place)) {
        return jb_fail(JB_E_IO, "%s: cannot be written: %s", insight->args.breakdown,
                       strerror(errno));
    }
    return JB_OK;
}
