"""What a data set determines of the atomic energies, and how well a potential maps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .._core import Error
from ..config import Config
from ..features.selection import choose_functions
from ..io.dataset import Dataset
from ..potential import Potential
from ..progress import Reporter
from ..ranks import Ranks
from ..structures import Floats, Structure
from ..symmetry import SymmetryFunctions
from .accuracy import Accuracy, compare, energy_rmse, find_crystals, invariant_points, of_elements, target_errors
from .bars import ACCURACY
from .clustering import JointClustering
from .clusters import Partition, cluster_atoms, partition
from .contents import Contents, contents
from .determinability import (
    LENGTHS,
    MAIN_LENGTH,
    AtomDeterminability,
    atom_determinability,
    representatives,
    sum_processes,
)
from .diagnostic import Diagnostic
from .energy_process import EnergyProcess, Measurements
from .gauges import Gauges, gauges
from .gspace import Embedding, Integers, Placed
from .judgement import Judge, Judgement
from .models import Model, PotentialModel, as_model
from .rigidity import last_layer_rigidity
from .suggestion_files import files_of
from .suggestions import suggestions

UNRELATED = 1.0  # eV/atom: with larger errors atomic energies are of something else than the data


@dataclass(frozen=True, slots=True, eq=False)
class TargetAtoms:
    """Atoms of the structures that a potential is made for.

    Attributes
    ----------
    embedding
        Their structures in G space.
    known
        Determinability of their energies [m].
    energies
        Their energies by the model [m], eV; None without a model, or if it lacks some of them.
    """

    embedding: Embedding
    known: Floats
    energies: Floats | None


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis:
    """What a data set determines of the atomic energies and, with a potential, how well it maps them.

    The last fields are the diagnostics; their own fields are the keys of the JSON file, in the same order.

    Attributes
    ----------
    data
        Training structures.
    functions
        Symmetry functions that span G space.
    placed
        Atoms of the data in G space.
    clustering
        Clustering of all elements.
    labels
        Cluster of each atom [n], its place in `partition.clusters`.
    energies
        Atomic energies [n] of the potential, eV; None without one.
    crystals
        Structures of `accuracy.invariants`; empty without a potential.
    targets
        Atoms of the targets; None without any.
    formulas
        Formula of each structure of data, targets and candidates, by its source.
    contents
        What the data hold.
    partition
        Clusters, and the combinations of their energies that are free.
    gauges
        Elements whose atomic energies mean nothing.
    determinability
        How far the energy of each atom is determined.
    judgement
        What is open of the targets, and candidates in order.
    suggested
        Structures of `judgement.suggestions`, in the same order.
    accuracy
        How well the potential maps the data; None without one.
    """

    data: Dataset
    functions: SymmetryFunctions
    placed: Placed
    clustering: JointClustering
    labels: Integers
    energies: Floats | None
    crystals: list[Structure]
    targets: TargetAtoms | None
    formulas: dict[str, str]
    contents: Contents
    partition: Partition
    gauges: Gauges
    determinability: AtomDeterminability
    judgement: Judgement
    suggested: list[Structure]
    accuracy: Accuracy | None

    def to_json(self) -> dict[str, Any]:
        """Return the content of the JSON file: the fields of all diagnostics, in order."""
        parts = (getattr(self, field.name) for field in fields(self))
        found = [part.to_json() for part in parts if isinstance(part, Diagnostic)]
        return {key: value for part in found for key, value in part.items()}


def diagnose(
    data: Dataset,
    functions: SymmetryFunctions,
    potential: Potential | Model | None = None,
    candidates: Dataset | None = None,
    target: Dataset | None = None,
    other: Potential | Model | None = None,
    n_big: int | None = None,
    reporter: Reporter | None = None,
    accuracy: float = ACCURACY,
    suggest: Path | None = None,
    ranks: Ranks | None = None,
) -> Diagnosis:
    """Diagnose a data set and, if given, a potential.

    Parameters
    ----------
    data
        Training structures. Energies are known of those that have one, or assumed to be known of all where none has;
        the others add environments, and the information in their forces is not counted.
    functions
        Symmetry functions that span G space.
    potential
        Potential or other model to judge, at the invariant points among all structures.
    candidates
        Structures that might be added, ranked by the error bars that targets would have with them.
    target
        Structures that the potential is made for. Their labels do not enter the error bars.
    other
        A model to compare with.
    n_big
        Least number of atoms of a big cluster; by default a twentieth of each element's.
    reporter
        Receives the progress; by default it writes to stderr.
    accuracy
        Error bar up to which a target is determined, eV/atom.
    suggest
        File or folder for structures that are made to be added, see `files_of`; it names them, and is not written.
    ranks
        The ranks that share symmetry functions and predictions; this process alone by default.

    Raises
    ------
    Error
        For an element without functions or with one atom only, for candidates or targets with an element that the
        data do not have, and for a model whose atomic energies are not given or sum to other energies.
    """
    if other is not None and potential is None:
        raise Error("a potential to compare with needs another potential")
    reporter = reporter or Reporter()
    embedding = Embedding.of(data, functions, ranks)
    added, wanted = (embedding.embed(extra, ranks) if extra is not None else None for extra in (candidates, target))
    made = embedding.embed(suggestions(data, target, functions.cutoff, reporter), ranks) if suggest else None
    sets = [embedding, *(extra for extra in (added, wanted) if extra is not None)]
    spanning = [part.placed for part in sets] + ([made.placed] if made and not data.count("energy") else [])
    atoms = cluster_atoms(embedding, n_big, reporter)
    found = partition(embedding, atoms)
    placed, training = embedding.placed, embedding.placed.of(embedding.informing.nonzero()[0])
    chosen = representatives(spanning)
    with reporter.task("determinability", len(LENGTHS) * (training.n_atoms + placed.n_atoms), lines=True) as advance:
        processes = sum_processes(training, chosen, advance)
        determinability = atom_determinability(placed, processes, advance)
    aims = [wanted] if wanted else [extra for extra in (added, made) if extra is not None]
    fitted = _energy_process(embedding, aims) if aims else None
    judge = Judge(embedding, atoms, processes[MAIN_LENGTH], fitted, wanted, accuracy, reporter)
    judgement, suggested = judge.judgement(added, made, lambda n: files_of(suggest, n) if suggest else [])
    energies: Floats | None = None
    of_targets: Floats | None = None
    crystals: list[Structure] = []
    mapped: Accuracy | None = None
    if potential is not None:
        model = as_model(potential)
        energies = model.of_all(data, reporter, ranks)
        if target is not None and all(model.knows(s) for s in target):
            of_targets = model.of_all(target, reporter, ranks)
        rmse = energy_rmse(embedding, energies)
        if not isinstance(model, PotentialModel) and rmse is not None and rmse > UNRELATED:
            raise Error(
                f"the atomic energies of {model.name} sum to energies that differ from those of the data by {rmse:.3g} "
                "eV/atom (RMS): are they in eV, of the method of the data, and with the energies of the free atoms?"
            )
        found_crystals = find_crystals(sets)
        crystals = [s for s in found_crystals if s.energy is not None and model.knows(s)]
        rest = [s.source for s in found_crystals if s.energy is None or not model.knows(s)]
        process = fitted or _energy_process(embedding, [])
        points = invariant_points(embedding, crystals, model, rmse, process, accuracy)
        errors = target_errors(wanted, model, rmse, process, accuracy) if wanted else []
        split = compare(atoms, found.names, energies - of_elements(placed, energies))
        rigidity = None
        if isinstance(model, PotentialModel):
            rigidity = last_layer_rigidity(model.potential.core, data, functions, reporter)
        compared = None
        if other is not None:
            compared = compare(atoms, found.names, as_model(other).of_all(data, reporter, ranks) - energies)
        mapped = Accuracy(rmse, points, errors, rest, split, rigidity, compared)
    targets = None
    if wanted is not None:
        known = processes[MAIN_LENGTH].determinability(wanted.placed)
        targets = TargetAtoms(wanted, known, of_targets)
    return Diagnosis(
        data=data,
        functions=functions,
        placed=placed,
        clustering=atoms.clustering,
        labels=atoms.labels,
        energies=energies,
        crystals=crystals,
        targets=targets,
        formulas={s.source: s.atoms.get_chemical_formula() for part in sets for s in part.data},
        contents=contents(embedding),
        partition=found,
        gauges=gauges(embedding),
        determinability=determinability,
        judgement=judgement,
        suggested=suggested,
        accuracy=mapped,
    )


def _energy_process(data: Embedding, others: Sequence[Embedding]) -> EnergyProcess | None:
    """Return the atomic energies as far as the data determine them; None without energies."""
    if not data.data.count("energy"):
        return None
    return EnergyProcess(Measurements.of(data), [data.placed, *(each.placed for each in others)])


def functions_of(
    potential: Potential | None, config: Path | None, data: Dataset, reporter: Reporter | None = None
) -> SymmetryFunctions:
    """Return the symmetry functions of a potential, of a RUN.toml or, without both, the stock ones of the data's
    elements."""
    if potential is not None:
        return potential.functions
    if config is not None:
        return choose_functions(Config.load(config).symmetry_functions, data, reporter)
    return SymmetryFunctions.preset("simple-nn", data.elements)
