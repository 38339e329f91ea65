/* SPDX-License-Identifier: MIT */
#include "bench/opening.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cli.h"
#include "bench/measure/measure.h"
#include "platforms/base/word.h"
#include "platforms/devices/device_file.h"

bool jb_settings_add(struct jb_settings *settings, const char *command, const char *text)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        (void)jb_cli_usage(command, "--set: '%s' is not KEY=VALUE", text);
        return false;
    }
    if (settings->n == JB_MAX_SETTINGS) {
        (void)jb_cli_usage(command, "--set: more than %d settings", JB_MAX_SETTINGS);
        return false;
    }
    char *copy = strdup(text);
    if (copy == NULL) {
        jb_cli_error("no memory for the options");
        return false;
    }
    copy[equals - text] = '\0';
    settings->copies[settings->n] = copy;
    for (uint32_t i = 0; i < settings->n; i++) {
        if (strcmp(settings->items[i].key, copy) == 0) {
            (void)jb_cli_usage(command, "--set: '%s' is given twice", copy);
            free(copy);
            settings->copies[settings->n] = NULL;
            return false;
        }
    }
    settings->items[settings->n++] =
        (struct jb_setting){.key = copy, .value = copy + (equals - text) + 1};
    return true;
}

void jb_settings_free(struct jb_settings *settings)
{
    for (uint32_t i = 0; i < settings->n; i++) {
        free(settings->copies[i]);
    }
    settings->n = 0;
}

static bool has_option(const struct jb_backend *backend, const char *key)
{
    const struct jb_option *option = backend->options;
    while (option != NULL && option->key != NULL && strcmp(option->key, key) != 0) {
        option++;
    }
    return option != NULL && option->key != NULL;
}

/* Whether any of the backends has it in its option table. */
static bool is_option(const struct jb_backend *const *backends, uint32_t n, const char *key)
{
    uint32_t i = 0;
    while (i < n && !has_option(backends[i], key)) {
        i++;
    }
    return i < n;
}

/* " (near: a, b)", or nothing. */
static void list_near(const struct jb_backend *const *backends, uint32_t n, const char *key,
                      char *ret_text, size_t size)
{
    size_t used = 0;
    ret_text[0] = '\0';
    for (uint32_t i = 0; i < n; i++) {
        const struct jb_option *option = backends[i]->options;
        for (; option != NULL && option->key != NULL && used < size; option++) {
            if (jb_word_distance(key, option->key) <= JB_WORD_NEAR ||
                strstr(option->key, key) != NULL) {
                const int wrote = snprintf(ret_text + used, size - used, "%s`%s`",
                                           used == 0 ? "; near names: " : ", ", option->key);
                used += wrote > 0 ? (size_t)wrote : 0;
            }
        }
    }
}

enum jb_status jb_settings_check(const struct jb_setting *settings, uint32_t n,
                                 const struct jb_backend *const *backends, uint32_t n_backends)
{
    bool takes_device_keys = false;
    for (uint32_t b = 0; b < n_backends; b++) {
        takes_device_keys = takes_device_keys || (backends[b]->caps & JB_CAP_DEVICE_KEYS) != 0;
    }
    for (uint32_t i = 0; i < n && !takes_device_keys; i++) {
        if (!is_option(backends, n_backends, settings[i].key)) {
            char near[256];
            list_near(backends, n_backends, settings[i].key, near, sizeof near);
            return jb_fail(JB_E_INVAL,
                           "--set: no asked backend has a setting `%s`%s; `joulebench list "
                           "backends` shows what there is",
                           settings[i].key, near);
        }
    }
    return JB_OK;
}

uint32_t jb_settings_choose(const struct jb_setting *settings, uint32_t n,
                            const struct jb_backend *const *backends, uint32_t n_backends,
                            const struct jb_backend *backend, struct jb_setting *ret_own)
{
    uint32_t n_own = 0;
    for (uint32_t i = 0; i < n; i++) {
        const bool may_be_value = (backend->caps & JB_CAP_DEVICE_KEYS) != 0 &&
                                  !is_option(backends, n_backends, settings[i].key);
        if (may_be_value || has_option(backend, settings[i].key)) {
            ret_own[n_own++] = settings[i];
        }
    }
    return n_own;
}

bool jb_is_description(const struct jb_backend *backend, const struct jb_open_args *open)
{
    struct jb_open_args bare = *open;
    struct jb_probe probe;
    struct jb_device_file *file = NULL;
    bare.device = NULL;
    if ((backend->caps & JB_CAP_MODELLED) != 0 || open->device == NULL ||
        backend->probe(&bare, &probe) != JB_OK ||
        jb_device_open_common(open->device, &file) != JB_OK) {
        return false;
    }
    const bool is_same = strcmp(jb_device_kind(file), jb_platform_name(probe.platform)) == 0;
    jb_device_close(file);
    return is_same;
}

unsigned jb_scopes_of(enum jb_platform platform)
{
    const unsigned host = JB_SCOPE_BIT(JB_SCOPE_CORE) | JB_SCOPE_BIT(JB_SCOPE_PACKAGE) |
                          JB_SCOPE_BIT(JB_SCOPE_DRAM) | JB_SCOPE_BIT(JB_SCOPE_PROCESS);
    const unsigned card = JB_SCOPE_BIT(JB_SCOPE_BOARD);
    return platform == JB_CPU ? JB_SCOPES_ALL & ~card : JB_SCOPES_ALL & ~host;
}
