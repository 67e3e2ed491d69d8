/* The functions that every library has. */

uint32_t INSTJIT(api_version)(void) { return INSTJIT_API_VERSION; }

int32_t INSTJIT(is_compatible)(uint32_t api_version) { return api_version == INSTJIT_API_VERSION; }

const char *INSTJIT(status_string)(instjit_status status) {
#define ENTRY(name, number, sentence) \
    case number:                      \
        return sentence;
    switch (status) { INSTJIT_STATUSES(ENTRY) }
#undef ENTRY
    return "no status of this version of the interface";
}

instjit_status INSTJIT(info)(const instjit_model *model, instjit_info *info) {
    if (!model || !info) return INSTJIT_NULL_POINTER;
    const uint64_t asked = info->size;
    if (asked < INSTJIT_INFO_SIZE_1 || asked > INSTJIT_STRUCT_SIZE_MOST) return INSTJIT_BAD_STRUCT_SIZE;
    const size_t known = asked < sizeof *info ? (size_t)asked : sizeof *info;
    memset((char *)info + known, 0, (size_t)asked - known);
    memcpy((char *)info + sizeof info->size, (const char *)&model->info + sizeof info->size,
           known - sizeof info->size);
    return INSTJIT_OK;
}

const char *INSTJIT(feature_name)(const instjit_model *model, uint64_t index) {
    if (!model || index >= model->info.feature_count) return NULL;
    return feature_names[index];
}

static int apart(const void *a, uint64_t a_bytes, const void *b, uint64_t b_bytes) {
    uintptr_t p = (uintptr_t)a, q = (uintptr_t)b;
    return p < q ? q - p >= a_bytes : p - q >= b_bytes;
}

static instjit_status checked(const instjit_model *model, uint64_t rows, const float *x,
                              size_t x_size, const float *y, size_t y_size, const void *scratch,
                              size_t scratch_bytes, uint64_t needed) {
    if (!model) return INSTJIT_NULL_POINTER;
    const uint64_t in = model->info.input_size, out = model->info.output_size;
    const uint64_t most = UINT64_MAX / sizeof(float);
    if (x_size > most || y_size > most) return INSTJIT_WRONG_SIZE;
    if (x_size % in || x_size / in != rows) return INSTJIT_WRONG_SIZE;
    if (y_size % out || y_size / out != rows) return INSTJIT_WRONG_SIZE;
    if (rows == 0) return INSTJIT_OK;
    if (rows > INT64_MAX / 2) return INSTJIT_WRONG_SIZE;
    if (!x || !y || (!scratch && needed)) return INSTJIT_NULL_POINTER;
    if (scratch_bytes < needed) return INSTJIT_SCRATCH_TOO_SMALL;
    if ((uintptr_t)x % sizeof(float) || (uintptr_t)y % sizeof(float) ||
        (uintptr_t)scratch % LINE_BYTES)
        return INSTJIT_MISALIGNED;
    const uint64_t x_bytes = x_size * sizeof(float), y_bytes = y_size * sizeof(float);
    if (!apart(x, x_bytes, y, y_bytes) || !apart(x, x_bytes, scratch, needed) ||
        !apart(y, y_bytes, scratch, needed))
        return INSTJIT_OVERLAP;
    return INSTJIT_OK;
}

instjit_status INSTJIT(run)(const instjit_model *model, const float *x, size_t x_size, float *y,
                            size_t y_size, void *scratch, size_t scratch_bytes) {
    const uint64_t needed = model ? model->info.row_scratch_bytes : 0;
    instjit_status status =
        checked(model, 1, x, x_size, y, y_size, scratch, scratch_bytes, needed);
    if (status == INSTJIT_OK) run_row(model, x, y, scratch);
    return status;
}

instjit_status INSTJIT(run_batch)(const instjit_model *model, uint64_t rows, const float *x,
                                  size_t x_size, float *y, size_t y_size, void *scratch,
                                  size_t scratch_bytes) {
    const uint64_t needed = model ? model->info.batch_scratch_bytes : 0;
    instjit_status status =
        checked(model, rows, x, x_size, y, y_size, scratch, scratch_bytes, needed);
    if (status != INSTJIT_OK) return status;
    /* Up to half of a tile's rows are quicker one by one: a tile takes as long for one as for all. */
    const uint64_t lanes = model->info.tile_rows, rest = rows % lanes;
    const uint64_t single = rest <= lanes / 2 ? rest : 0;
    if (rows > single) run_rows(model, (int64_t)(rows - single), x, y, scratch);
    for (uint64_t row = rows - single; row < rows; row++)
        run_row(model, x + row * model->info.input_size, y + row * model->info.output_size, scratch);
    return status;
}

instjit_status INSTJIT(destroy)(instjit_model *model) {
    if (model) free(model->memory);
    return INSTJIT_OK;
}

#ifdef INSTJIT_SHARED
/* Prefix of the functions, for programs that load the library by its path alone. */
INSTJIT_EXPORT extern const char instjit_library_name[];
const char instjit_library_name[] = INSTJIT_PREFIX;
#endif
