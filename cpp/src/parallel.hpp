#pragma once

#include <atomic>
#include <exception>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace sitewise {

/// The number of forks between the process that loaded the library and this process.
int forks();

/// The number of threads of every parallel region. It is 1 in a forked process, because fork does not copy
/// OpenMP's threads, and a parallel region would wait for them for ever.
int max_threads();

inline int thread_index() {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

/// Carries the first exception out of a parallel region, which exceptions must not leave.
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
