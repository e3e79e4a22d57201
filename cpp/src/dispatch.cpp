#include <cstdlib>
#include <string>
#include <vector>

#include "kernels.hpp"
#include "sitewise/error.hpp"
#include "sitewise/symmetry.hpp"

namespace sitewise {

namespace baseline {
extern const Kernels table;
}
namespace avx2 {
extern const Kernels table;
}
namespace avx512 {
extern const Kernels table;
}

namespace {

// What this build and this machine have, from the most to the least capable.
std::vector<const Kernels*> available() {
    std::vector<const Kernels*> list;
#ifdef SITEWISE_HAS_AVX512
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        list.push_back(&avx512::table);
#endif
#ifdef SITEWISE_HAS_AVX2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) list.push_back(&avx2::table);
#endif
    list.push_back(&baseline::table);
    return list;
}

const Kernels& choose() {
    const std::vector<const Kernels*> list = available();
    const char* wanted = std::getenv("SITEWISE_ISA");
    if (!wanted || !*wanted) return *list.front();
    std::string names;
    for (const Kernels* k : list) {
        if (std::string(k->name) == wanted) return *k;
        names += (names.empty() ? "" : ", ") + std::string(k->name);
    }
    throw Error("SITEWISE_ISA is \"" + std::string(wanted) + "\", expected one of " + names);
}

}  // namespace

const Kernels& kernels() {
    static const Kernels& chosen = choose();
    return chosen;
}

const char* instruction_set() {
    return kernels().name;
}

}  // namespace sitewise
