#define _GNU_SOURCE
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernels.h"

enum {
    ASK_FOR_STATE = 0x1023, /* ARCH_REQ_XCOMP_PERM of arch_prctl */
    TILE_DATA = 18,         /* of the states of a processor that Linux hands out */
    AVX512_BF16 = 1 << 5,   /* leaf 7.1, EAX */
    AMX_BF16 = 1 << 22,     /* leaf 7.0, EDX */
    AMX_TILE = 1 << 24,
};

int has_matrix_unit(void) {
    unsigned a, b, c, d;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
        return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    if (!(d & AMX_BF16) || !(d & AMX_TILE)) return 0;
    return syscall(SYS_arch_prctl, ASK_FOR_STATE, TILE_DATA) == 0;
}
