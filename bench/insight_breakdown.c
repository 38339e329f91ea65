/* SPDX-License-Identifier: MIT */
/* Where a phase's time and joules went, summed by kind of op. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/insight_files.h"
#include "platforms/base/units.h"
#include "results/text.h"

#define MAX_RESOURCES 16
#define MAX_LINES 32
#define MAX_PARTS 32

#define HEADER                                                                                     \
    "schema,run_id,backend,device,model,weight_format,batch,phase,repetition,op,resource,what,"    \
    "name,value,unit\n"

struct sum {
    bool is_there, has_energy;
    double busy_s, line_j[MAX_LINES];
    uint64_t macs, bytes;
};

/* What detail() says of a kind of op. */
struct inside {
    bool is_there;
    double bound_s;
    uint64_t cycles[MAX_PARTS];
    const char *names[MAX_PARTS]; /* the backend's */
    uint32_t n_parts;
};

struct jb_breakdown {
    FILE *out;
    struct sum sums[JB_N_OP_KINDS][MAX_RESOURCES];
    struct inside insides[JB_N_OP_KINDS];
    double time_s, energy_j;
};

enum jb_status jb_breakdown_open(const char *path, struct jb_breakdown **ret)
{
    struct jb_breakdown *breakdown = calloc(1, sizeof *breakdown);
    if (breakdown == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the breakdown");
    }
    const enum jb_status status = jb_insight_file("--breakdown", path, HEADER, &breakdown->out);
    if (status != JB_OK) {
        free(breakdown);
        return status;
    }
    (void)fputs(HEADER, breakdown->out);
    *ret = breakdown;
    return JB_OK;
}

bool jb_breakdown_close(struct jb_breakdown *breakdown)
{
    if (breakdown == NULL) {
        return true;
    }
    const bool is_whole = ferror(breakdown->out) == 0;
    const bool is_closed = fclose(breakdown->out) == 0;
    free(breakdown);
    return is_whole && is_closed;
}

void jb_breakdown_begin(struct jb_breakdown *breakdown)
{
    memset(breakdown->sums, 0, sizeof breakdown->sums);
    memset(breakdown->insides, 0, sizeof breakdown->insides);
    breakdown->time_s = 0;
    breakdown->energy_j = 0;
}

/* ---- adding up ---- */

static enum jb_op_kind kind_of(const struct jb_insight_place *place, const struct jb_step *step,
                               uint32_t op)
{
    const struct jb_program *program = &place->plan->programs[step->program];
    return program->ops[op < program->n_ops ? op : 0].kind;
}

void jb_breakdown_add(struct jb_breakdown *breakdown, const struct jb_insight_place *place,
                      const struct jb_step *step, const struct jb_account *account)
{
    const char *const *lines = place->backend->ledger_lines;
    for (uint64_t i = 0; i < account->n_charges; i++) {
        const struct jb_charge *charge = &account->charges[i];
        const uint32_t resource =
            charge->resource < MAX_RESOURCES ? charge->resource : MAX_RESOURCES - 1u;
        struct sum *sum = &breakdown->sums[kind_of(place, step, charge->op)][resource];
        sum->is_there = true;
        sum->busy_s += charge->end_s - charge->start_s;
        sum->macs += charge->macs;
        sum->bytes += charge->read_bytes + charge->write_bytes;
        sum->has_energy = sum->has_energy || charge->energy_j != NULL;
        for (uint32_t l = 0; charge->energy_j != NULL && l < MAX_LINES && lines[l] != NULL; l++) {
            sum->line_j[l] += charge->energy_j[l];
        }
    }
    breakdown->time_s += account->time_s;
    breakdown->energy_j += account->energy_j;
}

static void add_part(struct inside *inside, const struct jb_part *part)
{
    uint32_t i = 0;
    while (i < inside->n_parts && strcmp(inside->names[i], part->name) != 0) {
        i++;
    }
    if (i == inside->n_parts && i < MAX_PARTS) {
        inside->names[i] = part->name;
        inside->n_parts++;
    }
    if (i < MAX_PARTS) {
        inside->cycles[i] += part->cycles;
    }
}

