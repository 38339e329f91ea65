/* SPDX-License-Identifier: MIT */
/* NVIDIA cards through the driver's management library, opened at run time. The few declarations
 * needed are made here from its reference manual, so that no CUDA toolkit is asked for. */
#include "platforms/meters/nvml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platforms/meters/internal.h"
#include "platforms/os/os.h"

/* Values of the library's enums. */
#define NVML_OK 0
#define NVML_NO_PERMISSION 4
#define NVML_GPU_IS_LOST 15
#define NVML_TEMPERATURE_CORE 0
#define NVML_CLOCK_SM 1
#define NVML_ARCH_AMPERE 7
#define NVML_FIELD_POWER_INSTANT 186
#define NVML_SCOPE_GPU 0
#define NVML_SCOPE_MODULE 1
#define NVML_VALUE_UINT 1
/* Throttle reasons that are no throttling: idle, clocks set by the user, display clocks. */
#define NVML_REASONS_HARMLESS 0x103ULL

#define MAX_CARDS 8
#define NAME_MAX_BYTES 96

struct nvml_field {
    unsigned int field, scope;
    long long timestamp_us, latency_us;
    int value_type, code;
    union {
        double f64;
        unsigned int u32;
        unsigned long long u64;
    } value;
};

struct nvml_api {
    int (*init)(void);
    int (*shutdown)(void);
    const char *(*error_string)(int code);
    int (*count)(unsigned int *ret_count);
    int (*by_index)(unsigned int index, void **ret_card);
    int (*by_uuid)(const char *uuid, void **ret_card);
    int (*by_pci)(const char *bus_id, void **ret_card);
    int (*index_of)(void *card, unsigned int *ret_index);
    int (*name)(void *card, char *ret_name, unsigned int size);
    int (*energy_mj)(void *card, unsigned long long *ret_mj);
    int (*power_mw)(void *card, unsigned int *ret_mw);
    int (*limit_mw)(void *card, unsigned int *ret_mw);
    int (*temperature_c)(void *card, int sensor, unsigned int *ret_c);
    int (*clock_mhz)(void *card, int clock, unsigned int *ret_mhz);
    int (*reasons)(void *card, unsigned long long *ret_reasons);
    int (*fields)(void *card, int n, struct nvml_field *fields);
    int (*architecture)(void *card, unsigned int *ret_architecture);
    int (*capability)(void *card, int *ret_major, int *ret_minor);
    int (*mig)(void *card, unsigned int *ret_current, unsigned int *ret_pending);
};

struct symbol {
    const char *name;
    bool is_required;
};

/* In the order of struct nvml_api. */
static const struct symbol symbols[] = {
    {"nvmlInit_v2", true},
    {"nvmlShutdown", true},
    {"nvmlErrorString", true},
    {"nvmlDeviceGetCount_v2", true},
    {"nvmlDeviceGetHandleByIndex_v2", true},
    {"nvmlDeviceGetHandleByUUID", true},
    {"nvmlDeviceGetHandleByPciBusId_v2", true},
    {"nvmlDeviceGetIndex", true},
    {"nvmlDeviceGetName", true},
    {"nvmlDeviceGetTotalEnergyConsumption", false},
    {"nvmlDeviceGetPowerUsage", false},
    {"nvmlDeviceGetEnforcedPowerLimit", false},
    {"nvmlDeviceGetTemperature", false},
    {"nvmlDeviceGetClockInfo", false},
    {"nvmlDeviceGetCurrentClocksThrottleReasons", false},
    {"nvmlDeviceGetFieldValues", false},
    {"nvmlDeviceGetArchitecture", false},
    {"nvmlDeviceGetCudaComputeCapability", false},
    {"nvmlDeviceGetMigMode", false},
};

#define N_SYMBOLS (sizeof symbols / sizeof symbols[0])
_Static_assert(sizeof(struct nvml_api) == N_SYMBOLS * sizeof(void *), "a symbol for each member");

