"""Fetching: from a batch of indices to the collated batch.

Rows of a `TensorDataset` (or of subsets of one) are copied in one gather per tensor where the batch
is collated in the default way: the values are the same as row by row.  Where the order is known
ahead, one gather serves several small batches, as long as nobody writes to the tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.engine import Tensor
from rushlight.random import Generator, default_generator
from rushlight.utils.data._utils import collate as co
from rushlight.utils.data._utils.ahead import Ahead, Gather, Run, plain
from rushlight.utils.data.dataset import Subset, TensorDataset

Fetch = Callable[[Any], Any]


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

    if collate_fn is not co.default_collate:
        return fetch
    source, selections = _source(dataset)
    if hasattr(source, "_columns"):
        return Columns(source, selections, fetch)
    tensors = _tensors(source)
    if tensors is None:
        return fetch

    def gather(indices: Any) -> Any:
        if co.default_collate_fn_map.get(Tensor) is not co.collate_tensor_fn:
            return fetch(indices)
        chosen = _chosen(indices, selections)
        if chosen is None or not all(plain(t) for t in tensors):
            return fetch(indices)
        try:
            return [_copied(t, chosen) for t in tensors]
        except IndexError:
            return fetch(indices)  # for the message

    ahead = None if selections else [Ahead(t) for t in tensors]
    return Gather(ahead, gather, co.default_collate_fn_map, co.collate_tensor_fn)


class Columns:
    """The function from indices to a batch of a dataset that knows how to make batches whole.

    `source._columns(generator)` is asked at every batch: a function of row numbers for each item
    of a sample, or None where the samples have to be made one by one.
    """

    def __init__(self, source: Any, selections: list[Sequence[int]], fetch: Fetch) -> None:
        self._source = source
        self._selections = selections
        self._fetch = fetch

    def ready(self) -> bool:
        """Whether batches can be made whole, as things are now."""
        return self._source._columns(default_generator) is not None

    def __call__(self, indices: Any, generator: Generator = default_generator) -> Any:
        if co.default_collate_fn_map.get(Tensor) is not co.collate_tensor_fn:
            return self._fetch(indices)
        columns = self._source._columns(generator)
        rows = None if columns is None else _chosen(indices, self._selections)
        if rows is None or not _inside(rows, len(self._source)):
            return self._fetch(indices)
        return [column(rows) for column in columns]


def _inside(rows: Any, count: int) -> bool:
    """Whether all the rows are there; what is not has its message from the sample itself."""
    if isinstance(rows, slice):
        return bool(rows.stop <= count)
    return bool(rows.min() >= -count and rows.max() < count)


def _source(dataset: Any) -> tuple[Any, list[Sequence[int]]]:
    """The dataset behind subsets, and the selections of rows to go through, outermost first."""
    selections: list[Sequence[int]] = []
    while _unchanged(dataset, Subset, "__getitem__", "__getitems__"):
        selections.append(dataset.indices)
        dataset = dataset.dataset
    return dataset, selections


def _tensors(dataset: Any) -> tuple[Tensor, ...] | None:
    """The tensors whose rows are the samples."""
    if not _unchanged(dataset, TensorDataset, "__getitem__") or hasattr(dataset, "__getitems__"):
        return None
    tensors: tuple[Tensor, ...] = dataset.tensors
    return tensors


def _unchanged(dataset: Any, base: type, *names: str) -> bool:
    """Whether it is of the class, or of a subclass that gives samples in the same way."""
    kind = type(dataset)
    return isinstance(dataset, base) and all(getattr(kind, n) is getattr(base, n) for n in names)


def _chosen(indices: Any, selections: list[Sequence[int]]) -> Any:
    """Row numbers as a slice or an int64 array; None if they are no plain integers."""
    if isinstance(indices, Run):
        if not selections:
            span = slice(indices.start, indices.stop)
            return span if indices.order is None else indices.order[span]
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
