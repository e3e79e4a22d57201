"""GROW.toml: the tables of a growth, checked."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from .._core import Error
from ..config import (
    Baseline,
    Config,
    Count,
    Data,
    Functions,
    Invariants,
    NetworkShape,
    Positive,
    Start,
    Table,
    Training,
    checked,
    read_tables,
)
from ..mapping.models import FACTORY
from ..units import energy

Files = Annotated[list[str], Field(min_length=1)]
HELD_OUT = 0.1


def _one_file(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Oracle(Table):
    """What labels structures: one of `calculator`, `command` and `pause`."""

    calculator: str | None = None
    """MODULE:NAME of a calculator of ASE, or of a class or function that makes one."""
    command: str | None = None
    """A command that is run with two more arguments: a folder with inputs 000.xyz, 001.xyz, ... and a folder for
    outputs of the same names, extended XYZ with energy and forces."""
    pause: bool = False
    """Write the inputs and end; the same `sitewise grow` continues once the outputs are there."""
    folder: str = "."
    """Where commands run and where the calculator's module may be."""

    @model_validator(mode="after")
    def _one(self) -> Oracle:
        given = [name for name in ("calculator", "command", "pause") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"expected one of calculator, command and pause, found {' and '.join(given) or 'none'}")
        if self.calculator and not FACTORY.fullmatch(self.calculator):
            raise ValueError(f"calculator is {self.calculator}, expected MODULE:NAME")
        return self


class Explore(Table):
    """Molecular dynamics with the potential, built in or by a command, until an error bar is too large."""

    starts: Files
    """Files with the structures that trajectories start from: one for each in every round, more if they end early."""
    command: str | None = None
    """A command that explores in place of the dynamics below, LAMMPS or Python. It is run with two more arguments: the
    directory of the potential, and a folder for files with structures, such as extended XYZ."""
    temperatures: Annotated[list[Positive], Field(min_length=2, max_length=2)] = Field([300.0, 1000.0])
    """First and last temperature in K, linear in between; or one number."""
    pressure: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """Pressure in GPa on starts without surface; the others keep their cell, and all do if it is not given."""
    steps: Count = 2000
    """Time steps of a trajectory, if nothing ends it before."""
    timestep: Positive | None = None
    """Time step in fs; 1, or 0.5 with hydrogen, if not given."""
    every: Count = 20
    """Time steps between two evaluations of the error bars; the structures that are evaluated may be chosen."""
    atom_bar: Positive = 0.2
    """Error bar of an atomic energy in eV beyond which a trajectory ends."""
    force_bar: Positive = 0.5
    """Error bar of a force component in eV/Å beyond which a trajectory ends."""
    max_atoms: Count | None = None
    """Largest number of atoms in a structure that is labelled. From a larger structure, a cluster of this size is cut
    out around the atom with the largest error bar. If it is not given, structures of any size are labelled."""

    _starts = field_validator("starts", mode="before", json_schema_input_type=str | list[str])(_one_file)

    @field_validator("temperatures", mode="before", json_schema_input_type=float | list[float])
    @classmethod
    def _constant(cls, value: Any) -> Any:
        return [value, value] if isinstance(value, (int, float)) else value


class Targets(Table):
    """What the potential is made for."""

    data: Files | None = None
    """Files with structures whose energies are to be known, as warm as they will be; the starts of `[explore]` if not
    given."""
    accuracy: Positive = 0.01
    """Error bar up to which a target is determined, as in `"5 meV"` (per atom), or a number of eV/atom."""

    _data = field_validator("data", mode="before", json_schema_input_type=str | list[str] | None)(_one_file)

    @field_validator("accuracy", mode="before", json_schema_input_type=str | float)
    @classmethod
    def _with_unit(cls, value: Any) -> Any:
        try:
            return energy(value, "accuracy") if isinstance(value, str) else value
        except Error as error:
            raise ValueError(str(error)) from None


class Budget(Table):
    """What may be spent."""

    labels: Count = 200
    """Structures that the oracle labels at most."""
    batch: Count = 10
    """Structures that the oracle labels in a round."""
    first: Annotated[int, Field(ge=2, le=10**6)] = 10
    """Rattled and strained copies of the starts that are labelled to begin with, where there are no data."""
    rounds: Count = 50
    """Rounds at most."""
    hours: Positive | None = None
    """Hours at most, of all rounds together; a round that has begun is finished. No limit if not given."""
    choose: Literal["targets", "bars", "random"] = "targets"
    """`"targets"` chooses structures that most lower the error bars (RMS) of targets and of what trajectories visit,
    for their cost (atoms cubed). `"bars"` chooses those with the largest error bars, and `"random"` any; both are for
    comparison."""


