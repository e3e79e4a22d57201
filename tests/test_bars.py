"""Error bars in eV before training, from energies and forces."""

import json
import subprocess
import sys

import numpy as np
import pytest
from ase.build import bulk
from scipy.optimize import check_grad
from scipy.spatial.distance import cdist

from sitewise import Dataset, Error, SymmetryFunctions
from sitewise.features.source import FeatureSource
from sitewise.io.extxyz import write_structures
from sitewise.mapping import energy_process
from sitewise.mapping.bars import bars_of_atoms, error_bars
from sitewise.mapping.diagnosis import diagnose
from sitewise.mapping.energy_process import (
    ELEMENT,
    EnergyProcess,
    Measurements,
    Parts,
    Posterior,
    Scales,
)
from sitewise.mapping.gaussian import farthest_points
from sitewise.mapping.gspace import Embedding, Placed
from sitewise.mapping.verdict import verdict
from sitewise.progress import Reporter
from sitewise.reproduce.ad_hoc import LATTICE, slab
from sitewise.reproduce.stillinger_weber import labelled
from sitewise.structures import Structure
from sitewise.units import energy

QUIET = Reporter(quiet=True)
FUNCTIONS = SymmetryFunctions.preset("simple-nn", ["Si"])
LENGTHS = (2.4, 9.6, 0.6)


def crystal(a=LATTICE):
    return labelled(bulk("Si", "diamond", a=a), "crystal")


def slabs(n, layers=4, seed=0):
    rng = np.random.default_rng(seed)
    made = [slab(layers) for _ in range(n)]
    for atoms in made:
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
    return [labelled(atoms, "slab") for atoms in made]


def process_of(data, targets):
    embedding = Embedding.of(Dataset(data), FUNCTIONS)
    wanted = embedding.embed(Dataset(targets)).placed
    return EnergyProcess(Measurements.of(embedding), [embedding.placed, wanted]), wanted


@pytest.fixture(scope="module")
def process():
    return process_of(slabs(8), [crystal(), slabs(1, seed=1)[0]])


def bars_of(data, *targets, accuracy=0.010):
    return error_bars(*process_of(data, targets), accuracy)


def test_a_ratio_that_never_changes_is_open_and_a_cell_closes_it():
    """Networks of slabs of one thickness are wrong by 0.3 to 0.5 eV at the crystal, see the page on mapping."""
    data, like = slabs(8, layers=8), slabs(1, layers=8, seed=1)[0]
    found, placed = process_of(data, [crystal(), like])
    first, second = error_bars(found, placed, 0.010)
    assert (first.cause, second.cause) == ("mapping", None)
    assert 0.1 < first.energy < 1.5
    assert bars_of_atoms(found, placed)[0] == pytest.approx([first.energy] * 2, rel=1e-6)
    assert second.energy < 0.003
    first, second = bars_of([*data, crystal()], crystal(), like)
    assert (first.cause, second.cause) == (None, None)
    assert max(first.energy, second.energy) < 0.003


@pytest.mark.slow
def test_what_is_far_is_extrapolation_and_accuracy_is_the_threshold():
    data = Dataset([*slabs(4), crystal()])
    targets = Dataset([labelled(bulk("Si", "fcc", a=3.9), "fcc"), crystal()])
    found = diagnose(data, FUNCTIONS, target=targets, reporter=QUIET)
    far, near = found.judgement.targets
    assert (far.open, far.cause, near.open, near.cause) == (True, "extrapolation", False, None)
    assert far.bar > 0.1
    assert near.bar < 0.010
    assert found.judgement.undetermined_targets == ["fcc"]
    text = "\n".join(verdict(found))
    assert "1 of 2 targets are open: their error bars are above 10 meV/atom" in text
    assert f"target fcc (Si): open by {1e3 * far.bar:.0f} meV/atom because nothing in the data is like" in text


def test_accuracy_is_the_threshold(process):
    bar = error_bars(*process, 0.010)[1].energy
    assert error_bars(*process, 1.01 * bar)[1].cause is None
    assert error_bars(*process, 0.99 * bar)[1].cause is not None
    with pytest.raises(Error, match="the accuracy is 0 eV/atom"):
        error_bars(*process, 0)


def test_the_order_of_structures_does_not_matter(monkeypatch):
    """Not even where some of the structures stand for all."""
    monkeypatch.setattr(energy_process, "STRUCTURES", 4)
    monkeypatch.setattr(energy_process, "FITTED", 2)
    data, targets = slabs(6), [crystal(), *slabs(1, seed=1)]
    one, placed = process_of(data, targets)
    other, _ = process_of(data[::-1], targets)
    np.testing.assert_allclose(other.deviations(placed), one.deviations(placed), rtol=1e-5)


