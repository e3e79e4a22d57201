"""Atomic energy mapping on problems whose answers are known beforehand."""

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial import cKDTree

from checks import random_potential, silicon_frames, silicon_potential, structures
from sitewise import Dataset, Error, Potential, SymmetryFunctions, _core, progress
from sitewise.mapping import clustering, gaussian
from sitewise.mapping.clustering import JointClustering, single_linkage
from sitewise.mapping.counts import barcode, comparison, determine, joint_barcode, longest, null_fraction
from sitewise.mapping.diagnosis import diagnose
from sitewise.mapping.gaussian import SumProcess, farthest_points, gaussian_determinability
from sitewise.mapping.gspace import Environments, GSpace, Placed
from sitewise.mapping.invariants import adhoc_warning, extrapolated, invariant_energy, is_invariant, spread
from sitewise.mapping.rigidity import last_layer_rigidity
from sitewise.mapping.verdict import verdict
from sitewise.structures import Structure

QUIET = progress.Reporter(quiet=True)


def structure(atoms, energy=None, source="memory"):
    return Structure(atoms, energy, None, None, "", source)


def test_distance_in_g_space():
    """The distance is sqrt(mean over functions of the squared difference), scaled to [-1, 1] over the training set.

    A function that is constant there does not count, and other structures may lie outside.
    """
    owner = np.arange(2)
    training = Environments(np.array([[0.0, 10.0, 5.0], [2.0, 30.0, 5.0]]), np.zeros(2, dtype=int), owner)
    others = Environments(np.array([[1.0, 20.0, 7.0], [4.0, 10.0, 5.0]]), np.zeros(2, dtype=int), owner)
    space = GSpace.of(training, [3])
    (a, b), (c, d) = (space.coordinates(environments, 0) for environments in (training, others))
    assert np.linalg.norm(a - b) == pytest.approx(np.sqrt(8 / 3))
    assert np.linalg.norm(a - c) == pytest.approx(np.sqrt(2 / 3))
    assert np.linalg.norm(a - d) == pytest.approx(np.sqrt(16 / 3))
    assert space.place(others).split(np.arange(2.0)) == [[0.0], [1.0]]


def test_a_function_that_varies_by_rounding_counts_nothing():
    """A millionth of the larger bound, whatever its sign, is rounding; twice as much is not."""
    low = np.array([1e6 - 1, -1e6, 1e6 - 2, -1e6, 0.0])
    high = np.array([1e6, 1 - 1e6, 1e6, 2 - 1e6, 1e-9])
    training = Environments(np.array([low, high]), np.zeros(2, dtype=int), np.arange(2))
    found = GSpace.of(training, [5]).coordinates(training, 0) * np.sqrt(5)
    assert (found == 0).all(axis=0).tolist() == [True, True, False, False, False]
    np.testing.assert_allclose(found[:, 2:], [[-1] * 3, [1] * 3], atol=1e-12)


def test_big_clusters_have_at_least_n_big_members():
    """Both sides must have them."""
    points = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [50.0]])
    found = single_linkage(points)
    assert found.big_merges(2) == [(8.0, 3, 2)]
    assert found.big_merges(3) == []
    assert found.r_g(1) == 39.0
    assert found.r_g_curve([1, 2, 3]) == [(1, 39.0), (2, 8.0), (3, None)]
    with pytest.raises(Error, match="n_big must be at least 1"):
        found.r_g(0)


def test_a_cluster_of_just_n_big_members_is_one_of_its_own():
    """Smaller clusters go to the nearest big one; a cut exactly at the distance of a merge joins what it merges."""
    points = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [50.0]])
    found = single_linkage(points)
    assert found.labels(1.5, 2).tolist() == [0, 0, 0, 1, 1, 1]
    assert found.labels(1.5, 3).tolist() == [0] * 6
    assert found.labels(1.5, 4).tolist() == [0] * 6
    assert found.labels(1.5, 1).tolist() == [0, 0, 0, 1, 1, 2]
    assert found.labels(8.0, 1).tolist() == [0] * 5 + [1]
    assert found.labels(7.999, 1).tolist() == [0] * 3 + [1] * 2 + [2]


