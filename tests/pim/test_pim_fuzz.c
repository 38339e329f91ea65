/* SPDX-License-Identifier: MIT */
/* Device files of kind pim with bent values and bent text: each is refused in one line that names
 * the device, or gives costs that add up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/pim_sim/pim.h"
#include "platforms/base/rng.h"

static const char *const devices[] = {"aim", "cent", "generic-pim", "hbm-pim", "upmem"};
enum { N_DEVICES = sizeof devices / sizeof devices[0] };

/* A small product, and what a step would ask for. */
static void use(const struct pim_machine *machine)
{
    struct pim_sim *sim = NULL;
    struct pim_cost cost;
    uint64_t sum = 0;
    assert_int_equal(pim_sim_create(machine, NULL, &sim), JB_OK);
    if (pim_sim_gemv(sim, 70, 90, 1, machine->n_channels, &cost) == JB_OK) {
        double line_j[PIM_N_LINES];
        for (int i = 0; i < PIM_N_PARTS; i++) {
            sum += cost.parts[i];
        }
        assert_int_equal(sum, cost.cycles);
        pim_energy_of(machine, &cost, machine->n_channels, line_j);
    } else {
        assert_true(strlen(jb_reason()) > 0);
    }
    pim_sim_free(sim);
}

/* Values that a range may or may not hold; search and flows stay short. */
static void bent_value(struct jb_rng *rng, char *text, size_t size)
{
    static const char *const odd[] = {"0",   "1",    "2",     "3",    "7",   "16",    "33",
                                      "64",  "100",  "4096",  "1e5",  "-1",  "0.5",   "1e30",
                                      "nan", "bf16", "auto",  "8 B",  "3ns", "",      "16 cycles",
                                      "f32", "host", "1 GHz", "5 pJ", "1 W", "shared"};
    (void)snprintf(text, size, "%s", odd[jb_rng_below(rng, sizeof odd / sizeof odd[0])]);
}

static void bent_values_are_refused_or_work(void **state)
{
    (void)state;
    struct jb_rng rng;
    uint32_t n_keys = 0, n_taken = 0;
    jb_rng_seed(&rng, 11, 0);
    while (pim_schema[n_keys].key != NULL) {
        n_keys++;
    }
    for (uint32_t i = 0; i < 1500; i++) {
        char texts[3][32];
        struct jb_setting settings[3];
        const uint32_t n = 1 + jb_rng_below(&rng, 3);
        for (uint32_t k = 0; k < n; k++) {
            bent_value(&rng, texts[k], sizeof texts[k]);
            settings[k] = (struct jb_setting){pim_schema[jb_rng_below(&rng, n_keys)].key, texts[k]};
        }
        const char *device = devices[jb_rng_below(&rng, N_DEVICES)];
        const struct jb_open_args args = {.device = device, .settings = settings, .n_settings = n};
        struct jb_device_file *file = NULL;
        struct pim_machine machine;
        enum jb_status status =
            jb_sim_open_file("pim_sim", "pim", device, pim_schema, pim_options, &args, &file);
        if (status == JB_OK) {
            status = pim_machine_read(file, &args, &machine);
        }
        if (status == JB_OK) {
            use(&machine);
            n_taken++;
        } else {
            assert_int_equal(status, JB_E_INVAL);
            assert_null(strchr(jb_reason(), '\n'));
            assert_non_null(strstr(jb_reason(), device));
        }
        jb_device_close(file);
    }
    print_message("# %u of 1500 taken\n", n_taken);
    assert_true(n_taken > 100 && n_taken < 1400);
}

static char *read_text(const char *device, size_t *ret_size)
{
    char path[512];
    const char *source = getenv("JB_SOURCE");
    (void)snprintf(path, sizeof path, "%s/platforms/devices/pim/%s.yaml",
                   source != NULL ? source : ".", device);
    FILE *f = fopen(path, "rb");
    char *text = calloc(1, 65536);
    assert_non_null(f);
    assert_non_null(text);
    *ret_size = fread(text, 1, 65535, f);
    (void)fclose(f);
    return text;
}

static void bent_text_never_breaks_the_reader(void **state)
{
    (void)state;
    struct jb_rng rng;
    jb_rng_seed(&rng, 12, 0);
    for (uint32_t d = 0; d < N_DEVICES; d++) {
        size_t size = 0;
        char *text = read_text(devices[d], &size);
        char *bent = calloc(1, size + 1);
        assert_non_null(bent);
        for (uint32_t i = 0; i < 150; i++) {
            struct jb_device_file *file = NULL;
            memcpy(bent, text, size);
            for (uint32_t k = 0; k <= jb_rng_below(&rng, 3); k++) {
                bent[jb_rng_below(&rng, (uint32_t)size)] = (char)(32 + jb_rng_below(&rng, 95));
            }
            if (jb_device_parse(bent, size, "bent.yaml", pim_schema, &file) == JB_OK) {
                const struct jb_open_args args = {.device = NULL};
                struct pim_machine machine;
                if (pim_machine_read(file, &args, &machine) == JB_OK) {
                    use(&machine);
                }
                jb_device_close(file);
            } else {
                assert_non_null(strstr(jb_reason(), "bent.yaml:"));
            }
        }
        free(bent);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bent_values_are_refused_or_work),
        cmocka_unit_test(bent_text_never_breaks_the_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
