"""The keywords of n2p2 and RuNNer: each is used, without effect, or refused; what is used has the meaning that the
program of its owner gives it."""

import pickle
import resource
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

from checks import arrays, silicon
from sitewise import Ensemble, Error, Potential, _core
from sitewise.ensemble import load_potential
from sitewise.io.describe import describe

SILICON = """number_of_elements 1
elements Si
cutoff_type 1
scale_symmetry_functions
global_hidden_layers_short 1
global_nodes_short 2
global_activation_short t l
symfunction_short Si 2 Si 0.05 0.0 4.0
symfunction_short Si 2 Si 0.30 0.0 4.0
"""
TWO = """number_of_elements 2
elements O Si
cutoff_type 1
global_hidden_layers_short 1
global_nodes_short 1
global_activation_short t l
"""
WEIGHTS = {"Si": [2.5, -1.3, -1.7, 2.4, 0.1, -0.2, 4.5, -3.0, 0.0]}
NUMBERS = {"O": 8, "Si": 14}


def write(folder, text=SILICON, weights=WEIGHTS, functions=2):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "input.nn").write_text(text)
    for symbol, values in weights.items():
        (folder / f"weights.{NUMBERS[symbol]:03d}.data").write_text("\n".join(map(str, values)))
    (folder / "scaling.data").write_text("".join(f"1 {f + 1} 0.0 8.0 2.0\n" for f in range(functions)))
    return folder


def energy(folder):
    return Potential.load(folder).evaluate(CRYSTAL).energy


def features(text, folder, atoms):
    """Return G of all atoms, for the functions of an input.nn, and its elements."""
    (folder / "input.nn").write_text(text)
    elements, functions = _core.read_functions(str(folder / "input.nn"))
    return functions.evaluate(*arrays(atoms, [NUMBERS[e] for e in elements]))


CRYSTAL = silicon("small")


# -- the table ----------------------------------------------------------------------------------------------


def test_each_keyword_stands_once_with_a_reason():
    names = [name for name, _, _ in _core.keywords()]
    assert len(names) == len(set(names)) > 300
    assert {status for _, status, _ in _core.keywords()} == {"used", "without effect", "refused"}
    assert all(len(reason) > 10 for _, _, reason in _core.keywords())


def test_keywords_without_effect_have_none(tmp_path):
    more = "".join(f"{name} 2\n" for name, status, _ in _core.keywords() if status == "without effect")
    assert energy(write(tmp_path / "more", SILICON + more)) == energy(write(tmp_path / "plain"))


@pytest.mark.parametrize("name", [name for name, status, _ in _core.keywords() if status == "refused"])
def test_refused_keywords_say_where_and_what_to_do(tmp_path, name):
    write(tmp_path, SILICON + f"{name} 1\n")
    with pytest.raises(Error, match=rf'input.nn:10: keyword "{name}" is not supported: .*(RuNNer|remove|name it)'):
        Potential.load(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nn_type_short 2", "nn_type_short is 2, and only 1"),
        ("nn_type 2", "nn_type_short is 2, and only 1"),
        ("nnp_gen 3", "type 3 are not supported"),
        ("nnp_gen 4", "type 4 are not supported"),
        ("nnp_type 4G-HDNNP", "type 4G-HDNNP are not supported"),
        ("nnp_type Q-HDNNP", "type Q-HDNNP are not supported"),
        ("use_short_nn false", "without a short-range part"),
        ("normalize_nodes false", "expected none: it is on where it stands"),
        ("center_symmetry_functions 0", "expected none: it is on where it stands"),
        ("remove_atom_energies .false.", "expected none: it is on where it stands"),
        ("normalize_data_set force", "mean_energy, conv_energy and conv_length into input.nn, which are missing"),
        ("atom_energy Si 1\natom_energy Si 2", ':11: keyword "atom_energy" stands twice for element Si'),
        ("Normalize_nodes", 'unknown keyword "Normalize_nodes", did you mean "normalize_nodes"'),
        ("symfunction_short Si 4 Si 1.0 6.0", r"RuNNer's type 4 \(cosines"),
        ("symfunction_short Si 5 1.0", r"RuNNer's type 5 \(coordinates"),
        ("symfunction_short Si 6 Si 6.0", r"RuNNer's type 6 \(bare"),
        ("symfunction_short Si 8 Si Si 0.1 90.0 6.0", r"RuNNer's type 8 \(Gaussians"),
        ("symfunction_short Si 7 Si 6.0", "unknown type 7"),
        ("global_symfunction_short 12 0.1 0.0 6.0", "has the type 12, expected 1, 2, 3 or 9"),
        ("global_symfunction_short 2 0.1 6.0", "has 3 values, expected 4"),
        ("global_symfunction_short", "has 0 values, expected 2 to 6"),
        ("element_symfunction_short Si", "has 1 values, expected 3 to 7"),
        ("element_symfunction_short C 2 0.1 0.0 6.0", '"C" is not one of the elements'),
        ("symfunction_short Si 3 Si Si 0.1 1 1001 6.0", "zeta is 1001, expected a positive number up to 1000"),
    ],
)
def test_values_that_are_refused(tmp_path, line, message):
    write(tmp_path, SILICON + line + "\n")
    with pytest.raises(Error, match=message):
        Potential.load(tmp_path)


