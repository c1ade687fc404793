/* Loops over rows, written once over a few vector macros and compiled once per instruction set (kernels_*.c).
 *
 * The including file defines: TARGET (function attribute), V and VI (float and int32 vectors of LANES), NV = PANEL /
 * LANES, LOAD, STORE, SET1, ADD, MUL, FMA(x, y, z) = x * y + z, MAXIMUM, ABSOLUTE, LOADI, ZEROI, PAIR(p) (broadcast of
 * two int16), ACCUMULATE(acc, x, y), ACCUMULATE16 (acc + pairwise int16 products), DOT8 or MULTIPLY8, ACCUMULATE8 and
 * WIDEN8, OPAQUE(x) (the compiler may not know x any more), TO_FLOAT, LOAD16(p) (LANES int16 to float), STORE16(p, v)
 * (rounded to int16), LOAD8, STORE8, HMAX (largest lane), SPREAD(p) (broadcast of a float in memory), ROWS_F32,
 * ROWS_I16 and ROWS_U8 (rows of a large block), SUMS_F32, SUMS_I16 and SUMS_U8 (registers that hold a block's sums),
 * MOST_PANELS (side by side in a block), FEW (loops over few panels are written out), ISA_NAME. */

#include <string.h>

#include "multiply_body.h"

#include "finish_body.h"

enum { OUTER_ROWS = NV < 3 ? 12 / NV : 4 };

/* dw[c .. c + mr][panel] += sum over rows p of x[p][c + r] * g[p][panel]. */
INLINE TARGET void outer_block(const int mr, const float *x, int64_t x_stride, const float *g, int64_t g_stride,
                               int64_t count, float *dw, int64_t dw_stride) {
    V acc[OUTER_ROWS][NV];
    FOR_R FOR_V acc[r][v] = LOAD(dw + r * dw_stride + v * LANES);
    for (int64_t p = 0; p < count; p++, x += x_stride, g += g_stride) {
        V y[NV];
        FOR_V y[v] = LOAD(g + v * LANES);
        FOR_R {
            V s = SPREAD(x + r);
            FOR_V acc[r][v] = FMA(s, y[v], acc[r][v]);
        }
    }
    FOR_R FOR_V STORE(dw + r * dw_stride + v * LANES, acc[r][v]);
}

static TARGET void outer_f32(const float *x, int64_t x_stride, const float *g, int64_t g_stride, int64_t count,
                             int channels, int width, float *dw, int64_t dw_stride) {
    for (int column = 0; column < width; column += PANEL) {
        int c = 0;
        for (; c + OUTER_ROWS <= channels; c += OUTER_ROWS)
            outer_block(OUTER_ROWS, x + c, x_stride, g + column, g_stride, count, dw + c * dw_stride + column,
                        dw_stride);
        for (; c + 4 <= channels; c += 4)
            outer_block(4, x + c, x_stride, g + column, g_stride, count, dw + c * dw_stride + column, dw_stride);
        for (; c < channels; c++)
            outer_block(1, x + c, x_stride, g + column, g_stride, count, dw + c * dw_stride + column, dw_stride);
    }
}

static TARGET void interpolate(int kind, const void *rows, const float *scales, int64_t stride, const int32_t *corners,
                               const float *weights, int64_t begin, int64_t end, int width, float *out,
                               int64_t out_stride, int add) {
    for (int64_t p = begin; p < end; p++) {
        int64_t at[8];
        float share[8];
        int known = 0;
        for (int c = 0; c < 8; c++) {
            if (weights[p * 8 + c] == 0.0f) continue;
            at[known] = corners[p * 8 + c];
            share[known] = kind != FLOAT ? weights[p * 8 + c] * scales[at[known]] : weights[p * 8 + c];
            known++;
        }
        float *to = out + p * out_stride;
        for (int column = 0; column < width; column += LANES) {
            V sum = add ? LOAD(to + column) : SET1(0.0f);
            for (int c = 0; c < known; c++) {
                sum = FMA(load_kind(kind, rows, at[c] * stride + column), SET1(share[c]), sum);
            }
            STORE(to + column, sum);
        }
    }
}

/* Arithmetic floor: the same accumulators as the inner loop, operands in registers. Returns a value so that nothing
 * is removed. */
enum { PEAK_ROWS = 12 / NV, PEAK_WIDTH = PEAK_ROWS * NV * LANES, PEAK_ROWS8 = NV == 1 ? 12 : ROWS_U8 };

static TARGET double peak_f32(int64_t rounds) {
    enum { mr = PEAK_ROWS };
    V acc[mr][NV], x = SET1(0.999999f), y = SET1(1e-9f);
    FOR_R FOR_V acc[r][v] = SET1((float)(r * NV + v + rounds));
    for (int64_t i = 0; i < rounds; i++) FOR_R FOR_V ACCUMULATE(acc[r][v], x, y);
    float total[LANES];
    FOR_R FOR_V if (r + v) acc[0][0] = ADD(acc[0][0], acc[r][v]);
    STORE(total, acc[0][0]);
    return total[0];
}

static TARGET double peak_i16(int64_t rounds) {
    enum { mr = PEAK_ROWS };
    int16_t ones[2 * LANES], many[2 * 12];
    float total[LANES];
    for (int i = 0; i < 2 * LANES; i++) ones[i] = (int16_t)(rounds + i);
    for (int i = 0; i < 2 * 12; i++) many[i] = (int16_t)(rounds * i);
    VI acc[mr][NV], b = LOADI(ones);
    FOR_R FOR_V acc[r][v] = PAIR(many + 2 * (r * NV + v));
    for (int64_t i = 0; i < rounds; i++) {
        FOR_R {
            VI x = b;
            OPAQUE(x); /* or the products, all alike, would be computed once */
            FOR_V ACCUMULATE16(acc[r][v], x, b);
        }
    }
    V sum = SET1(0.0f);
    FOR_R FOR_V sum = ADD(sum, TO_FLOAT(acc[r][v]));
    STORE(total, sum);
    return total[0];
}

/* As in the inner loop: sums in 16 bits are taken to 32 bits at every fourth step. */
static TARGET double peak_u8(int64_t rounds) {
    enum { mr = PEAK_ROWS8 };
    int8_t ones[4 * LANES];
    float total[LANES];
    for (int i = 0; i < 4 * LANES; i++) ones[i] = (int8_t)(rounds & 1);
    VI acc[mr][NV], b = LOADI(ones);
    FOR_R FOR_V acc[r][v] = b;
    for (int64_t i = 0; i < rounds; i++) {
#ifdef DOT8
        for (int k = 0; k < 4; k++) FOR_R FOR_V DOT8(acc[r][v], b, b);
#else
        VI half[mr][NV];
        FOR_R FOR_V MULTIPLY8(half[r][v], b, b);
        UNROLL for (int k = 0; k < 3; k++) FOR_R FOR_V ACCUMULATE8(half[r][v], b, b);
        FOR_R FOR_V WIDEN8(acc[r][v], half[r][v]);
#endif
    }
    V sum = SET1(0.0f);
    FOR_R FOR_V sum = ADD(sum, TO_FLOAT(acc[r][v]));
    STORE(total, sum);
    return total[0];
}

#define ISA_ENTRIES                                                                                                  \
    ISA_NAME, {multiply_f32, multiply_i16, multiply_u8}, finish, outer_f32, interpolate, best_class,         \
        {peak_f32, peak_i16, peak_u8}, {PEAK_WIDTH, 2 * PEAK_WIDTH, 4 * 4 * PEAK_ROWS8 * NV * LANES}
