"""``Parameter``: a tensor that a module registers; ``Buffer``: one that it keeps beside them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, ClassVar

import numpy as np

from .. import engine
from ..base import dtype as dt
from ..base.device import CPU
from ..engine import Tensor
from ..tensor.creation import empty


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
    """What lazy modules hold until they know their sizes: a dtype and a device, no shape yet."""

    cls_to_become: ClassVar[type[Any]]

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary tensor of ``shape``, in place; its values are not set."""
        own: Any = self
        own.data = empty(tuple(shape), device=device or own.device, dtype=dtype or own.dtype)
        own.__class__ = self.cls_to_become

    @property
    def shape(self) -> Any:
        """Not known yet: ``RuntimeError``."""
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. "
            "This error usually happens in `load_state_dict` when trying to load "
            "an uninitialized parameter into an initialized one. "
            "Call `forward` to initialize the parameters before accessing their attributes."
        )

    def share_memory_(self) -> Any:
        """Nothing to share yet: ``RuntimeError``."""
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. "
            "Call `forward` to initialize the parameters before calling "
            "`module.share_memory()`."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    __str__ = __repr__

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        own: Any = self
        return type(self), (own.requires_grad,)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        own: Any = self
        if id(self) not in memo:
            kind: Any = type(self)
            memo[id(self)] = kind(own.requires_grad, device=own.device, dtype=own.dtype)
        return memo[id(self)]


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter that has no shape until ``materialize``, which makes it a ``Parameter``."""

    cls_to_become = Parameter

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        _take_over(self, empty((0,), device=device, dtype=dtype), requires_grad)


class UninitializedBuffer(UninitializedTensorMixin, Buffer):
    """A buffer that has no shape until ``materialize``, which makes it a ``Buffer``."""

    cls_to_become = Buffer

    def __init__(
        self,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> None:
        _take_over(self, empty((0,), device=device, dtype=dtype), requires_grad)
        self.persistent = persistent


def is_lazy(param: Any) -> bool:
    """Does the tensor still wait for its shape?"""
    return isinstance(param, UninitializedTensorMixin)
