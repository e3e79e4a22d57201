"""Growth of a potential: rounds, oracles, interruptions at any moment, budgets, and refusals."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, diamond100
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from typer.testing import CliRunner

from sitewise import Dataset, Error, GrowConfig, Potential, SymmetryFunctions, files, grow
from sitewise.cli import app
from sitewise.growing import page
from sitewise.growing.choice import at_random, held_out, new_ones
from sitewise.growing.cut import cut
from sitewise.growing.explore import explored, first_copies
from sitewise.growing.grow import of_another_method
from sitewise.growing.oracles import labelled_by
from sitewise.growing.settings import Explore
from sitewise.progress import Reporter
from sitewise.reproduce.stillinger_weber import StillingerWeber
from sitewise.structures import Structure

pytestmark = pytest.mark.slow

QUIET = Reporter(quiet=True)
ROOT = Path(__file__).resolve().parents[1]
ORACLE = 'calculator = "sitewise.reproduce.stillinger_weber:StillingerWeber"'
TIMES = {"seconds", "wall_seconds", "cpu_seconds", "peak_memory_mb"}


@pytest.fixture(scope="module", autouse=True)
def no_pictures():
    """Leave out the picture of a growth; the newcomer's growth has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "_draw", lambda path, *_: path.write_bytes(b""))
        yield


def settings(folder, oracle=ORACLE, name="GROW.toml", **budget):
    """Write a GROW.toml of a second, with its starts."""
    write(folder / "crystal.xyz", bulk("Si", "diamond", a=5.431))
    slab = diamond100("Si", (1, 1, 4), a=5.431, vacuum=5.0)
    write(folder / "slab.xyz", Atoms(slab.numbers, slab.positions, cell=slab.cell, pbc=True))
    budget = {"labels": 14, "batch": 4, "first": 6, **budget}
    (folder / name).write_text(
        f"""
[oracle]
{oracle}
[explore]
starts = ["crystal.xyz", "slab.xyz"]
temperatures = [300, 900]
steps = 20
every = 5
atom_bar = 5.0
force_bar = 20.0
[targets]
data = "crystal.xyz"
accuracy = "0.001 meV"
[budget]
{chr(10).join(f"{key} = {json.dumps(value)}" for key, value in budget.items())}
[symmetry_functions]
preset = "fast"
cutoff = 4.5
[network]
hidden = [4]
[training]
iterations = 12
"""
    )
    return folder / name


def content(folder):
    """Return what a growth wrote, without the times that it took and its pictures."""

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(x) for key, x in value.items() if key not in TIMES}
        return [plain(x) for x in value] if isinstance(value, list) else value

    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".json":
            found[name] = plain(json.loads(path.read_text()))
        elif path.suffix in (".xyz", ".data", ".nn"):
            found[name] = path.read_text()
        elif path.is_file() and path.suffix not in (".png", ".npz", ".csv", ".toml", ".html"):
            found[name] = "unexpected"
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A growth that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, grow(settings(folder), folder / "out", QUIET)


@pytest.fixture(scope="module")
def two_rounds(tmp_path_factory):
    """Return the folder of a growth that ends a round earlier than `whole`."""
    folder = tmp_path_factory.mktemp("two_rounds")
    grow(settings(folder, rounds=2), folder / "out", QUIET)
    return folder / "out"


