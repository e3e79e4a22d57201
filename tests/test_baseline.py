"""The repulsion of nuclei that a network is added to: against LAMMPS, finite differences, in files, in training."""

import pickle

import numpy as np
import pytest
from ase import Atoms

from checks import (
    DEVICES,
    arrays,
    assert_close,
    check_derivatives,
    directional_derivative,
    in_plain_lammps,
    random_potential,
    rattled,
    silicon_frames,
    silicon_potential,
    structures,
)
from sitewise import Error, Potential, _core
from sitewise.config import Config
from sitewise.ensemble import Ensemble
from sitewise.io.dataset import Dataset
from sitewise.io.simple_nn import write_potential
from sitewise.progress import Reporter
from sitewise.training.baseline import in_lammps, without_baseline
from sitewise.training.inputs import make_inputs
from sitewise.training.results import provenance
from sitewise.training.run import train

RANGE = (1.1, 2.9)
CLOSE = ("mixed", "cluster", "slab", "one-atom crystal", "two-atom crystal")


ZBL = _core.Baseline(["O", "Si"], RANGE)
SILICON = _core.Baseline(["Si"], RANGE)


def repelled():
    potential = random_potential()
    potential.baseline = ZBL
    return potential


def repulsion(atoms):
    """Return the energy of the repulsion, by the formula of LAMMPS's documentation and sums over ASE's pairs."""
    from ase.neighborlist import neighbor_list

    inner, outer = RANGE
    total = 0.0
    for i, j, r in zip(*neighbor_list("ijd", atoms, outer), strict=True):
        a, b = atoms.numbers[i], atoms.numbers[j]

        def energy(x, a=a, b=b):
            scaled = x * (a**0.23 + b**0.23) / 0.46850
            shares = zip((0.18175, 0.50986, 0.28022, 0.02817), (3.19980, 0.94229, 0.40290, 0.20162), strict=True)
            return 14.399645 * a * b / x * sum(share * np.exp(-rate * scaled) for share, rate in shares)

        slope = directional_derivative(lambda h, energy=energy: energy(outer + h), 1e-3)
        curvature = (energy(outer + 1e-3) - 2 * energy(outer) + energy(outer - 1e-3)) / 1e-6
        t = outer - inner
        A, B = (-3 * slope + t * curvature) / t**2, (2 * slope - t * curvature) / t**3
        constant = -energy(outer) + t / 2 * slope - t**2 / 12 * curvature
        switch = max(r - inner, 0.0)
        total += 0.5 * (energy(r) + A / 3 * switch**3 + B / 4 * switch**4 + constant)
    return total


@pytest.mark.parametrize("name", CLOSE)
def test_energy_is_that_of_the_formula(name):
    given = arrays(structures()[name])
    difference = repelled().compute(*given)["energy"] - random_potential().compute(*given)["energy"]
    assert_close(difference, repulsion(structures()[name]), 1e-6)


@pytest.mark.parametrize("name", CLOSE)
def test_forces_and_virial_are_the_derivatives(name):
    check_derivatives(repelled(), *arrays(structures()[name]), 3e-4)


@pytest.mark.parametrize("r", [0.3, 0.8, 1.7, 2.5])
def test_force_of_a_pair_is_the_derivative(r):
    """The third derivative jumps at the ends of the switch, which limits the test above."""
    potential = silicon_potential()
    potential.baseline = SILICON
    plain = silicon_potential()

    def repulsion(h):
        given = arrays(Atoms("Si2", positions=[[0, 0, 0], [0, 0, r + h]]), (14,))
        return [potential.compute(*given)[key] - plain.compute(*given)[key] for key in ("energy", "forces")]

    assert_close(directional_derivative(lambda h: repulsion(h)[0], 1e-4 * r), -repulsion(0)[1][1, 2], 1e-10)


def test_wall_is_smooth_at_both_ends_of_the_switch():
    potential, plain = repelled(), random_potential()

    def slope(r):
        given = arrays(Atoms("SiO", positions=[[0, 0, 0], [0, 0, r]]))
        return (potential.compute(*given)["forces"] - plain.compute(*given)["forces"])[1, 2]

    for r in RANGE:
        below, above = slope(r - 1e-7), slope(r + 1e-7)
        assert abs(below - above) < 1e-4
    assert slope(RANGE[1] + 1e-9) == 0
    assert slope(0.3) > 100


def test_float32_and_ensembles_have_the_same_repulsion():
    given = arrays(structures()["mixed"])
    expected = repelled().compute(*given)["energies"]
    single = repelled()
    single.precision = "float32"
    assert_close(single.compute(*given)["energies"], expected, 1e-4)
    members = [repelled(), repelled()]
    assert_close(_core.Ensemble(members).compute(*given)["energies"], expected, 1e-12)
    with pytest.raises(Error, match="different baselines"):
        _core.Ensemble([repelled(), random_potential()])


def test_files_and_pickles_keep_it(tmp_path):
    potential, given = repelled(), arrays(structures()["cluster"])
    expected = potential.compute(*given)
    for copy in (pickle.loads(pickle.dumps(potential)), saved(potential, tmp_path)):
        assert copy.baseline == ZBL
        assert_close(copy.compute(*given)["forces"], expected["forces"], 1e-12)
    with pytest.raises(Error, match="SIMPLE-NN has no pair potential"):
        write_potential(Potential(potential), tmp_path / "potential_saved")


def saved(potential, folder):
    potential.save(str(folder))
    return _core.Potential.load(str(folder))