def edits(a, b):
    """Return Levenshtein's distance of two words."""
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        before, row = row, [i]
        for j, other in enumerate(b, 1):
            row.append(min(before[j - 1] + (letter != other), before[j] + 1, row[j - 1] + 1))
    return row[-1]


@pytest.mark.parametrize(
    "word",
    ["pochs", "Elements", "basics", "nlock", "xyzepochs", "wxyzepochs", "epochsxyz", "epochswxyz", "epos", "hjkl"],
)
def test_the_keyword_that_may_be_meant(tmp_path, word):
    least, nearest = min((edits(word, name), n) for n, (name, _, _) in enumerate(_core.keywords()))
    meant = f', did you mean "{_core.keywords()[nearest][0]}"?' if least < 4 else ""
    with pytest.raises(Error) as raised:
        Potential.load(write(tmp_path, SILICON + word + "\n"))
    assert str(raised.value).endswith(f'unknown keyword "{word}"{meant}')


@pytest.mark.parametrize(
    "line",
    ["nn_type_short 1", "nnp_gen 2", "use_short_nn", "use_short_nn T", "nn_type_elec 0",
     "normalize_data_set stats-only", "scale_min_short_atomic 0.0\nscale_max_short_atomic 1.0"],
)  # fmt: skip
def test_values_that_are_accepted(tmp_path, line):
    assert energy(write(tmp_path / "a", SILICON + line + "\n")) == energy(write(tmp_path / "b"))


# -- cutoff functions ---------------------------------------------------------------------------------------

SHAPES = {
    1: lambda x: (np.cos(np.pi * x) + 1) / 2,
    4: lambda x: np.exp(1 - 1 / (1 - x**2)),
    5: lambda x: (2 * x - 3) * x**2 + 1,
    6: lambda x: ((15 - 6 * x) * x - 10) * x**3 + 1,
    7: lambda x: (x * (x * (20 * x - 70) + 84) - 35) * x**4 + 1,
    8: lambda x: (x * (x * ((315 - 70 * x) * x - 540) + 420) - 126) * x**5 + 1,
}


def radial(atoms, eta, cutoff, kind, alpha, neighbor=14):
    """Compute sum exp(-eta r^2) fc(r) of each atom, in plain numpy."""
    i, j, r = neighbor_list("ijd", atoms, cutoff)
    x = np.maximum(r - alpha * cutoff, 0) / (cutoff - alpha * cutoff)
    terms = np.exp(-eta * r**2) * SHAPES[kind](x) * (atoms.numbers[j] == neighbor)
    return np.bincount(i, terms, len(atoms))


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("form", ["cutoff_type {}\ncutoff_alpha 0.5", "cutoff_type {} 0.5"])
def test_inner_cutoffs(tmp_path, kind, form):
    text = SILICON.replace("cutoff_type 1", form.format(kind))
    G = features(text, tmp_path, CRYSTAL)
    expected = np.transpose([radial(CRYSTAL, eta, 4.0, kind, 0.5) for eta in (0.05, 0.3)])
    assert np.allclose(G, expected, rtol=0, atol=1e-11)  # the polynomials here cancel near the cutoff
    assert not np.allclose(expected[:, 0], radial(CRYSTAL, 0.05, 4.0, kind, 0.0), atol=1e-2)


