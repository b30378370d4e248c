"""Gradients that meet: dense ones are added, scattered ones (sparse tensors) say themselves how."""

from __future__ import annotations

from typing import Any, Final

from mypy_extensions import mypyc_attr

from ..graph.op import TABLE, Spec
from .core import Tensor
from .handles import base_rec, needs_grad
from .record import apply, inplace, set_grad_enabled

ADD: Final = TABLE["add"]
MET: Final[list[bool]] = []  # has there been a scattered tensor?


@mypyc_attr(allow_interpreted_subclasses=True)
class Scattered(Tensor):
    """A tensor that is no dense memory: shape, type and device, but nothing to be recorded on.

    Only gradients meet them here; what they hold and how they are added, a layer above says.
    """

    def __init__(self, shape: Any, dtype: Any, device: Any) -> None:
        super().__init__(base_rec(Spec(tuple(shape), dtype, None, device)), 0)
        if not MET:
            MET.append(True)

    def plus(self, other: Tensor) -> Tensor:
        """``self + other``, as a new tensor."""
        raise NotImplementedError

    def gather(self, other: Scattered) -> None:
        """``self += other``."""
        raise NotImplementedError

    def pour(self, into: Tensor) -> None:
        """``into += self``, where ``into`` is dense."""
        raise NotImplementedError

    def handed(self) -> Tensor:
        """Another handle on the same values: what a leaf keeps as its gradient."""
        raise NotImplementedError

    def filled(self) -> Tensor:
        """The same, dense."""
        raise NotImplementedError


def plus(a: Tensor, b: Tensor) -> Tensor:
    """``a + b`` of two gradients."""
    if isinstance(a, Scattered):
        return a.plus(b)
    if isinstance(b, Scattered):
        return b.plus(a)
    return apply(ADD, (a, b), None)


def summed(have: Tensor | None, h: Tensor, create: bool) -> Tensor:
    """What a leaf's gradient ``have`` is when ``h`` comes to it; in place unless it is
    differentiated again."""
    if isinstance(h, Scattered):
        if have is None:
            return h.handed()
        if create:
            return plus(have, h)
        if isinstance(have, Scattered):
            have.gather(h)
            return have
        was = set_grad_enabled(False)
        try:
            h.pour(have)
        finally:
            set_grad_enabled(was)
        return have
    if have is None:
        return h
    if isinstance(have, Scattered):
        return have.plus(h)
    if create:
        return apply(ADD, (have, h), None)
    if not needs_grad(have) and not needs_grad(h):
        inplace(ADD, have, (h,), None)
        return have
    was = set_grad_enabled(False)
    try:
        inplace(ADD, have, (h,), None)
    finally:
        set_grad_enabled(was)
    return have


def meets_scattered(groups: list[dict[str, Any]]) -> bool:
    """Has a parameter of an optimiser's groups a scattered gradient?"""
    for group in groups:
        for p in group["params"]:
            if isinstance(p.grad, Scattered):
                return True
    return False
