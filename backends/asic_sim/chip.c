/* SPDX-License-Identifier: MIT */
#include "backends/asic_sim/chip.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "backends/simcore/sim_rate.h"

static const struct jb_device_key schema[] = {
    JB_DEVICE_COMMON_KEYS,
    JB_KEY_VALUE("clock", JB_DIM_FREQUENCY, 1e11, true, "Clock of arrays and vector unit."),
    JB_KEY_NUMBER("arrays", 1, 65536, true, "Arrays of one chip."),
    JB_KEY_NUMBER("array_rows", 1, 4096, true, "Rows of multipliers of an array."),
    JB_KEY_NUMBER("array_cols", 1, 4096, true, "Columns of multipliers of an array."),
    JB_KEY_NUMBER("array_load_rows", 1, 4096, false,
                  "Rows of weights that enter an array in a cycle; 1."),
    JB_KEY_WORD("dataflow", "ws os", true, "Weight-stationary or output-stationary."),
    JB_KEY_WORD("preload", "on off", true,
                "Second registers: the next fold enters during this one."),
    JB_KEY_WORD("operand", "f32 f16 bf16 fp8 int8", true, "What enters a multiplier."),
    JB_KEY_WORD("sum", "f32 f16 bf16 int32", true, "What sums are kept in; int32 for int8."),
    JB_KEY_VALUE("weight_buffer", JB_DIM_BYTES, 1e12, true,
                 "On-chip room for weights and KV on the way."),
    JB_KEY_VALUE("act_buffer", JB_DIM_BYTES, 1e12, true, "On-chip room for activations."),
    JB_KEY_NUMBER("vector_lanes", 1, 1e9, true, "Float operations of the vector unit in a cycle."),
    JB_KEY_VALUE("vector_startup", JB_DIM_CYCLES, 1e6, false,
                 "Cycles before a vector op's first result."),
    JB_KEY_VALUE("op_latency", JB_DIM_TIME, 1, false,
                 "From the end of one op to the start of the next."),
    JB_KEY_WORD("memory_standard", NULL, true,
                "Device file of kind dram, or sram: weights live on the chips."),
    JB_KEY_NUMBER("memory_stacks", 1, 1024, false, "Memory devices of one chip; 1."),
    JB_KEY_VALUE("memory_rate", JB_DIM_FREQUENCY, 1e11, false,
                 "Command clock of the memory, where it differs from its file's."),
    JB_KEY_VALUE("memory_energy", JB_DIM_ENERGY_PER_BIT, 1e-9, false,
                 "Of a bit to or from memory; without it, from the memory's currents."),
    JB_KEY_NUMBER("chips", 1, 100000, false, "Chips; without it as many as hold the model."),
    JB_KEY_NUMBER("chips_a_stage", 1, 4096, false, "Chips that share each layer; all of `chips`."),
    JB_KEY_VALUE("link_bytes_per_s", JB_DIM_BYTE_RATE, 1e15, false, "A chip's link, one way."),
    JB_KEY_VALUE("link_latency", JB_DIM_TIME, 1, false, "Of a message between neighbours."),
    JB_KEY_VALUE("mac_energy", JB_DIM_ENERGY, 1e-6, false,
                 "Of a multiply-add of the operand format."),
    JB_KEY_VALUE("vector_energy", JB_DIM_ENERGY, 1e-6, false, "Of a vector operation."),
    JB_KEY_VALUE("sram_energy", JB_DIM_ENERGY_PER_BIT, 1e-6, false,
                 "Of reading or writing on-chip SRAM."),
    JB_KEY_VALUE("link_energy", JB_DIM_ENERGY_PER_BIT, 1e-6, false, "Of sending between chips."),
    JB_KEY_VALUE("static_w", JB_DIM_POWER, 1e6, false, "Leakage and clocks of one chip."),
    JB_KEY_VALUE("mac_area", JB_DIM_AREA, 1, false, "Of a multiply-add unit with its registers."),
    JB_KEY_VALUE("sram_bit_area", JB_DIM_AREA, 1, false, "Of a bit of SRAM, periphery in."),
    {.key = NULL}};

