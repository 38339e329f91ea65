/* SPDX-License-Identifier: MIT */
#include "backends/fpga_sim/board.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "platforms/devices/device_file.h"

static const struct jb_device_key schema[] = {
    JB_DEVICE_COMMON_KEYS,
    JB_KEY_NUMBER("dsp", 1, 1e6, true, "DSP slices of the part."),
    JB_KEY_NUMBER("lut", 1, 1e8, true, "Look-up tables of the part."),
    JB_KEY_NUMBER("ff", 1, 1e8, true, "Flip-flops of the part."),
    JB_KEY_NUMBER("bram36", 1, 1e6, true, "Blocks of 36 kbit."),
    JB_KEY_NUMBER("uram", 0, 1e6, true, "Blocks of 288 kbit."),
    JB_KEY_NUMBER("usable_share", 0.05, 1, false,
                  "Share of LUT and DSP that routing leaves usable; 1."),
    JB_KEY_NUMBER("shell_lut", 0, 1e8, false, "LUT that the shell and memory controllers take."),
    JB_KEY_VALUE("clock", JB_DIM_FREQUENCY, 2e9, true, "Clock of the design."),
    JB_KEY_NUMBER("cores", 1, 1024, true, "Engines side by side; they share outputs and heads."),
    JB_KEY_NUMBER("lanes", 1, 4096, true, "Products of an output in a cycle; a power of two."),
    JB_KEY_NUMBER("rows", 1, 4096, true, "Outputs at once."),
    JB_KEY_NUMBER("tokens_at_once", 1, 256, false,
                  "Activation rows that share a weight in a cycle; 1."),
    JB_KEY_NUMBER("interval", 1, 15, false, "Initiation interval of a beat; 1."),
    JB_KEY_NUMBER("depth", 1, 65536, true, "Beats of a weight bank."),
    JB_KEY_NUMBER("act_depth", 1, 1048576, true, "Beats of activations on the chip."),
    JB_KEY_NUMBER("weight_width", 4, 8, true, "Bits of a weight at the multiplier: 8 or 4."),
    JB_KEY_NUMBER("macs_a_dsp", 1, 8, true, "Products packed in a DSP slice."),
    JB_KEY_NUMBER(
        "stored_bits", 0.5, 64, false,
        "Bits of a weight in memory, scales and masks in; without it, the model's format."),
    JB_KEY_NUMBER("density", 0.01, 1, false, "Share of weights that are not skipped (N:M); 1."),
    JB_KEY_WORD("operand", "f32 f16 bf16 int8", true, "Activations at the multiplier."),
    JB_KEY_WORD("weight_operand", "f32 f16 bf16 int8 int4 ternary", true,
                "Weights at the multiplier."),
    JB_KEY_WORD("kv_operand", "f32 f16 bf16 int8", true, "Keys and values at the multiplier."),
    JB_KEY_NUMBER("vector_lanes", 1, 65536, true,
                  "Values that a core's vector unit takes in a cycle."),
    JB_KEY_VALUE("vector_startup", JB_DIM_CYCLES, 1e6, false, "Cycles before its first result."),
    JB_KEY_VALUE("op_latency", JB_DIM_TIME, 1, false, "Instruction overhead of an op."),
    JB_KEY_WORD("schedule", "temporal spatial", true,
                "One engine, op after op; or vector ops in the stream between matmuls."),
    JB_KEY_WORD("memory_standard", NULL, true, "Device file of kind dram."),
    JB_KEY_NUMBER("memory_stacks", 1, 1024, true, "Memory devices."),
    JB_KEY_VALUE("memory_rate", JB_DIM_FREQUENCY, 1e11, false,
                 "Command clock of the memory, where it differs from its file's."),
    JB_KEY_VALUE("port_bytes", JB_DIM_BYTES, 1e6, true,
                 "Bytes a cycle of all memory ports together."),
    JB_KEY_NUMBER("weight_efficiency", 0.01, 1, true,
                  "Share of the memory's rate that weights reach."),
    JB_KEY_NUMBER("kv_efficiency", 0.01, 1, true, "The same, keys and values."),
    JB_KEY_VALUE("memory_energy", JB_DIM_ENERGY_PER_BIT, 1e-9, false,
                 "Of a bit to or from memory; without it, from the memory's currents."),
    JB_KEY_VALUE("mac_energy", JB_DIM_ENERGY, 1e-6, true, "Of a multiply-add, routing in."),
    JB_KEY_VALUE("vector_energy", JB_DIM_ENERGY, 1e-6, true, "Of a value through the vector unit."),
    JB_KEY_VALUE("sram_energy", JB_DIM_ENERGY_PER_BIT, 1e-6, true,
                 "Of a bit of block RAM or URAM."),
    JB_KEY_VALUE("static_w", JB_DIM_POWER, 1e4, true, "Leakage, shell and clock trees."),
    {.key = NULL}};

