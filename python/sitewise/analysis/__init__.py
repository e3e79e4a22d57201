"""Atomic energy mapping: what a set of total energies can and cannot say about the energy of each atom.

Follows D. Yoo et al., Phys. Rev. Materials 3, 093802 (2019). Everything here reads features and energies alone.
"""

from .clustering import Clustering, single_linkage
from .counts import BarcodeEntry, Determinability, barcode, comparison, count_matrix, determine, null_fraction
from .gaussian import gaussian_determinability
from .gspace import Environments, GSpace
from .invariants import adhoc_warning, extrapolated, invariant_energy
from .monitoring import Monitor

__all__ = [
    "BarcodeEntry",
    "Clustering",
    "Determinability",
    "Environments",
    "GSpace",
    "Monitor",
    "adhoc_warning",
    "barcode",
    "comparison",
    "count_matrix",
    "determine",
    "extrapolated",
    "gaussian_determinability",
    "invariant_energy",
    "null_fraction",
    "single_linkage",
]
