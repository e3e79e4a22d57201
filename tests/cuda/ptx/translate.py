"""Basic blocks -> Python functions of a launch and its lanes.

A register is an array over all lanes of the launch. A translated block takes the lanes' part of those that it uses,
keeps the rest in local variables, and puts back what another block may use (liveness analysis), as in

    def block(m, lanes):
        r = m.registers["kernel"]
        rd1, f2 = r["%rd1"][lanes], r["%f2"][lanes]
        f3 = m.load("global", rd1.astype(i8) + 8, f4, lanes, where[0])
        f4 = fma_f32(f2, f3, k0)
        r["%f4"][lanes] = f4

What ends a block (branches, calls, barriers, warp operations) is done by launch.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from . import arithmetic
from .errors import Unsupported
from .memory import CONSTANTS, LOCAL, PARAM, SHARED
from .parser import TYPES, Block, Function, Instruction, Module, layout

Translated = Callable[[object, np.ndarray], None]

_SPECIAL = re.compile(r"%(n?tid|n?ctaid)\.([xyz])$|%(laneid)$")
_ADDRESS = re.compile(r"\[([%\w$]+)(?:\+(-?\d+))?\]")
_SPACES = ("global", "shared", "local", "param", "const")


def translate(module: Module, block: Block) -> Translated:
    """The block's function; `live` of its function must be known."""
    return _Translator(module, block).function()


def live_out(function: Function) -> dict[int, set[str]]:
    """Of each block, by number, the registers that a block behind it may read before it writes them."""
    uses, defines = {}, {}
    for block in function.blocks:
        used: set[str] = set()
        defined: set[str] = set()
        for instruction in block.instructions:
            used |= set(instruction.uses()) - defined
            if instruction is not block.last:  # the lanes of a warp operation get their results later
                defined |= set(instruction.defines())
        uses[block.number], defines[block.number] = used, defined
    out: dict[int, set[str]] = {block.number: set() for block in function.blocks}
    changed = True
    while changed:
        changed = False
        for block in reversed(function.blocks):
            after = set().union(*(uses[k] | (out[k] - defines[k]) for k in successors(block)))
            changed |= after != out[block.number]
            out[block.number] = after
    return out


def successors(block: Block) -> list[int]:
    """Numbers of the blocks of the same function that may follow."""
    last = block.last
    if not last or last.name not in ("bra", "brx", "ret", "exit"):
        return [block.number + 1]
    if last.name in ("ret", "exit"):
        return []
    labels = block.function.labels
    if last.name == "brx":
        return [labels[label] for label in block.function.tables[last.operands[1]]]
    return [labels[last.operands[0]], *([block.number + 1] if last.guard else [])]


