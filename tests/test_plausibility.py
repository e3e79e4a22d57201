"""Data in wrong units are reported; right data of many kinds raise no warning."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.cluster import Icosahedron
from ase.io import write

from checks import BOHR, HARTREE, Listener, silicon_frames, silicon_potential
from sitewise import Dataset, Potential
from sitewise.io.plausibility import SAMPLE, implausible
from sitewise.structures import Structure
from sitewise.units import Units
from test_readers import run

KINDS = {
    "far": "nearest neighbours are too far.*lengths may be in Bohr, but were read in Angstrom",
    "close": "nearest neighbours are too close.*lengths may be in another unit, but were read in Angstrom",
    "small": "forces are too small.*they may be in Hartree, but were read in eV",
    "large": "forces are too large.*they may be in another unit, but were read in eV",
    "little": "energies per atom scatter by .* eV, too little for.*they may be in Hartree, but were read in eV",
    "much": "energies per atom scatter by .* eV, too much for.*they may be in another unit, but were read in eV",
    "differ": "energies change by .* times what forces and displacements give.*different units or signs",
    "overlap": "structure .* has atoms .* Angstrom, expected at least",
}


def labelled(atoms):
    atoms.calc = EMT()
    return Structure(atoms.copy(), atoms.get_potential_energy(), atoms.get_forces(), None, "", "f, structure 0")


def alloy(rng, amplitude=0.1, scale=1.0, strain=0.03):
    atoms = bulk("Cu", "fcc", a=3.9 * scale, cubic=True) * (2, 2, 2)
    atoms.symbols[:] = rng.choice(["Cu", "Au", "Pd", "Ag", "Ni", "Pt"], len(atoms))
    atoms.set_cell(atoms.cell.array * (1 + rng.normal(0, strain, 3))[:, None], scale_atoms=True)
    atoms.rattle(amplitude, rng=rng)
    return atoms


def crystal(rng):
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    atoms.rattle(0.08, rng=rng)
    return atoms


def slab(rng):
    atoms = fcc111("Cu", (2, 2, 4), vacuum=8)
    atoms.rattle(0.08, rng=rng)
    add_adsorbate(atoms, rng.choice(["O", "H", "N"]), 1.3, "fcc")
    return atoms


def molecule_of(name):
    def make(rng):
        atoms = molecule(name)
        atoms.rattle(0.05, rng=rng)
        return atoms

    return make


def gas(rng):
    """Make molecules in a box."""
    atoms = Atoms(cell=[30, 30, 30], pbc=True)
    for place in np.ndindex(2, 2, 2):
        one = molecule(str(rng.choice(["H2O", "CH4", "N2", "CO2"])))
        one.rattle(0.04, rng=rng)
        one.translate(np.array(place) * 15 + 3)
        atoms += one
    return atoms


def dimer(rng):
    """Make a dimer and pull it apart."""
    return Atoms(str(rng.choice(["Cu2", "AgAu", "H2", "O2"])), [[0, 0, 0], [0, 0, rng.uniform(1.6, 7)]])


def equation_of_state(rng):
    return bulk("Cu", cubic=True, a=3.6 * rng.uniform(0.85, 1.25))


def noble(rng):
    """Make atoms without bonds."""
    atoms = bulk("Ne", "fcc", a=4.5, cubic=True) * (2, 2, 2)
    atoms.rattle(0.3, rng=rng)
    return atoms


def hydride(rng):
    """Make a hydride: EMT's forces around the hydrogen are large."""
    atoms = bulk("Pd", cubic=True) * (2, 2, 2)
    atoms += Atoms("H", [[1.95, 0, 0]])
    atoms.rattle(0.05, rng=rng)
    return atoms


def torn(rng):
    atoms = bulk("Ag", a=4.09 * rng.uniform(1.05, 1.15), cubic=True)
    atoms.rattle(0.05, rng=rng)
    return atoms