def test_the_inner_cutoff_as_keyword_and_as_argument(tmp_path):
    keyword = energy(write(tmp_path / "keyword", SILICON + "cutoff_alpha 0.5\n"))
    argument = energy(write(tmp_path / "argument", SILICON.replace("type 1", "type 1 0.5")))
    both = energy(write(tmp_path / "both", SILICON.replace("type 1", "type 1 0.5") + "cutoff_alpha 5d-1\n"))
    none = energy(write(tmp_path / "none"))
    assert keyword == argument == both != none
    Potential.load(tmp_path / "keyword").save(tmp_path / "saved")
    assert energy(tmp_path / "saved") == keyword


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("type 1", "type 1 0.4\ncutoff_alpha 0.5", r":4: cutoff_alpha is 0.5, but cutoff_type in line 3 has 0.4"),
        ("type 1", "type 1\ncutoff_alpha 1.0", "alpha is 1.0, expected 0 <= alpha < 1"),
        ("type 1", "type 1\ncutoff_alpha", "has 0 values, expected 1"),
        ("type 1", "type 2\ncutoff_alpha 0.5", "functions 2 and 3 jump"),
        ("type 1", "type 1 0.5\nrunner_mode 3", "RuNNer that of cutoff_alpha alone, and \"runner_mode\" in line 4"),
        ("type 1", "type 3\nrunner_mode 3", "functions 3 differ by a factor, and \"runner_mode\" in line 4"),
    ],
)  # fmt: skip
def test_cutoff_functions_that_are_refused(tmp_path, old, new, message):
    with pytest.raises(Error, match=message):
        Potential.load(write(tmp_path, SILICON.replace(old, new)))


def test_without_cutoff_type_it_is_the_cosine_and_info_says_so(tmp_path):
    write(tmp_path / "missing", SILICON.replace("cutoff_type 1\n", ""))
    assert energy(tmp_path / "missing") == energy(write(tmp_path / "plain"))
    says = "assumed: cutoff_type is missing: RuNNer's default 1 is used"
    assert says in list(describe(tmp_path / "missing", 1.0, 1.0))
    assert not any("assumed" in line for line in describe(tmp_path / "plain", 1.0, 1.0))


# -- symmetry functions -------------------------------------------------------------------------------------


def test_functions_of_type_1_are_sums_of_cutoff_functions(tmp_path):
    text = SILICON + "symfunction_short Si 1 Si 3.5\n"
    G = features(text, tmp_path, CRYSTAL)
    assert np.allclose(G[:, 0], radial(CRYSTAL, 0.0, 3.5, 1, 0.0), rtol=0, atol=1e-13)
    write(tmp_path, text, {"Si": np.linspace(-1, 1, 11)}, functions=3)
    assert Potential.load(tmp_path).core.assumed == ["symmetry functions of type 1 are read as type 2 with eta = 0"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("type 1", "type 6", "type 1 use the cosine"),
        ("type 1", "type 1 0.3", "type 1 use the cosine"),
        ("0.05 0.0 4.0", "0.05 0.0 3.0", "larger cutoff than one of type 2"),
        ("0.05 0.0 4.0", "0.0 0.0 3.5", "larger cutoff than one of type 2"),
    ],
)
def test_functions_of_type_1_with_another_meaning_or_order(tmp_path, old, new, message):
    with pytest.raises(Error, match=message):
        features(SILICON.replace(old, new) + "symfunction_short Si 1 Si 3.5\n", tmp_path, CRYSTAL)


def test_the_largest_cutoff_of_type_1_counts(tmp_path):
    for cutoffs in ((4.5, 3.0), (3.0, 4.5)):
        lines = "".join(f"symfunction_short Si 1 Si {cutoff}\n" for cutoff in cutoffs)
        with pytest.raises(Error, match="larger cutoff than one of type 2"):
            features(SILICON + lines, tmp_path, CRYSTAL)


def test_shifts_of_angular_functions_are_n2p2s(tmp_path):
    text = SILICON + "symfunction_short Si 9 Si Si 0.1 1 1 6.0 {}\n"
    assert features(text.format(0.3), tmp_path, CRYSTAL).shape == (2, 3)
    assert features(text.format(0.0) + "runner_mode 3\n", tmp_path, CRYSTAL).shape == (2, 3)
    with pytest.raises(Error, match=r':10: n2p2 reads the shift.*"runner_mode" in line 11'):
        features(text.format(0.3) + "runner_mode 3\n", tmp_path, CRYSTAL)


