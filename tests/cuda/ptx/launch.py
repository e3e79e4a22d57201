"""One launch of a kernel: which lanes run which block, barriers, warp operations, calls, memory accesses."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from .arithmetic import maximum, minimum
from .counting import Counts, count_warps
from .errors import PtxError, Unsupported
from .memory import CONSTANTS, LOCAL, PARAM, SHARED, WORD, Arena, GlobalMemory, Order
from .parser import Block, Function, Instruction, Module
from .translate import Translated, live_out, parameter_layout, translate

WAITING, DONE = 1 << 29, 1 << 30  # in place of a block's number
GRANULE = 16  # bytes, of the count of global memory that a launch touches


class Registers(dict[str, np.ndarray]):
    """Of one function, made when first used, with numbers in them that nobody expects."""

    def __init__(self, function: Function, lanes: int):
        self.types, self.lanes = function.registers, lanes

    def __missing__(self, name: str) -> np.ndarray:
        dtype = self.types[name]
        poison = False if dtype.kind == "b" else np.full(1, 0xA5, f"V{dtype.itemsize}").view(dtype)[0]
        self[name] = np.full(self.lanes, poison, dtype)
        return self[name]


class Launch:
    """`kernel` of the module on a grid. `arguments` are the bytes of each parameter, as C++ passes them.

    Raises PtxError where the kernel breaks a rule, Unsupported where the interpreter ends.
    """

    def __init__(
        self,
        module: Module,
        memory: GlobalMemory,
        kernel: Function,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        shared: int,
        arguments: list[bytes],
    ):
        self.module, self.memory, self.kernel, self.grid, self.shape = module, memory, kernel, grid, block
        self.blocks, self.threads = int(np.prod(grid)), int(np.prod(block))
        self.warps = -(-self.threads // 32)  # of a block
        lanes = self.blocks * self.warps * 32
        self.registers = {f.name: Registers(f, lanes) for f in module.functions.values()}
        self.pc = np.full(lanes, kernel.blocks[0].number, np.int32)
        self.pc[np.arange(lanes) % (32 * self.warps) >= self.threads] = DONE  # of the last, partial warp
        self.at = np.full(lanes, -1, np.int32)  # where lanes wait
        self.order = Order(self.warps, np.zeros(self.blocks, np.int64), np.zeros(lanes // 32, np.int64))
        self.shared_size = module.static_shared_size(kernel) + shared
        self.stride = -(-self.shared_size // 16) * 16
        self.shared = Arena(self.blocks * self.stride)
        self.local_size = -(-module.local_size() // 16) * 16
        self.local = Arena(lanes * self.local_size)
        self.params: dict[tuple[str, str], np.ndarray] = {}
        self.return_to = {f.name: np.zeros(lanes, np.int32) for f in module.functions.values()}
        self.barriers = np.array([_is_barrier(b.last) for b in module.blocks])
        self.arguments = self._place(arguments)
        self._load_constants()
        self.executed: dict[int, list[int]] = {}  # block -> [threads, warps]
        self.counts = Counts()
        self.touched = {way: np.zeros(memory.arena.bytes.size // GRANULE + 1, bool) for way in ("read", "written")}

    def run(self) -> Counts:
        """Until all threads have returned; what was counted."""
        self.memory.forget_accesses()
        with np.errstate(all="ignore"):
            while (number := int(self.pc.min())) < WAITING:
                lanes = np.flatnonzero(self.pc == number)
                block = self.module.blocks[number]
                count = self.executed.setdefault(number, [0, 0])
                count[0] += lanes.size
                count[1] += count_warps(lanes)
                _code(self.module, block)(self, lanes)
                self._finish(block, lanes)
        waiting = np.flatnonzero(self.pc == WAITING)
        if waiting.size:
            self._fail("waits for ever at", waiting, self.module.blocks[self.at[waiting[0]]].last)
        return self._counts()

    def _counts(self) -> Counts:
        counts = self.counts
        for number, (threads, warps) in self.executed.items():
            counts.block(self.module.blocks[number], threads, warps)
        counts.global_read, counts.global_written = (GRANULE * int(np.count_nonzero(t)) for t in self.touched.values())
        return counts

    def _place(self, arguments: list[bytes]) -> Arena:
        sizes = [p.size for p in self.kernel.parameters]
        if [len(a) for a in arguments] != sizes:
            raise ValueError(f"{self.kernel.name} takes parameters of {sizes} bytes, given {list(map(len, arguments))}")
        offsets = parameter_layout(self.kernel)
        arena = Arena(max((offsets[p.name] + p.size for p in self.kernel.parameters), default=0))
        for parameter, argument in zip(self.kernel.parameters, arguments, strict=True):
            start = offsets[parameter.name]
            arena.bytes[start : start + parameter.size] = np.frombuffer(argument, np.uint8)
        arena.written[:] = True
        return arena

    def _load_constants(self) -> None:
        for name, offset in self.module.constant_layout().items():
            address, data = CONSTANTS + offset, self.module.constants[name]
            if address not in self.memory.base:
                self.memory.allocate(address, data.size)
            self.memory.upload(address, data)

    # ---- errors

    def describe(self, lane: int) -> str:
        """block (x,y,z) thread n of the kernel"""
        block, thread = divmod(int(lane), 32 * self.warps)
        x, y = self.grid[:2]
        return f"block ({block % x},{block // x % y},{block // x // y}) thread {thread} of {self.kernel.name}"

    def _fail(self, what: str, lanes: np.ndarray, where: Instruction | None) -> None:
        returned = self._returned(np.array([lanes[0] // (32 * self.warps)]))[0]
        gone = f", {returned} threads of its block have returned" if returned else ""
        raise PtxError(f"{self.describe(lanes[0])} {what}: {where.text if where else '?'}{gone}")

    def _check(self, good: np.ndarray, what: str, lanes: np.ndarray, where: Instruction) -> None:
        if not good.all():
            self._fail(what, lanes[~good], where)

    def _returned(self, blocks: np.ndarray) -> np.ndarray:
        """Number of threads of each block that have returned."""
        done = self.pc.reshape(self.blocks, -1)[blocks, : self.threads] == DONE
        return done.sum(1)

    # ---- what ends a block

    def _finish(self, block: Block, lanes: np.ndarray) -> None:
        last = block.last
        if last is None:
            self.pc[lanes] = block.number + 1
        elif last.name in ("bar", "barrier") and "warp" not in last.modifiers:
            self._arrive_at_barrier(block, lanes)
        elif last.name in ("bra", "brx", "ret", "exit", "call"):
            getattr(self, f"_{last.name}")(block, last, lanes)
        else:
            self._arrive_at_warp_operation(block, last, lanes)

    def _bra(self, block: Block, last: Instruction, lanes: np.ndarray) -> None:
        target = block.function.labels[last.operands[0]]
        if last.guard:
            taken = self.registers[block.function.name][last.guard][lanes] ^ last.negated
            self.pc[lanes] = np.where(taken, target, block.number + 1)
        else:
            self.pc[lanes] = target

    def _brx(self, block: Block, last: Instruction, lanes: np.ndarray) -> None:
        table = np.array([block.function.labels[label] for label in block.function.tables[last.operands[1]]])
        choice = self.registers[block.function.name][last.operands[0]][lanes]
        self._check(choice < table.size, "branches beyond its table", lanes, last)
        self.pc[lanes] = table[choice]

    def _exit(self, block: Block, last: Instruction, lanes: np.ndarray) -> None:
        self.pc[lanes] = DONE
        self._try_barriers(np.unique(lanes // (32 * self.warps)))

    def _call(self, block: Block, last: Instruction, lanes: np.ndarray) -> None:
        _, name, given = _call_parts(last)
        if name not in self.module.functions:
            raise Unsupported(f"{block.function.name}: {last.text}")
        callee = self.module.functions[name]
        for parameter, argument in zip(callee.parameters, given, strict=True):
            self._pass((name, parameter.name), (block.function.name, argument), lanes)
        self.return_to[name][lanes] = block.number
        self.pc[lanes] = callee.blocks[0].number

    def _ret(self, block: Block, last: Instruction, lanes: np.ndarray) -> None:
        function = block.function
        if function.entry:
            self._exit(block, last, lanes)
            return
        back = self.return_to[function.name]
        for number in np.unique(back[lanes]):
            here = lanes[back[lanes] == number]
            site = self.module.blocks[number]
            for result, name in zip(function.results, _call_parts(site.last)[0], strict=True):
                self._pass((site.function.name, name), (function.name, result.name), here)
            self.pc[here] = number + 1

    def _pass(self, to: tuple[str, str], of: tuple[str, str], lanes: np.ndarray) -> None:
        """One variable's bytes to another's; a caller's may be larger, as several calls share it."""
        source, target = self._bytes(*of), self._bytes(*to)
        size = min(source.shape[1], target.shape[1])
        target[lanes, :size] = source[lanes, :size]

    # ---- .param space

    def _bytes(self, function: str, name: str) -> np.ndarray:
        """[lanes, size] of a variable of a call."""
        if (function, name) not in self.params:
            f = self.module.functions[function]
            known = {v.name: v for v in (*f.results, *f.parameters, *f.scoped.values())}
            self.params[function, name] = np.zeros((self.pc.size, -(-known[name].size // 8) * 8), np.uint8)
        return self.params[function, name]

    def parameter(self, function: str, name: str, offset: int, dtype: np.dtype, lanes: np.ndarray) -> np.ndarray:
        """Of a kernel: its argument; of another function: what was passed to it or by it."""
        if function == self.kernel.name and name in (addresses := parameter_layout(self.kernel)):
            at = addresses[name] + offset
            return np.full(lanes.size, self.arguments.bytes[at : at + dtype.itemsize].view(dtype)[0])
        part = self._bytes(function, name)[lanes, offset : offset + dtype.itemsize]
        return np.ascontiguousarray(part).view(dtype).ravel()

    def set_parameter(self, function: str, name: str, offset: int, values: np.ndarray, lanes: np.ndarray) -> None:
        size = values.dtype.itemsize
        raw = np.ascontiguousarray(values).view(np.uint8).reshape(-1, size)
        self._bytes(function, name)[lanes, offset : offset + size] = raw

    # ---- barriers and warp operations

    def _arrive_at_barrier(self, block: Block, lanes: np.ndarray) -> None:
        if [m for m in block.last.modifiers if m not in ("sync", "cta", "aligned")] or block.last.operands != ["0"]:
            raise Unsupported(f"{block.function.name}: {block.last.text}")
        self.pc[lanes], self.at[lanes] = WAITING, block.number
        self._try_barriers(np.unique(lanes // (32 * self.warps)))

    def _try_barriers(self, blocks: np.ndarray) -> None:
        """Lets the blocks go on of which all threads wait at one barrier."""
        pc = self.pc.reshape(self.blocks, -1)[blocks, : self.threads]
        at = self.at.reshape(self.blocks, -1)[blocks, : self.threads]
        waits = (pc == WAITING) & self.barriers[at]
        whole = (waits | (pc == DONE)).all(1) & waits.any(1)
        for k in np.flatnonzero(whole):
            self._check_barrier(blocks[k], waits[k], at[k])
        go = blocks[whole]
        if go.size:
            lanes = (go[:, None] * 32 * self.warps + np.arange(self.threads)).ravel()
            self.pc[lanes] = self.at[lanes] + 1
            self.order.block_epoch[go] += 1
            self.order.warp_epoch.reshape(self.blocks, -1)[go] += 1

    def _check_barrier(self, block: int, waits: np.ndarray, at: np.ndarray) -> None:
        first = int(np.argmax(waits))
        lane = np.array([block * 32 * self.warps + first])
        if not waits.all():
            self._fail("waits at a divergent barrier", lane, self.module.blocks[at[first]].last)
        if (at != at[first]).any():
            self._fail("waits at another barrier than the rest of its block", lane, self.module.blocks[at[first]].last)

    def _arrive_at_warp_operation(self, block: Block, last: Instruction, lanes: np.ndarray) -> None:
        self.pc[lanes], self.at[lanes] = WAITING, block.number
        warps = np.unique(lanes >> 5)
        members = (warps[:, None] * 32 + np.arange(32)).ravel()
        here = (self.pc[members] == WAITING) & (self.at[members] == block.number)
        bit = np.uint32(1) << (members % 32).astype(np.uint32)
        arrived = np.where(here, bit, 0).reshape(-1, 32).sum(1).astype(np.uint32)
        done = np.where(self.pc[members] == DONE, bit, 0).reshape(-1, 32).sum(1).astype(np.uint32)
        waiting = members[here]
        mask = self._operand(block, last.operands[-1], waiting)
        of_warp = np.searchsorted(warps, waiting >> 5)
        self._check(mask & done[of_warp] == 0, "names a thread that has returned in", waiting, last)
        self._check(mask & bit[here] != 0, "is not in its own mask in", waiting, last)
        go = mask & ~arrived[of_warp] == 0
        if go.any():
            self._together(block, last, waiting[go], mask[go])
            self.pc[waiting[go]] = block.number + 1

    def _operand(self, block: Block, operand: str, lanes: np.ndarray) -> np.ndarray:
        registers = self.registers[block.function.name]
        if operand.lstrip("!") in registers.types:
            value = registers[operand.lstrip("!")][lanes]
            return ~value if operand[0] == "!" else value
        return np.full(lanes.size, int(operand, 0) & 0xFFFFFFFF, np.uint32)

    def _together(self, block: Block, last: Instruction, lanes: np.ndarray, mask: np.ndarray) -> None:
        """The operation, on lanes whose masks are complete."""
        if last.name == "bar":
            self.order.warp_epoch[np.unique(lanes >> 5)] += 1
            return
        operation = {"shfl": self._shuffle, "vote": self._vote}.get(last.name)
        if not operation or "sync" not in last.modifiers:
            raise Unsupported(f"{block.function.name}: {last.text}")
        operation(block, last, lanes, mask)

    def _set(self, block: Block, name: str, lanes: np.ndarray, values: np.ndarray) -> None:
        if name != "_":
            register = self.registers[block.function.name][name]
            register[lanes] = values if register.dtype == values.dtype else values.view(register.dtype)

    def _vote(self, block: Block, last: Instruction, lanes: np.ndarray, mask: np.ndarray) -> None:
        predicate = self._operand(block, last.operands[1], lanes)
        warps = lanes >> 5
        ballot = np.zeros(self.pc.size // 32, np.uint32)
        np.add.at(ballot, warps, np.where(predicate, np.uint32(1) << (lanes % 32).astype(np.uint32), np.uint32(0)))
        votes = ballot[warps]
        results = {"ballot": votes, "any": votes != 0, "all": votes == mask}
        kind = next((m for m in last.modifiers if m in results), None)
        if kind is None:
            raise Unsupported(f"{block.function.name}: {last.text}")
        self._set(block, last.operands[0], lanes, results[kind])

    def _shuffle(self, block: Block, last: Instruction, lanes: np.ndarray, mask: np.ndarray) -> None:
        value, b, c = (self._operand(block, o, lanes) for o in last.operands[1:4])
        lane, b, c = lanes % 32, b.astype(int) & 31, c.astype(int)
        segment, clamp = c >> 8 & 31, c & 31
        most, least = lane & segment | clamp & ~segment, lane & segment
        source = {"bfly": lane ^ b, "down": lane + b, "up": lane - b, "idx": least | b & ~segment}[last.modifiers[1]]
        inside = source >= most if last.modifiers[1] == "up" else source <= most
        source = np.where(inside, source, lane)
        self._check(mask >> source.astype(np.uint32) & 1 == 1, "reads a lane outside of its mask in", lanes, last)
        everywhere = np.zeros(self.pc.size, value.dtype)
        everywhere[lanes] = value
        result, _, valid = last.operands[0].partition("|")
        self._set(block, result, lanes, everywhere[(lanes >> 5 << 5) + source])
        if valid:
            self._set(block, valid, lanes, inside)

    # ---- threads and memory, for the translated code

    def special(self, name: str, axis: str | None, lanes: np.ndarray) -> np.ndarray:
        """%tid.x and its kin"""
        block, thread = np.divmod(lanes, 32 * self.warps)
        if name == "laneid":
            return thread % 32
        k = "xyz".index(axis)
        if name in ("ntid", "nctaid"):
            return np.full(lanes.size, (self.shape if name == "ntid" else self.grid)[k])
        number, shape = (thread, self.shape) if name == "tid" else (block, self.grid)
        return number // int(np.prod(shape[:k])) % shape[k]

    def load(
        self, space: str, address: np.ndarray, dtype: np.dtype, count: int, lanes: np.ndarray, where: Instruction
    ) -> list[np.ndarray]:
        """`count` numbers from each address on."""
        size = dtype.itemsize
        self._check(address % (count * size) == 0, "reads a misaligned address in", lanes, where)
        out = [np.empty(lanes.size, dtype) for _ in range(count)]
        for name, part in _by_space(space, address):
            self.counts.access(f"{name} load", count * size, lanes[part])
            for k in range(count):
                arena, at = self._locate(name, address[part] + k * size, size, lanes[part], where)
                self._check(~arena.unwritten(at, size), f"reads uninitialised {name} memory in", lanes[part], where)
                if size >= WORD and name in ("global", "shared"):
                    self._read_words(arena, at, size, lanes[part], where, name)
                out[k][part] = arena.load(at, dtype)
        return out

    def store(
        self, space: str, address: np.ndarray, values: list[np.ndarray], lanes: np.ndarray, where: Instruction
    ) -> None:
        """Each of the values behind the other."""
        size = values[0].dtype.itemsize
        self._check(address % (len(values) * size) == 0, "writes to a misaligned address in", lanes, where)
        for name, part in _by_space(space, address):
            self.counts.access(f"{name} store", len(values) * size, lanes[part])
            for k, value in enumerate(values):
                arena, at = self._locate(name, address[part] + k * size, size, lanes[part], where)
                if size >= WORD and name in ("global", "shared"):
                    self._write_words(arena, at, size, lanes[part], where, name, False)
                arena.store(at, value[part])

    def atomic(
        self,
        space: str,
        action: str,
        address: np.ndarray,
        values: list[np.ndarray],
        lanes: np.ndarray,
        where: Instruction,
    ) -> np.ndarray:
        """One lane after the other; what was there before."""
        dtype = values[0].dtype
        before = np.empty(lanes.size, dtype)
        self._check(address % dtype.itemsize == 0, "has a misaligned address in", lanes, where)
        for name, part in _by_space(space, address):
            self.counts.access(f"{name} atomic", dtype.itemsize, lanes[part])
            arena, at = self._locate(name, address[part], dtype.itemsize, lanes[part], where)
            self._check(~arena.unwritten(at, dtype.itemsize), f"reads uninitialised {name} memory in", lanes[part],
                        where)  # fmt: skip
            self._write_words(arena, at, dtype.itemsize, lanes[part], where, name, True)
            self._touch(name, at, "read")
            given = [v[part] for v in values]
            result = np.empty(at.size, dtype)
            for turn in _turns(at):
                result[turn] = arena.load(at[turn], dtype)
                arena.store(at[turn], _ACTIONS[action](result[turn], *(v[turn] for v in given)).astype(dtype))
            before[part] = result
        return before

    def _locate(
        self, space: str, address: np.ndarray, size: int, lanes: np.ndarray, where: Instruction
    ) -> tuple[Arena, np.ndarray]:
        """The arena and the place in it of each address, which must be inside."""
        if space in ("global", "const"):
            at, inside = self.memory.locate(address, size)
            self._check(inside, f"accesses {space} memory out of bounds in", lanes, where)
            return self.memory.arena, at
        arena, window, limit, start = {
            "shared": (self.shared, SHARED, self.shared_size, lanes // (32 * self.warps) * self.stride),
            "local": (self.local, LOCAL, self.local_size, lanes * self.local_size),
            "param": (self.arguments, PARAM, self.arguments.bytes.size, 0),
        }[space]
        offset = np.where(address >= window, address - window, address)
        self._check((offset >= 0) & (offset + size <= limit), f"accesses {space} memory out of bounds in", lanes, where)
        return arena, start + offset

    def _read_words(
        self, arena: Arena, at: np.ndarray, size: int, lanes: np.ndarray, where: Instruction, space: str
    ) -> None:
        self._touch(space, at, "read")
        for word in range(size // WORD):
            raced = arena.history.read(self.order, at // WORD + word, lanes)
            self._check(~raced, f"reads {space} memory in a race with a write in", lanes, where)

    def _write_words(
        self, arena: Arena, at: np.ndarray, size: int, lanes: np.ndarray, where: Instruction, space: str, atomic: bool
    ) -> None:
        self._touch(space, at, "written")
        for word in range(size // WORD):
            raced = arena.history.write(self.order, at // WORD + word, lanes, atomic)
            self._check(~raced, f"writes {space} memory in a race with another access in", lanes, where)

    def _touch(self, space: str, at: np.ndarray, way: str) -> None:
        if space == "global":
            self.touched[way][at // GRANULE] = True


_ACTIONS: dict[str, Callable[..., np.ndarray]] = {
    "add": np.add,
    "min": minimum,
    "max": maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "exch": lambda old, new: new,
    "cas": lambda old, expected, new: np.where(old == expected, new, old),
}


def _turns(at: np.ndarray) -> list[np.ndarray]:
    """Lanes in groups in which no two have the same place; a lower lane is in an earlier group."""
    order = np.argsort(at, kind="stable")
    same = np.r_[False, at[order][1:] == at[order][:-1]]
    start = np.maximum.accumulate(np.where(same, 0, np.arange(at.size)))
    rank = np.empty(at.size, int)
    rank[order] = np.arange(at.size) - start
    return [np.flatnonzero(rank == k) for k in range(rank.max() + 1)]


def _by_space(space: str, address: np.ndarray) -> list[tuple[str, np.ndarray | slice]]:
    """A generic address' spaces, each with the lanes that have it."""
    if space != "generic":
        return [(space, slice(None))]
    windows = (("global", 0, PARAM), ("param", PARAM, SHARED), ("shared", SHARED, LOCAL), ("local", LOCAL, 2 * LOCAL))
    parts = ((name, np.flatnonzero((address >= low) & (address < high))) for name, low, high in windows)
    return [(name, part) for name, part in parts if part.size]


def _is_barrier(last: Instruction | None) -> bool:
    return last is not None and last.name in ("bar", "barrier") and "warp" not in last.modifiers


def _call_parts(i: Instruction) -> tuple[list[str], str, list[str]]:
    """(variables of the results, name, variables of the arguments)"""
    operands = i.operands if i.operands[0].startswith("(") else ["()", *i.operands]
    results, name, arguments = (*operands, "()")[:3]
    return _names(results), name, _names(arguments)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.strip("()").split(",") if name.strip()]


def _code(module: Module, block: Block) -> Translated:
    """The translated block, made when it is first run."""
    if block.translated is None:
        if not block.function.live:
            block.function.live = live_out(block.function)
        block.translated = translate(module, block)
    return block.translated


def forget_translations(modules: Iterable[Module]) -> None:
    """Blocks are translated anew, for tests that change what instructions do."""
    for module in modules:
        for block in module.blocks:
            block.translated = None
