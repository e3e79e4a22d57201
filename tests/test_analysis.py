"""Atomic energy mapping: answers that are known beforehand."""

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from scipy.cluster.hierarchy import linkage

from sitewise import Dataset, Error, SymmetryFunctions
from sitewise.analysis import (
    Environments,
    GSpace,
    adhoc_warning,
    barcode,
    comparison,
    determine,
    gaussian_determinability,
    invariant_energy,
    null_fraction,
    single_linkage,
)
from sitewise.analysis.clustering import default_n_big
from sitewise.analysis.invariants import extrapolated, is_invariant
from sitewise.dataset import Structure


def structure(atoms, energy=None):
    return Structure(atoms, energy, None, None, "", "memory")


def test_equal_ratio_leaves_one_offset_free():
    found = determine(np.array([[4.0, 4.0], [2.0, 2.0]]))
    assert found.nullity == 1
    vector = found.null[:, 0] * np.sign(found.null[0, 0])
    np.testing.assert_allclose(vector, np.array([1, -1]) / np.sqrt(2), atol=1e-12)
    np.testing.assert_allclose(found.determined, 0.5, atol=1e-12)
    assert null_fraction(found, np.array([3.0, 3.0])) == pytest.approx(0, abs=1e-12)
    assert null_fraction(found, np.array([0.0, 8.0])) == pytest.approx(0.5)


def test_another_ratio_determines_all():
    found = determine(np.array([[4.0, 4.0], [2.0, 6.0]]))
    assert found.nullity == 0
    np.testing.assert_allclose(found.determined, 1)


def test_proportional_row_changes_nothing():
    rows = [[4.0, 4.0, 1.0], [2.0, 6.0, 3.0]]
    one, two = determine(np.array(rows)), determine(np.array([*rows, [8.0, 8.0, 2.0]]))
    assert one.rank == two.rank
    np.testing.assert_allclose(one.null @ one.null.T, two.null @ two.null.T, atol=1e-12)


def test_null_vector_leaves_determined_part_of_a_comparison():
    found = determine(np.array([[4.0, 4.0, 2.0], [2.0, 2.0, 6.0]]))
    determined, undetermined = comparison(found, 0.3 * found.null[:, 0])
    np.testing.assert_allclose(determined, 0, atol=1e-12)
    np.testing.assert_allclose(undetermined, 0.3 * found.null[:, 0], atol=1e-12)


@pytest.mark.parametrize("counts", [[[0.0, 0.0]], [[np.nan, 1.0]], [[-1.0, 2.0]], np.zeros((0, 2))])
def test_bad_counts(counts):
    with pytest.raises(Error, match="count matrix needs"):
        determine(np.array(counts))


def test_single_linkage_equals_scipy():
    points = np.random.default_rng(0).normal(size=(300, 26))
    reference = linkage(points, "single")
    merges = single_linkage(points).merges
    np.testing.assert_allclose(merges[:, 2:], reference[:, 2:], rtol=1e-12)


def test_two_blobs_and_dust_have_the_gap_as_r_g():
    rng = np.random.default_rng(0)
    blobs = [rng.uniform(-0.1, 0.1, (100, 2)) + centre for centre in ([0, 0], [5, 0])]
    dust = np.array([[0.0, 50.0], [0.0, -80.0], [100.0, 0.0]])
    clustering = single_linkage(np.concatenate([*blobs, dust]))
    gap = min(np.linalg.norm(a - b) for a, b in itertools.product(*blobs))
    assert clustering.r_g(10) == pytest.approx(gap, rel=1e-12)
    assert clustering.r_g(1) > 50
    assert clustering.r_g(150) is None
    labels = clustering.labels(1.0, 10)
    assert set(labels) == {0, 1}
    assert len(set(labels[:100])) == len(set(labels[100:200])) == 1


def test_identical_points_are_one_cluster():
    clustering = single_linkage(np.zeros((10, 3)))
    assert clustering.r_g(3) in (0.0, None)
    assert barcode(clustering, np.zeros(10, dtype=int), 3) == []
    assert not clustering.labels(0.1, 3).any()


@pytest.mark.parametrize(
    ("points", "message"), [(np.zeros((1, 3)), "at least two"), (np.full((3, 2), np.nan), "finite")]
)
def test_points_that_cannot_be_clustered(points, message):
    with pytest.raises(Error, match=message):
        single_linkage(points)


def test_gaussian_process_agrees_with_direct_algebra():
    rng = np.random.default_rng(1)
    points, targets, owner = rng.normal(size=(12, 3)), rng.normal(size=(4, 3)), np.repeat([0, 1, 2], [3, 4, 5])
    kernel = lambda a, b: np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / 2)  # noqa: E731
    mean = (owner == np.arange(3)[:, None]) / np.bincount(owner)[:, None]
    known = mean @ kernel(points, targets)
    direct = np.diag(known.T @ np.linalg.inv(mean @ kernel(points, points) @ mean.T + 1e-6 * np.eye(3)) @ known)
    np.testing.assert_allclose(gaussian_determinability(points, owner, targets, 1.0), direct, rtol=1e-9)


