/* AVX2 + FMA: blocks of 6 pixels by 16 channels in twelve accumulators. */
#include "dense.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma")))
#define KERNELS kernels_avx2
#define LANES 8
#define PANEL 16
#define DEPTH 1
typedef float E;
typedef __m256 V;
typedef __m256 X;
#define TO_E(x) (x)
#define FROM_E(x) (x)
#define LOAD_FLOAT(p) _mm256_loadu_ps(p)
#define LOAD_X(p) _mm256_loadu_ps(p)
#define SPREAD(p) _mm256_set1_ps(*(p))
#define ACCUMULATE(sum, x, y) sum = _mm256_fmadd_ps(x, y, sum)
#define LOAD(p) _mm256_loadu_ps(p)
#define STORE(p, x) _mm256_storeu_ps(p, x)
#define SET1(x) _mm256_set1_ps(x)
#define FMA(x, y, z) _mm256_fmadd_ps(x, y, z)
#define ADD(x, y) _mm256_add_ps(x, y)
#define SUB(x, y) _mm256_sub_ps(x, y)
#define LEAST(x, y) _mm256_min_ps(x, y)
#define MOST(x, y) _mm256_max_ps(x, y)
#include "body.h"
#endif
