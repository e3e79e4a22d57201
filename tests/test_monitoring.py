"""Invariant points are followed during training, and an ad hoc mapping is reported."""

import csv
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from matplotlib.image import imread

from checks import silicon_frames
from sitewise import Dataset, Error, SymmetryFunctions, train
from sitewise.features.source import FeatureSource
from sitewise.mapping import invariants
from sitewise.mapping.gspace import Environments, GSpace
from sitewise.mapping.invariants import extrapolated, spread
from sitewise.progress import Reporter
from sitewise.training.monitoring import AdHocWatch, Monitor, _near
from sitewise.training.run import Run

QUIET = Reporter(quiet=True)
RUN = """
[data]
train = "train.xyz"
test = 0.25
[symmetry_functions]
preset = "auto"
cutoff = 5.0
[network]
hidden = [6, 5]
[training]
iterations = 20
[invariants]
data = {data}
"""


def crystal(a, energy=-5.0, lattice="diamond"):
    atoms = bulk("Si", lattice, a=a)
    atoms.calc = SinglePointCalculator(atoms, energy=energy * len(atoms))
    return atoms


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write(tmp_path / "train.xyz", silicon_frames(12))
    write(tmp_path / "crystals.xyz", [crystal(5.4), crystal(5.43), crystal(3.0, lattice="sc")])
    monkeypatch.chdir(tmp_path)

    def write_run(data='"crystals.xyz"'):
        (tmp_path / "run.toml").write_text(RUN.format(data=data))
        return tmp_path / "run.toml"

    return write_run


@pytest.mark.slow
@pytest.mark.usefixtures("pictures")
def test_deltas_are_in_log_picture_and_errors(folder, tmp_path):
    potential = train(folder(), tmp_path / "out", reporter=QUIET)
    with (tmp_path / "out" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name.startswith("delta ")]
    assert [name.split()[1] for name in names] == ["crystals:0", "crystals:1", "crystals:2"]
    assert names[2].endswith("(extrapolation)")
    expected = [
        potential.evaluate(atoms).energies[0] + 5.0
        for atoms in (crystal(5.4), crystal(5.43), crystal(3.0, lattice="sc"))
    ]
    np.testing.assert_allclose([float(rows[-1][name]) for name in names], expected, rtol=1e-4)
    table = json.loads((tmp_path / "out" / "errors.json").read_text())["invariants"]
    np.testing.assert_allclose([point["delta"] for point in table], expected, rtol=1e-9)
    assert table[2]["extrapolation"]
    assert imread(tmp_path / "out" / "learning_curves.png").shape[1] == 4 * 690


@pytest.mark.slow
def test_found_in_the_data_once_and_never_if_not_wanted(folder, tmp_path, capsys):
    turned = crystal(5.4)
    turned.rotate(30, "z", rotate_cell=True)
    write(tmp_path / "train.xyz", [*silicon_frames(12), crystal(5.4), turned])
    run = folder('"auto"')
    run.write_text(run.read_text().replace("test = 0.25", "test = 0"))
    train(run, tmp_path / "out", reporter=Reporter())
    assert "1 invariant points are followed, 0 of them" in capsys.readouterr().err
    train(folder("[]"), tmp_path / "none", reporter=QUIET)
    assert "delta" not in (tmp_path / "none" / "log.csv").read_text()


