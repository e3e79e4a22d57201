"""Training on several ranks of MPI: the same as on one, and an orderly end when a rank is lost."""

import os
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from typer.testing import CliRunner

from checks import assert_close, silicon_frames, silicon_potential
from sitewise import Dataset, Error, Potential, train
from sitewise.cli import app
from sitewise.config import Config
from sitewise.features.shared import shares
from sitewise.files import atomic
from sitewise.io.hdf5 import write_hdf5
from sitewise.progress import Reporter
from sitewise.ranks import Alone, Ranks

pytestmark = pytest.mark.slow

MPIRUN = Path(sys.executable).parent / "mpirun"  # of the MPI that comes with mpi4py's test dependencies
TESTS = Path(__file__).parent
QUIET = Reporter(quiet=True)


def mpirun(ranks, script, *arguments):
    """Run a Python script on several ranks, with one thread each."""
    paths = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    command = [MPIRUN, "-n", str(ranks), sys.executable, "-c", script, *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def weights(folder):
    return Potential.load(folder / "potential").core.weights


SHARED_SET = """
from functools import partial
import numpy as np
from checks import RNG_SEED, assert_close, random_potential, rattled, structures
from sitewise import Dataset, Error, SymmetryFunctions
from sitewise.features.source import FeatureSource
from sitewise.features.training_set import Rows
from sitewise.mapping.gspace import GSpace
from sitewise.ranks import _usage, all_ranks
from sitewise.structures import Structure
from sitewise.training.monitoring import _distances
from sitewise.training.parameters import whitened_parameters

PLENTY = 1 << 30


def labelled():
    rng = np.random.default_rng(RNG_SEED)
    for seed in range(2):
        for name, atoms in structures().items():
            forces = rng.normal(size=(len(atoms), 3)) if name != "slab" else None
            stress = rng.normal(size=6) if name in ("mixed", "one-atom crystal") else None
            energy = rng.normal() if name != "cluster" else None
            yield Structure(rattled(atoms, 0.02, seed), energy, forces, stress, "", name)


def same(a, b):
    assert np.array_equal(a, b, equal_nan=True)


def close(potential, a, b, structures, gradient=True):
    (loss, slope), (expected, slope_expected) = (s.loss(potential, structures, 0.7, 3.0, gradient) for s in (a, b))
    assert_close([loss[k] for k in expected], list(expected.values()), 1e-12)
    assert (slope is None) == (slope_expected is None)
    if slope is not None:
        assert_close(slope, slope_expected, 1e-12, floor=1e-12)


with all_ranks() as ranks:
    potential, data = random_potential(), Dataset(labelled())
    functions = SymmetryFunctions(potential.elements, potential.functions)
    for budget in (PLENTY, 0):
        local = FeatureSource(budget).prepare(data, functions, "")
        shared = FeatureSource(budget, ranks=ranks).prepare(data, functions, "")
        assert len(shared) == len(data)
        assert 0 < shared.memory.cached < local.memory.cached or budget == 0
        for i in range(len(data)):
            same(shared.features(i), local.features(i))
            same(shared.species(i), local.species(i))
        for found, expected in zip(*(a.statistics(range(len(data))) for a in (shared, local)), strict=True):
            same(found, expected)
        assert (shared.memory.spilled > 0) == (budget == 0)
        space = GSpace.prepared(shared, [functions.core.count(e) for e in range(2)])
        points = np.array([np.zeros(space.counts[1]), space.of_atoms(local.features(0), local.species(0), 1)[0]])
        for chosen in (range(len(data)), [1], []):
            same(*(a.least(partial(_distances, space, 1, points), chosen) for a in (shared, local)))
        everything = list(range(len(data)))
        alone = [[i] for i in everything]  # nothing is left for the other ranks
        for chosen in (everything, everything[::-3], *alone):
            close(potential, shared, local, chosen)
        close(potential, shared, local, everything, gradient=False)
        rng = np.random.default_rng(1)
        of_forces = [rng.random(len(s.atoms)) for s in data]
        for a in (shared, local):
            a.weigh([0.5 + i for i in everything], of_forces)
        close(potential, shared, local, everything)
        for i in everything:
            assert shared.weights(i)[0] == local.weights(i)[0]
            same(shared.weights(i)[1], local.weights(i)[1])
        parameters = whitened_parameters(potential, shared)
        same(parameters.transforms[1][0], whitened_parameters(potential, local).transforms[1][0])
        components = [[0, 2], [], [3]]
        chosen = Rows([12, 3, 5], components, [np.arange(1.0, 2 + len(c)) for c in components])
        matrices = [a.gauss_newton(potential, parameters, chosen) for a in (shared, local)]
        assert_close(*matrices, 1e-6)
        rows = [a.scaled_jacobian(potential, parameters, chosen) for a in (shared, local)]
        assert rows[0].shape == rows[1].shape == (6, parameters.size)
        assert_close(*rows, 1e-6)
        assert_close(rows[1].T @ rows[1], matrices[1], 1e-6)
        assert shared.scaled_jacobian(potential, parameters, Rows([], [], [])).shape == (0, parameters.size)
    close(random_potential(2), shared, local, everything)  # of another scaling
    each = [seconds for seconds, _ in ranks.gather(_usage, 0)]
    assert ranks.usage()[0] >= sum(each) > max(each)
    broken = rattled(data[3].atoms, 0.0)
    broken.positions[:] = np.nan
    bad = Dataset([*data, Structure(broken, 0.0, None, None, "", "the bad one")])
    try:
        FeatureSource(ranks=ranks).prepare(bad, functions, "")
    except Error as error:
        assert "the bad one" in str(error)
    else:
        raise AssertionError("no error")
    try:
        ranks.gather(int, 0, "this", "is", "no integer")
    except RuntimeError as error:
        assert "on rank 0: Traceback" in str(error)
    close(potential, shared, local, everything)
    print("all is well")
"""


@pytest.mark.parametrize("ranks", [2, 3])
def test_shared_set_is_the_local_one(ranks):
    """It has two elements, all kinds of functions, labels that are missing, weights, and an error on one rank."""
    result = mpirun(ranks, SHARED_SET)
    assert (result.returncode, result.stdout) == (0, "all is well\n"), result.stderr


RUNS = {
    "adam": """
cache = "kept"
[training]
optimizer = "adam"
iterations = 30
stress_weight = 3.0
memory_budget = 4e-4
early_stop = 25
[training.group_weights]
odd = 2.0
""",
    "lbfgs": """
[training]
optimizer = "lbfgs"
iterations = 6
gdf = true
[symmetry_functions]
preset = "pool"
cutoff = 5.0
select = 8
[baseline]
zbl = "auto"
""",
    "lm": """
[training]
optimizer = "lm"
iterations = 2
""",
    "gn-lbfgs": """
[training]
iterations = 2
replicas = 2
stress_weight = 3.0
[baseline]
atom_energies = { Si = -2000.0 }
exact_atom_energies = true
""",
}

# The Gauss-Newton matrix is made in single precision; `lm` adds little to its diagonal.
TOLERANCES = {"adam": 1e-9, "lbfgs": 1e-9, "gn-lbfgs": 2e-3, "lm": 1e-2}

TRAIN = """
import sys
from sitewise import train
from sitewise.progress import Reporter
from sitewise.ranks import all_ranks
from sitewise.training import disagreement, plots

disagreement.ITERATIONS = 2  # rounding errors grow with each
plots.save_pictures = lambda folder, *_: (folder / "drawn").touch()
with all_ranks() as ranks:
    for name in sys.argv[1:]:
        train(f"{name}.toml", f"{name}-{ranks.size}", reporter=Reporter(quiet=True), ranks=ranks)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Make data with an invariant point, and a RUN.toml for each optimiser."""
    crystal = bulk("Si", a=5.43)
    crystal.calc = SinglePointCalculator(crystal, energy=-1.0)
    write(tmp_path / "train.xyz", [*silicon_frames(9), crystal, silicon_frames(1, seed=4)[0].repeat((2, 1, 1))])
    for name, text in RUNS.items():
        functions = "" if "preset" in text else '[symmetry_functions]\npreset = "auto"\ncutoff = 5.0\n'
        head = '[data]\ntrain = "train.xyz"\ntest = 0.2\n'
        (tmp_path / f"{name}.toml").write_text(f"{head}{text}{functions}[network]\nhidden = [6, 5]\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("ranks", "names"), [(2, ["lbfgs", "gn-lbfgs"]), (3, ["adam", "lm"])])
def test_runs_equal_the_serial_ones(folder, monkeypatch, ranks, names):
    monkeypatch.setattr("sitewise.training.disagreement.ITERATIONS", 2)
    monkeypatch.setattr("sitewise.training.plots.save_pictures", lambda folder, *_: (folder / "drawn").touch())
    result = mpirun(ranks, TRAIN, *names)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    for name in names:
        train(f"{name}.toml", f"{name}-1", reporter=QUIET)
        one, several = Path(f"{name}-1"), Path(f"{name}-{ranks}")
        assert sorted(p.relative_to(one) for p in one.rglob("*")) == sorted(
            p.relative_to(several) for p in several.rglob("*")
        )
        for path in one.rglob("scaling.data"):  # chosen functions and their ranges, bit for bit
            lines = [
                [line for line in p.read_text().splitlines() if line[:1] != "#"]
                for p in (path, several / path.relative_to(one))
            ]
            assert lines[0] == lines[1]
        for potential in one.rglob("input.nn"):
            run = potential.parent
            found, expected = (Potential.load(p) for p in (several / run.relative_to(one), run))
            assert_close(found.core.weights, expected.core.weights, TOLERANCES[name])
            bars = [potential.bars(silicon_frames(1, seed=5)[0]) for potential in (found, expected)]
            assert_close(bars[0].energies, bars[1].energies, 0.05)
    kept = {path.parent.name for path in Path().rglob("*.features")}
    assert kept == ({"kept", "0-of-3", "1-of-3", "2-of-3"} if "adam" in names else set())


# The command line, where a rank gets a signal when it computes its loss for the so-manieth time.
STRUCK = """
import os, sys
from sitewise.ranks import Ranks
from sitewise.features import shared
from sitewise.cli import main
from sitewise.training import plots

if "--resume" in sys.argv:
    plots.save_pictures = lambda *_: None
rank, signum, call = map(int, sys.argv.pop(1).split(","))
loss, calls = shared._Part.loss, 0


def struck(self, *arguments):
    global calls
    calls += 1
    if calls == call and int(os.environ["PMI_RANK"]) == rank:
        os.kill(os.getpid(), signum)
    return loss(self, *arguments)


shared._Part.loss = struck
main()
"""


COMMANDS = """
import sys
from sitewise.cli import main
from sitewise.io import kept

kept.MEMORY = 0  # all structures are on disk
main()
"""


@pytest.fixture
def frames(tmp_path, monkeypatch):
    """Write a potential and more structures than the ranks get at once, which are returned."""
    monkeypatch.chdir(tmp_path)
    silicon_potential().save("potential")
    frames = [deepcopy(frame) for frame in silicon_frames(9) for _ in range(12)]
    for k, frame in enumerate(frames):
        frame.info["group"] = f"{k % 3}"
    write("data.xyz", frames)
    return frames


@pytest.mark.parametrize(
    ("ranks", "command", "data", "option", "output"),
    [(3, "predict", "data.h5", "-o", "found.xyz"), (2, "evaluate", "data.xyz", "--json", "found.json")],
)
def test_predictions_and_errors_equal_the_serial_ones(frames, ranks, command, data, option, output):
    """Of extended XYZ rank 0 reads all, of HDF5 each its own."""
    if data.endswith(".h5"):
        pytest.importorskip("h5py")
        write_hdf5(Dataset(frames), Path(data))
    arguments = (command, "potential", data, "-q", option, output)
    result = mpirun(ranks, COMMANDS, *arguments)
    assert result.returncode == 0, result.stderr
    found = Path(output).read_text()
    serial = CliRunner().invoke(app, arguments)
    assert result.stdout == serial.stdout
    assert found == Path(output).read_text()


def test_the_first_mistake_in_a_file_is_reported(frames):
    h5py = pytest.importorskip("h5py")
    write_hdf5(Dataset(frames), Path("data.h5"))
    for k in (70, 40):  # on different ranks; the first in the file is reported
        frames[k].positions[1] = frames[k].positions[0]
    write("data.xyz", frames)
    good = Path("data.xyz").read_text()
    result = mpirun(3, COMMANDS, "predict", "potential", "data.xyz", "-q", "-o", "bad.xyz")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("error: data.xyz, structure 40: atoms 0 and 1")
    assert not Path("bad.xyz").exists()
    atom = good.splitlines()[48 * (len(frames[0]) + 2) + 5]
    Path("data.xyz").write_text(good.replace(atom, atom.replace(".", "x", 1)))  # ASE parses it on another rank
    with h5py.File("data.h5", "a") as file:  # which another rank reads
        for k in (106, 48):
            file[f"config_batch_0/config_{k}"].move("positions", "moved")
    for data, message in (
        ("data.xyz", "data.xyz: cannot be read at structure 48: "),
        ("data.h5", "config_48 has no positions"),
    ):
        arguments = ("predict", "potential", data, "-q", "-o", "bad.xyz")
        result = mpirun(3, COMMANDS, *arguments)
        assert (result.returncode, result.stderr) == (2, CliRunner().invoke(app, arguments).stderr)
        assert message in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "p", "d.xyz", "--reliability", "a.png"),
        ("predict", "p", "d.xyz", "-o", "a.png"),
        ("diagnose", "d.xyz", "--compare", "p"),
    ],
)
def test_a_mistake_in_the_options_is_reported_once(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    result = mpirun(2, COMMANDS, *arguments)
    assert result.returncode == 2
    assert result.stderr.count("error: ") == 1


def test_diagnosis_equals_the_serial_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    silicon_potential().save("potential")
    write("data.xyz", silicon_frames(12))
    write("aim.xyz", silicon_frames(2, seed=7))
    arguments = ("diagnose", "data.xyz", "--potential", "potential", "--target", "aim.xyz", "-q", "--json", "found")
    result = mpirun(2, COMMANDS, *arguments)
    assert result.returncode == 0, result.stderr
    found = Path("found").read_text()
    assert mpirun(1, COMMANDS, *arguments).stdout == result.stdout  # with as many threads, by which BLAS rounds
    assert found == Path("found").read_text()


def test_lost_rank_ends_the_run_which_resumes(folder):
    shutil.move("adam.toml", "run.toml")
    arguments = ("train", "run.toml", "--quiet", "--out")
    assert mpirun(2, STRUCK, "9,9,0", *arguments, "whole").returncode == 0
    for rank, signum in ((1, 9), (0, 9), (0, 15)):
        out = Path(f"struck-{rank}-{signum}")
        result = mpirun(2, STRUCK, f"{rank},{signum},40", *arguments, out)
        assert result.returncode == (9 if signum == 9 else 128 + signum)
        if signum == 9:
            assert "BAD TERMINATION" in result.stdout  # so says mpirun, and ends the others
        else:
            assert result.stderr.splitlines()[-1].endswith("of 30; continue with --resume")
        assert not (out / "errors.json").exists()
        assert mpirun(2, STRUCK, "9,9,0", *arguments, out, "--resume").returncode == 0
        assert np.array_equal(weights(out), weights(Path("whole")))
        logs = [[row.split(",")[:11] for row in (f / "log.csv").read_text().splitlines()] for f in (out, Path("whole"))]
        assert logs[0] == logs[1]


def test_mistake_is_told_once(folder):
    frames = silicon_frames(9)
    frames[7].positions[1] = frames[7].positions[0]
    write("train.xyz", frames)
    result = mpirun(2, STRUCK, "9,9,0", "train", "lm.toml", "--quiet", "--out", "out")
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    assert "train.xyz, structure 7: atoms 0 and 1" in result.stderr
    assert not Path("out").exists()


@pytest.mark.parametrize(("module", "message"), [("none", "mpi4py is not installed"), ("other", "another MPI, MPICH")])
def test_ranks_that_cannot_meet(folder, monkeypatch, module, message):
    other = ModuleType("mpi4py")
    other.MPI = SimpleNamespace(COMM_WORLD=SimpleNamespace(Get_size=lambda: 1), get_vendor=lambda: ("MPICH", (5, 0, 2)))
    monkeypatch.setitem(sys.modules, "mpi4py", None if module == "none" else other)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "3")
    for rank in (0, 1):
        monkeypatch.setenv("OMPI_COMM_WORLD_RANK", str(rank))
        result = CliRunner().invoke(app, ["train", "lm.toml", "--out", "out"])
        assert result.exit_code == 2
        if rank == 0:
            assert result.stderr.startswith("error: 3 ranks were started, but")
            assert message in result.stderr
        else:
            assert result.stderr == ""
        assert not Path("out").exists()