def test_a_growth_has_its_rounds(whole):
    folder, grown = whole
    assert grown.ended == "labels"
    assert [r.labels for r in grown.rounds] == [6, 10, 14]
    for r in grown.rounds[:-1]:
        assert len(read(folder / "out" / f"round-{r.number}" / "chosen.xyz", ":")) == 4
        assert r.fresh.structures == 4
        assert r.fresh.energy_bar > 0
        assert sum(r.trajectories.values()) in (4, 6)
    assert grown.rounds[-1].fresh is None
    summary = json.loads((folder / "out" / "grown.json").read_text())
    assert Potential.load(folder / "out" / summary["potential"]).elements == ("Si",)
    assert "the budget of labels is spent" in (folder / "out" / "report.html").read_text()
    labels = Dataset.read(folder / "out" / "round-1" / "labels.xyz", reporter=QUIET)
    for s in labels:
        s.atoms.calc = StillingerWeber()
        assert s.atoms.get_potential_energy() == pytest.approx(s.energy, abs=1e-5)
    # The potential's bars grow by what fresh labels show of them.
    for before, r in zip(grown.rounds, grown.rounds[1:], strict=False):
        told = json.loads((folder / "out" / f"round-{r.number}" / "targets.json").read_text())[0]
        model = Potential.load(folder / "out" / f"round-{r.number}" / "run" / "potential")
        bar = model.bars(read(folder / "crystal.xyz")).energy / 2
        factor = max(1.0, before.fresh.energy_rmse / before.fresh.energy_bar)
        assert told["potential"] == pytest.approx(bar * factor, rel=1e-4)
        assert r.bars[told["target"]] == max(told["potential"], told["labels"])
    # One in ten labels is held out, and stays so.
    parts = [
        [
            {atoms.positions.tobytes() for atoms in read(folder / "out" / f"round-{k}" / name, ":")}
            for name in ("data.xyz", "test.xyz")
        ]
        for k in (1, 2)
    ]
    assert [[len(part) for part in both] for both in parts] == [[9, 1], [13, 1]]
    assert not parts[0][0] & parts[0][1]
    assert parts[0][1] == parts[1][1]
    # A round begins at the weights of the one before, but anew at twice as many labels.
    settled = [(folder / "out" / f"round-{k}" / "run" / "training.toml").read_text() for k in range(3)]
    assert ["/run/potential" in text for text in settled] == [False, True, False]


class Killed(BaseException):
    pass


def test_a_killed_growth_ends_with_the_same_files(two_rounds, tmp_path, monkeypatch):
    """It is killed at each fifth file, half of the time before this appears, until it ends."""
    expected = content(two_rounds)
    run, written = settings(tmp_path, rounds=2), 0
    replace, kills = Path.replace, []

    def counted(path, target):
        nonlocal written
        if files.MARK in path.name and path.suffix in (".xyz", ".json") and target not in kills:
            written += 1
            if written % 5 == 0:
                kills.append(target)
                if written % 2:
                    replace(path, target)
                raise Killed
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", counted)
    for _ in range(60):
        try:
            grown = grow(run, tmp_path / "out", QUIET)
            break
        except Killed:
            pass
    assert len(kills) > 4
    assert grown.ended == "rounds"
    assert content(tmp_path / "out") == expected


