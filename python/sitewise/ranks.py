"""The processes of a run.

`mpirun` starts several. Rank 0 leads: only rank 0 runs the program, reads and writes files and prints. The other ranks
hold parts of the data, and run on them what rank 0 calls. Without `mpirun` there is only rank 0.
"""

from __future__ import annotations

import os
import platform
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np

from . import _core
from ._core import Error
from .files import remove_unfinished
from .launch import size_and_rank
from .streams import to_stderr
from .structures import Floats

Item = TypeVar("Item")
Result: TypeAlias = Literal["hold", "gather", "total"]
EACH = 16  # items that a rank gets at once


class Communicator(Protocol):
    """The part of `mpi4py.MPI.Comm` that is used here; rank 0 is the root."""

    def Get_rank(self) -> int: ...
    def Get_size(self) -> int: ...
    def bcast(self, obj: Any) -> Any: ...
    def scatter(self, sendobj: Any) -> Any: ...
    def gather(self, sendobj: Any) -> Any: ...
    def allgather(self, sendobj: Any) -> list[Any]: ...
    def Alltoall(self, sendbuf: Any, recvbuf: Any) -> None: ...
    def Gather(self, sendbuf: Any, recvbuf: Any) -> None: ...
    def Abort(self, errorcode: int = 0) -> Any: ...


class Alone:
    """The communicator of a single process."""

    def Get_rank(self) -> int:
        return 0

    def Get_size(self) -> int:
        return 1

    def bcast(self, obj: Any) -> Any:
        return obj

    def scatter(self, sendobj: Any) -> Any:
        return sendobj[0]

    def gather(self, sendobj: Any) -> Any:
        return [sendobj]

    allgather = gather

    def Alltoall(self, sendbuf: Any, recvbuf: Any) -> None:
        recvbuf.reshape(-1)[:] = sendbuf

    Gather = Alltoall

    def Abort(self, errorcode: int = 0) -> Any:
        raise SystemExit(errorcode)


@dataclass(frozen=True, slots=True)
class Request:
    """A call: a function of what each rank holds under `number`.

    Attributes
    ----------
    function, number
        The function, and the number.
    arguments
        Further arguments; None if each rank gets its own.
    result
        What becomes of the results: rank 0 gathers them or their total, or each rank holds its own under the number.
    forgotten
        Numbers of what the ranks may drop.
    """

    function: Callable[..., Any]
    number: int
    arguments: tuple[Any, ...] | None
    result: Result
    forgotten: tuple[int, ...]


class Usage(NamedTuple):
    """CPU seconds, and the largest memory so far in MB."""

    cpu_seconds: float
    peak_memory: float


