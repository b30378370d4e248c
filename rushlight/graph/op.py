"""The operation record: everything Rushlight knows about one operation, and the table of them all.

An operation's row gives its type rule, shape rule, meaning and gradient.  Rows import no backend:
an elementwise row states its meaning once, against a scalar builder (``scalar.py``) that NumPy and
LLVM implement; a gradient or a decomposition is stated against values (``value.py``) and is more
graph in the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from mypy_extensions import mypyc_attr

from ..base import dtype as dt
from ..base.device import CPU, device
from ..base.dtype import dtype
from ..base.shape import Ints, contiguous_strides, elementwise_strides, is_dense
from .value import Val


@mypyc_attr(acyclic=True)
class Spec:
    """What is known of a value before it is computed.

    ``strides`` is the layout the user sees; ``offset`` is not 0 only for a view: where it starts in
    its storage, in elements.  ``number``: ``'b'``, ``'i'`` or ``'f'`` for a Python number.
    """

    __slots__ = (
        "device", "dtype", "keys", "known", "number", "offset", "shape", "size", "strides"
    )  # fmt: skip

    def __init__(
        self,
        shape: Ints,
        dtype: dtype,
        strides: Ints | None = None,
        device: device = CPU,
        number: str = "",
        offset: int = 0,
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.strides = contiguous_strides(shape) if strides is None else strides
        self.device = device
        self.number = number
        self.offset = offset
        self.keys: Any = None  # the recorder's: what identifies memory of this kind when it enters
        self.size: Any = None  # the recorder's: the shape as users see it, once it was asked for
        self.known = False  # the recorder's: is it the one object for specs equal to it?

    def laid_alike(self) -> Ints:
        """The strides of a result that is laid out as this value is, without gaps."""
        return elementwise_strides(self.shape, [(self.shape, self.strides)])

    def dense(self) -> Ints:
        """The strides of memory of its own that the value is written in: its own, unless they have
        gaps or overlap."""
        own = is_dense(self.shape, self.strides)
        return self.strides if own else contiguous_strides(self.shape)

    def __repr__(self) -> str:
        return f"{self.dtype.name}{list(self.shape)}" + (
            "" if self.strides == contiguous_strides(self.shape) else f"@{list(self.strides)}"
        )


Infer = Callable[["Op", Sequence[Spec], Any], Spec]

# Kinds of operation: what the compiler has to know about a node.
LEAF: Final = "leaf"  # memory that enters
CONST: Final = "const"  # arg = (Python number, dtype): known when recorded, shape ()
FULL: Final = "full"  # one scalar operand repeated over arg = (shape, dtype)
IOTA: Final = "iota"  # arg = (shape, dim, dtype): the index along dim
ELEMENTWISE: Final = "elementwise"  # broadcasts its operands, `lower` says what one element is
REDUCE: Final = "reduce"  # arg = (dims, keepdim)
MOVE: Final = "move"  # another reading of the same elements: an index map, see ops/movement.py
WRITE: Final = "write"  # (base, value), arg = view spec or None: base with the view replaced
JOIN: Final = "join"  # cat: arg = dim, any number of operands
CONTRACT: Final = "contract"  # matrix product
WINDOW: Final = "window"  # windows of planes: see ops/window.py
INDEX: Final = "index"  # gather/scatter: see ops/indexing.py
LIBRARY: Final = "library"  # run by a Python function on arrays (`call`)
COMPOSITE: Final = "composite"  # `decompose` says it in other operations
ALIAS: Final = "alias"  # the value of the first operand, unchanged
CONTROL: Final = "control"  # the recorder's own


@mypyc_attr(acyclic=True)  # they stay for ever; keys that name one need not be walked
class Op:
    """One operation.  Calling it on values records it: ``mul(g, y)``."""

    __slots__ = (
        "call", "code", "decompose", "domain", "fails", "grads", "infer", "keeps", "kind", "lower",
        "name", "reference", "types",
    )  # fmt: skip

    def __init__(self, name: str, kind: str, infer: Infer) -> None:
        self.name = name
        self.code = -1
        self.kind = kind
        self.infer = infer
        self.types = "promote"
        self.grads: tuple[Callable[..., Any] | None, ...] | Callable[..., Any] = ()
        self.lower: Callable[..., Any] | None = None
        self.decompose: Callable[..., Any] | None = None
        self.call: Callable[..., Any] | None = None
        self.reference: Callable[..., Any] | None = None
        self.domain: tuple[Any, ...] = ()
        self.keeps: bool | None = None  # the recorder's: see engine/specs.py
        self.fails: bool | None = None  # and engine/trie.py

    def __call__(self, *operands: Any, arg: Any = None) -> Val:
        vals = [o for o in operands if isinstance(o, Val)]
        if not vals:
            raise TypeError(f"{self.name}: needs a recorded value")
        like = vals[0] if len(vals) == 1 else max(vals, key=lambda v: v.dtype.rank)
        slots = [o.slot if isinstance(o, Val) else like.builder.number(o, like) for o in operands]
        return Val(like.builder, like.builder.make(self, slots, arg))

    def gradient(self, i: int) -> Callable[..., Any] | None:
        """The rule for operand ``i``: ``rule(g, out, *operands) -> Val``."""
        g = self.grads
        if callable(g):
            return lambda *a: g(i, *a)
        return g[i] if i < len(g) else None

    def __repr__(self) -> str:
        return f"Op({self.name})"


TABLE: Final[dict[str, Op]] = {}
OPS: Final[list[Op]] = []


def register(op: Op) -> Op:
    """Enter ``op`` in the table and give it its number."""
    if op.name in TABLE:
        raise ValueError(f"operation {op.name!r} is defined twice")
    op.code = len(OPS)
    OPS.append(op)
    TABLE[op.name] = op
    return op


def compute_type(types: str, srcs: Sequence[Spec], arg: Any) -> dtype:
    """The type an elementwise operation works in: operands are converted to it when read."""
    if types == "cast":
        return srcs[0].dtype
    if types == "bool":
        return dt.bool_
    used = srcs[1:] if types == "where" else srcs
    found = common_type(used)
    if found is None:
        found = dt.result_type([(s.dtype, 2 if s.number else 0 if s.shape else 1) for s in used])
    if found.rank < 2 and types in _FLOATING:
        return dt.Defaults.float
    if types == "power" and found is dt.bool_:
        return dt.int64
    return found


def common_type(specs: Sequence[Spec]) -> dtype | None:
    """The one type of all tensors, beside numbers of no higher kind; None where there is none."""
    found: dtype | None = None
    for s in specs:
        if not s.number:
            if found is None:
                found = s.dtype
            elif s.dtype is not found:
                return None
    if found is not None:
        for s in specs:
            if s.number and s.dtype.rank > found.rank:
                return None
    return found


def result_dtype(types: str, compute: dtype, arg: Any) -> dtype:
    """The element type an elementwise operation gives."""
    if types in ("compare", "test"):
        return dt.bool_
    if types in _PARTS:
        return compute.to_real()
    if types == "pair":
        return compute.to_complex()
    return arg if types == "cast" else compute


_FLOATING: Final = frozenset({"float", "float part", "pair"})
_PARTS: Final = frozenset({"part", "float part"})
