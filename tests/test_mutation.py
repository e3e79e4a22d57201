"""The planted bugs of tests/mutation, which `mutate.py` runs, have a place in the code."""

import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]


def test_each_planted_bug_has_one_place():
    """A change of the code must change the bug, too."""
    bugs = tomllib.loads((ROOT / "tests" / "mutation" / "planted.toml").read_text())["bug"]
    counts = {bug["name"]: (ROOT / bug["file"]).read_text().count(bug["old"]) for bug in bugs}
    assert len(counts) == len(bugs)
    assert {name: count for name, count in counts.items() if count != 1} == {}
