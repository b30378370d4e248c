"""`torch.fft`: discrete Fourier transforms and their helpers; `rushlight/fft` shows them.

Transforms of half and bfloat16 are refused, as on PyTorch's CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.shape import Ints, wrap_dim
from rushlight.engine import Tensor
from rushlight.graph.ops import complexes as cx
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import fourier as rows
from rushlight.graph.ops import movement
from rushlight.graph.ops.join import cat as CAT
from rushlight.tensor.creation import owned
from rushlight.tensor.install import element_type, give, named, need_tensor, place
from rushlight.tensor.join import roll

apply: Callable[..., Tensor] = engine.apply
FFT: Final[dict[str, Any]] = {}  # the functions of `torch.fft`


def _enter(f: Callable[..., Any]) -> Callable[..., Any]:
    FFT[f.__name__] = f
    return f


# ---------------------------------------------------------------- arguments
_MODES: Final = {  # of a forward transform; of a backward one the other way round
    None: ("none", "n"), "backward": ("none", "n"), "forward": ("n", "none"),
    "ortho": ("root", "root"),
}  # fmt: skip


def mode_of(norm: Any, forward: bool) -> str:
    """What a result is divided by."""
    if norm not in _MODES:
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    return _MODES[norm][0 if forward else 1]


def _floating(x: Any, name: str, complex_too: bool = True) -> Tensor:
    need_tensor(x, f"fft_{name}")
    if x.dtype.kind == "c" and not complex_too:
        raise RuntimeError(f"{name} expects a real input tensor, but got {x.dtype.typename}")
    if x.dtype.narrow:
        raise RuntimeError(f"Unsupported dtype {x.dtype.typename}")
    return x if x.dtype.rank > 1 else apply(ew.cast, x, arg=dt.Defaults.float)


def _complex(x: Tensor) -> Tensor:
    return x if x.dtype.kind == "c" else apply(ew.cast, x, arg=x.dtype.to_complex())


def _points(n: int) -> None:
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")


def resized(x: Tensor, dims: Ints, sizes: Sequence[int]) -> Tensor:
    """`x` cut off, or filled up with zeros, to sizes along dimensions; -1 leaves one alone."""
    for d, n in zip(dims, sizes, strict=True):
        have = x.shape[d]
        if n == -1 or n == have:
            continue
        if n < have:
            x = engine.view(movement.slice_, x, (d, 0, n, 1))
        else:
            more = tuple(n - have if k == d else m for k, m in enumerate(x.shape))
            x = apply(CAT, x, engine.full(more, 0, x.dtype, x.device), arg=d)
    return x


def _dims_of(x: Tensor, s: Any, dim: Any, name: str) -> tuple[Ints, list[int]]:
    """Dimensions and sizes (-1: as it is) of a transform over several dimensions."""
    n = len(x.shape)
    if dim is not None:
        given = (dim,) if isinstance(dim, int) else tuple(dim)
        dims = tuple(wrap_dim(d, n) for d in given)
        if len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
    if s is not None:
        sizes = [s] if isinstance(s, int) else list(s)
        if dim is None:
            if len(sizes) > n:
                raise RuntimeError(
                    f"Got shape with {len(sizes)} values but input tensor only has {n} dimensions."
                )
            dims = tuple(range(n - len(sizes), n))
        elif len(sizes) != len(dims):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
    else:
        if dim is None:
            dims = tuple(range(n))
        sizes = [-1] * len(dims)
    for d, m in zip(dims, sizes, strict=True):
        _points(x.shape[d] if m == -1 else m)
    return dims, sizes


# ---------------------------------------------------------------- the three transforms
def _c2c(x: Tensor, dims: Ints, mode: str, forward: bool) -> Tensor:
    x = _complex(x)
    return apply(rows.fft_c2c, x, arg=(dims, mode, forward)) if dims else x


def _c2r(x: Tensor, dims: Ints, mode: str, last: int) -> Tensor:
    return apply(rows.fft_c2r, _complex(x), arg=(dims, mode, last))


def _conj(x: Tensor) -> Tensor:
    return apply(cx.conj, x) if x.dtype.kind == "c" else x


def _along(x: Tensor, n: Any, dim: int) -> tuple[Tensor, Ints]:
    """`x` resized to `n` points along `dim`, and that dimension."""
    dims = (wrap_dim(dim, len(x.shape)),)
    if not x.shape:
        raise IndexError("Dimension specified as -1 but tensor has no dimensions")
    if n is not None:
        _points(n)
        x = resized(x, dims, [n])
    _points(x.shape[dims[0]])
    return x, dims


# ---------------------------------------------------------------- one dimension
def _one(name: str, forward: bool) -> None:
    def f(
        input: Tensor, n: Any = None, dim: int = -1, norm: Any = None, *, out: Tensor | None = None
    ) -> Tensor:
        mode = mode_of(norm, forward)
        x, dims = _along(_floating(input, name), n, dim)
        return give(_c2c(x, dims, mode, forward), out, name)

    f.__doc__ = f"The discrete Fourier transform along a dimension{'' if forward else ', undone'}."
    _enter(named(f, name))


_one("fft", True)
_one("ifft", False)


@_enter
def rfft(
    input: Tensor, n: Any = None, dim: int = -1, norm: Any = None, *, out: Tensor | None = None
) -> Tensor:
    """The transform of real numbers: the half that the other half mirrors."""
    mode = mode_of(norm, True)
    x, dims = _along(_floating(input, "rfft", False), n, dim)
    return give(apply(rows.fft_r2c, x, arg=(dims, mode)), out, "rfft")


@_enter
def ihfft(
    input: Tensor, n: Any = None, dim: int = -1, norm: Any = None, *, out: Tensor | None = None
) -> Tensor:
    """`hfft` undone."""
    mode = mode_of(norm, False)
    x, dims = _along(_floating(input, "ihfft", False), n, dim)
    return give(_conj(apply(rows.fft_r2c, x, arg=(dims, mode))), out, "ihfft")


def _to_real(name: str, forward: bool) -> None:
    def f(
        input: Tensor, n: Any = None, dim: int = -1, norm: Any = None, *, out: Tensor | None = None
    ) -> Tensor:
        mode = mode_of(norm, forward)
        x = _floating(input, name)
        d = wrap_dim(dim, len(x.shape))
        last = 2 * (x.shape[d] - 1) if n is None else n
        _points(last)
        x = resized(x, (d,), [last // 2 + 1])
        return give(_c2r(_conj(x) if forward else x, (d,), mode, last), out, name)

    f.__doc__ = "Real numbers of the half of a transform that is given; `n`: how many."
    _enter(named(f, name))


_to_real("irfft", False)
_to_real("hfft", True)


# ---------------------------------------------------------------- several dimensions
def _several(name: str, forward: bool) -> None:
    def f(
        input: Tensor, s: Any = None, dim: Any = None, norm: Any = None, *,
        out: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        mode = mode_of(norm, forward)
        x = _floating(input, name)
        dims, sizes = _dims_of(x, s, dim, name)
        return give(_c2c(resized(x, dims, sizes), dims, mode, forward), out, name)

    f.__doc__ = f"The transform over several dimensions{'' if forward else ', undone'}."
    _enter(named(f, name))


def _several_half(name: str, forward: bool) -> None:
    def f(
        input: Tensor, s: Any = None, dim: Any = None, norm: Any = None, *,
        out: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        mode = mode_of(norm, forward)
        x = _floating(input, name, False)
        dims, sizes = _dims_of(x, s, dim, name)
        if not dims:
            raise RuntimeError(f"{name} must transform at least one axis")
        x = resized(x, dims, sizes)
        if forward:
            made = apply(rows.fft_r2c, x, arg=(dims, mode))
        else:
            made = _conj(apply(rows.fft_r2c, x, arg=(dims[-1:], mode)))
            made = _c2c(made, dims[:-1], mode, False)
        return give(made, out, name)

    f.__doc__ = "The transform of real numbers over several dimensions, the last one halved."
    _enter(named(f, name))


def _several_real(name: str, forward: bool) -> None:
    def f(
        input: Tensor, s: Any = None, dim: Any = None, norm: Any = None, *,
        out: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        mode = mode_of(norm, forward)
        x = _floating(input, name)
        dims, sizes = _dims_of(x, s, dim, name)
        if not dims:
            raise RuntimeError(f"{name} must transform at least one axis")
        last = 2 * (x.shape[dims[-1]] - 1) if sizes[-1] == -1 else sizes[-1]
        _points(last)
        x = resized(x, dims, [*sizes[:-1], last // 2 + 1])
        return give(_c2r(_conj(x) if forward else x, dims, mode, last), out, name)

    f.__doc__ = "Real numbers of the half of a transform over several dimensions."
    _enter(named(f, name))


for _name, _make, _forward in (
    ("fftn", _several, True), ("ifftn", _several, False), ("rfftn", _several_half, True),
    ("ihfftn", _several_half, False), ("irfftn", _several_real, False),
    ("hfftn", _several_real, True),
):  # fmt: skip
    _make(_name, _forward)


def _plane(name: str) -> None:
    over = FFT[name[:-1] + "n"]

    def f(
        input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: Any = None, *,
        out: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        return over(input, s, dim, norm, out=out)  # type: ignore[no-any-return]

    f.__doc__ = f"`{name[:-1]}n` over the last two dimensions."
    _enter(named(f, name))


for _name in ("fft2", "ifft2", "rfft2", "irfft2", "hfft2", "ihfft2"):
    _plane(_name)


# ---------------------------------------------------------------- frequencies
def _frequencies(name: str, half: bool) -> None:
    def f(
        n: int, d: float = 1.0, *, out: Tensor | None = None, dtype: Any = None,
        layout: Any = None, device: Any = None, requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:  # fmt: skip
        kind = dt.Defaults.float if dtype is None else element_type(dtype, name)
        whole = (
            np.arange(n // 2 + 1) if half else np.fft.ifftshift(np.arange(-(n // 2), n - n // 2))
        )
        step = np.asarray(1.0 / (n * d))
        a = (whole.astype(kind.numpy) * step.astype(kind.numpy)).astype(kind.numpy)
        return give(owned(a, kind, place(device), requires_grad), out, name)

    f.__doc__ = "The frequencies that a transform of `n` points, `d` apart, gives."
    _enter(named(f, name))


_frequencies("fftfreq", False)
_frequencies("rfftfreq", True)


def _shift(name: str, back: bool) -> None:
    def f(input: Tensor, dim: Any = None) -> Tensor:
        need_tensor(input, name)
        n = len(input.shape)
        dims = range(n) if dim is None else [dim] if isinstance(dim, int) else dim
        places = [wrap_dim(d, n) for d in dims]
        steps = [input.shape[d] // 2 if not back else (input.shape[d] + 1) // 2 for d in places]
        return roll(input, steps, places) if places else input

    f.__doc__ = f"The zero frequency {'back to the front' if back else 'in the middle'}."
    _enter(named(f, name))


_shift("fftshift", False)
_shift("ifftshift", True)
