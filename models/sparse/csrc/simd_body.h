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

#include <string.h>

#define AHEAD 8 /* rows, when gathering */

#define FOR_V UNROLL for (int v = 0; v < NV; v++)
#define FOR_R UNROLL for (int r = 0; r < mr; r++)

/* Rows are addressed from every third one, so that three pointers (of six or twelve) and one stride are enough. */
#define ROW(a, r) ((a)[(r) / 3] + (r) % 3 * stride)
#define FOR_BASES UNROLL for (int r = 0; r < mr; r += 3)

INLINE TARGET void block_f32(const int mr, const PairList *l, int64_t i, float *const *c) {
    const int64_t stride = l->stride;
    const float *a[(BIG + 2) / 3], *w = l->weights;
    V acc[BIG][NV];
    FOR_BASES a[r / 3] = (const float *)l->rows + (i + r) * stride;
    FOR_R FOR_V acc[r][v] = SET1(0.0f);
#define STEP_F32(k) do {                                                       \
        V b[NV];                                                               \
        FOR_V b[v] = LOAD(w + (k) * PANEL + v * LANES);                        \
        FOR_R {                                                                \
            V x = SET1(ROW(a, r)[k]);                                          \
            FOR_V ACCUMULATE(acc[r][v], x, b[v]);                              \
        }                                                                      \
    } while (0)
    int left = l->channels;
    for (; left >= 4; left -= 4) {
        STEP_F32(0);
        STEP_F32(1);
        STEP_F32(2);
        STEP_F32(3);
        FOR_BASES a[r / 3] += 4;
        w += 4 * PANEL;
    }
    for (; left > 0; left--) {
        STEP_F32(0);
        FOR_BASES a[r / 3] += 1;
        w += PANEL;
    }
    if (l->write) FOR_R FOR_V STORE(c[r] + v * LANES, acc[r][v]);
    else FOR_R FOR_V STORE(c[r] + v * LANES, ADD(acc[r][v], LOAD(c[r] + v * LANES)));
}

INLINE TARGET void block_i16(const int mr, const PairList *l, int64_t i, float *const *c) {
    const int64_t stride = l->stride;
    const int16_t *a[(BIG + 2) / 3], *w = l->weights;
    VI acc[BIG][NV];
    FOR_BASES a[r / 3] = (const int16_t *)l->rows + (i + r) * stride;
    FOR_R FOR_V acc[r][v] = ZEROI();
#define STEP_I16(k) do {                                                       \
        VI b[NV];                                                              \
        FOR_V b[v] = LOADI(w + (k) * PANEL + 2 * v * LANES);                   \
        FOR_R {                                                                \
            VI x = PAIR(ROW(a, r) + (k));                                      \
            FOR_V ACCUMULATE16(acc[r][v], x, b[v]);                            \
        }                                                                      \
    } while (0)
    int left = l->channels;
    for (; left >= 8; left -= 8) {
        STEP_I16(0);
        STEP_I16(2);
        STEP_I16(4);
        STEP_I16(6);
        FOR_BASES a[r / 3] += 8;
        w += 8 * PANEL;
    }
    for (; left > 0; left -= 2) {
        STEP_I16(0);
        FOR_BASES a[r / 3] += 2;
        w += 2 * PANEL;
    }
    FOR_R {
        V s = SET1(l->scales[i + r]);
        if (l->write) FOR_V STORE(c[r] + v * LANES, MUL(TO_FLOAT(acc[r][v]), s));
        else FOR_V STORE(c[r] + v * LANES, FMA(TO_FLOAT(acc[r][v]), s, LOAD(c[r] + v * LANES)));
    }
}

/* Four channels to a step. Sums of four steps fit 16 bits (the weights are scaled so), where the processor has no
 * instruction that goes to 32 bits at once. */
