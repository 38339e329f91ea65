/* SPDX-License-Identifier: MIT */
#include "tests/stubs/fake_nvml.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define INVALID 2
#define NOT_FOUND 6

struct field {
    unsigned int field, scope;
    long long timestamp, latency;
    int type, code;
    unsigned long long value;
};

EXPORT int nvmlInit_v2(void);
EXPORT int nvmlShutdown(void);
EXPORT const char *nvmlErrorString(int code);
EXPORT int nvmlDeviceGetCount_v2(unsigned int *n);
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **card);
EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, void **card);
EXPORT int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, void **card);
EXPORT int nvmlDeviceGetIndex(void *card, unsigned int *index);
EXPORT int nvmlDeviceGetName(void *card, char *name, unsigned int size);
EXPORT int nvmlDeviceGetTotalEnergyConsumption(void *card, unsigned long long *mj);
EXPORT int nvmlDeviceGetPowerUsage(void *card, unsigned int *mw);
EXPORT int nvmlDeviceGetEnforcedPowerLimit(void *card, unsigned int *mw);
EXPORT int nvmlDeviceGetTemperature(void *card, int sensor, unsigned int *c);
EXPORT int nvmlDeviceGetClockInfo(void *card, int clock, unsigned int *mhz);
EXPORT int nvmlDeviceGetCurrentClocksThrottleReasons(void *card, unsigned long long *reasons);
EXPORT int nvmlDeviceGetFieldValues(void *card, int n, struct field *fields);
EXPORT int nvmlDeviceGetArchitecture(void *card, unsigned int *architecture);
EXPORT int nvmlDeviceGetCudaComputeCapability(void *card, int *major, int *minor);
EXPORT int nvmlDeviceGetMigMode(void *card, unsigned int *current, unsigned int *pending);
EXPORT struct fake_nvml *fake_nvml_state(void);

static struct fake_nvml fake = {
    .cards =
        {
            {"NVIDIA H100 80GB HBM3", "GPU-aaa", "0000:01:00.0", 9, 9, 0, 0, 5000, 300000, 310000,
             700000, 55, 1980, 1, 0, 0, 0},
            {"NVIDIA A100-SXM4-40GB", "GPU-bbb", "0000:02:00.0", 7, 8, 0, 0, 9000, 200000, 0,
             400000, 45, 1410, 4, 0, 3, 0},
            {"Tesla P100", "GPU-ccc", "0000:03:00.0", 4, 6, 0, 0, 0, 100000, 0, 250000, 35, 1300, 0,
             3, 3, 0},
        },
};

struct fake_nvml *fake_nvml_state(void)
{
    return &fake;
}

int nvmlInit_v2(void)
{
    fake.n_inits++;
    return fake.init_code;
}

int nvmlShutdown(void)
{
    fake.n_shutdowns++;
    return 0;
}

const char *nvmlErrorString(int code)
{
    return code == 3 ? "Not Supported" : code == 4 ? "Insufficient Permissions" : "Some Error";
}

int nvmlDeviceGetCount_v2(unsigned int *n)
{
    *n = FAKE_NVML_CARDS;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **card)
{
    if (index >= FAKE_NVML_CARDS) {
        return INVALID;
    }
    *card = &fake.cards[index];
    return 0;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **card)
{
    for (unsigned int i = 0; i < FAKE_NVML_CARDS; i++) {
        if (strcmp(fake.cards[i].uuid, uuid) == 0) {
            *card = &fake.cards[i];
            return 0;
        }
    }
    return NOT_FOUND;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, void **card)
{
    for (unsigned int i = 0; i < FAKE_NVML_CARDS; i++) {
        if (strcmp(fake.cards[i].pci, pci) == 0) {
            *card = &fake.cards[i];
            return 0;
        }
    }
    return NOT_FOUND;
}

int nvmlDeviceGetIndex(void *card, unsigned int *index)
{
    *index = (unsigned int)((struct fake_nvml_card *)card - fake.cards);
    return 0;
}

int nvmlDeviceGetName(void *card, char *name, unsigned int size)
{
    (void)snprintf(name, size, "%s", ((struct fake_nvml_card *)card)->name);
    return 0;
}

int nvmlDeviceGetTotalEnergyConsumption(void *card, unsigned long long *mj)
{
    const struct fake_nvml_card *c = card;
    fake.n_energy_reads++;
    *mj = c->energy_mj;
    return c->all_code != 0 ? c->all_code : c->energy_code;
}

int nvmlDeviceGetPowerUsage(void *card, unsigned int *mw)
{
    const struct fake_nvml_card *c = card;
    *mw = c->power_mw;
    return c->all_code;
}

int nvmlDeviceGetEnforcedPowerLimit(void *card, unsigned int *mw)
{
    const struct fake_nvml_card *c = card;
    *mw = c->limit_mw;
    return c->all_code;
}

int nvmlDeviceGetTemperature(void *card, int sensor, unsigned int *celsius)
{
    const struct fake_nvml_card *c = card;
    *celsius = c->temperature_c;
    return sensor == 0 ? c->all_code : INVALID;
}

int nvmlDeviceGetClockInfo(void *card, int clock, unsigned int *mhz)
{
    const struct fake_nvml_card *c = card;
    *mhz = c->clock_mhz;
    return clock == 1 ? c->all_code : INVALID;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(void *card, unsigned long long *reasons)
{
    const struct fake_nvml_card *c = card;
    *reasons = c->reasons;
    return c->all_code;
}

int nvmlDeviceGetFieldValues(void *card, int n, struct field *fields)
{
    const struct fake_nvml_card *c = card;
    for (int i = 0; i < n; i++) {
        fields[i].code = fields[i].field == 186 && fields[i].scope == 0 ? c->instant_code : INVALID;
        fields[i].type = 1;
        fields[i].value = c->instant_mw;
    }
    return c->all_code;
}

int nvmlDeviceGetArchitecture(void *card, unsigned int *architecture)
{
    *architecture = ((struct fake_nvml_card *)card)->architecture;
    return 0;
}

int nvmlDeviceGetCudaComputeCapability(void *card, int *major, int *minor)
{
    const struct fake_nvml_card *c = card;
    *major = c->major;
    *minor = c->minor;
    return 0;
}

int nvmlDeviceGetMigMode(void *card, unsigned int *current, unsigned int *pending)
{
    *current = ((struct fake_nvml_card *)card)->mig;
    *pending = *current;
    return 0;
}
