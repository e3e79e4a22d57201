"""The CUDA kernels as nvcc compiles them: what they need of a multiprocessor, what their PTX computes, interpreted on
the processor, and which planted bugs that, execution on the processor and the sanitizers find. Needs nvcc, which pip
install '.[cuda]' brings; SITEWISE_REQUIRE_CUDA=1 makes its absence a failure."""

import contextlib
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import hosted
import ptx
import toolkit
from bugs import BUGS, Bug
from checks import silicon_potential
from ptx import arithmetic
from sitewise import SymmetryFunctions

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# of cpp/tests/cuda; with the argument "small" the first three together launch every kernel
pytestmark = pytest.mark.slow

PROGRAMS = ("test_backend", "test_network", "test_arrays")
LONG_PROGRAMS = (*PROGRAMS, "test_loss", "test_training")
CEILINGS = Path(__file__).parent / "cuda" / "ceilings.toml"
MOST_LAUNCHES = 8  # of a kernel with a bug, after which PTX is thought not to tell
ORDERS = ("0", "1", "5")  # of threads: ascending, descending, random
MOST_IDLE = 0.35  # of the lanes in floating-point operations
DOUBLE, SINGLE = 1e-12, 1e-5  # as much as the backend's results may be off, of the largest number


def needed(condition, reason):
    if condition:
        return
    if os.environ.get("SITEWISE_REQUIRE_CUDA"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def nvcc():
    try:
        return toolkit.nvcc()
    except toolkit.NoCompiler as error:
        needed(False, str(error))


@pytest.fixture(scope="module")
def gxx():
    needed(shutil.which("g++"), "no g++")


@pytest.fixture(scope="module")
def compiled(nvcc):
    with tempfile.TemporaryDirectory() as folder:
        return toolkit.compile_all(Path(folder))


class Programs:
    """The tests of the backend, built for the processor in one flavor."""

    def __init__(self, folder, flavor, sources, others):
        self.builder = hosted.Builder(folder, flavor)
        self.objects = others | self.builder.objects(sources)

    def link(self, name, title="", **others):
        """Link a program, with other objects in place of some."""
        parts = self.objects | others
        return self.builder.link([o for k, o in parts.items() if k == name or k not in LONG_PROGRAMS], f"{name}{title}")

    def complaint(self, program, *arguments, **environment):
        return hosted.complaint(self.builder.execute(program, *arguments, **environment))


@pytest.fixture(scope="module")
def plain(gxx, tmp_path_factory):
    tests = [hosted.TESTS / f"{name}.cpp" for name in LONG_PROGRAMS]
    return Programs(tmp_path_factory.mktemp("plain"), hosted.PLAIN, [*toolkit.sources(), *tests], {})


@pytest.fixture(scope="module")
def recordings(plain, tmp_path_factory):
    """Return what each program asked of the device; each program has compared its results with the processor's."""
    folder, files = tmp_path_factory.mktemp("recordings"), {}
    for name in PROGRAMS:
        files[name] = folder / name
        assert plain.complaint(plain.link(name), "small", HOSTEXEC_RECORD=str(files[name])) == ""
    return files


@pytest.mark.parametrize("name", LONG_PROGRAMS)
def test_the_backend_gives_what_the_processor_gives(plain, name):
    assert plain.complaint(plain.link(name, "-long")) == ""


# ---- registers, shared memory, spills


def test_resources_stay_below_their_ceilings(compiled, capsys):
    ceilings = {name: toolkit.Resources(*row) for name, row in tomllib.loads(CEILINGS.read_text()).items()}
    with capsys.disabled():
        toolkit.print_table(compiled.resources)
    for architecture, kernels in compiled.resources.items():
        assert kernels.keys() == ceilings.keys(), f"{CEILINGS.name} has other kernels than {architecture}"
        above = {name: r for name, r in kernels.items() if r.exceeds(ceilings[name])}
        assert not above, f"{architecture}: above the ceilings in {CEILINGS.name}: {above}"


def test_a_ceiling_is_noticed():
    assert toolkit.Resources(33, 0, 0).exceeds(toolkit.Resources(32, 0, 0))
    assert toolkit.Resources(32, 0, 4).exceeds(toolkit.Resources(32, 0, 0))
    assert not toolkit.Resources(32, 0, 0).exceeds(toolkit.Resources(32, 0, 0))


# ---- PTX


def wrong(downloads):
    """Return in words what differs by more than rounding."""
    for d in downloads:
        if not d.difference() <= (SINGLE if d.single else DOUBLE):
            yield f"{d.difference():.1e} in {d.expected.size} {d.expected.dtype} after {toolkit.readable([d.after])[0]}"


def test_ptx_computes_what_the_processor_computes(compiled, recordings):
    launched, compared = set(), 0
    for recording in recordings.values():
        replay = ptx.Replay(compiled.modules)
        downloads = list(replay.run(recording))
        assert list(wrong(downloads)) == []
        compared += sum(d.expected.size for d in downloads)
        launched |= replay.launches.keys()
    assert compared > 1000
    missing = toolkit.readable(sorted(replay.kernels.keys() - launched))
    assert not missing, f"no program launches {missing}"


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        ("fma_f64", lambda a, b, c: a * b),
        ("fma_f32", lambda a, b, c: a * b),
        ("wide", lambda a: a.astype(f"u{2 * a.dtype.itemsize}") & 0xFF),
        ("shift_right", lambda a, n: a),
    ],
)
def test_a_bug_in_the_interpreter_is_noticed(compiled, recordings, monkeypatch, name, planted):
    modules = compiled.modules
    monkeypatch.setattr(arithmetic, name, planted)
    try:
        ptx.forget_translations(modules)
        with contextlib.suppress(ptx.PtxError):  # it computed an address
            assert next(wrong(ptx.Replay(modules).run(recordings["test_network"])), "")
    finally:
        ptx.forget_translations(modules)


