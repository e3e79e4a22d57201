"""Why an energy is wrong, and elements whose atomic energies mean nothing."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from sitewise import Dataset, SymmetryFunctions
from sitewise.mapping.bars import Bar, cause_of_error, causes_at_crystals
from sitewise.mapping.diagnosis import diagnose
from sitewise.mapping.gauges import Gauge, gauges
from sitewise.mapping.gspace import Embedding
from sitewise.mapping.models import ColumnModel
from sitewise.mapping.verdict import verdict
from sitewise.progress import Reporter
from sitewise.reproduce.ad_hoc import bulk_cell, made
from sitewise.reproduce.stillinger_weber import labelled, stillinger_weber
from sitewise.structures import Structure

QUIET = Reporter(quiet=True)
SLABS, BOTH = {"8 layers": 10}, {"8 layers": 10, "bulk": 5}


@pytest.mark.parametrize(
    ("error", "rmse", "bar", "why", "far", "expected"),
    [
        (0.3, 0.001, 0.1, "mapping", False, "mapping"),
        (0.3, 0.001, 0.1, "mapping", True, "mapping"),
        (-0.3, 0.001, 0.1, "extrapolation", False, "extrapolation"),
        (0.3, 0.001, 0.1, "data", False, "fit"),
        (0.3, 0.001, 0.002, None, False, "fit"),
        (0.3, 0.001, 0.002, None, True, "extrapolation"),
        (0.3, 0.05, 0.002, None, True, "fit"),  # totals are no better
        (0.3, 0.05, 0.1, "mapping", False, "fit"),
        (0.3, 0.05, 0.4, "mapping", False, "mapping"),  # but the data do not determine it
        (0.009, 0.0001, 0.1, "mapping", False, None),
        (float("nan"), 0.001, 0.1, "mapping", False, None),
        (0.3, None, 0.1, "mapping", False, None),
    ],
)
def test_the_rule(error, rmse, bar, why, far, expected):
    assert cause_of_error(error, rmse, Bar(bar, why), far) == expected
    assert cause_of_error(error, rmse, None, far) is None


def with_energies(structures, moved):
    """Return a data set whose atomic energies are those of Stillinger and Weber and what `moved` adds to them."""
    for s in structures:
        s.atoms.arrays["mine"] = stillinger_weber(s.atoms)[0] + moved(s)
    return Dataset(structures)


def inside(s):
    """Energy that moves from the outer layers of a slab into it, at constant sum, and to the perfect crystal."""
    if s.group != "8 layers":
        return np.full(len(s.atoms), 0.1)
    order = np.argsort(np.argsort(np.abs(s.atoms.positions[:, 2] - s.atoms.positions[:, 2].mean())))
    return np.where(order < 24, 0.1, -0.3)


def only_targets(s):
    return np.full(len(s.atoms), 0.05 if s.group == "crystal" else 0.0)


@pytest.mark.parametrize(
    ("kinds", "moved", "stretch", "cause", "words"),
    [
        (SLABS, inside, 1.0, "mapping", "ad hoc mapping: totals are right"),
        (BOTH, only_targets, 1.0, "fit", "misfit: "),
        (BOTH, only_targets, 0.85, "extrapolation", "extrapolation: "),
    ],
)
def test_what_is_wrong(kinds, moved, stretch, cause, words):
    data = with_energies(made(kinds, 0), moved)
    target = with_energies([labelled(bulk_cell(stretch), "crystal")], moved)
    functions = SymmetryFunctions.preset("auto", ["Si"], 5.0)
    found = diagnose(data, functions, ColumnModel("mine", 1.0), target=target, reporter=QUIET)
    point = found.accuracy.invariants[-1]
    assert abs(point.delta) > 0.04
    assert point.cause == cause
    assert [(error.error, error.cause) for error in found.accuracy.target_errors] == [
        (pytest.approx(point.delta), cause)
    ]
    assert verdict(found)[0].startswith(words)
    assert found.to_json()["invariants"][-1]["cause"] == cause


def embedding_of(*formulas, energies=None):
    """Return structures with these formulas, all with an energy unless those are given."""
    rng = np.random.default_rng(0)
    structures = []
    for k, formula in enumerate(formulas):
        atoms = Atoms(formula, cell=[9, 9, 9], pbc=True)
        atoms.positions = rng.uniform(0, 9, (len(atoms), 3))
        energy = 1.0 if energies is None or energies[k] else None
        structures.append(Structure(atoms, energy, None, None, "", ""))
    data = Dataset(structures)
    return Embedding.of(data, SymmetryFunctions.preset("auto", data.elements, 4.0))


@pytest.mark.parametrize(
    ("formulas", "expected"),
    [
        (["H2O", "H4O2"], [Gauge(["H", "O"], "composition")]),
        (["CuAu", "Cu3Au"], [Gauge(["Cu", "Au"], "pairs")]),
        (["Cu2", "Au3"], []),
        (["Si4"], []),
        (["SiO2", "SiO2H2O"], [Gauge(["H", "O", "Si"], "composition")]),
        (["CH4", "C2H6", "H2O"], [Gauge(["H", "C"], "pairs"), Gauge(["H", "O"], "pairs")]),
        (["CH3OH", "NaCl"], [Gauge(["H", "C", "O"], "composition"), Gauge(["Na", "Cl"], "composition")]),
    ],
)
def test_elements_that_mean_nothing_alone(formulas, expected):
    assert gauges(embedding_of(*formulas)).meaningless == expected


def test_an_element_without_energy_is_no_gauge():
    """Another sentence names it."""
    assert gauges(embedding_of("Cu2", "CuAu2", energies=[True, False])).meaningless == []


def test_words_for_each_element():
    salt = [
        Structure(a, -14.0, None, None, "w", "w") for a in (bulk("NaCl", "rocksalt", a=5.6 + k / 9) for k in (0, 1))
    ]
    found = diagnose(Dataset(salt), SymmetryFunctions.preset("auto", ["Na", "Cl"], 5.0), reporter=QUIET)
    assert any("between Na and Cl is free" in line and "of Cl alone mean nothing" in line for line in verdict(found))
    assert found.to_json()["meaningless"] == [{"elements": ["Na", "Cl"], "by": "composition"}]


def test_a_right_crystal_near_the_data_shows_that_the_mapping_is_right():
    """Far crystals of its element are then extrapolation, whatever their bar says."""
    bars = [Bar(0.005, None), Bar(0.5, "mapping"), Bar(0.5, "mapping")]
    deltas, far = [0.002, 0.3, 0.3], [False, True, True]
    assert causes_at_crystals(deltas, 0.005, bars, far, [0, 0, 1]) == [None, "extrapolation", "mapping"]
    assert causes_at_crystals([0.3, 0.3, 0.3], 0.005, bars, far, [0, 0, 0])[1:] == ["mapping", "mapping"]
