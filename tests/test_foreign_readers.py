"""Our directories as other codes read them: strict readers written from the documentation of n2p2
(https://compphysvienna.github.io/n2p2, keywords, api) and from what CP2K's NNP section takes, which share nothing with
sitewise and compute energies in plain numpy, and CP2K itself where it is installed."""

import os
import re
import shutil
import subprocess
from itertools import pairwise

import numpy as np
import pytest
from ase.build import bulk
from ase.data import atomic_numbers
from ase.neighborlist import neighbor_list
from ase.units import Bohr, GPa, Hartree

from checks import assert_close, compiled, random_potential, rattled
from sitewise import Error, Potential, _core
from sitewise.io.cp2k import write_cp2k

BOHR, HARTREE = 1.8897261328, 0.0367493254

# What follows the type in a line symfunction_short
COLUMNS = {
    2: "e1 eta rs rc",
    3: "e1 e2 eta lambda zeta rc",
    9: "e1 e2 eta lambda zeta rc",
    12: "eta rs rc",
    13: "eta rs lambda zeta rc",
    20: "e1 left rc subtype",
    21: "e1 e2 left rc angle_left angle_right subtype",
    22: "e1 e2 left rc angle_left angle_right subtype",
    23: "left rc subtype",
    24: "left rc angle_left angle_right subtype",
    25: "left rc angle_left angle_right subtype",
}
SORTED_BY = ("type", "rc", "eta", "rs", "zeta", "lambda", "e1", "e2")  # n2p2's order of types 2, 3, 9, 12, 13
ONE_VALUE = ("number_of_elements", "scale_min_short", "scale_max_short", "mean_energy", "conv_energy", "conv_length")
FLAGS = (
    "scale_symmetry_functions",
    "center_symmetry_functions",
    "scale_symmetry_functions_sigma",
    "normalize_nodes",
    "remove_atom_energies",  # RuNNer's, in the examples of n2p2
)
REPEATED = ("symfunction_short", "atom_energy", "element_nodes_short")
GLOBAL = ("hidden_layers_short", "nodes_short", "activation_short")
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")  # which C's strtod and a list-directed READ take alike


def number(word):
    assert NUMBER.fullmatch(word), word
    return float(word)


class Settings:
    """The settings of an input.nn: one keyword per line, without what is behind #; only REPEATED may be there twice."""

    def __init__(self, path):
        self.lines = {}
        for line in path.read_text(encoding="ascii").splitlines():
            words = line.split("#")[0].split()
            if words:
                self.lines.setdefault(words[0], []).append(words[1:])
        known = {*ONE_VALUE, *FLAGS, *REPEATED, "elements", "cutoff_type"}
        known |= {f"{scope}_{name}" for scope in ("global", "element") for name in GLOBAL}
        assert set(self.lines) <= known
        for name, lines in self.lines.items():
            assert len(lines) == 1 or name in REPEATED, f"{name} stands {len(lines)} times"
            assert name not in FLAGS or lines == [[]]
            assert name not in ONE_VALUE or [len(words) for words in lines] == [1]

    def number(self, name, default):
        return number(self.lines[name][0][0]) if name in self.lines else default

    def of_element(self, name, symbol):
        own = [words[1:] for words in self.lines.get(f"element_{name}", []) if words[0] == symbol]
        assert len(own) <= 1
        return own[0] if own else self.lines[f"global_{name}"][0]


def function_of(words):
    """Read one line symfunction_short; types 3 and 9 may have r_s at the end."""
    columns = COLUMNS[int(words[1])].split()
    if words[1] in ("3", "9") and len(words) == len(columns) + 3:
        columns.append("rs")
    assert len(words) == len(columns) + 2, words
    f = {
        "center": words[0],
        "type": int(words[1]),
        "rs": 0.0,
        "eta": 0.0,
        "zeta": 0.0,
        "lambda": 0.0,
        "e1": "",
        "e2": "",
    }
    for name, word in zip(columns, words[2:], strict=True):
        f[name] = word if name in ("e1", "e2", "subtype") else number(word)
    return f


def read_rows(path, columns):
    rows = [line.split() for line in path.read_text(encoding="ascii").splitlines() if not line.startswith("#")]
    assert all(len(row) == columns for row in rows)
    return rows


