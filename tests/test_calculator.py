"""The calculator for ASE against Potential.evaluate and finite differences, and in ASE's own machinery."""

import copy
import warnings

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from ase.filters import FrechetCellFilter
from ase.io import read, write
from ase.md.verlet import VelocityVerlet
from ase.mep import NEB
from ase.optimize import BFGS

from checks import (
    BOHR,
    DEVICES,
    HARTREE,
    arrays,
    assert_close,
    random_potential,
    rattled,
    silicon,
    silicon_potential,
    structures,
    water,
)
from sitewise import Error, Potential, _core
from sitewise.calculator import ExtrapolationWarning

pytestmark = pytest.mark.filterwarnings("ignore::sitewise.calculator.ExtrapolationWarning")


def narrow():
    """Make a silicon potential whose training range is [0, 1e-3] for all functions."""
    potential = silicon_potential()
    statistics = [np.outer([0.0, 1e-3, 5e-4, 1.0], np.ones(potential.functions.count(0)))]
    scaling = _core.Scaling("none", 0.0, 1.0, statistics)
    return Potential(_core.Potential(["Si"], potential.functions, scaling, potential.networks, [-100.0]))


@pytest.mark.parametrize("name", structures())
def test_results_are_those_of_evaluate(name):
    atoms, potential = structures()[name], Potential(random_potential())
    expected = potential.evaluate(atoms)
    atoms.calc = potential.calculator()
    assert_close(atoms.get_potential_energy(), expected.energy, 1e-12)
    assert_close(atoms.get_potential_energy(force_consistent=True), expected.energy, 1e-12)
    assert_close(atoms.get_potential_energies(), expected.energies, 1e-12)
    assert_close(atoms.get_forces(), expected.forces, 1e-10, floor=1.0)
    assert np.array_equal(atoms.calc.results["extrapolation"], expected.extrapolation)
    if atoms.pbc.all():
        assert_close(atoms.get_stress(), expected.stress, 1e-10, floor=1e-3)
        parts = potential.core.compute(*arrays(atoms), virials=True)["virials"]
        symmetric = (parts + parts.transpose(0, 2, 1))[:, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] / 2
        assert_close(atoms.get_stresses(), symmetric / atoms.get_volume(), 1e-10, floor=1e-3)
    else:
        with pytest.raises(PropertyNotImplementedError):
            atoms.get_stress()


@pytest.mark.parametrize("name", ["crystal", "triclinic", "slab", "small", "water"])
def test_agreement(request, name):
    """The structures are those on which LAMMPS, C++ and C are compared."""
    if name == "water":
        shared = request.getfixturevalue("shared")
        atoms, potential = water(shared), Potential.load(shared / "nnp-h2o", BOHR, HARTREE)
    else:
        atoms, potential = silicon(name), Potential(silicon_potential())
    expected = potential.evaluate(atoms)
    atoms.calc = potential.calculator(skin=0.7)
    assert_close(atoms.get_potential_energy(), expected.energy, 1e-10)
    assert_close(atoms.get_potential_energies(), expected.energies, 1e-10)
    assert_close(atoms.get_forces(), expected.forces, 1e-10, floor=1.0)
    if name != "slab":
        assert_close(atoms.get_stress(), expected.stress, 1e-10, floor=1e-2)
        assert_close(atoms.get_stresses().sum(axis=0), expected.stress, 1e-10, floor=1e-2)


def test_parts_of_the_virial_are_those_of_the_heat_current():
    """The part of atom j is the sum of r_ij (x) dE_i/dr_j over i, by finite differences of atomic energies."""
    atoms, potential = structures()["cluster"], silicon_potential()
    atoms.symbols = "Si5"
    core = Potential(potential)
    parts = potential.compute(*arrays(atoms, (14,)), virials=True)["virials"]
    for j in range(len(atoms)):
        slopes = np.empty((len(atoms), 3))  # dE_i/dr_j
        for axis in range(3):
            values = []
            for step in (-2e-4, -1e-4, 1e-4, 2e-4):
                moved = atoms.copy()
                moved.positions[j, axis] += step
                values.append(core.evaluate(moved).energies)
            slopes[:, axis] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / 12e-4
        expected = sum(np.outer(atoms.positions[j] - atoms.positions[i], slopes[i]) for i in range(len(atoms)))
        assert_close(parts[j], expected, 1e-7, floor=1e-2)


