"""What Python asks of a tensor: text, length, truth, numbers, iteration, copies, pickles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.base.dtype import by_name
from rushlight.base.shape import contiguous_strides, is_dense
from rushlight.engine import Tensor
from rushlight.engine.leaves import entered
from rushlight.graph.ops import movement
from rushlight.tensor import display
from rushlight.tensor import shape as sh
from rushlight.tensor.convert import cast, clone
from rushlight.tensor.history import grad_fn
from rushlight.tensor.install import integer, method, place, strides

Tensor.__module__ = "torch"


# ---------------------------------------------------------------- text
def parameter_like(kind: type) -> bool:
    """Whether a class prints as `tensor(...)`: Tensor itself and nn.Parameter."""
    return kind is Tensor or kind.__name__ == "Parameter"


@method("__repr__")
def __repr__(self: Tensor, *, tensor_contents: Any = None) -> str:
    """PyTorch's text; pending work runs."""
    name = "tensor" if parameter_like(type(self)) else type(self).__name__
    made = grad_fn(self)
    return display.tensor_text(
        engine.read(self),
        self.dtype,
        device=self.device,
        requires_grad=self.requires_grad,
        grad_fn=None if made is None else made.name().rpartition("::")[2],
        name=name,
    )


@method("__str__")
def __str__(self: Tensor) -> str:
    """What `repr` says: of a subclass with a text of its own, that one."""
    return repr(self)


@method("__format__")
def __format__(self: Tensor, spec: str) -> str:
    """A tensor without dimensions formats as its number."""
    if not self.shape and type(self) is Tensor:
        return format(engine.item(self), spec)
    return object.__format__(self, spec)


# ---------------------------------------------------------------- one element
@method("__bool__")
def __bool__(self: Tensor) -> bool:
    """The truth of the one element; `RuntimeError` for several or none."""
    n = self.shape.numel()
    if n != 1:
        if n == 0:
            raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
        raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
    return bool(engine.item(self))


def _converter(kind: Any, words: str) -> Any:
    def convert(self: Tensor) -> Any:
        if self.shape.numel() != 1:
            raise ValueError(f"only one element tensors can be converted to Python {words}")
        if not _TOLD and self.requires_grad:
            _tell()
        return kind(engine.item(self))

    return convert


_TOLD: Final[list[bool]] = []


def _tell() -> None:
    """Once in a process, as PyTorch: a number has no gradient."""
    _TOLD.append(True)
    import warnings

    warnings.warn(
        "Converting a tensor with requires_grad=True to a scalar may lead to unexpected "
        "behavior.\nConsider using tensor.detach() first.",
        UserWarning,
        stacklevel=3,
    )


for _name, _kind in (("__int__", int), ("__float__", float)):
    setattr(Tensor, _name, _converter(_kind, "scalars"))


@method("__index__")
def __index__(self: Tensor) -> int:
    """An integer tensor of one element as an index."""
    if self.dtype.rank > 1 or self.shape.numel() != 1:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return integer(self, "__index__", "self")


# ---------------------------------------------------------------- sequences
@method("__len__")
def __len__(self: Tensor) -> int:
    """The size of the first dimension; `TypeError` without one."""
    if not self.shape:
        raise TypeError("len() of a 0-d tensor")
    return self.shape[0]  # type: ignore[no-any-return]


@method("__iter__")
def __iter__(self: Tensor) -> Iterator[Tensor]:
    """Views along the first dimension."""
    if not self.shape:
        raise TypeError("iteration over a 0-d tensor")
    look = sh.look
    return iter([look(movement.select, self, (0, i)) for i in range(self.shape[0])])


@method("__reversed__")
def __reversed__(self: Tensor) -> Tensor:
    """The tensor with its first dimension reversed."""
    return self if not self.shape else sh.flip(self, 0)


@method("__contains__")
def __contains__(self: Tensor, element: Any) -> bool:
    """Whether any element equals a number or a tensor."""
    if isinstance(element, Tensor | float | int | complex):
        value = engine.read(element) if isinstance(element, Tensor) else element
        return bool((engine.read(self) == value).any())
    raise RuntimeError(
        f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}."
    )


@method("__dir__")
def __dir__(self: Tensor) -> list[str]:
    """All attributes."""
    return sorted(set(dir(type(self))))


