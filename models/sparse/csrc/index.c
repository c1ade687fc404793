/* Kernel maps of sorted voxel keys by linear merges, and the sort itself. index_numba.py gives the same maps. */
#include <stdlib.h>
#include <string.h>

#include "index.h"

static uint64_t pair_of(int64_t low, int64_t high) { return (uint64_t)high << 32 | (uint64_t)low; }

static void own_column(const Neighbours *job) {
    int64_t count = 0;
    for (int64_t i = 0; i + 1 < job->n; i++) {
        /* Written always, kept only if adjacent: no branch to mispredict. */
        job->met[count] = pair_of(i, i + 1);
        count += job->keys[i + 1] == job->keys[i] + 1;
    }
    job->counts[0] = count;
}

/* Planes (dx, dy) of offsets, and of each the keys' step to (dx, dy, -1). */
static const int64_t PLANES[4] = {Y_STEP - 1, X_STEP - Y_STEP - 1, X_STEP - 1, X_STEP + Y_STEP - 1};

/* The merge of one plane: rows ascend, and so do the rows that they meet. */
typedef struct {
    uint64_t *met[3]; /* by dz: where the next pair goes */
    int64_t step, at;
} Merge;

static Merge merge_of(const Neighbours *job, int plane) {
    Merge merge = {.step = PLANES[plane]};
    for (int z = 0; z < 3; z++) merge.met[z] = job->met + (1 + 3 * plane + z) * job->n;
    return merge;
}

/* Row i meets up to three rows. Written always, kept only if they are neighbours: every branch would be a guess. At
 * least three keys are left behind the first that is not below the lowest neighbour's. */
INLINE void meet(Merge *m, const int64_t *keys, int64_t i) {
    const int64_t lowest = keys[i] + m->step;
    int64_t at = m->at;
    at += keys[at] < lowest;
    at += keys[at] < lowest;
    while (keys[at] < lowest) at++;
    m->at = at;
    UNROLL for (int z = 0; z < 3; z++) {
        const int64_t met = keys[at] == lowest + z;
        *m->met[z] = pair_of(i, at);
        m->met[z] += met;
        at += met;
    }
}

/* The last rows, whose neighbours may lie behind the last key. */
static void meet_rest(Merge *m, const int64_t *keys, int64_t n, int64_t i) {
    for (; i < n; i++) {
        const int64_t lowest = keys[i] + m->step;
        while (m->at < n && keys[m->at] < lowest) m->at++;
        for (int64_t at = m->at; at < n && keys[at] <= lowest + 2; at++) *m->met[keys[at] - lowest]++ = pair_of(i, at);
    }
}

/* Rows that `meet` may be asked for, of n sorted keys. */
static int64_t safe_rows(const int64_t *keys, int64_t n, int64_t step) {
    int64_t low = 0, high = n;
    while (n >= 4 && low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (keys[middle] + step <= keys[n - 4]) low = middle + 1;
        else high = middle;
    }
    return low;
}

void neighbours_part(const Neighbours *job, int64_t item) {
    if (item == 2) {
        own_column(job);
        return;
    }
    /* Two planes side by side: each waits for its own last key, and one wait hides the other. */
    const int64_t *keys = job->keys, n = job->n;
    Merge one = merge_of(job, (int)(2 * item)), two = merge_of(job, (int)(2 * item + 1));
    const int64_t rows_one = safe_rows(keys, n, one.step), rows_two = safe_rows(keys, n, two.step);
    const int64_t both = rows_one < rows_two ? rows_one : rows_two;
    for (int64_t i = 0; i < both; i++) {
        meet(&one, keys, i);
        meet(&two, keys, i);
    }
    meet_rest(&one, keys, n, both);
    meet_rest(&two, keys, n, both);
    for (int z = 0; z < 3; z++) {
        const int64_t first = 1 + 6 * item + z, second = first + 3;
        job->counts[first] = one.met[z] - (job->met + first * n);
        job->counts[second] = two.met[z] - (job->met + second * n);
    }
}

static void part(void *context, int worker, int64_t item) {
    (void)worker;
    neighbours_part(context, item);
}

/* met: scratch uint64 [13][n]; counts int64 [13]. */
EXPORT void sparse_half_neighbours(const int64_t *keys, int64_t n, uint64_t *met, int64_t *counts, int64_t threads) {
    Neighbours job = {keys, n, met, counts};
    parallel_for((int)threads, NEIGHBOUR_PARTS, part, &job);
}

/* Half of the offsets was searched: (0, 0, 1), (0, 1, z), (1, -1 .. 1, z). The row of kernel index k in it, and
 * whether k is the mirrored side. */
