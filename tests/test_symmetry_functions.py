"""Presets, files and the automatic choice of symmetry functions."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from checks import assert_close, compiled, rattled
from sitewise import Error, SymmetryFunctions
from sitewise._core import SymmetryFunction
from sitewise.presets import covalent_distances, nearest_distances
from sitewise.structures import Structure
from sitewise.symmetry import COLUMNS


def test_simple_nn_set():
    functions = SymmetryFunctions.preset("simple-nn", ["Si"])
    rows = [(f.type, f.eta, f.rs, f.zeta, f.lambda_, f.cutoff) for f in functions.of("Si")]
    radial = [row for row in rows if row[0] == 2]
    angular = [row for row in rows if row[0] == 3]
    etas = [0.003214, 0.035711, 0.071421, 0.124987, 0.214264, 0.357106, 0.714213, 1.428426]
    assert [row[1] for row in radial] == pytest.approx(etas, abs=0)
    assert sorted(row[1:5] for row in angular) == sorted(
        (eta, 0.0, zeta, lam) for eta in (0.000357, 0.028569, 0.089277) for zeta in (1, 2, 4) for lam in (-1, 1)
    )
    assert {row[5] for row in rows} == {6.0}


def test_fast_set_is_computed_from_moments():
    functions = SymmetryFunctions.preset("fast", ["Si"])
    assert [f.type for f in functions.of("Si")] == [2] * 8 + [9] * 24
    assert functions.cutoff == 5.0
    assert functions.core.moments == [24]


def test_accurate_set_follows_the_distances():
    """One element at 2.5 Angstrom: shells from 0.8 distances to one spacing before the cutoff, of 2.1 distances."""
    functions = SymmetryFunctions.preset("accurate", ["Si"], distances=np.array([[2.5]])).of("Si")
    assert {f.cutoff for f in functions} == {5.25}
    for kind, count, spacing in ((2, 8, 3.25 / 8), (33, 4, 3.25 / 4), (34, 4, 3.25 / 4)):
        shells = sorted({(f.rs, f.eta) for f in functions if f.type == kind})
        expected = [(2 + k * spacing, 1 / (1.5 * spacing) ** 2) for k in range(count)]
        assert_close(shells, expected, 1e-14)
    pairs = {(f.rs, f.rs2, f.power1) for f in functions if f.type == 33}
    triples = {(f.rs, f.power1, f.power2, f.power3) for f in functions if f.type == 34}
    assert (len(pairs), len(triples), len(functions)) == (10 * 4, 4 * 9, 8 + 40 + 36)
    assert all(f.rs == f.rs2 == f.rs3 and f.eta == f.eta2 == f.eta3 for f in functions if f.type == 34)


def test_accurate_set_of_several_elements_grows_by_radial_functions_alone():
    """Moments are those of all neighbours, once with weight 1 and once with atomic numbers."""
    distances = np.array([[1.8, 1.0], [1.0, 2.4]])
    functions = SymmetryFunctions.preset("accurate", ["O", "H"], 4.0, distances)
    every = SymmetryFunctions.preset("accurate", ["H", "C", "O", "Cu", "Au"], 6.0)
    assert [functions.core.count(e) for e in (0, 1)] == [2 * 8 + 2 * 76] * 2
    assert [every.core.count(e) for e in range(5)] == [5 * 8 + 2 * 76] * 5
    contractions = [f for f in functions.of("H") if f.type == 34]
    sums = SymmetryFunction.all, SymmetryFunction.all_by_number
    assert {(f.neighbor1, f.neighbor2, f.neighbor3) for f in contractions} == {(s, s, s) for s in sums}
    assert min(f.rs for f in contractions) == pytest.approx(0.8)
    assert {f.neighbor1: f.rs for f in reversed(functions.of("H")) if f.type == 2 and f.rs < 1.5} == pytest.approx(
        {0: 1.44, 1: 0.8}
    )


@pytest.mark.parametrize(("distances", "cutoff"), [([[2.5, 2.6], [2.6, 9.0]], 5.46), ([[1.8, 1.0], [1.0, 2.4]], 4.8)])
def test_the_cutoff_of_the_accurate_set_follows_the_nearest_neighbours(distances, cutoff):
    functions = SymmetryFunctions.preset("accurate", ["Cu", "Au"], distances=np.array(distances))
    assert functions.cutoff == pytest.approx(cutoff)
    assert all(0 < f.rs < f.cutoff for e in functions.elements for f in functions.of(e))


def test_accurate_functions_are_of_full_rank():
    functions = SymmetryFunctions.preset("accurate", ["Si"])
    G = functions.evaluate(rattled(bulk("Si", "diamond", a=5.4, cubic=True) * (2, 2, 2), 0.3))
    G = np.vstack([G, functions.evaluate(rattled(bulk("Si", "diamond", a=5.1, cubic=True) * (2, 2, 2), 0.2))])
    assert np.linalg.matrix_rank((G - G.mean(axis=0)) / G.std(axis=0), tol=1e-9) == len(functions)


def test_tables_of_all_types_show_what_a_type_has():
    functions = SymmetryFunctions(["O", "Si"], compiled())
    rows = {row[2]: row for row in functions.rows()}
    assert rows["2"][3:8] == ("Si", "2", "1.8", "", "")
    assert rows["12"][3:8] == ("all", "0.2", "1", "", "")
    assert rows["25"][3:] == ("all", "", "", "", "", "", "p4a", "0", "0 to 180", "4.3")
    assert str(functions).splitlines()[1].split() == " ".join(c for c in COLUMNS if c != "powers").split()
    assert "angles" not in str(SymmetryFunctions.preset("simple-nn", ["Si"]))


def test_several_elements():
    functions = SymmetryFunctions.preset("simple-nn", ["O", "Si", "H", "O"], cutoff=5.0)
    assert functions.elements == ("H", "O", "Si")
    assert len(functions) == 3 * (3 * 8 + 6 * 18)
    assert functions.cutoff == 5.0


def test_automatic_choice_sees_what_it_should():
    functions = SymmetryFunctions.preset("auto", ["Si", "O"], 6.0)
    assert len(functions) == 2 * (2 * 8 + 3 * 16)
    shifts = [f.rs for f in functions.of("O") if f.type == 2]
    assert all(0 < rs < 6.0 for rs in shifts)
    with pytest.raises(Error, match="a cutoff of 2 Angstrom is too short for Si-Si"):
        SymmetryFunctions.preset("auto", ["Si"], 2.0)


def test_automatic_functions_are_of_full_rank():
    functions = SymmetryFunctions.preset("auto", ["Si"], 6.0)
    atoms = rattled(bulk("Si", "diamond", a=5.4, cubic=True) * (2, 2, 2), 0.3)
    G = functions.evaluate(atoms)
    assert G.shape == (64, len(functions))
    assert np.all(G.std(axis=0) > 0)


def test_pool_covers_all_lengths():
    functions = SymmetryFunctions.preset("pool", ["Si", "O"], 5.0)
    assert [functions.core.count(e) for e in (0, 1)] == [2 * 17 + 3 * 54] * 2
    assert len(SymmetryFunctions.preset("pool", ["Si"], 5.0)) == 71
    radial = [(f.rs, f.eta) for f in functions.of("O") if f.type == 2 and f.neighbor1 == 1]
    centred = sorted(eta for rs, eta in radial if rs == 0)
    shifted = sorted((rs, eta) for rs, eta in radial if rs > 0)
    assert (len(centred), len(shifted)) == (9, 8)
    assert_close([centred[0], centred[-1]], [1 / 25, 64 / 25], 1e-14)
    assert_close([shifted[0][0], shifted[-1][0]], [5 / 8, 5 / 8**0.125], 1e-14)
    assert_close([shifted[-1][1]], [1 / (5 - 5 / 8**0.125) ** 2], 1e-14)
    assert len(set(functions.rows())) == len(functions)


def test_functions_of_a_file(tmp_path, shared):
    functions = SymmetryFunctions.from_input(shared / "nnp-si" / "input.nn", 1.8897261328)
    assert len(functions) == 27
    assert functions.elements == ("Si",)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SymmetryFunctions.preset("simple", ["Si"]), 'no preset "simple"'),
        (lambda: SymmetryFunctions.preset("simple-nn", ["Xy"]), "no element Xy"),
        (lambda: SymmetryFunctions.preset("simple-nn", ["Si"], -1.0), "the cutoff is -1 Angstrom"),
        (lambda: SymmetryFunctions.preset("simple-nn", ["Si"], float("nan")), "the cutoff is nan"),
        (lambda: SymmetryFunctions.from_input("absent.nn"), "absent.nn"),
    ],
)
def test_mistakes(call, message):
    with pytest.raises(Error, match=message):
        call()


def test_unknown_element_in_a_structure():
    functions = SymmetryFunctions.preset("simple-nn", ["Si"])
    with pytest.raises(Error, match="structure has element Ge, the set of symmetry functions has Si"):
        functions.evaluate(bulk("Ge", "diamond", a=5.6))


def test_table_names_every_function():
    functions = SymmetryFunctions.preset("simple-nn", ["Si"])
    assert len(str(functions).splitlines()) == 2 + 26


def test_widths_of_the_automatic_angular_functions():
    """eta = 1/(2 w^2) with w the cutoff and half of it."""
    functions = SymmetryFunctions.preset("auto", ["Si"], 5.0).of("Si")
    assert sorted({f.eta for f in functions if f.type == 3}) == pytest.approx([1 / 50, 1 / 12.5])


def distances_in(structures, elements):
    return nearest_distances([Structure(atoms, None, None, None, "", "f") for atoms in structures], elements)


def test_nearest_distances_are_medians_over_atoms():
    """Of a water molecule by hand: O's nearest H, H's nearest O and H's other H; O has no second O."""
    water = molecule("H2O")
    bond, hydrogens = water.get_distance(0, 1), water.get_distance(1, 2)
    distances = distances_in([water], ["H", "O"])
    assert_close(distances, [[hydrogens, bond], [bond, covalent_distances(["O"])[0, 0]]], 1e-14)

    chain = Atoms("Si3", positions=[[0, 0, 0], [0, 0, 2], [0, 0, 5]])  # nearest neighbours at 2, 2 and 3
    pair = Atoms("SiO", positions=[[0, 0, 0], [0, 0, 1.5]])
    distances = distances_in([chain, pair, Atoms("Si")], ["O", "Si"])
    assert_close(distances, [[covalent_distances(["O"])[0, 0], 1.5], [1.5, 2.0]], 1e-14)


