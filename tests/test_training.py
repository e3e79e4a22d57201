"""Training runs: what they write, that they are reproducible, and that an interruption loses nothing."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from checks import DEVICES, Listener, assert_close, directional_derivative, rattled, silicon_frames
from sitewise import Dataset, Ensemble, Error, Potential, SymmetryFunctions, _core, train
from sitewise.config import Config, Functions, tomllib
from sitewise.evaluation.comparison import Comparison, Pairs, compare
from sitewise.evaluation.errors import error_table, outliers
from sitewise.features.selection import choose_functions, useless_functions
from sitewise.features.source import FeatureSource
from sitewise.presets import nearest_distances
from sitewise.progress import Reporter
from sitewise.ranks import Usage
from sitewise.signals import Interrupted, Stop
from sitewise.structures import Structure
from sitewise.training import optimizers
from sitewise.training.checkpoint import State
from sitewise.training.data import read_data
from sitewise.training.inputs import make_inputs
from sitewise.training.optimizers import Step
from sitewise.training.parameters import atomic_offsets, initial_potential, whitened_parameters
from sitewise.training.prepared import Losses
from sitewise.training.run import Run, begin_run
from sitewise.training.seconds import Seconds, Stopwatch
from sitewise.training.student import lessons

pytestmark = pytest.mark.slow

QUIET = Reporter(quiet=True)
RUN = """
[data]
train = "train.xyz"
test = {test}
[symmetry_functions]
preset = "auto"
cutoff = 5.0
[network]
hidden = [6, 5]
[training]
optimizer = "{optimizer}"
iterations = {iterations}
force_weight = 0.3
stress_weight = 3.0
{more}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Make a folder with training data and a function that writes a RUN.toml."""
    write(tmp_path / "train.xyz", silicon_frames(12))
    monkeypatch.chdir(tmp_path)

    def write_run(iterations=40, test="0.25", more="", optimizer="adam"):
        more = more if "l2" in more else f"l2 = 1e-6\n{more}"
        text = RUN.format(iterations=iterations, test=test, more=more, optimizer=optimizer)
        (tmp_path / "run.toml").write_text(text)
        return tmp_path / "run.toml"

    return write_run


def weights(folder):
    return Potential.load(folder / "potential").core.weights


def rows_of(folder):
    """Return the rows of log.csv."""
    return list(csv.DictReader((folder / "log.csv").read_text().splitlines()))


@pytest.mark.usefixtures("pictures")
def test_outputs(folder, tmp_path):
    potential = train(folder(), tmp_path / "out", reporter=QUIET)
    out = tmp_path / "out"
    names = {"potential", "training.toml", "log.csv", "errors.json", "outliers.csv", "checkpoint.npz"}
    pictures = {"learning_curves.png", "error_distributions.png", "correlation.png"}
    assert {path.name for path in out.iterdir()} == names | pictures
    files = {"input.nn", "scaling.data", "weights.014.data", "posterior.data"}
    assert {p.name for p in (out / "potential").iterdir()} == files
    errors = json.loads((out / "errors.json").read_text())
    assert {"train", "test", "cpu_seconds", "wall_seconds", "peak_memory_mb"} == set(errors)
    kinds = {f"{kind}_{measure}" for kind in ("energy", "force", "stress") for measure in ("rmse", "mae", "max")}
    assert set(errors["test"]) == kinds | {"n_structures", "n_atoms", "groups"}
    assert (errors["train"]["n_structures"], errors["test"]["n_structures"]) == (9, 3)
    rows = rows_of(out)
    assert [int(row["iteration"]) for row in rows] == list(range(1, 41))
    batches = [float(row["epoch"]) * 9 / float(row["iteration"]) for row in rows]
    assert batches == pytest.approx([Config.load(tmp_path / "run.toml").training.batch(9)] * 40, rel=1e-5)
    assert float(rows[-1]["energy_rmse"]) == pytest.approx(errors["train"]["energy_rmse"], rel=1e-4)
    assert float(rows[-1]["test_force_rmse"]) == pytest.approx(errors["test"]["force_rmse"], rel=1e-4)
    assert repr(potential).startswith("Potential(Si 24-6-5-1")
    assert "sha256" in (out / "potential" / "input.nn").read_text()


def test_training_lowers_the_errors(folder, tmp_path):
    train(folder(iterations=2000, more="learning_rate = [0.01, 0.0005]"), tmp_path / "out", reporter=QUIET)
    errors = json.loads((tmp_path / "out" / "errors.json").read_text())
    forces = np.concatenate([a.get_forces().ravel() for a in silicon_frames(12)])
    assert errors["train"]["force_rmse"] < 0.25 * forces.std()


def test_saved_potential_gives_the_numbers_of_the_run(folder, tmp_path):
    potential = train(folder(), tmp_path / "out", reporter=QUIET)
    loaded = Potential.load(tmp_path / "out" / "potential")
    loaded.save(tmp_path / "again")
    again = Potential.load(tmp_path / "again")
    for atoms in read(tmp_path / "train.xyz", ":"):
        results = [p.evaluate(atoms) for p in (potential, loaded, again)]
        for name in ("energy", "energies", "forces", "stress", "features", "extrapolation"):
            first, *others = [getattr(result, name) for result in results]
            assert all(np.array_equal(first, other) for other in others)
    errors = json.loads((tmp_path / "out" / "errors.json").read_text())
    data = Dataset.read(tmp_path / "train.xyz", reporter=QUIET)
    train_data, test_data = data.split(0.25, np.random.default_rng([0, 0]))
    assert error_table(compare(loaded, train_data, "", QUIET)) == errors["train"]
    assert error_table(compare(loaded, test_data, "", QUIET)) == errors["test"]


def test_one_seed_gives_one_result_whatever_the_threads(folder, tmp_path):
    threads = _core.get_threads()
    try:
        for n in (1, 2):
            _core.set_threads(n)
            train(folder(), tmp_path / f"out{n}", reporter=QUIET)
    finally:
        _core.set_threads(threads)
    assert np.array_equal(weights(tmp_path / "out1"), weights(tmp_path / "out2"))
    train(folder(more="seed = 1"), tmp_path / "other", reporter=QUIET)
    assert not np.array_equal(weights(tmp_path / "out1"), weights(tmp_path / "other"))


def test_recomputed_derivatives_train_to_the_same_potential(folder, tmp_path):
    train(folder(), tmp_path / "cached", reporter=QUIET)
    train(folder(more="memory_budget = 0.0"), tmp_path / "recomputed", reporter=QUIET)
    difference = np.abs(weights(tmp_path / "cached") - weights(tmp_path / "recomputed"))
    assert difference.max() < 1e-3  # single precision in the cache, amplified by Adam's division


@pytest.mark.parametrize("optimizer", ["lbfgs", "gn-lbfgs", "lm"])
def test_second_order_optimizers_lower_the_loss_at_each_iteration(folder, tmp_path, optimizer):
    train(folder(iterations=100, test="0", optimizer=optimizer), tmp_path / "out", reporter=QUIET)
    rows = rows_of(tmp_path / "out")
    losses = np.array([float(row["loss"]) for row in rows])
    assert losses[-1] < 1e-2 * losses[0]
    assert np.all(np.diff(losses) < 1e-4 * losses[0])  # L2 and rounding aside, they never go up
    assert rows[-1]["learning_rate"] == ""


@pytest.mark.parametrize(
    ("optimizer", "few"),
    [("lbfgs", 0), ("gn-lbfgs", 0), ("gn-lbfgs", np.inf), ("lm", 0), ("lm", np.inf)],
)
def test_any_checkpoint_leads_to_the_same_end(folder, tmp_path, optimizer, few, monkeypatch):
    """The run stops at an iteration that is neither one of rebuilding nor a log point. The Gauss-Newton matrix is its
    rows (`few` = 0) or is made."""
    monkeypatch.setattr(optimizers, "FEW", few)
    run = folder(iterations=70, optimizer=optimizer)
    train(run, tmp_path / "whole", reporter=QUIET)

    class Halt(Exception):
        pass

    iterate = Run.iterate

    def halting(self):
        if self.state.iteration == 57:
            raise Halt
        iterate(self)
        self.save()

    monkeypatch.setattr(Run, "iterate", halting)
    with pytest.raises(Halt):
        train(run, tmp_path / "out", reporter=QUIET)
    monkeypatch.setattr(Run, "iterate", iterate)
    train(run, tmp_path / "out", resume=True, reporter=QUIET)
    assert np.array_equal(weights(tmp_path / "out"), weights(tmp_path / "whole"))
    assert len(rows_of(tmp_path / "out")) == 70


def test_diverging_run_names_its_place_and_keeps_the_best(folder, tmp_path):
    run = folder(iterations=400, more="learning_rate = [1e-3, 1e12]")
    message = r"the loss is .* at iteration \d+ \(learning rate .*\), .*worst is .*train.xyz, structure \d+; the best"
    with np.errstate(all="ignore"), pytest.raises(Error, match=message):
        train(run, tmp_path / "out", reporter=QUIET)
    best = Potential.load(tmp_path / "out" / "potential")
    data = Dataset.read(tmp_path / "train.xyz", reporter=QUIET)
    _, test_data = data.split(0.25, np.random.default_rng([0, 0]))
    errors = error_table(compare(best, test_data, "", QUIET))
    losses = [(float(row["test_loss"]), float(row["test_force_rmse"])) for row in rows_of(tmp_path / "out")]
    assert errors["force_rmse"] == pytest.approx(min(losses)[1], rel=1e-4)


def test_group_weights(folder, tmp_path):
    """A group of weight 0 may have any labels; a small one is fitted less closely."""
    run = folder(test="0", more="[training.group_weights]\nodd = 0", optimizer="gn-lbfgs")
    train(run, tmp_path / "out", reporter=QUIET)
    frames = silicon_frames(12)
    for atoms in frames[1::2]:
        atoms.calc.results["forces"] = atoms.calc.results["forces"] + 0.5
    write(tmp_path / "train.xyz", frames)
    train(run, tmp_path / "wrong", reporter=QUIET)
    assert_close(weights(tmp_path / "wrong"), weights(tmp_path / "out"), 1e-12)
    write(tmp_path / "odd.xyz", frames[1::2])
    run = folder(iterations=2, test='"odd.xyz"', more="[training.group_weights]\nodd = 0", optimizer="gn-lbfgs")
    train(run, tmp_path / "tested", reporter=QUIET)
    assert [float(row["test_loss"]) for row in rows_of(tmp_path / "tested")] == [0, 0]
    with pytest.raises(Error, match="no structure has the group odds, there are even, odd"):
        train(folder(more="[training.group_weights]\nodds = 0"), tmp_path / "other", reporter=QUIET)


def test_outliers_are_named(folder, tmp_path):
    frames = silicon_frames(24)
    frames[7].calc.results["energy"] += 100.0
    write(tmp_path / "train.xyz", frames)
    told = []
    reporter = Reporter(quiet=True)
    reporter.say = told.append
    run = folder(iterations=60, test="0", optimizer="gn-lbfgs", more="[training.group_weights]\nodd = 1e-3")
    train(run, tmp_path / "out", reporter=reporter)
    rows = list(csv.DictReader((tmp_path / "out" / "outliers.csv").read_text().splitlines()))
    assert rows[0]["structure"].endswith("train.xyz, structure 7")
    assert (rows[0]["group"], rows[0]["kind"]) == ("odd", "energy")
    assert any("structure 7, energy error" in line for line in told)


def test_perfect_crystals_make_no_outliers(tmp_path):
    """Their forces are 0 by symmetry, and the few that are not are ordinary errors."""
    frames, forces, rng = [], [], np.random.default_rng(3)
    for number in range(40):
        atoms = bulk("Si", "diamond", a=5.4)
        perfect = number < 30 and number % 5 > 0
        forces.append(1e-15 if perfect else 0.03 if number < 30 else 0.1)
        atoms.info["config_type"] = "crystal" if number < 30 else "liquid"
        atoms.calc = SinglePointCalculator(atoms, forces=forces[-1] * rng.choice([-1, 1], (2, 3)))
        frames.append(atoms)
    write(tmp_path / "data.xyz", frames)
    data = Dataset.read(tmp_path / "data.xyz", reporter=QUIET)
    nothing = Pairs(np.empty(0), np.empty(0), np.empty(0, dtype=np.int32))
    reference = np.concatenate([s.forces.ravel() for s in data])
    pairs = Pairs(reference, np.zeros_like(reference), np.repeat(np.arange(40, dtype=np.int32), 6))
    assert outliers(Comparison(data, nothing, pairs, nothing)) == []


def test_outliers_of_a_group_that_is_well_described(tmp_path):
    """The median is that of the structure's own group.

    Among the liquid's errors the crystal's outlier would be an ordinary one, and next to the crystal's all of the
    liquid would be outliers.
    """
    errors = {"crystal": [0.01] * 11 + [0.1], "liquid": [0.09] * 20}
    groups = [group for group, own in errors.items() for _ in own]
    every = np.concatenate(list(errors.values()))
    atoms = bulk("Si", "diamond", a=5.4)
    data = Dataset([Structure(atoms, -1.0, None, None, group, f"{k}") for k, group in enumerate(groups)])
    nothing = Pairs(np.empty(0), np.empty(0), np.empty(0, dtype=np.int32))
    pairs = Pairs(np.zeros(len(every)), every, np.arange(len(every), dtype=np.int32))
    ((source, group, kind, error, times),) = outliers(Comparison(data, pairs, nothing, nothing))
    assert (source, group, kind) == ("11", "crystal", "energy")
    assert (error, times) == (pytest.approx(0.1), pytest.approx(10))
    swapped = Pairs(np.zeros(len(every)), np.where(every == 0.1, 0.01, every), pairs.structure)
    assert outliers(Comparison(data, swapped, nothing, nothing)) == []


def test_validation_data_judge_a_run(folder, tmp_path):
    """They are split off after the test data, which stay the same. The potential that an early stop keeps is the best
    of them, and not that of the test data."""
    write(tmp_path / "train.xyz", silicon_frames(16))
    train(folder(2), tmp_path / "plain", reporter=QUIET)
    run = folder(60, test="0.25\nvalidation = 0.25", more="early_stop = 60\nlearning_rate = 0.05")
    train(run, tmp_path / "out", reporter=QUIET)
    written = {name: tomllib.loads((tmp_path / name / "training.toml").read_text()) for name in ("plain", "out")}
    assert len({of["result"]["test_data_sha256"] for of in written.values()}) == 1
    assert "validation_data" not in written["plain"]["result"]
    errors = written["out"]["result"]["errors"]
    assert [errors[name]["n_structures"] for name in ("train", "validation", "test")] == [9, 3, 4]
    rows = rows_of(tmp_path / "out")
    best, best_of_test = (
        int(np.argmin([float(row[f"{name}_loss"]) for row in rows])) for name in ("validation", "test")
    )
    assert best != best_of_test
    assert errors["validation"]["force_rmse"] == pytest.approx(float(rows[best]["validation_force_rmse"]), rel=1e-4)
    train(tmp_path / "out" / "training.toml", tmp_path / "again", reporter=QUIET)
    assert np.array_equal(weights(tmp_path / "again"), weights(tmp_path / "out"))


def test_two_wrong_labels_among_150_are_first_and_clean_data_have_no_outliers():
    """Errors of energies are normal, with a spread that depends on the structure."""
    rng = np.random.default_rng(7)
    errors = np.abs(rng.normal(size=150)) * np.exp(0.4 * rng.normal(size=150))
    atoms = bulk("Si", "diamond", a=5.4)
    data = Dataset([Structure(atoms, -1.0, None, None, "ab"[k % 2], f"{k}") for k in range(150)])
    nothing = Pairs(np.empty(0), np.empty(0), np.empty(0, dtype=np.int32))

    def found(own, of=data):
        pairs = Pairs(np.zeros(len(own)), own, np.arange(len(own), dtype=np.int32))
        return [row[0] for row in outliers(Comparison(of, pairs, nothing, nothing))]

    assert found(errors) == []
    assert max(errors) > 6 * np.median(errors)
    errors[[40, 91]] = 20.0, 15.0
    assert found(errors) == ["40", "91"]
    assert found(errors[40:45], data[40:45]) == []  # too few to say what is usual


class TwoAtoms:
    """A prepared set of two atoms of one structure, with the part of the interface that is used."""

    def __init__(self, *values):
        self.values = np.array(values)

    def __len__(self):
        return 1

    def statistics(self, structures):
        return [np.array([getattr(self.values, name)(axis=0) for name in ("min", "max", "mean", "std")])]

    def each(self, function, structures):
        return [function(self.values, np.zeros(2, dtype=np.int32))]


def test_constancy_is_relative_to_the_larger_bound():
    """A standard deviation of 1e-9 of the larger magnitude is none, twice as much is some."""
    functions = SymmetryFunctions.preset("auto", ["Si"], 5.0)
    found = useless_functions(TwoAtoms([1e9 - 2, 2 - 1e9, 1e9 - 4, 0.0], [1e9, -1e9, 1e9, 0.0]), functions)
    assert sorted(place for _, place in found) == [0, 1, 3]
    assert all(reason.endswith("for all atoms") for reason in found.values())


@pytest.mark.parametrize(("losses", "worst"), [([1.0, 3.0, 2.0], "b"), ([1.0, 3.0, np.nan], "c")])
def test_a_run_that_diverges_names_the_worst_structure(losses, worst, tmp_path):
    atoms = bulk("Si", "diamond", a=5.4)
    data = Dataset([Structure(atoms, -1.0, None, None, "", name) for name in "abc"])
    losses_of = SimpleNamespace(data=data, losses=lambda _, rows, __: Losses(losses[rows[0]], *[np.nan] * 3))
    inputs = SimpleNamespace(
        config=SimpleNamespace(training=SimpleNamespace(rate=lambda progress: np.nan)),
        iterations=10,
        parameters=SimpleNamespace(weights=lambda theta: theta),
        train=losses_of,
    )
    optimizer = SimpleNamespace(step=lambda theta, *_: Step(theta, np.inf))
    state = State.start(np.zeros(1), {})
    state.iteration = 3
    run = Run(inputs, tmp_path, Stop(), 0, SimpleNamespace(), optimizer, state, stopwatch=None, watch=None)
    with pytest.raises(Error, match=f"the loss is inf at iteration 3, .*worst is {worst}$"):
        run.iterate()


@pytest.mark.usefixtures("pictures")
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["alone", "one atom among others", "no forces", "forces alone", "copies"])
def test_odd_data_train(folder, tmp_path, kind):
    frames = silicon_frames(6)
    lone = bulk("Si", "sc", a=50.0)
    lone.pbc = False
    lone.calc = SinglePointCalculator(lone, energy=-0.5, forces=np.zeros((1, 3)))
    if kind == "alone":
        frames = [lone] * 4
    elif kind == "one atom among others":
        frames.append(lone)
    elif kind == "no forces":
        for atoms in frames[1:]:
            del atoms.calc.results["forces"]
    elif kind == "forces alone":
        for atoms in frames:
            atoms.calc.results = {"forces": atoms.calc.results["forces"]}
    else:
        frames = frames[:1] * 5
    write(tmp_path / "train.xyz", frames)
    run = folder(iterations=3, optimizer="gn-lbfgs", more="gdf = true")
    if kind in ("alone", "forces alone"):  # no stress to weigh
        run.write_text(run.read_text().replace("stress_weight = 3.0", "stress_weight = 0.0"))
    train(run, tmp_path / "out", reporter=QUIET)
    assert np.all(np.isfinite(weights(tmp_path / "out")))


def test_replicas_are_an_ensemble(folder, tmp_path):
    run = folder(iterations=20, more="replicas = 3", optimizer="gn-lbfgs")
    ensemble = train(run, tmp_path / "out", reporter=QUIET)
    assert isinstance(ensemble, Ensemble)
    members = [Potential.load(tmp_path / "out" / f"replica-{r}" / "potential") for r in range(3)]
    train(folder(iterations=20, optimizer="gn-lbfgs"), tmp_path / "one", reporter=QUIET)
    untimed = [[row | {"seconds": ""} for row in rows_of(tmp_path / name)] for name in ("one", "out/replica-0")]
    assert untimed[0] == untimed[1]
    assert not np.array_equal(members[0].core.weights, members[1].core.weights)
    for atoms in silicon_frames(3, seed=8):
        results = [m.evaluate(atoms) for m in members]
        found = ensemble.evaluate(atoms)
        for name in ("energy", "energies", "forces"):
            each = np.array([getattr(r, name) for r in results])
            assert_close(getattr(found, name), np.mean(each, axis=0), 1e-14)
            assert_close(getattr(found, f"{name}_spread"), np.std(each, axis=0, ddof=1), 1e-12)
        assert_close(found.stress, np.mean([r.stress for r in results], axis=0), 1e-14)
    errors = json.loads((tmp_path / "out" / "errors.json").read_text())
    data = Dataset.read(tmp_path / "train.xyz", reporter=QUIET)
    train_data, _ = data.split(0.25, np.random.default_rng([0, 0]))
    assert error_table(compare(Ensemble.load(tmp_path / "out" / "potential"), train_data, "", QUIET)) == errors["train"]
    run = folder(iterations=20, more="replicas = 3", optimizer="gn-lbfgs")
    again = train(run, tmp_path / "out", resume=True, reporter=QUIET)
    assert np.array_equal(again.members[2].core.weights, members[2].core.weights)


def test_replicas_that_run_at_once_share_the_seconds_of_the_processor():
    ranks = SimpleNamespace(usage=lambda: Usage(10.0, 0.0))
    stopwatch = Stopwatch(ranks, spent=Seconds(0.0, 1.0), began=Seconds(0.0, 4.0), at_once=3)
    assert stopwatch.cpu() == 1 + (10 - 4) / 3


@pytest.mark.parametrize("device", DEVICES)
def test_replicas_have_a_potential_each_on_the_device_asked_for(folder, tmp_path, device):
    config = Config.load(folder(more="replicas = 2"))
    inputs = make_inputs(config, QUIET, device=device)
    runs = [begin_run(inputs, tmp_path / str(replica), Stop(), replica) for replica in range(2)]
    potentials = [run.optimizer.objective.potential for run in runs]
    assert {potential.device for potential in potentials} == {device}
    potentials[0].weights = np.ones_like(potentials[0].weights)
    assert not potentials[1].weights.any()


def test_replicas_stop_and_go_on_together(folder, tmp_path, monkeypatch):
    run = folder(iterations=30, more="replicas = 2", optimizer="gn-lbfgs")
    train(run, tmp_path / "whole", reporter=QUIET)
    iterate = Run.iterate

    def stopping(self):
        if self.replica == 1 and self.state.iteration == 13:
            self.stop(signal.SIGTERM, None)
        iterate(self)

    monkeypatch.setattr(Run, "iterate", stopping)
    with pytest.raises(Interrupted, match="of 30; continue with --resume"):
        train(run, tmp_path / "out", reporter=QUIET)
    monkeypatch.setattr(Run, "iterate", iterate)
    assert not (tmp_path / "out" / "potential").exists()
    train(run, tmp_path / "out", resume=True, reporter=QUIET)
    for replica in ("replica-0", "replica-1"):
        folders = [tmp_path / name / replica for name in ("out", "whole")]
        assert np.array_equal(*map(weights, folders))
        assert len(rows_of(folders[0])) == 30
    errors = json.loads((tmp_path / "out" / "errors.json").read_text())
    each = [json.loads((tmp_path / "out" / f"replica-{r}" / "errors.json").read_text()) for r in range(2)]
    assert errors["cpu_seconds"] == pytest.approx(sum(e["cpu_seconds"] for e in each), abs=0.1)


STUDENT = "replicas = 2\nstudent = true"


def test_a_student_takes_the_place_of_the_ensemble(folder, tmp_path):
    run = folder(iterations=60, more=STUDENT, optimizer="gn-lbfgs")
    student = train(run, tmp_path / "out", reporter=QUIET)
    assert isinstance(student, Potential)
    ensemble = Ensemble.load(tmp_path / "out" / "ensemble" / "potential")
    assert [weights(tmp_path / f"out/ensemble/replica-{r}").tolist() for r in range(2)] == [
        member.core.weights.tolist() for member in ensemble.members
    ]
    assert (tmp_path / "out" / "potential" / "posterior.data").exists()
    frames = silicon_frames(12)
    each = [np.array([p.evaluate(atoms).forces for atoms in frames]) for p in (student, ensemble, *ensemble.members)]
    assert np.std(each[0] - each[1]) < np.std(each[2] - each[3])
    data = Dataset.read(tmp_path / "train.xyz", reporter=QUIET)
    train_data, _ = data.split(0.25, np.random.default_rng([0, 0]))
    errors = json.loads((tmp_path / "out" / "errors.json").read_text())
    assert errors["train"] == error_table(compare(student, train_data, "", QUIET))  # with the true labels
    settings = tomllib.loads((tmp_path / "out" / "training.toml").read_text())
    assert settings["result"]["student_of"] == settings["training"]["replicas"] == 2
    assert settings["network"]["hidden"] == ensemble.members[0].core.networks[0].nodes[1:-1]
    assert student.core.scaling.statistics(0).tolist() == ensemble.members[0].core.scaling.statistics(0).tolist()


def test_a_student_learns_from_distorted_copies_with_the_labels_of_the_ensemble(folder, tmp_path):
    ensemble = train(folder(iterations=1, more="replicas = 2"), tmp_path / "out", reporter=QUIET)
    data = Dataset.read(tmp_path / "train.xyz", reporter=QUIET)
    found = lessons(data, ensemble, np.random.default_rng(0))
    assert len(found) == 2 * len(data)
    for structure in found:
        expected = ensemble.evaluate(structure.atoms)
        assert structure.energy == expected.energy
        assert np.array_equal(structure.forces, expected.forces)
        assert np.array_equal(structure.stress, expected.stress)
    moves, strains = [], []
    for before, after in zip(data, found[len(data) :], strict=True):
        assert found[len(strains)].atoms == before.atoms
        deformation = np.linalg.solve(before.atoms.cell.array, after.atoms.cell.array)
        assert_close(deformation, deformation.T, 1e-12)
        strains.append(deformation[0, 0] - 1)
        moves.append(after.atoms.positions - before.atoms.positions @ deformation)
    nearest = nearest_distances(data, data.elements)[0, 0]
    assert np.std(np.concatenate(moves)) == pytest.approx(0.02 * nearest, rel=0.2)
    assert np.std(strains) == pytest.approx(0.01, rel=0.6)


def test_a_student_and_its_teachers_stop_and_go_on(folder, tmp_path, monkeypatch):
    run = folder(iterations=6, more=STUDENT, optimizer="gn-lbfgs")
    train(run, tmp_path / "whole", reporter=QUIET)
    iterate = Run.iterate
    for replica in (1, 2):  # a teacher, the student

        def stopping(self, replica=replica):
            if self.replica == replica and self.state.iteration == 3:
                self.stop(signal.SIGTERM, None)
            iterate(self)

        monkeypatch.setattr(Run, "iterate", stopping)
        with pytest.raises(Interrupted, match="of 6; continue with --resume"):
            train(run, tmp_path / "out", resume=replica == 2, reporter=QUIET)
    monkeypatch.setattr(Run, "iterate", iterate)
    assert not (tmp_path / "out" / "potential").exists()
    with pytest.raises(Error, match="holds a run already"):
        train(run, tmp_path / "out", reporter=QUIET)
    train(run, tmp_path / "out", resume=True, reporter=QUIET)
    assert np.array_equal(weights(tmp_path / "out"), weights(tmp_path / "whole"))


def test_a_student_without_teachers_is_refused(folder):
    with pytest.raises(Error, match=r"student learns from an ensemble, expected at least 2 replicas, found 1"):
        Config.load(folder(more="student = true"))


def test_functions_that_tell_nothing_are_dropped(folder, tmp_path):
    """One function is beyond all neighbours, one is given twice; the potential of the rest is the one trained without
    them."""
    lines = [
        "symfunction_short Si 2 Si 0.1 0.0 5.0",
        "symfunction_short Si 2 Si 400.0 0.5 5.0",
        "symfunction_short Si 2 Si 0.4 0.0 5.0",
        "symfunction_short Si 2 Si 0.1 0.0 5.0",
        "symfunction_short Si 3 Si Si 0.05 1.0 2.0 5.0",
    ]
    head = "number_of_elements 1\nelements Si\ncutoff_type 1\n"
    results, told = [], []
    reporter = Reporter(quiet=True)
    reporter.say = told.append
    for name, chosen in (("all", lines), ("rest", [lines[0], lines[2], lines[4]])):
        (tmp_path / "input.nn").write_text(head + "\n".join(chosen) + "\n")
        run = folder(iterations=10, optimizer="gn-lbfgs")
        run.write_text(run.read_text().replace('preset = "auto"\ncutoff = 5.0', 'file = "input.nn"'))
        results.append(train(run, tmp_path / name, reporter=reporter))
    dropped = [line for line in told if "is dropped" in line]
    assert len(dropped) == 2
    assert any("for all atoms" in line for line in dropped)
    assert any("is fully correlated with function" in line for line in dropped)
    assert str(results[0].functions) == str(results[1].functions)
    assert np.array_equal(results[0].core.weights, results[1].core.weights)


def test_functions_are_chosen_by_cur(folder, tmp_path):
    """The choice is that of the algorithm on the matrix of all features, whose columns are projected out one by one."""
    run = folder(iterations=2, test="0", optimizer="gn-lbfgs")
    run.write_text(run.read_text().replace("cutoff = 5.0", "cutoff = 5.0\nselect = 6"))
    potential = train(run, tmp_path / "out", reporter=QUIET)
    functions = SymmetryFunctions.preset("auto", ["Si"], 5.0)
    X = np.concatenate([functions.evaluate(atoms) for atoms in read(tmp_path / "train.xyz", ":")])
    X = (X - X.mean(0)) / np.ptp(X, axis=0)
    chosen = []
    for _ in range(6):
        right = np.linalg.svd(X, full_matrices=False)[2]
        scores = right[0] ** 2
        scores[chosen] = -1
        chosen.append(int(scores.argmax()))
        unit = X[:, chosen[-1]] / np.linalg.norm(X[:, chosen[-1]])
        X = X - np.outer(unit, unit @ X)
    rows = list(functions.rows())
    assert {row[2:] for row in potential.functions.rows()} == {rows[k][2:] for k in chosen}


def test_functions_of_two_elements_are_dropped_and_chosen(tmp_path):
    """O is never beside O, so its functions of O carry no information; the rest keeps its order and its numbers."""
    frames = []
    for seed in range(12):
        atoms = rattled(bulk("Si", "diamond", a=5.0, cubic=True), 0.1, seed)
        atoms.symbols[0] = "O"
        rng = np.random.default_rng(seed)
        atoms.calc = SinglePointCalculator(atoms, energy=rng.normal(), forces=rng.normal(size=(8, 3)))
        frames.append(atoms)
    write(tmp_path / "train.xyz", frames)
    told = []
    reporter = Reporter(quiet=True)
    reporter.say = told.append
    tables = {
        "data": {"train": [str(tmp_path / "train.xyz")], "test": 0},
        "symmetry_functions": {"preset": "pool", "cutoff": 4.0, "select": 9},
    }
    inputs = make_inputs(Config.parse(tables), reporter)
    pool = SymmetryFunctions.preset("pool", ["O", "Si"], 4.0)
    of_O = {place + 1 for place, f in enumerate(pool.of("O")) if f.neighbor1 == 0 or f.neighbor2 == 0}
    constant = {line for line in told if "of O is dropped, it is 0 for all atoms" in line}
    assert {int(line.split()[1]) for line in constant} == of_O
    assert any("of Si is dropped, it varies by" in line for line in told)
    assert "9 of 196 functions of O are chosen" in told
    assert "9 of 196 functions of Si are chosen" in told
    assert [inputs.functions.core.count(e) for e in (0, 1)] == [9, 9]
    every = [row[:1] + row[2:] for row in pool.rows()]
    places = [every.index(row[:1] + row[2:]) for row in inputs.functions.rows()]
    assert places == sorted(places)
    prepared = inputs.train.prepared
    for e in (0, 1):  # what is left is independent, and large enough to be more than rounding
        G = np.concatenate([prepared.features(i)[prepared.species(i) == e] for i in range(12)])
        assert np.linalg.cond(np.corrcoef(G.T)) < 1e8
        assert np.ptp(G, axis=0).min() > 1e-8
    assert prepared.memory[1] > 0


@pytest.mark.parametrize(("preset", "refused"), [("standard", False), ("accurate", True)])
def test_a_potential_that_other_codes_refuse_is_announced(folder, preset, refused):
    config = Config.load(folder())
    listener = Listener()
    make_inputs(config.model_copy(update={"symmetry_functions": Functions(preset=preset)}), listener)
    words = "n2p2, RuNNer and pair_style hdnnp cannot read this potential: it has types 33 to 35"
    assert (words in listener.said) == refused


def start(run, out, *options):
    """Start the training command in a process of its own."""
    command = [sys.executable, "-c", "from sitewise.cli import main; main()", "train", str(run), "--out", str(out)]
    return subprocess.Popen([*command, *options], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def wait_for_iterations(out, process):
    """Wait until the checkpoint appears, which the run replaces at each log point."""
    end = time.monotonic() + 120
    while not (out / "checkpoint.npz").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("optimizer", "signals", "iterations"),
    [("adam", (signal.SIGKILL, signal.SIGINT, signal.SIGTERM), 1500), ("gn-lbfgs", (signal.SIGKILL,), 300)],
)
def test_interrupted_and_resumed_run_gives_the_same_numbers(folder, tmp_path, optimizer, signals, iterations):
    run = folder(iterations=iterations, optimizer=optimizer)
    train(run, tmp_path / "whole", reporter=QUIET)
    whole = rows_of(tmp_path / "whole")
    for signum in signals:
        out = tmp_path / signum.name
        process = start(run, out)
        wait_for_iterations(out, process)
        os.kill(process.pid, signum)
        _, told = process.communicate(timeout=60)
        assert not (out / "errors.json").exists()
        if signum != signal.SIGKILL:
            assert process.returncode == 128 + signum
            assert told.splitlines()[-1].startswith("stopped at iteration ")
            assert told.splitlines()[-1].endswith(f" of {iterations}; continue with --resume")
        with pytest.raises(Error, match="holds a run already; continue with --resume"):
            train(run, out, reporter=QUIET)
        train(run, out, resume=True, reporter=QUIET)
        assert np.array_equal(weights(out), weights(tmp_path / "whole"))
        for row, other in zip(rows_of(out), whole, strict=True):
            assert row | {"seconds": None} == other | {"seconds": None}


def test_resuming_a_finished_run_changes_nothing(folder, tmp_path):
    run = folder()
    train(run, tmp_path / "out", reporter=QUIET)
    before = weights(tmp_path / "out")
    train(run, tmp_path / "out", resume=True, reporter=QUIET)
    assert np.array_equal(weights(tmp_path / "out"), before)


def test_another_run_cannot_be_resumed(folder, tmp_path):
    train(folder(), tmp_path / "out", reporter=QUIET)
    with pytest.raises(Error, match=r"it holds another run: \[training\] seed was 0, is 1"):
        train(folder(more="seed = 1"), tmp_path / "out", resume=True, reporter=QUIET)
    write(tmp_path / "train.xyz", silicon_frames(12, seed=5))
    with pytest.raises(Error, match=r"it holds another run: .*training data was"):
        train(folder(), tmp_path / "out", resume=True, reporter=QUIET)


def test_damaged_checkpoint(folder, tmp_path):
    train(folder(), tmp_path / "out", reporter=QUIET)
    checkpoint = tmp_path / "out" / "checkpoint.npz"
    whole = checkpoint.read_bytes()
    np.savez(checkpoint, theta=np.array([print], dtype=object))  # a pickle inside
    with pytest.raises(Error, match=r"checkpoint.npz: is not a checkpoint"):
        train(folder(), tmp_path / "out", resume=True, reporter=QUIET)
    for cut in (0, 10, len(whole) // 2):
        checkpoint.write_bytes(whole[:cut])
        with pytest.raises(Error, match=r"checkpoint.npz: is not a checkpoint"):
            train(folder(), tmp_path / "out", resume=True, reporter=QUIET)


def test_early_stop_keeps_the_best(folder, tmp_path):
    # A learning rate that grows spoils what it has learnt.
    run = folder(iterations=4000, more="learning_rate = [0.001, 10.0]\nearly_stop = 400")
    train(run, tmp_path / "out", reporter=QUIET)
    rows = rows_of(tmp_path / "out")
    losses = np.array([float(row["test_loss"]) for row in rows])
    iterations = np.array([int(row["iteration"]) for row in rows])
    assert iterations[-1] < 4000
    assert iterations[-1] - iterations[losses.argmin()] == 400
    errors = json.loads((tmp_path / "out" / "errors.json").read_text())
    assert errors["test"]["force_rmse"] == pytest.approx(float(rows[losses.argmin()]["test_force_rmse"]), rel=1e-4)


@pytest.mark.usefixtures("pictures")
def test_no_test_data(folder, tmp_path):
    train(folder(test="0"), tmp_path / "out", reporter=QUIET)
    errors = json.loads((tmp_path / "out" / "errors.json").read_text())
    assert "test" not in errors
    assert errors["train"]["n_structures"] == 12


@pytest.mark.usefixtures("pictures")
def test_some_labels_are_missing(folder, tmp_path):
    frames = silicon_frames(4) + silicon_frames(4, seed=1, stress=False) + silicon_frames(4, 2, forces=False)
    write(tmp_path / "train.xyz", frames)
    train(folder(), tmp_path / "out", reporter=QUIET)
    assert np.all(np.isfinite(weights(tmp_path / "out")))


@pytest.mark.usefixtures("pictures")
def test_energies_alone(folder, tmp_path):
    write(tmp_path / "train.xyz", silicon_frames(12, forces=False, stress=False))
    run = folder()
    run.write_text(run.read_text().replace("force_weight = 0.3\nstress_weight = 3.0\n", ""))
    train(run, tmp_path / "out", reporter=QUIET)
    errors = json.loads((tmp_path / "out" / "errors.json").read_text())
    assert not any(key.startswith(("force", "stress")) for key in errors["test"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("test", r"\[data\] test has Ge, which no training structure has"),
        ("overlap", r"train.xyz, structure 3: atoms 0 and 1"),
        ("rate", "the loss is .* at iteration .*, a lower learning_rate may help"),
        ("blocked", "cannot be made"),
    ],
)
def test_mistakes_leave_nothing_behind(folder, tmp_path, change, message):
    run, out = folder(), tmp_path / "out"
    if change == "test":
        germanium = silicon_frames(1)[0]
        germanium.symbols[0] = "Ge"
        write(tmp_path / "test.xyz", germanium)
        run = folder(test='"test.xyz"')
    elif change == "overlap":
        frames = silicon_frames(5)
        frames[3].positions[1] = frames[3].positions[0]
        write(tmp_path / "train.xyz", frames)
    elif change == "rate":
        run = folder(iterations=100, more="learning_rate = 1e300")
    else:
        (tmp_path / "file").write_text("")
        out = tmp_path / "file" / "out"
    before = sorted(tmp_path.iterdir())
    with np.errstate(all="ignore"), pytest.raises(Error, match=message):
        train(run, out, reporter=QUIET)
    if change != "rate":
        assert sorted(tmp_path.iterdir()) == before


def test_state_comes_back(tmp_path):
    state = State.start(np.arange(3.0), {"mean": np.ones(2), "value": np.array(0.5)})
    state.iteration, state.log = 7, [[1.0, np.nan]]
    state.save(tmp_path / "c.npz", {"a": [1, 2]})
    loaded = State.load(tmp_path / "c.npz", {"a": [1, 2]})
    memory, loaded_memory = vars(state).pop("memory"), vars(loaded).pop("memory")
    assert set(memory) == set(loaded_memory)
    assert all(np.array_equal(memory[name], loaded_memory[name]) for name in memory)
    for name, value in vars(state).items():
        assert np.array_equal(getattr(loaded, name), value, equal_nan=name == "log")
    assert isinstance(loaded.iteration, int)
    assert isinstance(loaded.stopped, bool)


def oxide_frames(count):
    """Make structures of two elements with random labels of all kinds, some of which are missing, in groups."""
    for seed in range(count):
        atoms = rattled(bulk("Si", "diamond", a=5.0, cubic=True), 0.1, seed)
        atoms.symbols[:3] = "O"
        rng = np.random.default_rng(seed)
        labels = {"energy": rng.normal(), "forces": rng.normal(size=(8, 3)), "stress": 0.1 * rng.normal(size=6)}
        labels.pop(("energy", "forces", "stress", "")[seed % 4], None)
        atoms.calc = SinglePointCalculator(atoms, **labels)
        atoms.info["config_type"] = "odd" if seed % 2 else "even"
        yield atoms


def loss_by_definition(core, data, settings, penalized):
    """Compute the loss of the potential's predictions; `penalized` are the weights in the L2 term."""
    energy, forces, stress = [], [], []
    for s in data:
        found, weight = Potential(core).evaluate(s.atoms), settings.weight(s.group)
        if s.energy is not None:
            energy.append(weight * ((found.energy - s.energy) / len(s.atoms)) ** 2)
        if s.forces is not None:
            forces.append(weight * (found.forces - s.forces).ravel() ** 2)
        if s.stress is not None:
            stress.append(weight * (found.stress - s.stress) ** 2)
    errors = np.mean(energy), np.mean(np.concatenate(forces)), np.mean(np.concatenate(stress))
    return errors @ np.array([1, settings.force_weight, settings.stress_weight]) + settings.l2 * np.sum(penalized**2)


