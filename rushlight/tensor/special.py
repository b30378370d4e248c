"""`torch.special`, and the functions of `torch` that are near it: gamma functions, parts of floats.

`rushlight.special` shows what `SPECIAL` holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.engine import Tensor
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import special as rows
from rushlight.tensor import shape as sh
from rushlight.tensor.install import (
    FUNCTIONS,
    both,
    function,
    give,
    integer,
    named,
    need_tensor,
    operand,
    result_type,
    row,
)
from rushlight.tensor.math import inplace_of

apply: Callable[..., Tensor] = engine.apply

SPECIAL: Final[dict[str, Any]] = {}  # the functions of `torch.special`

# torch.special's name -> torch's
SHARED: Final[dict[str, str]] = {
    "digamma": "digamma", "psi": "digamma", "erf": "erf", "erfc": "erfc", "erfinv": "erfinv",
    "exp2": "exp2", "expit": "sigmoid", "expm1": "expm1", "gammaln": "lgamma", "i0": "i0",
    "log1p": "log1p", "log_softmax": "log_softmax", "logit": "logit", "logsumexp": "logsumexp",
    "round": "round", "sinc": "sinc", "softmax": "softmax", "xlogy": "xlogy",
    "gammainc": "igamma", "gammaincc": "igammac",
}  # fmt: skip
UNARY: Final = (
    "entr erfcx i0e i1 i1e ndtr ndtri log_ndtr bessel_j0 bessel_j1 bessel_y0 bessel_y1 "
    "modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 airy_ai "
    "scaled_modified_bessel_k0 scaled_modified_bessel_k1 spherical_bessel_j0"
)
BINARY: Final = (
    "xlog1py zeta chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v "
    "chebyshev_polynomial_w shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u "
    "shifted_chebyshev_polynomial_v shifted_chebyshev_polynomial_w hermite_polynomial_h "
    "hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p"
)


def _unary(name: str, op: Any) -> Any:
    def f(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        need_tensor(input, f"special_{name}")
        return give(apply(op, input), out, f"special_{name}")

    f.__doc__ = f"`{name}` of every element."
    return named(f, name)


def _binary(name: str, op: Any) -> Any:
    def f(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
        x, y = operand(input, name, "input", 1), operand(other, name)
        if not isinstance(x, Tensor):
            need_tensor(y, name, "other", 2)
        return give(apply(op, x, y), out, f"special_{name}")

    f.__doc__ = f"`{name}` of every pair of elements; shapes broadcast."
    return named(f, name)


for _name in UNARY.split():
    SPECIAL[_name] = _unary(_name, row(_name))
for _name in BINARY.split():
    SPECIAL[_name] = _binary(_name, row(_name))
for _name, _of in SHARED.items():
    SPECIAL[_name] = FUNCTIONS[_of]


# ---------------------------------------------------------------- gamma functions
def _polygamma(n: Any, x: Any, name: str) -> Tensor:
    if isinstance(n, bool):
        raise TypeError(f"{name}(): argument 'n' (position 1) must be int, not bool")
    order = integer(n, name, "n", 1)
    need_tensor(x, name, "input", 2)
    if order < 0:
        raise RuntimeError(f"{name}(n, x) does not support negative n.")
    return apply(rows.polygamma, x, arg=order)


@function()
def polygamma(n: int, input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The `n`-th derivative of the digamma function."""
    return give(_polygamma(n, input, "polygamma"), out, "polygamma")


def _polygamma_method(self: Tensor, n: int) -> Tensor:
    """The `n`-th derivative of the digamma function."""
    return _polygamma(n, self, "polygamma")


setattr(Tensor, "polygamma", named(_polygamma_method, "polygamma", "Tensor."))
inplace_of("polygamma_", _polygamma_method)
SPECIAL["polygamma"] = polygamma


@both("mvlgamma")
def mvlgamma(input: Tensor, p: int, *, out: Tensor | None = None) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension `p`."""
    need_tensor(input, "mvlgamma")
    x = input if input.dtype.rank > 1 else apply(ew.cast, input, arg=dt.Defaults.float)
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    lines = sh.unsqueeze(x, -1)
    halves = engine.own_array(_halves(p, x.dtype.numpy), x.dtype, x.device)
    terms = apply(rows.lgamma, apply(ew.add, lines, halves))
    total = apply(SUM, terms, arg=((len(x.shape),), False))
    return give(total + p * (p - 1) / 4 * math.log(math.pi), out, "mvlgamma")


def _halves(p: int, kind: Any) -> Any:
    import numpy as np

    return (np.arange(p) * -0.5).astype(kind)


SUM: Any = row("sum")
inplace_of("mvlgamma_", mvlgamma)
SPECIAL["multigammaln"] = mvlgamma


# ---------------------------------------------------------------- parts of floats
frexp_result = result_type("frexp", "mantissa exponent")


@both()
def frexp(input: Tensor, *, out: Any = None) -> Any:
    """Mantissas in [0.5, 1) and exponents of 2."""
    need_tensor(input, "frexp")
    if input.dtype.rank < 2:
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    found = apply(rows.mantissa, input), apply(rows.exponent, engine.detach(input))
    if out is not None:
        found = give(found[0], out[0], "frexp"), give(found[1], out[1], "frexp")
    return frexp_result(*found)


@both()
def ldexp(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`input * 2 ** other`."""
    need_tensor(input, "ldexp")
    need_tensor(other, "ldexp", "other", 2)
    power = apply(ew.pow_, 2.0, other)
    return give(apply(ew.mul, input, power), out, "ldexp")


inplace_of("ldexp_", ldexp)
