"""Makes sets of alloys with energies, forces and stresses of ASE's effective medium theory.

    python benchmarks/alloys.py Cu Au --out cu-au.xyz [--structures 150] [--seed 0]

Crystals, crystals with a vacancy and (001) slabs take turns. Each has 31 or 32 atoms of a random composition on fcc
sites, the lattice constant that the composition averages to, a strain of a few per cent, and random displacements of
0.02 to 0.2 Angstrom. Potentials of several elements are compared on these sets.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc100
from ase.calculators.emt import EMT
from ase.data import atomic_numbers, reference_states
from ase.io import write

STRAIN = 0.03  # standard deviation of each component
LEAST, MOST = 0.02, 0.2  # Angstrom, standard deviations of the displacements
VACUUM = 6.0  # Angstrom, on each side of a slab


def crystal(lattice_constant: float) -> Atoms:
    """A cube of 32 sites."""
    return bulk("Cu", "fcc", a=lattice_constant, cubic=True) * (2, 2, 2)


def vacancy(lattice_constant: float) -> Atoms:
    """A cube of 32 sites, one of them empty."""
    return crystal(lattice_constant)[1:]


def slab(lattice_constant: float) -> Atoms:
    """Four layers of eight sites."""
    return fcc100("Cu", (4, 2, 4), a=lattice_constant, vacuum=VACUUM, periodic=True)


def structures(elements: list[str], count: int, random: np.random.Generator) -> Iterator[Atoms]:
    """Labelled structures of the elements."""
    for make in [crystal, vacancy, slab] * (count // 3) + [crystal] * (count % 3):
        fractions = random.dirichlet(np.ones(len(elements)))
        atoms = make(float(fractions @ [reference_states[atomic_numbers[e]]["a"] for e in elements]))
        atoms.info.clear()
        atoms.symbols[:] = random.choice(elements, len(atoms), p=fractions)
        atoms.set_cell(atoms.cell[:] @ (np.eye(3) + random.normal(0, STRAIN, (3, 3))), scale_atoms=True)
        atoms.positions += random.normal(0, random.uniform(LEAST, MOST), (len(atoms), 3))
        atoms.calc = EMT()
        atoms.get_stress()
        yield atoms


def main() -> None:
    """Writes the structures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("elements", nargs="+", help="of Al, Ni, Cu, Pd, Ag, Pt and Au")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--structures", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    made = structures(options.elements, options.structures, np.random.default_rng(options.seed))
    write(options.out, list(made), format="extxyz")


if __name__ == "__main__":
    main()
