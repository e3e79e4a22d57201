"""RUN.toml: the tables of a training run, checked."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)

from ._core import Error, PairTable
from .text import PATH, printable
from .units import Units

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ActivationName = Literal[
    "tanh",
    "sigmoid",
    "softplus",
    "relu",
    "gaussian",
    "cosine",
    "reverse_sigmoid",
    "exponential",
    "harmonic",
    "linear",
]
ScalingName = Literal["minmax", "center", "minmax_center", "sigma", "none"]

RecipeName = Literal["default", "yoo2019-adam", "yoo2019-lbfgs", "seed-adam", "seed-lbfgs"]

# Defaults of [training] by recipe. `default` was best in the measurements of benchmarks/RESULTS.md; the others follow
# D. Yoo et al., Phys. Rev. Materials 3, 093802 (2019). What a recipe lacks follows from the data, see
# training/settled.py.
_PAPER: dict[str, Any] = {"force_weight": 0.03, "stress_weight": 0.0, "l2": 1e-6}
RECIPES: dict[str, dict[str, Any]] = {
    "default": {"optimizer": "gn-lbfgs", "iterations": 360, "force_weight": 0.01},
    "yoo2019-adam": {"optimizer": "adam", "iterations": 100_000} | _PAPER,
    "yoo2019-lbfgs": {"optimizer": "lbfgs", "iterations": 800} | _PAPER,
}
OLD_NAMES = {"yoo2019-adam": "seed-adam", "yoo2019-lbfgs": "seed-lbfgs"}  # of recipes; checkpoints have these
RECIPES |= {old: RECIPES[name] for name, old in OLD_NAMES.items()}
PAPER_PRESET, PAPER_HIDDEN = "simple-nn", [30, 30]  # of the recipes that follow the paper
ADAM: dict[str, Any] = {"batch_size": 4, "learning_rate": [0.01, 0.00017]}

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10**9)]

# Bytes of a file, and dots in a key: a larger file would take too long to read, or could not be read at all.
SIZE, DOTS = 1 << 18, 50
HIDDEN = 10**6  # weights between hidden layers
MATRIX = {"gn-lbfgs": 10**5, "lm": 10**5}  # the same for optimisers whose matrices have a column for each weight
LONGEST = 50.0  # cutoff in Angstrom, within which there are some 30,000 neighbours
PROBLEMS = 10  # reported at once
SETTINGS = ("symmetry_functions", "network", "baseline", "start", "training")  # tables that do not name files of data


Checked = TypeVar("Checked", bound=BaseModel)


class Table(BaseModel):
    """A table of a TOML file; unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class Keys(Table):
    """Names of the labels in the files, if they are not the usual ones."""

    energy: str | None = None
    """Name of the energy (eV)."""
    forces: str | None = None
    """Name of the forces (eV/Å)."""
    stress: str | None = None
    """Name of the stress."""
    virial: str | None = None
    """Name of the virial (eV, minus stress times volume), in place of a stress."""

    def given(self) -> dict[str, str]:
        return {label: key for label, key in self if key is not None}


