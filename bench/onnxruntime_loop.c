/* Times ONNX Runtime through its C interface, on one thread:
 *
 * onnxruntime_loop LIBRARY MODEL run|binding ROWS SECONDS INPUT OUTPUT WIDTH OUTPUTS
 *
 * prints nanoseconds a row. Tensors lie over memory that was there before, and are made once. The
 * interface is a table of functions that grows at its end alone, so places in it are for good. */
#include <dlfcn.h>

#include "timed_loop.h"

typedef void entry(void);
typedef struct status status;

enum {
    GET_ERROR_MESSAGE = 2,
    CREATE_ENV = 3,
    CREATE_SESSION_FROM_ARRAY = 8,
    RUN = 9,
    CREATE_SESSION_OPTIONS = 10,
    SET_INTRA_OP_NUM_THREADS = 24,
    SET_INTER_OP_NUM_THREADS = 25,
    CREATE_TENSOR_WITH_DATA = 49,
    CREATE_CPU_MEMORY_INFO = 69,
    RUN_WITH_BINDING = 133,
    CREATE_IO_BINDING = 134,
    BIND_INPUT = 136,
    BIND_OUTPUT = 137,
};
enum { ERRORS_ALONE = 3, FLOAT32 = 1, ARENA = 1, DEFAULT_MEMORY = 0, OLDEST_INTERFACE = 12 };

typedef struct base {
    entry *const *(*get)(uint32_t version);
} base;
typedef const char *message_function(const status *);
typedef status *make_function(void *made);
typedef status *env_function(int level, const char *name, void *made);
typedef status *session_function(void *env, const void *bytes, size_t size, void *options, void *made);
typedef status *number_function(void *options, int number);
typedef status *memory_function(int allocator, int kind, void *made);
typedef status *tensor_function(void *memory, void *data, size_t bytes, const int64_t *shape,
                                size_t dimensions, int type, void *made);
typedef status *run_function(void *session, void *options, const char *const *inputs,
                             void *const *values, size_t count, const char *const *outputs,
                             size_t output_count, void **results);
typedef status *binding_function(void *session, void *made);
typedef status *bind_function(void *binding, const char *name, void *value);
typedef status *run_binding_function(void *session, void *options, void *binding);

static entry *const *api;
#define CALL(type, place) ((type *)api[place])

static void require(status *failed) {
    if (!failed) return;
    fprintf(stderr, "%s\n", CALL(message_function, GET_ERROR_MESSAGE)(failed));
    exit(1);
}

static void open_library(const char *path) {
    void *held = dlopen(path, RTLD_NOW);
    const base *(*start)(void) = NULL;
    if (held) *(void **)&start = dlsym(held, "OrtGetApiBase");
    if (start) api = start()->get(OLDEST_INTERFACE);
    if (api) return;
    fprintf(stderr, "%s: not ONNX Runtime\n", path);
    exit(1);
}

static void *session_of(const char *path) {
    void *env, *options, *session;
    size_t size;
    void *bytes = file_of(path, &size);
    require(CALL(env_function, CREATE_ENV)(ERRORS_ALONE, "bench", &env));
    require(CALL(make_function, CREATE_SESSION_OPTIONS)(&options));
    require(CALL(number_function, SET_INTRA_OP_NUM_THREADS)(options, 1));
    require(CALL(number_function, SET_INTER_OP_NUM_THREADS)(options, 1));
    require(CALL(session_function, CREATE_SESSION_FROM_ARRAY)(env, bytes, size, options, &session));
    free(bytes);
    return session;
}

static void *tensor_over(void *memory, float *data, size_t rows, size_t columns) {
    const int64_t shape[] = {(int64_t)rows, (int64_t)columns};
    void *tensor;
    require(CALL(tensor_function, CREATE_TENSOR_WITH_DATA)(
        memory, data, rows * columns * sizeof *data, shape, 2, FLOAT32, &tensor));
    return tensor;
}

int main(int count, char **words) {
    if (count != 10) return 2;
    open_library(words[1]);
    void *session = session_of(words[2]), *memory, *binding;
    const size_t rows = (size_t)atol(words[4]), outputs = (size_t)atol(words[9]);
    size_t bytes;
    float *x = file_of(words[6], &bytes), *y = calloc(rows * outputs, sizeof *y);
    require(CALL(memory_function, CREATE_CPU_MEMORY_INFO)(ARENA, DEFAULT_MEMORY, &memory));
    void *given = tensor_over(memory, x, rows, (size_t)atol(words[8]));
    void *result = tensor_over(memory, y, rows, outputs);
    const char *const in[] = {"x"}, *const out[] = {"y"};
    if (!strcmp(words[3], "run")) {
        run_function *run = CALL(run_function, RUN);
        TIME_LOOPS(atof(words[5]), rows, require(run(session, NULL, in, &given, 1, out, 1, &result)));
    } else {
        run_binding_function *run = CALL(run_binding_function, RUN_WITH_BINDING);
        require(CALL(binding_function, CREATE_IO_BINDING)(session, &binding));
        require(CALL(bind_function, BIND_INPUT)(binding, in[0], given));
        require(CALL(bind_function, BIND_OUTPUT)(binding, out[0], result));
        TIME_LOOPS(atof(words[5]), rows, require(run(session, NULL, binding)));
    }
    write_floats(words[7], y, rows * outputs);
    return 0;
}
