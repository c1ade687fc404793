/* Points to voxels and back. */
#ifndef SWEEP_H
#define SWEEP_H

#include "program.h"

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

/* Each returns 0, or -1 where there was no memory. */
int frame_voxels(Frame *frame, const Program *program, const Sweep *sweep);
int frame_features(Frame *frame, const Program *program, const Sweep *sweep);
int frame_labels(Frame *frame, const Program *program, const Sweep *sweep);

#endif
