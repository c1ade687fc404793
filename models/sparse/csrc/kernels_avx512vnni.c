/* AVX-512 with VNNI: vpdpwssd multiplies pairs of int16 and accumulates in one instruction, twice the rate of float. */
#include "sparse.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma")))
#define MADD(acc, a, b) _mm512_dpwssd_epi32(acc, a, b)
#include "kernels_avx512.h"

const Isa isa_avx512vnni = {"avx512vnni", multiply_f32, multiply_i16, finish, outer_f32, interpolate, peak_f32,
        peak_i16, PEAK_WIDTH};
#endif
