/* Points to voxels and back: cells, features, labels. The same as quantise.py, features.py and session.py do without
 * the extension. */
#include <math.h>
#include <string.h>

#include "sweep.h"

enum { DIGIT = 11, BUCKETS = 1 << DIGIT, PARTS = 8, BLOCK = 2048, NO_LABEL = 255 };

typedef struct {
    Frame *frame;
    const Program *program;
    const Sweep *sweep;
    uint64_t *key, *other_key;
    int32_t *rows, *other_rows;
    uint32_t *histogram; /* [PARTS][BUCKETS] */
    int shift;
    uint64_t outside;    /* key of points that are not finite or out of range: after all others */
    int known;
    float *features;
} Voxels;

static int64_t part_begin(const Voxels *job, int64_t part) { return job->sweep->points * part / PARTS; }

static void cells(void *context, int worker, int64_t part) {
    const Voxels *job = context;
    const Sweep *s = job->sweep;
    const float scale = (float)(1.0 / s->voxel_size);
    (void)worker;
    for (int64_t i = part_begin(job, part); i < part_begin(job, part + 1); i++) {
        const float *p = s->xyz + 3 * i;
        uint64_t key = 0;
        int inside = 1;
        for (int a = 0; a < 3; a++) {
            const double cell = (double)floorf(p[a] * scale) - (double)s->low[a];
            if (!(cell >= 0 && cell < (double)s->size[a])) { /* NaN among them */
                inside = 0;
                break;
            }
            key = key * (uint64_t)s->size[a] + (uint64_t)cell;
        }
        job->key[i] = inside ? key : job->outside;
        job->rows[i] = (int32_t)i;
    }
}

static void count_digits(void *context, int worker, int64_t part) {
    const Voxels *job = context;
    uint32_t *counts = job->histogram + part * BUCKETS;
    (void)worker;
    memset(counts, 0, BUCKETS * sizeof *counts);
    for (int64_t i = part_begin(job, part); i < part_begin(job, part + 1); i++)
        counts[job->key[i] >> job->shift & (BUCKETS - 1)]++;
}

static void place(void *context, int worker, int64_t part) {
    const Voxels *job = context;
    uint32_t *at = job->histogram + part * BUCKETS;
    (void)worker;
    for (int64_t i = part_begin(job, part); i < part_begin(job, part + 1); i++) {
        const uint32_t to = at[job->key[i] >> job->shift & (BUCKETS - 1)]++;
        job->other_key[to] = job->key[i];
        job->other_rows[to] = job->rows[i];
    }
}

/* Stable radix sort of (key, rows), each pass in parts. */
static void sort_points(Voxels *job) {
    for (job->shift = 0; job->shift == 0 || job->outside >> job->shift; job->shift += DIGIT) {
        uint32_t total = 0;
        parallel_for(job->frame->threads, PARTS, count_digits, job);
        for (int64_t d = 0; d < BUCKETS; d++)
            for (int64_t p = 0; p < PARTS; p++) {
                const uint32_t count = job->histogram[p * BUCKETS + d];
                job->histogram[p * BUCKETS + d] = total;
                total += count;
            }
        parallel_for(job->frame->threads, PARTS, place, job);
        uint64_t *key = job->key;
        job->key = job->other_key, job->other_key = key;
        int32_t *rows = job->rows;
        job->rows = job->other_rows, job->other_rows = rows;
    }
}

static int64_t blocks(int64_t items) { return (items + BLOCK - 1) / BLOCK; }

static int64_t block_end(const Voxels *job, int64_t item) {
    const int64_t n = job->frame->levels[0].n;
    return (item + 1) * BLOCK < n ? (item + 1) * BLOCK : n;
}

static void cell_of(const Sweep *s, uint64_t key, int64_t *cell) {
    for (int a = 2; a >= 0; a--) {
        cell[a] = (int64_t)(key % (uint64_t)s->size[a]) + s->low[a];
        key /= (uint64_t)s->size[a];
    }
}

