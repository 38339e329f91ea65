/* SPDX-License-Identifier: MIT */
#ifndef JB_BASE_STATUS_H
#define JB_BASE_STATUS_H

/* Status codes and the one line of reason that travels with them.
 *
 * Library code returns a status, writes its results through ret_ parameters
 * (untouched on failure) and records why with jb_fail(). Only bench/ prints. */

enum jb_status {
    JB_OK = 0,
    JB_E_INVAL = -1,  /* the caller, an option or a configuration is wrong          */
    JB_E_FORMAT = -2, /* an input file is malformed; the reason has file and place  */
    JB_E_NOMEM = -3,  /* memory, on the host or the device                          */
    JB_E_NODEV = -4,  /* the device, library, sensor or file is not there           */
    JB_E_PERM = -5,   /* it is there, and we may not use it                         */
    JB_E_NOTSUP = -6, /* it is there and cannot do this                             */
    JB_E_IO = -7,     /* read, write or map failed; the reason names the path       */
    JB_E_DEVICE = -8, /* the device failed or was lost while working                */
    JB_E_TIMEOUT = -9,
    JB_E_NUMERIC = -10,    /* NaN or infinity where a number must be                     */
    JB_E_INTERRUPTED = -11 /* the user asked to stop                                     */
};

#if defined(__MINGW32__)
/* C99 formats (%zu): the build asks mingw-w64 for its own printf, not for Microsoft's. */
#define JB_PRINTF(fmt, args) __attribute__((format(gnu_printf, fmt, args)))
#define JB_MUST_CHECK __attribute__((warn_unused_result))
#elif defined(__GNUC__)
#define JB_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define JB_MUST_CHECK __attribute__((warn_unused_result))
#else
#define JB_PRINTF(fmt, args)
#define JB_MUST_CHECK
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Longest reason kept, the final NUL included; longer ones are cut with "...". */
#define JB_REASON_MAX 512

/* Short lower-case name of a code ("nodev"); "unknown" for a value outside the enum. */
const char *jb_status_name(enum jb_status status);

/* Records one line of reason for this thread and returns code unchanged.
 * The text names the thing (op, path, key, value) and, where there is one, the way out. Line
 * breaks in it become spaces. Thread-safe; replaces the thread's earlier reason. */
enum jb_status jb_fail(enum jb_status code, const char *fmt, ...) JB_PRINTF(2, 3);

/* The thread's last reason; "" if none. Valid until the thread's next jb_fail(). */
const char *jb_reason(void);

#ifdef __cplusplus
}
#endif
#endif
