"""The compiled extension: it converts pointers and shapes around the C++ library.

The headers under cpp/include/sitewise specify what each name does. Lengths are in Angstrom, energies in eV.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypedDict

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

class Error(ValueError):
    """A mistake in the input, described in one sentence."""

class Result(TypedDict, total=False):
    energy: float
    energies: Floats  # [n]
    forces: Floats  # [n, 3]
    virial: Floats  # [3, 3], dE/d(strain)
    features: Floats  # [n, max_count], network inputs, NaN behind an element's last function
    virials: Floats  # [n, 3, 3], the atoms' parts of the virial
    extrapolations: Ints  # [n]
    energy_spread: float  # of an ensemble
    energies_spread: Floats  # [n], of an ensemble
    energy_bar: float  # with bars
    energies_bar: Floats  # [n], with bars

class SymmetryFunction:
    def __init__(
        self,
        type: int,
        center: int,
        neighbor1: int = -1,
        neighbor2: int = -1,
        *,
        eta: float = 0.0,
        rs: float = 0.0,
        lambda_: float = 0.0,
        zeta: float = 0.0,
        cutoff: float,
        left: float = 0.0,
        angle_left: float = 0.0,
        angle_right: float = 0.0,
        subtype: str = "p2",
        neighbor3: int = -1,
        neighbor4: int = -1,
        eta2: float = 0.0,
        eta3: float = 0.0,
        eta4: float = 0.0,
        rs2: float = 0.0,
        rs3: float = 0.0,
        rs4: float = 0.0,
        power1: float = 0.0,
        power2: float = 0.0,
        power3: float = 0.0,
        power4: float = 0.0,
    ) -> None: ...
    all: ClassVar[int]  # as a neighbour of types 33 to 35: the sum over all elements
    all_by_number: ClassVar[int]  # weighted by atomic numbers
    type: int
    center: int
    neighbor1: int  # -1 for the weighted types
    neighbor2: int
    neighbor3: int  # of the further shells of types 33 to 35
    neighbor4: int
    eta2: float
    eta3: float
    eta4: float
    rs2: float
    rs3: float
    rs4: float
    power1: float  # of the cosine between vectors of the first and second shell, and so on
    power2: float
    power3: float
    power4: float
    eta: float
    rs: float
    lambda_: float
    zeta: float
    cutoff: float
    left: float
    angle_left: float  # degrees
    angle_right: float
    subtype: str
    is_angular: bool
    is_compact: bool

class SymmetryFunctions:
    def __init__(
        self,
        n_elements: int,
        functions: Sequence[SymmetryFunction],
        cutoff_type: int = 1,
        alpha: float = 0.0,
        atomic_numbers: Sequence[int] = (),
        moments: str = "automatic",
    ) -> None: ...
    @property
    def n_elements(self) -> int: ...
    @property
    def cutoff(self) -> float: ...
    @property
    def cutoff_type(self) -> int: ...
    @property
    def alpha(self) -> float: ...
    @property
    def max_count(self) -> int: ...
    @property
    def moments(self) -> list[int]:
        """Return how many functions of each element are computed from moments."""
    def count(self, element: int) -> int: ...
    def functions(self, element: int) -> list[SymmetryFunction]: ...
    def lines(self, elements: Sequence[str]) -> str:
        """Return the lines symfunction_short of an input.nn."""
    # species [n] int32, positions [n, 3], cell [3, 3], pbc [3]; G is raw, [n, max_count]
    def evaluate(
        self, species: Ints, positions: Floats, cell: Floats, pbc: npt.NDArray[np.bool_], device: str = "cpu"
    ) -> Floats: ...
    def vjp(
        self,
        species: Ints,
        positions: Floats,
        cell: Floats,
        pbc: npt.NDArray[np.bool_],
        u: Floats,
        device: str = "cpu",
    ) -> tuple[Floats, Floats]:
        """Return d(sum u G)/d(positions) [n, 3] and d(sum u G)/d(strain) [3, 3]."""
    def jvp(
        self,
        species: Ints,
        positions: Floats,
        cell: Floats,
        pbc: npt.NDArray[np.bool_],
        v: Floats,
        strain: Floats,
        device: str = "cpu",
    ) -> Floats:
        """Return the change of G [n, max_count] for displacements v [n, 3] and strain [3, 3] (r -> r + r strain^T)."""

def read_functions(input_nn: str, cflength: float = 1.0) -> tuple[list[str], SymmetryFunctions]: ...

class FunctionType:
    number: int  # n2p2's
    shape: str  # "radial", "narrow angular" (with a factor of r_jk) or "wide angular"
    weighted: bool  # by atomic numbers
    compact: bool  # of compact support
    columns: list[str]  # of a line symfunction_short after element and type, in brackets if they may be missing

def function_types() -> list[FunctionType]: ...
def function_columns() -> list[tuple[str, str]]:
    """Return each column of a line symfunction_short: its name and its meaning."""

def keywords() -> list[tuple[str, str, str]]:
    """Return each keyword of input.nn: its name, "used", "without effect" or "refused", and the reason."""

def potential_directory(directory: str) -> str: ...
def ensemble_members(directory: str) -> list[str]:
    """List the directories of an ensemble's members, by number; the list is empty for a single potential."""

