"""SIMPLE-NN's potential file, `potential_saved`, and its lists of symmetry functions, `params_XX`.

K. Lee, D. Yoo, W. Jeong, S. Han, Comput. Phys. Commun. 242, 95 (2019). The units are eV and Angstrom.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from .. import _core
from .._core import Error, SymmetryFunction
from ..files import write_text
from ..potential import Potential
from ..structures import Floats, by_atomic_number
from ..symmetry import SymmetryFunctions
from ..text import PATH, printable

COSINE = 1  # n2p2's number of the only cutoff function that SIMPLE-NN has
TYPES = {2: 2, 4: 3, 5: 9}  # SIMPLE-NN's numbers of symmetry functions, and n2p2's
ACTIVATIONS = {"linear": "l", "sigmoid": "s", "tanh": "t", "relu": "r"}
NUMBER = re.compile(r"[-+.\dEe]+|nan|inf", re.ASCII)  # not 1_0, which Python takes for a number
Layers = list[tuple[Floats, Floats]]  # weights [previous, next] and biases [next]


def read_potential(path: str | Path) -> Potential:
    """Read a `potential_saved`.

    A layer of principal components is folded into the first hidden layer. The training range is taken as the range that
    is scaled to [-1, 1], as with SIMPLE-NN's min-max scaling.

    Raises
    ------
    Error
        If the file is wrong or has what sitewise does not have (activations selu and swish), with its name and line.
    """
    lines = _Lines(Path(path))
    if not lines.whole:  # its last number may be cut off
        raise Error(f"{path}: ends early, within a line")
    named = lines.words("ELEM_LIST")
    elements = by_atomic_number(named)
    parts = dict(_read_element(lines, elements) for _ in named)
    if set(parts) != set(named) or len(parts) != len(named):
        raise Error(f"{path}: has networks of {', '.join(parts)}, expected {', '.join(named)}")
    if not lines.done:
        lines.words()
        lines.fail("follows the last element")
    return _assemble(elements, [parts[symbol] for symbol in elements])


def write_potential(potential: Potential, path: str | Path) -> None:
    """Write a `potential_saved`; offsets of atomic energies become biases of the last layer.

    Raises
    ------
    Error
        If SIMPLE-NN's LAMMPS pair style does not support the potential.
    """
    core = potential.core
    if core.baseline is not None:
        raise Error(
            f"{path}: SIMPLE-NN has no pair potential beside the network, but this potential has zbl or pair tables"
        )
    if core.functions.cutoff_type != COSINE or core.functions.alpha != 0.0:
        raise Error(
            f"{path}: SIMPLE-NN has the cosine cutoff alone, the potential has n2p2's {core.functions.cutoff_type}"
        )
    blocks = ["ELEM_LIST " + " ".join(potential.elements), ""]
    for element, symbol in enumerate(potential.elements):
        blocks += [*_element_lines(potential, element, symbol, str(path)), ""]
    write_text(path, "\n".join(blocks) + "\n")


def read_params(paths: Sequence[str | Path]) -> SymmetryFunctions:
    """Read a `params_XX` for each element, in the order of the elements' indices.

    Raises
    ------
    Error
        If a file is missing or wrong, with its name and line.
    """
    symbols = [Path(path).name.rpartition("_")[2] for path in paths]
    elements = by_atomic_number(symbols)
    functions = []
    for path, center in zip(paths, symbols, strict=True):
        lines = _Lines(Path(path))
        while not lines.done:
            words = lines.words()
            if len(words) != 7:
                lines.fail(f"{len(words)} numbers, expected 7: type, two atom types, cutoff, three coefficients")
            count = 1 if words[0] == "2" else 2
            indices = [lines.integer(word) for word in words[1 : 1 + count]]
            if not all(1 <= index <= len(symbols) for index in indices):
                lines.fail(f"atom type {max(indices)}, but there are {len(symbols)} files")
            neighbors = [symbols[index - 1] for index in indices]
            numbers = [lines.number(word) for word in words[3:]]
            functions.append(_function(lines, elements, center, words[0], numbers, neighbors))
    return SymmetryFunctions(elements, _core.SymmetryFunctions(len(elements), functions))


def write_params(functions: SymmetryFunctions, folder: str | Path) -> None:
    """Write a `params_XX` for each element into a folder, which is made if needed.

    The elements have the indices that they have in `functions`, from 1.

    Raises
    ------
    Error
        If SIMPLE-NN does not have one of the functions.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    for symbol in functions.elements:
        path = Path(folder) / f"params_{symbol}"
        lines = [_params_line(f, str(path)) for f in functions.of(symbol)]
        write_text(path, "\n".join(lines) + "\n")


def _params_line(f: SymmetryFunction, path: str) -> str:
    kind, numbers = _simple_nn_numbers(f, path)
    return f"{kind} {f.neighbor1 + 1} {f.neighbor2 + 1} {_text(numbers)}"


