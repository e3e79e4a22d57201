"""Pictures exist, are whole, and cope with unusual data."""

import numpy as np
import pytest
from ase.io import write
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from checks import silicon_frames, silicon_potential
from sitewise import Dataset, Error, Potential
from sitewise.evaluation.comparison import Comparison, Pairs, compare
from sitewise.progress import Reporter
from sitewise.structures import Structure
from sitewise.training import plots
from sitewise.training.log import LOG_COLUMNS
from sitewise.training.plots import (
    save_correlation,
    save_distributions,
    save_learning_curves,
    save_pictures,
    save_size_curve,
)

QUIET = Reporter(quiet=True)


def comparison(folder, **kinds):
    write(folder / "data.xyz", silicon_frames(6, **kinds))
    return compare(Potential(silicon_potential()), Dataset.read(folder / "data.xyz", reporter=QUIET), "", QUIET)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kinds", "panels"), [({}, 3), ({"stress": False}, 2), ({"stress": False, "forces": False}, 1)]
)
def test_a_panel_for_each_kind_of_label(tmp_path, kinds, panels):
    compared = comparison(tmp_path, **kinds)
    log = np.ones((5, len(LOG_COLUMNS)))
    for kind in ("force", "stress")[panels - 1 :]:
        log[:, [LOG_COLUMNS.index(f"{kind}_rmse"), LOG_COLUMNS.index(f"test_{kind}_rmse")]] = np.nan
    save_pictures(tmp_path, LOG_COLUMNS, log.tolist(), {"train": compared, "test": compared})
    for name in ("learning_curves", "error_distributions", "correlation"):
        image = imread(tmp_path / f"{name}.png")
        assert image.shape[1] / 690 == pytest.approx(panels)  # 4.6 inches of 150 dots
        assert image[..., :3].std() > 0.05  # not blank


def test_other_formats_and_bad_names(tmp_path):
    compared = {"data": comparison(tmp_path)}
    save_correlation(tmp_path / "a.pdf", compared)
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(Error, match=r"a.xyz: is no kind of picture that is known, expected .*png"):
        save_correlation(tmp_path / "a.xyz", compared)


def test_one_structure_and_perfect_agreement(tmp_path):
    frames = silicon_frames(1)
    write(tmp_path / "one.xyz", frames)
    data = Dataset.read(tmp_path / "one.xyz", reporter=QUIET)
    potential = Potential(silicon_potential())
    save_correlation(tmp_path / "one.png", {"data": compare(potential, data, "", QUIET)})
    assert (tmp_path / "one.png").exists()


@pytest.fixture
def drawn(monkeypatch):
    """Return the axes of the last picture that is saved."""
    kept = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: kept.append(figure))
    return lambda: kept[-1].axes


def two_groups():
    """Make energies that are wrong by -4, -2, 1 and 3 meV/atom."""
    atoms = silicon_frames(1)[0]
    data = Dataset([Structure(atoms, -1.0, None, None, group, "") for group in ("b", "a", "b", "a")])
    reference, errors = np.array([-5.0, -5.1, -5.2, -5.3]), 1e-3 * np.array([-4, -2, 1, 3])
    nothing = Pairs(np.empty(0), np.empty(0), np.empty(0, dtype=np.int32))
    return Comparison(data, Pairs(reference, reference + errors, np.arange(4, dtype=np.int32)), nothing, nothing)


def test_numbers_of_the_correlation(tmp_path, drawn):
    """RMSE and MAE are those of all errors, and each group has its own points."""
    save_correlation(tmp_path / "a.png", {"data": two_groups()})
    (ax,) = drawn()
    assert [text.get_text() for text in ax.texts] == ["data: RMSE 2.74, MAE 2.5 meV/atom"]
    (drawn_points,) = ax.collections
    places, colors = drawn_points.get_offsets(), drawn_points.get_facecolors()[:, :3]
    points = {}
    for line in ax.lines:
        mine = places[(np.abs(colors - to_rgb(line.get_color())) < 1e-9).all(axis=1)]
        points[line.get_label()] = mine[np.argsort(-mine[:, 0])]
    np.testing.assert_allclose(points["b"], [[-5, -5.004], [-5.2, -5.199]])
    np.testing.assert_allclose(points["a"], [[-5.1, -5.102], [-5.3, -5.297]])


def test_numbers_of_the_distribution(tmp_path, drawn):
    save_distributions(tmp_path / "a.png", {"train": two_groups()})
    (ax,) = drawn()
    (label,) = (text.get_text() for text in ax.get_legend().texts)
    assert label == "train: 4 values, RMSE 2.74 meV/atom"
    low, high = ax.get_xlim()
    assert -low == high == pytest.approx(1.05 * 4, rel=1e-3)  # the largest error in meV/atom
    outline = ax.patches[0].get_xy()
    area = np.sum(outline[:-1, 1] * np.diff(outline[:, 0]))
    assert abs(area) == pytest.approx(1, rel=1e-6)


def test_numbers_of_the_size_curve(tmp_path, drawn):
    """A line goes through the means of the runs of each size, with energies in meV/atom."""
    rows = np.array([[10, 0, 0.004, 0.3, np.nan], [10, 1, 0.008, 0.1, np.nan], [40, 0, 0.002, 0.05, np.nan]])
    save_size_curve(tmp_path / "a.png", rows)
    energy, force = drawn()
    runs, mean = energy.lines
    np.testing.assert_allclose(runs.get_xydata(), [[10, 4], [10, 8], [40, 2]])
    np.testing.assert_allclose(mean.get_xydata(), [[10, 6], [40, 2]])
    np.testing.assert_allclose(force.lines[1].get_xydata(), [[10, 0.2], [40, 0.05]])


def test_numbers_of_the_learning_curves(tmp_path, drawn):
    """The RMS of the invariant points is over the points that count."""
    ones = np.ones(3)
    table = {
        f"{prefix}{kind}_rmse": np.nan * ones for prefix in ("", "test_") for kind in ("energy", "force", "stress")
    }
    table |= {"iteration": np.array([1.0, 2.0, 3.0]), "energy_rmse": np.array([0.03, 0.02, 0.01])}
    table |= {"delta a": -0.3 * ones, "delta b": 0.4 * ones, "delta c (extrapolation)": 9.0 * ones}
    save_learning_curves(tmp_path / "a.png", table)
    energy, points = drawn()
    assert [line.get_label() for line in energy.lines] == ["training"]
    np.testing.assert_allclose(energy.lines[0].get_xydata(), [[1, 30], [2, 20], [3, 10]])
    assert [line.get_ydata()[0] for line in points.lines[:3]] == pytest.approx([300, 400, 9000])
    (rms,) = (line for line in points.lines if line.get_label().startswith("RMS"))
    assert rms.get_label() == "RMS of 2"
    np.testing.assert_allclose(rms.get_ydata(), 1e3 * np.sqrt((0.3**2 + 0.4**2) / 2))
