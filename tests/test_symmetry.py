"""The three operators evaluate, vjp and jvp against the formulas, finite differences and each other."""

import numpy as np
import pytest

from checks import (
    ATOMIC_NUMBERS,
    BY_NUMBER,
    CUTOFFS,
    DEVICES,
    RNG_SEED,
    SHELLS,
    arrays,
    assert_close,
    cases,
    compiled,
    contractions,
    directional_derivative,
    ring,
    strained,
    structures,
)
from sitewise import Error, _core

STRUCTURES = structures()
every_device = pytest.mark.parametrize("device", DEVICES)


def cutoff_function(kind, alpha, rc, r):
    """Compute n2p2's cutoff functions from its manual, in numpy and independently of the C++.

    Long doubles are needed because the polynomials cancel near the cutoff in this form.
    """
    r = np.asarray(r, np.longdouble)
    x = (r - alpha * rc) / (rc - alpha * rc)
    with np.errstate(all="ignore"):
        value = {
            0: lambda: np.ones_like(r),
            1: lambda: (np.cos(np.pi * x) + 1) / 2,
            2: lambda: np.tanh(1 - r / rc) ** 3,
            3: lambda: ((np.e + 1 / np.e) / (np.e - 1 / np.e) * np.tanh(1 - r / rc)) ** 3,
            4: lambda: np.exp(1 - 1 / (1 - x**2)),
            5: lambda: (2 * x - 3) * x**2 + 1,
            6: lambda: ((15 - 6 * x) * x - 10) * x**3 + 1,
            7: lambda: (x * (x * (20 * x - 70) + 84) - 35) * x**4 + 1,
            8: lambda: (x * (x * ((315 - 70 * x) * x - 540) + 420) - 126) * x**5 + 1,
        }[kind]()
    if kind not in (0, 2, 3):
        value = np.where(r < alpha * rc, 1.0, value)
    return np.where(r < rc, value, 0.0).astype(float)


def compact(subtype, left, right, a, asymmetric):
    """Compute n2p2's CompactFunction: a core function of |a - center| / width."""
    a = np.asarray(a, np.longdouble)
    x = np.minimum(np.abs(a - (left + right) / 2) / ((right - left) / 2), 1)
    if asymmetric:
        x = (2 - x) * x
    return cutoff_function({"p1": 5, "p2": 6, "p3": 7, "p4": 8, "e": 4}[subtype[:2]], 0.0, 1.0, x)


def contraction(f, kind, alpha, species, vectors):
    """Compute a function of types 33 to 35 by the sum over all tuples of neighbours."""
    r = np.linalg.norm(vectors, axis=1)
    cosines = vectors @ vectors.T / np.outer(r, r) if len(r) else np.zeros((0, 0))
    fc = cutoff_function(kind, alpha, f.cutoff, r)
    numbers = np.array(ATOMIC_NUMBERS, float)[species]

    def shell(element, eta, rs):
        chosen = {f.all: np.ones(len(r)), f.all_by_number: numbers}.get(element, (species == element).astype(float))
        return chosen * np.exp(-eta * (r - rs) ** 2) * fc

    shells = [
        shell(f.neighbor1, f.eta, f.rs),
        shell(f.neighbor2, f.eta2, f.rs2),
        shell(f.neighbor3, f.eta3, f.rs3),
        shell(f.neighbor4, f.eta4, f.rs4),
    ][: f.type - 31]
    powers = [f.power1, f.power2, f.power3, f.power4]
    n, m = len(shells), len(r)
    terms = np.ones([m] * n)  # of all tuples of neighbours, one axis a shell
    for axis, R in enumerate(shells):
        terms = terms * R.reshape([m if a == axis else 1 for a in range(n)])
    for axis in range(n if n > 2 else 1):
        behind = (axis + 1) % n
        first, last = min(axis, behind), max(axis, behind)
        terms = terms * (cosines ** powers[axis]).reshape([m if a in (first, last) else 1 for a in range(n)])
    return terms.sum()