def test_shares_are_balanced():
    sizes = [64, 1, 1, 200, 30, 30, 8, 90, 64, 64]
    for ranks in (1, 2, 3, 20):
        mine = shares(sizes, ranks)
        assert sorted(i for own in mine for i in own) == list(range(10))
        assert all(own == sorted(own) for own in mine)
        atoms = [sum(sizes[i] for i in own) for own in mine]
        assert max(atoms) <= max(200, sum(sizes) / ranks * 4 / 3)


def test_a_single_process_is_a_rank_too():
    ranks = Ranks()
    assert (ranks.rank, ranks.size, ranks.here) == (0, 1, 1)
    number = ranks.hold(list, [("abc",)])
    assert ranks.gather(len, number) == [3]
    assert np.array_equal(ranks.total(lambda held, x: x * len(held), number, np.eye(3)), 3 * np.eye(3))
    ranks.forget(number)
    with pytest.raises(Error, match="no such file"):
        ranks.gather(lambda _: Config.load("nothing.toml"), 0)
    assert ranks.gather(lambda held: held, number) == [None]


def test_an_abort_leaves_no_half_written_file(tmp_path):
    """MPI ends the process at once, so the file is gone before."""
    left = []

    class Two(Alone):
        def Get_size(self):
            return 2

        def Abort(self, errorcode=0):
            left.append((errorcode, list(tmp_path.iterdir())))

    with pytest.raises(KeyboardInterrupt), atomic(tmp_path / "out.xyz"), Ranks(Two())._together():
        raise KeyboardInterrupt
    assert left == [(130, [])]


@pytest.mark.parametrize(("ranks", "expected"), [("1", []), ("2", ["1", "5"])])
def test_the_blas_of_a_rank_leaves_cores_to_the_others(ranks, expected):
    """One thread, unless the user says otherwise, and no change for a process that is alone."""
    code = (
        "import os; from sitewise import launch; launch.keep_blas_from_other_ranks();"
        "print(*filter(None, map(os.environ.get, launch.BLAS)))"
    )
    kept = {name: value for name, value in os.environ.items() if not name.endswith("NUM_THREADS")}
    kept |= {"PMI_SIZE": ranks} | ({"MKL_NUM_THREADS": "5"} if expected else {})
    done = subprocess.run([sys.executable, "-c", code], env=kept, capture_output=True, text=True, check=True)
    assert done.stdout.split() == expected


def test_what_sets_the_threads_of_blas_does_not_import_it():
    code = "import sys, sitewise.__main__; assert not {'numpy', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