static int half_row(int k, int *mirrored) {
    int x = k % 3 - 1, y = k / 3 % 3 - 1, z = k / 9 - 1;
    *mirrored = x < 0 || (x == 0 && (y < 0 || (y == 0 && z < 0)));
    if (*mirrored) x = -x, y = -y, z = -z;
    return x == 0 && y == 0 ? 0 : 1 + 3 * (x == 0 ? 0 : y + 2) + z + 1;
}

void neighbours_starts(const Neighbours *half, int64_t *starts) {
    int mirrored;
    starts[0] = 0;
    for (int k = 0; k < 27; k++) starts[k + 1] = starts[k] + (k == 13 ? half->n : half->counts[half_row(k, &mirrored)]);
}

void neighbours_assemble(const Neighbours *half, const int64_t *starts, int32_t *in, int32_t *out, int64_t k) {
    const int64_t n = half->n, begin = starts[k], count = starts[k + 1] - begin;
    if (k == 13) {
        for (int64_t i = 0; i < n; i++) in[begin + i] = out[begin + i] = (int32_t)i;
        return;
    }
    int mirrored;
    const int row = half_row((int)k, &mirrored);
    const uint64_t *met = half->met + row * n;
    int32_t *low = (mirrored ? in : out) + begin, *high = (mirrored ? out : in) + begin;
    for (int64_t i = 0; i < count; i++) {
        low[i] = (int32_t)met[i];
        high[i] = (int32_t)(met[i] >> 32);
    }
}

typedef struct {
    const Neighbours *half;
    const int64_t *starts;
    int32_t *in, *out;
} Assembly;

static void assemble(void *context, int worker, int64_t k) {
    const Assembly *job = context;
    (void)worker;
    neighbours_assemble(job->half, job->starts, job->in, job->out, k);
}

/* Copies the 13 halves into 27 groups of pairs: in, out int32 [starts[27]]. */
EXPORT void sparse_assemble(uint64_t *met, int64_t n, const int64_t *starts, int32_t *in, int32_t *out,
                            int64_t threads) {
    const Neighbours half = {NULL, n, met, NULL};
    Assembly job = {&half, starts, in, out};
    parallel_for((int)threads, 27, assemble, &job);
}

/* 0 .. 7: where in its 2^3 block a voxel lies, x slowest. */
static int offset_in_block(int64_t key) {
    return (int)((key >> X_SHIFT & 1) << 2 | (key >> Y_SHIFT & 1) << 1 | (key & 1));
}

/* The key of the 2^3 block that a voxel lies in. */
static int64_t halve(int64_t key) {
    const int64_t batch = key & ~(((int64_t)1 << B_SHIFT) - 1), odd = X_STEP | Y_STEP | 1;
    return batch | ((((key ^ batch) & ~odd) >> 1) + (X_BIAS / 2 * X_STEP + Y_BIAS / 2 * Y_STEP + Z_BIAS / 2));
}

/* 2^3 stride-2 map. parents: int64 [n], its first M entries become the sorted parent keys; in, out: int32 [n] pairs
 * grouped by offset; starts: int64 [9]; row: int32 [n], the parent of each voxel. Returns M, or -1 where there was no
 * memory.
 *
 * Children of one parity of x and y have ascending parents: four sorted lists, which are merged. */
EXPORT int64_t sparse_down(const int64_t *keys, int64_t n, int64_t *parents, int32_t *in, int32_t *out, int64_t *starts,
                           int32_t *row) {
    enum { LISTS = 4 };
    /* Each list stands between a key that is no parent's and one above all. */
    int64_t *own = malloc((size_t)(n + 2 * LISTS) * sizeof(int64_t)), count = 0, at[2 * LISTS], last[LISTS], p[LISTS];
    int32_t *rank = malloc((size_t)(n + 2 * LISTS) * sizeof(int32_t));
    if (!own || !rank) {
        free(own), free(rank);
        return -1;
    }
    memset(starts, 0, 9 * sizeof *starts);
    for (int64_t i = 0; i < n; i++) starts[1 + offset_in_block(keys[i])]++;
    for (int k = 0; k < 2 * LISTS; k++) {
        at[k] = starts[k];
        starts[k + 1] += starts[k];
    }
    for (int s = 0; s < LISTS; s++) {
        last[s] = starts[2 * s] + 2 * s;
        own[last[s]] = -1;
        p[s] = last[s] + 1;
    }
    for (int64_t i = 0; i < n; i++) {
        const int k = offset_in_block(keys[i]), s = k >> 1;
        const int64_t parent = halve(keys[i]), to = last[s] + (own[last[s]] != parent);
        own[to] = parent;
        last[s] = to;
        row[i] = (int32_t)to;
        in[at[k]++] = (int32_t)i;
    }
    for (int s = 0; s < LISTS; s++) own[last[s] + 1] = INT64_MAX;
    for (;; count++) {
        int64_t head[LISTS], parent = INT64_MAX;
        UNROLL for (int s = 0; s < LISTS; s++) {
            head[s] = own[p[s]];
            parent = head[s] < parent ? head[s] : parent;
        }
        if (parent == INT64_MAX) break;
        parents[count] = parent;
        UNROLL for (int s = 0; s < LISTS; s++) {
            rank[p[s]] = (int32_t)count; /* of a parent that is not in this list: until its own comes */
            p[s] += head[s] == parent;
        }
    }
    for (int64_t i = 0; i < n; i++) row[i] = rank[row[i]];
    for (int64_t i = 0; i < n; i++) out[i] = row[in[i]];
    free(own), free(rank);
    return count;
}

