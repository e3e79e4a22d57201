#include "spill.hpp"

#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "sitewise/error.hpp"

namespace sitewise {

Spill::Spill(std::string folder) : folder_(std::move(folder)) {}

Spill::~Spill() {
    if (file_ >= 0) ::close(file_);
}

void Spill::fail(const char* what) const {
    throw Error(folder_ + ": structures beyond memory_budget cannot be " + what + " here (" +
                std::strerror(errno) + ")");
}

std::size_t Spill::append(const void* from, std::size_t bytes) {
    if (file_ < 0) {
        std::error_code failure;
        if (folder_.empty()) folder_ = std::filesystem::temp_directory_path(failure).string();
        if (failure)
            throw Error("structures beyond memory_budget cannot be kept: TMPDIR is not a folder (" +
                        failure.message() + ")");
        std::string name = folder_ + "/.neighbors.sitewise-XXXXXX";
        file_ = ::mkstemp(name.data());
        if (file_ < 0) fail("kept");
        ::unlink(name.c_str());
    }
    std::size_t done = 0;
    while (done < bytes) {
        const ssize_t n = ::pwrite(file_, static_cast<const char*>(from) + done, bytes - done,
                                   static_cast<off_t>(size_ + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) fail("kept");
        done += static_cast<std::size_t>(n);
    }
    size_ += bytes;
    return size_ - bytes;
}

void Spill::read(std::size_t offset, std::size_t bytes, void* to) const {
    std::size_t done = 0;
    while (done < bytes) {
        const ssize_t n =
            ::pread(file_, static_cast<char*>(to) + done, bytes - done, static_cast<off_t>(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) fail("read");
        done += static_cast<std::size_t>(n);
    }
}

}  // namespace sitewise
