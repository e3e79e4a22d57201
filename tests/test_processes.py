"""Processes and threads: forks, spawned processes, pickles, copies, and objects that threads share."""

import copy
import multiprocessing as mp
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from checks import (
    DEVICES,
    arrays,
    assert_close,
    compiled,
    energy,
    random_potential,
    rattled,
    silicon,
    silicon_frames,
    silicon_potential,
    structures,
)
from sitewise import Dataset, Ensemble, Error, NeighborList, Potential, _core
from sitewise.calculator import SitewiseCalculator
from sitewise.progress import Reporter
from sitewise.structures import Structure
from sitewise.symmetry import SymmetryFunctions

pytestmark = [
    pytest.mark.filterwarnings("ignore::sitewise.calculator.ExtrapolationWarning"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),  # Python's, of a process that has threads
]

TIMEOUT = 60  # seconds after which a process counts as hanging
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


@pytest.fixture
def two_threads():
    before = _core.get_threads()
    _core.set_threads(2)
    yield
    _core.set_threads(before)


def forked(work, *given):
    """Return what work(*given) returns or raises in a process that os.fork made, within TIMEOUT."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(TIMEOUT)
        try:
            result = work(*given)
        except Exception as error:  # to be raised by the parent
            result = error
        with os.fdopen(writing, "wb") as file:
            pickle.dump(result, file)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        written = file.read()
    assert os.waitpid(child, 0)[1] == 0, "the child hangs"
    result = pickle.loads(written)
    if isinstance(result, Exception):
        raise result
    return result


def prepared(count=6):
    """Make a training set of silicon, and its potential."""
    potential = silicon_potential()
    data = _core.TrainingSet(potential.functions, 1 << 30)
    data.add([labelled(atoms) for atoms in silicon_frames(count)])
    return data, potential


def labelled(atoms):
    species, positions, cell, pbc = arrays(atoms, elements=(14,))
    forces, stress = np.array(atoms.get_forces()), np.array(atoms.get_stress())
    labels = {"energy": atoms.get_potential_energy(), "forces": forces, "stress": stress}
    return {"species": species, "positions": positions, "cell": cell, "pbc": pbc, **labels}


def everything():
    """Return numbers from every loop of the library that runs in parallel."""
    data, potential = prepared()
    own = Potential(potential)
    atoms = silicon("crystal")
    neighbors = NeighborList(own.cutoff)
    results = [own.evaluate(atoms, kept) for kept in (None, neighbors, neighbors)]
    atoms.calc = own.calculator()
    loss, gradient = data.loss(potential, range(len(data)), 1.0, 1.0)
    jacobian = data.jacobian(potential, [0, 1], [[0, 4], [2]])
    pairs = _core.neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, 4.0)
    return [
        *(getattr(r, name) for r in results for name in ("energy", "energies", "forces", "stress", "features")),
        *(atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stresses()),
        *(loss["value"], gradient, jacobian, data.features(0), *pairs, own.functions.evaluate(atoms)),
    ]


def assert_same_numbers(found, expected, tolerance=1e-12):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert_close(a, b, tolerance, floor=1.0)


# -- forks -----------------------------------------------------------------------------------------------------------


def test_every_parallel_loop_asks_for_its_threads():
    """A loop that does not would wait for ever in a forked process."""
    source = Path(__file__).parents[1] / "cpp"
    loops = [line for path in source.rglob("*pp") for line in path.read_text().splitlines() if "omp parallel" in line]
    assert len(loops) > 8
    assert all("num_threads(max_threads())" in line for line in loops)


def test_forked_processes_compute_as_their_parent(two_threads):
    expected = everything()
    assert_same_numbers(forked(everything), expected)
    assert_same_numbers(forked(forked, everything), expected)
    assert_same_numbers(everything(), expected)


def test_pools_of_forked_processes_compute(two_threads):
    potential = Potential(silicon_potential())
    atoms = [rattled(silicon("small"), 0.1, seed) for seed in range(6)]
    expected = [potential.evaluate(a).energy for a in atoms]
    context = mp.get_context("fork")
    with context.Pool(2) as pool:
        assert pool.map_async(energy, [(potential, a) for a in atoms]).get(TIMEOUT) == expected
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(energy, [(potential, a) for a in atoms], timeout=TIMEOUT)) == expected


SCRIPT = """
import sys
from multiprocessing import get_context
from sitewise import Potential, _core
from ase.build import bulk
potential = Potential.load(sys.argv[1])
def energy(a):
    return potential.evaluate(bulk("Si", "diamond", a=a, cubic=True) * 2).energy, _core.get_threads()
