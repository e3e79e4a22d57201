"""The interpreter of PTX (tests/cuda/ptx) on kernels written by hand: what it computes, and what it must refuse."""

from fractions import Fraction

import numpy as np
import pytest

import ptx
from ptx import arithmetic

BASE = 1 << 20
needs_compiler = pytest.mark.skipif(not arithmetic.COMPILER, reason="needs a C compiler for rounding.c")


def run(body, *arrays, shared="", threads=32, blocks=1, functions=""):
    """Run a kernel whose parameters are pointers %rd1, %rd2 ... to the arrays, which hold its results afterwards.

    None stands for memory of 128 bytes that nobody wrote to.
    """
    parameters = ", ".join(f".param .u64 p{k}" for k in range(len(arrays)))
    loads = "".join(f"ld.param.u64 %rd{k + 1}, [p{k}];\n" for k in range(len(arrays)))
    text = f""".version 9.0
.target sm_80
.address_size 64
{functions}
.visible .entry kernel({parameters}) .maxntid {threads}
{{
.reg .pred %p<20>; .reg .b16 %rs<20>; .reg .b32 %r<40>; .reg .b64 %rd<40>; .reg .f32 %f<20>; .reg .f64 %fd<20>;
{shared}
{loads}
mov.u32 %r1, %tid.x;
mul.wide.u32 %rd20, %r1, 4;
mul.wide.u32 %rd21, %r1, 8;
{body}
ret;
}}"""
    module, memory = ptx.parse(text), ptx.GlobalMemory()
    places = [BASE + 4096 * k for k in range(len(arrays))]
    for place, array in zip(places, arrays, strict=True):
        memory.allocate(place, 128 if array is None else array.nbytes)
        if array is not None:
            memory.upload(place, array.view(np.uint8).ravel())
    arguments = [np.uint64(place).tobytes() for place in places]
    shape = (blocks, 1, 1), (threads, 1, 1)
    counts = ptx.Launch(module, memory, module.functions["kernel"], *shape, 0, arguments).run()
    for place, array in zip(places, arrays, strict=True):
        if array is not None:
            array[...] = memory.download(place, array.nbytes).view(array.dtype).reshape(array.shape)
    return counts


def words(values):
    return np.asarray(values, np.uint32)


