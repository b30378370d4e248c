"""Activations: one row of the operation table each; parameters (slopes, bounds) are run-time
numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from ... import engine
from ...base.shape import wrap_dim
from ...engine import Tensor, apply
from ...graph.op import Op
from ...graph.ops import activations as rows
from ...graph.ops import elementwise as ew
from ...graph.ops import normalised
from ...random import default_generator, draws
from ...tensor.convert import cast
from ...tensor.install import refuse
from ...tensor.kinds import contiguous_format
from ...tensor.shape import laid_out

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def _bend(op: Op, x: Any, *numbers: float, inplace: bool = False) -> Tensor:
    """``op(x, ...)``, written back into ``x`` when in place."""
    if not inplace:
        return apply(op, x, *numbers)
    engine.check_inplace(x)
    return engine.settle(f"{op.name}_", x, apply(op, x, *numbers))


def _own_kind(x: Tensor, a: float, b: float) -> tuple[float, float]:
    """Two numbers as what the elements are: integers stay integers."""
    return (float(a), float(b)) if x.dtype.rank > 1 else (int(a), int(b))


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(x, 0)``."""
    return _bend(ew.relu, input, inplace=True) if inplace else input.relu()


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """``x`` where positive, ``negative_slope * x`` elsewhere."""
    return _bend(rows.leaky_relu, input, float(negative_slope), inplace=inplace)


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Leaky relu with slopes drawn from [lower, upper) in training, their mean otherwise."""
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    if not training:
        out = leaky_relu(input, (lower + upper) / 2, inplace)
        return out if inplace else laid_out(out, contiguous_format)
    if inplace:
        engine.check_inplace(input)
    slopes = draws.rrelu_slopes(default_generator, engine.read(input), lower, upper)
    out = input * engine.own_array(slopes, input.dtype, input.device)
    return engine.settle("rrelu_", input, out) if inplace else laid_out(out, contiguous_format)


def rrelu_(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """``rrelu`` in place."""
    return rrelu(input, lower, upper, training, inplace=True)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``x`` where positive, ``alpha * (exp(x) - 1)`` elsewhere."""
    return _bend(rows.elu, input, float(alpha), 1.0, 1.0, inplace=inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Elu scaled so that mean 0 and variance 1 are kept."""
    return _bend(rows.elu, input, SELU_ALPHA, SELU_SCALE, 1.0, inplace=inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``x`` where positive, ``alpha * (exp(x / alpha) - 1)`` elsewhere."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return _bend(rows.elu, input, float(alpha), 1.0, 1.0 / alpha, inplace=inplace)


def gelu(input: Tensor, *, approximate: str = "none") -> Tensor:
    """``x`` times the normal distribution's ``P(X <= x)``; ``approximate="tanh"``: by a tanh."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return apply(rows.gelu if approximate == "none" else rows.gelu_tanh, input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``x * sigmoid(x)``."""
    return _bend(rows.silu, input, inplace=inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """``x * tanh(softplus(x))``."""
    return _bend(rows.mish, input, inplace=inplace)


def sigmoid(input: Tensor) -> Tensor:
    """``1 / (1 + exp(-x))``."""
    return input.sigmoid()


def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return input.tanh()


def logsigmoid(input: Tensor) -> Tensor:
    """``log(sigmoid(x))``, without overflow."""
    return laid_out(apply(rows.log_sigmoid, input), contiguous_format)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta * x)) / beta``; ``x`` itself where ``beta * x`` is above ``threshold``."""
    return apply(rows.softplus, input, float(beta), float(threshold))


def softsign(input: Tensor) -> Tensor:
    """``x / (1 + |x|)``."""
    return apply(rows.softsign, input)


def tanhshrink(input: Tensor) -> Tensor:
    """``x - tanh(x)``."""
    return apply(rows.tanhshrink, input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """``x`` moved towards 0 by ``lambd``, 0 within."""
    if lambd < 0:
        raise RuntimeError(
            f"lambda must be in range [0, 3.40282e+38] for input dtype {input.dtype.typename}, "
            f"but found {lambd:g}"
        )
    return apply(rows.softshrink, input, float(lambd))


def hardtanh(
    input: Tensor,
    min_val: float = -1.0,
    max_val: float = 1.0,
    inplace: bool = False,
) -> Tensor:
    """``x`` kept within [min_val, max_val]."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if input.dtype.kind == "u" and min_val < 0:
        raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
    low, high = _own_kind(input, min_val, max_val)
    return _bend(rows.hardtanh, input, low, high, inplace=inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """``x`` kept within [0, 6]."""
    return hardtanh(input, 0.0, 6.0, inplace)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """``relu6(x + 3) / 6``."""
    return _bend(rows.hardsigmoid, input, inplace=inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """``x * relu6(x + 3) / 6``."""
    return _bend(rows.hardswish, input, inplace=inplace)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """``x`` where above ``threshold``, ``value`` elsewhere."""
    at, other = _own_kind(input, threshold, value)
    return _bend(rows.threshold, input, at, other, inplace=inplace)


_threshold = threshold  # what PyTorch's own tables call it by


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along ``dim`` times the sigmoid of the second."""
    x: Any = input
    if len(x.shape) == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    dim = wrap_dim(dim, len(x.shape))
    size = x.shape[dim]
    if size % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {size}")
    refuse(x, "bui", "\"glu_cpu\" not implemented for '{type}'")
    half = size // 2
    return apply(rows.gated, x.narrow(dim, 0, half), x.narrow(dim, half, half))


# ---------------------------------------------------------------- along a dimension
def _implicit_dim(name: str, dims: int) -> int:
    """The dimension PyTorch takes when none is given, with its warning."""
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include "
        "dim=X as an argument.",
        UserWarning,
        stacklevel=4,
    )
    return 0 if dims in (0, 1, 3) else 1


def _softened(name: str, op: Op, x: Tensor, dim: int | None, dtype: Any) -> Tensor:
    n = len(x.shape)
    dim = _implicit_dim(name, n) if dim is None else dim
    if not -max(n, 1) <= dim < max(n, 1):
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-max(n, 1)}, {max(n, 1) - 1}], "
            f"but got {dim})"
        )
    if dtype is not None:
        x = cast(x, dtype)
    return apply(op, x, arg=dim % max(n, 1))


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """``exp(x) / sum(exp(x))`` along ``dim``."""
    return _softened("softmax", normalised.softmax, input, dim, dtype)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """``softmax(-x)``."""
    return _softened("softmin", normalised.softmax, -input, dim, dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """``log(softmax(x))``, without overflow."""
    return _softened("log_softmax", normalised.log_softmax, input, dim, dtype)


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A sample of the Gumbel-softmax distribution; ``hard``: one-hot, with the soft sample's
    gradient.
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    x: Any = logits
    noise = draws.exponential(default_generator, tuple(x.shape), 1.0, x.dtype.numpy)
    gumbels = -engine.own_array(noise, x.dtype, x.device).log()  # type: ignore[attr-defined]
    soft: Any = softmax((x + gumbels) / tau, dim)
    if not hard:
        return soft  # type: ignore[no-any-return]
    index = soft.max(dim, keepdim=True)[1]
    one = soft.detach() * 0.0
    one = one.scatter(dim, index, 1.0)
    return one - soft.detach() + soft  # type: ignore[no-any-return]


def _inplace(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def write(input: Tensor, *args: Any) -> Tensor:
        return f(input, *args, inplace=True)

    write.__name__ = write.__qualname__ = f"{f.__name__}_"
    write.__doc__ = f"``{f.__name__}`` in place."
    return write


relu_ = _inplace(relu)
leaky_relu_ = _inplace(leaky_relu)
elu_ = _inplace(elu)
selu_ = _inplace(selu)
celu_ = _inplace(celu)
hardtanh_ = _inplace(hardtanh)
threshold_ = _inplace(threshold)
