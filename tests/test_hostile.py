"""Files that are malicious or broken: their contents stay where they belong, and they end in one `Error`."""

import bz2
import gzip
import io
import json
import lzma
import re
import resource
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write
from hypothesis import given, settings
from hypothesis import strategies as st

from checks import silicon_frames, silicon_potential
from sitewise import Dataset, Error, Potential
from sitewise.config import Config
from sitewise.io.extxyz import write_extxyz
from sitewise.io.lammps_data import write_lammps_data
from sitewise.io.runner import read_runner, write_runner
from sitewise.io.simple_nn import read_potential, write_potential
from sitewise.mapping.plots import _labelled
from sitewise.progress import Reporter
from sitewise.structures import Structure
from sitewise.text import for_html, for_line, for_picture, for_script, for_table, printable, printable_lines
from sitewise.training.checkpoint import State

QUIET = Reporter(quiet=True)
ESCAPES = "\x1b[31m\x00\r\n\t\x7f\x9b\u200b\u202e\u2028\u2029\ufeff\ud800"


def test_printable_text_shows_what_would_act() -> None:
    assert printable(ESCAPES, 100) == r"\x1b[31m\x00\r\n\t\x7f\x9b\u200b\u202e\u2028\u2029\ufeff\ud800"
    assert printable("Si bulk, 300 K (é, 硅, $x_1$)") == "Si bulk, 300 K (é, 硅, $x_1$)"
    assert printable(1.5) == "1.5"