RIGHT = {
    "alloy": alloy,
    "hot alloy": lambda rng: alloy(rng, 0.2),
    "stretched": lambda rng: alloy(rng, 0.06, 1.2, 0),
    "compressed": lambda rng: alloy(rng, 0.05, 0.87, 0),
    "crystal": crystal,
    "slab": slab,
    "gas": gas,
    "dimer": dimer,
    "equation of state": equation_of_state,
    "isolated atoms": lambda rng: Atoms(str(rng.choice(["Cu", "H", "O"]))),
    "atoms in boxes": lambda rng: Atoms(str(rng.choice(["Cu", "Au"])), cell=[12, 13, 14], pbc=True),
    **{name: molecule_of(name) for name in ("H2O", "CH4", "C2H6", "CO2", "NH3")},
    "hydride": hydride,
    "torn": torn,
}


@pytest.fixture(scope="module")
def right():
    """Return right data by their names."""
    rng = np.random.default_rng(2019)
    return {name: [labelled(make(rng)) for _ in range(20)] for name, make in RIGHT.items()}


@pytest.mark.parametrize("name", RIGHT)
def test_no_false_alarm(right, name):
    assert list(implausible(right[name], "f", Units())) == []


def test_no_false_alarm_for_a_noble_gas():
    rng = np.random.default_rng(3)
    frames = [noble(rng) for _ in range(10)]
    found = [Structure(a, -0.02 * len(a), rng.normal(0, 0.01, (len(a), 3)), None, "", "f, structure 0") for a in frames]
    assert list(implausible(found, "f", Units())) == []


@pytest.mark.parametrize("seed", range(8))
def test_few_energies_are_close_by_chance(seed):
    rng = np.random.default_rng(seed)
    frames = [Icosahedron("Cu", 3) for _ in range(8)]
    for atoms in frames:
        atoms.rattle(0.1, rng=rng)
    assert list(implausible([labelled(atoms) for atoms in frames], "f", Units())) == []


@pytest.mark.parametrize("name", ["H2O", "CO2", "CH4"])
def test_small_molecules_in_hartree(right, name):
    """They are judged together, as one of them has too few bonds."""
    changed = [replace(s, energy=s.energy * HARTREE, forces=s.forces * HARTREE / BOHR) for s in right[name]]
    (text,) = implausible(changed, "f", Units())
    assert text.startswith("f: forces are too small")


def test_no_false_alarm_for_all_together(right):
    assert list(implausible([s for part in right.values() for s in part], "f", Units())) == []


FILES = [
    ("mlearn-si/training.extxyz", {}),
    ("mlearn-si/test.extxyz", {}),
    ("mlearn-training/Li.xyz.xz", {}),
    ("mlearn-training/Mo.xyz.xz", {}),
    ("mlearn-training/Ni.xyz.xz", {}),
    ("acac/train_300K.xyz.xz", {}),
    ("acac/isolated_atoms.xyz", {}),
    ("si-dft/crystal.xyz", {}),
    ("si-dft/invariants.xyz", {}),
    ("si-dft/nanocluster.xyz", {}),
    ("si-dft/slab.xyz", {}),
    ("si-dft/queue.xyz", {}),
    ("nnp-h2o/set.data", {"length_unit": "Bohr", "energy_unit": "Hartree"}),
]


@pytest.mark.parametrize(("file", "units"), FILES)
def test_no_false_alarm_for_published_data(shared, file, units):
    heard = Listener()
    Dataset.read(shared / file, index="::3", require_labels=False, reporter=heard, **units)
    assert heard.warned == []


def test_water_in_wrong_units(shared):
    for units, kinds in (({}, ["far", "small"]), ({"length_unit": "Bohr"}, ["small"])):
        heard = Listener()
        Dataset.read(shared / "nnp-h2o" / "set.data", reporter=heard, **units)
        check(heard.warned, kinds)


def changed(structures, length=1.0, energy=1.0, force=None):
    """Return the same structures with numbers in other units."""
    result = []
    for s in structures:
        atoms = s.atoms.copy()
        atoms.positions *= length
        atoms.cell[:] = atoms.cell.array * length
        factor = energy / length if force is None else force
        result.append(Structure(atoms, s.energy * energy, s.forces * factor, None, "", s.source))
    return result


