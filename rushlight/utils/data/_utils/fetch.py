"""Fetching: from a batch of indices to the collated batch.

Rows of a `TensorDataset` (or of subsets of one) are copied in one gather per tensor where the batch
is collated in the default way: the values are the same as row by row.  Where the order is known
ahead, one gather serves several small batches, as long as nobody writes to the tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.base.shape import numel
from rushlight.engine import Tensor
from rushlight.graph.op import Spec
from rushlight.tensor.entering import entered, kind_of
from rushlight.utils.data._utils import collate as co
from rushlight.utils.data.dataset import Subset, TensorDataset
from rushlight.utils.data.sampler import Run

Fetch = Callable[[Any], Any]
AHEAD: Final = 128 << 10  # bytes of one tensor's rows that are gathered at once


def map_fetcher(dataset: Any, auto_collation: bool, collate_fn: Callable[[Any], Any]) -> Fetch:
    """The function from indices (a list, or a run from `index_batches`) to a batch."""
    if not auto_collation:
        return lambda index: collate_fn(dataset[index])

    def fetch(indices: Any) -> Any:
        if isinstance(indices, Run):
            indices = indices.tolist()
        if getattr(dataset, "__getitems__", None):
            return collate_fn(dataset.__getitems__(indices))
        return collate_fn([dataset[i] for i in indices])

    rows = _rows(dataset) if collate_fn is co.default_collate else None
    if rows is None:
        return fetch
    tensors, selections = rows
    ahead = None if selections else [_Ahead(t) for t in tensors]

    def gather(indices: Any) -> Any:
        if co.default_collate_fn_map.get(Tensor) is not co.collate_tensor_fn:
            return fetch(indices)
        if ahead is not None and type(indices) is Run:
            batch = []
            for source in ahead:
                rows = source.rows(indices)
                if rows is None:
                    break
                batch.append(rows)
            else:
                return batch
        chosen = _chosen(indices, selections)
        if chosen is None or not all(co.plain(t) for t in tensors):
            return fetch(indices)
        try:
            return [_copied(t, chosen) for t in tensors]
        except IndexError:
            return fetch(indices)  # for the message

    return gather


def _rows(dataset: Any) -> tuple[tuple[Tensor, ...], list[Sequence[int]]] | None:
    """The tensors behind a dataset, and the selections of rows to go through, outermost first."""
    selections: list[Sequence[int]] = []
    while _unchanged(dataset, Subset, "__getitem__", "__getitems__"):
        selections.append(dataset.indices)
        dataset = dataset.dataset
    if not _unchanged(dataset, TensorDataset, "__getitem__") or hasattr(dataset, "__getitems__"):
        return None
    return dataset.tensors, selections


def _unchanged(dataset: Any, base: type, *names: str) -> bool:
    """Whether it is of the class, or of a subclass that gives samples in the same way."""
    kind = type(dataset)
    return isinstance(dataset, base) and all(getattr(kind, n) is getattr(base, n) for n in names)


def _chosen(indices: Any, selections: list[Sequence[int]]) -> Any:
    """Row numbers as a slice or an int64 array; None if they are no plain integers."""
    if isinstance(indices, Run):
        if not selections and indices.order is None:
            return slice(indices.start, indices.stop)
        indices = indices.tolist()
    try:
        for selection in selections:
            indices = [selection[i] for i in indices]
        rows = np.asarray(indices)
    except (IndexError, TypeError, ValueError):
        return None
    return rows if rows.ndim == 1 and rows.dtype.kind == "i" and rows.size else None


def _copied(source: Tensor, rows: Any) -> Tensor:
    data = engine.read(source)
    out = data[rows].copy() if isinstance(rows, slice) else data.take(rows, axis=0)
    return engine.own_array(out, source.dtype, source.device)


class _Ahead:
    """Rows of one tensor, gathered for several batches at once; each batch has its own part."""

    __slots__ = ("address", "flat", "kinds", "order", "source", "spec", "start", "stop", "storage",
                 "version", "width")  # fmt: skip

    def __init__(self, source: Tensor) -> None:
        self.source = source
        self.order: Any = None
        self.storage: Any = None  # the source's, when the rows were gathered
        self.version = 0
        self.spec: Any = None
        self.flat: Any = None
        self.address = 0
        self.width = 0  # elements of a row
        self.start = self.stop = 0
        self.kinds: dict[int, Any] = {}  # what describes a batch, by its number of rows

    def rows(self, run: Run) -> Tensor | None:
        """The batch; None where it has to be gathered by itself."""
        source = self.source
        storage = source.st
        start, stop = run.start, run.stop
        if (
            storage is None
            or storage is not self.storage
            or storage.exposed
            or storage.ver != self.version
            or self.order is not run.order
            or not (self.start <= start and stop <= self.stop)
            or not (source.rec.spec is self.spec or self._same(source.rec.spec))
            or engine.needs_grad(source)
        ) and not self._gather(run):
            return None
        kind = self.kinds.get(stop - start) or self._kind(stop - start)
        first, last = (start - self.start) * self.width, (stop - self.start) * self.width
        return entered(self.flat[first:last], kind, self.address + first * self.spec.dtype.itemsize)

    def _same(self, spec: Spec) -> bool:
        have = self.spec
        return bool(
            spec.shape == have.shape
            and spec.strides == have.strides
            and spec.offset == have.offset
            and spec.dtype is have.dtype
        )

    def _kind(self, count: int) -> Any:
        spec = self.spec
        made = self.kinds[count] = kind_of((count, *spec.shape[1:]), spec.dtype, spec.device)
        return made

    def _gather(self, run: Run) -> bool:
        """Gather the rows of this batch and of those that follow; False where that cannot be."""
        self.storage = None
        source = self.source
        if not co.plain(source):
            return False
        data = engine.read(source)
        storage = source.st
        if storage is None or storage.exposed or not data.size:
            return False
        width = numel(data.shape[1:])
        batches = AHEAD // max(width * data.itemsize * run.size, 1)
        stop = run.start + max(batches, 1) * run.size
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
        self.version = storage.ver
        self.flat = part.reshape(-1)
        self.address = self.flat.__array_interface__["data"][0]
        self.width = width
        self.start, self.stop = run.start, run.start + part.shape[0]
        self.storage = storage
        return True


class IterableFetcher:
    """The batches of a stream: one per batch of place holders, or sample by sample."""

    def __init__(
        self, dataset: Any, auto_collation: bool, collate_fn: Callable[[Any], Any], drop_last: bool
    ) -> None:
        self._samples = iter(dataset)
        self._auto_collation = auto_collation
        self._collate_fn = collate_fn
        self._drop_last = drop_last
        self._ended = False

    def __call__(self, places: Any) -> Any:
        if self._ended:
            raise StopIteration
        if not self._auto_collation:
            return self._collate_fn(next(self._samples))
        batch: list[Any] = []
        for _ in places:
            try:
                batch.append(next(self._samples))
            except StopIteration:
                self._ended = True
                break
        if not batch or (self._drop_last and len(batch) < len(places)):
            raise StopIteration
        return self._collate_fn(batch)
