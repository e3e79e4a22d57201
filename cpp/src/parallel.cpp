#include "parallel.hpp"

#if __has_include(<pthread.h>)
#include <pthread.h>
#endif

namespace sitewise {
namespace {

int generation = 0;

#if __has_include(<pthread.h>)
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, [] { ++generation; });
#endif

}  // namespace

int forks() {
    return generation;
}

int max_threads() {
#ifdef _OPENMP
    return forks() > 0 ? 1 : omp_get_max_threads();
#else
    return 1;
#endif
}

}  // namespace sitewise