def formula(f, kind, alpha, species, vectors):
    """Compute one function of one atom, from its definition."""
    if f.type > 30:
        return contraction(f, kind, alpha, species, vectors)

    def radial(r):
        if f.type >= 20:
            return compact(f.subtype, f.left, f.cutoff, r, f.subtype.endswith("a"))
        return np.exp(-f.eta * (r - f.rs) ** 2) * cutoff_function(kind, alpha, f.cutoff, r)

    def angular(cosine):
        if f.type >= 20:
            left, right = np.radians(f.angle_left), np.radians(f.angle_right)
            return compact(f.subtype, left, right, np.arccos(np.clip(cosine, -1, 1))[None], False)[0]
        return 2 ** (1 - f.zeta) * max(1 + f.lambda_ * cosine, 0.0) ** f.zeta

    r = np.linalg.norm(vectors, axis=1)
    weighted = f.neighbor1 < 0
    weight = np.array(ATOMIC_NUMBERS, float)[species] if weighted else np.ones(len(r))
    if f.type in (2, 12, 20, 23):
        return (weight * radial(r))[weighted | (species == f.neighbor1)].sum()
    total = 0.0
    for j in range(len(r)):
        for k in range(j + 1, len(r)):
            if not weighted and sorted((species[j], species[k])) != [f.neighbor1, f.neighbor2]:
                continue
            cosine = vectors[j] @ vectors[k] / (r[j] * r[k])
            term = angular(cosine) * weight[j] * weight[k] * radial(r[j : j + 1])[0] * radial(r[k : k + 1])[0]
            if f.type in (3, 13, 21, 24):
                term *= radial(np.linalg.norm(vectors[k] - vectors[j])[None])[0]
            total += term
    return total


@pytest.mark.parametrize(("kind", "alpha"), CUTOFFS)
@pytest.mark.parametrize("name", ["mixed", "cluster"])
@every_device
def test_values_equal_the_formulas(device, name, kind, alpha):
    species, positions, cell, pbc = arrays(STRUCTURES[name])
    plan = compiled(kind, alpha)
    G = plan.evaluate(species, positions, cell, pbc, device)
    i, j, vectors, _ = _core.neighbor_list(positions, cell, pbc, plan.cutoff)
    for atom in range(len(species)):
        mine = i == atom
        expected = [formula(f, kind, alpha, species[j[mine]], vectors[mine]) for f in plan.functions(species[atom])]
        assert_close(G[atom], expected, 1e-12)


@pytest.mark.parametrize(("device", "cutoff"), cases(CUTOFFS, CUTOFFS[1:2]))
@pytest.mark.parametrize("name", STRUCTURES)
def test_jvp_equals_finite_differences(name, device, cutoff):
    species, positions, cell, pbc = arrays(STRUCTURES[name])
    plan = compiled(*cutoff)
    rng = np.random.default_rng(RNG_SEED)
    v, strain = rng.normal(size=positions.shape), rng.normal(size=(3, 3)) * 0.3

    def moved(h):
        return plan.evaluate(species, positions + h * v, cell, pbc, device)

    def stretched(h):
        return plan.evaluate(species, *strained(positions, cell, h * strain), pbc, device)

    zero = np.zeros_like
    for f, exact in (
        (moved, plan.jvp(species, positions, cell, pbc, v, zero(strain), device)),
        (stretched, plan.jvp(species, positions, cell, pbc, zero(v), strain, device)),
    ):
        exact = exact[~np.isnan(exact)]
        numerical = directional_derivative(f, 2e-4)
        # Moving the one atom of a crystal changes nothing: there the scale is that of G.
        assert_close(exact, numerical[~np.isnan(numerical)], 1e-7, floor=1e-3 * np.nanmax(np.abs(f(0.0))) + 1e-300)


