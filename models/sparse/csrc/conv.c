/* Sparse convolution: a sum of terms (rows, map, weights) on tiles of output rows, finished while the tile is in
 * cache. */
#include <stdlib.h>
#include <string.h>

#include "sparse.h"

/* of accumulators: they, and the rows and weights in use, share the second-level cache */
#define TILE_BYTES (192 << 10)

#define CHUNK_BYTES (16 << 10) /* of input rows: they and one panel of weights share the first-level cache */

typedef struct {
    const Convolution *conv;
    const Isa *isa;
    int64_t tile_rows;
    int64_t lead; /* see leading_offset */
    char *scratch; /* per worker: a tile, gathered rows, their scales */
    int64_t tile_bytes, rows_bytes, scratch_bytes;
} Plan;


static int64_t lower_bound(const int32_t *rows, int64_t begin, int64_t end, int64_t row) {
    while (begin < end) {
        const int64_t middle = (begin + end) / 2;
        if (rows[middle] < row) begin = middle + 1;
        else end = middle;
    }
    return begin;
}

/* Pairs of one offset in one tile, at most a chunk of them. */
typedef struct {
    const Term *term;
    const char *weights;
    const int32_t *in, *out; /* NULL: row i meets row i */
    int64_t count, base;
    int first;               /* the rows get their first values here */
} Chunk;

typedef struct {
    float *tile; /* [panels][rows][PANEL] */
    char *rows;
    float *scales;
    int64_t base;  /* of the tile */
    Chunk waiting;
} Scratch;

static int64_t element(const Term *term) { return term->kind == FLOAT ? 4 : term->kind == INT16 ? 2 : 1; }

/* Bytes from one gathered row to the next. */
static int64_t step_of(const Term *term) { return (term->channels * element(term) + 15) / 16 * 16; }

static void multiply(const Plan *plan, const Chunk *now, const Chunk *next, int64_t rows, Scratch *scratch) {
    const Term *term = now->term;
    const int64_t size = element(term), bytes = term->channels * size, step = step_of(term);
    PairList list = {.channels = (int)term->channels, .count = now->count, .write = now->first};
    if (now->in) {
        plan->isa->gather(term->rows, term->stride * size, now->in, now->count, bytes, scratch->rows, step);
        list.rows = scratch->rows;
        list.stride = step / size;
        list.out = now->out;
        if (term->scales) {
            for (int64_t i = 0; i < now->count; i++) scratch->scales[i] = term->scales[now->in[i]];
            list.scales = scratch->scales;
        }
    } else {
        list.rows = (const char *)term->rows + now->base * term->stride * size;
        list.stride = term->stride;
        list.first = now->base;
        list.scales = term->scales ? term->scales + now->base : NULL;
    }
    if (next && next->in) {
        list.ahead_rows = next->term->rows;
        list.ahead_in = next->in;
        list.ahead_stride = next->term->stride * element(next->term);
        list.ahead = next->count;
        list.ahead_bytes = next->term->channels * element(next->term);
    }
    const int64_t width = plan->conv->width, panel = term->channels * PANEL * size;
    for (int64_t p = 0; p < width / PANEL; p++) {
        list.weights = now->weights + panel * p;
        list.tile = scratch->tile + (p * rows - scratch->base) * PANEL;
        plan->isa->multiply[term->kind](&list);
        list.ahead = 0;
    }
}

/* Cuts the pairs of one offset into chunks that the first-level cache holds; each is multiplied when the one after it
 * is known. */
