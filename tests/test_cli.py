"""The command line: what it prints and writes, and one clear sentence with status 2 for every mistake."""

import csv
import json
import os
import re
import stat
import subprocess
import sys
import time

import numpy as np
import pytest
from ase import Atoms
from ase.io import read, write
from typer.testing import CliRunner

from checks import DEVICES, assert_close, silicon_frames, silicon_potential
from sitewise import Ensemble, Potential, SymmetryFunctions
from sitewise.cli import app
from sitewise.io.describe import _functions


def sitewise(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def assert_refused(result, *words):
    """Require status 2, one sentence and no traceback."""
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.output
    for word in words:
        assert word in lines[0], lines[0]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with data, a RUN.toml and the potential that labelled the data."""
    write(tmp_path / "data.xyz", silicon_frames(8))
    Potential(silicon_potential()).save(tmp_path / "potential")
    (tmp_path / "run.toml").write_text(
        '[data]\ntrain = "data.xyz"\ntest = 0.25\n[symmetry_functions]\npreset = "auto"\ncutoff = 5.0\n'
        "[network]\nhidden = [4]\n[training]\niterations = 20\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_train(folder):
    result = sitewise("train", "run.toml", "--out", "out")
    assert result.exit_code == 0, result.output
    assert "8 structures, 64 atoms: 8 energies, 8 forces, 8 stresses" in result.stderr
    for word in ("energy RMSE", "meV/atom", "train", "test", "even", "odd", "s CPU"):
        assert word in result.stdout
    assert (folder / "out" / "errors.json").exists()
    quiet = sitewise("train", "run.toml", "--quiet")  # into a folder of the file's name
    assert quiet.exit_code == 0
    assert quiet.stderr == ""
    assert (folder / "run" / "errors.json").exists()


def test_evaluate(folder):
    result = sitewise("evaluate", "potential", "data.xyz", "--json", "errors.json", "--plot", "picture.png")
    assert result.exit_code == 0, result.output
    errors = json.loads((folder / "errors.json").read_text())
    # The labels are 20 times the potential.
    frames = silicon_frames(8)
    forces = np.concatenate([a.get_forces() for a in frames])
    assert errors["force_rmse"] == pytest.approx(np.sqrt(np.mean((forces * 0.95) ** 2)), rel=1e-6)
    energies = np.array([a.get_potential_energy() / len(a) for a in frames])
    assert errors["energy_mae"] == pytest.approx(np.mean(np.abs(energies * 0.95)), rel=1e-12)
    assert errors["groups"]["odd"]["n_structures"] == 4
    assert (folder / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert {p.name for p in folder.iterdir()} == {"data.xyz", "potential", "run.toml", "errors.json", "picture.png"}


@pytest.mark.skipif("cuda" not in DEVICES, reason="no CUDA device")
def test_commands_on_cuda(folder):
    """The numbers are those of the processor, which must not cache in single precision.

    A bad structure is named although many are computed together.
    """
    short = (folder / "run.toml").read_text().replace("iterations = 20", "iterations = 2\nmemory_budget = 0")
    (folder / "run.toml").write_text(short)
    frames = silicon_frames(4)
    write(folder / "data.xyz", frames)
    for device in DEVICES:
        result = sitewise("evaluate", "potential", "data.xyz", "--json", f"{device}.json", "--device", device)
        assert result.exit_code == 0, result.output
        assert sitewise("predict", "potential", "data.xyz", "-o", f"{device}.xyz", "--device", device).exit_code == 0
        assert sitewise("train", "run.toml", "--out", device, "--quiet", "--device", device).exit_code == 0
    cpu, cuda = (json.loads((folder / f"{device}.json").read_text()) for device in DEVICES)
    assert cuda["force_rmse"] == pytest.approx(cpu["force_rmse"], rel=1e-12)
    cpu, cuda = (read(folder / f"{device}.xyz", index=":") for device in DEVICES)
    for a, b in zip(cpu, cuda, strict=True):
        assert_close(a.get_forces(), b.get_forces(), 1e-7)  # as they are written
    cpu, cuda = (np.genfromtxt(folder / device / "log.csv", delimiter=",", names=True) for device in DEVICES)
    assert cuda["loss"] == pytest.approx(cpu["loss"], rel=1e-6)  # many iterations would part, by rounding
    frames[2].positions[1] = frames[2].positions[0]
    write(folder / "bad.xyz", frames)
    assert_refused(sitewise("evaluate", "potential", "bad.xyz", "--device", "cuda"), "bad.xyz", "2", "0 and 1")


@pytest.mark.skipif("cuda" in DEVICES, reason="there is a CUDA device")
def test_cuda_that_is_not_there(folder):
    refused = sitewise("evaluate", "potential", "data.xyz", "--device", "cuda")
    assert_refused(refused, "device cuda: ")
    assert "without CUDA" in sitewise("info").stdout or "no GPU" in sitewise("info").stdout


def test_evaluate_with_named_labels(folder):
    frames = silicon_frames(2)
    for atoms in frames:
        atoms.info["mine"] = silicon_frames(1)[0].get_potential_energy()
    write("mine.xyz", frames)
    result = sitewise("evaluate", "potential", "mine.xyz", "--energy-key", "mine", "--json", "e.json")
    assert result.exit_code == 0
    own = sitewise("evaluate", "potential", "mine.xyz", "--json", "f.json")
    assert own.exit_code == 0
    assert json.loads((folder / "e.json").read_text()) != json.loads((folder / "f.json").read_text())


def test_predict(folder):
    far = Atoms("Si3", positions=[[0, 0, 0], [1.9, 0, 0], [0, 2.2, 1.4]])
    write("some.xyz", [silicon_frames(1)[0], far])
    result = sitewise("predict", "potential", "some.xyz", "-o", "out.xyz")
    assert result.exit_code == 0, result.output
    potential = Potential.load("potential")
    crystal, cluster = read("out.xyz", ":")
    for atoms in (crystal, cluster):
        exact = potential.evaluate(atoms)
        assert atoms.get_potential_energy() == pytest.approx(exact.energy, abs=1e-6)
        assert np.allclose(atoms.get_forces(), exact.forces, rtol=0, atol=1e-6)
        assert np.allclose(atoms.get_potential_energies(), exact.energies, rtol=0, atol=1e-6)
        assert np.array_equal(atoms.arrays["extrapolation"], exact.extrapolation)
    assert np.allclose(crystal.get_stress(), potential.evaluate(crystal).stress, rtol=0, atol=1e-7)
    assert "stress" not in cluster.calc.results
    assert crystal.info["config_type"] == "even"


def test_predict_by_an_ensemble(folder):
    """The output has the ensemble's spreads, of the structure and per atom."""
    ensemble = Ensemble([Potential(silicon_potential(seed)) for seed in (1, 2)])
    ensemble.save("ensemble")
    result = sitewise("predict", "ensemble", "data.xyz", "-o", "out.xyz")
    assert result.exit_code == 0, result.output
    for atoms in read("out.xyz", ":"):
        exact = ensemble.evaluate(atoms)
        assert atoms.get_potential_energy() == pytest.approx(exact.energy, abs=1e-6)
        assert atoms.info["energy_spread"] == pytest.approx(exact.energy_spread, abs=1e-6)
        assert np.allclose(atoms.arrays["energies_spread"], exact.energies_spread, rtol=0, atol=1e-6)
        assert np.allclose(atoms.arrays["forces_spread"], exact.forces_spread, rtol=0, atol=1e-6)
        assert np.array_equal(atoms.arrays["extrapolation"], exact.extrapolation)


def test_features(folder):
    assert sitewise("features", "potential", "data.xyz", "-o", "out.npz").exit_code == 0
    with np.load("out.npz") as file:
        arrays = dict(file)
    frames = silicon_frames(8)
    exact = Potential.load("potential").evaluate(read("data.xyz", index=2))
    assert arrays["offset"].tolist() == [8 * i for i in range(9)]
    assert np.array_equal(arrays["features"][16:24], exact.features)
    assert np.array_equal(arrays["energies"][16:24], exact.energies)
    assert np.array_equal(arrays["numbers"], np.concatenate([a.numbers for a in frames]))


def test_units_of_the_potential(folder):
    for command in (["evaluate", "--json"], ["features", "-o"], ["predict", "-o"]):
        for factor, name in ((1.0, "one"), (1.8897261328, "bohr")):
            options = ["--cflength", factor, "--cfenergy", factor, command[1], name]
            result = sitewise(command[0], "potential", "data.xyz", *options)
            assert result.exit_code == 0, result.output
        assert (folder / "one").read_bytes() != (folder / "bohr").read_bytes()


def test_info(folder):
    alone = sitewise("info")
    for word in ("version", "compiler", "instruction_set", "threads", "cuda"):
        assert word in alone.stdout
    potential = sitewise("info", "potential").stdout
    assert "Si: network 5-6-1, activations tl" in potential
    assert len([line for line in potential.splitlines() if line.startswith("  Si")]) == 5
    data = sitewise("info", "data.xyz").stdout
    assert "8 structures, 64 atoms: 8 energies, 8 forces, 8 stresses" in data
    assert "odd: 4 structures" in data
    assert "other values of structures: config_type" in data


def test_info_is_short_for_many_functions():
    functions = SymmetryFunctions.preset("simple-nn", ["Si"], 5.0)
    assert "\n".join(_functions(functions)) == str(functions)
    many = SymmetryFunctions.preset("simple-nn", ["Li", "O", "Si"], 5.0)
    head, *lines, last = _functions(many)
    assert (head, len(lines), last) == (repr(many), 3, "input.nn lists them all")
    assert lines[1].startswith("  O: 24 of type 2, ")


def test_the_command_line_imports_no_more_than_it_needs():
    """Help and version do not import numpy, nor a command that needs no linear algebra scipy."""
    for module, unwanted in {
        "sitewise.cli": "numpy pydantic scipy ase matplotlib",
        "sitewise.io.describe": "scipy spglib matplotlib ase.io",
        "sitewise.evaluation.predictions": "scipy spglib matplotlib",
    }.items():
        code = f"import sys, {module}; print(*set({unwanted.split()}) & set(sys.modules))"
        imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert not imported.strip(), f"{module} imports {imported}"


def test_help_of_every_command():
    for command in ("train", "grow", "evaluate", "predict", "features", "info"):
        result = sitewise(command, "--help")
        assert result.exit_code == 0
        assert "Usage" in result.stdout


COMMANDS = [("evaluate",), ("predict", "-o", "out"), ("features", "-o", "out")]


@pytest.mark.parametrize("command", COMMANDS, ids=["evaluate", "predict", "features"])
def test_missing_files(folder, command):
    name, *options = command
    assert_refused(sitewise(name, "absent", "data.xyz", *options), "absent: no such directory")
    assert_refused(sitewise(name, "potential", "absent.xyz", *options), "absent.xyz: no such file")
    assert not (folder / "out").exists()
    assert_refused(sitewise("info", "absent"), "absent: no such file or directory")
    assert_refused(sitewise("train", "absent.toml"), "absent.toml: no such file")
    assert not (folder / "absent").exists()


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("weights.014.data", lambda text: text[: len(text) // 2], ["weights.014.data", "expected 43"]),
        ("weights.014.data", lambda text: text + "1.0 a\n", ["weights.014.data", "44 weights, expected 43"]),
        ("weights.014.data", lambda _: None, ["weights.014.data"]),
        ("scaling.data", lambda text: "\n".join(text.splitlines()[:-2]), ["scaling.data", "expected 5"]),
        ("input.nn", lambda text: text[: text.index("global_")], ["input.nn", "no symmetry functions"]),
        ("input.nn", lambda text: text + "cutoff_tipe 1\n", ["input.nn:", '"cutoff_tipe"', "did you mean"]),
        ("input.nn", lambda text: text + "symfunction_short Si 26 Si 0 0 0 0 0 0\n", ["input.nn:", "20"]),
        ("input.nn", lambda text: re.sub(r"(?m)^(elements +)Si", r"\1Xx", text), ["input.nn:", "Xx"]),
    ],
    ids=["cut", "long", "absent", "scaling", "input", "keyword", "type", "element"],
)
def test_damaged_potentials(folder, file, change, words):
    path = folder / "potential" / file
    text = change(path.read_text())
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    assert_refused(sitewise("predict", "potential", "data.xyz", "-o", "out.xyz"), *words)
    assert not (folder / "out.xyz").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.symbols.__setitem__(0, "Ge"), ["element Ge", "the potential has Si"]),
        (lambda a: a.positions.__setitem__((5, 1), np.nan), ["position of atom 5 is not finite"]),
        (lambda a: a.set_cell([4.0, 4.0, 0.0]), ["volume"]),
        (lambda a: a.positions.__setitem__(3, a.positions[2]), ["atoms 2 and 3"]),
    ],
    ids=["element", "nan", "volume", "overlap"],
)
def test_bad_structures(folder, change, words):
    frames = silicon_frames(3)
    for atoms in frames:
        atoms.calc = None
    change(frames[1])
    write("bad.xyz", frames)
    result = sitewise("predict", "potential", "bad.xyz", "-o", "out.xyz")
    assert_refused(result, "bad.xyz, structure 1: ", *words)
    assert not (folder / "out.xyz").exists()


