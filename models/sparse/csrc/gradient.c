/* Gradient of the weights: for every offset the sum over its pairs of outer(input row, output gradient row). */
#include "sparse.h"

typedef struct {
    const float *x, *g;
    int64_t x_stride, g_stride;
    const int32_t *in, *out;
    const int64_t *starts;
    int64_t channels, width;
    float *dw;
    const Isa *isa;
} Gradient;

static void one_panel(void *context, int worker, int64_t item) {
    const Gradient *j = context;
    const int64_t panels = j->width / PANEL, k = item / panels, column = item % panels * PANEL;
    (void)worker;
    /* Blocks of pairs whose rows stay in cache while the channels are swept. */
    for (int64_t begin = j->starts[k]; begin < j->starts[k + 1]; begin += 128) {
        const int64_t end = begin + 128 < j->starts[k + 1] ? begin + 128 : j->starts[k + 1];
        j->isa->outer_f32(j->x, j->x_stride, j->g + column, j->g_stride, j->in + begin, j->out + begin, end - begin,
                          (int)j->channels, j->dw + (k * j->channels * j->width + column), j->width);
    }
}

/* dw float [volume][channels][width], zeroed by the caller; width: a multiple of PANEL. Each element is summed by one thread in the
 * order of the pairs. */
EXPORT void sparse_weight_gradient(const float *x, int64_t x_stride, const float *g, int64_t g_stride, const int32_t *in,
                                   const int32_t *out, const int64_t *starts, int64_t volume, int64_t channels, int64_t width,
                                   float *dw, int64_t level, int64_t threads) {
    Gradient job = {x, g, x_stride, g_stride, in, out, starts, channels, width, dw, isa_by_level((int)level)};
    parallel_for((int)threads, volume * (width / PANEL), one_panel, &job);
}
