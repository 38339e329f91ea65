/* SPDX-License-Identifier: MIT */
/* The rules of the standard commands, once for all standards: a standard without a rule gives 0 for
 * its timing. Forms as in JESD235 (HBM), JESD238 (HBM3), JESD250 (GDDR6), JESD79-4 and -5 (DDR4,
 * DDR5) and JESD209-5 (LPDDR5); auto-precharge starts tRTP after a read, tWR after write data, and
 * never before tRAS, which tRC keeps. */
#include "backends/simcore/mem_timing.h"

#define BIT(name) JB_MEM_BIT(JB_MEM_##name)
#define T(name) JB_MEM_T_##name

#define READS (BIT(RD) | BIT(RDA))
#define WRITES (BIT(WR) | BIT(WRA))
#define COLUMNS (READS | WRITES)
#define PRECHARGES (BIT(PRE) | BIT(PREA))
#define REFRESHES (BIT(REFA) | BIT(REFB))
#define ROWS (BIT(ACT) | PRECHARGES | REFRESHES)
#define ALL (COLUMNS | ROWS)

const struct jb_mem_command jb_mem_standard_commands[JB_MEM_N_STANDARD] = {
    [JB_MEM_ACT] = {"ACT", JB_MEM_BANK, JB_MEM_NEEDS_CLOSED | JB_MEM_OPENS, 0},
    [JB_MEM_PRE] = {"PRE", JB_MEM_BANK, JB_MEM_NEEDS_OPEN | JB_MEM_CLOSES, 0},
    [JB_MEM_PREA] = {"PREA", JB_MEM_RANK, JB_MEM_CLOSES, 0},
    [JB_MEM_RD] = {"RD", JB_MEM_BANK, JB_MEM_NEEDS_ROW, 0},
    [JB_MEM_RDA] = {"RDA", JB_MEM_BANK, JB_MEM_NEEDS_ROW | JB_MEM_CLOSES, 0},
    [JB_MEM_WR] = {"WR", JB_MEM_BANK, JB_MEM_NEEDS_ROW, 0},
    [JB_MEM_WRA] = {"WRA", JB_MEM_BANK, JB_MEM_NEEDS_ROW | JB_MEM_CLOSES, 0},
    [JB_MEM_REFA] = {"REFA", JB_MEM_RANK, JB_MEM_NEEDS_CLOSED, 0},
    [JB_MEM_REFB] = {"REFB", JB_MEM_BANK, JB_MEM_NEEDS_CLOSED, 0},
};

