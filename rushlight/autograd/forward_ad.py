"""Forward-mode derivatives: dual numbers, made with two backward passes.

    with forward_ad.dual_level():
        x = forward_ad.make_dual(primal, tangent)
        y = f(x)
        tangent = forward_ad.unpack_dual(y).tangent

There is no forward pass of tangents.  The gradient of `y` is linear in the vector it is multiplied
with, so the gradient of that product is the tangent: the same derivative, from the same rules, and
exact wherever these can be differentiated twice.  Seen from outside a dual number therefore
`requires_grad`, and operations under `no_grad` stop tangents, as `detach` does.  Custom functions
need a `backward` that can be differentiated; their `jvp` is not called.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, NamedTuple

from rushlight import engine
from rushlight.autograd.engine import grad
from rushlight.autograd.grad_mode import _Mode
from rushlight.engine import Tensor
from rushlight.engine.keeping import history_of, leads_to
from rushlight.tensor.convert import clone, detach, requires_grad_
from rushlight.tensor.creation import zeros_like

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]


class UnpackedDualTensor(NamedTuple):
    """A tensor and its tangent; None where it has none."""

    primal: Tensor
    tangent: Tensor | None


class _Level:
    """The dual numbers of one level: where their derivatives are taken, and their tangents."""

    def __init__(self) -> None:
        self.places: list[Tensor] = []
        self.tangents: list[Tensor] = []


LEVELS: Final[list[_Level]] = []


def enter_dual_level() -> int:
    """Enter a level, whose number is returned.  There is one at a time."""
    if LEVELS:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    LEVELS.append(_Level())
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """Leave the level: its tangents are forgotten."""
    if not LEVELS or level not in (None, 0):
        raise RuntimeError("Trying to exit a forward AD level that was not the last one that was "
                           "created. This is not supported.")  # fmt: skip
    LEVELS.pop()


class dual_level(_Mode):
    """A level for a `with` block, or for each call of a function."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        exit_dual_level()


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """`tensor` with a tangent of the same shape and type."""
    if not LEVELS:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to "
            "enter_dual_level() first."
        )
    for name, x in (("primal", tensor), ("tangent", tangent)):
        if x.dtype.rank < 2:
            raise ValueError(f"Expected {name} to be floating point or complex, but got: {x.dtype}")
    if tuple(tensor.shape) != tuple(tangent.shape):
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original "
            f"Tensor, this is not supported. Tensor is of size {list(tensor.shape)} while the "
            f"given forward gradient is of size {list(tangent.shape)}."
        )
    if tensor.dtype is not tangent.dtype:
        raise RuntimeError(f"Expected a tangent of type {tensor.dtype}, but got {tangent.dtype}")
    if not engine.is_grad_enabled():
        raise RuntimeError(
            "make_dual: tangents are derivatives of what is recorded; leave torch.no_grad() first"
        )
    own = LEVELS[-1]
    place = clone(tensor) if tensor.requires_grad else requires_grad_(clone(detach(tensor)))
    own.places.append(place)
    own.tangents.append(tangent)
    return clone(place)


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """A tensor and the tangent that the level's dual numbers give it."""
    if not LEVELS or not tensor.requires_grad:
        return UnpackedDualTensor(tensor, None)
    own = LEVELS[-1]
    before = engine.set_grad_enabled(True)
    try:
        tangent = _tangent(own, tensor)
        alone = {id(history_of(p)) for p in own.places}
        return UnpackedDualTensor(_free(tensor, alone), tangent)
    finally:
        engine.set_grad_enabled(before)


def _tangent(own: _Level, y: Any) -> Tensor | None:
    if not own.places:
        return None
    weight = requires_grad_(zeros_like(detach(y)))
    slopes: Any = grad(y, own.places, weight, create_graph=True, allow_unused=True)
    if all(g is None for g in slopes):
        return None
    total: Any = None
    for g, t in zip(slopes, own.tangents):
        if g is not None and g.requires_grad:
            part: Any = g * t if not g.dtype.is_complex else (g.conj() * t).real
            total = part.sum() if total is None else total + part.sum()
    if total is None:
        return zeros_like(detach(y))  # type: ignore[no-any-return]
    (found,) = grad(total, weight, create_graph=True, allow_unused=True)
    if found is None:
        return zeros_like(detach(y))  # type: ignore[no-any-return]
    return _free(found, {id(history_of(x)) for x in (weight, *own.places)})


def _free(x: Tensor, alone: set[int]) -> Tensor:
    """`x` without history when that leads to nothing but `alone`."""
    engine.flush()
    leaves = {k for k in leads_to(x) if not isinstance(k, tuple)}
    return x if leaves - alone else detach(x)
