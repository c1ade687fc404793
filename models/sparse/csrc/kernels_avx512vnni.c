/* AVX-512 with VNNI: vpdpwssd multiplies pairs of int16 and accumulates in one instruction, twice the rate of float. */
#include "sparse.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma")))
#define DOT8(acc, x, y) __asm__ volatile("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(y))
#define ACCUMULATE16(acc, x, y) __asm__ volatile("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(y))
#define ISA_NAME "avx512vnni"
#include "kernels_avx512.h"

const Isa isa_avx512vnni = {ISA_ENTRIES};
#endif
