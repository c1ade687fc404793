/* Arg-max and softmax of rows of logits, over the vector macros that simd_body.h lists. */

/* exp(d) for d <= 0, as the 256th power of the cubic Taylor polynomial of exp(d / 256). */
INLINE TARGET V exponential(V d) {
    const V t = MUL(MAXIMUM(d, SET1(-40.0f)), SET1(1.0f / 256.0f)), one = SET1(1.0f);
    V p = ADD(one, MUL(t, ADD(one, MUL(t, ADD(SET1(0.5f), MUL(t, SET1(1.0f / 6.0f)))))));
    UNROLL for (int i = 0; i < 8; i++) p = MUL(p, p);
    return p;
}

/* logits [rows][width] -> label, score [rows]. lowered [width]: 0 for a class, -1e30 beyond the last one. */
static TARGET void best_class(const float *logits, int64_t rows, int64_t width, int64_t classes, const float *lowered,
                              uint8_t *label, float *score) {
    for (int64_t i = 0; i < rows; i++, logits += width) {
        V most = SET1(-1e30f), sum = SET1(0.0f);
        for (int64_t c = 0; c < width; c += LANES) most = MAXIMUM(most, ADD(LOAD(logits + c), LOAD(lowered + c)));
        const float largest = HMAX(most);
        for (int64_t c = 0; c < width; c += LANES)
            sum = ADD(sum, exponential(ADD(ADD(LOAD(logits + c), LOAD(lowered + c)), SET1(-largest))));
        float sums[LANES], total = 0;
        STORE(sums, sum);
        for (int lane = 0; lane < LANES; lane++) total += sums[lane];
        int64_t best = 0;
        while (best < classes && logits[best] != largest) best++;
        label[i] = (uint8_t)(best < classes ? best : 0); /* 0: logits that are no numbers */
        score[i] = 1.0f / total;
    }
}
