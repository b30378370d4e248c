"""The functions of the public namespace that the formulas of distributions are written in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from rushlight import engine
from rushlight.graph.op import TABLE
from rushlight.tensor import FUNCTIONS
from rushlight.tensor.matrices import LINALG

if TYPE_CHECKING:
    # the methods that formulas use are attached when the package loads: no checker sees them
    Tensor: TypeAlias = Any
else:
    Tensor = engine.Tensor

Function = Callable[..., Tensor]

arange: Function = FUNCTIONS["arange"]
bernoulli: Function = FUNCTIONS["bernoulli"]
broadcast_tensors: Callable[..., Any] = FUNCTIONS["broadcast_tensors"]
cat: Function = FUNCTIONS["cat"]
clamp: Function = FUNCTIONS["clamp"]
diag_embed: Function = FUNCTIONS["diag_embed"]
empty: Function = FUNCTIONS["empty"]
eye: Function = FUNCTIONS["eye"]
full: Function = FUNCTIONS["full"]
full_like: Function = FUNCTIONS["full_like"]
lgamma: Function = FUNCTIONS["lgamma"]
log_softmax: Function = FUNCTIONS["log_softmax"]
multinomial: Function = FUNCTIONS["multinomial"]
mvlgamma: Function = FUNCTIONS["mvlgamma"]
ones_like: Function = FUNCTIONS["ones_like"]
poisson: Function = FUNCTIONS["poisson"]
rand: Function = FUNCTIONS["rand"]
randn: Function = FUNCTIONS["randn"]
softmax: Function = FUNCTIONS["softmax"]
stack: Function = FUNCTIONS["stack"]
tensor: Function = FUNCTIONS["tensor"]
where: Function = FUNCTIONS["where"]
xlogy: Function = FUNCTIONS["xlogy"]
zeros: Function = FUNCTIONS["zeros"]
zeros_like: Function = FUNCTIONS["zeros_like"]

cholesky: Function = LINALG["cholesky"]
cholesky_ex: Callable[..., Any] = LINALG["cholesky_ex"]
eigvalsh: Function = LINALG["eigvalsh"]
slogdet: Callable[..., Any] = LINALG["slogdet"]
solve_triangular: Function = LINALG["solve_triangular"]


def is_tensor(x: Any) -> bool:
    """Whether it is a tensor."""
    return isinstance(x, engine.Tensor)


def log_sigmoid(x: Tensor) -> Tensor:
    """log of the logistic function."""
    return engine.apply(TABLE["log_sigmoid"], x)


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x))."""
    return -log_sigmoid(-x)


def pad_front(x: Tensor, value: float) -> Tensor:
    """A number before the last dimension's first."""
    return cat([full_like(x[..., :1], value), x], dim=-1)


def pad_back(x: Tensor, value: float) -> Tensor:
    """A number behind the last dimension's last."""
    return cat([x, full_like(x[..., :1], value)], dim=-1)
