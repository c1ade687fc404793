/* Any processor, rows of float. */
#include "dense.h"

#define KERNELS kernels_plain
#define DEPTH 1
typedef float E;
#define TO_E(x) (x)
#define FROM_E(x) (x)
#include "plain.h"

#include "body.h"