if "warm" in sys.argv:
    energy(5.4)
with get_context("fork").Pool(2) as pool:
    print(*pool.map_async(energy, [5.4, 5.5]).get(60), sep="\\n")
print(energy(5.4))
"""


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("parent", ["warm", "cold"])
def test_children_of_a_fresh_process_compute(parent, threads, tmp_path):
    Potential(silicon_potential()).save(tmp_path / "potential")
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path / "potential"), parent]
    environment = {**os.environ, "OMP_NUM_THREADS": threads}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=2 * TIMEOUT)
    assert done.returncode == 0, done.stderr
    first, _, own = map(eval, done.stdout.splitlines())
    assert first == (own[0], 1)
    assert own[1] == int(threads)


@pytest.mark.slow
def test_a_fork_while_threads_compute(two_threads):
    """The child computes whatever the threads hold at that moment."""
    potential = Potential(silicon_potential())
    atoms, neighbors = silicon("crystal"), NeighborList(potential.cutoff)
    expected = potential.evaluate(atoms).energy
    calculator, done = potential.calculator(), threading.Event()

    def work():
        _core.set_threads(2)
        while not done.is_set():
            potential.evaluate(atoms, neighbors)
            calculator.get_property("energy", rattled(atoms, 0.01))

    def in_child():
        return potential.evaluate(atoms, neighbors).energy, calculator.get_property("energy", atoms)

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(work) for _ in range(2)]
        try:
            for _ in range(10):
                assert_same_numbers(forked(in_child), [expected, expected])
        finally:
            done.set()
        for r in running:
            r.result(TIMEOUT)


def test_a_forked_process_has_one_thread(two_threads):
    def threads(n):
        _core.set_threads(n)
        return _core.get_threads()

    assert forked(_core.get_threads) == 1
    assert forked(threads, 1) == 1
    assert _core.get_threads() == 2
    with pytest.raises(Error, match=r"^a forked process computes with 1 thread, not 2: start it by spawn"):
        forked(threads, 2)


@pytest.mark.skipif("cuda" not in DEVICES, reason="needs a CUDA device")
def test_cuda_is_refused_after_a_fork():
    potential, atoms = Potential(random_potential(device="cuda")), structures()["mixed"]
    array = _core.DeviceArray(atoms.positions)

    def on_the_cpu():
        potential.core.device = "cpu"
        return potential.evaluate(atoms).energy

    works = [
        *(lambda: potential.evaluate(atoms), lambda: potential.evaluate_many([atoms]), array.numpy),
        lambda: potential.evaluate_on_device(atoms),
        lambda: potential.functions.core.evaluate(*arrays(atoms), device="cuda"),
    ]
    for work in works:
        with pytest.raises(Error, match=r"^device cuda: this process was forked"):
            forked(work)
    assert_close(forked(on_the_cpu), potential.evaluate(atoms).energy, 1e-12)


def test_errors_come_back_from_processes(two_threads):
    potential = Potential(silicon_potential())
    lost = Atoms("Si2", positions=[[0, 0, 0], [np.nan, 0, 0]])
    with mp.get_context("fork").Pool(1) as pool, pytest.raises(Error, match="atom 1 has the coordinate nan"):
        pool.apply_async(energy, [(potential, lost)]).get(TIMEOUT)


@pytest.mark.slow
def test_spawned_processes_take_potentials():
    potential = Potential(silicon_potential())
    ensemble = Ensemble([potential, Potential(silicon_potential(seed=1))])
    atoms = silicon("small")
    given = [(p, atoms) for p in (potential, ensemble)]
    with mp.get_context("spawn").Pool(1) as pool:
        found = pool.map_async(energy, given).get(TIMEOUT)
    assert_same_numbers(found, [energy(pair) for pair in given])


# -- pickles and copies ----------------------------------------------------------------------------------------------


def ways():
    """Return each way to make a second object."""
    yield copy.copy
    yield copy.deepcopy
    yield from (lambda x, p=p: pickle.loads(pickle.dumps(x, protocol=p)) for p in PROTOCOLS)


def same_evaluation(a, b):
    names = [name for kind in type(a).__mro__ for name in getattr(kind, "__slots__", ())]
    return all(np.array_equal(getattr(a, n), getattr(b, n), equal_nan=n == "features") for n in names)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("moments", ["automatic", "never", "always"])
def test_copies_of_potentials_compute_the_same(precision, moments):
    core = random_potential(moments=moments)
    core.precision = precision
    potential, atoms = Potential(core), structures()["mixed"]
    expected = potential.evaluate(atoms)
    for way in ways():
        made = way(potential)
        assert (made.precision, made.device, made.elements) == (precision, "cpu", potential.elements)
        assert made.core.functions.moments == core.functions.moments
        assert same_evaluation(made.evaluate(atoms), expected)
        assert same_evaluation(way(made).evaluate(atoms), expected)


def test_a_deep_copy_has_weights_of_its_own():
    potential = Potential(silicon_potential())
    weights = potential.core.weights
    for made in (copy.deepcopy(potential), pickle.loads(pickle.dumps(potential))):
        made.core.weights = 2 * weights
        made.core.precision = "float32"
    assert np.array_equal(potential.core.weights, weights)
    assert potential.precision == "float64"


@pytest.mark.parametrize(("name", "units"), [("nnp-si", (1.8897261328, 0.0367493254)), ("nnp-h2o", (1.0, 1.0))])
def test_copies_of_published_potentials_compute_the_same(shared, name, units):
    """The potentials have other units and a normalised data set."""
    potential = Potential.load(shared / name, *units)
    atoms = Atoms(potential.elements[-1] * 3, positions=[[0, 0, 0], [2.3, 0, 0], [0, 2.4, 0.1]])
    expected = potential.evaluate(atoms)
    for way in ways():
        made = way(potential)
        assert made.core.normalization == potential.core.normalization
        assert same_evaluation(made.evaluate(atoms), expected)


def test_copies_of_ensembles_compute_the_same():
    ensemble = Ensemble([Potential(random_potential(seed)) for seed in (1, 2, 3)])
    atoms = structures()["cluster"]
    expected, core = ensemble.evaluate(atoms), ensemble.core.compute(*arrays(atoms))
    for way in ways():
        made = way(ensemble)
        assert len(made.members) == 3
        assert made.core is not ensemble.core
        assert same_evaluation(made.evaluate(atoms), expected)
        assert np.array_equal(made.core.compute(*arrays(atoms))["energies_spread"], core["energies_spread"])


def test_copies_of_symmetry_functions_are_the_same():
    for moments in ("never", "always"):
        functions, atoms = SymmetryFunctions(["O", "Si"], compiled(7, 0.4, moments)), structures()["mixed"]
        expected = functions.evaluate(atoms)
        for way in ways():
            made = way(functions)
            assert repr(made) == repr(functions)
            assert str(made) == str(functions)
            assert made.core.moments == functions.core.moments
            assert made.core.alpha == 0.4
            assert np.array_equal(made.evaluate(atoms), expected, equal_nan=True)


def test_copies_of_parts_are_the_same():
    potential = random_potential()
    function, network = potential.functions.functions(1)[-1], potential.networks[0]
    for way in ways():
        made = way(function)
        names = [name for name in dir(function) if not name.startswith("_")]
        assert all(getattr(made, name) == getattr(function, name) for name in names)
        assert np.array_equal(way(network).weights, network.weights)
        assert way(network).nodes == network.nodes
        made = way(NeighborList(4.0, 0.7))
        assert (made.cutoff, made.skin, made.builds) == (4.0, 0.7, 0)


def test_copies_of_calculators_go_on():
    potential = Potential(silicon_potential())
    atoms = silicon("small")
    atoms.calc = potential.calculator(skin=0.7, warn_every=0, stop_after=10**6)
    expected = atoms.get_potential_energy(), atoms.get_forces()
    moved = rattled(atoms, 0.05, seed=3)
    alone = potential.calculator()
    expected_moved = alone.get_property("energy", moved), alone.get_property("forces", moved)
    for way in ways():
        made = way(atoms.calc)
        assert (made.skin, made.warn_every, made.stop_after) == (0.7, 0, 10**6)
        assert made.extrapolations == atoms.calc.extrapolations
        assert not made.check_state(atoms)
        assert made.get_property("energy", atoms, allow_calculation=False) == expected[0]
        assert made.get_property("energy", moved) == expected_moved[0]
        assert np.array_equal(made.results["forces"], expected_moved[1])
        assert np.array_equal(atoms.calc.results["forces"], expected[1])  # the original has kept its own
        other = way(atoms)
        assert other.get_potential_energy() == expected[0]
        assert np.array_equal(other.get_forces(), expected[1])
    assert copy.deepcopy(atoms).calc is not atoms.calc
    assert copy.deepcopy(atoms).calc.potential is potential
    assert atoms.copy().calc is None


class Named(Potential):
    """A class of a user."""

    def __init__(self, name):
        super().__init__(silicon_potential())
        self.name = name


class Counting(SitewiseCalculator):
    def __init__(self):
        super().__init__(Named("counted"))
        self.calls = 0

    def calculate(self, *arguments, **named):
        super().calculate(*arguments, **named)
        self.calls += 1


class Committee(Ensemble):
    def __init__(self, title):
        super().__init__([Named("a"), Named("b")])
        self.title = title


def test_copies_of_subclasses_are_of_the_subclass():
    atoms, calculator = silicon("small"), Counting()
    calculator.get_property("energy", atoms)
    for way in ways():
        made = way(calculator)
        assert type(made) is Counting
        assert made.calls == 1
        assert type(made.potential) is Named
        assert made.potential.name == "counted"
        assert made.get_property("energy", rattled(atoms, 0.1))
        assert made.calls == 2
        committee = way(Committee("c"))
        assert (type(committee), committee.title, committee.members[1].name) == (Committee, "c", "b")


def test_copies_of_data_are_the_same(tmp_path):
    from ase.io import write

    write(tmp_path / "data.xyz", silicon_frames(4))
    data = Dataset.read(tmp_path / "data.xyz", reporter=Reporter(quiet=True))
    for way in ways():
        made = way(data)
        assert made.hash() == data.hash()
        assert repr(made) == repr(data)
        assert made.groups == data.groups
        assert way(data[1:]).hash() == data[1:].hash()
        structure = way(data[2])
        assert type(structure) is Structure
        assert structure.source == data[2].source
        assert np.array_equal(structure.forces, data[2].forces)
        assert structure.energy == data[2].energy


def test_a_pickle_of_another_version_is_refused():
    potential = silicon_potential()
    parts = (potential, potential.functions, potential.scaling, potential.networks[0], NeighborList(3.0))
    for part in (*parts, potential.functions.functions(0)[0]):
        other = type(part).__new__(type(part))
        for version, state in (("0.0.1", part.__getstate__()[1:]), ("0.0.1", ())):
            with pytest.raises(Error, match=r"^a pickle of sitewise 0\.0\.1 cannot be read by sitewise"):
                other.__setstate__((version, *state))
        with pytest.raises(Error, match=r"^a pickle of sitewise"):
            other.__setstate__(())
    for kind in (Dataset([]), Structure(silicon("small"), None, None, None, "", "")):
        dumped = pickle.dumps(kind, protocol=2)
        version = _core.info()["version"].encode()
        other = b"9" * len(version)
        assert version in dumped
        with pytest.raises(Error, match=f"^a pickle of sitewise {other.decode()} cannot be read"):
            pickle.loads(dumped.replace(version, other))


# -- threads ---------------------------------------------------------------------------------------------------------


def in_threads(work, count=4):
    """Return the results of work(0), work(1) ... at the same time."""
    barrier = threading.Barrier(count)

    def together(k):
        barrier.wait(TIMEOUT)
        return work(k)

    with ThreadPoolExecutor(count) as pool:
        return [future.result(TIMEOUT) for future in [pool.submit(together, k) for k in range(count)]]


def test_threads_share_a_neighbor_list():
    potential = Potential(silicon_potential())
    neighbors = NeighborList(potential.cutoff)
    given = [rattled(silicon(name), 0.05) for name in ("small", "crystal", "slab", "triclinic")]
    expected = [potential.evaluate(atoms) for atoms in given]

    def work(k):
        return [potential.evaluate(given[k], neighbors) for _ in range(20)]

    for results, e in zip(in_threads(work), expected, strict=True):
        for r in results:
            assert_same_numbers([r.energy, r.energies, r.forces], [e.energy, e.energies, e.forces])


@pytest.mark.parametrize("kind", ["potential", "ensemble"])
def test_threads_share_a_calculator(kind):
    potential = Potential(silicon_potential())
    potential = potential if kind == "potential" else Ensemble([potential, Potential(silicon_potential(seed=1))])
    calculator = potential.calculator()
    given = [[rattled(silicon("small"), 0.05, seed=10 * k + n) for n in range(10)] for k in range(4)]
    expected = [[potential.evaluate(atoms) for atoms in row] for row in given]

    def work(k):
        rows = []
        for atoms in given[k]:
            atoms.calc = calculator
            numbers = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
            rows.append((*numbers, calculator.results["energies"], atoms.get_potential_energies()))
        return rows

    for rows, row in zip(in_threads(work), expected, strict=True):
        for found, e in zip(rows, row, strict=True):
            assert_same_numbers(found, [e.energy, e.forces, e.stress, e.energies, e.energies])


def test_a_thread_sees_what_others_have_calculated():
    """ASE's writers need this, as they ask for results of the last calculation from the main thread."""
    atoms, other = silicon("small"), rattled(silicon("small"), 0.1)
    atoms.calc = Potential(silicon_potential()).calculator()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(atoms.get_potential_energy).result()
        assert atoms.calc.results["energy"] == first
        assert atoms.calc.get_property("energy", other) != first
        second = pool.submit(atoms.calc.get_property, "energy", rattled(atoms, 0.2)).result()
        atoms.positions[:] = rattled(atoms, 0.2).positions
        assert atoms.calc.get_property("energy", atoms, allow_calculation=False) == second
        atoms.calc.reset()
        assert atoms.calc.get_property("energy", atoms, allow_calculation=False) is None


