/* AVX-512 with BF16: pairs of bfloat16 products, summed in float, at twice the rate of float. Blocks of 6 pixels by 32
 * channels. */
#include "dense.h"

#ifdef HAVE_BF16
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma")))
#define KERNELS kernels_avx512bf16
#define LANES 16
#define PANEL 32
#define DEPTH 2
typedef uint16_t E;
typedef __m512 V;
typedef __m512i X;
#include "bfloat16.h"
#define LOAD(p) load(p)
#define STORE(p, x) store(p, x)
#define LOAD_FLOAT(p) _mm512_loadu_ps(p)
#define LOAD_X(p) _mm512_loadu_si512((const void *)(p))
#define SPREAD(p) spread(p)
/* A statement that the compiler keeps in order and in registers. */
#define ACCUMULATE(sum, x, y) __asm__ volatile("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(y))
#define SET1(x) _mm512_set1_ps(x)
#define FMA(x, y, z) _mm512_fmadd_ps(x, y, z)
#define ADD(x, y) _mm512_add_ps(x, y)
#define SUB(x, y) _mm512_sub_ps(x, y)
#define LEAST(x, y) _mm512_min_ps(x, y)
#define MOST(x, y) _mm512_max_ps(x, y)

INLINE TARGET __m512 load(const uint16_t *p) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

INLINE TARGET void store(uint16_t *p, __m512 x) {
    __m256i half;
    __asm__("vcvtneps2bf16 %1, %0" : "=v"(half) : "v"(x));
    _mm256_storeu_si256((__m256i *)p, half);
}

INLINE TARGET __m512i spread(const uint16_t *p) {
    int32_t both;
    memcpy(&both, p, sizeof both);
    return _mm512_set1_epi32(both);
}

#include "body.h"
#endif
