"""PTX text -> basic blocks. Follows the PTX ISA 9.0 as far as nvcc's output for C++ kernels goes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from .errors import Unsupported

TYPES = {
    **{
        f"{kind}{8 * size}": np.dtype(f"{letter}{size}") for kind, letter in ("si", "uu", "bu") for size in (1, 2, 4, 8)
    },
    "f32": np.dtype("f4"),
    "f64": np.dtype("f8"),
    "pred": np.dtype("?"),
}
CARRY = "%cc"  # the condition code of add.cc and its kin, as if it were a register
_TARGETS = {"bra", "brx", "ret", "exit", "call"}
_MEETINGS = {"bar", "barrier", "shfl", "vote", "redux", "match"}  # operations that wait for other threads
_WITHOUT_RESULT = {"st", "red", "bra", "brx", "bar", "barrier", "ret", "exit", "call", "membar", "fence", "prefetch"}


@dataclass
class Instruction:
    """One instruction: `name` is the part before the first dot, `modifiers` the others."""

    name: str
    modifiers: list[str]
    operands: list[str]
    text: str
    guard: str = ""  # a predicate, of branches only
    negated: bool = False

    @property
    def type(self) -> str:
        """The last modifier: what the instruction works on."""
        return self.modifiers[-1]

    @property
    def ends_block(self) -> bool:
        return self.name in _TARGETS or self.name in _MEETINGS

    def defines(self) -> list[str]:
        """Registers that it writes."""
        if self.name in _WITHOUT_RESULT and not self._reduces:
            return []
        registers = re.findall(r"%[\w$]+", self.operands[0])
        return [*registers, CARRY] if "cc" in self.modifiers else registers

    def uses(self) -> list[str]:
        """Registers that it reads."""
        start = 0 if self.name in _WITHOUT_RESULT and not self._reduces else 1
        registers = re.findall(r"%[\w$]+", " ".join([self.guard, *self.operands[start:]]))
        return [*registers, CARRY] if self.name in ("addc", "subc", "madc") else registers

    @property
    def _reduces(self) -> bool:
        return "red" in self.modifiers  # barrier.red has a result


@dataclass(eq=False, repr=False)
class Block:
    """Instructions without a branch into or out of them; the last one may go elsewhere or wait."""

    function: Function
    instructions: list[Instruction] = field(default_factory=list)
    number: int = -1
    translated: Callable[[object, np.ndarray], None] | None = None  # made when the block is first run

    @property
    def last(self) -> Instruction | None:
        """What ends the block, if it does not fall through."""
        end = self.instructions[-1] if self.instructions else None
        return end if end and end.ends_block else None


@dataclass
class Parameter:
    name: str
    size: int  # bytes
    alignment: int


@dataclass(eq=False, repr=False)
class Function:
    """A kernel (`entry`) or a function that it calls."""

    name: str
    entry: bool
    results: list[Parameter]
    parameters: list[Parameter]
    registers: dict[str, np.dtype] = field(default_factory=lambda: {CARRY: np.dtype("u8")})
    shared: dict[str, Parameter] = field(default_factory=dict)
    local: dict[str, Parameter] = field(default_factory=dict)
    scoped: dict[str, Parameter] = field(default_factory=dict)  # .param space of its calls
    labels: dict[str, int] = field(default_factory=dict)  # -> number of a block
    tables: dict[str, list[str]] = field(default_factory=dict)  # branch targets of brx.idx
    blocks: list[Block] = field(default_factory=list)
    live: dict[int, set[str]] = field(default_factory=dict)  # of each block, by number: registers used behind it


@dataclass(eq=False, repr=False)
class Module:
    """All functions; blocks are numbered throughout, those of functions before those of kernels."""

    functions: dict[str, Function]
    constants: dict[str, np.ndarray]  # bytes
    dynamic_shared: dict[str, Parameter]
    blocks: list[Block]

    def kernels(self) -> list[Function]:
        return [f for f in self.functions.values() if f.entry]

    def constant_layout(self) -> dict[str, int]:
        """Offsets of the constants."""
        return layout([Parameter(name, data.size, 16) for name, data in self.constants.items()])[0]

    def shared_layout(self, kernel: Function) -> dict[str, int]:
        """Offsets of a kernel's shared arrays; the dynamic ones all begin behind the static ones."""
        addresses, end = layout(list(kernel.shared.values()))
        start = -(-end // 16) * 16
        return {**addresses, **dict.fromkeys(self.dynamic_shared, start)}

    def static_shared_size(self, kernel: Function) -> int:
        """Bytes before dynamic shared memory."""
        return -(-layout(list(kernel.shared.values()))[1] // 16) * 16

    def local_layout(self, function: Function) -> dict[str, int]:
        """Offsets of a function's local arrays in a thread's local memory."""
        addresses, _ = layout([_of(f, v) for f in self.functions.values() for v in f.local.values()])
        return {v.name: addresses[_of(function, v).name] for v in function.local.values()}

    def local_size(self) -> int:
        """Bytes of local memory of a thread."""
        return layout([_of(f, v) for f in self.functions.values() for v in f.local.values()])[1]


def layout(variables: list[Parameter]) -> tuple[dict[str, int], int]:
    """(offset of each variable, end), one behind the other as in a C struct."""
    offsets, end = {}, 0
    for variable in variables:
        start = -(-end // variable.alignment) * variable.alignment
        offsets[variable.name] = start
        end = start + variable.size
    return offsets, end


def _of(function: Function, variable: Parameter) -> Parameter:
    return Parameter(f"{function.name} {variable.name}", variable.size, variable.alignment)


_TOP = re.compile(
    r"\.(?P<kind>entry|func)\b\s*(?P<results>\([^)]*\))?\s*(?P<name>[\w$]+)\s*(?P<parameters>\([^)]*\))?"
    r"[^{;]*(?P<end>[{;])"
    r"|\.(?:global|const)\s+(?:\.align\s+\d+\s+)?\.(?P<type>\w+)\s+(?P<constant>[\w$]+)\[(?P<size>\d+)\]"
    r"(?:\s*=\s*\{(?P<values>[^}]*)\})?\s*;"
    r"|\.extern\s+\.shared\s+\.align\s+(?P<alignment>\d+)\s+\.b8\s+(?P<dynamic>[\w$]+)\[\]\s*;"
)
_VARIABLE = re.compile(
    r"\.(?:param|shared|local)\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\s+"
    r"(?:\.ptr\s+(?:\.(?:global|shared|local|const)\s+)?(?:\.align\s+\d+\s+)?)?([\w$]+)(?:\[(\d+)\])?"
)


def parse(text: str) -> Module:
    """Functions and constants of a PTX file."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)
    module = Module({}, {}, {}, [])
    position = 0
    while match := _TOP.search(text, position):
        position = match.end()
        if match["constant"]:
            module.constants[match["constant"]] = _constant(match)
        elif match["dynamic"]:
            module.dynamic_shared[match["dynamic"]] = Parameter(match["dynamic"], 0, int(match["alignment"]))
        elif match["end"] == "{":
            end = _closing(text, position)
            function = Function(
                match["name"], match["kind"] == "entry", _variables(match["results"]), _variables(match["parameters"])
            )
            _read_body(function, text[position:end])
            module.functions[function.name] = function
            position = end
    for function in sorted(module.functions.values(), key=lambda f: f.entry):
        for block in function.blocks:
            block.number = len(module.blocks)
            module.blocks.append(block)
        first = function.blocks[0].number
        function.labels = {label: first + number for label, number in function.labels.items()}
    return module


def _constant(match: re.Match[str]) -> np.ndarray:
    dtype, count = TYPES[match["type"]], int(match["size"])
    values = [int(v, 0) for v in match["values"].split(",")] if match["values"] else []
    return np.array(values + [0] * (count - len(values)), dtype).view(np.uint8)


def _closing(text: str, position: int) -> int:
    """Where the brace closes that was opened before `position`."""
    depth = 1
    for match in re.finditer(r"[{}]", text[position:]):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return position + match.start()
    raise Unsupported("a function's brace is not closed")


def _variables(text: str | None) -> list[Parameter]:
    found = []
    for alignment, kind, name, count in _VARIABLE.findall(text or ""):
        size = TYPES[kind].itemsize
        found.append(Parameter(name, size * int(count or 1), int(alignment or size)))
    return found


def _read_body(function: Function, body: str) -> None:
    blocks = _Blocks(function)
    for statement in _statements(body):
        if isinstance(statement, tuple):  # a label
            label, rest = statement
            if rest.startswith(".branchtargets"):
                function.tables[label] = [name.strip() for name in rest.removeprefix(".branchtargets").split(",")]
            else:
                blocks.start(label)
        elif statement.startswith("."):
            _declare(function, statement)
        else:
            blocks.add(_instruction(statement))
    blocks.finish()


def _statements(body: str) -> Iterator[str | tuple[str, str]]:
    """Statements, and labels with what a table of branch targets has behind them."""
    for statement in body.split(";"):
        rest = statement.strip()
        while True:
            rest = rest.lstrip("{} \t\n")
            label = re.match(r"([\w$]+):\s*", rest)
            if not label:
                break
            rest = rest[label.end() :]
            yield label[1], rest
            if rest.startswith(".branchtargets"):
                rest = ""
        # a closing brace of a scope stands before the next statement, a vector's inside of one
        if rest:
            yield " ".join(rest.split())


def _declare(function: Function, statement: str) -> None:
    if statement.startswith(".reg"):
        kind, names = re.match(r"\.reg\s+\.(\w+)\s+(.*)", statement).groups()
        dtype = np.dtype(f"u{TYPES[kind].itemsize}") if kind[0] in "sub" else TYPES[kind]
        for name, count in re.findall(r"(%[\w$]+)(?:<(\d+)>)?", names):
            for register in [f"{name}{i}" for i in range(int(count))] if count else [name]:
                if function.registers.setdefault(register, dtype) != dtype:
                    raise Unsupported(f"register {register} of {function.name} has two types")
    elif statement.startswith((".shared", ".local", ".param")):
        space = {"s": function.shared, "l": function.local, "p": function.scoped}[statement[1]]
        for variable in _variables(statement):
            known = space.get(variable.name)
            if not known or known.size < variable.size:  # names of .param space come again in other scopes
                space[variable.name] = variable
    elif not statement.startswith((".pragma", ".loc", ".file")):
        raise Unsupported(f"{function.name}: {statement}")


def _instruction(statement: str) -> Instruction:
    match = re.match(r"(?:@(!?)(%\w+)\s+)?([a-z][\w.:]*)\s*(.*)", statement)
    if not match:
        raise Unsupported(statement)
    negated, guard, operation, operands = match.groups()
    name, *modifiers = operation.replace("::", "_").split(".")
    return Instruction(name, modifiers, _split(operands), statement, guard or "", bool(negated))


def _split(operands: str) -> list[str]:
    """At commas that are not in brackets."""
    return [part.strip() for part in re.split(r",(?![^{(\[]*[})\]])", operands) if part.strip()]


class _Blocks:
    """Cuts a function's instructions into basic blocks."""

    def __init__(self, function: Function):
        self.function = function
        self.function.blocks = [Block(function)]

    def start(self, *labels: str) -> None:
        """A new block, to which the labels lead."""
        if self.function.blocks[-1].instructions:
            self.function.blocks.append(Block(self.function))
        for label in labels:
            self.function.labels[label] = len(self.function.blocks) - 1

    def add(self, instruction: Instruction) -> None:
        """A guarded instruction becomes a branch around it."""
        guarded = instruction.guard and instruction.name not in ("bra",)
        if guarded:
            around = f"around{len(self.function.blocks)}"
            self._append(Instruction("bra", [], [around], instruction.text, instruction.guard, not instruction.negated))
            instruction.guard, instruction.negated = "", False
        self._append(instruction)
        if guarded:
            self.start(around)

    def _append(self, instruction: Instruction) -> None:
        self.function.blocks[-1].instructions.append(instruction)
        if instruction.ends_block:
            self.function.blocks.append(Block(self.function))

    def finish(self) -> None:
        """nvcc ends a function with ret; a label may stand behind it."""
        if not self.function.blocks[-1].instructions:
            self._append(Instruction("ret", [], [], "end of the function"))
            self.function.blocks.pop()
