/* SPDX-License-Identifier: MIT */
/* Commands and rules of processing in memory, in the form of backends/simcore/mem_rules.c.
 *
 * global_buffer: arkhadem/aim_simulator src/dram/impl/GDDR6.cpp, its constraints at channel level.
 * register_file: SAITPublic/PIMSimulator src/MemoryController.cpp, updateCommandQueue: in all-bank
 * mode a command to bank 0 or 1 stands for all even or all odd banks and waits like a plain one. */
#include "backends/pim_sim/commands.h"
#include "backends/pim_sim/pim.h"

#define BIT(name) JB_MEM_BIT(JB_MEM_##name)
#define PBIT(name) JB_MEM_BIT(PIM_##name)
#define T(name) JB_MEM_T_##name
#define RULE(name, preceding, following, ...)                                                      \
    {                                                                                              \
        name, JB_MEM_RANK, preceding, following, {__VA_ARGS__}, 0, false                           \
    }

#define EVEN UINT64_C(0x5555555555555555)
#define ODD UINT64_C(0xaaaaaaaaaaaaaaaa)

/* ---- global buffer ---- */

static const struct jb_mem_command buffer_commands[] = {
    {"ACTA", JB_MEM_RANK, JB_MEM_NEEDS_CLOSED | JB_MEM_OPENS, 0},
    {"MACA", JB_MEM_RANK, JB_MEM_NEEDS_ROW, 0},
    {"WRGB", JB_MEM_RANK, 0, 0},
    {"WRMAC", JB_MEM_RANK, 0, 0},
    {"RDMAC", JB_MEM_RANK, 0, 0},
    {"MODE", JB_MEM_RANK, 0, 0},
};

#define REGISTER_WRITES (PBIT(WRGB) | PBIT(WRMAC))
#define REGISTERS (REGISTER_WRITES | PBIT(RDMAC))
#define BUFFER_COLUMNS (REGISTERS | PBIT(MACA))
#define BUFFER_ALL                                                                                 \
    (BUFFER_COLUMNS | PBIT(ACTA) | PBIT(MODE) | BIT(PREA) | BIT(REFA) | BIT(ACT) | BIT(RD) |       \
     BIT(WR) | BIT(PRE))

static const struct jb_mem_rule buffer_rules[] = {
    RULE("tMODE", PBIT(MODE), BUFFER_ALL, PIM_T_MODE),
    RULE("tCCDL to mode", BUFFER_COLUMNS, PBIT(MODE), T(CCD_L)),
    RULE("precharge to mode", BIT(PREA), PBIT(MODE), PIM_T_ONE),
    RULE("tRCDMAC", PBIT(ACTA), PBIT(MACA), PIM_T_RCD_MAC),
    RULE("tRAS", PBIT(ACTA), BIT(PREA), T(RAS)),
    RULE("tRC", PBIT(ACTA), PBIT(ACTA) | BIT(REFA), T(RC)),
    RULE("tRPab", BIT(PREA), PBIT(ACTA), T(RP_ALL)),
    RULE("tRFC", BIT(REFA), PBIT(ACTA) | REGISTERS | PBIT(MODE), T(RFC)),
    RULE("tMAC", PBIT(MACA), PBIT(MACA), PIM_T_MAC),
    RULE("tRTP", PBIT(MACA), BIT(PREA), T(RTP)),
    RULE("tCCDL", PBIT(MACA), PBIT(RDMAC), T(CCD_L)),
    RULE("tCCDL", PBIT(RDMAC), PBIT(RDMAC) | PBIT(MACA), T(CCD_L)),
    RULE("tCCDS of writes", PBIT(WRGB), REGISTER_WRITES, T(CCD_S_WR)),
    RULE("tCCDL of writes", PBIT(WRMAC), REGISTER_WRITES, T(CCD_L_WR)),
    RULE("register RTW", PBIT(RDMAC), REGISTER_WRITES, PIM_T_REG_RTW),
    RULE("register WTR", PBIT(WRGB), PBIT(RDMAC), PIM_T_REG_WRITE, T(BL), T(WTR_S)),
    RULE("register WTR", PBIT(WRMAC), PBIT(RDMAC), PIM_T_REG_WRITE, T(BL), T(WTR_L)),
    RULE("command bus", PBIT(ACTA), BUFFER_ALL, T(BUS_ACT)),
    RULE("command bus", BUFFER_COLUMNS, BUFFER_ALL, T(BUS_COL)),
    RULE("command bus", PBIT(MODE) | BIT(PREA) | BIT(REFA), BUFFER_ALL, T(BUS_ROW)),
};

/* ---- register file ---- */

static const struct jb_mem_command file_commands[] = {
    {"PACT_E", JB_MEM_RANK, JB_MEM_NEEDS_CLOSED | JB_MEM_OPENS, EVEN},
    {"PACT_O", JB_MEM_RANK, JB_MEM_NEEDS_CLOSED | JB_MEM_OPENS, ODD},
    {"PPRE_E", JB_MEM_RANK, JB_MEM_NEEDS_OPEN | JB_MEM_CLOSES, EVEN},
    {"PPRE_O", JB_MEM_RANK, JB_MEM_NEEDS_OPEN | JB_MEM_CLOSES, ODD},
    {"MAC_E", JB_MEM_RANK, JB_MEM_NEEDS_ROW, EVEN},
    {"MAC_O", JB_MEM_RANK, JB_MEM_NEEDS_ROW, ODD},
    {"REGW_E", JB_MEM_RANK, JB_MEM_NEEDS_ROW, EVEN},
    {"REGW_O", JB_MEM_RANK, JB_MEM_NEEDS_ROW, ODD},
    {"GRFST", JB_MEM_RANK, JB_MEM_NEEDS_ROW, ODD},
};