enum source {
    ENERGY,
    POWER,
    POWER_INSTANT,
    TEMPERATURE,
    SM_CLOCK,
    THROTTLE,
    POWER_LIMIT,
    N_SOURCES
};

struct card {
    void *handle;
    unsigned int index;
    char name[NAME_MAX_BYTES];
    unsigned int field_scope; /* of field values: the card, or the module it is soldered on */
    struct jb_energy energy;
    uint32_t domain_of[N_SOURCES]; /* UINT32_MAX = the card does not offer it */
};

struct jb_meter_state {
    struct nvml_api api;
    void *library;
    bool is_started;
    uint32_t n_cards;
    struct card cards[MAX_CARDS];
    uint32_t n_domains;
    struct jb_domain domains[JB_METER_MAX_DOMAINS];
};

static const char *test_library;

void jb_nvml_set_library(const char *path)
{
    test_library = path;
}

static enum jb_status fail_nvml(const struct jb_meter_state *state, const char *what, int code)
{
    return jb_fail(code == NVML_NO_PERMISSION ? JB_E_PERM : JB_E_NODEV, "nvml: %s: %s", what,
                   state->api.error_string(code));
}

static enum jb_status load_library(struct jb_meter_state *state)
{
#if defined(_WIN32)
    static const char *const names[] = {"nvml.dll", NULL};
#else
    static const char *const names[] = {"libnvidia-ml.so.1", NULL};
#endif
    const char *const test_names[] = {test_library, NULL};
    state->library = jb_dl_open(test_library != NULL ? test_names : names);
    if (state->library == NULL) {
        char reason[JB_REASON_MAX];
        (void)snprintf(reason, sizeof reason, "%s", jb_reason());
        return jb_fail(JB_E_NODEV, "nvml: no NVIDIA driver library here: %.400s", reason);
    }
    void *pointers[N_SYMBOLS];
    for (size_t i = 0; i < N_SYMBOLS; i++) {
        pointers[i] = jb_dl_symbol(state->library, symbols[i].name);
        if (pointers[i] == NULL && symbols[i].is_required) {
            return jb_fail(JB_E_NOTSUP, "nvml: the driver's library has no %s; it is too old",
                           symbols[i].name);
        }
    }
    /* ISO C has no cast from object to function pointer. */
    memcpy(&state->api, pointers, sizeof state->api);
    const int code = state->api.init();
    if (code != NVML_OK) {
        return fail_nvml(state, "nvmlInit", code);
    }
    state->is_started = true;
    return JB_OK;
}

/* One value of one source; NaN if the card does not answer. Energy as raw millijoules. */
static double ask(const struct jb_meter_state *state, const struct card *card, enum source source,
                  int *ret_code)
{
    const struct nvml_api *api = &state->api;
    unsigned long long wide = 0;
    unsigned int word = 0;
    double scale = 1;
    int code = -1;
    if (source == ENERGY && api->energy_mj != NULL) {
        code = api->energy_mj(card->handle, &wide);
    } else if (source == POWER && api->power_mw != NULL) {
        code = api->power_mw(card->handle, &word);
        scale = 1e-3;
    } else if (source == POWER_INSTANT && api->fields != NULL) {
        struct nvml_field field = {.field = NVML_FIELD_POWER_INSTANT, .scope = card->field_scope};
        code = api->fields(card->handle, 1, &field);
        code = code == NVML_OK ? field.code : code;
        code = code == NVML_OK && field.value_type != NVML_VALUE_UINT ? -1 : code;
        word = field.value.u32;
        scale = 1e-3;
    } else if (source == TEMPERATURE && api->temperature_c != NULL) {
        code = api->temperature_c(card->handle, NVML_TEMPERATURE_CORE, &word);
    } else if (source == SM_CLOCK && api->clock_mhz != NULL) {
        code = api->clock_mhz(card->handle, NVML_CLOCK_SM, &word);
        scale = 1e6;
    } else if (source == THROTTLE && api->reasons != NULL) {
        code = api->reasons(card->handle, &wide);
        wide &= ~NVML_REASONS_HARMLESS;
    } else if (source == POWER_LIMIT && api->limit_mw != NULL) {
        code = api->limit_mw(card->handle, &word);
        scale = 1e-3;
    }
    *ret_code = code;
    return code == NVML_OK ? ((double)wide + (double)word) * scale : jb_missing();
}

