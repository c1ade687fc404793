/* Which instruction set this processor (and its operating system) can run. */
#include "sparse.h"

enum { PLAIN, AVX2, AVX512, AVX512VNNI };

/* Best level that can run here: 0 plain C, 1 AVX2 + FMA, 2 AVX-512 F/BW/VL/DQ, 3 the same with VNNI. */
EXPORT int sparse_best_level(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return PLAIN;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
        return AVX2;
    return __builtin_cpu_supports("avx512vnni") ? AVX512VNNI : AVX512;
#else
    return PLAIN;
#endif
}

const Isa *isa_by_level(int level) {
#if defined(__x86_64__)
    if (level == AVX2) return &isa_avx2;
    if (level == AVX512) return &isa_avx512;
    if (level == AVX512VNNI) return &isa_avx512vnni;
#endif
    (void)level;
    return &isa_plain;
}

EXPORT int sparse_abi(void) { return 4; }
