/* SPDX-License-Identifier: MIT */
/* Norms, rotation, activations and the other vector kernels, over the primitives of a simd_*.h. */

#define ALWAYS_INLINE inline __attribute__((always_inline))
/* Loops over a tile: the accumulators must become registers, also where the compiler is unsure. */
#if defined(UNROLL)
/* the scalar level has no registers to gain, and the compiler minutes to lose */
#elif defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* e^x to 2 units in the last place: x = n ln 2 + r with |r| <= ln 2 / 2, then the series of e^r to
 * r^7 / 7!. Limited to [-87, 88], where both e^x and 2^n are normal numbers; NaN stays NaN. */
static ALWAYS_INLINE vf vf_exp(vf x)
{
    x = vf_max(vf_set(-87.0f), vf_min(vf_set(88.0f), x));
    const vf n = vf_round(vf_mul(x, vf_set(0x1.715476p+0f)));
    /* ln 2 in two parts: the first has few bits, so that n times it is exact. */
    vf r = vf_fma(n, vf_set(-0x1.62e400p-1f), x);
    r = vf_fma(n, vf_set(-0x1.7f7d1cp-20f), r);
    vf p = vf_set(1.0f / 5040.0f);
    p = vf_fma(p, r, vf_set(1.0f / 720.0f));
    p = vf_fma(p, r, vf_set(1.0f / 120.0f));
    p = vf_fma(p, r, vf_set(1.0f / 24.0f));
    p = vf_fma(p, r, vf_set(1.0f / 6.0f));
    p = vf_fma(p, r, vf_set(0.5f));
    p = vf_fma(p, r, vf_set(1.0f));
    p = vf_fma(p, r, vf_set(1.0f));
    return vf_mul(p, vf_exp2i(n));
}

static float sum_of(const float *x, uint32_t n)
{
    vf sum = vf_set(0.0f);
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        sum = vf_add(sum, vf_load(x + i));
    }
    if (i < n) {
        sum = vf_add(sum, vf_load_n(x + i, n - i));
    }
    return vf_sum(sum);
}

static void rmsnorm(float *dst, const float *x, const float *weight, uint32_t n, float eps)
{
    vf sum = vf_set(0.0f);
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const vf v = vf_load(x + i);
        sum = vf_fma(v, v, sum);
    }
    if (i < n) {
        const vf v = vf_load_n(x + i, n - i);
        sum = vf_fma(v, v, sum);
    }
    const vf scale = vf_set(1.0f / sqrtf(vf_sum(sum) / (float)n + eps));
    for (i = 0; i + LANES <= n; i += LANES) {
        vf_store(dst + i, vf_mul(vf_mul(vf_load(x + i), scale), vf_load(weight + i)));
    }
    if (i < n) {
        const vf v = vf_mul(vf_load_n(x + i, n - i), scale);
        vf_store_n(dst + i, vf_mul(v, vf_load_n(weight + i, n - i)), n - i);
    }
}

static void layernorm(float *dst, const float *x, const float *weight, const float *bias,
                      uint32_t n, float eps)
{
    const float mean = sum_of(x, n) / (float)n;
    const vf vmean = vf_set(mean);
    vf sum = vf_set(0.0f);
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const vf v = vf_sub(vf_load(x + i), vmean);
        sum = vf_fma(v, v, sum);
    }
    float tail = 0.0f;
    for (uint32_t j = i; j < n; j++) {
        tail += (x[j] - mean) * (x[j] - mean);
    }
    const vf scale = vf_set(1.0f / sqrtf((vf_sum(sum) + tail) / (float)n + eps));
    for (i = 0; i + LANES <= n; i += LANES) {
        const vf v = vf_mul(vf_sub(vf_load(x + i), vmean), scale);
        const vf b = bias != NULL ? vf_load(bias + i) : vf_set(0.0f);
        vf_store(dst + i, vf_fma(v, vf_load(weight + i), b));
    }
    if (i < n) {
        const vf v = vf_mul(vf_sub(vf_load_n(x + i, n - i), vmean), scale);
        const vf b = bias != NULL ? vf_load_n(bias + i, n - i) : vf_set(0.0f);
        vf_store_n(dst + i, vf_fma(v, vf_load_n(weight + i, n - i), b), n - i);
    }
}

static void rope_halves(float *x, const float *cos, const float *sin, uint32_t n_pairs)
{
    uint32_t i = 0;
    for (; i + LANES <= n_pairs; i += LANES) {
        const vf a = vf_load(x + i), b = vf_load(x + n_pairs + i);
        const vf c = vf_load(cos + i), s = vf_load(sin + i);
        vf_store(x + i, vf_sub(vf_mul(a, c), vf_mul(b, s)));
        vf_store(x + n_pairs + i, vf_fma(a, s, vf_mul(b, c)));
    }
    for (; i < n_pairs; i++) {
        const float a = x[i], b = x[n_pairs + i];
        x[i] = a * cos[i] - b * sin[i];
        x[n_pairs + i] = a * sin[i] + b * cos[i];
    }
}

