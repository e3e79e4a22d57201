#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace sitewise {

/// A file that stays as it is while it is used. It is read, not mapped to memory: one that is cut short or
/// written to, or a disk that fails, ends in an Error. Several threads may read at once.
class StoredFile {
public:
    /// Throws Error where it cannot be opened.
    explicit StoredFile(const std::string& path);
    ~StoredFile();
    StoredFile(const StoredFile&) = delete;
    StoredFile& operator=(const StoredFile&) = delete;

    std::size_t size() const { return size_; }  ///< bytes
    /// Copies `bytes` from `offset` on. Throws Error where there are fewer, or the file has changed since it
    /// was opened.
    void read(std::size_t offset, std::size_t bytes, void* to) const;

private:
    std::string path_;
    int file_;
    std::size_t size_ = 0;
    std::int64_t seconds_ = 0, nanoseconds_ = 0;  // of its last modification
};

}  // namespace sitewise