/* GetPowerUsage is a mean over 1 s on Ampere and later except GA100 (compute capability 8.0), an
 * instant value before (NVML reference, nvmlDeviceGetPowerUsage). */
static double power_average_s(const struct nvml_api *api, void *handle)
{
    unsigned int architecture = 0;
    int major = 0;
    int minor = 0;
    if (api->architecture == NULL || api->capability == NULL ||
        api->architecture(handle, &architecture) != NVML_OK ||
        api->capability(handle, &major, &minor) != NVML_OK) {
        return jb_missing();
    }
    const bool is_ga100 = major == 8 && minor == 0;
    return architecture >= NVML_ARCH_AMPERE && !is_ga100 ? 1 : 0;
}

struct source_info {
    const char *suffix;
    enum jb_quantity quantity;
    const char *unit;
};

static const struct source_info sources[N_SOURCES] = {
    [ENERGY] = {"energy", JB_QUANTITY_ENERGY, "J"},
    [POWER] = {"power", JB_QUANTITY_POWER, "W"},
    [POWER_INSTANT] = {"power-instant", JB_QUANTITY_POWER, "W"},
    [TEMPERATURE] = {"temperature", JB_QUANTITY_STATE, "C"},
    [SM_CLOCK] = {"sm-clock", JB_QUANTITY_STATE, "Hz"},
    [THROTTLE] = {"throttle", JB_QUANTITY_STATE, "1"},
    [POWER_LIMIT] = {"power-limit", JB_QUANTITY_POWER, "W"},
};

/* Energy is one total, instant power the other where there is one, else the averaged power. */
static void add_domains(struct jb_meter_state *state, struct card *card, bool is_module)
{
    for (int s = 0; s < N_SOURCES; s++) {
        int code = 0;
        const double value = ask(state, card, (enum source)s, &code);
        card->domain_of[s] = UINT32_MAX;
        if (code != NVML_OK) {
            continue;
        }
        const uint32_t d = state->n_domains++;
        card->domain_of[s] = d;
        struct jb_domain *domain = &state->domains[d];
        *domain = jb_domain_make(sources[s].quantity, is_module ? JB_SCOPE_MODULE : JB_SCOPE_BOARD,
                                 sources[s].unit);
        jb_domain_name(domain, "gpu-%u/%s", card->index, sources[s].suffix);
        if (s == ENERGY) {
            /* About 100 ms on Volta and later (seen on an H100: 100 ms). */
            domain->update_period_s = 0.1;
            domain->average_s = 0;
            domain->is_in_total = true;
            card->energy = (struct jb_energy){.joules_per_count = 1e-3, .last_s = jb_clock_s()};
            (void)jb_energy_feed(&card->energy, (uint64_t)value, card->energy.last_s);
        } else if (s == POWER) {
            domain->update_period_s = 0.1;
            domain->average_s = power_average_s(&state->api, card->handle);
            domain->is_in_total = true;
        } else if (s == POWER_INSTANT) {
            domain->update_period_s = 0.1;
            domain->average_s = 0;
            domain->is_in_total = true;
            if (card->domain_of[POWER] != UINT32_MAX) {
                state->domains[card->domain_of[POWER]].is_in_total = false;
            }
        }
    }
}