def test_default_n_big():
    """It is a twentieth, rounded down, and at least three."""
    assert [clustering.default_n_big(n) for n in (2, 60, 79, 80, 99, 100, 20_000)] == [3, 3, 3, 4, 4, 5, 1000]


def test_barcode_of_four_clusters_on_a_line():
    """Gaps of 1, 2 and 8 between groups of three points; the first structure has all points of the first group, and
    each structure one point of each other group."""
    centres = np.cumsum([0, 0.2 + 1, 0.2 + 2, 0.2 + 8])
    points = (centres[:, None] + [0, 0.1, 0.2]).reshape(-1, 1)
    owner = np.array([0, 0, 0, 0, 1, 2, 0, 1, 2, 0, 1, 2])
    entries = barcode(single_linkage(points), owner, 3)
    # below 1 four clusters with counts 3111, 0111, 0111; then three with 411, 111, 111; then two with 51, 21, 21
    assert [(e.clusters, e.rank, e.nullity) for e in entries] == [(4, 2, 2), (3, 2, 1), (2, 2, 0)]
    np.testing.assert_allclose([(e.low, e.high) for e in entries], [(0.6, 1), (1, 2), (2, 8)])
    np.testing.assert_allclose([e.cut for e in entries], np.sqrt([0.6, 2, 16]))
    assert longest(entries) == entries[2]
    assert longest(entries[:2]) == entries[1]  # the first has no end below
    assert longest(entries[:1]) == entries[0]
    assert barcode(single_linkage(points), owner, 4) == []  # of each two that merge, one has three


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


def points_to_link(kind):
    """Make points without structure, on a grid, in copies, in clouds, on a line, or two of them."""
    rng = np.random.default_rng(0)
    return {
        "random": rng.normal(size=(300, 26)),
        "grid": rng.integers(0, 4, (500, 4)) * 1.0,
        "copies": np.repeat(rng.normal(size=(40, 5)), 30, axis=0),
        "clouds": np.concatenate([rng.normal(z, 1, size=(200, 3)) for z in (0, 30, 130)]),
        "line": rng.normal(size=(100, 1)),
        "two": rng.normal(size=(2, 3)),
    }[kind]


