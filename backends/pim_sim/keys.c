/* SPDX-License-Identifier: MIT */
/* What a device file of kind `pim` holds, and a machine made from it. */
#include "backends/pim_sim/pim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Macros that write initialisers: their arguments cannot be put in parentheses.
 * NOLINTBEGIN(bugprone-macro-parentheses) */
#define NUMBERS "f32 f16 bf16 int8"
#define HOST_KEYS(name, what)                                                                      \
    JB_KEY_NUMBER("host_" name "_passes", 0, 100, false,                                           \
                  "Times that the values of " what " cross the feed, 2 bytes each."),              \
        JB_KEY_VALUE("host_" name "_fixed", JB_DIM_TIME, 1, false, "Time of one " what "."),       \
        JB_KEY_VALUE("host_" name "_rate", JB_DIM_OP_RATE, 1e18, true,                             \
                     "Values a second of " what ".")

/* NOLINTEND(bugprone-macro-parentheses) */

const struct jb_device_key pim_schema[] = {
    JB_DEVICE_COMMON_KEYS,
    JB_MEM_GEOMETRY_KEYS,
    JB_MEM_TIMING_KEYS,
    JB_KEY_WORD("flow", "global_buffer register_file dpu", true,
                "How units are driven; see FLOW.md."),
    JB_KEY_WORD("storage", NUMBERS, true, "Number format of weights and KV in the memory."),
    JB_KEY_WORD("accepts", NULL, true,
                "Weight formats, joined by '+', that are held in `storage`."),
    JB_KEY_WORD("compute", NUMBERS, true, "Number format that units multiply."),
    JB_KEY_WORD("accumulator", "f32 f16 bf16", true, "Number format of sums while a unit adds."),
    JB_KEY_WORD("readout", "f32 f16 bf16", true, "Number format that sums are read out in."),
    JB_KEY_WORD("attention", "pim host", true, "Where queries meet the KV cache."),
    JB_KEY_WORD("prefill", "pim host", true,
                "Where more than one token of a sequence is computed."),
    JB_KEY_NUMBER("pools", 1, 4096, true, "Groups of `channels`, joined by links."),
    JB_KEY_NUMBER("parts", 1, 65536, true, "Stacks, cards or modules, all together."),
    JB_KEY_NUMBER("units", 1, 4096, true, "Processing units of a channel."),
    JB_KEY_NUMBER("lanes", 1, 256, true, "Values that a unit multiplies at a time."),
    JB_KEY_NUMBER("accumulators", 1, 4096, false, "global_buffer: sums that a unit holds."),
    JB_KEY_NUMBER("grf", 1, 256, false, "register_file: registers of each of GRF_A and GRF_B."),
    JB_MEM_KEY_T("t_mac", true, "MAC to MAC."),
    JB_MEM_KEY_T("t_mode", false, "Change of mode to any command."),
    JB_MEM_KEY_T("t_rcd_mac", false, "global_buffer: activate of all banks to MAC."),
    JB_MEM_KEY_T("t_reg_read", false, "global_buffer: register read to first data."),
    JB_MEM_KEY_T("t_reg_write", false, "global_buffer: register write to first data."),
    JB_MEM_KEY_T("t_reg_rtw", false, "global_buffer: register read to register write."),
    JB_KEY_VALUE("feed_bytes_per_s", JB_DIM_BYTE_RATE, 1e16, true,
                 "From host or device buffer to the channels of a pool and back."),
    JB_KEY_VALUE("link_bytes_per_s", JB_DIM_BYTE_RATE, 1e16, false, "From pool to pool, payload."),
    JB_KEY_VALUE("link_latency", JB_DIM_TIME, 1, false, "From pool to pool, each transfer."),
    JB_KEY_VALUE("sample_time", JB_DIM_TIME, 1, false, "Choosing a token at the host."),
    HOST_KEYS("norm", "a norm"),
    HOST_KEYS("rope", "rotary embedding"),
    HOST_KEYS("softmax", "a softmax over all heads"),
    HOST_KEYS("act", "an activation function"),
    HOST_KEYS("add", "a residual sum or look-up"),
    JB_KEY_VALUE("host_reduce_rate", JB_DIM_OP_RATE, 1e18, false,
                 "Lanes and partial sums that the host adds a second."),
    JB_KEY_VALUE("host_op_per_s", JB_DIM_OP_RATE, 1e18, false,
                 "Host arithmetic where prefill or attention is the host's; multiply + add = 2."),
    JB_KEY_VALUE("energy_activate", JB_DIM_ENERGY, 1e-3, false,
                 "Activate and precharge of a bank."),
    JB_KEY_VALUE("energy_bank_column", JB_DIM_ENERGY, 1e-3, false,
                 "A column of one bank, between cells and unit."),
    JB_KEY_VALUE("energy_mac_column", JB_DIM_ENERGY, 1e-3, false, "Arithmetic on one column."),
    JB_KEY_VALUE("energy_io", JB_DIM_ENERGY_PER_BIT, 1e-6, false, "A bit over a channel's pins."),
    JB_KEY_VALUE("energy_command", JB_DIM_ENERGY, 1e-3, false,
                 "A command: controller and its bus."),
    JB_KEY_VALUE("energy_refresh", JB_DIM_ENERGY, 1e-3, false, "All-bank refresh of a channel."),
    JB_KEY_VALUE("standby_active", JB_DIM_POWER, 1e3, false, "A channel with rows open."),
    JB_KEY_VALUE("standby_precharged", JB_DIM_POWER, 1e3, false, "A channel with no row open."),
    JB_KEY_VALUE("device_static", JB_DIM_POWER, 1e6, false, "Everything else that is always on."),
    JB_KEY_VALUE("host_power", JB_DIM_POWER, 1e6, false, "More while the host computes."),
    JB_KEY_VALUE("feed_energy", JB_DIM_ENERGY_PER_BIT, 1e-6, false, "A bit over the feed."),
    JB_KEY_VALUE("link_energy", JB_DIM_ENERGY_PER_BIT, 1e-6, false, "A bit over a link."),
    JB_KEY_VALUE("dpu_mac_instructions", JB_DIM_NONE, 1e6, false, "dpu: instructions of a MAC."),
    JB_KEY_VALUE("dpu_block_instructions", JB_DIM_NONE, 1e6, false,
                 "dpu: instructions of scaling a block of 32."),
    JB_KEY_VALUE("dpu_reentry", JB_DIM_NONE, 1e3, false, "dpu: cycles between instructions."),
    JB_KEY_VALUE("dpu_tasklets", JB_DIM_NONE, 1e3, false, "dpu: threads in use."),
    JB_KEY_VALUE("dpu_dma_bytes", JB_DIM_BYTES, 1e6, false, "dpu: bytes of a transfer to WRAM."),
    JB_KEY_VALUE("dpu_dma_setup", JB_DIM_CYCLES, 1e6, false, "dpu: cycles to start a transfer."),
    JB_KEY_VALUE("dpu_dma_cycles_per_byte", JB_DIM_NONE, 1e3, false, "dpu: cycles a byte."),
    JB_KEY_VALUE("dpu_launch", JB_DIM_TIME, 1, false, "dpu: starting a kernel and waiting for it."),
    JB_KEY_VALUE("dpu_broadcast_bytes_per_s", JB_DIM_BYTE_RATE, 1e15, false,
                 "dpu: the same data to every unit; bytes written a second, all copies."),
    JB_KEY_VALUE("dpu_readout_bytes_per_s", JB_DIM_BYTE_RATE, 1e15, false,
                 "dpu: results, all units."),
    {.key = NULL},
};

