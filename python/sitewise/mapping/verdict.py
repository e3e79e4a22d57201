"""A diagnosis in a few plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .diagnosis import MAIN_LENGTH, Diagnosis
from .invariants import is_adhoc

SHOWN = 3  # candidates and targets
NAMED = 6  # clusters whose free combinations are written out


def verdict(diagnosis: Diagnosis) -> list[str]:
    """What the data determine, what of it matters to targets, what to add, and how well the potential maps."""
    result = diagnosis.result
    single = result["n_structures"] == 1
    lines = [f"{result['n_structures']} structure{'' if single else 's'}, {result['n_atoms']} atoms"]
    lines += _energy_lines(result["n_energies"], result["n_structures"])
    if single:
        lines.append("a single structure gives a single sum: nothing tells its kinds of atoms apart")
    lines += _cluster_lines(diagnosis)
    unknown = result["elements_without_energy"]
    if unknown:
        lines.append(
            f"no structure with {', '.join(unknown)} has an energy: energies of structures with it are arbitrary"
        )
    if result["composition_nullity"] > len(unknown):
        lines.append(
            "the elements occur in fixed ratios: energy may move between them unseen, which is harmless where "
            "what you simulate has the same ratio"
        )
    lines.append(_atom_line(diagnosis))
    if "targets" in result:
        lines += _target_lines(result["targets"])
    else:
        lines.append("what of this matters depends on what you simulate: name such structures by --target")
    return lines + _candidate_lines(result) + _potential_lines(result)


def _energy_lines(energies: int, structures: int) -> list[str]:
    if not energies:
        return ["no structure has an energy: what follows assumes that the energies of all will be known"]
    if energies < structures:
        lacking = f"{structures - energies} of {structures} structures have no energy"
        return [f"{lacking}: they fix no sum, and their forces are not counted"]
    return []


def percent(part: float) -> str:
    """A part as it is printed."""
    return f"{100 * part:.0f} %" if part >= 0.1 else f"{100 * part:.2g} %"


def _cluster_lines(diagnosis: Diagnosis) -> list[str]:
    result, entry = diagnosis.result, diagnosis.chosen
    lines = []
    for element, found in result["elements"].items():
        distance = "one cluster" if found["r_g"] is None else f"r_g {found['r_g']:.3f}"
        lines.append(f"{element}: {distance} (n_big {found['n_big']})")
    if not any(points.any() for points in diagnosis.placed.points):
        return [*lines, "all atoms of an element have the same environment: only its energy can be learnt"]
    if entry is None:
        return [*lines, "the environments form one cluster of each element"]
    rows = sorted(result["clusters"], key=lambda row: str(row["name"]))
    sizes = ", ".join(f"{row['name']} {row['n_atoms']}" for row in rows)
    word = "cluster" if entry.clusters == 1 else "clusters"
    lines.append(f"{entry.clusters} {word} from distance {entry.low:.3f} to {entry.high:.3f}: {sizes} atoms")
    if not entry.nullity:
        return [
            *lines,
            "no combination of the clusters' energies is quite free; nearly free ones show below only",
        ]
    free = "combination of their energies is" if entry.nullity == 1 else "combinations of their energies are"
    lines.append(f"{entry.nullity} {free} free: total energies do not fix {'it' if entry.nullity == 1 else 'them'}")
    for offset in diagnosis.counts.null.T if len(diagnosis.clusters) <= NAMED else ():
        terms = sorted(zip(diagnosis.clusters, offset.tolist(), strict=True))
        lines.append("  " + " ".join(f"{x:+.2f} {name}" for name, x in terms if abs(x) > 0.005))
    return lines


def _atom_line(diagnosis: Diagnosis) -> str:
    atoms = diagnosis.known[MAIN_LENGTH]
    worst = int(np.argmin(atoms))
    source = diagnosis.data[int(diagnosis.placed.structure[worst])].source
    return (
        f"atomic energies: {percent(1 - float(np.median(atoms)))} of the variance is open for the median atom, "
        f"{percent(1 - float(atoms[worst]))} for the least known one, in {source} (length scale {MAIN_LENGTH})"
    )


def _target_lines(targets: Sequence[dict[str, Any]]) -> list[str]:
    bad = [row for row in targets if not row["determined"]]
    if not bad:
        return ["the target is determined" if len(targets) == 1 else f"all {len(targets)} targets are determined"]
    lines = [f"{len(bad)} of {len(targets)} targets are not determined by the data"]
    for row in sorted(bad, key=lambda row: -max(row["unknown_energy"], row["null_fraction"]))[:SHOWN]:
        line = f"target {row['name']}: {percent(row['unknown_energy'])} of its energy's variance is open"
        free = row["null_fraction"]
        lines.append(f"{line}, {percent(free)} of its counts lie in free combinations" if free > 1e-6 else line)
    return lines


def _candidate_lines(result: dict[str, Any]) -> list[str]:
    rows = result["candidates"]
    if rows and "targets" in result and not result["undetermined_targets"]:
        return ["no candidate is needed for the targets"]
    lines = []
    for number, row in enumerate(rows[:SHOWN]):
        order = "add then" if number else "add first"
        lines.append(f"{order} {row['name']}: its energy would remove {percent(row['gain'])} of what is open")
    return lines


def _potential_lines(result: dict[str, Any]) -> list[str]:
    lines = []
    rmse = result.get("energy_rmse")
    if rmse is not None:
        other = (
            ": are its units (--cflength, --cfenergy) right, and is it of the method of the data?" if rmse > 1 else ""
        )
        lines.append(f"total energies of the data: wrong by {1e3 * rmse:.1f} meV/atom (RMS){other}")
    points = result.get("invariants", [])
    counted = [point for point in points if not point["extrapolation"]]
    if counted:
        lines += _invariant_lines(counted, rmse)
    if len(counted) < len(points):
        lines.append(f"{len(points) - len(counted)} invariant points are extrapolation and do not count")
    if "invariants" in result and not points:
        lines.append("no crystal with equivalent atoms is among the structures: nothing tests the atomic energies")
    if "comparison" in result:
        found = result["comparison"]
        lines.append(
            f"the potentials differ by {1e3 * found['determined_rms']:.1f} meV in what the data determine of the "
            f"clusters' means, and by {1e3 * found['undetermined_rms']:.1f} meV in what they leave free"
        )
    return lines


def _invariant_lines(counted: Sequence[dict[str, Any]], rmse: float | None) -> list[str]:
    """Errors at the invariant points that count, and whether they show an ad hoc mapping."""
    worst = max(counted, key=lambda point: abs(point["delta"]))
    rms = 1e3 * float(np.sqrt(np.mean([point["delta"] ** 2 for point in counted])))
    lines = [
        f"{len(counted)} invariant points: atomic energies wrong by {rms:.1f} meV (RMS), "
        f"at most {1e3 * worst['delta']:+.1f} meV at {worst['name']}"
    ]
    bad = sum(is_adhoc(point["delta"], rmse) for point in counted) if rmse is not None else 0
    if bad:
        lines.append(
            f"ad hoc mapping: totals are right and the atomic energies of {bad} of these crystals are wrong; add "
            "structures with another ratio of these atoms to others (--target, --candidates)"
        )
    return lines