@pytest.mark.parametrize("text", ["x" * 1000, "\x1b" * 70, "é" * 81, "\U000e0001" * 80, ESCAPES * 10**5])
@pytest.mark.parametrize("limit", [3, 10, 80, 2000])
def test_printable_text_is_short(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert len(shown) <= limit
    assert (shown == text) == (text.isprintable() and len(text) <= limit)


def test_the_ends_of_long_text_are_kept() -> None:
    assert printable("begin" + "." * 1000 + "end", 20).startswith("begin")
    assert printable("begin" + "." * 1000 + "end", 20).endswith("...end")
    assert printable_lines("one\ntw\x1bo\n" + "x" * 100, 12) == "one\ntw\\x1bo\n" + "xxxxxx...xxx"


def test_a_line_of_a_file_stays_one_line() -> None:
    """Python splits lines at more characters than other programs; words keep their direction."""
    ends = "".join(map(chr, range(0x3000)))
    assert for_line(ends).splitlines() == [for_line(ends)]
    assert for_line("a\u2028b\u2029c\x85d\ne\u202e") == "a\\u2028b\\u2029c\\x85d\\ne\u202e"


def test_each_place_has_its_own_escapes() -> None:
    evil = "</SCRIPT><script>&'\"\u2028"
    assert for_html(evil) == r"&lt;/SCRIPT&gt;&lt;script&gt;&amp;&#x27;&quot;\u2028"
    assert not set("<>&\u2028") & set(for_script({"a": evil}))
    assert json.loads(for_script({"a": evil})) == {"a": evil}
    assert for_picture(r"$\bad{$") == r"\$\bad{\$"
    assert for_picture("_x") == " _x"
    assert for_table("[/]\x1b").plain == r"[/]\x1b"


# Names that act where they are not taken for text: in rich, matplotlib, HTML, a terminal, the lines of files.
NAMES = [
    *("[/]", "[bold]", "[link=file:///]x[/link]", ":bomb:", "$\\bad{$", "$x_1$", "_hidden", "%s {0} {x}", "\\", "a\\"),
    *("</SCRIPT><script>window.hit=1</script>", "<img src=x onerror='window.hit=1'>", "<!--<script>", "&lt;b&gt;"),
    *(
        "\x1b[2J\x1b]0;title\x07",
        "\x9b31m",
        "\u202egnp.exe",
        "a\nend\nbegin",
        "a\rb",
        "a\u2028b",
        "\x85",
        "x" * 100_000,
    ),
    *("energy=1e9", 'a" energy="1e9', "{[(", "硅　晶", "=", ",", "'"),
]


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """Make a folder with structures of such groups, a potential, and a training run."""
    folder = tmp_path_factory.mktemp("names")
    frames = silicon_frames(len(NAMES))
    for i, atoms in enumerate(frames):
        atoms.info["config_type"] = NAMES[i]
        atoms.info["kind"] = NAMES[i]
    write(folder / "data.traj", frames)
    Potential(silicon_potential()).save(folder / "potential")
    return folder


def _run(folder, *arguments, status=0):
    """Return what a command prints to stdout and stderr, after a check for active characters."""
    command = [sys.executable, "-m", "sitewise", *arguments]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert run.returncode == status, run.stderr
    for text in (run.stdout, run.stderr):
        assert "Traceback" not in text
        assert all(printable(line, 10**6) == line for line in text.split("\n")), text
        assert max(map(len, text.splitlines()), default=0) < 2100
    return run.stdout, run.stderr


@pytest.mark.slow
def test_names_in_tables_and_pictures(named):
    shown, _ = _run(named, "evaluate", "potential", "data.traj", "--plot", "plot.png", "--json", "errors.json")
    for name in NAMES:
        assert printable(f"  {name}") in shown
    assert set(json.loads((named / "errors.json").read_text())["groups"]) == set(NAMES)
    assert (named / "plot.png").stat().st_size > 10_000


@pytest.mark.slow
def test_names_in_information(named):
    shown, _ = _run(named, "info", "data.traj")
    assert all(f"  {printable(name)}: 1 structures" in shown for name in NAMES)


@pytest.mark.slow
def test_names_in_a_run(named):
    weights = "\n".join(f"{json.dumps(name)} = 2.0" for name in NAMES)
    tables = '[data]\ntrain = "data.traj"\ntest = 0.3\n[training]\niterations = 2\n[training.group_weights]\n'
    (named / "run.toml").write_text(tables + weights)
    _run(named, "train", "run.toml")
    assert {path.name for path in (named / "run").glob("*.png")} >= {"correlation.png"}
    _run(named, "info", "run/potential")
    (named / "typo.toml").write_text(tables + "\n".join(f"{json.dumps(name + '?')} = 2.0" for name in NAMES))
    _, said = _run(named, "train", "typo.toml", status=2)
    assert len(said) < 3000


@pytest.mark.slow
def test_names_in_predictions(named):
    _run(named, "predict", "potential", "data.traj", "-o", "out.xyz")
    _run(named, "convert", "data.traj", "-o", "converted.xyz")
    for name in ("out.xyz", "converted.xyz"):
        found = read(named / name, ":")
        assert [str(atoms.info["config_type"]) for atoms in found] == NAMES
        assert all(len(atoms) == 8 for atoms in found)


@pytest.mark.slow
def test_names_in_input_data(named):
    _run(named, "convert", "data.traj", "-o", "input.data")
    found = list(read_runner(named / "input.data"))
    assert [atoms.info["config_type"] for atoms in found] == NAMES


@pytest.mark.slow
def test_names_of_files(named):
    evil = "a\nb\x1b[31m[bold]$.traj"
    (named / evil).write_bytes((named / "data.traj").read_bytes())
    _run(named, "info", evil)
    _run(named, "convert", evil, "--index", "0", "-o", "one.lmp")
    lines = (named / "one.lmp").read_text().splitlines()
    assert lines[:3] == [
        r"a\nb\x1b[31m[bold]$.traj, structure 0, units metal, atom_style atomic, boundary p p p",
        "",
        "8 atoms",
    ]
    _run(named, "info", evil + "?", status=2)


def _structure(info, name="x"):
    atoms = silicon_frames(1)[0]
    atoms.calc = None
    atoms.info = dict(info)
    return Structure(atoms, -1.0, np.zeros((8, 3)), None, "", name)


def test_the_comment_of_a_structure_stays_a_comment(tmp_path):
    structures = [s for name in NAMES for s in (_structure({"comment": name}), _structure({}, name))]
    write_runner(structures, tmp_path / "input.data", 1.0, 1.0)
    found = Dataset.read(tmp_path / "input.data", reporter=QUIET)
    assert [(len(s.atoms), s.energy) for s in found] == [(8, -1.0)] * len(structures)
    for structure in structures[1::2]:
        write_lammps_data(structure, tmp_path / "one.lmp")
        assert re.split("[\n\r\x0b\x0c]", (tmp_path / "one.lmp").read_text())[1:3] == ["", "8 atoms"]


def test_comments_of_a_potential_stay_comments(tmp_path):
    potential = Potential(silicon_potential())
    potential.save(tmp_path / "p", "one\rcutoff_type 1\ntwo\x0bglobal_symfunction_short")
    lines = (tmp_path / "p" / "input.nn").read_text().splitlines()
    assert lines[:2] == [r"# one\rcutoff_type 1", r"# two\x0bglobal_symfunction_short"]


TEXT = st.text(st.characters(exclude_categories=[]), min_size=1, max_size=12)
VALUES = st.recursive(TEXT, lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXT, values, max_size=3))