def refused_while(use, attempt):
    """Return the message that refuses an attempt while another thread uses an object again and again."""
    done, end = threading.Event(), time.monotonic() + TIMEOUT

    def go_on():
        while not done.is_set() and time.monotonic() < end:
            use()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(go_on)
        try:
            while not running.done():
                attempt()
        except Error as error:
            return str(error)
        finally:
            done.set()
            running.result()
    return ""


def test_what_a_thread_uses_is_not_changed_by_another():
    data, potential = prepared(40)
    atoms = silicon("crystal") * (2, 2, 2)
    frame, weights = labelled(silicon_frames(1)[0]), potential.weights
    everything = list(range(len(data)))
    expected = data.loss(potential, everything, 1.0, 1.0)[0]

    def change():
        potential.weights = weights

    def compute():
        potential.compute(*arrays(atoms, elements=(14,)))

    def loss():
        assert data.loss(potential, everything, 1.0, 1.0)[0] == expected

    def add():
        data.add([frame] * 20)

    potential_used, set_used = (f"the {name} is in use by another thread" for name in ("potential", "training set"))
    assert refused_while(compute, change) == potential_used
    assert refused_while(compute, lambda: setattr(potential, "precision", "float64")) == potential_used
    assert refused_while(compute, lambda: setattr(potential, "device", "cpu")) == potential_used
    assert refused_while(loss, change) == potential_used
    assert refused_while(loss, lambda: data.set_weights(0, 1.0)) == set_used
    assert refused_while(add, lambda: data.features(0)) == set_used
    assert refused_while(add, lambda: data.loss(potential, everything, 1.0, 1.0)) == set_used
    assert refused_while(add, lambda: len(data)) == set_used
    change()
    assert data.loss(potential, everything, 1.0, 1.0)[0] == expected


