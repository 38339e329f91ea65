/* SPDX-License-Identifier: MIT */
/* Which device: all platforms' devices make one list, in the loader's order. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/device.h"

enum { MAX_PLATFORMS = 16, MAX_DEVICES = 64 };

struct listing {
    struct jb_opencl_choice devices[MAX_DEVICES];
    uint32_t n;
};

/* Copies without leading, trailing and doubled blanks, which drivers are fond of. */
static void squeeze(const char *from, char *to, size_t size)
{
    size_t n = 0;
    for (; *from != '\0' && n + 1 < size; from++) {
        if (!isspace((unsigned char)*from)) {
            to[n++] = *from;
        } else if (n > 0 && to[n - 1] != ' ') {
            to[n++] = ' ';
        }
    }
    to[n > 0 && to[n - 1] == ' ' ? n - 1 : n] = '\0';
}

static void describe(const struct jb_opencl_api *api, struct jb_opencl_choice *choice)
{
    char text[256] = "", platform[48] = "", driver[64] = "";
    (void)api->clGetPlatformInfo(choice->platform, CL_PLATFORM_NAME, sizeof text - 1, text, NULL);
    squeeze(text, platform, sizeof platform);
    memset(text, 0, sizeof text);
    (void)api->clGetDeviceInfo(choice->device, CL_DRIVER_VERSION, sizeof text - 1, text, NULL);
    squeeze(text, driver, sizeof driver);
    (void)snprintf(choice->driver, sizeof choice->driver, "%s %s", platform, driver);
    memset(text, 0, sizeof text);
    (void)api->clGetDeviceInfo(choice->device, CL_DEVICE_NAME, sizeof text - 1, text, NULL);
    squeeze(text, choice->name, sizeof choice->name);
    choice->type = CL_DEVICE_TYPE_CPU;
    (void)api->clGetDeviceInfo(choice->device, CL_DEVICE_TYPE, sizeof choice->type, &choice->type,
                               NULL);
}

static enum jb_status list_devices(const struct jb_opencl_api *api, struct listing *list)
{
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint n_platforms = 0;
    /* -1001: the loader found no driver; there is no name for it in OpenCL's own header. */
    const cl_int error = api->clGetPlatformIDs(MAX_PLATFORMS, platforms, &n_platforms);
    if (error == -1001 || (error == CL_SUCCESS && n_platforms == 0)) {
        return jb_fail(JB_E_NODEV, "OpenCL's loader is there, a driver is not: install the GPU's, "
                                   "or for a CPU pocl-opencl-icd");
    }
    if (error != CL_SUCCESS) {
        return jb_opencl_fail(error, "asking for platforms");
    }
    for (cl_uint p = 0; p < n_platforms && p < MAX_PLATFORMS; p++) {
        cl_device_id devices[MAX_DEVICES];
        cl_uint n = 0;
        if (api->clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MAX_DEVICES, devices, &n) !=
            CL_SUCCESS) {
            continue;
        }
        for (cl_uint d = 0; d < n && d < MAX_DEVICES && list->n < MAX_DEVICES; d++) {
            list->devices[list->n] = (struct jb_opencl_choice){
                .platform = platforms[p], .device = devices[d], .index = list->n};
            describe(api, &list->devices[list->n++]);
        }
    }
    return list->n > 0 ? JB_OK
                       : jb_fail(JB_E_NODEV, "OpenCL has %u driver%s and no device", n_platforms,
                                 n_platforms == 1 ? "" : "s");
}

static bool contains(const char *text, const char *part)
{
    for (; *text != '\0'; text++) {
        size_t n = 0;
        while (part[n] != '\0' &&
               tolower((unsigned char)text[n]) == tolower((unsigned char)part[n])) {
            n++;
        }
        if (part[n] == '\0') {
            return true;
        }
    }
    return false;
}

static const struct jb_opencl_choice *by_name(const struct listing *list, const char *name)
{
    char *end = NULL;
    const unsigned long number = strtoul(name, &end, 10);
    if (isdigit((unsigned char)name[0]) && *end == '\0') {
        return number < list->n ? &list->devices[number] : NULL;
    }
    for (uint32_t i = 0; name[0] != '\0' && i < list->n; i++) {
        if (contains(list->devices[i].name, name) || contains(list->devices[i].driver, name)) {
            return &list->devices[i];
        }
    }
    return NULL;
}

static const struct jb_opencl_choice *best(const struct listing *list)
{
    static const cl_device_type order[] = {CL_DEVICE_TYPE_GPU, CL_DEVICE_TYPE_ACCELERATOR};
    for (size_t k = 0; k < sizeof order / sizeof order[0]; k++) {
        for (uint32_t i = 0; i < list->n; i++) {
            if ((list->devices[i].type & order[k]) != 0) {
                return &list->devices[i];
            }
        }
    }
    return &list->devices[0];
}

enum jb_status jb_opencl_choose(const struct jb_opencl_api *api, const char *name,
                                struct jb_opencl_choice *ret_choice)
{
    struct listing list = {.n = 0};
    const enum jb_status status = list_devices(api, &list);
    if (status != JB_OK) {
        return status;
    }
    const struct jb_opencl_choice *chosen = name != NULL ? by_name(&list, name) : best(&list);
    if (chosen == NULL) {
        char known[JB_REASON_MAX / 2] = "";
        for (uint32_t i = 0; i < list.n; i++) {
            const size_t n = strlen(known);
            (void)snprintf(known + n, sizeof known - n, "%s%u: %s", i == 0 ? "" : ", ", i,
                           list.devices[i].name);
        }
        return jb_fail(JB_E_NODEV,
                       "opencl: no device '%s'; a number or part of a name of these: %s", name,
                       known);
    }
    *ret_choice = *chosen;
    ret_choice->n_devices = list.n;
    return JB_OK;
}
