// Everything that a program asks of the device, in a file: what tests/cuda/ptx/replay.py runs again with
// nvcc's PTX. HOSTEXEC_RECORD names the file.
#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <stdexcept>
#include <string>

#include "hostexec.hpp"

namespace hostexec {

/// One letter for what is done, then unsigned 64-bit numbers, then bytes; the readers know how many.
class Recorder {
public:
    Recorder() {
        const char* path = std::getenv("HOSTEXEC_RECORD");
        if (path && *path && !(file_ = std::fopen(path, "wb")))
            throw std::runtime_error(std::string("cannot write ") + path);
    }

    void allocate(const void* p, std::size_t n) { write('A', {at(p), n}); }
    void free(const void* p) { write('F', {at(p)}); }
    void upload(const void* p, const void* bytes, std::size_t n) { write('W', {at(p), n}, bytes, n); }
    void download(const void* p, const void* bytes, std::size_t n) { write('R', {at(p), n}, bytes, n); }
    void copy(const void* to, const void* from, std::size_t n) { write('C', {at(to), at(from), n}); }
    void fill(const void* p, int value, std::size_t n) {
        write('S', {at(p), static_cast<std::uint64_t>(value & 255), n});
    }
    /// The kernel by its place in the program or library, whose symbols tell its name.
    void launch(const Kernel& kernel, dim3 grid, dim3 block, std::size_t shared) {
        Dl_info found{};
        dladdr(kernel.function, &found);
        char* const path = realpath(found.dli_fname ? found.dli_fname : "", nullptr);
        const std::string program = path ? path : "";
        std::free(path);
        write('L', {program.size()}, program.data(), program.size());
        write(0, {at(kernel.function), at(found.dli_fbase), grid.x, grid.y, grid.z, block.x, block.y, block.z,
                  shared, kernel.arguments.size()});
        for (const std::string& argument : kernel.arguments)
            write(0, {argument.size()}, argument.data(), argument.size());
    }

private:
    static std::uint64_t at(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

    void write(char what,
               std::initializer_list<std::uint64_t> numbers,
               const void* bytes = nullptr,
               std::size_t n = 0) {
        if (!file_) return;
        if (what) std::fputc(what, file_);
        std::fwrite(numbers.begin(), sizeof(std::uint64_t), numbers.size(), file_);
        if (n > 0) std::fwrite(bytes, 1, n, file_);
    }

    // Left open: static objects free device memory when the program ends, and exit() writes what is left.
    std::FILE* file_ = nullptr;
};

inline Recorder& recorder() {
    static Recorder the_recorder;
    return the_recorder;
}

}  // namespace hostexec