def read_weights(path, nodes):
    """Read matrices [previous, next] and biases of each layer; the columns after the value have to agree with them."""
    rows = [line.split() for line in path.read_text(encoding="ascii").splitlines() if not line.startswith("#")]
    at, layers = 0, []
    for layer, (before, width) in enumerate(pairwise(nodes), 1):
        matrix, bias = np.empty((before, width)), np.empty(width)
        for j, k in np.ndindex(before, width):
            assert rows[at][1:] == ["a", *map(str, (at + 1, layer - 1, j + 1, layer, k + 1))]
            matrix[j, k], at = number(rows[at][0]), at + 1
        for k in range(width):
            assert rows[at][1:] == ["b", *map(str, (at + 1, layer, k + 1))]
            bias[k], at = number(rows[at][0]), at + 1
        layers.append((matrix, bias))
    assert at == len(rows)
    return layers


class FromN2p2:
    """What energies() needs, from a directory of n2p2."""

    def __init__(self, folder):
        settings = Settings(folder / "input.nn")
        self.elements = sorted(settings.lines["elements"][0], key=atomic_numbers.get)
        assert len(self.elements) == settings.number("number_of_elements", None)
        cutoff = settings.lines["cutoff_type"][0]
        self.cutoff_type, self.alpha = int(cutoff[0]), number(cutoff[1]) if len(cutoff) > 1 else 0.0
        self.low, self.high = settings.number("scale_min_short", 0.0), settings.number("scale_max_short", 1.0)
        flags = [name in settings.lines for name in FLAGS]
        self.scale, self.center, self.sigma, self.normalize_nodes = flags[:4]
        assert not self.sigma or not (self.scale or self.center)
        offsets = {words[0]: number(words[1]) for words in settings.lines["atom_energy"]}
        unit, mean = settings.number("conv_energy", 1.0), settings.number("mean_energy", 0.0)
        self.unit, self.offsets = unit, {symbol: offsets[symbol] + mean for symbol in self.elements}
        functions = [function_of(words) for words in settings.lines["symfunction_short"]]
        rows = read_rows(folder / "scaling.data", 6)
        self.functions, self.statistics, self.activations, self.layers = {}, {}, {}, {}
        for index, symbol in enumerate(self.elements, 1):
            own = self.functions[symbol] = [f for f in functions if f["center"] == symbol]
            plain = [f for f in own if f["type"] < 20]
            assert plain == sorted(plain, key=self.key)
            assert [row[:2] for row in rows[: len(own)]] == [[str(index), str(k + 1)] for k in range(len(own))]
            self.statistics[symbol] = np.array([[number(word) for word in row[2:]] for row in rows[: len(own)]])
            del rows[: len(own)]
            hidden = [int(word) for word in settings.of_element("nodes_short", symbol)]
            assert [str(len(hidden))] == settings.of_element("hidden_layers_short", symbol)
            self.activations[symbol] = settings.of_element("activation_short", symbol)
            weights = folder / f"weights.{atomic_numbers[symbol]:03d}.data"
            self.layers[symbol] = read_weights(weights, [len(own), *hidden, 1])
        assert not rows

    def key(self, f):
        return [atomic_numbers.get(f[name], 0) if name in ("e1", "e2") else f[name] for name in SORTED_BY]


class FromCp2k(FromN2p2):
    """The same as CP2K finds it.

    A keyword may be anywhere in a line that is not a comment, in upper or lower case; the first such line counts. There
    are functions of types 2 and 3 without r_s, scaled to [0, 1], in Hartree and Bohr.
    """

    def __init__(self, folder):
        lines = [line for line in (folder / "input.nn").read_text().splitlines() if line.strip()[:1] not in ("#", "!")]

        def found(name):
            return [line.split() for line in lines if name.lower() in line.lower()]

        assert found("number_of_elements")[0][0] == "number_of_elements"
        assert not found("scale_min_short_atomic")
        assert found("remove_atom_energies")  # or offsets are left out
        assert found("cutoff_type")[0][:1] == ["cutoff_type"]
        assert len(found("cutoff_type")[0]) == 2
        for name in GLOBAL:
            assert found(f"global_{name}")[0][0] == f"global_{name}"
            assert not found(f"element_{name}")
        super().__init__(folder)
        assert self.cutoff_type in (1, 2)
        assert self.scale
        assert not self.center
        assert (self.low, self.high, self.unit) == (0.0, 1.0, 1.0)
        assert {f["type"] for own in self.functions.values() for f in own} <= {2, 3}
        assert all(f["rs"] == 0 or f["type"] == 2 for own in self.functions.values() for f in own)
        assert all((s[:, 1] > s[:, 0]).all() for s in self.statistics.values())


