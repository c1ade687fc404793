/* Gradient of the weights: for every offset the sum over its pairs of outer(input row, output gradient row). */
#include <stdlib.h>
#include <string.h>

#include "sparse.h"

#define GATHER_BYTES (48 << 10) /* of rows gathered side by side before they are multiplied */

typedef struct {
    const float *x, *g;
    int64_t x_stride, g_stride;
    const int32_t *in, *out;
    const int64_t *starts;
    int64_t channels, width, block;
    float *dw, *scratch;
    const Isa *isa;
} Gradient;

static void one_offset(void *context, int worker, int64_t k) {
    const Gradient *j = context;
    float *x = j->scratch + worker * j->block * (j->channels + j->width), *g = x + j->block * j->channels;
    for (int64_t begin = j->starts[k]; begin < j->starts[k + 1]; begin += j->block) {
        const int64_t count = begin + j->block < j->starts[k + 1] ? j->block : j->starts[k + 1] - begin;
        for (int64_t p = 0; p < count; p++) {
            memcpy(x + p * j->channels, j->x + j->in[begin + p] * j->x_stride, (size_t)j->channels * sizeof(float));
            memcpy(g + p * j->width, j->g + j->out[begin + p] * j->g_stride, (size_t)j->width * sizeof(float));
        }
        j->isa->outer_f32(x, j->channels, g, j->width, count, (int)j->channels, (int)j->width,
                          j->dw + k * j->channels * j->width, j->width);
    }
}

/* dw float [volume][channels][width], zeroed by the caller; width: a multiple of PANEL. Each offset is summed by one
 * thread, in the order of its pairs. Returns 0, or -1 where there was no memory. */
EXPORT int sparse_weight_gradient(const float *x, int64_t x_stride, const float *g, int64_t g_stride, const int32_t *in,
                                  const int32_t *out, const int64_t *starts, int64_t volume, int64_t channels,
                                  int64_t width, float *dw, int64_t level, int64_t threads) {
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    int64_t block = GATHER_BYTES / (int64_t)sizeof(float) / (channels + width);
    if (block < 32) block = 32;
    Gradient job = {x, g, x_stride, g_stride, in, out, starts, channels, width, block, dw, NULL,
                    isa_by_level((int)level)};
    job.scratch = malloc((size_t)(threads * block * (channels + width)) * sizeof(float));
    if (!job.scratch) return -1;
    parallel_for((int)threads, volume, one_offset, &job);
    free(job.scratch);
    return 0;
}