const struct jb_option pim_options[] = {
    {"mapping", "", "auto", "n: channels share outputs, k: they share inputs, auto: the faster."},
    {"refresh", "", "on", "on or off."},
    {"memory", "", "modelled", "modelled, or ideal: MACs alone take time."},
    {"stages", "", "1", "Pipeline stages that the pools form; the rest is tensor parallel."},
    {.key = NULL},
};

static const char *const number_names[] = {"f32", "f16", "bf16", "int8"};

const char *pim_number_name(enum pim_number number)
{
    return number_names[number];
}

double pim_number_bytes(enum pim_number number)
{
    return number == PIM_F32 ? 4.0 : number == PIM_INT8 ? 34.0 / 32.0 : 2.0;
}

static int word_at(const struct jb_device_file *file, const char *key, const char *const *words,
                   int n)
{
    const struct jb_device_value *value = jb_device_get(file, key);
    for (int i = 0; value != NULL && value->text != NULL && i < n; i++) {
        if (strcmp(value->text, words[i]) == 0) {
            return i;
        }
    }
    return 0;
}

static double number_or(const struct jb_device_file *file, const char *key, double otherwise)
{
    const double value = jb_device_number(file, key);
    return jb_is_missing(value) ? otherwise : value;
}

static uint32_t count_of(const struct jb_device_file *file, const char *key)
{
    const double value = number_or(file, key, 1);
    return value >= 1 && value < 1e9 ? (uint32_t)value : 1;
}

