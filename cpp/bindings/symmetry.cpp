#include "sitewise/symmetry.hpp"

#include <iterator>
#include <string>
#include <vector>

#include "convert.hpp"
#include "exports.hpp"
#include "format/function_line.hpp"
#include "keywords.hpp"
#include "sitewise/operators.hpp"
#include "sitewise/potential.hpp"

namespace sitewise::python {
namespace {

Floats evaluate_structure(const SymmetryFunctions& functions,
                          const py::object& species,
                          const py::object& positions,
                          const py::object& cell,
                          const py::object& pbc,
                          const std::string& device) {
    const Structure structure(species, positions, cell, pbc);
    Floats G({structure.size(), functions.max_count()});
    evaluate(functions, structure.view(), G.mutable_data(), parse_device(device));
    return G;
}

py::tuple vjp_structure(const SymmetryFunctions& functions,
                        const py::object& species,
                        const py::object& positions,
                        const py::object& cell,
                        const py::object& pbc,
                        Floats u,
                        const std::string& device) {
    const Structure structure(species, positions, cell, pbc);
    require(u, {py::ssize_t(structure.size()), py::ssize_t(functions.max_count())}, "u");
    Floats gradient({structure.size(), std::size_t{3}}), strain({3, 3});
    vjp(functions, structure.view(), u.data(), gradient.mutable_data(), strain.mutable_data(),
        parse_device(device));
    return py::make_tuple(gradient, strain);
}

Floats jvp_structure(const SymmetryFunctions& functions,
                     const py::object& species,
                     const py::object& positions,
                     const py::object& cell,
                     const py::object& pbc,
                     Floats v,
                     Floats strain,
                     const std::string& device) {
    const Structure structure(species, positions, cell, pbc);
    require(v, {py::ssize_t(structure.size()), 3}, "v");
    require(strain, {3, 3}, "strain");
    Floats dG({structure.size(), functions.max_count()});
    jvp(functions, structure.view(), v.data(), strain.data(), dG.mutable_data(), parse_device(device));
    return dG;
}

Moments parse_moments(const std::string& name) {
    if (name == "automatic") return Moments::automatic;
    if (name == "never") return Moments::never;
    if (name == "always") return Moments::always;
    throw Error("moments \"" + name + "\" is unknown, expected automatic, never or always");
}

constexpr double SymmetryFunction::*further_shells[] = {
    &SymmetryFunction::eta2,   &SymmetryFunction::eta3,  &SymmetryFunction::eta4,   &SymmetryFunction::rs2,
    &SymmetryFunction::rs3,    &SymmetryFunction::rs4,   &SymmetryFunction::power1, &SymmetryFunction::power2,
    &SymmetryFunction::power3, &SymmetryFunction::power4};

py::tuple pickled_function(const SymmetryFunction& f) {
    std::vector<double> shells;
    for (double SymmetryFunction::*value : further_shells) shells.push_back(f.*value);
    return pickled(f.type, f.center, f.neighbor1, f.neighbor2, f.eta, f.rs, f.lambda, f.zeta, f.cutoff,
                   f.left, f.angle_left, f.angle_right, f.subtype(), f.neighbor3, f.neighbor4, shells);
}

SymmetryFunction unpickled_function(const py::tuple& state) {
    check_version(state);
    const auto whole = [&](int k) { return state[k].cast<int>(); };
    const auto real = [&](int k) { return state[k].cast<double>(); };
    SymmetryFunction f{whole(1), whole(2), whole(3), whole(4), real(5),  real(6),
                       real(7),  real(8),  real(9),  real(10), real(11), real(12)};
    set_subtype(f, state[13].cast<std::string>());
    f.neighbor3 = whole(14);
    f.neighbor4 = whole(15);
    const auto shells = state[16].cast<std::vector<double>>();
    for (std::size_t k = 0; k < shells.size(); ++k) f.*further_shells[k] = shells[k];
    return f;
}

py::tuple pickled_functions(const SymmetryFunctions& functions) {
    std::vector<SymmetryFunction> all;
    for (int e = 0; e < functions.elements(); ++e)
        all.insert(all.end(), functions.functions(e).begin(), functions.functions(e).end());
    const Cutoff cutoff = functions.cutoff_function();
    return pickled(functions.elements(), all, static_cast<int>(cutoff.type), cutoff.alpha,
                   functions.atomic_numbers(), static_cast<int>(functions.moments()));
}

SymmetryFunctions unpickled_functions(const py::tuple& state) {
    check_version(state);
    return {state[1].cast<int>(),
            state[2].cast<std::vector<SymmetryFunction>>(),
            {static_cast<CutoffType>(state[3].cast<int>()), state[4].cast<double>()},
            state[5].cast<std::vector<int>>(),
            static_cast<Moments>(state[6].cast<int>())};
}

void export_function(py::module_& m) {
    py::class_<SymmetryFunction>(m, "SymmetryFunction")
        .def(py::init([](int type, int center, int neighbor1, int neighbor2, double eta, double rs,
                         double lambda, double zeta, double cutoff, double left, double angle_left,
                         double angle_right, const std::string& subtype, int neighbor3, int neighbor4,
                         double eta2, double eta3, double eta4, double rs2, double rs3, double rs4,
                         double power1, double power2, double power3, double power4) {
                 SymmetryFunction f{type,   center, neighbor1, neighbor2, eta,        rs,
                                    lambda, zeta,   cutoff,    left,      angle_left, angle_right};
                 set_subtype(f, subtype);
                 f.neighbor3 = neighbor3;
                 f.neighbor4 = neighbor4;
                 const double shells[] = {eta2, eta3, eta4, rs2, rs3, rs4, power1, power2, power3, power4};
                 for (std::size_t k = 0; k < std::size(shells); ++k) f.*further_shells[k] = shells[k];
                 return f;
             }),
             py::arg("type"), py::arg("center"), py::arg("neighbor1") = -1, py::arg("neighbor2") = -1,
             py::kw_only(), py::arg("eta") = 0.0, py::arg("rs") = 0.0, py::arg("lambda_") = 0.0,
             py::arg("zeta") = 0.0, py::arg("cutoff"), py::arg("left") = 0.0, py::arg("angle_left") = 0.0,
             py::arg("angle_right") = 0.0, py::arg("subtype") = "p2", py::arg("neighbor3") = -1,
             py::arg("neighbor4") = -1, py::arg("eta2") = 0.0, py::arg("eta3") = 0.0, py::arg("eta4") = 0.0,
             py::arg("rs2") = 0.0, py::arg("rs3") = 0.0, py::arg("rs4") = 0.0, py::arg("power1") = 0.0,
             py::arg("power2") = 0.0, py::arg("power3") = 0.0, py::arg("power4") = 0.0)
        .def_readonly_static("all", &SymmetryFunction::all)
        .def_readonly_static("all_by_number", &SymmetryFunction::all_by_number)
        .def_readwrite("type", &SymmetryFunction::type)
        .def_readwrite("center", &SymmetryFunction::center)
        .def_readwrite("neighbor1", &SymmetryFunction::neighbor1)
        .def_readwrite("neighbor2", &SymmetryFunction::neighbor2)
        .def_readwrite("eta", &SymmetryFunction::eta)
        .def_readwrite("rs", &SymmetryFunction::rs)
        .def_readwrite("lambda_", &SymmetryFunction::lambda)
        .def_readwrite("zeta", &SymmetryFunction::zeta)
        .def_readwrite("cutoff", &SymmetryFunction::cutoff)
        .def_readwrite("left", &SymmetryFunction::left)
        .def_readwrite("angle_left", &SymmetryFunction::angle_left)
        .def_readwrite("angle_right", &SymmetryFunction::angle_right)
        .def_property("subtype", &SymmetryFunction::subtype, &set_subtype)
        .def_readwrite("neighbor3", &SymmetryFunction::neighbor3)
        .def_readwrite("neighbor4", &SymmetryFunction::neighbor4)
        .def_readwrite("eta2", &SymmetryFunction::eta2)
        .def_readwrite("eta3", &SymmetryFunction::eta3)
        .def_readwrite("eta4", &SymmetryFunction::eta4)
        .def_readwrite("rs2", &SymmetryFunction::rs2)
        .def_readwrite("rs3", &SymmetryFunction::rs3)
        .def_readwrite("rs4", &SymmetryFunction::rs4)
        .def_readwrite("power1", &SymmetryFunction::power1)
        .def_readwrite("power2", &SymmetryFunction::power2)
        .def_readwrite("power3", &SymmetryFunction::power3)
        .def_readwrite("power4", &SymmetryFunction::power4)
        .def_property_readonly("is_angular", &SymmetryFunction::is_angular)
        .def_property_readonly("is_compact", &SymmetryFunction::is_compact)
        .def(py::pickle(&pickled_function, &unpickled_function));
}

void export_functions(py::module_& m) {
    py::class_<SymmetryFunctions>(m, "SymmetryFunctions")
        .def(py::init([](int n_elements, std::vector<SymmetryFunction> functions, int cutoff_type,
                         double alpha, const std::vector<int>& atomic_numbers, const std::string& moments) {
                 if (cutoff_type < 0 || cutoff_type > 8)
                     throw Error("cutoff type " + std::to_string(cutoff_type) + ", expected 0 to 8");
                 return SymmetryFunctions(n_elements, std::move(functions),
                                          {static_cast<CutoffType>(cutoff_type), alpha}, atomic_numbers,
                                          parse_moments(moments));
             }),
             py::arg("n_elements"), py::arg("functions"), py::arg("cutoff_type") = 1, py::arg("alpha") = 0.0,
             py::arg("atomic_numbers") = std::vector<int>{}, py::arg("moments") = "automatic")
        .def_property_readonly("n_elements", &SymmetryFunctions::elements)
        .def_property_readonly("cutoff", &SymmetryFunctions::cutoff)
        .def_property_readonly(
            "cutoff_type",
            [](const SymmetryFunctions& f) { return static_cast<int>(f.cutoff_function().type); })
        .def_property_readonly("alpha", [](const SymmetryFunctions& f) { return f.cutoff_function().alpha; })
        .def_property_readonly("max_count", &SymmetryFunctions::max_count)
        .def_property_readonly("moments",
                               [](const SymmetryFunctions& f) {
                                   std::vector<std::size_t> counts;
                                   for (int e = 0; e < f.elements(); ++e) counts.push_back(f.from_moments(e));
                                   return counts;
                               })
        .def("count",
             [](const SymmetryFunctions& f, int element) {
                 check_element(f, element);
                 return f.count(element);
             })
        .def("functions",
             [](const SymmetryFunctions& f, int element) {
                 check_element(f, element);
                 return f.functions(element);
             })
        .def("lines",
             [](const SymmetryFunctions& f, const std::vector<std::string>& elements) {
                 if (static_cast<int>(elements.size()) != f.elements())
                     throw Error(std::to_string(elements.size()) +
                                 " elements are given, the functions are for " +
                                 std::to_string(f.elements()));
                 return function_lines(elements, f);
             })
        .def("evaluate", &evaluate_structure, py::arg("species"), py::arg("positions"), py::arg("cell"),
             py::arg("pbc"), py::arg("device") = "cpu")
        .def("vjp", &vjp_structure, py::arg("species"), py::arg("positions"), py::arg("cell"), py::arg("pbc"),
             py::arg("u"), py::arg("device") = "cpu")
        .def("jvp", &jvp_structure, py::arg("species"), py::arg("positions"), py::arg("cell"), py::arg("pbc"),
             py::arg("v"), py::arg("strain"), py::arg("device") = "cpu")
        .def(py::pickle(&pickled_functions, &unpickled_functions));
}

}  // namespace

void export_symmetry(py::module_& m) {
    export_function(m);
    export_functions(m);
    m.def(
        "read_functions",
        [](const std::string& input_nn, double cflength) {
            InputFunctions input = read_functions(input_nn, cflength);
            return py::make_tuple(input.elements, input.functions);
        },
        py::arg("input_nn"), py::arg("cflength") = 1.0);
    m.def("keywords", [] {
        const auto text = [](KeywordStatus status) {
            return status == KeywordStatus::used      ? "used"
                   : status == KeywordStatus::refused ? "refused"
                                                      : "without effect";
        };
        py::list rows;
        for (const Keyword& k : keywords()) rows.append(py::make_tuple(k.name, text(k.status), k.reason));
        return rows;
    });
}

}  // namespace sitewise::python
