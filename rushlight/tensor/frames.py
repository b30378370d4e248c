"""Short-time Fourier transforms: overlapping frames of a signal, each with a window, and back."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.engine import Tensor
from rushlight.graph.ops import complexes as cx
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import fourier as rows
from rushlight.graph.ops import indexing, movement
from rushlight.graph.ops.join import cat as CAT
from rushlight.tensor import shape as sh
from rushlight.tensor.creation import owned
from rushlight.tensor.fourier import resized
from rushlight.tensor.install import both, need_tensor

apply: Callable[..., Tensor] = engine.apply
look: Callable[..., Tensor] = engine.view


def _reach(n: int, pad: int, mode: str) -> Any:
    """The places of a line of `n` that a padded line shows; -1 stands for zero."""
    at = np.arange(-pad, n + pad)
    if mode == "constant":
        return np.where((at < 0) | (at >= n), -1, at)
    if mode == "replicate":
        return np.clip(at, 0, n - 1)
    if mode == "circular":
        return at % n
    if mode != "reflect":
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if pad >= n:
        raise RuntimeError(
            f"Argument #4: Padding size should be less than the corresponding input dimension, but "
            f"got: padding ({pad}, {pad}) at dimension 2 of input of length {n}"
        )
    at = np.abs(at)
    return np.where(at >= n, 2 * (n - 1) - at, at)


def _padded(x: Tensor, pad: int, mode: str) -> Tensor:
    """Lines (batch, n) with `pad` more on both sides."""
    at = _reach(x.shape[1], pad, mode)
    if mode == "constant":
        side = engine.full((x.shape[0], pad), 0, x.dtype, x.device)
        return apply(CAT, side, x, side, arg=1)
    return apply(indexing.index, x, owned(at, dt.int64, x.device), arg=(1,))


def _window(window: Any, length: int, n_fft: int, like: Tensor, name: str) -> Tensor | None:
    """The window in the middle of a frame; None for one that changes nothing."""
    if window is None:
        if length == n_fft:
            return None
        window = engine.full((length,), 1, like.dtype.to_real(), like.device)
    need_tensor(window, name, "window")
    if len(window.shape) != 1 or window.shape[0] != length:
        raise RuntimeError(
            f"{name}: expected a 1D window tensor of size equal to win_length={length}, but got "
            f"window with size {list(window.shape)}"
        )
    left = (n_fft - length) // 2
    if length < n_fft:
        sides = [
            engine.full((k,), 0, window.dtype, window.device) for k in (left, n_fft - length - left)
        ]
        window = apply(CAT, sides[0], window, sides[1], arg=0)
    return window  # type: ignore[no-any-return]


@both()
def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """The Fourier transforms of overlapping frames: (batch, frequency, frame), complex.

    `input`: a signal, or a batch of them.  Without `return_complex` the result of a real signal is
    an error, as in PyTorch; False gives pairs of real numbers in a last dimension.

    >>> import rushlight as torch
    >>> torch.stft(torch.ones(16), 8, return_complex=True).shape
    torch.Size([5, 9])
    """
    need_tensor(input, "stft")
    hop = n_fft // 4 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    of_complex = input.dtype.kind == "c" or (window is not None and window.dtype.kind == "c")
    if return_complex is None:
        if not of_complex:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs, and will "
                "further require that return_complex=True in a future PyTorch release."
            )
        return_complex = True
    if input.dtype.rank < 2 or not 1 <= len(input.shape) <= 2:
        raise RuntimeError(
            f"stft: expected a 1D or 2D tensor of floating types, not {list(input.shape)} of "
            f"{input.dtype}"
        )
    x = look(movement.unsqueeze, input, 0) if len(input.shape) == 1 else input
    if center:
        x = _padded(x, n_fft // 2, pad_mode)
    if not 0 < n_fft <= x.shape[1]:
        raise RuntimeError(f"stft: expected 0 < n_fft < {x.shape[1]}, but got n_fft={n_fft}")
    if hop <= 0:
        raise RuntimeError(f"stft: expected hop_length > 0, but got hop_length={hop}")
    if not 0 < length <= n_fft:
        raise RuntimeError(f"stft: expected 0 < win_length <= n_fft, but got win_length={length}")
    frames = sh.unfold(x, -1, n_fft, hop)
    shape = _window(window, length, n_fft, input, "stft")
    if shape is not None:
        frames = apply(ew.mul, frames, shape)
    half = not of_complex if onesided is None else onesided
    if half and of_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    mode = "root" if normalized else "none"
    if half:
        made = apply(rows.fft_r2c, frames, arg=((2,), mode))
    else:
        wide = apply(ew.cast, frames, arg=frames.dtype.to_complex())
        made = apply(rows.fft_c2c, wide, arg=((2,), mode, True))
    made = sh.transpose(made, 1, 2)
    if len(input.shape) == 1:
        made = look(movement.select, made, (0, 0))
    return made if return_complex else apply(cx.as_real, made)


@both()
def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The signal of which `stft` gave the frames: overlapping frames added, the windows undone."""
    need_tensor(input, "istft")
    hop = n_fft // 4 if hop_length is None else hop_length
    size = n_fft if win_length is None else win_length
    if input.dtype.kind != "c":
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with "
            "return_complex=True."
        )
    if 0 in input.shape:
        raise RuntimeError("istft: input tensor cannot be empty.")
    if len(input.shape) not in (2, 3):
        raise RuntimeError(
            f"istft: expected a tensor with 2 or 3 dimensions, but got {len(input.shape)}"
        )
    x = look(movement.unsqueeze, input, 0) if len(input.shape) == 2 else input
    half = x.shape[1] != n_fft if onesided is None else onesided
    wanted = n_fft // 2 + 1 if half else n_fft
    if x.shape[1] != wanted:
        raise RuntimeError(
            "istft: expected the frequency dimension (3rd to the last) of the input tensor to "
            f"match n_fft{' / 2 + 1' if half else ''} when onesided={half}, but got {x.shape[1]}"
        )
    if not 0 < hop <= size:
        raise RuntimeError("istft: expected 0 < hop_length <= win_length")
    if not 0 < size <= n_fft:
        raise RuntimeError("istft: expected 0 < win_length <= n_fft")
    mode = "root" if normalized else "n"
    lines = sh.transpose(x, 1, 2)  # (batch, frame, frequency)
    if return_complex:
        if half:
            raise RuntimeError("istft: cannot have onesided=True with return_complex=True")
        frames = apply(rows.fft_c2c, lines, arg=((2,), mode, False))
    else:
        if not half:
            lines = sh.narrow(lines, 2, 0, n_fft // 2 + 1)
        frames = apply(rows.fft_c2r, lines, arg=((2,), mode, n_fft))
    if window is None:
        window = engine.full((size,), 1, frames.dtype.to_real(), x.device)
    shape = _window(window, size, n_fft, input, "istft")
    assert shape is not None
    count = frames.shape[1]
    total = n_fft + hop * (count - 1)
    signal = _overlapped(apply(ew.mul, frames, shape), hop, total)
    squares = sh.expand(look(movement.unsqueeze, apply(ew.square, shape), 0), count, n_fft)
    envelope = _overlapped(look(movement.unsqueeze, squares, 0), hop, total)
    start = n_fft // 2 if center else 0
    end = total - start if length is None else min(start + length, total)
    signal, envelope = (sh.narrow(t, 1, start, end - start) for t in (signal, envelope))
    least = np.abs(engine.read(engine.detach(envelope))).min(initial=np.inf)
    if not least > 1e-11:
        raise RuntimeError("window overlap add min: 1")
    made = apply(ew.div, signal, envelope)
    if length is not None and made.shape[1] < length:
        warnings.warn(
            "The length of signal is shorter than the length parameter. Result is being padded "
            "with zeros in the tail. Please check your center and hop_length settings.",
            stacklevel=2,
        )
        made = resized(made, (1,), [length])
    return look(movement.select, made, (0, 0)) if len(input.shape) == 2 else made


def _overlapped(frames: Tensor, hop: int, total: int) -> Tensor:
    """Frames (batch, frame, n) added where they lie: (batch, total)."""
    batch, count, n = frames.shape
    places = (np.arange(count)[:, None] * hop + np.arange(n)).reshape(-1)
    base = engine.full((batch, total), 0, frames.dtype, frames.device)
    at = owned(places.astype(np.int64), dt.int64, frames.device)
    flat = sh.reshaped(frames, (batch, count * n))
    return apply(indexing.index_put, base, flat, at, arg=((1,), True))