def binary(instruction, a, b, result=np.uint32):
    """Return `instruction` for 32 pairs of 32-bit numbers."""
    out = np.zeros(32, result)
    size = out.itemsize
    register = {4: "%r4", 8: "%rd9"}[size]
    text = f"""add.s64 %rd5, %rd1, %rd20; ld.global.b32 %r2, [%rd5];
    add.s64 %rd6, %rd2, %rd20; ld.global.b32 %r3, [%rd6];
    {instruction.replace("d,", register + ",")};
    add.s64 %rd7, %rd3, %rd{20 if size == 4 else 21}; st.global.b{8 * size} [%rd7], {register};"""
    run(text, a, b, out)
    return out


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("add.s32 d, %r2, %r3", lambda a, b: a + b),
        ("sub.s32 d, %r2, %r3", lambda a, b: a - b),
        ("mul.lo.u32 d, %r2, %r3", lambda a, b: a * b),
        ("mul.hi.u32 d, %r2, %r3", lambda a, b: a * b >> 32),
        ("mad.lo.s32 d, %r2, %r3, -7", lambda a, b: a * b - 7),
        ("div.u32 d, %r2, %r3", lambda a, b: a // b),
        ("rem.u32 d, %r2, %r3", lambda a, b: a % b),
        ("and.b32 d, %r2, %r3", lambda a, b: a & b),
        ("xor.b32 d, %r2, %r3", lambda a, b: a ^ b),
        ("min.u32 d, %r2, %r3", min),
        ("shl.b32 d, %r2, 40", lambda a, b: 0),
        ("shr.u32 d, %r2, 5", lambda a, b: a >> 5),
        ("shr.s32 d, %r2, 35", lambda a, b: -1 if a >> 31 else 0),
        ("shf.l.wrap.b32 d, %r2, %r3, 37", lambda a, b: (b << 32 | a) >> 27),
        ("shf.r.clamp.b32 d, %r2, %r3, 37", lambda a, b: b),
        ("bfi.b32 d, %r2, %r3, 4, 8", lambda a, b: b & ~0xFF0 | (a & 0xFF) << 4),
        ("bfe.u32 d, %r2, 4, 8", lambda a, b: a >> 4 & 0xFF),
        ("popc.b32 d, %r2", lambda a, b: bin(a).count("1")),
        ("clz.b32 d, %r2", lambda a, b: 32 - a.bit_length()),
        ("bfind.shiftamt.u32 d, %r2", lambda a, b: 32 - a.bit_length() if a else 0xFFFFFFFF),
        ("brev.b32 d, %r2", lambda a, b: int(f"{a:032b}"[::-1], 2)),
        ("lop3.b32 d, %r2, %r3, -1, 0x6a", lambda a, b: (a & b) ^ 0xFFFFFFFF),
        ("prmt.b32 d, %r2, %r3, 0x7104", lambda a, b: b & 0xFF | a << 8 & 0xFFFF00 | b & 0xFF000000),
        ("not.b32 d, %r2", lambda a, b: ~a),
        ("neg.s32 d, %r2", lambda a, b: -a),
    ],
)
def test_integers(instruction, expected):
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 1 << 32, (2, 32), dtype=np.uint32)
    a[:3], b[0] = [0, 0xFFFFFFFF, 0x80000000], 1
    want = [expected(int(x), int(y)) & 0xFFFFFFFF for x, y in zip(a, b, strict=True)]
    assert binary(instruction, a, b).tolist() == want


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("mul.wide.u32 d, %r2, %r3", lambda a, b: a * b),
        ("mov.b64 d, {%r2, %r3}", lambda a, b: a | b << 32),
        ("cvt.u64.u32 d, %r2", lambda a, b: a),
        ("cvt.s64.s32 d, %r2", lambda a, b: a - (1 << 32 if a >> 31 else 0)),
    ],
)
def test_wide_integers(instruction, expected):
    a, b = np.random.default_rng(3).integers(0, 1 << 32, (2, 32), dtype=np.uint32)
    want = [expected(int(x), int(y)) & (1 << 64) - 1 for x, y in zip(a, b, strict=True)]
    assert binary(instruction, a, b, np.uint64).tolist() == want


def test_carries():
    a, b = np.random.default_rng(4).integers(0, 1 << 63, (2, 32), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    out = np.zeros((32, 2), np.uint64)
    text = """add.s64 %rd5, %rd1, %rd21; ld.global.v2.b32 {%r2, %r3}, [%rd5];
    add.s64 %rd6, %rd2, %rd21; ld.global.v2.b32 {%r4, %r5}, [%rd6];
    add.cc.u32 %r6, %r2, %r4; addc.u32 %r7, %r3, %r5;
    sub.cc.u32 %r8, %r2, %r4; subc.u32 %r9, %r3, %r5;
    shl.b64 %rd8, %rd21, 1; add.s64 %rd7, %rd3, %rd8; st.global.v4.b32 [%rd7], {%r6, %r7, %r8, %r9};"""
    run(text, a, b, out)
    assert np.array_equal(out[:, 0], a + b)
    assert np.array_equal(out[:, 1], a - b)


def nearest(x, kind):
    """Return the float closest to a fraction, found among neighbours of a first guess."""
    guess = kind(float(x))
    candidates = [guess, np.nextafter(guess, kind(np.inf)), np.nextafter(guess, kind(-np.inf))]
    return min(candidates, key=lambda c: abs(Fraction(float(c)) - x))


@needs_compiler
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_fused_operations_are_rounded_once(kind):
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, 200)).astype(kind)
    c = (-a * b * (1 + rng.integers(0, 2, 200) * 1e-3)).astype(kind)  # most digits cancel
    found = (arithmetic.fma_f64 if kind is np.float64 else arithmetic.fma_f32)(a, b, c)
    exact = [Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)) for x, y, z in zip(a, b, c, strict=True)]
    assert [nearest(x, kind) for x in exact] == found.tolist()
    assert np.any(found != a * b + c)


