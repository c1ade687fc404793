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

/* How rows are stored. Quantised rows have one scale each: value = data * scale. Weights of uint8 rows are int8. */
enum { FLOAT, INT16, UINT8 };
#define INT16_MAXIMUM 8191 /* largest |value|: sums of products fit 32 bits, see _quantise in fused.py */
#define UINT8_MAXIMUM 127  /* values are not negative; sums of eight products fit 16 bits */

/* Pairs of rows: input rows are multiplied by panels of weights and added to rows of the tile. */
typedef struct {
    const void *rows;
    const float *scales;    /* of quantised rows */
    int64_t stride;         /* elements */
    const int32_t *in, *out; /* rows of each pair; those of `out` are distinct */
    int64_t count;
    int channels;           /* of the input; a multiple of 2 for int16, of 16 for uint8 */
    const void *weights;    /* panels: float [channels][16], int16 [channels / 2][16][2] or int8 [channels / 4][16][4] */
    int64_t panels;
    float *tile;            /* of output row 0 in the first panel: a row has PANEL floats */
    int64_t tile_step;      /* floats, from panel to panel */
    int write;              /* these are the first values of their rows: replace what is there */
} PairList;

/* What is done with a finished tile. */
typedef struct {
    float *tile;                  /* [width / PANEL][panel_rows][PANEL] */
    int64_t panel_rows;
    int64_t base, rows;
    int width;                    /* output channels, padded to PANEL */
    const float *column_scale;    /* NULL: 1 */
    const float *bias;            /* NULL: 0 */
    const void *residual;         /* NULL: none */
    const float *residual_scale;
    int64_t residual_stride;
    int residual_kind;
    int relu, residual_after_relu;
    void *out;
    float *out_scale;             /* of quantised rows */
    int64_t out_stride;
    int out_kind;
} Finish;

typedef struct {
    const char *name;
    void (*multiply[3])(const PairList *list); /* by kind of rows */
    void (*finish)(const Finish *job);
    /* dw[channels][width] += x[count][channels] transposed times g[count][width] */
    void (*outer_f32)(const float *x, int64_t x_stride, const float *g, int64_t g_stride, int64_t count, int channels,
                      int width, float *dw, int64_t dw_stride);
    void (*interpolate)(int kind, const void *rows, const float *scales, int64_t stride, const int32_t *corners,
                        const float *weights, int64_t begin, int64_t end, int width, float *out, int64_t out_stride,
                        int add);
    void (*best_class)(const float *logits, int64_t rows, int64_t width, int64_t classes, const float *lowered,
                       uint8_t *label, float *score);
    double (*peak[3])(int64_t rounds); /* by kind */
    int peak_width[3]; /* multiply-adds in one round */
} Isa;

extern const Isa isa_plain;
#if defined(__x86_64__)
extern const Isa isa_avx2, isa_avx512, isa_avx512vnni;
#endif

const Isa *isa_by_level(int level);

#define MAX_THREADS 64

/* Runs work(context, worker, item) for item = 0 .. items - 1 on at most `threads` threads; items are handed out in
 * order. worker, 0 .. threads - 1, names the thread, for scratch memory. Inside a team: on its threads, of which there
 * must not be more than `threads`. */
typedef void (*Work)(void *context, int worker, int64_t item);
void parallel_for(int threads, int64_t items, Work work, void *context);

typedef struct Team Team;
Team *team_begin(int threads);
void team_end(Team *team);

/* One term of a convolution. Must match Term in native.py. */
typedef struct {
    const void *rows;
    const float *scales;       /* of quantised rows */
    int64_t stride;
    /* pairs grouped by offset, out ascending in each group; NULL: row i meets row i (one offset) */
    const int32_t *in, *out;
    const int64_t *starts;     /* [volume + 1] */
    const void *weights;       /* [volume] of [panels] of what PairList says */
    int64_t volume, channels;  /* channels: see PairList */
    int64_t kind;              /* of rows and weights */
} Term;

/* Must match Convolution in native.py. */
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
    int64_t residual_kind, out_kind;
    int64_t level, threads;
} Convolution;

EXPORT int sparse_convolve(const Convolution *conv);

/* See points.c. */
EXPORT void sparse_corners(const float *points, int64_t n, const float *stride, const int32_t *voxel,
                           const int32_t *coords, const int32_t *table, int32_t *corners, float *weights,
                           int64_t threads);
EXPORT void sparse_by_voxel(const int32_t *voxel, int64_t points, int64_t voxels, int32_t *order, int64_t *starts);
EXPORT void sparse_interpolate(int64_t kind, const void *rows, const float *scales, int64_t stride,
                               const int32_t *corners, const float *weights, int64_t points, int64_t width, float *out,
                               int64_t out_stride, int64_t add, int64_t level, int64_t threads);
EXPORT int sparse_point_mean(const float *points, int64_t stride, const int32_t *order, const int64_t *starts,
                             int64_t voxels, int64_t width, void *out, float *out_scale, int64_t out_stride,
                             int64_t out_kind, int64_t level, int64_t threads);

#endif
