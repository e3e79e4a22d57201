"""Tabulated pair potentials that a network is added to: the spline, derivatives, files, LAMMPS, training, mistakes."""

import pickle
import re

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list
from scipy.interpolate import CubicSpline

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
    structures,
)
from sitewise import Dataset, Error, Potential, _core, train
from sitewise.config import Config
from sitewise.ensemble import Ensemble
from sitewise.io.describe import describe
from sitewise.progress import Reporter
from sitewise.training.baseline import in_lammps, pair_tables, without_baseline
from sitewise.training.inputs import make_inputs

QUIET = Reporter(quiet=True)
CLOSE = ("mixed", "cluster", "slab", "one-atom crystal", "two-atom crystal")
SETTINGS = {"hidden": [4], "iterations": 5, "preset": "fast", "cutoff": 4.5, "posterior": False}


def pair(r, strength, reach):
    """Return energy and force of a smooth pair potential that ends at `reach`."""
    x, well = 1 - r / reach, strength * (np.exp(-1.3 * r) - 0.05)
    energy = well * x**3
    return energy, 1.3 * strength * np.exp(-1.3 * r) * x**3 + 3 * well * x**2 / reach


def table(strength=3.0, first=0.9, reach=3.9, count=61, power=1):
    """Return a table with even steps of a power of the distance."""
    r = np.linspace(first**power, reach**power, count) ** (1 / power)
    r[-1] = reach
    return _core.PairTable(r, *pair(r, strength, reach))


TABLES = {(0, 0): table(2.0, 0.8, 3.0), (0, 1): table(3.0), (1, 1): table(5.0, 1.2, 4.2, power=2)}
BOTH = _core.Baseline(["O", "Si"], (0.7, 1.9), TABLES)


def tabulated(seed=0):
    potential = random_potential(seed)
    potential.baseline = BOTH
    return potential


def spline(table):
    """Return energy and slope of a table as functions of the distance, by SciPy's spline."""
    r, energy, forces = table.distances, table.energies, table.forces
    inside = CubicSpline(r, energy, bc_type=((1, -forces[0]), (1, 0.0)))

    def value(x):
        return np.where(x < r[0], energy[0] - (x - r[0]) * forces[0], np.where(x < r[-1], inside(x), 0.0))

    def slope(x):
        return np.where(x < r[0], -forces[0], np.where(x < r[-1], inside(x, 1), 0.0))

    return value, slope


def of_tables(atoms):
    """Return energy and forces of the tables, by sums over ASE's pairs."""
    i, j, d, D = neighbor_list("ijdD", atoms, 4.3)
    species = arrays(atoms)[0]
    energy, forces = 0.0, np.zeros((len(atoms), 3))
    for (a, b), some in TABLES.items():
        value, slope = spline(some)
        mine = np.flatnonzero((np.minimum(species[i], species[j]) == a) & (np.maximum(species[i], species[j]) == b))
        energy += value(d[mine]).sum() / 2
        np.add.at(forces, i[mine], (slope(d[mine]) / d[mine])[:, None] * D[mine])
    return energy, forces


def zbl_alone():
    potential = random_potential(0)
    potential.baseline = _core.Baseline(["O", "Si"], BOTH.zbl)
    return potential


@pytest.mark.parametrize("name", CLOSE)
def test_tables_are_added_to_the_repulsion(name):
    atoms = structures()[name]
    with_tables, without = (p.compute(*arrays(atoms)) for p in (tabulated(), zbl_alone()))
    energy, forces = of_tables(atoms)
    assert_close(with_tables["energy"] - without["energy"], energy, 1e-10)
    assert_close(with_tables["forces"] - without["forces"], forces, 1e-10, floor=1e-3)


@pytest.mark.parametrize("name", CLOSE)
def test_forces_and_virial_are_the_derivatives(name):
    """The third derivative jumps at the distances of a table, which limits the differences."""
    potential, (species, positions, cell, pbc) = tabulated(), arrays(structures()[name])
    check_derivatives(potential, species, positions, cell, pbc, 1e-4)
    result = potential.compute(species, positions, cell, pbc, virials=True)
    assert_close(result["virials"].sum(axis=0), result["virial"], 1e-12)


def alone():
    """Return a potential whose networks are 0, so that only the tables are left."""
    potential = random_potential()
    potential.weights = np.zeros_like(potential.weights)
    potential.baseline = _core.Baseline(["O", "Si"], None, TABLES)
    return potential


def of_pair(r):
    result = alone().compute(*arrays(Atoms("SiO", positions=[[0, 0, 0], [0, 0, r]])))
    return result["energy"], -result["forces"][1, 2]