def test_kill_9(two_rounds, tmp_path):
    run = settings(tmp_path, rounds=2)
    code = (
        "import os, signal, sys; from pathlib import Path; from sitewise import grow, files\n"
        "def kill(path, target):\n"
        "    if target.name == 'candidates.xyz': os.kill(os.getpid(), signal.SIGKILL)\n"
        "    os.rename(path, target)\n"
        "Path.replace = kill\n"
        "grow(sys.argv[1], sys.argv[2])"
    )
    done = subprocess.run([sys.executable, "-c", code, run, tmp_path / "out"], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert any(files.MARK in path.name for path in (tmp_path / "out" / "round-0").iterdir())
    grow(run, tmp_path / "out", QUIET)
    assert content(tmp_path / "out") == content(two_rounds)


# ---- oracles


def label(inputs, outputs, names=None):
    for path in sorted(inputs.iterdir()):
        atoms = read(path)
        atoms.calc = StillingerWeber()
        atoms.get_forces()
        if names is None or path.name in names:
            write(outputs / path.name, atoms, format="extxyz")


def test_a_pause_waits_for_its_outputs(tmp_path):
    run = settings(tmp_path, "pause = true", labels=9, batch=3)
    grown = grow(run, tmp_path / "out", QUIET)
    assert (grown.ended, grown.potential, grown.rounds) == ("waiting", None, [])
    first = tmp_path / "out" / "first"
    assert str(first / "inputs") in grown.sentence
    label(first / "inputs", first / "outputs", ["000.xyz", "002.xyz"])
    told = CliRunner().invoke(app, ["grow", str(run), "--out", str(tmp_path / "out"), "--quiet"])
    assert told.exit_code == 0
    assert "(4 of 6 are missing)" in told.stdout
    label(first / "inputs", first / "outputs")
    grown = grow(run, tmp_path / "out", QUIET)
    assert grown.ended == "waiting"
    folder = tmp_path / "out" / "round-0"
    label(folder / "inputs", folder / "outputs")
    atoms = read(folder / "outputs" / "001.xyz")
    other = atoms.copy()
    other.positions[0] += 0.01
    other.calc = atoms.calc
    write(folder / "outputs" / "001.xyz", other, format="extxyz")
    with pytest.raises(Error, match=r"001\.xyz: is not the input"):
        grow(run, tmp_path / "out", QUIET)
    write(folder / "outputs" / "001.xyz", atoms, format="extxyz")
    grown = grow(run, tmp_path / "out", QUIET)
    assert (grown.ended, [r.labels for r in grown.rounds]) == ("labels", [6, 9])


SCRIPT = """
import sys
from pathlib import Path
from ase.io import read, write
from sitewise.reproduce.stillinger_weber import StillingerWeber
if Path("broken").exists():
    sys.exit("the queue is full")
for path in Path(sys.argv[1]).iterdir():
    atoms = read(path)
    atoms.calc = StillingerWeber()
    atoms.get_forces()
    write(Path(sys.argv[2]) / path.name, atoms, format="extxyz")
"""


def test_a_command_labels_as_the_calculator_does(whole, tmp_path):
    (tmp_path / "label.py").write_text(SCRIPT)
    run = settings(tmp_path, f'command = "{sys.executable} label.py"', labels=10)
    (tmp_path / "broken").touch()
    with pytest.raises(Error, match=r"label\.py: ends with status 1: the queue is full"):
        grow(run, tmp_path / "out", QUIET)
    (tmp_path / "broken").unlink()
    grown = grow(run, tmp_path / "out", QUIET)
    assert [r.labels for r in grown.rounds] == [6, 10]
    expected = read(whole[0] / "out" / "round-0" / "labels.xyz", ":")
    for a, b in zip(read(tmp_path / "out" / "round-0" / "labels.xyz", ":"), expected, strict=True):
        assert np.allclose(a.positions, b.positions, rtol=0, atol=1e-6)


def test_a_command_explores(tmp_path):
    (tmp_path / "explore.py").write_text(
        "import sys\n"
        "from ase.io import read, write\n"
        "from sitewise import Potential\n"
        "atoms = read('slab.xyz')\n"
        "atoms.calc = Potential.load(sys.argv[1]).calculator()\n"
        "atoms.get_potential_energy()\n"
        "atoms = [atoms.copy() for _ in range(5)]\n"
        "for k, one in enumerate(atoms):\n"
        "    one.rattle(0.02 * k, seed=k)\n"
        "if len(sys.argv) > 2:\n"
        "    write(sys.argv[2] + '/frames.xyz', atoms)\n"
    )
    run = settings(tmp_path, labels=8, batch=2)
    text = run.read_text().replace("[explore]", f'[explore]\ncommand = "{sys.executable} explore.py"')
    run.write_text(text)
    grown = grow(run, tmp_path / "out", QUIET)
    assert [r.labels for r in grown.rounds] == [6, 8]
    frames = read(tmp_path / "out" / "round-0" / "candidates.xyz", ":")
    assert [atoms.info["origin"] for atoms in frames] == [f"frames.xyz, structure {k}" for k in range(5)]
    run.write_text(text.replace("explore.py", "-c 0"))
    with pytest.raises(Error, match="has left no file in"):
        grow(run, tmp_path / "other", QUIET)


def test_a_calculator_that_fails_at_some_structures(tmp_path, capsys):
    class Failing(StillingerWeber):
        calls = 0

        def calculate(self, *args, **kwargs):
            Failing.calls += 1
            if Failing.calls % 3 == 0 or everything:
                raise RuntimeError("no convergence")
            super().calculate(*args, **kwargs)

    everything = False
    grown = grow(settings(tmp_path, labels=6, rounds=1), tmp_path / "out", QUIET, Failing())
    assert grown.rounds[0].labels == 4
    assert "chosen.xyz, structure 2: " in capsys.readouterr().err
    everything = True
    with pytest.raises(Error, match="no convergence"):
        grow(settings(tmp_path), tmp_path / "other", QUIET, Failing())


# ---- ends


def test_a_larger_budget_goes_on(whole, two_rounds, tmp_path):
    shutil.copytree(two_rounds, tmp_path / "out", symlinks=True)
    grown = grow(settings(tmp_path, rounds=2), tmp_path / "out", QUIET)
    assert (grown.ended, len(grown.rounds)) == ("rounds", 2)
    grown = grow(settings(tmp_path), tmp_path / "out", QUIET)
    assert grown.ended == "labels"
    expected = content(whole[0] / "out")
    assert content(tmp_path / "out") == expected
    with pytest.raises(Error, match=r"holds a growth with other settings \(\[budget\]\)"):
        grow(settings(tmp_path, batch=3), tmp_path / "out", QUIET)


def test_hours_and_accuracy_end(tmp_path):
    assert grow(settings(tmp_path, hours=1e-9), tmp_path / "hours", QUIET).ended == "hours"
    kept = tmp_path / "hours" / "round-0" / "round.json"
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"seconds": 7200.0}))
    again = grow(settings(tmp_path, hours=1.0), tmp_path / "hours", QUIET)  # has had two
    assert (again.ended, len(again.rounds)) == ("hours", 1)
    run = settings(tmp_path)
    run.write_text(run.read_text().replace("0.001 meV", "20 eV"))
    grown = grow(run, tmp_path / "accuracy", QUIET)
    assert (grown.ended, len(grown.rounds)) == ("determined", 1)
    assert max(grown.rounds[0].bars.values()) < 20


