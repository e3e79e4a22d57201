#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "derivatives.hpp"
#include "prepared.hpp"

namespace sitewise {

/// The content of a TrainingSet.
struct TrainingData {
    Derivatives derivatives;
    std::size_t budget;
    TrainingMemory memory;
    std::vector<Prepared> structures;  // without the arrays that are in the file
    Spill file;
    std::uint64_t state = new_state();  // changes with the data

    TrainingData(const SymmetryFunctions& functions, std::size_t memory_budget, const std::string& folder)
        : derivatives(functions), budget(memory_budget), file(folder) {}

    /// A structure with all its arrays.
    std::shared_ptr<const Prepared> structure(std::size_t q) const {
        const Prepared& s = structures[q];
        if (s.spilled) return std::make_shared<const Prepared>(fetched(s, file));
        return {std::shared_ptr<const Prepared>(), &s};
    }

    const SymmetryFunctions& functions() const { return derivatives.functions(); }

    static std::uint64_t new_state() {
        static std::atomic<std::uint64_t> last{0};
        return ++last;
    }
};

}  // namespace sitewise
