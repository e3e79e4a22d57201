"""Formats of other programs: values are kept; SIMPLE-NN's own arithmetic is repeated here in plain numpy."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from typer.testing import CliRunner

from checks import assert_close, random_potential, rattled, silicon_frames, silicon_potential
from sitewise import Error, Potential, SymmetryFunctions, _core
from sitewise.cli import app
from sitewise.io.simple_nn import read_potential, write_potential

BOHR, HARTREE = 1.8897261328, 0.0367493254


def run(*arguments):
    result = CliRunner().invoke(app, ["convert", "--quiet", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result


def simple_functions():
    """Make functions of the types that SIMPLE-NN has, for O and Si."""
    make = _core.SymmetryFunction
    functions = []
    for center in (0, 1):
        functions += [
            make(2, center, n, eta=eta, rs=rs, cutoff=4.0) for n in (0, 1) for eta, rs in ((0.1, 0), (1, 1.5))
        ]
        for pair in ((0, 0), (0, 1), (1, 1)):
            functions += [make(3, center, *pair, eta=0.02, lambda_=lam, zeta=2.0, cutoff=4.0) for lam in (-1.0, 1.0)]
            functions += [make(9, center, *pair, eta=0.1, lambda_=1.0, zeta=4.0, cutoff=3.5)]
    return functions


def simple_potential():
    """Make a potential like `random_potential` with the activations that SIMPLE-NN has."""
    potential = random_potential(functions=simple_functions())
    networks = []
    for network, letters in zip(potential.networks, ("tsl", "rl"), strict=True):
        networks.append(_core.Network(network.nodes, letters))
        networks[-1].weights = network.weights
    return Potential(_core.Potential(["O", "Si"], potential.functions, potential.scaling, networks, [-1.5, 0.25]))


def structure():
    atoms = rattled(bulk("Si", "diamond", a=5.2, cubic=True), 0.1)
    atoms.symbols[::3] = "O"
    return atoms


def test_potential_saved_and_back(tmp_path):
    potential, atoms = simple_potential(), structure()
    write_potential(potential, tmp_path / "potential_saved")
    back = read_potential(tmp_path / "potential_saved")
    one, two = potential.evaluate(atoms), back.evaluate(atoms)
    assert_close(two.energies, one.energies, 1e-12)
    assert_close(two.forces, one.forces, 1e-11)
    assert np.array_equal(one.extrapolation, two.extrapolation)
    run(tmp_path / "potential_saved", "-o", tmp_path / "n2p2")
    assert_close(Potential.load(tmp_path / "n2p2").evaluate(atoms).forces, one.forces, 1e-11)
    run(tmp_path / "n2p2", "-o", tmp_path / "again", "--to", "simple-nn")
    assert_close(read_potential(tmp_path / "again").evaluate(atoms).forces, one.forces, 1e-11)


def test_potential_saved_of_a_normalized_data_set_with_a_constant_function(tmp_path):
    """Mean and unit of the energy go into the last layer, and a function that never changed is a constant input."""
    core = simple_potential().core
    statistics = [core.scaling.statistics(element) for element in (0, 1)]
    statistics[1][1, 2], statistics[1][3, 2] = statistics[1][0, 2], 0.0
    scaling = _core.Scaling("minmax", -1.0, 1.0, statistics)
    made = _core.Potential(core.elements, core.functions, scaling, core.networks, core.atom_energies)
    Potential(made).save(tmp_path / "potential")
    with (tmp_path / "potential" / "input.nn").open("a") as file:
        file.write("mean_energy -0.7\nconv_energy 2.5\nconv_length 1.5\n")
    potential, atoms = Potential.load(tmp_path / "potential"), structure()
    assert potential.core.normalization == (-0.7, 2.5)
    write_potential(potential, tmp_path / "potential_saved")
    one, two = potential.evaluate(atoms), read_potential(tmp_path / "potential_saved").evaluate(atoms)
    assert_close(two.energies, one.energies, 1e-12)
    assert_close(two.forces, one.forces, 1e-11)


POTENTIAL_SAVED = """ELEM_LIST Si O

POT Si 4.0
SYM 3
4 4.0 0.02 2.0 -1.0 O Si
2 4.0 0.5 1.0 0.0 O
2 4.0 0.1 0.0 0.0 Si
scale1 0.3 0.5 1.25
scale2 0.2 0.25 0.75
NET 2 2 3 1
LAYER 0 linear PCA
w0 0.5 -0.25 0.125
b0 0.1
w1 1.5 0.75 -0.5
b1 -0.2
LAYER 1 tanh
w0 0.3 -0.7
b0 0.05
w1 -0.2 0.4
b1 0.15
w2 0.9 0.6
b2 -0.35
LAYER 2 linear
w0 1.1 -0.8 0.45
b0 -3.5

