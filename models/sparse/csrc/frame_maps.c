/* Every kernel map and point map of a network, for the voxels of one frame. */
#include <string.h>

#include "program.h"

typedef struct {
    Frame *frame;
    const Program *program;
    Neighbours half[MAX_LEVELS];
    int64_t counts[MAX_LEVELS][13];
    int failed;
} Maps;

static void *level_take(Frame *frame, int64_t level, int which, size_t bytes) {
    return block_take(&frame->level_blocks[level][which], bytes);
}

static int prepare_half(Maps *maps, int64_t level) {
    FrameLevel *l = &maps->frame->levels[level];
    uint64_t *met = level_take(maps->frame, level, HALF, (size_t)(13 * l->n) * sizeof(uint64_t));
    maps->half[level] = (Neighbours){l->keys, l->n, met, maps->counts[level]};
    return met ? 0 : -1;
}

/* Coarser levels, one after the other. */
static int descend(Frame *frame, int64_t depth) {
    for (int64_t i = 0; i < depth; i++) {
        FrameLevel *l = &frame->levels[i], *next = l + 1;
        const size_t n = (size_t)l->n;
        next->keys = level_take(frame, i + 1, KEYS, n * sizeof(int64_t));
        l->down_in = level_take(frame, i, DOWN, 2 * n * sizeof(int32_t));
        l->parent = level_take(frame, i, PARENT, n * sizeof(int32_t));
        if (!next->keys || !l->down_in || !l->parent) return -1;
        l->down_out = l->down_in + n;
        next->n = sparse_down(l->keys, l->n, next->keys, l->down_in, l->down_out, l->down_starts, l->parent);
        if (next->n < 0) return -1;
    }
    return 0;
}

static void first_part(void *context, int worker, int64_t item) {
    Maps *maps = context;
    (void)worker;
    if (item > 0) neighbours_part(&maps->half[0], item - 1);
    else if (descend(maps->frame, maps->program->depth)) maps->failed = 1;
}

static void second_part(void *context, int worker, int64_t item) {
    const Maps *maps = context;
    (void)worker;
    neighbours_part(&maps->half[1 + item / NEIGHBOUR_PARTS], item % NEIGHBOUR_PARTS);
}

static void third_part(void *context, int worker, int64_t item) {
    const Maps *maps = context;
    FrameLevel *l = &maps->frame->levels[item / 27];
    (void)worker;
    neighbours_assemble(&maps->half[item / 27], l->same_starts, l->same_in, l->same_out, item % 27);
}

static int32_t axis_of(int64_t key, int shift, int bits, int64_t bias) {
    return (int32_t)(((key >> shift) & (((int64_t)1 << bits) - 1)) - bias);
}

static void unpack(const FrameLevel *level, int shift, int32_t *coords) {
    for (int64_t i = 0; i < level->n; i++) {
        const int64_t key = level->keys[i];
        coords[4 * i] = axis_of(key, X_SHIFT, X_BITS, X_BIAS) * (1 << shift);
        coords[4 * i + 1] = axis_of(key, Y_SHIFT, Y_BITS, Y_BIAS) * (1 << shift);
        coords[4 * i + 2] = axis_of(key, 0, Z_BITS, Z_BIAS) * (1 << shift);
        coords[4 * i + 3] = (int32_t)(key >> B_SHIFT);
    }
}

static void place_of(int64_t key, float *place) {
    place[0] = (float)axis_of(key, X_SHIFT, X_BITS, X_BIAS);
    place[1] = (float)axis_of(key, Y_SHIFT, Y_BITS, Y_BIAS);
    place[2] = (float)axis_of(key, 0, Z_BITS, Z_BIAS);
}

static int take_points(Frame *frame, int64_t at) {
    FrameLevel *level = &frame->levels[at];
    const size_t points = (size_t)frame->levels[0].n, n = (size_t)level->n;
    level->voxel = level_take(frame, at, VOXEL, points * sizeof(int32_t));
    level->corners = level_take(frame, at, CORNERS, points * 8 * sizeof(int32_t));
    level->weights = level_take(frame, at, WEIGHTS, points * 8 * sizeof(float));
    level->order = level_take(frame, at, ORDER, points * sizeof(int32_t));
    level->order_starts = level_take(frame, at, ORDER_STARTS, (n + 1) * sizeof(int64_t));
    level->coords = level_take(frame, at, COORDS, n * 4 * sizeof(int32_t));
    level->table = level_take(frame, at, TABLE, n * 8 * sizeof(int32_t));
    return level->voxel && level->corners && level->weights && level->order && level->order_starts && level->coords &&
                   level->table
               ? 0
               : -1;
}

