/* SPDX-License-Identifier: MIT */
#ifndef JB_TEST_FAKE_NVML_H
#define JB_TEST_FAKE_NVML_H

/* A stand-in for the NVIDIA management library: a shared object whose cards a test sets through
 * the table that fake_nvml_cards() hands out. */

#define FAKE_NVML_CARDS 3

struct fake_nvml_card {
    const char *name, *uuid, *pci;
    unsigned int architecture;
    int major, minor;
    unsigned int mig;
    unsigned long long energy_mj;
    unsigned int power_mw, instant_mw, limit_mw, temperature_c, clock_mhz;
    unsigned long long reasons;
    int energy_code, instant_code, all_code; /* what the calls return; 0 = fine */
};

struct fake_nvml {
    int init_code;
    int n_inits, n_shutdowns, n_energy_reads;
    struct fake_nvml_card cards[FAKE_NVML_CARDS];
};

/* Exported by the shared object under this name. */
struct fake_nvml *fake_nvml_state(void);

#endif
