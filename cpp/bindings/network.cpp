#include "sitewise/network.hpp"

#include "convert.hpp"
#include "exports.hpp"

namespace sitewise::python {
namespace {

Activation parse_activation(char letter) {
    if (std::string("ltsprgcSeh").find(letter) == std::string::npos)
        throw Error(std::string("activation \"") + letter +
                    "\" is unknown, expected one of l t s p r g c S e h");
    return static_cast<Activation>(letter);
}

Network make_network(std::vector<int> nodes, const std::string& letters, bool normalize_nodes) {
    std::vector<Activation> activations;
    for (char letter : letters) activations.push_back(parse_activation(letter));
    return Network(std::move(nodes), std::move(activations), normalize_nodes);
}

py::tuple activate_numbers(char letter, const Floats& z, const std::string& precision) {
    Floats value(z.size()), slope(z.size());
    activate(parse_activation(letter), parse_precision(precision), static_cast<std::size_t>(z.size()),
             z.data(), value.mutable_data(), slope.mutable_data());
    return py::make_tuple(value, slope);
}

std::string activation_letters(const Network& network) {
    std::string letters;
    for (Activation a : network.activations()) letters += static_cast<char>(a);
    return letters;
}

py::tuple evaluate_network(const Network& network, Floats x) {
    if (x.ndim() != 2) throw Error("x must be an array [B, n]");
    require(x, {x.shape(0), network.nodes()[0]}, "x");
    Floats e(x.shape(0)), dedx({x.shape(0), x.shape(1)});
    network.evaluate(x.shape(0), x.data(), e.mutable_data(), dedx.mutable_data());
    return py::make_tuple(e, dedx);
}

Floats network_weight_gradient(const Network& network, Floats x, Floats a, Floats t) {
    if (x.ndim() != 2) throw Error("x must be an array [B, n]");
    require(x, {x.shape(0), network.nodes()[0]}, "x");
    require(a, {x.shape(0)}, "a");
    require(t, {x.shape(0), x.shape(1)}, "t");
    std::vector<double> gradient(network.n_weights());
    network.weight_gradient(x.shape(0), x.data(), a.data(), t.data(), gradient.data());
    return array({py::ssize_t(gradient.size())}, gradient);
}

py::tuple pickled_network(const Network& network) {
    return pickled(network.nodes(), activation_letters(network), network.normalize_nodes(),
                   array({py::ssize_t(network.n_weights())}, network.weights()));
}

Network unpickled_network(const py::tuple& state) {
    check_version(state);
    Network network =
        make_network(state[1].cast<std::vector<int>>(), state[2].cast<std::string>(), state[3].cast<bool>());
    network.set_weights(to_vector(state[4].cast<Floats>()));
    return network;
}

}  // namespace

void export_network(py::module_& m) {
    py::class_<Network>(m, "Network")
        .def(py::init(&make_network), py::arg("nodes"), py::arg("activations"),
             py::arg("normalize_nodes") = false)
        .def_property_readonly("nodes", &Network::nodes)
        .def_property_readonly("activations", &activation_letters)
        .def_property_readonly("normalize_nodes", &Network::normalize_nodes)
        .def_property(
            "weights", [](const Network& n) { return array({py::ssize_t(n.n_weights())}, n.weights()); },
            [](Network& n, const Floats& w) { n.set_weights(to_vector(w)); })
        .def("evaluate", &evaluate_network)
        .def("weight_gradient", &network_weight_gradient)
        .def(py::pickle(&pickled_network, &unpickled_network));

    m.def("activate", &activate_numbers, py::arg("activation"), py::arg("z"),
          py::arg("precision") = "float64");
}

}  // namespace sitewise::python
