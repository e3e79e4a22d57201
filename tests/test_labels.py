"""Labels are read as they were meant, by source, or refused; what is unknown stays unknown."""

import io
import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian
from ase.io import read, write
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from checks import Listener, rattled, silicon_frames, silicon_potential
from sitewise import Dataset, Error, train
from sitewise.cli import app
from sitewise.config import Config
from sitewise.io.extxyz import write_extxyz
from sitewise.training.data import read_data

VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


def sitewise(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def alloy():
    atoms = rattled(bulk("Cu", "fcc", a=3.7, cubic=True) * (2, 1, 1), 0.08)
    atoms.symbols[::3] = "Au"
    atoms.set_cell(atoms.cell.array @ [[1.02, 0.01, 0.0], [0.0, 0.99, 0.03], [0.02, 0.0, 1.01]], scale_atoms=True)
    return atoms


def labelled(count=4, **places):
    """Make structures whose labels have these names, in the place "calculator", "info" or "arrays"."""
    made = []
    for k in range(count):
        atoms = rattled(alloy(), 0.05, seed=k)
        atoms.calc = EMT()
        values = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces(), "stress": atoms.get_stress()}
        atoms.calc = None
        results = {}
        for name, (place, label) in places.items():
            {"calculator": results, "info": atoms.info, "arrays": atoms.arrays}[place][name] = values[label]
        if results:
            atoms.calc = SinglePointCalculator(atoms, **results)
        made.append(atoms)
    return made


USUAL = {"energy": ("calculator", "energy"), "forces": ("calculator", "forces"), "stress": ("calculator", "stress")}


def reading(path, frames, **options):
    listener = Listener()
    write(path, frames)
    return Dataset.read(path, reporter=listener, **options), listener


# ---- names


@pytest.mark.parametrize("label", ["energy", "forces", "stress", "virial"])
def test_a_key_that_no_structure_has_is_refused(tmp_path, label):
    with pytest.raises(Error, match=rf"a.xyz: no structure has dft_{label}x, named as {label}; there is .*energy"):
        reading(tmp_path / "a.xyz", labelled(**USUAL), keys={label: f"dft_{label}x"})


def test_keys_alike_are_named(tmp_path):
    frames = labelled(dft_energy=("info", "energy"), forces=("calculator", "forces"))
    with pytest.raises(Error, match="has dft_enrgy, named as energy; there is dft_energy, forces"):
        reading(tmp_path / "a.xyz", frames, keys={"energy": "dft_enrgy"})


def test_a_key_that_some_structures_have_is_enough(tmp_path):
    frames = labelled(2, dft_energy=("info", "energy")) + labelled(1, **USUAL)
    data, _ = reading(tmp_path / "a.xyz", frames, keys={"energy": "dft_energy"})
    assert [data.count(label) for label in ("energy", "forces", "stress")] == [2, 1, 1]


def test_evaluate_refuses_a_typo(tmp_path):
    write(tmp_path / "a.xyz", silicon_frames(3))
    silicon_potential().save(str(tmp_path / "potential"))
    result = sitewise("evaluate", tmp_path / "potential", tmp_path / "a.xyz", "--energy-key", "dft_energy")
    assert result.exit_code == 2
    assert "no structure has dft_energy, named as energy; there is energy" in result.stderr


# ---- sources


def test_sources_are_said(tmp_path):
    frames = labelled(8, REF_energy=("info", "energy"), forces=("calculator", "forces"))
    data, listener = reading(tmp_path / "a.xyz", frames)
    assert "8 energies, 8 forces, 0 stresses (energy: 8 REF_energy; forces: 8 from the calculator)" in listener.said[0]
    assert listener.said[1:] == listener.warned == []
    assert data[:3].sources() == " (energy: 3 REF_energy; forces: 3 from the calculator)"
    assert "energy: 8 REF_energy; forces: 8 from the calculator" in sitewise("info", tmp_path / "a.xyz").stdout


