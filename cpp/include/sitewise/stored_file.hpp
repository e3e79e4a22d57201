#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace sitewise {

/// A file that must not change while it is used. It is read, not mapped to memory: a file that is truncated
/// or written to, or a disk that fails, ends in an Error. Several threads may read at once.
class StoredFile {
public:
    /// Open the file. Throws Error if that fails.
    explicit StoredFile(const std::string& path);
    ~StoredFile();
    StoredFile(const StoredFile&) = delete;
    StoredFile& operator=(const StoredFile&) = delete;

    std::size_t size() const { return size_; }  ///< bytes
    /// Copy `bytes` bytes from `offset`. Throws Error if there are fewer, or if the file has changed since it
    /// was opened.
    void read(std::size_t offset, std::size_t bytes, void* to) const;

private:
    std::string path_;
    int file_;
    std::size_t size_ = 0;
    std::int64_t seconds_ = 0, nanoseconds_ = 0;  // of its last modification
};

}  // namespace sitewise
