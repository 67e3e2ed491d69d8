/* Runs rows of a file through a library, between pages that cannot be touched.
 *
 * run_library CPU ROWS IN OUT [MODEL]: results of one batch, then of each row by itself, to OUT.
 * Then eight threads do the same at once; all must find the same bytes. Exit 0, or the line that failed.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define F(name) JOIN(PREFIX, name)

#define REQUIRE(condition)                                          \
    do {                                                            \
        if (!(condition)) {                                         \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
            exit(1);                                                \
        }                                                           \
    } while (0)

/* Memory that ends (or, for `early`, begins) where the process may not go. */
static void *between_guards(size_t bytes, int early) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t held = (bytes + page - 1) / page * page;
    char *all = mmap(NULL, held + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(all != MAP_FAILED);
    REQUIRE(!mprotect(all, page, PROT_NONE) && !mprotect(all + page + held, page, PROT_NONE));
    return early ? all + page : all + page + held - bytes;
}

static instjit_model *model;
static instjit_info info;
static size_t rows;
static float *x;

/* Both ways of running; y has room for two results. */
static void run_all(float *y, int early) {
    const size_t in = info.input_size, out = info.output_size;
    const size_t need = info.batch_scratch_bytes > info.row_scratch_bytes ? info.batch_scratch_bytes
                                                                          : info.row_scratch_bytes;
    float *held = between_guards(rows * in * sizeof *x, early);
    float *result = between_guards(rows * out * sizeof *y, early);
    char *scratch = between_guards((need + 63) / 64 * 64, early);
    memcpy(held, x, rows * in * sizeof *x);
    memset(scratch, 0xff, need);
    REQUIRE(F(run_batch)(model, rows, held, rows * in, result, rows * out, scratch, need) == INSTJIT_OK);
    memcpy(y, result, rows * out * sizeof *y);
    float *line = between_guards(in * sizeof *x, early), *answer = between_guards(out * sizeof *y, early);
    for (size_t row = 0; row < rows; row++) {
        memcpy(line, x + row * in, in * sizeof *x);
        REQUIRE(F(run)(model, line, in, answer, out, scratch, info.row_scratch_bytes) == INSTJIT_OK);
        memcpy(y + (rows + row) * out, answer, out * sizeof *y);
    }
}

static void *work(void *early) {
    float *y = malloc(2 * rows * info.output_size * sizeof *y);
    REQUIRE(y);
    run_all(y, early != NULL);
    return y;
}

/* The bytes of a file, in memory of their size. */
static void *file_of(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    REQUIRE(file && !fseek(file, 0, SEEK_END));
    *length = (size_t)ftell(file);
    rewind(file);
    void *bytes = malloc(*length);
    REQUIRE(bytes && fread(bytes, 1, *length, file) == *length && !fclose(file));
    return bytes;
}

int main(int count, char **words) {
    REQUIRE(count == 5 || count == 6);
    size_t length = 0;
    void *bytes = count == 6 ? file_of(words[5], &length) : NULL;
    REQUIRE(F(is_compatible)(INSTJIT_API_VERSION) == 1 && F(is_compatible)(999) == 0);
    instjit_options options = {.size = sizeof options, .cpu = words[1]};
    instjit_status status = F(create)(bytes, length, &options, &model);
    free(bytes);
    if (status != INSTJIT_OK) {
        fprintf(stderr, "%s\n", F(status_string)(status));
        return 2;
    }
    info.size = sizeof info;
    REQUIRE(F(info)(model, &info) == INSTJIT_OK);
    rows = (size_t)atol(words[2]);
    const size_t size = rows * info.input_size, results = 2 * rows * info.output_size;
    x = malloc(size * sizeof *x);
    float *y = malloc(results * sizeof *y);
    FILE *file = fopen(words[3], "rb");
    REQUIRE(file && fread(x, sizeof *x, size, file) == size && !fclose(file));
    run_all(y, 0);
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) REQUIRE(!pthread_create(&threads[i], NULL, work, i % 2 ? model : NULL));
    for (int i = 0; i < 8; i++) {
        void *found;
        REQUIRE(!pthread_join(threads[i], &found) && !memcmp(found, y, results * sizeof *y));
        free(found);
    }
    file = fopen(words[4], "wb");
    REQUIRE(file && fwrite(y, sizeof *y, results, file) == results && !fclose(file));
    REQUIRE(F(destroy)(model) == INSTJIT_OK);
    free(x);
    free(y);
    return 0;
}
