/* SPDX-License-Identifier: MIT */
#ifndef JB_SIMCORE_MEM_TIMING_H
#define JB_SIMCORE_MEM_TIMING_H

/* One DRAM channel at command level: which command may go out at which cycle.
 *
 * A channel is a tree: channel > pseudo-channel > rank > bank group > bank. Timing rules are data:
 * a rule says that after a command of one set, a command of another set must wait so many cycles,
 * at one level of the tree. A device adds commands of its own (processing in memory) and rules for
 * them by appending rows to the tables of the standard commands; nothing here knows their meaning.
 *
 * The caller owns the clock. jb_mem_earliest() only asks, jb_mem_issue() only does. What holds
 * between channels (nothing, in DRAM) is the caller's: several channels are several objects.
 * Commands are issued in order of time; two may share a cycle where the rules let them (row and
 * column buses of HBM). An object is used by one thread at a time. */

#include <stdbool.h>
#include <stdint.h>

#include "platforms/base/status.h"

enum jb_mem_level {
    JB_MEM_CHANNEL, /* what shares the command bus                       */
    JB_MEM_PSEUDO,  /* what shares a data bus                            */
    JB_MEM_RANK,    /* what is activated, refreshed and powered together */
    JB_MEM_GROUP,
    JB_MEM_BANK,
    JB_MEM_N_LEVELS
};

/* Commands that every standard has; a device's own follow from JB_MEM_N_STANDARD on. */
enum jb_mem_command_id {
    JB_MEM_ACT,  /* open a row of a bank                    */
    JB_MEM_PRE,  /* close a bank                            */
    JB_MEM_PREA, /* close all banks of a rank               */
    JB_MEM_RD,   /* read one burst                          */
    JB_MEM_RDA,  /* the same, then close the bank           */
    JB_MEM_WR,   /* write one burst                         */
    JB_MEM_WRA,  /* the same, then close the bank           */
    JB_MEM_REFA, /* refresh all banks of a rank             */
    JB_MEM_REFB, /* refresh one bank                        */
    JB_MEM_N_STANDARD,
    JB_MEM_MAX_COMMANDS = 48
};
#define JB_MEM_BIT(command) (UINT64_C(1) << (command))

/* What a command asks of the banks in its scope, and does to them. */
enum jb_mem_effect {
    JB_MEM_NEEDS_CLOSED = 1u << 0, /* every bank it reaches has no open row               */
    JB_MEM_NEEDS_ROW = 1u << 1,    /* every bank it reaches has the row of the target open */
    JB_MEM_NEEDS_OPEN = 1u << 2,   /* every bank it reaches has some row open             */
    JB_MEM_OPENS = 1u << 3,        /* leaves the target's row open                        */
    JB_MEM_CLOSES = 1u << 4        /* leaves no row open                                  */
};

struct jb_mem_command {
    const char *name;        /* in traces and messages                                           */
    enum jb_mem_level scope; /* the smallest part of the tree that holds all banks it reaches    */
    unsigned effects;        /* enum jb_mem_effect                                               */
    uint64_t banks;          /* which banks of the scope it reaches, bit by bit; 0 = all of them */
};

/* Timings by the names of the standards, in command clocks. 0 = no such rule. A device's own follow
 * from JB_MEM_T_N_STANDARD on. */
enum jb_mem_t {
    JB_MEM_T_NONE,
    JB_MEM_T_BL,       /* cycles of the data bus a burst takes                           */
    JB_MEM_T_CL,       /* read to first data                                             */
    JB_MEM_T_CWL,      /* write to first data                                            */
    JB_MEM_T_RCD_RD,   /* activate to read                                               */
    JB_MEM_T_RCD_WR,   /* activate to write                                              */
    JB_MEM_T_RP,       /* precharge to activate                                          */
    JB_MEM_T_RP_ALL,   /* all-bank precharge to activate                                 */
    JB_MEM_T_RAS,      /* activate to precharge                                          */
    JB_MEM_T_RC,       /* activate to activate of the same bank                          */
    JB_MEM_T_CCD_S,    /* read to read, other bank group                                 */
    JB_MEM_T_CCD_L,    /* read to read, same bank group                                  */
    JB_MEM_T_CCD_S_WR, /* write to write, other bank group                               */
    JB_MEM_T_CCD_L_WR, /* write to write, same bank group                                */
    JB_MEM_T_CCD_R,    /* column to column of the same kind, other rank                  */
    JB_MEM_T_RRD_S,    /* activate to activate, other bank group                         */
    JB_MEM_T_RRD_L,    /* activate to activate, same bank group                          */
    JB_MEM_T_FAW,      /* window that holds at most four activates of a rank             */
    JB_MEM_T_WR,       /* end of write data to precharge                                 */
    JB_MEM_T_WTR_S,    /* end of write data to read, other bank group                    */
    JB_MEM_T_WTR_L,    /* end of write data to read, same bank group                     */
    JB_MEM_T_RTP,      /* read to precharge                                              */
    JB_MEM_T_RTW,      /* read to write on one data bus                                  */
    JB_MEM_T_PPD,      /* precharge to precharge                                         */
    JB_MEM_T_RFC,      /* all-bank refresh to any command of the rank                    */
    JB_MEM_T_RFC_PB,   /* per-bank refresh to any command of the bank                    */
    JB_MEM_T_PB_PB,    /* per-bank refresh to per-bank refresh of another bank           */
    JB_MEM_T_PB_ACT,   /* per-bank refresh to activate of another bank (tRREFD)          */
    JB_MEM_T_REFI,     /* mean time between all-bank refreshes; per bank: over the banks */
    JB_MEM_T_BUS_ACT,  /* cycles of the command bus that an activate takes               */
    JB_MEM_T_BUS_COL,  /* the same, reads and writes                                     */
    JB_MEM_T_BUS_ROW,  /* the same, precharges and refreshes                             */
    JB_MEM_T_N_STANDARD,
    JB_MEM_T_MAX = 64
};

