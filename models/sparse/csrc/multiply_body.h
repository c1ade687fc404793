/* Rows of a pair list times panels of weights, added to the tile; over the vector macros that simd_body.h lists.
 *
 * Input rows are read where they are, by one pointer per row of a block: copying them side by side first costs more
 * than it saves. Every output element is summed in one fixed order (terms, offsets, channels), whatever the block it
 * falls into, so results do not depend on tiles or threads. */

#define FOR_V UNROLL for (int v = 0; v < NV; v++)
#define FOR_R UNROLL for (int r = 0; r < mr; r++)
#define FOR_Q UNROLL for (int q = 0; q < np; q++)

/* The blocks: mr rows times np panels side by side, which share the broadcasts of the rows. `panel`: elements from one
 * panel of weights to the next. */

INLINE TARGET void block_f32(const int mr, const int np, const PairList *l, const float *const *a, const float *scale,
                             const float *w, int64_t panel, float *const *c) {
    V acc[ROWS_F32][MOST_PANELS][NV];
    (void)scale;
    FOR_R FOR_Q FOR_V acc[r][q][v] = SET1(0.0f);
#define STEP_F32(k) do {                                                       \
        V b[MOST_PANELS][NV];                                                  \
        FOR_Q FOR_V b[q][v] = LOAD(w + q * panel + (k) * PANEL + v * LANES);   \
        FOR_R {                                                                \
            V x = SPREAD(a[r] + at + (k));                                        \
            FOR_Q FOR_V ACCUMULATE(acc[r][q][v], x, b[q][v]);                  \
        }                                                                      \
    } while (0)
    int64_t at = 0;
    for (; at + 4 <= l->channels; at += 4, w += 4 * PANEL) {
        STEP_F32(0);
        STEP_F32(1);
        STEP_F32(2);
        STEP_F32(3);
    }
    for (; at < l->channels; at++, w += PANEL) STEP_F32(0);
    FOR_R FOR_Q {
        float *to = c[r] + q * l->tile_step;
        if (l->write) FOR_V STORE(to + v * LANES, acc[r][q][v]);
        else FOR_V STORE(to + v * LANES, ADD(acc[r][q][v], LOAD(to + v * LANES)));
    }
}

/* Sums of integers, as what they stand for, to the tile. */
#define ADD_SCALED()                                                                                                 \
    FOR_R {                                                                                                          \
        const V s = SET1(scale[r]);                                                                                  \
        FOR_Q {                                                                                                      \
            float *to = c[r] + q * l->tile_step;                                                                     \
            if (l->write) FOR_V STORE(to + v * LANES, MUL(TO_FLOAT(acc[r][q][v]), s));                               \
            else FOR_V STORE(to + v * LANES, FMA(TO_FLOAT(acc[r][q][v]), s, LOAD(to + v * LANES)));                  \
        }                                                                                                            \
    }

INLINE TARGET void block_i16(const int mr, const int np, const PairList *l, const int16_t *const *a,
                             const float *scale, const int16_t *w, int64_t panel, float *const *c) {
    VI acc[ROWS_I16][MOST_PANELS][NV];
    FOR_R FOR_Q FOR_V acc[r][q][v] = ZEROI();
#define STEP_I16(k) do {                                                       \
        VI b[MOST_PANELS][NV];                                                 \
        FOR_Q FOR_V b[q][v] = LOADI(w + q * panel + (k) * PANEL + 2 * v * LANES); \
        FOR_R {                                                                \
            VI x = PAIR(a[r] + at + (k));                                      \
            FOR_Q FOR_V ACCUMULATE16(acc[r][q][v], x, b[q][v]);                \
        }                                                                      \
    } while (0)
    int64_t at = 0;
    for (; at + 8 <= l->channels; at += 8, w += 8 * PANEL) {
        STEP_I16(0);
        STEP_I16(2);
        STEP_I16(4);
        STEP_I16(6);
    }
    for (; at < l->channels; at += 2, w += 2 * PANEL) STEP_I16(0);
    ADD_SCALED()
}

/* Four channels to a step. Sums of four steps fit 16 bits (the weights are scaled so), where the processor has no
 * instruction that goes to 32 bits at once. */
INLINE TARGET void block_u8(const int mr, const int np, const PairList *l, const uint8_t *const *a, const float *scale,
                            const int8_t *w, int64_t panel, float *const *c) {
    VI acc[ROWS_U8][MOST_PANELS][NV];
    FOR_R FOR_Q FOR_V acc[r][q][v] = ZEROI();
#define STEP_U8(k, ACCUMULATE8)                                                \
    do {                                                                       \
        VI b[MOST_PANELS][NV];                                                 \
        FOR_Q FOR_V b[q][v] = LOADI(w + q * panel + (k) * PANEL + 4 * v * LANES); \
        FOR_R {                                                                \
            VI x = PAIR(a[r] + at + (k));                                      \
            FOR_Q FOR_V ACCUMULATE8(x, b[q][v]);                               \
        }                                                                      \
    } while (0)
    for (int64_t at = 0; at < l->channels; at += 16, w += 16 * PANEL) {
#ifdef DOT8
#define DOT(x, y) DOT8(acc[r][q][v], x, y)
        STEP_U8(0, DOT);
        STEP_U8(4, DOT);
        STEP_U8(8, DOT);
        STEP_U8(12, DOT);
#undef DOT
#else
        VI half[ROWS_U8][MOST_PANELS][NV];
#define FIRST(x, y) MULTIPLY8(half[r][q][v], x, y)
#define OTHER(x, y) ACCUMULATE8(half[r][q][v], x, y)
        STEP_U8(0, FIRST);
        STEP_U8(4, OTHER);
        STEP_U8(8, OTHER);
        STEP_U8(12, OTHER);
        FOR_R FOR_Q FOR_V WIDEN8(acc[r][q][v], half[r][q][v]);
#undef FIRST
#undef OTHER
#endif
    }
    ADD_SCALED()
}

