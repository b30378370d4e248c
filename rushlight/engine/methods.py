"""The tensor methods that programs call most, compiled: their usual cases are one record each.

``Methods`` is the base of ``core.Tensor``.  What a method does not take itself - other arguments,
errors - it hands to the tensor layer's function of that name, which ``general`` enters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from mypy_extensions import i64, mypyc_attr

from ..graph.op import TABLE, Op
from ..graph.ops import contract as _contract  # noqa: F401 - fills the table
from ..graph.ops import elementwise as _elementwise  # noqa: F401
from ..graph.ops import movement as _movement  # noqa: F401
from ..graph.ops import normalised as _normalised  # noqa: F401
from ..graph.ops import reduce as _reduce  # noqa: F401
from . import core

GENERAL: Final[dict[str, Callable[..., Any]]] = {}  # by method: what takes every case

ADD: Final[i64] = TABLE["add"].code
SUB: Final[i64] = TABLE["sub"].code
MUL: Final[i64] = TABLE["mul"].code
MATMUL: Final[i64] = TABLE["matmul"].code
SQUARE: Final[i64] = TABLE["square"].code
RELU: Final[i64] = TABLE["relu"].code
TANH: Final[i64] = TABLE["tanh"].code
SIGMOID: Final[i64] = TABLE["sigmoid"].code
EXP: Final[i64] = TABLE["exp"].code
SUM: Final[i64] = TABLE["sum"].code
MEAN: Final[i64] = TABLE["mean"].code
ARGMAX: Final[i64] = TABLE["argmax"].code
PERMUTE: Final[Op] = TABLE["permute"]
VIEW: Final[Op] = TABLE["view"]
SELECT: Final[Op] = TABLE["select"]
SLICE: Final[Op] = TABLE["slice"]

# The arguments of whole reductions by number of dimensions, and of those of one dimension.
WHOLE: Final[list[Any]] = [(tuple(range(n)), False) for n in range(9)]
ONE: Final[list[Any]] = [((d,), False) for d in range(9)]
TURNED: Final[tuple[int, int]] = (1, 0)


def usual(x: core.Tensor, dim: object, keepdim: object) -> Any:
    """The argument of a reduction of all of ``x`` or of one dimension; None for other cases."""
    if keepdim is not False:
        return None
    n = len(core.spec_of(x).shape)
    if n >= 9:
        return None
    if dim is None:
        return WHOLE[n]
    if type(dim) is int and isinstance(dim, int) and -n <= dim < n:
        return ONE[dim if dim >= 0 else dim + n]
    return None


@mypyc_attr(allow_interpreted_subclasses=True)
class Methods:
    """Methods of ``Tensor``."""

    __slots__ = ()

    # ------------------------------------------------------------ products
    def mm(self, mat2: Any, *, out: Any = None) -> Any:
        """The product of two matrices."""
        me = cast(core.Tensor, self)
        if (
            out is None
            and isinstance(mat2, core.Tensor)
            and len(core.spec_of(me).shape) == 2
            and len(core.spec_of(mat2).shape) == 2
        ):
            return core.record2(MATMUL, me, mat2, None)
        return GENERAL["mm"](self, mat2, out=out)

    def matmul(self, other: Any, *, out: Any = None) -> Any:
        """The matrix product of vectors, matrices or batches of them."""
        me = cast(core.Tensor, self)
        if (
            out is None
            and isinstance(other, core.Tensor)
            and len(core.spec_of(me).shape) >= 2
            and len(core.spec_of(other).shape) >= 2
        ):
            return core.record2(MATMUL, me, other, None)
        return GENERAL["matmul"](self, other, out=out)

    def __matmul__(self, other: Any) -> Any:
        me = cast(core.Tensor, self)
        if not isinstance(other, core.Tensor):
            return NotImplemented
        if len(core.spec_of(me).shape) >= 2 and len(core.spec_of(other).shape) >= 2:
            return core.record2(MATMUL, me, other, None)
        return core.SLOW[0].matmul(me, other)

    # ------------------------------------------------------------ reductions
    def sum(
        self,
        dim: Any = None,
        keepdim: Any = False,
        *,
        dtype: Any = None,
        out: Any = None,
        axis: Any = None,
        keepdims: Any = None,
    ) -> Any:
        """The sum over dimensions (all when none is given); integers add up in int64."""
        if dtype is None and out is None and axis is None and keepdims is None:
            me = cast(core.Tensor, self)
            arg = usual(me, dim, keepdim)
            if arg is not None:
                return core.record1(SUM, me, arg)
        return GENERAL["sum"](
            self, dim, keepdim, dtype=dtype, out=out, axis=axis, keepdims=keepdims
        )

    def mean(
        self,
        dim: Any = None,
        keepdim: Any = False,
        *,
        dtype: Any = None,
        out: Any = None,
        axis: Any = None,
        keepdims: Any = None,
    ) -> Any:
        """The mean over dimensions; ``RuntimeError`` for integers without ``dtype``."""
        if dtype is None and out is None and axis is None and keepdims is None:
            me = cast(core.Tensor, self)
            arg = usual(me, dim, keepdim)
            if arg is not None:
                return core.record1(MEAN, me, arg)
        return GENERAL["mean"](
            self, dim, keepdim, dtype=dtype, out=out, axis=axis, keepdims=keepdims
        )

    def argmax(
        self,
        dim: Any = None,
        keepdim: Any = False,
        *,
        out: Any = None,
        axis: Any = None,
        keepdims: Any = None,
    ) -> Any:
        """The index of the maximum: in the flattened tensor, or along a dimension."""
        if dim is not None and out is None and axis is None and keepdims is None:
            me = cast(core.Tensor, self)
            arg = usual(me, dim, keepdim)
            spec = core.spec_of(me)
            if arg is not None and spec.dtype.kind != "b" and 0 not in spec.shape:
                return core.record1(ARGMAX, me, arg)
        return GENERAL["argmax"](self, dim, keepdim, out=out, axis=axis, keepdims=keepdims)

    # ------------------------------------------------------------ elementwise
    def relu(self) -> core.Tensor:
        """``max(x, 0)`` elementwise."""
        return core.record1(RELU, cast(core.Tensor, self), None)

    def tanh(self) -> core.Tensor:
        """Hyperbolic tangent elementwise."""
        return core.record1(TANH, cast(core.Tensor, self), None)

    def sigmoid(self) -> core.Tensor:
        """``1 / (1 + exp(-x))`` elementwise."""
        return core.record1(SIGMOID, cast(core.Tensor, self), None)

    def exp(self) -> core.Tensor:
        """``e ** x`` elementwise."""
        return core.record1(EXP, cast(core.Tensor, self), None)

    def pow(self, exponent: Any, *, out: Any = None) -> Any:
        """``self ** exponent``; ``RuntimeError`` for integers to negative integers."""
        if type(exponent) is int and exponent == 2 and out is None:
            me = cast(core.Tensor, self)
            if core.spec_of(me).dtype.kind != "b":
                return core.record1(SQUARE, me, None)
        return GENERAL["pow"](self, exponent, out=out)

    def add_(self, other: Any, *, alpha: Any = 1) -> Any:
        """``self + alpha * other``, written into the tensor."""
        if alpha is ONE_NUMBER and (isinstance(other, core.Tensor) or type(other) is float):
            return core.SLOW[0].inplace(ADD, cast(core.Tensor, self), other)
        if scales(other, alpha):
            part = core.scaled(cast(core.Tensor, other), alpha)
            return core.SLOW[0].inplace(ADD, cast(core.Tensor, self), part)
        return GENERAL["add_"](self, other, alpha=alpha)

    def sub_(self, other: Any, *, alpha: Any = 1) -> Any:
        """``self - alpha * other``, written into the tensor."""
        if alpha is ONE_NUMBER and (isinstance(other, core.Tensor) or type(other) is float):
            return core.SLOW[0].inplace(SUB, cast(core.Tensor, self), other)
        return GENERAL["sub_"](self, other, alpha=alpha)

    def mul_(self, other: Any) -> Any:
        """``self * other``, written into the tensor."""
        if isinstance(other, core.Tensor) or type(other) is float:
            return core.SLOW[0].inplace(MUL, cast(core.Tensor, self), other)
        return GENERAL["mul_"](self, other)

    def zero_(self) -> Any:
        """Write zeros everywhere."""
        return core.SLOW[0].fill(cast(core.Tensor, self), 0)

    # ------------------------------------------------------------ views
    def detach(self) -> Any:
        """The same memory without history."""
        return core.SLOW[0].detach(cast(core.Tensor, self))

    def dim(self) -> int:
        """How many dimensions."""
        return len(core.spec_of(cast(core.Tensor, self)).shape)

    def size(self, dim: Any = None) -> Any:
        """The shape, or the size of one dimension."""
        me = cast(core.Tensor, self)
        if dim is None:
            return me.shape
        shape = core.spec_of(me).shape
        if type(dim) is int and -len(shape) <= dim < len(shape):
            return shape[dim]
        return GENERAL["size"](self, dim)

    def t(self) -> Any:
        """The transpose of a matrix; of fewer dimensions, the tensor itself."""
        me = cast(core.Tensor, self)
        if len(core.spec_of(me).shape) == 2:
            return core.SLOW[0].view(PERMUTE, me, TURNED)
        return GENERAL["t"](self)

    def view(self, *size: Any, dtype: Any = None, **named: Any) -> Any:
        """The same memory under another shape (one size may be -1).

        ``RuntimeError`` when the strides do not allow it.
        """
        if dtype is None and not named:
            me = cast(core.Tensor, self)
            shape = complete(size, core.spec_of(me).shape)
            if shape is not None:
                return core.SLOW[0].view(VIEW, me, shape)
        return GENERAL["view"](self, *size, dtype=dtype, **named)

    def __getitem__(self, key: Any) -> Any:
        me = cast(core.Tensor, self)
        shape = core.spec_of(me).shape
        if shape:
            n: int = shape[0]
            if type(key) is int:
                i: int = key
                if -n <= i < n:
                    return core.SLOW[0].view(SELECT, me, (0, i if i >= 0 else i + n))
            elif type(key) is slice and key.step is None:
                first = key.start
                last = key.stop
                if type(first) is int and type(last) is int and 0 <= first <= last <= n:
                    return core.SLOW[0].view(SLICE, me, (0, first, last, 1))
        return GENERAL["__getitem__"](self, key)

    # ------------------------------------------------------------ gradients
    def backward(
        self,
        gradient: Any = None,
        retain_graph: Any = None,
        create_graph: Any = False,
        inputs: Any = None,
    ) -> None:
        """Add the gradients of this scalar (of ``gradient * self`` otherwise) to the leaves'
        ``.grad``.
        """
        if gradient is None and retain_graph is None and inputs is None and not create_graph:
            core.SLOW[0].backward(cast(core.Tensor, self))
            return
        GENERAL["backward"](self, gradient, retain_graph, create_graph, inputs)


ONE_NUMBER: Final[object] = 1


def scales(other: object, alpha: object) -> bool:
    """Is ``alpha * other`` a product of floats?"""
    return (
        type(alpha) is float
        and isinstance(other, core.Tensor)
        and core.spec_of(other).dtype.rank >= 2
    )


def complete(size: tuple[Any, ...], shape: Any) -> Any:
    """The shape that these sizes ask for; None where it is to be looked at more closely."""
    count = 1
    for n in shape:
        count *= n
    known = 1
    hole = -1
    for i, d in enumerate(size):
        if type(d) is not int:
            return None
        if d == -1:
            if hole >= 0:
                return None
            hole = i
        elif d < 0:
            return None
        else:
            known *= d
    if hole < 0:
        return size if known == count else None
    if known == 0 or count % known:
        return None
    return tuple([count // known if i == hole else d for i, d in enumerate(size)])


def general(name: str, f: Callable[..., Any]) -> bool:
    """Enter the function that takes every case of a method; False for a name that is not here."""
    if name not in OWN:
        return False
    GENERAL[name] = f
    return True


OWN: Final = frozenset(
    {
        "__getitem__", "add_", "argmax", "backward", "detach", "dim", "exp", "matmul", "mean", "mm",
        "mul_", "pow", "relu", "sigmoid", "size", "sub_", "sum", "t", "tanh", "view", "zero_",
    }
)  # fmt: skip
