#include <algorithm>

#include "format/read.hpp"

namespace sitewise {

Words read_elements(const Input& input) {
    const Line& line = input.required("elements");
    Words elements(line.words.begin() + 1, line.words.end());
    if (elements.empty()) line.place.fail("keyword \"elements\" names no element");
    for (const std::string& e : elements)
        if (atomic_number(e) == 0) line.place.fail(quoted(e) + " is not a chemical element");
    std::sort(elements.begin(), elements.end(),
              [](const auto& a, const auto& b) { return atomic_number(a) < atomic_number(b); });
    if (const auto twice = std::adjacent_find(elements.begin(), elements.end()); twice != elements.end())
        line.place.fail("element " + *twice + " stands twice");
    const Line& count = input.required("number_of_elements");
    if (parse_integer(Input::value(count), count.place) != static_cast<int>(elements.size()))
        count.place.fail("number_of_elements is " + shown(count.words[1]) + ", but " +
                         std::to_string(elements.size()) + " elements are named in line " +
                         std::to_string(line.place.line));
    return elements;
}

int element_index(const Words& elements, const std::string& symbol, const Place& place) {
    const auto found = std::find(elements.begin(), elements.end(), symbol);
    if (found == elements.end()) place.fail(quoted(symbol) + " is not one of the elements " + join(elements));
    return static_cast<int>(found - elements.begin());
}

}  // namespace sitewise
