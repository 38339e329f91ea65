/* SPDX-License-Identifier: MIT */
#include "bench/checks.h"

#include <stdlib.h>
#include <string.h>

#include "bench/cli.h"
#include "platforms/base/units.h"
#include "platforms/devices/device_file.h"
#include "platforms/os/os.h"

bool jb_check_threads(const char *command, const char *text, uint32_t *ret_n)
{
    const uint32_t n_pus = jb_allowed_pus(NULL, 0);
    const uint32_t most = n_pus * JB_MAX_THREADS_A_PU;
    uint64_t n = 0;
    if (!jb_cli_u64(command, "--threads", text, 1, UINT32_MAX, &n)) {
        return false;
    }
    if (n > most) {
        (void)jb_cli_usage(command,
                           "--threads: %s are too many for the %u processing unit%s usable here: "
                           "give at most %u",
                           text, n_pus, n_pus == 1 ? "" : "s", most);
        return false;
    }
    *ret_n = (uint32_t)n;
    return true;
}

enum jb_status jb_check_device(const char *device, const struct jb_backend *const *backends,
                               uint32_t n_backends)
{
    struct jb_device_file *file = NULL;
    if (device == NULL) {
        return JB_OK;
    }
    for (uint32_t b = 0; b < n_backends; b++) {
        const struct jb_open_args bare = {.n_threads = 1};
        const struct jb_open_args asked = {.device = device, .n_threads = 1};
        struct jb_probe probe;
        if ((backends[b]->caps & JB_CAP_NO_RESULT) == 0 &&
            (backends[b]->probe(&bare, &probe) != JB_OK ||
             backends[b]->probe(&asked, &probe) == JB_OK)) {
            return JB_OK;
        }
    }
    const enum jb_status status = jb_device_open_common(device, &file);
    if (status == JB_OK) {
        jb_device_close(file);
        return JB_OK;
    }
    return status == JB_E_NODEV ? jb_fail(JB_E_INVAL, "--device: %s", jb_reason()) : status;
}

static bool stop_at_once(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return false;
}

enum jb_status jb_check_folder(const char *option, const char *path)
{
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    if (slash == NULL || slash == path) {
        return JB_OK;
    }
    char *folder = strdup(path);
    if (folder == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for a file name");
    }
    folder[slash - path] = '\0';
    enum jb_status status = jb_dir_each(folder, stop_at_once, NULL);
    /* A folder that may be written to but not listed is rare and fine. */
    if (status != JB_OK && status != JB_E_PERM) {
        status = jb_fail(JB_E_INVAL, "%s %s: there is no folder '%s'; make it first", option, path,
                         folder);
    } else {
        status = JB_OK;
    }
    free(folder);
    return status;
}

enum jb_status jb_check_memory(const struct jb_plan *plan, bool is_drawn, uint32_t n_slots,
                               uint32_t context, const char *way_out)
{
    const uint64_t kv = jb_plan_kv_bytes(plan, n_slots, context);
    const uint64_t weights = is_drawn ? jb_plan_weight_bytes(plan) : 0;
    const uint64_t available = jb_memory_available_bytes();
    if (available > 0 && (weights > available || kv > available - weights)) {
        return jb_fail(JB_E_NOMEM,
                       "`%s` needs %.1f GiB for weights and %.1f GiB for keys and values, %.1f GiB "
                       "are free: %s",
                       plan->model, (double)weights / JB_GIB, (double)kv / JB_GIB,
                       (double)available / JB_GIB, way_out);
    }
    return JB_OK;
}