/* Keys of the voxels, and the voxel of every point. */
static void name_voxels(void *context, int worker, int64_t item) {
    const Voxels *job = context;
    const int64_t end = block_end(job, item);
    const int32_t *starts = job->frame->blocks[STARTS].data;
    int32_t *voxel_of = job->frame->blocks[VOXEL_OF].data;
    (void)worker;
    for (int64_t v = item * BLOCK; v < end; v++) {
        int64_t cell[3];
        cell_of(job->sweep, job->key[starts[v]], cell);
        job->frame->levels[0].keys[v] = (cell[0] + X_BIAS) << X_SHIFT | (cell[1] + Y_BIAS) << Y_SHIFT | (cell[2] + Z_BIAS);
        for (int32_t i = starts[v]; i < starts[v + 1]; i++) voxel_of[job->rows[i]] = (int32_t)v;
    }
}

/* Sorted cells of the points, and where each voxel's points begin; levels[0].n voxels. */
int frame_voxels(Frame *frame, const Program *program, const Sweep *sweep) {
    const size_t n = (size_t)sweep->points;
    Block *b = frame->blocks;
    Voxels job = {.frame = frame, .program = program, .sweep = sweep,
                  .key = block_take(&b[CELLS], n * sizeof(uint64_t)),
                  .other_key = block_take(&b[CELLS2], n * sizeof(uint64_t)),
                  .rows = block_take(&b[ROWS], n * sizeof(int32_t)),
                  .other_rows = block_take(&b[ROWS2], n * sizeof(int32_t)),
                  .histogram = block_take(&b[HISTOGRAM], PARTS * BUCKETS * sizeof(uint32_t)),
                  .outside = (uint64_t)(sweep->size[0] * sweep->size[1] * sweep->size[2])};
    int32_t *starts = block_take(&b[STARTS], (n + 1) * sizeof(int32_t));
    int32_t *voxel_of = block_take(&b[VOXEL_OF], n * sizeof(int32_t));
    if (!job.key || !job.other_key || !job.rows || !job.other_rows || !job.histogram || !starts || !voxel_of) return -1;
    parallel_for(frame->threads, PARTS, cells, &job);
    sort_points(&job);
    if (job.key != b[CELLS].data) { /* the sorted side is found under CELLS and ROWS */
        Block swap = b[CELLS];
        b[CELLS] = b[CELLS2], b[CELLS2] = swap;
        swap = b[ROWS];
        b[ROWS] = b[ROWS2], b[ROWS2] = swap;
    }
    int64_t voxels = 0;
    size_t i = 0;
    for (; i < n && job.key[i] < job.outside; i++) {
        const int begins = i == 0 || job.key[i] != job.key[i - 1];
        if (begins) starts[voxels] = (int32_t)i;
        voxels += begins;
    }
    starts[voxels] = (int32_t)i;
    for (; i < n; i++) voxel_of[job.rows[i]] = -1;
    frame->levels[0].n = voxels;
    frame->levels[0].keys = block_take(&frame->level_blocks[0][KEYS], (size_t)voxels * sizeof(int64_t));
    if (!frame->levels[0].keys) return -1;
    parallel_for(frame->threads, blocks(voxels), name_voxels, &job);
    return 0;
}

static float feature(const Sweep *s, int64_t code, const float *mean, const int64_t *cell, int64_t count, int known) {
    switch (code) {
    case 0: return mean[2] * 0.5f;
    case 1: return log1pf(sqrtf(mean[0] * mean[0] + mean[1] * mean[1])) * 0.5f;
    case 2: return mean[3];
    case 3: return (float)known;
    case 4: case 5: case 6: return mean[code - 4] * (float)(1.0 / s->voxel_size) - (float)cell[code - 4] - 0.5f;
    case 7: return log2f(1.0f + (float)count) * 0.25f;
    default: return mean[code - 8];
    }
}

static float intensity_of(const Sweep *s, int64_t point) {
    return isfinite(s->intensity[point]) ? s->intensity[point] : 0.0f;
}