/* Panels side by side that `sums` registers hold the sums of, for mr rows. */
#define SIDE_BY_SIDE(mr, sums) \
    (4 * (mr) * NV <= (sums) ? 4 : 3 * (mr) * NV <= (sums) ? 3 : 2 * (mr) * NV <= (sums) ? 2 : 1)

/* mr pairs from pair i on, all panels. */
#define PAIRS(kind, type, weight, most_rows, sums)                                                                   \
    INLINE TARGET void pairs_##kind(const int mr, const PairList *l, int64_t i) {                                    \
        const type *a[most_rows];                                                                                    \
        float scale[most_rows], *c[most_rows];                                                                       \
        const weight *w = l->weights;                                                                                \
        const int64_t panel = (int64_t)l->channels * PANEL;                                                          \
        FOR_R {                                                                                                      \
            const int64_t in = l->in[i + r];                                                                         \
            a[r] = (const type *)l->rows + in * l->stride;                                                           \
            c[r] = l->tile + (int64_t)l->out[i + r] * PANEL;                                                         \
            scale[r] = l->scales ? l->scales[in] : 1.0f;                                                             \
        }                                                                                                            \
        const int most = SIDE_BY_SIDE(mr, sums);                                                                     \
        int64_t left = l->panels;                                                                                    \
        for (; left >= most; left -= most, w += most * panel) {                                                      \
            block_##kind(mr, most, l, a, scale, w, panel, c);                                                        \
            FOR_R c[r] += most * l->tile_step;                                                                       \
        }                                                                                                            \
        if (most > 3 && left == 3) block_##kind(mr, most > 3 ? 3 : 1, l, a, scale, w, panel, c);                     \
        else if (most > 2 && left == 2) block_##kind(mr, most > 2 ? 2 : 1, l, a, scale, w, panel, c);                \
        else if (most > 1 && left == 1) block_##kind(mr, 1, l, a, scale, w, panel, c);                               \
    }
PAIRS(f32, float, float, ROWS_F32, SUMS_F32)
PAIRS(i16, int16_t, int16_t, ROWS_I16, SUMS_I16)
PAIRS(u8, uint8_t, int8_t, ROWS_U8, SUMS_U8)

/* Rows of sixteen channels, one at a time: a panel's weights stay in registers while the pairs pass. */
INLINE TARGET void resident_u8(const PairList *l, const int8_t *w, float *tile) {
    VI b[4][NV];
    UNROLL for (int k = 0; k < 4; k++) FOR_V b[k][v] = LOADI(w + 4 * k * PANEL + 4 * v * LANES);
    for (int64_t i = 0; i < l->count; i++) {
        const int64_t in = l->in[i];
        const uint8_t *a = (const uint8_t *)l->rows + in * l->stride;
        float *c = tile + (int64_t)l->out[i] * PANEL;
        const V s = SET1(l->scales[in]);
        VI acc[NV];
        FOR_V acc[v] = ZEROI();
#ifdef DOT8
        UNROLL for (int k = 0; k < 4; k++) {
            const VI x = PAIR(a + 4 * k);
            FOR_V DOT8(acc[v], x, b[k][v]);
        }
#else
        VI half[NV], x = PAIR(a);
        FOR_V MULTIPLY8(half[v], x, b[0][v]);
        UNROLL for (int k = 1; k < 4; k++) {
            x = PAIR(a + 4 * k);
            FOR_V ACCUMULATE8(half[v], x, b[k][v]);
        }
        FOR_V WIDEN8(acc[v], half[v]);
#endif
        if (l->write) FOR_V STORE(c + v * LANES, MUL(TO_FLOAT(acc[v]), s));
        else FOR_V STORE(c + v * LANES, FMA(TO_FLOAT(acc[v]), s, LOAD(c + v * LANES)));
    }
}

/* Returns the pairs done: all of them, or none where there are more channels. */
INLINE TARGET int64_t sixteen_u8(const PairList *l) {
    if (l->channels != 16) return 0;
    for (int64_t p = 0; p < l->panels; p++)
        resident_u8(l, (const int8_t *)l->weights + p * 16 * PANEL, l->tile + p * l->tile_step);
    return l->count;
}

#define MULTIPLY(kind, most, special)                                          \
    static TARGET void multiply_##kind(const PairList *list) {                 \
        const PairList copy = *list, *l = &copy; /* stores cannot change it */ \
        int64_t i = special(l);                                                \
        for (; i + most <= l->count; i += most) pairs_##kind(most, l, i);      \
        switch (l->count - i) {                                                \
        case 1: pairs_##kind(1, l, i); break;                                  \
        case 2: pairs_##kind(2, l, i); break;                                  \
        case 3: pairs_##kind(most > 3 ? 3 : 1, l, i); break;                   \
        case 4: pairs_##kind(most > 4 ? 4 : 1, l, i); break;                   \
        case 5: pairs_##kind(most > 5 ? 5 : 1, l, i); break;                   \
        default: break;                                                        \
        }                                                                      \
    }
#define NONE(l) 0
MULTIPLY(f32, ROWS_F32, NONE)
MULTIPLY(i16, ROWS_I16, NONE)
MULTIPLY(u8, ROWS_U8, sixteen_u8)