class Scaling:
    # type: "none", "minmax", "center", "minmax_center" or "sigma";
    # statistics: for each element min, max, mean and sigma, [4, count];
    # closest: the shortest distances of pairs of elements in the training set, [elements, elements], None or empty
    def __init__(
        self, type: str, smin: float, smax: float, statistics: Sequence[Floats], closest: Floats | None = None
    ) -> None: ...
    @property
    def closest(self) -> Floats: ...
    @property
    def type(self) -> str: ...
    @property
    def smin(self) -> float: ...
    @property
    def smax(self) -> float: ...
    def statistics(self, element: int) -> Floats: ...
    def apply(self, element: int, G: Floats) -> Floats:
        """Return network inputs x [n, count] of atoms of one element with raw functions G [n, count]."""
    def farthest(self, element: int, G: Floats) -> int:
        """Return the function of an atom, with raw G [count], that is farthest outside the training range."""

class Network:
    # nodes [n, hidden..., 1]; activations: one letter of n2p2 (l t s p r g c S e h) per layer
    def __init__(self, nodes: Sequence[int], activations: str, normalize_nodes: bool = False) -> None: ...
    @property
    def nodes(self) -> list[int]: ...
    @property
    def activations(self) -> str: ...
    @property
    def normalize_nodes(self) -> bool: ...
    weights: Floats
    def evaluate(self, x: Floats) -> tuple[Floats, Floats]:
        """Return energies [B] and de/dx [B, n] of inputs x [B, n]."""
    def weight_gradient(self, x: Floats, a: Floats, t: Floats) -> Floats:
        """Return d/dw of sum_b (a_b e_b + t_b . de_b/dx)."""

def activate(activation: str, z: Floats, precision: str = "float64") -> tuple[Floats, Floats]:
    """Return f and f' of an activation function (one letter of n2p2), as the kernels compute them."""

class NeighborList:
    """A neighbour list with a skin, kept from call to call while no atom has moved too far."""
    def __init__(self, cutoff: float, skin: float = 1.0) -> None: ...
    @property
    def cutoff(self) -> float: ...
    @property
    def skin(self) -> float: ...
    @property
    def builds(self) -> int: ...

class DeviceArray:
    """An array of float64 on the CUDA device, for DLPack and `__cuda_array_interface__`."""
    def __init__(self, values: Floats) -> None: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    def numpy(self) -> Floats:
        """Return a copy on the host."""
    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    def __dlpack__(self, *args: Any, **kwargs: Any) -> object: ...

class DeviceResult(TypedDict):
    energy: DeviceArray  # [1]
    energies: DeviceArray  # [n]
    forces: DeviceArray  # [n, 3]
    virial: DeviceArray  # [3, 3], dE/d(strain)

class Posterior:
    @staticmethod
    def load(directory: str) -> Posterior:
        """Read posterior.data of a directory."""
    @property
    def weights(self) -> Floats: ...
    @property
    def shift(self) -> Floats: ...
    @property
    def draws(self) -> Floats: ...
    @property
    def force_factor(self) -> float: ...

