#pragma once

// Objects that several Python threads may use.

#include <string>
#include <type_traits>
#include <utility>

#include "sitewise/error.hpp"
#include "sitewise/training.hpp"

namespace sitewise::python {

// A Python object, and how threads use it while the GIL is released. The GIL guards both members.
template <class T>
struct Shared : T {
    using T::T;
    explicit Shared(T&& object) : T(std::move(object)) {}
    mutable int readers = 0;
    mutable bool changing = false;
};

template <class T>
[[noreturn]] void refuse() {
    const char* name = std::is_same_v<T, TrainingSet> ? "training set" : "potential";
    throw Error(std::string("the ") + name + " is in use by another thread");
}

template <class T>
void require_unchanging(const Shared<T>& object) {
    if (object.changing) refuse<T>();
}

template <class T>
void require_unused(const Shared<T>& object) {
    if (object.changing || object.readers > 0) refuse<T>();
}

// Constructed and destroyed while the GIL is held; the GIL may be released in between.
template <class T>
class Reading {
public:
    explicit Reading(const Shared<T>& object) : object_(object) {
        require_unchanging(object);
        ++object.readers;
    }
    ~Reading() { --object_.readers; }
    Reading(const Reading&) = delete;

private:
    const Shared<T>& object_;
};

class Changing {
public:
    explicit Changing(bool& changing) : changing_(changing) { changing_ = true; }
    ~Changing() { changing_ = false; }
    Changing(const Changing&) = delete;

private:
    bool& changing_;
};

}  // namespace sitewise::python
