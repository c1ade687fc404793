/* AVX2 + FMA: eight lanes, blocks of 6 rows by 16 columns in twelve accumulators. */
#include "sparse.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma")))
#define ISA_NAME "avx2"
#define LANES 8
#define NV 2
#define ROWS_F32 6
#define ROWS_I16 6
#define ROWS_U8 3 /* sums in 16 and in 32 bits: twice the registers for a row */
#define SUMS_F32 12
#define SUMS_I16 12
#define SUMS_U8 6
#define MOST_PANELS 4
#define FEW 1
typedef __m256 V;
typedef __m256i VI;
#define LOAD(p) _mm256_loadu_ps(p)
#define STORE(p, x) _mm256_storeu_ps(p, x)
#define SET1(x) _mm256_set1_ps(x)
#define SPREAD(p) _mm256_set1_ps(*(p))
#define ADD(x, y) _mm256_add_ps(x, y)
#define MUL(x, y) _mm256_mul_ps(x, y)
#define FMA(x, y, z) _mm256_fmadd_ps(x, y, z)
#define MAXIMUM(x, y) _mm256_max_ps(x, y)
#define ABSOLUTE(x) _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x)
#define LOADI(p) _mm256_loadu_si256((const __m256i *)(p))
#define ZEROI() _mm256_setzero_si256()
#define TO_FLOAT(x) _mm256_cvtepi32_ps(x)
#define LOAD16(p) _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(p))))
#define LOAD8(p) _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p))))
#define PAIR(p) pair(p)
#define OPAQUE(x) __asm__ volatile("" : "+x"(x))
/* As statements that the compiler keeps in order: any other order needs more registers than there are. */
#define ACCUMULATE(acc, x, y) __asm__ volatile("vfmadd231ps %2, %1, %0" : "+x"(acc) : "x"(x), "x"(y))
#define MULTIPLY8(half, x, y) __asm__ volatile("vpmaddubsw %2, %1, %0" : "=x"(half) : "x"(x), "x"(y))
#define ACCUMULATE8(half, x, y) do {                                           \
        __m256i product;                                                       \
        __asm__ volatile("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0"          \
                         : "+x"(half), "=&x"(product) : "x"(x), "x"(y));       \
    } while (0)
#define WIDEN8(acc, half) __asm__ volatile("vpmaddwd %2, %1, %1\n\tvpaddd %1, %0, %0" : "+x"(acc), "+x"(half) : "m"(ONES))
#define ACCUMULATE16(acc, x, y) do {                                           \
        __m256i product;                                                       \
        __asm__ volatile("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0"            \
                         : "+x"(acc), "=&x"(product) : "x"(x), "x"(y));        \
    } while (0)
#define HMAX(x) largest_lane(x)
#define STORE16(p, x) store16(p, x)
#define STORE8(p, x) store8(p, x)

static const int16_t ONES[16] __attribute__((aligned(32))) = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

INLINE TARGET __m256i pair(const void *p) {
    int32_t both;
    __builtin_memcpy(&both, p, sizeof both);
    return _mm256_set1_epi32(both);
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

INLINE TARGET void store8(uint8_t *p, __m256 x) {
    const __m256i i = _mm256_cvtps_epi32(x);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(words, words));
}

#include "classes_body.h"
#include "simd_body.h"

const Isa isa_avx2 = {ISA_ENTRIES};
#endif
