/* SPDX-License-Identifier: MIT */
#ifndef JB_OPENCL_PACK_H
#define JB_OPENCL_PACK_H

/* Weights as matmul.cl reads them: units of 32 columns, each of their parts in a plane. */

#include <stddef.h>
#include <stdint.h>

#include "backends/format/format.h"

#define JB_OPENCL_PLANES 4u

/* Bytes of a plane for n_units units; 0 if the format has no such plane. */
uint64_t jb_opencl_plane_bytes(enum jb_dtype dtype, uint32_t plane, uint32_t n_units);

/* @param row row_bytes bytes as stored. @param to (JB_OPENCL_PLANES,) where this row's planes go;
 * those that the format lacks are not looked at. */
void jb_opencl_pack_row(enum jb_dtype dtype, const uint8_t *row, size_t row_bytes, uint32_t n_units,
                        uint8_t *const *to);

#endif
