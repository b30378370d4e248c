"""What the API names beside tensors: layouts, memory formats, and the facts of dtypes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.dtype import dtype
from rushlight.engine import Tensor
from rushlight.tensor.install import function, kind_of, number


def _named(name: str) -> Any:
    """A layout or memory format out of a pickle."""
    return globals()[name]


class layout:
    """How a tensor lies in memory: always `torch.strided`; the others are names to compare with."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _named, (self.name,)


class memory_format:
    """An order of strides that a copy may ask for."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _named, (self.name,)


strided: Final = layout("strided")
sparse_coo: Final = layout("sparse_coo")
sparse_csr: Final = layout("sparse_csr")
sparse_csc: Final = layout("sparse_csc")
sparse_bsr: Final = layout("sparse_bsr")
sparse_bsc: Final = layout("sparse_bsc")
contiguous_format: Final = memory_format("contiguous_format")
preserve_format: Final = memory_format("preserve_format")
channels_last: Final = memory_format("channels_last")
channels_last_3d: Final = memory_format("channels_last_3d")


def limits(kind: dtype) -> Any:
    """What NumPy or ml_dtypes knows of a floating type's numbers."""
    kind = kind.to_real()
    if kind.narrow and kind is not dt.float16:
        import ml_dtypes

        found: Any = ml_dtypes.finfo
        return found(kind.numpy)
    return np.finfo(kind.numpy)


class finfo:
    """The limits of a floating type: `bits, eps, max, min, tiny, smallest_normal, resolution`.

    Without a type, the default one; `TypeError` for an integer type.
    """

    def __init__(self, type: dtype | None = None) -> None:
        kind = dt.Defaults.float if type is None else type
        if not isinstance(kind, dtype) or kind.kind not in "fc":
            raise TypeError(
                "torch.finfo() requires a floating point input type. "
                "Use torch.iinfo to handle 'torch.finfo'"
            )
        facts = limits(kind)
        self.bits = kind.to_real().itemsize * 8
        self.dtype = kind.to_real().name
        self.eps = float(facts.eps)
        self.max = float(facts.max)
        self.min = float(facts.min)
        self.tiny = float(facts.smallest_normal)
        self.smallest_normal = self.tiny
        self.resolution = 10.0**-facts.precision

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, finfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(("finfo", self.dtype))


class iinfo:
    """The limits of an integer type: `bits, max, min`; `TypeError` for a floating type."""

    def __init__(self, type: dtype) -> None:
        if not isinstance(type, dtype) or type.kind not in "iu":
            raise TypeError(
                "torch.iinfo() requires an integer input type. "
                "Use torch.finfo to handle 'torch.iinfo'"
            )
        facts = np.iinfo(type.numpy)
        self.bits = type.itemsize * 8
        self.dtype = type.name
        self.max = int(facts.max)
        self.min = int(facts.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, iinfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(("iinfo", self.dtype))


for _class in (layout, memory_format, finfo, iinfo):
    _class.__module__ = "torch"


# ---------------------------------------------------------------- defaults and promotion
@function()
def set_default_dtype(d: dtype, /) -> None:
    """Make `d` the type of new floating tensors; `TypeError` for other types."""
    if not isinstance(d, dtype) or d.kind != "f":
        words = "" if isinstance(d, dtype) else "invalid dtype object: "
        raise TypeError(f"{words}only floating-point types are supported as the default type")
    engine.set_default_float(d)


@function()
def get_default_dtype() -> dtype:
    """The type of new floating tensors."""
    return dt.Defaults.float


def _need_types(name: str, **given: Any) -> None:
    for at, (argument, kind) in enumerate(given.items(), 1):
        if not isinstance(kind, dtype):
            raise TypeError(
                f"{name}(): argument '{argument}' (position {at}) must be torch.dtype, not "
                f"{type(kind).__name__}"
            )


@function()
def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest type that holds both."""
    _need_types("promote_types", type1=type1, type2=type2)
    return dt.promote_types(type1, type2)


@function()
def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether PyTorch's rules let a result of `from_` be written into `to`."""
    _need_types("can_cast", from_=from_, to=to)
    if from_.kind == "i" and to.kind == "u":
        return True
    return from_.rank <= to.rank


@function()
def result_type(tensor1: Any, tensor2: Any) -> dtype:
    """The type an operation of the two (tensors or numbers) gives."""
    return dt.result_type([_typed(tensor1, 1), _typed(tensor2, 2)])


def _typed(x: Any, position: int) -> tuple[dtype, int]:
    if isinstance(x, Tensor):
        return x.dtype, 0 if x.shape else 1
    value = number(x, "result_type", f"tensor{position}", position)
    return dt.number_type(kind_of(value)), 2