def check(found, kinds):
    import re

    assert len(found) == len(kinds), found
    for text, kind in zip(found, kinds, strict=True):
        assert re.search(KINDS[kind], text), text
        assert "\n" not in text


MOVING = ["alloy", "crystal", "slab", "CH4", "C2H6", "NH3"]  # whose forces and distances differ enough to be judged


@pytest.mark.parametrize("length", [1.0, BOHR, 1 / BOHR])
@pytest.mark.parametrize("energy", [-1, 0, 1])
@pytest.mark.parametrize("name", MOVING)
def test_each_wrong_unit_is_called_out(right, name, length, energy):
    """Bohr as Angstrom and the reverse, Hartree as eV and the reverse, and any two of them at once are reported."""
    found = list(implausible(changed(right[name], length, HARTREE**energy), "f", Units()))
    kinds = {1.0: [], BOHR: ["far"], 1 / BOHR: ["close"]}[length] + {0: [], 1: ["small"], -1: ["large"]}[energy]
    check(found, kinds)


@pytest.mark.parametrize("name", MOVING)
def test_energies_and_forces_of_different_units(right, name):
    if name == "alloy":  # no two structures have the same cell and elements
        check(list(implausible(changed(right[name], 1, HARTREE, 1), "f", Units())), ["little"])
        return
    check(list(implausible(changed(right[name], 1, HARTREE, 1), "f", Units())), ["differ"])
    check(list(implausible(changed(right[name], 1, 1 / HARTREE, 1), "f", Units())), ["differ"])
    check(list(implausible(changed(right[name], 1, 1, -1), "f", Units())), ["differ"])
    check(list(implausible(changed(right[name], 1, 1, HARTREE / BOHR), "f", Units())), ["small"])


def test_energies_without_forces(right):
    def energies(factor):
        return [
            Structure(s.atoms, s.energy * factor, None, None, "", s.source)
            for name in ("crystal", "hot alloy")
            for s in right[name]
        ]

    assert list(implausible(energies(1), "f", Units())) == []
    crystals = [Structure(s.atoms, s.energy * HARTREE, None, None, "", "") for s in right["crystal"]]
    check(list(implausible(crystals, "f", Units())), ["little"])
    rng = np.random.default_rng(0)
    wild = [Structure(s.atoms, s.energy + 10 * 32 * rng.normal(), None, None, "", "") for s in right["crystal"]]
    check(list(implausible(wild, "f", Units())), ["much"])


@pytest.mark.parametrize("count", [3, SAMPLE + 57])
def test_one_overlapping_pair_is_named(right, count):
    """It is named wherever it is, also if only a part of the structures is judged."""
    structures = [(right["crystal"] * 20)[k] for k in range(count)]
    atoms = structures[-2].atoms.copy()
    atoms.positions[5] = atoms.positions[3] + [0.7, 0, 0]
    structures[-2] = Structure(atoms, structures[-2].energy, structures[-2].forces, None, "", "f, structure 7")
    (found,) = list(implausible(structures, "f", Units()))
    assert found == "f: structure 7 has atoms 3 (Cu) and 5 (Cu) at 0.7 Angstrom, expected at least 1.32"


def test_the_worst_of_overlapping_pairs_is_named(right):
    """It is named in whatever order they come."""
    structures = []
    for number, distance in enumerate((0.9, 0.6, 0.8)):
        s = right["crystal"][number]
        atoms = s.atoms.copy()
        atoms.positions[5] = atoms.positions[3] + [distance, 0, 0]
        structures.append(Structure(atoms, s.energy, s.forces, None, "", f"f, structure {number}"))
    (found,) = list(implausible(structures, "f", Units()))
    assert "structure 1 has atoms 3 (Cu) and 5 (Cu) at 0.6 Angstrom" in found
    assert found.endswith("; 3 structures have such pairs")


