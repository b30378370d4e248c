"""Element types.

Frozen singletons, their NumPy names, and PyTorch's promotion rule as one table.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np
from mypy_extensions import mypyc_attr


@mypyc_attr(acyclic=True)  # tuples that hold it are none that the collector has to walk
class dtype:
    """An element type, one object for each: compare with ``is`` or ``==``.

    ``kind`` is ``'b'`` bool, ``'u'`` unsigned, ``'i'`` signed, ``'f'`` float, ``'c'`` complex;
    ``rank`` orders the kinds as promotion does (bool < integer < float < complex).
    ``narrow``: a float of 8 or 16 bits, in which nothing is computed (``graph/narrow.py``).
    """

    __slots__ = (
        "_numpy", "alias", "code", "itemsize", "kind", "name", "narrow", "rank", "typename",
    )  # fmt: skip

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
        self._numpy = numpy
        self.itemsize = itemsize
        self.kind = kind
        self.rank = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}[kind]
        self.narrow = kind == "f" and itemsize < 4
        self.typename = typename
        self.alias = alias

    @property
    def numpy(self) -> str:
        """What NumPy calls it; types of ml_dtypes are made known to NumPy first."""
        if self._numpy in _BORROWED:
            import ml_dtypes  # noqa: F401 - enters its types
        elif not self._numpy:
            raise NotImplementedError(f"{self}: no array can hold this type; use torch.complex64")
        return self._numpy

    @property
    def is_floating_point(self) -> bool:
        return self.kind == "f"

    @property
    def is_complex(self) -> bool:
        return self.kind == "c"

    @property
    def is_signed(self) -> bool:
        return self.kind in "ifc"

    def to_real(self) -> dtype:
        """The type of a complex type's parts; of another type, the type itself."""
        return real_type(self)

    def to_complex(self) -> dtype:
        """The complex type whose parts have this type (where there is none: `complex64`)."""
        return complex_type(self)

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
float16: Final = dtype(8, "float16", "f2", 2, "f", "Half", "half")
bfloat16: Final = dtype(9, "bfloat16", "bfloat16", 2, "f", "BFloat16")
complex64: Final = dtype(10, "complex64", "c8", 8, "c", "ComplexFloat", "cfloat")
complex128: Final = dtype(11, "complex128", "c16", 16, "c", "ComplexDouble", "cdouble")
uint16: Final = dtype(12, "uint16", "u2", 2, "u", "UInt16")
uint32: Final = dtype(13, "uint32", "u4", 4, "u", "UInt32")
uint64: Final = dtype(14, "uint64", "u8", 8, "u", "UInt64")
float8_e4m3fn: Final = dtype(15, "float8_e4m3fn", "float8_e4m3fn", 1, "f", "Float8_e4m3fn")
float8_e5m2: Final = dtype(16, "float8_e5m2", "float8_e5m2", 1, "f", "Float8_e5m2")
float8_e4m3fnuz: Final = dtype(17, "float8_e4m3fnuz", "float8_e4m3fnuz", 1, "f", "Float8_e4m3fnuz")
float8_e5m2fnuz: Final = dtype(18, "float8_e5m2fnuz", "float8_e5m2fnuz", 1, "f", "Float8_e5m2fnuz")
# A name only: neither NumPy nor ml_dtypes holds it.
complex32: Final = dtype(19, "complex32", "", 4, "c", "ComplexHalf", "chalf")

FLOAT8: Final[tuple[dtype, ...]] = (float8_e4m3fn, float8_e5m2, float8_e4m3fnuz, float8_e5m2fnuz)
ALL: Final[tuple[dtype, ...]] = (
    bool_, uint8, int8, int16, int32, int64, float32, float64, float16, bfloat16, complex64,
    complex128, uint16, uint32, uint64, *FLOAT8,
)  # fmt: skip
_BORROWED: Final = frozenset({"bfloat16", *[d.name for d in FLOAT8]})
_NAMES: Final[dict[str, dtype]] = {d.name: d for d in (*ALL, complex32)}
_NUMPY: Final[dict[str, dtype]] = {d._numpy: d for d in ALL if d._numpy not in _BORROWED} | {
    "b1": bool_
}
_ARRAYS: Final[list[Any]] = [None] * len(ALL)


def array_type(d: dtype) -> Any:
    """NumPy's dtype object for ``d``."""
    found = _ARRAYS[d.code] if d.code < len(_ARRAYS) else None
    if found is None:
        found = np.dtype(d.numpy)
        _ARRAYS[d.code] = found
    return found


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
            "The only supported types are: float64, float32, float16, complex64, complex128, "
            "int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool."
        )
    return found


# Signed and unsigned integers that take part in promotion, each above those before it, but for
# uint8 and int8, which meet in int16.
_WHOLE: Final = (uint8, int8, int16, int32, int64)
_BARE: Final = (uint16, uint32, uint64)  # of these only the types themselves and floats are beside
_PARTS: Final = {complex32: float16, complex64: float32, complex128: float64}
_PAIRS: Final = {float16: complex32, float32: complex64, float64: complex128}


def real_type(d: dtype) -> dtype:
    """The type of a complex type's parts; of another type, the type itself."""
    return _PARTS.get(d, d)


def complex_type(d: dtype) -> dtype:
    """The complex type whose parts are of the floating type ``d``."""
    return d if d.kind == "c" else _PAIRS.get(d, complex64)


def _promoted(a: dtype, b: dtype) -> dtype | None:
    """The rule behind the table; None where PyTorch has none."""
    if a is b:
        return a
    if a in FLOAT8 or b in FLOAT8:
        return None
    if a in _BARE or b in _BARE:
        low, high = (a, b) if a.rank < b.rank else (b, a)
        return high if low.rank == 1 and high.kind == "f" else None
    if a.rank != b.rank and (a.rank < 2 or b.rank < 2):
        return a if a.rank > b.rank else b
    if a.rank == 1:
        x, y = _WHOLE.index(a), _WHOLE.index(b)
        return int16 if x + y == 1 else _WHOLE[max(x, y)]
    x_part, y_part = real_type(a), real_type(b)
    wide = x_part if x_part.itemsize > y_part.itemsize else y_part
    if x_part is not y_part and x_part.itemsize == y_part.itemsize:
        wide = float32  # of half and bfloat16 neither holds the other
    return wide if a.rank == b.rank == 2 else complex_type(wide)


_PROMOTE: Final[dict[tuple[dtype, dtype], dtype | None]] = {
    (a, b): _promoted(a, b) for a in (*ALL, complex32) for b in (*ALL, complex32)
}


def promote_types(a: dtype, b: dtype) -> dtype:
    """The smallest type that holds both, by PyTorch's table; ``RuntimeError`` where it has none."""
    if a is b:
        return a
    found = _PROMOTE[a, b]
    if found is None:
        which = "Float8 Types" if a in FLOAT8 or b in FLOAT8 else "uint16, uint32, uint64 types"
        raise RuntimeError(
            f"Promotion for {which} is not supported, attempted to promote {a.typename} and "
            f"{b.typename}"
        )
    return found


class Defaults:
    """The default floating type (``torch.set_default_dtype``)."""

    float: ClassVar[dtype] = float32


def number_type(kind: str) -> dtype:
    """The type a Python number stands for alone: bool, int64, the default float or its complex."""
    if kind == "c":
        return complex_type(Defaults.float)
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