const struct jb_option jb_asic_options[] = {
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

/* Place of a word in a list; the schema has made sure that it is there. */
static uint32_t place(const struct jb_device_file *file, const char *key, const char *const *names)
{
    uint32_t i = 0;
    while (names[i + 1] != NULL && !is_word(file, key, names[i])) {
        i++;
    }
    return i;
}

static void read_numbers(const struct jb_device_file *file, struct jb_asic_chip *chip)
{
    *chip = (struct jb_asic_chip){
        .clock_hz = jb_device_number(file, "clock"),
        .n_arrays = (uint32_t)jb_device_number(file, "arrays"),
        .array = {.rows = (uint32_t)jb_device_number(file, "array_rows"),
                  .cols = (uint32_t)jb_device_number(file, "array_cols"),
                  .load_rows = (uint32_t)number(file, "array_load_rows", 1),
                  .dataflow =
                      is_word(file, "dataflow", "os") ? JB_OUTPUT_STATIONARY : JB_WEIGHT_STATIONARY,
                  .has_preload = is_word(file, "preload", "on")},
        .numerics = {.operand = (enum jb_operand)place(file, "operand", jb_operand_names),
                     .sum = (enum jb_sum)place(file, "sum", jb_sum_names)},
        .weight_buffer = jb_device_number(file, "weight_buffer"),
        .act_buffer = jb_device_number(file, "act_buffer"),
        .vector_lanes = jb_device_number(file, "vector_lanes"),
        .vector_startup = (uint64_t)number(file, "vector_startup", 0),
        .op_latency_s = number(file, "op_latency", 0),
        .n_chips = (uint32_t)number(file, "chips", 0),
        .link_rate = number(file, "link_bytes_per_s", 0),
        .link_latency_s = number(file, "link_latency", 0),
        .mac_j = jb_device_number(file, "mac_energy"),
        .vector_j = jb_device_number(file, "vector_energy"),
        .sram_bit_j = jb_device_number(file, "sram_energy"),
        .link_bit_j = number(file, "link_energy", 0),
        .static_w = jb_device_number(file, "static_w"),
        .mac_mm2 = jb_device_number(file, "mac_area") * 1e6, /* SI is m2 */
        .sram_bit_mm2 = jb_device_number(file, "sram_bit_area") * 1e6,
    };
    chip->chips_a_stage =
        (uint32_t)number(file, "chips_a_stage", chip->n_chips > 0 ? chip->n_chips : 1);
    (void)snprintf(chip->name, sizeof chip->name, "%s", jb_device_name(file));
}

static enum jb_status check(const struct jb_asic_chip *chip)
{
    const bool is_integer = chip->numerics.operand == JB_OPERAND_INT8;
    if (is_integer != (chip->numerics.sum == JB_SUM_INT32)) {
        return jb_fail(JB_E_INVAL, "device '%s': operand %s cannot be summed in %s", chip->name,
                       jb_operand_names[chip->numerics.operand], jb_sum_names[chip->numerics.sum]);
    }
    if (chip->array.load_rows > chip->array.rows) {
        return jb_fail(JB_E_INVAL, "device '%s': array_load_rows: %u of %u rows", chip->name,
                       chip->array.load_rows, chip->array.rows);
    }
    if (chip->n_chips % chip->chips_a_stage != 0) {
        return jb_fail(JB_E_INVAL, "device '%s': chips: %u are not whole stages of %u", chip->name,
                       chip->n_chips, chip->chips_a_stage);
    }
    if (chip->chips_a_stage > 1 && !(chip->link_rate > 0)) {
        return jb_fail(JB_E_INVAL, "device '%s': link_bytes_per_s: needed by %u chips a stage",
                       chip->name, chip->chips_a_stage);
    }
    return JB_OK;
}

/* ---- memory ---- */

static enum jb_status open_dram(const struct jb_device_file *file, const char *standard,
                                const struct jb_open_args *args, struct jb_asic_memory *ret)
{
    const char *refresh = jb_sim_setting(args, jb_asic_options, "refresh");
    const struct jb_sim_rate_args rate_args = {.standard = standard,
                                               .n_devices = number(file, "memory_stacks", 1),
                                               .clock_hz = jb_device_number(file, "memory_rate"),
                                               .has_refresh = strcmp(refresh, "off") != 0,
                                               .commands = args->commands};
    struct jb_sim_rate rate;
    const enum jb_status status = jb_sim_rate_read(&rate_args, &rate);
    if (status != JB_OK) {
        return status;
    }
    const double bit_j = jb_device_number(file, "memory_energy");
    ret->peak = rate.peak;
    ret->rate = rate.rate;
    ret->latency_s = rate.latency_s;
    ret->bytes = number(file, "memory_bytes", rate.bytes);
    ret->byte_j = jb_is_missing(bit_j) ? rate.byte_j : 8 * bit_j;
    ret->idle_w = jb_is_missing(bit_j) ? rate.idle_w : 0; /* it is in the bits */
    ret->time_class = JB_CLASS_SIMULATED;
    return JB_OK;
}

static enum jb_status read_memory(const struct jb_device_file *file,
                                  const struct jb_open_args *args, struct jb_asic_chip *chip)
{
    const char *standard = jb_device_get(file, "memory_standard")->text;
    const char *mode = jb_sim_setting(args, jb_asic_options, "memory");
    struct jb_asic_memory *memory = &chip->memory;
    if (strcmp(mode, "modelled") != 0 && strcmp(mode, "ideal") != 0) {
        return jb_fail(JB_E_INVAL, "asic_sim: --set memory=%s: modelled or ideal", mode);
    }
    const char *refresh = jb_sim_setting(args, jb_asic_options, "refresh");
    if (strcmp(refresh, "on") != 0 && strcmp(refresh, "off") != 0) {
        return jb_fail(JB_E_INVAL, "asic_sim: --set refresh=%s: on or off", refresh);
    }
    memory->is_ideal = strcmp(mode, "ideal") == 0;
    if (strcmp(standard, "sram") != 0) {
        return open_dram(file, standard, args, memory);
    }
    const double rate = jb_device_number(file, "memory_bytes_per_s");
    const double bytes = jb_device_number(file, "memory_bytes");
    if (jb_is_missing(rate) || jb_is_missing(bytes)) {
        return jb_fail(JB_E_INVAL,
                       "device '%s': memory_bytes_per_s, memory_bytes: needed where weights live "
                       "in SRAM",
                       chip->name);
    }
    memory->is_sram = true;
    memory->peak = memory->rate = rate;
    memory->bytes = bytes;
    memory->byte_j = 8 * chip->sram_bit_j;
    memory->time_class = JB_CLASS_MODELLED;
    return JB_OK;
}

enum jb_status jb_asic_chip_read(const struct jb_open_args *args, struct jb_asic_chip *ret_chip)
{
    struct jb_device_file *file = NULL;
    struct jb_asic_chip chip;
    enum jb_status status =
        jb_sim_open_file("asic_sim", "asic", "systolic-128", schema, jb_asic_options, args, &file);
    if (status != JB_OK) {
        return status;
    }
    read_numbers(file, &chip);
    status = check(&chip);
    if (status == JB_OK) {
        status = read_memory(file, args, &chip);
    }
    jb_device_close(file);
    if (status == JB_OK) {
        *ret_chip = chip;
    }
    return status;
}

enum jb_status jb_asic_chips_for(const struct jb_asic_chip *chip, double bytes,
                                 uint32_t *ret_n_chips)
{
    const double stage = chip->chips_a_stage * chip->memory.bytes;
    if (chip->n_chips == 0 && chip->memory.is_sram) {
        *ret_n_chips = (uint32_t)fmax(1, ceil(bytes / stage)) * chip->chips_a_stage;
        return JB_OK;
    }
    const uint32_t n_chips = chip->n_chips > 0 ? chip->n_chips : chip->chips_a_stage;
    if (bytes > n_chips * chip->memory.bytes) {
        return jb_fail(JB_E_NOMEM,
                       "asic_sim: model and KV cache need %.2f GiB, %u x %s have %.2f GiB; a "
                       "smaller format or --set chips=N",
                       bytes / JB_GIB, n_chips, chip->name, n_chips * chip->memory.bytes / JB_GIB);
    }
    *ret_n_chips = n_chips;
    return JB_OK;
}

double jb_asic_area_mm2(const struct jb_asic_chip *chip)
{
    const double n_macs = (double)chip->n_arrays * chip->array.rows * chip->array.cols;
    const double sram =
        chip->weight_buffer + chip->act_buffer + (chip->memory.is_sram ? chip->memory.bytes : 0);
    return n_macs * chip->mac_mm2 + 8 * sram * chip->sram_bit_mm2;
}