def fc(kind, alpha, r, rc):
    inner = alpha * rc
    x = np.clip((r - inner) / (rc - inner), 0, None)
    tanh = np.tanh(1 - r / rc) ** 3
    value = {
        0: lambda: np.ones_like(r),
        1: lambda: (np.cos(np.pi * x) + 1) / 2,
        2: lambda: tanh,
        3: lambda: tanh / np.tanh(1) ** 3,
        4: lambda: np.exp(1 - 1 / (1 - np.minimum(x, 1 - 1e-9) ** 2)),
        5: lambda: (2 * x - 3) * x**2 + 1,
        6: lambda: ((15 - 6 * x) * x - 10) * x**3 + 1,
        7: lambda: (x * (x * (20 * x - 70) + 84) - 35) * x**4 + 1,
        8: lambda: (x * (x * ((315 - 70 * x) * x - 540) + 420) - 126) * x**5 + 1,
    }[kind]()
    return np.where(r < rc, value, 0.0)


def value_of(f, symbols, vectors, kind, alpha):
    """Compute one symmetry function of an atom."""
    r = np.linalg.norm(vectors, axis=1)
    charge = np.array([atomic_numbers[s] for s in symbols], float)

    def radial(distance):
        return np.exp(-f["eta"] * (distance - f["rs"]) ** 2) * fc(kind, alpha, distance, f["rc"])

    if f["type"] in (2, 12):
        weight = charge if f["type"] == 12 else np.array([s == f["e1"] for s in symbols], float)
        return (weight * radial(r)).sum()
    j, k = np.triu_indices(len(r), 1)
    third = np.linalg.norm(vectors[j] - vectors[k], axis=1)
    cosine = (vectors[j] * vectors[k]).sum(axis=1) / (r[j] * r[k])
    if f["type"] == 13:
        weight = charge[j] * charge[k]
    else:
        pairs = [sorted((symbols[a], symbols[b])) == sorted((f["e1"], f["e2"])) for a, b in zip(j, k, strict=True)]
        weight = np.array(pairs, float)
    terms = (1 + f["lambda"] * cosine).clip(0) ** f["zeta"] * radial(r[j]) * radial(r[k])
    if f["type"] != 9:
        terms = terms * radial(third)
    return 2 ** (1 - f["zeta"]) * (weight * terms).sum()


ACTIVATIONS = {
    "l": lambda z: z,
    "t": np.tanh,
    "s": lambda z: 1 / (1 + np.exp(-z)),
    "p": lambda z: np.log(1 + np.exp(z)),
    "r": lambda z: np.maximum(z, 0),
    "g": lambda z: np.exp(-(z**2) / 2),
    "c": np.cos,
    "S": lambda z: 1 - 1 / (1 + np.exp(-z)),
    "e": lambda z: np.exp(-z),
    "h": lambda z: z**2,
}


def energies(model, atoms, length=1.0):
    """Compute atomic energies, in the units of the directory; an Angstrom is `length` of these units."""
    reach = max(f["rc"] for own in model.functions.values() for f in own) / length
    i, j, vectors = neighbor_list("ijD", atoms, reach)
    result = []
    for atom, symbol in enumerate(atoms.symbols):
        near = i == atom
        symbols = [atoms.symbols[b] for b in j[near]]
        G = [
            value_of(f, symbols, vectors[near] * length, model.cutoff_type, model.alpha)
            for f in model.functions[symbol]
        ]
        low, high, mean, sigma = model.statistics[symbol].T
        x = np.array(G)
        if model.scale or model.center or model.sigma:
            x = x - (mean if model.center or model.sigma else low)
        if model.scale or model.sigma:
            x = model.low + (model.high - model.low) * x / (sigma if model.sigma else high - low)
        for (matrix, bias), letter in zip(model.layers[symbol], model.activations[symbol], strict=True):
            z = x @ matrix + bias
            x = ACTIVATIONS[letter](z / len(matrix) if model.normalize_nodes else z)
        result.append(x[0] / model.unit + model.offsets[symbol])
    return np.array(result)


