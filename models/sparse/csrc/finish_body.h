/* A finished tile: scale, bias, residual, ReLU, and rows as they are stored; over the vector macros that simd_body.h
 * lists. */

#define KEPT 4 /* panels of a row that wait in registers, not in the tile, until the row's largest value is known */

INLINE TARGET V load_kind(int kind, const void *rows, int64_t at) {
    return kind == FLOAT ? LOAD((const float *)rows + at) : kind == INT16 ? LOAD16((const int16_t *)rows + at)
                                                                          : LOAD8((const uint8_t *)rows + at);
}

/* One panel of a finished row. */
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
        for (int column = 0; column < j->width; column += PANEL) {
            finish_panel(residual, j, row, column, x);
            FOR_V STORE(to + column + v * LANES, x[v]);
        }
    }
}

/* panels: of a row; 0: more than are kept. */
INLINE TARGET void finish_quantised(const int kind, const int residual, const int panels, const Finish *j) {
    const float limit = kind == INT16 ? INT16_MAXIMUM : UINT8_MAXIMUM;
    const int width = panels ? panels * PANEL : j->width;
    V kept[KEPT][NV];
    for (int64_t row = j->base; row < j->base + j->rows; row++) {
        float *wait = j->tile + (row - j->base) * PANEL;
        V largest = SET1(0.0f), x[NV];
        UNROLL for (int column = 0; column < width; column += PANEL) {
            finish_panel(residual, j, row, column, x);
            FOR_V {
                largest = MAXIMUM(largest, ABSOLUTE(x[v]));
                if (panels) kept[column / PANEL][v] = x[v];
                else STORE(wait + column * j->panel_rows + v * LANES, x[v]);
            }
        }
        const float most = HMAX(largest);
        const int some = most > 1e-30f; /* less than that has no reciprocal */
        const V factor = SET1(some ? limit / most : 0.0f);
        UNROLL for (int column = 0; column < width; column += PANEL) {
            const int64_t to = row * j->out_stride + column;
            FOR_V {
                x[v] = panels ? kept[column / PANEL][v] : LOAD(wait + column * j->panel_rows + v * LANES);
                x[v] = MUL(x[v], factor);
                if (kind == INT16) STORE16((int16_t *)j->out + to + v * LANES, x[v]);
                else STORE8((uint8_t *)j->out + to + v * LANES, x[v]);
            }
        }
        j->out_scale[row] = some ? most / limit : 0.0f;
    }
}

INLINE TARGET void finish_u8(const int residual, const Finish *j) {
    switch (FEW ? j->width / PANEL : 0) {
    case 1: finish_quantised(UINT8, residual, 1, j); break;
    case 2: finish_quantised(UINT8, residual, 2, j); break;
    case 3: finish_quantised(UINT8, residual, 3, j); break;
    case 4: finish_quantised(UINT8, residual, 4, j); break;
    default: finish_quantised(UINT8, residual, 0, j);
    }
}

static TARGET void finish(const Finish *job) {
    const Finish copy = *job, *j = &copy; /* stores cannot change it */
    switch (2 * j->out_kind + (j->residual != NULL)) {
    case 2 * FLOAT: finish_float(0, j); break;
    case 2 * FLOAT + 1: finish_float(1, j); break;
    case 2 * INT16: finish_quantised(INT16, 0, 0, j); break;
    case 2 * INT16 + 1: finish_quantised(INT16, 1, 0, j); break;
    case 2 * UINT8: finish_u8(0, j); break;
    default: finish_u8(1, j);
    }
}
