/* AVX-512 without VNNI: int16 products are multiplied and added in two instructions. */
#include "sparse.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")))
#define MULTIPLY8(half, x, y) __asm__ volatile("vpmaddubsw %2, %1, %0" : "=v"(half) : "v"(x), "v"(y))
#define ACCUMULATE8(half, x, y) do {                                           \
        __m512i product;                                                       \
        __asm__ volatile("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0"          \
                         : "+v"(half), "=&v"(product) : "v"(x), "v"(y));       \
    } while (0)
#define WIDEN8(acc, half) acc = _mm512_add_epi32(acc, _mm512_madd_epi16(half, _mm512_set1_epi16(1)))
#define ACCUMULATE16(acc, x, y) do {                                           \
        __m512i product;                                                       \
        __asm__ volatile("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0"            \
                         : "+v"(acc), "=&v"(product) : "v"(x), "v"(y));        \
    } while (0)
#define ISA_NAME "avx512"
#include "kernels_avx512.h"

const Isa isa_avx512 = {ISA_ENTRIES};
#endif
