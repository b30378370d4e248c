"""Batches of a tensor's rows gathered ahead: one gather serves several small batches.

Compiled with the hot core: a batch costs a few records' time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from mypy_extensions import mypyc_attr

from rushlight import engine
from rushlight.base.device import CPU
from rushlight.base.shape import numel
from rushlight.engine.core import Fam, Tensor
from rushlight.engine.handles import needs_grad
from rushlight.engine.memory import Part
from rushlight.engine.records import Rec, Storage
from rushlight.tensor.entering import kind_of

AHEAD: Final = 128 << 10  # bytes of one tensor's rows that are gathered at once


@mypyc_attr(allow_interpreted_subclasses=True)
class Run:
    """A batch of indices: `start` to `stop` of an order that is known as a whole (None: 0, 1, ...).

    `size` is what a full batch has: the next one starts at `stop`.
    """

    __slots__ = ("order", "size", "start", "stop")

    def __init__(self, order: Any, start: int, stop: int, size: int) -> None:
        self.order: Any = order
        self.start: int = start
        self.stop: int = stop
        self.size: int = size

    def tolist(self) -> list[int]:
        """The indices."""
        if self.order is None:
            return list(range(self.start, self.stop))
        found: list[int] = self.order[self.start : self.stop].tolist()
        return found


def plain(x: object) -> bool:
    """Whether a tensor's elements may simply be copied: on the CPU, and no gradient follows."""
    return (
        type(x) is Tensor
        and isinstance(x, Tensor)
        and x.rec.spec.device == CPU
        and not needs_grad(x)
    )


class Ahead:
    """Rows of one tensor, gathered for several batches at once; each batch has its own part."""

    __slots__ = ("flat", "held", "kinds", "order", "source", "spec", "start", "stop", "storage",
                 "version", "width")  # fmt: skip

    def __init__(self, source: Tensor) -> None:
        self.source: Tensor = source
        self.order: Any = None
        self.storage: Storage | None = None  # the source's, when the rows were gathered
        self.version: int = 0
        self.spec: Any = None
        self.flat: Any = None
        self.held: int = 0  # address of the rows
        self.width: int = 0  # bytes of a row
        self.start: int = 0
        self.stop: int = 0
        self.kinds: dict[int, Rec] = {}  # what describes a batch, by its number of rows

    def rows(self, run: Run) -> Tensor | None:
        """The batch; None where it has to be gathered by itself."""
        source = self.source
        storage = source.st
        start = run.start
        stop = run.stop
        if (
            storage is None
            or storage is not self.storage
            or storage.exposed
            or storage.ver != self.version
            or self.order is not run.order
            or start < self.start
            or stop > self.stop
            or not (source.rec.spec is self.spec or self.same(source.rec.spec))
            or needs_grad(source)
        ) and not self.gather(run):
            return None
        count = stop - start
        kind = self.kinds.get(count)
        if kind is None:
            spec = self.spec
            kind = kind_of((count, *spec.shape[1:]), spec.dtype, spec.device)
            self.kinds[count] = kind
        own = Storage(
            Part(self.flat, self.held, (start - self.start) * self.width, count * self.width),
            kind.spec,
        )
        made = Tensor(kind, 0)
        made.st = own
        made.fam = Fam(own, None, kind)
        return made

    def same(self, spec: Any) -> bool:
        """Is the source still laid out as when its rows were gathered?"""
        have = self.spec
        return bool(
            spec.shape == have.shape
            and spec.strides == have.strides
            and spec.offset == have.offset
            and spec.dtype is have.dtype
        )

    def gather(self, run: Run) -> bool:
        """Gather the rows of this batch and of those that follow; False where that cannot be."""
        self.storage = None
        source = self.source
        if not plain(source):
            return False
        data: Any = engine.read(source)
        storage = source.st
        if storage is None or storage.exposed or not data.size:
            return False
        width = numel(data.shape[1:]) * int(data.itemsize)
        batches = AHEAD // max(width * run.size, 1)
        stop = run.start + max(batches, 1) * run.size
        part: Any
        if run.order is None:
            if run.stop > data.shape[0]:
                return False
            part = data[run.start : stop].copy()
        else:
            try:
                part = data.take(run.order[run.start : stop], axis=0)
            except IndexError:
                return False  # the batch by itself has the message
        self.order = run.order
        self.spec = source.rec.spec
        self.kinds = {}
        self.version = int(storage.ver)
        self.flat = part.reshape(-1).view("u1")
        self.held = self.flat.__array_interface__["data"][0]
        self.width = width
        self.start = run.start
        self.stop = run.start + int(part.shape[0])
        self.storage = storage
        return True


class Gather:
    """The function from indices to a batch of the rows of several tensors.

    `otherwise` takes what cannot be gathered ahead; `collates` is the table of `default_collate`,
    whose entry for tensors has to be the `usual` one.
    """

    def __init__(
        self,
        sources: list[Ahead] | None,
        otherwise: Callable[[Any], Any],
        collates: dict[Any, Any],
        usual: Any,
    ) -> None:
        self.sources: list[Ahead] | None = sources
        self.otherwise: Callable[[Any], Any] = otherwise
        self.collates: dict[Any, Any] = collates
        self.usual: Any = usual

    def __call__(self, indices: Any) -> Any:
        sources = self.sources
        if (
            sources is not None
            and isinstance(indices, Run)
            and self.collates.get(Tensor) is self.usual
        ):
            batch: list[Any] = []
            for source in sources:
                rows = source.rows(indices)
                if rows is None:
                    return self.otherwise(indices)
                batch.append(rows)
            return batch
        return self.otherwise(indices)
