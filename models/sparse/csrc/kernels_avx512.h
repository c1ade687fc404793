/* AVX-512: one vector per panel, blocks of 4 rows by 64 columns (of integers: 6 by 32). Included with and without VNNI. */
#include <immintrin.h>

#define LANES 16
#define NV 1
#define ROWS_F32 4
#define ROWS_I16 6
#define ROWS_U8 6
#define SUMS_F32 16
#define SUMS_I16 12
#define SUMS_U8 12
#define MOST_PANELS 4
#define FEW 1
typedef __m512 V;
typedef __m512i VI;
#define LOAD(p) _mm512_loadu_ps(p)
#define STORE(p, x) _mm512_storeu_ps(p, x)
#define SET1(x) _mm512_set1_ps(x)
#define SPREAD(p) _mm512_castsi512_ps(pair(p)) /* Zen 4 takes half as long again for vbroadcastss */
#define ADD(x, y) _mm512_add_ps(x, y)
#define MUL(x, y) _mm512_mul_ps(x, y)
#define FMA(x, y, z) _mm512_fmadd_ps(x, y, z)
#define MAXIMUM(x, y) _mm512_max_ps(x, y)
#define ABSOLUTE(x) _mm512_abs_ps(x)
#define ACCUMULATE(acc, x, y) __asm__ volatile("vfmadd231ps %2, %1, %0" : "+v"(acc) : "v"(x), "v"(y))
#define LOADI(p) _mm512_loadu_si512((const void *)(p))
#define ZEROI() _mm512_setzero_si512()
#define TO_FLOAT(x) _mm512_cvtepi32_ps(x)
#define LOAD16(p) _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(p))))
#define LOAD8(p) _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(p))))
#define STORE8(p, x) _mm_storeu_si128((__m128i *)(p), _mm512_cvtusepi32_epi8(_mm512_max_epi32(_mm512_cvtps_epi32(x), _mm512_setzero_si512())))
#define PAIR(p) pair(p)
#define OPAQUE(x) __asm__ volatile("" : "+v"(x))
#define HMAX(x) _mm512_reduce_max_ps(x)
#define STORE16(p, x) _mm256_storeu_si256((__m256i *)(p), _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(x)))

INLINE TARGET __m512i pair(const void *p) {
    int32_t both;
    __builtin_memcpy(&both, p, sizeof both);
    return _mm512_set1_epi32(both);
}

#include "classes_body.h"
#include "simd_body.h"
