/* Dense chains of any structure, compiled once for each CPU; the sums have the kernels' bits.
 *
 * A layer's numbers are panels of PANEL outputs, [bias of the panel][input][output], the last panel
 * as wide as it must be in vectors. An output is one fma chain over ascending inputs that starts at
 * the bias, or `chains` interleaved ones, of which all but the first start at -0. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "dense.h"

#if defined(__AVX512F__)
#include <immintrin.h>
typedef __m512 vec;
#define WIDTH 16
#define OUTPUTS 12
static inline vec load(const float *p) { return _mm512_loadu_ps(p); }
static inline void store(float *p, vec a) { _mm512_storeu_ps(p, a); }
static inline vec all(float a) { return _mm512_set1_ps(a); }
static inline vec fma_(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
static inline vec add(vec a, vec b) { return _mm512_add_ps(a, b); }
#elif defined(__AVX__) && defined(__FMA__)
#include <immintrin.h>
typedef __m256 vec;
#define WIDTH 8
#define OUTPUTS 6
static inline vec load(const float *p) { return _mm256_loadu_ps(p); }
static inline void store(float *p, vec a) { _mm256_storeu_ps(p, a); }
static inline vec all(float a) { return _mm256_set1_ps(a); }
static inline vec fma_(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline vec add(vec a, vec b) { return _mm256_add_ps(a, b); }
#elif defined(__aarch64__)
#include <arm_neon.h>
typedef float32x4_t vec;
#define WIDTH 4
#define OUTPUTS 8
static inline vec load(const float *p) { return vld1q_f32(p); }
static inline void store(float *p, vec a) { vst1q_f32(p, a); }
static inline vec all(float a) { return vdupq_n_f32(a); }
static inline vec fma_(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
static inline vec add(vec a, vec b) { return vaddq_f32(a, b); }
#elif defined(__SSE2__)
#include <emmintrin.h>
typedef __m128 vec;
#define WIDTH 4
#define OUTPUTS 4
static inline vec load(const float *p) { return _mm_loadu_ps(p); }
static inline void store(float *p, vec a) { _mm_storeu_ps(p, a); }
static inline vec all(float a) { return _mm_set1_ps(a); }
static inline vec add(vec a, vec b) { return _mm_add_ps(a, b); }
/* The lower two lanes: an exact product, and a sum in float64 that is rounded to odd on the way. */
static inline vec half_fma(vec a, vec b, vec c) {
    const __m128d product = _mm_mul_pd(_mm_cvtps_pd(a), _mm_cvtps_pd(b)), z = _mm_cvtps_pd(c);
    const __m128d total = _mm_add_pd(product, z), back = _mm_sub_pd(total, product);
    const __m128d rest = _mm_sub_pd(product, _mm_sub_pd(total, back));
    const __m128d outward = _mm_mul_pd(_mm_add_pd(rest, _mm_sub_pd(z, back)), total);
    const __m128d over = _mm_cmplt_pd(outward, _mm_setzero_pd());
    const __m128d under = _mm_cmpgt_pd(outward, _mm_setzero_pd());
    const __m128i odd = _mm_srli_epi64(_mm_castpd_si128(_mm_or_pd(over, under)), 63);
    const __m128i lower = _mm_add_epi64(_mm_castpd_si128(total), _mm_castpd_si128(over));
    return _mm_cvtpd_ps(_mm_castsi128_pd(_mm_or_si128(lower, odd)));
}
static inline vec fma_(vec a, vec b, vec c) {
    const vec low = half_fma(a, b, c);
    return _mm_movelh_ps(low, half_fma(_mm_movehl_ps(a, a), _mm_movehl_ps(b, b), _mm_movehl_ps(c, c)));
}
#else
typedef struct {
    float lane[4];
} vec;
#define WIDTH 4
#define OUTPUTS 4
#define EACH for (int i = 0; i < WIDTH; i++)
static inline vec load(const float *p) { vec a; EACH a.lane[i] = p[i]; return a; }
static inline void store(float *p, vec a) { EACH p[i] = a.lane[i]; }
static inline vec all(float a) { vec b; EACH b.lane[i] = a; return b; }
static inline vec fma_(vec a, vec b, vec c) { EACH c.lane[i] = fmaf(a.lane[i], b.lane[i], c.lane[i]); return c; }
static inline vec add(vec a, vec b) { EACH a.lane[i] += b.lane[i]; return a; }
#endif

