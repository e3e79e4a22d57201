"""Energies, forces and stress: against n2p2's numbers, finite differences and invariances."""

import pickle

import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr

from checks import (
    CUTOFFS,
    DEVICES,
    RNG_SEED,
    arrays,
    assert_close,
    contractions,
    directional_derivative,
    random_potential,
    strained,
    structures,
)
from sitewise import Error, NeighborList, Potential, _core
from sitewise.presets import closest_distances
from sitewise.structures import Structure

STRUCTURES = structures()
every_device = pytest.mark.parametrize("device", DEVICES)
every_structure = pytest.mark.parametrize("name", STRUCTURES)
BOHR_HARTREE = (1.8897261328, 0.0367493254)  # the cflength and cfenergy of both published potentials


def reference_structures(shared, name, device="cpu"):
    """Return all reference structures, for CUDA the smallest."""
    reference = np.load(shared / name / "reference.npz", allow_pickle=False)
    sizes = np.diff(reference["offset"])
    for s, (a, b) in enumerate(zip(reference["offset"][:-1], reference["offset"][1:], strict=True)):
        if device == "cpu" or s == np.argmin(sizes):
            yield reference, s, slice(a, b)


@every_device
def test_published_silicon_potential(shared, device):
    potential = _core.Potential.load(str(shared / "nnp-si"), *BOHR_HARTREE)
    potential.device = device
    for reference, s, atoms in reference_structures(shared, "nnp-si", device):
        positions = reference["positions_A"][atoms]
        result = potential.compute(
            np.zeros(len(positions), np.int32), positions, reference["cells_A"][s], np.ones(3, bool), features=True
        )
        assert_close([result["energy"]], [reference["energy_eV"][s]], 1e-9)
        assert_close(result["energies"], reference["atomic_energy_eV"][atoms], 1e-9)
        assert_close(result["forces"], reference["forces_eVA"][atoms], 1e-9, floor=1e-2)  # one is a perfect crystal
        assert_close(result["features"], reference["G_scaled"][atoms], 1e-9)


@every_device
def test_published_water_potential(shared, device):
    """It is in Bohr and Hartree throughout, with a normalised data set and two elements."""
    potential = _core.Potential.load(str(shared / "nnp-h2o"))
    potential.device = device
    assert potential.elements == ["H", "O"]
    for reference, s, atoms in reference_structures(shared, "nnp-h2o", device):
        species = (reference["symbols"][atoms] == "O").astype(np.int32)
        result = potential.compute(
            species, reference["positions"][atoms], reference["cells"][s], np.ones(3, bool), features=True
        )
        assert_close([result["energy"]], [reference["energy"][s]], 1e-9)
        assert_close(result["energies"], reference["atomic_energy_full"][atoms], 1e-9)
        # The mean energy hides the part that varies: compare that too.
        spread = result["energies"] - reference["atomic_energy_full"][atoms]
        assert np.abs(spread).max() < 1e-9 * np.abs(reference["atomic_energy"][atoms]).max()
        assert_close(result["forces"], reference["forces"][atoms], 1e-9)
        for element, n in enumerate((27, 30)):
            mine = species == element
            assert_close(result["features"][mine, :n], reference["G_scaled"][atoms][mine, :n], 1e-9)


def test_units_are_converted_once(shared):
    """The water potential in eV and Angstrom gives the same numbers as in its own units."""
    own = _core.Potential.load(str(shared / "nnp-h2o"))
    converted = _core.Potential.load(str(shared / "nnp-h2o"), 1 / Bohr, 1 / 27.211386)
    reference, _, atoms = next(iter(reference_structures(shared, "nnp-h2o")))
    species = (reference["symbols"][atoms] == "O").astype(np.int32)
    positions, cell = reference["positions"][atoms], reference["cells"][0]
    a = own.compute(species, positions, cell, np.ones(3, bool))
    b = converted.compute(species, positions * Bohr, cell * Bohr, np.ones(3, bool))
    assert_close(np.array([b["energy"]]), np.array([a["energy"]]) * 27.211386, 1e-12)
    assert_close(b["forces"], a["forces"] * 27.211386 / Bohr, 1e-9)
    assert_close(b["virial"], a["virial"] * 27.211386, 1e-9)