@pytest.mark.parametrize("name", ["global_symfunction_short", "global_symfunction_short_atomic"])
def test_functions_of_all_elements(tmp_path, name):
    rng = np.random.default_rng(1)
    atoms = Atoms("O3Si3", rng.uniform(0, 4, (6, 3)))
    short = f"{name} 2 0.1 0.5 5.0\n{name} 9 0.01 -1 2 6.0\n{name} 1 3.0\nelement_symfunction_short O 3 0.02 1 4 5.5\n"
    pairs = ("O O", "Si O", "Si Si")
    lines = [f"{c} 2 {n} 0.1 0.5 5.0" for c in NUMBERS for n in NUMBERS]
    lines += [f"{c} 9 {p} 0.01 -1 2 6.0" for c in NUMBERS for p in pairs] + [f"O 3 {p} 0.02 1 4 5.5" for p in pairs]
    lines += [f"{c} 1 {n} 3.0" for c in NUMBERS for n in NUMBERS]
    long = "".join(f"symfunction_short {line}\n" for line in lines)
    G = features(TWO + short, tmp_path, atoms)
    assert G.shape == (6, 10)
    assert np.array_equal(G, features(TWO + long, tmp_path, atoms), equal_nan=True)
    assert np.allclose(G[:, 1], radial(atoms, 0.0, 3.0, 1, 0.0), rtol=0, atol=1e-13)


# -- energies of atoms --------------------------------------------------------------------------------------


def test_atom_energies_of_n2p2_and_runner(tmp_path):
    plain, shift = energy(write(tmp_path / "plain")), "atom_energy Si -3.0\n"
    for name, more in {"n2p2": "", "runner": "remove_atom_energies\nrunner_mode 3\n"}.items():
        assert abs(energy(write(tmp_path / name, SILICON + shift + more)) - (plain - 6)) < 1e-12
    assert energy(write(tmp_path / "zero", SILICON + "runner_mode 3\natom_energy Si 0.0\n")) == plain
    write(tmp_path / "unclear", SILICON + "runner_mode 3\n" + shift)
    with pytest.raises(Error, match=r':11: n2p2 adds atom_energy.*"runner_mode" in line 10.*add remove_atom_energies'):
        Potential.load(tmp_path / "unclear")


def test_runners_names_of_the_range_of_scaled_functions(tmp_path):
    lines = "scale_min_short{0} -2.0\nscale_max_short{0} 3.0\n"
    for name in ("", "_atomic"):
        write(tmp_path / f"a{name}", SILICON + lines.format(name))
        scaling = Potential.load(tmp_path / f"a{name}").core.scaling
        assert (scaling.smin, scaling.smax) == (-2.0, 3.0)


# -- networks -----------------------------------------------------------------------------------------------

TWO_LAYERS = SILICON.replace("layers_short 1", "layers_short 2").replace("nodes_short 2", "nodes_short 3 4")
TWO_LAYERS = TWO_LAYERS.replace("short t l", "short t p l")


def count(*nodes):
    return sum((a + 1) * b for a, b in pairwise(nodes))


@pytest.mark.parametrize(
    ("lines", "nodes"),
    [
        ("element_nodes_short Si 2 5", (2, 2, 5, 1)),  # n2p2: all layers
        ("element_nodes_short Si 2 5", (2, 3, 5, 1)),  # RuNNer: layer 2
        ("element_nodes_short Si 1 7\nelement_nodes_short Si 2 5", (2, 7, 5, 1)),
        ("element_nodes_short Si 9 8", (2, 9, 8, 1)),
    ],
)
def test_both_forms_of_element_nodes(tmp_path, lines, nodes):
    write(tmp_path, f"{TWO_LAYERS}{lines}\n", {"Si": np.linspace(-1, 1, count(*nodes))})
    assert tuple(Potential.load(tmp_path).core.networks[0].nodes) == nodes


def test_element_nodes_with_two_meanings(tmp_path):
    text = TWO_LAYERS.replace("symfunction_short Si 2 Si 0.30 0.0 4.0\n", "").replace("short 3 4", "short 3 1")
    write(tmp_path, text + "element_nodes_short Si 1 5\n", {"Si": np.ones(count(1, 5, 1, 1))}, functions=1)
    with pytest.raises(Error, match="has two meanings, n2p2's and RuNNer's"):
        Potential.load(tmp_path)