def test_the_shorter_of_both_medians_counts():
    """One O among three Si of a chain: O is 2 from its nearest Si, the median Si is 3 from its nearest O."""
    chain = Atoms("OSi3", positions=[[0, 0, 0], [0, 0, 2], [0, 3, 0], [5, 0, 0]])
    distances = distances_in([chain], ["O", "Si"])
    assert distances[0, 1] == distances[1, 0] == pytest.approx(2.0)


def test_nearest_neighbours_are_found_in_images():
    assert_close(distances_in([bulk("Si", "diamond", a=5.4)], ["Si"]), [[5.4 * 3**0.5 / 4]], 1e-14)


def test_standard_set_of_one_element_has_six_shells():
    """Four Gaussians of type 2 scale with the nearest distance; the shells of type 9, which type 2 has too, lie between
    it and the cutoff."""
    functions = SymmetryFunctions.preset("standard", ["Li"], distances=np.array([[2.7]])).of("Li")
    radial = [f for f in functions if f.type == 2]
    assert_close([f.eta * 2.7**2 for f in radial if f.rs == 0], [0.02, 0.4, 1.1, 3.8], 1e-14)
    first = 0.85 * 2.7
    spacing = (5.4 - first) / 6
    shells = sorted({(f.rs, f.eta) for f in functions if f.type == 9})
    assert_close([rs for rs, _ in shells], [first + k * spacing for k in range(6)], 1e-14)
    assert_close([eta for _, eta in shells], [1 / (2 * spacing) ** 2] * 6, 1e-14)
    assert [(f.rs, f.eta) for f in radial if f.rs] == shells
    assert len(functions) == 10 + 3 * 5 + 3 * 3


