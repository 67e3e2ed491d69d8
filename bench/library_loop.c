/* Times a library from C: library_loop ROWS SECONDS prints nanoseconds a row of the best of the loops
 * that fit in the time, by run for one row and by run_batch for several. first: just one result. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define F(name) JOIN(PREFIX, name)

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static char *file_of(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) exit(3);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*size + 1);
    if (!bytes || fread(bytes, 1, *size, file) != *size) exit(3);
    fclose(file);
    return bytes;
}

int main(int count, char **words) {
    if (count < 3) return 2;
    const size_t rows = (size_t)atol(words[1]);
    const double seconds = atof(words[2]);
    instjit_model *model = NULL;
    instjit_info info = {.size = sizeof info};
    size_t size = 0;
    char *bytes = count > 3 ? file_of(words[3], &size) : NULL;
    if (F(create)(bytes, size, NULL, &model) || F(info)(model, &info)) return 1;
    free(bytes);
    const size_t in = rows * info.input_size, out = rows * info.output_size;
    const size_t need = info.batch_scratch_bytes;
    float *x = malloc(in * sizeof *x), *y = malloc(out * sizeof *y);
    void *scratch = aligned_alloc(64, (need + 63) / 64 * 64);
    if (!x || !y || !scratch) return 1;
    for (size_t i = 0; i < in; i++) x[i] = (float)(i * 2654435761u % 2001) / 1000.0f - 1.0f;
    double best = 1e9;
    const double end = now() + seconds;
    size_t calls = 1;
    do {
        const double start = now();
        for (size_t call = 0; call < calls; call++)
            if (rows == 1 ? F(run)(model, x, in, y, out, scratch, need)
                          : F(run_batch)(model, rows, x, in, y, out, scratch, need))
                return 1;
        const double taken = now() - start, each = taken / (double)(calls * rows);
        if (each < best) best = each;
        if (taken < 1e-3) calls *= 2;
    } while (now() < end);
    printf("%.3f %g\n", best * 1e9, (double)y[0]);
    return F(destroy)(model);
}
