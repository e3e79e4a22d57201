"""A diagnosis in a few plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .accuracy import Accuracy, InvariantPoint, ModelDifference
from .contents import Contents
from .diagnosis import Diagnosis
from .gauges import Gauge
from .judgement import Candidate, Judgement, Suggestion, Target

SHOWN = 3  # candidates and targets
NOTHING = 1e-6  # smaller parts are rounding
NAMED = 6  # clusters whose free combinations are written out
BECAUSE = {
    "mapping": "the ratio of its environments to others hardly changes in the data",
    "extrapolation": "nothing in the data is like some of its environments",
    "data": "there are too few data",
}


class Verdict(NamedTuple):
    """Sentences about a diagnosis, in the order in which a reader needs them.

    Attributes
    ----------
    answer
        Whether atomic energies can be trusted.
    targets
        Targets that are open, and why.
    actions
        What to do next.
    model
        How well a model maps the data; empty without one.
    details
        What the data hold, and how this was found.
    """

    answer: list[str]
    targets: list[str]
    actions: list[str]
    model: list[str]
    details: list[str]

    @classmethod
    def of(cls, diagnosis: Diagnosis) -> Verdict:
        accuracy = diagnosis.accuracy
        answer, *targets = _target_lines(diagnosis)
        return cls(
            [*(_wrong_lines(accuracy) if accuracy else ()), answer],
            targets,
            _candidate_lines(diagnosis) or _hint(diagnosis.judgement),
            _accuracy_lines(diagnosis, accuracy) if accuracy else [],
            [
                *_contents_lines(diagnosis.contents),
                *_composition_lines(diagnosis),
                *_cluster_lines(diagnosis),
                _atom_line(diagnosis),
            ],
        )


def verdict(diagnosis: Diagnosis) -> list[str]:
    """Return sentences on whether atomic energies can be trusted, what to do next and, last, how this was found."""
    return [line for part in Verdict.of(diagnosis) for line in part]


def titled(diagnosis: Diagnosis, name: str) -> str:
    """Return the source and the formula of a structure of data, targets or candidates."""
    formula = diagnosis.formulas.get(name)
    return f"{name} ({formula})" if formula else name


def _contents_lines(found: Contents) -> list[str]:
    structures, energies = found.n_structures, found.n_energies
    lines = [f"{structures} structure{'' if structures == 1 else 's'}, {found.n_atoms} atoms"]
    if not energies:
        lines.append("no structure has an energy: what follows assumes that the energies of all will be known")
    elif energies < structures:
        lacking = f"{structures - energies} of {structures} structures have no energy"
        lines.append(f"{lacking}: they fix no sum, and their forces are not counted")
    if structures == 1:
        lines.append("a single structure gives a single sum, which does not distinguish its kinds of atoms")
    return lines


def percent(part: float) -> str:
    """Return a part as it is printed."""
    if part < NOTHING:
        return "0 %"
    return f"{100 * part:.0f} %" if part >= 0.1 else f"{100 * part:.2g} %"


def _cluster_lines(diagnosis: Diagnosis) -> list[str]:
    partition, entry = diagnosis.partition, diagnosis.partition.chosen
    lines = []
    for element, found in partition.elements.items():
        distance = "one cluster" if found.r_g is None else f"r_g {found.r_g:.3f}"
        lines.append(f"{element}: {distance} (n_big {found.n_big})")
    if not any(points.any() for points in diagnosis.placed.points):
        return [*lines, "all atoms of an element have the same environment: only its energy can be learnt"]
    if entry is None:
        return [*lines, "the environments form one cluster of each element"]
    clusters = sorted(partition.clusters, key=lambda cluster: cluster.name)
    sizes = ", ".join(f"{cluster.name} {cluster.n_atoms}" for cluster in clusters)
    word = "cluster" if entry.clusters == 1 else "clusters"
    lines.append(f"{entry.clusters} {word} from distance {entry.low:.3f} to {entry.high:.3f}: {sizes} atoms")
    if not entry.nullity:
        return [
            *lines,
            "the total energies fix every combination of the clusters' energies; the open parts of the atomic energies "
            "show how well",
        ]
    free = "combination of their energies is" if entry.nullity == 1 else "combinations of their energies are"
    lines.append(f"{entry.nullity} {free} free: total energies do not fix {'it' if entry.nullity == 1 else 'them'}")
    for offset in partition.undetermined_offsets if len(clusters) <= NAMED else ():
        terms = sorted(zip(partition.names, offset, strict=True))
        lines.append("  " + " ".join(f"{x:+.2f} {name}" for name, x in terms if abs(x) > 0.005))
    return lines


def _composition_lines(diagnosis: Diagnosis) -> list[str]:
    unknown = diagnosis.contents.elements_without_energy
    lines = []
    if unknown:
        lines.append(
            f"no structure with {', '.join(unknown)} has an energy: energies of structures with it are arbitrary"
        )
    return [*lines, *_gauge_lines(diagnosis.gauges.meaningless)]


def _gauge_lines(meaningless: Sequence[Gauge]) -> list[str]:
    """Return sentences that name the elements whose atomic energies mean nothing alone."""
    lines = []
    for gauge in meaningless:
        if gauge.by == "composition":
            alone = " and ".join(f"atomic energies of {element} alone" for element in gauge.elements)
            lines.append(
                f"the split of energy between {_listed(gauge.elements)} is free, since the compositions of the data do "
                f"not fix it: {alone} mean nothing; this is harmless where what you simulate has the same ratios"
            )
    pairs = [gauge.elements for gauge in meaningless if gauge.by == "pairs"]
    if pairs:
        names = sorted({element for pair in pairs for element in pair})
        lines.append(
            f"the energy of pairs {_listed(['-'.join(pair) for pair in pairs])} may be counted at either atom: in "
            f"structures with both, atomic energies of {_listed(names, 'or')} alone mean nothing; only their sums do"
        )
    return lines


def _listed(names: Sequence[str], last: str = "and") -> str:
    return f" {last} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _atom_line(diagnosis: Diagnosis) -> str:
    atoms = diagnosis.determinability.of_atoms
    worst = int(np.argmin(atoms))
    source = diagnosis.data[int(diagnosis.placed.structure[worst])].source
    return (
        f"atomic energies: {percent(1 - float(np.median(atoms)))} of the variance is open for the median atom, "
        f"{percent(1 - float(atoms[worst]))} for the least known one, in {source} "
        f"(length scale {diagnosis.determinability.length_scale})"
    )


def _target_lines(diagnosis: Diagnosis) -> list[str]:
    judgement, targets = diagnosis.judgement, diagnosis.judgement.targets
    if targets is None:
        return ["whether you can trust atomic energies depends on what you simulate: name such structures by --target"]
    bars = [target.bar for target in targets if target.bar is not None]
    if not bars:
        return _unlabelled_lines(diagnosis, targets)
    limit = f"{meV(judgement.accuracy)} meV/atom"
    bad = sorted((target for target in targets if target.open), key=lambda target: -(target.bar or 0))
    if not bad:
        known = "the target is" if len(targets) == 1 else f"all {len(targets)} targets are"
        trust = "a potential that fits the data can be trusted there within that"
        return [f"{known} determined: error bars of at most {meV(max(bars))} meV/atom, below {limit}; {trust}"]
    return [
        f"{len(bad)} of {len(targets)} targets are open: their error bars are above {limit}, up to {meV(max(bars))} "
        f"meV/atom; do not trust the energies of a potential there, however small its test errors are",
        *(_open_line(diagnosis, target) for target in bad[:SHOWN]),
        *([f"and {len(bad) - SHOWN} more targets"] if len(bad) > SHOWN else ()),
    ]


def _open_line(diagnosis: Diagnosis, target: Target) -> str:
    name, because = titled(diagnosis, target.name), BECAUSE[target.cause or "data"]
    return f"target {name}: open by {meV(target.bar or 0)} meV/atom because {because}"


def meV(energy: float) -> str:
    """Return an energy in eV as a number of meV."""
    return f"{1e3 * energy:.3g}" if energy < 0.1 else f"{1e3 * energy:.0f}"


def _unlabelled_lines(diagnosis: Diagnosis, targets: Sequence[Target]) -> list[str]:
    """Return the open parts of the variances of targets, as sentences, for lack of labels."""
    bad = [target for target in targets if target.open]
    if not bad:
        return ["the target is determined" if len(targets) == 1 else f"all {len(targets)} targets are determined"]
    lines = [f"{len(bad)} of {len(targets)} targets are not determined by the data (with energies: error bars in eV)"]
    for target in sorted(bad, key=lambda target: -max(target.unknown_energy, target.null_fraction))[:SHOWN]:
        name, part = titled(diagnosis, target.name), percent(target.unknown_energy)
        line = f"target {name}: {part} of its energy's variance is open"
        free = target.null_fraction
        lines.append(f"{line}, {percent(free)} of its counts lie in free combinations" if free > 1e-6 else line)
    return lines


def _hint(judgement: Judgement) -> list[str]:
    """Return a sentence on how to find out what to add."""
    if judgement.undetermined_targets:
        return ["--suggest FILE writes structures that would help, --candidates ranks those that you have"]
    return []


def _candidate_lines(diagnosis: Diagnosis) -> list[str]:
    judgement = diagnosis.judgement
    sets = [judgement.suggestions or (), judgement.candidates]
    if any(sets) and judgement.targets is not None and not judgement.undetermined_targets:
        return ["no candidate is needed for the targets"]
    lines = [_candidate_line(diagnosis, row, k) for rows in sets for k, row in enumerate(rows[:SHOWN])]
    return lines if judgement.suggestions != [] else ["no structure that was made would help", *lines]


def described(diagnosis: Diagnosis, row: Candidate) -> str:
    """Return the name of a candidate, with its formula or, if it was made, with what it is."""
    if not isinstance(row, Suggestion):
        return titled(diagnosis, row.name)
    return f"{row.name} ({row.what}, {row.n_atoms} atom{'' if row.n_atoms == 1 else 's'})"


def _candidate_line(diagnosis: Diagnosis, row: Candidate, number: int) -> str:
    """Return a sentence on the error bars with a structure and all before it."""
    line = f"{'add then' if number else 'add first'} {described(diagnosis, row)}: "
    after = " with those before" if number else ""
    if row.mends is None:
        return f"{line}{percent(row.left)} of what is open is left{after}"
    mended = "its own bar" if row.mends.name == row.name else f"the bar of {titled(diagnosis, row.mends.name)}"
    bars = f"{mended} falls from {meV(row.mends.before)} to {meV(row.mends.after)} meV/atom"
    if len(diagnosis.judgement.targets or ()) > 1:
        bars += f", RMS of all from {meV(row.before or 0)} to {meV(row.after or 0)}"
    return f"{line}{bars}{after}"


def _accuracy_lines(diagnosis: Diagnosis, accuracy: Accuracy) -> list[str]:
    lines = []
    rmse = accuracy.energy_rmse
    if rmse is not None:
        other = (
            ": are its units (--cflength, --cfenergy) right, and is it of the method of the data?" if rmse > 1 else ""
        )
        lines.append(f"total energies of the data: wrong by {1e3 * rmse:.1f} meV/atom (RMS){other}")
    points, lacking = accuracy.invariants, accuracy.unlabelled_crystals
    counted = [point for point in points if point.counts]
    if counted:
        lines.append(_invariant_line(diagnosis, counted))
    if len(counted) < len(points):
        lines.append(f"{len(points) - len(counted)} invariant points are extrapolation and do not count")
    if lacking:
        them = "it lacks" if len(lacking) == 1 else "they lack"
        lines.append(
            f"{len(lacking)} crystal{'' if len(lacking) == 1 else 's'} with equivalent atoms would test the atomic "
            f"energies, but {them} an energy: {titled(diagnosis, lacking[0])}{', ...' if len(lacking) > 1 else ''}"
        )
    elif not points:
        lines.append("no crystal with equivalent atoms is among the structures: nothing tests the atomic energies")
    if diagnosis.partition.undetermined_offsets:
        lines.append(_split_line(accuracy.split))
    if accuracy.comparison:
        found = accuracy.comparison
        lines.append(
            f"the models differ by {1e3 * found.rms:.1f} meV (RMS); in the clusters' means, by "
            f"{1e3 * found.determined_rms:.1f} meV of what the data determine, and by "
            f"{1e3 * found.undetermined_rms:.1f} meV of what they leave free, where neither is more right"
        )
    return lines


def _split_line(split: ModelDifference) -> str:
    """Return a sentence on how much of the clusters' energies has a meaning."""
    return (
        f"of the clusters' energies, less their element's, the data determine {1e3 * split.determined_rms:.1f} meV "
        f"(RMS) and leave {1e3 * split.undetermined_rms:.1f} meV free: any other free part gives the same totals"
    )