def test_file_in_bohr(tmp_path):
    potential = repelled()
    saved(potential, tmp_path)
    path = tmp_path / "input.nn"
    line = next(line for line in path.read_text().splitlines() if line.startswith("baseline_zbl"))
    assert [float(word) for word in line.split()[1:]] == list(RANGE)
    assert _core.Potential.load(str(tmp_path), cflength=2.0).baseline.zbl == (RANGE[0] / 2, RANGE[1] / 2)
    path.write_text(path.read_text().replace(line, f"baseline_zbl {2 * RANGE[0]} {2 * RANGE[1]}"))
    with pytest.raises(Error, match=r"input\.nn:\d+: reaches 5\.8 Angstrom, expected at most"):
        _core.Potential.load(str(tmp_path))


@pytest.mark.parametrize("zbl", [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (1.0, float("nan"))])
def test_wrong_ranges_are_refused(zbl):
    with pytest.raises(Error, match="repulsion of nuclei"):
        _core.Baseline(["Si"], zbl)


def test_labels_without_it(tmp_path):
    """A potential of zero weights and the repulsion leaves nothing of labels that are the repulsion's."""
    data = Dataset.read(written(silicon_frames(3), tmp_path / "data.xyz"), reporter=Reporter(quiet=True))
    left = without_baseline(data, SILICON)
    potential = silicon_potential()
    potential.baseline = SILICON
    for s, rest in zip(data, left, strict=True):
        one, other = (each.compute(*arrays(s.atoms, (14,))) for each in (potential, silicon_potential()))
        assert_close(s.energy - rest.energy, one["energy"] - other["energy"], 1e-9)
        assert_close(s.forces - rest.forces, one["forces"] - other["forces"], 1e-9)
        assert rest.stress is not None
    assert without_baseline(data, None) is data


def written(frames, path):
    from ase.io import write

    write(path, frames, format="extxyz")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, 2])
def test_training_learns_the_rest(tmp_path, replicas):
    frames = silicon_frames(16)
    path = written(frames, tmp_path / "data.xyz")
    tables = {
        "data": {"train": str(path)},
        "network": {"hidden": [8]},
        "baseline": {"zbl": "auto"},
        "training": {"iterations": 40, "replicas": replicas, "student": replicas > 1},
    }
    potential = train(Config.parse(tables), tmp_path / "run", reporter=Reporter(quiet=True))
    head = (tmp_path / "run" / "potential" / "input.nn").read_text()
    inner, outer = potential.core.baseline.zbl
    assert outer == pytest.approx(2 * inner, abs=2e-3)
    assert f"zbl {inner:.10g} {outer:.10g}" in head
    assert "pair_coeff 1 1 zbl 14 14" in head
    found = [potential.evaluate(atoms) for atoms in frames]
    errors = np.concatenate([r.forces - a.get_forces() for r, a in zip(found, frames, strict=True)])
    assert np.sqrt(np.mean(errors**2)) < 0.2 * np.sqrt(np.mean([np.mean(a.get_forces() ** 2) for a in frames]))
    distances = np.arange(0.3, 1.2, 0.05)
    pairs = [Atoms("Si2", positions=[[0, 0, 0], [0, 0, r]]) for r in distances]
    energies = [potential.evaluate(pair).energy for pair in pairs]
    assert np.all(np.diff(energies) < 0)


@pytest.mark.slow
def test_lammps_adds_it_by_hybrid_overlay(tmp_path):
    """The pair style of LAMMPS alone gives the same repulsion, to 1e-10."""
    atoms = rattled(structures()["cluster"], 0.05)
    atoms.set_cell([40.0, 41.0, 42.0])
    atoms.center()
    lines = list(in_lammps(["O", "Si"], 4.3, ZBL))
    assert lines[0] == "pair_style hybrid/overlay hdnnp 4.3 dir DIR zbl 1.1 2.9"
    pairs = [line.replace(" zbl ", " ") for line in lines if line.startswith("pair_coeff") and "zbl" in line]
    energy, forces = in_plain_lammps(atoms, ["pair_style zbl 1.1 2.9", *pairs], tmp_path)
    one, other = repelled().compute(*arrays(atoms)), random_potential().compute(*arrays(atoms))
    assert_close(one["energy"] - other["energy"], energy, 1e-10)
    assert_close(one["forces"] - other["forces"], forces, 1e-10)


@pytest.mark.parametrize("device", DEVICES)
def test_devices_add_it(device):
    """A device computes the networks, and the processor adds the repulsion."""
    potential, given = repelled(), [arrays(structures()[name]) for name in ("mixed", "cluster")]
    expected = [potential.compute(*each, virials=True) for each in given]
    potential.device = device
    for found, each, other in zip(potential.compute_many(given), given, expected, strict=True):
        alone = potential.compute(*each)
        for key in ("energy", "energies", "forces", "virial"):
            assert_close(found[key], other[key], 1e-9)
            assert_close(alone[key], other[key], 1e-9)


@pytest.mark.parametrize(
    ("preset", "zbl", "found"), [("accurate", None, True), ("fast", None, False), ("accurate", "none", False)]
)
def test_accurate_preset_has_it(preset, zbl, found):
    settings = {"preset": preset, "hidden": [3], "iterations": 1} | ({} if zbl is None else {"zbl": zbl})
    inputs = make_inputs(Config.of(**settings), Reporter(quiet=True), (Dataset(silicon_frames(3)), Dataset([])))
    assert (inputs.baseline is not None) == found
    assert "hdnnp" not in provenance(inputs, 1)  # which lacks the functions, or there is nothing to add


def test_ensemble_in_one_network_keeps_it(tmp_path):
    for k in range(2):
        potential = silicon_potential(k)
        potential.baseline = SILICON
        saved(potential, tmp_path / str(k))
    ensemble = Ensemble.load(tmp_path)
    assert ensemble.merged().core.baseline == SILICON