class PairTable:
    """A pair potential as a table: Angstrom, eV, and forces -dE/dr, eV/Angstrom."""
    def __init__(self, distances: Sequence[float], energies: Sequence[float], forces: Sequence[float]) -> None: ...
    @staticmethod
    def read(path: str, section: str = "") -> PairTable:
        """Read a section of a file of LAMMPS's `pair_style table`, or its only one."""
    @property
    def distances(self) -> Floats: ...
    @property
    def energies(self) -> Floats: ...
    @property
    def forces(self) -> Floats:
        """Return minus the slopes of the spline."""

class Baseline:
    """The pair potentials that networks are added to."""
    def __init__(
        self,
        elements: Sequence[str],
        zbl: tuple[float, float] | None = None,
        tables: Mapping[tuple[int, int], PairTable] = ...,
    ) -> None: ...
    @property
    def atomic_numbers(self) -> list[int]: ...
    @property
    def zbl(self) -> tuple[float, float] | None:
        """Return the distances (Angstrom) between which the repulsion of nuclei is switched off; None without one."""
    @property
    def tables(self) -> dict[tuple[int, int], PairTable]:
        """Return the tables by the indices of two elements, the smaller one first."""
    @property
    def cutoff(self) -> float:
        """Return the distance (Angstrom) beyond which there is nothing."""

class Potential:
    def __init__(
        self,
        elements: Sequence[str],
        functions: SymmetryFunctions,
        scaling: Scaling,
        networks: Sequence[Network],
        atom_energies: Sequence[float],
    ) -> None: ...
    @staticmethod
    def load(directory: str, cflength: float = 1.0, cfenergy: float = 1.0) -> Potential: ...
    def save(self, directory: str, comments: str = "", units: str = "eV and Angstrom") -> None: ...
    @property
    def assumed(self) -> list[str]: ...
    @property
    def elements(self) -> list[str]: ...
    @property
    def atomic_numbers(self) -> list[int]: ...
    @property
    def cutoff(self) -> float: ...
    baseline: Baseline | None  # what the networks are added to
    @property
    def functions(self) -> SymmetryFunctions: ...
    @property
    def scaling(self) -> Scaling: ...
    @property
    def networks(self) -> list[Network]: ...
    @property
    def atom_energies(self) -> list[float]: ...
    @property
    def normalization(self) -> tuple[float, float]:
        """Return mean_energy (eV) and conv_energy (1/eV): E = e / conv_energy + mean_energy + atom_energy."""
    weights: Floats  # all networks, in the order of the elements
    precision: str  # "float64" or "float32"
    device: str  # "cpu" or "cuda"
    def compute_many(self, structures: Sequence[tuple[Ints, Floats, Floats, npt.NDArray[np.bool_]]]) -> list[Result]:
        """Return `compute` with features of each (species, positions, cell, pbc); a device computes all together."""
    def compute_on_device(
        self, species: Ints, positions: object, cell: Floats, pbc: npt.NDArray[np.bool_]
    ) -> DeviceResult:
        """Return the result for positions [n, 3], float64, on the CUDA device that the potential computes on."""
    def compute(
        self,
        species: Ints,
        positions: Floats,
        cell: Floats,
        pbc: npt.NDArray[np.bool_],
        features: bool = False,
        virials: bool = False,
        neighbors: NeighborList | None = None,
        bars: bool = False,
    ) -> Result: ...
    def set_posterior(self, posterior: Posterior, draws: int) -> None:
        """Set the posterior of the weights, whose first draws give the error bars of `compute`."""

class Ensemble:
    def __init__(self, members: Sequence[Potential]) -> None: ...
    def compute(
        self,
        species: Ints,
        positions: Floats,
        cell: Floats,
        pbc: npt.NDArray[np.bool_],
        features: bool = False,
        virials: bool = False,
        neighbors: NeighborList | None = None,
    ) -> Result: ...

class Loss(TypedDict):
    value: float
    energy: float  # mean (dE/N)^2, eV^2
    force: float  # mean dF^2 over components, (eV/Angstrom)^2
    stress: float  # mean dS^2 over components, (eV/Angstrom^3)^2