POT O 3.5
SYM 1
2 3.5 0.3 0.0 0.0 Si
scale1 0.4
scale2 0.3
NET 1 2 1
LAYER 0 sigmoid
w0 0.7
b0 0.0
w1 -1.3
b1 0.25
LAYER 1 linear
w0 0.5 0.75
b0 1.0
"""


def cut(r, rc):
    return 0.5 * (1 + np.cos(np.pi * r / rc)) * (r < rc)


def by_hand(atoms):
    """Compute the atomic energies of POTENTIAL_SAVED for a cluster, from its definition."""
    energies = []
    for i, a in enumerate(atoms):
        others = {
            symbol: [b.position - a.position for j, b in enumerate(atoms) if j != i and b.symbol == symbol]
            for symbol in ("O", "Si")
        }
        length = np.linalg.norm
        if a.symbol == "O":
            g = sum(np.exp(-0.3 * length(r) ** 2) * cut(length(r), 3.5) for r in others["Si"])
            x = (g - 0.4) / 0.3
            hidden = 1 / (1 + np.exp(-np.array([0.7 * x, -1.3 * x + 0.25])))
            energies.append(hidden @ [0.5, 0.75] + 1.0)
            continue
        angular = 0.0
        for p in others["O"]:
            for q in others["Si"]:
                d = [length(p), length(q), length(p - q)]
                radial = np.exp(-0.02 * np.dot(d, d)) * np.prod([cut(r, 4.0) for r in d])
                angular += 0.5 * (1 - p @ q / (d[0] * d[1])) ** 2 * radial
        g = np.array(
            [
                angular,
                sum(np.exp(-0.5 * (length(r) - 1.0) ** 2) * cut(length(r), 4.0) for r in others["O"]),
                sum(np.exp(-0.1 * length(r) ** 2) * cut(length(r), 4.0) for r in others["Si"]),
            ]
        )
        x = (g - [0.3, 0.5, 1.25]) / [0.2, 0.25, 0.75]
        z = np.array([[0.5, -0.25, 0.125], [1.5, 0.75, -0.5]]) @ x + [0.1, -0.2]
        hidden = np.tanh(np.array([[0.3, -0.7], [-0.2, 0.4], [0.9, 0.6]]) @ z + [0.05, 0.15, -0.35])
        energies.append(hidden @ [1.1, -0.8, 0.45] - 3.5)
    return energies


def test_potential_saved_with_principal_components_by_hand(tmp_path):
    (tmp_path / "potential_saved").write_text(POTENTIAL_SAVED)
    atoms = structure()
    atoms.pbc = False
    potential = read_potential(tmp_path / "potential_saved")
    assert potential.elements == ("O", "Si")
    assert potential.topologies == {"O": "1-2-1", "Si": "3-3-1"}
    assert_close(potential.evaluate(atoms).energies, by_hand(atoms), 1e-12)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("tanh", "selu", r":16: activation selu, expected one of linear, sigmoid, tanh, relu"),
        ("4 4.0 0.02", "7 4.0 0.02", r":5: symmetry function of type 7, expected 2, 4 or 5"),
        ("SYM 3", "SYM 4", r":8: 4 words, expected type, four numbers and elements"),
        ("0.3 0.5 1.25", "0.3 0.5", r":8: 2 numbers, expected 3"),
        ("b0 0.05", "b0 nan", r':18: "nan" is not a finite number'),
        ("POT O", "POT H", r":27: element H is not in ELEM_LIST"),
        ("w0 0.5 0.75\nb0 1.0\n", "", r": ends early, expected w0"),
        ("scale2 0.3", "scale2 0", r":31: scale2 has the value 0, expected positive numbers"),
    ],
)
def test_a_damaged_potential_saved_is_told(tmp_path, old, new, sentence):
    assert old in POTENTIAL_SAVED
    (tmp_path / "potential_saved").write_text(POTENTIAL_SAVED.replace(old, new, 1))
    with pytest.raises(Error, match=f"potential_saved{sentence}"):
        read_potential(tmp_path / "potential_saved")


def test_potential_saved_with_functions_in_another_order(tmp_path):
    """Functions that differ only by r_s keep the order of the file, and so do their scaling and weights."""
    make = _core.SymmetryFunction
    functions = _core.SymmetryFunctions(1, [make(2, 0, 0, eta=0.5, rs=rs, cutoff=4.0) for rs in (0.0, 1.0, 2.0)])
    scaling = _core.Scaling("minmax", -1.0, 1.0, [np.array([[0, 0, 0], [3, 2, 5], [1, 1, 1], [1, 1, 1]], float)])
    network = _core.Network([3, 4, 1], "tl")
    network.weights = np.random.default_rng(2).normal(0, 0.5, network.weights.size)
    ours = Potential(_core.Potential(["Si"], functions, scaling, [network], [-1.0]))
    write_potential(ours, tmp_path / "potential_saved")
    lines = (tmp_path / "potential_saved").read_text().splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("SYM")) + 1
    lines[first : first + 3] = reversed(lines[first : first + 3])
    hidden = next(k for k, line in enumerate(lines) if line.startswith("LAYER 1"))
    for k, line in enumerate(lines[:hidden]):
        if line.startswith(("scale", "w")):
            name, *values = line.split()
            lines[k] = " ".join([name, *reversed(values)])
    (tmp_path / "potential_saved").write_text("\n".join(lines) + "\n")
    atoms = rattled(bulk("Si", "diamond", a=5.4), 0.1)
    assert_close(
        read_potential(tmp_path / "potential_saved").evaluate(atoms).energies, ours.evaluate(atoms).energies, 1e-12
    )


def test_an_inner_cutoff_is_refused_for_simple_nn(tmp_path):
    ours = simple_potential().core
    functions = [f for element in (0, 1) for f in ours.functions.functions(element)]
    made = _core.Potential(
        *(ours.elements, _core.SymmetryFunctions(2, functions, 1, 0.3), ours.scaling, ours.networks, ours.atom_energies)
    )
    with pytest.raises(Error, match="SIMPLE-NN has the cosine cutoff alone"):
        write_potential(Potential(made), tmp_path / "potential_saved")


def test_what_simple_nn_lacks_is_told(tmp_path):
    with pytest.raises(Error, match="the network of O has activations tpl, SIMPLE-NN has l, s, t and r"):
        write_potential(Potential(random_potential()), tmp_path / "potential_saved")
    potential = silicon_potential()
    shifted = [_core.SymmetryFunction(9, 0, 0, 0, eta=0.1, rs=0.5, lambda_=1.0, zeta=1.0, cutoff=5.0)] * 5
    functions = _core.SymmetryFunctions(1, shifted)
    changed = _core.Potential(["Si"], functions, potential.scaling, potential.networks, [0.0])
    with pytest.raises(Error, match="SIMPLE-NN has no symmetry functions of type 9 with r_s"):
        write_potential(Potential(changed), tmp_path / "potential_saved")
    assert not (tmp_path / "potential_saved").exists()


def test_params_and_back(tmp_path):
    potential = simple_potential()
    potential.save(tmp_path / "potential")
    run(tmp_path / "potential", "-o", tmp_path / "params", "--to", "params")
    first = (tmp_path / "params" / "params_O").read_text().splitlines()[0]
    assert first == "2 1 0 4.0 0.1 0.0 0.0"
    run(tmp_path / "params" / "params_O", tmp_path / "params" / "params_Si", "-o", tmp_path / "input.nn")
    assert str(SymmetryFunctions.from_input(tmp_path / "input.nn")) == str(potential.functions)


@pytest.mark.parametrize("name", ["nnp-si", "nnp-h2o"])
def test_published_directories_are_kept(shared, tmp_path, name):
    """From n2p2 to n2p2 in other units, the computed numbers stay."""
    from sitewise.structures import by_atomic_number

    run(shared / name, "-o", tmp_path / "potential", "--cflength", BOHR, "--cfenergy", HARTREE)
    one, two = Potential.load(shared / name, BOHR, HARTREE), Potential.load(tmp_path / "potential")
    assert by_atomic_number(two.elements) == list(one.elements)
    assert np.array_equal(one.core.weights, two.core.weights)
    atoms = rattled(bulk("Si", "diamond", a=5.4, cubic=True), 0.05)
    atoms.symbols = "Si8" if name == "nnp-si" else "O2H4OH"
    assert_close(two.evaluate(atoms).forces, one.evaluate(atoms).forces, 1e-11)


def test_runner_data_against_the_published_file(shared, tmp_path):
    """After reading and writing, all numbers of the file but charges are the same to rounding."""
    source = shared / "nnp-h2o" / "set.data"
    units = ("--cflength", BOHR, "--cfenergy", HARTREE)
    run(source, "-o", tmp_path / "water.xyz", *units)
    frames = read(tmp_path / "water.xyz", ":")
    assert len(frames) == 20
    assert frames[0].cell[0, 0] == pytest.approx(24.623508 / BOHR, abs=1e-8)
    run(tmp_path / "water.xyz", "-o", tmp_path / "input.data", *units)
    old, new = (
        [line.split() for line in path.read_text().splitlines() if line.split()[0] in ("atom", "lattice", "energy")]
        for path in (source, tmp_path / "input.data")
    )
    assert len(old) == len(new)
    for one, two in zip(old, new, strict=True):
        keep = [k for k in range(1, len(one)) if one[0] != "atom" or k not in (4, 5, 6)]
        assert np.allclose([float(one[k]) for k in keep], [float(two[k]) for k in keep], rtol=0, atol=2e-8)


def test_runner_data_is_exact(tmp_path):
    frames = silicon_frames(3, stress=False)
    write(tmp_path / "a.traj", frames)
    run(tmp_path / "a.traj", "-o", tmp_path / "input.data")
    run(tmp_path / "input.data", "-o", tmp_path / "b.traj")
    for one, two in zip(frames, read(tmp_path / "b.traj", ":"), strict=True):
        assert np.array_equal(one.positions, two.positions)
        assert np.array_equal(one.cell, two.cell)
        assert np.array_equal(one.get_forces(), two.get_forces())
        assert one.get_potential_energy() == two.get_potential_energy()


def test_units_of_runner_data(tmp_path):
    """Each number of the file is that of the structure in units of half an Angstrom and a fifth of an eV."""
    (frame,) = silicon_frames(1, stress=False)
    write(tmp_path / "a.traj", frame)
    run(tmp_path / "a.traj", "-o", tmp_path / "input.data", "--cflength", 2, "--cfenergy", 5)
    lines = [line.split() for line in (tmp_path / "input.data").read_text().splitlines()]
    values = {
        name: np.array([words[1:] for words in lines if words[0] == name]) for name in ("lattice", "atom", "energy")
    }
    assert_close(values["energy"].astype(float), [[5 * frame.get_potential_energy()]], 1e-14)
    assert_close(values["lattice"].astype(float), 2 * frame.cell.array, 1e-14)
    assert_close(values["atom"][:, :3].astype(float), 2 * frame.positions, 1e-14)
    assert_close(values["atom"][:, 6:].astype(float), 2.5 * frame.get_forces(), 1e-14)
    run(tmp_path / "input.data", "-o", tmp_path / "b.traj", "--cflength", 2, "--cfenergy", 5)
    assert_close(read(tmp_path / "b.traj").get_potential_energy(), frame.get_potential_energy(), 1e-14)


LAMMPS_DUMP = """ITEM: TIMESTEP
0
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0.0 5.0
0.0 5.0
0.0 5.0
ITEM: ATOMS id type element x y z
1 1 Si 0.0 0.0 0.0
2 2 O 1.0 1.25 1.5
"""


def test_lammps_dumps(tmp_path):
    (tmp_path / "a.lammpstrj").write_text(LAMMPS_DUMP)
    run(tmp_path / "a.lammpstrj", "-o", tmp_path / "input.data")
    text = (tmp_path / "input.data").read_text()
    assert "atom 1.0 1.25 1.5 O 0.0 0.0 0.0 0.0 0.0" in text
    assert "lattice 0.0 5.0 0.0" in text
    by_mass = LAMMPS_DUMP.replace("element", "mass").replace(" Si", " 28.0855").replace(" O 1", " 15.9994 1")
    (tmp_path / "b.dump").write_text(by_mass)
    run(tmp_path / "b.dump", "-o", tmp_path / "b.data")
    assert (tmp_path / "b.data").read_text() == text.replace("a.lammpstrj", "b.dump")


def test_lammps_dumps_without_elements_are_refused(tmp_path):
    """ASE would take types for atomic numbers."""
    (tmp_path / "a.dump").write_text(LAMMPS_DUMP.replace("element ", "").replace(" Si", "").replace(" O 1", " 1"))
    result = CliRunner().invoke(app, ["convert", str(tmp_path / "a.dump"), "-o", str(tmp_path / "a.xyz")])
    assert result.exit_code == 2
    assert "a.dump: has the columns id type x y z, expected element" in result.output


def test_lammps_data_has_all_atoms_in_the_box(tmp_path):
    """Atoms outside of the cell are wrapped; distances, types and masses stay."""
    atoms = bulk("Si", "diamond", a=5.4, cubic=True)
    atoms.symbols[3] = "O"
    atoms.positions += [13.0, -7.0, 2.0]
    write(tmp_path / "a.traj", atoms)
    run(tmp_path / "a.traj", "-o", tmp_path / "a.lmp")
    lines = [line.split() for line in (tmp_path / "a.lmp").read_text().splitlines()]
    at = next(k for k, words in enumerate(lines) if words[:1] == ["Atoms"])
    rows = np.array([words for words in lines[at + 1 :] if words], float)
    assert rows[:, 1].tolist() == [2, 2, 2, 1, 2, 2, 2, 2]
    places = rows[:, 2:]
    assert ((places >= 0) & (places < 5.4)).all()
    cells = (places - atoms.positions) / 5.4
    np.testing.assert_allclose(cells, cells.round(), atol=1e-12)


@pytest.mark.parametrize(("index", "energy"), [(0, 0.0), (2, 2.0), (-1, 2.0), (-3, 0.0)])
def test_one_structure_by_its_index(tmp_path, index, energy):
    frames = silicon_frames(3)
    for number, atoms in enumerate(frames):
        atoms.calc = SinglePointCalculator(atoms, energy=float(number))
    write(tmp_path / "a.xyz", frames)
    run(tmp_path / "a.xyz", "-o", tmp_path / "b.xyz", "--index", index)
    (atoms,) = read(tmp_path / "b.xyz", ":")
    assert atoms.get_potential_energy() == energy


def test_mistakes_are_told(tmp_path):
    result = CliRunner().invoke(app, ["convert", str(tmp_path / "none"), "-o", str(tmp_path / "out")])
    assert (result.exit_code, result.output) == (
        2,
        f"error: {tmp_path / 'none'}: cannot be read: No such file or directory\n",
    )
    (tmp_path / "input.data").write_text("begin\natom 0 0 x Si 0 0 0 0 0\nend\n")
    result = CliRunner().invoke(app, ["convert", str(tmp_path / "input.data"), "-o", str(tmp_path / "a.xyz")])
    assert result.exit_code == 2
    assert "input.data:2: x is not a number" in result.output
    silicon_potential().save(str(tmp_path / "potential"))
    result = CliRunner().invoke(app, ["convert", str(tmp_path / "potential"), "-o", str(tmp_path / "a"), "--to", "ase"])
    assert "is a potential, which cannot be written as ase" in result.output
    result = CliRunner().invoke(app, ["convert", str(tmp_path / "potential"), "-o", str(tmp_path / "a"), "--to", "x"])
    assert "--to is x, expected n2p2 or cp2k or simple-nn or params or runner or lammps or hdf5 or ase" in result.output


@pytest.mark.parametrize(
    ("name", "lost"), [("a.json", "group"), ("a.cif", "energy, forces, stress, group"), ("a.traj", ""), ("a.xyz", "")]
)
def test_what_a_format_does_not_hold_is_said(tmp_path, name, lost):
    frames = silicon_frames(2)
    for atoms in frames:
        atoms.info["config_type"] = "crystal"
    write(tmp_path / "in.traj", frames)
    result = CliRunner().invoke(app, ["convert", str(tmp_path / "in.traj"), "-o", str(tmp_path / name), "-q"])
    assert result.exit_code == 0
    warning = f"this format does not keep the {lost}\n"
    assert result.output.endswith(warning) if lost else result.output == ""


@pytest.mark.parametrize("name", ["a.zzz", "a.nc", "noending"])
def test_names_of_no_format(tmp_path, name):
    write(tmp_path / "in.traj", silicon_frames(1))
    result = CliRunner().invoke(app, ["convert", str(tmp_path / "in.traj"), "-o", str(tmp_path / name), "-q"])
    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [tmp_path / "in.traj"])
    assert result.output.endswith(f"{name}: ASE writes no format with this name, choose another such as .xyz\n")


@pytest.mark.parametrize("name", ["a.traj", "a.xyz.gz", "POSCAR"])
def test_predictions_have_the_name_of_their_format(tmp_path, name):
    Potential(silicon_potential()).save(tmp_path / "potential")
    write(tmp_path / "in.xyz", silicon_frames(1))
    arguments = ["predict", str(tmp_path / "potential"), str(tmp_path / "in.xyz"), "-o", str(tmp_path / name), "-q"]
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, (tmp_path / name).exists()) == (2, False)
    assert "but predict writes extended XYZ: name it .xyz" in result.output