def functions(types):
    make = _core.SymmetryFunction
    found = []
    for center in (0, 1):
        for n in (0, 1):
            found += [make(2, center, n, eta=eta, rs=rs, cutoff=rc) for eta, rs, rc in ((0.1, 0, 4.0), (1, 1.5, 3.5))]
        for pair in ((0, 0), (0, 1), (1, 1)):
            for kind in {3, 9} & set(types):
                found += [make(kind, center, *pair, eta=0.02, lambda_=x, zeta=2.0, cutoff=4.0) for x in (-1.0, 1.0)]
        if 9 in types:
            found += [
                make(k, center, 0, 1, eta=0.02, rs=0.4, lambda_=1.0, zeta=1.0, cutoff=4.0) for k in {3, 9} & set(types)
            ]
        if 13 in types:
            found.append(make(12, center, eta=0.2, rs=1.0, cutoff=4.0))
            found.append(make(13, center, eta=0.05, rs=0.3, lambda_=1.0, zeta=2.0, cutoff=4.0))
    return found


def potential(
    types, scaling="minmax", cutoff=(1, 0.0), letters=("ttl", "ttl"), hidden=((5, 4), (5, 4)), normalize=False
):
    """Make a potential for O and Si."""
    compiled_functions = compiled(*cutoff, functions=functions(types))
    random = random_potential(functions=functions(types))
    networks, rng = [], np.random.default_rng(4)
    for element in (0, 1):
        nodes = [compiled_functions.count(element), *hidden[element], 1]
        networks.append(_core.Network(nodes, letters[element], normalize))
        networks[-1].weights = rng.normal(0, 0.4, networks[-1].weights.size)
    statistics = [random.scaling.statistics(element) for element in (0, 1)]
    made = _core.Scaling(scaling, -1.0, 1.0, statistics)
    return Potential(_core.Potential(["O", "Si"], compiled_functions, made, networks, [-1.5, 0.25]))


@pytest.fixture(scope="module")
def atoms():
    """Make a small, skewed cell in which images of an atom are its own neighbours."""
    made = rattled(bulk("Si", "diamond", a=5.2), 0.1) * (2, 1, 1)
    made.set_cell(made.cell.array @ [[1, 0.02, -0.01], [0.03, 1.02, 0.03], [-0.1, 0.01, 0.97]], scale_atoms=True)
    made.symbols[::3] = "O"
    return made


CASES = {
    "types": {"types": (2, 3, 9, 13)},
    "shapes": {"letters": ("tsl", "pl"), "hidden": ((5, 4), (3,)), "types": (2, 3)},
    "nodes": {"normalize": True, "letters": ("gcl", "gcl"), "types": (2, 3)},
    "rest": {"letters": ("ehl", "ehl"), "types": (2,)},
    "reverse": {"letters": ("Srl", "Srl"), "types": (2,)},
    **{scaling: {"scaling": scaling, "types": (2, 3)} for scaling in ("none", "center", "minmax_center", "sigma")},
    **{f"cutoff {kind}": {"cutoff": (kind, 0.0 if kind in (0, 2, 3) else 0.3), "types": (2, 3)} for kind in range(9)},
}


@pytest.mark.parametrize("case", CASES)
def test_as_n2p2_reads_it(tmp_path, atoms, case):
    ours = potential(**CASES[case])
    ours.save(tmp_path / "potential", 'with comments:\nelements = "Xx"\ncutoff_type')
    assert_close(energies(FromN2p2(tmp_path / "potential"), atoms), ours.evaluate(atoms).energies, 1e-10)


def test_all_types_have_the_columns_of_n2p2(tmp_path):
    Potential(random_potential()).save(tmp_path / "potential")
    model = FromN2p2(tmp_path / "potential")
    assert {f["type"] for own in model.functions.values() for f in own} == set(COLUMNS)


def test_normalized_data_set(shared, tmp_path, atoms):
    """The published water potential is read and written."""
    ours = Potential.load(shared / "nnp-h2o", BOHR, HARTREE)
    ours.save(tmp_path / "potential")
    water = atoms.copy()
    water.symbols = ["O", "H", "H", "O"]
    model = FromN2p2(tmp_path / "potential")
    assert model.unit != 1
    assert_close(energies(model, water), ours.evaluate(water).energies, 1e-10)


