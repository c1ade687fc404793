/* Parallel loops. A team of threads lives for one call into the engine (a frame, or one loop): nothing to shut down,
 * nothing that a fork could lose. Between the loops of a frame the others wait a few microseconds, then sleep. Nobody
 * waits for a thread that has not begun an item: on a busy machine it may get its turn long after the work is done. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "sparse.h"

#define PATIENCE 400 /* looks at the next loop before a thread sleeps: about ten microseconds */

typedef struct {
    atomic_llong next; /* item to hand out */
    int64_t items;
    Work work;
    void *context;
} Loop;

struct Team {
    Loop loop;
    atomic_int turn;   /* number of loops so far */
    atomic_int inside; /* threads at work on the loop, plus OPEN while others may join */
    atomic_int over;
    atomic_int members_left; /* who leaves last frees the team */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct Member {
        struct Team *team;
        int worker;
    } members[MAX_THREADS];
};

enum { OPEN = 1 << 16 };

static _Thread_local Team *current;

static void drain(Loop *loop, int worker) {
    for (;;) {
        const int64_t item = atomic_fetch_add_explicit(&loop->next, 1, memory_order_relaxed);
        if (item >= loop->items) return;
        loop->work(loop->context, worker, item);
    }
}

static void rest(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Waits for a loop other than the one of turn `seen`, or for the end. */
static int next_turn(Team *team, int seen) {
    for (int look = 0; look < PATIENCE; look++) {
        if (atomic_load(&team->turn) != seen || atomic_load(&team->over)) return atomic_load(&team->turn);
        rest();
    }
    pthread_mutex_lock(&team->lock);
    while (atomic_load(&team->turn) == seen && !atomic_load(&team->over)) pthread_cond_wait(&team->wake, &team->lock);
    pthread_mutex_unlock(&team->lock);
    return atomic_load(&team->turn);
}

static void leave(Team *team) {
    if (atomic_fetch_sub(&team->members_left, 1) > 1) return;
    pthread_cond_destroy(&team->wake);
    pthread_mutex_destroy(&team->lock);
    free(team);
}

static void *serve(void *argument) {
    const struct Member *member = argument;
    Team *team = member->team;
    int seen = 0;
    while (!atomic_load(&team->over)) {
        const int turn = next_turn(team, seen);
        /* Who comes late finds the loop closed and misses nothing: the others have done its share. */
        int inside = atomic_load(&team->inside);
        while (inside >= OPEN && !atomic_compare_exchange_weak(&team->inside, &inside, inside + 1)) {}
        if (inside >= OPEN) {
            drain(&team->loop, member->worker);
            atomic_fetch_sub(&team->inside, 1);
        }
        seen = turn;
    }
    leave(team);
    return NULL;
}

/* A team of `threads`, the caller among them; its loops run on it until team_end. NULL: no need, or no memory. */
Team *team_begin(int threads) {
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    if (threads < 2 || current) return NULL;
    Team *team = calloc(1, sizeof *team);
    if (!team) return NULL;
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->wake, NULL);
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    atomic_store(&team->members_left, 1);
    for (int t = 1; t < threads; t++) {
        pthread_t thread;
        team->members[t] = (struct Member){team, t};
        atomic_fetch_add(&team->members_left, 1);
        if (pthread_create(&thread, &detached, serve, &team->members[t]) == 0) continue;
        /* A thread that cannot be started is work that the others do. */
        atomic_fetch_sub(&team->members_left, 1);
        break;
    }
    pthread_attr_destroy(&detached);
    return current = team;
}

void team_end(Team *team) {
    if (!team) return;
    pthread_mutex_lock(&team->lock);
    atomic_store(&team->over, 1);
    pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->lock);
    current = NULL;
    leave(team);
}

void parallel_for(int threads, int64_t items, Work work, void *context) {
    Team *team = current, *own = NULL;
    if (threads < 2 || items < 2) {
        for (int64_t item = 0; item < items; item++) work(context, 0, item);
        return;
    }
    if (!team) team = own = team_begin(threads < items ? threads : (int)items);
    if (!team) {
        for (int64_t item = 0; item < items; item++) work(context, 0, item);
        return;
    }
    Loop *loop = &team->loop;
    loop->items = items;
    loop->work = work;
    loop->context = context;
    atomic_store(&loop->next, 0);
    atomic_store(&team->inside, OPEN);
    pthread_mutex_lock(&team->lock);
    atomic_fetch_add(&team->turn, 1);
    pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->lock);
    drain(loop, 0);
    atomic_fetch_sub(&team->inside, OPEN);
    /* What is left is at most one item per thread. */
    for (int look = 0; atomic_load(&team->inside) > 0; look++) {
        if (look < 20 * PATIENCE) rest();
        else sched_yield();
    }
    team_end(own);
}
