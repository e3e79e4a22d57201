"""Vector and scalar floating-point instructions of the kernels as a compiler for arm64 wrote them.

    python benchmarks/neon.py LIBRARY [LIBRARY...]

LIBRARY is the libsitewise.a, or the object of kernels.cpp, of a build for arm64 (CONTRIBUTING.md); with several, the
table has two columns for each. Arithmetic and conversions between float and double count; moves, loads and comparisons
do not. An instruction counts once, however often it runs. Needs aarch64-linux-gnu-objdump, of Debian's
binutils-aarch64-linux-gnu.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

# By the name of the function that the compiler left, inlined ones included; the first that matches.
STAGES = {
    "search of neighbours": r"::within\(",
    "radial functions, inputs of moments": r"compute_inputs|load_environment|::tabulate<|jvp_inputs",
    "sums over pairs": r"PairLoop",
    "moments": r"MomentSums|vjp_moments",
    "contractions": r"contract|forward<|backward<",
    "network": r"::network<|::activate<",
    "error bars": r"network_changes",
    "gradient by weights": r"::trace\(|weight_gradient",
    "cached derivatives": r"cached_",
    "what calls these": r"::(evaluate|gradient_of|jvp|vjp)<",
}
ARITHMETIC = re.compile(r"f(n?m(la|ls|add|sub|ul)|add|sub|div|sqrt|max|min|cvt[ln]?2?|abs|neg)p?$")
VECTOR = re.compile(r"v\d+\.(2d|4s|2s)")


def count(library: str) -> Counter[tuple[str, str]]:
    """Return the numbers of instructions by stage and kind, "vector" or "scalar"."""
    command = ["aarch64-linux-gnu-objdump", "-d", "-C", "--no-show-raw-insn", library]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    counts: Counter[tuple[str, str]] = Counter()
    stage = ""
    for line in text.splitlines():
        if heading := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            name = heading[1] if "::baseline::" in heading[1] else ""
            stage = next((stage for stage, pattern in STAGES.items() if re.search(pattern, name)), "")
        elif stage and (instruction := re.match(r"\s+[0-9a-f]+:\s+(\w+)\s+(\S+)", line)):
            operation, operand = instruction.groups()
            if ARITHMETIC.match(operation):
                # a sum over the lanes of a vector has a scalar result
                vector = VECTOR.search(line) is not None and (VECTOR.match(operand) or operation.endswith("p"))
                counts[stage, "vector" if vector else "scalar"] += 1
    return counts


def main(libraries: list[str]) -> None:
    each = [count(library) for library in libraries]
    print("| |" + " vector | scalar |" * len(each) + "\n|---|" + "---|---|" * len(each))
    for stage in STAGES:
        cells = (f" {counts[stage, 'vector']} | {counts[stage, 'scalar']} |" for counts in each)
        print(f"| {stage} |" + "".join(cells))


if __name__ == "__main__":
    main(sys.argv[1:])
