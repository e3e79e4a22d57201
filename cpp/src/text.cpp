#include "text.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>

#if __has_include(<xlocale.h>)  // macOS
#include <xlocale.h>
#else
#include <clocale>
#endif

#include "sitewise/error.hpp"

namespace sitewise {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t longest_file = 256u << 20;
constexpr std::size_t longest_line = 64u << 10;
constexpr std::size_t longest_shown = 60;

// True if a decimal number that no double can hold is below 1, judging by the power of ten of its first
// nonzero digit.
bool below_one(const std::string& text) {
    const std::size_t end = std::min(text.find('E'), text.size()), first = text.find_first_of("123456789");
    const std::size_t point = std::min(text.find('.'), end);
    double power =
        first < point ? static_cast<double>(point - first) : -static_cast<double>(first - point - 1);
    double exponent = 0.0;
    for (std::size_t k = end; k < text.size(); ++k)
        if (text[k] >= '0' && text[k] <= '9') exponent = 10.0 * exponent + (text[k] - '0');
    const bool negative = end + 1 < text.size() && text[end + 1] == '-';
    return power + (negative ? -exponent : exponent) <= 0.0;
}

#ifdef __cpp_lib_to_chars
using std::from_chars;
#else
// Does what std::from_chars does; Apple's library has it for doubles only since macOS 26.
std::from_chars_result from_chars(const char* begin, const char* end, double& value) {
    static const locale_t plain = newlocale(LC_ALL_MASK, "C", nullptr);
    const bool decimal =
        std::all_of(begin, end, [](char c) { return std::strchr("0123456789.+-E", c) != nullptr; });
    if (begin == end || *begin == '+' || !decimal) return {begin, std::errc::invalid_argument};
    char* stop = nullptr;
    errno = 0;
    value = strtod_l(begin, &stop, plain);
    const bool lost = errno == ERANGE && (value == 0.0 || std::isinf(value));
    return {stop, lost ? std::errc::result_out_of_range : std::errc()};
}
#endif

}  // namespace

std::string shown(const std::string& text) {
    std::string result;
    for (const char c : text) {
        if (result.size() >= longest_shown) return result + "...";
        if (c >= ' ' && c <= '~') {
            result += c;
            continue;
        }
        char escaped[8];
        std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(c));
        result += escaped;
    }
    return result;
}

std::string quoted(const std::string& text) {
    return "\"" + shown(text) + "\"";
}

void Place::fail(const std::string& what) const {
    throw Error(file + (line > 0 ? ":" + std::to_string(line) : "") + ": " + what);
}

double parse_number(const std::string& word, const Place& place) {
    const bool plus = word.size() > 1 && word[0] == '+' && word[1] != '-';
    std::string text = plus ? word.substr(1) : word;
    for (char& c : text)
        if (c == 'D' || c == 'd' || c == 'e') c = 'E';  // Fortran
    double value = 0.0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = from_chars(text.data(), end, value);
    if (error == std::errc::result_out_of_range && stop == end && below_one(text)) return 0.0;
    if (error != std::errc() || stop != end || !std::isfinite(value))
        place.fail(quoted(word) + " is not a finite number");
    return value;
}

int parse_integer(const std::string& word, const Place& place) {
    const double value = parse_number(word, place);
    if (value != std::floor(value) || std::fabs(value) > 1e9) place.fail(quoted(word) + " is not an integer");
    return static_cast<int>(value);
}

std::string exact(double value) {
    char buffer[40];
    const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
    return error == std::errc() ? std::string(buffer, end) : "nan";
}

Words split(const std::string& text) {
    constexpr const char* blanks = " \t\n\v\f\r";
    Words words;
    for (std::size_t at = 0; (at = text.find_first_not_of(blanks, at)) != std::string::npos;) {
        const std::size_t end = std::min(text.find_first_of(blanks, at), text.size());
        words.push_back(text.substr(at, end - at));
        at = end;
    }
    return words;
}

std::string join(const Words& words) {
    return std::accumulate(
        words.begin(), words.end(), std::string(),
        [](const std::string& a, const std::string& b) { return a.empty() ? b : a + " " + b; });
}

bool contains(const Words& words, const std::string& word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

LineReader::LineReader(const fs::path& path, const char* comments)
    : path_(path.string()), comments_(comments), buffer_(longest_line + 1) {
    std::error_code code;
    if (fs::is_directory(path, code)) throw Error(path_ + ": is a directory, expected a file");
    if (fs::exists(path, code) && !fs::is_regular_file(path, code)) throw Error(path_ + ": is not a file");
    file_.open(path);
    if (!file_) throw Error(path_ + ": cannot be read (" + std::strerror(errno) + ")");
    const std::uintmax_t size = fs::file_size(path, code);
    if (!code && size > longest_file)
        throw Error(path_ + ": has " + std::to_string(size) + " bytes, expected at most " +
                    std::to_string(longest_file));
}

// Reads the next line of the file into text_.
bool LineReader::next_text() {
    file_.getline(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
    if (file_.bad()) throw Error(path_ + ": reading failed (" + std::strerror(errno) + ")");
    if (file_.gcount() == 0) return false;
    ++number_;
    if (file_.fail())
        Place{path_, number_}.fail("has more than " + std::to_string(longest_line) + " characters in a line");
    text_.assign(buffer_.data(), static_cast<std::size_t>(file_.gcount()) - (file_.eof() ? 0 : 1));
    if (number_ == 1 && text_.compare(0, 3, "\xEF\xBB\xBF") == 0) text_.erase(0, 3);  // byte order mark
    return true;
}

bool LineReader::next(Line& line) {
    while (next_text()) {
        line = {{path_, number_}, split(text_.substr(0, text_.find_first_of(comments_)))};
        if (!line.words.empty()) return true;
    }
    return false;
}

}  // namespace sitewise