def test_no_labels(folder):
    write("bare.xyz", Atoms("Si"))
    assert_refused(sitewise("evaluate", "potential", "bare.xyz"), "no labels found in bare.xyz")
    (folder / "run.toml").write_text('[data]\ntrain = "bare.xyz"\n')
    assert_refused(sitewise("train", "run.toml"), "no labels found in", "bare.xyz")
    assert not (folder / "run").exists()


def test_typo_in_run_toml(folder):
    text = (folder / "run.toml").read_text()
    (folder / "run.toml").write_text(text.replace("iterations", "iteration"))
    assert_refused(sitewise("train", "run.toml"), "[training] iteration: unknown key, did you mean iterations")
    assert not (folder / "run").exists()


def test_unwritable_outputs(folder):
    outside = folder / "file" / "out"  # below a file: root may write to any folder
    (folder / "file").write_text("")
    assert_refused(sitewise("train", "run.toml", "--out", outside), "cannot be made")
    for options in (["predict", "-o"], ["features", "-o"], ["evaluate", "--json"]):
        assert_refused(
            sitewise(options[0], "potential", "data.xyz", options[1], outside), str(outside), "cannot be written"
        )
    refused = sitewise("evaluate", "potential", "data.xyz", "--plot", folder / "picture.doc")
    assert_refused(refused, "picture.doc: is no kind of picture that is known")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any folder")
