#pragma once

#include <filesystem>
#include <string>

namespace sitewise {

/// Writes to a temporary name and renames it, so that a file of this name is always complete. Throws Error.
void write_file(const std::filesystem::path& path, const std::string& content);

}  // namespace sitewise