#define LANES (2 * WIDTH)
#define PANEL (4 * WIDTH)
#define MOST_CHAINS 8

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

FUNCTIONS

static uint64_t padded(uint64_t outputs) { return (outputs + WIDTH - 1) / WIDTH * WIDTH; }

static uint64_t floats_of(uint64_t outputs, uint64_t inputs) { return padded(outputs) * (inputs + 1); }

/* Place of an output's bias (row 0) or of its weight for input row - 1. */
static uint64_t place_of(uint64_t outputs, uint64_t inputs, uint64_t output, uint64_t row) {
    const uint64_t first = output / PANEL * PANEL, left = outputs - first;
    const uint64_t width = padded(left < PANEL ? left : PANEL);
    return first * (inputs + 1) + row * width + output - first;
}

static void activate(uint32_t activation, float *values, uint64_t count) {
    if (activation == 1)
        for (uint64_t i = 0; i < count; i++) values[i] = ij_relu(values[i]);
    else if (activation == 2)
        for (uint64_t i = 0; i < count; i++) values[i] = ij_sigmoid(values[i]);
    else if (activation == 3)
        for (uint64_t i = 0; i < count; i++) values[i] = ij_tanh(values[i]);
}

/* `count` outputs of a tile: weights broadcast, lanes are rows. */
INLINE void tile_block(const int count, uint64_t inputs, uint64_t chains, const float *weights,
                       uint64_t width, const float *bias, const float *from, float *to) {
    vec sums[MOST_CHAINS][OUTPUTS][2];
    for (uint64_t c = 0; c < chains; c++) {
        vec sum[OUTPUTS][2];
        for (int o = 0; o < count; o++) sum[o][0] = sum[o][1] = all(c ? -0.0f : bias[o]);
        for (uint64_t i = c; i < inputs; i += chains) {
            const vec a = load(from + i * LANES), b = load(from + i * LANES + WIDTH);
            const float *w = weights + i * width;
            for (int o = 0; o < count; o++) {
                const vec each = all(w[o]);
                sum[o][0] = fma_(each, a, sum[o][0]);
                sum[o][1] = fma_(each, b, sum[o][1]);
            }
        }
        for (int o = 0; o < count; o++) sums[c][o][0] = sum[o][0], sums[c][o][1] = sum[o][1];
    }
    for (uint64_t half = chains / 2; half; half /= 2)
        for (uint64_t c = 0; c < half; c++)
            for (int o = 0; o < count; o++)
                for (int v = 0; v < 2; v++) sums[c][o][v] = add(sums[c][o][v], sums[c + half][o][v]);
    for (int o = 0; o < count; o++)
        for (int v = 0; v < 2; v++) store(to + o * LANES + v * WIDTH, sums[0][o][v]);
}

static void tile_layer(const dense_layer *layer, const float *k, const float *from, float *to) {
    const uint64_t inputs = layer->inputs, outputs = layer->outputs;
    for (uint64_t first = 0; first < outputs;) {
        const uint64_t left = outputs - first, inside = first % PANEL;
        const uint64_t panel = outputs - (first - inside) < PANEL ? outputs - (first - inside) : PANEL;
        uint64_t count = panel - inside < OUTPUTS ? panel - inside : OUTPUTS;
        if (count > left) count = left;
        const float *bias = k + layer->at + place_of(outputs, inputs, first, 0);
        const uint64_t width = padded(panel);
#define CASE(n)                                                                                   \
    case n:                                                                                       \
        tile_block(n, inputs, layer->chains, bias + width, width, bias, from, to + first * LANES); \
        break;
        switch (count) {
            CASE(1) CASE(2) CASE(3) CASE(4)
#if OUTPUTS > 4
            CASE(5) CASE(6)
#endif
#if OUTPUTS > 6
            CASE(7) CASE(8)
#endif
#if OUTPUTS > 8
            CASE(9) CASE(10) CASE(11) CASE(12)
#endif
        }
#undef CASE
        first += count;
    }
    activate(layer->activation, to, outputs * LANES);
}

