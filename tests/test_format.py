"""The n2p2/RuNNer directory: what is accepted, what is refused with which message, and round trips."""

import shutil

import numpy as np
import pytest

from checks import arrays, random_potential, silicon_potential, structures
from sitewise import Error, SymmetryFunctions, _core

INPUT = """
# two elements, given against their order
number_of_elements 2
elements Si O ! comment
cutoff_type 1
scale_symmetry_functions
global_hidden_layers_short 1
global_nodes_short 3
global_activation_short t l
random_seed 12   # n2p2 training keywords have no effect
symfunction_short Si 2 Si 0.5 0.0 6.0
symfunction_short Si 2 O  0.5 0.0 6.0
symfunction_short O  3 Si O 0.1 -1 2 6.0
symfunction_short O  9 O O 0.1 1 1 6.0 0.3
"""
FEATURES = {"O": 2, "Si": 2}


def write(folder, text=INPUT, weights=None, scaling=None):
    folder.mkdir(exist_ok=True)
    (folder / "input.nn").write_text(text)
    values = np.random.default_rng(1).normal(size=13)
    for number, hidden in ((8, 3), (14, 3)):
        n = (2 + 1) * hidden + hidden + 1
        (folder / f"weights.{number:03d}.data").write_text("\n".join(f"{v:.15e} a 1" for v in values[:n]))
    if weights is not None:
        (folder / "weights.014.data").write_text(weights)
    rows = "# header\n" + "".join(f"{e} {f} 0.0 1.0 0.5 0.1\n" for e in (1, 2) for f in (1, 2))
    (folder / "scaling.data").write_text(rows if scaling is None else scaling)
    return str(folder)


def energies(potential):
    return [potential.compute(*arrays(atoms))["energies"] for atoms in structures().values()]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(energies(a), energies(b), strict=True))


