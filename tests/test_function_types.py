"""The table of types of symmetry functions: reader, writer, Python, header and formulas agree with it for each type.
The functions are made from the table, so a new type is among them."""

import re
from pathlib import Path

import pytest

from checks import arrays, assert_close, structures
from sitewise import Error, SymmetryFunctions, _core
from sitewise.presets import ANGULAR, RADIAL, WIDE_ANGULAR
from sitewise.symmetry import COLUMNS, PARAMETERS
from test_symmetry import formula

ROOT = Path(__file__).resolve().parents[1]
TYPES = _core.function_types()
ELEMENTS = ["O", "Si"]
HEAD = "number_of_elements 2\nelements O Si\ncutoff_type 1\n"

# Each column: the parameter that it sets, a word, the value that the word stands for, and the power of its length
MEANING = {
    "e1": ("neighbor1", "O", 0, 0),
    "e2": ("neighbor2", "Si", 1, 0),
    "eta": ("eta", "0.05", 0.05, -2),
    "rs": ("rs", "0.5", 0.5, 1),
    "[rs]": ("rs", "0.25", 0.25, 1),
    "lambda": ("lambda_", "-1", -1.0, 0),
    "zeta": ("zeta", "3", 3.0, 0),
    "rc": ("cutoff", "4.25", 4.25, 1),
    "rl": ("left", "0.75", 0.75, 1),
    "angle_left": ("angle_left", "40", 40.0, 0),
    "angle_right": ("angle_right", "140", 140.0, 0),
    "subtype": ("subtype", "p3a", "p3a", 0),
    "s1": ("neighbor1", "O", 0, 0),
    "s2": ("neighbor2", "all", _core.SymmetryFunction.all, 0),
    "s3": ("neighbor3", "Si", 1, 0),
    "s4": ("neighbor4", "Z", _core.SymmetryFunction.all_by_number, 0),
    "eta2": ("eta2", "0.75", 0.75, -2),
    "eta3": ("eta3", "0.1", 0.1, -2),
    "eta4": ("eta4", "0.2", 0.2, -2),
    "rs2": ("rs2", "1.5", 1.5, 1),
    "rs3": ("rs3", "2", 2.0, 1),
    "rs4": ("rs4", "2.5", 2.5, 1),
    "p1": ("power1", "4", 4.0, 0),
    "p2": ("power2", "2", 2.0, 0),
    "p3": ("power3", "1", 1.0, 0),
    "p4": ("power4", "0", 0.0, 0),
}
# Columns of the shells of contractions: element, eta, r_s
SHELLS = [("s1", "eta", "rs"), ("s2", "eta2", "rs2"), ("s3", "eta3", "rs3"), ("s4", "eta4", "rs4")]
# The columns of n2p2's documentation (symfunction_short)
N2P2 = {
    2: "e1 eta rs rc",
    3: "e1 e2 eta lambda zeta rc [rs]",
    9: "e1 e2 eta lambda zeta rc [rs]",
    12: "eta rs rc",
    13: "eta rs lambda zeta rc",
    20: "e1 rl rc subtype",
    21: "e1 e2 rl rc angle_left angle_right subtype",
    22: "e1 e2 rl rc angle_left angle_right subtype",
    23: "rl rc subtype",
    24: "rl rc angle_left angle_right subtype",
    25: "rl rc angle_left angle_right subtype",
}
each_type = pytest.mark.parametrize("kind", TYPES, ids=lambda kind: str(kind.number))


def lines(kind, columns):
    """One function for each centre."""
    words = " ".join(MEANING[column][1] for column in columns)
    return "".join(f"symfunction_short {center} {kind.number} {words}\n" for center in ELEMENTS)


def read(folder, text, cflength=1.0):
    (folder / "input.nn").write_text(HEAD + text)
    return SymmetryFunctions.from_input(folder / "input.nn", cflength)


def named(kind):
    return {column: MEANING[column][0] for column in kind.columns}


def test_each_type_stands_once():
    assert len({kind.number for kind in TYPES}) == len(TYPES) >= 11
    assert set(MEANING) == {name for name, _ in _core.function_columns()}
    assert {parameter for parameter, *_ in MEANING.values()} | {"type", "center"} == set(PARAMETERS)


def test_columns_stand_in_the_order_of_n2p2():
    columns = {kind.number: " ".join(kind.columns) for kind in TYPES}
    assert columns.items() >= N2P2.items()


