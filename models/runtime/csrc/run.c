/* Threads work through a program in step: they live for one run, nothing is left to shut down. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "dense.h"

#define MAX_THREADS 64
#define LINES 16   /* of a frame in one work item */
#define SPINS 4000 /* looks at the others' progress before the processor is given away */

/* Items are taken from both ends: threads find what they wrote themselves in their own cache. An operation is done with
 * its last item, not when all threads have been there: one that starts late or has to pause keeps nobody waiting. */
struct Progress {
    atomic_llong taken, front, back, finished;
};

typedef struct {
    const Operation *program;
    int64_t count;
    int threads;
    const Kernels *kernels;
    char *scratch;       /* of all threads, each `bytes` long; pointers first, tiles from `tiles_at` */
    int64_t bytes, tiles_at;
    const float *zeros;
    struct Progress *progress; /* per operation */
    atomic_int joined;         /* threads at work */
} Run;

static int64_t items(const Operation *op) {
    if (op->kind == CONVOLVE || op->kind == WINOGRAD) {
        const int64_t side = op->kind == WINOGRAD ? 2 : 1;
        const int64_t units = op->batch * ((op->out_height + side - 1) / side) * ((op->out_width + side - 1) / side);
        const int64_t panels = (op->out_stride + PANEL - 1) / PANEL;
        return (units + op->chunk - 1) / op->chunk * ((panels + op->panels - 1) / op->panels);
    }
    if (op->kind == FUSED) return op[2].batch * ((op[2].out_height + op->chunk - 1) / op->chunk);
    if (op->kind == DEPTHWISE || op->kind == MAXIMUM_POOL) return op->batch * op->out_height;
    if (op->kind == FROM_PLANES) return op->batch * ((op->in_height + LINES - 1) / LINES);
    return op->batch;
}

static void from_planes(const Operation *op, int64_t item) {
    const int64_t parts = (op->in_height + LINES - 1) / LINES, n = item / parts, first = item % parts * LINES;
    const int64_t channels = op->channels[0], plane = op->in_height * op->in_width;
    for (int64_t y = first; y < first + LINES && y < op->in_height; y++) {
        const float *in = op->source[0] + n * channels * plane + y * op->in_width;
        float *out = op->out + ((n * op->out_height + y + op->pad_top) * op->in_pitch + op->pad_left) * op->out_stride;
        if (channels == 3)
            for (int64_t x = 0; x < op->in_width; x++, in++, out += op->out_stride)
                out[0] = in[0], out[1] = in[plane], out[2] = in[2 * plane];
        else
            for (int64_t x = 0; x < op->in_width; x++)
                for (int64_t c = 0; c < channels; c++) out[x * op->out_stride + c] = in[c * plane + x];
    }
}

static void to_planes(const Operation *op, int64_t n) {
    const int64_t area = op->in_height * op->in_width, channels = op->channels[0];
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < area; i++)
            op->out[(n * channels + c) * area + i] = op->source[0][(n * area + i) * op->stride[0] + c];
}

static void copy(const Operation *op, int64_t n) {
    const int64_t area = op->in_height * op->in_width;
    for (int64_t i = n * area; i < (n + 1) * area; i++)
        memcpy(op->out + i * op->out_stride, op->source[0] + i * op->stride[0],
               (size_t)op->channels[0] * sizeof(float));
}

static void work(const Run *run, const Operation *op, int64_t item, const Scratch *scratch) {
    switch (op->kind) {
    case CONVOLVE: run->kernels->convolve(op, item, scratch); break;
    case WINOGRAD: run->kernels->winograd(op, item, scratch); break;
    case FUSED: run->kernels->fused(op, item, scratch); break;
    case DEPTHWISE: run->kernels->depthwise(op, item, scratch->zeros); break;
    case MAXIMUM_POOL: run->kernels->maximum_pool(op, item); break;
    case MEAN: run->kernels->mean(op, item); break;
    case COPY: copy(op, item); break;
    case FROM_PLANES: from_planes(op, item); break;
    case TO_PLANES: to_planes(op, item); break;
    }
}

static void wait_for(const struct Progress *progress, int64_t total) {
    for (int spin = 0; atomic_load_explicit(&progress->finished, memory_order_acquire) < total; spin++) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
        if (spin > SPINS) sched_yield();
    }
}

static void *drain(void *argument) {
    Run *run = argument;
    const int me = atomic_fetch_add(&run->joined, 1);
    char *mine = run->scratch + me * run->bytes;
    const Scratch scratch = {(const float **)(void *)mine, (float *)(void *)(mine + run->tiles_at), run->zeros};
    int64_t waited = 0; /* operations known to be done */
    for (int64_t o = 0; o < run->count; o += run->program[o].kind == FUSED ? 4 : 1) {
        const Operation *op = &run->program[o];
        struct Progress *progress = &run->progress[o];
        const int64_t total = items(op);
        while (atomic_fetch_add_explicit(&progress->taken, 1, memory_order_relaxed) < total) {
            const int64_t item = me % 2 ? total - 1 - atomic_fetch_add_explicit(&progress->back, 1, memory_order_relaxed)
                                        : atomic_fetch_add_explicit(&progress->front, 1, memory_order_relaxed);
            work(run, op, item, &scratch);
            atomic_fetch_add_explicit(&progress->finished, 1, memory_order_release);
        }
        if (op->kind == COPY) continue; /* the next operation neither reads nor overwrites what is copied */
        for (; waited <= o; waited += run->program[waited].kind == FUSED ? 4 : 1)
            wait_for(&run->progress[waited], items(&run->program[waited]));
    }
    return NULL;
}

/* Runs `count` operations on `threads` threads with the kernels of `level` (0 plain, 1 AVX2). scratch: `bytes` for every
 * thread, tables of pointers first, tiles from `tiles_at`; zeros: as the widest row. 0, or 1 where memory is lacking. */
EXPORT int dense_run(const Operation *program, int64_t count, int threads, int level, char *scratch, int64_t bytes,
                     int64_t tiles_at, const float *zeros) {
    Run run = {.program = program, .count = count, .threads = threads, .scratch = scratch, .bytes = bytes};
    run.tiles_at = tiles_at;
    run.zeros = zeros;
    run.kernels = &kernels_plain;
#if defined(__x86_64__)
    if (level == 1) run.kernels = &kernels_avx2;
#else
    (void)level;
#endif
    pthread_t others[MAX_THREADS];
    if (threads < 1 || threads > MAX_THREADS) return 1;
    run.progress = calloc((size_t)count, sizeof *run.progress);
    if (!run.progress) return 1;
    int started = 0;
    while (started < threads - 1 && pthread_create(&others[started], NULL, drain, &run) == 0) started++;
    drain(&run);
    for (int t = 0; t < started; t++) pthread_join(others[t], NULL);
    free(run.progress);
    return 0;
}

/* 1 where this processor runs the AVX2 kernels, 2 where it has AVX-512 too, 0 elsewhere. */
EXPORT int dense_level(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f")) return 2;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return 0;
#endif
}

EXPORT int dense_abi(void) { return 3; }