static enum jb_status add_card(struct jb_meter_state *state, const char *word, void *handle)
{
    const struct nvml_api *api = &state->api;
    unsigned int mig = 0;
    unsigned int pending = 0;
    if (api->mig != NULL && api->mig(handle, &mig, &pending) == NVML_OK && mig != 0) {
        return jb_fail(JB_E_NOTSUP,
                       "nvml: card %s is split into MIG instances, whose power cannot be told "
                       "apart; turn MIG off or take another card",
                       word);
    }
    if (state->n_cards == MAX_CARDS) {
        return jb_fail(JB_E_NOTSUP, "nvml: more than %d cards", MAX_CARDS);
    }
    struct card *card = &state->cards[state->n_cards];
    *card = (struct card){.handle = handle};
    int code = api->index_of(handle, &card->index);
    if (code == NVML_OK) {
        code = api->name(handle, card->name, sizeof card->name);
    }
    if (code != NVML_OK) {
        return fail_nvml(state, word, code);
    }
    /* One supply feeds the CPU and GPU of these modules. */
    const bool is_module = strstr(card->name, "GH200") != NULL;
    card->field_scope = is_module ? NVML_SCOPE_MODULE : NVML_SCOPE_GPU;
    for (uint32_t i = 0; i < state->n_cards; i++) {
        if (state->cards[i].index == card->index) {
            return jb_fail(JB_E_INVAL, "nvml: card %u is named twice", card->index);
        }
    }
    state->n_cards++;
    const uint32_t before = state->n_domains;
    add_domains(state, card, is_module);
    return state->n_domains > before
               ? JB_OK
               : jb_fail(JB_E_NOTSUP, "nvml: card %s (%s) reports nothing", word, card->name);
}

/* A card by index, UUID ("GPU-...") or PCI address ("0000:65:00.0"). */
static enum jb_status find_card(struct jb_meter_state *state, const char *word)
{
    void *handle = NULL;
    int code = 0;
    if (strncmp(word, "GPU-", 4) == 0) {
        code = state->api.by_uuid(word, &handle);
    } else if (strchr(word, ':') != NULL) {
        code = state->api.by_pci(word, &handle);
    } else {
        char *end = NULL;
        const unsigned long index = strtoul(word, &end, 10);
        if (word[0] < '0' || word[0] > '9' || *end != '\0' || index > 1000) {
            return jb_fail(JB_E_INVAL,
                           "nvml: '%s' is no card: give an index, GPU-uuid or PCI address", word);
        }
        code = state->api.by_index((unsigned int)index, &handle);
    }
    if (code != NVML_OK) {
        unsigned int count = 0;
        (void)state->api.count(&count);
        return jb_fail(code == NVML_NO_PERMISSION ? JB_E_PERM : JB_E_NODEV,
                       "nvml: card %s of %u: %s", word, count, state->api.error_string(code));
    }
    return add_card(state, word, handle);
}

/* The cards in use: those named after --meter nvml:, else by --device ("cuda:1", "gpu-1", "1" or a
 * list of them), else what CUDA_VISIBLE_DEVICES lets through first, else card 0. */
static const char *card_list(const struct jb_meter_args *args)
{
    static const char *const prefixes[] = {"cuda:", "gpu:", "gpu-"};
    if (args->arg != NULL && args->arg[0] != '\0') {
        return args->arg;
    }
    const char *device = args->device == NULL ? "" : args->device;
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (strncmp(device, prefixes[i], strlen(prefixes[i])) == 0) {
            return device + strlen(prefixes[i]);
        }
    }
    if ((device[0] >= '0' && device[0] <= '9') || strncmp(device, "GPU-", 4) == 0) {
        return device;
    }
    return NULL;
}

static enum jb_status add_cards(struct jb_meter_state *state, const struct jb_meter_args *args)
{
    char list[256];
    const char *chosen = card_list(args);
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    if (chosen != NULL) {
        (void)snprintf(list, sizeof list, "%s", chosen);
    } else {
        (void)snprintf(list, sizeof list, "%s",
                       visible != NULL && visible[0] != '\0' ? visible : "0");
        list[strcspn(list, ",")] = '\0';
    }
    enum jb_status status = JB_OK;
    for (char *word = list; status == JB_OK && word != NULL;) {
        char *end = strpbrk(word, ",+");
        if (end != NULL) {
            *end = '\0';
        }
        status = find_card(state, word);
        word = end == NULL ? NULL : end + 1;
    }
    return status;
}

static void nvml_close(struct jb_meter_state *state)
{
    if (state->is_started) {
        (void)state->api.shutdown();
    }
    if (state->library != NULL) {
        jb_dl_close(state->library);
    }
    *state = (struct jb_meter_state){0};
}