# ---------------------------------------------------------------- copies
@method("__copy__")
def __copy__(self: Tensor) -> Tensor:
    """Another handle on the same memory."""
    if self.requires_grad and engine.is_leaf(self):
        return engine.become(type(self), self, True)  # type: ignore[no-any-return]
    return sh.look(movement.view, self, tuple(self.shape)) if _plain(self) else clone(self)


def _plain(x: Tensor) -> bool:
    return strides(x) == contiguous_strides(tuple(x.shape))


@method("__deepcopy__")
def __deepcopy__(self: Tensor, memo: dict[int, Any]) -> Any:
    """A leaf with a copy of the values and of the gradient; `RuntimeError` for a non-leaf."""
    have = memo.get(id(self))
    if have is not None:
        return have
    if not engine.is_leaf(self):
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol at the moment.  If you were attempting to deepcopy a module, this may be "
            "because of a torch.nn.utils.weight_norm usage, see "
            "https://github.com/pytorch/pytorch/pull/103001"
        )
    wants = self.requires_grad
    made = _copied(self, memo, wants)
    if type(self) is not Tensor:
        made = engine.become(type(self), made, wants)
        state = getattr(self, "__dict__", None)
        if state:
            made.__dict__.update({k: _deep(v, memo) for k, v in state.items()})
    elif wants:
        engine.require_grad(made, True)
    if self.grad is not None:
        made.grad = __deepcopy__(self.grad, memo)
    memo[id(self)] = made
    return made


def _copied(x: Tensor, memo: Any, wants: bool) -> Tensor:
    """A copy of the values; what shares memory shares the memory of its copy, where it lies there.

    `memo` holds each storage that has been copied, with its copy.
    """
    s = x.st
    if s is None:
        return clone(engine.detach(x))
    storages = memo.setdefault("rushlight.storages", {})
    region = x.rec.region
    found = storages.get(id(s))
    if found is None:
        whole = clone(engine.detach(x)) if region is None else clone(entered(s, None))
        found = storages[id(s)] = (s, whole)
    elif region is None:
        return engine.become(Tensor, found[1], False)  # type: ignore[no-any-return]
    if region is None:
        return found[1]  # type: ignore[no-any-return]
    if wants and not is_dense(region[0], region[1]):
        return clone(engine.detach(x))  # a leaf that wants a gradient has no gaps
    before = engine.set_grad_enabled(False)
    try:
        return sh.look(movement.as_strided, found[1], tuple(region))
    finally:
        engine.set_grad_enabled(before)


def _deep(value: Any, memo: dict[int, Any]) -> Any:
    import copy

    return copy.deepcopy(value, memo)


# ---------------------------------------------------------------- pickles
def rebuild(array: Any, kind: str, requires_grad: bool, cls: Any, state: Any) -> Any:
    """A tensor from its pickled parts."""
    a, dtype = np.array(array), by_name(kind)
    made = engine.own_array(a, dtype, place(None))
    if cls is not None:
        made = engine.become(cls, made, requires_grad)
        if state:
            made.__dict__.update(state)
    elif requires_grad:
        engine.require_grad(made, True)
    return made


@method("__reduce_ex__")
def __reduce_ex__(self: Tensor, protocol: Any) -> Any:
    """Values, dtype and whether gradients are wanted; a non-leaf loses its history."""
    cls = None if type(self) is Tensor else type(self)
    state = getattr(self, "__dict__", None)
    a = engine.read(self).copy()
    return rebuild, (a, self.dtype.name, self.requires_grad, cls, state or None)


# ---------------------------------------------------------------- identity
@method("data_ptr")
def data_ptr(self: Tensor) -> int:
    """The address of the first element, 0 without one; pending work runs."""
    return 0 if 0 in self.shape else engine.address(self)


setattr(Tensor, "_version", property(engine.version))
setattr(Tensor, "_base", property(engine.base_of))
setattr(Tensor, "__cuda_array_interface__", property(lambda self: _no_cuda()))


@method("_is_view")
def _is_view(self: Tensor) -> bool:
    """Is the tensor a view of another?"""
    return engine.base_of(self) is not None


def _no_cuda() -> Any:
    raise AttributeError("__cuda_array_interface__: the tensor is in CPU memory")


@method("is_set_to")
def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether two tensors are the same region of the same memory."""
    return (
        engine.same_storage(self, tensor)
        and tuple(self.shape) == tuple(tensor.shape)
        and strides(self) == strides(tensor)
    )


__all__ = ["cast", "rebuild"]
