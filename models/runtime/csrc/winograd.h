/* Convolutions of 3 x 3 in steps of 1 by 16 products per tile of 2 x 2 results (Winograd's minimal filtering F(2 x 2,
 * 3 x 3), Lavin and Gray 2016): the input's tile d becomes B' d B, the results are A' [(G g G') * (B' d B)] A. Part of
 * body.h, of float alone: rounded to bfloat16, tiles would lose what the results are the small difference of. */

/* One tile's input, 16 values per channel, each to its own plane `apart` floats from the last. y, x: its first pixel. */
INLINE TARGET void tile_in(const Operation *op, int64_t n, int64_t y, int64_t x, const float *zeros, float *to,
                           int64_t apart) {
    const float *in = (const float *)op->source[0] + n * op->in_height * op->in_pitch * op->stride[0];
    const float *from[4][4];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            const int64_t v = y + i - op->pad_top, u = x + j - op->pad_left;
            const int inside = v >= 0 && v < op->in_height && u >= 0 && u < op->in_width;
            from[i][j] = inside ? in + (v * op->in_pitch + u) * op->stride[0] : zeros;
        }
    for (int64_t c = 0; c < op->channels[0]; c += LANES) {
        V d[4][4];
        UNROLL for (int j = 0; j < 4; j++) {
            const V a = LOAD(from[0][j] + c), b = LOAD(from[1][j] + c), e = LOAD(from[2][j] + c);
            d[0][j] = SUB(a, e);
            d[1][j] = ADD(b, e);
            d[2][j] = SUB(e, b);
            d[3][j] = SUB(b, LOAD(from[3][j] + c));
        }
        UNROLL for (int i = 0; i < 4; i++) {
            STORE(to + (4 * i + 0) * apart + c, SUB(d[i][0], d[i][2]));
            STORE(to + (4 * i + 1) * apart + c, ADD(d[i][1], d[i][2]));
            STORE(to + (4 * i + 2) * apart + c, SUB(d[i][2], d[i][1]));
            STORE(to + (4 * i + 3) * apart + c, SUB(d[i][1], d[i][3]));
        }
    }
}

/* One tile's results for the panel at `column` from its 16 sums, `apart` floats from each other. */
INLINE TARGET void tile_out(const Operation *op, int64_t n, int64_t y, int64_t x, const float *sums, int64_t apart,
                            int64_t column) {
    const V low = SET1((float)op->low), high = SET1((float)op->high);
    for (int64_t c = 0; c < PANEL; c += LANES, sums += LANES, column += LANES) {
        V s[2][4];
        UNROLL for (int j = 0; j < 4; j++) {
            const V a = LOAD(sums + j * apart), b = LOAD(sums + (4 + j) * apart), e = LOAD(sums + (8 + j) * apart);
            s[0][j] = ADD(ADD(a, b), e);
            s[1][j] = SUB(SUB(b, e), LOAD(sums + (12 + j) * apart));
        }
        const V bias = LOAD_FLOAT(op->bias + column);
        for (int i = 0; i < 2 && y + i < op->out_height; i++) {
            const V two[2] = {ADD(ADD(s[i][0], s[i][1]), s[i][2]), SUB(SUB(s[i][1], s[i][2]), s[i][3])};
            for (int j = 0; j < 2 && x + j < op->out_width; j++) {
                const int64_t at = ((n * op->out_height + y + i) * op->out_width + x + j) * op->out_stride + column;
                V value = ADD(two[j], bias);
                if (op->residual) value = ADD(value, LOAD((const float *)op->residual + at));
                STORE((float *)op->out + at, LEAST(MOST(value, low), high));
            }
        }
    }
}

static TARGET void winograd(const Operation *op, int64_t item, const Scratch *scratch) {
    const int64_t high = (op->out_height + 1) / 2, wide = (op->out_width + 1) / 2, area = high * wide;
    const Part part = part_of(op, op->batch * area, item);
    const int64_t count = part.last - part.first, channels = op->channels[0];
    const int64_t apart = op->chunk * channels + PANEL; /* not a power of two: the planes do not evict each other */
    float *const in = scratch->tiles, *const sums = in + 16 * apart;
    for (int64_t i = 0; i < count; i++) {
        const int64_t n = (part.first + i) / area, at = (part.first + i) % area;
        tile_in(op, n, at / wide * 2, at % wide * 2, scratch->zeros, in + i * channels, apart);
    }
    Operation product = {.bias = scratch->zeros, .out_stride = PANEL, .low = -__builtin_inf(), .high = __builtin_inf()};
    product.channels[0] = channels;
    for (int64_t p = part.begin; p < part.end; p++) {
        const float *w = (const float *)op->weights + p * 16 * channels * PANEL;
        for (int64_t tap = 0; tap < 16; tap++, w += channels * PANEL) {
            product.out = sums + tap * op->chunk * PANEL;
            for (int64_t row = 0, mr; row < count; row += mr) {
                const float *a[ROWS];
                mr = rows_of(count - row);
                for (int64_t r = 0; r < mr; r++) a[r] = in + tap * apart + (row + r) * channels;
                wide_block((int)mr, &product, 1, 1, a, w, row, 0);
            }
        }
        for (int64_t i = 0; i < count; i++) {
            const int64_t n = (part.first + i) / area, at = (part.first + i) % area;
            tile_out(op, n, at / wide * 2, at % wide * 2, sums + i * PANEL, op->chunk * PANEL, p * PANEL);
        }
    }
}