def test_noise_of_labels_is_found_and_widens_the_bars(process):
    clean, placed = process
    rng = np.random.default_rng(0)
    data = slabs(8)
    noisy = [
        Structure(s.atoms, s.energy + len(s.atoms) * rng.normal(0, 0.05), s.forces, None, "", s.source) for s in data
    ]
    found, _ = process_of(noisy, [crystal(), *slabs(1, seed=1)])
    misfit = np.hypot(found.scales.energy_noise, found.scales.parts[-1] / np.sqrt(16))
    assert misfit == pytest.approx(0.05, rel=0.6)
    assert found.deviations(placed)[1] > 3 * clean.deviations(placed)[1]


def test_forces_are_slopes_of_the_energy():
    """Rows of slopes are the differences of rows of energies of displaced atoms."""
    (structure,) = slabs(1)
    embedding = Embedding.of(Dataset([structure, crystal()]), FUNCTIONS)
    parts = Parts([farthest_points(own, 300) for own in embedding.placed.points], LENGTHS)
    measured = Measurements.of(embedding)
    rows = parts.of_measurements(measured.placed, measured.slopes)
    n = len(structure.atoms)
    vector = np.random.default_rng(energy_process._fingerprint(structure)).normal(size=(12, n, 3))[3]
    vector /= np.linalg.norm(vector)
    ends = [structure.atoms.copy() for _ in range(2)]
    for atoms, sign in zip(ends, (1, -1), strict=True):
        atoms.positions += sign * 1e-4 * vector
    moved = [parts.of_energies(embedding.embed(Dataset([labelled(atoms, "")])).placed).parts for atoms in ends]
    place = np.flatnonzero(measured.structure == [s.atoms is structure.atoms for s in _sorted(embedding)].index(True))
    for k in range(2):
        expected = n * (moved[0][k] - moved[1][k])[0] / 2e-4
        np.testing.assert_allclose(rows.parts[k][place[1 + 3]], expected, atol=1e-5 * abs(expected).max())
    assert not rows.parts[-1][place[1:]].any()
    assert measured.values[place[1 + 3]] == pytest.approx(-(structure.forces * vector).sum())


def _sorted(embedding):
    return sorted(embedding.data, key=energy_process._fingerprint)


def test_likelihood_and_its_gradient(process):
    """Against the density of a normal distribution, and differences."""
    from scipy.stats import multivariate_normal

    rng = np.random.default_rng(0)
    roots = [rng.normal(size=(6, 6)) for _ in range(3)]
    products, noises = [root @ root.T for root in roots], np.repeat(np.eye(2), 3, axis=1)
    values, logs = rng.normal(size=6), np.log([0.7, 0.3, 0.1, 0.02, 0.2])
    fixed = np.ones((6, 6))

    def loss(x):
        return energy_process._evidence(x, values, products, noises, fixed)

    assert check_grad(lambda x: loss(x)[0], lambda x: loss(x)[1], logs) < 1e-4 * np.linalg.norm(loss(logs)[1])
    squares = np.exp(2 * logs)
    terms = zip(squares, [*products, *map(np.diag, noises)], strict=True)
    covariance = fixed + sum(square * term for square, term in terms)
    density = multivariate_normal.logpdf(values, cov=covariance)
    assert loss(logs)[0] == pytest.approx(-density - 3 * np.log(2 * np.pi))


def test_posterior_is_that_of_a_dense_covariance():
    rng = np.random.default_rng(1)
    columns, wanted, noise = rng.normal(size=(9, 20)), rng.normal(size=(4, 20)), rng.uniform(0.1, 1, 9)
    shared = wanted @ columns.T
    known = shared @ np.linalg.solve(columns @ columns.T + np.diag(noise), shared.T)
    np.testing.assert_allclose(Posterior(columns, noise).variances(wanted), np.diag(wanted @ wanted.T - known))


def test_prior_is_that_of_the_kernels():
    """Representatives are described exactly: covariances are the sums of kernels, relative to the first of them."""
    points = [np.random.default_rng(e).normal(0, 0.3, (4, 3)) for e in range(2)]
    placed = Placed([*points], [np.arange(4), np.arange(4, 8)], np.array([0, 1, 0, 1, 1, 0, 0, 2]), 3)
    scales = Scales(np.array([3.0, 20.0, 0.1]), 0.0, 0.0)
    rows = Parts(points, LENGTHS).of_energies(placed)
    weights = np.zeros((3, 8))
    weights[placed.structure, np.arange(8)] = 1
    weights /= weights.sum(axis=1, keepdims=True)
    covariance = np.zeros((8, 8))
    for e, own in enumerate(points):
        block = ELEMENT**2 * np.ones((4, 4))
        for k, (scale, length) in enumerate(zip(scales.parts, LENGTHS, strict=True)):
            kernel = scale**2 * np.exp(-cdist(own, own, "sqeuclidean") / (2 * length**2))
            block += kernel - kernel[:1] - kernel[:, :1] + kernel[0, 0] if k < 2 else kernel
        covariance[4 * e : 4 * e + 4, 4 * e : 4 * e + 4] = block
    columns = rows.columns(scales)
    np.testing.assert_allclose(columns @ columns.T, weights @ covariance @ weights.T, rtol=1e-6)
    np.testing.assert_allclose(rows.own, 0, atol=1e-9)


