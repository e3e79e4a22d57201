"""What a data set determines of the atomic energies, and how well a potential maps them."""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .._core import Error
from ..config import Config
from ..evaluation.comparison import evaluate_all
from ..features.selection import choose_functions
from ..io.dataset import Dataset
from ..potential import Potential
from ..progress import Reporter
from ..structures import Floats, Structure
from ..symmetry import SymmetryFunctions
from .clustering import Clustering, JointClustering, default_n_big, single_linkage
from .counts import (
    BarcodeEntry,
    Determinability,
    comparison,
    count_matrix,
    determine,
    joint_barcode,
    longest,
    null_fraction,
)
from .gaussian import SumProcess, farthest_points
from .gspace import Environments, GSpace, Placed
from .invariants import extrapolated, invariant_energy, is_invariant
from .rigidity import last_layer_rigidity

LENGTHS = (0.1, 0.2, 0.4)  # of the Gaussian process, distances in G space
MAIN_LENGTH = 0.2  # what is printed and ranked by
N_BIG = (3, 10, 30, 100, 300, 1000)
UNDETERMINED = 0.01  # part of a target that the data leave open, above which it is named


class Diagnosis:
    """What a data set determines of the atomic energies and, with a potential, how well it maps them.

    Attributes
    ----------
    placed
        Atoms of the data in G space.
    clustering
        Of all elements.
    entries
        The barcode.
    chosen
        Its entry that persists longest; None where the atoms form one cluster.
    labels
        Cluster of each atom [n] there.
    counts
        Determinability of these clusters.
    known
        Determinability of each atom [n] by length scale.
    energies
        Atomic energies [n] of the potential, eV; None without one.
    result
        The content of the JSON file.

    Parameters
    ----------
    data
        Training structures. Energies are known of those that have one, or assumed to be known of all where none has;
        the others add environments, and what their forces tell is not counted.
    functions
        That span G space.
    potential
        Judged at the invariant points among all structures.
    candidates
        Structures that might be added, ranked by what their energies would tell.
    target
        Structures that the potential is made for.
    other
        A potential to compare with.
    n_big
        Atoms of a big cluster, at least; by default a twentieth of each element's.
    reporter
        Told of the progress; by default it writes to stderr.

    Raises
    ------
    Error
        For an element without functions or with one atom only, and for candidates or targets with an element that the
        data do not have.
    """

    def __init__(
        self,
        data: Dataset,
        functions: SymmetryFunctions,
        potential: Potential | None = None,
        candidates: Dataset | None = None,
        target: Dataset | None = None,
        other: Potential | None = None,
        n_big: int | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        if other is not None and potential is None:
            raise Error("a potential to compare with needs another potential")
        self.data, self.functions, self.potential = data, functions, potential
        energies = np.array([s.energy is not None for s in data], dtype=np.bool_)
        self.informing = energies if energies.any() else ~energies
        self.reporter = reporter or Reporter()
        self.environments = Environments.of(data, functions)
        self.space = GSpace(self.environments, [functions.core.count(e) for e in range(len(functions.elements))])
        self.placed = self.space.place(self.environments)
        self._extra = {"candidates": candidates, "target": target}
        self._places = {name: self._place(extra) for name, extra in self._extra.items() if extra is not None}
        self._cluster(n_big)
        processes = self._processes()
        self.energies: Floats | None = None
        self.result = self._data_result(processes)
        if potential is not None:
            self.result |= self._potential_result(potential, other)

    # ---- the data

    @cached_property
    def elements(self) -> list[int]:
        """Indices of the elements that the data have."""
        return [e for e, points in enumerate(self.placed.points) if len(points)]

    @cached_property
    def clusters(self) -> list[str]:
        """Names of the clusters: the element and, where it has several, a letter, the largest cluster being A."""
        names = [""] * (int(self.labels.max()) + 1)
        for e in self.elements:
            found, sizes = np.unique(self.labels[self.placed.rows[e]], return_counts=True)
            for letter, k in enumerate(found[np.argsort(-sizes, kind="stable")]):
                names[int(k)] = self.functions.elements[e] + (f" {_letter(letter)}" if len(found) > 1 else "")
        return names

    def _place(self, structures: Dataset) -> Placed:
        for s in structures:
            unknown = set(s.atoms.get_chemical_symbols()) - {self.functions.elements[e] for e in self.elements}
            if unknown:
                raise Error(f"{s.source}: has {', '.join(sorted(unknown))}, which no structure of the data has")
        return self.space.place(Environments.of(structures, self.functions))

    def _cluster(self, n_big: int | None) -> None:
        rows = [self.placed.rows[e] for e in self.elements]
        sizes = [n_big or default_n_big(len(own)) for own in rows]
        with self.reporter.task("clustering", len(rows)) as advance:
            parts: list[Clustering] = []
            for e in self.elements:
                if len(self.placed.points[e]) < 2:
                    raise Error(f"the data have a single atom of {self.functions.elements[e]}, at least two are needed")
                parts.append(single_linkage(self.placed.points[e], self.reporter))
                advance()
        self.clustering = JointClustering(parts, rows, sizes)
        self.entries = joint_barcode(self.clustering, self.placed.structure, self.informing)
        self.chosen: BarcodeEntry | None = longest(self.entries) if self.entries else None
        self.labels = self.clustering.labels(self.chosen.cut if self.chosen else np.inf)
        counts = count_matrix(self.labels, self.placed.structure)
        self.counts: Determinability = determine(counts[self.informing])

    def _processes(self) -> dict[float, SumProcess]:
        """Gaussian process and determinability of the atoms for each length scale."""
        everything = [self.placed.points, *(extra.points for extra in self._places.values())]
        processes = {}
        self.known: dict[float, Floats] = {}
        training = self.placed.of(self.informing)
        steps = len(LENGTHS) * (training.n_atoms + self.placed.n_atoms)
        with self.reporter.task("determinability", steps, lines=True) as advance:
            spanning = [farthest_points(np.concatenate(own)) for own in zip(*everything, strict=True)]
            for length in LENGTHS:
                processes[length] = SumProcess(training, spanning, length, advance)
                self.known[length] = processes[length].determinability(self.placed, advance)
        return processes

    def _data_result(self, processes: dict[float, SumProcess]) -> dict[str, Any]:
        composition = count_matrix(self._element_numbers(), self.placed.structure)[self.informing]
        merges = self._last_merge()
        result: dict[str, Any] = {
            "n_atoms": self.placed.n_atoms,
            "n_structures": len(self.data),
            "n_energies": self.data.count("energy"),
            "elements_without_energy": [
                self.functions.elements[e]
                for e, atoms in zip(self.elements, composition.sum(axis=0), strict=True)
                if not atoms
            ],
            **merges,
            "barcode": [asdict(entry) for entry in self.entries],
            "clusters": self._cluster_table(),
            "undetermined_offsets": self.counts.null.T.tolist(),
            "composition_nullity": determine(composition).nullity,
            "elements": {self.functions.elements[e]: self._element_table(i) for i, e in enumerate(self.elements)},
            "length_scale": MAIN_LENGTH,
            "determinability": self.placed.split(self.known[MAIN_LENGTH]),
            "determinability_by_length": {str(k): self.placed.split(v) for k, v in self.known.items()},
            "undetermined_targets": [],
            "candidates": [],
        }
        if "target" in self._places:
            result["targets"] = self._judge("target", processes)
            result["undetermined_targets"] = [row["name"] for row in result["targets"] if not row["determined"]]
        if "candidates" in self._places:
            result["candidates"] = self._rank(processes[MAIN_LENGTH])
        return result

    def _element_numbers(self) -> Any:
        numbers = np.zeros(self.placed.n_atoms, dtype=np.int64)
        for i, e in enumerate(self.elements):
            numbers[self.placed.rows[e]] = i
        return numbers

    def _last_merge(self) -> dict[str, Any]:
        """n_big and r_g of the element whose two last big clusters are farthest apart."""
        found = [(part.r_g(n), n) for part, n in zip(self.clustering.parts, self.clustering.n_big, strict=True)]
        r_g, n_big = max(found, key=lambda pair: (-1.0 if pair[0] is None else pair[0], pair[1]))
        return {"n_big": n_big, "r_g": r_g}

    def _element_table(self, place: int) -> dict[str, Any]:
        part, n_big = self.clustering.parts[place], self.clustering.n_big[place]
        return {
            "n_atoms": len(part.points),
            "n_big": n_big,
            "r_g": part.r_g(n_big),
            "r_g_curve": part.r_g_curve(N_BIG),
        }

    def _cluster_table(self) -> list[dict[str, Any]]:
        sizes = np.bincount(self.labels)
        rows = zip(self.clusters, sizes.tolist(), self.counts.determined.tolist(), strict=True)
        return [{"name": name, "n_atoms": n, "determinability": known} for name, n, known in rows]

    # ---- what might be added, and what it is for

    def _cluster_counts(self, extra: Placed) -> Floats:
        """C[s, k] of other structures, whose atoms go to the cluster of the nearest atom of the data."""
        from scipy.spatial import cKDTree

        labels = np.zeros(extra.n_atoms, dtype=np.int64)
        for e in self.elements:
            nearest = cKDTree(self.placed.points[e]).query(extra.points[e])[1]
            labels[extra.rows[e]] = self.labels[self.placed.rows[e]][nearest]
        counts = np.zeros((extra.n_structures, len(self.clusters)))
        np.add.at(counts, (extra.structure, labels), 1.0)
        return counts

    def _unknown(self, name: str, process: SumProcess) -> list[dict[str, Any]]:
        """Name of each structure, and what of it the data leave open."""
        structures, extra = self._extra[name], self._places[name]
        assert structures is not None
        atoms = extra.split(1 - process.determinability(extra))
        energies = 1 - process.energy_determinability(extra)
        counts = self._cluster_counts(extra)
        return [
            {
                "name": structures[s].source,
                "null_fraction": null_fraction(self.counts, counts[s]),
                "unknown_energy": float(energies[s]),
                "unknown": max(atoms[s]),
            }
            for s in range(extra.n_structures)
        ]

    def _judge(self, name: str, processes: dict[float, SumProcess]) -> list[dict[str, Any]]:
        """Targets, and whether clusters and Gaussian process both find their energy determined."""
        rows = self._unknown(name, processes[MAIN_LENGTH])
        for row in rows:
            row["determined"] = max(row["null_fraction"], row["unknown_energy"]) < UNDETERMINED
        return rows

    def _rank(self, process: SumProcess) -> list[dict[str, Any]]:
        """Candidates in the order in which to add them, by what they tell of the targets or, without these, of all."""
        candidates = self._places["candidates"]
        pool = self._places.get("target") or self.placed.joined(candidates)
        rows = self._unknown("candidates", process)
        return [rows[k] | {"gain": gain} for k, gain in process.ranked(candidates, pool)]

    # ---- the potential

    def _atomic_energies(self, potential: Potential) -> Floats:
        results = evaluate_all(potential, self.data, "atomic energies", self.reporter)
        return np.concatenate([result.energies for result in results])

    def _potential_result(self, potential: Potential, other: Potential | None) -> dict[str, Any]:
        self.energies = self._atomic_energies(potential)
        result: dict[str, Any] = {
            "energy_rmse": self._energy_rmse(self.energies),
            "invariants": self._invariants(potential),
            "rigidity": last_layer_rigidity(potential.core, self.data, self.functions, self.reporter),
        }
        if other is not None:
            result["comparison"] = self._compare(other)
        return result

    def _energy_rmse(self, energies: Floats) -> float | None:
        """RMSE of the total energies, eV/atom; None without any label."""
        parts = zip(self.data, self.placed.split(energies), strict=True)
        wrong = [(sum(own) - s.energy) / len(own) for s, own in parts if s.energy is not None]
        return float(np.sqrt(np.mean(np.square(wrong)))) if wrong else None

    def invariant_points(self) -> list[Structure]:
        """Crystals of equivalent atoms with energies among data, candidates and targets."""
        sets = [self.data, *(extra for extra in self._extra.values() if extra is not None)]
        return [s for part in sets for s in part if s.energy is not None and is_invariant(s.atoms)]

    def _invariants(self, potential: Potential) -> list[dict[str, Any]]:
        """Error of the atomic energy at each invariant point, and the volume of an atom."""
        self.crystals = self.invariant_points()
        rows: list[dict[str, Any]] = []
        if not self.crystals:
            return rows
        own = [self.space.place(Environments.of(Dataset([s]), self.functions)) for s in self.crystals]
        elements = [next(e for e in self.elements if len(place.points[e])) for place in own]
        places = [place.points[e][0] for place, e in zip(own, elements, strict=True)]
        far = np.zeros(len(own), dtype=bool)
        for e in set(elements):
            mine = [i for i, element in enumerate(elements) if element == e]
            far[mine] = extrapolated(self.placed.points[e], np.array([places[i] for i in mine]))
        for s, outside in zip(self.crystals, far.tolist(), strict=True):
            delta = float(potential.evaluate(s.atoms).energies[0]) - invariant_energy(s)
            volume = float(s.atoms.cell.volume) / len(s.atoms)
            rows.append({"name": s.source, "delta": delta, "extrapolation": outside, "volume": volume})
        return rows

    def _compare(self, other: Potential) -> dict[str, Any]:
        """Difference of two potentials' cluster means, eV: what the data determine of it, and what they leave free."""
        assert self.energies is not None
        difference = self._atomic_energies(other) - self.energies
        sizes = np.bincount(self.labels)
        determined, free = comparison(self.counts, np.bincount(self.labels, weights=difference) / sizes)
        rows = zip(self.clusters, determined.tolist(), free.tolist(), strict=True)

        def rms(values: Floats) -> float:
            return float(np.sqrt((sizes * values**2).sum() / sizes.sum()))

        return {
            "rms": float(np.sqrt(np.mean(difference**2))),
            "determined_rms": rms(determined),
            "undetermined_rms": rms(free),
            "clusters": [{"name": name, "determined": a, "undetermined": b} for name, a, b in rows],
        }


def diagnose(
    data: Dataset,
    functions: SymmetryFunctions,
    potential: Potential | None = None,
    candidates: Dataset | None = None,
    reporter: Reporter | None = None,
    target: Dataset | None = None,
) -> dict[str, Any]:
    """The result of a `Diagnosis`."""
    return Diagnosis(data, functions, potential, candidates, target, reporter=reporter).result


def functions_of(
    potential: Potential | None, config: Path | None, data: Dataset, reporter: Reporter | None = None
) -> SymmetryFunctions:
    """Symmetry functions of a potential, of a RUN.toml or, without both, the stock ones of the data's elements."""
    if potential is not None:
        return potential.functions
    if config is not None:
        return choose_functions(Config.load(config).symmetry_functions, data.elements, reporter)
    return SymmetryFunctions.preset("simple-nn", data.elements)


def _letter(number: int) -> str:
    """A, B, ..., Z, A1, B1, ..."""
    return chr(ord("A") + number % 26) + (str(number // 26) if number >= 26 else "")
