#pragma once

#include <atomic>
#include <exception>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace sitewise {

/// How many forks lie between the process that loaded the library and this one.
int forks();

/// Threads of every parallel region. A forked process has 1: fork copies none of OpenMP's threads, for which
/// a region of the child would wait for ever.
int max_threads();

inline int thread_index() {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

/// Carries the first exception out of a parallel region, which no exception may leave by itself.
class FirstError {
public:
    template <class Work>
    void run(Work work) noexcept {
        if (failed_) return;
        try {
            work();
        } catch (...) {
            if (!failed_.exchange(true)) error_ = std::current_exception();
        }
    }
    void rethrow() const {
        if (error_) std::rethrow_exception(error_);
    }

private:
    std::atomic<bool> failed_{false};
    std::exception_ptr error_;
};

}  // namespace sitewise