def test_gaussian_process_sees_equal_ratio():
    """Two far types always in equal ratio: half of each atomic energy is known; of the only type, all."""
    points, owner = np.array([[0.0], [9.0]] * 5), np.repeat(range(5), 2)
    np.testing.assert_allclose(gaussian_determinability(points, owner, points[:2], 0.5), 0.5, atol=1e-5)
    np.testing.assert_allclose(gaussian_determinability(points[::2], np.arange(5), points[:1], 0.5), 1, atol=1e-5)
    np.testing.assert_allclose(gaussian_determinability(points, owner, np.array([[99.0]]), 0.5), 0, atol=1e-5)
    with pytest.raises(Error, match="length scale"):
        gaussian_determinability(points, owner, points, 0.0)


@pytest.mark.parametrize("lattice", ["diamond", "fcc", "bcc", "sc"])
def test_crystals_are_invariant_points(lattice):
    assert is_invariant(bulk("Si", lattice, a=4.0))


def test_invariant_energy():
    perfect = bulk("Si", "diamond", a=5.43, cubic=True)
    assert invariant_energy(structure(perfect, -43.2)) == pytest.approx(-5.4)
    rattled = perfect.copy()
    rattled.rattle(0.1, seed=0)
    for bad in (structure(rattled, -43.0), structure(Atoms("Si", [[0, 0, 0]]), -1.0), structure(perfect)):
        with pytest.raises(Error, match="invariant point"):
            invariant_energy(bad)


def test_extrapolation():
    line = np.linspace(0, 1, 11)[:, None]
    assert extrapolated(line, np.array([[1.05], [1.2], [np.nan]])).tolist() == [False, True, True]
    outlier = np.concatenate([np.linspace(0, 1, 500), [9.0]])[:, None]
    assert extrapolated(outlier, np.array([[4.0], [9.0]])).tolist() == [True, False]  # one atom sets no standard
    assert extrapolated(line[:1], np.array([[0.1]])).tolist() == [True]


def test_warning_rule():
    stuck = np.full(20, 0.362)
    assert "si:0 is wrong by +362 meV" in adhoc_warning("si:0", stuck, 0.0008, 4)
    assert "-362 meV" in adhoc_warning("si:0", -stuck, 0.0008, 19)
    for delta, rmse, window in [
        (stuck, 0.05, 4),  # totals are no better
        (stuck, np.nan, 4),  # no energies
        (stuck, 0.0008, 20),  # no fifth of the run has passed
        (np.full(20, 0.009), 0.0001, 4),  # below 10 meV
        (np.geomspace(1, 0.1, 20), 0.001, 4),  # still falls
        (np.full(20, np.nan), 0.001, 4),
    ]:
        assert adhoc_warning("si:0", delta, rmse, window) is None


def slab(layers, rng):
    """Si(001), not reconstructed, four atoms a layer, 15 Angstrom of vacuum."""
    a, z = 5.431 / np.sqrt(2), 5.431 / 4
    shifts = [(0, 0), (0.5, 0), (0.5, 0.5), (0, 0.5)]
    grid = list(itertools.product(range(2), repeat=2))
    sites = [((x + shifts[k % 4][0]) * a, (y + shifts[k % 4][1]) * a, k * z) for k in range(layers) for x, y in grid]
    atoms = Atoms(f"Si{len(sites)}", sites, cell=[2 * a, 2 * a, layers * z + 15], pbc=True)
    atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
    return atoms


def crystal(scale, rng):
    atoms = bulk("Si", "diamond", a=5.431 * scale, cubic=True) * (2, 2, 1)
    atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
    return atoms


def test_slabs_leave_offsets_that_thickness_or_bulk_settles():
    """Slabs of one thickness leave two offsets free, a second thickness one, bulk none: known before any training.

    The same by the Gaussian process: what is unknown of the perfect crystal's atomic energy falls a hundredfold.
    """
    rng = np.random.default_rng(1)
    eight = [slab(8, rng) for _ in range(20)]
    more = {"A": [], "B": [slab(12, rng) for _ in range(6)]}
    more["C"] = [crystal(scale, rng) for scale in np.linspace(0.98, 1.02, 6)]
    functions = SymmetryFunctions.preset("simple-nn", ["Si"], 5.0)
    perfect = Environments.of(Dataset([structure(bulk("Si", "diamond", a=5.431))]), functions)
    nullity, unknown = [], []
    for extra in more.values():
        environments = Environments.of(Dataset(structure(a) for a in eight + extra), functions)
        space = GSpace(environments, [functions.core.count(0)])
        points, owner = space.coordinates(environments, 0), environments.structure
        entries = barcode(single_linkage(points), owner, default_n_big(len(points)))
        nullity.append(max(entries, key=lambda entry: entry.high / entry.low).nullity)
        crystals = space.coordinates(perfect, 0)[:1]
        unknown.append(1 - gaussian_determinability(points, owner, crystals, 0.2)[0])
    assert nullity == [2, 1, 0]
    assert unknown[0] > 50 * unknown[1] > 0
    assert unknown[0] > 50 * unknown[2] > 0
