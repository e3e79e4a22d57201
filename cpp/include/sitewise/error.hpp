#pragma once

#include <stdexcept>
#include <string>

namespace sitewise {

/// The exception for every mistake in the input. Its message is one sentence that names the file, line or
/// atom, the value found and what was expected. Python sees it as `sitewise.Error`.
class Error : public std::runtime_error {
public:
    explicit Error(const std::string& message) : std::runtime_error(message) {}
};

}  // namespace sitewise
