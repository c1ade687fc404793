/* The inner loops, written once over a few vector macros and compiled once per instruction set (kernels_*.c).
 *
 * The including file defines: TARGET (function attribute), V and VI (float and int32 vectors of LANES), NV = PANEL /
 * LANES, LOAD,
 * STORE, SET1, ADD, MUL, FMA(x, y, z) = x * y + z, MAXIMUM, ABSOLUTE, LOADI, ZEROI, PAIR(p) (broadcast of two int16),
 * MADD(acc, a, b)
 * (acc + pairwise int16 products), OPAQUE(x) (the compiler may not know x any more), TO_FLOAT, LOAD16(p) (LANES int16
 * to float), STORE16(p, v) (rounded to int16), HMAX (largest lane),
 * BIG (rows per large block), ISA_NAME.
 *
 * Every output element is summed in one fixed order (terms, offsets, channels), whatever the block it falls into, so
 * results do not
 * depend on tiles or threads.
 */

#define FOR_V UNROLL for (int v = 0; v < NV; v++)
#define FOR_R UNROLL for (int r = 0; r < mr; r++)

INLINE TARGET void block_f32(const int mr, const float *const *a, float *const *c, const float *w, int channels) {
    V acc[BIG][NV];
    FOR_R FOR_V acc[r][v] = SET1(0.0f);
    for (int k = 0; k < channels; k++) {
        V b[NV];
        FOR_V b[v] = LOAD(w + k * PANEL + v * LANES);
        FOR_R {
            V x = SET1(a[r][k]);
            FOR_V acc[r][v] = FMA(x, b[v], acc[r][v]);
        }
    }
    FOR_R FOR_V STORE(c[r] + v * LANES, ADD(acc[r][v], LOAD(c[r] + v * LANES)));
}

INLINE TARGET void block_i16(const int mr, const int16_t *const *a, const float *scale, float *const *c,
        const int16_t *w,
                             int channels) {
    VI acc[BIG][NV];
    FOR_R FOR_V acc[r][v] = ZEROI();
    for (int k = 0; k < channels; k += 2) {
        VI b[NV];
        FOR_V b[v] = LOADI(w + k * PANEL + 2 * v * LANES);
        FOR_R {
            VI x = PAIR(a[r] + k);
            FOR_V acc[r][v] = MADD(acc[r][v], x, b[v]);
        }
    }
    FOR_R {
        V s = SET1(scale[r]);
        FOR_V STORE(c[r] + v * LANES, FMA(TO_FLOAT(acc[r][v]), s, LOAD(c[r] + v * LANES)));
    }
}

