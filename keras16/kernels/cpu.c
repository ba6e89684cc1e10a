#define _GNU_SOURCE
#include <cpuid.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernels.h"

enum {
    ASK_FOR_STATE = 0x1023, /* ARCH_REQ_XCOMP_PERM of arch_prctl */
    TILE_DATA = 18,         /* of the states of a processor that Linux hands out */
    AMX_BF16 = 1 << 22,     /* leaf 7.0, EDX */
    AMX_TILE = 1 << 24,
};

int has_vectors(void) {
#ifdef KERAS16_AVX2
    unsigned a, b, c, d; /* not all compilers know the name of F16C */
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
#else
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
#endif
}

static pthread_once_t asked = PTHREAD_ONCE_INIT;
static int found;

static void ask(void) {
    unsigned a, b, c, d;
    const char *wanted = getenv("KERAS16_KERNELS");
    if (wanted && !strcmp(wanted, "vectors")) return;
    if (!has_vectors() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    if (!(d & AMX_BF16) || !(d & AMX_TILE)) return;
    found = syscall(SYS_arch_prctl, ASK_FOR_STATE, TILE_DATA) == 0;
}

int has_matrix_unit(void) {
    pthread_once(&asked, ask);
    return found;
}
