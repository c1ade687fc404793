/* Depthwise convolutions, alone or between the two convolutions of an inverted residual block. Part of body.h. */

#define MOST_WIDE 7                           /* neighbouring pixels in registers at once */
#define MOST_COLUMNS ((MOST_WIDE - 1) * 2 + 5) /* under a kernel of 5 in steps of 2 */

/* `wide` neighbouring pixels, of which `count` are wanted: every input is loaded once. from[line][column]: inputs under
 * them, w: the weights of the first of these lines. */
INLINE TARGET void neighbours(const int kernel, const int step, const int wide, const Operation *op, int64_t lines,
                              const E *const (*from)[MOST_COLUMNS], const float *w, int count, E *out) {
    const V low = SET1((float)op->low), high = SET1((float)op->high);
    for (int64_t c = 0; c < op->out_stride; c += LANES) {
        V acc[MOST_WIDE];
        UNROLL for (int r = 0; r < wide; r++) acc[r] = LOAD_FLOAT(op->bias + c);
        for (int64_t i = 0; i < lines; i++) {
            V tap[5];
            UNROLL for (int j = 0; j < kernel; j++) tap[j] = LOAD_FLOAT(w + (i * kernel + j) * op->out_stride + c);
            UNROLL for (int u = 0; u < (wide - 1) * step + kernel; u++) {
                const V x = LOAD(from[i][u] + c);
                UNROLL for (int j = 0; j < kernel; j++)
                    if (u >= j && (u - j) % step == 0 && (u - j) / step < wide)
                        acc[(u - j) / step] = FMA(x, tap[j], acc[(u - j) / step]);
            }
        }
        UNROLL for (int r = 0; r < wide; r++)
            if (r < count) STORE(out + r * op->out_stride + c, LEAST(MOST(acc[r], low), high));
    }
}

/* One pixel under a kernel of any size; u: the column under its first tap. */
INLINE TARGET void one_pixel(const Operation *op, int64_t lines, const E *const *line, int64_t u, const float *w,
                             E *out) {
    for (int64_t c = 0; c < op->out_stride; c += LANES) {
        V sum = LOAD_FLOAT(op->bias + c);
        for (int64_t i = 0; i < lines; i++)
            for (int64_t j = 0; j < op->kernel_width; j++)
                if (u + j >= 0 && u + j < op->in_width)
                    sum = FMA(LOAD(line[i] + (u + j) * op->stride[0] + c),
                              LOAD_FLOAT(w + (i * op->kernel_width + j) * op->out_stride + c), sum);
        STORE(out + c, LEAST(MOST(sum, SET1((float)op->low)), SET1((float)op->high)));
    }
}

/* One output line from `lines` input lines; w: the weights of the first of them. */
static TARGET void depthwise_line(const Operation *op, int64_t lines, const E *const *line, const float *w,
                                  E *out, const E *zeros) {
    const int64_t k = op->kernel_width, step = op->step, width = op->out_width;
    const int known = k == op->kernel_height && (k == 3 || k == 5) && (step == 1 || step == 2);
    const int64_t wide = !known ? 1 : (width + 6) / 7 * 7 <= (width + 3) / 4 * 4 ? 7 : 4;
    for (int64_t x = 0; x < width; x += wide, out += wide * op->out_stride) {
        const int64_t first = x * step - op->pad_left;
        const int count = width - x < wide ? (int)(width - x) : (int)wide;
        if (!known) {
            one_pixel(op, lines, line, first, w, out);
            continue;
        }
        const E *from[5][MOST_COLUMNS];
        for (int64_t i = 0; i < lines; i++)
            for (int64_t u = 0; u < (wide - 1) * step + k; u++)
                from[i][u] = first + u >= 0 && first + u < op->in_width ? line[i] + (first + u) * op->stride[0] : zeros;
        switch (wide + 10 * step + 100 * k) {
        case 314: neighbours(3, 1, 4, op, lines, from, w, count, out); break;
        case 317: neighbours(3, 1, 7, op, lines, from, w, count, out); break;
        case 324: neighbours(3, 2, 4, op, lines, from, w, count, out); break;
        case 327: neighbours(3, 2, 7, op, lines, from, w, count, out); break;
        case 514: neighbours(5, 1, 4, op, lines, from, w, count, out); break;
        case 517: neighbours(5, 1, 7, op, lines, from, w, count, out); break;
        case 524: neighbours(5, 2, 4, op, lines, from, w, count, out); break;
        case 527: neighbours(5, 2, 7, op, lines, from, w, count, out); break;
        }
    }
}

static TARGET void depthwise(const Operation *op, int64_t item, const Scratch *scratch) {
    const int64_t n = item / op->out_height, top = item % op->out_height * op->step - op->pad_top;
    const E *line[MOST_LINES];
    int64_t lines = 0;
    for (int64_t v = top > 0 ? top : 0; v < top + op->kernel_height && v < op->in_height; v++)
        line[lines++] = (const E *)op->source[0] + (n * op->in_height + v) * op->in_pitch * op->stride[0];
    const float *w = (const float *)op->weights + (top < 0 ? -top : 0) * op->kernel_width * op->out_stride;
    depthwise_line(op, lines, line, w, (E *)op->out + item * op->out_width * op->out_stride, scratch->zeros);
}

/* One output line of a convolution, to `out` (its first pixel). */
INLINE TARGET void convolve_line(Operation *op, int64_t line, E *out, const Scratch *scratch) {
    const int64_t first = line * op->out_width;
    op->out = out - first * op->out_stride;
    convolve_part(op, (Part){first, first + op->out_width, 0, (op->out_stride + PANEL - 1) / PANEL}, scratch);
}

/* A strip of lines of a block: expanded lines live in a ring as high as the kernel. */
static TARGET void fused(const Operation *op, int64_t item, const Scratch *scratch) {
    Operation expand = op[1], project = op[3];
    const Operation *middle = &op[2];
    const int64_t strips = (middle->out_height + op->chunk - 1) / op->chunk, n = item / strips, k = middle->kernel_height;
    const int64_t begin = item % strips * op->chunk, over = begin + op->chunk - middle->out_height;
    const int64_t size = expand.out_width * expand.out_stride, wide = middle->out_width;
    E *const ring = scratch->tiles, *const between = ring + k * size;
    int64_t next = begin * middle->step - middle->pad_top;
    if (next < 0) next = 0;
    for (int64_t y = begin; y < begin + op->chunk - (over > 0 ? over : 0); y++) {
        const int64_t top = y * middle->step - middle->pad_top, at = n * middle->out_height + y;
        for (; next < top + k && next < middle->in_height; next++)
            convolve_line(&expand, n * expand.out_height + next, ring + next % k * size, scratch);
        const E *line[MOST_LINES];
        int64_t lines = 0;
        for (int64_t v = top > 0 ? top : 0; v < next; v++) line[lines++] = ring + v % k * size;
        const float *w = middle->weights;
        if (top < 0) w -= top * middle->kernel_width * middle->out_stride;
        depthwise_line(middle, lines, line, w, between, scratch->zeros);
        project.source[0] = between - at * wide * project.stride[0];
        convolve_line(&project, at, (E *)op[3].out + at * wide * project.out_stride, scratch);
    }
}