def _invariant_line(diagnosis: Diagnosis, counted: Sequence[InvariantPoint]) -> str:
    """Return a sentence on the errors at the invariant points that count."""
    worst = max(counted, key=lambda point: abs(point.delta))
    rms = 1e3 * float(np.sqrt(np.mean([point.delta**2 for point in counted])))
    return (
        f"{len(counted)} invariant points: atomic energies wrong by {rms:.1f} meV (RMS), "
        f"at most {1e3 * worst.delta:+.1f} meV at {titled(diagnosis, worst.name)}"
    )


ADVICE = {
    "mapping": "ad hoc mapping: totals are right and {}; add structures with another ratio of these atoms to others "
    "(--target with --suggest or --candidates)",
    "fit": "misfit: {}, although no ratio or environment is missing in the data; more data of the same kinds or a "
    "larger network help, and other ratios do not: look at the errors of forces",
    "extrapolation": "extrapolation: {}, since nothing in the data is like them; add structures like them",
}


def _wrong_lines(accuracy: Accuracy) -> list[str]:
    """Return sentences on which energies are wrong, for what cause, and what to do."""
    lines = []
    for cause, advice in ADVICE.items():
        crystals = [point for point in accuracy.invariants if point.cause == cause]
        targets = [target for target in accuracy.target_errors if target.cause == cause]
        wrong = [f"the atomic energies of {len(crystals)} of the crystals are wrong"] if crystals else []
        wrong += [f"the energies of {len(targets)} of the targets are wrong"] if targets else []
        if wrong:
            lines.append(advice.format(" and ".join(wrong)))
    return lines