@pytest.mark.slow
def test_a_resumed_run_gives_the_same_log(folder, tmp_path, monkeypatch):
    config = folder()
    train(config, tmp_path / "whole", reporter=QUIET)
    save = Run.save

    def halting(self):
        save(self)
        if self.state.iteration == 11:
            raise KeyboardInterrupt

    monkeypatch.setattr(Run, "save", halting)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "parts", reporter=QUIET)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    train(config, tmp_path / "parts", resume=True, reporter=QUIET)
    logs = [
        [line.split(",")[:11] + line.split(",")[12:] for line in (tmp_path / name / "log.csv").read_text().split()]
        for name in ("whole", "parts")
    ]
    assert logs[0] == logs[1]
    with (tmp_path / "parts" / "log.csv").open() as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    assert seconds == sorted(seconds)  # those before the interruption count too


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (silicon_frames(1)[0], "crystals.xyz, structure 0: is not an invariant point"),
        (bulk("Si", a=5.4), "an invariant point needs an energy"),
        (Atoms("Si", [[0, 0, 0]], calculator=None), "is not an invariant point"),
        (bulk("Ge", a=5.6), "has Ge, which no training structure has"),
    ],
)
def test_points_that_are_none(folder, tmp_path, atoms, message):
    write(tmp_path / "crystals.xyz", [atoms, crystal(5.4)])
    with pytest.raises(Error, match=message):
        train(folder(), tmp_path / "out", reporter=QUIET)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_points_that_are_none_on_the_command_line(folder, tmp_path):
    write(tmp_path / "crystals.xyz", [crystal(5.4), silicon_frames(1)[0]])
    command = [sys.executable, "-m", "sitewise", "train", str(folder()), "--out", "out", "-q"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 2
    assert (
        "crystals.xyz, structure 1: is not an invariant point: a crystal whose atoms are all equivalent" in run.stderr
    )
    assert "Traceback" not in run.stderr


def test_unknown_key(folder):
    path = folder()
    path.write_text(path.read_text().replace("[invariants]", "[invariants]\nfile = 1"))
    with pytest.raises(Error, match=r"\[invariants\] file: unknown key"):
        train(path, path.parent / "out", reporter=QUIET)


def test_the_warning_names_the_worst_point_that_counts(tmp_path):
    write(tmp_path / "c.xyz", [crystal(5.4), crystal(5.43), crystal(3.0, lattice="sc")])
    write(tmp_path / "t.xyz", silicon_frames(8))
    functions = SymmetryFunctions.preset("auto", ["Si"], 5.0)
    data = Dataset.read(tmp_path / "t.xyz", reporter=QUIET)
    points = list(Dataset.read(tmp_path / "c.xyz", reporter=QUIET))
    monitor = Monitor.of(points, functions, FeatureSource().prepare(data, functions, ""), data)
    assert monitor.counted.tolist() == [True, True, False]
    log = np.array([[0.02, 0.3, 2.0]] * 30)
    text = monitor.warning(log, 0.001, 6)
    assert "c:1 is wrong by +300 meV" in text
    assert "Add structures" in text
    assert monitor.warning(log, 0.05, 6) is None
    assert monitor.note(log[-1]) == " Δ +300.0 meV"
    causes = monitor.causes(log[-1], 0.001)
    assert causes[1:] == ["mapping", "extrapolation"]
    assert "1 not counted" in monitor.summary(log[-1], causes)
    assert "extrapolation at 1" in monitor.summary(log[-1], causes)


def test_points_are_near_the_data_wherever_these_are(tmp_path, monkeypatch):
    """The nearest environments of a sample of the atoms, some of them in structures without a sampled atom."""
    write(tmp_path / "t.xyz", silicon_frames(8))
    functions = SymmetryFunctions.preset("auto", ["Si"], 5.0)
    data = Dataset.read(tmp_path / "t.xyz", reporter=QUIET)
    prepared = FeatureSource().prepare(data, functions, "")
    space = GSpace.prepared(prepared, [functions.core.count(0)])
    known = space.coordinates(Environments.of(data, functions), 0)
    for sample in (5, 2000):
        monkeypatch.setattr(invariants, "SAMPLE", sample)
        limit = spread(known)
        steps = np.linspace(0, 2, 41) * limit / np.sqrt(known.shape[1])
        places = known[13] + steps[:, None] * np.sign(known[13] - known.mean(axis=0))
        expected = ~extrapolated(known, places)
        assert 0 < expected.sum() < len(places)
        assert np.array_equal(_near(prepared, space, 0, places), expected)


def test_the_worst_point_may_be_too_low(tmp_path):
    """A negative error is as bad as a positive one."""
    write(tmp_path / "c.xyz", [crystal(5.4), crystal(5.43)])
    write(tmp_path / "t.xyz", silicon_frames(8))
    functions = SymmetryFunctions.preset("auto", ["Si"], 5.0)
    data = Dataset.read(tmp_path / "t.xyz", reporter=QUIET)
    points = list(Dataset.read(tmp_path / "c.xyz", reporter=QUIET))
    monitor = Monitor.of(points, functions, FeatureSource().prepare(data, functions, ""), data)
    assert monitor.counted.all()
    for signs in ([1, -1], [-1, -1]):
        errors = np.array([0.02, 0.3]) * signs
        assert "c:1 is wrong by -300 meV" in monitor.warning(np.array([errors] * 30), 0.001, 6)
        assert monitor.note(errors) == " Δ -300.0 meV"
        summary = monitor.summary(errors, [None, None])
        assert "wrong by 212.6 meV (RMS of 2), at most -300.0 meV at c:1" in summary


def test_the_warning_comes_once_in_the_second_half_of_the_run():
    told = []
    monitor = SimpleNamespace(warning=lambda log, rmse, window: f"{log.shape} {rmse} {window}")
    watch = AdHocWatch(monitor, points=20, reporter=SimpleNamespace(warn=told.append))
    for points in range(1, 21):
        watch.look(np.zeros((points, 2)), 0.25)
    assert told == ["(10, 2) 0.25 4"]
