/* Compiled engine of models/sparse: shared declarations. Plain C11, gcc >= 9 or clang, x86-64 fast paths chosen at
 * run time. */
#ifndef SPARSE_H
#define SPARSE_H

#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#define PANEL 16          /* output channels per panel of packed weights */
#define MAX_TERMS 4       /* terms summed by one convolution */
#define ACTIVATION_MAX 8191 /* largest |value| of an int16 activation, see quantised rows in conv.c */

/* One list of row pairs: rows of the input (by index) multiplied by one panel of weights, added to rows of a tile. */
typedef struct {
    const void *rows;       /* input rows, float or int16 */
    const float *scales;    /* of int16 rows, one per row */
    int64_t stride;         /* elements from row to row */
    const int32_t *in;      /* input row per pair; NULL: in[i] = first + i */
    const int32_t *out;     /* output row per pair (absolute); NULL: as in */
    int64_t first;          /* of identity lists */
    int64_t count;
    int64_t base;           /* absolute row of the tile's first row */
    int channels;           /* of the input; even for int16 */
    const void *weights;    /* panel: float [channels][16] or int16 [channels / 2][16][2] */
    float *tile;            /* accumulators of this panel: tile[row * tile_stride + column] */
    int64_t tile_stride;
    int prefetch;           /* ask for input rows ahead */
} PairList;

/* What is done with a finished tile. */
typedef struct {
    const float *tile;
    int64_t tile_stride;
    int64_t base, rows;
    int width;                    /* output channels, padded to PANEL */
    const float *column_scale;    /* NULL: 1 */
    const float *bias;            /* NULL: 0 */
    const void *residual;         /* NULL: none; same kind as out */
    const float *residual_scale;
    int64_t residual_stride;
    int relu, residual_after_relu;
    void *out;
    float *out_scale;             /* of int16 rows; NULL: out is float */
    int64_t out_stride;
} Finish;

typedef struct {
    const char *name;
    void (*multiply_f32)(const PairList *list);
    void (*multiply_i16)(const PairList *list);
    void (*finish)(const Finish *job);
    /* dw[channels][width] += x[count][channels] transposed times g[count][width] */
    void (*outer_f32)(const float *x, int64_t x_stride, const float *g, int64_t g_stride, int64_t count, int channels,
                      int width, float *dw, int64_t dw_stride);
    void (*interpolate)(const void *rows, const float *scales, int64_t stride, const int32_t *corners,
                        const float *weights, int64_t begin, int64_t end, int width, float *out, int64_t out_stride,
                        int add);
    double (*peak_f32)(int64_t rounds);
    double (*peak_i16)(int64_t rounds);
    int peak_width; /* float multiply-adds in one round */
} Isa;

extern const Isa isa_plain;
#if defined(__x86_64__)
extern const Isa isa_avx2, isa_avx512, isa_avx512vnni;
#endif

const Isa *isa_by_level(int level);

#define MAX_THREADS 64

/* Runs work(context, worker, item) for item = 0 .. items - 1 on at most `threads` threads; items are handed out in
 * order.
 * worker, 0 .. threads - 1, names the thread, for scratch memory. */
typedef void (*Work)(void *context, int worker, int64_t item);
void parallel_for(int threads, int64_t items, Work work, void *context);

#endif