/* The level of the numbered bit of the program's points. */
static int64_t level_of(const Program *program, int64_t number) {
    int64_t at = 0;
    for (;; at++)
        if (program->points >> at & 1 && number-- == 0) return at;
}

/* The voxel of every point, and the eight corners that each voxel's points lie between. */
static void point_voxels(void *context, int worker, int64_t item) {
    const Maps *maps = context;
    Frame *frame = maps->frame;
    const int64_t at = level_of(maps->program, item / 2);
    FrameLevel *level = &frame->levels[at];
    (void)worker;
    if (item % 2) {
        unpack(level, (int)at, level->coords);
        memset(level->table, -1, (size_t)level->n * 8 * sizeof(int32_t));
        for (int c = 0; c < 8; c++) {
            const int k = ((c & 1) + 1) * 9 + ((c >> 1 & 1) + 1) * 3 + (c >> 2) + 1;
            for (int64_t i = level->same_starts[k]; i < level->same_starts[k + 1]; i++)
                level->table[8 * (int64_t)level->same_out[i] + c] = level->same_in[i];
        }
        return;
    }
    for (int64_t p = 0; p < frame->levels[0].n; p++) {
        int32_t voxel = (int32_t)p;
        for (int64_t i = 0; i < at; i++) voxel = frame->levels[i].parent[voxel];
        level->voxel[p] = voxel;
    }
    sparse_by_voxel(level->voxel, frame->levels[0].n, level->n, level->order, level->order_starts);
}

/* Corners and means of the points, which are the voxels of the first level at their integer coordinates. */
static int all_point_maps(Maps *maps) {
    Frame *frame = maps->frame;
    const Program *program = maps->program;
    FrameLevel *first = &frame->levels[0];
    if (!program->points) return 0;
    int64_t met = 0;
    for (int64_t at = 0; at <= program->depth; at++)
        if (program->points >> at & 1 && (met++, take_points(frame, at))) return -1;
    const int64_t n = first->n;
    float *places = block_take(&frame->blocks[PLACES], (size_t)n * 3 * sizeof(float));
    if (!places) return -1;
    parallel_for(frame->threads, 2 * met, point_voxels, maps);
    for (int64_t i = 0; i < n; i++) place_of(first->keys[i], places + 3 * i);
    for (int64_t number = 0; number < met; number++) {
        const int64_t at = level_of(program, number);
        const FrameLevel *level = &frame->levels[at];
        const float stride[3] = {(float)(1 << at), (float)(1 << at), (float)(1 << at)};
        sparse_corners(places, n, stride, level->voxel, level->coords, level->table, level->corners, level->weights,
                       frame->threads);
    }
    return 0;
}

int frame_maps(Frame *frame, const Program *program) {
    Maps maps = {.frame = frame, .program = program};
    if (prepare_half(&maps, 0)) return -1;
    parallel_for(frame->threads, 1 + NEIGHBOUR_PARTS, first_part, &maps);
    if (maps.failed) return -1;
    for (int64_t i = 1; i <= program->depth; i++)
        if (prepare_half(&maps, i)) return -1;
    parallel_for(frame->threads, NEIGHBOUR_PARTS * program->depth, second_part, &maps);
    for (int64_t i = 0; i <= program->depth; i++) {
        FrameLevel *l = &frame->levels[i];
        neighbours_starts(&maps.half[i], l->same_starts);
        const size_t pairs = (size_t)l->same_starts[27];
        l->same_in = level_take(frame, i, SAME, 2 * pairs * sizeof(int32_t));
        if (!l->same_in) return -1;
        l->same_out = l->same_in + pairs;
    }
    parallel_for(frame->threads, 27 * (program->depth + 1), third_part, &maps);
    return all_point_maps(&maps);
}
