/* Handwritten digits from a CSV file, recognised by a net in a C library: no Python, no runtime. */
#include <stdio.h>
#include <stdlib.h>

#include "digits.h"

static void stop(const char *what, instjit_status status) {
    fprintf(stderr, "%s: %s\n", what, digits_status_string(status));
    exit(1);
}

static FILE *opened(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        exit(1);
    }
    while (fgetc(file) != '\n' && !feof(file)) continue; /* the names of the columns */
    return file;
}

int main(int count, char **words) {
    if (count != 3 || !digits_is_compatible(INSTJIT_API_VERSION)) {
        fprintf(stderr, "digits ROWS.csv LABELS.csv\n");
        return 2;
    }
    instjit_model *model;
    instjit_status status = digits_create(NULL, 0, NULL, &model);
    if (status != INSTJIT_OK) stop("create", status);
    instjit_info info = {.size = sizeof info};
    status = digits_info(model, &info);
    if (status != INSTJIT_OK) stop("info", status);

    char *memory = malloc(info.row_scratch_bytes + info.scratch_alignment);
    char *scratch = memory + info.scratch_alignment - (uintptr_t)memory % info.scratch_alignment;
    float *x = malloc(info.input_size * sizeof *x), *y = malloc(info.output_size * sizeof *y);
    if (!memory || !x || !y) return 1;

    FILE *rows = opened(words[1]), *labels = opened(words[2]);
    int right = 0, all = 0, label;
    while (fscanf(labels, "%d", &label) == 1) {
        for (uint64_t i = 0; i < info.input_size; i++)
            if (fscanf(rows, "%f%*[,]", &x[i]) < 1) return 1;
        status = digits_run(model, x, info.input_size, y, info.output_size, scratch,
                            info.row_scratch_bytes);
        if (status != INSTJIT_OK) stop("run", status);
        int best = 0;
        for (uint64_t i = 1; i < info.output_size; i++)
            if (y[i] > y[best]) best = (int)i;
        right += best == label;
        all++;
    }
    printf("%d of %d digits are right, with code for %s\n", right, all, info.cpu);
    fclose(rows);
    fclose(labels);
    free(memory);
    free(x);
    free(y);
    return digits_destroy(model);
}