class Data(Table):
    """Structures with labels, and how to read them."""

    train: list[str]
    """A file, a glob pattern, or a list of them."""
    test: list[str] | float = 0.1
    """The same, or the fraction of `train` to hold out from each group, chosen by `seed`; 0 for none."""
    validation: list[str] | float = 0.0
    """The same, or the fraction of what is left, to steer `early_stop` and to scale error bars; without it the test
    data do, whose errors are then too small."""
    keys: Keys = Keys()
    mixed_labels: bool = False
    """Whether a label may come from different sources in different structures."""
    cache: str | None = None
    """Folder in which features and derivatives are kept and found; none if not given."""
    length_unit: str = "Angstrom"
    """`"Angstrom"` or `"Bohr"`, for positions, cells, forces and stress in the files."""
    energy_unit: str = "eV"
    """`"eV"`, `"Hartree"`, `"Rydberg"`, `"kcal/mol"` or `"kJ/mol"`, for energies, forces and stress in the files."""
    stress_unit: str | None = None
    """`"eV/Angstrom^3"`, `"GPa"` or `"kbar"`; the unit of energy / length³ if not given."""
    keep_unconverged: bool = False
    """Keep steps of DFT outputs whose electrons did not converge."""
    keep_machine_learned: bool = False
    """Keep steps that VASP's machine-learned force field made."""

    @model_validator(mode="after")
    def _known_units(self) -> Data:
        try:
            Units.of(self.length_unit, self.energy_unit, self.stress_unit)
        except Error as error:
            raise ValueError(str(error)) from None
        return self

    def reading(self) -> dict[str, Any]:
        """Return the keywords of `Dataset.read` for all files of a run."""
        names = (
            "mixed_labels",
            "length_unit",
            "energy_unit",
            "stress_unit",
            "keep_unconverged",
            "keep_machine_learned",
        )
        return {"keys": self.keys.given(), **{name: getattr(self, name) for name in names}}

    @field_validator("train", mode="before", json_schema_input_type=str | list[str])
    @classmethod
    def _one_file(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("test", "validation", mode="plain", json_schema_input_type=str | list[str] | float)
    @classmethod
    def _files_or_fraction(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [value]
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            return value
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0 <= value < 1:
            raise ValueError(f"expected files or a fraction from 0 to below 1, found {_shown(value)}")
        return float(value)


class Functions(Table):
    """The symmetry functions: a preset or a file, how many of them to choose, and their scaling."""

    preset: Literal["standard", "accurate", "simple-nn", "fast", "auto", "pool"] | None = None
    """Named set of functions; if neither `preset` nor `file` is given, `"standard"`, or `"simple-nn"` with the recipes
    of the paper."""
    file: str | None = None
    """An `input.nn` whose functions are used instead."""
    cutoff: Annotated[float, Field(gt=0, le=LONGEST)] | None = None
    """Cutoff of the preset in Å; the preset's own if not given. For one element `"standard"` and `"accurate"` then
    choose between some, by linear fits of the training data."""
    cflength: Positive = 1.0
    """1 Å in the unit of length of `file`: 1.8897261328 for Bohr."""
    select: Count | None = None
    """Number of functions to choose for each element by CUR on the training data; all if not given. `"pool"`
    needs it. `"accurate"` for one element chooses by linear fits of the training data, 160 if not given and there are
    enough labels."""
    scaling: ScalingName = "minmax"
    """One of n2p2's scalings; `"minmax"` scales to [-1, 1]."""
    whiten: bool = True
    """Train the first layer on principal components."""

    @model_validator(mode="after")
    def _preset_or_file(self) -> Functions:
        if self.preset and self.file:
            raise ValueError("preset and file exclude each other")
        if self.file and self.cutoff:
            raise ValueError("cutoff belongs to a preset, the functions of a file have their own")
        if self.preset == "pool" and self.select is None:
            raise ValueError('preset "pool" is to choose from, it needs select')
        if not self.file and self.cflength != 1:
            raise ValueError("cflength belongs to file")
        return self


def hidden_weights(hidden: list[int]) -> int:
    """Count the weights of a network with one input, the smallest number that it can have."""
    return sum(a * b for a, b in pairwise([1, *hidden, 1]))


class NetworkShape(Table):
    """The networks, of the same shape for each element."""

    hidden: Annotated[list[Count], Field(min_length=1, max_length=20)] | None = None
    """Nodes of the hidden layers; two layers whose size follows from the number of labels if not given, or one layer
    where linear fits choose the functions."""
    activation: ActivationName = "tanh"
    """Activation function of the hidden layers."""

    @field_validator("hidden")
    @classmethod
    def _affordable(cls, hidden: list[int] | None) -> list[int] | None:
        if hidden and (weights := hidden_weights(hidden)) > HIDDEN:
            raise ValueError(f"{weights} weights between the layers, expected at most {HIDDEN}")
        return hidden


class LossWeights(NamedTuple):
    """Weights in the loss beside that of the energies, which is 1."""

    force: float
    stress: float
    l2: float


class Training(Table):
    """The optimiser and the loss. The recipe gives the defaults that are missing here."""

    model_config = ConfigDict(json_schema_extra=lambda schema: schema.pop("required"))  # the recipe gives them

    recipe: RecipeName = "default"
    """Named set of defaults for the other keys. `seed-adam` and `seed-lbfgs` are old names of `yoo2019-adam` and
    `yoo2019-lbfgs`."""
    optimizer: Literal["gn-lbfgs", "lbfgs", "lm", "adam"]
    """`"gn-lbfgs"` is L-BFGS whose first inverse Hessian is that of a sampled Gauss-Newton matrix, `"lbfgs"` plain
    L-BFGS, `"lm"` Levenberg-Marquardt with a new sample in each iteration, and `"adam"` Adam."""
    iterations: Count | None = None
    """Number of iterations; each one uses all structures, except with Adam."""
    epochs: Count | None = None
    """Passes over the training structures, in place of `iterations`."""
    batch_size: Count | None = None
    """Structures per iteration; Adam only, 4 if not given."""
    learning_rate: Annotated[list[Positive], Field(min_length=2, max_length=2)] | None = None
    """First and last rate, exponential in between; or one number. Adam only, [0.01, 0.00017] if not given."""
    l2: NonNegative | None = None
    """Weight of the sum of squares of the weight matrices (of the whitened ones if `whiten`); from the labels if not
    given."""
    force_weight: NonNegative
    """Weight of the mean squared force error (eV/Å)² against that of the energy (eV/atom)²; 0 trains on energies
    only."""
    stress_weight: NonNegative | None = None
    """Weight of the mean squared stress error (eV/Å³)²; from the volumes of the structures with a stress if not given,
    0 with the recipes of the paper."""
    group_weights: dict[str, NonNegative] = {}
    """Weight of the squared errors of a structure, by its `config_type` or `group`; 1 if not given."""
    structure_weights: str | None = None
    """Name of the weights of structures in their `info`, which multiply their squared errors; 1 where there is none."""
    atom_weights: str | None = None
    """Name of the column with the weights of the squared force errors of each atom; 1 where there is none."""
    gdf: bool = False
    """Weigh forces by the sparsity of their environments in the training set (GDF)."""
    gdf_width: Positive | None = None
    """Width of GDF's Gaussians, a distance in G space; automatic if not given."""
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0
    """Seed of held-out structures, first weights, batches and samples."""
    replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    """Number of potentials in an ensemble; the first weights of replica r are those of `seed` + r. After training
    they are set apart where the data leave atomic energies open."""
    student: bool = False
    """Train one network on the energies and forces of the ensemble of `replicas`; it is the potential of the run."""
    posterior: bool = True
    """Store a posterior distribution of the weights with the potential, from which error bars are computed."""
    early_stop: Count | None = None
    """Stop after this many iterations without a lower loss of the validation data, or else the test data, and keep the
    best potential."""
    memory_budget: Annotated[float, Field(ge=0, le=1e6)] = 4.0
    """Memory for derivatives, neighbours and features, GB, for each rank of `mpirun`. Derivatives beyond it are read
    from `cache` or recomputed; neighbours and features beyond it are read from a temporary file."""

    @model_validator(mode="wrap")
    @classmethod
    def _fill_in(cls, given: Any, check: ModelWrapValidatorHandler[Training]) -> Training:
        if not isinstance(given, dict):
            return check(given)
        made = check(cls._with_defaults(given))
        made.model_fields_set.intersection_update(given)  # what the recipe gives was not set by the user
        return made

    @staticmethod
    def _with_defaults(given: dict[str, Any]) -> dict[str, Any]:
        recipe = RECIPES.get(str(given.get("recipe", "default")), RECIPES["default"])
        values = {key: value for key, value in recipe.items() if key != "iterations" or "epochs" not in given} | given
        return ADAM | values if values["optimizer"] == "adam" else values

    @field_validator("learning_rate", mode="before", json_schema_input_type=float | list[float] | None)
    @classmethod
    def _constant(cls, value: Any) -> Any:
        return [value, value] if isinstance(value, (int, float)) else value

    @model_validator(mode="after")
    def _one_length(self) -> Training:
        if self.iterations and self.epochs:
            raise ValueError("iterations and epochs exclude each other")
        if self.gdf and self.force_weight == 0:
            raise ValueError("gdf weighs forces, but force_weight is 0")
        if self.student and self.replicas == 1:
            raise ValueError("student learns from an ensemble, expected at least 2 replicas, found 1")
        if self.gdf_width and not self.gdf:
            raise ValueError("gdf_width belongs to gdf, which is false")
        for key in ADAM:
            if self.optimizer != "adam" and getattr(self, key) is not None:
                raise ValueError(f'{key} belongs to optimizer "adam", found "{self.optimizer}"')
        return self

    @property
    def loss_weights(self) -> LossWeights:
        """Weights of the loss; those that follow the data must be settled."""
        assert self.l2 is not None
        assert self.stress_weight is not None
        return LossWeights(self.force_weight, self.stress_weight, self.l2)

    def weight(self, group: str) -> float:
        """Return the weight of a group's structures in the loss."""
        return self.group_weights.get(group, 1.0)

    def batch(self, n_structures: int) -> int:
        """Return the number of structures of an iteration: all of them, except for Adam."""
        return min(self.batch_size or n_structures, n_structures)

    def total_iterations(self, n_structures: int) -> int:
        """Return the number of iterations of the run."""
        if self.epochs:
            return self.epochs * -(-n_structures // self.batch(n_structures))
        return self.iterations or 0

    def rate(self, progress: float) -> float:
        """Return the learning rate at a fraction 0..1 of the run; NaN if the optimiser has none."""
        if self.learning_rate is None:
            return float("nan")
        first, last = self.learning_rate
        return float(first * (last / first) ** progress)


class Baseline(Table):
    """Energies and forces that the network is added to."""

    atom_energies: dict[str, Annotated[float, Field(allow_inf_nan=False)]] | Literal["least squares", "isolated"] = (
        "least squares"
    )
    """Energies of free atoms in eV: by element, as in `{Si = -103.2}`; of structures of one atom in the data
    (`"isolated"`); or a least-squares fit to the compositions."""

    exact_atom_energies: bool = False
    """Whether free atoms have exactly the energies of `atom_energies`, which must be numbers or `"isolated"`. The
    output of a network is then 0 for an atom without neighbours."""

    zbl: Annotated[list[Positive], Field(min_length=2, max_length=2)] | Literal["auto", "none"] | None = None
    """Screened repulsion of nuclei (J. F. Ziegler et al., 1985): the distances in Å between which it is switched off,
    `"auto"` for 0.4 and 0.8 times the shortest of the nearest distances in the data, or `"none"`. If not given,
    `"auto"` with the preset `"accurate"` and `"none"` with others."""

    pair_tables: dict[str, str] = {}
    """Tabulated pair potentials by pairs of elements, `"Si-O"`: a file of LAMMPS's `pair_style table` in eV and Å, or
    `"FILE#SECTION"` if it has several sections. Each table must end in 0."""

    @field_validator("pair_tables")
    @classmethod
    def _pairs(cls, tables: dict[str, str]) -> dict[str, str]:
        seen: set[frozenset[str]] = set()
        for name in tables:
            pair = name.split("-")
            if len(pair) != 2:
                raise ValueError(f"expected two elements as in Si-O, found {_shown(name)}")
            if frozenset(pair) in seen:
                raise ValueError(f"{printable(name)} is there twice")
            seen.add(frozenset(pair))
        return tables

    def with_paths(self, change: Callable[[str], str]) -> Baseline:
        """Return the table with changed paths."""
        tables = {name: "#".join([change(file), *section]) for name, (file, *section) in self._places().items()}
        return self.model_copy(update={"pair_tables": tables})

    def _places(self) -> dict[str, list[str]]:
        """Return the file and, if it is given, the section of each pair table."""
        return {name: place.rsplit("#", 1) for name, place in self.pair_tables.items()}

    def read_pair_tables(self) -> dict[str, PairTable]:
        """Read the pair tables, by pairs of elements.

        Raises
        ------
        Error
            With file and line.
        """
        return {name: PairTable.read(*place) for name, place in self._places().items()}

    @field_validator("zbl")
    @classmethod
    def _ascending(cls, zbl: Any) -> Any:
        if isinstance(zbl, list) and not zbl[0] < zbl[1]:
            raise ValueError(f"expected two distances in Angstrom, the second longer, found {_shown(zbl)}")
        return zbl

    @model_validator(mode="after")
    def _known_atoms(self) -> Baseline:
        if self.exact_atom_energies and self.atom_energies == "least squares":
            raise ValueError('exact_atom_energies needs atom_energies, as numbers or as "isolated", but has none')
        return self


class Start(Table):
    """The potential whose weights a run starts from."""

    potential: str | None = None
    """Directory of a potential of sitewise, n2p2 or RuNNer, or SIMPLE-NN's `potential_saved`; random weights if not
    given. Its functions and its networks are those of the run."""
    cflength: Positive = 1.0
    """1 Å in the unit of length of `potential`: 1.8897261328 for Bohr."""
    cfenergy: Positive = 1.0
    """1 eV in the unit of energy of `potential`: 0.0367493254 for Hartree."""
    frozen: Annotated[int, Field(ge=0)] = 0
    """Number of layers of each network, from the first, whose weights stay as they are."""

    @model_validator(mode="after")
    def _of_a_potential(self) -> Start:
        if self.potential is None and (self.cflength, self.cfenergy, self.frozen) != (1.0, 1.0, 0):
            raise ValueError("cflength, cfenergy and frozen need potential, which is missing")
        return self


class Invariants(Table):
    """Crystals of equivalent atoms that are followed during training."""

    data: list[str] | Literal["auto"] = "auto"
    """Files of crystals whose atoms are all equivalent, with energies; `"auto"` takes those in training and test
    data, `[]` none."""

    @field_validator("data", mode="before", json_schema_input_type=str | list[str])
    @classmethod
    def _one_file(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) and value != "auto" else value


class Config(Table):
    """A whole RUN.toml; its paths are absolute once it is loaded from a file."""

    data: Data
    symmetry_functions: Functions = Functions()
    network: NetworkShape = NetworkShape()
    baseline: Baseline = Baseline()
    start: Start = Start()
    training: Training = Training.model_validate({})
    invariants: Invariants = Invariants()

    @model_validator(mode="after")
    def _of_the_paper(self) -> Config:
        """Take functions and network from the paper with its recipes."""
        functions, network = self.symmetry_functions, self.network
        if self.training.recipe == "default":
            return self
        if functions.preset is None and functions.file is None:
            functions = functions.model_copy(update={"preset": PAPER_PRESET})
        if network.hidden is None:
            network = network.model_copy(update={"hidden": PAPER_HIDDEN})
        return self.model_copy(update={"symmetry_functions": functions, "network": network})

    @model_validator(mode="after")
    def _held_out_data(self) -> Config:
        if self.training.early_stop and self.data.test == 0 and self.data.validation == 0:
            raise ValueError("[training] early_stop needs held-out data, but [data] test and validation are 0")
        return self

    @model_validator(mode="after")
    def _matrix(self) -> Config:
        weights, most = hidden_weights(self.network.hidden or []), MATRIX.get(self.training.optimizer, HIDDEN)
        if weights > most:
            name = self.training.optimizer
            raise ValueError(
                f"[network] hidden: {weights} weights between the layers, expected at most {most} for the matrix of "
                f'optimizer "{name}"; "lbfgs" and "adam" have none'
            )
        return self

    @classmethod
    def load(cls, path: str | Path, recipe: str | None = None) -> Config:
        """Read a RUN.toml. Relative paths in it are relative to its folder; `recipe` replaces its own.

        Raises
        ------
        Error
            If the file cannot be read or is not TOML (with the line). One sentence for each key that is unknown,
            missing or has a wrong value.
        """
        path = Path(path)
        tables = read_tables(path)
        tables.pop("result", None)  # what a training.toml reports
        training = tables.setdefault("training", {})
        if recipe and isinstance(training, dict):
            training["recipe"] = recipe
        return cls.parse(tables, path.name).relative_to(path.parent)

    @classmethod
    def parse(cls, tables: dict[str, Any], name: str = "configuration") -> Config:
        """Check tables that do not come from a file; `name` is the head of each message.

        Raises
        ------
        Error
            One sentence for each key that is unknown, missing or has a wrong value.
        """
        return checked(cls, tables, name)

    @classmethod
    def of(cls, test: float = 0.1, **settings: Any) -> Config:
        """Make the configuration for data in memory.

        Parameters
        ----------
        test
            Fraction of the structures to hold out.
        settings
            Keys of the tables `symmetry_functions`, `network`, `baseline`, `start` and `training`: `preset="accurate"`,
            `hidden=[20, 20]`, `iterations=500`.

        Raises
        ------
        Error
            A key is unknown, or its value wrong.
        """
        tables: dict[str, Any] = {"data": {"train": [], "test": test}}
        places = {key: table for table in SETTINGS for key in _known_keys([table], cls)}
        for key, value in settings.items():
            if key not in places:
                close = difflib.get_close_matches(key, places, n=1)
                raise Error(f"{key}: unknown setting, {f'did you mean {close[0]}?' if close else 'see RUN.toml'}")
            tables.setdefault(places[key], {})[key] = value
        return cls.parse(tables, "settings")

    def relative_to(self, folder: Path) -> Config:
        """Return the configuration with absolute paths; relative ones are relative to `folder`."""

        return self._with_paths(lambda file: str(folder.absolute() / file))

    def started_from(self, potential: Path) -> Config:
        """Return the configuration of a run that starts from the weights of a potential."""
        start = self.start.model_copy(update={"potential": str(potential.absolute())})
        return self.model_copy(update={"start": start})

    def from_folder(self, folder: Path) -> Config:
        """Return the configuration with paths relative to a folder, so both can be moved together."""
        return self._with_paths(lambda file: os.path.relpath(file, folder))

    def _with_paths(self, change: Callable[[str], str]) -> Config:
        def changed(files: list[str]) -> list[str]:
            return [change(file) for file in files]

        cache = self.data.cache
        held_out = {"test": self.data.test, "validation": self.data.validation}
        data = {
            "train": changed(self.data.train),
            **{name: changed(given) if isinstance(given, list) else given for name, given in held_out.items()},
            "cache": change(cache) if cache else None,
        }
        points = self.invariants.data
        potential = change(self.start.potential) if self.start.potential else None
        functions = self.symmetry_functions
        file = change(functions.file) if functions.file else None
        return self.model_copy(
            update={
                "data": self.data.model_copy(update=data),
                "symmetry_functions": functions.model_copy(update={"file": file}),
                "baseline": self.baseline.with_paths(change),
                "start": self.start.model_copy(update={"potential": potential}),
                "invariants": Invariants(data=points if points == "auto" else changed(points)),
            }
        )

    def tables(self) -> dict[str, dict[str, Any]]:
        """Return the tables with all defaults filled in, without the keys that have no value."""
        return self.model_dump(exclude_none=True)


def read_tables(path: Path) -> dict[str, Any]:
    """Read the tables of a TOML file.

    Raises
    ------
    Error
        It cannot be read or is not TOML (with the line).
    """
    try:
        return _parsed(path)
    except FileNotFoundError:
        raise Error(f"{path}: no such file") from None
    except OSError as error:
        raise Error(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Error(f"{path}: is not a text file in UTF-8") from None
    except RecursionError:
        raise Error(f"{path}: is not valid TOML: too many brackets in brackets") from None
    except ValueError as error:  # from the TOML parser, or from a number with too many digits
        raise Error(f"{path}: is not valid TOML: {printable(error, PATH)}") from None


def checked(model: type[Checked], tables: dict[str, Any], name: str) -> Checked:
    """Check tables by a model; raise Error with one sentence for each mistake, `name` is the head of each."""
    try:
        return model.model_validate(tables)
    except ValidationError as error:
        problems = [_sentence(problem, model) for problem in error.errors(include_url=False)[:PROBLEMS]]
        more = error.error_count() - len(problems)
        problems += [f"and {more} more mistakes"] if more else []
        raise Error("\n".join(f"{name}: {problem}" for problem in problems)) from None


def _parsed(path: Path) -> dict[str, Any]:
    """Read the tables of a file; raise ValueError if that would take too long."""
    with path.open("rb") as file:
        content = file.read(SIZE + 1)
    if len(content) > SIZE:
        raise ValueError(f"it is larger than {SIZE} bytes")
    text = content.decode("utf-8-sig")  # with or without a byte order mark
    for part in re.split(r"[^\w.\- \t\"']+", text):
        if len(re.findall(r"\.[ \t]*[\w\"']", part)) > DOTS:
            raise ValueError("a key has too many dots")
    tables: dict[str, Any] = tomllib.loads(text.replace("\r\n", "\n"))
    return tables


def _shown(value: Any) -> str:
    """Return a value as Python writes it, if that is possible."""
    try:
        return printable(repr(value))
    except (RecursionError, ValueError):  # too many brackets or digits
        return f"a value of type {type(value).__name__}"


def _sentence(problem: Any, model: type[BaseModel]) -> str:
    """Return a problem that pydantic found, as "[table] key: what is wrong"."""
    keys = [str(key) for key in problem["loc"] if not isinstance(key, int)]
    shown = [printable(key) for key in keys]
    place = " ".join([f"[{'.'.join(shown[:-1])}]", shown[-1]]) if len(keys) > 1 else "".join(f"[{k}]" for k in shown)
    kind = problem["type"]
    if kind == "extra_forbidden":
        names = _known_keys(keys[:-1], model)
        close = difflib.get_close_matches(keys[-1], names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"expected {', '.join(names)}"
        return f"{place}: unknown {'key' if len(keys) > 1 else 'table'}, {hint}"
    if kind == "missing":
        return f"{place}: missing"
    if kind == "value_error":
        return f"{place}: {problem['ctx']['error']}" if place else str(problem["ctx"]["error"])
    if kind in ("model_type", "model_attributes_type"):
        return f"{place}: expected a table"
    if kind in ("too_short", "too_long"):
        limits = problem["ctx"]
        bound, n = ("least", limits["min_length"]) if kind == "too_short" else ("most", limits["max_length"])
        return f"{place}: expected at {bound} {n} value{'s' * (n > 1)}, found {_shown(problem['input'])}"
    expected = (
        problem["msg"]
        .replace("Input should", "should")
        .replace("a valid integer", "an integer")
        .replace("a valid", "a")
    )
    return f"{place}: {expected}, found {_shown(problem['input'])}"


def _known_keys(tables: list[str], model: type[BaseModel]) -> list[str]:
    """List the keys of the table at this path."""
    for table in tables:
        annotation: Any = model.model_fields[table].annotation
        model = next(kind for kind in (*get_args(annotation), annotation) if kind is not type(None))
    return list(model.model_fields)
