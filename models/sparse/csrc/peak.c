/* Arithmetic peak of a processor at one instruction set: the floor that the benchmark measures against. */
#include "sparse.h"

typedef struct {
    const Isa *isa;
    int64_t rounds, kind;
    double total[MAX_THREADS];
} Peak;

static void run_peak(void *context, int worker, int64_t item) {
    Peak *job = context;
    (void)item;
    job->total[worker] = job->isa->peak[job->kind](job->rounds);
}

/* Runs `rounds` rounds of independent multiply-adds on each thread; returns the multiply-adds of one round. */
EXPORT int64_t sparse_peak(int64_t rounds, int64_t kind, int64_t level, int64_t threads) {
    Peak job = {.isa = isa_by_level((int)level), .rounds = rounds, .kind = kind};
    parallel_for((int)threads, threads, run_peak, &job);
    return job.isa->peak_width[kind];
}