/* After a command of `preceding` on a node of the tree at `level`, a command of `following` on the
 * same node waits for the sum of the terms. Both scopes lie at or below the level. */
struct jb_mem_rule {
    const char *name;
    enum jb_mem_level level;
    uint64_t preceding, following; /* JB_MEM_BIT() of commands                           */
    int8_t terms[4];               /* enum jb_mem_t, negative = subtracted; 0 = none     */
    uint8_t window;                /* counts back to the n-th last preceding; 0 means 1  */
    bool is_sibling;               /* binds the other nodes of the same parent instead   */
};

/* A channel as a set of numbers and tables; they stay the caller's and outlive the object. */
struct jb_mem_spec {
    double clock_hz; /* command clock                                             */
    uint32_t n_pseudo, n_ranks, n_groups, n_banks; /* each a count in the part above it */
    uint32_t n_rows, n_columns; /* of a bank; a column is one burst                       */
    uint32_t burst_bytes;
    bool has_split_bus; /* row and column commands have a bus each (HBM)          */
    uint32_t t[JB_MEM_T_MAX];
    const struct jb_mem_command *extra_commands; /* (n_extra_commands,) */
    uint32_t n_extra_commands;
    const struct jb_mem_rule *extra_rules; /* (n_extra_rules,) */
    uint32_t n_extra_rules;
};

/* Where a command goes. Banks are counted through the channel: ((pseudo x n_ranks + rank) x
 * n_groups
 * + group) x n_banks + bank. A command of wider scope may name any bank in it. */
struct jb_mem_target {
    uint32_t bank, row, column;
};

/* One issued command, for traces and checkers. */
struct jb_mem_event {
    uint64_t cycle;
    uint32_t command;
    struct jb_mem_target target;
};
typedef void jb_mem_sink(void *ctx, const struct jb_mem_event *event);

/* Time that ranks spent in each state, summed over the ranks of the channel. */
struct jb_mem_residency {
    uint64_t idle_cycles;   /* no row open                                           */
    uint64_t active_cycles; /* at least one row open                                 */
    uint64_t open_cycles;   /* sum over banks of the time that each had a row open   */
};

struct jb_mem;

#ifdef __cplusplus
extern "C" {
#endif

extern const struct jb_mem_command jb_mem_standard_commands[JB_MEM_N_STANDARD];
/* The rules of the standard commands. @return (*ret_n,) in a fixed order; those of the command bus
 * depend on has_split_bus. */
const struct jb_mem_rule *jb_mem_standard_rules(uint32_t *ret_n);
const struct jb_mem_rule *jb_mem_bus_rules(bool has_split_bus, uint32_t *ret_n);

/* Banks of the whole channel. */
uint32_t jb_mem_n_banks(const struct jb_mem_spec *spec);
/* Bytes of the whole channel. */
uint64_t jb_mem_bytes(const struct jb_mem_spec *spec);
/* Cycles that a rule asks for with these timings, at least 0. */
uint64_t jb_mem_rule_cycles(const struct jb_mem_spec *spec, const struct jb_mem_rule *rule);

/* @return INVAL: sizes of 0 or beyond 4096 banks, timings that contradict one another (tRC below
 * tRAS + tRP, tCCD below the burst, ...), a rule above or below the scope of its commands; the
 * reason names the value. */
enum jb_status jb_mem_spec_check(const struct jb_mem_spec *spec) JB_MUST_CHECK;

/* All banks closed, at cycle 0. @return what jb_mem_spec_check() says, NOMEM. */
enum jb_status jb_mem_create(const struct jb_mem_spec *spec, struct jb_mem **ret_mem) JB_MUST_CHECK;
void jb_mem_free(struct jb_mem *mem); /* NULL is fine */
/* Back to the state after jb_mem_create(); the sink stays. */
void jb_mem_reset(struct jb_mem *mem);
/* Every issued command goes to the sink; NULL = none. */
void jb_mem_set_sink(struct jb_mem *mem, jb_mem_sink *sink, void *ctx);

/* First cycle at which all timing rules let the command go, whatever rows are open. */
uint64_t jb_mem_earliest(const struct jb_mem *mem, uint32_t command, struct jb_mem_target target);
/* Whether the open rows are as the command needs them. */
bool jb_mem_can(const struct jb_mem *mem, uint32_t command, struct jb_mem_target target);
/* What must be issued next on the way to a command of bank scope: itself, ACT or PRE. */
uint32_t jb_mem_next(const struct jb_mem *mem, uint32_t command, struct jb_mem_target target);
/* Issues at `cycle`: not before jb_mem_earliest(), not before the last issue, and jb_mem_can(). */
void jb_mem_issue(struct jb_mem *mem, uint32_t command, struct jb_mem_target target,
                  uint64_t cycle);

#define JB_MEM_CLOSED UINT32_MAX
/* Row that is open in a bank, or JB_MEM_CLOSED. */
uint32_t jb_mem_open_row(const struct jb_mem *mem, uint32_t bank);
/* Banks with a row open in the rank that holds this bank. */
uint32_t jb_mem_n_open(const struct jb_mem *mem, uint32_t bank);
/* How often a command was issued. */
uint64_t jb_mem_count(const struct jb_mem *mem, uint32_t command);
/* State times from cycle 0 to `cycle`, which is not before the last issue. */
struct jb_mem_residency jb_mem_residency(const struct jb_mem *mem, uint64_t cycle);

#ifdef __cplusplus
}
#endif
#endif