def test_folder_without_permission(folder):
    (folder / "locked").mkdir()
    (folder / "locked").chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert_refused(sitewise("train", "run.toml", "--out", "locked/out"), "cannot be made: Permission denied")


def test_wrong_usage_is_status_2(folder):
    for arguments in (["train"], ["evaluate", "potential"], ["nonsense"], ["train", "run.toml", "--nonsense"]):
        assert sitewise(*arguments).exit_code == 2


@pytest.mark.slow
def test_existing_run_is_not_overwritten(folder):
    assert sitewise("train", "run.toml", "--out", "out").exit_code == 0
    before = (folder / "out" / "errors.json").read_bytes()
    assert_refused(sitewise("train", "run.toml", "--out", "out"), "out: holds a run already", "--resume")
    assert (folder / "out" / "errors.json").read_bytes() == before
    assert sitewise("train", "run.toml", "--out", "out", "--resume").exit_code == 0


def test_ctrl_c_is_told_without_traceback(folder, monkeypatch):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Potential, "load", interrupted)
    result = sitewise("predict", "potential", "data.xyz", "-o", "out.xyz")
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


def test_installed_command(folder):
    module = [sys.executable, "-m", "sitewise", "info"]
    result = subprocess.run(module, capture_output=True, text=True, check=True)
    assert "version" in result.stdout


