/* Any processor, rows of bfloat16: no faster than float, for tests on processors that multiply no bfloat16. */
#include "dense.h"

#define KERNELS kernels_plain_bf16
#define DEPTH 2
typedef uint16_t E;
#include "bfloat16.h"
#include "plain.h"

#include "body.h"
