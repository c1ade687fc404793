/* Sparse convolution: a sum of terms (rows, map, weights) on tiles of output rows, finished while the tile is in
 * cache. */
#include <stdlib.h>
#include <string.h>

#include "sparse.h"

/* of accumulators: they, and the rows and weights in use, share the second-level cache */
#define TILE_BYTES (192 << 10)

#define CHUNK_BYTES (20 << 10) /* of input rows: they and one panel of weights share the first-level cache */

/* Must match _Term in native.py. */
typedef struct {
    const void *rows;
    const float *scales;       /* NULL: rows are float */
    int64_t stride;
    /* pairs grouped by offset, out ascending in each group; NULL: row i meets row i (one offset) */
    const int32_t *in, *out;
    const int64_t *starts;     /* [volume + 1] */
    const void *weights;       /* [volume][panels][channels][16], see native.pack */
    int64_t volume, channels;
} Term;

/* Must match _Convolution in native.py. */
typedef struct {
    const Term *terms;
    int64_t terms_count;
    int64_t outputs, width;    /* width: output channels, a multiple of PANEL */
    const float *column_scale, *bias;
    const void *residual;
    const float *residual_scale;
    int64_t residual_stride;
    int64_t relu, residual_after_relu;
    void *out;
    float *out_scale;
    int64_t out_stride;
    int64_t level, threads;
} Convolution;

typedef struct {
    const Convolution *conv;
    const Isa *isa;
    int64_t tile_rows;
    float *scratch; /* one tile per worker */
} Plan;

static int64_t lower_bound(const int32_t *rows, int64_t begin, int64_t end, int64_t row) {
    while (begin < end) {
        const int64_t middle = (begin + end) / 2;
        if (rows[middle] < row) begin = middle + 1;
        else end = middle;
    }
    return begin;
}

static void add_term(const Plan *plan, const Term *term, int64_t base, int64_t rows, float *tile) {
    const int64_t width = plan->conv->width;
    const int quantised = term->scales != NULL;
    const size_t panel = (size_t)term->channels * PANEL * (quantised ? sizeof(int16_t) : sizeof(float));
    PairList list = {.rows = term->rows, .scales = term->scales, .stride = term->stride, .base = base,
                     .channels = (int)term->channels, .tile_stride = width, .first = base, .count = rows};
    const char *weights = term->weights;
    /* Input rows that fit the first-level cache are multiplied by all panels before the next ones. */
    int64_t chunk = CHUNK_BYTES / (term->channels * (quantised ? 2 : 4)) / 12 * 12;
    if (chunk < 24) chunk = 24;
    for (int64_t k = 0; k < term->volume; k++, weights += panel * (size_t)(width / PANEL)) {
        if (term->in) {
            const int64_t begin = lower_bound(term->out, term->starts[k], term->starts[k + 1], base);
            const int64_t end = lower_bound(term->out, begin, term->starts[k + 1], base + rows);
            list.in = term->in + begin;
            list.out = term->out + begin;
            list.count = end - begin;
        }
        PairList part = list;
        for (int64_t left = list.count; left > 0; left -= part.count) {
            /* A last part of less than half a chunk joins the one before it. */
            part.count = left < chunk + chunk / 2 ? left : chunk;
            for (int64_t p = 0; p < width / PANEL; p++) {
                part.weights = weights + panel * (size_t)p;
                part.tile = tile + p * PANEL;
                part.prefetch = p == 0;
                if (quantised) plan->isa->multiply_i16(&part);
                else plan->isa->multiply_f32(&part);
            }
            if (part.in) {
                part.in += part.count;
                part.out += part.count;
            } else {
                part.first += part.count;
            }
        }
    }
}

static void run_tile(void *context, int worker, int64_t item) {
    const Plan *plan = context;
    const Convolution *conv = plan->conv;
    const int64_t base = item * plan->tile_rows;
    const int64_t rows = conv->outputs - base < plan->tile_rows ? conv->outputs - base : plan->tile_rows;
    float *tile = plan->scratch + worker * plan->tile_rows * conv->width;
    memset(tile, 0, (size_t)(rows * conv->width) * sizeof(float));
    for (int64_t t = 0; t < conv->terms_count; t++) add_term(plan, &conv->terms[t], base, rows, tile);
    const Finish job = {.tile = tile, .tile_stride = conv->width, .base = base, .rows = rows, .width = (int)conv->width,
                        .column_scale = conv->column_scale, .bias = conv->bias, .residual = conv->residual,
                        .residual_scale = conv->residual_scale, .residual_stride = conv->residual_stride,
                        .relu = (int)conv->relu, .residual_after_relu = (int)conv->residual_after_relu,
                                .out = conv->out,
                        .out_scale = conv->out_scale, .out_stride = conv->out_stride};
    plan->isa->finish(&job);
}

/* Returns 0, or -1 where there was no memory. */
EXPORT int sparse_convolve(const Convolution *conv) {
    if (conv->outputs == 0) return 0;
    const int threads = conv->threads < 1 ? 1 : conv->threads > MAX_THREADS ? MAX_THREADS : (int)conv->threads;
    int64_t rows = TILE_BYTES / (int64_t)sizeof(float) / conv->width;
    if (rows < 256) rows = 256;
    /* Small clouds: enough tiles to share out. Results do not depend on the tile size. */
    while (rows > 64 && threads > 1 && conv->outputs < rows * threads * 6) rows /= 2;
    rows = (rows + 11) / 12 * 12;
    Plan plan = {.conv = conv, .isa = isa_by_level((int)conv->level), .tile_rows = rows};
    plan.scratch = aligned_alloc(64, (size_t)(threads * rows * conv->width) * sizeof(float));
    if (!plan.scratch) return -1;
    parallel_for(threads, (conv->outputs + rows - 1) / rows, run_tile, &plan);
    free(plan.scratch);
    return 0;
}