@each_type
def test_columns_are_those_of_what_a_type_is(kind):
    columns, angular = set(kind.columns), kind.shape.endswith("angular")
    assert kind.shape in ("radial", "narrow angular", "wide angular", "contraction")
    assert "rc" in columns
    if kind.shape == "contraction":
        shells = kind.number - 31
        powers = {f"p{k}" for k in range(1, 1 + (1 if shells == 2 else shells))}
        assert columns == {column for shell in SHELLS[:shells] for column in shell} | powers | {"rc"}
        return
    assert ("e1" in columns, "e2" in columns) == (not kind.weighted, angular and not kind.weighted)
    assert {"rl", "subtype"} <= columns if kind.compact else "eta" in columns
    assert not angular or {"lambda", "zeta"} <= columns or {"angle_left", "angle_right"} <= columns


@each_type
def test_a_line_is_read_and_written(tmp_path, kind):
    text = lines(kind, kind.columns)
    functions = read(tmp_path, text)
    assert functions.core.lines(ELEMENTS) == text
    (f,) = functions.of("Si")
    default = _core.SymmetryFunction(kind.number, 1, cutoff=4.25)
    values = {MEANING[column][0]: MEANING[column][2] for column in kind.columns}
    assert all(getattr(f, name) == values.get(name, getattr(default, name)) for name in PARAMETERS)
    assert (f.is_angular, f.is_compact) == (kind.shape.endswith("angular"), kind.compact)


@each_type
def test_columns_in_brackets_may_be_missing(tmp_path, kind):
    needed = [column for column in kind.columns if not column.startswith("[")]
    text = lines(kind, needed)
    assert read(tmp_path, text).core.lines(ELEMENTS) == text
    for columns in (needed[:-1], [*kind.columns, "rc"]):
        with pytest.raises(Error, match=f":4: .* has {len(columns) + 2} values, expected {len(needed) + 2}"):
            read(tmp_path, lines(kind, columns))


@each_type
def test_lengths_are_converted(tmp_path, kind):
    (f,) = read(tmp_path, lines(kind, kind.columns), cflength=2.0).of("O")
    for column in kind.columns:
        parameter, _, value, power = MEANING[column]
        assert getattr(f, parameter) == (value / 2.0**power if power else value)


@each_type
def test_values_equal_the_formula(tmp_path, kind):
    core = read(tmp_path, lines(kind, kind.columns)).core
    species, positions, cell, pbc = arrays(structures()["mixed"])
    G = core.evaluate(species, positions, cell, pbc)
    i, j, vectors, _ = _core.neighbor_list(positions, cell, pbc, core.cutoff)
    expected = [
        formula(core.functions(species[atom])[0], 1, 0.0, species[j[i == atom]], vectors[i == atom])
        for atom in range(len(species))
    ]
    assert max(expected) > 1e-4
    assert_close(G[:, 0], expected, 1e-12)


@each_type
def test_the_printed_table_shows_what_a_type_has(tmp_path, kind):
    row = dict(zip(COLUMNS, next(read(tmp_path, lines(kind, kind.columns)).rows()), strict=True))
    shown = {
        **{"eta (1/A^2)": "eta", "r_s (A)": "rs", "lambda": "lambda_", "zeta": "zeta", "shape": "subtype"},
        **{"left (A)": "left", "angles (deg)": "angle_left", "powers": "power1", "cutoff (A)": "cutoff"},
    }
    assert {title for title in shown if row[title]} == {
        title for title, parameter in shown.items() if parameter in named(kind).values()
    }
    if kind.shape == "contraction":
        shells = kind.number - 31
        assert row["neighbours"] == " ".join(["O", "all", "Si", "Z"][:shells])
        assert row["eta (1/A^2)"] == " ".join(["0.05", "0.75", "0.1", "0.2"][:shells])
        assert row["r_s (A)"] == " ".join(["0.5", "1.5", "2", "2.5"][:shells])
        assert row["powers"] == ("4" if shells == 2 else " ".join(["4", "2", "1", "0"][:shells]))
        return
    assert row["neighbours"] == ("all" if kind.weighted else "O Si" if kind.shape != "radial" else "O")


def test_names_of_types():
    plain = {kind.shape: kind.number for kind in TYPES if kind.number < 12}
    assert plain == {"radial": RADIAL, "narrow angular": ANGULAR, "wide angular": WIDE_ANGULAR}


def test_an_unknown_type_is_refused_with_all_types():
    with pytest.raises(Error, match="the type is unknown, expected ") as caught:
        _core.SymmetryFunctions(1, [_core.SymmetryFunction(99, 0, cutoff=4.0)])
    named = str(caught.value).split("expected ")[1].replace(" or ", ", ").split(", ")
    ends = [[int(end) for end in part.split(" to ")] for part in named]
    assert [number for end in ends for number in range(end[0], end[-1] + 1)] == [kind.number for kind in TYPES]


@each_type
def test_the_header_has_the_formula(kind):
    text = (ROOT / "cpp" / "include" / "sitewise" / "symmetry.hpp").read_text()
    assert re.search(rf"^///     (\d+, )?{kind.number}(, \d+)?  ", text, re.MULTILINE)
