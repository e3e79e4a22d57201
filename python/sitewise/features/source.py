"""Where the features of a data set come from: computed or read from a file, here or by all ranks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from .. import _core
from .._core import Error
from ..files import make_folder, remove_leftovers
from ..io.dataset import Dataset
from ..progress import Reporter, Silent
from ..ranks import Ranks
from ..structures import Floats, Floats32
from ..symmetry import SymmetryFunctions
from .cache import Sizes, StoredFeatures, content_key, read_features, write_features
from .local import LocalSet
from .shared import SharedSet
from .training_set import TrainingSet

UNLIMITED = 1 << 62  # bytes


@dataclass(frozen=True, slots=True)
class FeatureSource:
    """Prepares data sets for training: computes their features, or reads them from a file.

    Attributes
    ----------
    budget
        Memory for the cached derivatives of a data set, bytes; each rank has as much.
    cache
        Folder where features and derivatives are kept and found, see `cache.py`; each of several ranks has a folder in
        it.
    reporter
        Reports the progress.
    ranks
        The ranks that share the structures; this process alone by default.
    """

    budget: int = UNLIMITED
    cache: Path | None = None
    reporter: Reporter = field(default_factory=Silent)
    ranks: Ranks = field(default_factory=Ranks)

    def prepare(self, data: Dataset, functions: SymmetryFunctions, what: str) -> TrainingSet:
        """Compute or read the features of `data`, and their derivatives while these fit the budget.

        Parameters
        ----------
        data
            The structures; there may be none.
        functions
            The symmetry functions.
        what
            Name of the data in messages.

        Raises
        ------
        Error
            Names the structure with bad coordinates or an element without functions.
        """
        if self.ranks.size == 1:
            return self.prepare_here(data, functions, what)
        each = [self._of_rank(rank) for rank in range(self.ranks.size)]
        return SharedSet(self.ranks, data, functions, [partial(source.prepare_here, what=what) for source in each])

    def prepare_here(self, data: Dataset, functions: SymmetryFunctions, what: str = "") -> LocalSet:
        """Do the same in this process alone."""
        prepared = LocalSet(functions.core, self.budget, str(self.cache or ""))
        stored = None if self.cache is None or not len(data) else self._stored(self.cache, data, functions, what)
        atoms = 0
        with self.reporter.task(f"features of {what}", data.n_atoms, lines=True) as advance:
            for part in _parts(data):
                first, atoms = atoms, atoms + data[part].n_atoms
                known = stored.part(part, slice(first, atoms)) if stored else None
                prepared.extend(data[part], functions.elements, known)
                advance(atoms - first)
        return prepared

    def _of_rank(self, rank: int) -> FeatureSource:
        """Return the source of a rank's share; rank 0 alone reports."""
        cache = None if self.cache is None else self.cache / f"{rank}-of-{self.ranks.size}"
        return replace(self, cache=cache, reporter=self.reporter if rank == 0 else Silent(), ranks=Ranks())

    def _stored(self, folder: Path, data: Dataset, functions: SymmetryFunctions, what: str) -> StoredFeatures:
        """Open the file of features and derivatives; write it first where there is none that can be used."""
        make_folder(folder)
        remove_leftovers(folder)
        path = folder / f"{content_key(data, functions)}.features"
        sizes = Sizes(len(data), data.n_atoms, functions.core.max_count)
        found = read_features(path, sizes, self.reporter)
        if found is not None:
            self.reporter.say(f"features of {what} are read from {path}")
            return found
        write_features(path, sizes, self._computed(data, functions, what))
        found = read_features(path, sizes, self.reporter)
        if found is None:
            raise Error(f"{path}: is damaged as soon as it is written, the disk may be failing")
        self.reporter.say(f"features of {what} are kept in {path} ({path.stat().st_size / 1e6:.0f} MB)")
        return found

    def _computed(self, data: Dataset, functions: SymmetryFunctions, what: str) -> Iterator[tuple[Floats, Floats32]]:
        """Yield features and derivatives of each structure; those of a few are in memory at once."""
        with self.reporter.task(f"derivatives of {what}", data.n_atoms, lines=True) as advance:
            for part in _parts(data):
                prepared = LocalSet(functions.core, UNLIMITED)
                prepared.extend(data[part], functions.elements)
                for i, structure in enumerate(data[part]):
                    yield prepared.features(i), prepared.derivatives(i)
                    advance(len(structure.atoms))


def _parts(data: Dataset) -> Iterator[slice]:
    """Yield the structures that are prepared in parallel."""
    size = 8 * _core.get_threads()
    return (slice(first, min(first + size, len(data))) for first in range(0, len(data), size))
