/* Any dense chain: RMD1 bytes are the model. */

struct instjit_model {
    const dense_code *code;
    dense_plan plan;
    instjit_info info; /* but for size */
    void *memory;      /* what destroy frees */
};

static const char *const feature_names[] = {NULL};

#define MOST_OF_ANY ((uint64_t)1 << 25)

/* Interleaved chains of a sum, from its shape alone. */
static uint64_t chains_of(uint64_t outputs, uint64_t inputs) {
    if (outputs <= 4 && inputs >= 16) return 8;
    if (outputs <= 16 && inputs >= 64) return 4;
    return outputs <= 48 && inputs >= 64 ? 2 : 1;
}

/* Whether layers name more numbers than twice the file's own, and these take more than 128 MiB once they
 * are packed. Layers may share numbers, so that a small file could name them any number of times; that
 * few outputs are filled up to a vector's is not its fault. */
static int asks_too_much(const rmd1 *file, uint64_t named, uint64_t packed) {
    return packed > MOST_OF_ANY && named > 2 * ((uint64_t)file->weight_count + file->bias_count);
}

/* Layers and the room for their numbers; 0 floats when they are too many. */
static uint64_t plan_layers(const rmd1 *file, const dense_code *code, dense_layer *layers,
                            instjit_info *info, uint64_t *widest) {
    uint64_t floats = 0, named = 0;
    for (uint32_t i = 0; i < file->layers; i++) {
        const rmd1_layer found = rmd1_layer_at(file, i);
        const uint64_t inputs = found.inputs, outputs = found.outputs;
        const dense_layer layer = {inputs, outputs, chains_of(outputs, inputs), floats,
                                   found.activation};
        if (layers) layers[i] = layer;
        floats += code->floats_of(outputs, inputs);
        named += (inputs + 1) * outputs;
        if (asks_too_much(file, named, floats)) return 0;
        info->weight_count += inputs * outputs;
        info->bias_count += outputs;
        if (inputs > *widest) *widest = inputs;
        if (outputs > *widest) *widest = outputs;
    }
    *widest = (*widest + code->pad - 1) / code->pad * code->pad;
    return floats;
}

static void fill(float *k, const rmd1 *file, const dense_code *code, const dense_layer *layers) {
    for (uint32_t i = 0; i < file->layers; i++) {
        const rmd1_layer from = rmd1_layer_at(file, i);
        const dense_layer *to = &layers[i];
        float *block = k + to->at;
        for (uint64_t o = 0; o < to->outputs; o++) {
            block[code->place_of(to->outputs, to->inputs, o, 0)] =
                float_at(file, file->biases, from.bias_offset + o);
            for (uint64_t row = 0; row < to->inputs; row++)
                block[code->place_of(to->outputs, to->inputs, o, row + 1)] =
                    float_at(file, file->weights, from.weight_offset + o * to->inputs + row);
        }
    }
}

static instjit_status make(const code *chosen, const rmd1 *file, instjit_model **model) {
    const dense_code *code = chosen->dense;
    uint64_t widest = 0;
    instjit_info info = {.instruction_count = file->layers, .scratch_alignment = LINE_BYTES,
                         .tile_rows = code->lanes, .cpu = chosen->cpu, .digest = "",
                         .version = INSTJIT_PACKAGE};
    const uint64_t floats = plan_layers(file, code, NULL, &info, &widest);
    const uint64_t head = sizeof(instjit_model) + LINE_BYTES, most = SIZE_MAX / 4;
    const uint64_t table = sizeof(dense_layer) * (uint64_t)file->layers;
    if (!floats) return INSTJIT_LIMIT_EXCEEDED;
    if (table > most / 2 || floats > most / 8 || widest > most / (8 * code->lanes))
        return INSTJIT_OUT_OF_MEMORY;
    char *memory = calloc(1, (size_t)(head + table + LINE_BYTES + floats * sizeof(float)));
    if (!memory) return INSTJIT_OUT_OF_MEMORY;
    instjit_model *made = (instjit_model *)memory;
    dense_layer *layers = at_line(memory + sizeof *made);
    float *k = at_line((char *)layers + table);
    info.weight_count = info.bias_count = 0;
    plan_layers(file, code, layers, &info, &widest);
    fill(k, file, code, layers);
    info.input_size = layers[0].inputs;
    info.output_size = layers[file->layers - 1].outputs;
    info.row_scratch_bytes = in_lines(2 * widest);
    info.batch_scratch_bytes = in_lines(2 * widest * code->lanes);
    *made = (instjit_model){code, {layers, file->layers, widest, k}, info, memory};
    *model = made;
    return INSTJIT_OK;
}

instjit_status INSTJIT(create)(const void *bytes, size_t length, const instjit_options *options,
                               instjit_model **model) {
    if (!model || !bytes) return INSTJIT_NULL_POINTER;
    const code *chosen = NULL;
    rmd1 file;
    instjit_status status = choose(options, &chosen);
    if (status == INSTJIT_OK) status = rmd1_read(bytes, length, &file);
    return status == INSTJIT_OK ? make(chosen, &file, model) : status;
}

static void run_row(const instjit_model *model, const float *x, float *y, float *s) {
    model->code->row(&model->plan, x, y, s);
}

static void run_rows(const instjit_model *model, int64_t rows, const float *x, float *y, float *s) {
    model->code->tiles(&model->plan, x, y, (uint64_t)rows, s);
}
