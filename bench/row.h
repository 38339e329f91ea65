/* SPDX-License-Identifier: MIT */
#ifndef JB_ROW_H
#define JB_ROW_H

/* From a measured window to a record: the only place where a row's meaning is put together. */

#include "backends/backend.h"
#include "bench/gate.h"
#include "bench/measure/measure.h"
#include "bench/phases.h"
#include "results/results.h"

/* Ids of the reference run of one batch and phase. */
struct jb_reference {
    int32_t *ids; /* (batch, gen); NULL = there is none */
    bool *is_near;
};

/* What is the same for all rows of one backend and batch. */
struct jb_row_context {
    struct jb_record common; /* identity cells, filled once */
    const struct jb_backend *backend;
    struct jb_phases *phases;                    /* quantiles sort its marks */
    struct jb_peaks peaks;                       /* of the device file: nothing may beat them    */
    struct jb_peaks ceilings;                    /* measured: what rates are held against        */
    double resident_bytes;                       /* weights and KV in use            */
    struct jb_reference references[JB_N_PHASES]; /* ids NULL where there is none     */
    char first_digests[JB_N_PHASES][20];         /* of the first row; "" = none yet  */
};

#ifdef __cplusplus
extern "C" {
#endif

/* One row. @param window what was measured. @param utc start of the repetition.
 * @return through ret_record; its verdicts and reasons are final. */
void jb_row_fill(struct jb_row_context *context, enum jb_phase phase, uint32_t repetition,
                 const char *utc, const struct jb_window *window, struct jb_record *ret_record);

#ifdef __cplusplus
}
#endif
#endif
