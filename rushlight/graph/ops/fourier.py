"""Discrete Fourier transforms: SciPy computes them.

    fft_c2c(x)   complex to complex         arg = (dims, mode, forward)
    fft_r2c(x)   real to half of complex    arg = (dims, mode)           forward, last dim halved
    fft_c2r(x)   half of complex to real    arg = (dims, mode, n)        backward, last dim to n

``mode`` says by what a result is divided: ``'none'``, ``'root'`` (of the number of points) or
``'n'``.  A transform is linear, and its gradient is its conjugate transpose: the transform the
other way with the same mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ...base.shape import Ints
from ..op import LIBRARY, Op, Spec, register
from ..value import Val
from .complexes import real
from .core import zeros
from .movement import laid_out, slice_, write

_FORWARD: Final = {"none": "backward", "root": "ortho", "n": "forward"}
_BACKWARD: Final = {"none": "forward", "root": "ortho", "n": "backward"}


def _sized(shape: tuple[int, ...], dim: int, n: int) -> tuple[int, ...]:
    return (*shape[:dim], n, *shape[dim + 1 :])


def _layout(shape: Ints, strides: Ints, dims: Ints, kept: int) -> Ints:
    """Strides of a result: transformed dimensions are innermost, as PyTorch lays them out.

    They are ordered as the operand's lie in memory, but for the last ``kept`` of them.
    """
    head = sorted(dims[: len(dims) - kept], key=lambda d: -strides[d])
    rest = sorted([d for d in range(len(shape)) if d not in dims], key=lambda d: -strides[d])
    out, step = [1] * len(shape), 1
    for d in reversed([*rest, *head, *dims[len(dims) - kept :]]):
        out[d] = step
        step *= max(shape[d], 1)
    return tuple(out)


# ---------------------------------------------------------------- complex to complex
def _c2c(x: Any, arg: Any = None) -> Any:
    import scipy.fft

    dims, mode, forward = arg
    if not x.size:
        return x
    if forward:
        return scipy.fft.fftn(x, axes=dims, norm=_FORWARD[mode])
    return scipy.fft.ifftn(x, axes=dims, norm=_BACKWARD[mode])


def _infer_c2c(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    return Spec(x.shape, x.dtype, _layout(x.shape, x.strides, arg[0], 0), x.device)


def _c2c_grad(g: Val, out: Val, x: Val) -> Val:
    dims, mode, forward = out.arg
    return fft_c2c(g, arg=(dims, mode, not forward))


# ---------------------------------------------------------------- real to half of complex
def _r2c(x: Any, arg: Any = None) -> Any:
    import scipy.fft

    dims, mode = arg
    if not x.size:
        shape = _sized(x.shape, dims[-1], x.shape[dims[-1]] // 2 + 1)
        return np.zeros(shape, np.result_type(x.dtype, np.complex64))
    return scipy.fft.rfftn(x, axes=dims, norm=_FORWARD[mode])


def _infer_r2c(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x, last = srcs[0], arg[0][-1]
    shape = _sized(x.shape, last, x.shape[last] // 2 + 1)
    return Spec(shape, x.dtype.to_complex(), _layout(shape, x.strides, arg[0], 1), x.device)


def _r2c_grad(g: Val, out: Val, x: Val) -> Val:
    """The missing half of what came in as zeros, transformed back; the real part of that."""
    dims, mode = out.arg
    last = dims[-1]
    if x.shape[last] != g.shape[last]:
        whole = zeros(g, _sized(g.shape, last, x.shape[last]))
        spec = Spec(whole.shape, whole.dtype)
        g = write(whole, g, arg=(g.shape, spec.strides, 0))
    return real(fft_c2c(g, arg=(dims, mode, False)))


# ---------------------------------------------------------------- half of complex to real
def _c2r(x: Any, arg: Any = None) -> Any:
    import scipy.fft

    dims, mode, n = arg
    sizes = [x.shape[d] for d in dims[:-1]] + [n]
    if not x.size:
        return np.zeros(_sized(x.shape, dims[-1], n), x.real.dtype)
    return scipy.fft.irfftn(x, s=sizes, axes=dims, norm=_BACKWARD[mode])


def _infer_c2r(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    dims, _, n = arg
    strides = x.strides
    if len(dims) > 1:
        strides = _layout(x.shape, strides, dims[:-1], 0)
    shape = _sized(x.shape, dims[-1], n)
    return Spec(shape, x.dtype.to_real(), _layout(shape, strides, dims[-1:], 0), x.device)


def _c2r_grad(g: Val, out: Val, x: Val) -> Val:
    """Numbers that stand for their mirror image too count twice."""
    dims, mode, n = out.arg
    last = dims[-1]
    made = fft_r2c(g, arg=(dims, mode))
    doubled = n - made.shape[last]
    if doubled > 0:
        part = slice_(made, arg=(last, 1, 1 + doubled, 1))
        spec = Spec(made.shape, made.dtype)
        region = (part.shape, spec.strides, spec.strides[last])
        made = write(laid_out(made, spec.strides), part * 2.0, arg=region)
    return made


def _enter(name: str, infer: Any, call: Any, grad: Any) -> Op:
    op = register(Op(name, LIBRARY, infer))
    op.call, op.grads = call, (grad,)
    return op


fft_c2c: Op = _enter("fft_c2c", _infer_c2c, _c2c, _c2c_grad)
fft_r2c: Op = _enter("fft_r2c", _infer_r2c, _r2c, _r2c_grad)
fft_c2r: Op = _enter("fft_c2r", _infer_c2r, _c2r, _c2r_grad)