const struct jb_option jb_fpga_options[] = {
    {"memory", "", "modelled", "modelled, or ideal: traffic takes no time."},
    {"refresh", "", "on", "on or off, of the memory."},
    {.key = NULL}};

static double number(const struct jb_device_file *file, const char *key, double otherwise)
{
    const double value = jb_device_number(file, key);
    return jb_is_missing(value) ? otherwise : value;
}

static bool is_word(const struct jb_device_file *file, const char *key, const char *word)
{
    const struct jb_device_value *value = jb_device_get(file, key);
    return value != NULL && strcmp(value->text, word) == 0;
}

static enum jb_operand operand(const struct jb_device_file *file, const char *key)
{
    uint32_t i = 0;
    while (i + 1 < JB_N_OPERANDS && !is_word(file, key, jb_operand_names[i])) {
        i++;
    }
    return (enum jb_operand)i;
}

static uint32_t count(const struct jb_device_file *file, const char *key, double otherwise)
{
    return (uint32_t)number(file, key, otherwise);
}

static void read_design(const struct jb_device_file *file, struct jb_fpga_board *board)
{
    *board = (struct jb_fpga_board){
        .has = {.dsp = jb_device_number(file, "dsp"),
                .lut = jb_device_number(file, "lut"),
                .ff = jb_device_number(file, "ff"),
                .bram36 = jb_device_number(file, "bram36"),
                .uram = jb_device_number(file, "uram")},
        .clock_hz = jb_device_number(file, "clock"),
        .n_cores = count(file, "cores", 1),
        .engine = {.lanes = count(file, "lanes", 1),
                   .rows = count(file, "rows", 1),
                   .weight_bits = count(file, "weight_width", 8),
                   .depth = count(file, "depth", 1),
                   .x_depth = count(file, "act_depth", 1),
                   .interval = count(file, "interval", 1)},
        .tokens_at_once = count(file, "tokens_at_once", 1),
        .macs_a_dsp = count(file, "macs_a_dsp", 1),
        .stored_bits = jb_device_number(file, "stored_bits"),
        .density = number(file, "density", 1),
        .a = operand(file, "operand"),
        .w = operand(file, "weight_operand"),
        .kv = operand(file, "kv_operand"),
        .vector_lanes = jb_device_number(file, "vector_lanes"),
        .vector_startup = (uint64_t)number(file, "vector_startup", 0),
        .op_latency_s = number(file, "op_latency", 0),
        .is_spatial = is_word(file, "schedule", "spatial"),
        .mac_j = jb_device_number(file, "mac_energy"),
        .vector_j = jb_device_number(file, "vector_energy"),
        .sram_bit_j = jb_device_number(file, "sram_energy"),
        .static_w = jb_device_number(file, "static_w"),
    };
    board->sum = board->a == JB_OPERAND_INT8 ? JB_SUM_INT32 : JB_SUM_F32;
    (void)snprintf(board->name, sizeof board->name, "%s", jb_device_name(file));
}

static bool is_whole(enum jb_operand operand)
{
    return operand == JB_OPERAND_INT8 || operand == JB_OPERAND_INT4 ||
           operand == JB_OPERAND_TERNARY;
}

static enum jb_status check(const struct jb_fpga_board *board)
{
    const struct jb_engine *engine = &board->engine;
    if ((engine->lanes & (engine->lanes - 1)) != 0) {
        return jb_fail(JB_E_INVAL, "device '%s': lanes: %u is not a power of two", board->name,
                       engine->lanes);
    }
    if (engine->weight_bits != 8 && engine->weight_bits != 4) {
        return jb_fail(JB_E_INVAL, "device '%s': weight_width: 8 or 4, not %u", board->name,
                       engine->weight_bits);
    }
    if (is_whole(board->a) != is_whole(board->w) || is_whole(board->a) != is_whole(board->kv)) {
        return jb_fail(JB_E_INVAL,
                       "device '%s': operand %s goes with no weight_operand %s or kv_operand %s: "
                       "all whole numbers, or none",
                       board->name, jb_operand_names[board->a], jb_operand_names[board->w],
                       jb_operand_names[board->kv]);
    }
    return JB_OK;
}

/* ---- parts ---- */

enum {
    VECTOR_DSP = 4, /* of a lane: float multiply and add, exp by table; float cores of the vendor */
    VECTOR_LUT = 1200,
    VECTOR_FF = 1500,
    FLOAT_LUT = 200, /* beside the slice of a 16-bit float multiplier: its rounding, and an adder */
    FLOAT_FF = 250,
    URAM_DEPTH = 4096,
    URAM_WIDTH = 72,
    URAM_LEAST = 1024 /* banks this deep go to URAM */
};

