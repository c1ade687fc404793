/* The layers of a network, described once by program.py, and their run on a frame. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "frame.h"
#include "sparse.h"

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

/* Builds every map of a frame. Returns 0, or -1 where there was no memory. */
int frame_maps(Frame *frame, const Program *program);

/* Runs the layers. Returns 0, or -1 where there was no memory. */
int frame_compute(Frame *frame, const Program *program);

/* Memory of a register for the rows of this frame. */
void *register_rows(Frame *frame, const Program *program, int64_t number);

#endif
