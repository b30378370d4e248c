"""Convolutions over any number of dimensions in space, and what their gradients need.

Three rows, closed under differentiation: each is linear in both operands, and the gradient of one
by either operand is another of them.

    convolve(x, w)         (N, C, *S) with (O, C / groups, *K): (N, O, *Q)
    convolve_input(g, w)   (N, O, *Q) with (O, C / groups, *K): (N, C, *S), the transposed
                           convolution, which is the first's gradient by x
    convolve_weight(x, g)  (N, C, *S) with (N, O, *Q): (O, C / groups, *K), its gradient by w

``arg`` = (stride, padding, dilation, groups), and for the second the sizes *S, for the third *K;
``padding`` has (before, after) for each dimension, negative ones cut.

The law of order: every element is one chain of fused multiply-adds from +0.0 in the element type.
``convolve`` runs over (channel, *tap) in row-major order, and padding takes part as zeros.
``convolve_input`` runs over (channel of g, *place in g), places ascending, over the places whose
taps exist; places outside g take part as zeros.  ``convolve_weight`` runs over (n, *place in g).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import gcd
from typing import Any, NamedTuple

from ...base import dtype as dt
from ...base.shape import Ints, contiguous_strides, numel
from ..op import COMPOSITE, CONTRACT, Op, Spec, register
from ..value import Val
from .contract import matmul, transpose
from .core import zeros
from .elementwise import add
from .movement import as_strided, flip, permute, relayout, reshape, slice_, view, write
from .reduce import sum_

Pads = tuple[tuple[int, int], ...]


# ---------------------------------------------------------------- shapes
def places(size: int, kernel: int, stride: int, pads: tuple[int, int], dilation: int) -> int:
    """How many places a kernel takes along one dimension."""
    return (size + pads[0] + pads[1] - dilation * (kernel - 1) - 1) // stride + 1


def _types(op: Op, x: Spec, y: Spec, groups: int) -> None:
    if x.dtype is not y.dtype:
        raise RuntimeError(
            f"{op.name}: operands have to be of one type, not {x.dtype} and {y.dtype}"
        )
    if x.dtype is dt.bool_:
        raise NotImplementedError(f"\"{op.name}\" not implemented for 'Bool'")
    if len(x.shape) != len(y.shape) or len(x.shape) < 3 or x.shape[1] % groups:
        raise ValueError(f"{op.name}: {x!r} and {y!r} in {groups} groups do not fit")


def _infer(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x, w = srcs
    stride, pads, dilation, groups = arg
    _types(op, x, w, groups)
    if x.shape[1] != w.shape[1] * groups or w.shape[0] % groups:
        raise ValueError(f"{op.name}: {w!r} does not fit {x!r} in {groups} groups")
    size = tuple(map(places, x.shape[2:], w.shape[2:], stride, pads, dilation))
    if any(n < 0 for n in size):
        raise ValueError(f"{op.name}: the kernel {w!r} is larger than {x!r} padded by {pads}")
    return Spec((x.shape[0], w.shape[0], *size), x.dtype, None, x.device)


def _infer_input(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    g, w = srcs
    stride, pads, dilation, groups, size = arg
    _types(op, g, w, groups)
    taken = tuple(map(places, size, w.shape[2:], stride, pads, dilation))
    if g.shape[1] != w.shape[0] or taken != g.shape[2:]:
        raise ValueError(f"{op.name}: {g!r} is not what {w!r} makes of sizes {list(size)}")
    return Spec((g.shape[0], w.shape[1] * groups, *size), g.dtype, None, g.device)


def _infer_weight(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x, g = srcs
    stride, pads, dilation, groups, kernel = arg
    _types(op, x, g, groups)
    taken = tuple(map(places, x.shape[2:], kernel, stride, pads, dilation))
    if g.shape[0] != x.shape[0] or taken != g.shape[2:] or g.shape[1] % groups:
        raise ValueError(f"{op.name}: {g!r} is not what a kernel {list(kernel)} makes of {x!r}")
    return Spec((g.shape[1], x.shape[1] // groups, *kernel), x.dtype, None, x.device)


class Conv(NamedTuple):
    """What a kernel has to know of a convolution, or of the gradient of its weight.

    ``before`` is the padding in front (negative: cut); behind stands what the places need.
    """

    images: int
    channels: int  # of x
    outputs: int
    space: Ints
    kernel: Ints
    stride: Ints
    before: Ints
    dilation: Ints
    places: Ints
    groups: int

    @property
    def steps(self) -> int:
        """Multiplications."""
        taps = numel(self.kernel) * (self.channels // self.groups)
        return self.images * self.outputs * numel(self.places) * taps

    def three(self) -> Conv:
        """The same with three dimensions in space."""
        n = 3 - len(self.space)
        one, zero = (1,) * n, (0,) * n
        return self._replace(
            space=one + self.space, kernel=one + self.kernel, stride=one + self.stride,
            before=zero + self.before, dilation=one + self.dilation, places=one + self.places,
        )  # fmt: skip


def described(op: Op, x: Ints, other: Ints, arg: Any) -> Conv:
    """What ``convolve`` of x and w, or ``convolve_weight`` of x and g, computes."""
    stride, pads, dilation, groups = arg[:4]
    weight = op is convolve_weight
    kernel = arg[4] if weight else other[2:]
    size = tuple(map(places, x[2:], kernel, stride, pads, dilation))
    before = tuple(a for a, _ in pads)
    outputs = other[1] if weight else other[0]
    return Conv(x[0], x[1], outputs, x[2:], kernel, stride, before, dilation, size, groups)


# ---------------------------------------------------------------- in other operations
def padded(x: Val, pads: Pads) -> Val:
    """``x`` with zeros around its dimensions in space, or cut."""
    shape = x.shape
    full = (*shape[:2], *(n + a + b for n, (a, b) in zip(shape[2:], pads, strict=True)))
    for d, (a, b) in enumerate(pads, 2):
        first = min(max(-a, 0), shape[d])
        last = max(first, shape[d] - max(-b, 0))
        if (first, last) != (0, shape[d]):
            x = slice_(x, arg=(d, first, last, 1))
    if x.shape == full:
        return x
    base = zeros(x, full)
    if not numel(x.shape):
        return base
    strides = contiguous_strides(full)
    offset = sum(max(a, 0) * strides[d] for d, (a, _) in enumerate(pads, 2))
    return write(base, x, arg=(x.shape, strides, offset))


def contiguous(x: Val) -> Val:
    """``x`` in row-major memory of its own kind, which ``as_strided`` can read."""
    spec = x.builder.spec(x.slot)
    want = contiguous_strides(spec.shape)
    same = all(a == b for a, b, n in zip(spec.strides, want, spec.shape, strict=True) if n != 1)
    return x if same and not spec.offset else relayout(x, arg=want)


def windows(x: Val, kernel: Ints, arg: Any) -> Val:
    """A view of the padded ``x``: (N, groups, C / groups, *kernel, *places)."""
    stride, pads, dilation, groups = arg
    size = tuple(map(places, x.shape[2:], kernel, stride, pads, dilation))
    x = contiguous(padded(x, pads))
    n, c, *_ = x.shape
    a, b, *space = contiguous_strides(x.shape)
    taps = tuple(s * d for s, d in zip(space, dilation, strict=True))
    steps = tuple(s * d for s, d in zip(space, stride, strict=True))
    shape = (n, groups, c // groups, *kernel, *size)
    return as_strided(x, arg=(shape, (a, b * (c // groups), b, *taps, *steps), 0))


def _convolve(x: Val, w: Val, arg: Any) -> Val:
    groups = arg[3]
    o, c, *kernel = w.shape
    out = (x.shape[0], o, *map(places, x.shape[2:], kernel, *arg[:3]))
    taps, count = c * numel(tuple(kernel)), numel(out[2:])
    columns = reshape(windows(x, tuple(kernel), arg), arg=(x.shape[0], groups, taps, count))
    rows = reshape(w, arg=(1, groups, o // groups, taps))
    return view(matmul(rows, columns), arg=out)


def _convolve_weight(x: Val, g: Val, arg: Any) -> Val:
    *conv, kernel = arg
    groups, (n, o, *size) = conv[3], g.shape
    c, count = x.shape[1] // groups, n * numel(tuple(size))
    rank = len(kernel)
    seen = windows(x, kernel, conv)
    order = (1, 2, *range(3, 3 + rank), 0, *range(3 + rank, 3 + 2 * rank))
    columns = reshape(permute(seen, arg=order), arg=(groups, c * numel(kernel), count))
    rows = reshape(g, arg=(n, groups, o // groups, numel(tuple(size))))
    rows = reshape(permute(rows, arg=(1, 2, 0, 3)), arg=(groups, o // groups, count))
    return view(matmul(rows, transpose(columns)), arg=(o, c, *kernel))


def _phase(r: int, kernel: int, arg: tuple[int, tuple[int, int], int, int, int]) -> Any:
    """The places ``i`` of one dimension with (i + before) % stride == r: a dense convolution.

    Gives (first place, how many, first tap, step of taps, taps, padding, dilation).
    """
    stride, (before, _), dilation, size, have = arg
    first = (r - before) % stride
    count = max(0, -(-(size - first) // stride))
    shared = gcd(dilation, stride)
    step = stride // shared
    tap = next((k for k in range(min(step, kernel)) if k * dilation % stride == r), None)
    if tap is None or not count:
        return first, count, 0, 1, 0, (0, 0), 1
    taps = -(-(kernel - tap) // step)
    spread = dilation // shared
    base = (first + before - tap * dilation) // stride
    return first, count, tap, step, taps, ((taps - 1) * spread - base, base + count - have), spread


def _convolve_input(g: Val, w: Val, arg: Any) -> Val:
    stride, pads, dilation, groups, size = arg
    o, c, *kernel = w.shape
    n, rank = g.shape[0], len(kernel)
    turned = reshape(w, arg=(groups, o // groups, c, *kernel))
    turned = permute(turned, arg=(0, 2, 1, *range(3, 3 + rank)))
    turned = reshape(turned, arg=(groups * c, o // groups, *kernel))
    shape = (n, groups * c, *size)
    strides = contiguous_strides(shape)
    out: Val | None = None
    for residues in product(*map(range, stride)):
        phases = [
            _phase(r, kernel[d], (stride[d], pads[d], dilation[d], size[d], g.shape[2 + d]))
            for d, r in enumerate(residues)
        ]
        if any(not p[4] for p in phases):  # no tap reaches these places
            continue
        part = turned
        for d, (_, _, tap, step, taps, _, _) in enumerate(phases, 2):
            if (tap, taps) != (0, part.shape[d]):
                part = slice_(part, arg=(d, tap, part.shape[d], step))
        dims = tuple(d for d in range(2, 2 + rank) if part.shape[d] > 1)
        part = flip(part, arg=dims) if dims else part
        conv = ((1,) * rank, tuple(p[5] for p in phases), tuple(p[6] for p in phases), groups)
        piece = convolve(g, part, arg=conv)
        if stride == (1,) * rank:
            return piece
        region = (n, groups * c, *(p[1] for p in phases))
        steps = (*strides[:2], *(s * k for s, k in zip(strides[2:], stride, strict=True)))
        offset = sum(p[0] * s for p, s in zip(phases, strides[2:], strict=True))
        out = write(zeros(g, shape) if out is None else out, piece, arg=(region, steps, offset))
    return zeros(g, shape) if out is None else out


# ---------------------------------------------------------------- gradients
def _grad(i: int, g: Val, out: Val, x: Val, w: Val) -> Val:
    if i == 0:
        return convolve_input(g, w, arg=(*out.arg, x.shape[2:]))
    return convolve_weight(x, g, arg=(*out.arg, w.shape[2:]))


def _grad_input(i: int, gx: Val, out: Val, g: Val, w: Val) -> Val:
    conv = out.arg[:4]
    if i == 0:
        return convolve(gx, w, arg=conv)
    return convolve_weight(gx, g, arg=(*conv, w.shape[2:]))


def _grad_weight(i: int, gw: Val, out: Val, x: Val, g: Val) -> Val:
    conv = out.arg[:4]
    if i == 0:
        return convolve_input(g, gw, arg=(*conv, x.shape[2:]))
    return convolve(x, gw, arg=conv)


convolve: Op = register(Op("convolve", CONTRACT, _infer))
convolve.decompose = _convolve  # what is not float32 or float64
convolve.grads = _grad
convolve_input: Op = register(Op("convolve_input", COMPOSITE, _infer_input))
convolve_input.decompose = _convolve_input
convolve_input.grads = _grad_input
convolve_weight: Op = register(Op("convolve_weight", CONTRACT, _infer_weight))
convolve_weight.decompose = _convolve_weight
convolve_weight.grads = _grad_weight


# ---------------------------------------------------------------- with a bias
def _infer_biased(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    out = _infer(op, srcs[:2], arg)
    b = srcs[2]
    if b.shape != out.shape[1:2] or b.dtype is not out.dtype:
        raise ValueError(f"{op.name}: bias {b!r} does not fit a result {out!r}")
    return out


def _biased(x: Val, w: Val, bias: Val, arg: Any) -> Val:
    made = convolve(x, w, arg=arg)
    return add(made, view(bias, arg=(-1, *(1,) * (len(x.shape) - 2))))


def _grad_biased(i: int, g: Val, out: Val, x: Val, w: Val, bias: Val) -> Val:
    if i < 2:
        return _grad(i, g, out, x, w)
    return sum_(g, arg=((0, *range(2, len(g.shape))), False))


# (x, weight, bias): each channel of the convolution plus its number
convolution: Op = register(Op("convolution", COMPOSITE, _infer_biased))
convolution.decompose = _biased
convolution.grads = _grad_biased
