"""One operation at a time: the meaning of every plan, and how code met for the first time runs.

``run_node(node, arrays, program, numbers)`` computes one node; ``run_program`` a whole program.
Arrays have the strides of their specs (a dimension of size 1 may have any) and are never
changed.  Views and aliases give NumPy views of their operand, everything else memory of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from ..base import dtype as dt
from ..base.dtype import array_type
from ..base.shape import Ints, is_contiguous, is_dense, numel
from ..graph.node import NUMBER_KIND, Node, Program, ProgramBuilder, apart, expand
from ..graph.op import (
    ALIAS,
    COMPOSITE,
    CONST,
    CONTRACT,
    ELEMENTWISE,
    FULL,
    INDEX,
    IOTA,
    JOIN,
    LEAF,
    LIBRARY,
    MOVE,
    REDUCE,
    WINDOW,
    WRITE,
    Op,
    Spec,
)
from ..graph.ops import movement as mv
from ..graph.ops.contract import matmul
from ..graph.ops.core import leaf
from ..graph.ops.indexing import CHECK
from ..graph.shaping import GEOMETRY, region_of
from ..graph.value import Val
from .eager_convolve import convolved
from .eager_fold import fold_complex
from .eager_index import check, indexed
from .eager_native import product
from .eager_numpy import converter, number_converter, scalar_of, traced
from .eager_reduce import fold_native
from .eager_window import pooled

Array = Any


def run_node(
    node: Node, arrays: Sequence[Array], program: Program, numbers: Sequence[Any]
) -> Array:
    """The value of ``node``: ``arrays`` holds earlier nodes', ``numbers`` the program's numbers.

    Raises:
        the operation's own error when a value is not allowed (an index out of bounds).
    """
    xs: list[Any] = []
    specs: list[Spec] = []
    nodes = program.nodes
    for s in node.srcs:
        if s >= 0:
            xs.append(arrays[s])
            specs.append(nodes[s].spec)
        else:
            xs.append(numbers[~s])
            specs.append(_NUMBERS[program.numbers[~s]])
    return run_alone(node, specs, xs)


def run_alone(node: Node, specs: list[Spec], xs: list[Any]) -> Array:
    """The value of one node whose operands are given: arrays, and Python numbers."""
    return _RUN[node.op.kind](node, specs, xs)


_NUMBERS: Final = {
    k: Spec((), dt.float64 if k == "d" else dt.int64, (), number=v) for k, v in NUMBER_KIND.items()
}


def run_program(
    program: Program, leaves: Sequence[Array], numbers: Sequence[Any] = ()
) -> list[Array]:
    """Values of the outputs, each in memory of its own with its spec's strides.

    ``leaves``: arrays for ``program.leaves``, in order.
    """
    program = expand(program)
    arrays: list[Any] = [None] * len(program.nodes)
    given = iter(leaves)
    for i, n in enumerate(program.nodes):
        if n.op.kind == LEAF:
            a = np.asarray(next(given))
            if a.shape != n.spec.shape or a.dtype != array_type(n.spec.dtype):
                raise ValueError(f"leaf %{i} has to be {n.spec!r}, not {a.dtype}{list(a.shape)}")
            arrays[i] = laid_out(a, n.spec)
        else:
            arrays[i] = run_node(n, arrays, program, numbers)
    return [own(arrays[o], program.nodes[o].spec) for o in program.outputs]


# ---------------------------------------------------------------- layout
def empty(spec: Spec) -> Array:
    """New memory in ``spec``'s shape and (dense) strides."""
    kind = array_type(spec.dtype)
    if is_contiguous(spec.shape, spec.strides):
        return np.empty(spec.shape, kind)
    flat = np.empty(max(numel(spec.shape), 1), kind)
    return strided(flat, spec.shape, spec.strides, 0)


