"""`sitewise diagnose`: what a data set determines of the atomic energies, and how well a potential maps them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .analysis import (
    BarcodeEntry,
    Clustering,
    Environments,
    GSpace,
    barcode,
    count_matrix,
    determine,
    gaussian_determinability,
    invariant_energy,
    single_linkage,
)
from .analysis.clustering import default_n_big
from .analysis.invariants import extrapolated, is_invariant
from .config import Config
from .dataset import Dataset
from .potential import Potential
from .preparation import choose_functions
from .progress import Reporter
from .structures import Floats
from .symmetry import SymmetryFunctions

LENGTHS = (0.1, 0.2, 0.4)  # of the Gaussian process, distances in G space
N_BIG = (3, 10, 30, 100, 300, 1000)


def diagnose(
    data: Dataset,
    functions: SymmetryFunctions,
    potential: Potential | None = None,
    candidates: Dataset | None = None,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Diagnosis of a data set and, if given, of a potential.

    Parameters
    ----------
    data
        Training structures; labels are needed for invariant points only.
    functions
        That span G space.
    potential
        Judged at the invariant points among data and candidates.
    candidates
        Structures that might be added, ranked by the largest unknown fraction of an atom in them.
    reporter
        Told of the progress; by default it writes to stderr.

    Returns
    -------
    dict
        n_atoms, n_structures, composition_nullity, elements (for each: n_atoms, n_big, r_g, r_g_curve, barcode,
        undetermined_offsets), determinability (length scale to structure to atom, 0 free to 1 fixed), candidates
        and, with a potential, invariants (name, delta in eV, extrapolation).

    Raises
    ------
    Error
        For an element without functions or with one atom only.
    """
    reporter = reporter or Reporter()
    environments = Environments.of(data, functions)
    space = GSpace(environments, [functions.core.count(e) for e in range(len(functions.elements))])
    present = sorted(set(environments.species.tolist()))
    points = {e: space.coordinates(environments, e) for e in present}
    owners = {e: environments.structure[environments.species == e] for e in present}
    elements = {}
    with reporter.task("clustering", len(present), lines=True) as advance:
        for e in present:
            elements[functions.elements[e]] = _element(single_linkage(points[e]), owners[e])
            advance()
    composition = np.zeros((len(data), len(present)))
    np.add.at(composition, (environments.structure, np.searchsorted(present, environments.species)), 1.0)
    soft = {}
    with reporter.task("determinability", len(LENGTHS), lines=True) as advance:
        for length in LENGTHS:
            soft[str(length)] = _soft(points, owners, environments, space, length)
            advance()
    result: dict[str, Any] = {
        "n_atoms": len(environments.species),
        "n_structures": len(data),
        "composition_nullity": determine(composition).nullity,
        "elements": elements,
        "determinability": soft,
    }
    if candidates is not None:
        result["candidates"] = _rank(candidates, functions, points, owners, space)
    if potential is not None:
        crystals = [s for part in (data, candidates or ()) for s in part if s.energy is not None]
        crystals = [s for s in crystals if is_invariant(s.atoms)]
        result["invariants"] = _invariants(crystals, functions, potential, points, space)
    return result


def functions_of(potential: Potential | None, config: Path | None, data: Dataset) -> SymmetryFunctions:
    """Symmetry functions of a potential, of a RUN.toml or, without both, the stock ones of the data's elements."""
    if potential is not None:
        return potential.functions
    if config is not None:
        return choose_functions(Config.load(config).symmetry_functions, data.elements)
    return SymmetryFunctions.preset("simple-nn", data.elements)


