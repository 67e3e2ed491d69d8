// Runs a model's PTX from C++, without Python: the driver API and nothing else.
//
//   instjit dump MODEL --target ptx --cc 90 --constants model.bin -o model.ptx
//   (for devices of another compute capability as well: --cc 80 --portable)
//   make                                   # or: g++ -O2 -std=c++17 main.cpp -o host -lcuda
//   ./host model.ptx model.bin rows.f32 out.f32
//
// rows.f32 holds the rows one after the other, float32 as in memory: x.astype("f4").tofile(...) in
// NumPy. out.f32 gets the outputs in the same way, with the bits of the CPU's kernel. model.ptx
// serves every model of the same structure; model.bin holds the weights, and the header below.
//
// Exit codes: 0 good, 2 wrong arguments, 3 a file is unreadable, 4 no CUDA device or a CUDA error.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include <cuda.h>

namespace {

// The file's first 88 bytes, as instjit.gpu.constants_file writes them on a little-endian machine.
struct Header {
    char magic[8];
    std::int64_t input_size, output_size;
    std::int64_t rows;                  // of a block at a time
    std::int64_t threads_x, threads_y;  // of a block: no other numbers will do
    std::int64_t shared_bytes;          // dynamic shared memory of a block
    std::int64_t scratch_floats;        // global memory of a block
    std::int64_t takes_scratch;         // whether the entry has a sixth argument
    std::int64_t floats, integers;      // elements of k and n, which follow
};
static_assert(sizeof(Header) == 88, "the header has no padding");

struct FileError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

void check(CUresult result, const char *what) {
    if (result == CUDA_SUCCESS) return;
    const char *name = nullptr;
    cuGetErrorName(result, &name);
    throw std::runtime_error(std::string(what) + ": " + (name ? name : "unknown error"));
}

std::vector<char> contents(const char *path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw FileError(std::string(path) + ": cannot be read");
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Memory on the device; of no size it is a null pointer, which no kernel then reads.
class Memory {
public:
    explicit Memory(std::size_t bytes) {
        if (bytes) check(cuMemAlloc(&address_, bytes), "cuMemAlloc");
    }
    Memory(const void *host, std::size_t bytes) : Memory(bytes) {
        if (bytes) check(cuMemcpyHtoD(address_, host, bytes), "cuMemcpyHtoD");
    }
    Memory(const Memory &) = delete;
    Memory &operator=(const Memory &) = delete;
    ~Memory() {
        if (address_) cuMemFree(address_);
    }
    CUdeviceptr address() const { return address_; }

private:
    CUdeviceptr address_ = 0;
};

Header header_of(const std::vector<char> &file, const char *path) {
    Header header;
    if (file.size() < sizeof header || std::memcmp(file.data(), "IJCUDA1", 8) != 0)
        throw FileError(std::string(path) + ": not a file of instjit dump --constants");
    std::memcpy(&header, file.data(), sizeof header);
    const std::size_t rest = file.size() - sizeof header;
    if (header.floats < 0 || header.integers < 0 || header.input_size < 1 || header.rows < 1 ||
        rest / 4 != static_cast<std::size_t>(header.floats) + static_cast<std::size_t>(header.integers))
        throw FileError(std::string(path) + ": its sizes do not fit its length");
    return header;
}

std::vector<float> run(CUdevice device, const std::vector<char> &ptx,
                       const std::vector<char> &constants, const Header &header,
                       const std::vector<char> &rows_file) {
    CUmodule module;
    CUfunction kernel;
    check(cuModuleLoadData(&module, ptx.data()), "cuModuleLoadData");
    check(cuModuleGetFunction(&kernel, module, "instjit_rows"), "cuModuleGetFunction");
    const auto shared = static_cast<int>(header.shared_bytes);
    std::string asked = "cuFuncSetAttribute: " + std::to_string(shared) + " bytes of shared memory";
    if (shared > 99 * 1024)
        asked += " (above 99 KB, ptx is for devices of its --cc alone; instjit dump --portable takes less)";
    check(cuFuncSetAttribute(kernel, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared),
          asked.c_str());

    long long rows = static_cast<long long>(rows_file.size() / 4) / header.input_size;
    std::vector<float> out(static_cast<std::size_t>(rows * header.output_size));
    if (out.empty()) return out;

    // a few blocks for each multiprocessor: a block goes on to further rows by itself
    int processors = 1;
    check(cuDeviceGetAttribute(&processors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device),
          "cuDeviceGetAttribute");
    const long long most = static_cast<long long>(processors) * (header.scratch_floats ? 2 : 16);
    const auto grid = static_cast<unsigned>(
        std::min(most, (rows + header.rows - 1) / static_cast<long long>(header.rows)));

    const char *k_bytes = constants.data() + sizeof(Header);
    const std::size_t k_size = static_cast<std::size_t>(header.floats) * 4;
    const Memory x(rows_file.data(), rows_file.size());
    const Memory y(out.size() * 4);
    const Memory k(k_bytes, k_size);
    const Memory n(k_bytes + k_size, static_cast<std::size_t>(header.integers) * 4);
    const Memory scratch(static_cast<std::size_t>(header.scratch_floats) * grid * 4);

    CUdeviceptr x_at = x.address(), y_at = y.address(), k_at = k.address(), n_at = n.address();
    CUdeviceptr scratch_at = scratch.address();
    void *arguments[] = {&x_at, &y_at, &rows, &k_at, &n_at,
                         header.takes_scratch ? &scratch_at : nullptr};
    check(cuLaunchKernel(kernel, grid, 1, 1, static_cast<unsigned>(header.threads_x),
                         static_cast<unsigned>(header.threads_y), 1,
                         static_cast<unsigned>(shared), nullptr, arguments, nullptr),
          "cuLaunchKernel");
    check(cuMemcpyDtoH(out.data(), y.address(), out.size() * 4), "cuMemcpyDtoH");  // waits for it
    check(cuModuleUnload(module), "cuModuleUnload");
    return out;
}

void work(char **paths) {
    std::vector<char> ptx = contents(paths[1]);
    ptx.push_back('\0');  // cuModuleLoadData takes text that ends in a zero
    const std::vector<char> constants = contents(paths[2]);
    const Header header = header_of(constants, paths[2]);
    const std::vector<char> rows = contents(paths[3]);
    if (rows.size() % (4 * static_cast<std::size_t>(header.input_size)))
        throw FileError(std::string(paths[3]) + ": not whole rows of " +
                        std::to_string(header.input_size) + " float32 numbers");

    CUdevice device;
    CUcontext context;
    check(cuInit(0), "cuInit");
    check(cuDeviceGet(&device, 0), "cuDeviceGet");
    check(cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
    check(cuCtxSetCurrent(context), "cuCtxSetCurrent");
    const std::vector<float> out = run(device, ptx, constants, header, rows);
    check(cuDevicePrimaryCtxRelease(device), "cuDevicePrimaryCtxRelease");

    std::ofstream file(paths[4], std::ios::binary);
    file.write(reinterpret_cast<const char *>(out.data()),
               static_cast<std::streamsize>(out.size() * 4));
    if (!file.flush()) throw FileError(std::string(paths[4]) + ": cannot be written");
}

}  // namespace

int main(int count, char **words) {
    if (count != 5) {
        std::fprintf(stderr, "usage: %s MODEL.ptx CONSTANTS ROWS OUT\n", words[0]);
        return 2;
    }
    try {
        work(words);
    } catch (const FileError &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 3;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 4;
    }
    return 0;
}
