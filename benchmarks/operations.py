"""Floating-point operations and bytes of each stage of a step, counted instruction by instruction.

    python benchmarks/operations.py POTENTIAL [--cells 3] [--json FILE]

POTENTIAL is [NAME=]DIR[:cflength:cfenergy] of silicon. Valgrind's callgrind runs one step with the AVX2 kernels, which
is the widest instruction set that it knows, and the disassembly (objdump) tells what each instruction does: a fused
multiply-add counts 2 operations a lane, addition, multiplication, division, square root, minimum and maximum 1; bytes
are those that floating-point instructions load and store, nearly all from the first-level cache. Lanes that are filled
up count as well. Needs valgrind, objdump and an extension with its symbols:

    pip install . -Cinstall.strip=false -Ccmake.define.CMAKE_STRIP=/bin/true
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

# isort: split
import common  # before numpy

# isort: split
import ours
from sitewise import _core

STEP = """
import sys
sys.path.insert(0, sys.argv[1])
import common, ours
ours.source(sys.argv[2]).load().evaluate(common.silicon(int(sys.argv[3])))
"""
# By the name of the function that the compiler left, inlined ones included; the first that matches.
STAGES = {
    "list": r"NeighborSearch|within",
    "network": r"::network<",
    "forces": r"vjp|spread",
    "features": r"load_environment|::evaluate|tabulate|MomentSums|PairLoop|Scaling",
    "sums of forces": r"compute_blocks|compute_step",
}
OPERATIONS = re.compile(r"^v?(fn?m(?:add|sub)\w*?|add|sub|mul|div|sqrt|min|max)(p|s)(d|s)$")
FUSED = re.compile(r"^v?fn?m(add|sub)")
WIDTHS = {"y": 32, "x": 16}


def count(operation: str, operands: str) -> tuple[int, int]:
    """Operations and bytes of one instruction, in the syntax of AT&T."""
    packed = re.search(r"p[ds]$", operation)
    size = 8 if operation.endswith("d") else 4
    width = next((WIDTHS[c] for c in "yx" if f"%{c}mm" in operands), 0)
    lanes = width // size if packed else 1
    match = OPERATIONS.match(re.sub(r"(132|213|231)(?=[ps][ds]$)", "", operation))
    operations = lanes * (2 if FUSED.match(operation) else 1) if match else 0
    in_memory = "(" in operands and width and operation.startswith("v")
    return operations, (width if packed or operation.startswith("vmovdq") else size) if in_memory else 0


def instructions(library: Path) -> dict[int, tuple[int, int]]:
    """Address -> operations and bytes."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", library], capture_output=True, text=True, check=True)
    found = {}
    for line in text.stdout.splitlines():
        match = re.match(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$", line)
        if match:
            counts = count(match[2], match[3])
            if any(counts):
                found[int(match[1], 16)] = counts
    return found


def executed(output: Path, library: str) -> Iterator[tuple[str, int, int]]:
    """Function, address and number of executions of each instruction of the library, from callgrind's output."""
    names: dict[str, str] = {}
    current, ours_now, address, inclusive = "", False, 0, False
    for line in output.read_text().splitlines():
        match = re.match(r"^(c?)(ob|fn)=(\(\d+\))(?: (.*))?$", line)
        if match:
            key = match[2] + match[3]
            names.setdefault(key, match[4] or "")
            if not match[1] and match[2] == "ob":
                ours_now = library in names[key]
            elif not match[1]:
                current = names[key]
        elif line.startswith("calls="):
            inclusive = True  # the next line has the cost of the callee
        elif re.match(r"^(0x|[+*-])", line):
            where, _, cost = line.split(" ")
            if where.startswith("0x"):
                address = int(where, 16)
            elif where != "*":
                address += int(where)
            if ours_now and not inclusive:
                yield current, address, int(cost)
            inclusive = False


def stage_of(function: str) -> str:
    """Its stage, or "other"."""
    return next((stage for stage, pattern in STAGES.items() if re.search(pattern, function)), "other")


def measure(potential: str, cells: int) -> dict[str, dict[str, float]]:
    """Operations and bytes per atom of each stage."""
    library = Path(_core.__file__)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "callgrind.out"
        subprocess.run(
            [
                *("valgrind", "--tool=callgrind", "--dump-instr=yes", f"--callgrind-out-file={output}"),
                *(sys.executable, "-c", STEP, str(Path(__file__).parent), potential, str(cells)),
            ],
            env={**os.environ, "SITEWISE_ISA": "avx2", "OMP_NUM_THREADS": "1"},
            check=True,
            capture_output=True,
        )
        table = instructions(library)
        operations: Counter[str] = Counter()
        traffic: Counter[str] = Counter()
        for function, address, times in executed(output, library.name):
            if address in table:
                stage = stage_of(function)
                operations[stage] += times * table[address][0]
                traffic[stage] += times * table[address][1]
    atoms = 8 * cells**3
    return {s: {"operations": operations[s] / atoms, "bytes": traffic[s] / atoms} for s in (*STAGES, "other")}


def main() -> None:
    """Prints the table and, if asked for, writes it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("potential", help="[NAME=]DIR[:cflength:cfenergy]")
    parser.add_argument("--cells", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    ours.source(options.potential)
    for program in ("valgrind", "objdump"):
        if not shutil.which(program):
            sys.exit(f"{program} is not installed")
    stages = measure(options.potential, options.cells)
    if not any(stages[s]["operations"] for s in STAGES):
        sys.exit(f"{_core.__file__} has no symbols; {__doc__.splitlines()[-1].strip()} keeps them")
    common.print_table(
        f"Counted with AVX2, per atom, {8 * options.cells**3} atoms of silicon",
        ("", "operations", "bytes", "operations/byte"),
        [
            (name, f"{s['operations']:.0f}", f"{s['bytes']:.0f}", f"{s['operations'] / max(s['bytes'], 1):.2f}")
            for name, s in stages.items()
        ],
    )
    common.write_json(options.json, common.environment() | {"stages": stages})


if __name__ == "__main__":
    main()
