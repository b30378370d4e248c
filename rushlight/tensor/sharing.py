"""Tensors whose memory several processes share: `share_memory_`, and how they are sent.

Such memory belongs to nobody alone, so a tensor on it is treated as one on a NumPy array that user
code can reach: it is read when it is used, and written at once.
"""

from __future__ import annotations

import mmap
import os
import weakref
from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.base.dtype import dtype
from rushlight.engine import Tensor
from rushlight.tensor.creation import from_numpy
from rushlight.tensor.install import method


class Memory(mmap.mmap):
    """A file without a name, mapped: `fd` can be sent to other processes, which map it too."""

    fd: int


_SHARED: Final[weakref.WeakValueDictionary[int, Memory]] = weakref.WeakValueDictionary()


def _mapped(fd: int, size: int) -> Any:
    """The bytes of a file, which is closed when nobody needs them."""
    memory = Memory(fd, size)
    memory.fd = fd
    weakref.finalize(memory, os.close, fd)
    flat = np.frombuffer(memory, np.uint8)
    _SHARED[flat.__array_interface__["data"][0]] = memory
    return flat


def _fresh(size: int) -> Any:
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("rushlight")
    else:
        import tempfile

        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, size)
    return _mapped(fd, size)


def _block(x: Tensor) -> tuple[int, Memory] | None:
    """Where a tensor begins in shared memory, and the memory; None elsewhere."""
    at = engine.address(x)
    for start, memory in list(_SHARED.items()):
        if start <= at < start + len(memory):
            return at - start, memory
    return None


@method()
def share_memory_(self: Tensor) -> Tensor:
    """Move the values to memory that other processes see, forked or sent there; the tensor itself.

    Views that were taken before stay on the memory of old.
    """
    if 0 in self.shape or _block(self) is not None:
        return self
    values = engine.read(self)
    shared = _fresh(values.nbytes).view(values.dtype).reshape(values.shape)
    shared[...] = values
    engine.set_data(self, from_numpy(shared))
    _let_send()
    return self


@method()
def is_shared(self: Tensor) -> bool:
    """Whether other processes see the values."""
    return 0 not in self.shape and _block(self) is not None


# ------------------------------------------------------------------------- sending


def _attached(
    handle: Any, size: int, place: tuple[int, Any, Any], kind: dtype, own: tuple[Any, ...]
) -> Any:
    """A tensor on the memory that another process shares."""
    offset, shape, strides = place
    cls, requires_grad, state = own
    base = _mapped(handle.detach(), size)
    made: Any = from_numpy(np.ndarray(shape, kind.numpy, base, offset, strides))
    if cls is not None:
        made = engine.become(cls, made, requires_grad)
        made.__dict__.update(state or {})
    elif requires_grad:
        engine.require_grad(made, True)
    return made


def reduced(x: Any) -> Any:
    """A tensor on its way to another process: its memory if that is shared, else its values.

    What a process is started with is shared first, as in PyTorch.
    """
    from multiprocessing import context, reduction

    if context.get_spawning_popen() is not None and engine.is_leaf(x):
        share_memory_(x)
    found = None if 0 in x.shape else _block(x)
    if found is None:
        return x.__reduce_ex__(2)
    offset, memory = found
    values = engine.read(x)
    own = (None if type(x) is Tensor else type(x), x.requires_grad, getattr(x, "__dict__", None))
    place = (offset, values.shape, values.strides)
    send: Any = reduction
    return _attached, (send.DupFd(memory.fd), len(memory), place, x.dtype, own)


_SENT: Final[set[type]] = set()


def send_as_shared(*kinds: type) -> None:
    """Let `multiprocessing` send tensors of these classes by their shared memory."""
    from multiprocessing.reduction import ForkingPickler

    for kind in set(kinds) - _SENT:
        ForkingPickler.register(kind, reduced)
        _SENT.add(kind)


def _let_send() -> None:
    send_as_shared(Tensor)


__all__ = ["reduced", "send_as_shared"]