static void add_parts(const struct jb_device_file *file, struct jb_fpga_board *board)
{
    const struct jb_engine *engine = &board->engine;
    struct jb_engine one = *engine;
    const bool has_uram = board->has.uram > 0 && 2 * engine->depth >= URAM_LEAST;
    const bool is_float = !is_whole(board->a);
    one.weight_bits = is_float ? 16 : engine->weight_bits;
    one.depth = has_uram ? 0 : engine->depth; /* its banks are not in block RAM then */
    const struct jb_engine_parts parts = jb_engine_parts(&one, board->macs_a_dsp);
    const double cores = board->n_cores, at_once = board->tokens_at_once;
    const double lanes = cores * board->vector_lanes;
    const double width = (double)engine->rows * engine->lanes * one.weight_bits;
    const double floats = is_float ? cores * at_once * engine->rows * engine->lanes : 0;
    board->takes = (struct jb_fpga_parts){
        .dsp = cores * at_once * (double)parts.dsp + VECTOR_DSP * lanes,
        .lut = cores * at_once * (double)parts.lut + VECTOR_LUT * lanes + FLOAT_LUT * floats +
               number(file, "shell_lut", 0),
        .ff = cores * at_once * (double)parts.ff + VECTOR_FF * lanes + FLOAT_FF * floats,
        .bram36 = cores * (double)parts.bram18 / 2,
        .uram = has_uram ? cores * ceil(width / URAM_WIDTH) * ceil(2.0 * engine->depth / URAM_DEPTH)
                         : 0};
}

static enum jb_status check_fit(const struct jb_device_file *file,
                                const struct jb_fpga_board *board)
{
    const double share = number(file, "usable_share", 1);
    const struct {
        const char *name;
        double takes, has;
    } rows[] = {{"DSP slices", board->takes.dsp, floor(board->has.dsp * share)},
                {"LUT", board->takes.lut, floor(board->has.lut * share)},
                {"flip-flops", board->takes.ff, board->has.ff},
                {"RAMB36", board->takes.bram36, board->has.bram36},
                {"URAM", board->takes.uram, board->has.uram}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].takes > rows[i].has) {
            return jb_fail(JB_E_NOTSUP,
                           "fpga_sim: the design needs %.0f %s, '%s' has %.0f usable: %.0f too "
                           "many; lower cores, rows, lanes or depth",
                           ceil(rows[i].takes), rows[i].name, board->name, rows[i].has,
                           ceil(rows[i].takes) - rows[i].has);
        }
    }
    return JB_OK;
}

/* ---- memory ---- */

static enum jb_status read_memory(const struct jb_device_file *file,
                                  const struct jb_open_args *args, struct jb_fpga_board *board)
{
    const char *mode = jb_sim_setting(args, jb_fpga_options, "memory");
    const char *refresh = jb_sim_setting(args, jb_fpga_options, "refresh");
    if (strcmp(mode, "modelled") != 0 && strcmp(mode, "ideal") != 0) {
        return jb_fail(JB_E_INVAL, "fpga_sim: --set memory=%s: modelled or ideal", mode);
    }
    if (strcmp(refresh, "on") != 0 && strcmp(refresh, "off") != 0) {
        return jb_fail(JB_E_INVAL, "fpga_sim: --set refresh=%s: on or off", refresh);
    }
    const struct jb_sim_rate_args rate_args = {.standard =
                                                   jb_device_get(file, "memory_standard")->text,
                                               .n_devices = jb_device_number(file, "memory_stacks"),
                                               .clock_hz = jb_device_number(file, "memory_rate"),
                                               .has_refresh = strcmp(refresh, "on") == 0,
                                               .commands = args->commands};
    const enum jb_status status = jb_sim_rate_read(&rate_args, &board->memory);
    if (status != JB_OK) {
        return status;
    }
    const double bit_j = jb_device_number(file, "memory_energy");
    if (!jb_is_missing(bit_j)) {
        board->memory.byte_j = 8 * bit_j;
        board->memory.idle_w = 0; /* it is in the bits */
    }
    board->is_ideal = strcmp(mode, "ideal") == 0;
    board->memory.bytes = number(file, "memory_bytes", board->memory.bytes);
    const double ports = jb_device_number(file, "port_bytes") * board->clock_hz;
    const double peak = board->memory.peak;
    board->weight_rate =
        fmin(fmin(board->memory.rate, peak * jb_device_number(file, "weight_efficiency")), ports);
    board->kv_rate =
        fmin(fmin(board->memory.rate, peak * jb_device_number(file, "kv_efficiency")), ports);
    return JB_OK;
}

enum jb_status jb_fpga_board_read(const struct jb_open_args *args, struct jb_fpga_board *ret_board)
{
    struct jb_device_file *file = NULL;
    struct jb_fpga_board board;
    enum jb_status status =
        jb_sim_open_file("fpga_sim", "fpga", "u250", schema, jb_fpga_options, args, &file);
    if (status != JB_OK) {
        return status;
    }
    read_design(file, &board);
    add_parts(file, &board);
    status = check(&board);
    if (status == JB_OK) {
        status = check_fit(file, &board);
    }
    if (status == JB_OK) {
        status = read_memory(file, args, &board);
    }
    jb_device_close(file);
    if (status == JB_OK) {
        *ret_board = board;
    }
    return status;
}
