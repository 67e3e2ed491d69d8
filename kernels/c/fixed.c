/* One model, whose numbers are in the library; RMD1 bytes of its structure bring others. */

static uint64_t padded(uint64_t outputs) { return (outputs + 3) / 4 * 4; }

/* Place in a block of an output's bias (row 0) or of its weight for input row - 1. */
static uint64_t place_of(const block *b, uint64_t panel, uint64_t output, uint64_t row) {
    if (b->narrow)
        return row ? padded(b->outputs) + output * b->depth + row - 1 : output;
    const uint64_t first = output / panel * panel, left = b->outputs - first;
    const uint64_t width = padded(left < panel ? left : panel);
    return first * (b->depth + 1) + row * width + output - first;
}

static void repack(float *to, const float *from, const block *b, uint64_t to_panel,
                   uint64_t from_panel) {
    for (uint64_t output = 0; output < b->outputs; output++)
        for (uint64_t row = 0; row <= b->depth; row++)
            to[b->at + place_of(b, to_panel, output, row)] =
                from[b->at + place_of(b, from_panel, output, row)];
}

static instjit_status same_structure(const rmd1 *file) {
    if (file->layers != LAYERS) return INSTJIT_STRUCTURE_MISMATCH;
    for (uint32_t i = 0; i < file->layers; i++) {
        const rmd1_layer found = rmd1_layer_at(file, i);
        const block *b = &blocks[layers[i].block];
        if (found.inputs != b->depth || found.outputs != b->outputs ||
            found.activation != layers[i].activation)
            return INSTJIT_STRUCTURE_MISMATCH;
    }
    return INSTJIT_OK;
}

static void fill(float *k, const rmd1 *file, uint64_t panel) {
    for (uint32_t i = 0; i < file->layers; i++) {
        const rmd1_layer layer = rmd1_layer_at(file, i);
        const block *b = &blocks[layers[i].block];
        for (uint64_t o = 0; o < b->outputs; o++) {
            k[b->at + place_of(b, panel, o, 0)] =
                float_at(file, file->biases, layer.bias_offset + o);
            const uint64_t first = layer.weight_offset + o * b->depth;
            for (uint64_t row = 0; row < b->depth; row++)
                k[b->at + place_of(b, panel, o, row + 1)] =
                    float_at(file, file->weights, first + row);
        }
    }
}

static instjit_status make(const code *chosen, const rmd1 *file, instjit_model **model) {
    const int copied = file || chosen->panel != codes[0].panel;
    const uint64_t floats = copied ? K_FLOATS : 0;
    const size_t head = sizeof(instjit_model);
    char *memory = malloc(head + LINE_BYTES + floats * sizeof(float));
    if (!memory) return INSTJIT_OUT_OF_MEMORY;
    instjit_model *made = (instjit_model *)memory;
    *made = (instjit_model){chosen, model_k, model_n, SLOTS, SLOTS * (uint64_t)chosen->lanes,
                            model_info, memory};
    if (copied) {
        float *k = at_line(memory + head);
        memcpy(k, model_k, floats * sizeof(float));
        if (file)
            fill(k, file, (uint64_t)chosen->panel);
        else
            for (const block *b = blocks; b < blocks + BLOCKS; b++)
                repack(k, model_k, b, (uint64_t)chosen->panel, (uint64_t)codes[0].panel);
        made->k = k;
    }
    made->info.row_scratch_bytes = in_lines(made->row_floats);
    made->info.batch_scratch_bytes = in_lines(made->tile_floats);
    made->info.tile_rows = (uint64_t)chosen->lanes;
    made->info.cpu = chosen->cpu;
    made->info.digest = chosen->digest;
    *model = made;
    return INSTJIT_OK;
}

instjit_status INSTJIT(create)(const void *bytes, size_t length, const instjit_options *options,
                               instjit_model **model) {
    if (!model || (!bytes && length)) return INSTJIT_NULL_POINTER;
    const code *chosen = NULL;
    instjit_status status = choose(options, &chosen);
    if (status != INSTJIT_OK) return status;
    if (!bytes) return make(chosen, NULL, model);
    if (!LAYERS) return INSTJIT_NOT_DENSE;
    rmd1 file;
    status = rmd1_read(bytes, length, &file);
    if (status == INSTJIT_OK) status = same_structure(&file);
    return status == INSTJIT_OK ? make(chosen, &file, model) : status;
}

static void run_row(const instjit_model *model, const float *x, float *y, float *s) {
    model->code->row(x, y, model->k, model->n, s);
}

static void run_rows(const instjit_model *model, int64_t rows, const float *x, float *y, float *s) {
    const int64_t lanes = model->code->lanes, tiles = rows / lanes + (rows % lanes != 0);
    model->code->tiles(x, y, rows, 0, tiles, model->k, model->n, s);
}