def test_both_forms_of_element_activations(tmp_path):
    weights = {"Si": np.linspace(-1, 1, count(2, 3, 4, 1))}
    write(tmp_path, TWO_LAYERS + "element_activation_short Si g s l\n", weights)
    assert Potential.load(tmp_path).core.networks[0].activations == "gsl"
    write(tmp_path, TWO_LAYERS + "element_activation_short Si 2 1 p\n", weights)
    assert Potential.load(tmp_path).core.networks[0].activations == "tpl"
    for line, message in {
        "2 1 t": "a node with its own activation function",
        "4 1 t": "layer 4 is not one of 3",
        "g s t": "the output has the activation function t, but n2p2 takes l from line 7",
    }.items():
        write(tmp_path, f"{TWO_LAYERS}element_activation_short Si {line}\n", weights)
        with pytest.raises(Error, match=message):
            Potential.load(tmp_path)


@pytest.mark.parametrize("letter", "ltspgcSeh")
def test_activation_functions_have_one_meaning_in_both_programs(tmp_path, letter):
    text = SILICON.replace("short t l", f"short {letter} l").replace("scale_symmetry_functions\n", "")
    write(tmp_path, text)
    w = WEIGHTS["Si"]
    G = np.transpose([radial(CRYSTAL, eta, 4.0, 1, 0.0) for eta in (0.05, 0.3)])
    z = G @ np.reshape(w[:4], (2, 2)) + w[4:6]
    f = {
        "l": z, "t": np.tanh(z), "s": 1 / (1 + np.exp(-z)), "p": np.log(1 + np.exp(z)), "g": np.exp(-(z**2) / 2),
        "c": np.cos(z), "S": 1 - 1 / (1 + np.exp(-z)), "e": np.exp(-z), "h": z**2,
    }[letter]  # fmt: skip
    expected = (f @ w[6:8] + w[8]).sum()
    assert abs(energy(tmp_path) - expected) < 1e-12 * max(1, abs(expected))


def test_weights_as_runner_leaves_them(tmp_path):
    write(tmp_path / "usual")
    write(tmp_path / "fitted", SILICON + "runner_mode 2\n")
    (tmp_path / "fitted" / "weights.014.data").rename(tmp_path / "fitted" / "optweights.014.out")
    assert energy(tmp_path / "fitted") == energy(tmp_path / "usual")
    assert Potential.load(tmp_path / "fitted").core.assumed == ["weights of Si are those of optweights.014.out"]


# -- committees ---------------------------------------------------------------------------------------------


def committee(folder, names):
    for number, name in enumerate(names):
        write(folder / name, weights={"Si": np.array(WEIGHTS["Si"]) * (1 + number)})
    return folder


@pytest.mark.parametrize(
    "names", [["0", "1"], ["1", "2", "3"], ["nnp-1", "nnp-2"], ["nnp-data-1", "nnp-data-2"], ["m001", "m002"],
              [f"nnp-{n}" for n in range(1, 12)]]
)  # fmt: skip
def test_folders_of_committees(tmp_path, names):
    ensemble = load_potential(committee(tmp_path, names))
    assert isinstance(ensemble, Ensemble)
    assert [Path(member).name for member in _core.ensemble_members(str(tmp_path))] == names
    energies = [Potential.load(tmp_path / name).evaluate(CRYSTAL).energy for name in names]
    assert abs(ensemble.evaluate(CRYSTAL).energy - np.mean(energies)) < 1e-12


def test_committees_in_the_folder_of_their_input(tmp_path):
    committee(tmp_path, ["nnp-data-1", "nnp-data-2"])
    (tmp_path / "input.nn").write_text(SILICON + "committee_mode prediction\ncommittee_size 2\n")
    assert len(load_potential(tmp_path).members) == 2
    with pytest.raises(Error, match="holds a committee, expected one potential"):
        Potential.load(tmp_path)
    (tmp_path / "input.nn").write_text(SILICON + "committee_mode prediction\ncommittee_size 3\n")
    with pytest.raises(Error, match=r":11: committee_size is 3, but there are 2"):
        load_potential(tmp_path)
    (tmp_path / "input.nn").write_text(SILICON + "committee_mode prediction\ncommittee_size 1\n")
    with pytest.raises(Error, match=r":11: committee_size is 1, but there are 2"):
        load_potential(tmp_path)
    write(tmp_path, SILICON + "committee_mode off\n")  # a potential beside others
    assert isinstance(load_potential(tmp_path), Potential)