@pytest.mark.parametrize("name", ["nnp-si", "nnp-h2o"])
def test_single_precision_of_published_potentials(shared, name):
    units = BOHR_HARTREE if name == "nnp-si" else (1.0, 1.0)
    potential = _core.Potential.load(str(shared / name), *units)
    for reference, s, atoms in reference_structures(shared, name):
        symbols = reference["symbols"][atoms] if name == "nnp-h2o" else np.full(atoms.stop - atoms.start, "Si")
        species = (symbols == "O").astype(np.int32)
        suffix = "_A" if name == "nnp-si" else ""
        parts = species, reference["positions" + suffix][atoms], reference["cells" + suffix][s], np.ones(3, bool)
        potential.precision = "float64"
        exact = potential.compute(*parts, features=True)
        potential.precision = "float32"
        single = potential.compute(*parts, features=True)
        # networks with large weights of both signs magnify the rounding of their inputs
        assert np.nanmax(np.abs(single["features"] - exact["features"])) < 2e-6
        assert 0 < np.abs(single["forces"] - exact["forces"]).max() < 5e-5 * max(np.abs(exact["forces"]).max(), 1)
        assert np.abs(single["energies"] - exact["energies"]).max() < 1e-4
        assert abs(single["energy"] - exact["energy"]) < 5e-5 * len(species)


@pytest.mark.parametrize("moments", ["never", "always"])
@pytest.mark.parametrize(("kind", "alpha"), CUTOFFS)
def test_single_precision_of_all_functions(kind, alpha, moments):
    potential = random_potential(kind=kind, alpha=alpha, moments=moments)
    for name in ("mixed", "cluster", "slab"):
        parts = arrays(STRUCTURES[name].repeat([2 if p else 1 for p in STRUCTURES[name].pbc]))
        potential.precision = "float64"
        exact = potential.compute(*parts, features=True)
        potential.precision = "float32"
        single = potential.compute(*parts, features=True)
        for key, tolerance in (("features", 5e-5), ("forces", 3e-5), ("energies", 2e-6)):
            assert_close(np.nan_to_num(single[key]), np.nan_to_num(exact[key]), tolerance)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_results_do_not_depend_on_threads(precision):
    potential = random_potential()
    potential.precision = precision
    parts = arrays(STRUCTURES["mixed"].repeat(4))
    threads, results = _core.get_threads(), []
    try:
        for n in (1, 2, 4):
            _core.set_threads(n)
            results.append(potential.compute(*parts, features=True))
    finally:
        _core.set_threads(threads)
    for other in results[1:]:
        for key, value in results[0].items():
            assert_close(np.nan_to_num(other[key]), np.nan_to_num(value), 1e-12, floor=1.0)


def test_potentials_of_contractions(tmp_path):
    potential = random_potential(functions=[*contractions(0)[::3], *contractions(1)[::4]])
    potential.save(str(tmp_path))
    for name in ("mixed", "cluster", "slab"):
        species, positions, cell, pbc = arrays(STRUCTURES[name].repeat([2 if p else 1 for p in STRUCTURES[name].pbc]))
        exact = potential.compute(species, positions, cell, pbc, features=True)
        v = np.random.default_rng(RNG_SEED).normal(size=positions.shape)

        def moved(h, species=species, positions=positions, cell=cell, pbc=pbc, v=v):
            return potential.compute(species, positions + h * v, cell, pbc)["energy"]

        assert_close([-np.sum(exact["forces"] * v)], [directional_derivative(moved, 1e-4)], 1e-6)
        single, loaded = (_core.Potential.load(str(tmp_path)) for _ in range(2))
        single.precision = "float32"
        for other, tolerance in ((single, 1e-4), (loaded, 1e-11)):
            result = other.compute(species, positions, cell, pbc, features=True)
            for key in ("features", "forces", "energies"):
                assert_close(np.nan_to_num(result[key]), np.nan_to_num(exact[key]), tolerance)


