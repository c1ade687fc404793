/* Dense networks frame by frame on one processor: shared declarations. Plain C11, gcc >= 9 or clang.
 *
 * Activations are rows of channels, one row per pixel (channels last): [batch * height * width][stride], of float or of
 * bfloat16, alike in a whole program (E in body.h); stride is a multiple of LANES, the channels behind the last one are
 * zero. A program is a list of operations that threads work through in step.
 */
#ifndef DENSE_H
#define DENSE_H

#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

#define ROWS 6    /* pixels of a block */
#define SOURCES 2 /* of one convolution */
#define MOST_LINES 16 /* of a depthwise kernel */

enum { CONVOLVE, DEPTHWISE, MAXIMUM_POOL, MEAN, COPY, FROM_PLANES, TO_PLANES, WINOGRAD, FUSED };

/* Mirrored by Operation in native.py; every field has eight bytes.
 *
 * CONVOLVE: the input channels are those of `source[0]`, then those of `source[1]`: a temporal shift is a convolution
 * that reads the first channels from the cache and the others from the frame. out = clamp(bias + sum + residual).
 * WINOGRAD: a convolution of 3 x 3 in steps of 1 from source[0], computed in tiles of 2 x 2 results: 16 products in place
 * of 36. `out_stride` is a multiple of PANEL.
 * FUSED: the next three operations, CONVOLVE, DEPTHWISE and CONVOLVE of 1 x 1, line by line: what lies between them
 * never leaves the cache. `chunk`: lines of one work item.
 * DEPTHWISE, MAXIMUM_POOL, MEAN, COPY (the first `channels[0]` of a row): source[0] to out.
 * FROM_PLANES: float [batch][channels][in_height][in_width] to rows inside a border of zeros (out_height lines of
 * in_pitch pixels; pad_top lines, pad_left pixels come first). TO_PLANES: the other way, without border.
 */
typedef struct {
    int64_t kind;
    const void *source[SOURCES];
    int64_t stride[SOURCES];   /* elements from row to row */
    int64_t channels[SOURCES]; /* of each source; 0: there is none */
    int64_t batch, in_height, in_width, in_pitch;
    int64_t out_height, out_width;
    int64_t kernel_height, kernel_width;
    int64_t step;              /* stride of the kernel */
    int64_t pad_top, pad_left;
    const void *weights;       /* CONVOLVE: panels of [taps][channels][PANEL or LANES], of bfloat16 in pairs: of
                                  [taps][source][channels / 2, rounded up][PANEL or LANES][2]; WINOGRAD: of
                                  [16][channels][16]; DEPTHWISE: float [taps][stride] */
    const float *bias;         /* [out_stride] */
    const void *residual;      /* NULL: none; rows as `out` */
    void *out;
    int64_t out_stride;
    int64_t chunk;             /* CONVOLVE: pixels (WINOGRAD: tiles) whose input stays in the cache while panels pass */
    int64_t panels;            /* CONVOLVE, WINOGRAD: panels of one work item */
    double low, high;
} Operation;

/* Of one thread. */
typedef struct {
    const void **pointers; /* to the inputs of a chunk's pixels */
    void *tiles;           /* WINOGRAD: 16 x (chunk x channels + PANEL), then 16 x chunk x PANEL; FUSED: lines */
    const void *zeros;     /* as many as the widest row has */
} Scratch;

typedef struct {
    void (*convolve)(const Operation *op, int64_t item, const Scratch *scratch);
    void (*winograd)(const Operation *op, int64_t item, const Scratch *scratch);
    void (*fused)(const Operation *op, int64_t item, const Scratch *scratch);
    void (*depthwise)(const Operation *op, int64_t item, const Scratch *scratch);
    void (*maximum_pool)(const Operation *op, int64_t item, const Scratch *scratch);
    void (*mean)(const Operation *op, int64_t item, const Scratch *scratch);
    void (*copy)(const Operation *op, int64_t item, const Scratch *scratch);
    void (*from_planes)(const Operation *op, int64_t item, const Scratch *scratch);
    void (*to_planes)(const Operation *op, int64_t item, const Scratch *scratch);
    int panel; /* output channels of a block */
} Kernels;

#define LINES 16 /* of a frame in one work item of FROM_PLANES */

extern const Kernels kernels_plain, kernels_plain_bf16;
#if defined(__x86_64__)
extern const Kernels kernels_avx2, kernels_avx512;
#if __GNUC__ >= 10 || defined(__clang__)
#define HAVE_BF16
extern const Kernels kernels_avx512bf16;
#endif
#endif

#endif