static uint32_t cycles_of(const struct jb_device_file *file, const char *key, double clock_hz)
{
    uint32_t cycles = 0;
    (void)jb_device_cycles(file, key, clock_hz, &cycles);
    return cycles;
}

static enum jb_status bad_option(const char *key, const char *value, const char *allowed)
{
    return jb_fail(JB_E_INVAL, "pim_sim: --set %s=%s: it is one of %s", key, value, allowed);
}

/* One of two words. */
static enum jb_status read_switch(const struct jb_open_args *args, const char *key, const char *yes,
                                  const char *no, bool *ret)
{
    const char *value = jb_sim_setting(args, pim_options, key);
    if (strcmp(value, yes) != 0 && strcmp(value, no) != 0) {
        char both[64];
        (void)snprintf(both, sizeof both, "%s %s", yes, no);
        return bad_option(key, value, both);
    }
    *ret = strcmp(value, yes) == 0;
    return JB_OK;
}

static enum jb_status read_options(const struct jb_open_args *args, struct pim_machine *machine)
{
    bool is_modelled = true;
    enum jb_status status = read_switch(args, "refresh", "on", "off", &machine->has_refresh);
    if (status == JB_OK) {
        status = read_switch(args, "memory", "modelled", "ideal", &is_modelled);
    }
    if (status != JB_OK) {
        return status;
    }
    machine->is_ideal = !is_modelled;
    const char *mapping = jb_sim_setting(args, pim_options, "mapping");
    if (strcmp(mapping, "auto") == 0 || strcmp(mapping, "n") == 0) {
        machine->force_split = mapping[0] == 'n' ? 1 : 0;
    } else if (strcmp(mapping, "k") == 0) {
        machine->force_split = machine->n_channels;
    } else {
        return bad_option("mapping", mapping, "auto n k");
    }
    const char *stages = jb_sim_setting(args, pim_options, "stages");
    char *end = NULL;
    const long n = strtol(stages, &end, 10);
    if (*stages == '\0' || *end != '\0' || n < 1 || n > machine->n_pools ||
        machine->n_pools % n != 0) {
        return jb_fail(JB_E_INVAL, "pim_sim: --set stages=%s: it must divide the device's %u pools",
                       stages, machine->n_pools);
    }
    machine->n_stages = (uint32_t)n;
    return JB_OK;
}

static void read_host(const struct jb_device_file *file, struct pim_machine *machine)
{
    static const char *const names[PIM_N_HOST] = {"norm", "rope", "softmax", "act", "add"};
    for (int i = 0; i < PIM_N_HOST; i++) {
        char key[64];
        struct pim_host_rate *rate = &machine->host[i];
        (void)snprintf(key, sizeof key, "host_%s_passes", names[i]);
        rate->passes = number_or(file, key, 0);
        (void)snprintf(key, sizeof key, "host_%s_fixed", names[i]);
        rate->fixed_s = number_or(file, key, 0);
        (void)snprintf(key, sizeof key, "host_%s_rate", names[i]);
        rate->values_per_s = number_or(file, key, INFINITY);
    }
    machine->feed_bytes_per_s = jb_device_number(file, "feed_bytes_per_s");
    machine->link_bytes_per_s = number_or(file, "link_bytes_per_s", INFINITY);
    machine->link_s = number_or(file, "link_latency", 0);
    machine->sample_s = number_or(file, "sample_time", 0);
    machine->reduce_values_per_s = number_or(file, "host_reduce_rate", INFINITY);
    machine->host_op_per_s = number_or(file, "host_op_per_s", INFINITY);
}

