/* Tiles first .. last of a batch of `rows` rows. k and n are the model's constants, s is scratch of
 * slots * lanes floats at a multiple of LINE_BYTES. A batch shorter than a tile is one part of it. */
typedef void tiles_function(const float *x, float *y, int64_t rows, int64_t first, int64_t last,
                            const float *k, const int32_t *n, float *s);

/* One row; s is scratch of `slots` floats. */
typedef void row_function(const float *x, float *y, const float *k, const int32_t *n, float *s);

typedef struct code {
    const char *cpu;
    const char *digest;
    int step;      /* of the x86-64 ABI that the CPU must have, 0 for other platforms */
    int64_t lanes; /* rows of a tile */
    int64_t panel; /* outputs of a full panel of weights */
    tiles_function *tiles;
    row_function *row;
} code;

struct instjit_model {
    const code *code;
    const float *k;
    const int32_t *n;
    uint64_t row_floats, tile_floats; /* of scratch */
    instjit_info info;                /* but for size */
    void *memory;                     /* what destroy frees */
};