static int bits_of(int64_t range) {
    int bits = 0;
    while (range >> bits) bits++;
    return bits;
}

/* Sorts voxels coords int32 [n][4] (x, y, z, batch) by (batch, x, y, z): order int32 [n], a stable permutation.
 * Radix sort of the smallest key that holds their range. Returns 0, or -1 where there was no memory. */
EXPORT int sparse_sort(const int32_t *coords, int64_t n, int32_t *order) {
    enum { DIGIT = 11, SIZE = 1 << DIGIT };
    int64_t low[4], high[4], counts[SIZE];
    int shift[4], bits = 0;
    uint64_t *key = malloc((size_t)n * 2 * sizeof(uint64_t) + 8), *next = key + n;
    int32_t *other = malloc((size_t)n * sizeof(int32_t) + 8), *from = order, *to = other;
    if (!key || !other) {
        free(key), free(other);
        return -1;
    }
    uint64_t *const block = key;
    for (int a = 0; a < 4; a++) low[a] = INT64_MAX, high[a] = INT64_MIN;
    for (int64_t i = 0; i < n; i++)
        for (int a = 0; a < 4; a++) {
            const int64_t c = coords[4 * i + a];
            if (c < low[a]) low[a] = c;
            if (c > high[a]) high[a] = c;
        }
    const int axes[4] = {2, 1, 0, 3};
    for (int a = 0; a < 4 && n; a++) {
        shift[axes[a]] = bits;
        bits += bits_of(high[axes[a]] - low[axes[a]]);
    }
    for (int64_t i = 0; i < n; i++) {
        key[i] = 0;
        for (int a = 0; a < 4; a++) key[i] |= (uint64_t)(coords[4 * i + a] - low[a]) << (shift[a] & 63);
        from[i] = (int32_t)i;
    }
    for (int done = 0; done < bits; done += DIGIT) {
        memset(counts, 0, sizeof counts);
        for (int64_t i = 0; i < n; i++) counts[key[i] >> done & (SIZE - 1)]++;
        int64_t total = 0;
        for (int d = 0; d < SIZE; d++) {
            const int64_t c = counts[d];
            counts[d] = total;
            total += c;
        }
        for (int64_t i = 0; i < n; i++) {
            const int64_t p = counts[key[i] >> done & (SIZE - 1)]++;
            next[p] = key[i];
            to[p] = from[i];
        }
        uint64_t *k = key;
        key = next, next = k;
        int32_t *r = from;
        from = to, to = r;
    }
    if (from != order) memcpy(order, from, (size_t)n * sizeof(int32_t));
    free(block), free(other);
    return 0;
}

/* Distinct rows of coords int32 [n][4] in sorted order: unique int32 [M][4], inverse int32 [n], first and counts
 * int32 [M].
 * Returns M, or -1 where there was no memory. */
EXPORT int64_t sparse_unique(const int32_t *coords, int64_t n, int32_t *unique, int32_t *inverse, int32_t *first,
                             int32_t *counts) {
    int64_t found = 0;
    int32_t *order = malloc((size_t)n * sizeof(int32_t) + 8);
    if (!order || sparse_sort(coords, n, order)) {
        free(order);
        return -1;
    }
    for (int64_t i = 0; i < n; i++) {
        const int32_t *row = coords + 4 * (int64_t)order[i];
        if (found == 0 || memcmp(row, unique + 4 * (found - 1), 4 * sizeof(int32_t)) != 0) {
            memcpy(unique + 4 * found, row, 4 * sizeof(int32_t));
            first[found] = order[i];
            counts[found++] = 0;
        }
        counts[found - 1]++;
        inverse[order[i]] = (int32_t)(found - 1);
    }
    free(order);
    return found;
}
