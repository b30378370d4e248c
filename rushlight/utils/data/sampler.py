"""Samplers: the order in which a loader asks for samples.

The draws are PyTorch's, in PyTorch's order: `RandomSampler` without a generator seeds one of its
own with an int64 from the default generator when the first index is asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from rushlight import engine
from rushlight.base.dtype import float64
from rushlight.engine import Tensor
from rushlight.random import Generator, default_generator, draws
from rushlight.tensor.creation import as_tensor
from rushlight.utils.data._utils.ahead import Run

T_co = TypeVar("T_co", covariant=True)
Indices = NDArray[np.int64]


class Sampler(Generic[T_co]):
    """An iterable of indices, or of lists of them.  Subclasses define `__iter__`."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ..."""

    data_source: Sized

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """A permutation; with `replacement`, or `num_samples` beyond the length, repeated draws."""

    data_source: Sized
    replacement: bool

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise TypeError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise ValueError(
                "num_samples should be a positive integer value, "
                f"but got num_samples={self.num_samples}"
            )

    @property
    def num_samples(self) -> int:
        """How many indices an iteration gives; the data's length may change in between."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def _source(self) -> Generator:
        if self.generator is not None:
            return self.generator
        return Generator().manual_seed(draws.random_seed(default_generator))

    def __iter__(self) -> Iterator[int]:
        n = len(self.data_source)
        gen = self._source()
        if self.replacement:
            for _ in range(self.num_samples // 32):
                yield from draws.randint(gen, 0, n, 32).tolist()
            yield from draws.randint(gen, 0, n, self.num_samples % 32).tolist()
            return
        for _ in range(self.num_samples // n):
            yield from draws.randperm(gen, n).tolist()
        # Drawn even when nothing is left to give: PyTorch does.
        yield from draws.randperm(gen, n).tolist()[: self.num_samples % n]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices, permuted."""

    indices: Sequence[int]

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for i in draws.randperm(self.generator or default_generator, len(self.indices)).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """`num_samples` indices drawn with the given weights, which need not add up to 1."""

    weights: Tensor
    num_samples: int
    replacement: bool

    def __init__(
        self,
        weights: Sequence[float] | Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        _need_count("num_samples", num_samples)
        if not isinstance(replacement, bool):
            raise ValueError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        self.weights = as_tensor(weights, dtype=float64)
        if len(self.weights.shape) != 1:
            raise ValueError(
                "weights should be a 1d sequence but given "
                f"weights have shape {tuple(self.weights.shape)}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        gen = self.generator or default_generator
        weights = np.array(engine.read(self.weights))
        drawn = draws.multinomial(gen, weights, self.num_samples, self.replacement)
        yield from drawn.tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` indices of another sampler; the last may be shorter, or is dropped."""

    def __init__(
        self, sampler: Sampler[int] | Iterable[int], batch_size: int, drop_last: bool
    ) -> None:
        _need_count("batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]
        if self.drop_last:
            return count // self.batch_size
        return (count + self.batch_size - 1) // self.batch_size


def _need_count(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name} should be a positive integer value, but got {name}={value}")


# ------------------------------------------------------------- batches as runs


def index_batches(batch_sampler: Any) -> Iterator[Run] | None:
    """The batches of a loader's own samplers as runs; None for any other sampler.

    The same indices and the same draws at the same moments as iterating over the samplers.
    """
    if type(batch_sampler) is not BatchSampler:
        return None
    sampler, size, drop_last = (
        batch_sampler.sampler,
        batch_sampler.batch_size,
        batch_sampler.drop_last,
    )
    if type(sampler) is SequentialSampler:
        return _runs(len(sampler), size, drop_last)
    if type(sampler) is RandomSampler and not sampler.replacement and sampler._num_samples is None:
        return _permuted(sampler, size, drop_last)
    return None


def _runs(count: int, size: int, drop_last: bool) -> Iterator[Run]:
    stop = count - count % size if drop_last else count
    for at in range(0, stop, size):
        yield Run(None, at, min(at + size, count), size)


def _permuted(sampler: RandomSampler, size: int, drop_last: bool) -> Iterator[Run]:
    count = len(sampler.data_source)
    gen = sampler._source()
    order = draws.randperm(gen, count)
    whole = count - count % size
    for at in range(0, whole, size):
        yield Run(order, at, at + size, size)
    if sampler.generator is not None:  # somebody can see the permutation drawn for nothing
        draws.randperm(gen, count)
    if whole < count and not drop_last:
        yield Run(order, whole, count, size)


__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]
