"""Memory a storage may have: a `Buffer` of our own, or an array of NumPy's held as it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..base.dtype import array_type
from ..base.shape import numel
from ..graph.op import Spec
from ..runtime.buffer import Buffer


class Held:
    """A flat window of an array that somebody else owns (`from_numpy`, results of NumPy)."""

    __slots__ = ("_address", "nbytes", "window")

    def __init__(self, window: Any) -> None:
        self.window: Any = window  # one-dimensional, contiguous
        self.nbytes: int = window.nbytes
        self._address: int = 0

    @property
    def address(self) -> int:
        at = self._address
        if at == 0:
            at = self._address = self.window.__array_interface__["data"][0]
        return at

    def array(self, dtype: Any, shape: Any, strides: Any, offset: int = 0) -> Any:
        return np.ndarray(shape, dtype, self.window, offset, strides)

    def copy(self) -> Any:
        return of_array(self.window)


class Window:
    """A dense part of other memory: a view that entered by itself."""

    __slots__ = ("memory", "nbytes", "offset", "spec")

    def __init__(self, memory: Any, spec: Spec) -> None:
        self.memory: Any = memory
        self.spec: Spec = spec
        self.offset: int = spec.offset * spec.dtype.itemsize
        self.nbytes: int = nbytes(spec)

    @property
    def address(self) -> int:
        return address_of(self.memory) + self.offset

    def array(self, dtype: Any, shape: Any, strides: Any, offset: int = 0) -> Any:
        return self.memory.array(dtype, shape, strides, self.offset + offset)

    def copy(self) -> Any:
        b = Buffer(self.nbytes)
        base_array(b, self.spec)[...] = base_array(self, self.spec)
        return b


class Part:
    """A contiguous part of an array that somebody else owns: nobody else's memory but its own."""

    __slots__ = ("address", "nbytes", "offset", "root")

    def __init__(self, root: Any, start: int, offset: int, nbytes: int) -> None:
        self.root: Any = root  # one-dimensional, contiguous, at address `start`
        self.offset: int = offset  # in bytes
        self.nbytes: int = nbytes
        self.address: int = start + offset

    def array(self, dtype: Any, shape: Any, strides: Any, offset: int = 0) -> Any:
        return np.ndarray(shape, dtype, self.root, self.offset + offset, strides)

    def copy(self) -> Any:
        return of_array(np.ndarray((self.nbytes,), np.uint8, self.root, self.offset))


def byte_strides(strides: tuple[int, ...], size: int) -> tuple[int, ...]:
    """Strides in bytes."""
    return tuple([s * size for s in strides])


def base_array(mem: Any, spec: Spec) -> Any:
    """The array of a base: dense memory in ``spec``'s layout."""
    d = spec.dtype
    if numel(spec.shape) == 0:
        return np.empty(spec.shape, array_type(d))
    return mem.array(array_type(d), spec.shape, byte_strides(spec.strides, d.itemsize), 0)


def region_array(mem: Any, spec: Spec, region: Any) -> Any:
    """The array of a view of a base."""
    d = spec.dtype
    shape, strides, offset = region
    if numel(shape) == 0:
        return np.empty(shape, array_type(d))
    return mem.array(array_type(d), shape, byte_strides(strides, d.itemsize), offset * d.itemsize)


def address_of(memory: Any) -> int:
    """Where memory starts; the kinds that programs use most are asked without a lookup by name."""
    if isinstance(memory, Buffer):
        return memory.address
    if isinstance(memory, Held):
        return memory.address
    if isinstance(memory, Window):
        return address_of(memory.memory) + memory.offset
    return int(memory.address)


def nbytes(spec: Spec) -> int:
    """Bytes of a dense value."""
    return numel(spec.shape) * spec.dtype.itemsize


def new_memory(spec: Spec) -> Buffer:
    """Fresh memory for a dense value."""
    return Buffer(nbytes(spec))


def of_array(a: Any) -> Buffer:
    """A copy of an array's elements, row-major."""
    b = Buffer(a.nbytes)
    b.array(a.dtype, a.shape)[...] = a
    return b


def hold(a: Any, spec: Spec) -> Any:
    """A fresh array (nobody else writes it) as memory in ``spec``'s layout, copied only when its
    layout differs."""
    size = spec.dtype.itemsize
    want = byte_strides(spec.strides, size)
    if a.dtype == array_type(spec.dtype) and a.shape == spec.shape and a.flags.owndata:
        fits = a.strides == want
        if not fits:
            fits = True
            for n, s, w in zip(a.shape, a.strides, want):
                if n > 1 and s != w:
                    fits = False
        if fits and a.size:
            flat = a if a.flags.c_contiguous else a.T if a.flags.f_contiguous else None
            if flat is not None:
                return Held(flat.reshape(-1))
    b = new_memory(spec)
    base_array(b, spec)[...] = a
    return b
