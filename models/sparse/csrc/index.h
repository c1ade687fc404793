/* Packed voxel keys (see keys.py) and the steps of building kernel maps. */
#ifndef INDEX_H
#define INDEX_H

#include "sparse.h"

#define Z_BITS 16
#define Y_BITS 20
#define X_BITS 20
#define Y_SHIFT Z_BITS
#define X_SHIFT (Z_BITS + Y_BITS)
#define B_SHIFT (Z_BITS + Y_BITS + X_BITS)
#define Z_BIAS (1 << (Z_BITS - 1))
#define Y_BIAS (1 << (Y_BITS - 1))
#define X_BIAS (1 << (X_BITS - 1))
#define Y_STEP ((int64_t)1 << Y_SHIFT)
#define X_STEP ((int64_t)1 << X_SHIFT)

/* Adjacent pairs at half of the 26 offsets. */
typedef struct {
    const int64_t *keys;
    int64_t n;
    uint64_t *met;           /* [13][n] pairs: lower row in the low half, higher in the high one */
    int64_t *counts;         /* [13] */
} Neighbours;

/* Part `item` of the search. */
enum { NEIGHBOUR_PARTS = 3 };
void neighbours_part(const Neighbours *job, int64_t item);

/* starts [28] of the 27 groups of pairs. */
void neighbours_starts(const Neighbours *half, int64_t *starts);

/* Group k of the pairs: in, out int32 [starts[27]]. */
void neighbours_assemble(const Neighbours *half, const int64_t *starts, int32_t *in, int32_t *out, int64_t k);

/* See index.c. */
EXPORT int64_t sparse_down(const int64_t *keys, int64_t n, int64_t *parents, int32_t *in, int32_t *out, int64_t *starts,
                           int32_t *row);

#endif
