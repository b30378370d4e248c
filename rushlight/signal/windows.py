"""Windows: weights that fade towards the ends of a piece of signal.

`sym`: for designing filters; otherwise periodic, as spectra want them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from rushlight.base import dtype as dt
from rushlight.engine import Tensor
from rushlight.tensor.creation import owned
from rushlight.tensor.install import element_type, place

__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine",
    "general_hamming", "hamming", "hann", "kaiser", "nuttall",
]  # fmt: skip


def _window(name: str, M: int, formula: Any, sym: bool, more: dict[str, Any]) -> Tensor:
    """`formula(n, count)` at n = 0 ... M - 1, of a window of `count` points."""
    kind = more.pop("dtype", None)
    kind = dt.Defaults.float if kind is None else element_type(kind, name)
    requires = bool(more.pop("requires_grad", False))
    where = place(more.pop("device", None))
    layout = more.pop("layout", None)
    if more:
        raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(more))}'")
    if layout is not None and layout.name not in ("strided", "torch.strided"):
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if kind not in (dt.float32, dt.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {kind}")
    n = np.arange(M, dtype=np.float64)
    made = np.ones(M) if M == 1 else formula(n, M if sym else M + 1)
    return owned(np.ascontiguousarray(made, kind.numpy), kind, where, requires)


def _cosines(a: Iterable[float]) -> Any:
    terms = list(a)

    def formula(n: Any, count: int) -> Any:
        x = 2 * np.pi * n / (count - 1)
        return sum((-1) ** i * w * np.cos(i * x) for i, w in enumerate(terms))

    return formula


def general_cosine(M: int, *, a: Iterable[float], sym: bool = True, **more: Any) -> Tensor:
    """A sum of cosines with weights `a`, whose signs alternate."""
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    terms = list(a)
    if not terms:
        raise ValueError("Coefficients cannot be empty")
    return _window("general_cosine", M, _cosines(terms), sym, more)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, **more: Any) -> Tensor:
    """`alpha - (1 - alpha) * cos`."""
    return _window("general_hamming", M, _cosines((alpha, 1 - alpha)), sym, more)


def hamming(M: int, *, sym: bool = True, **more: Any) -> Tensor:
    """Hamming's window."""
    return _window("hamming", M, _cosines((0.54, 0.46)), sym, more)


def hann(M: int, *, sym: bool = True, **more: Any) -> Tensor:
    """Hann's window: a raised cosine."""
    return _window("hann", M, _cosines((0.5, 0.5)), sym, more)


def blackman(M: int, *, sym: bool = True, **more: Any) -> Tensor:
    """Blackman's window."""
    return _window("blackman", M, _cosines((0.42, 0.5, 0.08)), sym, more)


def nuttall(M: int, *, sym: bool = True, **more: Any) -> Tensor:
    """Nuttall's window of four terms."""
    terms = (0.3635819, 0.4891775, 0.1365995, 0.0106411)
    return _window("nuttall", M, _cosines(terms), sym, more)


def bartlett(M: int, *, sym: bool = True, **more: Any) -> Tensor:
    """A triangle."""
    return _window("bartlett", M, lambda n, k: 1 - np.abs(2 * n / (k - 1) - 1), sym, more)


def cosine(M: int, *, sym: bool = True, **more: Any) -> Tensor:
    """Half a wave of a sine."""
    return _window("cosine", M, lambda n, k: np.sin(np.pi * (n + 0.5) / k), sym, more)


def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, **more: Any
) -> Tensor:
    """Decay with `tau` to both sides of `center`."""
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")

    def formula(n: Any, count: int) -> Any:
        middle = (count - 1) / 2 if center is None else center
        return np.exp(-np.abs(n - middle) / tau)

    return _window("exponential", M, formula, sym, more)


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, **more: Any) -> Tensor:
    """A bell of deviation `std`."""
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    return _window(
        "gaussian", M, lambda n, k: np.exp(-0.5 * ((n - (k - 1) / 2) / std) ** 2), sym, more
    )


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, **more: Any) -> Tensor:
    """Kaiser's window; `beta` says how narrow."""
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")

    def formula(n: Any, count: int) -> Any:
        x = 2 * n / (count - 1) - 1
        return np.i0(beta * np.sqrt(np.maximum(1 - x * x, 0))) / np.i0(beta)

    return _window("kaiser", M, formula, sym, more)