def test_unknown_precision_is_refused():
    with pytest.raises(Error, match='precision "float16" is unknown, expected float64 or float32'):
        random_potential().precision = "float16"


@every_structure
@every_device
def test_forces_and_virial_are_derivatives_of_the_energy(device, name):
    potential = random_potential(device=device)
    species, positions, cell, pbc = arrays(STRUCTURES[name])
    rng = np.random.default_rng(RNG_SEED)
    result = potential.compute(species, positions, cell, pbc)
    # The offsets would drown what changes: energies are compared without them.
    offset = sum(potential.atom_energies[s] for s in species)
    for _ in range(3 if device == "cpu" else 1):
        v, strain = rng.normal(size=positions.shape), rng.normal(size=(3, 3)) * 0.3

        def moved(h, v=v):
            return potential.compute(species, positions + h * v, cell, pbc)["energy"] - offset

        def stretched(h, strain=strain):
            return potential.compute(species, *strained(positions, cell, h * strain), pbc)["energy"] - offset

        scale = np.abs(result["forces"] * v).sum() + 1e-4
        assert abs(directional_derivative(moved, 3e-5) + np.sum(result["forces"] * v)) < 1e-7 * scale
        scale = np.abs(result["virial"] * strain).sum() + 1e-4
        assert abs(directional_derivative(stretched, 3e-5) - np.sum(result["virial"] * strain)) < 1e-7 * scale


@every_structure
@every_device
def test_invariances(device, name):
    potential = random_potential(device=device)
    atoms = STRUCTURES[name]
    species, positions, cell, pbc = arrays(atoms)
    result = potential.compute(species, positions, cell, pbc)
    R, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    turned = potential.compute(species, positions @ R.T, cell @ R.T, pbc)
    assert_close(turned["energies"], result["energies"], 1e-12)
    assert np.abs(turned["forces"] - result["forces"] @ R.T).max() < 1e-10
    assert np.abs(turned["virial"] - R @ result["virial"] @ R.T).max() < 1e-10
    assert np.abs(result["forces"].sum(axis=0)).max() < 1e-12
    assert np.abs(result["virial"] - result["virial"].T).max() < 1e-10
    shape = [2 if p else 1 for p in atoms.pbc]
    big = potential.compute(*arrays(atoms.repeat(shape)))
    copies = int(np.prod(shape))
    assert_close(big["energies"], np.tile(result["energies"], copies), 1e-12)
    assert np.abs(big["forces"] - np.tile(result["forces"], (copies, 1))).max() < 1e-10
    assert_close([big["energy"]], [copies * result["energy"]], 1e-12)


@every_device
def test_energies_sum_to_the_energy_and_isolated_atoms_count(device):
    potential = random_potential(device=device)
    result = potential.compute(*arrays(STRUCTURES["isolated pair"]))
    assert_close([result["energy"]], [result["energies"].sum()], 1e-14)
    assert np.all(result["forces"] == 0.0)
    alone = [potential.compute(*arrays(STRUCTURES["isolated pair"][[i]]))["energy"] for i in (0, 1)]
    assert_close(result["energies"], alone, 1e-14)


@every_device
def test_no_atoms(device):
    result = random_potential(device=device).compute(
        np.zeros(0, np.int32), np.zeros((0, 3)), np.eye(3), np.ones(3, bool)
    )
    assert result["energy"] == 0.0
    assert result["forces"].shape == (0, 3)


