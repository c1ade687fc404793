/* Kernel maps of sorted voxel keys by linear merges, and the sort itself. The same algorithms as index_numba.py; see
 * there. */
#include <stdlib.h>
#include <string.h>

#include "index.h"

static void own_column(const Neighbours *job) {
    int64_t count = 0;
    for (int64_t i = 0; i + 1 < job->n; i++) {
        /* Written always, kept only if adjacent: no branch to mispredict. */
        job->first[count] = (int32_t)i;
        job->second[count] = (int32_t)(i + 1);
        count += job->keys[i + 1] == job->keys[i] + 1;
    }
    job->counts[0] = count;
}

void neighbours_plane(const Neighbours *job, int64_t item) {
    const int64_t steps[4] = {Y_STEP, X_STEP - Y_STEP, X_STEP, X_STEP + Y_STEP};
    const int64_t *keys = job->keys, n = job->n;
    if (item == 4) {
        own_column(job);
        return;
    }
    int32_t *a[3], *b[3];
    int64_t count[3] = {0, 0, 0}, p = 0;
    for (int z = 0; z < 3; z++) {
        a[z] = job->first + (1 + 3 * item + z) * n;
        b[z] = job->second + (1 + 3 * item + z) * n;
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t target = keys[i] + steps[item] - 1;
        while (p < n && keys[p] < target) p++;
        if (p == n) break;
        for (int64_t q = p; q < n && keys[q] <= target + 2; q++) {
            const int64_t z = keys[q] - target;
            a[z][count[z]] = (int32_t)i;
            b[z][count[z]++] = (int32_t)q;
        }
    }
    for (int z = 0; z < 3; z++) job->counts[1 + 3 * item + z] = count[z];
}

static void plane(void *context, int worker, int64_t item) {
    (void)worker;
    neighbours_plane(context, item);
}

/* first, second: scratch int32 [13][n]; counts int64 [13]. */
EXPORT void sparse_half_neighbours(const int64_t *keys, int64_t n, int32_t *first, int32_t *second, int64_t *counts,
                                   int64_t threads) {
    Neighbours job = {keys, n, first, second, counts};
    parallel_for((int)threads, 5, plane, &job);
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
    const int32_t *low = half->first + row * n, *high = half->second + row * n;
    memcpy(in + begin, mirrored ? low : high, (size_t)count * sizeof(int32_t));
    memcpy(out + begin, mirrored ? high : low, (size_t)count * sizeof(int32_t));
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
EXPORT void sparse_assemble(int32_t *first, int32_t *second, int64_t n, const int64_t *starts, int32_t *in,
                            int32_t *out, int64_t threads) {
    const Neighbours half = {NULL, n, first, second, NULL};
    Assembly job = {&half, starts, in, out};
    parallel_for((int)threads, 27, assemble, &job);
}

static int64_t halve(int64_t key) {
    const int64_t x = (key >> X_SHIFT) & (((int64_t)1 << X_BITS) - 1),
            y = (key >> Y_SHIFT) & (((int64_t)1 << Y_BITS) - 1);
    const int64_t z = key & (((int64_t)1 << Z_BITS) - 1);
    return (key >> B_SHIFT << B_SHIFT) | ((x >> 1) + X_BIAS / 2) << X_SHIFT | ((y >> 1) + Y_BIAS / 2) << Y_SHIFT |
           ((z >> 1) + Z_BIAS / 2);
}

static void merge(const int64_t *parents, const int32_t *a, int32_t *b, int64_t begin, int64_t middle, int64_t end) {
    int64_t i = begin, j = middle;
    for (int64_t o = begin; o < end; o++) b[o] = j == end || (i < middle && parents[a[i]] <= parents[a[j]]) ?
            a[i++] : a[j++];
}

/* Rows in the order of their parents, by two passes of merging adjacent runs (even and odd y, then even and odd x). */
static void order_by_parent(const int64_t *keys, const int64_t *parents, int64_t n, int32_t *a, int32_t *b) {
    for (int64_t i = 0; i < n; i++) a[i] = (int32_t)i;
    for (int pass = 0; pass < 2; pass++) {
        const int shift = pass == 0 ? Y_SHIFT : X_SHIFT;
        for (int64_t begin = 0, end; begin < n; begin = end) {
            const int64_t pair = keys[a[begin]] >> (shift + 1);
            int64_t odd = -1;
            for (end = begin; end < n && keys[a[end]] >> (shift + 1) == pair; end++)
                if (odd < 0 && (keys[a[end]] >> shift & 1)) odd = end;
            merge(parents, a, b, begin, odd < 0 ? end : odd, end);
        }
        int32_t *swap = a;
        a = b;
        b = swap;
    }
}

/* 2^3 stride-2 map. parents: int64 [n], its first M entries become the sorted parent keys; in, out: int32 [n] pairs
 * grouped by
 * offset; starts: int64 [9]; row: int32 [n], the parent of each voxel. Returns M, or -1 where there was no memory. */
EXPORT int64_t sparse_down(const int64_t *keys, int64_t n, int64_t *parents, int32_t *in, int32_t *out, int64_t *starts,
                           int32_t *row) {
    int64_t *own = malloc((size_t)n * sizeof(int64_t) + 8), count = 0, at[8];
    int32_t *order = malloc((size_t)n * sizeof(int32_t) + 8), *other = malloc((size_t)n * sizeof(int32_t) + 8);
    if (!own || !order || !other) {
        free(own), free(order), free(other);
        return -1;
    }
    memset(starts, 0, 9 * sizeof *starts);
    for (int64_t i = 0; i < n; i++) {
        own[i] = halve(keys[i]);
        starts[1 + ((keys[i] >> X_SHIFT & 1) << 2 | (keys[i] >> Y_SHIFT & 1) << 1 | (keys[i] & 1))]++;
    }
    for (int k = 0; k < 8; k++) {
        at[k] = starts[k];
        starts[k + 1] += starts[k];
    }
    order_by_parent(keys, own, n, order, other); /* two passes: the result is back in `order` */
    for (int64_t t = 0; t < n; t++) {
        const int32_t child = order[t];
        if (count == 0 || own[child] != parents[count - 1]) parents[count++] = own[child];
        const int64_t key = keys[child];
        const int k = (int)((key >> X_SHIFT & 1) << 2 | (key >> Y_SHIFT & 1) << 1 | (key & 1));
        in[at[k]] = child;
        out[at[k]++] = row[child] = (int32_t)(count - 1);
    }
    free(own), free(order), free(other);
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
