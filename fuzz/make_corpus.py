"""Writes corpus/: small potentials of all kinds that load and compute, and bytes for the C API.

python fuzz/make_corpus.py
"""

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ase import Atoms

from sitewise import Potential

HERE = Path(__file__).parent / "corpus"
CUTOFFS = ("0", "1", "1 0.5", "2", "3", "4", "5 0.2", "6", "7 0.5", "8")
SCALINGS = (
    "scale_symmetry_functions",
    "center_symmetry_functions",
    "scale_symmetry_functions\ncenter_symmetry_functions",
    "scale_symmetry_functions_sigma",
    "",
)
ACTIVATIONS = "ltsprgcSeh"
MORE = ("", "normalize_nodes\n", "mean_energy -1.5\nconv_energy 2.5\nconv_length 1.8\n", "scale_min_short -1\n")


def functions(e: str, others: list[str], number: int) -> list[str]:
    """A few functions of one element; the potentials together have all types and subtypes."""
    a, b = others[0], others[-1]
    compact = ("p1", "p2", "p3", "p4", "p1a", "p2a", "p3a", "p4a", "e")[number % 9]
    every = [
        f"2 {a} 0.3 0.0 4.0",
        f"2 {b} 4.0 1.5 3.5",
        f"3 {a} {b} 0.03 1.0 2.0 4.0",
        f"3 {a} {a} 0.03 -1.0 1.5 4.0 0.5",
        f"9 {a} {b} 0.02 -1.0 4.0 4.0",
        f"9 {b} {b} 0.02 0.5 16.0 4.0 0.3",
        "12 0.1 0.5 4.0",
        "13 0.05 0.4 1.0 2.0 4.0",
        f"20 {a} 0.5 3.5 {compact}",
        f"21 {a} {b} -3.8 3.8 60 160 {compact}",
        f"22 {b} {b} 0.0 3.8 -40 40 {compact}",
        f"23 0.0 4.0 {compact}",
        f"24 0.2 4.0 150 210 {compact}",
        f"25 0.0 3.6 50 130 {compact}",
        f"33 {a} all 0.5 1.5 1.0 2.0 3 4.0",
        f"34 {a} {b} Z 0.5 1.5 1.0 2.0 0.5 1.5 2 1 1 4.0",
        f"35 {b} {a} all {b} 0.5 1.5 1.0 2.0 0.5 1.5 1.0 2.0 1 1 1 1 3.8",
    ]
    chosen = [every[(3 * number + k * 5) % len(every)] for k in range(6)]
    return [f"symfunction_short {e} {row}" for row in dict.fromkeys(chosen)]


def potential(number: int, rng: np.random.Generator) -> str:
    """Packed files, as `unpack` in common.hpp reads them."""
    elements = (["Si"], ["H", "O"], ["O", "Si"], ["H", "O", "Cu"])[number % 4]
    numbers = {"H": 1, "O": 8, "Si": 14, "Cu": 29}
    first, second = ACTIVATIONS[number % 10], ACTIVATIONS[(3 * number + 1) % 10]
    rows = [functions(e, elements, number + k) for k, e in enumerate(elements)]
    text = (
        f"number_of_elements {len(elements)}\nelements {' '.join(elements)}\ncutoff_type {CUTOFFS[number % 10]}\n"
        f"{SCALINGS[number % 5]}\n{MORE[number % 4]}"
        f"global_hidden_layers_short 2\nglobal_nodes_short 3 2\nglobal_activation_short {first} {second} l\n"
        f"atom_energy {elements[0]} -3.5\nremove_atom_energies\n"
    )
    if len(elements) > 1:
        text += f"element_nodes_short {elements[1]} 2 4\n"
    text += "".join(line + "\n" for of_element in rows for line in of_element)
    packed = f"=== input.nn\n{text}=== scaling.data\n"
    for e, of_element in enumerate(rows):
        for f in range(len(of_element)):
            low, high = sorted(rng.normal(0.3, 0.3, 2))
            packed += f"{e + 1} {f + 1} {low:.4f} {high:.4f} {(low + high) / 2:.4f} {high - low:.4f}\n"
    for e, of_element in enumerate(rows):
        nodes = [len(of_element), *((2, 4) if e == 1 else (3, 2)), 1]
        n = sum((a + 1) * b for a, b in pairwise(nodes))
        packed += f"=== weights.{numbers[elements[e]]:03d}.data\n" + "".join(f"{x:.4f}\n" for x in rng.normal(size=n))
    return packed


def check(packed: str) -> None:
    """Loads and computes."""
    with TemporaryDirectory() as folder:
        for part in packed.split("=== ")[1:]:
            name, content = part.split("\n", 1)
            (Path(folder) / name).write_text(content)
        loaded = Potential.load(folder)
        atoms = Atoms([loaded.elements[0]] * 2, [[0, 0, 0], [0, 0, 2]], cell=[5, 5, 5], pbc=True)
        assert np.isfinite(loaded.evaluate(atoms).energy)


def main() -> None:
    rng = np.random.default_rng(0)
    for name in ("potential", "functions", "c_api"):
        (HERE / name).mkdir(parents=True, exist_ok=True)
    for number in range(20):
        packed = potential(number, rng)
        check(packed)
        (HERE / "potential" / f"{number:02d}").write_text(packed)
        (HERE / "functions" / f"{number:02d}").write_text(packed.split("=== scaling.data")[0])
    for number in range(8):
        (HERE / "c_api" / f"{number}").write_bytes(rng.integers(0, 250, 600).astype(np.uint8).tobytes())


if __name__ == "__main__":
    main()
