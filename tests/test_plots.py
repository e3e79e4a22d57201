"""Pictures exist, are whole, and cope with what data bring."""

import numpy as np
import pytest
from ase.io import write
from matplotlib.image import imread

from checks import silicon_frames, silicon_potential
from sitewise import Dataset, Error, Potential
from sitewise.metrics import compare
from sitewise.plots import save_correlation, save_pictures
from sitewise.progress import Reporter
from sitewise.training import LOG_COLUMNS

QUIET = Reporter(quiet=True)


def comparison(folder, **kinds):
    write(folder / "data.xyz", silicon_frames(6, **kinds))
    return compare(Potential(silicon_potential()), Dataset.read(folder / "data.xyz", reporter=QUIET), "", QUIET)


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
