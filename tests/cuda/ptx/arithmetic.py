"""What PTX instructions compute, on arrays of lanes. The generated code (translate.py) calls these by name."""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from .errors import Unsupported

Array = np.ndarray
COMPILER = shutil.which("cc") or shutil.which("gcc")


@functools.cache
def _library() -> ctypes.CDLL:
    if not COMPILER:
        raise Unsupported("no C compiler, which rounding.c needs")
    folder = tempfile.mkdtemp(prefix="ptx-rounding-")
    path = Path(folder) / "rounding.so"
    source = Path(__file__).with_name("rounding.c")
    command = [COMPILER, "-O2", "-frounding-math", "-shared", "-fPIC", "-o", path, source, "-lm"]
    subprocess.run(command, check=True)
    library = ctypes.CDLL(str(path))
    shutil.rmtree(folder)
    library.add_float_to_zero.argtypes = [ctypes.c_long, *[ctypes.c_void_p] * 3]
    for name in ("fma_double", "fma_float", "fma_float_down"):
        getattr(library, name).argtypes = [ctypes.c_long, *[ctypes.c_void_p] * 4]
    return library


def _rounded(name: str, dtype: type, *given: Array) -> Array:
    n = max(map(np.size, given))
    out = np.empty(n, dtype)
    arrays = [np.ascontiguousarray(v if np.size(v) == n else np.full(n, v), dtype) for v in given]
    getattr(_library(), name)(n, *(v.ctypes.data for v in arrays), out.ctypes.data)
    return out


def fma_f64(a: Array, b: Array, c: Array) -> Array:
    return _rounded("fma_double", np.float64, a, b, c)


def fma_f32(a: Array, b: Array, c: Array) -> Array:
    return _rounded("fma_float", np.float32, a, b, c)


def fma_f32_down(a: Array, b: Array, c: Array) -> Array:
    return _rounded("fma_float_down", np.float32, a, b, c)


def add_f32_to_zero(a: Array, b: Array) -> Array:
    return _rounded("add_float_to_zero", np.float32, a, b)


def bits(values: Array, dtype: np.dtype) -> Array:
    """The same bits as another type; narrower or wider integers as PTX registers take them."""
    if values.dtype == dtype:
        return values
    if values.dtype.itemsize == dtype.itemsize:
        return values.view(dtype)
    if values.dtype.kind == "f":
        values = values.view(f"u{values.dtype.itemsize}")
    return values.astype(f"{'i' if values.dtype.kind == 'i' else 'u'}{dtype.itemsize}").view(dtype)


def flushed(x: Array) -> Array:
    """.ftz: subnormal numbers count as 0."""
    return np.where(np.abs(x) < np.finfo(x.dtype).tiny, np.copysign(x.dtype.type(0), x), x)


def minimum(a: Array, b: Array) -> Array:
    return np.fmin(a, b) if np.asarray(a).dtype.kind == "f" else np.minimum(a, b)


def maximum(a: Array, b: Array) -> Array:
    return np.fmax(a, b) if np.asarray(a).dtype.kind == "f" else np.maximum(a, b)


def wide(a: Array) -> Array:
    """Twice as many bits."""
    return a.astype(f"{a.dtype.kind}{2 * a.dtype.itemsize}")


def multiply_high(a: Array, b: Array) -> Array:
    if a.dtype.itemsize == 8:
        return _multiply_high_64(a, b)
    return (wide(a) * wide(b) >> 8 * a.dtype.itemsize).astype(a.dtype)


def _multiply_high_64(a: Array, b: Array) -> Array:
    if a.dtype.kind != "u":
        raise Unsupported("mul.hi.s64")
    shift, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    a1, a0, b1, b0 = a >> shift, a & low, b >> shift, b & low
    middle = a1 * b0 + (a0 * b0 >> shift)
    return a1 * b1 + (middle >> shift) + ((a0 * b1 + (middle & low)) >> shift)


def divide(a: Array, b: Array) -> Array:
    """Towards 0; by 0 as on a GPU, all bits set."""
    safe = np.where(b == 0, b.dtype.type(1), b)
    quotient = np.abs(a) // np.abs(safe) * np.sign(a) * np.sign(safe) if a.dtype.kind == "i" else a // safe
    return np.where(b == 0, ~b.dtype.type(0), quotient).astype(a.dtype)


def remainder(a: Array, b: Array) -> Array:
    return (a - divide(a, b) * b).astype(a.dtype)


def with_carry(a: Array, b: Array, carry: Array | int = 0) -> tuple[Array, Array]:
    """(low 32 bits, carry) of a + b + carry for uint32."""
    total = a.astype(np.uint64) + b + np.uint64(carry)
    return (total & np.uint64(0xFFFFFFFF)).astype(np.uint32), total >> np.uint64(32)


def with_borrow(a: Array, b: Array, borrow: Array | int = 0) -> tuple[Array, Array]:
    """(low 32 bits, borrow) of a - b - borrow for uint32."""
    total = a.astype(np.int64) - b.astype(np.int64) - np.asarray(borrow, np.int64)
    return (total & 0xFFFFFFFF).astype(np.uint32), (total < 0).astype(np.uint64)


def shift_left(a: Array, n: Array) -> Array:
    """By 32-bit n; bits that don't fit are lost, also where n is more than the width."""
    width = 8 * a.dtype.itemsize
    return np.where(n < width, a << np.minimum(n, width - 1).astype(a.dtype), a.dtype.type(0))


def shift_right(a: Array, n: Array) -> Array:
    width = 8 * a.dtype.itemsize
    shifted = a >> np.minimum(n, width - 1).astype(a.dtype)
    return shifted if a.dtype.kind == "i" else np.where(n < width, shifted, a.dtype.type(0))


