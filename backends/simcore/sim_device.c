/* SPDX-License-Identifier: MIT */
/* A device file with the user's values put in. */
#include "backends/simcore/simcore.h"

#include <stdio.h>
#include <string.h>

static const struct jb_option *find_option(const struct jb_option *options, const char *key)
{
    for (; options != NULL && options->key != NULL; options++) {
        if (strcmp(options->key, key) == 0) {
            return options;
        }
    }
    return NULL;
}

static enum jb_status put_settings(const char *backend, const struct jb_option *options,
                                   const struct jb_open_args *args, struct jb_device_file *file)
{
    for (uint32_t i = 0; i < args->n_settings; i++) {
        const struct jb_setting *setting = &args->settings[i];
        if (find_option(options, setting->key) != NULL) {
            continue;
        }
        if (jb_device_set(file, setting->key, setting->value) != JB_OK) {
            char why[JB_REASON_MAX];
            (void)snprintf(why, sizeof why, "%s", jb_reason());
            return jb_fail(JB_E_INVAL, "%s: --set %s=%s: %s", backend, setting->key, setting->value,
                           why);
        }
    }
    return JB_OK;
}

enum jb_status jb_sim_open_file(const char *backend, const char *kind, const char *fallback,
                                const struct jb_device_key *schema, const struct jb_option *options,
                                const struct jb_open_args *args, struct jb_device_file **ret_file)
{
    const char *name = args->device != NULL ? args->device : fallback;
    struct jb_device_file *file = NULL;
    enum jb_status status = jb_device_open_common(name, &file);
    if (status == JB_OK && strcmp(jb_device_kind(file), kind) != 0) {
        status = jb_fail(JB_E_NODEV, "%s: device '%s' is of kind %s, not %s; see `list devices`",
                         backend, jb_device_name(file), jb_device_kind(file), kind);
    }
    jb_device_close(file);
    file = NULL;
    if (status == JB_OK) {
        status = jb_device_open(name, schema, &file);
    }
    if (status == JB_OK) {
        status = put_settings(backend, options, args, file);
    }
    if (status != JB_OK) {
        jb_device_close(file);
        return status;
    }
    *ret_file = file;
    return JB_OK;
}

const char *jb_sim_setting(const struct jb_open_args *args, const struct jb_option *options,
                           const char *key)
{
    for (uint32_t i = 0; i < args->n_settings; i++) {
        if (strcmp(args->settings[i].key, key) == 0) {
            return args->settings[i].value;
        }
    }
    const struct jb_option *option = find_option(options, key);
    return option != NULL ? option->fallback : NULL;
}

void jb_sim_show(void *ctx, const struct jb_mem_event *event)
{
    const struct jb_sim_shown *shown = ctx;
    const struct jb_mem_spec *spec = shown->spec;
    const struct jb_mem_command *command =
        event->command < JB_MEM_N_STANDARD
            ? &jb_mem_standard_commands[event->command]
            : &spec->extra_commands[event->command - JB_MEM_N_STANDARD];
    const enum jb_mem_level scope = command->scope;
    const uint32_t bank = event->target.bank;
    const uint32_t group = bank / spec->n_banks, rank = group / spec->n_groups;
    const bool has_row = (command->effects & (JB_MEM_NEEDS_ROW | JB_MEM_OPENS)) != 0;
    const bool has_column = (command->effects & JB_MEM_NEEDS_ROW) != 0;
    const struct jb_dram_command shown_command = {
        .cycle = event->cycle,
        .name = command->name,
        .channel = shown->channel,
        .pseudo = scope >= JB_MEM_PSEUDO ? rank / spec->n_ranks : UINT32_MAX,
        .rank = scope >= JB_MEM_RANK ? rank % spec->n_ranks : UINT32_MAX,
        .group = scope >= JB_MEM_GROUP ? group % spec->n_groups : UINT32_MAX,
        .bank = scope >= JB_MEM_BANK ? bank % spec->n_banks : UINT32_MAX,
        .row = has_row ? event->target.row : UINT32_MAX,
        .column = has_column ? event->target.column : UINT32_MAX,
    };
    shown->sink->put(shown->sink->ctx, &shown_command);
}
