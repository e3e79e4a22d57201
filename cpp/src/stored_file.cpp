#include "sitewise/stored_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sitewise/error.hpp"

namespace sitewise {
namespace {

[[noreturn]] void fail(const std::string& path) {
    throw Error(path + ": cannot be read (" + std::strerror(errno) + ")");
}

struct stat state_of(int file, const std::string& path) {
    struct stat state;
    if (::fstat(file, &state) != 0) fail(path);
    return state;
}

}  // namespace

StoredFile::StoredFile(const std::string& path)
    : path_(path), file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (file_ < 0) fail(path);
    const struct stat state = state_of(file_, path);
    size_ = static_cast<std::size_t>(state.st_size);
    seconds_ = state.st_mtim.tv_sec;
    nanoseconds_ = state.st_mtim.tv_nsec;
}

StoredFile::~StoredFile() {
    ::close(file_);
}

void StoredFile::read(std::size_t offset, std::size_t bytes, void* to) const {
    std::size_t done = 0;
    while (done < bytes) {
        const ssize_t n =
            ::pread(file_, static_cast<char*>(to) + done, bytes - done, static_cast<off_t>(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) fail(path_);
        if (n == 0) break;
        done += static_cast<std::size_t>(n);
    }
    const struct stat state = state_of(file_, path_);  // after reading, so that a change before it is noticed
    if (done < bytes || static_cast<std::size_t>(state.st_size) != size_ ||
        state.st_mtim.tv_sec != seconds_ || state.st_mtim.tv_nsec != nanoseconds_)
        throw Error(path_ + ": was changed or cut short while it was in use, remove it and start again");
}

}  // namespace sitewise
