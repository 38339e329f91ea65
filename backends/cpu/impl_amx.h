/* SPDX-License-Identifier: MIT */
/* Products over BF16 panels (packed.h) with AMX. 32 columns of a panel are a tile of its own right:
 * 16 lines of pairs of 16 rows. Inputs are bfloat16 rows, 16 of them a tile, so 2 x 2 tiles make
 * 32 columns by 32 rows of results and each tile that is loaded is used twice. */

/* Inputs a product must have to go this way. */
#define AMX_LEAST 16u

/* What LDTILECFG reads: 0 .. 3 results, 4 and 5 inputs, 6 and 7 weights. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};
_Static_assert(sizeof(struct tile_config) == 64, "the instruction reads 64 bytes");

/* m[0] inputs in the first tile, m[1] in the second: 0 = there is none. */
static void amx_configure(const uint32_t m[2])
{
    struct tile_config config = {.palette = 1};
    for (uint32_t i = 0; i < 8; i++) {
        const uint32_t rows = i >= 6 ? 16 : i >= 4 ? m[i - 4] : m[i / 2];
        config.rows[i] = (uint8_t)(rows > 0 ? rows : 1);
        config.row_bytes[i] = 64;
    }
    _tile_loadconfig(&config);
}

/* Stores a tile of results; through a buffer if the panel's last rows are only padding. */
#define AMX_STORE(TILE, DST, STRIDE_BYTES, N_INPUTS, N_ROWS)                                       \
    do {                                                                                           \
        if ((N_ROWS) >= JB_CPU_PANEL) {                                                            \
            _tile_stored(TILE, DST, STRIDE_BYTES);                                                 \
        } else {                                                                                   \
            float results[16][16];                                                                 \
            _tile_stored(TILE, results, 64);                                                       \
            for (uint32_t input = 0; input < (N_INPUTS); input++) {                                \
                memcpy((uint8_t *)(DST) + input * (STRIDE_BYTES), results[input],                  \
                       (N_ROWS) * sizeof(float));                                                  \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* One or two panels from row r on by the inputs from number `first` on. */
static ALWAYS_INLINE void amx_tile(const struct jb_cpu_matmul *job, uint32_t r, uint32_t end,
                                   uint32_t first, const uint32_t m[2], const bool has_second)
{
    const size_t panel_bytes = job->row_bytes, x_bytes = job->record_bytes;
    const uint8_t *w = job->weights + r / JB_CPU_PANEL * panel_bytes;
    const uint8_t *x = (const uint8_t *)job->records + first * x_bytes;
    const uint8_t *x16 = x + (m[1] > 0 ? 16 * x_bytes : 0);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (uint32_t col = 0; col < job->cols; col += 32) {
        _tile_loadd(6, w + (size_t)col * 32, 64);
        _tile_loadd(4, x + (size_t)col * 2, x_bytes);
        _tile_dpbf16ps(0, 4, 6);
        if (has_second) {
            _tile_loadd(7, w + panel_bytes + (size_t)col * 32, 64);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (m[1] > 0) {
            _tile_loadd(5, x16 + (size_t)col * 2, x_bytes);
            _tile_dpbf16ps(2, 5, 6);
            if (has_second) {
                _tile_dpbf16ps(3, 5, 7);
            }
        }
    }
    const size_t stride = job->dst_stride * sizeof(float);
    float *dst = job->dst + first * job->dst_stride + r;
    float *dst16 = dst + 16 * job->dst_stride;
    AMX_STORE(0, dst, stride, m[0], end - r);
    if (m[1] > 0) {
        AMX_STORE(2, dst16, stride, m[1], end - r);
    }
    if (has_second) {
        AMX_STORE(1, dst + JB_CPU_PANEL, stride, m[0], end - r - JB_CPU_PANEL);
    }
    if (has_second && m[1] > 0) {
        AMX_STORE(3, dst16 + JB_CPU_PANEL, stride, m[1], end - r - JB_CPU_PANEL);
    }
}

static void amx_bf16(const struct jb_cpu_matmul *job, uint32_t row_begin, uint32_t row_end)
{
    const size_t fit = PACKED_BLOCK_BYTES / job->row_bytes / 2;
    const uint32_t block = (fit < 1 ? 1 : fit > 4096 ? 4096 : (uint32_t)fit) * 2 * JB_CPU_PANEL;
    for (uint32_t begin = row_begin; begin < row_end; begin += block) {
        const uint32_t end = row_end - begin < block ? row_end : begin + block;
        for (uint32_t first = 0; first < job->n; first += 32) {
            const uint32_t left = job->n - first;
            const uint32_t m[2] = {left < 16 ? left : 16, left <= 16  ? 0
                                                          : left < 32 ? left - 16
                                                                      : 16};
            amx_configure(m);
            for (uint32_t r = begin; r < end; r += 2 * JB_CPU_PANEL) {
                if (end - r > JB_CPU_PANEL) {
                    amx_tile(job, r, end, first, m, true);
                } else {
                    amx_tile(job, r, end, first, m, false);
                }
            }
        }
    }
    _tile_release();
}