def test_elements_that_always_come_together_split_within_their_prior():
    """Their energies are open by about ELEMENT, whatever the scales of the parts are."""
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(6):
        atoms = bulk("NaCl", "rocksalt", a=5.6) * 2
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        frames.append(Structure(atoms, -3.0 * len(atoms), None, None, "", ""))
    embedding = Embedding.of(Dataset(frames), SymmetryFunctions.preset("simple-nn", ["Cl", "Na"]))
    found = EnergyProcess(Measurements.of(embedding), [embedding.placed]).deviations(embedding.placed.single())
    np.testing.assert_allclose(found, ELEMENT / np.sqrt(2), rtol=0.2)


def test_blocks_change_nothing(process, monkeypatch):
    found, placed = process
    atoms = placed.single()
    together = found.deviations(atoms)
    monkeypatch.setattr(energy_process, "BLOCK", 5)
    np.testing.assert_allclose(found.deviations(atoms), together, rtol=1e-9)


def test_bars_of_atoms_add_up_at_most(process):
    """The bar of the mean of some energies is not above the mean of their bars."""
    found, placed = process
    bars, of_atoms = error_bars(found, placed, 0.01), bars_of_atoms(found, placed)
    for bar, own in zip(bars, of_atoms, strict=True):
        assert bar.energy <= np.mean(own) * (1 + 1e-6)


@pytest.mark.parametrize(
    ("text", "value"),
    [("5 meV", 0.005), ("5meV/atom", 0.005), ("0.02", 0.02), ("1e-2 eV", 0.01), ("1 kJ/mol", 0.0103643)],
)
def test_energies_with_units(text, value):
    assert energy(text, "--accuracy") == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("text", ["", "meV", "-5 meV", "0", "5 mK", "1.2.3", "nan"])
def test_what_is_no_energy(text):
    with pytest.raises(Error, match=r'^--accuracy is .*expected a positive energy such as "5 meV" or 0.005 \(eV\)$'):
        energy(text, "--accuracy")


@pytest.mark.slow
def test_command(tmp_path):
    write_structures(tmp_path / "data.xyz", [*slabs(5), crystal()])
    write_structures(tmp_path / "aim.xyz", [crystal(), *slabs(1, layers=6)])
    files = ["data.xyz", "--target", "aim.xyz", "--json", "out.json"]
    command = [sys.executable, "-m", "sitewise", "diagnose", *files, "--accuracy", "0.001 meV", "-q"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["accuracy"] == pytest.approx(1e-6)
    assert [row["open"] for row in found["targets"]] == [True, True]
    assert [len(row["bar_atoms"]) for row in found["targets"]] == [2, 24]
    assert {row["cause"] for row in found["targets"]} <= {"mapping", "extrapolation", "data"}
    assert "above 0.001 meV/atom" in run.stdout
    run = subprocess.run([*command[:-2], "5 metres"], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert run.returncode == 2
    assert "--accuracy is 5 metres" in run.stderr


def test_some_structures_of_prepared_data_are_as_if_they_were_alone_in_the_same_space():
    data = Dataset([*slabs(3), crystal(), labelled(bulk("Si", "fcc", a=3.9), "fcc")])
    prepared = Embedding.prepared(data, FUNCTIONS, FeatureSource().prepare(data, FUNCTIONS, ""))
    order = [4, 1, 3]
    some, alone = prepared.some(np.array(order)), Embedding.of(data, FUNCTIONS).embed(Dataset(data[k] for k in order))
    assert [s.source for s in some.data] == [s.source for s in alone.data]
    assert some.placed.n_structures == alone.placed.n_structures == 3
    for name in ("points", "rows"):
        np.testing.assert_array_equal(getattr(some.placed, name)[0], getattr(alone.placed, name)[0])
    np.testing.assert_array_equal(some.placed.structure, alone.placed.structure)


def test_some_structures_come_in_the_order_that_is_asked_for():
    structure = np.array([0, 0, 1, 1, 1, 2, 2])
    rows = [np.array([0, 2, 4, 6]), np.array([1, 3, 5])]  # of two elements
    some = Placed([1.0 * own[:, None] for own in rows], rows, structure, 3).of(np.array([2, 0]))
    assert some.structure.tolist() == [0, 0, 1, 1]
    assert some.n_structures == 2
    assert [own.tolist() for own in some.rows] == [[1, 2], [0, 3]]
    assert [own[:, 0].tolist() for own in some.points] == [[6, 0], [5, 1]]