def verdict(result: dict[str, Any]) -> list[str]:
    """The diagnosis in a few plain sentences."""
    lines = [f"{result['n_structures']} structures, {result['n_atoms']} atoms"]
    for element, found in result["elements"].items():
        if not found["barcode"]:
            lines.append(f"{element}: the environments form one cluster (n_big {found['n_big']})")
            continue
        best = longest(found["barcode"])
        freedom = f"{best['nullity']} combinations of their energies are free" if best["nullity"] else "all determined"
        lines.append(
            f"{element}: r_g {found['r_g']:.3f} (n_big {found['n_big']}), {best['clusters']} clusters from distance "
            f"{best['low']:.3f} to {best['high']:.3f}: {freedom}"
        )
    if result["composition_nullity"]:
        lines.append("the elements occur in fixed ratios: their offsets cannot be told apart from total energies")
    for candidate in result.get("candidates", [])[:3]:
        lines.append(f"candidate {candidate['name']}: up to {100 * candidate['unknown']:.2g} % of an atom is unknown")
    for point in result.get("invariants", []):
        note = ", extrapolation" if point["extrapolation"] else ""
        lines.append(f"invariant point {point['name']}: atomic energy wrong by {1e3 * point['delta']:+.1f} meV{note}")
    return lines


def longest(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The entry of a barcode that persists longest, in the ratio of its distances."""
    return max(entries, key=lambda entry: entry["high"] / entry["low"])


def _element(clustering: Clustering, owner: Any) -> dict[str, Any]:
    """Clusters of one element, and the offsets that are free at the cut that persists longest."""
    n_big = default_n_big(len(owner))
    entries = [_plain(entry) for entry in barcode(clustering, owner, n_big)]
    free: list[list[float]] = []
    if entries:
        labels = clustering.labels(longest(entries)["cut"], n_big)
        _, present = np.unique(owner, return_inverse=True)
        free = determine(count_matrix(labels, present)).null.T.tolist()
    return {
        "n_atoms": len(owner),
        "n_big": n_big,
        "r_g": clustering.r_g(n_big),
        "r_g_curve": clustering.r_g_curve(N_BIG),
        "barcode": entries,
        "undetermined_offsets": free,
    }


def _plain(entry: BarcodeEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in ("cut", "low", "high", "clusters", "rank", "nullity")}


def _known(targets: Floats, points: Floats, owner: Any, length: float) -> Floats:
    _, present = np.unique(owner, return_inverse=True)
    return gaussian_determinability(points, present, targets, length)


def _soft(
    points: dict[int, Floats], owners: dict[int, Any], of: Environments, space: GSpace, length: float
) -> list[list[float]]:
    """Determinability of each atom, by structure."""
    known = np.zeros(len(of.species))
    for e in points:
        known[of.species == e] = _known(space.coordinates(of, e), points[e], owners[e], length)
    cuts = np.cumsum(np.bincount(of.structure))[:-1]
    return [part.tolist() for part in np.split(known, cuts)]


def _rank(
    candidates: Dataset,
    functions: SymmetryFunctions,
    points: dict[int, Floats],
    owners: dict[int, Any],
    space: GSpace,
) -> list[dict[str, Any]]:
    """Candidates, the one with the least known atom first; a new element is unknown altogether."""
    environments = Environments.of(candidates, functions)
    unknown = np.ones(len(environments.species))
    for e in set(environments.species.tolist()) & set(points):
        known = _known(space.coordinates(environments, e), points[e], owners[e], LENGTHS[1])
        unknown[environments.species == e] = 1 - known
    worst = [float(unknown[environments.structure == s].max()) for s in range(len(candidates))]
    order = np.argsort(worst)[::-1]
    return [{"name": candidates[int(s)].source, "unknown": worst[int(s)]} for s in order]


def _invariants(
    crystals: Sequence[Any],
    functions: SymmetryFunctions,
    potential: Potential,
    points: dict[int, Floats],
    space: GSpace,
) -> list[dict[str, Any]]:
    """Error of the atomic energy at each invariant point."""
    rows = []
    for s in crystals:
        own = Environments.of(Dataset([s]), functions)
        e = int(own.species[0])
        far = e not in points or bool(extrapolated(points[e], space.coordinates(own, e)[:1])[0])
        delta = float(potential.evaluate(s.atoms).energies[0]) - invariant_energy(s)
        rows.append({"name": s.source, "delta": delta, "extrapolation": far})
    return rows
