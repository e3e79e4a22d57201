"""Features on disk: found again, recomputed when damaged, and larger than the memory."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from ase.io import write

from checks import assert_close, silicon_frames
from sitewise import Dataset, Error, Potential, SymmetryFunctions, _core, train
from sitewise.features import cache as feature_cache
from sitewise.features.cache import content_key
from sitewise.features.source import FeatureSource
from sitewise.progress import Reporter

QUIET = Reporter(quiet=True)
PLENTY = 1 << 30
FUNCTIONS = SymmetryFunctions.preset("auto", ["Si"], 5.0)


@pytest.fixture
def data(tmp_path):
    write(tmp_path / "train.xyz", silicon_frames(20))
    return Dataset.read(tmp_path / "train.xyz", reporter=QUIET)


@pytest.fixture
def told():
    """Return a list, and a reporter that fills it."""
    reporter = Reporter(quiet=True)
    lines = []
    reporter.say = lines.append
    return lines, reporter


def prepare(data, budget, folder, reporter=QUIET, functions=FUNCTIONS):
    return FeatureSource(budget, folder, reporter).prepare_here(data, functions, "these")


def same(a, b):
    """Test whether two are the same bit for bit."""
    return all(
        np.array_equal(getattr(a, what)(i), getattr(b, what)(i), equal_nan=True)
        for i in range(len(a))
        for what in ("features", "derivatives")
    )


@pytest.mark.parametrize("budget", [PLENTY, 0, 100_000])
def test_stored_features_are_those_computed(data, tmp_path, told, budget):
    lines, reporter = told
    plain = prepare(data, PLENTY, None)
    for _ in range(2):
        stored = prepare(data, budget, tmp_path / "cache", reporter)
        assert same(stored, plain)
        assert stored.memory.cached <= budget
    assert [line.split(" in " if n == 0 else " from ")[0] for n, line in enumerate(lines)] == [
        "features of these are kept",
        "features of these are read",
    ]
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_streamed_derivatives_outlive_what_they_came_from(data, tmp_path):
    import gc

    stored, plain = prepare(data, 0, tmp_path / "cache"), prepare(data, PLENTY, None)
    (path,) = (tmp_path / "cache").iterdir()
    path.unlink()
    gc.collect()
    assert stored.memory.cached == 0
    assert same(stored, plain)


@pytest.mark.parametrize("damage", ["truncated", "longer", "flipped", "head", "empty", "zeros at the end", "counts"])
def test_damaged_file_is_computed_anew(data, tmp_path, told, damage):
    lines, reporter = told
    folder = tmp_path / "cache"
    prepare(data, 0, folder)
    (path,) = folder.iterdir()
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    elif damage == "head":
        content[:20] = b"x" * 20
    elif damage == "counts":  # of the first two structures, with the same sum
        counts = np.frombuffer(content, "<i8", 2, feature_cache.HEAD)
        counts += [1, -1]
    elif damage == "zeros at the end":
        content[-4096:] = bytes(4096)
    else:
        content = {"truncated": content[:-1000], "longer": content + b"0", "empty": b""}[damage]
    path.write_bytes(content)
    assert same(prepare(data, 0, folder, reporter), prepare(data, PLENTY, None))
    assert "is damaged" in lines[0]
    assert "computed anew" in lines[0]
    lines.clear()
    prepare(data, 0, folder, reporter)
    assert "are read from" in lines[0]


def test_key_changes_with_what_matters_alone(data, tmp_path, monkeypatch):
    key = content_key(data, FUNCTIONS)
    keys = {
        key,
        content_key(data[:19], FUNCTIONS),
        content_key(data, SymmetryFunctions.preset("auto", ["Si"], 5.0 + 1e-12)),
    }
    keys.add(content_key(data, FUNCTIONS.without({("Si", 3)})))
    frames = silicon_frames(20)
    for atoms in frames:
        atoms.calc.results["energy"] += 1.0
    write(tmp_path / "other.xyz", frames)
    assert content_key(Dataset.read(tmp_path / "other.xyz", reporter=QUIET), FUNCTIONS) == key
    for change in ("position", "cell", "pbc"):
        frames = silicon_frames(20)
        if change == "position":
            frames[3].positions[0, 0] += 1e-7
        elif change == "cell":
            frames[3].cell[0, 0] += 1e-7
        else:
            frames[3].pbc = [True, True, False]
        write(tmp_path / "other.xyz", frames)
        keys.add(content_key(Dataset.read(tmp_path / "other.xyz", reporter=QUIET), FUNCTIONS))
    monkeypatch.setattr(feature_cache, "FORMAT", 0)
    keys.add(content_key(data, FUNCTIONS))
    assert len(keys) == 8


def test_failure_leaves_no_file(data, tmp_path, monkeypatch):
    def broken(self, i):
        raise MemoryError

    monkeypatch.setattr(_core.TrainingSet, "derivatives", broken)
    with pytest.raises(MemoryError):
        prepare(data, 0, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(Error, match="file: cannot be made"):
        prepare(data, 0, tmp_path / "file")


def test_structure_without_neighbors(tmp_path):
    from ase import Atoms

    atoms = Atoms("Si2", positions=[[0, 0, 0], [0, 0, 40.0]], info={"REF_energy": 1.0})
    write(tmp_path / "train.xyz", atoms)
    data = Dataset.read(tmp_path / "train.xyz", reporter=QUIET)
    for _ in range(2):
        assert prepare(data, 0, tmp_path / "cache").derivatives(0).size == 0


def test_wrong_parts_are_refused(tmp_path):
    potential_functions = FUNCTIONS.core
    atoms = silicon_frames(1)[0]
    structure = {
        "species": np.zeros(8, dtype=np.int32),
        "positions": atoms.positions,
        "cell": atoms.cell.array,
        "pbc": atoms.pbc,
        "energy": 0.0,
    }
    features = np.zeros((8, potential_functions.max_count))
    (tmp_path / "stored").write_bytes(bytes(40))
    file = _core.StoredFile(str(tmp_path / "stored"))
    data = _core.TrainingSet(potential_functions, 1 << 20)
    data.add([structure])
    right = data.derivatives(0).size
    for counts, message in (
        ([7], "stored are 7 derivatives, expected"),
        ([right], "stored: was changed or cut short"),
        ([right, 0], "counts must be given for each structure"),
    ):
        with pytest.raises(Error, match=message):
            data.add([structure], features, file, 0, counts)
        assert len(data) == 1
    for offset, size in ((0, 41), (41, 0), (1 << 63, 1 << 63), (40, 1)):
        with pytest.raises(Error, match="of a file of 40"):
            file.read(offset, size)


RUN = """
[data]
train = "train.xyz"
test = 0.25
{data}
[symmetry_functions]
preset = "auto"
cutoff = 5.0
[network]
hidden = [6, 5]
[training]
iterations = 15
force_weight = 0.3
{training}
"""


@pytest.mark.slow
def test_runs_with_and_without_it_are_the_same(data, tmp_path, capsys):
    results = []
    for number, (of_data, of_training) in enumerate(
        [("", ""), ('cache = "kept"', ""), ('cache = "kept"', "memory_budget = 0.0"), ("", "memory_budget = 5e-4")]
    ):
        (tmp_path / "run.toml").write_text(RUN.format(data=of_data, training=of_training))
        train(tmp_path / "run.toml", tmp_path / str(number), reporter=Reporter())
        results.append(Potential.load(tmp_path / str(number) / "potential").core.weights)
        told = [line for line in capsys.readouterr().err.splitlines() if "beyond memory_budget" in line]
        assert len(told) == (number == 3)  # only what is recomputed is slower
    assert "memory_budget (0.0005 GB)" in told[0]
    enough = re.search(r"memory_budget = (\S+) would hold all", told[0])
    (tmp_path / "run.toml").write_text(RUN.format(data="", training=f"memory_budget = {enough[1]}"))
    train(tmp_path / "run.toml", tmp_path / "enough", reporter=Reporter())
    assert "beyond memory_budget" not in capsys.readouterr().err
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])
    assert len(list((tmp_path / "kept").iterdir())) == 2  # training and test structures


# Loss and gradient of data in a process that may allocate so many bytes more than it had before.
LIMITED = """
import json, resource, sys
from pathlib import Path
import numpy as np
from sitewise import Dataset, SymmetryFunctions, _core
from sitewise.features.source import FeatureSource
from sitewise.progress import Reporter

