/* A frame: raw points to labels in one call. Its memory is kept from frame to frame. */
#ifndef FRAME_H
#define FRAME_H

#include "index.h"

#define MAX_LEVELS 8
#define MAX_SLOTS 64

/* Memory that grows with the largest frame. */
typedef struct {
    void *data;
    size_t size;
} Block;

/* At least `bytes`, 64-byte aligned; what was in it is lost. NULL: no memory. */
void *block_take(Block *block, size_t bytes);

/* Must match OpTerm in program.py. map: 3 * level + 0 (3^3), 1 (2^3 down from it) or 2 (up to it); -1: none */
typedef struct {
    int64_t source, map;
    const void *weights;
    int64_t volume, channels;
} OpTerm;

enum { CONVOLVE, INTERPOLATE, MEAN };

/* Must match Op in program.py. Registers are named by number; residual -1: none. */
typedef struct {
    int64_t code, terms_count;
    OpTerm terms[MAX_TERMS];
    const float *column_scale, *bias;
    int64_t residual, relu, residual_after_relu, out;
    int64_t points; /* level of the point map */
    int64_t add;    /* interpolation adds to what is there */
} Op;

/* Must match Register in program.py: rows of one level, in a slot of memory that others use at other times. */
typedef struct {
    int64_t level, width, kind, slot;
} Register;

/* Must match Program in program.py. */
typedef struct {
    const Op *ops;
    int64_t ops_count;
    const Register *registers;
    int64_t registers_count;
    int64_t input, output; /* registers */
    int64_t depth;         /* levels below the first */
    int64_t points;        /* bit per level at which points and voxels meet */
} Program;

/* Must match Sweep in program.py. */
typedef struct {
    const float *xyz, *intensity; /* [points][3], [points] */
    int64_t points;
    int64_t low[3], size[3];      /* of the range, in voxels */
    double voxel_size;
    const int64_t *codes;         /* of the features, see features.py */
    int64_t codes_count;
    int64_t first_point;          /* features are those of a voxel's first point, not of the mean */
    uint8_t *label;               /* [points], 255: no class */
    float *score;
    int64_t classes;
    double seconds[5];
} Sweep;

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

/* Each returns 0, or -1 where there was no memory. */
int frame_voxels(Frame *frame, const Program *program, const Sweep *sweep);
int frame_features(Frame *frame, const Program *program, const Sweep *sweep);
int frame_maps(Frame *frame, const Program *program);
int frame_compute(Frame *frame, const Program *program);
int frame_labels(Frame *frame, const Program *program, const Sweep *sweep);

/* Memory of a register for the rows of this frame. */
void *register_rows(Frame *frame, const Program *program, int64_t number);

#endif