def strided(flat: Array, shape: Ints, strides: Ints, offset: int) -> Array:
    """A view of the one-dimensional contiguous ``flat``; strides and offset in elements."""
    size = flat.itemsize
    if 0 in shape:
        offset = 0
    view: Array = np.ndarray(
        shape, flat.dtype, flat, offset * size, tuple([s * size for s in strides])
    )
    return view


def fits(a: Array, spec: Spec) -> bool:
    """Is ``a`` laid out in ``spec``'s strides?"""
    size = a.itemsize
    for n, have, want in zip(spec.shape, a.strides, spec.strides, strict=True):
        if n == 0:
            return True
        if n != 1 and have != want * size:
            return False
    return True


def laid_out(a: Array, spec: Spec) -> Array:
    """``a`` itself, or a copy in ``spec``'s strides."""
    if fits(a, spec):
        return a
    out = empty(spec)
    out[...] = a
    return out


def own(a: Array, spec: Spec) -> Array:
    """A copy of ``a`` in memory of its own; what is not dense is laid out row-major."""
    out = empty(spec if is_dense(spec.shape, spec.strides) else Spec(spec.shape, spec.dtype))
    out[...] = a
    return out


# ---------------------------------------------------------------- each kind of operation
def _elementwise(node: Node, specs: list[Spec], xs: list[Any]) -> Array:
    spec = node.spec
    if node.op in CHECK:
        check(node, specs, xs)
    reads = [s.number or s.dtype for s in specs]
    assert node.ctype is not None
    r = traced(node.op, reads, node.ctype, spec.dtype)(*xs)
    if r.__class__ is not np.ndarray:
        r = np.asarray(r)
    if r.shape == spec.shape and fits(r, spec):
        for x in xs:
            if x is r:
                return r.copy(order="K")
        return r
    out = empty(spec)
    out[...] = r
    return out


def _const(node: Node, specs: list[Spec], xs: list[Any]) -> Array:
    value, kind = node.arg
    return np.array(scalar_of(value, kind))


@np.errstate(all="ignore")
def _full(node: Node, specs: list[Spec], xs: list[Any]) -> Array:
    shape, kind = node.arg[0], node.arg[1]
    x, s = xs[0], specs[0]
    if s.number:
        x = number_converter(s.number, kind)(x)
    elif s.dtype is not kind:
        x = converter(s.dtype, kind)(x)
    out = np.empty(shape, array_type(kind))
    out[...] = x
    return out


def _iota(node: Node, specs: list[Spec], xs: list[Any]) -> Array:
    shape, dim, kind = node.arg
    out = np.empty(shape, array_type(kind))
    line = converter(dt.int64, kind)(np.arange(shape[dim], dtype=np.int64))
    out[...] = line.reshape([-1 if d == dim else 1 for d in range(len(shape))])
    return out


def _reduce(node: Node, specs: list[Spec], xs: list[Any]) -> Array:
    x, spec, (dims, _), name = xs[0], node.spec, node.arg, node.op.name
    kind = array_type(spec.dtype)
    if name == "argmax" or name == "argmin":
        kept = tuple(d for d in range(x.ndim) if d not in dims)
        rest = tuple(x.shape[d] for d in kept)
        flat = x.transpose(kept + dims).reshape(*rest, -1) if dims else x[..., None]
        r = np.argmax(flat, axis=-1) if name == "argmax" else np.argmin(flat, axis=-1)
    elif name == "any" or name == "all":
        r = np.any(x, axis=dims) if name == "any" else np.all(x, axis=dims)
    elif specs[0].dtype.rank < 2:
        function = _WHOLE[name]
        if name in ("sum", "prod"):
            r = function(x, axis=dims, dtype=kind)
        else:
            r = function(x, axis=dims)
    elif spec.dtype.kind == "c":
        r = fold_complex(name, x, dims)
    else:
        folded: Array = fold_native(name, x, dims)
        return folded.reshape(spec.shape)
    return np.array(r, kind).reshape(spec.shape)