def test_threads_change_only_the_last_digits():
    potential = random_potential()
    atoms = STRUCTURES["mixed"].repeat(3)
    atoms.positions += np.random.default_rng(8).normal(0, 0.02, atoms.positions.shape)
    threads = _core.get_threads()
    try:
        results = []
        for n in (1, 2, 4):
            _core.set_threads(n)
            results.append(potential.compute(*arrays(atoms), features=True))
    finally:
        _core.set_threads(threads)
    for other in results[1:]:
        assert np.array_equal(other["energies"], results[0]["energies"])
        assert np.array_equal(other["features"], results[0]["features"], equal_nan=True)
        assert other["energy"] == results[0]["energy"]
        assert_close(other["forces"], results[0]["forces"], 1e-12)
        assert_close(other["virial"], results[0]["virial"], 1e-12)


@every_device
def test_extrapolations_count_functions_outside_the_training_range(device):
    make = _core.SymmetryFunction
    plan = _core.SymmetryFunctions(1, [make(2, 0, 0, eta=eta, cutoff=5.0) for eta in (0.1, 0.2)])
    network = _core.Network([2, 1], "l")
    dimer = (np.zeros(2, np.int32), np.array([[0.0, 0, 0], [2.0, 0, 0]]), np.zeros((3, 3)), np.zeros(3, bool))
    G = plan.evaluate(*dimer, device)[0]
    for low, high, expected in (([0, 0], [9, 9], 0), ([0, 0], [9, G[1] * 0.9], 1), (G * 1.1, [9, 9], 2), (G, G, 0)):
        statistics = np.array([low, high, low, np.ones(2)], float)
        scaling = _core.Scaling("center", 0, 1, [statistics])
        potential = _core.Potential(["Si"], plan, scaling, [network], [0.0])
        potential.device = device
        assert potential.compute(*dimer)["extrapolations"].tolist() == [expected] * 2


@every_device
@pytest.mark.parametrize("kind", ["none", "minmax", "center", "minmax_center", "sigma"])
def test_scalings(kind, device):
    make = _core.SymmetryFunction
    plan = _core.SymmetryFunctions(1, [make(2, 0, 0, eta=eta, cutoff=5.0) for eta in (0.1, 0.2, 0.3)])
    low, high, mean, sigma = (
        np.array([0.1, 0.2, 0.3]),
        np.array([1.0, 1.2, 0.3]),
        np.array([0.5, 0.6, 0.3]),
        np.array([0.2, 0.3, 0.0]),
    )
    potential = _core.Potential(
        ["Si"],
        plan,
        _core.Scaling(kind, -2.0, 3.0, [np.array([low, high, mean, sigma])]),
        [_core.Network([3, 1], "l")],
        [0.0],
    )
    potential.device = device
    dimer = (np.zeros(2, np.int32), np.array([[0.0, 0, 0], [2.0, 0, 0]]), np.zeros((3, 3)), np.zeros(3, bool))
    G = plan.evaluate(*dimer)[0]
    with np.errstate(divide="ignore"):
        span, inverse = np.where(high > low, 1 / (high - low), 0), np.where(sigma > 0, 1 / sigma, 0)
    expected = {
        "none": G,
        "minmax": -2 + 5 * (G - low) * span,
        "center": G - mean,
        "minmax_center": -2 + 5 * (G - mean) * span,
        "sigma": -2 + 5 * (G - mean) * inverse,
    }[kind]
    assert_close(potential.compute(*dimer, features=True)["features"][0], expected, 1e-13)


@every_device
def test_bad_structures_are_refused(device):
    potential = random_potential(device=device)
    species, positions, cell, pbc = arrays(STRUCTURES["mixed"])
    bad = positions.copy()
    bad[2, 1] = np.nan
    with pytest.raises(Error, match="atom 2"):
        potential.compute(species, bad, cell, pbc)
    with pytest.raises(Error, match="volume"):
        potential.compute(species, positions, np.zeros((3, 3)), pbc)
    bad = positions.copy()
    bad[1] = bad[0]
    with pytest.raises(Error, match="0 and 1"):
        potential.compute(species, bad, cell, pbc)
    with pytest.raises(Error, match="element index 6"):
        potential.compute(species + 5, positions, cell, pbc)
    with pytest.raises(Error, match="positions has shape"):
        potential.compute(species, positions[:-1], cell, pbc)


