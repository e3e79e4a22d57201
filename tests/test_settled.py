"""Settings that follow from the training data: widths of the networks and the weight of L2."""

import sys
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from checks import Listener, silicon_frames
from sitewise import Dataset, Potential, SymmetryFunctions, _core, train
from sitewise.config import Config
from sitewise.features.selection import choose_functions
from sitewise.presets import PRESETS, nearest_distances
from sitewise.progress import Reporter
from sitewise.structures import Structure
from sitewise.training.cutoffs import settled_cutoff
from sitewise.training.linear_fits import fits_of
from sitewise.training.settled import count_labels, hidden_width, l2_weight, settled, stress_weight

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def dimers(count, seed=0):
    """Structures of two atoms with 1 energy and 6 components of forces."""
    rng = np.random.default_rng(seed)
    atoms = Atoms("Si2", positions=[[0, 0, 0], [0, 0, 2.3]])
    return Dataset([Structure(atoms, rng.normal(), rng.normal(size=(2, 3)), None, "", "f") for _ in range(count)])


def config(**tables):
    return Config.parse({"data": {"train": "x"}, **tables})


def test_labels_are_energies_and_components_of_forces():
    data = dimers(5)
    assert count_labels(data) == 35
    assert count_labels(Dataset([replace(s, energy=None) for s in data])) == 30
    assert count_labels(Dataset([replace(s, forces=None) for s in data])) == 5