_WHOLE: Final[dict[str, Any]] = {"sum": np.sum, "prod": np.prod, "amax": np.max, "amin": np.min}


def _move(node: Node, specs: list[Spec], xs: list[Any]) -> Array:
    op, arg, x, s = node.op, node.arg, xs[0], specs[0]
    name = op.name
    if name == "permute":
        return x.transpose(arg)
    if name == "reshape":
        return np.array(x, order="C", copy=True).reshape(node.spec.shape)
    if name == "flip":
        out = empty(node.spec)
        out[...] = np.flip(x, arg)
        return out
    if name == "slice":
        dim, start, stop, step = arg
        return x[(*_ALL[:dim], slice(start, stop, step))]
    if name == "select":
        return x[(*_ALL[: arg[0]], arg[1], ...)]
    if name == "unsqueeze":
        return x[(*_ALL[:arg], None)]
    if (name == "view" or name == "squeeze") and x.flags.c_contiguous:
        return x.reshape(node.spec.shape)
    if op not in GEOMETRY:
        raise NotImplementedError(f"{name}: no way to run it alone")
    # a gradient that was moved counts as dense, whatever memory NumPy reads it from
    return _view(laid_out(x, s), s, *region_of(op, s, arg))


_ALL: Final = (slice(None),) * 64


class _Window:
    """Memory that an array keeps alive, read with other strides."""

    __slots__ = ("__array_interface__", "owner")

    def __init__(self, owner: Array, interface: dict[str, Any]) -> None:
        self.owner = owner
        self.__array_interface__ = interface


def _view(x: Array, s: Spec, shape: Ints, strides: Ints, offset: int) -> Array:
    size = x.itemsize
    about = x.__array_interface__
    made = np.asarray(
        _Window(
            x,
            {
                "version": 3,
                "typestr": about["typestr"],
                "shape": shape,
                "strides": tuple([n * size for n in strides]),
                "data": (about["data"][0] + (offset - s.offset) * size, True),
            },
        )
    )
    return made if made.dtype == x.dtype else made.view(x.dtype)  # types of ml_dtypes have no name


def _write(node: Node, specs: list[Spec], xs: list[Any]) -> Array:
    base, value = xs
    out = empty(node.spec)
    arg = node.arg
    if arg is None or arg == mv.CUT:
        out[...] = value
        return out
    out[...] = base
    shape, strides, offset = arg
    if 0 not in shape:
        flat = out if out.ndim == 1 else _flat(out)
        strided(flat, shape, strides, offset)[...] = value
    return out


def _flat(a: Array) -> Array:
    """The memory of a dense array, in the order it lies."""
    order = sorted(range(a.ndim), key=lambda d: -a.strides[d] if a.shape[d] != 1 else -(1 << 62))
    return a.transpose(order).reshape(-1)


def _alias(node: Node, specs: list[Spec], xs: list[Any]) -> Array:
    if node.op.name == "relayout":  # a value of its own: its memory may be written later
        out = empty(node.spec)
        out[...] = xs[0]
        return out
    return xs[0]


def _join(node: Node, specs: list[Spec], xs: list[Any]) -> Array:
    out = empty(node.spec)
    return np.concatenate(xs, axis=node.arg, out=out)


def _contract(node: Node, specs: list[Spec], xs: list[Any]) -> Array:
    x, y = xs
    spec = node.spec
    if node.op is not matmul:
        if apart(node.op, spec.dtype):
            return _composite(node, specs, xs)
        return convolved(node.op, node.arg, x, y, np.empty(spec.shape, array_type(spec.dtype)))
    if spec.dtype.kind == "c":
        return _contract_complex(node, specs, x, y)
    if spec.dtype.rank < 2:
        return np.ascontiguousarray(np.matmul(x, y))
    out = np.empty(spec.shape, array_type(spec.dtype))
    if len(spec.shape) == 2:
        product(out, x, y)
        return out
    batch = spec.shape[:-2]
    wide = [np.broadcast_to(a, batch + a.shape[-2:]) for a in (x, y)]
    for at in np.ndindex(*batch):
        product(out[at], wide[0][at], wide[1][at])
    return out


