import os

# Before NumPy is imported: threads of its BLAS that wait for work take the time of other processes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from pathlib import Path

import pytest
from hypothesis import settings

from sitewise.training import plots

settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def shared():
    """Return the folder of published potentials and data sets that are not part of the project."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("SITEWISE_SHARED") or default)
    if not path.is_dir():
        pytest.skip("the published data are not here: set SITEWISE_SHARED to their folder")
    return path


@pytest.fixture(scope="session", autouse=True)
def _without_pictures():
    """Leave out the pictures of training runs, which take most of the time of short ones."""
    save_pictures = plots.save_pictures
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "save_pictures", lambda *_: None)
        yield save_pictures


@pytest.fixture
def pictures(monkeypatch, _without_pictures):
    """Draw the pictures of training runs in this test."""
    monkeypatch.setattr(plots, "save_pictures", _without_pictures)
