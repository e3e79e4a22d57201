"""How this process was started, as its environment says. Nothing here imports NumPy."""

import os

# Variables in which the programs that start MPI give each process the number of processes, and its rank among them
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")
BLAS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def size_and_rank() -> tuple[int, int]:
    """Return the number of ranks and the rank of this process, 0 and 0 if no program of MPI has started it."""
    size, rank = (max(int(os.environ.get(name, 0)) for name in names) for names in (SIZES, RANKS))
    return size, rank


def keep_blas_from_other_ranks() -> None:
    """Let NumPy's BLAS, which is not imported yet, use one thread if this is one of several ranks, unless the user says
    otherwise.

    By default the BLAS of each rank has a thread for each core, and those that wait take the time of other ranks.
    """
    if size_and_rank()[0] > 1:
        for name in BLAS:
            os.environ.setdefault(name, os.environ.get("OMP_NUM_THREADS", "1"))
