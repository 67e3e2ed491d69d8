/* RMD1: a dense chain in bytes. Nothing is trusted; the order of checks is that of instjit.load. */

typedef struct rmd1 {
    const unsigned char *records, *weights, *biases;
    uint32_t layers, weight_count, bias_count;
    int wide; /* float64 */
} rmd1;

typedef struct rmd1_layer {
    uint32_t inputs, outputs, weight_offset, bias_offset, activation;
} rmd1_layer;

static uint32_t u32_at(const unsigned char *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* A number of a payload, rounded to float32. */
static float float_at(const rmd1 *file, const unsigned char *payload, uint64_t index) {
    float value;
    if (!file->wide) {
        uint32_t bits = u32_at(payload + 4 * index);
        memcpy(&value, &bits, sizeof value);
    } else {
        const unsigned char *p = payload + 8 * index;
        uint64_t bits = (uint64_t)u32_at(p) | (uint64_t)u32_at(p + 4) << 32;
        double number;
        memcpy(&number, &bits, sizeof number);
        value = (float)number;
    }
    return value;
}

static rmd1_layer rmd1_layer_at(const rmd1 *file, uint32_t number) {
    const unsigned char *p = file->records + 20 * (size_t)number;
    return (rmd1_layer){u32_at(p), u32_at(p + 4), u32_at(p + 8), u32_at(p + 12), p[16]};
}

static instjit_status rmd1_check_layers(const rmd1 *file) {
    for (uint32_t i = 0; i < file->layers; i++)
        if (rmd1_layer_at(file, i).activation > 3) return INSTJIT_INVALID_ACTIVATION;
    for (uint32_t i = 0; i < file->layers; i++) {
        rmd1_layer layer = rmd1_layer_at(file, i);
        uint64_t weights = (uint64_t)layer.inputs * layer.outputs;
        if (!weights || weights > file->weight_count ||
            layer.weight_offset > file->weight_count - weights ||
            layer.outputs > file->bias_count || layer.bias_offset > file->bias_count - layer.outputs)
            return INSTJIT_INVALID_LAYER;
    }
    for (uint32_t i = 1; i < file->layers; i++)
        if (rmd1_layer_at(file, i).inputs != rmd1_layer_at(file, i - 1).outputs)
            return INSTJIT_INCOMPATIBLE_CHAIN;
    return INSTJIT_OK;
}

static instjit_status rmd1_read(const void *bytes, size_t length, rmd1 *file) {
    const unsigned char *p = bytes;
    if (length < 20) return INSTJIT_TRUNCATED;
    if (memcmp(p, "RMD1", 4)) return INSTJIT_BAD_MAGIC;
    if (p[4] != 1 || p[5]) return INSTJIT_BAD_VERSION;
    if (p[6] > 1) return INSTJIT_BAD_HEADER;
    file->wide = p[6];
    file->layers = u32_at(p + 8);
    file->weight_count = u32_at(p + 12);
    file->bias_count = u32_at(p + 16);
    if (!file->layers) return INSTJIT_BAD_HEADER;
    const uint64_t each = file->wide ? 8 : 4;
    const uint64_t weights = 20 + 20 * (uint64_t)file->layers;
    const uint64_t biases = weights + each * file->weight_count;
    if (length < biases + each * file->bias_count) return INSTJIT_TRUNCATED;
    file->records = p + 20;
    file->weights = p + weights;
    file->biases = p + biases;
    return rmd1_check_layers(file);
}