def test_a_reader_that_fails(tmp_path, atoms):
    """The readers find what is wrong."""
    ours = potential((2, 3))
    ours.save(tmp_path / "potential")
    text = (tmp_path / "potential" / "input.nn").read_text()
    for old, new in (
        ("cutoff_type", "cutof_type"),
        ("symfunction_short O 2 O", "symfunction_short O 2 O 1"),
        ("1e", "1x"),
    ):
        (tmp_path / "potential" / "input.nn").write_text(text.replace(old, new, 1) if old in text else text + "x\n")
        with pytest.raises((AssertionError, KeyError)):
            FromN2p2(tmp_path / "potential")
    (tmp_path / "potential" / "input.nn").write_text(text)
    with pytest.raises(AssertionError):  # scaled to [-1, 1]
        FromCp2k(tmp_path / "potential")


CP2K_CASES = {
    "minmax": {},
    **{scaling: {"scaling": scaling} for scaling in ("none", "center", "minmax_center", "sigma")},
    "tanh cutoff": {"cutoff": (2, 0.0)},
    **{letter: {"letters": (f"{letter}tl",) * 2} for letter in "gsScleh"},
    "nodes": {"normalize": True},
}


def constant_function(ours):
    """Return the same potential with a third function that was constant in training."""
    core = ours.core
    statistics = [core.scaling.statistics(element) for element in (0, 1)]
    statistics[0][1, 2], statistics[0][3, 2] = statistics[0][0, 2], 0.0
    scaling = _core.Scaling(core.scaling.type, -1.0, 1.0, statistics)
    return Potential(_core.Potential(core.elements, core.functions, scaling, core.networks, core.atom_energies))


@pytest.mark.parametrize("case", CP2K_CASES)
def test_as_cp2k_reads_it(tmp_path, atoms, case):
    ours = constant_function(potential((2, 3), **CP2K_CASES[case]))
    write_cp2k(ours, tmp_path / "potential", "elements\ncutoff_type")
    expected = ours.evaluate(atoms)
    found = energies(FromCp2k(tmp_path / "potential"), atoms, 1 / Bohr)
    assert_close(found * Hartree, expected.energies, 1e-10)
    again = Potential.load(tmp_path / "potential", 1 / Bohr, 1 / Hartree).evaluate(atoms)
    assert_close(again.energies, expected.energies, 1e-11)
    assert_close(again.forces, expected.forces, 1e-10)


def test_a_normalized_data_set_for_cp2k(shared, tmp_path, atoms):
    ours = Potential.load(shared / "nnp-h2o", BOHR, HARTREE)
    write_cp2k(ours, tmp_path / "potential")
    water = atoms.copy()
    water.symbols = ["O", "H", "H", "O"]
    assert_close(
        energies(FromCp2k(tmp_path / "potential"), water, 1 / Bohr) * Hartree, ours.evaluate(water).energies, 1e-10
    )


def test_unknown_ranges_for_cp2k(tmp_path, atoms):
    """Functions that are not scaled may have any range, and a wrong range would leave nothing of them."""
    core = potential((2, 3), scaling="none").core
    statistics = [core.scaling.statistics(element) for element in (0, 1)]
    for rows in statistics:
        rows[0], rows[1] = -1e300, 1e300
    scaling = _core.Scaling("none", -1.0, 1.0, statistics)
    ours = Potential(_core.Potential(core.elements, core.functions, scaling, core.networks, core.atom_energies))
    write_cp2k(ours, tmp_path / "potential")
    found = energies(FromCp2k(tmp_path / "potential"), atoms, 1 / Bohr) * Hartree
    assert_close(found, ours.evaluate(atoms).energies, 1e-10)