static enum jb_status nvml_open(struct jb_meter_state *state, const struct jb_meter_args *args)
{
    enum jb_status status = load_library(state);
    if (state->is_started) {
        status = add_cards(state, args);
    }
    if (status != JB_OK) {
        nvml_close(state);
    }
    return status;
}

static enum jb_status nvml_probe(const struct jb_meter_args *args, struct jb_meter_probe *ret_probe)
{
    *ret_probe = (struct jb_meter_probe){.what = ""};
    struct jb_meter_state *state = calloc(1, sizeof *state);
    if (state == NULL) {
        return jb_fail(JB_E_NOMEM, "nvml: no memory");
    }
    const enum jb_status status = nvml_open(state, args);
    if (status == JB_E_PERM) {
        (void)snprintf(ret_probe->unlock, sizeof ret_probe->unlock,
                       "sudo chmod a+rw /dev/nvidiactl /dev/nvidia[0-9]*");
    }
    if (status == JB_OK) {
        const struct card *card = &state->cards[0];
        const bool has_energy = card->domain_of[ENERGY] != UINT32_MAX;
        (void)snprintf(ret_probe->what, sizeof ret_probe->what, "gpu-%u %.90s, %s%s", card->index,
                       card->name, has_energy ? "energy counter" : "polled power",
                       state->n_cards > 1 ? ", and more cards" : "");
        nvml_close(state);
    }
    free(state);
    return status;
}

static uint32_t nvml_domains(const struct jb_meter_state *state,
                             const struct jb_domain **ret_domains)
{
    *ret_domains = state->domains;
    return state->n_domains;
}

static enum jb_status read_sources(struct jb_meter_state *state, bool with_energy,
                                   struct jb_reading *ret_reading)
{
    double values[JB_METER_MAX_DOMAINS] = {0};
    uint32_t n_read = 0;
    int code = NVML_OK;
    int last_error = NVML_OK;
    const double now_s = jb_clock_s();
    for (uint32_t c = 0; c < state->n_cards; c++) {
        struct card *card = &state->cards[c];
        for (int s = 0; s < N_SOURCES; s++) {
            const uint32_t d = card->domain_of[s];
            if (d == UINT32_MAX) {
                continue;
            }
            if (s == ENERGY && !with_energy) {
                values[d] = jb_missing();
                continue;
            }
            values[d] = ask(state, card, (enum source)s, &code);
            if (code != NVML_OK) {
                last_error = code;
                continue;
            }
            n_read++;
            if (s == ENERGY) {
                values[d] = jb_energy_feed(&card->energy, (uint64_t)values[d], now_s);
            }
        }
    }
    if ((n_read == 0 && last_error != NVML_OK) || last_error == NVML_GPU_IS_LOST) {
        return jb_fail(JB_E_DEVICE, "nvml: a card was lost: %s",
                       state->api.error_string(last_error));
    }
    ret_reading->time_s = now_s;
    memcpy(ret_reading->values, values, state->n_domains * sizeof values[0]);
    return JB_OK;
}

static enum jb_status nvml_read(struct jb_meter_state *state, struct jb_reading *ret_reading)
{
    return read_sources(state, true, ret_reading);
}

/* The energy counter takes about 4 ms of a core to read (seen on an H100), and its 64 bits of
 * millijoules do not wrap. */
static enum jb_status nvml_sample(struct jb_meter_state *state, struct jb_reading *ret_reading)
{
    return read_sources(state, false, ret_reading);
}

const struct jb_meter jb_meter_nvml = {
    .name = "nvml",
    .summary = "NVIDIA cards: energy counter, power, temperature, clocks; nvml:0,1 picks cards",
    .is_automatic = true,
    .state_size = sizeof(struct jb_meter_state),
    .probe = nvml_probe,
    .open = nvml_open,
    .domains = nvml_domains,
    .read = nvml_read,
    .sample = nvml_sample,
    .close = nvml_close,
};
