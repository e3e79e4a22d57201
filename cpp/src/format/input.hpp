#pragma once

// Reads input.nn as lines with keywords, which must be known and supported, and finds lines by keyword.

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "text.hpp"

namespace sitewise {

/// Throws Error unless `least` to `most` words follow the keyword.
void require_values(const Line& line, std::size_t least, std::size_t most);

/// The keywords and values of an input.nn.
class Input {
public:
    /// Throws Error for a keyword that is unknown or not supported.
    explicit Input(const std::filesystem::path& path);

    std::vector<const Line*> all(const std::string& keyword) const;
    /// The only line with a keyword; null if there is none.
    const Line* one(const std::string& keyword) const;
    const Line& required(const std::string& keyword) const;
    bool has(const std::string& keyword) const { return one(keyword) != nullptr; }
    double number(const std::string& keyword, double otherwise) const;
    /// The single value of a line.
    static const std::string& value(const Line& line);
    Place whole() const { return {path_.string(), 0}; }

    /// A phrase that names the first keyword that only RuNNer knows; empty if there is none. A file with such
    /// a keyword is RuNNer's, or was before n2p2 used it.
    const std::string& runners_own() const { return runners_own_; }
    /// Throws Error if the file is or was RuNNer's, for a line that n2p2 and RuNNer read differently.
    void require_n2p2s(const Place& place, const std::string& difference) const;

    /// Records an assumption that the reader made because the file does not say.
    void assume(const std::string& what) const { assumed_.push_back(what); }
    const std::vector<std::string>& assumed() const { return assumed_; }

private:
    void check(Line& line);

    std::filesystem::path path_;
    std::vector<Line> lines_;
    std::map<std::string, std::vector<const Line*>> places_;
    std::string runners_own_;
    mutable std::vector<std::string> assumed_;
};

}  // namespace sitewise
