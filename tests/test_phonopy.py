"""Force constants and frequencies of phonopy with forces of the ASE calculator, against direct derivatives."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk

from checks import assert_close, directional_derivative, silicon_potential
from sitewise import Potential

phonopy = pytest.importorskip("phonopy", minversion="4")

STEP = 1e-3  # Angstrom


@pytest.fixture(scope="module")
def calculator():
    return Potential(silicon_potential()).calculator(warn_every=0)


@pytest.fixture(scope="module")
def crystal():
    return bulk("Si", "diamond", a=5.4)


@pytest.fixture(scope="module")
def phonons(calculator, crystal):
    """Compute phonons from the few displacements that symmetry leaves."""
    from phonopy.structure.atoms import PhonopyAtoms

    cell = PhonopyAtoms(crystal.get_chemical_symbols(), positions=crystal.positions, cell=crystal.cell.array)
    made = phonopy.Phonopy(cell, np.diag([2, 2, 2]), primitive_matrix=np.eye(3))
    made.generate_displacements(distance=STEP, is_plusminus=True)
    made.forces = [
        forces(calculator, made.supercell, displaced.positions) for displaced in made.supercells_with_displacements
    ]
    made.produce_force_constants()
    return made


def forces(calculator, cell, positions):
    atoms = Atoms(cell.symbols, positions=positions, cell=cell.cell, pbc=True)
    atoms.calc = calculator
    return atoms.get_forces()


def test_force_constants(calculator, phonons):
    """Phi_ij = -dF_j/dr_i of every atom and axis of the supercell, without symmetry."""
    supercell = phonons.supercell
    assert len(phonons.supercells_with_displacements) < 6
    direct = np.empty((len(supercell), len(supercell), 3, 3))
    for i in range(len(supercell)):
        for axis in range(3):

            def displaced(step, i=i, axis=axis):
                positions = supercell.positions.copy()
                positions[i, axis] += step
                return forces(calculator, supercell, positions)

            direct[i, :, axis] = -directional_derivative(displaced, STEP)
    found = phonons.force_constants
    assert np.abs(direct).max() > 0.1
    assert_close(found, direct, 1e-6)
    assert_close(found.sum(axis=1), np.zeros((len(supercell), 3, 3)), 1e-6, floor=np.abs(direct).max())


def test_frequencies_at_the_zone_centre(calculator, crystal, phonons):
    """They are those of the two atoms of the crystal, whose images all move alike."""
    hessian = np.empty((6, 6))
    for k in range(6):

        def displaced(step, k=k):
            positions = crystal.positions.copy()
            positions[k // 3, k % 3] += step
            return forces(calculator, crystal, positions).ravel()

        hessian[k] = -directional_derivative(displaced, STEP)
    thz = units._e**0.5 / (units._amu**0.5 * 1e-10) / (2e12 * np.pi)  # of 1 (eV/Angstrom^2/u)^(1/2)
    squares = np.linalg.eigvalsh((hessian + hessian.T) / 2) / phonons.primitive.masses[0] * thz**2
    phonons.run_qpoints([[0, 0, 0]])
    frequencies = phonons.qpoints.frequencies[0]  # negative where imaginary
    assert np.count_nonzero(np.abs(squares) > 0.1) == 3
    assert_close(np.sign(frequencies) * frequencies**2, squares, 1e-6)
