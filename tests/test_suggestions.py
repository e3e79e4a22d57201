"""Structures that `sitewise diagnose --suggest` makes, their order and their files."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import read

from sitewise import Dataset, Error, SymmetryFunctions
from sitewise.growing.choice import Known
from sitewise.io.extxyz import write_structures
from sitewise.mapping.acquisition import _Belief, openness_of_rms, ranked_by_bars
from sitewise.mapping.diagnosis import diagnose
from sitewise.mapping.energy_process import EnergyProcess, Measurements, slopes_of
from sitewise.mapping.gaussian import cheapest
from sitewise.mapping.gspace import Embedding
from sitewise.mapping.lattices import nearest_distance, periodic_part, symmetry, without_periods
from sitewise.mapping.suggestion_files import files_of, write_suggestions
from sitewise.mapping.suggestions import Distances, suggestions
from sitewise.mapping.variants import molecules, supercell, thicker
from sitewise.mapping.verdict import verdict
from sitewise.progress import Reporter
from sitewise.reproduce.ad_hoc import LATTICE, slab
from sitewise.reproduce.stillinger_weber import labelled
from sitewise.structures import Structure
from test_bars import crystal, slabs

QUIET = Reporter(quiet=True)
FUNCTIONS = SymmetryFunctions.preset("simple-nn", ["Si"])


def moved(atoms, amplitude=0.06, seed=0):
    copy = atoms.copy()
    copy.positions += np.random.default_rng(seed).normal(0, amplitude, copy.positions.shape)
    return copy


def ball(crystal, n):
    large = crystal * (7, 7, 7)
    away = np.linalg.norm(large.positions - large.cell.array.sum(axis=0) / 2 - [0.3, 0.2, 0.1], axis=1)
    return Atoms(large[np.argsort(away)[:n]].symbols, large.positions[np.argsort(away)[:n]])


def dataset(frames):
    return Dataset([Structure(atoms, None, None, None, "", f"{k}") for k, atoms in enumerate(frames)])


SALT = bulk("NaCl", "rocksalt", a=5.64)
SKEW = Atoms("SiC", [(0, 0, 0), (1.2, 1.1, 1.4)], cell=[[3.1, 0, 0], [0.5, 3.6, 0], [0.4, 0.9, 4]], pbc=True)


@pytest.mark.parametrize(
    ("atoms", "formula", "group", "distance"),
    [
        (moved(bulk("Si", a=5.43, cubic=True) * 2), "Si2", 227, 2.351),
        (moved(slab(8)), "Si2", 227, 2.351),
        (moved(ball(bulk("Si", a=5.43, cubic=True), 38)), "Si2", 227, 2.351),
        (moved(ball(bulk("Cu", a=3.61, cubic=True), 43)), "Cu", 225, 2.553),
        (moved((bulk("Cu", a=3.61, cubic=True) * 2)[1:]), "Cu", 225, 2.553),
        (moved(SALT * (4, 4, 4)), "ClNa", 225, 2.82),
        (moved(SKEW * (4, 4, 4), 0.02), "CSi", 1, nearest_distance(SKEW)),
    ],
    ids=["bulk", "slab", "cluster", "metal cluster", "vacancy", "salt", "triclinic"],
)
def test_crystals_are_found_in_hot_parts_of_them(atoms, formula, group, distance):
    found = periodic_part(atoms)
    assert found.get_chemical_formula() == formula
    assert symmetry(found)[1] == group
    assert nearest_distance(found) == pytest.approx(distance, rel=0.03)


def test_a_disordered_structure_has_no_crystal():
    rng = np.random.default_rng(0)
    gas = Atoms("Si32", rng.uniform(0, 9, (32, 3)), cell=[9, 9, 9], pbc=True)
    assert periodic_part(gas) is None


@pytest.mark.parametrize("pbc", [True, (True, True, False)])
def test_slabs_of_other_thickness(pbc):
    """Layers are taken out and put in; all atoms keep the distances of neighbours."""
    atoms = moved(slab(8), 0.02)
    atoms.pbc = pbc
    atoms.positions[:, 2] += 9  # the faces of the cell divide the slab
    if pbc is True:
        atoms.wrap()
    made = {source.what: source.atoms for source in thicker(type_of(atoms))}
    assert [len(each) for each in made.values()] == [24, 40]
    for each in made.values():
        assert nearest_distance(each) == pytest.approx(2.35, rel=0.02)
        assert without_periods(each).tolist() == [False, False, True]


def type_of(atoms):
    from sitewise.mapping.lattices import Made

    return Made(atoms, "slab")


def test_molecules_are_whole_and_networks_are_none():
    water = molecule("H2O")
    water.positions -= water.positions[0]
    water.cell, water.pbc = np.eye(3) * 6, True
    water.wrap()  # the faces of the cell divide it
    (one,) = molecules(water)
    assert np.ptp(one.positions, axis=0).max() < 2
    assert molecules(bulk("Si", a=5.43)) == []


@pytest.mark.parametrize(
    "frames",
    [
        [moved(slab(8))],
        [bulk("Si", a=5.43)],
        [moved(SALT * 2)],
        [SKEW],
        [moved(molecule("CH3CH2OH"), 0.02, k) for k in range(3)],
        [moved(ball(bulk("Cu", a=3.61, cubic=True), 30))],
        [Atoms("ArAr", [[0, 0, 0], [3.8, 0, 0]])],
        [bulk("Cu", a=3.61), bulk("Au", a=4.08), bulk("Ag", a=4.09), bulk("Pd", a=3.89), bulk("Ni", a=3.52)],
    ],
    ids=["slab", "cell", "salt", "triclinic", "molecule", "cluster", "pair", "five elements"],
)
def test_what_is_made_is_plausible(frames):
    """It has elements of the data, no atoms closer than in them, and no copies; it has free atoms."""
    data = dataset(frames)
    made = suggestions(data, None, 6.0, QUIET)
    symbols = {symbol for atoms in frames for symbol in atoms.symbols}
    distances = Distances(frames, sorted(symbols))
    assert all(set(s.atoms.symbols) <= symbols and distances.plausible(s.atoms) for s in made)
    assert {str(s.atoms.symbols) for s in made if len(s.atoms) == 1} >= symbols
    assert len({s.source for s in made}) > 3
    again = suggestions(data, None, 6.0, QUIET)
    assert [s.source for s in again] == [s.source for s in made]
    assert all(np.array_equal(a.atoms.positions, b.atoms.positions) for a, b in zip(made, again, strict=True))


def test_close_atoms_are_implausible():
    distances = Distances([bulk("Si", a=5.43)], ["Si"])
    assert distances.plausible(bulk("Si", a=5.2))
    assert not distances.plausible(bulk("Si", a=4.9))
    assert not distances.plausible(Atoms("Si3", [[0, 0, 0], [2.35, 0, 0], [30, 0, 0]]))
    assert distances.plausible(Atoms("Si"))


def process_of(data, targets, more=()):
    embedding = Embedding.of(Dataset(data), FUNCTIONS)
    wanted, others = embedding.embed(Dataset(targets)).placed, embedding.embed(Dataset(more))
    return EnergyProcess(Measurements.of(embedding), [embedding.placed, wanted]), wanted, others


def test_reached_bars_are_those_of_a_dense_covariance():
    """Bars with a candidate's energy and forces, and what is learned of it, follow from the prior's covariance."""
    data, targets = slabs(6), [crystal(), crystal(5.3)]
    process, wanted, more = process_of(data, targets, [crystal(5.5), *slabs(1, layers=6, seed=3)])
    belief = _Belief(process, wanted)
    np.testing.assert_allclose(belief.bars(), process.deviations(wanted), rtol=1e-9)
    one = more.placed.of(np.array([1]))
    energy = belief.sees(one)
    np.testing.assert_allclose(belief.reached_by_energies(energy)[0], belief.reached(energy), rtol=1e-9)
    slopes = [slopes_of(more, 1, 6)]
    measured, other = belief.sees(one, slopes), belief.sees(more.placed)
    reached = belief.reached(measured)
    rows, own = process.energies(wanted)
    columns, noise = process.measurable(one, slopes)
    known, known_noise = process._noisy(process._rows, len(data))
    both, all_noise = np.vstack([known, columns]), np.concatenate([known_noise, noise])
    shared = rows @ both.T
    left = rows @ rows.T - shared @ np.linalg.solve(both @ both.T + np.diag(all_noise), shared.T)
    np.testing.assert_allclose(reached, np.sqrt(np.diag(left) + own), rtol=1e-5)
    belief.learn(measured, other)
    np.testing.assert_allclose(belief.bars(), reached, rtol=1e-6)
    np.testing.assert_allclose(other.roots, belief.sees(more.placed).roots, atol=1e-9)
    assert (reached < process.deviations(wanted)).all()


def test_order_by_bars_accounts_for_those_before_and_for_costs():
    """A copy of the first comes last, and a cell comes before its larger copy."""
    data, targets = slabs(6), [crystal()]
    large = labelled(bulk("Si", "diamond", a=LATTICE) * (2, 2, 1), "crystal")
    process, wanted, more = process_of(data, targets, [large, crystal(), crystal(), *slabs(1, seed=9)])
    costs = np.array([len(s.atoms) ** 3.0 for s in more.data])
    before, _, order = ranked_by_bars(process, more, wanted, costs, 0.01, lambda: None)
    assert order[0].candidate in (1, 2)
    assert order[0].reached[0] < 0.05 * before[0]
    reached = [pick.reached[0] for pick in order]
    assert max(reached[1:]) <= 1.05 * reached[0]
    assert reached[1] == pytest.approx(reached[0] / np.sqrt(2), rel=0.02)  # the noise of two equal measurements
    assert sorted(pick.candidate for pick in order) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("left", "costs", "picked"),
    [
        ([0.1, 0.2], [15, 15], 0),
        ([0.1, 0.12], [100, 10], 1),
        ([0.1, 0.12], [16, 15], 0),  # no cheaper to speak of
        ([0.1, 0.12, 0.11], [100, 10, 15], 2),
        ([0.1, 0.16], [100, 10], 0),
        ([0.5, 0.72], [100, 10], 0),  # gains less than half as much
    ],
)
def test_a_cheaper_candidate_is_picked_if_it_is_nearly_as_good(left, costs, picked):
    assert cheapest(0.0, np.log(left), np.array(costs, dtype=float)) == picked


def test_rms_of_bars_levels_off_below_the_accuracy():
    bars = np.array([[0.003, 0.004], [1e-9, 1e-9]])
    np.testing.assert_allclose(np.exp(openness_of_rms(bars, 0.01)) ** 2, [1.25e-5 + 6.25e-6, 6.25e-6])
    assert np.isnan(openness_of_rms(np.array([np.nan, 1.0]), 0.01))


def test_a_growth_labels_what_it_visits():
    """The target, a perfect crystal, is known to a few meV from warm ones. Its copy would tell of it alone."""
    warm = [labelled(moved(bulk("Si", a=LATTICE, cubic=True), 0.1, k), "warm") for k in range(3)]
    known = Known.of(Dataset(warm), Dataset([crystal()]), FUNCTIONS)
    assert known.bars()[0] < 0.01
    assert known.best(Dataset([crystal(), *slabs(1, layers=4)]), 1, 1e-4, QUIET) == [1]


def test_forces_of_candidates_count_where_data_have_forces():
    """A slab of other thickness tells more of the crystal with its forces than without."""
    reached = []
    for data in (slabs(6), [replace(s, forces=None) for s in slabs(6)]):
        process, wanted, more = process_of(data, [crystal()], slabs(1, layers=6, seed=3))
        _, _, (pick,) = ranked_by_bars(process, more, wanted, np.ones(1), 0.01, lambda: None)
        assert process.with_forces is (data[0].forces is not None)
        belief = _Belief(process, wanted)
        energy_alone = belief.reached(belief.sees(more.placed))
        reached.append(bool(np.isclose(pick.reached[0], energy_alone[0], rtol=1e-9)))
    assert reached == [False, True]


@pytest.fixture(scope="module")
def suggested(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suggest")
    write_structures(folder / "data.xyz", slabs(8, layers=6))
    write_structures(folder / "aim.xyz", [crystal()])
    arguments = ["data.xyz", "--target", "aim.xyz", "--suggest", "add.xyz", "--json", "found.json", "--out", "report"]
    command = [sys.executable, "-m", "sitewise", "diagnose", *arguments, "-q"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder)
    assert run.returncode == 0, run.stderr
    return folder, run.stdout


@pytest.mark.slow
def test_a_cell_mends_slabs(suggested):
    """The verdict names file, structure and bars; the JSON and the file agree; the bar is reached."""
    folder, text = suggested
    rows = json.loads((folder / "found.json").read_text())["suggestions"]
    assert "add first add.xyz, structure 0 (Si2, primitive cell of diamond" in text
    assert "2 atoms): the bar of aim.xyz, structure 0 (Si2) falls from " in text
    frames = read(folder / "add.xyz", ":")
    assert [row["name"] for row in rows] == [f"add.xyz, structure {k}" for k in range(len(frames))]
    assert [(row["n_atoms"], row["cost"]) for row in rows] == [(len(atoms), len(atoms) ** 3) for atoms in frames]
    assert rows[0]["after"] == pytest.approx(rows[0]["mends"]["after"])
    more = [*slabs(8, layers=6), labelled(frames[0], "suggestion")]
    found = diagnose(Dataset(more), FUNCTIONS, target=Dataset([crystal()]), reporter=QUIET).judgement.targets[0]
    assert found.bar < 0.1 * rows[0]["before"]
    assert found.bar == pytest.approx(rows[0]["after"], rel=1.5, abs=0.002)


def test_without_labels_a_cell_is_suggested_too():
    unlabelled = dataset([s.atoms for s in slabs(8)])
    found = diagnose(unlabelled, FUNCTIONS, target=dataset([crystal().atoms]), reporter=QUIET, suggest=path("x.xyz"))
    first = found.judgement.suggestions[0]
    assert first.what in ("Si2, primitive cell of diamond", "Si2, one of the targets")
    assert (first.before, first.after, first.mends) == (None, None, None)
    assert first.left < 0.3
    assert any("% of what is open is left" in line for line in verdict(found))


def path(name):
    from pathlib import Path

    return Path(name)


def test_formats(tmp_path):
    """POSCAR and CP2K have a file for each; what has no cell gets one there, and the folder has all."""
    made = [
        Structure(bulk("NaCl", "rocksalt", a=5.64), None, None, None, "", "salt"),
        Structure(Atoms("Na"), None, None, None, "", "free atom"),
    ]
    for name in ("a.xyz", "b.poscar", "c.inp", "d"):
        write_suggestions(tmp_path / name, made)
    assert [len(atoms) for atoms in read(tmp_path / "a.xyz", ":")] == [2, 1]
    assert read(tmp_path / "b-00.poscar", format="vasp").get_volume() == pytest.approx(5.64**3 / 4)
    assert read(tmp_path / "b-01.poscar", format="vasp").cell.lengths() == pytest.approx(12)
    assert "PERIODIC XYZ" in (tmp_path / "c-00.inp").read_text()
    assert "PERIODIC NONE" in (tmp_path / "c-01.inp").read_text()
    assert {file.name for file in (tmp_path / "d").iterdir()} == {
        *("suggestions.xyz", "00.poscar", "01.poscar", "00.inp", "01.inp")
    }
    with pytest.raises(Error, match=r"no format for suggestions with the suffix \.cif"):
        files_of(tmp_path / "x.cif", 1)


def test_supercells_are_compact():
    assert supercell(bulk("Cu", a=3.61), 9).cell.lengths() == pytest.approx([2 * 3.61 / 2**0.5] * 3)


def test_small_targets_are_suggested_themselves():
    """A hot target that nothing is like is among what is made, once; without targets it is not."""
    target = moved(bulk("Si", "fcc", a=3.9) * (2, 2, 2), 0.1)
    data = dataset([moved(slab(6))])
    sources = [s.source for s in suggestions(data, dataset([target, target]), 6.0, QUIET)]
    assert sources.count("Si8, one of the targets") == 1
    assert "Si8, one of the targets" not in [s.source for s in suggestions(data, None, 6.0, QUIET)]