@needs_compiler
def test_directed_roundings():
    rng = np.random.default_rng(6)
    a, b, c = rng.normal(size=(3, 200)).astype(np.float32)
    down = arithmetic.fma_f32_down(a, b, c)
    up = np.nextafter(down, np.float32(np.inf))
    for x, y, z, low, high in zip(a, b, c, down, up, strict=True):
        assert low <= Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)) < high
    total = arithmetic.add_f32_to_zero(a, b)
    exact = a.astype(float) + b
    assert np.all(np.abs(total) <= np.abs(exact))
    assert np.all(np.abs(np.nextafter(total, total * np.float32(np.inf))) > np.abs(exact))


def test_conversions_and_comparisons():
    nan, inf = np.nan, np.inf
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 1e300, -1e300, nan, inf, -inf, 3.99], np.float64)
    as_int = arithmetic.convert(x, np.dtype(np.int32), ["rni"])
    top, low = 2**31 - 1, -(2**31)
    assert as_int.tolist() == [0, 2, 2, 0, -2, top, low, 0, top, low, 4]
    as_unsigned = arithmetic.convert(x, np.dtype(np.uint32), ["rzi"])
    assert as_unsigned.tolist() == [0, 1, 2, 0, 0, 2**32 - 1, 0, 0, 2**32 - 1, 0, 3]
    y = np.array([nan, 1.0])
    for relation, expected in {"lt": [0, 1], "ltu": [1, 1], "ne": [0, 1], "neu": [1, 1], "nan": [1, 0]}.items():
        assert arithmetic.compare(relation, y, np.array([2.0, 2.0])).tolist() == expected
    assert arithmetic.minimum(y, np.array([2.0, 2.0])).tolist() == [2.0, 1.0]


