"""Element types.

Frozen singletons, their NumPy names, and PyTorch's promotion rule as one table.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final


class dtype:
    """An element type, one object for each: compare with ``is`` or ``==``.

    ``kind`` is ``'b'`` bool, ``'u'`` unsigned, ``'i'`` signed, ``'f'`` float, ``'c'`` complex;
    ``rank`` orders the kinds as promotion does (bool < integer < float < complex).
    """

    __slots__ = ("alias", "code", "itemsize", "kind", "name", "numpy", "rank", "typename")

    def __init__(
        self,
        code: int,
        name: str,
        numpy: str,
        itemsize: int,
        kind: str,
        typename: str,
        alias: str = "",
    ) -> None:
        self.code = code
        self.name = name
        self.numpy = numpy
        self.itemsize = itemsize
        self.kind = kind
        self.rank = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}[kind]
        self.typename = typename
        self.alias = alias

    @property
    def is_floating_point(self) -> bool:
        return self.kind == "f"

    @property
    def is_complex(self) -> bool:
        return self.kind == "c"

    @property
    def is_signed(self) -> bool:
        return self.kind in "ifc"

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return by_name, (self.name,)

    def __copy__(self) -> dtype:
        return self

    def __deepcopy__(self, memo: Any) -> dtype:
        return self


bool_: Final = dtype(0, "bool", "?", 1, "b", "Bool")
uint8: Final = dtype(1, "uint8", "u1", 1, "u", "Byte")
int8: Final = dtype(2, "int8", "i1", 1, "i", "Char")
int16: Final = dtype(3, "int16", "i2", 2, "i", "Short", "short")
int32: Final = dtype(4, "int32", "i4", 4, "i", "Int", "int")
int64: Final = dtype(5, "int64", "i8", 8, "i", "Long", "long")
float32: Final = dtype(6, "float32", "f4", 4, "f", "Float", "float")
float64: Final = dtype(7, "float64", "f8", 8, "f", "Double", "double")

ALL: Final[tuple[dtype, ...]] = (bool_, uint8, int8, int16, int32, int64, float32, float64)
_NAMES: Final[dict[str, dtype]] = {d.name: d for d in ALL}
_NUMPY: Final[dict[str, dtype]] = {d.numpy: d for d in ALL} | {"b1": bool_}

# Each type's direct successors; the promotion of two types is their least common successor.
_NEXT: Final[dict[dtype, tuple[dtype, ...]]] = {
    bool_: (uint8, int8),
    uint8: (int16,),
    int8: (int16,),
    int16: (int32,),
    int32: (int64,),
    int64: (float32,),
    float32: (float64,),
    float64: (),
}


def by_name(name: str) -> dtype:
    """The type called ``name`` (``'float32'``); ``TypeError`` when there is none."""
    try:
        return _NAMES[name]
    except KeyError:
        raise TypeError(
            f"dtype {name!r} is not supported; supported: {', '.join(_NAMES)}"
        ) from None


def from_numpy(dt: Any) -> dtype:
    """Our type for a NumPy dtype; ``TypeError`` in PyTorch's words when there is none."""
    found = _NUMPY.get(f"{dt.kind}{dt.itemsize}") if dt.isnative else None
    if found is None:
        raise TypeError(
            f"can't convert np.ndarray of type {dt.name if dt.kind != 'O' else 'numpy.object_'}. "
            f"The only supported types are: {', '.join(_NAMES)}."
        )
    return found


def _above(d: dtype) -> list[dtype]:
    out, todo = [], [d]
    while todo:
        x = todo.pop()
        if x not in out:
            out.append(x)
            todo.extend(_NEXT[x])
    return out


_PROMOTE: Final[dict[tuple[dtype, dtype], dtype]] = {
    (a, b): min(set(_above(a)) & set(_above(b)), key=lambda d: d.code) for a in ALL for b in ALL
}


def promote_types(a: dtype, b: dtype) -> dtype:
    """The smallest type that holds both, by PyTorch's table."""
    return a if a is b else _PROMOTE[a, b]


class Defaults:
    """The default floating type (``torch.set_default_dtype``)."""

    float: ClassVar[dtype] = float32


def number_type(kind: str) -> dtype:
    """The type a Python number stands for alone: bool, int64 or the default float."""
    return bool_ if kind == "b" else int64 if kind == "i" else Defaults.float


def result_type(operands: list[tuple[dtype, int]]) -> dtype:
    """PyTorch's result type of operands given as (dtype, priority).

    Priority 0 is a tensor with dimensions, 1 a tensor without, 2 a Python number.  A lower priority
    takes part only when its kind (bool < integer < float < complex) is above that of all
    higher ones.
    """
    found: list[dtype | None] = [None, None, None]
    for d, priority in operands:
        have = found[priority]
        found[priority] = d if have is None else promote_types(have, d)
    out: dtype | None = None
    for d2 in found:
        if d2 is None:
            continue
        if out is None:
            out = d2
        elif d2.rank > out.rank:
            # a number of a higher kind brings the default type of that kind, not its own width
            out = promote_types(out, d2)
    if out is None:
        raise RuntimeError("result_type: no operands")
    return out