@pytest.mark.parametrize("r", [0.3, 0.77, 0.93, 1.711, 2.92, 3.87, 4.1])
def test_force_of_a_pair_is_the_derivative(r):
    assert_close(directional_derivative(lambda h: of_pair(r + h)[0], 1e-3), of_pair(r)[1], 1e-10, floor=1e-2)


def test_energy_slope_and_curvature_are_continuous():
    """At the first distance the curvature jumps, as the force is constant below; energy and force do not jump."""
    distances = TABLES[0, 1].distances
    for r in distances:
        (low, below), (high, above) = of_pair(r - 1e-9), of_pair(r + 1e-9)
        assert abs(low - high) < 1e-7
        assert abs(below - above) < 1e-7
    for r in distances[1:-1]:
        left, right = ((of_pair(r + s * 1e-6)[1] - of_pair(r)[1]) / (s * 1e-6) for s in (-1, 1))
        assert abs(left - right) < 1e-3
    assert of_pair(distances[-1] - 1e-12)[1] == pytest.approx(0.0, abs=1e-10)
    assert of_pair(0.2)[1] == of_pair(0.8)[1] < 0


def test_float32_ensembles_lists_and_devices():
    given = arrays(structures()["mixed"])
    expected = tabulated().compute(*given)
    single = tabulated()
    single.precision = "float32"
    assert_close(single.compute(*given)["energies"], expected["energies"], 1e-4)
    found = _core.Ensemble([tabulated(), tabulated()]).compute(*given)
    assert_close(found["forces"], expected["forces"], 1e-12)
    kept = _core.NeighborList(tabulated().cutoff, skin=0.8)
    assert_close(tabulated().compute(*given, neighbors=kept)["forces"], expected["forces"], 1e-12)
    with pytest.raises(Error, match="different baselines"):
        _core.Ensemble([tabulated(), zbl_alone()])


@pytest.mark.parametrize("device", DEVICES)
def test_devices_add_them(device):
    potential, given = tabulated(), arrays(structures()["mixed"])
    expected = potential.compute(*given)
    potential.device = device
    for key in ("energy", "forces", "virial"):
        assert_close(potential.compute(*given)[key], expected[key], 1e-9)


def test_files_and_pickles_keep_them(tmp_path):
    potential, given = tabulated(), arrays(structures()["cluster"])
    expected = potential.compute(*given)["forces"]
    potential.save(str(tmp_path))
    for copy in (pickle.loads(pickle.dumps(potential)), _core.Potential.load(str(tmp_path))):
        assert copy.baseline == BOTH
        assert np.array_equal(copy.compute(*given)["forces"], expected)
    lines = list(describe(tmp_path, 1.0, 1.0))
    assert "pair potential O-Si: a table of 61 distances from 0.9 to 3.9 Angstrom" in lines
    (tmp_path / "baseline.table").unlink()
    with pytest.raises(Error, match=r"baseline\.table: cannot be read"):
        _core.Potential.load(str(tmp_path))


def test_units_of_a_directory(tmp_path):
    """A table without the tag of units is in those of the directory, one with it in its own."""
    tabulated().save(str(tmp_path))
    path = tmp_path / "baseline.table"
    plain, tagged = tabulated(), (TABLES[1, 1].distances, TABLES[1, 1].energies)
    plain.baseline = None
    input_nn = (tmp_path / "input.nn").read_text()
    (tmp_path / "input.nn").write_text(re.sub("(?m)^(baseline_zbl|baseline_table +O ).*\n", "", input_nn))
    with pytest.raises(Error, match=r"input\.nn:\d+: reaches 4\.2 Angstrom, expected at most the 2\.15 of"):
        _core.Potential.load(str(tmp_path), 2.0, 4.0)
    path.write_text(path.read_text().partition("\n")[2])
    found = _core.Potential.load(str(tmp_path), 2.0, 4.0).baseline.tables[1, 1]
    assert_close(found.distances, tagged[0] / 2, 1e-15)
    assert_close(found.energies, tagged[1] / 4, 1e-15)


def lammps_table(path, some, head="", section="PAIR", spacing="", factor=1.0):
    rows = zip(some.distances, factor * some.energies, factor * some.forces, strict=True)
    lines = [f"{i} {r!r} {e!r} {f!r}" for i, (r, e, f) in enumerate(np.array(list(rows)).tolist(), 1)]
    path.write_text("\n".join([head, section, f"N {len(lines)} {spacing}", "", *lines, ""]))
    return path