def test_committees_that_are_not_whole(tmp_path):
    with pytest.raises(Error, match="nnp-1 to nnp-3 are not all there, number 2 is missing"):
        load_potential(committee(tmp_path / "gap", ["nnp-1", "nnp-3"]))
    with pytest.raises(Error, match="several ensembles: a-1, b-1"):
        load_potential(committee(tmp_path / "two", ["a-1", "a-2", "b-1"]))
    with pytest.raises(Error, match=r"two members of number 0?1"):
        load_potential(committee(tmp_path / "twice", ["n1", "n01"]))
    broken = committee(tmp_path / "broken", ["1", "2", "3"])
    (broken / "3" / "input.nn").unlink()
    with pytest.raises(Error, match=r"3/input.nn: cannot be read"):
        load_potential(broken)
    with pytest.raises(Error, match="committee_mode asks for an ensemble"):
        load_potential(write(tmp_path / "alone", SILICON + "committee_mode prediction\n"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2 Si 0.1 0.0 4.0", "2 Si 0.2 0.0 4.0"),
        ("2 Si 0.1 0.0 4.0", "2 Si 0.1 0.5 4.0"),
        ("2 Si 0.1 0.0 4.0", "2 Si 0.1 0.0 4.5"),
        ("3 Si Si 0.01 1 2 4.0", "3 Si Si 0.01 -1 2 4.0"),
        ("3 Si Si 0.01 1 2 4.0", "3 Si Si 0.01 1 4 4.0"),
        ("3 Si Si 0.01 1 2 4.0", "9 Si Si 0.01 1 2 4.0"),
        ("20 Si 0.0 4.0 p2", "20 Si 0.5 4.0 p2"),
        ("20 Si 0.0 4.0 p2", "20 Si 0.0 4.0 p3"),
        ("20 Si 0.0 4.0 p2", "20 Si 0.0 4.0 p2a"),
        ("21 Si Si 0.0 4.0 60 180 p2", "21 Si Si 0.0 4.0 70 180 p2"),
        ("21 Si Si 0.0 4.0 60 170 p2", "21 Si Si 0.0 4.0 60 180 p2"),
    ],
)
def test_members_that_differ_in_one_number_of_a_function(tmp_path, one, other):
    weights = {"Si": np.linspace(-1, 1, count(3, 2, 1))}
    for name, function in (("0", one), ("1", other)):
        write(tmp_path / name, SILICON + f"symfunction_short Si {function}\n", weights, functions=3)
    with pytest.raises(Error, match="potential 1 of the ensemble has other elements or functions than potential 0"):
        load_potential(tmp_path)


# -- numbers and hostile files ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "value"),
    [("1e-400", 0.0), ("-1e-400", 0.0), ("1D-400", 0.0), ("1d-400", 0.0), ("0.5e-99999999999999999999", 0.0),
     ("0." + 400 * "0" + "1", 0.0), ("1" + 400 * "0" + "e-800", 0.0), ("1e-310", 1e-310), ("4.9E-324", 5e-324),
     ("0e999", 0.0), ("1.5d0", 1.5), ("+.5", 0.5), ("1" + 400 * "0" + "e-400", 1.0), ("-1D2", -100.0)],
)  # fmt: skip
def test_numbers(tmp_path, word, value):
    write(tmp_path, SILICON + f"atom_energy Si {word}\n")
    assert Potential.load(tmp_path).core.atom_energies == [value]


@pytest.mark.parametrize(
    "word", ["1e400", "-1e400", "1D400", "1" + 400 * "0", "0.1e99999999999999999999", "1" + 400 * "0" + "e-50",
             "nan", "inf", "+-1", "1e", "1e5x", "0x10", "1,0"]
)  # fmt: skip
def test_what_is_no_number(tmp_path, word):
    write(tmp_path, SILICON + f"atom_energy Si {word}\n")
    with pytest.raises(Error, match=r'input.nn:10: ".*" is not a finite number') as raised:
        Potential.load(tmp_path)
    assert len(str(raised.value)) < len(str(tmp_path)) + 130


