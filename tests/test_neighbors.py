"""The neighbour list against ASE's, on cells of all shapes."""

import numpy as np
import pytest
from ase.neighborlist import primitive_neighbor_list
from hypothesis import assume, given
from hypothesis import strategies as st

from checks import DEVICES, RNG_SEED, arrays, assert_close, random_potential, strained, structures
from sitewise import Error, NeighborList, _core

every_device = pytest.mark.parametrize("device", DEVICES)
numbers = st.floats(-1, 1)
vectors = st.tuples(numbers, numbers, numbers)


def rows(*columns):
    return sorted(map(tuple, np.column_stack(columns).tolist()))


@every_device
@given(
    cell=st.tuples(vectors, vectors, vectors),
    size=st.floats(1.5, 8),
    pbc=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    atoms=st.lists(vectors, min_size=1, max_size=7),
    spread=st.floats(0.5, 30),
    cutoff=st.floats(0.5, 7),
)
def test_equal_to_ase(device, cell, size, pbc, atoms, spread, cutoff):
    cell = size * (np.eye(3) + 0.4 * np.array(cell))
    positions = spread * np.array(atoms)
    assume(abs(np.linalg.det(cell)) > 0.1 * size**3)
    i, j, distance, shift = primitive_neighbor_list("ijdS", pbc, cell, positions, cutoff + 1e-9, self_interaction=False)
    assume(np.all(distance > 1e-3) and np.all(np.abs(distance - cutoff) > 2e-9))
    a, b, r, s = _core.neighbor_list(positions, cell, np.array(pbc), cutoff, device)
    assert rows(a, b, s) == rows(i, j, shift)
    assert np.abs(r - (positions[b] - positions[a] + s @ cell)).max(initial=0) < 1e-10


@every_device
def test_zero_vectors_along_open_directions(device):
    positions = np.random.default_rng(1).uniform(0, 9, (40, 3))
    for pbc in ((False, False, False), (True, False, False), (True, True, False)):
        cell = np.diag([9.0 if p else 0.0 for p in pbc])
        full = np.diag([9.0 if p else 100.0 for p in pbc])
        a, b, _, s = _core.neighbor_list(positions, cell, np.array(pbc), 4.0, device)
        i, j, shift = primitive_neighbor_list("ijS", pbc, full, positions, 4.0)
        assert rows(a, b, s) == rows(i, j, shift)


@every_device
def test_every_pair_has_its_mirror(device):
    positions = np.random.default_rng(2).uniform(0, 3, (3, 3))
    i, j, _, s = _core.neighbor_list(positions, np.diag([3.0, 2.0, 2.5]), np.ones(3, bool), 6.0, device)
    assert rows(i, j, s) == rows(j, i, -s)


def test_order_does_not_depend_on_threads():
    positions = np.random.default_rng(3).uniform(0, 20, (900, 3))
    threads, results = _core.get_threads(), []
    try:
        for n in (1, 2, 3):
            _core.set_threads(n)
            results.append(_core.neighbor_list(positions, 20 * np.eye(3), np.ones(3, bool), 4.0))
    finally:
        _core.set_threads(threads)
    for other in results[1:]:
        for x, y in zip(results[0], other, strict=True):
            assert np.array_equal(x, y)


@every_device
def test_the_cutoff_itself_is_outside(device):
    positions = np.array([[0.0, 0, 0], [2.0, 0, 0]])
    arguments = (positions, np.zeros((3, 3)), np.zeros(3, bool))
    assert len(_core.neighbor_list(*arguments, 2.0, device)[0]) == 0
    assert len(_core.neighbor_list(*arguments, np.nextafter(2.0, 3.0), device)[0]) == 2


@every_device
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cutoff": -1.0}, "cutoff .* -1"),
        ({"positions": np.array([[0.0, 0, 0], [np.inf, 0, 0]])}, "atom 1 has the coordinate inf"),
        ({"positions": np.zeros((2, 3))}, "atoms 0 and 1 are 0 Angstrom apart"),
        ({"cell": np.ones((3, 3))}, "no volume"),
        ({"cell": np.diag([5.0, 5.0, np.nan])}, "cell has the value nan"),
        ({"cell": np.diag([5.0, 5.0, 1e-4])}, "too thin"),
        ({"cell": 0.02 * np.eye(3)}, "so small that a cutoff of 3 reaches .* images"),
        ({"positions": np.array([[1e308, 0, 0], [-1e308, 0, 0]]), "pbc": np.zeros(3, bool)}, "too far apart"),
        ({"positions": np.array([[1e308, -1e308, 0]] * 2), "cell": np.eye(3) * 5 + 4}, "cells away|no volume"),
    ],
)
def test_bad_input_is_named(change, message, device):
    good = {
        "positions": np.array([[0.0, 0, 0], [2.0, 0, 0]]),
        "cell": 5 * np.eye(3),
        "pbc": np.ones(3, bool),
        "cutoff": 3.0,
    }
    with pytest.raises(Error, match=message):
        _core.neighbor_list(**(good | change), device=device)


@pytest.mark.parametrize("name", ["mixed", "cluster", "slab", "one-atom crystal", "outside the cell"])
def test_a_list_with_a_skin_is_reused_and_changes_nothing(name):
    species, positions, cell, pbc = arrays(structures()[name])
    potential = random_potential()
    rng = np.random.default_rng(RNG_SEED)
    neighbors = NeighborList(potential.cutoff, skin=0.5)
    for step in range(60):
        positions = positions + rng.normal(0, 0.01, positions.shape)
        if step % 3 == 0 and all(pbc):
            positions, cell = strained(positions, cell, rng.normal(0, 0.003, (3, 3)))
        expected = potential.compute(species, positions, cell, pbc, features=True)
        found = potential.compute(species, positions, cell, pbc, features=True, neighbors=neighbors)
        for key in expected:
            assert_close(np.nan_to_num(found[key]), np.nan_to_num(expected[key]), 1e-10, floor=1e-3)
    assert 1 <= neighbors.builds < 30


