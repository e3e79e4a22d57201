#pragma once

// input.nn as lines with keywords: known, supported, and found by their names.

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "text.hpp"

namespace sitewise {

/// Throws Error unless there are `least` to `most` words behind the keyword.
void require_values(const Line& line, std::size_t least, std::size_t most);

/// The keywords and values of an input.nn.
class Input {
public:
    /// Throws Error for a keyword that is unknown or not supported.
    explicit Input(const std::filesystem::path& path);

    std::vector<const Line*> all(const std::string& keyword) const;
    /// The one line with a keyword, null if there is none.
    const Line* one(const std::string& keyword) const;
    const Line& required(const std::string& keyword) const;
    bool has(const std::string& keyword) const { return one(keyword) != nullptr; }
    double number(const std::string& keyword, double otherwise) const;
    /// The single value of a line.
    static const std::string& value(const Line& line);
    Place whole() const { return {path_.string(), 0}; }

    /// A phrase that names the first keyword that RuNNer alone knows; empty without one. The file is
    /// RuNNer's then, or was before n2p2 trained with it.
    const std::string& runners_own() const { return runners_own_; }
    /// Refuses what n2p2 and RuNNer read otherwise in a file that is RuNNer's, or was.
    void require_n2p2s(const Place& place, const std::string& difference) const;

    /// Notes what the file does not say and the reader takes to be so.
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
