/* Vectors for any processor: eight lanes that the compiler maps to what there is. Before: E, DEPTH, TO_E, FROM_E. */
#ifndef PLAIN_H
#define PLAIN_H

#include <string.h>

#define TARGET
#define LANES 8
#define PANEL 16
typedef struct {
    float lane[LANES];
} V;
typedef struct {
    E lane[LANES * DEPTH];
} X;
#define EACH for (int i = 0; i < LANES; i++)

INLINE V LOAD(const E *p) {
    V x;
    EACH x.lane[i] = FROM_E(p[i]);
    return x;
}
INLINE void STORE(E *p, V x) { EACH p[i] = TO_E(x.lane[i]); }
INLINE V LOAD_FLOAT(const float *p) {
    V x;
    memcpy(&x, p, sizeof x);
    return x;
}
INLINE X LOAD_X(const E *p) {
    X x;
    memcpy(&x, p, sizeof x);
    return x;
}
INLINE X SPREAD(const E *p) {
    X x;
    EACH memcpy(x.lane + i * DEPTH, p, DEPTH * sizeof(E));
    return x;
}
INLINE V accumulated(V sum, X x, X y) {
    EACH for (int d = 0; d < DEPTH; d++) sum.lane[i] += FROM_E(x.lane[i * DEPTH + d]) * FROM_E(y.lane[i * DEPTH + d]);
    return sum;
}
#define ACCUMULATE(sum, x, y) sum = accumulated(sum, x, y)
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

#endif
