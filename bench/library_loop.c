/* Times a library from C: library_loop CPU ROWS SECONDS INPUT OUTPUT [MODEL] prints nanoseconds a row,
 * by run for one row and by run_batch for several. CPU: "" for the best; 0 seconds: one result. */
#include "timed_loop.h"

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define F(name) JOIN(PREFIX, name)

static void require(instjit_status status) {
    if (status == INSTJIT_OK) return;
    fprintf(stderr, "%s\n", F(status_string)(status));
    exit(1);
}

int main(int count, char **words) {
    if (count < 6) return 2;
    const size_t rows = (size_t)atol(words[2]);
    instjit_model *model = NULL;
    instjit_info info = {.size = sizeof info};
    instjit_options options = {.size = sizeof options, .cpu = *words[1] ? words[1] : NULL};
    size_t size = 0, in_bytes = 0;
    char *bytes = count > 6 ? file_of(words[6], &size) : NULL;
    require(F(create)(bytes, size, &options, &model));
    require(F(info)(model, &info));
    free(bytes);
    const size_t in = rows * info.input_size, out = rows * info.output_size;
    const size_t need = info.batch_scratch_bytes;
    float *x = file_of(words[4], &in_bytes), *y = malloc(out * sizeof *y);
    void *scratch = aligned_alloc(64, (need + 63) / 64 * 64);
    if (!y || !scratch || in_bytes != in * sizeof *x) return 1;
    if (rows == 1)
        TIME_LOOPS(atof(words[3]), rows, require(F(run)(model, x, in, y, out, scratch, need)));
    else
        TIME_LOOPS(atof(words[3]), rows,
                   require(F(run_batch)(model, rows, x, in, y, out, scratch, need)));
    write_floats(words[5], y, out);
    return F(destroy)(model);
}