@pytest.mark.parametrize("kind", ["random", "grid", "copies", "clouds", "line", "two"])
def test_single_linkage_equals_scipy(kind):
    points = points_to_link(kind)
    reference, found = linkage(points, "single"), single_linkage(points)
    np.testing.assert_allclose(found.merges[:, 2], reference[:, 2], rtol=1e-12)
    for cut in np.unique(reference[:, 2])[:: max(1, len(points) // 20)] * (1 + 1e-9):
        ours, theirs = found.labels(cut, 1), fcluster(reference, cut, "distance")
        assert len({*zip(ours, theirs, strict=True)}) == len(set(ours)) == len(set(theirs))


def test_threads_find_the_same_tree():
    """Also where many distances are equal."""
    points, threads = points_to_link("grid"), _core.get_threads()
    found = []
    try:
        for n in (1, 3):
            _core.set_threads(n)
            found.append(single_linkage(points).merges)
    finally:
        _core.set_threads(threads)
    np.testing.assert_array_equal(*found)


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


def gaussian_kernel(length):
    return lambda a, b: np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / (2 * length**2))


def test_gaussian_process_agrees_with_direct_algebra():
    rng = np.random.default_rng(1)
    points, targets, owner = rng.normal(size=(12, 3)), rng.normal(size=(4, 3)), np.repeat([0, 1, 2], [3, 4, 5])
    kernel = gaussian_kernel(1.0)
    mean = (owner == np.arange(3)[:, None]) / np.bincount(owner)[:, None]
    known = mean @ kernel(points, targets)
    direct = np.diag(known.T @ np.linalg.inv(mean @ kernel(points, points) @ mean.T + 1e-6 * np.eye(3)) @ known)
    np.testing.assert_allclose(gaussian_determinability(points, owner, targets, 1.0), direct, rtol=1e-9)


def test_gaussian_process_sees_equal_ratio():
    """With two far types always in equal ratio half of each atomic energy is known; with a single type, all of it."""
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


def test_spread_of_many_points():
    """An atom is not its own neighbour, also beyond the 2,000 that are computed together.

    Of 2,200 pairs the first half are 1 apart, and the others 3.
    """
    gap = np.repeat([1.0, 3.0], [1100, 1100])
    pairs = np.arange(len(gap))[:, None] * 100 + gap[:, None] * [0, 1]
    assert spread(pairs.reshape(-1, 1)) == pytest.approx(3)
    assert spread(pairs[:1100].reshape(-1, 1)) == pytest.approx(1)
    rng = np.random.default_rng(0)
    cloud = rng.uniform(size=(5000, 3))
    nearest = cKDTree(cloud).query(cloud, 2)[0][:, 1]  # the first is the atom itself
    assert np.quantile(nearest, 0.98) < spread(cloud) < np.quantile(nearest, 0.998)


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
    """Make Si(001), not reconstructed, with four atoms per layer and 15 Angstrom of vacuum."""
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


@pytest.fixture(scope="module")
def thicknesses():
    """Make slabs of eight layers, these and twelve layers, and these and bulk."""
    rng = np.random.default_rng(1)
    eight = [slab(8, rng) for _ in range(20)]
    more = {"A": [], "B": [slab(12, rng) for _ in range(6)]}
    more["C"] = [crystal(scale, rng) for scale in np.linspace(0.98, 1.02, 6)]
    target = {"crystal": bulk("Si", "diamond", a=5.431), "eight": slab(8, rng), "twelve": slab(12, rng)}
    functions = SymmetryFunctions.preset("simple-nn", ["Si"], 5.0)
    targets = Dataset(structure(atoms, source=name) for name, atoms in target.items())
    sets = {name: Dataset(structure(a) for a in eight + extra) for name, extra in more.items()}
    return {name: diagnose(data, functions, None, targets, targets, reporter=QUIET) for name, data in sets.items()}


@pytest.mark.slow
def test_slabs_leave_offsets_that_thickness_or_bulk_settles(thicknesses):
    """Slabs of one thickness leave two offsets free, a second thickness one, bulk none: this is known before any
    training.

    The Gaussian process finds the same: the unknown part of the perfect crystal's atomic energy falls fiftyfold.
    """
    assert [d.partition.chosen.nullity for d in thicknesses.values()] == [2, 1, 0]
    unknown = [d.judgement.targets[0].unknown_energy for d in thicknesses.values()]
    assert unknown[0] > 50 * unknown[1] > 0
    assert unknown[0] > 50 * unknown[2] > 0


def test_the_largest_cluster_is_called_a(thicknesses):
    for diagnosis in thicknesses.values():
        sizes = {cluster.name: cluster.n_atoms for cluster in diagnosis.partition.clusters}
        assert [name.split()[1] for name in sorted(sizes)] == list("ABCDEFGH"[: len(sizes)])
        assert [sizes[name] for name in sorted(sizes)] == sorted(sizes.values(), reverse=True)
        labels = np.array(diagnosis.partition.names)[diagnosis.labels]
        assert all((labels == name).sum() == size for name, size in sizes.items())


def test_targets_that_a_thickness_leaves_open(thicknesses):
    """Slabs of eight layers determine their own energy, neither the crystal's nor that of twelve layers."""
    assert thicknesses["A"].judgement.undetermined_targets == ["crystal", "twelve"]
    assert thicknesses["B"].judgement.undetermined_targets == []
    assert thicknesses["C"].judgement.undetermined_targets == []
    text = "\n".join(verdict(thicknesses["A"]))
    assert "2 of 3 targets are not determined" in text
    assert "2 combinations of their energies are free" in text


def test_a_target_far_from_all_data_is_not_determined(thicknesses):
    """It is not determined although it has no part in a free combination of clusters."""
    known = thicknesses["C"]
    aim = Dataset([structure(bulk("Si", "fcc", a=3.9), source="fcc")])
    (found,) = diagnose(known.data, known.functions, None, None, aim, reporter=QUIET).judgement.targets
    assert found.null_fraction == pytest.approx(0, abs=1e-9)
    assert found.unknown_energy > 0.9
    assert found.open


def test_candidates_are_ranked_by_what_they_tell(thicknesses):
    """For these targets bulk or a second thickness determines most, another slab of eight layers nothing."""
    ranked = thicknesses["A"].judgement.candidates
    assert {candidate.name for candidate in ranked[:2]} == {"crystal", "twelve"}
    assert ranked[0].gain > 10 * ranked[2].gain >= 0


def test_expected_gain_is_what_adding_the_candidate_gains():
    rng = np.random.default_rng(3)
    points, owner = rng.normal(size=(40, 2)), np.repeat(range(8), 5)
    new, pool = rng.normal(size=(5, 2)), rng.normal(size=(30, 2))
    spanning = [np.concatenate([points, new, pool])]
    placed, candidate = Placed.of_one(points, owner), Placed.of_one(new, np.zeros(5, dtype=int))
    targets = Placed.of_one(pool, np.repeat([0, 1], [10, 20]))
    before, after = (SumProcess(p, spanning, 0.7) for p in (placed, placed.joined(candidate)))
    unknown = [np.repeat([2.0, 1.0], [10, 20]) @ (1 - p.determinability(targets)) for p in (before, after)]
    assert before.ranked(candidate, targets) == [(0, pytest.approx(1 - unknown[1] / unknown[0], rel=1e-6))]
    assert before.energy_determinability(candidate) < after.energy_determinability(candidate)
    assert after.energy_determinability(candidate) > 0.999


@pytest.fixture
def choice():
    """Make data, targets near the origin, and four candidates, of which the first and the third are the same."""
    rng = np.random.default_rng(5)
    pool = rng.normal(size=(40, 2)) * np.repeat([0.1, 1.0], [30, 10])[:, None]
    new = [np.zeros((3, 2)), rng.normal((2, 0), 1, (3, 2)), np.zeros((3, 2)), rng.normal((-2, 0), 1, (3, 2))]
    data, targets = Placed.of_one(rng.normal(size=(10, 2)), np.repeat([0, 1], 5)), Placed.of_one(pool, np.arange(40))
    return data, targets, new


def test_order_of_candidates(choice):
    """Each candidate has the gain that it adds to those before it; a copy of the best comes last and adds nothing."""
    data, targets, new = choice
    spanning = [np.concatenate([data.points[0], targets.points[0], *new])]

    def unknown():
        return (1 - SumProcess(data, spanning, 0.7).determinability(targets)).sum()

    candidates = Placed.of_one(np.concatenate(new), np.repeat(range(4), 3))
    order = SumProcess(data, spanning, 0.7).ranked(candidates, targets)
    assert sorted(k for k, _ in order) == [0, 1, 2, 3]
    assert (order[0][0], order[-1][0]) == (0, 2)
    assert order[-1][1] < 1e-4 * order[0][1]
    start = unknown()
    for k, gain in order:
        before = unknown()
        data = data.joined(Placed.of_one(new[k], np.zeros(3, dtype=int)))
        assert gain == pytest.approx((before - unknown()) / start, rel=1e-6, abs=1e-9)


def test_order_beyond_the_picked_ones(choice, monkeypatch):
    """The order is that of what each would add to these; none is left out."""
    data, targets, new = choice
    process = SumProcess(data, [np.concatenate([data.points[0], targets.points[0], *new])], 0.7)
    candidates = Placed.of_one(np.concatenate(new), np.repeat(range(4), 3))
    monkeypatch.setattr(gaussian, "PICKED", 0)
    order = process.ranked(candidates, targets)
    assert {k for k, _ in order[:2]} == {0, 2}  # each is good by itself
    alone = [process.ranked(Placed.of_one(new[k], np.zeros(3, dtype=int)), targets)[0][1] for k, _ in order]
    assert [gain for _, gain in order] == pytest.approx(alone, rel=1e-9)
    assert alone == sorted(alone, reverse=True)


def test_representatives_stand_for_all_atoms():
    """The numbers are close to those with all atoms."""
    rng = np.random.default_rng(4)
    centres = rng.normal(size=(12, 6))
    points = (centres[:, None] + rng.normal(scale=0.05, size=(12, 60, 6))).reshape(-1, 6)
    placed = Placed.of_one(points, rng.permutation(np.repeat(range(24), 30)))
    few, every = (SumProcess(placed, [farthest_points(points, n)], 0.4).determinability(placed) for n in (200, 720))
    assert np.abs(few - every).max() < 0.02


@pytest.mark.parametrize("length", [0.1, 0.3, 1.0])
def test_representatives_span_their_kernel(length):
    """They leave out only what is smaller than 1e-9 of it; rounding errors would be far above 1."""
    points = np.random.default_rng(6).uniform(0, 1, (80, 1))
    others = np.linspace(-0.2, 1.2, 300)[:, None]
    basis = gaussian._Basis(farthest_points(points), length)
    phi, of_others = basis.coordinates(points), basis.coordinates(others)
    kernel = np.exp(-((points - points.T) ** 2) / (2 * length**2))
    assert np.abs(phi @ phi.T - kernel).max() < 5e-9
    assert (of_others**2).sum(axis=1).max() < 1 + 1e-6


def test_what_representatives_leave_is_noise_and_unknown():
    """The covariance agrees with direct algebra: it is that of the Nystroem approximation.

    What it lacks of an atom's variance is added to that atom alone.
    """
    rng = np.random.default_rng(7)
    points, targets, few = rng.normal(size=(20, 2)), rng.normal(size=(9, 2)), rng.normal(size=(4, 2))
    owner, whose = np.repeat(range(5), [2, 3, 4, 5, 6]), np.repeat([0, 1], [2, 7])
    kernel = gaussian_kernel(0.8)

    def shared(a, b):
        return kernel(a, few) @ np.linalg.solve(kernel(few, few), kernel(few, b))

    mean, of = ((o == np.unique(o)[:, None]) / np.bincount(o)[:, None] for o in (owner, whose))
    every, all_targets = (shared(p, p) + np.diag(1 - np.diag(shared(p, p))) for p in (points, targets))
    data = np.linalg.inv(mean @ every @ mean.T + 1e-6 * np.eye(5))
    process = SumProcess(Placed.of_one(points, owner), [few], 0.8)
    seen = mean @ shared(points, targets)
    expected = np.einsum("sa,st,ta->a", seen, data, seen)
    np.testing.assert_allclose(process.determinability(Placed.of_one(targets, whose)), expected, rtol=1e-6)
    sums = seen @ of.T
    expected = np.einsum("sa,st,ta->a", sums, data, sums) / np.diag(of @ all_targets @ of.T)
    np.testing.assert_allclose(process.energy_determinability(Placed.of_one(targets, whose)), expected, rtol=1e-6)


def test_farthest_points():
    points = np.array([[0.0], [0.1], [0.1], [5.0], [-3.0]])
    assert farthest_points(points, 3).ravel().tolist() == [0.1, 5.0, -3.0]
    assert len(farthest_points(points)) == 4  # no copies
    assert sorted(farthest_points(np.array([[0.0], [1e-9], [1.0], [0.0]])).ravel().tolist()) == [0.0, 1e-9, 1.0]
    assert farthest_points(np.zeros((0, 3))).shape == (0, 3)


def test_clustering_tells_its_progress(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    points = np.random.default_rng(0).normal(size=(300, 3))
    merges = single_linkage(points, progress.Reporter()).merges
    np.testing.assert_array_equal(merges, single_linkage(points).merges)
    assert "clustering 300 atoms" in capsys.readouterr().err


def test_elements_are_coupled_by_total_energies():
    """Two kinds of A and one of B: their numbers together decide, not those of A alone."""
    a, b = np.array([[0.0], [0.1], [9.0], [9.1]] * 4), np.array([[0.0]] * 8)
    # A alone: two of each kind in each structure, one offset is free. With B in another ratio nothing else is free;
    # with B in a fixed ratio to A, two are.
    for per_structure, nullity in (([2, 2, 2, 2], 2), ([1, 2, 3, 2], 1)):
        owner = np.concatenate([np.repeat(range(4), 4), np.repeat(range(4), per_structure)])
        rows = [np.arange(16), np.arange(16, 24)]
        joint = JointClustering([single_linkage(a), single_linkage(b)], rows, [2, 2])
        assert longest(joint_barcode(joint, owner)).nullity == nullity
    labels = joint.labels(1.0)
    assert set(labels[:16]) & set(labels[16:]) == set()
    placed = Placed([a, b], rows, owner, 4)
    process = SumProcess(placed, [farthest_points(a), farthest_points(b)], 0.5)
    known = process.determinability(placed)
    np.testing.assert_allclose(known[16:], 1, atol=1e-4)  # B occurs in several ratios
    np.testing.assert_allclose(known[:16], 0.5, atol=0.03)


def test_rigidity_by_finite_differences_of_the_last_layer(tmp_path):
    write(tmp_path / "a.xyz", silicon_frames(4))
    data = Dataset.read(tmp_path / "a.xyz", reporter=QUIET)
    potential = Potential(silicon_potential())
    rigidity = last_layer_rigidity(potential.core, data, potential.functions, QUIET)
    assert [len(atoms) for atoms in rigidity] == [len(s.atoms) for s in data]
    weights = potential.core.weights.copy()
    size = potential.core.networks[0].nodes[-2] + 1

    def derivative(of):
        columns = []
        for k in range(len(weights) - size, len(weights)):
            ends = []
            for step in (1e-5, -1e-5):
                potential.core.weights = weights + step * (np.arange(len(weights)) == k)
                ends.append(of())
            columns.append((ends[0] - ends[1]) / 2e-5)
        return np.array(columns)

    matrix = np.zeros((size, size))
    for s in data:
        n = len(s.atoms)
        chosen = np.unique(np.linspace(0, 3 * n - 1, min(60, 3 * n)).round().astype(int))
        energy = derivative(lambda s=s, n=n: potential.evaluate(s.atoms).energy / n)
        forces = derivative(lambda s=s, chosen=chosen: potential.evaluate(s.atoms).forces.ravel()[chosen])
        matrix += (np.outer(energy, energy) + 0.01 * forces @ forces.T / len(chosen)) / len(data)
    matrix += 1e-6 * np.trace(matrix) / size * np.eye(size)
    for atom in (0, 3):
        phi = derivative(lambda atom=atom: potential.evaluate(data[0].atoms).energies[atom])
        assert rigidity[0][atom] == pytest.approx(1 / (phi @ np.linalg.solve(matrix, phi)), rel=1e-3)


def test_rigidity_of_two_elements():
    """Rigidity follows from the derivatives of energies and forces with respect to all weights.

    Those of each element's last layer are the last among its own weights.
    """
    core = random_potential()
    potential = Potential(core)
    data = Dataset([structure(structures()[name]) for name in ("mixed", "cluster", "slab")])
    sizes = [network.weights.size for network in core.networks]
    last = [np.arange(n - core.networks[e].nodes[-2] - 1, n) for e, n in enumerate(sizes)]
    columns = np.concatenate([last[0], sizes[0] + last[1]])
    weights = core.weights.copy()

    def derivative(of):
        found = []
        for k in columns:
            ends = []
            for step in (1e-4, -1e-4):  # energies are linear in the last layer
                core.weights = weights + step * (np.arange(len(weights)) == k)
                ends.append(of())
            found.append((ends[0] - ends[1]) / 2e-4)
        core.weights = weights
        return np.array(found)

    matrix = np.zeros((len(columns), len(columns)))
    for s in data:
        n = len(s.atoms)
        energy = derivative(lambda s=s, n=n: potential.evaluate(s.atoms).energy / n)
        forces = derivative(lambda s=s: potential.evaluate(s.atoms).forces.ravel())
        matrix += (np.outer(energy, energy) + 0.01 * forces @ forces.T / (3 * n)) / len(data)
    matrix += 1e-6 * np.trace(matrix) / len(columns) * np.eye(len(columns))
    inverse = np.linalg.inv(matrix)
    found = last_layer_rigidity(core, data, potential.functions, QUIET)
    for s, own in zip(data, found, strict=True):
        phi = derivative(lambda s=s: potential.evaluate(s.atoms).energies)
        np.testing.assert_allclose(own, 1 / np.einsum("ka,kl,la->a", phi, inverse, phi), rtol=1e-5)


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.zeros((3, 0)), np.array([[0.0], [np.nan]]), np.zeros(3)])
def test_spanning_tree_needs_numbers(points):
    with pytest.raises(Error, match="points has"):
        _core.SpanningTree(points)