# -- what is out of range --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [-1, 0, 119, 10**6])
def test_atomic_numbers_out_of_range_are_refused(number):
    atoms = silicon("small")
    numbers = atoms.numbers.astype(np.int64)
    numbers[1] = number
    atoms.arrays["numbers"] = numbers
    potential = Potential(silicon_potential())
    for work in (potential.evaluate, potential.functions.evaluate, potential.calculator().get_potential_energy):
        with pytest.raises(Error, match=f"^atom 1 has the atomic number {number}, expected 1 to 118$"):
            work(atoms)


@pytest.mark.parametrize("number", [-14, 0, 119])
def test_files_with_numbers_of_no_element_are_refused(number, tmp_path):
    path = tmp_path / "data.xyz"
    path.write_text(f"2\nProperties=Z:I:1:pos:R:3 energy=-1.0\n14 0 0 0\n{number} 0 0 2.4\n")
    with pytest.raises(Error, match=f"structure 0: atom 1 has the atomic number {number}, expected 1 to 118$"):
        Dataset.read(path, reporter=Reporter(quiet=True))


def changed(place, value):
    given = list(arrays(silicon("small"), elements=(14,)))
    given[place] = value
    return given


BAD = {
    "species too large": (0, np.array([0, 1], np.int32), "atom 1 has element index 1"),
    "species below 0": (0, [0, -1], "atom 1 has element index -1"),
    "species beyond 32 bits": (0, np.array([0, 2**32]), "species has a number that is out of range"),
    "fractions as species": (0, np.array([0.0, 0.5]), "species has the type float64, expected whole numbers"),
    "too many species": (0, [0, 0, 0], "positions has shape (2, 3), expected (3, 3)"),
    "species in rows": (0, [[0], [0]], "species has shape (2, 1), expected (2)"),
    "positions flat": (1, np.zeros(2), "positions has shape (2), expected (2, 3)"),
    "positions of text": (1, np.full((2, 3), "a"), "positions has the type <U1, expected numbers"),
    "positions complex": (1, np.zeros((2, 3), complex), "positions has the type complex128, expected numbers"),
    "positions ragged": (1, [[0, 0, 0], [0]], "positions is not an array"),
    "positions not finite": (1, np.array([[0, 0, 0], [0, np.inf, 0]]), "atom 1 has the coordinate inf"),
    "cell not finite": (2, np.full((3, 3), np.nan), "the cell has the value nan"),
    "cell of numbers": (2, np.ones(3), "cell has shape (3), expected (3, 3)"),
    "pbc of numbers": (3, np.array([0.0, 1.0, np.nan]), "pbc has the type float64, expected true or false"),
    "pbc alone": (3, np.array([True]), "pbc has shape (1), expected (3)"),
}


