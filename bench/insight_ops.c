/* SPDX-License-Identifier: MIT */
/* The Chrome trace: JSON written event by event, so that its length costs no memory. */
#include <inttypes.h>
#include <string.h>

#include "bench/insight_files.h"
#include "results/text.h"

#define START "{\"displayTimeUnit\":\"ns\",\"traceEvents\":["
#define STEPS_TRACK 0u

enum jb_status jb_ops_open(const char *path, struct jb_ops_file *ret_file)
{
    *ret_file = (struct jb_ops_file){.out = NULL};
    const enum jb_status status = jb_insight_file("--trace-ops", path, START, &ret_file->out);
    if (status == JB_OK) {
        (void)fputs(START, ret_file->out);
    }
    return status;
}

/* Names come from files too: what JSON would have to escape becomes '?'. */
static void put_text(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (const char *c = text; *c != '\0'; c++) {
        (void)fputc(*c < ' ' || *c > '~' || *c == '"' || *c == '\\' ? '?' : *c, out);
    }
    (void)fputc('"', out);
}

static void put_number(FILE *out, const char *key, double value)
{
    char text[JB_NUMBER_MAX];
    jb_real_print(value, text);
    (void)fprintf(out, ",\"%s\":%s", key, text[0] != '\0' ? text : "null");
}

/* Up to the events' own members. */
static void start_event(struct jb_ops_file *file, char phase, uint32_t track)
{
    (void)fprintf(file->out, "%s\n{\"ph\":\"%c\",\"pid\":%" PRIu32 ",\"tid\":%" PRIu32,
                  file->has_events ? "," : "", phase, file->process, track);
    file->has_events = true;
}

static void put_label(struct jb_ops_file *file, const char *kind, uint32_t track, const char *name)
{
    start_event(file, 'M', track);
    (void)fprintf(file->out, ",\"name\":\"%s\",\"args\":{\"name\":", kind);
    put_text(file->out, name);
    (void)fputs("}}", file->out);
}

void jb_ops_begin(struct jb_ops_file *file, const struct jb_insight_place *place)
{
    if (file->process > 0 && file->backend == place->backend && file->batch == place->batch) {
        return;
    }
    char name[256];
    const char *const *resources = place->backend->resources;
    file->process++;
    file->backend = place->backend;
    file->batch = place->batch;
    file->at_s = 0;
    file->n_resources = 0;
    (void)snprintf(name, sizeof name, "%s (%s), batch %" PRIu32, place->backend->name,
                   place->device_name, place->batch);
    put_label(file, "process_name", STEPS_TRACK, name);
    put_label(file, "thread_name", STEPS_TRACK, "steps");
    for (uint32_t i = 0; resources[i] != NULL; i++) {
        put_label(file, "thread_name", i + 1, resources[i]);
        file->n_resources++;
    }
}

static void put_times(struct jb_ops_file *file, const char *category, double start_s, double end_s)
{
    put_number(file->out, "ts", 1e6 * (file->at_s + start_s));
    put_number(file->out, "dur", 1e6 * (end_s - start_s));
    (void)fputs(",\"cat\":", file->out);
    put_text(file->out, category);
}

static void put_charge(struct jb_ops_file *file, const struct jb_insight_place *place,
                       const struct jb_step *step, const struct jb_charge *charge)
{
    const struct jb_program *program = &place->plan->programs[step->program];
    const struct jb_op *op = &program->ops[charge->op < program->n_ops ? charge->op : 0];
    char name[96];
    double energy_j = 0;
    for (uint32_t i = 0; charge->energy_j != NULL && place->backend->ledger_lines[i] != NULL; i++) {
        energy_j += charge->energy_j[i];
    }
    (void)snprintf(name, sizeof name, "%s%s%s", jb_op_name(op->kind),
                   op->weight != JB_NO_TENSOR ? " " : "",
                   op->weight != JB_NO_TENSOR ? place->plan->tensors[op->weight].name : "");
    start_event(file, 'X', charge->resource + 1u);
    put_times(file, place->phase, charge->start_s, charge->end_s);
    (void)fputs(",\"name\":", file->out);
    put_text(file->out, name);
    (void)fprintf(file->out, ",\"args\":{\"op\":%" PRIu32 ",\"layer\":%d", charge->op,
                  (int)op->layer);
    (void)fprintf(file->out, ",\"macs\":%" PRIu64 ",\"read_bytes\":%" PRIu64, charge->macs,
                  charge->read_bytes);
    (void)fprintf(file->out, ",\"write_bytes\":%" PRIu64, charge->write_bytes);
    put_number(file->out, "energy_j", energy_j);
    (void)fputs("}}", file->out);
}

void jb_ops_step(struct jb_ops_file *file, const struct jb_insight_place *place,
                 const struct jb_step *step, const struct jb_account *account)
{
    char name[96];
    (void)snprintf(name, sizeof name, "%s: %" PRIu32 " tokens at %" PRIu32, place->phase,
                   jb_step_tokens(step), step->seqs[0].pos);
    start_event(file, 'X', STEPS_TRACK);
    put_times(file, place->phase, 0, account->time_s);
    (void)fputs(",\"name\":", file->out);
    put_text(file->out, name);
    (void)fprintf(file->out, ",\"args\":{\"sequences\":%" PRIu32, step->n_seqs);
    put_number(file->out, "energy_j", account->energy_j);
    (void)fputs("}}", file->out);
    for (uint64_t i = 0; i < account->n_charges; i++) {
        put_charge(file, place, step, &account->charges[i]);
    }
    file->at_s += account->time_s;
}

bool jb_ops_close(struct jb_ops_file *file)
{
    if (file->out == NULL) {
        return true;
    }
    (void)fputs("\n]}\n", file->out);
    const bool is_whole = ferror(file->out) == 0;
    const bool is_closed = fclose(file->out) == 0;
    file->out = NULL;
    return is_whole && is_closed;
}