@pytest.mark.parametrize("device", DEVICES[1:])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_device_gives_what_the_processor_gives(precision, device):
    """This holds with a neighbour list that is built, with one that is kept, and for many structures together."""
    expected, potential = random_potential(), random_potential(device=device)
    potential.precision = precision
    tolerance = 1e-12 if precision == "float64" else 1e-5
    many = potential.compute_many([arrays(atoms) for atoms in STRUCTURES.values()])
    for atoms, together in zip(STRUCTURES.values(), many, strict=True):
        exact = expected.compute(*arrays(atoms), features=True, virials=True)
        alone = potential.compute(*arrays(atoms), features=True, virials=True)
        kept = potential.compute(*arrays(atoms), virials=True, neighbors=NeighborList(potential.cutoff))
        for result in (alone, kept, together):
            for key in result:
                # an energy is a sum that may be small, and the forces of a crystal are 0
                found, wanted = np.nan_to_num(result[key]), np.nan_to_num(exact[key])
                assert_close(found, wanted, tolerance, floor=1.0)


def test_members_of_an_ensemble_on_cuda_and_cpu():
    for device in DEVICES:
        members = [random_potential(seed, device=device) for seed in (1, 2, 3)]
        parts = arrays(STRUCTURES["mixed"])
        alone = [member.compute(*parts) for member in members]
        together = _core.Ensemble(members).compute(*parts)
        for key in ("energy", "energies", "forces", "virial"):
            assert_close(together[key], np.mean([result[key] for result in alone], axis=0), 1e-12)
        assert_close(
            together["energies_spread"], np.std([result["energies"] for result in alone], axis=0, ddof=1), 1e-10
        )


@pytest.mark.skipif("cuda" not in DEVICES, reason="no CUDA device")
@pytest.mark.parametrize("protocol", ["__cuda_array_interface__", "__dlpack__"])
def test_arrays_on_cuda(protocol):
    class Foreign:
        """An array of another library, which supports one of the protocols."""

        def __init__(self, array):
            setattr(self, protocol, getattr(array, protocol))
            self.__dlpack_device__ = array.__dlpack_device__

    potential = random_potential(device="cuda")
    species, positions, cell, pbc = arrays(STRUCTURES["mixed"])
    expected = potential.compute(species, positions, cell, pbc)
    array = _core.DeviceArray(positions)
    result = potential.compute_on_device(species, Foreign(array), cell, pbc)
    for key, values in result.items():
        assert values.shape == np.shape(np.atleast_1d(expected[key]))
        if key == "energy":  # which the device sums in another order than the host
            assert_close(values.numpy(), np.atleast_1d(expected[key]), 1e-14)
        else:
            assert np.array_equal(values.numpy(), np.atleast_1d(expected[key]))
    again = potential.compute_on_device(species, Foreign(_core.DeviceArray(positions)), cell, pbc)
    assert np.array_equal(again["forces"].numpy(), result["forces"].numpy())
    with pytest.raises(Error, match=r"positions has shape \(4, 3\), expected \(5, 3\)"):
        potential.compute_on_device(species, Foreign(_core.DeviceArray(positions[:4])), cell, pbc)
    with pytest.raises(Error, match="positions is not on the first CUDA device"):
        potential.compute_on_device(species, positions, cell, pbc)
    with pytest.raises(Error, match="positions is not an array on a device"):
        potential.compute_on_device(species, positions.tolist(), cell, pbc)
    with pytest.raises(Error, match="need a potential with device cuda"):
        random_potential().compute_on_device(species, Foreign(array), cell, pbc)