def test_reading(tmp_path):
    potential = _core.Potential.load(write(tmp_path / "p"))
    assert potential.elements == ["O", "Si"]
    assert potential.atomic_numbers == [8, 14]
    assert potential.cutoff == 6.0
    oxygen = [(f.type, f.neighbor1, f.neighbor2, f.rs) for f in potential.functions.functions(0)]
    assert oxygen == [(3, 0, 1, 0.0), (9, 0, 0, 0.3)]
    assert [n.nodes for n in potential.networks] == [[2, 3, 1], [2, 3, 1]]
    assert potential.scaling.type == "minmax"


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace("\n", "\r\n"),
        lambda t: t.replace(" ", "\t"),
        lambda t: "\n".join(reversed(t.split("\n"))),
        lambda t: t.replace("symfunction_short", "symfunction"),
        lambda t: t.replace("6.0", "6.0D0").replace("0.5", "+.5"),
        lambda t: t + "nnp_type 2G-HDNNP\n   \n\n#\n",
        lambda t: t.replace(
            "global_nodes_short 3", "global_nodes_short 7\nelement_nodes_short O 3\nelement_nodes_short Si 3"
        ),
    ],
    ids=["windows", "tabs", "order", "alias", "numbers", "type", "element nodes"],
)
def test_the_same_said_otherwise(tmp_path, change):
    plain = _core.Potential.load(write(tmp_path / "plain"))
    assert same(plain, _core.Potential.load(write(tmp_path / "other", change(INPUT))))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cutoff_type 1", "cutof_type 1", r'input.nn:5: unknown keyword "cutof_type", did you mean "cutoff_type"'),
        ("cutoff_type 1", "cutoff_type 1\ncutoff_type 2", r":6: keyword .* stands here and in line 5"),
        ("cutoff_type 1", "cutoff_type 9", "cutoff_type is 9, expected 0 to 8"),
        ("cutoff_type 1", "cutoff_type 1 1.5", "alpha is 1.5"),
        ("number_of_elements 2", "number_of_elements 3", "3, but 2 elements"),
        ("elements Si O", "elements Si Xx", '"Xx" is not a chemical element'),
        ("elements Si O", "elements Si Si", "Si stands twice"),
        ("Si 2 O ", "Si 2 C ", '"C" is not one of the elements O Si'),
        ("Si 2 Si 0.5", "Si 2 Si 0.5x", '"0.5x" is not a finite number'),
        ("Si 2 Si 0.5", "Si 2 Si nan", '"nan" is not a finite number'),
        ("Si 2 Si 0.5 0.0 6.0", "Si 2 Si 0.5 0.0", "has 5 values, expected 6"),
        ("Si 2 Si 0.5 0.0 6.0", "Si 2 Si 0.5 0.0 -6.0", "cutoff is not positive"),
        ("Si 2 Si 0.5", "Si 12", ':11: keyword "symfunction_short" has 4 values, expected 5'),
        ("Si 2 Si", "Si 77 Si", "unknown type 77"),
        ("Si 2 Si 0.5 0.0 6.0", "Si 20 Si 0.0 6.0 p7", 'compact function "p7" is unknown'),
        ("-1 2 6.0", "-1 0 6.0", "zeta is 0"),
        ("global_nodes_short 3", "global_nodes_short 3 3", "2 numbers of nodes for 1 hidden layers"),
        ("short t l", "short t", "1 activation functions for 1 hidden"),
        ("short t l", "short z l", 'unknown activation function "z"'),
        ("elements Si O", "elements Si O\nnnp_type 4G-HDNNP", "4G-HDNNP are not supported"),
        ("elements Si O", "elements Si O\nconv_energy 2.0", "must be given together"),
        ("symfunction_short O  9 O O 0.1 1 1 6.0 0.3", "", "8.* weights, expected"),
    ],
)
def test_mistakes_in_input_nn(tmp_path, old, new, message):
    assert old in INPUT
    with pytest.raises(Error, match=message):
        _core.Potential.load(write(tmp_path / "p", INPUT.replace(old, new)))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"weights": "1.0 a\n2.0 a\n"},
            "weights.014.data: 2 weights, expected 13 for a 2-3-1 network; is the file cut",
        ),
        ({"weights": "1.0 a\n" * 14}, "14 weights, expected 13"),
        ({"weights": "1.0 a\n" * 4 + "oops a\n"}, 'weights.014.data:5: "oops" is not a finite number'),
        ({"scaling": "1 1 0 1 0.5 0.1\n"}, "scaling.data: 1 rows, expected 4; is the file cut short"),
        ({"scaling": "1 1 0 1 0.5\n2 2 0 1 0.5\n"}, "scaling.data:2: row of element 2, function 2; expected 1, 2"),
        ({"scaling": "1 1 0\n"}, "scaling.data:1: 3 values"),
        ({"scaling": "1 1 1 0 0.5 0.1\n"}, "scaling.data:1: the minimum 1 is above the maximum 0"),
        ({"scaling": "1 1 0 1 0.5 -0.1\n"}, "scaling.data:1: sigma is -0.1, expected 0 or more"),
        ({"scaling": "".join(f"{e} {f} 0 1 0 1\n" for e in (1, 2, 3) for f in (1, 2))}, "one row more than the 4"),
    ],
)
def test_mistakes_in_the_other_files(tmp_path, files, message):
    with pytest.raises(Error, match=message):
        _core.Potential.load(write(tmp_path / "p", **files))


def test_missing_files(tmp_path):
    with pytest.raises(Error, match="no such directory"):
        _core.Potential.load(str(tmp_path / "none"))
    for name in ("input.nn", "scaling.data", "weights.008.data"):
        folder = tmp_path / name
        write(folder)
        (folder / name).unlink()
        with pytest.raises(Error, match=rf"{name}: cannot be read \(No such file"):
            _core.Potential.load(str(folder))
    with pytest.raises(Error, match="is a file, expected a directory"):
        _core.Potential.load(str(tmp_path / "input.nn" / "scaling.data"))
    with pytest.raises(Error, match="positive numbers"):
        _core.Potential.load(str(tmp_path / "none"), 0.0)


def test_scaling_data_without_sigma_and_with_runners_last_line(tmp_path):
    rows = "".join(f"{e} {f} 0.0 1.0 0.5\n" for e in (1, 2) for f in (1, 2)) + " -1.0 2.0\n"
    plain = _core.Potential.load(write(tmp_path / "plain"))
    assert same(plain, _core.Potential.load(write(tmp_path / "runner", scaling=rows)))
    with pytest.raises(Error, match="expected element, function, min, max, mean and sigma"):
        _core.Potential.load(
            write(
                tmp_path / "s",
                INPUT.replace("scale_symmetry_functions", "scale_symmetry_functions_sigma"),
                scaling=rows,
            )
        )