@pytest.mark.parametrize("name", BAD)
def test_arrays_that_cannot_be_meant_are_refused(name):
    place, value, message = BAD[name]
    potential = silicon_potential()
    kept = NeighborList(potential.cutoff)
    given = changed(place, value)
    n, width = 2, potential.functions.max_count
    works = [
        lambda: potential.compute(*given),
        lambda: potential.compute(*given, neighbors=kept),
        lambda: potential.compute_many([tuple(given)]),
        lambda: potential.functions.evaluate(*given),
        lambda: potential.functions.vjp(*given, np.zeros((n, width))),
        lambda: potential.functions.jvp(*given, np.zeros((n, 3)), np.zeros((3, 3))),
        lambda: Ensemble([Potential(potential)] * 2).core.compute(*given),
    ]
    works += [lambda: _core.neighbor_list(*given[1:], 3.0)] if place else []
    for work in works:
        with pytest.raises(Error, match=f"^{re.escape(message)}"):
            work()
    names = ("species", "positions", "cell", "pbc")
    added = {**dict(zip(names, given, strict=True)), "energy": 0.0, "forces": None, "stress": None}
    with pytest.raises(Error) as raised:
        _core.TrainingSet(potential.functions, 0).add([added])
    assert raised.value.index == 0
    assert len(str(raised.value).splitlines()) == 1