def test_a_kept_list_gives_what_a_new_one_gives():
    atoms = rattled(bulk("Si", "diamond", a=5.4, cubic=True), 0.05)
    potential = Potential(silicon_potential())
    atoms.calc = potential.calculator(skin=0.6)
    rng = np.random.default_rng(3)
    for _ in range(20):
        atoms.positions += rng.normal(0, 0.06, atoms.positions.shape)
        assert_close(atoms.get_forces(), potential.evaluate(atoms).forces, 1e-11)
    assert 1 < atoms.calc._own.neighbors.builds < 20


@pytest.mark.skipif("cuda" not in DEVICES, reason="no CUDA device")
def test_a_calculator_on_cuda():
    results = []
    for device in DEVICES:
        atoms = structures()["mixed"]
        atoms.calc = Potential(random_potential(device=device)).calculator()
        results.append([atoms.get_potential_energies(), atoms.get_forces(), atoms.get_stress(), atoms.get_stresses()])
    for cpu, cuda in zip(*results, strict=True):
        assert_close(cpu, cuda, 1e-12)


def test_one_calculator_for_all():
    """Numbers of atoms, elements, cells and periodicity change from call to call."""
    potential = Potential(random_potential())
    calculator = potential.calculator(skin=0.8)
    cases = [silicon(name) for name in ("crystal", "triclinic", "slab", "small")]
    cases += [cases[0][:40], cases[0].copy(), cases[0].copy(), cases[0].copy()]
    cases[-3].symbols[::2] = "O"
    cases[-2].pbc = [True, False, False]
    cases[-1].set_cell(cases[-1].cell * 1.02)
    for atoms in [*cases, *cases[::-1]]:
        atoms.calc = calculator
        expected = potential.evaluate(atoms)
        assert_close(atoms.get_potential_energies(), expected.energies, 1e-11)
        assert_close(atoms.get_forces(), expected.forces, 1e-10)


def test_copies_share_the_potential_alone():
    potential, atoms = narrow(), silicon("small")
    atoms.calc = potential.calculator(skin=0.4, warn_every=7, stop_after=10**6)
    energy = atoms.get_potential_energy()
    moved = copy.deepcopy(atoms)
    assert moved.calc is not atoms.calc
    assert moved.calc.potential is potential
    assert moved.calc.results["energy"] == energy
    assert (moved.calc._own.neighbors.skin, moved.calc.warn_every, moved.calc.stop_after) == (0.4, 7, 10**6)
    assert moved.calc.extrapolations == atoms.calc.extrapolations > 0
    with warnings.catch_warnings():
        warnings.simplefilter("error", ExtrapolationWarning)  # the original has warned
        moved.rattle(0.05)
        forces = moved.get_forces()
    assert_close(forces, potential.evaluate(moved).forces, 1e-11)
    assert atoms.get_potential_energy() == energy


def hot(temperature):
    """Make a crystal of 64 atoms with velocities."""
    atoms = bulk("Si", "diamond", a=5.4, cubic=True) * (2, 2, 2)
    momenta = np.random.default_rng(1).normal(0, 1, (len(atoms), 3)) * np.sqrt(28.085 * units.kB * temperature)
    atoms.set_momenta(momenta - momenta.mean(axis=0))
    return atoms


def test_constant_pressure():
    """The conserved quantity of the Martyna-Tobias-Klein equations is conserved, as it is if the stress is right."""
    MTKNPT = pytest.importorskip("ase.md.nose_hoover_chain").MTKNPT
    atoms = hot(600)
    atoms.calc = Potential(silicon_potential()).calculator(warn_every=0)
    times = {"tdamp": 100 * units.fs, "pdamp": 500 * units.fs}
    dynamics = MTKNPT(atoms, 1.0 * units.fs, temperature_K=300, pressure_au=0.0, **times)
    volume, conserved = [], []
    dynamics.attach(lambda: volume.append(atoms.get_volume()), interval=10)
    dynamics.attach(lambda: conserved.append(dynamics.get_conserved_energy() / len(atoms)), interval=10)
    dynamics.run(200)
    assert np.ptp(volume) > 1e-3 * volume[0]
    assert np.ptp(conserved) < 5e-5


