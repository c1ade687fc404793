/* Points and voxels: trilinear weights, interpolation, and means of points in a voxel. */
#include <stdlib.h>
#include <string.h>

#include "sparse.h"

#define BLOCK 1024
#define AHEAD 8 /* points, when summing */

typedef struct {
    const float *points;
    int64_t count;
    const float *stride;
    const int32_t *voxel, *coords, *table;
    int32_t *corners;
    float *weights;
} Corners;

static void corners_of_block(void *context, int worker, int64_t item) {
    const Corners *job = context;
    const int64_t end = (item + 1) * BLOCK < job->count ? (item + 1) * BLOCK : job->count;
    (void)worker;
    for (int64_t p = item * BLOCK; p < end; p++) {
        float part[3][2], total = 0;
        for (int a = 0; a < 3; a++) {
            /* From the voxel that the caller names, not from floor(): the two may differ by the last bit at a border.
             * */
            const float inside = (job->points[3 * p + a] - (float)job->coords[4 * (int64_t)job->voxel[p] + a]) /
                    job->stride[a];
            part[a][1] = inside < 0 ? 0 : inside > 1 ? 1 : inside;
            part[a][0] = 1 - part[a][1];
        }
        const int32_t *known = job->table + 8 * (int64_t)job->voxel[p];
        float share[8];
        for (int c = 0; c < 8; c++) {
            share[c] = known[c] < 0 ? 0.0f : part[0][c >> 2] * part[1][c >> 1 & 1] * part[2][c & 1];
            total += share[c];
        }
        for (int c = 0; c < 8; c++) {
            job->corners[8 * p + c] = known[c] < 0 ? 0 : known[c];
            job->weights[8 * p + c] = share[c] / (total + 1e-8f);
        }
    }
}

/* points float [n][3], voxel int32 [n] (all known), coords int32 [voxels][4], table int32 [voxels][8] (-1: missing)
 * -> corners int32, weights float [n][8]. */
EXPORT void sparse_corners(const float *points, int64_t n, const float *stride, const int32_t *voxel,
                           const int32_t *coords, const int32_t *table, int32_t *corners, float *weights,
                           int64_t threads) {
    Corners job = {points, n, stride, voxel, coords, table, corners, weights};
    parallel_for((int)threads, (n + BLOCK - 1) / BLOCK, corners_of_block, &job);
}

typedef struct {
    int64_t kind;
    const void *rows;
    const float *scales;
    int64_t stride;
    const int32_t *corners;
    const float *weights;
    int64_t points, width;
    float *out;
    int64_t out_stride, add;
    const Isa *isa;
} Interpolation;

static void interpolate_block(void *context, int worker, int64_t item) {
    const Interpolation *j = context;
    const int64_t begin = item * BLOCK, end = begin + BLOCK < j->points ? begin + BLOCK : j->points;
    (void)worker;
    j->isa->interpolate((int)j->kind, j->rows, j->scales, j->stride, j->corners, j->weights, begin, end, (int)j->width, j->out,
                        j->out_stride, (int)j->add);
}

/* out[p] (+)= sum of weights[p][c] * rows[corners[p][c]]; rows by kind. width: a multiple of
 * PANEL. */
EXPORT void sparse_interpolate(int64_t kind, const void *rows, const float *scales, int64_t stride,
                               const int32_t *corners, const float *weights, int64_t points, int64_t width, float *out,
                               int64_t out_stride, int64_t add, int64_t level, int64_t threads) {
    Interpolation job = {kind, rows, scales, stride, corners, weights, points, width, out, out_stride, add,
                         isa_by_level((int)level)};
    parallel_for((int)threads, (points + BLOCK - 1) / BLOCK, interpolate_block, &job);
}

typedef struct {
    const float *points;
    int64_t stride;
    const int32_t *order;
    const int64_t *starts;
    int64_t voxels, width;
    void *out;
    float *out_scale;
    int64_t out_stride, out_kind;
    float *scratch;
    const Isa *isa;
} Mean;

