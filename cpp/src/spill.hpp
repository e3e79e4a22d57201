#pragma once

#include <cstddef>
#include <string>

namespace sitewise {

/// A temporary file without a name, which grows. Several threads may read at once.
class Spill {
public:
    /// The file is made in `folder`, or in the folder for temporary files if that is empty, when it is first
    /// appended to.
    explicit Spill(std::string folder);
    ~Spill();
    Spill(const Spill&) = delete;
    Spill& operator=(const Spill&) = delete;

    /// Append bytes and return where they begin. Throws Error if they cannot be written.
    std::size_t append(const void* from, std::size_t bytes);
    /// Copy `bytes` bytes from `offset`. Throws Error if they cannot be read.
    void read(std::size_t offset, std::size_t bytes, void* to) const;

private:
    [[noreturn]] void fail(const char* what) const;

    std::string folder_;
    int file_ = -1;
    std::size_t size_ = 0;
};

}  // namespace sitewise
