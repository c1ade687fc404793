/* The inner loops, written once over a few vector macros and compiled once per instruction set and precision.
 *
 * The including file defines TARGET (function attribute), E (element of a row: float, or uint16_t for bfloat16) and
 * TO_E(x), FROM_E(x) for single values; V (float vector of LANES), LOAD and STORE of as many elements, LOAD_FLOAT,
 * SET1, FMA(x, y, z) = x * y + z, ADD, SUB, LEAST, MOST; DEPTH (channels in one step of a product), PANEL (2 * LANES),
 * X (vector of DEPTH elements a lane), SPREAD(p) (DEPTH elements in every lane), LOAD_X, ACCUMULATE(sum, x, y);
 * KERNELS (the table's name). */

#include <string.h>

/* One block: mr pixels by nv vectors of output channels. a[s * ROWS + r]: input of pixel r for segment s (one tap of
 * one source), length[s % sources] channels long. Where DEPTH does not divide a length, the elements behind are read
 * too: their weights are zero. */
INLINE TARGET void block(const int mr, const int nv, const Operation *op, int64_t segments, int sources,
                         const E *const *a, const E *w, int64_t row, int64_t column) {
    V acc[ROWS][2];
    UNROLL for (int r = 0; r < mr; r++)
        UNROLL for (int v = 0; v < nv; v++) acc[r][v] = LOAD_FLOAT(op->bias + column + v * LANES);
    E *out = (E *)op->out + row * op->out_stride + column;
    const E *residual = op->residual ? (const E *)op->residual + row * op->out_stride + column : 0;
    UNROLL for (int r = 0; r < mr; r++) { /* lines that no hardware prefetcher foresees, here by the end of the sum */
        __builtin_prefetch(out + r * op->out_stride, 1);
        if (residual) __builtin_prefetch(residual + r * op->out_stride);
    }
    for (int64_t s = 0; s < segments; s++) {
        const E *const *p = a + s * ROWS;
        const int64_t length = op->channels[sources == 1 ? 0 : s & 1];
        const E *x[ROWS];
        UNROLL for (int r = 0; r < mr; r++) x[r] = p[r];
        for (int64_t k = 0; k < length; k += DEPTH) {
            X b[2];
            UNROLL for (int v = 0; v < nv; v++) b[v] = LOAD_X(w + v * LANES * DEPTH);
            w += nv * LANES * DEPTH;
            UNROLL for (int r = 0; r < mr; r++) {
                const X one = SPREAD(x[r] + k);
                UNROLL for (int v = 0; v < nv; v++) ACCUMULATE(acc[r][v], one, b[v]);
            }
        }
    }
    const V low = SET1((float)op->low), high = SET1((float)op->high);
    UNROLL for (int r = 0; r < mr; r++)
        UNROLL for (int v = 0; v < nv; v++) {
            const int64_t at = r * op->out_stride + v * LANES;
            V y = acc[r][v];
            if (residual) y = ADD(y, LOAD(residual + at));
            STORE(out + at, LEAST(MOST(y, low), high));
        }
}

INLINE TARGET void any_block(int mr, const int nv, const Operation *op, int64_t segments, int sources,
                             const E *const *a, const E *w, int64_t row, int64_t column) {
    switch (mr) {
    case 1: block(1, nv, op, segments, sources, a, w, row, column); break;
    case 2: block(2, nv, op, segments, sources, a, w, row, column); break;
    case 3: block(3, nv, op, segments, sources, a, w, row, column); break;
    case 4: block(4, nv, op, segments, sources, a, w, row, column); break;
    case 5: block(5, nv, op, segments, sources, a, w, row, column); break;
    default: block(6, nv, op, segments, sources, a, w, row, column);
    }
}

/* Not inlined: among other values in flight the compiler would keep sums in memory. */
static NOINLINE TARGET void wide_block(int mr, const Operation *op, int64_t segments, int sources,
                                       const E *const *a, const E *w, int64_t row, int64_t column) {
    any_block(mr, 2, op, segments, sources, a, w, row, column);
}

static NOINLINE TARGET void narrow_block(int mr, const Operation *op, int64_t segments, int sources,
                                         const E *const *a, const E *w, int64_t row, int64_t column) {
    any_block(mr, 1, op, segments, sources, a, w, row, column);
}

/* Pixels of the next block where `left` are left: blocks are of even size, for small ones use the processor badly. */
INLINE int rows_of(int64_t left) {
    const int64_t blocks = (left + ROWS - 1) / ROWS;
    return (int)((left + blocks - 1) / blocks);
}