def test_the_usual_name_as_key_is_the_usual_source(tmp_path):
    keys = {"energy": "energy", "forces": "forces", "stress": "stress"}
    data, listener = reading(tmp_path / "a.xyz", labelled(3, **USUAL), keys=keys)
    assert data.sources() == reading(tmp_path / "a.xyz", labelled(3, **USUAL))[0].sources()
    assert "3 from the calculator" in data.sources()
    assert listener.said[1:] == []


MIXTURES = {
    "REF_energy": ({"REF_energy": ("info", "energy")}, "energy is mixed, 4 REF_energy, 2 from the calculator"),
    "free_energy": (
        {"free_energy": ("calculator", "energy")},
        "energy is mixed, 2 from the calculator, 4 free_energy from the calculator",
    ),
    "REF_forces": ({"REF_forces": ("arrays", "forces")}, "forces is mixed, 4 REF_forces, 2 from the calculator"),
    "REF_stress": ({"REF_stress": ("info", "stress")}, "stress is mixed, 4 REF_stress, 2 from the calculator"),
}


@pytest.mark.parametrize("kind", MIXTURES)
def test_mixtures_are_refused_unless_allowed(tmp_path, kind):
    places, sentence = MIXTURES[kind]
    frames = labelled(4, **places) + labelled(2, **USUAL)
    with pytest.raises(Error, match=f"a.xyz: {sentence}.*mixed_labels = true.*--mixed-labels"):
        reading(tmp_path / "a.xyz", frames)
    data, _ = reading(tmp_path / "a.xyz", frames, mixed_labels=True)
    assert len(data) == 6


def test_a_label_that_is_missing_in_some_is_no_mixture(tmp_path):
    data, listener = reading(tmp_path / "a.xyz", labelled(3, **USUAL) + labelled(1, energy=("calculator", "energy")))
    assert data.count("forces") == 3
    assert listener.warned == []


def test_mixtures_by_option_and_by_run_toml(tmp_path):
    frames = silicon_frames(4)
    frames[0].info["REF_energy"] = frames[0].calc.results.pop("energy")
    write(tmp_path / "a.xyz", frames)
    silicon_potential().save(str(tmp_path / "potential"))
    command = ("evaluate", tmp_path / "potential", tmp_path / "a.xyz")
    assert sitewise(*command).exit_code == 2
    assert sitewise(*command, "--mixed-labels").exit_code == 0
    for command in (("info",), ("predict", tmp_path / "potential", "-o", tmp_path / "out.xyz")):
        assert sitewise(*command, tmp_path / "a.xyz").exit_code == 0
    for command in ("convert", "diagnose"):
        assert "--mixed-labels" in sitewise(command, "--help").output
    config = Config.parse({"data": {"train": "a.xyz", "mixed_labels": True}})
    assert config.data.reading()["mixed_labels"] is True


# ---- what is not used


def test_what_looks_like_a_label_is_listed_once(tmp_path):
    frames = labelled(4, energy=("calculator", "energy"))
    for atoms in frames:
        atoms.info["virial"] = np.eye(3)
        atoms.info["DFT_Energy"] = -1.5
        atoms.arrays["force"] = np.ones((len(atoms), 3))
    _, listener = reading(tmp_path / "a.xyz", frames)
    (sentence,) = listener.said[1:]
    for name in ("virial", "DFT_Energy", "force"):
        assert f"{name} (4 structures)" in sentence
    assert listener.warned == []


def test_what_does_not_look_like_a_label_is_not_listed(tmp_path):
    frames = labelled(3, **USUAL)
    for atoms in frames:
        atoms.info |= {"energy_sigma": 0.1, "config_weight": 1.0, "name": "energy", "virial": np.eye(3), "step": 5}
        atoms.calc.results["free_energy"] = 1.0
        atoms.calc.results["energies"] = np.ones(len(atoms))
        atoms.arrays["momenta"] = np.ones((len(atoms), 3))
        atoms.arrays["extrapolation"] = np.ones(len(atoms), dtype=int)
    _, listener = reading(tmp_path / "a.xyz", frames)
    assert listener.said[1:] == listener.warned == []