@pytest.mark.parametrize(("kind", "alpha"), CUTOFFS)
@pytest.mark.parametrize("name", STRUCTURES)
@every_device
def test_vjp_is_adjoint_of_jvp(device, name, kind, alpha):
    species, positions, cell, pbc = arrays(STRUCTURES[name])
    plan = compiled(kind, alpha)
    rng = np.random.default_rng(RNG_SEED)
    v, strain = rng.normal(size=positions.shape), rng.normal(size=(3, 3))
    u = rng.normal(size=(len(species), plan.max_count))
    gradient, by_strain = plan.vjp(species, positions, cell, pbc, u, device)
    dG = plan.jvp(species, positions, cell, pbc, v, strain, device)
    left, right = np.nansum(u * dG), np.sum(gradient * v) + np.sum(by_strain * strain)
    scale = np.nansum(np.abs(u * dG)) + 1e-300
    assert abs(left - right) <= 1e-12 * scale


@every_device
@pytest.mark.parametrize("name", STRUCTURES)
def test_devices_agree(name, device):
    parts = arrays(STRUCTURES[name])
    rng = np.random.default_rng(RNG_SEED)
    plan = compiled(4, 0.4)
    v, strain = rng.normal(size=parts[1].shape), rng.normal(size=(3, 3))
    u = rng.normal(size=(len(parts[0]), plan.max_count))
    for operator, arguments in ((plan.evaluate, ()), (plan.vjp, (u,)), (plan.jvp, (v, strain))):
        found, expected = operator(*parts, *arguments, device), operator(*parts, *arguments)
        pairs = zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]
        for a, b in pairs:
            assert_close(np.nan_to_num(a), np.nan_to_num(b), 1e-12, floor=1e-3)


def test_vjp_of_one_function_is_a_row_of_the_jacobian():
    species, positions, cell, pbc = arrays(STRUCTURES["mixed"])
    plan = compiled()
    shape = (len(species), plan.max_count)
    rng = np.random.default_rng(RNG_SEED)
    u = rng.normal(size=shape)
    total = np.zeros_like(positions)
    for column in range(plan.max_count):
        single = np.zeros(shape)
        single[:, column] = u[:, column]
        total += plan.vjp(species, positions, cell, pbc, single)[0]
    assert_close(total, plan.vjp(species, positions, cell, pbc, u)[0], 1e-12)


def rotation(seed=3):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q