def test_an_ensemble_chooses_by_its_spread(tmp_path):
    run = settings(tmp_path, labels=8, batch=2, choose="bars")
    run.write_text(run.read_text() + "replicas = 2\nposterior = false\n")
    grown = grow(run, tmp_path / "bars", QUIET)
    assert [r.labels for r in grown.rounds] == [6, 8]
    frames = read(tmp_path / "bars" / "round-0" / "candidates.xyz", ":")
    chosen = read(tmp_path / "bars" / "round-0" / "chosen.xyz", ":")
    bars = sorted((atoms.info["force_bar"] for atoms in frames), reverse=True)
    assert [atoms.info["force_bar"] for atoms in chosen] == bars[:2]


# ---- parts


def test_trajectories_end_at_a_bar_or_with_their_steps(whole):
    model = whole[1].potential
    starts = Dataset.read([whole[0] / "crystal.xyz", whole[0] / "slab.xyz"], require_labels=False, reporter=QUIET)
    table = {"starts": ["a.xyz"], "steps": 30, "every": 10, "atom_bar": 1e3, "force_bar": 1e3, "pressure": 0.0}
    frames = explored(model, starts[:1], Explore(**table), 3, 0, 0, QUIET)
    assert [s.atoms.info["step"] for s in frames] == [0, 10, 20, 30]
    assert [s.atoms.info.get("ended") for s in frames] == [None, None, None, "steps"]
    assert frames[-1].atoms.get_volume() != frames[0].atoms.get_volume()
    frames = explored(model, starts[1:], Explore(**{**table, "force_bar": 1e-9, "pressure": None}), 3, 0, 0, QUIET)
    assert [(s.atoms.info["step"], s.atoms.info["ended"]) for s in frames] == [(0, "bar")] * 3
    assert len(new_ones(frames, starts)) == 2  # the first is the start itself
    moves = [np.std(s.atoms.positions - starts[1].atoms.positions) for s in frames]
    assert 1.3 < moves[2] / moves[1] < 3  # each is displaced further
    for start in starts[1:]:  # with a surface
        frames = explored(model, [start], Explore(**table), 3, 0, 0, QUIET)
        assert len(frames) > 1
        assert all(np.array_equal(s.atoms.cell, start.atoms.cell) for s in frames)


def test_copies_keep_what_has_no_period():
    molecule = Structure(Atoms("Si2", [[0, 0, 0], [2.3, 0, 0]]), None, None, None, "", "m")
    crystal = Structure(bulk("Si", "diamond", a=5.431), None, None, None, "", "c")
    copies = first_copies([molecule, crystal], 6, 0)
    assert [len(s.atoms) for s in copies] == [2] * 6
    assert not copies[4].atoms.cell.array.any()
    moves = [copies[k].atoms.positions - molecule.atoms.positions for k in (2, 4)]
    one, other = (move.ravel() / np.linalg.norm(move) for move in moves)
    assert abs(one @ other) < 0.99  # each copy has directions of its own
    cells = [s.atoms.get_volume() / crystal.atoms.get_volume() - 1 for s in copies[1::2]]
    assert cells[0] == 0
    assert all(0 < abs(change) < 0.3 for change in cells[1:])