def test_a_list_with_a_skin_is_built_anew_when_it_must():
    species, positions, cell, pbc = arrays(structures()["mixed"])
    potential = random_potential()
    neighbors = NeighborList(potential.cutoff, skin=0.5)

    def builds(positions, cell=cell, pbc=pbc, species=species):
        potential.compute(species, positions, cell, pbc, neighbors=neighbors)
        return neighbors.builds

    assert builds(positions) == 1
    moved = positions.copy()
    moved[2] += [0.24, 0, 0]
    assert builds(moved) == 1
    moved[2] += [0.02, 0, 0]
    assert builds(moved) == 2
    assert builds(*strained(moved, cell, 0.02 * np.eye(3))) == 2  # strain alone moves nothing within the cell
    assert builds(*strained(moved, cell, -0.2 * np.eye(3))) == 3
    assert builds(positions[:3], species=species[:3]) == 4
    assert builds(positions[:3], pbc=np.array([True, True, False]), species=species[:3]) == 5
    with pytest.raises(Error, match="atom 1 has the coordinate nan"):
        builds(np.where(np.arange(5)[:, None] == 1, np.nan, positions))
    assert builds(positions) == 6
    assert builds(positions) == 6


def test_bad_lists_with_a_skin_are_refused():
    with pytest.raises(Error, match="cutoff of the neighbour list"):
        NeighborList(0.0)
    with pytest.raises(Error, match="skin of the neighbour list"):
        NeighborList(3.0, skin=np.nan)
    with pytest.raises(Error, match=r"cutoff is 3.0.* potential's is 4.3"):
        random_potential().compute(*arrays(structures()["slab"]), neighbors=NeighborList(3.0))


@pytest.mark.parametrize("axis", range(3))
def test_a_list_with_a_skin_under_uniaxial_compression(axis):
    """The smallest stretch counts: pairs along one axis come within the cutoff although the other axes stay."""
    species, positions, cell, pbc = arrays(structures()["mixed"])
    potential = random_potential()
    neighbors = NeighborList(potential.cutoff, skin=0.5)
    strain = np.zeros((3, 3))
    potential.compute(species, positions, cell, pbc, neighbors=neighbors)
    for step in range(1, 5):
        strain[axis, axis] = -0.06 * step
        deformed = (species, *strained(positions, cell, strain), pbc)
        found = potential.compute(*deformed, neighbors=neighbors)
        assert_close(found["energies"], potential.compute(*deformed)["energies"], 1e-11)


def test_a_list_with_a_skin_when_a_strain_is_undone():
    """The strain since the last build counts.

    When the atom does not move, only the cell shows that the list of the stretched crystal lacks neighbours.
    """
    potential = random_potential()
    neighbors = NeighborList(potential.cutoff, skin=0.5)
    species, cell, pbc = np.array([0], np.int32), 2.3 * (np.ones((3, 3)) - np.eye(3)), np.ones(3, bool)
    for builds, (stretch, x) in enumerate([(1.0, 0.0), (1.4, 1.5), (1.0, 1.5)], 1):
        crystal = (species, np.array([[x, 0, 0]]), stretch * cell, pbc)
        found = potential.compute(*crystal, neighbors=neighbors)
        assert neighbors.builds == builds
        assert_close(found["energies"], potential.compute(*crystal)["energies"], 1e-11)


@every_device
@pytest.mark.parametrize("far", [1e15, -1e15, 1.2e10, -1.2e10])
def test_an_atom_too_many_cells_away_is_refused(far, device):
    """1.2e10 Angstrom are 2.4e9 cells, more than the numbers of cells can hold."""
    positions = np.array([[0.0, 0, 0], [2.0, far, 0]])
    with pytest.raises(Error, match=r"atom 1 lies -?[\d.e+]+ cells away"):
        _core.neighbor_list(positions, 5 * np.eye(3), np.ones(3, bool), 3.0, device)


@every_device
@pytest.mark.parametrize("far", [[1e15, 1e15, 0], [1e15, 0, 1e15], [1e8, -1e8, 1e8], [1e5, 1e14, 1e3]])
def test_free_atoms_far_apart_take_no_memory(far, device):
    """The bins along both long directions would take gigabytes."""
    positions = np.array([[0.0, 0, 0], [0.5, 0, 0], far])
    i, j, vector, _ = _core.neighbor_list(positions, np.zeros((3, 3)), np.zeros(3, bool), 1.0, device)
    assert (i.tolist(), j.tolist()) == ([0, 1], [1, 0])
    assert vector.tolist() == [[0.5, 0, 0], [-0.5, 0, 0]]


@every_device
def test_an_atom_many_cells_away_has_its_neighbors(device):
    """The distance is one that binary numbers hold exactly."""
    cells = np.array([2.0**28, -(2.0**27), 2.0**20])
    positions = np.array([[0.25, 0, 0], [0.75, 0, 0] + 4 * cells])
    i, j, vector, shift = _core.neighbor_list(positions, 4 * np.eye(3), np.ones(3, bool), 1.0, device)
    assert (i.tolist(), j.tolist()) == ([0, 1], [1, 0])
    assert vector.tolist() == [[0.5, 0, 0], [-0.5, 0, 0]]
    assert shift.tolist() == [(-cells).tolist(), cells.tolist()]