/* `vectors` vectors of outputs of one row: the input broadcast, lanes are outputs. */
INLINE void row_block(const int vectors, uint64_t inputs, uint64_t chains, const float *panel,
                      uint64_t width, const float *from, float *to) {
    vec sums[MOST_CHAINS][4];
    for (uint64_t c = 0; c < chains; c++) {
        vec sum[4];
        for (int v = 0; v < vectors; v++) sum[v] = c ? all(-0.0f) : load(panel + v * WIDTH);
        for (uint64_t i = c; i < inputs; i += chains) {
            const vec x = all(from[i]);
            const float *w = panel + (i + 1) * width;
            for (int v = 0; v < vectors; v++) sum[v] = fma_(load(w + v * WIDTH), x, sum[v]);
        }
        for (int v = 0; v < vectors; v++) sums[c][v] = sum[v];
    }
    for (uint64_t half = chains / 2; half; half /= 2)
        for (uint64_t c = 0; c < half; c++)
            for (int v = 0; v < vectors; v++) sums[c][v] = add(sums[c][v], sums[c + half][v]);
    for (int v = 0; v < vectors; v++) store(to + v * WIDTH, sums[0][v]);
}

static void row_layer(const dense_layer *layer, const float *k, const float *from, float *to) {
    const uint64_t inputs = layer->inputs, outputs = layer->outputs;
    for (uint64_t first = 0; first < outputs; first += PANEL) {
        const uint64_t left = outputs - first, width = padded(left < PANEL ? left : PANEL);
        const float *panel = k + layer->at + first * (inputs + 1);
#define CASE(n)                                                                   \
    case n:                                                                       \
        row_block(n, inputs, layer->chains, panel, width, from, to + first);      \
        break;
        switch (width / WIDTH) { CASE(1) CASE(2) CASE(3) CASE(4) }
#undef CASE
    }
    activate(layer->activation, to, outputs);
}

/* Rows from x to [column][lane]; lanes past the last row repeat it. */
static void take(const float *x, uint64_t width, uint64_t count, float *s) {
    for (uint64_t lane = 0; lane < LANES; lane++) {
        const float *row = x + (lane < count ? lane : count - 1) * width;
        for (uint64_t i = 0; i < width; i++) s[i * LANES + lane] = row[i];
    }
}

static void give(float *y, uint64_t width, uint64_t count, const float *s) {
    for (uint64_t lane = 0; lane < count; lane++)
        for (uint64_t i = 0; i < width; i++) y[lane * width + i] = s[i * LANES + lane];
}

static void tiles(const dense_plan *plan, const float *x, float *y, uint64_t rows, float *s) {
    const uint64_t in = plan->layers[0].inputs, out = plan->layers[plan->count - 1].outputs;
    const uint64_t whole = rows < LANES ? rows : LANES;
    for (uint64_t row = 0; row < rows; row += LANES) {
        const uint64_t first = row + whole > rows ? rows - whole : row;
        float *from = s, *to = s + plan->widest * LANES;
        take(x + first * in, in, whole, from);
        for (uint32_t i = 0; i < plan->count; i++) {
            tile_layer(&plan->layers[i], plan->k, from, to);
            float *held = from;
            from = to, to = held;
        }
        give(y + first * out, out, whole, from);
    }
}

static void row(const dense_plan *plan, const float *x, float *y, float *s) {
    const uint32_t last = plan->count - 1;
    const float *from = x;
    float *to = s, *other = s + plan->widest;
    for (uint32_t i = 0; i <= last; i++) {
        row_layer(&plan->layers[i], plan->k, from, to);
        from = to, to = other, other = (float *)from;
    }
    memcpy(y, from, plan->layers[last].outputs * sizeof *y);
}

const dense_code DENSE_CODE = {LANES, WIDTH, floats_of, place_of, tiles, row};
