/* What the C programs of bench.library share: files of floats, and the best of the loops that fit in a
 * time. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *file_of(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) exit(3);
    *size = (size_t)ftell(file);
    rewind(file);
    void *bytes = malloc(*size + 1);
    if (!bytes || fread(bytes, 1, *size, file) != *size) exit(3);
    fclose(file);
    return bytes;
}

static void write_floats(const char *path, const float *values, size_t count) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(values, sizeof *values, count, file) != count || fclose(file)) exit(3);
}

/* Prints nanoseconds a row of the best loop over `call`, a statement. */
#define TIME_LOOPS(seconds, rows, call)                                        \
    do {                                                                       \
        double best_ = 1e9;                                                    \
        const double end_ = now() + (seconds);                                 \
        size_t calls_ = 1;                                                     \
        do {                                                                   \
            const double start_ = now();                                       \
            for (size_t each_ = 0; each_ < calls_; each_++) call;              \
            const double taken_ = now() - start_;                              \
            const double row_ = taken_ / ((double)calls_ * (double)(rows));    \
            if (row_ < best_) best_ = row_;                                    \
            if (taken_ < 1e-3) calls_ *= 2;                                    \
        } while (now() < end_);                                                \
        printf("%.3f\n", best_ * 1e9);                                         \
    } while (0)