# ---- lanes


@pytest.mark.parametrize(("preset", "loops"), [(None, "atoms"), ("fast", "moments")])
def test_lanes_have_work(compiled, plain, tmp_path, preset, loops):
    """Few lanes of a warp are idle, although most pairs are beyond the cutoffs and moments have few components."""
    functions = SymmetryFunctions.preset(preset, ["Si"]).of("Si") if preset else None
    silicon_potential(functions=functions).save(str(tmp_path / "potential"))
    step = plain.builder.compile(Path(__file__).parents[1] / "benchmarks" / "cuda_step.cpp")
    program, recording = plain.link("cuda_step", cuda_step=step), tmp_path / "recording"
    arguments = ("gradient", str(tmp_path / "potential"), "1", "1", "float64", "1", "1", "1")
    assert plain.complaint(program, *arguments, HOSTEXEC_RECORD=str(recording)) == ""
    replay = ptx.Replay(compiled.modules)
    list(replay.run(recording))
    counts = {toolkit.readable([name])[0]: counts for name, counts in replay.counts.items()}
    for operator in ("evaluate", "vjp", "jvp"):
        kernel = counts[f"{operator}_{loops}<double>"]
        assert 1 - kernel.flops("f64") / kernel.slots("f64") < MOST_IDLE, operator


# ---- planted bugs


@pytest.fixture(scope="module")
def sanitized(plain, tmp_path_factory):
    """Build the kernels with sanitizers; the host code is that of the plain programs."""
    return [
        Programs(tmp_path_factory.mktemp(flavor.name), flavor, toolkit.kernel_sources(), plain.objects)
        for flavor in (hosted.ADDRESS, hosted.THREAD)
    ]


def found_by_ptx(bug, folder, compiled, recordings):
    """Return what the interpreter finds in a recording of sound kernels if one kernel has a bug."""
    with tempfile.TemporaryDirectory() as scratch:
        text = toolkit.compile_ptx(bug.plant(folder), Path(scratch)).read_text()
    planted = ptx.parse(text)
    names = {ptx.host_name(kernel.name) for kernel in planted.kernels()}
    sound = [
        module for module in compiled.modules if not names & {ptx.host_name(kernel.name) for kernel in module.kernels()}
    ]
    replay = ptx.Replay([planted, *sound])
    try:
        for download in replay.run(recordings["test_backend"]):
            if text := next(wrong([download]), ""):
                return text
            if max(replay.launches.get(name, 0) for name in names) >= MOST_LAUNCHES:
                break
    except ptx.PtxError as error:
        return str(error)
    return ""


def found_by_execution(bug, folder, programs, orders):
    """Return what the backend's test finds with the bug, by sanitizer, scheduler or its results."""
    source = bug.plant(folder)
    kernels = programs.builder.compile(source, folder.name)
    program = programs.link("test_backend", folder.name, **{source.stem: kernels})
    complaints = (programs.complaint(program, "small", HOSTEXEC_SEED=order) for order in orders)
    return next(filter(None, complaints), "")


def found(bug, folder, compiled, recordings, plain, sanitized):
    """Return the first layer that finds the bug, those that take long being the last, and what it finds; else ""."""
    if text := found_by_execution(bug, folder, plain, ORDERS):
        return plain.builder.flavor.name, text
    if text := found_by_ptx(bug, folder, compiled, recordings):
        return "PTX", text
    for programs in sanitized:
        if text := found_by_execution(bug, folder, programs, ORDERS[-1:]):
            return programs.builder.flavor.name, text
    return "", ""


def test_sound_kernels_pass_the_sanitizers(sanitized):
    for programs in sanitized:
        assert programs.complaint(programs.link("test_backend"), "small", HOSTEXEC_SEED=ORDERS[-1]) == ""


@pytest.mark.skipif("SITEWISE_PLANTED" not in os.environ, reason="tests the tests: SITEWISE_PLANTED=1, minutes")
def test_planted_bugs_are_found(compiled, recordings, plain, sanitized, tmp_path, capsys):
    folders = [tmp_path / f"bug{k}" for k in range(len(BUGS))]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        layers = list(pool.map(lambda b, f: found(b, f, compiled, recordings, plain, sanitized), BUGS, folders))
    with capsys.disabled():
        for bug, (layer, text) in zip(BUGS, layers, strict=True):
            print(f"\n{bug.name} (cuda/{bug.file})\n    {layer:10s} {text[:150] or '-'}")
    assert [bug.name for bug, (layer, _) in zip(BUGS, layers, strict=True) if not layer] == []


def test_a_bug_that_cannot_be_planted_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r'bug "x": cuda/scan\.cu has its text 0 times, expected 1'):
        Bug("x", "scan.cu", "no such text", "").plant(tmp_path)