def test_formats_of_lammps(tmp_path):
    some = TABLES[0, 1]
    read = _core.PairTable.read
    path = str(tmp_path / "t")
    for head, spacing, factor in (
        ("", "", 1.0),
        ("# from here UNITS: metal", "R 0.9 3.9", 1.0),
        ("# UNITS: real", "FPRIME 1.0 0.0", 23.060549),
    ):
        lammps_table(tmp_path / "t", some, head, "PAIR", spacing, factor)
        assert_close(read(path).energies, some.energies, 1e-14)
        assert_close(read(path, "PAIR").forces, some.forces, 1e-12, floor=1e-3)
    r = np.sqrt(np.linspace(0.81, 15.21, 61))
    squares = _core.PairTable(r, *pair(r, 3.0, 3.9))
    lammps_table(tmp_path / "t", squares, spacing="RSQ 0.9 3.9")
    assert_close(read(path).distances, r, 1e-14)
    text = (tmp_path / "t").read_text()
    (tmp_path / "t").write_text(text + text.replace("PAIR", "OTHER"))
    assert read(path, "OTHER") == read(path, "PAIR")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("PAIR\n", "", "has no section 'PAIR'|has no section \"PAIR\""),
        ("N 61", "M 61", 'has "M", expected N, R, RSQ or FPRIME'),
        ("N 61", "N 61 BITMAP 3 4", 'has "BITMAP"'),
        ("N 61", "N 1", "N is 1, expected 2 to"),
        ("N 61", "N 61 R 0.9", 'lacks values of "R"'),
        ("N 61", "N 61 R 0.9 4.0", r"the distance is 0\.9\d*, expected 0\.95"),
        ("N 61", "N 62", "ends within a table"),
        ("N 61", "N 60", r"ends at 3\.85 Angstrom with the energy .* expected 0 and 0"),
        ("\n2 0.9500000000000001 ", "\n2 0.85 ", r"has the distance 0\.85 after 0\.9"),
        ("\n2 0.9500000000000001 ", "\n2 0.9500000000000001 nan ", "5 words"),
        ("\n2 0.9500000000000001 ", "\n2 nan ", '"nan" is not a finite number'),
        ("\nPAIR", "# UNITS: lj\nPAIR", 'the units are "lj", expected metal or real'),
    ],
)
def test_mistakes_in_a_table(tmp_path, old, new, message):
    path = lammps_table(tmp_path / "t", TABLES[0, 1])
    text = path.read_text()
    assert old in text
    text = text.replace(old, new, 1)
    path.write_text(text.lstrip("\n") if "UNITS" in new else text)
    with pytest.raises(Error, match=message):
        _core.PairTable.read(str(path), "PAIR")


def test_forces_that_do_not_belong_to_the_energies():
    r = np.linspace(0.9, 3.9, 61)
    energy, force = pair(r, 3.0, 3.9)
    for wrong in (-force, 23.06 * force):
        with pytest.raises(Error, match=r"expected .*, minus the slope of its energies"):
            _core.PairTable(r, energy, wrong)
    with pytest.raises(Error, match="slopes of its energies that are not finite"):
        _core.PairTable([1.0, 1.1, 1.2], [0.0, 1e308, 0.0], [0.0] * 3)


def test_tables_of_wrong_pairs_of_elements():
    for pair in ((0, 2), (-1, 0)):
        with pytest.raises(Error, match=rf"elements \({pair[0]}, {pair[1]}\), expected 0 to 1"):
            _core.Baseline(["O", "Si"], tables={pair: table()})
    with pytest.raises(Error, match=r"elements \(1, 0\) have two pair tables"):
        _core.Baseline(["O", "Si"], tables={(0, 1): table(), (1, 0): table(4.0)})


@pytest.mark.slow
def test_lammps_adds_them_by_hybrid_overlay(tmp_path):
    """LAMMPS makes tables of its own from the saved file; they are as near as their number of points allows."""
    atoms = rattled(structures()["cluster"], 0.05)
    atoms.set_cell([40.0, 41.0, 42.0])
    atoms.center()
    alone().save(str(tmp_path))
    lines = list(in_lammps(["O", "Si"], 4.3, alone().baseline))
    assert lines[0] == "pair_style hybrid/overlay hdnnp 4.3 dir DIR table spline 20000"
    assert lines[2] == "pair_coeff 1 1 table DIR/baseline.table O-O"
    pairs = [line.replace(" table DIR", f" {tmp_path}") for line in lines[2:]]
    energy, forces = in_plain_lammps(atoms, ["pair_style table spline 20000", *pairs], tmp_path)
    expected = alone().compute(*arrays(atoms))
    free = sum(alone().atom_energies[e] for e in arrays(atoms)[0])
    assert_close(expected["energy"] - free, energy, 1e-9)
    assert_close(expected["forces"], forces, 1e-4)