def test_standard_set_of_several_elements_follows_the_distances():
    """Gaussians of type 2 scale with the pair's distance; those of type 9 lie between the nearest neighbour and the
    cutoff."""
    distances = np.array([[1.8, 1.0], [1.0, 2.6]])
    functions = SymmetryFunctions.preset("standard", ["O", "H"], distances=distances)
    assert functions.cutoff == 5.0  # twice 1 is less
    radial = [[f.eta for f in functions.of("H") if f.type == 2 and f.neighbor1 == k] for k in (0, 1)]
    assert_close(np.array(radial[0]) * 1.8**2, radial[1], 1e-14)
    assert sorted(radial[1]) == pytest.approx([0.02, 0.2, 0.4, 0.7, 1.1, 1.9, 3.8, 7.6])
    shells = sorted({(f.rs, f.eta) for f in functions.of("O") if f.type == 9})
    spacing = (5.0 - 0.85) / 3
    assert_close([rs for rs, _ in shells], [0, 0.85, 0.85 + spacing, 0.85 + 2 * spacing], 1e-14)
    assert_close([eta for _, eta in shells], [0, *[1 / (0.85 * spacing) ** 2] * 3], 1e-14)
    assert len(functions) == 2 * (2 * 8 + 3 * 20)


def test_standard_cutoff_reaches_the_second_neighbours():
    assert SymmetryFunctions.preset("standard", ["Li"], distances=np.array([[2.7]])).cutoff == pytest.approx(5.4)
    mixed = np.array([[2.5, 2.7], [2.7, 2.9]])  # an atom of the second element is 2.7 from its nearest neighbour
    assert SymmetryFunctions.preset("standard", ["Cu", "Au"], distances=mixed).cutoff == pytest.approx(5.4)
    short = SymmetryFunctions.preset("standard", ["Li"], 2.0, np.array([[2.7]])).of("Li")
    assert sorted({f.rs for f in short if f.type == 9}) == pytest.approx([1 + k / 6 for k in range(6)])


