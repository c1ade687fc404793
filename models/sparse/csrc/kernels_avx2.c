/* AVX2 + FMA: eight lanes, blocks of 6 rows by 16 columns in twelve accumulators. */
#include "sparse.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma")))
#define ISA_NAME "avx2"
#define LANES 8
#define NV 2
#define BIG 6
typedef __m256 V;
typedef __m256i VI;
#define LOAD(p) _mm256_loadu_ps(p)
#define STORE(p, x) _mm256_storeu_ps(p, x)
#define SET1(x) _mm256_set1_ps(x)
#define ADD(x, y) _mm256_add_ps(x, y)
#define MUL(x, y) _mm256_mul_ps(x, y)
#define FMA(x, y, z) _mm256_fmadd_ps(x, y, z)
#define MAXIMUM(x, y) _mm256_max_ps(x, y)
#define ABSOLUTE(x) _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x)
#define LOADI(p) _mm256_loadu_si256((const __m256i *)(p))
#define ZEROI() _mm256_setzero_si256()
#define TO_FLOAT(x) _mm256_cvtepi32_ps(x)
#define LOAD16(p) _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(p))))
#define PAIR(p) pair(p)
#define OPAQUE(x) __asm__ volatile("" : "+x"(x))
#define MADD(acc, a, b) madd(acc, a, b)
#define HMAX(x) largest_lane(x)
#define STORE16(p, x) store16(p, x)

INLINE TARGET __m256i pair(const int16_t *p) {
    int32_t both;
    __builtin_memcpy(&both, p, sizeof both);
    return _mm256_set1_epi32(both);
}

/* The empty statement keeps the compiler from moving all products before all sums, which takes more registers than
 * there are. */
INLINE TARGET __m256i madd(__m256i acc, __m256i a, __m256i b) {
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(a, b));
    __asm__ volatile("" : "+x"(acc));
    return acc;
}

INLINE TARGET float largest_lane(__m256 x) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

INLINE TARGET void store16(int16_t *p, __m256 x) {
    const __m256i i = _mm256_cvtps_epi32(x);
    _mm_storeu_si128((__m128i *)p, _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1)));
}

#include "simd_body.h"

const Isa isa_avx2 = {ISA_NAME, multiply_f32, multiply_i16, finish, outer_f32, interpolate, peak_f32, peak_i16,
        PEAK_WIDTH};
#endif