static void add_offset(const Plan *plan, const Term *term, int64_t k, int64_t rows, Scratch *scratch, int first) {
    const int64_t base = scratch->base, size = element(term);
    Chunk chunk = {.term = term, .base = base, .count = rows, .first = first,
                   .weights = (const char *)term->weights + k * term->channels * plan->conv->width * size};
    int64_t left = rows;
    if (term->in) {
        const int64_t begin = lower_bound(term->out, term->starts[k], term->starts[k + 1], base);
        left = lower_bound(term->out, begin, term->starts[k + 1], base + rows) - begin;
        chunk.in = term->in + begin;
        chunk.out = term->out + begin;
    }
    int64_t most = CHUNK_BYTES / step_of(term) / 12 * 12;
    if (most < 24) most = 24;
    for (; left > 0; left -= chunk.count) {
        /* A last part of less than half a chunk joins the one before it. */
        chunk.count = left < most + most / 2 ? left : most;
        if (scratch->waiting.count) multiply(plan, &scratch->waiting, &chunk, rows, scratch);
        scratch->waiting = chunk;
        chunk.base += chunk.count;
        if (chunk.in) {
            chunk.in += chunk.count;
            chunk.out += chunk.count;
        }
    }
}

/* An offset of the first term at which every output row has an input row, or -1. */
static int64_t leading_offset(const Convolution *conv) {
    const Term *term = conv->terms;
    if (!term->in) return 0;
    for (int64_t k = 0; k < term->volume; k++)
        if (term->starts[k + 1] - term->starts[k] == conv->outputs) return k;
    return -1;
}

static void run_tile(void *context, int worker, int64_t item) {
    const Plan *plan = context;
    const Convolution *conv = plan->conv;
    const int64_t base = item * plan->tile_rows;
    const int64_t rows = conv->outputs - base < plan->tile_rows ? conv->outputs - base : plan->tile_rows;
    char *memory = plan->scratch + worker * plan->scratch_bytes;
    Scratch scratch = {.tile = (float *)memory, .rows = memory + plan->tile_bytes,
                       .scales = (float *)(memory + plan->tile_bytes + plan->rows_bytes), .base = base};
    /* Every sum starts with the offset that all rows have, or with zero. */
    if (plan->lead >= 0) add_offset(plan, conv->terms, plan->lead, rows, &scratch, 1);
    else memset(scratch.tile, 0, (size_t)(rows * conv->width) * sizeof(float));
    for (int64_t t = 0; t < conv->terms_count; t++)
        for (int64_t k = 0; k < conv->terms[t].volume; k++)
            if (t > 0 || k != plan->lead) add_offset(plan, &conv->terms[t], k, rows, &scratch, 0);
    if (scratch.waiting.count) multiply(plan, &scratch.waiting, NULL, rows, &scratch);
    const Finish job = {.tile = scratch.tile, .panel_rows = rows, .base = base, .rows = rows, .width = (int)conv->width,
                        .column_scale = conv->column_scale, .bias = conv->bias, .residual = conv->residual,
                        .residual_scale = conv->residual_scale, .residual_stride = conv->residual_stride,
                        .relu = (int)conv->relu, .residual_after_relu = (int)conv->residual_after_relu,
                                .out = conv->out,
                        .out_scale = conv->out_scale, .out_stride = conv->out_stride,
                        .residual_kind = (int)conv->residual_kind, .out_kind = (int)conv->out_kind};
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
    Plan plan = {.conv = conv, .isa = isa_by_level((int)conv->level), .tile_rows = rows, .lead = leading_offset(conv)};
    int64_t widest = 0;
    for (int64_t t = 0; t < conv->terms_count; t++)
        if (conv->terms[t].channels > widest) widest = conv->terms[t].channels;
    const int64_t step = (widest * (int64_t)sizeof(float) + 63) / 64 * 64;
    plan.rows_bytes = CHUNK_BYTES * 3 / 2 > 36 * step ? CHUNK_BYTES * 3 / 2 : 36 * step;
    plan.tile_bytes = rows * conv->width * (int64_t)sizeof(float);
    plan.scratch_bytes = plan.tile_bytes + plan.rows_bytes + CHUNK_BYTES;
    plan.scratch = aligned_alloc(64, (size_t)(threads * plan.scratch_bytes));
    if (!plan.scratch) return -1;
    parallel_for(threads, (conv->outputs + rows - 1) / rows, run_tile, &plan);
    free(plan.scratch);
    return 0;
}
