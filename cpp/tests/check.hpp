#pragma once

#include <cmath>
#include <cstdio>
#include <string>

/// Checks that count their failures; main() returns check::failures().
namespace check {

inline int& failures() {
    static int count = 0;
    return count;
}

inline void report(bool good, const char* file, int line, const std::string& what) {
    if (good) return;
    ++failures();
    std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, what.c_str());
}

// NaN is never close.
inline bool close(double a, double b, double tolerance) {
    return std::fabs(a - b) <= tolerance;
}

}  // namespace check

#define CHECK(condition) check::report(static_cast<bool>(condition), __FILE__, __LINE__, #condition)
#define CHECK_CLOSE(a, b, tolerance)                                 \
    check::report(check::close(a, b, tolerance), __FILE__, __LINE__, \
                  #a " = " + std::to_string(a) + ", expected " + std::to_string(b))
#define CHECK_THROWS(expression, text)                                                               \
    try {                                                                                            \
        (void)(expression);                                                                          \
        check::report(false, __FILE__, __LINE__, #expression " did not throw");                      \
    } catch (const sitewise::Error& error) {                                                         \
        check::report(std::string(error.what()).find(text) != std::string::npos, __FILE__, __LINE__, \
                      std::string("the message \"") + error.what() + "\" lacks \"" + text + "\"");   \
    }