/* Asks for the input rows of the next block. Useful for the first panel only: later panels find the rows in cache. */
INLINE TARGET void prefetch_rows(const PairList *l, int64_t i, int64_t bytes_per_row, int64_t bytes) {
    if (!l->prefetch || !l->in) return;
    const int64_t end = i + BIG < l->count ? i + BIG : l->count;
    for (; i < end; i++) {
        const char *row = (const char *)l->rows + l->in[i] * bytes_per_row;
        for (int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(row + at);
    }
}

INLINE TARGET void pairs_f32(const int mr, const PairList *l, int64_t i) {
    const float *a[BIG];
    float *c[BIG];
    prefetch_rows(l, i + BIG, l->stride * (int64_t)sizeof(float), l->channels * (int64_t)sizeof(float));
    for (int r = 0; r < mr; r++) {
        const int64_t in = l->in ? l->in[i + r] : l->first + i + r;
        const int64_t out = (l->out ? l->out[i + r] : l->first + i + r) - l->base;
        a[r] = (const float *)l->rows + in * l->stride;
        c[r] = l->tile + out * l->tile_stride;
    }
    block_f32(mr, a, c, l->weights, l->channels);
}

INLINE TARGET void pairs_i16(const int mr, const PairList *l, int64_t i) {
    const int16_t *a[BIG];
    float scale[BIG];
    prefetch_rows(l, i + BIG, l->stride * (int64_t)sizeof(int16_t), l->channels * (int64_t)sizeof(int16_t));
    float *c[BIG];
    for (int r = 0; r < mr; r++) {
        const int64_t in = l->in ? l->in[i + r] : l->first + i + r;
        const int64_t out = (l->out ? l->out[i + r] : l->first + i + r) - l->base;
        a[r] = (const int16_t *)l->rows + in * l->stride;
        scale[r] = l->scales[in];
        c[r] = l->tile + out * l->tile_stride;
    }
    block_i16(mr, a, scale, c, l->weights, l->channels);
}

#define MULTIPLY(kind)                                                         \
    static TARGET void multiply_##kind(const PairList *l) {                    \
        int64_t i = 0;                                                         \
        for (; i + BIG <= l->count; i += BIG) pairs_##kind(BIG, l, i);         \
        if (BIG > 6 && i + 6 <= l->count) {                                    \
            pairs_##kind(6, l, i);                                             \
            i += 6;                                                            \
        }                                                                      \
        switch (l->count - i) {                                                \
        case 1: pairs_##kind(1, l, i); break;                                  \
        case 2: pairs_##kind(2, l, i); break;                                  \
        case 3: pairs_##kind(3, l, i); break;                                  \
        case 4: pairs_##kind(4, l, i); break;                                  \
        case 5: pairs_##kind(5, l, i); break;                                  \
        default: break;                                                        \
        }                                                                      \
    }
MULTIPLY(f32)
MULTIPLY(i16)

/* One panel of a finished row: scale, bias, residual, ReLU. */
INLINE TARGET void finish_panel(const Finish *j, int64_t row, int column, V *out) {
    const float *from = j->tile + (row - j->base) * j->tile_stride + column;
    FOR_V {
        const int at = column + v * LANES;
        V x = LOAD(from + v * LANES);
        V extra = SET1(0.0f);
        if (j->residual && j->residual_scale)
            extra = MUL(LOAD16((const int16_t *)j->residual + row * j->residual_stride + at),
                    SET1(j->residual_scale[row]));
        else if (j->residual)
            extra = LOAD((const float *)j->residual + row * j->residual_stride + at);
        if (j->column_scale) x = MUL(x, LOAD(j->column_scale + at));
        if (j->bias) x = ADD(x, LOAD(j->bias + at));
        if (j->residual && !j->residual_after_relu) x = ADD(x, extra);
        if (j->relu) x = MAXIMUM(x, SET1(0.0f));
        if (j->residual && j->residual_after_relu) x = ADD(x, extra);
        out[v] = x;
    }
}

static TARGET void finish(const Finish *j) {
    for (int64_t row = j->base; row < j->base + j->rows; row++) {
        V x[NV];
        if (!j->out_scale) {
            float *to = (float *)j->out + row * j->out_stride;
            for (int column = 0; column < j->width; column += PANEL) {
                finish_panel(j, row, column, x);
                FOR_V STORE(to + column + v * LANES, x[v]);
            }
            continue;
        }
        /* Quantised rows: the finished values wait in the tile until the row's largest is known. */
        float *wait = (float *)j->tile + (row - j->base) * j->tile_stride;
        V largest = SET1(0.0f);
        for (int column = 0; column < j->width; column += PANEL) {
            finish_panel(j, row, column, x);
            FOR_V {
                largest = MAXIMUM(largest, ABSOLUTE(x[v]));
                STORE(wait + column + v * LANES, x[v]);
            }
        }
        const float most = HMAX(largest);
        const V factor = SET1(most > 0 ? (float)ACTIVATION_MAX / most : 0.0f);
        int16_t *to = (int16_t *)j->out + row * j->out_stride;
        for (int column = 0; column < j->width; column += LANES) STORE16(to + column, MUL(LOAD(wait + column), factor));
        j->out_scale[row] = most / (float)ACTIVATION_MAX;
    }
}