static void mean_block(void *context, int worker, int64_t item) {
    const Mean *j = context;
    const int64_t base = item * 128, rows = base + 128 < j->voxels ? 128 : j->voxels - base;
    const int64_t known = j->starts ? j->starts[j->voxels] : 0; /* no points: `order` may be NULL, `starts` is not */
    float *tile = j->scratch + worker * 128 * j->width;
    for (int64_t v = 0; v < rows; v++) {
        const int64_t begin = j->starts ? j->starts[base + v] : base + v,
                      end = j->starts ? j->starts[base + v + 1] : begin + 1;
        const float share = end > begin ? 1.0f / (float)(end - begin) : 0.0f;
        for (int64_t column = 0; column < j->width; column += PANEL)
            memset(tile + column * rows + v * PANEL, 0, PANEL * sizeof(float));
        for (int64_t i = begin; i < end; i++) {
            const float *point = j->points + (j->starts ? j->order[i] : i) * j->stride;
            /* The points of a voxel lie apart in memory. */
            if (i + AHEAD < known)
                for (int64_t c = 0; c < j->width; c += PANEL)
                    __builtin_prefetch(j->points + j->order[i + AHEAD] * j->stride + c);
            for (int64_t column = 0; column < j->width; column += PANEL) {
                float *restrict sum = tile + column * rows + v * PANEL;
                for (int64_t c = 0; c < PANEL; c++) sum[c] += point[column + c];
            }
        }
        for (int64_t column = 0; column < j->width; column += PANEL)
            for (int64_t c = 0; c < PANEL; c++) tile[column * rows + v * PANEL + c] *= share;
    }
    const Finish job = {.tile = tile, .panel_rows = rows, .base = base, .rows = rows, .width = (int)j->width,
                        .out = j->out, .out_scale = j->out_scale, .out_stride = j->out_stride, .out_kind = (int)j->out_kind};
    j->isa->finish(&job);
}

/* out[v] = mean of points[order[starts[v] .. starts[v + 1]]], zeros where none; starts NULL: out[v] = points[v].
 * out: rows of out_kind. Returns 0, or -1 where there was no memory. */
EXPORT int sparse_point_mean(const float *points, int64_t stride, const int32_t *order, const int64_t *starts,
                             int64_t voxels, int64_t width, void *out, float *out_scale, int64_t out_stride,
                             int64_t out_kind, int64_t level, int64_t threads) {
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    Mean job = {points, stride, order, starts, voxels, width, out, out_scale, out_stride, out_kind, NULL,
                isa_by_level((int)level)};
    job.scratch = aligned_alloc(64, (size_t)(threads * 128 * width) * sizeof(float));
    if (!job.scratch) return -1;
    parallel_for((int)threads, (voxels + 127) / 128, mean_block, &job);
    free(job.scratch);
    return 0;
}

typedef struct {
    const float *grad, *weights;
    int64_t grad_stride, points, width;
    const int32_t *corners;
    float *out;
} Scatter;

static void scatter_columns(void *context, int worker, int64_t item) {
    const Scatter *j = context;
    const int64_t begin = item * PANEL, count = begin + PANEL < j->width ? PANEL : j->width - begin;
    (void)worker;
    for (int64_t p = 0; p < j->points; p++) {
        const float *from = j->grad + p * j->grad_stride + begin;
        for (int c = 0; c < 8; c++) {
            const float share = j->weights[8 * p + c];
            if (share == 0.0f) continue;
            float *to = j->out + j->corners[8 * p + c] * j->width + begin;
            if (count == PANEL)
                for (int64_t i = 0; i < PANEL; i++) to[i] += share * from[i];
            else
                for (int64_t i = 0; i < count; i++) to[i] += share * from[i];
        }
    }
}

/* Gradient of sparse_interpolate: out[corners[p][c]] += weights[p][c] * grad[p]; out float [voxels][width], zeroed by
 * the caller.
 * Threads share the columns, so every sum runs over the points in order. */
EXPORT void sparse_interpolate_gradient(const float *grad, int64_t grad_stride, const int32_t *corners,
                                        const float *weights, int64_t points, int64_t width, float *out,
                                        int64_t threads) {
    Scatter job = {grad, weights, grad_stride, points, width, corners, out};
    parallel_for((int)threads, (width + PANEL - 1) / PANEL, scatter_columns, &job);
}

/* Counting sort of points by voxel (-1: left out): order int32 [known points], starts int64 [voxels + 1]. */
EXPORT void sparse_by_voxel(const int32_t *voxel, int64_t points, int64_t voxels, int32_t *order, int64_t *starts) {
    memset(starts, 0, (size_t)(voxels + 1) * sizeof *starts);
    for (int64_t p = 0; p < points; p++)
        if (voxel[p] >= 0) starts[voxel[p] + 1]++;
    for (int64_t v = 0; v < voxels; v++) starts[v + 1] += starts[v];
    /* Each start moves to its end while points are placed, then back by one voxel. */
    for (int64_t p = 0; p < points; p++)
        if (voxel[p] >= 0) order[starts[voxel[p]]++] = (int32_t)p;
    memmove(starts + 1, starts, (size_t)voxels * sizeof *starts);
    starts[0] = 0;
}