@pytest.mark.parametrize("whiten", [True, False])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs", "gn-lbfgs", "lm"])
def test_optimizers_see_loss_and_slope_of_the_labels(tmp_path, optimizer, whiten):
    """Of each replica; the slope is that by finite differences of the definition."""
    write(tmp_path / "train.xyz", list(oxide_frames(8)))
    settings = {"force_weight": 0.3, "stress_weight": 3.0, "l2": 1e-2, "memory_budget": 0.0, "replicas": 2}
    settings |= {"optimizer": optimizer, "group_weights": {"odd": 2.5}} | (
        {"batch_size": 8} if optimizer == "adam" else {}
    )
    tables = {
        "data": {"train": [str(tmp_path / "train.xyz")], "test": 0},
        "symmetry_functions": {"preset": "auto", "cutoff": 4.0, "whiten": whiten},
        "network": {"hidden": [3, 2]},
        "training": {"iterations": 1, **settings},
    }
    inputs = make_inputs(Config.parse(tables), QUIET)
    for replica in range(2):
        run = begin_run(inputs, tmp_path / str(replica), Stop(), replica)
        theta, memory = run.state.theta, run.state.memory
        if optimizer == "adam":
            _, loss = run.optimizer.step(theta, memory, 0)
            slope = memory["mean"] / (1 - 0.9)
        else:
            loss, slope = float(memory["value"]), memory["slope"]
        direction = np.random.default_rng(replica).normal(size=theta.size)

        def expected(h, moves=(theta, direction), run=run):
            moved = moves[0] + h * moves[1]
            run.potential.weights = inputs.parameters.weights(moved)
            matrices = moved[inputs.parameters.penalized == 1]
            return loss_by_definition(run.potential, inputs.train.data, inputs.config.training, matrices)

        assert loss == pytest.approx(expected(0.0), rel=1e-10)
        assert slope @ direction == pytest.approx(directional_derivative(expected, 1e-4), rel=1e-7)