@pytest.mark.parametrize(
    ("old", "new"),
    [("cutoff_type 1", "cutoff_type 1.5"), ("nodes_short 2", "nodes_short 2.5"), ("of_elements 1", "of_elements 1.1"),
     ("Si 2 Si 0.05", "Si 2.5 Si 0.05"), ("layers_short 1", "layers_short 1e-3")],
)  # fmt: skip
def test_what_is_no_integer(tmp_path, old, new):
    with pytest.raises(Error, match=rf'"{new.split()[1]}" is not an integer'):
        Potential.load(write(tmp_path, SILICON.replace(old, new)))


def test_byte_order_marks_and_line_ends(tmp_path):
    write(tmp_path / "plain")
    write(tmp_path / "mark")
    (tmp_path / "mark" / "input.nn").write_bytes(b"\xef\xbb\xbf" + SILICON.replace("\n", "\r\n").encode())
    assert energy(tmp_path / "mark") == energy(tmp_path / "plain")


EVIL = "\x1b[31m\x07<script>[/]" + 5000 * "x" + "\u202e"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("nodes_short 2", "nodes_short 1000000000", "9 weights, expected 4000000001 for a 2-1000000000-1 network"),
        ("layers_short 1", "layers_short 1000000000", "1 numbers of nodes for 1000000000 hidden layers"),
        ("layers_short 1", "layers_short 1e30", '"1e30" is not an integer'),
        ("of_elements 1", "of_elements 1000000000", "number_of_elements is 1000000000, but 1 elements"),
        ("elements Si\n", "elements" + 9000 * " Si" + "\n", "Si stands twice"),
        ("cutoff_type 1", EVIL, r'unknown keyword "\\x1b\[31m\\x07<script>'),
        ("elements Si\n", f"elements {EVIL}\n", "is not a chemical element"),
        ("short t l", f"short {EVIL} l", "unknown activation function"),
        ("Si 2 Si 0.05", f"Si 2 {EVIL} 0.05", "is not one of the elements"),
        ("Si 2 Si 0.05", f"Si 2 Si {EVIL}", "is not a finite number"),
        ("Si 2 Si 0.05 0.0 4.0", f"Si 20 Si 0.0 4.0 {EVIL}", "compact function"),
        ("cutoff_type 1", f"nnp_type {EVIL}", "are not supported"),
        ("cutoff_type 1", "# " + 100000 * "x", "has more than 65536 characters in a line"),
        ("cutoff_type 1", 200000 * "epochs 1\n", "is the line after 100000 others"),
    ],
)  # fmt: skip
def test_absurd_files_end_in_one_sentence_at_once(tmp_path, old, new, message):
    assert old in SILICON
    write(tmp_path, SILICON.replace(old, new))
    start, memory = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Error, match=message) as raised:
        Potential.load(tmp_path)
    assert time.perf_counter() - start < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 200_000  # kB
    text = str(raised.value)
    assert text.isprintable()
    assert text.isascii()
    assert len(text) < len(str(tmp_path)) + 300


def test_more_weights_than_the_file_has(tmp_path):
    """The error comes before memory is allocated for them, which would be 3 GB."""
    text = SILICON.replace("layers_short 1", "layers_short 2").replace("nodes_short 2", "nodes_short 20000 20000")
    write(tmp_path, text.replace("short t l", "short t t l"))
    start, memory = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Error, match="9 weights, expected 400100001 for a 2-20000-20000-1 network"):
        Potential.load(tmp_path)
    assert time.perf_counter() - start < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 200_000  # kB


def test_networks_of_many_wide_layers(tmp_path):
    widths = " ".join(5000 * ["1000000000"])
    text = SILICON.replace("layers_short 1", "layers_short 5000").replace("nodes_short 2", f"nodes_short {widths}")
    write(tmp_path, text.replace("short t l", "short " + 5000 * "t " + "l"))
    with pytest.raises(Error, match=r"9 weights, expected 4.99\S*e\+21 for a 2-1000000000-1000000000"):
        Potential.load(tmp_path)


def test_networks_of_python_have_bounds_too():
    for nodes in ([1, 10**9, 1], [1, *[2**31 - 1] * 20, 1]):
        with pytest.raises(Error, match=r"weights, more than 1e\+08"):
            _core.Network(nodes, "t" * (len(nodes) - 2) + "l")


