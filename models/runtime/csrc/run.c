/* Threads work through a program in step: they live for one run, nothing is left to shut down. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "dense.h"

#define MAX_THREADS 64

enum { PLAIN, AVX2, AVX512, AVX512_BF16 };

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
    const void *zeros;
    struct Progress *progress; /* per operation */
    atomic_int joined;         /* threads at work */
} Run;

static int64_t items(const Operation *op, int64_t panel) {
    if (op->kind == CONVOLVE || op->kind == WINOGRAD) {
        const int64_t side = op->kind == WINOGRAD ? 2 : 1;
        const int64_t units = op->batch * ((op->out_height + side - 1) / side) * ((op->out_width + side - 1) / side);
        const int64_t panels = (op->out_stride + panel - 1) / panel;
        return (units + op->chunk - 1) / op->chunk * ((panels + op->panels - 1) / op->panels);
    }
    if (op->kind == FUSED) return op[2].batch * ((op[2].out_height + op->chunk - 1) / op->chunk);
    if (op->kind == DEPTHWISE || op->kind == MAXIMUM_POOL) return op->batch * op->out_height;
    if (op->kind == FROM_PLANES) return op->batch * ((op->in_height + LINES - 1) / LINES);
    return op->batch;
}

static void work(const Run *run, const Operation *op, int64_t item, const Scratch *scratch) {
    const Kernels *kernels = run->kernels;
    switch (op->kind) {
    case CONVOLVE: kernels->convolve(op, item, scratch); break;
    case WINOGRAD: kernels->winograd(op, item, scratch); break;
    case FUSED: kernels->fused(op, item, scratch); break;
    case DEPTHWISE: kernels->depthwise(op, item, scratch); break;
    case MAXIMUM_POOL: kernels->maximum_pool(op, item, scratch); break;
    case MEAN: kernels->mean(op, item, scratch); break;
    case COPY: kernels->copy(op, item, scratch); break;
    case FROM_PLANES: kernels->from_planes(op, item, scratch); break;
    case TO_PLANES: kernels->to_planes(op, item, scratch); break;
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
    const Scratch scratch = {(const void **)(void *)mine, mine + run->tiles_at, run->zeros};
    int64_t waited = 0; /* operations known to be done */
    for (int64_t o = 0; o < run->count; o += run->program[o].kind == FUSED ? 4 : 1) {
        const Operation *op = &run->program[o];
        struct Progress *progress = &run->progress[o];
        const int64_t total = items(op, run->kernels->panel);
        while (atomic_fetch_add_explicit(&progress->taken, 1, memory_order_relaxed) < total) {
            const int64_t item = me % 2 ? total - 1 - atomic_fetch_add_explicit(&progress->back, 1, memory_order_relaxed)
                                        : atomic_fetch_add_explicit(&progress->front, 1, memory_order_relaxed);
            work(run, op, item, &scratch);
            atomic_fetch_add_explicit(&progress->finished, 1, memory_order_release);
        }
        if (op->kind == COPY) continue; /* the next operation neither reads nor overwrites what is copied */
        for (; waited <= o; waited += run->program[waited].kind == FUSED ? 4 : 1)
            wait_for(&run->progress[waited], items(&run->program[waited], run->kernels->panel));
    }
    return NULL;
}

/* Kernels of a level and a precision; NULL where they are not built. */
static const Kernels *kernels_of(int level, int bf16) {
#if defined(__x86_64__)
    if (level >= AVX512 && !bf16) return &kernels_avx512;
    if (level >= AVX2 && !bf16) return &kernels_avx2;
#ifdef HAVE_BF16
    if (level >= AVX512_BF16 && bf16) return &kernels_avx512bf16;
#endif
#endif
    (void)level;
    return bf16 ? &kernels_plain_bf16 : &kernels_plain;
}

/* Runs `count` operations on `threads` threads with the best kernels up to `level`, whose rows are of bfloat16 where
 * `bf16` is not zero. scratch: `bytes` for every thread, tables of pointers first, tiles from `tiles_at`; zeros: as
 * the widest row. 0, or 1 where memory is lacking. */
EXPORT int dense_run(const Operation *program, int64_t count, int threads, int level, int bf16, char *scratch,
                     int64_t bytes, int64_t tiles_at, const void *zeros) {
    Run run = {.program = program, .count = count, .threads = threads, .scratch = scratch, .bytes = bytes};
    run.tiles_at = tiles_at;
    run.zeros = zeros;
    run.kernels = kernels_of(level, bf16);
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

/* Best level that can run here. */
EXPORT int dense_level(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return PLAIN;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
        return AVX2;
#ifdef HAVE_BF16
    if (__builtin_cpu_supports("avx512bf16")) return AVX512_BF16;
#endif
    return AVX512;
#else
    return PLAIN;
#endif
}

EXPORT int dense_abi(void) { return 5; }