def test_predictions_are_read_without_a_word(tmp_path):
    from sitewise import Ensemble, Potential

    potential = Potential(silicon_potential())
    Ensemble([potential, potential]).save(tmp_path / "ensemble")
    write(tmp_path / "a.xyz", silicon_frames(3))
    assert sitewise("predict", tmp_path / "ensemble", tmp_path / "a.xyz", "-o", tmp_path / "b.xyz").exit_code == 0
    listener = Listener()
    data = Dataset.read(tmp_path / "b.xyz", reporter=listener)
    assert data.count("energy") == 3
    assert listener.said[1:] == []
    assert ["forces are too small" in text for text in listener.warned] == [True]  # those of a potential by chance


def test_energies_by_other_names_are_listed(tmp_path):
    (tmp_path / "a.xyz").write_text("1\nE=-1.5 Etot=-2.5 E_dft=-3.5 eta=1.0\nSi 0 0 0\n")
    listener = Listener()
    Dataset.read(tmp_path / "a.xyz", require_labels=False, reporter=listener)
    assert listener.said[1].startswith(
        "not used though it looks like a label: E (1 structure), Etot (1 structure), E_dft"
    )
    assert "eta" not in listener.said[1]


# ---- stress and virial


def test_six_numbers_of_a_virial_in_extended_xyz(tmp_path):
    """ASE refuses them; here they are read, and predict writes them."""
    atoms = alloy()
    text = " ".join(map(str, [1.0, 2.0, 3.0, 0.4, 0.5, 0.6]))
    with (tmp_path / "a.xyz").open("w") as file:
        write_extxyz(file, atoms, {"energy": 1.0})
    path = tmp_path / "a.xyz"
    path.write_text(path.read_text().replace("energy=1.0", f'energy=1.0 virial="{text}"'))
    listener = Listener()
    (s,) = Dataset.read(path, keys={"virial": "virial"}, reporter=listener)
    assert np.allclose(s.stress * -atoms.cell.volume, [1, 2, 3, 0.4, 0.5, 0.6], rtol=1e-14, atol=0)
    assert "the six numbers of virial are taken as xx yy zz yz xz xy" in listener.said
    (s,) = Dataset.read(path, reporter=Listener())
    with (tmp_path / "b.xyz").open("w") as file:
        write_extxyz(file, s.atoms, {})
    assert f'virial="{text}"' in (tmp_path / "b.xyz").read_text()