class _Lines:
    """The lines of a file that are not empty, one after another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Error(f"{path}: cannot be read: {printable(error, PATH)}") from None
        self.whole = text.endswith("\n")
        numbered = ((number, line.partition("#")[0].split()) for number, line in enumerate(text.splitlines(), 1))
        self._lines = [(number, words) for number, words in numbered if words]
        self._next = 0

    @property
    def done(self) -> bool:
        return self._next == len(self._lines)

    def words(self, first: str = "", least: int = 1) -> list[str]:
        """Return the words of the next line. If `first` is given, check and drop it; require `least` other words."""
        if self.done:
            raise Error(f"{self.path}: ends early" + (f", expected {first}" if first else ""))
        words = self._lines[self._next][1]
        self._next += 1
        if not first:
            return words
        if words[0] != first or len(words) <= least:
            self.fail(f"is {printable(' '.join(words))}, expected {first}{' and more' if least else ''}")
        return words[1:]

    def numbers(self, first: str, count: int) -> Floats:
        words = self.words(first, least=0)
        if len(words) != count:
            self.fail(f"{len(words)} numbers, expected {count}")
        return np.array([self.number(word) for word in words])

    def number(self, word: str) -> float:
        try:
            value = float(word) if NUMBER.fullmatch(word) else float("nan")
        except ValueError:
            value = float("nan")
        if not np.isfinite(value):
            self.fail(f'"{printable(word)}" is not a finite number')
        return value

    def integer(self, word: str) -> int:
        if not (word.isdecimal() and word.isascii() and len(word) < 10):
            self.fail(f'"{printable(word)}" is not a natural number below 10^9')
        return int(word)

    def fail(self, what: str) -> None:
        raise Error(f"{self.path}:{self._lines[self._next - 1][0]}: {what}")


def _function(
    lines: _Lines, elements: list[str], center: str, kind: str, numbers: list[float], neighbors: list[str]
) -> SymmetryFunction:
    """Return the function of SIMPLE-NN's type, its four numbers and the neighbours' symbols."""
    if kind not in map(str, TYPES):
        lines.fail(f"symmetry function of type {printable(kind)}, expected 2, 4 or 5")
    unknown = [symbol for symbol in neighbors if symbol not in elements]
    if unknown:
        lines.fail(f"element {printable(unknown[0])} is not among {', '.join(elements)}")
    cutoff, eta, *rest = numbers
    indices = sorted(elements.index(symbol) for symbol in neighbors)
    if len(indices) != (1 if kind == "2" else 2):
        lines.fail(f"{len(indices)} neighbour elements for a symmetry function of type {kind}")
    f = SymmetryFunction(TYPES[int(kind)], elements.index(center), *indices, eta=eta, cutoff=cutoff)
    if kind == "2":
        f.rs = rest[0]
    else:
        f.zeta, f.lambda_ = rest
    return f


class _Element:
    """The data of one element, in the order of the file."""

    def __init__(self, functions: list[SymmetryFunction], center: Floats, width: Floats, layers: Layers, letters: str):
        self.functions = functions
        self.center, self.width = center, width  # x = (G - center) / width
        self.layers, self.letters = layers, letters


def _read_element(lines: _Lines, elements: list[str]) -> tuple[str, _Element]:
    symbol = lines.words("POT")[0]
    if symbol not in elements:
        lines.fail(f"element {printable(symbol)} is not in ELEM_LIST")
    functions = []
    for _ in range(lines.integer(lines.words("SYM")[0])):
        kind, *words = lines.words()
        if len(words) < 5:
            lines.fail(f"{1 + len(words)} words, expected type, four numbers and elements")
        functions.append(_function(lines, elements, symbol, kind, [lines.number(w) for w in words[:4]], words[4:]))
    center, width = (lines.numbers(name, len(functions)) for name in ("scale1", "scale2"))
    if not np.all(width > 0):
        lines.fail(f"scale2 has the value {width.min():g}, expected positive numbers")
    count, *nodes = [lines.integer(word) for word in lines.words("NET")]
    if len(nodes) != count + 1 or nodes[-1] != 1 or 0 in nodes:
        lines.fail(f"NET has the nodes {printable(nodes)}, expected {count} hidden layers and one output")
    layers: Layers = []
    letters = ""
    for fan_in, fan_out in pairwise([len(functions), *nodes]):
        name = lines.words("LAYER", least=2)[1]
        if name not in ACTIVATIONS:
            lines.fail(f"activation {printable(name)}, expected one of {', '.join(ACTIVATIONS)}")
        rows = [(lines.numbers(f"w{k}", fan_in), lines.numbers(f"b{k}", 1)[0]) for k in range(fan_out)]
        layers.append((np.array([w for w, _ in rows]).T, np.array([b for _, b in rows])))
        letters += ACTIVATIONS[name]
    while len(layers) > 1 and letters[0] == "l":  # principal components
        (inner, shift), (outer, bias) = layers[:2]
        layers[:2] = [(inner @ outer, shift @ outer + bias)]
        letters = letters[1:]
    return symbol, _Element(functions, center, width, layers, letters)


def _assemble(elements: list[str], parts: list[_Element]) -> Potential:
    functions = _core.SymmetryFunctions(len(elements), [f for part in parts for f in part.functions])
    statistics, networks = [], []
    for element, part in enumerate(parts):
        order = _order(part.functions, functions.functions(element))
        center, width = part.center[order], part.width[order]
        statistics.append(np.array([center - width, center + width, center, width]))
        layers = [(part.layers[0][0][order], part.layers[0][1]), *part.layers[1:]]
        network = _core.Network([len(order), *(len(bias) for _, bias in layers)], part.letters)
        network.weights = np.concatenate([np.append(weights.ravel(), bias) for weights, bias in layers])
        networks.append(network)
    scaling = _core.Scaling("minmax", -1.0, 1.0, statistics)
    return Potential(_core.Potential(elements, functions, scaling, networks, [0.0] * len(elements)))


def _order(given: Sequence[SymmetryFunction], wanted: Sequence[SymmetryFunction]) -> list[int]:
    """Return the place of each wanted function among those given."""

    def key(f: SymmetryFunction) -> tuple[float, ...]:
        return (f.type, f.neighbor1, f.neighbor2, f.cutoff, f.eta, f.rs, f.zeta, f.lambda_)

    places: dict[tuple[float, ...], list[int]] = {}
    for place, f in enumerate(given):
        places.setdefault(key(f), []).append(place)
    return [places[key(f)].pop(0) for f in wanted]


def _element_lines(potential: Potential, element: int, symbol: str, path: str) -> Iterator[str]:
    core = potential.core
    network, functions = core.networks[element], core.functions.functions(element)
    names = {letter: name for name, letter in ACTIVATIONS.items()}
    if network.normalize_nodes or set(network.activations) - set(names) or network.activations[-1] != "l":
        raise Error(
            f"{path}: the network of {symbol} has activations {network.activations}, SIMPLE-NN has l, s, t and r"
        )
    yield f"POT {symbol} {max(f.cutoff for f in functions)!r}"
    yield f"SYM {len(functions)}"
    for f in functions:
        yield _function_line(f, potential.elements, path)
    count = len(functions)
    at_zero, at_one = core.scaling.apply(element, np.array([np.zeros(count), np.ones(count)]))
    slope = at_one - at_zero
    flat = slope == 0  # the function has no spread in the training set, and its input is a constant
    width = 1 / np.where(flat, 1.0, slope)
    yield "scale1 " + _text(np.where(flat, 0.0, -at_zero * width))
    yield "scale2 " + _text(width)
    yield f"NET {len(network.nodes) - 2} {' '.join(map(str, network.nodes[1:]))}"
    layers = _layers(network)
    weights, bias = layers[0]
    layers[0] = (np.where(flat[:, None], 0.0, weights), bias + (at_zero * flat) @ weights)
    weights, bias = layers[-1]
    mean, unit = core.normalization
    layers[-1] = (weights / unit, bias / unit + mean + core.atom_energies[element])
    for number, ((weights, bias), letter) in enumerate(zip(layers, network.activations, strict=True)):
        yield f"LAYER {number} {names[letter]}"
        for k in range(len(bias)):
            yield f"w{k} {_text(weights[:, k])}"
            yield f"b{k} {float(bias[k])!r}"


def _function_line(f: SymmetryFunction, elements: Sequence[str], path: str) -> str:
    kind, numbers = _simple_nn_numbers(f, path)
    neighbors = " ".join(elements[k] for k in (f.neighbor1, f.neighbor2) if k >= 0)
    return f"{kind} {_text(numbers)} {neighbors}"


def _simple_nn_numbers(f: SymmetryFunction, path: str) -> tuple[int, tuple[float, ...]]:
    """Return SIMPLE-NN's type of a function, and its cutoff, eta and two more numbers."""
    kinds = {ours: theirs for theirs, ours in TYPES.items()}
    if f.type not in kinds or (f.is_angular and f.rs != 0):
        with_shift = " with r_s" if f.rs else ""
        raise Error(f"{path}: SIMPLE-NN has no symmetry functions of type {f.type}{with_shift}")
    shape = (f.zeta, f.lambda_) if f.is_angular else (f.rs, 0.0)
    return kinds[f.type], (f.cutoff, f.eta, *shape)


def _layers(network: _core.Network) -> Layers:
    layers: Layers = []
    start = 0
    for fan_in, fan_out in pairwise(network.nodes):
        end = start + fan_in * fan_out
        layers.append((network.weights[start:end].reshape(fan_in, fan_out), network.weights[end : end + fan_out]))
        start = end + fan_out
    return layers


def _text(values: Sequence[float] | Floats) -> str:
    """Return the shortest digits that are read as the same numbers."""
    return " ".join(repr(float(value)) for value in values)