def test_more_functions_than_are_read(tmp_path):
    symbols = ["H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K"]
    lines = "".join(f"global_symfunction_short 3 0.1 1 {zeta} 6.0\n" for zeta in range(1, 900))
    (tmp_path / "input.nn").write_text(f"number_of_elements 19\nelements {' '.join(symbols)}\ncutoff_type 1\n{lines}")
    with pytest.raises(Error, match="more than 4000 symmetry functions of one element"):
        _core.read_functions(str(tmp_path / "input.nn"))


def test_what_is_no_file(tmp_path):
    write(tmp_path)
    for name in ("input.nn", "weights.014.data", "scaling.data"):
        (tmp_path / name).rename(tmp_path / "kept")
        (tmp_path / name).symlink_to("/dev/zero")
        with pytest.raises(Error, match=f"{name}: is not a file"):
            Potential.load(tmp_path)
        (tmp_path / name).unlink()
        with (tmp_path / name).open("wb") as file:  # sparse
            file.truncate(1 << 30)
        with pytest.raises(Error, match=f"{name}: has 1073741824 bytes, expected at most 268435456"):
            Potential.load(tmp_path)
        (tmp_path / "kept").replace(tmp_path / name)


WITH_PLACES = [f"{value} {'b' if n in (5, 6, 9) else 'a'} {n}" for n, value in enumerate(WEIGHTS["Si"], 1)]


def test_weights_with_their_places(tmp_path):
    """n2p2 and RuNNer write the places of the nodes after each weight."""
    rows = [f"  {row} 0 1 1 1" for row in WITH_PLACES]
    assert energy(write(tmp_path / "places", weights={"Si": rows})) == energy(write(tmp_path / "plain"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*WITH_PLACES[:8], "0.0"], ":9: is not a row of weights"),
        ([f"{n} {value}" for n, value in enumerate(WEIGHTS["Si"])], ":1: is not a row of weights"),
        ([*WEIGHTS["Si"][:8], "0.0 b 9"], ":9: is not a row of weights"),
        ([" ".join(map(str, WEIGHTS["Si"]))], ": 1 weights, expected 9"),
    ],
)
def test_rows_of_weights_that_are_cut_or_hold_other_numbers(tmp_path, rows, message):
    with pytest.raises(Error, match=f"weights.014.data{message}"):
        Potential.load(write(tmp_path, weights={"Si": rows}))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            "scale_min_short 1\nscale_max_short 0",
            "scale_min_short is 1 and scale_max_short 0, expected",
        ),
        ("scale_min_short 1", "scale_min_short is 1 and scale_max_short 1, expected a maximum above"),
        ("mean_energy 0\nconv_energy 1\nconv_length 0", "conv_length is not positive"),
        ("nnp_gen", 'potentials of type "" are not supported'),
    ],
)
def test_values_without_a_meaning(tmp_path, more, message):
    with pytest.raises(Error, match=message):
        Potential.load(write(tmp_path, SILICON + more))


def test_a_mean_outside_of_the_range_is_refused_where_it_is_used(tmp_path):
    for folder, more in ((tmp_path / "unused", ""), (tmp_path / "used", "center_symmetry_functions\n")):
        write(folder, SILICON + more)
        (folder / "scaling.data").write_text("1 1 0.0 8.0 8.1\n1 2 0.0 8.0 8.000001\n")
    assert energy(tmp_path / "unused") == energy(write(tmp_path / "plain"))
    with pytest.raises(Error, match=r"scaling.data:1: the mean 8\.1 is not between minimum 0 and maximum 8"):
        Potential.load(tmp_path / "used")


def test_numbers_too_large_for_results_are_an_error(tmp_path):
    large = {"Si": [*WEIGHTS["Si"][:6], 1e308, 1e308, 0.0]}
    potential = Potential.load(write(tmp_path, weights=large))
    with pytest.raises(Error, match=r"the energy of atom 0 is 8\.\d+e\+306 eV: either weights are wrong, or"):
        potential.evaluate(CRYSTAL)


def test_what_was_assumed_goes_along_with_copies(tmp_path):
    potential = Potential.load(write(tmp_path, SILICON.replace("cutoff_type 1\n", "")))
    assert len(potential.core.assumed) == 1
    assert pickle.loads(pickle.dumps(potential)).core.assumed == potential.core.assumed
