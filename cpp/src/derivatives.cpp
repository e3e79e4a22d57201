#include "derivatives.hpp"

#include <algorithm>
#include <string>

#include "kernels.hpp"
#include "sitewise/error.hpp"
#include "symmetry_function.hpp"

namespace sitewise {
namespace {

std::size_t padded(std::size_t n) {
    return (n + Derivatives::padding - 1) / Derivatives::padding * Derivatives::padding;
}

// Which functions of a centre depend on neighbours of an element.
std::vector<std::vector<std::vector<int>>> relevant_functions(const SymmetryFunctions& functions) {
    const int n = functions.elements();
    std::vector<std::vector<std::vector<int>>> relevant(n, std::vector<std::vector<int>>(n));
    for (int c = 0; c < n; ++c)
        for (std::size_t f = 0; f < functions.count(c); ++f)
            for (int e = 0; e < n; ++e)
                if (depends_on(functions.functions(c)[f], e)) relevant[c][e].push_back(static_cast<int>(f));
    return relevant;
}

void read_stored(const Prepared& s, std::size_t begin, std::size_t end, float* to) {
    s.stored.file->read(s.stored.offset + s.cache_at[begin] * sizeof(float),
                        (s.cache_at[end] - s.cache_at[begin]) * sizeof(float), to);
}

// The derivatives of atom i, from the cache or from the file.
const float* kept(const Prepared& s, std::size_t i, std::vector<float>& scratch) {
    if (s.cache) return s.cache + s.cache_at[i];
    scratch.resize(s.cache_at[i + 1] - s.cache_at[i]);
    read_stored(s, i, i + 1, scratch.data());
    return scratch.data();
}

}  // namespace

Derivatives::Derivatives(const SymmetryFunctions& functions)
    : functions_(functions), relevant_(relevant_functions(functions)) {}

// Calls visit(Block) for each neighbour element of atom i, and returns the size of its derivatives.
template <class Visit>
std::size_t Derivatives::for_each_block(const Prepared& s, std::size_t i, Visit visit) const {
    const auto& of_center = relevant_[s.species[i]];
    const int* row = s.index.data() + s.first[i];
    const std::size_t m = s.neighbors(i);
    std::size_t begin = 0, offset = 0;
    for (std::size_t e = 0; e < of_center.size(); ++e) {
        std::size_t end = begin;
        while (end < m && s.species[row[end]] == static_cast<int>(e)) ++end;
        const std::size_t width = padded(3 * (end - begin));
        visit(Block{&of_center[e], begin, end - begin, width, offset});
        offset += width * of_center[e].size();
        begin = end;
    }
    return offset;
}

void Derivatives::load(const Prepared& s, std::size_t i, Environment& environment) const {
    const RowView row = s.row(i);
    functions_.load(s.species[i], row.size, row.index, s.species.data(), row.vectors, environment);
}

void Derivatives::reserve(Prepared& s, const Stored& stored, std::size_t budget, std::size_t& used) {
    std::size_t total = 0;
    s.cache_at.resize(s.size + 1);
    for (std::size_t i = 0; i < s.size; ++i) {
        s.cache_at[i] = total;
        total += for_each_block(s, i, [](const Block&) {});
    }
    s.cache_at[s.size] = total;
    if (stored.file && stored.count != total)
        throw Error("stored are " + std::to_string(stored.count) + " derivatives, expected " +
                    std::to_string(total));
    s.stored = stored;
    s.stored.features = nullptr;
    if (used + total * sizeof(float) > budget) return;
    used += total * sizeof(float);
    s.cache = memory_.take(total);
}

void Derivatives::fill(Prepared& s, const Stored& stored, AtomScratch& scratch) const {
    const std::size_t width = functions_.max_count();
    if (stored.features) {
        s.G.assign(stored.features, stored.features + s.size * width);
        if (s.cache) read_stored(s, 0, s.size, s.cache);
        return;
    }
    s.G.assign(s.size * width, std::numeric_limits<double>::quiet_NaN());
    for (std::size_t i = 0; i < s.size; ++i) {
        load(s, i, scratch.environment);
        functions_.evaluate(scratch.environment, s.G.data() + i * width);
        if (s.cache) fill_atom(s, i, scratch);
    }
}

// Calls vjp with unit vectors, one for each row, so that training uses exactly what vjp computes.
void Derivatives::fill_atom(Prepared& s, std::size_t i, AtomScratch& scratch) const {
    const std::size_t n = functions_.count(s.species[i]);
    scratch.unit.assign(n, 0.0);
    scratch.gradient.resize(3 * s.neighbors(i));
    for (std::size_t f = 0; f < n; ++f) {
        scratch.unit[f] = 1.0;
        functions_.vjp(scratch.environment, scratch.unit.data(), scratch.gradient.data());
        scratch.unit[f] = 0.0;
        for_each_block(s, i, [&](const Block& block) {
            const auto& rows = *block.functions;
            const auto row = std::find(rows.begin(), rows.end(), static_cast<int>(f));
            if (row == rows.end()) return;
            float* D = &s.cache[s.cache_at[i] + block.offset + (row - rows.begin()) * block.width];
            std::copy_n(scratch.gradient.data() + 3 * block.begin, 3 * block.count, D);
            std::fill(D + 3 * block.count, D + block.width, 0.0f);
        });
    }
}

std::vector<float> Derivatives::all(const Prepared& s) {
    if (!s.has_derivatives()) return {};
    std::vector<float> values(s.cache_at[s.size]);
    if (s.cache)
        std::copy_n(s.cache, values.size(), values.begin());
    else
        read_stored(s, 0, s.size, values.data());
    return values;
}

void Derivatives::vjp(const Prepared& s,
                      std::size_t i,
                      const double* u,
                      double* gradient,
                      AtomScratch& scratch) const {
    if (!s.has_derivatives()) {
        load(s, i, scratch.environment);
        return functions_.vjp(scratch.environment, u, gradient);
    }
    const float* D = kept(s, i, scratch.stored);
    for_each_block(s, i, [&](const Block& block) {
        kernels().cached_vjp(block.functions->size(), block.width, block.functions->data(), D + block.offset,
                             u, gradient + 3 * block.begin);
    });
}

void Derivatives::jvp(const Prepared& s,
                      std::size_t i,
                      const double* v,
                      double* dG,
                      AtomScratch& scratch) const {
    if (!s.has_derivatives()) {
        load(s, i, scratch.environment);
        return functions_.jvp(scratch.environment, v, dG);
    }
    const float* D = kept(s, i, scratch.stored);
    std::fill_n(dG, functions_.count(s.species[i]), 0.0);
    for_each_block(s, i, [&](const Block& block) {
        kernels().cached_jvp(block.functions->size(), block.width, block.functions->data(), D + block.offset,
                             v + 3 * block.begin, dG);
    });
}

void Derivatives::jvp_of_neighbor(const Prepared& s,
                                  std::size_t i,
                                  std::size_t atom,
                                  int axis,
                                  double* dG,
                                  AtomScratch& scratch) const {
    const float* D = kept(s, i, scratch.stored);
    std::fill_n(dG, functions_.count(s.species[i]), 0.0);
    for_each_block(s, i, [&](const Block& block) {
        const int* row = s.index.data() + s.first[i] + block.begin;
        for (std::size_t k = 0; k < block.count; ++k) {
            if (row[k] != static_cast<int>(atom)) continue;
            const float* column = D + block.offset + 3 * k + axis;
            for (std::size_t q = 0; q < block.functions->size(); ++q)
                dG[(*block.functions)[q]] -= column[q * block.width];
        }
    });
}

}  // namespace sitewise
