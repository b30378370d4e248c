"""Batches from process to process: arrays and tensors go through shared memory, copied once.

A value is pickled with its arrays left out; those of any size go to a file in memory that the
receiver maps and removes.  What is small goes whole through the pipe.
"""

from __future__ import annotations

import copyreg
import io
import mmap
import os
import pickle
import tempfile
from collections import ChainMap
from multiprocessing.reduction import ForkingPickler
from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.base.device import CPU
from rushlight.base.dtype import dtype
from rushlight.engine import Tensor
from rushlight.tensor.entering import entered, kind_of
from rushlight.utils.data._utils.ahead import plain

#: Bytes that go through the pipe.  Several such messages fit into one that nobody reads, so that
#: no side waits for the other to read first.
SMALL: Final = 2048
_ALIGNED: Final = 64

#: The pickle (empty: it is the file's first part), the file, and the sizes of its parts.
Message = tuple[bytes, str, list[int]]


def new_folder() -> str:
    """A folder for the files of messages: in memory where the system has such a place."""
    place = "/dev/shm"
    usable = os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK)
    return tempfile.mkdtemp(prefix="rushlight-", dir=place if usable else None)


class _Pickler(ForkingPickler):
    """Pickles as `multiprocessing` does, and plain tensors by their memory alone."""

    def __init__(self, file: Any, buffers: list[pickle.PickleBuffer] | None) -> None:
        append = None if buffers is None else buffers.append
        pickle.Pickler.__init__(self, file, 5, buffer_callback=append)
        own: Any = self
        own.dispatch_table = ChainMap(own._extra_reducers, copyreg.dispatch_table)

    def reducer_override(self, value: Any) -> Any:
        """The parts of a plain tensor; everything else as usual."""
        if not plain(value) or 0 in value.shape:
            return NotImplemented
        flat: Any = np.ascontiguousarray(engine.read(value)).reshape(-1).view(np.uint8)
        return _tensor, (pickle.PickleBuffer(flat), tuple(value.shape), value.dtype)


def _tensor(buffer: Any, shape: tuple[int, ...], kind: dtype) -> Tensor:
    flat = np.frombuffer(buffer, np.uint8)
    if not flat.flags.writeable:
        flat = flat.copy()
    return entered(flat.view(kind.numpy), kind_of(shape, kind, CPU))


def pack(value: Any, where: str) -> Message:
    """A value as a message; its arrays and all that is large go to a file in `where`."""
    stream, buffers = io.BytesIO(), list[pickle.PickleBuffer]()
    _Pickler(stream, buffers).dump(value)
    parts: list[Any] = [buffer.raw() for buffer in buffers]
    data = stream.getvalue()
    if len(data) + sum(part.nbytes for part in parts) <= SMALL:
        stream = io.BytesIO()
        _Pickler(stream, None).dump(value)
        return stream.getvalue(), "", []
    if len(data) > SMALL:
        parts.insert(0, memoryview(data))
        data = b""
    return data, _written(parts, where), [part.nbytes for part in parts]


def unpack(message: Message) -> Any:
    """The value of a message; its file is gone afterwards, the memory when nobody needs it."""
    data, path, sizes = message
    if not path:
        return pickle.loads(data)
    with open(path, "r+b") as file:
        os.unlink(path)
        memory = memoryview(mmap.mmap(file.fileno(), 0))
    parts, at = [], 0
    for size in sizes:
        parts.append(memory[at : at + size])
        at += _padded(size)
    return pickle.loads(data, buffers=parts) if data else pickle.loads(parts[0], buffers=parts[1:])


def _padded(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


def _written(parts: list[Any], where: str) -> str:
    """A file with the parts one after the other; outside of memory if that is full."""
    try:
        return _write(parts, where)
    except OSError:
        return _write(parts, tempfile.gettempdir())


def _write(parts: list[Any], where: str) -> str:
    file, path = tempfile.mkstemp(prefix="rushlight-", dir=where)
    try:
        with open(file, "wb", buffering=0) as out:
            at = 0
            for part in parts:
                out.seek(at)
                rest = part
                while rest.nbytes:
                    rest = rest[out.write(rest) :]
                at += _padded(part.nbytes)
            out.truncate(max(at, 1))
    except OSError:
        os.unlink(path)
        raise
    return path
