#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace sitewise {

/// Memory that begins with a cache line, because a vector load across two lines costs twice as much.
template <class T>
struct LineAligned {
    using value_type = T;
    static constexpr std::align_val_t line{64};

    LineAligned() = default;
    template <class Other>
    explicit LineAligned(const LineAligned<Other>&) {}
    T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), line)); }
    void deallocate(T* p, std::size_t) { ::operator delete(p, line); }
    bool operator==(const LineAligned&) const { return true; }
    bool operator!=(const LineAligned&) const { return false; }
};

/// Divides one buffer into arrays that begin with a cache line. The buffer is reused.
class Arena {
public:
    /// Calls layout(take) twice, first for the sizes of the arrays and then for their places.
    /// take(pointer, n) sets a pointer to n elements.
    template <class Layout>
    void lay_out(Layout layout) {
        std::size_t lines = 0;
        const auto measure = [&](auto*& p, std::size_t n) { lines += lines_of(n * sizeof(*p)); };
        layout(measure);
        if (buffer_.size() < lines) buffer_.resize(lines);
        Line* at = buffer_.data();
        const auto place = [&](auto*& p, std::size_t n) {
            p = reinterpret_cast<std::decay_t<decltype(p)>>(at);
            at += lines_of(n * sizeof(*p));
        };
        layout(place);
    }

private:
    struct alignas(64) Line {
        std::byte bytes[64];
    };
    static std::size_t lines_of(std::size_t bytes) { return (bytes + sizeof(Line) - 1) / sizeof(Line); }
    std::vector<Line> buffer_;
};

/// Arrays that live as long as this object, in large pages if the system has them. For hundreds of megabytes
/// in small pages, looking up the addresses takes as long as reading the memory.
template <class T>
class LargePages {
public:
    /// Returns n uninitialised elements.
    T* take(std::size_t n) {
        if (n > left_) {
            const std::size_t bytes = (std::max(n * sizeof(T), chunk_) + page - 1) / page * page;
            chunk_ = std::min(2 * chunk_, largest_chunk);
            chunks_.emplace_back(static_cast<T*>(::operator new(bytes, std::align_val_t{page})));
#ifdef __linux__
            madvise(chunks_.back().get(), bytes,
                    MADV_HUGEPAGE);  // only advice, which the system may ignore
#endif
            at_ = chunks_.back().get();
            left_ = bytes / sizeof(T);
        }
        T* const taken = at_;
        at_ += n;
        left_ -= n;
        return taken;
    }

private:
    // bytes; the system uses large pages between multiples of their size, 2 MB
    static constexpr std::size_t page = 1 << 12, largest_chunk = 1 << 25;
    struct Free {
        void operator()(T* p) const { ::operator delete(p, std::align_val_t{page}); }
    };
    std::vector<std::unique_ptr<T, Free>> chunks_;
    T* at_ = nullptr;
    std::size_t left_ = 0, chunk_ = 1 << 21;
};

}  // namespace sitewise
