/* SPDX-License-Identifier: MIT */
#include "backends/simcore/simcore.h"

#include <stdlib.h>
#include <string.h>

struct jb_sim_timeline {
    struct jb_charge *charges; /* (max_parts,)          */
    double *line_j;            /* (max_parts, n_lines)  */
    uint32_t n_lines, max_parts, n_parts;
    double now_s;
};

enum jb_status jb_sim_timeline_create(uint32_t n_lines, uint32_t max_parts,
                                      struct jb_sim_timeline **ret_timeline)
{
    struct jb_sim_timeline *timeline = calloc(1, sizeof *timeline);
    if (timeline != NULL) {
        timeline->n_lines = n_lines;
        timeline->max_parts = max_parts;
        timeline->charges = calloc((size_t)max_parts + 1, sizeof timeline->charges[0]);
        timeline->line_j = calloc((size_t)max_parts * n_lines + 1, sizeof timeline->line_j[0]);
    }
    if (timeline == NULL || timeline->charges == NULL || timeline->line_j == NULL) {
        jb_sim_timeline_free(timeline);
        return jb_fail(JB_E_NOMEM, "no memory for an account of %u charges", max_parts);
    }
    *ret_timeline = timeline;
    return JB_OK;
}

void jb_sim_timeline_free(struct jb_sim_timeline *timeline)
{
    if (timeline != NULL) {
        free(timeline->charges);
        free(timeline->line_j);
        free(timeline);
    }
}

void jb_sim_timeline_begin(struct jb_sim_timeline *timeline)
{
    timeline->n_parts = 0;
    timeline->now_s = 0;
}

double jb_sim_timeline_now(const struct jb_sim_timeline *timeline)
{
    return timeline->now_s;
}

enum jb_status jb_sim_timeline_add(struct jb_sim_timeline *timeline, const struct jb_sim_part *part)
{
    if (timeline->n_parts == timeline->max_parts) {
        return jb_fail(JB_E_INVAL, "account: more than %u charges", timeline->max_parts);
    }
    if (!(part->start_s >= 0 && part->end_s >= part->start_s)) {
        return jb_fail(JB_E_INVAL, "account: op %u goes from %g s to %g s", part->op, part->start_s,
                       part->end_s);
    }
    double *line_j = &timeline->line_j[(size_t)timeline->n_parts * timeline->n_lines];
    if (part->line_j != NULL) {
        memcpy(line_j, part->line_j, timeline->n_lines * sizeof *line_j);
    } else {
        memset(line_j, 0, timeline->n_lines * sizeof *line_j);
    }
    timeline->charges[timeline->n_parts++] = (struct jb_charge){.op = part->op,
                                                                .resource = part->resource,
                                                                .start_s = part->start_s,
                                                                .end_s = part->end_s,
                                                                .energy_j = line_j,
                                                                .macs = part->macs,
                                                                .read_bytes = part->read_bytes,
                                                                .write_bytes = part->write_bytes,
                                                                .time_class = part->time_class,
                                                                .energy_class = part->energy_class};
    timeline->now_s = part->end_s > timeline->now_s ? part->end_s : timeline->now_s;
    return JB_OK;
}

void jb_sim_timeline_add_j(struct jb_sim_timeline *timeline, uint32_t index, uint32_t line,
                           double energy_j)
{
    if (index < timeline->n_parts && line < timeline->n_lines) {
        timeline->line_j[(size_t)index * timeline->n_lines + line] += energy_j;
    }
}

struct jb_account jb_sim_timeline_end(const struct jb_sim_timeline *timeline)
{
    struct jb_account account = {.charges = timeline->charges,
                                 .n_charges = timeline->n_parts,
                                 .time_s = timeline->now_s,
                                 .time_class = JB_CLASS_SIMULATED,
                                 .energy_class = JB_CLASS_SIMULATED};
    for (uint32_t i = 0; i < timeline->n_parts; i++) {
        const struct jb_charge *charge = &timeline->charges[i];
        for (uint32_t line = 0; line < timeline->n_lines; line++) {
            account.energy_j += charge->energy_j[line];
        }
        account.time_class = jb_class_weakest(account.time_class, charge->time_class);
        account.energy_class = jb_class_weakest(account.energy_class, charge->energy_class);
    }
    return account;
}

double jb_sim_timeline_op_j(const struct jb_sim_timeline *timeline, uint32_t op, double *ret_line_j)
{
    double sum = 0;
    memset(ret_line_j, 0, timeline->n_lines * sizeof *ret_line_j);
    for (uint32_t i = 0; i < timeline->n_parts; i++) {
        for (uint32_t line = 0; timeline->charges[i].op == op && line < timeline->n_lines; line++) {
            ret_line_j[line] += timeline->charges[i].energy_j[line];
            sum += timeline->charges[i].energy_j[line];
        }
    }
    return sum;
}