def _window(node: Node, specs: list[Spec], xs: list[Any]) -> Array:
    spec = node.spec
    return pooled(node.op, node.arg, xs, np.empty(spec.shape, array_type(spec.dtype)))


def _contract_complex(node: Node, specs: list[Spec], x: Array, y: Array) -> Array:
    """Four products of parts, and two sums of them."""
    part = node.spec.dtype.to_real()
    real = Node(node.op, node.srcs, node.arg, Spec(node.spec.shape, part), None)
    a, b, c, d = (np.ascontiguousarray(v) for v in (x.real, x.imag, y.real, y.imag))
    out = np.empty(node.spec.shape, array_type(node.spec.dtype))
    out.real = _contract(real, specs, [a, c]) - _contract(real, specs, [b, d])
    out.imag = _contract(real, specs, [a, d]) + _contract(real, specs, [b, c])
    return out


def _index(node: Node, specs: list[Spec], xs: list[Any]) -> Array:
    check(node, specs, xs)
    return indexed(node.op.name, node.arg, node.spec, xs, empty(node.spec))


def _library(node: Node, specs: list[Spec], xs: list[Any]) -> Array:
    assert node.op.call is not None
    return laid_out(np.asarray(node.op.call(*xs, arg=node.arg)), node.spec)


def _composite(node: Node, specs: list[Spec], xs: list[Any]) -> Array:
    check(node, specs, xs)
    program = taken_apart(node.op, node.arg, specs)
    nodes = program.nodes
    arrays: list[Any] = [None] * len(nodes)
    numbers: list[Any] = []
    at = 0
    for s, x in zip(specs, xs):
        if s.number:
            numbers.append(x)
        else:
            arrays[at] = x
            at += 1
    for i in range(at, len(nodes)):
        arrays[i] = run_node(nodes[i], arrays, program, numbers)
    last = program.outputs[0]
    if last < at or nodes[last].op.kind in _SHOWS:  # not memory of its own
        return own(arrays[last], node.spec)
    return laid_out(arrays[last], node.spec)


_SHOWS: Final = frozenset({MOVE, ALIAS})
_APART: Final[dict[Any, Program]] = {}  # composites met, without composites in them
_MOST_APART: Final = 2048


def taken_apart(op: Op, arg: Any, specs: list[Spec]) -> Program:
    """A composite in other operations, for operands of these shapes: its leaves come first."""
    key = (op.code, arg, tuple([(s.shape, s.strides, s.dtype.code, s.number) for s in specs]))
    found = _APART.get(key)
    if found is not None:
        return found
    assert op.decompose is not None
    program = Program()
    builder = ProgramBuilder(program)
    operands: list[Val] = []
    for s in specs:
        if s.number:
            program.numbers.append("d" if s.number == "f" else "q")
            operands.append(Val(builder, ~(len(program.numbers) - 1)))
        else:
            program.nodes.append(Node(leaf, (), None, s, None))
            operands.append(Val(builder, len(program.nodes) - 1))
    program.outputs = [op.decompose(*operands, arg=arg).slot]
    made = expand(program)
    if len(_APART) >= _MOST_APART:
        _APART.clear()
    _APART[key] = made
    return made


_RUN: Final[dict[str, Callable[[Node, list[Spec], list[Any]], Array]]] = {
    ALIAS: _alias,
    COMPOSITE: _composite,
    CONST: _const,
    CONTRACT: _contract,
    ELEMENTWISE: _elementwise,
    FULL: _full,
    INDEX: _index,
    IOTA: _iota,
    JOIN: _join,
    LIBRARY: _library,
    MOVE: _move,
    REDUCE: _reduce,
    WINDOW: _window,
    WRITE: _write,
}