/* Pairs lie side by side: shuffles would be needed to go wide, and the compiler finds them. */
static void rope_pairs(float *x, const float *cos, const float *sin, uint32_t n_pairs)
{
    for (uint32_t i = 0; i < n_pairs; i++) {
        const float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * cos[i] - b * sin[i];
        x[2 * i + 1] = a * sin[i] + b * cos[i];
    }
}

static ALWAYS_INLINE vf silu_mul_v(vf gate, vf up)
{
    const vf one = vf_set(1.0f);
    const vf e = vf_exp(vf_sub(vf_set(0.0f), gate));
    return vf_mul(vf_div(gate, vf_add(one, e)), up);
}

static void silu_mul(float *dst, const float *gate, const float *up, uint32_t n)
{
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf_store(dst + i, silu_mul_v(vf_load(gate + i), vf_load(up + i)));
    }
    if (i < n) {
        vf_store_n(dst + i, silu_mul_v(vf_load_n(gate + i, n - i), vf_load_n(up + i, n - i)),
                   n - i);
    }
}

/* 0.5 x (1 + tanh u) = x / (1 + e^(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3) */
static ALWAYS_INLINE vf gelu_v(vf x)
{
    const vf cubic = vf_fma(vf_mul(vf_mul(x, x), x), vf_set(0.044715f), x);
    const vf e = vf_exp(vf_mul(cubic, vf_set(-2.0f * 0.797884560802865f)));
    return vf_div(x, vf_add(vf_set(1.0f), e));
}

static void gelu(float *dst, const float *x, uint32_t n)
{
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf_store(dst + i, gelu_v(vf_load(x + i)));
    }
    if (i < n) {
        vf_store_n(dst + i, gelu_v(vf_load_n(x + i, n - i)), n - i);
    }
}

static void relu(float *dst, const float *x, uint32_t n)
{
    const vf zero = vf_set(0.0f);
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf_store(dst + i, vf_max(zero, vf_load(x + i)));
    }
    if (i < n) {
        vf_store_n(dst + i, vf_max(zero, vf_load_n(x + i, n - i)), n - i);
    }
}

static void add(float *dst, const float *a, const float *b, uint32_t n)
{
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf_store(dst + i, vf_add(vf_load(a + i), vf_load(b + i)));
    }
    if (i < n) {
        vf_store_n(dst + i, vf_add(vf_load_n(a + i, n - i), vf_load_n(b + i, n - i)), n - i);
    }
}

static void to_f16(uint16_t *dst, const float *src, uint32_t n)
{
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf_store_f16(dst + i, vf_load(src + i));
    }
    for (; i < n; i++) {
        dst[i] = jb_f32_to_f16(src[i]);
    }
}

/* First the largest value, then where it first stands. NaN compares false, so it never wins. */
static uint32_t argmax(const float *x, uint32_t n)
{
    vf largest = vf_set(-INFINITY);
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        largest = vf_max(vf_load(x + i), largest);
    }
    float best = vf_largest(largest);
    for (; i < n; i++) {
        best = x[i] > best ? x[i] : best;
    }
    for (i = 0; i < n; i++) {
        if (x[i] == best) {
            return i;
        }
    }
    return 0;
}

/* One block of 32: amax / 127 is the scale, codes are rounded to nearest even. A value that is not
 * finite makes the scale NaN, so that it is not lost. */
static ALWAYS_INLINE void quantise_block(const float *x, int8_t *q, float *d, float *s,
                                         float s16[2])
{
    vf amax = vf_set(0.0f), zero = vf_set(0.0f);
    for (uint32_t i = 0; i < 32; i += LANES) {
        const vf v = vf_load(x + i);
        amax = vf_max(vf_abs(v), amax);
        zero = vf_fma(v, vf_set(0.0f), zero);
    }
    const float largest = vf_largest(amax);
    const float scale = largest / 127.0f + vf_sum(zero);
    /* Below 2^-119 the factor would be infinite; such a block is worth nothing and becomes zero. */
    const vf inv = vf_set(largest > 0x1p-119f ? 127.0f / largest : 0.0f);
    uint32_t sums[2] = {0, 0}; /* wraps, to no effect, where the scale is NaN */
    for (uint32_t i = 0; i < 32; i += LANES) {
        sums[i / 16] += (uint32_t)vf_to_i8(vf_load(x + i), inv, q + i);
    }
    *d = scale;
    *s = scale * (float)(int32_t)(sums[0] + sums[1]);
    s16[0] = scale * (float)(int32_t)sums[0];
    s16[1] = scale * (float)(int32_t)sums[1];
}

static void quantise(const float *x, uint32_t cols, uint32_t block_begin, uint32_t block_end,
                     int8_t *record)
{
    const uint32_t padded = jb_cpu_padded(cols);
    float *d = (float *)(void *)(record + padded);
    float *s = d + padded / 32;
    float *s16 = s + padded / 32;
    for (uint32_t b = block_begin; b < block_end; b++) {
        if (b * 32 < cols) {
            quantise_block(x + b * 32, record + b * 32, d + b, s + b, s16 + 2 * (size_t)b);
        } else {
            memset(record + b * 32, 0, 32);
            d[b] = s[b] = s16[2 * b] = s16[2 * b + 1] = 0.0f;
        }
    }
}