#define PACTS (PBIT(PACT_E) | PBIT(PACT_O))
#define PPRES (PBIT(PPRE_E) | PBIT(PPRE_O))
#define MACS (PBIT(MAC_E) | PBIT(MAC_O))
#define UNIT_WRITES (PBIT(REGW_E) | PBIT(REGW_O) | PBIT(GRFST))
#define ROWS (PACTS | PPRES | BIT(ACT) | BIT(PRE) | BIT(PREA) | BIT(REFA))
#define COLUMNS (MACS | UNIT_WRITES | BIT(RD) | BIT(WR))

static const struct jb_mem_rule file_rules[] = {
    RULE("tRCDRD", PBIT(PACT_E), PBIT(MAC_E), T(RCD_RD)),
    RULE("tRCDRD", PBIT(PACT_O), PBIT(MAC_O), T(RCD_RD)),
    RULE("tRCDWR", PBIT(PACT_E), PBIT(REGW_E), T(RCD_WR)),
    RULE("tRCDWR", PBIT(PACT_O), PBIT(REGW_O) | PBIT(GRFST), T(RCD_WR)),
    RULE("tRAS", PBIT(PACT_E), PBIT(PPRE_E) | BIT(PREA), T(RAS)),
    RULE("tRAS", PBIT(PACT_O), PBIT(PPRE_O) | BIT(PREA), T(RAS)),
    RULE("tRC", PBIT(PACT_E), PBIT(PACT_E) | BIT(ACT) | BIT(REFA), T(RC)),
    RULE("tRC", PBIT(PACT_O), PBIT(PACT_O) | BIT(ACT) | BIT(REFA), T(RC)),
    RULE("tRC", BIT(ACT), PACTS, T(RC)),
    RULE("tRP", PBIT(PPRE_E), PBIT(PACT_E) | BIT(ACT) | BIT(REFA), T(RP)),
    RULE("tRP", PBIT(PPRE_O), PBIT(PACT_O) | BIT(ACT) | BIT(REFA), T(RP)),
    RULE("tRPab", BIT(PREA), PACTS, T(RP_ALL)),
    RULE("tRRDS", PBIT(PACT_E), PBIT(PACT_O) | BIT(ACT), T(RRD_S)),
    RULE("tRRDS", PBIT(PACT_O), PBIT(PACT_E) | BIT(ACT), T(RRD_S)),
    RULE("tRRDS", BIT(ACT), PACTS, T(RRD_S)),
    RULE("tRTP", PBIT(MAC_E), PBIT(PPRE_E) | BIT(PREA), T(RTP)),
    RULE("tRTP", PBIT(MAC_O), PBIT(PPRE_O) | BIT(PREA), T(RTP)),
    RULE("tWR", PBIT(REGW_E), PBIT(PPRE_E) | BIT(PREA), T(CWL), T(BL), T(WR)),
    RULE("tWR", PBIT(REGW_O) | PBIT(GRFST), PBIT(PPRE_O) | BIT(PREA), T(CWL), T(BL), T(WR)),
    RULE("tMAC", MACS, MACS, PIM_T_MAC),
    RULE("tRTW", MACS | BIT(RD), UNIT_WRITES, T(RTW)),
    RULE("tRTW", MACS, BIT(WR), T(RTW)),
    RULE("tWTRL", UNIT_WRITES, MACS | BIT(RD), T(CWL), T(BL), T(WTR_L)),
    RULE("tWTRL", BIT(WR), MACS, T(CWL), T(BL), T(WTR_L)),
    RULE("tCCDL of writes", UNIT_WRITES, UNIT_WRITES | BIT(WR), T(CCD_L_WR)),
    RULE("tCCDL of writes", BIT(WR), UNIT_WRITES, T(CCD_L_WR)),
    RULE("tCCDL", MACS, BIT(RD), T(CCD_L)),
    RULE("tCCDL", BIT(RD), MACS, T(CCD_L)),
    RULE("tRFC", BIT(REFA), PACTS, T(RFC)),
    RULE("row bus", PACTS | BIT(ACT), ROWS, T(BUS_ACT)),
    RULE("row bus", PPRES | BIT(PRE) | BIT(PREA) | BIT(REFA), ROWS, T(BUS_ROW)),
    RULE("column bus", COLUMNS, COLUMNS, T(BUS_COL)),
};

void pim_commands_add(enum pim_flow flow, struct jb_mem_spec *spec)
{
    if (flow == PIM_GLOBAL_BUFFER) {
        spec->extra_commands = buffer_commands;
        spec->n_extra_commands = sizeof buffer_commands / sizeof buffer_commands[0];
        spec->extra_rules = buffer_rules;
        spec->n_extra_rules = sizeof buffer_rules / sizeof buffer_rules[0];
    } else if (flow == PIM_REGISTER_FILE) {
        spec->extra_commands = file_commands;
        spec->n_extra_commands = sizeof file_commands / sizeof file_commands[0];
        spec->extra_rules = file_rules;
        spec->n_extra_rules = sizeof file_rules / sizeof file_rules[0];
    }
}