INLINE TARGET void block_u8(const int mr, const PairList *l, int64_t i, float *const *c) {
    const int64_t stride = l->stride;
    const uint8_t *a[(BIG + 2) / 3];
    const int8_t *w = l->weights;
    VI acc[BIG8][NV];
    FOR_BASES a[r / 3] = (const uint8_t *)l->rows + (i + r) * stride;
    FOR_R FOR_V acc[r][v] = ZEROI();
#define STEP_U8(k, ACCUMULATE8)                                                \
    do {                                                                       \
        VI b[NV];                                                              \
        FOR_V b[v] = LOADI(w + (k) * PANEL + 4 * v * LANES);                   \
        FOR_R {                                                                \
            VI x = PAIR(ROW(a, r) + (k));                                      \
            FOR_V ACCUMULATE8(x, b[v]);                                        \
        }                                                                      \
    } while (0)
    for (int left = l->channels; left > 0; left -= 16) {
#ifdef DOT8
#define DOT(x, y) DOT8(acc[r][v], x, y)
        STEP_U8(0, DOT);
        STEP_U8(4, DOT);
        STEP_U8(8, DOT);
        STEP_U8(12, DOT);
#undef DOT
#else
        VI half[BIG8][NV];
#define FIRST(x, y) MULTIPLY8(half[r][v], x, y)
#define OTHER(x, y) ACCUMULATE8(half[r][v], x, y)
        STEP_U8(0, FIRST);
        STEP_U8(4, OTHER);
        STEP_U8(8, OTHER);
        STEP_U8(12, OTHER);
        FOR_R FOR_V WIDEN8(acc[r][v], half[r][v]);
#undef FIRST
#undef OTHER
#endif
        FOR_BASES a[r / 3] += 16;
        w += 16 * PANEL;
    }
    FOR_R {
        V s = SET1(l->scales[i + r]);
        if (l->write) FOR_V STORE(c[r] + v * LANES, MUL(TO_FLOAT(acc[r][v]), s));
        else FOR_V STORE(c[r] + v * LANES, FMA(TO_FLOAT(acc[r][v]), s, LOAD(c[r] + v * LANES)));
    }
}

INLINE TARGET void ask_for_next(const PairList *l, int64_t i, int64_t rows) {
    const int64_t end = i + rows < l->ahead ? i + rows : l->ahead;
    for (; i < end; i++) {
        const char *row = l->ahead_rows + l->ahead_in[i] * l->ahead_stride;
        for (int64_t at = 0; at < l->ahead_bytes; at += 64) __builtin_prefetch(row + at);
    }
}

#define PAIRS(kind)                                                            \
    INLINE TARGET void pairs_##kind(const int mr, const PairList *l, int64_t i) { \
        float *c[BIG];                                                         \
        ask_for_next(l, i, mr);                                                \
        FOR_R c[r] = l->tile + (l->out ? l->out[i + r] : l->first + i + r) * PANEL; \
        block_##kind(mr, l, i, c);                                             \
    }
PAIRS(f32)
PAIRS(i16)
PAIRS(u8)

#define MULTIPLY(kind, most)                                                   \
    static TARGET void multiply_##kind(const PairList *l) {                    \
        int64_t i = 0;                                                         \
        for (; i + most <= l->count; i += most) pairs_##kind(most, l, i);      \
        if (most > 6 && i + 6 <= l->count) {                                   \
            pairs_##kind(most > 6 ? 6 : 1, l, i);                             \
            i += 6;                                                            \
        }                                                                      \
        switch (l->count - i) {                                                \
        case 1: pairs_##kind(1, l, i); break;                                  \
        case 2: pairs_##kind(2, l, i); break;                                  \
        case 3: pairs_##kind(most > 3 ? 3 : 1, l, i); break;                  \
        case 4: pairs_##kind(most > 3 ? 4 : 1, l, i); break;                  \
        case 5: pairs_##kind(most > 3 ? 5 : 1, l, i); break;                  \
        default: break;                                                        \
        }                                                                      \
    }
MULTIPLY(f32, BIG)
MULTIPLY(i16, BIG)
MULTIPLY(u8, BIG8)

INLINE TARGET void gather_rows(const void *rows, int64_t stride, const int32_t *in, int64_t count, const int64_t bytes,
                               char *to, int64_t step) {
    for (int64_t i = 0; i < count; i++, to += step) memcpy(to, (const char *)rows + in[i] * stride, (size_t)bytes);
}

/* Rows of `in` side by side: to + i * step bytes. Sizes that networks have are copied without loops. */
static TARGET void gather(const void *rows, int64_t stride, const int32_t *in, int64_t count, int64_t bytes, char *to,
                          int64_t step) {
    switch (bytes) {
    case 16: gather_rows(rows, stride, in, count, 16, to, step); break;
    case 32: gather_rows(rows, stride, in, count, 32, to, step); break;
    case 48: gather_rows(rows, stride, in, count, 48, to, step); break;
    case 64: gather_rows(rows, stride, in, count, 64, to, step); break;
    case 96: gather_rows(rows, stride, in, count, 96, to, step); break;
    case 128: gather_rows(rows, stride, in, count, 128, to, step); break;
    case 192: gather_rows(rows, stride, in, count, 192, to, step); break;
    case 256: gather_rows(rows, stride, in, count, 256, to, step); break;
    default:
        for (int64_t i = 0; i < count; i++, to += step) {
            const char *from = (const char *)rows + in[i] * stride;
            int64_t at = 0;
            for (; at + 4 * LANES <= bytes; at += 4 * LANES) STORE((float *)(to + at), LOAD((const float *)(from + at)));
            for (; at < bytes; at += 4) memcpy(to + at, from + at, 4);
        }
    }
}

