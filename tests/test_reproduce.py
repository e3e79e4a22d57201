"""The experiments of the paper, each with settings of a second or two, and the frame that they share."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from sitewise import Error
from sitewise.cli import app
from sitewise.progress import Reporter
from sitewise.reproduce import EXPERIMENTS, Check, Experiment, Folder, Outcome, reproduce, spline

QUIET = Reporter(quiet=True)


def sitewise(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def shrink(monkeypatch):
    """Gives an experiment other settings."""

    def shrunk(name, settings):
        known = EXPERIMENTS[name]
        monkeypatch.setitem(EXPERIMENTS, name, Experiment(known.title, known.run, settings, settings))

    return shrunk


def result_of(folder):
    result = json.loads((folder / "result.json").read_text())
    for picture in result["pictures"]:
        assert (folder / picture).stat().st_size > 5000
    return result


# ---- frame


@pytest.mark.parametrize(
    ("found", "bounds", "passed"),
    [
        (1.0, {"above": 0.5}, True),
        (0.5, {"above": 0.5}, False),
        (0.4, {"below": 0.5}, True),
        (0.6, {"above": 0.1, "below": 0.5}, False),
        (np.nan, {"above": 0.1}, False),
        (np.nan, {"below": 0.1}, False),
        (np.inf, {"above": 0.1}, False),
    ],
)
def test_check(found, bounds, passed):
    check = Check("a number", found, **bounds)
    assert check.passed is passed
    assert check.line().startswith("pass" if passed else "FAIL")


def test_finished_parts_are_kept(tmp_path):
    calls = []

    def make(value):
        calls.append(value)
        return {"value": value}

    for value in (1, 2):
        folder = Folder(tmp_path / "out", {"size": 3}, QUIET)
        assert folder.part("one", lambda value=value: make(value)) == {"value": 1}
    assert calls == [1]
    with pytest.raises(Error, match=r"out: holds another experiment or other settings"):
        Folder(tmp_path / "out", {"size": 4}, QUIET)
    (tmp_path / "out" / "one.json").write_text("{")
    with pytest.raises(Error, match=r"one\.json: is damaged"):
        folder.part("one", lambda: make(3))


def test_interrupted_and_started_again(tmp_path, shrink, monkeypatch):
    shrink("spline", spline.Settings(sizes=(1, 2), seeds=1, iterations=3))
    learn = spline.predicted
    done = []

    def interrupted(f, size, *rest):
        if size == 2 and not done.count("stop"):
            done.append("stop")
            raise KeyboardInterrupt
        done.append(size)
        return learn(f, size, *rest)

    monkeypatch.setattr(spline, "predicted", interrupted)
    run = sitewise("reproduce", "spline", "--out", tmp_path / "out", "--quiet")
    assert run.exit_code == 130
    assert not (tmp_path / "out" / "result.json").exists()
    again = sitewise("reproduce", "spline", "--out", tmp_path / "out", "--quiet")
    assert again.exit_code == 0, again.output
    assert done == [1, "stop", 2]
    assert (tmp_path / "out" / "result.json").exists()


def test_a_failed_check_is_told(tmp_path, monkeypatch):
    outcome = Outcome(("x",), [(1.0,)], [Check("the number", 2.0, below=1.0)])
    monkeypatch.setitem(
        EXPERIMENTS, "spline", Experiment("title", lambda _, __: outcome, spline.Settings(), spline.Settings())
    )
    run = sitewise("reproduce", "spline", "--out", tmp_path / "out", "--quiet")
    assert run.exit_code == 1
    assert "FAIL  the number: 2, expected below 1" in run.stdout
    result = result_of(tmp_path / "out")
    assert result["passed"] is False
    assert result["checks"] == [{"name": "the number", "found": 2.0, "below": 1.0, "passed": False}]


def test_list_and_unknown_name(tmp_path):
    listed = sitewise("reproduce")
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(EXPERIMENTS)
    unknown = sitewise("reproduce", "splines", "--out", tmp_path / "out")
    assert unknown.exit_code == 2
    assert "there is no experiment splines, expected spline" in unknown.stderr
    assert not (tmp_path / "out").exists()


# ---- experiments


def test_spline(tmp_path, shrink):
    """f is learnt from a hundred sums and not from five."""
    shrink("spline", spline.Settings(sizes=(5, 100), seeds=1, iterations=300))
    outcome = reproduce("spline", tmp_path, reporter=QUIET)
    assert [check.passed for check in outcome.checks] == [True, True]
    assert result_of(tmp_path)["pictures"] == ["errors.png", "spline.png"]


def test_spline_is_the_energy_of_a_dimer():
    """A structure's energy is twice the sum of f, which bends naturally at its ends and goes through its knots."""
    f = spline.spline()
    assert f(np.linspace(2.0, 7.0, 8)) == pytest.approx(np.array(spline.KNOTS), abs=1e-12)
    assert f([2.0, 7.0], 2) == pytest.approx(np.zeros(2), abs=1e-12)
    structure = spline.dimers(np.array([2.5, 3.5]), f)
    assert structure.energy == pytest.approx(2 * (f(2.5) + f(3.5)))
    features = spline.radial_functions().evaluate(structure.atoms)
    assert features[0] == pytest.approx(features[1], abs=1e-12)  # both atoms of a dimer see the same
    shifts = np.linspace(2.0, 7.0, 8)
    cut = 0.5 * (np.cos(np.pi * 2.5 / 8.0) + 1)
    assert features[0] == pytest.approx(np.exp(-0.5 * ((2.5 - shifts) / (5 / 7)) ** 2) * cut, abs=1e-12)