def test_stresses_of_atoms_are_no_stress(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text("1\nProperties=species:S:1:pos:R:3:stress:R:9 energy=1\nSi 0 0 0 1 0 0 0 2 0 0 0 3\n")
    listener = Listener()
    (s,) = Dataset.read(path, reporter=listener)
    assert (s.energy, s.stress) == (1, None)
    assert listener.said[-1] == "stresses of atoms are not read (structures with them: 1)"


def labelled_copper(path, seeds, key=None):
    frames = []
    for seed in seeds:
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        found = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = None if key else SinglePointCalculator(atoms, **found)
        if key:
            atoms.info["REF_energy"], atoms.arrays["REF_forces"] = found["energy"], found["forces"]
        frames.append(atoms)
    write(path, frames)


def test_test_structures_that_are_trained_on_are_said(tmp_path):
    labelled_copper(tmp_path / "train.xyz", range(4))
    labelled_copper(tmp_path / "test.xyz", range(3, 6))
    labelled_copper(tmp_path / "ref.xyz", range(6, 8), key="REF")
    for test, warned in (("test", 1), ("ref", 0)):
        (tmp_path / "run.toml").write_text(
            f'[data]\ntrain = "train.xyz"\ntest = "{test}.xyz"\nmixed_labels = true\n'
            '[symmetry_functions]\npreset = "fast"\n'
        )
        listener = Listener()
        read_data(Config.load(tmp_path / "run.toml").data, np.random.default_rng(0), listener)
        assert len(listener.warned) == warned
        if warned:
            assert "1 of 3 test structures are also trained on" in listener.warned[0]
    text = (tmp_path / "run.toml").read_text().replace("mixed_labels = true\n", "")
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(Error, match=r"\[data\] train and test: energy is mixed, 2 REF_energy, 4 from the calculator"):
        read_data(Config.load(tmp_path / "run.toml").data, np.random.default_rng(0), Listener())


def strain_derivative(atoms):
    """Return dE/d(strain) [3, 3] of EMT by finite differences, eV; a shear is half in each triangle."""
    found = np.zeros((3, 3))
    for a in range(3):
        for b in range(3):
            energies = []
            for h in (1e-4, -1e-4):
                strain = np.zeros((3, 3))
                strain[a, b] += h / 2
                strain[b, a] += h / 2
                moved = atoms.copy()
                moved.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
                moved.calc = EMT()
                energies.append(moved.get_potential_energy())
            found[a, b] = (energies[0] - energies[1]) / 2e-4
    return found


GPA = 160.2176634
CONVENTIONS = {  # name -> file's text of the key, of dE/d(strain) and volume, and the options to read it
    "GPUMD, QUIP and MACE: virial of nine numbers": (lambda d, v: -d.ravel(), {"keys": {"virial": "virial"}}),
    "virial of nine numbers by another name": (lambda d, v: -d.ravel(), {"keys": {"virial": "dft_virial"}}),
    "virial of six numbers": (lambda d, v: -d[VOIGT], {"keys": {"virial": "dft_virial"}}),
    "virial in Hartree": (
        lambda d, v: -d.ravel() / 27.211386245988,
        {"keys": {"virial": "virial"}, "energy_unit": "Hartree"},
    ),
    "ASE": (lambda d, v: d.ravel() / v, {"keys": {"stress": "stress"}}),
    "six numbers of ASE": (lambda d, v: d[VOIGT] / v, {"keys": {"stress": "dft_stress"}}),
    "GPa": (lambda d, v: d.ravel() / v * GPA, {"keys": {"stress": "dft_stress"}, "stress_unit": "GPa"}),
    "kbar": (lambda d, v: d.ravel() / v * GPA * 10, {"stress_unit": "kbar"}),
    "reference": (lambda d, v: d[VOIGT] / v, {}),
}
NAMES = {"kbar": "stress", "reference": "REF_stress"}


@pytest.fixture(scope="module")
def derivative():
    return strain_derivative(alloy())


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_every_convention_is_the_derivative_of_the_energy(tmp_path, derivative, convention):
    numbers, options = CONVENTIONS[convention]
    atoms = alloy()
    name = NAMES.get(convention) or next(iter(options["keys"].values()))
    scale = 27.211386245988 if "energy_unit" in options else 1.0
    text = " ".join(map(repr, numbers(derivative, atoms.cell.volume).tolist()))
    with (tmp_path / "a.xyz").open("w") as file:
        write_extxyz(file, atoms, {"energy": 1.0 / scale})
    lines = (tmp_path / "a.xyz").read_text().split("\n")
    lines[1] += f' {name}="{text}"'
    (tmp_path / "a.xyz").write_text("\n".join(lines))
    listener = Listener()
    (structure,) = Dataset.read(tmp_path / "a.xyz", reporter=listener, **options)
    expected = derivative[VOIGT] / atoms.cell.volume
    assert np.abs(expected).min() > 1e-4  # so that no order and no sign goes unnoticed
    assert np.allclose(structure.stress, expected, rtol=1e-9, atol=0)
    assert structure.energy == pytest.approx(1.0)
    assert any("six numbers" in said for said in listener.said) == (len(text.split()) == 6)


def test_a_virial_is_not_taken_unless_it_is_named(tmp_path):
    frames = labelled(3, energy=("calculator", "energy"))
    for atoms in frames:
        atoms.info["virial"] = np.eye(3)
    data, listener = reading(tmp_path / "a.xyz", frames)
    assert data.count("stress") == 0
    assert "virial (3 structures)" in listener.said[1]
    with pytest.raises(Error, match=r"virial is named as stress: name it as virial; a virial .* minus the stress"):
        reading(tmp_path / "a.xyz", frames, keys={"stress": "virial"})
    with pytest.raises(Error, match="dft_stress is named as virial: name it as stress"):
        reading(tmp_path / "a.xyz", frames, keys={"virial": "dft_stress"})
    with pytest.raises(Error, match="stress and virial are both named"):
        reading(tmp_path / "a.xyz", frames, keys={"virial": "virial", "stress": "x"})
    data, _ = reading(tmp_path / "a.xyz", frames, keys={"virial": "virial"})
    assert np.allclose(data[0].stress, -np.array([1, 1, 1, 0, 0, 0]) / frames[0].cell.volume)


@pytest.mark.parametrize("name", ["stress", "dft_stress", "REF_stress"])
def test_nine_numbers_that_are_not_symmetric_are_no_stress(tmp_path, name):
    (atoms,) = labelled(1, energy=("calculator", "energy"))
    write(tmp_path / "a.xyz", atoms)
    text = (tmp_path / "a.xyz").read_text()
    keys = {"stress": name} if name == "dft_stress" else {}
    for numbers, good in (("1 2 3 4 5 6 7 8 9", False), ("1 2 3 2 5 6 3 6.00001 9", True)):
        (tmp_path / "b.xyz").write_text(text.replace("energy=", f'{name}="{numbers}" energy='))
        if good:
            stress = Dataset.read(tmp_path / "b.xyz", keys=keys, reporter=Listener())[0].stress
            assert np.allclose(stress, [1, 5, 9, 6, 3, 2], atol=1e-4)
        else:
            with pytest.raises(Error, match=r"b.xyz.*structure 0: .*is not symmetric: 1"):
                Dataset.read(tmp_path / "b.xyz", keys=keys, reporter=Listener())


def test_stress_units_by_option_and_by_run_toml(tmp_path):
    write(tmp_path / "a.xyz", silicon_frames(3))
    silicon_potential().save(str(tmp_path / "potential"))
    rmse = []
    for unit in ("eV/Angstrom^3", "GPa", "gpa"):
        command = ("evaluate", tmp_path / "potential", tmp_path / "a.xyz", "--stress-unit", unit, "--json")
        assert sitewise(*command, tmp_path / "e.json").exit_code == 0
        rmse.append(json.loads((tmp_path / "e.json").read_text())["stress_max"])
    assert rmse[0] != rmse[1] == rmse[2]
    result = sitewise("evaluate", tmp_path / "potential", tmp_path / "a.xyz", "--stress-unit", "psi")
    assert result.exit_code == 2
    assert "stress_unit is psi, expected eV/Angstrom^3, GPa, kbar" in result.stderr
    with pytest.raises(Error, match=r"\[data\].*stress_unit is psi"):
        Config.parse({"data": {"train": "a.xyz", "stress_unit": "psi"}})


# ---- training

RUN = {
    "data": {"train": "", "test": 0},
    "symmetry_functions": {"preset": "auto", "cutoff": 4.0},
    "network": {"hidden": [3]},
    "training": {"iterations": 2},
}


def run_training(tmp_path, frames, **settings):
    write(tmp_path / "train.xyz", frames)
    listener = Listener()
    tables = RUN | {
        "data": {"train": str(tmp_path / "train.xyz"), "test": 0} | settings.pop("data", {}),
        "training": RUN["training"] | settings,
    }
    train(Config.parse(tables), tmp_path / "out", reporter=listener)
    return listener


@pytest.mark.slow
def test_a_weight_for_a_label_that_no_structure_has_is_refused(tmp_path):
    energies = labelled(4, energy=("calculator", "energy"))
    for setting, words in (("stress_weight", "a stress"), ("force_weight", "forces")):
        with pytest.raises(Error, match=rf"\[training\] {setting} is 0.5, but no training structure has {words}"):
            run_training(tmp_path, energies, **{setting: 0.5})
        assert not (tmp_path / "out").exists()
    for atoms in energies:
        atoms.info["virial"] = np.eye(3)
    with pytest.raises(Error, match=r"no training structure has a stress; not used .*virial \(4 structures\)"):
        run_training(tmp_path, energies, stress_weight=0.5)
    run_training(tmp_path, energies, stress_weight=0.5, data={"keys": {"virial": "virial"}})


def test_energies_alone_are_trained_on_with_a_word(tmp_path):
    listener = run_training(tmp_path, labelled(4, energy=("calculator", "energy")), posterior=False)
    assert "no training structure has forces: only the other labels count" in listener.said
    assert listener.warned == []


@pytest.mark.slow
def test_forces_alone_and_elements_without_energy_are_warned_of(tmp_path):
    listener = run_training(tmp_path, labelled(4, forces=("calculator", "forces")))
    assert "no training structure has an energy" in listener.warned[0]
    copper = labelled(3, **USUAL)
    for atoms in copper:
        atoms.symbols[:] = "Cu"
    listener = run_training(tmp_path / "..", copper + labelled(2, forces=("calculator", "forces")), iterations=1)
    assert listener.warned[0].startswith("no structure with Au has an energy")


# ---- what is unknown


def two():
    one, other = bulk("Si", "diamond", a=5.4), bulk("Si", "diamond", a=5.5)
    one.calc = SinglePointCalculator(one, energy=-10.8)
    other.calc = SinglePointCalculator(other, forces=np.ones((2, 3)))
    return [one, other]


def test_input_data_does_not_hold_unknown_labels(tmp_path):
    whole = silicon_frames(2)
    write(tmp_path / "a.xyz", two() + whole)
    result = sitewise("convert", tmp_path / "a.xyz", "-o", tmp_path / "input.data")
    assert result.exit_code == 2
    assert "a.xyz, structure 0: has no forces, as 2 of 4 structures lack energy or forces" in result.stderr
    assert "--labelled-only" in result.stderr
    assert not (tmp_path / "input.data").exists()
    result = sitewise("convert", tmp_path / "a.xyz", "-o", tmp_path / "input.data", "--labelled-only")
    assert result.exit_code == 0
    assert "2 structures without energy or forces are left out, 2 are kept" in result.stderr
    assert (tmp_path / "input.data").read_text().count("begin") == 2
    write(tmp_path / "b.xyz", two())
    result = sitewise("convert", tmp_path / "b.xyz", "-o", tmp_path / "b.data", "--labelled-only")
    assert "--labelled-only leaves nothing: none of 2 structures" in result.stderr


def test_stresses_that_input_data_does_not_hold_are_said(tmp_path):
    write(tmp_path / "a.xyz", silicon_frames(3) + silicon_frames(1, stress=False))
    result = sitewise("convert", tmp_path / "a.xyz", "-o", tmp_path / "input.data")
    assert result.exit_code == 0
    assert f"{tmp_path}/input.data: holds no stresses, which 3 of 4 structures have\n" in result.stderr


def test_groups_that_input_data_does_not_hold_are_said(tmp_path):
    frames = silicon_frames(2, stress=False)
    for atoms in frames:
        del atoms.info["config_type"]
    sentence = f"{tmp_path}/input.data: holds no groups; their names are in the comments, where sitewise reads them\n"
    for said in (False, True):
        write(tmp_path / "a.xyz", frames)
        result = sitewise("convert", tmp_path / "a.xyz", "-o", tmp_path / "input.data")
        assert (result.exit_code, sentence in result.stderr) == (0, said)
        frames[1].info["config_type"] = "crystal"
    assert 'comment config_type="crystal"\n' in (tmp_path / "input.data").read_text()
    assert [s.group for s in Dataset.read(tmp_path / "input.data", reporter=Listener())] == ["", "crystal"]


def test_structures_without_any_label_come_back_without(tmp_path):
    write(tmp_path / "POSCAR", bulk("Si", "diamond", a=5.4))
    assert sitewise("convert", tmp_path / "POSCAR", "-o", tmp_path / "input.data").exit_code == 0
    assert "energy" not in (tmp_path / "input.data").read_text()
    (structure,) = Dataset.read(tmp_path / "input.data", require_labels=False, reporter=Listener())
    assert structure.energy is structure.forces is structure.stress is None


@pytest.mark.parametrize("name", ["b.xyz", "b.traj", "b.json"])
def test_missing_labels_stay_missing(tmp_path, name):
    write(tmp_path / "a.xyz", [*two(), bulk("Si", "diamond", a=5.6)])
    assert sitewise("convert", tmp_path / "a.xyz", "-o", tmp_path / name).exit_code == 0
    found = Dataset.read(tmp_path / name, reporter=Listener())
    assert [s.energy for s in found] == [-10.8, None, None]
    assert [s.forces is None for s in found] == [True, False, True]
    assert [s.stress for s in found] == [None] * 3


def test_diagnosis_counts_the_energies_that_exist(tmp_path):
    copper = labelled(4, **USUAL)
    for k, atoms in enumerate(copper):
        atoms.symbols[:] = "Cu"
        atoms.rattle(0.05, seed=k)
    mixed = labelled(4, forces=("calculator", "forces"))
    write(tmp_path / "data.xyz", copper + mixed)
    write(tmp_path / "aim.xyz", labelled(2, **USUAL))
    command = ("diagnose", tmp_path / "data.xyz", "--target", tmp_path / "aim.xyz", "--json", tmp_path / "d.json")
    result = sitewise(*command)
    assert result.exit_code == 0, result.output
    assert "4 of 8 structures have no energy" in result.stdout
    assert "no structure with Au has an energy" in result.stdout
    assert "2 of 2 targets are open" in result.stdout
    found = json.loads((tmp_path / "d.json").read_text())
    assert (found["n_energies"], found["elements_without_energy"]) == (4, ["Au"])
    assert found["composition_nullity"] == 1
    for atoms in copper + mixed:
        atoms.calc = None
    write(tmp_path / "data.xyz", copper + mixed)
    result = sitewise(*command)
    assert "no structure has an energy: what follows assumes that the energies of all will be known" in result.stdout
    assert "Au has an energy" not in result.stdout


# ---- digits

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30)
WORDS = st.text(max_size=12)
VALUES = st.one_of(
    NUMBERS,
    st.integers(-(2**62), 2**62),
    st.booleans(),
    WORDS,
    st.none(),
    st.lists(NUMBERS, min_size=0, max_size=4).map(np.array),
    st.lists(st.booleans(), min_size=2, max_size=4).map(np.array),
    st.lists(st.integers(-5, 5), min_size=2, max_size=4).map(np.array),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=2),
)
KEYS = st.sampled_from(["group", "step", "my key", "x-y", 'quo"te', "a=b", "Energy", "uidx"])