def test_branches_loops_and_calls():
    """Collatz' steps of each thread's number are counted in a function."""
    functions = """.func (.param .b32 result) steps(.param .b32 start)
    { .reg .pred %p<4>; .reg .b32 %r<8>; .reg .b64 %rd<2>;
    ld.param.u32 %r1, [start]; mov.u32 %r2, 0;
    $again: setp.eq.s32 %p1, %r1, 1; @%p1 bra $end;
    add.s32 %r2, %r2, 1; and.b32 %r3, %r1, 1; setp.eq.s32 %p2, %r3, 0; @%p2 bra $even;
    mad.lo.s32 %r1, %r1, 3, 1; bra.uni $again;
    $even: shr.u32 %r1, %r1, 1; bra.uni $again;
    $end: st.param.b32 [result], %r2; ret; }"""
    out = words(np.zeros(32))
    run(
        """add.s32 %r2, %r1, 1;
        { .param .b32 param0; st.param.b32 [param0], %r2; .param .b32 retval0; call.uni (retval0), steps, (param0);
        ld.param.b32 %r3, [retval0]; }
        setp.gt.u32 %p1, %r1, 29; @%p1 mov.u32 %r3, 77;
        add.s64 %rd5, %rd1, %rd20; st.global.u32 [%rd5], %r3;""",
        out,
        functions=functions,
    )

    def steps(n):
        return 0 if n == 1 else 1 + steps(3 * n + 1 if n % 2 else n // 2)

    assert out.tolist() == [steps(n) for n in range(1, 31)] + [77, 77]


def test_a_table_of_branches():
    out = words(np.zeros(32))
    run(
        """and.b32 %r2, %r1, 3;
        $table: .branchtargets $a, $b, $c, $b;
        brx.idx %r2, $table;
        $a: mov.u32 %r3, 10; bra.uni $end;
        $b: mov.u32 %r3, 20; bra.uni $end;
        $c: mov.u32 %r3, 30;
        $end: add.s64 %rd5, %rd1, %rd20; st.global.u32 [%rd5], %r3;""",
        out,
    )
    assert out.tolist() == [10, 20, 30, 20] * 8


def test_shuffles_and_votes():
    out = np.zeros((5, 32), np.uint32)
    run(
        """shfl.sync.bfly.b32 %r2, %r1, 5, 31, -1; shfl.sync.up.b32 %r3|%p1, %r1, 3, 0, -1;
        shfl.sync.down.b32 %r4, %r1, 3, 0x181f, -1; selp.b32 %r5, 1, 0, %p1;
        setp.gt.u32 %p2, %r1, 20; vote.sync.ballot.b32 %r6, %p2, -1;
        add.s64 %rd5, %rd1, %rd20;
        st.global.u32 [%rd5], %r2; st.global.u32 [%rd5+128], %r3; st.global.u32 [%rd5+256], %r4;
        st.global.u32 [%rd5+384], %r5; st.global.u32 [%rd5+512], %r6;""",
        out,
    )
    lane = np.arange(32)
    assert np.array_equal(out[0], lane ^ 5)
    assert np.array_equal(out[1], np.where(lane >= 3, lane - 3, lane))
    assert np.array_equal(out[2], np.where(lane % 8 + 3 <= 7, lane + 3, lane))
    assert np.array_equal(out[3], lane >= 3)
    assert np.all(out[4] == sum(1 << k for k in range(21, 32)))


def test_atomics_return_what_was_there():
    counter, slots = words([5]), words(np.zeros(64))
    run("atom.global.add.u32 %r2, [%rd1], 1; mul.wide.u32 %rd5, %r2, 4; add.s64 %rd6, %rd2, %rd5; "
        "st.global.u32 [%rd6], %r1;", counter, slots)  # fmt: skip
    assert counter[0] == 37
    assert sorted(slots[5:37]) == list(range(32))


@needs_compiler
def test_counts():
    x = np.ones(32)
    counts = run("add.s64 %rd5, %rd1, %rd21; ld.global.f64 %fd1, [%rd5]; fma.rn.f64 %fd2, %fd1, %fd1, %fd1; "
                 "setp.gt.u32 %p1, %r1, 7; @%p1 add.f64 %fd2, %fd2, %fd1; st.global.f64 [%rd5], %fd2;", x)  # fmt: skip
    assert counts.flops("f64") == 2 * 32 + 24
    assert counts.warps["f64 fma"] == 1
    assert (counts.bytes["global load"], counts.bytes["global store"]) == (256, 256)
    assert (counts.global_read, counts.global_written) == (256, 256)
    assert x.tolist() == [2.0] * 8 + [3.0] * 24


SHARED = ".shared .align 8 .b8 buffer[256];"
STORE = "mov.u32 %r10, buffer; shl.b32 %r11, %r1, 2; add.s32 %r12, %r10, %r11; st.shared.u32 [%r12], %r1;"
LOAD_NEXT = "xor.b32 %r13, %r11, {}; add.s32 %r14, %r10, %r13; ld.shared.u32 %r15, [%r14];"


@pytest.mark.parametrize(
    ("between", "other", "threads", "refused"),
    [
        ("bar.sync 0;", 128, 64, False),
        ("bar.warp.sync -1;", 4, 64, False),
        ("", 0, 64, False),  # its own
        ("", 4, 64, True),
        ("bar.warp.sync -1;", 128, 64, True),  # another warp
        ("shfl.sync.bfly.b32 %r2, %r1, 1, 31, -1;", 4, 64, True),  # orders no memory
        ("bar.sync 0; st.shared.u32 [%r12], %r1;", 4, 64, True),
    ],
)
def test_races_in_shared_memory(between, other, threads, refused):
    text = STORE + between + LOAD_NEXT.format(other)
    if not refused:
        run(text, shared=SHARED, threads=threads)
        return
    with pytest.raises(ptx.PtxError, match=r"reads shared memory in a race with a write in: ld\.shared"):
        run(text, shared=SHARED, threads=threads)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("st.global.u32 [%rd1], %r1;", "writes global memory in a race"),  # all threads to one place
        ("ld.global.u32 %r2, [%rd1]; add.s32 %r2, %r2, 1; st.global.u32 [%rd1], %r2;", "writes global memory in a ra"),
        ("atom.global.add.u32 %r2, [%rd1], 1; ld.global.u32 %r3, [%rd1];", "reads global memory in a race"),
        ("add.s64 %rd5, %rd1, %rd20; ld.global.u32 %r2, [%rd5+4];", "thread 31 .* global memory out of bounds"),
        ("ld.global.u32 %r2, [%rd1+-4];", "accesses global memory out of bounds"),
        ("ld.global.u32 %r2, [%rd1+2];", "misaligned"),
        ("ld.global.v2.u32 {%r2, %r3}, [%rd1+4];", "misaligned"),
        ("ld.u32 %r2, [%rd1+128];", "accesses global memory out of bounds"),
        ("add.s64 %rd5, %rd2, %rd20; ld.global.u32 %r2, [%rd5];", "reads uninitialised global memory"),
        ("mov.u32 %r2, buffer; ld.shared.u32 %r3, [%r2];", "reads uninitialised shared memory"),
        ("mov.u32 %r2, buffer; st.shared.u32 [%r2+256], %r1;", "accesses shared memory out of bounds"),
        ("setp.gt.u32 %p1, %r1, 3; @%p1 bra $e; bar.sync 0; $e:", "thread 0 .* divergent barrier.*28 threads"),
        ("setp.gt.u32 %p1, %r1, 3; @%p1 bra $e; bar.sync 0; bra.uni $f; $e: bar.sync 0; $f:", "another barrier"),
        ("setp.gt.u32 %p1, %r1, 3; @%p1 ret; vote.sync.ballot.b32 %r2, %p1, -1;", "names a thread that has returned"),
        ("setp.gt.u32 %p1, %r1, 3; @%p1 bra $e; bar.warp.sync -1; bra.uni $f; $e: bar.warp.sync -1; $f:",
         "waits for ever"),
        ("setp.gt.u32 %p1, %r1, 3; @%p1 bra $e; shfl.sync.idx.b32 %r2, %r1, 9, 31, 15; $e:", "outside of its mask"),
        ("bar.warp.sync 1;", "not in its own mask"),
    ],
)  # fmt: skip
def test_broken_rules(text, message):
    with pytest.raises(ptx.PtxError, match=message):
        run(text, words(np.zeros(32)), None, shared=SHARED)


@pytest.mark.parametrize(
    "text",
    ["tex.2d.v4.f32.s32 {%f1, %f2, %f3, %f4}, [t, {%r1, %r1}];", "add.rp.f64 %fd1, %fd1, %fd1;", "bar.sync 1, 32;",
     "match.any.sync.b32 %r2, %r1, -1;", "mov.u32 %r2, %clock;"],
)  # fmt: skip
def test_what_is_not_known_is_refused(text):
    with pytest.raises(ptx.Unsupported, match=r"^kernel: "):
        run(text)


def test_blocks_see_what_others_wrote_only_by_atomics():
    flag = words([0])
    run(
        "mov.u32 %r2, %ctaid.x; setp.ne.u32 %p1, %r1, 0; @%p1 ret; atom.global.max.u32 %r3, [%rd1], %r2;",
        flag,
        blocks=9,
    )
    assert flag[0] == 8
    with pytest.raises(ptx.PtxError, match="writes global memory in a race"):
        run("setp.ne.u32 %p1, %r1, 0; @%p1 ret; st.global.u32 [%rd1], %r1;", flag, blocks=2)