def test_held_out_structures_stay_so():
    data = [Structure(bulk("Si"), 0.0, None, None, "", str(k)) for k in range(35)]
    for n in (9, 10, 25, 35):
        assert held_out(data[:n], 0.1, 3) == [k for k in held_out(data, 0.1, 3) if k < n // 10 * 10]
    assert len(held_out(data, 0.1, 3)) == 3
    assert held_out(data, 0.0, 3) == []
    gold = [Structure(bulk("Au"), 0.0, None, None, "", "gold")]
    atoms = [Structure(Atoms("Si"), 0.0, None, None, "", "atom")] * 10
    assert held_out(gold * 1 + data[:1], 0.5, 0) == []
    assert held_out(atoms, 0.1, 0) == []


def test_any_candidates_at_random():
    assert at_random(list("abcdefgh"), 3, 0, 0) == at_random(list("abcdefgh"), 3, 0, 0)
    assert len({tuple(at_random(list("abcdefgh"), 3, 0, k)) for k in range(20)}) > 10
    assert at_random(list("ab"), 3, 0, 0) == [0, 1]


def test_new_ones_are_not_labelled_and_not_twice():
    a, b = (Structure(bulk("Si", a=x), None, None, None, "", "") for x in (5.4, 5.5))
    assert new_ones([a, b, b, a], [a]) == [b]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((ORACLE, ""), r"\[oracle\]: expected one of calculator, command and pause, found none"),
        ((ORACLE, ORACLE + "\npause = true"), "found calculator and pause"),
        ((ORACLE, 'calculator = "emt"'), "calculator is emt, expected MODULE:NAME"),
        ((ORACLE, 'calculater = "a:b"'), r"\[oracle\] calculater: unknown key, did you mean calculator\?"),
        (("[budget]", "[budgte]"), r"\[budgte\]: unknown table, did you mean budget\?"),
        (("0.001 meV", "5 apples"), r"\[targets\] accuracy: .*5 apples"),
        (("steps = 20", "steps = 0"), r"\[explore\] steps: .*greater than or equal to 1"),
        (("[oracle]", "[data]\ntrain = 'a.xyz'\ntest = 'b.xyz'\n[oracle]"), r"\[data\] test: expected the fraction"),
        (
            ("[oracle]", "[data]\ntrain = 'a.xyz'\nvalidation = 0.1\n[oracle]"),
            r"\[data\] validation: a growth has none",
        ),
        (("[training]", "[training]\nposterior = false"), "posterior is false, but error bars need it"),
        (("slab.xyz", "absent.xyz"), r"absent\.xyz"),
        ((ORACLE, 'calculator = "nowhere:Nothing"'), "nowhere:Nothing: cannot be loaded"),
        (("[oracle]", "[data]\ntrain = 'crystal.xyz'\n[oracle]"), "no labels found in .*crystal.xyz"),
    ],
)
def test_mistakes_end_with_a_sentence(tmp_path, change, message):
    run = settings(tmp_path)
    run.write_text(run.read_text().replace(*change))
    with pytest.raises(Error, match=message):
        grow(run, tmp_path / "out", QUIET)


def test_settings_of_training_hold_in_all_rounds(tmp_path):
    run = settings(tmp_path, labels=11, first=8, batch=3)
    text = run.read_text().replace("[network]", '[baseline]\nzbl = "auto"\n[network]')
    run.write_text(text + "early_stop = 5\nseed = 3\n")
    grown = grow(run, tmp_path / "out", QUIET)
    assert [r.labels for r in grown.rounds] == [8, 11]
    assert grown.potential.core.baseline.zbl is not None
    texts = [(tmp_path / "out" / f"round-{k}" / "run" / "training.toml").read_text() for k in range(2)]
    assert ["early_stop" in text for text in texts] == [False, True]


def test_the_module_of_a_calculator_may_lie_beside_grow_toml(tmp_path, monkeypatch):
    monkeypatch.chdir(os.sep)
    (tmp_path / "my_oracle_of_this_test.py").write_text(
        "from sitewise.reproduce.stillinger_weber import StillingerWeber\ndef make():\n    return StillingerWeber()\n"
    )
    run = settings(tmp_path, 'calculator = "my_oracle_of_this_test:make"', rounds=1)
    assert grow(run, tmp_path / "out", QUIET).ended == "rounds"