@st.composite
def structures(draw):
    n = draw(st.integers(1, 3))

    def rows(width):
        return np.array(draw(st.lists(NUMBERS, min_size=width * n, max_size=width * n))).reshape(n, width)

    atoms = Atoms(draw(st.lists(st.sampled_from(["Si", "O", "X", "Au"]), min_size=n, max_size=n)), positions=rows(3))
    atoms.set_cell(draw(st.lists(NUMBERS, min_size=9, max_size=9).map(lambda x: np.reshape(x, (3, 3)))))
    atoms.pbc = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    atoms.info = draw(st.dictionaries(KEYS, VALUES, max_size=4))
    atoms.arrays["columns"], atoms.arrays["flags"] = rows(2), rows(1)[:, 0] > 0
    atoms.arrays["names"] = np.array(draw(st.lists(st.sampled_from(["a", "T", "1"]), min_size=n, max_size=n)))
    atoms.arrays["tags"] = np.array(draw(st.lists(st.integers(-9, 9), min_size=n, max_size=n)))
    half = rows(3)[:, 0]
    results = {"energy": draw(NUMBERS), "forces": rows(3), "energies": half}
    if draw(st.booleans()):
        results["stress"] = np.array(draw(st.lists(NUMBERS, min_size=6, max_size=6)))
    return atoms, results