class _Translator:
    def __init__(self, module: Module, block: Block):
        self.module, self.block = module, block
        self.names: dict[str, object] = {**vars(arithmetic), "np": np}
        for name, dtype in TYPES.items():
            self.names[name] = dtype
        self.lines: list[str] = []

    def function(self) -> Translated:
        last = self.block.last
        for k, instruction in enumerate(self.block.instructions):
            if instruction is not last:
                self.names[f"where{k}"] = self.where = instruction
                self._statement(instruction, f"where{k}")
        used, defined = self._registers()
        table = self.block.function.name
        head = [f"r = m.registers[{table!r}]", "n = len(lanes)"]
        head += [f"{_local(name)} = r[{name!r}][lanes]" for name in sorted(used)]
        tail = [f"r[{name!r}][lanes] = {_local(name)}" for name in sorted(defined)]
        source = "def block(m, lanes):\n    " + "\n    ".join([*head, *self.lines, *tail]) + "\n"
        exec(compile(source, f"<block {self.block.number}>", "exec"), self.names)
        return self.names["block"]

    def _registers(self) -> tuple[set[str], set[str]]:
        """Those that are taken from the file, and those that are put back."""
        used: set[str] = set()
        defined: set[str] = set()
        for instruction in self.block.instructions:
            if instruction is not self.block.last:
                used |= {name for name in instruction.uses() if not _SPECIAL.match(name)} - defined
                defined |= set(instruction.defines())
        wanted = self.block.function.live[self.block.number]
        if self.block.last:
            wanted = wanted | set(self.block.last.uses())
        return {name for name in used if name in self.block.function.registers}, defined & wanted

    def _statement(self, instruction: Instruction, where: str) -> None:
        handler = getattr(self, f"_op_{instruction.name}", None)
        if not handler:
            raise Unsupported(f"{self.block.function.name}: {instruction.text}")
        handler(instruction, where)

    # ---- operands

    def _constant(self, value: object) -> str:
        name = f"k{len(self.names)}"
        self.names[name] = value
        return name

    def _source(self, operand: str, kind: str) -> str:
        """An expression for the operand as a number of this type."""
        dtype = TYPES[kind]
        if operand in self.block.function.registers:
            same = self.block.function.registers[operand] == dtype
            return _local(operand) if same else f"bits({_local(operand)}, {kind})"
        if special := _SPECIAL.match(operand):
            return f"m.special({special[1] or special[3]!r}, {special[2]!r}, lanes).astype({kind})"
        return self._constant(self._immediate(operand, dtype))

    def _immediate(self, operand: str, dtype: np.dtype) -> np.generic:
        if operand[:2] in ("0d", "0f"):
            raw = np.array(int(operand[2:], 16), "u8" if operand[1] == "d" else "u4")
            return raw.view("f8" if operand[1] == "d" else "f4")[()].astype(dtype)
        if re.match(r"-?\d", operand):
            value = int(operand.rstrip("U"), 0)
            if dtype.kind == "f":
                return dtype.type(value)
            return np.array(value & (1 << 8 * dtype.itemsize) - 1, f"u{dtype.itemsize}").view(dtype)[()]
        return dtype.type(self._symbol(operand))

    def _symbol(self, name: str) -> int:
        """The address of a variable in its space."""
        function = self.block.function
        spaces = [(self.module.local_layout(function), 0), (self.module.constant_layout(), CONSTANTS)]
        if function.entry:
            spaces += [(self.module.shared_layout(function), 0), (parameter_layout(function), PARAM)]
        for addresses, base in spaces:
            if name in addresses:
                return base + addresses[name]
        raise Unsupported(f"{function.name}: operand {name}")

    def _address(self, operand: str) -> str:
        """The address [operand] as int64."""
        base, offset = _ADDRESS.fullmatch(operand).groups()
        if base in self.block.function.registers:
            return f"{_local(base)}.astype(s64) + {int(offset or 0)}"
        return f"np.full(n, {self._symbol(base) + int(offset or 0)}, s64)"

    def _assign(self, target: str, expression: str, kind: str) -> None:
        if target == "_":
            return
        if target.startswith("{"):
            parts = target[1:-1].split(",")
            width = TYPES[kind].itemsize // len(parts)
            self.lines.append(f"parts = np.ascontiguousarray({expression}).view('u{width}').reshape(n, {len(parts)})")
            for k, part in enumerate(parts):
                self._assign(part.strip(), f"parts[:, {k}].copy()", f"u{8 * width}")
            return
        dtype = self.block.function.registers[target]
        converted = expression if dtype == TYPES[kind] else f"bits({expression}, {self._constant(dtype)})"
        self.lines.append(f"{_local(target)} = {converted}")

    def _simple(self, i: Instruction, template: str, kind: str = "", result: str = "") -> None:
        """`template` with the sources as {0}, {1} ..., all of the instruction's type."""
        kind = kind or i.type
        sources = [self._source(operand, kind) for operand in i.operands[1:]]
        self._assign(i.operands[0], template.format(*sources), result or kind)

    # ---- arithmetic

    def _op_add(self, i: Instruction, where: str) -> None:
        if i.modifiers == ["rz", "f32"]:
            self._simple(i, "add_f32_to_zero({0}, {1})")
            return
        self._rounding(i)
        self._carrying(i, "with_carry", "{0} + {1}")

    def _op_sub(self, i: Instruction, where: str) -> None:
        self._rounding(i)
        self._carrying(i, "with_borrow", "{0} - {1}")

    def _op_addc(self, i: Instruction, where: str) -> None:
        self._carrying(i, "with_carry", "", ", cc")

    def _op_subc(self, i: Instruction, where: str) -> None:
        self._carrying(i, "with_borrow", "", ", cc")

    def _carrying(self, i: Instruction, function: str, plain: str, carry: str = "") -> None:
        if plain and "cc" not in i.modifiers:
            self._saturating(i, plain)
            return
        self._only(i, "u32", "s32", "b32")
        a, b = (self._source(operand, "u32") for operand in i.operands[1:3])
        self.lines.append(f"low, carried = {function}({a}, {b}{carry})")
        self._keep_carry(i)

    def _keep_carry(self, i: Instruction) -> None:
        if "cc" in i.modifiers:
            self.lines.append("cc = carried")
        self._assign(i.operands[0], "low", "u32")

    def _saturating(self, i: Instruction, template: str) -> None:
        if "sat" in i.modifiers:
            self._only(i, "f32")
            template = f"np.clip({template}, np.float32(0), np.float32(1))"
        if "ftz" in i.modifiers:
            template = f"flushed({template})"
        self._simple(i, template)

    def _rounding(self, i: Instruction) -> None:
        if {"rz", "rm", "rp"} & set(i.modifiers):
            raise Unsupported(f"{self.block.function.name}: {i.text}")

    def _only(self, i: Instruction, *kinds: str) -> None:
        if i.type not in kinds:
            raise Unsupported(f"{self.block.function.name}: {i.text}")

    def _op_mul(self, i: Instruction, where: str) -> None:
        self._rounding(i)
        if "wide" in i.modifiers:
            self._simple(i, "wide({0}) * wide({1})", result=_wider(i.type))
        elif "hi" in i.modifiers:
            self._simple(i, "multiply_high({0}, {1})")
        else:
            self._saturating(i, "{0} * {1}")

    def _op_mad(self, i: Instruction, where: str) -> None:
        a, b = (self._source(operand, i.type) for operand in i.operands[1:3])
        if "wide" in i.modifiers:
            c = self._source(i.operands[3], _wider(i.type))
            self._assign(i.operands[0], f"wide({a}) * wide({b}) + {c}", _wider(i.type))
        elif "cc" in i.modifiers:
            self._multiply_carrying(i, "")
        else:
            product = f"multiply_high({a}, {b})" if "hi" in i.modifiers else f"{a} * {b}"
            self._assign(i.operands[0], f"{product} + {self._source(i.operands[3], i.type)}", i.type)

    def _op_madc(self, i: Instruction, where: str) -> None:
        self._multiply_carrying(i, ", cc")

    def _multiply_carrying(self, i: Instruction, carry: str) -> None:
        self._only(i, "u32")
        a, b, c = (self._source(operand, "u32") for operand in i.operands[1:])
        product = f"multiply_high({a}, {b})" if "hi" in i.modifiers else f"{a} * {b}"
        self.lines.append(f"low, carried = with_carry({product}, {c}{carry})")
        self._keep_carry(i)

    def _op_fma(self, i: Instruction, where: str) -> None:
        down = "_down" if "rm" in i.modifiers else ""
        if {"rz", "rp"} & set(i.modifiers) or (down and i.type != "f32"):
            raise Unsupported(f"{self.block.function.name}: {i.text}")
        flush = "flushed({})" if "ftz" in i.modifiers else "{}"
        self._simple(i, flush.format(f"fma_{i.type}{down}({{0}}, {{1}}, {{2}})"))

    def _op_div(self, i: Instruction, where: str) -> None:
        self._simple(i, "{0} / {1}" if i.type[0] == "f" else "divide({0}, {1})")

    def _op_rem(self, i: Instruction, where: str) -> None:
        self._simple(i, "remainder({0}, {1})")

    def _approximate(self, i: Instruction, where: str) -> None:
        self._simple(i, f"approximate({i.name!r}, {{0}}, {i.modifiers})")

    _op_rcp = _op_rsqrt = _op_ex2 = _op_lg2 = _op_sin = _op_cos = _op_tanh = _approximate

    def _op_sqrt(self, i: Instruction, where: str) -> None:
        self._simple(i, "np.sqrt({0})") if "rn" in i.modifiers else self._approximate(i, where)

    def _op_min(self, i: Instruction, where: str) -> None:
        self._simple(i, "minimum({0}, {1})")

    def _op_max(self, i: Instruction, where: str) -> None:
        self._simple(i, "maximum({0}, {1})")

    def _op_abs(self, i: Instruction, where: str) -> None:
        self._simple(i, "np.abs({0})")

    def _op_neg(self, i: Instruction, where: str) -> None:
        self._simple(i, "-{0}")

    def _op_copysign(self, i: Instruction, where: str) -> None:
        self._simple(i, "np.copysign({1}, {0})")

    # ---- bits

    def _op_and(self, i: Instruction, where: str) -> None:
        self._simple(i, "{0} & {1}")

    def _op_or(self, i: Instruction, where: str) -> None:
        self._simple(i, "{0} | {1}")

    def _op_xor(self, i: Instruction, where: str) -> None:
        self._simple(i, "{0} ^ {1}")

    def _op_not(self, i: Instruction, where: str) -> None:
        self._simple(i, "~{0}")

    def _op_shl(self, i: Instruction, where: str) -> None:
        self._shift(i, "shift_left")

    def _op_shr(self, i: Instruction, where: str) -> None:
        self._shift(i, "shift_right")

    def _shift(self, i: Instruction, function: str) -> None:
        a, n = self._source(i.operands[1], i.type), self._source(i.operands[2], "u32")
        self._assign(i.operands[0], f"{function}({a}, {n})", i.type)

    def _op_shf(self, i: Instruction, where: str) -> None:
        self._simple(i, f"funnel({{0}}, {{1}}, {{2}}, {'l' in i.modifiers}, {'clamp' in i.modifiers})", "u32")

    def _op_bfi(self, i: Instruction, where: str) -> None:
        a, b = (self._source(operand, i.type) for operand in i.operands[1:3])
        position, length = (self._source(operand, "u32") for operand in i.operands[3:])
        self._assign(i.operands[0], f"insert_bits({a}, {b}, {position}, {length})", i.type)

    def _op_bfe(self, i: Instruction, where: str) -> None:
        position, length = (self._source(operand, "u32") for operand in i.operands[2:])
        a = self._source(i.operands[1], i.type)
        self._assign(i.operands[0], f"extract_bits({a}, {position}, {length})", i.type)

    def _op_popc(self, i: Instruction, where: str) -> None:
        self._simple(i, "population({0})", result="u32")

    def _op_clz(self, i: Instruction, where: str) -> None:
        self._simple(i, "leading_zeros({0})", result="u32")

    def _op_bfind(self, i: Instruction, where: str) -> None:
        self._only(i, "u32")
        if "shiftamt" not in i.modifiers:
            raise Unsupported(f"{self.block.function.name}: {i.text}")
        self._simple(i, "shift_to_top({0})", result="u32")

    def _op_brev(self, i: Instruction, where: str) -> None:
        self._simple(i, "reversed_bits({0})")

    def _op_lop3(self, i: Instruction, where: str) -> None:
        a, b, c = (self._source(operand, "b32") for operand in i.operands[1:4])
        self._assign(i.operands[0], f"logic({a}, {b}, {c}, {int(i.operands[4], 0)})", "b32")

    def _op_prmt(self, i: Instruction, where: str) -> None:
        sources = (f"np.broadcast_to({self._source(operand, 'b32')}, n)" for operand in i.operands[1:])
        self._assign(i.operands[0], f"permute({', '.join(sources)})", "b32")

    # ---- moves

    def _op_mov(self, i: Instruction, where: str) -> None:
        source = i.operands[1]
        if source.startswith("{"):
            parts = source[1:-1].split(",")
            kind = f"u{8 * TYPES[i.type].itemsize // len(parts)}"
            each = ", ".join(f"np.broadcast_to({self._source(part.strip(), kind)}, n)" for part in parts)
            self._assign(i.operands[0], f"np.stack([{each}], axis=1).view({i.type}).ravel()", i.type)
        elif source == "%activemask":
            raise Unsupported(f"{self.block.function.name}: {i.text}")
        elif source in self.block.function.registers:
            self._assign(i.operands[0], self._source(source, i.type), i.type)
        else:
            self._assign(i.operands[0], f"np.full(n, {self._source(source, i.type)}, {i.type})", i.type)

    def _op_selp(self, i: Instruction, where: str) -> None:
        a, b = (self._source(operand, i.type) for operand in i.operands[1:3])
        self._assign(i.operands[0], f"np.where({self._source(i.operands[3], 'pred')}, {a}, {b})", i.type)

    def _op_setp(self, i: Instruction, where: str) -> None:
        a, b = (self._source(operand, i.type) for operand in i.operands[1:3])
        if len(i.operands) > 3 or "|" in i.operands[0] or "ftz" in i.modifiers:
            raise Unsupported(f"{self.block.function.name}: {i.text}")
        self._assign(i.operands[0], f"compare({i.modifiers[0]!r}, {a}, {b})", "pred")

    def _op_cvt(self, i: Instruction, where: str) -> None:
        to, of = i.modifiers[-2:]
        source = self._source(i.operands[1], of)
        self._assign(i.operands[0], f"convert({source}, {to}, {i.modifiers[:-2]})", to)

    def _op_cvta(self, i: Instruction, where: str) -> None:
        space = next(s for s in _SPACES if s in i.modifiers)
        window = {"shared": SHARED, "local": LOCAL}.get(space, 0)
        sign = "-" if "to" in i.modifiers else "+"
        source = self._source(i.operands[1], "u64")
        self._assign(i.operands[0], f"np.full(n, {source} {sign} np.uint64({window}))", "u64")

    # ---- memory

    def _op_ld(self, i: Instruction, where: str) -> None:
        space, dtype = _space(i), TYPES[i.type]
        targets = i.operands[0].strip("{}").split(",")
        if space == "param" and (variable := self._variable(i.operands[1])):
            name, offset = variable
            for k, target in enumerate(targets):
                at = offset + k * dtype.itemsize
                self._assign(target.strip(), f"m.parameter({self.block.function.name!r}, {name!r}, {at}, "
                             f"{i.type}, lanes)", i.type)  # fmt: skip
            return
        self.lines.append(f"a = {self._address(i.operands[1])}")
        self.lines.append(f"loaded = m.load({space!r}, a, {i.type}, {len(targets)}, lanes, {where})")
        for k, target in enumerate(targets):
            self._assign(target.strip(), f"loaded[{k}]", i.type)

    _op_ldu = _op_ld

    def _variable(self, operand: str) -> tuple[str, int] | None:
        """A variable of .param space and an offset, if the address is one."""
        name, offset = _ADDRESS.fullmatch(operand).groups()
        return None if name in self.block.function.registers else (name, int(offset or 0))

    def _op_st(self, i: Instruction, where: str) -> None:
        values = [self._broadcast(part, i.type) for part in i.operands[1].strip("{}").split(",")]
        if _space(i) == "param":
            name, offset = self._variable(i.operands[0])
            for k, value in enumerate(values):
                at = offset + k * TYPES[i.type].itemsize
                self.lines.append(f"m.set_parameter({self.block.function.name!r}, {name!r}, {at}, {value}, lanes)")
            return
        self.lines.append(f"a = {self._address(i.operands[0])}")
        self.lines.append(f"m.store({_space(i)!r}, a, [{', '.join(values)}], lanes, {where})")

    def _broadcast(self, operand: str, kind: str) -> str:
        source = self._source(operand.strip(), kind)
        return source if operand.strip().startswith("%") else f"np.full(n, {source}, {kind})"

    def _op_atom(self, i: Instruction, where: str) -> None:
        values = [self._broadcast(operand, i.type) for operand in i.operands[2:]]
        self.lines.append(f"a = {self._address(i.operands[1])}")
        call = f"m.atomic({_space(i)!r}, {_action(i)!r}, a, [{', '.join(values)}], lanes, {where})"
        self._assign(i.operands[0], call, i.type)

    def _op_red(self, i: Instruction, where: str) -> None:
        values = [self._broadcast(operand, i.type) for operand in i.operands[1:]]
        self.lines.append(f"a = {self._address(i.operands[0])}")
        self.lines.append(f"m.atomic({_space(i)!r}, {_action(i)!r}, a, [{', '.join(values)}], lanes, {where})")

    def _nothing(self, i: Instruction, where: str) -> None:
        """Fences order what lanes here do in order anyway."""

    _op_membar = _op_fence = _op_prefetch = _nothing


def _local(register: str) -> str:
    return "cc" if register == "%cc" else "v_" + register[1:].replace("$", "_")


def _wider(kind: str) -> str:
    return f"{kind[0]}{2 * int(kind[1:])}"


def _space(i: Instruction) -> str:
    for modifier in i.modifiers:
        for space in _SPACES:
            if modifier == space or modifier.startswith(space + "_"):  # shared::cta
                return space
    return "generic"


def _action(i: Instruction) -> str:
    return next(m for m in i.modifiers if m in ("add", "max", "min", "exch", "cas", "or", "and", "xor"))


def parameter_layout(function: Function) -> dict[str, int]:
    """Offsets of a kernel's parameters, as a C struct's."""
    return layout(function.parameters)[0]
