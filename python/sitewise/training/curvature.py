"""The curvature of the loss: a sampled Gauss-Newton matrix, which is made, or kept as its rows where these are few."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.linalg

from .._core import Error
from ..structures import Floats, Floats32

Product = Callable[[Floats], Floats]  # of a matrix [n, n] and a vector [n]
Factor = tuple[Floats, bool]

NOT_FINITE = "the Gauss-Newton matrix has no Cholesky factor, its values are not finite"


class Curvature(Protocol):
    """A symmetric matrix [n, n] without negative eigenvalues. It is damped by a multiple of its mean diagonal element,
    which is added to the diagonal before it is inverted."""

    def inverse(self, damping: float) -> Product:
        """Return the product of the damped matrix's inverse and a vector, made for many vectors.

        Raises
        ------
        Error
            The matrix is not finite.
        """

    def solve(self, damping: float, vector: Floats) -> Floats:
        """Return this product for a single vector [n]."""


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """A matrix as its elements [n, n]. It is damped more if rounding errors make it indefinite."""

    matrix: Floats

    def inverse(self, damping: float) -> Product:
        inverted = _inverse(_damped_factor(self.matrix, damping))
        return lambda x: (inverted @ x.astype(np.float32)).astype(np.float64)

    def solve(self, damping: float, vector: Floats) -> Floats:
        solution: Floats = scipy.linalg.cho_solve(_damped_factor(self.matrix, damping), vector, check_finite=False)
        return solution


@dataclass(frozen=True, slots=True, eq=False)
class FewRows:
    """J^T J + diag(ridge) as the rows of J [m, n], for m < n. It needs memory for m (m + n) numbers and not for n^2.

    With D the damped diagonal and A = J D^-1/2, the inverse is D^-1/2 (1 - A^T (1 + A A^T)^-1 A) D^-1/2. Source:
    M. A. Woodbury, Memorandum Report 42, Statistical Research Group, Princeton (1950).
    """

    rows: Floats32
    ridge: Floats

    def inverse(self, damping: float) -> Product:
        trace = np.einsum("ij,ij->", self.rows, self.rows, dtype=np.float64) + self.ridge.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            root = 1 / np.sqrt(self.ridge + damping * trace / self.ridge.size)
            A = self.rows * root
        try:
            factor: Factor = scipy.linalg.cho_factor(np.eye(len(A)) + A @ A.T, lower=True, overwrite_a=True)
        except (np.linalg.LinAlgError, ValueError):
            raise Error(NOT_FINITE) from None

        def product(x: Floats) -> Floats:
            x = root * x
            result: Floats = root * (x - A.T @ scipy.linalg.cho_solve(factor, A @ x, check_finite=False))
            return result

        return product

    def solve(self, damping: float, vector: Floats) -> Floats:
        return self.inverse(damping)(vector)


def _damped_factor(matrix: Floats, damping: float) -> Factor:
    """Return the Cholesky factor of a matrix plus `damping` times its mean diagonal element, or more where rounding
    errors make that indefinite.

    Raises
    ------
    Error
        The matrix is not finite.
    """
    diagonal = np.diag_indices_from(matrix)
    mean = float(np.mean(matrix[diagonal]))
    for _ in range(20):
        damped = matrix.copy(order="F")
        damped[diagonal] += damping * mean
        try:
            factor: Factor = scipy.linalg.cho_factor(damped, lower=True, overwrite_a=True, check_finite=True)
        except (np.linalg.LinAlgError, ValueError):
            damping *= 4
        else:
            return factor
    raise Error(NOT_FINITE)


def _inverse(factor: Factor) -> Floats32:
    """Return the inverse of a matrix from its Cholesky factor, which is overwritten, in single precision: the speed of
    its products is that of reading it."""
    lower, info = scipy.linalg.lapack.dpotri(factor[0], lower=1, overwrite_c=1)
    if info:
        raise Error("the Gauss-Newton matrix cannot be inverted")
    result: Floats32 = np.tril(lower.astype(np.float32))
    result += np.tril(result, -1).T
    return result