def funnel(low: Array, high: Array, n: Array, left: bool, clamp: bool) -> Array:
    """shf: 32 bits of (high, low) shifted."""
    n = np.minimum(n, 32) if clamp else n & np.uint32(31)
    both = low.astype(np.uint64) | high.astype(np.uint64) << np.uint64(32)
    both = both << n.astype(np.uint64) if left else both >> n.astype(np.uint64)
    return (both >> np.uint64(32) if left else both).astype(np.uint32)


def insert_bits(a: Array, b: Array, position: Array, length: Array) -> Array:
    """bfi: `length` bits of a into b."""
    dtype = b.dtype.type
    mask = shift_left(_ones(dtype, length), np.asarray(position, np.uint32))
    return b & ~mask | shift_left(a, np.asarray(position, np.uint32)) & mask


def extract_bits(a: Array, position: Array, length: Array) -> Array:
    """bfe of unsigned numbers."""
    if a.dtype.kind == "i":
        raise Unsupported("bfe of a signed type")
    return shift_right(a, np.asarray(position, np.uint32)) & _ones(a.dtype.type, length)


def _ones(dtype: type, length: Array) -> Array:
    width = 8 * np.dtype(dtype).itemsize
    length = np.asarray(length, np.uint32)
    return ~shift_left(np.broadcast_to(~dtype(0), length.shape).copy(), np.minimum(length, width))


def population(a: Array) -> Array:
    """popc"""
    return np.unpackbits(np.ascontiguousarray(a).view(np.uint8).reshape(a.size, -1), axis=1).sum(1, dtype=np.uint32)


def leading_zeros(a: Array) -> Array:
    """clz"""
    width = 8 * a.dtype.itemsize
    ones = np.unpackbits(a.astype(a.dtype.newbyteorder(">")).view(np.uint8).reshape(a.size, -1), axis=1)
    return np.where(ones.any(1), ones.argmax(1), width).astype(np.uint32)


def shift_to_top(a: Array) -> Array:
    """bfind.shiftamt"""
    return np.where(a == 0, np.uint32(0xFFFFFFFF), leading_zeros(a))


def reversed_bits(a: Array) -> Array:
    """brev"""
    ones = np.unpackbits(a.view(np.uint8).reshape(a.size, -1), axis=1, bitorder="little")
    return np.packbits(ones[:, ::-1], axis=1, bitorder="little").view(a.dtype).ravel()


def logic(a: Array, b: Array, c: Array, table: int) -> Array:
    """lop3: any function of three bits."""
    result = np.zeros_like(a)
    for k in range(8):
        if table >> k & 1:
            result |= (a if k & 4 else ~a) & (b if k & 2 else ~b) & (c if k & 1 else ~c)
    return result


def permute(a: Array, b: Array, selector: Array) -> Array:
    """prmt: four bytes out of eight."""
    given = np.stack([a, b], axis=1).view(np.uint8)
    out = np.zeros((len(a), 4), np.uint8)
    for k in range(4):
        choice = selector >> np.uint32(4 * k) & np.uint32(15)
        byte = given[np.arange(len(a)), choice & np.uint32(7)]
        out[:, k] = np.where(choice & 8, np.where(byte & 128, 255, 0), byte)
    return out.view(np.uint32).ravel()


_ROUNDINGS = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


def convert(x: Array, to: np.dtype, modifiers: list[str]) -> Array:
    """cvt: rounded, saturated where the target is an integer."""
    if x.dtype.kind != "f":
        if "sat" in modifiers:
            raise Unsupported("cvt.sat of an integer")
        return x.astype(to)
    if "ftz" in modifiers:
        x = flushed(x)
    for name, function in _ROUNDINGS.items():
        if name in modifiers:
            x = function(x)
    if "sat" in modifiers:
        x = np.where(np.isnan(x), 0, np.clip(x, 0, 1)).astype(x.dtype)
    return x.astype(to) if to.kind == "f" else _saturated(x, to)


def _saturated(x: Array, to: np.dtype) -> Array:
    least, most = np.iinfo(to).min, np.iinfo(to).max
    inside = (x > least) & (x < most)
    return np.where(
        inside, np.where(inside, x, 0).astype(to), np.where(x >= most, most, np.where(x <= least, least, 0)).astype(to)
    )


_COMPARISONS = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "lo": np.less, "ls": np.less_equal, "hi": np.greater, "hs": np.greater_equal,
}  # fmt: skip


def compare(relation: str, a: Array, b: Array) -> Array:
    """setp. Of floats, "ne" is false and "neu" true where one is not a number."""
    if np.asarray(a).dtype.kind != "f":
        return _COMPARISONS[relation](a, b)
    nan = np.isnan(a) | np.isnan(b)
    if relation in ("nan", "num"):
        return nan if relation == "nan" else ~nan
    if relation.endswith("u"):
        return _COMPARISONS[relation[:-1]](a, b) | nan
    return _COMPARISONS[relation](a, b) & ~nan


def approximate(name: str, x: Array, modifiers: list[str]) -> Array:
    """rcp.approx and its kin, correct to rounding."""
    functions = {
        "rcp": lambda v: 1 / v, "rsqrt": lambda v: 1 / np.sqrt(v), "sqrt": np.sqrt, "ex2": np.exp2, "lg2": np.log2,
        "sin": np.sin, "cos": np.cos, "tanh": np.tanh,
    }  # fmt: skip
    flush = flushed if "ftz" in modifiers else np.asarray
    result = flush(functions[name](flush(x).astype(np.float64)).astype(x.dtype))
    if x.dtype == np.float64 and "approx" in modifiers:  # gives the upper half of the bits
        return (result.view(np.uint64) & np.uint64(0xFFFFFFFF00000000)).view(np.float64)
    return result
