/* A frame: the voxels of one sweep, their maps and the memory of all layers, kept from frame to frame. */
#ifndef FRAME_H
#define FRAME_H

#include "index.h"
#include "memory.h"

#define MAX_LEVELS 8
#define MAX_SLOTS 64

typedef struct {
    int64_t n;
    int64_t *keys;
    int32_t *same_in, *same_out;
    int64_t same_starts[28];
    int32_t *down_in, *down_out, *parent;
    int64_t down_starts[9];
    int32_t *voxel, *corners, *order; /* of the points: voxel, eight corners, points by voxel */
    float *weights;
    int64_t *order_starts;
    int32_t *coords, *table; /* of the voxels: x, y, z, batch, and the rows of the eight that a corner may be */
} FrameLevel;

enum { KEYS, SAME, HALF, DOWN, PARENT, VOXEL, CORNERS, WEIGHTS, ORDER, ORDER_STARTS, COORDS, TABLE, LEVEL_BLOCKS };
enum { CELLS, CELLS2, ROWS, ROWS2, STARTS, VOXEL_OF, HISTOGRAM, PLACES, VOXEL_LABEL, VOXEL_SCORE, FRAME_BLOCKS };

typedef struct {
    FrameLevel levels[MAX_LEVELS];
    Block level_blocks[MAX_LEVELS][LEVEL_BLOCKS], blocks[FRAME_BLOCKS], slots[MAX_SLOTS], scales[MAX_SLOTS];
    int threads, isa;
} Frame;

#endif