static const struct jb_mem_rule standard_rules[] = {
    /* row to column, and the row itself */
    {"tRCDRD", JB_MEM_BANK, BIT(ACT), READS, {T(RCD_RD)}, 0, false},
    {"tRCDWR", JB_MEM_BANK, BIT(ACT), WRITES, {T(RCD_WR)}, 0, false},
    {"tRAS", JB_MEM_BANK, BIT(ACT), BIT(PRE), {T(RAS)}, 0, false},
    {"tRAS", JB_MEM_RANK, BIT(ACT), BIT(PREA), {T(RAS)}, 0, false},
    {"tRC", JB_MEM_BANK, BIT(ACT), BIT(ACT) | BIT(REFB), {T(RC)}, 0, false},
    {"tRC", JB_MEM_RANK, BIT(ACT), BIT(REFA), {T(RC)}, 0, false},
    {"tRP", JB_MEM_BANK, BIT(PRE), BIT(ACT) | BIT(REFB), {T(RP)}, 0, false},
    {"tRP", JB_MEM_RANK, BIT(PRE), BIT(REFA), {T(RP)}, 0, false},
    {"tRPab", JB_MEM_RANK, BIT(PREA), BIT(ACT) | REFRESHES, {T(RP_ALL)}, 0, false},
    {"tPPD", JB_MEM_RANK, PRECHARGES, PRECHARGES, {T(PPD)}, 0, false},
    /* row to row of different banks */
    {"tRRDS", JB_MEM_RANK, BIT(ACT), BIT(ACT) | BIT(REFB), {T(RRD_S)}, 0, false},
    {"tRRDL", JB_MEM_GROUP, BIT(ACT), BIT(ACT) | BIT(REFB), {T(RRD_L)}, 0, false},
    {"tFAW", JB_MEM_RANK, BIT(ACT), BIT(ACT), {T(FAW)}, 4, false},
    /* column to column */
    {"tCCDS", JB_MEM_RANK, READS, READS, {T(CCD_S)}, 0, false},
    {"tCCDL", JB_MEM_GROUP, READS, READS, {T(CCD_L)}, 0, false},
    {"tCCDS_WR", JB_MEM_RANK, WRITES, WRITES, {T(CCD_S_WR)}, 0, false},
    {"tCCDL_WR", JB_MEM_GROUP, WRITES, WRITES, {T(CCD_L_WR)}, 0, false},
    {"tCCDR", JB_MEM_RANK, READS, READS, {T(CCD_R)}, 0, true},
    {"tCCDR", JB_MEM_RANK, WRITES, WRITES, {T(CCD_R)}, 0, true},
    {"tRTW", JB_MEM_PSEUDO, READS, WRITES, {T(RTW)}, 0, false},
    {"tWTRS", JB_MEM_RANK, WRITES, READS, {T(CWL), T(BL), T(WTR_S)}, 0, false},
    {"tWTRL", JB_MEM_GROUP, WRITES, READS, {T(CWL), T(BL), T(WTR_L)}, 0, false},
    {"tWTR other rank", JB_MEM_RANK, WRITES, READS, {T(CWL), T(CCD_R), -T(CL)}, 0, true},
    /* column to row */
    {"tRTP", JB_MEM_BANK, BIT(RD), BIT(PRE), {T(RTP)}, 0, false},
    {"tRTP", JB_MEM_RANK, BIT(RD), BIT(PREA), {T(RTP)}, 0, false},
    {"tWR", JB_MEM_BANK, BIT(WR), BIT(PRE), {T(CWL), T(BL), T(WR)}, 0, false},
    {"tWR", JB_MEM_RANK, BIT(WR), BIT(PREA), {T(CWL), T(BL), T(WR)}, 0, false},
    {"tRTP+tRP", JB_MEM_BANK, BIT(RDA), BIT(ACT) | BIT(REFB), {T(RTP), T(RP)}, 0, false},
    {"tRTP+tRP", JB_MEM_RANK, BIT(RDA), BIT(REFA), {T(RTP), T(RP)}, 0, false},
    {"tWR+tRP",
     JB_MEM_BANK,
     BIT(WRA),
     BIT(ACT) | BIT(REFB),
     {T(CWL), T(BL), T(WR), T(RP)},
     0,
     false},
    {"tWR+tRP", JB_MEM_RANK, BIT(WRA), BIT(REFA), {T(CWL), T(BL), T(WR), T(RP)}, 0, false},
    /* refresh */
    {"tRFC", JB_MEM_RANK, BIT(REFA), ALL, {T(RFC)}, 0, false},
    {"tRFCpb", JB_MEM_BANK, BIT(REFB), ALL & ~(BIT(PREA) | BIT(REFA)), {T(RFC_PB)}, 0, false},
    {"tRFCpb", JB_MEM_RANK, BIT(REFB), BIT(PREA) | BIT(REFA), {T(RFC_PB)}, 0, false},
    {"tpbR2pbR", JB_MEM_RANK, BIT(REFB), BIT(REFB), {T(PB_PB)}, 0, false},
    {"tRREFD", JB_MEM_RANK, BIT(REFB), BIT(ACT), {T(PB_ACT)}, 0, false},
};

static const struct jb_mem_rule shared_bus[] = {
    {"command bus", JB_MEM_CHANNEL, BIT(ACT), ALL, {T(BUS_ACT)}, 0, false},
    {"command bus", JB_MEM_CHANNEL, COLUMNS, ALL, {T(BUS_COL)}, 0, false},
    {"command bus", JB_MEM_CHANNEL, PRECHARGES | REFRESHES, ALL, {T(BUS_ROW)}, 0, false},
};

static const struct jb_mem_rule split_bus[] = {
    {"row bus", JB_MEM_CHANNEL, BIT(ACT), ROWS, {T(BUS_ACT)}, 0, false},
    {"column bus", JB_MEM_CHANNEL, COLUMNS, COLUMNS, {T(BUS_COL)}, 0, false},
    {"row bus", JB_MEM_CHANNEL, PRECHARGES | REFRESHES, ROWS, {T(BUS_ROW)}, 0, false},
};

const struct jb_mem_rule *jb_mem_standard_rules(uint32_t *ret_n)
{
    *ret_n = sizeof standard_rules / sizeof standard_rules[0];
    return standard_rules;
}

const struct jb_mem_rule *jb_mem_bus_rules(bool has_split_bus, uint32_t *ret_n)
{
    *ret_n = sizeof shared_bus / sizeof shared_bus[0];
    return has_split_bus ? split_bus : shared_bus;
}