class StoredFile:
    """A file that is read while nobody changes it."""

    def __init__(self, path: str) -> None: ...
    @property
    def size(self) -> int: ...
    def read(self, offset: int, size: int) -> bytes:
        """Return bytes; raise Error if there are fewer, the disk fails, or the file has changed since it was opened."""

class TrainingSet:
    def __init__(self, functions: SymmetryFunctions, memory_budget: int, folder: str = "") -> None: ...
    def add(
        self,
        structures: Sequence[dict[str, Any]],
        features: Floats | None = None,
        file: StoredFile | None = None,
        offset: int = 0,
        counts: Sequence[int] = (),
    ) -> None:
        """Add structures, computed in parallel.

        They are dicts of species, positions, cell, pbc, energy (NaN if unknown), forces [n, 3] or None, stress [6] or
        None. On an Error nothing of this call is added, and the exception's `index` attribute is the place of the wrong
        structure.

        What was computed before is taken from `features` of all their atoms [n, max_count] and from the bytes of `file`
        from `offset`, which hold what `derivatives` returns, structure by structure; `counts` gives their number for
        each structure. Beyond the budget these are read each time they are needed, which is an Error if the file has
        changed.
        """
    def __len__(self) -> int: ...
    @property
    def n_atoms(self) -> int: ...
    @property
    def memory(self) -> tuple[int, int, int, int]:
        """The numbers of `training_set.Memory`."""
    def species(self, structure: int) -> Ints:
        """Return the element index of each atom [n]."""
    def features(self, structure: int) -> Floats:
        """Return raw G [n, max_count]."""
    def derivatives(self, structure: int) -> Floats32:
        """Return the cached or stored derivatives, in an internal order; none if they are recomputed."""
    def statistics(self, structures: Sequence[int]) -> list[Floats]:
        """Return min, max, mean and sigma over the atoms of each element, [4, count]."""
    def loss(
        self,
        potential: Potential,
        structures: Sequence[int],
        force_weight: float,
        stress_weight: float,
        gradient: bool = True,
    ) -> tuple[Loss, Floats | None]:
        """Return the loss over these structures and its derivative with respect to potential.weights (no L2 term)."""
    def set_weights(self, structure: int, weight: float, force_weights: Floats | None = None) -> None:
        """Set the weight of a structure's errors in the loss, and further factors for the forces on its atoms [n]."""
    def weights(self, structure: int) -> tuple[float, Floats]:
        """Return the weights of a structure's errors and, both factors multiplied, of the forces on its atoms [n]."""
    def jacobian(self, potential: Potential, structures: Sequence[int], components: Sequence[Sequence[int]]) -> Floats:
        """Return d/d(weights) [rows, n_weights] of each structure's energy, then of chosen components of its forces.

        A component is 3 atom + axis.
        """
    def normal_matrix(
        self, potential: Potential, structures: Sequence[int], components: Sequence[Sequence[int]], scales: Floats
    ) -> Floats:
        """Return J^T J [n_weights, n_weights] of these rows J, each multiplied by its scale, scales [rows]."""
    def predict(self, potential: Potential, structure: int) -> tuple[float, Floats, Floats]:
        """Return energy, forces [n, 3] and stress [6] (NaN without a volume)."""

def neighbor_list(
    positions: Floats, cell: Floats, pbc: npt.NDArray[np.bool_], cutoff: float, device: str = "cpu"
) -> tuple[Ints, Ints, Floats, Ints]:
    """Return i [m], j [m], vectors r_ij [m, 3] and shifts S [m, 3] of all pairs closer than the cutoff."""

class SpanningTree:
    """A minimum spanning tree of points [n, d] with the Euclidean distance; fast if the first coordinates vary most."""

    def __init__(self, points: Floats) -> None: ...
    def grow(self) -> int:
        """Do one round of Boruvka's algorithm, and return how many trees are left."""

    def edges(self) -> Ints:
        """Return the edges until now [m, 2]."""

def info() -> dict[str, str]:
    """Return version, compiler, instruction set and the status of CUDA."""

def devices() -> list[str]:
    """List the devices to compute on: "cpu" and, if this build and this machine have it, "cuda"."""

def get_threads() -> int: ...
def set_threads(n: int) -> None: ...