static void fill_features(void *context, int worker, int64_t item) {
    const Voxels *job = context;
    const Sweep *s = job->sweep;
    const int64_t end = block_end(job, item), width = job->program->registers[job->program->input].width;
    const int32_t *starts = job->frame->blocks[STARTS].data;
    (void)worker;
    for (int64_t v = item * BLOCK; v < end; v++) {
        const int64_t count = s->first_point ? 1 : starts[v + 1] - starts[v];
        double sums[4] = {0, 0, 0, 0};
        for (int64_t i = starts[v]; i < starts[v] + count; i++) {
            for (int a = 0; a < 3; a++) sums[a] += s->xyz[3 * (int64_t)job->rows[i] + a];
            sums[3] += intensity_of(s, job->rows[i]);
        }
        const float mean[4] = {(float)(sums[0] / (double)count), (float)(sums[1] / (double)count),
                               (float)(sums[2] / (double)count), (float)(sums[3] / (double)count)};
        int64_t cell[3];
        cell_of(s, job->key[starts[v]], cell);
        float *to = job->features + v * width;
        for (int64_t f = 0; f < width; f++)
            to[f] = f < s->codes_count ? feature(s, s->codes[f], mean, cell, count, job->known) : 0.0f;
    }
}

/* Rows of the network's input. */
int frame_features(Frame *frame, const Program *program, const Sweep *sweep) {
    Voxels job = {.frame = frame, .program = program, .sweep = sweep, .key = frame->blocks[CELLS].data,
                  .rows = frame->blocks[ROWS].data, .features = register_rows(frame, program, program->input)};
    if (!job.features) return -1;
    /* A sensor without intensities gives zeros. */
    for (int64_t i = 0; i < sweep->points && !job.known; i++) job.known = intensity_of(sweep, i) != 0.0f;
    parallel_for(frame->threads, blocks(frame->levels[0].n), fill_features, &job);
    return 0;
}

typedef struct {
    Frame *frame;
    const Sweep *sweep;
    const float *logits;
    int64_t width;
    float lowered[256 + PANEL]; /* see best_class */
    uint8_t *label;
    float *score;
} Labels;

static void best_classes(void *context, int worker, int64_t item) {
    const Labels *job = context;
    const int64_t n = job->frame->levels[0].n, begin = item * BLOCK, end = begin + BLOCK < n ? begin + BLOCK : n;
    (void)worker;
    isa_by_level(job->frame->isa)->best_class(job->logits + begin * job->width, end - begin, job->width,
                                              job->sweep->classes, job->lowered, job->label + begin, job->score + begin);
}

static void spread(void *context, int worker, int64_t item) {
    const Labels *job = context;
    const Sweep *s = job->sweep;
    const int64_t end = (item + 1) * BLOCK < s->points ? (item + 1) * BLOCK : s->points;
    const int32_t *voxel_of = job->frame->blocks[VOXEL_OF].data;
    (void)worker;
    for (int64_t i = item * BLOCK; i < end; i++) {
        s->label[i] = voxel_of[i] < 0 ? NO_LABEL : job->label[voxel_of[i]];
        s->score[i] = voxel_of[i] < 0 ? 0.0f : job->score[voxel_of[i]];
    }
}

/* Arg-max of every voxel's logits and its softmax, given to the voxel's points. */
int frame_labels(Frame *frame, const Program *program, const Sweep *sweep) {
    const Register *out = &program->registers[program->output];
    const size_t n = (size_t)frame->levels[0].n;
    Labels job = {.frame = frame, .sweep = sweep, .logits = frame->slots[out->slot].data, .width = out->width,
                  .label = block_take(&frame->blocks[VOXEL_LABEL], n),
                  .score = block_take(&frame->blocks[VOXEL_SCORE], n * sizeof(float))};
    if (!job.label || !job.score || job.width > 256 + PANEL) return -1;
    for (int64_t c = 0; c < job.width; c++) job.lowered[c] = c < sweep->classes ? 0.0f : -1e30f;
    parallel_for(frame->threads, blocks((int64_t)n), best_classes, &job);
    parallel_for(frame->threads, blocks(sweep->points), spread, &job);
    return 0;
}
