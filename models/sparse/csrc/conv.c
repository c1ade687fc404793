/* Sparse convolution: a sum of terms (rows, map, weights) on tiles of output rows, finished while the tile is in
 * cache. */
#include <stdlib.h>
#include <string.h>

#include "sparse.h"

/* of accumulators: they, and the rows and weights in use, share the second-level cache */
#define TILE_BYTES (192 << 10)

#define CHUNK_BYTES (16 << 10)  /* of input rows: they and some panels of weights share the first-level cache */
#define WEIGHT_BYTES (16 << 10)

typedef struct {
    const Convolution *conv;
    const Isa *isa;
    int64_t tile_rows;
    int64_t lead;      /* see leading_offset */
    char *scratch;     /* per worker: a tile, then its places */
    int64_t tile_bytes, worker_bytes;
    int32_t *counting; /* 0, 1, 2 .. tile_rows - 1 */
} TileWork;

/* Index of the first of rows[begin .. end - 1], which ascend, that is not below `row`, or end. Every entry on the way
 * will be read soon, and reading them in order keeps them coming: a search by halves waits for memory at each step. */
static int64_t read_on_to(const int32_t *rows, int64_t begin, int64_t end, int64_t row) {
    while (begin + 16 <= end && rows[begin + 15] < row) begin += 16;
    while (begin < end && rows[begin] < row) begin++;
    return begin;
}

static int64_t element(const Term *term) { return term->kind == FLOAT ? 4 : term->kind == INT16 ? 2 : 1; }

/* Pairs of one offset in one tile. Panels of weights that the first-level cache holds together are passed over at once;
 * where there are more, the rows are cut into chunks that it holds too. pair: of this offset, index behind the pairs of
 * the worker's last tile; its tiles ascend (parallel_for hands them out in order). */
static void add_offset(const TileWork *work, const Term *term, int64_t k, float *tile, int64_t base, int64_t rows,
                       int first, int64_t *pair) {
    const int64_t size = element(term), panels = work->conv->width / PANEL, panel = term->channels * PANEL * size;
    PairList list = {.rows = term->rows, .scales = term->scales, .stride = term->stride, .in = work->counting,
                     .out = work->counting, .channels = (int)term->channels, .tile_step = rows * PANEL, .write = first};
    const char *weights = (const char *)term->weights + k * panels * panel;
    int64_t left = rows;
    if (term->in) {
        const int64_t end = term->starts[k + 1];
        const int64_t begin = read_on_to(term->out, *pair, end, base);
        *pair = read_on_to(term->out, begin, end, base + rows);
        left = *pair - begin;
        list.in = term->in + begin;
        list.out = term->out + begin;
        tile -= base * PANEL;
    } else {
        list.rows = (const char *)term->rows + base * term->stride * size;
        if (term->scales) list.scales = term->scales + base;
    }
    const int64_t together = WEIGHT_BYTES / panel < 1 ? 1 : WEIGHT_BYTES / panel;
    int64_t most = together >= panels ? left : CHUNK_BYTES / (term->channels * size) / 12 * 12;
    if (most < 24) most = 24;
    while (left > 0) {
        /* A last part of less than half a chunk joins the one before it. */
        list.count = left < most + most / 2 ? left : most;
        for (int64_t p = 0; p < panels; p += together) {
            list.panels = panels - p < together ? panels - p : together;
            list.weights = weights + panel * p;
            list.tile = tile + p * list.tile_step;
            work->isa->multiply[term->kind](&list);
        }
        left -= list.count;
        list.in += list.count;
        list.out += list.count;
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
    const TileWork *work = context;
    const Convolution *conv = work->conv;
    const int64_t base = item * work->tile_rows;
    const int64_t rows = conv->outputs - base < work->tile_rows ? conv->outputs - base : work->tile_rows;
    float *tile = (float *)(work->scratch + worker * work->worker_bytes);
    int64_t *pair = (int64_t *)((char *)tile + work->tile_bytes);
    /* Every sum starts with the offset that all rows have, or with zero. */
    if (work->lead >= 0) add_offset(work, conv->terms, work->lead, tile, base, rows, 1, pair + work->lead);
    else memset(tile, 0, (size_t)(rows * conv->width) * sizeof(float));
    for (int64_t t = 0; t < conv->terms_count; pair += conv->terms[t++].volume)
        for (int64_t k = 0; k < conv->terms[t].volume; k++)
            if (t > 0 || k != work->lead)
                add_offset(work, &conv->terms[t], k, tile, base, rows, 0, pair + k);
    const Finish job = {.tile = tile, .panel_rows = rows, .base = base, .rows = rows, .width = (int)conv->width,
                        .column_scale = conv->column_scale, .bias = conv->bias, .residual = conv->residual,
                        .residual_scale = conv->residual_scale, .residual_stride = conv->residual_stride,
                        .relu = (int)conv->relu, .residual_after_relu = (int)conv->residual_after_relu,
                        .out = conv->out, .out_scale = conv->out_scale, .out_stride = conv->out_stride,
                        .residual_kind = (int)conv->residual_kind, .out_kind = (int)conv->out_kind};
    work->isa->finish(&job);
}

/* Bytes of whole cache lines. */
static int64_t lines(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/* Returns 0, or -1 where there was no memory. */
EXPORT int sparse_convolve(const Convolution *conv) {
    if (conv->outputs == 0) return 0;
    const int threads = conv->threads < 1 ? 1 : conv->threads > MAX_THREADS ? MAX_THREADS : (int)conv->threads;
    int64_t rows = TILE_BYTES / (int64_t)sizeof(float) / conv->width;
    if (rows < 256) rows = 256;
    /* Small clouds: enough tiles to share out. Results do not depend on the tile size. */
    while (rows > 64 && threads > 1 && conv->outputs < rows * threads * 6) rows /= 2;
    rows = (rows + 11) / 12 * 12;
    TileWork work = {.conv = conv, .isa = isa_by_level((int)conv->level), .tile_rows = rows, .lead = leading_offset(conv)};
    int64_t offsets = 0;
    for (int64_t t = 0; t < conv->terms_count; t++) offsets += conv->terms[t].volume;
    work.tile_bytes = rows * conv->width * (int64_t)sizeof(float);
    work.worker_bytes = lines(work.tile_bytes + offsets * (int64_t)sizeof(int64_t));
    work.scratch = aligned_alloc(64, (size_t)(threads * work.worker_bytes + lines(rows * (int64_t)sizeof(int32_t))));
    if (!work.scratch) return -1;
    for (int worker = 0; worker < threads; worker++) {
        int64_t *pair = (int64_t *)(work.scratch + worker * work.worker_bytes + work.tile_bytes);
        for (int64_t t = 0; t < conv->terms_count; t++)
            for (int64_t k = 0; k < conv->terms[t].volume; k++)
                *pair++ = conv->terms[t].in ? conv->terms[t].starts[k] : 0;
    }
    work.counting = (int32_t *)(work.scratch + threads * work.worker_bytes);
    for (int64_t i = 0; i < rows; i++) work.counting[i] = (int32_t)i;
    parallel_for(threads, (conv->outputs + rows - 1) / rows, run_tile, &work);
    free(work.scratch);
    return 0;
}
