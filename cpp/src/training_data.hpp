#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "derivatives.hpp"
#include "prepared.hpp"

namespace sitewise {

/// The content of a TrainingSet.
struct TrainingData {
    Derivatives derivatives;
    std::size_t budget, used = 0;  // bytes of derivatives in memory
    std::size_t recomputed = 0;    // bytes of those that are neither in memory nor in a file
    std::vector<Prepared> structures;
    std::uint64_t state = new_state();  // changes with the data

    TrainingData(const SymmetryFunctions& functions, std::size_t memory_budget)
        : derivatives(functions), budget(memory_budget) {}

    const SymmetryFunctions& functions() const { return derivatives.functions(); }

    static std::uint64_t new_state() {
        static std::atomic<std::uint64_t> last{0};
        return ++last;
    }
};

}  // namespace sitewise
