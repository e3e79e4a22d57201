"""Train, run and test Behler-Parrinello neural network potentials.

Lengths are in Angstrom, energies in eV, forces in eV/Angstrom, stress in eV/Angstrom^3 with ASE's sign (tensile
positive) and order xx yy zz yz xz xy. Every mistake in the input raises `Error` with one sentence that names the file,
key, structure or atom.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._core import Error, NeighborList
    from .config import Config
    from .ensemble import Ensemble
    from .ensemble import load_potential as load
    from .growing.grow import grow
    from .growing.settings import GrowConfig
    from .io.dataset import Dataset
    from .potential import Potential
    from .symmetry import SymmetryFunctions
    from .training.run import train

    __version__: str

__all__ = [
    "Config",
    "Dataset",
    "Ensemble",
    "Error",
    "GrowConfig",
    "NeighborList",
    "Potential",
    "SymmetryFunctions",
    "__version__",
    "grow",
    "load",
    "train",
]

# Modules are imported at the first use of a name: the command line must be able to handle Ctrl-C before that.
_MODULES = {
    "Config": ".config",
    "Dataset": ".io.dataset",
    "Ensemble": ".ensemble",
    "Error": "._core",
    "GrowConfig": ".growing.settings",
    "NeighborList": "._core",
    "Potential": ".potential",
    "SymmetryFunctions": ".symmetry",
    "grow": ".growing.grow",
    "train": ".training.run",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("sitewise")
    elif name == "load":
        value = import_module(".ensemble", __name__).load_potential
    elif name in _MODULES:
        value = getattr(import_module(_MODULES[name], __name__), name)
    else:
        value = _module(name)
    globals()[name] = value
    return value


def _module(name: str) -> Any:
    """Import a module of the package, for example `sitewise.ranks`."""
    try:
        return import_module(f".{name}", __name__)
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