/* dw[c .. c + mr][panel] += sum over rows p of x[p][c + r] * g[p][panel]. */
INLINE TARGET void outer_block(const int mr, const float *x, int64_t x_stride, const float *g, int64_t g_stride,
                               int64_t count, float *dw, int64_t dw_stride) {
    V acc[BIG][NV];
    FOR_R FOR_V acc[r][v] = LOAD(dw + r * dw_stride + v * LANES);
    for (int64_t p = 0; p < count; p++, x += x_stride, g += g_stride) {
        V y[NV];
        FOR_V y[v] = LOAD(g + v * LANES);
        FOR_R {
            V s = SET1(x[r]);
            FOR_V acc[r][v] = FMA(s, y[v], acc[r][v]);
        }
    }
    FOR_R FOR_V STORE(dw + r * dw_stride + v * LANES, acc[r][v]);
}

static TARGET void outer_f32(const float *x, int64_t x_stride, const float *g, int64_t g_stride, int64_t count,
        int channels,
                             int width, float *dw, int64_t dw_stride) {
    for (int column = 0; column < width; column += PANEL) {
        int c = 0;
        for (; c + BIG <= channels; c += BIG)
            outer_block(BIG, x + c, x_stride, g + column, g_stride, count, dw + c * dw_stride + column, dw_stride);
        for (; c + 4 <= channels; c += 4)
            outer_block(4, x + c, x_stride, g + column, g_stride, count, dw + c * dw_stride + column, dw_stride);
        for (; c < channels; c++)
            outer_block(1, x + c, x_stride, g + column, g_stride, count, dw + c * dw_stride + column, dw_stride);
    }
}

static TARGET void interpolate(const void *rows, const float *scales, int64_t stride, const int32_t *corners,
                               const float *weights, int64_t begin, int64_t end, int width, float *out,
                                       int64_t out_stride,
                               int add) {
    for (int64_t p = begin; p < end; p++) {
        int64_t at[8];
        float share[8];
        int known = 0;
        for (int c = 0; c < 8; c++) {
            if (weights[p * 8 + c] == 0.0f) continue;
            at[known] = corners[p * 8 + c];
            share[known] = scales ? weights[p * 8 + c] * scales[at[known]] : weights[p * 8 + c];
            known++;
        }
        float *to = out + p * out_stride;
        for (int column = 0; column < width; column += LANES) {
            V sum = add ? LOAD(to + column) : SET1(0.0f);
            for (int c = 0; c < known; c++) {
                const V row = scales ? LOAD16((const int16_t *)rows + at[c] * stride + column)
                                     : LOAD((const float *)rows + at[c] * stride + column);
                sum = FMA(row, SET1(share[c]), sum);
            }
            STORE(to + column, sum);
        }
    }
}

/* Arithmetic floor: the same accumulators as the inner loop, operands in registers. Returns a value so that nothing
 * is removed. */
enum { PEAK_ROWS = 12 / NV, PEAK_WIDTH = PEAK_ROWS * NV * LANES };

static TARGET double peak_f32(int64_t rounds) {
    enum { mr = PEAK_ROWS };
    V acc[mr][NV], x = SET1(0.999999f), y = SET1(1e-9f);
    FOR_R FOR_V acc[r][v] = SET1((float)(r * NV + v + rounds));
    for (int64_t i = 0; i < rounds; i++) FOR_R FOR_V acc[r][v] = FMA(acc[r][v], x, y);
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
            FOR_V {
                acc[r][v] = MADD(acc[r][v], x, b);
                OPAQUE(b);
            }
        }
    }
    V sum = SET1(0.0f);
    FOR_R FOR_V sum = ADD(sum, TO_FLOAT(acc[r][v]));
    STORE(total, sum);
    return total[0];
}