/* Pointers to the inputs of the pixels [first, last), block by block: [block][segment][ROWS]. */
INLINE TARGET void gather(const Operation *op, int64_t first, int64_t last, int sources, const Scratch *scratch) {
    const int64_t area = op->out_height * op->out_width, taps = op->kernel_height * op->kernel_width;
    const E **block_at = (const E **)scratch->pointers;
    for (int64_t row = first, mr; row < last; row += mr, block_at += taps * sources * ROWS) {
        mr = rows_of(last - row);
        for (int64_t r = 0; r < mr; r++) {
            const E **to = block_at + r;
            const int64_t n = (row + r) / area, y = (row + r) % area / op->out_width, x = (row + r) % op->out_width;
            for (int64_t i = 0; i < op->kernel_height; i++)
                for (int64_t j = 0; j < op->kernel_width; j++) {
                    const int64_t v = y * op->step + i - op->pad_top, u = x * op->step + j - op->pad_left;
                    const int inside = v >= 0 && v < op->in_height && u >= 0 && u < op->in_width;
                    const int64_t in = (n * op->in_height + v) * op->in_pitch + u;
                    for (int s = 0; s < sources; s++, to += ROWS)
                        *to = inside ? (const E *)op->source[s] + in * op->stride[s] : scratch->zeros;
                }
        }
    }
}

/* What a work item covers: units (pixels or tiles) [first, last), panels [begin, end). */
typedef struct {
    int64_t first, last, begin, end;
} Part;

INLINE Part part_of(const Operation *op, int64_t units, int64_t item) {
    const int64_t panels = (op->out_stride + PANEL - 1) / PANEL, groups = (panels + op->panels - 1) / op->panels;
    Part part = {.first = item / groups * op->chunk, .begin = item % groups * op->panels};
    part.last = part.first + op->chunk < units ? part.first + op->chunk : units;
    part.end = part.begin + op->panels < panels ? part.begin + op->panels : panels;
    return part;
}

static TARGET void convolve_part(const Operation *op, Part part, const Scratch *scratch) {
    const int sources = op->channels[1] ? 2 : 1;
    const int64_t taps = op->kernel_height * op->kernel_width, segments = taps * sources;
    const int64_t steps = (op->channels[0] + DEPTH - 1) / DEPTH + (op->channels[1] + DEPTH - 1) / DEPTH;
    const int64_t depth = taps * steps * DEPTH;
    gather(op, part.first, part.last, sources, scratch);
    for (int64_t p = part.begin; p < part.end; p++) {
        const E *w = (const E *)op->weights + p * depth * PANEL;
        const int narrow = op->out_stride - p * PANEL < PANEL;
        const E *const *a = (const E *const *)scratch->pointers;
        for (int64_t row = part.first, mr; row < part.last; row += mr, a += segments * ROWS) {
            mr = rows_of(part.last - row);
            (narrow ? narrow_block : wide_block)((int)mr, op, segments, sources, a, w, row, p * PANEL);
        }
    }
}

static TARGET void convolve(const Operation *op, int64_t item, const Scratch *scratch) {
    convolve_part(op, part_of(op, op->batch * op->out_height * op->out_width, item), scratch);
}

#include "depthwise.h"
#if DEPTH == 1
#include "winograd.h"
#else
#define winograd NULL
#endif
#include "planes.h"

static TARGET void maximum_pool(const Operation *op, int64_t item, const Scratch *scratch) {
    (void)scratch;
    const int64_t n = item / op->out_height, y = item % op->out_height;
    for (int64_t x = 0; x < op->out_width; x++)
        for (int64_t c = 0; c < op->out_stride; c += LANES) {
            V best = SET1(-__builtin_inff());
            for (int64_t i = 0; i < op->kernel_height; i++) {
                const int64_t v = y * op->step + i - op->pad_top;
                if (v < 0 || v >= op->in_height) continue;
                for (int64_t j = 0; j < op->kernel_width; j++) {
                    const int64_t u = x * op->step + j - op->pad_left;
                    if (u < 0 || u >= op->in_width) continue;
                    const int64_t in = (n * op->in_height + v) * op->in_pitch + u;
                    best = MOST(best, LOAD((const E *)op->source[0] + in * op->stride[0] + c));
                }
            }
            STORE((E *)op->out + ((n * op->out_height + y) * op->out_width + x) * op->out_stride + c, best);
        }
}

static TARGET void mean(const Operation *op, int64_t item, const Scratch *scratch) {
    (void)scratch;
    const int64_t area = op->in_height * op->in_width;
    const E *in = (const E *)op->source[0] + item * area * op->stride[0];
    const V share = SET1(1.0f / (float)area);
    for (int64_t c = 0; c < op->out_stride; c += LANES) {
        V sum = SET1(0.0f);
        for (int64_t i = 0; i < area; i++) sum = ADD(sum, LOAD(in + i * op->stride[0] + c));
        STORE((E *)op->out + item * op->out_stride + c, FMA(sum, share, SET1(0.0f)));
    }
}

const Kernels KERNELS = {convolve, winograd, fused, depthwise, maximum_pool, mean, copy, from_planes, to_planes, PANEL};
