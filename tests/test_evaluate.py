"""`Potential` as users see it: an ASE structure in, results in ASE's conventions out."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from checks import (
    DEVICES,
    arrays,
    assert_close,
    directional_derivative,
    random_potential,
    rattled,
    strained,
    structures,
)
from sitewise import Error, Potential


@pytest.fixture(scope="module")
def potential():
    return Potential(random_potential())


def crystal():
    return structures()["mixed"]


def test_results_are_those_of_the_library(potential):
    for atoms in structures().values():
        result = potential.evaluate(atoms)
        exact = potential.core.compute(*arrays(atoms), features=True)
        assert result.energy == exact["energy"]
        assert result.energy == pytest.approx(result.energies.sum(), rel=1e-12)
        for name in ("energies", "forces", "features"):
            assert np.array_equal(getattr(result, name), exact[name], equal_nan=True)
        assert np.array_equal(result.extrapolation, exact["extrapolations"])


@pytest.mark.parametrize("device", DEVICES)
def test_many_structures_give_what_each_gives(device):
    potential = Potential(random_potential(device=device))
    assert potential.device == device
    assert potential.evaluate_many([]) == []
    for atoms, result in zip(structures().values(), potential.evaluate_many([*structures().values()]), strict=True):
        alone = potential.evaluate(atoms)
        assert_close([result.energy], [alone.energy], 1e-14)
        for name in ("energies", "forces", "stress", "features", "extrapolation"):
            if getattr(alone, name) is not None:
                found, expected = (np.nan_to_num(getattr(r, name)) for r in (result, alone))
                assert_close(found, expected, 1e-14, floor=1.0)


@pytest.mark.skipif("cuda" not in DEVICES, reason="no CUDA device")
def test_results_as_arrays_on_cuda():
    potential, atoms = Potential(random_potential(device="cuda")), crystal()
    expected, result = potential.evaluate(atoms), potential.evaluate_on_device(atoms)
    assert np.array_equal(result["forces"].numpy(), expected.forces)
    assert_close(result["energy"].numpy(), [expected.energy], 1e-14)


@pytest.mark.parametrize("component", range(6))
def test_stress_has_the_sign_and_order_of_ase(potential, component):
    """Tensile positive, xx yy zz yz xz xy: stress = dE/d(strain)/V, a shear being half in each triangle."""
    a, b = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)][component]
    atoms = crystal()
    strain = np.zeros((3, 3))
    strain[a, b] += 0.5
    strain[b, a] += 0.5

    def energy(h):
        moved = atoms.copy()
        moved.positions, cell = strained(atoms.positions, np.array(atoms.cell), h * strain)
        moved.set_cell(cell)
        return potential.evaluate(moved).energy

    expected = directional_derivative(energy, 1e-4) / atoms.cell.volume
    assert_close([potential.evaluate(atoms).stress[component]], [expected], 1e-7)


def test_stress_needs_three_periodic_directions(potential):
    assert potential.evaluate(structures()["slab"]).stress is None
    assert potential.evaluate(structures()["cluster"]).stress is None


def test_a_calculator_is_not_needed_and_nothing_is_changed(potential):
    atoms = crystal()
    before = atoms.copy()
    potential.evaluate(atoms)
    assert atoms == before


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms(), "structure has no atoms"),
        (bulk("Ge", "diamond", a=5.6), "structure has element Ge, the potential has O, Si"),
        (Atoms("Si", positions=[[0, np.nan, 0]]), "atom 0"),
        (Atoms("Si", cell=[4, 4, 0], pbc=True), "volume"),
        (Atoms("Si2", positions=np.zeros((2, 3))), "atoms 0 and 1"),
    ],
)
def test_bad_structures(potential, atoms, message):
    with pytest.raises(Error, match=message):
        potential.evaluate(atoms)


def test_save_writes_all_or_nothing(potential, tmp_path):
    potential.save(tmp_path / "new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new"]
    potential.save(tmp_path / "new", comments="again\nand again")
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        "input.nn",
        "scaling.data",
        "weights.008.data",
        "weights.014.data",
    ]
    with pytest.raises(Error, match="cannot be written"):
        potential.save(tmp_path / "absent" / "new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new"]
    again = Potential.load(tmp_path / "new")
    atoms = rattled(crystal(), 0.05)
    assert np.array_equal(again.evaluate(atoms).forces, potential.evaluate(atoms).forces)
    assert again.topologies == potential.topologies
    assert repr(again) == repr(potential)