def test_standard_set_without_data_follows_the_covalent_radii():
    functions = SymmetryFunctions.preset("standard", ["Si"])
    bond = covalent_distances(["Si"])[0, 0]
    assert max(f.eta for f in functions.of("Si") if f.type == 2 and f.rs == 0) == pytest.approx(3.8 / bond**2)


@pytest.mark.parametrize(("shell", "degree"), [(0, 4), (2, 4), (3, 2), (5, 2)])
def test_powers_of_the_standard_set_span_polynomials(shell, degree):
    functions = [f for f in SymmetryFunctions.preset("standard", ["Si"]).of("Si") if f.type == 9]
    rs = sorted({f.rs for f in functions})[shell]
    powers = [(f.zeta, f.lambda_) for f in functions if f.rs == rs]
    x = np.linspace(-1, 1, 9)
    values = np.array([(1 + lambda_ * x) ** zeta for zeta, lambda_ in powers])
    assert np.linalg.matrix_rank(values) == len(powers) == degree + 1
    assert np.linalg.matrix_rank(np.vstack([values, [x**k for k in range(degree + 1)]])) == degree + 1


def test_standard_set_is_computed_from_moments():
    functions = SymmetryFunctions.preset("standard", ["Si"])
    assert functions.core.moments == [24]


def test_standard_set_of_many_elements_sums_over_the_neighbours_of_all():
    elements = ["H", "C", "O", "Cu", "Au"]
    three, five = (SymmetryFunctions.preset("standard", some, 6.0) for some in (elements[:3], elements))
    assert {f.type for f in three.of("C")} == {2, 9}
    types = [f.type for f in five.of("C")]
    assert types.count(2) == 8 * 5
    contractions = [f for f in five.of("C") if f.type == 33]
    assert len(types) == 40 + len(contractions)
    assert len({(f.neighbor1, f.eta, f.rs, f.power1) for f in contractions}) == len(contractions) == 2 * 4 * 4
    assert {f.neighbor1 for f in contractions} == {SymmetryFunction.all, SymmetryFunction.all_by_number}
    assert all((f.neighbor1, f.eta, f.rs) == (f.neighbor2, f.eta2, f.rs2) for f in contractions)
