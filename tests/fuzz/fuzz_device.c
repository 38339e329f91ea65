/* SPDX-License-Identifier: MIT */
/* Device files. */
#include "platforms/devices/device_file.h"
#include "tests/fuzz/target.h"

static enum jb_status run(const uint8_t *data, size_t size)
{
    struct jb_device_file *file = NULL;
    const enum jb_status status =
        jb_device_parse((const char *)data, size, "input.yaml", NULL, &file);
    if (status == JB_OK) {
        for (uint32_t i = 0; i < jb_device_count(file); i++) {
            const struct jb_device_value *value = jb_device_at(file, i);
            /* Whatever was taken can be set again in the words of the file. */
            if (value->text != NULL) {
                (void)!jb_device_set(file, value->key, value->text);
            }
        }
        (void)!jb_device_set(file, "idle_w", "12 W");
        jb_device_close(file);
    }
    return status;
}

const struct jb_fuzz_target jb_fuzz_device = {
    .name = "device", .input = "input.yaml", .form = JB_FUZZ_TEXT, .weight = 15, .run = run};