@pytest.mark.parametrize("name", STRUCTURES)
@every_device
def test_invariances(device, name):
    atoms = STRUCTURES[name]
    plan = compiled()

    def evaluate(*parts):
        return np.nan_to_num(plan.evaluate(*parts, device))

    species, positions, cell, pbc = arrays(atoms)
    G = evaluate(species, positions, cell, pbc)
    R = rotation()
    order = np.random.default_rng(5).permutation(len(atoms))
    shift = np.array([0.3, -11.0, 7.7])
    assert_close(evaluate(species, positions @ R.T, cell @ R.T, pbc), G, 1e-11)
    assert_close(evaluate(species, positions + shift, cell, pbc), G, 1e-11)
    assert_close(evaluate(species[order], positions[order], cell, pbc), G[order], 1e-12)
    supercell = atoms.repeat([2 if p else 1 for p in atoms.pbc])
    repeated = evaluate(*arrays(supercell))
    assert_close(repeated, np.tile(G, (len(supercell) // len(atoms), 1)), 1e-11)


@every_device
def test_isolated_atoms_have_no_features_and_no_gradient(device):
    species, positions, cell, pbc = arrays(STRUCTURES["isolated pair"])
    plan = compiled()
    u = np.ones((2, plan.max_count))
    assert np.nanmax(np.abs(plan.evaluate(species, positions, cell, pbc, device))) == 0.0
    assert np.abs(plan.vjp(species, positions, cell, pbc, u, device)[0]).max() == 0.0


def moment_functions(cutoff):
    make = _core.SymmetryFunction
    return [
        make(9, center, *pair, eta=eta, rs=rs, lambda_=lam, zeta=zeta, cutoff=rc)
        for center in (0, 1)
        for pair in ((0, 0), (0, 1), (1, 1))
        for eta, rs, rc in ((0.0, 0.0, cutoff), (0.3, 1.5, 0.8 * cutoff))
        for lam in (-1.0, 0.4, 1.0)
        for zeta in (1, 2, 3, 8)
    ]


@pytest.mark.parametrize("kind", [1, 2, 6])
@pytest.mark.parametrize("name", STRUCTURES)
def test_moments_equal_the_loop_over_pairs(name, kind):
    parts = arrays(STRUCTURES[name])
    pairs, moments = (compiled(kind, moments=m, functions=moment_functions(6.0)) for m in ("never", "always"))
    rng = np.random.default_rng(RNG_SEED)
    v, strain = rng.normal(size=parts[1].shape), rng.normal(size=(3, 3))
    u = rng.normal(size=(len(parts[0]), pairs.max_count))
    present = ~np.isnan(pairs.evaluate(*parts))

    def results(plan):
        G, by_strain = plan.evaluate(*parts), plan.vjp(*parts, u)
        return G[present], *by_strain, plan.jvp(*parts, v, strain)[present]

    for a, b in zip(results(pairs), results(moments), strict=True):
        assert_close(a, b, 1e-10, floor=1e-6)


def test_moments_are_chosen_where_they_are_cheaper():
    make = _core.SymmetryFunction
    functions = [
        make(9, 0, 0, 0, eta=0.05, lambda_=lam, zeta=zeta, cutoff=6.0) for lam in (-1, 1) for zeta in (1, 2, 4)
    ]
    assert _core.SymmetryFunctions(1, functions).moments == [6]
    assert _core.SymmetryFunctions(1, functions, moments="never").moments == [0]
    high = [make(9, 0, 0, 0, eta=0.05, lambda_=1, zeta=16, cutoff=6.0)]
    assert _core.SymmetryFunctions(1, functions + high).moments == [0]
    assert _core.SymmetryFunctions(1, high, moments="always").moments == [0]
    short = [make(9, 0, 0, 0, eta=0.05, lambda_=1, zeta=8, cutoff=3.0)]
    assert _core.SymmetryFunctions(1, short).moments == [0]


def test_functions_come_in_the_order_of_n2p2():
    make = _core.SymmetryFunction
    functions = [
        make(9, 0, 1, 0, eta=0.1, lambda_=1, zeta=1, cutoff=5.0),
        make(3, 0, 0, 0, eta=0.2, lambda_=1, zeta=1, cutoff=5.0),
        make(3, 0, 0, 0, eta=0.1, lambda_=1, zeta=2, cutoff=5.0),
        make(3, 0, 0, 0, eta=0.1, lambda_=-1, zeta=2, cutoff=5.0),
        make(2, 0, 1, eta=0.1, rs=1, cutoff=5.0),
        make(2, 0, 0, eta=0.1, rs=1, cutoff=5.0),
        make(2, 0, 0, eta=4.0, cutoff=4.0),
    ]
    plan = _core.SymmetryFunctions(2, functions)
    order = [(f.type, f.cutoff, f.eta, f.lambda_, f.neighbor1, f.neighbor2) for f in plan.functions(0)]
    assert order == [
        (2, 4.0, 4.0, 0, 0, -1),
        (2, 5.0, 0.1, 0, 0, -1),
        (2, 5.0, 0.1, 0, 1, -1),
        (3, 5.0, 0.1, -1, 0, 0),
        (3, 5.0, 0.1, 1, 0, 0),
        (3, 5.0, 0.2, 1, 0, 0),
        (9, 5.0, 0.1, 1, 0, 1),
    ]
    assert plan.count(1) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": 1}, "type is unknown, expected 2, 3, 9, 12"),
        ({"type": 12}, "need the atomic numbers"),
        ({"type": 20, "left": 5.0}, "left must be below the cutoff"),
        ({"type": 21, "angle_left": 90.0, "angle_right": 60.0}, "angles must increase"),
        ({"type": 21, "angle_left": -10.0, "angle_right": 60.0}, "centred at 0 or 180"),
        ({"cutoff": 0.0}, "cutoff must be positive"),
        ({"eta": -1.0}, "eta must not be negative"),
        ({"eta": np.nan}, "not finite"),
        ({"zeta": 0.0}, "zeta must be positive"),
        ({"neighbor2": 7}, "element index"),
    ],
)
def test_bad_functions_are_refused(change, message):
    good = {
        "type": 3,
        "center": 0,
        "neighbor1": 0,
        "neighbor2": 0,
        "eta": 0.1,
        "lambda_": 1.0,
        "zeta": 1.0,
        "cutoff": 5.0,
    }
    with pytest.raises(Error, match=message):
        _core.SymmetryFunctions(1, [_core.SymmetryFunction(**(good | change))])


def test_bad_subtypes_and_atomic_numbers_are_refused():
    with pytest.raises(Error, match='compact function "p5" is unknown'):
        _core.SymmetryFunction(20, 0, 0, cutoff=5.0, subtype="p5")
    with pytest.raises(Error, match="2 atomic numbers for 1 elements"):
        _core.SymmetryFunctions(1, [_core.SymmetryFunction(12, 0, eta=1.0, cutoff=5.0)], atomic_numbers=[1, 2])


def test_bad_alpha_and_species_are_refused():
    functions = [_core.SymmetryFunction(2, 0, 0, eta=0.1, cutoff=5.0)]
    with pytest.raises(Error, match="alpha is 1"):
        _core.SymmetryFunctions(1, functions, 1, 1.0)
    plan = _core.SymmetryFunctions(1, functions)
    with pytest.raises(Error, match="element index 3"):
        plan.evaluate(np.array([3], np.int32), np.zeros((1, 3)), np.eye(3), np.ones(3, bool))


def contraction_plan(kind=1, alpha=0.0, device="cpu"):
    step = 1 if device == "cpu" else 7
    both = [*contractions(0)[::step], *contractions(1)[:: 3 * step]]
    radial = [_core.SymmetryFunction(2, center, 0, eta=0.3, cutoff=4.0) for center in (0, 1)]
    angular = [
        _core.SymmetryFunction(9, center, 0, 1, eta=0.8, rs=2.1, lambda_=-1, zeta=3, cutoff=4.0) for center in (0, 1)
    ]
    return compiled(kind, alpha, moments="always", functions=[*both, *radial, *angular])


@pytest.mark.parametrize("kind", [1, 6])
@pytest.mark.parametrize("name", ["mixed", "cluster"])
@every_device
def test_contractions_equal_the_sums_over_tuples(device, name, kind):
    species, positions, cell, pbc = arrays(STRUCTURES[name])
    plan = contraction_plan(kind, device=device)
    G = plan.evaluate(species, positions, cell, pbc, device)
    i, j, vectors, _ = _core.neighbor_list(positions, cell, pbc, plan.cutoff)
    for atom in range(len(species)):
        mine = i == atom
        functions = plan.functions(species[atom])
        expected = [formula(f, kind, 0.0, species[j[mine]], vectors[mine]) for f in functions]
        for value, right in zip(G[atom], expected, strict=False):
            assert_close(value, right, 1e-11, floor=1e-6)


@pytest.mark.parametrize("name", STRUCTURES)
def test_derivatives_of_contractions_equal_finite_differences(name):
    species, positions, cell, pbc = arrays(STRUCTURES[name])
    plan = contraction_plan()
    rng = np.random.default_rng(RNG_SEED)
    v, strain = rng.normal(size=positions.shape), rng.normal(size=(3, 3)) * 0.3

    def moved(h):
        return plan.evaluate(species, *strained(positions + h * v, cell, h * strain), pbc)

    exact = plan.jvp(species, positions, cell, pbc, v, strain)
    numerical = directional_derivative(moved, 2e-4)
    for k in range(plan.max_count):
        # Odd powers cancel in symmetric environments, where rounding is left.
        assert_close(np.nan_to_num(exact[:, k]), np.nan_to_num(numerical[:, k]), 1e-7, floor=1e-5)


@pytest.mark.parametrize("name", STRUCTURES)
@every_device
def test_each_contractions_vjp_is_adjoint_of_jvp(device, name):
    species, positions, cell, pbc = arrays(STRUCTURES[name])
    plan = contraction_plan(device=device)
    rng = np.random.default_rng(RNG_SEED)
    v, strain = rng.normal(size=positions.shape), rng.normal(size=(3, 3))
    dG = np.nan_to_num(plan.jvp(species, positions, cell, pbc, v, strain, device))
    assert_close(dG, np.nan_to_num(plan.jvp(species, positions, cell, pbc, v, strain)), 1e-12, floor=1e-3)
    for k in range(plan.max_count):
        u = np.zeros(dG.shape)
        u[:, k] = rng.normal(size=len(species))
        gradient, by_strain = plan.vjp(species, positions, cell, pbc, u, device)
        terms = np.concatenate([(gradient * v).ravel(), (by_strain * strain).ravel()])
        assert abs(np.sum(u * dG) - np.sum(terms)) <= 1e-12 * (np.abs(u * dG).sum() + np.abs(terms).sum() + 1e-3)


@pytest.mark.parametrize("name", STRUCTURES)
def test_contractions_are_invariant(name):
    species, positions, cell, pbc = arrays(STRUCTURES[name])
    plan = contraction_plan()
    G = np.nan_to_num(plan.evaluate(species, positions, cell, pbc))
    R = rotation()
    order = np.random.default_rng(5).permutation(len(species))
    mirrored = np.nan_to_num(plan.evaluate(species, -positions @ R.T, -cell @ R.T, pbc))
    permuted = np.nan_to_num(plan.evaluate(species[order], positions[order], cell, pbc))
    for k in range(plan.max_count):
        assert_close(mirrored[:, k], G[:, k], 1e-10, floor=1e-3)
        assert_close(permuted[:, k], G[order, k], 1e-11, floor=1e-3)


def test_contractions_of_atoms_without_neighbors():
    species, positions, cell, pbc = arrays(STRUCTURES["isolated pair"])
    plan = contraction_plan()
    assert np.nanmax(np.abs(plan.evaluate(species, positions, cell, pbc))) == 0.0
    gradient, _ = plan.vjp(species, positions, cell, pbc, np.ones((2, plan.max_count)))
    assert np.abs(gradient).max() == 0.0


def test_one_order_of_shells_that_mean_the_same():
    a, b, c, d = SHELLS[:4]
    same = [
        [ring(0, (2,), [a, b]), ring(0, (2,), [b, a])],
        [ring(0, (2, 1, 0), [a, b, c]), ring(0, (1, 0, 2), [b, c, a]), ring(0, (2, 0, 1), [b, a, c])],
        [ring(0, (3, 2, 1, 0), [a, b, c, d]), ring(0, (1, 0, 3, 2), [c, d, a, b]), ring(0, (1, 2, 3, 0), [d, c, b, a])],
    ]
    for forms in same:
        lines = {compiled(functions=[f]).lines(["O", "Si"]) for f in forms}
        assert len(lines) == 1
    different = [ring(0, (2, 1, 1, 1), [a, b, c, d]), ring(0, (2, 1, 1, 1), [a, b, d, c])]
    assert len({compiled(functions=[f]).lines(["O", "Si"]) for f in different}) == 2


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (ring(0, (7,), [SHELLS[0]] * 2), "sum up to 7, expected at most 6"),
        (ring(0, (4, 3, 0), [SHELLS[0]] * 3), "sum up to 7, expected at most 6"),
        (ring(0, (1.5,), [SHELLS[0]] * 2), "the power p1 is 1.5, expected a whole number"),
        (ring(0, (1, 1, -1), [SHELLS[0]] * 3), "the power p3 is -1, expected a whole number"),
        (ring(0, (1,), [SHELLS[0], (0, -1.0, 0.0)]), "eta must not be negative"),
        (ring(0, (1,), [SHELLS[0], (0, np.nan, 0.0)]), "not finite"),
        (ring(0, (1,), [SHELLS[0], (1, 1.0, 0.0)]), "element index"),
        (ring(0, (1,), [SHELLS[0], (-4, 1.0, 0.0)]), "element index"),
        (ring(0, (1,), [SHELLS[0], (BY_NUMBER, 1.0, 0.0)]), "need the atomic numbers"),
    ],
)
def test_bad_contractions_are_refused(function, message):
    with pytest.raises(Error, match=message):
        _core.SymmetryFunctions(1, [function])