def test_the_first_potential_of_a_newcomer(tmp_path):
    """The section of the page, with a twentieth of its steps."""
    section = (
        (ROOT / "docs" / "get-started.md")
        .read_text()
        .split("## My first potential in an afternoon\n")[1]
        .split("\n## ")[0]
    )
    paths = os.pathsep.join([sysconfig.get_path("scripts"), str(Path(sys.executable).parent), os.environ["PATH"]])
    printed = ""
    for language, code in re.findall(r"^```(\w+)\n(.*?)^```", section, re.MULTILINE | re.DOTALL):
        if language == "toml":
            small = code.replace("steps = 1000", "steps = 50").replace("labels = 60", "labels = 20")
            (tmp_path / "GROW.toml").write_text(small + "[training]\niterations = 30\n")
            continue
        code = code.replace("run(500)", "run(20)")
        command = ["bash", "-euc", code] if language == "sh" else [sys.executable, "-c", code]
        environment = {**os.environ, "PATH": paths}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, code + done.stdout + done.stderr
        printed += done.stdout
    assert "potential in GROW/potential" in printed
    assert (tmp_path / "GROW" / "growth.png").stat().st_size > 20_000
    assert float(re.search(r"K, (\S+) eV/atom", printed)[1]) == pytest.approx(0.05, abs=0.1)


def test_distillation_of_copper_and_gold(tmp_path):
    """From a few labels of EMT to the alloys: what is grown agrees with it on warm alloys that it has not seen."""
    from ase.spacegroup import crystal

    cells = [bulk("Cu", cubic=True), bulk("Au", cubic=True)]
    alloy = crystal("CuAu", [(0, 0, 0), (0.5, 0.5, 0.5)], spacegroup=123, cellpar=[2.75, 2.75, 3.9, 90, 90, 90])
    cells.append(Atoms(alloy.numbers, alloy.positions, cell=alloy.cell, pbc=True).repeat((2, 1, 1)))
    write(tmp_path / "starts.xyz", cells)
    tables = {
        "oracle": {"calculator": "ase.calculators.emt:EMT"},
        "explore": {"starts": ["starts.xyz"], "temperatures": 600.0, "steps": 60, "every": 10},
        "targets": {"accuracy": "1 meV"},
        "budget": {"labels": 30, "batch": 12, "first": 18},
        "training": {"iterations": 100},
    }
    grown = grow(GrowConfig.parse(tables).relative_to(tmp_path), tmp_path / "out", QUIET)
    assert [r.labels for r in grown.rounds] == [18, 30]
    errors = []
    for k, cell in enumerate(cells * 2):
        atoms = cell.copy()
        atoms.rattle(0.1, seed=k)
        atoms.calc = EMT()
        errors.append((grown.potential.evaluate(atoms).energy - atoms.get_potential_energy()) / len(atoms))
    assert np.sqrt(np.mean(np.square(errors))) < 0.02


def test_an_oracle_of_another_method_is_refused(tmp_path):
    frames = [bulk("Si", "diamond", a=5.431) for _ in range(8)]
    for k, atoms in enumerate(frames):
        atoms.rattle(0.05, seed=k)
        atoms.calc = StillingerWeber()
        forces = atoms.get_forces()
        energy = atoms.get_potential_energy() - 2 * 103.0
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    write(tmp_path / "data.xyz", frames, format="extxyz")
    run = settings(tmp_path)
    run.write_text("[data]\ntrain = 'data.xyz'\n" + run.read_text().replace(', "slab.xyz"', ""))
    with pytest.raises(Error, match=r"round-0/labels\.xyz: all energies differ by 10\d eV/atom or more"):
        grow(run, tmp_path / "out", QUIET)


def test_large_errors_that_scatter_are_no_other_method():
    cells = [bulk("Cu"), bulk("Au"), Atoms("CuAu", [[0, 0, 0], [0, 0, 2.5]])] * 3
    fresh = Dataset(Structure(atoms, 0.0, None, None, "", "") for atoms in cells)
    references, small = np.array([1300.0, 900.0, 1100.0] * 3), np.full(9, 0.01)
    assert of_another_method(references, small, fresh)
    assert not of_another_method(references * 1e-4, small, fresh)
    assert not of_another_method(references, np.full(9, 400.0), fresh)
    nonsense = np.array([0.7, 6.0, 2.0, 1.0, 3.0, 0.9, 4.0, 1.2, 2.5])
    assert not of_another_method(nonsense, small, fresh)
    # As few structures as elements: a difference for each would explain any errors.
    assert not of_another_method(nonsense[:2], small[:2], Dataset(fresh[:2]))
    assert not of_another_method(nonsense[:1], small[:1], Dataset(fresh[:1]))
    assert of_another_method(references[:3], small[:3], Dataset(fresh[:3]))


