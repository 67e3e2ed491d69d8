// A driver for tests: host memory for device memory, and a launch that says what it was asked for.
//
// The "kernel" writes x[i % size of x] + k[0] to y[i]. FAKE_CUDA_FAILS names a call that fails.

#include <cuda.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

namespace {
std::map<CUdeviceptr, size_t> sizes;
std::string name;

CUresult result(const char *call) {
    const char *fails = std::getenv("FAKE_CUDA_FAILS");
    return fails && !std::strcmp(fails, call) ? CUDA_ERROR_NO_DEVICE : CUDA_SUCCESS;
}
size_t floats(CUdeviceptr address) { return sizes.count(address) ? sizes[address] / 4 : 0; }
void *pointer(CUdeviceptr address) { return reinterpret_cast<void *>(address); }
CUdeviceptr given(void *argument) { return *static_cast<CUdeviceptr *>(argument); }
}  // namespace

extern "C" {
CUresult cuInit(unsigned) { return result("cuInit"); }
CUresult cuDeviceGet(CUdevice *device, int) { return *device = 0, result("cuDeviceGet"); }
CUresult cuDevicePrimaryCtxRetain(CUcontext *, CUdevice) { return result("Retain"); }
CUresult cuDevicePrimaryCtxRelease(CUdevice) {
    std::fprintf(stderr, "arrays left %zu\n", sizes.size());
    return CUDA_SUCCESS;
}
CUresult cuCtxSetCurrent(CUcontext) { return CUDA_SUCCESS; }
CUresult cuGetErrorName(CUresult, const char **text) {
    return *text = "CUDA_ERROR_NO_DEVICE", CUDA_SUCCESS;
}
CUresult cuModuleLoadData(CUmodule *module, const void *image) {
    *module = nullptr;
    std::fprintf(stderr, "image %zu\n", std::strlen(static_cast<const char *>(image)));
    return result("cuModuleLoadData");
}
CUresult cuModuleGetFunction(CUfunction *function, CUmodule, const char *wanted) {
    return *function = nullptr, name = wanted, CUDA_SUCCESS;
}
CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }
CUresult cuFuncSetAttribute(CUfunction, CUfunction_attribute, int value) {
    std::fprintf(stderr, "allowed %d\n", value);
    return result("cuFuncSetAttribute");
}
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute, CUdevice) {
    return *value = 3, CUDA_SUCCESS;
}
CUresult cuMemAlloc(CUdeviceptr *address, size_t bytes) {
    *address = reinterpret_cast<CUdeviceptr>(std::malloc(bytes));
    sizes[*address] = bytes;
    return result("cuMemAlloc");
}
CUresult cuMemFree(CUdeviceptr address) {
    std::free(pointer(address));
    return sizes.erase(address), CUDA_SUCCESS;
}
CUresult cuMemcpyHtoD(CUdeviceptr target, const void *source, size_t bytes) {
    return std::memcpy(pointer(target), source, bytes), CUDA_SUCCESS;
}
CUresult cuMemcpyDtoH(void *target, CUdeviceptr source, size_t bytes) {
    return std::memcpy(target, pointer(source), bytes), CUDA_SUCCESS;
}
CUresult cuLaunchKernel(CUfunction, unsigned grid, unsigned, unsigned, unsigned x, unsigned y,
                        unsigned, unsigned shared, CUstream, void **arguments, void **) {
    const auto *from = static_cast<const float *>(pointer(given(arguments[0])));
    auto *to = static_cast<float *>(pointer(given(arguments[1])));
    const auto rows = *static_cast<long long *>(arguments[2]);
    const float first = *static_cast<const float *>(pointer(given(arguments[3])));
    const size_t read = floats(given(arguments[0])), written = floats(given(arguments[1]));
    for (size_t i = 0; i < written; ++i) to[i] = from[i % read] + first;
    const size_t scratch = arguments[5] ? floats(given(arguments[5])) : 0;
    std::fprintf(stderr, "%s grid %u block %u %u shared %u rows %lld k %zu n %zu scratch %zu %d\n",
                 name.c_str(), grid, x, y, shared, rows, floats(given(arguments[3])),
                 floats(given(arguments[4])), scratch, arguments[5] != nullptr);
    return result("cuLaunchKernel");
}
}
