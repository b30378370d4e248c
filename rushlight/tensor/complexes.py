"""Complex numbers: their making, their parts, and readings of memory as pairs.

There is no lazy conjugation: `conj` is an operation, and `is_conj` is always false.  `view_as_real`
and `view_as_complex` are copies (with gradients); `z.real = x` and `z.imag = x` write into `z`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.shape import broadcast_shapes
from rushlight.engine import Tensor
from rushlight.graph.ops import complexes as rows
from rushlight.graph.ops import elementwise as ew
from rushlight.tensor import shape as sh
from rushlight.tensor.install import attach, both, function, give, need_tensor
from rushlight.tensor.math import inplace_of

apply: Callable[..., Tensor] = engine.apply


# ---------------------------------------------------------------- making
def _pair(x: Tensor, y: Tensor, name: str, words: tuple[str, str]) -> None:
    need_tensor(x, name, words[0], 1)
    need_tensor(y, name, words[1], 2)
    for t in (x, y):
        if t.dtype not in (dt.float16, dt.float32, dt.float64):
            raise RuntimeError(
                "Expected both inputs to be Half, Float or Double tensors but got "
                f"{x.dtype.typename} and {y.dtype.typename}"
            )
    if x.dtype is not y.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {x.dtype.typename} but got scalar type "
            f"{y.dtype.typename} for second argument"
        )


def _given(made: Tensor, out: Tensor | None, name: str, like: Tensor) -> Tensor:
    if out is not None and out.dtype is not made.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {made.dtype.typename} but got scalar type "
            f"{out.dtype.typename} for argument 'out'"
        )
    return give(made, out, name)


@function("complex")
def complex_(real: Tensor, imag: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`real + i imag` of two tensors of one floating type; shapes broadcast.

    >>> import rushlight as torch
    >>> torch.complex(torch.tensor([1.0]), torch.tensor([2.0]))
    tensor([1.+2.j])
    """
    _pair(real, imag, "complex", ("real", "imag"))
    return _given(apply(rows.complex_, real, imag), out, "complex", real)


@function()
def polar(abs: Tensor, angle: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`abs (cos angle + i sin angle)` of two tensors of one floating type."""
    _pair(abs, angle, "polar", ("abs", "angle"))
    re = apply(ew.mul, abs, apply(ew.cos, angle))
    im = apply(ew.mul, abs, apply(ew.sin, angle))
    return _given(apply(rows.complex_, re, im), out, "polar", abs)


# ---------------------------------------------------------------- pairs
@function()
def view_as_real(input: Tensor) -> Tensor:
    """Real and imaginary parts side by side in a last dimension of size 2 (a copy)."""
    need_tensor(input, "view_as_real")
    if input.dtype.kind != "c":
        raise RuntimeError("view_as_real is only supported for complex tensors")
    return apply(rows.as_real, input)


@function()
def view_as_complex(input: Tensor) -> Tensor:
    """Pairs in the last dimension as complex numbers (a copy)."""
    need_tensor(input, "view_as_complex")
    if input.dtype not in (dt.float16, dt.float32, dt.float64):
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, but got a "
            f"tensor of scalar type: {input.dtype.typename}"
        )
    if not input.shape:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if input.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if input.rec.spec.strides[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(s % 2 for s, n in zip(input.rec.spec.strides[:-1], input.shape) if n != 1):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    return apply(rows.as_complex, input)


# ---------------------------------------------------------------- parts
@function("real")
def real(input: Tensor) -> Tensor:
    """The real part; of a real tensor, the tensor itself."""
    need_tensor(input, "real")
    return apply(rows.real, input) if input.dtype.kind == "c" else input


@function("imag")
def imag(input: Tensor) -> Tensor:
    """The imaginary part; `RuntimeError` for a real tensor."""
    need_tensor(input, "imag")
    if input.dtype.kind != "c":
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return apply(rows.imag, input)


def _set_real(self: Tensor, value: Any) -> None:
    if self.dtype.kind != "c":
        engine.assign(self, _tensor(self, value))
        return
    engine.assign(self, _joined(self, _tensor(self, value), imag(self)))


def _set_imag(self: Tensor, value: Any) -> None:
    if self.dtype.kind != "c":
        imag(self)
    engine.assign(self, _joined(self, real(self), value))


def _tensor(like: Tensor, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    return engine.full((), value, like.dtype.to_real(), like.device)


def _joined(like: Tensor, re: Any, im: Any) -> Tensor:
    kind = like.dtype.to_real()
    parts = [_tensor(like, p) for p in (re, im)]
    parts = [p if p.dtype is kind else apply(ew.cast, p, arg=kind) for p in parts]
    broadcast_shapes(tuple(parts[0].shape), tuple(parts[1].shape))
    return apply(rows.complex_, *parts)


setattr(Tensor, "real", property(real, _set_real))
setattr(Tensor, "imag", property(imag, _set_imag))


@both("conj", "conj_physical")
def conj(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The complex conjugate; of a real tensor, the tensor itself."""
    need_tensor(input, "conj")
    made = apply(rows.conj, input) if input.dtype.kind == "c" else input
    return give(made, out, "conj")


inplace_of("conj_physical_", conj)


@both("resolve_conj", "resolve_neg")
def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself: conjugation is never put off."""
    need_tensor(input, "resolve_conj")
    return input


@both()
def angle(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The angle of each number with the positive real line: 0 or pi for a real one."""
    need_tensor(input, "angle")
    return give(apply(rows.angle, input), out, "angle")


@both()
def sgn(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`x / |x|`, and 0 where `x` is 0; the sign of a real number."""
    need_tensor(input, "sgn")
    return give(apply(rows.sgn, input), out, "sgn")


inplace_of("sgn_", sgn)


@both()
def isreal(input: Tensor) -> Tensor:
    """Whether each element has no imaginary part."""
    need_tensor(input, "isreal")
    x = engine.detach(input)
    if x.dtype.kind == "c":
        return apply(ew.eq, apply(rows.imag, x), 0)
    return apply(ew.cast, apply(ew.zeros_like, x) == 0, arg=dt.bool_)


# ---------------------------------------------------------------- transposes
def _adjoint(name: str, plain: Any) -> Any:
    def f(self: Tensor) -> Tensor:
        return conj(plain(self))

    f.__doc__ = f"`{name}`: transposed and conjugated."
    return f


for _name, _of in (("H", "T"), ("mH", "mT")):
    setattr(Tensor, _name, property(_adjoint(_name, vars(Tensor)[_of].fget)))


@both("adjoint")
def adjoint(input: Tensor) -> Tensor:
    """The last two dimensions exchanged, conjugated."""
    return conj(sh.transpose(input, -2, -1))


def _number(self: Tensor) -> complex:
    if self.shape.numel() != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    return complex(engine.item(self))  # type: ignore[call-overload, no-any-return]


attach("__complex__", _number)

__all__ = ["complex_", "conj", "imag", "polar", "real", "view_as_complex", "view_as_real"]