@pytest.mark.slow
def test_learning_curve_killed_leaves_no_process_and_goes_on(folder):
    text = (folder / "run.toml").read_text() + "posterior = false\n"
    (folder / "run.toml").write_text(text.replace("iterations = 20", "iterations = 400"))
    command = [sys.executable, "-m", "sitewise", "learning-curve", "run.toml", "--sizes", "3,6", "--seeds", "1"]
    process = subprocess.Popen([*command, "--jobs", "2", "--quiet"], stderr=subprocess.PIPE)
    out = folder / "run-curve"
    while not (out / "6-0" / "checkpoint.npz").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.communicate(timeout=60)  # until all that have its stderr are gone
    assert not (out / "6-0" / "errors.json").exists()
    begun = (out / "6-0" / "log.csv").read_text().splitlines()[:-1]  # the last row may be ahead of the checkpoint
    assert sitewise("learning-curve", "run.toml", "--sizes", "6", "--seeds", "1", "--quiet").exit_code == 0
    assert (out / "6-0" / "log.csv").read_text().splitlines()[: len(begun)] == begun


@pytest.mark.slow
def test_learning_curve(folder):
    (folder / "run.toml").write_text((folder / "run.toml").read_text() + "posterior = false\n")
    told = sitewise("learning-curve", "run.toml", "--sizes", "2,6", "--seeds", "2", "--jobs", "2", "--quiet")
    assert told.exit_code == 0, told.output
    rows = list(csv.DictReader((folder / "run-curve" / "learning_curve.csv").read_text().splitlines()))
    assert [(row["size"], row["seed"]) for row in rows] == [("2", "0"), ("2", "1"), ("6", "0"), ("6", "1")]
    errors = json.loads((folder / "run-curve" / "6-1" / "errors.json").read_text())
    assert errors["train"]["n_structures"] == 6
    sets = [(folder / "run-curve" / f"2-{seed}" / "training.toml").read_text() for seed in (0, 1)]
    hashes = [re.search('training_data_sha256 = "(.*)"', text)[1] for text in sets]
    assert hashes[0] != hashes[1]  # another choice of the structures
    assert float(rows[3]["force_rmse"]) == pytest.approx(errors["test"]["force_rmse"], rel=1e-5)
    assert (folder / "run-curve" / "learning_curve.png").exists()
    _, units, *lines = told.stdout.splitlines()
    assert units.split() == ["meV/atom", "eV/Å", "meV/Å³"]
    assert float(lines[3].split()[2]) == pytest.approx(1e3 * errors["test"]["energy_rmse"], rel=1e-3)
    again = sitewise("learning-curve", "run.toml", "--sizes", "2,6", "--seeds", "2", "--jobs", "1", "--quiet")
    assert again.stdout == told.stdout
    assert_refused(sitewise("learning-curve", "run.toml", "--sizes", "2,x"), "--sizes", "2,x")
    assert_refused(sitewise("learning-curve", "run.toml", "--sizes", "7"), "7 structures", "there are 6")