@settings(max_examples=60)
@given(key=TEXT, value=VALUES, label=TEXT)
def test_what_a_structure_carries_adds_nothing_to_a_file(tmp_path_factory, key, value, label):
    path = tmp_path_factory.getbasetemp() / "carried.xyz"
    atoms = bulk("Cu") * (2, 2, 1)
    atoms.info = {"before": 1.5, "x" + key: value, "after": 2.5}
    atoms.arrays["x" + label] = np.array([label] * 3 + ["x"])
    with path.open("w", encoding="utf-8") as file:
        for _ in range(2):
            write_extxyz(file, atoms, {})
    for found in read(path, ":"):
        assert np.allclose(found.positions, atoms.positions, atol=1e-7)
        entries = list(found.info.items())
        assert entries[0] == ("before", 1.5)
        assert entries[-1] == ("after", 2.5)
        assert len(entries) <= 3
        assert len(found.arrays) == 3


DATA = '[data]\ntrain = "a.xyz"\n'
FILES = {
    "brackets": ("a = " + "[" * 2000, "too many brackets"),
    "closed brackets": ("a = " + "[" * 900 + "]" * 900, "too many brackets"),
    "dots": ("[" + "a." * 100_000 + "a]", "too many dots"),
    "dots and blanks": ('["a" . ' + '"b" .' * 30_000 + "a]", "too many dots"),
    "tables": ("a = " + "{a=" * 2000 + "1" + "}" * 2000, "too many brackets"),
    "digits": (DATA + "[training]\nseed = " + "9" * 5000, "digits"),
    "hexadecimal": (DATA + "[training]\nseed = 0x" + "f" * 200_000, "a value of type int"),
    "many nodes": (DATA + "[network]\nhidden = [1000000000]", "2000000000 weights"),
    "many layers": (DATA + "[network]\nhidden = [" + "1, " * 50_000 + "]", "at most 20 values"),
    "matrix": (DATA + "[network]\nhidden = [400, 400]", '160800 weights .* for the matrix of optimizer "gn-lbfgs"'),
    "cutoff": (DATA + "[symmetry_functions]\ncutoff = 1000.0", "less than or equal to 50"),
    "iterations": (DATA + "[training]\niterations = 1000000001", "less than or equal to 1000000000"),
    "replicas": (DATA + "[training]\nreplicas = 1000000000", "less than or equal to 1000"),
    "budget": (DATA + "[training]\nmemory_budget = 1e308", "less than or equal to 1000000"),
    "unknown keys": ("".join(f"a{i} = 1\n" for i in range(20_000)), "and 19991 more mistakes"),
    "long word": (DATA + '[training]\noptimizer = "' + "x" * 200_000 + '"', r"xxx\.\.\.xxx"),
    "escape code": (DATA + '["\\u001b[31m"]\nx = 1', r"\[\\x1b\[31m\]: unknown table"),
    "list for a name": (DATA + "[training]\nrecipe = [1]", "recipe"),
    "large": (DATA + "#" * 300_000, "larger than"),
}


@pytest.mark.parametrize(("content", "message"), FILES.values(), ids=FILES)
def test_absurd_configurations(tmp_path, content, message):
    (tmp_path / "run.toml").write_text(content)
    began = time.process_time()
    with pytest.raises(Error, match=message) as caught:
        Config.load(tmp_path / "run.toml")
    assert len(str(caught.value)) < 2000
    assert time.process_time() - began < 5


