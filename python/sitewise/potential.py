"""A potential: a directory in n2p2/RuNNer format, evaluated on structures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from . import _core
from ._core import Error
from .files import folder_beside
from .posterior import FILE, Bars, Posterior
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
    """The results of a potential for one structure of n atoms.

    Attributes
    ----------
    energy
        eV.
    energies
        Atomic energies [n], eV; their sum is `energy`.
    forces
        [n, 3], eV/Angstrom.
    stress
        [6] in the order xx yy zz yz xz xy, eV/Angstrom^3, tensile positive: dE/d(strain)/volume. None unless the
        structure is periodic in three directions.
    features
        Network inputs (scaled symmetry functions) [n, max_count]; NaN behind the last function of an atom's element.
    extrapolation
        [n], the number of functions of each atom that are outside the range of the training set, and of its neighbours
        that are closer than any pair of these elements in the training set.
    bars
        Error bars; None unless asked for.
    """

    energy: float
    energies: Floats
    forces: Floats
    stress: Floats | None
    features: Floats
    extrapolation: Ints
    bars: Bars | None = field(default=None, kw_only=True)


class Potential:
    """A Behler-Parrinello potential, J. Behler, J. Chem. Phys. 134, 074106 (2011).

    `load` and training make potentials; `core` is the object of the extension.

    Parameters
    ----------
    core
        The object of the extension.
    folder
        The directory that it was read from, where its posterior is; None if there is none.
    """

    def __init__(self, core: _core.Potential, folder: Path | None = None) -> None:
        self.core = core
        self.folder = folder
        self._posterior: Posterior | None = None

    @classmethod
    def load(
        cls,
        path: str | Path,
        cflength: float = 1.0,
        cfenergy: float = 1.0,
        precision: Precision = "float64",
        device: Device = "cpu",
    ) -> Potential:
        """Read a directory with `input.nn`, `scaling.data` and `weights.ZZZ.data`.

        Parameters
        ----------
        path
            The directory, written by sitewise, n2p2 or RuNNer; or the folder of a training run, whose `potential` is
            read.
        cflength, cfenergy
            1 Angstrom and 1 eV in the units of the directory, as in LAMMPS's `pair_style hdnnp`: 1.8897261328 and
            0.0367493254 for Bohr and Hartree.
        precision
            Precision of the arithmetic: "float64", or the faster "float32", whose forces differ by about 1e-5 of the
            largest one. Sums of energies and forces over atoms are in float64 in any case.
        device
            What computes: "cpu", or "cuda" for the first CUDA device.

        Raises
        ------
        Error
            If something is missing or wrong, with its file and line; for "cuda", if this build or this machine has no
            CUDA device.
        """
        folder = _core.potential_directory(str(path))
        core = _core.Potential.load(folder, cflength, cfenergy)
        core.precision = precision
        core.device = device
        return cls(core, Path(folder))

    def save(self, path: str | Path, comments: str = "", units: str = "eV and Angstrom") -> None:
        """Write a directory that `load` reads, in eV and Angstrom.

        The potential that `load` returns computes identical numbers. A new directory appears whole or not at all; in an
        existing one each file is replaced whole. A posterior of the weights is written with it.

        Parameters
        ----------
        path
            The directory.
        comments
            Lines for the head of `input.nn`.
        units
            The units that the head of `input.nn` states.

        Raises
        ------
        Error
            If the directory cannot be written.
        """
        path, comments = Path(path), printable_lines(comments)
        posterior = self.posterior
        if path.is_dir():
            (path / FILE).unlink(missing_ok=True)  # that of other weights
            self._save(path, comments, units, posterior)
            return
        with folder_beside(path) as scratch:
            self._save(scratch / path.name, comments, units, posterior)
            (scratch / path.name).rename(path)

    def _save(self, path: Path, comments: str, units: str, posterior: Posterior | None) -> None:
        self.core.save(str(path), comments, units)
        if posterior is not None:
            posterior.save(path)

    def evaluate(self, atoms: Atoms, neighbors: _core.NeighborList | None = None, bars: bool = False) -> Evaluation:
        """Return energy, atomic energies, forces, stress, features and extrapolation of a structure.

        Parameters
        ----------
        atoms
            The structure.
        neighbors
            A neighbour list that is reused while the atoms move little from call to call. Without it, one is built.
        bars
            Whether to compute error bars of energy, atomic energies and forces, too.

        Raises
        ------
        Error
            If the structure has an element that the potential does not have, coordinates that are not finite, a
            periodic cell without volume or overlapping atoms; if the cutoff of `neighbors` is below the potential's; if
            there is no posterior to compute bars from.
        """
        arrays = core_arrays(atoms, self.elements, "the potential")
        result = self._evaluation(atoms, self.core.compute(*arrays, features=True, neighbors=neighbors))
        return replace(result, bars=self.bars(atoms)) if bars else result

    def bars(self, atoms: Atoms) -> Bars:
        """Return the error bars of energy, atomic energies and forces of a structure.

        Raises
        ------
        Error
            As `evaluate`.
        """
        return self._required_posterior().bars(self.core, core_arrays(atoms, self.elements, "the potential"))

    def energy_covariance(self, structures: Sequence[Atoms]) -> Floats:
        """Return the covariance of the errors of total energies [m, m], eV^2.

        The bar of a sum of these energies with factors c is sqrt(c @ covariance @ c). In differences of like structures
        most of the errors cancel.

        Raises
        ------
        Error
            As `evaluate`.
        """
        each = [core_arrays(atoms, self.elements, "the potential") for atoms in structures]
        return self._required_posterior().energy_covariance(self.core, each)

    @property
    def posterior(self) -> Posterior | None:
        """Return the posterior of the weights, which is read when it is first used; None if there is none of these
        weights.

        Raises
        ------
        Error
            Its file is damaged.
        """
        if self._posterior is None and self.folder is not None:
            self._posterior = Posterior.load(self.folder)
        found = self._posterior
        return found if found is not None and np.array_equal(found.weights, self.core.weights) else None

    def _required_posterior(self) -> Posterior:
        """Return the posterior; raise Error if there is none."""
        found = self.posterior
        if found is None:
            where = "the potential" if self.folder is None else str(self.folder)
            raise Error(f"{where}: has no posterior of its weights, for error bars: `sitewise posterior` makes one")
        return found

    def evaluate_many(self, structures: Sequence[Atoms]) -> list[Evaluation]:
        """Return the result of `evaluate` for each structure; a CUDA device computes them together.

        Raises
        ------
        Error
            As `evaluate`, without the number of the structure.
        """
        arrays = [core_arrays(atoms, self.elements, "the potential") for atoms in structures]
        results = self.core.compute_many(arrays)
        return [self._evaluation(atoms, result) for atoms, result in zip(structures, results, strict=True)]

    def evaluate_on_device(self, atoms: Atoms, positions: object = None) -> _core.DeviceResult:
        """Return energy, atomic energies, forces and virial as arrays on the CUDA device, for positions on that device.

        Parameters
        ----------
        atoms
            Elements, cell and periodicity, and the positions if `positions` is not given.
        positions
            [n, 3] in Angstrom, float64 and contiguous, on the device, from any library that supports DLPack or
            `__cuda_array_interface__`. The call waits for the work on the stream of that array.

        Returns
        -------
        dict
            `energy` [1], `energies` [n], `forces` [n, 3] and `virial` [3, 3] (dE/d(strain), eV). Each is a
            `DeviceArray` that `torch.from_dlpack` or `cupy.asarray` takes without a copy.

        Raises
        ------
        Error
            If the potential's device is not "cuda", if the positions are of another kind, and as `evaluate`.
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
        self, skin: float = 1.0, warn_every: int = 1000, stop_after: int | None = None, bars: bool = False
    ) -> SitewiseCalculator:
        """Return a calculator for ASE that keeps its neighbour list while the atoms move little.

        Parameters
        ----------
        skin
            How far the neighbour list reaches beyond the cutoff, Angstrom.
        warn_every
            Warn of extrapolation at most once per this many calculations; 0 disables.
        stop_after
            Raise Error once more functions than this have been outside the training range, summed over atoms and
            calculations; None for no limit.
        bars
            Compute error bars in each calculation, as `energy_bar`, `energies_bar` and `forces_bar` of its results.
        """
        from .calculator import SitewiseCalculator

        return SitewiseCalculator(self, skin, warn_every, stop_after, bars)

    def outside(self, atoms: Atoms, atom: int) -> str:
        """Return a sentence on how far an atom is outside the training range.

        The sentence names the function that is farthest outside relative to its range, and the neighbour that is
        closest relative to the shortest distance in the training data.

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
        found = []
        if not low[worst] <= values[worst] <= high[worst]:
            found.append(
                f"function {worst + 1} of {len(low)} at {values[worst]:.6g}, the training range is {low[worst]:.6g} to "
                f"{high[worst]:.6g}"
            )
        close = self._close_neighbor(atoms, atom)
        found += [close] if close else []
        return f"atom {atom} ({symbol}) {'has ' + ', and '.join(found) if found else 'is inside'}"

    def _close_neighbor(self, atoms: Atoms, atom: int) -> str | None:
        """Return a phrase on the neighbour of an atom that is closer than any in the training data, if there is one."""
        closest = self.core.scaling.closest
        if not closest.size:
            return None
        species, positions, cell, pbc = core_arrays(atoms, self.elements, "the potential")
        i, j, vectors, _ = _core.neighbor_list(positions, cell, pbc, float(closest.max()))
        mine = i == atom
        distances, least = np.linalg.norm(vectors[mine], axis=1), closest[species[atom], species[j[mine]]]
        if not np.any(distances < least):
            return None
        k = int(np.argmin(distances / least))
        symbol = self.elements[species[j[mine][k]]]
        return f"{symbol} at {distances[k]:.4g} Angstrom, the shortest in the training data is {least[k]:.4g}"

    @property
    def precision(self) -> str:
        """Return the precision of the arithmetic, "float64" or "float32"."""
        return self.core.precision

    @property
    def device(self) -> str:
        """Return where the potential computes, "cpu" or "cuda"."""
        return self.core.device

    @property
    def elements(self) -> tuple[str, ...]:
        """Return the chemical symbols, sorted by atomic number."""
        return tuple(self.core.elements)

    @property
    def cutoff(self) -> float:
        """Return the largest cutoff of the symmetry functions, Angstrom."""
        return self.core.cutoff

    @property
    def functions(self) -> SymmetryFunctions:
        """Return the symmetry functions, in the order of the features."""
        return SymmetryFunctions(self.elements, self.core.functions)

    @property
    def topologies(self) -> dict[str, str]:
        """Return the nodes of the network of each element, as in "26-30-30-1"."""
        networks = zip(self.elements, self.core.networks, strict=True)
        return {symbol: "-".join(map(str, network.nodes)) for symbol, network in networks}

    def __repr__(self) -> str:
        networks = ", ".join(f"{symbol} {nodes}" for symbol, nodes in self.topologies.items())
        return f"Potential({networks}; cutoff {self.cutoff:g} Angstrom)"
