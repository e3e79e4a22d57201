#include "environment.hpp"
#include "model.cuh"

namespace sitewise::cuda {

template <class Real>
void Model<Real>::load(const SymmetryFunctions& functions,
                       const std::vector<const Potential*>& members,
                       cudaStream_t stream) {
    width_ = static_cast<int>(functions.max_count());
    packet_.pack(
        [&](Packet& packet) {
            plans_.clear();
            members_.clear();
            for (int e = 0; e < functions.elements(); ++e)
                plans_.push_back(to_device(PlanAccess::plan<Real>(functions, e), packet));
            for (const Potential* potential : members)
                for (int e = 0; e < functions.elements(); ++e)
                    members_.push_back(pack(*potential, e, packet));
        },
        stream);
}

template <class Real>
typename Model<Real>::Member Model<Real>::pack(const Potential& potential, int element, Packet& packet) {
    const Scaling& scaling = potential.scaling();
    const FeatureStatistics& range = scaling.statistics(element);
    const std::size_t elements = potential.elements().size();
    const double* closest = scaling.closest().empty()
                                ? nullptr
                                : packet.add(scaling.closest().data() + element * elements, elements);
    const Normalization& unit = potential.normalization();
    Member member{
        {packet.add(scaling.factor(element)), packet.add(scaling.origin(element)), packet.add(range.min),
         packet.add(range.max), closest, scaling.offset(), static_cast<int>(range.min.size())},
        {},
        unit.mean_energy + potential.atom_energies()[element],
        unit.conv_energy};
    const NetworkOf<Real> network(potential.network(element));
    for (Layer<Real> layer : network.view().layers) {
        layer.W = packet.add(layer.W, static_cast<std::size_t>(layer.in) * layer.out);
        layer.b = packet.add(layer.b, layer.out);
        member.layers.push_back(layer);
    }
    return member;
}

template class Model<float>;
template class Model<double>;

}  // namespace sitewise::cuda