static void read_energy(const struct jb_device_file *file, struct pim_energy *energy)
{
    const struct {
        const char *key;
        double *value;
    } values[] = {
        {"energy_activate", &energy->activate_j},
        {"energy_bank_column", &energy->bank_column_j},
        {"energy_mac_column", &energy->mac_column_j},
        {"energy_io", &energy->io_bit_j},
        {"energy_command", &energy->command_j},
        {"energy_refresh", &energy->refresh_j},
        {"standby_active", &energy->active_w},
        {"standby_precharged", &energy->precharged_w},
        {"device_static", &energy->device_w},
        {"host_power", &energy->host_w},
        {"feed_energy", &energy->feed_bit_j},
        {"link_energy", &energy->link_bit_j},
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        *values[i].value = jb_device_number(file, values[i].key); /* NaN = not modelled */
    }
}

static void read_dpu(const struct jb_device_file *file, struct pim_machine *machine)
{
    machine->dpu.mac_instructions = number_or(file, "dpu_mac_instructions", 0);
    machine->dpu.block_instructions = number_or(file, "dpu_block_instructions", 0);
    machine->dpu.reentry = number_or(file, "dpu_reentry", 1);
    machine->dpu.tasklets = number_or(file, "dpu_tasklets", 1);
    machine->dpu.dma_bytes = number_or(file, "dpu_dma_bytes", 1);
    machine->dpu.dma_setup = number_or(file, "dpu_dma_setup", 0);
    machine->dpu.dma_per_byte = number_or(file, "dpu_dma_cycles_per_byte", 0);
    machine->dpu.launch_s = number_or(file, "dpu_launch", 0);
    machine->dpu.broadcast_bytes_per_s = number_or(file, "dpu_broadcast_bytes_per_s", INFINITY);
    machine->dpu.readout_bytes_per_s = number_or(file, "dpu_readout_bytes_per_s", INFINITY);
}

static void read_timings(const struct jb_device_file *file, struct pim_machine *machine)
{
    struct jb_mem_spec *spec = &machine->spec;
    const double hz = spec->clock_hz;
    spec->t[PIM_T_MAC] = cycles_of(file, "t_mac", hz);
    spec->t[PIM_T_MODE] = cycles_of(file, "t_mode", hz);
    spec->t[PIM_T_RCD_MAC] = cycles_of(file, "t_rcd_mac", hz);
    spec->t[PIM_T_REG_READ] = cycles_of(file, "t_reg_read", hz);
    spec->t[PIM_T_REG_WRITE] = cycles_of(file, "t_reg_write", hz);
    spec->t[PIM_T_REG_RTW] = cycles_of(file, "t_reg_rtw", hz);
    spec->t[PIM_T_ONE] = 1;
}

/* @param rule follows "KEY: " */
static enum jb_status refuse(const struct jb_device_file *file, const char *key, const char *rule)
{
    const struct jb_device_value *value = jb_device_get(file, key);
    return jb_fail(JB_E_INVAL, "device '%s', line %u: %s: %s", jb_device_name(file),
                   value != NULL ? value->line : 0, key, rule);
}

/* The formats that may be held in `storage`, and no wider or narrower one. */
static enum jb_status read_accepts(const struct jb_device_file *file, struct pim_machine *machine)
{
    const struct jb_device_value *value = jb_device_get(file, "accepts");
    const char *rest = value != NULL ? value->text : "";
    while (*rest != '\0') {
        char word[16];
        enum jb_dtype dtype;
        const size_t n = strcspn(rest, "+");
        (void)snprintf(word, sizeof word, "%.*s", n < sizeof word ? (int)n : 0, rest);
        if (!jb_format_by_name(word, &dtype)) {
            return refuse(file, "accepts", "weight formats, joined by '+'");
        }
        machine->is_dtype_ok[dtype] = true;
        rest += n + (rest[n] == '+');
    }
    return JB_OK;
}

static enum jb_status check_units(const struct jb_device_file *file,
                                  const struct pim_machine *machine)
{
    const struct jb_mem_spec *spec = &machine->spec;
    const uint32_t n_banks = spec->n_groups * spec->n_banks;
    if (n_banks > 64 || n_banks < 2) {
        return refuse(file, "banks", "2 to 64 banks a channel, all groups together");
    }
    if (machine->flow == PIM_REGISTER_FILE && machine->n_units * 2 != n_banks) {
        return refuse(file, "units", "a register_file flow has one for 2 banks");
    }
    if (machine->flow == PIM_REGISTER_FILE && (spec->n_groups < 3 || spec->n_banks < 2)) {
        return refuse(file, "bank_groups", "mode changes reach two banks of groups 0 and 2");
    }
    if (machine->flow == PIM_REGISTER_FILE && spec->n_rows < 2) {
        return refuse(file, "rows", "a register_file flow needs rows for its registers");
    }
    if (machine->flow == PIM_GLOBAL_BUFFER && machine->n_units != n_banks) {
        return refuse(file, "units", "a global_buffer flow has one a bank");
    }
    return JB_OK;
}

