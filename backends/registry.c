/* SPDX-License-Identifier: MIT */
/* Looks backends up, checks their tables, loads plug-ins. Nothing runs before main(): the table of
 * built-in backends is an ordinary array that the build writes. */
#include "backends/registry.h"

#include <stdio.h>
#include <string.h>

#include "backends/registry_table.h"
#include "platforms/os/os.h"

enum { MAX_PLUGINS = 32, PATH_MAX_BYTES = 4096 };

/* Written on the main thread before any look-up (registry.h). */
static const struct jb_backend *g_plugins[MAX_PLUGINS];
static uint32_t g_n_plugins;

const char *jb_platform_name(enum jb_platform platform)
{
    static const char *const names[] = {[JB_CPU] = "cpu",
                                        [JB_GPU] = "gpu",
                                        [JB_FPGA] = "fpga",
                                        [JB_ASIC] = "asic",
                                        [JB_PIM] = "pim"};
    return (unsigned)platform < sizeof names / sizeof names[0] ? names[platform] : "unknown";
}

static uint32_t count_built_in(void)
{
    uint32_t n = 0;
    while (jb_registry_table[n] != NULL) {
        n++;
    }
    return n;
}

uint32_t jb_registry_count(void)
{
    return count_built_in() + g_n_plugins;
}

const struct jb_backend *jb_registry_at(uint32_t index)
{
    const uint32_t n = count_built_in();
    return index < n ? jb_registry_table[index] : g_plugins[index - n];
}

static const struct jb_backend *find(const char *name)
{
    for (uint32_t i = 0; i < jb_registry_count(); i++) {
        if (strcmp(jb_registry_at(i)->name, name) == 0) {
            return jb_registry_at(i);
        }
    }
    return NULL;
}

const struct jb_backend *jb_registry_find(const char *name)
{
    const struct jb_backend *backend = find(name);
    if (backend != NULL) {
        return backend;
    }
    char known[JB_REASON_MAX / 2] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < jb_registry_count() && used < sizeof known; i++) {
        const int n = snprintf(known + used, sizeof known - used, "%s%s", i == 0 ? "" : ", ",
                               jb_registry_at(i)->name);
        used += n > 0 ? (size_t)n : 0;
    }
    (void)jb_fail(JB_E_NODEV, "no backend '%s' in this build; there are: %s", name, known);
    return NULL;
}

static bool is_name(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    return name[0] != '\0' && name[strspn(name, allowed)] == '\0';
}

static enum jb_status check_options(const struct jb_backend *backend)
{
    for (const struct jb_option *o = backend->options; o != NULL && o->key != NULL; o++) {
        if (o->unit == NULL || o->fallback == NULL || o->help == NULL) {
            return jb_fail(JB_E_INVAL, "backend '%s': option '%s' lacks unit, fallback or help",
                           backend->name, o->key);
        }
        for (const struct jb_option *other = backend->options; other != o; other++) {
            if (strcmp(other->key, o->key) == 0) {
                return jb_fail(JB_E_INVAL, "backend '%s': option '%s' is there twice",
                               backend->name, o->key);
            }
        }
    }
    return JB_OK;
}

/* A member that must be there exactly when `is_wanted`. */
struct member {
    const char *name;
    bool is_there, is_wanted;
};

enum jb_status jb_backend_check(const struct jb_backend *backend)
{
    if (backend == NULL || backend->name == NULL || !is_name(backend->name)) {
        return jb_fail(JB_E_INVAL, "a backend without a name of [a-z0-9_]+");
    }
    const bool is_modelled = (backend->caps & JB_CAP_MODELLED) != 0;
    const bool is_async = (backend->caps & JB_CAP_ASYNC) != 0;
    const struct member members[] = {
        {"summary", backend->summary != NULL && backend->summary[0] != '\0', true},
        {"device_size", backend->device_size > 0, true},
        {"probe", backend->probe != NULL, true},
        {"open", backend->open != NULL, true},
        {"load", backend->load != NULL, true},
        {"step", backend->step != NULL, true},
        {"reset", backend->reset != NULL, true},
        {"close", backend->close != NULL, true},
        {"sync", backend->sync != NULL, is_async},
        {"account", backend->account != NULL, is_modelled},
        {"resources", backend->resources != NULL, is_modelled},
        {"ledger_lines", backend->ledger_lines != NULL, is_modelled},
    };
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (members[i].is_there != members[i].is_wanted) {
            return jb_fail(JB_E_INVAL, "backend '%s': '%s' %s", backend->name, members[i].name,
                           members[i].is_wanted ? "is missing" : "is there without its JB_CAP");
        }
    }
    return check_options(backend);
}

static enum jb_status check_plugin(const char *path, const struct jb_plugin *plugin)
{
    if (plugin->abi != JB_BACKEND_ABI) {
        return jb_fail(JB_E_NOTSUP,
                       "plug-in '%s' was built for ABI %u, this program has %u: build it again",
                       path, (unsigned)plugin->abi, JB_BACKEND_ABI);
    }
    const enum jb_status status = jb_backend_check(plugin->backend);
    if (status != JB_OK) {
        char why[JB_REASON_MAX];
        (void)snprintf(why, sizeof why, "%s", jb_reason());
        return jb_fail(status, "plug-in '%s': %s", path, why);
    }
    if (find(plugin->backend->name) != NULL) {
        return jb_fail(JB_E_INVAL, "plug-in '%s': the name '%s' is taken", path,
                       plugin->backend->name);
    }
    if (g_n_plugins == MAX_PLUGINS) {
        return jb_fail(JB_E_NOMEM, "plug-in '%s': there are %d already", path, (int)MAX_PLUGINS);
    }
    return JB_OK;
}

enum jb_status jb_registry_load_plugin(const char *path)
{
    /* Without a slash the loader would look in the system's folders, not in this one. */
    char local[PATH_MAX_BYTES];
    const int n =
        snprintf(local, sizeof local, "%s%s", strpbrk(path, "/\\") == NULL ? "./" : "", path);
    if (n < 0 || (size_t)n >= sizeof local) {
        return jb_fail(JB_E_INVAL, "plug-in path of %zu bytes is too long", strlen(path));
    }
    void *library = jb_dl_open((const char *const[]){local, NULL});
    if (library == NULL) {
        return JB_E_NODEV;
    }
    const struct jb_plugin *plugin = jb_dl_symbol(library, "jb_plugin");
    const enum jb_status status =
        plugin == NULL ? jb_fail(JB_E_NODEV, "'%s' is no plug-in: it has no symbol jb_plugin", path)
                       : check_plugin(path, plugin);
    if (status != JB_OK) {
        jb_dl_close(library);
        return status;
    }
    g_plugins[g_n_plugins++] = plugin->backend;
    return JB_OK;
}
