"""Systems for bars.py: training structures, targets, and the potentials that label both."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk, diamond100, diamond111, fcc100, fcc110, fcc111, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.neighborlist import neighbor_list

from sitewise.reproduce.stillinger_weber import stillinger_weber
from sitewise.structures import Structure

Frames = Sequence[Atoms]
Label = Callable[[Atoms], tuple[float, np.ndarray]]
VACUUM = 7.0  # Angstrom on each side
SILICON = 5.431


@dataclass(frozen=True)
class System:
    """Training structures, targets by name, and the potential that labels both."""

    train: Callable[[np.random.Generator], Frames]
    targets: Callable[[np.random.Generator], dict[str, Atoms]]
    label: Label


# ---- labels


def silicon(atoms: Atoms) -> tuple[float, np.ndarray]:
    """Energy and forces of Stillinger and Weber."""
    energies, forces = stillinger_weber(atoms)
    return float(energies.sum()), forces


def calculated(make: Callable[[], Any]) -> Label:
    """Label by a calculator of ASE."""

    def label(atoms: Atoms) -> tuple[float, np.ndarray]:
        copy = atoms.copy()
        copy.calc = make()
        return float(copy.get_potential_energy()), copy.get_forces()

    return label


emt = calculated(EMT)
argon = calculated(lambda: LennardJones(sigma=3.4, epsilon=0.0104, rc=7.0, ro=5.5, smooth=True))


def water(atoms: Atoms) -> tuple[float, np.ndarray]:
    """Flexible water, O H H in turn: harmonic bonds and angles, Lennard-Jones and screened charges up to 6 Angstrom."""
    forces = np.zeros((len(atoms), 3))
    oxygen = np.arange(0, len(atoms), 3)
    a, b = (_bond(atoms, oxygen, k) for k in (1, 2))
    energy = 0.0
    for k, r in ((1, a), (2, b)):
        length = np.linalg.norm(r, axis=1)
        energy += 0.5 * 40.0 * float(((length - 0.96) ** 2).sum())
        pull = 40.0 * ((length - 0.96) / length)[:, None] * r
        forces[oxygen] += pull
        forces[oxygen + k] -= pull
    span = b - a  # H-H, in place of an angle
    length = np.linalg.norm(span, axis=1)
    energy += 0.5 * 10.0 * float(((length - 1.52) ** 2).sum())
    pull = 10.0 * ((length - 1.52) / length)[:, None] * span
    forces[oxygen + 1] += pull
    forces[oxygen + 2] -= pull
    between, there = _between(atoms)
    return energy + between, forces + there


def _bond(atoms: Atoms, oxygen: np.ndarray, k: int) -> np.ndarray:
    vectors = atoms.positions[oxygen + k] - atoms.positions[oxygen]
    if atoms.pbc.any():
        lengths = atoms.cell.lengths()
        vectors -= lengths * np.round(vectors / lengths)
    return vectors


def _between(atoms: Atoms) -> tuple[float, np.ndarray]:
    """Energy and forces between molecules."""
    reach = 6.0
    i, j, r, d = neighbor_list("ijdD", atoms, reach)
    apart = i // 3 != j // 3
    i, j, r, d = i[apart], j[apart], r[apart], d[apart]
    charge = np.where(atoms.numbers == 8, -0.82, 0.41)
    product = 14.4 * charge[i] * charge[j]
    strength = np.where((atoms.numbers[i] == 8) & (atoms.numbers[j] == 8), 0.0067, 0.0)
    sigma = 3.17
    core = 0.3 * np.exp(-(r - 1.3) * 5.0)  # keeps H from O
    value = product * np.exp(-r / 3.0) / r + 4 * strength * ((sigma / r) ** 12 - (sigma / r) ** 6) + core
    slope = -product * np.exp(-r / 3.0) * (1 / r**2 + 1 / (3.0 * r))
    slope += 4 * strength * (-12 * sigma**12 / r**13 + 6 * sigma**6 / r**7) - 5.0 * core
    cut, cut_slope = 0.5 * (1 + np.cos(np.pi * r / reach)), -0.5 * np.pi / reach * np.sin(np.pi * r / reach)
    slope = slope * cut + value * cut_slope
    forces = np.zeros((len(atoms), 3))
    np.add.at(forces, i, (slope / r)[:, None] * d)
    return 0.5 * float((value * cut).sum()), forces


# ---- structures


def rattled(atoms: Atoms, rng: np.random.Generator, amplitude: float) -> Atoms:
    """A copy with normal displacements, Angstrom."""
    moved = Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    moved.positions += rng.normal(0, amplitude, atoms.positions.shape)
    return moved


def many(make: Callable[[], Atoms], n: int, amplitude: float) -> Callable[[np.random.Generator], list[Atoms]]:
    """A maker of n rattled copies."""
    return lambda rng: [rattled(make(), rng, amplitude) for _ in range(n)]


def several(*parts: Callable[[np.random.Generator], list[Atoms]]) -> Callable[[np.random.Generator], list[Atoms]]:
    """A maker of the structures of some makers."""
    return lambda rng: [atoms for part in parts for atoms in part(rng)]


def strained(atoms: Atoms, factor: float) -> Atoms:
    """A copy whose lengths are multiplied by a factor."""
    copy = atoms.copy()
    copy.set_cell(factor * atoms.cell, scale_atoms=True)
    return copy


def strains(atoms: Atoms, factors: Sequence[float] = (0.95, 0.98, 1.0, 1.02, 1.05)) -> dict[str, Atoms]:
    """A crystal stretched by some factors."""
    return {f"crystal {factor:g}": strained(atoms, factor) for factor in factors}


def periodic(atoms: Atoms) -> Atoms:
    """The same, periodic in three directions."""
    return Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True)


def slab100(layers: int) -> Atoms:
    """Si(001), four atoms per layer."""
    return periodic(diamond100("Si", (2, 2, layers), a=SILICON, vacuum=VACUUM))


def slab111(layers: int) -> Atoms:
    """Si(111), four atoms per layer."""
    return periodic(diamond111("Si", (2, 2, layers), a=SILICON, vacuum=VACUUM))


def ball(crystal: Atoms, n: int) -> Atoms:
    """The n atoms of a crystal that are nearest to a point off its sites."""
    large = crystal * (9, 9, 9)
    centre = large.cell.sum(axis=0) / 2 + [0.31, 0.17, 0.07]
    chosen = np.argsort(np.linalg.norm(large.positions - centre, axis=1), kind="stable")[:n]
    cut = Atoms(large.symbols[chosen], large.positions[chosen])
    cut.center(vacuum=VACUUM)
    cut.pbc = True
    return cut


def wire(crystal: Atoms, radius: float, length: int) -> Atoms:
    """A wire of a cubic crystal along z."""
    large = crystal * (7, 7, length)
    centre = large.cell.sum(axis=0) / 2 + [0.31, 0.17, 0]
    keep = np.linalg.norm((large.positions - centre)[:, :2], axis=1) < radius
    cut = Atoms(large.symbols[keep], large.positions[keep], cell=large.cell, pbc=True)
    cut.center(vacuum=VACUUM, axis=(0, 1))
    return cut


def vacant(atoms: Atoms, *missing: int) -> Atoms:
    """A copy without some atoms."""
    copy = atoms.copy()
    del copy[list(missing)]
    return copy


def alloy(symbols: str, a: float, fraction: float | None) -> Callable[[np.random.Generator], Atoms]:
    """A maker of 32 atoms of a random fcc alloy of two elements; any composition if no fraction is given."""
    first, second = symbols.split("-")

    def make(rng: np.random.Generator) -> Atoms:
        atoms = bulk(first, "fcc", a=a, cubic=True) * 2
        n = round(32 * (rng.uniform(0.1, 0.9) if fraction is None else fraction))
        atoms.symbols[rng.permutation(32)[:n]] = second
        return strained(atoms, rng.uniform(0.98, 1.02))

    return make


def each(make: Callable[[np.random.Generator], Atoms], n: int, amplitude: float) -> Callable[..., list[Atoms]]:
    """A maker of n structures, each made anew."""
    return lambda rng: [rattled(make(rng), rng, amplitude) for _ in range(n)]


def ordered(symbols: str, a: float, kind: str) -> Atoms:
    """L1_0 ("AB") or L1_2 ("A3B") of two elements."""
    first, second = symbols.split("-")
    atoms = bulk(first, "fcc", a=a, cubic=True)
    atoms.symbols[[0, 1] if kind == "AB" else [0]] = second
    return atoms


def waters(n: int, box: bool) -> Callable[[np.random.Generator], Atoms]:
    """A maker of n molecules on a grid, turned at random, in a periodic box or as a cluster."""

    def make(rng: np.random.Generator) -> Atoms:
        side = int(np.ceil(n ** (1 / 3) - 1e-9))
        spacing = 3.15
        sites = np.array([(x, y, z) for x in range(side) for y in range(side) for z in range(side)])[:n] * spacing
        found = Atoms(pbc=box)
        for site in sites:
            one = molecule("H2O")
            one.rotate(rng.uniform(0, 360), rng.normal(size=3))
            one.positions += site + rng.normal(0, 0.15, 3) - one.positions[0]
            found += one
        found.cell = np.eye(3) * side * spacing
        if not box:
            found.center(vacuum=VACUUM)
        return found

    return make


def _tests(train: Callable[..., Frames], rng: np.random.Generator, n: int = 2) -> dict[str, Atoms]:
    frames = list(train(rng))
    return {f"like the data {k}": frames[-1 - k] for k in range(n)}


DIAMOND = bulk("Si", "diamond", a=SILICON)
CUBE = bulk("Si", "diamond", a=SILICON, cubic=True)


def system(
    train: Callable[[np.random.Generator], Frames],
    label: Label,
    targets: Callable[[np.random.Generator], dict[str, Atoms]],
) -> System:
    """A system whose targets include structures like the training structures."""
    return System(train, lambda rng: {**_tests(train, rng), **targets(rng)}, label)


def metal(symbol: str, a: float) -> tuple[Atoms, Atoms]:
    """Primitive and cubic cell of an fcc metal."""
    return bulk(symbol, "fcc", a=a), bulk(symbol, "fcc", a=a, cubic=True)


def _fcc_slab(symbol: str, a: float, face: str, layers: int) -> Atoms:
    make = fcc111 if face == "111" else fcc100
    return periodic(make(symbol, (2, 2, layers), a=a, vacuum=VACUUM))


def first() -> dict[str, System]:
    copper, copper4 = metal("Cu", 3.61)
    aluminium, aluminium4 = metal("Al", 4.0)
    silver, silver4 = metal("Ag", 4.07)
    ar, _ = metal("Ar", 5.26)
    hot = several(*(many(lambda f=f: strained(CUBE * (2, 2, 1), f), 5, 0.1) for f in (0.98, 1.0, 1.02)))
    one = many(lambda: slab100(8), 16, 0.05)
    two = several(many(lambda: slab100(12), 5, 0.05), one)
    return {
        "si-slab": system(
            one,
            silicon,
            lambda rng: {
                **strains(DIAMOND),
                "12 layers": rattled(slab100(12), rng, 0.05),
                "111": rattled(slab111(8), rng, 0.05),
            },
        ),
        "si-two-slabs": system(
            two,
            silicon,
            lambda rng: {
                **strains(DIAMOND, (0.95, 1.0, 1.05)),
                "16 layers": rattled(slab100(16), rng, 0.05),
                "hot": rattled(CUBE * (2, 2, 1), rng, 0.1),
            },
        ),
        "si-cluster": system(
            many(lambda: ball(CUBE, 38), 16, 0.06),
            silicon,
            lambda rng: {
                **strains(DIAMOND, (0.98, 1.0, 1.02)),
                "26": rattled(ball(CUBE, 26), rng, 0.06),
                "60": rattled(ball(CUBE, 60), rng, 0.06),
            },
        ),
        "si-hot": system(
            hot,
            silicon,
            lambda rng: {
                **strains(DIAMOND),
                "vacancy": rattled(vacant(CUBE * 2, 0), rng, 0.05),
                "slab": rattled(slab100(8), rng, 0.05),
                "64 atoms": rattled(CUBE * 2, rng, 0.1),
            },
        ),
        "si-cluster-cell": system(
            several(lambda rng: [DIAMOND.copy()], many(lambda: ball(CUBE, 38), 16, 0.06)),
            silicon,
            lambda rng: {
                **strains(DIAMOND, (0.98, 1.0, 1.02)),
                "60": rattled(ball(CUBE, 60), rng, 0.06),
                "hot": rattled(CUBE * (2, 2, 1), rng, 0.05),
            },
        ),
        "cu-slab": system(
            many(lambda: _fcc_slab("Cu", 3.61, "111", 5), 16, 0.06),
            emt,
            lambda rng: {
                **strains(copper),
                "7 layers": rattled(_fcc_slab("Cu", 3.61, "111", 7), rng, 0.06),
                "100": rattled(_fcc_slab("Cu", 3.61, "100", 5), rng, 0.06),
            },
        ),
        "cu-vacancy": system(
            many(lambda: vacant(copper4 * 2, 0), 16, 0.08),
            emt,
            lambda rng: {
                **strains(copper),
                "two vacancies": rattled(vacant(copper4 * 2, 0, 5), rng, 0.08),
                "larger": rattled(vacant(copper4 * (3, 2, 2), 0), rng, 0.08),
            },
        ),
        "al-wire": system(
            many(lambda: wire(aluminium4, 4.5, 2), 14, 0.06),
            emt,
            lambda rng: {
                **strains(aluminium, (0.98, 1.0, 1.02)),
                "thick": rattled(wire(aluminium4, 6.2, 1), rng, 0.06),
                "slab": rattled(_fcc_slab("Al", 4.0, "100", 5), rng, 0.06),
            },
        ),
        "ag-slab-bulk": system(
            several(many(lambda: silver4 * 2, 5, 0.08), many(lambda: _fcc_slab("Ag", 4.07, "100", 6), 14, 0.08)),
            emt,
            lambda rng: {
                **strains(silver),
                "9 layers": rattled(_fcc_slab("Ag", 4.07, "100", 9), rng, 0.08),
                "111": rattled(_fcc_slab("Ag", 4.07, "111", 6), rng, 0.08),
                "vacancy": rattled(vacant(silver4 * 2, 0), rng, 0.08),
            },
        ),
        "cu-au": system(
            each(alloy("Cu-Au", 3.85, 0.5), 24, 0.08),
            emt,
            lambda rng: {
                "AB": ordered("Cu-Au", 3.85, "AB"),
                "A3B": ordered("Cu-Au", 3.75, "A3B"),
                "Cu": metal("Cu", 3.61)[0],
                "Au": metal("Au", 4.06)[0],
                "stretched": strained(rattled(alloy("Cu-Au", 3.85, 0.5)(rng), rng, 0.08), 1.05),
                "poor": rattled(alloy("Cu-Au", 3.85, 0.3)(rng), rng, 0.08),
            },
        ),
        "ni-pd": system(
            each(alloy("Ni-Pd", 3.7, None), 30, 0.08),
            emt,
            lambda rng: {
                "AB": ordered("Ni-Pd", 3.7, "AB"),
                "A3B": ordered("Ni-Pd", 3.6, "A3B"),
                "Ni": metal("Ni", 3.52)[0],
                "Pd": metal("Pd", 3.89)[0],
                "stretched": strained(rattled(alloy("Ni-Pd", 3.7, 0.5)(rng), rng, 0.08), 1.05),
            },
        ),
        "water": system(
            each(waters(18, True), 24, 0.03),
            water,
            lambda rng: {
                "27": rattled(waters(27, True)(rng), rng, 0.03),
                "cluster": waters(8, False)(rng),
                "one": waters(1, False)(rng),
                "dense": strained(waters(27, True)(rng), 0.97),
            },
        ),
        "ar-cluster": system(
            many(lambda: ball(metal("Ar", 5.26)[1], 40), 16, 0.1),
            argon,
            lambda rng: {**strains(ar, (0.98, 1.0, 1.02)), "60": rattled(ball(metal("Ar", 5.26)[1], 60), rng, 0.1)},
        ),
    }


def second() -> dict[str, System]:
    pd, pd4 = metal("Pd", 3.89)
    pt, pt4 = metal("Pt", 3.92)
    au, _ = metal("Au", 4.06)
    ni, ni4 = metal("Ni", 3.52)
    one = many(lambda: slab111(8), 16, 0.06)
    return {
        "si-111": system(one, silicon, lambda rng: {**strains(DIAMOND), "12 layers": rattled(slab111(12), rng, 0.06)}),
        "si-wire": system(
            many(lambda: wire(CUBE, 5.2, 1), 16, 0.06),
            silicon,
            lambda rng: {**strains(DIAMOND, (0.98, 1.0, 1.02)), "thick": rattled(wire(CUBE, 7.0, 1), rng, 0.06)},
        ),
        "si-two-clusters": system(
            several(many(lambda: ball(CUBE, 29), 8, 0.06), many(lambda: ball(CUBE, 47), 8, 0.06)),
            silicon,
            lambda rng: {**strains(DIAMOND, (0.98, 1.0, 1.02)), "60": rattled(ball(CUBE, 60), rng, 0.06)},
        ),
        "si-vacancy": system(
            many(lambda: vacant(CUBE * 2, 0), 12, 0.06),
            silicon,
            lambda rng: {**strains(DIAMOND), "two": rattled(vacant(CUBE * 2, 0, 9), rng, 0.06)},
        ),
        "pd-vacancy": system(
            many(lambda: vacant(pd4 * 2, 0), 16, 0.06),
            emt,
            lambda rng: {**strains(pd, (0.95, 1.0, 1.05)), "two": rattled(vacant(pd4 * 2, 0, 9), rng, 0.06)},
        ),
        "ag-au": system(
            each(alloy("Ag-Au", 4.07, 0.25), 24, 0.1),
            emt,
            lambda rng: {
                "AB": ordered("Ag-Au", 4.07, "AB"),
                "A3B": ordered("Ag-Au", 4.07, "A3B"),
                "Au": au,
                "stretched": strained(rattled(alloy("Ag-Au", 4.07, 0.25)(rng), rng, 0.1), 1.05),
                "half": rattled(alloy("Ag-Au", 4.07, 0.5)(rng), rng, 0.1),
            },
        ),
        "al-ni": system(
            each(alloy("Al-Ni", 3.7, None), 30, 0.08),
            emt,
            lambda rng: {
                "AB": ordered("Al-Ni", 3.7, "AB"),
                "Ni": ni,
                "Al": metal("Al", 4.0)[0],
                "A3B": ordered("Al-Ni", 3.85, "A3B"),
            },
        ),
        "water-cluster": system(
            each(waters(8, False), 30, 0.03),
            water,
            lambda rng: {"27": waters(27, True)(rng), "one": waters(1, False)(rng), "12": waters(12, False)(rng)},
        ),
        "pt-hot": system(
            several(*(many(lambda f=f: strained(pt4 * 2, f), 5, 0.12) for f in (0.98, 1.0, 1.02))),
            emt,
            lambda rng: {
                **strains(pt),
                "vacancy": rattled(vacant(pt4 * 2, 0), rng, 0.1),
                "slab": rattled(_fcc_slab("Pt", 3.92, "111", 5), rng, 0.1),
            },
        ),
        "ni-cluster-cell": system(
            several(lambda rng: [ni.copy()], many(lambda: ball(ni4, 43), 16, 0.06)),
            emt,
            lambda rng: {
                **strains(ni, (0.98, 1.0, 1.02)),
                "60": rattled(ball(ni4, 60), rng, 0.06),
                "hot": rattled(ni4 * 2, rng, 0.06),
            },
        ),
        "au-slab": system(
            many(lambda: _fcc_slab("Au", 4.06, "100", 5), 16, 0.08),
            emt,
            lambda rng: {
                **strains(au, (0.95, 1.0, 1.05)),
                "8 layers": rattled(_fcc_slab("Au", 4.06, "100", 8), rng, 0.08),
            },
        ),
    }


def kept() -> dict[str, System]:
    pd, pd4 = metal("Pd", 3.89)
    ag, ag4 = metal("Ag", 4.07)
    ni, _ = metal("Ni", 3.52)
    al, al4 = metal("Al", 4.0)
    return {
        "si-slab-cell": system(
            several(lambda _: [DIAMOND.copy()], many(lambda: slab111(6), 16, 0.05)),
            silicon,
            lambda rng: {**strains(DIAMOND), "12 layers": rattled(slab111(12), rng, 0.05)},
        ),
        "si-two-wires": system(
            several(many(lambda: wire(CUBE, 4.6, 1), 10, 0.06), many(lambda: wire(CUBE, 6.2, 1), 6, 0.06)),
            silicon,
            lambda rng: {**strains(DIAMOND, (0.98, 1.0, 1.02)), "thick": rattled(wire(CUBE, 7.2, 1), rng, 0.06)},
        ),
        "si-divacancy": system(
            many(lambda: vacant(CUBE * (2, 2, 1), 0, 1), 16, 0.06),
            silicon,
            lambda rng: {**strains(DIAMOND), "one": rattled(vacant(CUBE * 2, 0), rng, 0.06)},
        ),
        "pd-slab": system(
            many(lambda: periodic(fcc110("Pd", (2, 2, 7), a=3.89, vacuum=VACUUM)), 14, 0.07),
            emt,
            lambda rng: {
                **strains(pd, (0.95, 1.0, 1.05)),
                "11 layers": rattled(periodic(fcc110("Pd", (2, 2, 11), a=3.89, vacuum=VACUUM)), rng, 0.07),
                "111": rattled(_fcc_slab("Pd", 3.89, "111", 5), rng, 0.07),
            },
        ),
        "ag-cluster": system(
            many(lambda: ball(ag4, 45), 14, 0.08),
            emt,
            lambda rng: {**strains(ag, (0.98, 1.0, 1.02)), "62": rattled(ball(ag4, 62), rng, 0.08)},
        ),
        "cu-ag": system(
            each(alloy("Cu-Ag", 3.85, None), 30, 0.1),
            emt,
            lambda rng: {
                "AB": ordered("Cu-Ag", 3.85, "AB"),
                "A3B": ordered("Cu-Ag", 3.75, "A3B"),
                "Ag": ag,
                "stretched": strained(rattled(alloy("Cu-Ag", 3.85, 0.5)(rng), rng, 0.1), 1.05),
            },
        ),
        "pt-au": system(
            each(alloy("Pt-Au", 3.98, 0.5), 24, 0.06),
            emt,
            lambda rng: {
                "AB": ordered("Pt-Au", 3.98, "AB"),
                "rich": rattled(alloy("Pt-Au", 3.98, 0.7)(rng), rng, 0.06),
                "stretched": strained(rattled(alloy("Pt-Au", 3.98, 0.5)(rng), rng, 0.06), 1.05),
            },
        ),
        "small-water": system(
            each(waters(8, True), 40, 0.03),
            water,
            lambda rng: {
                "27": rattled(waters(27, True)(rng), rng, 0.03),
                "cluster": waters(12, False)(rng),
                "one": waters(1, False)(rng),
            },
        ),
        "al-hot": system(
            several(*(many(lambda f=f: strained(al4 * 2, f), 5, 0.15) for f in (0.98, 1.0, 1.02))),
            emt,
            lambda rng: {
                **strains(al),
                "vacancy": rattled(vacant(al4 * 2, 0), rng, 0.1),
                "slab": rattled(_fcc_slab("Al", 4.0, "111", 5), rng, 0.1),
            },
        ),
        "ni-two-slabs": system(
            several(
                many(lambda: _fcc_slab("Ni", 3.52, "111", 5), 12, 0.06),
                many(lambda: _fcc_slab("Ni", 3.52, "111", 8), 5, 0.06),
            ),
            emt,
            lambda rng: {**strains(ni), "100": rattled(_fcc_slab("Ni", 3.52, "100", 6), rng, 0.06)},
        ),
        "pd-hot-vacancy": system(
            several(many(lambda: vacant(pd4 * 2, 0), 12, 0.1), many(lambda: pd4 * 2, 6, 0.1)),
            emt,
            lambda rng: {**strains(pd), "two": rattled(vacant(pd4 * 2, 0, 9), rng, 0.1)},
        ),
    }


def made(name: str, system: System) -> tuple[list[Structure], list[Structure]]:
    """Training structures, and targets whose group is their name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    train = [_labelled(atoms, "train", system) for atoms in system.train(rng)]
    return train, [_labelled(atoms, kind, system) for kind, atoms in system.targets(rng).items()]


def _labelled(atoms: Atoms, kind: str, system: System) -> Structure:
    total, forces = system.label(atoms)
    return Structure(atoms, total, forces, None, kind, kind)