def test_the_unit_that_may_be_meant(right):
    (found,) = list(implausible(changed(right["crystal"], 1 / BOHR), "f", Units.of("Bohr", "eV")))
    assert "lengths may be in Angstrom, but were read in Bohr (length_unit)" in found
    (found,) = list(implausible(changed(right["crystal"], 1, 1 / HARTREE), "f", Units.of("Angstrom", "Hartree")))
    assert "they may be in eV, but were read in Hartree (energy_unit)" in found


def test_structures_without_anything_to_judge():
    lone = [Structure(Atoms("Si"), None, None, None, "", "") for _ in range(9)]
    empty = [Structure(Atoms(), None, None, None, "", "")]
    far = [Structure(Atoms("Si2", [[0, 0, 0], [0, 0, 1e15]]), -1.0, np.zeros((2, 3)), None, "", "")] * 9
    for structures in ([], lone, empty, far):
        assert list(implausible(structures, "f", Units())) == []


@pytest.mark.slow
def test_many_atoms_in_one_place_take_no_time():
    rng = np.random.default_rng(0)
    heap = Structure(Atoms("Si5000", rng.uniform(0, 1, (5000, 3))), None, None, None, "", "f, structure 0")
    found = list(implausible([heap], "f", Units()))
    assert "has atoms" in found[0] or "too close" in found[0]


def test_every_command_says_it(tmp_path):
    """Every command warns, also in quiet mode."""
    frames = silicon_frames(6)
    for atoms in frames:
        labels = atoms.calc.results
        atoms.set_cell(atoms.cell.array * BOHR, scale_atoms=True)
        atoms.calc.results = labels
    write(tmp_path / "a.xyz", frames)
    Potential(silicon_potential()).save(tmp_path / "p")
    commands = {
        "info": [tmp_path / "a.xyz"],
        "evaluate": [tmp_path / "p", tmp_path / "a.xyz", "-q"],
        "predict": [tmp_path / "p", tmp_path / "a.xyz", "-o", tmp_path / "b.xyz", "-q"],
        "features": [tmp_path / "p", tmp_path / "a.xyz", "-o", tmp_path / "f.npz", "-q"],
        "convert": [tmp_path / "a.xyz", "-o", tmp_path / "b.data", "-q"],
    }
    for command, arguments in commands.items():
        output = run(command, *arguments).output
        assert f"warning: {tmp_path / 'a.xyz'}: nearest neighbours are too far" in output, command
        assert "nearest neighbours" not in run(command, *arguments, "--length-unit", "Bohr").output, command


FUNCTIONS = "number_of_elements 1\nelements Si\ncutoff_type 2\nsymfunction_short Si 2 Si 0.1 0.0 {}\n"


@pytest.mark.parametrize(("cutoff", "warned"), [(20.0, True), (12.0, True), (9.5, True), (9.0, False), (6.0, False)])
def test_a_cutoff_that_may_be_in_bohr(tmp_path, cutoff, warned):
    from sitewise.config import Functions
    from sitewise.features.selection import choose_functions

    path = tmp_path / "input.nn"
    path.write_text(FUNCTIONS.format(cutoff))
    heard, silicon = Listener(), Dataset([Structure(bulk("Si"), None, None, None, "", "f")])
    choose_functions(Functions(file=str(path)), silicon, heard)
    bohr = "it may be in Bohr (cflength 1.8897261328)"
    said = f"{path}: the cutoff of the symmetry functions is {cutoff:g} Angstrom: {bohr}"
    assert heard.warned == ([said] if warned else [])
    choose_functions(Functions(file=str(path), cflength=BOHR), silicon, heard)
    assert len(heard.warned) == warned


def test_a_potential_in_bohr(shared):
    path = shared / "nnp-h2o"
    assert f"warning: {path}: the cutoff of the symmetry functions is 12 Angstrom" in run("info", path).output
    assert "warning" not in run("info", path, "--cflength", BOHR, "--cfenergy", HARTREE).output
