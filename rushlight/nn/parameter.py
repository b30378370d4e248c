"""``Parameter``: a tensor that a module registers; ``Buffer``: one that it keeps beside them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

from .. import engine
from ..base import dtype as dt
from ..base.device import CPU
from ..engine import Tensor


def _empty() -> Tensor:
    kind = dt.Defaults.float
    return engine.from_array(np.empty(0, kind.numpy), kind, CPU)


def _take_over(handle: Tensor, data: Tensor, requires_grad: bool) -> None:
    """Make ``handle``, fresh and of a subclass, a leaf on the memory of ``data``."""
    leaf = engine.become(Tensor, data, requires_grad)
    Tensor.__init__(handle, leaf.rec, 0)
    handle.st = leaf.st
    handle.fam = leaf.fam


class Parameter(Tensor):
    """A tensor that is part of a module: ``parameters()`` finds it, optimisers change it.

    Shares its memory with ``data``.  Raises ``RuntimeError`` when an integer tensor is to have a
    gradient.
    """

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        if data is None:
            data = _empty()
        elif not isinstance(data, Tensor):
            raise TypeError(f"Parameter: data must be a Tensor, not {type(data).__name__}")
        if requires_grad and data.dtype.rank < 2:
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients"
            )
        _take_over(self, data, requires_grad)

    def __repr__(self) -> str:
        return "Parameter containing:\n" + Tensor.__repr__(self)

    __str__ = __repr__

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) in memo:
            return memo[id(self)]  # type: ignore[no-any-return]
        own: Any = self
        out = type(self)(own.detach().clone(), self.requires_grad)
        memo[id(self)] = out
        return out

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        own: Any = self
        return rebuild_parameter, (
            own.detach(),
            self.requires_grad,
            OrderedDict(),
            dict(self.__dict__),
        )


def rebuild_parameter(
    data: Tensor, requires_grad: bool, hooks: Any, state: dict[str, Any] | None = None
) -> Parameter:
    """A parameter out of a pickle."""
    out = Parameter(data, requires_grad)
    out.__dict__.update(state or {})
    return out


class Buffer(Tensor):
    """A tensor that a module keeps and saves, without being a parameter.

    Assigned as an attribute it is registered; ``persistent=False`` keeps it out of ``state_dict``.
    """

    persistent: bool

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        data = _empty() if data is None else data
        _take_over(self, data, data.requires_grad)
        self.persistent = persistent


class UninitializedTensorMixin:
    """What lazy modules hold until they know their sizes."""


def is_lazy(param: Any) -> bool:
    """Does the tensor still wait for its shape?"""
    return isinstance(param, UninitializedTensorMixin)
