#pragma once

// What becomes of each keyword that n2p2 and RuNNer know in input.nn: the one table that the reader, its
// messages and the documentation take from.

#include <string>
#include <vector>

namespace sitewise {

enum class KeywordStatus { used, without_effect, refused };

enum class KeywordOwner { n2p2, runner, both };  // whose readers know it

struct Keyword {
    std::string name;
    KeywordStatus status;
    KeywordOwner owner;
    std::string reason;  // of `used`: what it is; of `refused`: what to do instead
};

const std::vector<Keyword>& keywords();

/// Null for a word that is no keyword.
const Keyword* find_keyword(const std::string& name);

/// The name that the reader uses for a keyword with several.
const std::string& canonical(const std::string& name);

/// The known keyword that is spelled most alike, empty if none is near.
std::string nearest_keyword(const std::string& word);

}  // namespace sitewise
