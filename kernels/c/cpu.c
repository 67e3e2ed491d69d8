/* Which steps of the x86-64 ABI this CPU has, and the code of a library that it runs best. Where no
 * code needs one, as in a C99 file, no compiler is asked for cpuid. */
#if defined(__x86_64__) && CPU_STEPS
#include <cpuid.h>

static int cpu_step(void) {
    unsigned a, b, c, d, b7, c7, d7, state = 0, high;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 1;
    const unsigned second = 1u << 0 | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 23;
    if ((c & second) != second) return 1; /* SSE3, SSSE3, CX16, SSE4.1, SSE4.2, POPCNT */
    const unsigned third = 1u << 12 | 1u << 22 | 1u << 27 | 1u << 28 | 1u << 29;
    if ((c & third) != third) return 2; /* FMA, MOVBE, OSXSAVE, AVX, F16C */
    __asm__("xgetbv" : "=a"(state), "=d"(high) : "c"(0));
    if ((state & 6) != 6 || !__get_cpuid_count(7, 0, &a, &b7, &c7, &d7)) return 2;
    if (!__get_cpuid(0x80000001u, &a, &b, &c, &d) || !(c & 1u << 5)) return 2; /* LZCNT */
    const unsigned avx2 = 1u << 3 | 1u << 5 | 1u << 8; /* BMI1, AVX2, BMI2 */
    if ((b7 & avx2) != avx2) return 2;
    const unsigned fourth = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
    if ((b7 & fourth) != fourth || (state & 0xe6) != 0xe6) return 3; /* AVX512 F, DQ, CD, BW, VL */
    return 4;
}
#else
static int cpu_step(void) { return 0; }
#endif

/* The first code that this CPU can run, or the named one. */
static instjit_status choose(const instjit_options *options, const code **chosen) {
    if (options && (options->size < INSTJIT_OPTIONS_SIZE_1 || options->size > INSTJIT_STRUCT_SIZE_MOST))
        return INSTJIT_BAD_STRUCT_SIZE;
    const char *name = options ? options->cpu : NULL;
    const int step = cpu_step();
    instjit_status status = name ? INSTJIT_UNKNOWN_CPU : INSTJIT_UNSUPPORTED_CPU;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (name && strcmp(name, codes[i].cpu)) continue;
        if (codes[i].step <= step) {
            *chosen = &codes[i];
            return INSTJIT_OK;
        }
        status = INSTJIT_UNSUPPORTED_CPU;
    }
    return status;
}
