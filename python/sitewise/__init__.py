"""Behler-Parrinello neural network potentials: trained from reference data, run fast, and checked.

Lengths in Angstrom, energies in eV, forces in eV/Angstrom, stress in eV/Angstrom^3 with ASE's sign (tensile
positive, order xx yy zz yz xz xy). Every mistake in the input raises `Error` with one sentence that names the
file, key, structure or atom.
"""

from importlib.metadata import version

from ._core import Error, NeighborList
from .dataset import Dataset
from .ensemble import Ensemble
from .potential import Potential
from .symmetry import SymmetryFunctions
from .training import train

__version__ = version("sitewise")

__all__ = ["Dataset", "Ensemble", "Error", "NeighborList", "Potential", "SymmetryFunctions", "__version__", "train"]