def test_without_scaling_no_scaling_data_is_needed(tmp_path):
    folder = write(tmp_path / "p", INPUT.replace("scale_symmetry_functions\n", ""))
    (tmp_path / "p" / "scaling.data").unlink()
    potential = _core.Potential.load(folder)
    assert potential.scaling.type == "none"
    assert potential.compute(*arrays(structures()["mixed"]))["extrapolations"].max() == 0


def test_saved_and_loaded_potentials_are_identical(tmp_path):
    for name, potential in {"one": silicon_potential(), "two": random_potential()}.items():
        folder = tmp_path / "a" / name
        potential.save(str(folder), "first line\nsecond line")
        loaded = _core.Potential.load(str(folder))
        assert np.array_equal(loaded.weights, potential.weights)
        assert loaded.atom_energies == potential.atom_energies
        text = (folder / "input.nn").read_text()
        assert text.startswith("# first line\n# second line\n# Units: eV and Angstrom\n")
        assert not list(folder.glob("*.tmp"))
        if name == "two":
            assert same(potential, loaded)


def test_lengths_of_all_types_are_converted(tmp_path):
    """In a unit of half an Angstrom every length is twice as large; angles are not."""
    random_potential().save(str(tmp_path))
    species, positions, cell, pbc = arrays(structures()["mixed"])
    halves = _core.Potential.load(str(tmp_path), 2.0).compute(species, positions / 2, cell / 2, pbc, features=True)
    whole = _core.Potential.load(str(tmp_path)).compute(species, positions, cell, pbc, features=True)
    assert np.allclose(halves["features"], whole["features"], rtol=0, atol=1e-12, equal_nan=True)
    assert np.allclose(halves["forces"], 2 * whole["forces"], rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", ["nnp-si", "nnp-h2o"])
def test_published_directories_survive_a_round_trip(shared, tmp_path, name):
    original = _core.Potential.load(str(shared / name))
    original.save(str(tmp_path / "copy"))
    copy = _core.Potential.load(str(tmp_path / "copy"))
    assert np.array_equal(original.weights, copy.weights)
    for file in ("scaling.data", *(p.name for p in (shared / name).glob("weights.*"))):
        rows = [
            np.loadtxt(folder / file, usecols=0 if "weights" in file else None)
            for folder in (shared / name, tmp_path / "copy")
        ]
        assert np.array_equal(*rows)
    # In other units the numbers stay the same to rounding.
    converted = _core.Potential.load(str(shared / name), 1.8897261328, 0.0367493254)
    converted.save(str(tmp_path / "converted"))
    again = _core.Potential.load(str(tmp_path / "converted"))
    species = np.arange(12, dtype=np.int32) % len(original.elements)
    positions = np.random.default_rng(4).uniform(0, 6, (12, 3))
    a, b = (p.compute(species, positions, 6 * np.eye(3), np.ones(3, bool)) for p in (converted, again))
    assert a["energy"] == b["energy"]
    assert np.array_equal(a["forces"], b["forces"])


def test_saving_where_it_cannot_be_done(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Error, match="cannot be created"):
        silicon_potential().save(str(tmp_path / "file" / "potential"))
    folder = tmp_path / "potential"
    (folder / "scaling.data").mkdir(parents=True)
    with pytest.raises(Error, match=r"scaling.data: renaming failed \("):
        silicon_potential().save(str(folder))
    assert not list(folder.glob("*.tmp"))
    shutil.rmtree(folder)


def test_functions_alone(tmp_path):
    write(tmp_path / "p")
    elements, functions = _core.read_functions(str(tmp_path / "p" / "input.nn"), 2.0)
    assert elements == ["O", "Si"]
    assert functions.cutoff == 3.0
    assert functions.functions(1)[0].eta == 2.0
    with pytest.raises(Error, match="cannot be read"):
        _core.read_functions(str(tmp_path / "nothing.nn"))


@pytest.mark.slow
def test_contractions_of_too_many_products_are_refused(tmp_path):
    lines = [
        f"symfunction_short Si 34 Si Si Si {0.001 * k} 1 {0.002 * k} 2 {0.003 * k} 3 3 3 3 5\n" for k in range(1200)
    ]
    (tmp_path / "input.nn").write_text("number_of_elements 1\nelements Si\ncutoff_type 1\n" + "".join(lines))
    with pytest.raises(Error, match=r"input\.nn.*: the symmetry functions of an element .* more than 1000000 products"):
        SymmetryFunctions.from_input(tmp_path / "input.nn")