class Ranks:
    """All processes of a run, for rank 0 to call.

    An exception on any rank is raised on rank 0, once, and leaves all ranks ready for the next call.

    Attributes
    ----------
    rank
        Rank of this process.
    size, here
        Number of processes, and of those on this machine.
    """

    def __init__(self, communicator: Communicator | None = None) -> None:
        self._comm = communicator or Alone()
        self.rank, self.size = self._comm.Get_rank(), self._comm.Get_size()
        self.here = self._comm.allgather(platform.node()).count(platform.node())
        self._held: dict[int, Any] = {}
        self._made = 0
        self._forgotten: list[int] = []

    def hold(self, make: Callable[..., Any], each: Sequence[tuple[Any, ...]]) -> int:
        """Keep `make(*each[rank])` on each rank; return the number under which it is held."""
        self._made += 1
        self._call(_made, self._made, None, "hold", [(make, *own) for own in each])
        return self._made

    def share(self, value: Any) -> int:
        """Keep the same value on each rank; return the number under which it is held."""
        self._made += 1
        self._call(_made, self._made, (_itself, value), "hold")
        return self._made

    def forget(self, number: int) -> None:
        """Drop what is held under a number, at the next call."""
        self._forgotten.append(number)

    def gather(self, function: Callable[..., Any], number: int, *arguments: Any) -> list[Any]:
        """Return `function(held, *arguments)` of each rank, in the order of the ranks."""
        results: list[Any] = self._call(function, number, arguments, "gather")
        return results

    def deal(self, function: Callable[..., Any], number: int, each: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return `function(held, *each[rank])` of each rank, in the order of the ranks."""
        results: list[Any] = self._call(function, number, None, "gather", each)
        return results

    def map(
        self, function: Callable[[Any, Item], Any], number: int, items: Iterable[Item], each: int = EACH
    ) -> Iterator[Any]:
        """Yield `function(held, item)` for each item, in order. The ranks share the items, of which a rank has `each`
        at once. The first item that fails ends it, as in one process.
        """
        if self.size == 1:
            yield from (function(self._held.get(number), item) for item in items)
            return
        rest = iter(items)
        while block := list(islice(rest, each * self.size)):
            found = self.deal(_all_of, number, [(function, block[rank :: self.size]) for rank in range(self.size)])
            for k in range(len(block)):
                result, failure = found[k % self.size][k // self.size]
                if failure is not None:
                    raise failure
                yield result

    def total(self, function: Callable[..., Floats], number: int, *arguments: Any) -> Floats:
        """Return the sum of the arrays `function(held, *arguments)` of all ranks, which have one shape.

        The sum is taken in the order of the ranks, so that it has the same bits each time for a given number of ranks.
        """
        result: Floats = self._call(function, number, arguments, "total")
        return result

    def usage(self) -> Usage:
        """Return the CPU seconds of all ranks together, and the largest memory of one."""
        cpu, memory = zip(*self.gather(_usage, 0), strict=True)
        return Usage(sum(cpu), max(memory))

    def close(self) -> None:
        """End `serve` on the other ranks."""
        self._comm.bcast(None)

    def serve(self) -> None:
        """Answer the calls of rank 0 until it closes; the other ranks run this. Only rank 0 handles signals."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        with self._together():
            while (request := self._comm.bcast(None)) is not None:
                self._answer(request)

    def _call(
        self,
        function: Callable[..., Any],
        number: int,
        arguments: tuple[Any, ...] | None,
        result: Result,
        each: Sequence[tuple[Any, ...]] | None = None,
    ) -> Any:
        request = Request(function, number, arguments, result, tuple(self._forgotten))
        self._forgotten.clear()
        with self._together():
            self._comm.bcast(request)
            found, failure = self._answer(request, each)
        if failure is not None:
            raise failure
        return found

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Abort all ranks if an exception interrupts a call.

        Ctrl-C or the loss of a rank inside a call cannot be reported to the other ranks.
        """
        try:
            yield
        except BaseException as error:
            if self.size > 1:
                stopped = isinstance(error, KeyboardInterrupt)
                what = str(error) or "interrupted" if stopped else f"rank {self.rank} lost the others: {error}"
                to_stderr(what)
                remove_unfinished()
                self._comm.Abort(130 if stopped else 1)
            raise

    def _answer(self, request: Request, each: Sequence[tuple[Any, ...]] | None = None) -> tuple[Any, Exception | None]:
        """Run a call, on all ranks. Return the result, on rank 0, and the exception of the first rank that has one."""
        for number in request.forgotten:
            self._held.pop(number, None)
        arguments = self._comm.scatter(each) if request.arguments is None else request.arguments
        mine, failure = None, None
        try:
            mine = request.function(self._held.get(request.number), *arguments)
        except Exception as error:
            failure = _portable(error, self.rank)
        failures = [other for other in self._comm.allgather(failure) if other is not None]
        if failures:
            return None, failures[0]
        if request.result == "hold":
            self._held[request.number] = mine
            return None, None
        return (self._sum(mine) if request.result == "total" else self._comm.gather(mine)), None

    def _sum(self, part: Any) -> Any:
        """Sum the parts of all ranks; each rank sums one piece of them."""
        piece = -(-part.size // self.size)
        padded = np.zeros(self.size * piece)
        padded[: part.size] = part.ravel()
        pieces = np.empty((self.size, piece))
        self._comm.Alltoall(padded, pieces)
        whole = np.empty(self.size * piece) if self.rank == 0 else None
        self._comm.Gather(np.add.reduce(pieces, axis=0), whole)
        return None if whole is None else whole[: part.size].reshape(part.shape)


@contextmanager
def all_ranks() -> Iterator[Ranks]:
    """Yield the ranks that `mpirun` started, on rank 0; the other ranks serve it here and then exit.

    Raises
    ------
    Error
        On rank 0, if `mpirun` started several ranks but mpi4py is missing or belongs to another MPI.
    SystemExit
        On the other ranks.
    """
    ranks = Ranks(_communicator())
    if ranks.size > 1 and "OMP_NUM_THREADS" not in os.environ:
        cores = min(len(os.sched_getaffinity(0)), (os.cpu_count() or 1) // ranks.here)  # fewer if ranks are bound
        _core.set_threads(max(1, cores))
    if ranks.rank > 0:
        ranks.serve()
        raise SystemExit(0)
    try:
        yield ranks
    finally:
        ranks.close()


def _communicator() -> Communicator:
    size, rank = size_and_rank()
    if size <= 1:
        return Alone()
    problem = None
    try:
        from mpi4py import MPI
    except ImportError:
        problem = "mpi4py is not installed: pip install 'sitewise[mpi]'"
    except RuntimeError as error:  # mpi4py finds no MPI
        problem = f"mpi4py finds no MPI: {error}".splitlines()[0]
    else:
        if MPI.COMM_WORLD.Get_size() == size:
            return MPI.COMM_WORLD.Dup()
        problem = f"mpi4py uses another MPI, {MPI.get_vendor()[0]}: use the mpirun of that MPI"
    if rank > 0:
        raise SystemExit(2)  # rank 0 reports it
    raise Error(f"{size} ranks were started, but {problem}")


def _made(_: Any, make: Callable[..., Any], *arguments: Any) -> Any:
    return make(*arguments)


def _itself(value: Any) -> Any:
    return value


def _all_of(held: Any, function: Callable[[Any, Any], Any], items: Sequence[Any]) -> list[tuple[Any, Exception | None]]:
    """Return the results of some items, up to the first that fails, with its exception."""
    results: list[tuple[Any, Exception | None]] = []
    for item in items:
        try:
            results.append((function(held, item), None))
        except (Error, OSError, MemoryError) as error:
            results.append((None, error))
            break
    return results


def _usage(_: Any) -> Usage:
    return Usage(time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)  # kB on Linux


def _portable(error: Exception, rank: int) -> Exception:
    """Return an exception that can be sent to rank 0, with all that is known about it."""
    if isinstance(error, (Error, OSError, MemoryError)):
        return error
    return RuntimeError(f"on rank {rank}: {''.join(traceback.format_exception(error))}")
