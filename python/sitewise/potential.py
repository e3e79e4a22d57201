"""A potential: a directory in n2p2/RuNNer format, evaluated on structures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from . import _core
from .files import folder_beside
from .structures import VOIGT, Floats, Ints, core_arrays
from .symmetry import SymmetryFunctions
from .text import printable_lines

if TYPE_CHECKING:
    from ase import Atoms

    from .calculator import SitewiseCalculator

Precision: TypeAlias = Literal["float64", "float32"]
Device: TypeAlias = Literal["cpu", "cuda"]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What a potential says of one structure of n atoms.

    Attributes
    ----------
    energy
        eV.
    energies
        Atomic energies [n], eV; their sum is `energy`.
    forces
        [n, 3], eV/Angstrom.
    stress
        [6] in the order xx yy zz yz xz xy, eV/Angstrom^3, tensile positive: dE/d(strain)/volume. None unless
        the structure is periodic in three directions.
    features
        Network inputs (scaled symmetry functions) [n, max_count]; NaN behind the last function of an
        atom's element.
    extrapolation
        [n], how many functions of the atom are outside the range of the training set.
    """

    energy: float
    energies: Floats
    forces: Floats
    stress: Floats | None
    features: Floats
    extrapolation: Ints


class Potential:
    """A Behler-Parrinello potential, J. Behler, J. Chem. Phys. 134, 074106 (2011).

    Made by `load` or by training; `core` is the object of the extension.
    """

    def __init__(self, core: _core.Potential) -> None:
        self.core = core

    @classmethod
    def load(
        cls,
        path: str | Path,
        cflength: float = 1.0,
        cfenergy: float = 1.0,
        precision: Precision = "float64",
        device: Device = "cpu",
    ) -> Potential:
        """Reads a directory with `input.nn`, `scaling.data` and `weights.ZZZ.data`.

        Parameters
        ----------
        path
            The directory, made by sitewise, n2p2 or RuNNer.
        cflength, cfenergy
            As in LAMMPS's `pair_style hdnnp`: Angstrom and eV in the units of the directory, 1.8897261328 and
            0.0367493254 for Bohr and Hartree.
        precision
            Of the arithmetic: "float64", or the faster "float32", whose forces differ by about 1e-5 of the
            largest one. Energies and forces of atoms are added up in float64 in any case.
        device
            Where to compute: "cpu", or "cuda" for the first CUDA device.

        Raises
        ------
        Error
            That names file and line of what is missing or wrong; for "cuda" where this build or this machine has no
            CUDA device.
        """
        core = _core.Potential.load(str(path), cflength, cfenergy)
        core.precision = precision
        core.device = device
        return cls(core)

    def save(self, path: str | Path, comments: str = "", units: str = "eV and Angstrom") -> None:
        """Writes the directory in eV and Angstrom, the units of all that is here; what `load` gives back computes
        identical numbers.

        A new directory appears whole or not at all; in an existing one each file is replaced whole.

        Parameters
        ----------
        path
            The directory.
        comments
            Lines for the head of `input.nn`.
        units
            What that head says of the units.

        Raises
        ------
        Error
            If the directory cannot be written.
        """
        path, comments = Path(path), printable_lines(comments)
        if path.is_dir():
            self.core.save(str(path), comments, units)
            return
        with folder_beside(path) as scratch:
            self.core.save(str(scratch / path.name), comments, units)
            (scratch / path.name).rename(path)

    def evaluate(self, atoms: Atoms, neighbors: _core.NeighborList | None = None) -> Evaluation:
        """Energy, atomic energies, forces, stress, features and extrapolation of a structure.

        Parameters
        ----------
        atoms
            The structure.
        neighbors
            A list that is reused while the atoms move little from call to call; without it, one is built.

        Raises
        ------
        Error
            If the structure has an element that the potential does not have, coordinates that are not finite,
            a periodic cell without volume or overlapping atoms; if the list's cutoff is below the potential's.
        """
        arrays = core_arrays(atoms, self.elements, "the potential")
        return self._evaluation(atoms, self.core.compute(*arrays, features=True, neighbors=neighbors))

    def evaluate_many(self, structures: Sequence[Atoms]) -> list[Evaluation]:
        """`evaluate` for each of the structures, which a CUDA device works on together."""
        arrays = [core_arrays(atoms, self.elements, "the potential") for atoms in structures]
        results = self.core.compute_many(arrays)
        return [self._evaluation(atoms, result) for atoms, result in zip(structures, results, strict=True)]

    def evaluate_on_device(self, atoms: Atoms, positions: object = None) -> _core.DeviceResult:
        """Energy, atomic energies, forces and virial as arrays on the CUDA device, of positions there.

        Parameters
        ----------
        atoms
            Elements, cell and periodicity; its positions if no others are given.
        positions
            [n, 3] in Angstrom, float64 and contiguous, on the device: of any library that knows DLPack or
            `__cuda_array_interface__`. What its stream was given to do is waited for.

        Returns
        -------
        dict
            `energy` [1], `energies` [n], `forces` [n, 3] and `virial` [3, 3] (dE/d(strain), eV), each a `DeviceArray`
            that `torch.from_dlpack` or `cupy.asarray` take without a copy.

        Raises
        ------
        Error
            If the potential's device is not "cuda", if positions are of another kind, and as `evaluate`.
        """
        species, own, cell, pbc = core_arrays(atoms, self.elements, "the potential")
        given = _core.DeviceArray(own) if positions is None else positions
        return self.core.compute_on_device(species, given, cell, pbc)

    def _evaluation(self, atoms: Atoms, result: _core.Result) -> Evaluation:
        virial = (result["virial"] + result["virial"].T) / 2
        periodic = bool(np.all(atoms.pbc))
        return Evaluation(
            energy=result["energy"],
            energies=result["energies"],
            forces=result["forces"],
            stress=virial[VOIGT] / float(atoms.cell.volume) if periodic else None,
            features=result["features"],
            extrapolation=result["extrapolations"],
        )

    def calculator(
        self, skin: float = 1.0, warn_every: int = 1000, stop_after: int | None = None
    ) -> SitewiseCalculator:
        """A calculator for ASE, whose neighbour list is kept while atoms move little.

        Parameters
        ----------
        skin
            By how much that list reaches beyond the cutoff, Angstrom.
        warn_every
            At most one warning of extrapolation each so many calculations; 0 for none.
        stop_after
            Raise Error once more functions than this have been outside the training range, summed over atoms and
            calculations; None for no limit.
        """
        from .calculator import SitewiseCalculator

        return SitewiseCalculator(self, skin, warn_every, stop_after)

    def outside(self, atoms: Atoms, atom: int) -> str:
        """What of an atom is outside the training range, in words: the function that is farthest outside, as a
        multiple of its range.

        Raises
        ------
        Error
            As `evaluate`.
        """
        symbol = atoms.symbols[atom]
        element = self.elements.index(symbol)
        low, high = self.core.scaling.statistics(element)[:2]
        values = self.functions.evaluate(atoms)[atom, : len(low)]
        worst = self.core.scaling.farthest(element, values)
        if low[worst] <= values[worst] <= high[worst]:
            return f"atom {atom} ({symbol}) is inside"
        return (
            f"atom {atom} ({symbol}) has function {worst + 1} of {len(low)} at {values[worst]:.6g}, "
            f"the training range is {low[worst]:.6g} to {high[worst]:.6g}"
        )

    @property
    def precision(self) -> str:
        """Of the arithmetic, "float64" or "float32"."""
        return self.core.precision

    @property
    def device(self) -> str:
        """Where it computes, "cpu" or "cuda"."""
        return self.core.device

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols, sorted by atomic number."""
        return tuple(self.core.elements)

    @property
    def cutoff(self) -> float:
        """The largest cutoff of the symmetry functions, Angstrom."""
        return self.core.cutoff

    @property
    def functions(self) -> SymmetryFunctions:
        """The symmetry functions, in the order of the features."""
        return SymmetryFunctions(self.elements, self.core.functions)

    @property
    def topologies(self) -> dict[str, str]:
        """The network of each element, as in "26-30-30-1"."""
        networks = zip(self.elements, self.core.networks, strict=True)
        return {symbol: "-".join(map(str, network.nodes)) for symbol, network in networks}

    def __repr__(self) -> str:
        networks = ", ".join(f"{symbol} {nodes}" for symbol, nodes in self.topologies.items())
        return f"Potential({networks}; cutoff {self.cutoff:g} Angstrom)"
