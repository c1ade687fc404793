/* AVX-512 without BF16: floats, blocks of 6 pixels by 32 channels in twelve accumulators. */
#include "dense.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")))
#define KERNELS kernels_avx512
#define LANES 16
#define PANEL 32
#define DEPTH 1
typedef float E;
typedef __m512 V;
typedef __m512 X;
#define TO_E(x) (x)
#define FROM_E(x) (x)
#define LOAD_FLOAT(p) _mm512_loadu_ps(p)
#define LOAD_X(p) _mm512_loadu_ps(p)
#define SPREAD(p) _mm512_set1_ps(*(p))
#define ACCUMULATE(sum, x, y) sum = _mm512_fmadd_ps(x, y, sum)
#define LOAD(p) _mm512_loadu_ps(p)
#define STORE(p, x) _mm512_storeu_ps(p, x)
#define SET1(x) _mm512_set1_ps(x)
#define FMA(x, y, z) _mm512_fmadd_ps(x, y, z)
#define ADD(x, y) _mm512_add_ps(x, y)
#define SUB(x, y) _mm512_sub_ps(x, y)
#define LEAST(x, y) _mm512_min_ps(x, y)
#define MOST(x, y) _mm512_max_ps(x, y)
#include "body.h"
#endif