def same(found, expected):
    if isinstance(expected, (str, dict)) or expected is None:
        return type(found) is type(expected) and found == expected
    return np.array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.slow
@settings(max_examples=60)
@given(structures())
def test_what_is_written_is_read_by_ase_to_the_bit(structure):
    atoms, results = structure
    file = io.StringIO()
    write_extxyz(file, atoms, results)
    write_extxyz(file, atoms, {})
    file.seek(0)
    one, two = read(file, ":", format="extxyz")
    for found in (one, two):
        for name in ("positions", "numbers", "columns", "flags", "tags"):
            assert np.array_equal(found.arrays[name], atoms.arrays[name])
        assert list(found.arrays["names"]) == list(atoms.arrays["names"])
        assert np.array_equal(found.cell.array, atoms.cell.array)
        assert np.array_equal(found.pbc, atoms.pbc)
        assert found.info.keys() == atoms.info.keys()
        for key, value in atoms.info.items():
            assert same(found.info[key], value), (key, value, found.info[key])
    assert two.calc is None
    assert one.calc.results.keys() == results.keys()
    for name, value in results.items():
        assert np.array_equal(one.calc.results[name], value)


def test_what_is_fixed_stays_fixed(tmp_path):
    """Atoms fixed only in some directions stay fixed, too; nine numbers of a virial keep their order."""
    virial = np.arange(9.0).reshape(3, 3)
    for constraint in (FixAtoms([1]), FixCartesian([1], [True, False, True])):
        atoms = alloy()
        atoms.set_constraint(constraint)
        atoms.info["virial"] = virial
        with (tmp_path / "a.xyz").open("w") as file:
            write_extxyz(file, atoms, {})
        found = read(tmp_path / "a.xyz")
        moved = np.ones((len(atoms), 3))
        for each in found.constraints:
            each.adjust_forces(found, moved)
        expected = np.ones((len(atoms), 3))
        constraint.adjust_forces(atoms, expected)
        assert np.array_equal(moved, expected)
        assert (moved[1] == [0, isinstance(constraint, FixCartesian), 0]).all()
        assert np.array_equal(found.info["virial"], virial)


