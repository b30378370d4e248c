"""`torch.testing`: comparisons of tensors for tests, and tensors to test with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.engine import Tensor
from rushlight.tensor.convert import detach, requires_grad_
from rushlight.tensor.creation import as_tensor, empty
from rushlight.tensor.install import sizes

__all__ = ["assert_allclose", "assert_close", "make_tensor"]

# (relative, absolute), as PyTorch's.
_TOLERANCES = {
    dt.float16: (1e-3, 1e-5), dt.bfloat16: (1.6e-2, 1e-5), dt.float32: (1.3e-6, 1e-5),
    dt.float64: (1e-7, 1e-7), dt.complex64: (1.3e-6, 1e-5), dt.complex128: (1e-7, 1e-7),
}  # fmt: skip


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """`AssertionError` unless tensors (numbers, or nests of them) agree to their types' tolerance.

    `rtol` and `atol` are given together or not at all.
    """
    if (rtol is None) != (atol is None):
        raise ValueError(
            "Both 'rtol' and 'atol' must be either specified or unspecified, but got no "
            f"{'rtol' if rtol is None else 'atol'}"
        )

    def differ(text: str) -> AssertionError:
        return AssertionError(text if msg is None else msg(text) if callable(msg) else msg)

    def compare(a: Any, b: Any, where: str) -> None:
        if isinstance(b, Mapping) and isinstance(a, Mapping):
            if a.keys() != b.keys():
                raise differ(f"The keys of the mappings do not match: {set(a) ^ set(b)}{where}")
            for key in b:
                compare(a[key], b[key], f"{where}\n\nThe failure occurred for item [{key!r}]")
            return
        plain = (list, tuple)
        if isinstance(b, plain) and isinstance(a, plain):
            if len(a) != len(b):
                raise differ(f"The length of the sequences mismatch: {len(a)} != {len(b)}{where}")
            for i, (x, y) in enumerate(zip(a, b, strict=True)):
                compare(x, y, f"{where}\n\nThe failure occurred for item [{i}]")
            return
        if a is None or b is None:
            if a is not b:
                raise differ(f"None mismatch: {a} is not {b}{where}")
            return
        one(a, b, where)

    def one(a: Any, b: Any, where: str) -> None:
        numbers = not isinstance(a, Tensor) and not isinstance(b, Tensor)
        if numbers and not (isinstance(a, int | float | complex | np.ndarray | np.generic)):
            raise TypeError(f"No comparison pair was able to handle inputs of type {type(a)}")
        x, y = as_tensor(a), as_tensor(b)
        if x.shape != y.shape:
            raise differ(
                f"The values for attribute 'shape' do not match: {x.shape} != {y.shape}.{where}"
            )
        if check_dtype and not numbers and x.dtype is not y.dtype:
            raise differ(
                f"The values for attribute 'dtype' do not match: {x.dtype} != {y.dtype}.{where}"
            )
        if check_device and x.device != y.device:
            raise differ(
                f"The values for attribute 'device' do not match: {x.device} != {y.device}.{where}"
            )
        if check_stride and x.rec.spec.strides != y.rec.spec.strides:
            raise differ(f"The values for attribute 'stride()' do not match.{where}")
        tolerances = [_TOLERANCES.get(t.dtype, (0.0, 0.0)) for t in (x, y)]
        relative = max(t[0] for t in tolerances) if rtol is None else rtol
        absolute = max(t[1] for t in tolerances) if atol is None else atol
        p, q = _array(x), _array(y)
        good = np.isclose(p, q, relative, absolute, equal_nan)
        if good.all():
            return
        with np.errstate(all="ignore"):
            gap = np.abs(p - q) if p.dtype.kind != "b" else (p != q).astype(float)
            ratio = gap / np.abs(q)
        gap, ratio = np.where(good, 0, gap), np.where(good, 0, ratio)
        kind = "Scalars" if not p.shape else "Tensor-likes"
        words = "close" if relative or absolute else "equal"
        if not p.shape:
            raise differ(
                f"{kind} are not {words}!\n\nExpected {q.item()} but got {p.item()}.\n"
                f"Absolute difference: {gap.item()} (up to {absolute} allowed)\n"
                f"Relative difference: {ratio.item()} (up to {relative} allowed){where}"
            )
        wrong = int((~good).sum())
        at, far = (np.unravel_index(int(np.nanargmax(v)), v.shape) for v in (gap, ratio))
        raise differ(
            f"{kind} are not {words}!\n\n"
            f"Mismatched elements: {wrong} / {good.size} ({100 * wrong / good.size:.1f}%)\n"
            f"Greatest absolute difference: {gap[at]} at index {tuple(map(int, at))} (up to "
            f"{absolute} allowed)\nGreatest relative difference: {ratio[far]} at index "
            f"{tuple(map(int, far))} (up to {relative} allowed){where}"
        )

    compare(actual, expected, "")


def _array(x: Tensor) -> Any:
    a = engine.read(detach(x))
    return a.astype(np.float64) if x.dtype.kind == "f" else a


def assert_allclose(
    actual: Any, expected: Any, rtol: float | None = None, atol: float | None = None,
    equal_nan: bool = True, msg: str = "",
) -> None:  # fmt: skip
    """`assert_close` that does not compare types; the older name."""
    assert_close(
        actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=False,
        msg=msg or None,
    )  # fmt: skip


def make_tensor(
    *shape: Any,
    dtype: Any,
    device: Any = "cpu",
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor of random numbers in `[low, high)`; by default [-9, 9), bools of both kinds."""
    made: Any = empty(sizes(shape, "make_tensor"), dtype=dtype, device=device)
    if dtype.kind == "b":
        made.random_(0, 2)
    elif dtype.rank == 1:
        least = 0 if dtype.kind == "u" else -9
        made.random_(least if low is None else int(low), 10 if high is None else int(high))
    else:
        made.uniform_(-9.0 if low is None else low, 9.0 if high is None else high)
    if exclude_zero:
        made[made == 0] = 1
    if noncontiguous and made.numel() > 1:
        made = made.repeat_interleave(2, -1)[..., ::2]
    return requires_grad_(made) if requires_grad else made
