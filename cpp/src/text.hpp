#pragma once

// Reads words, numbers and lines of text files.

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace sitewise {

using Words = std::vector<std::string>;

/// A word of a file as messages show it: at most 60 characters, with \xNN for all but printable ASCII.
std::string shown(const std::string& text);

/// The same in quotation marks.
std::string quoted(const std::string& text);

/// A place in a file, for messages. Line 0 means the whole file.
struct Place {
    std::string file;
    int line = 0;

    [[noreturn]] void fail(const std::string& what) const;
};

/// A finite number in any locale, also with Fortran's exponents. A number too small for a double is 0.
double parse_number(const std::string& word, const Place& place);

/// An integer of at most 1e9.
int parse_integer(const std::string& word, const Place& place);

/// The fewest digits that read back as the same number.
std::string exact(double value);

Words split(const std::string& text);
std::string join(const Words& words);
bool contains(const Words& words, const std::string& word);

struct Line {
    Place place;
    Words words;
};

/// Reads the lines of a file without comments and empty lines. Memory does not grow with the file. Throws
/// Error if the path is not a file, the file is longer than 256 MB, or a line is longer than 64 kB.
class LineReader {
public:
    /// `comments`: the characters that begin a comment.
    LineReader(const std::filesystem::path& path, const char* comments);
    /// False at the end of the file.
    bool next(Line& line);

private:
    bool next_text();

    std::string path_;
    const char* comments_;
    std::ifstream file_;
    std::vector<char> buffer_;  // of the longest line
    std::string text_;
    int number_ = 0;
};

}  // namespace sitewise