def test_mean_and_unit_of_the_energy_for_cp2k(tmp_path, atoms):
    """The mean is added once per atom."""
    plain = potential((2, 3))
    plain.save(tmp_path / "own")
    with (tmp_path / "own" / "input.nn").open("a") as file:
        file.write("mean_energy -0.7\nconv_energy 2.5\nconv_length 1.0\n")
    ours = Potential.load(tmp_path / "own")
    isolated = np.array([-1.5 if symbol == "O" else 0.25 for symbol in atoms.symbols])
    expected = (plain.evaluate(atoms).energies - isolated) / 2.5 - 0.7 + isolated
    assert_close(ours.evaluate(atoms).energies, expected, 1e-12)
    write_cp2k(ours, tmp_path / "potential")
    assert_close(energies(FromCp2k(tmp_path / "potential"), atoms, 1 / Bohr) * Hartree, expected, 1e-10)


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ({"types": (2, 9)}, "has symmetry functions of types 2 and 3 alone, the potential has type 9"),
        ({"types": (2, 3, 9)}, "has no r_s in symmetry functions of type 3"),
        ({"types": (2, 3), "cutoff": (6, 0.0)}, "has cutoff types 1 and 2 without alpha, the potential has 6"),
        ({"types": (2, 3), "cutoff": (1, 0.3)}, "has cutoff types 1 and 2 without alpha, the potential has 1"),
        ({"types": (2,), "hidden": ((5, 4), (5, 3))}, "has one shape of network for all elements"),
        ({"types": (2,), "letters": ("ttt", "ttt")}, "needs hidden layers, and here a linear last one"),
        ({"types": (2,), "letters": ("ptl", "ptl")}, "has forces of softplus"),
        ({"types": (2,), "letters": ("rtl", "rtl")}, "has no activation function r"),
    ],
)
def test_what_cp2k_lacks_is_told(tmp_path, case, sentence):
    ours = potential(**case)
    with pytest.raises(Error, match=f"potential: CP2K's NNP {re.escape(sentence)}"):
        write_cp2k(ours, tmp_path / "potential")
    assert not (tmp_path / "potential").exists()


CP2K_INPUT = """
&GLOBAL
  PROJECT nnp
  RUN_TYPE ENERGY_FORCE
&END GLOBAL
&FORCE_EVAL
  METHOD NNP
  STRESS_TENSOR ANALYTICAL
  &NNP
    NNP_INPUT_FILE_NAME potential/input.nn
    SCALE_FILE_NAME potential/scaling.data
    &MODEL
      WEIGHTS potential/weights
    &END MODEL
  &END NNP
  &PRINT
    &FORCES
      NDIGITS 14
    &END FORCES
    &STRESS_TENSOR
    &END STRESS_TENSOR
  &END PRINT
  &SUBSYS
    &CELL
{cell}
    &END CELL
    &COORD
{atoms}
    &END COORD
  &END SUBSYS
&END FORCE_EVAL
"""


@pytest.mark.skipif(shutil.which("cp2k.psmp") is None, reason="CP2K is not installed")
@pytest.mark.parametrize("case", ["minmax", "center", "tanh cutoff"])
def test_in_cp2k(tmp_path, case):
    """Energy, forces and stress agree; the two programs' Bohr and Hartree differ by some 1e-9."""
    atoms = rattled(bulk("Si", "diamond", a=5.2, cubic=True) * (2, 2, 2), 0.1)
    atoms.symbols[::3] = "O"
    ours = potential((2, 3), **CP2K_CASES[case])
    write_cp2k(ours, tmp_path / "potential")
    cell = "\n".join(
        f"      {name} {' '.join(map(repr, a.tolist()))}" for name, a in zip("ABC", atoms.cell, strict=True)
    )
    places = "\n".join(f"      {a.symbol} {' '.join(map(repr, a.position.tolist()))}" for a in atoms)
    (tmp_path / "nnp.inp").write_text(CP2K_INPUT.format(cell=cell, atoms=places))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = ["cp2k.psmp", "-i", "nnp.inp"]
    text = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True).stdout
    expected = ours.evaluate(atoms)
    energy = float(re.search(r"energy \[a.u.\]:\s*(\S+)", text).group(1)) * Hartree
    assert_close(energy, expected.energy, 1e-7)
    rows = [line.split() for line in text.split("ATOMIC FORCES in [a.u.]")[1].splitlines()]
    forces = np.array([row[3:6] for row in rows if len(row) == 6 and row[0].isdigit()], float) * Hartree / Bohr
    assert_close(forces, expected.forces, 1e-6)
    stress = np.array(re.findall(r"STRESS\|\s+[xyz]((?:\s+-?\d\.\d+E[+-]\d+){3})$", text, re.M)[:3])
    stress = np.array([row.split() for row in stress], float) * -GPa
    assert_close(stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], expected.stress, 1e-6)
