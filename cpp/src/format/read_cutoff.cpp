#include "format/read.hpp"

namespace sitewise {
namespace {

double parse_alpha(const std::string& word, const Place& place) {
    const double alpha = parse_number(word, place);
    if (alpha < 0.0 || alpha >= 1.0) place.fail("alpha is " + shown(word) + ", expected 0 <= alpha < 1");
    return alpha;
}

// Reads n2p2's cutoff_type with type and alpha. Without it, RuNNer's default applies.
Cutoff read_cutoff_type(const Input& input) {
    const Line* line = input.one("cutoff_type");
    if (!line) {
        input.assume("cutoff_type is missing: RuNNer's default 1 is used");
        return {};
    }
    require_values(*line, 1, 2);
    const int type = parse_integer(line->words[1], line->place);
    if (type < 0 || type > 8)
        line->place.fail("cutoff_type is " + shown(line->words[1]) + ", expected 0 to 8");
    if (type == 3)
        input.require_n2p2s(line->place, "n2p2's and RuNNer's cutoff functions 3 differ by a factor");
    const auto kind = static_cast<CutoffType>(type);
    return {kind, line->words.size() > 2 ? parse_alpha(line->words[2], line->place) : 0.0};
}

}  // namespace

Cutoff read_cutoff(const Input& input) {
    Cutoff cutoff = read_cutoff_type(input);
    const Line *own = input.one("cutoff_alpha"), *type = input.one("cutoff_type");
    if (!own) {
        if (cutoff.alpha > 0.0)
            input.require_n2p2s(type->place,
                                "n2p2 reads the alpha of cutoff_type, RuNNer that of cutoff_alpha alone");
        return cutoff;
    }
    const double alpha = parse_alpha(Input::value(*own), own->place);
    if (type && type->words.size() > 2 && alpha != cutoff.alpha)
        own->place.fail("cutoff_alpha is " + shown(own->words[1]) + ", but cutoff_type in line " +
                        std::to_string(type->place.line) + " has " + shown(type->words[2]));
    if (alpha > 0.0 && (cutoff.type == CutoffType::tanhu || cutoff.type == CutoffType::tanh))
        own->place.fail(
            "with an inner cutoff RuNNer's cutoff functions 2 and 3 jump, which is not supported: "
            "evaluate this potential with RuNNer");
    return {cutoff.type, alpha};
}

}  // namespace sitewise
