"""The ensemble of the library, which evaluates functions once, against its members one by one."""

import numpy as np
import pytest

from checks import arrays, assert_close, compiled, random_potential, silicon_potential, structures
from sitewise import Ensemble, Error, NeighborList, Potential, _core
from sitewise.io.convert import convert
from sitewise.progress import Silent

SEEDS = (1, 2, 3)  # other weights, other scaling


@pytest.fixture(scope="module")
def ensemble():
    return Ensemble([Potential(random_potential(seed)) for seed in SEEDS])


@pytest.mark.parametrize("name", structures())
def test_means_and_spreads_are_those_of_the_members(ensemble, name):
    atoms = structures()[name]
    found, expected = ensemble.core.compute(*arrays(atoms), features=True, virials=True), ensemble.evaluate(atoms)
    assert_close(found["energy"], expected.energy, 1e-12)
    assert_close(found["energies"], expected.energies, 1e-12)
    assert_close(found["forces"], expected.forces, 1e-11, floor=1.0)
    assert_close(found["energy_spread"], expected.energy_spread, 1e-11)
    assert_close(found["energies_spread"], expected.energies_spread, 1e-11)
    forces = np.array([member.evaluate(atoms).forces for member in ensemble.members])
    sample = np.sqrt(((forces - forces.mean(axis=0)) ** 2).sum(axis=0) / (len(forces) - 1))
    assert_close(expected.forces_spread, sample, 1e-12, floor=1e-9)
    assert np.array_equal(found["features"], expected.features, equal_nan=True)
    assert np.array_equal(found["extrapolations"], expected.extrapolation)
    virials = [member.core.compute(*arrays(atoms), virials=True)["virials"] for member in ensemble.members]
    assert_close(found["virials"], np.mean(virials, axis=0), 1e-11, floor=1.0)
    assert_close(found["virials"].sum(axis=0), found["virial"], 1e-11, floor=1.0)


@pytest.mark.parametrize("name", structures())
def test_merged_into_one(ensemble, name, tmp_path):
    atoms = structures()[name]
    expected = ensemble.evaluate(atoms)
    ensemble.merged().save(tmp_path / "one")
    found = Potential.load(tmp_path / "one").evaluate(atoms)
    assert_close(found.energies, expected.energies, 1e-11)
    assert_close(found.forces, expected.forces, 1e-10, floor=1.0)
    assert_close(found.features, expected.features, 1e-13)


def test_the_command_merges_what_has_normalized_energies(ensemble, tmp_path):
    atoms, names = structures()["mixed"], ("0", "1")
    Ensemble(ensemble.members[:2]).save(tmp_path / "both")
    for name in names:
        with (tmp_path / "both" / name / "input.nn").open("a") as file:
            file.write(f"\nmean_energy {name}\nconv_energy {name}.5\nconv_length 1\n")
    convert([tmp_path / "both"], tmp_path / "one", None, 1.0, 1.0, Silent())
    members = [Potential.load(tmp_path / "both" / name) for name in names]
    assert [m.core.normalization for m in members] == [(0.0, 0.5), (1.0, 1.5)]
    expected = np.mean([m.evaluate(atoms).energies for m in members], axis=0)
    assert_close(Potential.load(tmp_path / "one").evaluate(atoms).energies, expected, 1e-11)


def test_what_cannot_be_merged(ensemble):
    other = random_potential(1)
    nodes = other.networks[0].nodes
    for letters, normalized, words in (("tpl", False, "activations differ"), ("ttl", True, "normalize_nodes")):
        networks = [_core.Network(nodes, letters, normalized) for _ in other.networks]
        strange = _core.Potential(other.elements, other.functions, other.scaling, networks, other.atom_energies)
        with pytest.raises(Error, match=words):
            Ensemble([ensemble.members[0], Potential(strange)]).merged()


def test_the_calculator(ensemble):
    atoms = structures()["mixed"]
    atoms.set_cell(0.7 * atoms.cell.array, scale_atoms=True)  # out of the range of the functions
    expected = ensemble.evaluate(atoms)
    atoms.calc = ensemble.calculator()
    with pytest.warns(UserWarning, match="training range"):
        energy = atoms.get_potential_energy()
    assert_close(energy, expected.energy, 1e-12)
    assert_close(atoms.get_forces(), expected.forces, 1e-11)
    assert_close(atoms.get_stress(), expected.stress, 1e-10)
    assert_close(atoms.calc.results["energy_spread"], expected.energy_spread, 1e-11)
    assert_close(atoms.calc.results["energies_spread"], expected.energies_spread, 1e-11)


def test_a_kept_list_and_single_precision(ensemble):
    atoms, neighbors = structures()["mixed"], NeighborList(ensemble.cutoff, 0.5)
    single = [Potential(random_potential(seed)) for seed in SEEDS]
    for member in single:
        member.core.precision = "float32"
    for _ in range(3):
        atoms.positions += 0.02
        expected = ensemble.evaluate(atoms)
        found = ensemble.core.compute(*arrays(atoms), neighbors=neighbors)
        assert_close(found["forces"], expected.forces, 1e-11)
        assert_close(found["energies_spread"], expected.energies_spread, 1e-11)
        assert_close(Ensemble(single).core.compute(*arrays(atoms))["forces"], expected.forces, 1e-4)


def test_members_that_do_not_belong_together_are_refused():
    message = "potential 1 of the ensemble has other elements or functions than potential 0"
    with pytest.raises(Error, match=message):
        Ensemble([Potential(random_potential()), Potential(silicon_potential())])
    one = random_potential()
    make = _core.Potential
    other = make(one.elements, compiled(kind=2), one.scaling, one.networks, one.atom_energies)
    with pytest.raises(Error, match=message):  # another cutoff function
        Ensemble([Potential(one), Potential(other)])
    alphas = [make(one.elements, compiled(alpha=a), one.scaling, one.networks, one.atom_energies) for a in (0.0, 0.3)]
    with pytest.raises(Error, match=message):  # of another inner cutoff
        Ensemble([Potential(member) for member in alphas])
    with pytest.raises(Error, match="at least 2 potentials, found 1"):
        Ensemble([Potential(one)])
    with pytest.raises(Error, match="at least one potential"):
        _core.Ensemble([])


def test_a_member_without_its_files_is_told(ensemble, tmp_path):
    ensemble.save(tmp_path / "potential")
    (tmp_path / "potential" / "1" / "input.nn").unlink()
    with pytest.raises(Error, match=r"potential/1/input\.nn: cannot be read"):
        Ensemble.load(tmp_path / "potential")


def test_the_farthest_function():
    scaling = _core.Scaling("minmax", -1.0, 1.0, [np.array([[0, 0, 0, 1], [1, 10, 2, 1], [0.5] * 4, [1] * 4], float)])
    assert scaling.farthest(0, [1.5, 12.0, -0.5, 1.0]) == 0  # by half of its range; others by a fifth and a quarter
    assert scaling.farthest(0, [0.5, 12.0, 2.1, 1.0]) == 1
    assert scaling.farthest(0, [0.5, 5.0, 1.0, 1.0 + 1e-9]) == 3  # which was always 1


def test_a_larger_ensemble_is_not_overwritten_in_part(ensemble, tmp_path):
    """Otherwise the third member would stay among those of the new ensemble."""
    ensemble.save(tmp_path / "potential")
    with pytest.raises(Error, match=r"potential/2: belongs to a larger ensemble"):
        Ensemble(ensemble.members[:2]).save(tmp_path / "potential")
    assert len(Ensemble.load(tmp_path / "potential").members) == 3