def test_iterations_are_those_of_adam(folder, tmp_path):
    """They agree with a loop written from the paper (arXiv:1412.6980, algorithm 1), on all structures at once."""
    run = folder(iterations=5, test="0", more="batch_size = 12\nl2 = 0.01\nlearning_rate = [0.02, 0.005]")
    train(run, tmp_path / "out", reporter=QUIET)
    config = Config.load(run)
    data, _ = read_data(config.data, np.random.default_rng(0), QUIET)
    functions = choose_functions(config.symmetry_functions, data)
    prepared = FeatureSource().prepare_here(data, functions)
    core = initial_potential(functions, "minmax", config.network, prepared, atomic_offsets(data, ["Si"]))
    parameters = whitened_parameters(core, prepared)
    theta = parameters.initial(np.random.default_rng([0, 1]))
    matrices = parameters.penalized == 1

    m, v = np.zeros(theta.size), np.zeros(theta.size)
    for t in range(1, 6):
        core.weights = parameters.weights(theta)
        g = parameters.gradient(prepared.loss(core, list(range(12)), 0.3, 3.0)[1], core.weights)
        g[matrices] += 0.01 * 2 * theta[matrices]  # d/dw of l2 w^2
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        rate = 0.02 * 0.25 ** ((t - 1) / 5)
        theta = theta - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    assert_close(weights(tmp_path / "out"), parameters.weights(theta), 1e-9)


@pytest.mark.parametrize("test", ['["b.xyz"]', "0.5"])
def test_structures_in_both_sets_are_told(tmp_path, capsys, test):
    frames = silicon_frames(4)
    write(tmp_path / "a.xyz", frames if test.startswith("[") else frames[:1] * 4)
    write(tmp_path / "b.xyz", frames[2:])
    (tmp_path / "run.toml").write_text(f'[data]\ntrain = "a.xyz"\ntest = {test}\n')
    data = read_data(Config.load(tmp_path / "run.toml").data, np.random.default_rng(0), Reporter(quiet=True))
    assert [len(part) for part in data] == ([4, 2] if test.startswith("[") else [2, 2])
    assert capsys.readouterr().err.startswith("warning: 2 of 2 test structures are also trained on")


def test_structures_in_one_set_are_not_told(tmp_path, capsys):
    frames = silicon_frames(4)
    write(tmp_path / "a.xyz", frames)
    (tmp_path / "run.toml").write_text('[data]\ntrain = "a.xyz"\ntest = 0.5\n')
    read_data(Config.load(tmp_path / "run.toml").data, np.random.default_rng(0), Reporter(quiet=True))
    assert not capsys.readouterr().err
