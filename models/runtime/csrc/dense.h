/* Dense networks frame by frame on one processor: shared declarations. Plain C11, gcc >= 9 or clang.
 *
 * Activations are rows of channels, one row per pixel (channels last): [batch * height * width][stride], stride a
 * multiple of LANES, the channels behind the last one are zero. A program is a list of operations that threads work
 * through in step.
 */
#ifndef DENSE_H
#define DENSE_H

#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#define LANES 8
#define ROWS 6    /* pixels of a block */
#define PANEL 16  /* output channels of a block */
#define SOURCES 2 /* of one convolution */

enum { CONVOLVE, DEPTHWISE, MAXIMUM_POOL, MEAN, COPY, FROM_PLANES, TO_PLANES };

/* Mirrored by Operation in native.py; every field has eight bytes.
 *
 * CONVOLVE: the input channels are those of `source[0]`, then those of `source[1]`: a temporal shift is a convolution
 * that reads the first channels from the cache and the others from the frame. out = clamp(bias + sum + residual).
 * DEPTHWISE, MAXIMUM_POOL, MEAN, COPY (the first `channels[0]` of a row): source[0] to out.
 * FROM_PLANES: float [batch][channels][in_height][in_width] to rows inside a border of zeros (in_pitch pixels per line,
 * pad_top lines, pad_left pixels). TO_PLANES: the other way, without border.
 */
typedef struct {
    int64_t kind;
    const float *source[SOURCES];
    int64_t stride[SOURCES];   /* floats from row to row */
    int64_t channels[SOURCES]; /* of each source; 0: there is none */
    int64_t batch, in_height, in_width, in_pitch;
    int64_t out_height, out_width;
    int64_t kernel_height, kernel_width;
    int64_t step;              /* stride of the kernel */
    int64_t pad_top, pad_left;
    const float *weights;      /* CONVOLVE: panels of [taps][channels][16 or 8]; DEPTHWISE: [taps][stride] */
    const float *bias;         /* [out_stride] */
    const float *residual;     /* NULL: none; rows as `out` */
    float *out;
    int64_t out_stride;
    int64_t chunk;             /* CONVOLVE: pixels whose input stays in the cache while all panels pass */
    int64_t panels;            /* CONVOLVE: panels of one work item */
    double low, high;
} Operation;

typedef struct {
    void (*convolve)(const Operation *op, int64_t item, const float **pointers, const float *zeros);
    void (*depthwise)(const Operation *op, int64_t item, const float *zeros);
    void (*maximum_pool)(const Operation *op, int64_t item);
    void (*mean)(const Operation *op, int64_t item);
} Kernels;

extern const Kernels kernels_plain, kernels_avx2;

#endif