def test_predictions_are_read_to_the_bit(tmp_path):
    from sitewise import Potential

    potential = Potential(silicon_potential())
    frames = silicon_frames(3)
    for k, atoms in enumerate(frames):
        atoms.info |= {"REF_energy": 5.0, "note": 'said "so"', "step": k}
        atoms.set_constraint(FixAtoms([0]))
    write(tmp_path / "a.traj", frames)
    potential.save(tmp_path / "potential")
    assert sitewise("predict", tmp_path / "potential", tmp_path / "a.traj", "-o", tmp_path / "b.xyz").exit_code == 0
    data = Dataset.read(tmp_path / "b.xyz", reporter=Listener())
    for atoms, structure, found in zip(frames, data, read(tmp_path / "b.xyz", ":"), strict=True):
        expected = potential.evaluate(atoms)
        assert (structure.energy, found.calc.results["energy"]) == (expected.energy, expected.energy)
        for name in ("forces", "energies", "stress"):
            assert np.array_equal(found.calc.results[name], getattr(expected, name))
        assert np.array_equal(structure.forces, expected.forces)
        assert np.array_equal(found.positions, atoms.positions)
        assert found.info["note"] == 'said "so"'
        assert found.constraints[0].index.tolist() == [0]


@pytest.mark.parametrize("name", ["b.xyz", "b.extxyz", "b.xyz.gz"])
def test_labels_are_converted_to_the_bit(tmp_path, name):
    frames = silicon_frames(3)
    frames[0].info["REF_energy"] = frames[0].calc.results.pop("energy")
    write(tmp_path / "a.traj", frames)
    command = ("convert", tmp_path / "a.traj", "-o", tmp_path / name, "--mixed-labels")
    assert sitewise(*command).exit_code == 0
    one = Dataset.read(tmp_path / "a.traj", mixed_labels=True, reporter=Listener())
    two = Dataset.read(tmp_path / name, reporter=Listener())
    assert one.hash() == two.hash()
    assert two.groups == one.groups


def test_units_are_not_applied_twice(tmp_path):
    """A label that was read in other units is not kept beside the one that is written."""
    frames = labelled(3, REF_energy=("info", "energy"), forces=("calculator", "forces"))
    write(tmp_path / "a.traj", frames)
    command = ("convert", tmp_path / "a.traj", "-o", tmp_path / "b.xyz", "--energy-unit", "Hartree")
    assert sitewise(*command).exit_code == 0
    one = Dataset.read(tmp_path / "a.traj", energy_unit="Hartree", reporter=Listener())
    assert one.hash() == Dataset.read(tmp_path / "b.xyz", reporter=Listener()).hash()
