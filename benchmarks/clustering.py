"""Single-linkage clustering of G space: CPU seconds against the number of atoms.

    python benchmarks/clustering.py [--sizes 12500,25000,50000] [--functions 26] [--core 0] [--json FILE]

The time grows with the square of the number of atoms (minimum spanning tree by Prim's algorithm), whatever the
points are, so each size is measured once.
"""

import argparse
from pathlib import Path

# isort: split
import common  # before numpy

# isort: split
import numpy as np

from sitewise.mapping.clustering import single_linkage


def main() -> None:
    """Prints the table and, if asked for, writes it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="12500,25000,50000", help="atoms, separated by commas")
    parser.add_argument("--functions", type=int, default=26)
    parser.add_argument("--core", type=int, default=0, help="to pin the process to")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    common.pin(options.core)
    rng = np.random.default_rng(0)
    rows = {}
    for size in map(int, options.sizes.split(",")):
        points = rng.normal(size=(size, options.functions))
        rows[size] = common.cpu_seconds(lambda points=points: single_linkage(points))
        print(f"{size} atoms: {rows[size]:.1f} s", flush=True)
    common.print_table(
        f"Single linkage, {options.functions} functions",
        ("atoms", "CPU s", "ns per pair"),
        [(str(n), f"{seconds:.1f}", f"{2e9 * seconds / n**2:.2f}") for n, seconds in rows.items()],
    )
    common.write_json(options.json, common.environment(["fastcluster"]) | {"cpu_seconds": rows})


if __name__ == "__main__":
    main()
