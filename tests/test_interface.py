"""The Python interface without files of settings or data: structures in memory, one `load`, callbacks, longer runs."""

import json

import numpy as np
import pytest
import tomllib
from ase import Atoms
from ase.io import write
from typer.testing import CliRunner

import sitewise
from checks import silicon_frames
from sitewise import Config, Dataset, Ensemble, Error, Potential, train
from sitewise.cli import app
from sitewise.progress import Reporter

QUIET = Reporter(quiet=True)
SETTINGS = {"hidden": [5], "iterations": 8, "preset": "fast", "cutoff": 4.5, "posterior": False}


def test_data_set_of_atoms():
    frames = silicon_frames(4)
    data = Dataset(frames)
    assert [data.count(label) for label in ("energy", "forces", "stress")] == [4, 4, 4]
    assert data[1].group == "odd"
    assert data[3].source == "in memory, structure 3"
    with pytest.raises(Error, match=r"item 1 of a data set is a str, expected ase\.Atoms"):
        Dataset([frames[0], "frames.xyz"])
    with pytest.raises(Error, match="in memory, structure 0: has no atoms"):
        Dataset([Atoms()])


def test_structures_in_memory_train_as_those_of_files(tmp_path):
    frames = silicon_frames(12)
    write(tmp_path / "data.xyz", frames, format="extxyz")
    data = Dataset.read(tmp_path / "data.xyz", reporter=QUIET)
    config = Config.of(**SETTINGS)
    of_files = config.model_copy(
        update={"data": config.data.model_copy(update={"train": [str(tmp_path / "data.xyz")]})}
    )
    expected = train(of_files, tmp_path / "files", reporter=QUIET).core.weights
    found = train(data, tmp_path / "memory", reporter=QUIET, **SETTINGS).core.weights
    assert np.array_equal(found, expected)


def test_callbacks_see_each_log_point(tmp_path):
    frames, rows = silicon_frames(8), []
    train(frames[:6], tmp_path / "run", reporter=QUIET, test=frames[6:], on_log=rows.append, **SETTINGS)
    log = np.genfromtxt(tmp_path / "run" / "log.csv", delimiter=",", names=True)
    assert [row["iteration"] for row in rows] == log["iteration"].tolist()
    assert all(row["replica"] == 0 for row in rows)
    errors = json.loads((tmp_path / "run" / "errors.json").read_text())
    assert errors["test"]["n_structures"] == 2


def test_wrong_settings_are_named(tmp_path):
    frames = silicon_frames(4)
    with pytest.raises(Error, match="iteration: unknown setting, did you mean iterations"):
        train(frames, tmp_path / "run", reporter=QUIET, iteration=5)
    with pytest.raises(Error, match=r"\[network\] hidden"):
        train(frames, tmp_path / "run", reporter=QUIET, hidden=[0])
    with pytest.raises(Error, match="settings are for structures in memory"):
        train(tmp_path / "run.toml", tmp_path / "run", reporter=QUIET, iterations=5)
    with pytest.raises(Error, match="test: settings are for structures in memory"):
        train(tmp_path / "run.toml", tmp_path / "run", reporter=QUIET, test=0.2)
    with pytest.raises(Error, match="data: the structures are given already"):
        train(frames, tmp_path / "run", reporter=QUIET, data=(Dataset(frames), Dataset(frames)))
    with pytest.raises(Error, match="no labels found"):
        train([Atoms("Si")], tmp_path / "run", reporter=QUIET)
    assert not (tmp_path / "run").exists() or not any((tmp_path / "run").iterdir())


def test_run_folder_stands_for_its_potential(tmp_path):
    frames = silicon_frames(8)
    train(frames, tmp_path / "one", reporter=QUIET, **SETTINGS)
    train(frames, tmp_path / "two", reporter=QUIET, replicas=2, **SETTINGS)
    for name, kind in (("one", Potential), ("two", Ensemble)):
        loaded = sitewise.load(tmp_path / name)
        assert isinstance(loaded, kind)
        expected = sitewise.load(tmp_path / name / "potential").evaluate(frames[0])
        assert loaded.evaluate(frames[0]).energy == expected.energy
        assert [r.energy for r in loaded.evaluate_many(frames[:1])] == [expected.energy]
        assert CliRunner().invoke(app, ["info", str(tmp_path / name)]).exit_code == 0
    assert len(loaded) == 2
    assert Potential.load(tmp_path / "one").folder == tmp_path / "one" / "potential"
    with pytest.raises(Error, match=r"found a list, expected ase\.Atoms; evaluate_many"):
        loaded.evaluate(frames)


def test_finished_run_continues_with_more_iterations(tmp_path):
    frames = silicon_frames(8)
    train(frames, tmp_path / "run", reporter=QUIET, **SETTINGS)
    train(frames, tmp_path / "run", resume=True, reporter=QUIET, **SETTINGS | {"iterations": 12})
    log = np.genfromtxt(tmp_path / "run" / "log.csv", delimiter=",", names=True)
    assert log["iteration"][-1] == 12
    with pytest.raises(Error, match="is at iteration 12 already, beyond the 10"):
        train(frames, tmp_path / "run", resume=True, reporter=QUIET, **SETTINGS | {"iterations": 10})


def test_settings_of_a_run_can_be_run_again(tmp_path):
    write(tmp_path / "data.xyz", silicon_frames(8), format="extxyz")
    (tmp_path / "run.toml").write_text(
        '[data]\ntrain = "data.xyz"\n[symmetry_functions]\npreset = "fast"\n'
        "[training]\niterations = 5\nposterior = false"
    )
    weights = train(tmp_path / "run.toml", tmp_path / "run", reporter=QUIET).core.weights
    settings = tomllib.loads((tmp_path / "run" / "training.toml").read_text())
    assert settings["data"]["train"] == ["../data.xyz"]
    again = train(tmp_path / "run" / "training.toml", tmp_path / "again", reporter=QUIET).core.weights
    assert np.array_equal(again, weights)


def test_version_and_short_help():
    shown = CliRunner().invoke(app, ["--version"])
    assert shown.exit_code == 0
    assert shown.output == f"sitewise {sitewise.__version__}\n"
    assert "--resume" in CliRunner().invoke(app, ["train", "-h"]).output