def test_dynamics_keep_their_energy():
    atoms = hot(600)
    atoms.calc = Potential(silicon_potential()).calculator()
    energies = []
    dynamics = VelocityVerlet(atoms, 1.0 * units.fs)
    dynamics.attach(lambda: energies.append(atoms.get_total_energy() / len(atoms)), interval=10)
    dynamics.run(200)
    assert len(energies) == 21
    assert np.ptp(energies) < 2e-5


def test_optimisers_with_cell_and_band():
    potential = Potential(silicon_potential())
    atoms = rattled(bulk("Si", "diamond", a=5.4), 0.02)
    atoms.calc = potential.calculator()
    before = atoms.get_potential_energy()
    BFGS(FrechetCellFilter(atoms), logfile=None, maxstep=0.02).run(fmax=0.01, steps=15)
    assert atoms.get_potential_energy() < before
    images = [rattled(bulk("Si", "diamond", a=5.4, cubic=True), 0.02 * k) for k in range(4)]
    bands, shared = [], potential.calculator()
    for separate in (True, False):
        band = NEB([image.copy() for image in images], method="improvedtangent", allow_shared_calculator=True)
        for image in band.images:
            image.calc = potential.calculator() if separate else shared
        BFGS(band, logfile=None, maxstep=0.02).run(fmax=1e-5, steps=3)
        bands.append(band)
    assert_close(bands[0].get_forces(), bands[1].get_forces(), 1e-11)
    assert np.abs(bands[0].get_positions() - np.concatenate([i.positions for i in images[1:-1]])).max() > 1e-5


def test_results_are_written_and_read(tmp_path):
    atoms = rattled(bulk("Si", "diamond", a=5.4), 0.02)
    atoms.calc = Potential(silicon_potential()).calculator()
    forces = atoms.get_forces()
    write(tmp_path / "a.traj", atoms)
    assert np.array_equal(read(tmp_path / "a.traj").get_forces(), forces)


def test_extrapolation_is_told_once_an_interval():
    atoms = bulk("Si", "diamond", a=5.4, cubic=True)
    atoms.calc = narrow().calculator(warn_every=3)
    told = []
    for step in range(7):
        atoms.positions[0, 0] = 0.01 * (step + 1)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ExtrapolationWarning)
            atoms.get_forces()
        told.append(len(caught))
    assert told == [1, 0, 0, 1, 0, 0, 1]
    text = str(caught[0].message)
    assert caught[0].category is ExtrapolationWarning
    assert text.startswith("8 of 8 atoms are outside the training range; atom 0 (Si) has function ")
    assert text.endswith("the training range is 0 to 0.001")


def test_extrapolation_can_stop_the_run_or_be_silent():
    atoms = bulk("Si", "diamond", a=5.4)
    atoms.calc = narrow().calculator(stop_after=3)
    with pytest.raises(Error, match=r"2 of 2 atoms are outside .* functions so far, stop_after allows 3"):
        atoms.get_forces()
    outside = int(narrow().evaluate(atoms).extrapolation.sum())
    atoms.calc = narrow().calculator(stop_after=outside)
    atoms.get_forces()
    atoms.calc = narrow().calculator(warn_every=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ExtrapolationWarning)
        atoms.get_forces()


def test_mistakes_are_told():
    atoms = bulk("Ge", "diamond", a=5.4)
    atoms.calc = Potential(silicon_potential()).calculator()
    with pytest.raises(Error, match="structure has element Ge, the potential has Si"):
        atoms.get_forces()
    with pytest.raises(Error, match="skin"):
        Potential(silicon_potential()).calculator(skin=-1.0)
    assert copy.copy(atoms).calc is atoms.calc
