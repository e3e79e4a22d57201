#pragma once

#include <filesystem>
#include <string>

namespace sitewise {

/// Writes under a temporary name and renames, so that no half-written file bears the name. Throws Error.
void write_file(const std::filesystem::path& path, const std::string& content);

}  // namespace sitewise
