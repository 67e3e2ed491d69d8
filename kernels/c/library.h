/* NAME: a model as a C library, version 1 of its interface. Made by instjit.
 *
 * A model is created once and may then be run by any number of threads at once. Running allocates
 * nothing and keeps nothing: scratch is the caller's, of the size and alignment that NAME_info tells,
 * and belongs to one call at a time. Numbers are float32; rows lie one after the other. A row's
 * results depend on the row alone: the same bits from NAME_run and NAME_run_batch, on every CPU.
 * Every function that can fail returns a status; unless it is INSTJIT_OK nothing has been written.
 */
#ifndef INSTJIT_NAME_H
#define INSTJIT_NAME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef INSTJIT_API_VERSION
#define INSTJIT_API_VERSION 1u

/* Every status: name, number, sentence. Numbers never change; later versions add to the end. */
#define INSTJIT_STATUSES(X)                                                                    \
    X(INSTJIT_OK, 0, "success")                                                                \
    X(INSTJIT_NULL_POINTER, 1, "a pointer that must lead somewhere is null")                   \
    X(INSTJIT_WRONG_SIZE, 2, "the input or output has another size than the model's rows")     \
    X(INSTJIT_SCRATCH_TOO_SMALL, 3, "the scratch memory is smaller than info says")            \
    X(INSTJIT_MISALIGNED, 4, "floats are not aligned to 4 bytes, or scratch not as info says") \
    X(INSTJIT_OVERLAP, 5, "input, output and scratch share memory")                            \
    X(INSTJIT_BAD_STRUCT_SIZE, 6, "the size field of a struct is not the size of any version") \
    X(INSTJIT_UNSUPPORTED_CPU, 7, "the library has no code that this CPU can run")             \
    X(INSTJIT_UNKNOWN_CPU, 8, "the library has no code for the CPU that the options name")     \
    X(INSTJIT_OUT_OF_MEMORY, 9, "there is not enough memory")                                  \
    X(INSTJIT_TRUNCATED, 10, "the bytes end before the RMD1 file does")                        \
    X(INSTJIT_BAD_MAGIC, 11, "the bytes are not an RMD1 file")                                 \
    X(INSTJIT_BAD_VERSION, 12, "the RMD1 file has another version than 1")                     \
    X(INSTJIT_BAD_HEADER, 13, "the header of the RMD1 file is wrong")                          \
    X(INSTJIT_INVALID_ACTIVATION, 14, "a layer of the RMD1 file has an unknown activation")    \
    X(INSTJIT_INVALID_LAYER, 15, "a layer of the RMD1 file is empty or outside its numbers")   \
    X(INSTJIT_INCOMPATIBLE_CHAIN, 16, "a layer takes other inputs than the one before gives")  \
    X(INSTJIT_STRUCTURE_MISMATCH, 17, "the RMD1 file has another structure than the library")  \
    X(INSTJIT_NOT_DENSE, 18, "the model of this library is none that an RMD1 file can hold")   \
    X(INSTJIT_LIMIT_EXCEEDED, 19, "layers of the RMD1 file share more numbers than it may ask for")

#define INSTJIT_STATUS_ENTRY(name, number, sentence) name = number,
enum { INSTJIT_STATUSES(INSTJIT_STATUS_ENTRY) INSTJIT_STATUS_END_ };
#undef INSTJIT_STATUS_ENTRY

typedef int32_t instjit_status;

typedef struct instjit_model instjit_model; /* opaque */

/* Set `size` to sizeof(instjit_options) and every other field to 0 for its default. */
typedef struct instjit_options {
    uint64_t size;
    const char *cpu; /* one of the library's CPUs by name, such as "x86-64-v3"; NULL: the best */
} instjit_options;

/* Set `size` to sizeof(instjit_info) before NAME_info; no more is written than that. Fields that
 * the library does not know yet are 0. */
typedef struct instjit_info {
    uint64_t size;
    uint64_t input_size;          /* floats of a row of input */
    uint64_t output_size;         /* floats of a row of output */
    uint64_t row_scratch_bytes;   /* for run */
    uint64_t batch_scratch_bytes; /* for run_batch, whatever the number of rows; enough for run */
    uint64_t scratch_alignment;   /* in bytes; both sizes are multiples of it */
    uint64_t instruction_count;
    uint64_t weight_count;
    uint64_t bias_count;
    uint64_t parameter_count; /* other numbers: scales, bounds, tables */
    uint64_t feature_count;   /* names of input columns: input_size of them, or 0 */
    uint64_t tile_rows;       /* batches of a multiple of it are the quickest */
    const char *cpu;          /* whose code runs */
    const char *digest;       /* of the structure: 64 hexadecimal digits, "" when RMD1 gave it */
    const char *version;      /* of instjit */
} instjit_info;

/* What size must be at least, and at most: what was never set is rarely in between. */
#define INSTJIT_INFO_SIZE_1 48u
#define INSTJIT_OPTIONS_SIZE_1 16u
#define INSTJIT_STRUCT_SIZE_MOST 4096u
#endif /* INSTJIT_API_VERSION */

#ifndef INSTJIT_EXPORT
#if defined(_WIN32)
#define INSTJIT_EXPORT
#else
#define INSTJIT_EXPORT __attribute__((visibility("default")))
#endif
#endif

/* Version of the interface that the library has. */
INSTJIT_EXPORT uint32_t NAME_api_version(void);

/* 1 when a program compiled for that version of the interface can use the library, else 0. */
INSTJIT_EXPORT int32_t NAME_is_compatible(uint32_t api_version);

/* A sentence in English, never NULL. */
INSTJIT_EXPORT const char *NAME_status_string(instjit_status status);

/* Make a model.
 *
 * bytes, length: CREATE_BYTES
 *     The bytes are copied.
 * options: NULL for the defaults.
 * model: the result, for NAME_destroy.
 */
INSTJIT_EXPORT instjit_status NAME_create(const void *bytes, size_t length,
                                          const instjit_options *options, instjit_model **model);

/* Sizes, counts and names; info->size says how much of it there is. */
INSTJIT_EXPORT instjit_status NAME_info(const instjit_model *model, instjit_info *info);

/* UTF-8 name of an input column; NULL when it has none. */
INSTJIT_EXPORT const char *NAME_feature_name(const instjit_model *model, uint64_t index);

/* One row: x_size floats at x to y_size floats at y. */
INSTJIT_EXPORT instjit_status NAME_run(const instjit_model *model, const float *x, size_t x_size,
                                       float *y, size_t y_size, void *scratch,
                                       size_t scratch_bytes);

/* `rows` rows: x_size = rows * input_size floats, y_size = rows * output_size. None is no error. */
INSTJIT_EXPORT instjit_status NAME_run_batch(const instjit_model *model, uint64_t rows,
                                             const float *x, size_t x_size, float *y,
                                             size_t y_size, void *scratch, size_t scratch_bytes);

/* NULL is no error. */
INSTJIT_EXPORT instjit_status NAME_destroy(instjit_model *model);

#ifdef __cplusplus
}
#endif
#endif