def test_a_potential_of_simple_nn_cut_anywhere(tmp_path):
    write_potential(Potential(silicon_potential()), tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    for cut in range(len(whole) - 1):  # the last two are line ends
        (tmp_path / "cut").write_bytes(whole[:cut])
        with pytest.raises(Error, match="cut"):
            read_potential(tmp_path / "cut")
    for more in (b"x", b"\nPOT Si 5.0\n"):
        (tmp_path / "more").write_bytes(whole + more)
        with pytest.raises(Error, match="more"):
            read_potential(tmp_path / "more")


def _state():
    memory = {"value": np.array(0.5), "slope": np.ones(3), "steps": np.zeros((2, 3))}
    return State.start(np.arange(3.0), memory)


DIMENSIONS = {"value": 0, "slope": 1, "steps": 2}


def test_a_flipped_byte_of_a_checkpoint(tmp_path):
    path, identity = tmp_path / "checkpoint.npz", {"a": 1}
    _state().save(path, identity)
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            state = State.load(path, identity)
            state.require(path, 3, DIMENSIONS, 2)
        except Error:
            refused += 1
        else:  # a date or an attribute
            assert np.array_equal(state.theta, np.arange(3.0))
            assert np.array_equal(state.memory["steps"], np.zeros((2, 3)))
    assert refused > 0.5 * len(whole) / 7


@pytest.mark.parametrize("change", ["compressed", "extra", "extra memory", "missing", "dtype", "shape", "nan", "log"])
def test_a_checkpoint_that_another_program_made(tmp_path, change):
    path, identity = tmp_path / "checkpoint.npz", {"a": 1}
    state = _state()
    state.log = [[1.0, 2.0]]
    state.save(path, identity)
    with np.load(path) as arrays:
        values = dict(arrays)
    State.load(path, identity).require(path, 3, DIMENSIONS, 2)
    changes = {
        "extra": {"more": np.zeros(1)},
        "extra memory": {"memory.more": np.zeros(3)},
        "missing": {},
        "dtype": {"theta": np.arange(3)},
        "shape": {"theta": np.arange(4.0), "best_theta": np.arange(4.0)},
        "nan": {"theta": np.full(3, np.nan)},
        "log": {"log": np.ones((1, 3))},
    }
    if change == "missing":
        del values["memory.slope"]
    save = np.savez_compressed if change == "compressed" else np.savez
    save(path, **(values | changes.get(change, {})))
    with pytest.raises(Error, match="is not a checkpoint of this version"):
        State.load(path, identity).require(path, 3, DIMENSIONS, 2)


def test_a_checkpoint_that_unpacks_to_gigabytes(tmp_path):
    path = tmp_path / "checkpoint.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("theta.npy", "w") as member:
        for _ in range(64):
            member.write(bytes(1 << 20))
    with pytest.raises(Error, match="it is compressed"):
        State.load(path, {})


def _refused(path, match):
    began = time.process_time()
    with pytest.raises(Error, match=match) as caught:
        Dataset.read(path, require_labels=False, reporter=QUIET)
    assert len(str(caught.value)) < 1000
    assert time.process_time() - began < 5


@pytest.mark.slow
@pytest.mark.parametrize("packer", [gzip, bz2, lzma])
def test_data_that_unpack_to_gigabytes(tmp_path, packer):
    ending = {gzip: "gz", bz2: "bz2", lzma: "xz"}[packer]
    with packer.open(tmp_path / f"bomb.xyz.{ending}", "wb") as file:
        for _ in range(160):
            file.write(b" " * (1 << 20))
    _refused(tmp_path / f"bomb.xyz.{ending}", "unpacks to more than 200 times its size")


@pytest.mark.slow
def test_a_large_file_that_unpacks_too_far_is_not_unpacked_to_its_end(tmp_path):
    """The compressible part comes first; the rest would allow for gigabytes."""
    with (tmp_path / "bomb.xyz.gz").open("wb") as file:
        file.write(gzip.compress(b" " * (160 << 20)))
        file.truncate(1 << 30)
    _refused(tmp_path / "bomb.xyz.gz", "unpacks to more than 200 times its size")


def test_long_names_in_pictures_take_no_room(tmp_path):
    """In an array of text every name would be as wide as the longest, and end before a zero."""
    figure, axes = plt.subplots()
    names = ["x" * 10_000_000, *(f"{k}\0" for k in range(999)), "0"]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _labelled(axes, np.zeros((len(names), 2)), names, names)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB
    assert [len(line.get_xdata()) for line in axes.get_lines()][:2] == [1, 1]
    plt.close(figure)


ABSURD = {
    "atoms.xyz": "1000000000\n\nSi 0 0 0\n",
    "digits.xyz": "9" * 5000 + "\n\nSi 0 0 0\n",
    "signed.xyz": "+1000000000\n\nSi 0 0 0\n",
    "quoted.xyz": "1\n'Properties'='species:S:1:pos:R:3:x:R:+1000000000'\nSi 0 0 0 1\n",
    "digits of columns.xyz": "1\nProperties=species:S:1:pos:R:3:x:R:99999999999999999999\nSi 0 0 0 1\n",
    "columns.xyz": '1\nProperties="species:S:1:pos:R:3:x:R:1000000000"\nSi 0 0 0 1\n',
    "array.json": '{"1": {"numbers": {"__ndarray__": [[1000000000], "int64", [14]]}}, "ids": [1], "nextid": 2}',
    "x.lammps-data": "x\n\n1000000000 atoms\n1 atom types\n0 4 xlo xhi\n0 4 ylo yhi\n0 4 zlo zhi\n\nAtoms\n\n1 1 0 0 0",
    "nested.json": "[" * 100_000,
    "nested.extxyz": '1\nx="_JSON ' + "[" * 50_000 + '"\nSi 0 0 0\n',
    "POSCAR": "x\n1.0\n4 0 0\n0 4 0\n0 0 4\nSi\n1000000000\nDirect\n0 0 0\n",
    "dump.lammpstrj": "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1000000000\nITEM: BOX BOUNDS pp pp pp\n0 4\n0 4\n0 4\n"
    "ITEM: ATOMS id element x y z\n1 Si 0 0 0\n",
    "input.data": "begin\natom 0 0 nan Si 0 0 0 0 0\nenergy 0\ncharge 0\nend\n",
    "vasprun.xml": '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    + "]><modeling><generator>&j;</generator></modeling>",
}


@pytest.mark.parametrize(("name", "content"), ABSURD.items(), ids=ABSURD)
def test_data_of_absurd_sizes(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    _refused(tmp_path / name, name)


@pytest.mark.parametrize("name", ["postgresql.xyz", "mysql.xyz"])
def test_no_database_is_called_by_the_name_of_a_file(tmp_path, monkeypatch, name):
    (tmp_path / name).write_text("1\n\nSi 0 0 0\n")
    monkeypatch.chdir(tmp_path)
    _refused(name, "has the name of a database on a server")


@pytest.mark.slow
def test_mutated_files_are_read_or_refused(tmp_path):
    script = Path(__file__).resolve().parents[1] / "fuzz" / "mutate_readers.py"
    command = [sys.executable, script, "--inputs", "400", "--seed", "20190725", "--keep", tmp_path]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "400 inputs, 0 findings" in run.stdout


def test_names_in_a_progress_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Reporter().task("reading [/] [bold]\x1b[2J", 3) as advance:
        advance(note="[/] \x1b[5m")
    shown = sys.stderr.getvalue()
    assert r"reading [/] [bold]\x1b[2J" in shown
    assert r"[/] \x1b[5m" in shown
    assert "\x1b[2J" not in shown
    assert "\x1b[5m" not in shown


@pytest.mark.parametrize(
    ("path", "message"),
    [
        *((name, "no such file|is not a file name") for name in ("a\0b", "**a")),  # Python 3.13 swaps the two
        ("a" * 10_000, "is not a file name"),
        *(("/dev/zero", "is not a file"), ("[", "no such file")),
    ],
)
def test_names_that_are_no_files(path, message):
    _refused(path, message)


def test_an_absurd_number_of_atoms_in_a_later_head(tmp_path):
    head = "Si\n1\n5 0 0\n0 5 0\n0 0 5\nSi\n{}\nDirect configuration= {}\n0.1 0.2 0.3\n"
    path = tmp_path / "XDATCAR"
    path.write_text(head.format(1, 1) + head.format(1, 2))
    assert len(Dataset.read(path, require_labels=False)) == 2
    path.write_text(head.format(1, 1) + head.format(1000000000, 2))
    with pytest.raises(Error, match=r"says it has 1e\+09 atoms or numbers, but has only \d+ bytes"):
        Dataset.read(path, require_labels=False)
