"""Parts of complex numbers: their rows, and the two readings of memory as pairs of real numbers.

The gradient of a real function at z is df/d(re) + i df/d(im), as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...base.shape import is_dense
from ..op import LIBRARY, Op, Spec, register
from ..value import Val
from .elementwise import R, _sign, abs_, cast, define, eq, mul, sub, where, zeros_like


def _imaginary(g: Val) -> Val:
    """``i g`` for a real ``g``."""
    return complex_(zeros_like(g), g)


def _sgn_grad(g: Val, out: Val, x: Val) -> Val:
    if x.dtype.kind != "c":
        return zeros_like(g)
    size = abs_(x)
    safe = where(eq(size, 0.0), 1.0, size)
    along = mul(out, real(mul(g, conj(out))))
    return where(eq(size, 0.0), 0.0, sub(g, along) / safe)


def _angle(e: Any, x: Any) -> Any:
    flat = e.where(x < 0, np.pi, e.const(0, x.dtype))
    return e.where(e.isnan(x), x, flat)


def _angle_grad(g: Val, out: Val, x: Val) -> Val:
    if x.dtype.kind != "c":
        return zeros_like(g)
    a, b = real(x), imag(x)
    square = a * a + b * b
    safe = where(eq(square, 0.0), 1.0, square)
    turned = complex_(-(g * b) / safe, g * a / safe)
    return where(eq(square, 0.0), 0.0, turned)


# `lower` is what a real operand asks for; graph/complexes.py has that of complex ones.
conj: Op = define("conj", lambda e, x: x, lambda g, out, x: conj(g), reference=np.conj)
real: Op = define(
    "real", lambda e, x: x, lambda g, out, x: cast(g, arg=x.dtype), types="part", reference=np.real
)
imag: Op = define(
    "imag", lambda e, x: e.const(0, x.dtype), lambda g, out, x: _imaginary(g), types="part",
    reference=np.imag,
)  # fmt: skip
sgn: Op = define("sgn", _sign, _sgn_grad, reference=np.sign)
angle: Op = define("angle", _angle, _angle_grad, types="float part", reference=np.angle)
complex_: Op = define(
    "complex", lambda e, x, y: e.pair(x, y), lambda g, out, x, y: real(g),
    lambda g, out, x, y: imag(g), types="pair", reference=lambda x, y: x + 1j * y,
    domain=(R, R),
)  # fmt: skip


# ---------------------------------------------------------------- pairs of real numbers
def _infer_as_real(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    strides = (*[2 * s for s in x.strides], 1) if is_dense(x.shape, x.strides) else None
    return Spec((*x.shape, 2), x.dtype.to_real(), strides, x.device)


def _infer_as_complex(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    return Spec(x.shape[:-1], x.dtype.to_complex(), None, x.device)


def _as_real(x: Any, arg: Any = None) -> Any:
    return np.stack([x.real, x.imag], axis=-1)


def _as_complex(x: Any, arg: Any = None) -> Any:
    out = np.empty(x.shape[:-1], np.complex64 if x.dtype == np.float32 else np.complex128)
    out.real, out.imag = x[..., 0], x[..., 1]
    return out


as_real: Op = register(Op("as_real", LIBRARY, _infer_as_real))  # (...) -> (..., 2)
as_real.call = _as_real
as_complex: Op = register(Op("as_complex", LIBRARY, _infer_as_complex))  # (..., 2) -> (...)
as_complex.call = _as_complex
as_real.grads = (lambda g, out, x: as_complex(g),)
as_complex.grads = (lambda g, out, x: as_real(g),)
