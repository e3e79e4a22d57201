"""Error bars: the posterior of the weights, its file, its calibration, and what shows it."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.io import read, write
from typer.testing import CliRunner

from checks import Listener, arrays, assert_close, directional_derivative, random_potential, silicon_frames, structures
from sitewise import Dataset, Ensemble, Error, Potential, SymmetryFunctions, _core, train
from sitewise.cli import app
from sitewise.config import Config, NetworkShape, Training
from sitewise.evaluation.comparison import Comparison, Pairs, compare
from sitewise.evaluation.coverage import coverage_table, reliability
from sitewise.features.source import FeatureSource
from sitewise.posterior import FILE, Posterior
from sitewise.progress import Reporter
from sitewise.training.optimizers import Objective
from sitewise.training.parameters import initial_potential, whitened_parameters
from sitewise.training.posterior import Spectrum, slope_and_spectrum
from sitewise.training.prepared import PreparedData

QUIET = Reporter(quiet=True)
DRAWS = 5


@pytest.fixture(scope="module")
def potential(tmp_path_factory):
    """Return a potential of two elements with a posterior of random draws, as loaded from its folder."""
    folder = tmp_path_factory.mktemp("potential") / "random"
    Potential(random_potential()).save(folder)
    loaded = Potential.load(folder)
    shift, *draws = np.random.default_rng(0).normal(0, 0.1, (1 + DRAWS, loaded.core.weights.size))
    Posterior(loaded.core.weights, shift, np.array(draws), 1.5).save(folder)
    return Potential.load(folder)


def deviations(potential, atoms, of):
    """Return derivatives of a prediction along shift and draws by finite differences [1 + draws, ...]."""
    moved = Potential(random_potential())
    weights = potential.core.weights

    def at(draw, h):
        moved.core.weights = weights + h * draw
        return np.array(of(moved.evaluate(atoms)))

    directions = [potential.posterior.shift, *potential.posterior.draws]
    return np.array([directional_derivative(lambda h, d=d: at(d, h), 1e-3) for d in directions])


@pytest.mark.parametrize("name", structures())
def test_bars_are_those_of_finite_differences(potential, name):
    atoms = structures()[name]
    bars = potential.evaluate(atoms, bars=True).bars
    for found, of, factor in [
        (bars.energy, lambda r: r.energy, 1.0),
        (bars.energies, lambda r: r.energies, 1.0),
        (bars.forces, lambda r: r.forces, 1.5),
    ]:
        shift, *draws = deviations(potential, atoms, of) ** 2
        expected = factor * np.sqrt(shift + np.mean(draws, axis=0))
        assert_close(found, expected, 1e-6, floor=1e-2)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_bars_of_each_step(potential, precision):
    """The library computes those of energies beside energies and forces, which do not change."""
    core = _core.Potential.load(str(potential.folder))
    core.precision = precision
    core.set_posterior(_core.Posterior.load(str(potential.folder)), DRAWS)
    for atoms in structures().values():
        expected, plain = potential.bars(atoms), core.compute(*arrays(atoms))
        found = core.compute(*arrays(atoms), bars=True)
        tolerance = 1e-10 if precision == "float64" else 1e-4
        assert_close(found["energy_bar"], expected.energy, tolerance)
        assert_close(found["energies_bar"], expected.energies, tolerance)
        assert found["energy"] == plain["energy"]
        assert np.array_equal(found["forces"], plain["forces"])


def test_fewer_draws_are_the_first_ones(potential):
    core, posterior = _core.Potential.load(str(potential.folder)), potential.posterior
    core.set_posterior(_core.Posterior.load(str(potential.folder)), 2)
    few = Posterior(posterior.weights, posterior.shift, posterior.draws[:2], 1.0)
    for atoms in structures().values():
        found = core.compute(*arrays(atoms), bars=True)
        assert_close(found["energies_bar"], few.bars(core, arrays(atoms)).energies, 1e-10)


def test_bars_that_cannot_be_computed(potential):
    core, posterior = random_potential(), _core.Posterior.load(str(potential.folder))
    with pytest.raises(Error, match="need a posterior"):
        core.compute(*arrays(structures()["cluster"]), bars=True)
    for draws in (0, DRAWS + 1):
        with pytest.raises(Error, match=f"has {DRAWS} draws, asked for are {draws}"):
            core.set_posterior(posterior, draws)
    with pytest.raises(Error, match="other weights"):
        random_potential(seed=3).set_posterior(posterior, DRAWS)
    core.set_posterior(posterior, DRAWS)
    core.weights = 2 * core.weights
    with pytest.raises(Error, match="need a posterior"):
        core.compute(*arrays(structures()["cluster"]), bars=True)


def test_bars_do_not_depend_on_orientation_and_order(potential):
    atoms = structures()["cluster"]
    turned, order = atoms.copy(), [3, 0, 4, 1, 2]
    turned.rotate(37, (1, 2, 3))
    bars, of_turned = potential.bars(atoms), potential.bars(turned)
    of_ordered = potential.bars(turned[order])
    for found in (of_turned, of_ordered):
        assert_close(found.energy, bars.energy, 1e-10)
    assert_close(of_turned.energies, bars.energies, 1e-10)
    assert_close(of_ordered.energies, bars.energies[order], 1e-10)
    assert_close((of_turned.forces**2).sum(axis=1), (bars.forces**2).sum(axis=1), 1e-6)  # float32 in between
    assert_close(of_ordered.forces, of_turned.forces[order], 1e-6)


def test_energies_have_the_covariance_of_their_bars(potential):
    some = [structures()[name] for name in ("mixed", "cluster", "mixed")]
    covariance = potential.energy_covariance(some)
    assert_close(np.sqrt(np.diag(covariance)), [potential.bars(atoms).energy for atoms in some], 1e-10)
    assert_close(covariance[0, 0], covariance[0, 2], 1e-12)  # the same structure: no error of the difference
    assert abs(covariance[0, 1]) < np.sqrt(covariance[0, 0] * covariance[1, 1])


def test_the_spectrum_of_few_and_of_many_rows():
    rng = np.random.default_rng(1)
    J, g = rng.normal(size=(6, 9)), rng.normal(size=(4, 9))
    ridge = 1e-3
    expected = np.sqrt(np.einsum("ij,jk,ik->i", g, np.linalg.inv(J.T @ J + ridge * np.eye(9)), g))
    for spectrum in (Spectrum.of_rows(J), Spectrum.of_matrix(J.T @ J)):
        assert_close(spectrum.bars(g)(ridge), expected, 1e-9)
        draws = spectrum.draws(20_000, ridge, rng)
        assert_close(np.sqrt(np.mean((draws @ g.T) ** 2, axis=0)), expected, 0.02)
    free = np.linalg.svd(J)[2][-1:]  # changes nothing that the data know
    assert_close(Spectrum.of_rows(J).bars(free)(ridge), [ridge**-0.5], 1e-9)


def test_the_slope_is_the_gradient_of_the_loss():
    data = Dataset(silicon_frames(3))
    functions = SymmetryFunctions.preset("fast", ["Si"], 4.0)
    train = PreparedData(data, FeatureSource().prepare(data, functions, ""))
    potential = initial_potential(functions, "sigma", NetworkShape(hidden=[4]), train.prepared, [0.0])
    parameters = whitened_parameters(potential, train.prepared)
    objective = Objective(train, potential, parameters, Training(l2=0.0, stress_weight=0.0))
    expected = objective(parameters.initial(np.random.default_rng(0)))[1]
    comparison = compare(Potential(potential), data, "", QUIET)
    slope, _ = slope_and_spectrum(objective, comparison, np.random.default_rng(0))
    assert_close(slope, expected, 1e-5)


def test_the_file_holds_the_posterior(potential, tmp_path):
    potential.save(tmp_path / "copy")
    copy = Potential.load(tmp_path / "copy")
    assert_close(copy.posterior.draws, potential.posterior.draws, 1e-6)
    assert_close(copy.posterior.shift, potential.posterior.shift, 1e-6)
    assert np.array_equal(copy.posterior.weights, copy.core.weights)
    assert copy.posterior.force_factor == 1.5
    assert len({len(line) for line in (tmp_path / "copy" / FILE).read_text().splitlines()[3:]}) == 1


def test_a_damaged_file_is_refused(potential, tmp_path):
    potential.save(tmp_path / "copy")
    path = tmp_path / "copy" / FILE
    text = path.read_text()
    line = text.splitlines(keepends=True)[3]
    for size in [*range(0, len(text), 1009), len(text) - len(line), *range(len(text) - 20, len(text) - 1)]:
        path.write_text(text[:size])
        loaded = Potential.load(tmp_path / "copy")
        loaded.evaluate(structures()["cluster"])  # needs no bars
        with pytest.raises(Error, match=FILE):
            loaded.bars(structures()["cluster"])
    for wrong in (line.replace("e", "x"), "nan" + line[23:], line + "0\n", line.replace(" ", " 1e+00 ", 1)):
        path.write_text(text.replace(line, wrong))
        with pytest.raises(Error, match=f"{FILE}:[45]: "):
            Potential.load(tmp_path / "copy").bars(structures()["cluster"])


def test_a_posterior_of_other_weights_is_not_used(potential, tmp_path):
    potential.save(tmp_path / "copy")
    other = Potential(random_potential(seed=3))
    other.core.save(str(tmp_path / "copy"))
    with pytest.raises(Error, match="no posterior of its weights"):
        Potential.load(tmp_path / "copy").bars(structures()["cluster"])
    other.save(tmp_path / "copy")
    assert not (tmp_path / "copy" / FILE).exists()
    with pytest.raises(Error, match="no posterior"):
        other.bars(structures()["cluster"])
    with pytest.raises(Error, match="one of its members"):
        Ensemble([other, other]).bars(structures()["cluster"])


def test_the_calculator_has_bars(potential):
    atoms = structures()["cluster"]
    atoms.calc = potential.calculator(bars=True, warn_every=0)
    atoms.get_potential_energy()
    expected = potential.bars(atoms)
    assert atoms.calc.results["energy_bar"] == expected.energy
    assert np.array_equal(atoms.calc.results["energies_bar"], expected.energies)
    assert np.array_equal(atoms.calc.results["forces_bar"], expected.forces)


def test_the_bins_of_a_reliability_diagram():
    rng = np.random.default_rng(2)
    bar = rng.uniform(0.1, 1.0, 4000)
    pairs = Pairs(np.zeros(4000), bar * rng.normal(size=4000), np.zeros(4000, dtype=np.int32), bar)
    bins = reliability(pairs)
    assert [b.number for b in bins] == [400] * 10
    assert np.all(np.diff([b.bar for b in bins]) > 0)
    assert_close([b.error for b in bins], [b.bar for b in bins], 0.15)


def test_forces_that_are_zero_by_symmetry_do_not_count():
    """They have no bar, and an error of rounded positions."""
    reference, predicted = np.array([1.0, -1.0, 1e-4, 0.0]), np.array([1.2, -1.1, 1e-5, 0.0])
    force = Pairs(reference, predicted, np.zeros(4, dtype=np.int32), np.array([0.15, 0.15, 1e-9, 0.0]))
    none = Pairs(np.empty(0), np.empty(0), np.empty(0, dtype=np.int32))
    table = coverage_table(Comparison(Dataset([]), none, force, none))
    assert {name: table["force"][name] for name in ("within_one", "within_two")} == {
        "within_one": 0.5,
        "within_two": 1.0,
    }
    assert table["force"]["bins"][0]["number"] == 2


RUN = """
[data]
train = "train.xyz"
test = "test.xyz"
[symmetry_functions]
preset = "auto"
cutoff = 5.0
[network]
hidden = [6, 5]
[training]
iterations = 30
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train on rattled crystals; return the folder with data, RUN.toml and the run in `out`."""
    folder = tmp_path_factory.mktemp("run")
    frames = silicon_frames(80, stress=False)
    for name, part in (("train", frames[:20]), ("test", frames[20:40]), ("other", frames[40:])):
        write(folder / f"{name}.xyz", part)
    (folder / "run.toml").write_text(RUN)
    config = Config.load(folder / "run.toml").relative_to(folder)
    train(config, folder / "out", reporter=QUIET)
    return folder


def run(*arguments):
    result = CliRunner().invoke(app, [*map(str, arguments), "--quiet"])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_bars_cover_the_errors_of_other_data(trained):
    path, picture = trained / "errors.json", trained / "reliability.png"
    options = ("--bars", "--json", path, "--reliability", picture)
    text = run("evaluate", trained / "out/potential", trained / "other.xyz", *options)
    coverage = json.loads(path.read_text())["coverage"]
    for kind, row in coverage.items():
        assert f"{kind} errors: {100 * row['within_one']:.0f} % are within one bar" in text
        assert 0.5 < row["within_one"] < 0.9
        assert 0.85 < row["within_two"] <= 1.0
    assert picture.stat().st_size > 10_000


@pytest.mark.slow
def test_the_shift_leads_to_smaller_errors(trained):
    """The labels have no noise, so the errors are those of L2."""
    potential = Potential.load(trained / "out/potential")
    moved = Potential.load(trained / "out/potential")
    moved.core.weights = potential.core.weights + 0.03 * potential.posterior.shift
    frames = read(trained / "other.xyz", ":")
    errors = [
        np.concatenate([(p.evaluate(atoms).forces - atoms.get_forces()).ravel() for atoms in frames])
        for p in (potential, moved)
    ]
    assert np.std(errors[1]) < 0.99 * np.std(errors[0])


@pytest.mark.slow
def test_a_potential_with_a_posterior_is_an_n2p2_directory(trained):
    folder = trained / "out/potential"
    assert {p.name for p in folder.iterdir()} == {"input.nn", "scaling.data", "weights.014.data", FILE}
    assert _core.ensemble_members(str(folder)) == []
    assert np.isfinite(_core.Potential.load(str(folder)).weights).all()


@pytest.mark.slow
def test_the_command_makes_the_posterior_that_training_makes(trained, tmp_path):
    potential = Potential.load(trained / "out/potential")
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "training.toml").touch()
    potential.core.save(str(tmp_path / "bare" / "potential"))  # as in the folder of a run
    run("posterior", tmp_path / "bare", trained / "train.xyz", "--test", trained / "test.xyz")
    found = Potential.load(tmp_path / "bare" / "potential").posterior
    assert_close(found.draws, potential.posterior.draws, 1e-3)
    assert_close(found.shift, potential.posterior.shift, 1e-3)
    assert found.force_factor == pytest.approx(potential.posterior.force_factor, rel=1e-4)


@pytest.mark.slow
def test_commands_show_bars(trained, tmp_path):
    folder = trained / "out/potential"
    run("predict", folder, trained / "other.xyz", "--bars", "-o", tmp_path / "p.xyz")
    atoms = read(tmp_path / "p.xyz", "0")
    bars = Potential.load(folder).bars(atoms)
    assert atoms.info["energy_bar"] == pytest.approx(bars.energy, rel=1e-4)
    assert_close(atoms.arrays["energies_bar"], bars.energies, 1e-4)
    assert_close(atoms.arrays["forces_bar"], bars.forces, 1e-4)
    rows = run("compare-energies", folder, trained / "other.xyz").splitlines()[1:]
    first, second = ([float(x) for x in row.split()[:4]] for row in rows[:2])
    assert first[2:] == [0.0, 0.0]
    assert second[2] == pytest.approx(second[0] - first[0], abs=2e-6)
    assert 0 < second[3] < first[1] + second[1]


@pytest.mark.slow
def test_what_no_data_fix_has_a_large_bar(tmp_path):
    """At a fixed composition energy may move between the elements."""
    rng, listener = np.random.default_rng(3), Listener()
    teacher = Potential(random_potential())

    def frame():
        atoms = structures()["cluster"]
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        result = teacher.evaluate(atoms)
        atoms.info["REF_energy"], atoms.arrays["REF_forces"] = result.energy, result.forces
        return atoms

    write(tmp_path / "train.xyz", [frame() for _ in range(30)])
    write(tmp_path / "test.xyz", [frame() for _ in range(7)])
    (tmp_path / "run.toml").write_text(RUN)
    found = train(Config.load(tmp_path / "run.toml").relative_to(tmp_path), tmp_path / "out", reporter=listener)
    known, free = found.bars(frame()).energy, found.bars(Atoms("Si", positions=[[0, 0, 0]])).energy
    assert free > 20 * known
    assert any("energies that scale the error bars: 7" in text for text in listener.said)


@pytest.mark.slow
def test_without_held_out_data_and_without_posterior(trained, tmp_path):
    listener = Listener()
    for name, test, more in (("none", '"test.xyz"', "posterior = false"), ("own", "0.0", "")):
        text = RUN.replace('"test.xyz"', test).replace("iterations = 30", f"iterations = 3\n{more}")
        (trained / "other.toml").write_text(text)
        train(Config.load(trained / "other.toml").relative_to(trained), tmp_path / name, reporter=listener)
        assert (tmp_path / name / "potential" / FILE).exists() == (name == "own")
    assert [text for text in listener.warned if "error bars" in text] == [
        "no data are held out: training errors scale the error bars, which are too small"
    ]
