"""Files in the IDX format of the MNIST family: sizes and type in front, then the elements."""

from __future__ import annotations

import math
import os
from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.device import CPU
from rushlight.engine import Tensor
from rushlight.tensor.entering import entered, kind_of
from rushlight.vision.datasets.utils import damage, open_compressed

#: The third byte of a file says what its elements are; they are stored big end first.
TYPES: Final = {
    8: (dt.uint8, "u1"),
    9: (dt.int8, "i1"),
    11: (dt.int16, ">i2"),
    12: (dt.int32, ">i4"),
    13: (dt.float32, ">f4"),
    14: (dt.float64, ">f8"),
}
_SUFFIXES: Final = ("", ".gz", ".xz")


def find(path: str) -> str | None:
    """The file of that name, as it is or compressed."""
    return next((path + s for s in _SUFFIXES if os.path.isfile(path + s)), None)


def read(path: str, dimensions: int | None = None) -> Any:
    """The tensor in a file, or in the same file compressed.

    `RuntimeError` that names the file when it is truncated, damaged or of another kind.
    """
    file = find(path)
    if file is None:
        raise RuntimeError(f"{path} does not exist, nor with {' or '.join(_SUFFIXES[1:])}")
    try:
        with open_compressed(file, os.path.splitext(file)[1] if file != path else None) as opened:
            data = opened.read()
    except damage() as error:
        raise RuntimeError(f"{file} is truncated or corrupt: {error}; delete it") from error
    return _parsed(file, data, dimensions)


def _parsed(file: str, data: bytes, dimensions: int | None) -> Tensor:
    kind = TYPES.get(data[2]) if len(data) >= 4 and data[:2] == b"\0\0" else None
    count = data[3] if kind else 0
    if kind is None or not 1 <= count <= 3:
        raise RuntimeError(f"{file} is not an IDX file: it begins with {data[:4]!r}")
    if dimensions is not None and (count != dimensions or kind[0] is not dt.uint8):
        what = "images" if dimensions == 3 else "labels"
        raise RuntimeError(
            f"{file} holds no {what}: {count} dimensions of {kind[0]} instead of {dimensions} of "
            "torch.uint8"
        )
    head = 4 * (count + 1)
    sizes = [int.from_bytes(data[at : at + 4], "big") for at in range(4, head, 4)]
    own, stored = kind
    width = np.dtype(stored).itemsize
    if len(data) != head + math.prod(sizes) * width:
        state = "truncated" if len(data) < head + math.prod(sizes) * width else "too long"
        raise RuntimeError(
            f"{file} is {state}: {len(data)} bytes, where its sizes {sizes} of {own} need "
            f"{head + math.prod(sizes) * width}; delete it"
        )
    elements: Any = np.frombuffer(data, stored, offset=head).astype(own.numpy)  # a copy
    if not elements.size:
        return engine.from_array(elements.reshape(sizes), own, CPU)
    return entered(elements, kind_of(tuple(sizes), own, CPU))


__all__ = ["find", "read"]
