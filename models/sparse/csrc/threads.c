/* Parallel loop on threads that live for one call: nothing to shut down, nothing that a fork could lose, no spinning.
 * */
#include <pthread.h>
#include <stdatomic.h>

#include "sparse.h"

typedef struct {
    atomic_llong next;
    int64_t items;
    Work work;
    void *context;
} Loop;

typedef struct {
    Loop *loop;
    int worker;
} Share;

static void *drain(void *argument) {
    const Share *share = argument;
    Loop *loop = share->loop;
    for (;;) {
        int64_t item = atomic_fetch_add_explicit(&loop->next, 1, memory_order_relaxed);
        if (item >= loop->items) return NULL;
        loop->work(loop->context, share->worker, item);
    }
}

void parallel_for(int threads, int64_t items, Work work, void *context) {
    Loop loop = {.next = 0, .items = items, .work = work, .context = context};
    pthread_t others[MAX_THREADS];
    Share shares[MAX_THREADS];
    int started = 0;
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    if (threads > items) threads = (int)items;
    for (int t = 0; t < MAX_THREADS; t++) shares[t] = (Share){&loop, t};
    /* A thread that cannot be started is work that the others do. */
    while (started < threads - 1 && pthread_create(&others[started], NULL, drain, &shares[started + 1]) == 0) started++;
    drain(&shares[0]);
    for (int t = 0; t < started; t++) pthread_join(others[t], NULL);
}