def test_an_element_without_labels_is_refused(tmp_path):
    data = [bulk("Cu") * (2, 1, 1) for _ in range(3)]
    for k, atoms in enumerate(data):
        atoms.rattle(0.05, seed=k)
        atoms.calc = EMT()
        atoms.get_forces()
    write(tmp_path / "data.xyz", data, format="extxyz")
    run = settings(tmp_path)
    config = GrowConfig.load(run)
    tables = config.model_dump(exclude_none=True) | {"data": {"train": [str(tmp_path / "data.xyz")]}}
    with pytest.raises(Error, match=r"crystal\.xyz, structure 0: has Si, which no labelled structure"):
        grow(GrowConfig.parse(tables), tmp_path / "out", QUIET)


@pytest.mark.parametrize("label", ["energy", "forces", "stress"])
def test_labels_that_are_not_finite_are_refused(label):
    atoms = bulk("Cu", "fcc", a=3.6)
    labels = {"energy": -1.0, "forces": np.zeros((1, 3)), "stress": np.zeros(6)}
    labels[label] = labels[label] * np.nan
    calculator = SinglePointCalculator(atoms, **labels)
    with pytest.raises(Error, match="not finite"):
        labelled_by(calculator, Structure(atoms, None, None, None, "", "a place"))


# ---- large structures


@pytest.mark.parametrize("pbc", [True, False])
def test_a_cluster_keeps_the_environment_of_its_atom(pbc):
    """Features of its first atom are those of the atom that it is cut around, across the boundary of the cell."""
    atoms = bulk("Cu", cubic=True).repeat(4)
    atoms.rattle(0.1, seed=1)
    atoms.pbc = pbc
    functions = SymmetryFunctions.preset("fast", ["Cu"], 4.5)
    large = Structure(atoms, None, None, None, "a group", "md.xyz")
    cluster = cut(large, 7, 60, functions.cutoff)
    assert (len(cluster.atoms), cluster.atoms.info["cut_from"], cluster.group) == (60, 256, "a group")
    assert cluster.atoms.pbc.all() == pbc
    whole, own = (functions.evaluate(s.atoms) for s in (large, cluster))
    np.testing.assert_allclose(own[0], whole[7], atol=1e-12)
    assert np.abs(own[59] - whole[7]).max() > 1e-3
    if pbc:  # no atom sees an image
        free = cluster.atoms.copy()
        free.pbc = False
        np.testing.assert_allclose(functions.evaluate(free), own, atol=1e-12)
    with pytest.raises(
        Error, match=r"md\.xyz: atom 7 and its neighbours within the cutoff are \d+ atoms, .* is 12"
    ) as no:
        cut(large, 7, 12, functions.cutoff)
    least = int(re.search(r"expected (\d+) or more", str(no.value))[1])
    np.testing.assert_allclose(
        functions.evaluate(cut(large, 7, least, functions.cutoff).atoms)[0], whole[7], atol=1e-12
    )
    with pytest.raises(Error, match=f"is {least - 1}, expected {least} or more"):
        cut(large, 7, least - 1, functions.cutoff)


def test_large_frames_are_cut_before_they_are_labelled(tmp_path):
    run = settings(tmp_path, labels=10, batch=4)
    write(tmp_path / "large.xyz", bulk("Si", "diamond", a=5.431, cubic=True).repeat(2))
    text = run.read_text().replace('"slab.xyz"]', '"large.xyz"]\nmax_atoms = 32')
    run.write_text(text.replace("max_atoms = 32", "max_atoms = 8"))
    with pytest.raises(Error, match=r"within the cutoff are \d+ atoms, but \[explore\] max_atoms is 8"):
        grow(run, tmp_path / "out", QUIET)
    run.write_text(text)  # it continues
    grown = grow(run, tmp_path / "out", QUIET)
    assert [r.labels for r in grown.rounds] == [6, 10]
    first = read(tmp_path / "out" / "first" / "chosen.xyz", ":")
    assert [len(atoms) for atoms in first] == [2] * 6
    sizes = {(len(atoms), atoms.info.get("cut_from")) for atoms in read(tmp_path / "out/round-0/candidates.xyz", ":")}
    assert sizes == {(2, None), (32, 64)}
    run.write_text(text.replace("max_atoms = 32", "max_atoms = 1"))
    with pytest.raises(Error, match=r"max_atoms is 1, but all starts have more atoms"):
        grow(run, tmp_path / "other", QUIET)