class GrowConfig(Table):
    """A whole GROW.toml; its paths are absolute once it is loaded from a file."""

    data: Data | None = None
    """Labelled structures to begin with, as in RUN.toml; `test` is the fraction of all labels that is held out."""
    oracle: Oracle
    explore: Explore
    targets: Targets = Targets()
    budget: Budget = Budget()
    symmetry_functions: Functions = Functions()
    network: NetworkShape = NetworkShape()
    baseline: Baseline = Baseline()
    training: Training = Training.model_validate({})

    @model_validator(mode="after")
    def _together(self) -> GrowConfig:
        if self.data is not None and isinstance(self.data.test, list):
            raise ValueError("[data] test: expected the fraction of labels to hold out, found files")
        if self.held_out > 0.5:
            raise ValueError(f"[data] test: expected at most half of the labels to hold out, found {self.held_out:g}")
        if self.data is None and self.budget.labels < self.budget.first:
            raise ValueError(
                f"[budget] labels is {self.budget.labels}, expected at least the {self.budget.first} of first"
            )
        if self.data is not None and self.data.validation:
            raise ValueError("[data] validation: a growth has none, test is what is held out")
        if self.training.early_stop and self.held_out == 0:
            raise ValueError("[training] early_stop needs held-out data, but [data] test is 0")
        if self.training.replicas == 1 and not self.training.posterior:
            raise ValueError("[training] posterior is false, but error bars need it, or replicas")
        if self.training.student:
            raise ValueError("[training] student has no error bars; leave it out, and distil the last ensemble")
        return self

    @classmethod
    def load(cls, path: str | Path) -> GrowConfig:
        """Read a GROW.toml. Relative paths in it are relative to its folder.

        Raises
        ------
        Error
            As `Config.load`.
        """
        path = Path(path)
        return checked(cls, read_tables(path), path.name).relative_to(path.parent)

    @classmethod
    def parse(cls, tables: dict[str, Any]) -> GrowConfig:
        """Check tables that do not come from a file; raise Error with one sentence for each mistake."""
        return checked(cls, tables, "configuration")

    @property
    def held_out(self) -> float:
        """Fraction of the labels that is held out, to scale error bars."""
        if self.data is None:
            return HELD_OUT
        assert isinstance(self.data.test, float)  # files are refused
        return self.data.test

    def relative_to(self, folder: Path) -> GrowConfig:
        """Return the configuration with absolute paths; relative ones are relative to `folder`."""
        return self._with_paths(lambda file: str(folder.absolute() / file))

    def from_folder(self, folder: Path) -> GrowConfig:
        """Return the configuration with paths relative to a folder."""
        return self._with_paths(lambda file: os.path.relpath(file, folder))

    def _with_paths(self, change: Callable[[str], str]) -> GrowConfig:
        def changed(files: list[str]) -> list[str]:
            return [change(file) for file in files]

        file, aims = self.symmetry_functions.file, self.targets.data
        data = self.data and self.data.model_copy(update={"train": changed(self.data.train)})
        return self.model_copy(
            update={
                "data": data,
                "oracle": self.oracle.model_copy(update={"folder": change(self.oracle.folder)}),
                "explore": self.explore.model_copy(update={"starts": changed(self.explore.starts)}),
                "targets": self.targets.model_copy(update={"data": changed(aims) if aims else None}),
                "baseline": self.baseline.with_paths(change),
                "symmetry_functions": self.symmetry_functions.model_copy(
                    update={"file": change(file) if file else None}
                ),
            }
        )

    def run(self, train: Path, test: Path | None, start: Path | None) -> Config:
        """Return the configuration of a training run.

        Parameters
        ----------
        train, test
            Files with the structures; `test` is None if none is held out.
        start
            Directory of the potential whose weights it starts from; None for random ones.
        """
        functions, training = self.symmetry_functions, self.training
        if start is not None:
            functions = Functions(whiten=functions.whiten)
        if test is None:  # so few labels that nothing can stop the training early
            training = training.model_copy(update={"early_stop": None})
        return Config(
            data=Data(train=[str(train)], test=[str(test)] if test else 0.0),
            symmetry_functions=functions,
            network=self.network,
            baseline=self.baseline
            if start is None
            else self.baseline.model_copy(update={"zbl": None, "pair_tables": {}}),
            start=Start(potential=None if start is None else str(start)),
            training=training,
            invariants=Invariants(data=[]),
        )
