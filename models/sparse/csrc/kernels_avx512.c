/* AVX-512 without VNNI: int16 products are multiplied and added in two instructions. */
#include "sparse.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")))
#define MADD(acc, a, b) _mm512_add_epi32(acc, _mm512_madd_epi16(a, b))
#include "kernels_avx512.h"

const Isa isa_avx512 = {"avx512", multiply_f32, multiply_i16, finish, outer_f32, interpolate, peak_f32, peak_i16,
        PEAK_WIDTH};
#endif
