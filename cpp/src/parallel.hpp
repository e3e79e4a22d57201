#pragma once

#include <atomic>
#include <exception>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace sitewise {

inline int max_threads() {
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

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
