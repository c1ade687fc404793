/* Any processor: eight lanes that the compiler maps to what there is. */
#include <string.h>

#include "dense.h"

#define TARGET
#define KERNELS kernels_plain
typedef struct {
    float lane[LANES];
} V;
#define EACH for (int i = 0; i < LANES; i++)

INLINE V LOAD(const float *p) {
    V x;
    memcpy(&x, p, sizeof x);
    return x;
}
INLINE void STORE(float *p, V x) { memcpy(p, &x, sizeof x); }
INLINE V SET1(float a) {
    V x;
    EACH x.lane[i] = a;
    return x;
}
INLINE V FMA(V x, V y, V z) {
    EACH z.lane[i] += x.lane[i] * y.lane[i];
    return z;
}
INLINE V ADD(V x, V y) {
    EACH x.lane[i] += y.lane[i];
    return x;
}
INLINE V SUB(V x, V y) {
    EACH x.lane[i] -= y.lane[i];
    return x;
}
INLINE V LEAST(V x, V y) {
    EACH x.lane[i] = x.lane[i] < y.lane[i] ? x.lane[i] : y.lane[i];
    return x;
}
INLINE V MOST(V x, V y) {
    EACH x.lane[i] = x.lane[i] > y.lane[i] ? x.lane[i] : y.lane[i];
    return x;
}
#include "body.h"