INLINE TARGET V load_kind(int kind, const void *rows, int64_t at) {
    return kind == FLOAT ? LOAD((const float *)rows + at) : kind == INT16 ? LOAD16((const int16_t *)rows + at)
                                                                          : LOAD8((const uint8_t *)rows + at);
}

/* One panel of a finished row: scale, bias, residual, ReLU. */
INLINE TARGET void finish_panel(const int residual, const Finish *j, int64_t row, int column, V *out) {
    const float *from = j->tile + column * j->panel_rows + (row - j->base) * PANEL;
    FOR_V {
        const int at = column + v * LANES;
        V x = LOAD(from + v * LANES), extra = SET1(0.0f);
        if (residual) {
            extra = load_kind(j->residual_kind, j->residual, row * j->residual_stride + at);
            if (j->residual_kind != FLOAT) extra = MUL(extra, SET1(j->residual_scale[row]));
        }
        if (j->column_scale) x = MUL(x, LOAD(j->column_scale + at));
        if (j->bias) x = ADD(x, LOAD(j->bias + at));
        if (residual && !j->residual_after_relu) x = ADD(x, extra);
        if (j->relu) x = MAXIMUM(x, SET1(0.0f));
        if (residual && j->residual_after_relu) x = ADD(x, extra);
        out[v] = x;
    }
}

INLINE TARGET void finish_float(const int residual, const Finish *j) {
    for (int64_t row = j->base; row < j->base + j->rows; row++) {
        float *to = (float *)j->out + row * j->out_stride;
        V x[NV];
        if (row + AHEAD < j->base + j->rows)
            for (int c = 0; c < j->width; c += 16) __builtin_prefetch(to + AHEAD * j->out_stride + c, 1);
        for (int column = 0; column < j->width; column += PANEL) {
            finish_panel(residual, j, row, column, x);
            FOR_V STORE(to + column + v * LANES, x[v]);
        }
    }
}

/* The finished values wait in the tile until the row's largest is known. */
INLINE TARGET void finish_quantised(const int kind, const int residual, const Finish *j) {
    const float limit = kind == INT16 ? INT16_MAXIMUM : UINT8_MAXIMUM;
    for (int64_t row = j->base; row < j->base + j->rows; row++) {
        float *wait = j->tile + (row - j->base) * PANEL;
        V largest = SET1(0.0f), x[NV];
        for (int column = 0; column < j->width; column += PANEL) {
            finish_panel(residual, j, row, column, x);
            FOR_V {
                largest = MAXIMUM(largest, ABSOLUTE(x[v]));
                STORE(wait + column * j->panel_rows + v * LANES, x[v]);
            }
        }
        const float most = HMAX(largest);
        const int some = most > 1e-30f; /* less than that has no reciprocal */
        const V factor = SET1(some ? limit / most : 0.0f);
        for (int column = 0; column < j->width; column += PANEL) {
            const float *from = wait + column * j->panel_rows;
            const int64_t to = row * j->out_stride + column;
            if (kind == INT16)
                FOR_V STORE16((int16_t *)j->out + to + v * LANES, MUL(LOAD(from + v * LANES), factor));
            else
                FOR_V STORE8((uint8_t *)j->out + to + v * LANES, MUL(LOAD(from + v * LANES), factor));
        }
        j->out_scale[row] = some ? most / limit : 0.0f;
    }
}

static TARGET void finish(const Finish *j) {
    const int residual = j->residual != NULL;
    switch (2 * j->out_kind + residual) {
    case 2 * FLOAT: finish_float(0, j); break;
    case 2 * FLOAT + 1: finish_float(1, j); break;
    case 2 * INT16: finish_quantised(INT16, 0, j); break;
    case 2 * INT16 + 1: finish_quantised(INT16, 1, j); break;
    case 2 * UINT8: finish_quantised(UINT8, 0, j); break;
    default: finish_quantised(UINT8, 1, j); break;
    }
}

/* dw[c .. c + mr][panel] += sum over rows p of x[p][c + r] * g[p][panel]. */
INLINE TARGET void outer_block(const int mr, const float *x, int64_t x_stride, const float *g, int64_t g_stride,
                               int64_t count, float *dw, int64_t dw_stride) {
    V acc[BIG > 4 ? BIG : 4][NV];
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

static TARGET void interpolate(int kind, const void *rows, const float *scales, int64_t stride, const int32_t *corners,
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
enum { PEAK_ROWS = 12 / NV, PEAK_WIDTH = PEAK_ROWS * NV * LANES };

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
    enum { mr = BIG8 };
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
    ISA_NAME, {multiply_f32, multiply_i16, multiply_u8}, gather, finish, outer_f32, interpolate, best_class,         \
        {peak_f32, peak_i16, peak_u8}, {PEAK_WIDTH, 2 * PEAK_WIDTH, 4 * 4 * BIG8 * NV * LANES}