@pytest.mark.skipif("cuda" not in DEVICES, reason="no CUDA device")
def test_atoms_with_many_neighbors_on_cuda():
    """They have more than fit into a block's shared memory by default, then more than it can ever have."""
    make = _core.SymmetryFunction
    plan = _core.SymmetryFunctions(1, [make(2, 0, 0, eta=0.1, cutoff=5.0)])
    scaling = _core.Scaling("none", 0.0, 1.0, [np.ones((4, 1))])
    potential = _core.Potential(["Si"], plan, scaling, [_core.Network([1, 1], "l")], [0.0])
    one = (np.zeros(1, np.int32), np.zeros((1, 3)))
    periodic = np.ones(3, bool)
    expected = potential.compute(*one, 0.87 * np.eye(3), periodic, features=True)["features"]
    potential.device = "cuda"
    assert_close(potential.compute(*one, 0.87 * np.eye(3), periodic, features=True)["features"], expected, 1e-12)
    with pytest.raises(Error, match=r"an atom has [0-9]+ neighbours, too many"):
        potential.compute(*one, 0.5 * np.eye(3), periodic)


def test_unknown_device_is_refused():
    with pytest.raises(Error, match='device "tpu" is unknown, expected cpu or cuda'):
        random_potential(device="tpu")


@pytest.mark.skipif("cuda" in DEVICES, reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_told():
    with pytest.raises(Error, match=r"device cuda: (sitewise was built without CUDA|no GPU: .+)"):
        random_potential(device="cuda")


@every_device
def test_neighbors_closer_than_in_the_training_set_are_extrapolation(tmp_path, device):
    """Each atom of a pair counts it; the distances are those of the pair's elements, in the unit of the directory."""
    own = random_potential(device=device)
    closest = np.array([[1.1, 1.5], [1.5, 2.2]])
    statistics = [own.scaling.statistics(e) for e in range(2)]
    for values in statistics:
        values[0], values[1] = -1e9, 1e9  # no function is outside
    scaling = _core.Scaling(own.scaling.type, own.scaling.smin, own.scaling.smax, statistics, closest)
    potential = Potential(_core.Potential(own.elements, own.functions, scaling, own.networks, own.atom_energies))
    potential.core.device = device
    atoms = Atoms("OSiO", positions=[[0, 0, 0], [1.4, 0, 0], [0, 1.2, 0]], cell=[9, 9, 9], pbc=True)
    assert potential.evaluate(atoms).extrapolation.tolist() == [1, 1, 0]
    assert potential.outside(atoms, 0) == "atom 0 (O) has Si at 1.4 Angstrom, the shortest in the training data is 1.5"
    assert potential.outside(atoms, 2) == "atom 2 (O) is inside"
    potential.save(tmp_path / "saved")
    for same in (Potential.load(tmp_path / "saved"), pickle.loads(pickle.dumps(potential))):
        assert same.core.scaling.closest.tolist() == closest.tolist()
    in_bohr = Potential.load(tmp_path / "saved", cflength=2.0)
    assert in_bohr.core.scaling.closest.tolist() == (closest / 2).tolist()
    path = tmp_path / "saved" / "scaling.data"
    whole = path.read_text()
    for old, new, message in (
        ("# closest_pair 1 2 1.5\n", "", "has closest_pair of 2 pairs of elements, expected all 3"),
        ("# closest_pair 1 2 1.5", "# closest_pair 1 3 1.5", "has elements 1 and 3"),
        ("# closest_pair 1 2 1.5", "# closest_pair 1 1 1.5", "stands twice"),
        ("# closest_pair 1 2 1.5", "# closest_pair 1 2 x", "scaling.data"),
    ):
        assert old in whole
        path.write_text(whole.replace(old, new))
        with pytest.raises(Error, match=message):
            Potential.load(tmp_path / "saved")


def test_closest_distances_of_data():
    """A pair of elements that is nowhere within the cutoff has the cutoff."""
    structure = Structure(Atoms("OSiO", positions=[[0, 0, 0], [1.6, 0, 0], [0, 5.9, 0]]), 0.0, None, None, "", "s")
    assert closest_distances([structure], ["O", "Si"], 3.0).tolist() == [[3.0, 1.6], [1.6, 3.0]]
    assert closest_distances([structure], ["O", "Si"], 6.0).tolist() == [[5.9, 1.6], [1.6, 6.0]]
