/* SPDX-License-Identifier: MIT */
#include "bench/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/text.h"

struct jb_trace_file {
    FILE *out;
    char *path;
    const struct jb_trace_place *place;
    double first_s; /* NaN = no sample yet */
};

static enum jb_status cannot_write(const struct jb_trace_file *file)
{
    return jb_fail(JB_E_IO, "%s: cannot write the trace: %s", file->path, strerror(errno));
}

#define HEADER                                                                                     \
    "time_s,domain,quantity,unit,scope,value,in_total,update_period_s,average_s,evidence,meter,"   \
    "run_id,backend,batch,repetition,phase\n"

/* Only an older trace, or an empty file, may be replaced. */
static enum jb_status check_existing(const char *path)
{
    char start[16] = "";
    size_t n = 0;
    FILE *file = fopen(path, "r+b"); /* + so that a pipe without a reader does not block */
    if (file == NULL) {
        return JB_OK;
    }
    if (fseek(file, 0, SEEK_END) == 0 && ftell(file) > 0 && fseek(file, 0, SEEK_SET) == 0) {
        n = fread(start, 1, sizeof start - 1, file);
    }
    (void)fclose(file);
    if (n > 0 && strncmp(start, HEADER, n) != 0) {
        return jb_fail(JB_E_INVAL, "%s exists and is no trace: give --trace another file", path);
    }
    return JB_OK;
}

enum jb_status jb_trace_create(const char *path, struct jb_trace_file **ret_file)
{
    const enum jb_status existing = check_existing(path);
    if (existing != JB_OK) {
        return existing;
    }
    struct jb_trace_file *file = calloc(1, sizeof *file);
    char *copy = strdup(path);
    if (file == NULL || copy == NULL) {
        free(file);
        free(copy);
        return jb_fail(JB_E_NOMEM, "no memory for the trace file");
    }
    *file = (struct jb_trace_file){.out = fopen(path, "wb"), .path = copy, .first_s = jb_missing()};
    if (file->out == NULL) {
        const enum jb_status status =
            jb_fail(errno == EACCES ? JB_E_PERM : JB_E_IO, "%s: cannot write the trace: %s", path,
                    strerror(errno));
        free(copy);
        free(file);
        return status;
    }
    (void)fputs(HEADER, file->out);
    if (fflush(file->out) != 0) {
        const enum jb_status status = cannot_write(file);
        (void)jb_trace_close(file);
        return status;
    }
    *ret_file = file;
    return JB_OK;
}

static const char *quantity_name(enum jb_quantity quantity)
{
    static const char *const names[] = {"energy", "power", "count", "state"};
    return names[quantity];
}

static void put_real(FILE *out, double value, char after)
{
    char text[JB_NUMBER_MAX];
    jb_real_print(value, text);
    (void)fprintf(out, "%s%c", text, after);
}

static void put_sample(void *ctx, const char *meter, const struct jb_domain *domain, double time_s,
                       double value)
{
    struct jb_trace_file *file = ctx;
    const struct jb_trace_place *place = file->place;
    if (jb_is_missing(file->first_s)) {
        file->first_s = time_s;
    }
    put_real(file->out, time_s - file->first_s, ',');
    /* two meters may have a domain of the same name; in a replayed trace names are unique */
    char name[96];
    (void)snprintf(name, sizeof name, "%s:%s", meter, domain->name);
    jb_csv_put(file->out, name);
    (void)fprintf(file->out, ",%s,%s,%s,", quantity_name(domain->quantity), domain->unit,
                  jb_scope_name(domain->scope));
    put_real(file->out, value, ',');
    (void)fprintf(file->out, "%d,", domain->is_in_total ? 1 : 0);
    put_real(file->out, domain->update_period_s, ',');
    put_real(file->out, domain->average_s, ',');
    (void)fprintf(file->out, "%s,%s,%s,%s,%u,%u,%s\n", jb_class_name(domain->evidence), meter,
                  place->run_id, place->backend, place->batch, place->repetition, place->phase);
}

enum jb_status jb_trace_add(struct jb_trace_file *file, const struct jb_trace_place *place,
                            struct jb_measure *measure)
{
    file->place = place;
    jb_measure_trace(measure, put_sample, file);
    return fflush(file->out) != 0 || ferror(file->out) != 0 ? cannot_write(file) : JB_OK;
}

enum jb_status jb_trace_close(struct jb_trace_file *file)
{
    enum jb_status status = JB_OK;
    if (file == NULL) {
        return JB_OK;
    }
    if (fclose(file->out) != 0) {
        status = cannot_write(file);
    }
    free(file->path);
    free(file);
    return status;
}
