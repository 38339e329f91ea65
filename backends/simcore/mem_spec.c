/* SPDX-License-Identifier: MIT */
/* Numbers of a memory channel that contradict one another. */
#include <stddef.h>

#include "backends/simcore/mem_timing.h"

#define MAX_BANKS 4096u
#define MAX_T 1000000u

static enum jb_status check_sizes(const struct jb_mem_spec *spec)
{
    const struct {
        const char *name;
        uint32_t n, max;
    } sizes[] = {
        {"pseudo-channels", spec->n_pseudo, 64},    {"ranks", spec->n_ranks, 64},
        {"bank groups", spec->n_groups, 64},        {"banks", spec->n_banks, 64},
        {"rows", spec->n_rows, 1u << 24},           {"columns", spec->n_columns, 1u << 16},
        {"bytes a burst", spec->burst_bytes, 4096},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (sizes[i].n == 0 || sizes[i].n > sizes[i].max) {
            return jb_fail(JB_E_INVAL, "memory channel: %s: %u is outside 1 to %u", sizes[i].name,
                           sizes[i].n, sizes[i].max);
        }
    }
    if (jb_mem_n_banks(spec) > MAX_BANKS) {
        return jb_fail(JB_E_INVAL, "memory channel: %u banks are more than %u",
                       jb_mem_n_banks(spec), MAX_BANKS);
    }
    if (!(spec->clock_hz > 0 && spec->clock_hz < 1e12)) {
        return jb_fail(JB_E_INVAL, "memory channel: a clock of %g Hz", spec->clock_hz);
    }
    return JB_OK;
}

/* What no part can be sold with; each line says: the left timing is at least the right sum. */
static enum jb_status check_timings(const struct jb_mem_spec *spec)
{
    const uint32_t *t = spec->t;
    const struct {
        const char *what;
        uint32_t left, right;
    } orders[] = {
        /* both parts may have been rounded up to cycles, their sum only once */
        {"tRC must be at least tRAS + tRP", t[JB_MEM_T_RC] + 2, t[JB_MEM_T_RAS] + t[JB_MEM_T_RP]},
        {"tRAS must be at least tRCD of a read", t[JB_MEM_T_RAS], t[JB_MEM_T_RCD_RD]},
        {"tRPab must be at least tRP", t[JB_MEM_T_RP_ALL], t[JB_MEM_T_RP]},
        {"tCCD_S must be at least the burst", t[JB_MEM_T_CCD_S], t[JB_MEM_T_BL]},
        {"tCCD_S of writes must be at least the burst", t[JB_MEM_T_CCD_S_WR], t[JB_MEM_T_BL]},
        {"tCCD_L must be at least tCCD_S", t[JB_MEM_T_CCD_L], t[JB_MEM_T_CCD_S]},
        {"tCCD_L of writes must be at least tCCD_S", t[JB_MEM_T_CCD_L_WR], t[JB_MEM_T_CCD_S_WR]},
        {"tRRD_L must be at least tRRD_S", t[JB_MEM_T_RRD_L], t[JB_MEM_T_RRD_S]},
        {"tWTR_L must be at least tWTR_S", t[JB_MEM_T_WTR_L], t[JB_MEM_T_WTR_S]},
        {"tREFI must be longer than tRFC", t[JB_MEM_T_REFI],
         t[JB_MEM_T_RFC] > 0 ? t[JB_MEM_T_RFC] + 1 : 0},
        {"tRFC must be at least that of one bank", t[JB_MEM_T_RFC], t[JB_MEM_T_RFC_PB]},
        {"the burst must take a cycle", t[JB_MEM_T_BL], 1},
    };
    for (size_t i = 1; i < JB_MEM_T_MAX; i++) {
        if (t[i] > MAX_T) {
            return jb_fail(JB_E_INVAL, "memory channel: a timing of %u cycles", t[i]);
        }
    }
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        if (orders[i].left < orders[i].right) {
            return jb_fail(JB_E_INVAL, "memory channel: %s: %u and %u cycles", orders[i].what,
                           orders[i].left, orders[i].right);
        }
    }
    return JB_OK;
}

static enum jb_status check_extras(const struct jb_mem_spec *spec)
{
    const uint32_t n = JB_MEM_N_STANDARD + spec->n_extra_commands;
    if (spec->n_extra_commands > JB_MEM_MAX_COMMANDS - JB_MEM_N_STANDARD) {
        return jb_fail(JB_E_INVAL, "memory channel: %u more commands than the standard ones",
                       spec->n_extra_commands);
    }
    for (uint32_t i = 0; i < spec->n_extra_rules; i++) {
        const struct jb_mem_rule *rule = &spec->extra_rules[i];
        const uint64_t commands = rule->preceding | rule->following;
        if ((commands >> n) != 0) {
            return jb_fail(JB_E_INVAL, "rule '%s' names a command that is not there", rule->name);
        }
        for (uint32_t c = 0; c < n; c++) {
            const struct jb_mem_command *command =
                c < JB_MEM_N_STANDARD ? &jb_mem_standard_commands[c]
                                      : &spec->extra_commands[c - JB_MEM_N_STANDARD];
            if ((commands & JB_MEM_BIT(c)) != 0 && command->scope < rule->level) {
                return jb_fail(JB_E_INVAL, "rule '%s' is of a level below the scope of %s",
                               rule->name, command->name);
            }
        }
    }
    return JB_OK;
}

enum jb_status jb_mem_spec_check(const struct jb_mem_spec *spec)
{
    enum jb_status status = check_sizes(spec);
    if (status == JB_OK) {
        status = check_timings(spec);
    }
    return status == JB_OK ? check_extras(spec) : status;
}
