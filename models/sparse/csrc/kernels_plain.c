/* Plain C on vectors of four, which every compiler maps to what the processor has (SSE2, NEON) or to scalars. */
#include <math.h>

#include "sparse.h"

#define TARGET
#define LANES 4
#define NV 4
#define ISA_NAME "plain"
#define ROWS_F32 3 /* what this reaches does not depend on them, but the time to compile it does */
#define ROWS_I16 3
#define ROWS_U8 2
#define SUMS_F32 0
#define SUMS_I16 0
#define SUMS_U8 0
#define MOST_PANELS 1
#define FEW 0 /* for the same reason */
typedef struct {
    float at[4];
} V;
typedef struct {
    int32_t at[4];
} VI;
#define EACH for (int l = 0; l < 4; l++)

INLINE V load(const float *p) { V x; __builtin_memcpy(&x, p, sizeof x); return x; }
INLINE void store(float *p, V x) { __builtin_memcpy(p, &x, sizeof x); }
INLINE V set1(float s) { V x; EACH x.at[l] = s; return x; }
INLINE V add(V x, V y) { EACH x.at[l] += y.at[l]; return x; }
INLINE V mul(V x, V y) { EACH x.at[l] *= y.at[l]; return x; }
INLINE V fma4(V x, V y, V z) { EACH z.at[l] += x.at[l] * y.at[l]; return z; }
INLINE V maximum(V x, V y) { EACH x.at[l] = x.at[l] > y.at[l] ? x.at[l] : y.at[l]; return x; }
INLINE V absolute(V x) { EACH x.at[l] = fabsf(x.at[l]); return x; }
INLINE VI zeroi(void) { VI x; EACH x.at[l] = 0; return x; }
INLINE VI loadi(const void *p) { VI x; __builtin_memcpy(&x, p, sizeof x); return x; }
INLINE VI pair(const void *p) { VI x; EACH __builtin_memcpy(&x.at[l], p, 4); return x; }
INLINE V to_float(VI i) { V x; EACH x.at[l] = (float)i.at[l]; return x; }
INLINE V load16(const int16_t *p) { V x; EACH x.at[l] = (float)p[l]; return x; }
INLINE V load8(const uint8_t *p) { V x; EACH x.at[l] = (float)p[l]; return x; }
INLINE void store8(uint8_t *p, V x) { EACH p[l] = (uint8_t)(x.at[l] > 0 ? lrintf(x.at[l]) : 0); }
INLINE float hmax(V x) { float m = x.at[0]; EACH m = x.at[l] > m ? x.at[l] : m; return m; }
INLINE void store16(int16_t *p, V x) { EACH p[l] = (int16_t)lrintf(x.at[l]); }
INLINE VI madd(VI acc, VI a, VI b) {
    EACH {
        int16_t x[2], y[2];
        __builtin_memcpy(x, &a.at[l], 4);
        __builtin_memcpy(y, &b.at[l], 4);
        acc.at[l] += x[0] * y[0] + x[1] * y[1];
    }
    return acc;
}

INLINE VI dot8(VI acc, VI a, VI b) {
    EACH {
        uint8_t x[4];
        int8_t y[4];
        __builtin_memcpy(x, &a.at[l], 4);
        __builtin_memcpy(y, &b.at[l], 4);
        acc.at[l] += x[0] * y[0] + x[1] * y[1] + x[2] * y[2] + x[3] * y[3];
    }
    return acc;
}

#define LOAD load
#define STORE store
#define SET1 set1
#define SPREAD(p) set1(*(p))
#define ADD add
#define MUL mul
#define FMA fma4
#define MAXIMUM maximum
#define ABSOLUTE absolute
#define LOADI loadi
#define ZEROI zeroi
#define TO_FLOAT to_float
#define LOAD16 load16
#define PAIR pair
#define OPAQUE(x) __asm__ volatile("" : "+m"(x))
#define ACCUMULATE(acc, x, y) acc = fma4(x, y, acc)
#define ACCUMULATE16(acc, x, y) acc = madd(acc, x, y)
#define HMAX hmax
#define STORE16 store16
#define LOAD8 load8
#define STORE8 store8
#define DOT8(acc, x, y) acc = dot8(acc, x, y)

#include "classes_body.h"
#include "simd_body.h"

const Isa isa_plain = {ISA_ENTRIES};