@pytest.mark.parametrize(("labels", "width"), [(7, 15), (27006, 15), (63994, 20)])
def test_width_grows_with_the_cube_root_of_the_labels(labels, width):
    data = dimers(1)[:1]
    assert hidden_width(Dataset([data[0]] * (labels // 7))) == width


def test_width_has_a_largest_value():
    count = 500_000
    many = Structure(Atoms([14] * count), 0.0, np.zeros((count, 3)), None, "", "f")
    assert hidden_width(Dataset([many])) == 40


def test_l2_scales_as_the_loss_and_falls_with_the_number_of_labels():
    data = dimers(40)
    larger = Dataset([replace(s, energy=10 * s.energy, forces=10 * s.forces) for s in data])
    twice = Dataset([*data, *data])
    l2 = l2_weight(data, 0.01)
    square = np.mean([np.mean(s.forces**2) for s in data])
    assert l2 == pytest.approx(8 * 0.01 * square / 280, rel=0.05)  # rounded to two digits
    assert l2_weight(larger, 0.01) == pytest.approx(100 * l2, rel=1e-12)
    assert l2_weight(twice, 0.01) == pytest.approx(l2 / 2, rel=0.05)
    assert l2_weight(data, 0.02) == pytest.approx(2 * l2, rel=0.05)


def test_l2_of_energies_alone_follows_their_variance():
    data = dimers(40)
    alone = Dataset([replace(s, forces=None) for s in data])
    variance = np.var([s.energy / 2 for s in data])
    assert l2_weight(alone, 0.01) == pytest.approx(8 * variance / 40, rel=0.05)
    assert l2_weight(data, 0.0) == pytest.approx(8 * variance / 280, rel=0.05)


def with_stress(data, length):
    """The structures in cubic cells, with a stress."""
    frames = []
    for structure in data:
        atoms = structure.atoms.copy()
        atoms.set_cell([length] * 3)
        atoms.pbc = True
        frames.append(replace(structure, atoms=atoms, stress=np.ones(6)))
    return Dataset(frames)


def test_stress_weight_is_that_of_an_energy_per_atom():
    """Twice the volume per atom makes four times the energy per atom of the same stress."""
    assert stress_weight(dimers(4)) == 0
    data = with_stress(dimers(4), 4.0)
    assert stress_weight(data) == pytest.approx(0.003 * (4.0**3 / 2) ** 2, rel=0.05)  # rounded to two digits
    assert stress_weight(with_stress(dimers(4), 4.0 * 2 ** (1 / 3))) == pytest.approx(4 * stress_weight(data), rel=0.05)
    assert stress_weight(Dataset([*data, *dimers(40)])) == stress_weight(data)


def test_stress_weight_is_settled_except_for_the_recipes_of_the_paper():
    data = with_stress(dimers(4), 4.0)
    heard = Listener()
    assert settled(config(), data, heard).training.stress_weight == stress_weight(data)
    assert heard.said[-1] == f"stress_weight {stress_weight(data):g} for 4 stresses"
    assert settled(config(), data, heard, True).training.stress_weight == 0
    assert heard.said[-1] == "stress_weight 0 for 4 stresses, because of the warning above"
    for given in ({"stress_weight": 0.5}, {"stress_weight": 0.0}, {"recipe": "yoo2019-adam"}):
        expected = given.get("stress_weight", 0.0)
        assert settled(config(training=given), data, Listener()).training.stress_weight == expected


def test_what_is_settled_is_reported_and_what_is_given_stays():
    heard = Listener()
    found = settled(config(), dimers(40), heard)
    assert found.network.hidden == [15, 15]
    assert heard.said == [f"hidden [15, 15], l2 {found.training.l2} for 280 energies and force components"]
    given = config(network={"hidden": [7]}, training={"l2": 0.5, "stress_weight": 0.0})
    heard = Listener()
    assert settled(given, dimers(40), heard) == given
    assert heard.said == []
    assert settled(config(training={"l2": 0.0}), dimers(40), heard).training.l2 == 0.0


def test_a_recipe_of_the_paper_brings_its_functions_and_network():
    paper = config(training={"recipe": "yoo2019-adam"})
    assert (paper.symmetry_functions.preset, paper.network.hidden) == ("simple-nn", [30, 30])
    assert settled(paper, dimers(2), Listener()) == paper
    other = config(symmetry_functions={"preset": "fast"}, network={"hidden": [5]}, training={"recipe": "yoo2019-lbfgs"})
    assert (other.symmetry_functions.preset, other.network.hidden) == ("fast", [5])


@pytest.mark.slow
def test_a_run_with_defaults_is_that_of_the_settings_that_it_writes(tmp_path, monkeypatch):
    write(tmp_path / "train.xyz", silicon_frames(8))
    monkeypatch.chdir(tmp_path)
    tables = {"data": {"train": "train.xyz", "test": 0}, "training": {"iterations": 5}}
    first = train(Config.parse(tables), tmp_path / "a", reporter=Reporter(quiet=True))
    written = tomllib.loads((tmp_path / "a" / "training.toml").read_text())
    second = train(tmp_path / "a" / "training.toml", tmp_path / "b", reporter=Reporter(quiet=True))
    assert isinstance(first, Potential)
    assert written["network"]["hidden"] == [15, 15]
    assert written["training"]["l2"] > 0
    assert first.core.weights.tolist() == second.core.weights.tolist()


# ---- the cutoff


def linear_silicon(preset, cutoff):
    """Silicon labelled by a linear function of the preset's symmetry functions with a cutoff."""
    functions = SymmetryFunctions.preset(preset, ["Si"], cutoff, np.array([[2.35]])).core
    n = functions.count(0)
    network = _core.Network([n, 1], "l")
    network.weights = np.append(np.random.default_rng(3).normal(size=n), 0.0)
    scaling = _core.Scaling("none", 0.0, 1.0, [np.zeros((4, n))], np.empty((0, 0)))
    potential = Potential(_core.Potential(["Si"], functions, scaling, [network], [0.0]))
    made = Dataset(silicon_frames(12))
    labels = [potential.evaluate(s.atoms) for s in made]
    return Dataset(
        [replace(s, energy=e.energy, forces=e.forces, stress=None) for s, e in zip(made, labels, strict=True)]
    )


@pytest.mark.parametrize(
    ("preset", "factor"), [("accurate", None), ("accurate", 1.75), ("standard", None), ("standard", 1.75), (None, 2.15)]
)
def test_the_cutoff_is_the_one_with_the_best_linear_fit(preset, factor):
    nearest = nearest_distances(Dataset(silicon_frames(12)), ["Si"])
    name = preset or "standard"
    usual = SymmetryFunctions.preset(name, ["Si"], None, nearest).cutoff
    cutoff = round(factor * float(nearest[0, 0]), 3) if factor else usual
    data, listener = linear_silicon(name, cutoff), Listener()
    given = config(symmetry_functions={"preset": preset} if preset else {})
    found = settled_cutoff(given, data, listener)
    assert found.symmetry_functions.cutoff == cutoff
    assert f"cutoff {cutoff:g} Angstrom" in listener.said[0]
    assert settled_cutoff(found, data, listener) is found
    assert settled_cutoff(given, data, listener, least=6.0) is given  # pair potentials reach beyond all of them


def test_each_other_cutoff_has_to_be_better_by_its_own_margin(monkeypatch):
    data, given = Dataset(silicon_frames(12)), config()
    nearest = float(nearest_distances(data, ["Si"])[0, 0])
    a, b = (round(factor * nearest, 3) for factor in PRESETS["standard"].others)
    for losses, chosen in (((0.94, 0.81), a), ((0.96, 0.81), 5.0), ((0.96, 0.79), b), ((0.7, 0.75), a)):
        of = {5.0: 1.0, a: losses[0], b: losses[1]}
        monkeypatch.setattr("sitewise.training.cutoffs.least_loss", lambda _, table, __, of=of: of[table.cutoff])
        assert settled_cutoff(given, data, Listener()).symmetry_functions.cutoff == chosen


@pytest.mark.parametrize(
    ("table", "symbols"),
    [
        ({}, "Si2"),
        ({"preset": "fast"}, "Si2"),
        ({"preset": "accurate", "cutoff": 5.0}, "Si2"),
        ({"preset": "accurate"}, "SiC"),
        ({"preset": "accurate"}, "Si2"),  # too few labels
    ],
)
def test_other_cutoffs_stay(table, symbols):
    given = config(symmetry_functions=table)
    data = Dataset([replace(s, atoms=Atoms(symbols, positions=s.atoms.positions)) for s in dimers(3)])
    assert settled_cutoff(given, data, Listener()) is given


def test_least_loss_is_that_of_least_squares():
    """Energies and forces, the latter by finite differences of the sums of functions, are fitted with their weights."""
    given = config(symmetry_functions={"preset": "accurate", "cutoff": 4.0})
    data, weight = Dataset(silicon_frames(8)), given.training.force_weight
    functions = choose_functions(given.symmetry_functions, data)
    rows, labels = [], []
    components = sum(3 * len(s.atoms) for s in data)
    offset = np.mean([s.energy / len(s.atoms) for s in data])
    for s in data:
        n = len(s.atoms)
        size = 1 / (n * len(data) ** 0.5)
        rows.append(size * np.append(functions.evaluate(s.atoms).sum(axis=0), n))
        labels.append(size * (s.energy - n * offset))
        for atom, axis in product(range(n), range(3)):
            ends = []
            for step in (-1e-4, 1e-4):
                moved = s.atoms.copy()
                moved.positions[atom, axis] += step
                ends.append(functions.evaluate(moved).sum(axis=0))
            size = (weight / components) ** 0.5
            rows.append(size * np.append((ends[0] - ends[1]) / 2e-4, 0.0))
            labels.append(size * s.forces[atom, axis])
    fit = np.linalg.lstsq(np.array(rows), np.array(labels), rcond=1e-10)[0]
    expected = float(np.sum((np.array(rows) @ fit - labels) ** 2))
    assert fits_of(given, functions, data).least() == pytest.approx(expected, rel=0.02)