static enum jb_status check(const struct jb_device_file *file, const struct pim_machine *machine)
{
    const struct jb_mem_spec *spec = &machine->spec;
    if (spec->t[JB_MEM_T_REFI] < 1) {
        return refuse(file, "t_refi", "must be at least a cycle; --set refresh=off turns it off");
    }
    if (machine->flow == PIM_DPU) {
        return machine->compute == PIM_INT8 ? JB_OK
                                            : refuse(file, "compute", "a dpu flow computes int8");
    }
    if (machine->compute == PIM_INT8 || machine->storage == PIM_INT8) {
        return refuse(file, "compute", "int8 is for the dpu flow");
    }
    if (spec->n_pseudo != 1 || spec->n_ranks != 1) {
        return refuse(file, "pseudo_channels",
                      "must be 1, and ranks too: channels are counted instead");
    }
    if ((double)machine->n_lanes * pim_number_bytes(machine->storage) != spec->burst_bytes) {
        return refuse(file, "lanes", "times the bytes of `storage` must be `burst_bytes`");
    }
    if (spec->t[PIM_T_MAC] < 1) {
        return refuse(file, "t_mac", "must be at least a cycle");
    }
    return check_units(file, machine);
}

static void read_words(const struct jb_device_file *file, struct pim_machine *machine)
{
    static const char *const flows[] = {"global_buffer", "register_file", "dpu"};
    static const char *const places[] = {"pim", "host"};
    machine->flow = (enum pim_flow)word_at(file, "flow", flows, 3);
    machine->storage = (enum pim_number)word_at(file, "storage", number_names, 4);
    machine->compute = (enum pim_number)word_at(file, "compute", number_names, 4);
    machine->accumulator = (enum pim_number)word_at(file, "accumulator", number_names, 4);
    machine->readout = (enum pim_number)word_at(file, "readout", number_names, 4);
    machine->attends = word_at(file, "attention", places, 2) == 0;
    machine->prefills_on_host = word_at(file, "prefill", places, 2) == 1;
}

enum jb_status pim_machine_read(const struct jb_device_file *file, const struct jb_open_args *args,
                                struct pim_machine *ret_machine)
{
    struct pim_machine machine = {.n_channels = count_of(file, "channels"),
                                  .n_pools = count_of(file, "pools"),
                                  .n_parts = count_of(file, "parts"),
                                  .n_units = count_of(file, "units"),
                                  .n_lanes = count_of(file, "lanes"),
                                  .n_accumulators = count_of(file, "accumulators"),
                                  .n_grf = count_of(file, "grf")};
    enum jb_status status = jb_mem_spec_read(file, &machine.spec);
    if (status != JB_OK) {
        return status;
    }
    read_words(file, &machine);
    read_timings(file, &machine);
    read_host(file, &machine);
    read_energy(file, &machine.energy);
    read_dpu(file, &machine);
    machine.pin_bytes_per_s = (double)machine.n_channels * machine.n_pools * machine.spec.n_pseudo *
                              machine.spec.burst_bytes * machine.spec.clock_hz /
                              machine.spec.t[JB_MEM_T_BL];
    status = read_accepts(file, &machine);
    if (status == JB_OK) {
        status = check(file, &machine);
    }
    if (status == JB_OK && machine.flow != PIM_DPU) {
        pim_commands_add(machine.flow, &machine.spec);
        status = jb_mem_spec_check(&machine.spec);
    }
    if (status == JB_OK) {
        status = read_options(args, &machine);
    }
    if (status == JB_OK) {
        *ret_machine = machine;
    }
    return status;
}

uint64_t pim_machine_bytes(const struct pim_machine *machine)
{
    return (uint64_t)machine->n_pools * machine->n_channels * jb_mem_bytes(&machine->spec);
}