def test_labels_without_them(tmp_path):
    frames = silicon_frames(2)
    some = _core.Baseline(["Si"], None, {(0, 0): TABLES[1, 1]})
    for full, rest in zip(Dataset(frames), without_baseline(Dataset(frames), some), strict=True):
        d = neighbor_list("d", full.atoms, 4.2)
        assert_close(full.energy - rest.energy, spline(TABLES[1, 1])[0](d).sum() / 2, 1e-9)
        assert np.abs(full.forces - rest.forces).max() > 0.01
        assert np.abs(full.stress - rest.stress).max() > 1e-5


def test_run_toml(tmp_path):
    lammps_table(tmp_path / "pairs.table", TABLES[1, 1])
    path = tmp_path / "RUN.toml"
    path.write_text('[data]\ntrain = "a.xyz"\n[baseline.pair_tables]\nSi-Si = "pairs.table#PAIR"\n')
    config = Config.load(path)
    assert config.baseline.pair_tables == {"Si-Si": f"{tmp_path}/pairs.table#PAIR"}
    assert config.from_folder(tmp_path).baseline.pair_tables == {"Si-Si": "pairs.table#PAIR"}
    assert pair_tables(config.baseline, ["O", "Si"]) == {(1, 1): TABLES[1, 1]}
    for given, message in (
        ({"Si": "a"}, "expected two elements as in Si-O, found 'Si'"),
        ({"Si-O": "a", "O-Si": "b"}, "O-Si is there twice"),
    ):
        with pytest.raises(Error, match=message):
            Config.of(pair_tables=given)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("Ge-Si", table(), r"\[baseline.pair_tables\] Ge-Si has Ge, which no training structure has"),
        ("Si-Si", table(first=2.8), r"Si-Si begins at 2\.8 Angstrom, expected at most 1\.\d+, the shortest distance"),
        (
            "Si-Si",
            table(reach=4.8),
            r"\[baseline\] pair potentials reach 4\.8 Angstrom, expected at most the 4\.5",
        ),
    ],
)
def test_tables_that_do_not_fit_the_data(tmp_path, name, given, message):
    frames = silicon_frames(3)
    tables = {name: str(lammps_table(tmp_path / "t", given))}
    with pytest.raises(Error, match=message):
        make_inputs(Config.of(**SETTINGS, pair_tables=tables), QUIET, (Dataset(frames), Dataset([])))


@pytest.mark.slow
def test_training_learns_the_rest(tmp_path):
    """With a table in place of the repulsion; a run goes on with the same table alone, and starts with that of its
    potential."""
    frames = silicon_frames(12)
    given = {"Si-Si": str(lammps_table(tmp_path / "t", TABLES[1, 1]))}
    settings = SETTINGS | {"iterations": 30, "hidden": [8], "zbl": [0.8, 1.6], "pair_tables": given, "test": 0.0}
    potential = train(frames, tmp_path / "run", reporter=QUIET, **settings)
    assert potential.core.baseline == _core.Baseline(["Si"], (0.8, 1.6), {(0, 0): TABLES[1, 1]})
    head = (tmp_path / "run" / "potential" / "input.nn").read_text()
    assert "table spline 20000" in head
    assert "#pair_coeff 1 1 table DIR/baseline.table Si-Si" in head.replace("# ", "#")
    errors = [potential.evaluate(f).forces - f.get_forces() for f in frames]
    assert np.sqrt(np.mean(np.square(errors))) < 0.3 * np.sqrt(np.mean([np.mean(f.get_forces() ** 2) for f in frames]))
    start = {"potential": str(tmp_path / "run"), "iterations": 2, "posterior": False, "test": 0.0}
    after = train(frames, tmp_path / "next", reporter=QUIET, **start)
    assert after.core.baseline == potential.core.baseline
    lammps_table(tmp_path / "t", table(2.0, 1.2, 4.2))
    with pytest.raises(Error, match=r"it holds another run: .*pair tables was"):
        train(frames, tmp_path / "run", resume=True, reporter=QUIET, **settings)
    with pytest.raises(Error, match=r"pair_tables are not those of .*run, from which the run starts"):
        train(frames, tmp_path / "other", reporter=QUIET, **start, pair_tables=given)
    Ensemble([potential, after]).save(tmp_path / "ensemble")
    assert Ensemble.load(tmp_path / "ensemble").merged().core.baseline == potential.core.baseline
    assert Potential.load(tmp_path / "run", precision="float32").core.baseline == potential.core.baseline
