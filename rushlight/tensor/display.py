"""How tensors print: PyTorch's text, character for character (`torch/_tensor_str.py`).

Works on a NumPy array and what is known of the tensor beside its values, so that it can be tested
without an engine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from rushlight.base import dtype as dt
from rushlight.base.device import CPU, device
from rushlight.base.dtype import dtype

Array = np.ndarray[Any, np.dtype[Any]]


class PrintOptions:
    """The settings of `set_printoptions`; each field is one of its arguments."""

    def __init__(self) -> None:
        self.precision = 4
        self.threshold: float = 1000
        self.edgeitems = 3
        self.linewidth = 80
        self.sci_mode: bool | None = None


PRINT_OPTS = PrintOptions()

_PROFILES: dict[str, tuple[int, float, int, int]] = {
    "default": (4, 1000, 3, 80),
    "short": (2, 1000, 2, 80),
    "full": (4, math.inf, 3, 80),
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors print; what is not given stays, except `sci_mode`, which is always set.

    `profile`: `'default'`, `'short'` or `'full'`; the other arguments override it.
    """
    o = PRINT_OPTS
    if profile in _PROFILES:
        o.precision, o.threshold, o.edgeitems, o.linewidth = _PROFILES[profile]
    if precision is not None:
        o.precision = precision
    if threshold is not None:
        o.threshold = threshold
    if edgeitems is not None:
        o.edgeitems = edgeitems
    if linewidth is not None:
        o.linewidth = linewidth
    o.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The present options, as keyword arguments for `set_printoptions`."""
    return dict(vars(PRINT_OPTS))


@contextmanager
def printoptions(**kwargs: Any) -> Iterator[None]:
    """Other print options for a `with` block; arguments of `set_printoptions`."""
    before = get_printoptions()
    set_printoptions(**kwargs)
    try:
        yield
    finally:
        set_printoptions(**before)


class Formatter:
    """The one format of all elements of a tensor: whole, fixed point, scientific; the width."""

    def __init__(self, a: Array) -> None:
        self.floating = a.dtype.kind == "f"
        self.imaginary: Formatter | None = None
        if a.dtype.kind == "c":
            self.floating = True
            self.imaginary = Formatter(a.imag)
            a = a.real
        self.int_mode = True
        self.sci_mode = False
        self.width = 1
        flat = a.reshape(-1)
        if not self.floating:
            self._widen(f"{v}" for v in flat.tolist())
            return
        values = flat[np.isfinite(flat) & (flat != 0)]
        if not values.size:
            return
        size = np.abs(values)
        least, most = float(size.min()), float(size.max())
        self.int_mode = bool((values == np.ceil(values)).all())
        if PRINT_OPTS.sci_mode is None:
            self.sci_mode = most / least > 1000.0 or most > 1.0e8 or least < 1.0e-4
        else:
            self.sci_mode = PRINT_OPTS.sci_mode
        p = PRINT_OPTS.precision
        if self.sci_mode:
            self._widen(f"{v:.{p}e}" for v in values.tolist())
        elif self.int_mode:
            self._widen(f"{v:.0f}." for v in values.tolist())
        else:
            self._widen(f"{v:.{p}f}" for v in values.tolist())

    def _widen(self, texts: Iterator[str]) -> None:
        self.width = max(self.width, max(map(len, texts), default=0))

    @property
    def length(self) -> int:
        """The characters of one element."""
        return self.width if self.imaginary is None else self.width + self.imaginary.width + 1

    def __call__(self, value: Any) -> str:
        """One element, filled up with blanks on the left."""
        if self.imaginary is not None:
            imaginary = (self.imaginary(value.imag) + "j").lstrip()
            sign = "" if imaginary[0] in "+-" else "+"
            return self.part(value.real) + sign + imaginary
        return self.part(value)

    def part(self, value: Any) -> str:
        """A number that is not complex, or a part of one that is."""
        if not self.floating:
            text = f"{value}"
        elif self.sci_mode:
            text = f"{value:{self.width}.{PRINT_OPTS.precision}e}"
        elif self.int_mode:
            text = f"{value:.0f}" + ("." if math.isfinite(value) else "")
        else:
            text = f"{value:.{PRINT_OPTS.precision}f}"
        return text.rjust(self.width)


def _vector(a: Array, indent: int, summarize: bool, form: Formatter) -> str:
    per_line = max(1, (PRINT_OPTS.linewidth - indent) // (form.length + 2))
    edge = PRINT_OPTS.edgeitems
    if summarize and not edge:
        data = ["..."]
    elif summarize and len(a) > 2 * edge:
        data = [form(v) for v in a[:edge].tolist()] + [" ..."]
        data += [form(v) for v in a[-edge:].tolist()]
    else:
        data = [form(v) for v in a.tolist()]
    lines = [", ".join(data[i : i + per_line]) for i in range(0, len(data), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _nested(a: Array, indent: int, summarize: bool, form: Formatter) -> str:
    if a.ndim == 0:
        return form(a.item())
    if a.ndim == 1:
        return _vector(a, indent, summarize, form)
    edge = PRINT_OPTS.edgeitems
    rows: list[int | None] = list(range(len(a)))
    if summarize and len(a) > 2 * edge:
        rows = [*range(edge), None, *range(len(a) - edge, len(a))]
    parts = [
        "..." if i is None else _nested(a[i], indent + 1, summarize, form)  # rows of the array
        for i in rows
    ]
    return "[" + ("," + "\n" * (a.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def _summary(a: Array) -> Array:
    """The elements that a summarised print shows: what the format is chosen from."""
    edge = PRINT_OPTS.edgeitems
    if a.ndim > 1 and not edge:
        return a.reshape(-1)[:0]
    for axis, n in enumerate(a.shape):
        if n > 2 * edge:
            keep = np.r_[:edge, n - edge : n] if edge else np.arange(n)
            a = a.take(keep, axis)
    return a


def values_text(a: Array, indent: int) -> str:
    """The nested brackets, each line after the first `indent` blanks in."""
    if not a.size:
        return "[]"
    summarize = a.size > PRINT_OPTS.threshold
    if a.dtype.kind == "V" or (a.dtype.itemsize == 2 and a.dtype.kind == "f"):
        a = a.astype(np.float32)  # narrow floats, of ml_dtypes too
    return _nested(a, indent, summarize, Formatter(_summary(a) if summarize else a))


def _joined(text: str, suffixes: list[str], indent: int, newline: bool = False) -> str:
    parts = [text]
    last = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if newline or last + len(suffix) + 2 > PRINT_OPTS.linewidth:
            parts.append(",\n" + " " * indent + suffix)
            last, newline = indent + len(suffix), False
        else:
            parts.append(", " + suffix)
            last += len(suffix) + 2
    return "".join([*parts, ")"])


def tensor_text(
    a: Array | None,
    kind: dtype,
    *,
    shape: tuple[int, ...] | None = None,
    device: device = CPU,
    requires_grad: bool = False,
    grad_fn: str | None = None,
    name: str = "tensor",
) -> str:
    """`repr` of a tensor with the values `a`; None for one that has no values (device meta)."""
    prefix = f"{name}("
    sizes = tuple(a.shape) if a is not None else tuple(shape or ())
    suffixes: list[str] = []
    if device.type != "cpu":
        suffixes.append(f"device='{device}'")
    default = dt.Defaults.float
    if a is None:
        suffixes.append(f"size={sizes}")
        if kind is not default:
            suffixes.append(f"dtype={kind}")
        text = "..."
    elif not a.size:
        if len(sizes) != 1:
            suffixes.append(f"size={sizes}")
        if kind is not default:
            suffixes.append(f"dtype={kind}")
        text = "[]"
    else:
        if not PRINT_OPTS.edgeitems:
            suffixes.append(f"size={sizes}")
        if kind not in (default, dt.complex_type(default), dt.int64, dt.bool_):
            suffixes.append(f"dtype={kind}")
        text = values_text(a, len(prefix))
    if grad_fn is not None:
        suffixes.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    return _joined(prefix + text, suffixes, len(prefix))


def sparse_text(
    places: Array,
    values: Array,
    kind: dtype,
    shape: tuple[int, ...],
    *,
    device: device = CPU,
    requires_grad: bool = False,
    grad_fn: str | None = None,
) -> str:
    """`repr` of a sparse tensor by coordinates: its places, its values, what else there is."""
    indent = len("tensor(")
    parts = []
    for prefix, held in (("indices=tensor(", places), ("values=tensor(", values)):
        size = "" if held.size else f", size={tuple(held.shape)}"
        parts.append(prefix + values_text(held, indent + len(prefix)) + size + ")")
    suffixes = [] if device.type == "cpu" else [f"device='{device}'"]
    suffixes += [f"size={shape}", f"nnz={places.shape[1]}"]
    default = dt.Defaults.float
    if kind not in (default, dt.complex_type(default), dt.int64, dt.bool_):
        suffixes.append(f"dtype={kind}")
    suffixes.append("layout=torch.sparse_coo")
    if grad_fn is not None:
        suffixes.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    text = "tensor(" + (",\n" + " " * indent).join(parts)
    return _joined(text, suffixes, indent, newline=True)