enum jb_status jb_breakdown_details(struct jb_breakdown *breakdown,
                                    const struct jb_insight_place *place,
                                    const struct jb_step *step)
{
    enum jb_status status = JB_OK;
    if (place->backend->detail == NULL) {
        return JB_OK;
    }
    for (uint32_t op = step->op_begin; op < step->op_end && status == JB_OK; op++) {
        struct jb_op_detail detail = {.clock_hz = jb_missing()};
        struct inside *inside = &breakdown->insides[kind_of(place, step, op)];
        status = place->backend->detail(place->device, op, &detail);
        if (status == JB_E_NOTSUP) { /* an op that the device leaves to others */
            status = JB_OK;
            continue;
        }
        inside->is_there = inside->is_there || status == JB_OK;
        inside->bound_s += detail.bound_s;
        for (uint32_t i = 0; status == JB_OK && i < detail.n_parts; i++) {
            add_part(inside, &detail.parts[i]);
        }
    }
    return status;
}

/* ---- rows ---- */

struct row {
    const char *op, *resource, *what, *name, *unit;
    double value;
};

static void put(FILE *out, const struct jb_insight_place *place, const struct row *row)
{
    const char *const texts[] = {place->run_id, place->backend->name, place->device_name,
                                 place->model, place->weight_format};
    char value[JB_NUMBER_MAX];
    if (jb_is_missing(row->value)) {
        return;
    }
    (void)fputs(JB_BREAKDOWN_SCHEMA, out);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        (void)fputc(',', out);
        jb_csv_put(out, texts[i]);
    }
    jb_real_print(row->value, value);
    (void)fprintf(out, ",%" PRIu32 ",%s,%" PRIu32 ",%s,", place->batch, place->phase,
                  place->repetition, row->op);
    jb_csv_put(out, row->resource);
    (void)fprintf(out, ",%s,", row->what);
    jb_csv_put(out, row->name);
    (void)fprintf(out, ",%s,%s\n", value, row->unit);
}

static void put_sum(FILE *out, const struct jb_insight_place *place, const char *op,
                    const char *resource, const struct sum *sum)
{
    const struct row rows[] = {{op, resource, "time", "busy", "s", sum->busy_s},
                               {op, resource, "work", "macs", "1", (double)sum->macs},
                               {op, resource, "work", "bytes", "B", (double)sum->bytes}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        put(out, place, &rows[i]);
    }
    const char *const *lines = place->backend->ledger_lines;
    for (uint32_t l = 0; sum->has_energy && l < MAX_LINES && lines[l] != NULL; l++) {
        put(out, place, &(struct row){op, resource, "energy", lines[l], "J", sum->line_j[l]});
    }
}

static void put_inside(FILE *out, const struct jb_insight_place *place, const char *op,
                       const struct inside *inside)
{
    put(out, place, &(struct row){op, "", "time", "bound", "s", inside->bound_s});
    for (uint32_t i = 0; i < inside->n_parts; i++) {
        put(out, place,
            &(struct row){op, "", "cycles", inside->names[i], "1", (double)inside->cycles[i]});
    }
}

bool jb_breakdown_end(struct jb_breakdown *breakdown, const struct jb_insight_place *place)
{
    FILE *out = breakdown->out;
    const char *const *resources = place->backend->resources;
    for (int k = 0; k < JB_N_OP_KINDS; k++) {
        const char *op = jb_op_name((enum jb_op_kind)k);
        for (uint32_t r = 0; r < MAX_RESOURCES && resources[r] != NULL; r++) {
            if (breakdown->sums[k][r].is_there) {
                put_sum(out, place, op, resources[r], &breakdown->sums[k][r]);
            }
        }
        if (breakdown->insides[k].is_there) {
            put_inside(out, place, op, &breakdown->insides[k]);
        }
    }
    put(out, place, &(struct row){"", "", "total", "time", "s", breakdown->time_s});
    put(out, place, &(struct row){"", "", "total", "energy", "J", breakdown->energy_j});
    return fflush(out) == 0 && ferror(out) == 0;
}