def test_layouts_and_types_of_arrays_do_not_matter():
    potential = silicon_potential()
    species, positions, cell, pbc = arrays(silicon("small"), elements=(14,))
    expected = potential.compute(species, positions, cell, pbc)
    wide = np.zeros((4, 6))
    wide[::2, ::2] = positions
    others = [
        (np.array([0, 0], np.int64), np.asfortranarray(positions), np.asfortranarray(cell), pbc.astype(int)),
        ([0, 0], positions.tolist(), cell.tolist(), [True] * 3),
        (np.zeros(4, np.uint8)[::2], wide[::2, ::2], cell.copy(), pbc[::-1]),
    ]
    for given in others:
        result = potential.compute(*given)
        assert np.array_equal(result["forces"], expected["forces"])
        assert result["energy"] == expected["energy"]


def test_no_atoms_have_no_energy():
    potential = silicon_potential()
    nothing = np.zeros(0, np.int32), np.zeros((0, 3)), np.zeros((3, 3)), np.zeros(3, bool)
    for neighbors in (None, NeighborList(potential.cutoff)):
        result = potential.compute(*nothing, virials=True, features=True, neighbors=neighbors)
        assert result["energy"] == 0
        assert result["forces"].shape == (0, 3)
        assert not result["virial"].any()
    assert Ensemble([Potential(potential)] * 2).core.compute(*nothing)["energy"] == 0
    assert potential.compute_many([]) == []
    assert potential.compute_many([nothing])[0]["energy"] == 0
    assert potential.functions.evaluate(*nothing).shape == (0, potential.functions.max_count)
    assert [len(x) for x in _core.neighbor_list(*nothing[1:], 3.0)] == [0, 0, 0, 0]
    with pytest.raises(Error, match=r"^structure has no atoms$"):
        Potential(potential).evaluate(Atoms())
