/* A dense chain that is known when the program runs. */
#include <stdint.h>

typedef struct dense_layer {
    uint64_t inputs, outputs, chains, at; /* at: of its numbers in k */
    uint32_t activation;
} dense_layer;

typedef struct dense_plan {
    const dense_layer *layers;
    uint32_t count;
    uint64_t widest; /* of all widths, in floats, a multiple of what the code pads to */
    const float *k;
} dense_plan;

/* What dense_kernel.c is for one CPU. */
typedef struct dense_code {
    uint64_t lanes, pad;
    uint64_t (*floats_of)(uint64_t outputs, uint64_t inputs);
    uint64_t (*place_of)(uint64_t outputs, uint64_t inputs, uint64_t output, uint64_t row);
    void (*tiles)(const dense_plan *plan, const float *x, float *y, uint64_t rows, float *s);
    void (*row)(const dense_plan *plan, const float *x, float *y, float *s);
} dense_code;
