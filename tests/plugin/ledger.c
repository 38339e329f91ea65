/* SPDX-License-Identifier: MIT */
/* A modelled device for tests: a step takes 1 ms and 2 J a token, shared out evenly over its ops,
 * half of the energy in each ledger line; ids follow from what is fed. Seen from the inside, an op
 * takes 1000 cycles of 1 us a token and t_row (a value of its "device file", 0 unless set) more.
 * --set ids=none returns ids that are none. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "backends/backend.h"

struct jb_device {
    const struct jb_plan *plan;
    const struct jb_dram_sink *commands;
    uint32_t n_tokens; /* of the last step */
    uint32_t n_ops;
    uint64_t t_row;
    bool is_broken;
    double lines_j[2];
    struct jb_charge *charges; /* (ops of the largest program,) */
    struct jb_part parts[4];
};

static enum jb_status probe(const struct jb_open_args *args, struct jb_probe *ret_probe)
{
    for (uint32_t i = 0; i < args->n_settings; i++) {
        const char *key = args->settings[i].key;
        if (strcmp(key, "ids") != 0 && strcmp(key, "t_row") != 0) {
            return jb_fail(JB_E_INVAL, "ledger: no key '%s'; did you mean 't_row'?", key);
        }
    }
    *ret_probe = (struct jb_probe){.platform = JB_PIM, .device = "test ledger", .n_devices = 1};
    return JB_OK;
}

static enum jb_status open_it(struct jb_device *dev, const struct jb_open_args *args)
{
    for (uint32_t i = 0; i < args->n_settings; i++) {
        const struct jb_setting *setting = &args->settings[i];
        if (strcmp(setting->key, "t_row") == 0) {
            dev->t_row = strtoull(setting->value, NULL, 10);
        } else {
            dev->is_broken = strcmp(setting->value, "none") == 0;
        }
    }
    dev->commands = args->commands;
    return JB_OK;
}

static enum jb_status load(struct jb_device *dev, const struct jb_load_args *args)
{
    uint32_t most = 1;
    dev->plan = args->plan;
    for (uint32_t p = 0; p < args->plan->n_programs; p++) {
        most = args->plan->programs[p].n_ops > most ? args->plan->programs[p].n_ops : most;
    }
    dev->charges = calloc(most, sizeof *dev->charges);
    return dev->charges != NULL ? JB_OK : jb_fail(JB_E_NOMEM, "ledger: no memory for charges");
}

/* A row opened, read and closed in each of two channels. */
static void show_commands(const struct jb_device *dev, const char *what)
{
    static const char *const names[] = {"ACT", "RD", "PRE"};
    if (dev->commands == NULL) {
        return;
    }
    dev->commands->begin(dev->commands->ctx, what);
    for (uint32_t c = 0; c < 6; c++) {
        const struct jb_dram_command command = {.cycle = 10 * (uint64_t)(c / 2),
                                                .name = names[c / 2],
                                                .channel = c % 2,
                                                .pseudo = 0,
                                                .rank = UINT32_MAX,
                                                .group = 1,
                                                .bank = 2,
                                                .row = c / 2 == 0 ? 7 : UINT32_MAX,
                                                .column = c / 2 == 1 ? 5 : UINT32_MAX};
        dev->commands->put(dev->commands->ctx, &command);
    }
}

static enum jb_status step(struct jb_device *dev, const struct jb_step *step)
{
    uint32_t at = 0;
    dev->n_tokens = jb_step_tokens(step);
    dev->n_ops = step->op_end - step->op_begin;
    for (uint32_t s = 0; s < step->n_seqs; s++) {
        const struct jb_seq *seq = &step->seqs[s];
        if (step->ret_ids != NULL && seq->want == JB_WANT_LAST) {
            const uint32_t id = (uint32_t)seq->tokens[seq->n_tokens - 1] * 7 + seq->pos;
            step->ret_ids[at++] = dev->is_broken ? -1 : (int32_t)(id % dev->plan->vocab);
        }
    }
    const struct jb_op *ops = dev->plan->programs[step->program].ops;
    for (uint32_t i = 0; i < dev->n_ops; i++) {
        struct jb_cost cost;
        const struct jb_op *op = &ops[step->op_begin + i];
        const bool is_product = op->kind == JB_OP_MATMUL || op->kind == JB_OP_ATTENTION;
        const double step_s = 1e-3 * dev->n_tokens;
        jb_op_cost(dev->plan, op, step, &cost);
        dev->charges[i] = (struct jb_charge){.op = step->op_begin + i,
                                             .resource = is_product ? 0 : 1,
                                             .start_s = step_s * i / dev->n_ops,
                                             .end_s = step_s * (i + 1) / dev->n_ops,
                                             .energy_j = dev->lines_j,
                                             .macs = cost.macs,
                                             .read_bytes = cost.weight_bytes + cost.kv_read_bytes,
                                             .write_bytes = cost.kv_write_bytes,
                                             .time_class = JB_CLASS_SIMULATED,
                                             .energy_class = JB_CLASS_MODELLED};
        if (is_product) {
            show_commands(dev, jb_op_name(op->kind));
        }
    }
    return JB_OK;
}

