#include "format/write_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>

#include "sitewise/error.hpp"

namespace sitewise {
namespace {

namespace fs = std::filesystem;

// An unused name in the folder of a file. python/sitewise/files.py recognizes such names as leftovers.
fs::path temporary_name(const fs::path& path, int attempt) {
    char mark[32];
    std::snprintf(mark, sizeof mark, ".sitewise-%08x", static_cast<unsigned>(::getpid()) + 65536u * attempt);
    return path.parent_path() / ("." + path.filename().string() + mark);
}

// Writes all of the text, to the disk; true on success.
bool write_all(int file, const std::string& content) {
    for (std::size_t done = 0; done < content.size();) {
        const ssize_t n = ::write(file, content.data() + done, content.size() - done);
        if (n < 0 && errno != EINTR) return false;
        if (n > 0) done += static_cast<std::size_t>(n);
    }
    return ::fsync(file) == 0 || errno == EINVAL || errno == EROFS;  // the file cannot be synchronised
}

int open_temporary(const fs::path& path, fs::path& temporary) {
    for (int attempt = 0;; ++attempt) {
        temporary = temporary_name(path, attempt);
        const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file >= 0 || errno != EEXIST || attempt == 1000) return file;
    }
}

}  // namespace

void write_file(const fs::path& path, const std::string& content) {
    fs::path temporary;
    const int file = open_temporary(path, temporary);
    const auto fail = [&](const char* what, int reason) {
        if (file >= 0) ::unlink(temporary.c_str());
        throw Error(path.string() + ": " + what + " (" + std::strerror(reason) + ")");
    };
    if (file < 0) fail("cannot be written", errno);
    int reason = write_all(file, content) ? 0 : errno;
    if (::close(file) != 0 && reason == 0) reason = errno;
    if (reason != 0) fail("writing failed", reason);
    if (std::rename(temporary.c_str(), path.c_str()) != 0) fail("renaming failed", errno);
}

}  // namespace sitewise
