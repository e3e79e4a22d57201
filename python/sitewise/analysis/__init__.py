"""Atomic energy mapping: what a set of total energies can and cannot say about the energy of each atom.

Follows D. Yoo et al., Phys. Rev. Materials 3, 093802 (2019). Everything here reads features and energies alone.
"""

from .clustering import Clustering, JointClustering, single_linkage
from .counts import (
    BarcodeEntry,
    Determinability,
    barcode,
    comparison,
    count_matrix,
    determine,
    joint_barcode,
    longest,
    null_fraction,
)
from .gaussian import SumProcess, farthest_points, gaussian_determinability
from .gspace import Environments, GSpace, Placed
from .invariants import adhoc_warning, extrapolated, invariant_energy
from .monitoring import Monitor
from .rigidity import last_layer_rigidity

__all__ = [
    "BarcodeEntry",
    "Clustering",
    "Determinability",
    "Environments",
    "GSpace",
    "JointClustering",
    "Monitor",
    "Placed",
    "SumProcess",
    "adhoc_warning",
    "barcode",
    "comparison",
    "count_matrix",
    "determine",
    "extrapolated",
    "farthest_points",
    "gaussian_determinability",
    "invariant_energy",
    "joint_barcode",
    "last_layer_rigidity",
    "longest",
    "null_fraction",
    "single_linkage",
]
