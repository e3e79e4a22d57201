#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

namespace sitewise {

/// The exception for every mistake in the input. Its message is one sentence that names the file, line or
/// atom, the value found and what was expected. Python sees it as `sitewise.Error`.
class Error : public std::runtime_error {
public:
    explicit Error(const std::string& message) : std::runtime_error(message) {}
};

/// Two atoms at one place. The message has the indices of both; MD codes may know them by other numbers.
class OverlapError : public Error {
public:
    OverlapError(std::size_t first, std::size_t second, double distance);
    std::size_t first, second;  ///< in ascending order
    double distance;            ///< Angstrom
};

}  // namespace sitewise
