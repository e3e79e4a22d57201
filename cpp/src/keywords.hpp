#pragma once

// The table of the keywords that n2p2, RuNNer and sitewise know in input.nn, and of how sitewise treats them.
// The reader, its messages and the documentation use it.

#include <string>
#include <vector>

namespace sitewise {

enum class KeywordStatus { used, without_effect, refused };

enum class KeywordOwner { n2p2, runner, both, none };  // the program beside sitewise that knows it

struct Keyword {
    std::string name;
    KeywordStatus status;
    KeywordOwner owner;
    std::string reason;  // if used: what it is; if refused: what to do instead
};

const std::vector<Keyword>& keywords();

/// The entry of a keyword; null if the word is not a keyword.
const Keyword* find_keyword(const std::string& name);

/// The name that the reader uses for a keyword that has several names.
const std::string& canonical(const std::string& name);

/// The known keyword with the most similar spelling; empty if none is similar.
std::string nearest_keyword(const std::string& word);

}  // namespace sitewise
