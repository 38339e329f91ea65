/* SPDX-License-Identifier: MIT */
#ifndef JB_METERS_PAPI_API_H
#define JB_METERS_PAPI_API_H

/* The PAPI calls that the papi meter makes, so that tests can put others in their place. Each
 * answers as PAPI's own does: 0 or more is fine, below 0 an error code. */
struct jb_papi_api {
    int (*init)(void);
    void (*shutdown)(void);
    /* Makes a set of events of one component ("perf_event"). */
    int (*create)(const char *component, int *ret_set);
    int (*add)(int set, const char *event);
    /* Threads made from here on by this thread's process are counted too. */
    int (*inherit)(int set);
    int (*start)(int set);
    int (*read)(int set, long long *ret_values);
    /* Stops and frees. */
    void (*destroy)(int set);
    const char *(*error_text)(int code);
};

/* NULL restores PAPI. For tests; set while no papi meter is open. */
void jb_papi_set_api(const struct jb_papi_api *api);

#endif