static enum jb_status account(struct jb_device *dev, struct jb_account *ret_account)
{
    dev->lines_j[0] = (double)dev->n_tokens / dev->n_ops;
    dev->lines_j[1] = (double)dev->n_tokens / dev->n_ops;
    *ret_account = (struct jb_account){.charges = dev->charges,
                                       .n_charges = dev->n_ops,
                                       .time_s = 1e-3 * dev->n_tokens,
                                       .energy_j = 2.0 * dev->n_tokens,
                                       .time_class = JB_CLASS_SIMULATED,
                                       .energy_class = JB_CLASS_MODELLED};
    return JB_OK;
}

/* 1000 cycles a unit of work: 600 of them useful. */
static void tell(struct jb_device *dev, uint64_t units, struct jb_op_detail *ret_detail)
{
    const struct jb_part parts[] = {{"mac", 600 * units},
                                    {"broadcast", 250 * units},
                                    {"refresh", 150 * units},
                                    {"row_switch", dev->t_row * units}};
    memcpy(dev->parts, parts, sizeof parts);
    dev->lines_j[0] = 0.25 * (double)units;
    dev->lines_j[1] = 0.75 * (double)units;
    *ret_detail = (struct jb_op_detail){.clock_hz = 1e6,
                                        .cycles = (1000 + dev->t_row) * units,
                                        .bound_s = 1e-5 * (double)units,
                                        .energy_j = (double)units,
                                        .line_j = dev->lines_j,
                                        .parts = dev->parts,
                                        .n_parts = 4,
                                        .choices = "mapping=n"};
}

static enum jb_status detail(struct jb_device *dev, uint32_t op, struct jb_op_detail *ret_detail)
{
    tell(dev, dev->n_tokens, ret_detail);
    ret_detail->bytes = dev->charges[op].read_bytes + dev->charges[op].write_bytes;
    ret_detail->macs = dev->charges[op].macs;
    return JB_OK;
}

static enum jb_status exercise(struct jb_device *dev, const struct jb_exercise *what,
                               struct jb_op_detail *ret_detail)
{
    if (what->kind != JB_EXERCISE_READ) {
        return jb_fail(JB_E_NOTSUP, "ledger: reads only");
    }
    show_commands(dev, "stream");
    tell(dev, (what->bytes + 1023) / 1024 * (what->pattern == JB_SEQUENTIAL ? 1 : 4), ret_detail);
    ret_detail->bytes = what->bytes;
    return JB_OK;
}

static enum jb_status reset(struct jb_device *dev)
{
    (void)dev;
    return JB_OK;
}

static void close_it(struct jb_device *dev)
{
    free(dev->charges);
}

static const struct jb_option options[] = {
    {"ids", "", "good", "none: every returned id is outside the vocabulary."},
    {0},
};
static const char *const resources[] = {"unit", "host", NULL};
static const char *const ledger_lines[] = {"logic", "memory", NULL};

static const struct jb_backend backend = {.name = "ledger",
                                          .summary = "1 ms and 2 J a token, for tests",
                                          .caps = JB_CAP_MODELLED | JB_CAP_DEVICE_KEYS,
                                          .device_size = sizeof(struct jb_device),
                                          .options = options,
                                          .resources = resources,
                                          .ledger_lines = ledger_lines,
                                          .probe = probe,
                                          .open = open_it,
                                          .load = load,
                                          .step = step,
                                          .account = account,
                                          .detail = detail,
                                          .exercise = exercise,
                                          .reset = reset,
                                          .close = close_it};

extern __attribute__((visibility("default"))) const struct jb_plugin jb_plugin;
const struct jb_plugin jb_plugin = {.abi = JB_BACKEND_ABI, .backend = &backend};
