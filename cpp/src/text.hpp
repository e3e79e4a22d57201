#pragma once

// Words, numbers and lines of the text files that others wrote.

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace sitewise {

using Words = std::vector<std::string>;

/// A word of a file as a message shows it: at most 60 characters, all that is not printable ASCII as \xNN.
std::string shown(const std::string& text);

/// The same in quotation marks.
std::string quoted(const std::string& text);

/// A place in a file, for messages; line 0 stands for the file as a whole.
struct Place {
    std::string file;
    int line = 0;

    [[noreturn]] void fail(const std::string& what) const;
};

/// A finite number, with Fortran's exponents too, whatever the locale. What is too small for a double is 0.
double parse_number(const std::string& word, const Place& place);

/// An integer of at most 1e9.
int parse_integer(const std::string& word, const Place& place);

/// The shortest digits that are read back as the same number.
std::string exact(double value);

Words split(const std::string& text);
std::string join(const Words& words);
bool contains(const Words& words, const std::string& word);

struct Line {
    Place place;
    Words words;
};

/// The lines of a file that hold something, without comments, one after the other. Memory does not grow with
/// the file. Throws Error for what is no file, longer than 256 MB, or has a line of more than 64 kB.
class LineReader {
public:
    /// `comments`: characters that begin one.
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