path, limit, budget, *cache = sys.argv[1:]
_core.set_threads(1)
quiet = Reporter(quiet=True)
data = Dataset.read(path, reporter=quiet)
functions = SymmetryFunctions.preset("auto", ["Si"], 5.0)
used = 1024 * int(Path("/proc/self/status").read_text().split("VmData:")[1].split()[0])
resource.setrlimit(resource.RLIMIT_DATA, (used + int(limit), resource.RLIM_INFINITY))
try:
    prepared = FeatureSource(int(budget), *map(Path, cache)).prepare_here(data, functions)
    everything = range(len(prepared))
    scaling = _core.Scaling("minmax", -1, 1, prepared.statistics(everything))
    network = _core.Network([functions.core.max_count, 5, 1], "tl")
    potential = _core.Potential(["Si"], functions.core, scaling, [network], [0.0])
    potential.weights = np.random.default_rng(0).normal(size=potential.weights.size)
    loss, slope = prepared.loss(potential, list(everything), 1.0, 0.0)
    print(json.dumps([loss["value"], *slope]))
except MemoryError:
    print(json.dumps(None))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and the limit RLIMIT_DATA of Linux")
def test_derivatives_larger_than_the_memory(tmp_path):
    frames = []
    for atoms in silicon_frames(60):
        large = atoms.repeat(2)
        large.arrays["REF_forces"] = np.tile(atoms.get_forces(), (8, 1))
        frames.append(large)
    write(tmp_path / "train.xyz", frames)

    def run(limit, budget, *cache):
        command = [sys.executable, "-c", LIMITED, tmp_path / "train.xyz", str(limit), str(budget), *cache]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(result.stdout)

    limit = 20_000_000
    plenty = run(1 << 34, 1 << 34)
    assert run(limit, 1 << 34) is None
    assert run(limit, 0, tmp_path / "cache") == plenty
    (path,) = (tmp_path / "cache").iterdir()
    assert path.stat().st_size > 1.5 * limit
    assert_close(run(limit, 0), plenty, 1e-5)  # recomputed in double precision
